"""What vouches for reasoning that a caller carries: a digest of the text, and a mark that others would have to copy.

Vendors give their callers signatures, or encrypted reasoning, and refuse what they did not make. So does the fake.
"""

import base64
import binascii
import hashlib


def seal(text: str) -> str:
    """Return what vouches for a text."""
    digest = hashlib.sha256(text.encode()).digest()[:16]
    return base64.b64encode(digest + _mark(digest)).decode()


def is_own(given: str) -> bool:
    """Tell whether the fake made this, whatever it vouches for."""
    try:
        raw = base64.b64decode(given, validate=True)
    except binascii.Error:
        return False
    return len(raw) == 32 and raw[16:] == _mark(raw[:16])


def _mark(digest: bytes) -> bytes:
    return hashlib.sha256(b"asgi_ds2api.testing" + digest).digest()[:16]
