"""OpenAI Chat Completions as the fake speaks it: https://platform.openai.com/docs/api-reference/chat (2026-11).

Deliberate divergences:

1. Unknown fields are ignored, where OpenAI answers 400: the fake stands in for look-alikes too.
2. Reasoning is shown in ``reasoning_content``, as most look-alikes do; OpenAI itself keeps it.
3. Only functions are called. ``custom`` tools, ``logprobs`` and audio output are read and not acted upon.
"""

import itertools
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal

import msgspec

from .answer import SSE_HEADERS, Answer, Error, Frame, converted, invalid, json_answer
from .attachments import from_url, size_of
from .http1 import Request
from .turn import Choice, Media, Message, Prompt, Result, Tool, Turn, count, pieces

STREAM_HEADERS = SSE_HEADERS
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FINISH = {"end": "stop", "stop": "stop", "length": "length", "calls": "tool_calls"}
_TYPES = {429: "requests", 500: "server_error", 502: "server_error", 503: "server_error", 504: "server_error"}
_CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded", 503: "server_is_overloaded"}


class _Url(msgspec.Struct):
    url: str


class _Audio(msgspec.Struct):
    data: str
    format: str


class _File(msgspec.Struct):
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class _Part(msgspec.Struct):
    type: Literal["text", "image_url", "input_audio", "file", "refusal"]
    text: str = ""
    refusal: str = ""
    image_url: _Url | None = None
    input_audio: _Audio | None = None
    file: _File | None = None


class _Called(msgspec.Struct):
    name: str
    arguments: str


class _ToolCall(msgspec.Struct):
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    type: Literal["function", "custom"]
    function: _Called | None = None


class _Message(msgspec.Struct):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[_Part] | None = None
    tool_calls: list[_ToolCall] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None


class _Function(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: dict[str, object] | None = None


class _Tool(msgspec.Struct):
    type: str
    function: _Function | None = None


class _Named(msgspec.Struct):
    name: str


class _Allowed(msgspec.Struct):
    mode: Literal["auto", "required"]
    tools: list[_Tool]


class _Choice(msgspec.Struct):
    type: str
    function: _Named | None = None
    allowed_tools: _Allowed | None = None


class _JSONSchema(msgspec.Struct):
    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    schema: dict[str, object] | None = None


class _Format(msgspec.Struct):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: _JSONSchema | None = None


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


_Limit = Annotated[int, msgspec.Meta(ge=1)] | None


class _Request(msgspec.Struct):
    model: Annotated[str, msgspec.Meta(min_length=1)]
    messages: Annotated[list[_Message], msgspec.Meta(min_length=1)]
    tools: list[_Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | _Choice | None = None
    parallel_tool_calls: bool | None = None
    response_format: _Format | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    max_completion_tokens: _Limit = None
    max_tokens: _Limit = None
    stop: str | Annotated[list[str], msgspec.Meta(max_length=4)] | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=128)] | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None


def read(body: object, asked: Request) -> Prompt:
    """Understand the body of ``POST /v1/chat/completions``."""
    request = converted(body, _Request)
    _check_pairing(request.messages)
    if request.stream_options is not None and not request.stream:
        raise invalid("The 'stream_options' parameter is only allowed when 'stream' is enabled.", "stream_options")
    choice, tools = _offered(request)
    stop = (request.stop,) if isinstance(request.stop, str) else tuple(request.stop or ())
    return Prompt(
        model=request.model,
        messages=tuple(_message(message, f"messages[{i}]") for i, message in enumerate(request.messages)),
        tools=tools,
        choice=choice,
        output_schema=_output_schema(request.response_format),
        reasons=request.reasoning_effort not in (None, "none"),
        max_tokens=request.max_completion_tokens or request.max_tokens,
        stop=stop,
        stream=bool(request.stream),
        include_usage=request.stream_options is not None and bool(request.stream_options.include_usage),
        copies=request.n or 1,
    )


def _message(message: _Message, path: str) -> Message:
    parts = [_Part(type="text", text=message.content)] if isinstance(message.content, str) else message.content or []
    text = "\n".join(filter(None, (part.text or part.refusal for part in parts)))
    match message.role:
        case "system" | "developer":
            return Message(role="system", text=text)
        case "tool" | "function":
            return Message(role="user", results=(Result(call_id=message.tool_call_id or "", text=text),))
        case "assistant":
            calls = message.tool_calls or []
            called = [call.function for call in calls if call.function]
            hidden = sum(1 + count(function.arguments) for function in called)
            ids = tuple(call.id for call in calls)
            return Message(role="assistant", text=text, call_ids=ids, hidden_tokens=hidden)
        case "user":
            seen = (_media(part, f"{path}.content[{i}]") for i, part in enumerate(parts))
            return Message(role="user", text=text, media=tuple(media for media in seen if media is not None))


def _media(part: _Part, path: str) -> Media | None:
    if part.image_url is not None:
        return from_url(part.image_url.url, "image", f"{path}.image_url.url")
    if part.input_audio is not None:
        size = size_of(part.input_audio.data, f"{path}.input_audio.data")
        return Media(kind="sound", media_type=f"audio/{part.input_audio.format}", size_bytes=size)
    if part.file is not None:
        if part.file.file_data is None:
            return Media(kind="file")
        return from_url(part.file.file_data, "file", f"{path}.file.file_data")
    if part.type not in ("text", "refusal"):
        raise invalid(f"Missing required parameter: '{path}.{part.type}'.", path, "missing_required_parameter")
    return None


def _check_pairing(messages: Sequence[_Message]) -> None:
    """Refuse a tool call without its results right behind it, and results that nobody asked for."""
    waiting: set[str] = set()
    for i, message in enumerate(messages):
        if message.role == "tool":
            if message.tool_call_id not in waiting:
                raise invalid(
                    "Invalid parameter: messages with role 'tool' must be a response to a preceding message with "
                    "'tool_calls'.",
                    f"messages[{i}].role",
                    None,
                )
            waiting.discard(message.tool_call_id)
            continue
        if waiting:
            break
        waiting = {call.id for call in message.tool_calls or ()}
    if waiting:
        raise invalid(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(sorted(waiting))}",
            "messages",
            None,
        )


def _offered(request: _Request) -> tuple[Choice, tuple[Tool, ...]]:
    """Return the tools that may be called and whether they must be."""
    tools = [tool.function for tool in request.tools or () if tool.function is not None]
    names = [tool.name for tool in tools]
    for i, name in enumerate(names):
        if not NAME.fullmatch(name) or name in names[:i]:
            raise invalid(f"Invalid 'tools[{i}].function.name': not unique, or not {NAME.pattern}.", f"tools[{i}]")
    choice, allowed = _choice(request, names)
    callable_tools = (
        Tool(name=tool.name, description=tool.description or "", schema=tool.parameters or {})
        for tool in tools
        if tool.name in allowed
    )
    return choice, tuple(callable_tools)


def _choice(request: _Request, names: Sequence[str]) -> tuple[Choice, Sequence[str]]:
    """Return how tools are chosen, and the names of those that may be."""
    asked, is_parallel = request.tool_choice, request.parallel_tool_calls is not False
    if asked not in (None, "none") and not request.tools:
        raise invalid("Invalid value for 'tool_choice': only allowed when 'tools' are specified.", "tool_choice")
    if isinstance(asked, str):
        return Choice(mode=asked, is_parallel=is_parallel), names
    if asked is not None and asked.function is not None:
        if asked.function.name not in names:
            raise invalid(f"Tool choice '{asked.function.name}' not found in 'tools' parameter.", "tool_choice")
        return Choice(mode="required", name=asked.function.name, is_parallel=is_parallel), names
    if asked is not None and asked.allowed_tools is not None:
        allowed = [tool.function.name for tool in asked.allowed_tools.tools if tool.function is not None]
        return Choice(mode=asked.allowed_tools.mode, is_parallel=is_parallel), allowed
    return Choice(is_parallel=is_parallel), names


def _output_schema(wanted: _Format | None) -> dict[str, object] | None:
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return {"type": "object", "required": ["answer"]}
    if wanted.json_schema is None:
        path = "response_format.json_schema"
        raise invalid(f"Missing required parameter: '{path}'.", path, "missing_required_parameter")
    return wanted.json_schema.schema or {"type": "object"}


def answer(prompt: Prompt, turn: Turn, serial: int) -> Answer:
    """Say a turn as a ``chat.completion``, or as its chunks."""
    head = {"id": f"chatcmpl-fake{serial:08d}", "created": int(time.time()), "model": prompt.model}
    about = {"service_tier": "default", "system_fingerprint": "fp_fake"}
    usage = _usage(prompt, turn)
    if prompt.stream:
        common = {**head, "object": "chat.completion.chunk", **about}
        frames = _stream(common, prompt, turn, serial, usage)
        return Answer(headers=(*SSE_HEADERS, *headers(serial)), frames=frames)
    choices = [
        {"index": i, "message": _said(turn, serial, i), "logprobs": None, "finish_reason": _FINISH[turn.ending]}
        for i in range(prompt.copies)
    ]
    body = {**head, "object": "chat.completion", "choices": choices, "usage": usage, **about}
    return json_answer(200, body, headers(serial))


def _said(turn: Turn, serial: int, index: int) -> dict[str, object]:
    is_only_calls = bool(turn.calls) and not turn.text
    said: dict[str, object] = {"role": "assistant", "content": None if is_only_calls else turn.text, "refusal": None}
    if turn.reasoning:
        said["reasoning_content"] = turn.reasoning
    if turn.calls:
        said["tool_calls"] = [
            {"id": call_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call, call_id in zip(turn.calls, _call_ids(serial, index), strict=False)
        ]
    return said


def _stream(
    common: dict[str, object], prompt: Prompt, turn: Turn, serial: int, usage: dict[str, object]
) -> Iterator[Frame]:
    def chunk(choices: list[object], used: dict[str, object] | None = None, is_word: bool = False) -> Frame:
        body = {**common, "choices": choices}
        if prompt.include_usage:
            body["usage"] = used
        return Frame(event(body), is_word)

    for i in range(prompt.copies):
        for delta, is_word in _deltas(turn, serial, i):
            yield chunk([{"index": i, "delta": delta, "logprobs": None, "finish_reason": None}], is_word=is_word)
        yield chunk([{"index": i, "delta": {}, "logprobs": None, "finish_reason": _FINISH[turn.ending]}])
    if prompt.include_usage:
        yield chunk([], usage)
    yield Frame(event("[DONE]"))


def _deltas(turn: Turn, serial: int, index: int) -> Iterator[tuple[dict[str, object], bool]]:
    """Yield the deltas of one choice, each with whether it is a word. A turn of calls alone has no text to begin."""
    begin: dict[str, object] = {"role": "assistant", "content": "", "refusal": None}
    if turn.text or turn.reasoning or not turn.calls:
        yield begin, False
        begin = {}
    for piece in pieces(turn.reasoning):
        yield {"reasoning_content": piece}, True
    for piece in pieces(turn.text):
        yield {"content": piece}, True
    for i, (call, call_id) in enumerate(zip(turn.calls, _call_ids(serial, index), strict=False)):
        function = {"name": call.name, "arguments": ""}
        first: dict[str, object] = {
            "tool_calls": [{"index": i, "id": call_id, "type": "function", "function": function}]
        }
        yield ({**begin, "content": None, **first} if begin else first), False
        begin = {}
        for piece in pieces(call.arguments):
            yield {"tool_calls": [{"index": i, "function": {"arguments": piece}}]}, True


def _call_ids(serial: int, index: int) -> Iterator[str]:
    """Yield ids that no other answer has: ``call_`` and 24 letters or digits."""
    for i in itertools.count():
        yield f"call_fake{serial:08d}{index:04d}{i:08d}"


def _usage(prompt: Prompt, turn: Turn) -> dict[str, object]:
    given, made = prompt.input_tokens, turn.output_tokens * prompt.copies
    return {
        "prompt_tokens": given,
        "completion_tokens": made,
        "total_tokens": given + made,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": turn.reasoning_tokens * prompt.copies,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def no_key() -> Error:
    """Return what is said without a key that is known."""
    return Error(status=401, message="The API key is missing or not one that this fake knows.")


def no_model(name: str) -> Error:
    """Return what is said of a model that does not exist."""
    message = f"The model '{name}' does not exist or you do not have access to it."
    return Error(status=404, message=message, code="model_not_found")


def error(error: Error, serial: int) -> Answer:
    """Say an error as OpenAI does."""
    kind = error.type or _TYPES.get(error.status, "invalid_request_error")
    code = error.code or _CODES.get(error.status)
    body = {"error": {"message": error.message, "type": kind, "param": error.param, "code": code}}
    return json_answer(error.status, body, (*headers(serial), *error.headers))


def event(value: object) -> bytes:
    """Return one SSE event. Those of Chat have no name."""
    data = value.encode() if isinstance(value, str) else msgspec.json.encode(value)
    return b"data: " + data + b"\n\n"


def models(names: Sequence[str], query: Mapping[str, str], serial: int) -> Answer:
    """List the models, all on one page."""
    return json_answer(200, {"object": "list", "data": [_described(name) for name in names]}, headers(serial))


def model(name: str, serial: int) -> Answer:
    """Describe one model."""
    return json_answer(200, _described(name), headers(serial))


def _described(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 1_767_225_600, "owned_by": "fake"}


def headers(serial: int) -> tuple[tuple[str, str], ...]:
    """Return what OpenAI's answers have in common."""
    return (
        ("x-request-id", f"req_fake{serial:08d}"),
        ("openai-processing-ms", "1"),
        ("openai-version", "2020-10-01"),
    )
