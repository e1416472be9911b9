"""What an application has to name, it can import from the top, and ``help()`` says what each field is."""

import re
from typing import get_type_hints

import msgspec
import pytest

import asgi_ds2api
from asgi_ds2api import Attempt, Caller, CallerLimits, Gateway, Notice, Record, Snapshot, Usage


def test_every_name_is_there_once() -> None:
    names = asgi_ds2api.__all__
    assert names == sorted(set(names))
    assert all(hasattr(asgi_ds2api, name) for name in names)


def test_whatever_a_gateway_takes_gives_and_raises_is_among_them() -> None:
    words = {"Authorize", "Caller", "CallerLimits", "Config", "ConfigError", "GatewayError", "Observer", "Record"}
    words |= {"Attempt", "Usage", "Notice", "Secret", "Snapshot", "StateStore"}
    assert words <= set(asgi_ds2api.__all__)
    assert get_type_hints(Gateway.snapshot)["return"] is Snapshot


@pytest.mark.parametrize("kind", [Attempt, Caller, CallerLimits, Notice, Record, Snapshot, Usage])
def test_docstring_describes_each_field(kind: type[msgspec.Struct]) -> None:
    _, _, attributes = (kind.__doc__ or "").partition("Attributes:\n")
    assert re.findall(r"^ {8}(\w+): ", attributes, re.MULTILINE) == [*kind.__struct_fields__]
