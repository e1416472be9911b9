"""B7, B9, B11, B28, B32, B51: what upstreams answer is input too, and reaches nobody as something else than it is."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from tests.faults.bench import (
    WAYS,
    Bench,
    Way,
    assert_told,
    assert_told_in_band,
    every_way,
    whole_and_streamed,
)
from tests.support.scripted_client import Script, answering, streaming

from .bodies import every_translation
from .mutations import any_pieces, mutated

pytestmark = pytest.mark.anyio

MARK = "zq9-mark"
HALVES = {"B7-high": rb"\ud800", "B7-low": rb"\udc00", "B7-swapped": rb"\udc00\ud800", "B7-in-text": rb"a\udbffb"}
LOST = {rb"\ud800": "\ufffd", rb"\udc00": "\ufffd", rb"\udc00\ud800": "\ufffd\ufffd", rb"a\udbffb": "a\ufffdb"}
"""What is told of each."""


def marked(frames: list[bytes], text: bytes) -> list[bytes]:
    """Put the inside of a JSON string in the place of the mark."""
    return [frame.replace(MARK.encode(), text) for frame in frames]


# --- B7, B9: characters -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("half", HALVES.values(), ids=HALVES.keys())
@every_translation
async def test_half_a_character_of_an_upstream_is_told_as_a_lost_one(way: Way, half: bytes) -> None:
    (body,) = marked([way.upstream.whole(MARK)], half)
    async with Bench(way, answering(body)) as bench:
        assert bench.seen(await bench.ask(stream=False), stream=False).text == LOST[half]


@pytest.mark.parametrize("half", HALVES.values(), ids=HALVES.keys())
@every_translation
async def test_half_a_character_ends_no_stream(way: Way, half: bytes) -> None:
    """One that waits for its other half in vain is left out."""
    frames = marked(way.upstream.text_stream(["Es war ", MARK, "einmal"]), half)
    async with Bench(way, streaming(*frames)) as bench:
        seen = bench.seen(await bench.ask(stream=True), stream=True)
        waits = half.endswith(rb"\ud800")
        told = LOST[half][:-1] if waits else LOST[half]
        assert (seen.is_success, seen.text) == (True, f"Es war {told}einmal")


@pytest.mark.parametrize("way", [way for way in WAYS.values() if way.mode == "relay"], ids=lambda way: way.face.name)
async def test_a_relay_passes_half_a_character_as_it_came(way: Way) -> None:
    (body,) = marked([way.upstream.whole(MARK)], HALVES["B7-high"])
    async with Bench(way, answering(body)) as bench:
        assert (await bench.ask(stream=False)).body == body


@whole_and_streamed
@every_way
async def test_B7_both_halves_are_one_character_and_B9_nul_is_text(way: Way, stream: bool) -> None:
    text = rb"\ud83d\ude00 \u0000"
    frames = marked(way.upstream.text_stream([MARK]) if stream else [way.upstream.whole(MARK)], text)
    async with Bench(way, streaming(*frames) if stream else answering(frames[0])) as bench:
        answer = await bench.ask(stream=stream)
        assert bench.seen(answer, stream=stream).text == "\N{GRINNING FACE} \0"
        assert b"\0" not in answer.body


# --- B11, B32: numbers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"], ids=lambda text: f"B11-{text}")
@every_way
async def test_number_that_json_has_not_is_no_answer(way: Way, text: str) -> None:
    body = way.upstream.whole()[:-1] + b',"zz":' + text.encode() + b"}"
    async with Bench(way, answering(body), accounts=1) as bench:
        assert_told(bench, await bench.ask(stream=False), "malformed", stream=False)


@pytest.mark.parametrize("text", ["1e400", "-1e400", "9" * 400], ids=["B11-1e400", "B11-minus", "B11-digits"])
@pytest.mark.parametrize("way", [WAYS["chat>chat.translated"]], ids=["chat"])
async def test_number_that_nothing_holds_is_never_written_as_null(way: Way, text: str) -> None:
    whole = json.loads(way.upstream.whole())
    token: dict[str, Any] = {"token": "a", "logprob": MARK, "bytes": None, "top_logprobs": []}
    whole["choices"][0]["logprobs"] = {"content": [token], "refusal": None}
    body = json.dumps(whole).replace(json.dumps(MARK), text).encode()
    async with Bench(way, answering(body)) as bench:
        answer = await bench.ask(stream=False)
        assert answer.status == 200
        assert b'"logprob": ' + text.encode() in answer.body


NUMBERS: dict[str, Any] = {
    "B32-10^30": 10**30,
    "B32-10^400": 10**400,
    "B32-negative": -5,
    "B32-NaN": "NaN",
    "B32-null": None,
    "B32-list": [1],
}


@pytest.mark.parametrize("number", NUMBERS.values(), ids=NUMBERS.keys())
@every_way
async def test_odd_ids_and_numbers_of_an_answer_do_no_harm(way: Way, number: Any) -> None:
    whole = {**json.loads(way.upstream.whole()), "id": number, "created": number, "model": number}
    if way.upstream.name == "chat":
        whole["choices"][0]["index"] = number
    async with Bench(way, answering(json.dumps(whole).encode())) as bench:
        answer = await bench.ask(stream=False)
        assert bench.seen(answer, stream=False).is_success
        if way.mode == "translate":
            told = json.loads(answer.body)
            assert isinstance(told["id"], str)
            assert told["model"] == f"{way.upstream.name}/test"
            assert way.face.name == "claude" or 0 <= told["created"] <= 2**53


@pytest.mark.parametrize(
    "value",
    ["1" * 30, "NaN", "-5", "1e400", "inf", "Thu, 01 Jan 9999999 00:00:00 GMT", "5; rm -rf", "\xb2"],
    ids=lambda value: f"B32-{value.encode('ascii', 'replace').decode()}",
)
@every_way
async def test_wait_that_is_no_number_is_none(way: Way, value: str) -> None:
    refusal = answering(way.upstream.error(429), status=429, headers={"retry-after": value, "retry-after-ms": value})
    async with Bench(way, refusal, accounts=1) as bench:
        answer = await bench.ask(stream=False)
        assert_told(bench, answer, "limited", stream=False)
        assert 1 <= int(answer.header("retry-after") or "") <= 60


# --- B28: arguments ---------------------------------------------------------------------------------------------------

ARGUMENTS = ["not json", '{"a":', "[1]", "{'a': 1}", "__import__('os').system('id')", '{"a":NaN}', '{"a":1}{"b":2}']


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=lambda text: f"B28-{text}")
@whole_and_streamed
@pytest.mark.parametrize("way", [WAYS[name] for name in ("chat>chat", "chat>chat.translated", "claude>chat")])
async def test_arguments_of_a_call_that_are_no_json_reach_the_caller_as_text(
    way: Way, stream: bool, arguments: str
) -> None:
    async with Bench(way, calling(way, arguments, stream=stream)) as bench:
        answer = await bench.ask(stream=stream)
        if stream and way.face.name == "claude" and arguments.startswith("{"):
            # They have been passed on when it shows that they are no object, and clients would complete them to one.
            assert_told_in_band(bench, answer, "malformed")
            return
        assert bench.seen(answer, stream=stream).is_success
        said = bench.seen(answer, stream=True).arguments if stream else arguments_of(way, answer.body)
        if said != arguments:  # what is no object is the one value of one, where arguments must be an object
            assert way.face.name == "claude"
            (value,) = json.loads(said).values()
            assert value in (arguments, [1])


def calling(way: Way, arguments: str, *, stream: bool) -> Script:
    """Return an answer of a Chat upstream that calls a tool."""
    if stream:
        return streaming(*way.upstream.tool_stream([arguments]))
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    whole = json.loads(way.upstream.whole())
    whole["choices"] = [{"index": 0, "message": message, "finish_reason": "tool_calls"}]
    return answering(whole)


def arguments_of(way: Way, body: bytes) -> str:
    """Return what a caller reads, as text."""
    told = json.loads(body)
    if way.face.name == "claude":
        return json.dumps(told["content"][0]["input"])
    arguments: str = told["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"]
    return arguments


# --- B51: markup ------------------------------------------------------------------------------------------------------

PAGE = b"<html><script>alert(1)</script>\x1b[31m\r\n"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 500], ids=lambda status: f"B51-{status}")
@every_way
async def test_page_of_an_upstream_is_never_passed_on(way: Way, status: int) -> None:
    page = answering(PAGE, status=status, headers={"content-type": "text/html", "x-evil": "1"})
    async with Bench(way, page, page, accounts=1) as bench:
        answer = await bench.ask(stream=False)
    assert answer.status in (status, 400, 502)
    assert answer.header("content-type") == "application/json"
    assert answer.header("x-content-type-options") == "nosniff"
    assert answer.header("x-evil") is None
    assert b"script" not in answer.body


@whole_and_streamed
@every_way
async def test_B51_page_with_status_200_is_no_answer(way: Way, stream: bool) -> None:
    frames = way.upstream.text_stream(["<script>"]) if stream else [way.upstream.whole("<script>")]
    page = answering(b"".join(frames), headers={"content-type": "text/html"})
    async with Bench(way, page, accounts=1) as bench:
        answer = await bench.ask(stream=stream)
        assert_told(bench, answer, "malformed", stream=stream)
        assert bench.codes == ["wrong_content_type"]
        assert b"script" not in answer.body


@every_way
async def test_B51_error_in_json_that_calls_itself_a_page_is_json(way: Way) -> None:
    error = answering(way.upstream.error(400, "<script>\x1b[31m"), status=400, headers={"content-type": "text/html"})
    async with Bench(way, error) as bench:
        answer = await bench.ask(stream=False)
    assert (answer.status, answer.header("content-type")) == (400, "application/json")
    assert b"\x1b" not in answer.body


# --- anything ---------------------------------------------------------------------------------------------------------

Make: TypeAlias = Callable[[Way], SearchStrategy[Script]]


@st.composite
def odd_wholes(draw: DrawFn, way: Way) -> Script:
    """Return an answer of which one to three members were changed."""
    return answering(draw(mutated(json.loads(way.upstream.whole())).filter(is_readable)))


def is_readable(body: bytes) -> bool:
    """Tell whether Python's own decoder reads the numbers of a document."""
    return b"9" * 4_301 not in body


@st.composite
def odd_streams(draw: DrawFn, way: Way) -> Script:
    """Return a stream of which frames are changed, missing, doubled or in another order."""
    frames = draw(any_pieces(draw(st.sampled_from([way.upstream.text_stream(), way.upstream.tool_stream()]))))
    for number in draw(st.sets(st.integers(0, len(frames) - 1), max_size=2)):
        head, mark, data = frames[number].partition(b"data: {")
        if mark:
            changed = draw(mutated(json.loads(b"{" + data)).filter(is_readable))
            frames[number] = head + b"data: " + changed.replace(b"\n", b" ") + b"\n\n"
    return streaming(*frames)


def halves(way: Way) -> SearchStrategy[Script]:
    """Return a stream that says any sequence of code units, halves of characters among them."""
    units = st.lists(st.sampled_from([0x61, 0x20AC, 0xD83D, 0xDE00, 0xD800, 0xDFFF]), max_size=4)
    pieces = st.lists(units.map(lambda codes: "".join(f"\\u{code:04x}" for code in codes).encode()), max_size=3)
    marks = [f"{MARK}-{number}." for number in range(3)]

    def said(texts: list[bytes]) -> Script:
        whole = b"".join(way.upstream.text_stream(marks))
        for number, text in enumerate([*texts, b"x", b"x", b"x"][:3]):
            whole = whole.replace(marks[number].encode(), text)
        return streaming(whole)

    return pieces.map(said)


ODD: dict[str, tuple[Make, bool]] = {
    "B32-wholes": (odd_wholes, False),
    "B50-streams": (odd_streams, True),
    "B7-halves": (halves, True),
}


FAULTS = frozenset({400, 429, 502, 503, 504, 529})
"""Statuses of what may be wrong with an upstream, and of what it may say about a request."""


@pytest.mark.parametrize(("make", "stream"), ODD.values(), ids=ODD.keys())
@every_translation
def test_any_answer_is_translated_or_told_to_be_none(way: Way, make: Make, stream: bool) -> None:
    """The caller reads a whole answer, or an error of its own protocol: ours about the upstream, never about us."""

    async def judge(script: Script) -> None:
        async with Bench(way, script, accounts=1) as bench:
            answer = await bench.ask(stream=stream)
            assert answer.status in FAULTS or answer.status == 200
            assert bench.record.code != "internal_error"
            if answer.body.count(b'"message":{') > 1:
                return  # an answer for each that the upstream gave, which is more than this reader reads
            seen = bench.seen(answer, stream=stream)
            assert seen.is_success == (bench.record.result == "ok") == (seen.error is None)
            json.dumps(seen.text, ensure_ascii=False).encode()  # no half of a character is in it

    with asyncio.Runner() as runner:

        @settings(max_examples=60)
        @given(script=make(way))
        def check(script: Script) -> None:
            runner.run(judge(script))

        check()
