"""Where recorded traffic is replayed: a gateway in a real server, between official SDKs and the recordings' vendors."""

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

import anthropic
import openai

from tests.support.gateways import make_gateway, upstream
from tests.support.oracle import recorded_outcome
from tests.support.recorded import Protocol, Recording, records
from tests.support.replay import ReplayServer
from tests.support.serving import serve

Face = Literal["openai", "anthropic"]
"""Whose SDK asks."""

DIALECTS: Final[dict[str, tuple[str, Any]]] = {
    "openai": ("openai_chat", "openai"),
    "lenient": ("openai_chat", "lenient"),
    "anthropic": ("anthropic_messages", "anthropic"),
    "resembling": ("anthropic_messages", {"base": "anthropic", "exact": False}),
}
"""Upstreams: two vendors to the letter, which are relayed within their protocol, and two that are always translated."""

OWN_FACE: Final[dict[Protocol, Face]] = {"chat": "openai", "anthropic": "anthropic"}
TRANSLATED: Final[dict[Protocol, str]] = {"chat": "lenient", "anthropic": "resembling"}
VENDORS: Final = {"api.openai.com": "openai", "api.anthropic.com": "anthropic"}
"""Hosts of those who made the protocols."""
RECORDED_VERSION: Final = {"anthropic-version": "2023-06-01"}
"""What the recorded questions were asked under; the SDK's own refuses some of them."""


@dataclass(frozen=True)
class Way:
    """One way of a recording through the gateway."""

    record: Recording
    face: Face
    dialect: str
    """A row of `DIALECTS`."""

    @property
    def name(self) -> str:
        """For pytest."""
        return f"{self.record.name}-by-{self.face}-to-{self.dialect}"

    @property
    def upstream(self) -> str:
        """Name of the upstream in the gateway: an answer that fails has one to itself, as its account rests then."""
        return f"{self.dialect}-{self.face}-{self.record.id}" if _fails(self.record) else self.dialect

    @property
    def is_own_face(self) -> bool:
        """The caller speaks the protocol of the recording."""
        return OWN_FACE[self.record.protocol] == self.face


def ways(protocol: Protocol) -> list[Way]:
    """Return all ways of all recordings of a protocol."""
    return [way for record in records(protocol) for way in _ways(record)]


def _ways(record: Recording) -> Iterator[Way]:
    own, translated = OWN_FACE[record.protocol], TRANSLATED[record.protocol]
    vendor = VENDORS.get(record.host)
    if vendor is not None:
        yield Way(record, own, vendor)
    yield Way(record, own, translated)
    yield Way(record, "anthropic" if own == "openai" else "openai", vendor or translated)


def _fails(record: Recording) -> bool:
    return recorded_outcome(record).is_error


@dataclass
class Stage:
    """What a test talks to and looks at."""

    url: str
    """Of the gateway."""
    replay: ReplayServer
    openai: openai.AsyncOpenAI
    anthropic: anthropic.AsyncAnthropic


@asynccontextmanager
async def open_stage(protocol: Protocol) -> AsyncIterator[Stage]:
    """Start the vendors of a protocol's recordings, the gateway, and a client of each face."""
    async with ReplayServer(records(protocol)) as replay:
        tables = [_upstream(name, dialect, replay.url) for name, dialect in _upstreams(ways(protocol)).items()]

        with serve(make_gateway(*tables)) as served:
            async with (
                openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key="any", max_retries=0) as chat,
                anthropic.AsyncAnthropic(
                    base_url=served.url, api_key="any", max_retries=0, default_headers=RECORDED_VERSION
                ) as messages,
            ):
                yield Stage(served.url, replay, chat, messages)


def _upstreams(ways: Iterable[Way]) -> dict[str, str]:
    found: dict[str, str] = {}
    for way in ways:
        found[way.upstream] = way.dialect
        if _fails(way.record):
            found[f"{way.upstream}-status"] = way.dialect
    return found


def _upstream(name: str, dialect: str, url: str) -> dict[str, Any]:
    protocol, profile = DIALECTS[dialect]
    base_url = f"{url}/v1" if protocol == "openai_chat" else url
    return upstream(name, protocol=protocol, base_url=base_url, profile=profile)
