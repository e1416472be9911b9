"""Speaks HTTP to a server byte by byte, as no client library would."""

import http.client
import socket
from typing import NamedTuple, Self

from tests.support.asgi_driver import Answer
from tests.support.waiting import WAIT_S


class Request(NamedTuple):
    """A request, written as it is."""

    target: bytes
    body: bytes = b""
    lines: tuple[bytes, ...] = ()
    """Header lines, besides Host and Content-Length."""
    method: bytes = b"POST"
    version: bytes = b"1.1"
    hosts: tuple[bytes, ...] = (b"localhost",)
    declares: bool = True
    """Content-Length says how long the body is."""

    def write(self) -> bytes:
        """Return the bytes."""
        first = b"%s %s HTTP/%s" % (self.method, self.target, self.version)
        length = [b"content-length: %d" % len(self.body)] if self.declares else []
        return b"\r\n".join([first, *(b"host: " + host for host in self.hosts), *self.lines, *length, b"", self.body])


class Wire:
    """A connection: ``with Wire(url) as wire: answer = wire.ask(request)``."""

    def __init__(self, url: str) -> None:
        host, port = url.removeprefix("http://").split(":")
        self._socket = socket.create_connection((host, int(port)), timeout=WAIT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self._socket.sendall(data)

    def read(self, method: str = "POST") -> Answer:
        """Read one answer; ``method`` of what was asked tells whether it has a body."""
        response = http.client.HTTPResponse(self._socket, method=method)
        response.begin()
        body = response.read()
        headers = tuple((name.lower().encode(), value.encode("latin-1")) for name, value in response.getheaders())
        return Answer(response.status, headers, body, (), is_complete=True)

    def ask(self, request: Request) -> Answer:
        """Send a request and read its answer."""
        self.send(request.write())
        return self.read(request.method.decode())

    def is_closed(self) -> bool:
        """Wait for the server to close the connection; it sends nothing more before it does."""
        try:
            return self._socket.recv(1) == b""
        except ConnectionResetError:  # it closed before it read all that was sent
            return True
