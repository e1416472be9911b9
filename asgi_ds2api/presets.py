"""Known vendors: where they are, whose dialect they speak, and where their keys usually are. Data only.

What ``preset = "..."`` names in the configuration, and what is found in the environment without one.
"""

from collections.abc import Mapping

import msgspec

from .canonical import ProtocolName


class Preset(msgspec.Struct, frozen=True, kw_only=True):
    """A known vendor: everything but the key."""

    protocol: ProtocolName
    base_url: str | None
    """None: it is another one for each customer, and has to be told."""
    profile: str
    """A row of `PROFILES`."""
    env: str | None
    """Environment variable that usually holds its key; ``_2``, ``_3``, ... hold more. None: a server of one's own, that
    wants no key."""
    models: tuple[str, ...] = ()
    """Globs of bare model names that it serves when found in the environment."""
    has_responses: bool = False
    """Whether a vendor who speaks Chat speaks Responses as well, under the same address."""
    is_found: bool = True
    """Whether its key in the environment is enough to make it an upstream."""


def key_variables(presets: Mapping[str, Preset]) -> dict[str, str]:
    """Return name of a vendor -> the variable that holds its key, of those that are found by it."""
    return {name: preset.env for name, preset in presets.items() if preset.env is not None and preset.is_found}


def _chat(profile: str, base_url: str | None, env: str | None, *models: str, is_found: bool = True) -> Preset:
    """Return a vendor who speaks OpenAI Chat."""
    return Preset(protocol="openai_chat", base_url=base_url, profile=profile, env=env, models=models, is_found=is_found)


PRESETS: dict[str, Preset] = {
    "openai": Preset(
        protocol="openai_chat",
        base_url="https://api.openai.com/v1",
        profile="openai",
        env="OPENAI_API_KEY",
        models=("gpt-*", "o1*", "o3*", "o4*", "chatgpt-*"),
        has_responses=True,
    ),
    "openai-responses": Preset(
        protocol="openai_responses",
        base_url="https://api.openai.com/v1",
        profile="openai-responses",
        env="OPENAI_API_KEY",
        is_found=False,
    ),
    "anthropic": Preset(
        protocol="anthropic_messages",
        base_url="https://api.anthropic.com",
        profile="anthropic",
        env="ANTHROPIC_API_KEY",
        models=("claude-*",),
    ),
    "ollama": Preset(protocol="ollama_chat", base_url="http://127.0.0.1:11434", profile="ollama", env=None),
    "ollama-cloud": Preset(
        protocol="ollama_chat", base_url="https://ollama.com", profile="ollama", env="OLLAMA_API_KEY"
    ),
    "azure": _chat("azure", None, "AZURE_OPENAI_API_KEY", is_found=False),
    "deepseek": _chat("deepseek", "https://api.deepseek.com", "DEEPSEEK_API_KEY", "deepseek-*"),
    "mistral": _chat(
        "mistral",
        "https://api.mistral.ai/v1",
        "MISTRAL_API_KEY",
        "mistral-*",
        "ministral-*",
        "magistral-*",
        "codestral-*",
        "devstral-*",
        "pixtral-*",
        "voxtral-*",
    ),
    "groq": _chat("groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "xai": _chat("xai", "https://api.x.ai/v1", "XAI_API_KEY", "grok-*"),
    "openrouter": _chat("openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "qwen": _chat(
        "qwen", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "DASHSCOPE_API_KEY", "qwen*", "qwq*", "qvq*"
    ),
    "together": _chat("together", "https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    "fireworks": _chat("fireworks", "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
    "gemini-openai": _chat(
        "gemini-openai", "https://generativelanguage.googleapis.com/v1beta/openai", "GEMINI_API_KEY", is_found=False
    ),
    "vllm": _chat("vllm", "http://127.0.0.1:8000/v1", None),
    "llama.cpp": _chat("llama.cpp", "http://127.0.0.1:8080/v1", None),
    "lm-studio": _chat("lm-studio", "http://127.0.0.1:1234/v1", None),
    "ollama-openai": _chat("ollama-openai", "http://127.0.0.1:11434/v1", None),
    "gemini": Preset(
        protocol="gemini_generate",
        base_url="https://generativelanguage.googleapis.com",
        profile="gemini",
        env="GEMINI_API_KEY",
        models=("gemini-*", "gemma-*"),
    ),
}
"""Vendors that ``preset = "..."`` names."""
