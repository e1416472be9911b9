"""How hard a model is asked to think, in every vendor's spelling, and what it thought on its way back.

The table is E1a of the vendor's reference, read backwards, and E2's rows on thinking.
"""

from typing import Any

import msgspec
import pytest

from asgi_ds2api.canonical import Reasoning, ReasoningControl
from asgi_ds2api.model_facts import ModelFacts
from asgi_ds2api.profiles import Profile
from asgi_ds2api.protocols import openai_chat as codec

from .calls import LENIENT, OPENAI, call, encode, foreign, say, told

NONE: dict[str, Any] = {}


def asked(profile: Profile, **control: Any) -> tuple[dict[str, Any], list[str]]:
    """Return what asks for reasoning, and what was reported."""
    written, notices = encode(foreign(reasoning=ReasoningControl(**control, at="r")), profile)
    names = ("reasoning_effort", "reasoning", "thinking", "enable_thinking", "thinking_budget")
    return {name: written[name] for name in names if name in written}, told(notices)


def spelled(way: Any, *efforts: str) -> Profile:
    models = (("*", ModelFacts(efforts=efforts)),) if efforts else ()
    return msgspec.structs.replace(OPENAI, reasoning_in=way, models=models)


@pytest.mark.parametrize("effort", ["none", "minimal", "low", "medium", "high", "xhigh", "max"])
def test_an_effort_is_the_same_word_openai_C32(effort: str) -> None:
    assert asked(OPENAI, effort=effort) == ({"reasoning_effort": effort}, [])


@pytest.mark.parametrize(
    ("tokens", "effort"),
    [
        (1_024, "minimal"),
        (1_025, "low"),
        (2_047, "low"),
        (2_048, "medium"),
        (12_287, "medium"),
        (12_288, "high"),
        (27_999, "high"),
        (28_000, "xhigh"),
    ],
)
def test_a_budget_is_an_effort(tokens: int, effort: str) -> None:
    expected = ({"reasoning_effort": effort}, ["r.budget_tokens"])
    assert asked(OPENAI, mode="enabled", budget_tokens=tokens) == expected


@pytest.mark.parametrize(
    ("control", "sent", "reported"),
    [
        pytest.param({"mode": "disabled"}, {"reasoning_effort": "none"}, [], id="disabled"),
        pytest.param(
            {"mode": "disabled", "effort": "high"}, {"reasoning_effort": "none"}, ["r.effort"], id="disabled-effort"
        ),
        pytest.param({"mode": "adaptive"}, NONE, [], id="adaptive"),
        pytest.param({"mode": "adaptive", "effort": "low"}, {"reasoning_effort": "low"}, [], id="adaptive-effort"),
        pytest.param({"mode": "between_tools"}, NONE, ["r"], id="between_tools"),
        pytest.param({"display": "omitted"}, NONE, ["r.display"], id="display"),
        pytest.param({"extras": {"x": msgspec.Raw(b"1")}}, NONE, ["r.x"], id="unknown"),
        pytest.param({"effort": "turbo"}, {"reasoning_effort": "turbo"}, [], id="word-of-next-year"),
    ],
)
def test_modes_have_a_word_or_are_told(control: dict[str, Any], sent: dict[str, Any], reported: list[str]) -> None:
    assert asked(OPENAI, **control) == (sent, reported)


@pytest.mark.parametrize(
    ("known", "effort", "sent", "reported"),
    [
        (("low", "high"), "medium", "low", ["r"]),
        (("low", "high"), "max", "high", ["r"]),
        (("minimal", "low"), "none", "minimal", ["r"]),
        (("low", "high"), "high", "high", []),
        (("high",), "none", None, ["r"]),
    ],
)
def test_a_model_gets_the_nearest_word_that_it_knows(
    known: tuple[str, ...], effort: str, sent: str | None, reported: list[str]
) -> None:
    expected = NONE if sent is None else {"reasoning_effort": sent}
    assert asked(spelled("effort", *known), effort=effort) == (expected, reported)


SPELLED: list[Any] = [
    pytest.param("thinking", {"mode": "enabled"}, {"thinking": {"type": "enabled"}}, [], id="thinking-on"),
    pytest.param("thinking", {"mode": "disabled"}, {"thinking": {"type": "disabled"}}, [], id="thinking-off"),
    pytest.param(
        "thinking",
        {"effort": "high"},
        {"thinking": {"type": "enabled"}, "reasoning_effort": "high"},
        [],
        id="thinking-effort",
    ),
    pytest.param("enable_thinking", {"mode": "disabled"}, {"enable_thinking": False}, [], id="enable-off"),
    pytest.param(
        "enable_thinking",
        {"mode": "enabled", "budget_tokens": 512},
        {"enable_thinking": True, "thinking_budget": 512},
        [],
        id="enable-budget",
    ),
    pytest.param("enable_thinking", {"effort": "high"}, {"enable_thinking": True}, ["r"], id="enable-effort"),
    pytest.param("object", {"effort": "high"}, {"reasoning": {"effort": "high"}}, [], id="object-effort"),
    pytest.param("object", {"budget_tokens": 2_000}, {"reasoning": {"max_tokens": 2_000}}, [], id="object-budget"),
    pytest.param("object", {"mode": "disabled"}, {"reasoning": {"enabled": False}}, [], id="object-off"),
    pytest.param("object", {"mode": "enabled"}, {"reasoning": {"effort": "medium"}}, [], id="object-on"),
    pytest.param("none", {"effort": "high"}, NONE, ["r"], id="none"),
]


@pytest.mark.parametrize(("way", "control", "sent", "reported"), SPELLED)
def test_every_vendor_is_asked_in_its_own_spelling(
    way: str, control: dict[str, Any], sent: dict[str, Any], reported: list[str]
) -> None:
    assert asked(spelled(way), **control) == (sent, reported)


# --- what it thought, on its way back ---------------------------------------------------------------------------------

PLAIN = Reasoning(text="t", at="plain")
SIGNED = Reasoning(text="s", signature="S", origin="openrouter", at="signed")
HIDDEN = Reasoning(redacted="D", origin="openrouter", at="hidden")
SEALED = Reasoning(text="x", signature="ds2r1.x", at="sealed")
FOREIGN = Reasoning(text="f", signature="F", origin="anthropic", at="foreign")


def replayed(mode: Any, *thoughts: Reasoning, **facts: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what a message carries of earlier thoughts, and what was reported."""
    profile = msgspec.structs.replace(LENIENT, vendor="openrouter", reasoning_replay=mode, **facts)
    written, notices = encode(foreign(say("assistant", *thoughts, "a"), say("user", "hi")), profile)
    message = written["messages"][0]
    assert (message.pop("role"), message.pop("content")) == ("assistant", "a")
    return message, {notice.path: notice.severity for notice in notices}


def test_earlier_thoughts_stay_here_where_nobody_takes_them() -> None:
    hints = dict.fromkeys(("plain", "signed", "hidden"), "hint")
    assert replayed("never", PLAIN, SIGNED, HIDDEN) == ({}, hints)


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_earlier_thoughts_go_back_as_text_openai_C33(name: str) -> None:
    told_ = {"signed.signature": "hint", "hidden": "lost"}
    assert replayed("content", PLAIN, SIGNED, HIDDEN, reasoning_field=name) == ({name: "ts"}, told_)


def test_earlier_thoughts_go_back_whole_to_who_issued_them() -> None:
    details = [
        {"type": "reasoning.text", "text": "t", "index": 0},
        {"type": "reasoning.text", "text": "s", "signature": "S", "index": 1},
        {"type": "reasoning.encrypted", "data": "D", "index": 2},
    ]
    assert replayed("details", PLAIN, SIGNED, HIDDEN) == ({"reasoning_details": details}, {})


@pytest.mark.parametrize("mode", ["never", "content", "details"])
def test_what_is_sealed_or_anothers_never_goes_out(mode: str) -> None:
    assert replayed(mode, SEALED, FOREIGN) == ({}, {"sealed": "hint", "foreign": "hint"})


def test_details_of_this_protocol_go_back_as_they_came() -> None:
    details = [
        {"type": "reasoning.summary", "summary": "s", "id": "r1", "format": "x", "index": 4},
        {"type": "reasoning.text", "text": "t", "signature": "S"},
        {"type": "reasoning.encrypted", "data": "D"},
        {"type": "reasoning.of_next_year", "text": "n"},
    ]
    talk = [{"role": "assistant", "content": "a", "reasoning_details": details}, {"role": "user", "content": "hi"}]
    profile = msgspec.structs.replace(LENIENT, reasoning_replay="details")
    request = codec.decode_request(call({"model": "m", "messages": talk}))
    assert encode(request, profile)[0]["messages"] == talk


def test_an_empty_thought_goes_back_as_empty_for_vendors_who_look_for_it() -> None:
    talk = [{"role": "assistant", "content": "a", "reasoning_content": ""}, {"role": "user", "content": "hi"}]
    request = codec.decode_request(call({"model": "m", "messages": talk}))
    assert encode(request, LENIENT)[0]["messages"] == talk
