"""Answers that are kept for a while: each for the caller that it was given to, and for nobody else.

A request may go on from one, or name an item of one, and a caller may look one up. Who keeps them is a table of facts
(``state``); how a protocol says all this is its own (`codec.KeepingCodec`). What a vendor keeps as well goes on at the
account that knows it.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Raw

from ..canonical import Usage
from ..codec import HTTPCall, KeepingCodec, Kept, Owed
from ..errors import AnswerUnknown, MalformedRequest, Refused, UnknownItem, Unsupported
from ..routing import Match, Target
from ..state.facts import FactTable

_DECODER: Final = msgspec.json.Decoder(Kept)
_ABSENT: Final = frozenset({404, 405})
_ITEM: Final = "item/"
"""Begins what an item is kept by: no path of an answer's can say it."""
_SHOWN: Final = 64
"""Most characters of an id that a refusal repeats."""


class Answers:
    """The answers of one caller.

    Args:
        table: Where those of all callers are kept.
        label: The caller's.
        is_anybodys: Callers are not told apart. What a vendor keeps is then nobody's in particular: an id that is not
            known here may be one of the vendor's.
    """

    def __init__(self, table: FactTable, label: str, *, is_anybodys: bool = False) -> None:
        self._table = table
        self._label = label
        self.is_anybodys = is_anybodys

    async def find(self, id_: str) -> Kept | None:
        """Return an answer; None: it was never this caller's, or is not kept any more.

        Raises:
            AnswerUnknown: Others who may keep it cannot be asked.
        """
        key = self._key(id_)
        value = (await self._facts(key)).get(key)
        try:
            return None if value is None else _DECODER.decode(value)
        except msgspec.MsgspecError:  # another version of this program kept it
            return None

    async def find_items(self, ids: Sequence[str]) -> Mapping[str, Kept]:
        """Return the answer of each item that can be named; those that were never this caller's are not there.

        Raises:
            AnswerUnknown: Others who may keep one cannot be asked.
        """
        places = {id_: self._key(f"{_ITEM}{id_}") for id_ in ids}
        told = await self._facts(*places.values()) if places else {}
        answers = {id_: told[key].decode() for id_, key in places.items() if key in told}
        kept = {answer: await self.find(answer) for answer in {*answers.values()}}
        return {id_: found for id_, answer in answers.items() if (found := kept[answer]) is not None}

    async def _facts(self, *keys: str) -> Mapping[str, bytes]:
        found = await self._table.find(*keys)
        if not found.is_whole and not found.facts.keys() >= {*keys}:
            raise AnswerUnknown("The answers kept here cannot be looked up at present. Try again.", retry_after_s=1)
        return found.facts

    def keep(self, id_: str, kept: Kept, item_ids: Sequence[str] = ()) -> None:
        """Keep an answer, if it is not too large, and where its items are."""
        self._table.put(self._key(id_), msgspec.json.encode(kept))
        for item_id in item_ids:
            self._table.put(self._key(f"{_ITEM}{item_id}"), id_.encode())

    def forget(self, id_: str) -> None:
        """Forget an answer."""
        self._table.forget(self._key(id_))

    @property
    def kept_s(self) -> float:
        """How long an answer is kept."""
        return self._table.ttl_s

    async def settled(self) -> None:
        """Return when whoever the caller asks next can find what was kept so far."""
        await self._table.settled()

    def _key(self, id_: str) -> str:
        return hashlib.sha256(msgspec.json.encode((self._label, id_))).hexdigest()


class Talk:
    """One request of a talk: what it goes on from, and what is kept of its own answer.

    Args:
        answers: Of the caller.
        keeping: Of its protocol.
        call: As it came.
        before: What it goes on from; None: nothing that is known here.
        named: The answer of each item that it only names.
        bond: Says which account knows the vendor's conversation that it is part of; None: none is known.
        stream: Whether the answer is one.
    """

    def __init__(
        self,
        answers: Answers,
        keeping: KeepingCodec,
        call: HTTPCall,
        before: Kept | None,
        named: Mapping[str, Kept],
        bond: Kept | None,
        *,
        stream: bool,
    ) -> None:
        self._answers = answers
        self._keeping = keeping
        self._call = call
        self._stream = stream
        self._before = before
        self._named = named
        self._whole: HTTPCall | None = None
        self._bond = bond
        self._conversation = keeping.conversation_id(call)
        self._has_begun = False
        self.is_open = False
        """The answer is there and has not ended: what it uses is to be settled by who looks it up."""
        self.is_kept = keeping.is_to_be_kept(call)
        """Its answer is to be kept."""

    @classmethod
    async def begin(cls, answers: Answers, keeping: KeepingCodec, call: HTTPCall, *, stream: bool) -> "Talk":
        """Look up what a request goes on from, and what it only names.

        Raises:
            MalformedRequest: It goes on from an answer that is not kept.
            UnknownItem: It names an item of none that is kept.
            AnswerUnknown: That cannot be looked up.
        """
        id_, conversation = keeping.previous_id(call), keeping.conversation_id(call)
        before = None if id_ is None else await _found(answers, id_)
        bond = None if conversation is None else await answers.find(_talk_key(conversation))
        named = await _named(answers, keeping.named_items(call))
        return cls(answers, keeping, call, before, named, bond, stream=stream)

    def account(self, targets: Iterable[Target]) -> str | None:
        """Return the id of the one account that knows what the request goes on from; None: any may answer."""
        account = self._bound()
        upstream = account.partition("/")[0]
        return account if account and any(target.upstream == upstream for target in targets) else None

    def _bound(self) -> str:
        if self._before is not None or self._named:
            known = {kept.account if kept.is_known else "" for kept in (self._before, *self._named.values()) if kept}
            return known.pop() if len(known) == 1 else ""
        return "" if self._bond is None else self._bond.account

    def call(self) -> HTTPCall:
        """Return the request with all that it goes on from, for who knows nothing of it."""
        return self._told if self._before is None else self._keeping.go_on(self._told, self._before)

    @property
    def _told(self) -> HTTPCall:
        """The request with the items that it only names."""
        if not self._named:
            return self._call
        if self._whole is None:
            found = ((id_, self._keeping.item(kept, id_)) for id_, kept in self._named.items())
            items = {id_: item for id_, item in found if item is not None}
            self._whole = self._keeping.with_items(self._call, items, self._before)
        return self._whole

    async def hear(self, data: bytes, account: str, *, is_known: bool, owed: Owed | None) -> None:
        """Take a piece of the answer before it goes out, and keep the answer with the last one: none can go on sooner.

        Waits with that one until every process that shares the state can find it.

        Args:
            data: A whole answer, or frames of a stream.
            account: Id of who was asked in the same protocol, and may keep the answer as well; empty: nobody was.
            is_known: That account goes on from the answer by its id.
            owed: What is to be settled later if the answer has not ended.
        """
        answer = self._answer_in(data) if self._stream else data
        found = None if answer is None else self._keeping.keep(self._told, answer, self._before)
        if found is None:
            return
        id_, kept = found
        self.is_open = self.is_kept and bool(account) and kept.is_open
        kept = msgspec.structs.replace(kept, account=account, is_known=is_known, owed=owed if self.is_open else None)
        if self.is_kept and (account or not kept.is_open):
            self._answers.keep(id_, kept, self._keeping.item_ids(kept))
        if account and self._conversation is not None:
            bond = Kept(input=(), output=(), answer=Raw(b"{}"), account=account)
            self._answers.keep(_talk_key(self._conversation), bond)
        await self._answers.settled()

    @property
    def is_heard(self) -> bool:
        """Something is to be remembered of its answer."""
        return self.is_kept or self._conversation is not None

    def _answer_in(self, data: bytes) -> bytes | None:
        """Return the answer as frames tell it at their beginning, of one in the background, or at their end."""
        final = self._keeping.final_answer(data)
        if final is not None or self._has_begun or not self._keeping.is_background(self._call):
            return final
        first = self._keeping.first_answer(data)
        self._has_begun = first is not None
        return first


async def begin_talk(answers: Answers | None, match: Match, call: HTTPCall, *, stream: bool) -> Talk | None:
    """Return the talk that a request is part of; None: nothing is kept of such a one.

    Args:
        answers: Of the caller; None: none are kept.
        match: What is asked.
        call: As it came.
        stream: Whether the answer is one.

    Raises:
        MalformedRequest: It goes on from an answer that is not kept.
        AnswerUnknown: That cannot be looked up.
        Unsupported: It wants an answer kept where none is.
    """
    keeping = match.codec.KEEPING
    if keeping is None or match.operation not in ("generate", "count_tokens", "compact"):
        return None
    if answers is None:
        if keeping.is_background(call):
            raise Unsupported("Answers are not kept here: nobody could ask for this one.", param="background")
        return None
    return await Talk.begin(answers, keeping, call, stream=stream)


async def _found(answers: Answers, id_: str) -> Kept | None:
    kept = await answers.find(id_)
    if kept is None and not answers.is_anybodys:
        raise MalformedRequest(
            f"Previous response with id {id_[:_SHOWN]!r} not found. Send the whole input.",
            code="previous_response_not_found",
            param="previous_response_id",
        )
    return kept


async def _named(answers: Answers, ids: Sequence[str]) -> Mapping[str, Kept]:
    named = await answers.find_items(ids)
    unknown = next((id_ for id_ in ids if id_ not in named), None)
    if unknown is not None and not answers.is_anybodys:
        raise UnknownItem(
            f"Item with id {unknown[:_SHOWN]!r} not found. Items are not persisted when `store` is set to false. "
            "Send the item itself.",
            param="input",
        )
    return named


class KeptAnswer:
    """An answer that a caller looks up, or wants to be rid of.

    Args:
        answers: Of the caller.
        keeping: Of its protocol.
        call: What is asked.
        kept: The answer.
    """

    def __init__(self, answers: Answers, keeping: KeepingCodec, call: HTTPCall, kept: Kept) -> None:
        self._answers = answers
        self._keeping = keeping
        self._call = call
        self.id = keeping.id_in(call.path)
        self.kept = kept
        self.is_stream = keeping.is_stream(call)
        self.kept_s = answers.kept_s

    @classmethod
    async def find(cls, answers: Answers, keeping: KeepingCodec, call: HTTPCall) -> "KeptAnswer":
        """Look an answer up.

        Raises:
            UnknownItem: It is not kept.
            AnswerUnknown: That cannot be looked up.
        """
        id_ = keeping.id_in(call.path)
        kept = await answers.find(id_)
        if kept is None:
            raise UnknownItem(f"Response with id {id_[:_SHOWN]!r} not found.", param="response_id")
        return cls(answers, keeping, call, kept)

    @property
    def account(self) -> str:
        """Id of the account that is to be asked; empty: nobody has to be."""
        return self.kept.account if self._keeping.is_for_vendor(self._call, self.kept) else ""

    @property
    def model(self) -> str:
        """Of an answer in the background: who works on it, as its upstream calls it; empty: nobody any more."""
        return "" if self.kept.owed is None else self.kept.owed.model

    async def tell(self) -> bytes:
        """Return what was asked for, and forget the answer if that was asked.

        Raises:
            UnknownItem: It has no such part.
            MalformedRequest: What was asked cannot be done with it.
        """
        told = self._keeping.tell(self._call, self.kept)
        if self._call.method == "DELETE":
            await self._forget()
        return told

    async def hear(self, data: bytes) -> Usage | None:
        """Take a piece of what the vendor says, before it goes out: the answer has ended, or is no more.

        Returns:
            What it used, if that is told here and was not before.
        """
        if self._call.method == "DELETE":
            if data == self._keeping.tell(self._call, self.kept):
                await self._forget()
            return None
        answer = self._keeping.final_answer(data) if self.is_stream else data
        if answer is None:
            return None
        kept = self._keeping.renew(self.kept, answer) or self.kept
        usage = None if kept.owed is None else self._keeping.usage(answer)
        if usage is not None:
            kept = msgspec.structs.replace(kept, owed=None)
        if kept is not self.kept:
            self._answers.keep(self.id, kept, self._keeping.item_ids(kept))
            await self._answers.settled()
        return usage

    async def _forget(self) -> None:
        self._answers.forget(self.id)
        await self._answers.settled()

    def is_gone(self, error: Refused) -> bool:
        """Tell whether the vendor has nothing to delete: it never kept the answer, or does not any more."""
        return self._call.method == "DELETE" and error.upstream_status in _ABSENT


def _talk_key(conversation: str) -> str:
    """Return what the account of a vendor's conversation is kept by: no path of an answer's can say it."""
    return f"conversation/{conversation}"
