"""A streamed answer, written: canonical events -> chunks, as Google's SDKs and Gemini CLI want them.

* Each chunk is ``data: {...}`` and a blank line, CRLF both, and nothing else ever: a comment, an event's name or
  ``[DONE]`` ends the stream for some clients. A bare blank line keeps the connection alive.
* Without ``alt=sse`` the chunks are the elements of one JSON array, which is valid JSON also if it ends with an error.
* Texts and thoughts go out as they come. Calls wait until they are whole, as do blocks that are signed in this
  protocol: nobody could tell where the signature belongs.
* One chunk ends a candidate. It has the reason, at least one part that is no thought, and all figures of usage.
* An error is a chunk of its own, and no reason follows it: clients raise it, or see a stream without an end.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from ...canonical import (
    ArgumentsDelta,
    Block,
    BlockStart,
    BlockStop,
    CitationDelta,
    Delta,
    Event,
    Extras,
    ExtrasDelta,
    Finish,
    Logprobs,
    Media,
    Notices,
    Opaque,
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
from ...errors import GatewayError
from ...fold import merge_usage
from ...json_pieces import JsonObject
from ...token_estimate import output_tokens
from . import wire
from .errors import encode_error_body
from .parts import spelled
from .response import AnswerWriter, answer_id, report_top
from .usage import encode_finish, encode_usage

HEARTBEAT: Final = b"\n"
_TEXT: Final = b'"text":'
_THOUGHT: Final = b'"thought":true,"text":'

_encode: Final[Callable[[object], bytes]] = msgspec.json.Encoder().encode


class _Candidate:
    """One candidate, from its first event on."""

    __slots__ = ("content_extras", "extras", "finish", "last", "number", "writer")

    def __init__(self, number: int, writer: AnswerWriter) -> None:
        self.number = number
        self.writer = writer
        self.finish: Finish | None = None
        self.last: type[Block] | None = None
        """Kind of the block of which something was written last."""
        self.extras: Extras = {}
        self.content_extras: Extras = {}


class _Block:
    """A block that has begun.

    ``prefix`` is what a part with more of it begins with; empty: it waits until it is whole.
    """

    __slots__ = ("block", "candidate", "citations", "pieces", "prefix", "signature")

    def __init__(self, block: Block, candidate: _Candidate) -> None:
        self.block = block
        self.candidate = candidate
        self.prefix = b""
        self.pieces: list[str] = []
        self.signature: str | None = None
        self.citations = getattr(block, "citations", ())


class StreamEncoder:
    """Events -> bytes of a caller's stream. See `codec.EventEncoder`.

    Args:
        envelope: What the caller asked.
        notices: Where losses are reported.
    """

    def __init__(self, envelope: Envelope, notices: Notices) -> None:
        self._envelope = envelope
        self._notices = notices
        self._is_array = envelope.stream_content_type is not None
        self._is_native = False
        self._has_begun = False
        self._out: list[bytes] = []
        self._candidates: dict[int, _Candidate] = {}
        self._blocks: dict[int, _Block] = {}
        self._usage: Usage | None = None
        self._characters = 0
        self._start = Start(source=wire.NAME, id="", model="")
        self._extras: Extras = {}
        self._tail = b""
        """What every chunk ends with."""
        self._begin(self._start)

    def encode(self, events: Sequence[Event]) -> bytes:
        """Return the whole chunks for these events, perhaps none."""
        for event in events:
            if type(event) is TextDelta:
                self._add(self._blocks[event.index], event.text)
            else:
                self._take(event)
        return self._taken()

    def close(self) -> bytes:
        """Return what ends the stream with success. Only after the decoder was complete."""
        for block in list(self._blocks.values()):
            self._stop(block)
        self._blocks.clear()
        usage = self._usage or Usage(output_total=output_tokens(self._characters))
        if not self._is_native:
            report_top(self._extras, self._start.service_tier, self._start.created, self._notices)
        top: JsonObject = {
            "usageMetadata": encode_usage(usage, self._notices, is_native=self._is_native),
            "modelVersion": self._envelope.model,
            "responseId": answer_id(self._start.id, self._envelope),
            **(self._extras if self._is_native else {}),
        }
        is_blocked = self._is_native and "promptFeedback" in self._extras and not self._has_begun
        endings = [] if is_blocked else [self._ending(c) for _, c in sorted(self._candidates.items())]
        self._chunk(_encode({"candidates": endings, **top} if endings else top))
        if self._is_array:
            self._out.append(b"]")
        return self._taken()

    def error(self, error: GatewayError) -> bytes:
        """Return the in-band form of an error. Nothing may follow it."""
        self._chunk(encode_error_body(error, self._envelope.request_id))
        if self._is_array:
            self._out.append(b"]")
        return self._taken()

    def heartbeat(self) -> bytes:
        """Return bytes that keep the connection busy and that every SDK ignores."""
        return HEARTBEAT

    def _taken(self) -> bytes:
        data = b"".join(self._out)
        self._out.clear()
        return data

    def _chunk(self, *payload: bytes) -> None:
        chunk = b"".join(payload)
        if b"\n" in chunk or b"\r" in chunk:  # a model wrote the arguments of its call in several lines
            chunk = msgspec.json.format(chunk, indent=-1)
        if not self._is_array:
            self._out += (b"data: ", chunk, b"\r\n\r\n")
        else:
            self._out += (b",\r\n" if self._has_begun else b"[", chunk)
        self._has_begun = True

    def _begin(self, start: Start) -> None:
        self._start = start
        self._is_native = start.source == wire.NAME
        self._extras = dict(start.extras)
        named = {"modelVersion": self._envelope.model, "responseId": answer_id(start.id, self._envelope)}
        self._tail = b"," + _encode(named)[1:]

    def _candidate(self, number: int) -> _Candidate:
        candidate = self._candidates.get(number)
        if candidate is None:
            writer = AnswerWriter(self._envelope, self._notices, number, is_native=self._is_native)
            candidate = self._candidates[number] = _Candidate(number, writer)
        return candidate

    # --- blocks -------------------------------------------------------------------------------------------------------

    def _take(self, event: Event) -> None:
        match event:
            case Start():
                self._begin(event)
            case BlockStart():
                self._begin_block(event)
            case BlockStop():
                self._stop(self._blocks.pop(event.index))
            case Usage():
                self._usage = merge_usage(self._usage, event)
            case Finish():
                self._candidate(event.choice).finish = event
            case Logprobs():
                self._tell_likely(self._candidate(event.choice), event)
            case ExtrasDelta():
                self._add_extras(event)
            case (
                TextDelta() | ReasoningDelta() | RefusalDelta() | ArgumentsDelta() | SignatureDelta() | CitationDelta()
            ):
                self._add_delta(self._blocks[event.index], event)
            case _:
                pass  # pings and notices have no chunk, and no block of this protocol has opaque deltas

    def _begin_block(self, event: BlockStart) -> None:
        candidate = self._candidate(event.choice)
        block = self._blocks[event.index] = _Block(event.block, candidate)
        match event.block:
            case Text() as said if candidate.writer.signature is None and not (self._is_native and said.extras):
                candidate.writer.own(said.extras, said.at)
                block.prefix = _prefix(_TEXT)
                self._add(block, said.text)
            case Refusal() as said:
                candidate.writer.own(said.extras, said.at)
                candidate.writer.refuse()
                block.prefix = _prefix(_TEXT)
                self._add(block, said.text)
            case Reasoning(text=text, redacted=None) as thought if self._may_flow(thought, candidate):
                block.prefix = _prefix(_THOUGHT)
                self._add(block, text)
                block.signature = thought.signature
            case Text(text=text) | Reasoning(text=text):
                block.pieces.append(text)
                block.signature = getattr(event.block, "signature", None)
            case ToolCall(arguments=arguments):
                block.pieces.append(arguments)
            case _:
                pass

    def _may_flow(self, thought: Reasoning, candidate: _Candidate) -> bool:
        """Tell whether a thought may go out as it comes: it cannot be taken for the end of another one."""
        return candidate.writer.shows_thoughts and not thought.extras and candidate.last is not Reasoning

    def _add_delta(self, block: _Block, event: Delta) -> None:
        match event:
            case TextDelta(text=text) | ReasoningDelta(text=text) | RefusalDelta(text=text):
                self._add(block, text)
            case ArgumentsDelta(arguments=arguments):
                self._characters += len(arguments)
                block.pieces.append(arguments)
            case SignatureDelta(signature=signature):
                block.signature = signature
            case CitationDelta(citation=citation):
                block.citations = (*block.citations, citation)
            case _:
                pass

    def _add(self, block: _Block, text: str) -> None:
        """Write more of a block, or keep it until the block is whole."""
        if not text:
            return
        self._characters += len(text)
        block.pieces.append(text)
        if block.prefix:
            candidate = block.candidate
            if candidate.writer.signature is not None:
                self._write(candidate, candidate.writer.rest(), None)
            end = b'}],"role":"model"},"index":%d}]' % candidate.number
            self._chunk(block.prefix, _encode(text), end, self._tail)
            candidate.last = type(block.block)

    def _stop(self, block: _Block) -> None:
        """Write what waited for the end of a block."""
        candidate, whole = block.candidate, self._whole(block)
        writer = candidate.writer
        if not block.prefix:
            self._write(candidate, writer.parts(whole), type(whole))
            return
        if isinstance(whole, Reasoning):
            if whole.is_summary and whole.text:
                self._notices.hint(f"{whole.at}.type", "a summary is shown as a thought")
            if whole.signature is not None and not whole.text:
                self._write(candidate, writer.parts(whole), type(whole))
            elif whole.signature is not None:
                part: JsonObject = {"text": "", "thought": True, "thoughtSignature": spelled(whole.signature)}
                self._write(candidate, [part], Text)
            return
        writer.said("".join(block.pieces))
        for citation in block.citations:
            writer.cite(citation)

    def _whole(self, block: _Block) -> Block:
        text = "".join(block.pieces)
        match block.block:
            case Text():
                return replace(block.block, text=text, citations=block.citations)
            case Reasoning():
                return replace(block.block, text=text, signature=block.signature)
            case Refusal():
                return replace(block.block, text=text)
            case ToolCall():
                return replace(block.block, arguments=text)
            case Media() | Opaque() | _:
                return block.block

    def _write(self, candidate: _Candidate, parts: Sequence[JsonObject | Raw], kind: type[Block] | None) -> None:
        if not parts:
            return
        content = {"parts": parts, "role": "model"}
        written = _encode({"candidates": [{"content": content, "index": candidate.number}]})
        self._chunk(written[:-1], self._tail)
        candidate.last = kind

    def _tell_likely(self, candidate: _Candidate, logprobs: Logprobs) -> None:
        """Write probabilities in a chunk of their own: they come after the tokens that they are of."""
        if likely := candidate.writer.likely(logprobs):
            content = {"parts": [{"text": ""}], "role": "model"}
            written = _encode({"candidates": [{"content": content, "index": candidate.number, **likely}]})
            self._chunk(written[:-1], self._tail)

    # --- the end ------------------------------------------------------------------------------------------------------

    def _add_extras(self, event: ExtrasDelta) -> None:
        match event.level:
            case "response":
                self._extras.update(event.fields)
            case "choice":
                self._candidate(event.choice).extras.update(event.fields)
            case "message":
                self._candidate(event.choice).content_extras.update(event.fields)

    def _ending(self, candidate: _Candidate) -> JsonObject:
        """Return the last chunk's candidate."""
        writer = candidate.writer
        finish = candidate.finish or Finish(reason="stop")
        word = encode_finish(finish, is_native=self._is_native, is_spoiled=writer.is_spoiled, notices=self._notices)
        content: JsonObject = {"parts": writer.rest() or [{"text": ""}], "role": "model"}
        content.update(writer.report(candidate.content_extras, "message"))
        return {
            "content": content,
            "finishReason": writer.refused(word),
            "index": candidate.number,
            **writer.grounding(),
            **writer.report(candidate.extras),
        }


def _prefix(kind: bytes) -> bytes:
    return b'{"candidates":[{"content":{"parts":[{' + kind
