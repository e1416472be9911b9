"""All protocols, and the toy: the one row that it takes."""

from collections.abc import Mapping
from typing import Final

from asgi_ds2api.codec import Codec
from asgi_ds2api.protocols import PROTOCOLS

from . import toy_talk

WITH_TOY: Final[Mapping[str, Codec]] = {**PROTOCOLS, "toy_talk": toy_talk}
