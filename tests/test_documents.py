"""The documents that are made from the code are what the code says, and an editor can use them."""

import inspect
import json
import re
import tomllib
from typing import Any

import pytest

from asgi_ds2api import assembly, gateway
from asgi_ds2api.config import Config, Limits, Timeouts
from asgi_ds2api.config.tables import ConfigTable, UpstreamTable
from asgi_ds2api.serving import bounds
from tests.support import documents
from tests.support.json_schema import violations


def test_documents_are_current() -> None:
    assert documents.stale() == []


def test_every_key_is_described() -> None:
    whole = documents.schema()
    for name, table in {"ConfigTable": whole, **whole["$defs"]}.items():
        for key, shape in table.get("properties", {}).items():
            is_table = "$ref" in shape.get("items", shape)
            assert is_table or shape.get("description"), f"{name}.{key}"


def test_schema_closes_every_table() -> None:
    whole = documents.schema()
    tables = [whole, *whole["$defs"].values()]
    assert all(table["additionalProperties"] is False for table in tables)


def test_example_of_the_page_is_a_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    toml = documents.INTRODUCTION.split("```toml\n")[1].split("```")[0]
    key = tmp_path / "anthropic-b"
    key.write_text("sk-key-of-a-file-0123456789")
    for name in ("DS2API_SECRET", "ANTHROPIC_API_KEY", "DS2API_CALLER_KEY"):
        monkeypatch.setenv(name, f"value-of-{name.lower()}-0123456789")
    table = tomllib.loads(toml.replace("/run/secrets/anthropic-b", str(key)))
    config = Config.from_dict(table)
    assert [upstream.name for upstream in config.upstreams] == ["claude", "local"]


def test_schema_is_json() -> None:
    assert json.loads(documents.DOCUMENTS["docs/ds2api.schema.json"]())["title"] == "asgi_ds2api configuration"


# --- what an editor would say -----------------------------------------------------------------------------------------

EVERYTHING = """
prefix = ["/ai", "/v2/ai"]
auth = "callers"
on_unsupported = "notice"
secret = ["env:NEW", "file:/run/secrets/old"]
strategy = "weighted"
debug_headers = true
route_headers = false
state = "sqlite:ds2api.state"
state_pool = "team-a"
workers = 4
strict_budgets = true
auto_reenable = false
cors_origins = ["https://app.example"]
query_key = true
hedge = true

[[prefixes]]
path = "/v2/ai"
on_unsupported = "reject"

[[prefixes]]
path = ""
on_unsupported = "drop"

[[upstreams]]
name = "claude"
preset = "anthropic"
keys = ["env:ANTHROPIC_API_KEY", "file:/run/secrets/anthropic-b"]
models = ["claude-*"]
on_unsupported = "reject"
fan_out = true
resume_pauses = true
hedge = false
auto_reenable = true
concurrency = 16
rpm = 500
tpm = 200_000
customer = "acme"

[[upstreams]]
name = "local"
protocol = "openai_chat"
responses = true
files = true
base_url = "http://127.0.0.1:8080/v1"
profile = { base = "lenient", json_schema = false, query = { api-version = "1" }, drop = ["top_k"] }
accounts = [ { label = "a", key = "env:LOCAL_A", weight = 2 }, { label = "b", key = "env:LOCAL_B", customer = "bolt" } ]
max_connections = 100
proxy = "http://proxy.example:3128"
ca_file = "ca.pem"
client_cert = "me.pem"
transport = "httpx"
concurrency = 4
rpm = 90
tpm = 90_000.5

[[models]]
name = "smart"
targets = ["claude/claude-opus-5", "local/*"]

[[callers]]
label = "web"
key = "env:DS2API_CALLER_KEY"
models = ["*"]
expires = "2027-01-31"
concurrency = 8
rpm = 60
tpm = 100_000
tokens_per_day = 2_000_000
tokens_per_month = 20_000_000
usd_per_day = 25
usd_per_month = 300

[status]
key = "env:DS2API_STATUS_KEY"
health = true

[[prices]]
model = "local/*"
input = 0
output = 0
cache_read = 0
cache_write = 0
"""


def judged(text: str) -> list[str]:
    """Return what the schema says of a file."""
    return sorted(violations(tomllib.loads(text), documents.schema()))


def test_schema_takes_a_file_that_says_everything() -> None:
    assert judged(EVERYTHING) == []


def test_file_that_says_everything_does() -> None:
    table = tomllib.loads(EVERYTHING)
    said: set[str] = {*table, *(key for row in table["upstreams"] for key in row), "limits", "timeouts"}
    known = {*ConfigTable.__struct_fields__, *UpstreamTable.__struct_fields__}
    assert said == known


@pytest.mark.parametrize(
    ("good", "bad", "violation"),
    [
        ('auth = "callers"', 'auth = "everybody"', "$.auth: enum"),
        ('auth = "callers"', 'aut = "callers"', "$.aut: additionalProperties"),
        ("debug_headers = true", 'debug_headers = "yes"', "$.debug_headers: type"),
        ("workers = 4", "workers = 0", "$.workers: minimum"),
        ('state_pool = "team-a"', 'state_pool = "team a"', "$.state_pool: pattern"),
        ('prefix = ["/ai", "/v2/ai"]', 'prefix = "/ai/"', "$.prefix: anyOf"),
        ('"env:NEW"', '"a secret"', "$.secret: anyOf"),
        ('path = "/v2/ai"', 'path = "v2/ai"', "$.prefixes[0].path: pattern"),
        ('path = "/v2/ai"', "", "$.prefixes[0]: required"),
        ('preset = "anthropic"', 'preset = "antropic"', "$.upstreams[0].preset: enum"),
        ('"env:ANTHROPIC_API_KEY"', '"sk-key"', "$.upstreams[0].keys[0]: pattern"),
        ('models = ["claude-*"]', "models = []", "$.upstreams[0].models: minItems"),
        ('name = "local"', 'name = "lo cal"', "$.upstreams[1].name: pattern"),
        ('name = "local"', "", "$.upstreams[1]: required"),
        ('protocol = "openai_chat"', 'protocol = "openai"', "$.upstreams[1].protocol: enum"),
        ('base = "lenient"', 'base = "lenint"', "$.upstreams[1].profile: anyOf"),
        ("weight = 2", "weight = 0", "$.upstreams[1].accounts[0].weight: exclusiveMinimum"),
        ("max_connections = 100", "max_connections = 1.5", "$.upstreams[1].max_connections: type"),
        ("max_connections = 100", "max_connections = 0", "$.upstreams[1].max_connections: minimum"),
        ("max_connections = 100", "max_connections = 100001", "$.upstreams[1].max_connections: maximum"),
        ('"claude/claude-opus-5"', '"claude-opus-5"', "$.models[0].targets[0]: pattern"),
        ("rpm = 60", "rpm = 0", "$.callers[0].rpm: exclusiveMinimum"),
        ("output = 0", "output = -1", "$.prices[0].output: minimum"),
        ('"env:DS2API_CALLER_KEY"', '"sha256:0f"', "$.callers[0].key: pattern"),
    ],
)
def test_schema_refuses_what_the_gateway_refuses(good: str, bad: str, violation: str) -> None:
    assert good in EVERYTHING
    assert judged(EVERYTHING.replace(good, bad, 1)) == [violation]


def test_examples_are_as_they_should_be() -> None:
    whole = documents.schema()
    for name, table in {"ConfigTable": whole, **whole["$defs"]}.items():
        for key, shape in table["properties"].items():
            for example in shape.get("examples", ()):
                assert list(violations(example, shape, whole)) == [], f"{name}.{key}"


# --- what the configuration says has an effect ------------------------------------------------------------------------

BOUNDS = [("limits", name) for name in Limits.__struct_fields__] + [
    ("timeouts", name) for name in Timeouts.__struct_fields__
]


@pytest.mark.parametrize(("table", "name"), BOUNDS, ids=[f"{table}.{name}" for table, name in BOUNDS])
def test_every_bound_reaches_the_gateway(table: str, name: str) -> None:
    sources = "".join(map(inspect.getsource, (gateway, assembly, bounds)))
    assert re.search(rf"\b{table}\.{name}\b", sources)
