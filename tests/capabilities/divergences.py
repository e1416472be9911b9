"""Where our tables say something else than the references' mapping tables, and why.

No other row may differ, and none may stand here that does not: `test_references`.
"""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple


class Place(NamedTuple):
    """A verdict that is not the reference's."""

    kind: Literal["requests", "answers"]
    means: str
    to: str


_CHAT, _RESPONSES, _CLAUDE, _GEMINI, _OLLAMA = (
    "openai_chat", "openai_responses", "anthropic_messages", "gemini_generate", "ollama_chat"
)  # fmt: skip


def _asked(to: str, *meanings: str) -> frozenset[Place]:
    return frozenset(Place("requests", means, to) for means in meanings)


def _told(to: str, *meanings: str) -> frozenset[Place]:
    return frozenset(Place("answers", means, to) for means in meanings)


_REASONS: Final[Mapping[str, frozenset[Place]]] = {
    # --- the references say W, and nothing of the answer is lost: DESIGN 5 calls that a hint --------------------------
    "DESIGN 5: marks and keys of caches do nothing to an answer": (
        _asked(_CLAUDE, "cache.key", "cache.retention") | _asked(_GEMINI, "cache.mark", "cache.key", "cache.retention")
    ),
    "DESIGN 5: who asks, and what is noted of it, does nothing to an answer": (
        _asked(_CLAUDE, "metadata") | _asked(_GEMINI, "user", "metadata") | _asked(_OLLAMA, "user")
    ),
    "DESIGN 5: what a request is billed by or diagnosed with does nothing to its answer": (
        _asked(_CLAUDE, "tier.other") | _asked(_CHAT, "own.idle") | _asked(_RESPONSES, "own.idle")
    ),
    "DESIGN 5: all tools are sent at once, and arguments streamed as they come: a model may call as many": (
        _asked(_CHAT, "tool.deferred", "tool.eager") | _asked(_RESPONSES, "tool.deferred", "tool.eager")
    ),
    "DESIGN 5: a message that says nothing is nothing to an answer": _asked(_CLAUDE, "message.empty"),
    "DESIGN 5: whether thoughts are shown is nothing to what is answered": _asked(_CHAT, "display"),
    "DESIGN 5: figures and marks beside an answer, which nobody asked for, are counted": _told(_CHAT, "own"),
    "DESIGN 5: thoughts that need not be sent back are left out without effect": _asked(_CHAT, "reasoning"),
    # --- ours is better -----------------------------------------------------------------------------------------------
    "the same thing by another name: nothing is emulated": (
        _asked(_CHAT, "adaptive", "effort.none", "result", "tier", "tier.other")
        | _asked(_CLAUDE, "result", "tier")
        | _asked(_OLLAMA, "effort", "effort.none")
        | _told(_OLLAMA, "end.calls", "usage", "usage.cached", "usage.reasoning")
        | _told(_CHAT, "usage")
    ),
    "functions and function_call are tools and tool_choice by their older names": (
        _asked(_CLAUDE, "tool") | _asked(_GEMINI, "tool", "choice.named")
    ),
    "an https URL is sent as Gemini's fileData, which its servers fetch: nothing is fetched here": (
        _asked(_GEMINI, "image.url", "document.url")
    ),
    "Gemini is asked for the same; the bytes that its answers lack are those of the token's text": (
        _asked(_GEMINI, "logprobs", "top_logprobs")
    ),
    "blank text is sent as it came: Gemini takes it": _asked(_GEMINI, "text.blank"),
    "Gemini is asked for as many candidates as are wanted; a model that gives fewer says so itself": (
        _asked(_GEMINI, "answers.many")
    ),
    "OpenAI keeps metadata of its own, as labels are": _asked(_CHAT, "metadata") | _asked(_RESPONSES, "metadata"),
    "examples of a tool's input are said in its description": (
        _asked(_CHAT, "tool.examples") | _asked(_RESPONSES, "tool.examples")
    ),
    "the gateway keeps the first call: emulated as at Gemini": _asked(_OLLAMA, "parallel"),
    "pictures stand whole where look-alikes have them (`images`), and in an image_generation_call": (
        _told(_CHAT, "image") | _told(_RESPONSES, "image")
    ),
    "models from 3 on take pictures within a result": _asked(_GEMINI, "result.image"),
    # --- the letters tell of values or models that the reference passes over ------------------------------------------
    "a word that the model knows is the same; of one that nobody knows nothing is left": (
        _asked(_CHAT, "effort") | _asked(_CLAUDE, "effort") | _asked(_GEMINI, "effort")
    ),
    "the white space that is cut at its end is said": _asked(_CLAUDE, "assistant.last"),
    "blank stop sequences are left out, as protocol-openai E1 says": _asked(_CLAUDE, "stop"),
    "a schema is closed, as Anthropic wants it; a recursive one it refuses": (
        _asked(_CLAUDE, "format.schema", "tool.strict")
    ),
    "where a model cannot be forced it is asked in words, by either name": _asked(_CLAUDE, "choice.named"),
    "OpenAI gives a JSON object only where a message speaks of JSON, so that a sentence does": (
        _asked(_CHAT, "format.object")
    ),
    "OpenAI holds a model to closed schemas alone: others are narrowed, or only asked for": (
        _asked(_CHAT, "format.schema", "tool.strict") | _asked(_RESPONSES, "format.schema")
    ),
    "OpenAI has these alone: look-alikes that refuse them are not sent them": (
        _asked(_CHAT, "cache.options", "moderation")
    ),
    "a look-alike without custom tools gets a function": _asked(_CHAT, "tool.custom"),
    "web_search_options acts at models that search, and is an error at others": (
        _asked(_CHAT, "web_search.claude", "web_search.responses")
    ),
    "a search of more of the web than was asked for is a loss": (
        _asked(_CLAUDE, "web_search.chat", "web_search.responses")
        | _asked(_RESPONSES, "web_search.claude")
        | _asked(_GEMINI, "web_search.chat", "web_search.responses")
    ),
    # --- refused or said instead --------------------------------------------------------------------------------------
    "fan_out is off unless it is configured, and several answers are not one": (
        _asked(_CLAUDE, "answers.many") | _asked(_RESPONSES, "answers.many") | _asked(_OLLAMA, "answers.many")
    ),
    "the gateway fetches nothing (DESIGN 9: nothing that a caller sends steers where we connect)": (
        _asked(_CHAT, "document.url") | _asked(_OLLAMA, "image.url")
    ),
    "what was uploaded lives at its vendor (protocol-anthropic 9 refuses it, too)": (
        _asked(_CHAT, "image.file") | _asked(_RESPONSES, "image.file")
    ),
    "DECISIONS 17: a result that is made up is a loss, so that `reject` refuses it": _asked(_GEMINI, "result.missing"),
    "DECISIONS 18: an unknown block is a loss; its file lives at Anthropic": (
        _asked(_CHAT, "vendor.other") | _asked(_RESPONSES, "vendor.other")
    ),
    "DESIGN 5: signatures go back only to who issued them; to others they are left out, and that is said": (
        _asked(_RESPONSES, "reasoning.signed")
    ),
    "an answer in sound or pictures is what no face could tell": _asked(_GEMINI, "modalities"),
    "without it another question is asked: protocol-gemini 13 refuses cachedContent, and the others are alike": (
        _asked(_CHAT, "own.required") | _asked(_RESPONSES, "own.required")
    ),
    "`prewarm` is in OpenAI's beta alone (SDK 3.54, `types/beta`)": _asked(_RESPONSES, "limit.zero"),
    "the gateway runs no tools and shortens no talk, so that nothing of its own can stand in": (
        _asked(_CHAT, "own") | _asked(_CLAUDE, "own") | _asked(_GEMINI, "own")
    ),
}

DIVERGENCES: Final[Mapping[Place, str]] = {place: reason for reason, places in _REASONS.items() for place in places}
