"""A secret that cannot leave by accident: not in a log, a repr, an error, a pickle or a JSON document.

`Secret.reveal` is the single way to the value, so that ``grep reveal`` finds every place that touches one. `KeyDigest`
is what is kept where a value need only be recognised. Both are guarded against accidents, not against code of the same
process that means harm.

Where secrets come from (environment, files, the application's own code) is the business of ``config.keys``; what is
asked for one is a `KeySource`.
"""

import hashlib
import hmac
import re
from typing import Final, NoReturn, Protocol, final

MASK: Final = "***"
MAX_SECRET_CHARS: Final = 8_192
"""The longest token that is accepted from a caller; vendors' keys fit in a fortieth of it."""
MIN_CALLER_KEY_CHARS: Final = 16
"""64 bits, even of a key in hexadecimal."""
MIN_DISTINCT_CHARS: Final = 6

_STAYS: Final = "a secret is neither pickled nor copied; reveal() is the single way to its value"
_SENDABLE: Final = re.compile(r"[\x21-\x7e]+")
_SHA256: Final = re.compile(r"[0-9a-fA-F]{64}")
_SEPARATORS: Final = re.compile(r"[^a-z0-9]")
_KNOWN_DEFAULTS: Final = frozenset(
    {
        "0123456789abcdef", "123456", "12345678", "1234567890123456", "12345678901234567890", "admin", "apikey",
        "changeme", "changemechangeme", "changemeplease", "default", "dummy", "empty", "example", "masterkey", "mykey",
        "mysecretkey", "none", "notneeded", "null", "password", "password123", "password12345678", "placeholder",
        "replaceme", "root", "secret", "sk1234", "sk12345", "sk123456", "sk1234567890", "sk1234567890abcdef",
        "skmasterkey", "skmysecretkey", "sktest", "skyourapikey", "skyourapikeyhere", "supersecret", "supersecretkey",
        "test", "token", "undefined", "yourapikey", "yourapikeyhere", "yourkeyhere", "yoursecretkey",
        "yoursecretkeyhere",
    }
)  # fmt: skip
"""What tutorials and other gateways ship with: the first that a stranger tries. In lower case, letters and digits."""


def flaw_of(text: str) -> str | None:
    """Return why a text cannot be a secret, in words that quote nothing of it; None: it can.

    What is accepted can be the value of a header, whatever its scheme: printable ASCII without white space.
    """
    if not text:
        return "is empty"
    if len(text) > MAX_SECRET_CHARS:
        return f"is longer than {MAX_SECRET_CHARS} characters"
    if not _SENDABLE.fullmatch(text):
        return "holds white space, control characters or characters that are not ASCII"
    return None


class _Hidden:
    """What is common to a secret and its digest: it shows nothing, goes nowhere, and is compared by digest."""

    __slots__ = ("_digest",)
    _digest: bytes

    def __repr__(self) -> str:
        return f"{type(self).__name__}({MASK})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Hidden) and hmac.compare_digest(self._digest, other._digest)

    def __hash__(self) -> int:
        return hash(self._digest)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(_STAYS)

    def __getstate__(self) -> NoReturn:
        raise TypeError(_STAYS)

    def digest(self) -> bytes:
        """Return the SHA-256 of the value, 32 bytes: what a look-up compares, never a credential itself."""
        return self._digest


@final
class Secret(_Hidden):
    """A value that only `reveal` shows.

    Args:
        value: Surrounding white space is taken off: files end with a line break.

    Raises:
        ValueError: It is empty, too long, or could not stand in a header; the message does not quote it.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        text = value.strip()
        if flaw := flaw_of(text):
            raise ValueError(f"the value of this secret {flaw}")
        self._value = text
        self._digest = hashlib.sha256(text.encode("ascii")).digest()

    def reveal(self) -> str:
        """Return the value. Whoever calls this keeps it out of variables that outlive the call."""
        return self._value

    def weakness(self) -> str | None:
        """Return why strangers would guess this value, in words that do not quote it; None: they would not.

        For what lets callers in or seals what they carry. An upstream's key is the vendor's choice, and is not asked.
        """
        if _SEPARATORS.sub("", self._value.lower()) in _KNOWN_DEFAULTS:
            return "is a well-known default that anybody would try"
        if len(self._value) < MIN_CALLER_KEY_CHARS:
            return f"is shorter than {MIN_CALLER_KEY_CHARS} characters"
        if len(set(self._value)) < MIN_DISTINCT_CHARS:
            return "repeats a few characters"
        if self._value.startswith("sha256:"):
            return "is a digest, which is never a key itself"
        return None


@final
class KeyDigest(_Hidden):
    """The SHA-256 of a secret whose value is not kept. Equal to that secret.

    Raises:
        ValueError: Not 64 hexadecimal digits.
    """

    __slots__ = ()

    def __init__(self, hexadecimal: str) -> None:
        if not _SHA256.fullmatch(hexadecimal):
            raise ValueError("a SHA-256 digest is 64 hexadecimal digits")
        self._digest = bytes.fromhex(hexadecimal)

    @classmethod
    def of(cls, secret: Secret) -> "KeyDigest":
        """Return the digest of a secret."""
        return cls(secret.digest().hex())


class KeySource(Protocol):
    """Where an account's key comes from. Asked before every attempt, so that a key can change while requests run."""

    async def current(self) -> Secret:
        """Return the key that is valid now.

        Raises:
            UpstreamError: ``key_unavailable``: there is none at present.
        """
        ...
