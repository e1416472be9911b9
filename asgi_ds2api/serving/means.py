"""What the attempts of all requests share: upstreams, their clients, the pool, and the bounds of a request."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from ..codec import Codec
from ..envelope import OnUnsupported
from ..pool.pool import Pool
from ..profiles import Profile
from ..transcoding.lessons import Lessons
from ..upstream.contract import CallBounds, Upstream
from .fleet import Fleet
from .patience import Patience


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """A configured upstream, and the protocol in which it is asked; a `Side` is what transcoding sees of it."""

    name: str
    codec: Codec
    profile: Profile
    base_url: str
    on_unsupported: OnUnsupported
    limits: CallBounds
    fan_out: bool = False
    """Several choices are asked for in several calls where the upstream gives one at a time."""
    resumes_pauses: bool = False
    """An answer that the upstream paused is gone on from."""
    hedges: bool = False
    """Where it is slow to begin, another one may be asked as well; and it may be that other one."""
    accounts: tuple[str, ...] = ()
    """Ids of its accounts."""
    keeps_files: bool = False
    """It has its vendor's paths for files."""
    other_way: "Way | None" = None
    """The same server in another protocol, where it takes what it refuses in this one; same accounts, same name."""


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of an exchange, in seconds unless the name says otherwise."""

    deadline_s: float
    """Until the first byte of a stream or the end of a whole answer; retries included."""
    stream_s: float
    """Longest life of a stream, from its commit."""
    commit_after_s: float
    """Silence after which a stream's 200 and heartbeats go out."""
    heartbeat_s: float
    send_s: float
    """Longest wait of one ``send``: a caller that does not read is let go."""
    queue_s: float
    """Longest wait for an account that is busy or cooling."""
    max_attempts: int
    max_event_bytes: int
    """Of one event, and of a whole answer."""


class Clients(Protocol):
    """Hands out the client of an upstream."""

    def client(self, upstream: str) -> Upstream:
        """Return the client, made on first use in this event loop."""
        ...


class Means(msgspec.Struct, kw_only=True):
    """What the attempts of all requests share."""

    pool: Pool
    fleet: Fleet | None = None
    """Those who share the accounts; None: nobody does."""
    upstreams: Mapping[str, Way]
    clients: Clients
    timing: Timing
    wall_now: Callable[[], float]
    """Seconds since 1970."""
    rng: Callable[[], float]
    """For pauses, in [0, 1)."""
    show_route: bool
    """Answers tell which way they took."""
    show_account: bool
    """And whose account served them."""
    lessons: Lessons | None = None
    """What models were found to refuse; None: nothing is remembered."""
    patience: Patience = msgspec.field(default_factory=Patience)
    """How long the answers of those take to begin that may be hedged."""

    def lessons_of(self, upstream: str, model: str) -> dict[str, tuple[str, ...]]:
        """Return what a model was found to refuse, by the protocol that it was asked in."""
        usual, lessons = self.upstreams[upstream], self.lessons
        ways = (usual,) if usual.other_way is None else (usual, usual.other_way)
        if lessons is None:
            return {}
        return {way.codec.NAME: lessons.of(_name_of(way), model, self.wall_now()) for way in ways}

    def learn(self, way: Way, model: str, texts: Sequence[str]) -> None:
        """Remember what a model refused, now that it took the request without that."""
        if texts and self.lessons is not None:
            self.lessons.learn(_name_of(way), model, texts, self.wall_now())


def _name_of(way: Way) -> str:
    return f"{way.name} {way.codec.NAME}"
