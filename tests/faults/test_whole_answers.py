"""F41 to F48: answers with a status of success that are none, are empty, broken, packed, or endlessly slow."""

import gzip
import zlib

import brotli
import pytest

from asgi_ds2api.errors import Interrupted
from tests.support.dialects import TEXT
from tests.support.http_bytes import head, response
from tests.support.raw_upstream import RawUpstream
from tests.support.script import Drip, Expect, Fin, Script, Send
from tests.support.scripted_client import Answering, Delay, answering
from tests.support.virtual_time import run_virtual

from .bench import (
    WORDS,
    Bench,
    Way,
    assert_told,
    assert_told_in_band,
    every_face,
    every_protocol,
    states,
    whole_and_streamed,
)

pytestmark = pytest.mark.anyio

JSON = {"content-type": "application/json"}
HTML = b"<!doctype html><title>Please log in at intranet.example</title>"


# --- F41: an error inside a 200 ---------------------------------------------------------------------------------------

IN_200 = [(429, "limited"), (500, "fault"), (503, "overloaded"), (401, "unauthorized")]


@every_protocol
@whole_and_streamed
@pytest.mark.parametrize(("status", "what"), IN_200, ids=[str(status) for status, _ in IN_200])
@run_virtual
async def test_F41_error_in_a_200_has_its_own_status(way: Way, stream: bool, status: int, what: str) -> None:
    async with Bench(way, *[answering(way.upstream.error(status))] * 2) as bench:
        answer = await bench.ask(stream=stream)
        assert_told(bench, answer, what, stream=stream)
        assert (len(bench.codes), bench.failed, bench.record.result) == (2, 2, "error")


@every_protocol
@whole_and_streamed
@run_virtual
async def test_F41_another_account_answers_in_place_of_an_error_in_a_200(way: Way, stream: bool) -> None:
    right = way.streaming(*way.upstream.text_stream()) if stream else answering(way.upstream.whole())
    async with Bench(way, answering(way.upstream.error(429)), right) as bench:
        answer = await bench.ask(stream=stream)
        seen = bench.seen(answer, stream=stream)
        assert (seen.text, seen.is_success) == ("".join(TEXT), True)
        assert bench.codes == ["rate_limit_exceeded", "ok"]
        assert answer.header("x-ds2api-attempts") == "2"
        assert states(bench) == ["cooling", "healthy"]


@every_protocol
@whole_and_streamed
@run_virtual
async def test_F41_refusal_in_a_200_is_the_callers_and_asked_once(way: Way, stream: bool) -> None:
    async with Bench(way, answering(way.upstream.error(400, "messages: too many"))) as bench:
        answer = await bench.ask(stream=stream)
        error = bench.seen(answer, stream=stream).error
        assert error is not None
        assert (answer.status, error["type"]) == WORDS[way.face.name]["refused"][:2]
        assert "too many" in error["message"]
        assert [account.state for account in bench.accounts] == ["healthy", "healthy"]


# --- F42: the wrong content type --------------------------------------------------------------------------------------


@every_protocol
@whole_and_streamed
@run_virtual
async def test_F42_page_of_a_web_server_is_no_answer_and_not_shown(way: Way, stream: bool) -> None:
    page = answering(HTML, headers={"content-type": "text/html; charset=utf-8"})
    async with Bench(way, page, page) as bench:
        answer = await bench.ask(stream=stream)
        assert_told(bench, answer, "malformed", stream=stream)
        assert (set(bench.codes), bench.failed) == ({"wrong_content_type"}, 2)
        assert b"intranet" not in answer.body


@every_protocol
@whole_and_streamed
@run_virtual
async def test_F42_page_that_calls_itself_json_is_no_answer_and_not_shown(way: Way, stream: bool) -> None:
    async with Bench(way, answering(HTML)) as bench:
        answer = await bench.ask(stream=stream)
        assert_told(bench, answer, "malformed", stream=stream)
        assert b"intranet" not in answer.body


@every_protocol
@run_virtual
async def test_F42_whole_answer_to_a_stream_is_told_as_a_stream(way: Way) -> None:
    async with Bench(way, answering(way.upstream.whole())) as bench:
        answer = await bench.ask(stream=True)
        seen = bench.seen(answer, stream=True)
        assert (seen.text, seen.is_success, bench.record.result) == ("".join(TEXT), True, "ok")


@every_protocol
@run_virtual
async def test_F42_stream_to_a_whole_answer_is_told_whole(way: Way) -> None:
    async with Bench(way, way.streaming(*way.upstream.text_stream())) as bench:
        answer = await bench.ask(stream=False)
        seen = bench.seen(answer, stream=False)
        assert (seen.text, seen.is_success, bench.record.result) == ("".join(TEXT), True, "ok")


@every_protocol
@run_virtual
async def test_F42_broken_stream_to_a_whole_answer_is_an_error(way: Way) -> None:
    async with Bench(way, way.streaming(*way.upstream.text_stream()[:-1])) as bench:
        answer = await bench.ask(stream=False)
        assert_told(bench, answer, "interrupted", stream=False)


# --- F43, F44: nothing, or an odd status ------------------------------------------------------------------------------


@every_protocol
@whole_and_streamed
@pytest.mark.parametrize("status", [200, 204])
@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream"])
@run_virtual
async def test_F43_empty_answer_is_never_a_success(way: Way, stream: bool, status: int, content_type: str) -> None:
    async with Bench(way, Answering(status, {"content-type": content_type})) as bench:
        answer = await bench.ask(stream=stream)
        assert_told(bench, answer, "malformed", stream=stream)
        assert (bench.codes, bench.failed) == (["empty_response"], 1)


@every_protocol
@pytest.mark.parametrize("status", [201, 203, 206, 226, 299])
@run_virtual
async def test_F44_other_success_is_judged_by_what_it_says(way: Way, status: int) -> None:
    async with Bench(way, answering(way.upstream.whole(), status=status), answering(b"{}", status=status)) as bench:
        answer = await bench.ask(stream=False)
        assert (answer.status, bench.seen(answer, stream=False).is_success) == (200, True)
        assert_told(bench, await bench.ask(stream=False), "malformed", stream=False)


@every_face
@pytest.mark.parametrize("status", [600, 999])
async def test_F44_status_that_does_not_exist_is_no_answer(way: Way, status: int) -> None:
    odd = response(status, JSON, way.upstream.whole())
    async with RawUpstream([Expect(), Send(odd)]) as upstream, Bench(way, raw=upstream) as bench:
        answer = await bench.ask(stream=False)
        assert_told(bench, answer, "malformed", stream=False)
        assert set(bench.codes) == {"bad_protocol"}


# --- F45, F46: JSON that is none, or cut ------------------------------------------------------------------------------

NOT_AN_ANSWER = {
    "cut": b'{"id": "x"',
    "words": b"Internal Server Error",
    "nan": b'{"usage": NaN}',
    "no-utf8": b'{"id": "\xff"}',
    "deep": b"[" * 100_000,
    "list": b"[]",
    "text": b'"ok"',
    "number": b"1",
    "null": b"null",
    "empty-object": b"{}",
    "tail": b'{"id": "x"} {"id": "y"}',
    "blank": b"  \n",
}


@every_protocol
@whole_and_streamed
@pytest.mark.parametrize("body", NOT_AN_ANSWER.values(), ids=NOT_AN_ANSWER.keys())
@run_virtual
async def test_F45_json_that_is_no_answer_is_told_and_asked_once(way: Way, stream: bool, body: bytes) -> None:
    async with Bench(way, answering(body)) as bench:
        answer = await bench.ask(stream=stream)
        assert_told(bench, answer, "malformed", stream=stream)
        assert (len(bench.codes), bench.failed) == (1, 1)


@every_protocol
@whole_and_streamed
@run_virtual
async def test_F46_answer_cut_at_every_byte_is_an_error_or_whole(way: Way, stream: bool) -> None:
    body = way.upstream.whole()
    cuts = range(1, len(body))
    for how, what in ((Interrupted("gone", code="truncated", may_be_billed=True), "interrupted"), (None, "malformed")):
        scripts = [Answering(200, JSON, [body[:at], how] if how else [body[:at]]) for at in cuts]
        async with Bench(way, *scripts, accounts=500) as bench:  # each account may fail a few times and stays open
            for _ in cuts:
                answer = await bench.ask(stream=stream)
                assert_told(bench, answer, what, stream=stream)
                assert len(bench.codes) == 1


@every_face
async def test_F46_cut_connections_of_a_whole_answer(way: Way) -> None:
    body = way.upstream.whole()
    short = head(200, JSON, framing="length", length=len(body)) + body[:-1]
    chunked = response(200, JSON, body, "chunked").removesuffix(b"0\r\n\r\n")
    scripts: list[Script] = [[Expect(), Send(data), Fin()] for data in (short, chunked)]
    async with RawUpstream(*scripts) as upstream, Bench(way, raw=upstream) as bench:
        for _ in scripts:
            assert_told(bench, await bench.ask(stream=False), "interrupted", stream=False)
            assert bench.codes == ["truncated"]


# --- F47: packed though nobody asked ----------------------------------------------------------------------------------

PACKED = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
}


@every_protocol
@whole_and_streamed
@pytest.mark.parametrize("coding", PACKED)
async def test_F47_packed_answer_is_unpacked(way: Way, stream: bool, coding: str) -> None:
    body = b"".join(way.upstream.text_stream()) if stream else way.upstream.whole()
    kind = way.upstream.content_type if stream else "application/json"
    sent = response(200, {"content-type": kind, "content-encoding": coding}, PACKED[coding](body))
    async with RawUpstream([Expect(), Drip(sent, (50,))]) as upstream, Bench(way, raw=upstream) as bench:
        answer = await bench.ask(stream=stream)
        assert bench.seen(answer, stream=stream).is_success
        assert answer.header("content-encoding") is None
        assert upstream.requests[0].header("accept-encoding") == "identity"


UNPACKABLE = {
    "corrupt": ("gzip", gzip.compress(b"x" * 999)[:-9] + b"nonsense!", "encoded_corrupt"),
    "cut": ("gzip", gzip.compress(b"x" * 999)[:-9], "encoded_corrupt"),
    "bomb": ("gzip", gzip.compress(b" " * 30_000_000), "encoded_bomb"),
    "unknown": ("compress", b"x", "encoded_unsupported"),
    "twice": ("gzip, br", b"x", "encoded_unsupported"),
}


@every_face
@whole_and_streamed
@pytest.mark.parametrize(("coding", "body", "code"), UNPACKABLE.values(), ids=UNPACKABLE.keys())
async def test_F47_answer_that_cannot_be_unpacked_is_told(
    way: Way, stream: bool, coding: str, body: bytes, code: str
) -> None:
    kind = way.upstream.content_type if stream else "application/json"
    sent = response(200, {"content-type": kind, "content-encoding": coding}, body)
    async with RawUpstream([Expect(), Send(sent)]) as upstream, Bench(way, raw=upstream) as bench:
        answer = await bench.ask(stream=stream)
        assert_told(bench, answer, "malformed", stream=stream)
        assert (bench.codes, bench.failed) == ([code], 1)


# --- F48: a drip ------------------------------------------------------------------------------------------------------


def drip(body: bytes) -> Answering:
    """Return a whole answer that comes byte by byte, one a second."""
    return Answering(200, JSON, [piece for byte in body for piece in (Delay(1), bytes([byte]))])


@every_protocol
@whole_and_streamed
@run_virtual
async def test_F48_whole_answer_that_drips_is_given_up_after_half_a_minute(way: Way, stream: bool) -> None:
    async with Bench(way, drip(way.upstream.whole())) as bench:
        answer = await bench.ask(stream=stream)
        if stream:  # behind heartbeats
            assert_told_in_band(bench, answer, "timeout")
        else:
            assert_told(bench, answer, "timeout", stream=False)
        assert (bench.record.code, bench.codes) == ("slow_body", ["slow_body"])
        assert 31 <= bench.record.duration_s < 35  # blanks do not count
        assert bench.failed == 1  # and nobody else was asked: it may have been billed


@every_protocol
@run_virtual
async def test_F48_whole_answer_behind_blanks_ends_at_the_deadline(way: Way) -> None:
    blanks = Answering(200, JSON, [piece for _ in range(99) for piece in (Delay(1), b"\n")])
    async with Bench(way, blanks, timeouts={"deadline_s": 60}) as bench:
        answer = await bench.ask(stream=False)
        assert_told(bench, answer, "timeout", stream=False)
        assert (bench.record.duration_s, bench.record.code) == (60, "deadline_exceeded")


@every_face
@run_virtual
async def test_F48_whole_answer_in_place_of_a_stream_drips_behind_heartbeats(way: Way) -> None:
    body = way.upstream.whole()
    slow = Answering(200, JSON, [body[:9], Delay(40), body[9:]])
    async with Bench(way, slow) as bench:
        answer = await bench.ask(stream=True)
        seen = bench.seen(answer, stream=True)
        assert (seen.is_success, seen.heartbeats) == (True, 2)  # at 12 and 27 seconds
