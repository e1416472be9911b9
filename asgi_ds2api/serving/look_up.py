"""What is asked of the vendor who keeps an answer as well: how it stands, to stop it, to delete it.

Bytes pass as they are, within one protocol, and nobody else can be asked. Pure, as ``transcode``.
"""

from typing import Final

import msgspec
from msgspec import Raw

from ..codec import AnswerFacts, Codec, Envelope, HTTPCall, KeepingCodec, Kept
from ..json_guard import decode_answer
from ..transcoding.side import Side
from ..transcoding.transcode import Relay

_OBJECT: Final = msgspec.json.Decoder(dict[str, Raw])


class LookUp(Relay):
    """One attempt at it. See `transcode.Transcoder`.

    Args:
        face: The caller's protocol, and the vendor's.
        keeping: Of this protocol.
        call: The caller's request.
        envelope: Says whether a stream is wanted.
        side: The upstream.
        kept: The answer.
    """

    def __init__(
        self, *, face: Codec, keeping: KeepingCodec, call: HTTPCall, envelope: Envelope, side: Side, kept: Kept
    ) -> None:  # fmt: skip
        super().__init__(codec=face, call=call, envelope=envelope, side=side)
        self._keeping = keeping
        self._kept = kept

    @property
    def facts(self) -> AnswerFacts:
        """Return no usage: of what is looked up it is told once, by `KeptAnswer.hear`."""
        return AnswerFacts()

    def request(self) -> HTTPCall:
        """See `Transcoder`."""
        return self._keeping.at_vendor(self._call, self._side.model, self._side.profile)

    def whole(self, body: bytes) -> bytes:
        """See `Transcoder`. What is deleted is told in our words, as vendors say it in many."""
        if self._call.method == "DELETE":
            return self._keeping.tell(self._call, self._kept)
        decode_answer(_OBJECT, body)
        return body
