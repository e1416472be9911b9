"""What an upstream lacks, lent to it: canonical in, canonical out.

``choose`` decides which shims an attempt needs; see ``contract`` for what one is.
"""

from collections.abc import Iterator

from ..canonical import Request
from ..profiles import Profile
from ..seal import Keyring
from .client_tools import ClientTools
from .code_runs import CodeRuns
from .compaction import Compaction, open_summaries, plain
from .contract import Shim
from .custom_tools import CustomTools
from .item_tools import ItemTools
from .json_mode import JsonMode
from .kept_reasoning import CallersReasoning, KeptReasoning
from .one_call import OneCall
from .reasoning_seal import Emptied, ReasoningSeal
from .stop_matcher import StopMatcher
from .streamed_turns import StreamedTurns
from .think_tags import ThinkTags
from .tool_names import ToolNames
from .turns import Turns
from .validated_calls import ValidatedCalls
from .web_searches import WebSearches
from .wrapped_root import WrappedRoot, wrapped

__all__ = ["CallersReasoning", "KeptReasoning", "Shim", "choose", "open_summaries"]


def choose(
    request: Request, protocol: str, profile: Profile, keyring: Keyring, caller: str,
    kept: CallersReasoning | None = None,
) -> list[Shim]:  # fmt: skip
    """Return the shims for one attempt, in the order in which the request passes them; answers pass them in reverse.

    Args:
        request: As the caller's face decoded it.
        protocol: The protocol of the upstream.
        profile: The upstream's dialect.
        keyring: Seals what a client of another vendor carries for this one.
        caller: Label that seals are bound to.
        kept: Where reasoning is kept for clients that cannot carry it; None: nowhere.
    """
    keeping: list[Shim] = []
    if kept is not None and KeptReasoning.is_needed(request):
        keeping.append(KeptReasoning(request, protocol, profile, kept))
    shims: list[Shim] = []
    if ItemTools.is_needed(request, protocol):  # first, so that all others see the calls
        shims.append(ItemTools())
    if WebSearches.is_needed(request, protocol):
        shims.append(WebSearches())
    if Compaction.is_needed(request):
        # It takes messages out, so that turns are found before; and nothing of its answer is to be kept.
        shims += (*keeping, Compaction(keyring, caller))
        keeping = []
        request = plain(request)
    seal = ReasoningSeal(request.source, profile, protocol, keyring, caller)
    shims += (seal, *keeping)
    if Emptied.is_needed(request):  # behind what knows messages by their places
        shims.append(Emptied(seal))
    if WrappedRoot.is_needed(request, protocol):
        shims.append(WrappedRoot())
        request = wrapped(request)  # whoever asks for a form in words asks for this one
    return [*shims, *_for_the_protocol(request, protocol, profile), *_for_the_dialect(request, protocol, profile)]


def _for_the_protocol(request: Request, protocol: str, profile: Profile) -> Iterator[Shim]:
    """Yield what the caller's protocol can say and the upstream's cannot."""
    if Turns.is_needed(request, protocol):
        yield Turns()
    if StreamedTurns.is_needed(request, protocol):
        yield StreamedTurns()
    if ValidatedCalls.is_needed(request, protocol):
        yield ValidatedCalls(protocol, profile)
    if ClientTools.is_needed(request, protocol):
        yield ClientTools()


def _for_the_dialect(request: Request, protocol: str, profile: Profile) -> Iterator[Shim]:
    """Yield what the upstream's dialect, or a caller of another protocol, lacks."""
    if CustomTools.is_needed(request, profile):
        yield CustomTools()
    if ToolNames.is_needed(request, profile):
        yield ToolNames(profile.tool_name_max)
    if JsonMode.is_needed(request, profile):
        yield JsonMode(profile)
    if OneCall.is_needed(request, profile):
        yield OneCall()
    if CodeRuns.is_needed(request, protocol):
        yield CodeRuns()
    if profile.think_tags:
        yield ThinkTags()
    if StopMatcher.is_needed(request, profile):
        yield StopMatcher(profile.stop_max)
