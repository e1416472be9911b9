"""What answers a request, however it does: the attempts of one question, of several, or what is passed on unread."""

from collections.abc import Sequence
from typing import Literal, Protocol

from ..canonical import Notice
from ..codec import AnswerFacts
from ..errors import GatewayError
from ..observe import Attempt


class Answering(Protocol):
    """One request's way to its answer: `attempts.Attempts`, `fan_out.FanOut` or `passage.Passage`."""

    @property
    def notices(self) -> Sequence[Notice]:
        """What was changed or lost on the way."""
        ...

    @property
    def facts(self) -> AnswerFacts:
        """What is known of the answer."""
        ...

    @property
    def mode(self) -> Literal["relay", "translate", ""]:
        """How it is told; empty if there was no attempt."""
        ...

    @property
    def account(self) -> str:
        """Id of the one account that is asked, or was last; empty: none was, or not one alone."""
        ...

    @property
    def model(self) -> str:
        """What that account is asked for, or was."""
        ...

    @property
    def is_native(self) -> bool:
        """Whether that account was asked in the caller's protocol."""
        ...

    @property
    def log(self) -> list[Attempt]:
        """The attempts that are over."""
        ...

    @property
    def queued_s(self) -> float:
        """How long it has waited for accounts so far; of what waits at the same time, the longest."""
        ...

    @property
    def failure(self) -> GatewayError | None:
        """What ended the request, if it was no success; already told to the caller if its answer had begun."""
        ...

    @property
    def is_committed(self) -> bool:
        """Something of the answer has reached the caller."""
        ...

    @property
    def committed_at(self) -> float | None:
        """When its first byte went out; None: none did."""
        ...

    async def run(self) -> None:
        """Answer the request, or leave in ``failure`` why not.

        Raises:
            ClientGone: The caller left, as a ``send`` told.
            GatewayError: Never: that is what ``failure`` is for.
        """
        ...

    async def pulse(self) -> None:
        """Keep a silent stream alive, and let go of a caller that does not read. Runs beside `run` until cancelled."""
        ...

    def cut(self, reason: GatewayError) -> None:
        """End the request now, from outside: the caller is told ``reason``."""
        ...

    async def break_off(self, error: GatewayError) -> None:
        """Tell a caller whose answer has begun why it ends here."""
        ...
