"""R-44: which files a request names, however it is written."""

import json

import pytest

from asgi_ds2api.errors import MalformedRequest
from asgi_ds2api.opaque.named import MAX_FILES, files_named

GOOGLE = "https://generativelanguage.googleapis.com/v1beta/files/abc-123"


def body(value: object) -> bytes:
    """Write a request."""
    return json.dumps({"model": "m", "messages": value}).encode()


@pytest.mark.parametrize(
    ("family", "request_body", "ids"),
    [
        pytest.param("openai", body([{"type": "file", "file": {"file_id": "file-a"}}]), ("file-a",), id="chat"),
        pytest.param("openai", body([{"type": "input_image", "file_id": "file-a"}]), ("file-a",), id="responses"),
        pytest.param(
            "openai", body([{"container": {"file_ids": ["file-a", "file-b"]}}]), ("file-a", "file-b"), id="ids"
        ),
        pytest.param("openai", body([{"file_id": "file-a"}, {"file_id": "file-a"}]), ("file-a",), id="once"),
        pytest.param("anthropic", body([{"source": {"type": "file", "file_id": "file_a"}}]), ("file_a",), id="claude"),
        pytest.param(
            "anthropic", body([{"type": "container_upload", "file_id": "file_a"}]), ("file_a",), id="container"
        ),
        pytest.param("gemini", body([{"fileData": {"fileUri": GOOGLE}}]), ("abc-123",), id="gemini"),
        pytest.param("gemini", body([{"file_data": {"file_uri": "files/abc"}}]), ("abc",), id="gemini-snake"),
        pytest.param("gemini", body([{"fileUri": GOOGLE}]).replace(b"/", b"\\/"), ("abc-123",), id="escaped-slashes"),
        pytest.param("gemini", body([{"fileUri": "gs://bucket/files/abc"}]), (), id="another-store"),
        pytest.param("gemini", body([{"fileUri": "https://youtu.be/files/abc"}]), (), id="a-film"),
        pytest.param("openai", body([{"text": 'say "file_id": "file-a"'}]), (), id="a-text-that-quotes"),
        pytest.param("openai", body([{"text": "file_id"}, {"file_id": None}]), (), id="none"),
        pytest.param("openai", b'{"file_id" :\n "file-a"}', ("file-a",), id="white-space"),
        pytest.param("openai", rb'{"\u0066ile_id":"file\u002da"}', ("file-a",), id="escaped"),
        pytest.param("openai", rb'{"a":"\u0022","\u0066ile_id":"file-\u005fa"}', ("file-_a",), id="escaped-twice"),
        pytest.param("openai", rb'{"file_id":"f\u0022\u005c"}', (), id="escaped-quotes"),
        pytest.param("openai", body([{"file_id": "f" * 257}]), (), id="longer-than-any"),
        pytest.param("openai", body([{"type": "file_citation", "file_id": "file-a"}]), (), id="citation"),
        pytest.param(
            "openai",
            body([{"annotations": [{"type": "file_citation", "file_id": "file-a"}]}, {"file_id": "file-b"}]),
            ("file-b",),
            id="citation-beside-a-file",
        ),
        pytest.param("anthropic", body([{"type": "char_location", "file_id": "file_a"}]), (), id="citation-of-claude"),
        pytest.param("ollama", body([{"file_id": "file-a"}]), (), id="no-files-there"),
        pytest.param("openai", body("hello"), (), id="nothing"),
    ],
)
def test_R44_files_are_found_where_they_are_named_and_nowhere_else(
    family: str, request_body: bytes, ids: tuple[str, ...]
) -> None:
    assert files_named(family, request_body) == ids


def test_R44_number_of_files_is_bounded() -> None:
    named = [{"file_id": f"file-{number}"} for number in range(MAX_FILES + 1)]
    assert len(files_named("openai", body(named[:-1]))) == MAX_FILES
    with pytest.raises(MalformedRequest, match="1000 files at most"):
        files_named("openai", body(named))
