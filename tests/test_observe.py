"""What is told of a request once it is over, and that telling it hurts nobody."""

import logging
from collections.abc import Iterator

import msgspec
import pytest

from asgi_ds2api.canonical import Notice, Notices, Usage
from asgi_ds2api.observe import MAX_NOTICES_TOLD, NOTICE_EVERY_S, Attempt, Observatory, Observer, Record

from .support.virtual_time import FakeClock

ATTEMPTS = (
    Attempt(upstream="chat", account="a0", model="gpt-test", code="rate_limit_exceeded", status=429, duration_s=0.5),
    Attempt(upstream="claude", account="a1", model="claude-test", code="ok", status=200, duration_s=2.0),
)
RECORD = Record(
    request_id="req_1",
    result="ok",
    code="ok",
    status=200,
    protocol="openai_chat",
    operation="generate",
    model="gpt-test",
    caller="alice",
    mode="translate",
    stream=True,
    attempts=ATTEMPTS,
    usage=Usage(input_total=11, cache_read=5, output_total=7, reasoning=3, is_estimated=True),
    finish="stop",
    bytes_in=100,
    bytes_out=200,
    first_byte_s=1.5,
    duration_s=2.5,
    cost_usd=0.25,
    queued_s=0.5,
)


class Keeping:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def on_record(self, record: Record) -> None:
        self.records.append(record)


class Failing:
    """An observer with a bug."""

    def on_record(self, record: Record) -> None:
        raise ZeroDivisionError("a detail that no log needs")


class BrokenSink(logging.Handler):
    """A log handler whose disk is full, and that lets everybody know."""

    def emit(self, record: logging.LogRecord) -> None:
        raise OSError(28, "no space left on device")


@pytest.fixture
def _broken_log() -> Iterator[None]:
    sink, logger = BrokenSink(), logging.getLogger("asgi_ds2api")
    logger.addHandler(sink)
    yield
    logger.removeHandler(sink)


@pytest.fixture(autouse=True)
def _every_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "asgi_ds2api")


def observatory(*observers: Observer, clock: FakeClock | None = None) -> Observatory:
    """Return one with a clock that stands still."""
    return Observatory(observers, now=(clock or FakeClock()).monotonic)


def with_notices(*paths: str, upstream: str = "chat") -> Record:
    """Return a Record with a loss for each path."""
    notices = Notices()
    for path in paths:
        notices.lost(path, "no such field")
    attempts = (msgspec.structs.replace(ATTEMPTS[0], upstream=upstream),)
    return msgspec.structs.replace(RECORD, notices=tuple(notices), attempts=attempts)


def lines(caplog: pytest.LogCaptureFixture, logger: str) -> list[str]:
    """Return what was logged there."""
    return [record.getMessage() for record in caplog.records if record.name == f"asgi_ds2api.{logger}"]


# --- observers --------------------------------------------------------------------------------------------------------


def test_observers_are_told_in_order() -> None:
    first, second = Keeping(), Keeping()
    watched = observatory(first, second)
    watched.publish(RECORD)
    assert (first.records, second.records) == ([RECORD], [RECORD])


def test_F91_observer_that_raises_hurts_nobody(caplog: pytest.LogCaptureFixture) -> None:
    keeping = Keeping()
    watched = observatory(Failing(), keeping)
    watched.publish(RECORD)
    assert keeping.records == [RECORD]
    assert lines(caplog, "observe") == ["observer Failing raised ZeroDivisionError"]
    assert watched.counters()["observer_failures"] == {"Failing": 1}


@pytest.mark.usefixtures("_broken_log")
def test_F91_log_that_raises_hurts_nobody() -> None:
    keeping = Keeping()
    watched = observatory(Failing(), keeping)
    watched.publish(with_notices("top_k"))
    assert len(keeping.records) == 1
    assert watched.counters()["observer_failures"] == {"_AccessLog": 1, "_NoticeLog": 1, "Failing": 1}


# --- counters --------------------------------------------------------------------------------------------------------


def test_results_and_notices_are_counted() -> None:
    notices = Notices()
    notices.hint("a", "a hint")
    notices.lost("b", "a loss")
    notices.lost("b", "a loss")
    watched = observatory()
    watched.publish(msgspec.structs.replace(RECORD, notices=tuple(notices)))
    watched.publish(msgspec.structs.replace(RECORD, result="client_gone"))
    watched.publish(RECORD)
    assert watched.counters() == {
        "requests": {"ok": 2, "client_gone": 1},
        "notices": {"hint": 1, "lost": 2},
        "observer_failures": {},
        "hedges": {"begun": 0, "won": 0, "lost": 0},
    }


# --- the access log ---------------------------------------------------------------------------------------------------


def test_line_of_a_request_has_its_facts_as_fields(caplog: pytest.LogCaptureFixture) -> None:
    observatory().publish(msgspec.structs.replace(RECORD, notices=with_notices("a", "b").notices))
    (line,) = [record for record in caplog.records if record.name == "asgi_ds2api.access"]
    plain = logging.makeLogRecord({}).__dict__.keys() | {"message"}
    assert line.getMessage() == "req_1 openai_chat 200 ok"
    assert {name: value for name, value in line.__dict__.items() if name not in plain} == {
        "request_id": "req_1",
        "result": "ok",
        "code": "ok",
        "status": 200,
        "protocol": "openai_chat",
        "operation": "generate",
        "model": "gpt-test",
        "caller": "alice",
        "mode": "translate",
        "stream": True,
        "attempts": [msgspec.to_builtins(attempt) for attempt in ATTEMPTS],
        "input_tokens": 11,
        "output_tokens": 7,
        "cached_tokens": 5,
        "reasoning_tokens": 3,
        "tokens_estimated": True,
        "cost_usd": 0.25,
        "hedge_result": "",
        "hedge_input_tokens": None,
        "hedge_output_tokens": None,
        "hedge_cost_usd": None,
        "output_tokens_per_s": 7.0,
        "queued_s": 0.5,
        "finish": "stop",
        "notices": 2,
        "bytes_in": 100,
        "bytes_out": 200,
        "first_byte_s": 1.5,
        "duration_s": 2.5,
    }


def test_request_without_usage_has_a_line_too(caplog: pytest.LogCaptureFixture) -> None:
    observatory().publish(msgspec.structs.replace(RECORD, usage=None, attempts=(), finish=None, first_byte_s=None))
    assert len(lines(caplog, "access")) == 1


def test_fields_can_be_written_as_json(caplog: pytest.LogCaptureFixture) -> None:
    observatory().publish(RECORD)
    (line,) = [record for record in caplog.records if record.name == "asgi_ds2api.access"]
    fields = {name: getattr(line, name) for name in ("attempts", "input_tokens", "finish", "stream")}
    assert msgspec.json.decode(msgspec.json.encode(fields)) == fields


# --- the log of Notices -----------------------------------------------------------------------------------------------


def test_place_is_told_once_for_all_its_indexes(caplog: pytest.LogCaptureFixture) -> None:
    watched = observatory()
    watched.publish(with_notices("messages[0].name", "messages[7].name"))
    watched.publish(with_notices("messages[3].name"))
    assert lines(caplog, "notices") == ["upstream chat: messages[].name was dropped: no such field"]


def test_place_is_told_for_each_upstream(caplog: pytest.LogCaptureFixture) -> None:
    watched = observatory()
    for name in ("chat", "claude", "chat"):
        watched.publish(with_notices("top_k", upstream=name))
    assert [line.split(":")[0] for line in lines(caplog, "notices")] == ["upstream chat", "upstream claude"]


def test_upstream_is_the_one_that_was_asked_last(caplog: pytest.LogCaptureFixture) -> None:
    notices = with_notices("top_k").notices
    watched = observatory()
    watched.publish(msgspec.structs.replace(RECORD, notices=notices))
    watched.publish(msgspec.structs.replace(RECORD, notices=notices, attempts=()))
    assert [line.split(":")[0] for line in lines(caplog, "notices")] == ["upstream claude", "upstream -"]


@pytest.mark.parametrize(("later_s", "times"), [(NOTICE_EVERY_S - 1, 1), (NOTICE_EVERY_S, 2)])
def test_place_is_told_again_after_an_hour(caplog: pytest.LogCaptureFixture, later_s: float, times: int) -> None:
    clock = FakeClock()
    watched = observatory(clock=clock)
    watched.publish(with_notices("top_k"))
    clock.advance(later_s)
    watched.publish(with_notices("top_k"))
    assert len(lines(caplog, "notices")) == times


def test_request_in_between_does_not_put_that_off(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    watched = observatory(clock=clock)
    for _ in range(5):
        watched.publish(with_notices("top_k"))
        clock.advance(NOTICE_EVERY_S / 2)
    assert len(lines(caplog, "notices")) == 3


def test_losses_are_warnings_changes_are_not_and_hints_are_not_told(caplog: pytest.LogCaptureFixture) -> None:
    notices = (
        Notice(path="a", action="dropped", reason="no such field", severity="lost"),
        Notice(path="b", action="clamped", reason="too hot", severity="changed"),
        Notice(path="c", action="dropped", reason="a cache mark", severity="hint"),
    )
    observatory().publish(msgspec.structs.replace(RECORD, notices=notices))
    told = [(line.levelname, line.getMessage()) for line in caplog.records if line.name == "asgi_ds2api.notices"]
    assert told == [
        ("WARNING", "upstream claude: a was dropped: no such field"),
        ("INFO", "upstream claude: b was clamped: too hot"),
    ]


def test_names_that_callers_make_up_cannot_flood_or_break_the_log(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    watched = observatory(clock=clock)
    watched.publish(with_notices("a\nERROR forged", "x" * 10_000))
    assert [len(line) < 300 and "\n" not in line for line in lines(caplog, "notices")] == [True, True]
    for n in range(MAX_NOTICES_TOLD * 2):
        watched.publish(with_notices(f"made_up_{n}"))
    assert len(lines(caplog, "notices")) == MAX_NOTICES_TOLD
    clock.advance(NOTICE_EVERY_S)
    watched.publish(with_notices("one_more"))
    assert len(lines(caplog, "notices")) == MAX_NOTICES_TOLD + 1
