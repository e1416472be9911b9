"""A whole request, both ways: a talk (``/api/chat``) or a prompt (``/api/generate``).

A body of known shape is read in one pass. Only what is not (a field of next year) is read again, piece by piece, so
that everything unknown is kept and every mistake is named by its path.

Encoded again for this protocol, a request is JSON-equal to what came, but for this (`normal` in the tests):

* fields that are null or empty are left out; ``stream`` is always written, ``content`` of a message as well;
* a prompt is sent as a talk, unless it has what only prompts have (``suffix``, ``template``, ``context``, ``raw``);
* calls without an id have one, results name their call by its id and its name, calls are numbered;
* ``stop`` is a list; numbers that are whole are written so;
* fields that steer gateways are not sent.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Raw

from ...canonical import (
    Block,
    Extras,
    Message,
    Notices,
    OutputFormat,
    ReasoningControl,
    Request,
    Sampling,
    Text,
    Tool,
)
from ...codec import DEFAULT_LIMITS, HTTPCall, RequestLimits
from ...errors import MalformedRequest, Unsupported
from ...headers import forwarded_headers
from ...json_guard import decode_json, encode_object, whole
from ...json_pieces import NULL, JsonObject, Shape, bound, missing, present, without_none, without_null
from ...profiles import Profile
from ..reserved import is_reserved, vendor_fields
from . import wire
from .media import decode_image
from .messages import MessageWriter, decode_messages, read_messages
from .tools import check_schema, decode_tools, encode_tool, offered, read_tools

# --- wire -> ours -----------------------------------------------------------------------------------------------------

_CHAT: Final = Shape(wire.Chat)
_GENERATE: Final = Shape(wire.Generate)
_OPTIONS: Final = msgspec.json.Decoder(wire.Options)
_WORD: Final = msgspec.json.Decoder(str)
_BODY: Final = msgspec.json.Decoder(wire.Chat)
_EMPTY: Final = frozenset({b'""', b"[]", b"{}", b"false"})
"""Of fields of a prompt: they say nothing."""


def decode_request(call: HTTPCall, limits: RequestLimits = DEFAULT_LIMITS) -> Request:
    """Read a caller's request.

    Args:
        call: Its body was judged by `json_guard.check_document`; its path tells a prompt from a talk.
        limits: What is over one is refused.

    Raises:
        MalformedRequest: With ``param``, the path of what is wrong.
    """
    if call.path.endswith(wire.GENERATE_PATH):
        return _decode_prompt(call, limits)
    try:
        known = _BODY.decode(call.body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _read(call, limits)
    messages = decode_messages(known.messages, limits)
    return _request(known, messages, decode_tools(known.tools or (), limits), {}, call, limits)


def _read(call: HTTPCall, limits: RequestLimits) -> Request:
    """Return the request of a talk of any shape."""
    fields, unknown = _CHAT.part(call.body, "")
    messages, tools = fields.pop("messages", None), fields.pop("tools", None)
    head = _CHAT.decode(fields, "")
    if messages is None or bytes(messages) == NULL:
        raise missing("messages")
    return _request(head, read_messages(messages, limits), _tools(tools, limits), unknown, call, limits)


def _tools(raw: Raw | None, limits: RequestLimits) -> tuple[Tool, ...]:
    return () if raw is None or bytes(raw) == NULL else read_tools(raw, limits)


def _decode_prompt(call: HTTPCall, limits: RequestLimits) -> Request:
    """Return the request of a prompt: a talk of one question, with what says who answers before it."""
    head, unknown = _GENERATE.read(call.body, "")
    images = head.images or []
    bound(len(images), limits.max_parts, "images")
    blocks: list[Block] = []
    if head.prompt or not images:
        blocks.append(Text(text=head.prompt or "", at="prompt"))
    blocks += [decode_image(data, f"images[{i}]") for i, data in enumerate(images)]
    messages = [Message(role="user", content=tuple(blocks), at="prompt")]
    if head.system:
        system = Text(text=head.system, at="system")
        messages.insert(0, Message(role="system", content=(system,), at="system"))
    told = {"suffix": head.suffix, "template": head.template, "raw": head.raw}
    extras = {name: Raw(msgspec.json.encode(value)) for name, value in told.items() if value}
    if (context := present(head.context)) is not None and bytes(context) not in _EMPTY:
        extras["context"] = context
    return _request(head, tuple(messages), (), {**extras, **unknown}, call, limits)


def _request(
    head: wire.Asking, messages: tuple[Message, ...], tools: tuple[Tool, ...], unknown: Extras, call: HTTPCall,
    limits: RequestLimits,
) -> Request:  # fmt: skip
    """Return the canonical request of the flat fields and the parts."""
    options, more = _read_options(head.options or {})
    extras = {name: value for name in wire.EXTRAS if (value := present(getattr(head, name))) is not None}
    extras |= {**more, **unknown}
    stop = (options.stop,) if isinstance(options.stop, str) else tuple(options.stop or ())
    bound(len(stop), limits.max_stop, "options.stop")
    limit = whole(options.num_predict, "options.num_predict")
    if limit is not None and limit < 0:
        extras["options.num_predict"] = Raw(b"%d" % limit)
        limit = None
    return Request(
        source=wire.NAME,
        model=head.model,
        messages=messages,
        tools=tools,
        max_output_tokens=limit,
        sampling=_sampling(head, options),
        stop=stop,
        output_format=_decode_format(present(head.format), limits),
        reasoning=_decode_think(head.think),
        stream=head.stream is not False,
        vendor_headers=forwarded_headers(call.headers),
        extras=extras,
        places=_PLACES,
        required_extras=tuple(name for name in wire.REQUIRED_EXTRAS if name in extras),
        idle_extras=tuple(name for name in extras if name in wire.IDLE),
    )


_PLACES: Final = {
    **{name: f"options.{name}" for name in wire.Options.__struct_fields__},
    "max_completion_tokens": "options.num_predict",
    "format.schema": "format",
    "format.strict": "format",
    "messages[].call_id": "messages[].tool_call_id",
    "messages[].tool_calls[].arguments": "messages[].tool_calls[].function.arguments",
    "think.effort": "think",
    "tools[].description": "tools[].function.description",
    "tools[].name": "tools[].function.name",
    "tools[].parameters": "tools[].function.parameters",
    "tools[].strict": "tools[].function.strict",
}
"""Where it stands what other protocols have elsewhere. That schemas are not strict here, nothing says but they."""


def _read_options(options: Mapping[str, Raw]) -> tuple[wire.Options, Extras]:
    """Return the options that have a canonical form, and all others by their path."""
    known = {name: value for name, value in options.items() if name in wire.Options.__struct_fields__}
    rest = {f"options.{name}": value for name, value in options.items() if name not in known}
    told = without_null(rest)
    return decode_json(_OPTIONS, encode_object(known), "options"), told


def _sampling(head: wire.Asking, options: wire.Options) -> Sampling:
    return Sampling(
        temperature=options.temperature,
        top_p=options.top_p,
        top_k=whole(options.top_k, "options.top_k"),
        min_p=options.min_p,
        seed=whole(options.seed, "options.seed"),
        frequency_penalty=options.frequency_penalty,
        presence_penalty=options.presence_penalty,
        logprobs=head.logprobs,
        top_logprobs=whole(head.top_logprobs, "top_logprobs"),
    )


def _decode_format(raw: Raw | None, limits: RequestLimits) -> OutputFormat | None:
    """Return the form of the answer: JSON, or JSON of a schema.

    Schemas here come from whatever makes them, and are not written as strict vendors want them: ``strict`` is false.
    """
    if raw is None or bytes(raw) in _EMPTY:
        return None
    if bytes(raw).startswith(b"{"):
        check_schema(raw, "format", limits)
        return OutputFormat(kind="json_schema", schema=raw, strict=False, at="format")
    if decode_json(_WORD, raw, "format") != "json":
        raise MalformedRequest(
            "Invalid value for 'format': supported are 'json' and a JSON schema.", code="invalid_value", param="format"
        )
    return OutputFormat(kind="json_object", at="format")


_LEVELS: Final = ("low", "medium", "high", "max")


def _decode_think(think: bool | str | None) -> ReasoningControl | None:
    match think:
        case None | "":
            return None
        case bool():
            return ReasoningControl(mode="enabled" if think else "disabled", at="think")
        case str() if think in _LEVELS:
            return ReasoningControl(mode="enabled", effort=think, at="think")
        case _:
            message = 'invalid think value (must be "high", "medium", "low", "max", true, or false)'
            raise MalformedRequest(message, param="think")


# --- ours -> wire -----------------------------------------------------------------------------------------------------

PROTECTED: Final = frozenset({"model", "stream", "messages", "system", "tools", "prompt"})
"""What ``extra_body`` may not set: the gateway has judged it."""
_OPTION: Final = "options."
_EFFORTS: Final[Mapping[str, bool | str]] = {
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "max",
    "max": "max",
}
_EFFORT_BELOW: Final = ((2_048, "low"), (12_288, "medium"), (28_000, "high"))
"""Budgets under the first number -> effort; all others are ``max``."""


def encode_request(request: Request, profile: Profile, notices: Notices) -> HTTPCall:
    """Write a request for an upstream.

    Raises:
        Unsupported: With ``param``, the path of what nothing can stand in for.
    """
    is_own = request.source == wire.NAME
    writer = MessageWriter(is_own=is_own, notices=notices)
    is_prompt = is_own and any(name in request.extras for name in wire.PROMPT_EXTRAS)
    tools, ask = offered(request, writer)
    body: JsonObject = {"model": request.model}
    messages = writer.messages(request.messages)
    if ask:
        messages.append({"role": "system", "content": ask})
    body |= _prompt(messages) if is_prompt else {"messages": messages}
    if tools:
        body["tools"] = [encode_tool(tool, writer) for tool in tools]
    body["stream"] = request.stream
    body |= _format_fields(request.output_format, writer)
    body |= _think_fields(request.reasoning, writer)
    body |= without_none({"logprobs": request.sampling.logprobs, "top_logprobs": request.sampling.top_logprobs})
    options = _options(request, profile)
    _report_unsayable(request, notices)
    _add_extras(body, options, request, notices)
    if options:
        body["options"] = options
    _add_vendor_fields(body, request, profile, notices)
    for name in profile.drop:
        if body.pop(name, None) is not None:
            notices.lost(name, "the upstream refuses this field")
    return HTTPCall(
        method="POST",
        path=wire.GENERATE_PATH if is_prompt else profile.path or wire.CHAT_PATH,
        body=msgspec.json.encode(body),
        headers=request.vendor_headers if is_own else {},
        query=profile.query,
    )


def _prompt(messages: Sequence[JsonObject]) -> JsonObject:
    """Return a talk of one question as the prompt that it was."""
    systems = [message["content"] for message in messages if message["role"] == "system"]
    last = messages[-1]
    fields: JsonObject = {"prompt": last["content"]}
    if systems:
        fields["system"] = "\n\n".join(map(str, systems))
    if "images" in last:
        fields["images"] = last["images"]
    return fields


def _options(request: Request, profile: Profile) -> JsonObject:
    """Return ``options``.

    Raises:
        Unsupported: No answer at all, to warm a cache; or several from an upstream that gives one.
    """
    if request.max_output_tokens == 0 and request.source != wire.NAME:
        raise Unsupported("The upstream warms no caches: ask for at least one token.", param="max_completion_tokens")
    if (request.choices or 1) > 1 and not profile.choices:
        raise Unsupported("The upstream gives one answer at a time.", param="n")
    sampling = request.sampling
    return without_none(
        {
            "num_predict": request.max_output_tokens,
            "temperature": sampling.temperature,
            "top_k": sampling.top_k,
            "top_p": sampling.top_p,
            "min_p": sampling.min_p,
            "seed": sampling.seed,
            "stop": request.stop or None,
            "presence_penalty": sampling.presence_penalty,
            "frequency_penalty": sampling.frequency_penalty,
        }
    )


def _format_fields(wanted: OutputFormat | None, writer: MessageWriter) -> JsonObject:
    if wanted is None:
        return {}
    writer.own(wanted.extras, wanted.at)
    if wanted.kind == "json_object":
        return {"format": "json"}
    if wanted.kind == "text":
        return {}
    named = (("name", wanted.name), ("description", wanted.description), ("strict", wanted.strict))
    for name, value in () if writer.is_own else named:
        if value is not None:
            writer.notices.hint(f"{wanted.at}.{name}", "a schema stands alone here, and is kept to")
    return {"format": "json" if wanted.schema is None else wanted.schema}


def _think_fields(control: ReasoningControl | None, writer: MessageWriter) -> JsonObject:
    """Return ``think``; what it cannot say is reported."""
    if control is None:
        return {}
    at = control.at or "reasoning"
    effort, budget = control.effort, control.budget_tokens
    if writer.is_own:
        return {"think": effort if effort is not None and control.mode != "disabled" else control.mode != "disabled"}
    writer.own(control.extras, at)
    if control.mode == "between_tools":
        writer.notices.lost(at, "the upstream thinks when it likes")
    if control.display is not None:
        writer.notices.hint(f"{at}.display", "the upstream shows what it thinks")
    if control.mode == "disabled":
        if effort not in (None, "none"):
            writer.notices.hint(f"{at}.effort", "there is no effort where there is no thinking")
        return {"think": False}
    if budget is not None:
        writer.notices.changed(f"{at}.budget_tokens", "the upstream takes an effort in place of a budget")
    if effort is None and budget is not None:
        effort = next((word for limit, word in _EFFORT_BELOW if budget < limit), "max")
    if effort is None:
        return {"think": True} if control.mode == "enabled" else {}
    level = _EFFORTS.get(effort)
    if level is None:
        writer.notices.lost(f"{at}.effort", "the upstream knows no such effort")
        return {}
    if level not in (effort, False):
        writer.notices.changed(f"{at}.effort", "the nearest effort that the upstream knows", action="coerced")
    return {"think": level}


def _report_unsayable(request: Request, notices: Notices) -> None:
    """Report what this protocol has no word for.

    Raises:
        Unsupported: The answer shall go on from one that the vendor does not keep here.
    """
    if request.state.previous_id is not None:
        raise Unsupported("The upstream keeps no answers: send the messages.", param="previous_response_id")
    if request.source == wire.NAME:
        return
    if request.sampling.logit_bias is not None:
        report = notices.lost if request.sampling.logit_bias else notices.hint
        report("logit_bias", "the upstream has no such field")
    if request.parallel_tool_calls:
        notices.hint("parallel_tool_calls", "a model calls as many tools as it likes")
    if request.verbosity is not None:
        notices.lost("verbosity", "the upstream has no such field")
    hints = {
        "metadata": request.metadata,
        "user": request.user,
        "service_tier": request.service_tier,
        "prompt_cache_key": request.cache.key,
        "prompt_cache_retention": request.cache.retention,
        "cache_control": request.cache.mark,
        "store": request.state.store,
    }
    for name, value in hints.items():
        if value is not None and value != {}:
            notices.hint(name, "the upstream keeps and bills nothing")
    for header in request.vendor_headers:
        notices.hint(header, "headers of another vendor")


def _add_extras(body: JsonObject, options: JsonObject, request: Request, notices: Notices) -> None:
    """Write this protocol's own extras back; report those of another.

    Raises:
        Unsupported: One of another protocol changes what is asked.
    """
    is_own = request.source == wire.NAME
    for name, value in request.extras.items():
        if is_reserved(name, notices):
            continue
        if is_own and name.startswith(_OPTION):
            options[name.removeprefix(_OPTION)] = value
        elif is_own:
            body[name] = value
        elif name in request.required_extras:
            raise Unsupported("The upstream has nothing that could stand in for this.", param=name)
        else:
            notices.extra(name, request.idle_extras, "the upstream has no such field")


def _add_vendor_fields(body: JsonObject, request: Request, profile: Profile, notices: Notices) -> None:
    """Merge what the caller wrote for this very vendor: options into the options."""
    for name, value in vendor_fields(request, profile.vendor, PROTECTED, notices):
        if name == "options" and isinstance(options := body.get(name), dict):
            given: dict[str, Raw] = decode_json(_FIELDS, value, f"extra_body.{profile.vendor}.options")
            options.update(given)
        else:
            body[name] = value


_FIELDS: Final = msgspec.json.Decoder(dict[str, Raw])
