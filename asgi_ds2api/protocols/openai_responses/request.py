"""A whole request, both ways.

Items are read one by one (``items``), so that everything unknown is kept and every mistake is named by its path.

Encoded again for this protocol, a request is JSON-equal to what came, but for this (`normal` in the tests):

* fields that are null, ``stream: false``, and lists and objects that are empty are left out;
* an item without a type is a ``message``; content that is one plain text part is written as a string, but beside an
  id; a question that is all of the input is a string; an assistant's texts are ``output_text`` with annotations;
* a plain system message that begins the input moves into ``instructions``;
* tools of ``additional_tools`` are told among the others, those of a namespace together; what a
  ``configuration_update`` says stands in place of what the request said;
* parts of a summary, and of reasoning, are one;
* arguments that are empty are ``{}``; files are data URLs; ``stop`` is a list;
* ``safety_identifier`` stands before ``user``; fields that clients keep for themselves, ids that a gateway made, fields
  that steer gateways, and ``extra_body`` itself are not sent.
"""

import hashlib
import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

import msgspec
from msgspec import Raw

from ...canonical import (
    CacheControl,
    Extras,
    Message,
    Notices,
    OutputFormat,
    ReasoningControl,
    Request,
    Sampling,
    State,
    Text,
    Tool,
)
from ...codec import DEFAULT_LIMITS, HTTPCall, RequestLimits
from ...errors import Unsupported
from ...headers import CODEX, forwarded_headers
from ...json_guard import decode_json, decode_object, encode_object, whole
from ...json_pieces import (
    JsonObject,
    Shape,
    bound,
    missing,
    present,
    put_extras,
    set_fields,
    without_none,
    without_null,
)
from ...profiles import Profile
from ..foreign_searches import OPTIONS
from ..foreign_tools import choice_among
from ..reserved import is_reserved, vendor_fields
from ..strict_schemas import fit_schemas
from . import wire
from .compaction import asking, is_compaction
from .content import PartWriter
from .items import Input, check_outputs, encode_items, read_input
from .pairing import pair_results
from .reasoning import UNSAID, decode_control, encode_control
from .tools import check_names, check_schema, decode_choice, encode_choice, encode_tools, read_tools, with_additional
from .web_search import offered

# --- wire -> ours -----------------------------------------------------------------------------------------------------

_REQUEST: Final = msgspec.json.Decoder(wire.Request)
_TEXT: Final = Shape(wire.Text)
_FORMAT: Final = Shape(wire.Format)
_OPTIONS: Final = Shape(wire.StreamOptions)
_OPTION: Final = "stream_options."
_PADDING: Final = "stream_options.include_obfuscation"
_LOGPROBS: Final = "message.output_text.logprobs"


def decode_request(call: HTTPCall, limits: RequestLimits = DEFAULT_LIMITS) -> Request:
    """Read a caller's request, or the request whose tokens it wants to be counted.

    Args:
        call: Its body was judged by `json_guard.check_document`.
        limits: What is over one is refused.

    Raises:
        MalformedRequest: With ``param``, the path of what is wrong.
    """
    fields = without_null(decode_object(call.body))
    names = wire.Request.__struct_fields__
    unknown = {name: value for name, value in fields.items() if name not in names}
    head = decode_json(_REQUEST, encode_object({name: value for name, value in fields.items() if name in names}))
    given = present(head.input)
    found = Input() if given is None else read_input(given, limits)
    messages = list(found.messages)
    if head.instructions:
        text = Text(text=head.instructions, at="instructions")
        messages.insert(0, Message(role="system", content=(text,), at="instructions"))
    is_elsewhere = any((head.previous_response_id, *map(present, (head.conversation, head.prompt))))
    if not messages and not is_elsewhere:
        raise missing("input")
    if not is_elsewhere and not found.is_referring:
        check_outputs(messages)
    if is_compaction(call):
        messages.append(asking())
        head.store = False  # a summary is nothing to go on from by its id
    tools = read_tools(head.tools or (), "tools", limits)
    check_names(tools, limits)
    tools, redefined = with_additional(tools, found.tools, limits)
    found.overruled += redefined
    for name, said in found.updates.items():
        if present(getattr(head, name)) is not None:
            found.overruled.append(name)
        setattr(head, name, said.raw)
    return _request(head, messages, tools, unknown, found, call, limits)


def _request(
    head: wire.Request, messages: Sequence[Message], tools: Sequence[Tool], unknown: Extras, found: Input,
    call: HTTPCall, limits: RequestLimits,
) -> Request:  # fmt: skip
    """Return the canonical request of the flat fields and the parts."""
    extras = {**set_fields(head, *wire.EXTRAS), **unknown}
    if head.safety_identifier is not None and head.user is not None:
        extras["user"] = Raw(msgspec.json.encode(head.user))
    if head.background is not None:
        extras["background"] = Raw(msgspec.json.encode(head.background))
    if include := [what for what in head.include or () if what != _LOGPROBS]:
        extras["include"] = Raw(msgspec.json.encode(include))
    if (options := present(head.stream_options)) is not None:
        given, more = _OPTIONS.read(options, "stream_options")
        if given.include_obfuscation is not None:
            extras[_PADDING] = Raw(msgspec.json.encode(given.include_obfuscation))
        extras |= {f"{_OPTION}{name}": value for name, value in more.items()}
    text_at = found.place_of("text")
    text, more = (wire.Text(), {}) if (raw := present(head.text)) is None else _TEXT.read(raw, text_at)
    extras |= {f"{text_at}.{name}": value for name, value in more.items()}
    stop = (head.stop,) if isinstance(head.stop, str) else tuple(head.stop or ())
    bound(len(stop), limits.max_stop, "stop")
    reasoning = decode_control(present(head.reasoning), found.place_of("reasoning"))
    return Request(
        source=wire.NAME,
        model=head.model,
        messages=tuple(messages),
        tools=tuple(tools),
        tool_choice=decode_choice(present(head.tool_choice), tools),
        parallel_tool_calls=head.parallel_tool_calls,
        max_output_tokens=whole(head.max_output_tokens, "max_output_tokens"),
        sampling=_sampling(head),
        stop=stop,
        output_format=_decode_format(present(text.format), f"{text_at}.format", extras, limits),
        verbosity=text.verbosity,
        reasoning=reasoning,
        cache=CacheControl(key=head.prompt_cache_key, retention=head.prompt_cache_retention),
        user=head.user if head.safety_identifier is None else head.safety_identifier,
        metadata=head.metadata or {},
        service_tier=head.service_tier,
        state=State(store=head.store, previous_id=head.previous_response_id),
        stream=bool(head.stream),
        vendor_headers=forwarded_headers(call.headers, CODEX),
        vendor_fields=head.extra_body or {},
        extras=extras,
        places=_places(head, reasoning, text_at),
        overruled=tuple(found.overruled),
        required_extras=_required(extras, f"{text_at}.format"),
        idle_extras=tuple(name for name in extras if name in wire.IDLE or name == _PADDING),
    )


_PLACES: Final = {
    "input[].content[].name": "input[].content[].filename",
    "input[].id": "input[].call_id",
    "input[].output[].name": "input[].output[].filename",
    "input[].reasoning.display": "input[].reasoning.summary",
    "max_completion_tokens": "max_output_tokens",
    "reasoning.display": "reasoning.summary",
}
"""Where it stands what others have elsewhere."""


def _places(head: wire.Request, reasoning: ReasoningControl | None, text_at: str) -> dict[str, str]:
    places = {**_PLACES, "verbosity": f"{text_at}.verbosity"}
    if head.safety_identifier is not None:
        places["user"] = "safety_identifier"
    if _LOGPROBS in (head.include or ()):
        places["logprobs"] = f"include[{(head.include or []).index(_LOGPROBS)}]"
    if reasoning is not None and reasoning.display == UNSAID:
        places[f"{reasoning.at}.display"] = ""
    return places


def _sampling(head: wire.Request) -> Sampling:
    return Sampling(
        temperature=head.temperature,
        top_p=head.top_p,
        frequency_penalty=head.frequency_penalty,
        presence_penalty=head.presence_penalty,
        logprobs=True if _LOGPROBS in (head.include or ()) else None,
        top_logprobs=whole(head.top_logprobs, "top_logprobs"),
    )


def _decode_format(raw: Raw | None, at: str, extras: Extras, limits: RequestLimits) -> OutputFormat | None:
    """Return the form of the answer; one that is not known goes to the extras."""
    if raw is None:
        return None
    given, unknown = _FORMAT.read(raw, at)
    match given.type:
        case "text":
            return OutputFormat(kind="text", extras=unknown, at=at)
        case "json_object":
            return OutputFormat(kind="json_object", extras=unknown, at=at)
        case "json_schema":
            if present(given.schema) is None:
                raise missing(f"{at}.schema")
        case _:
            extras[at] = raw
            return None
    check_schema(given.schema, f"{at}.schema", limits)
    return OutputFormat(
        kind="json_schema",
        name=given.name,
        description=given.description,
        schema=present(given.schema),
        strict=given.strict,
        extras=unknown,
        at=at,
    )


def _required(extras: Extras, format_at: str) -> tuple[str, ...]:
    """Return the extras without which another question would be asked."""
    required = [name for name in (*wire.REQUIRED_EXTRAS, format_at) if name in extras]
    return tuple(name for name in required if name != "background" or bytes(extras[name]) == b"true")


# --- ours -> wire -----------------------------------------------------------------------------------------------------

PROTECTED: Final = frozenset({"model", "stream", "input", "instructions", "messages", "system", "tools", "max_tokens",
                              "max_output_tokens"})  # fmt: skip
"""What ``extra_body`` may not set: the gateway has judged it."""
MIN_TOKENS: Final = 16
"""The vendor's least limit of an answer."""
MAX_USER_CHARS: Final = 128
_NOT_COUNTED: Final = frozenset(
    {"max_output_tokens", "stream", "stream_options", "metadata", "service_tier", "store", "temperature", "top_p",
     "top_logprobs", "include", "user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"}
)  # fmt: skip
"""Fields of a request that its token count does not take."""

_TEXT_FIELD: Final = re.compile(r"(?:input\[\d+\]\.)?text\.(.+)")
"""An extra of ``text``, in the request or in an item that changes it."""
_CHAT: Final = "openai_chat"
_SHARED: Final = frozenset({"moderation", "prompt_cache_options"})
"""Extras that mean the same in the vendor's other protocol."""


def encode_request(request: Request, profile: Profile, notices: Notices) -> HTTPCall:
    """Write a request for an upstream.

    Raises:
        Unsupported: With ``param``, the path of what nothing can stand in for.
    """
    body = _body(request, profile, notices)
    return _call(body, request, profile, wire.PATH)


def encode_count_request(request: Request, profile: Profile, notices: Notices) -> HTTPCall | None:
    """Write a token count request; raises as `encode_request`."""
    body = _body(request, profile, notices)
    return _call({name: value for name, value in body.items() if name not in _NOT_COUNTED}, request, profile,
                 wire.COUNT_PATH)  # fmt: skip


def path_of(profile: Profile, model: str, usual: str) -> str:
    """Return the path of an operation under ``base_url``."""
    if profile.path is None:
        return usual
    return profile.path.replace("{model}", quote(model, safe="")) + usual.removeprefix(wire.PATH)


def _call(body: JsonObject, request: Request, profile: Profile, usual: str) -> HTTPCall:
    return HTTPCall(
        method="POST",
        path=path_of(profile, request.model, usual),
        body=msgspec.json.encode(body),
        headers=request.vendor_headers if request.source == wire.NAME else {},
        query=profile.query,
    )


def _body(request: Request, profile: Profile, notices: Notices) -> JsonObject:
    is_own = request.source == wire.NAME
    request = fit_schemas(request, profile, notices)
    facts = profile.facts(request.model)
    writer = PartWriter(is_own=is_own, profile=profile, takes_marks=facts.cache_marks, notices=notices)
    messages = request.messages if is_own else pair_results(request.messages, notices)
    tools = offered(request, notices)
    body: JsonObject = {
        "model": request.model,
        **_conversation(messages, request, writer),
        **_sampling_fields(request, notices),
        **_limit_fields(request, notices),
        **_identity_fields(request, profile, notices),
        **_text_fields(request, writer),
    }
    if request.reasoning is not None:
        body["reasoning"] = encode_control(request.reasoning, facts, notices, is_own=is_own) or None
    body.update(_tool_fields(request, tools, writer))
    if request.stream:
        body["stream"] = True
    _add_extras(body, request, notices)
    body.update(vendor_fields(request, profile.vendor, PROTECTED, notices))
    for name in profile.drop:
        if body.pop(name, None) is not None:
            notices.lost(name, "the upstream refuses this field")
    return without_none(body)


def _tool_fields(request: Request, tools: Sequence[Tool], writer: PartWriter) -> JsonObject:
    fields: JsonObject = {"tools": encode_tools(tools, writer)} if tools else {}
    if request.parallel_tool_calls is not None:
        if tools or writer.is_own:
            fields["parallel_tool_calls"] = request.parallel_tool_calls
        else:
            writer.notices.hint("parallel_tool_calls", "there are no tools to call")
    own = request.tool_choice if writer.is_own else None
    is_kept = own is not None and (tools or own.mode == "none")
    choice = own if is_kept else choice_among(tools, request, writer.notices)
    if choice is not None:
        fields["tool_choice"] = encode_choice(choice, tools, writer)
    return fields


def _conversation(messages: Sequence[Message], request: Request, writer: PartWriter) -> JsonObject:
    """Return ``instructions`` and ``input``.

    Raises:
        Unsupported: Nothing is left to say.
    """
    items = encode_items(messages, writer)
    fields: JsonObject = {}
    if items and (text := _plain_text(items[0], "system")):
        fields["instructions"] = text
        items = items[1:]
    if len(items) == 1 and (text := _plain_text(items[0], "user")):
        return {**fields, "input": text}
    if not items and not writer.is_own and not fields:
        raise Unsupported("Nothing of the conversation is left for this upstream.", param="messages")
    if items or (request.state.previous_id is None and not request.required_extras):
        fields["input"] = items
    return fields


def _plain_text(item: JsonObject | Raw, role: str) -> str | None:
    """Return the text of an item that is nothing but a text of this role; None: it is more, or empty."""
    if isinstance(item, Raw) or item.keys() != {"type", "role", "content"} or item["role"] != role:
        return None
    text = item["content"]
    return text if isinstance(text, str) and text else None


def _sampling_fields(request: Request, notices: Notices) -> JsonObject:
    sampling, is_own = request.sampling, request.source == wire.NAME
    own = {"frequency_penalty": sampling.frequency_penalty, "presence_penalty": sampling.presence_penalty}
    foreign = {
        "logit_bias": sampling.logit_bias or None, "min_p": sampling.min_p, "seed": sampling.seed,
        "top_k": sampling.top_k, **({} if is_own else own),
    }  # fmt: skip
    for name, value in foreign.items():
        if value is not None:
            report = notices.lost if value or name == "seed" else notices.hint
            report(name, "the upstream has no such field")
    include = [_LOGPROBS] if sampling.logprobs else []
    if is_own and "include" in request.extras:
        include = [*msgspec.json.decode(request.extras["include"], type=list[str]), *include]
    return {
        **(own if is_own else {}),
        "include": include or None,
        "stop": request.stop or None,
        "temperature": sampling.temperature,
        "top_logprobs": sampling.top_logprobs,
        "top_p": sampling.top_p,
    }


def _limit_fields(request: Request, notices: Notices) -> JsonObject:
    """Return how long the answer may be.

    Raises:
        Unsupported: Several answers are wanted, or none at all, to warm a cache.
    """
    if (request.choices or 1) > 1:
        raise Unsupported("The upstream gives one answer at a time.", param="n")
    limit = request.max_output_tokens
    if request.source == wire.NAME or limit is None or limit >= MIN_TOKENS:
        return {"max_output_tokens": limit}
    param = "max_completion_tokens"
    if limit == 0:
        raise Unsupported("The upstream warms no caches: ask for at least one token.", param=param)
    notices.changed(param, f"at least {MIN_TOKENS} tokens can be asked for", action="clamped")
    return {"max_output_tokens": MIN_TOKENS}


def _identity_fields(request: Request, profile: Profile, notices: Notices) -> JsonObject:
    """Return what says who asks, and what the vendor keeps of it."""
    is_own = request.source == wire.NAME
    if request.cache.mark is not None:
        notices.hint(request.cache.mark.at or "cache_control", "the upstream caches by itself")
    for header in () if is_own else request.vendor_headers:
        notices.hint(header, "headers of another vendor")
    user = request.user
    if user is not None and not is_own and (len(user) > MAX_USER_CHARS or "@" in user):
        notices.hint("user", "personal or long: sent as a digest", action="hashed")
        user = hashlib.sha256(user.encode()).hexdigest()
    return {
        "metadata": request.metadata or None,
        "previous_response_id": request.state.previous_id,
        "prompt_cache_key": request.cache.key,
        "prompt_cache_retention": request.cache.retention,
        "service_tier": request.service_tier,
        "store": request.state.store if is_own else bool(request.state.store),  # left out, the vendor would keep it
        "safety_identifier" if "user" in request.extras else profile.user_field: user,
    }


def _text_fields(request: Request, writer: PartWriter) -> JsonObject:
    """Return ``text``: the form of the answer, and how long-winded it is.

    Raises:
        Unsupported: The upstream has no switch for the form; a shim asks in words.
    """
    text: JsonObject = without_none(
        {"format": _encode_format(request.output_format, writer), "verbosity": request.verbosity}
    )
    if writer.is_own:
        own = {_TEXT_FIELD.match(name): value for name, value in request.extras.items()}
        text |= {found[1]: value for found, value in own.items() if found is not None}
    return {"text": text} if text else {}


def _encode_format(wanted: OutputFormat | None, writer: PartWriter) -> JsonObject | None:
    if wanted is None:
        return None
    profile, extras = writer.profile, writer.own(wanted.extras, wanted.at)
    if wanted.kind != "json_schema":
        if wanted.kind == "json_object" and not profile.json_object:
            raise Unsupported("The upstream has no switch for JSON.", param=wanted.at or None)
        return put_extras({"type": wanted.kind}, extras)
    if not profile.json_schema:
        raise Unsupported("The upstream has no switch for a schema.", param=wanted.at or None)
    schema = without_none({"description": wanted.description, "schema": wanted.schema, "strict": wanted.strict})
    return put_extras({"type": "json_schema", "name": wanted.name or "output", **schema}, extras)


def _add_extras(body: JsonObject, request: Request, notices: Notices) -> None:
    """Write this protocol's own extras back; report those of another.

    Raises:
        Unsupported: One of another protocol changes what is asked.
    """
    is_own = request.source == wire.NAME
    options: JsonObject = {}
    for name, value in request.extras.items():
        if is_reserved(name, notices):
            pass
        elif is_own and name in wire.PRIVATE:
            notices.hint(name, "of the client's own: servers know no such field")
        elif name.startswith(_OPTION) and (is_own or (name == _PADDING and request.source == _CHAT)):
            options[name.removeprefix(_OPTION)] = value
        elif name in _SHARED and request.source == _CHAT:
            body[name] = value
        elif is_own:
            if name != "include" and not _TEXT_FIELD.match(name):
                body[name] = value
        elif name in request.required_extras:
            raise Unsupported("The upstream has nothing that could stand in for this.", param=name)
        elif name != OPTIONS:
            notices.extra(name, request.idle_extras, "the upstream has no such field")
    if options and request.stream:
        body["stream_options"] = options
    for name in options if not request.stream else ():
        notices.tell(f"{_OPTION}{name}", "no stream is asked for", "hint")
