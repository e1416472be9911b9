"""``docs/architecture.md`` has the layers that ``lint-imports`` checks, and says the same of what is sans-IO."""

import re
import tomllib
from typing import Any

from .pages import ROOT, table

PAGE = ROOT / "docs/architecture.md"
CONTRACTS: list[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
    "contracts"
]
LAYERS = [
    [set(layer.split(" | ")) for layer in contract["layers"]] for contract in CONTRACTS if contract["type"] == "layers"
]
"""Of the package, of ``serving``, of ``transcoding``: modules of each layer, from the highest down."""


def test_tables_are_the_contracts() -> None:
    told = [{re.split("[/.]", code)[0] for code in row.codes} for row in table(PAGE, "The layers")]
    assert told == [layer for layers in LAYERS for layer in layers]


def test_what_is_sans_io_is_what_the_page_says() -> None:
    (pure,) = [contract["source_modules"] for contract in CONTRACTS if contract["type"] == "forbidden"]
    layers = LAYERS[0]
    (begin,) = [index for index, layer in enumerate(layers) if "routing" in layer]
    below = set().union(*layers[begin:]) - {"config", "state"}
    single = {"serving.answer_headers", "serving.patience", "status.snapshot"}
    assert {name.removeprefix("asgi_ds2api.") for name in pure} == {"transcoding", "pool"} | below | single
    said = PAGE.read_text().partition("What is **sans-IO**")[2].partition("\n## ")[0]
    told = {code.strip("/").replace("/", ".") for code in re.findall("`([^`]+)`", said)}
    assert told == {"transcoding", "pool", "routing", "config", "state"} | single | {
        "upstream",
        "state.redis",
        "status.client",
    }
