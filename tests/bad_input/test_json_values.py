"""B16 to B32: JSON that is no request, or one with values that nobody should trip over."""

import json
from typing import Any, NamedTuple

import pytest

from tests.faults.bench import WAYS, Bench, Way, both_faces, every_way, whole_and_streamed
from tests.support.scripted_client import answering, streaming

from .bodies import every_translation, send, with_fields
from .refusals import ECHO, assert_refused

pytestmark = pytest.mark.anyio

CHAT_ONLY = [pytest.param(WAYS[name], id=name) for name in ("chat>claude", "chat>chat.translated")]


class Wrong(NamedTuple):
    """Fields of a request, and how they are refused; ``faces``: where they mean something."""

    fields: dict[str, Any]
    code: str
    param: str
    faces: tuple[str, ...] = ("chat", "claude")


def user(content: Any, **more: Any) -> dict[str, Any]:
    """Return messages of one."""
    return {"messages": [{"role": "user", "content": content, **more}]}


ENVELOPE: dict[str, Wrong] = {
    "B16-no-model": Wrong({"model": ...}, "missing_required_parameter", "model"),
    "B16-model-null": Wrong({"model": None}, "invalid_type", "model"),
    "B16-model-number": Wrong({"model": 5}, "invalid_type", "model"),
    "B16-model-list": Wrong({"model": [ECHO]}, "invalid_type", "model"),
    "B17-stream-text": Wrong({"stream": "true"}, "invalid_type", "stream"),
    "B17-stream-number": Wrong({"stream": 1}, "invalid_type", "stream"),
    "B17-n-boolean": Wrong({"n": True}, "invalid_type", "n", ("chat",)),
    "B20-n-negative": Wrong({"n": -1}, "invalid_value", "n", ("chat",)),
    "B27-options-text": Wrong({"stream_options": ECHO}, "invalid_type", "stream_options", ("chat",)),
    "B27-usage-text": Wrong(
        {"stream": True, "stream_options": {"include_usage": ECHO}},
        "invalid_type",
        "stream_options.include_usage",
        ("chat",),
    ),
}
"""What routing needs: refused in both modes."""
REQUEST: dict[str, Wrong] = {
    "B16-no-messages": Wrong({"messages": ...}, "missing_required_parameter", "messages"),
    "B16-messages-text": Wrong({"messages": ECHO}, "invalid_type", "messages"),
    "B16-message-text": Wrong({"messages": [ECHO]}, "invalid_type", "messages[0]"),
    "B16-second-message": Wrong(
        {"messages": [{"role": "user", "content": "x"}, {"role": "user", "content": 5}]},
        "invalid_type",
        "messages[1].content",
    ),
    "B16-part-text": Wrong(user([ECHO]), "invalid_type", "messages[0].content[0]"),
    "B16-part-without-text": Wrong(
        user([{"type": "text"}]), "missing_required_parameter", "messages[0].content[0].text"
    ),
    "B16-text-object": Wrong(
        user([{"type": "text", "text": {"a": ECHO}}]), "invalid_type", "messages[0].content[0].text"
    ),
    "B16-tools-object": Wrong({"tools": {"a": ECHO}}, "invalid_type", "tools"),
    "B16-tool-text": Wrong({"tools": [ECHO]}, "invalid_type", "tools[0]"),
    "B16-temperature-text": Wrong({"temperature": ECHO}, "invalid_type", "temperature"),
    "B17-max-tokens-boolean": Wrong({"max_tokens": True}, "invalid_type", "max_tokens"),
    "B17-max-tokens-text": Wrong({"max_tokens": "5"}, "invalid_type", "max_tokens"),
    "B17-max-tokens-half": Wrong({"max_tokens": 1.5}, "invalid_type", "max_tokens"),
    "B17-temperature-text": Wrong({"temperature": "1"}, "invalid_type", "temperature"),
    "B17-temperature-boolean": Wrong({"temperature": True}, "invalid_type", "temperature"),
    "B19-role": Wrong({"messages": [{"role": ECHO, "content": "x"}]}, "invalid_value", "messages[0].role"),
    "B20-max-tokens-negative": Wrong({"max_tokens": -5}, "invalid_value", "max_tokens"),
    "B20-max-tokens-2^63": Wrong({"max_tokens": 2**63}, "invalid_value", "max_tokens"),
    "B20-temperature-1e308": Wrong({"temperature": 1e308}, "invalid_value", "temperature"),
    "B20-top-p-1e308": Wrong({"top_p": -1e308}, "invalid_value", "top_p"),
    "B12-seed-2^64": Wrong({"seed": 2**64}, "invalid_value", "seed", ("chat",)),
    "B24-none": Wrong({"messages": []}, "empty_array", "messages", ("chat",)),
    "B24-no-messages": Wrong({"messages": []}, "invalid_value", "messages", ("claude",)),
    "B26-bias": Wrong(
        {"logit_bias": {str(number): 1 for number in range(100_000)}}, "invalid_value", "logit_bias", ("chat",)
    ),
    "B26-metadata-value": Wrong({"metadata": {"a": "x" * 2**20}}, "invalid_value", "metadata", ("chat",)),
    "B26-metadata-keys": Wrong(
        {"metadata": {f"k{number}": "x" for number in range(1_000)}}, "invalid_value", "metadata", ("chat",)
    ),
    "B26-user": Wrong({"user": "x" * 2**20}, "invalid_value", "user", ("chat",)),
    "B26-user-id": Wrong({"metadata": {"user_id": "x" * 2**20}}, "invalid_value", "metadata.user_id", ("claude",)),
}
"""What only a reader of the whole request sees."""


def rows(table: dict[str, Wrong], *modes: str) -> list[Any]:
    """Return params ``(way, wrong)`` of the ways of these modes."""
    return [
        pytest.param(way, wrong, id=f"{fault}-{name}")
        for fault, wrong in table.items()
        for name, way in WAYS.items()
        if way.mode in modes and way.face.name in wrong.faces
    ]


@pytest.mark.parametrize(("way", "wrong"), [*rows(ENVELOPE, "relay", "translate"), *rows(REQUEST, "translate")])
async def test_what_is_wrong_is_refused_with_its_path(way: Way, wrong: Wrong) -> None:
    async with Bench(way) as bench:
        answer = await send(bench, with_fields(way, **wrong.fields))
        assert_refused(bench, answer, 400, wrong.code, wrong.param)


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"5", b"null", b"true"], ids=lambda body: f"B16-{body.decode()}")
@every_way
async def test_document_that_is_no_object_is_refused(way: Way, body: bytes) -> None:
    async with Bench(way) as bench:
        answer = await send(bench, body)
        assert_refused(bench, answer, 400, "invalid_type")


@pytest.mark.parametrize(("way", "wrong"), rows(REQUEST, "relay"))
async def test_relay_leaves_the_rest_to_its_vendor(way: Way, wrong: Wrong) -> None:
    async with Bench(way, answering(way.upstream.error(400, "the vendor's words"), status=400)) as bench:
        answer = await send(bench, with_fields(way, **wrong.fields))
        assert answer.status == 400
        assert answer.body == way.upstream.error(400, "the vendor's words")
        (call,) = bench.scripted.calls
        sent = {name: value for name, value in wrong.fields.items() if value is not ...}
        assert {name: call.json()[name] for name in sent} == sent


@every_translation
async def test_B17_whole_float_is_an_integer(way: Way) -> None:
    async with Bench(way, answering(way.upstream.whole())) as bench:
        answer = await send(bench, with_fields(way, max_tokens=64.0))
        assert answer.status == 200
        (call,) = bench.scripted.calls
        sent = call.json()
        value = sent.get("max_tokens", sent.get("max_completion_tokens"))
        assert (value, type(value)) == (64, int)


# --- unknown fields and names ----------------------------------------------------------------------------------------

ODD_NAMES = ["__proto__", "constructor", "__class__", "$where", "{}", "%s", "{0.__class__}", "{{7*7}}", "", "a.b", "é"]
ODD: dict[str, Any] = {name: {name: f"{name}!"} for name in ODD_NAMES}


@both_faces
async def test_B18_B21_unknown_fields_of_a_relay_are_kept(way: Way) -> None:
    async with Bench(way, answering(way.upstream.whole())) as bench:
        answer = await send(bench, with_fields(way, **ODD))
        assert answer.status == 200
        (call,) = bench.scripted.calls
        assert {name: call.json()[name] for name in ODD} == ODD


@every_translation
async def test_B18_B21_unknown_fields_of_a_translation_are_kept_or_reported(way: Way) -> None:
    async with Bench(way, answering(way.upstream.whole())) as bench:
        answer = await send(bench, with_fields(way, **ODD))
        assert answer.status == 200
        (call,) = bench.scripted.calls
        kept = {name for name in ODD if call.json().get(name) == ODD[name]}
        told = {notice.path for notice in bench.record.notices if notice.severity == "lost"}
        assert kept | told >= ODD.keys()
        assert kept == (ODD.keys() if way.face is way.upstream else set())
        assert set(answer.header("x-ds2api-notices") or "") <= set(map(chr, range(0x20, 0x7F)))


@every_translation
async def test_B18_unknown_field_is_refused_where_losses_are(way: Way) -> None:
    answers = [answering(way.upstream.whole())] if way.face is way.upstream else []
    async with Bench(way, *answers, on_unsupported="reject") as bench:
        answer = await send(bench, with_fields(way, zz=ECHO))
        if answers:
            assert answer.status == 200
        else:
            assert_refused(bench, answer, 400, "unsupported_value", "zz")


OPTIONS = ("max_body_bytes", "route_headers", "debug_headers", "on_unsupported", "timeout_s", "retry", "model_info")


@every_translation
async def test_B18_unknown_field_is_no_option_of_ours(way: Way) -> None:
    plain, odd = answering(way.upstream.whole()), answering(way.upstream.whole())
    async with Bench(way, plain, odd) as bench:
        first = await send(bench, with_fields(way))
        second = await send(bench, with_fields(way, **dict.fromkeys(OPTIONS, "reject")))
        names = [name for name, _ in first.headers]
        assert (second.status, [name for name, _ in second.headers if name != b"x-ds2api-notices"]) == (200, names)


@pytest.mark.parametrize("name", [name for name in ODD_NAMES if name], ids=lambda name: f"B21-{name}")
@every_translation
async def test_odd_names_within_a_tool_are_data(way: Way, name: str) -> None:
    schema = {"type": "object", "properties": {name: {"type": "string", "description": name}}}
    async with Bench(way, answering(way.upstream.whole())) as bench:
        answer = await send(bench, with_fields(way, tools=[tool(way, "f", schema)]))
        assert answer.status == 200
        assert schema_sent(bench) == schema


@every_way
@pytest.mark.parametrize("text", ["{{7*7}}", "{api_key}", "%(key)s", "${DS2API_SECRET}", "$(id)", "{0}", "%n"])
async def test_B52_text_is_never_rendered(way: Way, text: str) -> None:
    async with Bench(way, answering(way.upstream.whole(text))) as bench:
        answer = await send(bench, with_fields(way, **user(text)))
        assert bench.seen(answer, stream=False).text == text
        (call,) = bench.scripted.calls
        assert json.dumps(text).encode() in call.request.body


@pytest.mark.parametrize("way", [WAYS["claude>chat"], WAYS["chat>claude"]], ids=["claude", "chat"])
async def test_B19_unknown_part_is_left_out_and_reported(way: Way) -> None:
    content = [{"type": "text", "text": "x"}, {"type": "hologram", "data": ECHO}]
    async with Bench(way, answering(way.upstream.whole())) as bench:
        answer = await send(bench, with_fields(way, **user(content)))
        assert answer.status == 200
        assert ("messages[0].content[1]", "lost") in {(n.path, n.severity) for n in bench.record.notices}
        assert "messages[].content[]" in (answer.header("x-ds2api-notices") or "")
        assert ECHO not in str(answer.headers)


# --- tools -----------------------------------------------------------------------------------------------------------


def tool(way: Way, name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Return a tool in the words of a way's face."""
    if way.face.name == "chat":
        return {"type": "function", "function": {"name": name, "parameters": schema}}
    return {"name": name, "input_schema": schema}


def tool_sent(bench: Bench) -> dict[str, Any]:
    """Return the tool that the upstream was sent, without the wrapping."""
    (call,) = bench.scripted.calls
    (tool,) = json.loads(call.request.body)["tools"]
    function: dict[str, Any] = tool.get("function", tool)
    return function


def schema_sent(bench: Bench) -> dict[str, Any]:
    """Return the schema of the one tool that the upstream was sent."""
    sent = tool_sent(bench)
    schema: dict[str, Any] = sent["parameters"] if "parameters" in sent else sent["input_schema"]
    return schema


NODE: dict[str, Any] = {"type": "object", "properties": {"next": {"$ref": "#"}}}
EVIL: dict[str, dict[str, Any]] = {
    "B23-ref-to-itself": NODE,
    "B23-ref-to-elsewhere": {"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:1/schema"}}},
    "B23-ref-to-a-file": {"type": "object", "properties": {"a": {"$ref": "file:///etc/passwd"}}},
    "B23-enum": {"type": "object", "properties": {"a": {"enum": [f"v{number}" for number in range(100_000)]}}},
    "B23-pattern": {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}},
    "B23-no-pattern": {"type": "object", "properties": {"a": {"type": "string", "pattern": "(((["}}},
    "B23-all-of": {"type": "object", "properties": {"a": {"allOf": [{"allOf": [{"type": "string"}] * 50}] * 50}}},
}


@pytest.mark.parametrize("schema", EVIL.values(), ids=EVIL.keys())
@every_translation
async def test_schema_of_a_tool_is_neither_resolved_nor_compiled(way: Way, schema: dict[str, Any]) -> None:
    async with Bench(way, answering(way.upstream.whole())) as bench:
        answer = await send(bench, with_fields(way, tools=[tool(way, "f", schema)]))
        assert answer.status == 200
        assert schema_sent(bench) == schema


NAMES = {"B25-blank": "get weather", "B25-unicode": "wetter_für_köln", "B25-long": "n" * 200, "B25-dots": "a.b/c"}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
@every_translation
@whole_and_streamed
async def test_odd_tool_name_comes_back_as_it_was(way: Way, name: str, stream: bool) -> None:
    seen: list[str] = []
    async with Bench(way, answering(way.upstream.whole())) as bench:
        await send(bench, with_fields(way, tools=[tool(way, name, {"type": "object"})]))
        seen.append(tool_sent(bench)["name"])
        assert len(seen[0]) <= {"chat": 64, "claude": 128}[way.upstream.name]
        assert seen[0].isascii()
        assert seen[0].replace("_", "a").replace("-", "a").isalnum()
    async with Bench(way, call_of(way, seen[0], stream=stream)) as bench:
        asked = json.loads(with_fields(way, tools=[tool(way, name, {"type": "object"})], stream=stream))
        answer = await bench.ask(stream=stream, body=json.dumps(asked).encode())
        assert answer.status == 200
        assert json.dumps(name).encode() in answer.body or name.encode() in answer.body
        if name != seen[0]:
            assert seen[0].encode() not in answer.body


def call_of(way: Way, name: str, *, stream: bool) -> Any:
    """Return an answer of the upstream that calls a tool."""
    if stream:
        named = json.dumps(name).encode()
        return streaming(*[frame.replace(b'"weather"', named) for frame in way.upstream.tool_stream()])
    if way.upstream.name == "chat":
        call = {"id": "c", "type": "function", "function": {"name": name, "arguments": "{}"}}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        whole = json.loads(way.upstream.whole())
        whole["choices"] = [{"index": 0, "message": message, "finish_reason": "tool_calls"}]
        return answering(whole)
    whole = json.loads(way.upstream.whole())
    whole["content"] = [{"type": "tool_use", "id": "toolu_1", "name": name, "input": {}}]
    whole["stop_reason"] = "tool_use"
    return answering(whole)


@every_translation
async def test_B25_names_that_would_become_one_are_refused(way: Way) -> None:
    async with Bench(way, answering(way.upstream.whole())) as bench:
        await send(bench, with_fields(way, tools=[tool(way, "get weather", {"type": "object"})]))
        fitted = tool_sent(bench)["name"]
    async with Bench(way) as bench:
        both = [tool(way, "get weather", {"type": "object"}), tool(way, fitted, {"type": "object"})]
        answer = await send(bench, with_fields(way, tools=both))
        place = "tools[1].function.name" if way.face.name == "chat" else "tools[1].name"
        assert_refused(bench, answer, 400, "tool_name_conflict", place)


ONCE = {"chat": ("invalid_value", "tools[1]"), "claude": ("tool_name_conflict", "tools[1].name")}


@every_translation
async def test_B25_one_name_twice_is_refused(way: Way) -> None:
    async with Bench(way) as bench:
        answer = await send(bench, with_fields(way, tools=[tool(way, "f", {"type": "object"})] * 2))
        code, param = ONCE[way.face.name]
        assert_refused(bench, answer, 400, code, param)


@every_translation
async def test_B22_as_many_tools_as_are_read_arrive(way: Way) -> None:
    many = [tool(way, f"f{number}", {"type": "object"}) for number in range(512)]
    async with Bench(way, answering(way.upstream.whole())) as bench:
        answer = await send(bench, with_fields(way, tools=many))
        assert answer.status == 200
        (call,) = bench.scripted.calls
        assert len(json.loads(call.request.body)["tools"]) == 512


WRAPPED = {"[1]": [1], '"text"': "text", "1e400": float("inf")}
"""Arguments that are JSON, though no object, go on as the one value of an object."""
ARGUMENTS = [*WRAPPED, "not json", '{"a":', "__import__('os').system('id')", "{'a': 1}", "NaN"]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=lambda text: f"B28-{text}")
@pytest.mark.parametrize("way", CHAT_ONLY)
async def test_arguments_that_are_no_json_go_on_as_text(way: Way, arguments: str) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    talk = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "y"},
    ]
    async with Bench(way, answering(way.upstream.whole())) as bench:
        answer = await send(bench, with_fields(way, messages=talk))
        assert answer.status == 200
        (sent,) = bench.scripted.calls
        messages = json.loads(sent.request.body)["messages"]
        if way.upstream.name == "chat":
            assert messages[1]["tool_calls"][0]["function"]["arguments"] == arguments
        else:
            (value,) = messages[1]["content"][0]["input"].values()
            assert value in (arguments, WRAPPED.get(arguments))


# --- streams ---------------------------------------------------------------------------------------------------------

ABSENT: Any = ...
OPTIONS_OF_STREAMS: dict[str, tuple[Any, bool]] = {
    "B27-absent": (ABSENT, False),
    "B27-null": (None, False),
    "B27-empty": ({}, False),
    "B27-false": ({"include_usage": False}, False),
    "B27-true": ({"include_usage": True}, True),
    "B27-odd": ({"include_usage": True, "zz": 1}, True),
}


@pytest.mark.parametrize(("options", "is_told"), OPTIONS_OF_STREAMS.values(), ids=OPTIONS_OF_STREAMS.keys())
@pytest.mark.parametrize("way", [pytest.param(w, id=n) for n, w in WAYS.items() if w.face.name == "chat"])
async def test_usage_of_a_stream_comes_if_it_was_asked_for(way: Way, options: Any, is_told: bool) -> None:
    async with Bench(way, streaming(*way.upstream.text_stream())) as bench:
        body = with_fields(way, stream=True, stream_options=options)
        answer = await bench.ask(stream=True, body=body)
        assert answer.status == 200
        if way.mode == "translate":  # in a relay it is as the vendor says
            assert (bench.seen(answer, stream=True).usage is not None) == is_told
        assert bench.record.usage is not None


@pytest.mark.parametrize("way", CHAT_ONLY)
async def test_B27_options_of_a_stream_without_one_are_not_sent(way: Way) -> None:
    async with Bench(way, answering(way.upstream.whole())) as bench:
        answer = await send(bench, with_fields(way, stream=False, stream_options={"include_usage": True}))
        assert answer.status == 200
        (call,) = bench.scripted.calls
        assert "stream_options" not in call.json()


# --- look-alikes and numbers -----------------------------------------------------------------------------------------


@both_faces
async def test_B19_developer_is_a_role_of_chat_alone(way: Way) -> None:
    talk = [{"role": "developer", "content": "Be kind."}, {"role": "user", "content": "x"}]
    if way.face.name == "chat":
        async with Bench(WAYS["chat>claude"], answering(WAYS["chat>claude"].upstream.whole())) as bench:
            answer = await send(bench, with_fields(bench.way, messages=talk))
            (call,) = bench.scripted.calls
            assert (answer.status, "Be kind." in json.dumps(call.json()["system"])) == (200, True)
        return
    async with Bench(WAYS["claude>chat"]) as bench:
        answer = await send(bench, with_fields(bench.way, messages=talk))
        assert_refused(bench, answer, 400, "invalid_value", "messages[0].role")


LOOK_ALIKES = {
    "B31-cyrillic": "g\u0440t-test",
    "B31-fullwidth": "\uff47pt-test",
    "B31-case": "GPT-test",
    "B31-blank": "gpt-test ",
}


@pytest.mark.parametrize("model", LOOK_ALIKES.values(), ids=LOOK_ALIKES.keys())
@pytest.mark.parametrize("way", [WAYS["chat>chat"], WAYS["claude>chat"]], ids=["chat", "claude"])
async def test_model_that_only_looks_like_one_is_unknown(way: Way, model: str) -> None:
    async with Bench(way, answering(way.upstream.whole())) as bench:
        answer = await send(bench, with_fields(way, model="gpt-test"))
        assert answer.status == 200
    async with Bench(way) as bench:
        answer = await send(bench, with_fields(way, model=model))
        assert_refused(bench, answer, 404, "model_not_found")


NUMBERS: dict[str, Any] = {
    "B32-10^30": 10**30,
    "B32-NaN": "NaN",
    "B32-negative": -5,
    "B32-half": 1.5,
    "B32-null": None,
    "B32-list": [1],
    "B32-10^400": 10**400,
}


@pytest.mark.parametrize("number", NUMBERS.values(), ids=NUMBERS.keys())
@whole_and_streamed
@every_way
async def test_no_number_of_an_upstream_breaks_the_accounting(way: Way, stream: bool, number: Any) -> None:
    usage = (
        {"prompt_tokens": number, "completion_tokens": number, "total_tokens": number}
        if way.upstream.name == "chat"
        else {"input_tokens": number, "output_tokens": number}
    )
    async with Bench(way, telling(way, usage, stream=stream)) as bench:
        answer = await bench.ask(stream=stream)
        assert answer.status == 200
        seen = bench.seen(answer, stream=stream)
        assert (seen.is_success, seen.text) == (True, "Es war é日😀 einmal.")
        told = bench.record.usage
        assert told is None or all(
            0 <= count <= 2**53 for count in (told.input_total, told.output_total) if count is not None
        )


def telling(way: Way, usage: dict[str, Any], *, stream: bool) -> Any:
    """Return a good answer of the upstream with this usage."""
    if not stream:
        return answering(json.dumps({**json.loads(way.upstream.whole()), "usage": usage}).encode())
    frames = way.upstream.text_stream()
    if way.upstream.name == "chat":
        frames[-2] = WAYS["chat>chat"].face.usage_frame(usage)  # type: ignore[attr-defined]  # a Chat
    else:
        delta = {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": usage}
        frames[-2] = b"event: message_delta\ndata: " + json.dumps(delta).encode() + b"\n\n"
    return streaming(*frames)
