"""No message, repr or traceback of a configuration shows a value, wherever somebody wrote one."""

import copy
import itertools
import pickle
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

import asgi_ds2api
from asgi_ds2api.config import Config
from asgi_ds2api.config.reading import Environment
from asgi_ds2api.errors import ConfigError
from asgi_ds2api.secret import KeyDigest, Secret

from .samples import CALLER_KEY, ENVIRON, load, sample, toml

CANARY = "hunter2-is-no-token-of-any-known-form"
"""Looks like no credential, so that nothing but discipline keeps it out of a message."""
PACKAGE = Path(asgi_ds2api.__file__).parent
ENV = {**ENVIRON, "CANARY": CANARY, "TWO": f"{CANARY} {CANARY}", "PROXY": f"http://u:{CANARY}@proxy.example:3128"}


def full() -> dict[str, Any]:
    """Return a configuration that says everything."""
    return sample(
        prefix=["/ai"],
        auth="callers",
        on_unsupported="notice",
        strategy="weighted",
        debug_headers=False,
        route_headers=True,
        cors_origins=["https://app.example"],
        secret=["env:SECRET", "env:CANARY"],
        prefixes=[{"path": "/ai", "on_unsupported": "reject"}],
        upstreams=[
            {
                "name": "a",
                "preset": "openai",
                "protocol": "openai_chat",
                "base_url": "https://api.example/v1",
                "profile": {"base": "lenient", "vendor": "x", "query": {"a": "b"}, "drop": ["c"]},
                "keys": ["env:UPSTREAM_A", Secret(CANARY), lambda: CANARY],
                "models": ["gpt-*"],
                "proxy": "env:PROXY",
                "transport": "auto",
            },
            {
                "name": "b",
                "preset": "anthropic",
                "accounts": [{"label": "x", "key": "env:CANARY", "weight": 1}],
            },
        ],
        models=[{"name": "smart", "targets": ["a/x", "b/*"]}],
        callers=[
            {"label": "web", "key": "env:CALLER", "models": ["*"]},
            {"label": "app", "key": KEY_DIGEST, "models": ["smart"]},
        ],
        status={"key": "env:STATUS", "health": True},
        limits={"max_depth": 64},
        timeouts={"idle_s": 30},
    )


KEY_DIGEST = "sha256:" + Secret(CANARY).digest().hex()
SECRETS = [
    CANARY,
    CALLER_KEY,
    ENVIRON["UPSTREAM_A"],
    ENVIRON["SECRET"],
    ENVIRON["STATUS"],
    KEY_DIGEST[7:],
    Secret(CALLER_KEY).digest().hex(),
]


def assert_silent(text: str) -> None:
    assert [secret for secret in SECRETS if secret in text] == []


def test_M7_repr_of_a_configuration_shows_no_secret() -> None:
    config = Config.from_dict(full(), ENV)
    shown = f"{config!r} {config} {config.upstreams} {config.warnings()}"
    assert "Secret(***)" in shown
    assert_silent(shown)


@pytest.mark.parametrize("leak", [pickle.dumps, copy.deepcopy, msgspec.json.encode, msgspec.to_builtins])
def test_M7_configuration_is_not_copied_out(leak: Callable[[object], object]) -> None:
    config = Config.from_dict({**full(), "upstreams": full()["upstreams"][1:], "models": None}, ENV)
    with pytest.raises(TypeError) as caught:
        leak(config)
    assert_silent(str(caught.value))


def places(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value in a document, leaves and branches."""
    if path:
        yield path
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from places(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from places(inner, (*path, index))


def put(document: dict[str, Any], path: tuple[Any, ...], value: object) -> dict[str, Any]:
    """Return the document with another value at a path."""
    branch: Any = document
    for step in path[:-1]:
        branch = branch[step]
    branch[path[-1]] = value
    return document


PLACES = list(places(full()))
WRONG: dict[str, object] = {
    "literal": CANARY,
    "env": f"env:{CANARY}",
    "sha256": f"sha256:{CANARY}",
    "padded": f" {CANARY}\n",
    "list": [CANARY],
    "table": {"key": CANARY},
    "holding": "env:TWO",
    "url": f"https://user:{CANARY}@host/?key={CANARY}",
    "bytes": CANARY.encode(),
}


CHOSEN = {"name", "label", "vendor", "models", "a", "drop", "targets"}
"""Words that are anybody's choice, and public: the log and the status show them."""


@pytest.mark.parametrize("path", PLACES, ids=lambda path: ".".join(map(str, path)))
def test_M7_F96_secret_in_the_wrong_place_is_in_no_message(path: tuple[Any, ...]) -> None:
    for value in WRONG.values():
        try:
            config = Config.from_dict(put(full(), path, value), ENV)
        except ConfigError as error:
            if path[-1] != "name":
                assert_silent(f"{error} {error!r} {error.problems}")
        else:
            assert CHOSEN & set(path[-2:]), config


@pytest.mark.parametrize("table", ["", "upstreams[0]", "callers[0]", "limits"])
def test_M7_secret_as_the_name_of_a_key_is_in_no_message(table: str) -> None:
    token = "sk-live-0123456789abcdef0123456789"
    branch: Any = (document := full())
    for step in filter(None, table.replace("]", "").replace("[", ".").split(".")):
        branch = branch[int(step) if step.isdigit() else step]
    branch[token] = 1
    with pytest.raises(ConfigError) as caught:
        Config.from_dict(document, ENV)
    assert token not in str(caught.value)


def test_M7_text_of_a_file_is_in_no_message_and_no_traceback(tmp_path: Path) -> None:
    texts = [
        f'secret = "{CANARY}"\n',
        f"secret = {CANARY}\n",
        f'secret = "{CANARY}\n',
        f'[[upstreams]]\nname = "a"\npreset = "openai"\nkeys = ["{CANARY}"]\n',
        f'"{CANARY}" = 1\n"{CANARY}" = 2\n',
        f"[{CANARY}]\n[{CANARY}]\n",
    ]
    for text in texts[:4]:
        with pytest.raises(ConfigError) as caught:
            Config.load(toml(tmp_path, text), ENV)
        assert_silent(told_with_locals(caught.value))
    for text in texts[4:]:
        with pytest.raises(ConfigError) as caught:
            Config.load(toml(tmp_path, text), ENV)
        assert_silent("".join(caught.value.problems))


@pytest.mark.parametrize(
    "call",
    [
        lambda: Config.from_env({**ENV, "OPENAI_API_KEY": CANARY, "DS2API_AUTH": "zzz"}),
        lambda: Config.find({**ENV, "DS2API_CONFIG": "/absent.toml"}),
        lambda: Config.load("/absent.toml", dict(ENV)),
        lambda: Config.from_dict({"auth": "zzz"}, dict(ENV)),
    ],
    ids=["from_env", "find", "load", "from_dict"],
)
def test_M7_environment_is_in_no_traceback(call: Callable[[], Config]) -> None:
    with pytest.raises(ConfigError) as caught:
        call()
    assert_silent(told_with_locals(caught.value))


def told_with_locals(error: BaseException) -> str:
    """Return the traceback as reporters of errors collect it: with the variables of every frame of ours."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    ours = [frame for frame in frames if Path(frame.f_code.co_filename).is_relative_to(PACKAGE)]
    assert ours
    return repr([error, *itertools.chain.from_iterable(frame.f_locals.values() for frame in ours)])


def test_digest_of_a_caller_is_hidden_as_its_key_is() -> None:
    config = load(callers=[{"label": "web", "key": KEY_DIGEST}])
    assert config.callers[0].key == KeyDigest(KEY_DIGEST[7:])
    assert_silent(repr(config.callers))


def test_environment_shows_none_of_its_variables() -> None:
    environ = Environment(ENV)
    assert repr(environ) == "Environment(***)"
    assert (len(environ), dict(environ)) == (len(ENV), ENV)
