"""What tests of protocols share."""

import pytest


@pytest.fixture
def pain(request: pytest.FixtureRequest) -> str:
    """The row of a table of complaints that a test proves: in its id, for whoever looks for one (`peers.proves`)."""
    row: str = request.param
    return row
