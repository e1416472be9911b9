"""A streamed answer, read: chunks -> canonical events, whoever's dialect they are in.

Nearly every chunk holds more of what is open already: a text, a thought, the arguments of a call. Such a chunk has a
short way (``usual_chunk``); every other one is read field by field, as tolerantly as a whole answer. Both ways tell
the same.

* A block starts when it is known what it is: a call when its id and its name are. A call without an id gets one at the
  end. The text of a choice is one block, also where calls stand between its pieces; a thought ends where another thing
  begins, and may begin again.
* A new id is a new call, whatever its index says. Of an id and of a name the first that is not empty counts.
* The first finish reason counts, and content behind it is dropped, but ``content_filter`` overrides ``stop``. Finishes
  are told at the end, behind the usage, as their calls may say more than they do.
* Fields without a canonical name are told before the content that they came with, and again only when they change.
"""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec
from msgspec import UNSET, Raw
from msgspec.structs import replace

from ...canonical import (
    ArgumentsDelta,
    Block,
    CitationDelta,
    Event,
    Extras,
    ExtrasDelta,
    Notice,
    Opaque,
    OpaqueDelta,
    Reasoning,
    ReasoningDelta,
    Refusal,
    RefusalDelta,
    SignatureDelta,
    Start,
    Text,
    TextDelta,
    ToolCall,
    Usage,
)
from ...errors import Interrupted, Malformed, UpstreamError
from ...fold import BlockTracker
from ...framing import SSEDecoder
from ...half_characters import HalfCharacters
from ...json_guard import decode_answer
from ...json_pieces import fields_of, items_of, number_of, rest_of, text_of, without_null
from ...profiles import Profile
from ..made_ids import call_id
from . import wire
from .answer_parts import (
    arguments_of,
    choice_of,
    citations_of,
    content_pieces,
    images_of,
    logprobs_of,
    plain_reasoning,
    without_number,
)
from .audio import opaque_audio
from .call_marks import decode_mark
from .calls import CALL, id_of
from .errors import decode_in_band
from .reasoning import OF_A_CHUNK, decode_detail
from .response import EMPTY, MESSAGE, choice_extras, top_extras, usage_of
from .stream_calls import PLACEHOLDER, StreamedCall, StreamedCalls
from .usage import decode_finish, finish_failure, latest
from .usual_chunk import USUAL, UsualDelta, UsualFragment

DONE: Final = b"[DONE]"
MAX_CHOICES: Final = 128
"""The vendor's own limit."""
NO_EXTRAS: Final[Extras] = {}
_AZURES: Final = "content_filter_results"
_CHUNK: Final = msgspec.json.Decoder(dict[str, Raw])


class _Choice:
    """What is known of a choice."""

    __slots__ = ("at", "audio", "begun", "calls", "cited", "details", "extras", "finish", "message_extras", "number",
                 "pictures", "refusal", "stop_reason", "text", "thought", "thought_at", "thought_extras",
                 "thought_key")  # fmt: skip

    def __init__(self, number: int) -> None:
        self.number = number
        self.at = f"choices[{number}].message"
        self.text = self.thought = self.refusal = self.audio = -1
        """Index of the open block of each kind; -1: none is open."""
        self.thought_key: tuple[bytes, ...] | None = None
        """What tells the reasoning detail that is open from another one."""
        self.thought_extras: Extras = {}
        """What came beside the thought that is open."""
        self.thought_at = ""
        """Its path."""
        self.details = self.cited = self.pictures = self.begun = 0
        """How many details, citations, pictures and calls have begun."""
        self.calls = StreamedCalls()
        self.finish: str | None = None
        self.stop_reason: Raw | None = None
        self.extras: Extras = {}
        self.message_extras: Extras = {}


class StreamDecoder:
    """Bytes of an upstream's stream -> events. See `codec.EventDecoder`.

    Args:
        profile: The upstream's.
        max_event_bytes: Longest event that is accepted.
        salt: Tells the ids of this answer's calls from another's, with the id of the answer.
    """

    def __init__(self, profile: Profile, max_event_bytes: int, salt: str = "") -> None:
        self.is_complete = False
        self.failure: UpstreamError | None = None
        self._profile = profile
        self._salt = salt
        self._max_event_bytes = max_event_bytes
        self._frames = SSEDecoder(max_event_bytes)
        self._halves = HalfCharacters()
        self._id: str | None = None
        """Of the answer; None until it has begun."""
        self._constants: tuple[str | None, str | None, str | None] = (None, None, None)
        """Fingerprint, tier and provider as they were told last: the usual chunk repeats them."""
        self._extras: Extras = {}
        self._choices: dict[int, _Choice] = {}
        self._blocks = BlockTracker()
        self._usage: Usage | None = None
        self._events: list[Event] = []
        self._left: set[str] = set()
        """Paths that were reported."""

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that these bytes complete, in order; an empty list means that more bytes are needed."""
        if self.is_complete or self.failure is not None:
            return []
        try:
            for frame in self._frames.feed(data):
                if frame.data.startswith(DONE):
                    self._end()
                    break
                if not self._read_usual(frame.data):
                    self._read(frame.data)
            else:
                self.failure = self._frames.failure
        except UpstreamError as failure:
            self.failure = failure
        return self._taken()

    def close(self) -> list[Event]:
        """Say that the HTTP message ended. Sets `failure` unless the stream is complete."""
        if self.is_complete or self.failure is not None:
            return []
        is_finished = bool(self._choices) and all(choice.finish for choice in self._choices.values())
        if is_finished and self._profile.done == "optional" and not self._frames.has_tail:
            self._end()
        elif self._id is None:
            self.failure = Malformed("The upstream sent no answer.", code="empty_response")
        else:
            self.failure = Interrupted("The upstream broke its answer off before its end.", code="incomplete_stream")
        return self._taken()

    def _taken(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    # --- the usual chunk ----------------------------------------------------------------------------------------------

    def _read_usual(self, data: bytes) -> bool:
        """Read a chunk with more of what is open; False: it is another one, and nothing was read."""
        try:
            chunk = USUAL.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return False
        if len(chunk.choices) != 1:
            return False
        told = chunk.choices[0]
        choice = self._choices.get(told.index)
        if choice is None or choice.finish is not None:
            return False
        if (chunk.system_fingerprint, chunk.service_tier, chunk.provider) != self._constants:
            return False
        if told.content_filter_results is not UNSET and told.content_filter_results != choice.extras.get(_AZURES):
            return False
        return self._add_usual(choice, told.delta)

    def _add_usual(self, choice: _Choice, delta: UsualDelta) -> bool:
        text, thought = delta.content, delta.reasoning_content or delta.reasoning
        if delta.tool_calls:
            return not text and not thought and self._add_usual_arguments(choice, delta.tool_calls)
        if text:
            if thought or choice.text < 0 or choice.thought >= 0:
                return False
            self._events.append(TextDelta(index=choice.text, text=text))
        elif thought:
            if choice.thought < 0:
                return False
            self._events.append(ReasoningDelta(index=choice.thought, text=thought))
        return True

    def _add_usual_arguments(self, choice: _Choice, fragments: list[UsualFragment]) -> bool:
        if choice.thought >= 0:
            return False
        found: list[Event] = []
        for fragment in fragments:
            call = choice.calls.at(fragment.index)
            if call is None or call.block < 0 or call.is_held:
                return False
            if fragment.function.arguments:
                found.append(ArgumentsDelta(index=call.block, arguments=fragment.function.arguments))
        self._events += found
        return True

    # --- any chunk ----------------------------------------------------------------------------------------------------

    def _read(self, data: bytes) -> None:
        chunk = decode_answer(_CHUNK, data, mend=self._halves.join)
        fields = without_null(chunk)
        if fields_of(fields.get("error")) or text_of(fields.get("error")):
            raise decode_in_band(data) or Malformed("The upstream sent an error that cannot be read.")
        if "choices" not in fields and (failure := decode_in_band(data)):
            raise failure
        choices = items_of(fields.get("choices"))
        self._read_top(fields, has_choices=bool(choices))
        for position, raw in enumerate(choices):
            self._read_choice(choice_of(raw), position)
        self._usage = latest(self._usage, usage_of(fields, self._profile))

    def _read_top(self, fields: Mapping[str, Raw], *, has_choices: bool) -> None:
        """Read what all chunks repeat. Azure's first one names nothing and only brings fields."""
        fingerprint, tier, provider = self._constants
        id_, told = text_of(fields.get("id")) or "", text_of(fields.get("service_tier"))
        extras = top_extras(fields)
        if self._id is not None:
            if told is not None and told != tier:
                extras["service_tier"] = fields["service_tier"]
            self._tell("response", extras, self._extras)
        else:
            self._extras |= extras
            if id_ or has_choices:
                self._begin(fields, id_)
        self._constants = (
            text_of(fields.get("system_fingerprint")) or fingerprint,
            told or tier,
            text_of(fields.get("provider")) or provider,
        )

    def _begin(self, fields: Mapping[str, Raw], id_: str) -> None:
        self._id = id_
        self._events.append(
            Start(
                source=wire.NAME,
                id=id_,
                model=text_of(fields.get("model")) or "",
                created=number_of(fields.get("created")),
                service_tier=text_of(fields.get("service_tier")),
                extras=dict(self._extras),
            )
        )

    def _tell(
        self, level: Literal["response", "choice", "message"], fields: Extras, known: Extras, choice: int = 0
    ) -> None:  # fmt: skip
        """Tell fields without a canonical name, where they are new or have changed."""
        news = {name: value for name, value in fields.items() if known.get(name) != value}
        if news:
            known |= news
            self._events.append(ExtrasDelta(level=level, fields=news, choice=choice))

    def _read_choice(self, fields: Mapping[str, Raw], position: int) -> None:
        number = number_of(fields.get("index"))
        choice = self._choice(position if number is None else number)
        word = text_of(fields.get("finish_reason"))
        if failure := finish_failure(word):
            raise failure
        self._tell("choice", choice_extras(fields), choice.extras, choice.number)
        delta = fields_of(fields.get("delta", fields.get("message")))
        if choice.finish is None or "tool_calls" in delta:  # Together gives a reason behind each of several calls
            if logprobs := logprobs_of(fields.get("logprobs"), choice.number):
                self._events.append(logprobs)
            self._read_delta(delta, choice)
        elif any(bytes(value) not in EMPTY for name, value in delta.items() if name != "role"):
            notice = Notice(path="stream", action="ignored", reason="content after the end", severity="hint")
            self._events.append(notice)
        if word and (choice.finish is None or word == "content_filter"):
            choice.finish = word
            choice.stop_reason = fields.get("stop_reason")

    def _choice(self, number: int) -> _Choice:
        found = self._choices.get(number)
        if found is None:
            if number >= MAX_CHOICES:
                raise Malformed("The upstream sent more answers than can be asked for.")
            found = self._choices[number] = _Choice(number)
        return found

    def _read_delta(self, delta: Mapping[str, Raw], choice: _Choice) -> None:
        self._tell("message", rest_of(delta, MESSAGE), choice.message_extras, choice.number)
        self._read_thought(delta, choice)
        for piece in content_pieces(delta.get("content"), f"{choice.at}.content"):
            self._read_piece(piece, choice)
        for citation in citations_of(delta.get("annotations")):
            at = f"{choice.at}.annotations[{choice.cited}]"
            citation = replace(citation, raw=without_number(citation.raw), at=at)
            choice.cited += 1
            self._events.append(CitationDelta(index=self._text_block(choice), citation=citation))
        if refusal := text_of(delta.get("refusal")):
            if choice.refusal < 0:
                choice.refusal = self._open(Refusal(text="", at=f"{choice.at}.refusal"), choice)
            self._events.append(RefusalDelta(index=choice.refusal, text=refusal))
        if audio := fields_of(delta.get("audio")):
            self._read_audio(audio, choice)
        for image in images_of(delta.get("images")):
            extras = rest_of(image.extras, ("index",))
            image = replace(image, extras=extras, at=f"{choice.at}.images[{choice.pictures}]")
            choice.pictures += 1
            self._events.append(self._blocks.stop(self._open(image, choice)))
        for raw in items_of(delta.get("tool_calls")):
            self._read_fragment(fields_of(raw), choice)
        if legacy := fields_of(delta.get("function_call")):
            self._read_function_call(legacy, choice)

    def _read_piece(self, piece: Text | Reasoning | Opaque, choice: _Choice) -> None:
        match piece:
            case Text():
                index = self._text_block(choice, piece.extras)
                if piece.text:
                    self._events.append(TextDelta(index=index, text=piece.text))
            case Reasoning():
                self._think(piece, choice, _key_of(piece))
                if piece.signature is not None:
                    self._events.append(SignatureDelta(index=choice.thought, signature=piece.signature))
            case Opaque():
                self._events.append(self._blocks.stop(self._open(piece, choice)))

    # --- text and thoughts --------------------------------------------------------------------------------------------

    def _open(self, block: Block, choice: _Choice) -> int:
        """Begin a block; a thought ends where another thing begins."""
        self._end_thought(choice)
        start = self._blocks.start(block, choice.number)
        self._events.append(start)
        return start.index

    def _end_thought(self, choice: _Choice) -> None:
        if choice.thought >= 0:
            self._events.append(self._blocks.stop(choice.thought))
            choice.thought = -1

    def _text_block(self, choice: _Choice, extras: Extras = NO_EXTRAS) -> int:
        self._end_thought(choice)
        if choice.text < 0:
            choice.text = self._open(Text(text="", extras=extras, at=f"{choice.at}.content"), choice)
        elif extras:
            self._tell("message", extras, choice.message_extras, choice.number)
        return choice.text

    def _read_thought(self, delta: Mapping[str, Raw], choice: _Choice) -> None:
        """Read reasoning from the richest of its spellings."""
        details = [decode_detail(raw) for raw in items_of(delta.get("reasoning_details"))]
        plain = plain_reasoning(delta, choice.at)
        if plain.text and not any(detail.text for detail in details):
            self._think(plain, choice)
        for detail in details:
            if detail.redacted is not None:
                detail = replace(detail, at=f"{choice.at}.reasoning_details[{choice.details}]")
                choice.details += 1
                self._events.append(self._blocks.stop(self._open(detail, choice)))
            elif detail.text:
                self._think(detail, choice, _key_of(detail))
            if detail.signature is not None and detail.redacted is None:
                if choice.thought < 0:
                    self._think(replace(detail, text=""), choice, _key_of(detail))
                self._events.append(SignatureDelta(index=choice.thought, signature=detail.signature))

    def _think(self, piece: Reasoning, choice: _Choice, key: tuple[bytes, ...] | None = None) -> None:
        """Add to the open thought, or begin another one: a detail of another type or index is one."""
        if choice.thought < 0 or (key is not None and choice.thought_key is not None and key != choice.thought_key):
            at = piece.at or f"{choice.at}.reasoning_details[{choice.details}]"
            choice.details += not piece.at
            choice.thought_extras = {name: raw for name, raw in piece.extras.items() if name not in OF_A_CHUNK}
            choice.thought_at = at
            block = Reasoning(is_summary=piece.is_summary, extras=choice.thought_extras, at=at)
            choice.thought = self._open(block, choice)
            choice.thought_key = key
        for name, raw in piece.extras.items():
            if choice.thought_extras.get(name) != raw:
                self._leave(f"{piece.at or choice.thought_at}.{name}")
        if piece.text:
            self._events.append(ReasoningDelta(index=choice.thought, text=piece.text))

    def _leave(self, path: str) -> None:
        """Report once what a later piece of a thought says beside the text, where the thought has begun."""
        if path not in self._left:
            self._left.add(path)
            self._events.append(
                Notice(path=path, action="dropped", reason="it came when the thought had begun", severity="hint")
            )

    def _read_audio(self, audio: Mapping[str, Raw], choice: _Choice) -> None:
        if choice.audio < 0:
            choice.audio = self._open(opaque_audio({}, f"{choice.at}.audio"), choice)
        raw = Raw(msgspec.json.encode(audio))
        self._events.append(OpaqueDelta(index=choice.audio, protocol=wire.NAME, raw=raw))

    # --- calls --------------------------------------------------------------------------------------------------------

    def _read_fragment(self, fields: Mapping[str, Raw], choice: _Choice) -> None:
        custom, function = fields_of(fields.get("custom")), fields_of(fields.get("function"))
        is_custom = bool(custom) and not function
        body = custom if is_custom else function
        id_, name = id_of(fields), text_of(body.get("name")) or ""
        call = choice.calls.find(number_of(fields.get("index")), id_, name)
        if id_ and not call.id:
            call.id = id_ if choice.calls.is_free(id_) else self._call_id(choice.begun)
        call.is_custom = call.is_custom or is_custom
        call.extras |= rest_of(fields, CALL)
        piece = arguments_of(body.get("input") if is_custom else body.get("arguments"))
        call.add(piece, self._max_event_bytes)
        if call.block < 0:
            if call.id and call.name:
                self._begin_call(call, choice)
        elif piece:
            call.is_held = False
            self._events.append(ArgumentsDelta(index=call.block, arguments=piece))

    def _call_id(self, position: int) -> str:
        return call_id((self._id or "") + self._salt, position)

    def _read_function_call(self, fields: Mapping[str, Raw], choice: _Choice) -> None:
        """Read a call of the kind that has no id."""
        id_ = Raw(msgspec.json.encode(self._call_id(0)))
        self._read_fragment({"id": id_, "index": Raw(b"0"), "function": Raw(msgspec.json.encode(fields))}, choice)

    def _begin_call(self, call: StreamedCall, choice: _Choice) -> None:
        kind: Literal["custom", "function"] = "custom" if call.is_custom else "function"
        at = f"{choice.at}.tool_calls[{choice.begun}]"
        marks, extras = decode_mark(dict(call.extras), at)
        for mark in marks:
            self._events.append(self._blocks.stop(self._open(mark, choice)))
        block = ToolCall(id=call.id, name=call.name, arguments="", kind=kind, extras=extras, at=at)
        call.block = self._open(block, choice)
        choice.begun += 1
        arguments = "".join(call.pieces)
        call.is_held = arguments == PLACEHOLDER and not call.is_custom
        if arguments and not call.is_held:
            self._events.append(ArgumentsDelta(index=call.block, arguments=arguments))

    # --- the end ------------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        """Close what is open, tell the usage, then why each choice ended.

        Raises:
            UpstreamError: The stream ended without an answer, or without a reason where there has to be one.
        """
        if not self._choices:
            raise Malformed("The upstream sent no answer.", code="empty_response")
        if self._profile.done == "required" and not all(choice.finish for choice in self._choices.values()):
            raise Interrupted("The upstream ended its answer without saying why.", code="incomplete_stream")
        choices = [self._choices[number] for number in sorted(self._choices)]
        for choice in choices:
            self._end_choice(choice)
        if self._usage is not None:
            self._events.append(self._usage)
        for choice in choices:
            self._events.append(
                decode_finish(
                    choice.finish, has_calls=choice.begun > 0, stop_reason=choice.stop_reason, choice=choice.number
                )
            )
        self.is_complete = True

    def _end_choice(self, choice: _Choice) -> None:
        named = [call for call in choice.calls if call.name]
        for position, call in enumerate(named):
            if call.block < 0:
                call.id = self._call_id(position)
                self._begin_call(call, choice)
            if call.is_held:
                self._events.append(ArgumentsDelta(index=call.block, arguments=PLACEHOLDER))
        self._events += self._blocks.stop_all(choice.number)


def _key_of(detail: Reasoning) -> tuple[bytes, ...]:
    """Return what tells a reasoning detail from another one."""
    return b"%d" % detail.is_summary, *(bytes(detail.extras.get(name, b"")) for name in ("type", "index"))
