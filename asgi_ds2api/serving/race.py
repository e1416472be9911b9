"""Two attempts at one answer: the second is begun when the first is silent for long, and the first words decide.

Whoever has the first valid event of a stream, or the whole valid answer, first gives the answer; the other one is
cancelled at that moment, and closes its connection. If one fails the other goes on. The first attempt runs in the task
of its request, the second in one of its own that ends with the race; each has a cancel scope, entered and left there.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import anyio
import msgspec

from ..errors import GatewayError, UpstreamError
from ..observe import Attempt
from ..pool.model import Lease
from .delivery import Delivery, Source
from .failover import decisive
from .one_attempt import OneAttempt

_log = logging.getLogger("asgi_ds2api")


class Failed(NamedTuple):
    """An attempt that failed."""

    lease: Lease
    error: UpstreamError


class Racer:
    """One of the two."""

    __slots__ = ("attempt", "error", "is_over", "scope")

    def __init__(self, attempt: OneAttempt | None) -> None:
        self.attempt = attempt
        """None: it is not begun."""
        self.scope = anyio.CancelScope()
        self.is_over = False
        """It came to an end of its own."""
        self.error: GatewayError | None = None
        """Why that was no answer."""

    @property
    def source(self) -> Source | None:
        """Who is asked; None: nobody yet."""
        return None if self.attempt is None else self.attempt.source


class Race:
    """A silent attempt, and the one that is begun beside it.

    Args:
        delivery: Where the answer goes.
        first: The attempt.
        after_s: How long it may be silent.
        begin_second: Returns the second attempt, once it is time; None: there can be none.
    """

    def __init__(
        self, delivery: Delivery, first: OneAttempt, after_s: float,
        begin_second: Callable[[], Awaitable[OneAttempt | None]],
    ) -> None:  # fmt: skip
        self._delivery = delivery
        self._after_s = after_s
        self._begin_second = begin_second
        self._first = Racer(first)
        self._second = Racer(None)
        self._problem: Exception | None = None

    async def run(self) -> Failed | None:
        """Run; return the failure that decides what comes next, None if one of them answered.

        Raises:
            GatewayError: What is no failure of an upstream, as `OneAttempt.run` raises it.
            ClientGone: As a ``send`` told.
        """
        delivery = self._delivery
        delivery.when_taken = self._let_go
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._run, self._second, self._ask_second)
                await self._run(self._first, self._ask_first)
                if self._second.attempt is None:
                    self._second.scope.cancel()
        finally:
            delivery.when_taken, delivery.under_way = None, 1
        if self._problem is not None:
            raise self._problem
        if any(racer.is_over and racer.error is None for racer in self._racers):
            return None
        return self._failed()

    # --- the two ------------------------------------------------------------------------------------------------------

    @property
    def _racers(self) -> tuple[Racer, Racer]:
        return self._first, self._second

    async def _run(self, racer: Racer, ask: Callable[[], Awaitable[None]]) -> None:
        """Let one of them run. What goes wrong in it goes on out of the task as it is, not as a group."""
        try:
            with racer.scope:
                await ask()
        except GatewayError as error:
            racer.error, racer.is_over = error, True
            if racer is self._second:
                _log.info("nobody could be asked beside a silent attempt: %s", error.code)
        except Exception as exc:  # goes on out of the task, as it is
            self._problem = self._problem or exc
            self._first.scope.cancel()
            self._second.scope.cancel()
        if racer.error is not None:
            self._leave_to(self._second if racer is self._first else self._first)

    async def _ask_first(self) -> None:
        await self._ask(self._first)

    async def _ask_second(self) -> None:
        """Wait until it is time. Both the answer and a failure may come at that very moment."""
        await anyio.sleep(self._after_s)
        if self._delivery.is_taken or self._first.is_over:
            return
        self._second.attempt = await self._begin_second()
        if self._second.attempt is not None:
            self._delivery.under_way = 2
            await self._ask(self._second)

    async def _ask(self, racer: Racer) -> None:
        assert racer.attempt is not None, "it was begun"
        racer.error = await racer.attempt.run()
        racer.is_over = True

    def _let_go(self, source: Source) -> None:
        """Cancel the one whose answer it is not."""
        loser = self._second if source is self._first.source else self._first
        loser.scope.cancel()
        if loser.source is not None and not loser.is_over:
            self._delivery.overtaken(loser.source)

    def _leave_to(self, other: Racer) -> None:
        """Speak of the one that still runs, if there is one, and not of the one that failed."""
        if other.source is not None and not other.is_over:
            self._delivery.ask(other.source)

    # --- the outcome --------------------------------------------------------------------------------------------------

    def _failed(self) -> Failed:
        """Return which failure decides: that of the answer that had begun, else of the two what `decisive` says."""
        first, second = self._first.error, self._second.error
        racer = self._first
        if self._delivery.is_taken:
            racer = next(racer for racer in self._racers if racer.source is self._delivery.source)
        elif isinstance(first, UpstreamError) and isinstance(second, UpstreamError):
            racer = self._first if decisive(first, second) is first else self._second
        assert racer.attempt is not None, "what failed was begun"
        assert racer.error is not None, "it failed"
        if not isinstance(racer.error, UpstreamError):
            raise racer.error
        return Failed(racer.attempt.lease, racer.error)

    @property
    def told(self) -> list[Attempt]:
        """What is told of both, once they are over; last of the one whose answer it is."""
        racers = sorted(self._racers, key=lambda racer: racer.source is self._delivery.source)
        return [told for racer in racers if (told := self._told(racer)) is not None]

    def _told(self, racer: Racer) -> Attempt | None:
        """Return what is told of one. What it may have cost is told of the one that does not answer."""
        told = None if racer.attempt is None else racer.attempt.told
        if told is None or racer.attempt is None:
            return None
        told = msgspec.structs.replace(told, is_hedge=racer is self._second)
        may_be_billed = racer.error is None or (isinstance(racer.error, UpstreamError) and racer.error.may_be_billed)
        if racer.source is self._delivery.source or not may_be_billed:
            return told
        return msgspec.structs.replace(told, usage=racer.attempt.may_have_used())
