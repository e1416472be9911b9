"""The vendor's own search of the web, in place of those that other vendors define."""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw

from ...canonical import Notices, Request, Tool, VendorTool
from ...json_pieces import JsonObject
from . import wire

SEARCH_OPTIONS: Final = "web_search_options"
"""Chat's field."""
_WEB_SEARCH: Final = "web_search"
_INLINED: Final = "tool_search_tool"
"""Begins the types of Anthropic's tools that find tools: here all tools are told at once."""


class _Search(msgspec.Struct):
    """Of Anthropic."""

    allowed_domains: list[str] | None = None
    user_location: dict[str, object] | None = None


class _SearchOptions(msgspec.Struct):
    """Of Chat."""

    user_location: dict[str, object] | None = None
    search_context_size: str | None = None


def offered(request: Request, notices: Notices) -> list[Tool]:
    """Return the tools; a search of the web that another vendor defines is this one's own."""
    tools: list[Tool] = []
    for tool in request.tools:
        if isinstance(tool, VendorTool) and tool.protocol != wire.NAME and tool.type.startswith(_WEB_SEARCH):
            asked = msgspec.json.decode(tool.raw, type=_Search)
            filters = {"filters": {"allowed_domains": asked.allowed_domains}} if asked.allowed_domains else {}
            tools.append(_own_search({**filters, **_place(asked.user_location)}, tool.at or "tools", notices))
        elif isinstance(tool, VendorTool) and tool.type.startswith(_INLINED):
            notices.changed(tool.at or "tools", "all tools are told at once", action="dropped")
        else:
            tools.append(tool)
    if request.source != wire.NAME and (options := request.extras.get(SEARCH_OPTIONS)) is not None:
        wanted = msgspec.json.decode(options, type=_SearchOptions)
        place = wanted.user_location or {}
        size = {} if wanted.search_context_size is None else {"search_context_size": wanted.search_context_size}
        tools.append(_own_search({**size, **_place(place.get("approximate"))}, SEARCH_OPTIONS, notices))
    return tools


def _own_search(fields: Mapping[str, object], at: str, notices: Notices) -> VendorTool:
    notices.changed(at, "sent as the vendor's own web search")
    raw = Raw(msgspec.json.encode({"type": _WEB_SEARCH, **fields}))
    return VendorTool(protocol=wire.NAME, type=_WEB_SEARCH, name=None, raw=raw, runs_at="provider", at=at)


def _place(location: object) -> JsonObject:
    return {"user_location": {**location, "type": "approximate"}} if isinstance(location, dict) and location else {}
