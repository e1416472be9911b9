"""The smaller operations, what routing reads of a request, and the same request for another model."""

import json
from typing import Any

import msgspec
import pytest

from asgi_ds2api.canonical import Model, Notices, TokenCount
from asgi_ds2api.codec import HTTPCall
from asgi_ds2api.errors import Malformed, MalformedRequest
from asgi_ds2api.protocols import openai_chat as codec

from .calls import MODEL, OPENAI, body, call, native

MODELS = (Model(id="a/b:free", owner="one", created=5), Model(id="c", owner="two"))


def test_models_are_listed_as_the_vendor_does() -> None:
    listed = json.loads(codec.encode_models(MODELS, {"limit": "1"}))
    assert listed == {
        "object": "list",
        "data": [
            {"id": "a/b:free", "object": "model", "created": 5, "owned_by": "one"},
            {"id": "c", "object": "model", "created": 0, "owned_by": "two"},
        ],
    }
    assert json.loads(codec.encode_model(MODELS[0])) == listed["data"][0]


def test_tokens_are_counted_by_nobody_here() -> None:
    assert codec.COUNTS_TOKENS is False
    assert codec.encode_count_request(native(), OPENAI, Notices()) is None
    with pytest.raises(Malformed):
        codec.decode_token_count(b'{"input_tokens":1}')
    assert json.loads(codec.encode_token_count(TokenCount(input_tokens=3)))["input_tokens"] == 3


def peeked(headers: dict[str, str] | None = None, **fields: Any) -> Any:
    return codec.peek(call(body(**fields), headers=headers), "generate")


PEEKED: list[Any] = [
    pytest.param({}, {"model": MODEL, "stream": False, "choices": 1, "include_usage": False}, id="minimal"),
    pytest.param({"stream": None}, {"stream": False}, id="openai-C38-stream-null"),
    pytest.param({"stream": True}, {"stream": True, "include_usage": False}, id="openai-C02-stream"),
    pytest.param({"stream": True, "stream_options": {"include_usage": True}}, {"include_usage": True}, id="openai-C03"),
    pytest.param({"stream_options": None}, {"include_usage": False}, id="options-null"),
    pytest.param({"n": 3}, {"choices": 3}, id="n"),
    pytest.param({"n": 3.0}, {"choices": 3}, id="B17-n-float"),
    pytest.param({"functions": [{"name": "f"}]}, {"legacy_functions": True}, id="openai-C36-functions"),
    pytest.param({"functions": [{"name": "f"}], "tools": []}, {"legacy_functions": False}, id="functions-and-tools"),
    pytest.param({"functions": None}, {"legacy_functions": False}, id="functions-null"),
    pytest.param({"reasoning": {"effort": "low"}}, {"include_reasoning_details": True}, id="reasoning"),
    pytest.param({"include_reasoning": True}, {"include_reasoning_details": True}, id="include"),
    pytest.param(
        {"include_reasoning": False, "reasoning": {}}, {"include_reasoning_details": False}, id="include-false"
    ),
    pytest.param({"reasoning_effort": "low"}, {"include_reasoning_details": False}, id="effort"),
    pytest.param(
        {"messages": [{"role": "assistant", "content": "a", "reasoning_details": []}]},
        {"include_reasoning_details": True},
        id="sent-back",
    ),
    pytest.param({"prompt_cache_key": "k", "safety_identifier": "s", "user": "u"}, {"session": "k"}, id="cache-key"),
    pytest.param({"safety_identifier": "s", "user": "u"}, {"session": None}, id="a-user-is-no-conversation"),
]


@pytest.mark.parametrize(("fields", "expected"), PEEKED)
def test_routing_reads_what_it_needs(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    envelope = peeked(**fields)
    assert {name: getattr(envelope, name) for name in expected} == expected


@pytest.mark.parametrize("header", ["x-session-affinity", "session_id", "session-id", "x-session-id"])
def test_a_header_names_the_conversation_narrower_than_the_user(header: str) -> None:
    assert peeked({header: "h"}, user="u").session == "h"
    assert peeked({header: "h"}, prompt_cache_key="k").session == "k"


@pytest.mark.parametrize(
    ("data", "code", "param"),
    [
        pytest.param(b"{}", "missing_required_parameter", "model", id="no-model"),
        pytest.param(b'{"model":5}', "invalid_type", "model", id="model-number"),
        pytest.param(b'{"model":"m","stream":"yes"}', "invalid_type", "stream", id="stream-text"),
        pytest.param(b'{"model":"m","n":1.5}', "invalid_type", "n", id="n-fraction"),
        pytest.param(b"[]", "invalid_type", None, id="list"),
    ],
)
def test_a_wrong_field_of_the_envelope_is_named(data: bytes, code: str, param: str | None) -> None:
    with pytest.raises(MalformedRequest) as caught:
        codec.peek(HTTPCall(method="POST", path="/", body=data), "generate")
    assert (caught.value.code, caught.value.param) == (code, param)


def test_only_the_models_name_is_another_byte_for_byte() -> None:
    data = b'{ "model" : "alias", "x":1.0,"messages":[ {"role":"user","content":"\\u00e9"} ],"b":{"model":"alias"} }'
    profile = msgspec.structs.replace(OPENAI, path="/d/{model}", query={"api-version": "1"})
    written = codec.retarget(call(data, headers={"openai-beta": "x", "cookie": "c"}), "org/new", profile, "generate")
    assert written.body == (
        b'{"model":"org/new","x":1.0,"messages":[ {"role":"user","content":"\\u00e9"} ],"b":{"model":"alias"}}'
    )
    assert (written.path, written.query, written.headers) == (
        "/d/org%2Fnew",
        {"api-version": "1"},
        {"openai-beta": "x"},
    )


@pytest.mark.parametrize("name", ["api_base", "api_key", "base_url", "timeout"])
def test_a_field_that_would_steer_the_gateway_is_refused_B33(name: str) -> None:
    with pytest.raises(MalformedRequest) as caught:
        codec.retarget(call(body(**{name: "x"})), "m", OPENAI, "generate")
    assert (caught.value.code, caught.value.param) == ("reserved_field", name)


def test_a_shared_path_is_left_to_others() -> None:
    assert codec.claims(HTTPCall(method="GET", path="/v1/models")) is False


def test_every_face_has_its_routes() -> None:
    found = {(route.method, route.path, route.operation) for route in codec.ROUTES}
    asked = {"chat/completions": "generate", "completions": "complete", "embeddings": "embed"}
    bases = ("", "/v1", "/deployments/{model}")
    faces = {("POST", f"{base}/{path}", operation) for base in bases for path, operation in asked.items()}
    google = "/{v1|v1beta|v1alpha|v1beta1}/openai"
    faces |= {("POST", f"{google}/{path}", asked[path]) for path in ("chat/completions", "embeddings")}
    lists = {("GET", f"{base}/models", "list_models") for base in ("", "/v1", google)}
    assert found == faces | lists | {("GET", f"{path}/{{model}}", "get_model") for _, path, _ in lists}
