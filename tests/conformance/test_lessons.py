"""R-22: what a model refused is left out of the next request at once, for a while, with the same Notice."""

import json
from typing import Any

import pytest

from asgi_ds2api.canonical import ProtocolName
from asgi_ds2api.errors import Refused
from asgi_ds2api.protocols import PROTOCOLS
from tests.support.asgi_driver import Answer, call
from tests.support.gateways import Records, make_gateway, upstream
from tests.support.scripted_client import Script, ScriptedUpstream, answering

from .asking import (
    PATHS,
    chat_answer,
    chat_stream,
    chunk,
    claude_answer,
    error,
    gemini_answer,
    ollama_answer,
    response_answer,
    said_item,
)

pytestmark = pytest.mark.anyio


class Talk:
    """Asks one gateway again and again, on Anthropic's face, or on Chat's in front of Anthropic."""

    def __init__(
        self, to: str, *scripts: Script, face: str | None = None, profile: str | None = None, **config: Any
    ) -> None:
        self.to, self.face = to, face or ("chat" if to == "claude" else "claude")
        self.upstream, self.records = ScriptedUpstream(*scripts), Records()
        self.gateway = make_gateway(
            upstream(to, profile=profile), scripts={to: self.upstream}, hooks=[self.records], **config
        )

    async def ask(self, model: str = "m", **fields: Any) -> Answer:
        path = PATHS[self.face]
        body = {
            "model": f"{self.to}/{model}",
            "max_tokens": 100,
            "messages": [{"role": "user", "content": "Hi"}],
            **fields,
        }
        return await call(self.gateway, "POST", path, json=body, headers={"anthropic-version": "2023-06-01"})

    @property
    def sent(self) -> Any:
        return json.loads(self.upstream.calls[-1].request.body)

    @property
    def told(self) -> list[tuple[str, str, str]]:
        return [(notice.path, notice.action, notice.reason) for notice in self.records[-1].notices]


def refusal(message: str, param: str | None = None) -> Script:
    return error(400, {"error": {"message": message, "type": "invalid_request_error", "param": param}})


def whole(to: str) -> Script:
    match to:
        case "claude":
            return claude_answer()
        case "gemini":
            return gemini_answer([{"text": "Hello"}])
        case "ollama":
            return ollama_answer({"content": "Hello"})
        case "responses":
            return response_answer([said_item("Hello")])
    return chat_answer()


NO_TEMPERATURE = "Unsupported parameter: 'temperature' is not supported with this model."
REFUSALS: dict[str, tuple[Script, dict[str, Any], str]] = {
    "chat": (refusal(NO_TEMPERATURE, "temperature"), {"temperature": 0.5}, "temperature"),
    "responses": (refusal(NO_TEMPERATURE, "temperature"), {"temperature": 0.5}, "temperature"),
    "claude": (refusal("`temperature` is deprecated for this model."), {"temperature": 0.5}, "temperature"),
    "ollama": (
        answering({"error": '"m" does not support thinking'}, status=400),
        {"thinking": {"type": "enabled", "budget_tokens": 2_048}, "max_tokens": 4_096},
        "think",
    ),
}


@pytest.mark.parametrize("to", REFUSALS)
async def test_R22_refused_field_is_left_out_of_the_next_request_at_once(to: str) -> None:
    refused, fields, name = REFUSALS[to]
    talk = Talk(to, refused, whole(to), whole(to))
    assert (await talk.ask(**fields)).status == 200
    learned_from = talk.told
    assert (await talk.ask(**fields)).status == 200
    assert len(talk.upstream.calls) == 3
    assert name not in talk.sent
    assert set(talk.told) <= set(learned_from)
    assert any(path in ("temperature", "thinking") for path, _, _ in talk.told)


async def test_R22_search_is_left_out_beside_functions_alone() -> None:
    refused = refusal("Please enable tool_config.include_server_side_tool_invocations to use Built-in tools.")
    talk = Talk("gemini", refused, whole("gemini"), whole("gemini"), whole("gemini"), profile="lenient", face="chat")
    function = {"type": "function", "function": {"name": "f"}}
    for _ in range(2):
        assert (await talk.ask(web_search_options={}, tools=[function])).status == 200
        assert talk.sent["tools"] == [{"functionDeclarations": [{"name": "f"}]}]
    assert len(talk.upstream.calls) == 3
    assert (await talk.ask(web_search_options={})).status == 200
    assert talk.sent["tools"] == [{"googleSearch": {}}]


async def test_R22_request_without_the_field_stays_as_it_is() -> None:
    talk = Talk("chat", REFUSALS["chat"][0], chat_answer(), chat_answer())
    await talk.ask(temperature=0.5)
    await talk.ask(top_p=0.5)
    assert talk.sent["top_p"] == 0.5
    assert not any(path == "temperature" for path, _, _ in talk.told)


async def test_R22_lesson_is_of_one_model_of_one_upstream() -> None:
    talk = Talk("chat", REFUSALS["chat"][0], chat_answer(), chat_answer())
    await talk.ask(temperature=0.5)
    await talk.ask("other", temperature=0.5)
    assert talk.sent["temperature"] == 0.5


async def test_R22_several_lessons_are_kept() -> None:
    second = refusal("Unsupported parameter: 'top_p' is not supported with this model.", "top_p")
    talk = Talk("chat", REFUSALS["chat"][0], second, chat_answer(), chat_answer())
    for _ in range(2):
        await talk.ask(temperature=0.5, top_p=0.5)
    assert len(talk.upstream.calls) == 4
    assert not {"temperature", "top_p"} & talk.sent.keys()


async def test_R22_nothing_is_learned_where_the_request_is_refused_all_the_same() -> None:
    talk = Talk("chat", REFUSALS["chat"][0], refusal("Something else."), chat_answer())
    assert (await talk.ask(temperature=0.5)).status == 400
    await talk.ask(temperature=0.5)
    assert talk.sent["temperature"] == 0.5


NO_OPTIONS = [
    refusal("Unknown parameter: 'stream_options'.", "stream_options"),
    refusal("Unrecognized request argument supplied: stream_options"),
    answering({"detail": [{"loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}]}, status=422),
]


@pytest.mark.parametrize("refused", NO_OPTIONS, ids=["openai", "unquoted", "fastapi"])
@pytest.mark.parametrize("face", ["chat", "claude"])
async def test_others_trap_33_refused_stream_options_are_left_out_from_then_on(face: str, refused: Script) -> None:
    whole = chat_stream(chunk({"content": "x"}), chunk({}, "stop"))
    talk = Talk("chat", refused, whole, whole, chat_answer(), profile="llama.cpp", face=face)
    for _ in range(2):
        answer = await talk.ask(stream=True)
        assert answer.status == 200
        assert "stream_options" not in talk.sent
        assert ("stream_options", "emulated") in [(path, action) for path, action, _ in talk.told]
    assert len(talk.upstream.calls) == 3
    await talk.ask()
    assert not any(path == "stream_options" for path, _, _ in talk.told)


async def test_R22_caller_of_a_look_alikes_own_protocol_is_helped_too() -> None:
    talk = Talk("chat", REFUSALS["chat"][0], chat_answer(), chat_answer(), profile="lenient", face="chat")
    for _ in range(2):
        assert (await talk.ask(temperature=0.5)).status == 200
    assert len(talk.upstream.calls) == 3


async def test_R22_what_a_vendor_says_to_its_own_client_is_passed_on() -> None:
    talk = Talk("chat", REFUSALS["chat"][0], profile="openai", face="chat")
    assert (await talk.ask(temperature=0.5)).status == 400
    assert len(talk.upstream.calls) == 1


async def test_R22_it_can_be_switched_off() -> None:
    talk = Talk("chat", REFUSALS["chat"][0], chat_answer(), chat_answer(), timeouts={"refusals_s": 0})
    for _ in range(2):
        await talk.ask(temperature=0.5)
    assert talk.sent["temperature"] == 0.5


@pytest.mark.parametrize(
    ("protocol", "message", "param"),
    [
        ("openai_chat", "Unsupported value: 'service_tier' does not support 'foo' with this model.", "service_tier"),
        ("openai_chat", "Function tools with reasoning_effort are not supported for gpt-5.4.", "reasoning_effort"),
        ("openai_chat", "Unsupported parameter: 'top_p' is not supported with this model when thinking.", "top_p"),
        ("openai_chat", "Failed to call a function.", None),
        ("openai_chat", "`reasoning_effort` must be one of `low`, `medium`, or `high`", "reasoning_effort"),
        ("openai_chat", "The `reasoning_content` in the thinking mode must be passed back", None),
        ("openai_chat", "Unsupported parameter: 'messages'", "messages"),
        ("openai_responses", "Unsupported value: 'text.verbosity' does not support 'foo'", "text.verbosity"),
        ("anthropic_messages", "`temperature` may only be set to 1 when thinking is enabled.", None),
        ("anthropic_messages", "messages.1.content.0: Invalid `signature` in `thinking` block", None),
        ("anthropic_messages", "max_tokens: 9000 > 8192", None),
        ("gemini_generate", "Function calling with a response mime type is unsupported", None),
        ("gemini_generate", "Function call is missing a thought_signature", None),
        ("ollama_chat", 'think value "foo" is not supported for this model', None),
    ],
)
def test_R22_what_may_be_a_callers_mistake_is_no_lesson(
    protocol: ProtocolName, message: str, param: str | None
) -> None:
    refused = Refused(message)
    refused.param = param
    assert PROTOCOLS[protocol].lesson(refused) is None


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        ("openai_chat", "'temperature' does not support 0.2. Only the default (1) value is supported."),
        ("openai_chat", "Unrecognized request argument supplied: 'verbosity'"),
        ("openai_responses", "Unsupported parameter: 'reasoning.effort' is not supported with this model."),
        ("anthropic_messages", 'thinking.type.disabled" is not supported for this model.'),
        ("gemini_generate", "Penalty is not enabled for models/gemini-x"),
        ("gemini_generate", "Tool use with function calling is unsupported"),
        ("gemini_generate", "Please enable tool_config.include_server_side_tool_invocations to use Built-in tools"),
        ("gemini_generate", "Developer instruction is not enabled for models/gemma-3"),
    ],
)
def test_R22_what_the_model_never_takes_is_one(protocol: ProtocolName, message: str) -> None:
    assert PROTOCOLS[protocol].lesson(Refused(message)) is not None
