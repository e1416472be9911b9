"""An upstream that plays recorded answers over real HTTP.

A request finds its recording by the name of the model: ``...rec-<id>``, in the body or (Gemini, Bedrock) in the path.
Nothing else of the request matters, so that any face can be the client. Streams come in HTTP chunks of an odd size,
which cuts UTF-8 characters and the word ``data:``: the size is the server's, or the model's (``rec-<id>-cut7``).

Deliberate differences from the recording:

1. Only `ALLOWED_HEADERS` are sent.
2. A content type that was masked or not recorded is replaced by the one that fits the body.
3. A stream leaves in at most `MAX_WRITES` writes, each of some chunks: single bytes of a long one would take seconds.
"""

import re
from collections.abc import Iterable
from typing import Final, Self

import msgspec

from .http_bytes import LAST_CHUNK, chunk, head, response
from .raw_upstream import RawUpstream
from .recorded import Recording
from .script import ReceivedRequest, Script, Send, cut

ALLOWED_HEADERS: Final = frozenset({"content-type", "retry-after", "retry-after-ms", "request-id", "x-request-id"})
CUTS: Final = (1, 7, 64, 500, 4096)
"""Sizes of a chunk, in bytes, that are worth trying."""
MAX_WRITES: Final = 500
MASKED: Final = "**REDACTED**"
_NAME = re.compile(r"rec-([0-9a-f]{16})(?:-cut(\d+))?")


class _Body(msgspec.Struct):
    model: str = ""


def model_of(record: Recording, *, prefix: str = "", cut_bytes: int | None = None) -> str:
    """Return the name of the model that finds a recording; ``cut_bytes`` overrides the server's."""
    return f"{prefix}rec-{record.id}" + ("" if cut_bytes is None else f"-cut{cut_bytes}")


class ReplayServer:
    """The server: ``async with ReplayServer(records("chat")) as server: server.url``.

    Args:
        recordings: What can be asked for.
        cut_bytes: Size of a stream's chunks.
    """

    def __init__(self, recordings: Iterable[Recording], *, cut_bytes: int = 4096) -> None:
        self._recordings = {record.id: record for record in recordings}
        self._cut_bytes = cut_bytes
        self._upstream = RawUpstream.answering(self._script)

    @property
    def url(self) -> str:
        """The origin, without a slash at the end."""
        return self._upstream.url

    @property
    def requests(self) -> list[ReceivedRequest]:
        """All requests that came, in order."""
        return self._upstream.requests

    def requests_for(self, record: Recording) -> list[ReceivedRequest]:
        """Return the requests that asked for a recording, in order."""
        return [request for request in self.requests if _asked(request)[0] == record.id]

    async def __aenter__(self) -> Self:
        await self._upstream.__aenter__()
        return self

    async def __aexit__(self, exc_type: type[BaseException] | None, *exc: object) -> None:
        await self._upstream.__aexit__(exc_type, *exc)

    def _script(self, request: ReceivedRequest) -> Script:
        name, cut_bytes = _asked(request)
        if name not in self._recordings:
            message = f"no recording is called {name!r}"
            return [Send(response(404, body={"error": {"message": message, "type": "invalid_request_error"}}))]
        return play(self._recordings[name], cut_bytes or self._cut_bytes)


def play(record: Recording, cut_bytes: int) -> Script:
    """Return the script that plays a recording: streams in chunks of this size, the rest as one body."""
    recorded, body = record.response, record.response.body
    headers = {name: value for name, value in recorded.headers.items() if name in ALLOWED_HEADERS}
    if headers.get("content-type") in (None, MASKED):
        headers["content-type"] = _fitting_type(record)
    if not record.is_stream or recorded.status >= 400:
        return [Send(response(recorded.status, headers, body))]
    chunks = [chunk(piece) for piece in cut(body, [cut_bytes])]
    per_write = -(-len(chunks) // MAX_WRITES) or 1
    writes = [b"".join(chunks[at : at + per_write]) for at in range(0, len(chunks), per_write)]
    return [Send(head(recorded.status, headers)), *(Send(write) for write in writes), Send(LAST_CHUNK)]


def _asked(request: ReceivedRequest) -> tuple[str, int | None]:
    """Return the id of the recording (empty: none), and the size of chunks if the model names one."""
    try:
        model = msgspec.json.decode(request.body, type=_Body).model
    except msgspec.MsgspecError:
        model = ""
    found = _NAME.search(model) or _NAME.search(request.target)
    if found is None:
        return "", None
    return found[1], int(found[2]) if found[2] else None


def _fitting_type(record: Recording) -> str:
    if record.response.base64 is not None:
        return "application/vnd.amazon.eventstream"
    if record.is_stream and record.protocol == "ollama":
        return "application/x-ndjson"
    return "text/event-stream" if record.is_stream and record.response.text is not None else "application/json"
