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
        pytest.param("openai", body([{"file_id": "b"}, [{"file_id": "a"}]]), ("b", "a"), id="in-their-order"),
        pytest.param("anthropic", body([{"source": {"type": "file", "file_id": "file_a"}}]), ("file_a",), id="claude"),
        pytest.param(
            "anthropic", body([{"type": "container_upload", "file_id": "file_a"}]), ("file_a",), id="container"
        ),
        pytest.param("gemini", body([{"fileData": {"fileUri": GOOGLE}}]), ("abc-123",), id="gemini"),
        pytest.param("gemini", body([{"file_data": {"file_uri": "files/abc"}}]), ("abc",), id="gemini-snake"),
        pytest.param("openai", body([{"text": 'say "file_id": "file-a"'}]), (), id="a-text-that-quotes"),
        pytest.param("openai", body([{"arguments": '{"file_id": "file-a"}'}]), (), id="json-in-a-text"),
        pytest.param("openai", body([{"text": "file_id"}, {"file_id": None}]), (), id="none"),
        pytest.param("openai", body([{"file_id": 1}, {"file_id": 10**400}, {"file_id": True}]), (), id="no-text"),
        pytest.param("openai", body([{"file_id": "f" * 257}]), (), id="longer-than-any"),
        pytest.param("ollama", body([{"file_id": "file-a"}]), (), id="no-files-there"),
        pytest.param("openai", body("hello"), (), id="nothing"),
    ],
)
def test_R44_files_are_found_where_they_are_named_and_nowhere_else(
    family: str, request_body: bytes, ids: tuple[str, ...]
) -> None:
    assert files_named(family, request_body) == ids


@pytest.mark.parametrize(
    ("request_body", "ids"),
    [
        pytest.param(b'{"file_id" :\n "file-a"}', ("file-a",), id="white-space"),
        pytest.param(rb'{"\u0066ile_id":"file\u002da"}', ("file-a",), id="escaped"),
        pytest.param(rb'{"\u0046ILE_ID":"file-a"}', ("file-a",), id="escaped-capital"),
        pytest.param(rb'{"file\u005Fid":"file-a"}', ("file-a",), id="escaped-underscore"),
        pytest.param(rb'{"a":"\u0022","\u0066ile_id":"file-\u005fa"}', ("file-_a",), id="escaped-twice"),
        pytest.param(rb'{"file_id":"f\u0022\u005c"}', (), id="escaped-quotes"),
        pytest.param(b'{"file_id":"file-a","file_id":"file-b"}', ("file-a", "file-b"), id="said-twice"),
        pytest.param(b'{"file":{"file_id":"file-a"},"file":{}}', ("file-a",), id="holder-said-twice"),
        pytest.param(b'{"file_id":"file-a","file_id":null}', ("file-a",), id="taken-back"),
        pytest.param(body([{"File_ID": "file-a"}]), ("file-a",), id="capitals"),
        pytest.param(body([{"file_id": " file-a\n"}]), ("file-a",), id="space-around"),
        pytest.param(body([{"file_ids": ["[", "file-a"]}]), ("file-a",), id="bracket-before"),
        pytest.param(body([{"file_ids": ["]", '"', "file-a"]}]), ("file-a",), id="quote-before"),
        pytest.param(body([{"file_ids": [{}, ["file-a"]]}]), ("file-a",), id="list-in-a-list"),
        pytest.param(body([{"file_id": {"file_id": "file-a"}}]), ("file-a",), id="in-itself"),
        pytest.param(body([{"file_id": "file-a", "type": "file_path"}]), ("file-a",), id="says-it-is-a-citation"),
        pytest.param(body([{"type": "file_citation", "file_id": "file-a"}]), ("file-a",), id="citation-in-no-answer"),
        pytest.param(body([{"annotations": {"file": {"file_id": "file-a"}}}]), ("file-a",), id="no-citation"),
        pytest.param(
            body([{"annotations": [{"type": "file_path", "file": {"file_id": "file-a"}}]}]),
            ("file-a",),
            id="within-one",
        ),
        pytest.param(
            b'{"annotations":[{"type":"file_path","type":"file","file_id":"file-a"}]}', ("file-a",), id="two-types"
        ),
        pytest.param(body([{"annotations": [{"type": ["file_path"], "file_id": "a"}]}]), ("a",), id="odd-type"),
    ],
)
def test_R46_no_way_of_writing_it_hides_a_name(request_body: bytes, ids: tuple[str, ...]) -> None:
    assert files_named("openai", request_body) == ids


@pytest.mark.parametrize(
    ("family", "members"),
    [
        ("openai", {"annotations": [{"type": "file_citation", "file_id": "file-a"}]}),
        ("openai", {"annotations": [{"type": "file_path", "file_id": "file-a", "index": 1}]}),
        ("anthropic", {"citations": [{"type": "char_location", "file_id": "file_a"}]}),
    ],
)
def test_R44_citation_of_an_answer_asks_for_no_file(family: str, members: dict[str, object]) -> None:
    assert files_named(family, body([members])) == ()
    assert files_named(family, body([members, {"file_id": "file-b"}])) == ("file-b",)


HOST = "https://generativelanguage.googleapis.com"


@pytest.mark.parametrize(
    "uri",
    [
        GOOGLE,
        "files/abc-123",
        "/files/abc-123",
        "v1beta/files/abc-123",
        "//generativelanguage.googleapis.com/v1beta/files/abc-123",
        f"{GOOGLE}/",
        f"{GOOGLE}?alt=media",
        f"{GOOGLE}#page=1",
        f"{GOOGLE}:download?alt=media",
        f" {GOOGLE}\n",
        f"{HOST.upper()}/v1beta/files/abc-123",
        f"{HOST}:443/v1/files/abc-123",
        f"{HOST}./v1beta/files/abc-123",
        f"{HOST}/v1beta//files//abc-123",
        f"{HOST}/v1beta/./files/abc-123",
        f"{HOST}/upload/v1beta/files/abc-123",
        f"{HOST}/v1beta/%66iles/abc%2D123",
        f"{HOST}/v1beta/files%2Fabc-123",
        "http://user@127.0.0.1:8000/google/v1beta/files/abc-123",
    ],
)
def test_R46_google_file_is_the_same_however_its_uri_is_written(uri: str) -> None:
    request_body = body([{"fileData": {"fileUri": uri}}])
    assert files_named("gemini", request_body) == ("abc-123",)
    assert files_named("gemini", request_body.replace(b"/", b"\\/")) == ("abc-123",)


@pytest.mark.parametrize(
    "uri",
    [
        "gs://bucket/v1/files/abc",
        "https://youtu.be/files/abc",
        "https://example.com/files/abc.pdf",
        "https://example.com/v1/abc",
        f"{HOST}/v1beta/files/{'a' * 65}",
        f"{HOST}/v1beta/files/",
        f"{HOST}/v1beta/files/?files/abc",
        "http://[",
        "",
    ],
)
def test_other_uris_name_no_file_of_googles(uri: str) -> None:
    assert files_named("gemini", body([{"fileUri": uri}])) == ()


def test_R44_number_of_files_is_bounded() -> None:
    named = [{"file_id": f"file-{number}"} for number in range(MAX_FILES + 1)]
    assert len(files_named("openai", body(named[:-1]))) == MAX_FILES
    with pytest.raises(MalformedRequest, match="1000 files at most"):
        files_named("openai", body(named))
