"""Makes a summary that stands in for a talk, where the upstream makes none: what Responses calls a compaction.

The model is asked in words, and its answer is sealed (``seal``) into an item that the client carries. When that comes
back it is opened, and its text becomes a message of the user's: a model may have copied into it what anybody said.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Raw

from ..canonical import (
    Block,
    BlockStart,
    BlockStop,
    Event,
    Finish,
    Message,
    Notice,
    Notices,
    Opaque,
    Ping,
    ProtocolName,
    Request,
    Start,
    Text,
    TextDelta,
    Usage,
)
from ..errors import Malformed, MalformedRequest
from ..seal import PREFIX, Keyring, Sealed

PROTOCOL: Final[ProtocolName] = "openai_responses"
"""Whose items these are."""
ITEM: Final = "compaction"
TRIGGER: Final = "compaction_trigger"
"""The item that asks for the other one."""
MAX_CHARS: Final = 1024 * 1024
"""Of a summary; what is longer is none."""
ASK: Final = (
    "Write a summary of this conversation from which it can go on without anything that was said before. Say what was "
    "asked for and why; what was decided; facts, names, paths, code and figures that still matter, to the letter; what "
    "was done, and how it ended; what is open, and what comes next. Write the summary alone, and answer nothing else."
)
OPENING: Final = "Summary of the conversation so far:\n\n"

_KIND: Final = "compaction"
_ORIGIN: Final = "gateway"
_CARRIED: Final = "encrypted_content"
_FIELDS: Final = msgspec.json.Decoder(dict[str, Raw])
_TEXT: Final = msgspec.json.Decoder(str)


# --- a summary that comes back ----------------------------------------------------------------------------------------


def open_summaries(request: Request, keyring: Keyring, caller: str) -> Request:
    """Return the request with the summaries that were sealed here as messages; those of a vendor stay as they are.

    Raises:
        MalformedRequest: One was not sealed by this gateway for this caller, so that the talk is another one.
    """
    if not any(_is_item(block, ITEM) for message in request.messages for block in message.content):
        return request
    messages = tuple([_opened(message, keyring, caller) for message in request.messages])
    return msgspec.structs.replace(request, messages=messages)


def _opened(message: Message, keyring: Keyring, caller: str) -> Message:
    item = message.content[0] if len(message.content) == 1 else None
    if not isinstance(item, Opaque) or not _is_item(item, ITEM):
        return message
    fields = _FIELDS.decode(item.raw)
    carried = bytes(fields.get(_CARRIED, b""))
    if not carried.startswith(b'"' + PREFIX.encode()):
        return message
    sealed = keyring.open(_TEXT.decode(carried), caller)
    if sealed is None or sealed.kind != _KIND:
        raise MalformedRequest(
            "The encrypted content of this item could not be verified.",
            code="invalid_encrypted_content",
            param=f"{item.at}.{_CARRIED}",
        )
    text = Text(text=OPENING + sealed.data, at=f"{item.at}.{_CARRIED}")
    extras = {name: value for name, value in fields.items() if name not in ("type", _CARRIED)}
    return Message(role="user", content=(text,), extras=extras, at=message.at)


def _is_item(block: Block, kind: str) -> bool:
    return isinstance(block, Opaque) and block.protocol == PROTOCOL and block.type == kind


# --- a summary that is made -------------------------------------------------------------------------------------------


def plain(request: Request) -> Request:
    """Return a request without tools, and whatever else gives its answer a form: a summary is a text."""
    return msgspec.structs.replace(
        request, tools=(), tool_choice=None, parallel_tool_calls=None, output_format=None, stop=(), choices=None
    )


class Compaction:
    """See the module.

    Args:
        keyring: Seals the summary.
        caller: Label of the only caller for whom it will open.
    """

    is_over = False

    def __init__(self, keyring: Keyring, caller: str) -> None:
        self._keyring = keyring
        self._caller = caller
        self._pieces: list[str] = []
        self._length = 0

    @staticmethod
    def is_needed(request: Request) -> bool:
        """Tell whether the talk ends with the wish for a summary."""
        last = request.messages[-1].content if request.messages else ()
        return len(last) == 1 and _is_item(last[0], TRIGGER)

    def request(self, request: Request, notices: Notices) -> Request:
        """Ask in words, for a text."""
        asked = request.messages[-1].content[0]
        notices.changed(asked.at, "the model is asked for a summary in words")
        messages: list[Message] = []
        for message in request.messages[:-1]:
            if any(_is_item(block, TRIGGER) for block in message.content):
                notices.hint(message.at, "asked for before")
            else:
                messages.append(message)
        messages.append(Message(role="user", content=(Text(text=ASK, at=asked.at),), at=asked.at))
        return msgspec.structs.replace(plain(request), messages=tuple(messages))

    def events(self, events: Sequence[Event]) -> Sequence[Event]:
        """Tell the summary as one sealed item, when it is whole; nothing else that the model said.

        Raises:
            Malformed: It is empty, too long, or was broken off: a talk cannot go on from it.
        """
        out: list[Event] = []
        for event in events:
            match event:
                case BlockStart(block=Text(text=text)) | TextDelta(text=text):
                    self._add(text)
                case Finish():
                    out += (BlockStart(index=0, block=self._item(event)), BlockStop(index=0), event)
                case Start() | Usage() | Notice() | Ping():
                    out.append(event)
                case _:
                    pass
        return out

    def _add(self, text: str) -> None:
        self._length += len(text)
        if self._length > MAX_CHARS:
            raise Malformed("The model's summary is too long.", code="event_too_large")
        self._pieces.append(text)

    def _item(self, finish: Finish) -> Opaque:
        summary = "".join(self._pieces).strip()
        if finish.reason != "stop" or not summary:
            raise Malformed("The model wrote no whole summary. Try again.", detail=finish.reason)
        sealed = self._keyring.seal(Sealed(kind=_KIND, origin=_ORIGIN, data=summary), self._caller)
        raw = msgspec.json.encode({"type": ITEM, _CARRIED: sealed})
        return Opaque(protocol=PROTOCOL, type=ITEM, raw=Raw(raw), is_required=True)
