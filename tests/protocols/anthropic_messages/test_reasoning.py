"""Effort and budget, in the words of every kind of model: the table of protocol-openai.md E1a."""

import pytest

from asgi_ds2api.canonical import ReasoningControl
from asgi_ds2api.profiles import PROFILES

from .calls import ANTHROPIC, chat, encode, native, profile_with, told

BUDGET = "claude-sonnet-4-5"
ADAPTIVE = "claude-opus-4-8"
ALWAYS = "claude-opus-5-5"


def asked(model: str, **control: object) -> tuple[dict[str, object] | None, str | None, list[str]]:
    """Return ``thinking``, the effort and what was reported."""
    reasoning = ReasoningControl(**control, at="r")  # type: ignore[arg-type]  # a table's fields
    body, notices = encode(chat(model=model, reasoning=reasoning))
    return body.get("thinking"), body.get("output_config", {}).get("effort"), told(notices)


def adaptive(display: str | None = "summarized") -> dict[str, object]:
    return {"type": "adaptive"} if display is None else {"type": "adaptive", "display": display}


def budget(tokens: int) -> dict[str, object]:
    return {"type": "enabled", "budget_tokens": tokens}


@pytest.mark.parametrize(
    ("effort", "on_budget", "on_adaptive", "on_always"),
    [
        ("none", (None, None, []), ({"type": "disabled"}, None, []), ({"type": "adaptive"}, "low", ["r"])),
        ("minimal", (budget(1_024), None, []), (adaptive(), "low", ["r"]), (adaptive(), "low", ["r"])),
        ("low", (budget(2_048), None, []), (adaptive(), "low", []), (adaptive(), "low", [])),
        ("medium", (budget(8_192), None, []), (adaptive(), "medium", []), (adaptive(), "medium", [])),
        ("high", (budget(16_384), None, []), (adaptive(), "high", []), (adaptive(), "high", [])),
        ("xhigh", (budget(32_000), None, []), (adaptive(), "xhigh", []), (adaptive(), "xhigh", [])),
        ("max", (budget(63_999), None, []), (adaptive(), "max", []), (adaptive(), "max", [])),
    ],
    ids=lambda value: f"C32-{value}" if isinstance(value, str) else None,
)
def test_effort_for_every_kind_of_model_C32(
    effort: str, on_budget: object, on_adaptive: object, on_always: object
) -> None:
    assert asked(BUDGET, effort=effort) == on_budget
    assert asked(ADAPTIVE, effort=effort) == on_adaptive
    assert asked(ALWAYS, effort=effort) == on_always


def test_a_model_without_the_word_gets_the_next() -> None:
    assert asked("claude-opus-4-6", effort="xhigh") == (adaptive(None), "high", ["r"])


@pytest.mark.parametrize(
    ("tokens", "effort"),
    [(1_024, "low"), (2_047, "low"), (2_048, "medium"), (12_288, "high"), (28_000, "xhigh")],
)
def test_a_budget_is_an_effort_where_no_budget_is_taken(tokens: int, effort: str) -> None:
    assert asked(ADAPTIVE, mode="enabled", budget_tokens=tokens) == (adaptive(), effort, ["r"])


def test_a_budget_stays_below_the_limit_of_the_answer() -> None:
    control = ReasoningControl(mode="enabled", budget_tokens=5_000, at="r")
    body, notices = encode(chat(model=BUDGET, reasoning=control, max_output_tokens=3_000))
    assert (body["thinking"], told(notices, "changed")) == (budget(2_999), ["r"])
    body, notices = encode(chat(model=BUDGET, reasoning=control, max_output_tokens=1_024))
    assert ("thinking" in body, told(notices, "changed")) == (False, ["r"])


def test_an_effort_shrinks_to_the_limit_of_the_answer() -> None:
    control = ReasoningControl(effort="high", at="r")
    body, _ = encode(chat(model=BUDGET, reasoning=control, max_output_tokens=4_096))
    assert body["thinking"] == budget(4_095)


def test_a_word_of_another_vendor_is_reported() -> None:
    assert asked(BUDGET, effort="turbo") == (None, None, ["r"])
    assert asked(ADAPTIVE, effort="turbo") == (adaptive(), None, ["r"])


def test_a_model_that_nobody_knows_takes_a_budget() -> None:
    assert asked("somebody/else", effort="low") == (budget(2_048), None, [])


def test_how_thinking_is_shown_is_said_where_it_would_be_hidden() -> None:
    assert asked(BUDGET, effort="low", display="detailed") == ({**budget(2_048), "display": "summarized"}, None, [])
    assert asked(ADAPTIVE, effort="low", display="omitted") == (adaptive("omitted"), "low", [])


def test_nothing_asked_is_nothing_sent() -> None:
    assert "thinking" not in encode(chat(model=ALWAYS))[0]
    assert asked(ALWAYS) == (None, None, [])


@pytest.mark.parametrize("mode", ["enabled", "adaptive", "disabled", "between_tools"])
def test_the_vendors_own_words_are_sent_as_they_came(mode: str) -> None:
    thinking = {"type": mode, **({"budget_tokens": 1_024} if mode == "enabled" else {})}
    request = native(thinking=thinking, output_config={"effort": "max"})
    assert request.reasoning is not None
    assert (request.reasoning.mode, request.reasoning.effort) == (mode, "max")
    body, _ = encode(request)
    assert (body["thinking"], body["output_config"]) == (thinking, {"effort": "max"})


def test_facts_of_the_vendors_models_are_known() -> None:
    assert PROFILES["anthropic"].facts(ALWAYS).forced_tool_choice is False
    assert profile_with(thinking=("disabled",)).facts("x").thinking == ("disabled",)
    assert ANTHROPIC.facts(BUDGET).thinking == ("enabled", "disabled")


def test_a_wish_about_showing_alone_asks_for_nothing() -> None:
    assert asked(BUDGET, display="detailed") == (None, None, ["r"])


def test_adaptive_without_an_effort_stays_so() -> None:
    assert asked(ADAPTIVE, mode="adaptive") == (adaptive(), None, [])
