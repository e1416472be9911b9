"""An upstream as transcoding sees it."""

import msgspec

from ..codec import Codec
from ..errors import Refused
from ..profiles import Profile


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """An upstream as transcoding sees it."""

    codec: Codec
    profile: Profile
    model: str
    """The upstream's own name of the model."""
    max_event_bytes: int
    lessons: tuple[str, ...] = ()
    """What the model was found to refuse, as ``Codec.repair`` understands it."""
    resumes_pauses: bool = False
    """An answer that it paused is gone on from."""
    objection: Refused | None = None
    """What it refused the request for as it was: the request goes out without that, or not at all."""
    owner: str = ""
    """The customer for whom it seals what a model thinks; empty: it does not, or for all."""
