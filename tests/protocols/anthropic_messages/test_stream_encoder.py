"""What a caller of Anthropic's SDK or Claude Code gets: one block at a time, every event named, nothing empty."""

from typing import Any, Literal

import msgspec
import pytest
from msgspec import Raw

from asgi_ds2api.canonical import (
    ArgumentsDelta,
    Block,
    BlockStart,
    BlockStop,
    Citation,
    CitationDelta,
    Event,
    ExtrasDelta,
    Finish,
    Logprobs,
    Media,
    Notice,
    Notices,
    Opaque,
    OpaqueDelta,
    Ping,
    Reasoning,
    ReasoningDelta,
    Refusal,
    RefusalDelta,
    SignatureDelta,
    Start,
    Text,
    TextDelta,
    ToolCall,
    UrlSource,
    Usage,
)
from asgi_ds2api.errors import Interrupted, Overloaded, Refused
from asgi_ds2api.fold import fold, unfold
from asgi_ds2api.protocols import anthropic_messages as codec
from tests.support.recorded import Recording, recorded_params

from .calls import told
from .sse import ENVELOPE, begin, decode, delta, encode, end, parse

BEGUN = Start(source="openai_chat", id="c1", model="gpt")
DONE = Finish(reason="stop")
USED = Usage(input_total=100, cache_read=80, output_total=9, reasoning=5)


def block(index: int, content: Block, *deltas: Event) -> list[Event]:
    return [BlockStart(index=index, block=content), *deltas, BlockStop(index=index)]


def call(n: int) -> ToolCall:
    return ToolCall(id=f"t{n}", name=f"f{n}", arguments="")


def content(*events: Event, notices: Notices | None = None) -> list[dict[str, Any]]:
    """Return what a caller gets between the start and the end of the message."""
    payloads = parse(encode([BEGUN, *events, DONE], notices))
    assert [payload["type"] for payload in payloads[:1] + payloads[-2:]] == [
        "message_start",
        "message_delta",
        "message_stop",
    ]
    return payloads[1:-2]


def started(n: int, **block: Any) -> dict[str, Any]:
    return begin(n, **block)


def arguments(n: int, text: str) -> dict[str, Any]:
    return delta(n, type="input_json_delta", partial_json=text)


def tool_start(n: int, name: int) -> dict[str, Any]:
    return begin(n, type="tool_use", id=f"t{name}", name=f"f{name}", input={})


def test_text_streams_C18() -> None:
    events = block(0, Text(text=""), TextDelta(index=0, text='a"\n'), TextDelta(index=0, text="\u2028b"))
    assert content(*events) == [
        begin(0, type="text", text=""),
        delta(0, type="text_delta", text='a"\n'),
        delta(0, type="text_delta", text="\u2028b"),
        end(0),
    ]


def test_no_stream_has_a_done_line_C18() -> None:
    assert b"[DONE]" not in encode([BEGUN, DONE])


def test_an_empty_text_is_not_written_C17() -> None:
    events = [
        *block(0, Text(text=""), TextDelta(index=0, text="")),
        *block(1, call(1), ArgumentsDelta(index=1, arguments="{}")),
    ]
    assert content(*events) == [tool_start(0, 1), arguments(0, "{}"), end(0)]


def test_a_block_may_begin_with_content() -> None:
    events = [
        *block(0, Reasoning(text="hm", signature="s")),
        *block(1, Text(text="a")),
        *block(2, msgspec.structs.replace(call(1), arguments='{"a":1}')),
    ]
    assert content(*events) == [
        begin(0, type="thinking", thinking="", signature=""),
        delta(0, type="thinking_delta", thinking="hm"),
        delta(0, type="signature_delta", signature="s"),
        end(0),
        begin(1, type="text", text=""),
        delta(1, type="text_delta", text="a"),
        end(1),
        tool_start(2, 1),
        arguments(2, '{"a":1}'),
        end(2),
    ]


def test_interleaved_calls_are_written_one_after_the_other_C15_openai_C61() -> None:
    events: list[Event] = [
        BlockStart(index=0, block=call(1)),
        ArgumentsDelta(index=0, arguments='{"a"'),
        BlockStart(index=1, block=call(2)),
        ArgumentsDelta(index=1, arguments='{"b"'),
        ArgumentsDelta(index=0, arguments=":1}"),
        ArgumentsDelta(index=1, arguments=":2}"),
        BlockStop(index=1),
        BlockStop(index=0),
    ]
    expected = [
        tool_start(0, 1),
        arguments(0, '{"a"'),
        arguments(0, ":1}"),
        end(0),
        tool_start(1, 2),
        arguments(1, '{"b"'),
        arguments(1, ":2}"),
        end(1),
    ]
    assert content(*events) == expected
    payloads = parse(encode([BEGUN, *events, DONE, USED]))
    assert payloads[-2]["delta"]["stop_reason"] == "tool_use"
    assert payloads[-2]["usage"]["input_tokens"] == 20


def test_calls_do_not_wait_for_text_that_nobody_closed() -> None:
    encoder = codec.StreamEncoder(ENVELOPE, Notices())
    encoder.encode([BEGUN, BlockStart(index=0, block=Text(text="")), TextDelta(index=0, text="a")])
    out = parse(encoder.encode([BlockStart(index=1, block=call(1)), ArgumentsDelta(index=1, arguments='{"a')]))
    assert out == [end(0), tool_start(1, 1), arguments(1, '{"a')]


def test_text_that_gave_way_goes_on_behind() -> None:
    events: list[Event] = [
        BlockStart(index=0, block=Text(text="")),
        TextDelta(index=0, text="a"),
        BlockStart(index=1, block=call(1)),
        TextDelta(index=0, text="b"),
        ArgumentsDelta(index=1, arguments="{}"),
        BlockStop(index=1),
        TextDelta(index=0, text="c"),
        BlockStop(index=0),
    ]
    assert content(*events) == [
        begin(0, type="text", text=""),
        delta(0, type="text_delta", text="a"),
        end(0),
        tool_start(1, 1),
        arguments(1, "{}"),
        end(1),
        begin(2, type="text", text=""),
        delta(2, type="text_delta", text="b"),
        delta(2, type="text_delta", text="c"),
        end(2),
    ]


def test_thinking_is_not_cut_in_two() -> None:
    events: list[Event] = [
        BlockStart(index=0, block=Reasoning()),
        ReasoningDelta(index=0, text="a"),
        BlockStart(index=1, block=Text(text="")),
        TextDelta(index=1, text="x"),
        ReasoningDelta(index=0, text="b"),
        SignatureDelta(index=0, signature="s1"),
        SignatureDelta(index=0, signature="s2"),
        BlockStop(index=0),
        BlockStop(index=1),
    ]
    assert content(*events) == [
        begin(0, type="thinking", thinking="", signature=""),
        delta(0, type="thinking_delta", thinking="a"),
        delta(0, type="thinking_delta", thinking="b"),
        delta(0, type="signature_delta", signature="s2"),
        end(0),
        begin(1, type="text", text=""),
        delta(1, type="text_delta", text="x"),
        end(1),
    ]


def test_thinking_that_is_not_shown_is_its_signature_alone() -> None:
    assert content(*block(0, Reasoning(), SignatureDelta(index=0, signature="s"))) == [
        begin(0, type="thinking", thinking="", signature=""),
        delta(0, type="signature_delta", signature="s"),
        end(0),
    ]


def test_unsigned_thinking_has_no_signature_and_empty_thinking_is_not_written() -> None:
    events = [*block(0, Reasoning()), *block(1, Reasoning(text="hm")), *block(2, Reasoning(redacted="Zm8="))]
    assert content(*events) == [
        begin(0, type="thinking", thinking="", signature=""),
        delta(0, type="thinking_delta", thinking="hm"),
        end(0),
        begin(1, type="redacted_thinking", data="Zm8="),
        end(1),
    ]


@pytest.mark.parametrize(
    ("pieces", "written"),
    [
        pytest.param((), ["{}"], id="C16-none"),
        pytest.param(("", " "), ["{}"], id="C16-blank"),
        pytest.param((" ", ' {"a"', ":1}"), ['{"a"', ":1}"], id="white-space-first"),
        pytest.param(("[1", ",2]"), ['{"value":[1,2]}'], id="list"),
        pytest.param(("nu", "ll"), ['{"value":null}'], id="null"),
        pytest.param(("so", "rry"), ['{"_raw":"sorry"}'], id="B28-no-json"),
        pytest.param(('{"t":"\\u00', 'e9"}'), ['{"t":"\\u00', 'e9"}'], id="C14-split-escape"),
    ],
)
def test_arguments_are_always_an_object_C16(pieces: tuple[str, ...], written: list[str]) -> None:
    events = block(0, call(1), *(ArgumentsDelta(index=0, arguments=piece) for piece in pieces))
    assert content(*events) == [tool_start(0, 1), *(arguments(0, text) for text in written), end(0)]


NO_OBJECTS = [
    pytest.param(('{"path": "/t', "mp/x"), id="cut-in-a-text"),
    pytest.param(('{"path": "/etc", ', '"n'), id="cut-in-a-name"),
    pytest.param(('{"path": "a"}', '{"path": "b"}'), id="two"),
    pytest.param(("{'path': 'a'}",), id="python"),
    pytest.param(('{"a":' + "[" * 200, "]" * 200 + "}"), id="too-deep"),
]


@pytest.mark.parametrize("pieces", NO_OBJECTS)
def test_a_call_that_would_be_completed_to_another_one_ends_the_answer(pieces: tuple[str, ...]) -> None:
    """SDKs read what is there of an object: ``{"path": "/etc", "n`` is ``{"path": "/etc"}`` to them."""
    events = block(0, call(1), *(ArgumentsDelta(index=0, arguments=piece) for piece in pieces))
    encoder = codec.StreamEncoder(ENVELOPE, Notices())
    written = parse(encoder.encode([BEGUN, *events, *block(1, Text(text="done")), DONE]))
    assert written[1:] == [tool_start(0, 1), *(arguments(0, text) for text in pieces)]
    with pytest.raises(Refused) as caught:
        encoder.close()
    assert caught.value.status == 502


@pytest.mark.parametrize("pieces", NO_OBJECTS)
@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_a_call_that_was_cut_is_told_as_far_as_it_came(
    reason: Literal["length", "content_filter"], pieces: tuple[str, ...]
) -> None:
    """The reason says so, and clients do not run it."""
    events = block(0, call(1), *(ArgumentsDelta(index=0, arguments=piece) for piece in pieces))
    payloads = parse(encode([BEGUN, *events, *block(1, Text(text="done")), Finish(reason=reason)]))
    assert payloads[1:-2] == [
        tool_start(0, 1),
        *(arguments(0, text) for text in pieces),
        end(0),
        started(1, type="text", text=""),
        delta(1, type="text_delta", text="done"),
        end(1),
    ]


def test_a_refusal_is_text_and_the_reason_of_the_end_C36() -> None:
    payloads = parse(encode([BEGUN, *block(0, Refusal(text=""), RefusalDelta(index=0, text="No.")), DONE]))
    assert payloads[2] == delta(0, type="text_delta", text="No.")
    assert payloads[-2]["delta"] == {
        "stop_reason": "refusal",
        "stop_sequence": None,
        "stop_details": {"type": "refusal", "category": None, "explanation": "No."},
    }


def test_blocks_of_the_vendor_are_written_in_pieces_as_clients_expect() -> None:
    def raw(**fields: Any) -> Opaque:
        return Opaque(protocol="anthropic_messages", type=fields["type"], raw=Raw(msgspec.json.encode(fields)))

    events = [
        *block(0, raw(type="server_tool_use", id="s", name="n", input={"q": 1})),
        *block(1, raw(type="web_search_tool_result", tool_use_id="s", content=[])),
        *block(2, raw(type="compaction", content="sum", encrypted_content="e")),
        *block(
            3,
            raw(type="server_tool_use", id="s2", name="n", input={}),
            OpaqueDelta(
                index=3, protocol="anthropic_messages", raw=Raw(b'{"type":"input_json_delta","partial_json":"{}"}')
            ),
        ),
    ]
    assert content(*events) == [
        begin(0, type="server_tool_use", id="s", name="n", input={}),
        delta(0, type="input_json_delta", partial_json='{"q":1}'),
        end(0),
        begin(1, type="web_search_tool_result", tool_use_id="s", content=[]),
        end(1),
        begin(2, type="compaction", content=None, encrypted_content=None),
        delta(2, type="compaction_delta", content="sum", encrypted_content="e"),
        end(2),
        begin(3, type="server_tool_use", id="s2", name="n", input={}),
        delta(3, type="input_json_delta", partial_json="{}"),
        end(3),
    ]


def test_what_has_no_place_is_reported_once() -> None:
    cited = Citation(protocol="openai_chat", raw=Raw(b"{}"), at="citation")
    notices = Notices()
    events = [
        *block(0, Text(text=""), CitationDelta(index=0, citation=cited)),
        *block(1, Media(kind="image", source=UrlSource(url="u"), at="image")),
        *block(2, Opaque(protocol="gemini_generate", type="x", raw=Raw(b"{}"), at="opaque")),
        BlockStart(index=3, block=Text(text="other"), choice=1),
        BlockStop(index=3),
        *[Logprobs()] * 2,
        *[ExtrasDelta(level="response", fields={"system_fingerprint": Raw(b"1")})] * 2,
        ExtrasDelta(level="message", fields={"m": Raw(b"1")}),
        Finish(reason="stop", choice=1),
    ]
    assert content(*events, notices=notices) == []
    assert sorted(told(notices)) == [
        "choices[0].logprobs",
        "choices[0].message.m",
        "choices[1]",
        "citation",
        "image",
        "opaque",
        "system_fingerprint",
    ]


class TestUsage:
    def test_it_is_in_the_start_if_it_came_with_it(self) -> None:
        start = parse(encode([BEGUN, Usage(input_total=10, cache_read=4, output_total=1), DONE]))[0]
        assert start["message"]["usage"] == {
            "input_tokens": 6,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 4,
            "output_tokens": 1,
        }

    def test_late_figures_are_told_at_the_end_C24(self) -> None:
        payloads = parse(encode([BEGUN, *block(0, Text(text="a")), DONE, USED], one_by_one=True))
        assert payloads[0]["message"]["usage"]["input_tokens"] == 0
        assert payloads[-2]["usage"] == {
            "input_tokens": 20,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 80,
            "output_tokens": 9,
            "output_tokens_details": {"thinking_tokens": 5},
        }

    def test_nobody_told_it_and_it_is_a_number_all_the_same(self) -> None:
        usage = parse(encode([BEGUN, *block(0, Text(text="x" * 400)), DONE]))[-2]["usage"]
        assert usage["output_tokens"] in range(90, 110)
        assert all(isinstance(count, int) for count in usage.values())


def test_a_ping_of_the_upstream_is_one_of_ours() -> None:
    assert content(Ping()) == [{"type": "ping"}]


def test_the_heartbeat_is_a_ping_C19() -> None:
    assert codec.StreamEncoder(ENVELOPE, Notices()).heartbeat() == b'event: ping\ndata: {"type": "ping"}\n\n'


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Interrupted("The upstream broke its answer off before its end."), "api_error"),
        (Overloaded("The upstream is overloaded."), "overloaded_error"),
    ],
    ids=["C20", "overloaded"],
)
def test_an_error_is_an_event_C20(error: Interrupted | Overloaded, kind: str) -> None:
    encoder = codec.StreamEncoder(ENVELOPE, Notices())
    (payload,) = parse(encoder.error(error))
    assert payload == {"type": "error", "error": {"type": kind, "message": error.message}, "request_id": "req_1"}


def test_a_block_that_nobody_closed_is_closed_at_the_end() -> None:
    assert content(BlockStart(index=0, block=Text(text="a")))[-1] == end(0)


@pytest.mark.parametrize("record", recorded_params("anthropic", status=200, stream=True))
def test_recorded_streams_are_the_same_when_written_again(record: Recording) -> None:
    events, _ = decode(record.response.body)
    whole = fold(events, codec.join_opaque)
    for again in (events, unfold(whole)):
        notices = Notices()
        written, failure = decode(encode(again, notices))
        assert (failure, told(notices)) == (None, [])
        assert plain(fold(written, codec.join_opaque)) == plain(msgspec.structs.replace(whole, model="asked"))


def plain(value: object) -> object:
    """Return a value without `Raw`, so that JSON is compared and not its white space."""
    return msgspec.to_builtins(value, enc_hook=lambda raw: msgspec.json.decode(raw))


def test_hints_and_blocks_that_nobody_began_are_passed_over() -> None:
    hint = Notice(path="x", action="ignored", reason="y", severity="hint")
    assert content(hint, TextDelta(index=7, text="x"), BlockStop(index=7)) == []


def test_text_that_gave_way_and_had_nothing_to_add_is_over() -> None:
    events: list[Event] = [
        BlockStart(index=0, block=Text(text="a")),
        *block(1, call(1)),
        BlockStop(index=0),
        *block(2, Text(text="b")),
    ]
    kinds = [payload["content_block"]["type"] for payload in content(*events) if "content_block" in payload]
    assert kinds == ["text", "tool_use", "text"]


def test_text_that_gave_way_goes_on_when_the_call_is_over() -> None:
    events: list[Event] = [
        BlockStart(index=0, block=Text(text="a")),
        *block(1, call(1)),
        TextDelta(index=0, text="b"),
        BlockStop(index=0),
    ]
    assert content(*events)[-3:] == [begin(2, type="text", text=""), delta(2, type="text_delta", text="b"), end(2)]


def test_a_refusal_may_begin_with_its_text_and_a_compaction_may_be_empty() -> None:
    empty = Opaque(protocol="anthropic_messages", type="compaction", raw=Raw(b'{"type":"compaction","content":null}'))
    assert content(*block(0, Refusal(text="No.")), *block(1, empty)) == [
        begin(0, type="text", text=""),
        delta(0, type="text_delta", text="No."),
        end(0),
        begin(1, type="compaction", content=None),
        end(1),
    ]


class TestWhatIsNotTold:
    """Every figure around an answer of another protocol's is told, or reported by its place."""

    USED = Usage(input_total=3, output_total=2, audio_input=1, audio_output=0, extras={"cost": Raw(b"0.1")})

    def test_figures_tiers_and_times_without_a_field_are_reported(self) -> None:
        notices = Notices()
        start = Start(source="openai_chat", id="c", model="m", created=1, service_tier="flex")
        encode(
            [
                start,
                *block(0, Text(text="a")),
                self.USED,
                Finish(reason="other", raw="odd", at="choices[0].finish_reason"),
            ],
            notices=notices,
        )
        assert sorted(told(notices)) == [
            "choices[0].finish_reason",
            "created",
            "service_tier",
            "usage.completion_tokens_details.audio_tokens",
            "usage.cost",
            "usage.prompt_tokens_details.audio_tokens",
        ]

    def test_a_summary_is_reported_as_one(self) -> None:
        notices = Notices()
        thought = Reasoning(is_summary=True, at="r")
        encode([BEGUN, *block(0, thought, ReasoningDelta(index=0, text="t")), DONE], notices=notices)
        assert "r.type" in told(notices)
