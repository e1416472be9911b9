"""What routing reads of a request, and the same request for another model."""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import UNSET

from ...codec import Envelope, HTTPCall, Operation, Route
from ...headers import forwarded_headers
from ...json_guard import decode_json
from ...json_pieces import number_of, present
from ...profiles import Profile
from ..reserved import for_another_model
from . import wire
from .request import path_of

_FACES: Final = ("/v1/messages", "/messages")
_LISTS: Final = ("/v1/models",)

ROUTES: Final[Sequence[Route]] = (
    *(Route(method="POST", path=path, operation="generate") for path in _FACES),
    *(Route(method="POST", path=f"{path}/count_tokens", operation="count_tokens") for path in _FACES),
    *(Route(method="GET", path=path, operation="list_models") for path in _LISTS),
    *(Route(method="GET", path=f"{path}/{{model}}", operation="get_model") for path in _LISTS),
)

SESSION_HEADERS: Final = ("x-claude-code-session-id", "x-session-affinity", "x-session-id")
"""Where clients say which conversation a request belongs to: narrower than the user's id."""


class _Metadata(msgspec.Struct):
    user_id: str | None = None


_PEEK: Final = msgspec.json.Decoder(wire.Peek)
_SESSION: Final = "session_"
"""In what Claude Code calls its user: which session it is. Others call a user so who may be all of an application."""
_METADATA: Final = msgspec.json.Decoder(_Metadata)


def claims(call: HTTPCall) -> bool:
    """Tell whether a call on a path that several faces share comes from a client of Anthropic's."""
    return wire.VERSION_HEADER in call.headers


def peek(call: HTTPCall, operation: Operation) -> Envelope:
    """Read what routing needs, without building the message tree.

    Raises:
        MalformedRequest: Not JSON, or the model or ``stream`` is missing or of the wrong type.
    """
    head = decode_json(_PEEK, call.body)
    return Envelope(
        operation=operation,
        model=head.model,
        stream=bool(head.stream) and operation == "generate",
        session=_session(call, head),
        max_output_tokens=number_of(present(head.max_tokens)),
    )


def retarget(call: HTTPCall, model: str, profile: Profile, operation: Operation) -> HTTPCall:
    """Return the same request for another model; all other values stay byte for byte.

    Raises:
        MalformedRequest: A field that would steer the gateway.
    """
    headers = {wire.VERSION_HEADER: wire.VERSION, **forwarded_headers(call.headers)}
    if profile.version is not None:
        headers[wire.VERSION_HEADER] = profile.version
    return HTTPCall(
        method="POST",
        path=path_of(profile, model, is_count=operation == "count_tokens"),
        body=for_another_model(call.body, model),
        headers=headers,
        query=profile.query,
    )


def _session(call: HTTPCall, head: wire.Peek) -> str | None:
    found = next((value for name in SESSION_HEADERS if (value := call.headers.get(name))), None)
    if found is not None or head.metadata is UNSET:
        return found
    try:
        user = _METADATA.decode(head.metadata).user_id
    except msgspec.MsgspecError:
        return None
    return user if user is not None and _SESSION in user else None
