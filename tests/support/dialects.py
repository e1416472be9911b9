"""The five protocols as both ends of a gateway see them (``dialect``): here Chat, Messages, and the table of all."""

import json
from collections.abc import Sequence
from typing import Any

from .dialect import ANSWER_TOKENS as ANSWER_TOKENS
from .dialect import ARGUMENTS as ARGUMENTS
from .dialect import PROMPT_TOKENS as PROMPT_TOKENS
from .dialect import SSE, Draft, Name, event_lines, json_bytes
from .dialect import TEXT as TEXT
from .dialect import Dialect as Dialect
from .dialect import Seen as Seen
from .dialect_gemini import Gemini
from .dialect_ollama import Ollama
from .dialect_responses import Responses
from .http_bytes import sse_event


class Chat:
    """OpenAI Chat Completions."""

    name: Name = "chat"
    path = "/v1/chat/completions"
    headers: dict[str, str] = {}
    content_type = SSE
    before_text = 1

    def address(self, model: str, *, stream: bool) -> tuple[str, str]:
        return self.path, ""

    def ask(self, model: str, *, stream: bool) -> dict[str, Any]:
        asked: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": "Hi"}]}
        return {**asked, "stream": True, "stream_options": {"include_usage": True}} if stream else asked

    def frame(self, delta: dict[str, Any], finish: str | None = None, **fields: Any) -> bytes:
        """Return a chunk with one choice."""
        choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
        return sse_event({**self._top("chat.completion.chunk"), "choices": choices, **fields})

    def usage_frame(self, usage: object) -> bytes:
        """Return the chunk that tells the usage."""
        return self.frame({}, choices=[], usage=usage)

    def text_stream(self, pieces: Sequence[str] = TEXT) -> list[bytes]:
        said = [self.frame({"content": piece}) for piece in pieces]
        return [self.frame({"role": "assistant", "content": ""}), *said, *self.end("stop")]

    def tool_stream(self, pieces: Sequence[str] = ARGUMENTS) -> list[bytes]:
        function = {"name": "weather", "arguments": ""}
        call = {"index": 0, "id": "call_1", "type": "function", "function": function}
        said = [self.frame({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}) for piece in pieces]
        start = self.frame({"role": "assistant", "content": None})
        return [start, self.frame({"tool_calls": [call]}), *said, *self.end("tool_calls")]

    def end(self, finish: str) -> list[bytes]:
        """Return how a stream ends: the reason, the usage, the terminator."""
        return [self.frame({}, finish), self.usage_frame(self._usage), sse_event("[DONE]")]

    def whole(self, text: str = "".join(TEXT)) -> bytes:
        choices = [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]
        return json_bytes({**self._top("chat.completion"), "choices": choices, "usage": self._usage})

    def error(self, status: int, message: str = "no") -> bytes:
        return json_bytes({"error": self._error(status, message)})

    def event(self, data: bytes) -> bytes:
        return sse_event(data)

    def error_frame(self, status: int, message: str = "no") -> bytes:
        return sse_event({"error": self._error(status, message)})

    def read_stream(self, body: bytes) -> Seen:
        draft = Draft()
        for lines in event_lines(body):
            assert draft.error is None, "something follows an error"
            assert not draft.is_ended, "something follows the end"
            if lines == [b": keepalive"]:
                draft.heartbeats += 1
                continue
            (line,) = lines
            assert line.startswith(b"data: "), line
            data = line.removeprefix(b"data: ")
            if data == b"[DONE]":
                draft.is_ended = True
            else:
                self._read_chunk(draft, json.loads(data))
        return draft.settled()

    def read_whole(self, body: bytes) -> Seen:
        value = json.loads(body)
        if "error" in value:
            return Seen(error=self._checked(value))
        (choice,) = value["choices"]
        return Seen(
            text=choice["message"]["content"] or "",
            finish=choice["finish_reason"],
            is_ended=True,
            usage=value.get("usage"),
        )

    def _read_chunk(self, draft: Draft, chunk: dict[str, Any]) -> None:
        if "error" in chunk:
            draft.error = self._checked(chunk)
            return
        draft.usage = chunk.get("usage") or draft.usage
        for choice in chunk["choices"]:
            delta = choice["delta"]
            draft.text += delta.get("content") or ""
            for call in delta.get("tool_calls") or ():
                draft.arguments += call["function"].get("arguments") or ""
            draft.finish = choice["finish_reason"] or draft.finish

    @staticmethod
    def _checked(body: dict[str, Any]) -> dict[str, Any]:
        assert body.keys() == {"error"}
        error: dict[str, Any] = body["error"]
        assert error.keys() == {"message", "type", "param", "code"}
        return error

    @staticmethod
    def _top(kind: str) -> dict[str, Any]:
        return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": "up"}

    @staticmethod
    def _error(status: int, message: str) -> dict[str, Any]:
        words = {
            400: ("invalid_request_error", "invalid_value"),
            401: ("invalid_request_error", "invalid_api_key"),
            404: ("invalid_request_error", "model_not_found"),
            429: ("requests", "rate_limit_exceeded"),
            503: ("server_error", "server_is_overloaded"),
        }
        kind, code = words.get(status, ("server_error", "server_error"))
        return {"message": message, "type": kind, "param": None, "code": code}

    _usage = {
        "prompt_tokens": PROMPT_TOKENS,
        "completion_tokens": ANSWER_TOKENS,
        "total_tokens": PROMPT_TOKENS + ANSWER_TOKENS,
    }


class Claude:
    """Anthropic Messages."""

    name: Name = "claude"
    path = "/v1/messages"
    headers = {"anthropic-version": "2023-06-01"}
    content_type = SSE
    before_text = 2

    def address(self, model: str, *, stream: bool) -> tuple[str, str]:
        return self.path, ""

    def ask(self, model: str, *, stream: bool) -> dict[str, Any]:
        asked = {"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]}
        return {**asked, "stream": True} if stream else asked

    def frame(self, **fields: Any) -> bytes:
        """Return an event."""
        return sse_event(fields, fields["type"])

    def delta(self, kind: str, value: str, name: str = "text") -> bytes:
        """Return a delta of the first block."""
        return self.frame(type="content_block_delta", index=0, delta={"type": kind, name: value})

    def text_stream(self, pieces: Sequence[str] = TEXT) -> list[bytes]:
        said = [self.delta("text_delta", piece) for piece in pieces]
        return [*self.start({"type": "text", "text": ""}), *said, *self.end("end_turn")]

    def tool_stream(self, pieces: Sequence[str] = ARGUMENTS) -> list[bytes]:
        said = [self.delta("input_json_delta", piece, "partial_json") for piece in pieces]
        call = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}
        return [*self.start(call), *said, *self.end("tool_use")]

    def start(self, block: dict[str, Any], usage: object = None) -> list[bytes]:
        """Return how a stream begins."""
        message = {**self._message([], None), "usage": usage or {"input_tokens": PROMPT_TOKENS, "output_tokens": 1}}
        opened = self.frame(type="content_block_start", index=0, content_block=block)
        return [self.frame(type="message_start", message=message), opened]

    def end(self, reason: str, usage: object = None) -> list[bytes]:
        """Return how a stream ends."""
        return [self.frame(type="content_block_stop", index=0), *self.finish(reason, usage)]

    def finish(self, reason: str, usage: object = None) -> list[bytes]:
        """Return the reason and the terminator."""
        delta = {"stop_reason": reason, "stop_sequence": None}
        told = {"output_tokens": ANSWER_TOKENS} if usage is None else usage
        return [self.frame(type="message_delta", delta=delta, usage=told), self.frame(type="message_stop")]

    def whole(self, text: str = "".join(TEXT)) -> bytes:
        usage = {"input_tokens": PROMPT_TOKENS, "output_tokens": ANSWER_TOKENS}
        return json_bytes({**self._message([{"type": "text", "text": text}], "end_turn"), "usage": usage})

    def error(self, status: int, message: str = "no") -> bytes:
        return json_bytes(self._error(status, message))

    def event(self, data: bytes) -> bytes:
        return sse_event(data)

    def error_frame(self, status: int, message: str = "no") -> bytes:
        return self.frame(**self._error(status, message))

    def read_stream(self, body: bytes) -> Seen:
        draft = Draft()
        for lines in event_lines(body):
            assert draft.error is None, "something follows an error"
            assert not draft.is_ended, "something follows the end"
            name, data = lines
            event = json.loads(data.removeprefix(b"data: "))
            assert name.removeprefix(b"event: ").decode() == event["type"]
            self._read_event(draft, event)
        assert not (draft.is_ended and draft.open_blocks), "a block is open at the end"
        return draft.settled()

    def read_whole(self, body: bytes) -> Seen:
        value = json.loads(body)
        if value["type"] == "error":
            return Seen(error=self._checked(value))
        text = "".join(block["text"] for block in value["content"] if block["type"] == "text")
        return Seen(text=text, finish=value["stop_reason"], is_ended=True, usage=value.get("usage"))

    def _read_event(self, draft: Draft, event: dict[str, Any]) -> None:
        match event["type"]:
            case "ping":
                draft.heartbeats += 1
            case "message_start":
                draft.usage = dict(event["message"]["usage"])
            case "content_block_start":
                draft.open_blocks.add(event["index"])
            case "content_block_delta":
                assert event["index"] in draft.open_blocks
                delta = event["delta"]
                draft.text += delta.get("text", "")
                draft.arguments += delta.get("partial_json", "")
            case "content_block_stop":
                draft.open_blocks.remove(event["index"])
            case "message_delta":
                draft.finish = event["delta"]["stop_reason"]
                draft.usage = {**(draft.usage or {}), **(event.get("usage") or {})}
            case "message_stop":
                draft.is_ended = True
            case "error":
                draft.error = self._checked(event)
            case unknown:
                raise AssertionError(f"an event that no client knows: {unknown}")

    @staticmethod
    def _checked(body: dict[str, Any]) -> dict[str, Any]:
        assert body.keys() == {"type", "error", "request_id"}
        error: dict[str, Any] = body["error"]
        assert {"type", "message"} <= error.keys() <= {"type", "message", "details"}
        return error

    @staticmethod
    def _message(content: list[dict[str, Any]], reason: str | None) -> dict[str, Any]:
        top = {"id": "msg_1", "type": "message", "role": "assistant", "model": "up"}
        return {**top, "content": content, "stop_reason": reason, "stop_sequence": None}

    @staticmethod
    def _error(status: int, message: str) -> dict[str, Any]:
        words = {
            400: "invalid_request_error",
            401: "authentication_error",
            404: "not_found_error",
            429: "rate_limit_error",
            503: "overloaded_error",
            529: "overloaded_error",
        }
        told = {"type": words.get(status, "api_error"), "message": message}
        return {"type": "error", "error": told, "request_id": "req_of_the_upstream"}


CHAT, CLAUDE, RESPONSES, GEMINI, OLLAMA = Chat(), Claude(), Responses(), Gemini(), Ollama()
DIALECTS: dict[str, Dialect] = {"chat": CHAT, "claude": CLAUDE}
"""The two that most tests of bad input know."""
ALL_DIALECTS: dict[str, Dialect] = {**DIALECTS, "responses": RESPONSES, "gemini": GEMINI, "ollama": OLLAMA}
