"""One question to several conversations: each is asked by itself, one after the other, and the answers are told as one.

The twin of `attempts.Attempts`, made of them: ``exchange`` cannot tell them apart. Each part has its own plan, its own
attempts and failover; what has reached the caller stays, and a part that fails ends the whole. Nothing runs beside
something else, so that what is held is one answer, and whole answers until the last one is there.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import anyio
import msgspec

from .attempts import BREAK_OFF_S, Attempts
from .canonical import Choice, Notice, Notices, ProtocolName, Request, Response, Usage
from .codec import AnswerFacts, Envelope, EventEncoder, Face
from .errors import GatewayError
from .fold import add_usage
from .inbound import Message, Send
from .observe import Attempt
from .reply import Reply

MakeAttempts = Callable[[int, Face, Envelope, Reply], Attempts]
"""Number of a part, its face, envelope and reply -> what asks it."""


class Series:
    """The parts of one request, and the answer that they give together.

    Args:
        face: The caller's protocol.
        envelope: What was peeked of the request; ``completion.prompts`` says how many parts there are.
        reply: Nothing was sent on it yet.
        make: Makes the attempts of a part.
    """

    def __init__(self, face: Face, envelope: Envelope, reply: Reply, make: MakeAttempts) -> None:
        self._face = face
        self._envelope = envelope
        self._reply = reply
        self._make = make
        self._parts: list[Attempts] = []
        self._begun = anyio.Event()
        """A part has begun that nobody looks after yet."""
        self._care = anyio.CancelScope()
        """Around what looks after the last part."""
        self._cut_reason: GatewayError | None = None
        self.failure: GatewayError | None = None
        """As `Attempts.failure`."""

    # --- what the Record asks -----------------------------------------------------------------------------------------

    @property
    def notices(self) -> Sequence[Notice]:
        """Of all parts, each once."""
        return tuple(dict.fromkeys(notice for part in self._parts for notice in part.notices))

    @property
    def facts(self) -> AnswerFacts:
        """The usage of all parts; else of the last one."""
        last = self._parts[-1].facts if self._parts else AnswerFacts()
        return msgspec.structs.replace(last, usage=self._usage(self._parts))

    @property
    def mode(self) -> Literal["relay", "translate", ""]:
        """Of the last attempt; empty if there was none."""
        return self._parts[-1].mode if self._parts else ""

    @property
    def log(self) -> list[Attempt]:
        """All attempts, in order."""
        return [attempt for part in self._parts for attempt in part.log]

    @property
    def is_committed(self) -> bool:
        """Something of the answer has reached the caller."""
        return self.committed_at is not None

    @property
    def committed_at(self) -> float | None:
        """When the first byte of the answer went out: of a whole one, when it was there."""
        told = self._parts if self._envelope.stream else self._parts[-1:]
        return next((part.committed_at for part in told if part.committed_at is not None), None)

    # --- the whole ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Answer the request, or leave in ``failure`` why not. Raises as `Attempts.run`."""
        count = self._envelope.completion.prompts
        joint = _Joint(self._face, count)
        for number in range(count):
            if self._cut_reason is not None:
                self.failure = self._cut_reason
                return
            part = self._make(number, joint, self._form(number), self._reply_of(number))
            self._parts.append(part)
            self._care.cancel()
            self._begun.set()
            await part.run()
            if part.failure is not None:
                self.failure = part.failure
                return

    async def pulse(self) -> None:
        """Look after each part while it is the last one. Runs beside `run` until cancelled."""
        while True:
            await self._begun.wait()
            self._begun = anyio.Event()
            with anyio.CancelScope() as self._care:
                await self._parts[-1].pulse()

    def cut(self, reason: GatewayError) -> None:
        """End the request now, from outside: the caller is told ``reason``."""
        self._cut_reason = reason
        if self._parts:
            self._parts[-1].cut(reason)

    async def break_off(self, error: GatewayError) -> None:
        """Tell a caller whose stream has begun why it ends here. See `Attempts.break_off`."""
        if error.code == "client_stalled" or not self._envelope.stream:
            self._reply.abandon()
            return
        frame = self._face.StreamEncoder(self._envelope, Notices()).error(error)
        with anyio.move_on_after(BREAK_OFF_S) as scope:
            await self._reply.end(frame)
        if scope.cancelled_caught:
            self._reply.abandon()

    def _form(self, number: int) -> Envelope:
        """Return the envelope of a part."""
        form = self._envelope.completion
        part = msgspec.structs.replace(
            form,
            first_choice=number * self._envelope.choices,
            is_continued=number + 1 < form.prompts,
            earlier=self._usage(self._parts),
        )
        return msgspec.structs.replace(self._envelope, completion=part)

    def _usage(self, parts: Sequence[Attempts]) -> Usage | None:
        total: Usage | None = None
        for part in parts:
            usage = part.facts.usage
            total = total if usage is None else add_usage(total, usage)
        return total

    def _reply_of(self, number: int) -> Reply:
        """Return a reply of which the caller sees what belongs into the one answer: one start, all pieces, one end."""
        whole, is_last = self._reply, number + 1 == self._envelope.completion.prompts

        async def pass_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                if not whole.is_started:
                    await whole.start(message["status"], message["headers"])
            elif message.get("more_body") or (not is_last and self._parts[number].failure is None):
                await whole.write(message["body"])
            else:
                await whole.end(message["body"])

        return Reply(pass_on if self._envelope.stream else _whole_to(whole if is_last else None))


def _whole_to(reply: Reply | None) -> Send:
    """Return what passes a whole answer on in one piece, so that its length and its body are never parted."""
    head: Message = {}

    async def pass_on(message: Message) -> None:
        if message["type"] == "http.response.start":
            head.update(message)
        elif reply is not None:
            headers = [pair for pair in head["headers"] if pair[0] != b"content-length"]
            await reply.whole(head["status"], headers, message["body"])

    return pass_on


class _Joint:
    """The face of every part: holds back whole answers until the last one, and then tells them as one."""

    def __init__(self, face: Face, count: int) -> None:
        self._face = face
        self._count = count
        self._responses: list[Response] = []

    @property
    def NAME(self) -> ProtocolName:
        """See `Face`."""
        return self._face.NAME

    @property
    def STREAM_CONTENT_TYPE(self) -> bytes:
        """See `Face`."""
        return self._face.STREAM_CONTENT_TYPE

    def StreamEncoder(self, envelope: Envelope, notices: Notices) -> EventEncoder:
        """See `Face`."""
        return self._face.StreamEncoder(envelope, notices)

    def encode_response(self, response: Response, envelope: Envelope, notices: Notices) -> bytes:
        """See `Face`; of all but the last part nothing is told yet."""
        self._responses.append(response)
        if len(self._responses) < self._count:
            return b""
        return self._face.encode_response(join_responses(self._responses), envelope, notices)


def conversation_of(request: Request, number: int) -> Request:
    """Return the question to one of the conversations."""
    messages = (request.messages, *request.alternatives)[number]
    return msgspec.structs.replace(request, messages=messages, alternatives=())


def join_responses(responses: Sequence[Response]) -> Response:
    """Return several answers as one: their choices in order, their usage together, all else of the first."""
    usage: Usage | None = None
    choices: list[Choice] = []
    for response in responses:
        usage = usage if response.usage is None else add_usage(usage, response.usage)
        for choice in response.choices:
            finish = msgspec.structs.replace(choice.finish, choice=len(choices))
            choices.append(msgspec.structs.replace(choice, finish=finish))
    return msgspec.structs.replace(responses[0], choices=tuple(choices), usage=usage)
