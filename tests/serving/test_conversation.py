"""R-44: which conversation a request belongs to: what the caller calls it, else how it begins."""

import json
from typing import Any

import pytest

from asgi_ds2api.serving.conversation import MAX_BODY_BYTES, session_of


def begun(body: Any, named: str | None = None, caller: str = "web") -> str:
    return session_of(caller, named, body if isinstance(body, bytes) else json.dumps(body).encode())


SYSTEM, HELLO, REPLY, MORE = (
    {"role": role, "content": text}
    for role, text in (("system", "Be brief."), ("user", "Hello"), ("assistant", "Hi"), ("user", "More"))
)
TALKS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "chat": ({"messages": [SYSTEM, HELLO]}, {"messages": [SYSTEM, HELLO, REPLY, MORE]}),
    "claude": ({"system": "x", "messages": [HELLO]}, {"system": "x", "messages": [HELLO, REPLY, MORE]}),
    "responses": ({"instructions": "x", "input": [HELLO]}, {"instructions": "x", "input": [HELLO, REPLY, MORE]}),
    "gemini": (
        {"contents": [{"role": "user", "parts": [{"text": "a"}]}]},
        {"contents": [{"role": "user", "parts": [{"text": "a"}]}, {"role": "model", "parts": []}]},
    ),
    "ollama": ({"messages": [HELLO], "options": {"seed": 1}}, {"messages": [HELLO, REPLY, MORE], "options": {}}),
}


@pytest.mark.parametrize(("first", "later"), TALKS.values(), ids=TALKS.keys())
def test_a_conversation_is_the_same_in_every_turn(first: dict[str, Any], later: dict[str, Any]) -> None:
    assert begun(first) == begun(later) != ""


@pytest.mark.parametrize(
    "other",
    [
        {"messages": [SYSTEM, MORE]},
        {"messages": [{**SYSTEM, "content": "Be long."}, HELLO]},
        {"messages": [HELLO]},
        {"system": "y", "messages": [SYSTEM, HELLO]},
    ],
)
def test_another_beginning_is_another_conversation(other: dict[str, Any]) -> None:
    assert begun(other) != begun({"messages": [SYSTEM, HELLO]})


def test_what_the_caller_calls_it_counts_alone() -> None:
    assert begun({"messages": [HELLO]}, "k") == begun({"messages": [MORE]}, "k") != begun({"messages": [HELLO]}, "l")


def test_a_name_is_not_taken_for_a_beginning() -> None:
    assert begun(b'{"prompt":"k"}') != begun(b"{}", '"k"')


def test_nobody_shares_a_conversation() -> None:
    assert begun({"messages": [HELLO]}, caller="a") != begun({"messages": [HELLO]}, caller="b")
    assert begun({}, "k", caller="a") != begun({}, "k", caller="b")


@pytest.mark.parametrize(
    "body",
    [b"{}", b"[]", b"nonsense", b'{"messages":5.5.5}', b'{"messages":[{"role":5}]}', b"\xff", b'{"model":"m"}'],
)
def test_what_has_no_beginning_has_no_name(body: bytes) -> None:
    assert begun(body) == ""


def test_a_prompt_is_its_own_beginning() -> None:
    assert begun({"prompt": "a"}) == begun({"prompt": "a", "n": 2}) != begun({"prompt": "b"})
    assert begun({"input": "a"}) != begun({"input": "b"})


def test_a_body_that_is_too_large_is_not_looked_into_but_its_name_counts() -> None:
    body = json.dumps({"messages": [{"role": "user", "content": "x" * MAX_BODY_BYTES}]}).encode()
    assert (begun(body), begun(body, "k") != "") == ("", True)


def test_only_a_digest_is_told() -> None:
    digest = begun({"messages": [HELLO]}, "SECRET")
    assert (len(digest), set(digest) <= set("0123456789abcdef")) == (24, True)
