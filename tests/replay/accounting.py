"""Translates recorded bodies, and says which of their leaves are neither on the other side nor in a Notice."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec

from asgi_ds2api import shims
from asgi_ds2api.canonical import Notice, ProtocolName
from asgi_ds2api.codec import HTTPCall
from asgi_ds2api.errors import GatewayError
from asgi_ds2api.profiles import PROFILES, Profile
from asgi_ds2api.protocols import PROTOCOLS
from asgi_ds2api.seal import Keyring
from asgi_ds2api.side import Side
from asgi_ds2api.transcode import Translate
from tests.support.leaves import (
    JSON,
    Keys,
    Leaf,
    Marker,
    is_said_beside,
    is_under,
    leaves,
    path_of,
    pattern_of,
    variants,
)
from tests.support.leaves import without as body_without

KEYRING: Final = Keyring([b"x" * 32])


class Dialect(NamedTuple):
    """An upstream that is translated to."""

    protocol: ProtocolName
    profile: Profile
    model: str


DIALECTS: Final[Mapping[str, Dialect]] = {
    "openai": Dialect("openai_chat", PROFILES["openai"], "gpt-5"),
    "lenient": Dialect("openai_chat", PROFILES["lenient"], "qwen"),
    "openai-responses": Dialect("openai_responses", PROFILES["openai-responses"], "gpt-5"),
    "resembling-responses": Dialect(
        "openai_responses", msgspec.structs.replace(PROFILES["openai-responses"], exact=False), "gpt-5"
    ),
    "anthropic": Dialect("anthropic_messages", PROFILES["anthropic"], "claude-sonnet-4-5"),
    "resembling": Dialect(
        "anthropic_messages", msgspec.structs.replace(PROFILES["anthropic"], exact=False), "claude-sonnet-4-5"
    ),
    "ollama": Dialect("ollama_chat", PROFILES["ollama"], "qwen3"),
    "mistral": Dialect("openai_chat", PROFILES["mistral"], "mistral-small-2503"),
    "deepseek": Dialect("openai_chat", PROFILES["deepseek"], "deepseek-chat"),
}
ASKED: Final[Mapping[str, dict[str, JSON]]] = {
    "openai_chat": {"model": "asked", "messages": [{"role": "user", "content": "x"}]},
    "anthropic_messages": {"model": "asked", "max_tokens": 10, "messages": [{"role": "user", "content": "x"}]},
}


class Translated(NamedTuple):
    """What came out on the other side."""

    written: bytes
    notices: tuple[Notice, ...]
    envelope: object
    """What the gateway itself heeds of a request: whether a stream is asked for, and the like."""


Translating = Callable[[JSON], Translated]


def _begin(face: ProtocolName, to: Dialect, body: JSON) -> Translate:
    codec = PROTOCOLS[face]
    headers = {"anthropic-version": "2023-06-01"} if face == "anthropic_messages" else {}
    call = HTTPCall(method="POST", path=codec.ROUTES[0].path, body=json.dumps(body).encode(), headers=headers)
    request = codec.decode_request(call)
    envelope = msgspec.structs.replace(codec.peek(call, "generate"), request_id="req_1", created=1_700_000_000)
    return Translate(
        face=codec,
        envelope=envelope,
        side=Side(codec=PROTOCOLS[to.protocol], profile=to.profile, model=to.model, max_event_bytes=10_000_000),
        request=request,
        shims=shims.choose(request, to.protocol, to.profile, KEYRING, ""),
        on_unsupported="notice",
    )


def request_to(face: ProtocolName, dialect: str) -> Translating:
    """Return what translates the body of a caller's request."""

    def translate(body: JSON) -> Translated:
        begun = _begin(face, DIALECTS[dialect], body)
        written = begun.request().body
        return Translated(written, tuple(begun.notices), begun._envelope)

    return translate


def answer_to(face: ProtocolName, dialect: str, *, stream: bool) -> Translating:
    """Return what translates an upstream's answer; a stream is a list of the data of its events."""
    asked = {**ASKED[face], "stream": stream}
    if stream and face == "openai_chat":
        asked["stream_options"] = {"include_usage": True}

    def translate(body: JSON) -> Translated:
        begun = _begin(face, DIALECTS[dialect], asked)
        begun.request()
        begun.notices.clear()
        if not stream:
            written = begun.whole(json.dumps(body).encode())
        else:
            end = b"data: [DONE]\n\n" if DIALECTS[dialect].protocol == "openai_chat" else b""
            written = begun.feed(b"".join(map(_frame, body)) + end) + begun.close()
            if begun.failure is not None:
                raise begun.failure
        return Translated(written, tuple(begun.notices), None)

    return translate


def _frame(data: JSON) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def accepted(body: JSON, translate: Translating) -> JSON:
    """Return a request without what is refused by name; None if nothing is left."""
    while True:
        try:
            translate(body)
        except GatewayError as error:
            param = getattr(error, "param", None)
            rest = body if param is None else body_without(body, param)
            if rest is body:
                return None
            body = rest
        else:
            return body


class Restated(NamedTuple):
    """What an answer or a request says twice."""

    pattern: str
    beside: tuple[str, ...]
    """Fields one of which says the same."""


@dataclass(frozen=True)
class Exceptions:
    """Leaves that need not be on the other side; each is looked for, and must be found somewhere."""

    settled: Mapping[str, str]
    """Pattern -> why nothing hangs on it."""
    restated: tuple[Restated, ...] = ()
    sealed: frozenset[str] = frozenset()
    """Patterns of texts that a client carries sealed: a mark in them is not readable on the other side."""
    zero: frozenset[str] = frozenset()
    """Patterns of counts that are parts of another one: of a total of 0 there are 0, whatever is said."""

    @property
    def patterns(self) -> set[str]:
        """All of them."""
        return {*self.settled, *(said.pattern for said in self.restated), *self.zero}

    def of(self, body: JSON, leaf: Leaf, pattern: str) -> str | None:
        """Return the pattern of the exception that a leaf is; None: it is none."""
        if pattern in self.settled or (pattern in self.zero and leaf.value == 0):
            return pattern
        for said in self.restated:
            if is_under(pattern, said.pattern) and is_said_beside(body, leaf, said.beside):
                return said.pattern
        return None


class Account(NamedTuple):
    """The leaves of one body that were not found."""

    missing: list[str]
    """Places."""
    excepted: set[str]
    """Patterns of the exceptions that were made."""


def account(
    body: JSON,
    translate: Translating,
    exceptions: Exceptions,
    place: Callable[[Leaf], Keys] = lambda leaf: leaf.keys,
    added: frozenset[str] = frozenset(),
) -> Account:
    """Look for every leaf of a body on the other side, and in the Notices.

    Args:
        body: Of a request or an answer; or the events of a stream.
        translate: Leads to the other side.
        exceptions: What need not be there.
        place: Where a leaf stands in the body as a whole, if that is a stream: Notices name that place.
        added: Fields whose pieces a stream adds up. What else it says again of one place counts once.
    """
    plain = translate(body)
    marks, marked = _marked(body, translate)
    covers = {notice.path for notice in (*plain.notices, *marked.notices)}
    missing: dict[str, str] = {}
    settled: set[str] = set()
    excepted: set[str] = set()
    for leaf in leaves(body):
        path, pattern = path_of(place(leaf)), pattern_of(place(leaf))
        if path in settled:
            continue
        is_found = any(is_under(path, cover) for cover in covers)
        if not is_found and leaf.keys in marks and pattern not in exceptions.sealed:
            is_found = all(mark.encode() in marked.written for mark in marks[leaf.keys])
        elif not is_found:
            is_found = any(_differs(variant, translate, plain) for variant in variants(body, leaf))
        exception = None if is_found else exceptions.of(body, leaf, pattern)
        if exception is not None:
            excepted.add(exception)
        if not (is_found or exception):
            missing[path] = f"{path} ({leaf.path}): {str(leaf.value)[:40]!r}"
        elif leaf.field not in added:
            settled.add(path)
            missing.pop(path, None)
    return Account(list(missing.values()), excepted)


def _marked(body: JSON, translate: Translating) -> tuple[dict[Keys, list[str]], Translated]:
    """Translate a body with marks in all texts but those that must be words: what is refused then keeps its text."""
    kept: set[Keys] = set()
    while True:
        found = Marker(frozenset(kept)).marked(body)
        try:
            told = translate(found.body)
        except GatewayError as error:
            param: Any = getattr(error, "param", None)
            words = {leaf.keys for leaf in leaves(body) if param and is_under(leaf.path, param)}
            if words <= kept:
                raise
            kept |= words
            continue
        marks: dict[Keys, list[str]] = {}
        for mark, bearers in found.marks.items():
            for leaf in bearers:
                marks.setdefault(leaf.keys, []).append(mark)
        return marks, told


def _differs(variant: JSON, translate: Translating, plain: Translated) -> bool:
    try:
        return translate(variant) != plain
    except GatewayError:
        return True
