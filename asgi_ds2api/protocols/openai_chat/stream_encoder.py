"""Events -> chunks of a caller's stream.

The order and the once-only rules are those that the SDK's accumulator needs: the role once for each choice, id and name
of a call in its first fragment alone, indexes from 0 without a gap, usage last.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Raw

from ...canonical import (
    ArgumentsDelta,
    BlockStart,
    BlockStop,
    CitationDelta,
    Event,
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
    ToolResult,
    Usage,
)
from ...codec import Envelope
from ...errors import GatewayError
from ...fold import merge_usage
from ...framing import comment_frame, data_frame
from . import answer, wire
from .errors import encode_error_body
from .response import annotations_of, detail_object, finish_word, logprobs_object, report_block, report_finish

Json = dict[str, object]
_ENCODER: Final = msgspec.json.Encoder()
_HEARTBEAT: Final = comment_frame(b"keepalive")
_DONE: Final = data_frame(b"[DONE]")
_TAIL: Final = b'},"logprobs":null,"finish_reason":null}]}\n\n'
_TAIL_WITH_USAGE: Final = b'},"logprobs":null,"finish_reason":null}],"usage":null}\n\n'


class _Choice:
    """What was said of a choice."""

    __slots__ = ("calls", "characters", "extras", "finish", "has_content", "has_role", "logprobs")

    def __init__(self) -> None:
        self.has_role = False
        self.has_content = False
        self.characters = 0
        self.calls = 0
        self.finish: Finish | None = None
        self.logprobs: Logprobs | None = None
        self.extras: dict[str, Raw] = {}


class StreamEncoder:
    """See `codec.EventEncoder`."""

    def __init__(self, envelope: Envelope, notices: Notices) -> None:
        self._envelope = envelope
        self._notices = notices
        self._choices: dict[int, _Choice] = {}
        self._blocks: dict[int, tuple[int, object]] = {}
        self._calls: dict[int, tuple[int, bool]] = {}
        self._silent_calls: set[int] = set()
        self._text_starts: dict[int, int] = {}
        self._details = 0
        self._reasonings: dict[int, tuple[int, bool]] = {}
        self._usage: Usage | None = None
        self._is_own = True
        self._top: Json = {}
        self._head = b""
        self._set_head("", None)

    def encode(self, events: Sequence[Event]) -> bytes:
        """Return the chunks for these events."""
        out: list[bytes] = []
        for event in events:
            match event:
                case TextDelta():
                    choice = self._blocks[event.index][0]
                    out.append(self._text(choice, b"content", event.text))
                    self._choices[choice].has_content = True
                    self._choices[choice].characters += len(event.text)
                case ReasoningDelta():
                    out.append(self._reasoning(event.index, event.text))
                case ArgumentsDelta():
                    out.append(self._arguments(event.index, event.arguments))
                case Start():
                    self._start(event)
                case BlockStart():
                    out.append(self._begin(event))
                case BlockStop():
                    out.append(self._stop(event.index))
                case Usage():
                    self._usage = merge_usage(self._usage, event)
                case Finish():
                    self._choice(event.choice).finish = event
                case Ping() | Notice():
                    pass
                case _:
                    out.append(self._rare(event))
        return b"".join(out)

    def close(self) -> bytes:
        """Return the finish chunks, the usage chunk if it was asked for, and the terminator."""
        out = [self._end(index, choice) for index, choice in sorted(self._choices.items())]
        if self._envelope.include_usage:
            usage = answer.usage_object(self._usage or Usage(), is_own=self._is_own)
            out.append(data_frame(_ENCODER.encode({**self._top, "choices": [], "usage": usage})))
        out.append(_DONE)
        return b"".join(out)

    def error(self, error: GatewayError) -> bytes:
        """Return an error that the SDK raises; no terminator follows it."""
        return data_frame(encode_error_body(error))

    def heartbeat(self) -> bytes:
        """Return a comment."""
        return _HEARTBEAT

    def _rare(self, event: Event) -> bytes:
        match event:
            case RefusalDelta():
                self._choices[self._blocks[event.index][0]].has_content = True
                return self._chunk(self._blocks[event.index][0], {"refusal": event.text})
            case SignatureDelta():
                return self._signature(event.index, event.signature)
            case CitationDelta():
                return self._citation(event)
            case Logprobs():
                self._choice(event.choice).logprobs = event
            case ExtrasDelta():
                return self._extras(event)
            case OpaqueDelta():
                self._notices.lost("content", "this protocol has no such part of an answer")
            case _:
                pass
        return b""

    def _citation(self, event: CitationDelta) -> bytes:
        """Return an annotation of the text so far, from where its block began."""
        choice = self._blocks[event.index][0]
        begin = self._text_starts.get(event.index, 0)
        text = Text(text=" " * (self._choices[choice].characters - begin), citations=(event.citation,))
        found = annotations_of(text, begin, self._notices)
        return self._chunk(choice, {"annotations": found}) if found else b""

    def _start(self, event: Start) -> None:
        self._is_own = event.source == wire.NAME
        self._set_head(event.id, event.created)
        if event.service_tier is not None:
            self._top["service_tier"] = event.service_tier
        if self._is_own:
            self._top.update(event.extras)
        else:
            for name in event.extras:
                self._notices.hint(name, "this protocol has no such field")
        self._head = _ENCODER.encode(self._top)[:-1] + b',"choices":[{"index":'

    def _set_head(self, id_: str, created: int | None) -> None:
        self._top = {
            "id": id_ or f"chatcmpl-{self._envelope.request_id}",
            "object": "chat.completion.chunk",
            "created": created or self._envelope.created,
            "model": self._envelope.model,
        }
        self._head = _ENCODER.encode(self._top)[:-1] + b',"choices":[{"index":'

    def _choice(self, index: int) -> _Choice:
        return self._choices.setdefault(index, _Choice())

    def _text(self, index: int, field: bytes, text: str) -> bytes:
        """Return a chunk with more text: the frequent one, so it is put together from bytes."""
        choice = self._choices[index]
        if not choice.has_role or choice.logprobs is not None or choice.extras:
            return self._chunk(index, {field.decode(): text})
        tail = _TAIL_WITH_USAGE if self._envelope.include_usage else _TAIL
        return b"".join(
            (b"data: ", self._head, b"%d," % index, b'"delta":{"', field, b'":', _ENCODER.encode(text), tail)
        )

    def _chunk(self, index: int, delta: Json, finish: str | None = None, extras: Json | None = None) -> bytes:
        choice = self._choice(index)
        if not choice.has_role:
            choice.has_role = True
            delta = {"role": "assistant", "content": "" if "content" in delta else None, "refusal": None, **delta}
        logprobs, choice.logprobs = logprobs_object(choice.logprobs), None
        rest: Json = {"delta": delta, "logprobs": logprobs, "finish_reason": finish, **choice.extras, **(extras or {})}
        choice.extras = {}
        tail = b',"usage":null}' if self._envelope.include_usage else b"}"
        return data_frame(self._head + b"%d," % index + _ENCODER.encode(rest)[1:] + b"]" + tail)

    def _begin(self, event: BlockStart) -> bytes:
        block, choice = event.block, event.choice
        self._blocks[event.index] = (choice, block)
        self._text_starts[event.index] = self._choice(choice).characters
        match block:
            case ToolCall():
                return self._begin_call(event, block)
            case Text(text=text) if text or block.citations:
                found = annotations_of(block, self._choice(choice).characters, self._notices)
                self._choice(choice).characters += len(text)
                return self._chunk(choice, {"content": text, **({"annotations": found} if found else {})})
            case Reasoning():
                return self._begin_reasoning(event.index, choice, block)
            case Refusal(text=text) if text:
                self._choice(choice).has_content = True
                return self._chunk(choice, {"refusal": text})
            case Media() | Opaque() | ToolResult():
                report_block(block, self._notices)
            case _:
                pass
        return b""

    def _begin_call(self, event: BlockStart, call: ToolCall) -> bytes:
        state = self._choice(event.choice)
        number, state.calls = state.calls, state.calls + 1
        is_custom = call.kind == "custom"
        self._calls[event.index] = (number, is_custom)
        if not call.arguments and not is_custom:
            self._silent_calls.add(event.index)
        if self._envelope.legacy_functions:
            if number:
                self._notices.lost(call.at or "tool_calls", "a caller of functions is told one call")
                return b""
            return self._chunk(event.choice, {"function_call": {"name": call.name, "arguments": call.arguments}})
        named: Json = {"name": call.name, "input" if is_custom else "arguments": call.arguments}
        fragment: Json = {"index": number, "id": call.id, "type": call.kind, call.kind: named, **call.extras}
        return self._chunk(event.choice, {"tool_calls": [fragment]})

    def _arguments(self, index: int, piece: str) -> bytes:
        self._silent_calls.discard(index)
        number, is_custom = self._calls[index]
        choice = self._blocks[index][0]
        if self._envelope.legacy_functions:
            return b"" if number else self._chunk(choice, {"function_call": {"arguments": piece}})
        named = {"custom": {"input": piece}} if is_custom else {"function": {"arguments": piece}}
        return self._chunk(choice, {"tool_calls": [{"index": number, **named}]})

    def _stop(self, index: int) -> bytes:
        return self._arguments(index, "{}") if index in self._silent_calls else b""

    def _begin_reasoning(self, index: int, choice: int, block: Reasoning) -> bytes:
        self._reasonings[index] = (self._details, block.is_summary)
        self._details += 1
        if block.redacted is None:
            said = self._reasoning(index, block.text) if block.text else b""
            return said + (b"" if block.signature is None else self._signature(index, block.signature))
        if not self._envelope.include_reasoning_details:
            self._notices.lost("content", "redacted reasoning goes to callers who ask for reasoning details")
            return b""
        return self._chunk(choice, {"reasoning_details": [detail_object(block, self._reasonings[index][0])]})

    def _reasoning(self, index: int, text: str) -> bytes:
        choice = self._blocks[index][0]
        if not self._envelope.include_reasoning_details:
            return self._text(choice, b"reasoning_content", text)
        number, is_summary = self._reasonings[index]
        detail = detail_object(Reasoning(text=text, is_summary=is_summary), number)
        return self._chunk(choice, {"reasoning_content": text, "reasoning_details": [detail]})

    def _signature(self, index: int, signature: str) -> bytes:
        if not self._envelope.include_reasoning_details:
            if signature:
                self._notices.hint("content", "signatures go to callers who ask for reasoning details")
            return b""
        number, is_summary = self._reasonings[index]
        kind = "reasoning.summary" if is_summary else "reasoning.text"
        detail = {"type": kind, "signature": signature, "index": number}
        return self._chunk(self._blocks[index][0], {"reasoning_details": [detail]})

    def _extras(self, event: ExtrasDelta) -> bytes:
        if not self._is_own:
            for name in event.fields:
                self._notices.hint(name, "this protocol has no such field")
            return b""
        match event.level:
            case "response":
                self._top.update(event.fields)
                self._head = _ENCODER.encode(self._top)[:-1] + b',"choices":[{"index":'
            case "choice":
                self._choice(event.choice).extras |= event.fields
            case "message":
                return self._chunk(event.choice, dict(event.fields))
        return b""

    def _end(self, index: int, choice: _Choice) -> bytes:
        finish = choice.finish or Finish(reason="stop")
        report_finish(finish, self._notices)
        word = finish_word(finish, has_calls=choice.calls > 0, is_legacy=self._envelope.legacy_functions)
        delta: Json = {}
        if finish.reason == "refusal" and not choice.has_content:
            delta["refusal"] = finish.explanation or "The model declined to answer."
        return self._chunk(index, delta, word)
