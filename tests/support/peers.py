"""Shorthand for the tests of what users of gateways suffer from: a mark that names a row, and pieces of talks."""

from typing import Any

import pytest

from tests.conformance.asking import HELLO, chunk

CLASSIC = "claude-sonnet-4-5"
MODERN = "claude-opus-5-5"
CHAT_TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
TOOL = {"name": "f", "input_schema": {"type": "object"}}
PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
PDF = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="}}


def proves(row: str) -> pytest.MarkDecorator:
    """Put the id of a row into the id of a test, which uses the fixture ``pain``."""
    return pytest.mark.parametrize("pain", [row], indirect=True)


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(content)}


def assistant(*content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(content)}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def use(id_: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": id_, "name": "f", "input": arguments}


def result(id_: str, content: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id_, "content": content}


def call(id_: str, arguments: str = "{}") -> dict[str, Any]:
    return {"id": id_, "type": "function", "function": {"name": "f", "arguments": arguments}}


def fragment(index: int, arguments: str, **head: Any) -> dict[str, Any]:
    named = {"name": "f"} if head else {}
    return chunk({"tool_calls": [{"index": index, **head, "function": {**named, "arguments": arguments}}]})


def chat_turns(*calls: Any) -> list[dict[str, Any]]:
    results = [{"role": "tool", "tool_call_id": made["id"], "content": "r"} for made in calls]
    return [*HELLO, {"role": "assistant", "content": None, "tool_calls": list(calls)}, *results]
