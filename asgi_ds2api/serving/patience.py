"""How long answers usually take to begin, so that one can tell when waiting is no use: pure, of the last answers alone.

A second attempt is made when the first took longer than nearly all before it. What it overtakes is never seen to
begin: if only the quick ones were counted, each would seem slower than it is, and second attempts would breed. So an
answer that was overtaken counts as one that began then: it is among the slowest all the same.
"""

from bisect import bisect_left, insort
from collections import OrderedDict, deque
from math import ceil
from typing import Final, NamedTuple

from ..pool.model import Candidate

WINDOW: Final = 100
"""Answers of a kind that are remembered, the last ones: about 4 KB."""
MIN_SEEN: Final = 20
"""Of fewer nobody can tell which is the slowest of twenty."""
SHARE: Final = 0.95
"""Answers that begin sooner than one waits."""
MAX_KINDS: Final = 1_000
"""Kinds of answers that are remembered; the one that was seen longest ago is forgotten first."""


class Kind(NamedTuple):
    """Answers that take about as long."""

    candidate: Candidate
    operation: str
    stream: bool
    """A stream begins with its first word, a whole answer is there when its last one is."""


class Waits:
    """How long the last answers of one kind took to begin, in seconds."""

    __slots__ = ("_by_age", "_by_length")

    def __init__(self) -> None:
        self._by_age: deque[float] = deque()
        self._by_length: list[float] = []

    def add(self, seconds: float) -> None:
        """Note another one; the oldest is forgotten. At most `WINDOW` are looked at."""
        if len(self._by_age) == WINDOW:
            oldest = self._by_age.popleft()
            del self._by_length[bisect_left(self._by_length, oldest)]
        self._by_age.append(seconds)
        insort(self._by_length, seconds)

    @property
    def usual_s(self) -> float | None:
        """How long `SHARE` of them took at most; None: there were too few."""
        count = len(self._by_length)
        return self._by_length[ceil(SHARE * count) - 1] if count >= MIN_SEEN else None


class Patience:
    """Tells how long an answer is waited for before somebody else is asked as well."""

    def __init__(self) -> None:
        self._kinds: OrderedDict[Kind, Waits] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kinds)

    def with_(self, kind: Kind) -> float | None:
        """Return how many seconds; None: nobody knows yet."""
        waits = self._kinds.get(kind)
        return None if waits is None else waits.usual_s

    def answered(self, kind: Kind, took_s: float) -> None:
        """Note how long an answer took to begin."""
        waits = self._kinds.get(kind)
        if waits is None:
            waits = self._kinds[kind] = Waits()
            if len(self._kinds) > MAX_KINDS:
                self._kinds.popitem(last=False)
        else:
            self._kinds.move_to_end(kind)
        waits.add(took_s)

    def overtaken(self, kind: Kind, waited_s: float) -> None:
        """Note that an answer was not waited for any longer: it would have taken at least as long.

        That tells something only of one that was slow already.
        """
        usual_s = self.with_(kind)
        if usual_s is not None and waited_s >= usual_s:
            self.answered(kind, waited_s)
