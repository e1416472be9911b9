"""The items of a request, both ways: what was said, called, answered and thought, one after the other.

An item becomes one message; neighbours that the assistant said in one turn stay apart, so that each keeps its id and
its state. Written back, each block that is an item of its own is one again, and what stands together in a message is
joined.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import UNSET, Raw

from ...canonical import (
    Block,
    Extras,
    Message,
    Opaque,
    Reasoning,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from ...codec import RequestLimits
from ...errors import MalformedRequest
from ...json_guard import decode_json
from ...json_pieces import (
    NULL,
    JsonField,
    JsonObject,
    Shape,
    bound,
    fields_of,
    missing,
    present,
    put_extras,
    set_fields,
    text_of,
)
from ..calls_and_results import report_error
from . import wire
from .content import PartWriter, read_content
from .hosted import REFERENCE, decode_item, is_of_caller
from .reasoning import decode_thought, encode_thought, goes_on
from .tools import NAMESPACE, full_name, plain_name, read_tools

# --- wire -> ours -----------------------------------------------------------------------------------------------------

_LIST: Final[msgspec.json.Decoder[list[Raw]]] = msgspec.json.Decoder(list[Raw])
_TEXT: Final = msgspec.json.Decoder(str)
_KEPT: Final = ("id", "status", "caller")


class _Kind(msgspec.Struct):
    type: str | None = None
    role: JsonField = UNSET
    id: JsonField = UNSET


_KIND: Final = msgspec.json.Decoder(_Kind)
_MESSAGE: Final = Shape(wire.Message)
_CALL: Final = Shape(wire.FunctionCall)
_CUSTOM: Final = Shape(wire.CustomToolCall)
_OUTPUT: Final = Shape(wire.CallOutput)
_TOOLS: Final = Shape(wire.AdditionalTools)
_UPDATE: Final = Shape(wire.ConfigurationUpdate)
ADDITIONAL_TOOLS: Final = "additional_tools"
CUSTOM_OUTPUT: Final = "custom_tool_call_output"


class Said(msgspec.Struct, frozen=True):
    """What a ``configuration_update`` says in place of a field of the request's own."""

    raw: Raw
    at: str


class Input(msgspec.Struct):
    """What a list of items holds."""

    messages: list[Message] = []
    tools: list[Tool] = []
    """Those of ``additional_tools``: the model may use them as if they stood among the others."""
    updates: dict[str, Said] = {}
    """Field of the request -> what the last update says of it."""
    overruled: list[str] = []
    """Paths of what a later item says in another way; and of names of items that are not passed on as such."""
    is_referring: bool = False
    """Some items are only named."""

    def place_of(self, name: str) -> str:
        """Return where a field of the request stands that an update may have changed."""
        said = self.updates.get(name)
        return name if said is None else said.at


def read_input(raw: Raw, limits: RequestLimits) -> Input:
    """Return what ``input`` holds.

    Raises:
        MalformedRequest: With ``param``: no text and no items, or an item that lacks what its type needs.
    """
    found = Input()
    if bytes(raw).startswith(b'"'):
        text = Text(text=decode_json(_TEXT, raw, "input"), at="input")
        found.messages.append(Message(role="user", content=(text,), at="input"))
        return found
    if not bytes(raw).startswith(b"["):
        raise MalformedRequest(
            "Invalid type for 'input': expected a string or an array.", code="invalid_type", param="input"
        )
    items = decode_json(_LIST, raw, "input")
    bound(len(items), limits.max_messages, "input")
    for position, item in enumerate(items):
        _read_item(item, f"input[{position}]", found, limits)
    return found


def _read_item(raw: Raw, at: str, found: Input, limits: RequestLimits) -> None:
    kind = decode_json(_KIND, raw, at)
    match kind.type:
        case "message" | None if kind.type or present(kind.role) is not None:
            found.messages.append(_read_message(raw, at, limits))
        case None if present(kind.id) is None:
            raise missing(f"{at}.type")
        case "function_call" | "custom_tool_call":
            found.messages.append(Message(role="assistant", content=(_read_call(raw, kind.type, at),), at=at))
        case "function_call_output" | "custom_tool_call_output":
            found.messages.append(Message(role="tool", content=(_read_output(raw, kind.type, at, limits),), at=at))
        case "reasoning":
            found.messages.append(Message(role="assistant", content=tuple(decode_thought(raw, at)), at=at))
        case "additional_tools":
            told, _ = _TOOLS.read(raw, at)
            found.tools += read_tools(told.tools, f"{at}.tools", limits)
            found.messages.append(Message(role="user", content=(decode_item(raw, kind.type, at),), at=at))
        case "configuration_update":
            update, unknown = _UPDATE.read(raw, at)
            for name, said in set_fields(update, "reasoning", "text").items():
                if (earlier := found.updates.get(name)) is not None:
                    found.overruled.append(earlier.at)
                found.updates[name] = Said(said, f"{at}.{name}")
            found.overruled += [f"{at}.{name}" for name in set_fields(update, "id")]
            if unknown:  # what nobody here can honour stays an item, for the vendor's own protocol or for a Notice
                rest = Raw(msgspec.json.encode({"type": kind.type, **unknown}))
                found.messages.append(Message(role="user", content=(decode_item(rest, kind.type, at),), at=at))
        case _:
            type_ = kind.type or REFERENCE
            found.is_referring |= type_ == REFERENCE
            role: Role = "user" if is_of_caller(type_) else "assistant"
            found.messages.append(Message(role=role, content=(decode_item(raw, type_, at),), at=at))


def _read_message(raw: Raw, at: str, limits: RequestLimits) -> Message:
    message, unknown = _MESSAGE.read(raw, at)
    content = present(message.content)
    if content is None and message.role != "assistant":
        raise missing(f"{at}.content")
    blocks = () if content is None else read_content(content, f"{at}.content", limits)
    extras = {**set_fields(message, "id", "status", "phase"), **unknown}
    return Message(role=message.role, content=blocks, extras=extras, at=at)


def _read_call(raw: Raw, kind: str, at: str) -> ToolCall:
    if kind == "custom_tool_call":
        custom, unknown = _CUSTOM.read(raw, at)
        name, arguments, space, kept = custom.name, custom.input, custom.namespace, set_fields(custom, *_KEPT)
    else:
        call, unknown = _CALL.read(raw, at)
        name, arguments, space, kept = call.name, call.arguments, call.namespace, set_fields(call, *_KEPT)
    extras = {**kept, **unknown}
    if space:
        extras[NAMESPACE] = Raw(msgspec.json.encode(space))
    call_id = (call if kind == "function_call" else custom).call_id
    return ToolCall(
        id=call_id,
        name=full_name(space, name),
        arguments=arguments or "",
        kind="custom" if kind == "custom_tool_call" else "function",
        extras=extras,
        at=at,
    )


def _read_output(raw: Raw, kind: str, at: str, limits: RequestLimits) -> ToolResult:
    output, unknown = _OUTPUT.read(raw, at)
    extras = {**set_fields(output, "id", "status", "namespace", "caller"), **unknown}
    if kind == CUSTOM_OUTPUT:
        extras["type"] = Raw(msgspec.json.encode(kind))
    said = present(output.output)
    if said is None:
        raise missing(f"{at}.output")
    blocks = read_content(said, f"{at}.output", limits)
    return ToolResult(call_id=output.call_id, blocks=blocks, name=output.name, extras=extras, at=at)


def check_outputs(messages: Sequence[Message]) -> None:
    """Refuse a result whose call is nowhere.

    Raises:
        MalformedRequest: There is one.
    """
    blocks = [block for message in messages for block in message.content]
    called: set[str | None] = {block.id for block in blocks if isinstance(block, ToolCall)}
    called |= {text_of(fields_of(block.raw).get("call_id")) for block in blocks if isinstance(block, Opaque)}
    for block in blocks:
        if isinstance(block, ToolResult) and block.call_id not in called:
            raise MalformedRequest(
                f"No tool call found for the function call output of '{block.at}'.", code="unmatched_output",
                param="input",
            )  # fmt: skip


# --- ours -> wire -----------------------------------------------------------------------------------------------------

_MADE_HERE: Final = re.compile(rb'"[a-z]+_ds2[0-9A-Za-z_-]*"')
"""Ids of items that a gateway made: no vendor knows them."""


def encode_items(messages: Sequence[Message], writer: PartWriter) -> list[JsonObject | Raw]:
    """Return messages as items; those of another protocol have passed `pairing.pair_results`.

    Raises:
        Unsupported: With ``param``, the path of what nothing can stand in for.
    """
    kinds = {b.id: b.kind for message in messages for b in message.content if type(b) is ToolCall}
    written: list[JsonObject | Raw] = []
    for message in messages:
        written += _ItemWriter(message, kinds, writer).items()
    return written


class _ItemWriter:
    """Writes one message as items: what stands together in it is joined, calls, results and thoughts stand alone."""

    def __init__(self, message: Message, kinds: Mapping[str, str], writer: PartWriter) -> None:
        self._message = message
        self._kinds = kinds
        self._writer = writer
        self._written: list[JsonObject | Raw] = []
        self._joined: list[Block] = []
        self._is_said = False

    def items(self) -> list[JsonObject | Raw]:
        earlier: Block | None = None
        for block in self._message.content:
            match block:
                case ToolCall():
                    self._alone(encode_call(block, self._writer))
                case ToolResult():
                    self._alone(self._result(block))
                case Reasoning():
                    self._thought(block, earlier)
                case Opaque(protocol=wire.NAME, type=kind) if kind == ADDITIONAL_TOOLS:
                    self._writer.notices.hint(block.at, "its tools stand among the others", action="moved")
                case Opaque(protocol=wire.NAME) if block.at == self._message.at and len(self._message.content) == 1:
                    self._alone(without_made_id(block.raw))
                case _:
                    self._joined.append(block)
            earlier = block
        self._flush(is_last=True)
        if not self._is_said:  # nothing bears what belongs to the message
            self._report_name()
            self._writer.own(self._message.extras, self._message.at)
        return self._written

    def _thought(self, block: Reasoning, earlier: Block | None) -> None:
        self._flush()
        item = encode_thought(block, own_item(block.extras, block.at, self._writer), self._writer)
        if item and self._writer.is_own and goes_on(earlier, block) and self._written:
            summary = self._written.pop()
            assert isinstance(summary, dict)
            item = [{**item[0], **summary}]
        self._written += item

    def _alone(self, item: JsonObject | Raw) -> None:
        self._flush()
        self._written.append(item)

    def _flush(self, *, is_last: bool = False) -> None:
        message, writer = self._message, self._writer
        blocks, self._joined = self._joined, []
        is_empty = is_last and not self._written and not message.content and writer.is_own
        if not blocks and not is_empty:
            return
        is_assistant = message.role == "assistant"
        content = writer.content(blocks, "output_text" if is_assistant else "input_text")
        if not content and not writer.is_own:
            return
        item: JsonObject = {"role": "user" if message.role == "tool" else message.role, "content": content}
        self._report_name()
        extras = {} if self._is_said else own_item(message.extras, message.at, writer)
        self._is_said = True
        if "id" in extras and isinstance(content, str) and is_assistant:
            item["content"] = [{"type": "output_text", "text": content, "annotations": []}]
        self._written.append(put_extras({"type": "message", **item}, extras))

    def _report_name(self) -> None:
        if self._message.name is not None:
            self._writer.notices.lost(f"{self._message.at}.name", "who speaks has no name here")

    def _result(self, result: ToolResult) -> JsonObject:
        writer = self._writer
        blocks = result.blocks
        if result.is_error:
            report_error(result, "said at the beginning of the result", writer.notices)
            blocks = (Text(text="Error: "), *blocks)
            if all(type(block) is Text and not block.cache for block in blocks):
                blocks = (Text(text="".join(block.text for block in blocks if isinstance(block, Text))),)
        is_custom = self._kinds.get(result.call_id) == "custom"
        item: JsonObject = {
            "type": CUSTOM_OUTPUT if is_custom else "function_call_output",
            "call_id": result.call_id,
            "output": writer.content(blocks, "input_text"),
        }
        if result.name is not None and writer.is_own:
            item["name"] = result.name
        writer.report_mark(result.cache, result.at)
        return put_extras(item, own_item(result.extras, result.at, writer))


def encode_call(call: ToolCall, writer: PartWriter) -> JsonObject:
    """Return a call as an item."""
    writer.report_mark(call.cache, call.at)
    extras = own_item(call.extras, call.at, writer)
    name = plain_name(call.name, extras.get(NAMESPACE))
    item: JsonObject = {"type": "function_call", "call_id": call.id, "name": name, "arguments": call.arguments or "{}"}
    if call.kind == "custom":
        item = {"type": "custom_tool_call", "call_id": call.id, "name": name, "input": call.arguments}
    return put_extras(item, extras)


def own_item(extras: Extras, at: str, writer: PartWriter) -> Extras:
    """Return the extras of an item, without an id that only a gateway knows."""
    kept = writer.own(extras, at)
    id_ = kept.get("id")
    if id_ is not None and _MADE_HERE.fullmatch(bytes(id_)):
        writer.notices.tell(f"{at}.id", "made by a gateway: no vendor knows it", "hint")
        kept = {name: value for name, value in kept.items() if name not in ("id", "status")}
    return kept


def without_made_id(raw: Raw) -> Raw:
    """Return an item that is carried whole, without an id that only a gateway knows."""
    if b"_ds2" not in bytes(raw):
        return raw
    fields = msgspec.json.decode(raw, type=dict[str, Raw])
    if _MADE_HERE.fullmatch(bytes(fields.get("id", NULL))):
        del fields["id"]
    return Raw(msgspec.json.encode(fields))
