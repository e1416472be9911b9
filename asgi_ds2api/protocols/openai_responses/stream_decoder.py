"""A streamed answer, read: events of this protocol -> canonical events.

* An item begins with ``output_item.added`` and is known by its ``output_index``; a part of a message is a block, and
  so is every other item. Of reasoning it is not known whether a summary or the thoughts come until one of them does.
* What the end of an item, or of the answer, says beyond its deltas is told then: some servers send no deltas at all.
  What cannot be told any more, as the deltas said otherwise, is left as it was said.
* The terminal event has the usage, and whatever has no canonical name and was not known at the beginning.
* Events that are not known belong to the item whose ``output_index`` they have, if that is carried whole.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from msgspec import Raw

from ...canonical import (
    Event,
    Extras,
    ExtrasDelta,
    Logprobs,
    Opaque,
    OpaqueDelta,
    Reasoning,
    Refusal,
    SignatureDelta,
    Start,
    Text,
    TextDelta,
    ToolCall,
)
from ...errors import Interrupted, Malformed, UpstreamError
from ...framing import SSEDecoder
from ...half_characters import HalfCharacters
from ...json_guard import decode_answer
from ...json_pieces import fields_of, items_of, number_of, text_of, without_null
from ...openai_errors import decode_in_band
from ...profiles import Profile
from . import wire
from .errors import decode_stream_error
from .hosted import DONE, decode_item
from .reasoning import BETWEEN_PARTS, thoughts
from .response import (
    CALLS,
    decode_call,
    decode_part,
    echo_of,
    message_extras,
    thought_extras,
    top_extras,
)
from .stream_parts import Item, Part, Teller
from .usage import decode_finish, decode_usage, finish_failure

SENTINEL: Final = b"[DONE]"
FAILED: Final = frozenset({"response.failed", "response.cancelled"})
TERMINAL: Final = FAILED | {"response.completed", "response.incomplete"}
MAX_ITEMS: Final = 4_096
"""Of one answer."""
_EVENT: Final = msgspec.json.Decoder(dict[str, Raw])


class _Usual(msgspec.Struct, gc=False):
    """An event that holds more of a text."""

    type: str
    output_index: int = -1
    content_index: int = 0
    delta: str | None = None
    logprobs: list[Raw] | None = None


_USUAL: Final = msgspec.json.Decoder(_Usual)


class StreamDecoder:
    """Bytes of an upstream's stream -> events. See `codec.EventDecoder`.

    Args:
        profile: The upstream's.
        max_event_bytes: Longest event that is accepted.
        salt: For others; here every call has an id.
    """

    def __init__(self, profile: Profile, max_event_bytes: int, salt: str = "") -> None:
        self.is_complete = False
        self.failure: UpstreamError | None = None
        self._frames = SSEDecoder(max_event_bytes)
        self._halves = HalfCharacters()
        self._has_begun = False
        self._has_calls = False
        self._extras: Extras = {}
        self._tier: str | None = None
        self._items: dict[int, Item] = {}
        self._tell = Teller()
        self._readers: Mapping[str, Callable[[Mapping[str, Raw], Item], None]] = {
            "response.content_part.added": self._begin_part,
            "response.content_part.done": self._end_part,
            "response.output_text.delta": self._add_text,
            "response.output_text.done": self._complete_text,
            "response.output_text.annotation.added": self._add_citation,
            "response.refusal.delta": self._add_refusal,
            "response.refusal.done": self._complete_refusal,
            "response.function_call_arguments.delta": self._add_arguments,
            "response.function_call_arguments.done": self._complete_arguments,
            "response.custom_tool_call_input.delta": self._add_arguments,
            "response.custom_tool_call_input.done": self._complete_arguments,
            "response.reasoning_summary_text.delta": self._add_summary,
            "response.reasoning_text.delta": self._add_thought,
            "response.reasoning.delta": self._add_thought,
        }

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that these bytes complete, in order; an empty list means that more bytes are needed."""
        if self.is_complete or self.failure is not None:
            return []
        try:
            for frame in self._frames.feed(data):
                if frame.data.startswith(SENTINEL):
                    raise Interrupted("The upstream ended its answer without saying why.", code="incomplete_stream")
                if not self._read_usual(frame.data):
                    self._read(frame.data)
                if self.is_complete:
                    break
            else:
                self.failure = self._frames.failure
        except UpstreamError as failure:
            self.failure = failure
        return self._tell.taken()

    def close(self) -> list[Event]:
        """Say that the HTTP message ended. Sets `failure` unless the stream is complete."""
        if self.is_complete or self.failure is not None:
            return []
        if self._has_begun:
            self.failure = Interrupted("The upstream broke its answer off before its end.", code="incomplete_stream")
        else:
            self.failure = Malformed("The upstream sent no answer.", code="empty_response")
        return self._tell.taken()

    # --- events -------------------------------------------------------------------------------------------------------

    def _read_usual(self, data: bytes) -> bool:
        """Read an event with more of a text that is open; False: it is another one, and nothing was read."""
        if b'"response.output_text.delta"' not in data:
            return False
        try:
            event = _USUAL.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return False
        item = self._items.get(event.output_index)
        part = None if item is None else item.parts.get(event.content_index)
        if event.type != "response.output_text.delta" or event.logprobs or not event.delta:
            return False
        if part is None or not part.is_text():
            return False
        part.pieces.append(event.delta)
        self._tell.events.append(TextDelta(index=part.index, text=event.delta))
        return True

    def _read(self, data: bytes) -> None:
        event = decode_answer(_EVENT, data, mend=self._halves.join)
        fields = without_null(event)
        kind = text_of(fields.get("type")) or ""
        if kind == "error" or "error" in fields:
            raise decode_stream_error(fields, data)
        if not kind.startswith("response."):
            return
        if "response" in fields:
            self._read_answer(kind, fields_of(fields["response"]))
        elif kind == "response.output_item.added":
            self._begin_item(fields)
        elif kind == DONE:
            self._end_item(fields)
        elif (item := self._items.get(self._place(fields))) is not None:
            self._read_of_item(kind, fields, item, data)

    def _read_of_item(self, kind: str, fields: Mapping[str, Raw], item: Item, data: bytes) -> None:
        reader = self._readers.get(kind)
        part = item.parts.get(0)
        if part is not None and isinstance(part.block, Opaque) and item.kind != "message":
            if part.is_open:
                self._tell.events.append(OpaqueDelta(index=part.index, protocol=wire.NAME, raw=Raw(data)))
        elif reader is not None and not item.is_done:
            reader(fields, item)

    def _read_answer(self, kind: str, fields: Mapping[str, Raw]) -> None:
        if not self._has_begun:
            self._has_begun = True
            self._extras = top_extras(fields)
            self._tier = text_of(fields.get("service_tier"))
            self._tell.events.append(
                Start(
                    source=wire.NAME,
                    id=text_of(fields.get("id")) or "",
                    model=text_of(fields.get("model")) or "",
                    created=number_of(fields.get("created_at")),
                    service_tier=self._tier,
                    extras=dict(self._extras),
                    echo=echo_of(fields),
                )
            )
        if kind in TERMINAL:
            self._end(kind, fields)

    def _end(self, kind: str, fields: Mapping[str, Raw]) -> None:
        failure = _failure(fields) if "error" in fields else finish_failure(fields)
        if failure is not None or kind in FAILED:
            raise failure or Interrupted("The upstream gave up in the middle of its answer.")
        for position, raw in enumerate(items_of(fields.get("output"))):
            self._complete_item(self._number_of(raw, position), raw)
        self._tell.events += self._tell.blocks.stop_all()
        news = {name: value for name, value in top_extras(fields).items() if self._extras.get(name) != value}
        tier = text_of(fields.get("service_tier"))
        if tier is not None and tier != self._tier:
            news["service_tier"] = fields["service_tier"]
        if news:
            self._tell.events.append(ExtrasDelta(level="response", fields=news))
        if (usage := decode_usage(fields.get("usage"))) is not None:
            self._tell.events.append(usage)
        self._tell.events.append(decode_finish(fields, has_calls=self._has_calls))
        self.is_complete = True

    # --- items --------------------------------------------------------------------------------------------------------

    def _begin_item(self, fields: Mapping[str, Raw]) -> None:
        number = self._place(fields)
        if number in self._items:
            return
        if len(self._items) >= MAX_ITEMS:
            raise Malformed("The upstream sent more items than an answer can have.")
        raw = fields.get("item", Raw(b"{}"))
        shown = fields_of(raw)
        kind = text_of(shown.get("type")) or "unknown"
        item = self._items[number] = Item(number, kind, shown)
        at = f"output[{number}]"
        if kind == "message":
            item.extras = message_extras(shown)
        elif kind in CALLS and text_of(shown.get("name")):
            self._has_calls = True
            self._tell.open(item, 0, decode_call(shown, at))
        elif kind == "reasoning":
            item.extras = thought_extras(shown)
        elif kind not in CALLS:
            self._tell.open(item, 0, decode_item(raw, kind, at))

    def _end_item(self, fields: Mapping[str, Raw]) -> None:
        raw = fields.get("item", Raw(b"{}"))
        self._complete_item(self._place(fields), raw)

    def _place(self, fields: Mapping[str, Raw]) -> int:
        """Return the number of the item that an event is about: as said, else by its id (llama.cpp), else a new one."""
        number = _number(fields, "output_index")
        if number >= 0:
            return number
        id_ = fields.get("item_id") or fields_of(fields.get("item")).get("id")
        return next((n for n, item in self._items.items() if item.fields.get("id") == id_), len(self._items))

    def _number_of(self, raw: Raw, position: int) -> int:
        """Return the number of an item of the whole answer: that of its id, else its place."""
        id_ = fields_of(raw).get("id")
        return next(
            (n for n, item in self._items.items() if id_ is not None and item.fields.get("id") == id_), position
        )

    def _complete_item(self, number: int, raw: Raw) -> None:
        """Tell what an item that is done says beyond its deltas, and close it."""
        known = self._items.get(number)
        if known is None or (known.kind in CALLS and not known.parts):
            self._items.pop(number, None)
            index = Raw(msgspec.json.encode(number))
            self._begin_item({"output_index": index, "item": raw})
        item = self._items[number]
        if item.is_done:
            self._add_late_logprobs(item, fields_of(raw))
            return
        done = fields_of(raw)
        if item.kind == "message":
            for position, part in enumerate(items_of(done.get("content"))):
                self._complete_part(item, position, part)
        elif item.kind == "reasoning":
            self._complete_reasoning(item, done)
        elif (block := item.parts.get(0)) is not None and isinstance(block.block, ToolCall):
            self._tell.complete(block, text_of(done.get("input" if block.block.kind == "custom" else "arguments")))
        elif block is not None and block.is_open:
            event = msgspec.json.encode({"type": DONE, "output_index": number, "item": raw})
            self._tell.events.append(OpaqueDelta(index=block.index, protocol=wire.NAME, raw=Raw(event)))
        item.is_done = True
        for block in item.parts.values():
            self._tell.close(block)

    # --- messages -----------------------------------------------------------------------------------------------------

    def _begin_part(self, fields: Mapping[str, Raw], item: Item) -> None:
        position = max(_number(fields, "content_index"), 0)
        if item.kind == "message" and position not in item.parts:
            raw = fields.get("part", Raw(b"{}"))
            self._begin_block(item, position, raw)

    def _begin_block(self, item: Item, position: int, raw: Raw) -> Part:
        """Begin a part of a message; what it says already is told in deltas."""
        shown = fields_of(raw)
        extras, item.extras = item.extras, {}
        block = decode_part(raw, shown, extras, f"output[{item.number}].content[{position}]")
        match block:
            case Text():
                part = self._tell.open(item, position, msgspec.structs.replace(block, text="", citations=()))
                self._tell.complete(part, block.text)
            case Refusal():
                part = self._tell.open(item, position, msgspec.structs.replace(block, text=""))
                self._tell.complete(part, block.text)
            case _:
                part = self._tell.open(item, position, block)
        return part

    def _part(self, fields: Mapping[str, Raw], item: Item, kind: bytes) -> Part:
        """Return the part that an event is about, which begins now if nobody said so before."""
        position = max(_number(fields, "content_index"), 0)
        found = item.parts.get(position)
        return self._begin_block(item, position, Raw(b'{"type":"%b"}' % kind)) if found is None else found

    def _end_part(self, fields: Mapping[str, Raw], item: Item) -> None:
        if item.kind == "message" and "part" in fields:
            self._complete_part(item, max(_number(fields, "content_index"), 0), fields["part"])

    def _complete_part(self, item: Item, position: int, raw: Raw) -> None:
        """Tell what a part that is done says beyond its deltas."""
        part = item.parts.get(position)
        if part is None:
            part = self._begin_block(item, position, raw)
        shown = fields_of(raw)
        if isinstance(part.block, Text):
            self._tell.add_logprobs(part, items_of(shown.get("logprobs")))
            self._tell.complete(part, text_of(shown.get("text")))
            self._tell.add_citations(part, items_of(shown.get("annotations")))
        elif isinstance(part.block, Refusal):
            self._tell.complete(part, text_of(shown.get("refusal")))

    def _add_text(self, fields: Mapping[str, Raw], item: Item) -> None:
        part = self._part(fields, item, b"output_text")
        delta = text_of(fields.get("delta"))
        if probable := tuple(items_of(fields.get("logprobs"))):
            part.probable += len(probable)
            self._tell.events.append(Logprobs(content=probable))
        self._tell.add(part, delta)

    def _complete_text(self, fields: Mapping[str, Raw], item: Item) -> None:
        part = self._part(fields, item, b"output_text")
        self._tell.add_logprobs(part, items_of(fields.get("logprobs")))
        self._tell.complete(part, text_of(fields.get("text")))

    def _add_late_logprobs(self, item: Item, done: Mapping[str, Raw]) -> None:
        for position, raw in enumerate(items_of(done.get("content")) if item.kind == "message" else ()):
            if (part := item.parts.get(position)) is not None:
                self._tell.add_logprobs(part, items_of(fields_of(raw).get("logprobs")))

    def _add_citation(self, fields: Mapping[str, Raw], item: Item) -> None:
        part = self._part(fields, item, b"output_text")
        if "annotation" in fields:
            self._tell.cite(part, fields["annotation"])

    def _add_refusal(self, fields: Mapping[str, Raw], item: Item) -> None:
        part = self._part(fields, item, b"refusal")
        self._tell.add(part, text_of(fields.get("delta")))

    def _complete_refusal(self, fields: Mapping[str, Raw], item: Item) -> None:
        self._tell.complete(self._part(fields, item, b"refusal"), text_of(fields.get("refusal")))

    # --- calls --------------------------------------------------------------------------------------------------------

    def _add_arguments(self, fields: Mapping[str, Raw], item: Item) -> None:
        if (part := item.parts.get(0)) is not None and isinstance(part.block, ToolCall):
            self._tell.add(part, text_of(fields.get("delta")))

    def _complete_arguments(self, fields: Mapping[str, Raw], item: Item) -> None:
        if (part := item.parts.get(0)) is not None and isinstance(part.block, ToolCall):
            self._tell.complete(part, text_of(fields.get("input" if part.block.kind == "custom" else "arguments")))

    # --- thoughts -----------------------------------------------------------------------------------------------------

    def _add_summary(self, fields: Mapping[str, Raw], item: Item) -> None:
        self._think(item, 0, max(_number(fields, "summary_index"), 0), text_of(fields.get("delta")) or "")

    def _add_thought(self, fields: Mapping[str, Raw], item: Item) -> None:
        self._think(item, 1, max(_number(fields, "content_index"), 0), text_of(fields.get("delta")) or "")

    def _think(self, item: Item, which: int, number: int, delta: str) -> None:
        if not delta or item.kind != "reasoning":
            return
        part = item.parts.get(which) or self._begin_thought(item, which)
        if number > part.parts:
            delta = BETWEEN_PARTS + delta
            part.parts = number
        self._tell.add(part, delta)

    def _begin_thought(self, item: Item, which: int) -> Part:
        if which == 1 and (summary := item.parts.get(0)) is not None:
            self._tell.close(summary)
        extras, item.extras = item.extras, {}
        block = Reasoning(text="", is_summary=which == 0, extras=extras, at=f"output[{item.number}]")
        return self._tell.open(item, which, block)

    def _complete_reasoning(self, item: Item, done: Mapping[str, Raw]) -> None:
        signature = text_of(done.get("encrypted_content"))
        blocks = thoughts(items_of(done.get("summary")), items_of(done.get("content")), None, {}, "")
        for block in blocks:
            which = 0 if block.is_summary else 1
            if block.text or not item.parts:
                part = item.parts.get(which) or self._begin_thought(item, which)
                self._tell.complete(part, block.text)
        last = item.parts[max(item.parts)]
        if signature and last.is_open:
            self._tell.events.append(SignatureDelta(index=last.index, signature=signature))


def _failure(fields: Mapping[str, Raw]) -> UpstreamError:
    """Return the error with which an answer ended."""
    error = {name: value for name, value in fields.items() if name == "error"}
    return decode_in_band(msgspec.json.encode(error)) or Interrupted(
        "The upstream gave up in the middle of its answer."
    )


def _number(fields: Mapping[str, Raw], name: str) -> int:
    """Return a number of an event; -1: there is none."""
    found = number_of(fields.get(name))
    return -1 if found is None else found
