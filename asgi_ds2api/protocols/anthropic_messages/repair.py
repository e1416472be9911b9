"""What to do about a 400 of Anthropic's: one table, from what it objects to, to the request without it.

Model facts (``profiles``) keep most of these from happening. This is for models that nobody has told us of, and for
rules that changed overnight. A repair that has nothing to change returns None, so that none is tried twice.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from msgspec.structs import replace

from ...canonical import Message, Notices, OutputFormat, Reasoning, Request, Text
from ...errors import Refused
from ...model_facts import nearest_effort
from . import wire
from .preflight import weaken_choice, with_hint
from .reasoning import NEAREST, effort_of
from .turns import SYSTEM, as_tagged_user

Repair: TypeAlias = Callable[[Request, re.Match[str], Notices], Request | None]

_OF_THE_MODEL: Final = re.compile(
    r"^(?:[a-z_.]{1,40}: )?`?(?:temperature|top_p|top_k)`? is (?:deprecated|not supported) (?:for|by|with) this model"
    r"|thinking\.type\.(?:disabled|enabled).{0,80}not supported",
    re.IGNORECASE,
)
_DEPENDS: Final = re.compile(r"\b(?:when|while|if|unless|both|together)\b", re.IGNORECASE)

ASK_SCHEMA: Final = (
    "Reply with a single JSON value and nothing else: no explanation, no Markdown. It must be valid for this schema:\n"
)


def repair(request: Request, error: Refused, notices: Notices) -> Request | None:
    """Return the request without what the upstream objected to; None: nothing known helps.

    Args:
        request: As it was given to ``encode_request``.
        error: The refusal, with the upstream's own message.
        notices: Where it is reported what was left out.
    """
    for pattern, mend in REPAIRS:
        if match := pattern.search(error.message):
            return mend(request, match, notices)
    return None


def lesson(error: Refused) -> str | None:
    """See `codec.Codec.lesson`: the vendor's own words, where they name the model and no condition."""
    message = error.message
    return message if _OF_THE_MODEL.search(message) and not _DEPENDS.search(message) else None


def _drop_top_p(request: Request, _match: re.Match[str], notices: Notices) -> Request | None:
    if request.sampling.top_p is None or request.sampling.temperature is None:
        return None
    notices.lost("top_p", "the model takes temperature or top_p, not both")
    return replace(request, sampling=replace(request.sampling, top_p=None))


def _drop_sampling(request: Request, _match: re.Match[str], notices: Notices) -> Request | None:
    given = request.sampling
    told = [name for name in ("temperature", "top_p", "top_k") if getattr(given, name) is not None]
    if not told:
        return None
    for name in told:
        notices.lost(name, "the model takes none")
    return replace(request, sampling=replace(given, temperature=None, top_p=None, top_k=None))


def _think_a_little(request: Request, _match: re.Match[str], notices: Notices) -> Request | None:
    return _adaptive(request, "low", "the model always thinks: asked to do so as little as possible", notices)


def _think_by_effort(request: Request, _match: re.Match[str], notices: Notices) -> Request | None:
    control = request.reasoning
    effort = None if control is None else control.effort or effort_of(control.budget_tokens)
    return _adaptive(request, effort, "the model takes an effort in place of a budget", notices)


def _adaptive(request: Request, effort: str | None, reason: str, notices: Notices) -> Request | None:
    control = request.reasoning
    if control is None or control.mode == "adaptive":
        return None
    notices.changed(control.at or "thinking", reason)
    mended = replace(control, mode="adaptive", effort=effort, budget_tokens=None)
    return replace(request, reasoning=mended)


def _lower_effort(request: Request, match: re.Match[str], notices: Notices) -> Request | None:
    control = request.reasoning
    supported = re.findall(r"[a-z]+", match["supported"] or "")
    if control is None or control.effort is None or control.effort in supported:
        return None
    effort = nearest_effort(control.effort, supported, NEAREST)
    notices.changed(control.at or "output_config.effort", "the nearest effort that the model knows", action="coerced")
    return replace(request, reasoning=replace(control, effort=effort))


def _do_not_force(request: Request, _match: re.Match[str], notices: Notices) -> Request | None:
    if request.tool_choice is None or request.tool_choice.mode not in ("required", "named"):
        return None
    return weaken_choice(request, notices)


def _fold_system(request: Request, _match: re.Match[str], notices: Notices) -> Request | None:
    folded: list[Message] = []
    has_begun = has_changed = False
    for message in request.messages:
        has_begun |= message.role not in SYSTEM
        if not has_begun or message.role not in SYSTEM:
            folded.append(message)
            continue
        has_changed = True
        for name in message.extras:
            notices.lost(f"{message.at}.{name}", "no system message may stand here")
        if message.content:
            notices.changed(message.at, "no system message may stand here: sent as a tagged text of the user's")
            folded.append(as_tagged_user(message))
    return replace(request, messages=tuple(folded)) if has_changed else None


def _drop_thinking(request: Request, match: re.Match[str], notices: Notices) -> Request | None:
    """Leave out the thinking that the upstream named, and all behind it.

    Positions count only where messages were sent as they came; elsewhere all of it goes.
    """
    is_native = request.source == wire.NAME
    leading = next((i for i, m in enumerate(request.messages) if m.role not in SYSTEM), 0)
    first = (leading + int(match["message"]), int(match["block"])) if is_native else (0, 0)
    messages: list[Message] = []
    has_changed = False
    for i, message in enumerate(request.messages):
        kept = tuple(
            block for j, block in enumerate(message.content) if not isinstance(block, Reasoning) or (i, j) < first
        )
        if len(kept) < len(message.content):
            has_changed = True
            notices.lost(message.at, "the upstream does not know its thinking any more")
        if kept or not message.content:
            messages.append(replace(message, content=kept))
    return replace(request, messages=tuple(messages)) if has_changed else None


def _ask_for_schema(request: Request, _match: re.Match[str], notices: Notices) -> Request | None:
    wanted = request.output_format
    if not isinstance(wanted, OutputFormat) or wanted.schema is None:
        return None
    notices.changed(wanted.at or "output_config.format", "asked for in words: the model has no switch for it")
    hint = Message(role="system", content=(Text(text=ASK_SCHEMA + bytes(wanted.schema).decode()),), at=wanted.at)
    return replace(request, output_format=None, messages=with_hint(request.messages, hint))


def _drop_beta(request: Request, match: re.Match[str], notices: Notices) -> Request | None:
    refused = set(re.findall(r"`([^`]+)`", match["values"]))
    betas = [name.strip() for name in request.vendor_headers.get(wire.BETA_HEADER, "").split(",")]
    kept = [name for name in betas if name and name not in refused]
    if len(kept) == len([name for name in betas if name]):
        return None
    notices.lost(wire.BETA_HEADER, "the upstream knows no such beta")
    headers = {name: value for name, value in request.vendor_headers.items() if name != wire.BETA_HEADER}
    if kept:
        headers[wire.BETA_HEADER] = ",".join(kept)
    return replace(request, vendor_headers=headers)


def _shorten_answer(request: Request, match: re.Match[str], notices: Notices) -> Request | None:
    """Lower the limit of the answer to what the upstream said is left."""
    limit = int(match["limit"]) - int(match.groupdict().get("used") or 0)
    if limit < 1 or (request.max_output_tokens is not None and request.max_output_tokens <= limit):
        return None
    notices.changed("max_completion_tokens", "the model writes no longer answers", action="clamped")
    return replace(request, max_output_tokens=limit)


_NOT = r"(?:not|n't|cannot|deprecated|unsupported|only|no longer|extra inputs|may)"

REPAIRS: Final[Sequence[tuple[re.Pattern[str], Repair]]] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), mend)
    for pattern, mend in (
        (r"`?temperature`? and `?top_p`? cannot both", _drop_top_p),
        (rf"\b(?:temperature|top_p|top_k)\b.{{0,120}}{_NOT}", _drop_sampling),
        (r"thinking\.type\.disabled.{0,80}not supported", _think_a_little),
        (r"(?:thinking\.type\.enabled|budget_tokens).{0,80}not supported", _think_by_effort),
        (r"does not support effort.{0,80}?(?:Supported levels: (?P<supported>[a-z, ]+)|$)", _lower_effort),
        (r'tool_choice: type "tool" and "any" are not supported', _do_not_force),
        (r"role '?system'? is not supported", _fold_system),
        (
            r"messages\.(?P<message>\d{1,6})\.content\.(?P<block>\d{1,6}): Invalid `signature` in `thinking` block",
            _drop_thinking,
        ),
        (r"output_config\.format.{0,80}(?:not supported|unsupported)", _ask_for_schema),
        (r"Unexpected value\(s\) (?P<values>.{1,500}?) for the `anthropic-beta` header", _drop_beta),
        (r"exceed context limit: (?P<used>\d{1,9}) \+ \d{1,9} > (?P<limit>\d{1,9})", _shorten_answer),
        (r"max_tokens: \d{1,9} > (?P<limit>\d{1,9})", _shorten_answer),
    )
)
"""Pattern in the message -> repair, the first that matches."""
