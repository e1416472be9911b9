"""A streamed answer, written: canonical events -> server-sent events, as Anthropic's SDKs and Claude Code want them.

* Every event has its name. Exactly one block is open; blocks are numbered without gaps, as they are written.
* A block begins with its first content: an empty text block would come back in the history, where it is refused.
* What belongs to another block than the open one waits for its turn. Text gives way to a call, so that calls stream,
  and goes on behind it in a block of its own; calls and thinking cannot be cut in two, and give way to nobody.
* The signature of thinking is the last delta of its block. A call without arguments has the arguments ``{}``.
* A call that streamed and is no JSON object is no call. Clients would complete it, to a call that the model never made:
  it stays open until it is known whether the answer was cut there, and is an error if it was not.
* Figures of usage that came late are told at the end; none is ever null.
"""

from collections.abc import Callable, Sequence
from typing import Final, assert_never

import msgspec
from msgspec import Raw

from ...block_turns import BegunBlock, BlockTurns, OfBlock, Step, Turn
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
    Notice,
    Notices,
    Opaque,
    OpaqueDelta,
    Ping,
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
from ...codec import Envelope
from ...errors import GatewayError, spoiled_call
from ...fold import merge_usage
from ...framing import event_frame
from ...token_estimate import output_tokens
from . import wire
from .blocks import is_json_object
from .errors import encode_error_body
from .opaque import split_opaque
from .response import AnswerWriter, answer_id
from .usage import encode_finish, encode_usage, report_untold

PING: Final = b'event: ping\ndata: {"type": "ping"}\n\n'

_encode: Final[Callable[[object], bytes]] = msgspec.json.Encoder().encode

_DELTA: Final = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"%b":'
_TEXT: Final = b'text_delta","text'
_THINKING: Final = b'thinking_delta","thinking'
_SIGNATURE: Final = b'signature_delta","signature'
_ARGUMENTS: Final = b'input_json_delta","partial_json'
_CITATION: Final = b'citations_delta","citation'
_END: Final = b"}}\n\n"
_STOP: Final = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'
MESSAGE_STOP: Final = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
_RUN: Final = "tool_use"
"""Ends an answer whose calls clients run."""


class _Block(BegunBlock):
    """A block of the answer, and what is written of it."""

    __slots__ = ("has_arguments", "held", "is_open", "prefix", "signature")

    def __init__(self, start: BlockStart) -> None:
        super().__init__(start, [] if _is_redacted(start.block) else None)
        self.is_open = False
        """Its start is written, and its stop is not."""
        self.prefix = b""
        """What the deltas of an open text begin with."""
        self.signature: str | None = None
        self.has_arguments = False
        self.held: list[str] = []
        """Of a call: arguments that are no JSON object, to be wrapped when they are whole."""


class StreamEncoder:
    """Events -> bytes of a caller's stream. See `codec.EventEncoder`.

    Args:
        envelope: What the caller asked.
        notices: Where losses are reported.
    """

    def __init__(self, envelope: Envelope, notices: Notices) -> None:
        self._envelope = envelope
        self._notices = notices
        self._writer = AnswerWriter(is_native=False, notices=notices)
        self._is_native = False
        self._out: list[bytes] = []
        self._start: Start | None = None
        self._is_start_written = False
        self._usage: Usage | None = None
        self._finish = Finish(reason="stop")
        self._late_extras: Extras = {}
        self._turns: BlockTurns[_Block] = BlockTurns(_gives_way)
        self._next_index = 0
        self._has_calls = False
        self._open_calls: dict[int, list[str]] = {}
        """Of calls that have not ended, or that clients would complete: by their blocks."""
        self._characters = 0

    def encode(self, events: Sequence[Event]) -> bytes:
        """Return the whole frames for these events, perhaps none."""
        out = self._out
        for event in events:
            current = self._turns.current
            if type(event) is TextDelta and current is not None and current.index == event.index and current.prefix:
                out += (current.prefix, _encode(event.text), _END)
                self._characters += len(event.text)
            elif type(event) is Usage:
                self._usage = merge_usage(self._usage, event)
            else:
                self._take(event)
        self._write_start()
        return self._flush()

    def close(self) -> bytes:
        """Return what ends the stream with success. Only after the decoder was complete.

        Raises:
            Refused: A call is none, and clients would complete and run it.
        """
        self._write_start()
        self._follow(self._turns.stop_all())
        delta = encode_finish(
            self._finish, is_native=self._is_native, has_calls=self._has_calls, refusal=self._writer.refusal
        )
        if delta["stop_reason"] == _RUN and any(map(_would_be_completed, self._open_calls.values())):
            raise spoiled_call()
        usage = self._usage or Usage()
        if self._start is not None and not self._is_native:
            report_untold(usage, self._start.service_tier, self._start.created, self._notices)
            self._writer.report_finish(self._finish)
        if usage.output_total is None:
            usage = msgspec.structs.replace(usage, output_total=output_tokens(self._characters))
        if (container := self._late_extras.pop("container", None)) is not None:
            delta["container"] = container
        self._event(
            b"message_delta",
            {
                "type": "message_delta",
                "delta": delta,
                "usage": encode_usage(usage, None, is_native=self._is_native),
                **self._late_extras,
            },
        )
        self._out.append(MESSAGE_STOP)
        return self._flush()

    def error(self, error: GatewayError) -> bytes:
        """Return the in-band form of an error. Nothing may follow it."""
        return event_frame(b"error", encode_error_body(error, self._envelope.request_id))

    def heartbeat(self) -> bytes:
        """Return bytes that keep the connection busy and that every SDK ignores."""
        return PING

    def _flush(self) -> bytes:
        data = b"".join(self._out)
        self._out.clear()
        return data

    def _event(self, name: bytes, payload: dict[str, object]) -> None:
        self._out.append(event_frame(name, _encode(payload)))

    # --- the message --------------------------------------------------------------------------------------------------

    def _take(self, event: Event) -> None:
        match event:
            case Start():
                self._start = event
                self._is_native = event.source == wire.NAME
                self._writer = AnswerWriter(is_native=self._is_native, notices=self._notices)
            case ExtrasDelta():
                self._extras(event)
            case Finish():
                self._take_finish(event)
            case BlockStart():
                self._write_start()
                self._begin(event)
            case Ping():
                self._write_start()
                self._out.append(PING)
            case Logprobs():
                self._lose_once("choices[0].logprobs", "Anthropic tells no probabilities")
            case Usage() | Notice():
                pass
            case BlockStop() if event.index in self._open_calls:
                if not _would_be_completed(self._open_calls[event.index]):
                    del self._open_calls[event.index]
                    self._follow(self._turns.take(event))
            case ArgumentsDelta() if event.index in self._open_calls:
                self._open_calls[event.index].append(event.arguments)
                self._follow(self._turns.take(event))
            case _:
                self._follow(self._turns.take(event))

    def _write_start(self) -> None:
        """Write ``message_start``, as late as that usage which came with it is in it."""
        start = self._start
        if start is None or self._is_start_written:
            return
        self._is_start_written = True
        usage = self._usage or Usage()
        message: dict[str, object] = {
            "id": answer_id(start.id, self._envelope),
            "type": "message",
            "role": "assistant",
            "model": self._envelope.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": encode_usage(usage, start.service_tier, is_native=self._is_native),
        }
        if self._is_native:
            message.update(start.extras)
        else:
            self._writer.report("", start.extras)
        self._event(b"message_start", {"type": "message_start", "message": message})

    def _extras(self, event: ExtrasDelta) -> None:
        if self._is_native and event.level == "response":
            self._late_extras.update(event.fields)
            return
        at = {"response": "", "choice": "choices[0]", "message": "choices[0].message"}[event.level]
        for name in event.fields:
            self._lose_once(f"{at}.{name}".removeprefix("."), "Anthropic has no such field")

    def _take_finish(self, event: Finish) -> None:
        if event.choice != 0:
            self._lose_once(f"choices[{event.choice}]", "Anthropic gives one answer at a time")
        else:
            self._finish = event

    def _lose_once(self, path: str, reason: str) -> None:
        if not any(notice.path == path for notice in self._notices):
            self._notices.lost(path, reason)

    # --- blocks -------------------------------------------------------------------------------------

    def _begin(self, event: BlockStart) -> None:
        if event.choice != 0:
            self._lose_once(f"choices[{event.choice}]", "Anthropic gives one answer at a time")
            return
        block = event.block
        if isinstance(block, Media) or (isinstance(block, Opaque) and block.protocol != wire.NAME):
            self._writer.block(block)  # reports that it cannot be shown
            return
        if isinstance(block, ToolCall):
            self._open_calls[event.index] = [block.arguments]
        self._follow(self._turns.begin(_Block(event)))

    def _follow(self, steps: Sequence[Step[_Block]]) -> None:
        for block, step in steps:
            if not isinstance(step, Turn):
                self._write(block, step)
            elif step is Turn.GIVES_WAY:
                self._end(block)
            elif isinstance(block.block, ToolCall | Opaque) or _is_redacted(block.block):
                self._open(block)

    def _write(self, block: _Block, event: OfBlock) -> None:
        match event:
            case TextDelta():
                self._delta(block, _TEXT, event.text)
            case ReasoningDelta():
                self._delta(block, _THINKING, event.text)
            case RefusalDelta():
                self._writer.refusal = (self._writer.refusal or "") + event.text
                self._delta(block, _TEXT, event.text)
            case ArgumentsDelta():
                self._arguments(block, event.arguments)
            case SignatureDelta():
                block.signature = event.signature
            case CitationDelta():
                if event.citation.protocol == wire.NAME:
                    self._delta(block, _CITATION, event.citation.raw)
                else:
                    at = event.citation.at or "citations"
                    self._notices.lost(at, "citations of other vendors have no form at Anthropic")
            case OpaqueDelta():
                payload = {"type": "content_block_delta", "index": self._open(block), "delta": event.raw}
                self._event(b"content_block_delta", payload)
            case BlockStop():
                self._stop(block)
            case _:
                assert_never(event)

    def _delta(self, block: _Block, kind: bytes, value: str | Raw) -> None:
        if value == "":
            return
        index = self._open(block)
        data = _encode(value)
        self._characters += len(data)
        self._out += (_DELTA % (index, kind), data, _END)

    def _arguments(self, block: _Block, text: str) -> None:
        if not block.has_arguments:
            begun = "".join((*block.held, text)).lstrip()
            if not begun.startswith("{"):
                block.held.append(text)
                return
            block.has_arguments = True
            text = begun
        self._delta(block, _ARGUMENTS, text)

    def _stop(self, block: _Block) -> None:
        """Write what can only be said at the end of a block, and the end."""
        if isinstance(block.block, Reasoning) and block.signature is not None:
            self._delta(block, _SIGNATURE, block.signature)
        if isinstance(block.block, ToolCall) and not block.has_arguments:
            call = msgspec.structs.replace(block.block, arguments="".join(block.held))
            self._delta(block, _ARGUMENTS, bytes(self._writer.tool_input(call)).decode())
        if isinstance(block.block, Text) and not block.is_open:
            self._writer.own(block.block)  # nothing was said, so that nothing else reports what hangs on it
        self._end(block)

    def _open(self, block: _Block) -> int:
        """Write the start of a block, if it is not written yet; return its number."""
        if block.is_open:
            return self._next_index - 1
        block.is_open = True
        index = self._next_index
        self._next_index += 1
        shown: object
        content: object = None
        match block.block:
            case Text() | Refusal() as said:
                shown = {"type": "text", "text": "", **self._writer.own(said)}
                block.prefix = _DELTA % (index, _TEXT)
            case Reasoning(redacted=None) as thought:
                shown = {"type": "thinking", "thinking": "", "signature": "", **self._writer.own(thought)}
            case Opaque():
                shown, content = split_opaque(block.block)
            case _:
                self._has_calls |= isinstance(block.block, ToolCall)
                shown = self._writer.block(block.block)
        self._event(b"content_block_start", {"type": "content_block_start", "index": index, "content_block": shown})
        if content is not None:
            self._event(b"content_block_delta", {"type": "content_block_delta", "index": index, "delta": content})
        return index

    def _end(self, block: _Block) -> None:
        if block.is_open:
            block.is_open = False
            block.prefix = b""
            self._out.append(_STOP % (self._next_index - 1))


def _gives_way(block: Block, waiting: Block) -> bool:
    """Tell whether a block may be cut in two for the sake of the one that waits."""
    return isinstance(block, Text | Refusal) and isinstance(waiting, ToolCall)


def _would_be_completed(arguments: Sequence[str]) -> bool:
    """Tell whether what came of a call's arguments begins as an object and is none: clients read what is there."""
    text = "".join(arguments).lstrip()
    return text.startswith("{") and not is_json_object(text.encode())


def _is_redacted(block: Block) -> bool:
    return isinstance(block, Reasoning) and block.redacted is not None
