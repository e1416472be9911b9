"""The way there and back of a question for the number of tokens."""

from collections.abc import Callable

import msgspec

from .. import seal
from ..canonical import Request
from ..codec import Codec, Envelope, HTTPCall
from ..errors import Unsupported
from .side import Side
from .transcode import Relay


class CountTokens(Relay):
    """A token count: asked of an upstream in its own protocol, told in the caller's."""

    def __init__(
        self, *, face: Codec, call: HTTPCall, envelope: Envelope, side: Side, request: Callable[[], Request]
    ) -> None:
        super().__init__(codec=face, call=call, envelope=envelope, side=side)
        self._decode_request = request
        is_same = face.NAME == side.codec.NAME and side.profile.exact
        self.mode = "relay" if is_same and not seal.is_in(call.body) else "translate"

    def request(self) -> HTTPCall:
        """See `Transcoder`."""
        if self.mode == "relay":
            return super().request()
        request = msgspec.structs.replace(self._decode_request(), model=self._side.model)
        call = self._side.codec.encode_count_request(request, self._side.profile, self.notices)
        if call is None:
            raise Unsupported("The upstream that serves this model does not count tokens.")
        return call

    def whole(self, body: bytes) -> bytes:
        """See `Transcoder`. What was counted is not used, so no usage is told."""
        count = self._side.codec.decode_token_count(body)
        return body if self._codec.NAME == self._side.codec.NAME else self._codec.encode_token_count(count)
