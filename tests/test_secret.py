"""A secret shows nothing and goes nowhere; reveal() is the single way to its value."""

import copy
import hashlib
import io
import json
import logging
import pickle
import pprint
import traceback
from collections.abc import Callable

import msgspec
import pytest

from asgi_ds2api.secret import MAX_SECRET_CHARS, MIN_CALLER_KEY_CHARS, KeyDigest, Secret, flaw_of

CANARY = "sk-canary-5a1f0c9d7e"
DIGEST = hashlib.sha256(CANARY.encode()).digest()


class Holder(msgspec.Struct):
    key: Secret | None = None


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        ascii,
        format,
        lambda secret: format(secret, ">40"),
        lambda secret: f"{secret}",
        lambda secret: f"{secret!r}",
        lambda secret: f"{secret!s:>9}",
        lambda secret: "%s %r" % (secret, secret),  # noqa: UP031 - the form that logging uses
        lambda secret: "{} {!r}".format(secret, secret),  # noqa: UP032 - as above
        lambda secret: repr([secret, (secret,), {"key": secret}]),
        lambda secret: repr(Holder(secret)),
        pprint.pformat,
    ],
)  # fmt: skip
@pytest.mark.parametrize("make", [Secret, lambda text: KeyDigest.of(Secret(text))], ids=["secret", "digest"])
def test_M7_every_way_to_show_it_shows_a_mask(make: Callable[[str], object], show: Callable[[object], str]) -> None:
    shown = show(make(CANARY))
    assert "***" in shown
    assert CANARY not in shown
    assert DIGEST.hex() not in shown


@pytest.mark.parametrize(
    "leak",
    [
        pickle.dumps,
        copy.copy,
        copy.deepcopy,
        json.dumps,
        msgspec.json.encode,
        msgspec.to_builtins,
        lambda secret: msgspec.json.encode(Holder(secret)),
        lambda secret: secret.__getstate__(),
        vars,
        list,
        len,
        bytes,
        sorted,
        lambda secret: CANARY in secret,
        lambda secret: secret + "",
        lambda secret: secret[0],
    ],
)
@pytest.mark.parametrize("make", [Secret, lambda text: KeyDigest.of(Secret(text))], ids=["secret", "digest"])
def test_M7_it_is_not_pickled_copied_encoded_or_iterated(
    make: Callable[[str], object], leak: Callable[[object], object]
) -> None:
    with pytest.raises(TypeError) as caught:
        leak(make(CANARY))
    assert CANARY not in str(caught.value)


def test_M7_log_record_with_a_secret_holds_no_value() -> None:
    stream = io.StringIO()
    record = logging.LogRecord("x", logging.INFO, __file__, 1, "key %s %r", (Secret(CANARY), Secret(CANARY)), None)
    logging.StreamHandler(stream).emit(record)
    assert stream.getvalue() == "key *** Secret(***)\n"


def test_M7_traceback_with_locals_holds_no_value() -> None:
    def fail(secret: Secret) -> None:
        assert secret.reveal()
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError) as caught:
        fail(Secret(CANARY))
    inner = caught.value.__traceback__
    assert inner is not None
    told = "".join(
        traceback.TracebackException(RuntimeError, caught.value, inner.tb_next, capture_locals=True).format()
    )
    assert "Secret(***)" in told
    assert CANARY not in told


def test_value_is_revealed_without_the_line_break_of_its_file() -> None:
    assert Secret(f"  {CANARY}\r\n").reveal() == CANARY


def test_M15_secrets_are_compared_by_digest() -> None:
    assert Secret(CANARY) == Secret(f"{CANARY}\n")
    assert Secret(CANARY) != Secret(CANARY + "0")
    assert Secret(CANARY) != CANARY
    assert len({Secret(CANARY), Secret(CANARY), Secret("another-value")}) == 2
    assert Secret(CANARY).digest() == DIGEST


def test_digest_is_equal_to_its_secret_in_both_directions() -> None:
    digest = KeyDigest(DIGEST.hex().upper())
    assert digest == Secret(CANARY)
    assert Secret(CANARY) == digest
    assert digest == KeyDigest.of(Secret(CANARY))
    assert digest.digest() == DIGEST
    assert hash(digest) == hash(Secret(CANARY))


@pytest.mark.parametrize("text", ["", "abc", "g" * 64, DIGEST.hex()[:-1], f"0x{DIGEST.hex()}", DIGEST.hex() + "\n"])
def test_digest_is_64_hexadecimal_digits(text: str) -> None:
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        KeyDigest(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        (" \r\n\t", "is empty"),
        ("two words", "white space"),
        ("line\nbreak", "white space"),
        ("tab\there", "white space"),
        ("nul\x00", "white space"),
        ("del\x7f", "white space"),
        ("k\u0435y", "not ASCII"),  # a Cyrillic letter
        ("sk-\xe9", "not ASCII"),
        ("\N{ARABIC-INDIC DIGIT THREE}", "not ASCII"),
        ("k" * (MAX_SECRET_CHARS + 1), "longer than 8192"),
    ],
)
def test_B31_M7_M15_what_no_header_can_carry_is_no_secret(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        Secret(text)
    assert not text.strip() or text not in str(caught.value)


@pytest.mark.parametrize("text", ["k", "!~", "k" * MAX_SECRET_CHARS, '"quoted"', "{api_key}", "${HOME}", "%(x)s"])
def test_B52_any_printable_ascii_is_a_secret_and_stays_as_it_is(text: str) -> None:
    assert flaw_of(text) is None
    assert Secret(text).reveal() == text


@pytest.mark.parametrize(
    "text",
    ["sk-1234", "SK-1234", "123456", "changeme", "change-me", "CHANGE_ME", "your-api-key-here", "sk-1234567890abcdef",
     "0123456789abcdef", "Password12345678", "sk-master-key", "none"],
)  # fmt: skip
def test_B88_known_default_is_weak(text: str) -> None:
    assert Secret(text).weakness() == "is a well-known default that anybody would try"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("k3y-of-15-chars", "is shorter than 16 characters"),
        ("a" * 32, "repeats a few characters"),
        ("ababababababababab", "repeats a few characters"),
        ("sha256:" + "0123456789abcdef" * 4, "is a digest, which is never a key itself"),
    ],
)
def test_B88_M15_guessable_value_is_weak(text: str, words: str) -> None:
    assert Secret(text).weakness() == words


@pytest.mark.parametrize("text", ["k3y-of-16-chars!", CANARY, "4f1c2b3a5d6e7f80" * 4])
def test_B88_random_value_is_not_weak(text: str) -> None:
    assert len(text) >= MIN_CALLER_KEY_CHARS
    assert Secret(text).weakness() is None
