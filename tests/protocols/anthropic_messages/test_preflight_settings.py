"""Tools, settings and cache marks of a Chat client are made fit for Anthropic, and everything changed is reported."""

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from asgi_ds2api.canonical import (
    CacheControl,
    CacheMark,
    CustomTool,
    FunctionTool,
    Notices,
    OutputFormat,
    ReasoningControl,
    Request,
    Sampling,
    State,
    Text,
    ToolCall,
    ToolChoice,
    VendorTool,
)
from asgi_ds2api.profiles import Profile
from asgi_ds2api.protocols import anthropic_messages as codec

from .calls import ANTHROPIC, NEW, F, G, chat, encode, messages, profile_with, refused, result, say, told, tool_call


class TestTools:
    def test_a_function_without_parameters_takes_an_empty_object(self) -> None:
        written, _ = encode(chat(tools=(FunctionTool(name="f", description="d"),)))
        assert written["tools"] == [
            {"name": "f", "description": "d", "input_schema": {"type": "object", "properties": {}}}
        ]

    @pytest.mark.parametrize("schema", [b'{"type":"array"}', b'{"anyOf":[]}', b"[]", b"true"])
    def test_a_schema_that_is_no_object_is_refused_by_its_path(self, schema: bytes) -> None:
        tool = FunctionTool(name="f", parameters=Raw(schema), at="tools[0]")
        assert refused(chat(tools=(tool,))) == "tools[0].parameters"

    def test_a_strict_tool_gets_a_schema_that_may_be_strict(self) -> None:
        schema = Raw(b'{"type":"object","properties":{"a":{"type":"string","maxLength":3}}}')
        tool = FunctionTool(name="f", parameters=schema, strict=True, at="tools[0]")
        written, notices = encode(chat(tools=(tool,)))
        assert written["tools"][0]["strict"] is True
        assert written["tools"][0]["input_schema"]["additionalProperties"] is False
        assert told(notices, "changed") == ["tools[0].parameters"] * 2

    def test_a_model_without_constraints_gets_no_strict(self) -> None:
        tool = FunctionTool(name="f", parameters=Raw(b'{"type":"object"}'), strict=True, at="tools[0]")
        written, notices = encode(chat(tools=(tool,)), profile_with(structured_outputs=False))
        assert "strict" not in written["tools"][0]
        assert told(notices, "lost") == ["tools[0].strict"]

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
        assert refused(chat(tools=(tool,))) == "tools[0].type"

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

    @pytest.mark.parametrize(("mode", "severity"), [("required", "lost"), ("auto", "hint")])
    def test_an_allowed_subset_of_nothing_is_reported(self, mode: Any, severity: str) -> None:
        choice = ToolChoice(mode=mode, names=("h",), at="tool_choice")
        written, notices = encode(chat(tools=(F, G), tool_choice=choice))
        assert {"tools", "tool_choice"} & written.keys() == set()
        assert told(notices, severity) == ["tool_choice"]

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
        assert told(notices, "changed") == ["reasoning_effort", "reasoning_effort.effort"]

    def test_tools_that_only_the_history_knows_are_declared(self) -> None:
        written, notices = encode(chat(say("user", "hi"), say("assistant", tool_call("c")), say("tool", result("c"))))
        assert (written["tools"], written["tool_choice"]) == (
            [{"name": "f", "input_schema": {"type": "object"}}],
            {"type": "none"},
        )
        assert told(notices, "changed") == [tool_call("c").at]

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
        wanted = OutputFormat(kind="json_schema", name="out", schema=schema, at="response_format")
        body, notices = encode(chat(output_format=wanted))
        named = msgspec.structs.replace(wanted, extras={"new": Raw(b"1")}, strict=True, description="d", at="rf")
        _, more = encode(chat(output_format=named))
        hints = [f"rf.{name}" for name in ("name", "description", "strict")]
        assert (told(more, "lost"), told(more, "hint")) == (["rf.new"], hints)
        assert body["output_config"]["format"] == {
            "type": "json_schema",
            "schema": {
                "type": "object",
                "properties": {"n": {"type": "integer", "description": "{minimum: 1}"}},
                "additionalProperties": False,
                "required": ["n"],
            },
        }
        assert told(notices, "changed") == ["response_format.schema"] * 2

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
        assert told(notices, "hint") == ["t1.cache_control", "t0.cache_control"]

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
        assert told(notices, "lost") == ["t.new"]
        assert "call c.cache_control" in told(notices, "hint")

    def test_tools_come_before_messages(self) -> None:
        tool = msgspec.structs.replace(F, cache=CacheMark(ttl="5m"))
        written, _ = encode(chat(say("user", *self.texts("1h"), "x"), tools=(tool,)))
        assert written["tools"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
