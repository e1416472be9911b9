"""Other values, models and profiles, where it depends on them what becomes of a meaning."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from asgi_ds2api.meanings import Meaning
from asgi_ds2api.seal import Keyring, Sealed

from .sample import CLOSED, OBJECT, PNG, Sample

ADAPTIVE = "claude-opus-5-5"
"""Always thinks, takes no sampling, cannot be forced."""
OLDER = "claude-sonnet-4-20250514"
"""Has no structured outputs."""
SEARCHING = "gpt-5-search-api"
_ROOM = {"max_completion_tokens": 40_000}
_TOOL = {"type": "function", "function": {"name": "f", "parameters": OBJECT}}
_STRICT = {"type": "function", "function": {"name": "f", "strict": True, "parameters": OBJECT}}
_NAMED = {"type": "function", "function": {"name": "f"}}
_TALK = ({"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"})
_SEALED = Keyring([b"seal-of-the-tests-0123456789"]).seal(
    Sealed(kind="signature", origin="anthropic", data="EqQB"), "anonymous"
)
_REPLAYS = {"base": "lenient", "reasoning_replay": "content"}


def _with(name: str, value: Any, model: str = "", **fields: Any) -> Sample:
    return Sample({name: value, **fields}, model=model)


def _thought(profile: Any = None, **fields: Any) -> Sample:
    user, assistant, again = _TALK
    return Sample({"messages": [user, {**assistant, **fields}, again]}, profile=profile)


def _schema(schema: dict[str, Any], model: str = "", profile: Any = None) -> Sample:
    form = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
    return Sample({"response_format": form}, model=model, profile=profile)


_PICTURE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
_CALLED = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
_RESULT_SEEN = Sample(
    {
        "messages": [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": None, "tool_calls": [_CALLED]},
            {"role": "tool", "tool_call_id": "call_1", "content": [_PICTURE]},
        ]
    },
    model="gemini-3-pro",
)


def _seen_in(detail: str) -> Sample:
    image = {"url": f"data:image/png;base64,{PNG}", "detail": detail}
    return Sample({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": image}]}]})


_RECURSIVE = {"$ref": "#/$defs/n", "$defs": {"n": {"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}}}}
_WIDER = {
    "chat": _with("web_search_options", {"search_context_size": "low"}),
    "responses": _with("tools", [{"type": "web_search", "external_web_access": False}]),
    "claude": _with("tools", [{"type": "web_search_20250305", "name": "web_search", "max_uses": 1}]),
}
"""Searches of the web with a limit that not every other vendor's has."""
_ANTHROPIC: Mapping[Meaning, Sequence[Sample]] = {
    "web_search.chat": [_WIDER["chat"]],
    "system.later": [Sample({"messages": [_TALK[0], {"role": "system", "content": "S"}]}, model=ADAPTIVE)],
    "text.blank": [Sample({"messages": [{"role": "user", "content": " "}]})],
    "assistant.last": [
        Sample({"messages": [_TALK[0], {"role": "assistant", "content": "y "}]}),
        Sample({"messages": _TALK[:2]}, model=ADAPTIVE),
    ],
    "reasoning": [
        _thought(reasoning_details=[{"type": "reasoning.text", "text": "t", "signature": _SEALED}]),
    ],
    "tool": [Sample({"tools": [{"type": "function", "function": {"name": "f", "parameters": {"anyOf": []}}}]})],
    "tool.name": [Sample({"tools": [{"type": "function", "function": {"name": "a.b"}}]})],
    "tool.strict": [
        Sample({"tools": [_STRICT]}),
        Sample({"tools": [_STRICT]}, model=OLDER),
    ],
    "choice.required": [
        Sample({"tools": [_TOOL], "tool_choice": "required"}, model=ADAPTIVE),
        Sample({"tools": [_TOOL], "tool_choice": "required", "reasoning_effort": "high", **_ROOM}),
    ],
    "choice.named": [
        Sample({"tools": [_TOOL], "tool_choice": _NAMED}, model=ADAPTIVE),
        Sample({"tools": [_TOOL], "tool_choice": _NAMED, "reasoning_effort": "high", **_ROOM}),
    ],
    "limit": [_with("max_tokens", 1_000_000)],
    "temperature": [_with("temperature", 1.7), _with("temperature", 0.5, ADAPTIVE)],
    "top_p": [_with("top_p", 0.5, ADAPTIVE)],
    "top_k": [_with("top_k", 3, ADAPTIVE)],
    "stop": [_with("stop", ["\n\n", "END"])],
    "format.schema": [_schema(CLOSED, OLDER), _schema(_RECURSIVE)],
    "effort": [_with("reasoning_effort", "minimal", ADAPTIVE), _with("reasoning_effort", "zany", ADAPTIVE)],
    "effort.none": [_with("reasoning_effort", "none", ADAPTIVE)],
    "user": [_with("user", "a@example.com")],
    "cache.mark": [
        Sample(
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": text, "cache_control": {"type": "ephemeral"}} for text in "abcde"
                        ],
                    }
                ]
            }
        )
    ],
}
_MARKED = Sample(
    {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "b", "cache_control": {"type": "ephemeral"}}]}
        ]
    },
    model="gpt-5.6",
)
_DECLINED = {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}
_ORIGINAL = {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "original"}
_OPEN_TOOL = Sample({"tools": [{"name": "f", "strict": True, "input_schema": OBJECT}]})
_CHAT: Mapping[Meaning, Sequence[Sample]] = {
    "web_search.claude": [
        Sample({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, model=SEARCHING),
        replace(_WIDER["claude"], model=SEARCHING),
    ],
    "top_k": [Sample({"top_k": 3}, profile="lenient")],
    "reasoning": [
        Sample(
            {
                "messages": [
                    _TALK[0],
                    {"role": "assistant", "content": [{"type": "thinking", "thinking": "t", "signature": ""}]},
                    _TALK[2],
                ]
            },
            profile=_REPLAYS,
        )
    ],
    "format.schema": [
        Sample(
            {"output_format": {"type": "json_schema", "schema": CLOSED}},
            profile={"base": "lenient", "json_schema": False},
        )
    ],
    "tool.strict": [_OPEN_TOOL],
    "effort": [
        Sample({"output_config": {"effort": "high"}}, profile={"base": "lenient", "reasoning_in": "none"}),
    ],
    "cache.mark": [
        _MARKED,
    ],
}  # fmt: skip

FURTHER: Mapping[tuple[str, str], Mapping[Meaning, Sequence[Sample]]] = {
    ("chat", "claude"): _ANTHROPIC,
    ("claude", "chat"): _CHAT,
    ("responses", "claude"): {"web_search.responses": [_WIDER["responses"]]},
    ("responses", "gemini"): {"web_search.responses": [_WIDER["responses"]]},
    ("claude", "gemini"): {"web_search.claude": [_WIDER["claude"]]},
    ("responses", "chat"): {
        "web_search.responses": [Sample({"tools": [{"type": "web_search"}]}, model=SEARCHING)],
        "tool.custom": [Sample({"tools": [{"type": "custom", "name": "c"}]}, profile="lenient")],
        "refusal": [Sample({"input": [_TALK[0], _DECLINED, _TALK[2]]}, profile="lenient")],
        "image.detail": [Sample({"input": [{"role": "user", "content": [_ORIGINAL]}]}, profile="lenient")],
        "tier.other": [Sample({"service_tier": "flex"}, profile="mistral")],
        "cache.options": [Sample({"prompt_cache_options": {"mode": "implicit"}}, profile="mistral")],
        "moderation": [Sample({"moderation": {"model": "m"}}, profile="mistral")],
    },
    ("chat", "responses"): {
        "limit": [_with("max_tokens", 5)],
        "tool.name": [Sample({"tools": [{"type": "function", "function": {"name": "f" * 200}}]})],
    },
    ("claude", "responses"): {
        "web_search.claude": [_WIDER["claude"]],
        "cache.mark": [_MARKED],
        "format.schema": [Sample({"output_format": {"type": "json_schema", "schema": OBJECT}})],
        "tool.strict": [_OPEN_TOOL],
    },
    ("chat", "ollama"): {"parallel": [_with("parallel_tool_calls", False)]},
    ("ollama", "chat"): {"min_p": [Sample({"options": {"min_p": 0.1}}, profile="lenient")]},
    ("chat", "gemini"): {
        "web_search.chat": [_WIDER["chat"]],
        "effort": [_with("reasoning_effort", "high", "gemini-3-pro")],
        "image.detail": [_seen_in("auto")],
        "result.image": [_RESULT_SEEN],
        "parallel": [_with("parallel_tool_calls", False)],
        "extra_body": [_with("extra_body", {"google": {"labels": {"a": "b"}}})],
    },
}
"""(Face, upstream) -> samples."""
