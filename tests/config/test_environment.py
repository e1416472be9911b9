"""Without a file: upstreams from the variables that vendors' SDKs read, callers and settings from our own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from asgi_ds2api.config import Config
from asgi_ds2api.config.environment import SETTINGS
from asgi_ds2api.config.tables import ConfigTable
from asgi_ds2api.errors import ConfigError
from asgi_ds2api.presets import PRESETS, key_variables
from asgi_ds2api.secret import KeyDigest, Secret

from .samples import CALLER_KEY, toml

KEYS: Mapping[str, str] = {
    "OPENAI_API_KEY": "sk-openai-1",
    "DS2API_CALLER_KEY": CALLER_KEY,
    "DS2API_SECRET": "5f0c1e9a7b3d2468",
}
EVERYBODY = 'auth = "none": everybody who can reach this gateway may use it, at your expense'


def from_env(has_authorize: bool | None = None, **changes: str | None) -> Config:
    environ = {name: value for name, value in {**KEYS, **changes}.items() if value is not None}
    return Config.from_env(environ, has_authorize=has_authorize)


def problems(has_authorize: bool | None = None, **changes: str | None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        from_env(has_authorize, **changes)
    return list(caught.value.problems)


def accounts(config: Config) -> dict[str, list[tuple[str, str]]]:
    """Return name of an upstream -> label and key of each account."""
    found: dict[str, list[tuple[str, str]]] = {}
    for upstream in config.upstreams:
        known = [(account.label, account.key.known) for account in upstream.accounts if account.key is not None]
        found[upstream.name] = [(label, key.reveal()) for label, key in known if key is not None]
    return found


def test_upstreams_are_those_whose_keys_are_set() -> None:
    assert accounts(from_env()) == {"openai": [("OPENAI_API_KEY", "sk-openai-1")]}
    both = from_env(ANTHROPIC_API_KEY="sk-ant-1")
    assert list(accounts(both)) == ["openai", "anthropic"]
    assert [upstream.models for upstream in both.upstreams] == [
        PRESETS[name].models for name in ("openai", "anthropic")
    ]


def test_numbered_variables_are_further_accounts_in_order() -> None:
    config = from_env(
        OPENAI_API_KEY_10="sk-openai-10",
        OPENAI_API_KEY_2="sk-openai-2",
        OPENAI_API_KEY_4="sk-openai-4",
        OPENAI_API_KEY_3=" ",
        OPENAI_API_KEY_X="sk-openai-x",
        OPENAI_API_KEY_02="sk-openai-02",
        OPENAI_API_KEY_OLD_2="sk-openai-old",
    )
    numbers = ["", "_2", "_4", "_10"]
    expected = [(f"OPENAI_API_KEY{number}", f"sk-openai-{number.strip('_') or 1}") for number in numbers]
    assert accounts(config) == {"openai": expected}


def test_numbered_variable_counts_without_the_first_one() -> None:
    assert accounts(from_env(OPENAI_API_KEY=None, OPENAI_API_KEY_2="sk-2")) == {
        "openai": [("OPENAI_API_KEY_2", "sk-2")]
    }


@pytest.mark.parametrize("empty", ["", " ", "\n"])
def test_empty_variable_is_an_absent_one(empty: str) -> None:
    config = from_env(ANTHROPIC_API_KEY=empty, DS2API_AUTH=empty, DS2API_PREFIX=empty)
    assert list(accounts(config)) == ["openai"]
    assert (config.auth, config.prefix) == ("callers", ("/ai",))


def test_callers_are_numbered_too() -> None:
    config = from_env(DS2API_CALLER_KEY_2="another-caller-key-1")
    assert [(caller.label, caller.key) for caller in config.callers] == [
        ("caller", KeyDigest.of(Secret(CALLER_KEY))),
        ("caller-2", KeyDigest.of(Secret("another-caller-key-1"))),
    ]


def test_secrets_are_numbered_too() -> None:
    config = from_env(DS2API_SECRET_2="7b3d24685f0c1e9a")
    assert [secret.reveal() for secret in config.secrets] == [KEYS["DS2API_SECRET"], "7b3d24685f0c1e9a"]


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("DS2API_PREFIX", "/ai", ("/ai",)),
        ("DS2API_PREFIX", "/a, /b", ("/a", "/b")),
        ("DS2API_AUTH", "none", "none"),
        ("DS2API_ON_UNSUPPORTED", "reject", "reject"),
        ("DS2API_STRATEGY", "weighted", "weighted"),
        ("DS2API_DEBUG_HEADERS", "true", True),
        ("DS2API_DEBUG_HEADERS", "1", True),
        ("DS2API_QUERY_KEY", "1", True),
        ("DS2API_DEBUG_HEADERS", "False", False),
        ("DS2API_ROUTE_HEADERS", "0", False),
        ("DS2API_CORS_ORIGINS", "https://a.example,https://b.example", ("https://a.example", "https://b.example")),
    ],
)
def test_setting_is_read_from_its_variable(name: str, text: str, value: object) -> None:
    settings: dict[str, Any] = {name: text}
    assert getattr(from_env(**settings), SETTINGS[name]) == value


@pytest.mark.parametrize("key", ["fan_out", "resume_pauses", "hedge"])
def test_switch_of_all_upstreams_has_its_variable(key: str) -> None:
    settings: dict[str, Any] = {f"DS2API_{key.upper()}": "true"}
    assert [getattr(upstream, key) for upstream in from_env(**settings).upstreams] == [True]


def test_every_plain_key_of_the_configuration_has_its_variable() -> None:
    tables = {"secret", "prefixes", "upstreams", "models", "callers", "prices", "status", "limits", "timeouts"}
    assert sorted(SETTINGS.values()) == sorted(set(ConfigTable.__struct_fields__) - tables)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"DS2API_AUTH": "nobody"},
            "DS2API_AUTH: is none of the words that may stand here; write one of 'callers', 'host', 'none'",
        ),
        ({"DS2API_DEBUG_HEADERS": "ja"}, "DS2API_DEBUG_HEADERS: is a string; write true or false"),
        (
            {"DS2API_PREFIX": "/a,b"},
            'DS2API_PREFIX: is no prefix; write a path like "/ai": absolute, plain segments, no slash at the end',
        ),
        (
            {"OPENAI_API_KEY_2": "a b"},
            "OPENAI_API_KEY_2: the environment variable OPENAI_API_KEY_2 holds white space, control characters or "
            "characters that are not ASCII; set it to the key alone",
        ),
        (
            {"OPENAI_API_KEY_2": "sk-openai-1"},
            "OPENAI_API_KEY_2: is the same key as OPENAI_API_KEY; each may be there once",
        ),
        (
            {"DS2API_CALLER_KEY": "sk-1234"},
            "DS2API_CALLER_KEY: its value is a well-known default that anybody would try; "
            "make one: openssl rand -hex 32",
        ),
        (
            {"DS2API_SECRET": "short"},
            "DS2API_SECRET: its value is shorter than 16 characters; make one: openssl rand -hex 32",
        ),
        (
            {"OPENAI_API_KEY": None},
            "environment: no upstream is configured; "
            f"set one of {', '.join(key_variables(PRESETS).values())}, or write ds2api.toml",
        ),
    ],
)  # fmt: skip
def test_F96_B88_problem_is_told_by_the_name_of_its_variable(changes: dict[str, Any], line: str) -> None:
    assert problems(**changes) == [line]


def test_F96_B88_nobody_who_may_come_in_is_told_with_the_lines_that_mend_it() -> None:
    assert problems(DS2API_CALLER_KEY=None) == [
        "environment: no caller is configured, so nobody could use this gateway; "
        "set a key of your own for who may use it:\n"
        '        export DS2API_CALLER_KEY="$(openssl rand -hex 32)"\n'
        "    or let everybody in, at your expense:\n"
        "        export DS2API_AUTH=none\n"
        "    or write ds2api.toml with:\n"
        "        [[callers]]\n"
        '        label = "me"\n'
        '        key = "env:DS2API_CALLER_KEY"'
    ]


def test_F96_every_problem_of_an_empty_environment_is_told() -> None:
    with pytest.raises(ConfigError) as caught:
        Config.from_env({})
    assert [problem.partition(";")[0] for problem in caught.value.problems] == [
        "environment: no upstream is configured",
        "environment: no caller is configured, so nobody could use this gateway",
    ]


def test_application_that_knows_its_users_needs_no_caller() -> None:
    assert from_env(has_authorize=True, DS2API_CALLER_KEY=None).auth == "host"


@pytest.mark.parametrize(
    ("name", "warning"),
    [
        ("DS2API_CALER_KEY", "environment variable DS2API_CALER_KEY is not read; did you mean DS2API_CALLER_KEY?"),
        ("DS2API_FOO", "environment variable DS2API_FOO is not read"),
        ("DS2API_AUTH_2", "environment variable DS2API_AUTH_2 is not read; did you mean DS2API_AUTH?"),
    ],
)
def test_variable_of_ours_that_nobody_reads_is_warned_of(name: str, warning: str) -> None:
    stranger: dict[str, Any] = {name: "x"}
    assert from_env(**stranger).warnings() == (warning,)


def test_variables_that_are_read_are_not_warned_of() -> None:
    config = from_env(DS2API_CONFIG=" ", DS2API_CALLER_KEY_2="another-caller-key-1", DS2API_SECRET_2="7b3d24685f0c1e9a")
    assert config.warnings() == ()


# --- where a configuration is found -----------------------------------------------------------------------------------

TOML = """
auth = "none"
secret = "env:DS2API_SECRET"
[[upstreams]]
name = "%s"
protocol = "openai_chat"
base_url = "http://127.0.0.1:1"
"""


def test_file_that_the_variable_names_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml(tmp_path, TOML % "here")
    named = tmp_path / "other.toml"
    named.write_text(TOML % "named")
    monkeypatch.chdir(tmp_path)
    config = Config.find({**KEYS, "DS2API_CONFIG": str(named)})
    assert (config.source, config.upstreams[0].name, config.warnings()) == (str(named), "named", (EVERYBODY,))


def test_file_in_the_working_directory_comes_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml(tmp_path, TOML % "here")
    monkeypatch.chdir(tmp_path)
    config = Config.find(KEYS)
    assert (config.source, config.upstreams[0].name) == ("ds2api.toml", "here")


def test_environment_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = Config.find({**KEYS, "DS2API_CONFIG": ""})
    assert (config.source, config.upstreams[0].name) == ("environment", "openai")


def test_F96_file_that_the_variable_names_and_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml: does not exist"):
        Config.find({**KEYS, "DS2API_CONFIG": str(tmp_path / "absent.toml")})


def test_process_environment_is_what_is_read_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("DS2API_CONFIG", raising=False)
    assert Config.find().callers == Config.from_env().callers == from_env().callers
    assert Config.load(toml(tmp_path, TOML % "x")).secrets == (Secret(KEYS["DS2API_SECRET"]),)


def test_status_route_is_there_where_its_variable_is() -> None:
    assert from_env().status is None
    made = from_env(DS2API_STATUS_KEY="the-status-key-of-tests").status
    assert made is not None
    assert made.key == KeyDigest.of(Secret("the-status-key-of-tests"))
    assert problems(DS2API_STATUS_KEY="short") == [
        "DS2API_STATUS_KEY: its value is shorter than 16 characters; make one: openssl rand -hex 32"
    ]
