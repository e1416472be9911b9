"""Messages of an assistant's that become one: two statements, with a blank line between them."""

import pytest
from msgspec import Raw

from asgi_ds2api.canonical import Block, Reasoning, Text, ToolCall
from asgi_ds2api.protocols.one_turn import said_in_one

A, B, BEHIND = Text(text="a"), Text(text="b"), Text(text="\n\nb")
MORE = Text(text="a", extras={"novel": Raw(b"1")})
HM = Reasoning(text="hm")
CALL = ToolCall(id="c", name="f", arguments="{}")


@pytest.mark.parametrize(
    ("earlier", "later", "joined"),
    [
        ((A,), (B, CALL), (Text(text="a\n\nb"), CALL)),
        ((MORE,), (B,), (MORE, BEHIND)),
        ((A,), (HM, B), (A, HM, BEHIND)),
        ((A, HM), (B,), (A, HM, BEHIND)),
        ((A, CALL), (B,), (A, CALL, B)),
        ((A,), (CALL, B), (A, CALL, B)),
        ((A,), (Text(text=""),), (A, Text(text=""))),
        ((HM,), (B,), (HM, B)),
        ((A,), (HM,), (A, HM)),
        ((), (B,), (B,)),
    ],
    ids=["texts", "more-than-text", "thought-before", "thought-behind", "call-before", "call-behind", "empty",
         "thought-alone", "thought-last", "nothing"],
)  # fmt: skip
def test_blank_line_comes_between_texts_that_meet(
    earlier: tuple[Block, ...], later: tuple[Block, ...], joined: tuple[Block, ...]
) -> None:
    assert said_in_one(earlier, later) == joined
