"""The versions of the protocol: which one a caller speaks, what it forbids, which one an upstream is spoken to in."""

from typing import Final

import msgspec
from msgspec import Raw

from ...canonical import Block, Media, Opaque, Request, Sampling, Text, ToolResult
from ...codec import HTTPCall
from ...errors import MalformedRequest
from ...profiles import Profile
from . import wire


def asked_version(call: HTTPCall) -> str | None:
    """Return the version that a caller speaks; None: it does not say, and means the older one.

    Raises:
        MalformedRequest: There is no such version.
    """
    version = call.headers.get(wire.VERSION_HEADER)
    if version is not None and version not in wire.VERSIONS:
        raise MalformedRequest(f"anthropic-version must be one of {', '.join(sorted(wire.VERSIONS))}.")
    return version


def version_for(request: Request, profile: Profile) -> str:
    """Return the version to speak: the caller's own, or the newest that takes what is said."""
    if profile.version is not None:
        return profile.version
    if request.source == wire.NAME:
        return request.vendor_headers.get(wire.VERSION_HEADER, wire.VERSION)
    is_sampling = request.sampling != Sampling()
    return wire.VERSION if is_sampling or profile.vendor != wire.VENDOR else wire.STRICT_VERSION


class _CitedText(msgspec.Struct):
    citations: list[Raw] | None = None


class _SearchResult(msgspec.Struct):
    content: list[_CitedText] = []


_SEARCH_RESULT: Final = msgspec.json.Decoder(_SearchResult)


def enforce_strict_version(request: Request) -> None:
    """Refuse what ``anthropic-version: 2026-10-21`` no longer takes.

    Raises:
        MalformedRequest: Sampling, a document in an assistant message, or citations in a user message.
    """
    for name in ("temperature", "top_p", "top_k"):
        if getattr(request.sampling, name) is not None:
            raise _strictly(f"{name} is not supported", name)
    for message in request.messages:
        for block in message.content:
            if message.role == "assistant" and isinstance(block, Media) and block.kind == "document":
                raise _strictly("documents do not stand in assistant messages", block.at)
            if message.role == "user" and (cited := _cited(block)) is not None:
                raise _strictly("citations do not stand in user messages", f"{cited}.citations")


def _cited(block: Block) -> str | None:
    """Return the path of the first text of a block that has citations; None: there is none."""
    match block:
        case Text(citations=citations) if citations:
            return block.at
        case ToolResult():
            return next((at for part in block.blocks if (at := _cited(part)) is not None), None)
        case Opaque(type="search_result"):
            try:
                texts = _SEARCH_RESULT.decode(block.raw).content
            except msgspec.MsgspecError:
                return None
            return next((f"{block.at}.content[{i}]" for i, text in enumerate(texts) if text.citations), None)
        case _:
            return None


def _strictly(what: str, param: str) -> MalformedRequest:
    return MalformedRequest(f"{what} with anthropic-version {wire.STRICT_VERSION}.", param=param)
