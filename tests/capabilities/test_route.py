"""``GET {prefix}/capabilities`` tells the tables, to whom it concerns."""

import json
from typing import Any

import pytest

from asgi_ds2api.capabilities import LEGEND
from asgi_ds2api.gateway import Gateway
from asgi_ds2api.protocols import PROTOCOLS
from asgi_ds2api.secret import Secret
from tests.support.asgi_driver import Answer, call
from tests.support.gateways import CALLER_KEY, Records, make_gateway, upstream

pytestmark = pytest.mark.anyio

PATH = "/capabilities"
TARGETS = ["claude/x", "ollama/x"]


def gateway(**config: Any) -> Gateway:
    return make_gateway(
        upstream("chat"),
        upstream("claude"),
        upstream("ollama"),
        models=[{"name": "both", "targets": TARGETS}],
        **config,
    )


async def told(query: str = "", **config: Any) -> Any:
    answer = await call(gateway(**config), "GET", PATH, query=query)
    assert answer.status == 200, answer.text
    assert answer.header("content-type") == "application/json"
    return json.loads(answer.body)


def code(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.header("x-ds2api-error") or ""


async def test_it_tells_every_row_of_every_face_at_every_upstream() -> None:
    answer = await told()
    assert answer["legend"] == LEGEND
    assert {face: [row["field"] for row in rows] for face, rows in answer["requests"].items()} == {
        name: [row.field for row in codec.CAPABILITIES.asks] for name, codec in PROTOCOLS.items()
    }
    assert {upstream: [row["field"] for row in rows] for upstream, rows in answer["answers"].items()} == {
        name: [row.field for row in codec.CAPABILITIES.says] for name, codec in PROTOCOLS.items()
    }
    sides = {
        tuple(row["verdicts"]) for told in ("requests", "answers") for rows in answer[told].values() for row in rows
    }
    assert sides == {tuple(PROTOCOLS)}


async def test_a_row_says_field_meaning_verdicts_and_what_becomes_of_it() -> None:
    rows = (await told("face=openai_chat"))["requests"]["openai_chat"]
    (row,) = (row for row in rows if row["field"] == "parallel_tool_calls")
    assert row == {
        "field": "parallel_tool_calls",
        "means": "parallel",
        "verdicts": {
            "openai_chat": "L",
            "openai_responses": "L",
            "anthropic_messages": "L",
            "gemini_generate": "EH",
            "ollama_chat": "EH",
        },
        "words": {
            "openai_chat": "relayed as it came",
            "gemini_generate": "further calls of an answer are left out",
            "ollama_chat": "further calls of an answer are left out",
        },
    }


async def test_it_is_filtered_by_face_and_by_upstream() -> None:
    answer = await told("face=ollama_chat&upstream=gemini_generate")
    assert list(answer["requests"]) == ["ollama_chat"]
    assert {tuple(row["verdicts"]) for row in answer["requests"]["ollama_chat"]} == {("gemini_generate",)}
    assert list(answer["answers"]) == ["gemini_generate"]
    assert {tuple(row["verdicts"]) for row in answer["answers"]["gemini_generate"]} == {("ollama_chat",)}


async def test_of_a_model_it_tells_what_its_upstreams_speak() -> None:
    answer = await told("face=openai_chat&model=both")
    assert {tuple(row["verdicts"]) for row in answer["requests"]["openai_chat"]} == {
        ("anthropic_messages", "ollama_chat")
    }


@pytest.mark.parametrize("query", ["face=nobody", "upstream=nobody", "face="])
async def test_unknown_protocol_is_a_400_that_names_the_parameter(query: str) -> None:
    answer = await call(gateway(), "GET", PATH, query=query)
    assert answer.status == 400
    assert json.loads(answer.body)["error"]["param"] == query.partition("=")[0]


async def test_unknown_model_is_a_404() -> None:
    assert (await call(gateway(), "GET", PATH, query="model=nobody")).status == 404


async def test_model_that_the_caller_may_not_ask_is_a_403() -> None:
    callers = [{"label": "web", "key": Secret(CALLER_KEY), "models": ["gpt-test"]}]
    key = {"authorization": f"Bearer {CALLER_KEY}"}
    answer = await call(gateway(auth="callers", callers=callers), "GET", PATH, headers=key, query="model=both")
    assert answer.status == 403


async def test_it_wants_the_credentials_of_a_caller() -> None:
    guarded = gateway(auth="callers", callers=[{"label": "web", "key": Secret(CALLER_KEY)}])
    assert (await call(guarded, "GET", PATH)).status == 401
    for name, value in (("authorization", f"Bearer {CALLER_KEY}"), ("x-api-key", CALLER_KEY)):
        assert (await call(guarded, "GET", PATH, headers={name: value})).status == 200


async def test_it_refuses_in_the_words_of_the_face_that_claims_the_call() -> None:
    guarded = gateway(auth="callers", callers=[{"label": "web", "key": Secret(CALLER_KEY)}])
    answer = await call(guarded, "GET", PATH, headers={"anthropic-version": "2023-06-01"})
    assert json.loads(answer.body)["error"]["type"] == "authentication_error"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_other_methods_are_a_405_that_says_which_there_are(method: str) -> None:
    answer = await call(gateway(), method, PATH)
    assert answer.status == 405
    assert answer.header("allow") == "GET, HEAD"


async def test_head_says_how_long_the_answer_would_be() -> None:
    whole = await call(gateway(), "GET", PATH)
    head = await call(gateway(), "HEAD", PATH)
    assert (head.status, head.body, head.header("content-length")) == (200, b"", str(len(whole.body)))


@pytest.mark.parametrize("path", ["/v1/capabilities", "/openai/capabilities", "/capabilities/x"])
async def test_it_has_one_path(path: str) -> None:
    assert (await call(gateway(), "GET", path)).status == 404


async def test_record_says_what_was_asked() -> None:
    records = Records()
    await call(gateway(hooks=[records]), "GET", PATH)
    assert (records[-1].operation, records[-1].result, records[-1].attempts) == ("capabilities", "ok", ())
