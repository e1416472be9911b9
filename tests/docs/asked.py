"""Examples for the rows of the mapping tables, and what the gateway makes of them: `verdict`.

A row of a table says ``L, E``: of its examples, some pass without loss and some are emulated, and none is lost.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.conformance.asking import Asked, ask, chat_answer, claude_answer, ollama_answer
from tests.support.scripted_client import Script

VERDICTS = {"hint": "H", "changed": "E", "lost": "W"}
"""Severity of a Notice -> letter in a table."""
LOSSLESS, REFUSED = "L", "X"
TIMES = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")
UNASKED = {"anthropic-version", "created", *(f"usage.{name}" for name in TIMES)}
"""Hints that come with every request of an Anthropic client, every answer of Chat, of Ollama: no row's own."""

BUDGET = "claude-sonnet-4-5"
"""Thinks by a budget, takes sampling, may be forced to call a tool."""
ADAPTIVE = "claude-opus-5-5"
"""Always thinks, takes no sampling, cannot be forced."""
NO_SCHEMAS = "claude-sonnet-4-20250514"


@dataclass(frozen=True)
class Example:
    """Fields of a request, and whom it is asked of."""

    body: Mapping[str, Any] = field(default_factory=dict)
    model: str = BUDGET
    profile: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    answer: Script | None = None
    path: str | None = None
    """None: the usual one of its face."""


USUAL: Mapping[str, Script] = {"claude": claude_answer(), "chat": chat_answer(), "ollama": ollama_answer()}
"""What is answered where an example does not care."""


async def asked_of(face: str, to: str, example: Example) -> Asked:
    """Send an example through a gateway."""
    script = example.answer or USUAL[to]
    return await ask(
        face, to, example.body, script, model=example.model, profile=example.profile, headers=example.headers,
        path=example.path,
    )  # fmt: skip


async def verdict(face: str, to: str, example: Example) -> str:
    """Return the letters of what becomes of an example, in the order of the alphabet."""
    asked = await asked_of(face, to, example)
    if asked.answer.status == 400:
        assert asked.upstream.calls == [], "refused by the upstream, not by the gateway"
        return REFUSED
    assert asked.answer.status == 200, asked.answer.text
    said = {
        path: VERDICTS[severity]
        for path, severity in asked.notices.items()
        if path not in UNASKED - example.headers.keys()
    }
    return "".join(sorted(set(said.values()))) or LOSSLESS
