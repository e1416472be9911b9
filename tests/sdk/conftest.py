"""A gateway in a real uvicorn, in front of a fake vendor that speaks all five protocols."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from asgi_ds2api import Gateway
from asgi_ds2api.testing import FakeUpstream, Script
from tests.support.gateways import PROTOCOLS, Records
from tests.support.serving import serve

KEYS = ["key-of-account-one-0123", "key-of-account-two-0123"]


@dataclass
class Stage:
    """What a test talks to and looks at."""

    url: str
    """Of the gateway."""
    fake: FakeUpstream
    records: Records
    model: str
    """Name that reaches the upstream protocol under test."""

    @property
    def upstream(self) -> str:
        """Which protocol the upstream speaks: a key of `PROTOCOLS`."""
        return self.model.partition("/")[0]

    def play(self, script: Script) -> None:
        """Let the vendor say this next."""
        self.fake.play(script)


@pytest.fixture(params=list(PROTOCOLS))
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """A fresh gateway and vendor, once for each upstream protocol."""
    name: str = request.param
    with FakeUpstream(keys=KEYS) as fake:
        accounts = [{"label": f"a{n}", "key": lambda key=key: key} for n, key in enumerate(KEYS)]
        records = Records()
        upstream = {"name": name, "protocol": PROTOCOLS[name], "base_url": fake.url, "accounts": accounts}
        if PROTOCOLS[name].startswith("openai_"):
            upstream["base_url"] = f"{fake.url}/v1"
        gateway = Gateway({"auth": "none", "upstreams": [upstream]}, hooks=[records])
        with serve(gateway) as served:
            yield Stage(url=served.url, fake=fake, records=records, model=f"{name}/claude-sonnet-4-5")
