"""A streamed answer, written: canonical events -> events of this protocol, as OpenAI's SDK and Codex want them.

The SDK's accumulator raises on an event out of order, so that here:

* ``response.created`` comes first, with no output; the id of the answer is the same in all that follows.
* One item is open at a time, whatever comes interleaved; an item begins when all that identifies it is known. Text
  gives way to a call and goes on in another message.
* An item ends when the next one begins, or with the answer: only then is it known whether it is whole.
* Numbers of events rise by one from 0. The terminal event has the whole answer, and the sentinel follows it.
* An answer that fails says so in a terminal event of its own, without a sentinel.
"""

from bisect import insort
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

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
    Usage,
)
from ...codec import Envelope
from ...errors import GatewayError
from ...fold import merge_usage
from ...framing import comment_frame, data_frame, event_frame
from ...json_pieces import JsonObject, fields_of, text_of
from . import wire
from .errors import failed_code, told
from .hosted import DONE as ITEM_DONE
from .output import AnswerWriter, estimated, finish_is_early, is_part, is_silent
from .reasoning import SUMMARY, THOUGHT, goes_on
from .stream_decoder import SENTINEL

HEARTBEAT: Final = comment_frame(b"keepalive")
DONE: Final = data_frame(SENTINEL)

_encode: Final[Callable[[object], bytes]] = msgspec.json.Encoder().encode
_TEXT: Final = b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","sequence_number":%d'
_PLACE: Final = b',"item_id":%b,"output_index":%d,"content_index":%d,"delta":'
_TAIL: Final = b',"logprobs":[]}\n\n'

_OfBlock: TypeAlias = Delta | BlockStop


class _Block:
    """A block of the answer, from its `BlockStart` to its `BlockStop`."""

    __slots__ = ("block", "index", "is_waiting", "queue")

    def __init__(self, start: BlockStart) -> None:
        self.index = start.index
        self.block, content = _split(start.block, start.index)
        self.queue: deque[_OfBlock] = deque(content)
        """What came while another block had its turn."""
        self.is_waiting = False


class _Item:
    """An item that is open."""

    __slots__ = ("block", "id", "number", "parts", "pieces", "shown")

    def __init__(self, number: int, shown: JsonObject | Raw, block: Block) -> None:
        self.number = number
        self.shown = shown
        """As it will be when it is done."""
        self.block = block
        self.id = shown.get("id") if isinstance(shown, dict) else text_of(fields_of(shown).get("id"))
        self.parts: list[JsonObject] = []
        self.pieces: list[str] = []
        """Of what is said in the open part, or of the arguments."""


class StreamEncoder:
    """Events -> bytes of a caller's stream. See `codec.EventEncoder`.

    Args:
        envelope: What the caller asked.
        notices: Where losses are reported; what the request lost stands there already.
    """

    def __init__(self, envelope: Envelope, notices: Notices) -> None:
        self._envelope = envelope
        self._notices = notices
        self._writer = AnswerWriter(envelope, notices, is_own=False, answer_id="")
        self._out: list[bytes] = []
        self._number = 0
        """Of the next event."""
        self._start: Start | None = None
        self._late_extras: Extras = {}
        self._usage: Usage | None = None
        self._finish = Finish(reason="stop")
        self._characters = 0
        self._blocks: dict[int, _Block] = {}
        self._current: _Block | None = None
        self._waiting: list[_Block] = []
        self._item: _Item | None = None
        self._part: JsonObject | None = None
        """Of a message or of reasoning, while it is open."""
        self._prefix = b""
        """What a delta of the open text begins with, behind its number."""
        self._output: list[JsonObject | Raw] = []
        """Items that are done."""
        self._last_text: JsonObject | None = None
        self._probable: list[Raw] = []
        """Probabilities that wait for their text."""

    def encode(self, events: Sequence[Event]) -> bytes:
        """Return the whole frames for these events, perhaps none."""
        for event in events:
            current = self._current
            is_current = type(event) is TextDelta and current is not None and current.index == event.index
            if is_current and self._prefix and not self._probable:
                self._say(event.text)  # type: ignore[union-attr]  # a delta of text
            else:
                self._take(event)
        return self._taken()

    def close(self) -> bytes:
        """Return what ends the stream with success. Only after the decoder was complete."""
        self._begin()
        for block in list(self._blocks.values()):
            self._route(BlockStop(index=block.index))
        writer = self._writer
        declined = writer.declined(self._finish, is_silent=not self._output and self._item is None)
        if declined is not None:
            self._say_refusal(declined)
        self._put_late_logprobs()
        self._end_item(is_early=finish_is_early(self._finish, is_own=writer.is_own))
        answer = self._answer(self._finish, self._usage or estimated(self._characters))
        status = answer["status"]
        kind = "response.incomplete" if status == "incomplete" else "response.completed"
        self._event(kind, {"response": answer})
        self._out.append(DONE)
        return self._taken()

    def error(self, error: GatewayError) -> bytes:
        """Return the in-band form of an error. Nothing may follow it."""
        self._begin()
        what = told(error)
        if self._envelope.dialect == "open_responses":
            self._event("error", {"error": what})
        failed = {"code": failed_code(error), "message": what["message"]}
        answer = {**self._answer(None, None), "status": "failed", "error": failed}
        self._event("response.failed", {"response": answer})
        return self._taken()

    def heartbeat(self) -> bytes:
        """Return bytes that keep the connection busy and that every SDK ignores."""
        return HEARTBEAT

    def _taken(self) -> bytes:
        data = b"".join(self._out)
        self._out.clear()
        return data

    def _event(self, kind: str, fields: JsonObject) -> None:
        payload = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        self._out.append(event_frame(kind.encode(), _encode(payload)))

    # --- the answer ---------------------------------------------------------------------------------------------------

    def _take(self, event: Event) -> None:
        match event:
            case Start():
                self._start = self._start or event
                is_own = event.source == wire.NAME
                self._writer = AnswerWriter(self._envelope, self._notices, is_own=is_own, answer_id=event.id)
                self._begin()
            case BlockStart():
                self._begin()
                self._begin_block(event)
            case ExtrasDelta():
                self._add_extras(event)
            case Usage():
                self._usage = merge_usage(self._usage, event)
            case Finish() if event.choice == 0:
                self._finish = event
            case Logprobs() if event.choice == 0:
                self._add_logprobs(event)
            case Finish() | Logprobs():
                self._writer.lose(f"choices[{event.choice}]", "one answer at a time is given here")
            case (
                TextDelta()
                | ReasoningDelta()
                | RefusalDelta()
                | ArgumentsDelta()
                | SignatureDelta()
                | CitationDelta()
                | OpaqueDelta()
                | BlockStop()
            ):
                self._route(event)
            case _:
                pass  # pings and notices have no event

    def _begin(self) -> None:
        """Tell that the answer has begun, once."""
        if self._number:
            return
        answer = self._answer(None, None)
        self._event("response.created", {"response": answer})
        self._event("response.in_progress", {"response": answer})

    def _answer(self, finish: Finish | None, usage: Usage | None) -> JsonObject:
        start = self._start or Start(source=wire.NAME, id="", model="")
        return self._writer.answer(
            created=start.created,
            service_tier=start.service_tier,
            echo=start.echo,
            extras={**self._writer.own(start.extras, ""), **self._late_extras},
            finish=finish,
            output=self._output,
            usage=usage,
        )

    def _add_extras(self, event: ExtrasDelta) -> None:
        at = {"response": "", "choice": "choices[0]", "message": "choices[0].message"}[event.level]
        own = self._writer.own(event.fields, at)
        if event.level == "response":
            self._late_extras |= own

    def _add_logprobs(self, event: Logprobs) -> None:
        self._probable += event.content or ()
        if event.refusal:
            self._writer.lose("choices[0].logprobs.refusal", "probabilities of a refusal are not told here")

    def _put_late_logprobs(self) -> None:
        """Put probabilities that came behind their text into the last one."""
        if self._probable and self._last_text is not None:
            earlier = self._last_text["logprobs"]
            assert isinstance(earlier, list)
            earlier += self._probable
        elif self._probable:
            self._writer.lose("choices[0].logprobs.content", "there is no text")

    # --- blocks: whose turn it is -------------------------------------------------------------------------------------

    def _begin_block(self, event: BlockStart) -> None:
        if event.choice != 0:
            self._writer.lose(f"choices[{event.choice}]", "one answer at a time is given here")
            return
        begun = self._blocks[event.index] = _Block(event)
        self._wait(begun)
        self._advance()

    def _route(self, event: _OfBlock) -> None:
        """Write what belongs to the current block; let the rest wait."""
        block = self._blocks.get(event.index)
        if block is None:
            return
        if block is self._current:
            self._write(block, event)
            self._advance()
        elif isinstance(event, BlockStop) and not block.is_waiting:
            del self._blocks[block.index]  # text that gave way, and had nothing to add
        elif self._current is None:
            self._current = block  # text that gave way goes on
            self._write(block, event)
        else:
            self._wait(block)
            block.queue.append(event)

    def _wait(self, block: _Block) -> None:
        if not block.is_waiting:
            block.is_waiting = True
            insort(self._waiting, block, key=lambda waiting: waiting.index)

    def _advance(self) -> None:
        """Give the turn to the next block that waits, once the current one has stopped or gives way."""
        while self._waiting:
            if self._current is not None:
                if not _gives_way(self._current.block, self._waiting[0].block):
                    return
                self._end_part()
            block = self._waiting.pop(0)
            self._current = block
            block.is_waiting = False
            if not isinstance(block.block, Text | Refusal | Reasoning):
                self._open_item(block.block)
            while block.queue:
                self._write(block, block.queue.popleft())

    # --- blocks: what is written --------------------------------------------------------------------------------------

    def _write(self, block: _Block, event: _OfBlock) -> None:
        match event:
            case TextDelta() | RefusalDelta():
                if event.text:
                    self._open_part(block.block)
                    self._say(event.text)
            case CitationDelta():
                self._open_part(block.block)
                self._cite(event)
            case ReasoningDelta():
                if event.text:
                    self._think(block.block, event.text)
            case SignatureDelta():
                item = self._thought(block.block)
                assert isinstance(item.shown, dict)
                item.shown["encrypted_content"] = event.signature
            case ArgumentsDelta():
                self._add_arguments(event.arguments)
            case OpaqueDelta():
                self._pass_on(event.raw)
            case BlockStop():
                self._stop(block)

    def _stop(self, block: _Block) -> None:
        """Write what can only be said at the end of a block."""
        match block.block:
            case Text() | Refusal():
                if self._writer.is_own and self._part is None and not block.queue:
                    self._open_part(block.block)
                self._end_part()
            case Reasoning():
                if self._writer.is_own or not is_silent(block.block):
                    self._thought(block.block)
                self._end_thought()
            case ToolCall():
                self._end_call()
            case _:
                pass
        self._blocks.pop(block.index, None)
        self._current = None

    # --- items --------------------------------------------------------------------------------------------------------

    def _place(self) -> JsonObject:
        assert self._item is not None
        return {"item_id": self._item.id, "output_index": self._item.number}

    def _open_item(self, block: Block) -> _Item | None:
        """Begin an item that stands alone; None: there is none for this block."""
        if isinstance(block, Opaque) and is_part(block):
            self._open_part(block)
            return None
        number = len(self._output) + (self._item is not None)
        shown = self._writer.item(block, number)
        if shown is None:
            return None
        self._end_item()
        item = self._item = _Item(number, shown, block)
        self._event("response.output_item.added", {"output_index": number, "item": _as_begun(shown)})
        return item

    def _end_item(self, *, is_early: bool = False) -> None:
        """End the item that is open, now that it is known what follows."""
        item, self._item = self._item, None
        if item is None:
            return
        if is_early and isinstance(item.shown, dict):
            item.shown["status"] = "incomplete"
        self._event(ITEM_DONE, {"output_index": item.number, "item": item.shown})
        self._output.append(item.shown)

    def _pass_on(self, raw: Raw) -> None:
        """Tell an event of an item that is carried whole."""
        item = self._item
        if item is None:
            return
        fields = fields_of(raw)
        kind = text_of(fields.get("type")) or ""
        if kind == ITEM_DONE:
            item.shown = fields.get("item", item.shown)
            return
        kept = {name: value for name, value in fields.items() if name not in ("type", "sequence_number")}
        self._event(kind, {**kept, "output_index": item.number})

    # --- messages -----------------------------------------------------------------------------------------------------

    def _open_part(self, block: Block) -> None:
        """Begin a part of a message, and the message if none is open."""
        if self._part is not None:
            return
        item = self._item
        if item is None or not is_part(item.block) or self._writer.begins_message(block):
            number = len(self._output) + (item is not None)
            self._end_item()
            parts: list[JsonObject | Raw] = []
            shown = self._writer.message(block, number, parts)
            item = self._item = _Item(number, shown, block)
            begun = {**shown, "status": "in_progress", "content": []}
            self._event("response.output_item.added", {"output_index": number, "item": begun})
        assert isinstance(item.shown, dict)
        content = item.shown["content"]
        assert isinstance(content, list)
        part = self._writer.part(_not_silent(block)) or {}
        place = {**self._place(), "content_index": len(content)}
        if isinstance(part, Raw):
            content.append(part)
            self._event("response.content_part.added", {**place, "part": part})
            self._event("response.content_part.done", {**place, "part": part})
            return
        part["refusal" if part["type"] == "refusal" else "text"] = ""
        self._event("response.content_part.added", {**place, "part": part})
        content.append(part)
        item.pieces.clear()
        self._part = part
        if part["type"] != "refusal":
            self._last_text = part
            self._prefix = _PLACE % (_encode(item.id), item.number, len(content) - 1)

    def _say(self, text: str) -> None:
        """Tell more of the open part."""
        assert self._item is not None
        assert self._part is not None
        self._item.pieces.append(text)
        self._characters += len(text)
        if self._prefix and not self._probable:
            self._out += (_TEXT % self._number, self._prefix, _encode(text), _TAIL)
            self._number += 1
            return
        place = self._part_place()
        if not self._prefix:
            self._event("response.refusal.delta", {**place, "delta": text})
            return
        probable, self._probable = self._probable, []
        known = self._part["logprobs"]
        assert isinstance(known, list)
        known += probable
        self._event("response.output_text.delta", {**place, "delta": text, "logprobs": probable})

    def _part_place(self) -> JsonObject:
        assert self._item is not None
        assert isinstance(self._item.shown, dict)
        content = self._item.shown["content"]
        assert isinstance(content, list)
        return {**self._place(), "content_index": len(content) - 1}

    def _cite(self, event: CitationDelta) -> None:
        if self._part is None or self._item is None or "annotations" not in self._part:
            return
        known = self._part["annotations"]
        assert isinstance(known, list)
        length = sum(map(len, self._item.pieces))
        for annotation in self._writer.annotations((event.citation,), length):
            where = {**self._part_place(), "annotation_index": len(known), "annotation": annotation}
            known.append(annotation)
            self._event("response.output_text.annotation.added", where)

    def _end_part(self) -> None:
        """End the part that is open; its message may have another one."""
        part, self._part, self._prefix = self._part, None, b""
        if part is None or self._item is None:
            return
        said = "".join(self._item.pieces)
        place = self._part_place()
        if part["type"] == "refusal":
            part["refusal"] = said
            self._event("response.refusal.done", {**place, "refusal": said})
        else:
            part["text"] = said
            self._event("response.output_text.done", {**place, "text": said, "logprobs": part["logprobs"]})
        self._event("response.content_part.done", {**place, "part": part})

    def _say_refusal(self, text: str) -> None:
        """Tell a refusal that the model gave no words for."""
        self._open_part(Refusal(text=text))
        self._say(text)
        self._end_part()

    # --- calls --------------------------------------------------------------------------------------------------------

    def _add_arguments(self, piece: str) -> None:
        item = self._item
        if item is None or not piece:
            return
        item.pieces.append(piece)
        self._characters += len(piece)
        self._event(f"{_call_event(item.block)}.delta", {**self._place(), "delta": piece})

    def _end_call(self) -> None:
        item = self._item
        if item is None:
            return
        assert isinstance(item.shown, dict)
        is_custom = item.shown["type"] == "custom_tool_call"
        if not item.pieces and not is_custom:
            self._add_arguments("{}")
        field = "input" if is_custom else "arguments"
        item.shown[field] = "".join(item.pieces)
        named = {} if is_custom else {"name": item.shown["name"]}
        self._event(f"{_call_event(item.block)}.done", {**self._place(), **named, field: item.shown[field]})

    # --- thoughts -----------------------------------------------------------------------------------------------------

    def _thought(self, block: Block) -> _Item:
        """Return the item of reasoning that is open for a block; it begins now if there is none."""
        item = self._item
        if item is not None and item.block is block:
            return item
        if item is not None and isinstance(block, Reasoning) and self._goes_on(item, block):
            item.block = block
            return item
        opened = self._open_item(_not_silent(block))
        assert opened is not None
        assert isinstance(opened.shown, dict)
        opened.block = block
        if isinstance(block, Reasoning) and block.redacted is None:
            opened.shown.pop("encrypted_content", None)
        opened.shown |= {"summary": []}
        opened.shown.pop("content", None)
        return opened

    def _goes_on(self, item: _Item, block: Reasoning) -> bool:
        is_sealed = isinstance(item.shown, dict) and "encrypted_content" in item.shown
        return self._writer.is_own and not is_sealed and goes_on(item.block, block)

    def _think(self, block: Block, text: str) -> None:
        item = self._thought(block)
        self._characters += len(text)
        is_summary = not self._writer.is_own or (isinstance(block, Reasoning) and block.is_summary)
        place = {**self._place(), ("summary_index" if is_summary else "content_index"): 0}
        if self._part is None:
            self._part = {"type": SUMMARY if is_summary else THOUGHT, "text": ""}
            item.pieces.clear()
            assert isinstance(item.shown, dict)
            item.shown["summary" if is_summary else "content"] = [self._part]
            kind = "response.reasoning_summary_part.added" if is_summary else "response.content_part.added"
            self._event(kind, {**place, "part": {**self._part}})
        item.pieces.append(text)
        self._event(f"{self._thought_event()}.delta", {**place, "delta": text})

    def _thought_event(self) -> str:
        if self._part is not None and self._part["type"] == SUMMARY:
            return "response.reasoning_summary_text"
        return "response.reasoning" if self._envelope.dialect == "open_responses" else "response.reasoning_text"

    def _end_thought(self) -> None:
        part, item = self._part, self._item
        if part is None or item is None:
            return
        part["text"] = "".join(item.pieces)
        is_summary = part["type"] == SUMMARY
        place = {**self._place(), ("summary_index" if is_summary else "content_index"): 0}
        self._event(f"{self._thought_event()}.done", {**place, "text": part["text"]})
        kind = "response.reasoning_summary_part.done" if is_summary else "response.content_part.done"
        self._event(kind, {**place, "part": part})
        self._part = None


def _gives_way(block: Block, waiting: Block) -> bool:
    """Tell whether a block may be cut in two for the sake of the one that waits."""
    return isinstance(block, Text | Refusal) and not isinstance(waiting, Text | Refusal)


def _call_event(block: Block) -> str:
    is_custom = isinstance(block, ToolCall) and block.kind == "custom"
    return "response.custom_tool_call_input" if is_custom else "response.function_call_arguments"


def _not_silent(block: Block) -> Block:
    """Return a block that its writer does not leave out, as more of it is known than stands in it yet."""
    match block:
        case Text(text="") | Refusal(text=""):
            return replace(block, text=" ")
        case Reasoning(text="", redacted=None):
            return replace(block, signature="")
        case _:
            return block


def _as_begun(shown: JsonObject | Raw) -> JsonObject | Raw:
    """Return an item as it is told when it begins."""
    if isinstance(shown, Raw):
        return shown
    begun = {name: value for name, value in shown.items() if name not in ("encrypted_content", "content", "result")}
    if "arguments" in begun:
        begun["arguments"] = ""
    if "input" in begun:
        begun["input"] = ""
    if "status" in begun:
        begun["status"] = "in_progress"
    return {**begun, "summary": []} if "summary" in begun else begun


def _split(block: Block, index: int) -> tuple[Block, list[_OfBlock]]:
    """Return a block as it begins, and what it already holds as deltas."""
    match block:
        case Text():
            cited: list[_OfBlock] = [CitationDelta(index=index, citation=citation) for citation in block.citations]
            text: list[_OfBlock] = [TextDelta(index=index, text=block.text)] if block.text else []
            return replace(block, text="", citations=()), [*text, *cited]
        case Refusal(text=said) if said:
            return replace(block, text=""), [RefusalDelta(index=index, text=said)]
        case ToolCall(arguments=arguments) if arguments:
            return replace(block, arguments=""), [ArgumentsDelta(index=index, arguments=arguments)]
        case Reasoning():
            content: list[_OfBlock] = [ReasoningDelta(index=index, text=block.text)] if block.text else []
            if block.signature is not None:
                content.append(SignatureDelta(index=index, signature=block.signature))
            return replace(block, text="", signature=None), content
        case _:
            return block, []
