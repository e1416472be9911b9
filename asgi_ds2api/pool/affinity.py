"""Which account a conversation was on last: prompt caches belong to accounts, and a cached history costs a tenth.

The first request of a conversation goes where the strategy says, and pins it there; the next ones follow while that
account is open, has room and is not much busier than the others. If it is closed they go elsewhere, and the pin with
them. If it is only busy for a moment, one request goes elsewhere and the pin stays, provided that its cache was seen to
be of use: what upstreams say of cached tokens comes back here.

A pin is a wish, not a condition: what only one account can serve is bound to it (`Plan`, ``only``). But where a vendor
refuses elsewhere what the model thought before, since that is sealed for the customer whose key it was, the pin goes
back and binds: then the conversation waits for its account.

Of a vendor that is known to seal, the account that gave the last answer is remembered besides, whatever the model: the
bond of a conversation. See `choosing`.
"""

from collections import OrderedDict
from collections.abc import Callable

import msgspec

from ..state.contract import StateStore
from .model import AffinityStatus, Spent

TABLE = "affinity"
MAX_PINS = 50_000
"""Conversations that are remembered in memory, about 400 bytes each; the least recently used is forgotten first."""
_BOUND = b"\nbound"
"""Follows the id of an account in the store that a conversation cannot leave."""
MIN_CROWD = 4
CROWD_FACTOR = 2.0
"""An account with this many attempts, and as many times more than the others have on average, is too busy to be
preferred: one name for all requests must not put them all on one account."""


class Pin(msgspec.Struct, frozen=True, gc=False):
    """Where a conversation was."""

    account: str
    """Its id."""
    expires_at: float
    told_at: float
    """When the store heard of it."""
    has_cache: bool = False
    """Its account was seen to read from its cache."""
    former: str = ""
    """Where it was before it had to move; empty: it never had to."""
    is_bound: bool = False
    """No other account can go on from it."""


class Tally:
    """What affinity is good for, of one upstream."""

    __slots__ = ("began", "cached_tokens", "followed", "input_tokens", "spilled")

    def __init__(self) -> None:
        self.began = 0
        self.followed = 0
        self.spilled = 0
        self.input_tokens = 0
        self.cached_tokens = 0

    def status(self, upstream: str) -> AffinityStatus:
        """Return it as an operator sees it."""
        return AffinityStatus(
            upstream=upstream,
            began=self.began,
            followed=self.followed,
            spilled=self.spilled,
            input_tokens=self.input_tokens,
            cached_tokens=self.cached_tokens,
        )


class Affinity:
    """The pins of all conversations.

    Args:
        store: Where pins outlive the process, and other workers find them.
        now: Monotonic clock, in seconds.
        ttl_s: How long a pin lives after its last use. 0: nothing is pinned.
    """

    def __init__(self, store: StateStore, now: Callable[[], float], ttl_s: float) -> None:
        self._store = store
        self._now = now
        self._ttl_s = ttl_s
        self._pins: OrderedDict[str, Pin] = OrderedDict()

    @property
    def is_on(self) -> bool:
        """Whether anything is pinned."""
        return self._ttl_s > 0

    def find(self, key: str) -> Pin | None:
        """Return where a conversation was: here, or at those who share the store, who may have moved it since."""
        now = self._now()
        pin = self._pins.get(key)
        if pin is not None and pin.expires_at <= now:
            del self._pins[key]
            pin = None
        told = self._store.get(TABLE, key)
        if told is None:  # also where the store forgot it, which is bounded
            return pin
        account, is_bound = _decode(told)
        if pin is not None and pin.account == account:
            return pin if pin.is_bound == is_bound else self._keep(key, msgspec.structs.replace(pin, is_bound=is_bound))
        former = "" if pin is None else pin.account
        return self._keep(key, Pin(account, now + self._ttl_s, now, former=former, is_bound=is_bound))

    def pin(self, key: str, account: str, before: Pin | None) -> None:
        """Note where a conversation is now."""
        now = self._now()
        is_same = before is not None and before.account == account
        if before is not None and is_same and now - before.told_at < self._ttl_s / 2:
            self._keep(key, msgspec.structs.replace(before, expires_at=now + self._ttl_s))
            return
        is_bound = before is not None and is_same and before.is_bound
        self._store.put(TABLE, key, _encode(account, is_bound=is_bound), self._ttl_s)
        if before is not None and is_same:
            self._keep(key, msgspec.structs.replace(before, expires_at=now + self._ttl_s, told_at=now))
        else:
            former = "" if before is None else before.account
            self._keep(key, Pin(account, now + self._ttl_s, now, former=former))

    def bind(self, key: str, refused_by: str, home: str = "") -> None:
        """Send a conversation back to its account, for good: the one that it had to go to cannot go on from it.

        Where nobody knows of an account that can, the pin is forgotten: whoever refuses it next is not sent back here.

        Args:
            key: Of the conversation.
            refused_by: Who cannot.
            home: Where it is at home, if that is known for certain.
        """
        pin = self._pins.get(key)
        if pin is not None and not home:
            home = pin.former if pin.account == refused_by else pin.account
        if pin is not None and pin.account == refused_by and (pin.is_bound or not home):
            self._store.put(TABLE, key, b"", 0)
            del self._pins[key]
        elif pin is not None and home and not pin.is_bound:
            now = self._now()
            self._store.put(TABLE, key, _encode(home, is_bound=True), self._ttl_s)
            self._keep(key, Pin(home, now + self._ttl_s, now, pin.has_cache and pin.account == home, is_bound=True))

    def learn(self, key: str, account: str, spent: Spent) -> None:
        """Note what the answer of a conversation said of its cache."""
        pin = self._pins.get(key)
        if pin is not None and pin.account == account and not pin.has_cache and spent.cached_tokens > 0:
            self._pins[key] = msgspec.structs.replace(pin, has_cache=True)

    def _keep(self, key: str, pin: Pin) -> Pin:
        self._pins[key] = pin
        self._pins.move_to_end(key)
        if len(self._pins) > MAX_PINS:
            self._pins.popitem(last=False)
        return pin


def _decode(value: bytes) -> tuple[str, bool]:
    """Return the account of a conversation, and whether it is bound to it."""
    return value.removesuffix(_BOUND).decode("ascii", "replace"), value.endswith(_BOUND)


def _encode(account: str, *, is_bound: bool) -> bytes:
    return account.encode("ascii", "replace") + (_BOUND if is_bound else b"")


def is_crowded(in_flight: int, total: int, accounts: int) -> bool:
    """Tell whether an account has so much more to do than the others that it is not to be preferred."""
    return in_flight >= MIN_CROWD and in_flight * accounts > CROWD_FACTOR * total
