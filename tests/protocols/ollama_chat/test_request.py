"""What a caller sends is read strictly, and written again as it came."""

from typing import Any

import pytest
from msgspec import Raw

from asgi_ds2api.canonical import (
    Block,
    FileSource,
    FunctionTool,
    Media,
    Message,
    Notices,
    OutputFormat,
    Reasoning,
    ReasoningControl,
    Refusal,
    Request,
    Role,
    Text,
    TextSource,
    ToolCall,
    ToolResult,
    UrlSource,
    VendorTool,
)
from asgi_ds2api.codec import RequestLimits
from asgi_ds2api.errors import MalformedRequest, Unsupported
from asgi_ds2api.protocols import ollama_chat as codec
from asgi_ds2api.protocols.calls_and_results import MISSING
from tests.support.cases import row_params

from .calls import HELLO, OLLAMA, call, decoded, sent


def normal(body: Any) -> Any:
    """Return a request as it is written again: see ``request``. Ids of calls are there, or are looked at apart."""
    kept = {name: value for name, value in body.items() if value is not None}
    kept.setdefault("stream", True)
    options = kept.get("options", {})
    if isinstance(options.get("stop"), str):
        kept["options"] = {**options, "stop": [options["stop"]]}
    kept["messages"] = [_normal_message(message) for message in kept["messages"]]
    if "tools" in kept:
        kept["tools"] = [{"type": "function", **tool} for tool in kept["tools"]]
    return kept


def _normal_message(message: dict[str, Any]) -> dict[str, Any]:
    told = {name: value for name, value in message.items() if value is not None}
    if told.get("tool_calls"):
        told["tool_calls"] = [
            {
                **{name: value for name, value in each.items() if name != "type"},
                "function": {"index": i, **each["function"]},
            }
            for i, each in enumerate(told["tool_calls"])
        ]
    return {"content": "", **told}


def _without_pairs(body: Any) -> Any:
    """Return a body without what pairs calls and results, which is made where it is missing."""
    for message in body["messages"]:
        for name in ("tool_name", "tool_call_id"):
            if message["role"] == "tool":
                message.pop(name, None)
        for each in message.get("tool_calls", ()):
            each.pop("id", None)
    return body


@pytest.mark.parametrize("row", row_params("ollama_chat", "requests"))
def test_request_is_written_as_it_came(row: Any) -> None:
    body = row["body"]
    written = sent(codec.decode_request(call(body)))
    assert _without_pairs(written) == _without_pairs(normal(body))


def test_nothing_is_reported_of_a_request_of_ones_own() -> None:
    notices = Notices()
    sent(decoded(options={"new": 1}, new=2, keep_alive=0, think="high", format="json"), notices)
    assert list(notices) == []


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": "x", "images": ["%"]}]}, "messages[0].images[0]"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"function": {}}]}]},
            "messages[0].tool_calls[0].function.name",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}]},
            "messages[0].tool_calls[0].function.arguments",
        ),
        ({"stream": 1}, "stream"),
        ({"think": 3}, "think"),
        ({"format": "yaml"}, "format"),
        ({"format": 3}, "format"),
        ({"options": []}, "options"),
        ({"options": {"temperature": "hot"}}, "options.temperature"),
        ({"options": {"num_predict": 1.5}}, "options.num_predict"),
        ({"tools": [{"function": {"name": "f", "parameters": 1}}]}, "tools[0].function.parameters"),
        ({"tools": [{"function": {"name": "f"}}, {"function": {"name": "f"}}]}, "tools[1]"),
    ],
)
def test_B17_mistake_is_named_by_its_path(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(MalformedRequest) as caught:
        decoded(**fields)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("limits", "fields", "param"),
    [
        ({"max_messages": 1}, {"messages": HELLO * 2}, "messages"),
        ({"max_parts": 1}, {"messages": [{"role": "user", "images": ["aGk=", "aGk="]}]}, "messages[0]"),
        ({"max_tools": 0}, {"tools": [{"function": {"name": "f"}}]}, "tools"),
        ({"max_stop": 1}, {"options": {"stop": ["a", "b"]}}, "options.stop"),
        ({"max_schema_bytes": 5}, {"format": {"type": "object"}}, "format"),
    ],
)
def test_more_than_is_read_is_refused(limits: dict[str, int], fields: dict[str, Any], param: str) -> None:
    with pytest.raises(MalformedRequest) as caught:
        codec.decode_request(call({"model": "m", "messages": HELLO, **fields}), RequestLimits(**limits))
    assert caught.value.param == param


def test_whole_numbers_may_be_written_with_a_point() -> None:
    assert decoded(options={"num_predict": 5.0}).max_output_tokens == 5


def test_streams_unless_told_otherwise() -> None:
    assert [decoded().stream, decoded(stream=None).stream, decoded(stream=False).stream] == [True, True, False]


@pytest.mark.parametrize(
    ("think", "control"),
    [
        (True, ReasoningControl(mode="enabled", at="think")),
        (False, ReasoningControl(mode="disabled", at="think")),
        ("max", ReasoningControl(mode="enabled", effort="max", at="think")),
    ],
)
def test_think_is_a_control_of_reasoning(think: Any, control: ReasoningControl) -> None:
    assert decoded(think=think).reasoning == control


def talk_of(*turns: dict[str, Any]) -> list[Any]:
    """Return calls and results of a talk: id and name of each call, the id that each result answers."""
    messages = decoded(messages=list(turns)).messages
    calls = [(b.id, b.name) for m in messages for b in m.content if isinstance(b, ToolCall)]
    return [calls, [b.call_id for m in messages for b in m.content if isinstance(b, ToolResult)]]


def calling(*names: str, **ids: str) -> dict[str, Any]:
    made = [
        {"function": {"name": name, "arguments": {}}, **({"id": ids[name]} if name in ids else {})} for name in names
    ]
    return {"role": "assistant", "content": "", "tool_calls": made}


def result(**fields: str) -> dict[str, Any]:
    return {"role": "tool", "content": "r", **fields}


def test_others_C04_made_ids_tell_turns_apart_and_never_meet_a_given_one() -> None:
    calls, answered = talk_of(calling("f"), result(), calling("f"), result(), calling("g", g="call_4_0"), calling("f"))
    ids = [id_ for id_, _ in calls]
    assert len({*ids}) == 4
    assert answered == ids[:2]


def test_others_C04_result_goes_by_id_then_by_name_then_by_order() -> None:
    turns = (
        calling("f", "g", "f", "h", h="own"),
        result(tool_call_id="own"),
        result(tool_name="g"),
        result(),
        result(),
    )
    calls, answered = talk_of(*turns)
    ids = [id_ for id_, _ in calls]
    assert answered == [ids[3], ids[1], ids[0], ids[2]]


def test_others_C04_id_that_a_client_made_up_itself_is_paired_all_the_same() -> None:
    (call_,), (answered,) = talk_of(calling("f"), result(tool_call_id="made-up", tool_name="f"))
    assert answered == call_[0]


def test_result_of_no_call_keeps_what_it_says_of_itself() -> None:
    assert talk_of(calling("f", f="own"), result(tool_call_id="other"), result(tool_name="g"))[1] == [
        "other",
        "call_none_2",
    ]


# --- a prompt ---------------------------------------------------------------------------------------------------------

PROMPT = "/api/generate"


def test_prompt_is_a_talk_of_one_question() -> None:
    request = decoded(PROMPT, system="be brief", images=["iVBORw0KGgo="])
    assert [(message.role, len(message.content)) for message in request.messages] == [("system", 1), ("user", 2)]


@pytest.mark.parametrize("name", ["context", "template", "raw", "suffix"])
def test_prompt_stays_one_where_it_has_what_only_prompts_have(name: str) -> None:
    value: Any = {"context": [1, 2], "raw": True}.get(name, "x")
    request = decoded(PROMPT, system="s", **{name: value})
    made = codec.encode_request(request, OLLAMA, Notices())
    assert made.path == PROMPT
    assert sent(request) == {"model": "m", "prompt": "Hi", "system": "s", "stream": True, name: value}
    assert request.required_extras == (("suffix",) if name == "suffix" else ())


@pytest.mark.parametrize("empty", [{}, {"context": []}, {"template": ""}, {"raw": False}, {"suffix": ""}])
def test_any_other_prompt_is_sent_as_a_talk(empty: dict[str, Any]) -> None:
    made = codec.encode_request(decoded(PROMPT, **empty), OLLAMA, Notices())
    assert made.path == "/api/chat"


# --- of another protocol ----------------------------------------------------------------------------------------------


def foreign(*messages: Message, **fields: Any) -> Request:
    said = messages or (Message(role="user", content=(Text(text="hi"),)),)
    return Request(source="openai_chat", model="m", messages=said, **fields)


def test_call_without_a_result_has_one_made_up() -> None:
    notices = Notices()
    called = Message(role="assistant", content=(ToolCall(id="c", name="f", arguments="", at="x"),))
    body = sent(foreign(called, Message(role="user", content=(Text(text="go"),))), notices)
    assert [message["role"] for message in body["messages"]] == ["assistant", "tool", "user"]
    assert body["messages"][1]["content"] == f"Error: {MISSING}"
    assert [(notice.path, notice.severity) for notice in notices if notice.severity == "lost"] == [("x", "lost")]


@pytest.mark.parametrize(
    ("role", "blocks", "said"),
    [
        ("assistant", (Text(text="It "), Text(text="rains"), Text(text=".")), "It rains."),
        ("assistant", (Text(text="if x:"), Text(text="\n    "), Reasoning(text="hm"), Text(text="y")), "if x:\n    y"),
        ("assistant", (Text(text="a"), Refusal(text="no"), Text(text="b")), "a\n\nno\n\nb"),
        ("user", (Text(text="a"), Text(text="b")), "a\n\nb"),
    ],
    ids=["pieces", "blanks", "something-between", "user"],
)
def test_texts_of_an_assistant_are_one_as_they_were_told(role: Role, blocks: tuple[Block, ...], said: str) -> None:
    (message,) = sent(foreign(Message(role=role, content=blocks)))["messages"]
    assert message["content"] == said


def test_result_without_a_call_is_text() -> None:
    stray = Message(role="tool", content=(ToolResult(call_id="c", blocks=(Text(text="r"),), at="x"),))
    (message,) = sent(foreign(stray))["messages"]
    assert (message["role"], "r" in message["content"]) == ("user", True)


def test_results_of_an_id_that_is_used_twice_go_in_order() -> None:
    turns = []
    for text in ("one", "two"):
        turns.append(Message(role="assistant", content=(ToolCall(id="c", name="f", arguments="{}"),)))
        turns.append(Message(role="tool", content=(ToolResult(call_id="c", blocks=(Text(text=text),)),)))
    said = [message["content"] for message in sent(foreign(*turns))["messages"] if message["role"] == "tool"]
    assert said == ["one", "two"]


@pytest.mark.parametrize(
    ("text", "expected", "is_changed"),
    [("", {}, False), ('{"a":1}', {"a": 1}, False), ("[1]", {"value": [1]}, True), ('{"a"', {"_raw": '{"a"'}, True)],
)
def test_arguments_are_an_object(text: str, expected: Any, is_changed: bool) -> None:
    notices = Notices()
    body = sent(foreign(Message(role="assistant", content=(ToolCall(id="c", name="f", arguments=text),))), notices)
    assert body["messages"][0]["tool_calls"][0]["function"]["arguments"] == expected
    assert any(notice.path.endswith("arguments") for notice in notices) is is_changed


def test_reasoning_goes_back_as_text_but_never_what_is_signed() -> None:
    notices = Notices()
    thoughts = (Reasoning(text="plain"), Reasoning(text="signed", signature="s", origin="anthropic", at="x"))
    (message,) = sent(foreign(Message(role="assistant", content=(*thoughts, Text(text="a")))), notices)["messages"]
    assert message["thinking"] == "plain"
    assert [(notice.path, notice.severity) for notice in notices] == [("x", "hint")]


def test_document_of_text_is_said_as_text() -> None:
    document = Media(kind="document", source=TextSource(text="body"), name="a.txt", context="why", at="x")
    (message,) = sent(foreign(Message(role="user", content=(document,))))["messages"]
    assert message["content"] == "a.txt\n\nwhy\n\nbody"


@pytest.mark.parametrize(
    "source",
    [UrlSource(url="https://example.com/a"), FileSource(file_id="f", protocol="openai_chat")],
    ids=["url", "file"],
)
def test_what_is_not_here_is_refused_by_its_path(source: Any) -> None:
    picture = Media(kind="image", source=source, at="messages[0].content[0]")
    with pytest.raises(Unsupported) as caught:
        sent(foreign(Message(role="user", content=(picture,))))
    assert caught.value.param == "messages[0].content[0]"


FOREIGN_TOOL = VendorTool(protocol="openai_chat", type="x", name="x", raw=Raw(b"{}"), runs_at="provider", at="tools[0]")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"choices": 2}, "n"),
        ({"max_output_tokens": 0}, "max_completion_tokens"),
        ({"tools": (FOREIGN_TOOL,)}, "tools[0].type"),
    ],
)  # fmt: skip
def test_what_nothing_stands_in_for_is_refused(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(Unsupported) as caught:
        sent(foreign(**fields))
    assert caught.value.param == param


def test_search_of_the_web_that_codex_always_offers_is_left_out() -> None:
    search = VendorTool(
        protocol="openai_responses", type="web_search", name=None, raw=Raw(b"{}"), runs_at="provider", at="tools[0]"
    )
    notices = Notices()
    assert "tools" not in sent(foreign(tools=(search,)), notices)
    assert [(notice.path, notice.severity) for notice in notices] == [("tools[0]", "lost")]


def test_strictness_of_a_tool_is_lost_and_its_empty_schema_written() -> None:
    notices = Notices()
    body = sent(foreign(tools=(FunctionTool(name="f", strict=True, at="tools[0]"),)), notices)
    assert body["tools"][0]["function"]["parameters"] == {"type": "object", "properties": {}}
    assert [(notice.path, notice.severity) for notice in notices] == [("tools[0].strict", "lost")]


def test_form_without_a_schema_is_any_json() -> None:
    assert sent(foreign(output_format=OutputFormat(kind="json_schema")))["format"] == "json"
