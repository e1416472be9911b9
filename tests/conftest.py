"""What every test shares: asyncio as the event loop, and the place of the recorded traffic."""

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run `pytest.mark.anyio` tests on asyncio."""
    return "asyncio"
