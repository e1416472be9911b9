"""The documents that are made from the code are what the code says, and an editor can use them."""

import json
import tomllib
from typing import Any

import pytest

from asgi_ds2api.config import Config
from tests.support import documents


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
