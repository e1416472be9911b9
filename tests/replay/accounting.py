"""Translates recorded bodies, and says which of their leaves are neither on the other side nor in a Notice."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, Final, NamedTuple

import msgspec

from asgi_ds2api import shims
from asgi_ds2api.canonical import Notice, ProtocolName
from asgi_ds2api.codec import HTTPCall
from asgi_ds2api.errors import GatewayError
from asgi_ds2api.profiles import PROFILES, Profile
from asgi_ds2api.protocols import PROTOCOLS
from asgi_ds2api.seal import Keyring
from asgi_ds2api.transcoding.side import Side
from asgi_ds2api.transcoding.transcode import Translate
from tests.support.leaves import (
    JSON,
    Keys,
    Leaf,
    Marker,
    in_common_words,
    is_said_beside,
    is_under,
    leaves,
    lies_under,
    path_of,
    pattern_of,
    variants,
    without_runs,
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
    "gemini": Dialect("gemini_generate", PROFILES["gemini"], "gemini-2.5-flash"),
    "akin": Dialect(
        "gemini_generate", msgspec.structs.replace(PROFILES["gemini"], exact=False), "gemini-3-flash-preview"
    ),
    "ollama": Dialect("ollama_chat", PROFILES["ollama"], "qwen3"),
    "mistral": Dialect("openai_chat", PROFILES["mistral"], "mistral-small-2503"),
    "deepseek": Dialect("openai_chat", PROFILES["deepseek"], "deepseek-chat"),
}
ASKED: Final[Mapping[str, dict[str, JSON]]] = {
    "openai_chat": {"model": "asked", "messages": [{"role": "user", "content": "x"}]},
    "openai_responses": {"model": "asked", "input": "x"},
    "anthropic_messages": {"model": "asked", "max_tokens": 10, "messages": [{"role": "user", "content": "x"}]},
    "gemini_generate": {
        "contents": [{"parts": [{"text": "x"}]}],
        "generationConfig": {"thinkingConfig": {"includeThoughts": True}},
    },
    "ollama_chat": {"model": "asked", "messages": [{"role": "user", "content": "x"}]},
}
"""Face -> what is asked where answers are looked at. Thoughts are wanted."""
GEMINI: Final = "/v1beta/models/asked:"
LINES: Final = frozenset({"ollama_chat"})
"""Protocols whose streams have a line for each object."""


class Way(NamedTuple):
    """From a face to an upstream that is translated to."""

    face: ProtocolName
    dialect: str

    def __str__(self) -> str:
        return f"{self.face}-to-{self.dialect}"


class Translated(NamedTuple):
    """What came out on the other side."""

    written: bytes
    notices: tuple[Notice, ...]
    envelope: object
    """What the gateway itself heeds of a request: whether a stream is asked for, and the like."""


Translating = Callable[[JSON], Translated]


def call_of(face: ProtocolName, body: JSON, *, stream: bool = False) -> HTTPCall:
    """Return a caller's request; of some faces the path says what is asked, and not the body."""
    path, query = PROTOCOLS[face].ROUTES[0].path, dict[str, str]()
    if face == "gemini_generate":
        path = f"{GEMINI}streamGenerateContent" if stream else f"{GEMINI}generateContent"
        query = {"alt": "sse"}
    elif face == "ollama_chat" and "messages" not in body:
        path = "/api/generate"
    headers = {"anthropic-version": "2023-06-01"} if face == "anthropic_messages" else {}
    return HTTPCall(method="POST", path=path, body=msgspec.json.encode(body), headers=headers, query=query)


def _begin(face: ProtocolName, to: Dialect, body: JSON, *, stream: bool = False) -> Translate:
    codec, call = PROTOCOLS[face], call_of(face, body, stream=stream)
    request = codec.decode_request(call)
    envelope = msgspec.structs.replace(codec.peek(call, "generate"), salt="1", created=1_700_000_000)
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
    asked = ASKED[face] if face == "gemini_generate" else {**ASKED[face], "stream": stream}
    if stream and face == "openai_chat":
        asked["stream_options"] = {"include_usage": True}
    protocol = DIALECTS[dialect].protocol
    end = b"data: [DONE]\n\n" if protocol == "openai_chat" else b""
    frames = _Frames(_line if protocol in LINES else _frame)

    def translate(body: JSON) -> Translated:
        begun = _begin(face, DIALECTS[dialect], asked, stream=stream)
        begun.request()
        begun.notices.clear()
        if not stream:
            written = begun.whole(msgspec.json.encode(body))
        else:
            written = begun.feed(frames.of(body) + end) + begun.close()
            if begun.failure is not None:
                raise begun.failure
        return Translated(written, tuple(begun.notices), None)

    return translate


def _frame(data: JSON) -> bytes:
    return b"data: " + msgspec.json.encode(data) + b"\n\n"


def _line(data: JSON) -> bytes:
    return msgspec.json.encode(data) + b"\n"


class _Frames:
    """Writes events; those that a stream shares with the one before it are written once."""

    def __init__(self, write: Callable[[JSON], bytes]) -> None:
        self._write = write
        self._events: JSON = []
        self._written: list[bytes] = []

    def of(self, events: JSON) -> bytes:
        """Return the bytes of a stream."""
        written = [
            known if event is last else self._write(event)
            for event, last, known in zip_longest(events, self._events, self._written)
            if event is not None
        ]
        self._events, self._written = events, written
        return b"".join(written)


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
    echoed: frozenset[str] = frozenset()
    """Fields of an answer that repeat the request."""
    replaced: frozenset[str] = frozenset()
    """Patterns of figures that count for nothing where a later event of a stream tells figures anew."""
    zero: frozenset[str] = frozenset()
    """Patterns of counts that are parts of another one: of a total of 0 there are 0, whatever is said."""

    @property
    def patterns(self) -> set[str]:
        """All of them."""
        return {*self.settled, *(said.pattern for said in self.restated), *self.zero, *self.echoed, *self.replaced}

    def of(self, body: JSON, leaf: Leaf, pattern: str) -> str | None:
        """Return the pattern of the exception that a leaf is; None: it is none."""
        if pattern in self.settled or (pattern in self.zero and leaf.value == 0):
            return pattern
        if pattern in self.replaced and any(leaf.keys[1] in event for event in body[int(leaf.keys[0]) + 1 :]):
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


@dataclass
class Looked:
    """What was found on one way."""

    missing: list[str] = field(default_factory=list)
    excepted: set[str] = field(default_factory=set)
    """Patterns of the exceptions that were made."""
    count: int = 0
    """Of bodies."""

    def add(self, name: str, found: Account) -> None:
        """Add what was found of one body."""
        self.count += 1
        self.missing += [f"{name}: {place}" for place in found.missing]
        self.excepted |= found.excepted


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
    is_stream = isinstance(body, list)
    looked_at = _Variants(body, translate, plain)
    marks, marked = _marked(body, translate)
    covers = {in_common_words(notice.path) for notice in (*plain.notices, *marked.notices)}
    missing: dict[str, str] = {}
    settled: set[str] = set()
    summed: set[str] = set()
    excepted: set[str] = set()
    for leaf in leaves(body):
        path, pattern = path_of(place(leaf)), pattern_of(place(leaf))
        if path in settled or (path in summed and leaf.field not in added):
            continue
        if pattern.partition(".")[0] in exceptions.echoed:
            excepted.add(pattern.partition(".")[0])
            continue
        is_found = any(
            lies_under(place, covers) for place in {path, path_of(leaf.keys[1:] if is_stream else leaf.keys)}
        )
        if not is_found and leaf.keys in marks and pattern not in exceptions.sealed:
            is_found = all(mark.encode() in marked.written for mark in marks[leaf.keys])
        elif not is_found:
            is_found = looked_at.differ(leaf)
        exception = None if is_found else exceptions.of(body, leaf, pattern)
        if exception is not None:
            excepted.add(exception)
        if not (is_found or exception):
            missing[path] = f"{path} ({leaf.path}): {str(leaf.value)[:40]!r}"
        elif leaf.field not in added:
            settled.add(path)
            missing.pop(path, None)
        else:
            summed.add(path)
    return Account(list(missing.values()), excepted)


def _marked(body: JSON, translate: Translating) -> tuple[dict[Keys, list[str]], Translated]:
    """Translate a body with marks in all texts but those that must be words: what is refused then keeps its text.

    An answer is refused without a place where marks between pieces of a call's arguments spoil the call.
    """
    kept: set[Keys] = set()
    while True:
        found = Marker(frozenset(kept)).marked(body)
        try:
            told = translate(found.body)
        except GatewayError as error:
            param: Any = getattr(error, "param", None)
            words = {
                leaf.keys for leaf in leaves(body) if (is_under(leaf.path, param) if param else _is_of_call(body, leaf))
            }
            if words <= kept:
                raise
            kept |= words
            continue
        marks: dict[Keys, list[str]] = {}
        for mark, bearers in found.marks.items():
            for leaf in bearers:
                marks.setdefault(leaf.keys, []).append(mark)
        return marks, told


def _is_of_call(body: JSON, leaf: Leaf) -> bool:
    """Tell whether a leaf is a piece of a call's arguments: all of them together are JSON."""
    if leaf.field == "delta":
        return "arguments" in body[int(leaf.keys[0])]["type"]
    return leaf.field in ("arguments", "partial_json")


class _Variants:
    """Tells whether the other side is another one without a leaf, or with another one in its place.

    Of a long stream most events are pieces like those around them. A leaf of another event is looked at in the stream
    without such pieces, and only if nothing hangs on it there, in the whole one.
    """

    def __init__(self, body: JSON, translate: Translating, plain: Translated) -> None:
        self._body = body
        self._translate = translate
        self._plain = plain
        self._numbers = without_runs(body) if isinstance(body, list) else {}
        """Number of an event -> its number in the stream that is looked at."""
        self._short: tuple[JSON, Translated | None] | None = None
        """The stream without pieces, and its other side; none: a call in it is spoilt without them."""

    def differ(self, leaf: Leaf) -> bool:
        """Tell it of one leaf."""
        is_kept = len(self._numbers) < len(self._body) and leaf.keys[0] in self._numbers
        return (is_kept and self._differ_shortly(leaf)) or self._differ(self._body, leaf, self._plain)

    def _differ_shortly(self, leaf: Leaf) -> bool:
        if self._short is None:
            short = [event for number, event in enumerate(self._body) if number in self._numbers]
            self._short = (short, self._translated(short))
        events, plain = self._short
        moved = Leaf((self._numbers[int(leaf.keys[0])], *leaf.keys[1:]), leaf.value)
        return plain is not None and self._differ(events, moved, plain)

    def _differ(self, body: JSON, leaf: Leaf, plain: Translated) -> bool:
        return any(self._is_other(variant, plain) for variant in variants(body, leaf))

    def _is_other(self, variant: JSON, plain: Translated) -> bool:
        return self._translated(variant) != plain

    def _translated(self, body: JSON) -> Translated | None:
        """Return the other side; None: it is refused."""
        try:
            return self._translate(body)
        except GatewayError:
            return None
