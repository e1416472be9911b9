"""What holds at one of the places where a gateway answers, whoever is asked there: so far, what becomes of losses."""

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from ..envelope import OnUnsupported
from . import texts


class PrefixTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A place where the gateway answers."""

    path: Annotated[
        str,
        Meta(
            description="A prefix of the middleware, or the path that the gateway is mounted at; what a proxy cuts off "
            'in front of a mount (`root_path`) need not be written. `""`: a gateway that is an app of its own, and '
            "every mount that is not named here.",
            examples=["/strict"],
            pattern=texts.PLACE,
            extra={"check": texts.place},
        ),
    ]
    on_unsupported: Annotated[
        OnUnsupported,
        Meta(description="In place of the general one, and of what any upstream says.", examples=["reject"]),
    ]


Words = Mapping[str, OnUnsupported]
"""Path of a place -> its word on losses."""


def word_of_mount(words: Words, root_path: str) -> OnUnsupported | None:
    """Return what is said of where a gateway is mounted: the longest path that ``root_path`` ends with goes."""
    return words.get(max((path for path in words if root_path.endswith(path)), key=len, default=""))
