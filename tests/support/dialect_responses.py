"""OpenAI Responses, for tests of what goes wrong between the two ends of a gateway. See ``dialect``."""

import json
from collections.abc import Sequence
from typing import Any

from .dialect import ANSWER_TOKENS, ARGUMENTS, PROMPT_TOKENS, SSE, TEXT, Draft, Name, Seen, event_lines, json_bytes
from .http_bytes import sse_event

_WORDS = {
    400: ("invalid_request_error", "invalid_value"),
    401: ("invalid_request_error", "invalid_api_key"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
    503: ("server_error", "server_is_overloaded"),
}


class Responses:
    """OpenAI Responses.

    Args:
        may_lack_events: Some may be missing before a failure, the beginning among them.
    """

    name: Name = "responses"
    path = "/v1/responses"
    headers: dict[str, str] = {}
    content_type = SSE
    before_text = 3

    def __init__(self, *, may_lack_events: bool = False) -> None:
        self._may_lack_events = may_lack_events

    def address(self, model: str, *, stream: bool) -> tuple[str, str]:
        return self.path, ""

    def ask(self, model: str, *, stream: bool) -> dict[str, Any]:
        return {"model": model, "input": "Hi", **({"stream": True} if stream else {})}

    def text_stream(self, pieces: Sequence[str] = TEXT) -> list[bytes]:
        return self.frames(self.text_events(pieces))

    def text_events(self, pieces: Sequence[str] = TEXT) -> list[dict[str, Any]]:
        """Return the events of an answer, without their numbers."""
        item, at = self._message("".join(pieces)), {"item_id": "msg_1", "output_index": 0, "content_index": 0}
        part = item["content"][0]
        said = [{"type": "response.output_text.delta", **at, "delta": piece, "logprobs": []} for piece in pieces]
        return [
            *self._start({**item, "status": "in_progress", "content": []}),
            {"type": "response.content_part.added", **at, "part": {**part, "text": ""}},
            *said,
            {"type": "response.output_text.done", **at, "text": part["text"], "logprobs": []},
            {"type": "response.content_part.done", **at, "part": part},
            *self._end(item),
        ]

    def tool_stream(self, pieces: Sequence[str] = ARGUMENTS) -> list[bytes]:
        arguments, at = "".join(pieces), {"item_id": "fc_1", "output_index": 0}
        item = {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "weather", "arguments": arguments}
        kind = "response.function_call_arguments"
        events = [
            *self._start({**item, "status": "in_progress", "arguments": ""}),
            *({"type": f"{kind}.delta", **at, "delta": piece} for piece in pieces),
            {"type": f"{kind}.done", **at, "arguments": arguments},
            *self._end({**item, "status": "completed"}),
        ]
        return self.frames(events)

    def frames(self, events: Sequence[dict[str, Any]]) -> list[bytes]:
        """Return events as frames, numbered from 0."""
        return [sse_event({**event, "sequence_number": n}, event["type"]) for n, event in enumerate(events)]

    def whole(self, text: str = "".join(TEXT)) -> bytes:
        return json_bytes(self.answer([self._message(text)]))

    def error(self, status: int, message: str = "no") -> bytes:
        kind, code = _WORDS.get(status, ("server_error", "server_error"))
        return json_bytes({"error": {"message": message, "type": kind, "param": None, "code": code}})

    def event(self, data: bytes) -> bytes:
        return sse_event(data)

    def error_frame(self, status: int, message: str = "no") -> bytes:
        _, code = _WORDS.get(status, ("server_error", "server_error"))
        return sse_event(
            {"type": "error", "code": code, "message": message, "param": None, "sequence_number": 99}, "error"
        )

    def read_stream(self, body: bytes) -> Seen:
        draft, number, has_sentinel = Draft(), 0, False
        for lines in event_lines(body):
            assert draft.error is None, "something follows an error"
            assert not has_sentinel, "something follows the sentinel"
            if lines == [b": keepalive"]:
                draft.heartbeats += 1
            elif draft.is_ended:
                assert lines == [b"data: [DONE]"], "something follows the end"
                has_sentinel = True
            else:
                name, data = lines
                event = json.loads(data.removeprefix(b"data: "))
                if self._may_lack_events:
                    number = max(number, event["sequence_number"])
                assert (name.decode(), event["sequence_number"]) == (f"event: {event['type']}", number)
                self._read_event(draft, event)
                number += 1
        assert not (draft.is_ended and draft.open_blocks), "an item is open at the end"
        return draft.settled()

    def read_whole(self, body: bytes) -> Seen:
        value = json.loads(body)
        if value.get("error"):
            assert value.keys() == {"error"}
            error: dict[str, Any] = value["error"]
            assert error.keys() == {"message", "type", "param", "code"}
            return Seen(error=error)
        return Seen(text=_text(value), finish=_finish(value), is_ended=True, usage=value["usage"])

    def _read_event(self, draft: Draft, event: dict[str, Any]) -> None:
        kind = event["type"].removeprefix("response.")
        is_first = event["sequence_number"] == 0
        assert self._may_lack_events or (kind == "created") == is_first, "an answer begins once, and first"
        match kind:
            case "created" | "in_progress":
                assert event["response"]["status"] == "in_progress"
            case "output_item.added":
                draft.open_blocks.add(event["output_index"])
            case "output_item.done":
                draft.open_blocks.remove(event["output_index"])
            case "output_text.delta":
                assert event["output_index"] in draft.open_blocks
                draft.text += event["delta"]
            case "function_call_arguments.delta":
                assert event["output_index"] in draft.open_blocks
                draft.arguments += event["delta"]
            case "completed" | "incomplete":
                whole = event["response"]
                assert (_text(whole), whole["status"]) == (draft.text, kind)
                draft.finish, draft.usage, draft.is_ended = _finish(whole), whole["usage"], True
            case "failed":
                whole = event["response"]
                assert whole["error"].keys() == {"code", "message"}
                draft.error = {"type": whole["status"], **whole["error"]}
            case "content_part.added" | "content_part.done" | "output_text.done" | "function_call_arguments.done":
                pass
            case unknown:
                raise AssertionError(f"an event that no client knows: {unknown}")

    def answer(self, output: Sequence[dict[str, Any]], status: str = "completed", **fields: Any) -> dict[str, Any]:
        """Return an answer with these items; no figures before it has ended."""
        figures = {"input_tokens": PROMPT_TOKENS, "output_tokens": ANSWER_TOKENS}
        usage = {
            **figures,
            "total_tokens": PROMPT_TOKENS + ANSWER_TOKENS,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        }
        top = {"id": "resp_1", "object": "response", "created_at": 1, "model": "up", "status": status, "error": None}
        ended = {"output": output, "incomplete_details": None, "usage": None if status == "in_progress" else usage}
        return {**top, **ended, **fields}

    def _start(self, item: dict[str, Any]) -> list[dict[str, Any]]:
        begun = {"type": "response.created", "response": self.answer([], "in_progress")}
        return [begun, {"type": "response.output_item.added", "output_index": 0, "item": item}]

    def _end(self, item: dict[str, Any]) -> list[dict[str, Any]]:
        done = {"type": "response.output_item.done", "output_index": 0, "item": item}
        return [done, {"type": "response.completed", "response": self.answer([item])}]

    @staticmethod
    def _message(text: str) -> dict[str, Any]:
        part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        return {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [part]}


def _text(answer: dict[str, Any]) -> str:
    parts = [part for item in answer["output"] if item["type"] == "message" for part in item["content"]]
    return "".join(part["text"] for part in parts if part["type"] == "output_text")


def _finish(answer: dict[str, Any]) -> str:
    if answer["status"] == "incomplete":
        reason: str = answer["incomplete_details"]["reason"]
        return reason
    assert answer["status"] == "completed"
    return "completed"
