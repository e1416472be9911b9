"""Gemini's ``generateContent``, from both ends. Follows the vendor's reference."""

from typing import Any, Final

from tests.support.http_bytes import sse_event
from tests.support.outcome import json_arguments

from .neutral import Ask, Asked, Data, Failure, Json, Said, Trouble, Turn, halves, payloads

NAME: Final = "gemini"
MODEL: Final = "gemini-3.5-pro"
ORACLE: Final = "gemini"
HEADERS: Final[dict[str, str]] = {}
STREAM_TYPE: Final = "text/event-stream"
WORDS: Final = {"stop": "STOP", "tool": "STOP", "length": "MAX_TOKENS", "filter": "SAFETY"}
STOPPED: Final = "STOP"
TELLS_FAILURES: Final = True
TROUBLE: Final[dict[Failure, Trouble]] = {
    "bad request": Trouble(status=400, words=(400, "INVALID_ARGUMENT")),
    "bad key": Trouble(status=502, words=(502, "INTERNAL")),
    "rate limit": Trouble(status=429, words=(429, "RESOURCE_EXHAUSTED")),
    "overload": Trouble(status=503, words=(503, "UNAVAILABLE")),
    "failure": Trouble(status=502, words=(502, "INTERNAL")),
}


def path(model: str, *, stream: bool) -> tuple[str, str]:
    verb = "streamGenerateContent" if stream else "generateContent"
    return f"/v1beta/models/{model}:{verb}", "alt=sse" if stream else ""


# --- the question -----------------------------------------------------------------------------------------------------


def write(ask: Ask, model: str, *, stream: bool) -> Json:
    contents = [{"role": "user" if turn.role == "user" else "model", "parts": _parts(turn)} for turn in ask.turns]
    config: Json = {"maxOutputTokens": ask.max_tokens}
    body: Json = {"contents": contents, "generationConfig": config}
    if ask.system:
        body["systemInstruction"] = {"parts": [{"text": ask.system}]}
    if ask.tools:
        declared = [
            {"name": tool.name, "description": tool.description, "parametersJsonSchema": tool.schema}
            for tool in ask.tools
        ]
        body["tools"] = [{"functionDeclarations": declared}]
    if ask.schema is not None:
        config |= {"responseMimeType": "application/json", "responseJsonSchema": ask.schema}
    if ask.stop:
        config["stopSequences"] = list(ask.stop)
    if ask.effort:
        config["thinkingConfig"] = {"thinkingLevel": ask.effort.upper(), "includeThoughts": True}
    return body


def _parts(turn: Turn) -> list[Json]:
    parts: list[Json] = []
    for result in turn.results:
        value = {"error" if result.is_error else "output": result.text}
        told: Json = {"id": result.call.id, "name": result.call.name, "response": value}
        if result.image:
            told["parts"] = [{"inlineData": _blob(result.image)}]
        parts.append({"functionResponse": told})
    parts += [{"text": turn.text}] if turn.text else []
    parts += [{"inlineData": _blob(data)} for data in (turn.image, turn.document) if data]
    parts += [{"functionCall": {"id": call.id, "name": call.name, "args": call.arguments}} for call in turn.calls]
    return parts


def _blob(data: Data) -> Json:
    return {"mimeType": data[0], "data": data[1]}


def read(body: Json) -> Asked:
    config = body.get("generationConfig", {})
    system = body.get("systemInstruction", {"parts": []})["parts"]
    asked = Asked(system="".join(part["text"] for part in system), max_tokens=config.get("maxOutputTokens"))
    for content in body["contents"]:
        for part in content["parts"]:
            _read_part(asked, "assistant" if content["role"] == "model" else "user", part)
    for tool in body.get("tools", ()):
        for function in tool["functionDeclarations"]:
            asked.tools[function["name"]] = (function["description"], function["parametersJsonSchema"])
    asked.schema = config.get("responseJsonSchema")
    asked.stop = config.get("stopSequences", [])
    thinking = config.get("thinkingConfig", {})
    asked.effort = thinking.get("thinkingLevel", "").lower()
    asked.is_hidden = bool(asked.effort) and thinking.get("includeThoughts") is not True
    return asked


def _read_part(asked: Asked, role: str, part: Json) -> None:
    if signature := part.get("thoughtSignature"):
        asked.signatures.append(signature)
    match part:
        case {"text": text, "thought": True}:
            asked.thoughts.append(text)
        case {"text": text}:
            asked.said += [(role, text)] if text else []
        case {"inlineData": blob}:
            held = asked.images if blob["mimeType"].startswith("image/") else asked.documents
            held.append((blob["mimeType"], blob["data"]))
        case {"functionCall": call}:
            asked.calls.append((call["name"], json_arguments(call["args"])))
        case {"functionResponse": told}:
            (kind, text), *others = told["response"].items()
            assert not others, "a text is one field"
            asked.results.append((told["name"], text))
            asked.failed += [told["name"]] if kind == "error" else []
            for inner in told.get("parts", ()):
                _read_part(asked, role, inner)
        case unknown:
            raise AssertionError(f"a part with {sorted(unknown)}")


def go_on(body: Json, answer: Json, result: str) -> Json:
    content = answer["candidates"][0]["content"]
    call = next(part["functionCall"] for part in content["parts"] if "functionCall" in part)
    named = {name: call[name] for name in ("id", "name") if name in call}
    back = {"functionResponse": {**named, "response": {"output": result}}}
    return {**body, "contents": [*body["contents"], content, {"role": "user", "parts": [back]}]}


# --- the answer -------------------------------------------------------------------------------------------------------


def whole(said: Said) -> Json:
    return _answer(_said(said), WORDS[said.finish], said)


def _said(said: Said) -> list[Json]:
    parts: list[Json] = [{"text": said.reasoning, "thought": True}] if said.reasoning else []
    if text := said.text + said.refusal:
        parts.append({"text": text})
    parts += [{"functionCall": {"id": call.id, "name": call.name, "args": call.arguments}} for call in said.calls]
    if said.signature:
        last = next((part for part in parts if "functionCall" in part), parts[-1])
        last["thoughtSignature"] = said.signature
    return parts


def frames(said: Said) -> list[bytes]:
    pieces: list[Json] = []
    for part in _said(said):
        first, second = halves(part.get("text", ""))
        pieces += [{**part, "text": first}, {**part, "text": second}] if first else [part]
    chunks = [_answer([piece], None, said) for piece in pieces]
    return [sse_event(chunk) for chunk in (*chunks, _answer([{"text": ""}], WORDS[said.finish], said))]


def _answer(parts: list[Json], finish: str | None, said: Said) -> Json:
    candidate: Json = {"content": {"role": "model", "parts": parts}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    usage: Json = {
        "promptTokenCount": said.input_tokens,
        "candidatesTokenCount": said.output_tokens - said.reasoning_tokens,
        "totalTokenCount": said.input_tokens + said.output_tokens,
    }
    if said.cached_tokens:
        usage["cachedContentTokenCount"] = said.cached_tokens
    if said.reasoning_tokens:
        usage["thoughtsTokenCount"] = said.reasoning_tokens
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "up-1", "responseId": "r7"}


def gather(stream: bytes) -> Json:
    candidates = [candidate for chunk in payloads(stream) for candidate in chunk["candidates"]]
    parts = [part for candidate in candidates for part in candidate["content"]["parts"]]
    return {"candidates": [{**candidates[-1], "content": {"role": "model", "parts": parts}}]}


def finish_of(answer: Json) -> str:
    reason: str = answer["candidates"][0]["finishReason"]
    return reason


# --- what goes wrong --------------------------------------------------------------------------------------------------


def refuse(failure: Failure) -> tuple[int, Json]:
    status, word = {
        "bad request": (400, "INVALID_ARGUMENT"),
        "bad key": (401, "UNAUTHENTICATED"),
        "rate limit": (429, "RESOURCE_EXHAUSTED"),
        "overload": (503, "UNAVAILABLE"),
        "failure": (500, "INTERNAL"),
    }[failure]
    return status, {"error": {"code": status, "message": f"Told: {failure}.", "status": word}}


def fail() -> tuple[Json, bytes]:
    _, body = refuse("failure")
    return body, sse_event(body)


def trouble(status: int, body: Json) -> tuple[Trouble, str, str]:
    assert body.keys() == {"error"}
    error: dict[str, Any] = body["error"]
    named = [named for detail in error.get("details", ()) for named in detail.get("fieldViolations", ())]
    place = named[0]["field"] if named else ""
    return Trouble(status=status, words=(error["code"], error["status"])), error["message"], place


def is_broken(stream: bytes) -> bool:
    chunks = payloads(stream)
    ends = [candidate for chunk in chunks for candidate in chunk.get("candidates", ()) if "finishReason" in candidate]
    return not ends and chunks[-1].keys() == {"error"}
