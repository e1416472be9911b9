"""What the samples of all faces are made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from asgi_ds2api.meanings import Meaning
from tests.support.scripted_client import Script

TEXT, PDF, PNG, WAV, MP4, ZIP = "YQ==", "JVBERg==", "iVBORw0KGgo=", "UklGRgAAAABXQVZF", "AAAAGGZ0eXA=", "UEsDBA=="
"""Beginnings of files, in base64."""
OBJECT: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}}}
CLOSED: dict[str, Any] = {**OBJECT, "required": ["a"], "additionalProperties": False}


@dataclass(frozen=True)
class Sample:
    """Fields of a request that hold one thing."""

    body: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    path: str | None = None
    """None: the usual one of its face."""
    model: str = ""
    """Empty: the usual one of the upstream."""
    profile: Any = None
    besides: Mapping[str, Any] = field(default_factory=dict)
    """What the question must say so that this can be said; what becomes of that is nothing to the sample."""
    is_silent: bool = False
    """It asks for what happens anyway, so that nothing need be said of it upstream."""
    answer: Script | None = None


Samples = Mapping[tuple[str, Meaning], Sample]
"""(Field, what it means) -> a request that holds it."""
