"""The command line: what it prints, how it exits, and that it never prints a secret."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from asgi_ds2api import cli

KEY = "sk-a-key-that-must-not-be-printed-0001"
GOOD = """
secret = "env:DS2API_SECRET"
[[upstreams]]
name = "claude"
preset = "anthropic"
keys = ["env:ANTHROPIC_API_KEY"]
models = ["claude-*"]
[[models]]
name = "smart"
targets = ["claude/claude-opus-5"]
[[callers]]
label = "web"
key = "env:DS2API_CALLER_KEY"
"""
BAD = f"""
prefx = "/ai"
[[upstreams]]
name = "claude"
preset = "antropic"
keys = ["{KEY}"]
[[models]]
name = "smart"
targets = ["nobody/x"]
"""


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "DS2API_CALLER_KEY", "DS2API_SECRET"):
        monkeypatch.setenv(name, f"{KEY}-{name.lower()}")


def written(directory: Path, text: str) -> str:
    path = directory / "ds2api.toml"
    path.write_text(text)
    return str(path)


@pytest.mark.usefixtures("environment")
def test_check_tells_what_it_understood(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "--config", written(tmp_path, GOOD)]) == 0
    told = capsys.readouterr()
    for part in ("no problems", "claude  anthropic_messages", "smart  ->  claude/claude-opus-5", "caller    web"):
        assert part in told.out
    assert KEY not in told.out + told.err


def test_F96_check_tells_every_problem_and_no_secret(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "--config", written(tmp_path, BAD)]) == 1
    told = capsys.readouterr()
    for part in ("prefx", "upstreams[0].preset", "upstreams[0].keys[0]", "targets"):
        assert part in told.err
    assert "prefix" in told.err, "the nearest known key is named"
    assert KEY not in told.out + told.err


def test_check_of_a_missing_file_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "--config", str(tmp_path / "none.toml")]) == 1
    assert "cannot be read" in capsys.readouterr().err


def test_missing_server_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], environment: None
) -> None:
    monkeypatch.setattr(cli, "find_spec", lambda name: None)
    assert cli.main(["serve", "--config", written(tmp_path, GOOD)]) == 2
    assert "asgi-ds2api[serve]" in capsys.readouterr().err


def test_wrong_command_is_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["dance"])
    assert caught.value.code == cli.MISUSE


@pytest.mark.usefixtures("environment")
def test_serve_runs_until_it_is_told_to_stop(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "asgi_ds2api", "serve", "--config", written(tmp_path, GOOD), "--port", "0"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=dict(os.environ)
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "asgi_ds2api listens on http://127.0.0.1:0\n"
    process.send_signal(signal.SIGTERM)
    rest, _ = process.communicate(timeout=30)
    assert process.returncode in (0, -signal.SIGTERM)
    assert KEY not in rest
