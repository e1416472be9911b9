"""What look-alikes of Chat sign, and what they name it by, goes back to them bit for bit, through every face."""

from typing import Any

import pytest

from .asking import HELLO, Asked, chat_answer, chat_stream, chunk
from .forgetful import FACES, Client, bare_turn, calls_in

pytestmark = pytest.mark.anyio

CALLS = [{"id": "abcdefgh1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
         {"id": "abcdefgh2", "type": "function", "function": {"name": "g", "arguments": "{}"}}]  # fmt: skip
SAID = {"type": "text", "text": "Hi"}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def thinking(*said: str, **more: Any) -> dict[str, Any]:
    return {"type": "thinking", "thinking": [text(piece) for piece in said], **more}


NAMED = {"index": 0, "format": "openai-responses-v1", "id": "rs_1"}
DETAILS = [
    {"type": "reasoning.summary", "summary": "hm so", **NAMED},
    {"type": "reasoning.encrypted", "data": "ENC", **NAMED},
    {"type": "reasoning.text", "text": "ah", "signature": "U0lH", "format": "anthropic-claude-v1", "index": 1},
]
CHUNK = thinking("hm so", signature="U0lH")
SIGNED = {"google": {"thought_signature": "U0lH+/=="}}
VERTEX = {"vertex": {"thought_signature": "U0lH", "more": [1]}, "else": 1}

WHOLE: dict[str, dict[str, Any]] = {
    "mistral": {"content": [CHUNK, SAID]},
    "openrouter": {"content": "Hi", "reasoning": "hm soah", "reasoning_details": DETAILS},
    "gemini-openai": {"content": None},
    "vertex": {"content": "Hi"},
}
CARRIED: dict[str, list[dict[str, Any]]] = {
    "gemini-openai": [{"extra_content": SIGNED}, {}],
    "vertex": [{"extra_content": SIGNED}, {"extra_content": VERTEX}],
}
"""What the calls carry themselves."""
PROFILES = {"vertex": "lenient"}
PIECES: dict[str, list[dict[str, Any]]] = {
    "mistral": [{"content": [thinking("hm ")]}, {"content": [thinking("so", signature="U0lH")]}, {"content": "Hi"}],
    "openrouter": [
        {"reasoning": "hm ", "reasoning_details": [{**DETAILS[0], "summary": "hm "}]},
        {"reasoning": "so", "reasoning_details": [{**DETAILS[0], "summary": "so"}]},
        {"reasoning_details": [DETAILS[1]]},
        {"reasoning": "ah", "reasoning_details": [{**DETAILS[2], "signature": None}]},
        {"reasoning_details": [{**DETAILS[2], "text": ""}]},
        {"content": "Hi"},
    ],
    "gemini-openai": [],
    "vertex": [{"content": "Hi"}],
}
SHOWN: dict[str, dict[str, Any]] = {
    "chat": {"include_reasoning": True},
    "gemini": {"generationConfig": {"thinkingConfig": {"includeThoughts": True}}},
}
BACK: dict[str, Any] = {
    "mistral": [CHUNK],
    "openrouter": DETAILS,
    "gemini-openai": [SIGNED, None],
    "vertex": [SIGNED, VERTEX],
}


def calls_of(vendor: str) -> list[dict[str, Any]]:
    return [{**call, **more} for call, more in zip(CALLS, CARRIED.get(vendor, [{}, {}]), strict=True)]


def profile_of(vendor: str) -> str:
    return PROFILES.get(vendor, vendor)


def thoughts(sent: dict[str, Any]) -> Any:
    """Return what the upstream is given back of its reasoning."""
    (turn,) = (message for message in sent["messages"] if message["role"] == "assistant")
    carried = [call.get("extra_content") for call in turn.get("tool_calls", ())]
    if any(carried):
        return carried
    chunks = turn["content"] if isinstance(turn["content"], list) else []
    return turn.get("reasoning_details") or [part for part in chunks if part["type"] == "thinking"]


def whole_turn(face: str, asked: Asked) -> list[Any]:
    """Return a turn and the results of its calls, as a client sends them that carries all that it got."""
    results = bare_turn(face, calls_in(face, asked, streamed=False))
    match face:
        case "chat":
            return [asked.json["choices"][0]["message"], *results[1:]]
        case "responses":
            return [*asked.json["output"], *results[2:]]
        case "claude":
            return [{"role": "assistant", "content": asked.json["content"]}, *results[1:]]
        case _:
            return [asked.json["candidates"][0]["content"], *results[1:]]


@pytest.mark.parametrize("vendor", WHOLE)
@pytest.mark.parametrize("face", [face for face in FACES if face != "ollama"])
async def test_client_carries_it(face: str, vendor: str) -> None:
    client = Client(face, timeouts={"reasoning_s": 0})
    answer = chat_answer({**WHOLE[vendor], "tool_calls": calls_of(vendor)}, "tool_calls")
    asked = await client.ask("chat", answer, profile=profile_of(vendor), more=SHOWN.get(face, {}))
    client.talk += whole_turn(face, asked)
    again = await client.ask("chat", chat_answer(), profile=profile_of(vendor))
    assert thoughts(again.sent) == BACK[vendor]
    assert [n.path for it in (asked, again) for n in it.records[-1].notices if n.severity != "hint"] == []
    assert [n.path for n in asked.records[-1].notices if n.path.endswith((".format", ".signature"))] == []


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("vendor", WHOLE)
@pytest.mark.parametrize("face", FACES)
async def test_client_drops_it(face: str, vendor: str, streamed: bool) -> None:
    client = Client(face)
    answer = chat_answer({**WHOLE[vendor], "tool_calls": calls_of(vendor)}, "tool_calls")
    if streamed:
        called = {"tool_calls": [{"index": index, **call} for index, call in enumerate(calls_of(vendor))]}
        answer = chat_stream(*map(chunk, PIECES[vendor]), chunk(called, "tool_calls"))
    asked = await client.ask("chat", answer, streamed=streamed, profile=profile_of(vendor))
    client.talk += bare_turn(face, calls_in(face, asked, streamed))
    again = await client.ask("chat", chat_answer(), profile=profile_of(vendor))
    assert thoughts(again.sent) == BACK[vendor]
    assert [n.path for n in again.records[-1].notices if n.severity == "lost"] == []


@pytest.mark.parametrize("vendor", ["mistral", "openrouter"])
async def test_it_is_whole_at_the_end_of_a_stream(vendor: str) -> None:
    client = Client("responses")
    asked = await client.ask("chat", chat_stream(*map(chunk, PIECES[vendor]), chunk({}, "stop")), streamed=True,
                             profile=profile_of(vendor))  # fmt: skip
    client.talk += [*asked.events[-2]["response"]["output"], *HELLO]
    again = await client.ask("chat", chat_answer(), profile=profile_of(vendor))
    assert thoughts(again.sent) == BACK[vendor]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
async def test_caller_of_chat_gets_what_a_call_carries_as_it_came(streamed: bool) -> None:
    answer = chat_answer({"content": None, "tool_calls": calls_of("vertex")}, "tool_calls")
    if streamed:
        pieces = [{"tool_calls": [{"index": index, **call}]} for index, call in enumerate(calls_of("vertex"))]
        answer = chat_stream(*map(chunk, pieces), chunk({}, "tool_calls"))
    asked = await Client("chat").ask("chat", answer, streamed=streamed, profile="lenient", more=SHOWN["chat"])
    told = [choice["delta" if streamed else "message"] for event in (asked.events if streamed else [asked.json])
            if event != "[DONE]" for choice in event["choices"]]  # fmt: skip
    calls = [call for message in told for call in message.get("tool_calls", ())]
    assert [call["extra_content"] for call in calls if "extra_content" in call] == [SIGNED, VERTEX]
    assert not any("reasoning_details" in message for message in told)


async def test_signature_stays_here_whose_call_did_not_come_back() -> None:
    client = Client("claude")
    answer = chat_answer({"content": "Hi", "tool_calls": calls_of("gemini-openai")}, "tool_calls")
    asked = await client.ask("chat", answer, profile="gemini-openai")
    blocks = [block for block in asked.json["content"] if block["type"] != "tool_use"]
    assert [block["type"] for block in blocks] == ["text", "thinking"]
    client.talk += [{"role": "assistant", "content": blocks}, *HELLO]
    again = await client.ask("chat", chat_answer(), profile="gemini-openai")
    assert "U0lH" not in str(again.sent)
    assert again.notices["messages[1].content[1]"] == "hint"


async def test_caller_of_chat_is_told_the_signature_of_a_later_chunk() -> None:
    client = Client("chat")
    stream = chat_stream(*map(chunk, PIECES["mistral"]), chunk({}, "stop"))
    asked = await client.ask("chat", stream, streamed=True, profile="mistral", more={"include_reasoning": True})
    told = [detail for event in asked.events if event != "[DONE]" for choice in event["choices"]
            for detail in choice["delta"].get("reasoning_details", ())]  # fmt: skip
    assert [detail.get("signature") for detail in told] == [None, None, "U0lH"]


async def test_thoughts_that_are_more_than_text_go_back_as_they_came() -> None:
    cited = thinking("hm", closed=True)
    cited["thinking"].append({"type": "reference", "reference_ids": [1]})
    client = Client("claude")
    asked = await client.ask("chat", chat_answer({"content": [cited, SAID]}), profile="mistral")
    client.talk += [{"role": "assistant", "content": asked.json["content"]}, *HELLO]
    again = await client.ask("chat", chat_answer(), profile="mistral")
    assert thoughts(again.sent) == [cited]


async def test_what_a_stream_says_beside_a_thought_that_has_begun_is_told_as_left_out() -> None:
    pieces = [thinking("hm "), thinking("so", closed=True), thinking("!", closed=True)]
    stream = chat_stream(*(chunk({"content": [piece]}) for piece in pieces), chunk({"content": "Hi"}, "stop"))
    asked = await Client("claude").ask("chat", stream, streamed=True, profile="mistral")
    told = [notice for notice in asked.records[-1].notices if notice.path.startswith("choices")]
    assert [(notice.path, notice.severity) for notice in told] == [("choices[0].message.content[0].closed", "hint")]


async def test_other_vendor_gets_none_of_it() -> None:
    client = Client("claude")
    asked = await client.ask("chat", chat_answer(WHOLE["openrouter"]), profile="openrouter")
    client.talk += [{"role": "assistant", "content": asked.json["content"]}, *HELLO]
    again = await client.ask("chat", chat_answer(), profile="mistral")
    assert not any(told in str(again.sent) for told in ("U0lH", "ENC", "rs_1", "ds2r1"))
    assert "lost" in again.notices.values()
