"""Files that callers have uploaded: which account has each, and whose it is. Also uploads that have begun.

A file is known to the caller who uploaded it, and to nobody else. Accounts of one vendor know nothing of each other's
files, so that what names one is bound to its account. A file of which nobody knows who uploaded it may still be known
to be on an account, where a model has read it; it is nobody's then.

Ids are the vendor's own: a table of facts (``state``) says the rest. It lives as long as that does. The name of an
upload is sealed, so that one that somebody made up asks nobody.
"""

import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

import msgspec

from ..auth import Caller
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
    """

    def __init__(
        self, files: FactTable, uploads: FactTable, keyring: Keyring, wall_now: Callable[[], float]
    ) -> None:  # fmt: skip
        self._files = files
        self._uploads = uploads
        self._keyring = keyring
        self._wall_now = wall_now

    async def find(self, family: str, ids: Collection[str]) -> dict[str, OwnedFile]:
        """Return what is known of files of a vendor's; one that is in use is remembered for longer."""
        keys = {_key(family, id_): id_ for id_ in ids}
        known: dict[str, OwnedFile] = {}
        for key, value in (await self._known(list(keys))).items():
            try:
                known[keys[key]] = file = _FILE.decode(value)
            except msgspec.MsgspecError:  # another version of this program noted it
                continue
            if self._wall_now() - file.noted_at > self._files.ttl_s / 2:
                self.note(family, keys[key], account=file.account, owner=file.owner)
        return known

    def note(self, family: str, id_: str, *, account: str, owner: str) -> None:
        """Note who has a file, and whose it is; and that its owner has files there, for as long as that is known."""
        self._files.put(_key(family, id_), msgspec.json.encode(OwnedFile(account, owner, self._wall_now())))
        if owner:
            self._files.put(_place_key(family, owner, account), _HAS_FILES)

    def forget(self, family: str, id_: str) -> None:
        """Forget a file that is no more."""
        self._files.forget(_key(family, id_))

    async def places(self, family: str, owner: str, accounts: Collection[str]) -> list[str]:
        """Return those of these accounts that have files of a caller's, or had some; in the same order."""
        keys = {_place_key(family, owner, account): account for account in accounts}
        known = await self._known(list(keys))
        return [account for key, account in keys.items() if key in known]

    async def home(self, family: str, owner: str) -> str:
        """Return the id of the account that has a caller's last file; empty: nobody knows one."""
        key = _home_key(family, owner)
        return (await self._files.find(key)).get(key, b"").decode("utf-8", "replace")

    def note_home(self, family: str, owner: str, account: str) -> None:
        """Note which account has a caller's last file."""
        self._files.put(_home_key(family, owner), account.encode("utf-8"))

    async def _known(self, keys: Sequence[str]) -> dict[str, bytes]:
        known: dict[str, bytes] = {}
        for start in range(0, len(keys), AT_ONCE):
            known |= await self._files.find(*keys[start : start + AT_ONCE])
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
        """Return an upload; None: none of this name has begun here, or it has been too long."""
        sealed = self._keyring.open(name, _NOBODY)
        if sealed is None or sealed.kind != _KIND:
            return None
        value: Mapping[str, bytes] = await self._uploads.find(sealed.data)
        try:
            return _UPLOAD.decode(value[sealed.data]) if sealed.data in value else None
        except msgspec.MsgspecError:  # another version of this program noted it
            return None


def _key(family: str, id_: str) -> str:
    return f"{family}/{id_}"


def _home_key(family: str, owner: str) -> str:
    """Return what a caller's account is kept by: no id of a file is called that."""
    return f"{family}/ of {owner}"


def _place_key(family: str, owner: str, account: str) -> str:
    """Return what it is kept by that an account has files of a caller's: no id of a file is called that either."""
    return f"{family}/ at {account} of {owner}"
