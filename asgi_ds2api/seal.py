"""What a client carries for us: signed, bound to the caller, opened only by who knows the secret.

A vendor's signature or ciphertext travels through a client of another vendor as ``ds2r1.`` and text of the URL-safe
base64 alphabet without padding. It is not encrypted: what is inside came from the vendor and may be seen by the caller
who got it. It cannot be made, changed, or used by another caller.

Rules:

* The same input gives the same text, on every worker and after a restart: prompt caches see no difference.
* A text has one spelling: any changed character makes it foreign.
* `Keyring.open` never raises and never says why: forged, truncated, another caller's and another vendor's native value
  are all "not ours".
"""

import base64
import hmac
import re
from collections.abc import Sequence
from typing import Final, NoReturn

import msgspec

from .errors import ConfigError, Malformed

PREFIX: Final = "ds2r1."
"""Marks what we sealed, with the version of the format."""
PREFIX_IN_BASE64: Final = base64.b64encode(PREFIX.encode()).decode()
"""How a seal begins in a protocol whose signatures are bytes: the prefix fills whole groups of base64."""
MIN_SECRET_BYTES: Final = 16
MAX_TEXT_CHARS: Final = 24 * 1024 * 1024
"""Room for the largest event that an upstream may send, in base64."""


def is_in(body: bytes) -> bool:
    """Tell whether a body may hold a seal, in either form."""
    return PREFIX.encode() in body or PREFIX_IN_BASE64.encode() in body


class Sealed(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What is inside."""

    kind: str
    """What ``data`` is, in the sealer's words: ``signature``, ``redacted``, ..."""
    origin: str
    """Who issued it: a profile's ``vendor``."""
    data: str
    """As it came, bit for bit."""
    extras: dict[str, bytes] = {}
    """What the issuer put beside it: a field's name -> its JSON."""
    is_summary: bool | None = None
    """Of reasoning: the text with it is a summary; None: nobody said."""


class Keyring:
    """Seals with the first secret and opens with any: put a new one in front, and drop the old one when its seals are
    no longer replayed.

    Args:
        secrets: Each at least `MIN_SECRET_BYTES` long. Used through a derived key only.

    Raises:
        ConfigError: No secret, or one that is too short.
    """

    __slots__ = ("_keys",)

    def __init__(self, secrets: Sequence[bytes]) -> None:
        problems = [
            f"secret[{index}]: shorter than {MIN_SECRET_BYTES} bytes; make one with `openssl rand -hex 32`"
            for index, secret in enumerate(secrets)
            if len(secret) < MIN_SECRET_BYTES
        ]
        if problems or not secrets:
            raise ConfigError(problems or ["secret: the list is empty; leave it out or give one"])
        self._keys = tuple(hmac.digest(secret, _PURPOSE, _DIGEST) for secret in secrets)

    def __repr__(self) -> str:
        return "Keyring(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a keyring does not leave its process")

    def seal(self, sealed: Sealed, caller: str) -> str:
        """Return the text that ``caller`` will carry.

        Args:
            sealed: What to carry.
            caller: Label of the only caller for whom it will open.

        Raises:
            Malformed: The upstream sent more than any client could carry.
        """
        payload = _ENCODER.encode(sealed)
        text = _spell(_mac(self._keys[0], payload, caller) + payload)
        if len(text) > MAX_TEXT_CHARS:
            raise Malformed("The upstream sent a signature that is too large.", code="event_too_large")
        return text

    def open(self, text: str, caller: str) -> Sealed | None:
        """Return what was sealed for ``caller``; None if that cannot be shown."""
        if len(text) > MAX_TEXT_CHARS or not _TEXT.fullmatch(text):
            return None
        body = text[len(PREFIX) :]
        if len(body) % 4 == 1:  # no bytes have this spelling
            return None
        raw = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
        mac, payload = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        is_ours = any(hmac.compare_digest(mac, _mac(key, payload, caller)) for key in self._keys)
        if not is_ours or _spell(raw) != text:
            return None
        try:
            return _DECODER.decode(payload)
        except msgspec.MsgspecError:
            return None


_DIGEST: Final = "sha256"
_MAC_BYTES: Final = 32
_PURPOSE: Final = b"asgi_ds2api seal 1"
"""Another use of the same secret derives another key, so that no text of one opens as the other."""
_TEXT: Final = re.compile(re.escape(PREFIX) + r"[A-Za-z0-9_-]*+")
_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Sealed)


def _mac(key: bytes, payload: bytes, caller: str) -> bytes:
    owner = caller.encode("utf-8", "surrogatepass")
    return hmac.digest(key, len(owner).to_bytes(8, "big") + owner + payload, _DIGEST)


def _spell(raw: bytes) -> str:
    return PREFIX + base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
