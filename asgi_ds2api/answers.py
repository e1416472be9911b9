"""Answers that are kept for a while: each for the caller that it was given to, and for nobody else.

A request may go on from one, and a caller may look one up. Who keeps them is a table of facts (``state``); how a
protocol says all this is its own (`codec.KeepingCodec`). What a vendor keeps as well goes on at the account that knows
it.
"""

import hashlib
from collections.abc import Iterable
from typing import Final

import msgspec

from .codec import HTTPCall, KeepingCodec, Kept
from .errors import MalformedRequest, UnknownItem
from .routing import Target
from .state.facts import FactTable

_DECODER: Final = msgspec.json.Decoder(Kept)
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
        """Return an answer; None: it was never this caller's, or is not kept any more."""
        value = await self._table.find(self._key(id_))
        return None if value is None else _DECODER.decode(value)

    def keep(self, id_: str, kept: Kept) -> None:
        """Keep an answer, if it is not too large."""
        self._table.put(self._key(id_), msgspec.json.encode(kept))

    def forget(self, id_: str) -> None:
        """Forget an answer."""
        self._table.forget(self._key(id_))

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
        stream: Whether the answer is one.
    """

    def __init__(
        self, answers: Answers, keeping: KeepingCodec, call: HTTPCall, before: Kept | None, *, stream: bool
    ) -> None:
        self._answers = answers
        self._keeping = keeping
        self._call = call
        self._stream = stream
        self._before = before
        self.is_kept = keeping.is_to_be_kept(call)
        """Its answer is to be kept."""

    @classmethod
    async def begin(cls, answers: Answers, keeping: KeepingCodec, call: HTTPCall, *, stream: bool) -> "Talk":
        """Look up what a request goes on from.

        Raises:
            MalformedRequest: It goes on from an answer that is not kept.
        """
        id_ = keeping.previous_id(call)
        before = None if id_ is None else await _found(answers, id_)
        return cls(answers, keeping, call, before, stream=stream)

    def account(self, targets: Iterable[Target]) -> str | None:
        """Return the id of the one account that knows what the request goes on from; None: any may answer."""
        account = "" if self._before is None else self._before.account
        upstream = account.partition("/")[0]
        return account if account and any(target.upstream == upstream for target in targets) else None

    def call(self) -> HTTPCall:
        """Return the request with all that it goes on from, for who knows nothing of it."""
        return self._call if self._before is None else self._keeping.go_on(self._call, self._before)

    async def hear(self, data: bytes, account: str) -> None:
        """Take a piece of the answer before it goes out, and keep the answer with the last one: none can go on sooner.

        Waits with that one until every process that shares the state can find it.

        Args:
            data: A whole answer, or frames of a stream.
            account: Id of who keeps the answer as well; empty: nobody does.
        """
        answer = self._keeping.final_answer(data) if self._stream else data
        found = None if answer is None else self._keeping.keep(self._call, answer, self._before)
        if found is not None:
            id_, kept = found
            self._answers.keep(id_, msgspec.structs.replace(kept, account=account))
            await self._answers.settled()


async def _found(answers: Answers, id_: str) -> Kept | None:
    kept = await answers.find(id_)
    if kept is None and not answers.is_anybodys:
        raise MalformedRequest(
            f"Previous response with id {id_[:_SHOWN]!r} not found. Send the whole input.",
            code="previous_response_not_found",
            param="previous_response_id",
        )
    return kept


async def tell(answers: Answers, keeping: KeepingCodec, call: HTTPCall) -> bytes:
    """Return what a caller asked of an answer, and forget it if that was asked.

    Raises:
        UnknownItem: It is not kept, or has no such part.
        MalformedRequest: What was asked cannot be done with it.
    """
    id_ = keeping.id_in(call.path)
    kept = await answers.find(id_)
    if kept is None:
        raise UnknownItem(f"Response with id {id_[:_SHOWN]!r} not found.", param="response_id")
    told = keeping.tell(call, kept)
    if call.method == "DELETE":
        answers.forget(id_)
        await answers.settled()
    return told
