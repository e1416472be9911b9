"""A whole answer, both ways: a message, or, to a prompt, a text.

What an upstream sends is read tolerantly. A message has no order between its parts, so blocks come as models mostly
mean them: thinking, text, calls. Some servers answer with lines of a stream under the type of a whole answer; they are
added up.

Encoded again for this protocol, an answer is JSON-equal to what came, but for this (`normal` in the tests):

* fields that are null or empty; ``content`` is always there, and so are the figures, none of them zero where they are
  times;
* the model's name, which is the asked one; ``created_at``, which has whole seconds;
* calls have an id and are numbered;
* an answer to a prompt has no calls, and one to a talk has no ``context``.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Raw

from ...canonical import (
    Block,
    Choice,
    Extras,
    Finish,
    Logprobs,
    Media,
    Notices,
    Opaque,
    Reasoning,
    Refusal,
    Response,
    Text,
    ToolCall,
    ToolResult,
    Usage,
)
from ...codec import AnswerFacts, Envelope
from ...errors import Malformed
from ...framing import escape_line_ends
from ...json_guard import decode_answer
from ...json_pieces import JsonObject, fields_of, items_of, put_extras, rest_of, text_of, without_null
from ...profiles import Profile
from ...token_estimate import estimated
from ..answer_reports import AnswerReports
from . import wire
from .answer_parts import MESSAGE, TOP, arguments_object, call_of, is_true, logprobs_of, message_of
from .errors import decode_in_band
from .operations import rfc3339, seconds_of
from .usage import UNTOLD, decode_finish, decode_usage, encode_finish, encode_usage

# --- wire -> ours -----------------------------------------------------------------------------------------------------

_BODY: Final = msgspec.json.Decoder(dict[str, Raw])


def decode_response(body: bytes, profile: Profile, salt: str = "") -> Response:
    """Read an upstream's whole answer.

    Raises:
        UpstreamError: Malformed, or an error inside a 200.
    """
    fields = _checked(_whole(body))
    message = message_of(fields)
    created = text_of(fields.get("created_at")) or ""
    blocks = _decode_blocks(message, created + salt)
    has_calls = any(isinstance(block, ToolCall) for block in blocks)
    choice = Choice(
        blocks=tuple(blocks),
        finish=decode_finish(fields, has_calls=has_calls),
        logprobs=logprobs_of(fields),
        message_extras=rest_of(message, MESSAGE),
    )
    return Response(
        source=wire.NAME,
        id="",
        model=text_of(fields.get("model")) or "",
        choices=(choice,),
        created=seconds_of(created),
        usage=decode_usage(fields),
        extras=rest_of(fields, TOP),
    )


def tap_response(body: bytes) -> AnswerFacts:
    """Judge a whole answer that will be relayed as it is.

    Raises:
        UpstreamError: Malformed, empty, or an error inside a 200.
    """
    fields = _checked(_whole(body))
    has_calls = bool(items_of(message_of(fields).get("tool_calls")))
    return AnswerFacts(
        model=text_of(fields.get("model")) or None,
        usage=decode_usage(fields),
        finish=decode_finish(fields, has_calls=has_calls),
    )


def _whole(body: bytes) -> bytes:
    """Return the one document of a body; of lines of a stream, the document that they add up to."""
    lines = body.split(b"\n")
    if len(lines) < 2 or not lines[0].rstrip().endswith(b"}") or not any(line.strip() for line in lines[1:]):
        return body
    pieces = [fields_of(decode_answer(_RAW, line.strip())) for line in lines if line.strip()]
    return msgspec.json.encode(_joined(pieces))


_RAW: Final[msgspec.json.Decoder[Raw]] = msgspec.json.Decoder(Raw)


def _joined(pieces: Sequence[dict[str, Raw]]) -> JsonObject:
    """Return the answer that lines of a stream tell: texts are added, calls are collected, the rest is assigned."""
    if failed := next((piece for piece in pieces if "error" in piece), None):
        return dict(failed)
    said = {"content": "", "thinking": ""}
    calls: list[Raw] = []
    logprobs: list[Raw] = []
    rest: Extras = {}
    for piece in pieces:
        message = message_of(piece)
        said = {name: text + (text_of(message.get(name)) or "") for name, text in said.items()}
        calls += items_of(message.get("tool_calls"))
        logprobs += items_of(piece.get("logprobs"))
        rest |= rest_of(message, MESSAGE)
    whole: JsonObject = {name: value for piece in pieces for name, value in piece.items() if name not in _SAID}
    message_fields: JsonObject = {"role": "assistant", **said, "tool_calls": calls, **rest}
    return {**whole, "created_at": pieces[0].get("created_at"), "message": message_fields, "logprobs": logprobs}


_SAID: Final = frozenset({"message", "response", "thinking", "logprobs", "created_at"})


def _checked(body: bytes) -> dict[str, Raw]:
    """Return the fields of an answer that are not null.

    Raises:
        UpstreamError: It is none.
    """
    fields = without_null(decode_answer(_BODY, body))
    if "error" in fields or not ("message" in fields or "response" in fields):
        failure = decode_in_band(body)
        raise failure or Malformed("The upstream sent an answer without a message.", code="empty_response")
    if not is_true(fields.get("done")):
        raise Malformed("The upstream sent an answer that is not done.", code="incomplete_stream")
    return fields


def _decode_blocks(message: dict[str, Raw], salt: str) -> list[Block]:
    blocks: list[Block] = []
    if thinking := text_of(message.get("thinking")):
        blocks.append(Reasoning(text=thinking, at="message.thinking"))
    if content := text_of(message.get("content")):
        blocks.append(Text(text=content, at="message.content"))
    for position, raw in enumerate(items_of(message.get("tool_calls"))):
        call = call_of(raw, salt, position)
        at = f"message.tool_calls[{position}]"
        blocks.append(call or Opaque(protocol=wire.NAME, type="tool_call", raw=raw, at=at))
    return blocks


# --- ours -> wire -----------------------------------------------------------------------------------------------------

DECLINED: Final = "The model declined to answer."
MESSAGE_AT: Final = "choices[0].message"
"""Where the fields of another protocol's message stand: an answer of this one has no fields that are reported."""


def encode_response(response: Response, envelope: Envelope, notices: Notices) -> bytes:
    """Write a whole answer for the caller."""
    writer = AnswerWriter(envelope, notices, is_own=response.source == wire.NAME)
    choice = response.choices[0]
    for number in range(1, len(response.choices)):
        writer.lose(f"choices[{number}]", "one answer is told here")
    writer.report_tier(response.service_tier)
    writer.own(choice.extras, "choices[0]")
    usage = response.usage or estimated(sum(len(b.text) for b in choice.blocks if isinstance(b, Text | Reasoning)))
    said = writer.said(choice.blocks)
    if not any(said.values()):
        said["content"] = writer.declined(choice.finish)
    message = put_extras(said, writer.own(choice.message_extras, MESSAGE_AT))
    body = {**writer.head(response.created), **writer.message(message), "done": True}
    if choice.logprobs is not None and (told := tokens_of(choice.logprobs)):
        body["logprobs"] = told
    body |= writer.end(choice.finish, usage, first_s=0.0)
    whole = msgspec.json.encode(put_extras(body, writer.own(response.extras, "")))
    return escape_line_ends(whole)  # as in the lines of a stream: what is carried as JSON reads the same


def tokens_of(logprobs: Logprobs) -> list[Raw]:
    """Return probabilities of all that is said: a refusal is a text here, and follows the rest."""
    return [*(logprobs.content or ()), *(logprobs.refusal or ())]


class AnswerWriter(AnswerReports):
    """Writes the parts of an answer, whole or streamed.

    Args:
        envelope: What the caller asked.
        notices: Where losses are reported, each path once.
        is_own: The answer came from this protocol.
    """

    def __init__(self, envelope: Envelope, notices: Notices, *, is_own: bool) -> None:
        super().__init__(notices, is_own=is_own)
        self._envelope = envelope

    def head(self, created: int | None) -> JsonObject:
        """Return what every object begins with."""
        return {"model": self._envelope.model, "created_at": rfc3339(created or self._envelope.created)}

    def message(self, said: JsonObject) -> JsonObject:
        """Return what is said where this caller looks for it: a prompt is answered with a text."""
        if not self._envelope.plain_prompt:
            return {"message": {"role": "assistant", **said}}
        if said.pop("tool_calls", None):
            self.lose("tool_calls", "a prompt is answered with a text")
        return {"response": said.pop("content", ""), **said}

    def said(self, blocks: Sequence[Block]) -> JsonObject:
        """Return blocks as the fields of a message."""
        texts: list[str] = []
        thoughts: list[str] = []
        calls: list[JsonObject] = []
        for block in blocks:
            match block:
                case Text() | Refusal():
                    texts.append(self.text(block))
                case Reasoning():
                    thoughts.append(block.text)
                    self.report_proof(block)
                case ToolCall():
                    calls.append(self.call(block, len(calls)))
                case Media() | Opaque() | ToolResult():
                    self.lose(block.at or "content", "no such part of an answer is known here")
        written: JsonObject = {"content": "".join(texts)}
        if any(thoughts):
            written["thinking"] = "".join(thoughts)
        if calls:
            written["tool_calls"] = calls
        return written

    def text(self, block: Text | Refusal) -> str:
        """Return a text; report what hangs on it."""
        if isinstance(block, Text):
            for citation in block.citations:
                self.lose(citation.at or "citations", "an answer cites nothing here")
        elif block.text:
            self.report_refusal(block)
        self.leave(block.extras, block.at)
        return block.text

    def report_refusal(self, block: Refusal) -> None:
        """Report once that a refusal is a text like any other here."""
        self.change(block.at or "refusal", "said as text")

    def call(self, call: ToolCall, position: int) -> JsonObject:
        """Return a whole call."""
        text = call.arguments
        if call.kind == "custom":  # free text, which stands in an object wherever there are functions only
            text = msgspec.json.encode({"input": text}).decode()
        arguments, is_changed = arguments_object(text)
        if is_changed or call.kind == "custom":
            self._notices.changed(f"{call.at or 'tool_calls'}.arguments", "arguments are an object here", "coerced")
        function: JsonObject = {"index": position, "name": call.name, "arguments": arguments}
        return put_extras({"id": call.id, "function": function}, self.own(call.extras, call.at or "tool_calls"))

    def report_proof(self, block: Reasoning) -> None:
        """Report what a caller is not told who cannot carry signatures."""
        at = block.at or "content"
        if block.redacted is not None:
            self.hint(at, "reasoning that is not shown has no place here")
        elif block.signature:
            self.hint(f"{at}.signature", "signatures have no place here")
        if block.is_summary:
            self.hint(f"{at}.type", "a summary is shown as thinking")
        self.leave(block.extras, at)

    def end(self, finish: Finish, usage: Usage, *, first_s: float) -> JsonObject:
        """Return what the last object says: why it ended, and the figures."""
        if finish.reason in ("content_filter", "refusal", "pause", "compaction", "other") and not self.is_own:
            self._notices.changed(finish.at, "no such end is known here", action="coerced")
        if finish.stop_sequence is not None:
            self.hint("stop_sequence", "the text that matched is not told here")
        if finish.details is not None:
            self.hint("stop_details", "an end has no details here")
        self._report_counters(usage)
        figures = encode_usage(usage, is_own=self.is_own, first_s=first_s, total_s=self._envelope.elapsed_s())
        return {"done_reason": encode_finish(finish, is_own=self.is_own), **figures}

    def _report_counters(self, usage: Usage) -> None:
        """Report what the figures do not tell: they are whole numbers of tokens, in and out."""
        if self.is_own:
            return
        self.own(usage.extras, "usage")
        for name in UNTOLD:
            if getattr(usage, name):
                self.hint(f"usage.{name}", "tokens are counted whole here")
        if usage.cache_write_5m is not None or usage.cache_write_1h is not None:
            self.hint("usage.cache_creation", "tokens are counted whole here")

    def report_tier(self, service_tier: str | None) -> None:
        """Report which tier served the request; that an answer has no id here goes without saying."""
        if service_tier is not None and not self.is_own:
            self.hint("service_tier", "answers have no such field here")

    def declined(self, finish: Finish) -> str:
        """Return what is said for an answer in which there is nothing to read; empty: it is no refusal."""
        is_refusal = finish.reason in ("refusal", "content_filter")
        return finish.explanation or DECLINED if is_refusal else ""
