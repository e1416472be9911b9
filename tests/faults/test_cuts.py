"""F53 to F56: a stream that is cut, at every byte.

Whatever is cut, the caller has the whole characters of the whole events once, an error as the last event, and no word
of success; the SDK raises. What is cut before anything was said is an error with a status of its own.
"""

from collections.abc import Iterator

import pytest
from _pytest.mark import ParameterSet

from asgi_ds2api.errors import Interrupted
from tests.support.asgi_driver import Answer
from tests.support.dialects import ARGUMENTS, TEXT, Seen
from tests.support.http_bytes import head, response
from tests.support.raw_upstream import RawUpstream
from tests.support.script import Expect, Fin, Script, Send
from tests.support.scripted_client import streaming
from tests.support.sdk_reading import sdk_error
from tests.support.virtual_time import run_virtual

from .bench import WAYS, Bench, Way, both_faces, every_way

pytestmark = pytest.mark.anyio

PARTS = {"F53-F54-text": ("text_stream", TEXT), "F54-F55-tool": ("tool_stream", ARGUMENTS)}
LOST = Interrupted("The connection was lost.", code="connection_lost", may_be_billed=True)
ENOUGH = 1_000
"""Accounts: each may fail a few times before the pool closes it, and here every request fails."""


async def answers(way: Way, frames: list[bytes], *, is_lost: bool) -> Iterator[tuple[int, Answer]]:
    """Ask once for each byte at which the stream can be cut; return the place and the answer."""
    stream = b"".join(frames)
    places = range(1, len(stream))
    scripts = [streaming(stream[:at], *([LOST] if is_lost else [])) for at in places]
    found = []
    async with Bench(way, *scripts, accounts=ENOUGH) as bench:
        for at in places:
            found.append((at, await bench.ask(stream=True)))
            assert len(bench.codes) == 1, "a stream that may have been billed was asked for again"
            assert bench.record.result in ("error", "interrupted")
            assert (bench.record.result == "interrupted") == (found[-1][1].status == 200)
        assert bench.failed == len(places)
    return iter(found)


def said(way: Way, what: str, pieces: tuple[str, ...], at: int) -> str:
    """Return what the whole events of the first ``at`` bytes say."""
    frames = getattr(way.upstream, what)(pieces)
    first = next(number for number, frame in enumerate(frames) if _holds(frame, pieces[0]))
    whole = [number for number in range(len(frames)) if len(b"".join(frames[: number + 1])) <= at]
    return "".join(piece for number, piece in enumerate(pieces, first) if number in whole)


def _holds(frame: bytes, piece: str) -> bool:
    return piece.encode() in frame.replace(b'\\"', b'"')


def cases() -> list[ParameterSet]:
    """Return every way with each part cut by a clean end; two of them by a lost connection as well."""
    rows = [(name, part, False) for name in WAYS for part in PARTS]
    rows += [(name, "F53-F54-text", True) for name in ("chat>chat", "claude>chat")]
    return [
        pytest.param(WAYS[name], *PARTS[part], is_lost, id=f"{part}-{name}-{'lost' if is_lost else 'eof'}")
        for name, part, is_lost in rows
    ]


@pytest.mark.parametrize(("way", "what", "pieces", "is_lost"), cases())
@run_virtual
async def test_stream_cut_at_every_byte_tells_the_truth_and_an_error(
    way: Way, what: str, pieces: tuple[str, ...], is_lost: bool
) -> None:
    frames = getattr(way.upstream, what)(pieces)
    judged: set[tuple[int, bytes]] = set()
    for at, answer in await answers(way, frames, is_lost=is_lost):
        seen = read(way, answer)
        assert seen.error is not None
        assert not seen.is_ended
        assert (seen.text if what == "text_stream" else seen.arguments) == said(way, what, pieces, at)
        assert "\ufffd" not in answer.text
        if way.mode == "translate":
            assert seen.finish is None
        if seen.text or seen.arguments:
            assert answer.status == 200
        if (answer.status, answer.body) not in judged:
            judged.add((answer.status, answer.body))
            assert sdk_error(way.face.name, answer, stream=True) is not None
    assert len(judged) >= len(pieces) + 1


def read(way: Way, answer: Answer) -> Seen:
    """Read an error or a broken stream, and check that it is told in the right place."""
    seen = way.face.read_stream(answer.body) if answer.status == 200 else way.face.read_whole(answer.body)
    assert answer.status in (200, 502)
    assert answer.is_complete
    return seen


@every_way
@run_virtual
async def test_F56_end_of_the_stream_without_its_terminal_event_is_no_end(way: Way) -> None:
    frames = way.upstream.text_stream()
    async with Bench(way, streaming(*frames[:-1])) as bench:
        answer = await bench.ask(stream=True)
        seen = way.face.read_stream(answer.body)
        assert (seen.text, seen.is_ended) == ("".join(TEXT), False)
        assert seen.error is not None
        assert (bench.record.result, bench.failed) == ("interrupted", 1)
        assert bench.record.usage is not None
        assert bench.record.usage.output_total in (7, 4)  # 4: estimated, where the upstream's figure counts at the end


@pytest.mark.parametrize("profile", ["lenient", "azure", {"done": "optional"}], ids=["lenient", "azure", "relayed"])
@run_virtual
async def test_F56_some_upstreams_may_end_after_the_reason(profile: object) -> None:
    way = WAYS["chat>chat"]
    frames = way.upstream.text_stream()
    for count, is_success in ((-1, True), (-3, False)):  # without the terminator; without the reason as well
        async with Bench(way, streaming(*frames[:count]), profile=profile) as bench:
            answer = await bench.ask(stream=True)
            assert way.face.read_stream(answer.body).is_success is is_success
            assert bench.record.result == ("ok" if is_success else "interrupted")


CUT_CONNECTIONS = {
    "chunked": lambda body: response(200, {"content-type": "text/event-stream"}, body, "chunked")[: -len(b"0\r\n\r\n")],
    "in-a-chunk": lambda body: response(200, {"content-type": "text/event-stream"}, body, "chunked")[:-9],
    "length": lambda body: (
        head(200, {"content-type": "text/event-stream"}, framing="length", length=len(body) + 1) + body
    ),
    "eof": lambda body: head(200, {"content-type": "text/event-stream"}, framing="eof") + body,
}


@both_faces
@pytest.mark.parametrize("framed", CUT_CONNECTIONS.values(), ids=CUT_CONNECTIONS.keys())
async def test_F54_F56_cut_connection_over_real_sockets(way: Way, framed: object) -> None:
    frames = way.upstream.text_stream()
    assert callable(framed)
    script: Script = [Expect(), Send(framed(b"".join(frames[:-2]))), Fin()]
    async with RawUpstream(script) as upstream, Bench(way, raw=upstream) as bench:
        answer = await bench.ask(stream=True)
        seen = way.face.read_stream(answer.body)
        assert (seen.text, seen.is_ended, bench.record.result) == ("".join(TEXT), False, "interrupted")
        assert seen.error is not None
