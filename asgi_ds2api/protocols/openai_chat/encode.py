"""A request for an upstream: ours -> wire. The twin is ``request``.

Order of a Chat conversation: tool results stand directly behind the assistant message that called, in the order of the
calls; what stood between is pushed behind them. What Chat has no word for is reported; see ``docs/protocols``.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final, assert_never
from urllib.parse import quote

import msgspec
from msgspec import Raw

from ...canonical import (
    Base64Source,
    Block,
    BlocksSource,
    CacheMark,
    CustomTool,
    Extras,
    FileSource,
    FunctionTool,
    Media,
    Message,
    Notices,
    Opaque,
    Reasoning,
    Refusal,
    Request,
    Text,
    TextSource,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    UrlSource,
    VendorTool,
)
from ...codec import RESERVED_FIELDS, HTTPCall
from ...errors import Unsupported
from ...profiles import Profile
from . import wire

Json = dict[str, object]
_ENCODER: Final = msgspec.json.Encoder()
PROTECTED: Final = frozenset({"model", "stream", "messages", "system", "tools", "max_tokens", "max_completion_tokens"})
"""Fields that ``extra_body`` never replaces."""
_ID: Final = re.compile(r"[^A-Za-z0-9_-]")
MAX_ID: Final = 64
_BUDGETS: Final = ((1_025, "minimal"), (2_048, "low"), (12_288, "medium"), (28_000, "high"))
_TIERS: Final = {"standard_only": "default"}
_HINTS: Final = frozenset({"anthropic-beta", "anthropic-version"})


def encode_request(request: Request, profile: Profile, notices: Notices) -> HTTPCall:
    """Write a request for an upstream; see `codec.Codec.encode_request`."""
    return _Writer(request, profile, notices).call()


def path_of(profile: Profile, model: str) -> str:
    """Return the path of the main operation under ``base_url``."""
    return (profile.path or wire.PATH).replace("{model}", quote(model, safe=""))


class _Writer:
    """One request on its way out."""

    def __init__(self, request: Request, profile: Profile, notices: Notices) -> None:
        self._request = request
        self._profile = profile
        self._notices = notices
        self._is_own = request.source == wire.NAME
        self._ids: dict[str, str] = {}

    def call(self) -> HTTPCall:
        request = self._request
        body: Json = {"model": request.model, "messages": self._messages()}
        self._write_tools(body)
        self._write_limits(body)
        self._write_sampling(body)
        self._write_format(body)
        self._write_reasoning(body)
        self._write_identity(body)
        if request.stream:
            body["stream"] = True
            self._write_stream_options(body)
        self._write_extras(body)
        for field in self._profile.drop:
            if body.pop(field, None) is not None:
                self._notices.lost(field, "this upstream refuses the field")
        return HTTPCall(
            method="POST",
            path=path_of(self._profile, request.model),
            body=_ENCODER.encode(body),
            query=self._profile.query,
        )

    # --- messages -----------------------------------------------------------------------------------------------------

    def _messages(self) -> list[Json]:
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
        return self._with_extras(out, message.extras, message.at)

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
        self._report_mark(result.cache, result.at)
        out: Json = {"role": "tool", "tool_call_id": self._id(result.call_id), "content": content}
        out = self._with_extras(out, result.extras, result.at)
        if not media:
            return out, []
        for block in media:
            self._notices.changed(block.at, "moved behind the tool message, which holds text only", action="moved")
        caption: Json = {"type": "text", "text": f"Result of tool call {self._id(result.call_id)}:"}
        return out, [caption, *self._parts(media)]

    def _call(self, call: ToolCall) -> Json:
        self._report_mark(call.cache, call.at)
        if call.kind == "custom":
            out: Json = {
                "id": self._id(call.id),
                "type": "custom",
                "custom": {"name": call.name, "input": call.arguments},
            }
        else:
            function = {"name": call.name, "arguments": call.arguments or "{}"}
            out = {"id": self._id(call.id), "type": "function", "function": function}
        return self._with_extras(out, call.extras, call.at)

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
                return [self._with_extras({"type": "refusal", "refusal": block.text}, block.extras, block.at)]
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
        if block.fallback is not None:
            self._notices.changed(block.at, "said in plain text")
            return [{"type": "text", "text": block.fallback}] if block.fallback else []
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
            self._report_mark(mark, at)
        return self._with_extras(out, extras, at)

    def _report_mark(self, mark: CacheMark | None, at: str) -> None:
        if mark is not None:
            self._notices.hint(f"{at}.cache_control", "the upstream caches by itself")

    def _with_extras(self, out: Json, extras: Extras, at: str) -> Json:
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

    # --- parameters ---------------------------------------------------------------------------------------------------

    def _write_tools(self, body: Json) -> None:
        request = self._request
        tools = [self._tool(tool) for tool in request.tools]
        if tools:
            body["tools"] = tools
        if request.tool_choice is not None and (tools or request.tool_choice.mode == "none"):
            body["tool_choice"] = self._choice(request.tool_choice)
        if request.parallel_tool_calls is not None and tools:
            body["parallel_tool_calls"] = request.parallel_tool_calls

    def _tool(self, tool: Tool) -> Json:
        self._report_mark(tool.cache, tool.at)
        match tool:
            case FunctionTool():
                function: Json = {"name": tool.name}
                if tool.description is not None:
                    function["description"] = tool.description
                if tool.parameters is not None:
                    function["parameters"] = tool.parameters
                if tool.strict is not None:
                    function["strict"] = tool.strict
                return self._with_extras({"type": "function", "function": function}, tool.extras, tool.at)
            case CustomTool():
                if not self._profile.custom_tools:
                    raise Unsupported("This upstream takes no custom tools.", param=tool.at)
                custom: Json = {"name": tool.name}
                if tool.description is not None:
                    custom["description"] = tool.description
                if tool.format is not None:
                    custom["format"] = tool.format
                return self._with_extras({"type": "custom", "custom": custom}, tool.extras, tool.at)
            case VendorTool():
                raise Unsupported(f"The upstream has no tool of type {tool.type}.", param=tool.at)
            case _:
                assert_never(tool)

    def _choice(self, choice: ToolChoice) -> object:
        for name in choice.extras:
            self._notices.lost(f"{choice.at}.{name}", "the upstream has no such field")
        if choice.mode == "named":
            return self._reference(choice.names[0])
        if not choice.names:
            return choice.mode
        tools = [self._reference(name) for name in choice.names]
        return {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": tools}}

    def _reference(self, name: str) -> Json:
        is_custom = any(isinstance(tool, CustomTool) and tool.name == name for tool in self._request.tools)
        return (
            {"type": "custom", "custom": {"name": name}}
            if is_custom
            else {"type": "function", "function": {"name": name}}
        )

    def _write_limits(self, body: Json) -> None:
        request = self._request
        limit = request.max_output_tokens
        if limit is not None:
            if limit == 0:
                raise Unsupported("The upstream cannot warm its cache without an answer.", param="max_tokens")
            body[self._profile.max_tokens_field] = limit
        if request.stop:
            body["stop"] = list(request.stop) if len(request.stop) > 1 else request.stop[0]
        if request.choices is not None:
            if request.choices > 1 and not self._profile.choices:
                raise Unsupported("This upstream gives one answer at a time.", param="n")
            body["n"] = request.choices

    def _write_sampling(self, body: Json) -> None:
        sampling = self._request.sampling
        for field in sampling.__struct_fields__:
            value = getattr(sampling, field)
            if value is None:
                continue
            if field in ("top_k", "min_p") and not self._is_own and self._profile.vendor in ("openai", "azure"):
                self._notices.lost(field, "the upstream has no such parameter")
                continue
            body[field] = value

    def _write_format(self, body: Json) -> None:
        request = self._request
        wanted = request.output_format
        if request.verbosity is not None:
            body["verbosity"] = request.verbosity
        if wanted is None:
            return
        out: Json = {"type": wanted.kind}
        if wanted.kind == "json_schema":
            schema: Json = {"name": wanted.name or "output"}
            if wanted.description is not None:
                schema["description"] = wanted.description
            if wanted.schema is not None:
                schema["schema"] = wanted.schema
            strict = wanted.strict if wanted.strict is not None or self._is_own else True
            if strict is not None:
                schema["strict"] = strict
            out["json_schema"] = schema
        body["response_format"] = self._with_extras(out, wanted.extras, wanted.at)

    def _write_reasoning(self, body: Json) -> None:
        control = self._request.reasoning
        if control is None:
            return
        effort = control.effort
        if effort is None and control.mode == "disabled":
            effort = "none"
        elif effort is None and control.budget_tokens is not None:
            effort = next((word for limit, word in _BUDGETS if control.budget_tokens < limit), "xhigh")
            self._notices.changed(f"{control.at}.budget_tokens", "said as an effort")
        elif control.budget_tokens is not None:
            self._notices.changed(f"{control.at}.budget_tokens", "the effort says it")
        if control.mode == "between_tools":
            self._notices.lost(f"{control.at}.type", "the upstream thinks when it likes")
        if control.display is not None:
            self._notices.hint(f"{control.at}.display", "the upstream shows its reasoning or not by itself")
        for name in control.extras:
            self._notices.lost(f"{control.at}.{name}", "the upstream has no such field")
        if effort is not None and self._profile.reasoning_in == "effort":
            body["reasoning_effort"] = effort
        elif effort is not None:
            self._notices.lost(control.at, "the upstream takes no reasoning effort")

    def _write_identity(self, body: Json) -> None:
        request = self._request
        if request.cache.key is not None:
            body["prompt_cache_key"] = request.cache.key
        if request.cache.retention is not None:
            body["prompt_cache_retention"] = request.cache.retention
        if request.cache.mark is not None:
            self._notices.hint("cache_control", "the upstream caches by itself")
        if request.user is not None:
            body["safety_identifier" if self._profile.vendor == "openai" else "user"] = request.user[-128:]
            if len(request.user) > 128:
                self._notices.changed("metadata.user_id", "only its end is sent: the upstream takes 128 characters")
        if request.metadata:
            body["metadata"] = request.metadata
        if request.service_tier is not None:
            body["service_tier"] = _TIERS.get(request.service_tier, request.service_tier)
        if request.state.store is not None:
            body["store"] = request.state.store
        for header in request.vendor_headers:
            if not self._is_own:
                self._notices.hint(header, "headers of another vendor stay here")

    def _write_stream_options(self, body: Json) -> None:
        options: Json = {} if self._profile.stream_usage == "always" else {"include_usage": True}
        for name, value in self._request.extras.items():
            if self._is_own and name.startswith("stream_options."):
                options[name.removeprefix("stream_options.")] = value
        if options:
            body["stream_options"] = options

    def _write_extras(self, body: Json) -> None:
        request = self._request
        for name, value in request.extras.items():
            if name in RESERVED_FIELDS:
                self._notices.lost(name, "the field is reserved")
            elif self._is_own:
                if not name.startswith("stream_options."):
                    body[name] = value
            elif name in request.required_extras:
                raise Unsupported("The upstream has nothing for this.", param=name)
            else:
                self._notices.lost(name, "the upstream has no such field")
        for vendor, fields in request.vendor_fields.items():
            if vendor != self._profile.vendor:
                self._notices.hint(f"extra_body.{vendor}", "meant for another vendor")
                continue
            for name, value in fields.items():
                if name in PROTECTED | RESERVED_FIELDS:
                    self._notices.lost(f"extra_body.{vendor}.{name}", "extra_body cannot replace it")
                else:
                    body[name] = value


def hoist_results(messages: Sequence[Message]) -> list[Message]:
    """Put tool results directly behind the assistant message that called, in the order of its calls."""
    out: list[Message] = []
    waiting: dict[str, int] = {}
    pushed: list[Message] = []
    results: dict[str, ToolResult] = {}

    def settle() -> None:
        ordered = [results.pop(call_id) for call_id in waiting if call_id in results]
        out.extend(Message(role="tool", content=(result,), at=result.at) for result in ordered)
        out.extend(pushed)
        waiting.clear()
        pushed.clear()

    for message in messages:
        if message.role == "assistant":
            settle()
            waiting.update((b.id, i) for i, b in enumerate(message.content) if isinstance(b, ToolCall))
            out.append(message)
            continue
        mine = [b for b in message.content if isinstance(b, ToolResult) and b.call_id in waiting]
        results.update((block.call_id, block) for block in mine)
        rest = tuple(block for block in message.content if block not in mine) if mine else message.content
        if rest or not message.content:
            (pushed if waiting else out).append(msgspec.structs.replace(message, content=rest))
        if waiting and all(call_id in results for call_id in waiting):
            settle()
    settle()
    return out


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


__all__ = ["Raw", "encode_request", "hoist_results", "path_of"]
