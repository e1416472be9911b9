"""Small streams of every kind, ended at every byte, and cut in two at every byte.

Texts, calls, thinking, refusals, several choices, every reason, usage in detail: 14 streams of Chat and 16 of Anthropic
Messages (``tests/cases/<protocol>/streams.json``), on each of six ways: relayed, translated within the protocol, and
translated to the other face.

What is shown, and what is not:

1. *Every offset* is tried with what stands between upstream and caller (relay or translation), without a gateway. It
   tells whole events only, so that most offsets give the same bytes; all that *differ* are judged by the official SDK.
2. Through a whole gateway go the offsets that differ: each edge of an event, one byte before it and one behind it, and
   one inside of it. `tests/faults/test_cuts.py` takes every offset of two streams through it.
3. Whatever the caller is told twice is compared whole: a stream in two reads, at every byte, and byte by byte.
"""

import asyncio
import json
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

import msgspec
import pytest
from _pytest.mark import ParameterSet

from asgi_ds2api.canonical import ProtocolName
from asgi_ds2api.profiles import Profile
from tests.faults.bench import WAYS, Bench, Way
from tests.support.cases import rows
from tests.support.http_bytes import sse_event
from tests.support.oracle import outcome_of
from tests.support.scripted_client import streaming
from tests.support.virtual_time import run_virtual

from .cutting import EXACT, Face, check_truth, heard, told, transcoder_for

pytestmark = pytest.mark.anyio

NAMES: dict[str, Face] = {"chat": "openai_chat", "claude": "anthropic_messages"}
ORACLES: dict[ProtocolName, str] = {"openai_chat": "chat", "anthropic_messages": "anthropic"}
ENOUGH = 1_000
"""Accounts: each may fail a few times before the pool closes it, and here nearly every request fails."""


def frames_of(upstream: ProtocolName, row: dict[str, Any]) -> list[bytes]:
    return [
        sse_event(frame, frame["type"] if upstream == "anthropic_messages" else None) if isinstance(frame, dict)
        else sse_event(frame)
        for frame in row["frames"]
    ]  # fmt: skip


def profile_of(way: Way) -> Profile:
    return msgspec.structs.replace(EXACT[NAMES[way.upstream.name]], **(way.profile or {}))


def cases() -> list[ParameterSet]:
    return [
        pytest.param(way, row, id=f"{name}-{row['id']}")
        for name, way in WAYS.items()
        for row in rows(NAMES[way.upstream.name], "streams")
    ]


every_stream_on_every_way = pytest.mark.parametrize(("way", "row"), cases())


def test_there_are_ten_streams_of_each_protocol() -> None:
    assert all(len(rows(name, "streams")) >= 10 for name in NAMES.values())


@every_stream_on_every_way
async def test_F46_F52_F53_F54_F55_F56_ended_at_every_byte_raises_or_is_complete(way: Way, row: dict[str, Any]) -> None:
    face, upstream = NAMES[way.face.name], NAMES[way.upstream.name]
    stream = b"".join(frames_of(upstream, row))
    truth = outcome_of(ORACLES[upstream], stream, is_stream=True)
    profile = profile_of(way)
    spoken = {told(transcoder_for(face, upstream, profile), [stream[:cut]]) for cut in range(len(stream) + 1)} - {None}
    complete = 0
    for body in spoken:
        assert body is not None
        outcome = await heard(face, body)
        check_truth(truth, outcome)
        check_other_choices(way, row, body, is_whole=not outcome.is_error)
        complete += not outcome.is_error
    assert complete == 1
    assert len(spoken) > 1, "nothing was told before the end"


def check_other_choices(way: Way, row: dict[str, Any], body: bytes, *, is_whole: bool) -> None:
    """Check the text of the second choice, of which SDK outcomes know nothing; a Messages caller has one choice."""
    if way.face.name != "chat" or row["id"] != "choices":
        return
    truth, said = (second_choice(frames) for frames in (row["frames"], payloads(body)))
    assert truth == "Bb"
    assert said == truth if is_whole else truth.startswith(said)


def payloads(body: bytes) -> Iterator[Any]:
    for line in body.decode().split("\n"):
        if line.startswith("data: {"):
            yield json.loads(line[6:])


def second_choice(frames: Any) -> str:
    choices = [choice for frame in frames if isinstance(frame, dict) for choice in frame.get("choices", ())]
    return "".join(choice["delta"].get("content") or "" for choice in choices if choice["index"] == 1)


@every_stream_on_every_way
def test_a_stream_that_is_cut_anywhere_is_told_in_the_same_bytes(way: Way, row: dict[str, Any]) -> None:
    face, upstream, profile = NAMES[way.face.name], NAMES[way.upstream.name], profile_of(way)
    stream = b"".join(frames_of(upstream, row))

    def bytes_of(*pieces: bytes) -> bytes | None:
        return told(transcoder_for(face, upstream, profile), pieces)

    whole = bytes_of(stream)
    assert whole is not None
    if way.mode == "relay":
        assert whole == stream
    different = [at for at in range(len(stream) + 1) if bytes_of(stream[:at], stream[at:]) != whole]
    assert different == []
    assert bytes_of(*(stream[at : at + 1] for at in range(len(stream)))) == whole


def offsets_that_differ(frames: list[bytes]) -> list[int]:
    """Return the edges of all frames, the bytes beside them, and one inside of each frame."""
    edges = list(accumulate(map(len, frames)))
    inside = [edge - len(frame) // 2 for edge, frame in zip(edges, frames, strict=True)]
    near = {edge + step for edge in edges for step in (-1, 0, 1)}
    return sorted(at for at in near | {*inside} if 0 < at <= edges[-1])


@run_virtual
async def ask_a_gateway(way: Way, frames: list[bytes], bodies: dict[bytes, bool]) -> None:
    """Ask once for each offset that differs; put down the streams that callers got, and whether they say success."""
    stream, places = b"".join(frames), offsets_that_differ(frames)
    async with Bench(way, *(streaming(stream[:at]) for at in places), accounts=ENOUGH) as bench:
        for at in places:
            answer = await bench.ask(stream=True)
            seen = way.face.read_stream(answer.body) if answer.status == 200 else way.face.read_whole(answer.body)
            assert (seen.error is None) == (bench.record.result == "ok") == seen.is_success
            assert answer.status == 200 or at < len(stream)
            if answer.status == 200:
                bodies[answer.body] = seen.is_success


@every_stream_on_every_way
def test_F53_F54_F55_F56_through_a_gateway_it_raises_or_is_complete(way: Way, row: dict[str, Any]) -> None:
    face, upstream = NAMES[way.face.name], NAMES[way.upstream.name]
    frames = frames_of(upstream, row)
    truth = outcome_of(ORACLES[upstream], b"".join(frames), is_stream=True)
    bodies: dict[bytes, bool] = {}
    ask_a_gateway(way, frames, bodies)
    for body, is_success in bodies.items():
        outcome = asyncio.run(heard(face, body))
        check_truth(truth, outcome)
        assert outcome.is_error is not is_success
    assert list(bodies.values()).count(True) == 1
