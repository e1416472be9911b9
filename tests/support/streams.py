"""All the ways in which one answer may come in pieces, as a hypothesis strategy."""

from itertools import pairwise

from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from asgi_ds2api.canonical import (
    ArgumentsDelta,
    BlockStart,
    BlockStop,
    CitationDelta,
    Delta,
    Event,
    ExtrasDelta,
    Logprobs,
    Notice,
    Ping,
    ReasoningDelta,
    RefusalDelta,
    Response,
    SignatureDelta,
    Start,
    TextDelta,
    Usage,
)
from asgi_ds2api.fold import unfold

ASIDES: tuple[Event, ...] = (Ping(), Notice(path="x", action="dropped", reason="no effect", severity="hint"))
"""What may come anywhere and is no part of the answer."""


@st.composite
def streams(draw: st.DrawFn, response: Response) -> list[Event]:
    """Return one of the many streams that tell this answer.

    Deltas are cut anywhere, blocks interleave, pings and hints come in between, usage is told in instalments.
    """
    events = unfold(response)
    lanes: dict[int, list[Event]] = {}
    order: list[int] = []
    rest: list[Event] = []
    for event in events:
        match event:
            case BlockStart():
                lanes[event.index] = [event]
                order.append(event.index)
            case BlockStop() | CitationDelta() | SignatureDelta():
                lanes[event.index].append(event)
            case TextDelta() | ReasoningDelta() | RefusalDelta() | ArgumentsDelta():
                lanes[event.index] += draw(_pieces(event))
            case Start():
                pass
            case _:
                rest.append(event)
    stream: list[Event] = [events[0]]
    while order:
        started = [index for index in order if not isinstance(lanes[index][0], BlockStart)]
        waiting = [index for index in order if isinstance(lanes[index][0], BlockStart)][:1]
        index = draw(st.sampled_from(started + waiting))
        stream.append(lanes[index].pop(0))
        if not lanes[index]:
            order.remove(index)
        if draw(st.integers(0, 9)) == 0:
            stream.append(draw(st.sampled_from(ASIDES)))
    for event in rest:
        stream += draw(_instalments(event))
    return stream


@st.composite
def _pieces(draw: st.DrawFn, delta: TextDelta | ReasoningDelta | RefusalDelta | ArgumentsDelta) -> list[Delta]:
    """Return a delta in one to three pieces, some of them perhaps empty."""
    field = "arguments" if isinstance(delta, ArgumentsDelta) else "text"
    whole: str = getattr(delta, field)
    cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=2)))
    edges = [0, *cuts, len(whole)]
    return [replace(delta, **{field: whole[start:end]}) for start, end in pairwise(edges)]


@st.composite
def _instalments(draw: st.DrawFn, event: Event) -> list[Event]:
    """Return what ends an answer, perhaps told more than once, the last time fully."""
    if not draw(st.booleans()):
        return [event]
    match event:
        case Usage():
            return [Usage(input_total=event.input_total, output_total=0), event]
        case Logprobs(content=tuple() as content) if content:
            return [replace(event, content=content[:1]), replace(event, content=content[1:], refusal=None)]
        case ExtrasDelta():
            return [replace(event, fields={name: Raw(b"null") for name in event.fields}), event]
        case _:
            return [event]
