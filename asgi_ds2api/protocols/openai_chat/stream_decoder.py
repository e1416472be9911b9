"""Chunks of an upstream's stream -> events, whoever's dialect they are in.

State: which block of which choice is open, which tool call an index means, the first finish reason of each choice, the
last usage. A block starts when its identity is known; a call waits for its id and its name.
"""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec
from msgspec import Raw

from ...canonical import (
    ArgumentsDelta,
    BlockStart,
    BlockStop,
    CitationDelta,
    Event,
    Extras,
    ExtrasDelta,
    Finish,
    Notice,
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
from ...framing import SSEDecoder
from ...json_guard import decode_answer
from ...profiles import Profile
from . import answer, wire
from .errors import decode_in_band
from .response import MESSAGE

DONE: Final = b"[DONE]"
_CHUNK: Final = msgspec.json.Decoder(dict[str, Raw])
_TOP: Final = frozenset(
    {"id", "object", "created", "model", "choices", "usage", "service_tier", "error", "obfuscation", "x_groq"}
)
_CHOICE: Final = frozenset({"index", "delta", "finish_reason", "logprobs"})
_NOTHING: Final = (b'""', b"[]", b"{}")


class _Shape(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """Base of the usual chunk; one of any other shape is read field by field."""


class _UsualFunction(_Shape):
    arguments: str


class _UsualCall(_Shape):
    index: int
    function: _UsualFunction
    id: None = None
    type: Literal["function"] | None = None


class _UsualDelta(_Shape):
    content: str | None = None
    tool_calls: list[_UsualCall] | None = None
    role: str | None = None
    refusal: None = None


class _UsualChoice(_Shape):
    index: Literal[0]
    delta: _UsualDelta
    logprobs: None = None
    finish_reason: None = None


class _UsualChunk(_Shape):
    """More text, or more arguments of a call that has begun, of the first choice."""

    choices: list[_UsualChoice]
    id: str = ""
    object: str = ""
    created: int = 0
    model: str = ""
    service_tier: str | None = None
    system_fingerprint: str | None = None
    usage: None = None
    obfuscation: str | None = None


_USUAL: Final = msgspec.json.Decoder(_UsualChunk)


class _Call:
    """A tool call that is being streamed."""

    __slots__ = ("arguments", "block", "extras", "id", "is_custom", "name")

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.arguments = ""
        self.is_custom = False
        self.extras: Extras = {}
        self.block: int | None = None


class _Choice:
    """What is known of a choice."""

    __slots__ = ("calls", "detail", "finish", "has_calls", "last_call", "open_block", "open_kind")

    def __init__(self) -> None:
        self.calls: dict[int, _Call] = {}
        self.last_call: _Call | None = None
        self.has_calls = False
        self.open_kind = ""
        self.open_block = -1
        self.finish: str | None = None
        self.detail: int | None = None


class StreamDecoder:
    """See `codec.EventDecoder`."""

    def __init__(self, profile: Profile, max_event_bytes: int) -> None:
        self.is_complete = False
        self.failure: UpstreamError | None = None
        self._profile = profile
        self._frames = SSEDecoder(max_event_bytes)
        self._is_started = False
        self._choices: dict[int, _Choice] = {}
        self._next_block = 0
        self._usage: Usage | None = None
        self._constants: tuple[str | None, str | None] = (None, None)
        """Fingerprint and service tier of the first chunk, which the usual ones repeat."""

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that these bytes complete."""
        events: list[Event] = []
        if self.is_complete or self.failure is not None:
            return events
        for frame in self._frames.feed(data):
            if frame.data.startswith(DONE):
                self._finish(events, at_done=True)
                return events
            try:
                self._read(frame.data, events)
            except UpstreamError as error:
                self.failure = error
                return events
        self.failure = self._frames.failure
        return events

    def close(self) -> list[Event]:
        """Say that the HTTP message ended."""
        events: list[Event] = []
        if self.is_complete or self.failure is not None:
            return events
        may_end = self._profile.done == "optional" and any(choice.finish for choice in self._choices.values())
        if may_end and not self._frames.has_tail:
            self._finish(events, at_done=False)
        elif self._is_started:
            self.failure = Interrupted("The upstream broke its answer off before its end.")
        else:
            self.failure = Malformed("The upstream sent no answer.", code="empty_response")
        return events

    def _read(self, data: bytes, events: list[Event]) -> None:
        if not self._read_usual(data, events):
            self._read_any(data, events)

    def _read_usual(self, data: bytes, events: list[Event]) -> bool:
        """Read a chunk of the usual shape in the state that it is usual in; False: it is another one."""
        choice = self._choices.get(0)
        if choice is None or choice.finish is not None:
            return False
        try:
            chunk = _USUAL.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return False
        if len(chunk.choices) != 1 or (chunk.system_fingerprint, chunk.service_tier) != self._constants:
            return False
        delta = chunk.choices[0].delta
        if delta.tool_calls is None:
            if delta.content:
                events.append(TextDelta(index=self._open("text", choice, 0, events), text=delta.content))
            return True
        calls = [choice.calls.get(fragment.index) for fragment in delta.tool_calls]
        if delta.content or any(call is None or call.block is None for call in calls):
            return False
        for call, fragment in zip(calls, delta.tool_calls, strict=True):
            assert call is not None
            choice.last_call = call
            self._pass_on(call, fragment.function.arguments, choice, 0, events)
        return True

    def _read_any(self, data: bytes, events: list[Event]) -> None:
        fields = decode_answer(_CHUNK, data)
        error = fields.get("error")
        if error is not None and bytes(error) != answer.NULL:
            raise decode_in_band(fields) or Malformed("The upstream's stream holds an error.")
        choices = answer.items_of(fields.get("choices"))
        if not self._is_started:
            if not choices and "choices" not in fields and (failure := decode_in_band(fields)):
                raise failure
            self._start(fields, bool(choices), events)
        elif extras := self._extras(fields, _TOP):
            events.append(ExtrasDelta(level="response", fields=extras))
        for position, raw in enumerate(choices):
            self._choice(answer.fields_of(raw), position, events)
        usage = answer.usage_of(fields.get("usage"), reasoning_in_output=self._profile.reasoning_in_output_tokens)
        usage = usage or answer.usage_of(answer.fields_of(fields.get("x_groq")).get("usage"))
        self._usage = usage or self._usage

    def _start(self, fields: Mapping[str, Raw], has_choices: bool, events: list[Event]) -> None:
        id_ = answer.text_of(fields.get("id")) or ""
        if not id_ and not has_choices:
            return
        self._is_started = True
        self._constants = (
            answer.text_of(fields.get("system_fingerprint")),
            answer.text_of(fields.get("service_tier")),
        )
        start = Start(
            source=wire.NAME,
            id=id_,
            model=answer.text_of(fields.get("model")) or "",
            created=answer.number_of(fields.get("created")),
            service_tier=answer.text_of(fields.get("service_tier")),
            extras=self._extras(fields, _TOP),
        )
        events.append(start)

    def _extras(self, fields: Mapping[str, Raw], known: frozenset[str]) -> Extras:
        if fields.keys() <= known:
            return {}
        return {name: value for name, value in fields.items() if name not in known and bytes(value) != answer.NULL}

    def _choice(self, fields: Mapping[str, Raw], position: int, events: list[Event]) -> None:
        number = answer.number_of(fields.get("index"))
        index = position if number is None else number
        choice = self._choices.setdefault(index, _Choice())
        delta = answer.fields_of(fields.get("delta") or fields.get("message"))
        word = answer.text_of(fields.get("finish_reason"))
        if word in answer.FAILED_FINISHES:
            raise Interrupted("The upstream gave up in the middle of its answer.", code="upstream_error")
        if choice.finish is None or "tool_calls" in delta:  # Together gives a reason behind each of several calls
            self._delta(delta, choice, index, events)
        elif any(bytes(value) not in _NOTHING for name, value in delta.items() if name != "role"):
            events.append(Notice(path="stream", action="ignored", reason="content after the end", severity="hint"))
        if logprobs := answer.logprobs_of(fields.get("logprobs"), index):
            events.append(logprobs)
        if extras := self._extras(fields, _CHOICE):
            events.append(ExtrasDelta(level="choice", fields=extras, choice=index))
        if word and (choice.finish is None or word == "content_filter"):
            choice.finish = word

    def _delta(self, delta: Mapping[str, Raw], choice: _Choice, index: int, events: list[Event]) -> None:
        if not delta:
            return
        self._reasoning(delta, choice, index, events)
        for kind, piece in answer.content_pieces(delta.get("content")):
            if not piece:
                continue
            if kind == "reasoning":
                block = self._open("reasoning", choice, index, events)
                events.append(ReasoningDelta(index=block, text=piece))
            else:
                events.append(TextDelta(index=self._open("text", choice, index, events), text=piece))
        for citation in answer.citations_of(delta.get("annotations")):
            events.append(CitationDelta(index=self._open("text", choice, index, events), citation=citation))
        if refusal := answer.text_of(delta.get("refusal")):
            events.append(RefusalDelta(index=self._open("refusal", choice, index, events), text=refusal))
        for position, raw in enumerate(answer.items_of(delta.get("tool_calls"))):
            self._tool(answer.fields_of(raw), position, choice, index, events)
        if legacy := answer.fields_of(delta.get("function_call")):
            self._legacy(legacy, choice, index, events)
        if extras := self._extras(delta, MESSAGE):
            events.append(ExtrasDelta(level="message", fields=extras, choice=index))

    def _reasoning(self, delta: Mapping[str, Raw], choice: _Choice, index: int, events: list[Event]) -> None:
        """Read reasoning from its richest form: details say what the plain field says, and more."""
        details = [answer.fields_of(item) for item in answer.items_of(delta.get("reasoning_details"))]
        has_text = False
        for detail in details:
            text = answer.text_of(detail.get("text")) or answer.text_of(detail.get("summary")) or ""
            has_text = has_text or bool(text)
            self._detail(detail, text, choice, index, events)
        if not has_text and (text := answer.reasoning_text(delta)):
            events.append(ReasoningDelta(index=self._open("reasoning", choice, index, events), text=text))

    def _detail(
        self, detail: Mapping[str, Raw], text: str, choice: _Choice, index: int, events: list[Event]
    ) -> None:  # fmt: skip
        data, signature = answer.text_of(detail.get("data")), answer.text_of(detail.get("signature"))
        if data:
            self._close(choice, events)
            events.append(BlockStart(index=self._next_block, block=Reasoning(redacted=data), choice=index))
            events.append(BlockStop(index=self._next_block))
            self._next_block += 1
        elif text or signature:
            number = answer.number_of(detail.get("index"))
            if number is not None and choice.detail not in (None, number):
                self._close(choice, events)
            is_summary = answer.text_of(detail.get("type")) == "reasoning.summary"
            block = self._open("reasoning", choice, index, events, is_summary=is_summary)
            choice.detail = number
            if text:
                events.append(ReasoningDelta(index=block, text=text))
            if signature:
                events.append(SignatureDelta(index=block, signature=signature))

    def _open(
        self, kind: str, choice: _Choice, index: int, events: list[Event], *, is_summary: bool = False
    ) -> int:  # fmt: skip
        """Return the open block of this kind; the one that was open before is closed."""
        if choice.open_kind == kind:
            return choice.open_block
        self._close(choice, events)
        block: Text | Reasoning | Refusal = Text(text="")
        if kind == "reasoning":
            block = Reasoning(is_summary=is_summary)
        elif kind == "refusal":
            block = Refusal(text="")
        choice.open_kind, choice.open_block = kind, self._next_block
        self._next_block += 1
        events.append(BlockStart(index=choice.open_block, block=block, choice=index))
        return choice.open_block

    def _close(self, choice: _Choice, events: list[Event]) -> None:
        if choice.open_kind:
            events.append(BlockStop(index=choice.open_block))
            choice.open_kind = ""
            choice.detail = None

    def _tool(self, fields: Mapping[str, Raw], position: int, choice: _Choice, index: int, events: list[Event]) -> None:
        id_ = answer.text_of(fields.get("id")) or ""
        number = answer.number_of(fields.get("index"))
        call = self._call_of(id_, number, position, choice)
        call.id = call.id or id_
        custom = answer.fields_of(fields.get("custom"))
        function = custom or answer.fields_of(fields.get("function"))
        call.is_custom = call.is_custom or bool(custom)
        call.name = call.name or answer.text_of(function.get("name")) or ""
        call.extras |= {n: v for n, v in fields.items() if n not in ("id", "index", "type", "function", "custom")}
        piece = answer.arguments_of(function.get("input") if custom else function.get("arguments"))
        self._pass_on(call, piece, choice, index, events)

    def _call_of(self, id_: str, number: int | None, position: int, choice: _Choice) -> _Call:
        """Find the call that a fragment belongs to: a new id is a new call, whatever the index says."""
        key = number if number is not None else position
        if number is None and not id_ and choice.last_call is not None:
            return choice.last_call
        call = choice.calls.get(key)
        if call is None or (id_ and call.id and call.id != id_):
            known = next((c for c in choice.calls.values() if id_ and c.id == id_), None)
            call = known or _Call()
            choice.calls[key] = call
        choice.last_call = call
        return call

    def _pass_on(self, call: _Call, piece: str, choice: _Choice, index: int, events: list[Event]) -> None:
        if call.block is None:
            call.arguments += piece
            if not (call.id and call.name):
                return
            self._begin(call, choice, index, events)
            piece, call.arguments = call.arguments, ""
        if piece and call.block is not None:
            events.append(ArgumentsDelta(index=call.block, arguments=piece))

    def _begin(self, call: _Call, choice: _Choice, index: int, events: list[Event]) -> None:
        self._close(choice, events)
        call.block = self._next_block
        self._next_block += 1
        choice.has_calls = True
        kind: Literal["custom", "function"] = "custom" if call.is_custom else "function"
        block = ToolCall(id=call.id, name=call.name, arguments="", kind=kind, extras=call.extras)
        events.append(BlockStart(index=call.block, block=block, choice=index))

    def _legacy(self, fields: Mapping[str, Raw], choice: _Choice, index: int, events: list[Event]) -> None:
        call = choice.calls.setdefault(-1, _Call())
        call.id = call.id or "call_fn_0"
        call.name = call.name or answer.text_of(fields.get("name")) or ""
        self._pass_on(call, answer.arguments_of(fields.get("arguments")), choice, index, events)

    def _finish(self, events: list[Event], *, at_done: bool) -> None:
        """End the stream: close what is open, tell usage, then why each choice ended."""
        missing = not self._choices or any(choice.finish is None for choice in self._choices.values())
        if missing and self._profile.done == "required":
            self.failure = Interrupted("The upstream ended its answer without saying why.", code="incomplete_stream")
            return
        if not self._choices:
            self.failure = Malformed("The upstream sent no answer.", code="empty_response")
            return
        for index, choice in self._choices.items():
            for number, call in enumerate(choice.calls.values()):
                if call.block is None and call.name:
                    call.id = call.id or f"call_{number}"
                    self._pass_on(call, "", choice, index, events)
            self._close(choice, events)
            events += (
                BlockStop(index=call.block) for call in dict.fromkeys(choice.calls.values()) if call.block is not None
            )
        if self._usage is not None:
            events.append(self._usage)
        finishes: list[Finish] = [
            answer.finish_of(choice.finish, choice.has_calls, index) for index, choice in sorted(self._choices.items())
        ]
        events += finishes
        self.is_complete = True
