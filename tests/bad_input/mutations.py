"""Requests of every field, and what a careless or hostile client may make of them.

JSON is held as its parts here, not as Python's values: a mutation may write a name twice, half a surrogate pair, or a
number of five thousand digits, which no dict can hold. An array is a list, an object a list of pairs in `Object`, a
leaf is its text.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SCHEMA = {"type": "object", "properties": {"city": {"type": "string", "enum": ["a", "b"]}}, "required": ["city"]}

CHAT: dict[str, Any] = {
    "stream": False,
    "stream_options": {"include_usage": True},
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
        {
            "role": "user",
            "name": "ada",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}", "detail": "low"}},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "Hm.",
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "a"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "Rain."},
        {"role": "assistant", "content": [{"type": "text", "text": "It rains."}], "refusal": None},
        {"role": "user", "content": "Thanks."},
    ],
    "tools": [
        {"type": "function", "function": {"name": "weather", "description": "W", "parameters": SCHEMA, "strict": True}}
    ],
    "tool_choice": {"type": "function", "function": {"name": "weather"}},
    "parallel_tool_calls": False,
    "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA, "strict": True}},
    "reasoning_effort": "low",
    "max_completion_tokens": 64,
    "temperature": 0.5,
    "top_p": 0.9,
    "frequency_penalty": 0.1,
    "presence_penalty": 0.1,
    "logit_bias": {"50256": -100},
    "seed": 7,
    "stop": ["###"],
    "n": 1,
    "user": "u",
    "metadata": {"run": "1"},
    "service_tier": "auto",
    "store": False,
}
CLAUDE: dict[str, Any] = {
    "stream": False,
    "max_tokens": 2048,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "5m"}}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
                {
                    "type": "document",
                    "title": "t",
                    "citations": {"enabled": True},
                    "source": {"type": "text", "media_type": "text/plain", "data": "A text."},
                },
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
                {"type": "redacted_thinking", "data": "cmVk"},
                {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "a"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "is_error": False,
                    "content": [{"type": "text", "text": "Rain."}],
                }
            ],
        },
        {"role": "assistant", "content": "It rains."},
        {"role": "user", "content": "Thanks."},
    ],
    "tools": [{"name": "weather", "description": "W", "input_schema": SCHEMA, "cache_control": {"type": "ephemeral"}}],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "top_k": 5,
    "stop_sequences": ["###"],
    "metadata": {"user_id": "u"},
    "service_tier": "auto",
}
RICH = {"chat": CHAT, "claude": CLAUDE}
"""Face -> a request with a value in nearly every field that the face has; ``model`` is left to the test."""

JUNK = (
    *("null", "true", "false", "0", "-1", "1", "1.0", "1.5", "-0.0", "1e308", "1e400", "-1e400", "5e-324"),
    *(str(2**31), str(2**53 + 1), str(2**63), str(2**64), str(-(2**63) - 1), "9" * 400, "9" * 5_000, "0." + "1" * 900),
    *('""', '" "', '"true"', '"1"', '"auto"', '"user"', '"base64"', '"data:,"', '"data:image/png;base64,,"'),
    *(r'"\u0000"', r'"a\u0000b"', r'"\ud800"', r'"\udc00\ud800"', r'"\ud83d\ude00"', r'"\u2028\n\r\n\ndata: x"'),
    *('"{}"', '"[1"', '"__proto__"', '"{0.__class__}"', '"%s%n"', '"../.."', '"\x1b"', '"\x00"', f'"{"x" * 70_000}"'),
    *("[]", "[[]]", "[null]", "{}", '{"":{}}', '{"type":null}', '{"type":"text"}', '{"type":"zz"}', '{"a":1,"a":2}'),
    *("[" * 100 + "]" * 100, "[" * 200 + "]" * 200, '{"a":' * 100 + "1" + "}" * 100, '{"a":' * 3_000 + "}" * 3_000),
    *("NaN", "Infinity", "-Infinity", "", "nul", "01", "+1", "1.", ".5", "'x'", "// x\n1", "[1,]", '{"a"}', '"', "["),
)  # fmt: skip
"""JSON texts, and what only looks like one."""


@dataclass
class Object:
    """Pairs of a name, as JSON text, and a value."""

    pairs: list[tuple[str, "Node"]]


Node: TypeAlias = "Object | list[Node] | str"
Place: TypeAlias = tuple[Object | list[Node], int]
"""A member of an object or an array: where it is, and its number there."""


def tree_of(value: Any) -> Node:
    """Return the parts of a JSON value."""
    if isinstance(value, dict):
        return Object([(json.dumps(name), tree_of(member)) for name, member in value.items()])
    if isinstance(value, list):
        return [tree_of(member) for member in value]
    return json.dumps(value)


def text_of(node: Node) -> str:
    """Write the parts."""
    if isinstance(node, Object):
        return "{" + ",".join(f"{name}:{text_of(member)}" for name, member in node.pairs) + "}"
    if isinstance(node, list):
        return "[" + ",".join(map(text_of, node)) + "]"
    return node


def places(node: Node) -> Iterator[Place]:
    """Yield every member of every object and array, outer ones first."""
    if isinstance(node, str):
        return
    members = [member for _, member in node.pairs] if isinstance(node, Object) else node
    for number, member in enumerate(members):
        yield node, number
        yield from places(member)


def get(place: Place) -> Node:
    """Return what stands there."""
    holder, number = place
    return holder.pairs[number][1] if isinstance(holder, Object) else holder[number]


def put(place: Place, value: Node) -> None:
    """Replace what stands there."""
    holder, number = place
    if isinstance(holder, Object):
        holder.pairs[number] = (holder.pairs[number][0], value)
    else:
        holder[number] = value


def _drop(draw: DrawFn, place: Place, root: Node) -> None:
    holder, number = place
    del (holder.pairs if isinstance(holder, Object) else holder)[number]


def _replace(draw: DrawFn, place: Place, root: Node) -> None:
    put(place, draw(st.sampled_from(JUNK)))


def _duplicate(draw: DrawFn, place: Place, root: Node) -> None:
    """Write a member again, as it is or as something else."""
    holder, number = place
    again = draw(st.sampled_from([text_of(get(place)), *JUNK]))
    if isinstance(holder, Object):
        holder.pairs.append((holder.pairs[number][0], again))
    else:
        holder.append(again)


def _retype(draw: DrawFn, place: Place, root: Node) -> None:
    """Say the same as a string, in an array, in an object, or as a member of what it was."""
    text = text_of(get(place))
    said = [json.dumps(text), f"[{text}]", f"[{text},{text}]", f'{{"a":{text}}}', f'{{"type":{text}}}']
    put(place, draw(st.sampled_from(said)))


def _rename(draw: DrawFn, place: Place, root: Node) -> None:
    holder, number = place
    if isinstance(holder, Object):
        names = ['"type"', '"zz"', '""', '"__proto__"', r'"\u0000"', r'"\ud800"', '"content"', '"messages"', '"\x00"']
        holder.pairs[number] = (draw(st.sampled_from(names)), holder.pairs[number][1])


def _graft(draw: DrawFn, place: Place, root: Node) -> None:
    """Put another part of the document there."""
    put(place, text_of(get(draw(st.sampled_from(list(places(root)))))))


_MUTATIONS = (_drop, _replace, _duplicate, _retype, _rename, _graft)


@st.composite
def mutated(draw: DrawFn, value: Any) -> bytes:
    """Return a document that was changed in one to three places."""
    tree = tree_of(value)
    for _ in range(draw(st.integers(1, 3))):
        all_places = list(places(tree))
        if all_places:
            draw(st.sampled_from(_MUTATIONS))(draw, draw(st.sampled_from(all_places)), tree)
    return text_of(tree).encode()


@st.composite
def any_pieces(draw: DrawFn, pieces: list[bytes]) -> list[bytes]:
    """Return pieces of which one may be missing, doubled or moved; never none."""
    changed = list(pieces)
    piece = changed.pop(draw(st.integers(0, len(changed) - 1)))
    for _ in range(draw(st.integers(0, 2))):
        changed.insert(draw(st.integers(0, len(changed))), piece)
    return changed


def mutants(face: str, model: str) -> SearchStrategy[bytes]:
    """Return requests of a face that were changed in one to three places, streamed or not."""
    asked = {"model": model, **RICH[face]}
    return mutated({**asked, "stream": False}) | mutated({**asked, "stream": True})


@st.composite
def torn(draw: DrawFn, face: str, model: str) -> bytes:
    """Return a request of a face of which some bytes were lost, or others came between."""
    whole = json.dumps({"model": model, **RICH[face]}).encode()
    start = draw(st.integers(0, len(whole)))
    end = start + draw(st.sampled_from([0, 1, 2, 3, 50, len(whole)]))
    return whole[:start] + draw(st.binary(max_size=4)) + whole[end:]
