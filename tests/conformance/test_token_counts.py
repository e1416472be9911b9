"""gemini-C37: how many tokens a request has, counted and estimated."""

from typing import Any

import pytest

from tests.support.scripted_client import answering

from .asking import CONTENTS, ask, assert_estimated

pytestmark = pytest.mark.anyio

FUNCTION = {"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"type": "object"}}]}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {
            "contents": ...,
            "generateContentRequest": {"model": "models/x", "contents": CONTENTS, "tools": [FUNCTION]},
        },
    ],
    ids=["contents", "request"],
)
async def test_gemini_C37_tokens_are_counted(body: dict[str, Any]) -> None:
    estimated = await ask("gemini", "chat", body, verb="countTokens")
    assert_estimated(estimated, estimated.json, "totalTokens")
    counted = await ask("gemini", "gemini", body, answering({"totalTokens": 7}), verb="countTokens")
    assert counted.json == {"totalTokens": 7}
    assert counted.answer.header("x-ds2api-mode") == "relay"
    assert counted.upstream.calls[0].request.url.endswith("/v1beta/models/test-model:countTokens")
    inner = counted.sent.get("generateContentRequest")
    assert inner is None or inner["model"] == "models/test-model"


async def test_tokens_are_counted_by_an_upstream_of_another_protocol() -> None:
    asked = await ask("gemini", "claude", {}, answering({"input_tokens": 9}), verb="countTokens")
    assert asked.json == {"totalTokens": 9}
    assert (asked.answer.header("x-ds2api-mode"), asked.records[-1].mode) == ("translate", "translate")
    assert asked.answer.header("x-ds2api-notices") is None
