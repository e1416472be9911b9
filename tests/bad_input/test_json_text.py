"""B1 to B15: bodies that are no JSON, or that cost a reader more than they should."""

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from asgi_ds2api.json_guard import MAX_DEPTH, check_document
from asgi_ds2api.secret import Secret
from asgi_ds2api.serving.question import Question
from tests.faults.bench import WAYS, Bench, Way, both_faces, every_way
from tests.support.gateways import CALLER_KEY
from tests.support.scripted_client import answering, streaming

from .bodies import every_translation, fields_of, send, text_of, with_content, with_fields
from .refusals import ECHO, assert_refused

pytestmark = pytest.mark.anyio

Make = Callable[[Way], bytes]


def whole(way: Way) -> bytes:
    """Return a good request."""
    return text_of(fields_of(way))


def said(text: bytes) -> Make:
    """Return a request whose message is this JSON string, without its quotes."""
    return lambda way: with_content(way, b'"' + text + b'"')


def number(text: bytes) -> Make:
    """Return a request with a number that reads so."""
    return lambda way: text_of({**fields_of(way), "temperature": text})


NO_JSON: dict[str, Make] = {
    "B1-cut": lambda way: whole(way)[:-1],
    "B1-words": lambda way: ECHO.encode(),
    "B1-quotes": lambda way: b"{'model': '" + ECHO.encode() + b"'}",
    "B1-comma": lambda way: whole(way)[:-1] + b",}",
    "B1-comment": lambda way: b"// " + ECHO.encode() + b"\n" + whole(way),
    "B2-empty": lambda way: b"",
    "B2-blank": lambda way: b" \r\n\t ",
    "B3-two": lambda way: whole(way) + whole(way),
    "B3-trailing": lambda way: whole(way) + ECHO.encode(),
    "B3-nul": lambda way: whole(way) + b"\0",
    "B4-byte-order-mark": lambda way: b"\xef\xbb\xbf" + whole(way),
    "B5-utf-16": lambda way: whole(way).decode().encode("utf-16"),
    "B5-utf-16-bare": lambda way: whole(way).decode().encode("utf-16-le"),
    "B5-utf-32": lambda way: whole(way).decode().encode("utf-32"),
    "B6-latin-1": said(b"caf\xe9 " + ECHO.encode()),
    "B6-overlong": said(b"\xc0\xaf"),
    "B6-surrogate": said(b"\xed\xa0\x80"),
    "B6-in-an-unknown-field": lambda way: text_of({**fields_of(way), "zz": b'"\xff"'}),
    "B6-in-an-unknown-name": lambda way: whole(way)[:-1] + b',"\xff":1}',
    "B7-lone": said(rb"\ud800"),
    "B7-swapped": said(rb"\udc00\ud800"),
    "B7-low": said(rb"x\udfff"),
    "B7-in-an-unknown-field": lambda way: text_of({**fields_of(way), "zz": rb'"\ud800"'}),
    "B8-newline": said(b"a\nb"),
    "B8-escape": said(b"\x1b[31m"),
    "B8-nul": said(b"\0"),
    "B10-nan": number(b"NaN"),
    "B10-infinity": number(b"Infinity"),
    "B10-minus-infinity": number(b"-Infinity"),
    "B12-plus": number(b"+1"),
    "B12-zero": number(b"01"),
}


@pytest.mark.parametrize("make", NO_JSON.values(), ids=NO_JSON.keys())
@every_way
async def test_what_is_no_json_is_refused(way: Way, make: Make) -> None:
    async with Bench(way) as bench:
        answer = await send(bench, make(way))
        assert_refused(bench, answer, 400, "invalid_json")


@every_way
async def test_B1_place_of_the_mistake_is_a_byte_offset_and_nothing_else(way: Way) -> None:
    async with Bench(way) as bench:
        body = text_of(fields_of(way))[:-1] + b" " + ECHO.encode()
        answer = await send(bench, body)
        message = answer.json()["error"]["message"]  # type: ignore[index]  # an object, as assert_refused says
        assert message == f"The JSON document cannot be parsed (byte {len(body) - len(ECHO)})."


OVERFLOWS: dict[str, bytes] = {
    "B11": b"1e400",
    "B11-minus": b"-1e400",
    "B12-digits": b"9" * 400,
    "B12-more-digits": b"9" * 5_000,
}


@pytest.mark.parametrize("text", OVERFLOWS.values(), ids=OVERFLOWS.keys())
@every_translation
async def test_number_that_nothing_holds_is_refused(way: Way, text: bytes) -> None:
    async with Bench(way) as bench:
        answer = await send(bench, number(text)(way))
        assert_refused(bench, answer, 400, "invalid_value", "temperature")


@pytest.mark.parametrize("text", OVERFLOWS.values(), ids=OVERFLOWS.keys())
@both_faces
async def test_number_that_nothing_holds_is_the_vendors_to_judge_in_a_relay(way: Way, text: bytes) -> None:
    async with Bench(way, answering(way.upstream.whole())) as bench:
        await send(bench, number(text)(way))
        (call,) = bench.scripted.calls
        assert b'"temperature":' + text in call.request.body


@every_way
async def test_B9_escaped_nul_goes_on_as_an_escape(way: Way) -> None:
    async with Bench(way, answering(way.upstream.whole())) as bench:
        answer = await send(bench, said(rb"a\u0000b")(way))
        assert answer.status == 200
        (call,) = bench.scripted.calls
        assert rb"a\u0000b" in call.request.body
        assert b"\0" not in call.request.body


@every_way
async def test_B9_nul_of_a_model_name_reaches_no_header_and_no_upstream(way: Way) -> None:
    async with Bench(way) as bench:
        answer = await send(bench, text_of({**fields_of(way), "model": rb'"m\u0000d"'}))
        assert_refused(bench, answer, 400, "invalid_value", "model")


DOUBLES: dict[str, tuple[bytes, bytes]] = {
    "B13-plain": (b'"model"', b'"model"'),
    "B13-escaped": (b'"model"', rb'"mod\u0065l"'),
    "B13-escaped-first": (rb'"\u006dodel"', b'"model"'),
}


@pytest.mark.parametrize("names", DOUBLES.values(), ids=DOUBLES.keys())
@every_way
async def test_of_two_models_the_one_that_is_judged_is_the_one_that_is_asked(
    way: Way, names: tuple[bytes, bytes]
) -> None:
    first, last = names
    rest = text_of({name: value for name, value in fields_of(way).items() if name != "model"})[1:]

    def body(first_model: str, last_model: str) -> bytes:
        one = b'"%s/%s"' % (way.upstream.name.encode(), first_model.encode())
        other = b'"%s/%s"' % (way.upstream.name.encode(), last_model.encode())
        return b"{" + first + b":" + one + b"," + last + b":" + other + b"," + rest

    async with Bench(way, answering(way.upstream.whole())) as bench:
        answer = await send(bench, body("first", "last"))
        assert answer.status == 200
        (call,) = bench.scripted.calls
        pairs: list[tuple[str, Any]] = json.loads(call.request.body, object_pairs_hook=list)
        assert [value for name, value in pairs if name == "model"] == ["last"]


@every_way
async def test_B13_caller_is_judged_by_the_last_of_two_models(way: Way) -> None:
    name = way.upstream.name
    callers = [{"label": "c", "key": Secret(CALLER_KEY), "models": [f"{name}/allowed"]}]
    double = b'"%s/allowed","model":"%s/forbidden"' % (name.encode(), name.encode())
    async with Bench(way, auth="callers", callers=callers) as bench:
        body = text_of({**fields_of(way), "model": double})
        answer = await send(bench, body, headers={"authorization": f"Bearer {CALLER_KEY}"})
        assert_refused(bench, answer, 403, "model_not_allowed")


@every_way
async def test_B13_of_two_streams_the_last_counts_on_both_sides(way: Way) -> None:
    async with Bench(way, answering(way.upstream.whole())) as bench:
        answer = await send(bench, text_of({**fields_of(way), "stream": b'true,"stream":false'}))
        assert answer.header("content-type") == "application/json"
        (call,) = bench.scripted.calls
        assert call.request.body.count(b'"stream":true') == 0


@every_translation
async def test_B13_of_two_fields_within_a_message_the_last_is_sent_and_no_other(way: Way) -> None:
    double = b'[{"role":"user","content":"first","cont\\u0065nt":"last"}]'
    async with Bench(way, answering(way.upstream.whole())) as bench:
        answer = await send(bench, text_of({**fields_of(way), "messages": double}))
        assert answer.status == 200
        (call,) = bench.scripted.calls
        assert call.json()["messages"] == [{"role": "user", "content": "last"}]
        assert b"first" not in call.request.body


def nested(depth: int) -> bytes:
    """Return arrays in arrays, so that a field of them makes a document of ``depth`` levels."""
    return b"[" * (depth - 1) + b"]" * (depth - 1)


@every_way
async def test_B14_deepest_document_that_is_read_goes_through(way: Way) -> None:
    async with Bench(way, answering(way.upstream.whole())) as bench:
        answer = await send(bench, text_of({**fields_of(way), "zz": nested(MAX_DEPTH)}))
        assert answer.status == 200


@pytest.mark.parametrize(
    "depth", [MAX_DEPTH + 1, 2_000, 1_000_000], ids=["B14-one-too-deep", "B14-recursion-limit", "B14-million"]
)
@every_way
async def test_deeper_document_is_refused(way: Way, depth: int) -> None:
    async with Bench(way) as bench:
        answer = await send(bench, text_of({**fields_of(way), "zz": nested(depth)}))
        assert_refused(bench, answer, 400, "invalid_value")


@every_way
async def test_B14_brackets_that_never_close_are_refused(way: Way) -> None:
    async with Bench(way) as bench:
        answer = await send(bench, b"[" * 1_000_000)
        assert_refused(bench, answer, 400, "invalid_value")


@every_way
async def test_B14_depth_is_a_key_of_the_configuration(way: Way) -> None:
    async with Bench(way, limits={"max_depth": 20}) as bench:
        answer = await send(bench, text_of({**fields_of(way), "zz": nested(21)}))
        assert_refused(bench, answer, 400, "invalid_value")


@every_way
async def test_B14_answer_of_an_upstream_that_is_too_deep_is_a_502(way: Way) -> None:
    deep = way.upstream.whole()[:-1] + b',"zz":' + nested(2_000) + b"}"
    async with Bench(way, answering(deep)) as bench:
        answer = await send(bench, with_fields(way))
        assert (answer.status, answer.header("x-ds2api-error")) == (502, "bad_upstream_answer")


@every_translation
async def test_B14_event_of_an_upstream_that_is_too_deep_breaks_the_stream(way: Way) -> None:
    start, *rest = way.upstream.text_stream()
    deep = start.rstrip()[:-1] + b',"zz":' + nested(2_000) + b"}\n\n"
    async with Bench(way, streaming(deep, *rest)) as bench:
        answer = await bench.ask(stream=True)
        code = {"chat": "bad_upstream_answer", "claude": "bad_event"}[way.upstream.name]
        assert (answer.status, answer.header("x-ds2api-error")) == (502, code)


@every_way
async def test_B15_large_body_is_judged_and_rewritten_off_the_loop(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: dict[str, set[bool]] = {"judged": set(), "rewritten": set()}
    loop = threading.get_ident()

    def seen(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def note(*args: Any, **more: Any) -> Any:
            threads[name].add(threading.get_ident() == loop)
            return work(*args, **more)

        return note

    monkeypatch.setattr("asgi_ds2api.serving.exchange.check_document", seen("judged", check_document))
    monkeypatch.setattr(Question, "_transcoder", seen("rewritten", Question._transcoder))
    for size, is_on_loop in ((2_000_000, False), (2_000, True)):
        async with Bench(way, answering(way.upstream.whole())) as bench:
            answer = await send(bench, said(b"x" * size)(way))
            assert answer.status == 200
        assert threads == {"judged": {is_on_loop}, "rewritten": {is_on_loop}}
        for where in threads.values():
            where.clear()


@pytest.mark.parametrize("way", [WAYS[name] for name in ("chat>claude", "claude>chat")], ids=["chat", "claude"])
async def test_B15_two_million_objects_are_counted_before_they_are_built(way: Way) -> None:
    async with Bench(way) as bench:
        body = text_of({**fields_of(way), "messages": b"[" + b",".join([b"{}"] * 2_000_000) + b"]"})
        answer = await send(bench, body)
        code = "array_above_max_length" if way.face.name == "chat" else "invalid_value"
        assert_refused(bench, answer, 400, code, "messages")
