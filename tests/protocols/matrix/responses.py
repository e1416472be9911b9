"""OpenAI Responses, from both ends. Follows the vendor's reference."""

from collections.abc import Iterator
from typing import Any, Final

from tests.support.http_bytes import sse_event
from tests.support.outcome import json_arguments

from .chat import data_of
from .neutral import Ask, Asked, Failure, Json, Said, Trouble, Turn, Wordless, as_text, halves, parts_of, payloads

NAME: Final = "responses"
MODEL: Final = "gpt-5.6"
ORACLE: Final = "responses"
HEADERS: Final[dict[str, str]] = {}
STREAM_TYPE: Final = "text/event-stream"
WORDS: Final = {
    "stop": "completed",
    "tool": "completed",
    "length": "incomplete: max_output_tokens",
    "filter": "incomplete: content_filter",
}
STOPPED: Final = "completed"
TELLS_FAILURES: Final = False
TROUBLE: Final[dict[Failure, Trouble]] = {
    "bad request": Trouble(status=400, words=("invalid_request_error", None)),
    "bad key": Trouble(status=502, words=("server_error", "upstream_auth_error")),
    "rate limit": Trouble(status=429, words=("requests", "rate_limit_exceeded")),
    "overload": Trouble(status=503, words=("server_error", "server_is_overloaded")),
    "failure": Trouble(status=502, words=("server_error", "upstream_error")),
}


def path(model: str, *, stream: bool) -> tuple[str, str]:
    return "/v1/responses", ""


# --- the question -----------------------------------------------------------------------------------------------------


def write(ask: Ask, model: str, *, stream: bool) -> Json:
    items = [item for turn in ask.turns for item in _items(turn)]
    body: Json = {"model": model, "input": items, "max_output_tokens": ask.max_tokens, "store": False}
    if ask.system:
        body["instructions"] = ask.system
    if ask.tools:
        body["tools"] = [
            {"type": "function", "name": tool.name, "description": tool.description, "parameters": tool.schema}
            | {"strict": False}
            for tool in ask.tools
        ]
    if ask.schema is not None:
        body["text"] = {"format": {"type": "json_schema", "name": "place", "schema": ask.schema, "strict": True}}
    if ask.stop:
        body["stop"] = list(ask.stop)
    if ask.effort:
        body |= {"reasoning": {"effort": ask.effort, "summary": "auto"}, "include": ["reasoning.encrypted_content"]}
    return {**body, "stream": True} if stream else body


def _items(turn: Turn) -> Iterator[Json]:
    for result in turn.results:
        text = f"Error: {result.text}" if result.is_error else result.text
        output: object = text
        if result.image:
            picture = {"type": "input_image", "image_url": _url(result.image), "detail": "auto"}
            output = [{"type": "input_text", "text": text}, picture]
        yield {"type": "function_call_output", "call_id": result.call.id, "output": output}
    if turn.text:
        kind = "output_text" if turn.role == "assistant" else "input_text"
        content: list[Json] = [{"type": kind, "text": turn.text}]
        if turn.image:
            content.append({"type": "input_image", "image_url": _url(turn.image), "detail": "auto"})
        if turn.document:
            content.append({"type": "input_file", "filename": "paper.pdf", "file_data": _url(turn.document)})
        yield {"type": "message", "role": turn.role, "content": content}
    for call in turn.calls:
        yield {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.text}


def _url(data: tuple[str, str]) -> str:
    return f"data:{data[0]};base64,{data[1]}"


def read(body: Json) -> Asked:
    if "stop" in body:
        raise Wordless("no stop sequences: it is clients that send them")
    asked = Asked(system=body.get("instructions") or "", max_tokens=body.get("max_output_tokens"))
    names: dict[str, str] = {}
    items = body["input"]
    for item in [{"role": "user", "content": items}] if isinstance(items, str) else items:
        _read_item(asked, names, item)
    for tool in body.get("tools", ()):
        asked.tools[tool["name"]] = (tool["description"], tool["parameters"])
    asked.schema = body.get("text", {}).get("format", {}).get("schema")
    reasoning = body.get("reasoning", {})
    asked.effort = reasoning.get("effort", "")
    asked.is_hidden = bool(asked.effort) and reasoning.get("summary") != "auto"
    return asked


def _read_item(asked: Asked, names: dict[str, str], item: Json) -> None:
    match item.get("type", "message"):
        case "message" if item["role"] in ("system", "developer"):
            asked.system += as_text(item["content"])
        case "message":
            text = as_text(item["content"])
            asked.said += [(item["role"], text)] if text else []
            _read_media(asked, item["content"])
        case "reasoning":
            asked.thoughts += [part["text"] for part in item["summary"]]
            asked.signatures.append(item["encrypted_content"])
        case "function_call":
            names[item["call_id"]] = item["name"]
            asked.calls.append((item["name"], json_arguments(item["arguments"])))
        case "function_call_output":
            name, text = names[item["call_id"]], as_text(item["output"])
            asked.results.append((name, text))
            _read_media(asked, item["output"])
        case unknown:
            raise AssertionError(f"an item of type {unknown}")


def _read_media(asked: Asked, content: object) -> None:
    for part in parts_of(content):
        if part["type"] == "input_image":
            asked.images.append(data_of(part["image_url"]))
        elif part["type"] == "input_file":
            asked.documents.append(data_of(part["file_data"]))


def go_on(body: Json, answer: Json, result: str) -> Json:
    call = next(item for item in answer["output"] if item["type"] == "function_call")
    back = {"type": "function_call_output", "call_id": call["call_id"], "output": result}
    return {**body, "input": [*body["input"], *answer["output"], back]}


# --- the answer -------------------------------------------------------------------------------------------------------


def whole(said: Said) -> Json:
    return _response(said, _output(said))


def _output(said: Said) -> list[Json]:
    output: list[Json] = []
    if said.reasoning:
        summary = [{"type": "summary_text", "text": said.reasoning}]
        item = {"id": "rs_7", "type": "reasoning", "summary": summary, "encrypted_content": said.signature}
        output.append(item)
    parts: list[Json] = []
    if said.text:
        # the vendor knows no stop sequences: it goes on
        text = f"{said.text}{said.stopped_by} and so on." if said.stopped_by else said.text
        parts.append({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
    if said.refusal:
        parts.append({"type": "refusal", "refusal": said.refusal})
    if parts:
        status = "incomplete" if said.finish == "length" else "completed"
        output.append({"id": "msg_7", "type": "message", "status": status, "role": "assistant", "content": parts})
    output += [
        {"id": f"fc_{call.id}", "type": "function_call", "status": "completed", "call_id": call.id, "name": call.name}
        | {"arguments": call.text}
        for call in said.calls
    ]
    return output


def _response(said: Said, output: list[Json], **fields: object) -> Json:
    whole: Json = {
        "id": "resp_7",
        "object": "response",
        "created_at": 1_790_000_000,
        "status": "incomplete" if said.finish == "length" else "completed",
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if said.finish == "length" else None,
        "model": "up-1",
        "output": output,
        "usage": {
            "input_tokens": said.input_tokens,
            "input_tokens_details": {"cached_tokens": said.cached_tokens},
            "output_tokens": said.output_tokens,
            "output_tokens_details": {"reasoning_tokens": said.reasoning_tokens},
            "total_tokens": said.input_tokens + said.output_tokens,
        },
    }
    return {**whole, **fields}


def frames(said: Said) -> list[bytes]:
    begun = _response(said, [], status="in_progress", usage=None, incomplete_details=None)
    events: list[Json] = [{"type": "response.created", "response": begun}]
    for number, item in enumerate(_output(said)):
        events += _item_events(number, item)
    end = _response(said, _output(said))
    events.append({"type": f"response.{end['status']}", "response": end})
    return [_event({**event, "sequence_number": number}) for number, event in enumerate(events)]


def _item_events(number: int, item: Json) -> Iterator[Json]:
    place = {"output_index": number, "item_id": item["id"]}
    empty = {"content": [], "summary": [], "arguments": "", "encrypted_content": ""}
    opened = {name: empty.get(name, value) for name, value in item.items()}
    yield {"type": "response.output_item.added", "output_index": number, "item": {**opened, "status": "in_progress"}}
    for at, part in enumerate(item.get("content", ())):
        name = "text" if part["type"] == "output_text" else "refusal"
        spot = {**place, "content_index": at}
        yield {"type": "response.content_part.added", **spot, "part": {**part, name: ""}}
        for piece in halves(part[name]):
            yield {"type": f"response.{part['type']}.delta", **spot, "delta": piece, "logprobs": []}
        yield {"type": f"response.{part['type']}.done", **spot, name: part[name], "logprobs": []}
        yield {"type": "response.content_part.done", **spot, "part": part}
    for at, part in enumerate(item.get("summary", ())):
        spot = {**place, "summary_index": at}
        yield {"type": "response.reasoning_summary_part.added", **spot, "part": {**part, "text": ""}}
        for piece in halves(part["text"]):
            yield {"type": "response.reasoning_summary_text.delta", **spot, "delta": piece}
        yield {"type": "response.reasoning_summary_text.done", **spot, "text": part["text"]}
        yield {"type": "response.reasoning_summary_part.done", **spot, "part": part}
    for piece in halves(item.get("arguments", "")) if "arguments" in item else ():
        yield {"type": "response.function_call_arguments.delta", **place, "delta": piece}
    if "arguments" in item:
        yield {"type": "response.function_call_arguments.done", **place, "arguments": item["arguments"]}
    yield {"type": "response.output_item.done", "output_index": number, "item": item}


def _event(event: Json) -> bytes:
    return sse_event(event, event["type"])


def gather(stream: bytes) -> Json:
    whole: Json = payloads(stream)[-1]["response"]
    return whole


def finish_of(answer: Json) -> str:
    reason = (answer["incomplete_details"] or {}).get("reason")
    parts = [part["type"] for item in answer["output"] for part in item.get("content", ())]
    if "refusal" in parts:
        return "incomplete: content_filter"
    return f"{answer['status']}: {reason}" if reason else str(answer["status"])


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
    error = {"code": "server_error", "message": "Told: failure."}
    body = _response(Said(), [], status="failed", error=error, usage=None)
    return body, _event({"type": "response.failed", "sequence_number": 99, "response": body})


def trouble(status: int, body: Json) -> tuple[Trouble, str, str]:
    assert body.keys() == {"error"}
    error: dict[str, Any] = body["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    return Trouble(status=status, words=(error["type"], error["code"])), error["message"], error["param"] or ""


def is_broken(stream: bytes) -> bool:
    events = payloads(stream)
    ends = {"response.completed", "response.incomplete"} & {event["type"] for event in events}
    last = events[-1]
    return (
        b"[DONE]" not in stream
        and not ends
        and last["type"] == "response.failed"
        and bool(last["response"]["error"]["message"])
    )
