"""The items of an answer, ours -> wire; whole answers and streams are made of the same ones.

Texts and refusals that follow each other are parts of one message; every call, thought and image is an item of its own.
Texts of another protocol that follow each other are one part, as clients parse each part by itself.
Ids are made from the request's salt and the item's number, where the upstream gave none: alike every time. So is the
id of the answer, of whatever is no answer of this protocol: callers go on from it, and there are servers that give two
answers one id.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Raw

from ...canonical import (
    Base64Source,
    Block,
    Citation,
    Extras,
    Finish,
    Logprobs,
    Media,
    Notices,
    Opaque,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Usage,
)
from ...codec import Envelope
from ...json_pieces import JsonObject, fields_of, items_of, put_extras, text_of
from ...token_estimate import estimated
from ..answer_reports import AnswerReports
from . import wire
from .hosted import COMPACTION
from .logprobs import encode_token
from .reasoning import SEALED, goes_on, thought_item
from .tools import NAMESPACE, plain_name
from .usage import encode_state, encode_usage

ITEM: Final = "item."
"""Begins the names of extras that belong to the message that a part begins."""
DECLINED: Final = "The model declined to answer."
_PREFIXES: Final = {
    COMPACTION: "cmp",
    "apply_patch_call": "apc",
    "local_shell_call": "lsh",
    "shell_call": "sh",
    "tool_search_call": "tsc",
    "web_search_call": "ws",
}
"""Of the ids of items that a gateway makes, by their types."""


class AnswerWriter(AnswerReports):
    """Writes the parts of an answer, whole or streamed.

    Args:
        envelope: What the caller asked.
        notices: Where losses are reported, each path once; what the request lost stands there already.
        is_own: The answer came from this protocol.
        answer_id: The upstream's, if it is an answer of this protocol; may be empty.
    """

    def __init__(self, envelope: Envelope, notices: Notices, *, is_own: bool, answer_id: str) -> None:
        super().__init__(notices, is_own=is_own)
        self._envelope = envelope
        self.id = answer_id if is_own and answer_id else f"resp_{envelope.salt}"
        self._call_ids: set[str] = set()
        self._length = 0
        """Of the texts of a whole answer that were written."""
        self._part_start = 0
        """How long they were when the last part of a text began."""

    # --- items --------------------------------------------------------------------------------------------------------

    def output(self, blocks: Sequence[Block], finish: Finish, logprobs: Logprobs | None) -> list[JsonObject | Raw]:
        """Return the items of a whole answer."""
        items: list[JsonObject | Raw] = []
        parts: list[JsonObject | Raw] = []
        part: JsonObject | Raw = {}
        text: JsonObject | None = None
        last: Block | None = None  # of the message that is written
        earlier: Block | None = None
        for block in blocks:
            if is_part(block):
                if not self.is_own and is_silent(block):
                    continue
                if last is None or self.begins_message(block):
                    parts = []
                    items.append(self.message(block, len(items), parts))
                if last is not None and self.goes_on(last, block):
                    self._go_on(part, block)
                else:
                    self._part_start = self._length
                    part = self.shown_part(block)
                    parts.append(part)
                last = block
                text = part if isinstance(block, Text) and isinstance(part, dict) else text
                self._length += len(block.text) if isinstance(block, Text) else 0
                continue
            item = self.item(block, len(items))
            if item is not None:
                last = None
                if isinstance(block, Reasoning) and goes_on(earlier, block) and self.is_own and items:
                    item = {**item, **fields_of_item(items.pop())} if isinstance(item, dict) else item
                items.append(item)
            earlier = block
        if (said := self.declined(finish, is_silent=not items)) is not None:
            refusal = Refusal(text=said)
            items.append(self.message(refusal, len(items), [self.shown_part(refusal)]))
        self.put_logprobs(text, logprobs)
        if finish_is_early(finish, is_own=self.is_own) and items and isinstance(items[-1], dict):
            items[-1]["status"] = "incomplete"
        return items

    def item(self, block: Block, number: int) -> JsonObject | Raw | None:
        """Return an item that stands alone; None: there is none for this block, which is reported if it says anything.

        Args:
            block: No part of a message.
            number: Of the item in the answer.
        """
        match block:
            case Reasoning():
                if not self.is_own and is_silent(block):
                    return None
                return self.thought(block, number)
            case ToolCall():
                return self.call(block, number)
            case Opaque() if block.protocol == wire.NAME:
                return self._whole_item(block, number)
            case Media(kind="image", source=Base64Source(data=data)):
                self.own(block.extras, block.at or "images")
                item: JsonObject = {"id": self.item_id("ig", number), "type": "image_generation_call"}
                return {**item, "status": "completed", "result": data}
            case Media() | Opaque() | ToolResult() | Text() | Refusal():
                self.lose(block.at or "content", "no such part of an answer is known here")
                return None

    def _whole_item(self, block: Opaque, number: int) -> JsonObject | Raw:
        """Return an item that is carried whole; one that a gateway made gets its id here."""
        prefix, fields = _PREFIXES.get(block.type), fields_of(block.raw)
        if prefix is None or "id" in fields:
            return block.raw
        item: JsonObject = {"id": self.item_id(prefix, number), **fields, "type": block.type}
        if (call_id := text_of(fields.get("call_id"))) is not None:
            item["call_id"] = self._only(call_id, number)
        return item

    def begins_message(self, block: Block) -> bool:
        """Tell whether a part begins a message even behind another part."""
        return self.is_own and any(name.startswith(ITEM) for name in extras_of(block))

    def message(self, block: Block, number: int, parts: list[JsonObject | Raw]) -> JsonObject:
        """Return the message that a part begins."""
        named = {name: value for name, value in extras_of(block).items() if name.startswith(ITEM)}
        extras = self.own(named, getattr(block, "at", ""))
        item: JsonObject = {
            "id": self.item_id("msg", number),
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": parts,
        }
        return put_extras(item, {name.removeprefix(ITEM): value for name, value in extras.items()})

    def goes_on(self, last: Block, block: Block) -> bool:
        """Tell whether the last part of a message goes on with another block."""
        return not self.is_own and type(last) is type(block)

    def _go_on(self, part: JsonObject | Raw, block: Block) -> None:
        """Put more of a text, or of a refusal, behind what a part says."""
        more = self.shown_part(block)
        assert isinstance(part, dict)
        assert isinstance(more, dict)
        for name in {"text", "refusal"} & part.keys():
            part[name] = f"{part[name]}{more[name]}"
        if annotations := more.get("annotations"):
            part["annotations"] = [*_listed(part["annotations"]), *_listed(annotations)]

    def shown_part(self, block: Block) -> JsonObject | Raw:
        """Return a part of a message, also if it says nothing (yet)."""
        match block:
            case Text():
                end = self._length + len(block.text)
                annotations = self.annotations(block.citations, self._length, end, self._part_start)
                return self._named(text_part(block.text, annotations), block)
            case Refusal() if self._envelope.dialect == "codex":  # it drops messages with a part that it does not know
                return self._named(text_part(block.text, []), block)
            case Refusal():
                return self._named({"type": "refusal", "refusal": block.text}, block)
            case Opaque():
                return block.raw
            case _:
                raise AssertionError("no part of a message")

    def _named(self, part: JsonObject, block: Text | Refusal) -> JsonObject:
        extras = {name: value for name, value in block.extras.items() if not name.startswith(ITEM)}
        return put_extras(part, self.own(extras, block.at or "content")) if extras else part

    def call(self, call: ToolCall, number: int) -> JsonObject:
        """Return a whole call."""
        extras = self.own(call.extras, call.at or "tool_calls")
        space = text_of(extras.get(NAMESPACE)) or self._envelope.namespaces.get(call.name)
        call_id = self._only(call.id, number)
        name = plain_name(call.name, None if space is None else Raw(msgspec.json.encode(space)))
        is_custom = call.kind == "custom"
        item: JsonObject = {
            "id": self.item_id("ctc" if is_custom else "fc", number),
            "type": "custom_tool_call" if is_custom else "function_call",
            "status": "completed",
            "call_id": call_id,
            "name": name,
        }
        item["input" if is_custom else "arguments"] = call.arguments or ("" if is_custom else "{}")
        return put_extras({**item, **({} if space is None else {NAMESPACE: space})}, extras)

    def _only(self, call_id: str, number: int) -> str:
        """Return the id of a call as it is told, which no other call of the answer has."""
        while call_id in self._call_ids:
            call_id = f"{call_id}_{number}"
        self._call_ids.add(call_id)
        return call_id

    def thought(self, block: Reasoning, number: int) -> JsonObject:
        """Return a whole item of reasoning; what came from another protocol is shown as a summary."""
        shown = block if self.is_own else msgspec.structs.replace(block, is_summary=True)
        item = {"id": self.item_id("rs", number), **thought_item(shown)}
        return put_extras(item, self.own(block.extras, block.at or "content"))

    def item_id(self, prefix: str, number: int) -> str:
        """Return an id for an item that has none."""
        return f"{prefix}_ds2{self._envelope.salt}_{number}"

    def annotations(self, citations: Sequence[Citation], start: int, end: int, part_start: int) -> list[object]:
        """Return citations as this protocol writes them: their spans count from the beginning of the part.

        Args:
            citations: Of one text.
            start: Where the text begins in the answer's text.
            end: Where it ends, as far as it is known.
            part_start: Where the part begins that the text is in.
        """
        found: list[object] = []
        for citation in citations:
            if citation.protocol == wire.NAME:
                found.append(citation.raw)
            elif citation.url is not None:
                first = start if citation.start is None else citation.start
                last = end if citation.end is None else citation.end
                found.append(
                    {
                        "type": "url_citation",
                        "start_index": max(first - part_start, 0),
                        "end_index": max(last - part_start, 0),
                        "url": citation.url,
                        "title": citation.title or "",
                    }
                )
                self._notices.changed(citation.at or "citations", "said as a link", action="coerced")
            else:
                self.lose(citation.at or "citations", "web pages alone are cited here")
        return found

    def put_logprobs(self, text: JsonObject | None, logprobs: Logprobs | None) -> None:
        """Put log probabilities into the last text of an answer."""
        if logprobs is None:
            return
        if logprobs.refusal:
            self.lose("choices[0].logprobs.refusal", "probabilities of a refusal are not told here")
        if logprobs.content and text is None:
            self.lose("choices[0].logprobs.content", "there is no text")
        elif logprobs.content and text is not None:
            text["logprobs"] = self.tokens(logprobs.content)

    def tokens(self, content: Sequence[Raw]) -> list[JsonObject | Raw]:
        """Return log probabilities as this protocol writes them."""
        return [token if self.is_own else encode_token(token) for token in content]

    def declined(self, finish: Finish, *, is_silent: bool) -> str | None:
        """Return what is said for an answer in which there is nothing to read; None: it is no refusal."""
        is_refusal = finish.reason in ("refusal", "content_filter") and not self.is_own
        return finish.explanation or DECLINED if is_silent and is_refusal else None

    # --- the answer ---------------------------------------------------------------------------------------------------

    def answer(
        self,
        *,
        created: int | None,
        service_tier: str | None,
        echo: Extras,
        extras: Extras,
        finish: Finish | None,
        output: Sequence[JsonObject | Raw],
        usage: Usage | None,
    ) -> JsonObject:
        """Return an answer with every field that any reader of the protocol wants.

        Args:
            created: Seconds since 1970, by the upstream.
            service_tier: As the upstream tells it.
            echo: What the upstream's answer repeats of the request.
            extras: Its own fields.
            finish: Why it ended; None: it goes on.
            output: The items that are done.
            usage: Figures; None: they are not known yet.
        """
        status, reason = ("in_progress", None) if finish is None else encode_state(finish, is_own=self.is_own)
        if finish is not None:
            self._report_finish(finish)
        if usage is not None:
            self.report_usage(usage)
        born = created or self._envelope.created
        body: JsonObject = {
            "id": self.id,
            "object": "response",
            "created_at": born,
            "status": status,
            "completed_at": max(born, self._envelope.created) if status == "completed" else None,
            "error": None,
            "incomplete_details": None if reason is None else {"reason": reason},
            "model": self._envelope.model,
            "output": output,
            "usage": None if usage is None else encode_usage(usage, is_own=self.is_own),
            "service_tier": service_tier or "default",
            **_DEFAULTS,
            **self._repeated(),
        }
        if removed := self._removed():
            body["input_transformations"] = removed
        return put_extras({**body, **echo} if self.is_own else body, extras)

    def _repeated(self) -> JsonObject:
        """Return what the caller asked, in the form in which an answer repeats it."""
        asked = self._envelope.echo
        repeated: JsonObject = {**asked, "store": self._envelope.is_kept}
        if "reasoning" in asked:
            repeated["reasoning"] = {"effort": None, "summary": None, **fields_of(asked["reasoning"])}
        if "text" in asked:
            repeated["text"] = {**_TEXT, **fields_of(asked["text"])}
        if "tools" in asked:
            repeated["tools"] = [_repeated_tool(tool) for tool in items_of(asked["tools"])]
        return repeated

    def _removed(self) -> list[JsonObject]:
        """Return the reasoning that the caller sent back and that did not go on."""
        removed: list[JsonObject] = []
        dropped = [notice for notice in self._notices if notice.action == "dropped"]
        for place, id_ in self._envelope.thoughts.items():
            why = next((notice.reason for notice in dropped if _is_of(notice.path, place)), None)
            if why is not None:
                reason = "organization_mismatch" if why == SEALED else "model_mismatch"
                removed.append({"id": id_, "type": "reasoning", "action": "removed", "reason": reason})
        return removed

    def estimate(self, blocks: Sequence[Block]) -> Usage:
        """Return figures for an answer whose usage nobody told."""
        characters = sum(len(block.text) for block in blocks if isinstance(block, Text | Reasoning))
        return estimated(characters)

    def _report_finish(self, finish: Finish) -> None:
        if finish.reason in ("pause", "compaction", "other") and not self.is_own:
            self._notices.changed(finish.at, "no such end is known here", action="coerced")
        if finish.stop_sequence is not None:
            self.hint("stop_sequence", "the text that matched is not told here")
        if finish.details is not None and not self.is_own:
            self.hint("stop_details", "an end has no details here")


_TEXT: Final[JsonObject] = {"format": {"type": "text"}, "verbosity": "medium"}
_DEFAULTS: Final[JsonObject] = {
    "background": False,
    "frequency_penalty": 0,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "presence_penalty": 0,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "store": False,
    "temperature": 1,
    "text": _TEXT,
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1,
    "truncation": "disabled",
    "user": None,
}
"""What an answer says of a request that said nothing."""
_FUNCTION: Final[JsonObject] = {"description": None, "parameters": None, "strict": None}


def _repeated_tool(raw: Raw) -> JsonObject:
    fields: JsonObject = {**fields_of(raw)}
    return {**_FUNCTION, **fields} if text_of(fields_of(raw).get("type")) == "function" else fields


def _is_of(path: str, place: str) -> bool:
    """Tell whether a path is that of an item, or of what is in it beside its name and its state."""
    return path == place or (path.startswith(f"{place}.") and not path.endswith((".id", ".status")))


def is_part(block: Block) -> bool:
    """Tell whether a block is a part of a message."""
    return isinstance(block, Text | Refusal) or (
        isinstance(block, Opaque) and block.protocol == wire.NAME and block.type.startswith(ITEM)
    )


def is_silent(block: Block) -> bool:
    """Tell whether a block says nothing."""
    match block:
        case Text(text="", citations=()) | Refusal(text="") | Reasoning(text="", signature=None, redacted=None):
            return True
        case _:
            return False


def extras_of(block: Block) -> Extras:
    """Return the extras of a part."""
    return block.extras if isinstance(block, Text | Refusal) else {}


def text_part(text: str, annotations: Sequence[object]) -> JsonObject:
    """Return a text as a part of a message."""
    return {"type": "output_text", "text": text, "annotations": annotations, "logprobs": []}


def _listed(annotations: object) -> list[object]:
    assert isinstance(annotations, list)
    return annotations


def fields_of_item(item: JsonObject | Raw) -> JsonObject:
    """Return an item that was written, as an object."""
    return item if isinstance(item, dict) else {**fields_of(item)}


def finish_is_early(finish: Finish, *, is_own: bool) -> bool:
    """Tell whether the last item of an answer is not whole."""
    return encode_state(finish, is_own=is_own)[0] == "incomplete"
