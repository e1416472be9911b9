"""A whole request, both ways.

A body of known shape is read in one pass. Only what is not (a field of next year, of a look-alike) is read again, piece
by piece, so that everything unknown is kept and every mistake is named by its path.

Encoded again for this protocol, a request is JSON-equal to what came, but for this (`normal` in the tests):

* fields that are null, ``stream: false``, and lists and objects that are empty are left out;
* a content that is one plain text part is written as a string, an empty one as ``""``; a refusal stands beside it;
* ``functions`` and ``function_call`` are written as tools and tool calls, messages of role ``function`` as results;
* ``input_text``, ``output_text`` and ``input_image`` are written as what they mean, URLs in objects, files as data
  URLs;
* ``stop`` is a list; ``tool_choice: "any"`` is ``required``; arguments that are empty are ``{}``;
* the limit of the answer has the profile's name, and ``max_completion_tokens`` stands before ``max_tokens``;
* the user's id has the vendor's name, and ``safety_identifier`` stands before ``user``;
* system and developer messages have the profile's role;
* of several spellings of reasoning one is left, and earlier reasoning goes back as the profile has it;
* ``stream_options`` are the gateway's own; fields that steer gateways, and ``extra_body`` itself, are not sent.
"""

import hashlib
from typing import Final
from urllib.parse import quote

import msgspec
from msgspec import Raw

from ...canonical import (
    CacheControl,
    Extras,
    Message,
    Notices,
    Request,
    Sampling,
    State,
    Tool,
    VendorTool,
)
from ...codec import DEFAULT_LIMITS, HTTPCall, RequestLimits
from ...errors import Unsupported
from ...headers import forwarded_headers
from ...json_guard import decode_json, decode_object, encode_object, whole
from ...json_pieces import (
    JsonObject,
    Shape,
    bound,
    missing,
    present,
    set_fields,
    without_none,
    without_null,
)
from ...model_facts import ModelFacts
from ...profiles import Profile
from ..calls_and_results import Scan
from ..foreign_searches import OPTIONS, Limit, is_search, search_of
from ..foreign_tools import choice_among
from ..reserved import is_reserved, vendor_fields
from ..strict_schemas import fit_schemas
from . import wire
from .content import PartWriter
from .dialect import fit_speakers, fit_turns, shorten_ids
from .messages import decode_messages, encode_messages, keep_latest_marks, read_messages
from .pairing import MAX_ID, pair_results
from .places import overruled, places_of
from .reasoning import decode_control, encode_control, encode_own_control
from .response_format import decode_format, encode_format
from .tools import decode_choice, decode_tools, encode_choice, encode_tool, fit_choice, read_tools

# --- wire -> ours -----------------------------------------------------------------------------------------------------

_REQUEST: Final = msgspec.json.Decoder(wire.Request)
_OPTIONS: Final = Shape(wire.StreamOptions)
_OPTION: Final = "stream_options."
_PADDING: Final = "stream_options.include_obfuscation"
_MODALITIES: Final = msgspec.json.Decoder(list[str])
_APART: Final = ("messages", "tools", "functions")
"""What is read apart from the flat fields."""


def decode_request(call: HTTPCall, limits: RequestLimits = DEFAULT_LIMITS) -> Request:
    """Read a caller's request.

    Args:
        call: Its body was judged by `json_guard.check_document`.
        limits: What is over one is refused.

    Raises:
        MalformedRequest: With ``param``, the path of what is wrong.
    """
    try:
        head = _REQUEST.decode(call.body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return read_fields(decode_object(call.body), call, limits)
    tools = decode_tools(head.tools or (), head.functions or (), limits)
    return _request(head, decode_messages(head.messages, limits), tools, {}, call, limits)


def read_fields(fields: dict[str, Raw], call: HTTPCall, limits: RequestLimits) -> Request:
    """Return the request of a body of any shape; raises as `decode_request`."""
    names = wire.Request.__struct_fields__
    fields = without_null(fields)
    if call.model:  # a deployment's path names it, and the body need not
        fields["model"] = Raw(msgspec.json.encode(call.model))
    unknown = {name: value for name, value in fields.items() if name not in names}
    flat = {name: value for name, value in fields.items() if name in names and name not in _APART}
    head = decode_json(_REQUEST, encode_object({**flat, "messages": Raw(b"[]")}))
    if "messages" not in fields:
        raise missing("messages")
    messages = read_messages(fields["messages"], limits)
    tools = read_tools(fields.get("tools"), fields.get("functions"), limits)
    return _request(head, messages, tools, unknown, call, limits)


def _request(
    head: wire.Request, messages: tuple[Message, ...], tools: tuple[Tool, ...], unknown: Extras, call: HTTPCall,
    limits: RequestLimits,
) -> Request:  # fmt: skip
    """Return the canonical request of the flat fields and the parts."""
    extras = {**set_fields(head, *wire.EXTRAS), **unknown}
    if head.safety_identifier is not None and head.user is not None:
        extras["user"] = Raw(msgspec.json.encode(head.user))
    if (options := present(head.stream_options)) is not None:
        given, more = _OPTIONS.read(options, "stream_options")
        if given.include_obfuscation is not None:
            extras[_PADDING] = Raw(msgspec.json.encode(given.include_obfuscation))
        extras |= {f"stream_options.{name}": value for name, value in more.items()}
    stop = (head.stop,) if isinstance(head.stop, str) else tuple(head.stop or ())
    bound(len(stop), limits.max_stop, "stop")
    max_tokens = whole(head.max_tokens, "max_tokens")
    limit = whole(head.max_completion_tokens, "max_completion_tokens")
    reasoning = decode_control(head, extras)
    return Request(
        source=wire.NAME,
        model=head.model,
        messages=messages,
        tools=tools,
        tool_choice=decode_choice(present(head.tool_choice), present(head.function_call), tools),
        parallel_tool_calls=head.parallel_tool_calls,
        max_output_tokens=max_tokens if limit is None else limit,
        sampling=_sampling(head),
        stop=stop,
        choices=whole(head.n, "n"),
        output_format=decode_format(present(head.response_format), extras, limits),
        verbosity=head.verbosity,
        reasoning=reasoning,
        cache=CacheControl(key=head.prompt_cache_key, retention=head.prompt_cache_retention),
        user=head.user if head.safety_identifier is None else head.safety_identifier,
        metadata=head.metadata or {},
        service_tier=head.service_tier,
        state=State(store=head.store),
        stream=bool(head.stream),
        vendor_headers=forwarded_headers(call.headers),
        vendor_fields=head.extra_body or {},
        extras=extras,
        required_extras=_required(extras),
        idle_extras=_idle(extras),
        places=places_of(head, extras, reasoning, tools),
        overruled=overruled(head, reasoning),
    )


def _sampling(head: wire.Request) -> Sampling:
    return Sampling(
        temperature=head.temperature,
        top_p=head.top_p,
        top_k=whole(head.top_k, "top_k"),
        min_p=head.min_p,
        seed=whole(head.seed, "seed"),
        frequency_penalty=head.frequency_penalty,
        presence_penalty=head.presence_penalty,
        logit_bias=head.logit_bias,
        logprobs=head.logprobs,
        top_logprobs=whole(head.top_logprobs, "top_logprobs"),
    )


def _required(extras: Extras) -> tuple[str, ...]:
    """Return the extras without which another question would be asked."""
    required: list[str] = [name for name in (*wire.REQUIRED_EXTRAS, "response_format") if name in extras]
    if "modalities" in extras and not _asks_for_text(extras):
        required.append("modalities")
    return tuple(required)


def _idle(extras: Extras) -> tuple[str, ...]:
    """Return the extras that no other upstream need know."""
    idle = [name for name in extras if name in wire.IDLE or name == _PADDING]
    return (*idle, "modalities") if _asks_for_text(extras) else tuple(idle)


def _asks_for_text(extras: Extras) -> bool:
    """Tell whether text alone is asked for, which is what comes anyway."""
    raw = extras.get("modalities")
    return raw is not None and decode_json(_MODALITIES, raw, "modalities") == ["text"]


# --- ours -> wire -----------------------------------------------------------------------------------------------------

PROTECTED: Final = frozenset({"model", "stream", "messages", "system", "tools", "max_tokens", "max_completion_tokens"})
"""What ``extra_body`` may not set: the gateway has judged it."""
MAX_MARKS: Final = 4
"""Cache breakpoints that a request may have."""
MAX_USER_CHARS: Final = 128

_INLINED: Final = "tool_search_tool"
"""Begins the types of Anthropic's tools that find tools: here all tools are told at once."""
_RESPONSES: Final = "openai_responses"
_SHARED: Final = frozenset({"moderation", "prompt_cache_options"})
"""Extras that mean the same in the vendor's other protocol."""
_NO_EFFECT: Final = frozenset({"prompt_cache_key", "prompt_cache_retention", "store", "stream_options"})
"""Fields without which the answer is the same."""
_USUAL_TIERS: Final = ("standard_only", "on_demand")
"""Look-alikes' words for the ``default`` tier."""
_CAN_BE_TOLD: Final[frozenset[Limit]] = frozenset({"place", "context_size"})
"""What a search of the web may be asked."""


def encode_request(request: Request, profile: Profile, notices: Notices) -> HTTPCall:
    """Write a request for an upstream.

    Raises:
        Unsupported: With ``param``, the path of what nothing can stand in for.
    """
    is_own = request.source == wire.NAME
    request = fit_schemas(request, profile, notices)
    facts = profile.facts(request.model)
    if facts.reasoning_replay or facts.reasoning_in:
        profile = msgspec.structs.replace(
            profile,
            reasoning_replay=facts.reasoning_replay or profile.reasoning_replay,
            reasoning_in=facts.reasoning_in or profile.reasoning_in,
        )
    writer = PartWriter(is_own=is_own, profile=profile, takes_marks=facts.cache_marks, notices=notices)
    tools, search = _offered(request, facts, notices)
    request = fit_choice(_chosen(request, tools, facts, notices), profile, facts, notices)
    messages, places = encode_messages(_arranged(request, profile, facts, notices), writer)
    body: JsonObject = {
        "model": request.model,
        "messages": fit_turns(messages, places, profile, notices),
        **search,
        **_sampling_fields(request, profile, notices),
        **_limit_fields(request, profile),
        **_identity_fields(request, profile, notices),
        **_reasoning_fields(request, profile, facts, notices),
    }
    if request.output_format is not None:
        body["response_format"] = encode_format(request.output_format, writer)
    body.update(_tool_fields(request, tools, writer))
    is_stream = request.stream or facts.stream_only
    _add_stream(body, request, profile, is_stream=is_stream)
    _add_extras(body, request, notices, is_stream=is_stream)
    body.update(vendor_fields(request, profile.vendor, PROTECTED, notices))
    for name in (*profile.drop, *facts.drop):
        if body.pop(name, None) is not None:
            _report_dropped(name, request, notices)
    for name in request.refused_fields:
        if body.pop(name, None) is not None:
            notices.changed(name, "the upstream refuses to be asked for usage: it is estimated")
    return HTTPCall(
        method="POST",
        path=path_of(profile, request.model),
        body=msgspec.json.encode(body),
        headers=request.vendor_headers if is_own else {},
        query=profile.query,
    )


def _report_dropped(name: str, request: Request, notices: Notices) -> None:
    """Report a field that the profile says is not to be sent.

    Raises:
        Unsupported: Without it another question would be asked.
    """
    if name in request.required_extras:
        raise Unsupported("The upstream has nothing that could stand in for this.", param=name)
    is_idle = name in _NO_EFFECT or name in request.idle_extras
    report = notices.hint if is_idle else notices.lost
    report(name, "the upstream refuses this field")


def _tool_fields(request: Request, tools: list[Tool], writer: PartWriter) -> JsonObject:
    fields: JsonObject = {"tools": [encode_tool(tool, writer) for tool in tools]} if tools else {}
    if request.parallel_tool_calls is not None:
        if tools or writer.is_own:
            fields["parallel_tool_calls"] = request.parallel_tool_calls
        else:
            writer.notices.hint("parallel_tool_calls", "there are no tools to call")
    if request.tool_choice is not None:
        fields["tool_choice"] = encode_choice(request.tool_choice, tools, writer)
        if fields["tool_choice"] == "required":
            fields["tool_choice"] = writer.profile.required_choice
    return fields


def _chosen(request: Request, tools: list[Tool], facts: ModelFacts, notices: Notices) -> Request:
    """Return the request with the choice among the tools that are sent as such."""
    choice = request.tool_choice
    if choice is None or (request.source == wire.NAME and (tools or choice.mode == "none")):
        return request
    searches = [t for t in request.tools if facts.web_search and isinstance(t, VendorTool) and is_search(t.type)]
    chosen = choice_among([*tools, *searches], request, notices)
    if isinstance(chosen, VendorTool):
        notices.hint(choice.at or "tool_choice", "the model searches the web whenever it is asked")
        chosen = None
    return msgspec.structs.replace(request, tool_choice=chosen)


def _arranged(request: Request, profile: Profile, facts: ModelFacts, notices: Notices) -> list[Message]:
    """Return the messages as they are sent: ids, the places of results, who speaks when, how many cache marks.

    Ids come first: a picture's caption names one.
    """
    is_own, messages = request.source == wire.NAME, list(request.messages)
    if profile.tool_ids == "alnum9":
        messages = shorten_ids(Scan.of(messages, notices, MAX_ID).messages, notices)
    if not is_own or profile.after_tool != "any":
        messages = pair_results(messages, notices)
    messages = fit_speakers(messages, profile, notices)
    if not is_own and facts.cache_marks:
        messages = keep_latest_marks(messages, MAX_MARKS, notices)
    return messages


def path_of(profile: Profile, model: str, path: str = wire.PATH) -> str:
    """Return the path of an operation under ``base_url``: beside the main one, where the profile says where that is."""
    main = profile.path or wire.PATH
    beside = main.removesuffix(wire.PATH) + path if main.endswith(wire.PATH) else path
    return (main if path == wire.PATH else beside).replace("{model}", quote(model, safe=""))


def _offered(request: Request, facts: ModelFacts, notices: Notices) -> tuple[list[Tool], JsonObject]:
    """Return the tools that are sent as tools, and what is sent in place of others.

    Raises:
        Unsupported: What is asked of a search of the web cannot be read.
    """
    tools: list[Tool] = []
    search: JsonObject = {}
    for tool in request.tools:
        if not isinstance(tool, VendorTool) or tool.protocol == wire.NAME:
            tools.append(tool)
        elif tool.protocol == _RESPONSES and tool.type.startswith("web_search") and not facts.web_search:
            notices.lost(tool.at or "tools", "the model does not search the web")  # Codex offers it always
        elif tool.type.startswith(_INLINED):
            notices.changed(tool.at or "tools", "all tools are told at once", action="dropped")
        elif facts.web_search and (asked := search_of(tool)) is not None:
            asked.report(_CAN_BE_TOLD, notices, "the vendor's")
            place = {"user_location": {"type": "approximate", "approximate": asked.place}} if asked.place else {}
            search = {OPTIONS: {**place, **without_none({"search_context_size": asked.context_size})}}
        else:
            tools.append(tool)
    return tools, search


def _sampling_fields(request: Request, profile: Profile, notices: Notices) -> JsonObject:
    sampling, is_own = request.sampling, request.source == wire.NAME
    fields: JsonObject = {
        "frequency_penalty": sampling.frequency_penalty,
        "logit_bias": sampling.logit_bias,
        "logprobs": sampling.logprobs,
        "presence_penalty": sampling.presence_penalty,
        profile.seed_field: sampling.seed,
        "stop": request.stop or None,
        "temperature": sampling.temperature,
        "top_logprobs": sampling.top_logprobs,
        "top_p": sampling.top_p,
        "verbosity": request.verbosity,
    }
    for name, value in (("top_k", sampling.top_k), ("min_p", sampling.min_p)):
        if value is not None and (is_own or profile.top_k):
            fields[name] = value
        elif value is not None:
            notices.lost(name, "the upstream has no such field")
    return without_none(fields)


def _limit_fields(request: Request, profile: Profile) -> JsonObject:
    """Return how long and how many the answers may be.

    Raises:
        Unsupported: None at all, to warm a cache; or several from an upstream that gives one.
    """
    is_own = request.source == wire.NAME
    if request.max_output_tokens == 0 and not is_own:
        raise Unsupported("The upstream warms no caches: ask for at least one token.", param="max_completion_tokens")
    if (request.choices or 1) > 1 and not profile.choices:
        raise Unsupported("The upstream gives one answer at a time.", param="n")
    return without_none({profile.max_tokens_field: request.max_output_tokens, "n": request.choices})


def _identity_fields(request: Request, profile: Profile, notices: Notices) -> JsonObject:
    """Return what says who asks, and what the vendor keeps of it.

    Raises:
        Unsupported: The answer shall go on from one that the vendor does not keep here.
    """
    if request.state.previous_id is not None:
        raise Unsupported("The upstream keeps no answers: send the messages.", param="previous_response_id")
    if request.cache.mark is not None:
        notices.hint("cache_control", "the upstream caches by itself")
    is_own = request.source == wire.NAME
    for header in () if is_own else request.vendor_headers:
        notices.hint(header, "headers of another vendor")
    user = request.user
    if user is not None and not is_own and (len(user) > MAX_USER_CHARS or "@" in user):
        notices.hint("user", "personal or long: sent as a digest", action="hashed")
        user = hashlib.sha256(user.encode()).hexdigest()
    return without_none(
        {
            "metadata": request.metadata or None,
            "prompt_cache_key": request.cache.key,
            "prompt_cache_retention": request.cache.retention,
            "service_tier": _encode_tier(request.service_tier, profile, notices),
            "store": request.state.store,
            "safety_identifier" if "user" in request.extras else profile.user_field: user,
        }
    )


def _encode_tier(tier: str | None, profile: Profile, notices: Notices) -> str | None:
    """Return the word for a tier of service; None: the vendor's usual one."""
    if tier is None or not profile.service_tiers:
        return tier
    words = (tier, *(_USUAL_TIERS if tier == "default" else ()))
    word = next((word for word in words if word in profile.service_tiers), None)
    if word is None:
        notices.hint("service_tier", "the tiers of vendors differ")
    return word


def _reasoning_fields(request: Request, profile: Profile, facts: ModelFacts, notices: Notices) -> JsonObject:
    control = request.reasoning
    if control is None:
        return {}
    if request.source == wire.NAME and (own := encode_own_control(control)):
        return own
    return encode_control(control, profile, facts, notices)


def _add_stream(body: JsonObject, request: Request, profile: Profile, *, is_stream: bool) -> None:
    if not is_stream:
        return
    body["stream"] = True
    options: JsonObject = {} if profile.stream_usage == "always" else {"include_usage": True}
    if request.source == wire.NAME:
        more = {name: value for name, value in request.extras.items() if name.startswith(_OPTION) and name != _PADDING}
        options.update({name.removeprefix(_OPTION): value for name, value in more.items()})
    if options:
        body["stream_options"] = options


def _add_extras(body: JsonObject, request: Request, notices: Notices, *, is_stream: bool) -> None:
    """Write this protocol's own extras back; report those of another.

    Raises:
        Unsupported: One of another protocol changes what is asked.
    """
    is_own = request.source == wire.NAME
    for name, value in request.extras.items():
        if is_reserved(name, notices):
            continue
        if name.startswith(_OPTION) and is_own:
            if name == _PADDING or not is_stream:
                notices.tell(name, "nothing is padded" if is_stream else "no stream is asked for", "hint")
        elif is_own or (name in _SHARED and request.source == _RESPONSES):
            body[name] = value
        elif name in request.required_extras:
            raise Unsupported("The upstream has nothing that could stand in for this.", param=name)
        else:
            notices.extra(name, request.idle_extras, "the upstream has no such field")
