"""The messages of a request, both ways.

Clients of Ollama lose the ids of calls (the official one of Python has no field for them), and results name the tool at
most. So every call gets an id, ``call_<turn>_<n>``, that is the same whenever the talk is sent again; a result belongs
to the call of its id, else to the first open one of its name, else, without a name, to the first open one.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import UNSET, Raw

from ...canonical import (
    Block,
    BlocksSource,
    CacheMark,
    Extras,
    Media,
    Message,
    Notices,
    Opaque,
    Reasoning,
    Refusal,
    Role,
    Text,
    TextSource,
    ToolCall,
    ToolResult,
)
from ...codec import RequestLimits
from ...errors import MalformedRequest, Unsupported
from ...json_guard import decode_json
from ...json_pieces import NULL, JsonObject, Shape, bound, put_extras
from ...seal import PREFIX
from ..calls_and_results import made_up_result, report_error
from . import wire
from .answer_parts import arguments_object
from .media import decode_image, encode_image, is_as_said

# --- wire -> ours -----------------------------------------------------------------------------------------------------

_LIST: Final[msgspec.json.Decoder[list[Raw]]] = msgspec.json.Decoder(list[Raw])
_MESSAGE: Final = Shape(wire.Message)
_CALL: Final = Shape(wire.ToolCall, function=Shape(wire.FunctionCall))
_NO_EXTRAS: Final[Extras] = {}


class _Calls:
    """The calls of a talk that wait for a result."""

    def __init__(self) -> None:
        self._open: list[tuple[str, str]] = []
        """Id and name."""
        self._known: set[str] = set()
        self._made: set[str] = set()
        self._strays = 0

    def id_of(self, call: wire.ToolCall, turn: int, position: int) -> str:
        """Return the id of a new call, its own or a made one."""
        id_ = call.id or f"call_{turn}_{position}"
        while not call.id and id_ in self._known:
            id_ += "_"
        if not call.id:
            self._made.add(id_)
        self._known.add(id_)
        self._open.append((id_, call.function.name))
        return id_

    def answered(self, given: str | None, name: str | None) -> tuple[str, str | None]:
        """Return id and name of the call that a result answers; a made id and no name where there is no such call."""
        found = next((call for call in self._open if call[0] == given), None) if given else None
        if found is None and given not in self._known:
            nameless = [call for call in self._open if not given or call[0] in self._made]
            found = next((call for call in nameless if name is None or call[1] == name), None)
        if found is not None:
            self._open.remove(found)
            return found
        self._strays += 1
        return given or f"call_none_{self._strays}", None


def decode_messages(messages: Sequence[wire.Message], limits: RequestLimits) -> tuple[Message, ...]:
    """Return the messages of a body of known shape.

    Raises:
        MalformedRequest: With ``param``: none, too many, or one that cannot be meant.
    """
    bound(len(messages), limits.max_messages, "messages", least=1)
    calls = _Calls()
    decoded: list[Message] = []
    for turn, message in enumerate(messages):
        at = f"messages[{turn}]"
        told = [(call, _NO_EXTRAS) for call in message.tool_calls or ()]
        decoded.append(_decode_message(message, told, _NO_EXTRAS, at, turn, calls, limits))
    return tuple(decoded)


def read_messages(raw: Raw, limits: RequestLimits) -> tuple[Message, ...]:
    """Return the messages of a body of any shape; raises as `decode_messages`."""
    pieces = decode_json(_LIST, raw, "messages")
    bound(len(pieces), limits.max_messages, "messages", least=1)
    calls = _Calls()
    return tuple([_read_message(piece, turn, calls, limits) for turn, piece in enumerate(pieces)])


def _read_message(raw: Raw, turn: int, calls: _Calls, limits: RequestLimits) -> Message:
    at = f"messages[{turn}]"
    fields, extras = _MESSAGE.part(raw, at)
    given = fields.pop("tool_calls", None)
    message = _MESSAGE.decode(fields, at)
    told: list[tuple[wire.ToolCall, Extras]] = []
    if given is not None and bytes(given) != NULL:
        pieces = decode_json(_LIST, given, f"{at}.tool_calls")
        told = [_CALL.read(piece, f"{at}.tool_calls[{i}]") for i, piece in enumerate(pieces)]
    return _decode_message(message, told, extras, at, turn, calls, limits)


def _decode_message(
    message: wire.Message, told: Sequence[tuple[wire.ToolCall, Extras]], extras: Extras, at: str, turn: int,
    calls: _Calls, limits: RequestLimits,
) -> Message:  # fmt: skip
    images = message.images or ()
    bound(len(images) + len(told), limits.max_parts, at)
    blocks: list[Block] = []
    if message.thinking:
        blocks.append(Reasoning(text=message.thinking, at=f"{at}.thinking"))
    if message.content or not (images or told or blocks):
        blocks.append(Text(text=message.content or "", at=f"{at}.content"))
    blocks += [decode_image(data, f"{at}.images[{i}]") for i, data in enumerate(images)]
    if message.role == "tool":
        call_id, name = calls.answered(message.tool_call_id, message.tool_name)
        if message.tool_name is not None and message.tool_name != name:
            extras = {**extras, "tool_name": Raw(msgspec.json.encode(message.tool_name))}
        result = ToolResult(call_id=call_id, blocks=tuple(blocks), name=name, extras=extras, at=at)
        return Message(role="tool", content=(result,), at=at)
    for field in ("tool_name", "tool_call_id"):
        if getattr(message, field) is not None:
            extras = {**extras, field: Raw(msgspec.json.encode(getattr(message, field)))}
    blocks += [
        _decode_call(call, _with_index(more, call, i), f"{at}.tool_calls[{i}]", calls.id_of(call, turn, i))
        for i, (call, more) in enumerate(told)
    ]
    return Message(role=message.role, content=tuple(blocks), extras=extras, at=at)


def _with_index(extras: Extras, call: wire.ToolCall, position: int) -> Extras:
    """Return the extras of a call with its number, where that is not its place."""
    number = call.function.index
    return extras if number in (None, position) else {**extras, "function.index": Raw(msgspec.json.encode(number))}


def _decode_call(call: wire.ToolCall, extras: Extras, at: str, id_: str) -> ToolCall:
    arguments = call.function.arguments
    text = "" if arguments is UNSET or bytes(arguments) == NULL else bytes(arguments).decode()
    if text and not text.startswith("{"):
        param = f"{at}.function.arguments"
        raise MalformedRequest(f"Invalid type for '{param}': expected an object.", code="invalid_type", param=param)
    return ToolCall(id=id_, name=call.function.name, arguments=text, extras=extras, at=at)


# --- ours -> wire -----------------------------------------------------------------------------------------------------

_ROLES: Final[Mapping[Role, str]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
_BETWEEN_BLOCKS: Final = "\n\n"


class MessageWriter:
    """Writes messages.

    Args:
        is_own: They came from this protocol, so their extras are its own.
        notices: Where losses are reported.
    """

    def __init__(self, *, is_own: bool, notices: Notices) -> None:
        self.is_own = is_own
        self.notices = notices
        self._names: dict[str, str] = {}
        """Id of a call -> name of its tool."""

    def messages(self, messages: Sequence[Message]) -> list[JsonObject]:
        """Return messages as JSON; every call has its result directly behind it, in the order of the calls.

        Raises:
            Unsupported: With ``param``, the path of what nothing can stand in for; or nothing is left to say.
        """
        results = {} if self.is_own else _results_of(messages)
        written: list[JsonObject] = []
        for message in messages:
            rest = tuple(b for b in message.content if type(b) is not ToolResult or self._is_stray(b))
            if self.is_own:
                written += [self._result(block) for block in message.content if type(block) is ToolResult]
                rest = tuple(b for b in message.content if type(b) is not ToolResult)
            written += self._message(message, rest)
            calls = [block for block in message.content if type(block) is ToolCall]
            self._names.update({call.id: call.name for call in calls})
            if not self.is_own:
                answers = [_taken(results.get(call.id)) or made_up_result(call, self.notices) for call in calls]
                written += [self._result(answer) for answer in answers]
        if not written:
            raise Unsupported("Nothing of the conversation is left for this upstream.", param="messages")
        return written

    def own(self, extras: Extras, at: str) -> Extras:
        """Return the extras if they are this protocol's own; else report each and return none."""
        if not extras or self.is_own:
            return extras
        for name in extras:
            self.notices.unknown(at, name, "the upstream has no such field")
        return {}

    def report_mark(self, mark: CacheMark | None, at: str) -> None:
        """Report a cache mark: the upstream caches by itself."""
        if mark is not None:
            self.notices.hint(mark.at or f"{at}.cache_control", "the upstream caches by itself")

    def _is_stray(self, result: ToolResult) -> bool:
        """Tell whether a result answers no call that was told before."""
        return result.call_id not in self._names

    def _message(self, message: Message, blocks: Sequence[Block]) -> list[JsonObject]:
        if message.content and not blocks:
            return []
        draft = _Draft()
        for block in blocks:
            self._add(block, draft, message.role)
        if message.name is not None:
            self.notices.lost(f"{message.at}.name", "messages have no names here")
        if draft.is_empty and not self.is_own:
            self.notices.hint(message.at or "messages", "the message is empty")
            return []
        role = "user" if message.role == "tool" else _ROLES[message.role]
        return [put_extras(draft.written(role, is_own=self.is_own), self.own(message.extras, message.at))]

    def _result(self, result: ToolResult) -> JsonObject:
        draft = _Draft()
        for block in result.blocks:
            self._add(block, draft, "tool")
        if result.is_error:
            report_error(result, "said in the text", self.notices)
            draft.texts[:1] = [f"Error: {text}" for text in draft.texts[:1] or [""]]
        self.report_mark(result.cache, result.at)
        written = draft.written("tool", is_own=self.is_own)
        if name := result.name or self._names.get(result.call_id):
            written["tool_name"] = name
        written["tool_call_id"] = result.call_id
        return put_extras(written, self.own(result.extras, result.at))

    def _add(self, block: Block, draft: "_Draft", role: Role) -> None:
        match block:
            case Text():
                for citation in block.citations:
                    self.notices.lost(citation.at or f"{block.at}.citations", "text that is sent back cites nothing")
                draft.say(block.text, goes_on=role == "assistant")
            case Refusal():
                draft.texts.append(block.text)
                if not self.is_own:
                    self.notices.changed(block.at or "refusal", "said as text")
            case Media():
                self._add_media(block, draft, role)
            case Reasoning():
                self._add_thought(block, draft)
            case ToolCall():
                draft.calls.append(self._call(block, len(draft.calls)))
            case ToolResult():
                self.notices.changed(block.at, "a result without its call is sent as text")
                draft.texts.append(f"Result of the tool call {block.call_id}:")
                self.own(block.extras, block.at)
                for inner in block.blocks:
                    self._add(inner, draft, role)
            case Opaque():
                self._add_opaque(block, draft)
        draft.follows_text = isinstance(block, Text) or (draft.follows_text and isinstance(block, Reasoning))
        if isinstance(block, Text | Media):
            self.report_mark(block.cache, block.at)
            self.own({} if self.is_own else block.extras, block.at)

    def _add_media(self, block: Media, draft: "_Draft", role: Role) -> None:
        for name, value in ((block.detail_at, block.detail), ("citations", block.citations_enabled)):
            if value:
                report = self.notices.hint if value == "auto" else self.notices.lost
                report(f"{block.at}.{name}", "the upstream has no such field")
        match block.source:
            case TextSource(text=text):
                draft.texts.append(_said(block, text))
                self.notices.changed(block.at, "a document of text is sent as text")
            case BlocksSource(blocks=blocks):
                draft.texts += [said] if (said := _said(block, "")) else []
                self.notices.changed(block.at, "a document of blocks is sent as the blocks")
                for inner in blocks:
                    self._add(inner, draft, role)
            case _:
                draft.images.append(encode_image(block, is_own=self.is_own))
                if not is_as_said(block):
                    self.notices.hint(block.at, "what it is, its first bytes tell here")
                if said := _said(block, ""):
                    draft.texts.append(said)
                    self.notices.changed(block.at, "its name is said in the text", action="moved")

    def _add_thought(self, block: Reasoning, draft: "_Draft") -> None:
        """Give a thought back as text; what is signed goes to who issued it alone."""
        proof = block.redacted or block.signature
        if proof is not None:
            is_sealed = proof.startswith(PREFIX)
            report = self.notices.hint if is_sealed or block.origin is not None else self.notices.lost
            report(block.at or "content", "reasoning belongs to the vendor that issued it")
            return
        self.own(block.extras, block.at)
        draft.thoughts.append(block.text)

    def _add_opaque(self, block: Opaque, draft: "_Draft") -> None:
        if block.fallback == "":
            self.notices.hint(block.at or "content", "it says nothing to a model")
        elif block.fallback is not None:
            self.notices.changed(block.at or "content", "said in plain text")
            draft.texts.append(block.fallback)
        elif block.is_required:
            raise Unsupported("Only the vendor that wrote this block can read it.", param=block.at or None)
        else:
            self.notices.lost(block.at or "content", "the upstream has no such content part")

    def _call(self, call: ToolCall, position: int) -> JsonObject:
        if call.kind == "custom":
            raise Unsupported("The upstream takes functions only.", param=call.at or None)
        arguments, is_changed = arguments_object(call.arguments)
        if is_changed:
            self.notices.changed(f"{call.at}.arguments", "arguments are an object here", action="coerced")
        self.report_mark(call.cache, call.at)
        function: JsonObject = {"index": position, "name": call.name, "arguments": arguments}
        return put_extras({"id": call.id, "function": function}, self.own(call.extras, call.at))


class _Draft:
    """A message that is being put together."""

    __slots__ = ("calls", "follows_text", "images", "texts", "thoughts")

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.follows_text = False
        """What is added next stands right behind a text; thoughts between the two do not count."""
        self.thoughts: list[str] = []
        self.images: list[str] = []
        self.calls: list[JsonObject] = []

    @property
    def is_empty(self) -> bool:
        """It says nothing."""
        return not (any(self.texts) or self.images or self.calls or any(self.thoughts))

    def say(self, text: str, *, goes_on: bool) -> None:
        """Add a text, to the one right before it if it goes on from there."""
        if goes_on and self.follows_text:
            self.texts[-1] += text
        else:
            self.texts.append(text)

    def written(self, role: str, *, is_own: bool) -> JsonObject:
        """Return it as JSON."""
        texts = self.texts if is_own else [text for text in self.texts if text]
        message: JsonObject = {"role": role, "content": ("" if is_own else _BETWEEN_BLOCKS).join(texts)}
        if any(self.thoughts):
            message["thinking"] = "".join(self.thoughts)
        if self.images:
            message["images"] = self.images
        if self.calls:
            message["tool_calls"] = self.calls
        return message


def _results_of(messages: Sequence[Message]) -> dict[str, list[ToolResult]]:
    """Return the results of a talk by the id of their call, in order: some clients use an id twice."""
    found: dict[str, list[ToolResult]] = {}
    for message in messages:
        for block in message.content:
            if type(block) is ToolResult:
                found.setdefault(block.call_id, []).append(block)
    return found


def _taken(waiting: list[ToolResult] | None) -> ToolResult | None:
    """Return the result of a call; the last one stays for a call whose id was used again."""
    if not waiting:
        return None
    return waiting.pop(0) if len(waiting) > 1 else waiting[0]


def _said(block: Media, text: str) -> str:
    """Return a document's text under its title and what the sender says about it."""
    return "\n\n".join(piece for piece in (block.name, block.context, text) if piece)
