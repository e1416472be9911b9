"""The files that a request to a model names: whose they are, and which account must answer because it has them.

Before anything is asked: a file of somebody else's is none, files of two accounts cannot be read together, and no other
account can read one. A file of which nothing is known goes on as it is; where several accounts might have it, who could
read it is remembered. One that cannot be looked up is not taken for one of which nothing is known.
"""

from collections.abc import Sequence

from ..errors import MalformedRequest, UnknownItem
from ..opaque.files import no_file
from ..opaque.named import files_named
from ..routing import Target
from .answering import Answering
from .engine import Engine
from .off_loop import off_loop
from .owned_files import OwnedFile, OwnedFiles

_SHOWN = 64
"""Most characters of an id that a refusal repeats."""


class BoundFiles:
    """The files of one request.

    Args:
        engine: Shared by all requests.
        owned: The files of all callers; None: nobody knows any.
        family: Of the face's vendor.
        ids: As the request names them.
        known: What is known of them.
    """

    def __init__(
        self, engine: Engine, owned: OwnedFiles | None, family: str, ids: Sequence[str], known: dict[str, OwnedFile]
    ) -> None:  # fmt: skip
        self._engine = engine
        self._owned = owned
        self._family = family
        self._unknown = [id_ for id_ in ids if id_ not in known]
        self._accounts = {file.account: id_ for id_, file in known.items()}

    @classmethod
    async def of(cls, engine: Engine, family: str, body: bytes, caller: str) -> "BoundFiles":
        """Look for the files that a request names; most name none.

        Raises:
            UnknownItem: One is somebody else's.
            OwnerUnknown: Whose one is cannot be looked up.
            MalformedRequest: There are more than anybody needs.
        """
        owned = engine.files
        ids = () if owned is None else await off_loop(len(body), lambda: files_named(family, body))
        known = await owned.find(family, ids) if owned is not None and ids else {}
        if any(file.owner not in ("", caller) for file in known.values()):
            raise no_file()
        return cls(engine, owned, family, ids, known)

    def account(self, targets: Sequence[Target], bound_to: str | None) -> str | None:
        """Return the id of the one account that has the files; None: any may answer, as far as is known.

        Args:
            targets: Who serves the model.
            bound_to: Id of the account that is already the only one that may answer.

        Raises:
            MalformedRequest: No account has all of them, or the one that has is not asked for this model.
            UnknownItem: The account that has them is not configured any more.
        """
        if not self._accounts:
            return bound_to
        account, id_ = next(iter(self._accounts.items()))
        name = repr(id_[:_SHOWN])
        if len(self._accounts) > 1:
            raise _refused(
                f"The files of this request are with different accounts, {name} among them, and no account can read "
                "those of another. Upload again the files that are used together."
            )
        if bound_to is not None and bound_to != account:
            raise _refused(
                f"The file {name} is with another account than the answer that this request goes on from. Send the "
                "whole input, without the previous answer."
            )
        upstream = account.partition("/")[0]
        way = self._engine.upstreams.get(upstream)
        if way is None or account not in way.accounts:
            raise UnknownItem("The account that has this file is not configured any more.", param="file_id")
        if not any(target.upstream == upstream for target in targets):
            if all(self._family != self._engine.upstreams[target.upstream].codec.FAMILY for target in targets):
                return bound_to  # what the file is to another vendor, its encoder says
            raise _refused(f"The file {name} was uploaded to {upstream!r}, which does not serve this model.")
        if not self._engine.pool.plan(targets, (account,)).tiers:
            raise _refused(f"The account that has the file {name} may not be asked for this model.")
        return account

    def learn(self, answered: Answering, targets: Sequence[Target]) -> None:
        """Note who could read the files of which nothing was known, where another could have been asked."""
        if self._owned is None or not self._unknown or not answered.account:
            return
        family = self._engine.upstreams[answered.account.partition("/")[0]].codec.FAMILY
        if family == self._family and self._engine.pool.has_choice(targets):
            for id_ in self._unknown:
                self._owned.note_reader(self._family, id_, answered.account)


def _refused(message: str) -> MalformedRequest:
    return MalformedRequest(message, code="invalid_value", param="file_id")
