"""The families of paths that are passed on: a table. A path that is not declared here is no path.

Each family is a row: its name, which is the operation that the Record tells, and the routes of each face that has it.
They are of the face's own vendor, and go to upstreams that speak its protocol.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from ..canonical import ProtocolName
from ..envelope import Operation, Route


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """Paths that belong together."""

    name: Operation
    routes: Mapping[ProtocolName, Sequence[tuple[str, str]]]
    """Method and path, as `envelope.Route` has them, of the face that tells the family's paths."""


_GOOGLE: Final = "/{v1|v1beta|v1alpha|v1beta1}"

FILES: Final = Family(
    name="files",
    routes={
        "openai_chat": [
            (method, root + path)
            for root in ("/v1", "")
            for method, path in (
                ("POST", "/files"),
                ("GET", "/files"),
                ("GET", "/files/{id}"),
                ("DELETE", "/files/{id}"),
                ("GET", "/files/{id}/content"),
            )
        ],
        "anthropic_messages": [
            ("POST", "/v1/files"),
            ("GET", "/v1/files"),
            ("GET", "/v1/files/{id}"),
            ("DELETE", "/v1/files/{id}"),
            ("GET", "/v1/files/{id}/content"),
        ],
        "gemini_generate": [
            ("POST", f"/upload{_GOOGLE}/files"),
            ("GET", f"{_GOOGLE}/files"),
            ("GET", f"{_GOOGLE}/files/{{id}}"),
            ("DELETE", f"{_GOOGLE}/files/{{id}}"),
            ("GET", f"{_GOOGLE}/files/{{id}}:download"),
        ],
    },
)

FAMILIES: Final[Sequence[Family]] = (FILES,)


def routes_of(protocol: ProtocolName) -> list[Route]:
    """Return the routes that a face has beside those of its codec."""
    return [
        Route(method=method, path=path, operation=family.name)
        for family in FAMILIES
        for method, path in family.routes.get(protocol, ())
    ]
