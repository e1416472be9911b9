"""The dirty, split and odd answers of ``edge/``, as recordings: those that are of one of the five protocols."""

import json
import re
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import msgspec

from tests.support.recorded import EdgeFile, Protocol, RecordedRequest, RecordedResponse, Recording, edge

from .errors_told import waiting

_LEAF = re.compile(r'(?<=: )("(?:[^"\\]|\\.)*"|[-\d.]+)')
"""A text or a number that a field holds."""
DONE = "data: [DONE]\n\n"
EXPECTED = ("expected-output", ".request.", ".aggregator.")
"""In names of files that are no answers."""
IN_PIECES = "kong/streaming-chunk-formats/partial-json-split"
"""Folders of streams that are one array, each piece of which is a file."""
BEGINNING = "kong/streaming-chunk-formats/partial-json-beginning/input.bin"
END = "kong/streaming-chunk-formats/partial-json-end/input.bin"
"""Two halves of another one."""
ERRORS: dict[str, tuple[Protocol, int]] = {
    "apisix/openai/chat-error.json": ("chat", 404),
    "vercel-ai/google/google-429-retry-info.json": ("gemini", 429),
    "vercel-ai/openai/chat/reasoning-model-legacy-parameter-error.json": ("chat", 400),
    "vercel-ai/openai/image/gpt-image-response-format-error.json": ("chat", 400),
    "vercel-ai/openai/responses/openai-error.1.json": ("responses", 429),
    "vercel-ai/openai/responses/reasoning-model-temperature-error.json": ("responses", 400),
}
"""Bodies of errors -> whose, and the status that they came with."""
NO_ANSWERS = {
    r".*/[^/]*\.request\.json": "asks",
    r"kong/.*/(partial|text).*/expected-output\.\w+|.*\.aggregator\.json": "what a test of its project expects",
    r"apisix/(openai/embeddings|vertex-ai/).*|vercel-ai/openai/embedding/openai-embedding\.json": "vectors",
    r"apisix/openai/images.*|vercel-ai/openai/image/openai-.*": "pictures",
    r"axonhub/.*/aisdk-.*": "the words of a browser's SDK",
    r"gemini-cli/context-compress-interactive\.compress-empty\.responses": "empty",
    r"vercel-ai/amazon-bedrock/.*|kong/.*/aws/.*": "Bedrock's own protocol",
    r"vercel-ai/cohere/.*|kong/.*/complete-json/.*": "Cohere's protocols",
    r"vercel-ai/google/interactions/.*": "Interactions, another operation",
    r"vercel-ai/(google|openai)/speech-translation/.*": "of a WebSocket",
    r"vercel-ai/(anthropic|openai)/skills/.*": "of a store of files",
    r"vercel-ai/\w+/(.*/)?\w+-transcription(-text)?\.json": "what was heard",
    r"vercel-ai/openai/completion/.*": "of the operation before Chat, which `protocols/openai_chat` tests",
}
"""Names of files that hold no answer of the five protocols' main operations -> what they hold."""


def edge_answers() -> list[Recording]:
    """Return all answers of the five protocols, by file; of those that say the same, the first."""
    return [answer for answer, _ in played_as()]


def played_as() -> list[tuple[Recording, list[str]]]:
    """Return answers, each with the names of all files that say it."""
    first: dict[tuple[bool, str], Recording] = {}
    files: dict[str, list[str]] = {}
    for answer, names in (*_joined(), *((answer, [file.name]) for file in edge() for answer in _answers(file))):
        said = first.setdefault((answer.is_stream, _form(answer)), answer)
        files.setdefault(said.id, []).extend(names)
    return [(answer, files[answer.id]) for answer in first.values()]


def _joined() -> Iterator[tuple[Recording, list[str]]]:
    """Return the arrays that came in pieces, and with each the names of its files."""
    pieces: dict[str, list[EdgeFile]] = {}
    for file in edge(f"{IN_PIECES}*/input-*"):
        pieces.setdefault(file.name.rpartition("/")[0], []).append(file)
    halves = [file for name in (BEGINNING, END) for file in edge(name)]
    for files in (*pieces.values(), halves):
        text = "".join(file.data.decode() for file in files).rstrip()
        text += "" if text.endswith("]") else "]"  # two of these are the first chunks of a longer one
        answer = _recording(files[0], "gemini", text, is_stream=True)
        response = msgspec.structs.replace(answer.response, headers={"content-type": "application/json"})
        yield msgspec.structs.replace(answer, response=response), [file.name for file in files]


def edge_errors() -> list[Recording]:
    """Return all errors; of those that have to be waited for, another one whose vendor says how long."""
    found: list[Recording] = []
    for name, (protocol, status) in ERRORS.items():
        for file in edge(name):
            answer = _recording(file, protocol, file.data.decode(), is_stream=False)
            response = msgspec.structs.replace(answer.response, status=status)
            found.append(msgspec.structs.replace(answer, response=response))
    return [*found, *(waiting(error, 7) for error in found if error.response.status == 429)]


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
