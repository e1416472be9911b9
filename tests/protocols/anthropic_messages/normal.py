"""The written-down losses of a round trip through this codec, in JSON: what ``request`` and ``response`` say."""

from collections.abc import Mapping
from typing import Any

EMPTY: tuple[object, ...] = (None, [], {}, "")


def normal_request(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request's body without what is lost when it is decoded and encoded for the same protocol."""
    fields = {name: value for name, value in body.items() if value not in EMPTY}
    if fields.get("stream") is False:
        del fields["stream"]
    if (old := fields.pop("output_format", None)) is not None:
        fields["output_config"] = {**fields.get("output_config", {}), "format": old}
    fields["messages"] = [
        {**without_nulls(message), "content": normal_content(message["content"])} for message in body["messages"]
    ]
    if "system" in fields:
        fields["system"] = normal_content(fields["system"])
    if "tools" in fields:
        fields["tools"] = [
            {name: value for name, value in without_nulls(tool).items() if (name, value) != ("type", "custom")}
            for tool in fields["tools"]
        ]
    return {
        name: without_nulls(value) if isinstance(value, dict) else value
        for name, value in fields.items()
        if value not in EMPTY
    }


def normal_response(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer's body without what is lost when it is decoded and encoded for the same protocol."""
    fields = without_nulls(body)
    blocks = [_normal_block(block) for block in body["content"]]
    fields["content"] = [block for block in blocks if block != {"type": "text", "text": ""}]
    fields["usage"] = without_nulls(body["usage"])
    return fields


def normal_content(content: Any) -> Any:
    """Return a content as text where it is nothing else."""
    if isinstance(content, str):
        return content
    blocks = [_normal_block(block) for block in content]
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        return blocks[0]["text"]
    return blocks


def without_nulls(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object without the fields that say nothing."""
    return {name: value for name, value in fields.items() if value is not None}


def _normal_block(block: Mapping[str, Any]) -> dict[str, Any]:
    fields = without_nulls(block)
    if fields.get("citations") == []:
        del fields["citations"]
    if fields.get("type") == "tool_result":
        if fields.get("content") in EMPTY:
            fields.pop("content", None)
        else:
            fields["content"] = normal_content(fields["content"])
    return fields
