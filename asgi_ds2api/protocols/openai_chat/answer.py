"""Pieces of what an upstream sends, read tolerantly: what is of another type is not there.

Whole answers and chunks of a stream hold the same pieces, and so do the messages that callers send back. Nothing here
raises; JSON that cannot be read at all was refused before.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from msgspec import Raw

from ...canonical import (
    Base64Source,
    Citation,
    Extras,
    Logprobs,
    Media,
    Opaque,
    Reasoning,
    Text,
    UrlSource,
)
from ...json_guard import encode_object
from . import wire
from .media import DATA_URL

_ANY: Final = msgspec.json.Decoder()
_FIELDS: Final = msgspec.json.Decoder(dict[str, Raw])
_LIST: Final = msgspec.json.Decoder(list[Raw])

MAX_COUNT: Final = 2**53
"""Of tokens; what is more is no count."""

REASONING_FIELDS: Final = ("reasoning_content", "reasoning", "reasoning_text", "thinking")
"""In order of preference: those that are there together say the same."""


def fields_of(raw: Raw | bytes | None) -> dict[str, Raw]:
    """Return the fields of an object that are not null; of anything else, none."""
    if raw is None or not bytes(raw).startswith(b"{"):
        return {}
    return {name: value for name, value in _FIELDS.decode(raw).items() if bytes(value) != wire.NULL}


def choice_of(raw: Raw) -> dict[str, Raw]:
    """Return the fields of a choice; one of a legacy completion as Chat would say it."""
    fields = fields_of(raw)
    if "text" not in fields or "message" in fields or "delta" in fields:
        return fields
    text = fields.pop("text")
    return {**fields, "message": Raw(encode_object({"content": text}))}


def items_of(raw: Raw | None) -> list[Raw]:
    """Return the items of a list; of anything else, none."""
    return _LIST.decode(raw) if raw is not None and bytes(raw).startswith(b"[") else []


def text_of(raw: Raw | None) -> str | None:
    """Return a string; None: it is something else."""
    if raw is None or not bytes(raw).startswith(b'"'):
        return None
    text: str = _ANY.decode(raw)
    return text


def number_of(raw: Raw | None) -> int | None:
    """Return a count, from 0 to `MAX_COUNT`; None: it is something else."""
    if raw is None or bytes(raw)[:1] not in b"-0123456789":
        return None
    try:
        return int(min(max(_ANY.decode(raw), 0), MAX_COUNT))
    except msgspec.MsgspecError:  # beyond a float
        return None


def rest_of(fields: Mapping[str, Raw], known: Iterable[str]) -> Extras:
    """Return the fields that are not known; null says no more than absence."""
    return {name: value for name, value in fields.items() if name not in known and bytes(value) != wire.NULL}


def arguments_of(raw: Raw | None) -> str:
    """Return tool arguments as text; an object is written out, null is nothing."""
    if raw is None or bytes(raw) == wire.NULL:
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
        extras = rest_of(fields, ("type", "thinking"))
        if any(not isinstance(block, Text) or block.extras for block in inner):
            extras["thinking"] = thinking
        return Reasoning(text="".join(b.text for b in inner if isinstance(b, Text)), extras=extras, at=at)
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
