"""A thread that asks a backend for admissions: all that wait, in one go.

What becomes of a question is said in the event loop alone, so that nobody gives up in the very moment in which the
answer comes: an answer that nobody waits for any more is handed to ``give_back``.
"""

import logging
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

import anyio

from .backend import Backend, BackendError, Granted
from .contract import Admission, NotAdmitted
from .courier import Courier, Door

_log = logging.getLogger("asgi_ds2api.state")

MAX_BATCH = 256
"""Questions asked in one go: those of one go wait for each other."""
IDLE_S = 60.0
"""Between two looks when nobody asks."""


class _Question:
    """One admission that somebody waits for."""

    __slots__ = ("admission", "answer", "answered", "error", "is_abandoned")

    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self.answered = anyio.Event()
        self.answer: NotAdmitted | Granted | None = None
        self.error: BackendError | None = None
        self.is_abandoned = False


class Asker:
    """Asks for one process and one event loop.

    Args:
        door: Of the event loop.
        backend: Who is asked.
        lease_s: How long slots and probes are held unless they are renewed.
        give_back: Is told, in the event loop, what was granted to nobody.
        undo: Is told, in the event loop, what may have been granted when the backend failed, and under which name.
        died: Is called in the event loop if the thread ended by a mistake.
    """

    def __init__(
        self, door: Door, backend: Backend, lease_s: float, give_back: Callable[[Admission], None],
        undo: Callable[[Sequence[Admission], str], None], died: Callable[[], None],
    ) -> None:  # fmt: skip
        self._door = door
        self._backend = backend
        self._lease_s = lease_s
        self._give_back = give_back
        self._undo = undo
        self._waiting: deque[_Question] = deque()
        self._courier = Courier(door, self._round, IDLE_S, died)

    def start(self) -> None:
        """Begin to listen."""
        self._courier.start()

    def stop(self) -> None:
        """Say that the questions that wait are the last. Idempotent."""
        self._courier.stop()

    def join(self) -> None:
        """Wait until they are answered. Blocks."""
        self._courier.join()

    async def ask(self, admission: Admission) -> NotAdmitted | Granted:
        """Ask, and wait for the answer. Who is cancelled here holds nothing.

        Raises:
            BackendError: It cannot be asked.
        """
        question = _Question(admission)
        self._waiting.append(question)
        self._courier.wake()
        is_heard = False
        try:
            await question.answered.wait()
            is_heard = True
        finally:
            question.is_abandoned = question.answer is None
            if not is_heard and isinstance(question.answer, Granted):  # cancelled in the turn in which it was told
                self._give_back(admission)
        if question.error is not None:
            raise question.error
        assert question.answer is not None, "it was answered"
        return question.answer

    def _round(self) -> None:
        while self._waiting:
            batch: list[_Question] = []
            while self._waiting and len(batch) < MAX_BATCH:
                question = self._waiting.popleft()
                if not question.is_abandoned:
                    batch.append(question)
            if batch:
                self._ask(batch)

    def _ask(self, batch: list[_Question]) -> None:
        once = secrets.token_hex(8)
        try:
            answers = self._backend.admit([question.admission for question in batch], self._lease_s, once)
        except BackendError as error:
            self._door.call(partial(self._undo, [question.admission for question in batch], once))
            self._door.call(partial(self._fail, batch, error))
        except Exception:  # a mistake of ours about one admission is not to end the asking for good
            _log.exception("a mistake of the gateway: it could not ask for what is shared")
            self._door.call(partial(self._fail, batch, BackendError("a mistake of the gateway")))
        else:
            self._door.call(partial(self._answer, batch, answers))

    def _answer(self, batch: list[_Question], answers: "list[NotAdmitted | Granted]") -> None:
        for question, answer in zip(batch, answers, strict=True):
            if not question.is_abandoned:
                question.answer = answer
                question.answered.set()
            elif isinstance(answer, Granted):
                self._give_back(question.admission)

    def _fail(self, batch: list[_Question], error: BackendError) -> None:
        for question in batch:
            question.error = error
            question.answered.set()
