"""Leaves of answers that need not be on the other side, and why. Each must be found somewhere, or its test fails."""

from collections.abc import Mapping
from typing import Final

from asgi_ds2api.canonical import ProtocolName

from .accounting import Exceptions, Restated

_NAMED: Final = "a caller is told the name that it asked for"
_ONLY: Final = "the one word that may stand there"
_UNNAMED: Final = "callers of Ollama are told no ids of answers; all others are"
_ORDER: Final = "they are in their order"
_BESIDE: Final = "said by the field beside it"

ANSWERS: Final[Mapping[ProtocolName, Exceptions]] = {
    "openai_chat": Exceptions(
        settled={
            "id": _UNNAMED,
            "model": _NAMED,
            "object": _ONLY,
            "choices.*.index": "of an only choice",
            "choices.*.message.role": _ONLY,
            "choices.*.message.tool_calls.*.index": _ORDER,
            "choices.*.message.tool_calls.*.type": _BESIDE,
            "choices.*.message.content.*.type": _BESIDE,
            "choices.*.message.content.*.thinking.*.type": _BESIDE,
            "obfuscation": "padding",
            "p": "padding",
        },
        restated=(
            Restated("usage.total_tokens", ("prompt_tokens", "completion_tokens")),
            Restated("x_groq.usage", ("usage",)),
            Restated("x_groq.usage.total_tokens", ("prompt_tokens", "completion_tokens")),
            Restated("usage.prompt_tokens_details.cached_tokens", ("prompt_cache_hit_tokens",)),
            Restated("choices.*.logprobs.content.*.bytes", ("token",)),
            Restated("choices.*.finish_reason", ("message.refusal",)),
            Restated("choices.*.message.reasoning", ("reasoning_details", "reasoning_content")),
        ),
        zero=frozenset({"usage.prompt_tokens_details.cache_write_tokens", "usage.prompt_tokens_details.cached_tokens"}),
        sealed=frozenset(
            {f"choices.*.message.reasoning_details.*.{name}" for name in ("signature", "data", "id", "format")}
        ),
    ),
    "openai_responses": Exceptions(
        settled={
            "id": _UNNAMED,
            "model": _NAMED,
            "object": _ONLY,
            "output.*.role": _ONLY,
            "output.*.status": "told of the answer as a whole",
            "output.*.summary.*.type": _ONLY,
            "output.*.content.*.type": _BESIDE,
            "events.annotation_index": _ORDER,
            "events.content_index": _ORDER,
            "events.output_index": _ORDER,
            "events.item_id": "names an item, and its number stands beside it",
            "events.obfuscation": "padding",
            "events.sequence_number": _ORDER,
        },
        echoed=frozenset(
            {"background", "conversation", "frequency_penalty", "instructions", "max_output_tokens"}
            | {
                "parallel_tool_calls",
                "presence_penalty",
                "previous_response_id",
                "prompt_cache_key",
                "prompt_cache_options",
            }
            | {
                "prompt_cache_retention",
                "reasoning",
                "safety_identifier",
                "store",
                "temperature",
                "text",
                "tool_choice",
                "tools",
                "top_logprobs",
                "top_p",
                "truncation",
            }
        ),
        restated=(
            Restated("usage.total_tokens", ("input_tokens", "output_tokens")),
            Restated("output_text", ("output",)),
        ),
        sealed=frozenset({"output.*.encrypted_content"}),
    ),
    "anthropic_messages": Exceptions(
        settled={"id": _UNNAMED, "model": _NAMED, "role": _ONLY, "type": _ONLY},
        sealed=frozenset({"content.*.signature", "content.*.data"}),
    ),
    "gemini_generate": Exceptions(
        settled={
            "responseId": _UNNAMED,
            "modelVersion": _NAMED,
            "candidates.*.content.role": _ONLY,
        },
        restated=(Restated("usageMetadata.totalTokenCount", ("promptTokenCount",)),),
        replaced=frozenset({"usageMetadata.candidatesTokenCount"}),
        sealed=frozenset({"candidates.*.content.parts.*.thoughtSignature"}),
    ),
    "ollama_chat": Exceptions(
        settled={
            "model": _NAMED,
            "message.role": _ONLY,
            "message.tool_calls.*.function.index": _ORDER,
        }
    ),
}
