"""Makes turns of the items of a Responses request, for upstreams that know turns alone.

What a model thought, said and called in one turn are items of their own there; here they are one message. Tools of a
namespace go by their full names. A ciphertext that was not opened on its way here is another vendor's. What an item
still names, and what the answer should go on from, was not found among the answers that are kept: such a request is
refused in the words that its clients look for.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Raw

from ..canonical import (
    Block,
    CustomTool,
    Event,
    FunctionTool,
    Message,
    Notices,
    Opaque,
    Reasoning,
    Request,
    Tool,
    ToolCall,
)
from ..errors import MalformedRequest, UnknownItem
from ..json_pieces import fields_of, text_of
from ..protocols.one_turn import said_in_one

SOURCE = "openai_responses"
_NAMESPACE = "namespace"
_REFERENCE = "item_reference"
_PICTURE = "image_generation_call"
_SHOWN = 64
"""Most characters of an id that a refusal repeats."""
_IDLE = frozenset({"client_metadata", "include", "stream_options.include_obfuscation", "truncation"})
"""Fields that are a client's own, or without effect: what can be told of an answer is told, and nothing is padded."""


class Turns:
    """See the module."""

    is_over = False

    @staticmethod
    def is_needed(request: Request, protocol: str) -> bool:
        """Tell whether the request comes in items and goes to an upstream that has none."""
        return request.source == SOURCE != protocol

    def request(self, request: Request, notices: Notices) -> Request:
        """Join the items of a turn, and give tools their full names.

        Raises:
            MalformedRequest: It goes on from an answer that nobody kept.
            UnknownItem: It names an item that nobody kept.
        """
        if request.state.previous_id is not None:
            raise MalformedRequest(
                "Previous response not found: it is not kept here, or not any more. Send the whole input.",
                code="previous_response_not_found",
                param="previous_response_id",
            )
        messages: list[Message] = []
        for message in request.messages:
            content = tuple([_known(block, notices) for block in message.content])
            if messages and message.role == "assistant" == messages[-1].role:
                earlier = messages[-1]
                for part in (earlier, message):
                    for name in part.extras:
                        notices.unknown(part.at, name, "items of one turn are one message")
                said = said_in_one(earlier.content, content)
                messages[-1] = msgspec.structs.replace(earlier, content=said, extras={})
            else:
                messages.append(msgspec.structs.replace(message, content=content))
        extras = {name: raw for name, raw in request.extras.items() if not _is_idle(name, raw, notices)}
        tools = tuple([_with_full_name(tool, notices) for tool in request.tools])
        return msgspec.structs.replace(request, messages=tuple(messages), tools=tools, extras=extras)

    def events(self, events: Sequence[Event]) -> Sequence[Event]:
        """Return the events: the face itself knows what stands in a namespace."""
        return events


def _is_idle(name: str, raw: Raw, notices: Notices) -> bool:
    """Tell whether a field asks for no more than what happens anyway, and report it if so."""
    if name not in _IDLE or (name == "truncation" and bytes(raw) != b'"disabled"'):
        return False
    notices.hint(name, "it asks for no more than what happens anyway")
    return True


def _known(block: Block, notices: Notices) -> Block:
    match block:
        case Opaque(type=kind) if kind == _REFERENCE and block.protocol == SOURCE:
            id_ = (text_of(fields_of(block.raw).get("id")) or "")[:_SHOWN]
            raise UnknownItem(
                f"Item with id {id_!r} not found: it is not kept here, or not any more. Send the item itself.",
                param="input",
            )
        case Opaque(type=kind) if kind == _PICTURE and block.protocol == SOURCE:
            notices.lost(f"{block.at}.result", "that a picture was made is said, and the picture left out")
            return block
        case Reasoning(signature=str(), origin=None):
            notices.hint(f"{block.at}.encrypted_content", "reasoning belongs to the vendor that issued it")
            return msgspec.structs.replace(block, signature=None)
        case ToolCall() if _NAMESPACE in block.extras:
            notices.hint(f"{block.at}.{_NAMESPACE}", "said in the full name", action="renamed")
            extras = {name: value for name, value in block.extras.items() if name != _NAMESPACE}
            return msgspec.structs.replace(block, extras=extras)
        case _:
            return block


def _with_full_name(tool: Tool, notices: Notices) -> Tool:
    if not isinstance(tool, FunctionTool | CustomTool) or _NAMESPACE not in tool.extras:
        return tool
    space = tool.at.rpartition(".tools[")[0]
    if not any(notice.path == space for notice in notices):
        notices.changed(space, "tools of a namespace go by their full names", action="renamed")
    extras = {name: value for name, value in tool.extras.items() if name != _NAMESPACE}
    return msgspec.structs.replace(tool, extras=extras)
