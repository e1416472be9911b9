"""Texts into vectors: within one protocol bytes pass as they came, else through canonical. The twin of ``transcode``.

Vectors of two models cannot be compared, so that a batch may only be tried where the same model is: see `comparable`.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from ..canonical import EmbeddingsRequest, Usage, reject_losses
from ..codec import AnswerFacts, Codec, EmbeddingsCodec, Envelope, HTTPCall
from ..envelope import OnUnsupported
from ..errors import Malformed, Unsupported
from ..routing import Target
from ..token_estimate import BYTES_PER_TOKEN
from .side import Side
from .transcode import Relay


class Embed(Relay):
    """One attempt at a batch. See `transcode.Transcoder`; no answer is a stream.

    Args:
        face: The caller's protocol.
        call: The caller's request.
        envelope: What was peeked of it.
        side: The upstream, which has embeddings.
        request: Decodes the call, at most once a request; not called where bytes pass.
        on_unsupported: What to do about losses.
    """

    def __init__(
        self, *, face: Codec, call: HTTPCall, envelope: Envelope, side: Side, request: Callable[[], EmbeddingsRequest],
        on_unsupported: OnUnsupported,
    ) -> None:  # fmt: skip
        super().__init__(codec=face, call=call, envelope=envelope, side=side)
        is_relayed = face.NAME == side.codec.NAME and side.profile.exact
        self.mode: Literal["relay", "translate"] = "relay" if is_relayed else "translate"
        self._decode_request = request
        self._on_unsupported = on_unsupported
        self._inputs = 0
        self._theirs = embeddings_of(side.codec)
        self._ours = embeddings_of(face)

    def request(self) -> HTTPCall:
        """See `Transcoder`."""
        if self.mode == "relay":
            return super().request()
        request = msgspec.structs.replace(self._decode_request(), model=self._side.model)
        self._inputs = len(request.inputs)
        call = self._theirs.encode_embeddings_request(request, self._side.profile, self.notices)
        if self._on_unsupported == "reject":
            reject_losses(self.notices)
        return call

    def whole(self, body: bytes) -> bytes:
        """See `Transcoder`."""
        if self.mode == "relay":
            self._facts = self._theirs.tap_embeddings(body)
            return body
        embeddings = self._theirs.decode_embeddings(body, self._side.profile)
        if len(embeddings.vectors) != self._inputs:
            raise Malformed("The upstream sent more vectors, or fewer, than it was sent texts.")
        if embeddings.usage is None:
            tokens = max(1, len(self._call.body) // BYTES_PER_TOKEN)
            usage = Usage(input_total=tokens, is_estimated=True)
            embeddings = msgspec.structs.replace(embeddings, usage=usage)
        self._facts = AnswerFacts(model=embeddings.model or None, usage=embeddings.usage)
        return self._ours.encode_embeddings(embeddings, self._envelope, self.notices)


def embeddings_of(codec: Codec) -> EmbeddingsCodec:
    """Return a protocol's embeddings.

    Raises:
        Unsupported: It has none.
    """
    if codec.EMBEDDINGS is None:
        raise Unsupported("The upstream that serves this model makes no embeddings. Ask for another model.")
    return codec.EMBEDDINGS


def comparable(targets: Sequence[Target], has_embeddings: Callable[[str], bool]) -> tuple[Target, ...]:
    """Return the targets that may serve one batch: the first that can, and others that have the same model.

    Args:
        targets: In order of preference.
        has_embeddings: Tells of an upstream whether it makes them.

    Raises:
        Unsupported: None of them can.
    """
    able = [target for target in targets if has_embeddings(target.upstream)]
    if not able:
        raise Unsupported(
            "The upstream that serves this model makes no embeddings. Ask for another model.", param="model"
        )
    return tuple(target for target in able if _bare(target.model) == _bare(able[0].model))


def _bare(model: str) -> str:
    """Return a model's name without the vendor that some put before it."""
    return model.rpartition("/")[2]
