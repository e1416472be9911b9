"""Hypothesis strategies for the parts that requests and answers are made of: texts, names, raw JSON, blocks.

Strategies are made once: making them costs more than drawing from them.
"""

from functools import cache
from typing import TypeVar

import msgspec
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from msgspec import Raw

from asgi_ds2api.canonical import (
    Base64Source,
    Block,
    BlocksSource,
    CacheMark,
    Citation,
    Extras,
    FileSource,
    Media,
    MediaSource,
    Opaque,
    ProtocolName,
    Reasoning,
    Refusal,
    Text,
    TextSource,
    ToolCall,
    ToolResult,
    UrlSource,
)
from asgi_ds2api.protocols import PROTOCOLS

T = TypeVar("T")

PROTOCOL_NAMES: tuple[ProtocolName, ...] = (*PROTOCOLS, "x_next_years")
NASTY_TEXTS = (
    "\n\ndata: [DONE]\n\n",
    "\r\nevent: error\r\ndata: {}\r\n\r\n",
    "\u2028\u2029\u0085\x0b\x0c\x1c",
    "\0",
    "\ufeffé日😀",
    "</think><tool_call>{}</tool_call>",
    "%s {api_key} ${ENV} {{7*7}}",
)
"""Text that breaks whoever takes content for form."""


def maybe(values: SearchStrategy[T]) -> SearchStrategy[T | None]:
    """Return None, or one of the values."""
    return st.none() | values


def tuples_of(values: SearchStrategy[T], *, min_size: int = 0, max_size: int = 3) -> SearchStrategy[tuple[T, ...]]:
    """Return short tuples of the values."""
    return st.lists(values, min_size=min_size, max_size=max_size).map(tuple)


@cache
def texts(*, min_size: int = 0, max_size: int = 20) -> SearchStrategy[str]:
    """Return any text that UTF-8 can hold, nasty ones often."""
    return st.sampled_from(NASTY_TEXTS) | st.text(st.characters(codec="utf-8"), min_size=min_size, max_size=max_size)


@cache
def names() -> SearchStrategy[str]:
    """Return names that every vendor accepts for a tool."""
    return st.from_regex(r"[a-z][a-z0-9_-]{0,15}", fullmatch=True)


@cache
def ids(prefix: str) -> SearchStrategy[str]:
    """Return ids in the form that vendors give them."""
    return st.from_regex(r"[A-Za-z0-9]{4,12}", fullmatch=True).map(lambda tail: f"{prefix}_{tail}")


@cache
def opaque_texts() -> SearchStrategy[str]:
    """Return signatures and ciphertexts: base64 that nobody here can read."""
    return st.binary(min_size=3, max_size=12).map(lambda data: msgspec.json.encode(data).decode().strip('"'))


@cache
def json_values() -> SearchStrategy[object]:
    """Return anything that JSON can say, with numbers that survive a round trip."""
    numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False, width=32)
    scalars = st.none() | st.booleans() | numbers | texts(max_size=8)
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(max_size=8), inner, max_size=3),
        max_leaves=6,
    )


def raws(values: SearchStrategy[object] | None = None) -> SearchStrategy[Raw]:
    """Return the values as raw JSON."""
    return (json_values() if values is None else values).map(lambda value: Raw(msgspec.json.encode(value)))


@cache
def json_objects() -> SearchStrategy[dict[str, object]]:
    """Return JSON objects."""
    return st.dictionaries(texts(max_size=8), json_values(), max_size=3)


@cache
def extras() -> SearchStrategy[Extras]:
    """Return fields that no protocol knows; mostly none."""
    return st.just({}) | st.dictionaries(names().map("x_unknown_{}".format), raws(), max_size=2)


@cache
def schemas() -> SearchStrategy[Raw]:
    """Return JSON Schemas of objects."""
    kinds = st.sampled_from(["string", "integer", "boolean"])
    properties = st.dictionaries(names(), st.fixed_dictionaries({"type": kinds}), max_size=3)
    return raws(properties.map(lambda fields: {"type": "object", "properties": fields, "required": list(fields)}))


@cache
def cache_marks() -> SearchStrategy[CacheMark]:
    """Return the end of a cached prefix."""
    return st.builds(CacheMark, ttl=maybe(st.sampled_from(["5m", "1h"])))


@cache
def citations(source: ProtocolName) -> SearchStrategy[Citation]:
    """Return where a piece of text comes from."""
    return st.builds(
        Citation,
        protocol=st.just(source),
        raw=raws(json_objects()),
        url=maybe(st.just("https://example.com/a?b=1")),
        title=maybe(texts()),
        cited_text=maybe(texts()),
        start=maybe(st.integers(0, 99)),
        end=maybe(st.integers(100, 200)),
    )


@cache
def text_blocks() -> SearchStrategy[Text]:
    """Return plain text, without citations and marks."""
    return st.builds(Text, text=texts(min_size=1), extras=extras())


@cache
def marked_text_blocks(source: ProtocolName) -> SearchStrategy[Text]:
    """Return text with everything that may hang on it."""
    return st.builds(
        Text,
        text=texts(),
        citations=tuples_of(citations(source), max_size=2),
        cache=maybe(cache_marks()),
        extras=extras(),
    )


@cache
def media_sources(source: ProtocolName) -> SearchStrategy[MediaSource]:
    """Return all the ways in which media are given."""
    data = st.binary(min_size=1, max_size=12).map(lambda raw: msgspec.json.encode(raw).decode().strip('"'))
    return st.one_of(
        st.builds(Base64Source, media_type=st.sampled_from(["image/png", "image/jpeg", "application/pdf"]), data=data),
        st.builds(UrlSource, url=st.just("https://example.com/cat.png")),
        st.builds(FileSource, file_id=ids("file"), protocol=st.just(source)),
        st.builds(TextSource, text=texts(min_size=1)),
        st.builds(BlocksSource, blocks=tuples_of(text_blocks(), min_size=1, max_size=2)),
    )


@cache
def images() -> SearchStrategy[Media]:
    """Return images as every vendor takes them: bytes, or a URL."""
    data = st.binary(min_size=1, max_size=12).map(lambda raw: msgspec.json.encode(raw).decode().strip('"'))
    return st.builds(
        Media,
        kind=st.just("image"),
        source=st.builds(Base64Source, media_type=st.sampled_from(["image/png", "image/jpeg"]), data=data)
        | st.builds(UrlSource, url=st.just("https://example.com/cat.png")),
        detail=maybe(st.sampled_from(["auto", "low", "high"])),
    )


@cache
def media(source: ProtocolName) -> SearchStrategy[Media]:
    """Return media of any kind, from anywhere."""
    return st.builds(
        Media,
        kind=st.sampled_from(["image", "audio", "video", "document", "file"]),
        source=media_sources(source),
        name=maybe(names()),
        context=maybe(texts()),
        detail=maybe(st.sampled_from(["auto", "low", "high"])),
        citations_enabled=maybe(st.booleans()),
        cache=maybe(cache_marks()),
        extras=extras(),
    )


@cache
def reasoning_blocks() -> SearchStrategy[Reasoning]:
    """Return thinking: signed, unsigned, summarised, or redacted."""
    shown = st.builds(
        Reasoning,
        text=texts(min_size=1),
        is_summary=st.booleans(),
        signature=maybe(opaque_texts()),
        origin=maybe(st.sampled_from(["anthropic", "openai"])),
        extras=extras(),
    )
    return shown | st.builds(Reasoning, redacted=opaque_texts(), origin=st.just("anthropic"), extras=extras())


@cache
def tool_calls() -> SearchStrategy[ToolCall]:
    """Return calls of functions, with arguments that are an object or were not sent."""
    arguments = json_objects().map(lambda value: msgspec.json.encode(value).decode())
    return st.builds(ToolCall, id=ids("call"), name=names(), arguments=st.just("") | arguments, extras=extras())


@cache
def custom_calls() -> SearchStrategy[ToolCall]:
    """Return calls of custom tools, whose arguments are free text."""
    return st.builds(ToolCall, id=ids("call"), name=names(), arguments=texts(), kind=st.just("custom"))


@cache
def tool_results() -> SearchStrategy[ToolResult]:
    """Return what a tool gave back, for a call that is yet to be named."""
    return st.builds(
        ToolResult,
        call_id=st.just(""),
        blocks=tuples_of(st.builds(Text, text=texts(min_size=1)), min_size=1, max_size=2),
        is_error=st.sampled_from([None, True]),
    )


@cache
def opaque_blocks(source: ProtocolName) -> SearchStrategy[Opaque]:
    """Return blocks that only ``source`` understands."""
    return st.builds(
        lambda kind, fields, fallback: Opaque(
            protocol=source, type=kind, raw=Raw(msgspec.json.encode({**fields, "type": kind})), fallback=fallback
        ),
        st.sampled_from(["server_tool_use", "compaction", "x_next_year"]),
        json_objects(),
        maybe(texts()),
    )


@cache
def answer_blocks(source: ProtocolName) -> SearchStrategy[Block]:
    """Return anything that a model may answer with."""
    return st.one_of(
        marked_text_blocks(source),
        reasoning_blocks(),
        tool_calls(),
        custom_calls(),
        st.builds(Refusal, text=texts(), extras=extras()),
        media(source),
        opaque_blocks(source),
    )
