"""Bad input as bytes, under a real uvicorn with each of its parsers: what a server does not catch, we do.

Where a server refuses by itself, that is as good; what counts is that nothing goes upstream that two readers could
understand in two ways, and that a connection is then either closed or in order: the next request on it is answered.
"""

import contextlib
import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pytest

from asgi_ds2api import DS2APIMiddleware
from asgi_ds2api.gateway import Gateway
from asgi_ds2api.observe import Record
from tests.support.asgi_driver import Answer
from tests.support.dialects import CHAT, CLAUDE, Dialect
from tests.support.gateways import Records, make_gateway, open_leases, upstream
from tests.support.scripted_client import ScriptedUpstream, answering
from tests.support.serving import HTTPParser, serve

from .refusals import assert_refusal
from .wire import Request, Wire

LIMIT = 4_096
PREFIX = b"/ai"


async def host(scope: Any, receive: Any, send: Any) -> None:
    """Answer everything."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 299, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"host"})


class Stage:
    """A server with a host and our gateway in it."""

    def __init__(self, parser: HTTPParser, **timeouts: float) -> None:
        self.parser = parser
        self.records = Records()
        self.url = ""
        self.upstreams: dict[str, ScriptedUpstream] = {
            face.name: ScriptedUpstream.by_request(lambda _, face=face: answering(face.whole()))  # type: ignore[misc]  # bound
            for face in (CHAT, CLAUDE)
        }
        self.gateway: Gateway = make_gateway(
            upstream("chat"),
            upstream("claude"),
            scripts=self.upstreams,
            hooks=[self.records],
            limits={"max_body_bytes": LIMIT},
            timeouts=timeouts,
        )

    def sent(self) -> list[dict[str, Any]]:
        """Return what went upstream since the last look."""
        bodies = [call.json() for scripted in self.upstreams.values() for call in scripted.calls]
        for scripted in self.upstreams.values():
            scripted.calls.clear()
        return bodies

    def record(self, request_id: str) -> Record:
        """Wait for the Record of a request, and take it."""
        while True:
            count = len(self.records)
            for record in self.records:
                if record.request_id == request_id:
                    self.records.remove(record)
                    return record
            self.records.wait(count + 1)


@contextlib.contextmanager
def served(stage: Stage) -> Iterator[Stage]:
    """Run the server of a stage; in the end nothing of it is left over."""
    with serve(DS2APIMiddleware(host, gateway=stage.gateway), http=stage.parser, lifespan="off") as running:
        stage.url = running.url
        yield stage
    assert (open_leases(stage.gateway), stage.gateway.status()["active"]) == (0, 0)
    assert all(scripted.still_open == 0 for scripted in stage.upstreams.values())


@pytest.fixture(scope="module", params=["httptools", "h11"])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    with served(Stage(request.param)) as running:
        yield running


def body_for(face: Dialect) -> bytes:
    """Return a small request."""
    return json.dumps(face.ask(f"{face.name}/test", stream=False)).encode()


def good(face: Dialect, **changes: Any) -> Request:
    """Return a request that is served, with ``changes``."""
    lines = tuple(f"{name}: {value}".encode() for name, value in face.headers.items())
    lines += changes.pop("lines", ())
    return Request(PREFIX + face.path.encode(), body_for(face), lines)._replace(**changes)


def kind_of(answer: Answer) -> str:
    """Say who answered: ``ok``, ``host``, the code of our error, or ``server 400`` for the server's own."""
    if answer.status in (200, 299):
        return "ok" if answer.status == 200 else "host"
    return answer.header("x-ds2api-error") or f"server {answer.status}"


def assert_in_order(stage: Stage, wire: Wire, answer: Answer, face: Dialect) -> None:
    """The connection was closed, if the answer says so; else the next request on it is served."""
    if answer.header("connection") == "close":
        assert wire.is_closed()
        return
    assert wire.ask(good(face)).status == 200
    assert stage.sent() == [face.ask("test", stream=False)]


class Row(NamedTuple):
    """What is sent, and who may answer; the request is made for each face."""

    changes: dict[str, Any]
    kinds: Sequence[str]


def line(text: bytes, **changes: Any) -> dict[str, Any]:
    """Return changes that add a header line."""
    return {"lines": (text,), **changes}


SIZES = {face.name: len(body_for(face)) for face in (CHAT, CLAUDE)}
NO = ("server 400",)
FRAMING = ("server 400", "invalid_framing")
HEADER = ("server 400", "invalid_header")
METHOD = ("server 400", "method_not_allowed")
ROWS: dict[str, Row] = {
    "B37-control": Row(line(b"openai-beta: a\x01b"), HEADER),
    "B37-nul": Row(line(b"openai-beta: a\x00b"), HEADER),
    "B37-cr": Row(line(b"openai-beta: a\rx-evil: b"), HEADER),
    "B37-latin-1": Row(line(b"openai-beta: a\xe9b"), HEADER),
    "B56-twice": Row(line(b"content-length: %(size)d"), (*FRAMING, "ok")),
    "B56-list": Row(line(b"content-length: %(size)d, %(size)d", declares=False), (*FRAMING, "ok")),
    "B56-two": Row(line(b"content-length: 5"), FRAMING),
    "B56-two-in-a-list": Row(line(b"content-length: 5, %(size)d", declares=False), FRAMING),
    "B56-plus": Row(line(b"content-length: +%(size)d", declares=False), FRAMING),
    "B56-minus": Row(line(b"content-length: -%(size)d", declares=False), FRAMING),
    "B56-hexadecimal": Row(line(b"content-length: 0x%(size)x", declares=False), FRAMING),
    "B56-empty": Row(line(b"content-length:", declares=False), FRAMING),
    "B57-chunked": Row(line(b"transfer-encoding: chunked", body=b"5\r\nhello\r\n0\r\n\r\n"), FRAMING),
    "B57-identity": Row(line(b"transfer-encoding: identity"), FRAMING),
    "B57-nearly-chunked": Row(line(b"transfer-encoding: xchunked"), FRAMING),
    "B62-get": Row({"method": b"GET"}, METHOD),
    "B62-put": Row({"method": b"PUT"}, METHOD),
    "B63-head": Row({"method": b"HEAD"}, METHOD),
    "B65-trace": Row({"method": b"TRACE"}, METHOD),
    "B65-foo": Row({"method": b"FOO"}, METHOD),
    "B65-lower-case": Row({"method": b"post"}, METHOD),
    "B76-absolute-form": Row({"target": b"http://evil.example%(path)s"}, ("ok", "host")),
    "B76-no-host": Row({"hosts": ()}, ("ok", "server 400")),
    "B76-http-1.0": Row({"hosts": (), "version": b"1.0"}, ("ok",)),
    "B76-two-hosts": Row({"hosts": (b"a", b"b")}, ("ok", "server 400")),
    "B76-path": Row({"hosts": (b"x/health?y=",)}, ("ok",)),
    "B80-two-slashes": Row({"target": b"/%(path)s"}, ("host",)),
    "B80-out-and-back": Row({"target": b"/x/..%(path)s"}, ("host",)),
    "B80-inside": Row({"target": b"/ai/x/..%(rest)s"}, ("unknown_url",)),
    "B80-empty-segment": Row({"target": b"/ai/%(rest)s"}, ("unknown_url",)),
    "B80-parameter": Row({"target": b"/ai;x%(rest)s"}, ("host",)),
    "B80-backslash": Row({"target": b"/ai\\v1"}, ("host",)),
    "B80-nul": Row({"target": b"/ai%%00%(rest)s"}, ("host",)),
    "B80-nul-at-the-end": Row({"target": b"%(path)s%%00"}, ("unknown_url",)),
    "B80-escaped-twice": Row({"target": b"/%%2561i%(rest)s"}, ("host",)),
    "B80-upper-case": Row({"target": b"/AI%(rest)s"}, ("host",)),
    "B81-behind-the-prefix": Row({"target": b"/ai%%2f%(bare)s"}, ("unknown_url",)),
    "B81-inside": Row({"target": b"/ai/v1%%2F%(last)s"}, ("unknown_url",)),
    "B81-dot": Row({"target": b"/%%2e%(path)s"}, ("host", "unknown_url")),
    "B84-escaped": Row({"target": b"/ai/%%c0%%af%(rest)s"}, ("unknown_url",)),
    "B84-bare": Row({"target": b"/ai/\xc0\xaf%(rest)s"}, ("server 400", "unknown_url")),
    "B85-long": Row({"target": b"%(path)s?a=" + b"x" * 50_000}, ("request_too_large",)),
    "B1-no-json": Row({"body": b"{"}, ("invalid_json",)),
}
FACES = [pytest.param(CHAT, id="chat"), pytest.param(CLAUDE, id="claude")]


def fitted(value: Any, face: Dialect) -> Any:
    """Fill in what differs between the faces."""
    rest = face.path.encode()
    facts = {b"size": SIZES[face.name], b"path": PREFIX + rest, b"rest": rest, b"bare": rest[1:], b"last": rest[4:]}
    if isinstance(value, bytes):
        return value % facts if b"%" in value else value
    return tuple(fitted(item, face) for item in value) if isinstance(value, tuple) else value


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
@pytest.mark.parametrize("face", FACES)
def test_bytes_that_are_odd_are_read_in_one_way_or_refused(stage: Stage, face: Dialect, row: Row) -> None:
    stage.sent()
    asked = good(face, **{name: fitted(value, face) for name, value in row.changes.items()})
    with Wire(stage.url) as wire:
        answer = wire.ask(asked)
        kind = kind_of(answer)
        assert kind in row.kinds
        assert stage.sent() == ([face.ask("test", stream=False)] if kind == "ok" else [])
        if answer.header("x-ds2api-error") and asked.method != b"HEAD":
            assert_refusal(face.name, answer, answer.status, kind)
        if kind == "invalid_framing":
            assert answer.header("connection") == "close"
        assert_in_order(stage, wire, answer, face)


@pytest.mark.parametrize("expect", [(), (b"expect: 100-continue",)], ids=["at-once", "if-wanted"])
@pytest.mark.parametrize("face", FACES)
def test_B53_body_that_would_be_too_long_is_never_asked_for(
    stage: Stage, face: Dialect, expect: tuple[bytes, ...]
) -> None:
    lines = (b"content-length: %d" % 10**12, *expect)
    with Wire(stage.url) as wire:
        answer = wire.ask(good(face, lines=lines, body=b"", declares=False))
        assert_refusal(face.name, answer, 413, "request_too_large")
        assert wire.is_closed()
    assert stage.sent() == []


@pytest.mark.parametrize("face", FACES)
def test_B54_upload_in_chunks_ends_at_the_limit(stage: Stage, face: Dialect) -> None:
    chunks = b"%x\r\n%b\r\n" % (LIMIT, b" " * LIMIT) + b"1\r\n \r\n"
    with Wire(stage.url) as wire:
        answer = wire.ask(good(face, lines=(b"transfer-encoding: chunked",), body=chunks, declares=False))
        assert_refusal(face.name, answer, 413, "request_too_large")
        assert wire.is_closed()
    assert stage.sent() == []


@pytest.mark.parametrize("face", FACES)
def test_B55_what_follows_a_body_is_no_part_of_it(stage: Stage, face: Dialect) -> None:
    with Wire(stage.url) as wire:
        wire.send(good(face, lines=(b"x-request-id: says-more",)).write() + b'"more"\r\n\r\n')
        assert wire.read().status in (200, 400)
    assert stage.record("says-more").result in ("ok", "client_gone")
    assert stage.sent() in ([], [face.ask("test", stream=False)])


@pytest.mark.parametrize("face", FACES)
def test_B55_caller_that_leaves_before_its_body_is_whole_asked_nothing(stage: Stage, face: Dialect) -> None:
    asked = good(face, lines=(b"x-request-id: leaves-early",))
    with Wire(stage.url) as wire:
        wire.send(asked.write()[:-1])
    assert stage.record("leaves-early").result == "client_gone"
    assert stage.sent() == []


@pytest.mark.parametrize("parser", ["httptools", "h11"])
@pytest.mark.parametrize("face", FACES)
def test_B55_body_that_stops_is_waited_for_so_long(face: Dialect, parser: HTTPParser) -> None:
    with served(Stage(parser, upload_idle_s=0.05)) as stage, Wire(stage.url) as wire:
        wire.send(good(face).write()[:-1])
        answer = wire.read()
        assert_refusal(face.name, answer, 408, "request_timeout")
        assert wire.is_closed()
        assert stage.sent() == []


@pytest.mark.parametrize("face", FACES)
def test_B62_body_that_nobody_reads_is_not_taken_for_a_request(stage: Stage, face: Dialect) -> None:
    with Wire(stage.url) as wire:
        answer = wire.ask(good(face, method=b"GET", body=good(face).write()))
        assert (answer.status, answer.header("allow")) == (405, "POST")
        assert stage.sent() == []
        assert_in_order(stage, wire, answer, face)


@pytest.mark.parametrize("target", [b"/ai", b"/ai/", b"/ai/v1/models", b"/ai/v1/models/chat/test"])
def test_B63_head_is_answered_without_a_byte_of_a_body(stage: Stage, target: bytes) -> None:
    with Wire(stage.url) as wire:
        get = wire.ask(Request(target, method=b"GET", declares=False))
        head = wire.ask(Request(target, method=b"HEAD", declares=False))
        assert (head.status, head.header("content-length")) == (200, str(len(get.body)))
        assert_in_order(stage, wire, head, CHAT)


def test_B66_handshake_under_the_prefix_is_426(stage: Stage) -> None:
    lines = (
        b"connection: Upgrade",
        b"upgrade: websocket",
        b"sec-websocket-version: 13",
        b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
    )
    with Wire(stage.url) as wire:
        answer = wire.ask(Request(b"/ai/v1/responses", method=b"GET", lines=lines, declares=False))
        assert (answer.status, answer.header("upgrade")) == (426, "websocket")
        assert_in_order(stage, wire, answer, CHAT)
    with Wire(stage.url) as wire:
        answer = wire.ask(Request(b"/chat", method=b"GET", lines=lines, declares=False))
        assert answer.status == 299
