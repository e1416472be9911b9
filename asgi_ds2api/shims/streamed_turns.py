"""Makes one turn of the pieces in which a Gemini client was told it, for upstreams of other protocols.

The chats of the vendor's SDKs keep each chunk of a stream as a content of its own, and send them all back. There
neighbours are one turn, whose texts follow each other without a break. To anybody else they would be many messages, and
pieces of blanks alone (an indentation, the end of a line) would be none at all. A text that carries a field of its own,
and one that a signature stands before, stay where they are.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from ..canonical import Block, Event, Message, Notices, Request, Text
from ..protocols.one_turn import is_plain

SOURCE = "gemini_generate"


class StreamedTurns:
    """See the module."""

    is_over = False

    @staticmethod
    def is_needed(request: Request, protocol: str) -> bool:
        """Tell whether the request may hold pieces, and goes to an upstream that has whole turns alone."""
        return request.source == SOURCE != protocol

    def request(self, request: Request, notices: Notices) -> Request:
        """Join what the model said in one turn."""
        messages: list[Message] = []
        for message in request.messages:
            if messages and message.role == "assistant" == messages[-1].role:
                earlier = messages[-1]
                extras = {**earlier.extras, **message.extras}
                messages[-1] = replace(earlier, content=(*earlier.content, *message.content), extras=extras)
            else:
                messages.append(message)
        whole = [
            replace(message, content=_whole_texts(message.content)) if message.role == "assistant" else message
            for message in messages
        ]
        return replace(request, messages=tuple(whole))

    def events(self, events: Sequence[Event]) -> Sequence[Event]:
        """Return the events: the client puts together what it is told."""
        return events


def _whole_texts(blocks: Sequence[Block]) -> tuple[Block, ...]:
    """Return the blocks with one text for neighbours that are nothing but text."""
    whole: list[Block] = []
    pieces: list[Text] = []
    for block in blocks:
        if is_plain(block):
            pieces.append(block)
            continue
        whole += _joined(pieces)
        pieces = []
        whole.append(block)
    return (*whole, *_joined(pieces))


def _joined(pieces: Sequence[Text]) -> Sequence[Text]:
    if len(pieces) < 2:
        return pieces
    return (replace(pieces[0], text="".join(piece.text for piece in pieces)),)
