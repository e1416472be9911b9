"""A streamed answer, written: canonical events -> lines of JSON, one object a line.

* A piece of text or of thought is a line of its own; a call is one line, whole, when it is complete. Blocks may
  interleave: a line says what it holds.
* The last line is ``done`` and has the reason and the figures. An error is a line ``{"error": ...}``, and nothing
  follows it.
* What ends a line for the vendor's SDK, which reads by httpx, is escaped in strings: U+0085, U+2028, U+2029.
* A heartbeat is one space: it stands before the next line, where JSON may have white space. An empty line would end the
  vendor's SDK.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from msgspec import Raw

from ...canonical import (
    ArgumentsDelta,
    Block,
    BlockStart,
    BlockStop,
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
from ...framing import escape_line_ends, json_line
from ...json_pieces import JsonObject, put_extras
from ...token_estimate import estimated
from . import wire
from .errors import encode_error_body
from .response import MESSAGE_AT, AnswerWriter, tokens_of

HEARTBEAT: Final = b" "

_encode: Final[Callable[[object], bytes]] = msgspec.json.Encoder().encode


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
        self._blocks: dict[int, Block] = {}
        """Those that are open; a call gathers its arguments."""
        self._arguments: dict[int, list[str]] = {}
        self._unheard: set[int] = set()
        """Blocks of other choices than the first."""
        self._calls = 0
        self._characters = 0
        self._has_said = False
        """Something that can be read was written."""
        self._first_s: float | None = None
        """Seconds from the question to the first line."""
        self._created: int | None = None
        self._usage: Usage | None = None
        self._finish: Finish | None = None
        self._logprobs: list[Raw] = []
        self._extras: Extras = {}
        self._message_extras: Extras = {}
        """What waits for the next line."""
        self._heads = (b"", b"")
        self._tail = b""
        self._begin(Start(source=wire.NAME, id="", model=""))

    def encode(self, events: Sequence[Event]) -> bytes:
        """Return the whole lines for these events, perhaps none."""
        for event in events:
            match event:
                case BlockStart() if event.choice:
                    self._unheard.add(event.index)
                    self._writer.lose(f"choices[{event.choice}]", "one answer is told here")
                case (
                    TextDelta()
                    | ReasoningDelta()
                    | ArgumentsDelta()
                    | RefusalDelta()
                    | SignatureDelta()
                    | CitationDelta()
                    | OpaqueDelta()
                    | BlockStop()
                ) if event.index in self._unheard:
                    pass
                case TextDelta():
                    self._say(event.text)
                case ReasoningDelta():
                    self._think(event.text)
                case ArgumentsDelta():
                    self._arguments[event.index].append(event.arguments)
                case _:
                    self._take(event)
        return self._taken()

    def close(self) -> bytes:
        """Return what ends the stream with success. Only after the decoder was complete."""
        finish = self._finish or Finish(reason="stop")
        said = "" if self._has_said else self._writer.declined(finish)
        usage = self._usage or estimated(self._characters)
        self._mark_first()
        end = self._writer.end(finish, usage, first_s=self._first_s or 0.0)
        self._write({"content": said}, is_done=True, end=end)
        return self._taken()

    def error(self, error: GatewayError) -> bytes:
        """Return the in-band form of an error. Nothing may follow it."""
        return json_line(encode_error_body(error))

    def heartbeat(self) -> bytes:
        """Return bytes that keep the connection busy and that every SDK ignores."""
        return HEARTBEAT

    def _taken(self) -> bytes:
        data = b"".join(self._out)
        self._out.clear()
        return escape_line_ends(data)

    # --- lines --------------------------------------------------------------------------------------------------------

    def _begin(self, start: Start) -> None:
        self._writer = AnswerWriter(self._envelope, self._notices, is_own=start.source == wire.NAME)
        self._created = start.created
        self._writer.report_tier(start.service_tier)
        self._extras = dict(self._writer.own(start.extras, ""))
        head = _encode(self._writer.head(start.created))[:-1]
        if self._envelope.plain_prompt:
            self._heads = head + b',"response":', head + b',"response":"","thinking":'
            self._tail = b',"done":false}\n'
        else:
            opened = head + b',"message":{"role":"assistant","content":'
            self._heads = opened, opened + b'"","thinking":'
            self._tail = b'},"done":false}\n'

    def _say(self, text: str) -> None:
        if not text:
            return
        self._has_said = True
        self._characters += len(text)
        if self._has_nothing_waiting():
            self._out += (self._heads[0], _encode(text), self._tail)
        else:
            self._write({"content": text})

    def _think(self, text: str) -> None:
        if not text:
            return
        self._has_said = True
        self._characters += len(text)
        if self._has_nothing_waiting():
            self._out += (self._heads[1], _encode(text), self._tail)
        else:
            self._write({"content": "", "thinking": text})

    def _has_nothing_waiting(self) -> bool:
        self._mark_first()
        return not (self._logprobs or self._extras or self._message_extras)

    def _mark_first(self) -> None:
        if self._first_s is None:
            self._first_s = self._envelope.elapsed_s()

    def _write(self, said: JsonObject, *, is_done: bool = False, end: JsonObject | None = None) -> None:
        """Write a line with what waits for it."""
        message = self._writer.message(put_extras(said, self._message_extras))
        line: JsonObject = {**self._writer.head(self._created), **message, "done": is_done}
        if self._logprobs:
            line["logprobs"] = self._logprobs
        self._out.append(json_line(_encode(put_extras({**line, **(end or {})}, self._extras))))
        self._logprobs, self._extras, self._message_extras = [], {}, {}

    # --- anything else ------------------------------------------------------------------------------------------------

    def _take(self, event: Event) -> None:
        match event:
            case Start():
                self._begin(event)
            case BlockStart():
                self._begin_block(event)
            case BlockStop():
                self._end_block(event.index)
            case SignatureDelta():
                block = self._blocks[event.index]
                assert isinstance(block, Reasoning)
                self._writer.report_proof(msgspec.structs.replace(block, signature=event.signature))
            case CitationDelta():
                self._writer.lose(event.citation.at or "citations", "an answer cites nothing here")
            case RefusalDelta():
                block = self._blocks[event.index]
                assert isinstance(block, Refusal)
                self._writer.report_refusal(block)
                self._say(event.text)
            case Logprobs() if event.choice == 0:
                self._logprobs += tokens_of(event)
            case ExtrasDelta():
                self._add_extras(event)
            case Usage():
                self._usage = event if self._usage is None else merge_usage(self._usage, event)
            case Finish() if event.choice == 0:
                self._finish = event
            case _:
                pass  # pings and notices have no line, other choices were reported

    def _begin_block(self, event: BlockStart) -> None:
        block = self._blocks[event.index] = event.block
        match block:
            case Text() | Refusal():
                self._say(self._writer.text(block))
            case Reasoning():
                self._writer.report_proof(block)
                self._think(block.text)
            case ToolCall():
                self._arguments[event.index] = [block.arguments]
            case Media() | Opaque() | ToolResult():
                self._writer.lose(block.at or "content", "no such part of an answer is known here")

    def _end_block(self, index: int) -> None:
        block = self._blocks.pop(index)
        if not isinstance(block, ToolCall):
            return
        whole = msgspec.structs.replace(block, arguments="".join(self._arguments.pop(index)))
        self._characters += len(whole.arguments)
        self._mark_first()
        self._has_said = True
        self._write({"content": "", "tool_calls": [self._writer.call(whole, self._calls)]})
        self._calls += 1

    def _add_extras(self, event: ExtrasDelta) -> None:
        match event.level:
            case "response":
                self._extras |= self._writer.own(event.fields, "")
            case "message":
                self._message_extras |= self._writer.own(event.fields, MESSAGE_AT)
            case "choice":
                self._writer.own(event.fields, f"choices[{event.choice}]")
