"""Work on large bodies, out of the event loop's way.

Judging, decoding and encoding take 5 to 25 ms a MiB, and at worst 50: on the loop, a body of 32 MiB would hold up every
other request of the process for a second. In a thread the loop waits for single C calls alone: measured with one of
30 MiB, for an eighth of that. A small body is worked on at once, as the way to a thread and back costs as much.

The thread is one of anyio's own (40 an event loop). Nothing recurses deeper than `json_guard` lets pass, so that its
stack may be small.
"""

from collections.abc import Callable
from typing import TypeVar

import anyio.to_thread

LARGE_BYTES = 1024 * 1024
"""About as long as a thread may hold the interpreter's lock before others get their turn (5 ms)."""

T = TypeVar("T")


async def off_loop(size_bytes: int, work: Callable[[], T]) -> T:
    """Do ``work`` on a body of this size and return what it returns, or raise what it raises.

    A caller that leaves, or a deadline, is heeded when the work is done.
    """
    if size_bytes < LARGE_BYTES:
        return work()
    return await anyio.to_thread.run_sync(work)
