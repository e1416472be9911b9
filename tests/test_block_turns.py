"""Whose turn it is among blocks that come at once, and what is written when."""

from asgi_ds2api.block_turns import BegunBlock, BlockTurns, Step, Turn, split
from asgi_ds2api.canonical import (
    ArgumentsDelta,
    Block,
    BlockStart,
    BlockStop,
    Reasoning,
    ReasoningDelta,
    SignatureDelta,
    Text,
    TextDelta,
    ToolCall,
)

CALL = ToolCall(id="call_1", name="f", arguments="")


def turns() -> BlockTurns[BegunBlock]:
    return BlockTurns(lambda block, waiting: isinstance(block, Text) and isinstance(waiting, ToolCall))


def begun(index: int, block: Block) -> BegunBlock:
    return BegunBlock(BlockStart(index=index, block=block))


def told(steps: list[Step[BegunBlock]]) -> list[tuple[int, object]]:
    return [(block.index, step) for block, step in steps]


def said(index: int, text: str) -> TextDelta:
    return TextDelta(index=index, text=text)


def test_block_that_is_alone_is_written_as_it_comes() -> None:
    line = turns()

    assert told(line.begin(begun(0, Text(text="a")))) == [(0, Turn.BEGINS), (0, said(0, "a"))]
    assert told(line.take(said(0, "b"))) == [(0, said(0, "b"))]
    assert told(line.take(BlockStop(index=0))) == [(0, BlockStop(index=0))]
    assert line.current is None


def test_block_waits_until_the_one_before_has_stopped() -> None:
    line = turns()
    line.begin(begun(0, CALL))

    assert told(line.begin(begun(1, Text(text="")))) == []
    assert told(line.take(said(1, "later"))) == []
    stop = BlockStop(index=0)
    assert told(line.take(stop)) == [(0, stop), (1, Turn.BEGINS), (1, said(1, "later"))]


def test_those_that_wait_have_their_turn_in_the_order_of_their_indexes() -> None:
    line = turns()
    line.begin(begun(0, CALL))
    for index in (2, 1):
        line.begin(begun(index, CALL))
        line.take(BlockStop(index=index))

    steps = line.take(BlockStop(index=0))
    assert [block.index for block, step in steps if step is Turn.BEGINS] == [1, 2]
    assert line.current is None


def test_text_gives_way_and_goes_on_when_nobody_has_the_turn() -> None:
    line = turns()
    line.begin(begun(0, Text(text="")))

    assert told(line.begin(begun(1, CALL))) == [(0, Turn.GIVES_WAY), (1, Turn.BEGINS)]
    assert told(line.take(said(0, "more"))) == []
    stop = BlockStop(index=1)
    assert told(line.take(stop)) == [(1, stop), (0, Turn.BEGINS), (0, said(0, "more"))]


def test_text_that_gave_way_goes_on_at_once_where_nobody_else_has_the_turn() -> None:
    line = turns()
    line.begin(begun(0, Text(text="")))
    line.begin(begun(1, CALL))
    line.take(BlockStop(index=1))

    assert told(line.take(said(0, "more"))) == [(0, said(0, "more"))]


def test_text_that_gave_way_and_has_nothing_to_add_is_not_begun_again() -> None:
    line = turns()
    line.begin(begun(0, Text(text="")))
    line.begin(begun(1, CALL))

    assert told(line.take(BlockStop(index=0))) == []
    assert told(line.stop_all()) == [(1, BlockStop(index=1))]


def test_what_belongs_to_no_block_is_left_out() -> None:
    assert turns().take(said(7, "whose?")) == []


def test_all_that_is_open_stops_at_the_end() -> None:
    line = turns()
    line.begin(begun(0, CALL))
    line.begin(begun(1, CALL))

    first, second = BlockStop(index=0), BlockStop(index=1)
    assert told(line.stop_all()) == [(0, first), (1, Turn.BEGINS), (1, second)]


def test_content_of_a_block_is_told_as_deltas() -> None:
    call = ToolCall(id="call_1", name="f", arguments="{}")
    thought = Reasoning(text="hm", signature="s")

    assert split(call, 3) == (CALL, [ArgumentsDelta(index=3, arguments="{}")])
    assert split(thought, 4) == (
        Reasoning(text=""),
        [ReasoningDelta(index=4, text="hm"), SignatureDelta(index=4, signature="s")],
    )
