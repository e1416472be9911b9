"""One table of a store's facts, for who shall know neither the store nor its clock."""

import msgspec

from .contract import Found, StateStore


class FactTable(msgspec.Struct, frozen=True, kw_only=True):
    """Facts of one kind: how long they live and how large they may be is settled where the table is made."""

    store: StateStore
    name: str
    ttl_s: float
    """Seconds that a fact lives, from when it was put."""
    max_value_bytes: int
    """Larger ones are not kept."""

    def get(self, key: str) -> bytes | None:
        """Return a fact; None: it is not known, or not any more."""
        return self.store.get(self.name, key)

    async def find(self, *keys: str) -> Found:
        """Return the facts that there are, also those that other processes put."""
        return await self.store.find(self.name, keys)

    async def settled(self) -> None:
        """Return when other processes can find what was put so far; or soon, if they cannot be reached."""
        await self.store.settled()

    def put(self, key: str, value: bytes) -> None:
        """Keep a fact, in place of any before it."""
        if len(value) <= self.max_value_bytes:
            self.store.put(self.name, key, value, self.ttl_s)

    def forget(self, key: str) -> None:
        """Forget a fact; one that is not known is none."""
        self.store.put(self.name, key, b"", 0)
