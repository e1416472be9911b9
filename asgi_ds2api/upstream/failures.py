"""What can go wrong between us and an upstream, in our own words.

One table for all clients, so that the same fault has the same class, code and message whichever client met it. No text
of a library, no byte of the upstream and no header of ours gets in here: library errors quote keys and answers.

``may_be_billed`` is false only where the upstream cannot have seen a whole request.
"""

import errno
import socket
import ssl
from collections.abc import Iterator
from typing import Literal

from ..errors import GatewayError, Interrupted, Malformed, NoCapacity, QueueTimeout, Timeout, Unreachable, UpstreamError

FailureCode = Literal[
    "connect_refused",
    "connect_failed",
    "dns_error",
    "tls_verify_failed",
    "tls_failed",
    "tls_setup_failed",
    "proxy_failed",
    "reset_s0",
    "client_closed",
    "connect_timeout",
    "tls_timeout",
    "write_timeout",
    "ttfb_timeout",
    "idle_timeout",
    "connection_lost",
    "truncated",
    "bad_protocol",
    "ambiguous_framing",
    "encoded_unsupported",
    "encoded_corrupt",
    "encoded_bomb",
]

_FAILURES: dict[FailureCode, tuple[type[UpstreamError], str, bool]] = {
    "connect_refused": (Unreachable, "The upstream refused the connection.", False),
    "connect_failed": (Unreachable, "The upstream could not be reached.", False),
    "dns_error": (Unreachable, "The upstream's name could not be resolved.", False),
    "tls_verify_failed": (Unreachable, "The upstream's certificate is not trusted.", False),
    "tls_failed": (Unreachable, "No secure connection to the upstream could be made.", False),
    "tls_setup_failed": (Unreachable, "The TLS settings of this upstream cannot be used.", False),
    "proxy_failed": (Unreachable, "The proxy before the upstream did not connect.", False),
    "reset_s0": (Unreachable, "The upstream dropped the connection before it had the request.", False),
    "client_closed": (Unreachable, "This gateway's client for the upstream is closed.", False),
    "connect_timeout": (Timeout, "The upstream did not accept a connection in time.", False),
    "tls_timeout": (Timeout, "The upstream did not finish its TLS handshake in time.", False),
    "write_timeout": (Timeout, "The upstream did not read the request in time.", False),
    "ttfb_timeout": (Timeout, "The upstream did not answer in time.", True),
    "idle_timeout": (Timeout, "The upstream stopped in the middle of its answer.", True),
    "connection_lost": (Interrupted, "The connection to the upstream was lost.", True),
    "truncated": (Interrupted, "The upstream's answer ended too early.", True),
    "bad_protocol": (Malformed, "The upstream's answer is not HTTP as it is read here.", True),
    "ambiguous_framing": (Malformed, "The upstream's answer gives its length in two ways.", True),
    "encoded_unsupported": (Malformed, "The upstream's answer has an encoding that nobody asked for.", True),
    "encoded_corrupt": (Malformed, "The upstream's encoded answer cannot be decoded.", True),
    "encoded_bomb": (Malformed, "The upstream's encoded answer grows beyond measure.", True),
}

_EXHAUSTED = {
    errno.EMFILE: "fd_exhausted",
    errno.ENFILE: "fd_exhausted",
    errno.ENOBUFS: "fd_exhausted",
    errno.EADDRNOTAVAIL: "port_exhausted",
}
SHED_S = 1.0
"""What a caller is told to wait when this machine, rather than an upstream, is out of something."""


def failure(code: FailureCode, *, detail: str = "") -> UpstreamError:
    """Return the error of a row of the table, fresh."""
    error, message, may_be_billed = _FAILURES[code]
    return error(message, code=code, may_be_billed=may_be_billed, detail=detail)


def no_slot() -> QueueTimeout:
    """Return the error for a client whose connections are all in use."""
    return QueueTimeout("Every connection to the upstream is in use.", retry_after_s=SHED_S)


def connect_failure(exc: BaseException) -> GatewayError:
    """Return why a connection could not be made: the most telling of all the causes of ``exc``.

    Several addresses may have been tried, each with an error of its own. A machine that is out of sockets comes first
    (no account is to blame for that); one address that refused says more than one without a route.
    """
    causes = tuple(_causes(exc))
    for cause in causes:
        if isinstance(cause, OSError) and cause.errno in _EXHAUSTED:
            return NoCapacity("This machine is out of connections.", code=_EXHAUSTED[cause.errno], retry_after_s=SHED_S)
    for kind, code in _KINDS:
        if any(isinstance(cause, kind) for cause in causes):
            return failure(code)
    return failure("connect_failed", detail=type(exc).__name__)


_KINDS: tuple[tuple[type[BaseException], FailureCode], ...] = (
    (ssl.SSLCertVerificationError, "tls_verify_failed"),
    (ssl.SSLError, "tls_failed"),
    (socket.gaierror, "dns_error"),
    (UnicodeError, "dns_error"),  # a name that IDNA does not know
    (ConnectionRefusedError, "connect_refused"),
)


def _causes(exc: BaseException) -> Iterator[BaseException]:
    """Yield an exception and all that led to it, the members of groups included."""
    left, seen = [exc], set[int]()
    while left:
        cause = left.pop()
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        left.extend(cause.exceptions if isinstance(cause, BaseExceptionGroup) else ())
        left.extend(other for other in (cause.__cause__, cause.__context__) if other is not None)
