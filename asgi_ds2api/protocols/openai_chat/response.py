"""A whole answer, both ways.

What an upstream sends is read tolerantly: whatever fields are there, in the spelling of whichever vendor. A message has
no order between its parts, so blocks come as models mostly mean them: reasoning, text, refusal, pictures, calls.

Encoded again for this protocol, an answer is JSON-equal to what came, but for this (`normal` in the tests):

* fields that are null or empty lists; ``content``, ``refusal`` and ``logprobs`` are always there;
* the model's name, which is the asked one; an id, a time and a type that were missing; choices are in order;
* ``finish_reason`` is one of the vendor's words; ``function_call`` is a tool call; calls have a type and an id;
* reasoning is in ``reasoning_content``, and in ``reasoning_details`` for callers who carry them;
* content in pieces is text and reasoning; totals of usage are sums, and its figures stand where the vendor has them.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Raw

from ...canonical import (
    Base64Source,
    Block,
    Choice,
    Citation,
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
    UrlSource,
    Usage,
)
from ...codec import AnswerFacts, Envelope
from ...errors import Malformed
from ...json_guard import decode_answer
from ...json_pieces import NULL, JsonObject, fields_of, items_of, number_of, put_extras, rest_of, text_of, without_null
from ...profiles import Profile
from ...token_estimate import estimated
from ..answer_reports import AnswerReports
from . import wire
from .answer_parts import REASONING_FIELDS, choice_of, citations_of, content_pieces, images_of, logprobs_of
from .audio import opaque_audio
from .call_marks import is_of_a_call, mark_of, with_mark
from .calls import decode_calls
from .content import AUDIO, BEHIND_A_CALL
from .errors import decode_in_band
from .media import url_of
from .reasoning import decode_thought, encode_detail
from .usage import decode_finish, decode_usage, encode_finish, encode_usage, finish_failure

# --- wire -> ours -----------------------------------------------------------------------------------------------------

_BODY: Final = msgspec.json.Decoder(dict[str, Raw])
TOP: Final = frozenset(
    {"id", "object", "created", "model", "choices", "usage", "service_tier", "error", "obfuscation", "x_groq", "p"}
)
"""Fields of an answer that are read, or that pad it (``obfuscation``, ``p``); so are the next ones, of its parts."""
CHOICE: Final = frozenset({"index", "finish_reason", "logprobs", "message", "delta", "stop_reason"})
MESSAGE: Final = frozenset(
    {
        "role", "content", "refusal", "tool_calls", "function_call", "annotations", "audio", "images",
        "reasoning_details", "thinking_blocks", *REASONING_FIELDS,
    }
)  # fmt: skip
EMPTY: Final = frozenset({b'""', b"[]", b"{}"})
"""Values that say nothing."""


def decode_response(body: bytes, profile: Profile, salt: str = "") -> Response:
    """Read an upstream's whole answer.

    Raises:
        UpstreamError: Malformed, or an error inside a 200.
    """
    fields = _checked(body)
    id_ = text_of(fields.get("id")) or ""
    choices = [choice_of(raw) for raw in items_of(fields.get("choices"))]
    numbers = [number_of(choice.get("index")) for choice in choices]
    order = sorted(range(len(choices)), key=lambda position: (numbers[position] or 0, position))
    return Response(
        source=wire.NAME,
        id=id_,
        model=text_of(fields.get("model")) or "",
        choices=tuple(_decode_choice(choices[position], place, id_ + salt) for place, position in enumerate(order)),
        created=number_of(fields.get("created")),
        usage=usage_of(fields, profile),
        service_tier=text_of(fields.get("service_tier")),
        extras=top_extras(fields),
    )


def tap_response(body: bytes) -> AnswerFacts:
    """Judge a whole answer that will be relayed as it is.

    Raises:
        UpstreamError: Malformed, empty, or an error inside a 200.
    """
    fields = _checked(body)
    first = fields_of(items_of(fields["choices"])[0])
    word = text_of(first.get("finish_reason"))
    has_calls = bool(items_of(fields_of(first.get("message")).get("tool_calls")))
    if failure := finish_failure(word):
        raise failure
    return AnswerFacts(
        model=text_of(fields.get("model")),
        usage=decode_usage(fields.get("usage")),
        finish=decode_finish(word, has_calls=has_calls),
    )


def usage_of(fields: Mapping[str, Raw], profile: Profile) -> Usage | None:
    """Return the figures of an answer or a chunk, wherever they are; None: there are none."""
    is_inside = profile.reasoning_in_output_tokens
    found = decode_usage(fields.get("usage"), reasoning_in_output=is_inside)
    return found or decode_usage(fields_of(fields.get("x_groq")).get("usage"), reasoning_in_output=is_inside)


def top_extras(fields: Mapping[str, Raw]) -> Extras:
    """Return the fields of an answer or a chunk that have no canonical form."""
    extras = rest_of(fields, TOP)
    if "x_groq" in fields and (rest := rest_of(fields_of(fields["x_groq"]), ("usage",))):
        extras["x_groq"] = Raw(msgspec.json.encode(rest))
    return extras


def _checked(body: bytes) -> dict[str, Raw]:
    """Return the fields of an answer that are not null.

    Raises:
        UpstreamError: It is none.
    """
    if body.lstrip()[:1] == b"[" and (failure := decode_in_band(body)):  # Google's errors come in a list
        raise failure
    fields = without_null(decode_answer(_BODY, body))
    if not items_of(fields.get("choices")) or fields_of(fields.get("error")) or text_of(fields.get("error")):
        failure = decode_in_band(body)
        raise failure or Malformed("The upstream sent an answer without choices.", code="empty_response")
    return fields


def _decode_choice(fields: Mapping[str, Raw], position: int, salt: str) -> Choice:
    message = fields_of(fields.get("message"))
    at = f"choices[{position}].message"
    blocks = _decode_blocks(message, at, salt)
    word = text_of(fields.get("finish_reason"))
    if failure := finish_failure(word):
        raise failure
    has_calls = any(isinstance(block, ToolCall) for block in blocks)
    stop_reason = fields.get("stop_reason")
    return Choice(
        blocks=tuple(blocks),
        finish=decode_finish(word, has_calls=has_calls, stop_reason=stop_reason, choice=position),
        logprobs=logprobs_of(fields.get("logprobs"), position),
        message_extras=rest_of(message, MESSAGE),
        extras=choice_extras(fields),
    )


def choice_extras(fields: Mapping[str, Raw]) -> Extras:
    """Return the fields of a choice that have no canonical form."""
    extras = rest_of(fields, CHOICE)
    if "stop_reason" in fields and text_of(fields["stop_reason"]) is None and bytes(fields["stop_reason"]) != NULL:
        extras["stop_reason"] = fields["stop_reason"]  # vLLM's id of a token
    return extras


def _decode_blocks(message: Mapping[str, Raw], at: str, salt: str) -> list[Block]:
    blocks: list[Block] = [*decode_thought(message, at)]
    texts: list[Text] = []
    others: list[Opaque] = []
    for piece in content_pieces(message.get("content"), f"{at}.content"):
        match piece:
            case Text():
                texts.append(piece)
            case Reasoning():
                blocks.append(piece)
            case Opaque():
                others.append(piece)
    citations = tuple(citations_of(message.get("annotations"), f"{at}.annotations"))
    if texts or citations:
        extras = {name: value for text in texts for name, value in text.extras.items()}
        said = "".join(text.text for text in texts)
        blocks.append(Text(text=said, citations=citations, extras=extras, at=f"{at}.content"))
    blocks += others
    if refusal := text_of(message.get("refusal")):
        blocks.append(Refusal(text=refusal, at=f"{at}.refusal"))
    if audio := fields_of(message.get("audio")):
        blocks.append(opaque_audio(audio, f"{at}.audio"))
    blocks += images_of(message.get("images"), f"{at}.images")
    return [*blocks, *decode_calls(message, at, salt)]


# --- ours -> wire -----------------------------------------------------------------------------------------------------

_SHOWN: Final = ("content", "refusal", "tool_calls", "function_call", "audio", "images")
DECLINED: Final = "The model declined to answer."


def encode_response(response: Response, envelope: Envelope, notices: Notices) -> bytes:
    """Write a whole answer for the caller."""
    writer = AnswerWriter(envelope, notices, is_own=response.source == wire.NAME)
    usage = response.usage or estimated(sum(map(characters_of, response.choices)))
    writer.report_usage(usage)
    body: JsonObject = {
        "id": answer_id(response.id, envelope),
        "object": "chat.completion",
        "created": response.created or envelope.created,
        "model": envelope.model,
        "choices": [_encode_choice(choice, i, writer) for i, choice in enumerate(response.choices)],
        "usage": encode_usage(usage, is_own=writer.is_own),
    }
    if response.service_tier is not None:
        body["service_tier"] = response.service_tier
    return msgspec.json.encode(put_extras(body, writer.own(response.extras, "")))


def answer_id(upstream_id: str, envelope: Envelope) -> str:
    """Return the id of an answer: the upstream's, or one of ours if it gave none."""
    return upstream_id or f"chatcmpl-{envelope.salt}"


def characters_of(choice: Choice) -> int:
    """Return the length of what was said, for an estimate."""
    return sum(len(block.text) for block in choice.blocks if isinstance(block, Text | Reasoning))


def _encode_choice(choice: Choice, index: int, writer: "AnswerWriter") -> JsonObject:
    message = writer.message(choice.blocks)
    has_calls = "tool_calls" in message or "function_call" in message
    if not any(message.get(name) for name in _SHOWN):
        message["refusal"] = writer.declined(choice.finish)
    put_extras(message, writer.own(choice.message_extras, f"choices[{index}].message"))
    written: JsonObject = {
        "index": index,
        "message": message,
        "logprobs": encode_logprobs(choice.logprobs),
        "finish_reason": writer.finish(choice.finish, has_calls=has_calls),
        **writer.matched(choice.finish),
    }
    return put_extras(written, writer.own(choice.extras, f"choices[{index}]"))


def encode_logprobs(logprobs: Logprobs | None) -> JsonObject | None:
    """Return log probabilities as JSON; both lists are always there."""
    return None if logprobs is None else {"content": logprobs.content, "refusal": logprobs.refusal}


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

    def message(self, blocks: Sequence[Block]) -> JsonObject:
        """Return blocks as a message."""
        texts: list[str] = []
        thoughts: list[Reasoning] = []
        refusals: list[str] = []
        calls: list[tuple[ToolCall, Reasoning | None]] = []
        mark: Reasoning | None = None
        annotations: list[JsonObject | Raw] = []
        images: list[JsonObject] = []
        rest: JsonObject = {}
        length = 0
        for block in blocks:
            match block:
                case Text():
                    start, length = length, length + len(block.text)
                    annotations += self.annotations(block.citations, start, length)
                    texts.append(block.text)
                    self.leave(block.extras, block.at)
                    if calls and block.text and not self.is_own:
                        self._notices.changed(block.at or "content", BEHIND_A_CALL, action="moved")
                case Reasoning():
                    thoughts += [] if self.is_own and is_of_a_call(block) else [block]
                case Refusal():
                    refusals.append(block.text)
                case ToolCall():
                    calls.append((block, mark))
                case Opaque(protocol=wire.NAME, type=kind) if kind == AUDIO:
                    rest["audio"] = block.raw
                case Media() if (image := self.image(block)) is not None:
                    images.append(image)
                case Media() | Opaque() | ToolResult():
                    self.lose(block.at or "content", "no such part of an answer is known here")
            mark = mark_of(block, is_own=self.is_own)
        said, declined = "".join(texts) or None, "".join(refusals) or None
        written: JsonObject = {"role": "assistant", "content": said, "refusal": declined}
        if annotations:
            written["annotations"] = annotations
        if images:
            written["images"] = images
        return {**written, **rest, **self.thought(thoughts), **self._calls(calls)}

    def annotations(self, citations: Sequence[Citation], start: int, end: int) -> list[JsonObject | Raw]:
        """Return citations as this protocol writes them.

        Args:
            citations: Of one text.
            start: Where the text begins in the answer's text.
            end: Where it ends, as far as it is known.
        """
        found: list[JsonObject | Raw] = []
        for citation in citations:
            if citation.protocol == wire.NAME:
                found.append(citation.raw)
            elif citation.url is not None:
                cited = {
                    "start_index": start if citation.start is None else citation.start,
                    "end_index": end if citation.end is None else citation.end,
                    "url": citation.url,
                    "title": citation.title or "",
                }
                found.append({"type": "url_citation", "url_citation": cited})
                self._notices.changed(citation.at or "citations", "said as a link", action="coerced")
            else:
                self.lose(citation.at or "citations", "web pages alone are cited here")
        return found

    def image(self, block: Media) -> JsonObject | None:
        """Return a picture as those write it who extend the protocol; None: it is none, or is not here."""
        if block.kind != "image" or not isinstance(block.source, Base64Source | UrlSource):
            return None
        written: JsonObject = {"type": "image_url", "image_url": {"url": url_of(block.source)}}
        return put_extras(written, self.own(block.extras, block.at or "images"))

    def thought(self, thoughts: Sequence[Reasoning]) -> JsonObject:
        """Return the fields that hold reasoning."""
        written: JsonObject = {}
        if text := "".join(block.text for block in thoughts):
            written["reasoning_content"] = text
        if not self._envelope.include_reasoning_details:
            self.report_proofs(thoughts)
        elif details := [self._detail(block, i) for i, block in enumerate(thoughts)]:
            written["reasoning_details"] = details
        return written

    def thought_piece(self, piece: Reasoning, position: int) -> JsonObject:
        """Return the fields that hold a piece of reasoning."""
        written: JsonObject = {"reasoning_content": piece.text} if piece.text else {}
        if self._envelope.include_reasoning_details:
            written["reasoning_details"] = [self._detail(piece, position)]
        return written

    def _detail(self, block: Reasoning, position: int) -> JsonObject:
        self.own(block.extras, block.at or "content")
        return encode_detail(block, position, is_own=self.is_own)

    def report_proofs(self, thoughts: Sequence[Reasoning]) -> None:
        """Report what a caller is not told who cannot carry signatures."""
        for block in thoughts:
            at = block.at or "content"
            if block.redacted is not None:
                self.hint(at, "reasoning that is not shown goes to callers who ask for reasoning details")
            elif block.signature:
                self.hint(f"{at}.signature", "signatures go to callers who ask for reasoning details")
            if block.is_summary:
                self.hint(f"{at}.type", "a summary is shown as reasoning")
            for name in block.extras:
                self.hint(f"{at}.{name}", "what names reasoning goes to callers who ask for reasoning details")

    def _calls(self, calls: Sequence[tuple[ToolCall, Reasoning | None]]) -> JsonObject:
        if not calls:
            return {}
        if not self._envelope.legacy_functions:
            return {"tool_calls": [with_mark(self.call(call), mark) for call, mark in calls]}
        for call, _ in calls[1:]:
            self.lose(call.at or "tool_calls", "a caller of functions is told one call")
        return {"function_call": {"name": calls[0][0].name, "arguments": calls[0][0].arguments or "{}"}}

    def call(self, call: ToolCall) -> JsonObject:
        """Return a whole call."""
        if call.kind == "custom":
            written: JsonObject = {
                "id": call.id,
                "type": "custom",
                "custom": {"name": call.name, "input": call.arguments},
            }
        else:
            function = {"name": call.name, "arguments": call.arguments or "{}"}
            written = {"id": call.id, "type": "function", "function": function}
        return put_extras(written, self.own(call.extras, call.at or "tool_calls")) if call.extras else written

    def finish(self, finish: Finish, *, has_calls: bool) -> str:
        """Return the word for an end; report what it does not say."""
        if finish.reason in ("pause", "compaction", "other"):
            self._notices.changed(finish.at, "no such end is known here", action="coerced")
        if finish.details is not None and not self.is_own:
            self.hint("stop_details", "an end has no details here")
        return encode_finish(finish, has_calls=has_calls, is_legacy=self._envelope.legacy_functions)

    def matched(self, finish: Finish) -> JsonObject:
        """Return the stop sequence that matched, as vLLM tells it."""
        return {} if finish.stop_sequence is None else {"stop_reason": finish.stop_sequence}

    def declined(self, finish: Finish) -> str | None:
        """Return what is said for an answer in which there is nothing to read; None: it is no refusal."""
        is_refusal = finish.reason == "refusal" or (finish.reason == "content_filter" and not self.is_own)
        return finish.explanation or DECLINED if is_refusal else None
