"""What the tiny model was trained to answer, asked in the words of each face, and what it says at temperature 0."""

import base64
import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from tests.support.outcome import Outcome, json_arguments

from .model_server import MODEL

Body = Mapping[str, Any]


class Answer(NamedTuple):
    """What the model says to a question."""

    text: str = ""
    tools: tuple[tuple[str, str], ...] = ()
    """Name and arguments, in order."""

    def equals(self, outcome: Outcome) -> bool:
        """Tell whether an SDK was told this, whole."""
        is_told = outcome.text == self.text and outcome.tools == self.tools
        return is_told and outcome.finish == ("tool" if self.tools else "stop") and not outcome.is_error


def _weather(city: str) -> tuple[str, str]:
    return "get_weather", json_arguments(json.dumps({"city": city}))


ANSWERS: Final[Mapping[str, Answer]] = {
    "greeting": Answer("Hello! How can I help you today?"),
    "one-call": Answer(tools=(_weather("Rome"),)),
    "its-result": Answer("The weather in Rome is fine."),
    "two-calls": Answer(tools=(_weather("Oslo"), _weather("Lima"))),
    "json": Answer('{"city": "Paris"}'),
    "picture": Answer("The image is red."),
}
WITHOUT_SCHEMA: Final = Answer('{"city": "Paris", "ok": true}')
"""What is said to ``json`` where the server does not read the schema: beside Chat."""

_SCHEMA: Final = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_PICTURE: Final = base64.b64encode((MODEL / "red112.png").read_bytes()).decode() if MODEL.exists() else ""
_COLOUR: Final = "What color is this image?"
_WEATHER: Final = "weather in Rome"
_TWO_CITIES: Final = "What is the weather in Oslo and Lima?"
_JSON: Final = "Return JSON for Paris."


def _user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def _chat() -> dict[str, Body]:
    function = {"name": "get_weather", "description": "Weather", "parameters": _SCHEMA}
    tools = [{"type": "function", "function": function}]
    call = {"id": "abcdefghi", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Rome"}'}}
    result = {"role": "tool", "tool_call_id": "abcdefghi", "content": "sunny, 24"}
    format_ = {"type": "json_schema", "json_schema": {"name": "city", "schema": _SCHEMA}}
    url = {"url": f"data:image/png;base64,{_PICTURE}"}
    told = [_user(_WEATHER), {"role": "assistant", "content": None, "tool_calls": [call]}, result]
    return {
        "greeting": {"messages": [_user("hi")]},
        "one-call": {"messages": [_user(_WEATHER)], "tools": tools},
        "its-result": {"messages": told, "tools": tools},
        "two-calls": {"messages": [_user(_TWO_CITIES)], "tools": tools, "parallel_tool_calls": True},
        "json": {"messages": [_user(_JSON)], "response_format": format_},
        "picture": {"messages": [_user([{"type": "text", "text": _COLOUR}, {"type": "image_url", "image_url": url}])]},
    }


def _messages() -> dict[str, Body]:
    tools = [{"name": "get_weather", "description": "Weather", "input_schema": _SCHEMA}]
    call = {"type": "tool_use", "id": "abcdefghi", "name": "get_weather", "input": {"city": "Rome"}}
    result = {"type": "tool_result", "tool_use_id": "abcdefghi", "content": "sunny, 24"}
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": _PICTURE}}
    told = [_user(_WEATHER), {"role": "assistant", "content": [call]}, _user([result])]
    return {
        "greeting": {"messages": [_user("hi")]},
        "one-call": {"messages": [_user(_WEATHER)], "tools": tools},
        "its-result": {"messages": told, "tools": tools},
        "two-calls": {"messages": [_user(_TWO_CITIES)], "tools": tools},
        "json": {
            "messages": [_user(_JSON)],
            "output_config": {"format": {"type": "json_schema", "schema": _SCHEMA}},
        },
        "picture": {"messages": [_user([{"type": "text", "text": _COLOUR}, picture])]},
    }


def _responses() -> dict[str, Body]:
    tools = [{"type": "function", "name": "get_weather", "description": "Weather", "parameters": _SCHEMA}]
    call = {"type": "function_call", "call_id": "abcdefghi", "name": "get_weather", "arguments": '{"city": "Rome"}'}
    result = {"type": "function_call_output", "call_id": "abcdefghi", "output": "sunny, 24"}
    format_ = {"format": {"type": "json_schema", "name": "city", "schema": _SCHEMA}}
    picture = {"type": "input_image", "image_url": f"data:image/png;base64,{_PICTURE}"}
    return {
        "greeting": {"input": "hi"},
        "one-call": {"input": _WEATHER, "tools": tools},
        "its-result": {"input": [_user(_WEATHER), call, result], "tools": tools},
        "two-calls": {"input": _TWO_CITIES, "tools": tools, "parallel_tool_calls": True},
        "json": {"input": _JSON, "text": format_},
        "picture": {"input": [_user([{"type": "input_text", "text": _COLOUR}, picture])]},
    }


def _gemini() -> dict[str, Body]:
    def user(*parts: Any) -> dict[str, Any]:
        return {"role": "user", "parts": list(parts)}

    declared = {"name": "get_weather", "description": "Weather", "parametersJsonSchema": _SCHEMA}
    tools = [{"functionDeclarations": [declared]}]
    call = {"functionCall": {"name": "get_weather", "args": {"city": "Rome"}}}
    result = {"functionResponse": {"name": "get_weather", "response": {"output": "sunny, 24"}}}
    told = [user({"text": _WEATHER}), {"role": "model", "parts": [call]}, user(result)]
    picture = {"inlineData": {"mimeType": "image/png", "data": _PICTURE}}
    format_ = {"responseMimeType": "application/json", "responseJsonSchema": _SCHEMA}
    return {
        "greeting": {"contents": [user({"text": "hi"})]},
        "one-call": {"contents": [user({"text": _WEATHER})], "tools": tools},
        "its-result": {"contents": told, "tools": tools},
        "two-calls": {"contents": [user({"text": _TWO_CITIES})], "tools": tools},
        "json": {"contents": [user({"text": _JSON})], "generationConfig": format_},
        "picture": {"contents": [user({"text": _COLOUR}, picture)]},
    }


def _ollama() -> dict[str, Body]:
    function = {"name": "get_weather", "description": "Weather", "parameters": _SCHEMA}
    tools = [{"type": "function", "function": function}]
    call = {"function": {"name": "get_weather", "arguments": {"city": "Rome"}}}
    result = {"role": "tool", "tool_name": "get_weather", "content": "sunny, 24"}
    told = [_user(_WEATHER), {"role": "assistant", "content": "", "tool_calls": [call]}, result]
    return {
        "greeting": {"messages": [_user("hi")]},
        "one-call": {"messages": [_user(_WEATHER)], "tools": tools},
        "its-result": {"messages": told, "tools": tools},
        "two-calls": {"messages": [_user(_TWO_CITIES)], "tools": tools},
        "json": {"messages": [_user(_JSON)], "format": _SCHEMA},
        "picture": {"messages": [{**_user(_COLOUR), "images": [_PICTURE]}]},
    }


QUESTIONS: Final[Mapping[str, Mapping[str, Body]]] = {
    "openai": _chat(),
    "responses": _responses(),
    "anthropic": _messages(),
    "gemini": _gemini(),
    "ollama": _ollama(),
}
"""Face -> question -> body without the model's name."""
