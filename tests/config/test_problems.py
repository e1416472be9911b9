"""Every problem is told at once: where it is, what it is, how to mend it."""

import math
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from asgi_ds2api.config import Config
from asgi_ds2api.config.reading import nearest
from asgi_ds2api.errors import ConfigError

from .samples import ENVIRON, load, problems, sample, toml, upstream, upstream_problems


def test_F96_sound_configuration_has_no_problem() -> None:
    assert load().upstreams[0].name == "a"


def test_F96_every_problem_is_told_at_once_with_its_place(tmp_path: Path) -> None:
    path = toml(
        tmp_path,
        """
        auth = "calers"
        prefx = "/ai"
        [[upstreams]]
        name = "a"
        preset = "antropic"
        keys = ["env:NOT_THERE", 3]
        [[upstreams]]
        name = "b"
        protocol = "openai_chat"
        base_url = "http://user:password@host/v1"
        accounts = [ { label = "x", kee = "env:A" } ]
        [[upstreams]]
        name = "b"
        [[models]]
        name = "smart"
        targets = ["c/model", "nothing"]
        [limits]
        max_depth = 4
        [timeouts]
        idle_s = "long"
        """,
    )
    with pytest.raises(ConfigError) as caught:
        Config.load(path, {})
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "prefx",
        "auth",
        "upstreams[0].preset",
        "upstreams[0].keys[0]",
        "upstreams[0].keys[1]",
        "upstreams[1].base_url",
        "upstreams[1].accounts[0].kee",
        "upstreams[1].accounts[0].key",
        "models[0].targets[1]",
        "limits.max_depth",
        "timeouts.idle_s",
        "upstreams[2].name",
        "upstreams[2].preset",
        "models[0].targets[0]",
    ]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"prefx": "/ai"}, "prefx: there is no such key; did you mean 'prefix'?"),
        ({"on-unsupported": "drop"}, "on-unsupported: there is no such key; did you mean 'on_unsupported'?"),
        ({"Auth": "none"}, "Auth: there is no such key; did you mean 'auth'?"),
        ({"connect_s": 5}, "connect_s: there is no such key; it belongs into the table [timeouts]"),
        ({"max_body_bytes": 5}, "max_body_bytes: there is no such key; it belongs into the table [limits]"),
        (
            {"limits": {"max_bodybytes": 5}},
            "limits.max_bodybytes: there is no such key; did you mean 'max_body_bytes'?",
        ),
        (
            {"timeouts": {"max_depth": 5}},
            "timeouts.max_depth: there is no such key; it belongs into the table [limits]",
        ),
        (
            {"callers": [{"label": "web", "key": "env:CALLER", "auth": "none"}]},
            "callers[0].auth: there is no such key; it is a key of the whole: write it above the first [table]",
        ),
        (
            {"models": [{"name": "m", "targets": ["a/b"], "zzz": 1}]},
            "models[0].zzz: there is no such key; known here: name, targets",
        ),
    ],
)
def test_F96_unknown_key_names_the_nearest_one(changes: dict[str, Any], line: str) -> None:
    assert problems(**changes) == [line]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"upstreams": 3}, "upstreams: is an integer; write an array"),
        ({"upstreams": [3]}, "upstreams[0]: is an integer; write a table"),
        ({"upstreams": {"a": {}}}, "upstreams: is a table; write an array"),
        ({"limits": [1]}, "limits: is an array; write a table"),
        ({"limits": {"max_depth": "128"}}, "limits.max_depth: is a string; write an integer"),
        ({"limits": {"max_depth": True}}, "limits.max_depth: is true or false; write an integer"),
        ({"limits": {"max_depth": 128.0}}, "limits.max_depth: is a number; write an integer"),
        ({"timeouts": {"idle_s": date(2026, 1, 1)}}, "timeouts.idle_s: is a date or a time; write a number"),
        ({"timeouts": {"idle_s": False}}, "timeouts.idle_s: is true or false; write a number"),
        ({"debug_headers": "yes"}, "debug_headers: is a string; write true or false"),
        ({"debug_headers": 1}, "debug_headers: is an integer; write true or false"),
        ({"auth": 1}, "auth: is an integer; write one of 'callers', 'host', 'none'"),
        (
            {"auth": "everybody"},
            "auth: is none of the words that may stand here; write one of 'callers', 'host', 'none'",
        ),
        (
            {"on_unsupported": "rejct"},
            "on_unsupported: is none of the words that may stand here; did you mean 'reject'?",
        ),
        ({"prefix": 3}, "prefix: is an integer; write a string"),
        ({"prefix": ["/ai", 3]}, "prefix[1]: is an integer; write a string"),
        ({"prefix": []}, "prefix: is empty; write at least one value, or leave the key out"),
        (
            {"models": [{"name": "m", "targets": []}]},
            "models[0].targets: is empty; write at least one value, or leave the key out",
        ),
        ({"models": [{"name": "m"}]}, "models[0].targets: is missing; every table of this kind needs it"),
    ],
)
def test_F96_wrong_type_says_what_is_there_and_what_belongs_there(changes: dict[str, Any], line: str) -> None:
    assert problems(**changes) == [line]


@pytest.mark.parametrize("name", ["keys", "accounts", "models"])
def test_F96_empty_list_of_an_upstream_is_refused(name: str) -> None:
    empty: dict[str, Any] = {name: []}
    line = f"upstreams[0].{name}: is empty; write at least one value, or leave the key out"
    assert upstream_problems(**empty) == [line]


@pytest.mark.parametrize(
    ("table", "key", "low", "high"),
    [
        ("limits", "max_depth", 16, 256),
        ("limits", "max_query_bytes", 0, 65_536),
        ("limits", "max_attempts", 1, 10),
        ("timeouts", "drain_s", 0, 86_400),
    ],
)
def test_F96_range_is_inclusive(table: str, key: str, low: float, high: float) -> None:
    def limit(value: float) -> dict[str, Any]:
        return {table: {key: value}}

    for inside in (low, high):
        assert getattr(getattr(load(**limit(inside)), table), key) == inside
    words = f"{table}.{key}: is out of range; write a number from {low:,} to {high:,}"
    for outside in (low - 1, high + 1):
        assert problems(**limit(outside)) == [words]


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, -math.inf, 10**400])
def test_F96_time_is_positive_and_finite(value: float) -> None:
    line = "timeouts.idle_s: is out of range; write a number above 0 to 86,400"
    assert problems(timeouts={"idle_s": value}) == [line]


def test_whole_number_of_seconds_is_a_number() -> None:
    assert load(timeouts={"idle_s": 90}).timeouts.idle_s == 90.0


def test_key_of_a_mapping_that_is_none_is_absent() -> None:
    assert load(on_unsupported=None, prefix=None) == load()


def test_F96_key_that_is_no_text_is_told() -> None:
    raw: dict[Any, Any] = {**sample(), 3: "x", "a b": 1}
    with pytest.raises(ConfigError) as caught:
        Config.from_dict(raw, ENVIRON)
    assert [problem.partition(";")[0] for problem in caught.value.problems] == ["?: there is no such key"] * 2


def test_F96_broken_table_does_not_hide_the_problems_of_others() -> None:
    found = problems(
        upstreams=["nothing", upstream(name="b", transport="curl")], models=[{"name": "x", "targets": "y"}]
    )
    assert [problem.partition(":")[0] for problem in found] == [
        "upstreams[0]",
        "upstreams[1].transport",
        "models[0].targets",
    ]


# --- the file itself --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b'prefix = "/ai\n', "is not TOML (line 1, column 14)"),
        (b"prefix = \n", "is not TOML (line 1, column 10)"),
        (b"a = [", "is not TOML (end of document)"),
        (b"a = 1\na = 2\n", "is not TOML (line 2, column 6)"),
        (b'prefix = "\xe9"', "is not UTF-8"),
        (b"\xff\xfea\x00", "is not UTF-8"),
    ],
)
def test_F96_file_that_cannot_be_parsed_is_one_problem(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "ds2api.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        Config.load(path, {})
    (problem,) = caught.value.problems
    assert problem.startswith(f"{path}: {what};")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("absent.toml", "does not exist; check its path"),
        (".", "cannot be read (IsADirectoryError); check its path and its permissions"),
    ],
)
def test_F96_file_that_cannot_be_read_is_one_problem(tmp_path: Path, name: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.load(tmp_path / name, {})
    (problem,) = caught.value.problems
    assert problem == f"{tmp_path / name}: {told}"


def test_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = toml(
        tmp_path,
        '\ufeffauth = "none"\n[[upstreams]]\nname = "a"\nprotocol = "openai_chat"\nbase_url = "http://[::1]"\n',
    )
    assert Config.load(path, {}).auth == "none"


@pytest.mark.parametrize(
    ("name", "known", "found"),
    [
        ("prefx", ["prefix", "auth"], "'prefix'"),
        ("PREFIX", ["prefix", "auth"], "'prefix'"),
        ("base-url", ["base_url", "name"], "'base_url'"),
        ("zzz", ["prefix", "auth"], None),
        ("", ["prefix"], None),
    ],
)
def test_nearest_name_is_near(name: str, known: list[str], found: str | None) -> None:
    assert nearest(name, known) == found
