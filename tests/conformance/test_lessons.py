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

from .asking import chat_answer, claude_answer, error, gemini_answer, ollama_answer, response_answer, said_item

pytestmark = pytest.mark.anyio


class Talk:
    """Asks one gateway again and again, on Anthropic's face, or on Chat's in front of Anthropic."""

    def __init__(self, to: str, *scripts: Script, **config: Any) -> None:
        self.to = to
        self.upstream, self.records = ScriptedUpstream(*scripts), Records()
        self.gateway = make_gateway(upstream(to), scripts={to: self.upstream}, hooks=[self.records], **config)

    async def ask(self, model: str = "m", **fields: Any) -> Answer:
        path = "/v1/chat/completions" if self.to == "claude" else "/v1/messages"
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
        ("gemini_generate", "Developer instruction is not enabled for models/gemma-3"),
    ],
)
def test_R22_what_the_model_never_takes_is_one(protocol: ProtocolName, message: str) -> None:
    assert PROTOCOLS[protocol].lesson(Refused(message)) is not None
