"""What several keys mean together: presets, dialects, accounts, names that refer to each other, who may come in."""

from pathlib import Path
from typing import Any, get_args

import pytest
from msgspec.structs import replace

from asgi_ds2api.config import AccountConfig, Config, ModelAlias
from asgi_ds2api.config.tables import Strategy
from asgi_ds2api.errors import ConfigError
from asgi_ds2api.model_facts import ModelFacts
from asgi_ds2api.pool.strategies import STRATEGIES
from asgi_ds2api.presets import PRESETS
from asgi_ds2api.profiles import PROFILES
from asgi_ds2api.protocols import PROTOCOLS
from asgi_ds2api.secret import KeyDigest, Secret

from .samples import ENVIRON, load, load_upstream, problems, sample, upstream, upstream_problems

# --- upstreams --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, preset in PRESETS.items() if preset.base_url is not None])
def test_preset_gives_protocol_address_and_dialect(name: str) -> None:
    made = load(upstreams=[{"name": "x", "preset": name, "keys": ["env:UPSTREAM_A"]}]).upstreams[0]
    preset = PRESETS[name]
    assert (made.protocol, made.base_url, made.profile, made.models) == (
        preset.protocol,
        preset.base_url,
        PROFILES[preset.profile],
        (),
    )


def test_a_vendor_with_an_address_for_each_customer_wants_to_be_told_it() -> None:
    line = "upstreams[0].base_url: is missing; this vendor has another one for each customer"
    assert upstream_problems(preset="azure", protocol=None, base_url=None, keys=["env:UPSTREAM_A"]) == [line]
    made = load_upstream(preset="azure", protocol=None, base_url="https://x.openai.azure.com", keys=["env:UPSTREAM_A"])
    assert (made.base_url, made.profile) == ("https://x.openai.azure.com", PROFILES["azure"])


def test_a_preset_of_a_server_of_ones_own_wants_no_key() -> None:
    made = load(upstreams=[{"name": "x", "preset": "ollama"}]).upstreams[0]
    assert [(account.label, account.key) for account in made.accounts] == [("keyless", None)]


def test_key_that_is_given_wins_over_the_preset() -> None:
    made = load_upstream(preset="anthropic", protocol=None, base_url="https://proxy.example/claude", profile="lenient")
    assert (made.protocol, made.base_url, made.profile) == (
        "anthropic_messages",
        "https://proxy.example/claude",
        PROFILES["lenient"],
    )


def test_another_protocol_than_the_presets_has_its_own_dialect() -> None:
    made = load_upstream(preset="anthropic", protocol="openai_chat", base_url="https://api.anthropic.com/v1")
    assert made.profile == PROFILES["openai"]


@pytest.mark.parametrize(("protocol", "profile"), [("openai_chat", "openai"), ("anthropic_messages", "anthropic")])
def test_upstream_without_a_dialect_speaks_the_protocol_to_the_letter(protocol: str, profile: str) -> None:
    assert load_upstream(protocol=protocol).profile == PROFILES[profile]


def test_fields_of_a_dialect_replace_those_of_its_base() -> None:
    made = load_upstream(
        profile={
            "base": "lenient",
            "json_schema": False,
            "query": {"api-version": "2026-01-01"},
            "drop": ["top_k"],
            "models": [["qwen-*", {"sampling": "one", "efforts": ["low"]}]],
        }
    )
    assert made.profile == replace(
        PROFILES["lenient"],
        json_schema=False,
        query={"api-version": "2026-01-01"},
        drop=("top_k",),
        models=(("qwen-*", ModelFacts(sampling="one", efforts=("low",))),),
    )
    assert made.profile.facts("qwen-3").sampling == "one"


def test_fields_of_a_dialect_without_a_base_replace_those_of_the_preset() -> None:
    made = load_upstream(preset="anthropic", protocol=None, profile={"version": "2023-06-01"}, keys=["env:UPSTREAM_A"])
    assert made.profile == replace(PROFILES["anthropic"], version="2023-06-01")


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"protocol": None, "base_url": None}, "preset"),
        ({"base_url": None}, "base_url"),
        ({"protocol": None}, "protocol"),
    ],
)
def test_F96_upstream_needs_a_preset_or_protocol_and_address(changes: dict[str, Any], missing: str) -> None:
    line = f"upstreams[0].{missing}: is missing; an upstream has a preset, or a protocol and a base_url"
    assert upstream_problems(**changes) == [line]


@pytest.mark.parametrize(
    ("key", "value", "what"),
    [
        ("preset", "opnai", "is no known preset; did you mean 'openai'?"),
        ("protocol", "openai", "is no known protocol; did you mean 'openai_chat'?"),
        ("protocol", "cohere_chat", "is no known protocol; did you mean 'openai_chat'?"),
        ("transport", "wire", "is none of the words that may stand here; write one of 'auto', 'httpx'"),
        (
            "on_unsupported",
            "ignore",
            "is none of the words that may stand here; write one of 'drop', 'notice', 'reject'",
        ),
        ("max_connections", 0, "is out of range; write a number from 1 to 100,000"),
        ("name", "a/b", "is no name; write 1 to 64 ASCII letters, digits, dots, dashes or underscores"),
    ],
)
def test_F96_word_of_an_upstream_that_nobody_knows_is_told(key: str, value: object, what: str) -> None:
    assert upstream_problems(**{key: value}) == [f"upstreams[0].{key}: {what}"]  # type: ignore[arg-type]  # by name


def test_words_of_the_configuration_are_those_of_the_gateway() -> None:
    assert set(get_args(Strategy)) == set(STRATEGIES)
    assert {preset.protocol for preset in PRESETS.values()} <= set(PROTOCOLS)
    assert {preset.profile for preset in PRESETS.values()} <= set(PROFILES)


def test_upstream_has_its_own_word_on_what_is_unsupported_or_the_general_one() -> None:
    config = load(
        on_unsupported="reject", upstreams=[upstream(name="own", on_unsupported="drop"), upstream(name="general")]
    )
    assert [made.on_unsupported for made in config.upstreams] == ["drop", "reject"]


def test_server_of_chat_speaks_responses_as_well_if_the_preset_or_the_operator_says_so() -> None:
    openai: dict[str, Any] = {"preset": "openai", "protocol": None, "base_url": None, "keys": ["env:UPSTREAM_A"]}
    assert load_upstream(**openai).responses
    assert not load_upstream(**openai, responses=False).responses
    assert not load_upstream(protocol="openai_chat").responses
    assert load_upstream(protocol="openai_chat", responses=True).responses
    assert not load_upstream(**{**openai, "protocol": "openai_responses"}).responses


@pytest.mark.parametrize("changes", [{"protocol": "anthropic_messages"}, {"preset": "anthropic", "protocol": None}])
def test_F96_other_protocol_than_chat_has_no_responses_beside_it(changes: dict[str, Any]) -> None:
    line = "upstreams[0].responses: acts with openai_chat alone; leave it out"
    assert upstream_problems(**changes, responses=True) == [line]


@pytest.mark.parametrize("key", ["fan_out", "resume_pauses", "hedge"])
def test_upstream_has_its_own_word_on_further_calls_or_the_general_one(key: str) -> None:
    switches: dict[str, Any] = {key: True}
    config = load(**switches, upstreams=[upstream(name="own", **{key: False}), upstream(name="general")])
    assert [getattr(made, key) for made in config.upstreams] == [False, True]
    assert [getattr(made, key) for made in load(upstreams=[upstream(name="own")]).upstreams] == [False]


def test_F96_no_upstream_is_told_with_the_lines_that_mend_it() -> None:
    (line,) = problems(upstreams=[])
    assert line.startswith("upstreams: no upstream is configured; add one:\n        [[upstreams]]\n")


# --- accounts ---------------------------------------------------------------------------------------------------------


def labels(made: Any) -> list[str]:
    return [account.label for account in made.accounts]


def test_keyless_server_has_one_account_without_a_key() -> None:
    assert load_upstream().accounts == (AccountConfig(label="keyless", key=None),)


def test_keys_are_labelled_by_their_variable_or_file(tmp_path: Path) -> None:
    (tmp_path / "team-b").write_text("sk-of-team-b")
    made = load_upstream(
        keys=["env:UPSTREAM_A", f"file:{tmp_path}/team-b", Secret("sk-given-by-the-app"), lambda: "sk-fetched"]
    )
    assert labels(made) == ["UPSTREAM_A", "team-b", "key-3", "key-4"]


def test_label_that_a_file_suggests_twice_is_numbered(tmp_path: Path) -> None:
    for folder in ("a", "b", ".c d"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "key").write_text(f"sk-{folder[-1]}")
    (tmp_path / ".hidden").write_text("sk-hidden")
    files = [tmp_path / "a" / "key", tmp_path / "b" / "key", tmp_path / ".hidden"]
    assert labels(load_upstream(keys=[f"file:{path}" for path in files])) == ["key", "key-2", "key-3"]


def test_labels_are_unique_whatever_files_are_called(tmp_path: Path) -> None:
    names = ["key", "x/key", "key-2", "y/key-2"]
    for index, name in enumerate(names):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"sk-{index}")
    found = labels(load_upstream(keys=[f"file:{tmp_path}/{name}" for name in names]))
    assert len(set(found)) == len(names)


def test_accounts_have_labels_and_weights() -> None:
    made = load(
        strategy="weighted",
        upstreams=[
            upstream(
                accounts=[
                    {"label": "a", "key": "env:UPSTREAM_A", "weight": 2},
                    {"label": "b", "key": "env:UPSTREAM_B"},
                ]
            )
        ],
    ).upstreams[0]
    assert [(account.label, account.weight) for account in made.accounts] == [("a", 2.0), ("b", 1.0)]


def test_limits_of_an_upstream_are_those_of_each_of_its_accounts_unless_they_have_their_own() -> None:
    own = {"label": "a", "key": "env:UPSTREAM_A", "rpm": 10, "tpm": 5_000, "models": ["mini-*"]}
    made = load_upstream(concurrency=4, rpm=60, accounts=[own, {"label": "b", "key": "env:UPSTREAM_B"}])
    assert [(a.concurrency, a.rpm, a.tpm, a.models) for a in made.accounts] == [
        (4, 10.0, 5_000.0, ("mini-*",)),
        (4, 60.0, None, ()),
    ]


def test_accounts_are_of_their_upstreams_customer_unless_they_have_their_own() -> None:
    named = [{"label": "a", "key": "env:UPSTREAM_A", "customer": "bolt"}, {"label": "b", "key": "env:UPSTREAM_B"}]
    keys = ["env:UPSTREAM_A", "env:UPSTREAM_B"]
    made = [load_upstream(customer="acme", accounts=named), load_upstream(customer="acme", keys=keys)]
    assert [[account.customer for account in one.accounts] for one in made] == [["bolt", "acme"], ["acme", "acme"]]
    assert [account.customer for account in load_upstream(keys=keys).accounts] == ["", ""]


@pytest.mark.parametrize("fields", [{}, {"keys": ["env:UPSTREAM_A", "env:UPSTREAM_B"]}], ids=["keyless", "keys"])
def test_limits_of_an_upstream_hold_for_keys_and_keyless_servers(fields: dict[str, Any]) -> None:
    made = load_upstream(concurrency=2, tpm=9_000, **fields)
    assert {(a.concurrency, a.rpm, a.tpm) for a in made.accounts} == {(2, None, 9_000.0)}


@pytest.mark.parametrize(("key", "value"), [("concurrency", 0), ("concurrency", 1.5), ("rpm", 0), ("tpm", -1)])
def test_F96_limits_are_positive(key: str, value: float) -> None:
    (line,) = upstream_problems(accounts=[{"label": "a", "key": "env:UPSTREAM_A", key: value}])
    assert line.startswith(f"upstreams[0].accounts[0].{key}: is ")


def test_a_strategy_of_an_upstream_wins_over_the_general_one() -> None:
    tables = [upstream(name="a", strategy="p2c_ewma"), upstream(name="b")]
    first, second = load(strategy="fill_first", upstreams=tables).upstreams
    assert (first.strategy, second.strategy) == ("p2c_ewma", "fill_first")


@pytest.mark.parametrize("weight", [0, -1, 1001])
def test_F96_weight_is_positive(weight: float) -> None:
    (line,) = upstream_problems(accounts=[{"label": "a", "key": "env:UPSTREAM_A", "weight": weight}])
    assert line == "upstreams[0].accounts[0].weight: is out of range; write a number above 0 to 1,000"


def test_F96_same_label_and_same_key_are_told() -> None:
    found = upstream_problems(
        accounts=[
            {"label": "a", "key": "env:UPSTREAM_A"},
            {"label": "a", "key": "env:UPSTREAM_B"},
            {"label": "c", "key": "env:UPSTREAM_A"},
        ]
    )
    assert found == [
        "upstreams[0].accounts[1].label: is the same label as upstreams[0].accounts[0].label; each may be there once",
        "upstreams[0].accounts[2].key: is the same key as upstreams[0].accounts[0].key; each may be there once",
    ]


def test_F96_same_key_under_two_names_is_told() -> None:
    found = upstream_problems({**ENVIRON, "COPY": ENVIRON["UPSTREAM_A"] + "\n"}, keys=["env:UPSTREAM_A", "env:COPY"])
    assert found == ["upstreams[0].keys[1]: is the same key as upstreams[0].keys[0]; each may be there once"]


def test_same_key_in_two_upstreams_is_two_ways_to_one_vendor() -> None:
    names = ["a", "b"]
    config = load(upstreams=[upstream(name=name, keys=["env:UPSTREAM_A"]) for name in names])
    assert [made.name for made in config.upstreams] == names


def test_F96_keys_beside_accounts_are_told() -> None:
    found = upstream_problems(keys=["env:UPSTREAM_A"], accounts=[{"label": "b", "key": "env:UPSTREAM_B"}])
    assert found == ["upstreams[0].keys: stands beside accounts; write all keys in one of the two"]


def test_F96_vendor_that_wants_a_key_and_has_none_is_told() -> None:
    found = upstream_problems(preset="anthropic", protocol=None, base_url=None)
    assert found == ['upstreams[0].keys: is missing; this vendor wants a key: keys = ["env:ANTHROPIC_API_KEY"]']


# --- names that refer to each other -----------------------------------------------------------------------------------


def test_aliases_keep_the_order_of_the_file() -> None:
    config = load(models=[{"name": "smart", "targets": ["a/x", "a/y"]}, {"name": "*", "targets": ["a/*"]}])
    assert config.models == (
        ModelAlias(name="smart", targets=("a/x", "a/y")),
        ModelAlias(name="*", targets=("a/*",)),
    )


def test_F96_target_of_an_upstream_that_is_not_there_is_told() -> None:
    found = problems(
        upstreams=[upstream(name="claude"), upstream(name="local")],
        models=[{"name": "smart", "targets": ["claud/opus", "claude/opus", "zzz/x"]}],
    )
    assert found == [
        "models[0].targets[0]: names no upstream; did you mean 'claude'?",
        "models[0].targets[2]: names no upstream; there are claude, local",
    ]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"upstreams": [upstream(), upstream()]}, "upstreams[1].name: is the same name as upstreams[0].name"),
        (
            {"models": [{"name": "m", "targets": ["a/x"]}, {"name": "m", "targets": ["a/y"]}]},
            "models[1].name: is the same name as models[0].name",
        ),
        (
            {"callers": [{"label": "w", "key": "env:CALLER"}, {"label": "w", "key": f"sha256:{'0a' * 32}"}]},
            "callers[1].label: is the same label as callers[0].label",
        ),
        (
            {"callers": [{"label": "v", "key": "env:CALLER"}, {"label": "w", "key": "env:CALLER"}]},
            "callers[1].key: is the same key as callers[0].key",
        ),
        ({"prefix": ["/ai", "/b", "/ai"]}, "prefix[2]: is the same prefix as prefix[0]"),
    ],
)
def test_F96_what_is_there_twice_is_told(changes: dict[str, Any], line: str) -> None:
    assert problems(**changes) == [f"{line}; each may be there once"]


# --- who may come in --------------------------------------------------------------------------------------------------


EVERYBODY = 'auth = "none": everybody who can reach this gateway may use it, at your expense'


def auth_of(has_authorize: bool | None, **changes: Any) -> str:
    return Config.from_dict(sample(**changes), ENVIRON, has_authorize=has_authorize).auth


@pytest.mark.parametrize(
    ("has_authorize", "changes", "mode"),
    [
        (False, {}, "callers"),
        (None, {}, "callers"),
        (True, {}, "callers"),
        (True, {"callers": None}, "host"),
        (True, {"auth": "host"}, "host"),
        (None, {"auth": "host", "callers": None}, "host"),
        (False, {"auth": "none", "callers": None}, "none"),
        (True, {"auth": "none"}, "none"),
    ],
)
def test_who_decides_is_said_or_follows(has_authorize: bool | None, changes: dict[str, Any], mode: str) -> None:
    assert auth_of(has_authorize, **changes) == mode


@pytest.mark.parametrize("has_authorize", [False, None])
@pytest.mark.parametrize("changes", [{"callers": None}, {"callers": []}, {"callers": None, "auth": "callers"}])
def test_F96_B88_nobody_who_may_come_in_is_told_with_the_lines_that_mend_it(
    has_authorize: bool | None, changes: dict[str, Any]
) -> None:
    assert problems(has_authorize=has_authorize, **changes) == [
        "callers: no caller is configured, so nobody could use this gateway; "
        "add these lines, with DS2API_CALLER_KEY set to a key of your own (openssl rand -hex 32):\n"
        "        [[callers]]\n"
        '        label = "me"\n'
        '        key = "env:DS2API_CALLER_KEY"\n'
        "    or this one at the top, to let everybody in at your expense:\n"
        '        auth = "none"'
    ]


def test_F96_B88_callers_said_in_so_many_words_need_callers_even_beside_authorize() -> None:
    (line,) = problems(has_authorize=True, callers=None, auth="callers")
    assert line.startswith("callers: no caller is configured")


def test_B88_the_lines_that_mend_it_do_mend_it() -> None:
    caller = {"label": "me", "key": "env:DS2API_CALLER_KEY"}
    assert load({**ENVIRON, "DS2API_CALLER_KEY": "0123-a-key-of-mine"}, callers=[caller]).auth == "callers"


def test_F96_host_without_authorize_is_told() -> None:
    line = 'auth: is "host", and no authorize= was given; give it to Gateway, or configure callers'
    assert problems(has_authorize=False, auth="host") == [line]
    config = load(auth="host")
    with pytest.raises(ConfigError) as caught:
        config.check_authorize(has_authorize=False)
    assert caught.value.problems == (line,)
    config.check_authorize(has_authorize=True)


@pytest.mark.parametrize(
    ("has_authorize", "changes", "warnings"),
    [
        (None, {}, []),
        (None, {"auth": "none", "callers": None}, [EVERYBODY]),
        (
            None,
            {"auth": "none"},
            [EVERYBODY, 'callers are configured and not asked for, because of auth = "none"'],
        ),
        (True, {"auth": "host"}, ['callers are configured and not asked for, because of auth = "host"']),
        (True, {}, ['authorize= is given and never asked, because of auth = "callers"']),
        (
            None,
            {"secret": None},
            [
                "no secret is configured, so a random one is used: what clients carry for the gateway will open "
                'neither after a restart nor on another worker; set secret = "env:DS2API_SECRET"'
            ],
        ),
        (
            None,
            {"upstreams": [upstream(accounts=[{"label": "a", "key": "env:UPSTREAM_A", "weight": 3}])]},
            ['upstreams[0].accounts: weight acts only with strategy = "weighted"'],
        ),
    ],
)  # fmt: skip
def test_what_may_not_be_meant_is_warned_of(
    has_authorize: bool | None, changes: dict[str, Any], warnings: list[str]
) -> None:
    config = Config.from_dict(sample(**changes), ENVIRON, has_authorize=has_authorize)
    assert list(config.warnings()) == warnings


def test_random_secret_is_another_one_each_time() -> None:
    one, two = load(secret=None), load(secret=None)
    assert len(one.secrets) == len(two.secrets) == 1
    assert one.secrets != two.secrets


def test_secrets_rotate_in_the_order_of_the_list() -> None:
    environ = {**ENVIRON, "NEW": "7b3d24685f0c1e9a", "OLD": "5f0c1e9a7b3d2468"}
    made = load(environ, secret=["env:NEW", "env:OLD"])
    assert [secret.reveal() for secret in made.secrets] == [environ["NEW"], environ["OLD"]]


# --- who may see and steer --------------------------------------------------------------------------------------------


def test_without_the_table_nobody_may_see_or_steer() -> None:
    assert load().status is None


def test_operator_has_a_key_of_its_own() -> None:
    made = load(status={"key": "env:STATUS"}).status
    assert made is not None
    assert made.key == KeyDigest.of(Secret(ENVIRON["STATUS"]))
    assert not made.has_health


def test_key_of_a_caller_is_not_the_operator_s() -> None:
    line = "status.key: is the key of a caller; make another one: openssl rand -hex 32"
    assert problems(status={"key": "env:CALLER"}) == [line]
    digest = f"sha256:{Secret(ENVIRON['CALLER']).digest().hex()}"
    assert problems(status={"key": digest}) == [line]


def test_status_without_a_key_is_no_status() -> None:
    assert problems(status={"health": True}) == ["status.key: is missing; every table of this kind needs it"]


def test_weak_status_key_is_refused() -> None:
    assert problems({**ENVIRON, "STATUS": "password"}, status={"key": "env:STATUS"}) == [
        "status.key: its value is a well-known default that anybody would try; make one: openssl rand -hex 32"
    ]
