"""A body that is passed on while it comes: how much of it waits here, and when it is refused."""

from collections.abc import Sequence
from typing import Any

import anyio
import pytest

from asgi_ds2api.errors import GatewayError, MalformedRequest, RequestTimeout, RequestTooLarge
from asgi_ds2api.serving.inbound import InboundLimits
from asgi_ds2api.serving.upload import READ_AHEAD_BYTES, Upload
from tests.support.virtual_time import run_virtual

PIECE = b"x" * 65_536


class Server:
    """Hands over pieces, each after so many seconds, and then falls silent."""

    def __init__(self, pieces: Sequence[bytes], every_s: float = 0.0, ends: bool = True) -> None:
        self.pieces = list(pieces)
        self.given = 0
        self._every_s = every_s
        self._ends = ends

    async def receive(self) -> Any:
        if not self.pieces:
            await anyio.sleep_forever()
        await anyio.sleep(self._every_s)
        piece = self.pieces.pop(0)
        self.given += len(piece)
        return {"type": "http.request", "body": piece, "more_body": bool(self.pieces) or not self._ends}


def upload_of(server: Server, declared: int | None = None, **limits: Any) -> Upload:
    """Return an upload with small bounds."""
    bounds: dict[str, Any] = {
        "max_body_bytes": 10_000_000, "max_header_bytes": 1, "max_headers": 1, "max_header_value_bytes": 1,
        "max_query_bytes": 1, "upload_idle_s": 30.0,
    }  # fmt: skip
    return Upload(server.receive, InboundLimits(**bounds | limits), declared)


async def taken(upload: Upload) -> bytes:
    """Take all of it, while somebody listens."""
    found = bytearray()

    async def listen() -> None:
        while True:
            await upload.receive()

    async with anyio.create_task_group() as group:
        group.start_soon(listen)
        try:
            while piece := await upload.next():
                found += piece
        except GatewayError as exc:
            problem: GatewayError | None = exc
        else:
            problem = None
        group.cancel_scope.cancel()
    if problem is not None:
        raise problem
    return bytes(found)


@run_virtual
async def test_body_comes_whole_and_in_order() -> None:
    pieces = [b"a" * 10, b"", b"b" * 70_000, b"c"]
    upload = upload_of(Server(pieces), declared=70_011)
    assert not upload.has_begun
    assert await taken(upload) == b"".join(pieces)
    assert (upload.size, upload.is_whole, upload.has_begun) == (70_011, True, True)


@run_virtual
async def test_nothing_more_is_asked_for_while_enough_waits_to_go_out() -> None:
    server = Server([PIECE] * 100)
    upload = upload_of(server)
    async with anyio.create_task_group() as group:

        async def listen() -> None:
            while True:
                await upload.receive()

        group.start_soon(listen)
        await anyio.sleep(1_000)  # virtual: whatever can happen has happened, and no wait counts as slowness
        assert server.given == READ_AHEAD_BYTES
        assert len(await upload.next()) == READ_AHEAD_BYTES
        await anyio.sleep(1_000)  # virtual
        assert server.given == 2 * READ_AHEAD_BYTES
        group.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("server", "declared", "limits", "error"),
    [
        pytest.param(Server([PIECE] * 3), None, {"max_body_bytes": 100_000}, RequestTooLarge, id="too-large"),
        pytest.param(Server([b"abc"]), 2, {}, MalformedRequest, id="longer-than-said"),
        pytest.param(Server([b"abc"]), 4, {}, MalformedRequest, id="shorter-than-said"),
        pytest.param(Server([b"abc"], ends=False), None, {}, RequestTimeout, id="silent"),
        pytest.param(Server([b"abc"] * 99, every_s=5), None, {}, RequestTimeout, id="too-slow"),
    ],
)
@run_virtual
async def test_body_beyond_a_bound_ends_with_why(
    server: Server, declared: int | None, limits: dict[str, Any], error: type[GatewayError]
) -> None:
    with pytest.raises(error):
        await taken(upload_of(server, declared, **limits))
