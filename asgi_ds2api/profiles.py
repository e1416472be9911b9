"""Vendor and model facts: data only.

A vendor that speaks a known protocol "almost" is a row here, never a fork of code. Encoders and decoders ask the
profile; nobody asks for a vendor's name. What an operator writes inline in the configuration replaces single fields.

Sources: the vendors' documentation as collected on 2026-11-22; model facts of Anthropic from its migration guides.
"""

from fnmatch import fnmatchcase
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from .model_facts import CLAUDE_MODELS, GEMINI_MODELS, OPENAI_MODELS, ModelFacts, ReasoningIn, Replay


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
    check_path: Annotated[
        str | None,
        Meta(
            description="Path under `base_url` of a `GET` that costs nothing and is answered to a good key alone, by "
            "which a refused key is tried again. None: the list of models, if `path` is the usual one."
        ),
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
        ReasoningIn,
        Meta(
            description="Chat: how reasoning is asked for: by `reasoning_effort`, by `thinking` (DeepSeek), by "
            "`enable_thinking` (Qwen), by a `reasoning` object (OpenRouter), by `chat_template_kwargs` (vLLM), or not "
            "at all."
        ),
    ] = "effort"
    effort_map: Annotated[
        dict[str, str], Meta(description="Chat: words for an effort that the vendor has another one for.")
    ] = {}
    reasoning_field: Annotated[
        Literal["reasoning_content", "reasoning"], Meta(description="Chat: name of earlier reasoning that goes back.")
    ] = "reasoning_content"
    reasoning_replay: Annotated[
        Replay,
        Meta(
            description="Chat: whether earlier reasoning goes back: as `reasoning_content`, as `reasoning_details`, as "
            "`reasoning_content` of messages with calls alone, where it may not be missing (DeepSeek), or as chunks of "
            "the content (Mistral)."
        ),
    ] = "never"
    sealed_reasoning: Annotated[
        bool,
        Meta(
            description="Responses: reasoning comes encrypted for the customer whose key it was: a conversation with "
            "such reasoning waits for its account (`affinity_s`, `customer`)."
        ),
    ] = False
    think_tags: Annotated[
        bool, Meta(description="Chat: text that begins with `<think>` or `[THINK]` holds reasoning up to its end.")
    ] = False
    reasoning_in_output_tokens: Annotated[
        bool, Meta(description="Chat: `completion_tokens` includes reasoning tokens.")
    ] = True
    seed_field: Annotated[Literal["seed", "random_seed"], Meta(description="Chat: name of the seed.")] = "seed"
    user_field: Annotated[
        Literal["user", "safety_identifier"], Meta(description="Chat: name of the end user's id.")
    ] = "user"
    service_tiers: Annotated[
        tuple[str, ...], Meta(description="Chat: words for tiers of service; others are left out. Empty: any.")
    ] = ()
    message_names: Annotated[bool, Meta(description="Chat: messages may have a `name`.")] = True
    tool_ids: Annotated[
        Literal["any", "alnum9"], Meta(description="Chat: what ids of calls are made of; `alnum9` is Mistral's.")
    ] = "any"
    required_choice: Annotated[
        Literal["required", "any"], Meta(description="Chat: word for a choice that must be a call.")
    ] = "required"
    forced_while_thinking: Annotated[
        bool,
        Meta(description="Chat: a model may be forced to call a tool while it thinks; else it does not think then."),
    ] = True
    after_tool: Annotated[
        Literal["any", "assistant"],
        Meta(description="Chat: who may speak after a tool; where only an assistant may, one is put in (Mistral)."),
    ] = "any"
    merge_same_role: Annotated[
        bool, Meta(description="Chat: what a user or an assistant says in several messages in a row is sent as one.")
    ] = False
    last_must_be_user: Annotated[
        bool,
        Meta(description="Chat: no system message may come last; one that does is sent as a tagged text of a user."),
    ] = False
    prefix_field: Annotated[
        Literal["prefix", "continue_final_message"] | None,
        Meta(description="Chat: what says that a last assistant message is to be continued, if anything has to."),
    ] = None
    text_parts: Annotated[
        bool,
        Meta(description="Chat: tool messages, and translated ones of users, may hold several text parts; else one."),
    ] = True
    text_lists: Annotated[
        bool,
        Meta(description="Chat: a content may be a list of texts; else it is sent as one string, whoever wrote it."),
    ] = True
    silent_assistant: Annotated[
        bool, Meta(description="Chat: an assistant's message may say nothing; else it is left out, unless it is last.")
    ] = True
    refusals: Annotated[
        bool, Meta(description="Chat: an assistant's message may hold a `refusal`; else that is said in its text.")
    ] = True
    top_k: Annotated[bool, Meta(description="Chat: `top_k` and `min_p` are accepted.")] = False
    stream_usage: Annotated[
        Literal["option", "always"],
        Meta(description="Chat: usage in streams must be asked for with `stream_options`, or always comes."),
    ] = "option"
    stop_max: Annotated[int, Meta(description="Most stop sequences accepted; the gateway matches the rest.", ge=0)] = 4
    custom_tools: Annotated[bool, Meta(description="Chat: tools of type `custom` are accepted.")] = True
    parallel_switch: Annotated[
        bool,
        Meta(description="It can be asked to make one call at a time; else the gateway leaves further calls out."),
    ] = True
    choices: Annotated[bool, Meta(description="`n` greater than 1 is accepted.")] = True
    tool_name_max: Annotated[int, Meta(description="Longest tool name; longer ones are mapped.", ge=16)] = 64
    json_object: Annotated[bool, Meta(description="A JSON object without a schema may be asked for.")] = True
    json_word: Annotated[
        bool, Meta(description="Chat: a JSON object is given only where a message speaks of JSON.")
    ] = False
    json_with_tools: Annotated[bool, Meta(description="Structured output and tools may be asked for together.")] = True
    images: Annotated[bool, Meta(description="Images are taken at all.")] = True
    original_detail: Annotated[
        bool, Meta(description="Chat: an image may be asked for in its `original` detail; else in `high`.")
    ] = True
    documents: Annotated[
        Literal["file", "document_url"], Meta(description="Chat: how documents are sent; `document_url` is Mistral's.")
    ] = "file"
    audio: Annotated[
        Literal["object", "text"], Meta(description="Chat: `input_audio` is an object, or base64 alone (Mistral).")
    ] = "object"
    image_urls: Annotated[bool, Meta(description="Images may be given by http(s) URL.")] = True
    json_schema: Annotated[bool, Meta(description="Structured output by JSON Schema is accepted.")] = True
    completions: Annotated[
        tuple[str, ...],
        Meta(
            description="Chat: names (with `*`) of models that are served at `/completions`: requests for legacy "
            "completions are relayed there; those for other models are asked by a conversation."
        ),
    ] = ()
    closed_when_strict: Annotated[
        bool,
        Meta(
            description="OpenAI: the model is held (`strict`) only to schemas of closed objects that require all their "
            "fields; those of other protocols are narrowed to that, or asked for without."
        ),
    ] = True
    open_schemas: Annotated[
        bool, Meta(description="A schema of the answer may leave open which fields an object has.")
    ] = True
    call_ids: Annotated[bool, Meta(description="Gemini: calls and their results carry ids.")] = True
    tool_steps: Annotated[
        bool,
        Meta(
            description="Gemini: where the vendor's own tools stand beside functions, their steps are to be asked for "
            "(`includeServerSideToolInvocations`)."
        ),
    ] = False
    labels: Annotated[bool, Meta(description="Gemini: `labels` are accepted (Vertex), so metadata goes there.")] = False
    parameters_json_schema: Annotated[
        bool, Meta(description="Gemini: schemas may be JSON Schema; else they are lowered to the vendor's own dialect.")
    ] = True
    drop: Annotated[
        tuple[str, ...],
        Meta(
            description="Fields never sent, as the vendor refuses or has no use for them: at the top and, in Chat, "
            "callers' own in messages, parts and tools."
        ),
    ] = ()
    version: Annotated[str | None, Meta(description="Anthropic: value of `anthropic-version`; None: by need.")] = None
    models: tuple[tuple[str, ModelFacts], ...] = ()
    """Glob of model names -> facts; the first match counts."""

    def key_check(self, usual: str) -> str | None:
        """Return the path at which a key is checked; None: nobody knows one.

        Args:
            usual: That of the protocol.
        """
        return self.check_path or (usual if self.path is None else None)

    def has_completions(self, model: str) -> bool:
        """Tell whether a model is served at the endpoint of legacy completions."""
        return any(fnmatchcase(model, pattern) for pattern in self.completions)

    def facts(self, model: str) -> ModelFacts:
        """Return what is known of a model; of an unknown one, that everything is accepted."""
        for pattern, facts in self.models:
            if fnmatchcase(model, pattern):
                return facts
        return ModelFacts()


_LENIENT = Profile(
    done="optional",
    max_tokens_field="max_tokens",
    system_role="system",
    reasoning_replay="content",
    text_parts=False,
    refusals=False,
    original_detail=False,
    top_k=True,
    custom_tools=False,
)


_OPENAI_ALONE = ("moderation", "prompt_cache_options", "prompt_cache_breakpoint")
"""What no look-alike has taken over."""


def _like_openai(vendor: str, *, drop: tuple[str, ...] = (), **fields: object) -> Profile:
    """Return the dialect of a vendor who resembles OpenAI, and differs in these fields."""
    return msgspec.structs.replace(_LENIENT, vendor=vendor, drop=(*drop, *_OPENAI_ALONE), **fields)


_HOSTED = ("store", "prompt_cache_key", "prompt_cache_retention", "verbosity")
"""What only OpenAI's own servers have a use for."""
_LEVELS = ("low", "medium", "high")
_ALWAYS_REASONING = ModelFacts(efforts=_LEVELS, drop=("stop", "presence_penalty", "frequency_penalty", "logit_bias"))
_ALWAYS_THINKING = ModelFacts(forced_tool_choice=False)
_STREAM_ONLY = ModelFacts(stream_only=True, forced_tool_choice=False)
_GPT_OSS = ("*gpt-oss*", ModelFacts(reasoning_in="effort", efforts=_LEVELS))
"""It thinks always, and has levels wherever it runs."""

PROFILES: dict[str, Profile] = {
    "openai": Profile(
        vendor="openai",
        exact=True,
        user_field="safety_identifier",
        json_word=True,
        completions=("gpt-3.5-turbo-instruct*", "davinci-*", "babbage-*"),
        models=OPENAI_MODELS,
    ),
    "openai-responses": Profile(
        vendor="openai",
        exact=True,
        user_field="safety_identifier",
        sealed_reasoning=True,
        stop_max=0,
        choices=False,
        tool_name_max=128,
        json_word=True,
        models=OPENAI_MODELS,
    ),
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
        open_schemas=False,
        models=CLAUDE_MODELS,
    ),
    "ollama": Profile(
        vendor="ollama",
        exact=True,
        stop_max=8_191,
        custom_tools=False,
        parallel_switch=False,
        choices=False,
        image_urls=False,
    ),
    "gemini": Profile(
        vendor="google",
        exact=True,
        auth_header="x-goog-api-key",
        auth_scheme="",
        stop_max=5,
        custom_tools=False,
        parallel_switch=False,
        tool_name_max=64,
        tool_steps=True,
        models=GEMINI_MODELS,
    ),
    "vertex": Profile(
        vendor="vertex",
        exact=True,
        path="/models/{model}",
        stop_max=5,
        custom_tools=False,
        parallel_switch=False,
        tool_name_max=64,
        labels=True,
        models=GEMINI_MODELS,
    ),
    "azure": Profile(
        vendor="azure",
        auth_header="api-key",
        auth_scheme="",
        path="/openai/deployments/{model}/chat/completions",
        check_path="/openai/models",
        query={"api-version": "2025-04-01-preview"},
        done="optional",
    ),
    "lenient": _LENIENT,
    "deepseek": _like_openai(
        "deepseek",
        reasoning_in="thinking",
        effort_map={"minimal": "low", "medium": "high", "xhigh": "max"},
        reasoning_replay="tool_turns",
        text_lists=False,
        top_k=False,
        choices=False,
        images=False,
        json_schema=False,
        json_word=True,
        stop_max=16,
        drop=("seed",),
        models=(("*-r1*", ModelFacts(reasoning_replay="never")),),
    ),
    "mistral": _like_openai(
        "mistral",
        closed_when_strict=False,
        reasoning_replay="chunks",
        think_tags=True,
        seed_field="random_seed",
        message_names=False,
        tool_ids="alnum9",
        required_choice="any",
        after_tool="assistant",
        merge_same_role=True,
        silent_assistant=False,
        last_must_be_user=True,
        prefix_field="prefix",
        stream_usage="always",
        documents="document_url",
        audio="text",
        service_tiers=("auto", "standard_only"),
        drop=(
            "user",
            "safety_identifier",
            "logit_bias",
            "min_p",
            "modalities",
            "stream_options",
            "store",
            "prompt_cache_retention",
            "verbosity",
            "web_search_options",
            "cache_control",
            "annotations",
        ),
    ),
    "groq": _like_openai(
        "groq",
        max_tokens_field="max_completion_tokens",
        reasoning_field="reasoning",
        reasoning_replay="never",
        think_tags=True,
        message_names=False,
        top_k=False,
        choices=False,
        stream_usage="always",
        json_with_tools=False,
        service_tiers=("auto", "on_demand", "flex", "performance"),
        drop=("logprobs", "logit_bias", "top_logprobs", *_HOSTED),
        models=(_GPT_OSS, ("*qwen*", ModelFacts(efforts=("none", "default")))),
    ),
    "xai": _like_openai(
        "xai",
        max_tokens_field="max_completion_tokens",
        reasoning_replay="never",
        reasoning_in_output_tokens=False,
        top_k=False,
        models=(
            ("grok-3-mini*", _ALWAYS_REASONING),
            ("grok-[4-9]*", _ALWAYS_REASONING),
            ("*", ModelFacts(efforts=("none", *_LEVELS))),
        ),
    ),
    "openrouter": _like_openai(
        "openrouter",
        check_path="/key",
        reasoning_in="object",
        reasoning_field="reasoning",
        reasoning_replay="details",
    ),
    "qwen": _like_openai(
        "qwen",
        reasoning_in="enable_thinking",
        reasoning_replay="never",
        json_word=True,
        forced_while_thinking=False,
        drop=_HOSTED,
        models=(("qwq*", _STREAM_ONLY), ("qvq*", _STREAM_ONLY), ("*-thinking*", _ALWAYS_THINKING)),
    ),
    "vllm": _like_openai(
        "vllm",
        closed_when_strict=False,
        reasoning_in="chat_template",
        reasoning_field="reasoning",
        think_tags=True,
        models=(_GPT_OSS,),
    ),
    "llama.cpp": _like_openai(
        "llama.cpp", closed_when_strict=False, reasoning_in="chat_template", think_tags=True, models=(_GPT_OSS,)
    ),
    "lm-studio": _like_openai(
        "lm-studio", closed_when_strict=False, json_object=False, think_tags=True, models=(_GPT_OSS,)
    ),
    "together": _like_openai("together", closed_when_strict=False, think_tags=True),
    "fireworks": _like_openai("fireworks", closed_when_strict=False, think_tags=True),
    "ollama-openai": _like_openai(
        "ollama",
        closed_when_strict=False,
        reasoning_field="reasoning",
        think_tags=True,
        parallel_switch=False,
        choices=False,
        image_urls=False,
        drop=("tool_choice", "logit_bias", "user", *_HOSTED),
    ),
    "gemini-openai": _like_openai("gemini", closed_when_strict=False, top_k=False, drop=("logit_bias", *_HOSTED)),
}
"""Dialects by the name that the configuration uses."""


def responses_beside(chat: Profile) -> Profile:
    """Return how a vendor who is known by his dialect of Chat speaks Responses under the same address.

    Not to the letter: what goes this way is an exception, and the answers that the vendor keeps of it are not for the
    requests that follow, which may go the other one.
    """
    return msgspec.structs.replace(
        PROFILES["openai-responses"],
        exact=False,
        vendor=chat.vendor,
        auth_header=chat.auth_header,
        auth_scheme=chat.auth_scheme,
        query=chat.query,
        user_field=chat.user_field,
        drop=chat.drop,
        models=chat.models,
    )
