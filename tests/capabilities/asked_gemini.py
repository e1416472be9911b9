"""A request for each row of the table of Gemini's face."""

from typing import Any

from .sample import CLOSED, MP4, OBJECT, PDF, PNG, TEXT, WAV, Sample, Samples

_FUNCTION = {"name": "f", "parametersJsonSchema": OBJECT}
_OTHER = {"name": "g", "parametersJsonSchema": OBJECT}
_CONTENTS = [{"role": "user", "parts": [{"text": "Hi"}]}]


def _turn(role: str, *parts: Any, **fields: Any) -> dict[str, Any]:
    return {"role": role, "parts": list(parts) or [{"text": "x"}], **fields}


def _talk(*turns: dict[str, Any], **fields: Any) -> Sample:
    return Sample({"contents": turns, **fields})


def _part(**fields: Any) -> Sample:
    return _talk(_turn("user", {"text": "x"}, fields))


def _said(**fields: Any) -> Sample:
    return _talk(_turn("user"), _turn("model", fields, {"text": "y"}), _turn("user"))


def _inline(media_type: str, data: str, **fields: Any) -> Sample:
    return _part(inlineData={"mimeType": media_type, "data": data, **fields})


def _call(**fields: Any) -> dict[str, Any]:
    return {"functionCall": {"id": "call_1", "name": "f", "args": {"a": "b"}}, **fields}


def _result(response: Any = None, **fields: Any) -> dict[str, Any]:
    return {"functionResponse": {"id": "call_1", "name": "f", "response": response or {"output": "r"}, **fields}}


def _loop(call: dict[str, Any], *results: dict[str, Any]) -> Sample:
    return _talk(
        _turn("user"), _turn("model", call), _turn("user", *results), tools=[{"functionDeclarations": [_FUNCTION]}]
    )


def _functions(*functions: dict[str, Any], **calling: Any) -> Sample:
    config = {"toolConfig": {"functionCallingConfig": calling}} if calling else {}
    return Sample({"tools": [{"functionDeclarations": list(functions)}], **config})


def _set(**config: Any) -> Sample:
    return Sample({"generationConfig": config})


def _asking_for_nothing(**config: Any) -> Sample:
    return Sample({"generationConfig": config}, is_silent=True)


def _think(**thinking: Any) -> Sample:
    return _set(thinkingConfig=thinking, maxOutputTokens=40_000)


_CONTENTS_SAMPLES: Samples = {
    ("systemInstruction", "system"): Sample({"systemInstruction": {"parts": [{"text": "S"}]}}),
    ("contents[].role", "assistant.first"): _talk(_turn("model"), _turn("user")),
    ("contents[].role", "assistant.last"): _talk(_turn("user"), _turn("model")),
    ("contents[].parts[].text", "text"): _part(text="hello"),
    ("contents[].parts[].text", "text.blank"): _talk(
        _turn("user", {"text": " "}, {"inlineData": {"mimeType": "image/png", "data": PNG}})
    ),
    ("contents[].parts[].inlineData", "image.base64"): _inline("image/png", PNG),
    ("contents[].parts[].inlineData", "document.base64"): _inline("application/pdf", PDF),
    ("contents[].parts[].inlineData", "document.plain"): _inline("text/plain", TEXT),
    ("contents[].parts[].inlineData", "audio.base64"): _inline("audio/wav", WAV),
    ("contents[].parts[].inlineData", "video.base64"): _inline("video/mp4", MP4),
    ("contents[].parts[].inlineData.displayName", "document.base64"): _inline(
        "application/pdf", PDF, displayName="a.pdf"
    ),
    ("contents[].parts[].fileData", "image.url"): _part(
        fileData={"mimeType": "image/png", "fileUri": "https://example.com/a.png"}
    ),
    ("contents[].parts[].fileData", "document.url"): _part(
        fileData={"mimeType": "application/pdf", "fileUri": "https://example.com/a.pdf"}
    ),
    ("contents[].parts[].fileData", "video.url"): _part(fileData={"fileUri": "https://www.youtube.com/watch?v=x"}),
    ("contents[].parts[].fileData", "document.file"): _part(
        fileData={"mimeType": "application/pdf", "fileUri": "gs://bucket/a.pdf"}
    ),
    ("contents[].parts[].functionCall", "call"): _loop(_call(), _result()),
    ("contents[].parts[].functionResponse", "result"): _loop(_call(), _result()),
    ("contents[].parts[].functionResponse", "result.missing"): _talk(
        _turn("user"), _turn("model", _call()), _turn("user"), tools=[{"functionDeclarations": [_FUNCTION]}]
    ),
    ("contents[].parts[].functionResponse.response", "result.error"): _loop(_call(), _result({"error": "e"})),
    ("contents[].parts[].functionResponse.parts", "result.image"): _loop(
        _call(), _result(parts=[{"inlineData": {"mimeType": "image/png", "data": PNG}}])
    ),
    ("contents[].parts[].thought", "reasoning"): _said(text="t", thought=True),
    ("contents[].parts[].thoughtSignature", "reasoning.signed"): _said(text="t", thought=True, thoughtSignature="c2ln"),
    ("contents[].parts[].executableCode, codeExecutionResult", "vendor.text"): _said(
        executableCode={"language": "PYTHON", "code": "1"}
    ),
    ("contents[].parts[].toolCall, toolResponse, any other part", "vendor.other"): _said(
        toolCall={"toolType": "GOOGLE_SEARCH_WEB", "args": {}}
    ),
    ("contents[].parts[].mediaResolution, videoMetadata, any other field", "own"): _part(text="a", x_new=1),
}

_HOSTED = (
    "codeExecution", "urlContext", "fileSearch", "googleMaps", "googleSearchRetrieval", "retrieval", "mcpServers",
    "enterpriseWebSearch", "parallelAiSearch", "exaAiSearch",
)  # fmt: skip
_TOOLS: Samples = {
    ("tools[].functionDeclarations[]", "tool"): _functions(
        {"name": "f", "description": "d", "parametersJsonSchema": OBJECT}
    ),
    ("tools[].functionDeclarations[].name", "tool.name"): _functions({"name": "f" * 100}),
    ("tools[].functionDeclarations[].parameters", "tool"): _functions({"name": "f", "parameters": {"type": "OBJECT"}}),
    ("tools[].functionDeclarations[]: any other field", "own"): _functions({**_FUNCTION, "x_new": 1}),
    ("tools[].googleSearch", "web_search.gemini"): Sample({"tools": [{"googleSearch": {}}]}),
    ("tools[].computerUse", "tool.computer"): Sample(
        {"tools": [{"computerUse": {"environment": "ENVIRONMENT_BROWSER"}}]}
    ),
    **{(f"tools[].{kind}", "tool.vendor"): Sample({"tools": [{kind: {}}]}) for kind in _HOSTED},
    ("tools[]: any other tool", "tool.vendor"): Sample({"tools": [{"xNew": {}}]}),
    ("toolConfig.functionCallingConfig.mode", "choice.auto"): _functions(_FUNCTION, mode="AUTO"),
    ("toolConfig.functionCallingConfig.mode", "choice.none"): _functions(_FUNCTION, mode="NONE"),
    ("toolConfig.functionCallingConfig.mode", "choice.required"): _functions(_FUNCTION, mode="ANY"),
    ("toolConfig.functionCallingConfig.mode", "choice.validated"): _functions(_FUNCTION, mode="VALIDATED"),
    ("toolConfig.functionCallingConfig.allowedFunctionNames", "choice.named"): _functions(
        _FUNCTION, mode="ANY", allowedFunctionNames=["f"]
    ),
    ("toolConfig.functionCallingConfig.allowedFunctionNames", "choice.allowed"): _functions(
        _FUNCTION, _OTHER, {"name": "h"}, mode="ANY", allowedFunctionNames=["f", "g"]
    ),
    ("toolConfig: any other field", "own"): Sample({"toolConfig": {"retrievalConfig": {"languageCode": "en"}}}),
}

_SETTINGS: Samples = {
    ("generationConfig.maxOutputTokens", "limit"): _set(maxOutputTokens=50),
    ("generationConfig.temperature", "temperature"): _set(temperature=0.5),
    ("generationConfig.topP", "top_p"): _set(topP=0.5),
    ("generationConfig.topK", "top_k"): _set(topK=3),
    ("generationConfig.seed", "seed"): _set(seed=1),
    ("generationConfig.frequencyPenalty", "frequency_penalty"): _set(frequencyPenalty=0.5),
    ("generationConfig.presencePenalty", "presence_penalty"): _set(presencePenalty=0.5),
    ("generationConfig.responseLogprobs", "logprobs"): _set(responseLogprobs=True),
    ("generationConfig.logprobs", "top_logprobs"): _set(responseLogprobs=True, logprobs=2),
    ("generationConfig.stopSequences", "stop"): _set(stopSequences=["END"]),
    ("generationConfig.stopSequences", "stop.many"): _set(stopSequences=list("abcdefg")),
    ("generationConfig.candidateCount", "answers.one"): _asking_for_nothing(candidateCount=1),
    ("generationConfig.candidateCount", "answers.many"): _set(candidateCount=2),
    ("generationConfig.responseMimeType", "format.text"): _asking_for_nothing(responseMimeType="text/plain"),
    ("generationConfig.responseMimeType", "format.object"): _set(responseMimeType="application/json"),
    ("generationConfig.responseSchema", "format.word"): _set(
        responseMimeType="text/x.enum", responseSchema={"type": "STRING", "enum": ["a", "b"]}
    ),
    ("generationConfig.responseSchema", "format.schema"): _set(
        responseMimeType="application/json", responseSchema={"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}
    ),
    ("generationConfig.responseJsonSchema", "format.schema"): _set(
        responseMimeType="application/json", responseJsonSchema=CLOSED
    ),
    ("generationConfig.responseFormat", "own.required"): _set(responseFormat={"a": 1}),
    ("generationConfig.responseModalities", "modalities.text"): _asking_for_nothing(responseModalities=["TEXT"]),
    ("generationConfig.responseModalities", "own.required"): _set(responseModalities=["AUDIO"]),
    ("generationConfig.thinkingConfig.thinkingLevel", "effort"): _think(thinkingLevel="HIGH"),
    ("generationConfig.thinkingConfig.thinkingBudget", "budget"): _think(thinkingBudget=2_000),
    ("generationConfig.thinkingConfig.thinkingBudget", "effort.none"): Sample(
        {"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}}, is_silent=True
    ),
    ("generationConfig.thinkingConfig.includeThoughts", "display"): _think(includeThoughts=True),
    ("generationConfig.speechConfig", "own"): _set(speechConfig={"languageCode": "en"}),
    ("generationConfig.imageConfig", "own"): _set(imageConfig={"aspectRatio": "1:1"}),
    ("generationConfig.mediaResolution", "own"): _set(mediaResolution="MEDIA_RESOLUTION_LOW"),
    ("generationConfig.routingConfig", "own"): _set(routingConfig={"a": 1}),
    ("generationConfig.modelConfig", "own"): _set(modelConfig={"a": 1}),
    ("generationConfig.audioTimestamp", "own"): _set(audioTimestamp=True),
    ("generationConfig.enableEnhancedCivicAnswers", "own"): _set(enableEnhancedCivicAnswers=True),
    ("generationConfig: any other field", "own"): _set(xNew=1),
    ("safetySettings", "own"): Sample({"safetySettings": [{"category": "C", "threshold": "OFF"}]}),
    ("cachedContent", "own.required"): Sample({"cachedContent": "cachedContents/1"}),
    ("continuationToken", "own.required"): Sample({"continuationToken": "t"}),
    ("modelArmorConfig", "own"): Sample({"modelArmorConfig": {"a": "b"}}),
    ("labels", "metadata"): Sample({"labels": {"team": "a"}}),
    ("serviceTier", "tier"): Sample({"serviceTier": "STANDARD"}),
    ("serviceTier", "tier.other"): Sample({"serviceTier": "flex"}),
    ("store", "store"): Sample({"store": True}),
    ("any other field", "own"): Sample({"xNew": 1}),
}

SAMPLES: Samples = {**_CONTENTS_SAMPLES, **_TOOLS, **_SETTINGS}
