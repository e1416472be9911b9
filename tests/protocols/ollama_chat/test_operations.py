"""Models are told with a tag, times as strict readers take them; pictures are known by their first bytes."""

import base64
import json

import pytest

from asgi_ds2api.canonical import Model
from asgi_ds2api.codec import HTTPCall
from asgi_ds2api.errors import MalformedRequest
from asgi_ds2api.protocols import ollama_chat as codec
from asgi_ds2api.protocols.ollama_chat.media import media_type_of
from asgi_ds2api.protocols.ollama_chat.operations import rfc3339, seconds_of

from .calls import call


@pytest.mark.parametrize(
    ("id_", "name"),
    [("llama3", "llama3:latest"), ("llama3:8b", "llama3:8b"), ("a/b", "a/b:latest"), ("host:1/b", "host:1/b:latest")],
)
def test_names_have_a_tag(id_: str, name: str) -> None:
    (model,) = json.loads(codec.encode_models([Model(id=id_, owner="up")], {}))["models"]
    assert (model["name"], model["model"]) == (name, name)
    assert len(model["digest"]) == 64
    assert model["size"] > 0


def test_window_of_a_model_is_told() -> None:
    shown = json.loads(codec.encode_model(Model(id="x", owner="up", context_tokens=9)))
    assert shown["model_info"] == {"general.architecture": "gateway", "gateway.context_length": 9}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-22T10:00:00Z", 1_795_341_600),
        ("2026-11-22T10:00:00.123456789Z", 1_795_341_600),
        ("2026-11-22T11:00:00.1+01:00", 1_795_341_600),
        ("2026-11-22T10:00:00", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_times_are_read(text: str, seconds: int | None) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "1970-01-01T00:00:00Z"), (1_795_341_600, "2026-11-22T10:00:00Z"), (-1, "1970-01-01T00:00:00Z"),
     (10**20, "9999-12-31T23:59:59Z")],
)  # fmt: skip
def test_times_are_written_with_their_zone(seconds: int, text: str) -> None:
    assert rfc3339(seconds) == text


@pytest.mark.parametrize(
    ("head", "media_type"),
    [
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "audio/wav"),
        (b"hello", "application/octet-stream"),
        (b"", "application/octet-stream"),
    ],
)
def test_others_C05_pictures_are_known_by_their_first_bytes(head: bytes, media_type: str) -> None:
    assert media_type_of(base64.b64encode(head).decode()) == media_type


# --- the envelope -----------------------------------------------------------------------------------------------------


def test_name_of_a_model_has_another_one() -> None:
    assert codec.peek(call({"model": "a:latest", "messages": [1]}), "generate").other_names == ("a",)
    assert codec.peek(call({"model": "a", "messages": [1]}), "generate").other_names == ("a:latest",)


@pytest.mark.parametrize("body", [{}, {"model": ""}, {"model": None}])
def test_model_has_to_be_named(body: dict[str, object]) -> None:
    with pytest.raises(MalformedRequest) as caught:
        codec.peek(call(body), "generate")
    assert caught.value.param == "model"


@pytest.mark.parametrize(
    ("path", "is_its_own"),
    [("/api/pull", True), ("/ollama/x", True), ("/ollama", True), ("/v1/models", False), ("/apis", False)],
)
def test_paths_of_its_own_are_claimed(path: str, is_its_own: bool) -> None:
    assert codec.claims(HTTPCall(method="GET", path=path)) is is_its_own
