"""Keeps reasoning for clients that cannot carry it, and puts it back where it stood.

The other half of ``reasoning_seal``. A client that drops what it does not know, or has no place for it, sends a turn
back with its calls alone. So the reasoning of a turn that calls tools is kept for a while, before the end of the answer
goes out, and goes back to its issuer with that turn. What belongs to another vendor is left out, with a Notice. A turn
that carries proofs of its own is the caller's to get right.

Rules:

1. A turn is known by its caller, by the id of a call, and by what was said to the model just before: there are vendors
   whose ids are ``functions.f:0`` in every talk.
2. Where callers are not told apart, or clients may leave ids out, it is known by all that was said before, word by
   word: who can repeat a talk has it.
3. Anthropic takes no thinking back with a gap in it, and turns without calls are not kept: the thinking of the running
   loop of tools goes back alone.
4. A signature of Gemini's belongs to the part behind it, at its face of Chat to the call: if the client dropped that,
   it stays here.
5. What OpenAI encrypted for a customer is of use to his accounts alone: from others it is kept.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from ..canonical import Block, Event, Extras, Message, Notices, Reasoning, Request, Text, ToolCall
from ..profiles import Profile
from ..state.facts import FactTable
from .heard import Names, ThoughtsAndCalls
from .said import Turn, bare_turns, has_calls, is_proof, said_last, start_of_loop

_ANTHROPIC: Final = "anthropic_messages"
_GEMINI: Final = "gemini_generate"
_OLLAMA: Final = "ollama_chat"
_RESPONSES: Final = "openai_responses"
_OF_A_CALL: Final = "extra_content"
"""Names the signature of a call in Chat, by Google's convention."""
_MAY_LACK_IDS: Final = frozenset({_GEMINI, _OLLAMA})
"""Faces whose clients may send calls back without the ids that they came with."""


class KeptTurn(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What is kept of a turn."""

    vendor: str
    """Who issued the reasoning."""
    protocol: str
    """In which it came."""
    items: tuple[Reasoning | str, ...]
    """In order: the reasoning, and the names of all other blocks (see `heard.Names`)."""
    owner: str = ""
    """The only one of the vendor's customers to whom it is of use; empty: it is to all."""

    @property
    def has_proof(self) -> bool:
        """Some of the reasoning can be known again by its issuer."""
        return any(is_proof(item) for item in self.items)


_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(KeptTurn)


class CallersReasoning(msgspec.Struct, frozen=True, kw_only=True):
    """The reasoning that is kept for one caller."""

    table: FactTable
    label: str
    """The caller's."""
    is_shared: bool = False
    """Callers are not told apart."""
    owner: str = ""
    """The customer of the vendor whose account is asked, where that matters."""

    async def find(self, places: Sequence[tuple[str, str]]) -> list[KeptTurn | None]:
        """Return the turns; None: it was never this caller's, or is not kept any more.

        Args:
            places: Of each turn the digest of what was said before it, and the name of one of its calls.
        """
        keys = [self._key(said, call) for said, call in places]
        found = (await self.table.find(*keys)).facts
        return [_decoded(found.get(key)) for key in keys]

    def keep(self, said: str, call: str, turn: KeptTurn) -> None:
        """Keep a turn, if it is not too large."""
        self.table.put(self._key(said, call), _ENCODER.encode(turn))

    def _key(self, said: str, call: str) -> str:
        return hashlib.sha256(_ENCODER.encode((self.label, said, call))).hexdigest()


class KeptReasoning:
    """See the module.

    Args:
        request: As the caller's face decoded it.
        protocol: Of the upstream.
        profile: Of the upstream.
        kept: The caller's.
    """

    is_over = False

    def __init__(self, request: Request, protocol: str, profile: Profile, kept: CallersReasoning) -> None:
        self._messages = request.messages
        self._protocol = protocol
        self._is_native = request.source == protocol
        self._profile = profile
        self._replay = profile.reasoning_replay
        self._kept = kept
        self._has_ids = request.source not in _MAY_LACK_IDS
        self._is_whole = kept.is_shared or not self._has_ids
        self._bare = bare_turns(request.messages, is_whole=self._is_whole)
        self._found: list[tuple[Turn, KeptTurn]] = []
        self._has_kept = False
        self._heard = ThoughtsAndCalls(has_ids=self._has_ids, max_bytes=kept.table.max_value_bytes)

    @staticmethod
    def is_needed(request: Request) -> bool:
        """Tell whether the request calls tools, or its answer may."""
        return bool(request.tools) or has_calls(request.messages)

    # --- the way there ------------------------------------------------------------------------------------------------

    async def recall(self) -> None:
        """Look up the turns that came without proofs, all at once. In the event loop, as the state is its own."""
        asked = [(turn, _name_of(call, has_ids=self._has_ids)) for turn in self._bare for call in turn.calls]
        if not asked:
            return
        kept = await self._kept.find([(turn.said, name) for turn, name in asked])
        known: set[int] = set()
        for (turn, _), found in zip(asked, kept, strict=True):
            if found is not None and turn.first not in known:
                known.add(turn.first)
                self._found.append((turn, found))

    def request(self, request: Request, notices: Notices) -> Request:
        """Put back what was recalled, if this upstream issued it."""
        self._replay = self._profile.facts(request.model).reasoning_replay or self._replay
        if not self._found:
            return request
        messages = list(request.messages)
        has_gaps = self._protocol == _ANTHROPIC and self._replay == "never"
        loop = start_of_loop(messages) if has_gaps else 0
        for turn, kept in self._found:
            if kept.vendor != self._profile.vendor:
                # Plain words are of use to nobody else, and encoders do not call it a loss either.
                report = notices.lost if kept.has_proof else notices.hint
                report(turn.at, "reasoning belongs to the vendor that issued it")
            elif kept.has_proof and kept.owner != self._kept.owner:
                notices.lost(turn.at, "reasoning was encrypted for another customer of the vendor")
            elif turn.first < loop:
                notices.hint(turn.at, "thinking before the running loop of tools is not given back")
            else:
                self._put_back(messages, turn, kept, notices)
        return replace(request, messages=tuple(messages))

    def _put_back(self, messages: list[Message], turn: Turn, kept: KeptTurn, notices: Notices) -> None:
        run = messages[turn.first : turn.last + 1]
        if kept.has_proof:  # it says what the client carries in plain words, and can be known again
            if not any(isinstance(item, Reasoning) and item.text for item in kept.items):
                for thought in _reasoning_in(run):
                    notices.hint(thought.at or turn.at, "the model needs no thoughts back that are not signed")
            run = [replace(message, content=_without_reasoning(message.content)) for message in run]
        elif any(isinstance(block, Reasoning) for message in run for block in message.content):
            return
        names = Names(by_id=self._has_ids)
        named = [[(self._name(block, names), block) for block in message.content] for message in run]
        before, rest = self._places(kept, [name for blocks in named for name, _ in blocks], turn, notices)
        for position, (message, blocks) in enumerate(zip(run, named, strict=True), turn.first):
            content: list[Block] = []
            for name, block in blocks:
                content += [self._owned(thought, kept, block.at) for thought in before.pop(name, ())]
                content.append(block)
            messages[position] = replace(message, content=tuple(content))
        if rest:
            last = messages[turn.last]
            owned = [self._owned(thought, kept, turn.at) for thought in rest]
            messages[turn.last] = replace(last, content=(*last.content, *owned))

    def _name(self, block: Block, names: Names) -> str:
        """Return the name of a block of the client's; empty: the answer had none such.

        Clients of other protocols put an empty text where a turn has none.
        """
        is_made_up = not self._is_native and isinstance(block, Text) and not block.text
        return "" if is_made_up else names.of(block)

    def _places(
        self, kept: KeptTurn, present: Sequence[str], turn: Turn, notices: Notices
    ) -> tuple[dict[str, list[Reasoning]], list[Reasoning]]:
        """Return what stood before each block that is still there, and what stands behind all of them.

        What the turn began with comes first again, whatever the client put before its calls (an empty text).
        """
        before: dict[str, list[Reasoning]] = {}
        pending: list[Reasoning] = []
        is_begun = self._protocol == _GEMINI
        for item in kept.items:
            if isinstance(item, Reasoning):
                pending.append(item)
                continue
            is_signed = any(self._is_mark(thought) for thought in pending)
            name = item if is_begun or is_signed else present[0]
            is_begun = True
            if name in present:
                before.setdefault(name, []).extend(pending)
                pending = []
            elif is_signed:
                notices.hint(turn.at, "the part that was signed did not come back")
                pending = [thought for thought in pending if not self._is_mark(thought)]
        return before, pending

    def _is_mark(self, thought: Reasoning) -> bool:
        """Tell whether reasoning is nothing but the signature of what stands behind it."""
        is_bare = thought.signature is not None and not thought.text
        return is_bare and (self._protocol == _GEMINI or _OF_A_CALL in thought.extras)

    def _owned(self, thought: Reasoning, kept: KeptTurn, at: str) -> Reasoning:
        """Return reasoning as this upstream's own, in the place of the block that it belongs to."""
        named: Extras = thought.extras if kept.protocol == self._protocol else {}
        extras, issued = (named, {}) if self._is_native else ({}, named)
        return replace(thought, origin=self._profile.vendor, extras=extras, issued=issued, at=at)

    # --- the way back -------------------------------------------------------------------------------------------------

    def events(self, events: Sequence[Event]) -> Sequence[Event]:
        """Return the events, and remember what was thought and where."""
        self._heard.hear(events)
        return events

    def keep(self) -> None:
        """Keep the turn that was heard. To be called when it is complete, before its end goes out."""
        for choice in self._heard.choices():
            items = tuple([item for item in choice.items() if isinstance(item, str) or self._goes_back(item)])
            if choice.calls and any(isinstance(item, Reasoning) for item in items):
                said = said_last(self._messages, is_whole=self._is_whole)
                name = _name_of(choice.calls[0].whole(), has_ids=self._has_ids)
                turn = KeptTurn(
                    vendor=self._profile.vendor,
                    protocol=self._protocol,
                    items=items,
                    owner=self._kept.owner,
                )
                self._kept.keep(said, name, turn)
                self._has_kept = True

    async def settle(self) -> None:
        """Return when whoever the caller asks next can find what was kept."""
        if self._has_kept:
            await self._kept.table.settled()

    def _goes_back(self, thought: Reasoning) -> bool:
        """Tell whether the upstream takes it back: what it can know again, and of the rest what it asks for."""
        takes_plain = self._protocol == _OLLAMA or (self._protocol == _RESPONSES and self._is_native)
        return is_proof(thought) or (bool(thought.text) and (takes_plain or self._replay != "never"))


def _decoded(value: bytes | None) -> KeptTurn | None:
    """Return what was kept; None: nothing, or what another version of this program kept."""
    try:
        return None if value is None else _DECODER.decode(value)
    except msgspec.MsgspecError:
        return None


def _reasoning_in(messages: Sequence[Message]) -> Iterator[Reasoning]:
    for message in messages:
        yield from (block for block in message.content if isinstance(block, Reasoning) and block.text)


def _without_reasoning(blocks: Sequence[Block]) -> tuple[Block, ...]:
    return tuple([block for block in blocks if not isinstance(block, Reasoning)])


def _name_of(call: ToolCall, *, has_ids: bool) -> str:
    """Return what tells a call from others: its id, or what is called."""
    return call.id if has_ids else f"{call.name} {_normal(call.arguments)}"


def _normal(arguments: str) -> str:
    """Return arguments as they are after any client has read and written them."""
    try:
        return msgspec.json.encode(msgspec.json.decode(arguments or "{}"), order="sorted").decode()
    except (msgspec.MsgspecError, RecursionError):
        return arguments
