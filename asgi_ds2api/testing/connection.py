"""A connection of the fake: asyncio's streams, and word of the peer's leaving while it is answered."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator


class Connection(asyncio.StreamReaderProtocol):
    """A connection that ends its answer as soon as the peer leaves, which asyncio's own would not tell."""

    def __init__(self, begin: Callable[["Connection"], "asyncio.Task[None] | None"], max_header_bytes: int) -> None:
        super().__init__(asyncio.StreamReader(limit=max_header_bytes), self._made)
        self._begin = begin
        self._is_answering = False
        self._has_left = False

    def _made(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._serving = self._begin(self)
        if self._serving is None:
            writer.transport.abort()

    def drop(self) -> None:
        """Close at once and end the task."""
        self._is_answering = False
        self.writer.transport.abort()
        if self._serving is not None:
            self._serving.cancel()

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """Cancel the task when the peer leaves, while this lasts."""
        if self._has_left:
            raise ConnectionResetError
        self._is_answering = True
        try:
            yield
        finally:
            self._is_answering = False

    def eof_received(self) -> bool | None:
        self._leave()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        super().connection_lost(exc)

    def _leave(self) -> None:
        self._has_left = True
        if self._is_answering and self._serving is not None:
            self._is_answering = False
            self._serving.cancel()
