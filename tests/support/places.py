"""Looks things up in JSON by their path, as Notices and errors write it: ``messages[0].content[1].text``."""

import re
from collections.abc import Mapping
from typing import Any

_STEP = re.compile(r"[^.\[\]]+")


def at(value: Any, path: str) -> Any:
    """Return what stands at a path; None where nothing does."""
    for step in _STEP.findall(path):
        if isinstance(value, list):
            value = value[int(step)] if int(step) < len(value) else None
        else:
            value = value.get(step) if isinstance(value, Mapping) else None
    return value


def all_at(value: Any, paths: Mapping[str, Any]) -> dict[str, Any]:
    """Return what stands at each of the paths, to be compared with the mapping."""
    return {path: at(value, path) for path in paths}
