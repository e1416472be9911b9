"""Shorthand for the tests of this codec: requests of both kinds, and what becomes of them."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from asgi_ds2api.canonical import FunctionTool, Message, Notices, Request, Text, ToolCall, ToolResult
from asgi_ds2api.codec import HTTPCall
from asgi_ds2api.errors import MalformedRequest, Unsupported
from asgi_ds2api.model_facts import ModelFacts
from asgi_ds2api.profiles import PROFILES, Profile
from asgi_ds2api.protocols import anthropic_messages as codec
from tests.support.talk import judged_call
from tests.support.talk import say as say
from tests.support.talk import told as told

ANTHROPIC = PROFILES["anthropic"]
F, G = (
    FunctionTool(name=name, parameters=Raw(b'{"type":"object","properties":{}}'), at=f"tools[{place}]")
    for place, name in enumerate("fg")
)

OLD = "claude-sonnet-4-5"
"""Takes a budget, sampling, a forced tool and a prefill."""
NEW = "claude-opus-5-5"
"""Always thinks, by effort; takes none of those."""


def native(
    whole: Mapping[str, Any] | None = None, *, headers: Mapping[str, str] | None = None, **fields: Any
) -> Request:
    """Decode a body of this protocol: ``whole``, or a small one with these fields."""
    return codec.decode_request(call(whole if whole is not None else body(**fields), headers=headers))


def call(body: object, *, path: str = "/v1/messages", headers: Mapping[str, str] | None = None) -> HTTPCall:
    """Return the call with this body."""
    return judged_call(path, body, headers)


def user(content: object) -> dict[str, object]:
    """Return a user's message of this protocol."""
    return {"role": "user", "content": content}


def assistant(content: object) -> dict[str, object]:
    """Return an assistant's message of this protocol."""
    return {"role": "assistant", "content": content}


def tool_call(call_id: str, name: str = "f", arguments: str = "{}") -> ToolCall:
    """Return a call, whose place is told by its id."""
    return ToolCall(id=call_id, name=name, arguments=arguments, at=f"call {call_id}")


def result(call_id: str, text: str = "ok") -> ToolResult:
    """Return the result of a call."""
    return ToolResult(call_id=call_id, blocks=(Text(text=text),), at=f"result {call_id}")


def chat(*messages: Message, model: str = OLD, **fields: Any) -> Request:
    """Return a request that came from a Chat client."""
    return Request(source="openai_chat", model=model, messages=messages or (say("user", "hi"),), **fields)


def encode(request: Request, profile: Profile = ANTHROPIC) -> tuple[dict[str, Any], Notices]:
    """Return the body that an upstream gets, and what was reported."""
    notices = Notices()
    written = codec.encode_request(request, profile, notices)
    body: dict[str, Any] = json.loads(written.body)
    return body, notices


def profile_with(**facts: Any) -> Profile:
    """Return the profile of an upstream whose only model has these facts."""
    return msgspec.structs.replace(ANTHROPIC, models=(("*", ModelFacts(**facts)),))


def messages(request: Request, profile: Profile = ANTHROPIC) -> list[dict[str, Any]]:
    """Return the messages that an upstream gets."""
    written: list[dict[str, Any]] = encode(request, profile)[0]["messages"]
    return written


def refused(request: Request, profile: Profile = ANTHROPIC) -> str | None:
    """Return what of a request the upstream has nothing for."""
    with pytest.raises(Unsupported) as caught:
        encode(request, profile)
    return caught.value.param


def body(**fields: Any) -> dict[str, Any]:
    """Return a small body with these fields."""
    return {"model": OLD, "max_tokens": 64, "messages": [user("hi")], **fields}


def content(*blocks: object) -> dict[str, Any]:
    """Return a small body whose only message has these blocks."""
    return body(messages=[user(list(blocks))])


def refusal(whole: object, headers: dict[str, str] | None = None) -> MalformedRequest:
    """Return why a body is no request."""
    with pytest.raises(MalformedRequest) as caught:
        codec.decode_request(call(whole, headers=headers))
    return caught.value
