"""The same gateway inside each kind of host, under a real uvicorn, asked by a real client."""

from collections.abc import Iterator

import httpx
import pytest
from anthropic import Anthropic

from asgi_ds2api import Gateway
from asgi_ds2api.testing import FakeUpstream
from tests.support.serving import serve

from .apps import HOSTS, PAGE

KEY = "key-of-the-fake-0123456789"


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeUpstream]:
    with FakeUpstream(keys=[KEY]) as running:
        yield running


def gateway_for(fake: FakeUpstream) -> Gateway:
    return Gateway(
        {
            "auth": "none",
            "upstreams": [
                {
                    "name": "claude",
                    "protocol": "anthropic_messages",
                    "base_url": fake.url,
                    "accounts": [{"label": "a", "key": lambda: KEY}],
                    "models": ["demo"],
                }
            ],
        }
    )


@pytest.fixture(params=sorted(HOSTS))
def url(request: pytest.FixtureRequest, fake: FakeUpstream) -> Iterator[str]:
    name: str = request.param
    with serve(HOSTS[name](gateway_for(fake)), lifespan="off" if name == "bare" else "auto") as served:
        yield served.url


def test_hosts_own_page_is_as_it_was(url: str) -> None:
    answer = httpx.get(f"{url}/page", trust_env=False)
    assert (answer.status_code, answer.text) == (200, PAGE)
    assert "x-request-id" not in answer.headers


def test_gateway_is_alive_under_its_prefix(url: str) -> None:
    for path in ("/ai", "/ai/"):
        answer = httpx.get(f"{url}{path}", trust_env=False, follow_redirects=True)
        assert (answer.status_code, answer.json()["status"]) == (200, "ok")


def test_sdk_is_answered_whole_and_streamed(url: str) -> None:
    with Anthropic(base_url=f"{url}/ai", api_key="any") as client:
        whole = client.messages.create(model="demo", max_tokens=99, messages=[{"role": "user", "content": "hi"}])
        with client.messages.stream(
            model="demo", max_tokens=99, messages=[{"role": "user", "content": "hi"}]
        ) as stream:
            streamed = stream.get_final_message()
    assert whole.content[0].type == "text"
    assert "hi" in whole.content[0].text
    assert streamed.content[0].type == "text"
    assert streamed.content[0].text == whole.content[0].text


def test_unknown_path_under_the_prefix_is_the_gateways_404(url: str) -> None:
    answer = httpx.get(f"{url}/ai/page", trust_env=False)
    assert answer.status_code == 404
    assert answer.headers["x-ds2api-error"] == "unknown_url"


def test_several_prefixes_lead_to_one_gateway(fake: FakeUpstream) -> None:
    with serve(HOSTS["fastapi"](gateway_for(fake))) as served:
        answer = httpx.get(f"{served.url}/also/here/v1/models", trust_env=False)
    assert answer.status_code == 200


def test_gateway_is_a_whole_app(fake: FakeUpstream) -> None:
    with serve(gateway_for(fake), lifespan="on") as served:
        answer = httpx.get(f"{served.url}/v1/models", headers={"anthropic-version": "2023-06-01"}, trust_env=False)
    assert [model["id"] for model in answer.json()["data"]] == ["demo"]
