"""One request that is several questions: each is asked by itself, and the answers are told as one.

The twin of `attempts.Attempts`, made of them: ``exchange`` cannot tell them apart (`answering`). The parts are the
prompts of a batch, the choices that an upstream gives one at a time, or both. Each has its own plan, its own attempts
and failover. They are asked beside each other, a few at a time; a stream tells them as they come, from the first part's
first words on, and a whole answer when all are there. A part that fails ends the whole: what has reached the caller
stays, the other parts are let go of.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import anyio
import msgspec
from starlette.types import Message

from ..canonical import Notice, ProtocolName, Response
from ..codec import AnswerFacts, Envelope, Face
from ..errors import GatewayError
from ..observe import Attempt
from ..transcoding.joint import Joint, PartFace, join_responses, total_of
from . import answer_headers
from .attempts import Attempts
from .delivery import BREAK_OFF_S
from .inbound import ClientGone
from .means import Timing
from .pulse import Pulse
from .reply import Reply

MakeAttempts = Callable[[int, Face, Envelope, Reply], Attempts]
"""Number of a part, its face, envelope and reply -> what asks it."""
MAX_AT_ONCE = 8
"""Parts that are asked beside each other: a batch is quick, and takes the slots of no crowd."""
_OF_THE_WHOLE = frozenset({b"content-length", b"x-ds2api-attempts", b"x-ds2api-notices"})
"""Headers that the whole says for itself."""


class FanOut:
    """The parts of one request, and the answer that they give together.

    Args:
        face: The caller's protocol.
        envelope: What was peeked of the request.
        reply: Nothing was sent on it yet.
        make: Makes the attempts of a part.
        count: How many parts there are.
        width: Choices that each of them gives.
        timing: Bounds of an exchange.
        source: What the whole counts as an answer of; None: of what the first part is one of.
    """

    def __init__(
        self, face: Face, envelope: Envelope, reply: Reply, make: MakeAttempts, *, count: int, width: int,
        timing: Timing, source: ProtocolName | None,
    ) -> None:  # fmt: skip
        self._face = face
        self._envelope = envelope
        self._reply = reply
        self._make = make
        self._count = count
        self._timing = timing
        self._source = source
        self._joint = Joint(face, envelope, width=width, source=source)
        self._parts: dict[int, Attempts] = {}
        self._running = 0
        self._responses: dict[int, Response] = {}
        self._heads: dict[int, Sequence[tuple[bytes, bytes]]] = {}
        self._has_begun = anyio.Event()
        """There is a first part."""
        self._may_all_speak = anyio.Event()
        """The first part has spoken: clients make room for the choices of an answer in their order."""
        self._scope = anyio.CancelScope()
        self._problem: Exception | None = None
        self.committed_at: float | None = None
        """When the first byte of the answer went out: of a whole one, when it was there."""
        self.failure: GatewayError | None = None
        """As `Answering.failure`."""

    # --- what the Record asks -----------------------------------------------------------------------------------------

    @property
    def notices(self) -> Sequence[Notice]:
        """Of all parts and of the whole, each once."""
        found = [notice for part in self._in_order() for notice in part.notices]
        return tuple(dict.fromkeys([*found, *self._joint.notices]))

    @property
    def facts(self) -> AnswerFacts:
        """The usage of all parts; else of the first one."""
        first = self._parts[0].facts if self._parts else AnswerFacts()
        return msgspec.structs.replace(first, usage=total_of(part.facts.usage for part in self._in_order()))

    @property
    def mode(self) -> Literal["relay", "translate", ""]:
        """Of the first part; empty if there was no attempt."""
        return self._parts[0].mode if self._parts else ""

    @property
    def account(self) -> str:
        """Empty: the parts may be with different accounts."""
        return ""

    @property
    def model(self) -> str:
        """Empty, as `account`."""
        return ""

    @property
    def is_native(self) -> bool:
        """No: an answer that is joined here is no vendor's own."""
        return False

    @property
    def log(self) -> list[Attempt]:
        """All attempts, part by part."""
        return [attempt for part in self._in_order() for attempt in part.log]

    @property
    def queued_s(self) -> float:
        """How long the part waited that waited longest: they wait at the same time."""
        return max([0.0, *[part.queued_s for part in self._parts.values()]])

    @property
    def is_committed(self) -> bool:
        """Something of the answer has reached the caller."""
        return self.committed_at is not None

    def _in_order(self) -> list[Attempts]:
        return [part for _, part in sorted(self._parts.items())]

    # --- the whole ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Answer the request, or leave in ``failure`` why not. Raises as `Answering.run`."""
        numbers = iter(range(self._count))
        with self._scope:
            async with anyio.create_task_group() as group:
                for _ in range(min(self._count, MAX_AT_ONCE)):
                    group.start_soon(self._ask_each, numbers)
            await self._end()
        if self._problem is not None:
            raise self._problem
        if self.failure is not None and self._reply.is_started and not self._reply.is_ended:
            await self.break_off(self.failure)

    async def _ask_each(self, numbers: Iterator[int]) -> None:
        """Ask one part after the other, while there are any. What goes wrong goes on as it is, not as a group."""
        for number in numbers:
            if self._scope.cancel_called:
                return
            self._running += 1
            try:
                await self._ask(number)
            except Exception as exc:  # goes on out of the task, as it is
                self._problem = self._problem or exc
                self._scope.cancel()
            finally:
                self._running -= 1

    async def _ask(self, number: int) -> None:
        face = PartFace(self._face, lambda response: self._responses.update({number: response}))
        part = self._parts[number] = self._make(number, face, self._envelope, self._reply_of(number))
        self._has_begun.set()
        await part.run()
        if part.failure is not None:
            self.cut(part.failure)
        elif number == 0:
            self._may_all_speak.set()

    async def _end(self) -> None:
        """Tell what is only there once all parts are."""
        if self._envelope.stream:
            await self._reply.end(self._joint.close())
            return
        responses, notices = [response for _, response in sorted(self._responses.items())], self._joint.notices
        whole = join_responses(responses, self._source, notices)
        body = self._face.encode_response(whole, self._envelope, notices)
        self.committed_at = anyio.current_time()
        await self._reply.whole(200, self._headers(), body)

    async def pulse(self) -> None:
        """See `Answering.pulse`."""
        await self._has_begun.wait()
        await Pulse(
            self._reply,
            self._joint.heartbeat if self._envelope.stream else None,
            self._parts[0].stream_headers,
            commit_after_s=self._timing.commit_after_s,
            heartbeat_s=self._timing.heartbeat_s,
            send_s=self._timing.send_s,
            cut=self.cut,
            leave=self._leave,
        ).run()

    def cut(self, reason: GatewayError) -> None:
        """End the request now: the caller is told ``reason``."""
        self.failure = self.failure or reason
        self._scope.cancel()

    def _leave(self) -> None:
        self._problem = self._problem or ClientGone()
        self._scope.cancel()

    async def break_off(self, error: GatewayError) -> None:
        """Tell a caller whose stream has begun why it ends here. See `Answering.break_off`."""
        if error.code == "client_stalled" or not self._envelope.stream:
            self._reply.abandon()
            return
        with anyio.move_on_after(BREAK_OFF_S) as scope:
            await self._reply.end(self._joint.error(error))
        if scope.cancelled_caught:
            self._reply.abandon()

    # --- the parts ----------------------------------------------------------------------------------------------------

    def _reply_of(self, number: int) -> Reply:
        """Return a reply of which the caller sees what belongs into the one answer."""

        async def pass_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._heads[number] = message["headers"]
            elif self._envelope.stream and message["body"]:
                await self._speak(number, message["body"])

        return Reply(pass_on)

    async def _speak(self, number: int, data: bytes) -> None:
        """Tell what a part says. Between its words and their sending nothing waits, so that all stay in order."""
        if number:
            await self._may_all_speak.wait()
        elif not self._reply.is_started:
            await self._reply.start(200, self._headers())
        if self.committed_at is None:
            self.committed_at = anyio.current_time()
        await self._reply.write(self._joint.pass_on(number, data))
        self._may_all_speak.set()

    def _headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers of the first part, with what is to be told of all."""
        telling = [part for part in self._in_order() if part.tells_notices]
        told = [notice for part in telling for notice in part.notices]
        head = self._heads[0]
        headers = [pair for pair in head if pair[0] not in _OF_THE_WHOLE]
        if any(name == b"x-ds2api-attempts" for name, _ in head):
            headers += answer_headers.route(None, len(self.log) + self._running, with_account=False)
        return headers + answer_headers.notices([*told, *self._joint.notices] if telling else [])
