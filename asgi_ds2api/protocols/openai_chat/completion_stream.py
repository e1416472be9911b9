"""A streamed completion, written: canonical events -> chunks of ``text_completion``, as the SDK joins them.

The prompt of an ``echo`` comes with the first piece of its choice. Finishes come at the end, then the usage if it was
asked for. Of an answer in several parts only the last one is ended, with the usage of all.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from ...canonical import (
    BlockStart,
    Choice,
    CitationDelta,
    Event,
    ExtrasDelta,
    Finish,
    Logprobs,
    Notices,
    Refusal,
    RefusalDelta,
    Start,
    Text,
    TextDelta,
    Usage,
)
from ...codec import Envelope
from ...errors import GatewayError
from ...fold import merge_usage
from ...framing import data_frame
from ...json_pieces import JsonObject, put_extras
from ...token_estimate import estimated
from . import wire
from .completions import NO_FIELD, OBJECT, completion_id, encode_old_logprobs, prefix_of, report_fields, said_by
from .errors import encode_error_body
from .response import AnswerWriter
from .stream_encoder import DONE, HEARTBEAT
from .usage import encode_usage

_NONE: Final = Finish(reason="stop")


class _Choice:
    """What was written of a choice, and what waits for its next chunk."""

    __slots__ = ("finish", "length", "logprobs", "number", "prefix")

    def __init__(self, number: int, prefix: str) -> None:
        self.number = number
        self.prefix = prefix
        """Not written yet."""
        self.length = 0
        """Of the text that log probabilities were told of, in characters, the prompt included."""
        self.logprobs: Logprobs | None = None
        self.finish = _NONE


class CompletionEncoder:
    """Events -> bytes of a caller's stream. See `codec.EventEncoder`.

    Args:
        envelope: What the caller asked.
        notices: Where losses are reported.
    """

    def __init__(self, envelope: Envelope, notices: Notices) -> None:
        self._envelope = envelope
        self._notices = notices
        self._out: list[bytes] = []
        self._choices: dict[int, _Choice] = {}
        self._blocks: dict[int, _Choice] = {}
        """Index of each block that has text -> its choice."""
        self._usage: Usage | None = None
        self._characters = 0
        self._begin(Start(source=wire.NAME, id="", model=""))

    def encode(self, events: Sequence[Event]) -> bytes:
        """Return the whole frames for these events, perhaps none."""
        for event in events:
            self._take(event)
        return self._taken()

    def close(self) -> bytes:
        """Return what ends the stream with success."""
        self._choice(0)
        for _, choice in sorted(self._choices.items()):
            self._write(choice, "", self._writer.finish(choice.finish, has_calls=False))
        usage = self._usage or estimated(self._characters)
        self._writer.report_usage(usage)
        if self._envelope.include_usage:
            total = encode_usage(usage, is_own=self._writer.is_own)
            self._out.append(data_frame(msgspec.json.encode({**self._top, "choices": [], "usage": total})))
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

    def _take(self, event: Event) -> None:
        match event:
            case TextDelta() | RefusalDelta():
                if event.text and (choice := self._blocks.get(event.index)) is not None:
                    self._write(choice, event.text)
            case Start():
                self._begin(event)
            case BlockStart():
                self._begin_block(event)
            case CitationDelta():
                self._writer.lose(event.citation.at or "content.citations", NO_FIELD)
            case Logprobs():
                self._add_logprobs(self._choice(event.choice), event)
            case ExtrasDelta():
                self._add_extras(event)
            case Usage():
                self._usage = merge_usage(self._usage, event)
            case Finish():
                self._choice(event.choice).finish = event
            case _:
                pass  # thoughts, calls and the like were reported as their block began; the rest has no chunk

    def _begin(self, start: Start) -> None:
        self._writer = AnswerWriter(self._envelope, self._notices, is_own=start.source == wire.NAME)
        self._top: JsonObject = {
            "id": completion_id(start.id, self._envelope),
            "object": OBJECT,
            "created": start.created or self._envelope.created,
            "model": self._envelope.model,
        }
        put_extras(self._top, self._writer.own(start.extras, ""))

    def _begin_block(self, event: BlockStart) -> None:
        choice = self._choice(event.choice)
        text = said_by(event.block, self._writer)
        if isinstance(event.block, Text | Refusal):
            self._blocks[event.index] = choice
        if text:
            self._write(choice, text)

    def _choice(self, number: int) -> _Choice:
        choice = self._choices.get(number)
        if choice is None:
            choice = self._choices[number] = _Choice(number, prefix_of(number, self._envelope))
        return choice

    def _add_logprobs(self, choice: _Choice, more: Logprobs) -> None:
        waiting = () if choice.logprobs is None else choice.logprobs.content or ()
        choice.logprobs = Logprobs(content=(*waiting, *(more.content or ())) or None)

    def _add_extras(self, event: ExtrasDelta) -> None:
        if event.level == "response":
            put_extras(self._top, self._writer.own(event.fields, ""))
            return
        silent = Choice(blocks=(), finish=_NONE, extras=event.fields)
        report_fields(silent, event.choice, self._writer)

    def _write(self, choice: _Choice, text: str, finish: str | None = None) -> None:
        said, choice.prefix = choice.prefix + text, ""
        self._characters += len(text)
        choice.length = choice.length or len(said) - len(text)
        logprobs = encode_old_logprobs(choice.logprobs, choice.length)
        if logprobs is not None:
            tokens = logprobs["tokens"]
            assert isinstance(tokens, list)
            choice.length += sum(map(len, tokens))
        choice.logprobs = None
        written: JsonObject = {"text": said, "index": choice.number, "logprobs": logprobs, "finish_reason": finish}
        chunk: JsonObject = {**self._top, "choices": [written]}
        if self._envelope.include_usage:
            chunk["usage"] = None
        self._out.append(data_frame(msgspec.json.encode(chunk)))
