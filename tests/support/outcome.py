"""What an answer says, in no vendor's form: the measure by which two answers are compared.

Pure, and independent of the product: it shares no code with the codecs that it judges. `oracle` takes an `Outcome`
from a recording, `sdk_outcome` from what a client's SDK parsed. Follows protocol-openai.md E3 and the reasons named
in protocol-others.md 7.2.
"""

import json
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

FinishClass: TypeAlias = Literal["stop", "tool", "length", "filter"]

OFFICIAL_FINISH: Final[dict[str, FinishClass]] = {
    # OpenAI Chat
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool",
    "function_call": "tool",
    "content_filter": "filter",
    # Anthropic Messages
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "compaction": "length",
    "tool_use": "tool",
    "refusal": "filter",
}
"""Words that a client of the two protocols knows."""
DEVIANT_FINISH: Final[dict[str, FinishClass]] = {"eos": "stop", "tool_call": "tool", "model_length": "length"}
"""Words of look-alikes for the same."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One answer. Where a provider gives several choices, the first."""

    text: str = ""
    """All visible text, a refusal's included, joined."""
    reasoning: str = ""
    """All reasoning text, summaries included, joined."""
    tools: tuple[tuple[str, str], ...] = ()
    """Calls of the client's tools in order: name, and arguments as `json_arguments`."""
    finish: FinishClass | None = None
    """None where no reason was given that a client knows."""
    input_tokens: int | None = None
    """With what was read from the cache and written to it; None where no usage was given."""
    output_tokens: int | None = None
    """With reasoning; None where no usage was given."""
    cached_tokens: int = 0
    """Part of the input, read from the cache."""
    reasoning_tokens: int = 0
    """Part of the output."""
    is_error: bool = False
    """The answer failed; the other fields hold what came before."""


@dataclass(kw_only=True)
class ToolCallText:
    """A tool call that is being put together."""

    id: str = ""
    name: str = ""
    arguments: str = ""
    seed: object = None
    """Arguments that came as a value; they count if no text follows."""
    is_custom: bool = False
    """The arguments are free text, not JSON."""

    def settled(self) -> tuple[str, str]:
        """Return name and arguments for an `Outcome`; free text is wrapped as ``{"input": text}``."""
        if self.is_custom:
            return self.name, json.dumps({"input": self.arguments}, ensure_ascii=False)
        return self.name, json_arguments(self.arguments or self.seed or "")


@dataclass(kw_only=True)
class Draft:
    """An answer that is being put together."""

    text: str = ""
    refusal: str = ""
    reasoning: str = ""
    calls: list[ToolCallText] = field(default_factory=list)
    finish: FinishClass | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    is_error: bool = False

    def settled(self) -> Outcome:
        """Return the `Outcome`.

        Who answers with a tool call has not stopped, whatever word it uses (OpenAI says ``stop`` for a forced tool);
        who refuses has not either (OpenAI says ``stop`` beside a refusal).
        """
        finish = self.finish
        if finish == "stop" and self.refusal:
            finish = "filter"
        elif finish == "stop" and self.calls:
            finish = "tool"
        return Outcome(
            text=self.text + self.refusal,
            reasoning=self.reasoning,
            tools=tuple(call.settled() for call in self.calls),
            finish=finish,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cached_tokens=self.cached_tokens,
            reasoning_tokens=self.reasoning_tokens,
            is_error=self.is_error,
        )


def json_arguments(arguments: object) -> str:
    """Return a tool call's arguments as JSON text with sorted keys; none at all are ``{}``.

    Text that is no JSON stays as it is.
    """
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except ValueError:
            return str(arguments)
    return json.dumps(arguments, sort_keys=True, ensure_ascii=False)
