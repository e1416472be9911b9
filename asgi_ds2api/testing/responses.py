"""OpenAI Responses as the fake speaks it: https://platform.openai.com/docs/api-reference/responses (2026-11).

Deliberate divergences:

1. Nothing is kept: ``previous_response_id``, ``conversation`` and references to items are a 404, as if expired.
2. Unknown fields are ignored, where OpenAI answers 400.
3. Only functions are called; hosted tools and ``custom`` ones are read and not acted upon.
"""

import itertools
import time
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import msgspec

from . import chat
from .answer import SSE_HEADERS, Answer, Error, Fault, Frame, converted, invalid, json_answer
from .attachments import from_url
from .http1 import Request
from .seals import is_own, seal
from .turn import Call, Choice, Media, Message, Prompt, Result, Tool, Turn, count, pieces

STREAM_HEADERS = SSE_HEADERS
_MIN_TOKENS = 16
_NEEDS = {"function_call": ("call_id", "name", "arguments"), "function_call_output": ("call_id", "output")}


class _Part(msgspec.Struct):
    type: str
    text: str = ""
    refusal: str = ""
    image_url: str | None = None
    file_data: str | None = None
    file_id: str | None = None
    file_url: str | None = None


class _Item(msgspec.Struct):
    type: str = "message"
    role: Literal["system", "developer", "user", "assistant"] | None = None
    content: str | list[_Part] | None = None
    call_id: str = ""
    name: str = ""
    arguments: str | None = None
    output: str | list[_Part] | None = None
    input: str = ""
    encrypted_content: str | None = None
    id: str | None = None


class _Tool(msgspec.Struct):
    type: str
    name: str = ""
    description: str | None = None
    parameters: dict[str, object] | None = None


class _Choice(msgspec.Struct):
    type: str
    name: str | None = None
    mode: Literal["auto", "required"] = "auto"
    tools: list[_Tool] = []


class _Format(msgspec.Struct):
    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    schema: dict[str, object] | None = None


class _Text(msgspec.Struct):
    format: _Format | None = None


class _Reasoning(msgspec.Struct):
    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None


class _Request(msgspec.Struct):
    model: Annotated[str, msgspec.Meta(min_length=1)]
    input: str | list[_Item] = []
    instructions: str | None = None
    include: list[str] | None = None
    tools: list[_Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | _Choice | None = None
    parallel_tool_calls: bool | None = None
    text: _Text | None = None
    reasoning: _Reasoning | None = None
    max_output_tokens: Annotated[int, msgspec.Meta(ge=_MIN_TOKENS)] | None = None
    previous_response_id: str | None = None
    conversation: object = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    stream: bool | None = None


def read(body: object, asked: Request) -> Prompt:
    """Understand the body of ``POST /v1/responses``, or of ``/v1/responses/input_tokens``."""
    request = converted(body, _Request)
    if request.previous_response_id is not None or request.conversation is not None:
        name = request.previous_response_id or "of the conversation"
        raise Fault(
            Error(
                status=404,
                message=f"Previous response with id '{name}' not found.",
                param="previous_response_id",
                code="previous_response_not_found",
            )
        )
    items = [_Item(role="user", content=request.input)] if isinstance(request.input, str) else request.input
    if not items:
        raise invalid("Missing required parameter: 'input'.", "input", "missing_required_parameter")
    _check_items(items)
    choice, tools = _offered(request)
    reasoning = request.reasoning or _Reasoning()
    instructions = [Message(role="system", text=request.instructions)] if request.instructions else []
    return Prompt(
        model=request.model,
        messages=(*instructions, *(_message(item, f"input[{i}]") for i, item in enumerate(items))),
        tools=tools,
        choice=choice,
        output_schema=_output_schema(request.text.format if request.text is not None else None),
        reasons=reasoning.effort not in (None, "none"),
        shows_reasoning=reasoning.summary is not None,
        max_tokens=request.max_output_tokens,
        stream=bool(request.stream),
    )


def _message(item: _Item, path: str) -> Message:
    match item.type:
        case "message":
            parts = _parts(item.content)
            text = "\n".join(filter(None, (part.text or part.refusal for part in parts)))
            if item.role in ("system", "developer"):
                return Message(role="system", text=text)
            if item.role == "assistant":
                return Message(role="assistant", text=text)
            seen = (_media(part, f"{path}.content[{i}]") for i, part in enumerate(parts))
            return Message(role="user", text=text, media=tuple(media for media in seen if media is not None))
        case "function_call":
            hidden = 1 + count(item.arguments or "")
            return Message(role="assistant", call_ids=(item.call_id,), hidden_tokens=hidden)
        case "function_call_output":
            text = " ".join(part.text or f"[{part.type}]" for part in _parts(item.output))
            return Message(role="user", results=(Result(call_id=item.call_id, text=text),))
        case _:
            return Message(role="assistant", hidden_tokens=count(item.input))


def _parts(content: str | list[_Part] | None) -> list[_Part]:
    return [_Part(type="input_text", text=content)] if isinstance(content, str) else content or []


def _media(part: _Part, path: str) -> Media | None:
    if part.type == "input_image" and part.image_url is not None:
        return from_url(part.image_url, "image", f"{path}.image_url")
    if part.type == "input_file" and part.file_data is not None:
        return from_url(part.file_data, "file", f"{path}.file_data")
    if part.type in ("input_image", "input_file"):
        return Media(kind=part.type.removeprefix("input_"))
    if part.type not in ("input_text", "output_text", "refusal", "summary_text"):
        raise invalid(f"Invalid value: '{part.type}'.", f"{path}.type")
    return None


def _check_items(items: Sequence[_Item]) -> None:
    """Refuse items without what they need, calls without their outputs, outputs without their calls, others' seals."""
    calls = {item.call_id for item in items if item.type == "function_call"}
    outputs = {item.call_id for item in items if item.type == "function_call_output"}
    for i, item in enumerate(items):
        missing = [name for name in _NEEDS.get(item.type, ()) if getattr(item, name) in (None, "")]
        if item.type == "message" and item.role is None:
            missing = ["role"]
        if missing and not (missing == ["arguments"] and item.arguments == ""):
            path = f"input[{i}].{missing[0]}"
            raise invalid(f"Missing required parameter: '{path}'.", path, "missing_required_parameter")
        if item.type == "item_reference":
            raise Fault(Error(status=404, message=f"Item with id '{item.id}' not found.", param="input"))
        if item.type == "reasoning" and item.encrypted_content is not None and not is_own(item.encrypted_content):
            message = f"The encrypted content for item {item.id} could not be verified."
            raise invalid(message, None, "invalid_encrypted_content")
        if item.type == "function_call" and item.call_id not in outputs:
            raise invalid(f"No tool output found for function call {item.call_id}.", "input", None)
        if item.type == "function_call_output" and item.call_id not in calls:
            raise invalid(f"No tool call found for function call output with call_id {item.call_id}.", "input", None)


def _offered(request: _Request) -> tuple[Choice, tuple[Tool, ...]]:
    """Return the tools that may be called and whether they must be."""
    functions = [tool for tool in request.tools or () if tool.type == "function"]
    for i, tool in enumerate(functions):
        if not chat.NAME.fullmatch(tool.name):
            raise invalid(f"Invalid 'tools[{i}].name': does not match {chat.NAME.pattern}.", f"tools[{i}].name")
    names = [tool.name for tool in functions]
    choice, allowed = _choice(request, names)
    return choice, tuple(
        Tool(name=tool.name, description=tool.description or "", schema=tool.parameters or {})
        for tool in functions
        if tool.name in allowed
    )


def _choice(request: _Request, names: Sequence[str]) -> tuple[Choice, Sequence[str]]:
    asked, is_parallel = request.tool_choice, request.parallel_tool_calls is not False
    if isinstance(asked, str):
        return Choice(mode=asked, is_parallel=is_parallel), names
    if asked is not None and asked.type == "function":
        if asked.name not in names:
            raise invalid(f"Tool choice '{asked.name}' not found in 'tools' parameter.", "tool_choice")
        return Choice(mode="required", name=asked.name, is_parallel=is_parallel), names
    if asked is not None and asked.type == "allowed_tools":
        return Choice(mode=asked.mode, is_parallel=is_parallel), [tool.name for tool in asked.tools]
    return Choice(is_parallel=is_parallel), names


def _output_schema(wanted: _Format | None) -> dict[str, object] | None:
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return {"type": "object", "required": ["answer"]}
    if wanted.schema is None or wanted.name is None:
        path = f"text.format.{'name' if wanted.name is None else 'schema'}"
        raise invalid(f"Missing required parameter: '{path}'.", path, "missing_required_parameter")
    return wanted.schema


def count_tokens(prompt: Prompt, serial: int) -> Answer:
    """Answer ``POST /v1/responses/input_tokens``."""
    body = {"object": "response.input_tokens", "input_tokens": prompt.input_tokens}
    return json_answer(200, body, chat.headers(serial))


def answer(prompt: Prompt, turn: Turn, serial: int) -> Answer:
    """Say a turn as a ``response``, or as its events."""
    head: dict[str, object] = {
        "id": f"resp_fake{serial:08d}",
        "object": "response",
        "created_at": int(time.time()),
        "model": prompt.model,
        "error": None,
        "instructions": None,
        "metadata": {},
        "parallel_tool_calls": prompt.choice.is_parallel,
        "temperature": 1.0,
        "top_p": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "service_tier": "default",
        "store": False,
    }
    items = [*_items(prompt, turn, serial)]
    if prompt.stream:
        return Answer(headers=(*SSE_HEADERS, *chat.headers(serial)), frames=_stream(head, items, prompt, turn))
    return json_answer(200, _ended(head, items, prompt, turn), chat.headers(serial))


def _ended(head: dict[str, object], items: Sequence[dict[str, Any]], prompt: Prompt, turn: Turn) -> dict[str, object]:
    """Return the whole response."""
    is_cut = turn.ending == "length"
    return {
        **head,
        "status": "incomplete" if is_cut else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if is_cut else None,
        "output": items,
        "usage": _usage(prompt, turn),
    }


def _items(prompt: Prompt, turn: Turn, serial: int) -> Iterator[dict[str, Any]]:
    """Yield the items of a turn, whole."""
    if turn.reasoning:
        summary = [{"type": "summary_text", "text": turn.reasoning}] if prompt.shows_reasoning else []
        item: dict[str, Any] = {"id": f"rs_fake{serial:08d}", "type": "reasoning", "summary": summary}
        yield {**item, "encrypted_content": seal(turn.reasoning)}
    if turn.text or not turn.calls:
        part = {"type": "output_text", "text": turn.text, "annotations": [], "logprobs": []}
        status = "incomplete" if turn.ending == "length" else "completed"
        item = {"id": f"msg_fake{serial:08d}", "type": "message", "status": status, "role": "assistant"}
        yield {**item, "content": [part]}
    for i, call in enumerate(turn.calls):
        yield _called(call, serial, i)


def _called(call: Call, serial: int, index: int) -> dict[str, Any]:
    return {
        "id": f"fc_fake{serial:08d}{index:08d}",
        "type": "function_call",
        "status": "completed",
        "call_id": f"call_fake{serial:08d}{index:08d}",
        "name": call.name,
        "arguments": call.arguments,
    }


def _stream(head: dict[str, object], items: Sequence[dict[str, Any]], prompt: Prompt, turn: Turn) -> Iterator[Frame]:
    begun = {**head, "status": "in_progress", "incomplete_details": None, "output": [], "usage": None}
    whole = _ended(head, items, prompt, turn)
    told: Iterator[tuple[str, dict[str, object]]] = itertools.chain(
        [("response.created", {"response": begun}), ("response.in_progress", {"response": begun})],
        *(_item_events(item, index) for index, item in enumerate(items)),
        [(f"response.{whole['status']}", {"response": whole})],
    )
    for number, (kind, fields) in enumerate(told):
        is_word = kind.endswith(".delta")
        yield Frame(event({"type": kind, "sequence_number": number, **fields}), is_word)


def _item_events(item: dict[str, Any], index: int) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield the events of an item: it begins empty, and ends whole."""
    at = {"item_id": item["id"], "output_index": index}
    opened = {**item, "status": "in_progress"} if "status" in item else dict(item)
    match item["type"]:
        case "message":
            yield "response.output_item.added", {"output_index": index, "item": {**opened, "content": []}}
            yield from _text_events(item["content"][0], {**at, "content_index": 0})
        case "reasoning":
            yield "response.output_item.added", {"output_index": index, "item": {**opened, "summary": []}}
            for number, part in enumerate(item["summary"]):
                yield from _summary_events(part, {**at, "summary_index": number})
        case _:
            yield "response.output_item.added", {"output_index": index, "item": {**opened, "arguments": ""}}
            for piece in pieces(item["arguments"]):
                yield "response.function_call_arguments.delta", {**at, "delta": piece}
            done = {"arguments": item["arguments"], "name": item["name"]}
            yield "response.function_call_arguments.done", {**at, **done}
    yield "response.output_item.done", {"output_index": index, "item": item}


def _text_events(part: dict[str, Any], at: dict[str, object]) -> Iterator[tuple[str, dict[str, object]]]:
    yield "response.content_part.added", {**at, "part": {**part, "text": ""}}
    for piece in pieces(part["text"]):
        yield "response.output_text.delta", {**at, "delta": piece, "logprobs": []}
    yield "response.output_text.done", {**at, "text": part["text"], "logprobs": []}
    yield "response.content_part.done", {**at, "part": part}


def _summary_events(part: dict[str, Any], at: dict[str, object]) -> Iterator[tuple[str, dict[str, object]]]:
    yield "response.reasoning_summary_part.added", {**at, "part": {**part, "text": ""}}
    for piece in pieces(part["text"]):
        yield "response.reasoning_summary_text.delta", {**at, "delta": piece}
    yield "response.reasoning_summary_text.done", {**at, "text": part["text"]}
    yield "response.reasoning_summary_part.done", {**at, "part": part}


def _usage(prompt: Prompt, turn: Turn) -> dict[str, object]:
    given, made = prompt.input_tokens, turn.output_tokens
    return {
        "input_tokens": given,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": made,
        "output_tokens_details": {"reasoning_tokens": turn.reasoning_tokens},
        "total_tokens": given + made,
    }


def event(value: object) -> bytes:
    """Return one SSE event, named after its type if it has one."""
    name = value.get("type") if isinstance(value, dict) else None
    data = value.encode() if isinstance(value, str) else msgspec.json.encode(value)
    return (f"event: {name}\n".encode() if isinstance(name, str) else b"") + b"data: " + data + b"\n\n"


error = chat.error
models = chat.models
model = chat.model
no_key = chat.no_key
no_model = chat.no_model
