"""The messages of a request, both ways.

Calls of ``function_call`` have no id, so they get one, ``call_fn_<n>``, that the next result of that name answers.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import UNSET, Raw

from ...canonical import (
    Block,
    CacheMark,
    Media,
    Message,
    Notices,
    Opaque,
    Reasoning,
    Refusal,
    Text,
    TextSource,
    ToolCall,
    ToolResult,
)
from ...codec import RequestLimits
from ...errors import Unsupported
from ...json_guard import decode_json
from ...json_pieces import NULL, JsonObject, Shape, bound, missing, present, put_extras, set_fields
from ..calls_and_results import report_error
from . import wire
from .call_marks import is_of_a_call, marks_of, split_mark, with_mark
from .content import AUDIO, BEHIND_A_CALL, Content, PartWriter, decode_content, read_content
from .reasoning import THOUGHT, encode_replay, richest

# --- wire -> ours -----------------------------------------------------------------------------------------------------

_LIST: Final[msgspec.json.Decoder[list[Raw]]] = msgspec.json.Decoder(list[Raw])
_MESSAGES: Final = msgspec.json.Decoder(list[wire.Message])
_MESSAGE: Final = Shape(wire.Message, function_call=Shape(wire.FunctionCall))
_CALL: Final = Shape(wire.ToolCall, function=Shape(wire.FunctionCall), custom=Shape(wire.CustomCall))
_NO_EXTRAS: Final[dict[str, Raw]] = {}


class _LegacyIds:
    """Ids for calls that have none."""

    def __init__(self) -> None:
        self._count = 0
        self._latest: dict[str | None, str] = {}

    def of_call(self, name: str) -> str:
        """Return the id of a new call."""
        id_ = self._latest[name] = f"call_fn_{self._count}"
        self._count += 1
        return id_

    def of_result(self, name: str | None) -> str:
        """Return the id of the call that a result answers."""
        return self._latest.pop(name, "") or f"call_fn_{name or ''}"


def decode_messages(messages: Sequence[wire.Message], limits: RequestLimits) -> tuple[Message, ...]:
    """Return the messages of a body of known shape.

    Raises:
        MalformedRequest: With ``param``: none, too many, or one that lacks what its role needs.
    """
    bound(len(messages), limits.max_messages, "messages", least=1)
    ids = _LegacyIds()
    decoded: list[Message] = []
    for position, message in enumerate(messages):
        at = f"messages[{position}]"
        content = None if message.content is None else decode_content(message.content, f"{at}.content", limits)
        calls = [
            _decode_call(call, _NO_EXTRAS, f"{at}.tool_calls[{i}]") for i, call in enumerate(message.tool_calls or ())
        ]
        decoded.append(_decode_message(message, content, calls, _NO_EXTRAS, at, ids))
    return tuple(decoded)


def read_messages(raw: Raw, limits: RequestLimits) -> tuple[Message, ...]:
    """Return the messages of a body of any shape; raises as `decode_messages`."""
    try:
        return decode_messages(_MESSAGES.decode(raw), limits)
    except (msgspec.ValidationError, UnicodeDecodeError):
        pieces = decode_json(_LIST, raw, "messages")
    bound(len(pieces), limits.max_messages, "messages", least=1)
    ids = _LegacyIds()
    return tuple([_read_message(piece, f"messages[{position}]", ids, limits) for position, piece in enumerate(pieces)])


def _read_message(raw: Raw, at: str, ids: _LegacyIds, limits: RequestLimits) -> Message:
    fields, extras = _MESSAGE.part(raw, at)
    content, calls = fields.pop("content", None), fields.pop("tool_calls", None)
    message = _MESSAGE.decode(fields, at)
    is_silent = content is None or bytes(content) == NULL
    blocks = None if content is None or is_silent else read_content(content, f"{at}.content", limits)
    decoded: list[ToolCall] = []
    if calls is not None and bytes(calls) != NULL:
        raws = decode_json(_LIST, calls, f"{at}.tool_calls")
        for position, call in enumerate(raws):
            place = f"{at}.tool_calls[{position}]"
            decoded.append(_decode_call(*_CALL.read(call, place), place))
    return _decode_message(message, blocks, decoded, extras, at, ids)


def _decode_message(
    message: wire.Message, content: tuple[Block, ...] | None, calls: Sequence[ToolCall], extras: dict[str, Raw],
    at: str, ids: _LegacyIds,
) -> Message:  # fmt: skip
    role = message.role
    match role:
        case "assistant":
            return _decode_assistant(message, content or (), calls, extras, at, ids)
        case "tool" | "function":
            return _decode_result(message, content or (), extras, at, ids)
        case _:
            if content is None:
                raise missing(f"{at}.content")
            if message.name is None and not extras:
                return Message(role=role, content=content, at=at)
            return Message(role=role, content=content, name=message.name, extras=extras, at=at)


def _decode_result(
    message: wire.Message, content: tuple[Block, ...], extras: dict[str, Raw], at: str, ids: _LegacyIds
) -> Message:  # fmt: skip
    call_id = ids.of_result(message.name) if message.role == "function" else message.tool_call_id
    if call_id is None:
        raise missing(f"{at}.tool_call_id")
    result = ToolResult(call_id=call_id, blocks=content, name=message.name, extras=extras, at=at)
    return Message(role="tool", content=(result,), at=at)


def _decode_assistant(
    message: wire.Message, content: tuple[Block, ...], calls: Sequence[ToolCall], extras: dict[str, Raw], at: str,
    ids: _LegacyIds,
) -> Message:  # fmt: skip
    blocks: list[Block] = []
    if message.reasoning_content or message.reasoning or message.reasoning_details or message.thinking_blocks:
        name = "reasoning_content" if message.reasoning_content else "reasoning"
        plain = Reasoning(text=message.reasoning_content or message.reasoning or "", at=f"{at}.{name}")
        blocks += richest(message.reasoning_details or (), message.thinking_blocks or (), plain, at)
    elif message.reasoning_content is not None:
        blocks.append(Reasoning(text="", at=f"{at}.reasoning_content"))  # a vendor may want to see that it is empty
    blocks += content
    if message.refusal is not None:
        blocks.append(Refusal(text=message.refusal, at=f"{at}.refusal"))
    if (audio := present(message.audio)) is not None:
        blocks.append(Opaque(protocol=wire.NAME, type=AUDIO, raw=audio, is_required=True, at=f"{at}.audio"))
    for made in calls:
        mark, rest = split_mark(made.extras, made.at) if made.extras else ([], made.extras)
        blocks += (*mark, msgspec.structs.replace(made, extras=rest) if mark else made)
    if message.function_call is not None:
        call = message.function_call
        blocks.append(
            ToolCall(
                id=ids.of_call(call.name),
                name=call.name,
                arguments=call.arguments or "",
                at=f"{at}.function_call",
            )
        )
    return Message(role="assistant", content=tuple(blocks), name=message.name, extras=extras, at=at)


def _decode_call(call: wire.ToolCall, extras: dict[str, Raw], at: str) -> ToolCall:
    if call.cache_control is not UNSET:
        extras = {**set_fields(call, "cache_control"), **extras}
    if call.type == "custom":
        if call.custom is None:
            raise missing(f"{at}.custom")
        text = call.custom.input or ""
        return ToolCall(id=call.id, name=call.custom.name, arguments=text, kind="custom", extras=extras, at=at)
    if call.function is None:
        raise missing(f"{at}.function")
    arguments = call.function.arguments or ""
    return ToolCall(id=call.id, name=call.function.name, arguments=arguments, extras=extras, at=at)


# --- ours -> wire -----------------------------------------------------------------------------------------------------


def encode_messages(messages: Sequence[Message], writer: PartWriter) -> tuple[list[JsonObject], list[str]]:
    """Return messages as JSON; those of another protocol have passed `pairing.pair_results`.

    Returns:
        They, and for each the place of what it came from.

    Raises:
        Unsupported: With ``param``, the path of what nothing can stand in for; or nothing is left to say.
    """
    written: list[JsonObject] = []
    places: list[str] = []
    for message in messages:
        match message.role:
            case "assistant":
                written += _encode_assistant(message, writer)
            case "system" | "developer":
                written += _encode_system(message, writer)
            case "user" | "tool":
                written += _encode_user(message, writer)
        places += [message.at] * (len(written) - len(places))
    if not written:
        raise Unsupported("Nothing of the conversation is left for this upstream.", param="messages")
    return written, places


def _encode_system(message: Message, writer: PartWriter) -> list[JsonObject]:
    wanted = writer.profile.system_role
    content = writer.content(message.content, keeps_parts=writer.is_own)
    if not content and not writer.is_own:
        return []
    role = message.role if wanted == "keep" else wanted
    return [_finished({"role": role, "content": content}, message, writer)]


def _encode_user(message: Message, writer: PartWriter) -> list[JsonObject]:
    blocks = message.content
    written: list[JsonObject] = []
    if any(type(block) is ToolResult for block in blocks):
        written = [_encode_result(block, writer) for block in blocks if type(block) is ToolResult]
        blocks = tuple(block for block in blocks if type(block) is not ToolResult)
    content = writer.content(blocks, keeps_parts=writer.is_own or writer.profile.text_parts)
    if content or (writer.is_own and not written):
        written.append(_finished({"role": "user", "content": content}, message, writer))
    elif not written:
        writer.notices.hint(message.at or "messages", "the message is empty")
    return written


def _encode_result(result: ToolResult, writer: PartWriter) -> JsonObject:
    content = writer.content(result.blocks, keeps_parts=writer.profile.text_parts)
    if result.cache is not None:
        content = _marked(content, result, writer)
    if result.is_error:
        report_error(result, "said in the text", writer.notices)
        content = f"Error: {content}" if isinstance(content, str) else [{"type": "text", "text": "Error:"}, *content]
    written: JsonObject = {"role": "tool", "tool_call_id": result.call_id, "content": content}
    if result.name is not None and writer.is_own:
        written["name"] = result.name
    return put_extras(written, writer.own(result.extras, result.at)) if result.extras else written


def _marked(content: Content, result: ToolResult, writer: PartWriter) -> Content:
    """Return a result's content with its cache mark at the last part."""
    parts: list[JsonObject | Raw] = [{"type": "text", "text": content}] if isinstance(content, str) else [*content]
    last = parts[-1]
    if not content or not isinstance(last, dict):
        writer.report_mark(result.cache, result.at)
        return content
    marked = writer.marked(last, result.cache, result.at)
    return content if marked is last else [*parts[:-1], marked]


def _encode_assistant(message: Message, writer: PartWriter) -> list[JsonObject]:
    said: list[list[Block]] = [[]]
    thought: list[Reasoning] = []
    calls: list[JsonObject] = []
    written: JsonObject = {"role": "assistant", "content": None}
    marks = marks_of(message.content, writer.notices)
    for position, block in enumerate(message.content):
        if type(block) is Text:
            said[-1].append(block)
            if calls and block.text:
                writer.notices.changed(block.at or "content", BEHIND_A_CALL, action="moved")
        elif type(block) is ToolCall:
            calls.append(with_mark(_encode_call(block, writer), marks.get(position)))
            said.append([])
        elif type(block) is Reasoning:
            thought += [] if is_of_a_call(block) else [block]
        else:
            said += (_placed(block, written, writer), [])
    content = writer.speech(said)
    if content or (any(said) and writer.is_own):
        written["content"] = content
    if thought:
        _think(thought, written, writer, has_calls=bool(calls))
    if calls:
        written["tool_calls"] = calls
        if writer.profile.reasoning_replay == "tool_turns":
            written.setdefault(writer.profile.reasoning_field, "")
    if len(written) == 2 and written["content"] is None and not writer.is_own:
        writer.notices.hint(message.at or "messages", "the message is empty")
        return []
    return [_finished(written, message, writer)]


def _think(thought: Sequence[Reasoning], written: JsonObject, writer: PartWriter, *, has_calls: bool) -> None:
    """Put earlier reasoning into an assistant's message, beside its content or before it."""
    fields = encode_replay(thought, writer.profile, writer.notices, is_own=writer.is_own, has_calls=has_calls)
    chunks, content = fields.pop(THOUGHT, None), written["content"]
    written.update(fields)
    if isinstance(chunks, list):
        parts = [{"type": "text", "text": content}] if isinstance(content, str) and content else content or []
        assert isinstance(parts, list)
        written["content"] = [*chunks, *parts]


def _placed(block: Block, written: JsonObject, writer: PartWriter) -> list[Block]:
    """Put a block beside the content of an assistant's message; return it if it belongs into the content."""
    match block:
        case Refusal() if not writer.profile.refusals:
            if block.text:
                writer.notices.changed(block.at or "content", "said in the text")
            writer.own(block.extras, block.at)
            return [Text(text=block.text, at=block.at)]
        case Refusal():
            written["refusal"] = f"{written.get('refusal', '')}{block.text}"
            for name in block.extras:
                writer.notices.unknown(block.at, name, "a refusal stands beside the content, as a text")
        case Opaque(protocol=wire.NAME, type=kind) if kind == AUDIO:
            written["audio"] = block.raw
        case Media(source=source) if not (writer.is_own or isinstance(source, TextSource)):
            writer.notices.lost(block.at or "content", "an assistant's message holds text only")
        case _:
            return [block]
    return []


def _encode_call(call: ToolCall, writer: PartWriter) -> JsonObject:
    if call.kind == "custom":
        if not writer.profile.custom_tools:
            raise Unsupported("The upstream takes functions only.", param=call.at or None)
        written: JsonObject = {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    else:
        function: JsonObject = {"name": call.name, "arguments": call.arguments or "{}"}
        written = {"id": call.id, "type": "function", "function": function}
    writer.report_mark(call.cache, call.at)
    return put_extras(written, writer.own(call.extras, call.at)) if call.extras else written


def _finished(written: JsonObject, message: Message, writer: PartWriter) -> JsonObject:
    if message.name is not None:
        written["name"] = message.name
    return put_extras(written, writer.own(message.extras, message.at)) if message.extras else written


def keep_latest_marks(messages: Sequence[Message], limit: int, notices: Notices) -> list[Message]:
    """Return the messages with the latest cache marks alone, as many as the vendor takes."""
    left = limit
    kept: list[Message] = []
    for message in reversed(messages):
        content: list[Block] = []
        for block in reversed(message.content):
            mark: CacheMark | None = getattr(block, "cache", None)
            if mark is None or isinstance(block, ToolCall):
                content.append(block)
            elif left > 0:
                left -= 1
                content.append(block)
            else:
                notices.hint(mark.at or f"{block.at}.cache_control", f"at most {limit} cache marks are taken")
                content.append(msgspec.structs.replace(block, cache=None))
        kept.append(msgspec.structs.replace(message, content=tuple(reversed(content))))
    return kept[::-1]
