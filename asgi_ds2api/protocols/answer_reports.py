"""What an answer cannot tell its caller, each path reported once: an answer's chunks repeat what they lack."""

from ..canonical import Extras, Notices, Usage, field_at


class AnswerReports:
    """Reports of one answer; what writes the answer begins with them.

    Args:
        notices: Where losses are reported.
        is_own: The answer came from the caller's protocol.
    """

    def __init__(self, notices: Notices, *, is_own: bool) -> None:
        self.is_own = is_own
        self._notices = notices
        self._reported: set[str] = set()

    def own(self, extras: Extras, at: str) -> Extras:
        """Return the extras if they are this protocol's own; else report each and return none."""
        if not extras or self.is_own:
            return extras
        for name in extras:
            self.hint(field_at(at, name), "answers have no such field here")
        return {}

    def leave(self, extras: Extras, at: str) -> None:
        """Report fields of a text, where a text has no fields."""
        for name in extras:
            self.hint(field_at(at or "content", name), "a text has no fields here")

    def report_usage(self, usage: Usage) -> None:
        """Report the counters of another protocol that have no place here."""
        self.own({} if self.is_own else usage.extras, "usage")
        if usage.cache_write_5m is not None or usage.cache_write_1h is not None:
            self.hint("usage.cache_creation", "lifetimes of a cache are not told apart here")

    def hint(self, path: str, reason: str) -> None:
        """Report once what has no effect."""
        if path not in self._reported:
            self._reported.add(path)
            self._notices.hint(path, reason)

    def change(self, path: str, reason: str) -> None:
        """Report once what is said in another way."""
        if path not in self._reported:
            self._reported.add(path)
            self._notices.changed(path, reason)

    def lose(self, path: str, reason: str) -> None:
        """Report once what is not told to the caller."""
        if path not in self._reported:
            self._reported.add(path)
            self._notices.lost(path, reason)
