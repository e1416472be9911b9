"""F54 for lines of JSON: a stream that ends at any byte, in front of Ollama's face, and from its upstream."""

import json
import re
from typing import Any

import pytest

from tests.conformance.asking import (
    Asked,
    ask,
    chat_stream,
    chunk,
    claude_events,
    claude_stream,
    ollama_end,
    ollama_line,
    ollama_stream,
)
from tests.support.scripted_client import Answering, streaming, streaming_lines

pytestmark = pytest.mark.anyio

TEXT = ("Es war ", "é😀")
CALL = {"function": {"name": "f", "arguments": {"city": "é"}}}
STREAMS: dict[str, Answering] = {
    "chat": chat_stream(*(chunk({"content": piece}) for piece in TEXT), chunk({}, "stop")),
    "claude": claude_stream(
        claude_events(({"type": "text", "text": ""}, [{"type": "text_delta", "text": piece} for piece in TEXT]))
    ),
    "ollama": ollama_stream(*(ollama_line({"content": piece}) for piece in TEXT), ollama_end()),
    "ollama-calls": ollama_stream(ollama_line({"tool_calls": [CALL]}), ollama_end()),
}
EXACT, LIKE = None, {"base": "ollama", "exact": False}
WAYS = [
    ("ollama", "chat", "chat", EXACT),
    ("ollama", "claude", "claude", EXACT),
    *(
        (face, "ollama", script, EXACT)
        for face in ("chat", "claude", "ollama")
        for script in ("ollama", "ollama-calls")
    ),
    ("ollama", "ollama", "ollama", LIKE),
]


def bytes_of(script: Answering) -> bytes:
    return b"".join(piece for piece in script.pieces if isinstance(piece, bytes))


def ended(face: str, asked: Asked) -> tuple[bool, bool, str]:
    """Return whether a caller sees a success, whether it sees an error, and the text that it was told."""
    text = asked.answer.text
    if face == "chat":
        events = [event for event in asked.events if event != "[DONE]"]
        said = "".join(c["delta"].get("content") or "" for e in events for c in e.get("choices", ()))
        return text.endswith("data: [DONE]\n\n"), '"error"' in text, said
    if face == "claude":
        said = "".join(event.get("delta", {}).get("text", "") for event in asked.events)
        return "message_stop" in text, '"error"' in text, said
    said = "".join(line.get("message", {}).get("content", "") for line in asked.lines)
    return any(line.get("done") for line in asked.lines), any("error" in line for line in asked.lines), said


@pytest.mark.parametrize(
    ("face", "to", "name", "profile"), WAYS, ids=lambda value: value if isinstance(value, str) else ""
)
async def test_F54_stream_that_ends_early_is_no_success(face: str, to: str, name: str, profile: Any) -> None:
    data = bytes_of(STREAMS[name])
    script = streaming_lines if to == "ollama" else streaming
    body = {"stream": True}
    whole = await ask(face, to, body, script(data), profile=profile)
    is_success, is_error, said = ended(face, whole)
    assert (is_success, is_error) == (True, False)
    assert said == ("" if name == "ollama-calls" else "".join(TEXT))
    last_byte = len(data.rstrip(b"\n")) if to == "ollama" else len(data)
    for cut in range(1, last_byte):
        asked = await ask(face, to, body, script(data[:cut]), profile=profile)
        is_success, is_error, told = ended(face, asked) if asked.answer.status == 200 else (False, True, "")
        if is_success:  # the terminator itself was there, but for white space behind it
            assert told == said, cut
            assert data[cut:].strip() == b"", cut
            continue
        assert is_error, cut
        assert said.startswith(told), cut


MADE_ID = re.compile(r"(call_|chatcmpl-|msg_)[0-9a-f]{12,}")


@pytest.mark.parametrize("name", ["ollama", "ollama-calls"])
@pytest.mark.parametrize("face", ["chat", "claude", "ollama"])
async def test_F63_any_two_reads_tell_the_same(face: str, name: str) -> None:
    data = bytes_of(STREAMS[name])
    expected = await heard(face, data)
    for cut in range(1, len(data)):
        assert await heard(face, data[:cut], data[cut:]) == expected, cut


async def heard(face: str, *pieces: bytes) -> str:
    """Return an answer without the time that it took, and with its ids numbered: those of each answer are its own."""
    asked = await ask(face, "ollama", {"stream": True}, streaming_lines(*pieces), profile=LIKE)
    text = "\n".join(_without_times(line) for line in asked.answer.text.split("\n"))
    numbers: dict[str, int] = {}
    return MADE_ID.sub(lambda found: f"{found[1]}{numbers.setdefault(found[0], len(numbers))}", text)


def _without_times(line: str) -> str:
    head, brace, rest = line.partition("{")
    if not brace:
        return line
    value = json.loads(brace + rest)
    return head + json.dumps(
        {k: v for k, v in value.items() if k != "created" and not k.endswith(("_duration", "_at"))}
    )
