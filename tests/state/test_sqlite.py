"""The file of state: what this one place does that the others need not (see `test_backends.py`)."""

import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from asgi_ds2api.state import sqlite
from asgi_ds2api.state.backend import ONCE_S, BackendError, CooldownNews, FactNews, Missed
from asgi_ds2api.state.contract import Admission, Amount, Cooldown, HealthScope, SharedSlot
from asgi_ds2api.state.sqlite import MAX_IDLE, NEWS_S, SWEEP_S, SQLiteBackend

LATEST_S = 30.0
"""Far more than threads need to meet; a test that waits that long has failed."""


class Together(list[str]):
    """Keys that are looked at when all threads have come to look: by then each has a connection."""

    def __init__(self, barrier: threading.Barrier) -> None:
        super().__init__(["k"])
        self._barrier = barrier

    def __iter__(self) -> Iterator[str]:
        self._barrier.wait(LATEST_S)
        return super().__iter__()


class Connections:
    """Counts those that are made, and those that were closed of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made = 0
        self.closed = 0
        lock = threading.Lock()

        class Counted(sqlite3.Connection):
            def __init__(connection, *args: Any, **options: Any) -> None:
                super().__init__(*args, **options)
                with lock:
                    self.made += 1

            def close(connection) -> None:
                super().close()
                with lock:
                    self.closed += 1

        connect = sqlite3.connect
        monkeypatch.setattr(sqlite3, "connect", lambda *args, **options: connect(*args, factory=Counted, **options))


def test_what_is_read_of_a_file_that_was_made_anew_is_all_that_is_known_there(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    one, two = SQLiteBackend(path), SQLiteBackend(path)
    for number in range(5):
        two.write("two", [FactNews("t", str(number), b"v", 60)])
    one.open()
    cursor, _ = one.read("one", "")
    for each in tmp_path.iterdir():
        each.unlink()
    for backend in (one, two):
        with pytest.raises(BackendError, match="taken away"):
            backend.open()
    scopes = [HealthScope("account", f"openai/{number}") for number in range(10)]
    for scope in scopes:
        two.write("two", [CooldownNews(scope, Cooldown(state="cooling", until=60, epoch=1))])
    one.open()
    _, heard = one.read("one", cursor)
    one.close()
    two.close()
    assert [news.scope for news in heard if isinstance(news, CooldownNews)] == scopes


def test_connections_to_a_file_that_was_taken_away_are_closed_when_they_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections = Connections(monkeypatch)
    backend = SQLiteBackend(tmp_path / "state.sqlite")
    in_use, may_end = threading.Barrier(2), threading.Barrier(2)

    class Slow(Together):
        def __iter__(self) -> Iterator[str]:
            in_use.wait(LATEST_S)
            return super().__iter__()

    with ThreadPoolExecutor(1) as executor:
        looking = executor.submit(backend.find, "t", Slow(may_end))
        in_use.wait(LATEST_S)
        for each in tmp_path.iterdir():
            each.unlink()
        with pytest.raises(BackendError):
            backend.open()
        may_end.wait(LATEST_S)
        looking.result()
    assert (connections.made, connections.closed) == (1, 1)
    backend.close()


VISITOR = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("UPDATE news SET number = number + 1")
connection.commit()
connection.close()
"""


def test_a_worker_that_ends_takes_nothing_away_from_one_that_had_several_connections(tmp_path: Path) -> None:
    """SQLite's log goes with the last connection: who holds no lock on the file is overlooked there, and loses it."""
    path = tmp_path / "state.sqlite"
    backend = SQLiteBackend(path)
    backend.open()
    with ThreadPoolExecutor(2) as executor:
        barrier = threading.Barrier(2)
        list(executor.map(lambda _: backend.find("t", Together(barrier)), range(2)))
    before = sorted((each.name, each.stat().st_ino) for each in tmp_path.iterdir())
    subprocess.run([sys.executable, "-c", VISITOR, str(path)], check=True)
    after = sorted((each.name, each.stat().st_ino) for each in tmp_path.iterdir())
    backend.close()
    assert after == before


@pytest.mark.parametrize("name", ["state.sqlite", "link"])
def test_the_file_is_its_owner_s_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "state.sqlite")
    backend = SQLiteBackend(tmp_path / name)
    backend.open()
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()}
    backend.close()
    assert set(modes.values()) == {0o600}


def test_what_has_ended_is_removed_also_where_nothing_but_limits_is_kept(tmp_path: Path) -> None:
    now = 1_000.0
    backend = SQLiteBackend(tmp_path / "state.sqlite", wall_now=lambda: now)
    for number in range(100):
        now += 10
        backend.open()
        amount = Amount(name=f"requests of {number}", amount=1, limit=60, life_s=60, is_paced=True)
        slots = (SharedSlot("s", 1_000),)
        backend.admit([Admission(holder=str(number), slots=slots, amounts=(amount,))], 30.0, f"asked {number}")
        backend.add([amount], f"added {number}")
    backend.close()
    kept = sqlite3.connect(tmp_path / "state.sqlite")
    rows = {table: kept.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("slots", "counts", "done")}
    kept.close()
    longest_s = {"slots": 30, "counts": 2, "done": 2 * ONCE_S}
    assert {table for table, number in rows.items() if number > (longest_s[table] + SWEEP_S) / 10 + 1} == set()


def test_that_a_fact_was_forgotten_is_told_also_after_a_sweep(tmp_path: Path) -> None:
    now = 1_000.0
    one, two = [SQLiteBackend(tmp_path / "state.sqlite", wall_now=lambda: now) for _ in range(2)]
    one.write("one", [FactNews("pins", "k", b"v", 600)])
    cursor, _ = two.read("two", "")
    one.write("one", [FactNews("pins", "k", b"", 0)])
    now += SWEEP_S
    one.open()
    (news,) = two.read("two", cursor)[1]
    one.close()
    two.close()
    assert isinstance(news, FactNews)
    assert (news.key, news.ttl_s <= 0) == ("k", True)


def test_who_has_not_looked_for_longer_than_news_are_kept_is_told_that_it_missed_some(tmp_path: Path) -> None:
    now = 1_000.0
    one, two = [SQLiteBackend(tmp_path / "state.sqlite", wall_now=lambda: now) for _ in range(2)]
    one.write("one", [FactNews("pins", "k", b"v", 600)])
    cursor, _ = two.read("two", "")
    one.write("one", [FactNews("pins", "k", b"", 0)])
    now += NEWS_S
    one.open()
    cursor, heard = two.read("two", cursor)
    assert list(heard) == [Missed()]
    now += NEWS_S - 1
    assert list(two.read("two", cursor)[1]) == []
    one.close()
    two.close()


@pytest.mark.parametrize("threads", [1, 2, MAX_IDLE])
def test_connections_are_not_more_than_threads_however_often_these_meet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    connections = Connections(monkeypatch)
    backend = SQLiteBackend(tmp_path / "state.sqlite")
    backend.open()
    barrier = threading.Barrier(threads)
    with ThreadPoolExecutor(threads) as executor:
        for _ in range(20):
            list(executor.map(lambda _: backend.find("t", Together(barrier)), range(threads)))
    backend.close()
    assert (connections.made, connections.closed) == (threads, threads)


def test_connections_that_were_made_for_many_threads_are_closed_when_there_are_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections = Connections(monkeypatch)
    backend = SQLiteBackend(tmp_path / "state.sqlite")
    barrier = threading.Barrier(2 * MAX_IDLE)
    with ThreadPoolExecutor(2 * MAX_IDLE) as executor:
        list(executor.map(lambda _: backend.find("t", Together(barrier)), range(2 * MAX_IDLE)))
    assert connections.made - connections.closed == MAX_IDLE
    backend.close()
    assert connections.made == connections.closed


@pytest.fixture
def maker(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Yield somebody who is about to make the file: SQLite tells the next one at once that it is locked."""
    connection = sqlite3.connect(tmp_path / "state.sqlite", isolation_level=None, check_same_thread=False)
    connection.execute("BEGIN IMMEDIATE")
    yield connection
    connection.close()


def test_who_opens_a_file_that_another_is_making_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, maker: sqlite3.Connection
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _seconds: maker.in_transaction and maker.execute("COMMIT"))
    backend = SQLiteBackend(tmp_path / "state.sqlite")
    backend.open()
    assert not maker.in_transaction
    backend.close()


def test_who_opens_a_file_that_another_never_lets_go_of_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, maker: sqlite3.Connection
) -> None:
    connections = Connections(monkeypatch)
    monkeypatch.setattr(sqlite, "BUSY_S", 0.05)
    backend = SQLiteBackend(tmp_path / "state.sqlite")
    with pytest.raises(BackendError, match="locked"):
        backend.open()
    assert maker.in_transaction
    assert (connections.made, connections.closed) == (1, 1)
