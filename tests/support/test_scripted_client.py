"""The upstream in memory keeps the contract of the real ones, and its limits, in virtual time."""

import anyio
import pytest

from asgi_ds2api.errors import Interrupted, Timeout, Unreachable
from asgi_ds2api.upstream.contract import CallBounds, Upstream, UpstreamRequest, UpstreamResponse

from .scripted_client import (
    NEVER,
    Answering,
    Delay,
    ScriptedClients,
    ScriptedUpstream,
    answering,
    streaming,
)
from .virtual_time import START_S, run_virtual
from .waiting import Gate

LIMITS = CallBounds(first_byte_s=60, idle_s=30)
REQUEST = UpstreamRequest(
    method="POST", url="http://h/x", headers=[(b"x-a", b"1")], body=b'{"model":"m"}', limits=LIMITS
)


async def read_all(response: UpstreamResponse) -> list[bytes]:
    pieces = []
    while piece := await response.read():
        pieces.append(piece)
    return pieces


@run_virtual
async def test_calls_play_their_scripts_in_turn() -> None:
    upstream = ScriptedUpstream(
        answering({"n": 1}, headers={"X-B": "2"}), answering(b"busy", status=429), streaming(b"a", b"b")
    )
    client: Upstream = upstream.client("any")
    answers = []
    for _ in range(3):
        response = await client.open(REQUEST)
        answers.append((response.status, list(response.headers), await read_all(response)))
        await response.close()
    json, events = (b"content-type", b"application/json"), (b"content-type", b"text/event-stream")
    assert answers == [
        (200, [json, (b"x-b", b"2")], [b'{"n":1}']),
        (429, [json], [b"busy"]),
        (200, [events], [b"a", b"b"]),
    ]
    assert [(call.reads, call.closes, call.is_open) for call in upstream.calls] == [(1, 1, False)] * 2 + [(2, 1, False)]
    assert (upstream.calls[0].json(), upstream.calls[0].header("x-a")) == ({"model": "m"}, "1")


@run_virtual
async def test_call_without_a_script_is_a_mistake() -> None:
    with pytest.raises(AssertionError, match="no script is left for call 0"):
        await ScriptedUpstream().open(REQUEST)


@run_virtual
async def test_script_may_depend_on_the_request() -> None:
    upstream = ScriptedUpstream.by_request(lambda request: answering(request.url.encode()))
    response = await upstream.open(REQUEST)
    assert await read_all(response) == [b"http://h/x"]


@run_virtual
async def test_errors_come_where_the_script_says() -> None:
    upstream = ScriptedUpstream(Unreachable("no"), streaming(b"a", Interrupted("cut")))
    with pytest.raises(Unreachable):
        await upstream.open(REQUEST)
    response = await upstream.open(REQUEST)
    assert await response.read() == b"a"
    with pytest.raises(Interrupted):
        await response.read()
    assert upstream.still_open == 1
    await response.close()
    assert [call.closes for call in await upstream.wait_closed()] == [0, 1]


@run_virtual
async def test_delays_take_their_time() -> None:
    script = Answering(before=[Delay(10)], pieces=[b"a", Delay(20), b"b"])
    response = await ScriptedUpstream(script).open(REQUEST)
    assert anyio.current_time() == START_S + 10
    assert await read_all(response) == [b"a", b"b"]
    assert anyio.current_time() == START_S + 30


@pytest.mark.parametrize("script", [NEVER, Answering(before=[Delay(61)])], ids=["never", "late"])
@run_virtual
async def test_late_head_is_a_timeout_that_may_be_billed(script: Delay | Answering) -> None:
    with pytest.raises(Timeout) as caught:
        await ScriptedUpstream(script).open(REQUEST)
    assert (caught.value.may_be_billed, anyio.current_time()) == (True, START_S + 60)


@run_virtual
async def test_silence_between_reads_is_a_timeout() -> None:
    response = await ScriptedUpstream(streaming(b"a", NEVER)).open(REQUEST)
    assert await response.read() == b"a"
    with pytest.raises(Timeout):
        await response.read()
    assert anyio.current_time() == START_S + 30


@run_virtual
async def test_gate_stops_a_read_until_it_is_opened() -> None:
    gate, got = Gate(), list[bytes]()
    response = await ScriptedUpstream(streaming(gate, b"a")).open(REQUEST)

    async def read() -> None:
        got.append(await response.read())

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        await gate.reached()
        assert got == []
        gate.open()
    assert got == [b"a"]


@run_virtual
async def test_cancellation_is_noted_with_its_place() -> None:
    upstream = ScriptedUpstream(NEVER, streaming(NEVER))
    with anyio.move_on_after(1):
        await upstream.open(REQUEST)
    response = await upstream.open(REQUEST)
    with anyio.move_on_after(1):
        await response.read()
    await response.close()
    assert [call.cancelled_in for call in upstream.calls] == ["open", "read"]


@run_virtual
async def test_breach_of_the_contract_by_the_reader_fails() -> None:
    upstream = ScriptedUpstream(streaming(NEVER), streaming(b"a"))
    response = await upstream.open(REQUEST)
    async with anyio.create_task_group() as group:
        group.start_soon(response.read)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(AssertionError, match="another one waits"):
            await response.read()
        group.cancel_scope.cancel()
    await response.close()
    with pytest.raises(AssertionError, match="after close"):
        await response.read()
    await upstream.close()
    with pytest.raises(AssertionError, match="after close"):
        await upstream.open(REQUEST)


@run_virtual
async def test_each_upstream_may_have_its_own_client() -> None:
    one, two = ScriptedUpstream(answering(b"1")), ScriptedUpstream(answering(b"2"))
    clients = ScriptedClients({"one": one, "two": two})
    await (await clients.client("two").open(REQUEST)).close()
    assert (len(one.calls), len(await two.wait_calls(1))) == (0, 1)
