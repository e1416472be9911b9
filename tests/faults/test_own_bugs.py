"""F95: a mistake of ours, in every single function that a request passes through.

The functions are not listed here: a first request tells which ones it calls, then each of them raises once. Whatever it
was, the server sees no exception, the caller an error of its own dialect with the request's id and nothing else, and no
lease, no upstream and no request is left behind.
"""

import logging
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import CodeType, FrameType

import pytest

import asgi_ds2api
from asgi_ds2api import DS2APIMiddleware
from asgi_ds2api.observe import Record
from tests.support.asgi_driver import Answer, call
from tests.support.dialect_responses import Responses
from tests.support.dialects import CHAT, Dialect
from tests.support.gateways import make_gateway, upstream
from tests.support.scripted_client import Script, answering
from tests.support.virtual_time import run_virtual

from .bench import FIVE, WAYS, WORDS, Bench, Way, every_protocol, whole_and_streamed, words_in_band

PACKAGE = str(Path(asgi_ds2api.__file__).parent)
SECRET = "sk-canary in the words of a bug"
OUTSIDE = frozenset(
    {
        "Gateway.__call__", "Gateway.serve", "route_path", "wants_upgrade", "word_of_mount",
        "Exchange.__init__", "Reply.__init__", "Exchange.run", "Exchange._last_resort", "ActiveSet.discard",
    }
)  # fmt: skip
"""Nobody stands around these: the server answers 500 by itself."""
MUTE = frozenset({"Reply._end", "Reply.end", "Reply._pass"})
"""The voice itself: the server cuts the connection."""
FACELESS = frozenset(
    {"ActiveSet.add", "Exchange._answer", "RouteTable.face_of", "RouteTable._find", "_found", "take_query_key"}
)
"""Until the face is known, an error is told in the words of the first one."""
RESPONSES = Responses(may_lack_events=True)
"""What a bug kept from going out is missing."""
LEASES = frozenset(
    {
        "Attempts._ask", "Attempts._patience_with", "Attempts._attempt", "OneAttempt.__init__", "OneAttempt.run",
        "Pool.release", "Pool._give_back", "Slot.give_back", "Rotation.given_back",
    }
)  # fmt: skip
"""What counts leases, or stands between one and the ``finally`` that gives it back."""


class Bug(Exception):
    """What a function of ours raises by mistake."""


@contextmanager
def watching(see: Callable[[CodeType], None]) -> Iterator[None]:
    """Call ``see`` with every function of the package that is entered."""

    def profile(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            see(frame.f_code)

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        yield
    finally:
        sys.setprofile(before)


def scripts(way: Way, *, stream: bool) -> list[Script]:
    """Return a failure of the first account and an answer of the second."""
    first = answering(way.upstream.error(500), status=500)
    right = way.streaming(*way.upstream.text_stream()) if stream else answering(way.upstream.whole())
    return [first, right, right]


async def functions(way: Way, *, stream: bool) -> list[CodeType]:
    """Return what a request enters, in order."""
    entered: dict[CodeType, None] = {}
    async with Bench(way, *scripts(way, stream=stream)) as bench:
        with watching(lambda code: entered.setdefault(code)):
            answer = await bench.ask(stream=stream)
        assert answer.status == 200
    return [code for code in entered if not code.co_name.startswith("<") and code.co_qualname not in OUTSIDE]


EACH_FACE = {**WAYS, **{name: FIVE[name] for name in ("responses>chat", "gemini>claude", "ollama>chat")}}


@pytest.mark.parametrize("way", EACH_FACE.values(), ids=EACH_FACE.keys())
@whole_and_streamed
@run_virtual
async def test_F95_bug_in_each_function_is_told_without_a_word_about_it(
    way: Way, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    found = await functions(way, stream=stream)
    assert len(found) > 100
    wrong: list[str] = []
    for code in found:
        caplog.clear()
        try:
            await ask_with_bug(way, code, stream=stream)
            assert any(record.levelno >= logging.ERROR for record in caplog.records), "nothing in the log"
            assert SECRET not in caplog.text, "its words are in the log"
        except (Bug, AssertionError, LookupError) as broken:
            told = [*str(broken).splitlines(), type(broken).__name__]
            wrong.append(f"{code.co_qualname}: {told[0]}")
    assert not wrong, "\n".join(wrong)


async def ask_with_bug(way: Way, target: CodeType, *, stream: bool) -> None:
    """Make a request in which a function raises, once, and check what the caller sees and what is left."""
    name, is_raised = target.co_qualname, False

    def raise_once(entered: CodeType) -> None:
        nonlocal is_raised
        if entered is target and not is_raised:
            is_raised = True
            raise Bug(SECRET)

    bench = Bench(way, *scripts(way, stream=stream))
    exchange = bench.exchange(stream=stream, may_cut=name in MUTE)
    with watching(raise_once), suppress(*([AssertionError] if name in MUTE else [])):
        async with exchange:
            answer = await exchange.finish()
    assert is_raised, "was not entered"
    assert SECRET not in repr(exchange.messages), "its words reach the caller"
    if name in MUTE:
        return
    face = RESPONSES if way.face.name == "responses" else way.face
    is_complete = check_answer(face if name not in FACELESS else CHAT, answer)
    if name in LEASES:
        return
    if is_complete and not bench.records:  # what fails may be the Record itself
        bench.asked = 0
    bench.check()
    assert is_complete or bench.record.code == "internal_error", f"on record as {bench.record.code}"


def check_answer(face: Dialect, answer: Answer) -> bool:
    """Check that it is the whole answer or an error of the face; return which, True for the answer."""
    assert answer.header("x-request-id"), "no request id"
    is_stream = (answer.header("content-type") or "").startswith(face.content_type)
    seen = face.read_stream(answer.body) if is_stream else face.read_whole(answer.body)
    if seen.error is None:
        assert seen.is_success, "neither an error nor an answer"
        return True
    status, kind, code = WORDS[face.name]["internal"]
    told = (answer.status, seen.error["type"], seen.error.get("code"))
    expected = (200, *words_in_band(face, "internal")) if is_stream else (status, kind, code)
    assert told == expected, f"told as {told}"
    return False


@run_virtual
async def test_F95_nothing_stands_around_the_host() -> None:
    error = KeyError("of the host")

    async def host(scope: object, receive: object, send: object) -> None:
        raise error

    app = DS2APIMiddleware(host, gateway=make_gateway(upstream("chat")), prefix="/ai")
    for path in ("/", "/page", "/aiX"):
        with pytest.raises(KeyError) as caught:
            await call(app, "GET", path)
        assert caught.value is error
        assert (error.__cause__, error.__context__) == (None, None)
        frames = [frame.name for frame in traceback.extract_tb(error.__traceback__) if PACKAGE in frame.filename]
        assert frames == ["__call__"], "more than one call stands between the server and the host"
        error.__traceback__ = None


@every_protocol
@run_virtual
async def test_F95_bug_of_an_observer_is_none_of_the_request(way: Way, caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def on_record(self, record: Record) -> None:
            raise Bug(SECRET)

    async with Bench(way, *scripts(way, stream=True)) as bench:
        bench.gateway._engine.observatory._observers = (Broken(), *bench.gateway._engine.observatory._observers)
        answer = await bench.ask(stream=True)
        assert bench.seen(answer, stream=True).is_success
        assert bench.record.result == "ok"
    assert SECRET not in caplog.text
