"""Carries reasoning through clients that do not know its issuer, and keeps it from everybody else.

A signature is worth something to who issued it alone. Between a client and an upstream of one protocol it travels as it
is. On its way out through a client of another protocol it is sealed (``seal``) together with the issuer's name; on its
way back it is opened, and left out, with a Notice, unless it goes to that issuer. Thinking without a signature is
sealed too, as a client of Anthropic's protocol sends back no thinking block that has none.

What names reasoning beside that (`reasoning_details` of look-alikes of Chat) is under the seal with it, so that the
issuer gets all of it back.

A message that held nothing else is left out with it (`Emptied`): vendors refuse an assistant who says nothing.
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
    Notices,
    Reasoning,
    Request,
    SignatureDelta,
)
from ..profiles import Profile
from ..seal import PREFIX, Keyring, Sealed

_CHAT: Final = "openai_chat"
"""The protocol whose vendors put names beside reasoning and want them back."""
_OLLAMA: Final = "ollama_chat"
"""The face whose clients carry no seals, and are told what they miss."""


class ReasoningSeal:
    """See the module."""

    is_over = False

    def __init__(self, face: str, profile: Profile, protocol: str, keyring: Keyring, caller: str) -> None:
        self._is_native = face == protocol
        self._vendor = profile.vendor
        self._keyring = keyring
        self._caller = caller
        self._has_names = protocol == _CHAT and face != _OLLAMA
        self._open: dict[int, Reasoning] = {}
        """What is being said, with the signature as far as it came."""
        self.emptied: frozenset[int] = frozenset()
        """Places of the messages that held nothing but what was left out."""

    def request(self, request: Request, notices: Notices) -> Request:
        """Open what was sealed, and leave out what this upstream did not issue."""
        if not any(isinstance(block, Reasoning) for message in request.messages for block in message.content):
            return request
        messages = []
        for message in request.messages:
            blocks = tuple(kept for block in message.content if (kept := self._opened(block, notices)) is not None)
            messages.append(msgspec.structs.replace(message, content=blocks))
        told = zip(request.messages, messages, strict=True)
        self.emptied = frozenset(place for place, (was, now) in enumerate(told) if was.content and not now.content)
        return msgspec.structs.replace(request, messages=tuple(messages))

    def events(self, events: Sequence[Event]) -> Sequence[Event]:
        """Seal signatures and redacted thinking for a client of another protocol."""
        if self._is_native:
            return events
        out: list[Event] = []
        for event in events:
            match event:
                case BlockStart(block=Reasoning() as block):
                    self._open[event.index] = block
                    out.append(msgspec.structs.replace(event, block=self._sealed(block)))
                case SignatureDelta(signature=signature):
                    thought = msgspec.structs.replace(self._open[event.index], signature=signature)
                    self._open[event.index] = thought
                    out.append(msgspec.structs.replace(event, signature=self._seal("signature", signature, thought)))
                case BlockStop() if event.index in self._open:
                    thought = self._open.pop(event.index)
                    if thought.signature is None and thought.redacted is None:
                        out.append(SignatureDelta(index=event.index, signature=self._seal("unsigned", "", thought)))
                    out.append(event)
                case _:
                    out.append(event)
        return out

    def _sealed(self, block: Reasoning) -> Reasoning:
        signature, redacted = block.signature, block.redacted
        return msgspec.structs.replace(
            block,
            signature=None if signature is None else self._seal("signature", signature, block),
            redacted=None if redacted is None else self._seal("redacted", redacted, block),
            extras={} if self._has_names else block.extras,
        )

    def _seal(self, kind: str, data: str, block: Reasoning) -> str:
        names = {name: bytes(raw) for name, raw in block.extras.items()} if self._has_names else {}
        sealed = Sealed(kind=kind, origin=self._vendor, data=data, extras=names, is_summary=block.is_summary)
        return self._keyring.seal(sealed, self._caller)

    def _opened(self, block: Block, notices: Notices) -> Block | None:
        if not isinstance(block, Reasoning):
            return block
        carried = _carried(block)
        if carried is None or not carried.startswith(PREFIX):
            return block
        sealed = self._keyring.open(carried, self._caller)
        if sealed is None:
            notices.lost(block.at, "reasoning that this gateway did not seal for this caller cannot be used")
            return None
        if sealed.origin != self._vendor:
            notices.lost(block.at, "reasoning belongs to the vendor that issued it")
            return None
        is_redacted = sealed.kind == "redacted"
        return msgspec.structs.replace(
            block,
            signature=sealed.data if sealed.kind == "signature" else None,
            redacted=sealed.data if is_redacted else block.redacted,
            is_summary=block.is_summary if sealed.is_summary is None else sealed.is_summary,
            origin=sealed.origin,
            issued={name: Raw(raw) for name, raw in sealed.extras.items()},
        )


class Emptied:
    """Leaves out messages of which nothing is left. What goes by the places of messages comes before it.

    Args:
        seal: Knows which messages it left without anything.
    """

    is_over = False

    def __init__(self, seal: ReasoningSeal) -> None:
        self._seal = seal

    @staticmethod
    def is_needed(request: Request) -> bool:
        """Tell whether a message holds nothing but reasoning, some of it sealed."""
        return any(
            all(isinstance(block, Reasoning) for block in message.content) and any(map(_is_sealed, message.content))
            for message in request.messages
        )

    def request(self, request: Request, notices: Notices) -> Request:
        """Return the request without these messages; what they held was told when it was left out."""
        emptied = self._seal.emptied
        if not emptied:
            return request
        kept = [message for place, message in enumerate(request.messages) if place not in emptied or message.content]
        return msgspec.structs.replace(request, messages=tuple(kept))

    def events(self, events: Sequence[Event]) -> Sequence[Event]:
        """Return the events."""
        return events


def _is_sealed(block: Block) -> bool:
    carried = _carried(block)
    return carried is not None and carried.startswith(PREFIX)


def _carried(block: Block) -> str | None:
    """Return what reasoning carries of its issuer's, perhaps under a seal."""
    if not isinstance(block, Reasoning):
        return None
    return block.signature if block.redacted is None else block.redacted
