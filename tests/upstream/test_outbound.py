"""The request that goes out: what a caller may add to it, and what only the configuration says.

A request goes the way that it goes in the gateway: `read_headers`, then the codec, which relays or translates it, then
`build`. Promise 3 of the README rests on this: a key goes to the host that it was configured for, and nothing that a
caller sends changes where we connect.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from asgi_ds2api.canonical import Notices, ProtocolName
from asgi_ds2api.codec import HTTPCall
from asgi_ds2api.errors import InternalError
from asgi_ds2api.headers import FORWARDED, READ, read_headers
from asgi_ds2api.profiles import PROFILES, Profile
from asgi_ds2api.protocols import PROTOCOLS
from asgi_ds2api.secret import Secret
from asgi_ds2api.upstream.contract import CallBounds, UpstreamRequest
from asgi_ds2api.upstream.outbound import build, credential
from tests.support.canary import CANARY

BASE = "https://api.example:8443/base"
KEY = Secret(CANARY)
BODY = msgspec.json.encode({"model": "asked", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]})
FORBIDDEN = [
    *sorted(READ - FORWARDED),
    *("authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie", "proxy-authorization"),
    *("openai-organization", "openai-project", "x-forwarded-for", "x-forwarded-host", "forwarded", "via", "origin"),
    *("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect"),
    *("host", "content-type", "content-length", "content-encoding", "accept-encoding"),
]
WAYS: dict[str, tuple[ProtocolName, ProtocolName]] = {
    "relay-chat": ("openai_chat", "openai_chat"),
    "relay-claude": ("anthropic_messages", "anthropic_messages"),
    "translate-chat-to-chat": ("openai_chat", "openai_chat"),
    "translate-claude-to-claude": ("anthropic_messages", "anthropic_messages"),
    "translate-chat-to-claude": ("openai_chat", "anthropic_messages"),
    "translate-claude-to-chat": ("anthropic_messages", "openai_chat"),
}
VERSIONS = {
    "relay-claude": {b"anthropic-version": b"2023-06-01"},
    "translate-claude-to-claude": {b"anthropic-version": b"2023-06-01"},
    "translate-chat-to-claude": {b"anthropic-version": b"2026-10-21"},
}
"""What a protocol says of itself in every request."""
every_way = pytest.mark.parametrize("way", WAYS)
every_profile = pytest.mark.parametrize("name", PROFILES)


def written(way: str, headers: Mapping[str, str], profile: Profile) -> HTTPCall:
    """Return what a codec writes for a caller's request with such headers."""
    face, upstream = (PROTOCOLS[name] for name in WAYS[way])
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    call = HTTPCall(method="POST", path="/v1/any", body=BODY, headers=read_headers(raw))
    if way.startswith("relay"):
        return upstream.retarget(call, "served", profile, "generate")
    request = msgspec.structs.replace(face.decode_request(call), model="served")
    return upstream.encode_request(request, profile, Notices())


def profile_of(way: str) -> Profile:
    return PROFILES["anthropic" if WAYS[way][1] == "anthropic_messages" else "openai"]


def sent(way: str, headers: Mapping[str, str] | None = None) -> UpstreamRequest:
    profile = profile_of(way)
    call = written(way, headers or {}, profile)
    return build(call, base_url=BASE, profile=profile, key=KEY, limits=CallBounds())


def built(
    profile: Profile | None = None, *, key: Secret | None = KEY, base_url: str = BASE, **call: Any
) -> UpstreamRequest:
    whole = HTTPCall(**{"method": "POST", "path": "/v1/any", "body": b"{}", **call})
    return build(whole, base_url=base_url, profile=profile or Profile(), key=key, limits=CallBounds())


# --- headers ----------------------------------------------------------------------------------------------------------


@every_way
def test_request_says_each_thing_once_and_nothing_else(way: str) -> None:
    request, profile = sent(way), profile_of(way)
    assert dict(request.headers) == {
        b"host": b"api.example:8443",
        b"user-agent": b"asgi-ds2api",
        b"accept": b"application/json, text/event-stream, application/x-ndjson",
        b"accept-encoding": b"identity",
        b"content-type": b"application/json",
        b"content-length": str(len(request.body)).encode(),
        profile.auth_header.encode(): f"{profile.auth_scheme}{CANARY}".encode(),
        **VERSIONS.get(way, {}),
    }
    assert len(request.headers) == len(dict(request.headers))


@pytest.mark.parametrize("name", FORBIDDEN)
@every_way
def test_B36_header_of_the_caller_that_is_not_on_the_list_changes_nothing(way: str, name: str) -> None:
    assert sent(way, {name: "evil.example"}) == sent(way)


@pytest.mark.parametrize("name", sorted(FORWARDED))
@pytest.mark.parametrize("way", [way for way, (face, upstream) in WAYS.items() if face == upstream])
def test_B36_header_on_the_list_goes_on_within_its_protocol(way: str, name: str) -> None:
    changed = dict(sent(way, {name: "2023-06-01"}).headers)
    assert changed == {**dict(sent(way).headers), name.encode(): b"2023-06-01"}


@pytest.mark.parametrize("name", sorted(FORWARDED))
@pytest.mark.parametrize("way", [way for way, (face, upstream) in WAYS.items() if face != upstream])
def test_B36_header_of_one_vendor_goes_to_no_other(way: str, name: str) -> None:
    assert sent(way, {name: "2023-06-01"}) == sent(way)


def test_request_without_a_body_says_nothing_of_one() -> None:
    names = {name for name, _ in built(body=b"", method="GET").headers}
    assert names & {b"content-type", b"content-length", b"transfer-encoding"} == set()


# --- the key ----------------------------------------------------------------------------------------------------------


@every_profile
def test_key_stands_in_its_header_alone_and_never_in_the_url(name: str) -> None:
    request = built(PROFILES[name])
    assert [pair for pair in request.headers if CANARY.encode() in pair[1]] == [credential(PROFILES[name], KEY)]
    assert (CANARY in request.url, CANARY.encode() in request.body, CANARY in repr(request)) == (False, False, False)


@every_profile
def test_server_without_a_key_is_sent_no_credential(name: str) -> None:
    names = {header for header, _ in built(PROFILES[name], key=None).headers}
    assert names == {b"host", b"user-agent", b"accept", b"accept-encoding", b"content-type", b"content-length"}


@pytest.mark.parametrize(
    "header", ["authorization", "x-api-key", "api-key", "cookie", "host", "content-type", "my-key"]
)
def test_codec_that_writes_what_is_said_here_is_a_mistake_of_ours(header: str) -> None:
    with pytest.raises(InternalError) as caught:
        built(Profile(auth_header="my-key"), headers={header: "x"})
    assert header in caught.value.detail


# --- the URL ----------------------------------------------------------------------------------------------------------


def test_url_is_the_configured_one_the_path_and_both_queries() -> None:
    request = built(Profile(query={"api-version": "1"}), path="/v1/any", query={"beta": "a b&c=d"})
    assert request.url == f"{BASE}/v1/any?api-version=1&beta=a+b%26c%3Dd"


@pytest.mark.parametrize(
    ("base_url", "path"),
    [
        ("https://api.example", "@evil.example/v1"),
        ("https://api.example", ".evil.example/v1"),
        ("https://api.example", ":81/v1"),
        ("https://api.example:8443", "0/v1"),
        (BASE, "/../admin"),
        (BASE, "/v1/./any"),
        (BASE, "/v1/.."),
        (BASE, "2/v1"),
        (BASE, "/v1/any#x"),
        (BASE, ""),
    ],
)
def test_B34_path_that_leaves_the_configured_place_is_not_sent(base_url: str, path: str) -> None:
    with pytest.raises(InternalError) as caught:
        built(base_url=base_url, path=path)
    assert (CANARY in str(caught.value), CANARY in caught.value.detail) == (False, False)


@pytest.mark.parametrize("path", ["//evil.example/v1", "/https://evil.example/", "/v1/..%2Fadmin", "/v1/@evil.example"])
def test_B34_path_that_only_looks_like_another_host_stays_a_path(path: str) -> None:
    request = built(path=path)
    assert request.url == f"{BASE}{path}"
    assert (b"host", b"api.example:8443") in request.headers
