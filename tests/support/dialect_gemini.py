"""Gemini, for tests of what goes wrong between the two ends of a gateway. See ``dialect``.

A stream of this protocol has no terminator of its own: it is whole if a reason came, and the message ended.
"""

import json
from collections.abc import Sequence
from typing import Any

from .dialect import ANSWER_TOKENS, ARGUMENTS, PROMPT_TOKENS, SSE, TEXT, Draft, Name, Seen, json_bytes

_WORDS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}


class Gemini:
    """Gemini's ``generateContent``."""

    name: Name = "gemini"
    path = "/v1beta/models"
    headers: dict[str, str] = {}
    content_type = SSE
    before_text = 0

    def address(self, model: str, *, stream: bool) -> tuple[str, str]:
        verb, query = ("streamGenerateContent", "alt=sse") if stream else ("generateContent", "")
        return f"{self.path}/{model}:{verb}", query

    def ask(self, model: str, *, stream: bool) -> dict[str, Any]:
        return {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}

    def frame(self, parts: Sequence[dict[str, Any]], finish: str | None = None, **fields: Any) -> bytes:
        """Return a chunk with one candidate."""
        return self.event(json_bytes({**self.chunk(parts, finish), **fields}))

    def chunk(self, parts: Sequence[dict[str, Any]], finish: str | None = None) -> dict[str, Any]:
        """Return an answer with one candidate, or a piece of one."""
        ended = {} if finish is None else {"finishReason": finish}
        candidate = {"content": {"role": "model", "parts": parts}, **ended, "index": 0}
        usage = {"promptTokenCount": PROMPT_TOKENS, "totalTokenCount": PROMPT_TOKENS}
        if finish is not None:
            usage |= {"candidatesTokenCount": ANSWER_TOKENS, "totalTokenCount": PROMPT_TOKENS + ANSWER_TOKENS}
        return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "up", "responseId": "r1"}

    def text_stream(self, pieces: Sequence[str] = TEXT) -> list[bytes]:
        return [*(self.frame([{"text": piece}]) for piece in pieces), self.frame([{"text": ""}], "STOP")]

    def tool_stream(self, pieces: Sequence[str] = ARGUMENTS) -> list[bytes]:
        call = {"functionCall": {"id": "1", "name": "weather", "args": json.loads("".join(pieces))}}
        return [self.frame([call]), self.frame([{"text": ""}], "STOP")]

    def whole(self, text: str = "".join(TEXT)) -> bytes:
        return json_bytes(self.chunk([{"text": text}], "STOP"))

    def error(self, status: int, message: str = "no") -> bytes:
        return json_bytes({"error": {"code": status, "message": message, "status": _WORDS.get(status, "INTERNAL")}})

    def event(self, data: bytes) -> bytes:
        return b"data: " + data + b"\r\n\r\n"

    def error_frame(self, status: int, message: str = "no") -> bytes:
        return self.event(self.error(status, message))

    def read_stream(self, body: bytes) -> Seen:
        draft = Draft()
        while body:
            if body.startswith(b"\n"):
                draft.heartbeats += 1
                body = body[1:]
                continue
            assert draft.error is None, "something follows an error"
            assert not draft.is_ended, "something follows the end"
            frame, blank, body = body.partition(b"\r\n\r\n")
            assert blank, f"cut in the middle of a frame: {frame[-80:]!r}"
            assert frame.startswith(b"data: "), frame
            self._read_chunk(draft, json.loads(frame.removeprefix(b"data: ")))
        return draft.settled()

    def read_whole(self, body: bytes) -> Seen:
        draft = Draft()
        self._read_chunk(draft, json.loads(body))
        return draft.settled()

    def _read_chunk(self, draft: Draft, chunk: dict[str, Any]) -> None:
        if "error" in chunk:
            assert chunk.keys() == {"error"}
            error: dict[str, Any] = chunk["error"]
            assert {"code", "message", "status"} <= error.keys() <= {"code", "message", "status", "details"}
            draft.error = {**error, "type": error["status"]}
            return
        draft.usage = chunk.get("usageMetadata") or draft.usage
        (candidate,) = chunk["candidates"]
        for part in candidate["content"]["parts"]:
            draft.text += part.get("text", "")
            draft.arguments += json.dumps(part["functionCall"]["args"]) if "functionCall" in part else ""
        draft.finish = candidate.get("finishReason")
        draft.is_ended = draft.finish is not None
