"""What holds for every protocol, whatever it is: each row of ``PROTOCOLS`` is judged the moment it is there,
and so is a toy, which has none.

A protocol brings the bodies in which its leaves are looked for: ``tests/cases/<name>/requests.json``, a list of
``{"id", "body"}``.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import Any, TypeGuard

import msgspec
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from asgi_ds2api.canonical import (
    Block,
    Event,
    Media,
    Notices,
    ProtocolName,
    Reasoning,
    Refusal,
    Request,
    Response,
    Text,
    ToolCall,
    Usage,
)
from asgi_ds2api.codec import Codec, Envelope, HTTPCall
from asgi_ds2api.errors import MalformedRequest, Unsupported
from asgi_ds2api.fold import fold, unfold
from asgi_ds2api.profiles import Profile
from tests.support.strategies import requests, responses
from tests.support.streams import streams

from .with_toy import WITH_TOY

CASES = Path(__file__).parents[1] / "cases"
MAX_EVENT_BYTES = 1_000_000
ENVELOPE = Envelope(
    model="asked",
    stream=True,
    include_usage=True,
    include_reasoning_details=True,
    salt="1",
    created=1_700_000_000,
)

every_protocol = pytest.mark.parametrize("codec", WITH_TOY.values(), ids=WITH_TOY)
few = settings(max_examples=25, deadline=None)


def profile_of(codec: Codec) -> Profile:
    """Return the profile of the vendor who made a protocol."""
    return codec.DEFAULT_PROFILE


def plain(value: object) -> object:
    """Return a value as builtins, JSON parsed: white space, the order of keys and places do not count."""
    return without_places(msgspec.to_builtins(value, enc_hook=lambda raw: msgspec.json.decode(raw)))


PLACES = ("at", "detail_at", "overruled", "places", "source_at")
"""Fields of canonical values that tell where something stood."""


def without_places(value: object) -> object:
    if isinstance(value, dict):
        return {name: without_places(inner) for name, inner in value.items() if name not in PLACES}
    return [without_places(inner) for inner in value] if isinstance(value, list | tuple) else value


def without_nulls(value: object) -> object:
    """Return JSON without fields that are null: they say no more than absence."""
    if isinstance(value, dict):
        return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value


def parsed(call: HTTPCall) -> object:
    return without_nulls(json.loads(call.body))


# --- requests ---------------------------------------------------------------------------------------------------------


def written(codec: Codec, request: Request) -> HTTPCall:
    """Encode a request, without what this protocol refuses if it refuses it: tools first, then what is no text."""
    try:
        return codec.encode_request(request, profile_of(codec), Notices())
    except Unsupported:
        bare = msgspec.structs.replace(
            request, tools=(), tool_choice=None, parallel_tool_calls=None, output_format=None
        )
    try:
        return codec.encode_request(bare, profile_of(codec), Notices())
    except Unsupported:
        said = tuple(msgspec.structs.replace(m, content=tuple(b for b in m.content if not isinstance(b, Media)))
                     for m in bare.messages)  # fmt: skip
        return codec.encode_request(msgspec.structs.replace(bare, messages=said), profile_of(codec), Notices())


@every_protocol
@given(data=st.data())
@few
def test_a_request_that_was_written_and_read_is_written_alike(codec: Codec, data: st.DataObject) -> None:
    first = written(codec, data.draw(requests(codec.NAME)))
    once = codec.decode_request(codec.encode_request(codec.decode_request(first), profile_of(codec), Notices()))
    second = codec.encode_request(once, profile_of(codec), Notices())
    twice = codec.decode_request(second)
    assert plain(twice) == plain(once)
    assert parsed(codec.encode_request(twice, profile_of(codec), Notices())) == parsed(second)


@every_protocol
@given(data=st.data())
@few
def test_a_request_of_another_protocol_is_one_of_ours_once_it_is_written(codec: Codec, data: st.DataObject) -> None:
    try:
        first = written(codec, data.draw(requests("gemini_generate")))
    except Unsupported:
        reject()
    second = codec.encode_request(codec.decode_request(first), profile_of(codec), Notices())
    assert parsed(second) == parsed(first)


# --- answers ----------------------------------------------------------------------------------------------------------


@st.composite
def told_answers(draw: st.DrawFn, source: ProtocolName) -> Response:
    """Return an answer whose calls have ids of their own, and whose usage is told: an estimate depends on the form."""
    response = draw(responses(source).filter(_has_unique_ids))
    usage = response.usage or Usage(input_total=10, output_total=5)
    return msgspec.structs.replace(response, usage=usage)


def _has_unique_ids(response: Response) -> bool:
    ids = [block.id for choice in response.choices for block in choice.blocks if isinstance(block, ToolCall)]
    return len(set(ids)) == len(ids)


def as_stream(codec: Codec, events: Iterable[Event]) -> bytes:
    encoder = codec.StreamEncoder(ENVELOPE, Notices())
    return encoder.encode(list(events)) + encoder.close()


def read_stream(codec: Codec, pieces: Iterable[bytes]) -> list[Event]:
    decoder = codec.StreamDecoder(profile_of(codec), MAX_EVENT_BYTES)
    events = [event for piece in pieces for event in decoder.feed(piece)]
    if not decoder.is_complete:
        events += decoder.close()
    assert (decoder.is_complete, decoder.failure) == (True, None)
    return events


def read_whole(codec: Codec, response: Response) -> Response:
    body = codec.encode_response(response, ENVELOPE, Notices())
    return codec.decode_response(body, profile_of(codec))


def cut(draw: st.DataObject, data: bytes) -> Iterator[bytes]:
    """Return the pieces of a stream, cut anywhere."""
    edges = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=12)))
    for start, end in zip([0, *edges], [*edges, len(data)], strict=True):
        yield data[start:end]


def said(response: Response) -> tuple[str, str, str, list[tuple[str, str, str]]]:
    """Return the text, the thinking, the refusal and the calls of an answer."""
    blocks = response.choices[0].blocks
    text = "".join(block.text for block in blocks if isinstance(block, Text))
    thinking = "".join(block.text for block in blocks if isinstance(block, Reasoning))
    refusal = "".join(block.text for block in blocks if isinstance(block, Refusal))
    calls = [
        (b.id, b.name, msgspec.json.encode(_parsed(b.arguments)).decode()) for b in blocks if isinstance(b, ToolCall)
    ]
    return text, thinking, refusal, calls


def by_kind(response: Response) -> Response:
    """Return an answer with its blocks by kind: the whole answer of some protocols knows no order among kinds.

    Plain thinking that was cut in two is the same thinking.
    """
    choices = [
        msgspec.structs.replace(choice, blocks=joined(sorted(choice.blocks, key=lambda block: type(block).__name__)))
        for choice in response.choices
    ]
    return msgspec.structs.replace(response, choices=tuple(choices))


def joined(blocks: Iterable[Block]) -> tuple[Block, ...]:
    """Return blocks with neighbours that are plain thinking put together."""
    found: list[Block] = []
    for block in blocks:
        if found and is_plain(found[-1]) and is_plain(block):
            found[-1] = Reasoning(text=f"{found[-1].text}{block.text}")
        else:
            found.append(block)
    return tuple(found)


def is_plain(block: Block) -> TypeGuard[Reasoning]:
    """Tell whether a block is thinking and nothing more."""
    return isinstance(block, Reasoning) and block == Reasoning(text=block.text, at=block.at)


def heap(parts: tuple[str, str, str, list[tuple[str, str, str]]]) -> object:
    """Return what was said without its order: blocks that interleave may be cut in two and put in a row."""
    text, thinking, refusal, calls = parts
    return Counter(text), Counter(thinking), Counter(refusal), sorted(calls)


def _parsed(arguments: str) -> object:
    try:
        return msgspec.json.decode(arguments or "{}")
    except msgspec.DecodeError:
        return arguments


SOURCES: list[ProtocolName] = ["openai_chat", "openai_responses", "anthropic_messages", "gemini_generate"]
every_source = pytest.mark.parametrize("source", SOURCES)


@every_protocol
@every_source
@given(data=st.data())
@few
def test_streamed_and_whole_are_the_same_answer(codec: Codec, source: ProtocolName, data: st.DataObject) -> None:
    response = data.draw(told_answers(source))
    whole = read_whole(codec, response)
    streamed = fold(read_stream(codec, [as_stream(codec, unfold(response))]), codec.join_opaque)
    assert plain(by_kind(streamed)) == plain(by_kind(whole))


@every_protocol
@every_source
@given(data=st.data())
@few
def test_however_an_answer_comes_it_says_the_same(codec: Codec, source: ProtocolName, data: st.DataObject) -> None:
    response = data.draw(told_answers(source))
    events = read_stream(codec, [as_stream(codec, data.draw(streams(response)))])
    folded, whole = fold(events, codec.join_opaque), read_whole(codec, response)
    assert heap(said(folded)) == heap(said(whole))
    assert folded.choices[0].finish.reason == whole.choices[0].finish.reason
    assert plain(folded.usage) == plain(whole.usage)


@every_protocol
@given(data=st.data())
@few
def test_an_answer_that_was_written_and_read_stays_as_it_is(codec: Codec, data: st.DataObject) -> None:
    once = read_whole(codec, data.draw(told_answers(codec.NAME)))
    assert plain(read_whole(codec, once)) == plain(once)


@every_protocol
@given(data=st.data())
@few
def test_any_split_of_a_stream_gives_the_same_events(codec: Codec, data: st.DataObject) -> None:
    stream = as_stream(codec, unfold(data.draw(told_answers(codec.NAME))))
    assert read_stream(codec, cut(data, stream)) == read_stream(codec, [stream])


@every_protocol
@given(data=st.data())
@few
def test_a_relayed_stream_is_unchanged_at_any_split(codec: Codec, data: st.DataObject) -> None:
    is_of_events = codec.STREAM_CONTENT_TYPE.startswith(b"text/event-stream")  # lines of JSON end in LF, or CRLF
    line_end = data.draw(st.sampled_from([b"\n", b"\r\n", b"\r"] if is_of_events else [b"\n", b"\r\n"]))
    stream = as_stream(codec, unfold(data.draw(told_answers(codec.NAME)))).replace(b"\n", line_end)
    for pieces in ([*cut(data, stream)], [stream[:-1], stream[-1:]]):  # before the last byte it is over already
        tap = codec.StreamTap(profile_of(codec), MAX_EVENT_BYTES)
        passed = b"".join(map(tap.feed, pieces)) + tap.close()
        assert (passed, tap.is_complete, tap.failure) == (stream, True, None)
        assert tap.is_meaningful


# --- nothing is lost in silence ---------------------------------------------------------------------------------------

WORD = "sentinel7919"
NUMBER = 7919


def leaves(value: object, path: str = "") -> Iterator[tuple[str, tuple[str | int, ...]]]:
    """Return the paths of all texts and numbers of a body, as text and as keys."""

    def walk(value: object, path: str, keys: tuple[str | int, ...]) -> Iterator[tuple[str, tuple[str | int, ...]]]:
        if isinstance(value, dict):
            for name, inner in value.items():
                yield from walk(inner, f"{path}.{name}".removeprefix("."), (*keys, name))
        elif isinstance(value, list):
            for i, inner in enumerate(value):
                yield from walk(inner, f"{path}[{i}]", (*keys, i))
        elif isinstance(value, str | int | float) and not isinstance(value, bool):
            yield path, keys

    yield from walk(value, path, ())


def with_sentinel(body: Any, keys: tuple[str | int, ...]) -> Any:
    """Return a copy of a body with a leaf that is found again."""
    copy = json.loads(json.dumps(body))
    place = copy
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = WORD if isinstance(place[keys[-1]], str) else NUMBER
    return copy


def bodies(codec: Codec) -> list[tuple[str, Any]]:
    file = CASES / codec.NAME / "requests.json"
    return [(case["id"], case["body"]) for case in json.loads(file.read_text())] if file.exists() else []


ACCOUNTED = [
    pytest.param(source, target, body, id=f"{source.NAME}-{target.NAME}-{name}")
    for source, target in product(WITH_TOY.values(), WITH_TOY.values())
    for name, body in bodies(source)
]


@pytest.mark.parametrize(("source", "target", "body"), ACCOUNTED)
def test_every_leaf_is_on_the_other_side_or_in_a_notice(source: Codec, target: Codec, body: Any) -> None:
    lost = []
    for path, keys in leaves(body):
        call = HTTPCall(method="POST", path=source.ROUTES[0].path, body=json.dumps(with_sentinel(body, keys)).encode())
        try:
            request = source.decode_request(call)
            notices = Notices(request.places)
            written = target.encode_request(request, profile_of(target), notices)
        except (MalformedRequest, Unsupported):
            continue  # refused, which is no silence
        sent = written.body + written.path.encode()
        is_there = WORD.encode() in sent or str(NUMBER).encode() in sent
        if not is_there and not any(path.startswith(notice.path) for notice in notices):
            lost.append(path)
    assert lost == []
