"""Looks after an answer while its upstream is silent, and after a caller who does not read.

A caller is let go whose ``send`` waits too long, whoever called it: the answer, or the heartbeat itself.
"""

import math
from collections.abc import Callable, Sequence

import anyio

from ..errors import GatewayError, Timeout
from .inbound import ClientGone
from .reply import Reply

LOOKS_PER_SEND = 4
"""How often within ``send_s`` somebody looks whether a caller still reads."""
MIN_SLEEP_S = 0.05


class Pulse:
    """Runs beside an answer, in a task of its own.

    Args:
        reply: The answer.
        voice: Returns the bytes of a heartbeat; None: a whole answer, in which nothing can be said meanwhile.
        headers: Of a stream that begins with a heartbeat.
        commit_after_s: Silence after which the status and the first heartbeat go out.
        heartbeat_s: Silence after which another one does.
        send_s: Longest wait of one ``send``.
        cut: Ends the request for a reason.
        leave: Ends the request of a caller that has gone.
    """

    def __init__(
        self,
        reply: Reply,
        voice: Callable[[], bytes] | None,
        headers: Callable[[], Sequence[tuple[bytes, bytes]]],
        *,
        commit_after_s: float,
        heartbeat_s: float,
        send_s: float,
        cut: Callable[[GatewayError], None],
        leave: Callable[[], None],
    ) -> None:
        self._reply = reply
        self._voice = voice
        self._headers = headers
        self._commit_after_s = commit_after_s
        self._heartbeat_s = heartbeat_s
        self._send_s = send_s
        self._cut = cut
        self._leave = leave
        self._born = anyio.current_time()

    async def run(self) -> None:
        """Work until cancelled, or until the caller was let go."""
        while True:
            await anyio.sleep(max(MIN_SLEEP_S, min(self._due() - anyio.current_time(), self._send_s / LOOKS_PER_SEND)))
            if anyio.current_time() < self._due():
                continue
            if self._reply.sending_since is not None or self._voice is None or not await self._beat(self._voice):
                self._cut(Timeout("The caller did not read its answer.", code="client_stalled"))
                return

    def _due(self) -> float:
        """Return when there is something to do, should nothing else happen before."""
        reply = self._reply
        if reply.sending_since is not None:
            return reply.sending_since + self._send_s
        if self._voice is None or reply.is_ended:
            return math.inf
        return reply.last_sent_at + self._heartbeat_s if reply.is_started else self._born + self._commit_after_s

    async def _beat(self, voice: Callable[[], bytes]) -> bool:
        """Send a heartbeat, and what must come before it; return whether the server took it in time."""
        with anyio.move_on_after(self._send_s):
            try:
                if not self._reply.is_started:
                    await self._reply.start(200, self._headers())
                await self._reply.write(voice())
            except ClientGone:
                self._leave()
            return True
        return False
