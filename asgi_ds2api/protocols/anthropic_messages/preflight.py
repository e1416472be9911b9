"""A request of another protocol, made fit for Anthropic: ordered, deterministic steps, each canonical in and out.

What Anthropic refuses is changed here or refused here, and everything that is changed or left out is reported. The same
request always becomes the same bytes: prompt caches hit, and signed thinking stays bound to what it was signed with.

The order is that of the vendor's own rules (``docs/protocols/anthropic-messages.md``), with one divergence: results of
tools are moved behind their calls before system messages find their place, so that nothing stands between the two.

A request that came in this protocol never passes through here: it is the caller's to get right.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias, TypeVar

import msgspec
from msgspec import Raw

from ...canonical import (
    CacheControl,
    CacheMark,
    FunctionTool,
    Message,
    Notices,
    Request,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    VendorTool,
)
from ...errors import Unsupported
from ...model_facts import ModelFacts
from ...profiles import Profile
from ..foreign_searches import OPTIONS, Limit, Search, search_as_tool, search_of
from ..foreign_tools import NO_PARAMETERS, choice_among
from . import wire
from .pairing import pair_results
from .reasoning import fit_reasoning
from .schema import check_root, fit_schema
from .turns import (
    adopt_mark,
    begin_with_user,
    fit_blocks,
    judge_ending,
    keep_reasoning,
    lacks_loop_thinking,
    merge_turns,
    place_system,
)


class Addressee(msgspec.Struct, frozen=True):
    """Whom the request goes to."""

    profile: Profile
    facts: ModelFacts
    """Of the model."""


Step: TypeAlias = Callable[[Request, Addressee, Notices], Request]

DEFAULT_MAX_TOKENS: Final = 8_192
"""Of an answer, where neither the caller nor the model's facts say it; every model can do it."""
MAX_MARKS: Final = 4
"""Cache breakpoints that a request may have."""
MAX_USER_CHARS: Final = 256

_TTLS: Final[Mapping[str | None, str | None]] = {None: None, "5m": "5m", "30m": "1h", "1h": "1h", "12h": "1h"}
"""Lifetimes of cache marks -> those that Anthropic has; never shorter than asked, but for the longest."""


def normalise(request: Request, profile: Profile, notices: Notices) -> Request:
    """Return the request as Anthropic takes it.

    Raises:
        Unsupported: With ``param``, the path in the caller's terms of what nothing can stand in for.
    """
    target = Addressee(profile, profile.facts(request.model))
    for step in STEPS:
        request = step(request, target, notices)
    return request


def report_unsayable(request: Request, notices: Notices) -> None:
    """Report what Anthropic has no field for, whoever asks for it.

    Raises:
        Unsupported: It would change the question to leave it out.
    """
    if (request.choices or 1) > 1:
        raise Unsupported("Anthropic gives one answer at a time.", param="n")
    if request.state.previous_id is not None:
        raise Unsupported("Anthropic keeps no answers: send the messages.", param="previous_response_id")
    for path in (path for path in request.metadata if path != "user_id" or request.user is not None):
        notices.hint(f"metadata.{path}", "Anthropic keeps no metadata")
    if request.verbosity is not None:
        notices.lost("verbosity", "Anthropic has no such field")
    told = {
        "store": request.state.store,
        "prompt_cache_key": request.cache.key,
        "prompt_cache_retention": request.cache.retention,
    }
    for path in (path for path, value in told.items() if value is not None):
        notices.hint(path, "Anthropic has no such field")
    for name in ("seed", "min_p", "frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "top_logprobs"):
        value = getattr(request.sampling, name)
        if value is not None:
            report = notices.lost if value or name == "seed" else notices.hint
            report(name, "Anthropic has no such field")


def leave_out_foreign(request: Request, _target: Addressee, notices: Notices) -> Request:
    """Leave out what has no place, and put the small fields into Anthropic's words.

    Raises:
        Unsupported: It would change the question to leave it out.
    """
    for name in request.extras:
        if name in request.required_extras:
            raise Unsupported("Anthropic has nothing that could stand in for this.", param=name)
        if name != OPTIONS:
            notices.extra(name, request.idle_extras, "Anthropic has no such field")
    return msgspec.structs.replace(
        request,
        cache=CacheControl(mark=_fit_mark(request.cache.mark)),
        user=_user(request, notices),
        service_tier=_service_tier(request.service_tier, notices),
    )


def search_web(request: Request, target: Addressee, notices: Notices) -> Request:
    """Turn OpenAI's web search into Anthropic's, and a choice of it.

    Raises:
        Unsupported: The upstream is not Anthropic's own, or what is asked of the search cannot be read.
    """
    tools = request.tools
    if target.profile.vendor == wire.VENDOR:
        searches = ((tool, search_of(tool)) for tool in tools)
        tools = tuple([tool if asked is None else _own_search(asked, notices) for tool, asked in searches])
        if (asked := search_as_tool(request, notices)) is not None:
            tools = (*tools, _own_search(asked, notices))
    elif OPTIONS in request.extras:
        raise Unsupported("The upstream does not search the web.", param=OPTIONS)
    choice = choice_among(tools, request, notices)
    if isinstance(choice, VendorTool):
        at = "" if request.tool_choice is None else request.tool_choice.at
        choice = ToolChoice(mode="named", names=(choice.name or choice.type,), at=at)
    return msgspec.structs.replace(request, tools=tools, tool_choice=choice)


def _own_search(asked: Search, notices: Notices) -> VendorTool:
    asked.report(_CAN_BE_TOLD, notices, "Anthropic's")
    own: dict[str, object] = {"type": _SEARCH_TOOL, "name": "web_search"}
    if asked.allowed_domains:
        own["allowed_domains"] = asked.allowed_domains
    if asked.place:
        own["user_location"] = {"type": "approximate", **asked.place}
    return VendorTool(
        protocol=wire.NAME, type=_SEARCH_TOOL, name="web_search", raw=Raw(msgspec.json.encode(own)), runs_at="provider",
        at=asked.at,
    )  # fmt: skip


def arrange_messages(request: Request, target: Addressee, notices: Notices) -> Request:
    """Bring the messages into the turns that Anthropic takes."""
    messages: Sequence[Message] = fit_blocks(request.messages, target.profile, notices)
    messages = pair_results(messages, notices)
    messages = place_system(messages, target.facts, notices)
    messages = keep_reasoning(messages, target.profile, notices)
    messages = merge_turns(messages)
    messages = begin_with_user(messages, notices)
    messages = judge_ending(messages, target.facts, notices)
    return msgspec.structs.replace(request, messages=tuple(messages))


def bound_output(request: Request, target: Addressee, notices: Notices) -> Request:
    """Say how long the answer may be, which Anthropic wants to know."""
    wanted, limit = output_limit(request, target.facts), target.facts.max_output_tokens
    if limit is not None and wanted > limit:
        notices.changed("max_completion_tokens", "the model writes no longer answers", action="clamped")
        wanted = limit
    return msgspec.structs.replace(request, max_output_tokens=wanted)


def output_limit(request: Request, facts: ModelFacts) -> int:
    """Return how long the answer may be, in tokens: as asked, else as the model can."""
    if request.max_output_tokens is not None:
        return request.max_output_tokens
    return facts.max_output_tokens or DEFAULT_MAX_TOKENS


def choose_reasoning(request: Request, target: Addressee, notices: Notices) -> Request:
    """Ask for thinking in the words that the model knows."""
    control = request.reasoning
    if control is None:
        return request
    assert request.max_output_tokens is not None
    is_shown = request.source in ("openai_chat", "ollama_chat")
    fitted = fit_reasoning(control, target.facts, request.max_output_tokens, is_shown=is_shown, notices=notices)
    if fitted is not None and fitted.mode == "enabled" and (reason := _bar_to_thinking(request, target.facts)):
        told = {".effort": control.effort, ".budget_tokens": control.budget_tokens}
        for field in ("", *(field for field, value in told.items() if value is not None)):
            notices.changed(f"{control.at}{field}", reason, action="dropped")
        fitted = None
    return msgspec.structs.replace(request, reasoning=fitted)


def _bar_to_thinking(request: Request, facts: ModelFacts) -> str | None:
    """Return why a model that takes a budget may not think here; None: it may."""
    if lacks_loop_thinking(request.messages):
        return "the loop of tools began without thinking, and goes on without"
    choice = request.tool_choice
    is_forced = choice is not None and choice.mode in ("required", "named") and bool(request.tools)
    return "the model does not think where a call is forced" if is_forced and facts.forced_tool_choice else None


def choose_tools(request: Request, target: Addressee, notices: Notices) -> Request:
    """Offer the tools that may be called, and say which must be."""
    tools = tuple(_fit_tool(tool, target, notices) for tool in request.tools)
    request = _allowed_only(msgspec.structs.replace(request, tools=tools), notices)
    if not request.tools:
        return _without_tools(request, notices)
    choice = request.tool_choice
    if choice is None or choice.mode == "auto":
        return request
    if choice.mode == "none":
        return _without_parallel(request, notices)
    return request if target.facts.forced_tool_choice else weaken_choice(request, notices)


def weaken_choice(request: Request, notices: Notices) -> Request:
    """Ask in words for a call that cannot be forced."""
    choice = request.tool_choice
    assert choice is not None
    notices.lost(choice.at or "tool_choice", "the model cannot be forced to call a tool: asked in words", "emulated")
    named = f"the tool {choice.names[0]}" if choice.mode == "named" else "at least one of the tools"
    hint = Message(role="system", content=(Text(text=f"Answer by calling {named}."),), at=choice.at)
    free = msgspec.structs.replace(choice, mode="auto", names=())
    return msgspec.structs.replace(request, tool_choice=free, messages=with_hint(request.messages, hint))


def with_hint(messages: Sequence[Message], hint: Message) -> tuple[Message, ...]:
    """Return the messages with one more at the end of the leading system messages."""
    leading = next((i for i, m in enumerate(messages) if m.role not in ("system", "developer")), len(messages))
    return (*messages[:leading], hint, *messages[leading:])


def choose_sampling(request: Request, target: Addressee, notices: Notices) -> Request:
    """Keep what the model lets one say about sampling, and stop sequences that are no white space."""
    kept = _sampling(request.sampling, request, target, notices)
    stop: list[str] = []
    for i, text in enumerate(request.stop):
        if text.strip():
            stop.append(text)
        else:
            notices.lost(f"stop[{i}]" if len(request.stop) > 1 else "stop", "a stop sequence may not be blank")
    return msgspec.structs.replace(request, sampling=kept, stop=tuple(stop))


def shape_output(request: Request, _target: Addressee, notices: Notices) -> Request:
    """Put the schema of the answer into Anthropic's subset.

    Raises:
        Unsupported: A form without a schema, which a shim lends in words; or a schema that cannot be said.
    """
    wanted = request.output_format
    if wanted is None:
        return request
    for name in wanted.extras:
        notices.unknown(wanted.at, name, "Anthropic has no such field")
    if wanted.kind == "text":
        return msgspec.structs.replace(request, output_format=None)
    if wanted.kind == "json_object" or wanted.schema is None:
        raise Unsupported("Anthropic wants a schema for JSON.", param=wanted.at or None)
    for name, value in {"name": wanted.name, "description": wanted.description, "strict": wanted.strict}.items():
        if value is not None:
            notices.hint(f"{wanted.at}.{name}", "Anthropic is always strict and knows the schema alone")
    schema = fit_schema(wanted.schema, f"{wanted.at}.schema", notices)
    return msgspec.structs.replace(request, output_format=msgspec.structs.replace(wanted, schema=schema, extras={}))


def limit_cache_marks(request: Request, _target: Addressee, notices: Notices) -> Request:
    """Keep the latest marks, as many as Anthropic takes, and no short one before a long one."""
    marks = (getattr(block, "cache", None) for message in request.messages for block in message.content)
    if not any(marks) and not any(tool.cache for tool in request.tools):
        return request
    keeper = _Marks(MAX_MARKS - (request.cache.mark is not None), notices)
    messages = [
        msgspec.structs.replace(
            message, content=tuple([keeper.keep(block) for block in reversed(message.content)])[::-1]
        )
        for message in reversed(request.messages)
    ]
    tools = tuple([keeper.keep(tool) for tool in reversed(request.tools)])[::-1]
    return msgspec.structs.replace(request, messages=tuple(messages[::-1]), tools=tools)


STEPS: Final[Sequence[Step]] = (
    leave_out_foreign,
    search_web,
    arrange_messages,
    bound_output,
    choose_reasoning,
    choose_tools,
    choose_sampling,
    shape_output,
    limit_cache_marks,
)

_SEARCH_TOOL: Final = "web_search_20260318"
_CAN_BE_TOLD: Final[frozenset[Limit]] = frozenset({"allowed_domains", "place"})
"""What its search may be asked, of all that other vendors' are."""

T = TypeVar("T")


class _Marks:
    """Judges cache marks from the last to the first."""

    def __init__(self, left: int, notices: Notices) -> None:
        self._left = left
        self._notices = notices
        self._is_long = False

    def keep(self, value: T) -> T:
        """Return a block or a tool with its mark as Anthropic takes it, or without."""
        mark: CacheMark | None = getattr(value, "cache", None)
        if mark is None:
            return value
        at = mark.at or f"{getattr(value, 'at', '')}.cache_control"
        if self._left <= 0:
            self._notices.hint(at, f"at most {MAX_MARKS} cache marks are taken")
            return _replaced(value, None)
        self._left -= 1
        ttl = "1h" if self._is_long else _TTLS.get(mark.ttl)
        self._is_long = ttl == "1h"
        if ttl != mark.ttl or mark.extras:
            self._notices.hint(at, "Anthropic keeps caches for 5 minutes or an hour", action="coerced")
        return _replaced(value, CacheMark(ttl=ttl))


def _replaced(value: T, mark: CacheMark | None) -> T:
    assert isinstance(value, msgspec.Struct)
    return msgspec.structs.replace(value, cache=mark)


def _fit_mark(mark: CacheMark | None) -> CacheMark | None:
    return None if mark is None else CacheMark(ttl=_TTLS.get(mark.ttl))


def _user(request: Request, notices: Notices) -> str | None:
    user = request.user if request.user is not None else request.metadata.get("user_id")
    if user is None or ("@" not in user and len(user) <= MAX_USER_CHARS):
        return user
    notices.hint("user", "personal or long: sent as a digest", action="hashed")
    return hashlib.sha256(user.encode()).hexdigest()


def _service_tier(tier: str | None, notices: Notices) -> str | None:
    if tier in (None, "auto", "default"):
        return tier
    notices.hint("service_tier", "the tiers of vendors differ")
    return "auto" if tier == "priority" else None


def _fit_tool(tool: Tool, target: Addressee, notices: Notices) -> Tool:
    if not isinstance(tool, FunctionTool):
        return tool
    tool = adopt_mark(tool)
    at = f"{tool.at}.parameters"
    if tool.parameters is None:
        return msgspec.structs.replace(tool, parameters=NO_PARAMETERS)
    if not tool.strict:
        return msgspec.structs.replace(tool, parameters=check_root(tool.parameters, at))
    if target.facts.structured_outputs:
        return msgspec.structs.replace(tool, parameters=fit_schema(tool.parameters, at, notices))
    notices.lost(f"{tool.at}.strict", "the model does not constrain arguments")
    return msgspec.structs.replace(tool, parameters=check_root(tool.parameters, at), strict=None)


def _allowed_only(request: Request, notices: Notices) -> Request:
    """Offer only the tools of an allowed subset."""
    choice = request.tool_choice
    if choice is None or not choice.names or choice.mode == "named":
        return request
    tools: list[Tool] = []
    for tool in request.tools:
        if tool.name in choice.names:
            tools.append(tool)
        else:
            notices.changed(tool.at, "not among the allowed tools, which alone are sent", action="dropped")
    if not tools:
        report = notices.lost if choice.mode == "required" else notices.hint
        report(choice.at or "tool_choice", "none of the tools that it allows is sent")
    is_forced = choice.mode == "required" and len(tools) == 1
    fitted = ToolChoice(mode="named", names=choice.names, at=choice.at) if is_forced else ToolChoice(
        mode=choice.mode, extras=choice.extras, at=choice.at
    )  # fmt: skip
    return msgspec.structs.replace(request, tools=tuple(tools), tool_choice=fitted)


def _without_tools(request: Request, notices: Notices) -> Request:
    """Declare the tools that only the history knows, as Anthropic wants to know them; else say nothing of tools."""
    request = _without_parallel(request, notices)
    calls = (block for m in request.messages for block in m.content if isinstance(block, ToolCall))
    called = {call.name: call for call in calls}
    if not called and not any(isinstance(block, ToolResult) for m in request.messages for block in m.content):
        return msgspec.structs.replace(request, tool_choice=None)
    for call in called.values():
        notices.changed(call.at, "tools that were called before must be declared", action="inserted")
    tools = tuple(FunctionTool(name=name, parameters=Raw(b'{"type":"object"}')) for name in called)
    return msgspec.structs.replace(request, tools=tools, tool_choice=ToolChoice(mode="none"))


def _without_parallel(request: Request, notices: Notices) -> Request:
    if request.parallel_tool_calls is not None:
        notices.hint("parallel_tool_calls", "nothing may be called")
    return msgspec.structs.replace(request, parallel_tool_calls=None)


def _sampling(given: Sampling, request: Request, target: Addressee, notices: Notices) -> Sampling:
    """Return temperature, top_p and top_k as far as the model takes them."""
    kept = {name: value for name in ("temperature", "top_p", "top_k") if (value := getattr(given, name)) is not None}
    if not kept:
        return Sampling()
    is_thinking = request.reasoning is not None and request.reasoning.mode in ("enabled", "adaptive")
    if target.facts.sampling == "none" or is_thinking:
        reason = "the model takes none" if target.facts.sampling == "none" else "the model takes none while it thinks"
        for name in kept:
            notices.lost(name, reason)
        return Sampling()
    if target.facts.sampling == "one" and "temperature" in kept and kept.pop("top_p", None) is not None:
        notices.lost("top_p", "the model takes temperature or top_p, not both")
    if kept.get("temperature", 0) > 1:
        notices.changed("temperature", "Anthropic goes up to 1", action="clamped")
        kept["temperature"] = 1.0
    return msgspec.convert(kept, Sampling)
