"""What users of gateways have suffered from, of R-1 to R-30 what is not about streams: through the whole gateway.

The rows are requirements that were drawn from public threads about other gateways, one open complaint each. Rows that
need a protocol which is not here yet say which, and fail as soon as it is. The others are in `test_peers_streams`, and
R-17 in `test_peers_schemas`.
"""

import hashlib
import json
from collections import Counter
from typing import Any

import pytest

from tests.conformance.asking import (
    HELLO,
    Asked,
    ask,
    chat_answer,
    claude_answer,
    error,
    gemini_answer,
    response_answer,
)
from tests.support.customers import Customers
from tests.support.peers import (
    CHAT_TOOL,
    CLASSIC,
    MODERN,
    PDF,
    PNG,
    TOOL,
    assistant,
    call,
    chat_turns,
    proves,
    result,
    text,
    use,
    user,
)

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("pain")]


def digest(payload: object) -> str:
    return hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()


# --- blocks of a talk -------------------------------------------------------------------------------------------------


@proves("R-1")
async def test_calls_and_results_of_a_talk_reach_a_chat_upstream_all() -> None:
    talk: list[Any] = [user(text("go"))]
    for turn in range(5):
        ids = [f"t{turn}_{n}" for n in range(3)]
        talk += [assistant(text("w"), *(use(id_, n=id_) for id_ in ids)), user(*(result(id_, id_) for id_ in ids))]
    asked = await ask("claude", "chat", {"messages": talk, "tools": [TOOL]}, chat_answer())
    blocks = [block for message in talk for block in message["content"]]
    calls = [made for message in asked.sent["messages"] for made in message.get("tool_calls", [])]
    results = [message for message in asked.sent["messages"] if message["role"] == "tool"]
    assert Counter((made["id"], digest(json.loads(made["function"]["arguments"]))) for made in calls) == Counter(
        (block["id"], digest(block["input"])) for block in blocks if block["type"] == "tool_use"
    )
    assert Counter((answer["tool_call_id"], digest(answer["content"])) for answer in results) == Counter(
        (block["tool_use_id"], digest(block["content"])) for block in blocks if block["type"] == "tool_result"
    )


@proves("R-1")
async def test_anthropics_blocks_in_a_chat_history_are_sent_or_told() -> None:
    turns = [*HELLO, assistant(use("t1")), user(result("t1", "r"), text("and?"))]
    asked = await ask("chat", "claude", {"messages": turns}, claude_answer(), model=CLASSIC)
    assert {"messages[1].content[0]", "messages[2].content[0]"} <= asked.notices.keys()


@proves("R-2")
async def test_a_call_that_the_vendor_ran_and_its_result_go_or_stay_together() -> None:
    search = {"type": "server_tool_use", "id": "srv1", "name": "web_search", "input": {"query": "q"}}
    found = {"type": "web_search_tool_result", "tool_use_id": "srv1", "content": []}
    turns = [*HELLO, assistant(search, found, text("x")), *HELLO]
    asked = await ask("claude", "chat", {"messages": turns}, chat_answer())
    assert asked.sent["messages"][1].keys() == {"role", "content"}
    assert {"messages[1].content[0]", "messages[1].content[1]"} <= asked.notices.keys()


@proves("R-3")
async def test_a_call_without_a_result_is_refused_by_its_place() -> None:
    body = {"messages": [*chat_turns(call("a"), call("b"))[:-1]], "tools": [CHAT_TOOL]}
    asked = await ask("chat", "claude", body, model=CLASSIC, on_unsupported="reject")
    assert (asked.answer.status, asked.upstream.calls) == (400, [])
    assert asked.json["error"]["param"] == "messages[1].tool_calls[1]"


@proves("R-3")
async def test_a_call_without_a_result_gets_one_that_says_so() -> None:
    body = {"messages": [*chat_turns(call("a"), call("b"))[:-1]], "tools": [CHAT_TOOL]}
    asked = await ask("chat", "claude", body, claude_answer(), model=CLASSIC)
    assert [block["tool_use_id"] for block in asked.sent["messages"][2]["content"]] == ["a", "b"]
    assert asked.notices["messages[1].tool_calls[1]"] == "lost"


# --- thinking ---------------------------------------------------------------------------------------------------------

THOUGHTS = [
    {"type": "thinking", "thinking": "a", "signature": "c2lnYQ=="},
    {"type": "redacted_thinking", "data": "cmVk+/=="},
    {"type": "thinking", "thinking": "b", "signature": "c2lnYg=="},
]
EMPTY = {"type": "thinking", "thinking": "", "signature": "c2lnZQ=="}


async def there_and_back(blocks: list[Any]) -> Asked:
    """Let a Chat client tell Claude what Claude said."""
    first = await ask("chat", "claude", {"include_reasoning": True}, claude_answer(blocks), model=CLASSIC)
    turns = [*HELLO, first.json["choices"][0]["message"], *HELLO]
    body = {"messages": turns, "reasoning": {"max_tokens": 1024}, "max_tokens": 4096}
    return await ask("chat", "claude", body, claude_answer(), model=CLASSIC)


@proves("R-9")
async def test_thinking_comes_back_through_a_chat_client_bit_for_bit() -> None:
    asked = await there_and_back([*THOUGHTS, text("Hi")])
    assert asked.sent["messages"][1]["content"] == [*THOUGHTS, text("Hi")]


@proves("R-10")
async def test_empty_thinking_that_is_signed_comes_back() -> None:
    asked = await there_and_back([EMPTY, text("Hi")])
    assert asked.sent["messages"][1]["content"] == [EMPTY, text("Hi")]


@proves("R-10")
@pytest.mark.parametrize("profile", [None, {"exact": False, "vendor": "anthropic"}], ids=["relay", "translate"])
async def test_thinking_between_calls_keeps_its_place(profile: Any) -> None:
    said = [THOUGHTS[0], use("t1"), EMPTY, use("t2")]
    turns = [*HELLO, assistant(*said), user(result("t1", "r"), result("t2", "r"))]
    body = {"messages": turns, "tools": [TOOL], "thinking": {"type": "adaptive"}}
    asked = await ask("claude", "claude", body, claude_answer(), model=MODERN, profile=profile)
    assert asked.sent["messages"][1]["content"] == said


@proves("R-10")
async def test_thinking_does_not_go_to_another_vendor() -> None:
    turns = [*HELLO, assistant(THOUGHTS[0], text("x")), *HELLO]
    asked = await ask("claude", "chat", {"messages": turns}, chat_answer(), profile="lenient")
    assert "c2lnYQ==" not in json.dumps(asked.sent)
    assert "messages[1].content[0]" in " ".join(asked.notices)


@proves("R-10")
async def test_a_signature_that_is_refused_is_tried_once_without() -> None:
    refused = {"type": "error", "error": {"type": "invalid_request_error", "message":
               "messages.1.content.0: Invalid `signature` in `thinking` block"}}  # fmt: skip
    first = await ask("chat", "claude", {"include_reasoning": True}, claude_answer([*THOUGHTS, text("x")]))
    turns = [*HELLO, first.json["choices"][0]["message"], *HELLO]
    asked = await ask("chat", "claude", {"messages": turns}, error(400, refused), claude_answer(), model=CLASSIC)
    assert (asked.answer.status, len(asked.upstream.calls)) == (200, 2)
    assert "thinking" not in json.dumps(asked.sent["messages"])
    assert "lost" in asked.notices.values()


@proves("R-11")
async def test_geminis_signature_goes_round_with_a_call() -> None:
    part = {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "S"}
    first = await ask("chat", "gemini", {"tools": [CHAT_TOOL]}, gemini_answer([part]))
    (made,) = first.json["choices"][0]["message"]["tool_calls"]
    asked = await ask("chat", "gemini", {"messages": chat_turns(made)}, gemini_answer([{"text": "x"}]))
    assert asked.sent["contents"][1]["parts"][0]["thoughtSignature"] == "S"


@proves("R-12")
async def test_encrypted_reasoning_stays_with_its_account() -> None:
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "CIPHER"}
    body = {"input": [*HELLO, item, *HELLO]}
    own = await ask("responses", "responses", body, response_answer())
    assert own.sent["input"][1]["encrypted_content"] == "CIPHER"
    others = [
        await ask("responses", "chat", body, chat_answer()),
        await ask("responses", "claude", body, claude_answer()),
        await ask("responses", "gemini", body, gemini_answer([{"text": "x"}])),
    ]
    assert not any("CIPHER" in json.dumps(asked.sent) for asked in others)


@proves("R-12")
@pytest.mark.parametrize("profile", [None, {"exact": False}], ids=["relay", "translate"])
@pytest.mark.parametrize("owner", [0, 1, 2])
async def test_encrypted_reasoning_finds_its_account(profile: Any, owner: int) -> None:
    """Nobody here remembers the conversation: the vendor's own refusals tell whose it is."""
    talk = Customers(owner, accounts=3, profile=profile)
    assert [await talk.ask() for _ in range(3)] == [200] * 3
    assert talk.asked[-1] == (owner, True)
    assert talk.notices == {}


@proves("R-12")
@pytest.mark.parametrize("profile", [None, {"exact": False}], ids=["relay", "translate"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_encrypted_reasoning_that_no_account_can_read_is_left_out_and_told(profile: Any, stream: bool) -> None:
    talk = Customers(None, accounts=2, profile=profile)
    assert await talk.ask(stream=stream) == 200
    assert talk.asked == [(0, True), (1, True), (0, False)]
    assert talk.sent["input"] == [
        {"type": "message", "role": "user", "content": "Hi"},
        {"type": "message", "role": "assistant", "content": "Hm."},
        {"type": "message", "role": "user", "content": "On."},
    ]
    assert talk.notices == {"input[1]": "lost", "input[2].id": "hint"}
    removed = {"id": "rs_1", "type": "reasoning", "action": "removed", "reason": "organization_mismatch"}
    assert talk.answer["input_transformations"] == [removed]


@proves("R-12")
async def test_encrypted_reasoning_that_may_not_be_lost_is_refused_in_the_vendors_words() -> None:
    talk = Customers(None, accounts=2, profile=None, on_unsupported="reject")
    assert await talk.ask() == 400
    assert talk.asked == [(0, True), (1, True)]
    assert talk.answer["error"]["code"] == "invalid_encrypted_content"


@proves("R-12")
async def test_encrypted_summary_that_no_account_can_read_is_refused_in_the_vendors_words() -> None:
    """Without it the talk is another one."""
    talk = Customers(None, accounts=2, profile=None)
    summary = {"type": "compaction", "id": "cmp_1", "encrypted_content": "CIPHER"}
    assert await talk.ask(input=[summary, *HELLO]) == 400
    assert talk.asked == [(0, True), (1, True)]


# --- what a request asks for ------------------------------------------------------------------------------------------


@proves("R-16")
async def test_of_six_cache_marks_the_last_four_are_kept_and_the_others_told() -> None:
    marked = [{**text(str(n)), "cache_control": {"type": "ephemeral"}} for n in range(6)]
    asked = await ask("chat", "claude", {"messages": [user(*marked)]}, claude_answer(), model=CLASSIC)
    assert ["cache_control" in block for block in asked.sent["messages"][0]["content"]] == [False] * 2 + [True] * 4
    told = [path for path in asked.notices if path.endswith("cache_control")]
    assert sorted(told) == [f"messages[0].content[{n}].cache_control" for n in range(2)]


@proves("R-16")
async def test_marks_inside_of_results_count_too() -> None:
    marked = [{**text("r"), "cache_control": {"type": "ephemeral"}}]
    ids = [f"c{n}" for n in range(6)]
    results = [{"role": "tool", "tool_call_id": id_, "content": marked} for id_ in ids]
    turns = [*HELLO, {"role": "assistant", "content": None, "tool_calls": [call(id_) for id_ in ids]}, *results]
    asked = await ask("chat", "claude", {"messages": turns, "tools": [CHAT_TOOL]}, claude_answer(), model=CLASSIC)
    assert json.dumps(asked.sent).count("cache_control") == 4


@proves("R-18")
async def test_pictures_of_results_are_all_there_behind_them() -> None:
    shown = [user(result("t1", [text("a"), PNG, PNG]), result("t2", [PDF]))]
    asked = await ask(
        "claude",
        "chat",
        {"messages": [*HELLO, assistant(use("t1"), use("t2")), *shown], "tools": [TOOL]},
        chat_answer(),
    )
    *_, first, second, last = asked.sent["messages"]
    assert [first["role"], second["role"], last["role"]] == ["tool", "tool", "user"]
    kinds = Counter(part["type"] for part in last["content"])
    assert (kinds["image_url"], kinds["file"]) == (2, 1)
    captions = [part["text"] for part in last["content"] if part["type"] == "text"]
    assert captions == [f"From the result of the tool call {id_}:" for id_ in ("t1", "t2")]


SOURCES: dict[str, tuple[Any, Any]] = {
    "base64": (PDF["source"], "data:application/pdf;base64,JVBERg=="),
    "url": ({"type": "url", "url": "https://example.com/a.pdf"}, None),
    "file_id": ({"type": "file", "file_id": "file_1"}, None),
    "text": ({"type": "text", "media_type": "text/plain", "data": "words"}, "words"),
}


@proves("R-19")
@pytest.mark.parametrize(("source", "expected"), SOURCES.values(), ids=SOURCES.keys())
async def test_each_source_of_a_document_is_sent_or_refused_by_its_place(source: Any, expected: str | None) -> None:
    body = {"messages": [user(text("?"), {"type": "document", "source": source})]}
    asked = await ask("claude", "chat", body, *([chat_answer()] if expected else []))
    if expected is None:
        assert (asked.answer.status, asked.upstream.calls) == (400, [])
        assert "messages[0].content[1]" in asked.json["error"]["message"]
    else:
        assert expected in json.dumps(asked.sent["messages"][0])


@proves("R-20")
@pytest.mark.parametrize("blank", ["", " ", "\n\n"], ids=["empty", "space", "lines"])
@pytest.mark.parametrize("role", ["system", "user", "assistant", "tool"])
@pytest.mark.parametrize("in_parts", [False, True], ids=["string", "parts"])
async def test_no_blank_text_reaches_anthropic(role: str, blank: str, in_parts: bool) -> None:
    content = [text(blank)] if in_parts else blank
    turns: list[Any] = [*HELLO]
    match role:
        case "tool":
            turns = [*chat_turns(call("a"))[:-1], {"role": "tool", "tool_call_id": "a", "content": content}]
        case "assistant":
            turns += [{"role": role, "content": content}, *HELLO]
        case _:
            turns = [{"role": role, "content": content}, *(HELLO if role == "system" else ())]
    script = [] if role == "user" else [claude_answer()]
    asked = await ask("chat", "claude", {"messages": turns, "tools": [CHAT_TOOL]}, *script, model=CLASSIC)
    if role == "user":
        assert (asked.answer.status, asked.json["error"]["param"]) == (400, "messages[0]")
        return
    blocks = [b for message in asked.sent["messages"] for b in message["content"] if isinstance(b, dict)]
    blocks += [inner for block in blocks for inner in block.get("content", []) if isinstance(inner, dict)]
    assert all(block["text"].strip() for block in blocks if block["type"] == "text")
    assert "system" not in asked.sent


@proves("R-21")
@pytest.mark.parametrize("word", ["system", "developer"])
@pytest.mark.parametrize("model", [CLASSIC, MODERN])
async def test_a_later_system_message_keeps_its_place_or_is_told(word: str, model: str) -> None:
    turns = [*HELLO, {"role": word, "content": "S"}, {"role": "assistant", "content": "A"}, *HELLO]
    asked = await ask("chat", "claude", {"messages": turns}, claude_answer(), model=model)
    said = json.dumps(asked.sent["messages"])
    assert said.index("Hi") < said.index("S") < said.index('"A"')
    assert ("messages[1]" in asked.notices) is (model == CLASSIC)


@proves("R-22")
async def test_a_field_that_the_model_refuses_is_left_out_at_once_and_told() -> None:
    words = "Unsupported parameter: 'temperature' is not supported with this model."
    refused = {"error": {"message": words, "type": "invalid_request_error", "param": "temperature", "code": "x"}}
    asked = await ask("claude", "chat", {"temperature": 0.5}, error(400, refused), chat_answer())
    assert (asked.answer.status, "temperature" in asked.sent) == (200, False)
    assert asked.notices["temperature"] == "lost"


@proves("R-22")
@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
async def test_the_name_of_the_limit_is_a_fact_that_can_be_configured(name: str) -> None:
    asked = await ask("claude", "chat", {"max_tokens": 7}, chat_answer(), profile={"max_tokens_field": name})
    assert {key: value for key, value in asked.sent.items() if key.startswith("max_")} == {name: 7}


@proves("R-23")
@pytest.mark.parametrize("profile", [None, "lenient"], ids=["relay", "translate"])
async def test_a_list_of_one_stop_stays_a_list(profile: Any) -> None:
    asked = await ask("chat", "chat", {"stop": ["END"]}, chat_answer(), profile=profile)
    assert asked.sent["stop"] == ["END"]


@proves("R-23")
async def test_a_stop_that_is_relayed_stays_a_string() -> None:
    assert (await ask("chat", "chat", {"stop": "END"}, chat_answer())).sent["stop"] == "END"


@proves("R-24")
async def test_odd_ids_become_legal_alike_every_time() -> None:
    body = {"messages": chat_turns(call("call:1/ä"), call("x" * 90)), "tools": [CHAT_TOOL]}
    sent = [(await ask("chat", "claude", body, claude_answer(), model=CLASSIC)).sent["messages"] for _ in range(2)]
    assert sent[0] == sent[1]
    ids = [block["id"] for block in sent[0][1]["content"]]
    assert ids == [block["tool_use_id"] for block in sent[0][2]["content"]]
    assert all(id_.isascii() and id_.replace("_", "").replace("-", "").isalnum() for id_ in ids)


@proves("R-24")
async def test_ids_fit_responses() -> None:
    asked = await ask("chat", "responses", {"messages": chat_turns(call("x" * 90))}, response_answer())
    ids = [item["call_id"] for item in asked.sent["input"] if "call_id" in item]
    assert ids == [ids[0]] * 2
    assert len(ids[0]) <= 64


SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}


@proves("R-25")
@pytest.mark.parametrize("model", [CLASSIC, "claude-sonnet-4-0"], ids=["switch", "words"])
async def test_a_schema_reaches_anthropic_whatever_the_model(model: str) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
    asked = await ask("chat", "claude", {"response_format": wanted}, claude_answer(), model=model)
    in_words = "valid for this schema" in json.dumps(asked.sent.get("system", ""))
    assert (asked.sent.get("output_config", {}).get("format", {}).get("schema") == SCHEMA) is not in_words
    assert in_words is (asked.notices.get("response_format") == "changed")


@proves("R-25")
async def test_any_object_is_never_asked_for_by_a_schema_that_takes_none() -> None:
    asked = await ask("chat", "claude", {"response_format": {"type": "json_object"}}, claude_answer(), model=CLASSIC)
    assert "output_config" not in asked.sent
    assert "JSON object" in asked.sent["system"]


STOPS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "stop",
    "pause_turn": "stop",
    "refusal": "content_filter",
    "of_next_year": "stop",
}
FINISHES = {
    "stop": "end_turn",
    "length": "max_tokens",
    "content_filter": "refusal",
    "tool_calls": "tool_use",
    "of_next_year": "end_turn",
}


@proves("R-26")
@pytest.mark.parametrize(("stop", "finish"), STOPS.items(), ids=STOPS.keys())
async def test_every_end_of_anthropic_has_a_word_of_openais(stop: str, finish: str) -> None:
    asked = await ask("chat", "claude", {}, claude_answer(stop=stop))
    assert asked.json["choices"][0]["finish_reason"] == finish


@proves("R-26")
@pytest.mark.parametrize(("finish", "stop"), FINISHES.items(), ids=FINISHES.keys())
async def test_every_end_of_openai_has_a_word_of_anthropics(finish: str, stop: str) -> None:
    message = {"content": None, "tool_calls": [call("c")]} if finish == "tool_calls" else None
    asked = await ask("claude", "chat", {}, chat_answer(message, finish))
    assert asked.json["stop_reason"] == stop


@proves("R-26")
async def test_the_sequence_that_stopped_is_told() -> None:
    asked = await ask("chat", "claude", {"stop": ["END"]}, claude_answer(stop="stop_sequence", stop_sequence="END"))
    assert asked.json["choices"][0]["stop_reason"] == "END"


@proves("R-27")
async def test_allowed_tools_are_all_that_is_offered() -> None:
    allowed = {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]}
    other = {"type": "function", "function": {"name": "g", "parameters": {"type": "object"}}}
    choice = {"type": "allowed_tools", "allowed_tools": allowed}
    body = {"tools": [CHAT_TOOL, other], "tool_choice": choice, "parallel_tool_calls": False}
    asked = await ask("chat", "claude", body, claude_answer(), model=CLASSIC)
    assert [tool["name"] for tool in asked.sent["tools"]] == ["f"]
    assert asked.sent["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}


@proves("R-28")
async def test_an_id_of_an_answer_that_nobody_keeps_is_told() -> None:
    asked = await ask("chat", "claude", {"previous_response_id": "resp_1"}, claude_answer())
    assert asked.notices["previous_response_id"] == "lost"


@proves("R-28")
async def test_an_answer_on_the_face_of_responses_has_an_id_of_its_form() -> None:
    asked = await ask("responses", "claude", {"input": "Hi"}, claude_answer())
    assert asked.json["id"].startswith("resp_")


BETA = {"anthropic-beta": "context-1m-2025-08-07,of-next-year-2027-01-01"}


@proves("R-29")
async def test_betas_go_to_their_vendor_alone() -> None:
    own = await ask("claude", "claude", {}, claude_answer(), headers=BETA)
    assert dict(own.upstream.calls[0].request.headers)[b"anthropic-beta"].decode() == BETA["anthropic-beta"]
    other = await ask("claude", "chat", {}, chat_answer(), headers=BETA)
    assert b"anthropic-beta" not in dict(other.upstream.calls[0].request.headers)
    assert other.notices["anthropic-beta"] == "hint"


@proves("R-30")
async def test_what_is_absent_stays_absent_and_null_stays_null() -> None:
    asked = await ask("chat", "chat", {"stop": None}, chat_answer())
    assert asked.sent == {"model": "test-model", "messages": HELLO, "stop": None}
    translated = await ask("chat", "claude", {"stop": None}, claude_answer(), model=CLASSIC)
    assert translated.sent.keys() == {"model", "messages", "max_tokens"}
    assert "null" not in json.dumps(translated.sent)
