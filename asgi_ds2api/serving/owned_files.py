"""Files that callers have uploaded: which account has each, and whose it is. Also uploads that have begun.

A file is known to the caller who uploaded it, and to nobody else. Accounts of one vendor know nothing of each other's
files, so that what names one is bound to its account. A file of which nobody knows who uploaded it may still be known
to be on an account, where a model has read it; it is nobody's then. These are two facts, of which the second never
takes the place of the first.

Where callers are told apart, a file that cannot be looked up is not one that nobody knows: who asks for it is refused.

Ids are the vendor's own: a table of facts (``state``) says the rest. It lives as long as that does. The name of an
upload is sealed, so that one that somebody made up asks nobody.
"""

import secrets
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from ..auth import Caller
from ..errors import OwnerUnknown
from ..seal import Keyring, Sealed
from ..state.facts import FactTable

UPLOAD_S: Final = 86_400.0
"""How long an upload that has begun may be gone on with: a day, for large files on slow lines."""
UPLOAD_BYTES: Final = 64 * 1024
"""Room for a long list of models that its caller may use."""
FILE_BYTES: Final = 1024
AT_ONCE: Final = 500
"""Files that shared state is asked for in one question, which has little time."""


class OwnedFile(msgspec.Struct, frozen=True):
    """What is known of a file."""

    account: str
    """``upstream/label`` of who has it."""
    owner: str
    """Label of the caller who uploaded it; empty: nobody knows."""
    noted_at: float
    """Seconds since 1970."""


class BegunUpload(msgspec.Struct, frozen=True):
    """An upload that is done in several calls."""

    account: str
    caller: Caller
    """Who began it, as it was let in then."""
    query: dict[str, str]
    """By which the vendor knows it."""


_HAS_FILES: Final = b"1"
_KIND: Final = "upload"
_NOBODY: Final = ""
"""For whom a name is sealed: whose it is, is told by what it names. No caller is called that."""
_FILE: Final = msgspec.json.Decoder(OwnedFile)
_UPLOAD: Final = msgspec.json.Decoder(BegunUpload)


class OwnedFiles:
    """The files of all callers.

    Args:
        files: Where they are noted.
        uploads: Where uploads are noted that have begun.
        keyring: Seals their names.
        wall_now: Seconds since 1970.
        are_told_apart: Callers are; else all of them are one.
    """

    def __init__(
        self, files: FactTable, uploads: FactTable, keyring: Keyring, wall_now: Callable[[], float], *,
        are_told_apart: bool,
    ) -> None:  # fmt: skip
        self._files = files
        self._uploads = uploads
        self._keyring = keyring
        self._wall_now = wall_now
        self._are_told_apart = are_told_apart

    async def find(self, family: str, ids: Collection[str]) -> dict[str, OwnedFile]:
        """Return what is known of files of a vendor's; one that is in use is remembered for longer.

        Raises:
            OwnerUnknown: One cannot be looked up.
        """
        known = {id_: file for id_ in ids if (file := _file_of(self._files.get, family, id_)) is not None}
        missing = [id_ for id_ in ids if id_ not in known]
        found = await self._known([key(family, id_) for id_ in missing for key in (_key, _reader_key)])
        known |= {id_: file for id_ in missing if (file := _file_of(found.get, family, id_)) is not None}
        for id_, file in known.items():
            if self._wall_now() - file.noted_at <= self._files.ttl_s / 2:
                continue
            if file.owner:
                self.note(family, id_, account=file.account, owner=file.owner)
            else:
                self.note_reader(family, id_, file.account)
        return known

    def note(self, family: str, id_: str, *, account: str, owner: str) -> None:
        """Note who has a file, and whose it is; and that its owner has files there, for as long as that is known."""
        self._files.put(_key(family, id_), msgspec.json.encode(OwnedFile(account, owner, self._wall_now())))
        self._files.put(_place_key(family, owner, account), _HAS_FILES)

    def note_reader(self, family: str, id_: str, account: str) -> None:
        """Note who could read a file of which nobody knows whose it is."""
        self._files.put(_reader_key(family, id_), msgspec.json.encode(OwnedFile(account, "", self._wall_now())))

    def forget(self, family: str, id_: str) -> None:
        """Forget a file that is no more."""
        self._files.forget(_key(family, id_))
        self._files.forget(_reader_key(family, id_))

    async def places(self, family: str, owner: str, accounts: Collection[str]) -> list[str]:
        """Return those of these accounts that have files of a caller's, or had some; in the same order.

        Raises:
            OwnerUnknown: That cannot be looked up.
        """
        keys = {_place_key(family, owner, account): account for account in accounts}
        known = await self._known(list(keys))
        return [account for key, account in keys.items() if key in known]

    async def home(self, family: str, owner: str) -> str:
        """Return the id of the account that has a caller's last file; empty: nobody knows one."""
        key = _home_key(family, owner)
        return (await self._files.find(key)).facts.get(key, b"").decode("utf-8", "replace")

    def note_home(self, family: str, owner: str, account: str) -> None:
        """Note which account has a caller's last file."""
        self._files.put(_home_key(family, owner), account.encode("utf-8"))

    async def _known(self, keys: Sequence[str]) -> dict[str, bytes]:
        known: dict[str, bytes] = {}
        for start in range(0, len(keys), AT_ONCE):
            found = await self._files.find(*keys[start : start + AT_ONCE])
            if self._are_told_apart and not found.is_whole:
                raise OwnerUnknown("Whose files these are cannot be looked up at present. Try again.", retry_after_s=1)
            known |= found.facts
        return known

    async def settled(self) -> None:
        """Return when whoever the caller asks next can find what was noted so far."""
        await self._files.settled()

    def begin_upload(self, upload: BegunUpload) -> str:
        """Note an upload, and return a name by which only who is told it finds it again."""
        key = secrets.token_urlsafe(32)
        self._uploads.put(key, msgspec.json.encode(upload))
        return self._keyring.seal(Sealed(kind=_KIND, origin="", data=key), _NOBODY)

    async def upload(self, name: str) -> BegunUpload | None:
        """Return an upload; None: none of this name has begun here, or it has been too long.

        Raises:
            OwnerUnknown: It cannot be looked up.
        """
        sealed = self._keyring.open(name, _NOBODY)
        if sealed is None or sealed.kind != _KIND:
            return None
        found = await self._uploads.find(sealed.data)
        if not found.is_whole:
            raise OwnerUnknown("Who began this upload cannot be looked up at present. Try again.", retry_after_s=1)
        value = found.facts.get(sealed.data)
        try:
            return None if value is None else _UPLOAD.decode(value)
        except msgspec.MsgspecError:  # another version of this program noted it
            return None


def _file_of(get: Callable[[str], bytes | None], family: str, id_: str) -> OwnedFile | None:
    """Return what facts say of a file: whose it is, or at least who could read it."""
    for key in (_key(family, id_), _reader_key(family, id_)):
        value = get(key)
        with suppress(msgspec.MsgspecError):  # another version of this program noted it
            if value is not None:
                return _FILE.decode(value)
    return None


def _key(family: str, id_: str) -> str:
    return f"{family}/{id_}"


def _reader_key(family: str, id_: str) -> str:
    """Return what it is kept by who could read a file: no id of one is called that."""
    return f"{family}/ read {id_}"


def _home_key(family: str, owner: str) -> str:
    """Return what a caller's account is kept by: no id of a file is called that."""
    return f"{family}/ of {owner}"


def _place_key(family: str, owner: str, account: str) -> str:
    """Return what it is kept by that an account has files of a caller's: no id of a file is called that either."""
    return f"{family}/ at {account} of {owner}"
