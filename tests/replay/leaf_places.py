"""Where the leaf of an event stands in the answer as a whole: there Notices look for it, and there it counts once."""

from collections.abc import Callable, Mapping
from typing import Final

from asgi_ds2api.canonical import ProtocolName
from tests.support.leaves import JSON, Keys, Leaf

Place = Callable[[Leaf], Keys]


def place_in_chunks(events: JSON) -> Place:
    """Return what tells where a leaf of a chunk of Chat's stands."""

    def place(leaf: Leaf) -> Keys:
        event, keys = events[leaf.keys[0]], leaf.keys[1:]
        if keys[0] != "choices":
            return keys
        choice, rest = event["choices"][keys[1]], keys[2:]
        if rest[0] == "delta":
            rest = ("message", *rest[1:])
        if rest[:2] == ("message", "tool_calls"):
            call = choice["delta"]["tool_calls"][rest[2]]
            rest = ("message", "tool_calls", call.get("index", rest[2]), *rest[3:])
        return ("choices", choice.get("index", keys[1]), *rest)

    return place


def place_in_messages(events: JSON) -> Place:
    """Return what tells where a leaf of an event of Anthropic's stands."""
    citations: dict[int, int] = {}
    numbers: dict[int, int] = {}
    for position, event in enumerate(events):
        if event.get("delta", {}).get("type") == "citations_delta":
            numbers[position] = citations.get(event["index"], 0)
            citations[event["index"]] = numbers[position] + 1

    def place(leaf: Leaf) -> Keys:
        position, keys = leaf.keys[0], leaf.keys[1:]
        event = events[position]
        match event["type"], keys[0]:
            case "message_start", "message":
                return keys[1:]
            case "content_block_start", "content_block":
                return ("content", event["index"], *keys[1:])
            case "content_block_delta", "delta" if keys[1] == "citation":
                return ("content", event["index"], "citations", numbers[int(position)], *keys[2:])
            case "content_block_delta", "delta":
                return ("content", event["index"], *keys[1:])
            case "message_delta", "delta":
                return keys[1:]
            case _:
                return keys

    return place


def place_in_parts(events: JSON) -> Place:
    """Return what tells where a leaf of a chunk of Gemini's stands: parts follow the parts of the chunks before."""
    before: list[dict[int, int]] = []
    count: dict[int, int] = {}
    for event in events:
        before.append(dict(count))
        for number, candidate in enumerate(event.get("candidates", ())):
            parts = candidate.get("content", {}).get("parts", ())
            count[number] = count.get(number, 0) + len(parts)

    def place(leaf: Leaf) -> Keys:
        position, keys = int(leaf.keys[0]), leaf.keys[1:]
        if keys[2:4] != ("content", "parts"):
            return keys
        number = int(keys[1])
        return (*keys[:4], before[position].get(number, 0) + int(keys[4]), *keys[5:])

    return place


def place_in_lines(events: JSON) -> Place:
    """Return what tells where a leaf of a line of Ollama's stands: calls follow the calls of the lines before."""
    before: list[int] = []
    count = 0
    for event in events:
        before.append(count)
        count += len(event.get("message", {}).get("tool_calls", ()))

    def place(leaf: Leaf) -> Keys:
        position, keys = int(leaf.keys[0]), leaf.keys[1:]
        if keys[:2] != ("message", "tool_calls"):
            return keys
        return (*keys[:2], before[position] + int(keys[2]), *keys[3:])

    return place


_PIECES: Final[Mapping[str, Keys]] = {
    "response.function_call_arguments": ("arguments",),
    "response.custom_tool_call_input": ("input",),
    "response.mcp_call_arguments": ("arguments",),
    "response.code_interpreter_call_code": ("code",),
    "response.apply_patch_call_operation_diff": ("operation", "diff"),
}
"""Events that hold a piece of a field, or the whole of it, and the field of the item."""


def _part(event: JSON) -> Keys:
    """Return which part of its item an event is of."""
    if "summary_index" in event:
        return ("summary", event["summary_index"])
    return ("content", event["content_index"]) if "content_index" in event else ()


def place_in_items(events: JSON) -> Place:
    """Return what tells where a leaf of an event of Responses' stands."""

    def place(leaf: Leaf) -> Keys:
        event, keys = events[leaf.keys[0]], leaf.keys[1:]
        kind, head = event["type"], keys[0]
        if head == "response":
            return keys[1:]
        item: Keys = ("output", event.get("output_index", 0))
        if head == "item":
            return (*item, *keys[1:])
        if head == "part":
            return (*item, *_part(event), *keys[1:])
        if head == "annotation":
            return (*item, "content", event["content_index"], "annotations", event["annotation_index"], *keys[1:])
        for name, place_ in _PIECES.items():
            if kind.startswith(name) and head in ("delta", place_[-1]):
                return (*item, *place_)
        if head in ("delta", "text", "refusal"):
            return (*item, *_part(event), "refusal" if "refusal" in kind else "text")
        if head == "logprobs":
            return (*item, *_part(event), *keys)
        return ("events", *keys)

    return place


PLACES: Final[Mapping[ProtocolName, Callable[[JSON], Place]]] = {
    "openai_chat": place_in_chunks,
    "openai_responses": place_in_items,
    "anthropic_messages": place_in_messages,
    "gemini_generate": place_in_parts,
    "ollama_chat": place_in_lines,
}
ADDED: Final[Mapping[ProtocolName, frozenset[str]]] = {
    "openai_chat": frozenset(
        {"arguments", "content", "input", "reasoning", "reasoning_content", "refusal", "text", "thinking"}
    ),
    "openai_responses": frozenset({"delta"}),
    "anthropic_messages": frozenset({"cited_text", "partial_json", "text", "thinking"}),
    "gemini_generate": frozenset({"text"}),
    "ollama_chat": frozenset({"content", "response", "thinking"}),
}
"""Fields whose pieces a stream adds up."""
