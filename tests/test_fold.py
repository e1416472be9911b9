"""A whole answer and an answer in pieces are the same thing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from asgi_ds2api.canonical import (
    ArgumentsDelta,
    BlockStart,
    BlockStop,
    Choice,
    Citation,
    CitationDelta,
    Event,
    ExtrasDelta,
    Finish,
    Logprobs,
    Opaque,
    OpaqueDelta,
    Ping,
    Reasoning,
    ReasoningDelta,
    Refusal,
    RefusalDelta,
    Request,
    Response,
    SignatureDelta,
    Start,
    Text,
    TextDelta,
    ToolCall,
    ToolResult,
    Usage,
)
from asgi_ds2api.errors import InternalError, Malformed
from asgi_ds2api.fold import BlockTracker, fold, merge_usage, unfold
from tests.support.block_strategies import PROTOCOL_NAMES
from tests.support.strategies import requests, responses, usages
from tests.support.streams import streams

START = Start(source="openai_chat", id="1", model="m")
STOP = Finish(reason="stop")
CITATION = Citation(protocol="openai_chat", raw=Raw(b"{}"))

SOURCES = st.sampled_from(PROTOCOL_NAMES)
ANSWERS = SOURCES.flatmap(lambda source: responses(source, max_choices=3))


def answer(*events: Event) -> Response:
    """Fold a stream of one choice that starts and stops as it should."""
    return fold([START, *events, STOP])


class TestLaws:
    @given(ANSWERS)
    def test_folding_undoes_unfolding(self, response: Response) -> None:
        assert response == fold(unfold(response))

    @given(ANSWERS.flatmap(lambda response: st.tuples(st.just(response), streams(response))))
    def test_every_stream_that_tells_an_answer_folds_to_it(self, case: tuple[Response, list[Event]]) -> None:
        response, stream = case
        assert response == fold(stream)

    @given(ANSWERS)
    def test_unfolding_keeps_the_order_of_events(self, response: Response) -> None:
        events = unfold(response)
        tracker = BlockTracker()
        for event in events:
            tracker.follow(event)
        assert isinstance(events[0], Start)
        assert [Finish] * len(response.choices) == [type(event) for event in events[-len(response.choices) :]]
        assert sum(len(choice.blocks) for choice in response.choices) == tracker.next_index
        assert tracker.open_indexes() == []

    @given(ANSWERS)
    def test_unfolded_content_comes_in_deltas(self, response: Response) -> None:
        for event in unfold(response):
            match event:
                case BlockStart(block=Text() | Reasoning() | Refusal() as block):
                    assert block.text == ""
                case BlockStart(block=ToolCall() as call):
                    assert call.arguments == ""
                case _:
                    pass

    @given(SOURCES.flatmap(requests))
    def test_the_requests_of_the_strategies_are_sound(self, request: Request) -> None:
        """Every call is answered once, later, and nothing else is."""
        calls = [b.id for m in request.messages for b in m.content if isinstance(b, ToolCall)]
        results = [b.call_id for m in request.messages for b in m.content if isinstance(b, ToolResult)]
        assert calls == results
        assert request.messages[-1].role == "user"


class TestFold:
    def test_deltas_are_appended_to_what_the_start_held(self) -> None:
        events = (
            BlockStart(index=0, block=Text(text="a", citations=(CITATION,))),
            TextDelta(index=0, text="b"),
            CitationDelta(index=0, citation=CITATION),
            TextDelta(index=0, text="c"),
            BlockStop(index=0),
        )
        assert answer(*events).choices[0].blocks == (Text(text="abc", citations=(CITATION, CITATION)),)

    def test_arguments_and_refusals_are_appended(self) -> None:
        events = (
            BlockStart(index=0, block=ToolCall(id="c", name="f", arguments="")),
            BlockStart(index=1, block=Refusal(text="")),
            ArgumentsDelta(index=0, arguments='{"a"'),
            RefusalDelta(index=1, text="no"),
            ArgumentsDelta(index=0, arguments=":1}"),
            BlockStop(index=1),
            BlockStop(index=0),
        )
        blocks = (ToolCall(id="c", name="f", arguments='{"a":1}'), Refusal(text="no"))
        assert blocks == answer(*events).choices[0].blocks

    def test_the_last_signature_counts(self) -> None:
        events = (
            BlockStart(index=0, block=Reasoning(signature="old")),
            ReasoningDelta(index=0, text="hm"),
            SignatureDelta(index=0, signature="new"),
            SignatureDelta(index=0, signature="newer"),
            BlockStop(index=0),
        )
        assert answer(*events).choices[0].blocks == (Reasoning(text="hm", signature="newer"),)

    def test_a_signature_of_the_start_stays_without_a_delta(self) -> None:
        events = (BlockStart(index=0, block=Reasoning(text="hm", signature="s")), BlockStop(index=0))
        assert answer(*events).choices[0].blocks == (Reasoning(text="hm", signature="s"),)

    def test_choices_interleave_and_keep_their_own_blocks(self) -> None:
        events: list[Event] = [
            START,
            BlockStart(index=0, block=Text(text=""), choice=1),
            BlockStart(index=1, block=Text(text=""), choice=0),
            TextDelta(index=1, text="zero"),
            TextDelta(index=0, text="one"),
            BlockStop(index=0),
            BlockStop(index=1),
            replace(STOP, choice=1),
            STOP,
        ]
        assert [choice.blocks for choice in fold(events).choices] == [(Text(text="zero"),), (Text(text="one"),)]

    def test_usage_is_assigned_never_added(self) -> None:
        usage = answer(Usage(input_total=5, output_total=1), Ping(), Usage(output_total=7)).usage
        assert usage == Usage(input_total=5, output_total=7)

    def test_usage_after_the_finish_counts(self) -> None:
        assert fold([START, STOP, Usage(input_total=1)]).usage == Usage(input_total=1)

    def test_the_last_finish_counts_F68(self) -> None:
        """A content filter that speaks after the stop overrides it."""
        late = Finish(reason="content_filter")
        assert late == fold([START, STOP, late]).choices[0].finish

    def test_log_probabilities_are_collected(self) -> None:
        one, two = Raw(b'{"token":"a"}'), Raw(b'{"token":"b"}')
        events = (Logprobs(content=(one,)), Logprobs(refusal=(one,)), Logprobs(content=(two,)))
        assert answer(*events).choices[0].logprobs == Logprobs(content=(one, two), refusal=(one,))

    def test_extras_go_where_they_belong(self) -> None:
        fields = {name: Raw(b"1") for name in ("response", "message", "choice")}
        events: list[Event] = [
            replace(START, extras={"start": Raw(b"0"), "response": Raw(b"0")}),
            ExtrasDelta(level="response", fields={"response": fields["response"]}),
            ExtrasDelta(level="message", fields={"message": fields["message"]}),
            STOP,
            ExtrasDelta(level="choice", fields={"choice": fields["choice"]}),
        ]
        folded = fold(events)
        assert folded.extras == {"start": Raw(b"0"), "response": Raw(b"1")}
        assert folded.choices == (
            Choice(
                blocks=(),
                finish=STOP,
                message_extras={"message": fields["message"]},
                extras={"choice": fields["choice"]},
            ),
        )

    def test_events_are_not_changed_by_folding(self) -> None:
        start = replace(START, extras={"a": Raw(b"1")})
        fold([start, ExtrasDelta(level="response", fields={"b": Raw(b"2")}), STOP])
        assert start.extras == {"a": Raw(b"1")}


class TestOpaque:
    EVENTS: tuple[Event, ...] = (
        START,
        BlockStart(index=0, block=Opaque(protocol="anthropic_messages", type="x", raw=Raw(b"{}"))),
        OpaqueDelta(index=0, protocol="anthropic_messages", raw=Raw(b"1")),
        OpaqueDelta(index=0, protocol="anthropic_messages", raw=Raw(b"2")),
        BlockStop(index=0),
        STOP,
    )

    def test_deltas_are_joined_by_who_understands_them(self) -> None:
        folded = fold(self.EVENTS, lambda block, raws: replace(block, raw=Raw(b"[%s]" % b",".join(map(bytes, raws)))))
        assert folded.choices[0].blocks == (Opaque(protocol="anthropic_messages", type="x", raw=Raw(b"[1,2]")),)

    def test_deltas_that_nobody_joins_are_not_lost_in_silence(self) -> None:
        with pytest.raises(InternalError):
            fold(self.EVENTS)

    def test_a_block_without_deltas_needs_nobody(self) -> None:
        block = Opaque(protocol="anthropic_messages", type="x", raw=Raw(b"{}"))
        assert answer(BlockStart(index=0, block=block), BlockStop(index=0)).choices[0].blocks == (block,)


class TestIncomplete:
    @pytest.mark.parametrize(
        "events",
        [
            pytest.param([], id="nothing"),
            pytest.param([STOP], id="no-start"),
            pytest.param([START], id="no-choice"),
            pytest.param([START, BlockStart(index=0, block=Text(text="a")), BlockStop(index=0)], id="F56-no-finish"),
            pytest.param([START, replace(STOP, choice=1)], id="no-first-choice"),
            pytest.param([START, STOP, replace(STOP, choice=10**9)], id="choice-far-away"),
        ],
    )
    def test_an_incomplete_stream_is_no_answer(self, events: list[Event]) -> None:
        with pytest.raises(Malformed):
            fold(events)


TEXT_0 = BlockStart(index=0, block=Text(text=""))


class TestOrder:
    @pytest.mark.parametrize(
        "events",
        [
            pytest.param([BlockStart(index=1, block=Text(text=""))], id="gap"),
            pytest.param([TEXT_0, TEXT_0], id="index-twice"),
            pytest.param([TextDelta(index=0, text="a")], id="delta-before-start"),
            pytest.param([TEXT_0, BlockStop(index=0), TextDelta(index=0, text="a")], id="delta-after-stop"),
            pytest.param([TEXT_0, ArgumentsDelta(index=0, arguments="{}")], id="delta-of-another-kind"),
            pytest.param([TEXT_0, OpaqueDelta(index=0, protocol="openai_chat", raw=Raw(b"1"))], id="opaque-delta"),
            pytest.param([BlockStop(index=0)], id="stop-before-start"),
            pytest.param([TEXT_0, BlockStop(index=0), BlockStop(index=0)], id="stop-twice"),
            pytest.param([TEXT_0, STOP], id="finish-with-an-open-block"),
            pytest.param([STOP, TEXT_0], id="block-after-the-finish"),
        ],
    )
    def test_events_out_of_order_are_a_mistake_of_ours(self, events: list[Event]) -> None:
        with pytest.raises(InternalError) as caught:
            fold([START, *events])
        assert caught.value.detail.startswith("events out of order")


class TestBlockTracker:
    def test_indexes_run_over_all_choices_without_gaps(self) -> None:
        tracker = BlockTracker()
        starts = [tracker.start(Text(text=""), choice) for choice in (0, 1, 0)]
        assert [start.index for start in starts] == [0, 1, 2]
        assert tracker.next_index == 3

    def test_it_knows_which_blocks_of_which_choice_are_open(self) -> None:
        tracker = BlockTracker()
        for block, choice in ((Text(text=""), 0), (Reasoning(), 1), (Text(text=""), 1), (Text(text=""), 0)):
            tracker.start(block, choice)
        tracker.stop(0)
        assert [tracker.open_indexes(), tracker.open_indexes(0), tracker.open_indexes(1)] == [[1, 2, 3], [3], [1, 2]]
        assert tracker.started(1).choice == 1

    def test_all_blocks_are_stopped_in_order(self) -> None:
        tracker = BlockTracker()
        for choice in (0, 1, 0):
            tracker.start(Text(text=""), choice)
        assert tracker.stop_all(0) == [BlockStop(index=0), BlockStop(index=2)]
        assert tracker.stop_all() == [BlockStop(index=1)]

    def test_a_block_that_is_not_open_cannot_be_looked_at(self) -> None:
        with pytest.raises(InternalError):
            BlockTracker().started(0)

    def test_what_has_no_block_passes_by(self) -> None:
        tracker = BlockTracker()
        for event in (START, Ping(), Usage(), STOP):
            tracker.follow(event)
        assert tracker.next_index == 0


class TestUsage:
    @given(usages(), usages())
    def test_a_full_later_count_replaces_the_earlier_one(self, earlier: Usage, later: Usage) -> None:
        merged = merge_usage(earlier, later)
        assert (later.input_total, later.output_total) == (merged.input_total, merged.output_total)
        assert merged.reasoning == (earlier.reasoning if later.reasoning is None else later.reasoning)

    def test_other_counters_are_kept_by_name(self) -> None:
        earlier = Usage(extras={"a": Raw(b"1"), "b": Raw(b"1")}, is_estimated=True)
        assert merge_usage(earlier, Usage(extras={"b": Raw(b"2")})) == Usage(extras={"a": Raw(b"1"), "b": Raw(b"2")})

    def test_the_first_count_stands_alone(self) -> None:
        assert merge_usage(None, Usage(input_total=1)) == Usage(input_total=1)
