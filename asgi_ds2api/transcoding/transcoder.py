"""What carries one attempt there and back: relayed or translated, the attempt loop cannot tell."""

from typing import Literal, Protocol

from ..canonical import Notices
from ..codec import AnswerFacts, HTTPCall
from ..errors import GatewayError, Refused, UpstreamError


class Transcoder(Protocol):
    """One attempt's way there and back."""

    @property
    def mode(self) -> Literal["relay", "translate"]:
        """For the header and the Record."""
        ...

    @property
    def notices(self) -> Notices:
        """What did not go through as it came, so far."""
        ...

    @property
    def is_meaningful(self) -> bool:
        """Something of the answer itself has come: from here on the caller may be sent bytes."""
        ...

    @property
    def is_complete(self) -> bool:
        """The stream ended as its protocol says, and everything was let out."""
        ...

    @property
    def failure(self) -> UpstreamError | None:
        """Why the stream is broken; what came before the break was let out."""
        ...

    @property
    def facts(self) -> AnswerFacts:
        """Usage and finish reason, for the Record."""
        ...

    async def recall(self) -> None:
        """Look up what is kept for the caller. In the event loop, before ``request``, which may be in a thread."""
        ...

    async def settle(self) -> None:
        """Wait until what was kept of the answer can be found by whoever is asked next. Before the answer ends."""
        ...

    def request(self) -> HTTPCall:
        """Return the upstream's request.

        Raises:
            Unsupported: It cannot be said in the upstream's protocol, or, under ``reject``, not without loss.
            MalformedRequest: It is not a request of the caller's protocol.
        """
        ...

    @property
    def is_paused(self) -> bool:
        """The upstream's message ended, and the answer goes on in another one: see ``resume``."""
        ...

    def repair(self, error: Refused) -> HTTPCall | None:
        """Return the request without what the upstream objected to; None: nothing known helps."""
        ...

    def resume(self) -> HTTPCall | None:
        """Return the request that goes on from an answer which the upstream paused; None: the answer is over."""
        ...

    def feed(self, data: bytes) -> bytes:
        """Turn a piece of the upstream's stream into whole frames of the caller's."""
        ...

    def close(self) -> bytes:
        """Say that the upstream's message ended; return the rest. Sets ``failure`` unless the stream is complete."""
        ...

    def error(self, error: GatewayError) -> bytes:
        """Return an error as the last frame of the caller's stream."""
        ...

    def heartbeat(self) -> bytes:
        """Return bytes of the caller's stream that keep a silent connection busy."""
        ...

    def whole(self, body: bytes) -> bytes:
        """Turn a whole answer into a whole answer; into nothing yet if it paused.

        Raises:
            UpstreamError: Malformed, or an error inside a 200.
        """
        ...

    def whole_as_stream(self, body: bytes) -> bytes:
        """Turn a whole answer into the stream that the caller asked for. Raises as ``whole``."""
        ...

    def gather(self, data: bytes) -> bool:
        """Take a piece of a stream that the caller wants whole; tell whether it is over, for better or worse."""
        ...

    def gathered(self) -> bytes:
        """Return the whole answer that was gathered. Raises as ``whole``."""
        ...
