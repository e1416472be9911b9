"""How many workers a server was told to run: what uvicorn, gunicorn and hypercorn read."""

from collections.abc import Mapping, Sequence

import pytest

from asgi_ds2api import workers


@pytest.mark.parametrize(
    ("arguments", "environ", "expected"),
    [
        pytest.param(["uvicorn", "app:app"], {}, 1, id="nothing said"),
        pytest.param(["uvicorn", "app:app", "--workers", "4"], {}, 4, id="uvicorn"),
        pytest.param(["uvicorn", "app:app", "--workers=4"], {}, 4, id="in one word"),
        pytest.param(["gunicorn", "-w", "3", "app:app"], {}, 3, id="gunicorn"),
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
