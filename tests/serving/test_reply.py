"""One answer over ASGI: one start, one end, whatever happens in between."""

from collections.abc import Awaitable, Callable
from functools import partial

import anyio
import pytest
from starlette.types import Message

from asgi_ds2api.serving.inbound import ClientGone
from asgi_ds2api.serving.reply import Reply
from tests.support.server_send import ServerSend
from tests.support.virtual_time import START_S, run_virtual

JSON = [(b"content-type", b"application/json")]
SSE = [(b"content-type", b"text/event-stream")]


async def begun(*, takes_s: float = 0) -> tuple[ServerSend, Reply]:
    """Return a server, each of whose sends takes so long, and a stream to it that has begun."""
    server = ServerSend(takes_s=takes_s)
    reply = Reply(server)
    await reply.start(200, SSE)
    return server, reply


# --- the plain way ----------------------------------------------------------------------------------------------------


@run_virtual
async def test_stream_is_a_start_its_pieces_and_an_end() -> None:
    server, reply = await begun()
    await reply.write(b"a")
    await reply.write(b"b")
    await reply.end(b"c")
    server.check()
    assert server.messages == [
        {"type": "http.response.start", "status": 200, "headers": SSE},
        {"type": "http.response.body", "body": b"a", "more_body": True},
        {"type": "http.response.body", "body": b"b", "more_body": True},
        {"type": "http.response.body", "body": b"c", "more_body": False},
    ]


@run_virtual
async def test_whole_answer_has_its_length() -> None:
    server = ServerSend()
    await Reply(server).whole(404, JSON, b"{}")
    server.check()
    assert server.messages == [
        {"type": "http.response.start", "status": 404, "headers": [*JSON, (b"content-length", b"2")]},
        {"type": "http.response.body", "body": b"{}", "more_body": False},
    ]


@run_virtual
async def test_nothing_is_not_sent() -> None:
    server, reply = await begun()
    await reply.write(b"")
    await reply.end()
    assert len(server.messages) == 2


@run_virtual
async def test_head_has_the_length_and_no_body() -> None:
    server = ServerSend("HEAD")
    reply = Reply(server, is_head=True)
    await reply.whole(200, JSON, b"{}")
    server.check()
    assert (server.messages[0]["headers"][-1], server.body, reply.bytes_out) == ((b"content-length", b"2"), b"", 0)


@run_virtual
async def test_stream_to_a_head_has_no_body() -> None:
    server = ServerSend("HEAD")
    reply = Reply(server, is_head=True)
    await reply.start(200, SSE)
    await reply.write(b"abc")
    await reply.end(b"d")
    server.check()
    assert (server.body, reply.bytes_out) == (b"", 0)


@run_virtual
async def test_it_knows_how_far_it_is() -> None:
    server = ServerSend(takes_s=3)
    reply = Reply(server)
    seen = [(reply.status, reply.is_started, reply.is_ended, reply.bytes_out, reply.last_sent_at)]
    await reply.start(200, SSE)
    seen.append((reply.status, reply.is_started, reply.is_ended, reply.bytes_out, reply.last_sent_at))
    await reply.end(b"abc")
    seen.append((reply.status, reply.is_started, reply.is_ended, reply.bytes_out, reply.last_sent_at))
    assert seen == [
        (None, False, False, 0, START_S),
        (200, True, False, 0, START_S + 3),
        (200, True, True, 3, START_S + 6),
    ]


@run_virtual
async def test_it_knows_since_when_a_send_waits() -> None:
    reply = Reply(ServerSend(takes_s=10))
    async with anyio.create_task_group() as group:
        await anyio.sleep(1)  # virtual
        group.start_soon(reply.start, 200, SSE)
        await anyio.sleep(5)  # virtual
        assert reply.sending_since == START_S + 1
    assert reply.sending_since is None


# --- once, and in turn ------------------------------------------------------------------------------------------------


@run_virtual
async def test_second_end_is_none() -> None:
    server = ServerSend()
    reply = Reply(server)
    await reply.whole(200, JSON, b"{}")
    await reply.end(b"again")
    await reply.ensure_ended()
    server.check()
    assert server.body == b"{}"


@run_virtual
async def test_heartbeats_and_pieces_take_turns() -> None:
    server, reply = await begun(takes_s=2)
    async with anyio.create_task_group() as group:
        for piece in (b"1", b"2", b"3"):
            group.start_soon(reply.write, piece)
    await reply.end()
    server.check()
    assert server.body == b"123"


@run_virtual
async def test_heartbeat_that_waited_past_the_end_is_not_sent() -> None:
    server, reply = await begun(takes_s=2)
    async with anyio.create_task_group() as group:
        for say in (partial(reply.write, b"last words"), partial(reply.end, b"."), partial(reply.write, b"beat")):
            group.start_soon(say)
    server.check()
    assert (server.body, reply.bytes_out) == (b"last words.", 11)


@run_virtual
async def test_abandoned_answer_ends_without_a_word() -> None:
    server, reply = await begun()
    reply.abandon()
    await reply.write(b"beat")
    await reply.ensure_ended()
    assert (reply.is_ended, len(server.messages)) == (True, 1)


# --- a caller that has gone -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fails_at", [0, 1, 2, 3], ids=lambda number: f"F84-send-{number}")
@run_virtual
async def test_server_that_raises_says_that_the_caller_is_gone(fails_at: int) -> None:
    server = ServerSend(fails_at=fails_at)
    reply = Reply(server)
    write = partial(reply.write, b"x")
    sends: list[Callable[[], Awaitable[None]]] = [partial(reply.start, 200, SSE), write, write, reply.end]
    for send in sends[:fails_at]:
        await send()
    with pytest.raises(ClientGone) as caught:
        await sends[fails_at]()
    assert caught.value.__cause__ is None
    assert reply.sending_since is None


@run_virtual
async def test_error_of_another_kind_is_not_taken_for_that() -> None:
    async def send(message: Message) -> None:
        raise RuntimeError("a bug of the server")

    with pytest.raises(RuntimeError, match="a bug of the server"):
        await Reply(send).start(200, SSE)


@run_virtual
async def test_M18_caller_that_left_before_an_answer_gets_one() -> None:
    server = ServerSend()
    await Reply(server).ensure_ended()
    server.check()
    assert (server.status, server.body) == (499, b"")


@run_virtual
async def test_M18_stream_of_a_caller_that_left_ends() -> None:
    server, reply = await begun()
    await reply.write(b"a")
    await reply.ensure_ended()
    server.check()


@pytest.mark.parametrize("fails_at", [0, 1], ids=["M18-start", "M18-end"])
@run_virtual
async def test_last_duty_to_a_caller_that_left_raises_nothing(fails_at: int) -> None:
    server = ServerSend(fails_at=fails_at)
    reply = Reply(server)
    await reply.ensure_ended()
    assert (reply.is_ended, len(server.messages)) == (True, fails_at + 1)


# --- cancelled at any moment ------------------------------------------------------------------------------------------

Answer = Callable[[Reply], Awaitable[None]]


async def _whole(reply: Reply) -> None:
    await reply.whole(200, JSON, b'{"ok": true}')


async def _stream(reply: Reply) -> None:
    await reply.start(200, SSE)
    await reply.write(b"a")
    await reply.end(b"b")


@pytest.mark.parametrize("answer", [_whole, _stream], ids=["whole", "stream"])
@pytest.mark.parametrize("after_s", [0, 1, 2, 3, 4, 5, 6])
@run_virtual
async def test_answer_cut_off_at_any_moment_is_completed(answer: Answer, after_s: float) -> None:
    """Cut between two messages as well: a whole answer then still keeps the length that it promised."""
    server = ServerSend(takes_s=2)
    reply = Reply(server)
    with anyio.move_on_after(after_s):
        await answer(reply)
    await reply.ensure_ended()
    server.check()


@run_virtual
async def test_start_that_was_never_sent_is_none() -> None:
    server = ServerSend()
    reply = Reply(server)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await reply.start(200, SSE)
    assert (reply.is_started, server.messages) == (False, [])


@run_virtual
async def test_end_that_waits_for_its_turn_is_none_yet() -> None:
    server, reply = await begun(takes_s=10)
    async with anyio.create_task_group() as group:
        group.start_soon(reply.write, b"beat")
        await anyio.sleep(1)  # virtual
        with anyio.move_on_after(1):
            await reply.end(b"too late")
        assert not reply.is_ended
    await reply.ensure_ended()
    server.check()
    assert server.body == b"beat"
