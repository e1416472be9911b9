"""protocol-others 2.3: who may speak when at Mistral, and how pictures of tools find their calls."""

from typing import Any

import pytest

from .asking import Asked, ask, chat_answer

pytestmark = pytest.mark.anyio

DATA = "iVBORw0KGgo="
PICTURE = {"type": "input_image", "image_url": f"data:image/png;base64,{DATA}"}
FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}


async def mistral(face: str, body: dict[str, Any], profile: str = "mistral") -> Asked:
    return await ask(face, "chat", body, chat_answer(), model="mistral-small-2503", profile=profile)


def say(role: str, content: str, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


def call(id_: str, **more: Any) -> dict[str, Any]:
    function = {"name": "f", "arguments": "{}"}
    return {"role": "assistant", "tool_calls": [{"id": id_, "type": "function", "function": function}], **more}


RESULT = say("tool", "r", tool_call_id="abcDEF123")

TALKS: dict[str, tuple[list[dict[str, Any]], list[tuple[str, str]], dict[str, str]]] = {
    "assistants": (
        [say("user", "a"), say("assistant", "b"), say("assistant", "c"), say("user", "d")],
        [("user", "a"), ("assistant", "b\n\nc"), ("user", "d")],
        {"messages[2]": "changed"},
    ),
    "three-assistants": (
        [say("user", "a"), *[say("assistant", word) for word in "bcd"], say("user", "e")],
        [("user", "a"), ("assistant", "b\n\nc\n\nd"), ("user", "e")],
        {"messages[2]": "changed", "messages[3]": "changed"},
    ),
    "users": (
        [say("user", "a"), say("user", "b"), say("assistant", "c"), say("user", "d")],
        [("user", "a\n\nb"), ("assistant", "c"), ("user", "d")],
        {"messages[1]": "changed"},
    ),
    "system-last": (
        [say("user", "a"), say("assistant", "b"), say("system", "s")],
        [("user", "a"), ("assistant", "b"), ("user", "<system>\ns\n</system>")],
        {"messages[2]": "changed"},
    ),
    "system-behind-a-user": (
        [say("system", "s"), say("user", "a"), say("system", "t")],
        [("system", "s"), ("user", "a\n\n<system>\nt\n</system>")],
        {"messages[2]": "changed"},
    ),
    "only-system": (
        [say("system", "s")],
        [("user", "<system>\ns\n</system>")],
        {"messages[0]": "changed"},
    ),
    "system-first": ([say("system", "s"), say("user", "a")], [("system", "s"), ("user", "a")], {}),
    "silent-assistants": (
        [
            say("user", "a"),
            say("assistant", ""),
            say("user", "b"),
            say("assistant", "c"),
            say("assistant", ""),
            say("user", "d"),
        ],
        [("user", "a\n\nb"), ("assistant", "c"), ("user", "d")],
        {"messages[1]": "hint", "messages[2]": "changed", "messages[4]": "hint"},
    ),
    "silent-assistant-last": (
        [say("user", "a"), say("assistant", "")],
        [("user", "a"), ("assistant", "")],
        {},
    ),
    "in-turns": (
        [say("user", "a"), say("assistant", "b"), say("user", "c")],
        [("user", "a"), ("assistant", "b"), ("user", "c")],
        {},
    ),
}


@pytest.mark.parametrize("name", TALKS)
async def test_turns_are_as_mistral_wants_them_and_what_moved_is_told(name: str) -> None:
    messages, wanted, told = TALKS[name]
    asked = await mistral("chat", {"messages": messages})
    assert [(message["role"], message["content"]) for message in asked.sent["messages"]] == wanted
    assert asked.notices == told


async def test_assistant_that_goes_on_with_calls_is_one_message() -> None:
    turns = [say("user", "go"), say("assistant", "a"), call("abcDEF123", content="b"), RESULT]
    asked = await mistral("chat", {"messages": turns, "tools": [FUNCTION]})
    _, spoken, _ = asked.sent["messages"]
    assert spoken["content"] == "a\n\nb"
    assert [made["id"] for made in spoken["tool_calls"]] == ["abcDEF123"]


async def test_system_behind_a_tool_is_introduced_as_a_user() -> None:
    turns = [say("user", "go"), call("abcDEF123"), RESULT, say("system", "now")]
    asked = await mistral("chat", {"messages": turns, "tools": [FUNCTION]})
    assert [message["role"] for message in asked.sent["messages"]] == ["user", "assistant", "tool", "assistant", "user"]


async def test_where_any_order_is_taken_the_messages_stay() -> None:
    turns = [say("user", "a"), say("assistant", "b"), say("assistant", "c"), say("system", "s")]
    asked = await mistral("chat", {"messages": turns}, profile="lenient")
    assert asked.sent["messages"] == turns


async def test_others_C15_caption_names_the_id_that_is_sent_and_the_result_is_not_empty() -> None:
    """Of two calls of the same turn, a model could not tell whose picture it is shown."""
    calls = [{"type": "function_call", "call_id": id_, "name": "f", "arguments": "{}"} for id_ in ("c1", "c2")]
    outputs = [{"type": "function_call_output", "call_id": "c1", "output": [PICTURE]},
               {"type": "function_call_output", "call_id": "c2", "output": "2"}]  # fmt: skip
    turns = [{"role": "user", "content": "go"}, *calls, *outputs, {"role": "user", "content": "and?"}]
    _, spoken, first, second, _, shown = (await mistral("responses", {"input": turns})).sent["messages"]
    ids = [made["id"] for made in spoken["tool_calls"]]
    assert [first["tool_call_id"], second["tool_call_id"]] == ids
    assert shown["content"][0]["text"] == f"From the result of the tool call {ids[0]}:"
    assert first["content"] == "(shown in the user's next message)"
    assert second["content"] == "2"
