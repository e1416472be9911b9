"""``asgi-ds2api accounts`` and ``account``: the real command, asking a gateway under a real server."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asgi_ds2api import cli
from asgi_ds2api.middleware import DS2APIMiddleware
from asgi_ds2api.status import client
from tests.support.raw_upstream import RawUpstream
from tests.support.script import Expect
from tests.support.serving import serve
from tests.support.waiting import WAIT_S

from .house import CALLER_KEY, STATUS_KEY, House


async def host(scope: Any, receive: Any, send: Any) -> None:
    """Answer as an application does that knows nothing of a status: with a redirect, a page, or not at all."""
    path = scope["path"]
    status = 307 if path.startswith("/moved") else 404 if path.startswith("/absent") else 200
    status = 500 if path.startswith("/broken") else status
    headers = [(b"location", b"/ai/status")] if status == 307 else []
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"<html>", "more_body": False})


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
def url(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the address of a gateway inside an application, whose key is in the environment."""
    monkeypatch.setenv("DS2API_STATUS_KEY", STATUS_KEY)
    with serve(DS2APIMiddleware(host, gateway=house.gateway, prefix="/ai"), lifespan="off") as served:
        yield f"{served.url}/ai"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Return exit code, standard output and standard error; no secret is in them."""
    code = cli.main(arguments)
    told = capsys.readouterr()
    assert STATUS_KEY not in told.out + told.err
    return code, told.out, told.err


def test_command_shows_the_accounts_of_a_running_gateway(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "accounts", "--url", url) == (
        0,
        """\
ready; 0 active; state: memory

accounts
  account  state    reason  opens in  in flight  done/failed  left  begins in
  chat/a0  healthy  -       -         0          0/0          -     -
  chat/a1  healthy  -       -         0          0/0          -     -

upstreams
  upstream  waiting  hit rate  cached  saved
  chat      0        -         -       -
""",
        "",
    )


def test_programs_get_json(url: str, house: House, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "accounts", "--url", f"{url}/", "--json")
    assert (code, err) == (0, "")
    assert [account["account"] for account in json.loads(out)["accounts"]] == ["chat/a0", "chat/a1"]
    code, out, _ = run(capsys, "account", "disable", "--url", url, "--json", "chat/a0")
    assert (code, json.loads(out)["state"]) == (0, "disabled")


def test_accounts_are_disabled_reset_and_enabled_by_hand(
    url: str, house: House, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    names = ("chat/a0", "chat/a1")
    told = run(capsys, "account", "disable", "--url", url, *names)
    assert told == (0, "chat/a0: disabled (operator)\nchat/a1: disabled (operator)\n", "")
    assert [account.state for account in house.snapshot().accounts] == ["disabled"] * 2
    assert run(capsys, "accounts", "--url", url)[1].startswith("no account may be used;")
    assert run(capsys, "account", "reset", "--url", url, "chat/a0")[1] == "chat/a0: disabled (operator)\n"
    assert run(capsys, "account", "enable", "--url", url, *names)[1] == "chat/a0: healthy\nchat/a1: healthy\n"


def test_one_that_is_not_there_keeps_no_other_from_being_done(
    url: str, house: House, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    code, out, err = run(capsys, "account", "disable", "--url", url, "chat/a9", "chat/a1")
    assert (code, out) == (1, "chat/a1: disabled (operator)\n")
    assert err == f"chat/a9: {url}: There is no such account here. An account is called UPSTREAM/LABEL.\n"


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("/absent", "there is no status route. Does the address end with the gateway's prefix"),
        ("/moved", "the address leads elsewhere. Give the one where it leads to"),
        ("/page", "what answers is no gateway, or one of another version"),
        ("/broken", "the answer was 500"),
    ],
)
def test_what_is_wrong_is_told_with_what_to_do(
    url: str, path: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    address = url.removesuffix("/ai") + path
    code, out, err = run(capsys, "accounts", "--url", address)
    assert (code, out) == (1, "")
    assert err.startswith(f"{address}: {problem}")


def test_answer_without_an_end_is_not_read(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "MAX_BYTES", 5)
    code, _, err = run(capsys, "accounts", "--url", url)
    assert (code, err) == (1, f"{url}: what answers is no gateway: it sends too much\n")


def test_P_05_key_of_a_caller_is_refused(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOB", CALLER_KEY)
    code, out, err = run(capsys, "accounts", "--url", url, "--key", "env:BOB")
    assert (code, out) == (1, "")
    assert err.startswith(f"{url}: the gateway refused the key. Set DS2API_STATUS_KEY to the key of its [status] table")
    assert CALLER_KEY not in err


def test_key_may_be_in_a_file(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text(f"{STATUS_KEY}\n")
    monkeypatch.delenv("DS2API_STATUS_KEY")
    assert run(capsys, "accounts", "--url", url, "--key", f"file:{tmp_path}/key")[0] == 0


def test_gateway_without_the_table_has_no_route(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DS2API_STATUS_KEY", STATUS_KEY)
    with serve(House(status=None).gateway, lifespan="off") as served:
        code, _, err = run(capsys, "accounts", "--url", served.url)
    assert code == 1
    assert "Does its configuration have [status] with a key?" in err


# --- without a gateway ------------------------------------------------------------------------------------------------


def test_nobody_at_the_address_is_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DS2API_STATUS_KEY", STATUS_KEY)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        code, _, err = run(capsys, "accounts", "--url", url)
    assert (code, err) == (
        1,
        f"{url}: nothing answers. Does the gateway run there? Say where it runs with --url http://HOST:PORT/PREFIX\n",
    )


@pytest.mark.anyio
async def test_connection_that_breaks_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DS2API_STATUS_KEY", STATUS_KEY)
    async with RawUpstream([Expect()]) as rude:
        url = rude.url
        code, _, err = await asyncio.to_thread(run, capsys, "accounts", "--url", url)
    assert (code, err) == (1, f"{url}: the connection broke (RemoteProtocolError)\n")


def test_who_says_nothing_is_not_waited_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DS2API_STATUS_KEY", STATUS_KEY)
    monkeypatch.setattr(client, "TIMEOUT_S", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        code, _, err = run(capsys, "accounts", "--url", url)
    assert (code, err) == (1, f"{url}: no answer came within 0 s\n")


def test_without_a_key_the_command_says_where_it_belongs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DS2API_STATUS_KEY", raising=False)
    code, out, err = run(capsys, "accounts")
    assert (code, out) == (2, "")
    assert err.startswith("set DS2API_STATUS_KEY to the key of the gateway's [status] table")


@pytest.mark.parametrize("command", [["accounts"], ["account", "disable", "chat/a0"]], ids=lambda words: words[0])
def test_P_02_key_itself_on_the_command_line_is_refused_and_not_repeated(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, *command, "--key", STATUS_KEY)
    assert (code, out) == (2, "")
    assert err.startswith("--key looks like the secret itself, which may not stand here; put it into an environment")


def test_address_that_is_none_is_refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DS2API_STATUS_KEY", STATUS_KEY)
    code, _, err = run(capsys, "accounts", "--url", "localhost:8000")
    assert code == 2
    assert err.startswith("--url ")


def test_key_that_others_can_read_on_the_way_is_warned_of(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DS2API_STATUS_KEY", STATUS_KEY)
    assert cli._client(cli._parser().parse_args(["accounts", "--url", "http://gateway.example"])) is not None
    assert capsys.readouterr().err == "warning: plain http to another machine: the key can be read on the way\n"


@pytest.mark.parametrize("name", ["a0", "chat/", "/a0", "chat/a0/x", "chat/../a0", "chat/a 0", "chat/a0\n"])
def test_name_that_no_account_can_have_is_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["account", "reset", name])
    assert caught.value.code == 2
    assert "an account is UPSTREAM/LABEL, as asgi-ds2api accounts shows it" in capsys.readouterr().err


def test_installed_command_asks_a_running_gateway(url: str, house: House) -> None:
    command = [sys.executable, "-m", "asgi_ds2api", "account", "disable", "--url", url, "chat/a0"]
    done = subprocess.run(command, capture_output=True, timeout=WAIT_S, check=False, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "chat/a0: disabled (operator)\n", "")
    assert house.snapshot().accounts[0].reason == "operator"
