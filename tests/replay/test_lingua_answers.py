"""What vendors answered to the cases of ``lingua/`` is what callers of every face are told, relayed and translated."""

import json
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Final

import pytest

from tests.support.oracle import recorded_outcome
from tests.support.recorded import (
    Protocol,
    RecordedRequest,
    RecordedResponse,
    Recording,
    case_params,
    lingua,
    require_cases,
)

from .leaf_bodies import MADE_UP, SAYS_NOTHING
from .stage import Stage, Way, as_told, differences, open_stage, ways, without_code_runs

pytestmark = pytest.mark.anyio
FOLDERS: Final[dict[str, Protocol]] = {
    "chat-completions": "chat",
    "responses": "responses",
    "anthropic": "anthropic",
    "google": "gemini",
}
CUT_BYTES: Final = 500
CUSTOM: Final = "responsesCustomToolCallStreamingParam-responses-response"
"""Calls of a free-text tool: Mistral's SDK knows functions alone, and its callers cannot have asked for others."""
RAISING: Final = {(CUSTOM, "mistral"), (f"{CUSTOM}-streaming", "mistral")}


def answers() -> list[Recording]:
    """Return all answers, to the first question and to the one that followed, as recordings."""
    found: list[Recording] = []
    for folder, protocol in FOLDERS.items():
        for case in lingua(folder):
            for part in ("response", "followup-response"):
                name = f"{case.name}-{part}"
                events = [] if name in MADE_UP else json.loads(case.files.get(f"{part}-streaming", b"[]"))
                if events:
                    end = "data: [DONE]\n\n" if protocol == "chat" else ""
                    text = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + end
                    found.append(recording(f"{name}-streaming", protocol, text, is_stream=True))
                if part in case.files and name not in SAYS_NOTHING:
                    found.append(recording(name, protocol, case.files[part].decode(), is_stream=False))
    return found


def recording(name: str, protocol: Protocol, text: str, *, is_stream: bool) -> Recording:
    """Return an answer as the recording of a host that has its name."""
    return Recording(
        id=sha256(name.encode()).hexdigest()[:16],
        protocol=protocol,
        host=name,
        model=None,
        feats=(),
        request=RecordedRequest(method="POST", path="", body={"stream": is_stream}),
        response=RecordedResponse(status=200, headers={}, text=text),
    )


@pytest.fixture(scope="module")
async def stage() -> AsyncIterator[Stage]:
    require_cases()
    async with open_stage(answers()) as stage:
        yield stage


@pytest.mark.parametrize("way", case_params(lambda: ways(answers())))
async def test_sdk_reads_what_the_vendor_answered(stage: Stage, way: Way) -> None:
    got = without_code_runs(way.record, await stage.told(way, CUT_BYTES))
    found = differences(as_told(way.face, recorded_outcome(way.record)), got)
    if (way.record.host, way.face) in RAISING:
        assert found.keys() == {"is_error"}
    else:
        assert found == {}


@pytest.mark.cases
def test_every_answer_is_played_but_those_that_say_nothing() -> None:
    """What is left out: a stream of events that nobody sends, streams without any event, and answers without a word."""
    require_cases()
    played = {answer.host for answer in answers()}
    left_out = {
        f"{case.name}-{part}"
        for folder in FOLDERS
        for case in lingua(folder)
        for part, told in case.files.items()
        if "response" in part and f"{case.name}-{part}" not in played and json.loads(told)
    }
    assert left_out == {f"{name}-streaming" for name in MADE_UP} | SAYS_NOTHING
