"""A request for an upstream: ours -> wire. The twin is ``request``; the messages are in ``conversation``.

What Chat has no word for is reported; see ``docs/protocols/openai-chat.md``.
"""

from typing import Final, assert_never
from urllib.parse import quote

import msgspec

from ...canonical import (
    CustomTool,
    FunctionTool,
    Notices,
    Request,
    Tool,
    ToolChoice,
    VendorTool,
)
from ...codec import RESERVED_FIELDS, HTTPCall
from ...errors import Unsupported
from ...profiles import Profile
from . import wire
from .conversation import Conversation

Json = dict[str, object]
_ENCODER: Final = msgspec.json.Encoder()
PROTECTED: Final = frozenset({"model", "stream", "messages", "system", "tools", "max_tokens", "max_completion_tokens"})
"""Fields that ``extra_body`` never replaces."""
_BUDGETS: Final = ((1_025, "minimal"), (2_048, "low"), (12_288, "medium"), (28_000, "high"))
_TIERS: Final = {"standard_only": "default"}


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
        self._talk = Conversation(request, profile, notices)

    def call(self) -> HTTPCall:
        request = self._request
        body: Json = {"model": request.model, "messages": self._talk.messages()}
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

    # --- parameters ---------------------------------------------------------------------------------------------------

    def _write_tools(self, body: Json) -> None:
        request = self._request
        tools = [self._tool(tool) for tool in request.tools]
        if tools:
            body["tools"] = tools
        if request.tool_choice is not None and (tools or request.tool_choice.mode == "none"):
            body["tool_choice"] = self._choice(request.tool_choice)
        elif request.tool_choice is not None:
            self._notices.hint(request.tool_choice.at or "tool_choice", "there are no tools to choose from")
        if request.parallel_tool_calls is not None and tools:
            body["parallel_tool_calls"] = request.parallel_tool_calls

    def _tool(self, tool: Tool) -> object:
        self._talk.report_mark(tool.cache, tool.at)
        match tool:
            case FunctionTool():
                function: Json = {"name": tool.name}
                if tool.description is not None:
                    function["description"] = tool.description
                if tool.parameters is not None:
                    function["parameters"] = tool.parameters
                if tool.strict is not None:
                    function["strict"] = tool.strict
                return self._talk.with_extras({"type": "function", "function": function}, tool.extras, tool.at)
            case CustomTool():
                if not self._profile.custom_tools:
                    raise Unsupported("This upstream takes no custom tools.", param=tool.at)
                custom: Json = {"name": tool.name}
                if tool.description is not None:
                    custom["description"] = tool.description
                if tool.format is not None:
                    custom["format"] = tool.format
                return self._talk.with_extras({"type": "custom", "custom": custom}, tool.extras, tool.at)
            case VendorTool() if tool.protocol == wire.NAME:
                return tool.raw
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
        body["response_format"] = self._talk.with_extras(out, wanted.extras, wanted.at)

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
