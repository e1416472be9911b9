"""What all requests of a gateway share, and the set of those that are being answered."""

from collections.abc import Callable, Iterator
from typing import Protocol

import anyio
import msgspec

from ..auth import Authenticator
from ..capabilities import Matrix
from ..codec import Operation, RequestLimits
from ..errors import GatewayError
from ..observe import Observatory
from ..routing import ModelTable, RouteTable
from ..seal import Keyring
from ..state.contract import StateStore
from ..state.facts import FactTable
from .inbound import InboundLimits
from .means import Means
from .owned_files import OwnedFiles
from .prober import Prober
from .spending import Costs, Spenders


class Member(Protocol):
    """A request that is being answered."""

    def cut(self, reason: GatewayError) -> None:
        """End it now."""
        ...


class ActiveSet:
    """The requests that are being answered."""

    def __init__(self) -> None:
        self._members: set[Member] = set()
        self._emptied: anyio.Event | None = None

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Member]:
        return iter(tuple(self._members))

    def add(self, member: Member) -> None:
        """Note that a request began."""
        self._members.add(member)

    def discard(self, member: Member) -> None:
        """Note that a request ended."""
        self._members.discard(member)
        if not self._members and self._emptied is not None:
            self._emptied.set()

    async def wait_empty(self) -> None:
        """Return when no request is left."""
        if self._members:
            self._emptied = anyio.Event()
            await self._emptied.wait()


class Engine(Means, kw_only=True):
    """What every exchange needs; made once by the Gateway."""

    routes: RouteTable
    capabilities: Matrix
    models: ModelTable
    authenticator: Authenticator
    keyring: Keyring
    store: StateStore
    prober: Prober
    costs: Costs
    spenders: Spenders
    is_strict: bool
    """Budgets that cannot be looked up count as spent."""
    answers: FactTable | None
    """Where answers are kept for their callers; None: none is."""
    files: OwnedFiles | None
    """Whose files are with which account; None: no path of files is there."""
    held: FactTable | None
    """Whose is what vendors hold of answers, and which account has it; None: nobody knows."""
    reasoning: FactTable | None
    """Where reasoning is kept for clients that cannot carry it; None: nowhere."""
    observatory: Observatory
    inbound: InboundLimits
    uploads: InboundLimits
    """Of what is passed on while it comes."""
    max_depth: int
    limits: RequestLimits
    cors_origins: frozenset[str]
    new_id: Callable[[], str]
    active: ActiveSet = msgspec.field(default_factory=ActiveSet)
    hides_query_key: bool
    """A key in the query is taken out of it."""
    takes_query_key: bool
    """And counts as one."""
    is_draining: bool = False

    def bounds(self, operation: Operation) -> InboundLimits:
        """Return the bounds of what a caller may send for an operation."""
        return self.uploads if operation == "files" else self.inbound
