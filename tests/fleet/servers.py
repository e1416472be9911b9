"""Servers of several workers in front of one upstream, and callers who meet a worker by chance."""

import asyncio
from collections import Counter
from pathlib import Path

import httpx

from .counting import CountingUpstream

CALLER = "a-caller-key-of-the-fleet-tests"
WORKERS = 4
TARGET = "tests.fleet.app:make"
NAMES = ("cool", "full", "probe")


class Fleet:
    """One or two servers of four workers each, in front of one upstream."""

    def __init__(self, upstream: CountingUpstream, urls: list[str]) -> None:
        self.upstream = upstream
        self._urls = urls

    async def ask(self, name: str, count: int) -> Counter[int]:
        """Ask so often at once, each time over a new connection, in turn at each server; return the statuses."""
        limits = httpx.Limits(max_keepalive_connections=0, max_connections=None)
        body = {"model": f"{name}/m", "messages": [{"role": "user", "content": "Hi"}]}
        async with httpx.AsyncClient(
            timeout=60, limits=limits, headers={"authorization": f"Bearer {CALLER}"}
        ) as client:
            urls = [self._urls[number % len(self._urls)] for number in range(count)]
            answers = await asyncio.gather(*[client.post(f"{url}/v1/chat/completions", json=body) for url in urls])
        return Counter(answer.status_code for answer in answers)


def config(url: str, state: str) -> str:
    """Return the configuration of every worker."""
    upstreams = "".join(
        f"""
        [[upstreams]]
        name = "{name}"
        protocol = "openai_chat"
        base_url = "{url}/{name}/v1"
        {"concurrency = 2" if name == "full" else ""}
        """
        for name in NAMES
    )
    return f"""
        state = {state!r}
        workers = {WORKERS}
        secret = "env:SEAL"
        [timeouts]
        queue_s = 40
        state_s = 30
        {upstreams}
        [[callers]]
        label = "tests"
        key = "env:CALLER"
    """


def environment(path: Path, url: str, state: str) -> dict[str, str]:
    """Write the configuration of every worker; return the environment in which it finds it."""
    path.write_text(config(url, state))
    return {"DS2API_CONFIG": str(path), "CALLER": CALLER, "SEAL": "a-seal-of-the-fleet-tests-0123456789"}
