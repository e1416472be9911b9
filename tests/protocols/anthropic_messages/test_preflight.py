"""A request of a Chat client is made fit for Anthropic, alike every time, and everything changed is reported."""

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from asgi_ds2api.canonical import (
    CacheControl,
    CacheMark,
    Citation,
    CustomTool,
    FunctionTool,
    Notices,
    Opaque,
    OutputFormat,
    Reasoning,
    ReasoningControl,
    Refusal,
    Request,
    Sampling,
    State,
    Text,
    ToolCall,
    ToolChoice,
    ToolResult,
    VendorTool,
)
from asgi_ds2api.errors import Unsupported
from asgi_ds2api.profiles import PROFILES, Profile
from asgi_ds2api.protocols import anthropic_messages as codec

from .calls import ANTHROPIC, NEW, OLD, chat, encode, profile_with, result, say, told, tool_call

F = FunctionTool(name="f", parameters=Raw(b'{"type":"object","properties":{}}'), at="tools[0]")
G = FunctionTool(name="g", parameters=Raw(b'{"type":"object","properties":{}}'), at="tools[1]")


def messages(request: Request, profile: Profile = ANTHROPIC) -> list[dict[str, Any]]:
    written: list[dict[str, Any]] = encode(request, profile)[0]["messages"]
    return written


def refused(request: Request, profile: Profile = ANTHROPIC) -> str | None:
    with pytest.raises(Unsupported) as caught:
        encode(request, profile)
    return caught.value.param


class TestTurns:
    def test_leading_system_messages_are_hoisted_in_order_and_a_later_one_is_wrapped_C21(self) -> None:
        request = chat(
            say("system", "A"), say("developer", "A2"), say("user", "U"), say("developer", "B"), say("user", "V")
        )
        written, notices = encode(request)
        assert written["system"] == [{"type": "text", "text": "A"}, {"type": "text", "text": "A2"}]
        assert written["messages"] == [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "U"},
                    {"type": "text", "text": "<system>\nB\n</system>"},
                    {"type": "text", "text": "V"},
                ],
            }
        ]
        assert len(told(notices, "changed")) == 1

    def test_a_later_system_message_stays_where_the_model_takes_it_C29(self) -> None:
        request = chat(say("user", "U"), say("developer", "B"), say("assistant", "A"), say("user", "V"))
        assert [m["role"] for m in messages(request, profile_with(system_midway=True))] == [
            "user",
            "system",
            "assistant",
            "user",
        ]
        assert [m["role"] for m in messages(request, profile_with(system_midway=False))] == [
            "user",
            "assistant",
            "user",
        ]

    @pytest.mark.parametrize(
        "history",
        [
            pytest.param(("user", "assistant", "system", "user"), id="behind-an-assistant"),
            pytest.param(("user", "system", "user"), id="before-a-user"),
        ],
    )
    def test_a_system_message_in_an_illegal_place_is_wrapped(self, history: tuple[str, ...]) -> None:
        turns = [say(role, role.upper()) for role in history]  # type: ignore[arg-type]  # roles by name
        roles = [m["role"] for m in messages(chat(*turns), profile_with(system_midway=True))]
        assert "system" not in roles

    def test_a_system_message_at_the_end_is_legal(self) -> None:
        request = chat(say("user", "U"), say("system", "B"))
        assert [m["role"] for m in messages(request, profile_with(system_midway=True))] == ["user", "system"]

    def test_neighbours_of_one_role_are_merged_C07(self) -> None:
        request = chat(
            say("user", "a"), say("user", "b"), say("assistant", "c"), say("assistant", "d"), say("user", "e")
        )
        assert messages(request) == [
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "c"}, {"type": "text", "text": "d"}]},
            {"role": "user", "content": "e"},
        ]

    def test_blank_text_is_left_out_C08(self) -> None:
        request = chat(say("user", " \n", "hi", ""), say("assistant", ""), say("user", "go"))
        assert messages(request) == [
            {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "text", "text": "go"}]}
        ]

    @pytest.mark.parametrize("content", [(), ("",), (" \n\t",)], ids=["none", "empty", "blank"])
    def test_a_user_who_says_nothing_is_refused_C08(self, content: tuple[str, ...]) -> None:
        with pytest.raises(Unsupported, match="messages") as caught:
            encode(chat(say("user", *content, at="messages[0]")))
        assert caught.value.param == "messages[0]"

    def test_a_talk_begins_with_the_user(self) -> None:
        written, notices = encode(chat(say("assistant", "Hello", at="messages[0]"), say("user", "hi")))
        assert [m["role"] for m in written["messages"]] == ["user", "assistant", "user"]
        assert [(n.path, n.action) for n in notices] == [("messages[0]", "inserted")]

    @pytest.mark.parametrize("turns", [(), ("system",)], ids=["nobody", "system-alone"])
    def test_a_talk_without_anybody_is_refused(self, turns: tuple[str, ...]) -> None:
        request = Request(source="openai_chat", model=OLD, messages=tuple(say("system", "x") for _ in turns))
        assert refused(request) == "messages"

    def test_an_old_model_continues_its_own_message_without_trailing_white_space(self) -> None:
        request = chat(say("user", "hi"), say("assistant", "The answer is \n"))
        assert messages(request)[-1] == {"role": "assistant", "content": "The answer is"}

    def test_a_new_model_does_not(self) -> None:
        assert refused(chat(say("user", "hi"), say("assistant", "The"), model=NEW)) == "messages"

    def test_a_message_that_ends_well_is_continued_as_it_is(self) -> None:
        assert messages(chat(say("user", "hi"), say("assistant", "The")))[-1] == {"role": "assistant", "content": "The"}

    def test_what_the_tools_say_is_fitted_too(self) -> None:
        answered = ToolResult(call_id="c", blocks=(Text(text=" "), Refusal(text="no"), Text(text="ok")))
        written = messages(chat(say("user", "hi"), say("assistant", tool_call("c")), say("tool", answered), tools=(F,)))
        assert written[-1]["content"][0]["content"] == [{"type": "text", "text": "no"}, {"type": "text", "text": "ok"}]

    def test_a_refusal_in_the_history_is_text(self) -> None:
        request = chat(say("user", "hi"), say("assistant", Refusal(text="No.")), say("user", "why"))
        assert messages(request)[1] == {"role": "assistant", "content": "No."}

    def test_blocks_of_other_protocols_are_sent_as_their_text_or_reported(self) -> None:
        said = Opaque(protocol="gemini_generate", type="x", raw=Raw(b"{}"), fallback="said", at="a")
        dumb = Opaque(protocol="gemini_generate", type="x", raw=Raw(b"{}"), at="b")
        written, notices = encode(chat(say("user", "hi", said, dumb)))
        assert written["messages"][0]["content"][1] == {"type": "text", "text": "said"}
        assert (told(notices, "changed"), told(notices, "lost")) == (["a"], ["b"])

    def test_a_required_block_of_another_protocol_is_refused(self) -> None:
        block = Opaque(protocol="gemini_generate", type="x", raw=Raw(b"{}"), is_required=True, at="a")
        assert refused(chat(say("user", "hi", block))) == "a"

    def test_citations_of_other_vendors_are_reported(self) -> None:
        cited = Text(text="x", citations=(Citation(protocol="openai_chat", raw=Raw(b"{}"), at="cite"),))
        written, notices = encode(chat(say("user", "hi"), say("assistant", cited), say("user", "go")))
        assert (written["messages"][1]["content"], told(notices, "lost")) == ("x", ["cite"])

    def test_a_blank_system_message_is_left_out_and_a_call_beside_a_refusal_stays(self) -> None:
        asked = say("assistant", Refusal(text="no"), tool_call("c"))
        written, _ = encode(chat(say("system", " "), say("user", "hi"), asked, say("tool", result("c")), tools=(F,)))
        assert "system" not in written
        assert [b["type"] for b in written["messages"][1]["content"]] == ["text", "tool_use"]

    def test_names_and_foreign_fields_of_messages_are_reported(self) -> None:
        message = msgspec.structs.replace(say("user", "hi", at="m"), name="bob", extras={"new": Raw(b"1")})
        _, notices = encode(chat(message))
        assert (told(notices, "hint"), told(notices, "lost")) == (["m.name"], ["m.new"])


class TestPairing:
    def test_what_a_message_holds_beside_a_result_stays(self) -> None:
        mixed = say("user", result("c"), "and this", at="m")
        written = messages(chat(say("user", "hi"), say("assistant", tool_call("c")), mixed, tools=(F,)))
        assert [b["type"] for b in written[-1]["content"]] == ["tool_result", "text"]

    def test_results_become_one_user_message_behind_their_calls_C09(self) -> None:
        request = chat(
            say("user", "hi"),
            say("assistant", tool_call("c1"), tool_call("c2"), tool_call("c3")),
            say("tool", result("c1", "1")),
            say("system", "wait"),
            say("tool", result("c2", "2")),
            say("tool", result("c3", "3")),
            tools=(F,),
        )
        last = messages(request)[-1]
        assert last["role"] == "user"
        assert [(b["type"], b.get("tool_use_id")) for b in last["content"]] == [
            ("tool_result", "c1"),
            ("tool_result", "c2"),
            ("tool_result", "c3"),
            ("text", None),
        ]

    def test_results_stay_in_the_order_in_which_they_came_C22(self) -> None:
        request = chat(
            say("user", "hi"),
            say("assistant", tool_call("c1"), tool_call("c2")),
            say("tool", result("c2")),
            say("tool", result("c1")),
            say("user", "X"),
            tools=(F,),
        )
        last = messages(request)[-1]["content"]
        assert [b.get("tool_use_id") for b in last] == ["c2", "c1", None]
        assert last[-1] == {"type": "text", "text": "X"}

    def test_a_missing_result_is_made_up_and_said_to_be_lost_C10(self) -> None:
        request = chat(
            say("user", "hi"), say("assistant", tool_call("c1"), tool_call("c2")), say("tool", result("c1")), tools=(F,)
        )
        written, notices = encode(request)
        made_up = written["messages"][-1]["content"][1]
        assert (made_up["tool_use_id"], made_up["is_error"]) == ("c2", True)
        assert [(n.path, n.severity, n.action) for n in notices] == [("call c2", "lost", "inserted")]

    def test_calls_at_the_end_get_results_too(self) -> None:
        request = chat(say("user", "hi"), say("assistant", tool_call("c1")), tools=(F,), model=NEW)
        assert messages(request)[-1]["content"][0]["tool_use_id"] == "c1"

    def test_a_result_without_its_call_is_text(self) -> None:
        request = chat(say("user", "hi"), say("assistant", "ok"), say("tool", result("gone", "data")))
        written, notices = encode(request)
        assert written["messages"][-1] == {
            "role": "user",
            "content": [
                {"type": "text", "text": "Result of the tool call gone:"},
                {"type": "text", "text": "data"},
            ],
        }
        assert told(notices, "changed")[0] == "result gone"

    def test_of_two_results_of_one_call_the_last_counts(self) -> None:
        request = chat(
            say("user", "hi"),
            say("assistant", tool_call("c1")),
            say("tool", result("c1", "old")),
            say("tool", result("c1", "new")),
            tools=(F,),
        )
        assert messages(request)[-1]["content"] == [{"type": "tool_result", "tool_use_id": "c1", "content": "new"}]

    def test_ids_that_come_again_are_renamed_by_their_turn(self) -> None:
        def turn(text: str) -> tuple[Any, ...]:
            return (say("assistant", tool_call("call_0")), say("tool", result("call_0", text)))

        history = (say("user", "hi"), *turn("1"), *turn("2"), *turn("3"))
        written = messages(chat(*history, tools=(F,)))
        pairs = [(written[i]["content"][0]["id"], written[i + 1]["content"][0]) for i in (1, 3, 5)]
        assert [(call_id, r["tool_use_id"], r["content"]) for call_id, r in pairs] == [
            ("call_0", "call_0", "1"),
            ("call_0_2", "call_0_2", "2"),
            ("call_0_3", "call_0_3", "3"),
        ]
        longer = messages(
            chat(*history, say("assistant", tool_call("call_0")), say("tool", result("call_0")), tools=(F,))
        )
        assert longer[: len(written)] == written

    def test_ids_are_put_into_the_vendors_alphabet(self) -> None:
        request = chat(
            say("user", "hi"),
            say("assistant", tool_call("call:1/ü"), tool_call("call 1 ü"), tool_call("")),
            say("tool", result("call:1/ü", "a")),
            say("tool", result("call 1 ü", "b")),
            say("tool", result("", "c")),
            tools=(F,),
        )
        _, asked, answered = messages(request)
        ids = [block["id"] for block in asked["content"]]
        assert ids == ["call_1__", "call_1___1", "call"]
        assert [(b["tool_use_id"], b["content"]) for b in answered["content"]] == list(zip(ids, "abc", strict=True))

    def test_one_id_twice_in_a_turn_is_two_calls(self) -> None:
        request = chat(
            say("user", "hi"),
            say("assistant", tool_call("c"), tool_call("c")),
            say("tool", result("c", "1")),
            say("tool", result("c", "2")),
            tools=(F,),
        )
        _, asked, answered = messages(request)
        assert [b["id"] for b in asked["content"]] == ["c", "c_1"]
        assert [(b["tool_use_id"], b["content"]) for b in answered["content"]] == [("c", "1"), ("c_1", "2")]

    @pytest.mark.parametrize(
        ("arguments", "written", "is_reported"),
        [
            pytest.param("", {}, False, id="C13-empty"),
            pytest.param(" ", {}, False, id="blank"),
            pytest.param("[1]", {"value": [1]}, True, id="C13-list"),
            pytest.param("5", {"value": 5}, True, id="number"),
            pytest.param('{"a":', {"_raw": '{"a":'}, True, id="B28-cut"),
            pytest.param("NaN", {"_raw": "NaN"}, True, id="B10-nan"),
            pytest.param("[" * 200 + "]" * 200, {"_raw": "[" * 200 + "]" * 200}, True, id="B14-deep"),
            pytest.param('{"a": 1}', {"a": 1}, False, id="object"),
        ],
    )
    def test_arguments_become_an_object_C13(self, arguments: str, written: object, is_reported: bool) -> None:
        history = (say("user", "hi"), say("assistant", tool_call("c", arguments=arguments)), say("tool", result("c")))
        body, notices = encode(chat(*history, tools=(F,)))
        assert body["messages"][1]["content"][0]["input"] == written
        assert bool(told(notices, "changed")) == is_reported


class TestReasoning:
    def thought(self, **fields: Any) -> Reasoning:
        return Reasoning(text="t", at="r", **fields)

    def history(self, *thoughts: Reasoning) -> Request:
        turns = [turn for thought in thoughts for turn in (say("user", "q"), say("assistant", thought, "a"))]
        return chat(*turns, say("user", "go"))

    def test_unsigned_thinking_is_left_out_C33(self) -> None:
        written, notices = encode(self.history(self.thought()))
        assert written["messages"][1] == {"role": "assistant", "content": "a"}
        assert told(notices, "lost") == ["r"]

    @pytest.mark.parametrize("signature", ["ds2r1.x", "sig"], ids=["C27-sealed", "foreign"])
    def test_thinking_of_others_is_left_out_C27(self, signature: str) -> None:
        foreign = self.thought(signature=signature, origin=None if signature.startswith("ds2") else "openai")
        assert messages(self.history(foreign))[1]["content"] == "a"

    def test_a_message_of_foreign_thinking_alone_is_left_out(self) -> None:
        request = chat(say("user", "a"), say("assistant", self.thought()), say("user", "b"))
        assert [m["role"] for m in messages(request)] == ["user"]

    def test_thinking_of_its_own_goes_back_bit_for_bit_C26(self) -> None:
        own = self.thought(signature="Eq+/=\u00fc", origin="anthropic")
        assert messages(self.history(own))[1]["content"][0] == {
            "type": "thinking",
            "thinking": "t",
            "signature": "Eq+/=\u00fc",
        }

    def test_only_thinking_behind_the_last_gap_is_kept(self) -> None:
        own, foreign = self.thought(signature="s", origin="anthropic"), self.thought()
        written = messages(self.history(own, foreign, own))
        assert [m["content"] == "a" for m in written[1::2]] == [True, True, False]

    def test_an_upstream_that_does_not_sign_gets_its_thinking_back(self) -> None:
        profile = msgspec.structs.replace(PROFILES["anthropic"], vendor="deepseek", reasoning_replay="content")
        written = messages(self.history(self.thought()), profile)
        assert written[1]["content"][0] == {"type": "thinking", "thinking": "t", "signature": ""}

    def test_a_loop_that_began_without_thinking_goes_on_without(self) -> None:
        request = chat(
            say("user", "hi"),
            say("assistant", tool_call("c")),
            say("tool", result("c")),
            tools=(F,),
            reasoning=ReasoningControl(effort="high", at="reasoning_effort"),
        )
        written, notices = encode(request)
        assert "thinking" not in written
        assert told(notices, "changed") == ["reasoning_effort"]


class TestTools:
    def test_a_function_without_parameters_takes_an_empty_object(self) -> None:
        written, _ = encode(chat(tools=(FunctionTool(name="f", description="d"),)))
        assert written["tools"] == [
            {"name": "f", "description": "d", "input_schema": {"type": "object", "properties": {}}}
        ]

    @pytest.mark.parametrize("schema", [b'{"type":"array"}', b'{"anyOf":[]}', b"[]", b"true"])
    def test_a_schema_that_is_no_object_is_refused_by_its_path(self, schema: bytes) -> None:
        tool = FunctionTool(name="f", parameters=Raw(schema), at="tools[0]")
        assert refused(chat(tools=(tool,))) == "tools[0].function.parameters"

    def test_a_strict_tool_gets_a_schema_that_may_be_strict(self) -> None:
        schema = Raw(b'{"type":"object","properties":{"a":{"type":"string","maxLength":3}}}')
        tool = FunctionTool(name="f", parameters=schema, strict=True, at="tools[0]")
        written, notices = encode(chat(tools=(tool,)))
        assert written["tools"][0]["strict"] is True
        assert written["tools"][0]["input_schema"]["additionalProperties"] is False
        assert told(notices, "changed") == ["tools[0].function.parameters"] * 2

    def test_a_model_without_constraints_gets_no_strict(self) -> None:
        tool = FunctionTool(name="f", parameters=Raw(b'{"type":"object"}'), strict=True, at="tools[0]")
        written, notices = encode(chat(tools=(tool,)), profile_with(structured_outputs=False))
        assert "strict" not in written["tools"][0]
        assert told(notices, "changed") == ["tools[0].strict"]

    @pytest.mark.parametrize(
        "tool",
        [
            CustomTool(name="c", at="tools[0]"),
            VendorTool(
                protocol="openai_responses", type="x", name="x", raw=Raw(b"{}"), runs_at="provider", at="tools[0]"
            ),
        ],
        ids=["custom", "vendor"],
    )
    def test_tools_that_no_shim_has_lent_are_refused(self, tool: Any) -> None:
        assert refused(chat(tools=(tool,))) == "tools[0]"

    @pytest.mark.parametrize(
        ("choice", "written"),
        [
            (ToolChoice(mode="auto"), {"type": "auto"}),
            (ToolChoice(mode="none"), {"type": "none"}),
            (ToolChoice(mode="required"), {"type": "any"}),
            (ToolChoice(mode="named", names=("f",)), {"type": "tool", "name": "f"}),
        ],
        ids=lambda value: value.mode if isinstance(value, ToolChoice) else None,
    )
    def test_the_choice_is_said_in_anthropics_words(self, choice: ToolChoice, written: object) -> None:
        assert encode(chat(tools=(F, G), tool_choice=choice))[0]["tool_choice"] == written

    def test_one_call_at_a_time_C29(self) -> None:
        required = chat(tools=(F,), tool_choice=ToolChoice(mode="required"), parallel_tool_calls=False)
        assert encode(required)[0]["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}
        absent = chat(tools=(F,), parallel_tool_calls=False)
        assert encode(absent)[0]["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
        none = chat(tools=(F,), tool_choice=ToolChoice(mode="none"), parallel_tool_calls=False)
        assert encode(none)[0]["tool_choice"] == {"type": "none"}

    def test_an_allowed_subset_is_what_is_offered_C30(self) -> None:
        only = encode(chat(tools=(F, G), tool_choice=ToolChoice(mode="required", names=("f",))))[0]
        assert ([t["name"] for t in only["tools"]], only["tool_choice"]) == (["f"], {"type": "tool", "name": "f"})
        both = encode(chat(tools=(F, G), tool_choice=ToolChoice(mode="required", names=("f", "g"))))[0]
        assert ([t["name"] for t in both["tools"]], both["tool_choice"]) == (["f", "g"], {"type": "any"})
        free = encode(chat(tools=(F, G), tool_choice=ToolChoice(mode="auto", names=("g",))))[0]
        assert ([t["name"] for t in free["tools"]], free["tool_choice"]) == (["g"], {"type": "auto"})

    def test_a_model_that_cannot_be_forced_is_asked_C32(self) -> None:
        choice = ToolChoice(mode="named", names=("f",), at="tool_choice")
        written, notices = encode(chat(tools=(F,), tool_choice=choice, model=NEW))
        assert written["tool_choice"] == {"type": "auto"}
        assert written["system"] == "Answer by calling the tool f."
        assert told(notices, "lost") == ["tool_choice"]

    def test_forcing_a_call_turns_a_budget_of_thinking_off(self) -> None:
        control = ReasoningControl(effort="high", at="reasoning_effort")
        request = chat(tools=(F,), tool_choice=ToolChoice(mode="required"), reasoning=control)
        written, notices = encode(request)
        assert ("thinking" in written, written["tool_choice"]) == (False, {"type": "any"})
        assert told(notices, "changed") == ["reasoning_effort"]

    def test_tools_that_only_the_history_knows_are_declared(self) -> None:
        written, notices = encode(chat(say("user", "hi"), say("assistant", tool_call("c")), say("tool", result("c"))))
        assert (written["tools"], written["tool_choice"]) == (
            [{"name": "f", "input_schema": {"type": "object"}}],
            {"type": "none"},
        )
        assert told(notices, "changed") == ["tools"]

    def test_a_choice_without_tools_is_left_out(self) -> None:
        written, _ = encode(chat(tool_choice=ToolChoice(mode="auto"), parallel_tool_calls=False))
        assert "tool_choice" not in written

    def test_web_search_is_anthropics_own(self) -> None:
        raw = b'{"user_location":{"type":"approximate","approximate":{"city":"Rome"}},"search_context_size":"low"}'
        written, _ = encode(chat(extras={"web_search_options": Raw(raw)}))
        assert written["tools"] == [
            {
                "type": "web_search_20260318",
                "name": "web_search",
                "user_location": {"type": "approximate", "city": "Rome"},
            }
        ]
        plain, _ = encode(chat(extras={"web_search_options": Raw(b"{}")}))
        assert plain["tools"] == [{"type": "web_search_20260318", "name": "web_search"}]
        assert refused(chat(extras={"web_search_options": Raw(b"{}")}), Profile()) == "web_search_options"
        assert refused(chat(extras={"web_search_options": Raw(b"5")})) == "web_search_options"

    def test_a_free_text_call_is_a_json_object(self) -> None:
        custom = ToolCall(id="c", name="f", arguments="*** Begin", kind="custom", at="call")
        written, notices = encode(
            chat(say("user", "hi"), say("assistant", custom), say("tool", result("c")), tools=(F,))
        )
        assert written["messages"][1]["content"][0]["input"] == {"input": "*** Begin"}
        assert told(notices, "changed") == ["call"]

    def test_a_forced_call_without_tools_is_lost(self) -> None:
        _, notices = encode(chat(tool_choice=ToolChoice(mode="required", at="tool_choice")))
        assert told(notices, "lost") == ["tool_choice"]

    def test_a_schema_without_a_type_is_one_of_an_object(self) -> None:
        tool = FunctionTool(name="f", parameters=Raw(b'{"properties":{}}'))
        assert encode(chat(tools=(tool,)))[0]["tools"][0]["input_schema"] == {"type": "object", "properties": {}}


class TestSettings:
    @pytest.mark.parametrize(
        ("sampling", "written", "lost", "changed"),
        [
            pytest.param(Sampling(temperature=1.7), {"temperature": 1.0}, [], ["temperature"], id="C34-C27-clamped"),
            pytest.param(Sampling(temperature=0.0), {"temperature": 0.0}, [], [], id="zero"),
            pytest.param(Sampling(temperature=0.5, top_p=0.9), {"temperature": 0.5}, ["top_p"], [], id="not-both"),
            pytest.param(Sampling(top_p=0.9, top_k=4), {"top_p": 0.9, "top_k": 4}, [], [], id="top"),
            pytest.param(Sampling(seed=0, logit_bias={"1": 2.0}), {}, ["seed", "logit_bias"], [], id="no-such-field"),
            pytest.param(Sampling(logprobs=True, top_logprobs=2), {}, ["logprobs", "top_logprobs"], [], id="logprobs"),
            pytest.param(Sampling(presence_penalty=0.0, logprobs=False), {}, [], [], id="neutral"),
        ],
    )
    def test_an_old_model_takes_sampling(
        self, sampling: Sampling, written: dict[str, float], lost: list[str], changed: list[str]
    ) -> None:
        body, notices = encode(chat(sampling=sampling))
        assert {name: body[name] for name in ("temperature", "top_p", "top_k") if name in body} == written
        assert (told(notices, "lost"), told(notices, "changed")) == (lost, changed)

    def test_a_new_model_takes_none_C34_C27(self) -> None:
        body, notices = encode(chat(sampling=Sampling(temperature=1.7, top_k=3), model=NEW))
        assert {"temperature", "top_k"}.isdisjoint(body)
        assert told(notices, "lost") == ["temperature", "top_k"]

    def test_no_model_takes_any_while_it_thinks(self) -> None:
        body, _ = encode(chat(sampling=Sampling(temperature=0.5), reasoning=ReasoningControl(effort="low")))
        assert ("thinking" in body, "temperature" in body) == (True, False)

    @pytest.mark.parametrize(
        ("sampling", "profile", "version"),
        [
            (Sampling(), ANTHROPIC, "2026-10-21"),
            (Sampling(temperature=0.5), ANTHROPIC, "2023-06-01"),
            (Sampling(), Profile(), "2023-06-01"),
            (Sampling(temperature=0.5), Profile(version="2026-10-21"), "2026-10-21"),
        ],
        ids=["newest", "with-sampling", "look-alike", "configured"],
    )
    def test_the_version_is_one_that_takes_what_is_said(
        self, sampling: Sampling, profile: Profile, version: str
    ) -> None:
        written = codec.encode_request(chat(sampling=sampling), profile, Notices())
        assert written.headers["anthropic-version"] == version

    def test_blank_stop_sequences_are_left_out_C28(self) -> None:
        body, notices = encode(chat(stop=("\n\n", "END")))
        assert body["stop_sequences"] == ["END"]
        assert told(notices, "lost") == ["stop[0]"]

    @pytest.mark.parametrize(
        ("wanted", "limit", "written"),
        [(None, None, 8192), (None, 4096, 4096), (50, 4096, 50), (9999, 4096, 4096), (9999, None, 9999)],
    )
    def test_the_answer_is_bounded_C26(self, wanted: int | None, limit: int | None, written: int) -> None:
        body, notices = encode(chat(max_output_tokens=wanted), profile_with(max_output_tokens=limit))
        assert body["max_tokens"] == written
        assert told(notices) == (["max_completion_tokens"] if wanted == 9999 and limit else [])

    def test_a_schema_of_the_answer_is_closed_C31_C33(self) -> None:
        schema = Raw(b'{"type":"object","properties":{"n":{"type":"integer","minimum":1}},"required":["n"]}')
        wanted = OutputFormat(kind="json_schema", name="out", schema=schema, at="response_format.json_schema.schema")
        body, notices = encode(chat(output_format=wanted))
        named = msgspec.structs.replace(wanted, extras={"new": Raw(b"1")}, strict=True, description="d", at="rf")
        _, more = encode(chat(output_format=named))
        assert (told(more, "lost"), told(more, "hint")) == (["rf.new"], ["rf.description", "rf.strict"])
        assert body["output_config"]["format"] == {
            "type": "json_schema",
            "schema": {
                "type": "object",
                "properties": {"n": {"type": "integer", "description": "{minimum: 1}"}},
                "additionalProperties": False,
                "required": ["n"],
            },
        }
        assert told(notices, "changed") == ["response_format.json_schema.schema"] * 2

    def test_json_without_a_schema_is_left_to_a_shim(self) -> None:
        assert refused(chat(output_format=OutputFormat(kind="json_object", at="response_format"))) == "response_format"

    @pytest.mark.parametrize(
        ("fields", "param"),
        [
            ({"choices": 2}, "n"),
            ({"state": State(previous_id="resp_1")}, "previous_response_id"),
            ({"extras": {"modalities": Raw(b'["audio"]')}, "required_extras": ("modalities",)}, "modalities"),
        ],
        ids=["C20-choices", "previous-answer", "required-extra"],
    )
    def test_what_would_change_the_question_is_refused(self, fields: dict[str, Any], param: str) -> None:
        assert refused(chat(**fields)) == param

    def test_what_has_no_place_is_reported(self) -> None:
        body, notices = encode(
            chat(
                choices=1,
                verbosity="low",
                metadata={"a": "b"},
                state=State(store=True),
                cache=CacheControl(key="k", retention="24h"),
                service_tier="flex",
                extras={"foo": Raw(b"1")},
            )
        )
        assert sorted(told(notices, "lost")) == ["foo", "verbosity"]
        assert told(notices, "hint") == [
            "metadata.a",
            "store",
            "prompt_cache_key",
            "prompt_cache_retention",
            "service_tier",
        ]
        assert body.keys() == {"model", "messages", "max_tokens"}

    @pytest.mark.parametrize(
        ("tier", "written"),
        [(None, None), ("auto", "auto"), ("default", "standard_only"), ("priority", "auto"), ("flex", None)],
    )
    def test_service_tiers(self, tier: str | None, written: str | None) -> None:
        assert encode(chat(service_tier=tier))[0].get("service_tier") == written

    def test_the_user_is_told_but_never_an_address(self) -> None:
        assert encode(chat(user="u1"))[0]["metadata"] == {"user_id": "u1"}
        assert encode(chat(metadata={"user_id": "u2"}))[0]["metadata"] == {"user_id": "u2"}
        for personal in ("ann@example.com", "x" * 300):
            hashed = encode(chat(user=personal))[0]["metadata"]["user_id"]
            assert (len(hashed), personal in hashed) == (64, False)

    def test_fields_that_the_upstream_refuses_are_not_sent(self) -> None:
        profile = msgspec.structs.replace(ANTHROPIC, drop=("metadata", "service_tier"))
        body, notices = encode(chat(user="u1"), profile)
        assert ("metadata" in body, told(notices, "lost")) == (False, ["metadata"])

    def test_the_same_request_is_the_same_bytes_every_time(self) -> None:
        request = chat(say("system", "s"), say("user", "hi"), tools=(F, G), user="u", stop=("a",))
        calls = {codec.encode_request(request, ANTHROPIC, Notices()).body for _ in range(3)}
        assert len(calls) == 1


class TestCacheMarks:
    def texts(self, *ttls: str | None) -> tuple[Text, ...]:
        return tuple(Text(text=f"t{i}", cache=CacheMark(ttl=ttl), at=f"t{i}") for i, ttl in enumerate(ttls))

    def marks(self, request: Request) -> list[dict[str, str] | None]:
        return [block.get("cache_control") for block in messages(request)[0]["content"]]

    def test_the_latest_four_are_kept(self) -> None:
        written, notices = encode(chat(say("user", *self.texts(*[None] * 6))))
        kept = [block.get("cache_control") for block in written["messages"][0]["content"]]
        assert kept == [None, None, *[{"type": "ephemeral"}] * 4]
        assert told(notices, "hint") == ["t1.cache", "t0.cache"]

    def test_a_mark_of_the_whole_request_is_one_of_them(self) -> None:
        request = chat(say("user", *self.texts(*[None] * 4)), cache=CacheControl(mark=CacheMark()))
        assert self.marks(request)[0] is None

    @pytest.mark.parametrize(
        ("ttls", "written"),
        [
            (("30m",), ["1h"]),
            (("12h",), ["1h"]),
            (("5m", "1h"), ["1h", "1h"]),
            (("1h", "5m"), ["1h", "5m"]),
            ((None, "30m", None), ["1h", "1h", None]),
        ],
    )
    def test_lifetimes_are_never_shorter_than_asked_and_long_ones_come_first(
        self, ttls: tuple[str | None, ...], written: list[str | None]
    ) -> None:
        request = chat(say("user", *self.texts(*ttls), "end"))
        assert [mark and mark.get("ttl") for mark in self.marks(request)[:-1]] == written

    def test_marks_that_chat_clients_write_in_anthropics_words_are_taken(self) -> None:
        raw = {"cache_control": Raw(b'{"type":"ephemeral","ttl":"1h"}'), "new": Raw(b"1")}
        text = Text(text="t", extras=raw, at="t")
        tool = msgspec.structs.replace(F, extras={"cache_control": Raw(b'{"type":"ephemeral"}')})
        answered = msgspec.structs.replace(result("c"), extras={"cache_control": Raw(b'{"type":"ephemeral"}')})
        asked = msgspec.structs.replace(tool_call("c"), extras={"cache_control": Raw(b"5")})
        request = chat(say("user", text), say("assistant", asked), say("tool", answered), tools=(tool,))
        written, notices = encode(request)
        assert written["tools"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
        marks = [m["content"][0].get("cache_control") for m in written["messages"]]
        assert marks == [{"type": "ephemeral", "ttl": "1h"}, None, {"type": "ephemeral"}]
        assert told(notices, "lost") == ["t.new", "call c.cache_control"]

    def test_tools_come_before_messages(self) -> None:
        tool = msgspec.structs.replace(F, cache=CacheMark(ttl="5m"))
        written, _ = encode(chat(say("user", *self.texts("1h"), "x"), tools=(tool,)))
        assert written["tools"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
