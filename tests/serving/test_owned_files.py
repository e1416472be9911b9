"""What is remembered of files: as long as one is known, so is that its caller has files there."""

import pytest

from asgi_ds2api.seal import Keyring
from asgi_ds2api.serving.owned_files import OwnedFiles
from asgi_ds2api.state.facts import FactTable
from asgi_ds2api.state.memory import MemoryStore

pytestmark = pytest.mark.anyio

TTL_S = 100.0
ACCOUNTS = ["chat/b", "chat/a", "chat/c"]


class Rig:
    """Files that are remembered for `TTL_S`, by a clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0
        store = MemoryStore(lambda: self.now)
        table = FactTable(store=store, name="files", ttl_s=TTL_S, max_value_bytes=1_024)
        keyring = Keyring([b"seal-of-the-tests-0123456789"])
        self.files = OwnedFiles(table, table, keyring, lambda: self.now, are_told_apart=True)

    async def places(self, owner: str) -> list[str]:
        return await self.files.places("openai", owner, ACCOUNTS)


async def test_places_are_those_where_a_caller_has_files() -> None:
    rig = Rig()
    for account, owner in (("chat/a", "web"), ("chat/b", "web"), ("chat/c", "app")):
        rig.files.note("openai", f"file-of-{owner}", account=account, owner=owner)
    rig.files.note_reader("openai", "file-of-nobody", "chat/c")
    assert [await rig.places(owner) for owner in ("web", "app", "", "we")] == [["chat/b", "chat/a"], ["chat/c"], [], []]
    assert await rig.files.places("anthropic", "web", ACCOUNTS) == []


async def test_place_is_known_for_as_long_as_a_file_there() -> None:
    rig = Rig()
    rig.files.note("openai", "file-1", account="chat/a", owner="web")
    for _ in range(3):
        rig.now += TTL_S * 0.6
        assert list(await rig.files.find("openai", ["file-1"])) == ["file-1"]
        assert await rig.places("web") == ["chat/a"]
    rig.now += TTL_S + 1
    assert (await rig.files.find("openai", ["file-1"]), await rig.places("web")) == ({}, [])


async def test_who_could_read_a_file_never_takes_the_place_of_whose_it_is() -> None:
    rig = Rig()
    for id_ in ("file-1", "file-2"):
        rig.files.note_reader("openai", id_, "chat/a")
    rig.files.note("openai", "file-1", account="chat/b", owner="web")
    rig.files.note_reader("openai", "file-1", "chat/a")
    known = await rig.files.find("openai", ["file-1", "file-2", "file-3"])
    told = {id_: (file.owner, file.account) for id_, file in known.items()}
    assert told == {"file-1": ("web", "chat/b"), "file-2": ("", "chat/a")}


async def test_who_could_read_a_file_is_known_for_as_long_as_it_is_in_use_and_forgotten_with_it() -> None:
    rig = Rig()
    rig.files.note_reader("openai", "file-1", "chat/a")
    for _ in range(3):
        rig.now += TTL_S * 0.6
        assert list(await rig.files.find("openai", ["file-1"])) == ["file-1"]
    rig.files.forget("openai", "file-1")
    assert await rig.files.find("openai", ["file-1"]) == {}
