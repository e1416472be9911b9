"""What models were found to refuse, remembered for a while, so that not every request is refused first. Pure.

Model facts are data; this is for what nobody told us of. A lesson is what an upstream objected to, in words that
``Codec.repair`` understands: the next request is repaired before it is sent, and its Notices are the same. Only an
objection to the model's every request is one (``Codec.lesson``), and only once the request was taken without it.
"""

from collections.abc import Sequence

import msgspec

from ..state.facts import FactTable

MAX_LESSONS = 8
"""Of one model at one upstream; the oldest goes first."""
MAX_CHARS = 300
"""Of one lesson; a longer objection is not about a parameter."""


class _Lesson(msgspec.Struct, frozen=True, array_like=True):
    text: str
    until: float
    """Seconds since 1970."""


_read = msgspec.json.Decoder(list[_Lesson]).decode
_write = msgspec.json.Encoder().encode


class Lessons:
    """The lessons of all models.

    Args:
        table: Where they are kept.
    """

    def __init__(self, table: FactTable) -> None:
        self._table = table

    def of(self, way: str, model: str, now: float) -> tuple[str, ...]:
        """Return what is known of a model, the oldest first.

        Args:
            way: Upstream and protocol.
            model: The upstream's name of it.
            now: Seconds since 1970.
        """
        return tuple(lesson.text for lesson in self._valid(_key(way, model), now))

    def learn(self, way: str, model: str, texts: Sequence[str], now: float) -> None:
        """Remember lessons; each is forgotten in its time, as models change."""
        key = _key(way, model)
        kept = [lesson for lesson in self._valid(key, now) if lesson.text not in texts]
        fresh = [_Lesson(text, now + self._table.ttl_s) for text in texts if len(text) <= MAX_CHARS]
        if fresh:
            self._table.put(key, _write([*kept, *fresh][-MAX_LESSONS:]))

    def _valid(self, key: str, now: float) -> list[_Lesson]:
        raw = self._table.get(key)
        try:
            known = [] if raw is None else _read(raw)
        except msgspec.MsgspecError:  # another version wrote it, or nobody: what is not known is refused once more
            known = []
        return [lesson for lesson in known if lesson.until > now]


def _key(way: str, model: str) -> str:
    return f"{way} {model}"
