"""What vendors who resemble OpenAI do otherwise, each of it seen in recorded traffic."""

import json
from typing import Any

import msgspec
import pytest

from asgi_ds2api.canonical import Notices, ToolCall, VendorTool
from asgi_ds2api.codec import HTTPCall
from asgi_ds2api.errors import MalformedRequest, Unsupported
from asgi_ds2api.fold import fold
from asgi_ds2api.profiles import PROFILES
from asgi_ds2api.protocols import anthropic_messages, openai_chat
from tests.support.http_bytes import sse_body

LENIENT = PROFILES["lenient"]
SEARCH = {"type": "openrouter:web_search", "parameters": {"max_uses": 1}}
TOOL = {"function": {"name": "f"}}


def decoded(**fields: Any) -> Any:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **fields}
    return openai_chat.decode_request(HTTPCall(method="POST", path="/", body=json.dumps(body).encode()))


def sent(request: Any, notices: Notices | None = None) -> Any:
    return json.loads(openai_chat.encode_request(request, LENIENT, Notices() if notices is None else notices).body)


def test_tool_of_the_vendors_goes_as_it_came() -> None:
    request = decoded(tools=[SEARCH, SEARCH])
    assert [type(tool) for tool in request.tools] == [VendorTool, VendorTool]
    assert sent(request)["tools"] == [SEARCH, SEARCH]


def test_tool_of_the_vendors_is_refused_elsewhere() -> None:
    with pytest.raises(Unsupported) as caught:
        anthropic_messages.encode_request(decoded(tools=[SEARCH]), PROFILES["anthropic"], Notices())
    assert caught.value.param == "tools[0].type"


def test_tool_and_its_choice_are_functions_where_they_do_not_say() -> None:
    assert sent(decoded(tools=[TOOL], tool_choice=TOOL))["tool_choice"] == {"type": "function", **TOOL}


def test_free_choice_among_no_tools_says_nothing() -> None:
    notices = Notices()
    assert "tool_choice" not in sent(decoded(tool_choice="auto"), notices)
    assert [(notice.path, notice.severity) for notice in notices] == [("tool_choice", "hint")]


def test_call_cannot_be_required_where_there_are_no_tools() -> None:
    with pytest.raises(MalformedRequest) as caught:
        decoded(tool_choice="required")
    assert caught.value.param == "tool_choice"


def chunk(delta: Any, finish: str | None = None) -> dict[str, Any]:
    return {"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def call(index: int, arguments: str) -> dict[str, Any]:
    function = {"name": f"f{index}", "arguments": arguments}
    return {"tool_calls": [{"index": index, "id": f"call_{index}", "function": function}]}


def read(*chunks: Any) -> Any:
    decoder = openai_chat.StreamDecoder(LENIENT, 10_000)
    events = decoder.feed(sse_body([*chunks, "[DONE]"]))
    assert decoder.failure is None
    return events


def test_call_behind_a_finish_reason_is_a_call_F68() -> None:
    """Together gives a reason behind each of several calls."""
    (choice,) = fold(read(chunk(call(0, "{}"), "tool_calls"), chunk(call(1, '{"a":1}'), "tool_calls"))).choices
    calls = [block for block in choice.blocks if isinstance(block, ToolCall)]
    assert [(found.name, found.arguments) for found in calls] == [("f0", "{}"), ("f1", '{"a":1}')]


def test_text_behind_a_finish_reason_is_dropped_and_counted_F68() -> None:
    events = read(
        chunk({"content": "Hi"}, "stop"), chunk({"role": "assistant", "content": ""}), chunk({"content": "!"})
    )
    (block,) = fold(events).choices[0].blocks
    assert msgspec.to_builtins(block)["text"] == "Hi"
    assert [event.path for event in events if type(event).__name__ == "Notice"] == ["stream"]


@pytest.mark.parametrize("field", ["prompt_cache_hit_tokens", "num_cached_tokens", "cached_tokens"])
def test_cached_tokens_are_found_where_the_vendor_tells_them(field: str) -> None:
    message = {"role": "assistant", "content": "Hi"}
    body = {"choices": [{"message": message, "finish_reason": "stop"}], "usage": {"prompt_tokens": 9, field: 4}}
    response = openai_chat.decode_response(json.dumps(body).encode(), LENIENT)
    assert response.usage is not None
    assert response.usage.cache_read == 4
