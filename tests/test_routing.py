"""Paths and model names are looked up as data, at segment boundaries, never normalised."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_ds2api.codec import HTTPCall, Route
from asgi_ds2api.errors import MalformedRequest, MethodNotAllowed, UnknownModel, UnknownRoute
from asgi_ds2api.protocols import PROTOCOLS
from asgi_ds2api.routing import Alias, ModelTable, RouteTable, Target, after_prefix, route_path


def face(name: str, claims: bool, *routes: Route) -> Any:
    return SimpleNamespace(NAME=name, FAMILY=name, ROUTES=routes, claims=lambda call: claims)


FIRST = face(
    "first",
    True,
    Route(method="POST", path="/v1/chat", operation="generate"),
    Route(method="GET", path="/v1/models", operation="list_models"),
    Route(method="GET", path="/v1/models/{model}", operation="get_model"),
)
SECOND = face(
    "second",
    False,
    Route(method="POST", path="/v1/messages", operation="generate"),
    Route(method="GET", path="/v1/models", operation="list_models"),
)
CLAIMING = face("claiming", True, Route(method="GET", path="/v1/models", operation="list_models"))


def match(path: str, method: str = "POST", raw: bytes | None = None, faces: tuple[Any, ...] = (FIRST, SECOND)) -> Any:
    return RouteTable(faces).match(HTTPCall(method=method, path=path), raw)


def test_path_finds_its_face_and_operation() -> None:
    found = match("/v1/messages")
    assert (found.codec, found.operation, found.model) == (SECOND, "generate", "")


@pytest.mark.parametrize("model", ["gpt", "org/model:free", "a/b/c"])
def test_last_parameter_takes_the_rest(model: str) -> None:
    found = match(f"/v1/models/{model}", "GET")
    assert (found.operation, found.model) == ("get_model", model)


GOOGLE = face(
    "google",
    False,
    Route(method="GET", path="/v1/models/{model}", operation="get_model"),
    Route(method="POST", path="/v1/models/{model}:generate", operation="generate"),
    Route(method="POST", path="/v1/models/{model}:generate:twice", operation="count_tokens"),
    Route(method="POST", path="/v1/projects/{project}/models/{model}:generate", operation="generate"),
    Route(method="POST", path="/deployments/{model}/chat", operation="generate"),
    Route(method="POST", path="/{v8|v9}/{a|b}/{model}:say", operation="generate"),
)


@pytest.mark.parametrize(
    ("path", "operation", "model"),
    [
        ("/v1/models/gemini:generate", "generate", "gemini"),
        ("/v1/models/tuned/a:b:generate", "generate", "tuned/a:b"),
        ("/v1/models/gemini:generate:twice", "count_tokens", "gemini"),
        ("/v1/projects/p/models/m:generate", "generate", "m"),
        ("/v1/projects/p/models/a/b:generate", "generate", "a/b"),
        ("/deployments/org/m:free/chat", "generate", "org/m:free"),
        ("/v8/b/m:say", "generate", "m"),
        ("/google/v9/a/m/n:say", "generate", "m/n"),
        ("/deployments/a/chat/chat", "generate", "a/chat"),
    ],
)
def test_parameter_may_have_literals_behind_it(path: str, operation: str, model: str) -> None:
    found = match(path, faces=(FIRST, GOOGLE))
    assert (found.codec, found.operation, found.model) == (GOOGLE, operation, model)


@pytest.mark.parametrize(
    "path",
    ["/v7/a/m:say", "/v8|v9/a/m:say", "/v1/models/:generate",
     "/deployments//chat", "/deployments/chat", "/deployments/m/chat/", "/deployments/m",
     "/v1/projects//models/m:generate", "/v1/projects/a/b/models/m:generate", "/v1/projects/p/models/:generate"],
)  # fmt: skip
def test_B80_path_around_a_parameter_is_matched_as_it_is(path: str) -> None:
    with pytest.raises((UnknownRoute, MethodNotAllowed)):
        match(path, faces=(GOOGLE,))


@pytest.mark.parametrize(
    ("raw", "is_known"),
    [(b"/ai/deployments/a%2Fb/chat", True), (b"/deployments/a%2fb%2Fc/chat", True), (b"/deployments/a/b%2Fchat", False),
     (b"/deployments%2Fa/b/chat", False), (b"/%2e/deployments/a/b/chat", False), (b"/deployments/a/b/chat%00", False)],
)  # fmt: skip
def test_B81_separator_may_be_escaped_in_the_model_alone(raw: bytes, is_known: bool) -> None:
    path = "/deployments/a/b/c/chat" if raw.count(b"%2") == 2 and is_known else "/deployments/a/b/chat"
    if is_known:
        assert match(path, "POST", raw, faces=(GOOGLE,)).operation == "generate"
    else:
        with pytest.raises(UnknownRoute):
            match(path, "POST", raw, faces=(GOOGLE,))


@pytest.mark.parametrize(("family", "codec"), [("first", FIRST), ("second", SECOND), ("claiming", CLAIMING)])
def test_every_route_is_found_under_the_name_of_its_family_and_is_not_shared_there(family: str, codec: Any) -> None:
    faces = (FIRST, SECOND, CLAIMING)
    for route in codec.ROUTES:
        found = match(f"/{family}{route.path.replace('{model}', 'a/b')}", route.method, faces=faces)
        assert (found.codec, found.operation) == (codec, route.operation)


def test_family_has_its_own_routes_only() -> None:
    with pytest.raises(UnknownRoute):
        match("/second/v1/chat")


@pytest.mark.parametrize(
    ("path", "codec"),
    [("/second/nowhere", SECOND), ("/v1/messages/nowhere", SECOND), ("/v1/models", FIRST), ("/nowhere", FIRST),
     ("/v1/models/m:generate", GOOGLE), ("/secondary", FIRST), ("", FIRST)],
)  # fmt: skip
def test_face_of_an_unroutable_path_is_the_nearest(path: str, codec: Any) -> None:
    quiet = face("quiet", False, *FIRST.ROUTES)
    expected = quiet if codec is FIRST else codec
    assert RouteTable((quiet, SECOND, GOOGLE)).face_of(HTTPCall(method="POST", path=path)) is expected


@pytest.mark.parametrize(
    ("path", "name"),
    [("/openai/v1/responses", "openai_responses"), ("/openai/v1/responses/r_1/cancel", "openai_responses"),
     ("/v1/responses/r_1", "openai_responses"), ("/openai/v1/chat/nowhere", "openai_chat"), ("/openai", "openai_chat"),
     ("/anthropic/v1/responses", "anthropic_messages")],
)  # fmt: skip
def test_faces_of_one_family_are_told_apart_where_a_path_is_unroutable(path: str, name: str) -> None:
    assert name == RouteTable(PROTOCOLS.values()).face_of(HTTPCall(method="DELETE", path=path)).NAME


def test_shared_path_belongs_to_who_claims_the_call() -> None:
    assert match("/v1/models", "GET", faces=(SECOND, CLAIMING)).codec is CLAIMING
    assert match("/v1/models", "GET", faces=(SECOND, face("other", False, *SECOND.ROUTES))).codec is SECOND


@pytest.mark.parametrize(
    "path",
    ["", "/", "/v1", "/v1/chat/", "//v1/chat", "/v1//chat", "/v1/./chat", "/x/../v1/chat", "/V1/chat", "/v1\\chat",
     "/v1/chat;x", "/v1/chat\x00", "/v1/models/", "/v1/\ufffd"],
)  # fmt: skip
def test_B80_B84_unclean_path_is_no_match(path: str) -> None:
    with pytest.raises(UnknownRoute):
        match(path)


@pytest.mark.parametrize("raw", [b"/ai%2fv1/chat", b"/ai/v1%2Fchat", b"/%2e/v1/chat", b"/ai/v1/chat%00", b"%5cv1/chat"])
def test_B81_escaped_separator_in_a_fixed_part_is_no_match(raw: bytes) -> None:
    with pytest.raises(UnknownRoute):
        match("/v1/chat", raw=raw)


@pytest.mark.parametrize("raw", [b"/ai/v1/models/org%2Fmodel", b"/v1/models/org%2fmodel", b"/v1/models/org/model"])
def test_openai_C60_escaped_slash_in_the_model_is_a_match(raw: bytes) -> None:
    assert match("/v1/models/org/model", "GET", raw).model == "org/model"


def test_B81_escaped_separator_before_the_model_is_no_match() -> None:
    with pytest.raises(UnknownRoute):
        match("/v1/models/org/model", "GET", b"/v1%2Fmodels/org%2Fmodel")


@pytest.mark.parametrize(
    ("path", "method", "allow"),
    [("/v1/chat", "GET", ("POST",)), ("/v1/models", "DELETE", ("GET", "HEAD")), ("/v1/chat", "post", ("POST",))],
)
def test_B62_B65_wrong_method_tells_the_right_ones(path: str, method: str, allow: tuple[str, ...]) -> None:
    with pytest.raises(MethodNotAllowed) as caught:
        match(path, method)
    assert caught.value.allow == allow


def test_B63_head_is_matched_as_get() -> None:
    assert match("/v1/models", "HEAD").operation == "list_models"


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/ai", ""), ("/ai/", "/"), ("/ai/v1", "/v1"), ("/aiX", None), ("/AI/v1", None), ("//ai/v1", None),
     ("/ai;x", None), ("/", None), ("", None), ("http://evil/ai/v1", None)],
)  # fmt: skip
def test_B82_B76_prefix_ends_at_a_segment_boundary(path: str, expected: str | None) -> None:
    assert after_prefix(path, ("/ai",)) == expected


@pytest.mark.parametrize(
    ("path", "root", "expected"),
    [("/x/ai/v1", "/x", "/ai/v1"), ("/ai/v1", "", "/ai/v1"), ("/xy/ai", "/x", "/xy/ai"), ("/ai/v1", "/x", "/ai/v1"),
     ("/x", "/x", "")],
)  # fmt: skip
def test_B83_route_starts_after_the_mount_point(path: str, root: str, expected: str) -> None:
    assert route_path(path, root) == expected


TABLE = ModelTable(
    aliases=[
        Alias(name="smart", targets=("claude/claude-opus-5", "local/qwen")),
        Alias(name="fast-*", targets=("local/*",)),
        Alias(name="*", targets=("local/*",)),
    ],
    upstreams={"claude": ["claude-*", "claude-3-*"], "local": ["qwen"], "other": ["claude-*"]},
)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("smart", [("claude", "claude-opus-5"), ("local", "qwen")]),
        ("local/any/thing", [("local", "any/thing")]),
        ("claude-opus-5", [("claude", "claude-opus-5"), ("other", "claude-opus-5")]),
        ("claude-3-x", [("claude", "claude-3-x")]),
        ("fast-one", [("local", "fast-one")]),
        ("nobody/knows", [("local", "nobody/knows")]),
        ("qwen", [("local", "qwen")]),
    ],
)
def test_model_is_found_by_alias_then_upstream_then_the_most_specific_glob(
    asked: str, expected: list[tuple[str, str]]
) -> None:
    assert TABLE.resolve(asked) == tuple(Target(upstream=u, model=m) for u, m in expected)


def test_unknown_model_is_unknown() -> None:
    with pytest.raises(UnknownModel):
        ModelTable([], {"a": ["gpt-*"]}).resolve("claude")


@pytest.mark.parametrize("name", ["", "x" * 513, "a\r\nb", "a\x00b", "\u202e"])
def test_B34_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(MalformedRequest) as caught:
        TABLE.resolve(name)
    assert caught.value.param == "model"


@pytest.mark.parametrize("name", ["../../admin", "a#b", "a?key=x", "%2e%2e", "..", "//evil", "@evil.com", "a\\..\\b"])
def test_B34_strange_names_are_data_and_unknown(name: str) -> None:
    with pytest.raises(UnknownModel):
        ModelTable([], {"a": ["gpt-*"]}).resolve(name)


def test_names_without_a_wildcard_are_listed_once_in_file_order() -> None:
    assert [(model.id, model.owner) for model in TABLE.names()] == [("smart", "claude"), ("qwen", "local")]


@given(st.text(max_size=40), st.text(max_size=10))
def test_any_path_is_decided_without_an_error_of_another_kind(path: str, root: str) -> None:
    rest = after_prefix(route_path(path, root), ("/ai",))
    if rest is not None:
        try:
            match(rest)
        except (UnknownRoute, MethodNotAllowed):
            return
