"""One folder a protocol: the module itself is the codec."""

from collections.abc import Mapping
from typing import Final

from ..canonical import ProtocolName
from ..codec import Codec
from . import anthropic_messages, gemini_generate, ollama_chat, openai_chat, openai_responses

PROTOCOLS: Final[Mapping[ProtocolName, Codec]] = {
    "openai_chat": openai_chat,
    "openai_responses": openai_responses,
    "anthropic_messages": anthropic_messages,
    "gemini_generate": gemini_generate,
    "ollama_chat": ollama_chat,
}
"""All protocols, in the order in which their faces are asked whether a shared path is theirs; one row each."""
