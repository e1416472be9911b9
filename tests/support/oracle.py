"""What a recorded answer says: `recorded_outcome`.

Reads Chat Completions, Anthropic Messages and Ollama's answers, streamed and not, and forgives every deviation of
protocol-others.md 7.2: what is meant is the measure, not where it stands. Written against the vendors' papers, apart
from the product's codecs, so that a mistake would have to be made twice.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Final

from .oracle_gemini import Gemini
from .outcome import DEVIANT_FINISH, OFFICIAL_FINISH, Draft, FinishClass, Outcome, ToolCallText
from .recorded import Recording
from .responses_reading import ResponsesReader

JSONObject = dict[str, object]
REASONING_FIELDS: Final = ("reasoning_content", "reasoning", "reasoning_text", "thinking")
"""Where look-alikes of Chat put reasoning. Two of them in one delta say the same."""
CACHED_FIELDS: Final = ("cached_tokens", "num_cached_tokens", "prompt_cache_hit_tokens")
"""Where look-alikes of Chat put ``prompt_tokens_details.cached_tokens``."""
FAILED_FINISH: Final = frozenset({"error", "insufficient_system_resource"})


def recorded_outcome(record: Recording) -> Outcome:
    """Return what a recording of ``chat``, ``responses``, ``anthropic``, ``gemini`` or ``ollama`` says."""
    if record.response.status >= 400:
        return Outcome(is_error=True)
    return outcome_of(record.protocol, record.response.body, is_stream=record.is_stream)


def outcome_of(protocol: str, body: bytes, *, is_stream: bool) -> Outcome:
    """Return what the body of a 200 says."""
    reader = _READERS[protocol]()
    if is_stream and protocol == "ollama":
        reader.read_stream(("", line) for line in body.decode().split("\n") if line.strip())
    elif isinstance(reader, Gemini) and body.lstrip().startswith(b"["):
        reader.read_list(json.loads(body))
    elif is_stream:
        reader.read_stream(sse_events(body.decode()))
    else:
        reader.read_whole(_parsed(body.decode()))
    return reader.draft.settled()


def sse_events(text: str) -> Iterator[tuple[str, str]]:
    """Yield name and data of each event. Lines end with CR, LF or CRLF and nothing else; comments are skipped."""
    name, data = "", list[str]()
    for line in [*re.split(r"\r\n|\n|\r", text.removeprefix("\ufeff")), ""]:
        if not line and data:
            yield name, "\n".join(data)
        if not line:
            name, data = "", []
        key, _, value = line.partition(":")
        if key == "data":
            data.append(value.removeprefix(" "))
        elif key == "event":
            name = value.removeprefix(" ")


class _Chat:
    """Reads an answer of Chat Completions or of what resembles it."""

    def __init__(self) -> None:
        self.draft = Draft()
        self._words: list[str] = []
        self._details = ""
        self._open: dict[int | None, ToolCallText] = {}

    def read_whole(self, body: JSONObject) -> None:
        """Read a completion."""
        choices = _objects(body.get("choices"))
        if _is_error(body) or not choices:
            self.draft.is_error = True
            return
        self._read_usage(body)
        message = _object(choices[0].get("message"))
        self._read_message(message)
        for call in _objects(message.get("tool_calls")):
            self._open.clear()
            self._read_call(call)
        self._words.append(_text(choices[0].get("finish_reason")))
        self._settle()

    def read_stream(self, events: Iterable[tuple[str, str]]) -> None:
        """Read chunks, up to ``[DONE]`` if it comes."""
        is_done = False
        for name, data in events:
            is_done = data == "[DONE]"
            if is_done:
                break
            chunk = _parsed(data)
            if name == "error" or _is_error(chunk):
                self.draft.is_error = True
                break
            self._read_usage(chunk)
            for choice in _objects(chunk.get("choices")):
                if choice.get("index", 0) == 0:
                    self._read_choice(choice)
        if not is_done and not any(self._words):
            self.draft.is_error = True
        self._settle()

    def _read_choice(self, choice: JSONObject) -> None:
        delta = _object(choice.get("delta"))
        self._read_message(delta)
        for call in _objects(delta.get("tool_calls")):
            self._read_call(call)
        self._words.append(_text(choice.get("finish_reason")))

    def _read_message(self, message: JSONObject) -> None:
        """Read what a message and a delta have in common."""
        content = message.get("content")
        self.draft.text += _text(content)
        for part in _objects(content):
            self.draft.text += _text(part.get("text"))
            thinking = part.get("thinking")
            self.draft.reasoning += _text(thinking) + "".join(_text(piece.get("text")) for piece in _objects(thinking))
        self.draft.refusal += _text(message.get("refusal"))
        self.draft.reasoning += next(filter(None, (_text(message.get(name)) for name in REASONING_FIELDS)), "")
        for detail in _objects(message.get("reasoning_details")):
            self._details += _text(detail.get("text")) + _text(detail.get("summary"))
        if function := _object(message.get("function_call")):
            self._read_call({"index": -1, "function": function})

    def _read_call(self, fragment: JSONObject) -> None:
        """Read a tool call or a piece of one. A new id is a new call, whatever its index says."""
        index, id_ = _int(fragment.get("index")), _text(fragment.get("id"))
        function = _object(fragment.get("function"))
        custom = _object(fragment.get("custom"))
        name = _text(function.get("name")) + _text(custom.get("name"))
        if index is None and id_:
            call = next((known for known in self._open.values() if known.id == id_), None)
        else:
            call = self._open.get(index)
        if call is None or (id_ and call.id and id_ != call.id):
            if not (id_ or name):
                return  # Snowflake sends an empty function_call beside everything
            call = self._open[index] = ToolCallText()
            self.draft.calls.append(call)
        self._open[None] = call  # what a fragment without index and id goes on with
        call.id = call.id or id_
        call.is_custom = call.is_custom or fragment.get("type") == "custom" or bool(_text(custom.get("name")))
        if name != call.name:
            call.name += name
        arguments = function.get("arguments") or custom.get("input") or ""
        if call.arguments == "{}" and arguments:
            call.arguments = ""  # Ollama and Mistral: an empty object, then the real one
        call.arguments += arguments if isinstance(arguments, str) else json.dumps(arguments)

    def _read_usage(self, body: JSONObject) -> None:
        """Read usage, wherever a chunk has it: the last one counts."""
        usage = _object(body.get("usage")) or _object(_object(body.get("x_groq")).get("usage"))
        if not usage:
            return
        prompt = _object(usage.get("prompt_tokens_details"))
        completion = _object(usage.get("completion_tokens_details"))
        self.draft.input_tokens = _int(usage.get("prompt_tokens"))
        self.draft.output_tokens = _int(usage.get("completion_tokens"))
        cached = [_int(prompt.get("cached_tokens")), *(_int(usage.get(name)) for name in CACHED_FIELDS)]
        self.draft.cached_tokens = next((tokens for tokens in cached if tokens is not None), 0)
        self.draft.reasoning_tokens = _int(completion.get("reasoning_tokens")) or 0

    def _settle(self) -> None:
        draft, words = self.draft, [word for word in self._words if word]
        draft.reasoning = draft.reasoning or self._details
        draft.is_error = draft.is_error or bool(FAILED_FINISH & set(words))
        if not draft.is_error:
            draft.finish = _finish("content_filter" if "content_filter" in words else (words or [""])[0], draft)


class _Anthropic:
    """Reads an answer of Messages."""

    def __init__(self) -> None:
        self.draft = Draft()
        self._usage: JSONObject = {}
        self._open: dict[int | None, ToolCallText] = {}

    def read_whole(self, body: JSONObject) -> None:
        """Read a message."""
        if body.get("type") != "message":
            self.draft.is_error = True
            return
        for index, block in enumerate(_objects(body.get("content"))):
            self._read_block(index, block)
        self._usage = _object(body.get("usage"))
        self._settle(_text(body.get("stop_reason")))

    def read_stream(self, events: Iterable[tuple[str, str]]) -> None:
        """Read events up to ``message_stop``."""
        reason, is_complete = "", False
        for _, data in events:
            event = _parsed(data)
            match event.get("type"):
                case "message_start":
                    self._usage = _object(_object(event.get("message")).get("usage"))
                case "content_block_start":
                    self._read_block(_int(event.get("index")), _object(event.get("content_block")))
                case "content_block_delta":
                    self._read_delta(_int(event.get("index")), _object(event.get("delta")))
                case "message_delta":
                    given = _object(event.get("usage"))
                    self._usage |= {name: value for name, value in given.items() if value is not None}
                    reason = _text(_object(event.get("delta")).get("stop_reason")) or reason
                case "message_stop":
                    is_complete = True
                case "error":
                    break
        self.draft.is_error = not is_complete
        self._settle(reason)

    def _read_block(self, index: int | None, block: JSONObject) -> None:
        match block.get("type"):
            case "text":
                self.draft.text += _text(block.get("text"))
            case "thinking":
                self.draft.reasoning += _text(block.get("thinking"))
            case "tool_use":
                call = ToolCallText(name=_text(block.get("name")), seed=block.get("input"))
                self._open[index] = call
                self.draft.calls.append(call)

    def _read_delta(self, index: int | None, delta: JSONObject) -> None:
        self.draft.text += _text(delta.get("text"))
        self.draft.reasoning += _text(delta.get("thinking"))
        if (call := self._open.get(index)) is not None:
            call.arguments += _text(delta.get("partial_json"))

    def _settle(self, reason: str) -> None:
        usage, draft = self._usage, self.draft
        if not draft.is_error:
            draft.finish = _finish(reason, draft)
        cached = _int(usage.get("cache_read_input_tokens")) or 0
        written = _int(usage.get("cache_creation_input_tokens")) or 0
        uncached = _int(usage.get("input_tokens"))
        draft.input_tokens = None if uncached is None else uncached + cached + written
        draft.output_tokens = _int(usage.get("output_tokens"))
        draft.cached_tokens = cached
        draft.reasoning_tokens = _int(_object(usage.get("output_tokens_details")).get("thinking_tokens")) or 0


class _Ollama:
    """Reads an answer of Ollama's, to a talk or to a prompt."""

    def __init__(self) -> None:
        self.draft = Draft()

    def read_whole(self, body: JSONObject) -> None:
        """Read an answer."""
        self.read_stream([("", json.dumps(body))])

    def read_stream(self, events: Iterable[tuple[str, str]]) -> None:
        """Read lines up to the one that is done."""
        self.draft.is_error = True
        for _, data in events:
            line = _parsed(data)
            if line.get("error"):
                break
            message = _object(line.get("message")) or line
            self.draft.text += _text(message.get("content")) + _text(message.get("response"))
            self.draft.reasoning += _text(message.get("thinking"))
            for call in _objects(message.get("tool_calls")):
                function = _object(call.get("function"))
                self.draft.calls.append(ToolCallText(name=_text(function.get("name")), seed=function.get("arguments")))
            if line.get("done"):
                self.draft.is_error = False
                self.draft.finish = _finish(_text(line.get("done_reason")), self.draft)
                self.draft.input_tokens = _int(line.get("prompt_eval_count"))
                self.draft.output_tokens = _int(line.get("eval_count"))
                break


def _finish(word: str, draft: Draft) -> FinishClass:
    """Return the class of a vendor's word; where it is missing, what the answer itself shows."""
    known = OFFICIAL_FINISH.get(word) or DEVIANT_FINISH.get(word)
    if known is None and word:
        raise ValueError(f"unknown finish reason {word!r}")
    return known or ("tool" if draft.calls else "stop")


def _is_error(body: JSONObject) -> bool:
    """Tell an error from an answer: vendors write it in five ways, with status 200 as well."""
    if body.get("error") or body.get("object") == "error":
        return True
    return "choices" not in body and bool(body.get("detail") or body.get("message"))


def _parsed(data: str) -> JSONObject:
    """Return a JSON object; what is none becomes an error object."""
    try:
        value = json.loads(data)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {"type": "error", "error": "not a JSON object"}


def _object(value: object) -> JSONObject:
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> list[JSONObject]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _int(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


_READERS: Final[dict[str, type[_Chat | _Anthropic | Gemini | _Ollama | ResponsesReader]]] = {
    "chat": _Chat,
    "responses": ResponsesReader,
    "anthropic": _Anthropic,
    "gemini": Gemini,
    "ollama": _Ollama,
}
