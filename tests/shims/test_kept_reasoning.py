"""What was thought is kept by turn and put back in its order; only to its issuer, only to its caller."""

from collections.abc import Sequence
from typing import Any

import anyio
import msgspec
import pytest
from msgspec import Raw

from asgi_ds2api.canonical import (
    ArgumentsDelta,
    Block,
    BlockStart,
    BlockStop,
    Event,
    FunctionTool,
    Message,
    Notices,
    ProtocolName,
    Reasoning,
    ReasoningDelta,
    Request,
    SignatureDelta,
    Text,
    TextDelta,
    ToolCall,
    ToolResult,
)
from asgi_ds2api.profiles import Profile
from asgi_ds2api.shims import CallersReasoning, KeptReasoning
from asgi_ds2api.state.facts import FactTable
from asgi_ds2api.state.memory import MemoryStore

QUESTION = Message(role="user", content=(Text(text="Where?"),), at="messages[0]")
CLAUDE = Profile(vendor="anthropic")
FIRST = Reasoning(text="Let me see.", signature="c2ln")
HIDDEN = Reasoning(redacted="cmVk")
LATER = Reasoning(text="", signature="bGF0ZXI=")
ONE = ToolCall(id="c1", name="f", arguments='{"a":1}')
TWO = ToolCall(id="c2", name="g", arguments="")


class Kept:
    """What is kept of callers, and one shim after the other that uses it."""

    def __init__(self, *, max_bytes: int = 10_000, is_shared: bool = False) -> None:
        self.store = MemoryStore(lambda: 0.0)
        self.table = FactTable(store=self.store, name="reasoning", ttl_s=60, max_value_bytes=max_bytes)
        self._is_shared = is_shared

    def shim(
        self, talk: Sequence[Message], *, source: ProtocolName = "openai_chat", to: str = "anthropic_messages",
        profile: Profile = CLAUDE, label: str = "web",
    ) -> KeptReasoning:  # fmt: skip
        kept = CallersReasoning(table=self.table, label=label, is_shared=self._is_shared)
        return KeptReasoning(asking(talk, source), to, profile, kept)

    def hear(self, *blocks: Block, talk: Sequence[Message] = (QUESTION,), **asked: Any) -> KeptReasoning:
        """Let a whole answer pass, and keep it."""
        shim = self.shim(talk, **asked)
        events = [BlockStart(index=index, block=block) for index, block in enumerate(blocks)]
        assert shim.events(events) is events
        shim.keep()
        return shim

    def ask(
        self, *blocks: Block, talk: Sequence[Message] = (QUESTION,), notices: Notices | None = None, **asked: Any
    ) -> tuple[Block, ...]:
        """Return the turn of these blocks, as the upstream is sent it."""
        turn = Message(role="assistant", content=blocks, at="messages[1]")
        whole = (*talk, turn, results(*blocks))
        shim = self.shim(whole, **asked)
        anyio.run(shim.recall)
        request = asking(whole, asked.get("source", "openai_chat"))
        return shim.request(request, Notices() if notices is None else notices).messages[len(talk)].content


def asking(talk: Sequence[Message], source: ProtocolName) -> Request:
    return Request(source=source, model="m", messages=tuple(talk), tools=(FunctionTool(name="f"),))


def results(*blocks: Block) -> Message:
    given = [ToolResult(call_id=block.id, blocks=(Text(text="r"),)) for block in blocks if isinstance(block, ToolCall)]
    return Message(role="tool", content=tuple(given))


def own(block: Reasoning, at: str = "") -> Reasoning:
    return msgspec.structs.replace(block, origin="anthropic", at=at)


def test_blocks_go_back_in_order_each_before_what_it_led_to() -> None:
    kept = Kept()
    kept.hear(FIRST, HIDDEN, Text(text="Look."), LATER, ONE, FIRST, TWO, HIDDEN)
    back = kept.ask(Text(text="Look."), ONE, TWO)
    said = Text(text="Look.")
    assert back == (own(FIRST), own(HIDDEN), said, own(LATER), ONE, own(FIRST), TWO, own(HIDDEN, "messages"))


def test_pieces_of_a_stream_are_joined_bit_for_bit() -> None:
    kept = Kept()
    shim = kept.shim([QUESTION])
    pieces: list[Event] = [
        BlockStart(index=0, block=Reasoning()),
        ReasoningDelta(index=0, text="Let me "),
        BlockStart(index=1, block=ToolCall(id="c1", name="f", arguments="")),
        ReasoningDelta(index=0, text="see."),
        ArgumentsDelta(index=1, arguments='{"a":1}'),
        SignatureDelta(index=0, signature="c2ln"),
        BlockStop(index=0),
    ]
    for piece in pieces:
        assert shim.events([piece]) == [piece]
    assert kept.ask(ONE) == (ONE,)
    shim.keep()
    assert kept.ask(ONE) == (own(FIRST), ONE)


@pytest.mark.parametrize("source", ["ollama_chat", "gemini_generate"])
def test_call_without_its_id_is_known_by_what_it_calls(source: ProtocolName) -> None:
    kept = Kept()
    shim = kept.shim([QUESTION], source=source)
    shim.events(
        [BlockStart(index=0, block=FIRST), BlockStart(index=1, block=ToolCall(id="c1", name="f", arguments=""))]
    )
    shim.events([ArgumentsDelta(index=1, arguments='{"a":1,'), ArgumentsDelta(index=1, arguments='"b":[1.0]}')])
    shim.keep()
    made = ToolCall(id="call_1_0", name="f", arguments='{ "b": [1.0], "a": 1 }')
    assert kept.ask(made, source=source) == (own(FIRST), made)
    other = msgspec.structs.replace(made, arguments='{"b":[2.0],"a":1}')
    assert kept.ask(other, source=source) == (other,)


def test_arguments_that_are_no_json_are_told_apart_as_text() -> None:
    kept = Kept()
    broken = ToolCall(id="c1", name="f", arguments='{"a":')
    kept.hear(FIRST, broken, source="ollama_chat")
    assert kept.ask(broken, source="ollama_chat") == (own(FIRST), broken)


def test_turn_is_found_by_any_call_of_it_that_the_answer_began_with() -> None:
    kept = Kept()
    kept.hear(FIRST, ONE, LATER, TWO)
    assert kept.ask(TWO, ONE) == (own(FIRST), own(LATER), TWO, ONE)
    assert kept.ask(ONE) == (own(FIRST), ONE, own(LATER, "messages"))


def test_choices_are_kept_apart() -> None:
    kept = Kept()
    shim = kept.shim([QUESTION])
    heard: list[tuple[Block, int]] = [(FIRST, 0), (HIDDEN, 1), (TWO, 1), (ONE, 0)]
    for index, (block, choice) in enumerate(heard):
        shim.events([BlockStart(index=index, block=block, choice=choice)])
    shim.keep()
    assert kept.ask(ONE) == (own(FIRST), ONE)
    assert kept.ask(TWO) == (own(HIDDEN), TWO)


@pytest.mark.parametrize(
    "blocks", [(FIRST, Text(text="No calls.")), (ONE,), (Reasoning(text="Unsigned."), ONE)],
    ids=["no call", "no thought", "no use"],
)  # fmt: skip
def test_nothing_is_kept_that_would_not_go_back(blocks: Sequence[Block]) -> None:
    kept = Kept()
    kept.hear(*blocks)
    assert not len(kept.store._facts)


@pytest.mark.parametrize(
    ("to", "source", "replay", "is_kept"),
    [
        ("openai_chat", "anthropic_messages", "tool_turns", True),
        ("openai_chat", "anthropic_messages", "never", False),
        ("ollama_chat", "openai_chat", "never", True),
        ("openai_responses", "openai_responses", "never", True),
        ("openai_responses", "openai_chat", "never", False),
        ("anthropic_messages", "openai_chat", "content", True),
    ],
)
def test_plain_reasoning_is_kept_for_who_wants_it_back(
    to: str, source: ProtocolName, replay: Any, is_kept: bool
) -> None:
    kept = Kept()
    plain = Reasoning(text="Hm.")
    asked: Any = {"to": to, "source": source, "profile": Profile(vendor="generic", reasoning_replay=replay)}
    kept.hear(plain, ONE, **asked)
    expected = msgspec.structs.replace(plain, origin="generic")
    assert kept.ask(ONE, **asked) == ((expected, ONE) if is_kept else (ONE,))


def test_fields_without_a_name_go_back_within_their_protocol_alone() -> None:
    kept = Kept()
    named = msgspec.structs.replace(FIRST, extras={"format": Raw(b'"x"')}, at="choices[0].message")
    kept.hear(named, ONE, source="openai_chat", to="openai_chat")
    (back, _) = kept.ask(ONE, source="openai_chat", to="openai_chat")
    assert back == msgspec.structs.replace(own(FIRST), extras={"format": Raw(b'"x"')})
    (back, _) = kept.ask(ONE, source="openai_chat")
    assert back == own(FIRST)


def signature_of(call: ToolCall) -> Reasoning:
    """Return the signature that a call of Chat carried."""
    return Reasoning(signature=f"of {call.id}", extras={"extra_content": Raw(b"{}")})


@pytest.mark.parametrize(
    ("sent_back", "expected"),
    [
        ((Text(text="Now."), ONE, TWO), (Text(text="Now."), signature_of(ONE), ONE, signature_of(TWO), TWO)),
        ((Text(text="Now."), ONE), (Text(text="Now."), signature_of(ONE), ONE)),
    ],
    ids=["both", "one dropped"],
)
def test_signature_of_a_call_of_chat_goes_back_to_that_call_alone(
    sent_back: Sequence[Block], expected: Sequence[Block]
) -> None:
    kept = Kept()
    asked: Any = {"to": "openai_chat", "source": "openai_chat"}
    kept.hear(signature_of(ONE), ONE, signature_of(TWO), TWO, **asked)
    assert kept.ask(*sent_back, **asked) == tuple(own(b) if isinstance(b, Reasoning) else b for b in expected)


def test_caller_without_a_share_of_it_gets_nothing() -> None:
    kept = Kept()
    kept.hear(FIRST, ONE)
    assert kept.ask(ONE, label="app") == (ONE,)


def test_other_vendor_gets_nothing_and_that_is_told() -> None:
    kept = Kept()
    kept.hear(FIRST, ONE)
    call = msgspec.structs.replace(ONE, at="messages[1].tool_calls[0]")
    notices = Notices()
    assert kept.ask(call, profile=Profile(vendor="google"), notices=notices) == (call,)
    assert [(notice.path, notice.severity) for notice in notices] == [("messages[1].tool_calls[0]", "lost")]


def test_turn_with_a_proof_of_its_own_stays_as_it_is() -> None:
    kept = Kept()
    kept.hear(FIRST, ONE)
    assert kept.ask(LATER, ONE) == (LATER, ONE)


def test_plain_words_of_the_client_give_way_to_what_can_be_proven() -> None:
    kept = Kept()
    kept.hear(FIRST, ONE)
    assert kept.ask(Reasoning(text="Let me see."), ONE) == (own(FIRST), ONE)


def test_answer_that_thinks_too_much_is_forgotten_while_it_passes() -> None:
    kept = Kept(max_bytes=1_000)
    shim = kept.shim([QUESTION])
    shim.events([BlockStart(index=0, block=Reasoning()), *[ReasoningDelta(index=0, text="t" * 100)] * 20])
    shim.events(
        [SignatureDelta(index=0, signature="c2ln"), BlockStart(index=1, block=ONE), TextDelta(index=2, text="")]
    )
    assert not any((shim._heard._choices, shim._heard._thoughts, shim._heard._calls))
    shim.keep()
    assert not len(kept.store._facts)


def test_number_of_blocks_that_are_remembered_is_bounded() -> None:
    kept = Kept(max_bytes=1_000)
    shim = kept.shim([QUESTION])
    shim.events([BlockStart(index=index, block=Text(text="")) for index in range(1_000)])
    assert not shim._heard._choices


def test_items_of_one_turn_are_messages_of_their_own_in_responses() -> None:
    kept = Kept()
    kept.hear(FIRST, ONE, LATER, TWO, source="openai_responses")
    turns = [Message(role="assistant", content=(call,)) for call in (ONE, TWO)]
    talk = (QUESTION, *turns, results(ONE, TWO))
    shim = kept.shim(talk, source="openai_responses")
    anyio.run(shim.recall)
    sent = shim.request(asking(talk, "openai_responses"), Notices()).messages
    assert [message.content for message in sent[1:3]] == [(own(FIRST), ONE), (own(LATER), TWO)]


@pytest.mark.parametrize(
    ("talk", "is_needed"),
    [((QUESTION,), False), ((QUESTION, Message(role="assistant", content=(ONE,))), True)],
    ids=["no tools", "calls"],
)
def test_request_without_tools_needs_it_not(talk: Sequence[Message], is_needed: bool) -> None:
    request = msgspec.structs.replace(asking(talk, "openai_chat"), tools=())
    assert KeptReasoning.is_needed(request) == is_needed
    assert KeptReasoning.is_needed(asking((QUESTION,), "openai_chat"))
