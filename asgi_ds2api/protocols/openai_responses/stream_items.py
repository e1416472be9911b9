"""The items of a streamed answer, written one after the other, each with the chain of events that the SDK wants.

One item is open at a time. It ends when the next one begins, or with the answer: only then is it known whether it is
whole. Which block has its turn is for ``stream_encoder`` to say.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from msgspec import Raw

from ...block_turns import OfBlock
from ...canonical import (
    ArgumentsDelta,
    Block,
    BlockStop,
    Citation,
    CitationDelta,
    Opaque,
    OpaqueDelta,
    Reasoning,
    ReasoningDelta,
    Refusal,
    RefusalDelta,
    SignatureDelta,
    Text,
    TextDelta,
    ToolCall,
)
from ...framing import event_frame
from ...json_pieces import JsonObject, fields_of, text_of
from .answer_writer import AnswerWriter, is_part
from .hosted import DONE as ITEM_DONE
from .item_events import begun, chain
from .reasoning import SUMMARY, THOUGHT, goes_on

_encode: Final[Callable[[object], bytes]] = msgspec.json.Encoder().encode
_TEXT: Final = b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","sequence_number":%d'
_PLACE: Final = b',"item_id":%b,"output_index":%d,"content_index":%d,"delta":'
_TAIL: Final = b',"logprobs":[]}\n\n'


class _Item:
    """An item that is open."""

    __slots__ = ("block", "id", "number", "pieces", "shown")

    def __init__(self, number: int, shown: JsonObject | Raw, block: Block) -> None:
        self.number = number
        self.shown = shown
        """As it will be when it is done."""
        self.block = block
        self.id = shown.get("id") if isinstance(shown, dict) else text_of(fields_of(shown).get("id"))
        self.pieces: list[str] = []
        """Of what is said in the open part, or of the arguments."""

    @property
    def length(self) -> int:
        """Of what is said there."""
        return sum(map(len, self.pieces))


class ItemStream:
    """Writes the events of an answer.

    Args:
        writer: Of the answer's items; another one once it is known where the answer comes from.
        is_renamed: Thoughts have the events of Open Responses.
    """

    def __init__(self, writer: AnswerWriter, *, is_renamed: bool) -> None:
        self.writer = writer
        self.number = 0
        """Of the next event."""
        self.opening: Callable[[], None] | None = None
        """Writes what comes before the first event; None: it is written."""
        self.output: list[JsonObject | Raw] = []
        """Items that are done."""
        self.probable: list[JsonObject | Raw] = []
        """Probabilities that wait for their text."""
        self.characters = 0
        """Of all that was said."""
        self.prefix = b""
        """What a delta of the open text begins with, behind its number; empty: none is open."""
        self._thoughts = "response.reasoning" if is_renamed else "response.reasoning_text"
        self._out: list[bytes] = []
        self._item: _Item | None = None
        self._part: JsonObject | None = None
        """Of a message or of reasoning, while it is open."""
        self._opened: Block | None = None
        """The part of a message that was begun last."""
        self._before = 0
        """Length of the texts that are done."""
        self._begun = 0
        """Where the text that has its turn begins in its part."""
        self._last_text: JsonObject | None = None
        self._cited: list[Citation] = []
        """Sources of a whole text, which are told where it ends: Anthropic tells them before it."""

    @property
    def is_silent(self) -> bool:
        """Nothing was said yet."""
        return not self.output and self._item is None

    def taken(self) -> bytes:
        """Return the frames that were written since the last time."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def event(self, kind: str, fields: JsonObject) -> None:
        """Write an event."""
        self.open_once()
        payload = {"type": kind, "sequence_number": self.number, **fields}
        self.number += 1
        self._out.append(event_frame(kind.encode(), _encode(payload)))

    def open_once(self) -> None:
        """Write what comes before the first event."""
        opening, self.opening = self.opening, None
        if opening is not None:
            opening()

    def put_late_logprobs(self) -> None:
        """Put probabilities that came behind their text into the last one."""
        if self.probable and self._last_text is not None:
            earlier = self._last_text["logprobs"]
            assert isinstance(earlier, list)
            earlier += self.probable
        elif self.probable:
            self.writer.lose("choices[0].logprobs.content", "there is no text")

    # --- blocks -------------------------------------------------------------------------------------------------------

    def write(self, block: Block, event: OfBlock) -> None:
        """Write what an event tells of the block that has its turn."""
        match event:
            case TextDelta() | RefusalDelta():
                if event.text:
                    self._open_part(block)
                    self.say(event.text)
            case CitationDelta():
                self._open_part(block)
                if event.citation.end is None and not self.writer.is_own:
                    self._cited.append(event.citation)
                else:
                    self._cite((event.citation,))
            case ReasoningDelta():
                if event.text:
                    self._think(block, event.text)
            case SignatureDelta():
                item = self._thought(block)
                assert isinstance(item.shown, dict)
                item.shown["encrypted_content"] = event.signature
            case ArgumentsDelta():
                self._add_arguments(event.arguments)
            case OpaqueDelta():
                self._pass_on(event.raw)
            case BlockStop():
                self._stop(block)

    def _stop(self, block: Block) -> None:
        """Write what can only be said at the end of a block."""
        match block:
            case Text() | Refusal() if not self.writer.is_own:
                self._cite_text()
                self._begun = 0 if self._item is None else self._item.length  # what follows may go on in this part
            case Text() | Refusal():
                if self._opened is not block:
                    self._open_part(block)  # a part that says nothing is one all the same
                self.end_part()
            case Reasoning():
                if self.writer.is_own or block.redacted is not None:
                    self._thought(block)
                self._end_thought()
            case ToolCall():
                self._end_call()
            case _:
                pass

    # --- items --------------------------------------------------------------------------------------------------------

    def _place(self) -> JsonObject:
        assert self._item is not None
        return {"item_id": self._item.id, "output_index": self._item.number}

    def open(self, block: Block) -> _Item | None:
        """Begin an item that stands alone; None: there is none for this block."""
        if isinstance(block, Opaque) and is_part(block):
            self._open_part(block)
            return None
        shown = self.writer.item(block, self._next)
        if shown is None:
            return None
        item = self._opened_item(shown, block)
        if not self.writer.is_own:  # of its own items the vendor tells the events itself
            for kind, fields in chain(shown, self._place()):
                self.event(kind, fields)
        return item

    @property
    def _next(self) -> int:
        """The number of the next item."""
        return len(self.output) + (self._item is not None)

    def _opened_item(self, shown: JsonObject | Raw, block: Block) -> _Item:
        number = self._next
        self.end()
        item = self._item = _Item(number, shown, block)
        self.event("response.output_item.added", {"output_index": number, "item": begun(shown)})
        return item

    def end(self, *, is_early: bool = False) -> None:
        """End the item that is open, now that it is known what follows."""
        self.end_part()
        item, self._item = self._item, None
        if item is None:
            return
        if is_early and isinstance(item.shown, dict):
            item.shown["status"] = "incomplete"
        self.event(ITEM_DONE, {"output_index": item.number, "item": item.shown})
        self.output.append(item.shown)

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
        self.event(kind, {**kept, "output_index": item.number})

    # --- messages -----------------------------------------------------------------------------------------------------

    def _open_part(self, block: Block) -> None:
        """Begin a part of a message, and the message if none is open, unless the text before goes on."""
        earlier = None if self._part is None else self._opened
        if earlier is not None and (earlier is block or self.writer.goes_on(earlier, block)):
            return
        self.end_part()
        item = self._item
        if item is None or not is_part(item.block) or self.writer.begins_message(block):
            parts: list[JsonObject | Raw] = []
            item = self._opened_item(self.writer.message(block, self._next, parts), block)
        self._opened = block
        assert isinstance(item.shown, dict)
        content = item.shown["content"]
        assert isinstance(content, list)
        part = self.writer.shown_part(block)
        place = {**self._place(), "content_index": len(content)}
        if isinstance(part, Raw):
            content.append(part)
            self.event("response.content_part.added", {**place, "part": part})
            self.event("response.content_part.done", {**place, "part": part})
            return
        self.event("response.content_part.added", {**place, "part": part})
        content.append(part)
        item.pieces.clear()
        self._part, self._begun = part, 0
        if part["type"] != "refusal":
            self._last_text = part
            self.prefix = _PLACE % (_encode(item.id), item.number, len(content) - 1)

    def say(self, text: str) -> None:
        """Tell more of the open part."""
        assert self._item is not None
        assert self._part is not None
        self._item.pieces.append(text)
        self.characters += len(text)
        if self.prefix and not self.probable:
            self._out += (_TEXT % self.number, self.prefix, _encode(text), _TAIL)
            self.number += 1
            return
        place = self._part_place()
        if not self.prefix:
            self.event("response.refusal.delta", {**place, "delta": text})
            return
        probable, self.probable = self.probable, []
        known = self._part["logprobs"]
        assert isinstance(known, list)
        known += probable
        self.event("response.output_text.delta", {**place, "delta": text, "logprobs": probable})

    def _part_place(self) -> JsonObject:
        assert self._item is not None
        assert isinstance(self._item.shown, dict)
        content = self._item.shown["content"]
        assert isinstance(content, list)
        return {**self._place(), "content_index": len(content) - 1}

    def _cite(self, citations: Sequence[Citation]) -> None:
        if self._part is None or self._item is None or "annotations" not in self._part:
            return
        known = self._part["annotations"]
        assert isinstance(known, list)
        start, end = self._before + self._begun, self._before + self._item.length
        for annotation in self.writer.annotations(citations, start, end, self._before):
            where = {**self._part_place(), "annotation_index": len(known), "annotation": annotation}
            known.append(annotation)
            self.event("response.output_text.annotation.added", where)

    def _cite_text(self) -> None:
        """Tell the sources of a text that has ended."""
        cited, self._cited = self._cited, []
        self._cite(cited)

    def end_part(self) -> None:
        """End the part that is open; its message may have another one."""
        self._cite_text()
        part, self._part, self.prefix = self._part, None, b""
        if part is None or self._item is None:
            return
        said = "".join(self._item.pieces)
        place = self._part_place()
        if part["type"] == "refusal":
            part["refusal"] = said
            self.event("response.refusal.done", {**place, "refusal": said})
        else:
            part["text"] = said
            self._before += len(said)
            self.event("response.output_text.done", {**place, "text": said, "logprobs": part["logprobs"]})
        self.event("response.content_part.done", {**place, "part": part})

    def refuse(self, text: str) -> None:
        """Tell a refusal that the model gave no words for."""
        self._open_part(Refusal(text=""))
        self.say(text)
        self.end_part()

    # --- calls --------------------------------------------------------------------------------------------------------

    def _add_arguments(self, piece: str) -> None:
        item = self._item
        if item is None or not piece:
            return
        item.pieces.append(piece)
        self.characters += len(piece)
        self.event(f"{_call_event(item.block)}.delta", {**self._place(), "delta": piece})

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
        self.event(f"{_call_event(item.block)}.done", {**self._place(), **named, field: item.shown[field]})

    # --- thoughts -----------------------------------------------------------------------------------------------------

    def _thought(self, block: Block) -> _Item:
        """Return the item of reasoning that is open for a block; it begins now if there is none."""
        item = self._item
        if item is not None and item.block is block:
            return item
        if item is not None and isinstance(block, Reasoning) and self._goes_on(item, block):
            item.block = block
            return item
        assert isinstance(block, Reasoning)
        return self._opened_item(self.writer.thought(block, self._next), block)

    def _goes_on(self, item: _Item, block: Reasoning) -> bool:
        is_sealed = isinstance(item.shown, dict) and "encrypted_content" in item.shown
        return self.writer.is_own and not is_sealed and goes_on(item.block, block)

    def _think(self, block: Block, text: str) -> None:
        item = self._thought(block)
        self.characters += len(text)
        is_summary = not self.writer.is_own or (isinstance(block, Reasoning) and block.is_summary)
        place = {**self._place(), ("summary_index" if is_summary else "content_index"): 0}
        if self._part is None:
            self._part = {"type": SUMMARY if is_summary else THOUGHT, "text": ""}
            item.pieces.clear()
            assert isinstance(item.shown, dict)
            item.shown["summary" if is_summary else "content"] = [self._part]
            kind = "response.reasoning_summary_part.added" if is_summary else "response.content_part.added"
            self.event(kind, {**place, "part": {**self._part}})
        item.pieces.append(text)
        self.event(f"{self._thought_event()}.delta", {**place, "delta": text})

    def _thought_event(self) -> str:
        if self._part is not None and self._part["type"] == SUMMARY:
            return "response.reasoning_summary_text"
        return self._thoughts

    def _end_thought(self) -> None:
        part, item = self._part, self._item
        if part is None or item is None:
            return
        part["text"] = "".join(item.pieces)
        is_summary = part["type"] == SUMMARY
        place = {**self._place(), ("summary_index" if is_summary else "content_index"): 0}
        self.event(f"{self._thought_event()}.done", {**place, "text": part["text"]})
        kind = "response.reasoning_summary_part.done" if is_summary else "response.content_part.done"
        self.event(kind, {**place, "part": part})
        self._part = None


def _call_event(block: Block) -> str:
    is_custom = isinstance(block, ToolCall) and block.kind == "custom"
    return "response.custom_tool_call_input" if is_custom else "response.function_call_arguments"
