"""What one account may still be asked: attempts at a time, requests and tokens a minute, and what its headers say.

The arithmetic is in `limits`; here is what it is about, and what has to be put back.
"""

from collections import Counter
from collections.abc import Mapping
from math import inf

from ..headers import RateWindow, Resource
from .limits import Bucket, Demand, Window, heard, need_in
from .model import Account

MAX_MODELS = 16
"""Models of an account whose windows are remembered; then the oldest is forgotten. Callers may make names up."""


class Meter:
    """The limits of an account, and what is used of them.

    Args:
        account: As it is configured.
        now: The present.
        told: Counts the accounts of its upstream by the models that their headers spoke of.
    """

    __slots__ = ("_refused_until", "_requests", "_tokens", "_told", "_windows", "max_in_flight")

    def __init__(self, account: Account, now: float, told: Counter[str]) -> None:
        self.max_in_flight = inf if account.concurrency is None else account.concurrency
        self._requests = None if account.rpm is None else Bucket.full(account.rpm, now)
        self._tokens = None if account.tpm is None else Bucket.full(account.tpm, now)
        self._windows: dict[str, dict[Resource, Window]] = {}
        self._told = told
        self._refused_until = -inf

    def opens_at(self, model: str, need: int) -> float:
        """Return when a request for a model that needs so many tokens fits in; attempts at a time are not counted."""
        latest = self._refused_until
        if self._requests is not None:
            latest = max(latest, self._requests.opens_at(1.0))
        if self._tokens is not None:
            latest = max(latest, self._tokens.opens_at(need))
        if self._windows:
            for resource, window in self._windows.get(model, {}).items():
                latest = max(latest, window.opens_at(need if resource == "tokens" else 1.0))
        return latest

    def take(self, model: str, demand: Demand, now: float) -> None:
        """Note that an attempt begins."""
        if self._requests is not None:
            self._requests = self._requests.taken(1.0, now)
        self._take_tokens(demand.tokens, now)
        self._take_of_windows(model, demand, 1, now)

    def refuse(self, until: float) -> None:
        """Note that all who share the account have no room on it for now."""
        self._refused_until = until

    def settle(self, demand: Demand, spent: int, now: float) -> None:
        """Put right what was estimated, now that it is known. What headers said needs no help."""
        self._take_tokens(spent - demand.tokens, now)

    def put_back(self, model: str, demand: Demand, now: float) -> None:
        """Note that an attempt that was taken never began."""
        if self._requests is not None:
            self._requests = self._requests.taken(-1.0, now)
        self._take_tokens(-demand.tokens, now)
        self._take_of_windows(model, demand, -1, now)

    def hear(self, model: str, said: Mapping[Resource, RateWindow], number: int, now: float) -> None:
        """Take note of what the head of an answer says is left."""
        windows = self._windows.get(model, {})
        for resource, window in said.items():
            known = heard(windows.get(resource), window, number, now)
            if known is not None:
                windows[resource] = known
        if windows and model not in self._windows:
            if len(self._windows) >= MAX_MODELS:
                self._forget(next(iter(self._windows)))
            self._windows[model] = windows
            self._told[model] += 1

    def left(self, now: float) -> tuple[int | None, int | None]:
        """Return the requests and the tokens that are left, the least of what is configured and of what headers said.

        None: nobody knows a limit.
        """
        requests, tokens = _whole(self._requests, now), _whole(self._tokens, now)
        for windows in self._windows.values():
            requests = _least(requests, windows.get("requests"), now)
            tokens = _least(tokens, windows.get("tokens"), now)
        return requests, tokens

    def _forget(self, model: str) -> None:
        del self._windows[model]
        self._told[model] -= 1
        if not self._told[model]:
            del self._told[model]

    def _take_tokens(self, amount: int, now: float) -> None:
        if self._tokens is not None and amount:
            self._tokens = self._tokens.taken(float(amount), now)

    def _take_of_windows(self, model: str, demand: Demand, sign: int, now: float) -> None:
        windows = self._windows.get(model)
        if windows is None:
            return
        for resource, window in windows.items():
            bucket = window.bucket.taken(sign * need_in(resource, demand), now)
            windows[resource] = Window(bucket, window.until, window.told_to)


def _least(known: int | None, window: Window | None, now: float) -> int | None:
    if window is None or window.until <= now:
        return known
    left = max(0, int(window.bucket.level_at(now)))
    return left if known is None else min(known, left)


def _whole(bucket: Bucket | None, now: float) -> int | None:
    return None if bucket is None else max(0, int(bucket.level_at(now)))
