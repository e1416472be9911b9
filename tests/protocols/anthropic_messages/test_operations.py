"""Token counts, lists of models, and what routing reads of a call."""

import json
from typing import Any

import anthropic
import httpx2
import pytest

from asgi_ds2api.canonical import Model, Notices, TokenCount
from asgi_ds2api.codec import Envelope, HTTPCall, Operation
from asgi_ds2api.errors import Malformed, MalformedRequest
from asgi_ds2api.profiles import Profile
from asgi_ds2api.protocols import anthropic_messages as codec
from tests.support.recorded import Recording, recorded_params

from .calls import ANTHROPIC, call, chat, native, say, user
from .normal import normal_request

MODELS = [Model(id=f"m{n}", owner="u", created=1_700_000_000 + n) for n in range(50)]


def page(**query: str) -> dict[str, Any]:
    written: dict[str, Any] = json.loads(codec.encode_models(MODELS, query))
    return written


class TestModels:
    @pytest.mark.parametrize(
        ("query", "first", "last", "has_more"),
        [
            ({}, "m0", "m19", True),
            ({"limit": "1000"}, "m0", "m49", False),
            ({"limit": "5", "after_id": "m9"}, "m10", "m14", True),
            ({"limit": "5", "after_id": "m44"}, "m45", "m49", False),
            ({"limit": "5", "before_id": "m10"}, "m5", "m9", True),
            ({"limit": "50", "before_id": "m3"}, "m0", "m2", False),
            ({"after_id": "m49"}, None, None, False),
            ({"before_id": "m0"}, None, None, False),
            ({"after_id": "unknown"}, None, None, False),
        ],
    )
    def test_pages_C38(self, query: dict[str, str], first: str | None, last: str | None, has_more: bool) -> None:
        written = page(**query)
        assert (written["first_id"], written["last_id"], written["has_more"]) == (first, last, has_more)
        assert len(written["data"]) <= int(query.get("limit", "20"))

    @pytest.mark.parametrize("limit", ["0", "1001", "-1", "x", "1.5", "", "٣"])
    def test_a_limit_is_a_number_in_its_range(self, limit: str) -> None:
        with pytest.raises(MalformedRequest) as caught:
            page(limit=limit)
        assert caught.value.param == "limit"

    def test_a_model_C38(self) -> None:
        assert json.loads(codec.encode_model(MODELS[0])) == {
            "type": "model",
            "id": "m0",
            "display_name": "m0",
            "created_at": "2023-11-14T22:13:20Z",
            "lifecycle": "active",
        }

    @pytest.mark.parametrize("created", [-1, 10**15])
    def test_a_date_that_is_none_is_clamped(self, created: int) -> None:
        assert json.loads(codec.encode_model(Model(id="m", owner="u", created=created)))["created_at"]

    def test_the_sdk_pages_through_them_C38(self) -> None:
        def respond(request: httpx2.Request) -> httpx2.Response:
            return httpx2.Response(200, content=codec.encode_models(MODELS, dict(request.url.params)))

        with httpx2.Client(transport=httpx2.MockTransport(respond)) as http:
            client = anthropic.Anthropic(api_key="k", base_url="http://test", http_client=http)
            assert [model.id for model in client.models.list(limit=7)] == [model.id for model in MODELS]

    def test_a_shared_path_is_claimed_by_the_version_header_C38(self) -> None:
        assert codec.claims(HTTPCall(method="GET", path="/v1/models", headers={"anthropic-version": "2023-06-01"}))
        assert not codec.claims(HTTPCall(method="GET", path="/v1/models"))


class TestCounts:
    def test_a_count_is_written_and_read(self) -> None:
        count = TokenCount(input_tokens=7)
        assert codec.decode_token_count(codec.encode_token_count(count)) == count

    @pytest.mark.parametrize("body", [b"", b"{}", b'{"input_tokens":-1}', b'{"input_tokens":"1"}', b"[]"])
    def test_what_is_no_count_is_malformed(self, body: bytes) -> None:
        with pytest.raises(Malformed):
            codec.decode_token_count(body)

    @pytest.mark.parametrize("record", recorded_params("anthropic-count", status=200))
    def test_recorded_counts_are_asked_and_read(self, record: Recording) -> None:
        body = record.request.body
        assert body is not None
        request = codec.decode_request(call(body, path="/v1/messages/count_tokens"))
        written = codec.encode_count_request(request, ANTHROPIC, Notices())
        assert written is not None
        assert written.path == "/v1/messages/count_tokens"
        assert normal_request(json.loads(written.body)) == normal_request(body)
        assert codec.decode_token_count(record.response.body).input_tokens > 0

    def test_a_count_takes_no_settings_of_the_answer(self) -> None:
        request = native(
            stream=True,
            metadata={"user_id": "u"},
            stop_sequences=["a"],
            temperature=0.5,
            service_tier="auto",
            system="s",
            output_config={"effort": "low"},
        )
        written = codec.encode_count_request(request, ANTHROPIC, Notices())
        assert written is not None
        assert json.loads(written.body).keys() == {"model", "messages", "system", "output_config"}

    def test_a_request_of_another_protocol_can_be_counted(self) -> None:
        written = codec.encode_count_request(chat(say("system", "s"), say("user", "hi")), ANTHROPIC, Notices())
        assert written is not None
        assert json.loads(written.body) == {"model": "claude-sonnet-4-5", "messages": [user("hi")], "system": "s"}


def peek(body: object, operation: Operation = "generate", **headers: str) -> Envelope:
    return codec.peek(call(body, headers={n.replace("_", "-"): v for n, v in headers.items()}), operation)


class TestEnvelope:
    @pytest.mark.parametrize(
        ("body", "envelope"),
        [
            ({"model": "m"}, Envelope(model="m")),
            ({"model": "m", "stream": True, "messages": 5}, Envelope(model="m", stream=True)),
            ({"model": "m", "stream": None}, Envelope(model="m")),
            ({"model": "m", "metadata": {"user_id": "u"}}, Envelope(model="m")),
            (
                {"model": "m", "metadata": {"user_id": "user_1_account_2_session_3"}},
                Envelope(model="m", session="user_1_account_2_session_3"),
            ),
            ({"model": "m", "metadata": [1]}, Envelope(model="m")),
        ],
    )
    def test_what_routing_needs(self, body: object, envelope: Envelope) -> None:
        assert peek(body) == envelope

    def test_the_session_is_told_by_the_client(self) -> None:
        assert peek({"model": "m", "metadata": {"user_id": "u"}}, x_claude_code_session_id="s").session == "s"

    def test_a_count_is_no_stream(self) -> None:
        assert peek({"model": "m", "stream": True}, "count_tokens") == Envelope(model="m", operation="count_tokens")

    def test_of_two_models_the_last_counts_B13(self) -> None:
        body = b'{"model":"allowed","model":"forbidden"}'
        assert peek(body).model == "forbidden"
        written = codec.retarget(call(body), "x", ANTHROPIC, "generate")
        assert written.body == b'{"model":"x"}'

    @pytest.mark.parametrize(
        ("body", "code", "param"),
        [
            ({}, "missing_required_parameter", "model"),
            ({"model": 5}, "invalid_type", "model"),
            ({"model": "m", "stream": "true"}, "invalid_type", "stream"),
            (b"{", "invalid_json", None),
        ],
    )
    def test_what_is_wrong_is_named(self, body: object, code: str, param: str | None) -> None:
        with pytest.raises(MalformedRequest) as caught:
            peek(body)
        assert (caught.value.code, caught.value.param) == (code, param)

    def test_retargeting_changes_the_model_alone_C28(self) -> None:
        body = b'{ "model" : "a","x":[1, 2.50],\n"messages":[{"role" : "user","content":"\\u00e9"}] }'
        headers = {"anthropic-version": "2026-10-21", "anthropic-beta": "b", "x-session-id": "s"}
        written = codec.retarget(call(body, headers=headers), "claude-x", ANTHROPIC, "generate")
        assert written == HTTPCall(
            method="POST",
            path="/v1/messages",
            body=b'{"model":"claude-x","x":[1, 2.50],"messages":[{"role" : "user","content":"\\u00e9"}]}',
            headers={"anthropic-version": "2026-10-21", "anthropic-beta": "b"},
        )

    def test_paths_and_versions_of_upstreams(self) -> None:
        profile = Profile(path="/models/{model}/messages", version="v", query={"q": "1"})
        written = codec.retarget(call({"model": "a"}), "org/m 1", profile, "count_tokens")
        assert (written.path, written.query, written.headers["anthropic-version"]) == (
            "/models/org%2Fm%201/messages/count_tokens",
            {"q": "1"},
            "v",
        )
        assert (
            codec.retarget(call({"model": "a"}), "m", ANTHROPIC, "generate").headers["anthropic-version"]
            == "2023-06-01"
        )

    @pytest.mark.parametrize("name", ["api_base", "base_url", "api_key", "proxy", "timeout"])
    def test_fields_that_steer_gateways_are_refused_B33(self, name: str) -> None:
        with pytest.raises(MalformedRequest) as caught:
            codec.retarget(call({"model": "m", name: "x"}), "m", ANTHROPIC, "generate")
        assert (caught.value.code, caught.value.param) == ("reserved_field", name)

    def test_paths_of_the_face_C01(self) -> None:
        posts = {route.path: route.operation for route in codec.ROUTES if route.method == "POST"}
        assert posts == {
            "/v1/messages": "generate",
            "/messages": "generate",
            "/v1/messages/count_tokens": "count_tokens",
            "/messages/count_tokens": "count_tokens",
        }
