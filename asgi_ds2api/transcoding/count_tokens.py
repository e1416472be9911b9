"""The way there and back of a question for the number of tokens."""

from collections.abc import Callable, Sequence

import msgspec

from .. import seal
from ..canonical import Notices, Request, naming
from ..codec import Codec, Envelope, HTTPCall
from ..errors import Unsupported
from ..shims import KeptReasoning, Shim
from .side import Side
from .transcode import Relay


class CountTokens(Relay):
    """A token count: asked of an upstream in its own protocol, told in the caller's.

    What is counted is what the model would be asked: shims lend the upstream here what they lend it there.

    Args:
        face: The caller's protocol.
        call: The question.
        envelope: What was peeked of it.
        side: Who counts.
        request: Reads the question; called where it cannot be relayed.
        shims: Chooses them.
    """

    def __init__(
        self, *, face: Codec, call: HTTPCall, envelope: Envelope, side: Side, request: Callable[[], Request],
        shims: Callable[[Request], Sequence[Shim]],
    ) -> None:  # fmt: skip
        super().__init__(codec=face, call=call, envelope=envelope, side=side)
        is_same = face.NAME == side.codec.NAME and side.profile.exact
        self.mode = "relay" if is_same and not seal.is_in(call.body) else "translate"
        self._request = None if self.mode == "relay" else msgspec.structs.replace(request(), model=side.model)
        self._shims = () if self._request is None else shims(self._request)

    async def recall(self) -> None:
        """See `Transcoder`."""
        for shim in self._shims:
            if isinstance(shim, KeptReasoning):
                await shim.recall()

    def request(self) -> HTTPCall:
        """See `Transcoder`."""
        request = self._request
        if request is None:
            return super().request()
        notices = Notices(request.places)
        notices.overruled(request.overruled)
        with naming(request.places):
            for shim in self._shims:
                request = shim.request(request, notices)
            call = self._side.codec.encode_count_request(request, self._side.profile, notices)
        self.notices.extend(notices)
        if call is None:
            raise Unsupported("The upstream that serves this model does not count tokens.")
        return call

    def whole(self, body: bytes) -> bytes:
        """See `Transcoder`. What was counted is not used, so no usage is told."""
        count = self._side.codec.decode_token_count(body)
        return body if self._codec.NAME == self._side.codec.NAME else self._codec.encode_token_count(count)
