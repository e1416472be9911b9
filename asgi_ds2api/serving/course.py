"""How long an answer may take, and who may end it sooner: its deadline, this gateway, or a caller who leaves."""

from collections.abc import Awaitable, Callable

import anyio

from ..errors import GatewayError, Timeout
from .inbound import ClientGone


class Course:
    """The work on one answer."""

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()
        """Its deadline may move: what has begun may go on for longer than what has not."""
        self._cut_reason: GatewayError | None = None
        self._is_left = False

    @property
    def deadline(self) -> float:
        """When it ends, in seconds of the event loop's clock."""
        return self.scope.deadline

    def cut(self, reason: GatewayError) -> None:
        """End it now, from outside: the caller is told ``reason``."""
        self._cut_reason = reason
        self.scope.cancel()

    def leave(self) -> None:
        """End it now: its caller is gone."""
        self._is_left = True
        self.scope.cancel()

    async def run(self, work: Callable[[], Awaitable[None]], limit_s: float) -> GatewayError | None:
        """Do the work; return why it is no success, None if it is one.

        Raises:
            ClientGone: The caller left.
        """
        self.scope.deadline = anyio.current_time() + limit_s
        try:
            with self.scope:
                await work()
        except GatewayError as error:
            return error
        if not self.scope.cancelled_caught:
            return None
        if self._is_left:
            raise ClientGone
        return self._cut_reason or Timeout("The answer took longer than this gateway waits.", code="deadline_exceeded")
