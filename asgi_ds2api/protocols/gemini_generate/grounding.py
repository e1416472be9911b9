"""Where an answer's words come from, both ways: ``groundingMetadata`` <-> `Citation`.

The vendor tells spans in bytes of UTF-8, and sources apart from them; canonical citations count characters of the whole
text and name their source. A span that does not fit its text is looked for by the text that the vendor quotes.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Raw

from ...canonical import Citation
from ...json_pieces import JsonObject, items_of, text_of
from . import wire
from .wire import Shape

FIELD: Final = "groundingMetadata"

_METADATA: Final = Shape("groundingChunks", "groundingSupports")
_SOURCE: Final = Shape("web", "retrievedContext", "maps", "image")
_PAGE: Final = Shape("uri", "title", "text")
_SUPPORT: Final = Shape("segment", "groundingChunkIndices")
_SEGMENT: Final = Shape("startIndex", "endIndex", "text", "partIndex")


def decode_citations(raw: Raw, text: str, at: str) -> list[Citation]:
    """Return a citation for each source of each span; none where the vendor names no source.

    Args:
        raw: ``groundingMetadata``.
        text: What the answer says, thoughts left out.
        at: Its path.
    """
    fields = _METADATA.look(raw)
    sources = [_source(item) for item in items_of(fields.get("groundingChunks"))]
    data = text.encode()
    found: list[Citation] = []
    for position, item in enumerate(items_of(fields.get("groundingSupports"))):
        support = _SUPPORT.look(item)
        segment = _SEGMENT.look(support.get("segment"))
        quoted = text_of(segment.get("text"))
        start, end = _span(data, text, segment, quoted)
        for number in items_of(support.get("groundingChunkIndices")):
            index = wire.count_of(number)
            if index is None or index >= len(sources):
                continue
            uri, title = sources[index]
            found.append(
                Citation(
                    protocol=wire.NAME,
                    raw=item,
                    url=uri,
                    title=title,
                    cited_text=quoted,
                    start=start,
                    end=end,
                    at=f"{at}.groundingSupports[{position}]",
                )
            )
    return found


def _source(raw: Raw) -> tuple[str | None, str | None]:
    page = _PAGE.look(next(iter(_SOURCE.look(raw).values()), None))
    return text_of(page.get("uri")), text_of(page.get("title"))


def _span(data: bytes, text: str, segment: dict[str, Raw], quoted: str | None) -> tuple[int | None, int | None]:
    """Return a span in characters; None, None: nobody can tell."""
    first, last = wire.count_of(segment.get("startIndex")) or 0, wire.count_of(segment.get("endIndex"))
    if last is not None and (quoted is None or data[first:last] == quoted.encode()):
        start = len(data[:first].decode(errors="ignore"))
        return start, len(data[:last].decode(errors="ignore"))
    place = text.find(quoted) if quoted else -1
    return (place, place + len(quoted)) if quoted and place >= 0 else (None, None)


def encode_citations(citations: Sequence[Citation], text: str) -> JsonObject | None:
    """Return ``groundingMetadata`` for other vendors' citations of web pages; None: there are none.

    Args:
        citations: Of one answer.
        text: What the answer says.
    """
    pages: dict[str, str] = {}
    supports: list[JsonObject] = []
    for citation in citations:
        if citation.url is None:
            continue
        pages.setdefault(citation.url, citation.title or "")
        if citation.start is None or citation.end is None:
            continue
        quoted = text[citation.start : citation.end]
        first = len(text[: citation.start].encode())
        segment = {"startIndex": first, "endIndex": first + len(quoted.encode()), "text": quoted}
        supports.append({"segment": segment, "groundingChunkIndices": [list(pages).index(citation.url)]})
    if not pages:
        return None
    chunks = [{"web": {"uri": url, "title": title}} for url, title in pages.items()]
    return {"groundingChunks": chunks, **({"groundingSupports": supports} if supports else {})}
