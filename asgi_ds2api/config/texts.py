"""Judges single texts of a configuration: names, globs, targets, prefixes, URLs. Pure.

Each function takes what stands there and returns it in its one spelling, or raises `Flaw`. Identifiers are ASCII, so
that no two of them look alike; they are compared byte by byte.
"""

import ipaddress
import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Final
from urllib.parse import SplitResult, urlsplit

from ..presets import PRESETS
from ..profiles import PROFILES
from .reading import Flaw, Reading, kind_of, nearest, text_of

NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
PREFIX: Final = r"^(/[A-Za-z0-9._~-]+)+$"
PLACE: Final = r"^(/[A-Za-z0-9._~-]+)*$"
ORIGIN: Final = r"^https?://[^/?#@\s]+$"
HEADER_NAME: Final = re.compile(r"[a-z0-9-]{1,64}")
MAX_MODEL_CHARS: Final = 512

_PRINTABLE: Final = re.compile(r"[\x20-\x7e]+")
_URL: Final = re.compile(r"[\x21-\x7e]+")
_URL_PATH: Final = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,;=:@-]+)*")
_HOST: Final = re.compile(r"[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?\.?")
_OPERATIONS: Final = ("/chat/completions", "/completions", "/messages", "/responses", "/embeddings", "/models")
_WILDCARDS: Final = frozenset("*?[")
_CREDENTIALS: Final = frozenset({"key", "api_key", "apikey", "token", "access_token", "secret", "password", "sig"})
_OWN_HEADERS: Final = frozenset(
    {"accept", "accept-encoding", "connection", "content-length", "content-type", "cookie", "host", "transfer-encoding"}
)


def name(raw: object) -> str:
    """Return a name or a label."""
    text = text_of(raw)
    if not re.match(NAME, text) or text.endswith("\n"):
        raise Flaw("is no name", "write 1 to 64 ASCII letters, digits, dots, dashes or underscores")
    return text


def preset(raw: object) -> str:
    """Return the name of a known vendor."""
    return _row(raw, PRESETS, "preset")


def profile_name(raw: object) -> str:
    """Return the name of a dialect."""
    return _row(raw, PROFILES, "profile")


def protocol(raw: object, reading: Reading, _at: str) -> str:
    """Return the name of a protocol."""
    return _row(raw, reading.protocols, "protocol")


def _row(raw: object, table: Iterable[str], what: str) -> str:
    text = text_of(raw)
    if text not in table:
        close = nearest(text, table)
        raise Flaw(f"is no known {what}", f"did you mean {close}?" if close else f"known are {', '.join(table)}")
    return text


# --- models -----------------------------------------------------------------------------------------------------------


def model_glob(raw: object) -> str:
    """Return the name of a model, or a glob of names: ``*``, ``?`` and ``[...]``."""
    text = _model_text(text_of(raw))
    start = text.find("[")
    while start >= 0:
        end = text.find("]", start + (3 if text.startswith("[!", start) else 2))  # what comes first is never the end
        if end < 0:
            raise Flaw("is no glob: its '[' is never closed", "close it with ']', or write '?' for one character")
        start = text.find("[", end)
    return text


def target(raw: object) -> str:
    """Return ``upstream/model`` or ``upstream/*``. Whether there is such an upstream is not asked here."""
    text = _model_text(text_of(raw))
    upstream, slash, model = text.partition("/")
    if not slash or not model or not re.match(NAME, upstream):
        raise Flaw("is no target", 'write "upstream/model", or "upstream/*" to pass the asked name on')
    if model != "*" and _WILDCARDS & set(model):
        raise Flaw("holds a wildcard in the name of a model", 'write the whole name, or "upstream/*"')
    return text


def _model_text(text: str) -> str:
    if not _PRINTABLE.fullmatch(text) or text != text.strip() or len(text) > MAX_MODEL_CHARS:
        raise Flaw("is no name of a model", f"write 1 to {MAX_MODEL_CHARS} printable ASCII characters")
    return text


# --- where we are -----------------------------------------------------------------------------------------------------


def prefix(raw: object) -> str:
    """Return a path under which the gateway lives."""
    text = text_of(raw)
    if text in ("", "/"):
        raise Flaw("is no prefix", "for a gateway that has all paths make it the app itself: app = Gateway(...)")
    if not re.match(PREFIX, text) or text.endswith("\n") or {".", ".."} & set(text.split("/")):
        raise Flaw("is no prefix", 'write a path like "/ai": absolute, plain segments, no slash at the end')
    return text


def place(raw: object) -> str:
    """Return where a gateway answers: a prefix, or nothing in front."""
    if raw == "/":
        raise Flaw("is no prefix", 'write "" for a gateway that is an app of its own')
    return prefix(raw) if raw != "" else ""


def origin(raw: object) -> str:
    """Return an origin that browsers send in ``Origin``."""
    parts = _split(text_of(raw), ("http", "https"))
    if parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        raise Flaw("is no origin", 'write scheme and host alone, as in "https://app.example"')
    return f"{parts.scheme}://{_netloc(parts)}"


# --- where upstreams are ----------------------------------------------------------------------------------------------


def base_url(raw: object) -> str:
    """Return the URL that paths of a protocol are appended to, without a slash at its end."""
    text = text_of(raw)
    parts = _split(text, ("http", "https"))
    if "@" in parts.netloc:
        raise Flaw("holds a user name or a password", "write the URL without them; keys belong into `keys`")
    if "?" in text or "#" in text:
        raise Flaw("has a query or a fragment", "leave it out; queries of every call belong into profile.query")
    path = parts.path.rstrip("/")
    if not _URL_PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
        raise Flaw("has a path that is not plain", "write segments without escapes, dots or empty ones")
    if operation := next((end for end in _OPERATIONS if path.endswith(end)), None):
        raise Flaw("is the URL of an operation", f"leave {operation} out")
    return f"{parts.scheme}://{_netloc(parts)}{path}"


def proxy_url(text: str) -> SplitResult:
    """Return the parts of a proxy's URL, which may hold a user and a password."""
    parts = _split(text, ("http", "https", "socks5", "socks5h"))
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise Flaw("is not the URL of a proxy", 'write scheme, host and port alone, as in "http://proxy.example:3128"')
    return parts


def is_in_the_clear(url: str) -> bool:
    """Tell whether what is sent to this URL can be read on its way: plain HTTP to another machine."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "https" or host == "localhost" or host.endswith(".localhost"):
        return False
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return True


def _split(text: str, schemes: tuple[str, ...]) -> SplitResult:
    if not _URL.fullmatch(text) or "\\" in text:
        raise Flaw("is no URL", "write it without white space, backslashes and characters that are not ASCII")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise Flaw("is no URL", "check its host and its port") from None
    if parts.scheme not in schemes or "://" not in text:
        raise Flaw("is not a URL of the right kind", f"it starts with {' or '.join(f'{s}://' for s in schemes)}")
    if port == 0 or not _is_host(parts.hostname or ""):
        raise Flaw("is a URL without a usable host", "check its host and its port; write IPv6 addresses in brackets")
    return parts


def _is_host(host: str) -> bool:
    if ":" not in host:
        return bool(_HOST.fullmatch(host)) and ".." not in host
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True


def _netloc(parts: SplitResult) -> str:
    host = parts.hostname or ""
    return (f"[{host}]" if ":" in host else host) + (f":{parts.port}" if parts.port else "")


# --- dialects ---------------------------------------------------------------------------------------------------------


def dialect_flaw(key: str, value: object) -> Flaw | None:
    """Return what is wrong with a field of a profile: what is put into a header or a URL must fit there."""
    match key, value:
        case "auth_header", str(text) if not HEADER_NAME.fullmatch(text) or text in _OWN_HEADERS:
            return Flaw("is not the name of a header that can carry a key", 'write it in lower case: "api-key"')
        case "auth_scheme", str(text) if text and not _PRINTABLE.fullmatch(text):
            return Flaw("could not stand in a header", "write printable ASCII characters")
        case "path", str(text) if not _is_operation_path(text):
            return Flaw("is no path", 'write it as "/openai/deployments/{model}/chat/completions"')
        case "check_path", str(text) if "{" in text or not _is_operation_path(text):
            return Flaw("is no path", 'write it as "/models"')
        case "query", dict(query) if _CREDENTIALS & {str(parameter).lower().replace("-", "_") for parameter in query}:
            return Flaw(
                "would put a key into a URL, which every log on its way keeps", "write it into keys or accounts"
            )
        case "vendor", str(text) if not re.match(NAME, text):
            return Flaw("is no name", "write ASCII letters, digits, dots, dashes or underscores")
        case _:
            return None


def _is_operation_path(text: str) -> bool:
    plain = text.replace("{model}", "model")
    return bool(plain) and bool(_URL_PATH.fullmatch(plain)) and not {".", ".."} & set(plain.split("/"))


def moment(raw: object) -> float:
    """Return a date, or a date and a time, as seconds since 1970; without a zone it is UTC."""
    value = raw
    if isinstance(raw, str):
        try:
            value = datetime.fromisoformat(raw)
        except ValueError:
            raise Flaw("is no date", 'write it as in "2027-01-31" or "2027-01-31T12:00:00Z"') from None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if not isinstance(value, datetime):
        raise Flaw(f"is {kind_of(raw)}", 'write a date, as in "2027-01-31"')
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
