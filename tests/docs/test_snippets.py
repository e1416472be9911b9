"""Every Python block of the README and the quick start is run, against a fake vendor; every TOML file in them is used.

A block is known by its page and heading. Whoever adds one says below what shows that it works.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI
from starlette.types import ASGIApp

from asgi_ds2api import Config, Gateway
from asgi_ds2api.cli import main
from asgi_ds2api.testing import FakeUpstream
from tests.support.asgi_driver import Answer, call
from tests.support.serving import serve

from .pages import PAGES, ROOT, Block, code_blocks

README, QUICK_START = ROOT / "README.md", ROOT / "docs/quick-start.md"
CALLER_KEY = "caller-key-of-the-snippets-01"
ENVIRONMENT = {
    "OPENAI_API_KEY": "openai-key-of-the-snippets",
    "ANTHROPIC_API_KEY": "anthropic-key-of-the-snippets",
    "DS2API_CALLER_KEY": CALLER_KEY,
    "DS2API_SECRET": "secret-of-the-snippets-0123456789",
}
SAID = 'You said: "Hello".'


@dataclass
class Stage:
    """A directory with the configuration of the page, in front of a fake vendor."""

    fake: FakeUpstream
    directory: Path

    def configuration(self, block: Block) -> str:
        """Return a TOML block as it stands, but that its vendors are the fake."""
        text = block.text.replace('preset = "openai"', f'preset = "openai"\nbase_url = "{self.fake.url}/v1"')
        text = text.replace('preset = "anthropic"', f'preset = "anthropic"\nbase_url = "{self.fake.url}"')
        return text.replace("/run/secrets/anthropic-b", str(self.directory / "anthropic-b"))

    def run(self, block: Block, url: str = "http://localhost:8000") -> dict[str, Any]:
        """Execute a block and return what it defined."""
        text = block.text.replace("http://localhost:8000", url)
        text = text.replace("<your caller key>", CALLER_KEY).replace('api_key="..."', f'api_key="{CALLER_KEY}"')
        defined: dict[str, Any] = {"__name__": "snippet"}
        exec(compile(text, block.name, "exec"), defined)
        return defined


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "anthropic-b").write_text("another-anthropic-key-of-the-snippets\n")
    with FakeUpstream() as fake:
        made = Stage(fake, tmp_path)
        text = made.configuration(next(block for block in blocks(QUICK_START, "toml")))
        (tmp_path / "ds2api.toml").write_text(text)
        (tmp_path / "host.toml").write_text(text.partition("[[callers]]")[0])
        yield made


def blocks(page: Path, language: str) -> list[Block]:
    return [block for block in code_blocks(page) if block.language == language]


# --- what shows that a block works ------------------------------------------------------------------------------------


def ask(base_url: str) -> None:
    """Ask both vendors' models through one SDK."""
    with OpenAI(base_url=base_url, api_key=CALLER_KEY) as client:
        for model in ("gpt-5.6", "claude-opus-4-6"):
            answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Hello"}])
            assert SAID in (answer.choices[0].message.content or "")


def asked(app: ASGIApp, method: str, path: str, **given: Any) -> Answer:
    return asyncio.run(call(app, method, path, **given))


def app_serves_under_ai(stage: Stage, block: Block) -> None:
    with serve(stage.run(block)["app"]) as served:
        ask(f"{served.url}/ai/v1")


def app_is_the_gateway(stage: Stage, block: Block) -> None:
    with serve(stage.run(block)["app"]) as served:
        ask(f"{served.url}/v1")


def prints_the_answer(stage: Stage, block: Block) -> None:
    app = stage.run(blocks(QUICK_START, "python")[0])["app"]
    with serve(app) as served:
        stage.run(block, served.url)
    assert stage.fake.requests, "nobody was asked"


def django_serves_its_page_and_the_gateway(stage: Stage, block: Block) -> None:
    """In a process of its own: Django's settings are those of a process."""
    site = stage.directory / "mysite"
    site.mkdir()
    (site / "__init__.py").touch()
    (site / "settings.py").write_text('SECRET_KEY = "s"\nALLOWED_HOSTS = ["*"]\nROOT_URLCONF = "mysite.urls"\n')
    (site / "urls.py").write_text(
        "from django.http import HttpResponse\nfrom django.urls import path\n"
        'urlpatterns = [path("page", lambda request: HttpResponse("of Django"))]\n'
    )
    (site / "asgi.py").write_text(block.text)
    look = (
        "from mysite.asgi import application\nfrom starlette.testclient import TestClient\n"
        "client = TestClient(application)\nprint(client.get('/page').text, client.get('/ai').text)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(stage.directory), str(ROOT)])}
    shown = subprocess.run([sys.executable, "-c", look], env=environment, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith("of Django {")
    assert '"status":"ok"' in shown.stdout


def function_decides(stage: Stage, block: Block) -> None:
    gateway = stage.run(block)["gateway"]
    body = {"model": "gpt-5.6", "messages": [{"role": "user", "content": "Hello"}]}
    path = "/v1/chat/completions"
    anna = {"x-session": "session-of-anna"}
    assert asked(gateway, "POST", path, json=body, headers=anna).status == 200
    assert asked(gateway, "POST", path, json=body).status == 401
    assert asked(gateway, "POST", path, json={**body, "model": "claude-opus-4-6"}, headers=anna).status == 403


def function_says_no(stage: Stage, block: Block) -> None:
    configuration = (stage.directory / "host.toml").read_text()
    (stage.directory / "ds2api.toml").write_text('auth = "host"\n' + configuration)
    defined = stage.run(Block(block.page, block.heading, block.language, f"{IMPORTS}\n{block.text}", block.line))
    assert asked(defined["gateway"], "GET", "/v1/models").status == 401


IMPORTS = "from asgi_ds2api import Caller, Gateway"
"""Of a block of the README, which the one above it has."""


def environment_is_enough(stage: Stage, block: Block) -> None:
    app = stage.run(block)["app"]
    assert asked(app, "GET", "/v1/models").status == 401
    assert asked(app, "GET", "/v1/models", headers={"authorization": f"Bearer {CALLER_KEY}"}).status == 200


def tokens_are_added_up(stage: Stage, block: Block) -> None:
    defined = stage.run(block)
    body = {"model": "gpt-5.6", "messages": [{"role": "user", "content": "Hello"}]}
    asked(defined["gateway"], "POST", "/v1/chat/completions", json=body, headers={"api-key": CALLER_KEY})
    assert defined["bill"].tokens["web"] > 0


def test_in_it_passes(stage: Stage, block: Block) -> None:
    (test,) = (value for name, value in stage.run(block).items() if name.startswith("test_"))
    test()


test_in_it_passes.__test__ = False  # type: ignore[attr-defined]  # it is no test of pytest's

Shown = Callable[[Stage, Block], None]
SHOWN: dict[tuple[str, str], tuple[Shown, ...]] = {
    ("README.md", "asgi_ds2api"): (app_serves_under_ai, prints_the_answer),
    ("README.md", "Configure it"): (function_says_no,),
    ("docs/quick-start.md", "Wrap an app"): (app_serves_under_ai, app_serves_under_ai),
    ("docs/quick-start.md", "Mount it"): (app_serves_under_ai,),
    ("docs/quick-start.md", "Make it the whole app"): (app_is_the_gateway,),
    ("docs/quick-start.md", "Put it before Django"): (django_serves_its_page_and_the_gateway,),
    ("docs/quick-start.md", "Ask it"): (prints_the_answer, prints_the_answer),
    ("docs/quick-start.md", "Let your app decide who may ask"): (function_decides,),
    ("docs/quick-start.md", "Configure it by the environment alone"): (environment_is_enough,),
    ("docs/quick-start.md", "Observe it"): (tokens_are_added_up,),
    ("docs/quick-start.md", "Test your app"): (test_in_it_passes,),
}
"""Page and heading -> what shows, block by block, that they work."""


def shown() -> list[Any]:
    """Return each Python block beside what shows that it works; None: nobody said what."""
    found = []
    left = {place: list(shows) for place, shows in SHOWN.items()}
    for block in (*blocks(README, "python"), *blocks(QUICK_START, "python")):
        shows = left.get((block.page, block.heading))
        found.append(pytest.param(block, shows.pop(0) if shows else None, id=block.name))
    return found


@pytest.mark.parametrize(("block", "show"), shown())
def test_block_works(stage: Stage, block: Block, show: Shown | None) -> None:
    assert show is not None, "say in SHOWN what shows that this block works"
    show(stage, block)


def test_no_block_is_missing() -> None:
    assert sum(map(len, SHOWN.values())) == len(blocks(README, "python")) + len(blocks(QUICK_START, "python"))


EVERYWHERE = [block for page in PAGES for block in code_blocks(page)]


@pytest.mark.parametrize("block", [b for b in EVERYWHERE if b.language == "python"], ids=lambda block: block.name)
def test_block_is_python(block: Block) -> None:
    compile(block.text, block.name, "exec")


@pytest.mark.parametrize("page", [README, QUICK_START], ids=lambda page: page.name)
def test_file_of_the_page_is_a_configuration(stage: Stage, page: Path) -> None:
    (block,) = blocks(page, "toml")
    (stage.directory / "ds2api.toml").write_text(stage.configuration(block))
    config = Config.load("ds2api.toml")
    assert {upstream.name for upstream in config.upstreams} == {"claude", "openai"}
    assert Gateway(config).status()["ready"]


def test_command_of_the_page_is_one(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line.split() for block in blocks(QUICK_START, "console") for line in block.text.splitlines()]
    checks = [line[2:] for line in lines if line[:3] == ["$", "asgi-ds2api", "check"]]
    assert [main(check) for check in checks] == [0]
    assert "ds2api.toml: usable" in capsys.readouterr().out
