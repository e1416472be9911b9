"""Between a caller's bytes and an upstream's: `Relay` (same protocol, raw bytes) or `Translate` (through canonical).

Both have one interface, and ``one_attempt`` cannot tell them apart. Pure: bytes in, bytes out. One object lives for one
attempt; what it has not yet let out is lost with it, so that failover starts clean.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from .. import seal
from ..canonical import (
    ArgumentsDelta,
    BlockStart,
    Event,
    ExtrasDelta,
    Finish,
    Logprobs,
    Notice,
    Notices,
    Ping,
    ReasoningDelta,
    RefusalDelta,
    Request,
    Response,
    Start,
    Text,
    TextDelta,
    Usage,
    naming,
    reject_losses,
)
from ..canonical import Reasoning as ReasoningBlock
from ..codec import AnswerFacts, Codec, Envelope, Face, HTTPCall
from ..envelope import Heard, OnUnsupported
from ..errors import GatewayError, Refused, Unsupported, UpstreamError, spoiled_call
from ..fold import fold, merge_usage, tell_input, unfold
from ..framing import frame_mark
from ..profiles import Profile
from ..shims import KeptReasoning, Shim
from ..token_estimate import BYTES_PER_TOKEN, output_tokens
from .gathering import Gathering
from .pauses import Pauses
from .side import Side
from .transcoder import Transcoder


def choose(
    *, face: Codec, call: HTTPCall, envelope: Envelope, side: Side, request: Callable[[], Request],
    shims: Callable[[Request], Sequence[Shim]], on_unsupported: OnUnsupported,
) -> Transcoder:  # fmt: skip
    """Return a Relay where the upstream speaks the caller's protocol to the letter, else a Translate.

    Args:
        face: The caller's protocol.
        call: The caller's request.
        envelope: What was peeked of it.
        side: The upstream.
        request: Decodes the call, at most once a request; not called for a Relay.
        shims: Chooses what this upstream must be lent.
        on_unsupported: What to do about losses.
    """
    is_same = face.NAME == side.codec.NAME and takes_as_it_came(side.profile, side.model, envelope)
    is_same = is_same and side.objection is None
    if is_same and (envelope.operation == "complete" or not seal.is_in(call.body)):  # prompts have no seals
        return Relay(codec=face, call=call, envelope=envelope, side=side)
    decoded = request()
    return Translate(
        face=face, envelope=envelope, side=side, request=decoded, shims=shims(decoded), on_unsupported=on_unsupported
    )


def takes_as_it_came(profile: Profile, model: str, envelope: Envelope) -> bool:
    """Tell whether an upstream of the caller's protocol is sent a request as it came, and its stream passed on so."""
    if envelope.operation == "complete":
        return profile.has_completions(model)
    has_begun = envelope.heard is not None and envelope.heard.events > 0  # a relay would begin once more
    return profile.exact and envelope.stream_content_type is None and envelope.may_relay and not has_begun


class Relay:
    """Same protocol, to the letter: only the envelope's facts are rewritten, all else passes as it came."""

    mode: Literal["relay", "translate"] = "relay"
    is_paused = False

    def __init__(self, *, codec: Codec, call: HTTPCall, envelope: Envelope, side: Side) -> None:
        self.notices = Notices()
        self._codec = codec
        self._call = call
        self._envelope = envelope
        self._side = side
        self._tap = codec.StreamTap(side.profile, side.max_event_bytes)
        self._gathering = Gathering(side, envelope.salt)
        self._facts: AnswerFacts | None = None
        self._mark = frame_mark(codec.STREAM_CONTENT_TYPE)
        self._events = 0

    @property
    def is_meaningful(self) -> bool:
        """See `Transcoder`."""
        return self._tap.is_meaningful

    @property
    def is_complete(self) -> bool:
        """See `Transcoder`."""
        return self._tap.is_complete

    @property
    def failure(self) -> UpstreamError | None:
        """See `Transcoder`."""
        return self._tap.failure

    @property
    def facts(self) -> AnswerFacts:
        """See `Transcoder`."""
        if self._facts is not None:
            return self._facts
        return facts_so_far(self._tap.facts, self, len(self._call.body), self._events)

    async def recall(self) -> None:
        """Do nothing: a client of the vendor's own protocol carries what the vendor wants back."""

    async def settle(self) -> None:
        """Do nothing: nothing is kept."""

    def request(self) -> HTTPCall:
        """See `Transcoder`."""
        return self._codec.retarget(self._call, self._side.model, self._side.profile, self._envelope.operation)

    def repair(self, error: Refused) -> HTTPCall | None:
        """Return None: what a vendor says to its own client is passed on, and the client reacts."""
        return None

    def resume(self) -> HTTPCall | None:
        """Return None: the vendor's own client goes on by itself."""
        return None

    def feed(self, data: bytes) -> bytes:
        """See `Transcoder`."""
        out = self._tap.feed(data)
        self._events += out.count(self._mark)
        return out

    def close(self) -> bytes:
        """See `Transcoder`."""
        return self._tap.close()

    def error(self, error: GatewayError) -> bytes:
        """See `Transcoder`. Where events are numbered, it is the next one; what was held back was never heard."""
        envelope = self._envelope
        if self.is_meaningful:
            envelope = msgspec.structs.replace(envelope, heard=Heard(events=self._events))
        return self._codec.StreamEncoder(envelope, self.notices).error(error)

    def heartbeat(self) -> bytes:
        """See `Transcoder`. What is relayed counts its own events, so that none is put in between."""
        quiet = msgspec.structs.replace(self._envelope, heard=None)
        return self._codec.StreamEncoder(quiet, self.notices).heartbeat()

    def whole(self, body: bytes) -> bytes:
        """See `Transcoder`."""
        self._facts = self._codec.tap_response(body)
        return body

    def whole_as_stream(self, body: bytes) -> bytes:
        """See `Transcoder`."""
        response = self._codec.decode_response(body, self._side.profile, self._envelope.salt)
        self._facts = facts_of(response)
        encoder = self._codec.StreamEncoder(self._envelope, self.notices)
        return encoder.encode(unfold(response)) + encoder.close()

    def gather(self, data: bytes) -> bool:
        """See `Transcoder`."""
        return self._gathering.feed(data)

    def gathered(self) -> bytes:
        """See `Transcoder`."""
        response = self._gathering.response()
        self._facts = facts_of(response)
        return self._codec.encode_response(response, self._envelope, self.notices)


class Translate:
    """Through canonical: decode, shims, encode, and back."""

    mode: Literal["relay", "translate"] = "translate"

    def __init__(
        self, *, face: Face, envelope: Envelope, side: Side, request: Request, shims: Sequence[Shim],
        on_unsupported: OnUnsupported,
    ) -> None:  # fmt: skip
        self.notices = Notices(side.codec.CAPABILITIES.places)
        self._face = face
        self._envelope = envelope
        self._side = side
        self._request = msgspec.structs.replace(request, model=side.model)
        self._shims = tuple(shims)
        self._kept = next((shim for shim in shims if isinstance(shim, KeptReasoning)), None)
        self._on_unsupported = on_unsupported
        self._call: HTTPCall | None = None
        self._bytes_sent = 0
        self._begin()

    def _begin(self) -> None:
        """Be ready for an answer of which nothing was heard yet."""
        self.is_meaningful = False
        self.is_complete = False
        self._pauses = Pauses(self._side)
        self._events: list[Event] = []
        """Of a whole answer that paused: what was said before."""
        self._read_next()
        self._encoder = self._face.StreamEncoder(self._envelope, self.notices)
        self._finish: Finish | None = None
        self._spoiled: UpstreamError | None = None
        """The end of what was said, in place of the call that it was to end with."""
        self._usage: Usage | None = None
        self._model: str | None = None
        self._has_begun = False
        self._characters = 0

    @property
    def failure(self) -> UpstreamError | None:
        """See `Transcoder`."""
        return None if self.is_complete else self._decoder.failure or self._spoiled

    @property
    def facts(self) -> AnswerFacts:
        """See `Transcoder`."""
        told = AnswerFacts(model=self._model, usage=self._usage, finish=self._finish)
        return facts_so_far(told, self, self._bytes_sent, self._characters // BYTES_PER_TOKEN)

    async def recall(self) -> None:
        """See `Transcoder`."""
        if self._kept is not None:
            await self._kept.recall()

    async def settle(self) -> None:
        """See `Transcoder`."""
        if self._kept is not None:
            await self._kept.settle()

    @property
    def is_paused(self) -> bool:
        """See `Transcoder`."""
        return self._pauses.is_paused and not self.is_complete

    def request(self) -> HTTPCall:
        """See `Transcoder`."""
        places = self._request.places
        lent = Notices(places)
        lent.overruled(self._request.overruled)
        with naming(places):
            for shim in self._shims:
                self._request = shim.request(self._request, lent)
        self.notices.extend(lent)
        for lesson in self._side.lessons:
            self._leave_out(Refused(lesson))
        if self._side.objection is not None and not self._leave_out(self._side.objection):
            raise Unsupported("Nothing can be left out of the request that the upstream objects to.")
        return self._encode()

    def repair(self, error: Refused) -> HTTPCall | None:
        """See `Transcoder`."""
        if error.kind == "foreign_reasoning" and self._side.profile.sealed_reasoning:
            return None  # another account may be the one that it is sealed for
        mended = Notices(self._request.places)
        repaired = None if self._pauses.resumed else self._side.codec.repair(self._request, error, mended)
        self.notices.extend(mended)
        if repaired is None:
            return None
        self._request = repaired
        self._begin()
        return self._encode()

    def resume(self) -> HTTPCall | None:
        """See `Transcoder`."""
        if self._call is None or not self.is_paused:
            return None
        if self._pauses.is_spoiled:
            self.notices.changed("tool_calls", "the model wrote a call that cannot be read: asked again", "repeated")
        else:
            self.notices.hint("stop_reason", "the upstream paused its answer, and was asked to go on", "resumed")
        self._call = call = self._pauses.resume(self._call)
        self._bytes_sent += len(call.body)
        self._read_next()
        return call

    def feed(self, data: bytes) -> bytes:
        """See `Transcoder`."""
        self._pauses.read(len(data))
        return self._pass_on(self._decoder.feed(data), is_end=self._decoder.is_complete)

    def close(self) -> bytes:
        """See `Transcoder`."""
        if self.is_complete or self.is_paused:
            return b""
        return self._pass_on(self._decoder.close(), is_end=self._decoder.is_complete)

    def error(self, error: GatewayError) -> bytes:
        """See `Transcoder`."""
        return self._encoder.error(error)

    def heartbeat(self) -> bytes:
        """See `Transcoder`."""
        return self._encoder.heartbeat()

    def whole(self, body: bytes) -> bytes:
        """See `Transcoder`."""
        self._pauses.read(len(body))
        return self._encode_whole(self._side.codec.decode_response(body, self._side.profile, self._envelope.salt))

    def whole_as_stream(self, body: bytes) -> bytes:
        """See `Transcoder`."""
        self._pauses.read(len(body))
        return self._pass_on(
            unfold(self._side.codec.decode_response(body, self._side.profile, self._envelope.salt)), is_end=True
        )

    def gather(self, data: bytes) -> bool:
        """See `Transcoder`."""
        self._pauses.read(len(data))
        return self._gathering.feed(data)

    def gathered(self) -> bytes:
        """See `Transcoder`."""
        return self._encode_whole(self._gathering.response())

    def _leave_out(self, objection: Refused) -> bool:
        """Repair the request before it is sent; tell whether there was anything of it: else it stays as it is."""
        notices = Notices(self._request.places)
        repaired = self._side.codec.repair(self._request, objection, notices)
        if repaired is None or repaired == self._request:
            return False
        self._request = repaired
        self.notices.extend(notices)
        return True

    def _read_next(self) -> None:
        """Be ready for the answer to another call."""
        side, salt = self._side, self._envelope.salt
        self._decoder = side.codec.StreamDecoder(side.profile, side.max_event_bytes, salt)
        self._gathering = Gathering(side, salt)

    def _encode(self) -> HTTPCall:
        places = self._request.places
        notices = Notices(places)
        with naming(places):
            call = self._side.codec.encode_request(self._request, self._side.profile, notices)
        self.notices.extend(notice for notice in notices if notice not in self.notices)
        if self._on_unsupported == "reject":
            reject_losses(self.notices)
        self._bytes_sent = len(call.body)
        self._call = call
        return call

    def _encode_whole(self, response: Response) -> bytes:
        if not self._pauses.are_told or response.choices[0].finish.is_spoiled:
            self._events += self._pauses.pass_on(unfold(response))
            if self._pauses.is_paused:
                return b""
            response = fold(self._events, self._side.codec.join_opaque)
        billed = response.usage
        if self._shims:
            undone = self._undo(unfold(response))
            self.notices.extend(event for event in undone if isinstance(event, Notice))
            response = fold(undone, self._side.codec.join_opaque)
        self._characters = sum(len(block.text) for choice in response.choices for block in choice.blocks
                               if isinstance(block, Text | ReasoningBlock))  # fmt: skip
        if response.usage is None:  # also where a shim ended the answer before its figures
            response = msgspec.structs.replace(response, usage=billed or self._estimate())
        facts = facts_of(response)
        self._usage, self._finish, self._model = facts.usage, facts.finish, facts.model
        encoded = self._face.encode_response(response, self._envelope, self.notices)
        self._keep()
        return encoded

    def _keep(self) -> None:
        if self._kept is not None:
            self._kept.keep()

    def _undo(self, events: Sequence[Event]) -> Sequence[Event]:
        for shim in reversed(self._shims):
            events = shim.events(events)
        return events

    def _pass_on(self, events: Sequence[Event], *, is_end: bool) -> bytes:
        if self.is_complete:
            return b""
        events = self._undo(self._pauses.pass_on(events))
        self._watch(events)
        if self._decoder.is_complete and self._characters and _is_spoiled(events):  # no header can say so any more
            self._spoiled = spoiled_call()
            return self._encoder.encode([event for event in events if not isinstance(event, Finish)])
        if not self._has_begun and self._model is not None:
            self._has_begun = True
            events = tell_input(events, self._estimate())
        out = self._encoder.encode(events)
        if (not is_end or self._pauses.is_paused) and not any(shim.is_over for shim in self._shims):
            return out
        if self._usage is None:
            self._usage = self._estimate()
            out += self._encoder.encode((self._usage,))
        try:
            out += self._encoder.close()
        except Refused as exc:
            self._spoiled = exc
            return out
        self.is_complete = True
        self._keep()
        return out

    def _watch(self, events: Sequence[Event]) -> None:
        for event in events:
            match event:
                case TextDelta() | ReasoningDelta() | RefusalDelta():
                    self._characters += len(event.text)
                    self.is_meaningful = self.is_meaningful or bool(event.text)
                case ArgumentsDelta():
                    self._characters += len(event.arguments)
                case Usage():
                    self._usage = event if self._usage is None else merge_usage(self._usage, event)
                case Finish():
                    self._finish = self._finish or event
                    self.is_meaningful = True
                case Start():
                    self._model = event.model
                case BlockStart(block=Text(text="")) | BlockStart(block=ReasoningBlock(text="", redacted=None)):
                    pass
                case BlockStart():
                    self.is_meaningful = True
                case Notice():
                    self.notices.append(event)
                case Ping() | ExtrasDelta() | Logprobs():
                    pass
                case _:
                    self.is_meaningful = True

    def _estimate(self) -> Usage:
        return Usage(
            input_total=self._bytes_sent // BYTES_PER_TOKEN,
            output_total=output_tokens(self._characters),
            is_estimated=True,
        )


def _is_spoiled(events: Sequence[Event]) -> bool:
    """Tell whether every choice ends with a call that cannot be read."""
    ends = [event.is_spoiled for event in events if isinstance(event, Finish)]
    return bool(ends) and all(ends)


def facts_so_far(told: AnswerFacts, transcoder: Transcoder, input_bytes: int, output_tokens: int) -> AnswerFacts:
    """Return the facts of an answer that may have broken off: the tokens of what was said are estimated.

    Args:
        told: What the upstream told. Its figures are final once it has told why the answer ended.
        transcoder: Of the answer.
        input_bytes: Size of the request.
        output_tokens: What came, roughly; an event of a stream is about a token.
    """
    is_final = transcoder.is_complete or (told.finish is not None and told.usage is not None)
    if is_final or not transcoder.is_meaningful:
        return told
    usage = told.usage or Usage(input_total=input_bytes // BYTES_PER_TOKEN)
    output_total = max(1, usage.output_total or 0, output_tokens)
    return msgspec.structs.replace(
        told, usage=msgspec.structs.replace(usage, output_total=output_total, is_estimated=True)
    )


def facts_of(response: Response) -> AnswerFacts:
    """Return what the Record tells of a whole answer."""
    return AnswerFacts(model=response.model, usage=response.usage, finish=response.choices[0].finish)
