"""Vendor and model facts: data only.

A vendor that speaks a known protocol "almost" is a row here, never a fork of code. Encoders and decoders ask the
profile; nobody asks for a vendor's name. What an operator writes inline in the configuration replaces single fields.

Sources: the vendors' documentation as collected on 2026-11-22; model facts of Anthropic from its migration guides.
"""

from fnmatch import fnmatchcase
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from .canonical import ProtocolName


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What one model, or a family of models, accepts."""

    sampling: Literal["any", "one", "none"] = "any"
    """``one``: temperature or top_p, not both. ``none``: any value is refused."""
    thinking: tuple[str, ...] = ("enabled", "adaptive", "disabled", "between_tools")
    """Modes that are accepted; ``enabled`` takes a budget of tokens."""
    efforts: tuple[str, ...] = ()
    """Words that ``effort`` takes; empty: it is not accepted."""
    default_display: Literal["summarized", "omitted"] = "summarized"
    forced_tool_choice: bool = True
    prefill: bool = True
    """Whether a last assistant message is continued."""
    system_midway: bool = False
    """Whether a system message may stand in the middle of a conversation."""
    structured_outputs: bool = True
    max_output_tokens: int | None = None
    cache_marks: bool = False
    """Chat: ``prompt_cache_breakpoint`` is accepted."""
    signs_calls: bool = False
    """Gemini: earlier calls must carry the signature of their thoughts."""
    media_in_results: bool = True
    """Gemini: the result of a function may hold pictures and files."""
    web_search: bool = False
    """Chat: the model searches the web by itself (``web_search_options``)."""


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """How one vendor's dialect of a protocol differs from the protocol."""

    vendor: Annotated[
        str, Meta(description="Whose dialect it is: names the issuer of signatures and `extra_body.VENDOR`.")
    ] = "generic"
    exact: Annotated[
        bool,
        Meta(description="The vendor speaks the protocol to the letter: requests of the same protocol are relayed."),
    ] = False
    auth_header: Annotated[str, Meta(description="Header that carries the key.")] = "authorization"
    auth_scheme: Annotated[str, Meta(description="Text before the key, with its space.")] = "Bearer "
    path: Annotated[
        str | None,
        Meta(description="Path of the main operation under `base_url`; `{model}` is quoted. None: the usual one."),
    ] = None
    query: Annotated[dict[str, str], Meta(description="Query parameters of every call (`api-version`).")] = {}
    done: Annotated[
        Literal["required", "optional"],
        Meta(description="Whether a stream must end with the protocol's sentinel, or may end after its finish reason."),
    ] = "required"
    max_tokens_field: Annotated[
        Literal["max_completion_tokens", "max_tokens"], Meta(description="Chat: name of the output limit.")
    ] = "max_completion_tokens"
    system_role: Annotated[
        Literal["keep", "system", "developer"],
        Meta(description="Chat: role that system and developer messages are sent with; `keep` sends each as it came."),
    ] = "keep"
    reasoning_in: Annotated[
        Literal["effort", "thinking", "enable_thinking", "object", "none"],
        Meta(
            description="Chat: how reasoning is asked for: by `reasoning_effort`, by `thinking` (DeepSeek), by "
            "`enable_thinking` (Qwen), by a `reasoning` object (OpenRouter), or not at all."
        ),
    ] = "effort"
    reasoning_field: Annotated[
        Literal["reasoning_content", "reasoning"], Meta(description="Chat: name of earlier reasoning that goes back.")
    ] = "reasoning_content"
    reasoning_replay: Annotated[
        Literal["never", "content", "details"],
        Meta(description="Chat: whether earlier reasoning goes back, as `reasoning_content` or `reasoning_details`."),
    ] = "never"
    reasoning_in_output_tokens: Annotated[
        bool, Meta(description="Chat: `completion_tokens` includes reasoning tokens.")
    ] = True
    user_field: Annotated[
        Literal["user", "safety_identifier"], Meta(description="Chat: name of the end user's id.")
    ] = "user"
    text_parts: Annotated[
        bool, Meta(description="Chat: tool messages may hold several text parts; else they are joined.")
    ] = True
    top_k: Annotated[bool, Meta(description="Chat: `top_k` and `min_p` are accepted.")] = False
    stream_usage: Annotated[
        Literal["option", "always"],
        Meta(description="Chat: usage in streams must be asked for with `stream_options`, or always comes."),
    ] = "option"
    stop_max: Annotated[int, Meta(description="Most stop sequences accepted; the gateway matches the rest.", ge=0)] = 4
    custom_tools: Annotated[bool, Meta(description="Chat: tools of type `custom` are accepted.")] = True
    choices: Annotated[bool, Meta(description="`n` greater than 1 is accepted.")] = True
    tool_name_max: Annotated[int, Meta(description="Longest tool name; longer ones are mapped.", ge=16)] = 64
    json_object: Annotated[bool, Meta(description="A JSON object without a schema may be asked for.")] = True
    image_urls: Annotated[bool, Meta(description="Images may be given by http(s) URL.")] = True
    json_schema: Annotated[bool, Meta(description="Structured output by JSON Schema is accepted.")] = True
    call_ids: Annotated[bool, Meta(description="Gemini: calls and their results carry ids.")] = True
    labels: Annotated[bool, Meta(description="Gemini: `labels` are accepted (Vertex), so metadata goes there.")] = False
    parameters_json_schema: Annotated[
        bool, Meta(description="Gemini: schemas may be JSON Schema; else they are lowered to the vendor's own dialect.")
    ] = True
    drop: Annotated[tuple[str, ...], Meta(description="Top-level fields never sent: the vendor refuses them.")] = ()
    version: Annotated[str | None, Meta(description="Anthropic: value of `anthropic-version`; None: by need.")] = None
    models: tuple[tuple[str, ModelFacts], ...] = ()
    """Glob of model names -> facts; the first match counts."""

    def facts(self, model: str) -> ModelFacts:
        """Return what is known of a model; of an unknown one, that everything is accepted."""
        for pattern, facts in self.models:
            if fnmatchcase(model, pattern):
                return facts
        return ModelFacts()


_EFFORTS = ("low", "medium", "high", "max")
_EFFORTS_X = ("low", "medium", "high", "xhigh", "max")
_BUDGET_ONLY = ModelFacts(sampling="one", thinking=("enabled", "disabled"), max_output_tokens=64_000)
_ALWAYS_ADAPTIVE = ModelFacts(
    sampling="none",
    thinking=("adaptive",),
    efforts=_EFFORTS_X,
    default_display="omitted",
    forced_tool_choice=False,
    prefill=False,
    system_midway=True,
    max_output_tokens=128_000,
)
_ADAPTIVE_OR_OFF = ModelFacts(
    sampling="none",
    thinking=("adaptive", "disabled"),
    efforts=_EFFORTS_X,
    default_display="omitted",
    prefill=False,
    system_midway=True,
    max_output_tokens=128_000,
)

CLAUDE_MODELS: tuple[tuple[str, ModelFacts], ...] = (
    ("*sonnet-5-5*", msgspec.structs.replace(_ALWAYS_ADAPTIVE, thinking=("adaptive", "between_tools"))),
    ("*opus-5-5*", _ALWAYS_ADAPTIVE),
    ("*fable-5-[12]*", _ALWAYS_ADAPTIVE),
    ("*fable-5*", msgspec.structs.replace(_ALWAYS_ADAPTIVE, forced_tool_choice=True)),
    ("*mythos*", _ALWAYS_ADAPTIVE),
    ("*haiku-5-5*", _ADAPTIVE_OR_OFF),
    ("*opus-5*", _ADAPTIVE_OR_OFF),
    ("*sonnet-5*", msgspec.structs.replace(_ADAPTIVE_OR_OFF, system_midway=False)),
    ("*opus-4-8*", _ADAPTIVE_OR_OFF),
    ("*opus-4-7*", msgspec.structs.replace(_ADAPTIVE_OR_OFF, system_midway=False)),
    (
        "*-4-6*",
        ModelFacts(
            sampling="one",
            thinking=("adaptive", "enabled", "disabled"),
            efforts=_EFFORTS,
            prefill=False,
            max_output_tokens=128_000,
        ),
    ),
    ("*opus-4-5*", msgspec.structs.replace(_BUDGET_ONLY, efforts=("low", "medium", "high"))),
    ("*-4-5*", _BUDGET_ONLY),
    ("*-4-*", msgspec.structs.replace(_BUDGET_ONLY, structured_outputs=False, max_output_tokens=32_000)),
    ("*-3-7-*", ModelFacts(thinking=("enabled", "disabled"), structured_outputs=False, max_output_tokens=64_000)),
    ("*claude-3*", ModelFacts(thinking=("disabled",), structured_outputs=False, max_output_tokens=4_096)),
)
"""First match counts, so the newer and narrower pattern stands above."""

OPENAI_MODELS: tuple[tuple[str, ModelFacts], ...] = (
    ("*-search-*", ModelFacts(web_search=True)),
    ("gpt-5.[6-9]*", ModelFacts(cache_marks=True)),
    ("gpt-[6-9]*", ModelFacts(cache_marks=True)),
)

_LEVELS = ModelFacts(thinking=("adaptive",), efforts=("minimal", "low", "medium", "high"), signs_calls=True)
_BUDGETS = ModelFacts(thinking=("enabled", "disabled"), media_in_results=False)

GEMINI_MODELS: tuple[tuple[str, ModelFacts], ...] = (
    ("*gemini-4-hydrogen*", msgspec.structs.replace(_LEVELS, efforts=("low", "medium", "high", "xhigh"))),
    ("*gemini-4*", _LEVELS),
    ("*gemini-3*-pro-image*", ModelFacts(signs_calls=True)),
    ("*gemini-3*-pro*", msgspec.structs.replace(_LEVELS, efforts=("low", "medium", "high"))),
    ("*gemini-3.[78]-flash*", msgspec.structs.replace(_LEVELS, efforts=("low", "medium", "high"))),
    ("*gemini-3*", _LEVELS),
    ("*gemini-2.5-pro*", msgspec.structs.replace(_BUDGETS, thinking=("enabled",))),
    ("*gemini-2.5*", _BUDGETS),
    ("*gemini-[12]*", ModelFacts(thinking=("enabled", "disabled"), media_in_results=False)),
)
"""Thinking by level from 3 on, by budget before; first match counts."""

PROFILES: dict[str, Profile] = {
    "openai": Profile(vendor="openai", exact=True, user_field="safety_identifier", models=OPENAI_MODELS),
    "anthropic": Profile(
        vendor="anthropic",
        exact=True,
        auth_header="x-api-key",
        auth_scheme="",
        stop_max=8_191,
        custom_tools=False,
        choices=False,
        tool_name_max=128,
        json_object=False,
        models=CLAUDE_MODELS,
    ),
    "gemini": Profile(
        vendor="google",
        exact=True,
        auth_header="x-goog-api-key",
        auth_scheme="",
        stop_max=5,
        custom_tools=False,
        tool_name_max=64,
        models=GEMINI_MODELS,
    ),
    "vertex": Profile(
        vendor="vertex",
        exact=True,
        path="/models/{model}",
        stop_max=5,
        custom_tools=False,
        tool_name_max=64,
        labels=True,
        models=GEMINI_MODELS,
    ),
    "azure": Profile(
        vendor="azure",
        auth_header="api-key",
        auth_scheme="",
        path="/openai/deployments/{model}/chat/completions",
        query={"api-version": "2025-04-01-preview"},
        done="optional",
    ),
    "lenient": Profile(
        done="optional",
        max_tokens_field="max_tokens",
        system_role="system",
        reasoning_replay="content",
        text_parts=False,
        top_k=True,
        custom_tools=False,
    ),
}
"""Dialects by the name that the configuration uses."""


DEFAULT_PROFILE: dict[str, str] = {
    "openai_chat": "openai",
    "anthropic_messages": "anthropic",
    "gemini_generate": "gemini",
}
"""Protocol -> the dialect of an upstream that names none: the protocol to the letter."""


class Preset(msgspec.Struct, frozen=True, kw_only=True):
    """A known vendor: everything but the key."""

    protocol: ProtocolName
    base_url: str
    profile: str
    """A row of `PROFILES`."""
    env: str
    """Environment variable that usually holds its key; ``_2``, ``_3``, ... hold more."""
    models: tuple[str, ...] = ()
    """Globs of bare model names that it serves when found in the environment."""


PRESETS: dict[str, Preset] = {
    "openai": Preset(
        protocol="openai_chat",
        base_url="https://api.openai.com/v1",
        profile="openai",
        env="OPENAI_API_KEY",
        models=("gpt-*", "o1*", "o3*", "o4*", "chatgpt-*"),
    ),
    "anthropic": Preset(
        protocol="anthropic_messages",
        base_url="https://api.anthropic.com",
        profile="anthropic",
        env="ANTHROPIC_API_KEY",
        models=("claude-*",),
    ),
    "gemini": Preset(
        protocol="gemini_generate",
        base_url="https://generativelanguage.googleapis.com",
        profile="gemini",
        env="GEMINI_API_KEY",
        models=("gemini-*", "gemma-*"),
    ),
}
"""Vendors that ``preset = "..."`` names."""
