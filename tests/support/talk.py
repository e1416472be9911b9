"""Shorthand for the tests of codecs: calls as the gateway judges them, canonical messages, and what was reported."""

import json
from collections.abc import Mapping
from typing import Any

from asgi_ds2api.canonical import Message, Notices, Role, Text
from asgi_ds2api.codec import HTTPCall
from asgi_ds2api.json_guard import check_document


def judged_call(path: str, body: object, headers: Mapping[str, str] | None = None) -> HTTPCall:
    """Return a caller's call with this body, judged as the gateway does."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    check_document(data)
    return HTTPCall(method="POST", path=path, body=data, headers=headers or {})


def say(role: Role, *blocks: Any, at: str = "") -> Message:
    """Return a canonical message; strings are texts."""
    content = tuple(Text(text=block) if isinstance(block, str) else block for block in blocks)
    return Message(role=role, content=content, at=at)


def told(notices: Notices, severity: str | None = None) -> list[str]:
    """Return the paths that were reported, in order."""
    return [notice.path for notice in notices if severity in (None, notice.severity)]
