"""Ollama's own protocol, for tests of what goes wrong between the two ends of a gateway. See ``dialect``."""

import json
from collections.abc import Sequence
from typing import Any

from .dialect import ANSWER_TOKENS, ARGUMENTS, PROMPT_TOKENS, TEXT, Draft, Name, Seen, json_bytes


class Ollama:
    """Ollama's ``/api/chat``: one object a line."""

    name: Name = "ollama"
    path = "/api/chat"
    headers: dict[str, str] = {}
    content_type = "application/x-ndjson"
    before_text = 0

    def address(self, model: str, *, stream: bool) -> tuple[str, str]:
        return self.path, ""

    def ask(self, model: str, *, stream: bool) -> dict[str, Any]:
        return {"model": model, "messages": [{"role": "user", "content": "Hi"}], "stream": stream}

    def frame(self, message: dict[str, Any], **fields: Any) -> bytes:
        """Return a line in the midst of an answer."""
        return self.event(json_bytes({**self._top(message), "done": False, **fields}))

    def text_stream(self, pieces: Sequence[str] = TEXT) -> list[bytes]:
        return [*(self.frame({"content": piece}) for piece in pieces), self.event(self.whole(""))]

    def tool_stream(self, pieces: Sequence[str] = ARGUMENTS) -> list[bytes]:
        call = {"function": {"name": "weather", "arguments": json.loads("".join(pieces))}}
        return [self.frame({"content": "", "tool_calls": [call]}), self.event(self.whole(""))]

    def whole(self, text: str = "".join(TEXT)) -> bytes:
        return json_bytes(self.end(text))

    def end(self, text: str = "", reason: str = "stop") -> dict[str, Any]:
        """Return a whole answer, or the last line of a stream. Durations are in nanoseconds."""
        durations = dict.fromkeys(("total_duration", "load_duration", "prompt_eval_duration", "eval_duration"), 1_000)
        counts = {"prompt_eval_count": PROMPT_TOKENS, "eval_count": ANSWER_TOKENS}
        return {**self._top({"content": text}), "done": True, "done_reason": reason, **durations, **counts}

    def error(self, status: int, message: str = "no") -> bytes:
        return json_bytes({"error": message, "status_code": status})

    def event(self, data: bytes) -> bytes:
        return data + b"\n"

    def error_frame(self, status: int, message: str = "no") -> bytes:
        return self.event(self.error(status, message))

    def read_stream(self, body: bytes) -> Seen:
        draft = Draft()
        while body:
            line, feed, body = body.partition(b"\n")
            draft.heartbeats += len(line) - len(line.lstrip(b" "))
            if not feed and not line.strip(b" "):
                break  # heartbeats before a line that never came
            assert feed, f"cut in the middle of a line: {line[-80:]!r}"
            assert draft.error is None, "something follows an error"
            assert not draft.is_ended, "something follows the end"
            self._read_line(draft, json.loads(line))
        return draft.settled()

    def read_whole(self, body: bytes) -> Seen:
        draft = Draft()
        self._read_line(draft, json.loads(body))
        assert draft.is_ended or draft.error is not None
        return draft.settled()

    def _read_line(self, draft: Draft, line: dict[str, Any]) -> None:
        if "error" in line:
            assert line.keys() <= {"error", "status_code"}
            assert line["error"]
            draft.error = {"type": None, "message": line["error"]}
            return
        message = line["message"]
        draft.text += message["content"]
        for call in message.get("tool_calls", ()):
            draft.arguments += json.dumps(call["function"]["arguments"])
        if line["done"]:
            draft.is_ended, draft.finish = True, line["done_reason"]
            draft.usage = {name: line.get(name) for name in ("prompt_eval_count", "eval_count")}

    @staticmethod
    def _top(message: dict[str, Any]) -> dict[str, Any]:
        return {"model": "up", "created_at": "2026-11-22T10:00:00.1Z", "message": {"role": "assistant", **message}}
