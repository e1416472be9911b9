"""A whole answer and an answer in pieces are the same thing: ``fold(unfold(response)) == response``.

This file knows the order of events and no protocol:

* `Start` comes first. Blocks begin with `BlockStart`, in the order of their index, and may interleave; a delta belongs
  to an open block of its kind; no block of a choice starts after its `Finish`, and none is open at it.
* Text is appended, citations and log probabilities are added; of a signature, a `Finish`, a figure of `Usage` and a
  field of `Extras` the last one counts.
* `Notice` and `Ping` are about the stream, not of the answer: folding leaves them to whoever watches the events.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeAlias, assert_never

from msgspec import Raw
from msgspec.structs import replace

from .canonical import (
    ArgumentsDelta,
    Block,
    BlockStart,
    BlockStop,
    Choice,
    Citation,
    CitationDelta,
    Delta,
    Event,
    Extras,
    ExtrasDelta,
    Finish,
    Logprobs,
    Media,
    Notice,
    Opaque,
    OpaqueDelta,
    Ping,
    Reasoning,
    ReasoningDelta,
    Refusal,
    RefusalDelta,
    Response,
    SignatureDelta,
    Start,
    Text,
    TextDelta,
    ToolCall,
    ToolResult,
    Usage,
)
from .errors import InternalError, Malformed

JoinOpaque: TypeAlias = Callable[[Opaque, Sequence[Raw]], Opaque]
"""Adds the deltas of a block that only its own protocol understands; that protocol's codec knows how."""


class BlockTracker:
    """Knows which blocks of an answer are open, and hands out the next index.

    A decoder asks it to `start` and `stop` blocks; an encoder or a shim lets it `follow` the events that pass.
    """

    __slots__ = ("_open", "next_index")

    def __init__(self) -> None:
        self._open: dict[int, BlockStart] = {}
        self.next_index = 0
        """Of the block that will start next: how many have started."""

    def start(self, block: Block, choice: int = 0) -> BlockStart:
        """Open a block and return the event that says so."""
        event = BlockStart(index=self.next_index, block=block, choice=choice)
        self.follow(event)
        return event

    def stop(self, index: int) -> BlockStop:
        """Close a block and return the event that says so.

        Raises:
            InternalError: It is not open.
        """
        event = BlockStop(index=index)
        self.follow(event)
        return event

    def stop_all(self, choice: int | None = None) -> list[BlockStop]:
        """Close all open blocks, or those of one choice, in the order of their index."""
        return [self.stop(index) for index in self.open_indexes(choice)]

    def open_indexes(self, choice: int | None = None) -> list[int]:
        """Return the indexes of all open blocks, or of those of one choice, in their order."""
        return [index for index, started in self._open.items() if choice is None or started.choice == choice]

    def started(self, index: int) -> BlockStart:
        """Return how an open block began.

        Raises:
            InternalError: It is not open.
        """
        found = self._open.get(index)
        if found is None:
            raise _out_of_order(f"block {index} is not open")
        return found

    def follow(self, event: Event) -> None:
        """Take note of an event.

        Raises:
            InternalError: It breaks the order of events; whoever made it has a mistake.
        """
        match event:
            case (
                TextDelta()
                | ReasoningDelta()
                | ArgumentsDelta()
                | SignatureDelta()
                | RefusalDelta()
                | CitationDelta()
                | OpaqueDelta()
            ):
                kind = _KIND_OF_DELTA[type(event)]
                if not isinstance(self.started(event.index).block, kind):
                    raise _out_of_order(f"{type(event).__name__} for block {event.index}, which is no {kind.__name__}")
            case BlockStart():
                if event.index != self.next_index:
                    raise _out_of_order(f"block {event.index} starts where {self.next_index} was due")
                self._open[event.index] = event
                self.next_index += 1
            case BlockStop():
                self.started(event.index)
                del self._open[event.index]
            case Finish():
                if still_open := self.open_indexes(event.choice):
                    raise _out_of_order(f"choice {event.choice} finishes with block {still_open[0]} open")


def fold(events: Iterable[Event], join_opaque: JoinOpaque | None = None) -> Response:
    """Return the answer that these events tell.

    Args:
        events: Of one complete stream.
        join_opaque: Of the codec that decoded the stream; needed if its protocol has opaque deltas.

    Raises:
        Malformed: There is no `Start`, no choice, or one without a `Finish`: the stream was not complete.
        InternalError: The events are out of order, or opaque deltas came and nobody can join them.
    """
    answer = _Answer()
    for event in events:
        answer.add(event)
    return answer.response(join_opaque)


def unfold(response: Response) -> list[Event]:
    """Return an answer as a stream would have brought it: content in deltas, usage before the first `Finish`."""
    events: list[Event] = [
        Start(
            source=response.source,
            id=response.id,
            model=response.model,
            created=response.created,
            service_tier=response.service_tier,
            extras=response.extras,
            echo=response.echo,
        )
    ]
    tracker = BlockTracker()
    for number, choice in enumerate(response.choices):
        for block in choice.blocks:
            start = tracker.start(_emptied(block), number)
            events += (start, *_deltas(block, start.index), tracker.stop(start.index))
        if choice.logprobs is not None:
            events.append(replace(choice.logprobs, choice=number))
        if choice.message_extras:
            events.append(ExtrasDelta(level="message", fields=choice.message_extras, choice=number))
        if choice.extras:
            events.append(ExtrasDelta(level="choice", fields=choice.extras, choice=number))
    if response.usage is not None:
        events.append(response.usage)
    events += (replace(choice.finish, choice=number) for number, choice in enumerate(response.choices))
    return events


def tell_input(events: Sequence[Event], estimate: Usage) -> list[Event]:
    """Return the events of an answer's beginning with the input of an estimate behind their `Start`.

    Clients show it while they wait; what the upstream tells takes its place. It is always there, as what a caller gets
    may not depend on how much is read at once.
    """
    begin = next((place for place, event in enumerate(events, 1) if type(event) is Start), 0)
    return [*events[:begin], Usage(input_total=estimate.input_total, is_estimated=True), *events[begin:]]


def merge_usage(earlier: Usage | None, later: Usage) -> Usage:
    """Return the later figures, and the earlier ones where the later are not told."""
    if earlier is None:
        return later
    told = {field: value for field in Usage.__struct_fields__ if (value := getattr(later, field)) is not None}
    return replace(earlier, **{**told, "extras": {**earlier.extras, **later.extras}})


def add_usage(earlier: Usage | None, later: Usage) -> Usage:
    """Return the figures of two answers together; counters without a canonical name are those of the later one."""
    if earlier is None:
        return later
    counts = [field for field in Usage.__struct_fields__ if field not in ("is_estimated", "extras")]
    told = {field: [n for usage in (earlier, later) if (n := getattr(usage, field)) is not None] for field in counts}
    sums = {field: sum(numbers) for field, numbers in told.items() if numbers}
    return Usage(**sums, is_estimated=earlier.is_estimated or later.is_estimated, extras=later.extras)


_KIND_OF_DELTA: Final[Mapping[type[Event], type[Block]]] = {
    TextDelta: Text,
    CitationDelta: Text,
    ReasoningDelta: Reasoning,
    SignatureDelta: Reasoning,
    ArgumentsDelta: ToolCall,
    RefusalDelta: Refusal,
    OpaqueDelta: Opaque,
}


def _emptied(block: Block) -> Block:
    """Return a block as it begins, before its deltas."""
    match block:
        case Text():
            return replace(block, text="", citations=())
        case Reasoning():
            return replace(block, text="", signature=None)
        case ToolCall():
            return replace(block, arguments="")
        case Refusal():
            return replace(block, text="")
        case Media() | ToolResult() | Opaque():
            return block
        case _:
            assert_never(block)


def _deltas(block: Block, index: int) -> list[Delta]:
    """Return what turns ``_emptied(block)`` into the block."""
    match block:
        case Text():
            text: list[Delta] = [TextDelta(index=index, text=block.text)] if block.text else []
            return [*text, *(CitationDelta(index=index, citation=citation) for citation in block.citations)]
        case Reasoning():
            thought: list[Delta] = [ReasoningDelta(index=index, text=block.text)] if block.text else []
            signature = [] if block.signature is None else [SignatureDelta(index=index, signature=block.signature)]
            return [*thought, *signature]
        case ToolCall():
            return [ArgumentsDelta(index=index, arguments=block.arguments)] if block.arguments else []
        case Refusal():
            return [RefusalDelta(index=index, text=block.text)] if block.text else []
        case Media() | ToolResult() | Opaque():
            return []
        case _:
            assert_never(block)


class _Draft:
    """A block and what its deltas have added so far."""

    __slots__ = ("_citations", "_opaque", "_pieces", "_signature", "_start", "choice")

    def __init__(self, start: BlockStart) -> None:
        self.choice = start.choice
        self._start = start.block
        self._pieces: list[str] = []
        self._citations: list[Citation] = []
        self._signature: str | None = None
        self._opaque: list[Raw] = []

    def add(self, delta: Delta) -> None:
        match delta:
            case TextDelta() | ReasoningDelta() | RefusalDelta():
                self._pieces.append(delta.text)
            case ArgumentsDelta():
                self._pieces.append(delta.arguments)
            case CitationDelta():
                self._citations.append(delta.citation)
            case SignatureDelta():
                self._signature = delta.signature
            case OpaqueDelta():
                self._opaque.append(delta.raw)
            case _:
                assert_never(delta)

    def block(self, join_opaque: JoinOpaque | None) -> Block:
        block, added = self._start, "".join(self._pieces)
        match block:
            case Text():
                return replace(block, text=block.text + added, citations=(*block.citations, *self._citations))
            case Reasoning():
                signature = block.signature if self._signature is None else self._signature
                return replace(block, text=block.text + added, signature=signature)
            case ToolCall():
                return replace(block, arguments=block.arguments + added)
            case Refusal():
                return replace(block, text=block.text + added)
            case Opaque() if self._opaque:
                if join_opaque is None:
                    raise InternalError("The answer could not be put together.", detail="opaque deltas without a codec")
                return join_opaque(block, self._opaque)
            case Media() | ToolResult() | Opaque():
                return block
            case _:
                assert_never(block)


class _ChoiceDraft:
    """One choice and what its events have said so far."""

    __slots__ = ("drafts", "extras", "finish", "logprobs", "message_extras")

    def __init__(self) -> None:
        self.drafts: list[_Draft] = []
        self.finish: Finish | None = None
        self.logprobs: Logprobs | None = None
        self.extras: Extras = {}
        self.message_extras: Extras = {}

    def choice(self, join_opaque: JoinOpaque | None) -> Choice:
        if self.finish is None:
            raise _incomplete()
        return Choice(
            blocks=tuple(draft.block(join_opaque) for draft in self.drafts),
            finish=self.finish,
            logprobs=self.logprobs,
            message_extras=self.message_extras,
            extras=self.extras,
        )


class _Answer:
    """All that the events have said so far."""

    __slots__ = ("_choices", "_drafts", "_extras", "_start", "_tracker", "_usage")

    def __init__(self) -> None:
        self._tracker = BlockTracker()
        self._start: Start | None = None
        self._drafts: list[_Draft] = []
        self._choices: dict[int, _ChoiceDraft] = {}
        self._extras: Extras = {}
        self._usage: Usage | None = None

    def add(self, event: Event) -> None:
        self._tracker.follow(event)
        match event:
            case Start():
                self._start = event
                self._extras.update(event.extras)
            case BlockStart():
                draft = _Draft(event)
                self._drafts.append(draft)
                choice = self._choice(event.choice)
                if choice.finish is not None:
                    raise _out_of_order(f"a block of choice {event.choice} starts after its finish")
                choice.drafts.append(draft)
            case Logprobs():
                choice = self._choice(event.choice)
                choice.logprobs = _added(choice.logprobs, event)
            case ExtrasDelta():
                self._extras_of(event).update(event.fields)
            case Usage():
                self._usage = merge_usage(self._usage, event)
            case Finish():
                self._choice(event.choice).finish = event
            case Notice() | Ping() | BlockStop():
                pass
            case _:
                self._drafts[event.index].add(event)

    def response(self, join_opaque: JoinOpaque | None) -> Response:
        start = self._start
        if start is None or not self._choices:
            raise _incomplete()
        return Response(
            source=start.source,
            id=start.id,
            model=start.model,
            choices=tuple(self._choice(number).choice(join_opaque) for number in range(max(self._choices) + 1)),
            created=start.created,
            usage=self._usage,
            service_tier=start.service_tier,
            extras=self._extras,
            echo=start.echo,
        )

    def _choice(self, number: int) -> _ChoiceDraft:
        return self._choices.setdefault(number, _ChoiceDraft())

    def _extras_of(self, event: ExtrasDelta) -> Extras:
        match event.level:
            case "response":
                return self._extras
            case "message":
                return self._choice(event.choice).message_extras
            case "choice":
                return self._choice(event.choice).extras
            case _:
                assert_never(event.level)


def _added(earlier: Logprobs | None, later: Logprobs) -> Logprobs:
    if earlier is None:
        return later
    return replace(
        earlier,
        content=_concatenated(earlier.content, later.content),
        refusal=_concatenated(earlier.refusal, later.refusal),
    )


def _concatenated(earlier: tuple[Raw, ...] | None, later: tuple[Raw, ...] | None) -> tuple[Raw, ...] | None:
    if earlier is None or later is None:
        return later if earlier is None else earlier
    return earlier + later


def _incomplete() -> Malformed:
    return Malformed("The upstream's answer ended before it was complete.")


def _out_of_order(detail: str) -> InternalError:
    return InternalError("The answer could not be put together.", detail=f"events out of order: {detail}")
