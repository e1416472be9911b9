"""Every path of Google's: what is served under it, and what is said where nothing is."""

import json
from typing import Any

import httpx
import openai
import pytest
from google import genai
from google.genai import errors as genai_errors

from asgi_ds2api import Gateway
from asgi_ds2api.testing import FakeUpstream
from tests.support.asgi_driver import call
from tests.support.gateways import make_gateway, upstream
from tests.support.scripted_client import ScriptedUpstream, answering
from tests.support.serving import serve

from .asking import HELLO, chat_answer, chat_stream, chunk

pytestmark = pytest.mark.anyio

VERSIONS = ("v1", "v1beta", "v1alpha", "v1beta1")


@pytest.mark.parametrize("version", VERSIONS)
async def test_openai_face_of_google_is_the_chat_face(version: str) -> None:
    vectors = {"object": "list", "model": "e", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}]}
    scripted = ScriptedUpstream(chat_answer(), answering(vectors))
    gateway = make_gateway(upstream("chat"), scripts={"chat": scripted})
    base = f"/{version}/openai"
    body = {"model": "chat/m", "messages": HELLO}
    answer = await call(gateway, "POST", f"{base}/chat/completions", json=body)
    assert json.loads(answer.body)["object"] == "chat.completion"
    made = await call(gateway, "POST", f"{base}/embeddings", json={"model": "chat/m", "input": "x"})
    assert json.loads(made.body)["data"][0]["object"] == "embedding"
    listed = await call(gateway, "GET", f"{base}/models", headers={"x-goog-api-key": "any"})
    assert json.loads(listed.body)["object"] == "list"
    one = await call(gateway, "GET", f"{base}/models/chat/m")
    assert (one.status, json.loads(one.body)["id"]) == (200, "chat/m")
    refused = await call(gateway, "POST", f"{base}/chat/completions", json={"messages": HELLO})
    assert (refused.status, json.loads(refused.body)["error"]["param"]) == (400, "model")


@pytest.mark.parametrize(
    ("verb", "told"), [("generateContent", b"{"), ("streamGenerateContent", b"["), ("countTokens", b"{")]
)
async def test_slash_behind_a_verb_changes_nothing(verb: str, told: bytes) -> None:
    """Some clients' base paths end in one (trap 35); the model's name does not get it."""
    scripted = ScriptedUpstream(chat_stream(chunk({"content": "Hi"}, "stop")) if told == b"[" else chat_answer())
    gateway = make_gateway(upstream("chat"), scripts={"chat": scripted})
    body = {"contents": [{"parts": [{"text": "Hi"}]}]}
    answer = await call(gateway, "POST", f"/v1beta/models/chat/m:{verb}/", json=body)
    assert (answer.status, answer.body[:1]) == (200, told)
    assert [made.json()["model"] for made in scripted.calls] in ([], ["m"])


@pytest.mark.parametrize("version", VERSIONS)
async def test_tuned_models_are_told_as_models_are(version: str) -> None:
    gateway = make_gateway(upstream("chat"))
    one = await call(gateway, "GET", f"/{version}/tunedModels/chat/m")
    assert (one.status, json.loads(one.body)["name"]) == (200, "models/chat/m")
    listed = await call(gateway, "GET", f"/{version}/tunedModels")
    assert json.loads(listed.body)["models"]
    unknown = await call(gateway, "GET", f"/{version}/tunedModels/nobody")
    assert (unknown.status, json.loads(unknown.body)["error"]["status"]) == (404, "NOT_FOUND")


NOT_SERVED = {
    "cachedContents": ("POST", "cachedContents", "without cachedContent"),
    "one-cache": ("PATCH", "cachedContents/1", "without cachedContent"),
    "interactions": ("POST", "interactions", "/v1/responses"),
    "one-interaction": ("GET", "interactions/1", "/v1/responses"),
    "cancelled": ("POST", "interactions/1/cancel", "/v1/responses"),
    "batch": ("POST", "models/m:batchGenerateContent", "one by one"),
    "batches": ("GET", "batches/1", "one by one"),
    "stores": ("POST", "fileSearchStores", "in the request"),
    "corpora": ("GET", "corpora", "in the request"),
    "tuning": ("POST", "tunedModels", "at the vendor"),
    "live": ("POST", "auth_tokens", "streamGenerateContent"),
    "predict": ("POST", "models/m:predict", "generateContent"),
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("method", "path", "advice"), NOT_SERVED.values(), ids=NOT_SERVED)
async def test_what_is_not_served_is_unimplemented_and_says_what_to_do(
    method: str, path: str, advice: str, version: str
) -> None:
    gateway = make_gateway(upstream("chat"))
    answer = await call(gateway, method, f"/{version}/{path}", json={"model": "chat/m"})
    error = json.loads(answer.body)["error"]
    assert (answer.status, error["code"], error["status"]) == (501, 501, "UNIMPLEMENTED")
    assert advice in error["message"]
    assert answer.header("x-ds2api-error") == "not_served"


def config(url: str) -> dict[str, Any]:
    account = {"label": "a", "key": lambda: "sk-0123456789abcdef"}
    chat = {"name": "chat", "protocol": "openai_chat", "base_url": f"{url}/v1", "accounts": [account], "models": ["*"]}
    return {"auth": "none", "upstreams": [chat], "models": [{"name": "m", "targets": ["chat/m"]}]}


def test_official_clients_find_what_google_has_and_are_told_what_is_not() -> None:
    with FakeUpstream() as fake, serve(Gateway(config(fake.url))) as server:
        chat = openai.OpenAI(base_url=f"{server.url}/v1beta/openai", api_key="k", max_retries=0)
        assert chat.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}]).choices
        assert [model.id for model in chat.models.list().data]
        assert chat.embeddings.create(model="m", input="x").data
        google = genai.Client(api_key="k", http_options={"base_url": server.url})
        assert google.models.get(model="tunedModels/m").name == "models/m"
        with pytest.raises(genai_errors.ServerError) as caught:
            google.caches.create(model="m", config={"contents": "x"})
        assert (caught.value.code, caught.value.status) == (501, "UNIMPLEMENTED")
        assert httpx.post(f"{server.url}/v1beta/interactions", json={}).status_code == 501
