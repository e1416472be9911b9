"""A whole answer, both ways.

What an upstream sends is read tolerantly: whatever fields are there. Each part of a message is a block, and so is every
other item; the first part of a message keeps what names the item (``item.id``). Fields in which an answer repeats its
request are its echo.

Encoded again for this protocol, an answer is JSON-equal to what came, but for this (`normal` in the tests):

* fields that are null are written where the vendor always has them, and left out elsewhere;
* the model's name is the asked one; an id, a time and a state that were missing are there; totals of usage are sums;
* ``annotations`` and ``logprobs`` are always there, and the probabilities of several texts stand at the last one;
* parts of a summary, and of reasoning, are one.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw

from ...canonical import (
    Block,
    Choice,
    Extras,
    Logprobs,
    Notices,
    Opaque,
    Refusal,
    Response,
    Text,
    ToolCall,
)
from ...codec import AnswerFacts, Envelope
from ...errors import Malformed
from ...json_guard import decode_answer
from ...json_pieces import fields_of, items_of, number_of, rest_of, text_of, without_null
from ...openai_errors import decode_in_band
from ...profiles import Profile
from . import wire
from .answer_writer import ITEM, AnswerWriter
from .compaction import encode_compaction
from .content import decode_citation
from .hosted import decode_item
from .reasoning import thoughts
from .tools import NAMESPACE, full_name
from .usage import decode_finish, decode_usage, finish_failure

# --- wire -> ours -----------------------------------------------------------------------------------------------------

_BODY: Final = msgspec.json.Decoder(dict[str, Raw])
ECHO: Final = frozenset(
    {
        "background", "conversation", "frequency_penalty", "instructions", "max_output_tokens", "max_tool_calls",
        "metadata", "parallel_tool_calls", "presence_penalty", "previous_response_id", "prompt", "prompt_cache_key",
        "prompt_cache_options", "prompt_cache_retention", "reasoning", "safety_identifier", "store", "temperature",
        "text", "tool_choice", "tools", "top_logprobs", "top_p", "truncation", "user",
    }
)  # fmt: skip
"""Fields in which an answer repeats its request."""
_TOP: Final = frozenset(
    {"id", "object", "created_at", "model", "output", "usage", "status", "error", "incomplete_details", "service_tier",
     "output_text"}
)  # fmt: skip
"""Fields of an answer that are read, or made anew; so are the next ones, of its parts."""
_CALL: Final = ("type", "call_id", "name", "arguments", "input", "status")
_PART: Final = ("type", "text", "annotations", "logprobs", "refusal")
_MESSAGE: Final = ("type", "role", "content", "status")
_REASONING: Final = ("type", "summary", "content", "encrypted_content", "status")
CALLS: Final = ("function_call", "custom_tool_call")


def decode_response(body: bytes, profile: Profile, salt: str = "") -> Response:
    """Read an upstream's whole answer.

    Raises:
        UpstreamError: Malformed, or an error inside a 200.
    """
    return response_of(_checked(body))


def response_of(fields: Mapping[str, Raw]) -> Response:
    """Return the answer of its fields."""
    blocks: list[Block] = []
    probable: list[Raw] = []
    for position, item in enumerate(items_of(fields.get("output"))):
        before = sum(len(block.text) for block in blocks if isinstance(block, Text))
        blocks += decode_output(item, f"output[{position}]", probable, before)
    has_calls = any(isinstance(block, ToolCall) for block in blocks)
    choice = Choice(
        blocks=tuple(blocks),
        finish=decode_finish(fields, has_calls=has_calls),
        logprobs=Logprobs(content=tuple(probable)) if probable else None,
    )
    return Response(
        source=wire.NAME,
        id=text_of(fields.get("id")) or "",
        model=text_of(fields.get("model")) or "",
        choices=(choice,),
        created=number_of(fields.get("created_at")),
        usage=decode_usage(fields.get("usage")),
        service_tier=text_of(fields.get("service_tier")),
        extras=rest_of(fields, _TOP | ECHO),
        echo=echo_of(fields),
    )


def echo_of(fields: Mapping[str, Raw]) -> Extras:
    """Return what an answer repeats of its request."""
    return {name: value for name, value in fields.items() if name in ECHO}


def top_extras(fields: Mapping[str, Raw]) -> Extras:
    """Return the fields of an answer that have no canonical form."""
    return rest_of(fields, _TOP | ECHO)


def tap_response(body: bytes) -> AnswerFacts:
    """Judge a whole answer that will be relayed as it is.

    Raises:
        UpstreamError: Malformed, or an error inside a 200.
    """
    return facts_of(_checked(body))


def facts_of(fields: Mapping[str, Raw]) -> AnswerFacts:
    """Return what an answer tells the Record."""
    has_calls = any(text_of(fields_of(item).get("type")) in CALLS for item in items_of(fields.get("output")))
    return AnswerFacts(
        model=text_of(fields.get("model")),
        usage=decode_usage(fields.get("usage")),
        finish=decode_finish(fields, has_calls=has_calls),
    )


def _checked(body: bytes) -> dict[str, Raw]:
    """Return the fields of an answer that are not null.

    Raises:
        UpstreamError: It is none.
    """
    fields = without_null(decode_answer(_BODY, body))
    if fields_of(fields.get("error")) or text_of(fields.get("error")) or "output" not in fields:
        raise decode_in_band(body) or Malformed("The upstream sent an answer without output.", code="empty_response")
    if failure := finish_failure(fields):
        raise failure
    return fields


def decode_output(raw: Raw, at: str, probable: list[Raw], before: int) -> list[Block]:
    """Return the blocks of an item of an answer.

    Args:
        raw: The item.
        at: Where it stands.
        probable: Takes the log probabilities of its texts.
        before: Length of the answer's text before it.
    """
    fields = fields_of(raw)
    kind = text_of(fields.get("type")) or ""
    match kind:
        case "message":
            return _decode_message(fields, at, probable, before)
        case "function_call" | "custom_tool_call" if text_of(fields.get("name")):
            call = decode_call(fields, at)
            text = text_of(fields.get("input" if call.kind == "custom" else "arguments"))
            return [msgspec.structs.replace(call, arguments=text or "")]
        case "reasoning":
            summary, content = items_of(fields.get("summary")), items_of(fields.get("content"))
            signature = text_of(fields.get("encrypted_content"))
            return [*thoughts(summary, content, signature, thought_extras(fields), at)]
        case _:
            return [decode_item(raw, kind or "unknown", at)]


def _decode_message(fields: Mapping[str, Raw], at: str, probable: list[Raw], before: int) -> list[Block]:
    extras = message_extras(fields)
    blocks: list[Block] = []
    for position, raw in enumerate(items_of(fields.get("content"))):
        part = fields_of(raw)
        probable += items_of(part.get("logprobs"))
        block = decode_part(raw, part, extras, f"{at}.content[{position}]", before)
        before += len(block.text) if isinstance(block, Text) else 0
        blocks.append(block)
        extras = {}
    return blocks


def decode_part(
    raw: Raw, fields: Mapping[str, Raw], extras: Extras, at: str, before: int = 0
) -> Text | Refusal | Opaque:  # fmt: skip
    """Return a part of a message.

    Args:
        raw: The part.
        fields: Of the part.
        extras: What the first part keeps of its message.
        at: Where it stands.
        before: Length of the answer's text before it.
    """
    more = {**extras, **rest_of(fields, _PART)}
    match text_of(fields.get("type")):
        case "refusal":
            return Refusal(text=text_of(fields.get("refusal")) or "", extras=more, at=at)
        case "output_text" | "text" | "input_text":
            annotations = items_of(fields.get("annotations"))
            cited = [decode_citation(item, f"{at}.annotations[{i}]", before) for i, item in enumerate(annotations)]
            return Text(text=text_of(fields.get("text")) or "", citations=tuple(cited), extras=more, at=at)
        case kind:
            return Opaque(protocol=wire.NAME, type=f"{ITEM}{kind or 'unknown'}", raw=raw, at=at)


def message_extras(fields: Mapping[str, Raw]) -> Extras:
    """Return what the first part of a message keeps of it."""
    return {f"{ITEM}{name}": value for name, value in rest_of(fields, _MESSAGE).items()}


def decode_call(fields: Mapping[str, Raw], at: str) -> ToolCall:
    """Return a call, without its arguments."""
    space = text_of(fields.get(NAMESPACE))
    return ToolCall(
        id=text_of(fields.get("call_id")) or text_of(fields.get("id")) or "",
        name=full_name(space, text_of(fields.get("name")) or ""),
        arguments="",
        kind="custom" if text_of(fields.get("type")) == "custom_tool_call" else "function",
        extras=rest_of(fields, _CALL),
        at=at,
    )


def thought_extras(fields: Mapping[str, Raw]) -> Extras:
    """Return the fields of an item of reasoning that have no canonical form."""
    return rest_of(fields, _REASONING)


# --- ours -> wire -----------------------------------------------------------------------------------------------------


def encode_response(response: Response, envelope: Envelope, notices: Notices) -> bytes:
    """Write a whole answer for the caller."""
    if envelope.operation == "compact":
        return encode_compaction(response, envelope, notices)
    is_own = response.source == wire.NAME
    writer = AnswerWriter(envelope, notices, is_own=is_own, answer_id=response.id)
    for number in range(1, len(response.choices)):
        writer.lose(f"choices[{number}]", "one answer at a time is given here")
    choice = response.choices[0]
    output = writer.output(choice.blocks, choice.finish, choice.logprobs)
    if not is_own:
        writer.own(choice.message_extras, "choices[0].message")
        writer.own(choice.extras, "choices[0]")
    body = writer.answer(
        created=response.created,
        service_tier=response.service_tier,
        echo=response.echo,
        extras=writer.own(response.extras, ""),
        finish=choice.finish,
        output=output,
        usage=response.usage or writer.estimate(choice.blocks),
    )
    return msgspec.json.encode(body)
