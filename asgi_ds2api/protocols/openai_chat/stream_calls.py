"""Which call a fragment of a stream belongs to, whoever sends it.

The vendor gives every fragment an index, and the first one of a call its id and its name. Look-alikes leave the index
out or send 0 for all, repeat id and name with every fragment, send an empty id, or none at all, or the same one for
several calls (Google's OpenAI face; Mistral's ``"null"``).
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from ...canonical import Extras
from ...errors import Malformed

PLACEHOLDER: Final = "{}"
"""Some begin with it, and send the arguments after all."""


class StreamedCall:
    """A call of a tool, from its first fragment on."""

    __slots__ = ("_length", "block", "extras", "id", "index", "is_custom", "is_held", "name", "pieces", "sent_id")

    def __init__(self, index: int | None = None) -> None:
        self.index = index
        """Of its first fragment, as sent."""
        self.sent_id = ""
        """As sent; another call may have the same."""
        self.id = ""
        """Its own."""
        self.name = ""
        self.is_custom = False
        self.extras: Extras = {}
        self.block = -1
        """Index of its block; -1 until it has begun."""
        self.is_held = False
        """Its arguments may be a place-holder, and have not been told yet."""
        self.pieces: list[str] = []
        self._length = 0

    def add(self, piece: str, limit: int) -> None:
        """Keep a piece of its arguments.

        Raises:
            Malformed: They are too long to be kept.
        """
        self._length += len(piece)
        if self._length > limit and self.block < 0:
            raise Malformed("The upstream sent a call that does not begin.", code="event_too_large")
        if piece and self.block < 0:
            self.pieces.append(piece)

    def is_whole(self) -> bool:
        """Tell whether the arguments that were kept are a whole object, so that what comes next is another call's."""
        try:
            return isinstance(msgspec.json.decode("".join(self.pieces)), dict)
        except msgspec.MsgspecError:
            return False


class StreamedCalls:
    """The calls of a choice, in the order of their first fragments."""

    __slots__ = ("_by_index", "_calls", "_last")

    def __init__(self) -> None:
        self._calls: list[StreamedCall] = []
        self._by_index: dict[int, StreamedCall] = {}
        self._last: StreamedCall | None = None

    def __iter__(self) -> Iterator[StreamedCall]:
        return iter(self._calls)

    def at(self, index: int) -> StreamedCall | None:
        """Return the call that an index means now."""
        return self._by_index.get(index)

    def find(self, index: int | None, id_: str, name: str) -> StreamedCall:
        """Return the call of a fragment, a new one if it begins one.

        Args:
            index: As sent.
            id_: As sent; empty if it was not.
            name: As sent; empty if it was not.
        """
        call = next((call for call in self._calls if id_ and _is_of(call, index, id_, name)), None)
        if call is None:
            call = self._last if index is None else self._by_index.get(index)
            if call is None or _begins_another(call, id_, name):
                call = StreamedCall(index)
                self._calls.append(call)
        call.sent_id, call.name = call.sent_id or id_, call.name or name
        if index is not None:
            self._by_index[index] = call
        self._last = call
        return call

    def is_free(self, id_: str) -> bool:
        """Tell whether no call has this id."""
        return all(call.id != id_ for call in self._calls)


def _is_of(call: StreamedCall, index: int | None, id_: str, name: str) -> bool:
    """Tell whether a fragment with an id is one of a call's: neither its name nor its index may be another's."""
    is_same_name = not name or not call.name or name == call.name
    return call.sent_id == id_ and is_same_name and (index is None or call.index is None or index == call.index)


def _begins_another(call: StreamedCall, id_: str, name: str) -> bool:
    """Tell whether a fragment that could go on with a call begins another one."""
    if id_ and call.sent_id:
        return True
    if not name or not call.name:
        return False
    return name != call.name or (not call.sent_id and call.is_whole())
