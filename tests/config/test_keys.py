"""Where secrets come from: variables, files that change, functions of the application; never the file itself."""

import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from asgi_ds2api.config import Config
from asgi_ds2api.config.keys import FileKey, ProvidedKey
from asgi_ds2api.config.reading import Flaw
from asgi_ds2api.errors import UpstreamError
from asgi_ds2api.secret import KeyDigest, Secret
from tests.support.canary import CANARY

from .samples import CALLER_KEY, ENVIRON, load, load_upstream, problems, upstream_problems

DIGEST = hashlib.sha256(CALLER_KEY.encode()).hexdigest()
HOW = 'put it into an environment variable and write "env:NAME", or into a file and write "file:PATH"'
UNNAMED = "the environment variable that it names is not set; set it, or take this entry out"
MAKE_ONE = "make one: openssl rand -hex 32"
WEAK = f"shorter than 16 characters; {MAKE_ONE}"
LITERAL = f"looks like the secret itself, which may not stand here; {HOW}"


async def key_of(raw: object, environ: Any = ENVIRON) -> str:
    """Return what an account would send."""
    source = load_upstream(environ, keys=[raw]).accounts[0].key
    return str((await source.current()).reveal())


# --- reading once -----------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_account_key_comes_from_a_variable_a_file_a_secret_or_a_function(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("sk-in-a-file\r\n")

    async def awaited() -> str:
        return "sk-awaited"

    assert await key_of("env:UPSTREAM_A") == CANARY
    assert await key_of(f"file:{path}") == "sk-in-a-file"
    assert await key_of(Secret("sk-given")) == "sk-given"
    assert await key_of(lambda: "sk-fetched") == "sk-fetched"
    assert await key_of(lambda: Secret("sk-fetched")) == "sk-fetched"
    assert await key_of(awaited) == "sk-awaited"


def test_source_of_a_key_shows_where_it_is_and_not_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(CANARY)
    made = load_upstream(keys=["env:UPSTREAM_B", f"file:{tmp_path}/key", Secret("sk-given"), lambda: CANARY])
    assert [repr(account.key) for account in made.accounts] == [
        "FixedKey(UPSTREAM_B)",
        f"FileKey({tmp_path}/key)",
        "FixedKey(***)",
        "ProvidedKey()",
    ]


@pytest.mark.anyio
async def test_B52_value_of_a_variable_is_taken_as_it_is() -> None:
    assert await key_of("env:X", {**ENVIRON, "X": "${HOME}{api_key}%(key)s"}) == "${HOME}{api_key}%(key)s"
    assert await key_of("env:X", {**ENVIRON, "X": "env:UPSTREAM_A"}) == "env:UPSTREAM_A"


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (CANARY, LITERAL),
        ("ENV:UPSTREAM_A", LITERAL),
        ("$UPSTREAM_A", LITERAL),
        ("${UPSTREAM_A}", LITERAL),
        (" env:UPSTREAM_A", LITERAL),
        ("", f"is empty; {HOW}"),
        (3, f"is an integer; {HOW}"),
        (["env:UPSTREAM_A"], f"is an array; {HOW}"),
        (f"sha256:{DIGEST}", f"is a digest, from which no key can be made; {HOW}"),
        ("env:", 'has no name of an environment variable after "env:"; write it as in "env:OPENAI_API_KEY"'),
        ("env:A B", 'has no name of an environment variable after "env:"; write it as in "env:OPENAI_API_KEY"'),
        (f"env:{CANARY}", 'has no name of an environment variable after "env:"; write it as in "env:OPENAI_API_KEY"'),
        ("env:NOT_THERE", "the environment variable NOT_THERE is not set; set it, or take this entry out"),
        ("env:sk_live_0123abc", UNNAMED),
        ("env:GSK_0123ABC" + "4" * 60, UNNAMED),
        ("env:EMPTY", "the environment variable EMPTY is empty; set it to the key alone"),
        (
            "env:TWO",
            "the environment variable TWO holds white space, control characters or characters that are not ASCII; "
            "set it to the key alone",
        ),
        ("file:", "names no file; write the path of a file"),
        ("file:a\x00b", "names no file; write the path of a file"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("where", ["keys", "accounts"])
def test_F96_M7_key_that_cannot_be_used_is_told_without_its_value(raw: object, line: str, where: str) -> None:
    environ = {**ENVIRON, "EMPTY": " \n", "TWO": f"{CANARY} {CANARY}"}
    if where == "keys":
        assert upstream_problems(environ, keys=[raw]) == [f"upstreams[0].keys[0]: {line}"]
    else:
        account = {"label": "a", "key": raw}
        assert upstream_problems(environ, accounts=[account]) == [f"upstreams[0].accounts[0].key: {line}"]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is empty; it must hold the key alone, in one line"),
        (b"\n \n", "is empty; it must hold the key alone, in one line"),
        (b"sk-a\nsk-b\n", "holds white space, control characters or characters that are not ASCII; it must hold"),
        (b"sk-\xc3\xa9", "holds white space, control characters or characters that are not ASCII; it must hold"),
        (b"\xef\xbb\xbfsk-a", "holds white space, control characters or characters that are not ASCII; it must hold"),
        (b"k" * 8_193, "is longer than 8192 characters; it must hold"),
        (b"k" * 1_000_000, "is longer than 8192 characters; it must hold"),
    ],
)
def test_F96_M7_file_that_holds_no_key_is_told(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    (line,) = upstream_problems(keys=[f"file:{path}"])
    assert line.startswith(f"upstreams[0].keys[0]: the file {path} {what}")


def test_F96_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    missing = "does not exist; check its path"
    special = "is not a regular file; name a file that holds the text"
    cases = {"absent": missing, "absent/key": missing, ".": special, "pipe": special}
    found = upstream_problems(keys=[f"file:{tmp_path / name}" for name in cases])
    told = [f"the file {tmp_path / name} {what}" for name, what in cases.items()]
    assert found == [f"upstreams[0].keys[{index}]: {line}" for index, line in enumerate(told)]


def test_F96_file_without_permission_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "no")

    (tmp_path / "key").write_text("sk-a")
    monkeypatch.setattr(Path, "open", refuse)
    (line,) = upstream_problems(keys=[f"file:{tmp_path}/key"])
    assert line.startswith(f"upstreams[0].keys[0]: the file {tmp_path}/key cannot be read (PermissionError);")


@pytest.mark.anyio
async def test_relative_path_starts_from_the_files_own_directory(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "a").write_text("sk-beside-the-file")
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----")
    path = tmp_path / "ds2api.toml"
    path.write_text(
        'auth = "none"\n[[upstreams]]\nname = "a"\npreset = "openai"\nkeys = ["file:keys/a"]\nca_file = "ca.pem"\n'
    )
    made = Config.load(path, {}).upstreams[0]
    key = made.accounts[0].key
    assert key is not None
    assert (await key.current()).reveal() == "sk-beside-the-file"
    assert made.ca_file == str(tmp_path / "ca.pem")


# --- what lets callers in, and what seals -----------------------------------------------------------------------------


@pytest.mark.parametrize("upper", [False, True])
def test_caller_key_is_kept_as_its_digest(upper: bool) -> None:
    digest = DIGEST.upper() if upper else DIGEST
    for raw in ("env:CALLER", Secret(CALLER_KEY), f"sha256:{digest}"):
        (caller,) = load(callers=[{"label": "web", "key": raw}]).callers
        assert caller.key == KeyDigest(DIGEST)
        assert caller.key.digest() == bytes.fromhex(DIGEST)
        assert caller.models == ("*",)


def test_caller_key_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(CALLER_KEY + "\n")
    (caller,) = load(callers=[{"label": "web", "key": f"file:{tmp_path}/key", "models": ["gpt-*"]}]).callers
    assert caller.key == Secret(CALLER_KEY)
    assert caller.models == ("gpt-*",)


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        ("sha256:", 'is no digest: "sha256:" is not followed by 64 hexadecimal digits'),
        (f"sha256:{DIGEST[:-1]}", 'is no digest: "sha256:" is not followed by 64 hexadecimal digits'),
        (f"sha256:{CALLER_KEY}", 'is no digest: "sha256:" is not followed by 64 hexadecimal digits'),
        (DIGEST, "looks like the secret itself, which may not stand here"),
        (CALLER_KEY, "looks like the secret itself, which may not stand here"),
        (lambda: CALLER_KEY, "is a function, and this one is read once, when the gateway starts"),
        ("env:SHORT", "its value is shorter than 16 characters"),
        ("env:DEFAULT", "its value is a well-known default that anybody would try"),
        ("env:NUMBERS", "its value is a well-known default that anybody would try"),
        ("env:HASH", "its value is a digest, which is never a key itself"),
        (Secret("aaaaaaaaaaaaaaaaaaaa"), "its value repeats a few characters"),
    ],
)
def test_B88_M15_caller_key_that_lets_strangers_in_is_refused(raw: object, what: str) -> None:
    weak = {"SHORT": "k3y-of-15-chars", "DEFAULT": "sk-1234", "NUMBERS": "123456", "HASH": f"sha256:{DIGEST}"}
    (line,) = problems({**ENVIRON, **weak}, callers=[{"label": "web", "key": raw}])
    assert line.partition(";")[0] == f"callers[0].key: {what}"


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        ("env:SHORT", f"secret: its value is {WEAK}"),
        ("env:DEFAULT", f"secret: its value is a well-known default that anybody would try; {MAKE_ONE}"),
        (["env:SECRET", "env:SHORT"], f"secret[1]: its value is {WEAK}"),
        ("5f0c1e9a7b3d24685f0c1e9a7b3d2468", f"secret: {LITERAL}"),
        ([], "secret: is empty; write at least one value, or leave the key out"),
        (f"sha256:{DIGEST}", f"secret: is a digest, from which no key can be made; {HOW}"),
    ],
)  # fmt: skip
def test_B88_M15_secret_that_strangers_would_guess_is_refused(raw: object, line: str) -> None:
    assert problems({**ENVIRON, "SHORT": "abc", "DEFAULT": "changeme"}, secret=raw) == [line]


@pytest.mark.parametrize("weak", ["k", "EMPTY", "sk-1234", "not-needed"])
def test_key_of_an_upstream_is_the_vendors_choice(weak: str) -> None:
    assert load_upstream({**ENVIRON, "X": weak}, keys=["env:X"]).accounts[0].key.known == Secret(weak)


# --- proxies and files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["http://proxy.example:3128", "https://proxy.example", "http://10.0.0.1:3128/"])
def test_proxy_without_a_password_may_stand_in_the_file(url: str) -> None:
    assert load_upstream(proxy=url).proxy == Secret(url)


def test_proxy_with_a_password_comes_from_where_secrets_come_from() -> None:
    url = f"http://user:{CANARY}@proxy.example:3128"
    made = load_upstream({**ENVIRON, "PROXY": url}, proxy="env:PROXY")
    assert made.proxy.reveal() == url
    assert CANARY not in repr(made)


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (f"http://user:{CANARY}@proxy.example", "holds a user name or a password"),
        ("proxy.example:3128", "is not a URL of the right kind"),
        ("ftp://proxy.example", "is not a URL of the right kind"),
        ("http://proxy.example/path", "is not the URL of a proxy"),
        ("http://proxy.example:0", "is a URL without a usable host"),
        ("env:NOT_THERE", "the environment variable NOT_THERE is not set"),
        (3, "is an integer"),
        ("http://a b", "holds white space, control characters or characters that are not ASCII"),
    ],
)
def test_F96_proxy_that_cannot_be_used_is_told(raw: object, what: str) -> None:
    (line,) = upstream_problems(proxy=raw)
    assert line.partition(";")[0] == f"upstreams[0].proxy: {what}"


def test_F96_socks_proxy_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asgi_ds2api.config.keys.find_spec", lambda name: None)
    assert upstream_problems(proxy="socks5://127.0.0.1:1080") == [
        'upstreams[0].proxy: is a SOCKS proxy, which needs a package that is not installed; install "httpx[socks]"'
    ]
    monkeypatch.setattr("asgi_ds2api.config.keys.find_spec", lambda name: object())
    assert load_upstream(proxy="socks5://127.0.0.1:1080").proxy == Secret("socks5://127.0.0.1:1080")


@pytest.mark.parametrize("key", ["ca_file", "client_cert"])
def test_F96_file_for_tls_must_be_readable(tmp_path: Path, key: str) -> None:
    (tmp_path / "x.pem").write_text("-----BEGIN CERTIFICATE-----")
    readable: dict[str, Any] = {key: str(tmp_path / "x.pem")}
    assert getattr(load_upstream(**readable), key) == str(tmp_path / "x.pem")
    absent: dict[str, Any] = {key: str(tmp_path / "y.pem")}
    assert upstream_problems(**absent) == [
        f"upstreams[0].{key}: the file {tmp_path}/y.pem does not exist; check its path"
    ]
    wrong: dict[str, Any] = {key: 3}
    assert upstream_problems(**wrong) == [f"upstreams[0].{key}: is an integer; write the path of a file"]


# --- files that change ------------------------------------------------------------------------------------------------


def replace(path: Path, text: str) -> None:
    """Put another file in its place, as secrets are rotated."""
    if path.is_dir():
        path.rmdir()
    fresh = path.with_name("fresh")
    fresh.write_text(text)
    fresh.rename(path)


def write_over_within_one_tick(path: Path, text: str) -> None:
    """Change what is in a file, and not the time at which it was changed."""
    was = path.stat()
    path.write_text(text)
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text("sk-first")
    return path


@pytest.mark.anyio
async def test_file_is_read_again_when_it_changes(key_file: Path) -> None:
    source = FileKey(key_file)
    assert (await source.current()).reveal() == "sk-first"
    replace(key_file, "sk-second\n")
    assert (await source.current()).reveal() == "sk-second"
    assert source.known == Secret("sk-second")


@pytest.mark.anyio
async def test_file_that_is_written_over_is_read_again_even_within_one_tick_of_the_clock(key_file: Path) -> None:
    source = FileKey(key_file)
    write_over_within_one_tick(key_file, "sk-longer")
    assert (await source.current()).reveal() == "sk-longer"


@pytest.mark.anyio
async def test_link_that_points_elsewhere_is_read_again(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text(f"sk-{name}")
    link = tmp_path / "link"
    link.symlink_to("one")
    source = FileKey(link)
    link.unlink()
    link.symlink_to("two")
    assert (await source.current()).reveal() == "sk-two"


@pytest.mark.anyio
async def test_file_that_did_not_change_is_not_read_again(key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = FileKey(key_file)

    def read(*_: object) -> None:
        raise AssertionError("it was read")

    monkeypatch.setattr(Path, "open", read)
    assert (await source.current()).reveal() == "sk-first"


def remove(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    replace(path, "\n")


def two_lines(path: Path) -> None:
    replace(path, "sk-a\nsk-b")


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (remove, "does not exist"),
        (empty, "is empty"),
        (two_lines, "holds white space, control characters or characters that are not ASCII"),
        (directory, "is not a regular file"),
    ],
)
async def test_last_good_key_stays_and_the_log_says_so_once(
    key_file: Path, damage: Callable[[Path], None], what: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "asgi_ds2api.keys")
    source = FileKey(key_file)
    damage(key_file)
    for _ in range(3):
        assert (await source.current()).reveal() == "sk-first"
    assert caplog.messages == [f"the key file {key_file} {what}; the last good key stays in use"]
    replace(key_file, "sk-mended")
    for _ in range(2):
        assert (await source.current()).reveal() == "sk-mended"
    assert caplog.messages[1:] == [f"the key file {key_file} is usable again"]


def test_first_reading_of_a_file_must_succeed(tmp_path: Path) -> None:
    with pytest.raises(Flaw, match="does not exist"):
        FileKey(tmp_path / "absent")


# --- functions of the application -------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_function_is_asked_every_time() -> None:
    given = iter(["sk-one", "sk-two"])
    source = ProvidedKey(lambda: next(given))
    assert [(await source.current()).reveal() for _ in range(2)] == ["sk-one", "sk-two"]


def raises() -> str:
    raise RuntimeError(f"no token for {CANARY}")


async def fails() -> str:
    raise OSError(f"no token for {CANARY}")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("provider", "logged"),
    [
        (raises, "a key provider raised RuntimeError"),
        (fails, "a key provider raised OSError"),
        (anyio.sleep_forever, "a key provider raised TimeoutError"),
        (lambda: None, "a key provider gave something that is no key"),
        (lambda: b"sk-bytes", "a key provider gave something that is no key"),
        (lambda: "", "a key provider gave something that is no key"),
        (lambda: f"{CANARY} {CANARY}", "a key provider gave something that is no key"),
    ],
)
async def test_M7_function_that_gives_no_key_fails_the_attempt_and_tells_nothing(
    provider: Any, logged: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(UpstreamError) as caught:
        await ProvidedKey(provider, timeout_s=0.01).current()
    assert (caught.value.code, caught.value.status, caught.value.is_retryable) == ("key_unavailable", 502, True)
    assert not caught.value.may_be_billed
    assert caplog.messages == [logged]
    assert CANARY not in caplog.text + str(caught.value) + repr(caught.value)
