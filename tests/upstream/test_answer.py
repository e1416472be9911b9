"""What an upstream's answer says as far as HTTP tells, read within bounds."""

from typing import cast

import anyio
import pytest

from asgi_ds2api.codec import Codec
from asgi_ds2api.errors import Interrupted, Malformed, Timeout, UpstreamError
from asgi_ds2api.protocols import ollama_chat, openai_chat
from asgi_ds2api.upstream.answer import ERROR_BODY_S, MAX_ERROR_BYTES, is_stream, judge, read_whole
from asgi_ds2api.upstream.contract import CallBounds, UpstreamRequest, UpstreamResponse
from tests.support.http_bytes import HeaderPairs
from tests.support.scripted_client import NEVER, Answering, Delay, Piece, ScriptedUpstream
from tests.support.virtual_time import START_S, run_virtual

WALL_S = 1_800_000_000.0


class Judging:
    """A codec that says of an error what it was shown."""

    def __init__(self) -> None:
        self.body = b""

    def decode_error(self, status: int, headers: dict[str, str], body: bytes) -> UpstreamError:
        self.body = body
        return UpstreamError("no", retry_after_s=99)


async def opened(status: int, headers: HeaderPairs = (), pieces: tuple[Piece, ...] = ()) -> UpstreamResponse:
    """Return an open answer."""
    request = UpstreamRequest(method="POST", url="https://one.example/", headers=(), body=b"", limits=CallBounds())
    return await ScriptedUpstream(Answering(status, headers, pieces)).open(request)


async def judged(status: int, headers: HeaderPairs = (), *pieces: Piece) -> tuple[UpstreamError | None, bytes]:
    """Judge an answer; return the verdict, and what was read of its body."""
    codec = Judging()
    error = await judge(await opened(status, headers, pieces), cast("Codec", codec), WALL_S)
    return error, codec.body


# --- heads ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("codec", "content_type", "expected"),
    [
        (openai_chat, "text/event-stream", True),
        (openai_chat, "Text/Event-Stream; charset=utf-8", True),
        (openai_chat, "application/json", False),
        (openai_chat, "text/event-streams", False),
        (openai_chat, "application/x-ndjson", False),
        (openai_chat, None, False),
        (ollama_chat, "application/x-ndjson", True),
        (ollama_chat, "Application/X-NDJSON; charset=utf-8", True),
        (ollama_chat, "application/json", False),
        (ollama_chat, "text/event-stream", False),
    ],
)
@run_virtual
async def test_stream_is_told_by_the_content_type_of_its_protocol(
    codec: Codec, content_type: str | None, expected: bool
) -> None:
    response = await opened(200, {} if content_type is None else {"Content-Type": content_type})
    assert is_stream(response, codec) is expected


@pytest.mark.parametrize("status", [200, 201, 204, 206, 299], ids=lambda status: f"F44-{status}")
@run_virtual
async def test_success_is_judged_by_what_it_says(status: int) -> None:
    assert await judged(status, {"content-type": "application/json"}) == (None, b"")


@pytest.mark.parametrize(
    ("status", "headers", "code"),
    [
        pytest.param(200, {"content-type": "text/html; charset=utf-8"}, "wrong_content_type", id="F42-page"),
        pytest.param(200, {"content-type": "Application/XHTML+xml"}, "wrong_content_type", id="F42-xhtml"),
        pytest.param(301, {"location": "https://evil.example/"}, "upstream_redirect", id="F21-301"),
        pytest.param(307, {"location": "http://127.0.0.1/"}, "upstream_redirect", id="F21-307"),
        pytest.param(304, {"content-type": "text/html"}, "upstream_redirect", id="F21-304"),
        pytest.param(101, {"upgrade": "websocket"}, "bad_protocol", id="F17-101"),
        pytest.param(600, {}, "bad_protocol", id="F44-600"),
        pytest.param(999, {}, "bad_protocol", id="F44-999"),
    ],
)
@run_virtual
async def test_what_no_api_answers_is_malformed_and_its_body_is_not_read(
    status: int, headers: dict[str, str], code: str
) -> None:
    error, body = await judged(status, headers, b"<html>")
    assert isinstance(error, Malformed)
    assert (error.code, error.upstream_status, error.may_be_billed, body) == (code, status, False, b"")
    assert "evil" not in error.message + error.detail


@run_virtual
async def test_F39_page_with_an_error_status_is_for_the_codec_to_judge() -> None:
    error, body = await judged(503, {"content-type": "text/html"}, b"<html>")
    assert error is not None
    assert (error.upstream_status, body) == (503, b"<html>")


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        pytest.param([("retry-after", "7")], 7, id="F23"),
        pytest.param([("retry-after", "Fri, 15 Jan 2027 08:00:10 GMT")], 10, id="F24"),
        pytest.param([("retry-after", "7"), ("retry-after-ms", "250")], 0.25, id="F25"),
        pytest.param([("retry-after", "7"), ("retry-after", "99")], 7, id="first-of-two"),
        pytest.param([("retry-after", "soon")], 99, id="F28-nonsense"),
        pytest.param([], 99, id="F26-body-alone"),
    ],
)
@run_virtual
async def test_wait_is_what_the_head_says_and_else_what_the_body_says(
    headers: list[tuple[str, str]], wait_s: float
) -> None:
    error, _ = await judged(429, headers)
    assert error is not None
    assert error.retry_after_s == wait_s


# --- bodies of errors -------------------------------------------------------------------------------------------------


@run_virtual
async def test_F40_no_more_of_an_error_is_read_than_it_needs() -> None:
    codec, response = Judging(), await opened(500, (), (b"x" * 10_000,) * 100)
    await judge(response, cast("Codec", codec), WALL_S)
    assert codec.body == b"x" * MAX_ERROR_BYTES
    assert await response.read() != b"", "all was read"


@pytest.mark.parametrize("pieces", [(NEVER,), (b"no", NEVER), (b"no", *[Delay(0.4), b"!"] * 50)])
@run_virtual
async def test_F40_slow_error_is_told_by_what_came_in_time(pieces: tuple[Piece, ...]) -> None:
    error, body = await judged(500, (), *pieces)
    assert error is not None
    assert body in (b"", b"no", b"no!!!!")
    assert anyio.current_time() == START_S + ERROR_BODY_S


@pytest.mark.parametrize("broken", [Interrupted("cut"), Timeout("idle"), Malformed("bomb")])
@run_virtual
async def test_error_whose_body_breaks_off_is_told_by_what_came(broken: UpstreamError) -> None:
    error, body = await judged(500, (), b"no", broken)
    assert error is not broken
    assert body == b"no"


@run_virtual
async def test_real_codec_reads_the_error() -> None:
    body = b'{"error": {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}}'
    error = await judge(await opened(429, {"retry-after": "3"}, (body,)), openai_chat, WALL_S)
    assert error is not None
    assert (error.code, error.retry_after_s, error.upstream_status) == ("rate_limit_exceeded", 3, 429)


# --- whole bodies -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pieces", [(b"ab",), (b"a", b"b"), (b"a", Delay(1), b"bcdefghij")])
@run_virtual
async def test_whole_body_is_its_pieces(pieces: tuple[Piece, ...]) -> None:
    expected = b"".join(piece for piece in pieces if isinstance(piece, bytes))
    assert await read_whole(await opened(200, (), pieces), max_bytes=10) == expected


@run_virtual
async def test_body_over_the_limit_is_refused_at_the_byte() -> None:
    response = await opened(200, (), (b"x" * 10, b"x", b"rest"))
    with pytest.raises(Malformed) as caught:
        await read_whole(response, max_bytes=10)
    assert caught.value.code == "answer_too_large"
    assert await response.read() == b"rest"


@run_virtual
async def test_F43_empty_body_is_no_answer() -> None:
    with pytest.raises(Malformed) as caught:
        await read_whole(await opened(204), max_bytes=10)
    assert (caught.value.code, caught.value.upstream_status) == ("empty_response", 204)


@run_virtual
async def test_F46_body_that_breaks_off_is_no_answer() -> None:
    with pytest.raises(Interrupted):
        await read_whole(await opened(200, (), (b"{", Interrupted("cut"))), max_bytes=10)


def drip(piece: bytes, every_s: float, count: int) -> tuple[Piece, ...]:
    """Return so many pieces, each after a pause."""
    return (Delay(every_s), piece) * count


@pytest.mark.parametrize(
    ("pieces", "after_s"),
    [
        pytest.param(drip(b"x", 1, 99), 31, id="F48-a-byte-a-second"),
        pytest.param(drip(b"x", 0.75, 99), 30.75, id="F48-almost-two"),
        pytest.param(drip(b"x", 20, 99), 140, id="F48-a-byte-now-and-then"),
        pytest.param((b"x" * 100, *drip(b"x", 1, 200)), 101, id="F48-behind-a-fast-start"),
        pytest.param((*drip(b"  ", 10, 9), *drip(b"x", 1, 99)), 121, id="F48-behind-blanks"),
        pytest.param(
            tuple(p for _ in range(99) for p in (Delay(0.5), b"x", Delay(0.5), b"\n")), 30.5, id="F48-among-blanks"
        ),
    ],
)
@run_virtual
async def test_whole_answer_that_drips_is_too_slow(pieces: tuple[Piece, ...], after_s: float) -> None:
    response = await opened(200, (), pieces)
    with pytest.raises(Timeout) as caught:
        await read_whole(response, max_bytes=10_000)
    assert (caught.value.code, caught.value.may_be_billed) == ("slow_body", True)
    assert anyio.current_time() - START_S == pytest.approx(after_s)


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param((*drip(b"\n", 15, 30), b"{}"), id="F48-blanks-while-a-model-thinks"),
        pytest.param((b"{", *drip(b" ", 1, 500), b"}"), id="F48-blanks-inside"),
        pytest.param((b'{"id": 1,', Delay(110), b"}"), id="F48-a-long-thought"),
        pytest.param((b'{"id": 1,', *drip(b"x" * 60, 100, 9)), id="F48-many-thoughts"),
        pytest.param(drip(b"word", 2, 300), id="F48-half-a-token-a-second"),
        pytest.param(drip(b"x", 1, 30), id="F48-shorter-than-the-limit"),
    ],
)
@run_virtual
async def test_whole_answer_of_a_slow_model_is_waited_for(pieces: tuple[Piece, ...]) -> None:
    expected = b"".join(piece for piece in pieces if isinstance(piece, bytes))
    assert await read_whole(await opened(200, (), pieces), max_bytes=10_000) == expected
