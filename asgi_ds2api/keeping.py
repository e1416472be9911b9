"""What a protocol whose answers are gone on from offers for that; `codec` gives it on.

Answers are kept by who serves them (``serving.answers``), or something of them is held by a vendor
(``serving.holdings``); what that is, and how a request goes on from it or names a part of it, is the protocol's own.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec
from msgspec import Raw

from .canonical import Usage
from .envelope import HTTPCall, Kept
from .errors import UnknownItem
from .profiles import Profile


class KeepingCodec(Protocol):
    """What a protocol whose answers are kept offers for that: a module of its own beside the codec."""

    def previous_id(self, call: HTTPCall) -> str | None:
        """Return the id of the answer that a request goes on from; None: it begins a talk.

        Raises:
            MalformedRequest: It goes on from two things at once.
        """
        ...

    def conversation_id(self, call: HTTPCall) -> str | None:
        """Return the id of the talk, kept by a vendor, that a request is part of; None: of none."""
        ...

    def is_background(self, call: HTTPCall) -> bool:
        """Tell whether a vendor shall go on with the answer when nobody waits for it."""
        ...

    def go_on(self, call: HTTPCall, kept: Kept) -> HTTPCall:
        """Return a request with what it goes on from in front of its own input.

        Raises:
            MalformedRequest: The talk is longer than any that is gone on from, or its last answer has not ended.
        """
        ...

    def named_items(self, call: HTTPCall) -> Sequence[str]:
        """Return the ids of the items that a request only names, each once.

        Raises:
            MalformedRequest: There are more than are looked up.
        """
        ...

    def item(self, kept: Kept, id_: str) -> Raw | None:
        """Return an item of an answer that is kept; None: it has none of this id."""
        ...

    def with_items(self, call: HTTPCall, items: Mapping[str, Raw], before: Kept | None) -> HTTPCall:
        """Return a request with these items where it only names them.

        Args:
            call: As it came.
            items: By their ids; what is not among them stays a name.
            before: What the request goes on from: what stands there is not said again.
        """
        ...

    def item_ids(self, kept: Kept) -> Sequence[str]:
        """Return the ids of the items of an answer, by which later requests may name them."""
        ...

    def is_to_be_kept(self, call: HTTPCall) -> bool:
        """Tell whether the caller lets the answer be kept."""
        ...

    def first_answer(self, data: bytes) -> bytes | None:
        """Return the answer, without output, that these frames of a stream begin with; None: they do not begin it."""
        ...

    def final_answer(self, data: bytes) -> bytes | None:
        """Return the whole answer that these frames of a stream end with; None: they do not end it well."""
        ...

    def keep(self, call: HTTPCall, answer: bytes, before: Kept | None) -> tuple[str, Kept] | None:
        """Return the id of an answer, and what is kept of it; None: nothing can go on from it."""
        ...

    def id_in(self, path: str) -> str:
        """Return the id of the answer that a path names."""
        ...

    def renew(self, kept: Kept, answer: bytes) -> Kept | None:
        """Return what is kept of an answer that was open, now that it ended; None: it has not, or failed."""
        ...

    def usage(self, answer: bytes) -> Usage | None:
        """Return what an answer used; None: it has not ended, or does not tell."""
        ...

    def is_for_vendor(self, call: HTTPCall, kept: Kept) -> bool:
        """Tell whether the account that keeps an answer as well is to be asked."""
        ...

    def at_vendor(self, call: HTTPCall, model: str, profile: Profile) -> HTTPCall:
        """Return the same look-up for the vendor that keeps the answer as well."""
        ...

    def is_stream(self, call: HTTPCall) -> bool:
        """Tell whether an answer is to be told as a stream."""
        ...

    def tell(self, call: HTTPCall, kept: Kept) -> bytes:
        """Return what is to be told of an answer that is kept: JSON, or the stream that is asked for.

        Raises:
            MalformedRequest: What was asked cannot be done with it.
            UnknownItem: It has no such part.
        """
        ...


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a vendor holds of an answer, with the account that gave it."""

    kind: str
    """In the protocol's words."""
    id: str


class HoldingCodec(Protocol):
    """What a protocol whose vendor holds something of its answers offers for that: a module of its own."""

    def named(self, call: HTTPCall) -> Sequence[Held]:
        """Return what a request goes on with."""
        ...

    def told(self, call: HTTPCall, data: bytes) -> Sequence[Held]:
        """Return what the vendor holds, as these bytes of an answer say: a whole one, or frames of a stream."""
        ...

    def unknown(self, held: Held) -> UnknownItem:
        """Return the error for what is not there, or not for whoever asks."""
        ...
