"""F13 to F22: an upstream that answers early, late, with nonsense, or not at all. Over real sockets.

Only what the upstream said on purpose is asked of another account: after a lost connection or a silence the provider
may have started, and billed.
"""

import pytest

from asgi_ds2api.errors import Interrupted, Malformed, Timeout
from tests.support.http_bytes import head, response
from tests.support.raw_upstream import RawUpstream
from tests.support.script import Expect, ExpectBytes, Fin, Hang, Script, Send
from tests.support.scripted_client import NEVER, Answering, Delay, answering
from tests.support.virtual_time import run_virtual
from tests.upstream.cases import BAD_HEADS, SHORT_S

from .bench import WAYS, Bench, Way, assert_told, assert_told_in_band, every_face, every_protocol, whole_and_streamed

pytestmark = pytest.mark.anyio

WHAT = {Interrupted: "interrupted", Malformed: "malformed", Timeout: "timeout"}


def sse_answer(way: Way) -> bytes:
    """Return a whole streamed answer of the upstream."""
    return response(200, way.stream_headers, b"".join(way.upstream.text_stream()), "chunked")


@every_face
@pytest.mark.parametrize(
    ("script", "error", "code"), BAD_HEADS.values(), ids=[name.replace("_", "-") for name in BAD_HEADS]
)
async def test_head_that_is_none_is_told_and_not_asked_for_again(
    way: Way, script: Script, error: type[Interrupted | Malformed | Timeout], code: str
) -> None:
    async with RawUpstream(script) as upstream:
        async with Bench(way, raw=upstream, timeouts={"first_byte_s": SHORT_S}) as bench:
            answer = await bench.ask(stream=True)
            assert_told(bench, answer, WHAT[error], stream=True)
            assert b"SECRET" not in answer.body
            assert (bench.codes, bench.record.code, bench.record.result) == ([code], code, "error")
            assert bench.failed == 1
        assert len(upstream.connections) == 1


@every_protocol
@whole_and_streamed
@pytest.mark.parametrize("last", [[Fin()], [Send(b"HTTP/1.1 200 OK\r\n"), Fin()]], ids=["nothing", "half-a-head"])
async def test_F14_lost_connection_on_every_protocol(way: Way, stream: bool, last: Script) -> None:
    async with RawUpstream([Expect(), *last]) as upstream, Bench(way, raw=upstream) as bench:
        answer = await bench.ask(stream=stream)
        assert_told(bench, answer, "interrupted", stream=stream)
        assert bench.codes == ["connection_lost"]


EARLY = [(401, "unauthorized", 2), (413, "too_large", 1), (429, "limited", 2), (500, "fault", 2)]


@every_face
@pytest.mark.parametrize(("status", "what", "attempts"), EARLY, ids=[str(row[0]) for row in EARLY])
async def test_F13_early_answer_is_read_although_the_request_is_not_out(
    way: Way, status: int, what: str, attempts: int
) -> None:
    early = response(status, {"content-type": "text/plain"}, b"no")
    async with RawUpstream([ExpectBytes(10), Send(early), Hang()]) as upstream:
        async with Bench(way, raw=upstream) as bench:
            answer = await bench.ask(stream=False, padding=b" " * 2_000_000)
            assert_told(bench, answer, what, stream=False)
            assert [attempt.status for attempt in bench.record.attempts] == [status] * attempts
            assert answer.header("connection") is None
        assert len(upstream.connections) == attempts


@every_face
@run_virtual
async def test_F15_slow_head_of_a_whole_answer_is_a_504(way: Way) -> None:
    async with Bench(way, NEVER, timeouts={"first_byte_s": 50}) as bench:
        answer = await bench.ask(stream=False)
        assert_told(bench, answer, "timeout", stream=False)
        assert (bench.record.duration_s, len(bench.scripted.calls)) == (50, 1)
        assert bench.failed == 1


@every_face
@run_virtual
async def test_F15_slow_head_is_a_real_status_while_nothing_was_sent(way: Way) -> None:
    async with Bench(way, NEVER, timeouts={"first_byte_s": 11, "commit_after_s": 12}) as bench:
        answer = await bench.ask(stream=True)
        assert_told(bench, answer, "timeout", stream=True)


@every_face
@run_virtual
async def test_F15_slow_head_is_told_in_band_behind_heartbeats(way: Way) -> None:
    async with Bench(way, NEVER, timeouts={"first_byte_s": 50, "commit_after_s": 12, "heartbeat_s": 15}) as bench:
        answer = await bench.ask(stream=True)
        seen = assert_told_in_band(bench, answer, "timeout")
        assert (seen.text, seen.heartbeats) == ("", 3)  # at 12, 27 and 42 seconds
        assert (bench.record.result, bench.record.code) == ("error", "upstream_timeout")


@every_face
@run_virtual
async def test_F15_deadline_holds_for_all_attempts_together(way: Way) -> None:
    limited = Answering(429, pieces=[way.upstream.error(429)], before=[Delay(40)])
    async with Bench(way, limited, NEVER, timeouts={"first_byte_s": 50, "deadline_s": 60}) as bench:
        answer = await bench.ask(stream=False)
        assert_told(bench, answer, "timeout", stream=False)
        assert (bench.record.duration_s, bench.record.code) == (60, "deadline_exceeded")
        assert bench.codes == ["rate_limit_exceeded", "abandoned"]


@every_face
@pytest.mark.parametrize(
    ("told", "expected"),
    [({"x-stainless-timeout": "5"}, 5), ({"x-request-timeout": "7.5"}, 7.5), ({"x-request-timeout": "900"}, 60)],
    ids=["lowered", "lowered-in-other-words", "never-raised"],
)
@run_virtual
async def test_F102_caller_may_lower_the_deadline_and_never_raise_it(
    way: Way, told: dict[str, str], expected: float
) -> None:
    async with Bench(way, NEVER, timeouts={"first_byte_s": 100, "deadline_s": 60}) as bench:
        answer = await bench.ask(stream=False, headers=told)
        assert_told(bench, answer, "timeout", stream=False)
        assert (bench.record.duration_s, bench.record.code) == (expected, "deadline_exceeded")


@every_face
async def test_F20_only_headers_on_the_list_reach_the_caller(way: Way) -> None:
    sent = [
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"),
        ("Connection", "x-foo, x-ratelimit-remaining-tokens"),
        ("X-Foo", "1"),
        ("X-Ratelimit-Remaining-Tokens", "1"),
        ("X-Ratelimit-Remaining-Requests", "5"),
        ("X-Ratelimit-Remaining-Requests", "6"),
        ("Keep-Alive", "timeout=5"),
        ("Server", "secret-host"),
        ("X-Request-Id", "theirs"),
        ("Request-Id", "theirs"),
        ("Content-Type", way.upstream.content_type),
        ("Access-Control-Allow-Origin", "*"),
        ("X-Ds2api-Served-By", "evil"),
    ]
    answer_bytes = response(200, sent, b"".join(way.upstream.text_stream()), "chunked")
    async with RawUpstream([Expect(), Send(answer_bytes)]) as upstream, Bench(way, raw=upstream) as bench:
        answer = await bench.ask(stream=True)
        assert bench.seen(answer, stream=True).is_success
        names = [name.decode() for name, _ in answer.headers]
        assert len(names) == len(set(names))
        assert answer.header("x-ratelimit-remaining-requests") == "5"
        gone = {"set-cookie", "connection", "x-foo", "x-ratelimit-remaining-tokens", "keep-alive", "server"}
        assert gone & set(names) == set()
        assert "access-control-allow-origin" not in names
        assert answer.header("x-request-id") == bench.record.request_id
        assert answer.header("x-ds2api-served-by") == f"{way.upstream.name}/test"


@pytest.mark.parametrize("way", [WAYS["chat>claude"], WAYS["claude>chat"]], ids=["chat", "claude"])
@run_virtual
async def test_F20_headers_of_another_vendor_do_not_reach_the_caller(way: Way) -> None:
    headers = {"x-ratelimit-remaining-requests": "5", "anthropic-ratelimit-requests-remaining": "5"}
    async with Bench(way, way.streaming(b"".join(way.upstream.text_stream()), headers=headers)) as bench:
        answer = await bench.ask(stream=True)
        assert bench.seen(answer, stream=True).is_success
        assert not [name for name, _ in answer.headers if b"ratelimit" in name]


@every_face
@pytest.mark.parametrize("status", [301, 302, 303, 304, 307, 308])
async def test_F21_redirect_is_neither_followed_nor_shown(way: Way, status: int) -> None:
    async with RawUpstream([Expect(), Send(response(200, {}, b"{}"))]) as elsewhere:
        moved = response(status, {"location": f"{elsewhere.url}/internal"}, way.upstream.whole())
        async with RawUpstream([Expect(), Send(moved)]) as upstream, Bench(way, raw=upstream) as bench:
            answer = await bench.ask(stream=False)
            assert_told(bench, answer, "malformed", stream=False)
            assert set(bench.codes) == {"upstream_redirect"}
            assert b"internal" not in answer.body + repr(answer.headers).encode()
            assert bench.failed == len(bench.codes)
        assert elsewhere.connections == []


@every_protocol
@pytest.mark.parametrize("framing", ["eof", "http10"])
async def test_F22_end_of_the_connection_is_no_end_of_the_answer(way: Way, framing: str) -> None:
    frames = way.upstream.text_stream()
    start = head(200, way.stream_headers, framing="eof")
    if framing == "http10":
        start = b"HTTP/1.0 200 OK\r\ncontent-type: %b\r\n\r\n" % way.upstream.content_type.encode()
    scripts: list[Script] = [
        [Expect(), Send(start + b"".join(frames))],
        [Expect(), Send(start + b"".join(frames[:-1]))],
    ]
    async with RawUpstream(*scripts) as upstream, Bench(way, raw=upstream) as bench:
        complete = await bench.ask(stream=True)
        assert bench.seen(complete, stream=True).is_success
        cut = await bench.ask(stream=True)
        assert not way.face.read_stream(cut.body).is_success
        assert bench.record.result == "interrupted"


@every_face
async def test_F22_whole_answer_may_end_with_the_connection(way: Way) -> None:
    body = way.upstream.whole()
    start = head(200, {"content-type": "application/json"}, framing="eof")
    scripts: list[Script] = [[Expect(), Send(start + body)], [Expect(), Send(start + body[:-1])]]
    async with RawUpstream(*scripts) as upstream, Bench(way, raw=upstream) as bench:
        assert bench.seen(await bench.ask(stream=False), stream=False).is_success
        assert_told(bench, await bench.ask(stream=False), "malformed", stream=False)


@every_face
async def test_F16_hints_before_the_answer_are_passed_over(way: Way) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" * 3
    script: Script = [Expect(), Send(hints + sse_answer(way))]
    async with RawUpstream(script) as upstream, Bench(way, raw=upstream) as bench:
        assert bench.seen(await bench.ask(stream=True), stream=True).is_success


TO_CHAT = {name: way for name, way in WAYS.items() if way.upstream.name == "chat"}


@pytest.mark.parametrize("way", TO_CHAT.values(), ids=TO_CHAT.keys())
async def test_F33_path_in_a_refusal_is_told_only_where_the_caller_sent_such_a_field(way: Way) -> None:
    told = {"message": "Too deep.", "type": "invalid_request_error", "param": "messages[0].content[3]", "code": None}
    async with Bench(way, answering({"error": told}, status=400)) as bench:
        error = bench.seen(await bench.ask(stream=False), stream=False).error
        assert error is not None
        kept = {"chat": "messages[0].content[3]", "claude": None}[way.face.name]
        assert (error["message"], error.get("param")) == ("Too deep.", kept)
