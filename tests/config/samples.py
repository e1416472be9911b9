"""Configurations to start from, and how to ask what is wrong with one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from asgi_ds2api.config import Config
from asgi_ds2api.errors import ConfigError
from tests.support.canary import CANARY

CALLER_KEY = "a-caller-key-of-tests"
ENVIRON: Mapping[str, str] = {
    "UPSTREAM_A": CANARY,
    "UPSTREAM_B": "sk-another-key",
    "CALLER": CALLER_KEY,
    "SECRET": "5f0c1e9a7b3d2468",
    "STATUS": "the-status-key-of-tests",
}


def upstream(**changes: Any) -> dict[str, Any]:
    """Return a sound upstream with changes; a change to None takes a key out."""
    return {"name": "a", "protocol": "openai_chat", "base_url": "http://127.0.0.1:1/v1", **changes}


def sample(**changes: Any) -> dict[str, Any]:
    """Return a sound configuration with changes."""
    callers = [{"label": "web", "key": "env:CALLER"}]
    return {"upstreams": [upstream()], "callers": callers, "secret": "env:SECRET", **changes}


def load(environ: Mapping[str, str] = ENVIRON, **changes: Any) -> Config:
    """Settle a sample."""
    return Config.from_dict(sample(**changes), environ)


def load_upstream(environ: Mapping[str, str] = ENVIRON, **changes: Any) -> Any:
    """Settle a sample with one changed upstream, and return that."""
    return load(environ, upstreams=[upstream(**changes)]).upstreams[0]


def problems(environ: Mapping[str, str] = ENVIRON, has_authorize: bool | None = None, **changes: Any) -> list[str]:
    """Return what is wrong with a changed sample."""
    with pytest.raises(ConfigError) as caught:
        Config.from_dict(sample(**changes), environ, has_authorize=has_authorize)
    return list(caught.value.problems)


def upstream_problems(environ: Mapping[str, str] = ENVIRON, **changes: Any) -> list[str]:
    """Return what is wrong with a changed upstream."""
    return problems(environ, upstreams=[upstream(**changes)])


def toml(tmp_path: Path, text: str) -> Path:
    """Write a file."""
    path = tmp_path / "ds2api.toml"
    path.write_text(text, encoding="utf-8")
    return path
