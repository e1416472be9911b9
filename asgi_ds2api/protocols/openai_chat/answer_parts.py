"""Pieces of what an upstream sends, read tolerantly: what is of another type is not there.

Whole answers and chunks of a stream hold the same pieces, and so do the messages that callers send back. Nothing here
raises; JSON that cannot be read at all was refused before.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw

from ...canonical import (
    Base64Source,
    Citation,
    Logprobs,
    Media,
    Opaque,
    Reasoning,
    Text,
    UrlSource,
)
from ...json_guard import encode_object
from ...json_pieces import NULL, JsonObject, fields_of, items_of, number_of, rest_of, text_of
from . import wire
from .media import DATA_URL

REASONING_FIELDS: Final = ("reasoning_content", "reasoning", "reasoning_text", "thinking")
"""In order of preference: those that are there together say the same."""
_ENTRY: Final = msgspec.json.Decoder(dict[str, Raw])


def choice_of(raw: Raw) -> dict[str, Raw]:
    """Return the fields of a choice; one of a legacy completion as Chat would say it."""
    fields = fields_of(raw)
    if "text" not in fields or "message" in fields or "delta" in fields:
        return fields
    text = fields.pop("text")
    return {**fields, "message": Raw(encode_object({"content": text}))}


def arguments_of(raw: Raw | None) -> str:
    """Return tool arguments as text; an object is written out, null is nothing."""
    if raw is None or bytes(raw) == NULL:
        return ""
    text = text_of(raw)
    return bytes(raw).decode() if text is None else text


def content_pieces(raw: Raw | None, at: str) -> list[Text | Reasoning | Opaque]:
    """Return the pieces of a message's content: one text, or a list as Mistral has it, of text, thinking and others.

    Args:
        raw: The content.
        at: Path of it.
    """
    text = text_of(raw)
    if text is not None:
        return [Text(text=text, at=at)] if text else []
    return [_piece(item, f"{at}[{position}]") for position, item in enumerate(items_of(raw))]


def _piece(raw: Raw, at: str) -> Text | Reasoning | Opaque:
    fields = fields_of(raw)
    kind = text_of(fields.get("type"))
    thinking = fields.get("thinking")
    if kind == "thinking" and thinking is not None:
        inner = content_pieces(thinking, f"{at}.thinking")
        extras = rest_of(fields, ("type", "thinking", "signature"))
        if any(not isinstance(block, Text) or block.extras for block in inner):
            extras["thinking"] = thinking
        said = "".join(block.text for block in inner if isinstance(block, Text))
        return Reasoning(text=said, signature=text_of(fields.get("signature")) or None, extras=extras, at=at)
    text = text_of(fields.get("text"))
    if text is None:
        return Opaque(protocol=wire.NAME, type=kind or "unknown", raw=raw, at=at)
    return Text(text=text, extras=rest_of(fields, ("type", "text")), at=at)


def plain_reasoning(fields: Mapping[str, Raw], at: str) -> Reasoning:
    """Return reasoning from the first of the fields that holds any."""
    for name in REASONING_FIELDS:
        if text := text_of(fields.get(name)):
            return Reasoning(text=text, at=f"{at}.{name}")
    return Reasoning(text="")


def logprobs_of(raw: Raw | None, choice: int) -> Logprobs | None:
    """Return log probabilities; None: there are none."""
    fields = fields_of(raw)
    content = tuple(items_of(fields["content"])) if "content" in fields else None
    refusal = tuple(items_of(fields["refusal"])) if "refusal" in fields else None
    if content is None and refusal is None:
        return None
    return Logprobs(content=content, refusal=refusal, choice=choice)


def citations_of(raw: Raw | None, at: str = "") -> list[Citation]:
    """Return the annotations of a message."""
    found: list[Citation] = []
    for position, item in enumerate(items_of(raw)):
        cited = fields_of(fields_of(item).get("url_citation"))
        found.append(
            Citation(
                protocol=wire.NAME,
                raw=item,
                url=text_of(cited.get("url")),
                title=text_of(cited.get("title")),
                start=number_of(cited.get("start_index")),
                end=number_of(cited.get("end_index")),
                at=at and f"{at}[{position}]",
            )
        )
    return found


def images_of(raw: Raw | None, at: str = "") -> list[Media]:
    """Return the images that OpenRouter and others put beside a message's text."""
    images: list[Media] = []
    for position, item in enumerate(items_of(raw)):
        fields = fields_of(item)
        url = text_of(fields_of(fields.get("image_url")).get("url"))
        if url is None:
            continue
        match = DATA_URL.fullmatch(url)
        source = UrlSource(url=url) if match is None else Base64Source(media_type=match["type"], data=match["data"])
        extras = rest_of(fields, ("type", "image_url"))
        images.append(Media(kind="image", source=source, extras=extras, at=at and f"{at}[{position}]"))
    return images


def without_number(entry: Raw) -> Raw:
    """Return an entry of a list that a stream tells in pieces, without what says which one it is."""
    if not bytes(entry).startswith(b"{") or b'"index"' not in bytes(entry):
        return entry
    return Raw(encode_object({name: value for name, value in _ENTRY.decode(entry).items() if name != "index"}))


def numbered(entry: JsonObject | Raw, number: int) -> JsonObject | Raw:
    """Return an entry of a list that a stream tells in pieces, with what says which one it is."""
    if isinstance(entry, dict):
        return {**entry, "index": number}
    return {**_ENTRY.decode(entry), "index": number} if bytes(entry).startswith(b"{") else entry
