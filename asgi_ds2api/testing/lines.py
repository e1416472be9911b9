"""Ollama's own API as the fake speaks it: https://docs.ollama.com/api (2026-11): ``/api/chat`` and ``/api/generate``.

Deliberate divergences:

1. Every model can do everything; ``/api/show`` says so.
2. Nothing is pulled, pushed, copied or deleted: those paths are unknown here.
3. A talk without a question is answered as one that loads the model, in no time.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec

from .answer import Answer, Error, Frame, Headers, converted, json_answer
from .attachments import seen
from .http1 import Request
from .turn import Choice, Message, Prompt, Result, Tool, Turn, count, pieces

STREAM_HEADERS: Headers = (("content-type", "application/x-ndjson"),)
VERSION = "0.13.5"
_GENERATE = "/api/generate"
_CREATED = "2026-11-25T12:00:00.000000001Z"
_DONE = {"end": "stop", "stop": "stop", "length": "length", "calls": "stop"}


class _Called(msgspec.Struct):
    name: str
    arguments: dict[str, object] = {}


class _Call(msgspec.Struct):
    function: _Called
    id: str | None = None


class _Message(msgspec.Struct):
    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[_Call] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class _Function(msgspec.Struct):
    name: str
    description: str = ""
    parameters: dict[str, object] | None = None


class _Tool(msgspec.Struct):
    function: _Function
    type: str = "function"


class _Options(msgspec.Struct):
    num_predict: int | None = None
    stop: list[str] | str | None = None
    temperature: float | None = None


class _Request(msgspec.Struct):
    model: Annotated[str, msgspec.Meta(min_length=1)]
    messages: list[_Message] | None = None
    prompt: str = ""
    system: str = ""
    images: list[str] | None = None
    tools: list[_Tool] | None = None
    format: dict[str, object] | Literal["json", ""] | None = None
    think: bool | Literal["low", "medium", "high", "max"] | None = None
    options: _Options | None = None
    stream: bool | None = None


def read(body: object, asked: Request) -> Prompt:
    """Understand the body of ``POST /api/chat`` or ``/api/generate``, which stream unless they are told not to."""
    request = converted(body, _Request)
    is_prompt = asked.path == _GENERATE
    told = _prompted(request) if is_prompt else request.messages or []
    options = request.options or _Options()
    stop = [options.stop] if isinstance(options.stop, str) else options.stop or []
    limit = options.num_predict
    return Prompt(
        model=request.model,
        messages=tuple(_message(message, f"messages[{i}]") for i, message in enumerate(told)),
        tools=tuple(
            Tool(
                name=tool.function.name,
                description=tool.function.description,
                schema=tool.function.parameters or {},
            )
            for tool in request.tools or ()
        ),
        choice=Choice(),
        output_schema=_output_schema(request.format),
        reasons=bool(request.think),
        max_tokens=limit if limit is not None and limit > 0 else None,
        stop=tuple(stop),
        stream=request.stream is not False,
        is_plain=is_prompt,
    )


def _prompted(request: _Request) -> list[_Message]:
    """Return the talk that a prompt stands for; an empty one for none."""
    if not request.prompt:
        return []
    system = [_Message(role="system", content=request.system)] if request.system else []
    return [*system, _Message(role="user", content=request.prompt, images=request.images)]


def _message(message: _Message, path: str) -> Message:
    if message.role == "tool":
        name = message.tool_call_id or message.tool_name or ""
        return Message(role="user", results=(Result(call_id=name, text=message.content),))
    calls = message.tool_calls or []
    return Message(
        role=message.role,
        text=message.content,
        media=tuple(seen(image, f"{path}.images[{i}]") for i, image in enumerate(message.images or ())),
        call_ids=tuple(call.id or call.function.name for call in calls),
        hidden_tokens=sum(1 + count(json.dumps(call.function.arguments)) for call in calls)
        + count(message.thinking or ""),
    )


def _output_schema(wanted: dict[str, object] | str | None) -> dict[str, object] | None:
    if isinstance(wanted, dict):
        return wanted
    return {"type": "object", "required": ["answer"]} if wanted == "json" else None


def answer(prompt: Prompt, turn: Turn, serial: int) -> Answer:
    """Say a turn as an object, or as lines of them."""
    if not any(message.role != "system" for message in prompt.messages):
        return json_answer(200, {**_head(prompt), **_said(prompt, ""), "done": True, "done_reason": "load"})
    if prompt.stream:
        frames = (Frame(event(line), is_word) for line, is_word in _lines(prompt, turn, serial))
        return Answer(headers=STREAM_HEADERS, frames=frames)
    said = _said(prompt, turn.text, turn.reasoning, list(_calls(turn, serial)))
    return json_answer(200, {**_head(prompt), **said, **_end(prompt, turn)})


def _head(prompt: Prompt) -> dict[str, object]:
    return {"model": prompt.model, "created_at": _CREATED}


def _said(prompt: Prompt, text: str, thinking: str = "", calls: Sequence[object] = ()) -> dict[str, object]:
    """Return a piece of an answer, in the form in which it was asked for."""
    thoughts = {"thinking": thinking} if thinking else {}
    called = {"tool_calls": calls} if calls else {}
    if prompt.is_plain:
        return {"response": text, **thoughts, **called}
    return {"message": {"role": "assistant", "content": text, **thoughts, **called}}


def _lines(prompt: Prompt, turn: Turn, serial: int) -> Iterator[tuple[dict[str, object], bool]]:
    """Yield the lines of an answer, each with whether it is a word."""
    going = {"done": False}
    for piece in pieces(turn.reasoning):
        yield {**_head(prompt), **_said(prompt, "", piece), **going}, True
    for piece in pieces(turn.text):
        yield {**_head(prompt), **_said(prompt, piece), **going}, True
    for call in _calls(turn, serial):
        yield {**_head(prompt), **_said(prompt, "", calls=[call]), **going}, False
    yield {**_head(prompt), **_said(prompt, ""), **_end(prompt, turn)}, False


def _calls(turn: Turn, serial: int) -> Iterator[dict[str, Any]]:
    for i, call in enumerate(turn.calls):
        function = {"index": i, "name": call.name, "arguments": msgspec.Raw(call.arguments.encode())}
        yield {"id": f"call_fake{serial:08d}{i:04d}", "function": function}


def _end(prompt: Prompt, turn: Turn) -> dict[str, object]:
    """Return what says that an answer is done. Durations are in nanoseconds."""
    return {
        "done": True,
        "done_reason": _DONE[turn.ending],
        "total_duration": 3_000_000,
        "load_duration": 1_000_000,
        "prompt_eval_count": prompt.input_tokens,
        "prompt_eval_duration": 1_000_000,
        "eval_count": turn.output_tokens,
        "eval_duration": 1_000_000,
    }


def no_key() -> Error:
    """Return what a server that wants keys says without one."""
    return Error(status=401, message="unauthorized")


def no_model(name: str) -> Error:
    """Return what is said of a model that does not exist."""
    return Error(status=404, message=f"model '{name}' not found")


def error(error: Error, serial: int) -> Answer:
    """Say an error as Ollama does: a text."""
    return json_answer(error.status, {"error": error.message}, error.headers)


def event(value: object) -> bytes:
    """Return one line: of text as it is, of anything else as JSON."""
    return (value.encode() if isinstance(value, str) else msgspec.json.encode(value)) + b"\n"


def models(names: Sequence[str], query: Mapping[str, str], serial: int) -> Answer:
    """List the models, all on one page."""
    return json_answer(200, {"models": [{"name": name, "model": name, **_file(name)} for name in names]})


def model(name: str, serial: int) -> Answer:
    """Describe one model, as ``/api/show`` does."""
    info = {"general.architecture": "fake", "fake.context_length": 200_000, "fake.embedding_length": 16}
    can = ["completion", "tools", "vision", "thinking", "embedding"]
    about = {"modelfile": f"FROM {name}", "parameters": "", "template": "{{ .Prompt }}"}
    return json_answer(200, {**about, "details": _DETAILS, "model_info": info, "capabilities": can})


_DETAILS: Mapping[str, object] = {
    "parent_model": "",
    "format": "gguf",
    "family": "fake",
    "families": ["fake"],
    "parameter_size": "1B",
    "quantization_level": "Q8_0",
}


def _file(name: str) -> dict[str, object]:
    digest = f"{sum(name.encode()):064x}"
    return {"modified_at": _CREATED, "size": 1_000_000, "digest": digest, "details": _DETAILS}
