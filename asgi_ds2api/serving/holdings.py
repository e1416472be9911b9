"""What vendors hold of answers, for later requests to name: whose it is, and with which account.

An id is noted before the answer that tells it goes out, as the next request may come at once. What a request names is
looked up before anything is asked: the account that has it is the only one that may answer. What another caller got is
not there; neither, where callers are told apart, is what nobody knows of, as it may be another's.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from ..auth import ANONYMOUS, Caller
from ..codec import Codec, Held, HTTPCall
from ..errors import OwnerUnknown
from ..routing import Target
from ..state.facts import FactTable
from .answering import Answering
from .engine import Engine

HOLDER_BYTES: Final = 1024


class Holder(msgspec.Struct, frozen=True):
    """Who has something, and for whom."""

    account: str
    """``upstream/label``."""
    owner: str
    """Label of the caller."""


_HOLDER: Final = msgspec.json.Decoder(Holder)


class Holdings:
    """What a vendor holds that one request names, and that its answer tells.

    Args:
        engine: Shared by all requests.
        face: The caller's protocol.
        call: As it came.
        owner: Label of the caller.
        accounts: What it names and is known -> id of the account that has it.
    """

    def __init__(
        self, engine: Engine, face: Codec, call: HTTPCall, owner: str, accounts: Mapping[Held, str]
    ) -> None:  # fmt: skip
        self._engine = engine
        self._face = face
        self._call = call
        self._owner = owner
        self._accounts = accounts

    @classmethod
    async def of(
        cls, engine: Engine, face: Codec, call: HTTPCall, caller: Caller | None, targets: Sequence[Target]
    ) -> "Holdings":
        """Look up what a request names; most name nothing. To vendors of another protocol it is nothing, too.

        Raises:
            UnknownItem: Something is not there, or not for this caller.
            OwnerUnknown: Whose it is cannot be looked up.
        """
        holding, owner = face.HOLDING, "" if caller is None else caller.label
        accounts: dict[Held, str] = {}
        if holding is None or all(engine.upstreams[target.upstream].codec.NAME != face.NAME for target in targets):
            return cls(engine, face, call, owner, accounts)
        named = {_key(face, held): held for held in holding.named(call)}
        are_told_apart = caller is not ANONYMOUS
        known = await _known(engine.held, list(named), are_told_apart=are_told_apart) if named else {}
        for key, held in named.items():
            holder = known.get(key)
            if holder is not None and holder.owner == owner:
                accounts[held] = holder.account
            elif holder is not None or are_told_apart:
                raise holding.unknown(held)
        return cls(engine, face, call, owner, accounts)

    def account(self, targets: Sequence[Target], bound_to: str | None) -> str | None:
        """Return the id of the one account that has what is named; None: any may answer, as far as is known.

        Args:
            targets: Who serves the model.
            bound_to: Id of the account that is already the only one that may answer.

        Raises:
            UnknownItem: No account that may be asked for this model has all of it.
        """
        for held, account in self._accounts.items():
            if bound_to not in (None, account) or not self._engine.pool.plan(targets, (account,)).tiers:
                assert self._face.HOLDING is not None, "it named something"
                raise self._face.HOLDING.unknown(held)
            bound_to = account
        return bound_to

    @property
    def are_heard(self) -> bool:
        """Something may be noted of the answer."""
        return self._engine.held is not None and self._face.HOLDING is not None

    async def hear(self, asked: Answering, data: bytes) -> None:
        """Take a piece of the answer before it goes out, and note what it tells. Waits until others can find that.

        Args:
            asked: Whose answer it is.
            data: A whole answer, or frames of a stream.
        """
        table, holding = self._engine.held, self._face.HOLDING
        if table is None or holding is None or not asked.is_native:
            return
        told = holding.told(self._call, data)
        for held in told:
            table.put(_key(self._face, held), msgspec.json.encode(Holder(asked.account, self._owner)))
        if told:
            await table.settled()


async def _known(table: FactTable | None, keys: Sequence[str], *, are_told_apart: bool) -> dict[str, Holder]:
    """Return who has what of this."""
    if table is None:
        return {}
    found = await table.find(*keys)
    if are_told_apart and not found.is_whole and not found.facts.keys() >= {*keys}:
        raise OwnerUnknown("Whose this is cannot be looked up at present. Try again.", retry_after_s=1)
    known = {}
    for key, value in found.facts.items():
        try:
            known[key] = _HOLDER.decode(value)
        except msgspec.MsgspecError:  # another version of this program noted it
            continue
    return known


def _key(face: Codec, held: Held) -> str:
    return f"{face.FAMILY}/{held.kind}/{held.id}"
