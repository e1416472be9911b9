"""A request of another protocol, made fit for Gemini: what it refuses is changed or refused here, and reported.

The vendor wants turns that alternate and begin with the user, a turn's results all at once behind its calls, and what
the system says apart. The same request always becomes the same bytes, so that prompt caches hit.

A request that came in this protocol never passes through here: it is the caller's to get right.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Raw
from msgspec.structs import replace

from ...canonical import (
    Block,
    FunctionTool,
    Message,
    Notices,
    OutputFormat,
    Request,
    Text,
    Tool,
    ToolChoice,
    VendorTool,
)
from ...errors import Unsupported
from ...model_facts import ModelFacts
from ...profiles import Profile
from ..foreign_searches import OPTIONS, Search, search_by_options, search_of
from ..foreign_tools import choice_among
from . import wire
from .pairing import pair_results
from .signatures import keep_own_thoughts, place_signatures, sign_steps

START: Final = "(start)"
"""What a user says where another protocol lets the model begin."""
SYSTEM: Final = ("system", "developer")

_SEARCH: Final = VendorTool(
    protocol=wire.NAME, type="googleSearch", name=None, raw=Raw(b'{"googleSearch":{}}'), runs_at="provider"
)
ALONE: Final = "the model does not search the web beside functions"
"""Why a search is left out."""


def report_unsayable(request: Request, profile: Profile, notices: Notices) -> None:
    """Report what the vendor has no field for.

    Raises:
        Unsupported: It would change the question to leave it out.
    """
    if request.state.previous_id is not None:
        raise Unsupported("Gemini keeps no answers: send the messages.", param="previous_response_id")
    if request.max_output_tokens == 0:
        raise Unsupported("Gemini warms no caches: ask for at least one token.", param="max_completion_tokens")
    _report_extras(request, notices)
    _report_identity(request, profile, notices)
    if request.verbosity is not None:
        notices.lost("verbosity", "Gemini has no such field")
    told = {
        "prompt_cache_key": request.cache.key,
        "prompt_cache_retention": request.cache.retention,
        "store": request.state.store,
    }
    for path in (path for path, value in told.items() if value is not None):
        notices.hint(path, "Gemini caches prompts by itself, and keeps no answers")
    if request.cache.mark is not None:
        notices.hint(request.cache.mark.at or "cache_control", "Gemini caches prompts by itself")
    for name in request.vendor_headers:
        notices.hint(name, "a header of another vendor's")


def _report_extras(request: Request, notices: Notices) -> None:
    for name in request.extras:
        if name in request.required_extras:
            raise Unsupported("Gemini has nothing that could stand in for this.", param=name)
        if name != OPTIONS:
            notices.extra(name, request.idle_extras, "Gemini has no such field")


def _report_identity(request: Request, profile: Profile, notices: Notices) -> None:
    if request.user is not None:
        notices.hint("user", "Gemini knows no end users")
    if not profile.labels:
        for name in request.metadata:
            notices.hint(f"metadata.{name}", "Gemini keeps no metadata")


def arrange(request: Request, profile: Profile, facts: ModelFacts, notices: Notices) -> Request:
    """Return the request with its messages in the turns that Gemini takes, and with what the model takes beside tools.

    Raises:
        Unsupported: With ``param``, the path of what nothing can stand in for.
    """
    tools = _offered(request, facts, notices)
    if tools and not facts.form_beside_tools:
        request = form_in_words(request, notices) or request
    for message in request.messages:
        if message.name is not None:
            notices.lost(f"{message.at}.name", "Gemini's turns have no names")
        for name in message.extras:
            notices.unknown(message.at, name, "Gemini's turns have no such field")
    messages = pair_results(request.messages, notices)
    messages = keep_own_thoughts(messages, profile, notices, is_native=False)
    if request.source == "openai_chat":
        messages = place_signatures(messages)
    messages = _place_system(messages, notices)
    messages = merge_turns(messages)
    messages = _begin_with_user(messages, notices)
    if messages[-1].role == "assistant":
        notices.changed(messages[-1].at, "the model may begin anew where it should go on")
    if facts.signs_calls:
        messages = sign_steps(messages)
    return replace(request, messages=tuple(messages), tools=tuple(tools), tool_choice=_chosen(tools, request, notices))


def _place_system(messages: Sequence[Message], notices: Notices) -> list[Message]:
    """Return the messages with those of the system behind the first turn said by the user."""
    placed: list[Message] = []
    has_begun = False
    for message in messages:
        if message.role not in SYSTEM:
            has_begun = True
        elif has_begun:
            notices.changed(message.at, "the system speaks before the talk alone: said by the user")
            inner: list[Block] = [Text(text="<system>"), *message.content, Text(text="</system>")]
            if all(isinstance(block, Text) for block in message.content):
                said = "\n".join(block.text for block in message.content if isinstance(block, Text))
                inner = [Text(text=f"<system>{said}</system>", at=message.at)]
            message = replace(message, role="user", content=tuple(inner))
        placed.append(message)
    return placed


def merge_turns(messages: Sequence[Message]) -> list[Message]:
    """Return the messages with neighbours of one role made one."""
    merged: list[Message] = []
    for message in messages:
        if merged and merged[-1].role == message.role and message.role not in SYSTEM:
            merged[-1] = replace(merged[-1], content=(*merged[-1].content, *message.content))
        else:
            merged.append(message)
    return merged


def _begin_with_user(messages: Sequence[Message], notices: Notices) -> list[Message]:
    first = next((i for i, message in enumerate(messages) if message.role not in SYSTEM), len(messages))
    if first < len(messages) and messages[first].role == "user":
        return list(messages)
    notices.changed(messages[min(first, len(messages) - 1)].at, "the user has to speak first", action="inserted")
    return [*messages[:first], Message(role="user", content=(Text(text=START),)), *messages[first:]]


def _offered(request: Request, facts: ModelFacts, notices: Notices) -> list[Tool]:
    """Return the tools, other vendors' searches of the web as Gemini's own.

    Raises:
        Unsupported: What is asked of such a search cannot be read.
    """
    tools: list[Tool] = []
    searches: list[Search] = []
    for tool in request.tools:
        if (search := search_of(tool)) is not None:
            searches.append(search)
        elif isinstance(tool, VendorTool) and tool.type.startswith("tool_search_tool"):
            notices.changed(tool.at or "tools", "all tools are told at once", action="dropped")
        else:
            tools.append(tool)
    if request.tool_choice is not None and request.tool_choice.mode == "none":  # here that is said of functions alone
        for search in searches:
            notices.hint(search.at, "no tool may be called")
        searches.clear()
    if (search := search_by_options(request)) is not None:
        searches.append(search)
    is_alone = facts.own_tools_beside_functions or not has_functions(tools)
    for search in searches:
        if is_alone:
            search.report((), notices, "Google's")
            tools.append(replace(_SEARCH, at=search.at))
        else:
            notices.lost(search.at, ALONE)
    return tools


def _chosen(tools: Sequence[Tool], request: Request, notices: Notices) -> ToolChoice | None:
    """Return the choice, which is among functions only."""
    choice = choice_among(tools, request, notices)
    if not isinstance(choice, VendorTool):
        return choice
    assert request.tool_choice is not None
    notices.changed(request.tool_choice.at or "tool_choice", "the model itself decides whether it searches the web")
    return None


def has_functions(tools: Sequence[Tool]) -> bool:
    """Tell whether there are functions among tools."""
    return any(isinstance(tool, FunctionTool) for tool in tools)


def form_in_words(request: Request, notices: Notices) -> Request | None:
    """Return the request with its form asked for in words, where tools bar a binding one; None: it has none."""
    wanted = request.output_format
    if wanted is None or wanted.kind == "text":
        return None
    notices.changed(wanted.at, "the model cannot be bound to a form beside tools: asked for in words")
    hint = Message(role="system", content=(Text(text=_asked(wanted)),), at=wanted.at)
    leading = next((i for i, m in enumerate(request.messages) if m.role not in SYSTEM), len(request.messages))
    messages = (*request.messages[:leading], hint, *request.messages[leading:])
    return replace(request, messages=messages, output_format=None)


def _asked(wanted: OutputFormat) -> str:
    if wanted.schema is None:
        return "Where you answer in text, reply with a single JSON object and nothing else."
    schema = bytes(wanted.schema).decode()
    return f"Where you answer in text, reply with JSON alone that is valid for this schema:\n{schema}"
