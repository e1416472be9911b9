"""Requests as text, so that a test can put anything into one of their places."""

import json
from typing import Any

import pytest

from tests.faults.bench import WAYS, Bench, Way
from tests.support.asgi_driver import Answer

every_translation = pytest.mark.parametrize(
    "way", [pytest.param(way, id=name) for name, way in WAYS.items() if way.mode == "translate"]
)


def fields_of(way: Way, *, stream: bool = False) -> dict[str, bytes]:
    """Return the fields of a small request, each value as JSON text."""
    asked = way.face.ask(f"{way.upstream.name}/test", stream=stream)
    return {name: json.dumps(value).encode() for name, value in asked.items()}


def text_of(fields: dict[str, bytes]) -> bytes:
    """Return the object."""
    return b"{" + b",".join(json.dumps(name).encode() + b":" + value for name, value in fields.items()) + b"}"


def with_content(way: Way, content: bytes, **fields: bytes) -> bytes:
    """Return a request whose one message has this content."""
    return text_of({**fields_of(way), "messages": b'[{"role":"user","content":' + content + b"}]", **fields})


def with_fields(way: Way, **fields: Any) -> bytes:
    """Return a small request with other or more fields; ``...`` leaves one out."""
    asked = {**way.face.ask(f"{way.upstream.name}/test", stream=False), **fields}
    return json.dumps({name: value for name, value in asked.items() if value is not ...}).encode()


async def send(bench: Bench, body: bytes, **more: Any) -> Answer:
    """Send a body."""
    return await bench.ask(stream=False, body=body, **more)
