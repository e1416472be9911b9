"""Reads an upstream's answer as far as HTTP tells: is it a success, what does its error say, what is the whole of it.

What a success says is for a transcoder to read. Nothing is read without a bound.
"""

import logging
from collections.abc import Callable, Mapping, Sequence

import anyio

from ..codec import Codec
from ..errors import Malformed, RateLimited, Timeout, UpstreamError
from ..headers import RateWindow, Resource, rate_windows, retry_after_s
from .contract import UpstreamResponse

_log = logging.getLogger("asgi_ds2api.upstream")

MAX_ERROR_BYTES = 65_536
"""Of an error's body; what it has to say stands at its start."""
ERROR_BODY_S = 2.0
"""For an error's body: the status alone is enough to go on with."""
DRIP_S = 30.0
"""For how long a whole answer may come slower than `MIN_BYTES_S`, once it has begun."""
MIN_BYTES_S = 2.0
"""Half a token a second. Servers send a whole answer when it is finished; one that writes it while a model generates is
faster than this."""
PAUSE_S = 5.0
"""What a longer silence counts for: behind it a model may think, and ``Limits.idle_s`` bounds that."""
_HTML = frozenset({"text/html", "application/xhtml+xml"})


def is_stream(response: UpstreamResponse, codec: Codec) -> bool:
    """Tell whether an answer is a stream, as the upstream's protocol has them."""
    usual = codec.STREAM_CONTENT_TYPE.partition(b";")[0].decode()
    return _media_type(_as_mapping(response.headers)) == usual


async def judge(response: UpstreamResponse, codec: Codec, wall_now_s: float) -> UpstreamError | None:
    """Return what an answer that is no success says is wrong; None: its head promises one.

    Args:
        response: Just opened; the start of its body is read if it is an error.
        codec: Of the upstream's protocol.
        wall_now_s: Seconds since 1970, for a ``Retry-After`` that is a date.
    """
    status, headers = response.status, _as_mapping(response.headers)
    is_html = _media_type(headers) in _HTML
    if 200 <= status < 300 and not is_html:
        return None
    if not 400 <= status < 600:
        code = "upstream_redirect" if 300 <= status < 400 else "wrong_content_type" if is_html else "bad_protocol"
        return Malformed("The upstream did not answer as an API does.", code=code, upstream_status=status)
    error = codec.decode_error(status, headers, await _error_body(response))
    error.upstream_status = status
    hinted = retry_after_s(headers, wall_now_s)
    if hinted is not None:
        error.retry_after_s = hinted
    if isinstance(error, RateLimited):
        requests = rate_windows(headers, wall_now_s).get("requests")
        if requests is not None and requests.remaining == 0:
            error.scope = "account"  # it may not be asked anything, whatever the words say of a model
    return error


def rate_windows_of(response: UpstreamResponse, wall_now_s: float) -> Mapping[Resource, RateWindow]:
    """Return what the head of an answer says is left of its account."""
    told = [pair for pair in response.headers if b"ratelimit" in pair[0]]
    return rate_windows(_as_mapping(told), wall_now_s) if told else {}


async def read_whole(response: UpstreamResponse, max_bytes: int) -> bytes:
    """Return the whole body of an answer that is no stream. Raises as `read_until`.

    Raises:
        Timeout: It drips: ``slow_body``.
    """
    pieces: list[bytes] = []
    pace = Pace()

    def keep(data: bytes) -> bool:
        pieces.append(data)
        if pace.is_drip(data, anyio.current_time()):
            raise Timeout("The upstream's answer comes too slowly.", code="slow_body", may_be_billed=True)
        return False

    await read_until(response, max_bytes, keep)
    return b"".join(pieces)


class Pace:
    """Whether a body that has begun comes too slowly to be worth the wait.

    Blanks say that a server is alive, and nothing else: they neither begin a body nor move it on.
    """

    def __init__(self) -> None:
        self._last: float | None = None
        self._spent_s = 0.0
        self._bytes = 0

    def is_drip(self, data: bytes, now: float) -> bool:
        """Take a piece that came now; tell whether the body drips."""
        if data.isspace():
            return False
        if self._last is not None:
            self._spent_s += min(now - self._last, PAUSE_S)
        self._last = now
        self._bytes += len(data)
        return self._spent_s >= DRIP_S and self._bytes < self._spent_s * MIN_BYTES_S


async def read_until(response: UpstreamResponse, max_bytes: int, is_over: Callable[[bytes], bool]) -> None:
    """Read the body piece by piece, up to its end or until ``is_over`` says of a piece that no more is needed.

    Raises:
        Malformed: It is empty, or larger than ``max_bytes``.
        UpstreamError: As `UpstreamResponse.read`.
    """
    total = 0
    while data := await response.read():
        total += len(data)
        if total > max_bytes:
            raise Malformed("The upstream's answer is larger than this gateway takes.", code="answer_too_large")
        if is_over(data):
            return
    if not total:
        raise Malformed("The upstream's answer is empty.", code="empty_response", upstream_status=response.status)


async def _error_body(response: UpstreamResponse) -> bytes:
    """Return the start of an error body; one that is slow or broken is told by its status alone."""
    pieces: list[bytes] = []
    total = 0
    with anyio.move_on_after(ERROR_BODY_S):
        try:
            while total < MAX_ERROR_BYTES and (data := await response.read()):
                pieces.append(data)
                total += len(data)
        except UpstreamError as error:
            _log.debug("an error body broke off: %s", error.code)
    return b"".join(pieces)[:MAX_ERROR_BYTES]


def _as_mapping(headers: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers as text, the first of repeated ones."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(headers)}


def _media_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()
