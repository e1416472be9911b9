"""Which bytes of a relayed stream pass, whatever its protocol: here lines that are said to matter, or not."""

import pytest

from asgi_ds2api.errors import ServerFault
from asgi_ds2api.frame_tap import FrameTap

MAX_EVENT_BYTES = 100
SAY, WORD, FINISH, END, FAIL, MORE = (
    b"data: %s\n\n" % name for name in (b"say", b"word", b"why!", b"end!", b"fail!", b"more")
)
STREAM = SAY + WORD + FINISH + END


class LineTap(FrameTap):
    """What has an exclamation mark matters."""

    def __init__(self, *, may_end_early: bool = False) -> None:
        super().__init__(MAX_EVENT_BYTES, terminator=END, may_end_early=may_end_early)
        self.read: list[bytes] = []

    @property
    def _has_finish(self) -> bool:
        return FINISH in self.read

    def _matters(self, block: bytes) -> bool:
        return b"!" in block

    def _read(self, frame: bytes) -> None:
        self.read.append(frame)
        if frame == FAIL:
            raise ServerFault("no")
        self._has_begun = True
        self.is_meaningful = self.is_meaningful or frame == SAY
        self.is_complete = frame == END


def passed(tap: LineTap, data: bytes, size: int = 1_000) -> bytes:
    return b"".join(tap.feed(data[start : start + size]) for start in range(0, len(data), size))


@pytest.mark.parametrize("size", [1, 5, 1_000])
def test_whole_frames_pass_as_they_came_up_to_the_end(size: int) -> None:
    tap = LineTap()
    assert passed(tap, STREAM + MORE, size) == STREAM
    assert (tap.is_complete, tap.failure, tap.feed(MORE), tap.close()) == (True, None, b"", b"")


def test_only_what_matters_is_read_once_something_was_said() -> None:
    tap = LineTap()
    passed(tap, WORD + STREAM, 1)
    assert tap.read == [WORD, SAY, FINISH, END]


def test_read_without_anything_that_matters_passes_as_the_same_object() -> None:
    tap = LineTap()
    tap.feed(SAY)
    assert tap.feed(WORD) is WORD


@pytest.mark.parametrize("size", [1, 5, 1_000])
def test_frame_with_an_error_does_not_pass_nor_what_is_behind_it(size: int) -> None:
    tap = LineTap()
    assert passed(tap, SAY + FAIL + END, size) == SAY
    assert (type(tap.failure), tap.is_complete, tap.feed(END), tap.close()) == (ServerFault, False, b"", b"")


def test_F62_event_over_the_limit_ends_the_stream_behind_what_came_before() -> None:
    tap = LineTap()
    assert tap.feed(SAY + b"data: " + b"x" * MAX_EVENT_BYTES) == SAY
    assert tap.failure is not None
    assert tap.failure.code == "event_too_large"


def test_end_in_the_same_read_as_too_large_an_event_is_an_end() -> None:
    tap = LineTap()
    assert tap.feed(SAY + END + b"x" * 2 * MAX_EVENT_BYTES) == SAY + END
    assert (tap.is_complete, tap.failure) == (True, None)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(b"", "empty_response", id="F43-nothing"),
        pytest.param(SAY + WORD, "incomplete_stream", id="F56-no-reason"),
        pytest.param(SAY + FINISH, "incomplete_stream", id="F56-no-end"),
        pytest.param(SAY + FINISH + END[:-1], "incomplete_stream", id="F54-cut-in-the-end"),
    ],
)
def test_end_of_the_file_alone_is_a_failure(data: bytes, code: str) -> None:
    tap = LineTap()
    tap.feed(data)
    assert tap.close() == b""
    assert tap.failure is not None
    assert tap.failure.code == code


def test_stream_that_may_end_early_is_given_its_end() -> None:
    tap = LineTap(may_end_early=True)
    tap.feed(SAY + FINISH)
    assert (tap.close(), tap.is_complete, tap.failure, tap.close()) == (END, True, None, b"")


@pytest.mark.parametrize("data", [SAY + WORD, SAY + FINISH + WORD[:-1]], ids=["no-reason", "F54-cut-in-a-frame"])
def test_stream_that_may_end_early_may_not_end_anywhere(data: bytes) -> None:
    tap = LineTap(may_end_early=True)
    tap.feed(data)
    assert (tap.close(), tap.is_complete) == (b"", False)
    assert tap.failure is not None
