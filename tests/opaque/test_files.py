"""How vendors speak of files, and where an upload may go on."""

import json

import pytest

from asgi_ds2api.codec import HTTPCall
from asgi_ds2api.errors import GatewayError, Malformed, MalformedRequest, UnknownItem, Unsupported
from asgi_ds2api.opaque.families import FAMILIES, routes_of
from asgi_ds2api.opaque.files import WORDS, Wanted, end_of, id_in, part_of, step_of, upload_at
from asgi_ds2api.profiles import PROFILES, Profile
from asgi_ds2api.protocols import PROTOCOLS

BASE = "https://vendor.example:8443/base"


def asked(method: str, path: str, **query: str) -> HTTPCall:
    """Return a caller's call."""
    return HTTPCall(method=method, path=path, query=query)


def item(words: str, number: int) -> dict[str, object]:
    """Return a file as a vendor tells of it."""
    if words == "gemini_generate":
        return {"name": f"files/f{number}", "createTime": f"2026-01-01T00:00:0{number}Z", "x": number}
    made: object = number if words == "openai_chat" else f"2026-01-01T00:00:0{number}Z"
    return {"id": f"file-{number}", "created_at": made, "x": number}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_route_of_a_family_belongs_to_a_face_whose_words_are_known(family: object) -> None:
    for protocol, codec in PROTOCOLS.items():
        routes = routes_of(protocol)
        assert bool(routes) == (protocol in WORDS)
        for route in routes:
            call = asked(
                route.method, route.path.replace("{id}", "file-1").replace("{v1|v1beta|v1alpha|v1beta1}", "v1")
            )
            step, id_ = step_of(call), id_in(call)
            assert (id_ == "file-1") == (step in ("get", "delete", "content"))
            target = WORDS[protocol].call(call, step, id_, codec.DEFAULT_PROFILE)
            assert target.method == route.method
            assert "files" in target.path


@pytest.mark.parametrize("id_", ["..", ".", "a b", "a%2Fb", "a?b", "a#b", "ä", "x" * 257, "a;b", "a\\b"])
def test_B80_what_no_file_is_called_is_not_there(id_: str) -> None:
    with pytest.raises(UnknownItem):
        id_in(asked("GET", f"/v1/files/{id_}"))


@pytest.mark.parametrize(
    ("profile", "path"),
    [(PROFILES["openai"], "/files"), (Profile(exact=True, path="/v1/chat/completions"), "/v1/files")],
    ids=["usual", "longer"],
)
def test_files_stand_beside_the_main_path_of_an_upstream(profile: Profile, path: str) -> None:
    assert WORDS["openai_chat"].call(asked("GET", "/v1/files"), "list", "", profile).path == path


def test_anthropics_files_are_asked_for_with_their_beta() -> None:
    words, profile = WORDS["anthropic_messages"], PROFILES["anthropic"]
    call = HTTPCall(
        method="GET", path="/v1/files", headers={"anthropic-beta": "x-1", "anthropic-version": "2023-06-01"}
    )
    assert words.call(call, "list", "", profile).headers["anthropic-beta"] == "x-1,files-api-2025-04-14"
    again = HTTPCall(method="GET", path="/v1/files", headers={"anthropic-beta": "files-api-2026-01-01"})
    assert words.call(again, "list", "", profile).headers["anthropic-beta"] == "files-api-2026-01-01"


@pytest.mark.parametrize("name", WORDS)
def test_list_is_read_and_told_in_the_same_words_and_items_stay_byte_for_byte(name: str) -> None:
    words = WORDS[name]
    items = [item(name, number) for number in range(3)]
    raws = [json.dumps(one, indent=1) for one in items]
    member = "files" if name == "gemini_generate" else "data"
    page = words.page(f'{{"{member}": [{",".join(raws)}]}}'.encode())
    assert [bytes(one.raw).decode() for one in page.items] == raws
    assert page.following is None
    part, has_more = part_of(page.items, Wanted(limit=2, after=None))
    assert [one.id for one in part] == [one.id for one in page.items[:0:-1]]
    told = words.told(part, has_more=has_more)
    assert all(raw.encode() in told for raw in raws[1:])
    rest, has_more = part_of(page.items, Wanted(limit=2, after=part[-1].id))
    assert ([one.id for one in rest], has_more) == ([page.items[0].id], False)
    with pytest.raises(MalformedRequest, match="cannot go on"):
        part_of(page.items, Wanted(limit=2, after="file-that-is-gone"))


@pytest.mark.parametrize(
    ("name", "answer", "following"),
    [
        ("openai_chat", {"data": [item("openai_chat", 1)], "has_more": True}, {"limit": "10000", "after": "file-1"}),
        ("openai_chat", {"data": [], "has_more": True}, None),
        ("anthropic_messages", {"data": [], "next_page": "page_2"}, {"limit": "1000", "page": "page_2"}),
        ("anthropic_messages", {"data": [item("", 1)], "has_more": True}, {"limit": "1000", "after_id": "file-1"}),
        ("gemini_generate", {"nextPageToken": "t"}, {"pageSize": "100", "pageToken": "t"}),
        ("gemini_generate", {}, None),
    ],
)
def test_list_goes_on_as_its_vendor_says(name: str, answer: object, following: object) -> None:
    assert WORDS[name].page(json.dumps(answer).encode()).following == following


@pytest.mark.parametrize(
    ("name", "query", "error"),
    [
        ("openai_chat", {"limit": "-1"}, MalformedRequest),
        ("openai_chat", {"order": "up"}, MalformedRequest),
        ("anthropic_messages", {"ids[]": "file_1"}, Unsupported),
        ("anthropic_messages", {"before_id": "file_1"}, Unsupported),
        ("gemini_generate", {"pageSize": "ten"}, MalformedRequest),
    ],
)
def test_list_that_is_asked_for_by_what_is_not_looked_at_is_refused(
    name: str, query: dict[str, str], error: type[GatewayError]
) -> None:
    with pytest.raises(error):
        WORDS[name].wanted(query)


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"id":3}', b'{"id":"a/b/.."}', b"not json", b'{"id":"a b"}'])
@pytest.mark.parametrize("name", WORDS)
def test_answer_that_tells_of_no_file_is_malformed(name: str, body: bytes) -> None:
    with pytest.raises(Malformed):
        WORDS[name].item(body)


def test_upload_goes_on_where_its_vendor_has_it() -> None:
    url = f"{BASE}/upload/v1beta/files?key=k&upload_id=u%2F1&upload_protocol=resumable&access_token=t"
    assert upload_at(url, BASE) == {"upload_id": "u/1", "upload_protocol": "resumable"}


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.example/base/upload/v1beta/files?upload_id=1",
        "http://vendor.example:8443/base/upload/v1beta/files?upload_id=1",
        "https://vendor.example/base/upload/v1beta/files?upload_id=1",
        "https://vendor.example:8443@elsewhere.example/base/upload/?upload_id=1",
        f"{BASE}/v1beta/models?upload_id=1",
        "https://vendor.example:8443/upload/v1beta/files?upload_id=1",
        "//elsewhere.example/upload",
        "https://[::1/upload",
        f"{BASE}/upload/{'x' * 5_000}",
    ],
)
def test_B33_upload_that_would_lead_elsewhere_goes_nowhere(url: str) -> None:
    with pytest.raises(Malformed):
        upload_at(url, BASE)


def test_size_of_a_file_in_several_calls_is_what_their_heads_tell() -> None:
    names = ("x-goog-upload-offset", "x-goog-upload-header-content-length")
    assert [end_of(HTTPCall(method="POST", path="", headers={name: "17"})) for name in names] == [17, 17]
    for value in ("-1", "1e3", "", "9" * 16, "١"):
        with pytest.raises(MalformedRequest):
            end_of(HTTPCall(method="POST", path="", headers={names[0]: value}))
