"""Dirty, split and odd answers, through every face: no exception of ours, no hang, no false success.

They are other projects' test data; where one cannot say the same to everybody, `ODD` names it.
"""

import re
from collections.abc import AsyncIterator

import pytest

from tests.support.oracle import recorded_outcome
from tests.support.recorded import Recording, case_params, edge, require_cases

from .edge_answers import ERRORS, NO_ANSWERS, edge_answers, edge_errors, played_as
from .errors_told import expected, raised
from .stage import Face, Stage, Way, as_told, differences, open_stage, ways

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def stage() -> AsyncIterator[Stage]:
    require_cases()
    async with open_stage([*edge_answers(), *edge_errors()]) as stage:
        yield stage


NO_REASON = "The model declined to answer."
REASON = (
    "This request triggered restrictions on violative cyber content and was blocked under Anthropic's Usage Policy."
)
SHELL = "vercel-ai_openai_responses_openai-shell-container.1.chunks.txt"
SHELL_SAYS = (
    "The command ran successfully in the container. Here's the output:\n\n"
    '- The echo command printed: "Hello from container!"\n'
    "- The system is running Linux (kernel 6.1.0) on an x86_64 architecture."
)
RAISING = {
    ("vercel-ai_openai_responses_openai-custom-tool.1.chunks.txt", "mistral"),
    ("vercel-ai_openai_responses_openai-custom-tool.1.json", "mistral"),
}
"""Calls of free-text tools: Mistral's SDK knows functions alone, and its callers cannot have asked for others."""
SPOILED = "gemini-cli_context-compress-interactive.compress.responses"
"""A call that cannot be read is asked for once more where the answer is translated; what cannot be read again ends it,
with a Notice (gemini-C27)."""
SPLICED = "vercel-ai_anthropic_spliced-message-start.chunks.txt"
"""Its first call broke off: clients of Messages would complete it, so that it is an error where it is translated."""
ODD: dict[tuple[str, Face | None], dict[str, tuple[object, object]]] = {
    # A call without a function is none: nobody could run it.
    ("apisix_openai_null-function.json", None): {"tools": ((("", "{}"),), ()), "finish": ("tool", "stop")},
    # Its pieces say less than the whole that follows them, and a stream cannot be taken back.
    (SHELL, None): {"text": (SHELL_SAYS, "The command ran successfully.")},
    # The calls are of the second choice, which an `Outcome` leaves out.
    ("axonhub_internal_llm_transformer_openai_testdata_openai-multiple_choice_tool_2.response.json", None): {
        "finish": ("tool", "stop")
    },
    ("axonhub_internal_llm_transformer_openai_testdata_openai-multiple_choice_tool_2.stream.jsonl", None): {
        "finish": ("tool", "stop")
    },
    # Where a model declines and says nothing, callers of Chat are given something to show.
    ("vercel-ai_anthropic_anthropic-refusal-no-details.json", "openai"): {"text": ("", NO_REASON)},
    ("vercel-ai_anthropic_anthropic-refusal-no-details.json", "responses"): {"text": ("", NO_REASON)},
    ("vercel-ai_anthropic_anthropic-refusal.json", "openai"): {"text": ("", REASON)},
    ("vercel-ai_anthropic_anthropic-refusal.json", "responses"): {"text": ("", REASON)},
    ("vercel-ai_anthropic_anthropic-refusal.chunks.txt", "openai"): {"text": ("", REASON)},
    ("vercel-ai_anthropic_anthropic-refusal.chunks.txt", "responses"): {"text": ("", REASON)},
    ("vercel-ai_anthropic_anthropic-refusal.json", "ollama"): {"text": (NO_REASON, REASON)},
    ("vercel-ai_anthropic_anthropic-refusal.chunks.txt", "ollama"): {"text": (NO_REASON, REASON)},
    # Arguments that broke off are no object, which is all that Gemini and Ollama have for them.
    (SPLICED, "google"): {
        "tools": (
            (("test-tool", '{"value":"Spark'), ("test-tool", '{"value": "Sparkle Day"}')),
            (("test-tool", '{"value": "Sparkle Day"}'),),
        ),
        "finish": ("tool", None),
    },
    (SPLICED, "ollama"): {
        "tools": (
            (("test-tool", '{"value":"Spark'), ("test-tool", '{"value": "Sparkle Day"}')),
            (("test-tool", '{"_raw": "{\\"value\\":\\"Spark"}'), ("test-tool", '{"value": "Sparkle Day"}')),
        )
    },
}
"""File and face (None: all) -> what differs: what the oracle reads, what the SDK is told."""
CUTS = (1, 100)
LONG_BYTES = 2_000
"""Of an answer that is not cut into single bytes: seven of them split a character and a field's name as well."""


def cut_of(record: Recording) -> int:
    """Return in pieces of how many bytes an answer comes."""
    cut_bytes = CUTS[int(record.id, 16) % len(CUTS)]
    return 7 if cut_bytes == 1 and len(record.response.body) > LONG_BYTES else cut_bytes


@pytest.mark.parametrize("way", case_params(lambda: ways(edge_answers())))
async def test_sdk_reads_what_is_meant_or_raises(stage: Stage, way: Way) -> None:
    got = await stage.told(way, cut_of(way.record))
    found = differences(as_told(way.face, recorded_outcome(way.record)), got)
    if (way.record.host, way.face) in RAISING:
        assert found.keys() == {"is_error"}
        return
    if (way.record.host, way.face) == (SPLICED, "anthropic") and found:
        assert found.keys() == {"is_error"}
        return
    if way.record.host == SPOILED and way.dialect == "akin" and found:
        assert found.keys() == {"is_error"}
        assert (got.is_error, got.text) == (False, "")
        return
    assert found == ODD.get((way.record.host, way.face), ODD.get((way.record.host, None), {}))


@pytest.mark.parametrize("way", case_params(lambda: ways(edge_errors())))
async def test_sdk_raises_its_own_error_and_waits_as_the_vendor_says(stage: Stage, way: Way) -> None:
    assert await raised(stage, way) == expected(way)


@pytest.mark.cases
def test_every_file_is_played_or_holds_no_answer() -> None:
    require_cases()
    played = {*ERRORS, *(name for _, names in played_as() for name in names)}
    reasons = {file.name: [reason for form, reason in NO_ANSWERS.items() if re.fullmatch(form, file.name)]
               for file in edge()}  # fmt: skip
    assert [name for name, found in reasons.items() if (name in played) == bool(found) or len(found) > 1] == []
    assert {reason for found in reasons.values() for reason in found} == set(NO_ANSWERS.values())
