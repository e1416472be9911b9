"""What is told of a request once it is over: a Record, a log line, counters.

No content of prompts or answers, no key and no value that a caller made up is ever in any of them.
"""

import logging
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from .canonical import Notice, Usage

_access_log = logging.getLogger("asgi_ds2api.access")
_log = logging.getLogger("asgi_ds2api.observe")

Result = Literal["ok", "error", "interrupted", "client_gone", "cut"]
"""``error``: before the commit point. ``interrupted``: after it. ``cut``: ended by us (drain, deadline, stall)."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One call of an upstream."""

    upstream: str
    account: str
    """The account's label."""
    model: str
    code: str
    """``ok`` or the `GatewayError.code`."""
    status: int | None = None
    """HTTP status of the upstream, if it sent one."""
    duration_s: float = 0.0


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One finished request."""

    request_id: str
    result: Result
    code: str
    """``ok`` or the `GatewayError.code`."""
    status: int
    """What the caller was sent; 499 if it had gone before."""
    protocol: str
    operation: str
    model: str
    """As asked for, once it is known to be configured; else empty."""
    caller: str
    """The caller's label; empty before authentication."""
    mode: Literal["relay", "translate", ""] = ""
    stream: bool = False
    attempts: tuple[Attempt, ...] = ()
    usage: Usage | None = None
    finish: str | None = None
    """Canonical finish reason."""
    notices: tuple[Notice, ...] = ()
    bytes_in: int = 0
    bytes_out: int = 0
    first_byte_s: float | None = None
    """From the request's start to the first byte of the answer."""
    duration_s: float = 0.0


class Observer(Protocol):
    """Gets every Record. Called in the event loop after the answer went out: be quick, or hand over to a queue."""

    def on_record(self, record: Record) -> None:
        """Take note of a finished request."""
        ...


class Observatory:
    """Counts, keeps the last Records, writes the access log and calls the observers.

    Args:
        observers: In the order in which they are called. One that raises is logged and does not hurt the request.
        kept: How many of the last Records are kept; a bound of memory, not a history.
    """

    def __init__(self, observers: Sequence[Observer] = (), kept: int = 256) -> None:
        self._observers = tuple(observers)
        self._recent: deque[Record] = deque(maxlen=kept)
        self._results: Counter[str] = Counter()
        self._notices: Counter[str] = Counter()

    def publish(self, record: Record) -> None:
        """Tell everybody of a finished request."""
        self._recent.append(record)
        self._results[record.result] += 1
        for notice in record.notices:
            self._notices[notice.severity] += 1
        _access_log.info(
            "%s %s %s %s", record.request_id, record.protocol, record.status, record.code, extra=_log_fields(record)
        )
        for observer in self._observers:
            try:
                observer.on_record(record)
            except Exception as exc:
                # One of the two places that catch everything: an observer is not part of the request (STYLE, code 7).
                _log.error("observer %s raised %s", type(observer).__name__, type(exc).__name__)

    @property
    def recent(self) -> Sequence[Record]:
        """The last Records, oldest first."""
        return tuple(self._recent)

    def counters(self) -> Mapping[str, Mapping[str, int]]:
        """Return requests by result and Notices by severity, since the start."""
        return {"requests": dict(self._results), "notices": dict(self._notices)}


def _log_fields(record: Record) -> dict[str, object]:
    usage = record.usage or Usage()
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
        "finish": record.finish,
        "notices": len(record.notices),
        "bytes_in": record.bytes_in,
        "bytes_out": record.bytes_out,
        "first_byte_s": record.first_byte_s,
        "duration_s": record.duration_s,
    }
