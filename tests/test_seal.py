"""What clients carry for us opens for its caller alone, and only as it was sealed."""

import base64
import copy
import hmac
import pickle
import subprocess
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_ds2api import seal as seal_module
from asgi_ds2api.errors import ConfigError, Malformed
from asgi_ds2api.seal import MAX_TEXT_CHARS, PREFIX, Keyring, Sealed

OLD = b"CANARY-old-secret-0123456789"
NEW = b"CANARY-new-secret-0123456789"
SIGNATURE = Sealed(kind="signature", origin="anthropic", data="EqQBCkYIARgCKkCFO6NpNLhX==")
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@pytest.fixture
def keyring() -> Keyring:
    return Keyring([NEW])


def test_what_was_sealed_opens_for_its_caller(keyring: Keyring) -> None:
    assert keyring.open(keyring.seal(SIGNATURE, "web"), "web") == SIGNATURE


def test_the_text_is_safe_in_json_urls_and_headers(keyring: Keyring) -> None:
    text = keyring.seal(SIGNATURE, "web")
    assert text.startswith(PREFIX)
    assert set(text[len(PREFIX) :]) <= set(ALPHABET)


@given(st.text(), st.text(), st.text(), st.text())
def test_any_text_opens_bit_for_bit(kind: str, origin: str, data: str, caller: str) -> None:
    keyring, sealed = Keyring([NEW]), Sealed(kind=kind, origin=origin, data=data)
    assert sealed == keyring.open(keyring.seal(sealed, caller), caller)


def test_what_the_issuer_put_beside_it_opens_with_it(keyring: Keyring) -> None:
    names = {"id": b'"rs_1"', "format": '"é"'.encode()}
    sealed = Sealed(kind="redacted", origin="openrouter", data="d", extras=names, is_summary=True)
    assert sealed == keyring.open(keyring.seal(sealed, "web"), "web")


def test_what_was_sealed_before_there_was_room_for_that_opens(keyring: Keyring) -> None:
    before: Any = (SIGNATURE.kind, SIGNATURE.origin, SIGNATURE.data)
    text = keyring.seal(before, "web")
    assert keyring.open(text, "web") == SIGNATURE


@pytest.mark.parametrize("data", ["", "é日😀\u2028\0", "a" * 100_000, "==", 'x"\\'])
def test_non_ascii_empty_and_long_data_open(keyring: Keyring, data: str) -> None:
    sealed = Sealed(kind="redacted", origin="gemini", data=data)
    assert sealed == keyring.open(keyring.seal(sealed, "web"), "web")


@pytest.mark.parametrize("caller", ["", "we", "webs", "WEB", "web\0", "wéb", "other", "\ud800"])
def test_it_does_not_open_for_another_caller(keyring: Keyring, caller: str) -> None:
    assert keyring.open(keyring.seal(SIGNATURE, "web"), caller) is None


def test_caller_and_payload_cannot_be_shifted_into_each_other(keyring: Keyring) -> None:
    """The caller's length is part of what is signed."""
    text = keyring.seal(SIGNATURE, "web")
    payload = msgspec.msgpack.encode(SIGNATURE)
    assert keyring.open(text, "we") is None
    assert keyring.open(text, "web" + payload[:1].decode("latin-1")) is None


def test_the_same_input_gives_the_same_text_on_every_worker(keyring: Keyring) -> None:
    program = (
        "from asgi_ds2api.seal import Keyring, Sealed\n"
        f"print(Keyring([{NEW!r}]).seal(Sealed(kind='signature', origin='anthropic', data={SIGNATURE.data!r}), 'web'))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert keyring.seal(SIGNATURE, "web") == done.stdout.strip()


class TestForgery:
    def test_any_changed_character_makes_it_foreign(self, keyring: Keyring) -> None:
        for data in ("x", "xy", "xyz"):
            text = keyring.seal(Sealed(kind="signature", origin="a", data=data), "web")
            for at in range(len(PREFIX), len(text)):
                for letter in ALPHABET:
                    changed = text[:at] + letter + text[at + 1 :]
                    assert (changed == text) == (keyring.open(changed, "web") is not None)

    def test_any_truncation_makes_it_foreign(self, keyring: Keyring) -> None:
        text = keyring.seal(SIGNATURE, "web")
        assert {None} == {keyring.open(text[:cut], "web") for cut in range(len(text))}

    @pytest.mark.parametrize("tail", ["=", "A", "AAAA", "\n", " ", ".", "\0", "é"])
    def test_anything_appended_makes_it_foreign(self, keyring: Keyring, tail: str) -> None:
        assert keyring.open(keyring.seal(SIGNATURE, "web") + tail, "web") is None

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "ds2r1",
            PREFIX,
            PREFIX + "A",
            PREFIX + "A" * 43,
            PREFIX + "A" * 400,
            "EqQBCkYIARgCKkCFO6NpNLhX==",
            PREFIX.upper() + "AAAA",
            PREFIX + "é" * 60,
            PREFIX + "A" * 59 + "\n",
            "ds2r2." + "A" * 60,
        ],
    )
    def test_native_values_and_junk_are_not_ours(self, keyring: Keyring, text: str) -> None:
        assert keyring.open(text, "web") is None

    @given(st.text(max_size=80) | st.text(ALPHABET, min_size=40, max_size=90).map(PREFIX.__add__))
    def test_no_text_makes_it_raise(self, text: str) -> None:
        assert Keyring([NEW, OLD]).open(text, "web") is None

    def test_a_seal_of_another_secret_is_foreign(self, keyring: Keyring) -> None:
        assert keyring.open(Keyring([OLD]).seal(SIGNATURE, "web"), "web") is None

    def test_a_payload_of_another_shape_is_foreign_though_signed(
        self, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What a newer version may have sealed."""
        with monkeypatch.context() as patch:
            patch.setattr(seal_module, "_ENCODER", msgspec.msgpack.Encoder(enc_hook=str))
            text = keyring.seal({"kind": 1}, "web")  # type: ignore[arg-type]  # what a newer version might write
        assert keyring.open(text, "web") is None

    def test_the_secret_itself_signs_nothing(self) -> None:
        """A derived key does: another use of the secret can never make a seal."""

        payload = msgspec.msgpack.encode(SIGNATURE)
        mac = hmac.digest(NEW, (3).to_bytes(8, "big") + b"web" + payload, "sha256")
        text = PREFIX + base64.urlsafe_b64encode(mac + payload).rstrip(b"=").decode()
        assert Keyring([NEW]).open(text, "web") is None


class TestRotation:
    def test_what_an_old_secret_sealed_opens_while_it_is_listed(self) -> None:
        text = Keyring([OLD]).seal(SIGNATURE, "web")
        assert Keyring([NEW, OLD]).open(text, "web") == SIGNATURE
        assert Keyring([NEW]).open(text, "web") is None

    def test_the_first_secret_seals(self) -> None:
        text = Keyring([NEW, OLD]).seal(SIGNATURE, "web")
        assert Keyring([NEW]).open(text, "web") == SIGNATURE
        assert Keyring([OLD]).open(text, "web") is None


class TestLimits:
    def test_a_text_over_the_limit_is_not_opened(self, keyring: Keyring) -> None:
        assert keyring.open(PREFIX + "A" * MAX_TEXT_CHARS, "web") is None

    def test_data_over_the_limit_is_the_upstreams_fault(self, keyring: Keyring) -> None:
        with pytest.raises(Malformed):
            keyring.seal(Sealed(kind="signature", origin="a", data="x" * MAX_TEXT_CHARS), "web")


class TestSecrets:
    @pytest.mark.parametrize("secrets", [[], [b""], [b"x" * 15], [NEW, b"short"]])
    def test_a_missing_or_short_secret_is_refused_at_start_M15(self, secrets: list[bytes]) -> None:
        with pytest.raises(ConfigError) as caught:
            Keyring(secrets)
        assert "short" not in caught.value.message.replace("shorter", "")

    def test_no_form_of_a_keyring_shows_a_secret(self, keyring: Keyring) -> None:
        shown = f"{keyring} {keyring!r} {keyring!s} {vars(type(keyring))}"
        assert "CANARY" not in shown
        assert repr(keyring) == "Keyring(***)"

    def test_a_keyring_is_not_pickled_or_copied(self, keyring: Keyring) -> None:
        for take in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="leave its process"):
                take(keyring)

    def test_neither_secret_nor_derived_key_is_in_a_seal(self, keyring: Keyring) -> None:

        text = keyring.seal(SIGNATURE, "web")[len(PREFIX) :]
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        assert NEW not in raw
        assert keyring._keys[0] not in raw
