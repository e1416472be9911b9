"""What a shim is: a pair of pure functions around one attempt, canonical in, canonical out.

A shim lends an upstream what it lacks: it rewrites the request on its way out, and undoes that in the answer on its way
back. One object lives for one attempt and may remember between the two. Whole answers pass as the events of
``fold.unfold``, so a shim sees one form only.
"""

from collections.abc import Sequence
from typing import Protocol

from ..canonical import Event, Notices, Request


class Shim(Protocol):
    """One thing that an upstream lacks."""

    @property
    def is_over(self) -> bool:
        """The answer is complete for the caller although the upstream goes on."""
        ...

    def request(self, request: Request, notices: Notices) -> Request:
        """Return the request as this upstream can take it; the same object if there is nothing to do.

        Raises:
            Unsupported: Nothing can stand in for a part of it.
        """
        ...

    def events(self, events: Sequence[Event]) -> Sequence[Event]:
        """Return the answer's events as the caller expects them. Holds back at most what it must look at whole.

        Raises:
            UpstreamError: What came cannot be told as what was asked for.
        """
        ...
