"""Tables of facts in data files: ``tests/cases/<protocol>/<name>.json``, a list of rows."""

import json
from pathlib import Path
from typing import Any

import pytest
from _pytest.mark import ParameterSet

CASES = Path(__file__).parents[1] / "cases"


def rows(protocol: str, name: str) -> list[dict[str, Any]]:
    """Return the rows of a table."""
    found: list[dict[str, Any]] = json.loads((CASES / protocol / f"{name}.json").read_text())
    return found


def row_params(protocol: str, name: str, id_field: str = "id", **wanted: object) -> list[ParameterSet]:
    """Return each row as a pytest param.

    Args:
        protocol: Whose table.
        name: Of the table.
        id_field: What names a row.
        wanted: Fields with the values that a row must have to be taken.
    """
    return [
        pytest.param(row, id=str(row[id_field]))
        for row in rows(protocol, name)
        if all(row[field] == value for field, value in wanted.items())
    ]
