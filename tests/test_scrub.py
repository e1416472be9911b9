"""Whatever has the form of a key is masked; what people and programs match on stays."""

import pytest

from asgi_ds2api.scrub import MAX_MESSAGE_CHARS, safe_body, safe_message, scrub


@pytest.mark.parametrize(
    "secret",
    [
        "sk-ant-api03-abcDEF123456",
        "sk-proj-********************wxyz",
        "gsk_abcdefgh12345678",
        "AIzaSyA-1234567890abcdefghijklmnopqrs",
        "AKIAIOSFODNN7EXAMPLE",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
        "0123456789abcdef0123456789abcdef01234567",
    ],
)
def test_a_key_is_masked(secret: str) -> None:
    masked = scrub(f"Incorrect API key provided: {secret}. See the docs.")
    assert masked == "Incorrect API key provided: ***. See the docs."


def test_a_header_is_masked() -> None:
    assert scrub('{"authorization": "Bearer abc.def"}') == '{"authorization": "***"}'


@pytest.mark.parametrize(
    "text",
    [
        "prompt is too long: 215032 tokens > 200000 maximum",
        "messages.3: `tool_use` ids were found without `tool_result` blocks after: toolu_01A09q90qw90lq917835lq9",
        "model: claude-sonnet-4-5-20250929-does-not-exist",
        "https://docs.anthropic.com/en/api/errors#long-requests",
        "Unexpected value(s) `context-management-2025-06-27` for the `anthropic-beta` header.",
    ],
)
def test_words_that_clients_match_on_stay(text: str) -> None:
    assert scrub(text) == text


def test_a_message_is_one_short_line() -> None:
    message = safe_message("a\n b" + "x " * 5_000)
    assert message.startswith("a bx x")
    assert len(message) == MAX_MESSAGE_CHARS


def test_a_body_keeps_its_form() -> None:
    assert safe_body(b'{"error":\n {"message": "bad key sk-abcdefgh"}}') == b'{"error":\n {"message": "bad key ***"}}'
