"""The clients under test, each on each event loop that it knows."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import NamedTuple, Protocol

import httpx
import pytest
import trustme

from asgi_ds2api.upstream.contract import Upstream
from asgi_ds2api.upstream.httpx_client import HttpxUpstream
from asgi_ds2api.upstream.tls import TLSContexts, TLSSettings

from .stage import Stage

USUAL_TLS = TLSSettings()


class Options(NamedTuple):
    """What a client can be told, whichever it is."""

    tls: TLSSettings = USUAL_TLS
    proxy: str | None = None
    max_connections: int = 100


class MakeClient(Protocol):
    """Makes a client that is closed after the test."""

    def __call__(self, *, tls: TLSSettings = ..., proxy: str | None = None, max_connections: int = 100) -> Upstream: ...


def _httpx(options: Options, contexts: TLSContexts) -> HttpxUpstream:
    return HttpxUpstream(
        contexts=contexts, tls=options.tls, proxy=options.proxy, max_connections=options.max_connections
    )


def _borrowed(options: Options, contexts: TLSContexts) -> HttpxUpstream:
    """Wrap what an application may give: with a jar, redirects, an ``auth``, and hooks that spoil streams."""
    client = httpx.AsyncClient(
        verify=contexts.context(options.tls),
        proxy=options.proxy,
        trust_env=False,
        limits=httpx.Limits(max_connections=options.max_connections),
        follow_redirects=True,
        cookies={"session": "of-the-application"},
        headers={"x-application": "1"},
        auth=("application", "password"),
        event_hooks={"response": [_read_all]},
    )
    return HttpxUpstream(client=client, max_connections=options.max_connections)


async def _read_all(response: httpx.Response) -> None:
    await response.aread()


CLIENTS: dict[str, Callable[[Options, TLSContexts], Upstream]] = {"httpx": _httpx, "borrowed": _borrowed}
OWN_SETUPS = [("httpx", "asyncio"), ("httpx", "trio")]
"""Those whose connections are ours from the socket on."""
SETUPS = [*OWN_SETUPS, ("borrowed", "asyncio"), ("borrowed", "trio")]


@pytest.fixture(params=SETUPS, ids="-".join)
def setup(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Name a client and an event loop."""
    chosen: tuple[str, str] = request.param
    return chosen


@pytest.fixture
def anyio_backend(setup: tuple[str, str]) -> str:
    """Run each test on the event loop of its setup."""
    return setup[1]


@pytest.fixture(scope="session")
def contexts() -> TLSContexts:
    """Keep the TLS contexts of all tests: the bundle of CAs is read once."""
    return TLSContexts()


@pytest.fixture
async def make_client(setup: tuple[str, str], contexts: TLSContexts) -> AsyncIterator[MakeClient]:
    """Make clients of this setup, with options."""
    made: list[Upstream] = []

    def make(*, tls: TLSSettings = USUAL_TLS, proxy: str | None = None, max_connections: int = 100) -> Upstream:
        made.append(CLIENTS[setup[0]](Options(tls, proxy, max_connections), contexts))
        return made[-1]

    yield make
    for client in made:
        await client.close()


@pytest.fixture
def client(make_client: MakeClient) -> Upstream:
    """Make one client without options."""
    return make_client()


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Play upstreams until the test ends."""
    with Stage() as stage:
        yield stage


@pytest.fixture(scope="session")
def ca() -> trustme.CA:
    """A certificate authority that nobody knows unless told."""
    return trustme.CA()


@pytest.fixture(scope="session")
def ca_file(ca: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The authority's certificate as a file."""
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    return str(path)
