"""The oracle and the official SDKs read the same in every recording, or the exception is named here.

The recordings go straight from the replay server to the SDK of their own protocol. Where a vendor deviates from what
the SDK documents, the SDK misses what the oracle finds: `DEVIATIONS` names each, and what a translation must mend.
"""

import dataclasses

import anthropic
import openai
import pytest

from .oracle import recorded_outcome
from .outcome import Outcome
from .recorded import Recording, recorded_params, records, require_cases
from .replay import CUTS, ReplayServer, model_of
from .sdk_outcome import ask_anthropic, ask_openai

pytestmark = pytest.mark.anyio

NO_FINISH = ("finish",)
CACHED = ("cached_tokens",)
USAGE = ("input_tokens", "output_tokens")

DEVIATIONS: dict[str, dict[str, tuple[str, ...]]] = {
    "Mistral counts cached tokens in num_cached_tokens": {
        "6a29ee948216100e": CACHED,
        "5c5439c2dfb30a8b": CACHED,
        "cbd44f03214a396e": CACHED,
        "bbd028ba20b03250": CACHED,
        "87cd91131311124e": CACHED,
        "e8c783b21762a9a0": CACHED,
        "17d23f1461e1b786": CACHED,
        "8fb3e4dee43dad35": CACHED,
        "b3a25171b1e832cf": CACHED,
    },
    "Mistral sends content as a list of text and thinking parts": {
        "ea8a7a29b27baade": ("text", "reasoning"),
        "4127e21aef528300": ("text", "reasoning"),
        "1389f4cf5e0fa7db": ("reasoning",),
    },
    "Groq puts the usage of a stream in x_groq": {
        "98ee69b126ffe2a2": USAGE,
        "a6f8ff001573e707": USAGE,
        "3601df03daa998ee": USAGE,
        "fa46335d791a2a03": USAGE,
    },
    "Together says eos": {
        "081cb1a2550b81ad": NO_FINISH,
        "6b3be198293635c0": NO_FINISH,
        "3c85bdee51d3ab89": NO_FINISH,
    },
    "Snowflake gives an empty finish reason, or in streams none": {
        "ada8ad1a7dfedb3e": NO_FINISH,
        "d253559c9d17b8bd": NO_FINISH,
        "25c7bdb0da00133d": NO_FINISH,
        "554d53fae7bef7c3": NO_FINISH,
        "7e935cb583b0736b": NO_FINISH,
        "fba613eaaa700f2d": NO_FINISH,
        "547988f627d4e30a": NO_FINISH,
    },
    "Snowflake, and its reasoning is in reasoning_details alone": {
        "4a344fc9bf5ca337": ("reasoning", "finish"),
        "7870153588404c2e": ("reasoning", "finish"),
    },
    "a stream of OpenRouter without a finish reason, though with [DONE]": {"f597059bde62796e": NO_FINISH},
    "a tool call without arguments": {"e6d8edcc84dc9584": ("tools",)},
}
EXPECTED = {id_: fields for deviants in DEVIATIONS.values() for id_, fields in deviants.items()}
ERRORS_IN_A_200 = {"47db283d36f93ae8", "e23bcfe0150911e6", "fb26438f93031350", "ea5cfb6eb76fa208"}
"""Plain text, two of Groq (`DECISIONS`), and one of OpenRouter beside a usage and before a ``[DONE]``."""


def differences(one: Outcome, other: Outcome) -> tuple[str, ...]:
    return tuple(
        field.name for field in dataclasses.fields(Outcome) if getattr(one, field.name) != getattr(other, field.name)
    )


@pytest.mark.cases
async def test_openai_sdk_and_oracle_agree_on_every_chat_recording() -> None:
    require_cases()
    found: dict[str, tuple[str, ...]] = {}
    async with (
        ReplayServer(records("chat")) as server,
        openai.AsyncOpenAI(base_url=server.url, api_key="k", max_retries=0) as client,
    ):
        for number, record in enumerate(records("chat")):
            model = model_of(record, cut_bytes=CUTS[number % len(CUTS)])
            got = await ask_openai(client, model, stream=record.is_stream)
            if fields := differences(recorded_outcome(record), got):
                found[record.id] = fields
    assert found == EXPECTED


@pytest.mark.cases
async def test_anthropic_sdk_and_oracle_agree_on_every_recording() -> None:
    require_cases()
    found: dict[str, tuple[str, ...]] = {}
    async with (
        ReplayServer(records("anthropic")) as server,
        anthropic.AsyncAnthropic(base_url=server.url, api_key="k", max_retries=0) as client,
    ):
        for number, record in enumerate(records("anthropic")):
            model = model_of(record, cut_bytes=CUTS[number % len(CUTS)])
            got = await ask_anthropic(client, model, stream=record.is_stream)
            if fields := differences(recorded_outcome(record), got):
                found[record.id] = fields
    assert found == {}


@pytest.mark.cases
def test_errors_inside_a_200_are_those_that_are_known() -> None:
    require_cases()
    good = records("chat", status=200) + records("anthropic", status=200)
    assert {record.id for record in good if recorded_outcome(record).is_error} == ERRORS_IN_A_200


@pytest.mark.parametrize("record", recorded_params("chat", "anthropic", status=200))
def test_recording_says_something_and_why_it_ended(record: Recording) -> None:
    outcome = recorded_outcome(record)
    assert outcome.is_error or (outcome.finish is not None and bool(outcome.text or outcome.tools))


@pytest.mark.parametrize(
    "record", [p for status in (400, 401, 404, 429) for p in recorded_params("chat", status=status)]
)
def test_error_status_is_an_error(record: Recording) -> None:
    assert recorded_outcome(record) == Outcome(is_error=True)
