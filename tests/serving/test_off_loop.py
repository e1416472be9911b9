"""Work on a large body leaves the event loop to others; work on a small one is done at once."""

import threading

import pytest

from asgi_ds2api.errors import MalformedRequest
from asgi_ds2api.serving.off_loop import LARGE_BYTES, off_loop

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("size", "is_here"), [(0, True), (LARGE_BYTES - 1, True), (LARGE_BYTES, False)])
async def test_large_work_is_done_in_a_thread(size: int, is_here: bool) -> None:
    assert (await off_loop(size, threading.get_ident) == threading.get_ident()) == is_here


@pytest.mark.parametrize("size", [0, LARGE_BYTES])
async def test_error_comes_out_as_it_is(size: int) -> None:
    error = MalformedRequest("no")

    def fail() -> None:
        raise error

    with pytest.raises(MalformedRequest) as caught:
        await off_loop(size, fail)
    assert caught.value is error
