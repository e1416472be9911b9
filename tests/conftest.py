"""What every test shares: asyncio as the event loop, patience of hypothesis, and a watch on the upstreams' keys."""

import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.support.canary import objects_that_show_it, watching

collect_ignore = [] if any("tests/real" in argument for argument in sys.argv) else ["real"]
"""An inference server takes a core for itself: those tests run alone, by `make test-real`, which brings it."""

settings.register_profile("patient", deadline=None)
settings.register_profile("checked", deadline=None, derandomize=True)
settings.load_profile("checked")
# A change is judged by the same examples wherever it is tested; `--hypothesis-profile patient` looks for new ones.


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run `pytest.mark.anyio` tests on asyncio."""
    return "asyncio"


@pytest.fixture(autouse=True)
def _no_key_is_told() -> Iterator[None]:
    """Fail a test in which an upstream's key shows up in a log record or in an error."""
    with watching() as watch:
        yield
    assert watch.leaks == []


@pytest.fixture(scope="session", autouse=True)
def _no_object_shows_a_key() -> Iterator[None]:
    """Fail the run if the ``repr`` of any object that is alive at its end shows an upstream's key."""
    yield
    assert objects_that_show_it() == []
