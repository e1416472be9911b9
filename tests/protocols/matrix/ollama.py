"""Ollama's ``/api/chat``, from both ends. Follows the vendor's ``api/types.go``."""

import json
from typing import Final

from tests.support.outcome import json_arguments

from .neutral import Ask, Asked, Failure, Json, Said, Trouble, Turn, Wordless, halves

NAME: Final = "ollama"
MODEL: Final = "qwen4:30b"
ORACLE: Final = "ollama"
HEADERS: Final[dict[str, str]] = {}
STREAM_TYPE: Final = "application/x-ndjson"
WORDS: Final = {"stop": "stop", "tool": "stop", "length": "length", "filter": "stop"}
STOPPED: Final = "stop"
TELLS_FAILURES: Final = False
TROUBLE: Final[dict[Failure, Trouble]] = {
    "bad request": Trouble(status=400, words=()),
    "bad key": Trouble(status=502, words=()),
    "rate limit": Trouble(status=429, words=()),
    "overload": Trouble(status=503, words=()),
    "failure": Trouble(status=502, words=()),
}
PICTURE: Final = "image/png"
"""Pictures have no type there: it is told by their first bytes."""


def path(model: str, *, stream: bool) -> tuple[str, str]:
    return "/api/chat", ""


# --- the question -----------------------------------------------------------------------------------------------------


def write(ask: Ask, model: str, *, stream: bool) -> Json:
    messages: list[Json] = [{"role": "system", "content": ask.system}] if ask.system else []
    for turn in ask.turns:
        messages += _messages(turn)
    options: Json = {"num_predict": ask.max_tokens}
    body: Json = {"model": model, "messages": messages, "options": options, "stream": stream}
    if ask.tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": tool.schema},
            }
            for tool in ask.tools
        ]
    if ask.schema is not None:
        body["format"] = ask.schema
    if ask.stop:
        options["stop"] = list(ask.stop)
    if ask.effort:
        body["think"] = ask.effort
    return body


def _messages(turn: Turn) -> list[Json]:
    messages: list[Json] = []
    if turn.document:
        raise Wordless("no documents, only pictures")
    for result in turn.results:
        text = f"Error: {result.text}" if result.is_error else result.text
        told: Json = {"role": "tool", "tool_name": result.call.name, "tool_call_id": result.call.id, "content": text}
        messages.append({**told, "images": [result.image[1]]} if result.image else told)
    if turn.text or turn.calls:
        message: Json = {"role": turn.role, "content": turn.text}
        if turn.image:
            message["images"] = [turn.image[1]]
        if turn.calls:
            message["tool_calls"] = [
                {"id": call.id, "function": {"name": call.name, "arguments": call.arguments}} for call in turn.calls
            ]
        messages.append(message)
    return messages


def read(body: Json) -> Asked:
    options = body.get("options", {})
    asked = Asked(max_tokens=options.get("num_predict"), stop=options.get("stop", []))
    for message in body["messages"]:
        text = message["content"]
        match message["role"]:
            case "system":
                asked.system += text
            case "tool":
                asked.results.append((message["tool_name"], text))
            case role:
                asked.said += [(role, text)] if text else []
        asked.images += [(PICTURE, data) for data in message.get("images", ())]
        for call in message.get("tool_calls", ()):
            asked.calls.append((call["function"]["name"], json_arguments(call["function"]["arguments"])))
        if thought := message.get("thinking"):
            asked.thoughts.append(thought)
    for tool in body.get("tools", ()):
        function = tool["function"]
        asked.tools[function["name"]] = (function["description"], function["parameters"])
    asked.schema = body.get("format")
    asked.effort = body.get("think", "")
    return asked


def go_on(body: Json, answer: Json, result: str) -> Json:
    message = answer["message"]
    call = message["tool_calls"][0]
    back = {"role": "tool", "tool_name": call["function"]["name"], "content": result}
    return {**body, "messages": [*body["messages"], message, back]}


# --- the answer -------------------------------------------------------------------------------------------------------


def whole(said: Said) -> Json:
    message: Json = {"role": "assistant", "content": said.text}
    if said.reasoning:
        message["thinking"] = said.reasoning
    if said.calls:
        message["tool_calls"] = _calls(said)
    if said.refusal or said.cached_tokens:
        raise Wordless("a refusal is a text like any other, and tokens are counted whole")
    return _end(message, said)


def frames(said: Said) -> list[bytes]:
    deltas: list[Json] = [{"content": "", "thinking": piece} for piece in halves(said.reasoning) if piece]
    deltas += [{"content": piece} for piece in halves(said.text) if piece]
    deltas += [{"content": "", "tool_calls": [call]} for call in _calls(said)]
    lines = [{**_top({"role": "assistant", **delta}), "done": False} for delta in deltas]
    return [_line(line) for line in (*lines, _end({"role": "assistant", "content": ""}, said))]


def _calls(said: Said) -> list[Json]:
    return [
        {"id": call.id, "function": {"index": index, "name": call.name, "arguments": call.arguments}}
        for index, call in enumerate(said.calls)
    ]


def _top(message: Json) -> Json:
    return {"model": "up-1", "created_at": "2026-11-22T10:00:00.1Z", "message": message}


def _end(message: Json, said: Said) -> Json:
    return {
        **_top(message),
        "done": True,
        "done_reason": WORDS[said.finish],
        "total_duration": 300,
        "load_duration": 10,
        "prompt_eval_count": said.input_tokens,
        "prompt_eval_duration": 100,
        "eval_count": said.output_tokens,
        "eval_duration": 190,
    }


def _line(value: Json) -> bytes:
    return json.dumps(value).encode() + b"\n"


def gather(stream: bytes) -> Json:
    lines = [json.loads(line) for line in stream.split(b"\n") if line.strip()]
    message: Json = {"role": "assistant"}
    for line in lines:
        for name, value in line["message"].items():
            message[name] = value if name == "role" or name not in message else message[name] + value
    return {**lines[-1], "message": message}


def finish_of(answer: Json) -> str:
    reason: str = answer["done_reason"]
    return reason


# --- what goes wrong --------------------------------------------------------------------------------------------------


def refuse(failure: Failure) -> tuple[int, Json]:
    status = {"bad request": 400, "bad key": 401, "rate limit": 429, "overload": 503, "failure": 500}[failure]
    return status, {"error": f"Told: {failure}."}


def fail() -> tuple[Json, bytes]:
    _, body = refuse("failure")
    return body, _line(body)


def trouble(status: int, body: Json) -> tuple[Trouble, str, str]:
    assert body.keys() == {"error"}
    place, colon, _ = body["error"].partition(": ")
    return Trouble(status=status, words=()), body["error"], place if colon else ""


def is_broken(stream: bytes) -> bool:
    lines = [json.loads(line) for line in stream.split(b"\n") if line.strip()]
    return not any(line.get("done") for line in lines) and lines[-1].keys() == {"error"}
