"""The server of state: what this one place does that the others need not (see `test_backends.py`)."""

from pathlib import Path

import pytest
import redis

from asgi_ds2api.secret import Secret
from asgi_ds2api.state.backend import BackendError, Granted
from asgi_ds2api.state.contract import Admission, Amount
from asgi_ds2api.state.redis import RedisBackend
from tests.support.redis_server import RedisServer


def day(amount: float) -> Amount:
    return Amount(name="tokens of bob", amount=amount, limit=1e9, life_s=86_400)


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
