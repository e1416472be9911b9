"""Shorthand for the tests of this codec: requests of both kinds, and what becomes of them."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from asgi_ds2api.canonical import Message, Notices, Request, Role, Text, ToolCall, ToolResult
from asgi_ds2api.codec import HTTPCall
from asgi_ds2api.json_guard import check_document
from asgi_ds2api.profiles import PROFILES, ModelFacts, Profile
from asgi_ds2api.protocols import anthropic_messages as codec

ANTHROPIC = PROFILES["anthropic"]

OLD = "claude-sonnet-4-5"
"""Takes a budget, sampling, a forced tool and a prefill."""
NEW = "claude-opus-5-5"
"""Always thinks, by effort; takes none of those."""


def native(
    body: Mapping[str, Any] | None = None, *, headers: Mapping[str, str] | None = None, **fields: Any
) -> Request:
    """Decode a body of this protocol: ``body``, or a small one with these fields."""
    whole = body if body is not None else {"model": OLD, "max_tokens": 64, "messages": [user("hi")], **fields}
    return codec.decode_request(call(whole, headers=headers))


def call(body: object, *, path: str = "/v1/messages", headers: Mapping[str, str] | None = None) -> HTTPCall:
    """Return the call with this body, judged as the gateway does."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    check_document(data)
    return HTTPCall(method="POST", path=path, body=data, headers=headers or {})


def user(content: object) -> dict[str, object]:
    """Return a user's message of this protocol."""
    return {"role": "user", "content": content}


def assistant(content: object) -> dict[str, object]:
    """Return an assistant's message of this protocol."""
    return {"role": "assistant", "content": content}


def say(role: Role, *blocks: Any, at: str = "") -> Message:
    """Return a canonical message; strings are texts."""
    content = tuple(Text(text=block) if isinstance(block, str) else block for block in blocks)
    return Message(role=role, content=content, at=at)


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


def told(notices: Notices, severity: str | None = None) -> list[str]:
    """Return the paths that were reported, in order."""
    return [notice.path for notice in notices if severity in (None, notice.severity)]
