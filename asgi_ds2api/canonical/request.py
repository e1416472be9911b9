"""One question to a model."""

from typing import Literal, TypeAlias

from msgspec import Raw

from .blocks import CacheMark, Message
from .notices import Extras, ProtocolName, Value


class FunctionTool(Value, frozen=True, kw_only=True, tag="function", tag_field="tool"):
    """A function of the caller's, with a JSON Schema for its arguments."""

    name: str
    description: str | None = None
    parameters: Raw | None = None
    """JSON Schema of an object; None: the function takes no arguments."""
    strict: bool | None = None
    cache: CacheMark | None = None
    extras: Extras = {}
    at: str = ""


class CustomTool(Value, frozen=True, kw_only=True, tag="custom", tag_field="tool"):
    """A tool that takes free text, perhaps in a grammar."""

    name: str
    description: str | None = None
    format: Raw | None = None
    cache: CacheMark | None = None
    extras: Extras = {}
    at: str = ""


class VendorTool(Value, frozen=True, kw_only=True, tag="vendor", tag_field="tool"):
    """A tool that one vendor defines: its type tells everything."""

    protocol: ProtocolName
    type: str
    """``bash_20250124``, ``web_search_20260318``: the vendor's own type name."""
    name: str | None
    raw: Raw
    """The whole tool, as it came."""
    runs_at: Literal["caller", "provider"]
    """Who executes it."""
    cache: CacheMark | None = None
    at: str = ""


Tool: TypeAlias = FunctionTool | CustomTool | VendorTool


class ToolChoice(Value, frozen=True, kw_only=True):
    """May, must or must not the model call a tool."""

    mode: Literal["auto", "none", "required", "named"]
    names: tuple[str, ...] = ()
    """``named``: exactly one. ``auto``, ``required``: the allowed subset; empty means all."""
    extras: Extras = {}
    at: str = ""


class Sampling(Value, frozen=True, kw_only=True):
    """How the next token is drawn. Ranges are the vendors' to judge."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None


class OutputFormat(Value, frozen=True, kw_only=True):
    """What form the text of the answer must have."""

    kind: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    description: str | None = None
    schema: Raw | None = None
    strict: bool | None = None
    """The model is held to the schema; None: as its protocol has it where nothing is said."""
    is_bare: bool = False
    """The schema is that of a text, which is the answer without quotes: no JSON."""
    extras: Extras = {}
    at: str = ""


Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class ReasoningControl(Value, frozen=True, kw_only=True):
    """Whether and how hard the model thinks first."""

    mode: Literal["enabled", "adaptive", "disabled", "between_tools"] | None = None
    effort: str | None = None
    """One of `Effort`, or a vendor's own word."""
    budget_tokens: int | None = None
    display: str | None = None
    """How thinking is shown: summarized, omitted, or a vendor's own word."""
    extras: Extras = {}
    at: str = ""


class CacheControl(Value, frozen=True, kw_only=True):
    """Prompt caching for the request as a whole; marks on single blocks are `CacheMark`."""

    key: str | None = None
    """Routes requests with the same prefix to the same cache."""
    mark: CacheMark | None = None
    """A breakpoint that the provider places by itself."""
    retention: str | None = None


class State(Value, frozen=True, kw_only=True):
    """What the provider keeps of this exchange."""

    store: bool | None = None
    previous_id: str | None = None


class Request(Value, frozen=True, kw_only=True):
    """One question to a model."""

    source: ProtocolName
    """The protocol that it was decoded from; ``extras`` of all values are in its terms."""
    model: str
    messages: tuple[Message, ...]
    alternatives: tuple[tuple[Message, ...], ...] = ()
    """Other conversations that the same is asked of. No encoder sees any: each is asked by itself."""
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_output_tokens: int | None = None
    """Includes reasoning. 0 asks some vendors to warm a cache."""
    sampling: Sampling = Sampling()
    stop: tuple[str, ...] = ()
    choices: int | None = None
    """How many answers are wanted; None is one."""
    output_format: OutputFormat | None = None
    verbosity: str | None = None
    reasoning: ReasoningControl | None = None
    cache: CacheControl = CacheControl()
    user: str | None = None
    """Opaque id of the end user, for the vendor's abuse detection."""
    metadata: dict[str, str] = {}
    service_tier: str | None = None
    """OpenAI's words: auto, default, flex, scale, priority, fast; or a vendor's own."""
    state: State = State()
    stream: bool = False
    vendor_headers: dict[str, str] = {}
    """Headers of the source protocol that shape the answer (``anthropic-beta``): sent on within that protocol only."""
    vendor_fields: dict[str, Extras] = {}
    """``extra_body.VENDOR``: merged into the body last, for the profile whose ``vendor`` it names."""
    extras: Extras = {}
    """Unknown or own fields of the source protocol, by their path in it (``output_config.task_budget``)."""
    refused_fields: tuple[str, ...] = ()
    """Fields that the upstream refuses although no caller asked for them (``stream_options``): its encoder leaves them
    out. Set by ``Codec.repair`` alone."""
    places: dict[str, str] = {}
    """Where settings and fields of values stood, if not under the names that encoders report them by: Chat's of
    settings (``seed`` -> ``options.seed``), canonical's of fields (``tools[].strict`` -> ``tools[].function.strict``);
    for `Notices` and refusals. Empty: it is not said, but usual, so that there is nothing to report."""
    overruled: tuple[str, ...] = ()
    """Paths of what is said elsewhere as well, which counts (``max_tokens`` beside ``max_completion_tokens``)."""
    required_extras: tuple[str, ...] = ()
    """Names of ``extras`` that change what is asked: a foreign encoder that cannot say them refuses (`Unsupported`)."""
    idle_extras: tuple[str, ...] = ()
    """Names of ``extras`` without effect on the answer (how long a model stays loaded): leaving them out is a hint."""
