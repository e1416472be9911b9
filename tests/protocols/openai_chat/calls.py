"""Shorthand for the tests of this codec: requests of both kinds, and what becomes of them."""

import json
from collections.abc import Mapping
from typing import Any

from asgi_ds2api.canonical import Message, Notices, Request, Role, Text
from asgi_ds2api.codec import HTTPCall
from asgi_ds2api.json_guard import check_document
from asgi_ds2api.profiles import PROFILES, Profile
from asgi_ds2api.protocols import openai_chat as codec

OPENAI, LENIENT = PROFILES["openai"], PROFILES["lenient"]
MODEL = "gpt-5"
HELLO: list[dict[str, Any]] = [{"role": "user", "content": "hi"}]


def call(body: object, *, headers: Mapping[str, str] | None = None) -> HTTPCall:
    """Return the call with this body, judged as the gateway does."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    check_document(data)
    return HTTPCall(method="POST", path="/v1/chat/completions", body=data, headers=headers or {})


def body(**fields: Any) -> dict[str, Any]:
    """Return a small body with these fields."""
    return {"model": MODEL, "messages": HELLO, **fields}


def native(**fields: Any) -> Request:
    """Decode a small body with these fields."""
    return codec.decode_request(call(body(**fields)))


def foreign(*messages: Message, **fields: Any) -> Request:
    """Return a request that came from an Anthropic client."""
    return Request(
        **{"source": "anthropic_messages", "model": MODEL, "messages": messages or (say("user", "hi"),), **fields}
    )


def say(role: Role, *blocks: Any, at: str = "") -> Message:
    """Return a canonical message; strings are texts."""
    content = tuple(Text(text=block) if isinstance(block, str) else block for block in blocks)
    return Message(role=role, content=content, at=at)


def encode(request: Request, profile: Profile = OPENAI) -> tuple[dict[str, Any], Notices]:
    """Return the body that an upstream gets, and what was reported."""
    notices = Notices()
    written: dict[str, Any] = json.loads(codec.encode_request(request, profile, notices).body)
    return written, notices


def told(notices: Notices, severity: str | None = None) -> list[str]:
    """Return the paths that were reported, in order."""
    return [notice.path for notice in notices if severity in (None, notice.severity)]
