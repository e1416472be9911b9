"""What one request of a caller with limits has reserved, and what becomes of that when the request is over.

Nothing is held where a caller has no limits. What is held is given back exactly once, whatever ended the request.
"""

import logging
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from functools import partial

import msgspec
from cachetools import TTLCache

from ..auth import Caller
from ..budgets import DEFAULT_OUTPUT_TOKENS, CallerLimits, Use, admission, corrections, late_corrections, refused
from ..canonical import Usage
from ..codec import Envelope, Owed
from ..errors import BudgetUnknown
from ..observe import Attempt, Record
from ..prices import Price, PriceTable, cost_of, saving_of
from ..routing import Target
from ..state.contract import Admission, Amount, StateStore
from ..token_estimate import BYTES_PER_TOKEN, input_tokens

_log = logging.getLogger("asgi_ds2api.budgets")

TOLD_EVERY_S = 3_600.0
MAX_TOLD = 1_000
"""Models whose price is unknown, told once in that time."""
SETTLED_S = 3_600.0
"""Longer than two look-ups of an answer that ended can be on their way. That it was settled is known for so long at
least, and for as long as somebody may hold the answer as it was before."""
MAX_SPENDERS = 1_000
"""Callers with limits that an operator may look at, about 200 bytes each: an application may let in any number."""


class Costs:
    """What requests cost, and which models nobody knows the price of.

    Args:
        prices: By model.
        now: Monotonic clock, in seconds.
    """

    def __init__(self, prices: PriceTable, now: Callable[[], float]) -> None:
        self._prices = prices
        self._told: TTLCache[Target, None] = TTLCache(MAX_TOLD, TOLD_EVERY_S, timer=now)
        self.saved_usd: defaultdict[str, float] = defaultdict(float)
        """Upstream -> what its prompt caches saved since the start, where a price is known."""

    def of(self, record: Record, usage: Usage | None) -> float | None:
        """Return what a request cost, in dollars; None: nothing, or nobody knows.

        Args:
            record: Of the request: where it was served, and what an attempt beside that may have used.
            usage: Of the answer.
        """
        extra = record.extra
        costs = [None if extra is None else self._cost(record, extra, extra.usage)]
        costs += [self._cost(record, record.attempts[-1], usage)] if record.attempts else []
        known = [cost for cost in costs if cost is not None]
        return sum(known) if known else None

    def priced(self, record: Record) -> Record:
        """Return a finished request with what it cost, and count what a cache saved of it. Once a request.

        Of an answer that broke off before anybody told a usage, what its caller's budget pays stands in the Record.
        """
        if record.usage is None and record.result != "ok":
            record = msgspec.structs.replace(record, usage=usage_of(record))
        if record.usage is not None and record.usage.cache_read and record.attempts:
            served = record.attempts[-1]
            price = self._prices.find(served.upstream, served.model or record.model)
            if price is not None:
                self.saved_usd[served.upstream] += saving_of(price, record.usage)
        attempts, extra = record.attempts, record.extra
        if extra is not None:
            priced = msgspec.structs.replace(extra, cost_usd=self._cost(record, extra, extra.usage))
            attempts = tuple([priced if attempt is extra else attempt for attempt in attempts])
        return msgspec.structs.replace(record, attempts=attempts, cost_usd=self.of(record, record.usage))

    def at(self, upstream: str, model: str, usage: Usage) -> float | None:
        """Return what a usage costs at a model, in dollars; None: nobody knows."""
        price = self._prices.find(upstream, model)
        return None if price is None else cost_of(price, usage)

    def _cost(self, record: Record, served: Attempt, usage: Usage | None) -> float | None:
        return None if usage is None else self.at(served.upstream, served.model or record.model, usage)

    def price(self, target: Target) -> Price | None:
        """Return what a model costs whose caller has a budget of money. A price that is unknown is told to the log."""
        price = self._prices.find(target.upstream, target.model)
        if price is None and target not in self._told and self._told.currsize < MAX_TOLD:
            self._told[target] = None
            _log.warning(
                "no price is known of %s/%s: budgets of money do not count it, those of tokens do; see [[prices]]",
                target.upstream,
                target.model,
            )
        return price


class Spenders:
    """The callers with limits that were here, and how many requests of each this process answers; for looking only.

    Args:
        most: How many are remembered; who was here longest ago is forgotten first.
    """

    def __init__(self, most: int = MAX_SPENDERS) -> None:
        self._most = most
        self._seen: OrderedDict[str, CallerLimits] = OrderedDict()
        self._in_flight: Counter[str] = Counter()

    def seen(self, caller: Caller) -> None:
        """Note that a caller is here."""
        self._seen[caller.label] = caller.limits
        self._seen.move_to_end(caller.label)
        if len(self._seen) > self._most:
            self._seen.popitem(last=False)

    def begin(self, label: str) -> None:
        """Note that a request of a caller was admitted."""
        self._in_flight[label] += 1

    def end(self, label: str) -> None:
        """Note that it is over."""
        self._in_flight[label] -= 1
        if not self._in_flight[label]:
            del self._in_flight[label]

    def in_flight(self, label: str) -> int:
        """Return how many requests of a caller this process answers."""
        return self._in_flight[label]

    def __iter__(self) -> Iterator[tuple[str, CallerLimits]]:
        return iter(tuple(self._seen.items()))


class Spending:
    """What a request has reserved.

    Args:
        store: Where limits are counted.
        admitted: What was reserved there.
        reserved: The same, in our words.
        costs: Knows prices.
        over: Is called when the request is.
    """

    def __init__(
        self, store: StateStore, admitted: Admission, reserved: Use, costs: Costs, over: Callable[[], None]
    ) -> None:  # fmt: skip
        self._over = over
        self._store = store
        self._costs = costs
        self._admitted = admitted
        self.reserved = reserved
        self.is_open = False
        """The answer goes on in the background: what was reserved stays so until it has ended (`settle_owed`)."""

    def settle(self, record: Record) -> None:
        """Give back what was not used, and count what was used beyond."""
        self._over()
        self._store.leave(self._admitted.holder)
        if self.is_open:
            return
        usage = usage_of(record)
        extra = None if record.extra is None else record.extra.usage
        tokens = sum(tokens_of(each) for each in (usage, extra) if each is not None)
        used = Use(tokens=tokens, usd=self._costs.of(record, usage))
        for amount in corrections(self._admitted, self.reserved, used):
            self._store.add(amount)


async def reserve(
    store: StateStore, costs: Costs, spenders: Spenders, caller: Caller, holder: str, envelope: Envelope,
    body: bytes, target: Target, wall_now: float, *, is_strict: bool,
) -> Spending:  # fmt: skip
    """Reserve what a request may need of its caller's limits.

    Args:
        store: Where limits are counted.
        costs: Knows prices.
        spenders: Who was here.
        caller: Whose request it is.
        holder: Of this request; unique among all who share the store.
        envelope: What was peeked of it.
        body: Of it.
        target: Who will probably answer: by that price.
        wall_now: Seconds since 1970.
        is_strict: A budget that cannot be looked up counts as spent.

    Raises:
        BudgetUnknown: It is strict, and its budget is kept where nobody can ask.
        CallerLimited: It has used what it may for now.
        CallerBudgetSpent: Its budget does not suffice.
    """
    limits = caller.limits
    spenders.seen(caller)
    usage = _needed(envelope, body)
    is_money_counted = limits.usd_per_day is not None or limits.usd_per_month is not None
    price = costs.price(target) if is_money_counted else None
    need = Use(tokens=tokens_of(usage), usd=None if price is None else cost_of(price, usage))
    wanted = admission(holder, caller.label, limits, need, wall_now)
    refusal = await store.admit(wanted)
    if refusal is not None:
        raise refused(refusal, wanted, wall_now)
    if is_strict and limits.has_budget and store.is_alone:
        store.leave(holder)
        for amount in wanted.amounts:
            store.add(msgspec.structs.replace(amount, amount=-amount.amount))
        raise BudgetUnknown("What this key may still use cannot be looked up at present. Try again.", retry_after_s=1)
    spenders.begin(caller.label)
    return Spending(store, wanted, need, costs, partial(spenders.end, caller.label))


def owed_of(spending: Spending | None, account: str, model: str, wall_now: float) -> Owed:
    """Return what is to be settled of an answer that has not ended.

    Args:
        spending: Of its request; None: its caller has no limits.
        account: Id of who works on it, ``upstream/label``.
        model: As that upstream calls it.
        wall_now: Seconds since 1970.
    """
    upstream = account.partition("/")[0]
    reserved = Use() if spending is None else spending.reserved
    return Owed(upstream=upstream, model=model, tokens=reserved.tokens, usd=reserved.usd, since=wall_now)


async def settle_owed(
    store: StateStore, costs: Costs, caller: Caller, id_: str, owed: Owed, usage: Usage, kept_s: float
) -> None:  # fmt: skip
    """Put right what was reserved for an answer in the background, now that it is known what it used.

    Once, whoever and however many look it up at the same moment: the first one takes what only one can have.

    Args:
        store: Where limits are counted.
        costs: Knows prices.
        caller: Whose answer it is.
        id_: The answer's.
        owed: What was reserved.
        usage: As the answer says.
        kept_s: How long answers are kept.
    """
    used = Use(tokens=tokens_of(usage), usd=costs.at(owed.upstream, owed.model, usage))
    amounts = late_corrections(caller.label, caller.limits, Use(tokens=owed.tokens, usd=owed.usd), used, owed.since)
    if not amounts:
        return
    once = Amount(name=f"settled {id_} of {caller.label}", amount=1, limit=1, life_s=max(SETTLED_S, kept_s))
    if await store.admit(Admission(holder=id_, amounts=(once,))) is None:
        for amount in amounts:
            store.add(amount)


def _needed(envelope: Envelope, body: bytes) -> Usage:
    """Return what a request may use, rather too much than too little. To count tokens uses none."""
    if envelope.operation == "count_tokens":
        return Usage()
    output = 0
    if envelope.operation in ("generate", "complete"):
        output = (envelope.max_output_tokens or DEFAULT_OUTPUT_TOKENS) * max(1, envelope.choices)
    return Usage(input_total=input_tokens(body), output_total=output)


def tokens_of(usage: Usage) -> int:
    """Return all tokens of a usage."""
    return (usage.input_total or 0) + (usage.output_total or 0)


def usage_of(record: Record) -> Usage | None:
    """Return what a finished request has used; None: nothing.

    An answer whose end nobody saw is counted by its bytes: it was paid for all the same. Counted tokens are not used.
    """
    if record.operation == "count_tokens":
        return None
    if record.usage is not None and tokens_of(record.usage):
        return record.usage
    if not record.model:
        return None  # nothing was asked of a model
    is_paid = record.first_byte_s is not None or record.result in ("client_gone", "cut")
    if not record.attempts or not is_paid:
        return None
    return Usage(
        input_total=record.bytes_in // BYTES_PER_TOKEN,
        output_total=record.bytes_out // BYTES_PER_TOKEN,
        is_estimated=True,
    )
