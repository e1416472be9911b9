"""Tells a search of the web that Anthropic ran as the item that clients of Responses know: a ``web_search_call``.

Anthropic tells a search in two blocks, what was asked and what was found; an item holds both, so that it comes with the
second. It has the addresses that were found. What else is told of them (titles, age, the proof that Anthropic wants
back) no item can hold; what was cited stands at the text.

Source: Anthropic's web search tool, and OpenAI's reference of the Responses API (read 2026-11-22); protocol-openai E3.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec
from msgspec import Raw

from ..canonical import BlockStart, BlockStop, Delta, Event, Finish, Notice, Notices, Opaque, OpaqueDelta, Request
from ..json_pieces import fields_of, items_of, text_of

OfBlock: TypeAlias = Delta | BlockStop
FACE: Final = "openai_responses"
VENDOR: Final = "anthropic_messages"
ITEM: Final = "web_search_call"
_ASKED: Final = "server_tool_use"
_SEARCH: Final = "web_search"
_FOUND: Final = "web_search_tool_result"


class _Search:
    """A search whose results are not here yet."""

    __slots__ = ("asked", "pieces")

    def __init__(self, asked: Opaque) -> None:
        self.asked = asked
        self.pieces: list[str] = []
        """Of its input, which comes in pieces of JSON."""

    @property
    def query(self) -> str:
        """What was asked; of an input that is none, the input as it came."""
        text = "".join(self.pieces) or bytes(fields_of(self.asked.raw).get("input", b"")).decode()
        try:
            return _INPUT.decode(text).query
        except msgspec.MsgspecError:  # a model's own words, and cut off where the answer is
            return text


class _Input(msgspec.Struct):
    query: str


_INPUT: Final = msgspec.json.Decoder(_Input)


class WebSearches:
    """See the module."""

    is_over = False

    def __init__(self) -> None:
        self._open: dict[int, _Search] = {}
        """Those whose input is not whole yet, by block."""
        self._searches: dict[str, _Search] = {}
        """By the vendor's id."""
        self._results: set[int] = set()
        """Blocks of results, which are told with their search."""
        self._count = 0
        """Of the blocks that are told."""
        self._numbers: dict[int, int] = {}
        """Number of a block as it came -> as it is told, where they differ."""

    @staticmethod
    def is_needed(request: Request, protocol: str) -> bool:
        """Tell whether a client of Responses is answered by Anthropic."""
        return request.source == FACE and protocol == VENDOR

    def request(self, request: Request, notices: Notices) -> Request:
        """Return the request: what is searched with is the encoder's business."""
        return request

    def events(self, events: Sequence[Event]) -> Sequence[Event]:
        """Tell each search with its results as one item."""
        out: list[Event] = []
        for event in events:
            match event:
                case BlockStart(block=Opaque(protocol=protocol) as block) if protocol == VENDOR:
                    out += self._begin(event, block)
                case OpaqueDelta() if event.index in self._open:
                    self._open[event.index].pieces.append(text_of(fields_of(event.raw).get("partial_json")) or "")
                case BlockStop() if event.index in self._open:
                    del self._open[event.index]
                case BlockStop() if event.index in self._results:
                    self._results.remove(event.index)
                case Finish():
                    for search in self._searches.values():
                        out += self._told(search, "incomplete", ())
                    self._searches.clear()
                    out.append(event)
                case _:
                    out.append(self._numbered(event))
        return out

    def _numbered(self, event: Event) -> Event:
        """Return an event with the number that its block is told by: two that came are one."""
        if isinstance(event, BlockStart):
            number, self._count = self._count, self._count + 1
            if number == event.index:
                return event
            self._numbers[event.index] = number
            return msgspec.structs.replace(event, index=number)
        if isinstance(event, OfBlock) and event.index in self._numbers:
            return msgspec.structs.replace(event, index=self._numbers[event.index])
        return event

    def _begin(self, event: BlockStart, block: Opaque) -> Sequence[Event]:
        fields = fields_of(block.raw)
        if block.type == _ASKED and text_of(fields.get("name")) == _SEARCH:
            search = _Search(block)
            self._open[event.index] = self._searches[text_of(fields.get("id")) or ""] = search
            return ()
        searched = self._searches.pop(text_of(fields.get("tool_use_id")) or "", None) if block.type == _FOUND else None
        if searched is None:
            return (self._numbered(event),)
        self._results.add(event.index)
        content = fields.get("content")
        is_found = content is not None and bytes(content).startswith(b"[")
        urls = [url for found in items_of(content) if (url := text_of(fields_of(found).get("url")))]
        told = Notice(
            path=block.at, action="coerced", reason="of what was found the addresses are told", severity="changed"
        )
        return (told, *self._told(searched, "completed" if is_found else "failed", urls))

    def _told(self, search: _Search, status: str, urls: Sequence[str]) -> Sequence[Event]:
        sources = [{"type": "url", "url": url} for url in urls]
        action = {"type": "search", "query": search.query, "queries": [search.query], "sources": sources}
        raw = Raw(msgspec.json.encode({"type": ITEM, "status": status, "action": action}))
        item = Opaque(protocol=FACE, type=ITEM, raw=raw, at=search.asked.at)
        number, self._count = self._count, self._count + 1
        return (BlockStart(index=number, block=item), BlockStop(index=number))
