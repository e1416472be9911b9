"""Reads an answer of an upstream, whole or in pieces: a chunk of a stream has the shape of a whole answer.

Neighbouring texts are one block, and so are neighbouring thoughts, for nobody can tell where a stream was cut. A part
that is signed, or that has fields of its own, stays a block of its own: signatures belong to their parts.

What is there is read tolerantly, in any order. An answer is complete when the message has ended and every candidate has
told why it ended: older models tell so in every chunk.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import UNSET, Raw, UnsetType
from msgspec.structs import replace

from ...canonical import (
    ArgumentsDelta,
    Block,
    CitationDelta,
    Event,
    Extras,
    ExtrasDelta,
    Finish,
    Opaque,
    Reasoning,
    ReasoningDelta,
    SignatureDelta,
    Start,
    Text,
    TextDelta,
    ToolCall,
    ToolResult,
)
from ...errors import Interrupted, Malformed, MalformedRequest
from ...fold import BlockTracker
from ...half_characters import HalfCharacters
from ...json_guard import decode_answer, is_too_deep
from ...json_pieces import fields_of, items_of, text_of
from ...profiles import Profile
from . import wire
from .errors import decode_in_band
from .grounding import FIELD as GROUNDING
from .grounding import decode_citations
from .logprobs import FIELD as LOGPROBS
from .logprobs import decode_logprobs, joined
from .parts import Part, decode_part
from .stream_calls import PartialCall, is_piece
from .usage import WORDS, decode_block, decode_finish, decode_usage, finish_failure
from .wire import Shape

_OBJECT: Final = msgspec.json.Decoder(dict[str, Raw])
_TOP: Final = Shape("candidates", "promptFeedback", "usageMetadata", "modelVersion", "responseId", "error")
_CANDIDATE: Final = Shape("content", "finishReason", "finishMessage", "index")
_CONTENT: Final = Shape("parts", "role")
_FEEDBACK: Final = Shape("blockReason", "blockReasonMessage")
_UNSAID: Final = "FINISH_REASON_UNSPECIFIED"
MAX_CANDIDATES: Final = 64
"""The vendor gives 8 at most."""


class _UsualPart(msgspec.Struct, forbid_unknown_fields=True):
    text: str
    thought: bool = False


class _UsualContent(msgspec.Struct, forbid_unknown_fields=True):
    parts: list[_UsualPart]
    role: str = ""


class _UsualCandidate(msgspec.Struct, forbid_unknown_fields=True):
    content: _UsualContent
    index: int = 0


class _UsualChunk(msgspec.Struct, forbid_unknown_fields=True):
    """What nearly every chunk of a stream is: some text of the one candidate."""

    candidates: list[_UsualCandidate]
    usageMetadata: Raw | UnsetType = UNSET
    modelVersion: str = ""
    responseId: str = ""
    createTime: str = ""


_USUAL: Final = msgspec.json.Decoder(_UsualChunk)


class _Candidate:
    """One candidate and what was read of it."""

    __slots__ = (
        "extras",
        "grounding",
        "has_calls",
        "has_said",
        "likely",
        "message",
        "number",
        "open",
        "partial",
        "texts",
        "word",
    )

    def __init__(self, number: int) -> None:
        self.number = number
        self.open: tuple[type[Block], int] | None = None
        """Kind and index of the block that goes on."""
        self.texts: list[str] = []
        self.has_calls = False
        self.has_said = False
        self.word = ""
        self.message: str | None = None
        self.grounding: tuple[Raw, str] | None = None
        self.partial: PartialCall | None = None
        self.likely: list[Raw] = []
        """Probabilities, chunk by chunk."""
        self.extras: Extras = {}


class AnswerReader:
    """Chunks -> events.

    Args:
        profile: The upstream's.
        salt: Tells the ids of this answer's calls from another's, where the answer has none.
    """

    def __init__(self, profile: Profile, salt: str = "") -> None:
        self._vendor = profile.vendor
        self._salt = salt.encode()
        self._tracker = BlockTracker()
        self._halves = HalfCharacters()
        self._has_started = False
        self._id = ""
        self._extras: Extras = {}
        self._candidates: dict[int, _Candidate] = {}
        self._usage: Raw | None = None
        self._is_usage_told = False
        self._block: Finish | None = None
        self._calls = 0
        self._events: list[Event] = []

    @property
    def is_complete(self) -> bool:
        """Everybody has told why the answer ended."""
        return self._block is not None or (
            bool(self._candidates) and all(candidate.word for candidate in self._candidates.values())
        )

    def read(self, data: bytes) -> list[Event]:
        """Return the events of a chunk.

        Raises:
            UpstreamError: It is an error, or cannot be read. What it held before is in `last_words`.
        """
        self._events = []
        if not (self._has_started and self._read_usual(data)):
            self._read(data)
        events, self._events = self._events, []
        return events

    def end(self) -> list[Event]:
        """Say that the message ended; return the last events.

        Raises:
            UpstreamError: The answer is not complete, or its end says that it is none.
        """
        self._events = []
        if not self._has_started:
            raise Malformed("The upstream sent no answer.", code="empty_response")
        if not self.is_complete:
            raise Interrupted("The upstream broke its answer off before its end.")
        for candidate in self._candidates.values():
            self._end_candidate(candidate)
        self._tell_usage()
        for candidate in self._candidates.values():
            self._events.append(
                decode_finish(
                    candidate.word,
                    has_calls=candidate.has_calls,
                    message=candidate.message,
                    choice=candidate.number,
                )
            )
        if not self._candidates and self._block is not None:
            self._events.append(self._block)
        return self._events

    def last_words(self) -> list[Event]:
        """Return what was read of a chunk that could not be read whole, and the last figures of usage."""
        self._tell_usage()
        events, self._events = self._events, []
        return events

    # --- a chunk ------------------------------------------------------------------------------------------------------

    def _read_usual(self, data: bytes) -> bool:
        """Read a chunk of plain text; return whether it was one."""
        if is_too_deep(data):
            return False
        try:
            chunk = _USUAL.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return False
        if chunk.usageMetadata is not UNSET:
            if not bytes(chunk.usageMetadata).isascii():
                return False
            self._add_usage(chunk.usageMetadata)
        for usual in chunk.candidates:
            candidate = self._candidate(usual.index)
            for part in usual.content.parts:
                self._add_text(candidate, Reasoning if part.thought else Text, part.text, "")
        return True

    def _read(self, data: bytes) -> None:
        chunk = decode_answer(_OBJECT, data, mend=self._halves.join)
        # What is carried as it came has to fit into a line.
        compact = msgspec.json.format(msgspec.json.encode(chunk), indent=-1)
        known, others = _TOP.split(_OBJECT.decode(compact))
        if "error" in known:
            raise decode_in_band(data) or _unreadable("an error of an unknown form")
        if not known.keys() & {"candidates", "promptFeedback", "usageMetadata", "responseId", "modelVersion"}:
            if others or self._has_started:
                raise decode_in_band(data) or _unreadable("no candidates")
            return
        if "promptFeedback" in known:
            others["promptFeedback"] = known["promptFeedback"]
            self._block = decode_block(_FEEDBACK.look(known["promptFeedback"])) or self._block
        self._id = text_of(known.get("responseId")) or self._id
        self._start(known, others)
        if "usageMetadata" in known:
            self._add_usage(known["usageMetadata"])
        for position, item in enumerate(items_of(known.get("candidates"))):
            self._read_candidate(item, position)

    def _start(self, known: Mapping[str, Raw], others: Extras) -> None:
        if not self._has_started:
            self._has_started = True
            self._extras = others
            model = text_of(known.get("modelVersion")) or ""
            self._events.append(Start(source=wire.NAME, id=self._id, model=model, extras=others))
            return
        new = {name: value for name, value in others.items() if self._extras.get(name) != value}
        if new:
            self._extras = {**self._extras, **new}
            self._events.append(ExtrasDelta(level="response", fields=new))

    def _add_usage(self, raw: Raw) -> None:
        """Keep the figures, which are cumulative. The first are told at once: they tell what the question cost."""
        is_first = self._usage is None
        if self._usage != raw:
            self._usage, self._is_usage_told = raw, False
        if is_first:
            self._tell_usage()

    def _tell_usage(self) -> None:
        if self._usage is not None and not self._is_usage_told:
            usage = decode_usage(self._usage)
            if usage is not None:
                self._events.append(usage)
            self._is_usage_told = True

    def _candidate(self, number: int) -> _Candidate:
        if number not in self._candidates and not 0 <= number < MAX_CANDIDATES:
            raise _unreadable("too many candidates")
        return self._candidates.setdefault(number, _Candidate(number))

    def _read_candidate(self, raw: Raw, position: int) -> None:
        at = f"candidates[{position}]"
        fields, others = _CANDIDATE.split(fields_of(raw))
        number = wire.count_of(fields.get("index"))
        candidate = self._candidate(position if number is None else number)
        content, unknown = _CONTENT.split(fields_of(fields.get("content")))
        if unknown:
            self._events.append(ExtrasDelta(level="message", fields=unknown, choice=candidate.number))
        for place, part in enumerate(items_of(content.get("parts"))):
            self._add_raw_part(candidate, part, f"{at}.content.parts[{place}]")
        word = wire.word_of(fields.get("finishReason"), WORDS)
        if word and word != _UNSAID:
            candidate.word = word
        if (message := text_of(fields.get("finishMessage"))) is not None:
            candidate.message = message
            others["finishMessage"] = fields["finishMessage"]
        if GROUNDING in others:
            candidate.grounding = others[GROUNDING], f"{at}.{GROUNDING}"
        if (likely := others.pop(LOGPROBS, None)) is not None:
            candidate.likely.append(likely)
            if (told := decode_logprobs(likely, candidate.number)) is not None:
                self._events.append(told)
        if new := {name: value for name, value in others.items() if candidate.extras.get(name) != value}:
            candidate.extras.update(new)
            self._events.append(ExtrasDelta(level="choice", fields=new, choice=candidate.number))

    def _end_candidate(self, candidate: _Candidate) -> None:
        if candidate.partial is not None:
            raise Interrupted("The upstream broke a call off before its end.")
        failure = finish_failure(candidate.word, is_empty=not candidate.has_said)
        if failure is not None:
            raise failure
        if candidate.likely:
            whole = {LOGPROBS: joined(candidate.likely)}
            self._events.append(ExtrasDelta(level="choice", fields=whole, choice=candidate.number))
        citations = []
        if candidate.grounding is not None:
            raw, at = candidate.grounding
            citations = decode_citations(raw, "".join(candidate.texts), at)
        if citations:
            if candidate.open is None or candidate.open[0] is not Text:
                self._open(candidate, Text(text=""))
            assert candidate.open is not None
            index = candidate.open[1]
            self._events += [CitationDelta(index=index, citation=citation) for citation in citations]
        self._close(candidate)

    # --- parts --------------------------------------------------------------------------------------------------------

    def _add_raw_part(self, candidate: _Candidate, raw: Raw, at: str) -> None:
        if b"unctionCall" in bytes(raw) or b"unction_call" in bytes(raw):
            call = Shape("functionCall").look(raw).get("functionCall")
            if call is not None and (candidate.partial is not None or is_piece(call)):
                self._add_piece(candidate, call, at)
                return
        self._add_part(candidate, self._part(raw, at), raw)

    def _part(self, raw: Raw, at: str) -> Part:
        try:
            return decode_part(raw, at, _AnswerIds(self, bytes(raw)))
        except MalformedRequest as exc:
            raise _unreadable(exc.message) from None

    def new_id(self, seed: bytes) -> str:
        """Return an id for a call that has none: the same answer always gets the same ids."""
        self._calls += 1
        stem = self._id or hashlib.sha256(self._salt + seed).hexdigest()[:12]
        return f"call_{stem}_{self._calls - 1}"

    def _add_piece(self, candidate: _Candidate, call: Raw, at: str) -> None:
        if candidate.partial is None:
            candidate.partial = PartialCall(call)
        else:
            candidate.partial.add(call)
        if candidate.partial.is_complete:
            whole = candidate.partial.call(self.new_id(bytes(call)), at)
            candidate.partial = None
            self._add_whole(candidate, whole, None)

    def _add_part(self, candidate: _Candidate, part: Part, raw: Raw) -> None:
        match part.block:
            case Text(extras={}) as said if part.signature is None:
                self._add_text(candidate, Text, said.text, said.at)
            case Reasoning(extras={}, signature=None) as thought:
                self._add_text(candidate, Reasoning, thought.text, thought.at)
            case Reasoning(text="") as thought if candidate.open is not None and candidate.open[0] is Reasoning:
                self._sign(candidate.open[1], thought.signature)
                self._close(candidate)
            case ToolResult() as result:
                self._add_whole(candidate, Opaque(protocol=wire.NAME, type="functionResponse", raw=raw, at=result.at),
                                None)  # fmt: skip
            case block:
                self._add_whole(candidate, block, part.signature)

    def _add_text(self, candidate: _Candidate, kind: type[Text] | type[Reasoning], text: str, at: str) -> None:
        """Add text or a thought to the block that goes on, or begin one; of nothing nothing is told."""
        if not text:
            return
        if candidate.open is None or candidate.open[0] is not kind:
            self._open(candidate, kind(text="", at=at))
        assert candidate.open is not None
        index = candidate.open[1]
        if kind is Text:
            candidate.has_said = True
            candidate.texts.append(text)
            self._events.append(TextDelta(index=index, text=text))
        else:
            self._events.append(ReasoningDelta(index=index, text=text))

    def _add_whole(self, candidate: _Candidate, block: Block, signature: str | None) -> None:
        """Add a block that is complete, its signature before it."""
        self._close(candidate)
        if signature is not None:
            mark = self._tracker.start(Reasoning(origin=self._vendor, at=block.at), candidate.number)
            self._events.append(mark)
            self._sign(mark.index, signature)
            self._events.append(self._tracker.stop(mark.index))
        emptied, delta = self._split(block, candidate)
        start = self._tracker.start(emptied, candidate.number)
        self._events.append(start)
        match delta:
            case str() if isinstance(block, Text):
                self._events.append(TextDelta(index=start.index, text=delta))
            case str() if isinstance(block, ToolCall):
                self._events.append(ArgumentsDelta(index=start.index, arguments=delta))
            case str():
                self._events.append(ReasoningDelta(index=start.index, text=delta))
        if isinstance(block, Reasoning):
            self._sign(start.index, block.signature)
        self._events.append(self._tracker.stop(start.index))

    def _split(self, block: Block, candidate: _Candidate) -> tuple[Block, str | None]:
        """Return a block as it begins, and what its delta says."""
        candidate.has_said = candidate.has_said or not isinstance(block, Reasoning)
        match block:
            case Text():
                candidate.texts.append(block.text)
                return replace(block, text=""), block.text or None
            case Reasoning():
                return replace(block, text="", signature=None, origin=self._vendor), block.text or None
            case ToolCall():
                candidate.has_calls = True
                return replace(block, arguments=""), block.arguments or None
            case _:
                return block, None

    def _sign(self, index: int, signature: str | None) -> None:
        if signature is not None:
            self._events.append(SignatureDelta(index=index, signature=signature))

    def _open(self, candidate: _Candidate, block: Block) -> None:
        self._close(candidate)
        if isinstance(block, Reasoning):
            block = replace(block, origin=self._vendor)
        start = self._tracker.start(block, candidate.number)
        candidate.open = type(block), start.index
        self._events.append(start)

    def _close(self, candidate: _Candidate) -> None:
        if candidate.open is not None:
            self._events.append(self._tracker.stop(candidate.open[1]))
            candidate.open = None


class _AnswerIds:
    """Gives ids to the calls of a part. See `parts.Ids`."""

    names: Mapping[str, str] = {}

    def __init__(self, reader: AnswerReader, seed: bytes) -> None:
        self._reader = reader
        self._seed = seed

    def __call__(self, name: str, given: str | None, is_result: bool) -> str:
        return given or self._reader.new_id(self._seed)


def read_all(chunks: Sequence[bytes], profile: Profile, salt: str = "") -> list[Event]:
    """Return the events of a whole answer, which came in one chunk or in several.

    Raises:
        UpstreamError: It is an error, is not complete, or cannot be read.
    """
    reader = AnswerReader(profile, salt)
    events = [event for chunk in chunks for event in reader.read(chunk)]
    return events + reader.end()


def _unreadable(detail: str) -> Malformed:
    return Malformed("The upstream sent an answer that cannot be read.", code="bad_event", detail=detail)
