"""The rules of an HTTP response over ASGI, as a server would have every app keep them.

Pure: sees messages, names what is wrong with them. Follows the ASGI specification 3.0 (HTTP, version 2.3), and what
servers need beyond it: one length or none, and no headers of the connection's own.
"""

from collections.abc import Iterator

from starlette.types import Message

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",  # codespell:ignore te
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
CLOSE = (b"connection", b"close")
"""Servers take this one from an app: it ends the connection of a caller whose body was not read."""
BODILESS_STATUSES = frozenset({204, 205, 304})


class ResponseContract:
    """Watches the messages of one response. ``violations`` says in words what was wrong, in order."""

    def __init__(self, method: str) -> None:
        self.violations: list[str] = []
        self.is_started = False
        self.is_complete = False
        self._method = method
        self._status = 0
        self._declared: int | None = None
        self._length = 0

    def see(self, message: Message) -> None:
        """Judge one message that the app sends."""
        match message["type"]:
            case "http.response.start":
                self.violations += self._start(message)
            case "http.response.body":
                self.violations += self._body(message)
            case other:
                self.violations.append(f"message of type {other!r} in an HTTP response")

    def finish(self) -> None:
        """Judge the response after the app returned."""
        if not self.is_started:
            self.violations.append("the app returned without a response")
        elif not self.is_complete:
            self.violations.append("the app returned without more_body=False")

    def _start(self, message: Message) -> Iterator[str]:
        if self.is_started:
            yield "a second http.response.start"
        self.is_started = True
        status = message["status"]
        if not (isinstance(status, int) and 200 <= status <= 599):
            yield f"status {status!r}"
        self._status = status
        headers = list(message.get("headers", ()))
        for name, value in headers:
            yield from self._header(name, value)
        is_stream = any(name == b"content-type" and value.startswith(b"text/event-stream") for name, value in headers)
        if is_stream and self._declared is not None:
            yield "content-length on a stream"

    def _header(self, name: object, value: object) -> Iterator[str]:
        if not (isinstance(name, bytes) and isinstance(value, bytes)):
            yield f"header {name!r} is not a pair of bytes"
            return
        if name != name.lower() or not name or any(byte <= 0x20 or byte >= 0x7F for byte in name):
            yield f"header name {name!r} is not in lower case or has other characters"
        if any(byte in b"\r\n\0" for byte in value) or value != value.strip(b" \t"):
            yield f"value of header {name!r} has line ends, NUL or blanks at an end"
        if name in HOP_BY_HOP and (name, value) != CLOSE:
            yield f"hop-by-hop header {name!r}"
        if name == b"content-length":
            self._declared = int(value)

    def _body(self, message: Message) -> Iterator[str]:
        body = message.get("body", b"")
        self._length += len(body)
        if not self.is_started:
            yield "a body before http.response.start"
        if self.is_complete:
            yield "a body after more_body=False"
        if not isinstance(body, bytes):
            yield f"a body of type {type(body).__name__}"
        if body and (self._method == "HEAD" or self._status in BODILESS_STATUSES):
            yield f"a body in an answer to {self._method} with status {self._status}"
        self.is_complete = self.is_complete or not message.get("more_body", False)
        if self.is_complete and self._declared not in (None, self._length) and self._method != "HEAD":
            yield f"content-length {self._declared} for a body of {self._length} bytes"
