"""What is decoded and encoded for the same protocol is the same JSON, but for the losses that are written down."""

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from asgi_ds2api.canonical import Base64Source, FileSource, Media, Opaque, OutputFormat, State, Text
from asgi_ds2api.codec import HTTPCall
from asgi_ds2api.errors import Unsupported
from asgi_ds2api.protocols import openai_chat as codec
from tests.support.cases import row_params

from .calls import HELLO, LENIENT, OPENAI, body, call, encode, foreign, native, say, told

NAME = "openai_chat"


@pytest.mark.parametrize("row", row_params(NAME, "requests"))
def test_every_field_comes_back_in_its_place(row: dict[str, Any]) -> None:
    written, notices = encode(codec.decode_request(call(row["body"])))
    assert (written, told(notices)) == (row["body"], [])


@pytest.mark.parametrize("row", row_params(NAME, "request_fields", "field"))
def test_every_field_alone_comes_back(row: dict[str, Any]) -> None:
    asked = {**row.get("beside", {}), row["field"]: row["value"]}
    written, notices = encode(native(**asked))
    assert (written, [notice.path for notice in notices]) == (body(**row.get("sent", asked)), row.get("told", []))


@pytest.mark.parametrize("row", row_params(NAME, "request_settings"))
def test_tools_formats_and_settings_of_others_come_back(row: dict[str, Any]) -> None:
    assert encode(native(**row["fields"])) == (body(**row.get("sent", row["fields"])), [])


@pytest.mark.parametrize("row", row_params(NAME, "messages"))
def test_every_kind_of_message_comes_back(row: dict[str, Any]) -> None:
    assert encode(native(messages=[row["message"]])) == (body(messages=[row.get("sent", row["message"])]), [])


@pytest.mark.parametrize("row", row_params(NAME, "content_parts"))
def test_every_content_part_comes_back(row: dict[str, Any]) -> None:
    """Beside another part, as a plain text alone is written as a string."""
    last = {"type": "text", "text": "last"}
    written, notices = encode(native(messages=[{"role": "user", "content": [row["part"], last]}]))
    assert (written["messages"][0]["content"], told(notices)) == ([row.get("sent", row["part"]), last], [])


@pytest.mark.parametrize("row", row_params(NAME, "rewritten"))
def test_what_is_written_in_another_way_is_written_down(row: dict[str, Any]) -> None:
    assert encode(native(**row["fields"]))[0] == body(**row["sent"])


@pytest.mark.parametrize(
    ("fields", "severity", "paths"),
    [
        ({"api_base": "http://evil", "timeout": 1}, "lost", ["api_base", "timeout"]),
        ({"extra_body": {"openai": {"model": "other", "tools": []}}}, "lost", [
            "extra_body.openai.model", "extra_body.openai.tools"]),
        ({"extra_body": {"xai": {"b": 1}}}, "hint", ["extra_body.xai"]),
        ({"tool_choice": "auto"}, "hint", ["tool_choice"]),
    ],
    ids=["B33-steering", "extra-body-protected", "extra-body-of-another", "choice-without-tools"],
)  # fmt: skip
def test_what_is_left_out_is_told(fields: dict[str, Any], severity: str, paths: list[str]) -> None:
    notices = encode(native(**fields))[1]
    assert (told(notices, severity), len(notices)) == (paths, len(paths))


def test_headers_that_shape_the_answer_go_along_within_the_protocol_alone() -> None:
    headers = {"openai-beta": "x", "authorization": "Bearer s"}
    own = codec.decode_request(call(body(), headers=headers))
    assert codec.encode_request(own, OPENAI, encode(own)[1]).headers == {"openai-beta": "x"}
    assert told(encode(foreign(vendor_headers={"anthropic-beta": "b"}))[1], "hint") == ["anthropic-beta"]


@pytest.mark.parametrize(
    ("path", "model", "expected"),
    [(None, "m", "/chat/completions"), ("/deployments/{model}/chat", "org/m x", "/deployments/org%2Fm%20x/chat")],
    ids=["usual", "of-the-profile"],
)
def test_the_path_is_that_of_the_profile(path: str | None, model: str, expected: str) -> None:
    profile = msgspec.structs.replace(OPENAI, path=path, query={"api-version": "1"})
    written: HTTPCall = codec.encode_request(native(model=model), profile, encode(native())[1])
    assert (written.method, written.path, written.query) == ("POST", expected, {"api-version": "1"})


PROFILED: list[Any] = [
    pytest.param({"max_tokens_field": "max_tokens"}, {"max_completion_tokens": 5}, {"max_tokens": 5}, id="limit"),
    pytest.param({"user_field": "user"}, {"safety_identifier": "u"}, {"user": "u"}, id="user"),
    pytest.param({"stream_usage": "always"}, {"stream": True}, {"stream": True}, id="usage-always"),
    pytest.param({"drop": ("seed",)}, {"seed": 1}, {}, id="dropped"),
    pytest.param({"top_k": False}, {"top_k": 3}, {"top_k": 3}, id="own-top_k"),
]


@pytest.mark.parametrize(("facts", "fields", "sent"), PROFILED)
def test_a_profile_spells_fields_its_own_way(facts: dict[str, Any], fields: Any, sent: dict[str, Any]) -> None:
    assert encode(native(**fields), msgspec.structs.replace(OPENAI, **facts))[0] == body(**sent)


@pytest.mark.parametrize(
    ("role", "wanted", "sent"),
    [
        ("system", "keep", "system"),
        ("developer", "keep", "developer"),
        ("developer", "system", "system"),
        ("system", "developer", "developer"),
    ],
)
def test_system_messages_have_the_role_of_the_profile(role: str, wanted: str, sent: str) -> None:
    profile = msgspec.structs.replace(OPENAI, system_role=wanted)
    written, _ = encode(native(messages=[{"role": role, "content": "s"}, *HELLO]), profile)
    assert written["messages"] == [{"role": sent, "content": "s"}, *HELLO]


def test_several_texts_of_a_result_are_one_where_the_upstream_takes_one() -> None:
    calling = {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "function": {"name": "f"}}]}
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    talk = [calling, {"role": "tool", "tool_call_id": "c", "content": parts}]
    assert encode(native(messages=talk), LENIENT)[0]["messages"][1]["content"] == "a\n\nb"


REFUSED: list[Any] = [
    pytest.param({"messages": (say("user", Opaque(protocol="gemini_generate", type="x", raw=Raw(b"{}"),
                                                  is_required=True, at="a")),)}, "a", id="opaque"),
    pytest.param({"messages": (say("user", Media(kind="file", source=FileSource(
        file_id="f", protocol="anthropic_messages"), at="b")),)}, "b", id="file-of-another"),
    pytest.param({"messages": (say("user", Media(kind="video", source=Base64Source(
        media_type="video/mp4", data="aGk="), at="v")),)}, "v", id="film"),
    pytest.param({"messages": (say("user", ""),)}, "messages", id="nothing-to-say"),
    pytest.param({"max_output_tokens": 0}, "max_completion_tokens", id="C05-prewarm"),
    pytest.param({"state": State(previous_id="r")}, "previous_response_id", id="previous"),
    pytest.param({"extras": {"mcp_servers": Raw(b"[]")}, "required_extras": ("mcp_servers",)}, "mcp_servers",
                 id="required"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "param"), REFUSED)
def test_what_nothing_can_stand_in_for_is_refused(fields: dict[str, Any], param: str) -> None:
    messages = fields.pop("messages", ())
    with pytest.raises(Unsupported) as caught:
        encode(foreign(*messages, **fields))
    assert caught.value.param == param


SWITCHES: list[Any] = [
    pytest.param({"choices": False}, {"n": 2}, "n", id="n"),
    pytest.param({"json_object": False}, {"response_format": {"type": "json_object"}}, "response_format", id="object"),
    pytest.param(
        {"json_schema": False},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "o"}}},
        "response_format",
        id="schema",
    ),
    pytest.param(
        {"custom_tools": False}, {"tools": [{"type": "custom", "custom": {"name": "p"}}]}, "tools[0]", id="custom"
    ),
    pytest.param(
        {"image_urls": False},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x"}}]}]},
        "messages[0].content[0]",
        id="image-url",
    ),
]


@pytest.mark.parametrize(("facts", "fields", "param"), SWITCHES)
def test_what_the_upstream_has_no_switch_for_is_refused(facts: Any, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(Unsupported) as caught:
        encode(native(**fields), msgspec.structs.replace(OPENAI, **facts))
    assert caught.value.param == param


def test_a_schema_of_another_protocol_is_strict_and_has_a_name() -> None:
    closed = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    wanted = OutputFormat(kind="json_schema", schema=Raw(msgspec.json.encode(closed)))
    written, _ = encode(foreign(output_format=wanted))
    schema = {"name": "output", "schema": closed, "strict": True}
    assert written["response_format"] == {"type": "json_schema", "json_schema": schema}


@pytest.mark.parametrize(("user", "is_hashed"), [("u1", False), ("a@b.org", True), ("x" * 129, True)])
def test_who_asks_is_told_without_what_is_personal(user: str, is_hashed: bool) -> None:
    written, notices = encode(foreign(user=user))
    assert (written["safety_identifier"] != user, len(written["safety_identifier"]) <= 128) == (is_hashed, True)
    assert told(notices, "hint") == (["user"] if is_hashed else [])


def test_texts_of_another_protocols_system_message_are_one() -> None:
    talk = (say("system", Text(text="a"), Text(text="b")), say("user", "hi"))
    assert encode(foreign(*talk))[0]["messages"][0] == {"role": "system", "content": "a\n\nb"}
