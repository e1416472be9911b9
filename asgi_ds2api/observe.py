"""What is told of a request once it is over: a Record, log lines, counters.

No content of prompts or answers, no key and no value that a caller made up is ever in any of them. Of names that a
caller made up, only the path of a Notice may hold one.

Three loggers: ``asgi_ds2api.access`` (a line a request, its fields as ``extra``), ``asgi_ds2api.notices`` (what did not
go through as it came) and ``asgi_ds2api.observe`` (observers that fail).
"""

import logging
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Literal, Protocol

import msgspec
from cachetools import TTLCache

from .canonical import Notice, Usage

_access_log = logging.getLogger("asgi_ds2api.access")
_notice_log = logging.getLogger("asgi_ds2api.notices")
_log = logging.getLogger("asgi_ds2api.observe")

NOTICE_EVERY_S = 3_600.0
"""A Notice that every request of a client causes is news once."""
MAX_NOTICES_TOLD = 1_000
"""In that time. Callers make names up: more places than this are a flood, and a log is not to be flooded."""
MAX_PATTERN_CHARS = 200

Result = Literal["ok", "error", "interrupted", "client_gone", "cut"]


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One account that was asked: usually one call of its upstream.

    Attributes:
        upstream: Its name.
        account: The account's label.
        model: The upstream's name of the model.
        code: ``ok`` or the `GatewayError.code`; ``hedge_lost``: another attempt at the same answer was first;
            ``abandoned``: the caller left, or the request was cut.
        status: HTTP status of the upstream; None: it sent none.
        duration_s: Seconds that it took.
        is_hedge: It was begun beside one that was silent.
        usage: What it may have used beside the answer, as another attempt gave that; None: nothing.
        cost_usd: What that costs, in dollars; None: nothing, or nobody knows the price.
    """

    upstream: str
    account: str
    model: str
    code: str
    status: int | None = None
    duration_s: float = 0.0
    is_hedge: bool = False
    usage: Usage | None = None
    cost_usd: float | None = None


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One finished request.

    Attributes:
        request_id: As the caller sees it in ``x-request-id``.
        result: ``ok``; ``error``: before the commit point; ``interrupted``: after it; ``client_gone``; ``cut``: ended
            by the gateway (drain, deadline, stall).
        code: ``ok`` or the `GatewayError.code`.
        status: HTTP status that the caller was sent; 499 if it had gone before.
        protocol: What the caller speaks, as ``openai_chat``.
        operation: What was asked for, as ``generate``.
        model: As asked for, once it is known to be configured; else empty.
        caller: The caller's label; empty before authentication.
        mode: ``relay`` or ``translate``; empty if no upstream was asked.
        stream: Whether a stream was asked for.
        attempts: The accounts that were asked, in order, and what came of it; without those that it only waited for.
            The last one answered, if one did.
        queued_s: Seconds that it waited for accounts, before all attempts together.
        usage: Tokens of the answer; None: there was none, or nobody knows.
        cost_usd: What the usage costs in dollars, and what attempts beside it may have; None: nothing, or nobody knows
            the price.
        finish: Canonical finish reason; None: the answer did not end.
        notices: What did not go through as it came, hints as well.
        bytes_in: Of the caller's body.
        bytes_out: Of the body that the caller was sent.
        first_byte_s: Seconds from the request's start to the first byte of the answer; None: there was none.
        duration_s: Seconds from its start to its end.
    """

    request_id: str
    result: Result
    code: str
    status: int
    protocol: str
    operation: str
    model: str
    caller: str
    mode: Literal["relay", "translate", ""] = ""
    stream: bool = False
    attempts: tuple[Attempt, ...] = ()
    queued_s: float = 0.0
    usage: Usage | None = None
    cost_usd: float | None = None
    finish: str | None = None
    notices: tuple[Notice, ...] = ()
    bytes_in: int = 0
    bytes_out: int = 0
    first_byte_s: float | None = None
    duration_s: float = 0.0

    @property
    def hedge(self) -> Literal["", "won", "lost"]:
        """Whether an attempt that was begun beside another gave the answer; empty: none was begun."""
        if not any(attempt.is_hedge for attempt in self.attempts):
            return ""
        return "won" if self.attempts[-1].is_hedge and self.first_byte_s is not None else "lost"

    @property
    def extra(self) -> Attempt | None:
        """The attempt that may have cost something beside the answer; None: there was none."""
        return next((attempt for attempt in self.attempts if attempt.usage is not None), None)

    @property
    def output_tokens_per_s(self) -> float | None:
        """How fast the answer came, from its first byte to its end; None: it cannot be told."""
        tokens = None if self.usage is None else self.usage.output_total
        if not tokens or self.first_byte_s is None or self.duration_s <= self.first_byte_s:
            return None
        return tokens / (self.duration_s - self.first_byte_s)


def stack_of(error: BaseException, *, depth: int = 8) -> str:
    """Return where an exception came from, for the log, without its words: they may quote what somebody sent.

    Args:
        error: What was caught.
        depth: How many exceptions back it is followed to what led to it.
    """
    causes = error.exceptions if isinstance(error, BaseExceptionGroup) else (error.__cause__ or error.__context__,)
    before = [f"{stack_of(cause, depth=depth - 1)}\nled to\n" for cause in causes if cause is not None and depth > 0]
    return "".join([*before, *traceback.format_tb(error.__traceback__), type(error).__qualname__])


class Observer(Protocol):
    """Gets every Record. Called in the event loop after the answer went out: be quick, or hand over to a queue."""

    def on_record(self, record: Record) -> None:
        """Take note of a finished request."""
        ...


class Observatory:
    """Counts, writes the logs and calls the observers.

    Args:
        observers: In the order in which they are called. One that raises is logged and does not hurt the request.
        now: Monotonic clock, in seconds.
    """

    def __init__(self, observers: Sequence[Observer] = (), *, now: Callable[[], float]) -> None:
        self._observers: tuple[Observer, ...] = (_AccessLog(), _NoticeLog(now), *observers)
        self._results: Counter[str] = Counter()
        self._notices: Counter[str] = Counter()
        self._hedges: Counter[str] = Counter(begun=0, won=0, lost=0)
        self._failures: Counter[str] = Counter()

    def publish(self, record: Record) -> None:
        """Tell everybody of a finished request."""
        self._results[record.result] += 1
        for notice in record.notices:
            self._notices[notice.severity] += 1
        if record.hedge:
            self._hedges.update(("begun", record.hedge))
        for observer in self._observers:
            try:
                observer.on_record(record)
            except Exception as exc:
                # The application's own code, and no part of the request: whatever it raises, the request goes on.
                self._failures[type(observer).__name__] += 1
                with suppress(Exception):  # it may be the log itself that fails
                    _log.error("observer %s raised %s", type(observer).__name__, type(exc).__name__)

    def counters(self) -> Mapping[str, Mapping[str, int]]:
        """Return requests by result, Notices by severity, hedges by outcome and failures by observer, all since the
        start."""
        return {
            "requests": dict(self._results),
            "notices": dict(self._notices),
            "hedges": dict(self._hedges),
            "observer_failures": dict(self._failures),
        }


class _AccessLog:
    """Writes a line a request."""

    def on_record(self, record: Record) -> None:
        if _access_log.isEnabledFor(logging.INFO):
            line = (record.request_id, record.protocol, record.status, record.code)
            _access_log.info("%s %s %s %s", *line, extra=_log_fields(record))


class _NoticeLog:
    """Tells of losses and changes, once per place and upstream in `NOTICE_EVERY_S`.

    Args:
        now: Monotonic clock, in seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._told: TTLCache[tuple[str, str], None] = TTLCache(MAX_NOTICES_TOLD, NOTICE_EVERY_S, timer=now)

    def on_record(self, record: Record) -> None:
        upstream = record.attempts[-1].upstream if record.attempts else "-"
        for notice in record.notices:
            if notice.severity != "hint":
                self._tell(upstream, notice)

    def _tell(self, upstream: str, notice: Notice) -> None:
        place = (upstream, notice.pattern[:MAX_PATTERN_CHARS])
        if place in self._told or self._told.currsize >= MAX_NOTICES_TOLD:
            return
        self._told[place] = None
        level = logging.WARNING if notice.severity == "lost" else logging.INFO
        _notice_log.log(level, "upstream %s: %s was %s: %s", *place, notice.action, notice.reason)


def _log_fields(record: Record) -> dict[str, object]:
    usage, extra = record.usage or Usage(), (record.extra and record.extra.usage) or Usage()
    return {
        "request_id": record.request_id,
        "result": record.result,
        "code": record.code,
        "status": record.status,
        "protocol": record.protocol,
        "operation": record.operation,
        "model": record.model,
        "caller": record.caller,
        "mode": record.mode,
        "stream": record.stream,
        "attempts": [msgspec.to_builtins(attempt) for attempt in record.attempts],
        "input_tokens": usage.input_total,
        "output_tokens": usage.output_total,
        "cached_tokens": usage.cache_read,
        "reasoning_tokens": usage.reasoning,
        "tokens_estimated": usage.is_estimated,
        "cost_usd": record.cost_usd,
        "hedge_result": record.hedge,
        "hedge_input_tokens": extra.input_total,
        "hedge_output_tokens": extra.output_total,
        "hedge_cost_usd": None if record.extra is None else record.extra.cost_usd,
        "queued_s": record.queued_s,
        "output_tokens_per_s": record.output_tokens_per_s,
        "finish": record.finish,
        "notices": len(record.notices),
        "bytes_in": record.bytes_in,
        "bytes_out": record.bytes_out,
        "first_byte_s": record.first_byte_s,
        "duration_s": record.duration_s,
    }
