"""The server of state: what this one place does that the others need not (see `test_backends.py`)."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import redis

from asgi_ds2api.secret import Secret
from asgi_ds2api.state.backend import BackendError, CooldownNews, FactNews, Granted, Missed, News
from asgi_ds2api.state.contract import Admission, Amount, Cooldown, HealthScope
from asgi_ds2api.state.redis import MAX_SWEPT, RETENTION_S, SWEEP_S, RedisBackend
from asgi_ds2api.state.redis_scripts import SWEEP
from tests.support.redis_server import RedisServer

NEWS, COOLDOWNS, SWEPT = [f"ds2api1:{{default}}:{name}" for name in ("news", "cooldowns", "swept")]


def day(amount: float) -> Amount:
    return Amount(name="tokens of bob", amount=amount, limit=1e9, life_s=86_400)


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def client(server: RedisServer) -> Iterator[redis.Redis]:
    """Yield who does to the server what no gateway does; it begins empty."""
    with redis.Redis(port=server.port) as client:
        client.flushall()
        yield client


@pytest.fixture
def backend(server: RedisServer, client: redis.Redis) -> Iterator[RedisBackend]:
    backend = RedisBackend(Secret(server.url))
    yield backend
    backend.close()


def cooling(number: int, until: float = 60) -> CooldownNews:
    return CooldownNews(HealthScope("account", f"openai/{number}"), Cooldown(state="cooling", until=until, epoch=1))


def scopes(news: Sequence[News | Missed]) -> list[str]:
    return sorted(one.scope.name for one in news if isinstance(one, CooldownNews))


def test_who_comes_back_when_news_were_removed_is_told_all_cooldowns_and_that_it_missed_facts(
    backend: RedisBackend, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    cursor, _ = backend.read("two", "")
    for number in range(5):
        backend.write("one", [cooling(number), FactNews("pins", "k", b"v", 60)])
    client.xtrim(NEWS, maxlen=6, approximate=False)
    monkeypatch.setattr("asgi_ds2api.state.redis.MAX_NEWS", 6)
    cursor, news = backend.read("two", cursor)
    assert (news[0], scopes(news)) == (Missed(), [f"openai/{number}" for number in range(5)])
    backend.write("one", [cooling(5)])
    assert scopes(backend.read("two", cursor)[1]) == ["openai/5"]


def test_news_of_a_stream_that_has_begun_since_are_whole(backend: RedisBackend) -> None:
    cursor, _ = backend.read("two", "")
    backend.write("one", [FactNews("pins", "k", b"v", 60)])
    assert [type(one) for one in backend.read("two", cursor)[1]] == [FactNews]


def test_news_of_a_server_whose_clock_is_behind_that_of_the_one_before_it_are_heard(
    backend: RedisBackend, client: redis.Redis
) -> None:
    client.xadd(NEWS, {"w": "one"}, id="9000000000000-0")  # in the year 2255
    cursor, _ = backend.read("two", "")
    client.flushall()
    backend.write("one", [cooling(1)])
    cursor, news = backend.read("two", cursor)
    assert scopes(news) == ["openai/1"]
    backend.write("one", [cooling(2)])
    assert scopes(backend.read("two", cursor)[1]) == ["openai/2"]


def test_what_ended_long_ago_is_removed_while_processes_run(server: RedisServer, client: redis.Redis) -> None:
    now = 1_000.0
    one, two = [RedisBackend(Secret(server.url), now=lambda: now) for _ in range(2)]
    cursor, _ = one.read("one", "")
    one.write("one", [cooling(number, until=-2 * RETENTION_S) for number in range(2 * MAX_SWEPT)])
    one.write("one", [cooling(-1), cooling(-2, until=-1)])
    for backend in (one, two):
        cursor, _ = backend.read("", cursor)
    assert client.hlen(COOLDOWNS) == 2 * MAX_SWEPT + 2
    now += SWEEP_S
    client.delete(SWEPT)  # as the server does in that time
    for _ in range(10):
        two.read("two", cursor)
        one.read("one", cursor)
    assert {json.loads(name)[1] for name in client.hkeys(COOLDOWNS)} == {"openai/-1", "openai/-2"}
    for backend in (one, two):
        backend.close()


def test_what_was_renewed_since_it_was_looked_at_is_not_removed(backend: RedisBackend, client: redis.Redis) -> None:
    backend.write("one", [cooling(0, until=-2 * RETENTION_S)])
    (name,) = client.hkeys(COOLDOWNS)
    backend.write("one", [cooling(0)])
    client.eval(SWEEP, 1, COOLDOWNS, round(RETENTION_S * 1000), name)
    assert client.hkeys(COOLDOWNS) == [name]


def test_who_was_at_a_server_that_is_another_s_replica_now_comes_to_the_one_that_took_its_place(tmp_path: Path) -> None:
    """As after a failover: the address leads to the new one, and the old one still answers on its connections."""
    address = tmp_path / "s"
    with RedisServer(tmp_path / "old") as old, RedisServer(tmp_path / "new") as new:
        address.symlink_to(tmp_path / "old")
        backend = RedisBackend(Secret(f"unix://{address}"))
        backend.add([day(50)], "1")
        address.unlink()
        address.symlink_to(tmp_path / "new")
        with redis.Redis(port=old.port) as client:
            client.replicaof("127.0.0.1", new.port)
        with pytest.raises(BackendError, match="ReadOnly"):
            backend.add([day(1)], "2")
        backend.add([day(7)], "3")
        assert backend.admit([Admission(holder="a", amounts=(day(0),))], 30.0, "4") == [Granted((7.0,))]
        backend.close()
