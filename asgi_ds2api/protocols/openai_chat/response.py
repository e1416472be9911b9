"""A whole answer, both ways."""

from collections.abc import Mapping, Sequence
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
from ...json_guard import decode_answer
from ...profiles import Profile
from . import answer, wire
from .errors import decode_in_band

Json = dict[str, object]
_BODY: Final = msgspec.json.Decoder(dict[str, Raw])
_ENCODER: Final = msgspec.json.Encoder()
_ANSWER: Final = frozenset({"id", "object", "created", "model", "choices", "usage", "service_tier", "error"})
_CHOICE: Final = frozenset({"index", "finish_reason", "logprobs", "message", "delta", "text"})
MESSAGE: Final = frozenset(
    {
        "role",
        "content",
        "refusal",
        "tool_calls",
        "function_call",
        "annotations",
        "reasoning_details",
        *answer.REASONING_FIELDS,
    }
)

# --- wire -> ours -----------------------------------------------------------------------------------------------------


def decode_response(body: bytes, profile: Profile) -> Response:
    """Read an upstream's whole answer; see `codec.Codec.decode_response`."""
    fields = _checked(body)
    choices = answer.items_of(fields.get("choices"))
    decoded = [_choice(raw, position) for position, raw in enumerate(choices)]
    return Response(
        source=wire.NAME,
        id=answer.text_of(fields.get("id")) or "",
        model=answer.text_of(fields.get("model")) or "",
        choices=tuple(decoded),
        created=answer.number_of(fields.get("created")),
        usage=_usage(fields, profile),
        service_tier=answer.text_of(fields.get("service_tier")),
        extras={name: value for name, value in fields.items() if name not in _ANSWER},
    )


def tap_response(body: bytes) -> AnswerFacts:
    """Judge a whole answer that will be relayed; see `codec.Codec.tap_response`."""
    fields = _checked(body)
    first = answer.fields_of(answer.items_of(fields.get("choices"))[0])
    finish = answer.finish_of(answer.text_of(first.get("finish_reason")), has_calls=False, choice=0)
    return AnswerFacts(
        model=answer.text_of(fields.get("model")), usage=answer.usage_of(fields.get("usage")), finish=finish
    )


def _checked(body: bytes) -> dict[str, Raw]:
    fields = {name: value for name, value in decode_answer(_BODY, body).items() if bytes(value) != answer.NULL}
    if "error" in fields or not answer.items_of(fields.get("choices")):
        failure = decode_in_band(fields)
        raise failure or Malformed("The upstream's answer has no choices.")
    return fields


def _usage(fields: Mapping[str, Raw], profile: Profile) -> Usage | None:
    found = answer.usage_of(fields.get("usage"), reasoning_in_output=profile.reasoning_in_output_tokens)
    return found or answer.usage_of(answer.fields_of(fields.get("x_groq")).get("usage"))


def _choice(raw: Raw, position: int) -> Choice:
    fields = answer.fields_of(raw)
    message = answer.fields_of(fields.get("message"))
    at = f"choices[{position}].message"
    blocks = _blocks(message, at)
    word = answer.text_of(fields.get("finish_reason"))
    if word in answer.FAILED_FINISHES and not blocks:
        raise Malformed("The upstream's answer failed.", code="upstream_error")
    has_calls = any(isinstance(block, ToolCall) for block in blocks)
    logprobs = answer.logprobs_of(fields.get("logprobs"), position)
    return Choice(
        blocks=tuple(blocks),
        finish=answer.finish_of(word, has_calls, position),
        logprobs=None if logprobs is None else msgspec.structs.replace(logprobs, choice=0),
        message_extras={name: value for name, value in message.items() if name not in MESSAGE},
        extras={name: value for name, value in fields.items() if name not in _CHOICE},
    )


def _blocks(message: Mapping[str, Raw], at: str) -> list[Block]:
    blocks: list[Block] = list(reasoning_blocks(message, at))
    texts: list[str] = []
    for kind, piece in answer.content_pieces(message.get("content")):
        if kind == "reasoning":
            blocks.append(Reasoning(text=piece, at=f"{at}.content"))
        else:
            texts.append(piece)
    citations = tuple(answer.citations_of(message.get("annotations")))
    text = "".join(texts)
    if text or citations:
        blocks.append(Text(text=text, citations=citations, at=f"{at}.content"))
    if refusal := answer.text_of(message.get("refusal")):
        blocks.append(Refusal(text=refusal, at=f"{at}.refusal"))
    return [*blocks, *_calls(message, at)]


def reasoning_blocks(message: Mapping[str, Raw], at: str) -> list[Reasoning]:
    """Return reasoning from its richest form."""
    details = [answer.fields_of(item) for item in answer.items_of(message.get("reasoning_details"))]
    blocks: list[Reasoning] = []
    for index, detail in enumerate(details):
        place = f"{at}.reasoning_details[{index}]"
        kind = answer.text_of(detail.get("type"))
        if kind == "reasoning.encrypted":
            blocks.append(Reasoning(redacted=answer.text_of(detail.get("data")) or "", at=place))
            continue
        text = answer.text_of(detail.get("text")) or answer.text_of(detail.get("summary")) or ""
        signature = answer.text_of(detail.get("signature"))
        blocks.append(Reasoning(text=text, is_summary=kind == "reasoning.summary", signature=signature, at=place))
    text = answer.reasoning_text(message)
    if text and not any(block.text for block in blocks):
        blocks.insert(0, Reasoning(text=text, at=f"{at}.reasoning_content"))
    return blocks


def _calls(message: Mapping[str, Raw], at: str) -> list[ToolCall]:
    calls: list[ToolCall] = []
    for index, item in enumerate(answer.items_of(message.get("tool_calls"))):
        fields = answer.fields_of(item)
        place = f"{at}.tool_calls[{index}]"
        id_ = answer.text_of(fields.get("id")) or f"call_{index}"
        custom, function = answer.fields_of(fields.get("custom")), answer.fields_of(fields.get("function"))
        extras: Extras = {n: v for n, v in fields.items() if n not in ("id", "type", "index", "function", "custom")}
        if name := answer.text_of(custom.get("name")):
            calls.append(ToolCall(id=id_, name=name, arguments=answer.text_of(custom.get("input")) or "", kind="custom",
                                  extras=extras, at=place))  # fmt: skip
        elif name := answer.text_of(function.get("name")):
            arguments = answer.arguments_of(function.get("arguments"))
            calls.append(ToolCall(id=id_, name=name, arguments=arguments, extras=extras, at=place))
    legacy = answer.fields_of(message.get("function_call"))
    if not calls and (name := answer.text_of(legacy.get("name"))):
        arguments = answer.arguments_of(legacy.get("arguments"))
        calls.append(ToolCall(id="call_fn_0", name=name, arguments=arguments, at=f"{at}.function_call"))
    return calls


# --- ours -> wire -----------------------------------------------------------------------------------------------------


def encode_response(response: Response, envelope: Envelope, notices: Notices) -> bytes:
    """Write a whole answer for the caller."""
    is_own = response.source == wire.NAME
    body: Json = {
        "id": response.id or f"chatcmpl-{envelope.request_id}",
        "object": "chat.completion",
        "created": response.created or envelope.created,
        "model": envelope.model,
        "choices": [
            _choice_object(choice, index, envelope, is_own, notices) for index, choice in enumerate(response.choices)
        ],
    }
    if response.usage is not None:
        body["usage"] = answer.usage_object(response.usage, is_own=is_own)
        if not is_own:
            for name in response.usage.extras:
                notices.hint(f"usage.{name}", "this protocol has no such counter")
    if response.service_tier is not None:
        body["service_tier"] = response.service_tier
    write_extras(body, response.extras, "", is_own, notices)
    return _ENCODER.encode(body)


def _choice_object(choice: Choice, index: int, envelope: Envelope, is_own: bool, notices: Notices) -> Json:
    message = _message(choice.blocks, envelope, notices)
    has_calls = "tool_calls" in message or "function_call" in message
    write_extras(message, choice.message_extras, "", is_own, notices)
    explain_refusal(message, choice.finish)
    out: Json = {
        "index": index,
        "message": message,
        "logprobs": logprobs_object(choice.logprobs),
        "finish_reason": finish_word(choice.finish, has_calls=has_calls, is_legacy=envelope.legacy_functions),
    }
    report_finish(choice.finish, notices)
    write_extras(out, choice.extras, f"choices[{index}].", is_own, notices)
    return out


def _message(blocks: Sequence[Block], envelope: Envelope, notices: Notices) -> Json:
    texts: list[str] = []
    reasoning: list[Reasoning] = []
    refusals: list[str] = []
    calls: list[ToolCall] = []
    annotations: list[object] = []
    offset = 0
    for block in blocks:
        match block:
            case Text():
                annotations += annotations_of(block, offset, notices)
                texts.append(block.text)
                offset += len(block.text)
            case Reasoning():
                reasoning.append(block)
            case Refusal():
                refusals.append(block.text)
            case ToolCall():
                calls.append(block)
            case Media() | Opaque() | ToolResult():
                report_block(block, notices)
    out: Json = {"role": "assistant", "content": "".join(texts) if texts else None,
                 "refusal": "".join(refusals) if refusals else None}  # fmt: skip
    if annotations:
        out["annotations"] = annotations
    _write_reasoning(out, reasoning, envelope, notices)
    _write_calls(out, calls, envelope, notices)
    return out


def _write_reasoning(out: Json, reasoning: Sequence[Reasoning], envelope: Envelope, notices: Notices) -> None:
    if text := "".join(block.text for block in reasoning):
        out["reasoning_content"] = text
    if envelope.include_reasoning_details and reasoning:
        out["reasoning_details"] = [detail_object(block, index) for index, block in enumerate(reasoning)]
    else:
        report_signatures(reasoning, notices)


def _write_calls(out: Json, calls: Sequence[ToolCall], envelope: Envelope, notices: Notices) -> None:
    if calls and envelope.legacy_functions:
        out["function_call"] = {"name": calls[0].name, "arguments": calls[0].arguments or "{}"}
        for call in calls[1:]:
            notices.lost(call.at, "a caller of functions is told one call")
    elif calls:
        out["tool_calls"] = [_call_object(call) for call in calls]


def _call_object(call: ToolCall) -> Json:
    if call.kind == "custom":
        out: Json = {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    else:
        out = {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments or "{}"}}
    out.update(call.extras)
    return out


def finish_word(finish: Finish, *, has_calls: bool, is_legacy: bool) -> str:
    """Return the vendor's word; calls say more than the reason does."""
    if has_calls and finish.reason in ("stop", "tool_calls", "other", "stop_sequence"):
        return "function_call" if is_legacy else "tool_calls"
    match finish.reason:
        case "length" | "context_window" | "compaction":
            return "length"
        case "content_filter" | "refusal":
            return "content_filter"
        case "stop" | "stop_sequence" | "tool_calls" | "pause" | "other":
            return "stop"


def report_finish(finish: Finish, notices: Notices) -> None:
    """Say what the vendor's word cannot."""
    if finish.reason in ("pause", "compaction"):
        notices.changed("stop_reason", "this protocol has no such end")
    if finish.stop_sequence is not None:
        notices.hint("stop_sequence", "this protocol does not tell which one matched")


def explain_refusal(message: Json, finish: Finish) -> None:
    """Put the reason of a refusal where there is nothing else to read."""
    if finish.reason == "refusal" and not message.get("content") and not message.get("refusal"):
        message["refusal"] = finish.explanation or "The model declined to answer."


def logprobs_object(logprobs: Logprobs | None) -> Json | None:
    """Write log probabilities; both lists are always there."""
    if logprobs is None:
        return None
    content = None if logprobs.content is None else list(logprobs.content)
    return {"content": content, "refusal": None if logprobs.refusal is None else list(logprobs.refusal)}


def detail_object(block: Reasoning, index: int) -> Json:
    """Write reasoning with what its issuer needs to know it again."""
    if block.redacted is not None:
        return {"type": "reasoning.encrypted", "data": block.redacted, "index": index}
    kind, field = ("reasoning.summary", "summary") if block.is_summary else ("reasoning.text", "text")
    out: Json = {"type": kind, field: block.text, "index": index}
    if block.signature is not None:
        out["signature"] = block.signature
    return out


def report_signatures(blocks: Sequence[Reasoning], notices: Notices) -> None:
    """Say that a caller who did not ask for signatures is not told them."""
    for block in blocks:
        if block.redacted is not None:
            notices.lost(block.at or "content", "redacted reasoning goes to callers who ask for reasoning details")
        elif block.signature:
            notices.hint(block.at or "content", "signatures go to callers who ask for reasoning details")


def annotations_of(block: Text, offset: int, notices: Notices) -> list[object]:
    """Return the citations of a text as this protocol writes them."""
    found: list[object] = []
    for citation in block.citations:
        if citation.protocol == wire.NAME:
            found.append(citation.raw)
        elif citation.url is not None:
            start = offset if citation.start is None else offset + citation.start
            end = offset + len(block.text) if citation.end is None else offset + citation.end
            cited = {"start_index": start, "end_index": end, "url": citation.url, "title": citation.title or ""}
            found.append({"type": "url_citation", "url_citation": cited})
            notices.changed(citation.at or f"{block.at}.citations", "said as a link")
        else:
            notices.lost(citation.at or f"{block.at}.citations", "this protocol cites web pages only")
    return found


def report_block(block: Media | Opaque | ToolResult, notices: Notices) -> None:
    """Say that a block has no place in this protocol's answers."""
    notices.lost(block.at or "content", "this protocol has no such part of an answer")


def write_extras(out: Json, extras: Extras, at: str, is_own: bool, notices: Notices) -> None:
    """Write fields of this protocol back; report those of another."""
    if is_own:
        for name, value in extras.items():
            out.setdefault(name, value)
        return
    for name in extras:
        notices.hint(f"{at}{name}", "this protocol has no such field")
