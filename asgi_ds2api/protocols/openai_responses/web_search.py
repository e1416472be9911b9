"""The vendor's own search of the web, in place of those that other vendors define."""

from typing import Final

import msgspec
from msgspec import Raw

from ...canonical import Notices, Request, Tool, VendorTool
from ...json_pieces import JsonObject
from ..foreign_searches import Limit, Search, search_as_tool, search_of
from . import wire

_WEB_SEARCH: Final = "web_search"
_CAN_BE_TOLD: Final[frozenset[Limit]] = frozenset({"allowed_domains", "place", "context_size"})
_INLINED: Final = "tool_search_tool"
"""Begins the types of Anthropic's tools that find tools: here all tools are told at once."""


def offered(request: Request, notices: Notices) -> list[Tool]:
    """Return the tools; a search of the web that another vendor defines is this one's own.

    Raises:
        Unsupported: What is asked of such a search cannot be read.
    """
    tools: list[Tool] = []
    for tool in request.tools:
        search = None if isinstance(tool, VendorTool) and tool.protocol == wire.NAME else search_of(tool)
        if search is not None:
            tools.append(_own_search(search, notices))
        elif isinstance(tool, VendorTool) and tool.type.startswith(_INLINED):
            notices.changed(tool.at or "tools", "all tools are told at once", action="dropped")
        else:
            tools.append(tool)
    if request.source != wire.NAME and (search := search_as_tool(request, notices)) is not None:
        tools.append(_own_search(search, notices))
    return tools


def _own_search(search: Search, notices: Notices) -> VendorTool:
    search.report(_CAN_BE_TOLD, notices, "the vendor's")
    own: JsonObject = {"type": _WEB_SEARCH}
    if search.allowed_domains:
        own["filters"] = {"allowed_domains": search.allowed_domains}
    if search.context_size is not None:
        own["search_context_size"] = search.context_size
    if search.place:
        own["user_location"] = {**search.place, "type": "approximate"}
    raw = Raw(msgspec.json.encode(own))
    return VendorTool(protocol=wire.NAME, type=_WEB_SEARCH, name=None, raw=raw, runs_at="provider", at=search.at)
