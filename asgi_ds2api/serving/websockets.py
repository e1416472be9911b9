"""No WebSocket mode lives under the prefix yet: a handshake is refused at once, so that clients fall back to HTTP.

426 where the server can carry an answer to a handshake; a close otherwise. A server without a WebSocket library hands
the handshake over as plain HTTP.
"""

import msgspec
from starlette.types import Receive, Scope, Send

POLICY_VIOLATION = 1008
STATUS = 426
CODE = "upgrade_not_supported"
_MESSAGE = "There is no WebSocket mode here. Use HTTP."
_BODY = msgspec.json.encode(
    {"error": {"message": _MESSAGE, "type": "invalid_request_error", "param": None, "code": CODE}}
)
_HEADERS = [
    (b"content-type", b"application/json"),
    (b"content-length", str(len(_BODY)).encode()),
    (b"x-content-type-options", b"nosniff"),
]


async def refuse_websocket(scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse a handshake that came as a ``websocket`` scope."""
    await receive()
    if "websocket.http.response" in scope.get("extensions", {}):
        await send({"type": "websocket.http.response.start", "status": STATUS, "headers": _HEADERS})
        await send({"type": "websocket.http.response.body", "body": _BODY})
        return
    await send({"type": "websocket.close", "code": POLICY_VIOLATION})


def wants_upgrade(scope: Scope) -> bool:
    """Tell whether an ``http`` scope is a WebSocket handshake that the server does not understand."""
    return any(name == b"upgrade" and value.lower() == b"websocket" for name, value in scope["headers"])


async def refuse_upgrade(send: Send) -> None:
    """Refuse a handshake that came as an ``http`` scope."""
    headers = [*_HEADERS, (b"upgrade", b"websocket"), (b"connection", b"upgrade")]
    await send({"type": "http.response.start", "status": STATUS, "headers": headers})
    await send({"type": "http.response.body", "body": _BODY})
