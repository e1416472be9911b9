"""Where state is kept: an address that no client can use is told when it is read, not by the first call."""

import pytest

from asgi_ds2api.secret import Secret

from .samples import load, problems

CURE = 'write it as in "redis://127.0.0.1:6379/0"'


@pytest.mark.parametrize(
    "address",
    [
        "redis://127.0.0.1:6379/0",
        "redis://redis",
        "rediss://redis:6380/1?ssl_cert_reqs=none",
        "unix:///run/redis.sock?db=1",
        "redis://redis/0?client_name=gateway&protocol=3&health_check_interval=30",
    ],
)
def test_address_of_a_server_is_taken_without_asking_it(address: str) -> None:
    assert load(state=address).state.url == Secret(address)


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("redis://127.0.0.1:abc/0", "ValueError"),
        ("redis://127.0.0.1:99999/0", "ValueError"),
        ("redis://[::1/0", "ValueError"),
        ("redis://127.0.0.1/0?db=x", "ValueError"),
        ("redis://127.0.0.1/0?nobody=knows", "TypeError"),
        ("redis://127.0.0.1/0?ssl_cert_reqs=none", "TypeError"),
        ("rediss://127.0.0.1/0?ssl_cert_reqs=sometimes", "RedisError"),
        ("redis://127.0.0.1/0?decode_responses=True", "decode_responses"),
        ("redis://127.0.0.1/0?retry=3&socket_timeout=60", "retry"),
    ],
)
@pytest.mark.parametrize("is_secret", [False, True])
def test_address_that_no_client_can_use_is_told_with_its_cure(address: str, why: str, is_secret: bool) -> None:
    (problem,) = problems(state=Secret(address) if is_secret else address)
    assert problem.startswith("state: is no address")
    assert why in problem
    assert CURE in problem


@pytest.mark.parametrize("place", ["sqlite", "sqlite:"])
def test_file_without_a_name_is_told_how_it_is_written(place: str) -> None:
    assert problems(state=place) == ['state: names no file; write "sqlite:PATH"']


def test_what_is_told_of_an_address_holds_no_password() -> None:
    (problem,) = problems(state=Secret("redis://:hunter2@127.0.0.1:abc/hunter2?hunter2=hunter2&password=hunter2"))
    assert "hunter2" not in problem
