"""Gemini's generateContent as the fake speaks it: https://ai.google.dev/api/generate-content (2026-11).

A thought signature vouches that the fake made it: others' get the 400 that Gemini gives, but for the words by which
Google lets a history pass that has none.

Deliberate divergences:

1. Unknown fields are ignored, where Gemini answers 400.
2. Only functions are called; Google's own tools are not.
3. One candidate is made, whatever is asked for.
"""

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec

from .answer import SSE_HEADERS, Answer, Error, Frame, converted, invalid, json_answer
from .attachments import noun_of, size_of
from .http1 import Request
from .seals import is_own, seal
from .turn import Choice, Media, Message, Prompt, Result, Tool, Turn, count, pieces

STREAM_HEADERS = SSE_HEADERS
_VERBS = "generateContent|streamGenerateContent|countTokens|embedContent|batchEmbedContents"
PATH = re.compile(rf"/v1(?:beta|alpha)?/models/(?P<model>.+):(?P<verb>{_VERBS})")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}")
_PASSES = ("skip_thought_signature_validator", "context_engineering_is_the_way_to_go")
_FINISH = {"end": "STOP", "stop": "STOP", "length": "MAX_TOKENS", "calls": "STOP"}
_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_FREE = ("args", "response", "parameters", "parametersJsonSchema", "responseSchema", "responseJsonSchema")
"""Fields whose names are the caller's own."""
_TYPE_URL = "type.googleapis.com/google.rpc."


class _Blob(msgspec.Struct, rename="camel"):
    data: str
    mime_type: str


class _File(msgspec.Struct, rename="camel"):
    file_uri: str
    mime_type: str = ""


class _Called(msgspec.Struct):
    name: str
    id: str | None = None
    args: dict[str, object] | None = None


class _Answered(msgspec.Struct):
    name: str
    response: dict[str, object]
    id: str | None = None


class _Part(msgspec.Struct, rename="camel"):
    text: str | None = None
    thought: bool = False
    thought_signature: str | None = None
    inline_data: _Blob | None = None
    file_data: _File | None = None
    function_call: _Called | None = None
    function_response: _Answered | None = None
    executable_code: object = None
    code_execution_result: object = None


class _Content(msgspec.Struct):
    parts: list[_Part] = []
    role: Literal["user", "model", "function"] = "user"


class _Instruction(msgspec.Struct):
    parts: list[_Part] = []


class _Declaration(msgspec.Struct, rename="camel"):
    name: str
    description: str = ""
    parameters: dict[str, object] | None = None
    parameters_json_schema: dict[str, object] | None = None


class _Tool(msgspec.Struct, rename="camel"):
    function_declarations: list[_Declaration] = []


class _Calling(msgspec.Struct, rename="camel"):
    mode: Literal["MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED"] = "AUTO"
    allowed_function_names: list[str] = []


class _ToolConfig(msgspec.Struct, rename="camel"):
    function_calling_config: _Calling | None = None


class _Thinking(msgspec.Struct, rename="camel"):
    include_thoughts: bool = False
    thinking_budget: int | None = None
    thinking_level: str | None = None


class _Settings(msgspec.Struct, rename="camel"):
    max_output_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    stop_sequences: Annotated[list[str], msgspec.Meta(max_length=5)] = []
    response_mime_type: str = "text/plain"
    response_schema: dict[str, object] | None = None
    response_json_schema: dict[str, object] | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    thinking_config: _Thinking | None = None


class _Request(msgspec.Struct, rename="camel"):
    contents: list[_Content] | _Content = []
    system_instruction: _Instruction | None = None
    tools: list[_Tool] = []
    tool_config: _ToolConfig = msgspec.field(default_factory=_ToolConfig)
    generation_config: _Settings = msgspec.field(default_factory=_Settings)


class _CountRequest(_Request, rename="camel"):
    generate_content_request: _Request | None = None


def read(body: object, asked: Request) -> Prompt:
    """Understand the body of ``POST /v1beta/models/{model}:generateContent``, and what the path says."""
    request = converted(_in_camel_case(body), _CountRequest)
    prompt = _read(request.generate_content_request or request)
    found = PATH.fullmatch(asked.path)
    assert found is not None
    is_stream = found["verb"] == "streamGenerateContent"
    is_array = is_stream and asked.query.get("alt") != "sse"
    return msgspec.structs.replace(prompt, model=found["model"], stream=is_stream, is_array=is_array)


def _in_camel_case(value: object) -> object:
    """Return JSON with the names of its fields as documented: snake_case is taken, too, as Google's SDK has it."""
    if isinstance(value, list):
        return [_in_camel_case(item) for item in value]
    if not isinstance(value, dict):
        return value
    named = {re.sub(r"_+([a-z])", lambda found: found[1].upper(), name): inner for name, inner in value.items()}
    return {name: inner if name in _FREE else _in_camel_case(inner) for name, inner in named.items()}


def _read(request: _Request) -> Prompt:
    contents = request.contents if isinstance(request.contents, list) else [request.contents]
    if not contents:
        raise invalid("* GenerateContentRequest.contents: contents is not specified")
    _check_pairing(contents)
    settings, system = request.generation_config, request.system_instruction
    thinking = settings.thinking_config or _Thinking()
    choice, tools = _offered(request)
    return Prompt(
        model="",
        messages=(
            *([Message(role="system", text=_text(system.parts))] if system is not None else []),
            *(_message(content, f"contents[{i}]") for i, content in enumerate(contents)),
        ),
        tools=tools,
        choice=choice,
        output_schema=_output_schema(settings),
        reasons=thinking.include_thoughts or bool(thinking.thinking_budget) or thinking.thinking_level is not None,
        shows_reasoning=thinking.include_thoughts,
        max_tokens=settings.max_output_tokens,
        stop=tuple(settings.stop_sequences),
    )


def _text(parts: Sequence[_Part]) -> str:
    return "\n".join(part.text for part in parts if part.text and not part.thought)


def _message(content: _Content, path: str) -> Message:
    if not content.parts:
        raise invalid(f"* GenerateContentRequest.{path}.parts: contents.parts must not be empty.")
    for i, part in enumerate(content.parts):
        given = [name for name in part.__struct_fields__ if getattr(part, name) not in (None, False)]
        if not {*given} - {"thought", "thought_signature"}:
            where = f"GenerateContentRequest.{path}.parts[{i}].data"
            raise invalid(f"* {where}: required oneof field 'data' must have one initialized field")
        if part.thought_signature not in (None, *_PASSES) and not is_own(part.thought_signature or ""):
            raise invalid("Thought signature is not valid.")
    calls = [part.function_call for part in content.parts if part.function_call is not None]
    answers = [part.function_response for part in content.parts if part.function_response is not None]
    seen = (_media(part, f"{path}.parts[{i}]") for i, part in enumerate(content.parts))
    return Message(
        role="assistant" if content.role == "model" else "user",
        text=_text(content.parts),
        media=tuple(media for media in seen if media is not None),
        results=tuple(_result(answered) for answered in answers),
        call_ids=tuple(call.id or call.name for call in calls),
        hidden_tokens=sum(1 + count(json.dumps(call.args or {})) for call in calls)
        + sum(count(part.text or "") for part in content.parts if part.thought),
    )


def _media(part: _Part, path: str) -> Media | None:
    if part.inline_data is not None:
        kind = part.inline_data.mime_type
        size = size_of(part.inline_data.data, f"{path}.inline_data.data")
        return Media(kind=noun_of(kind), media_type=kind, size_bytes=size)
    return Media(kind=noun_of(part.file_data.mime_type)) if part.file_data is not None else None


def _result(answered: _Answered) -> Result:
    """Read what a function answered: what stands alone in it is what it said."""
    response = answered.response
    (alone,) = response.values() if len(response) == 1 else (response,)
    text = alone if isinstance(alone, str) else json.dumps(alone, ensure_ascii=False)
    return Result(call_id=answered.id or answered.name, text=text, is_error="error" in response)


def _check_pairing(contents: Sequence[_Content]) -> None:
    """Refuse calls that the next turn does not answer in full, and answers that nobody asked for."""
    waiting: list[_Called] = []
    for _, turn in itertools.groupby(contents, key=lambda content: content.role == "model"):
        parts = [part for content in turn for part in content.parts]
        answers = [part.function_response for part in parts if part.function_response is not None]
        if len(answers) != len(waiting):
            raise invalid(
                "Please ensure that the number of function response parts is equal to the number of function call "
                "parts of the function call turn."
            )
        for call, answered in zip(waiting, answers, strict=True):
            if answered.id is None and answered.name != call.name:
                raise invalid(f"The function response {answered.name} does not answer the call {call.name}.")
        if unknown := {answered.id for answered in answers} - {call.id for call in waiting} - {None}:
            raise invalid(f"No function call has the id {min(map(str, unknown))}.")
        waiting = [part.function_call for part in parts if part.function_call is not None]
    if waiting:
        raise invalid("Please ensure that function call turn is followed by a function response turn.")


def _offered(request: _Request) -> tuple[Choice, tuple[Tool, ...]]:
    """Return the functions that may be called and whether they must be."""
    declared = [function for tool in request.tools for function in tool.function_declarations]
    names = [function.name for function in declared]
    for i, name in enumerate(names):
        if not _NAME.fullmatch(name):
            where = f"GenerateContentRequest.tools[0].function_declarations[{i}].name"
            raise invalid(f"* {where}: Invalid function name. Must match {_NAME.pattern}.")
        if name in names[:i]:
            raise invalid(f"Duplicate function declaration found: {name}")
    calling = request.tool_config.function_calling_config
    if calling is None:
        calling = _Calling()
    elif not declared:
        raise invalid("Function calling config is set without function_declarations.")
    allowed = calling.allowed_function_names or names
    if unknown := set(allowed) - set(names):
        raise invalid(f"allowed_function_names: {min(unknown)} is not declared")
    modes: dict[str, Literal["none", "auto", "required"]] = {"ANY": "required", "NONE": "none"}
    return Choice(mode=modes.get(calling.mode, "auto")), tuple(
        Tool(name=function.name, description=function.description, schema=_schema(function))
        for function in declared
        if function.name in allowed
    )


def _schema(function: _Declaration) -> dict[str, object]:
    if function.parameters is not None and function.parameters_json_schema is not None:
        raise invalid("parameters and parameters_json_schema: only one of them may be set")
    return function.parameters_json_schema or _in_lower_case(function.parameters or {"type": "OBJECT"})


def _in_lower_case(schema: dict[str, object]) -> dict[str, object]:
    """Return a schema of Google's, whose types are in capitals, as JSON Schema."""

    def lowered(value: object) -> object:
        if isinstance(value, list):
            return [lowered(item) for item in value]
        return _in_lower_case(value) if isinstance(value, dict) else value

    written = {name: lowered(value) for name, value in schema.items()}
    kind = written.get("type")
    return {**written, "type": kind.lower()} if isinstance(kind, str) else written


def _output_schema(settings: _Settings) -> dict[str, object] | None:
    schema = settings.response_json_schema or (settings.response_schema and _in_lower_case(settings.response_schema))
    if settings.response_mime_type == "application/json":
        return schema or {"type": "object", "required": ["answer"]}
    if schema:
        raise invalid("response_schema: only allowed with the response_mime_type application/json")
    return None


def count_tokens(prompt: Prompt) -> Answer:
    """Answer ``:countTokens``."""
    tokens = prompt.input_tokens
    return json_answer(
        200, {"totalTokens": tokens, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tokens}]}
    )


def answer(prompt: Prompt, turn: Turn, serial: int) -> Answer:
    """Say a turn as a ``GenerateContentResponse``, or as several: server-sent events, or a JSON array."""
    about = {"modelVersion": prompt.model, "responseId": f"fake{serial:08d}"}
    if not prompt.stream:
        parts = [part for part, _ in _parts(prompt, turn, serial)] or [{"text": ""}]
        return json_answer(200, {**_candidate(parts, turn), **_usage(prompt, turn), **about})
    said = _chunks(prompt, turn, serial)
    chunks = ((msgspec.json.encode({**chunk, **about}), is_word) for chunk, is_word in said)
    if prompt.is_array:
        return Answer(headers=(("content-type", "application/json; charset=UTF-8"),), frames=_array(chunks))
    frames = (Frame(b"data: %b\r\n\r\n" % data, is_word) for data, is_word in chunks)
    return Answer(headers=SSE_HEADERS, frames=frames)


def _array(chunks: Iterator[tuple[bytes, bool]]) -> Iterator[Frame]:
    before = b"["
    for data, is_word in chunks:
        yield Frame(before + data, is_word)
        before = b"\n,\r\n"
    yield Frame(b"\n]\n")


def _chunks(prompt: Prompt, turn: Turn, serial: int) -> Iterator[tuple[dict[str, object], bool]]:
    """Yield the pieces of an answer, each with whether it is a word; all tell the usage, and the last one the end."""
    silent = Turn()
    for part, is_word in _parts(prompt, turn, serial):
        words = pieces(part["text"]) if is_word else [""]
        for word in words:
            told = {**part, "text": word} if is_word else part
            yield {**_candidate([told], None), **_usage(prompt, silent)}, is_word
    yield {**_candidate([{"text": ""}], turn), **_usage(prompt, turn)}, False


def _parts(prompt: Prompt, turn: Turn, serial: int) -> Iterator[tuple[dict[str, Any], bool]]:
    """Yield the parts of a turn, each with whether it is text. The first call carries the signature of the thoughts."""
    if turn.reasoning and prompt.shows_reasoning:
        yield {"text": turn.reasoning, "thought": True}, True
    if turn.text:
        yield {"text": turn.text}, True
    signed = {"thoughtSignature": seal(turn.reasoning)} if turn.reasoning else {}
    for i, call in enumerate(turn.calls):
        arguments = msgspec.Raw(call.arguments.encode())
        called = {"id": f"fake{serial:08d}{i:08d}", "name": call.name, "args": arguments}
        yield {"functionCall": called, **({} if i else signed)}, False


def _candidate(parts: Sequence[Mapping[str, object]], turn: Turn | None) -> dict[str, object]:
    """Return a candidate; with a turn, one that ends."""
    finish = {} if turn is None else {"finishReason": _FINISH[turn.ending]}
    return {"candidates": [{"content": {"parts": parts, "role": "model"}, **finish, "index": 0}]}


def _usage(prompt: Prompt, turn: Turn) -> dict[str, object]:
    given, thought = prompt.input_tokens, turn.reasoning_tokens
    said = turn.output_tokens - thought
    counts = {"promptTokenCount": given, "candidatesTokenCount": said, "totalTokenCount": given + said + thought}
    details = {"promptTokensDetails": [{"modality": "TEXT", "tokenCount": given}]}
    return {"usageMetadata": {**counts, **details, **({"thoughtsTokenCount": thought} if thought else {})}}


def no_key() -> Error:
    """Return what Google says without a key that it knows: no 401."""
    return Error(status=400, message="API key not valid. Please pass a valid API key.", code="API_KEY_INVALID")


def no_model(name: str) -> Error:
    """Return what is said of a model that does not exist."""
    message = f"models/{name} is not found for API version v1beta, or is not supported for generateContent."
    return Error(status=404, message=message)


def error(error: Error, serial: int) -> Answer:
    """Say an error as Google does: with what to do about it in ``details``."""
    status = error.type or _STATUSES.get(error.status, "INTERNAL" if error.status >= 500 else "INVALID_ARGUMENT")
    details: list[dict[str, object]] = []
    if error.code is not None and error.code.isupper():
        about = {"reason": error.code, "domain": "googleapis.com"}
        details.append({"@type": f"{_TYPE_URL}ErrorInfo", **about})
    if error.param is not None:
        violation = {"field": error.param, "description": error.message}
        details.append({"@type": f"{_TYPE_URL}BadRequest", "fieldViolations": [violation]})
    if wait_s := dict(error.headers).get("retry-after"):
        details.append({"@type": f"{_TYPE_URL}RetryInfo", "retryDelay": f"{wait_s}s"})
    body: dict[str, object] = {"code": error.status, "message": error.message, "status": status}
    return json_answer(error.status, {"error": {**body, "details": details} if details else body}, error.headers)


def event(value: object) -> bytes:
    """Return one SSE event. Google ends its lines as HTTP does."""
    data = value.encode() if isinstance(value, str) else msgspec.json.encode(value)
    return b"data: " + data + b"\r\n\r\n"


def models(names: Sequence[str], query: Mapping[str, str], serial: int) -> Answer:
    """List a page of the models."""
    asked = query.get("pageSize", "50")
    size = int(asked) if asked.isdecimal() and 1 <= int(asked) <= 1_000 else 50
    start = int(token) if (token := query.get("pageToken", "0")).isdecimal() else 0
    body: dict[str, object] = {"models": [_described(name) for name in names[start : start + size]]}
    is_more = start + size < len(names)
    return json_answer(200, {**body, "nextPageToken": str(start + size)} if is_more else body)


def model(name: str, serial: int) -> Answer:
    """Describe one model."""
    return json_answer(200, _described(name))


def _described(name: str) -> dict[str, object]:
    return {
        "name": f"models/{name}",
        "version": "001",
        "displayName": name,
        "inputTokenLimit": 200_000,
        "outputTokenLimit": 64_000,
        "supportedGenerationMethods": ["generateContent", "countTokens", "embedContent"],
    }
