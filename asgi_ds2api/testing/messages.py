"""Anthropic Messages as the fake speaks it: https://docs.anthropic.com/en/api/messages (2026-11).

The signature of a thinking block vouches for its text, as the real one does: whoever sends back a block that the fake
did not make, or changed one, gets the 400 that Anthropic gives.

Deliberate divergences:

1. Unknown fields are ignored, where Anthropic answers 400: clients come with betas that the fake has not heard of.
2. A signature is not bound to the model and the rest of the talk.
3. Only tools with an ``input_schema`` are called; server tools and built-in client tools are not.
4. Nothing is held: a ``thread`` that goes on is a 404, as if it had been lost.
"""

import base64
import binascii
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal

import msgspec

from .answer import SSE_HEADERS, Answer, Error, Fault, Frame, converted, invalid, json_answer
from .http1 import Request
from .seals import is_own, seal
from .turn import Choice, Media, Message, Prompt, Result, Tool, Turn, count, pieces

STREAM_HEADERS = SSE_HEADERS
_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_ID = re.compile(r"[A-Za-z0-9_-]+")
_VERSIONS = ("2023-06-01", "2026-10-21")
_WITHOUT_SAMPLING = "2026-10-21"
_STOP_REASONS = {"end": "end_turn", "stop": "stop_sequence", "length": "max_tokens", "calls": "tool_use"}
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_MIN_BUDGET = 1024
_MEDIA = ("image", "document")
_NO_THREAD = "thread_not_found"


class _Block(msgspec.Struct):
    type: str
    text: str = ""
    thinking: str = ""
    signature: str | None = None
    id: str = ""
    input: dict[str, object] | None = None
    tool_use_id: str = ""
    is_error: bool | None = None
    source: object = None
    content: object = None


class _Source(msgspec.Struct):
    type: str
    media_type: str = ""
    data: str = ""


class _Message(msgspec.Struct):
    role: Literal["user", "assistant", "system"]
    content: str | list[_Block]


class _Tool(msgspec.Struct):
    name: str = ""
    type: str | None = None
    description: str | None = None
    input_schema: dict[str, object] | None = None


class _Choice(msgspec.Struct):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class _Thinking(msgspec.Struct):
    type: Literal["enabled", "adaptive", "disabled", "between_tools"]
    budget_tokens: int | None = None
    display: str | None = None


class _Format(msgspec.Struct):
    type: Literal["json_schema"]
    schema: dict[str, object]


class _OutputConfig(msgspec.Struct):
    format: _Format | None = None


class _Thread(msgspec.Struct):
    type: Literal["create", "continue"]


class _CountRequest(msgspec.Struct, kw_only=True):
    model: Annotated[str, msgspec.Meta(min_length=1)]
    messages: Annotated[list[_Message], msgspec.Meta(min_length=1)]
    system: str | list[_Block] | None = None
    tools: list[_Tool] | None = None
    tool_choice: _Choice | None = None
    thinking: _Thinking | None = None
    output_config: _OutputConfig | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    top_p: float | None = None
    top_k: int | None = None


class _Request(_CountRequest, kw_only=True):
    max_tokens: Annotated[int, msgspec.Meta(ge=0)]
    stop_sequences: list[str] | None = None
    stream: bool | None = None
    thread: _Thread | None = None


def read(body: object, asked: Request) -> Prompt:
    """Understand the body of ``POST /v1/messages``."""
    request = converted(body, _Request)
    if request.thread is not None and request.thread.type == "continue":
        raise Fault(Error(status=404, message="No thread was found for this message.", code=_NO_THREAD))
    prompt = _read(request, asked.headers)
    if request.thinking is not None and request.thinking.type == "enabled":
        budget = request.thinking.budget_tokens or 0
        if budget < _MIN_BUDGET:
            raise invalid(f"thinking.enabled.budget_tokens: Input should be greater than or equal to {_MIN_BUDGET}")
        if budget >= request.max_tokens:
            raise invalid("`max_tokens` must be greater than `thinking.budget_tokens`.")
    return msgspec.structs.replace(
        prompt, max_tokens=request.max_tokens, stop=tuple(request.stop_sequences or ()), stream=bool(request.stream)
    )


def count_tokens(body: object, asked: Request, serial: int) -> Answer:
    """Answer ``POST /v1/messages/count_tokens``."""
    prompt = _read(converted(body, _CountRequest), asked.headers)
    return json_answer(200, {"input_tokens": prompt.input_tokens}, _headers(serial))


def _read(request: _CountRequest, headers: Mapping[str, str]) -> Prompt:
    version = headers.get("anthropic-version", "")
    if version not in _VERSIONS:
        raise invalid("anthropic-version: header is required, with a version that exists")
    sampling = [name for name in ("temperature", "top_p", "top_k") if getattr(request, name) is not None]
    if sampling and version == _WITHOUT_SAMPLING:
        raise invalid(f"{sampling[0]}: not supported with this `anthropic-version`")
    _check_roles(request.messages)
    _check_pairing(request.messages)
    choice, tools = _offered(request)
    thinking = request.thinking
    thinks = thinking is not None and thinking.type in ("enabled", "adaptive")
    wanted = request.output_config.format if request.output_config is not None else None
    system = _blocks(request.system or [])
    return Prompt(
        model=request.model,
        messages=(
            *([Message(role="system", text=_text(system))] if system else []),
            *(_message(message, f"messages.{i}.content") for i, message in enumerate(request.messages)),
        ),
        tools=tools,
        choice=choice,
        output_schema=wanted.schema if wanted is not None else None,
        reasons=thinks,
        shows_reasoning=thinking is None or thinking.display != "omitted",
    )


def _blocks(content: str | list[_Block]) -> list[_Block]:
    return [_Block(type="text", text=content)] if isinstance(content, str) else content


def _text(blocks: Sequence[_Block]) -> str:
    return "\n".join(block.text for block in blocks if block.type == "text")


def _message(message: _Message, path: str) -> Message:
    blocks = _blocks(message.content)
    for i, block in enumerate(blocks):
        if block.type == "text" and not block.text.strip():
            what = "contain non-whitespace text" if block.text else "be non-empty"
            raise invalid(f"messages: text content blocks must {what}")
        if block.type == "thinking":
            _check_signature(block, f"{path}.{i}")
    calls = [block for block in blocks if block.type == "tool_use"]
    return Message(
        role=message.role,
        text=_text(blocks),
        media=tuple(_media(block, f"{path}.{i}") for i, block in enumerate(blocks) if block.type in _MEDIA),
        results=tuple(_result(block, f"{path}.{i}") for i, block in enumerate(blocks) if block.type == "tool_result"),
        call_ids=tuple(call.id for call in calls),
        hidden_tokens=sum(1 + count(json.dumps(call.input)) for call in calls)
        + sum(count(block.thinking) for block in blocks),
    )


def _media(block: _Block, path: str) -> Media:
    source = converted(block.source, _Source)
    match source.type:
        case "base64":
            try:
                size = len(base64.b64decode(source.data, validate=True))
            except binascii.Error:
                raise invalid(f"{path}.{block.type}.source.base64: invalid base64 data") from None
            return Media(kind=block.type, media_type=source.media_type, size_bytes=size)
        case "text":
            return Media(kind=block.type, media_type=source.media_type, size_bytes=len(source.data.encode()))
        case _:
            return Media(kind=block.type)


def _result(block: _Block, path: str) -> Result:
    blocks = _blocks(block.content) if isinstance(block.content, str) else converted(block.content or [], list[_Block])
    seen = [_media(inner, f"{path}.content.{i}") for i, inner in enumerate(blocks) if inner.type in _MEDIA]
    text = " ".join(filter(None, (_text(blocks), *(f"[{media.kind} {media.media_type}]" for media in seen))))
    return Result(call_id=block.tool_use_id, text=text, is_error=bool(block.is_error))


def _check_roles(messages: Sequence[_Message]) -> None:
    if messages[0].role != "user":
        raise invalid("messages.0: the first message must use the user role")
    for i, message in enumerate(messages[:-1]):
        if not message.content:
            raise invalid(f"messages.{i}: all messages must have non-empty content except for the optional final one")


def _check_pairing(messages: Sequence[_Message]) -> None:
    """Refuse a tool call that the next user's turn does not begin to answer, and answers that nobody asked for."""
    known: set[str] = set()
    waiting: list[str] = []
    for at, role, blocks in _turns(messages):
        calls = [block.id for block in blocks if block.type == "tool_use"]
        if len({*calls, *known}) < len(calls) + len(known) or not all(map(_ID.fullmatch, calls)):
            raise invalid(f"messages.{at}: `tool_use` ids must be unique, and match {_ID.pattern}")
        known.update(calls)
        results = _leading_results(blocks, at)
        if unexpected := [name for name in results if name not in waiting]:
            raise invalid(
                f"messages.{at}: unexpected `tool_use_id` found in `tool_result` blocks: {', '.join(unexpected)}. Each "
                "`tool_result` block must have a corresponding `tool_use` block in the previous message."
            )
        _check_answered([name for name in waiting if name not in results], at - 1)
        waiting = calls if role == "assistant" else []
    _check_answered(waiting, len(messages) - 1)


def _turns(messages: Sequence[_Message]) -> Iterator[tuple[int, str, list[_Block]]]:
    """Merge consecutive messages of one role, as the vendor does; with each goes the index of its first message."""
    for role, group in itertools.groupby(enumerate(messages), key=lambda numbered: numbered[1].role):
        numbered = list(group)
        yield numbered[0][0], role, [block for _, message in numbered for block in _blocks(message.content)]


def _leading_results(blocks: Sequence[_Block], at: int) -> list[str]:
    """Return the ids of the tool results, which come before anything else."""
    leading = [block.tool_use_id for block in itertools.takewhile(lambda block: block.type == "tool_result", blocks)]
    if len(leading) < sum(block.type == "tool_result" for block in blocks):
        raise invalid(f"messages.{at}: `tool_result` blocks must come before any other content")
    return leading


def _check_answered(unanswered: Sequence[str], at: int) -> None:
    if unanswered:
        raise invalid(
            f"messages.{at}: `tool_use` ids were found without `tool_result` blocks immediately after: "
            f"{', '.join(unanswered)}. Each `tool_use` block must have a corresponding `tool_result` block in the next "
            "message."
        )


def _offered(request: _CountRequest) -> tuple[Choice, tuple[Tool, ...]]:
    """Return the tools that may be called and whether they must be."""
    tools = [tool for tool in request.tools or () if tool.type in (None, "custom")]
    names = [tool.name for tool in tools]
    for i, tool in enumerate(tools):
        if not _NAME.fullmatch(tool.name) or tool.name in names[:i]:
            raise invalid(f"tools.{i}.name: must be unique and match {_NAME.pattern}")
        if tool.input_schema is None or tool.input_schema.get("type") != "object":
            raise invalid(f"tools.{i}.input_schema.type: Input should be 'object'")
    choice = request.tool_choice or _Choice(type="auto")
    if request.tool_choice is not None and not request.tools:
        raise invalid("tool_choice: may only be specified while providing tools")
    if choice.type == "tool" and choice.name not in [tool.name for tool in request.tools or ()]:
        raise invalid(f"tool_choice: tool '{choice.name}' not found in provided tools")
    if choice.type in ("any", "tool") and request.thinking is not None and request.thinking.type == "enabled":
        raise invalid("Thinking may not be enabled when tool_choice forces tool use.")
    modes: dict[str, Literal["none", "auto", "required"]] = {"any": "required", "tool": "required", "none": "none"}
    return Choice(
        mode=modes.get(choice.type, "auto"),
        name=choice.name if choice.type == "tool" else None,
        is_parallel=not choice.disable_parallel_tool_use,
    ), tuple(Tool(name=tool.name, description=tool.description or "", schema=tool.input_schema or {}) for tool in tools)


def _check_signature(block: _Block, path: str) -> None:
    """Refuse a block that is not ours or whose text was changed. A text that was left out (omitted) proves nothing."""
    given = block.signature or ""
    if not is_own(given) or (block.thinking and seal(block.thinking) != given):
        raise invalid(f"{path}: Invalid `signature` in `thinking` block")


def answer(prompt: Prompt, turn: Turn, serial: int) -> Answer:
    """Say a turn as a ``message``, or as its events."""
    about = {"type": "message", "role": "assistant", "model": prompt.model}
    head: dict[str, object] = {"id": f"msg_fake{serial:08d}", **about}
    if prompt.stream:
        return Answer(headers=(*SSE_HEADERS, *_headers(serial)), frames=_stream(head, prompt, turn, serial))
    body = {**head, "content": _content(prompt, turn, serial), **_stop(turn), "usage": _usage(prompt, turn)}
    return json_answer(200, body, _headers(serial))


def _content(prompt: Prompt, turn: Turn, serial: int) -> list[dict[str, object]]:
    content: list[dict[str, object]] = []
    if turn.reasoning:
        thinking = turn.reasoning if prompt.shows_reasoning else ""
        content.append({"type": "thinking", "thinking": thinking, "signature": seal(turn.reasoning)})
    if turn.text:
        content.append({"type": "text", "text": turn.text})
    for i, call in enumerate(turn.calls):
        arguments = msgspec.Raw(call.arguments.encode())
        content.append({"type": "tool_use", "id": _call_id(serial, i), "name": call.name, "input": arguments})
    return content


def _stream(head: dict[str, object], prompt: Prompt, turn: Turn, serial: int) -> Iterator[Frame]:
    usage = {**_usage(prompt, turn), "output_tokens": 1}
    start = {**head, "content": [], "stop_reason": None, "stop_sequence": None, "stop_details": None, "usage": usage}
    yield Frame(event({"type": "message_start", "message": start}))
    yield Frame(event({"type": "ping"}))
    for i, (block, deltas) in enumerate(_streamed_blocks(prompt, turn, serial)):
        yield Frame(event({"type": "content_block_start", "index": i, "content_block": block}))
        for delta in deltas:
            is_word = delta["type"] != "signature_delta"
            yield Frame(event({"type": "content_block_delta", "index": i, "delta": delta}), is_word)
        yield Frame(event({"type": "content_block_stop", "index": i}))
    yield Frame(event({"type": "message_delta", "delta": _stop(turn), "usage": _usage(prompt, turn)}))
    yield Frame(event({"type": "message_stop"}))


def _streamed_blocks(
    prompt: Prompt, turn: Turn, serial: int
) -> Iterator[tuple[Mapping[str, object], list[dict[str, object]]]]:
    """Yield each block as it starts, with its deltas."""
    if turn.reasoning:
        shown = pieces(turn.reasoning) if prompt.shows_reasoning else []
        deltas: list[dict[str, object]] = [{"type": "thinking_delta", "thinking": piece} for piece in shown]
        deltas.append({"type": "signature_delta", "signature": seal(turn.reasoning)})
        yield {"type": "thinking", "thinking": "", "signature": ""}, deltas
    if turn.text:
        yield {"type": "text", "text": ""}, [{"type": "text_delta", "text": piece} for piece in pieces(turn.text)]
    for i, call in enumerate(turn.calls):
        parts = ["", *pieces(call.arguments)]
        block = {"type": "tool_use", "id": _call_id(serial, i), "name": call.name, "input": dict[str, object]()}
        yield block, [{"type": "input_json_delta", "partial_json": part} for part in parts]


def _stop(turn: Turn) -> dict[str, object]:
    return {"stop_reason": _STOP_REASONS[turn.ending], "stop_sequence": turn.stop, "stop_details": None}


def _call_id(serial: int, index: int) -> str:
    return f"toolu_fake{serial:08d}{index:08d}"


def _usage(prompt: Prompt, turn: Turn) -> dict[str, object]:
    return {
        "input_tokens": prompt.input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": turn.output_tokens,
        "output_tokens_details": {"thinking_tokens": turn.reasoning_tokens},
        "service_tier": "standard",
    }


def no_key() -> Error:
    """Return what is said without a key that is known."""
    return Error(status=401, message="The API key is missing or not one that this fake knows.")


def no_model(name: str) -> Error:
    """Return what is said of a model that does not exist."""
    message = f"The model '{name}' does not exist or you do not have access to it."
    return Error(status=404, message=message)


def error(error: Error, serial: int) -> Answer:
    """Say an error as Anthropic does."""
    kind = error.type or _TYPES.get(error.status, "api_error" if error.status >= 500 else "invalid_request_error")
    details = {"details": {"error_code": error.code}} if error.code == _NO_THREAD else {}
    body = {
        "type": "error",
        "error": {"type": kind, "message": error.message, **details},
        "request_id": f"req_fake{serial:08d}",
    }
    return json_answer(error.status, body, (*_headers(serial), *error.headers))


def event(value: object) -> bytes:
    """Return one SSE event, named after its type if it has one."""
    name = value.get("type") if isinstance(value, dict) else None
    data = value.encode() if isinstance(value, str) else msgspec.json.encode(value)
    return (f"event: {name}\n".encode() if isinstance(name, str) else b"") + b"data: " + data + b"\n\n"


def models(names: Sequence[str], query: Mapping[str, str], serial: int) -> Answer:
    """List a page of the models."""
    limit = query.get("limit", "20")
    size = int(limit) if limit.isdecimal() and 1 <= int(limit) <= 1000 else 20
    start = names.index(query["after_id"]) + 1 if query.get("after_id") in names else 0
    page = names[start : start + size]
    body = {
        "data": [_described(name) for name in page],
        "has_more": start + size < len(names),
        "first_id": page[0] if page else None,
        "last_id": page[-1] if page else None,
    }
    return json_answer(200, body, _headers(serial))


def model(name: str, serial: int) -> Answer:
    """Describe one model."""
    return json_answer(200, _described(name), _headers(serial))


def _described(name: str) -> dict[str, object]:
    return {
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": "2026-01-01T00:00:00Z",
        "lifecycle": "active",
        "line": None,
        "deprecated_at": None,
        "retires_at": None,
        "max_input_tokens": 200_000,
        "max_tokens": 64_000,
        "capabilities": None,
    }


def _headers(serial: int) -> tuple[tuple[str, str], ...]:
    return (("request-id", f"req_fake{serial:08d}"),)
