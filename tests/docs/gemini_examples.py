"""What stands for each row of the table of ``docs/protocols/gemini.md``: a request."""

from collections.abc import Mapping, Sequence
from typing import Any

from .asked import Example

Examples = Mapping[str, Sequence[Example]]

PNG, PDF = "iVBORw0KGgo=", "JVBERi0="
_OPEN = {"type": "object", "properties": {"a": {"type": "string"}}}
_CLOSED = {**_OPEN, "required": ["a"], "additionalProperties": False}


def _said(*parts: Any, profile: Any = None) -> Example:
    """Return a request in which a user says these parts."""
    return Example({"contents": [{"role": "user", "parts": parts}]}, profile=profile)


def _turns(*turns: tuple[str, dict[str, Any]]) -> Example:
    return Example({"contents": [{"role": role, "parts": [part]} for role, part in turns]})


def _field(name: str, *values: Any) -> list[Example]:
    return [Example({name: value}) for value in values]


def _settings(profile: Any = None, **settings: Any) -> Example:
    return Example({"generationConfig": settings}, profile=profile)


def _tools(mode: str | None = None, **config: Any) -> Example:
    choice = {} if mode is None else {"toolConfig": {"functionCallingConfig": {"mode": mode, **config}}}
    declared = [{"name": name, "parametersJsonSchema": _CLOSED} for name in ("f", "g")]
    return Example({"tools": [{"functionDeclarations": declared}], **choice})


def _inline(kind: str, data: str) -> dict[str, Any]:
    return {"inlineData": {"mimeType": kind, "data": data}}


def _at(kind: str, address: str) -> dict[str, Any]:
    return {"fileData": {"mimeType": kind, "fileUri": address}}


_QUESTION = ("user", {"text": "x"})
_CALL = {"functionCall": {"name": "f", "args": {}}}
_SIGNED = {**_CALL, "thoughtSignature": "c2lnbmVk"}


def _result(response: Any) -> tuple[str, dict[str, Any]]:
    return "user", {"functionResponse": {"name": "f", "response": response}}


REQUEST: Examples = {
    "systemInstruction": _field("systemInstruction", {"parts": [{"text": "x"}]}, "x"),
    "contents": [
        *_field("contents", {"parts": [{"text": "x"}]}, [{"parts": [{"text": "x"}]}], [{"parts": {"text": "x"}}]),
        _turns(("model", {"text": "x"}), _QUESTION),
    ],
    "text, inlineData": [
        _said({"text": "x"}, _inline("image/png", PNG), _inline("application/pdf", PDF), _inline("audio/wav", PNG)),
        _said(_inline("video/mp4", PNG)),
    ],
    "fileData": [
        _said(_at("image/png", "https://example.org/a.png")),
        _said(_at("application/pdf", "https://example.org/a.pdf")),
        _said(_at("video/mp4", "https://example.org/a.mp4")),
    ],
    "functionCall, functionResponse": [
        _turns(_QUESTION, ("model", _CALL), _result({"output": "1"})),
        _turns(_QUESTION, ("model", _CALL), _result({"error": "x"})),
    ],
    "functionCall without a result": [_turns(_QUESTION, ("model", _CALL), _QUESTION)],
    "thoughtSignature": [_turns(_QUESTION, ("model", _SIGNED), _result({"output": "1"}))],
    "executableCode, codeExecutionResult": [
        _turns(_QUESTION, ("model", {"executableCode": {"language": "PYTHON", "code": "1"}}), _QUESTION)
    ],
    "toolCall, toolResponse, any other part or field of a part": [
        _said({"text": "x"}, {"toolCall": {"toolType": "GOOGLE_SEARCH_WEB", "id": "t"}}),
        _said({"text": "x"}, {"newPart": 1}),
        _said({"text": "x", "videoMetadata": {"fps": 1}}),
    ],
    "functionDeclarations": [_tools(), *_field("tools", [{"functionDeclarations": [{"name": "f"}]}])],
    "other tools": _field("tools", [{"googleSearch": {}}], [{"codeExecution": {}}]),
    "toolConfig": [
        *map(_tools, ("AUTO", "NONE", "ANY", "VALIDATED")),
        _tools("ANY", allowedFunctionNames=["f"]),
        _tools("ANY", allowedFunctionNames=["f", "g"]),
    ],
    "temperature, topP, seed, maxOutputTokens, frequencyPenalty, presencePenalty": [
        _settings(temperature=1, topP=0.5, seed=1, maxOutputTokens=9, frequencyPenalty=1, presencePenalty=1)
    ],
    "topK": [_settings(topK=3), _settings("lenient", topK=3)],
    "stopSequences": [_settings(stopSequences=["a"]), _settings(stopSequences=list("abcde"))],
    "candidateCount, responseLogprobs, logprobs": [
        _settings(candidateCount=2),
        _settings(responseLogprobs=True, logprobs=2),
    ],
    "responseMimeType, responseSchema, responseJsonSchema": [
        _settings(responseMimeType="application/json"),
        _settings(responseMimeType="application/json", responseJsonSchema=_CLOSED),
        _settings(responseMimeType="application/json", responseJsonSchema=_OPEN),
        _settings(responseMimeType="application/json", responseJsonSchema={"type": "array", "items": _CLOSED}),
    ],
    "responseMimeType: text/x.enum": [
        _settings(responseMimeType="text/x.enum", responseSchema={"type": "STRING", "enum": ["a", "b"]}),
    ],
    "thinkingConfig": [
        _settings(thinkingConfig={"thinkingLevel": "LOW"}),
        _settings(thinkingConfig={"thinkingBudget": 1_000}),
        _settings(thinkingConfig={"includeThoughts": True}),
    ],
    "cachedContent, continuationToken, responseFormat, modalities other than text": [
        *_field("cachedContent", "cachedContents/c"),
        *_field("continuationToken", "t"),
        _settings(responseFormat={"text": {}}),
        _settings(responseModalities=["AUDIO"]),
    ],
    "safetySettings, speechConfig, imageConfig, mediaResolution, any other field": [
        *_field("safetySettings", [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]),
        _settings(speechConfig={"languageCode": "de"}),
        *_field("newField", 1),
    ],
    "labels, serviceTier, store": [
        *_field("labels", {"a": "b"}),
        *_field("serviceTier", "flex"),
        *_field("store", False),
    ],
}
