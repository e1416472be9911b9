"""anthropic-C37: an answer that the upstream paused in the middle of its own tools is gone on from."""

import json
from typing import Any

import pytest

from tests.support.asgi_driver import Exchange
from tests.support.gateways import Records, make_gateway, open_leases, upstream
from tests.support.scripted_client import NEVER, Answering, ScriptedUpstream
from tests.support.virtual_time import run_virtual

from .asking import STREAM, Asked, ask, claude_answer, claude_events, claude_stream, error

pytestmark = pytest.mark.anyio

SEARCH: dict[str, Any] = {
    "type": "server_tool_use",
    "id": "srvtoolu_1",
    "name": "web_search",
    "input": {"query": "news"},
}
FOUND: dict[str, Any] = {
    "type": "web_search_tool_result",
    "tool_use_id": "srvtoolu_1",
    "content": [{"type": "web_search_result", "url": "https://a.example", "title": "A", "encrypted_content": "EnC=="}],
}
THOUGHT = {"type": "thinking", "thinking": "Let me look.", "signature": "c2ln"}
PAUSED: list[dict[str, Any]] = [THOUGHT, SEARCH, FOUND, {"type": "text", "text": "So far: "}]
REST: list[dict[str, Any]] = [{"type": "text", "text": "done."}]


def streamed(*content: dict[str, Any], stop: str, **message: Any) -> Answering:
    """Return the stream that tells these blocks, 10 tokens of input and 2 of output."""
    blocks: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
    for block in content:
        match block["type"]:
            case "text":
                blocks.append(({"type": "text", "text": ""}, [{"type": "text_delta", "text": block["text"]}]))
            case "thinking":
                deltas = [{"type": "thinking_delta", "thinking": block["thinking"]},
                          {"type": "signature_delta", "signature": block["signature"]}]  # fmt: skip
                blocks.append(({"type": "thinking", "thinking": "", "signature": ""}, deltas))
            case "server_tool_use":
                text = json.dumps(block["input"])
                deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in (text[:4], text[4:])]
                blocks.append(({**block, "input": {}}, deltas))
            case _:
                blocks.append((block, []))
    events = claude_events(*blocks, stop=stop, usage={"input_tokens": 10, "output_tokens": 1})
    events[0]["message"].update(message)
    return claude_stream(events)


def whole(*content: dict[str, Any], stop: str, **fields: Any) -> Answering:
    return claude_answer(list(content), stop, usage={"input_tokens": 10, "output_tokens": 2}, **fields)


SHAPES = {"whole": whole, "stream": streamed}


async def paused(face: str, *scripts: Answering, body: Any = None, **config: Any) -> Asked:
    config.setdefault("resume_pauses", True)
    if face == "claude":
        config.setdefault("profile", {"exact": False})
    return await ask(face, "claude", body or {}, *scripts, **config)


def text_of(face: str, asked: Asked) -> str:
    match face:
        case "chat":
            return str(asked.json["choices"][0]["message"]["content"])
        case "claude":
            return "".join(block.get("text", "") for block in asked.json["content"])
        case "gemini":
            parts = asked.json["candidates"][0]["content"]["parts"]
            return "".join(part.get("text", "") for part in parts if not part.get("thought"))
        case "ollama":
            return str(asked.json["message"]["content"])
    items = [item for item in asked.json["output"] if item["type"] == "message"]
    return "".join(part["text"] for item in items for part in item["content"])


# --- whole answers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("face", ["chat", "claude", "gemini", "ollama", "responses"])
async def test_anthropic_C37_paused_answer_is_one_answer_on_every_face(face: str, shape: str) -> None:
    said = SHAPES[shape]
    body = {"stream": False} if face == "ollama" else None
    asked = await paused(face, said(*PAUSED, stop="pause_turn"), said(*REST, stop="end_turn"), body=body)
    assert text_of(face, asked) == "So far: done."
    (record,) = asked.records
    assert record.usage is not None
    assert (record.usage.input_total, record.usage.output_total) == (20, 4)
    assert (record.result, record.finish, len(record.attempts)) == ("ok", "stop", 1)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("face", ["chat", "claude"])
async def test_anthropic_C37_assistant_content_goes_back_unchanged_and_nothing_is_added(face: str, shape: str) -> None:
    said = SHAPES[shape]
    asked = await paused(face, said(*PAUSED, stop="pause_turn"), said(*REST, stop="end_turn"))
    first, second = (json.loads(call.request.body) for call in asked.upstream.calls)
    assert second.pop("messages") == [*first.pop("messages"), {"role": "assistant", "content": PAUSED}]
    assert second == first
    headers = [dict(call.request.headers) | {b"content-length": b""} for call in asked.upstream.calls]
    assert headers[0] == headers[1]


async def test_answer_on_its_own_face_has_all_blocks_in_their_order() -> None:
    asked = await paused("claude", whole(*PAUSED, stop="pause_turn"), whole(*REST, stop="end_turn"))
    assert asked.json["content"] == PAUSED + REST
    assert asked.json["stop_reason"] == "end_turn"
    assert asked.json["usage"]["output_tokens"] == 4


async def test_anthropic_C37_is_resumed_five_times_and_then_told_as_a_stop() -> None:
    scripts = [whole({"type": "text", "text": f"{n}"}, stop="pause_turn") for n in range(6)]
    asked = await paused("chat", *scripts)
    assert len(asked.upstream.calls) == 6
    assert text_of("chat", asked) == "012345"
    assert asked.json["choices"][0]["finish_reason"] == "stop"
    assert asked.notices["stop_reason"] == "changed"
    said = [m["content"][0]["text"] for m in asked.sent["messages"] if m["role"] == "assistant"]
    assert said == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize(("is_on", "size"), [(False, 1), (True, 30_000)])
async def test_pause_that_is_not_resumed_is_told(is_on: bool, size: int) -> None:
    """Without the switch; or of an answer longer than any that is held."""
    script = streamed(*[{"type": "text", "text": "x" * size}] * 3, stop="pause_turn")
    limits = {"max_event_bytes": 65_536}
    asked = await paused("chat", script, body={"stream": True}, resume_pauses=is_on, limits=limits)
    assert len(asked.upstream.calls) == 1
    assert asked.notices["stop_reason"] == "changed"
    assert asked.events[-1] == "[DONE]"


async def test_pause_within_one_protocol_is_relayed_as_it_came() -> None:
    asked = await paused("claude", whole(*PAUSED, stop="pause_turn"), profile="anthropic")
    assert asked.json["stop_reason"] == "pause_turn"


async def test_upstream_has_its_own_word_on_it() -> None:
    gateway = make_gateway(
        upstream("claude", resume_pauses=False),
        scripts={"claude": ScriptedUpstream(whole(*PAUSED, stop="pause_turn"))},
        resume_pauses=True,
    )
    body = {"model": "claude/m", "messages": [{"role": "user", "content": "Hi"}]}
    async with Exchange(gateway, "POST", "/v1/chat/completions", json=body) as exchange:
        assert json.loads((await exchange.finish()).body)["choices"][0]["message"]["content"] == "So far: "


@pytest.mark.parametrize(
    ("asked_for", "sent"),
    [
        (None, "cont_1"),
        ("cont_1", "cont_1"),
        ({"skills": [{"skill_id": "s"}]}, {"skills": [{"skill_id": "s"}], "id": "cont_1"}),
    ],
)
async def test_container_of_the_tools_is_named(asked_for: Any, sent: Any) -> None:
    container = {"id": "cont_1", "expires_at": "2026-11-26T00:00:00Z"}
    body = {} if asked_for is None else {"container": asked_for}
    scripts = [whole(*PAUSED, stop="pause_turn", container=container), whole(*REST, stop="end_turn")]
    asked = await paused("claude", *scripts, body=body)
    assert asked.sent["container"] == sent


async def test_answer_in_two_shapes_is_one() -> None:
    asked = await paused("chat", streamed(*PAUSED, stop="pause_turn"), whole(*REST, stop="end_turn"))
    assert text_of("chat", asked) == "So far: done."


# --- streams ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shapes", [("stream", "stream"), ("whole", "stream"), ("stream", "whole"), ("whole", "whole")])
async def test_anthropic_C37_stream_is_one_continuous_answer(shapes: tuple[str, str]) -> None:
    first, second = (SHAPES[shape] for shape in shapes)
    body = {"stream": True, "stream_options": {"include_usage": True}}
    asked = await paused("chat", first(*PAUSED, stop="pause_turn"), second(*REST, stop="end_turn"), body=body)
    choices = [choice for event in asked.events[:-1] for choice in event["choices"]]
    assert "".join(choice["delta"].get("content") or "" for choice in choices) == "So far: done."
    assert [choice["finish_reason"] for choice in choices if choice["finish_reason"]] == ["stop"]
    assert [event["usage"]["total_tokens"] for event in asked.events[:-1] if event["usage"]] == [24]
    assert asked.events.count("[DONE]") == 1


async def test_anthropic_C37_stream_on_its_own_face_counts_its_blocks_on() -> None:
    scripts = [streamed(*PAUSED, stop="pause_turn"), streamed(*REST, stop="end_turn")]
    asked = await paused("claude", *scripts, body={"stream": True})
    kinds = [event["type"] for event in asked.events]
    assert (kinds.count("message_start"), kinds.count("message_delta"), kinds.count("message_stop")) == (1, 1, 1)
    starts = [event["index"] for event in asked.events if event["type"] == "content_block_start"]
    assert starts == list(range(5))
    end = next(event for event in asked.events if event["type"] == "message_delta")
    assert (end["delta"]["stop_reason"], end["usage"]["output_tokens"]) == ("end_turn", 4)


async def test_stream_of_gemini_is_one() -> None:
    scripts = [streamed(*PAUSED, stop="pause_turn"), streamed(*REST, stop="end_turn")]
    asked = await paused("gemini", *scripts, verb=STREAM)
    texts = [part["text"] for event in asked.events for part in event["candidates"][0]["content"]["parts"]
             if "text" in part and not part.get("thought")]  # fmt: skip
    assert "".join(texts) == "So far: done."
    assert [e["candidates"][0]["finishReason"] for e in asked.events if "finishReason" in e["candidates"][0]] == [
        "STOP"
    ]


# --- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 529])
async def test_whole_answer_that_cannot_be_gone_on_from_is_an_error_and_nobody_else_is_asked(status: int) -> None:
    """The first part was billed."""
    asked = await paused(
        "chat", whole(*PAUSED, stop="pause_turn"), error(status, {"error": {"message": "no"}}), accounts=2
    )
    assert asked.answer.status in (400, 503)
    assert len(asked.upstream.calls) == 2


async def test_stream_that_cannot_be_gone_on_from_ends_with_the_error() -> None:
    asked = await paused("chat", streamed(*PAUSED, stop="pause_turn"), error(529, {}), body={"stream": True})
    assert "error" in asked.events[-1]
    assert "[DONE]" not in asked.events
    assert asked.records[0].result == "interrupted"


@run_virtual
async def test_caller_who_leaves_in_the_second_call_ends_it() -> None:
    scripted, records = ScriptedUpstream(streamed(*PAUSED, stop="pause_turn"), NEVER), Records()
    gateway = make_gateway(upstream("claude"), scripts={"claude": scripted}, hooks=[records], resume_pauses=True)
    body = {"model": "claude/m", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    async with Exchange(gateway, "POST", "/v1/chat/completions", json=body) as exchange:
        await scripted.wait_calls(2)
        exchange.disconnect()
        await exchange.finish()
    assert (scripted.calls[1].cancelled_in, scripted.still_open, open_leases(gateway)) == ("open", 0, 0)
    assert records[0].result == "client_gone"
