"""A caller's request: wire -> ours. The twin is ``encode``.

Normalised on the way, without loss of meaning: a single plain text part is text; ``functions`` and ``function_call``
are tools; ``max_completion_tokens`` wins over ``max_tokens``, ``safety_identifier`` over ``user``; names that other
clients mix in (``input_text``, ``input_image``, a bare image URL) are read as what they mean.
"""

import re
from collections.abc import Sequence
from typing import Final, Literal

import msgspec
from msgspec import Raw

from ...canonical import (
    Base64Source,
    Block,
    CacheControl,
    CacheMark,
    CustomTool,
    Extras,
    FileSource,
    FunctionTool,
    Media,
    Message,
    Opaque,
    OutputFormat,
    Reasoning,
    ReasoningControl,
    Refusal,
    Request,
    Sampling,
    State,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    UrlSource,
    VendorTool,
)
from ...codec import DEFAULT_LIMITS, HTTPCall, RequestLimits
from ...errors import MalformedRequest
from ...json_guard import decode_json
from . import wire

_REQUEST: Final = msgspec.json.Decoder(wire.Request)
_MESSAGE: Final = msgspec.json.Decoder(wire.Message)
_TOOL: Final = msgspec.json.Decoder(wire.Tool)
_TOOL_CALL: Final = msgspec.json.Decoder(wire.ToolCall)
_FORMAT: Final = msgspec.json.Decoder(wire.ResponseFormat)
_STREAM_OPTIONS: Final = msgspec.json.Decoder(wire.StreamOptions)
_PARTS: Final = {type_: msgspec.json.Decoder(type_) for type_ in set(wire.PART_TYPES.values())}
_STRING: Final = msgspec.json.Decoder(str)
_RAWS: Final = msgspec.json.Decoder(list[Raw])
_VENDORS: Final = msgspec.json.Decoder(dict[str, dict[str, Raw]])
_OBJECT: Final = msgspec.json.Decoder(dict[str, Raw])


class _Kind(msgspec.Struct):
    type: str


class _ToolKind(msgspec.Struct):
    type: str = "function"
    name: str | None = None


class _Detail(msgspec.Struct):
    type: str = ""
    text: str | None = None
    summary: str | None = None
    signature: str | None = None
    data: str | None = None


class _Thinking(msgspec.Struct):
    type: str = ""
    thinking: str = ""
    signature: str | None = None
    data: str | None = None


class _Named(msgspec.Struct):
    name: str


class _Allowed(msgspec.Struct):
    tools: list["_Choice"]
    mode: str = "auto"


class _Choice(msgspec.Struct):
    type: str = "function"
    function: _Named | None = None
    custom: _Named | None = None
    allowed_tools: _Allowed | None = None
    name: str | None = None


_KIND: Final = msgspec.json.Decoder(_Kind)
_TOOL_KIND: Final = msgspec.json.Decoder(_ToolKind)
_DETAIL: Final = msgspec.json.Decoder(_Detail)
_THINKING: Final = msgspec.json.Decoder(_Thinking)
_CHOICE: Final = msgspec.json.Decoder(_Choice)
_NAMED: Final = msgspec.json.Decoder(_Named)

DATA_URL: Final = re.compile(
    r"data:(?P<type>[A-Za-z0-9.+-]+/[A-Za-z0-9.+-]+)(?:;[A-Za-z0-9=._-]+)*;base64,(?P<data>.*)", re.S
)
_AUDIO_TYPES: Final = {"wav": "audio/wav", "mp3": "audio/mpeg"}


def decode_request(call: HTTPCall, limits: RequestLimits = DEFAULT_LIMITS) -> Request:
    """Read a caller's request; see `codec.Codec.decode_request`."""
    body, extras = wire.read(_REQUEST, call.body, "")
    if not body.messages:
        raise MalformedRequest("Send at least one message.", code="empty_array", param="messages")
    _bound(len(body.messages), limits.max_messages, "messages")
    messages = _messages(body.messages, limits)
    if (options := wire.present(body.stream_options)) is not None:
        unknown = wire.read(_STREAM_OPTIONS, options, "stream_options")[1]
        extras = {**extras, **{f"stream_options.{name}": value for name, value in unknown.items()}}
    vendor_fields = wire.present(body.extra_body)
    tools = _tools(body, limits)
    return Request(
        source=wire.NAME,
        model=body.model,
        messages=tuple(messages),
        tools=tools,
        tool_choice=_tool_choice(body, tools),
        parallel_tool_calls=body.parallel_tool_calls,
        max_output_tokens=_max_tokens(body),
        sampling=_sampling(body),
        stop=_stop(body.stop, limits),
        choices=wire.whole(body.n, "n"),
        output_format=_format(wire.present(body.response_format), limits),
        verbosity=body.verbosity,
        reasoning=_reasoning(body, extras),
        cache=CacheControl(key=body.prompt_cache_key, retention=body.prompt_cache_retention),
        user=body.safety_identifier or body.user,
        metadata=body.metadata or {},
        service_tier=body.service_tier,
        state=State(store=body.store),
        stream=bool(body.stream),
        vendor_fields={} if vendor_fields is None else decode_json(_VENDORS, vendor_fields, "extra_body"),
        extras=extras,
    )


def _bound(count: int, limit: int, param: str) -> None:
    if count > limit:
        raise MalformedRequest(f"At most {limit} are taken here.", code="array_above_max_length", param=param)


def _bound_schema(schema: wire.JsonField, param: str, limits: RequestLimits) -> None:
    if isinstance(schema, Raw) and len(bytes(schema)) > limits.max_schema_bytes:
        raise MalformedRequest(f"A schema may have {limits.max_schema_bytes} bytes.", param=param)


# --- messages ---------------------------------------------------------------------------------------------------------


def _messages(raws: Sequence[Raw], limits: RequestLimits) -> list[Message]:
    found: list[Message] = []
    calls: dict[str, str] = {}
    for index, raw in enumerate(raws):
        at = f"messages[{index}]"
        message, extras = wire.read(_MESSAGE, raw, at)
        if message.role in ("tool", "function"):
            found.append(_result(message, extras, at, calls, limits))
            continue
        blocks = _content(wire.present(message.content), f"{at}.content", limits)
        content = (*_reasoning_blocks(message, at), *blocks)
        if message.refusal:
            content = (*content, Refusal(text=message.refusal, at=f"{at}.refusal"))
        content = (*content, *_calls(message, at, calls))
        role = message.role
        assert role != "tool"
        assert role != "function"
        if wire.present(message.content) is None and not content and role != "assistant":
            raise MalformedRequest("content is missing.", code="missing_required_parameter", param=f"{at}.content")
        found.append(Message(role=role, content=content, name=message.name, extras=extras, at=at))
    return found


def _result(message: wire.Message, extras: Extras, at: str, calls: dict[str, str], limits: RequestLimits) -> Message:
    call_id = message.tool_call_id
    if message.role == "function":
        call_id = calls.get(message.name or "", f"call_fn_{message.name}")
    if call_id is None:
        raise MalformedRequest(
            "tool_call_id is missing.", code="missing_required_parameter", param=f"{at}.tool_call_id"
        )
    blocks = _content(wire.present(message.content), f"{at}.content", limits)
    result = ToolResult(call_id=call_id, blocks=blocks, name=message.name, extras=extras, at=at)
    return Message(role="tool", content=(result,), at=at)


def _calls(message: wire.Message, at: str, names: dict[str, str]) -> list[ToolCall]:
    calls: list[ToolCall] = []
    for index, raw in enumerate(message.tool_calls or ()):
        place = f"{at}.tool_calls[{index}]"
        call, extras = wire.read(_TOOL_CALL, raw, place)
        if call.custom is not None:
            calls.append(ToolCall(id=call.id, name=call.custom.name, arguments=call.custom.input, kind="custom",
                                  extras=extras, at=place))  # fmt: skip
        elif call.function is not None:
            arguments = call.function.arguments or ""
            calls.append(ToolCall(id=call.id, name=call.function.name, arguments=arguments, extras=extras, at=place))
        else:
            raise MalformedRequest("function is missing.", code="missing_required_parameter", param=f"{place}.function")
    if message.function_call is not None:
        name = message.function_call.name
        call_id = names[name] = f"call_fn_{name}_{at.removeprefix('messages[').rstrip(']')}"
        arguments = message.function_call.arguments or ""
        calls.append(ToolCall(id=call_id, name=name, arguments=arguments, at=f"{at}.function_call"))
    return calls


def _content(raw: Raw | None, at: str, limits: RequestLimits) -> tuple[Block, ...]:
    if raw is None:
        return ()
    text = bytes(raw)
    if text[:1] == b'"':
        return (Text(text=decode_json(_STRING, text, at), at=at),)
    parts = decode_json(_RAWS, text, at)
    _bound(len(parts), limits.max_parts, at)
    return tuple(_part(part, f"{at}[{index}]") for index, part in enumerate(parts))


def _part(raw: Raw, at: str) -> Block:
    kind = decode_json(_KIND, raw, at).type
    type_ = wire.PART_TYPES.get(kind)
    if type_ is None:
        return Opaque(protocol=wire.NAME, type=kind, raw=raw, at=at)
    part, extras = wire.read(_PARTS[type_], raw, at)
    match part:
        case wire.TextPart():
            return Text(text=part.text, cache=_mark(part.prompt_cache_breakpoint), extras=extras, at=at)
        case wire.ImagePart():
            return _image(part, extras, at)
        case wire.AudioPart():
            media_type = _AUDIO_TYPES.get(part.input_audio.format, f"audio/{part.input_audio.format}")
            source = Base64Source(media_type=media_type, data=part.input_audio.data)
            return Media(kind="audio", source=source, cache=_mark(part.prompt_cache_breakpoint), extras=extras, at=at)
        case wire.FilePart():
            return _file(part, extras, at)
        case wire.RefusalPart():
            return Refusal(text=part.refusal, extras=extras, at=at)


def _image(part: wire.ImagePart, extras: Extras, at: str) -> Media:
    url = part.image_url if isinstance(part.image_url, str) else part.image_url.url
    detail = part.detail if isinstance(part.image_url, str) else part.image_url.detail or part.detail
    source: Base64Source | UrlSource = UrlSource(url=url)
    if url.startswith("data:"):
        match = DATA_URL.fullmatch(url)
        if match is None:
            place = at if isinstance(part.image_url, str) else f"{at}.image_url.url"
            raise MalformedRequest("The data URL is not base64.", code="invalid_image_url", param=place)
        source = Base64Source(media_type=match["type"], data=match["data"])
    return Media(
        kind="image", source=source, detail=detail, cache=_mark(part.prompt_cache_breakpoint), extras=extras, at=at
    )


def _file(part: wire.FilePart, extras: Extras, at: str) -> Media:
    mark, name = _mark(part.prompt_cache_breakpoint), part.file.filename
    if part.file.file_id is not None:
        source = FileSource(file_id=part.file.file_id, protocol=wire.NAME)
        return Media(kind="file", source=source, name=name, cache=mark, extras=extras, at=at)
    if part.file.file_data is None:
        raise MalformedRequest(
            "file_data or file_id is missing.", code="missing_required_parameter", param=f"{at}.file"
        )
    match = DATA_URL.fullmatch(part.file.file_data)
    media_type, data = (match["type"], match["data"]) if match else ("application/pdf", part.file.file_data)
    kind: Literal["document", "file"] = (
        "document" if media_type == "application/pdf" or media_type.startswith("text/") else "file"
    )
    source64 = Base64Source(media_type=media_type, data=data)
    return Media(kind=kind, source=source64, name=name, cache=mark, extras=extras, at=at)


def _mark(mark: wire.CacheBreakpoint | None) -> CacheMark | None:
    return None if mark is None else CacheMark(ttl=mark.ttl)


def _reasoning_blocks(message: wire.Message, at: str) -> list[Reasoning]:
    """Return earlier reasoning, from the richest of the forms that it came in: they say the same."""
    blocks: list[Reasoning] = []
    for index, raw in enumerate(message.reasoning_details or ()):
        blocks += _from_detail(
            decode_json(_DETAIL, raw, f"{at}.reasoning_details[{index}]"), f"{at}.reasoning_details[{index}]"
        )
    if blocks:
        return blocks
    for index, raw in enumerate(message.thinking_blocks or ()):
        place = f"{at}.thinking_blocks[{index}]"
        thinking = decode_json(_THINKING, raw, place)
        blocks.append(Reasoning(text=thinking.thinking, signature=thinking.signature, redacted=thinking.data, at=place))
    if blocks:
        return blocks
    for field, text in (("reasoning_content", message.reasoning_content), ("reasoning", message.reasoning)):
        if text is not None:
            return [Reasoning(text=text, at=f"{at}.{field}")]
    return []


def _from_detail(detail: _Detail, at: str) -> list[Reasoning]:
    if detail.type == "reasoning.encrypted":
        return [Reasoning(redacted=detail.data, at=at)]
    text = detail.text if detail.text is not None else detail.summary
    is_summary = detail.type == "reasoning.summary"
    return [Reasoning(text=text or "", is_summary=is_summary, signature=detail.signature, at=at)]


# --- tools ------------------------------------------------------------------------------------------------------------


def _tools(body: wire.Request, limits: RequestLimits) -> tuple[Tool, ...]:
    raws = body.tools or ()
    _bound(len(raws) + len(body.functions or ()), limits.max_tools, "tools")
    tools = [_tool(raw, f"tools[{index}]", limits) for index, raw in enumerate(raws)]
    for index, function in enumerate(body.functions or ()):
        _bound_schema(function.parameters, f"functions[{index}].parameters", limits)
        tools.append(_function(function, {}, f"functions[{index}]"))
    names = [tool.name for tool in tools if tool.name is not None]
    if len(set(names)) < len(names):
        raise MalformedRequest("Two tools have the same name.", code="invalid_value", param="tools")
    return tuple(tools)


def _tool(raw: Raw, at: str, limits: RequestLimits) -> Tool:
    kind = decode_json(_TOOL_KIND, raw, at)
    if kind.type not in ("function", "custom"):  # a tool of the vendor's, as OpenRouter has them
        return VendorTool(protocol=wire.NAME, type=kind.type, name=kind.name, raw=raw, runs_at="provider", at=at)
    tool, extras = wire.read(_TOOL, raw, at)
    if tool.custom is not None:
        custom = tool.custom
        return CustomTool(
            name=custom.name, description=custom.description, format=wire.present(custom.format), extras=extras, at=at
        )
    if tool.function is None:
        raise MalformedRequest("function is missing.", code="missing_required_parameter", param=f"{at}.function")
    _bound_schema(tool.function.parameters, f"{at}.function.parameters", limits)
    return _function(tool.function, extras, at)


def _function(function: wire.Function, extras: Extras, at: str) -> FunctionTool:
    return FunctionTool(
        name=function.name,
        description=function.description,
        parameters=wire.present(function.parameters),
        strict=function.strict,
        extras=extras,
        at=at,
    )


def _tool_choice(body: wire.Request, tools: Sequence[Tool]) -> ToolChoice | None:
    raw, at = wire.present(body.tool_choice), "tool_choice"
    if raw is None:
        raw, at = wire.present(body.function_call), "function_call"
    if raw is None:
        return None
    choice = _choice(raw, at)
    if choice.mode in ("required", "named") and not tools:  # clients of Mistral's send "auto" always
        raise MalformedRequest("tool_choice is only allowed with tools.", code="invalid_value", param=at)
    known = {tool.name for tool in tools}
    if any(name not in known for name in choice.names):
        raise MalformedRequest("tool_choice names a tool that is not among tools.", code="invalid_value", param=at)
    return choice


def _choice(raw: Raw, at: str) -> ToolChoice:
    if bytes(raw)[:1] == b'"':
        match decode_json(_STRING, raw, at):
            case "auto" | "none" | "required" as mode:
                return ToolChoice(mode=mode, at=at)
            case "any":
                return ToolChoice(mode="required", at=at)
            case _:
                raise MalformedRequest(
                    "Supported values are: 'none', 'auto', 'required'.", code="invalid_value", param=at
                )
    if at == "function_call":
        return ToolChoice(mode="named", names=(decode_json(_NAMED, raw, at).name,), at=at)
    choice = decode_json(_CHOICE, raw, at)
    if choice.allowed_tools is not None:
        mode = "required" if choice.allowed_tools.mode == "required" else "auto"
        return ToolChoice(mode=mode, names=tuple(_name_of(tool, at) for tool in choice.allowed_tools.tools), at=at)
    return ToolChoice(mode="named", names=(_name_of(choice, at),), at=at)


def _name_of(choice: _Choice, at: str) -> str:
    named = choice.function or choice.custom
    name = named.name if named is not None else choice.name
    if name is None:
        raise MalformedRequest("The name of the tool is missing.", code="missing_required_parameter", param=at)
    return name


# --- parameters -------------------------------------------------------------------------------------------------------


def _max_tokens(body: wire.Request) -> int | None:
    if body.max_completion_tokens is not None:
        return wire.whole(body.max_completion_tokens, "max_completion_tokens")
    return wire.whole(body.max_tokens, "max_tokens")


def _sampling(body: wire.Request) -> Sampling:
    return Sampling(
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=wire.whole(body.top_k, "top_k"),
        min_p=body.min_p,
        seed=wire.whole(body.seed, "seed"),
        frequency_penalty=body.frequency_penalty,
        presence_penalty=body.presence_penalty,
        logit_bias=body.logit_bias,
        logprobs=body.logprobs,
        top_logprobs=wire.whole(body.top_logprobs, "top_logprobs"),
    )


def _stop(stop: str | list[str] | None, limits: RequestLimits) -> tuple[str, ...]:
    found = () if stop is None else (stop,) if isinstance(stop, str) else tuple(stop)
    _bound(len(found), limits.max_stop, "stop")
    return found


def _format(raw: Raw | None, limits: RequestLimits) -> OutputFormat | None:
    if raw is None:
        return None
    given, extras = wire.read(_FORMAT, raw, "response_format")
    if given.type != "json_schema":
        return OutputFormat(kind=given.type, extras=extras, at="response_format")
    schema = given.json_schema
    if schema is None:
        raise MalformedRequest(
            "json_schema is missing.", code="missing_required_parameter", param="response_format.json_schema"
        )
    _bound_schema(schema.schema, "response_format.json_schema.schema", limits)
    return OutputFormat(
        kind="json_schema",
        name=schema.name,
        description=schema.description,
        schema=wire.present(schema.schema),
        strict=schema.strict,
        extras=extras,
        at="response_format",
    )


def _reasoning(body: wire.Request, extras: Extras) -> ReasoningControl | None:
    if body.reasoning_effort is None:
        return None
    return ReasoningControl(effort=body.reasoning_effort, at="reasoning_effort")
