"""A streamed answer, written: canonical events -> chunks, as OpenAI's SDKs want them.

The SDK adds the pieces of a message up: strings are joined, so that nothing may be said twice.

* The role comes once for each choice, in its first chunk, and choice 0 begins before the others.
* Calls are numbered without gaps, as they begin, and told one after the other (`calls_in_turn`). Id, type and name come
  with the first fragment of a call alone; a call without arguments has the arguments ``{}``. Callers whose SDK takes no
  fragments get each call whole (`whole_calls`).
* Reasoning comes before the text that it led to, never in the same chunk.
* Finishes come at the end, then the usage if it was asked for, in a chunk without choices; all others then say that
  they have none. Nothing follows an error.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from ...canonical import (
    ArgumentsDelta,
    Block,
    BlockStart,
    BlockStop,
    Citation,
    CitationDelta,
    Event,
    Extras,
    ExtrasDelta,
    Finish,
    Logprobs,
    Media,
    Notices,
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
    ToolResult,
    Usage,
)
from ...codec import Envelope
from ...errors import GatewayError
from ...fold import merge_usage
from ...framing import comment_frame, data_frame
from ...json_pieces import JsonObject, put_extras
from ...token_estimate import estimated
from . import wire
from .answer_parts import numbered
from .call_marks import is_of_a_call, mark_of, with_mark
from .calls_in_turn import CallsInTurn
from .content import AUDIO, BEHIND_A_CALL
from .errors import encode_error_body
from .response import AnswerWriter, answer_id, encode_logprobs
from .usage import encode_usage
from .whole_calls import WholeCalls

HEARTBEAT: Final = comment_frame(b"keepalive")
DONE: Final = data_frame(b"[DONE]")

_encode: Final[Callable[[object], bytes]] = msgspec.json.Encoder().encode

_CONTENT: Final = b'%d,"delta":{"content":'
_THOUGHT: Final = b'%d,"delta":{"reasoning_content":'
_FRAGMENT: Final = b'%d,"delta":{"tool_calls":[{"index":%d,"%b":{"%b":'
_TAIL: Final = b'},"logprobs":null,"finish_reason":null}]'


class _Choice:
    """What was written of a choice, and what waits for its next chunk."""

    __slots__ = ("calls", "cited", "extras", "finish", "has_role", "has_said", "is_plain", "length", "logprobs",
                 "mark", "marks", "message_extras", "number", "pictures", "thoughts")  # fmt: skip

    def __init__(self, number: int) -> None:
        self.number = number
        self.has_role = False
        self.is_plain = False
        """Its role is written, and nothing waits for its next chunk."""
        self.has_said = False
        """Something other than text that can be read was written."""
        self.length = 0
        """Of its text, in characters."""
        self.calls = self.thoughts = 0
        """How many have begun."""
        self.cited = self.pictures = 0
        """How many were written: OpenAI's SDK adds up no list whose entries do not say which one they are."""
        self.mark: Reasoning | None = None
        """The signature that the next call is to carry, if it has none of its own."""
        self.marks: dict[str, Reasoning] = {}
        """Path of a call -> its own signature."""
        self.finish: Finish | None = None
        self.logprobs: Logprobs | None = None
        self.extras: Extras = {}
        self.message_extras: Extras = {}


class _Block:
    """A block that has begun."""

    __slots__ = ("block", "choice", "cited", "has_text", "index", "is_untold", "number", "prefix", "start")

    def __init__(self, index: int, block: Block, choice: _Choice) -> None:
        self.index = index
        self.block = block
        self.choice = choice
        self.number = 0
        """Of a call or a thought, in its choice; of a text, how many calls have begun before it."""
        self.has_text = False
        """Of a thought."""
        self.is_untold = False
        """Of a call: no arguments were written."""
        self.start = choice.length
        """Where a text begins in the answer's text."""
        self.cited: tuple[Citation, ...] = ()
        """Sources of a text that are of all of it, and so are told where it ends."""
        self.prefix = b""
        """What a chunk with more of it begins with, behind the head; empty: such chunks have more to say."""


class StreamEncoder:
    """Events -> bytes of a caller's stream. See `codec.EventEncoder`.

    Args:
        envelope: What the caller asked.
        notices: Where losses are reported.
    """

    def __init__(self, envelope: Envelope, notices: Notices) -> None:
        self._envelope = envelope
        self._notices = notices
        self._writer = AnswerWriter(envelope, notices, is_own=False)
        self._out: list[bytes] = []
        self._choices: dict[int, _Choice] = {}
        self._blocks: dict[int, _Block] = {}
        self._usage: Usage | None = None
        self._calls = WholeCalls() if envelope.dialect == "mistral" else CallsInTurn()
        self._characters = 0
        """Of thoughts and arguments."""
        self._top: JsonObject = {}
        self._top_extras: Extras = {}
        """Fields that wait for the next chunk."""
        self._head = b""
        """What every chunk begins with, up to the number of its choice."""
        self._tail = _TAIL + (b',"usage":null}\n\n' if envelope.include_usage else b"}\n\n")
        self._fragment_tail = b"}}]" + self._tail
        self._begin(Start(source=wire.NAME, id="", model=""))

    def encode(self, events: Sequence[Event]) -> bytes:
        """Return the whole frames for these events, perhaps none."""
        for event in self._calls.gather(events):
            kind = type(event)
            if kind is TextDelta:
                self._add_text(event)  # type: ignore[arg-type]  # of this very type
            elif kind is ArgumentsDelta:
                self._add_arguments(event)  # type: ignore[arg-type]  # of this very type
            elif kind is ReasoningDelta:
                self._add_thought(event)  # type: ignore[arg-type]  # of this very type
            else:
                self._take(event)
        return self._taken()

    def close(self) -> bytes:
        """Return what ends the stream with success. Only after the decoder was complete."""
        self._choice(0)
        for _, choice in sorted(self._choices.items()):
            self._write_finish(choice)
        self._writer.report_usage(self._usage or Usage())
        if self._envelope.include_usage:
            characters = self._characters + sum(choice.length for choice in self._choices.values())
            usage = encode_usage(self._usage or estimated(characters), is_own=self._writer.is_own)
            self._out.append(data_frame(_encode({**self._top, "choices": [], "usage": usage})))
        self._out.append(DONE)
        return self._taken()

    def error(self, error: GatewayError) -> bytes:
        """Return the in-band form of an error. Nothing may follow it."""
        return data_frame(encode_error_body(error))

    def heartbeat(self) -> bytes:
        """Return bytes that keep the connection busy and that every SDK ignores."""
        return HEARTBEAT

    def _taken(self) -> bytes:
        data = b"".join(self._out)
        self._out.clear()
        return data

    # --- more of a block ----------------------------------------------------------------------------------------------

    def _add_text(self, event: TextDelta) -> None:
        block = self._blocks[event.index]
        choice, text = block.choice, event.text
        choice.length += len(text)
        if choice.is_plain and text:
            self._out += (self._head, block.prefix, _encode(text), self._tail)
        elif text:
            self._write(choice, {"content": text})

    def _add_thought(self, event: ReasoningDelta) -> None:
        block, text = self._blocks[event.index], event.text
        self._characters += len(text)
        block.has_text = block.has_text or bool(text)
        if block.prefix and block.choice.is_plain and text:
            self._out += (self._head, block.prefix, _encode(text), self._tail)
        elif text:
            self._write_thought(block, text)

    def _add_arguments(self, event: ArgumentsDelta) -> None:
        block, piece = self._blocks[event.index], event.arguments
        if not piece:
            return
        block.is_untold = False
        self._characters += len(piece)
        if block.prefix and block.choice.is_plain:
            self._out += (self._head, block.prefix, _encode(piece), self._fragment_tail)
        elif self._envelope.legacy_functions:
            if not block.number:
                self._write(block.choice, {"function_call": {"arguments": piece}})
        else:
            kind, field = _names_of(block.block)
            self._write(block.choice, {"tool_calls": [{"index": block.number, kind: {field: piece}}]})

    # --- anything else ------------------------------------------------------------------------------------------------

    def _take(self, event: Event) -> None:
        match event:
            case Start():
                self._begin(event)
            case BlockStart():
                self._begin_block(event)
            case BlockStop() | RefusalDelta() | SignatureDelta() | CitationDelta() | OpaqueDelta():
                self._add_rare(self._blocks[event.index], event)
            case Logprobs():
                self._add_logprobs(self._choice(event.choice), event)
            case ExtrasDelta():
                self._add_extras(event)
            case Usage():
                self._usage = merge_usage(self._usage, event)
            case Finish():
                self._choice(event.choice).finish = event
            case _:
                pass  # pings and notices have no chunk

    def _add_rare(
        self, block: _Block, event: BlockStop | RefusalDelta | SignatureDelta | CitationDelta | OpaqueDelta
    ) -> None:
        match event:
            case BlockStop():
                self._end_block(block)
            case RefusalDelta():
                self._refuse(block.choice, event.text)
            case SignatureDelta():
                self._sign(block, event)
            case CitationDelta():
                self._cite(block, (event.citation,))
            case OpaqueDelta() if _is_audio(block.block):
                self._write(block.choice, {"audio": event.raw})
            case OpaqueDelta():
                pass  # its block was reported

    def _begin(self, start: Start) -> None:
        self._writer = AnswerWriter(self._envelope, self._notices, is_own=start.source == wire.NAME)
        self._top = {
            "id": answer_id(start.id, self._envelope),
            "object": "chat.completion.chunk",
            "created": start.created or self._envelope.created,
            "model": self._envelope.model,
        }
        if start.service_tier is not None:
            self._top["service_tier"] = start.service_tier
        put_extras(self._top, self._writer.own(start.extras, ""))
        self._head = b"data: " + _encode(self._top)[:-1] + b',"choices":[{"index":'

    def _choice(self, number: int) -> _Choice:
        """Return a choice; those before it begin first, as SDKs count on it."""
        choice = self._choices.get(number)
        if choice is None:
            for earlier in range(number):
                if not self._choice(earlier).has_role:
                    self._write(self._choices[earlier], {})
            choice = self._choices[number] = _Choice(number)
        return choice

    def _begin_block(self, event: BlockStart) -> None:
        choice = self._choice(event.choice)
        block = self._blocks[event.index] = _Block(event.index, event.block, choice)
        if not isinstance(event.block, ToolCall):
            self._mark(choice, event.block)
        match event.block:
            case Text():
                block.prefix = _CONTENT % choice.number
                block.number = choice.calls
                if not choice.has_role:
                    self._write(choice, {"content": ""})
                self._add_text(TextDelta(index=event.index, text=event.block.text))
                self._cite(block, event.block.citations)
                self._writer.leave(event.block.extras, event.block.at)
            case Reasoning() as thought if self._writer.is_own and is_of_a_call(thought):
                pass  # its call has it
            case Reasoning():
                self._begin_thought(block, event.block)
            case ToolCall():
                self._begin_call(block, event.block)
            case Refusal():
                self._refuse(choice, event.block.text)
            case Media() | Opaque() | ToolResult():
                self._show(block, event.block)

    def _show(self, block: _Block, shown: Media | Opaque | ToolResult) -> None:
        if isinstance(shown, Media) and (image := self._writer.image(shown)) is not None:
            block.choice.has_said = True
            self._write(block.choice, {"images": [numbered(image, block.choice.pictures)]})
            block.choice.pictures += 1
        elif isinstance(shown, Opaque) and _is_audio(shown):
            block.choice.has_said = True
            self._write(block.choice, {"audio": shown.raw})
        else:
            self._writer.lose(shown.at or "content", "no such part of an answer is known here")

    def _refuse(self, choice: _Choice, text: str) -> None:
        if text:
            choice.has_said = True
            self._write(choice, {"refusal": text})

    def _cite(self, block: _Block, citations: Sequence[Citation]) -> None:
        """Write sources; those of the whole text wait for its end, as Anthropic tells them before it."""
        for citation in citations:
            if citation.end is None and not self._writer.is_own:
                block.cited += (citation,)
            else:
                self._write_cited(block, (citation,))

    def _write_cited(self, block: _Block, citations: Sequence[Citation]) -> None:
        choice = block.choice
        if found := self._writer.annotations(citations, block.start, choice.length):
            self._write(choice, {"annotations": [numbered(cited, choice.cited + n) for n, cited in enumerate(found)]})
            choice.cited += len(found)

    # --- thoughts -----------------------------------------------------------------------------------------------------

    def _begin_thought(self, block: _Block, thought: Reasoning) -> None:
        choice = block.choice
        block.number = choice.thoughts
        choice.thoughts += 1
        if not choice.has_role:
            self._write(choice, {})
        if not self._envelope.include_reasoning_details:
            block.prefix = _THOUGHT % choice.number
            self._writer.report_proofs((thought,))
        elif thought.redacted is not None or thought.signature is not None:
            self._write(choice, self._writer.thought_piece(thought, block.number))
            return
        if thought.text:
            self._write_thought(block, thought.text)

    def _write_thought(self, block: _Block, text: str) -> None:
        assert isinstance(block.block, Reasoning)
        piece = replace(block.block, text=text, signature=None)
        self._write(block.choice, self._writer.thought_piece(piece, block.number))

    def _sign(self, block: _Block, event: SignatureDelta) -> None:
        assert isinstance(block.block, Reasoning)
        signed = replace(block.block, text="", signature=event.signature)
        if not block.has_text:
            self._mark(block.choice, signed)
        if self._envelope.include_reasoning_details and event.signature:
            self._write(block.choice, self._writer.thought_piece(signed, block.number))
        else:
            self._writer.report_proofs((signed,))

    def _mark(self, choice: _Choice, block: Block) -> None:
        """Remember a block that is nothing but the signature of a call, which may have to wait for others."""
        mark = mark_of(block, is_own=self._writer.is_own)
        choice.mark = None if self._writer.is_own else mark
        if mark is not None:
            choice.marks[mark.at] = mark

    # --- calls --------------------------------------------------------------------------------------------------------

    def _begin_call(self, block: _Block, call: ToolCall) -> None:
        choice = block.choice
        mark, choice.mark = choice.marks.pop(call.at, choice.mark), None
        block.number = choice.calls
        choice.calls += 1
        self._characters += len(call.arguments)
        block.is_untold = not call.arguments and call.kind == "function"
        kind, field = _names_of(call)
        if self._envelope.legacy_functions:
            if block.number:
                self._writer.lose(call.at or "tool_calls", "a caller of functions is told one call")
            else:
                self._write(choice, {"function_call": {"name": call.name, "arguments": call.arguments}})
            return
        block.prefix = _FRAGMENT % (choice.number, block.number, kind.encode(), field.encode())
        fragment: JsonObject = {
            "index": block.number,
            "id": call.id,
            "type": kind,
            kind: {"name": call.name, field: call.arguments},
        }
        extras = self._writer.own(call.extras, call.at or "tool_calls")
        self._write(choice, {"tool_calls": [with_mark(put_extras(fragment, extras), mark)]})

    def _end_block(self, block: _Block) -> None:
        self._write_cited(block, block.cited)
        if block.is_untold:
            self._add_arguments(ArgumentsDelta(index=block.index, arguments="{}"))
        elif isinstance(block.block, Text) and self._is_moved(block):
            self._notices.changed(block.block.at or "content", BEHIND_A_CALL, action="moved")

    def _is_moved(self, text: _Block) -> bool:
        """Tell whether a text came behind a call, where another protocol's message says which was first."""
        return text.number > 0 and text.choice.length > text.start and not self._writer.is_own

    # --- chunks -------------------------------------------------------------------------------------------------------

    def _add_logprobs(self, choice: _Choice, logprobs: Logprobs) -> None:
        choice.is_plain = False
        waiting = choice.logprobs
        if waiting is not None:
            content = (waiting.content or ()) + (logprobs.content or ())
            refusal = (waiting.refusal or ()) + (logprobs.refusal or ())
            logprobs = Logprobs(content=content or None, refusal=refusal or None)
        choice.logprobs = logprobs

    def _add_extras(self, event: ExtrasDelta) -> None:
        at = {"response": "", "choice": f"choices[{event.choice}]", "message": f"choices[{event.choice}].message"}
        fields = self._writer.own(event.fields, at[event.level])
        if not fields:
            return
        if event.level == "response":
            self._top_extras |= fields
            for choice in self._choices.values():
                choice.is_plain = False
            return
        choice = self._choice(event.choice)
        waiting = choice.extras if event.level == "choice" else choice.message_extras
        if not waiting.keys().isdisjoint(fields):
            self._write(choice, {})  # a field that is told again says something else
        choice.is_plain = False
        if event.level == "choice":
            choice.extras |= fields
        else:
            choice.message_extras |= fields

    def _write(self, choice: _Choice, delta: JsonObject, finish: str | None = None, **more: object) -> None:
        """Write a chunk with what waits for it; the first one of a choice has the role."""
        if not choice.has_role:
            choice.has_role = True
            delta = {"role": "assistant", "content": None, "refusal": None, **delta}
        logprobs = encode_logprobs(choice.logprobs)
        written: JsonObject = {
            "index": choice.number,
            "delta": put_extras(delta, choice.message_extras),
            "logprobs": logprobs,
            "finish_reason": finish,
            **more,
            **choice.extras,
        }
        chunk: JsonObject = {**self._top, **self._top_extras, "choices": [written]}
        if self._envelope.include_usage:
            chunk["usage"] = None
        self._out.append(data_frame(_encode(chunk)))
        self._top_extras, choice.extras, choice.message_extras, choice.logprobs = {}, {}, {}, None
        choice.is_plain = True

    def _write_finish(self, choice: _Choice) -> None:
        finish = choice.finish or Finish(reason="stop")
        is_silent = not (choice.length or choice.calls or choice.has_said)
        declined = self._writer.declined(finish) if is_silent else None
        delta: JsonObject = {} if declined is None else {"refusal": declined}
        word = self._writer.finish(finish, has_calls=choice.calls > 0)
        self._write(choice, delta, word, **self._writer.matched(finish))


def _names_of(block: Block) -> tuple[str, str]:
    """Return the names under which a call's definition and its arguments stand."""
    is_custom = isinstance(block, ToolCall) and block.kind == "custom"
    return ("custom", "input") if is_custom else ("function", "arguments")


def _is_audio(block: Block) -> bool:
    return isinstance(block, Opaque) and block.protocol == wire.NAME and block.type == AUDIO
