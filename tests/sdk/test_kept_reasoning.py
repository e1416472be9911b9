"""Loops of tools by official SDKs that drop what the model thought, before vendors that refuse turns without it."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import ollama
import openai
import pytest
from anthropic import Anthropic
from openai import OpenAI
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from asgi_ds2api import Gateway
from tests.support.gateways import PROTOCOLS
from tests.support.serving import serve

LOOKS = 2
"""How often the model calls its tool before it says what it found."""
SCHEMA: Any = {"type": "object", "properties": {"place": {"type": "integer"}}, "required": ["place"]}
MODELS = {"claude": "claude-sonnet-4-5", "gemini": "gemini-3.6-flash", "chat": "deepseek-v4"}


class StrictVendor:
    """Thinks before it calls, and wants every turn of the loop back with what it thought, bit for bit."""

    def __init__(self) -> None:
        self.refusals = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", "nothing else is sent here"
        body = json.loads(await Request(scope, receive).body())
        path = scope["path"]
        if path.endswith("/messages"):
            answer = self._claude(body)
        elif path.endswith("/chat/completions"):
            answer = self._deepseek(body)
        else:
            answer = self._gemini(body)
        self.refusals += "error" in answer
        await JSONResponse(answer, 400 if "error" in answer else 200)(scope, receive, send)

    def _claude(self, body: Any) -> Any:
        turns = [message["content"] for message in body["messages"] if message["role"] == "assistant"]
        thoughts = [
            {"type": "thinking", "thinking": f"Look {n}.", "signature": f"Eq+/{n}=="} for n in range(len(turns) + 1)
        ]
        if [turn[0] for turn in turns] != thoughts[:-1]:
            said = "Expected `thinking` or `redacted_thinking`, but found `tool_use`."
            return {"type": "error", "error": {"type": "invalid_request_error", "message": said}}
        call = {"type": "tool_use", "id": f"toolu_{len(turns)}", "name": "look", "input": {"place": len(turns)}}
        content = [thoughts[-1], call] if len(turns) < LOOKS else [{"type": "text", "text": "Found."}]
        return {
            "id": "msg_1", "type": "message", "role": "assistant", "model": body["model"], "content": content,
            "stop_reason": "tool_use" if len(turns) < LOOKS else "end_turn", "stop_sequence": None,
            "usage": {"input_tokens": 1, "output_tokens": 1},
        }  # fmt: skip

    def _gemini(self, body: Any) -> Any:
        turns = [turn["parts"][0] for turn in body["contents"] if turn["role"] == "model"]
        if [part.get("thoughtSignature") for part in turns] != [f"U0lH{n:04}" for n in range(len(turns))]:
            said = "Function call is missing a thought_signature in functionCall parts."
            return {"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": said}}
        call = {
            "functionCall": {"name": "look", "args": {"place": len(turns)}},
            "thoughtSignature": f"U0lH{len(turns):04}",
        }
        parts = [call] if len(turns) < LOOKS else [{"text": "Found."}]
        candidate = {"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}
        return {"candidates": [candidate], "usageMetadata": {}, "responseId": f"r{len(turns)}"}

    def _deepseek(self, body: Any) -> Any:
        turns = [message for message in body["messages"] if message["role"] == "assistant"]
        if [turn.get("reasoning_content") for turn in turns] != [f"Look {n}." for n in range(len(turns))]:
            said = "The reasoning_content in the thinking mode must be passed back to the API."
            return {"error": {"message": said, "type": "invalid_request_error", "code": "invalid_request_error"}}
        function = {"name": "look", "arguments": json.dumps({"place": len(turns)})}
        message: dict[str, Any] = {"role": "assistant", "content": "Found."}
        if len(turns) < LOOKS:
            calls = [{"id": f"call_{len(turns)}", "type": "function", "function": function}]
            message |= {"content": "", "reasoning_content": f"Look {len(turns)}.", "tool_calls": calls}
        finish = "tool_calls" if len(turns) < LOOKS else "stop"
        return {
            "id": "1", "object": "chat.completion", "created": 1, "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }  # fmt: skip


class Stage:
    """A gateway in a real server, and the vendor behind it."""

    def __init__(self, url: str, vendor: StrictVendor) -> None:
        self.url = url
        self.vendor = vendor

    def model(self, to: str) -> str:
        return f"{to}/{MODELS[to]}"


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    timeouts = getattr(request, "param", {})
    vendor = StrictVendor()
    with ExitStack() as stack:
        url = stack.enter_context(serve(vendor)).url
        upstreams = [
            {
                "name": name,
                "protocol": PROTOCOLS[name],
                "base_url": url,
                "accounts": [{"label": "a", "key": lambda: "key-of-the-account-0123"}],
                "profile": {"base": "deepseek"} if name == "chat" else {},
            }
            for name in MODELS
        ]
        gateway = Gateway({"auth": "none", "upstreams": upstreams, "timeouts": timeouts})
        yield Stage(stack.enter_context(serve(gateway)).url, vendor)


def ask_openai(stage: Stage, to: str, *, streamed: bool) -> str | None:
    """Run the loop by OpenAI's SDK, as most of its users do: text and calls go back, and nothing else."""
    tools: Any = [{"type": "function", "function": {"name": "look", "parameters": SCHEMA}}]
    talk: list[Any] = [{"role": "user", "content": "Where is it?"}]
    asked: Any = {"model": stage.model(to), "tools": tools, "reasoning_effort": "low"}
    with OpenAI(base_url=f"{stage.url}/v1", api_key="any", max_retries=0) as client:
        while True:
            if streamed:
                with client.chat.completions.stream(messages=talk, **asked) as stream:
                    message: Any = stream.get_final_completion().choices[0].message
            else:
                message = client.chat.completions.create(messages=talk, **asked).choices[0].message
            if not message.tool_calls:
                return str(message.content)
            calls = [
                {"id": c.id, "type": "function", "function": {"name": "look", "arguments": c.function.arguments}}
                for c in message.tool_calls
            ]
            talk.append({"role": "assistant", "content": message.content, "tool_calls": calls})
            talk += [{"role": "tool", "tool_call_id": c.id, "content": "Not here."} for c in message.tool_calls]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("to", ["claude", "gemini", "chat"])
def test_loop_of_openais_sdk_keeps_what_the_model_thought_openai_C34_gemini_C19_others_C34(
    stage: Stage, to: str, streamed: bool
) -> None:
    assert ask_openai(stage, to, streamed=streamed) == "Found."
    assert stage.vendor.refusals == 0


@pytest.mark.parametrize("to", ["claude", "gemini", "chat"])
@pytest.mark.parametrize("stage", [{"reasoning_s": 0}], indirect=True)
def test_vendor_refuses_the_loop_where_nothing_is_kept(stage: Stage, to: str) -> None:
    """Else the test above would prove nothing."""
    with pytest.raises(openai.BadRequestError):
        ask_openai(stage, to, streamed=False)
    assert stage.vendor.refusals > 0


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("to", ["gemini", "chat"])
def test_loop_of_anthropics_sdk_keeps_what_it_does_not_send_back(stage: Stage, to: str, streamed: bool) -> None:
    tools: Any = [{"name": "look", "input_schema": SCHEMA}]
    talk: list[Any] = [{"role": "user", "content": "Where is it?"}]
    asked: Any = {"model": stage.model(to), "tools": tools, "max_tokens": 2_000}
    with Anthropic(base_url=stage.url, api_key="any", max_retries=0) as client:
        while True:
            if streamed:
                with client.messages.stream(messages=talk, **asked) as stream:
                    answer: Any = stream.get_final_message()
            else:
                answer = client.messages.create(messages=talk, **asked)
            calls = [block for block in answer.content if block.type == "tool_use"]
            if not calls:
                break
            talk.append({"role": "assistant", "content": calls})
            results = [{"type": "tool_result", "tool_use_id": call.id, "content": "Not here."} for call in calls]
            talk.append({"role": "user", "content": results})
    assert [block.text for block in answer.content] == ["Found."]
    assert stage.vendor.refusals == 0


@pytest.mark.parametrize("to", ["claude", "gemini", "chat"])
def test_loop_of_ollamas_sdk_needs_no_ids(stage: Stage, to: str) -> None:
    tools: Any = [{"type": "function", "function": {"name": "look", "parameters": SCHEMA}}]
    talk: list[Any] = [{"role": "user", "content": "Where is it?"}]
    with ollama.Client(stage.url) as client:
        while True:
            message = client.chat(stage.model(to), messages=talk, tools=tools).message
            if not message.tool_calls:
                break
            calls = [{"function": call.function.model_dump()} for call in message.tool_calls]
            talk.append({"role": "assistant", "content": message.content, "tool_calls": calls})
            talk += [{"role": "tool", "tool_name": "look", "content": "Not here."} for _ in calls]
    assert message.content == "Found."
    assert stage.vendor.refusals == 0
