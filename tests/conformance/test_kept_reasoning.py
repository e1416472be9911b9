"""What a model thought goes back to it although the client carries none of it: every face, every kind of upstream."""

import threading
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from asgi_ds2api.secret import Secret
from asgi_ds2api.serving.off_loop import LARGE_BYTES
from asgi_ds2api.state.memory import MemoryStore
from tests.support.asgi_driver import call
from tests.support.gateways import make_gateway, upstream
from tests.support.scripted_client import ScriptedUpstream

from .asking import CONTENTS, HELLO, PATHS, chat_answer, chat_stream, chunk, claude_answer, gemini_answer
from .forgetful import (
    ANSWERS,
    BACK,
    BLOCKS,
    BYE,
    CALLS,
    FACES,
    PARTS,
    SIGNATURE,
    THOUGHT,
    TOOLS,
    Client,
    bare_turn,
    calls_in,
    thought_back,
)

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("to", FACES)
@pytest.mark.parametrize("face", FACES)
async def test_reasoning_survives_a_client_that_drops_it_openai_C34_gemini_C19(
    face: str, to: str, streamed: bool
) -> None:
    client = Client(face)
    await client.take_turn(to, streamed=streamed)
    asked = await client.go_on(to)
    assert thought_back(to, asked.sent) == BACK[to]
    assert [path for path, severity in asked.notices.items() if severity == "lost"] == []


@pytest.mark.parametrize("face", FACES)
async def test_two_turns_of_one_loop_get_back_their_own(face: str) -> None:
    client = Client(face)
    await client.take_turn("claude")
    again = [{**BLOCKS[0], "thinking": "And now?", "signature": "c2Vjb25k"}, {**BLOCKS[2], "id": "toolu_3"}]
    asked = await client.ask("claude", claude_answer(again, "tool_use"))
    client.talk += bare_turn(face, calls_in(face, asked, streamed=False))
    asked = await client.go_on("claude")
    turns = [message["content"] for message in asked.sent["messages"] if message["role"] == "assistant"]
    assert [block for turn in turns for block in turn if block["type"] != "tool_use"] == [*BLOCKS[:2], again[0]]
    assert [turn[0] for turn in turns] == [BLOCKS[0], again[0]]


@pytest.mark.parametrize("face", FACES)
async def test_reasoning_stays_where_the_next_question_ends_its_loop(face: str) -> None:
    """Between the loops a turn without calls may have thought, which nobody kept: Anthropic takes no gap."""
    client = Client(face)
    await client.take_turn("claude")
    client.talk += {
        "gemini": [{"role": "model", "parts": [{"text": "So."}]}, *CONTENTS],
        "responses": [{"role": "assistant", "content": "So."}, *HELLO],
    }.get(face, [{"role": "assistant", "content": "So."}, *HELLO])
    asked = await client.go_on("claude")
    assert "thinking" not in str(asked.sent["messages"])
    assert [path for path, severity in asked.notices.items() if severity != "hint"] == []


@pytest.mark.parametrize(("first", "second"), [("claude", "gemini"), ("gemini", "claude"), ("responses", "claude")])
async def test_reasoning_is_left_out_and_told_after_a_switch_of_vendor_anthropic_C27_openai_C44(
    first: str, second: str
) -> None:
    client = Client("chat")
    await client.take_turn(first)
    asked = await client.go_on(second)
    assert not any(told in str(asked.sent) for told in ("U0lH", SIGNATURE, "EmwK", "gAAA"))
    assert asked.notices["messages[1].tool_calls[0]"] == "lost"
    assert "messages[].tool_calls[]" in (asked.answer.header("x-ds2api-notices") or "")
    back = await client.go_on(first)
    assert thought_back(first, back.sent) == BACK[first]


async def test_words_that_another_vendor_has_no_use_for_are_no_loss() -> None:
    client = Client("chat", on_unsupported="reject")
    await client.take_turn("chat")
    asked = await client.go_on("responses")
    assert THOUGHT not in str(asked.sent)
    assert asked.notices["messages[1].tool_calls[0]"] == "hint"


async def test_another_vendors_reasoning_is_refused_where_nothing_may_be_lost() -> None:
    client = Client("chat", on_unsupported="reject")
    await client.take_turn("claude")
    asked = await client.ask("gemini", BYE["gemini"]())
    assert (asked.answer.status, asked.json["error"]["param"]) == (400, "messages[1].tool_calls[0]")


CALLERS = [{"label": label, "key": Secret(f"key-of-the-caller-{label}-0123")} for label in ("one", "two")]


def as_caller(label: str) -> dict[str, Any]:
    return {
        "auth": "callers",
        "callers": CALLERS,
        "headers": {"authorization": f"Bearer key-of-the-caller-{label}-0123"},
    }


@pytest.mark.parametrize("face", ["chat", "ollama"])
async def test_another_caller_gets_nothing_of_it(face: str) -> None:
    client = Client(face)
    await client.take_turn("claude", **as_caller("one"))
    asked = await client.go_on("claude", **as_caller("two"))
    assert thought_back("claude", asked.sent) == ["f", "g"]
    asked = await client.go_on("claude", **as_caller("one"))
    assert thought_back("claude", asked.sent) == BACK["claude"]


async def test_anonymous_caller_needs_to_know_all_of_the_talk() -> None:
    client = Client("chat")
    client.talk = [{"role": "user", "content": "My secret."}, {"role": "assistant", "content": "Yes?"}, *HELLO]
    await client.take_turn("chat")
    told = client.talk
    client.talk = told[2:]
    asked = await client.go_on("chat")
    assert asked.sent["messages"][1]["reasoning_content"] == ""
    client.talk = told
    asked = await client.go_on("chat")
    assert asked.sent["messages"][3]["reasoning_content"] == THOUGHT


async def test_known_caller_may_forget_what_lies_behind_and_say_another_time_of_day() -> None:
    client = Client("chat", **as_caller("one"))
    old = [{"role": "user", "content": "Old."}, {"role": "assistant", "content": "Yes?"}]
    client.talk = [{"role": "system", "content": "It is 10:00."}, *old, *HELLO]
    await client.take_turn("chat")
    client.talk = [{"role": "system", "content": "It is 10:01."}, *client.talk[3:]]
    asked = await client.go_on("chat")
    assert asked.sent["messages"][2]["reasoning_content"] == THOUGHT


@pytest.mark.parametrize("face", ["chat", "ollama"])
async def test_reasoning_of_another_talk_with_the_same_ids_is_not_taken(face: str) -> None:
    """Kimi numbers the calls of every talk from 0."""
    client = Client(face, **as_caller("one"))
    await client.take_turn("chat")
    client.talk[0] = {"role": "user", "content": "Something else"}
    asked = await client.go_on("chat")
    assert asked.sent["messages"][1]["reasoning_content"] == ""


async def test_reasoning_is_kept_for_its_time_alone() -> None:
    client = Client("chat", timeouts={"reasoning_s": 60})
    await client.take_turn("claude")
    client.time = 59
    assert thought_back("claude", (await client.go_on("claude")).sent) == BACK["claude"]
    client.time = 61
    assert thought_back("claude", (await client.go_on("claude")).sent) == ["f", "g"]


@pytest.mark.parametrize(
    "config", [{"timeouts": {"reasoning_s": 0}}, {"limits": {"max_kept_reasoning_bytes": 1_024}}], ids=["off", "large"]
)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
async def test_nothing_is_kept_where_that_is_off_or_too_much(config: Any, streamed: bool) -> None:
    client = Client("chat", **config)
    thought = {"content": None, "reasoning_content": "t" * 1_024, "tool_calls": CALLS}
    pieces = [{"reasoning_content": "t" * 512}, {"reasoning_content": "t" * 512}]
    called = [{"tool_calls": [{"index": index, **made}]} for index, made in enumerate(CALLS)]
    stream = chat_stream(*map(chunk, [*pieces, *called]), chunk(finish="tool_calls"))
    asked = await client.ask("chat", stream if streamed else chat_answer(thought, "tool_calls"), streamed=streamed)
    client.talk += bare_turn("chat", calls_in("chat", asked, streamed))
    assert thought_back("chat", (await client.go_on("chat")).sent) == ""


async def test_reasoning_of_an_answer_that_broke_off_is_not_kept() -> None:
    client = Client("chat")
    pieces = [{"tool_calls": [{"index": index, **made}]} for index, made in enumerate(CALLS)]
    broken = chat_stream(*map(chunk, [{"reasoning_content": THOUGHT}, *pieces]), done=False)
    asked = await client.ask("chat", broken, streamed=True)
    assert "[DONE]" not in asked.events
    client.talk += bare_turn("chat", [("call_1", "f", {"a": 1}), ("call_2", "g", {})])
    assert thought_back("chat", (await client.go_on("chat")).sent) == ""


async def test_client_that_carries_its_reasoning_is_taken_at_its_word() -> None:
    client = Client("claude")
    first = await client.ask("claude", claude_answer(BLOCKS, "tool_use"))
    own = [{**BLOCKS[0], "thinking": "Mine.", "signature": "bWluZQ=="}, *BLOCKS[2:]]
    results = bare_turn("claude", calls_in("claude", first, streamed=False))[1]
    client.talk += [{"role": "assistant", "content": own}, results]
    assert thought_back("claude", (await client.go_on("claude")).sent) == [own[0], "f", "g"]


@pytest.mark.parametrize("to", ["claude", "chat"])
async def test_client_that_carries_the_words_alone_gets_the_proof_too(to: str) -> None:
    client = Client("ollama")
    await client.take_turn(to)
    client.talk[1]["thinking"] = THOUGHT
    asked = await client.go_on(to)
    assert thought_back(to, asked.sent) == BACK[to]
    assert "lost" not in asked.notices.values()


async def test_thinking_between_texts_and_calls_goes_back_between_them() -> None:
    client = Client("chat")
    later = {"type": "thinking", "thinking": "Then.", "signature": "bGF0ZXI="}
    said = {"type": "text", "text": "Look."}
    await client.ask("claude", claude_answer([BLOCKS[0], said, later, *BLOCKS[2:]], "tool_use"))
    client.talk += bare_turn("chat", [(block["id"], block["name"], block["input"]) for block in BLOCKS[2:]], "Look.")
    asked = await client.go_on("claude")
    assert thought_back("claude", asked.sent) == [BLOCKS[0], said, later, "f", "g"]


@pytest.mark.parametrize("is_back", [True, False], ids=["text", "no-text"])
async def test_signature_of_a_text_stays_with_it_gemini_C21(is_back: bool) -> None:
    client = Client("chat")
    parts = [{"text": "Look.", "thoughtSignature": "VEVYVA=="}, *PARTS[1:]]
    asked = await client.ask("gemini", gemini_answer(parts))
    calls = calls_in("chat", asked, streamed=False)
    client.talk += bare_turn("chat", calls, "Look." if is_back else "")
    sent = (await client.go_on("gemini")).sent["contents"][1]["parts"]
    signed = [(part.get("text"), part.get("thoughtSignature")) for part in sent]
    assert signed == [*([("Look.", "VEVYVA==")] if is_back else []), (None, "U0lH+/=="), (None, None)]


async def test_call_that_the_client_dropped_does_not_hide_the_thought() -> None:
    client = Client("chat")
    await client.take_turn("chat")
    del client.talk[1]["tool_calls"][1], client.talk[3]
    assert thought_back("chat", (await client.go_on("chat")).sent) == THOUGHT


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
async def test_signature_that_a_call_of_chat_carries_goes_back_with_it(streamed: bool) -> None:
    """Gemini's own face of Chat puts it there."""
    client = Client("chat")
    profile = {"base": "gemini-openai"}
    signed = {"google": {"thought_signature": "U0lH+/=="}}
    calls = [{**CALLS[0], "extra_content": signed}, CALLS[1]]
    pieces = [{"tool_calls": [{"index": index, **made}]} for index, made in enumerate(calls)]
    stream = chat_stream(*map(chunk, pieces), chunk(finish="tool_calls"))
    whole = chat_answer({"content": None, "tool_calls": calls}, "tool_calls")
    asked = await client.ask("chat", stream if streamed else whole, streamed=streamed, profile=profile)
    client.talk += bare_turn("chat", calls_in("chat", asked, streamed))
    sent = (await client.go_on("chat", profile=profile)).sent["messages"][1]["tool_calls"]
    assert [made.get("extra_content") for made in sent] == [signed, None]
    client.talk[1]["tool_calls"][0]["extra_content"] = own = {"google": {"thought_signature": "T1dO"}}
    sent = (await client.go_on("chat", profile=profile)).sent["messages"][1]["tool_calls"]
    assert [made.get("extra_content") for made in sent] == [own, None]


class LoopStore(MemoryStore):
    """Notes where it is asked."""

    def __init__(self) -> None:
        super().__init__(lambda: 0.0)
        self.threads: set[int] = set()

    def get(self, table: str, key: str) -> bytes | None:
        self.threads.add(threading.get_ident())
        return super().get(table, key)


async def test_state_is_asked_in_the_event_loop_also_for_a_large_body() -> None:
    client = Client("chat")
    client.store = store = LoopStore()
    client.talk = [{"role": "user", "content": "x" * (LARGE_BYTES + 1)}]
    await client.take_turn("chat")
    assert thought_back("chat", (await client.go_on("chat")).sent) == THOUGHT
    assert store.threads == {threading.get_ident()}


async def test_summary_of_a_talk_is_made_with_what_was_thought() -> None:
    client = Client("responses")
    await client.take_turn("chat")
    trigger = {"type": "compaction_trigger"}
    client.talk = [client.talk[0], trigger, *client.talk[1:], trigger]
    asked = await client.go_on("chat")
    turns = [message for message in asked.sent["messages"] if message["role"] == "assistant"]
    assert [turn["reasoning_content"] for turn in turns] == [THOUGHT]


async def test_each_of_several_answers_keeps_what_it_thought() -> None:
    client = Client("chat", auth="none")
    ids = ["call_0", "call_1"]
    thoughts = [{"role": "assistant", "content": None, "reasoning_content": f"Idea {number}."} for number in range(2)]
    choices = [
        {
            "index": number,
            "finish_reason": "tool_calls",
            "message": {**thought, "tool_calls": [{**CALLS[0], "id": id_}]},
        }
        for number, (thought, id_) in enumerate(zip(thoughts, ids, strict=True))
    ]
    profile = {"base": "deepseek", "choices": True}
    await client.ask("chat", chat_answer(choices=choices), profile=profile)
    hello = client.talk
    for number, id_ in enumerate(ids):
        client.talk = [*hello, *bare_turn("chat", [(id_, "f", {"a": 1})])]
        assert thought_back("chat", (await client.go_on("chat")).sent) == f"Idea {number}."


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
async def test_reasoning_is_kept_before_the_end_of_its_answer_goes_out(streamed: bool) -> None:
    """The next request of a fast client may be there before anything behind the last send."""
    store, kept_at_end = MemoryStore(lambda: 0.0), list[int]()
    upstreams = {"claude": ScriptedUpstream(ANSWERS["claude", streamed]())}
    gateway = make_gateway(upstream("claude"), scripts=upstreams, store=store)

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        async def watch(message: Message) -> None:
            if message["type"] == "http.response.body" and not message.get("more_body"):
                kept_at_end.append(len(store._facts))
            await send(message)

        await gateway(scope, receive, watch)

    body = {"model": "claude/claude-sonnet-4-5", "messages": HELLO, "tools": TOOLS["chat"], "stream": streamed}
    answer = await call(watched, "POST", PATHS["chat"], json=body)
    assert (answer.status, kept_at_end) == (200, [1])
