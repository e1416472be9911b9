"""What an upstream says about a failure, made fit to be passed on: short, and without anything that looks like a key.

Vendors quote the key that they refuse, and proxies quote whole requests. A caller may see the upstream's words, never
its credentials; so everything that has the form of one is replaced, and rather too much than too little.
"""

import re
from typing import Final

MAX_MESSAGE_CHARS: Final = 2_048
"""Longest message that is passed on; what vendors say fits in a quarter of it."""

MASK: Final = "***"

_SECRETS: Final = re.compile(
    r"(?i:bearer\s+)[^\s\"',;]+"  # an authorization header
    r"|\b(?:sk|pk|rk|gsk|xai|pplx|key|ghp|gho|hf|nvapi|r8)[-_][A-Za-z0-9*._-]{5,}[A-Za-z0-9*_-]"  # known prefixes
    r"|\bAIza[A-Za-z0-9_*-]{10,}"  # Google
    r"|\bA(?:KI|SI)A[A-Z0-9]{12,}"  # AWS
    r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_.-]+[A-Za-z0-9_-]"  # a JSON web token
    r"|(?<![A-Za-z0-9_/+])(?=[A-Za-z_+]*[0-9])(?=[0-9_+]*[A-Za-z])[A-Za-z0-9_+]{40,}={0,2}"  # a long token
)


def scrub(text: str) -> str:
    """Return the text with `MASK` in place of whatever looks like a credential."""
    return _SECRETS.sub(MASK, text)


def safe_message(text: str) -> str:
    """Return an upstream's message as a caller may see it: scrubbed, in one line of at most `MAX_MESSAGE_CHARS`."""
    line = " ".join(scrub(text[: 2 * MAX_MESSAGE_CHARS]).split())
    return line if len(line) <= MAX_MESSAGE_CHARS else line[: MAX_MESSAGE_CHARS - 1] + "…"


def safe_body(body: bytes) -> bytes:
    """Return an error body as a caller of the same protocol may see it, scrubbed, otherwise as it came."""
    return scrub(body.decode("utf-8", "replace")).encode()
