"""Legacy completions: https://platform.openai.com/docs/api-reference/completions (2026-11), as a face.

An upstream that has the endpoint is sent the request as it came. Any other is asked by a conversation: each prompt is a
message of the user's, the fields that both have mean the same, and the answer's text is the completion. What a
conversation cannot say is refused by its name: tokens as a prompt, a ``suffix``, the best of more answers than are
wanted, log probabilities of the prompt.

Deliberate divergences:

1. A prompt is required; the vendor begins a document of its own where there is none.
2. ``text_offset`` counts from the beginning of the ``text`` that it stands beside.
3. Fields that Chat has besides (``response_format``, ``top_k``, ...) are taken as Chat's, as look-alikes do.
"""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from ...canonical import (
    Choice,
    Logprobs,
    Media,
    Message,
    Notices,
    Opaque,
    Reasoning,
    Refusal,
    Request,
    Response,
    Text,
    ToolCall,
    ToolResult,
)
from ...codec import DEFAULT_LIMITS, CompletionForm, Envelope, HTTPCall, RequestLimits
from ...errors import MalformedRequest, Unsupported
from ...json_guard import decode_json, decode_object, whole
from ...json_pieces import (
    JsonField,
    JsonObject,
    bound,
    fields_of,
    items_of,
    missing,
    number_of,
    present,
    put_extras,
    text_of,
    without_null,
)
from ...token_estimate import estimated
from . import wire
from .request import read_fields
from .response import AnswerWriter, characters_of
from .usage import encode_usage

OBJECT: Final = "text_completion"
NO_FIELD: Final = "a completion is text"

# --- wire -> ours -----------------------------------------------------------------------------------------------------

_Prompt = str | list[str | int | list[int]] | None


class _Options(msgspec.Struct):
    include_usage: bool | None = None


class _Peek(msgspec.Struct):
    model: str | UnsetType = UNSET
    echo: bool | None = None
    max_tokens: JsonField = UNSET
    n: wire.Whole | None = None
    prompt: _Prompt = None
    prompt_cache_key: str | None = None
    stream: bool | None = None
    stream_options: _Options | None = None


class _Own(msgspec.Struct):
    """The fields that Chat does not have, or has in another form."""

    prompt: _Prompt = None
    best_of: wire.Whole | None = None
    echo: bool | None = None
    logprobs: Annotated[int, Meta(ge=0, le=2**31)] | None = None
    max_tokens: wire.Whole | None = None
    n: wire.Whole | None = None
    suffix: str | None = None


_PEEK: Final = msgspec.json.Decoder(_Peek)
_OWN: Final = msgspec.json.Decoder(_Own)
DEFAULT_MAX_TOKENS: Final = 16
_NOT_HERE: Final = ("messages", "tools", "functions", "tool_choice", "function_call", "modalities", "audio")
"""Chat's, and without sense where a prompt is completed."""
_PLACEHOLDER: Final = Raw(b'[{"role":"user","content":""}]')


def peek_completion(call: HTTPCall) -> Envelope:
    """Read what routing, and the form of the answer, need of a request.

    Raises:
        MalformedRequest: Not JSON, or a field of the envelope is missing or of the wrong type.
    """
    head = decode_json(_PEEK, call.body)
    model = call.model or head.model
    if model is UNSET:
        raise missing("model")
    prompts = _texts_of(head.prompt)
    return Envelope(
        operation="complete",
        model=model,
        stream=bool(head.stream),
        session=head.prompt_cache_key,
        max_output_tokens=number_of(present(head.max_tokens)),
        choices=whole(head.n, "n") or 1,
        include_usage=head.stream_options is not None and bool(head.stream_options.include_usage),
        completion=CompletionForm(prompts=max(1, len(prompts)), prefixes=prompts if head.echo else ()),
    )


def _texts_of(prompt: _Prompt) -> tuple[str, ...]:
    """Return the prompts; tokens, which are refused later or not ours to judge, as empty texts."""
    if prompt is None or isinstance(prompt, str):
        return () if prompt is None else (prompt,)
    if all(isinstance(item, int) for item in prompt):
        return ("",)
    return tuple(item if isinstance(item, str) else "" for item in prompt)


def decode_completion(call: HTTPCall, limits: RequestLimits = DEFAULT_LIMITS) -> Request:
    """Read a request as the conversation that stands for it; of several prompts, the others are ``alternatives``.

    Raises:
        MalformedRequest: With ``param``, the path of what is wrong.
        Unsupported: With ``param``, the path of what no conversation can say.
    """
    fields = without_null(decode_object(call.body))
    own = decode_json(_OWN, call.body)
    first, *others = _conversations(own.prompt, limits)
    for name in _NOT_HERE:
        if name in fields:
            raise MalformedRequest(
                f"Unrecognized request argument supplied: {name}", code="unknown_parameter", param=name
            )
    _refuse_unsayable(own)
    asked = {name: value for name, value in fields.items() if name not in _Own.__struct_fields__}
    asked |= {"messages": _PLACEHOLDER} | _said_by_chat(own)
    request = read_fields(asked, call, limits)
    return msgspec.structs.replace(request, messages=first, alternatives=tuple(others))


def _conversations(prompt: _Prompt, limits: RequestLimits) -> list[tuple[Message, ...]]:
    if prompt is None:
        raise missing("prompt")
    if isinstance(prompt, str):
        return [_conversation(prompt, "prompt")]
    if not prompt:
        raise MalformedRequest("Invalid 'prompt': send at least one.", code="empty_array", param="prompt")
    if all(isinstance(item, int) for item in prompt):
        raise _tokens("prompt")
    bound(len(prompt), limits.max_prompts, "prompt")
    return [_conversation(item, f"prompt[{position}]") for position, item in enumerate(prompt)]


def _conversation(prompt: str | int | list[int], at: str) -> tuple[Message, ...]:
    if isinstance(prompt, int):
        message = f"Invalid type for '{at}': a list holds texts, or tokens, not both."
        raise MalformedRequest(message, code="invalid_type", param=at)
    if not isinstance(prompt, str):
        raise _tokens(at)
    return (Message(role="user", content=(Text(text=prompt, at=at),), at=at),)


def _tokens(at: str) -> Unsupported:
    return Unsupported("The upstream that serves this model takes no tokens as a prompt: send text.", param=at)


def _refuse_unsayable(own: _Own) -> None:
    wanted, best_of = whole(own.n, "n") or 1, whole(own.best_of, "best_of")
    if best_of is not None and best_of < wanted:
        raise MalformedRequest("'best_of' must be at least 'n'.", code="invalid_value", param="best_of")
    if best_of is not None and best_of > wanted:
        raise Unsupported("The upstream that serves this model does not choose the best of more.", param="best_of")
    if own.suffix:
        raise Unsupported("The upstream that serves this model fills no gap: leave the suffix out.", param="suffix")
    if own.echo and own.logprobs is not None:
        raise Unsupported("The upstream that serves this model does not judge the prompt.", param="echo")
    if own.max_tokens == 0:
        raise Unsupported("The upstream that serves this model says at least one token.", param="max_tokens")


def _said_by_chat(own: _Own) -> dict[str, Raw]:
    """Return the own fields in Chat's form."""
    limit = whole(own.max_tokens, "max_tokens")
    said: JsonObject = {"max_tokens": DEFAULT_MAX_TOKENS if limit is None else limit}
    if own.n is not None:
        said["n"] = own.n
    if own.logprobs is not None:
        said["logprobs"] = True
        if own.logprobs:
            said["top_logprobs"] = own.logprobs
    return {name: Raw(msgspec.json.encode(value)) for name, value in said.items()}


# --- ours -> wire -----------------------------------------------------------------------------------------------------


def encode_completion(response: Response, envelope: Envelope, notices: Notices) -> bytes:
    """Write a whole answer for the caller."""
    writer = AnswerWriter(envelope, notices, is_own=response.source == wire.NAME)
    usage = response.usage or estimated(sum(map(characters_of, response.choices)))
    writer.report_usage(usage)
    body: JsonObject = {
        "id": completion_id(response.id, envelope),
        "object": OBJECT,
        "created": response.created or envelope.created,
        "model": envelope.model,
        "choices": [_encode_choice(choice, i, envelope, writer) for i, choice in enumerate(response.choices)],
        "usage": encode_usage(usage, is_own=writer.is_own),
    }
    return msgspec.json.encode(put_extras(body, writer.own(response.extras, "")))


_ID: Final = "cmpl-"


def completion_id(upstream_id: str, envelope: Envelope) -> str:
    """Return the id of an answer: the upstream's, said as one of a completion, or ours where it gave none."""
    stem = upstream_id or envelope.salt
    return stem if stem.startswith(_ID) else _ID + stem.removeprefix("chatcmpl-")


def prefix_of(choice: int, envelope: Envelope) -> str:
    """Return what the text of a choice begins with: its prompt, if that was asked for."""
    prefixes = envelope.completion.prefixes
    return prefixes[min(choice // envelope.choices, len(prefixes) - 1)] if prefixes else ""


def _encode_choice(choice: Choice, index: int, envelope: Envelope, writer: AnswerWriter) -> JsonObject:
    prefix = prefix_of(index, envelope)
    report_fields(choice, index, writer)
    return {
        "text": prefix + "".join(said_by(block, writer) for block in choice.blocks),
        "index": index,
        "logprobs": encode_old_logprobs(choice.logprobs, len(prefix)),
        "finish_reason": writer.finish(choice.finish, has_calls=False),
    }


def report_fields(choice: Choice, index: int, writer: AnswerWriter) -> None:
    """Report the unknown fields of a choice and its message: a completion has one level less."""
    for name in (*choice.extras, *choice.message_extras):
        writer.hint(f"choices[{index}].{name}", NO_FIELD)


def said_by(
    block: Text | Reasoning | ToolCall | ToolResult | Refusal | Media | Opaque, writer: AnswerWriter
) -> str:  # fmt: skip
    """Return what a block adds to the text; report what it does not."""
    at = block.at or "content"
    match block:
        case Text():
            writer.leave(block.extras, block.at)
            if block.citations:
                writer.lose(f"{at}.citations", NO_FIELD)
            return block.text
        case Refusal():
            return block.text
        case Reasoning() | ToolCall() | ToolResult() | Media() | Opaque():
            writer.lose(at, NO_FIELD)
            return ""


def encode_old_logprobs(logprobs: Logprobs | None, offset: int) -> JsonObject | None:
    """Return log probabilities in the form that they had before Chat; None: there are none.

    Args:
        logprobs: Of the text alone: a completion does not tell those of a refusal apart.
        offset: Where the first token stands in the text, in characters.
    """
    if logprobs is None or logprobs.content is None:
        return None
    tokens: list[str] = []
    chances: list[Raw | None] = []
    tops: list[dict[str, Raw]] = []
    offsets: list[int] = []
    for raw in logprobs.content:
        fields = fields_of(raw)
        token = text_of(fields.get("token")) or ""
        tokens.append(token)
        chances.append(fields.get("logprob"))
        tops.append(_tops(items_of(fields.get("top_logprobs"))))
        offsets.append(offset)
        offset += len(token)
    return {
        "tokens": tokens,
        "token_logprobs": chances,
        "top_logprobs": tops if any(tops) else None,
        "text_offset": offsets,
    }


def _tops(raws: Sequence[Raw]) -> dict[str, Raw]:
    """Return the likeliest tokens; of two that read the same, the likelier one, which comes first."""
    found: dict[str, Raw] = {}
    for fields in map(fields_of, raws):
        if (token := text_of(fields.get("token"))) is not None and "logprob" in fields:
            found.setdefault(token, fields["logprob"])
    return found
