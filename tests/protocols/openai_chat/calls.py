"""Shorthand for the tests of this codec: requests of both kinds, and what becomes of them."""

import json
from collections.abc import Mapping
from typing import Any

from asgi_ds2api.canonical import Message, Notices, Request
from asgi_ds2api.codec import HTTPCall
from asgi_ds2api.profiles import PROFILES, Profile
from asgi_ds2api.protocols import openai_chat as codec
from tests.support.talk import judged_call
from tests.support.talk import say as say
from tests.support.talk import told as told

OPENAI, LENIENT = PROFILES["openai"], PROFILES["lenient"]
MODEL = "gpt-5"
HELLO: list[dict[str, Any]] = [{"role": "user", "content": "hi"}]


def call(body: object, *, headers: Mapping[str, str] | None = None) -> HTTPCall:
    """Return the call with this body."""
    return judged_call("/v1/chat/completions", body, headers)


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


def encode(request: Request, profile: Profile = OPENAI) -> tuple[dict[str, Any], Notices]:
    """Return the body that an upstream gets, and what was reported."""
    notices = Notices()
    written: dict[str, Any] = json.loads(codec.encode_request(request, profile, notices).body)
    return written, notices
