"""State of many machines, in Redis (6.2 or newer): each step one script, each time the server's own.

Needs the extra ``redis``. All keys begin with the version of what they hold and the name of the pool, so that programs
of two versions do not meet. The name is a hash tag: one node of a cluster has all of them, but nobody here follows a
cluster to that node. A server that lost everything is no harm: what is not known counts as healthy, and as unused.
Scripts that it forgot are sent again.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qs, urlsplit

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.commands.core import Script
from redis.retry import Retry

from ..secret import Secret
from . import redis_scripts as scripts
from .backend import NOBODY, ONCE_S, SMALL_FACT_BYTES, BackendError, CooldownNews, FactNews, Granted, Missed, News
from .contract import Admission, Amount, Cooldown, CooldownState, HealthScope, NotAdmitted, ScopeKind
from .ledger import SLOT_WAIT_S, probe_name

VERSION: Final = 1
"""Of what the keys hold."""
SOCKET_S: Final = 1.0
"""Longest wait of a thread for the server; who asks for an admission waits far shorter."""
MAX_NEWS: Final = 10_000
"""That the stream keeps: what a process can miss between two looks."""
MAX_NEWS_READ: Final = 1_000
"""At one look."""
SWEEP_S: Final = 30.0
"""Between the beginnings of two sweeps of what has ended, whoever does them."""
MAX_SWEPT: Final = 500
"""Cooldowns that are looked at in one go, of which there is one at each look for news."""
MAX_KEYS: Final = 500
"""Of one script, so that none of them holds the server for long."""
RETENTION_S: Final = 86_400.0
"""How long an epoch is remembered after its cooldown: longer than any request lives."""
OWN_OPTIONS: Final = frozenset(
    {
        "decode_responses",
        "encoding",
        "encoding_errors",
        "retry",
        "retry_on_error",
        "retry_on_timeout",
        "socket_timeout",
        "socket_connect_timeout",
    }
)
"""Of the client: settled here, as what is read and who waits depend on them. An address may not say otherwise."""

Value: TypeAlias = str | bytes | int | float
_Entry: TypeAlias = tuple[CooldownState, float, int, int, int, str, bool]
_ENTRY: Final = msgspec.json.Decoder(_Entry, strict=False)
_KEY: Final = msgspec.json.Decoder(tuple[str, ...])
_KINDS: Final[dict[str, ScopeKind]] = {"origin": "origin", "account": "account", "model": "model"}


class RedisBackend:
    """A `Backend` on a Redis server.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``; may hold a password, and is shown nowhere.
        pool: Name of the pool: who names the same one shares its state.
        now: Monotonic clock, in seconds.
    """

    def __init__(self, url: Secret, *, pool: str = "default", now: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._prefix = f"ds2api{VERSION}:{{{pool}}}:"
        self._client: redis.Redis | None = None
        self._scripts: dict[str, Script] = {}
        self._now = now
        self._sweeps_at = -math.inf
        """When a sweep may begin."""
        self._swept_to = 0
        """How far the sweep has come, in words of the server; 0: it is over."""
        self._cooldowns, self._news = f"{self._prefix}cooldowns", f"{self._prefix}news"

    # --- opening ------------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Make the client; it connects when it is first asked."""
        if self._client is not None:
            return
        client = client_of(self._url)
        texts = (
            scripts.MERGE,
            scripts.FACT,
            scripts.READ,
            scripts.SWEEP,
            scripts.ADMIT,
            scripts.UNDO,
            scripts.RENEW,
            scripts.ADD,
        )
        self._scripts = {text: client.register_script(text) for text in texts}
        self._client = client

    def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            with _failures():
                client.close()

    @contextmanager
    def _asking(self) -> Iterator[redis.Redis]:
        """Lend the client; where the server fails, let go of the connections to it.

        One that has become another's replica goes on answering on those that there are; who connects anew comes to the
        one that has taken its place.
        """
        self.open()
        client = self._client
        assert client is not None, "open made it"
        try:
            with _failures():
                yield client
        except BackendError:
            client.connection_pool.disconnect(inuse_connections=False)  # those of other threads fail by themselves
            raise

    def _run(self, text: str, keys: Sequence[str], values: Sequence[Value], pipe: Pipeline | None = None) -> Any:
        """Run a script, or put it into a pipeline."""
        return self._scripts[text](keys=keys, args=values, client=pipe)

    # --- news ---------------------------------------------------------------------------------------------------------

    def write(self, writer: str, news: Sequence[News]) -> None:
        """Merge cooldowns, replace facts."""
        with self._asking() as client:
            pipe = client.pipeline(transaction=False)
            for one in news:
                match one:
                    case CooldownNews(scope=scope, entry=entry):
                        name = _key(scope.kind, scope.name, scope.model)
                        values = (name, msgspec.json.encode(_row(entry)), writer, MAX_NEWS, NOBODY)
                        self._run(scripts.MERGE, (self._cooldowns, self._news), values, pipe)
                    case FactNews(table=table, key=key, value=value, ttl_s=ttl_s):
                        name = _key(table, key)
                        life = (name, value, _ms(ttl_s), writer, MAX_NEWS, SMALL_FACT_BYTES)
                        self._run(scripts.FACT, (self._fact(name), self._news), life, pipe)
            pipe.execute()

    def read(self, writer: str, cursor: str) -> tuple[str, Sequence[News | Missed]]:
        """Return what others wrote since a cursor, the id of the last news that was seen."""
        with self._asking() as client:
            now, following, known, told, is_removed = self._run(
                scripts.READ, (self._cooldowns, self._news), (cursor, MAX_NEWS_READ, MAX_NEWS)
            )
            news: list[News | Missed] = [Missed()] if is_removed else []
            news += [
                CooldownNews(_scope(name), _cooldown(entry, now))
                for name, entry in zip(known[::2], known[1::2], strict=True)
            ]
            facts: dict[bytes, FactNews] = {}
            for _, pairs in told:
                fields = dict(zip(pairs[::2], pairs[1::2], strict=True))
                is_own = fields[b"w"].decode() == writer
                if b"s" not in fields:
                    facts.pop(fields[b"f"], None)  # what was told of it before is older, also than what is our own
                    if not is_own:
                        facts[fields[b"f"]] = _fact(fields, now)
                elif not is_own:
                    news.append(CooldownNews(_scope(fields[b"s"]), _cooldown(fields[b"e"], now)))
            news += facts.values()
            self._sweep(client, now)
        return following.decode(), news

    def _sweep(self, client: redis.Redis, now: int) -> None:
        """Remove cooldowns that ended long ago, a part at a time; of all processes one begins with that."""
        if not self._swept_to:
            if self._now() < self._sweeps_at:
                return
            self._sweeps_at = self._now() + SWEEP_S
            if not client.set(f"{self._prefix}swept", "", nx=True, px=_ms(SWEEP_S)):
                return
        part: Any = client.hscan(self._cooldowns, self._swept_to, count=MAX_SWEPT)
        self._swept_to, found = part
        ended = [name for name, entry in found.items() if _cooldown(entry, now).until < -RETENTION_S]
        for start in range(0, len(ended), MAX_KEYS):
            values = (_ms(RETENTION_S), *ended[start : start + MAX_KEYS])
            self._run(scripts.SWEEP, (self._cooldowns,), values)

    def find(self, table: str, keys: Sequence[str]) -> Mapping[str, tuple[bytes, float]]:
        """Return the facts that there are."""
        with self._asking() as client:
            pipe = client.pipeline(transaction=False)
            for key in keys:
                name = self._fact(_key(table, key))
                pipe.get(name)
                pipe.pttl(name)
            told = pipe.execute()
        rows = zip(keys, told[::2], told[1::2], strict=True)
        return {key: (value, life / 1000) for key, value, life in rows if value is not None and life > 0}

    # --- slots and amounts --------------------------------------------------------------------------------------------

    def admit(self, admissions: Sequence[Admission], lease_s: float, once: str) -> list[NotAdmitted | Granted]:
        """Judge several, one script each, in one round trip."""
        asked = [self._asked(admission, lease_s, f"{once} {place}") for place, admission in enumerate(admissions)]
        with self._asking() as client:
            if len(admissions) == 1:  # without the question, which a pipeline asks, whether the script is known
                return [_verdict(admissions[0], self._run(scripts.ADMIT, *asked[0]))]
            pipe = client.pipeline(transaction=False)
            for keys, values in asked:
                self._run(scripts.ADMIT, keys, values, pipe)
            return [_verdict(*pair) for pair in zip(admissions, pipe.execute(), strict=True)]

    def _asked(self, admission: Admission, lease_s: float, once: str) -> tuple[list[str], list[Value]]:
        """Return the keys and the values of the script."""
        probes, slots, amounts = admission.probes, admission.slots, admission.amounts
        keys = [self._cooldowns, *self._keys(admission), self._done(once)]
        counts = (len(probes), len(slots), len(amounts))
        values: list[Value] = [admission.holder, _ms(lease_s), *counts, _ms(ONCE_S)]
        for probe in probes:
            values += (_key(probe.scope.kind, probe.scope.name, probe.scope.model), probe.epoch)
        values += [slot.limit for slot in slots]
        for amount in amounts:
            values += _figures(amount)
        return keys, values

    def undo(self, admissions: Sequence[Admission], once: str) -> None:
        """Take back what was taken under a name, one script each."""
        with self._asking() as client:
            pipe = client.pipeline(transaction=False)
            for place, admission in enumerate(admissions):
                values: list[Value] = [admission.holder, len(admission.probes) + len(admission.slots), _ms(ONCE_S)]
                for amount in admission.amounts:
                    values += _figures(amount)
                self._run(scripts.UNDO, [self._done(f"{once} {place}"), *self._keys(admission)], values, pipe)
            pipe.execute()

    def leave(self, left: Mapping[str, Sequence[str]]) -> None:
        """Give back slots and probes."""
        with self._asking() as client:
            pipe = client.pipeline(transaction=False)
            for holder, names in left.items():
                for name in names:
                    pipe.zrem(self._slot(name), holder)
            pipe.execute()

    def renew(self, held: Mapping[str, Sequence[str]], lease_s: float) -> None:
        """Let what these holders hold live on."""
        pairs = [(self._slot(name), holder) for holder, names in held.items() for name in names]
        with self._asking():
            for start in range(0, len(pairs), MAX_KEYS):
                part = pairs[start : start + MAX_KEYS]
                self._run(scripts.RENEW, [key for key, _ in part], [_ms(lease_s), *[holder for _, holder in part]])

    def add(self, amounts: Sequence[Amount], once: str) -> None:
        """Count what was used, each part under a name of its own."""
        with self._asking():
            for start in range(0, len(amounts), MAX_KEYS):
                part = amounts[start : start + MAX_KEYS]
                figures = [figure for amount in part for figure in _figures(amount)]
                keys = [self._done(f"{once} {start}"), *[self._amount(amount) for amount in part]]
                self._run(scripts.ADD, keys, [_ms(ONCE_S), *figures])

    def _keys(self, admission: Admission) -> list[str]:
        """Return where an admission's probes, slots and amounts are kept."""
        return [
            *[self._slot(probe_name(probe)) for probe in admission.probes],
            *[self._slot(slot.name) for slot in admission.slots],
            *[self._amount(amount) for amount in admission.amounts],
        ]

    def _done(self, once: str) -> str:
        return f"{self._prefix}done:{once}"

    def _fact(self, name: str) -> str:
        return f"{self._prefix}fact:{name}"

    def _slot(self, name: str) -> str:
        return f"{self._prefix}slot:{name}"

    def _amount(self, amount: Amount) -> str:
        return f"{self._prefix}amount:{amount.name}"


def client_of(url: Secret) -> redis.Redis:
    """Return a client of a server; it connects when it is first asked.

    Raises:
        BackendError: No client can be made of this address. All that can be known of that without the server is known
            here: the vendor's own would say it at the first question, in errors of any kind.
    """
    try:
        own = OWN_OPTIONS & parse_qs(urlsplit(url.reveal()).query, keep_blank_values=True).keys()
        if own:
            raise BackendError(f"redis: {min(own)} is not for the address to say")
        client = redis.Redis.from_url(
            url.reveal(),
            socket_timeout=SOCKET_S,
            socket_connect_timeout=SOCKET_S,
            retry=Retry(NoBackoff(), 0),  # who asked has long gone on alone
        )
        client.connection_pool.make_connection()  # opens no socket
    except (redis.RedisError, ValueError, TypeError) as error:
        raise BackendError(f"redis: the address cannot be used: {type(error).__name__}") from None
    return client


@contextmanager
def _failures() -> Iterator[None]:
    """Turn whatever the client and the server say into one error, in which no address and no password stands."""
    try:
        yield
    except (redis.RedisError, OSError, ValueError, msgspec.MsgspecError) as error:
        raise BackendError(f"redis: {type(error).__name__}") from None


def _verdict(admission: Admission, answer: list[Any]) -> NotAdmitted | Granted:
    """Return what the script of an admission answered."""
    place, *rest = answer
    if place < 0:
        return Granted(tuple([float(used) for used in rest]))
    if place == 0:
        return NotAdmitted(admission.holder, SLOT_WAIT_S)
    names = [
        *[str(probe.scope) for probe in admission.probes],
        *[slot.name for slot in admission.slots],
        *[amount.name for amount in admission.amounts],
    ]
    return NotAdmitted(names[place - 1], float(rest[0]) / 1000)


def _row(entry: Cooldown) -> _Entry:
    """Return a cooldown as it stands in the server, its end in milliseconds from now."""
    until = round(entry.until * 1000)
    return entry.state, until, entry.epoch, entry.ejections, entry.refusals, entry.reason, entry.is_capped


def _cooldown(row: bytes, now: int) -> Cooldown:
    """Return a cooldown that stands in the server, its end in seconds from now."""
    state, until, epoch, ejections, refusals, reason, is_capped = _ENTRY.decode(row)
    return Cooldown(
        state=state,
        until=(until - now) / 1000,
        epoch=epoch,
        ejections=ejections,
        refusals=refusals,
        reason=reason,
        is_capped=is_capped,
    )


def _fact(fields: Mapping[bytes, bytes], now: int) -> FactNews:
    """Return what the stream tells of a fact."""
    table, key = _KEY.decode(fields[b"f"])
    return FactNews(table, key, fields[b"v"], (float(fields[b"u"]) - now) / 1000)


def _scope(name: bytes) -> HealthScope:
    kind, scope_name, model = _KEY.decode(name)
    return HealthScope(_KINDS[kind], scope_name, model)


def _key(*parts: str) -> str:
    """Return several names as one: no character in one of them makes it another."""
    return msgspec.json.encode(parts).decode()


def _figures(amount: Amount) -> tuple[Value, ...]:
    return amount.amount, amount.limit, _ms(amount.life_s), int(amount.is_paced)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
