"""OpenAI Chat Completions, from both ends, by the vendor's reference; ``reasoning_content`` is its look-alikes'."""

from typing import Any, Final

from tests.support.http_bytes import sse_event
from tests.support.outcome import json_arguments

from .neutral import Ask, Asked, Failure, Json, Said, Trouble, Turn, as_text, halves, parts_of, payloads

NAME: Final = "chat"
MODEL: Final = "gpt-5.6"
ORACLE: Final = "chat"
HEADERS: Final[dict[str, str]] = {}
STREAM_TYPE: Final = "text/event-stream"
WORDS: Final = {"stop": "stop", "tool": "tool_calls", "length": "length", "filter": "content_filter"}
STOPPED: Final = "stop"
TELLS_FAILURES: Final = False
TROUBLE: Final[dict[Failure, Trouble]] = {
    "bad request": Trouble(status=400, words=("invalid_request_error", None)),
    "bad key": Trouble(status=502, words=("server_error", "upstream_auth_error")),
    "rate limit": Trouble(status=429, words=("requests", "rate_limit_exceeded")),
    "overload": Trouble(status=503, words=("server_error", "server_is_overloaded")),
    "failure": Trouble(status=502, words=("server_error", "upstream_error")),
}


def path(model: str, *, stream: bool) -> tuple[str, str]:
    return "/v1/chat/completions", ""


# --- the question -----------------------------------------------------------------------------------------------------


def write(ask: Ask, model: str, *, stream: bool) -> Json:
    messages: list[Json] = [{"role": "system", "content": ask.system}] if ask.system else []
    for turn in ask.turns:
        messages += _messages(turn)
    body: Json = {"model": model, "messages": messages, "max_completion_tokens": ask.max_tokens}
    if ask.tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": tool.schema},
            }
            for tool in ask.tools
        ]
    if ask.schema is not None:
        schema = {"name": "place", "schema": ask.schema, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if ask.stop:
        body["stop"] = list(ask.stop)
    if ask.effort:
        body["reasoning_effort"] = ask.effort
        body["include_reasoning"] = True
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body


def _messages(turn: Turn) -> list[Json]:
    tools = [
        {"role": "tool", "tool_call_id": result.call.id, "content": _result(result.text, result.image, result.is_error)}
        for result in turn.results
    ]
    if not (turn.text or turn.calls):
        return tools
    message: Json = {"role": turn.role, "content": turn.text or None}
    if turn.image or turn.document:
        content: list[Json] = [{"type": "text", "text": turn.text}]
        if turn.image:
            content.append({"type": "image_url", "image_url": {"url": _url(turn.image)}})
        if turn.document:
            content.append({"type": "file", "file": {"filename": "paper.pdf", "file_data": _url(turn.document)}})
        message["content"] = content
    if turn.calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.text}}
            for call in turn.calls
        ]
    return [*tools, message]


def _result(text: str, image: tuple[str, str] | None, is_error: bool) -> object:
    """Say what a call came to. The protocol has no word for a failure: it is in the text that it is said."""
    text = f"Error: {text}" if is_error else text
    if image is None:
        return text
    return [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": _url(image)}}]


def _url(data: tuple[str, str]) -> str:
    return f"data:{data[0]};base64,{data[1]}"


def data_of(url: str) -> tuple[str, str]:
    """Return what a data URL holds."""
    head, _, data = url.partition(",")
    return head.removeprefix("data:").removesuffix(";base64"), data


def read(body: Json) -> Asked:
    asked = Asked(max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"))
    names: dict[str, str] = {}
    for message in body["messages"]:
        _read_message(asked, names, message)
    for tool in body.get("tools", ()):
        function = tool["function"]
        asked.tools[function["name"]] = (function["description"], function["parameters"])
    asked.schema = body.get("response_format", {}).get("json_schema", {}).get("schema")
    stop = body.get("stop") or []
    asked.stop = [stop] if isinstance(stop, str) else stop
    asked.effort = body.get("reasoning_effort") or ""
    return asked


def _read_message(asked: Asked, names: dict[str, str], message: Json) -> None:
    text = as_text(message.get("content"))
    match message["role"]:
        case "system" | "developer":
            asked.system += text
            return
        case "tool":
            name = names[message["tool_call_id"]]
            asked.results.append((name, text))
        case role:
            asked.said += [(role, text)] if text else []
    for part in parts_of(message.get("content")):
        if part["type"] == "image_url":
            asked.images.append(data_of(part["image_url"]["url"]))
        elif part["type"] == "file":
            asked.documents.append(data_of(part["file"]["file_data"]))
    for call in message.get("tool_calls", ()):
        names[call["id"]] = call["function"]["name"]
        asked.calls.append((call["function"]["name"], json_arguments(call["function"]["arguments"])))
    if thought := message.get("reasoning_content"):
        asked.thoughts.append(thought)


def go_on(body: Json, answer: Json, result: str) -> Json:
    message = answer["choices"][0]["message"]
    back = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": result}
    return {**body, "messages": [*body["messages"], message, back]}


# --- the answer -------------------------------------------------------------------------------------------------------


def whole(said: Said) -> Json:
    message: Json = {"role": "assistant", "content": said.text or None, "refusal": said.refusal or None}
    if said.reasoning:
        message["reasoning_content"] = said.reasoning
    if said.calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.text}}
            for call in said.calls
        ]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _reason(said)}
    return {**_top("chat.completion"), "choices": [choice], "usage": _usage(said)}


def frames(said: Said) -> list[bytes]:
    deltas: list[Json] = [{"role": "assistant", "content": "", "refusal": None}]
    for name, text in (("reasoning_content", said.reasoning), ("content", said.text), ("refusal", said.refusal)):
        deltas += [{name: piece} for piece in halves(text) if piece]
    for index, call in enumerate(said.calls):
        function = {"name": call.name, "arguments": ""}
        deltas.append({"tool_calls": [{"index": index, "id": call.id, "type": "function", "function": function}]})
        deltas += [{"tool_calls": [{"index": index, "function": {"arguments": piece}}]} for piece in halves(call.text)]
    chunks = [_chunk([{"index": 0, "delta": delta, "finish_reason": None}]) for delta in deltas]
    end = _chunk([{"index": 0, "delta": {}, "finish_reason": _reason(said)}])
    usage = {**_top("chat.completion.chunk"), "choices": [], "usage": _usage(said)}
    return [*(sse_event(event) for event in (*chunks, end, usage)), sse_event("[DONE]")]


def _chunk(choices: list[Json]) -> Json:
    return {**_top("chat.completion.chunk"), "choices": choices, "usage": None}


def _top(kind: str) -> Json:
    return {"id": "chatcmpl-7", "object": kind, "created": 1_790_000_000, "model": "up-1", "service_tier": "default"}


def _reason(said: Said) -> str:
    """Return the vendor's word; beside a refusal it says ``stop``."""
    return "stop" if said.refusal else WORDS[said.finish]


def _usage(said: Said) -> Json:
    return {
        "prompt_tokens": said.input_tokens,
        "completion_tokens": said.output_tokens,
        "total_tokens": said.input_tokens + said.output_tokens,
        "prompt_tokens_details": {"cached_tokens": said.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": said.reasoning_tokens},
    }


def gather(stream: bytes) -> Json:
    answer: Json = {"message": {}, "finish_reason": None}
    for chunk in payloads(stream):
        for choice in chunk["choices"]:
            _accumulate(answer["message"], choice["delta"])
            answer["finish_reason"] = choice["finish_reason"] or answer["finish_reason"]
    for call in answer["message"].get("tool_calls", ()):
        del call["index"]
    return {"choices": [answer]}


def _accumulate(whole: Json, delta: Json) -> None:
    """Add a delta to what came before: texts are joined, entries of lists found by their index, as the SDK does it."""
    for name, value in delta.items():
        known = whole.get(name)
        if known is None or name in ("index", "type"):
            whole[name] = value
        elif isinstance(value, str):
            whole[name] = known + value
        elif isinstance(value, dict):
            _accumulate(known, value)
        elif isinstance(value, list):
            for entry in value:
                same = next((old for old in known if old.get("index") == entry["index"]), None)
                if same is None:
                    known.append(entry)
                else:
                    _accumulate(same, entry)


def finish_of(answer: Json) -> str:
    choice = answer["choices"][0]
    reason: str = choice["finish_reason"]
    return "content_filter" if choice["message"].get("refusal") else reason


# --- what goes wrong --------------------------------------------------------------------------------------------------


def refuse(failure: Failure) -> tuple[int, Json]:
    status, kind, code = {
        "bad request": (400, "invalid_request_error", None),
        "bad key": (401, "invalid_request_error", "invalid_api_key"),
        "rate limit": (429, "requests", "rate_limit_exceeded"),
        "overload": (503, "server_error", "server_is_overloaded"),
        "failure": (500, "server_error", None),
    }[failure]
    return status, {"error": {"message": f"Told: {failure}.", "type": kind, "param": None, "code": code}}


def fail() -> tuple[Json, bytes]:
    _, body = refuse("failure")
    return body, sse_event(body)


def trouble(status: int, body: Json) -> tuple[Trouble, str, str]:
    assert body.keys() == {"error"}
    error: dict[str, Any] = body["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    return Trouble(status=status, words=(error["type"], error["code"])), error["message"], error["param"] or ""


def is_broken(stream: bytes) -> bool:
    return b"[DONE]" not in stream and payloads(stream)[-1].keys() == {"error"}
