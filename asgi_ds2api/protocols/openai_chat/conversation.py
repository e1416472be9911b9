"""The messages of a request for an upstream: ours -> wire.

Order of a Chat conversation: tool results stand directly behind the assistant message that called, in the order of the
calls; what stood between is pushed behind them.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final, assert_never

import msgspec

from ...canonical import (
    Base64Source,
    Block,
    BlocksSource,
    CacheMark,
    Extras,
    FileSource,
    Media,
    Message,
    Notices,
    Opaque,
    Reasoning,
    Refusal,
    Request,
    Text,
    TextSource,
    ToolCall,
    ToolResult,
    UrlSource,
)
from ...errors import Unsupported
from ...profiles import Profile
from . import wire

Json = dict[str, object]
_ID: Final = re.compile(r"[^A-Za-z0-9_-]")
MAX_ID: Final = 64


class Conversation:
    """The messages of one request on their way out, and how what they cannot hold is reported."""

    def __init__(self, request: Request, profile: Profile, notices: Notices) -> None:
        self._request = request
        self._profile = profile
        self._notices = notices
        self._is_own = request.source == wire.NAME
        self._ids: dict[str, str] = {}

    def messages(self) -> list[Json]:
        """Return the messages in the order that an upstream wants.

        Raises:
            Unsupported: A part has no form in this protocol, or nothing is left.
        """
        out: list[Json] = []
        for message in hoist_results(self._request.messages):
            out += self._message(message)
        if not any(message["role"] in ("user", "tool") for message in out) and not out:
            raise Unsupported("Nothing of the conversation is left for this upstream.", param="messages")
        return out

    def _message(self, message: Message) -> list[Json]:
        match message.role:
            case "system" | "developer":
                return self._system(message)
            case "assistant":
                return self._assistant(message)
            case "user" | "tool":
                return self._user(message)
            case _:
                assert_never(message.role)

    def _system(self, message: Message) -> list[Json]:
        wanted = self._profile.system_role
        role = message.role if wanted == "keep" else wanted
        content = self._parts(message.content)
        return [self._with_rest({"role": role, "content": _plain(content)}, message)] if content else []

    def _assistant(self, message: Message) -> list[Json]:
        calls = [self._call(block) for block in message.content if isinstance(block, ToolCall)]
        texts = [block for block in message.content if not isinstance(block, ToolCall | Reasoning)]
        content = self._parts(texts, assistant=True)
        out: Json = {"role": "assistant", "content": _plain(content) if content else None}
        self._write_replay(out, [block for block in message.content if isinstance(block, Reasoning)])
        if calls:
            out["tool_calls"] = calls
        elif not content:
            out["content"] = ""
        return [self._with_rest(out, message)]

    def _user(self, message: Message) -> list[Json]:
        out: list[Json] = []
        shown: list[Json] = []
        for block in message.content:
            if isinstance(block, ToolResult):
                result, images = self._result(block)
                out.append(result)
                shown += images
        rest = [block for block in message.content if not isinstance(block, ToolResult)]
        parts = shown + self._parts(rest)
        if parts:
            out.append(self._with_rest({"role": "user", "content": _plain(parts)}, message))
        return out

    def _with_rest(self, out: Json, message: Message) -> Json:
        if message.name is not None:
            out["name"] = message.name
        return self.with_extras(out, message.extras, message.at)

    def _result(self, result: ToolResult) -> tuple[Json, list[Json]]:
        """Return the tool message, and the media that a tool message cannot hold."""
        texts = [
            block for block in result.blocks if not isinstance(block, Media) or isinstance(block.source, TextSource)
        ]
        media = [
            block for block in result.blocks if isinstance(block, Media) and not isinstance(block.source, TextSource)
        ]
        parts = self._parts(texts)
        content = _plain(parts) if parts else ""
        if result.is_error:
            content = _prefixed("Error: ", content)
            self._notices.changed(f"{result.at}.is_error", "said as a prefix of the text")
        self.report_mark(result.cache, result.at)
        out: Json = {"role": "tool", "tool_call_id": self._id(result.call_id), "content": content}
        out = self.with_extras(out, result.extras, result.at)
        if not media:
            return out, []
        for block in media:
            self._notices.changed(block.at, "moved behind the tool message, which holds text only", action="moved")
        caption: Json = {"type": "text", "text": f"Result of tool call {self._id(result.call_id)}:"}
        return out, [caption, *self._parts(media)]

    def _call(self, call: ToolCall) -> Json:
        self.report_mark(call.cache, call.at)
        if call.kind == "custom":
            out: Json = {
                "id": self._id(call.id),
                "type": "custom",
                "custom": {"name": call.name, "input": call.arguments},
            }
        else:
            function = {"name": call.name, "arguments": call.arguments or "{}"}
            out = {"id": self._id(call.id), "type": "function", "function": function}
        return self.with_extras(out, call.extras, call.at)

    def _id(self, id_: str) -> str:
        """Return an id in the alphabet and length of this protocol; the same one for a call and its result."""
        if id_ not in self._ids:
            self._ids[id_] = (
                id_ if len(id_) <= MAX_ID and not _ID.search(id_) else _ID.sub("_", id_)[-MAX_ID:] or "call"
            )
        return self._ids[id_] if not self._is_own else id_

    def _parts(self, blocks: Iterable[Block], *, assistant: bool = False) -> list[Json]:
        parts: list[Json] = []
        for block in blocks:
            parts += self._part(block, assistant)
        return parts

    def _part(self, block: Block, assistant: bool) -> list[Json]:
        match block:
            case Text():
                return self._text(block)
            case Media():
                if assistant:
                    self._notices.lost(block.at, "an assistant message holds text only")
                    return []
                return self._media(block)
            case Refusal():
                return [self.with_extras({"type": "refusal", "refusal": block.text}, block.extras, block.at)]
            case Opaque():
                return self._opaque(block)
            case Reasoning() | ToolCall() | ToolResult():
                self._notices.lost(block.at, "it cannot stand in this message")
                return []
            case _:
                assert_never(block)

    def _text(self, block: Text) -> list[Json]:
        for citation in block.citations:
            self._notices.lost(citation.at or f"{block.at}.citations", "a request's text carries no citations")
        if not block.text and not self._is_own:
            return []
        return [self._marked({"type": "text", "text": block.text}, block.cache, block.extras, block.at)]

    def _opaque(self, block: Opaque) -> list[Json]:
        if block.protocol == wire.NAME:
            return [msgspec.json.decode(block.raw)]
        if block.fallback == "":
            self._notices.hint(block.at, "it says nothing to a model")
            return []
        if block.fallback is not None:
            self._notices.changed(block.at, "said in plain text")
            return [{"type": "text", "text": block.fallback}]
        if block.is_required:
            raise Unsupported("The upstream has nothing for this part.", param=block.at)
        self._notices.lost(block.at, "the upstream has nothing for it")
        return []

    def _media(self, block: Media) -> list[Json]:
        self._report_media(block)
        source = block.source
        match source:
            case TextSource():
                return [{"type": "text", "text": _document(block, source.text)}]
            case BlocksSource():
                self._notices.changed(f"{block.at}.source", "sent as parts of the message")
                header: list[Json] = (
                    [{"type": "text", "text": _document(block, "")}] if block.name or block.context else []
                )
                return header + self._parts(source.blocks)
            case FileSource():
                if source.protocol != wire.NAME:
                    raise Unsupported("A file of another vendor cannot be read here. Send its content.", param=block.at)
                out: Json = {"type": "file", "file": {"file_id": source.file_id}}
            case UrlSource():
                if block.kind != "image":
                    raise Unsupported("A file cannot be given by URL here. Send its content.", param=block.at)
                if not self._profile.image_urls:
                    raise Unsupported("This upstream takes images as data only.", param=block.at)
                out = {"type": "image_url", "image_url": _image(source.url, block.detail)}
            case Base64Source():
                out = self._data(block, source)
            case _:
                assert_never(source)
        return [self._marked(out, block.cache, block.extras, block.at)]

    def _data(self, block: Media, source: Base64Source) -> Json:
        url = f"data:{source.media_type};base64,{source.data}"
        if block.kind == "image":
            return {"type": "image_url", "image_url": _image(url, block.detail)}
        if block.kind == "audio":
            format_ = "mp3" if source.media_type == "audio/mpeg" else source.media_type.rpartition("/")[2]
            return {"type": "input_audio", "input_audio": {"data": source.data, "format": format_}}
        if block.kind == "video":
            raise Unsupported("The upstream takes no film.", param=block.at)
        return {"type": "file", "file": {"file_data": url, "filename": block.name or "document.pdf"}}

    def _report_media(self, block: Media) -> None:
        if block.citations_enabled:
            self._notices.lost(f"{block.at}.citations", "the upstream cites no documents")
        elif block.citations_enabled is not None:
            self._notices.hint(f"{block.at}.citations", "the upstream cites no documents")
        if block.context is not None and not isinstance(block.source, TextSource | BlocksSource):
            self._notices.lost(f"{block.at}.context", "the upstream has no place for it")

    def _marked(self, out: Json, mark: CacheMark | None, extras: Extras, at: str) -> Json:
        if mark is not None and self._is_own:
            breakpoint_: Json = {"mode": "explicit"}
            if mark.ttl is not None:
                breakpoint_["ttl"] = mark.ttl
            out["prompt_cache_breakpoint"] = breakpoint_
        else:
            self.report_mark(mark, at)
        return self.with_extras(out, extras, at)

    def report_mark(self, mark: CacheMark | None, at: str) -> None:
        """Say that a cache mark stays here."""
        if mark is not None:
            self._notices.hint(f"{at}.cache_control", "the upstream caches by itself")

    def with_extras(self, out: Json, extras: Extras, at: str) -> Json:
        """Write fields of this protocol back; report those of another."""
        if not extras:
            return out
        for name, value in extras.items():
            if self._is_own:
                outer, _, inner = name.partition(".")
                holder = out.get(outer)
                if inner and isinstance(holder, dict):
                    holder[inner] = value
                else:
                    out[name] = value
            else:
                self._notices.lost(f"{at}.{name}" if at else name, "the upstream has no such field")
        return out

    def _write_replay(self, out: Json, blocks: Sequence[Reasoning]) -> None:
        if not blocks:
            return
        mode = self._profile.reasoning_replay
        if mode == "details":
            out["reasoning_details"] = [_detail(block, index) for index, block in enumerate(blocks)]
        elif mode == "content" or (self._is_own and not any(block.signature or block.redacted for block in blocks)):
            out["reasoning_content"] = "".join(block.text for block in blocks)
            for block in blocks:
                if block.signature or block.redacted:
                    self._notices.hint(block.at, "the upstream needs no signature")
        elif self._is_own:
            out["reasoning_details"] = [_detail(block, index) for index, block in enumerate(blocks)]
        else:
            for block in blocks:
                self._notices.hint(block.at, "the upstream does not take earlier reasoning back")


def hoist_results(messages: Sequence[Message]) -> list[Message]:
    """Put tool results directly behind the assistant message that called, in the order of its calls."""
    out: list[Message] = []
    waiting: tuple[str, ...] = ()
    results: dict[str, ToolResult] = {}
    pushed: list[Message] = []
    for message in messages:
        if message.role == "assistant":
            _settle(out, waiting, results, pushed)
            waiting = tuple([block.id for block in message.content if isinstance(block, ToolCall)])
            out.append(message)
        elif not waiting:
            out.append(message)
        else:
            kept = _without_results(message, waiting, results)
            if kept is not None:
                pushed.append(kept)
            if len(results) == len(set(waiting)):
                _settle(out, waiting, results, pushed)
                waiting = ()
    _settle(out, waiting, results, pushed)
    return out


def _without_results(message: Message, waiting: Sequence[str], results: dict[str, ToolResult]) -> Message | None:
    """Take the results that are waited for out of a message; None: nothing else is in it."""
    rest: list[Block] = []
    for block in message.content:
        if isinstance(block, ToolResult) and block.call_id in waiting:
            results[block.call_id] = block
        else:
            rest.append(block)
    if len(rest) == len(message.content):
        return message
    return msgspec.structs.replace(message, content=tuple(rest)) if rest else None


def _settle(
    out: list[Message], waiting: Sequence[str], results: dict[str, ToolResult], pushed: list[Message]
) -> None:  # fmt: skip
    """Write the results in the order of their calls, then what stood between."""
    for call_id in waiting:
        result = results.pop(call_id, None)
        if result is not None:
            out.append(Message(role="tool", content=(result,), at=result.at))
    out += pushed
    pushed.clear()


def _plain(parts: Sequence[Json]) -> object:
    """Return a single plain text as a string, anything else as parts."""
    if len(parts) == 1 and parts[0].keys() == {"type", "text"}:
        return parts[0]["text"]
    return list(parts)


def _prefixed(prefix: str, content: object) -> object:
    if isinstance(content, str):
        return prefix + content
    return [{"type": "text", "text": prefix.strip()}, *content] if isinstance(content, list) else content


def _image(url: str, detail: str | None) -> Json:
    return {"url": url} if detail is None else {"url": url, "detail": detail}


def _document(block: Media, text: str) -> str:
    lines = [line for line in (block.name, block.context, text) if line]
    return "\n\n".join(lines)


def _detail(block: Reasoning, index: int) -> Json:
    if block.redacted is not None:
        return {"type": "reasoning.encrypted", "data": block.redacted, "index": index}
    if block.is_summary:
        return {"type": "reasoning.summary", "summary": block.text, "index": index}
    out: Json = {"type": "reasoning.text", "text": block.text, "index": index}
    if block.signature is not None:
        out["signature"] = block.signature
    return out
