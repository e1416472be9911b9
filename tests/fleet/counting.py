"""An upstream of Chat for tests of fleets: counts who asks at the same time, and answers as the test says."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

Answer = tuple[int, Mapping[str, str], Mapping[str, Any]]
OK: Answer = (
    200,
    {},
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello"}}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    },
)


def limited(retry_after_s: int) -> Answer:
    """Return a 429."""
    error = {"message": "Slow down.", "type": "requests", "param": None, "code": "rate_limit_exceeded"}
    return 429, {"retry-after": str(retry_after_s)}, {"error": error}


class CountingUpstream:
    """A server whose paths begin with a name: ``/NAME/v1/chat/completions``. Each name is counted by itself."""

    def __init__(self) -> None:
        self.url = ""
        self.calls: Counter[str] = Counter()
        self.at_once: Counter[str] = Counter()
        """Now."""
        self.most_at_once: Counter[str] = Counter()
        self.answers: dict[str, Callable[[], Awaitable[Answer]]] = {}
        """By name; the default is a whole answer at once."""

    @asynccontextmanager
    async def serving(self) -> "AsyncIterator[CountingUpstream]":
        """Serve as long as the block takes."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=512)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            length = next(line for line in head.split("\r\n") if line.startswith("content-length:"))
            await reader.readexactly(int(length.partition(":")[2]))
            name = head.split(" ")[1].split("/")[1]
            status, headers, body = await self._answer(name)
            data = json.dumps(body).encode()
            lines = {"content-type": "application/json", "content-length": str(len(data)), "connection": "close"}
            told = "".join(f"{key}: {value}\r\n" for key, value in {**lines, **headers}.items())
            writer.write(f"HTTP/1.1 {status} X\r\n{told}\r\n".encode() + data)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return  # a caller that left
        finally:
            writer.close()

    async def _answer(self, name: str) -> Answer:
        self.calls[name] += 1
        self.at_once[name] += 1
        self.most_at_once[name] = max(self.most_at_once[name], self.at_once[name])
        try:
            answer = self.answers.get(name)
            return OK if answer is None else await answer()
        finally:
            self.at_once[name] -= 1
