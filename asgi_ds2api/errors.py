"""Everything that can go wrong, as one tree of exceptions.

This file knows nothing of HTTP servers or of any protocol. An error carries what a face needs to speak it in its own
words (``status``, ``code``, ``param``, hints about retrying) and a message that is safe to show to a caller: it names
no key, no host and no value that somebody sent. What only an operator may see is in ``detail``, and goes to the log.

``code`` is this project's own word (log, Record, header ``x-ds2api-error``). The ``type`` and ``code`` of an error
body are the vendor's, and belong to ``protocols/<name>/errors.py``.
"""

from collections.abc import Sequence
from typing import ClassVar, Literal


class GatewayError(Exception):
    """Base of all errors that leave this package.

    Args:
        message: What happened and what to do next, safe to show to a caller.
        param: JSON path of the part of the request at fault (``messages[2].content[0]``), if one is: as its caller
            wrote it, so that of an upstream is told within one protocol alone.
        code: Replaces the class's own ``code`` by a narrower one.
        status: Replaces the class's own HTTP status.
        retry_after_s: Seconds after which a repetition makes sense, 0 or more.
        should_retry: What ``x-should-retry`` tells an SDK; None sends no such header.
        detail: For the log alone. Never a key and never content.
    """

    status: int = 500
    code: str = "internal_error"
    is_retryable: ClassVar[bool] = False
    """Whether another candidate may be tried before the commit point."""

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        status: int | None = None,
        retry_after_s: float | None = None,
        should_retry: bool | None = None,
        detail: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s
        self.should_retry = should_retry
        self.detail = detail
        if code is not None:
            self.code = code
        if status is not None:
            self.status = status


class InternalError(GatewayError):
    """A mistake of ours. The message says nothing about it; the log has the traceback."""


# --- the caller's fault: never retried, never counted against an upstream ---------------------------------------------


class RequestError(GatewayError):
    """The request cannot be served as it stands."""

    status = 400
    code = "invalid_request"


class MalformedRequest(RequestError):
    """The bytes are not a request of this protocol: bad JSON, wrong types, missing fields, limits exceeded."""

    code = "invalid_value"


class Unsupported(RequestError):
    """The request is valid, and the chosen upstream has nothing that could stand in for a part of it."""

    code = "unsupported_value"


class Unauthenticated(RequestError):
    """No credential, or one that is not configured."""

    status = 401
    code = "invalid_api_key"


class Forbidden(RequestError):
    """A known caller asks for what it may not use."""

    status = 403
    code = "model_not_allowed"


class UnknownModel(RequestError):
    """No upstream serves a model of this name. ``asked`` is the name, for faces whose clients look for it."""

    status = 404
    code = "model_not_found"

    def __init__(self, message: str, *, asked: str = "") -> None:
        super().__init__(message)
        self.asked = asked


class UnknownItem(RequestError):
    """A part of a talk is only named, and is kept nowhere."""

    status = 404
    code = "item_not_found"


class UnknownRoute(RequestError):
    """The path is under our prefix and no operation lives there."""

    status = 404
    code = "unknown_url"


class NotServed(RequestError):
    """The vendor has this operation, and this gateway does not. The message says what to do instead."""

    status = 501
    code = "not_served"


class MethodNotAllowed(RequestError):
    """The path exists, this method does not. ``allow`` lists those that do."""

    status = 405
    code = "method_not_allowed"

    def __init__(self, message: str, *, allow: Sequence[str]) -> None:
        super().__init__(message)
        self.allow = tuple(allow)


class RequestTimeout(RequestError):
    """The caller did not send its body in time."""

    status = 408
    code = "request_timeout"


class RequestTooLarge(RequestError):
    """Body, header block or query over the configured limit."""

    status = 413
    code = "request_too_large"


class UnsupportedMediaType(RequestError):
    """A content type or content encoding that is not read here."""

    status = 415
    code = "unsupported_media_type"


class HeadersTooLarge(RequestError):
    """More headers, or longer ones, than are read here."""

    status = 431
    code = "headers_too_large"


# --- nothing free -----------------------------------------------------------------------------------------------------


class CapacityError(GatewayError):
    """Nobody's fault: there is nothing free right now. Carries ``retry_after_s``, unless it lasts."""

    status = 503
    code = "no_capacity"


class PoolExhausted(CapacityError):
    """Every candidate is cooling, or at its limit. ``retry_after_s`` is that of the soonest.

    ``is_busy``: one may come free as soon as a running attempt ends, whatever ``retry_after_s`` says.
    """

    status = 429
    code = "pool_exhausted"
    is_busy: bool = False


class QueueTimeout(CapacityError):
    """A slot, or a connection, did not come free within the queue limit."""

    status = 429
    code = "queue_timeout"


class CallerLimited(CapacityError):
    """The caller has as many requests as it may, or has used what it may in a minute."""

    status = 429
    code = "caller_rate_limited"


class CallerBudgetSpent(CapacityError):
    """The caller's budget of a day or a month does not suffice; the message says when it begins anew."""

    status = 429
    code = "caller_budget_spent"


class QueueFull(CapacityError):
    """As many requests as may wait for a slot wait already."""

    status = 429
    code = "queue_full"


class BudgetUnknown(CapacityError):
    """What the caller has left is kept where nobody can ask: what may not be there is not spent."""

    code = "budget_unknown"


class OwnerUnknown(CapacityError):
    """Whose a file is, is kept where nobody can ask: what may be another's is shown to nobody."""

    code = "owner_unknown"


class AnswerUnknown(CapacityError):
    """What a request goes on from, or looks up, is kept where nobody can ask: nobody knows that it is not there."""

    code = "answer_unknown"


class NoCapacity(CapacityError):
    """Every candidate is disabled, or the machine is out of sockets or memory."""


class ShuttingDown(CapacityError):
    """The gateway drains: running requests end, new ones are refused."""

    code = "shutting_down"


class AuthorizerFailed(CapacityError):
    """The host's ``authorize`` raised, took too long, or answered what is no caller. A failing check means no."""

    code = "authorization_unavailable"


# --- the upstream's fault ---------------------------------------------------------------------------------------------


class UpstreamError(GatewayError):
    """An upstream answered with an error, answered nonsense, or did not answer.

    Attributes:
        upstream_status: The HTTP status it sent, or None if there was none.
        retry_after: Its own ``Retry-After`` value, as it came, for the caller.
        retry_after_ms: Its own ``retry-after-ms`` value, as it came.
        body: Its error body after the key scrub, where a caller of the same protocol may see it; else None.
        may_be_billed: The provider may have started to generate: by default such an attempt is not repeated.
    """

    status = 502
    code = "upstream_error"
    is_retryable = True

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        status: int | None = None,
        retry_after_s: float | None = None,
        should_retry: bool | None = None,
        detail: str = "",
        upstream_status: int | None = None,
        retry_after: str | None = None,
        retry_after_ms: str | None = None,
        body: bytes | None = None,
        may_be_billed: bool = False,
    ) -> None:
        super().__init__(
            message,
            param=param,
            code=code,
            status=status,
            retry_after_s=retry_after_s,
            should_retry=should_retry,
            detail=detail,
        )
        self.upstream_status = upstream_status
        self.retry_after = retry_after
        self.retry_after_ms = retry_after_ms
        self.body = body
        self.may_be_billed = may_be_billed


RefusalKind = Literal[
    "invalid_request",
    "context_too_long",
    "content_blocked",
    "model_not_found",
    "not_found",
    "too_large",
    "conflict",
    "foreign_reasoning",
    "unknown_file",
    "spoiled_call",
]
"""``foreign_reasoning``: what the model thought before was sealed for another customer than this account's.
``unknown_file``: a file that the request names is not there for this account.
``spoiled_call``: the model itself wrote a call that cannot be read."""


class Refused(UpstreamError):
    """The upstream says that the request itself is wrong (400, 404, 409, 413, 422): another account would say it too.

    ``kind`` is what it objects to, so that a face of another vendor can say it in the words its clients look for.
    ``tokens`` and ``max_tokens`` are the figures of a ``context_too_long``, where the upstream told them.
    """

    status = 400
    code = "upstream_refused"
    is_retryable = False
    kind: RefusalKind = "invalid_request"
    tokens: int | None = None
    max_tokens: int | None = None


def spoiled_call() -> Refused:
    """Return the end of an answer of which a part has gone out, in place of a call that the model wrote so."""
    return Refused("The model wrote a call that cannot be read. Try again.", status=502)


class RateLimited(UpstreamError):
    """429: this account, or this account for this model, must wait ``retry_after_s``."""

    status = 429
    code = "rate_limit_exceeded"
    scope: Literal["account", "model"] = "account"
    is_daily: bool = False
    """A quota per day is spent: ``retry_after_s`` may lie as far as 24 hours ahead and be meant."""


class QuotaExhausted(UpstreamError):
    """The account has no money or quota left. Waiting a little does not help, so SDKs are told not to retry."""

    status = 429
    code = "insufficient_quota"


class KeyRefused(UpstreamError):
    """The upstream does not accept our key (401, 403). A caller sees a 502: its own key is fine."""

    status = 502
    code = "upstream_auth_error"
    is_key_invalid: bool = False
    """The answer names the key itself (invalid, revoked): one such answer is enough evidence."""
    is_origin_wide: bool = False
    """A firewall's page rather than the API's answer: blames the origin, never the key."""


class Overloaded(UpstreamError):
    """503 or 529: the provider, not the key, is out of capacity."""

    status = 503
    code = "upstream_overloaded"


class ServerFault(UpstreamError):
    """Any other 5xx of the upstream."""

    code = "upstream_server_error"


class Unreachable(UpstreamError):
    """No connection: refused, DNS, TLS. Nothing was sent, so nothing was billed."""

    code = "upstream_unreachable"


class Timeout(UpstreamError):
    """Too slow to connect, to answer, or between two bytes of an answer."""

    status = 504
    code = "upstream_timeout"


class Malformed(UpstreamError):
    """What came back is not an answer of the protocol: bad HTTP, bad JSON, a redirect, an empty body."""

    code = "bad_upstream_answer"


class Interrupted(UpstreamError):
    """The answer began and broke off before its terminal event."""

    code = "upstream_truncated"


# --- at start only ----------------------------------------------------------------------------------------------------


class ConfigError(GatewayError):
    """The configuration cannot be used. Lists every problem, not the first, and never a secret's value.

    Args:
        problems: One line each: where, what is wrong, how to mend it.
    """

    code = "invalid_config"

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        lines = "".join(f"\n  - {problem}" for problem in self.problems)
        super().__init__(f"the configuration has {len(self.problems)} problem(s):{lines}")
