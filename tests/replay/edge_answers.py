"""The dirty, split and odd answers of ``edge/``, as recordings: those that are of Chat Completions or of Messages."""

import json
import re
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from tests.support.recorded import EdgeFile, Protocol, RecordedRequest, RecordedResponse, Recording, edge

DONE = "data: [DONE]\n\n"
PATTERNS = ("apisix/**/*", "kong/**/*", "axonhub/**/*", "vercel-ai/**/*")
EXPECTED = ("expected-output", ".request.", ".aggregator.")
"""In names of files that are no answers."""


def edge_answers() -> list[Recording]:
    """Return all answers of the two protocols, by file."""
    return [answer for pattern in PATTERNS for file in edge(pattern) for answer in _answers(file)]


def _answers(file: EdgeFile) -> Iterator[Recording]:
    if any(part in file.name for part in EXPECTED):
        return
    text = file.data.decode(errors="replace")
    stream = _stream(file.name, text)
    if stream is None and file.name.endswith(".json"):
        protocol = _protocol(_parsed(text))
        if protocol is not None:
            yield _recording(file, protocol, text, is_stream=False)
    elif stream is not None:
        protocol = next(filter(None, (_protocol(_parsed(line)) for line in _payloads(stream))), None)
        if protocol == "anthropic":
            for number, message in enumerate(_messages(stream)):
                yield _recording(file, protocol, message, is_stream=True, number=number)
        elif protocol is not None:
            is_whole = "[DONE]" in stream or not file.name.endswith(".chunks.txt")  # these have the events' JSON alone
            yield _recording(file, protocol, stream if is_whole else stream + DONE, is_stream=True)


def _messages(stream: str) -> list[str]:
    """Return the messages of a file that has several steps of a talk."""
    *messages, rest = re.split(r"(?<=\"type\":\"message_stop\"\}\n\n)", stream)
    return [*messages, rest] if rest else messages


def _stream(name: str, text: str) -> str | None:
    """Return a stream as it was on the wire; None: the file is none."""
    if name.endswith((".sse", "text-event-stream/input.bin")):
        return text if text.endswith("\n\n") else text + "\n\n"
    if name.endswith(".chunks.txt"):
        return "".join(f"data: {line}\n\n" for line in text.splitlines() if line)
    if name.endswith((".stream.jsonl", ".stream.json")):
        events = [json.loads(line) for line in text.splitlines() if line.startswith("{")]  # one has a note at its end
        return "".join(_event(event["Type"], event["Data"]) for event in events)
    return None


def _event(name: str, data: str) -> str:
    return f"event: {name}\ndata: {data}\n\n" if name else f"data: {data}\n\n"


def _payloads(stream: str) -> list[str]:
    return [line.removeprefix("data:") for line in stream.splitlines() if line.startswith("data:")]


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _protocol(body: Any) -> Protocol | None:
    """Return whose answer, or whose event of a stream, this is."""
    if not isinstance(body, dict):
        return None
    if body.get("type") in ("message", "message_start"):
        return "anthropic"
    is_chat = isinstance(body.get("choices"), list) and str(body.get("object", "chat")).startswith("chat")
    return "chat" if is_chat else None


def _recording(file: EdgeFile, protocol: Protocol, text: str, *, is_stream: bool, number: int = 0) -> Recording:
    name = f"{file.name}#{number}" if number else file.name
    return Recording(
        id=sha256(name.encode()).hexdigest()[:16],
        protocol=protocol,
        host=name.replace("/", "_"),
        model=None,
        feats=(),
        request=RecordedRequest(method="POST", path="", body={"stream": is_stream}),
        response=RecordedResponse(status=200, headers={}, text=text),
    )
