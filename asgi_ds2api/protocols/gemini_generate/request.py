"""A whole request, both ways. Model and streaming stand in the path, all else in the body.

Encoded again for this protocol, a request is JSON-equal to what came, but for this (`normal` in the tests):

* names are in ``camelCase``, enums in upper case, base64 is standard, fields that are null are left out;
* ``systemInstruction`` and ``contents`` are written in full: a list of contents, with roles, of lists of parts;
* ``parameters`` and ``responseSchema`` are written as JSON Schema, in ``parametersJsonSchema`` and
  ``responseJsonSchema``, unless the upstream's profile says that it reads its own dialect alone;
* all functions stand in one object of ``tools``, and every other tool in one of its own;
* a call without an id gets one, made from its place, and so does its result; the text of a lone ``output`` is unwrapped
  and wrapped again;
* ``responseModalities`` that ask for text alone are left out, as is ``model``, which the path names.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw

from ...canonical import (
    Block,
    Extras,
    Message,
    Notices,
    Request,
    Role,
    State,
    Text,
    ToolChoice,
    ToolResult,
)
from ...codec import DEFAULT_LIMITS, HTTPCall, RequestLimits
from ...errors import MalformedRequest, Unsupported
from ...headers import forwarded_headers
from ...json_guard import decode_object
from ...json_pieces import JsonObject, fields_of, put_extras
from ...profiles import Profile
from ..reserved import is_reserved, vendor_fields
from . import wire
from .pairing import CallIds
from .parts import PartWriter, decode_part
from .paths import COUNT, GENERATE, STREAM, is_stream, model_in, path_of, query_of
from .preflight import SYSTEM, arrange, has_functions, report_unsayable
from .reasoning import SHAPE as THINKING
from .settings import GENERATION, decode_format, decode_settings, encode_settings, places_of
from .signatures import keep_own_thoughts, sign_steps
from .thought_pieces import join_thoughts
from .tools import decode_choice, decode_tools, encode_choice, encode_tools
from .wire import Shape, put_within, within

_TOP: Final = Shape(
    "contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "labels", "serviceTier", "store",
    "model", "cachedContent", "continuationToken", "safetySettings", "modelArmorConfig", "generateContentRequest",
)  # fmt: skip
_CONTENT: Final = Shape("role", "parts")
_REQUIRED: Final = (
    "cachedContent", "continuationToken", "generationConfig.responseFormat", "generationConfig.responseMimeType",
    "generationConfig.responseModalities",
)  # fmt: skip
"""Extras without which another question would be asked."""

_TIERS: Final[Mapping[str, str]] = {"standard": "default"}
"""The vendor's words for tiers -> OpenAI's."""
_WORDS: Final[Mapping[str, str]] = {tier: word for word, tier in _TIERS.items()}
_KNOWN_TIERS: Final = frozenset({"standard", "flex", "priority"})

# --- wire -> ours -----------------------------------------------------------------------------------------------------


def decode_request(call: HTTPCall, limits: RequestLimits = DEFAULT_LIMITS) -> Request:
    """Read a caller's request, or the request whose tokens it wants to be counted.

    Args:
        call: Its body was judged by `json_guard.check_document`.
        limits: What is over one is refused.

    Raises:
        MalformedRequest: With ``param``, the path of what is wrong.
    """
    fields, extras = _TOP.split(decode_object(call.body))
    if "generateContentRequest" in fields:
        fields, extras = _TOP.read(fields["generateContentRequest"], "generateContentRequest")
    overruled = ("model",) if "model" in fields and model_in(call.path) else ()  # the path names it
    fields.pop("model", None)
    config, unknown = GENERATION.read(fields.pop("generationConfig", Raw(b"{}")), "generationConfig")
    extras |= within("generationConfig", unknown)
    messages = _decode_messages(fields.pop("contents", None), limits)
    if "systemInstruction" in fields:
        messages = (_decode_system(fields.pop("systemInstruction"), limits), *messages)
    choice: ToolChoice | None = None
    if "toolConfig" in fields:
        choice, others = decode_choice(fields.pop("toolConfig"))
        extras |= others
    tools = decode_tools(fields.pop("tools"), limits) if "tools" in fields else ()
    store = wire.boolean(fields.pop("store"), "store") if "store" in fields else None
    tier = wire.text(fields.pop("serviceTier"), "serviceTier").lower() if "serviceTier" in fields else None
    metadata = _decode_labels(fields.pop("labels", None))
    output_format = decode_format(config, extras, limits)
    settings = decode_settings(config, limits)
    extras |= fields
    extras |= within("generationConfig", config)
    return Request(
        source=wire.NAME,
        model=model_in(call.path),
        messages=messages,
        tools=tools,
        tool_choice=choice,
        max_output_tokens=settings.max_output_tokens,
        sampling=settings.sampling,
        stop=settings.stop,
        choices=settings.choices,
        output_format=output_format,
        reasoning=settings.reasoning,
        metadata=metadata,
        service_tier=None if tier is None else _TIERS.get(tier, tier),
        state=State(store=store),
        stream=is_stream(call.path),
        vendor_headers=forwarded_headers(call.headers),
        extras=extras,
        places=places_of(tools),
        overruled=overruled,
        required_extras=tuple(name for name in _REQUIRED if name in extras),
    )


def _decode_messages(raw: Raw | None, limits: RequestLimits) -> tuple[Message, ...]:
    pieces = [] if raw is None else wire.items(raw, "contents")
    if not 0 < len(pieces) <= limits.max_messages:
        raise MalformedRequest(
            f"Send at least one content, and at most {limits.max_messages}.",
            code="missing_required_parameter" if not pieces else "invalid_value",
            param="contents",
        )
    ids = CallIds()
    messages: list[Message] = []
    for position, piece in enumerate(pieces):
        ids.turn = position
        messages.append(_decode_content(piece, f"contents[{position}]", ids, limits))
    return join_thoughts(messages)


_ROLES: Final[Mapping[str, Role]] = {
    "user": "user",
    "model": "assistant",
    "function": "user",
    "tool": "user",
    "": "user",
}


def _decode_content(raw: Raw, at: str, ids: CallIds, limits: RequestLimits) -> Message:
    if bytes(raw).startswith(b'"'):
        return Message(role="user", content=(Text(text=wire.text(raw, at), at=at),), at=at)
    fields, extras = _CONTENT.read(raw, at)
    spelled = wire.text(fields["role"], f"{at}.role") if "role" in fields else ""
    role = _ROLES.get(spelled.lower())
    if role is None:
        raise MalformedRequest("Please use a valid role: user, model.", code="invalid_value", param=f"{at}.role")
    return Message(role=role, content=_decode_parts(fields.get("parts"), f"{at}.parts", ids, limits), extras=extras,
                   at=at)  # fmt: skip


def _decode_parts(raw: Raw | None, at: str, ids: CallIds, limits: RequestLimits) -> tuple[Block, ...]:
    pieces = [] if raw is None else wire.items(raw, at)
    if len(pieces) > limits.max_parts:
        raise MalformedRequest(f"A content may have {limits.max_parts} parts here.", param=at)
    blocks: list[Block] = []
    for position, piece in enumerate(pieces):
        blocks += decode_part(piece, f"{at}[{position}]", ids).blocks
    return tuple(blocks)


def _decode_system(raw: Raw, limits: RequestLimits) -> Message:
    """Return what the system says: a content whose role says nothing, its parts alone, or a text."""
    at = "systemInstruction"
    if bytes(raw).startswith(b'"'):
        return Message(role="system", content=(Text(text=wire.text(raw, at), at=at),), at=at)
    if bytes(raw).startswith(b"["):
        return Message(role="system", content=_decode_parts(raw, at, CallIds(), limits), at=at)
    fields, extras = _CONTENT.read(raw, at)
    if "parts" not in fields and extras:
        fields, extras = {"parts": raw}, {}  # a part in place of a content
    content = _decode_parts(fields.get("parts"), f"{at}.parts", CallIds(), limits)
    return Message(role="system", content=content, extras=extras, at=at)


def _decode_labels(raw: Raw | None) -> dict[str, str]:
    if raw is None:
        return {}
    _, labels = Shape().read(raw, "labels")
    return {name: wire.text(value, f"labels.{name}") for name, value in labels.items()}


# --- ours -> wire -----------------------------------------------------------------------------------------------------

_PROTECTED: Final = frozenset({"maxOutputTokens", "max_output_tokens"})
"""What ``extra_body.google`` may not set: the gateway has judged it."""
_VENDOR_TOP: Final = Shape("safetySettings", "cachedContent", "labels", "serviceTier")
"""What ``extra_body.google`` may set beside the settings of the generation."""


def encode_request(request: Request, profile: Profile, notices: Notices) -> HTTPCall:
    """Write a request for an upstream.

    Raises:
        Unsupported: With ``param``, the path of what nothing can stand in for.
    """
    body = _body(request, profile, notices)
    return _call(body, request, profile, STREAM if request.stream else GENERATE)


def encode_count_request(request: Request, profile: Profile, notices: Notices) -> HTTPCall | None:
    """Write a token count request; raises as `encode_request`."""
    body = _body(request, profile, notices)
    parts = ("contents", "systemInstruction", "tools", "toolConfig")
    counted: JsonObject = {name: body[name] for name in parts if name in body}
    if counted.keys() != {"contents"} and profile.labels:  # Vertex takes them as they are
        return _call({n: v for n, v in counted.items() if n != "toolConfig"}, request, profile, COUNT)
    if counted.keys() != {"contents"}:
        counted = {"generateContentRequest": {"model": f"models/{request.model}", **counted}}
    return _call(counted, request, profile, COUNT)


def _call(body: JsonObject, request: Request, profile: Profile, verb: str) -> HTTPCall:
    return HTTPCall(
        method="POST",
        path=path_of(profile, request.model, verb),
        body=msgspec.json.encode(body),
        headers=request.vendor_headers if request.source == wire.NAME else {},
        query=query_of(profile, verb),
    )


def _body(request: Request, profile: Profile, notices: Notices) -> JsonObject:
    """Return the body, its fields in the vendor's order."""
    is_native = request.source == wire.NAME
    facts = profile.facts(request.model)
    if is_native:
        messages = keep_own_thoughts(request.messages, profile, notices, is_native=True)
        messages = sign_steps(messages) if facts.signs_calls else messages
        request = msgspec.structs.replace(request, messages=tuple(messages))
    else:
        report_unsayable(request, profile, notices)
        request = arrange(request, profile, facts, notices)
    writer = PartWriter(
        source=request.source,
        notices=notices,
        writes_ids=profile.call_ids,
        media_in_results=is_native or facts.media_in_results,
    )
    system, contents = _encode_messages(request, writer, notices)
    config = encode_settings(request, profile, facts, writer, notices)
    tools = encode_tools(request.tools, writer, notices, in_json_schema=profile.parameters_json_schema)
    choice = encode_choice(request, writer, notices) if is_native or has_functions(request.tools) else None
    tool_config: JsonObject = {} if choice is None else {"functionCallingConfig": choice}
    if not is_native and profile.tool_steps and has_functions(request.tools) and len(tools) > 1:
        tool_config["includeServerSideToolInvocations"] = True  # else the vendor refuses its own tools beside functions
    fields: JsonObject = {
        "contents": contents,
        "systemInstruction": system,
        "tools": tools or None,
        "toolConfig": tool_config or None,
        "generationConfig": config or None,
        "serviceTier": _encode_tier(request.service_tier, notices, is_native=is_native),
        "store": request.state.store if is_native else None,
        "labels": request.metadata or None if is_native or profile.labels else None,
    }
    body = {name: value for name, value in fields.items() if value is not None}
    if is_native:
        _add_extras(body, request, notices)
    _add_vendor_fields(body, request, profile, notices)
    for name in profile.drop:
        if body.pop(name, None) is not None:
            notices.lost(name, "the upstream refuses this field")
    return body


def _encode_messages(
    request: Request, writer: PartWriter, notices: Notices
) -> tuple[JsonObject | None, list[JsonObject]]:
    """Return ``systemInstruction``, and ``contents``.

    Raises:
        Unsupported: Nothing is left to say.
    """
    system: list[JsonObject | Raw] = []
    unknown: Extras = {}
    contents: list[JsonObject] = []
    for message in request.messages:
        parts = writer.parts(message.content)
        if message.role in SYSTEM and not contents:
            system += parts
            unknown |= writer.own(message.extras, message.at)
            continue
        if not parts:
            notices.hint(message.at or "contents", "the message is empty")
            continue
        is_result = message.role == "tool" and all(isinstance(block, ToolResult) for block in message.content)
        if is_result and contents and contents[-1].get("role") == "user":
            earlier = contents[-1]["parts"]
            assert isinstance(earlier, list)
            earlier += parts
            continue
        role = "model" if message.role == "assistant" else "user"
        contents.append(put_extras({"role": role, "parts": parts}, message.extras if writer.is_native else {}))
    if not contents:
        raise Unsupported("Nothing of the conversation is left for this upstream.", param="messages")
    return put_extras({"parts": system}, unknown) if system else None, contents


def _encode_tier(tier: str | None, notices: Notices, *, is_native: bool) -> str | None:
    word = _WORDS.get(tier or "", tier)
    if is_native or word in _KNOWN_TIERS or word is None:
        return word
    if word != "auto":
        notices.hint("service_tier", "the tiers of vendors differ")
    return None


def _add_extras(body: JsonObject, request: Request, notices: Notices) -> None:
    """Write a native request's extras back into their places."""
    for path, value in request.extras.items():
        parent, dot, _ = path.partition(".")
        if is_reserved(path, notices):
            continue
        if dot and parent in ("generationConfig", "toolConfig"):
            put_within(body, {path: value})
        else:
            body[path] = value


def _add_vendor_fields(body: JsonObject, request: Request, profile: Profile, notices: Notices) -> None:
    """Merge what the caller wrote for this very vendor."""
    fields = dict(vendor_fields(request, profile.vendor, _PROTECTED, notices))
    top, rest = _VENDOR_TOP.split(fields)
    settings, unknown = GENERATION.split(rest)
    body.update(top)
    if "thinkingConfig" in settings:
        known, others = THINKING.split(fields_of(settings["thinkingConfig"]))
        settings["thinkingConfig"] = wire.raw_of({**known, **others})
    if settings:
        config = body.setdefault("generationConfig", {})
        assert isinstance(config, dict)
        config.update(settings)
    for name in unknown:
        notices.lost(f"extra_body.{profile.vendor}.{name}", "this field cannot be set here")
