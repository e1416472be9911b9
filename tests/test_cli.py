"""``asgi-ds2api check`` tells everything but secrets; ``serve`` runs the gateway."""

import json
import re
import select
import signal
import subprocess
import sys
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
import uvicorn

from asgi_ds2api import cli
from asgi_ds2api.gateway import Gateway
from tests.support.canary import CANARY
from tests.support.waiting import WAIT_S

CALLER_KEY = "a-caller-key-of-tests"
STATUS_KEY = "the-status-key-of-tests"
SOUND = """
secret = "env:SECRET"

[[upstreams]]
name = "claude"
preset = "anthropic"
keys = ["env:KEY_A", "env:KEY_B"]
models = ["claude-*", "opus"]

[[upstreams]]
name = "local"
protocol = "openai_chat"
base_url = "http://ollama:11434/v1"

[[models]]
name = "smart"
targets = ["claude/claude-opus-5", "local/qwen"]

[[callers]]
label = "web"
key = "env:CALLER"
"""
ENVIRON = {"KEY_A": CANARY, "KEY_B": f"{CANARY}-b", "CALLER": CALLER_KEY, "SECRET": "5f0c1e9a7b3d2468"}
HTTP_WARNING = "upstreams[1].base_url: plain http to another machine: keys and prompts can be read on the way"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("DS2API_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "ds2api.toml"
    path.write_text(SOUND)
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Return exit code, standard output and standard error; no secret is in them."""
    code = cli.main(arguments)
    told = capsys.readouterr()
    for secret in ENVIRON.values():
        assert secret not in told.out + told.err
    return code, told.out, told.err


# --- check ------------------------------------------------------------------------------------------------------------


def test_F96_check_shows_what_a_sound_configuration_means(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "check", "--config", str(config)) == (
        0,
        f"""{config}: usable, 1 warning(s)

upstreams
  name    protocol            base_url                   accounts      models
  claude  anthropic_messages  https://api.anthropic.com  KEY_A, KEY_B  claude-*, opus
  local   openai_chat         http://ollama:11434/v1     keyless       local/...

models
  name   targets
  smart  claude/claude-opus-5, local/qwen

callers
  label  models
  web    *

prefix: /ai
auth: callers
warning: {HTTP_WARNING}
""",
        "",
    )


def test_check_shows_where_the_status_route_is(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATUS", STATUS_KEY)
    config.write_text(f'prefix = ["/ai", "/v2"]\n{SOUND}\n[status]\nkey = "env:STATUS"\n')
    code, out, _ = run(capsys, "check")
    assert code == 0
    assert "auth: callers\nstatus: /ai/status, /v2/status\n" in out
    assert STATUS_KEY not in out


def test_table_without_rows_is_left_out(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text('auth = "none"\n[[upstreams]]\nname = "a"\npreset = "openai"\nkeys = ["env:KEY_A"]\n')
    code, out, _ = run(capsys, "check")
    assert code == 0
    assert [line for line in out.splitlines() if line and line[0] != " "] == [
        "ds2api.toml: usable, 2 warning(s)",
        "upstreams",
        "prefix: /ai",
        "auth: none",
        'warning: auth = "none": everybody who can reach this gateway may use it, at your expense',
        "warning: no secret is configured, so a random one is used: what clients carry for the gateway will open "
        'neither after a restart nor on another worker; set secret = "env:DS2API_SECRET"',
    ]


def test_F96_check_as_json_is_for_programs(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "check", "--json", "--config", str(config))
    assert (code, err) == (0, "")
    assert json.loads(out) == {
        "usable": True,
        "source": str(config),
        "problems": [],
        "warnings": [HTTP_WARNING],
        "prefix": ["/ai"],
        "auth": "callers",
        "upstreams": [
            {
                "name": "claude",
                "protocol": "anthropic_messages",
                "base_url": "https://api.anthropic.com",
                "accounts": ["KEY_A", "KEY_B"],
                "models": ["claude-*", "opus"],
            },
            {
                "name": "local",
                "protocol": "openai_chat",
                "base_url": "http://ollama:11434/v1",
                "accounts": ["keyless"],
                "models": [],
            },
        ],
        "models": [{"name": "smart", "targets": ["claude/claude-opus-5", "local/qwen"]}],
        "callers": [{"label": "web", "models": ["*"]}],
        "status": False,
    }


BROKEN = f"""
auth = "calers"
secret = "{CANARY}"
[[upstreams]]
name = "a"
"""


def test_F96_check_tells_every_problem_and_fails(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(BROKEN)
    problems = [
        "auth: is none of the words that may stand here; did you mean 'callers'?",
        "secret: looks like the secret itself, which may not stand here; put it into an environment variable and "
        'write "env:NAME", or into a file and write "file:PATH"',
        "upstreams[0].preset: is missing; an upstream has a preset, or a protocol and a base_url",
    ]
    text = "".join(f"\n  - {problem}" for problem in problems)
    assert run(capsys, "check", "--config", str(config)) == (1, "", f"the configuration has 3 problem(s):{text}\n")
    code, out, err = run(capsys, "check", "--json", "--config", str(config))
    assert (code, err) == (1, "")
    report = json.loads(out)
    assert (report["usable"], report["problems"]) == (False, problems)


def test_F96_check_opens_the_files_that_only_a_connection_would_need(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("client").private_key_and_cert_chain_pem.write_to_path(tmp_path / "client.pem")
    (tmp_path / "text.pem").write_text("no certificate")
    tls = 'ca_file = "{}"\nclient_cert = "{}"\n'
    sound = SOUND.replace('name = "local"\n', 'name = "local"\n' + tls.format("ca.pem", "client.pem"))
    config.write_text(sound)
    assert run(capsys, "check", "--config", str(config))[0] == 0
    config.write_text(sound.replace("ca.pem", "text.pem").replace("client.pem", "ca.pem"))
    code, _, err = run(capsys, "check", "--config", str(config))
    assert code == 1
    assert [line.partition(":")[0] for line in err.splitlines()[1:]] == [
        f"  - upstreams[1].ca_file {tmp_path}/text.pem",
        f"  - upstreams[1].client_cert {tmp_path}/ca.pem",
    ]


def test_check_knows_nothing_of_the_application(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(f'auth = "host"\n{SOUND}')
    assert run(capsys, "check", "--config", str(config))[0] == 0


def test_F96_file_that_is_not_there_is_told(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "check", "--config", "absent.toml")
    assert code == 1
    assert "absent.toml: does not exist; check its path" in err


def test_configuration_is_found_where_the_gateway_finds_it(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(capsys, "check")[1].startswith("ds2api.toml: usable")
    monkeypatch.setenv("DS2API_CONFIG", str(config.rename(config.with_name("other.toml"))))
    assert run(capsys, "check")[1].startswith(f"{config.with_name('other.toml')}: usable")
    monkeypatch.delenv("DS2API_CONFIG")
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    monkeypatch.setenv("DS2API_CALLER_KEY", CALLER_KEY)
    assert run(capsys, "check")[1].startswith("environment: usable")


# --- the command itself -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [[], ["judge"], ["check", "--conf", "x"], ["serve", "--port", "http"], ["serve", "--port", "65536"],
     ["serve", "--port", "-1"]],
)  # fmt: skip
def test_command_that_makes_no_sense_is_told_apart(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    assert "usage: asgi-ds2api" in capsys.readouterr().err


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.strip() == version("asgi-ds2api")


def test_command_is_installed() -> None:
    (command,) = entry_points(group="console_scripts", name="asgi-ds2api")
    assert command.load() is cli.main


# --- serve ------------------------------------------------------------------------------------------------------------


def test_serve_without_its_extra_says_what_to_install(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert run(capsys, "serve", "--config", str(config)) == (
        2,
        "",
        "serve needs uvicorn, which is not installed here: pip install uvicorn httptools\n",
    )


def test_F96_serve_refuses_to_start_with_a_bad_configuration(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(BROKEN)
    code, out, err = run(capsys, "serve", "--config", str(config))
    assert (code, out) == (1, "")
    assert err.startswith("the configuration has 3 problem(s):\n")


def test_F96_serve_has_no_application_that_could_decide(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(f'auth = "host"\n{SOUND}')
    code, _, err = run(capsys, "serve", "--config", str(config))
    assert code == 1
    assert 'auth: is "host", and no authorize= was given' in err


def test_fault_of_the_server_itself_is_not_taken_for_its_absence(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "uvicorn")
    monkeypatch.setitem(sys.modules, "uvicorn.config", None)
    with pytest.raises(ModuleNotFoundError, match=r"uvicorn\.config"):
        cli.main(["serve", "--config", str(config)])


def test_server_gets_what_was_asked_for_and_leaves_draining_to_the_gateway(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text(SOUND + "[timeouts]\ndrain_s = 7.5\n")
    asked: dict[str, Any] = {}
    monkeypatch.setattr(uvicorn, "run", lambda app, **options: asked.update(options, app=app))
    assert run(capsys, "serve", "--host", "0.0.0.0", "--port", "9000")[0] == 0
    assert isinstance(asked["app"], Gateway)
    assert (asked["host"], asked["port"], asked["timeout_graceful_shutdown"]) == ("0.0.0.0", 9000, 8)
    assert "asgi_ds2api" not in uvicorn.config.LOGGING_CONFIG["loggers"], "the library's own table is as it was"


def test_serve_runs_the_gateway_until_it_is_told_to_stop(config: Path) -> None:
    command = [sys.executable, "-m", "asgi_ds2api", "serve", "--config", str(config), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            started = wait_for(process, rb"Uvicorn running on (http://127\.0\.0\.1:\d+)")
            url = started[1].decode()
            assert httpx.get(f"{url}/", trust_env=False).status_code == 200
            refused = httpx.get(f"{url}/v1/models?key={CALLER_KEY}", trust_env=False)
            assert refused.status_code == 403, "a key in the query is Google's way, and so is the answer"
            headers = {"authorization": f"Bearer {CALLER_KEY}"}
            models = httpx.get(f"{url}/v1/models", headers=headers, trust_env=False).json()
            assert [model["id"] for model in models["data"]] == ["smart", "opus"]
        finally:
            process.send_signal(signal.SIGTERM)
            rest, _ = process.communicate(timeout=WAIT_S)
    output = started.string + rest
    assert HTTP_WARNING.encode() in output
    assert b"Application shutdown complete." in output
    assert output.count(b"gemini_generate 403 missing_api_key") == 1, "one line a request, and none of uvicorn's"
    assert b"key=" not in output
    assert [name for name, value in ENVIRON.items() if value.encode() in output] == []


def wait_for(process: "subprocess.Popen[bytes]", pattern: bytes) -> "re.Match[bytes]":
    """Read what a process writes until something is there."""
    assert process.stdout is not None
    seen = b""
    while not (match := re.search(pattern, seen)):
        readable, _, _ = select.select([process.stdout], [], [], WAIT_S)
        assert readable, f"the server did not start:\n{seen.decode()}"
        piece = process.stdout.read1(65_536)  # type: ignore[attr-defined]  # a pipe of a Popen is a BufferedReader
        assert piece, f"the server gave up:\n{seen.decode()}"
        seen += piece
    return match
