"""protocol-openai B3, B5, B14.5: tools of the Responses protocol that the caller runs, called by everybody's models.

The tool goes out as a function, what was called before as calls and results; a call of it comes back as the item that
the caller's own code expects, whole and streamed.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.scripted_client import Script

from .asking import (
    Asked,
    ask,
    chat_answer,
    chat_stream,
    chunk,
    claude_answer,
    claude_events,
    claude_stream,
    gemini_answer,
    gemini_chunk,
    gemini_stream,
    ollama_answer,
    ollama_end,
    ollama_line,
    ollama_stream,
    response_answer,
    tool_block,
)
from .responses_events import check_order, kinds

pytestmark = pytest.mark.anyio

UPSTREAMS = ("chat", "claude", "gemini", "ollama")
EXEC = {"command": ["ls", "-a"], "timeout_ms": 100}
COMMANDS = {"commands": ["ls", "pwd"]}
PATCH = {"type": "update_file", "path": "a.py", "diff": "@@\n-a\n+b\n"}
GOAL = {"goal": "weather"}
SEARCH_SCHEMA = {"type": "object", "properties": {"goal": {"type": "string"}}, "required": ["goal"]}
SEARCH_TOOL = {"type": "tool_search", "execution": "client", "description": "Find tools.", "parameters": SEARCH_SCHEMA}
GET_WEATHER = {"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {}}}

TOOLS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "local_shell": (
        {"type": "local_shell"},
        EXEC,
        {"type": "local_shell_call", "action": {"type": "exec", "command": ["ls", "-a"], "env": {}, "timeout_ms": 100}},
    ),
    "shell": (
        {"type": "shell", "environment": {"type": "local"}},
        COMMANDS,
        {"type": "shell_call", "action": {**COMMANDS, "max_output_length": None, "timeout_ms": None}},
    ),
    "apply_patch": ({"type": "apply_patch"}, PATCH, {"type": "apply_patch_call", "operation": PATCH}),
    "tool_search": (SEARCH_TOOL, GOAL, {"type": "tool_search_call", "arguments": GOAL, "execution": "client"}),
}
"""Type -> the tool, what a model calls its function with, the item that the caller gets."""
PREFIXES = {"local_shell": "lsh_", "shell": "sh_", "apply_patch": "apc_", "tool_search": "tsc_"}


def whole(to: str, name: str, arguments: Any) -> Script:
    text = json.dumps(arguments)
    match to:
        case "chat":
            call = {"id": "c1", "type": "function", "function": {"name": name, "arguments": text}}
            return chat_answer({"content": None, "tool_calls": [call]}, "tool_calls")
        case "claude":
            return claude_answer([{"type": "tool_use", "id": "c1", "name": name, "input": arguments}], "tool_use")
        case "gemini":
            return gemini_answer([{"functionCall": {"id": "c1", "name": name, "args": arguments}}])
        case _:
            function = {"name": name, "arguments": arguments}
            return ollama_answer({"content": "", "tool_calls": [{"id": "c1", "function": function}]})


def streamed(to: str, name: str, arguments: Any) -> Script:
    text = json.dumps(arguments)
    pieces = [text[:7], text[7:]]
    match to:
        case "chat":
            begin = {"index": 0, "id": "c1", "type": "function", "function": {"name": name, "arguments": pieces[0]}}
            rest = {"index": 0, "function": {"arguments": pieces[1]}}
            return chat_stream(chunk({"tool_calls": [begin]}), chunk({"tool_calls": [rest]}), chunk({}, "tool_calls"))
        case "claude":
            return claude_stream(claude_events(tool_block("c1", name, *pieces), stop="tool_use"))
        case "gemini":
            return gemini_stream(
                gemini_chunk([{"functionCall": {"id": "c1", "name": name, "args": arguments}}], "STOP")
            )
        case _:
            function = {"name": name, "arguments": arguments}
            return ollama_stream(ollama_line({"tool_calls": [{"id": "c1", "function": function}]}), ollama_end())


def functions_sent(to: str, asked: Asked) -> dict[str, Any]:
    """Return the names of the functions that the upstream was told, and what they take."""
    sent = asked.sent
    match to:
        case "claude":
            return {tool["name"]: tool["input_schema"] for tool in sent["tools"]}
        case "gemini":
            told = [function for tool in sent["tools"] for function in tool["functionDeclarations"]]
            return {function["name"]: function.get("parametersJsonSchema") for function in told}
        case _:
            return {tool["function"]["name"]: tool["function"]["parameters"] for tool in sent["tools"]}


@pytest.mark.parametrize("to", UPSTREAMS)
@pytest.mark.parametrize("type_", list(TOOLS))
async def test_tool_that_the_caller_runs_is_a_function_and_its_call_an_item(type_: str, to: str) -> None:
    tool, arguments, item = TOOLS[type_]
    asked = await ask("responses", to, {"tools": [tool]}, whole(to, type_, arguments))
    assert asked.answer.status == 200, asked.answer.text
    assert functions_sent(to, asked)[type_]["properties"].keys() >= arguments.keys()
    (told,) = asked.json["output"]
    assert told.pop("id").startswith(PREFIXES[type_])
    assert told.pop("call_id")
    assert told == {**item, "status": "completed"}
    assert asked.notices["tools[0]"] == "changed"


STEPS = {
    "local_shell": [],
    "shell": [f"response.shell_call_command.{step}" for _ in "12" for step in ("added", "delta", "done")],
    "apply_patch": [f"response.apply_patch_call_operation_diff.{step}" for step in ("delta", "done")],
    "tool_search": [],
}


@pytest.mark.parametrize("to", UPSTREAMS)
@pytest.mark.parametrize("type_", list(TOOLS))
async def test_call_of_a_tool_that_the_caller_runs_is_streamed_in_the_steps_of_its_kind(type_: str, to: str) -> None:
    tool, arguments, item = TOOLS[type_]
    asked = await ask("responses", to, {"tools": [tool], "stream": True}, streamed(to, type_, arguments))
    check_order(asked)
    steps = ["response.output_item.added", *STEPS[type_], "response.output_item.done", "response.completed"]
    assert kinds(asked)[2:] == steps
    added, done = asked.events[2]["item"], asked.events[-3]["item"]
    assert (added["id"], added["call_id"]) == (done["id"], done["call_id"])
    assert added["status"] == "in_progress"
    assert {name: value for name, value in done.items() if name not in ("id", "call_id")} == {
        **item,
        "status": "completed",
    }
    assert asked.events[-2]["response"]["output"] == [done]


async def test_call_begins_with_what_the_vendor_tells_of_it_at_its_beginning() -> None:
    empty: dict[str, dict[str, Any]] = {
        "local_shell": {"action": {"type": "exec", "command": [], "env": {}}},
        "shell": {"action": {"commands": [], "max_output_length": None, "timeout_ms": None}},
        "apply_patch": {"operation": {**PATCH, "diff": ""}},
        "tool_search": {"arguments": {}},
    }
    for type_, fields in empty.items():
        tool, arguments, _ = TOOLS[type_]
        asked = await ask("responses", "chat", {"tools": [tool], "stream": True}, streamed("chat", type_, arguments))
        item = asked.events[2]["item"]
        assert {name: item[name] for name in fields} == fields


async def test_deletion_of_a_file_has_no_diff() -> None:
    patch = {"type": "delete_file", "path": "a.py"}
    body = {"tools": [{"type": "apply_patch"}], "stream": True}
    asked = await ask("responses", "chat", body, streamed("chat", "apply_patch", patch))
    assert kinds(asked)[2:-1] == ["response.output_item.added", "response.output_item.done"]
    assert asked.events[-3]["item"]["operation"] == patch


@pytest.mark.parametrize("arguments", [{}, {"command": "ls"}, {"command": ["ls"], "colour": "red"}, ["ls"]])
async def test_arguments_that_no_item_can_hold_come_back_as_a_function_call(arguments: Any) -> None:
    body = {"tools": [{"type": "local_shell"}]}
    asked = await ask("responses", "chat", body, whole("chat", "local_shell", arguments))
    (item,) = asked.json["output"]
    assert (item["type"], item["name"]) == ("function_call", "local_shell")
    assert json.loads(item["arguments"]) == arguments


async def test_function_of_the_callers_keeps_its_name_beside_a_tool_of_that_type() -> None:
    """Codex has had functions named ``shell``."""
    tools = [{**GET_WEATHER, "name": "shell"}, {"type": "shell"}]
    own = {"id": "c1", "type": "function", "function": {"name": "shell", "arguments": "{}"}}
    lent = {"id": "c2", "type": "function", "function": {"name": "shell_tool", "arguments": json.dumps(COMMANDS)}}
    script = chat_answer({"content": None, "tool_calls": [own, lent]}, "tool_calls")
    asked = await ask("responses", "chat", {"tools": tools}, script)
    assert list(functions_sent("chat", asked)) == ["shell", "shell_tool"]
    assert [item["type"] for item in asked.json["output"]] == ["function_call", "shell_call"]


async def test_shell_in_a_container_of_the_vendors_is_refused_elsewhere() -> None:
    tool = {"type": "shell", "environment": {"type": "container_auto"}}
    asked = await ask("responses", "chat", {"tools": [tool]}, chat_answer())
    assert (asked.answer.status, asked.json["error"]["param"]) == (400, "tools[0].type")


CHOICES: list[tuple[Any, Any]] = [
    ({"type": "shell"}, {"type": "function", "function": {"name": "shell"}}),
    ("auto", "auto"),
]


@pytest.mark.parametrize(("choice", "sent"), CHOICES)
async def test_choice_of_a_tool_by_its_type_is_one_of_its_function(choice: Any, sent: Any) -> None:
    asked = await ask("responses", "chat", {"tools": [{"type": "shell"}], "tool_choice": choice}, chat_answer())
    assert asked.sent["tool_choice"] == sent


async def test_allowed_tools_may_be_such() -> None:
    allowed = [{"type": "shell"}, {"type": "function", "name": "get_weather"}]
    choice = {"type": "allowed_tools", "mode": "required", "tools": allowed}
    tools = [{"type": "shell"}, GET_WEATHER, {**GET_WEATHER, "name": "other"}]
    asked = await ask("responses", "claude", {"tools": tools, "tool_choice": choice}, claude_answer())
    assert [tool["name"] for tool in asked.sent["tools"]] == ["shell", "get_weather"]


# --- what was called before -------------------------------------------------------------------------------------------

SHELL_OUTPUT = [{"stdout": "a\n", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}]
HISTORY: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any], str]] = {
    "local_shell": (
        {"type": "local_shell_call", "id": "lsh_1", "call_id": "c1", "status": "completed",
         "action": {"type": "exec", "command": ["ls"], "env": {}}},
        {"type": "local_shell_call_output", "id": "c1", "output": '{"stdout":"a"}'},
        {"command": ["ls"], "env": {}},
        '{"stdout":"a"}',
    ),
    "shell": (
        {"type": "shell_call", "id": "sh_1", "call_id": "c1", "status": "completed", "action": COMMANDS},
        {"type": "shell_call_output", "call_id": "c1", "output": SHELL_OUTPUT, "max_output_length": 10},
        COMMANDS,
        json.dumps(SHELL_OUTPUT),
    ),
    "apply_patch": (
        {"type": "apply_patch_call", "id": "apc_1", "call_id": "c1", "status": "completed", "operation": PATCH},
        {"type": "apply_patch_call_output", "call_id": "c1", "status": "completed", "output": "Done."},
        PATCH,
        "Done.",
    ),
    "tool_search": (
        {"type": "tool_search_call", "id": "tsc_1", "call_id": "c1", "execution": "client", "status": "completed",
         "arguments": GOAL},
        {"type": "tool_search_output", "call_id": "c1", "execution": "client", "status": "completed",
         "tools": [GET_WEATHER]},
        GOAL,
        "Tools that can be called now: get_weather.",
    ),
}  # fmt: skip
"""Type -> the items of a call and of its output, and what other protocols say of them."""


def _of_chat(sent: Any) -> tuple[Any, Any]:
    _, called, result, _ = sent["messages"]
    (call,) = called["tool_calls"]
    assert call["id"] == result["tool_call_id"]
    assert (called["role"], result["role"]) == ("assistant", "tool")
    return json.loads(call["function"]["arguments"]), result["content"]


def _of_claude(sent: Any) -> tuple[Any, Any]:
    (call,), (result, *_) = (sent["messages"][number]["content"] for number in (1, 2))
    assert call["id"] == result["tool_use_id"]
    said = result["content"]
    return call["input"], said if isinstance(said, str) else said[0]["text"]


def _of_gemini(sent: Any) -> tuple[Any, Any]:
    (call,), (result, *_) = (sent["contents"][number]["parts"] for number in (1, 2))
    said = result["functionResponse"]["response"]
    return call["functionCall"]["args"], said


def _of_ollama(sent: Any) -> tuple[Any, Any]:
    _, called, result, _ = sent["messages"]
    return called["tool_calls"][0]["function"]["arguments"], result["content"]


READERS: dict[str, Callable[[Any], tuple[Any, Any]]] = {
    "chat": _of_chat, "claude": _of_claude, "gemini": _of_gemini, "ollama": _of_ollama
}  # fmt: skip
ANSWERS = {
    "chat": chat_answer(), "claude": claude_answer(), "gemini": gemini_answer([{"text": "Hello"}]),
    "ollama": ollama_answer(),
}  # fmt: skip


@pytest.mark.parametrize("to", UPSTREAMS)
@pytest.mark.parametrize("type_", list(HISTORY))
async def test_call_and_output_of_the_history_are_real_ones(type_: str, to: str) -> None:
    call, output, arguments, text = HISTORY[type_]
    items = [{"role": "user", "content": "Go."}, call, output, {"role": "user", "content": "On."}]
    asked = await ask("responses", to, {"tools": [TOOLS[type_][0]], "input": items}, ANSWERS[to])
    assert asked.answer.status == 200, asked.answer.text
    called, said = READERS[to](asked.sent)
    assert called == arguments
    if to == "gemini":  # an object stays one there
        said = said.get("output", json.dumps(said, separators=(",", ":")))
    assert _as_json(said) == _as_json(text)
    assert "lost" not in asked.notices.values(), asked.notices


def _as_json(text: str) -> Any:
    return json.loads(text) if text[0] in "[{" else text


async def test_old_output_may_name_the_item_of_its_call() -> None:
    call, output, _, _ = HISTORY["local_shell"]
    items = [{"role": "user", "content": "Go."}, call, {**output, "id": "lsh_1"}, {"role": "user", "content": "On."}]
    asked = await ask("responses", "chat", {"input": items}, chat_answer())
    assert asked.sent["messages"][2]["tool_call_id"] == "c1"


async def test_patch_that_failed_is_an_error() -> None:
    call, output, _, _ = HISTORY["apply_patch"]
    failed = {"type": output["type"], "call_id": "c1", "status": "failed"}
    items = [{"role": "user", "content": "Go."}, call, failed, {"role": "user", "content": "On."}]
    asked = await ask("responses", "claude", {"input": items}, claude_answer())
    result = asked.sent["messages"][2]["content"][0]
    assert (result["is_error"], result["content"]) in [(True, "failed"), (True, [{"type": "text", "text": "failed"}])]


async def test_output_of_codex_for_a_local_shell_is_that_of_a_function() -> None:
    call, _, _, _ = HISTORY["local_shell"]
    output = {"type": "function_call_output", "call_id": "c1", "output": "a"}
    items = [{"role": "user", "content": "Go."}, call, output, {"role": "user", "content": "On."}]
    asked = await ask("responses", "chat", {"input": items, "tools": [{"type": "local_shell"}]}, chat_answer())
    assert [message["role"] for message in asked.sent["messages"]] == ["user", "assistant", "tool", "user"]


# --- tools that are found ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("to", UPSTREAMS)
async def test_tool_that_a_search_found_can_be_called_from_then_on(to: str) -> None:
    call, output, _, _ = HISTORY["tool_search"]
    space = {"type": "namespace", "name": "maps", "description": "Maps.", "tools": [{**GET_WEATHER, "name": "route"}]}
    found = {**output, "tools": [GET_WEATHER, space]}
    items = [{"role": "user", "content": "Go."}, call, found]
    script = whole(to, "maps__route", {})
    asked = await ask("responses", to, {"tools": [SEARCH_TOOL], "input": items}, script)
    assert asked.answer.status == 200, asked.answer.text
    assert list(functions_sent(to, asked)) == ["tool_search", "get_weather", "maps__route"]
    assert "can be called now: get_weather, maps__route." in json.dumps(asked.sent)
    (item,) = asked.json["output"]
    assert (item["type"], item["name"], item["namespace"]) == ("function_call", "route", "maps")


@pytest.mark.parametrize("to", UPSTREAMS)
async def test_where_the_vendor_would_search_all_tools_are_told(to: str) -> None:
    tools = [{"type": "tool_search"}, {**GET_WEATHER, "defer_loading": True}]
    asked = await ask("responses", to, {"tools": tools}, ANSWERS[to])
    assert asked.answer.status == 200, asked.answer.text
    assert list(functions_sent(to, asked)) == ["get_weather"]
    assert asked.notices["tools[0]"] == "changed"
    assert asked.notices["tools[1].defer_loading"] == "hint"


@pytest.mark.parametrize("kind", ["tool_search_call", "tool_search_output"])
async def test_search_of_the_vendors_is_refused_elsewhere(kind: str) -> None:
    item: dict[str, Any] = {
        "type": kind,
        "execution": "server",
        "call_id": None,
        "status": "completed",
        "arguments": {},
        "tools": [],
    }
    asked = await ask("responses", "chat", {"input": [{"role": "user", "content": "Go."}, item]}, chat_answer())
    assert (asked.answer.status, asked.json["error"]["param"]) == (400, "input[1]")


@pytest.mark.parametrize("type_", list(HISTORY))
async def test_items_go_to_the_vendor_as_they_came(type_: str) -> None:
    call, output, _, _ = HISTORY[type_]
    items = [{"role": "user", "content": "Go."}, call, output, {"role": "user", "content": "On."}]
    body = {"tools": [TOOLS[type_][0]], "input": items}
    profile = {"base": "openai-responses", "exact": False}
    asked = await ask("responses", "responses", body, response_answer(), profile=profile)
    assert asked.sent["tools"] == body["tools"]
    assert asked.sent["input"][1:3] == [call, output]
