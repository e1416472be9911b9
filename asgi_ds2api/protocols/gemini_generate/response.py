"""A whole answer, both ways.

What an upstream sends is read by ``answer_reader``, as one chunk of a stream is. Encoded again for this protocol, an
answer is JSON-equal to what came, but for this: neighbouring texts, and neighbouring thoughts, are one part; a part
without text is left out, but for one that is signed or stands alone; a call without an id has one; ``index``,
``modelVersion`` (the asked name) and totals are always there.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Raw

from ...canonical import (
    Block,
    Choice,
    Citation,
    Extras,
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
    field_at,
)
from ...codec import AnswerFacts, Envelope
from ...errors import Unsupported
from ...fold import fold
from ...json_guard import decode_answer
from ...json_pieces import JsonObject, put_extras
from ...profiles import Profile
from ...token_estimate import output_tokens
from . import wire
from .answer_reader import read_all
from .grounding import FIELD as GROUNDING
from .grounding import encode_citations
from .logprobs import encode_logprobs
from .media import encode_media
from .parts import is_mark, is_object, spelled
from .usage import encode_finish, encode_usage

# --- wire -> ours -----------------------------------------------------------------------------------------------------

_LIST: Final = msgspec.json.Decoder(list[Raw])
_FACTS: Final = Profile(vendor=wire.VENDOR)


def decode_response(body: bytes, profile: Profile, salt: str = "") -> Response:
    """Read an upstream's whole answer: one object, or the list of chunks of a stream.

    Raises:
        UpstreamError: Malformed, not complete, or an error inside a 200.
    """
    return fold(read_all(_chunks(body), profile, salt))


def tap_response(body: bytes) -> AnswerFacts:
    """Judge a whole answer that will be relayed as it is.

    Raises:
        UpstreamError: Malformed, empty, or an error inside a 200.
    """
    response = fold(read_all(_chunks(body), _FACTS))
    return AnswerFacts(model=response.model or None, usage=response.usage, finish=response.choices[0].finish)


def _chunks(body: bytes) -> Sequence[bytes]:
    if not body.lstrip().startswith(b"["):
        return (body,)
    return [bytes(chunk) for chunk in decode_answer(_LIST, body)]


# --- ours -> wire -----------------------------------------------------------------------------------------------------


def encode_response(response: Response, envelope: Envelope, notices: Notices) -> bytes:
    """Write a whole answer for the caller."""
    is_native = response.source == wire.NAME
    usage = response.usage or Usage(output_total=_estimated(response.choices))
    written: JsonObject = {}
    is_blocked = is_native and "promptFeedback" in response.extras and not response.choices[0].blocks
    if not is_blocked:
        written["candidates"] = [
            _candidate(choice, number, envelope, notices, is_native=is_native)
            for number, choice in enumerate(response.choices)
        ]
    if not is_native:
        report_top(response.extras, response.service_tier, response.created, notices)
    written |= {
        "usageMetadata": encode_usage(usage, notices, is_native=is_native),
        "modelVersion": envelope.model,
        "responseId": answer_id(response.id, envelope),
    }
    return msgspec.json.encode({**written, **response.extras} if is_native else written)


def _candidate(choice: Choice, number: int, envelope: Envelope, notices: Notices, *, is_native: bool) -> JsonObject:
    writer = AnswerWriter(envelope, notices, number, is_native=is_native)
    parts = [part for block in choice.blocks for part in writer.parts(block)]
    parts += writer.rest()
    likely = writer.likely(choice.logprobs) if choice.logprobs is not None else {}
    finish = encode_finish(choice.finish, is_native=is_native, is_spoiled=writer.is_spoiled, notices=notices)
    content: JsonObject = {"parts": parts or [{"text": ""}], "role": "model"}
    content.update(writer.report(choice.message_extras, "message"))
    return {
        "content": content,
        "finishReason": writer.refused(finish),
        "index": number,
        **likely,
        **writer.grounding(),
        **writer.report(choice.extras),
    }


def answer_id(upstream_id: str, envelope: Envelope) -> str:
    """Return the id of an answer: the upstream's, or one of ours if it gave none."""
    return upstream_id or envelope.salt


def report_top(extras: Extras, service_tier: str | None, created: int | None, notices: Notices) -> None:
    """Report what the vendor has no field for beside the candidates."""
    names = [*extras, *(["service_tier"] if service_tier is not None else ())]
    for name in (*names, *(["created"] if created is not None else ())):
        notices.hint(name, "Gemini has no such field")


def _estimated(choices: Sequence[Choice]) -> int:
    said = sum(len(b.text) for choice in choices for b in choice.blocks if isinstance(b, Text | Reasoning | Refusal))
    return output_tokens(said)


class AnswerWriter:
    """Writes the blocks of one candidate as parts.

    Args:
        envelope: What the caller asked.
        notices: Where losses are reported.
        number: Of the candidate.
        is_native: The answer came from this protocol.
    """

    def __init__(self, envelope: Envelope, notices: Notices, number: int, *, is_native: bool) -> None:
        self.is_native = is_native
        self.is_spoiled = False
        """A call could not be written: its arguments are no object."""
        self.shows_thoughts = is_native or envelope.include_thoughts
        self.signature: str | None = None
        """Of the part that comes next."""
        self._notices = notices
        self._number = number
        self._is_refused = False
        self._texts: list[str] = []
        self._citations: list[Citation] = []

    def parts(self, block: Block) -> list[JsonObject | Raw]:
        """Return a whole block as parts; none if there is nothing to show, or no way to show it (which is reported)."""
        if is_mark(block):
            assert isinstance(block, Reasoning)
            before = self.rest()
            self.signature = block.signature
            return before
        if isinstance(block, Reasoning):
            return self._thought(block)
        part = self._part(block)
        if part is None:
            return []
        if self.signature is not None and isinstance(part, dict):
            part["thoughtSignature"] = spelled(self.signature)
            self.signature = None
        return [part]

    def rest(self) -> list[JsonObject | Raw]:
        """Return the part that a signature needs which nothing follows."""
        if self.signature is None:
            return []
        signature, self.signature = self.signature, None
        return [{"text": "", "thoughtSignature": spelled(signature)}]

    def _thought(self, block: Reasoning) -> list[JsonObject | Raw]:
        proof = block.redacted if block.redacted is not None else block.signature
        if not block.text and proof is None:
            self.own(block.extras, block.at)
            return []
        if not self.shows_thoughts:
            self.hide(block)
            return []
        if block.is_summary:
            self._notices.hint(f"{block.at}.type", "a summary is shown as a thought")
        written: JsonObject = {"text": block.text, "thought": True}
        if proof is not None:
            written["thoughtSignature"] = spelled(proof)
        return [put_extras(written, self.own(block.extras, block.at))]

    def _part(self, block: Block) -> JsonObject | Raw | None:
        match block:
            case Text():
                return self._text(block)
            case ToolCall():
                return self._call(block)
            case Refusal():
                self.own(block.extras, block.at)
                self.refuse()
                self.said(block.text)
                return {"text": block.text} if block.text else None
            case Media():
                return self._media(block)
            case Opaque(protocol=wire.NAME):
                return block.raw
            case Opaque() | ToolResult():
                self._notices.lost(block.at or "content", "only the upstream's own protocol can show this block")
                return None
            case Reasoning():
                return None

    def _text(self, block: Text) -> JsonObject | None:
        self.said(block.text)
        for citation in block.citations:
            self.cite(citation)
        extras = self.own(block.extras, block.at)
        if not block.text and self.signature is None and not extras:
            return None
        return put_extras({"text": block.text}, extras)

    def _call(self, call: ToolCall) -> JsonObject | None:
        text = call.arguments.strip()
        arguments: object
        if call.kind == "custom":
            arguments = {"input": call.arguments}
        elif not text:
            arguments = None if self.is_native else {}
        elif is_object(text):
            arguments = Raw(text.encode())
        else:
            self._notices.lost(call.at or "tool_calls", "the model wrote a call that cannot be read")
            self.is_spoiled = True
            return None
        written: JsonObject = {"id": call.id, "name": call.name}
        if arguments is not None:
            written["args"] = arguments
        return put_extras({"functionCall": written}, self.own(call.extras, call.at or "tool_calls"))

    def _media(self, block: Media) -> JsonObject | None:
        extras = self.own(block.extras, block.at)
        try:
            written = encode_media(block)
        except Unsupported:
            written = None
        if written is None:
            self._notices.lost(block.at or "content", f"Gemini's answers hold no such {block.kind}")
            return None
        return put_extras(written, extras)

    # --- what the parts of a stream share with those of a whole -------------------------------------------------------

    def said(self, text: str) -> None:
        """Take note of what the answer says, for the places of citations."""
        self._texts.append(text)

    def cite(self, citation: Citation) -> None:
        """Take note of a citation. Those of this protocol are told by ``groundingMetadata`` as it came."""
        if citation.protocol == wire.NAME:
            return
        if citation.url is None:
            self._notices.lost(citation.at or "citations", "web pages alone are cited here")
        else:
            self._notices.changed(citation.at or "citations", "said as grounding", action="coerced")
            self._citations.append(citation)

    def hide(self, block: Reasoning) -> None:
        """Report a thought that the caller did not ask for."""
        self._notices.hint(block.at or "content", "thoughts go to callers who ask for them")

    def likely(self, logprobs: Logprobs) -> JsonObject:
        """Return probabilities; those of this protocol are told by ``logprobsResult`` as it came."""
        return {} if self.is_native else encode_logprobs(logprobs)

    def refuse(self) -> None:
        """Take note that the model declined."""
        self._is_refused = True

    def refused(self, word: str) -> str:
        """Return the word for the end: who declined has not simply stopped."""
        return "SAFETY" if self._is_refused and word == "STOP" and not self.is_native else word

    def grounding(self) -> JsonObject:
        """Return where the answer's words come from."""
        found = encode_citations(self._citations, "".join(self._texts)) if self._citations else None
        return {} if found is None else {GROUNDING: found}

    def report(self, extras: Extras, inner: str = "") -> Extras:
        """Return a candidate's extras if they are this protocol's own; else report each and return none."""
        return self.own(extras, f"choices[{self._number}]{'.' if inner else ''}{inner}")

    def own(self, extras: Extras, at: str) -> Extras:
        """Return the extras if they are this protocol's own; else report each and return none."""
        if not extras or self.is_native:
            return extras
        for name in extras:
            self._notices.hint(field_at(at, name), "Gemini has no such field")
        return {}
