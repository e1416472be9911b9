"""OpenAI's embeddings: every form of input and of a vector, and what is refused."""

import base64
import json
import struct
from typing import Any

import pytest

from asgi_ds2api.canonical import EmbeddingInput, Embeddings, EmbeddingsRequest, Notices, Usage
from asgi_ds2api.codec import Envelope, HTTPCall, RequestLimits
from asgi_ds2api.errors import Malformed, MalformedRequest, RateLimited, Unsupported
from asgi_ds2api.profiles import PROFILES
from asgi_ds2api.protocols import openai_chat
from asgi_ds2api.protocols.openai_chat import embeddings

OPENAI, LENIENT, AZURE = PROFILES["openai"], PROFILES["lenient"], PROFILES["azure"]


def call(body: Any, path: str = "/v1/embeddings") -> HTTPCall:
    return HTTPCall(method="POST", path=path, body=json.dumps(body).encode())


def asked(**fields: Any) -> EmbeddingsRequest:
    return embeddings.decode_embeddings_request(call({"model": "m", **fields}))


def sent(request: EmbeddingsRequest, profile: Any = LENIENT) -> Any:
    return json.loads(embeddings.encode_embeddings_request(request, profile, Notices()).body)


@pytest.mark.parametrize(
    ("given", "inputs"),
    [
        ("one", [("one", None, "input")]),
        ("", [("", None, "input")]),
        (["one", "two"], [("one", None, "input[0]"), ("two", None, "input[1]")]),
        ([1, 2], [(None, (1, 2), "input")]),
        ([[1, 2], [3]], [(None, (1, 2), "input[0]"), (None, (3,), "input[1]")]),
        (["one", [3]], [("one", None, "input[0]"), (None, (3,), "input[1]")]),
    ],
)
def test_every_form_of_input_is_read(given: Any, inputs: list[tuple[Any, ...]]) -> None:
    assert [(item.text, item.tokens, item.at) for item in asked(input=given).inputs] == inputs


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({}, "missing_required_parameter", "input"),
        ({"input": None}, "missing_required_parameter", "input"),
        ({"input": []}, "empty_array", "input"),
        ({"input": {"text": "x"}}, "invalid_type", "input"),
        ({"input": 5}, "invalid_type", "input"),
        ({"input": [1, "x"]}, "invalid_type", "input[0]"),
        ({"input": ["x", 1]}, "invalid_type", "input[1]"),
        ({"input": ["x", None]}, "invalid_type", "input[1]"),
        ({"input": [[1], ["x"]]}, "invalid_type", "input[1][0]"),
        ({"input": [True]}, "invalid_type", "input[0]"),
        ({"input": [-1]}, "invalid_value", "input[0]"),
        ({"input": ["x"] * 2_049}, "array_above_max_length", "input"),
        ({"input": "x", "dimensions": "256"}, "invalid_type", "dimensions"),
        ({"input": "x", "dimensions": 1.5}, "invalid_type", "dimensions"),
        ({"input": "x", "user": 5}, "invalid_type", "user"),
    ],
)
def test_B16_B17_what_is_wrong_is_named(fields: dict[str, Any], code: str, param: str) -> None:
    with pytest.raises(MalformedRequest) as caught:
        asked(**fields)
    assert (caught.value.code, caught.value.param) == (code, param)


def test_many_tokens_are_one_input() -> None:
    assert len(asked(input=list(range(8_000))).inputs) == 1
    with pytest.raises(MalformedRequest):
        embeddings.decode_embeddings_request(call({"model": "m", "input": ["a", "b"]}), RequestLimits(max_inputs=1))


@pytest.mark.parametrize(
    ("fields", "form"), [({}, "float"), ({"encoding_format": None}, "float"), ({"encoding_format": "base64"}, "base64")]
)
def test_envelope_tells_the_form_that_is_wanted(fields: dict[str, Any], form: str) -> None:
    envelope = openai_chat.peek(call({"model": "m", "input": 5, "user": "u", **fields}), "embed")
    assert envelope == Envelope(operation="embed", model="m", session="u", vectors=form)  # type: ignore[arg-type]  # a parameter


@pytest.mark.parametrize("form", ["int8", 5, True])
def test_form_that_nobody_knows_is_refused(form: Any) -> None:
    with pytest.raises(MalformedRequest) as caught:
        openai_chat.peek(call({"model": "m", "input": "x", "encoding_format": form}), "embed")
    assert caught.value.param == "encoding_format"


def test_model_may_stand_in_the_path_alone() -> None:
    named = HTTPCall(method="POST", path="/x", body=b'{"input":"x"}', model="deployed")
    assert openai_chat.peek(named, "embed").model == "deployed"
    with pytest.raises(MalformedRequest):
        openai_chat.peek(call({"input": "x"}), "embed")


def test_relayed_request_keeps_every_value_but_the_model() -> None:
    body = b'{"model":"asked","input":[ "a" ],"encoding_format":null,"novel":{"a":1.0}}'
    moved = openai_chat.retarget(HTTPCall(method="POST", path="/x", body=body), "theirs", OPENAI, "embed")
    assert (moved.path, moved.body) == (
        "/embeddings",
        b'{"model":"theirs","input":[ "a" ],"encoding_format":null,"novel":{"a":1.0}}',
    )


def test_R_30_absent_stays_absent_and_the_form_is_asked_of_the_vendor_alone() -> None:
    request = asked(input="x", encoding_format="base64", user=None, dimensions=None)
    assert sent(request) == {"input": ["x"], "model": "m"}
    assert sent(request, OPENAI) == {"input": ["x"], "model": "m", "encoding_format": "base64"}


def test_what_came_goes_on_to_a_look_alike() -> None:
    request = asked(input=[[1, 2]], dimensions=8.0, user="u", input_type="query")
    body = {"input": [[1, 2]], "model": "m", "dimensions": 8, "user": "u", "input_type": "query"}
    assert sent(request) == body


def test_fields_that_steer_gateways_are_not_sent_and_said() -> None:
    notices = Notices()
    call_ = embeddings.encode_embeddings_request(asked(input="x", api_base="http://x", extra_body={}), LENIENT, notices)
    assert json.loads(call_.body) == {"input": ["x"], "model": "m"}
    assert [(notice.path, notice.severity) for notice in notices] == [("api_base", "lost"), ("extra_body", "lost")]


def test_path_is_beside_that_of_the_main_operation() -> None:
    path = embeddings.encode_embeddings_request(asked(input="x"), AZURE, Notices()).path
    assert path == "/openai/deployments/m/embeddings"


def test_foreign_tokens_are_refused_by_their_place() -> None:
    foreign = EmbeddingsRequest(
        source="cohere_chat", model="m", inputs=(EmbeddingInput(text="x"), EmbeddingInput(tokens=(1,), at="there"))
    )
    with pytest.raises(Unsupported) as caught:
        sent(foreign)
    assert (caught.value.code, caught.value.param) == ("unsupported_value", "there")


def packed(*numbers: float) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def answer(*vectors: Any, **fields: Any) -> bytes:
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    usage = {"prompt_tokens": 3, "total_tokens": 3}
    return json.dumps({"object": "list", "data": data, "model": "theirs", "usage": usage, **fields}).encode()


def test_answer_is_read_in_either_form() -> None:
    told = embeddings.decode_embeddings(answer([0.5, -1, 2e-3], packed(0.5, -1.0), novel=1), LENIENT)
    assert told.vectors == ((0.5, -1.0, 2e-3), (0.5, -1.0))
    assert (told.model, told.usage, list(told.extras)) == ("theirs", Usage(input_total=3), ["novel"])


def test_vectors_are_put_in_the_order_of_their_numbers() -> None:
    data = [{"index": 1, "embedding": [1.0]}, {"index": 0, "embedding": [0.0]}]
    assert embeddings.decode_embeddings(json.dumps({"data": data}).encode(), LENIENT).vectors == ((0.0,), (1.0,))


@pytest.mark.parametrize(
    "body",
    [
        answer(),
        b"{}",
        b'{"data":null}',
        b'{"data":{"embedding":[1.0]}}',
        b'{"data":[{"index":0}]}',
        answer(["x"]),
        answer("!!!!"),
        answer("AAA="),
        answer(""),
        answer(base64.b64encode(struct.pack("<f", float("nan"))).decode()),
        answer(base64.b64encode(struct.pack("<f", float("inf"))).decode()),
        b"<html>",
        b"[1.0]",
    ],
    ids=lambda body: body[:40].decode(),
)
def test_answer_that_is_none_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        embeddings.decode_embeddings(body, LENIENT)


@pytest.mark.parametrize("read", [lambda body: embeddings.decode_embeddings(body, LENIENT), embeddings.tap_embeddings])
def test_error_inside_a_200_is_one(read: Any) -> None:
    with pytest.raises(RateLimited):
        read(b'{"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"}}')


def written(vectors: tuple[tuple[float, ...], ...], form: str, source: Any = "openai_chat", **fields: Any) -> Any:
    envelope = Envelope(operation="embed", model="asked", vectors=form)  # type: ignore[arg-type]  # a parameter
    told = Embeddings(source=source, model="theirs", vectors=vectors, **fields)
    notices = Notices()
    return json.loads(embeddings.encode_embeddings(told, envelope, notices)), notices


def test_answer_is_written_in_the_form_that_was_asked_for() -> None:
    usage = Usage(input_total=3)
    plain, _ = written(((0.5, -1.0),), "float", usage=usage)
    assert plain == {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -1.0]}],
        "model": "asked",
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
    }
    assert written(((0.5, -1.0),), "base64")[0]["data"][0]["embedding"] == packed(0.5, -1.0)


def test_number_beyond_32_bits_has_no_packed_form() -> None:
    with pytest.raises(Malformed):
        written(((1e300,),), "base64")


def test_unknown_fields_are_kept_within_the_protocol_and_told_of_another() -> None:
    assert written(((1.0,),), "float", extras={"novel": 1})[0]["novel"] == 1
    body, notices = written(((1.0,),), "float", source="cohere_chat", extras={"novel": 1})
    assert "novel" not in body
    assert [notice.path for notice in notices] == ["novel"]


def test_what_stands_beside_a_vector_comes_out_as_it_went_in_and_in_its_place() -> None:
    data = [
        {"object": "embedding", "index": 1, "embedding": [2.0], "novel": 2},
        {"object": "embedding", "index": 0, "embedding": [1.0]},
    ]
    told = json.dumps({"object": "list", "data": data, "model": "m"}).encode()
    read = embeddings.decode_embeddings(told, LENIENT)
    written = json.loads(embeddings.encode_embeddings(read, Envelope(model="m", operation="embed"), Notices()))
    assert written["data"] == [data[1], data[0]]
