"""A request of a Chat client is made fit for Anthropic, alike every time, and everything changed is reported."""

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from asgi_ds2api.canonical import (
    CacheMark,
    Citation,
    Opaque,
    Reasoning,
    ReasoningControl,
    Refusal,
    Request,
    Text,
    ToolResult,
)
from asgi_ds2api.errors import Unsupported
from asgi_ds2api.profiles import PROFILES

from .calls import (
    NEW,
    OLD,
    F,
    chat,
    encode,
    messages,
    profile_with,
    refused,
    result,
    say,
    told,
    tool_call,
)


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

    def test_blank_text_is_no_block_of_its_own_C08(self) -> None:
        request = chat(say("user", " \n", "hi", ""), say("assistant", ""), say("user", "go"))
        assert messages(request) == [
            {"role": "user", "content": [{"type": "text", "text": " \nhi"}, {"type": "text", "text": "go"}]}
        ]

    def test_blank_text_stays_between_the_texts_that_it_keeps_apart(self) -> None:
        blanks = [Text(text=" ", at="a"), Text(text="\n", at="b")]
        said = say("assistant", "The sky is", blanks[0], "blue", blanks[1], "(source).")
        written, notices = encode(chat(say("user", "hi"), said, say("user", "go")))
        assert [b["text"] for b in written["messages"][1]["content"]] == ["The sky is ", "blue\n", "(source)."]
        assert [(n.path, n.severity, n.action) for n in notices] == [("a", "hint", "merged"), ("b", "hint", "merged")]

    def test_blank_text_without_a_text_beside_it_is_left_out(self) -> None:
        said = say("assistant", Text(text="\n", at="a"), tool_call("c"))
        written, notices = encode(chat(say("user", "hi"), said, say("tool", result("c")), tools=(F,)))
        assert [b["type"] for b in written["messages"][1]["content"]] == ["tool_use"]
        assert told(notices, "hint") == ["a"]

    @pytest.mark.parametrize("marked", [0, 1], ids=["text", "blank"])
    def test_cache_mark_stays_with_a_text_that_blank_text_is_added_to(self, marked: int) -> None:
        texts = [Text(text="a"), Text(text="\n")]
        texts[marked] = msgspec.structs.replace(texts[marked], cache=CacheMark())
        written = messages(chat(say("user", *texts, "b")))[0]["content"]
        assert [(b["text"], "cache_control" in b) for b in written] == [("a\n", True), ("b", False)]

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
        assert told(notices, "lost") == ["m.name", "m.new"]


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
        assert told(notices, "changed") == ["reasoning_effort", "reasoning_effort.effort"]
