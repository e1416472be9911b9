"""B5, B51, B53 to B59, B64, B66, B78, B79, B85: what a caller may put into a head, and what of it steers nothing."""

import json
import logging
from typing import Any

import pytest

from asgi_ds2api import DS2APIMiddleware
from tests.faults.bench import Bench, Way, both_faces
from tests.support.asgi_driver import Answer, Exchange
from tests.support.gateways import make_gateway, upstream
from tests.support.scripted_client import answering

from .refusals import assert_refused

pytestmark = pytest.mark.anyio

ORIGIN = "https://app.example"


# --- B51: script and escapes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "model",
    ["<script>alert(1)</script>", "a\x1b[31mred", "a\r\nx-evil: 1", "a%0d%0ax-evil:1", "a\u009b31m"],
    ids=["script", "ansi", "newline", "encoded-newline", "c1"],
)
@both_faces
async def test_B51_model_that_is_markup_or_escapes_harms_no_reader(
    way: Way, model: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "asgi_ds2api"):
        async with Bench(way) as bench:
            body = json.dumps({**way.face.ask("m", stream=False), "model": model}).encode()
            answer = await bench.ask(stream=False, body=body)
    assert answer.status in (400, 404)
    assert_plain(answer)
    assert bench.scripted.calls == []
    assert not any(control in caplog.text.replace("\n", "") for control in ("\x1b", "\r", "\x9b"))


@pytest.mark.parametrize("path", ["/v1/<script>", "/v1/\x1b[31m", "/v1/a\r\nx-evil: 1"], ids=["script", "ansi", "crlf"])
async def test_B51_path_that_is_markup_or_escapes_is_plainly_unknown(path: str) -> None:
    async with Exchange(make_gateway(upstream("chat")), "POST", path, body=b"{}") as exchange:
        answer = await exchange.finish()
    assert answer.status == 404
    assert_plain(answer)


@both_faces
async def test_B51_request_id_that_is_markup_is_not_taken_over(way: Way) -> None:
    async with Bench(way, answering(way.upstream.whole())) as bench:
        answer = await bench.ask(stream=False, headers={"x-request-id": "<script>\x1b[31m"})
    assert answer.status == 200
    assert "script" not in (answer.header("x-request-id") or "")
    assert "script" not in bench.record.request_id


def assert_plain(answer: Answer) -> None:
    """No browser runs an answer, and no terminal obeys it."""
    assert answer.header("content-type") == "application/json"
    assert answer.header("x-content-type-options") == "nosniff"
    assert not any(name.lower() == b"x-evil" for name, _ in answer.headers)
    assert not any(byte < 0x20 or byte == 0x7F for _, value in answer.headers for byte in value)
    assert not any(byte < 0x20 for byte in answer.body)
    json.loads(answer.body)


# --- B53 to B57: lengths ----------------------------------------------------------------------------------------------

LIMIT = 1_024


@pytest.mark.parametrize("declared", [LIMIT + 1, 10**18])
@both_faces
async def test_B53_declared_length_over_the_limit_is_refused_unread(way: Way, declared: int) -> None:
    async with Bench(way, limits={"max_body_bytes": LIMIT}) as bench:
        # The body never comes: whoever waits for it never answers.
        answer = await bench.ask(stream=False, body=None, headers={"content-length": str(declared)})
        assert_refused(bench, answer, 413, "request_too_large")
        assert answer.header("connection") == "close"


@both_faces
async def test_B54_body_in_chunks_is_refused_at_the_byte(way: Way) -> None:
    async with Bench(way, limits={"max_body_bytes": LIMIT}) as bench, bench.exchange(stream=False, body=None) as asked:
        asked.upload(b" " * LIMIT)
        asked.upload(b" ")
        answer = await asked.finish()
        assert_refused(bench, answer, 413, "request_too_large")
        assert answer.header("connection") == "close"


@both_faces
async def test_B53_B54_body_of_the_limit_is_read_however_it_comes(way: Way) -> None:
    async with Bench(way, *[answering(way.upstream.whole())] * 2, limits={"max_body_bytes": LIMIT}) as bench:
        body = bench.body(stream=False).ljust(LIMIT)
        for sent in (body, [body[:-1], body[-1:]]):
            answer = await bench.ask(stream=False, body=sent)
            assert answer.status == 200


@both_faces
async def test_B55_body_longer_than_it_declares_is_refused(way: Way) -> None:
    async with Bench(way) as bench:
        body = bench.body(stream=False)
        answer = await bench.ask(stream=False, body=[body, b" "], headers={"content-length": str(len(body))})
        assert_refused(bench, answer, 400, "invalid_framing")
        assert answer.header("connection") == "close"


FRAMINGS = {
    "B56-twice": [("content-length", "{size}"), ("content-length", "{size}")],
    "B56-two": [("content-length", "{size}"), ("content-length", "5")],
    "B56-list": [("content-length", "{size}, {size}")],
    "B56-plus": [("content-length", "+{size}")],
    "B56-minus": [("content-length", "-{size}")],
    "B56-hexadecimal": [("content-length", "0x5")],
    "B56-blank": [("content-length", "{size} ")],
    "B56-empty": [("content-length", "")],
    "B57-chunked": [("content-length", "{size}"), ("transfer-encoding", "chunked")],
    "B57-chunked-first": [("transfer-encoding", "chunked"), ("content-length", "{size}")],
    "B57-identity": [("content-length", "{size}"), ("transfer-encoding", "identity")],
}


@pytest.mark.parametrize("framing", FRAMINGS.values(), ids=FRAMINGS.keys())
@both_faces
async def test_framing_that_could_be_read_in_two_ways_is_refused(way: Way, framing: list[tuple[str, str]]) -> None:
    async with Bench(way) as bench:
        size = len(bench.body(stream=False))
        headers = [*head_of(way), *((name.encode(), value.format(size=size).encode()) for name, value in framing)]
        answer = await bench.ask(stream=False, scope_extra={"headers": headers})
        assert_refused(bench, answer, 400, "invalid_framing")
        assert answer.header("connection") == "close"


def head_of(way: Way, *, is_json: bool = True) -> list[tuple[bytes, bytes]]:
    """Return the headers of a small request."""
    content_type = [(b"content-type", b"application/json")] if is_json else []
    return [*content_type, *((name.encode(), value.encode()) for name, value in way.face.headers.items())]


# --- B58, B59: content types ------------------------------------------------------------------------------------------

TYPES: dict[str, list[tuple[bytes, bytes]]] = {
    "B58-none": [],
    "B58-empty": [(b"content-type", b"")],
    "B59-text": [(b"content-type", b"text/plain")],
    "B59-form": [(b"content-type", b"application/x-www-form-urlencoded")],
    "B59-multipart": [(b"content-type", b"multipart/form-data; boundary=application/json")],
    "B59-nearly": [(b"content-type", b"application/jsonx")],
    "B59-hidden": [(b"content-type", b"text/plain; application/json")],
    "B59-list": [(b"content-type", b"text/plain"), (b"content-type", b"application/json")],
}
every_type = pytest.mark.parametrize("content_type", TYPES.values(), ids=TYPES.keys())
CREDENTIALS = [("authorization", "Bearer x"), ("x-api-key", "x"), ("api-key", "x"), ("x-goog-api-key", "x")]


@every_type
@both_faces
async def test_any_content_type_is_json(way: Way, content_type: list[tuple[bytes, bytes]]) -> None:
    async with Bench(way, answering(way.upstream.whole())) as bench:
        answer = await bench.ask(stream=False, scope_extra={"headers": [*head_of(way, is_json=False), *content_type]})
        assert answer.status == 200


@every_type
@both_faces
async def test_page_cannot_send_what_needs_no_preflight(way: Way, content_type: list[tuple[bytes, bytes]]) -> None:
    headers = [*head_of(way, is_json=False), *content_type, (b"origin", ORIGIN.encode())]
    async with Bench(way) as bench:
        # The body never comes: whoever waits for it never answers.
        answer = await bench.ask(stream=False, body=None, scope_extra={"headers": headers})
        assert_refused(bench, answer, 415, "unsupported_media_type")


@pytest.mark.parametrize("value", ["application/json", "Application/JSON; charset=latin1", "text/json"])
@both_faces
async def test_B59_page_may_send_json_for_which_it_needs_a_preflight(way: Way, value: str) -> None:
    async with Bench(way, answering(way.upstream.whole())) as bench:
        answer = await bench.ask(stream=False, headers={"content-type": value, "origin": ORIGIN})
        assert answer.status == 200


@pytest.mark.parametrize(("name", "value"), CREDENTIALS)
@both_faces
async def test_B59_page_that_sends_a_credential_needs_a_preflight_too(way: Way, name: str, value: str) -> None:
    async with Bench(way, answering(way.upstream.whole())) as bench:
        headers = {"content-type": "text/plain", "origin": ORIGIN, name: value}
        answer = await bench.ask(stream=False, headers=headers)
        assert answer.status == 200


@both_faces
async def test_B5_charset_changes_nothing_json_is_utf_8(way: Way) -> None:
    headers = {"content-type": "application/json; charset=utf-16"}
    async with Bench(way, answering(way.upstream.whole())) as bench:
        answer = await bench.ask(stream=False, headers=headers)
        assert answer.status == 200
    async with Bench(way) as bench:
        body = bench.body(stream=False).decode().encode("utf-16")
        assert_refused(bench, await bench.ask(stream=False, headers=headers, body=body), 400, "invalid_json")


# --- B64: browsers ----------------------------------------------------------------------------------------------------


async def ask_preflight(cors_origins: list[str], origin: str = ORIGIN) -> Answer:
    """Ask as a browser does before a page calls Messages."""
    gateway = make_gateway(upstream("claude"), cors_origins=cors_origins)
    headers = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "x-api-key, content-type",
    }
    async with Exchange(gateway, "OPTIONS", "/v1/messages", headers=headers) as exchange:
        return await exchange.finish()


async def test_B64_preflight_of_an_allowed_origin_is_204() -> None:
    answer = await ask_preflight([ORIGIN])
    assert (answer.status, answer.body) == (204, b"")
    assert answer.header("access-control-allow-origin") == ORIGIN
    assert "POST" in (answer.header("access-control-allow-methods") or "")
    assert answer.header("access-control-allow-headers") == "x-api-key, content-type"
    assert answer.header("access-control-allow-credentials") is None


@pytest.mark.parametrize(("allowed", "origin"), [([], ORIGIN), ([ORIGIN], "https://evil.example"), ([ORIGIN], "null")])
async def test_B64_preflight_of_any_other_origin_allows_nothing(allowed: list[str], origin: str) -> None:
    answer = await ask_preflight(allowed, origin)
    assert answer.status == 405
    assert not any(name.startswith(b"access-control-") for name, _ in answer.headers)


# --- B66: WebSocket ---------------------------------------------------------------------------------------------------


async def shake_hands(path: str, extensions: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a server is told that asks for a WebSocket under the prefix."""
    sent: list[dict[str, Any]] = []

    async def host(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("this is not the host's")

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": path, "headers": [], "extensions": extensions}
    await DS2APIMiddleware(host, gateway=make_gateway(upstream("chat")))(scope, receive, send)
    return sent


async def test_B66_websocket_under_the_prefix_is_closed() -> None:
    assert await shake_hands("/ai/v1/responses", {}) == [{"type": "websocket.close", "code": 1008}]


async def test_B66_server_that_can_answer_a_handshake_answers_426() -> None:
    start, body = await shake_hands("/ai/v1/responses", {"websocket.http.response": {}})
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 426)
    assert json.loads(body["body"])["error"]["message"]


async def test_B66_handshake_that_came_as_http_is_426() -> None:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        raise AssertionError("nothing of a handshake is read")

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"upgrade", b"websocket"), (b"connection", b"Upgrade")]
    scope = {"type": "http", "method": "GET", "path": "/v1/responses", "query_string": b"", "headers": headers}
    await make_gateway(upstream("chat"))(scope, receive, send)
    start, body = sent
    assert (start["status"], dict(start["headers"])[b"upgrade"]) == (426, b"websocket")
    assert json.loads(body["body"])["error"]["message"]


# --- B78, B79: headers that would steer -------------------------------------------------------------------------------


@both_faces
async def test_B78_headers_named_by_connection_still_count_and_are_never_forwarded(way: Way) -> None:
    async with Bench(way, answering(way.upstream.whole())) as bench:
        answer = await bench.ask(stream=False, headers={"connection": "authorization, x-api-key, content-type"})
        (call,) = bench.scripted.calls
    assert answer.status == 200
    assert call.header("connection") is None
    assert call.header("content-type") == "application/json"
    assert call.header("authorization") or call.header("x-api-key")


@both_faces
async def test_B79_headers_of_our_own_that_a_caller_sets_are_dropped(way: Way) -> None:
    ours = {"x-gw-account": "a1", "x-account": "a1", "x-ds2api-account": "a1", "x-ds2api-mode": "relay"}
    async with Bench(way, answering(way.upstream.whole())) as bench:
        answer = await bench.ask(stream=False, headers={**ours, "x-forwarded-host": "evil.example"})
        (call,) = bench.scripted.calls
    assert answer.status == 200
    assert [attempt.account for attempt in bench.record.attempts] == ["a0"]
    assert not any(call.header(name) for name in (*ours, "x-forwarded-host"))


# --- B85: queries -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", ["a=1&a=2&%%%&=&&", "beta=true", "alt=json", "url=http://evil.example"])
@both_faces
async def test_B85_query_that_means_nothing_is_not_forwarded(way: Way, query: str) -> None:
    async with Bench(way, answering(way.upstream.whole())) as bench:
        answer = await bench.ask(stream=False, query=query)
        (call,) = bench.scripted.calls
    assert answer.status == 200
    assert "?" not in call.request.url


@both_faces
@pytest.mark.parametrize("query", ["limit=1&limit=2", "api-version=1&api-version=1", "alt=sse&a=b&%61lt=json"])
async def test_B85_parameter_that_means_something_may_stand_once(way: Way, query: str) -> None:
    async with Bench(way) as bench:
        answer = await bench.ask(stream=False, query=query)
        assert_refused(bench, answer, 400, "duplicate_parameter")


@both_faces
async def test_B85_query_of_a_mebibyte_is_refused(way: Way) -> None:
    async with Bench(way) as bench:
        answer = await bench.ask(stream=False, query="a=" + "x" * 2**20)
        assert_refused(bench, answer, 413, "request_too_large")
