"""The driver behaves as servers do, and finds what servers forgive."""

import asyncio
from collections.abc import Awaitable, Callable

import anyio
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .asgi_driver import DISCONNECT, Exchange, call
from .virtual_time import START_S, run_virtual
from .waiting import Gate

pytestmark = pytest.mark.anyio

START: dict[str, object] = {"type": "http.response.start", "status": 200, "headers": []}
END: dict[str, object] = {"type": "http.response.body", "body": b"", "more_body": False}


def body(data: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


def sending(*messages: Message) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    return app


def listening(act: Callable[[Receive], Awaitable[None]]) -> ASGIApp:
    """Return an app that does something with ``receive`` and then answers properly."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await act(receive)
        finally:
            await send(START)
            await send(END)

    return app


async def test_real_framework_is_driven() -> None:
    async def echo(request: Request) -> JSONResponse:
        got = await request.json()
        return JSONResponse({"got": got, "q": request.query_params["a"], "url": str(request.url)}, 201, {"X-A": "b"})

    app = Starlette(routes=[Route("/p/{rest}", echo, methods=["PUT"])])
    answer = await call(app, "PUT", "/p/x", json={"n": 1}, query="a=%20b", headers={"Host": "here"})
    expected = {"got": {"n": 1}, "q": " b", "url": "http://here/p/x?a=%20b"}
    assert (answer.status, answer.header("x-a"), answer.header("x-b"), answer.json()) == (201, "b", None, expected)


async def test_scope_is_what_a_server_makes_of_the_request() -> None:
    scopes: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await send(START)
        await send(END)

    await call(app, "POST", "/m/é", json=[1], root_path="/m", headers=[("X-A", "1"), ("x-a", "2")])
    await call(app, "POST", "/x", body=[b"1", b"2"], raw_path=b"/%78", scope_extra={"state": {"a": 1}})
    first, second = scopes
    assert (first["path"], first["raw_path"], first["root_path"]) == ("/m/é", b"/m/%C3%A9", "/m")
    assert first["headers"] == [
        (b"host", b"testserver"),
        (b"content-type", b"application/json"),
        (b"content-length", b"3"),
        (b"x-a", b"1"),
        (b"x-a", b"2"),
    ]
    assert (second["raw_path"], second["state"]) == (b"/%78", {"a": 1})
    assert (b"transfer-encoding", b"chunked") in second["headers"]


async def test_body_comes_in_pieces_and_waits_at_a_gate() -> None:
    gate, got = Gate(), list[Message]()

    async def read(receive: Receive) -> None:
        while not got or got[-1]["more_body"]:
            got.append(await receive())

    async with Exchange(listening(read), body=[b"a", gate, b"b"]) as exchange:
        await gate.reached()
        assert [(m["body"], m["more_body"]) for m in got] == [(b"a", True)]
        gate.open()
        await exchange.finish()
    assert [(m["body"], m["more_body"]) for m in got] == [(b"a", True), (b"b", False)]


async def test_upload_is_sent_by_the_test() -> None:
    got: list[bytes] = []

    async def read(receive: Receive) -> None:
        while (message := await receive())["more_body"]:
            got.append(message["body"])
        got.append(message["body"])

    async with Exchange(listening(read), body=None) as exchange:
        exchange.upload(b"a")
        exchange.upload(b"", more=False)
        await exchange.finish()
    assert got == [b"a", b""]


@pytest.mark.parametrize("pieces", [[b"a", DISCONNECT], [b"a", Gate()]], ids=["in the body", "at a gate"])
async def test_caller_leaves_during_the_upload(pieces: list[bytes | Gate]) -> None:
    got: list[str] = []

    async def read(receive: Receive) -> None:
        while (message := await receive())["type"] == "http.request":
            got.append(message["type"])
        got.append(message["type"])

    async with Exchange(listening(read), body=pieces) as exchange:
        if isinstance(gate := pieces[1], Gate):
            await gate.reached()
            exchange.disconnect()
        await exchange.finish()
    assert got == ["http.request", "http.disconnect"]


async def test_second_receive_after_the_disconnect_fails() -> None:
    async def read(receive: Receive) -> None:
        for _ in range(2):
            await receive()

    with pytest.raises(AssertionError, match=r"after http\.disconnect"):
        await call(listening(read), body=[DISCONNECT])


async def test_app_that_swallows_the_failure_fails_all_the_same() -> None:
    async def read(receive: Receive) -> None:
        await receive()
        await asyncio.gather(receive(), return_exceptions=True)

    with pytest.raises(AssertionError, match=r"after http\.disconnect"):
        await call(listening(read), body=[DISCONNECT])


async def test_two_listeners_at_once_fail() -> None:
    async def read(receive: Receive) -> None:
        await receive()
        listeners = [asyncio.ensure_future(receive()) for _ in range(2)]
        await anyio.wait_all_tasks_blocked()
        for listener in listeners:
            listener.cancel()

    with pytest.raises(AssertionError, match="while another one waits"):
        await call(listening(read))


async def test_complete_response_is_followed_by_a_disconnect() -> None:
    got: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async with anyio.create_task_group() as group:
            got.append((await receive())["type"])

            async def listen() -> None:
                got.append((await receive())["type"])

            group.start_soon(listen)
            await send(START)
            await send(END)

    await call(app)
    assert got == ["http.request", "http.disconnect"]


async def test_stream_is_read_while_it_comes_and_left_in_its_middle() -> None:
    gone = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(START)
        await send(body(b"one"))
        await send(body(b""))
        await send(body(b"two"))
        assert (await receive())["type"] == "http.disconnect"
        gone.set()
        await send(body(b"unseen"))
        await send(END)

    async with Exchange(app) as exchange:
        assert (await exchange.started()).status == 200
        assert await exchange.next_body() == b"one"
        assert await exchange.next_body() == b"two"
        assert not gone.is_set()
        exchange.disconnect()
        answer = await exchange.finish()
    assert (answer.body, answer.is_complete, len(answer.messages)) == (b"onetwo", True, 6)


async def test_end_of_the_stream_is_none() -> None:
    async with Exchange(sending(START, body(b"ab"), body(b"c", more=False))) as exchange:
        assert await exchange.read_until(b"bc") == b"abc"
        assert await exchange.next_body() is None


async def test_mark_that_never_comes_fails() -> None:
    with pytest.raises(AssertionError, match="without b'x'"):
        async with Exchange(sending(START, body(b"ab"), END)) as exchange:
            await exchange.read_until(b"x")


async def test_held_send_blocks_the_app_until_it_is_released() -> None:
    app = sending(START, body(b"1"), body(b"2"), END)
    async with Exchange(app, holds_sends=True) as exchange:
        assert (await exchange.wait_held())["type"] == "http.response.start"
        assert exchange.sends == 1
        exchange.release()
        assert await exchange.next_body() == b"1"
        assert (await exchange.wait_held(), exchange.sends) == (body(b"1"), 2)
        exchange.release(None)
        assert (await exchange.finish()).body == b"12"


async def test_held_send_goes_on_when_the_caller_leaves() -> None:
    async with Exchange(sending(START, END), holds_sends=True) as exchange:
        await exchange.wait_held()
        exchange.disconnect()
        assert (await exchange.finish()).is_complete


async def test_send_raises_from_the_chosen_one_on() -> None:
    caught: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in (START, body(b"a"), body(b"b"), END):
            try:
                await send(message)
            except OSError as error:
                caught.append(str(error))
        caught.append((await receive())["type"])

    async with Exchange(app, fails_send_at=2) as exchange:
        answer = await exchange.finish()
    assert (answer.body, caught) == (b"a", ["the caller is gone"] * 2 + ["http.disconnect"])


async def test_send_raises_after_a_disconnect_where_the_server_is_of_that_kind() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await receive()
        await send(END)

    with pytest.raises(OSError, match="gone"):
        async with Exchange(app, raises_when_gone=True, body=[DISCONNECT]) as exchange:
            await exchange.finish()


async def test_cancellation_of_the_server_reaches_the_app() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await send(body(b"bye", more=False))

    async with Exchange(app) as exchange:
        await exchange.started()
        exchange.cancel()
        answer = await exchange.finish()
    assert (answer.was_cancelled, answer.body) == (True, b"bye")


@pytest.mark.parametrize(
    ("messages", "violation"),
    [
        ([], "without a response"),
        ([START], "without more_body=False"),
        ([START, body(b"x")], "without more_body=False"),
        ([START, START, END], "second http.response.start"),
        ([END, START], "body before http.response.start"),
        ([START, END, body(b"x")], "body after more_body=False"),
        ([START, END, END], "body after more_body=False"),
        ([START, body("x"), END], "body of type str"),  # type: ignore[arg-type]  # the point of the case
        ([{"type": "http.response.trailers"}, START, END], "type 'http.response.trailers'"),
        ([START | {"status": "200"}, END], "status '200'"),
        ([START | {"status": 999}, END], "status 999"),
        ([START | {"status": 204}, body(b"x", more=False)], "with status 204"),
        ([START | {"headers": [("a", b"b")]}, END], "not a pair of bytes"),
        ([START | {"headers": [(b"A-b", b"c")]}, END], "not in lower case"),
        ([START | {"headers": [(b"a b", b"c")]}, END], "other characters"),
        ([START | {"headers": [(b"a", b"c\r\nd: e")]}, END], "line ends"),
        ([START | {"headers": [(b"a", b" c")]}, END], "blanks"),
        ([START | {"headers": [(b"transfer-encoding", b"chunked")]}, END], "hop-by-hop"),
        ([START | {"headers": [(b"connection", b"keep-alive")]}, END], "hop-by-hop"),
        ([START | {"headers": [(b"content-length", b"2")]}, body(b"x", more=False)], "content-length 2 .* 1 bytes"),
        (
            [START | {"headers": [(b"content-length", b"0"), (b"content-type", b"text/event-stream")]}, END],
            "content-length on a stream",
        ),
    ],
)
async def test_breach_of_the_contract_fails(messages: list[Message], violation: str) -> None:
    with pytest.raises(AssertionError, match=violation):
        await call(sending(*messages))


async def test_app_may_ask_for_the_end_of_the_connection() -> None:
    assert (await call(sending(START | {"headers": [(b"connection", b"close")]}, END))).status == 200


async def test_head_has_no_body_but_may_tell_its_length() -> None:
    start = START | {"headers": [(b"content-length", b"5")]}
    assert (await call(sending(start, END), "HEAD")).status == 200
    with pytest.raises(AssertionError, match="answer to HEAD"):
        await call(sending(start, body(b"12345", more=False)), "HEAD")


async def test_answer_may_be_cut_where_the_test_says_so() -> None:
    async with Exchange(sending(START, body(b"x")), may_cut=True) as exchange:
        answer = await exchange.finish()
    assert (answer.body, answer.is_complete) == (b"x", False)


async def test_error_of_the_app_comes_out_wherever_the_test_waits() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        raise KeyError("of the app")

    for wait in (Exchange.next_body, Exchange.finish):
        with pytest.raises(KeyError, match="of the app"):
            async with Exchange(app, may_cut=True) as exchange:
                await wait(exchange)
    with pytest.raises(KeyError, match="of the app"):
        await call(app)


async def test_failing_test_stops_the_app_and_keeps_its_own_error() -> None:
    stopped = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            stopped.set()

    async def fail() -> None:
        async with Exchange(app):
            await anyio.lowlevel.checkpoint()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert stopped.is_set()


async def test_exchange_that_ends_early_disconnects_and_waits_for_the_app() -> None:
    ended = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "http.disconnect"
        await send(START | {"status": 499})
        await send(END)
        ended.set()

    async with Exchange(app):
        pass
    assert ended.is_set()


async def test_streaming_response_of_starlette_keeps_the_contract() -> None:
    app = StreamingResponse(iter(["a", "b"]), media_type="text/event-stream")
    assert (await call(app, "GET")).text == "ab"


@run_virtual
async def test_driver_sets_no_timer_in_virtual_time() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await anyio.sleep(3600)  # virtual
        await send(END)

    async with Exchange(app) as exchange:
        assert await exchange.next_body() is None
    assert anyio.current_time() == START_S + 3600
