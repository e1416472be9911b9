"""A streamed answer, written: canonical events -> events of this protocol, as OpenAI's SDK and Codex want them.

The SDK's accumulator raises on an event out of order, so that here:

* ``response.created`` comes first, with no output; the id of the answer is the same in all that follows. For clients
  whose patience counts events (Codex), heartbeats are events too, and the answer begins with the first of either.
* One item is open at a time, whatever comes interleaved; an item begins when all that identifies it is known. Text
  gives way to a call and goes on in another message.
* An item ends when the next one begins, or with the answer: only then is it known whether it is whole.
* Numbers of events rise by one from 0. The terminal event has the whole answer, and the sentinel follows it.
* An answer that fails says so in a terminal event of its own, without a sentinel.
"""

from collections.abc import Sequence
from typing import Final

from ...block_turns import BegunBlock, BlockTurns, Step, Turn
from ...canonical import (
    ArgumentsDelta,
    Block,
    BlockStart,
    BlockStop,
    CitationDelta,
    Event,
    Extras,
    ExtrasDelta,
    Finish,
    Logprobs,
    Notices,
    OpaqueDelta,
    Reasoning,
    ReasoningDelta,
    Refusal,
    RefusalDelta,
    SignatureDelta,
    Start,
    Text,
    TextDelta,
    Usage,
)
from ...codec import Envelope
from ...errors import GatewayError
from ...fold import merge_usage
from ...framing import comment_frame, data_frame
from ...json_pieces import JsonObject
from ...token_estimate import estimated
from . import wire
from .answer_writer import AnswerWriter, finish_is_early
from .errors import failed_code, told
from .stream_decoder import SENTINEL
from .stream_items import ItemStream

HEARTBEAT: Final = comment_frame(b"keepalive")
DONE: Final = data_frame(SENTINEL)


class StreamEncoder:
    """Events -> bytes of a caller's stream. See `codec.EventEncoder`.

    Args:
        envelope: What the caller asked.
        notices: Where losses are reported; what the request lost stands there already.
    """

    def __init__(self, envelope: Envelope, notices: Notices) -> None:
        self._envelope = envelope
        self._notices = notices
        writer = AnswerWriter(envelope, notices, is_own=False, answer_id="")
        self._items = ItemStream(writer, is_renamed=envelope.dialect == "open_responses")
        self._items.opening = self._tell_beginning
        self._heard = envelope.heard
        self._start: Start | None = None
        self._late_extras: Extras = {}
        self._usage: Usage | None = None
        self._finish = Finish(reason="stop")
        self._turns: BlockTurns[BegunBlock] = BlockTurns(_gives_way)

    def encode(self, events: Sequence[Event]) -> bytes:
        """Return the whole frames for these events, perhaps none."""
        items = self._items
        for event in events:
            current = self._turns.current
            is_current = type(event) is TextDelta and current is not None and current.index == event.index
            if is_current and items.prefix:
                items.say(event.text)  # type: ignore[union-attr]  # a delta of text
            else:
                self._take(event)
        return self._taken()

    def close(self) -> bytes:
        """Return what ends the stream with success. Only after the decoder was complete."""
        self._items.open_once()
        items, writer = self._items, self._items.writer
        self._follow(self._turns.stop_all())
        if (declined := writer.declined(self._finish, is_silent=items.is_silent)) is not None:
            items.refuse(declined)
        items.put_late_logprobs()
        items.end(is_early=finish_is_early(self._finish, is_own=writer.is_own))
        answer = self._answer(self._finish, self._usage or estimated(items.characters))
        kind = "response.incomplete" if answer["status"] == "incomplete" else "response.completed"
        items.event(kind, {"response": answer})
        return self._taken() + DONE

    def error(self, error: GatewayError) -> bytes:
        """Return the in-band form of an error. Nothing may follow it."""
        self._items.open_once()
        what = told(error)
        if self._envelope.dialect == "open_responses":
            self._items.event("error", {"error": what})
        failed = {"code": failed_code(error), "message": what["message"]}
        answer = {**self._answer(None, None), "status": "failed", "error": failed}
        self._items.event("response.failed", {"response": answer})
        return self._taken()

    def heartbeat(self) -> bytes:
        """Return bytes that keep the connection busy: a comment, or an event for clients that count events alone."""
        if self._heard is None:
            return HEARTBEAT
        if self._items.opening is not None:
            self._items.open_once()
        else:
            self._items.event("response.in_progress", {"response": self._in_progress()})
        return self._taken()

    def _taken(self) -> bytes:
        if self._heard is not None and self._items.opening is None:
            self._heard.events = self._items.number
        return self._items.taken()

    # --- the answer ---------------------------------------------------------------------------------------------------

    def _take(self, event: Event) -> None:
        match event:
            case Start():
                self._start = self._start or event
                is_own = event.source == wire.NAME
                id_ = event.id if self._heard is None else ""
                self._items.writer = AnswerWriter(self._envelope, self._notices, is_own=is_own, answer_id=id_)
                if self._heard is None:
                    self._items.open_once()
            case BlockStart():
                self._begin_block(event)
            case ExtrasDelta():
                self._add_extras(event)
            case Usage():
                self._usage = merge_usage(self._usage, event)
            case Finish() if event.choice == 0:
                self._finish = event
            case Logprobs() if event.choice == 0:
                self._add_logprobs(event)
            case Finish() | Logprobs():
                self._items.writer.lose(f"choices[{event.choice}]", "one answer at a time is given here")
            case (
                TextDelta()
                | ReasoningDelta()
                | RefusalDelta()
                | ArgumentsDelta()
                | SignatureDelta()
                | CitationDelta()
                | OpaqueDelta()
                | BlockStop()
            ):
                self._follow(self._turns.take(event))
            case _:
                pass  # pings and notices have no event

    def _tell_beginning(self) -> None:
        """Tell that the answer has begun, unless a heartbeat has."""
        if self._heard is not None and self._heard.events:
            self._items.number = self._heard.events
            return
        answer = self._in_progress()
        self._items.event("response.created", {"response": answer})
        self._items.event("response.in_progress", {"response": answer})

    def _in_progress(self) -> JsonObject:
        return {**self._answer(None, None), "output": []}

    def _answer(self, finish: Finish | None, usage: Usage | None) -> JsonObject:
        start = self._start or Start(source=wire.NAME, id="", model="")
        return self._items.writer.answer(
            created=start.created,
            service_tier=start.service_tier,
            echo=start.echo,
            extras={**self._items.writer.own(start.extras, ""), **self._late_extras},
            finish=finish,
            output=self._items.output,
            usage=usage,
        )

    def _add_extras(self, event: ExtrasDelta) -> None:
        at = {"response": "", "choice": "choices[0]", "message": "choices[0].message"}[event.level]
        own = self._items.writer.own(event.fields, at)
        if event.level == "response":
            self._late_extras |= own

    def _add_logprobs(self, event: Logprobs) -> None:
        self._items.probable += self._items.writer.tokens(event.content or ())
        if event.refusal:
            self._items.writer.lose("choices[0].logprobs.refusal", "probabilities of a refusal are not told here")

    # --- blocks -------------------------------------------------------------------------------------

    def _begin_block(self, event: BlockStart) -> None:
        if event.choice != 0:
            self._items.writer.lose(f"choices[{event.choice}]", "one answer at a time is given here")
            return
        self._follow(self._turns.begin(BegunBlock(event)))

    def _follow(self, steps: Sequence[Step[BegunBlock]]) -> None:
        for block, step in steps:
            if not isinstance(step, Turn):
                self._items.write(block.block, step)
            elif step is Turn.BEGINS and not isinstance(block.block, Text | Refusal | Reasoning):
                self._items.open(block.block)


def _gives_way(block: Block, waiting: Block) -> bool:
    """Tell whether a block may be cut in two for the sake of the one that waits."""
    return isinstance(block, Text | Refusal) and not isinstance(waiting, Text | Refusal)
