"""How many workers a server was told to run: what uvicorn, gunicorn and hypercorn read; and what is said of it."""

import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from asgi_ds2api import Config, Gateway, workers
from asgi_ds2api.secret import Secret
from asgi_ds2api.state.memory import MemoryStore
from tests.support.gateways import CALLER_KEY, SECRET, upstream

CALLERS = {"callers": [{"label": "a", "key": Secret(CALLER_KEY)}]}


@pytest.mark.parametrize(
    ("arguments", "environ", "expected"),
    [
        pytest.param(["uvicorn", "app:app"], {}, 1, id="nothing said"),
        pytest.param(["uvicorn", "app:app", "--workers", "4"], {}, 4, id="uvicorn"),
        pytest.param(["uvicorn", "app:app", "--workers=4"], {}, 4, id="in one word"),
        pytest.param(["gunicorn", "-w", "3", "app:app"], {}, 3, id="gunicorn"),
        pytest.param(["gunicorn", "-w4", "app:app"], {}, 4, id="gunicorn, in one word"),
        pytest.param(["hypercorn", "-w=4", "app:app"], {}, 4, id="hypercorn, in one word"),
        pytest.param(["gunicorn", "-w", "3", "--workers", "4"], {}, 4, id="the last word wins"),
        pytest.param(["gunicorn", "--worker-class", "4", "--worker-connections=5"], {}, 1, id="no workers"),
        pytest.param(["gunicorn", "app:app"], {"GUNICORN_CMD_ARGS": "-w4"}, 4, id="in one word there"),
        pytest.param(["uvicorn", "app:app"], {"UVICORN_WORKERS": "4"}, 4, id="uvicorn's variable"),
        pytest.param(["uvicorn"], {"UVICORN_WORKERS": "4", "WEB_CONCURRENCY": "2"}, 4, id="uvicorn's variable wins"),
        pytest.param(["uvicorn", "app:app"], {"WEB_CONCURRENCY": " 2 "}, 2, id="with spaces"),
        pytest.param(["gunicorn", "app:app"], {"GUNICORN_CMD_ARGS": "--bind :80 -w 5"}, 5, id="gunicorn's variable"),
        pytest.param(["uvicorn", "app:app"], {"WEB_CONCURRENCY": "2"}, 2, id="the common variable"),
        pytest.param(["uvicorn", "--workers", "4"], {"WEB_CONCURRENCY": "2"}, 4, id="the command wins"),
        pytest.param(["uvicorn", "--workers"], {"WEB_CONCURRENCY": "many"}, 1, id="no numbers"),
        pytest.param(["gunicorn"], {"GUNICORN_CMD_ARGS": "'"}, 1, id="a quote that is not closed"),
        pytest.param(["uvicorn", "--workers", "9" * 50], {}, 1, id="no number of workers"),
    ],
)
def test_number_of_workers(arguments: Sequence[str], environ: Mapping[str, str], expected: int) -> None:
    assert workers.told(arguments, environ) == expected


def config(**fields: Any) -> Config:
    return Config.from_dict({"auth": "callers", "secret": SECRET, "upstreams": [upstream("chat")], **CALLERS, **fields})


def test_workers_without_shared_state_are_warned_of_where_the_configuration_names_them() -> None:
    assert config(workers=4).warnings() == (workers.alone(4),)


@pytest.mark.parametrize("fields", [{"workers": 1}, {"workers": 4, "state": "sqlite:state"}], ids=["one", "shared"])
def test_workers_who_can_do_it_all_are_not_warned_of(fields: dict[str, Any]) -> None:
    assert config(**fields).warnings() == ()


@pytest.mark.parametrize(
    ("told", "configured", "number"), [(["-w4"], 1, 4), ([], 4, 4), (["-w2"], 4, 4), (["-w4"], 2, 4)]
)
def test_the_larger_number_of_workers_is_warned_of_once_at_start(
    told: list[str], configured: int, number: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "argv", ["gunicorn", *told, "app:app"])
    with caplog.at_level(logging.WARNING, "asgi_ds2api"):
        Gateway(config(workers=configured))
    assert caplog.messages == [workers.alone(number)]


def test_of_the_applications_own_store_nothing_is_known(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "asgi_ds2api"):
        Gateway(config(workers=4), store=MemoryStore(lambda: 0.0))
    assert caplog.messages == []
