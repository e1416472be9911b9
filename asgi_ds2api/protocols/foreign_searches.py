"""What a caller asks of a search of the web that its vendor runs; read once, for every upstream with one of its own.

Searches differ in what they can be told. What the upstream's cannot be told is lost, and is said to be at the caller's
own path: a search of the whole web is not the one that was asked for.

Sources: OpenAI's references of Chat and of Responses, Anthropic's web search tool (types of their SDKs, November 2026).
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Final, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Raw

from ..canonical import Notices, ProtocolName, Request, Tool, Value, VendorTool
from ..errors import Unsupported
from ..json_pieces import NULL, fields_of

OPTIONS: Final = "web_search_options"
"""Chat's field: there a search is no tool."""

Limit: TypeAlias = Literal["allowed_domains", "blocked_domains", "max_uses", "place", "context_size"]

_CHAT: Final[ProtocolName] = "openai_chat"
_TYPE: Final = "web_search"
"""Begins the types of the tools."""
_LIMITS: Final[Mapping[ProtocolName, Mapping[str, Limit]]] = {
    _CHAT: {"user_location.approximate": "place", "search_context_size": "context_size"},
    "openai_responses": {
        "filters.allowed_domains": "allowed_domains",
        "user_location": "place",
        "search_context_size": "context_size",
    },
    "anthropic_messages": {
        "allowed_domains": "allowed_domains",
        "blocked_domains": "blocked_domains",
        "max_uses": "max_uses",
        "user_location": "place",
    },
}
"""Path in a search of a protocol -> what is said there."""
_PARENTS: Final = {
    protocol: {path.partition(".")[0] for path in limits if "." in path} for protocol, limits in _LIMITS.items()
}
_NAMES: Final = frozenset({"name", "type", "user_location.type"})
"""What a search is called, and that its place is a rough one, as all are."""
_USUAL: Final[Mapping[str, bytes]] = {"external_web_access": b"true", "search_context_size": b'"medium"'}
"""What says no more than absence."""
_EMPTY: Final = frozenset({NULL, b"[]", b"{}"})

_TEXTS: Final = msgspec.json.Decoder(tuple[str, ...])
_COUNT: Final[msgspec.json.Decoder[int | None]] = msgspec.json.Decoder(int | None)
_PLACE: Final = msgspec.json.Decoder(dict[str, str | None])
_WORD: Final[msgspec.json.Decoder[str | None]] = msgspec.json.Decoder(str | None)
T = TypeVar("T")


class Search(Value, frozen=True, kw_only=True):
    """A search of the web, as a caller asks for it."""

    at: str
    allowed_domains: tuple[str, ...] = ()
    blocked_domains: tuple[str, ...] = ()
    max_uses: int | None = None
    place: dict[str, str] = {}
    """Where the user roughly is: city, region, country, timezone."""
    context_size: str | None = None
    said: dict[str, Limit | None] = {}
    """Path in it of all that was said -> what it is; None: what no other vendor's search can be told."""

    def report(self, can_be_told: Collection[Limit], notices: Notices, whose: str) -> None:
        """Report that the upstream's own search stands in, and as lost what that one is not told.

        Args:
            can_be_told: Limits that the upstream's search has.
            notices: Where it is reported.
            whose: Search it is, in the words of a Notice.
        """
        notices.changed(self.at, f"sent as {whose} own web search")
        for path, limit in self.said.items():
            if limit not in can_be_told:
                notices.unknown(self.at, path, "the upstream's web search has no such field")


def is_search(type_: str) -> bool:
    """Tell whether a tool of a vendor's that has this type searches the web."""
    return type_.startswith(_TYPE)


def search_of(tool: Tool) -> Search | None:
    """Return what a vendor's search of the web is asked; None: it is another tool.

    Raises:
        Unsupported: It cannot be read; with ``param``, the path of what is wrong.
    """
    if not isinstance(tool, VendorTool) or tool.protocol not in _LIMITS or not is_search(tool.type):
        return None
    return _read(tool.raw, tool.protocol, tool.at or "tools")


def search_by_options(request: Request) -> Search | None:
    """Return what a caller of Chat asks to be searched; None: nothing. Raises as `search_of`."""
    options = request.extras.get(OPTIONS)
    return None if options is None else _read(options, _CHAT, OPTIONS)


def search_as_tool(request: Request, notices: Notices) -> Search | None:
    """Return what `search_by_options` does, for upstreams whose search is a tool: not where none may be called."""
    search, choice = search_by_options(request), request.tool_choice
    if search is None or choice is None or choice.mode != "none" or not request.tools:
        return search
    notices.lost(OPTIONS, "where no tool may be called, the upstream does not search either")
    return None


def _read(raw: Raw, protocol: ProtocolName, at: str) -> Search:
    found: dict[Limit, Raw] = {}
    said: dict[str, Limit | None] = {}
    for path, value in _parts(_object(raw, at), _PARENTS[protocol], at):
        limit = _LIMITS[protocol].get(path)
        if limit is not None:
            found[limit] = value
        if path not in _NAMES and _USUAL.get(path) != bytes(value):
            said[path] = limit
    paths = {limit: f"{at}.{path}" for path, limit in _LIMITS[protocol].items()}

    def read(limit: Limit, decoder: msgspec.json.Decoder[T], absent: T) -> T:
        return _checked(decoder, found[limit], paths[limit]) if limit in found else absent

    place = read("place", _PLACE, {})
    return Search(
        at=at,
        allowed_domains=read("allowed_domains", _TEXTS, ()),
        blocked_domains=read("blocked_domains", _TEXTS, ()),
        max_uses=read("max_uses", _COUNT, None),
        place={name: value for name, value in place.items() if value is not None and name != "type"},
        context_size=read("context_size", _WORD, None),
        said=said,
    )


def _parts(fields: Mapping[str, Raw], parents: Collection[str], at: str) -> Iterator[tuple[str, Raw]]:
    """Yield path and value of all that is said; of an object that holds limits, each of its fields."""
    for name, value in fields.items():
        parts = _object(value, f"{at}.{name}") if name in parents else {"": value}
        for inner, part in parts.items():
            if bytes(part) not in _EMPTY:
                yield f"{name}.{inner}".removesuffix("."), part


def _object(raw: Raw, at: str) -> dict[str, Raw]:
    if not bytes(raw).startswith(b"{"):
        raise _unreadable(at)
    return fields_of(raw)


def _checked(decoder: msgspec.json.Decoder[T], raw: Raw, at: str) -> T:
    try:
        return decoder.decode(raw)
    except msgspec.MsgspecError:
        raise _unreadable(at) from None


def _unreadable(at: str) -> Unsupported:
    return Unsupported("This field of the web search cannot be read.", param=at)
