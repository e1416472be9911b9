"""A whole request, both ways.

A body of known shape is read in one pass. Only what is not (a server tool, a field of next year) is read again, part by
part, so that everything unknown is kept and every mistake is named by its path.

Encoded again for this protocol, a request is JSON-equal to what came, but for this (`normal` in the tests):

* fields that are null, ``stream: false``, and lists, objects and strings that are empty are left out;
* a content that is one plain text block is written as a string;
* ``type: "custom"`` of a tool is left out, and ``output_format`` is written as ``output_config.format``;
* a system message that begins ``messages`` moves into ``system``;
* thinking that the upstream did not issue, fields that steer gateways, and ``extra_body`` itself are not sent.
"""

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote

import msgspec
from msgspec import UNSET, Raw

from ...canonical import (
    Block,
    CacheControl,
    Extras,
    Message,
    Notices,
    Opaque,
    OutputFormat,
    Reasoning,
    ReasoningControl,
    Request,
    Role,
    Sampling,
    Text,
    Tool,
    ToolChoice,
)
from ...codec import DEFAULT_LIMITS, HTTPCall, RequestLimits
from ...errors import MalformedRequest, Unsupported
from ...headers import forwarded_headers
from ...json_guard import decode_json, decode_object, encode_object, whole
from ...json_pieces import NULL, fields_of, missing, set_fields, text_of, without_null
from ...profiles import Profile
from ..reserved import is_reserved, vendor_fields
from . import wire
from .blocks import (
    BlockWriter,
    JsonObject,
    decode_content,
    decode_mark,
    encode_mark,
    is_replayable,
    read_content,
    read_mark,
)
from .preflight import normalise, output_limit, report_unsayable
from .reasoning import decode_reasoning, encode_thinking, read_reasoning
from .tools import check_schema, decode_choice, decode_tools, encode_choice, encode_tool, read_choice, read_tools
from .turns import SYSTEM
from .versions import asked_version, enforce_strict_version, version_for

# --- wire -> ours -----------------------------------------------------------------------------------------------------

_REQUEST: Final = msgspec.json.Decoder(wire.Request)
_OBJECT: Final = msgspec.json.Decoder(dict[str, Raw])
_LIST: Final = msgspec.json.Decoder(list[Raw])
_MESSAGES: Final = msgspec.json.Decoder(list[wire.Message])
_MESSAGE: Final = msgspec.json.Decoder(wire.Message)
_FORMAT: Final = msgspec.json.Decoder(wire.Format)
_TEXT: Final = msgspec.json.Decoder(str | None)
_IDENTIFIER: Final = msgspec.json.Decoder(wire.Identifier | None)
_NONE: Final[Extras] = {}

BILLING: Final = "x-anthropic-billing-header:"
"""Begins a system text that is meant for the vendor's bookkeeping, and spoils everybody else's prompt cache."""
_NEW_THREAD: Final = "create"


class _Parts(msgspec.Struct, frozen=True):
    """What is read apart from the flat fields."""

    messages: tuple[Message, ...]
    system: tuple[Block, ...] = ()
    tools: tuple[Tool, ...] = ()
    choice: tuple[ToolChoice, bool | None] | None = None
    reasoning: ReasoningControl | None = None
    cache: CacheControl = CacheControl()
    extras: Extras = {}


def decode_request(call: HTTPCall, limits: RequestLimits = DEFAULT_LIMITS, *, enforces_version: bool = True) -> Request:
    """Read a caller's request, or the request whose tokens it wants to be counted.

    Args:
        call: Its body was judged by `json_guard.check_document`.
        limits: What is over one is refused.
        enforces_version: Refuse what the vendor refuses under ``anthropic-version: 2026-10-21``.

    Raises:
        MalformedRequest: With ``param``, the path of what is wrong.
    """
    version = asked_version(call)
    try:
        head = _REQUEST.decode(call.body)
    except msgspec.MsgspecError:
        request = _read(decode_object(call.body), call, limits)
    else:
        request = _request(head, _decode_parts(head, limits), call, limits)
    if request.max_output_tokens is None and not call.path.endswith("/count_tokens"):
        raise missing("max_tokens")
    if enforces_version and version == wire.STRICT_VERSION:
        enforce_strict_version(request)
    return request


def _decode_parts(head: wire.Request, limits: RequestLimits) -> _Parts:
    """Return the parts of a body of known shape."""
    return _Parts(
        messages=_decode_messages(head.messages, limits),
        system=() if not head.system else decode_content(head.system, "system", limits),
        tools=() if not head.tools else decode_tools(head.tools, limits),
        choice=None if head.tool_choice is None else decode_choice(head.tool_choice, {}),
        reasoning=decode_reasoning(head.thinking, head.output_config),
        cache=CacheControl(mark=decode_mark(head.cache_control)),
    )


_PARTS: Final = ("messages", "system", "tools", "tool_choice", "thinking", "cache_control")


def _read(fields: dict[str, Raw], call: HTTPCall, limits: RequestLimits) -> Request:
    """Return the request of a body of any shape."""
    fields = without_null(fields)
    apart = {name: fields[name] for name in _PARTS if name in fields}
    names = wire.Request.__struct_fields__
    flat = {name: value for name, value in fields.items() if name in names and name not in apart}
    unknown: Extras = {name: value for name, value in fields.items() if name not in names}
    head = decode_json(_REQUEST, encode_object({**flat, "messages": Raw(b"[]")}))
    if "messages" not in apart:
        raise missing("messages")
    reasoning = decode_reasoning(None, head.output_config)
    if "thinking" in apart:
        read = read_reasoning(apart["thinking"], head.output_config)
        if read is None:
            unknown["thinking"] = apart["thinking"]
        reasoning = read or reasoning
    parts = _Parts(
        messages=_read_messages(apart["messages"], limits),
        system=() if "system" not in apart else read_content(apart["system"], "system", limits),
        tools=() if "tools" not in apart else read_tools(apart["tools"], limits),
        choice=None if "tool_choice" not in apart else read_choice(apart["tool_choice"]),
        reasoning=reasoning,
        cache=CacheControl(mark=read_mark(apart.get("cache_control"), "cache_control")),
        extras=unknown,
    )
    return _request(head, parts, call, limits)


def _request(head: wire.Request, parts: _Parts, call: HTTPCall, limits: RequestLimits) -> Request:
    """Return the canonical request of the flat fields and the parts."""
    extras = {**set_fields(head, *wire.EXTRAS), **parts.extras}
    messages = parts.messages
    if parts.system:
        system = tuple([_without_billing(block) for block in parts.system])
        messages = (Message(role="system", content=system, at="system"), *messages)
    if head.stop_sequences and len(head.stop_sequences) > limits.max_stop:
        raise MalformedRequest(f"At most {limits.max_stop} stop sequences are read here.", param="stop_sequences")
    choice, is_parallel = parts.choice or (None, None)
    tier = _decode_tier(head, extras)
    output_format = _decode_format(head, extras, limits)
    is_twice = set_fields(head, "output_format") and output_format is not None and output_format.at != _FORMER
    return Request(
        source=wire.NAME,
        model=head.model,
        messages=messages,
        tools=parts.tools,
        tool_choice=choice,
        parallel_tool_calls=is_parallel,
        max_output_tokens=whole(head.max_tokens, "max_tokens"),
        sampling=Sampling(temperature=head.temperature, top_p=head.top_p, top_k=whole(head.top_k, "top_k")),
        stop=tuple(head.stop_sequences or ()),
        output_format=output_format,
        reasoning=parts.reasoning,
        cache=parts.cache,
        user=_decode_metadata(head.metadata, extras),
        service_tier=tier,
        stream=bool(head.stream),
        vendor_headers=forwarded_headers(call.headers),
        vendor_fields=head.extra_body or {},
        extras=extras,
        overruled=(_FORMER,) if is_twice else (),
        places=_FAST_PLACES if tier == "fast" else _PLACES,
        required_extras=_required(extras),
        idle_extras=tuple(name for name in extras if name in wire.IDLE or name.startswith("metadata.")),
    )


def _required(extras: Extras) -> tuple[str, ...]:
    """Return the extras that change what is asked. A thread that begins does not: its messages all stand here."""
    names = [name for name in wire.REQUIRED_EXTRAS if name in extras]
    if "thread" in names and text_of(fields_of(extras["thread"]).get("type")) == _NEW_THREAD:
        names.remove("thread")
    return tuple(names)


def _without_billing(block: Block) -> Block:
    """Return a system block; of Claude Code's billing text, which changes with every build, one without plain text."""
    if not isinstance(block, Text) or not block.text.startswith(BILLING):
        return block
    raw = Raw(msgspec.json.encode(BlockWriter(is_native=True, notices=Notices()).block(block)))
    return Opaque(protocol=wire.NAME, type="text", raw=raw, fallback="", at=block.at)


def _decode_messages(messages: Sequence[wire.Message], limits: RequestLimits) -> tuple[Message, ...]:
    _check_count(len(messages), limits)
    return tuple([_message(message, f"messages[{i}]", _NONE, limits) for i, message in enumerate(messages)])


def _read_messages(raw: Raw, limits: RequestLimits) -> tuple[Message, ...]:
    try:
        return _decode_messages(_MESSAGES.decode(raw), limits)
    except msgspec.ValidationError:
        pieces = decode_json(_LIST, raw, "messages")
    _check_count(len(pieces), limits)
    return tuple([_read_message(piece, f"messages[{i}]", limits) for i, piece in enumerate(pieces)])


def _read_message(raw: Raw, at: str, limits: RequestLimits) -> Message:
    try:
        return _message(_MESSAGE.decode(raw), at, _NONE, limits)
    except msgspec.ValidationError:
        fields = decode_json(_OBJECT, raw, at)
    content = fields.pop("content", None)
    names = wire.Message.__struct_fields__
    known = {name: value for name, value in fields.items() if name in names}
    unknown = {name: value for name, value in fields.items() if name not in names}
    empty = decode_json(_MESSAGE, encode_object({**known, "content": Raw(b"[]")}), at)
    message = _message(empty, at, without_null(unknown), limits)
    if content is None:
        raise missing(f"{at}.content")
    return msgspec.structs.replace(message, content=read_content(content, f"{at}.content", limits))


def _message(message: wire.Message, at: str, unknown: Extras, limits: RequestLimits) -> Message:
    content = decode_content(message.content, at + ".content", limits)
    if message.output_config is UNSET and message.clear_at is UNSET and not unknown:
        return Message(role=message.role, content=content, at=at)
    extras = {**set_fields(message, "output_config", "clear_at"), **unknown}
    return Message(role=message.role, content=content, extras=extras, at=at)


def _check_count(count: int, limits: RequestLimits) -> None:
    if not 0 < count <= limits.max_messages:
        raise MalformedRequest(f"Send at least one message, and at most {limits.max_messages}.", param="messages")


_FORMER: Final = "output_format"
"""What stands in ``output_config`` now."""


def _decode_format(head: wire.Request, extras: Extras, limits: RequestLimits) -> OutputFormat | None:
    """Return the form of the answer; what else ``output_config`` holds goes to the extras."""
    config = dict(head.output_config or {})
    config.pop("effort", None)
    raw, at = config.pop("format", None), "output_config.format"
    extras.update({f"output_config.{name}": value for name, value in without_null(config).items()})
    if (raw is None or bytes(raw) == NULL) and head.output_format is not UNSET:
        raw, at = head.output_format, _FORMER
    if raw is None or bytes(raw) == NULL:
        return None
    fields = decode_json(_OBJECT, raw, at)
    if decode_json(_TEXT, fields.get("type", Raw(NULL)), f"{at}.type") != "json_schema":
        extras[at] = raw
        return None
    names = wire.Format.__struct_fields__
    known = {name: value for name, value in fields.items() if name in names}
    unknown = {name: value for name, value in fields.items() if name not in names}
    schema = decode_json(_FORMAT, encode_object(known), at).schema
    check_schema(schema, f"{at}.schema", limits)
    return OutputFormat(kind="json_schema", schema=schema, extras=without_null(unknown), at=at)


def _decode_metadata(metadata: dict[str, Raw] | None, extras: Extras) -> str | None:
    """Return the user's id; what else ``metadata`` holds goes to the extras."""
    if not metadata:
        return None
    user = metadata.pop("user_id", None)
    extras.update({f"metadata.{name}": value for name, value in without_null(metadata).items()})
    return None if user is None else decode_json(_IDENTIFIER, user, "metadata.user_id")


def _decode_tier(head: wire.Request, extras: Extras) -> str | None:
    """Return the service tier in OpenAI's words, where ``fast`` is one of them."""
    if head.speed == "fast" and head.service_tier is None:
        return "fast"
    if head.speed is not None:
        extras["speed"] = Raw(msgspec.json.encode(head.speed))
    return "default" if head.service_tier == "standard_only" else head.service_tier


_PLACES: Final = {
    "max_completion_tokens": "max_tokens",
    "messages[].content[].arguments": "messages[].content[].input",
    "messages[].content[].call_id": "messages[].content[].tool_use_id",
    "output_config.effort.effort": "output_config.effort",
    "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
    "stop": "stop_sequences",
    "thinking.effort": "output_config.effort",
    "tools[].parameters": "tools[].input_schema",
    "user": "metadata.user_id",
}
_FAST_PLACES: Final = {**_PLACES, "service_tier": "speed"}
"""Where it stands what other protocols have elsewhere."""


# --- ours -> wire -----------------------------------------------------------------------------------------------------

_NOT_COUNTED: Final = frozenset(
    {"max_tokens", "stream", "metadata", "stop_sequences", "service_tier", "temperature", "top_p", "top_k"}
)
"""Fields of a request that its token count does not take."""

_ROLES: Final[Mapping[Role, wire.Role]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "user",
}

_PROTECTED: Final = frozenset({"model", "messages", "system", "tools", "stream", "max_tokens", "thread", "container"})
"""What ``extra_body`` may not set: the gateway has judged it, or would have to."""


def encode_request(request: Request, profile: Profile, notices: Notices) -> HTTPCall:
    """Write a request for an upstream.

    Raises:
        Unsupported: With ``param``, the path of what nothing can stand in for.
    """
    body, request = _body(request, profile, notices)
    return _call(body, request, profile, is_count=False)


def encode_count_request(request: Request, profile: Profile, notices: Notices) -> HTTPCall | None:
    """Write a token count request; raises as `encode_request`."""
    body, request = _body(request, profile, notices)
    return _call({n: v for n, v in body.items() if n not in _NOT_COUNTED}, request, profile, is_count=True)


def path_of(profile: Profile, model: str, *, is_count: bool) -> str:
    """Return the path of an operation at an upstream."""
    if profile.path is None:
        return wire.COUNT_PATH if is_count else wire.MESSAGES_PATH
    path = profile.path.replace("{model}", quote(model, safe=""))
    return f"{path}/count_tokens" if is_count else path


def _call(body: JsonObject, request: Request, profile: Profile, *, is_count: bool) -> HTTPCall:
    own = request.vendor_headers if request.source == wire.NAME else {}
    headers = {**own, wire.VERSION_HEADER: version_for(request, profile)}
    return HTTPCall(
        method="POST",
        path=path_of(profile, request.model, is_count=is_count),
        body=msgspec.json.encode(body),
        headers=headers,
        query=profile.query,
    )


def _body(request: Request, profile: Profile, notices: Notices) -> tuple[JsonObject, Request]:
    """Return the body, its fields in the vendor's order, and the request as it was written."""
    is_native = request.source == wire.NAME
    report_unsayable(request, notices)
    if not is_native:
        request = normalise(request, profile, notices)
    writer = BlockWriter(is_native=is_native, notices=notices)
    system, messages = _encode_messages(request, profile, writer, notices)
    fields: JsonObject = {
        "model": request.model,
        "messages": messages,
        "max_tokens": output_limit(request, profile.facts(request.model)),
        "cache_control": None if request.cache.mark is None else encode_mark(request.cache.mark),
        "metadata": None if request.user is None else {"user_id": request.user},
        "output_config": _encode_output_config(request),
        "service_tier": _encode_tier(request.service_tier),
        "speed": "fast" if request.service_tier == "fast" else None,
        "stop_sequences": request.stop or None,
        "stream": request.stream or None,
        "system": system or None,
        "thinking": encode_thinking(request.reasoning, writer),
        "tool_choice": encode_choice(request.tool_choice, request.parallel_tool_calls, writer),
        "tools": [encode_tool(tool, writer) for tool in request.tools] or None,
        "temperature": request.sampling.temperature,
        "top_k": request.sampling.top_k,
        "top_p": request.sampling.top_p,
    }
    body = {name: value for name, value in fields.items() if value is not None}
    if is_native:
        _add_extras(body, request.extras, notices)
    body.update(vendor_fields(request, profile.vendor, _PROTECTED, notices))
    for name in profile.drop:
        if body.pop(name, None) is not None:
            notices.lost(name, "the upstream refuses this field")
    return body, request


def _encode_messages(
    request: Request, profile: Profile, writer: BlockWriter, notices: Notices
) -> tuple[str | list[object], list[JsonObject]]:
    """Return ``system`` and ``messages``."""
    is_native = request.source == wire.NAME
    leading = next((i for i, m in enumerate(request.messages) if m.role not in SYSTEM), len(request.messages))
    for message in request.messages[:leading]:
        for name in message.extras:
            notices.lost(f"{message.at}.{name}", "system has no such field")
    system = [block for message in request.messages[:leading] for block in message.content]
    written: list[JsonObject] = []
    for message in request.messages[leading:]:
        content = message.content
        if is_native and message.role == "assistant":
            content = _replayable(content, profile, notices)
        if content or not message.content:
            written.append({"role": _ROLES[message.role], "content": writer.content(content), **message.extras})
    return writer.content(system), written


def _replayable(content: tuple[Block, ...], profile: Profile, notices: Notices) -> tuple[Block, ...]:
    """Return a content without the thinking that this upstream cannot be given back."""
    if not any(isinstance(block, Reasoning) for block in content):
        return content
    kept: list[Block] = []
    for block in content:
        is_foreign = isinstance(block, Reasoning) and not is_replayable(
            block, profile.vendor, profile.reasoning_replay != "never"
        )
        if is_foreign:
            notices.lost(block.at, "thinking without a signature of this vendor cannot be given back")
        else:
            kept.append(block)
    return tuple(kept)


def _encode_output_config(request: Request) -> JsonObject | None:
    config: JsonObject = {}
    if request.reasoning is not None and request.reasoning.effort is not None:
        config["effort"] = request.reasoning.effort
    wanted = request.output_format
    if wanted is not None and wanted.kind == "json_schema":
        config["format"] = {"type": "json_schema", "schema": wanted.schema, **wanted.extras}
    elif wanted is not None and wanted.kind == "json_object":
        raise Unsupported("Anthropic wants a schema for JSON.", param=wanted.at or None)
    return config or None


def _encode_tier(tier: str | None) -> str | None:
    return {"default": "standard_only", "fast": None}.get(tier, tier) if tier is not None else None


def _add_extras(body: JsonObject, extras: Extras, notices: Notices) -> None:
    """Write a native request's extras back into their places."""
    for path, value in extras.items():
        parent, dot, name = path.partition(".")
        if is_reserved(path, notices):
            continue
        if dot and parent in ("output_config", "metadata"):
            place = body.setdefault(parent, {})
            assert isinstance(place, dict)
            place[name] = value
        else:
            body[path] = value
