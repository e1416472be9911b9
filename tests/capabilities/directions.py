"""All directions, and the tables of their ends."""

import pytest

from asgi_ds2api.canonical import ProtocolName
from asgi_ds2api.capabilities import Matrix
from asgi_ds2api.protocols import PROTOCOLS
from tests.support.gateways import PROTOCOLS as PROTOCOL_NAMES

from .trying import NAMES

TABLES = {name: codec.CAPABILITIES for name, codec in PROTOCOLS.items()}
MATRIX = Matrix(TABLES)

every_protocol = pytest.mark.parametrize("name", NAMES)
every_direction = pytest.mark.parametrize(
    ("face", "to"), [pytest.param(face, to, id=f"{face}-to-{to}") for face in NAMES for to in NAMES]
)


def protocol(name: str) -> ProtocolName:
    """Return what a short name stands for."""
    return next(known for known in PROTOCOLS if known == PROTOCOL_NAMES[name])
