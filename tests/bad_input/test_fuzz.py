"""Whatever a caller sends: a whole answer, or a refusal in the words of the caller's SDK.

No body makes the gateway fail (a 500 is its own mistake), ask an upstream twice, send one what is no JSON, or keep an
account. The upstream answers all that reaches it, so that nothing but the gateway can refuse.
"""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from asgi_ds2api.upstream.contract import UpstreamRequest
from tests.faults.bench import WAYS, Bench, Way, every_way
from tests.support.asgi_driver import Answer
from tests.support.scripted_client import Script, ScriptedUpstream, answering, streaming

from .mutations import RICH, mutants, torn
from .refusals import assert_refusal

Make: TypeAlias = Callable[[str, str], SearchStrategy[bytes]]

STATUSES = frozenset({400, 404})
"""How a body that arrived whole may be refused: it is wrong, or its model is unknown."""
BYTES: Make = lambda face, model: st.binary(max_size=300) | st.text(max_size=100).map(str.encode)  # noqa: E731 - a row
KINDS: dict[str, tuple[Make, int]] = {"bytes": (BYTES, 60), "torn": (torn, 80), "mutants": (mutants, 250)}
"""How bodies are made, and how many of them are tried each way."""
COUNTED = [pytest.param(way, id=name) for name, way in WAYS.items() if way.face.name == "claude"]


def answer_of(way: Way) -> Callable[[UpstreamRequest], Script]:
    """Return an upstream that answers whatever it is asked, as it is asked."""
    whole, stream = answering(way.upstream.whole()), streaming(*way.upstream.text_stream())
    count = answering({"input_tokens": 7})

    def answer(request: UpstreamRequest) -> Script:
        if request.url.endswith("/count_tokens"):
            return count
        return stream if sent_by(request.body).get("stream") is True else whole

    return answer


def sent_by(body: bytes) -> dict[str, Any]:
    """Read what an upstream was sent: an object without NaN, and without half a character."""
    sent = json.loads(body.decode(), parse_constant=pytest.fail, parse_int=float)  # int() takes 4,300 digits
    assert isinstance(sent, dict)
    json.dumps(sent, ensure_ascii=False).encode()
    return sent


@pytest.fixture
def loop() -> Iterator[asyncio.Runner]:
    """Return what runs coroutines for a test that hypothesis calls."""
    with asyncio.Runner() as runner:
        yield runner


def bench_of(way: Way) -> Bench:
    """Return a bench whose upstream never fails."""
    bench = Bench(way)
    bench.scripted._next = ScriptedUpstream.by_request(answer_of(way))._next
    return bench


async def judge(bench: Bench, body: bytes, path: str) -> None:
    """Send a body, and check what must hold of whatever comes back."""
    bench.records.clear()
    bench.scripted.calls.clear()
    bench.asked = 0
    answer = await bench.ask(stream=False, body=body, path=path)
    bench.check()
    assert len(bench.scripted.calls) <= 1
    assert bench.failed == 0
    if answer.status == 200:
        assert_answered(bench, answer, is_count=path.endswith("count_tokens"))
    else:
        assert_refused(bench, answer)


def assert_answered(bench: Bench, answer: Answer, *, is_count: bool) -> None:
    """The caller has a whole answer, and the upstream got JSON."""
    assert bench.record.result == "ok"
    for made in bench.scripted.calls:
        sent_by(made.request.body)
    if is_count:
        assert isinstance(answer.json()["input_tokens"], int)
        return
    is_stream = (answer.header("content-type") or "").startswith("text/event-stream")
    seen = (bench.way.face.read_stream if is_stream else bench.way.face.read_whole)(answer.body)
    assert seen.is_success


def assert_refused(bench: Bench, answer: Answer) -> None:
    """The caller was told in its own words what is wrong, and nobody else was asked."""
    assert bench.scripted.calls == []
    assert answer.status in STATUSES
    told = answer.json()["error"]
    assert isinstance(told, dict)
    assert_refusal(bench.way.face.name, answer, answer.status, bench.record.code, told.get("param"))


def fuzz(loop: asyncio.Runner, way: Way, make: Make, count: int, path: str) -> None:
    """Send so many bodies one way."""
    bench = bench_of(way)

    @settings(max_examples=count)
    @given(body=make(way.face.name, f"{way.upstream.name}/test"))
    def check(body: bytes) -> None:
        loop.run(judge(bench, body, path))

    check()


@every_way
def test_request_that_is_mutated_is_good(loop: asyncio.Runner, way: Way) -> None:
    """Else a mutation would only find what is refused anyway."""
    bench = bench_of(way)
    for stream in (False, True):
        asked = {"model": f"{way.upstream.name}/test", **RICH[way.face.name], "stream": stream}
        loop.run(judge(bench, json.dumps(asked).encode(), way.face.path))
        assert bench.record.code == "ok"


every_kind = pytest.mark.parametrize(("make", "count"), KINDS.values(), ids=KINDS.keys())


@every_kind
@every_way
def test_any_body_is_answered_or_refused(loop: asyncio.Runner, way: Way, make: Make, count: int) -> None:
    fuzz(loop, way, make, count, way.face.path)


@every_kind
@pytest.mark.parametrize("way", COUNTED)
def test_tokens_of_any_body_are_counted_or_it_is_refused(
    loop: asyncio.Runner, way: Way, make: Make, count: int
) -> None:
    fuzz(loop, way, make, count // 2, f"{way.face.path}/count_tokens")
