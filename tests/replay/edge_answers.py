"""The dirty, split and odd answers of ``edge/``, as recordings: those that are of one of the five protocols."""

import json
import re
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from tests.support.recorded import EdgeFile, Protocol, RecordedRequest, RecordedResponse, Recording, edge

_LEAF = re.compile(r'(?<=: )("(?:[^"\\]|\\.)*"|[-\d.]+)')
"""A text or a number that a field holds."""
DONE = "data: [DONE]\n\n"
PATTERNS = ("apisix/**/*", "kong/**/*", "axonhub/**/*", "vercel-ai/**/*", "gemini-cli/*")
EXPECTED = ("expected-output", ".request.", ".aggregator.")
"""In names of files that are no answers."""


def edge_answers() -> list[Recording]:
    """Return all answers of the five protocols, by file; of those that say the same, the first."""
    found: dict[tuple[bool, str], Recording] = {}
    for pattern in PATTERNS:
        for answer in (answer for file in edge(pattern) for answer in _answers(file)):
            found.setdefault((answer.is_stream, _form(answer)), answer)
    return list(found.values())


def _form(answer: Recording) -> str:
    """Return an answer, or, of the hundreds that Gemini CLI was told, its form: texts are of one length."""
    text = answer.response.body.decode()
    if not answer.host.startswith("gemini-cli"):
        return text
    return re.sub(r"(\{[^{}]*\},? ?)\1+", r"\1", _LEAF.sub("0", text))


def _answers(file: EdgeFile) -> Iterator[Recording]:
    if any(part in file.name for part in EXPECTED):
        return
    text = file.data.decode(errors="replace")
    if file.name.startswith("gemini-cli/"):
        yield from _calls(file, text)
        return
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
        elif protocol in ("gemini", "responses"):
            if all(_parsed(line) for line in _payloads(stream)):  # one of these was never JSON
                yield _recording(file, protocol, stream, is_stream=True)
        elif protocol is not None:
            is_whole = "[DONE]" in stream or not file.name.endswith(".chunks.txt")  # these have the events' JSON alone
            yield _recording(file, protocol, stream if is_whole else stream + DONE, is_stream=True)


def _calls(file: EdgeFile, text: str) -> Iterator[Recording]:
    """Return what Gemini CLI was told, call by call; token counts left out."""
    for number, call in enumerate(map(json.loads, filter(None, text.splitlines()))):
        told = call["response"]
        if call["method"] == "generateContentStream" and told:
            yield _recording(file, "gemini", "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in told),
                             is_stream=True, number=number)  # fmt: skip
        elif call["method"] == "generateContent":
            yield _recording(file, "gemini", json.dumps(told), is_stream=False, number=number)


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
    if isinstance(body.get("candidates"), list) or "promptFeedback" in body:
        return "gemini"
    if body.get("object") == "response" or str(body.get("type")).startswith("response."):
        return "responses"
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
