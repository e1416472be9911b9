"""Embeddings through the gateway: relayed, translated, tried elsewhere, refused."""

import base64
import struct
from typing import Any

import pytest

from tests.support.asgi_driver import Answer, call
from tests.support.gateways import Records, make_gateway, open_leases, upstream
from tests.support.scripted_client import Script, ScriptedUpstream, answering

from .asking import Asked, ask, error

pytestmark = pytest.mark.anyio

PATH = "/v1/embeddings"


def vectors(*data: Any, **fields: Any) -> Script:
    items = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(data)]
    return answering({"object": "list", "data": items, "model": "theirs", **fields})


async def embed(body: Any, *scripts: Script, profile: str = "lenient", to: str = "chat", **config: Any) -> Asked:
    return await ask("chat", to, {"messages": ..., **body}, *scripts, profile=profile, path=PATH, **config)


USAGE = {"prompt_tokens": 3, "total_tokens": 3}


async def test_openai_C60_base64_is_made_where_the_upstream_knows_floats_alone() -> None:
    asked = await embed({"input": "x", "encoding_format": "base64"}, vectors([0.5, -2.0], usage=USAGE))
    assert struct.unpack("<2f", base64.b64decode(asked.json["data"][0]["embedding"])) == (0.5, -2.0)
    assert asked.json["model"] == "chat/test-model"
    assert asked.sent == {"input": ["x"], "model": "test-model"}
    assert asked.records[0].mode == "translate"


async def test_exact_upstream_is_relayed_to_byte_for_byte() -> None:
    body = b'{ "data":[{"embedding":[1]}],"usage":{"prompt_tokens":9} , "model":"theirs"}'
    asked = await embed({"input": ["x"], "novel": 1, "encoding_format": "float"}, answering(body), profile="openai")
    assert asked.answer.body == body
    assert asked.sent == {"model": "test-model", "input": ["x"], "novel": 1, "encoding_format": "float"}
    assert asked.upstream.calls[0].request.url.endswith("/v1/embeddings")
    record = asked.records[0]
    assert (record.mode, record.operation, record.usage and record.usage.input_total) == ("relay", "embed", 9)


async def test_usage_that_nobody_told_is_estimated() -> None:
    asked = await embed({"input": "word " * 400}, vectors([1.0]))
    assert 400 < asked.json["usage"]["prompt_tokens"] < 600
    assert asked.records[0].usage is not None
    assert asked.records[0].usage.is_estimated


@pytest.mark.parametrize("data", [[], [[1.0]], [[1.0], [1.0], [1.0]]], ids=len)
async def test_answer_with_another_number_of_vectors_is_none(data: list[Any]) -> None:
    asked = await embed({"input": ["x", "y"]}, vectors(*data))
    assert (asked.answer.status, asked.answer.header("x-ds2api-error")) == (502, asked.records[0].code)
    assert asked.json["error"]["code"] == "upstream_error"


async def test_error_inside_a_200_is_tried_elsewhere() -> None:
    limited = answering({"error": {"message": "slow", "type": "requests", "code": "rate_limit_exceeded"}})
    asked = await embed({"input": "x"}, limited, vectors([1.0]), accounts=2)
    assert (asked.answer.status, len(asked.upstream.calls)) == (200, 2)


@pytest.mark.parametrize("profile", ["openai", "lenient"])
async def test_field_that_would_steer_is_never_sent(profile: str) -> None:
    asked = await embed({"input": "x", "api_base": "http://evil"}, vectors([1.0]), profile=profile)
    assert asked.answer.status == (400 if profile == "openai" else 200)
    assert all("api_base" not in seen.json() for seen in asked.upstream.calls)


async def test_loss_is_refused_where_the_operator_says_so() -> None:
    table = upstream("chat", profile="lenient", on_unsupported="reject")
    scripted = ScriptedUpstream()
    gateway = make_gateway(table, scripts={"chat": scripted})
    answer = await call(gateway, "POST", PATH, json={"model": "chat/m", "input": "x", "extra_body": {"a": 1}})
    assert (answer.status, scripted.calls) == (400, [])
    assert '"param":"extra_body"' in answer.text


async def test_loss_is_told_in_the_header() -> None:
    asked = await embed({"input": "x", "extra_body": {"a": 1}}, vectors([1.0]))
    assert "extra_body" in (asked.answer.header("x-ds2api-notices") or "")


async def test_upstream_without_embeddings_is_named_and_never_asked() -> None:
    asked = await embed({"input": "x"}, to="claude", profile=None)  # type: ignore[arg-type]  # its own
    assert asked.answer.status == 400
    assert asked.json["error"] == {
        "message": "The upstream that serves this model makes no embeddings. Ask for another model.",
        "type": "invalid_request_error",
        "param": "model",
        "code": "unsupported_value",
    }
    assert asked.upstream.calls == []


async def failed_over(*targets: str) -> tuple[Answer, dict[str, ScriptedUpstream]]:
    """Ask for an alias of targets of which the first is overloaded."""
    scripts = {
        "chat": ScriptedUpstream(error(503, {"error": {"message": "busy"}})),
        "claude": ScriptedUpstream(),
        "spare": ScriptedUpstream(vectors([1.0], usage=USAGE)),
    }
    tables = [
        upstream("claude"),
        upstream("chat"),
        upstream("spare", protocol="openai_chat", url="http://127.0.0.1:9/v1"),
    ]
    records = Records()
    aliases = [{"name": "texts", "targets": list(targets)}]
    gateway = make_gateway(*tables, scripts=scripts, hooks=[records], models=aliases)
    answer = await call(gateway, "POST", PATH, json={"model": "texts", "input": "x"})
    assert open_leases(gateway) == 0
    return answer, scripts


@pytest.mark.parametrize("targets", [("chat/m", "spare/m"), ("claude/x", "chat/m", "spare/vendor/m")])
async def test_batch_is_tried_where_the_same_model_is(targets: tuple[str, ...]) -> None:
    answer, scripts = await failed_over(*targets)
    assert answer.status == 200
    assert [len(scripts[name].calls) for name in ("claude", "chat", "spare")] == [0, 1, 1]


async def test_batch_is_never_tried_on_another_model() -> None:
    """Its vectors could not be compared with those that the caller has."""
    answer, scripts = await failed_over("chat/m", "spare/other")
    assert answer.status == 503
    assert scripts["spare"].calls == []


@pytest.mark.parametrize(
    ("body", "param"),
    [({"model": ...}, "model"), ({"input": []}, "input"), ({"encoding_format": "int8"}, "encoding_format")],
    ids=["model", "input", "form"],
)
async def test_B16_what_is_wrong_is_refused_before_any_upstream_is_asked(body: Any, param: str) -> None:
    asked = await embed({"input": "x", **body})
    assert (asked.answer.status, asked.json["error"]["param"]) == (400, param)
    assert asked.upstream.calls == []


async def test_others_C32_deployment_has_embeddings() -> None:
    path = "/openai/deployments/chat/m/embeddings"
    asked = await ask(
        "chat", "chat", {"messages": ..., "model": ..., "input": "x"}, vectors([1.0], usage=USAGE), path=path
    )
    assert (asked.answer.status, asked.sent["model"]) == (200, "m")


@pytest.mark.parametrize(
    ("key", "path", "field"), [("max_inputs", PATH, "input"), ("max_prompts", "/v1/completions", "prompt")]
)
async def test_operator_bounds_a_batch(key: str, path: str, field: str) -> None:
    body = {"messages": ..., field: ["a", "b", "c"]}
    asked = await ask("chat", "chat", body, profile="lenient", path=path, limits={key: 2})
    assert (asked.answer.status, asked.json["error"]["param"]) == (400, field)
    assert asked.upstream.calls == []
