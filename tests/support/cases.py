"""Tables of facts in data files: ``tests/cases/<protocol>/<name>.json``, a list of rows."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from _pytest.mark import ParameterSet

CASES = Path(__file__).parents[1] / "cases"


def rows(protocol: str, name: str) -> list[dict[str, Any]]:
    """Return the rows of a table."""
    found: list[dict[str, Any]] = json.loads((CASES / protocol / f"{name}.json").read_text())
    return found


def row_params(protocol: str, name: str, of: Callable[[dict[str, Any]], Any] | str = "id") -> list[ParameterSet]:
    """Return each row as a pytest param.

    Args:
        protocol: Whose table.
        name: Of the table.
        of: The field that is the param's id, or what makes the id of a row.
    """
    return [
        pytest.param(row, id=str(row[of] if isinstance(of, str) else of(row)))  # a row is one param
        for row in rows(protocol, name)
    ]
