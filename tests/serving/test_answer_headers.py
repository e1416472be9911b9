"""The headers that tell who served an answer, how, and what did not go through as it came."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_ds2api.canonical import Notice, Notices
from asgi_ds2api.serving import answer_headers
from asgi_ds2api.serving.answer_headers import MAX_NOTICES_BYTES, Served
from tests.support.asgi_contract import ResponseContract

Pairs = list[tuple[bytes, bytes]]


def lost(*paths: str) -> Notices:
    """Return a loss for each path."""
    notices = Notices()
    for path in paths:
        notices.lost(path, "no such field")
    return notices


def told(notices: list[Notice]) -> str:
    """Return the value of the header."""
    ((name, value),) = answer_headers.notices(notices)
    assert name == b"x-ds2api-notices"
    return value.decode("ascii")


def violations(headers: Pairs) -> list[str]:
    """Return what a server would say against the headers."""
    contract = ResponseContract("POST")
    contract.see({"type": "http.response.start", "status": 200, "headers": headers})
    return contract.violations


# --- notices ----------------------------------------------------------------------------------------------------------


def test_nothing_to_tell_is_no_header() -> None:
    assert answer_headers.notices([]) == []


def test_hints_are_not_listed() -> None:
    notices = Notices()
    notices.hint("messages[0].content[0].cache_control", "the upstream caches by itself")
    assert answer_headers.notices(notices) == []


def test_losses_and_changes_are_listed_in_order_with_what_was_done() -> None:
    notices = Notices()
    notices.changed("temperature", "too hot", action="clamped")
    notices.hint("metadata", "a hint")
    notices.lost("top_k", "no such field")
    assert told(notices) == "temperature=clamped; top_k=dropped"


def test_equal_places_count_as_one() -> None:
    paths = [f"messages[{n}].content[{n + 7}].citations" for n in range(50)]
    assert told(lost(*paths, "top_k", *paths)) == "messages[].content[].citations=dropped; top_k=dropped"


def test_same_place_with_another_action_counts_by_itself() -> None:
    notices = lost("a[0]")
    notices.changed("a[1]", "renamed", action="renamed")
    assert told(notices) == "a[]=dropped; a[]=renamed"


def test_list_that_does_not_fit_ends_with_how_many_are_left() -> None:
    paths = [f"field_{n:03}" for n in range(200)]
    value = told(lost(*paths))
    entries = value.split("; ")
    assert entries[:-1] == [f"{path}=dropped" for path in paths[: len(entries) - 1]]
    assert entries[-1] == f"more={200 - (len(entries) - 1)}"
    assert MAX_NOTICES_BYTES - 32 < len(value) <= MAX_NOTICES_BYTES


def test_entry_that_does_not_fit_at_all_is_only_counted() -> None:
    assert told(lost("x" * 5_000, "top_k")) == "more=2"


def test_list_that_just_fits_is_told_whole() -> None:
    names = ["a" * 500, "b" * 490]
    assert told(lost(*names)) == "; ".join(f"{name}=dropped" for name in names)


@pytest.mark.parametrize(
    ("path", "entry"),
    [
        ("größe", "gr??e=dropped"),
        ("日本[3]", "??[]=dropped"),
        ("a\r\nset-cookie: x", "a??set-cookie:?x=dropped"),
        (" a ", "?a?=dropped"),
        ("a; b=c", "a??b?c=dropped"),
        ("a\x00\x7f", "a??=dropped"),
        ("", "=dropped"),
    ],
)
def test_path_holds_nothing_that_a_header_cannot(path: str, entry: str) -> None:
    assert told(lost(path)) == entry


@given(st.lists(st.text(max_size=300), min_size=1, max_size=60))
def test_any_paths_make_a_header_that_servers_take_and_that_counts_them_all(paths: list[str]) -> None:
    value = told(lost(*paths))
    assert violations([(b"x-ds2api-notices", value.encode("ascii"))]) == []
    assert len(value) <= MAX_NOTICES_BYTES
    *entries, last = value.split("; ")
    rest = int(last.removeprefix("more=")) if last.startswith("more=") else 1
    assert len(entries) + rest == len({notice.pattern for notice in lost(*paths)})


# --- who served it ----------------------------------------------------------------------------------------------------

SERVED = Served(upstream="chat", model="gpt-test", account="work", mode="relay")


def test_route_of_an_answer() -> None:
    assert answer_headers.route(SERVED, 2, with_account=False) == [
        (b"x-ds2api-attempts", b"2"),
        (b"x-ds2api-served-by", b"chat/gpt-test"),
        (b"x-ds2api-mode", b"relay"),
    ]


def test_account_is_named_only_if_wanted() -> None:
    assert answer_headers.route(SERVED, 1, with_account=True)[-1] == (b"x-ds2api-account", b"work")


def test_answer_that_nobody_gave_has_only_its_attempts() -> None:
    assert answer_headers.route(None, 3, with_account=True) == [(b"x-ds2api-attempts", b"3")]


@given(st.text(max_size=50), st.text(max_size=50))
def test_any_names_make_headers_that_servers_take(model: str, account: str) -> None:
    """A caller may choose the model's name, where a glob serves it."""
    served = Served(upstream="chat", model=model, account=account, mode="translate")
    assert violations(answer_headers.route(served, 1, with_account=True)) == []


@pytest.mark.parametrize(
    ("face_header", "names"),
    [("x-request-id", [b"x-request-id"]), ("request-id", [b"x-request-id", b"request-id"])],
)
def test_id_stands_under_our_name_and_the_faces(face_header: str, names: list[bytes]) -> None:
    assert answer_headers.ids("req_1", face_header) == [(name, b"req_1") for name in names]


# --- pages of other origins -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("allowed", [["https://a"], ["https://b", "https://a"]])
def test_allowed_origin_may_read(allowed: list[str]) -> None:
    headers = answer_headers.cors(b"https://a", allowed)
    assert headers[0] == (b"access-control-allow-origin", b"https://a")
    assert (b"vary", b"origin") in headers
    assert b"access-control-allow-credentials" not in dict(headers)


@pytest.mark.parametrize("origin", [None, b"https://b", b"https://a.evil", b"HTTPS://A", b"null", b"\xff"])
def test_other_origin_may_not(origin: bytes | None) -> None:
    assert answer_headers.cors(origin, ["https://a"]) == []


@pytest.mark.parametrize(
    ("wanted", "allowed"),
    [
        (b"x-api-key, x-custom_1", b"x-api-key, x-custom_1"),
        (b"", b""),
        (b"x: y\r\nset-cookie: z", b"authorization, content-type"),
        (b"x" * 2_049, b"authorization, content-type"),
    ],
)
def test_preflight_allows_the_headers_that_are_asked_for(wanted: bytes, allowed: bytes) -> None:
    headers = dict(answer_headers.preflight(wanted, ["GET", "POST"]))
    assert headers[b"access-control-allow-headers"] == allowed
    assert headers[b"access-control-allow-methods"] == b"GET, POST"
