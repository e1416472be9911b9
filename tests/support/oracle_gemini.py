"""What a recorded answer of Gemini says, for `oracle`. Written against the vendor's papers, apart from the codec."""

import json
import re
from collections.abc import Iterable
from typing import Final

from .outcome import Draft, FinishClass, ToolCallText

JSONObject = dict[str, object]
FINISH: Final[dict[object, FinishClass]] = {
    "STOP": "stop",
    1: "stop",
    "MAX_TOKENS": "length",
    2: "length",
    "SAFETY": "filter",
    "RECITATION": "filter",
    "PROHIBITED_CONTENT": "filter",
    "BLOCKLIST": "filter",
    "SPII": "filter",
    "OTHER": "stop",
    "UNEXPECTED_TOOL_CALL": "stop",
    "MALFORMED_FUNCTION_CALL": "stop",
}
"""The vendor's words, and its numbers for them, by what they mean for an answer without calls."""

_STEP: Final = re.compile(r"\.(\w+)|\[(\d+)\]")
_THOUGHT: Final = "thoughtsTokenCount"


class Gemini:
    """Reads an answer of ``generateContent``, or the chunks of a streamed one."""

    def __init__(self) -> None:
        self.draft = Draft()
        self._finish: FinishClass | None = None
        self._is_spoiled = False
        """The answer was to be a call, and is none."""
        self._arguments: JSONObject | None = None
        """Of the call that goes on."""

    def read_whole(self, body: JSONObject) -> None:
        """Read an answer."""
        self._read(body)
        self._settle()

    def read_stream(self, events: Iterable[tuple[str, str]]) -> None:
        """Read chunks."""
        for _, data in events:
            self._read(json.loads(data))
        self._settle()

    def read_list(self, chunks: Iterable[JSONObject]) -> None:
        """Read the chunks of a stream that came as one array."""
        for chunk in chunks:
            self._read(chunk)
        self._settle()

    def _read(self, body: JSONObject) -> None:
        if body.get("error"):
            self.draft.is_error = True
            return
        if _object(body.get("promptFeedback")).get("blockReason"):
            self._finish = "filter"
        self._read_usage(_object(body.get("usageMetadata")))
        for candidate in _objects(body.get("candidates"))[:1]:
            for part in _objects(_object(candidate.get("content")).get("parts")):
                self._read_part(part)
            if word := candidate.get("finishReason"):
                self._finish = FINISH[word]
                self._is_spoiled = word == "MALFORMED_FUNCTION_CALL"

    def _read_part(self, part: JSONObject) -> None:
        text = part.get("text")
        if isinstance(text, str) and part.get("thought"):
            self.draft.reasoning += text
        elif isinstance(text, str):
            self.draft.text += text
        if "functionCall" in part:
            self._read_call(_object(part["functionCall"]))

    def _read_call(self, call: JSONObject) -> None:
        """Read a call, or a piece of one: each piece says whether another follows."""
        if name := call.get("name"):
            self._arguments = _object(call.get("args"))
            self.draft.calls.append(ToolCallText(name=str(name), seed=self._arguments))
        for piece in _objects(call.get("partialArgs")):
            assert self._arguments is not None, "a piece of no call"
            _put(self._arguments, str(piece["jsonPath"]), piece)

    def _read_usage(self, usage: JSONObject) -> None:
        """Read usage, which is cumulative: what a chunk tells replaces what others told."""

        def told(*names: str) -> int | None:
            values = [value for name in names if isinstance(value := usage.get(name), int)]
            return sum(values) if values else None

        draft = self.draft
        prompt, output = told("promptTokenCount", "toolUsePromptTokenCount"), told("candidatesTokenCount", _THOUGHT)
        draft.input_tokens = draft.input_tokens if prompt is None else prompt
        draft.output_tokens = draft.output_tokens if output is None else output
        draft.cached_tokens = told("cachedContentTokenCount") or draft.cached_tokens
        draft.reasoning_tokens = told(_THOUGHT) or draft.reasoning_tokens

    def _settle(self) -> None:
        draft = self.draft
        is_empty = not (draft.text or draft.calls)
        draft.is_error = draft.is_error or self._finish is None or (self._is_spoiled and is_empty)
        if not draft.is_error:
            draft.finish = "tool" if draft.calls and self._finish == "stop" else self._finish


def _put(arguments: JSONObject, path: str, piece: JSONObject) -> None:
    """Set a value, or add to a text, at ``$.a.b[0]``."""
    keys = [int(number) if number else name for name, number in _STEP.findall(path)]
    holder: object = arguments
    for key, following in zip(keys, [*keys[1:], None], strict=True):
        if isinstance(holder, list):
            holder += [None] * (int(key) + 1 - len(holder))
            known = holder[int(key)]
        else:
            assert isinstance(holder, dict)
            known = holder.get(key)
        value = _value(known, piece) if following is None else known or ([] if isinstance(following, int) else {})
        holder[key] = value
        holder = value


def _value(known: object, piece: JSONObject) -> object:
    if "stringValue" in piece:
        return f"{known or ''}{piece['stringValue']}"
    return next((piece[name] for name in ("numberValue", "boolValue") if name in piece), None)


def _object(value: object) -> JSONObject:
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> list[JSONObject]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
