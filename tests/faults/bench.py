"""A gateway in front of an upstream that goes wrong, and what must hold however it went.

A `Bench` asks on one face, of one upstream, and when it is left it checks what no fault may break: every lease was
given back exactly once, every answer of the upstream was closed exactly once, and every request has one Record.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import pytest
from _pytest.mark import ParameterSet

from asgi_ds2api.gateway import Gateway
from asgi_ds2api.observe import Record
from asgi_ds2api.pool.model import AccountStatus
from tests.support.asgi_driver import Answer, Exchange
from tests.support.dialects import ALL_DIALECTS, Dialect, Seen
from tests.support.gateways import Records, make_gateway, open_leases, upstream
from tests.support.raw_upstream import RawUpstream
from tests.support.scripted_client import Answering, Piece, Script, ScriptedUpstream


@dataclass(frozen=True)
class Way:
    """From a face to an upstream."""

    face: Dialect
    upstream: Dialect
    mode: str

    @property
    def profile(self) -> dict[str, Any] | None:
        """The upstream's: one that is not exact is translated, even within one protocol."""
        is_translated_all_the_same = self.face is self.upstream and self.mode == "translate"
        return {"exact": False} if is_translated_all_the_same else None

    @property
    def stream_headers(self) -> dict[str, str]:
        """Those with which the upstream begins a stream."""
        return {"content-type": self.upstream.content_type}

    def streaming(self, *pieces: Piece, headers: Mapping[str, str] | None = None) -> Answering:
        """Return a stream of the upstream, each piece of bytes a read."""
        return stream_of(self.upstream, *pieces, headers=headers)


def stream_of(dialect: Dialect, *pieces: Piece, headers: Mapping[str, str] | None = None) -> Answering:
    """Return a stream of an upstream, each piece of bytes a read."""
    return Answering(200, {"content-type": dialect.content_type} | dict(headers or {}), pieces)


def _way(face: str, to: str, mode: str) -> Way:
    return Way(ALL_DIALECTS[face], ALL_DIALECTS[to], mode)


WAYS: dict[str, Way] = {
    "chat>chat": _way("chat", "chat", "relay"),
    "chat>chat.translated": _way("chat", "chat", "translate"),
    "chat>claude": _way("chat", "claude", "translate"),
    "claude>chat": _way("claude", "chat", "translate"),
    "claude>claude": _way("claude", "claude", "relay"),
    "claude>claude.translated": _way("claude", "claude", "translate"),
}
"""Of the two protocols that most tests of bad input know."""
FIVE: dict[str, Way] = {
    **WAYS,
    "responses>responses": _way("responses", "responses", "relay"),
    "gemini>gemini": _way("gemini", "gemini", "relay"),
    "ollama>ollama": _way("ollama", "ollama", "relay"),
    "responses>chat": _way("responses", "chat", "translate"),
    "gemini>claude": _way("gemini", "claude", "translate"),
    "ollama>chat": _way("ollama", "chat", "translate"),
    "chat>responses": _way("chat", "responses", "translate"),
    "claude>gemini": _way("claude", "gemini", "translate"),
    "chat>ollama": _way("chat", "ollama", "translate"),
}
"""Each protocol as a face and as an upstream: relayed, and translated with one other."""
BEFORE_TEXT: Mapping[str, int] = {name: dialect.before_text for name, dialect in ALL_DIALECTS.items()}
"""Frames of an upstream's stream that come before the first that says something."""
every_protocol = pytest.mark.parametrize("way", FIVE.values(), ids=FIVE.keys())
RELAYED: dict[str, Way] = {way.face.name: way for way in FIVE.values() if way.mode == "relay"}
every_face = pytest.mark.parametrize("way", RELAYED.values(), ids=RELAYED.keys())
"""For what does not depend on the upstream."""
every_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
both_faces = pytest.mark.parametrize("way", [WAYS["chat>chat"], WAYS["claude>claude"]], ids=["chat", "claude"])
"""For what does not depend on the upstream."""
whole_and_streamed = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


def ways_with(**rows: Any) -> list[ParameterSet]:
    """Return params of every way, each with every row: ``(way, row)``."""
    return [pytest.param(way, row, id=f"{fault}-{name}") for fault, row in rows.items() for name, way in WAYS.items()]


WALL_S = 1_800_000_000.0
"""The wall clock stands still: answers carry its seconds."""


class Bench:
    """``async with Bench(way, script, ...) as bench: answer = await bench.ask(stream=True)``.

    Args:
        way: Which face and which upstream.
        scripts: What the upstream does, one for each call.
        raw: An upstream with sockets, in place of ``scripts``: the real client asks it.
        accounts: Of the upstream; they are called ``a0``, ``a1``, ...
        profile: Of the upstream, in place of the way's.
        config: Top-level keys of the configuration.
    """

    def __init__(
        self,
        way: Way,
        *scripts: Script,
        raw: RawUpstream | None = None,
        accounts: int = 2,
        profile: Any = None,
        **config: Any,
    ) -> None:
        self.way = way
        self.scripted = ScriptedUpstream(*scripts)
        self.records = Records()
        self.asked = 0
        """How many requests were made."""
        self._raw = raw
        name = way.upstream.name
        url = {} if raw is None else {"url": raw.url}
        self.gateway: Gateway = make_gateway(
            upstream(name, accounts=accounts, profile=profile or way.profile, **url),
            scripts={name: self.scripted} if raw is None else None,
            hooks=[self.records],
            **config,
        )
        self.gateway._engine.wall_now = lambda: WALL_S

    @property
    def model(self) -> str:
        """What is asked for."""
        return f"{self.way.upstream.name}/test"

    @property
    def record(self) -> Record:
        """Of the last request."""
        return self.records[-1]

    @property
    def codes(self) -> list[str]:
        """How each attempt of the last request ended."""
        return [attempt.code for attempt in self.record.attempts]

    @property
    def accounts(self) -> tuple[AccountStatus, ...]:
        """What the pool thinks of the accounts."""
        return self.gateway._engine.pool.snapshot().accounts

    @property
    def failed(self) -> int:
        """How many attempts are held against an account."""
        return sum(account.failed for account in self.accounts)

    def body(self, *, stream: bool, padding: bytes = b"") -> bytes:
        """Return a small request, with ``padding`` behind it."""
        asked = self.way.face.ask(self.model, stream=stream)
        return json.dumps(asked).encode() + padding

    def exchange(
        self, *, stream: bool, app: Any = None, body: Any = ..., padding: bytes = b"", **more: Any
    ) -> Exchange:
        """Begin a request; ``body`` and the rest are arguments of `Exchange`."""
        self.asked += 1
        face = self.way.face
        headers = {"content-type": "application/json", **face.headers, **more.pop("headers", {})}
        chosen = self.body(stream=stream, padding=padding) if body is ... else body
        path, query = face.address(self.model, stream=stream)
        address = {"path": path, "query": query, **more}
        return Exchange(app or self.gateway, "POST", headers=headers, body=chosen, **address)

    async def ask(self, *, stream: bool, **more: Any) -> Answer:
        """Make a whole request."""
        async with self.exchange(stream=stream, **more) as exchange:
            return await exchange.finish()

    def seen(self, answer: Answer, *, stream: bool) -> Seen:
        """Read an answer as the caller does, by its content type; a stream that was asked for is one if it is 200."""
        is_stream = (answer.header("content-type") or "").startswith(self.way.face.content_type)
        assert is_stream == (stream and answer.status == 200)
        read = self.way.face.read_stream if is_stream else self.way.face.read_whole
        return read(answer.body)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, exc_type: type[BaseException] | None, *_: object) -> None:
        if self._raw is not None:
            await self.gateway._clients.close()
        if exc_type is None:
            self.check()
        if exc_type is None and self._raw is not None:
            await self._raw.wait_closed()

    def check(self) -> None:
        """Check what no fault may break."""
        snapshot = self.gateway._engine.pool.snapshot()
        assert (open_leases(self.gateway), snapshot.stray_releases) == (0, 0)
        assert self.gateway.status()["active"] == 0
        assert self.scripted.still_open == 0
        assert [call.closes for call in self.scripted.calls if call.was_opened] == [
            1 for call in self.scripted.calls if call.was_opened
        ]
        assert len(self.records) == self.asked
        assert len({record.request_id for record in self.records}) == self.asked


_OPENAI_WORDS: Mapping[str, tuple[int, str | None, str | int | None]] = {
    "refused": (400, "invalid_request_error", None),
    "interrupted": (502, "server_error", "upstream_truncated"),
    "malformed": (502, "server_error", "upstream_error"),
    "fault": (502, "server_error", "upstream_error"),
    "timeout": (504, "server_error", "upstream_timeout"),
    "unauthorized": (502, "server_error", "upstream_auth_error"),
    "limited": (429, "requests", "rate_limit_exceeded"),
    "overloaded": (503, "server_error", "server_is_overloaded"),
    "too_large": (413, "invalid_request_error", "request_too_large"),
    "internal": (500, "server_error", None),
    "slow_upload": (408, "invalid_request_error", "request_timeout"),
}
WORDS: Mapping[str, Mapping[str, tuple[int, str | None, str | int | None]]] = {
    "chat": _OPENAI_WORDS,
    "responses": _OPENAI_WORDS,
    "claude": {
        "refused": (400, "invalid_request_error", None),
        "interrupted": (502, "api_error", None),
        "malformed": (502, "api_error", None),
        "fault": (502, "api_error", None),
        "timeout": (504, "timeout_error", None),
        "unauthorized": (502, "api_error", None),
        "limited": (429, "rate_limit_error", None),
        "overloaded": (529, "overloaded_error", None),
        "too_large": (413, "request_too_large", None),
        "internal": (500, "api_error", None),
        "slow_upload": (408, "timeout_error", None),
    },
    "gemini": {
        "refused": (400, "INVALID_ARGUMENT", 400),
        "interrupted": (502, "INTERNAL", 502),
        "malformed": (502, "INTERNAL", 502),
        "fault": (502, "INTERNAL", 502),
        "timeout": (504, "DEADLINE_EXCEEDED", 504),
        "unauthorized": (502, "INTERNAL", 502),
        "limited": (429, "RESOURCE_EXHAUSTED", 429),
        "overloaded": (503, "UNAVAILABLE", 503),
        "too_large": (413, "INVALID_ARGUMENT", 413),
        "internal": (500, "INTERNAL", 500),
        "slow_upload": (408, "DEADLINE_EXCEEDED", 408),
    },
    "ollama": {  # an error is a text
        "refused": (400, None, None),
        "interrupted": (502, None, None),
        "malformed": (502, None, None),
        "fault": (502, None, None),
        "timeout": (504, None, None),
        "unauthorized": (502, None, None),
        "limited": (429, None, None),
        "overloaded": (503, None, None),
        "too_large": (413, None, None),
        "internal": (500, None, None),
        "slow_upload": (408, None, None),
    },
}
"""How each face says what went wrong: HTTP status, type, code."""
IN_BAND: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "responses": {
        "interrupted": ("failed", "server_error"),
        "malformed": ("failed", "server_error"),
        "fault": ("failed", "server_error"),
        "timeout": ("failed", "server_error"),
        "unauthorized": ("failed", "server_error"),
        "limited": ("failed", "rate_limit_exceeded"),
        "overloaded": ("failed", "server_is_overloaded"),
        "internal": ("failed", "server_error"),
    },
}
"""Status and code of an answer that failed, where a stream has words of its own for what went wrong."""


def relayed(way: Way, frames: Sequence[bytes]) -> bytes:
    """Return what a caller gets of a whole stream that is relayed: Responses' end with a sentinel, as Open's do."""
    return b"".join(frames) + (b"data: [DONE]\n\n" if way.face.name == "responses" else b"")


def states(bench: "Bench") -> list[str]:
    """Return how each account stands with the model that is asked for: Gemini's limits are those of a model."""
    return [account.models[0].state if account.models else account.state for account in bench.accounts]


def words_in_band(face: Dialect, what: str) -> tuple[str | None, str | int | None]:
    """Return type and code of an error as the last event of a stream."""
    return IN_BAND[face.name][what] if face.name in IN_BAND else WORDS[face.name][what][1:]


def assert_told(bench: Bench, answer: Answer, what: str, *, stream: bool) -> None:
    """The caller was told ``what`` with a status of its own: nothing of an answer had gone out."""
    status, kind, code = WORDS[bench.way.face.name][what]
    error = bench.seen(answer, stream=stream).error
    assert error is not None
    assert (answer.status, error["type"], error.get("code")) == (status, kind, code)
    assert answer.is_complete


def assert_told_in_band(bench: Bench, answer: Answer, what: str) -> Seen:
    """The caller was told ``what`` as the last event of a stream that had begun, and nothing says success."""
    kind, code = words_in_band(bench.way.face, what)
    seen = bench.way.face.read_stream(answer.body)
    assert seen.error is not None
    assert (answer.status, seen.error["type"], seen.error.get("code")) == (200, kind, code)
    assert (seen.is_ended, seen.finish) == (False, None)
    assert answer.is_complete
    return seen
