"""A configuration out of environment variables alone, as the mapping that a file would have been.

Upstreams come from the variables in which vendors' own SDKs look for a key; ``_2``, ``_3``, ... hold further keys. An
empty variable is an absent one.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from ..presets import PRESETS, key_variables
from .reading import nearest
from .settling import Advice

OURS: Final = "DS2API_"
"""How our own variables begin."""
CONFIG_FILE: Final = "ds2api.toml"
CONFIG_VARIABLE: Final = "DS2API_CONFIG"
CALLER_VARIABLE: Final = "DS2API_CALLER_KEY"
SECRET_VARIABLE: Final = "DS2API_SECRET"
STATUS_VARIABLE: Final = "DS2API_STATUS_KEY"
TRUE_OR_FALSE: Final[Mapping[str, bool]] = {"true": True, "1": True, "false": False, "0": False}
SETTINGS: Final[Mapping[str, str]] = {
    "DS2API_PREFIX": "prefix",
    "DS2API_AUTH": "auth",
    "DS2API_FAN_OUT": "fan_out",
    "DS2API_RESUME_PAUSES": "resume_pauses",
    "DS2API_HEDGE": "hedge",
    "DS2API_ON_UNSUPPORTED": "on_unsupported",
    "DS2API_STATE": "state",
    "DS2API_STATE_POOL": "state_pool",
    "DS2API_WORKERS": "workers",
    "DS2API_STRICT_BUDGETS": "strict_budgets",
    "DS2API_STRATEGY": "strategy",
    "DS2API_AUTO_REENABLE": "auto_reenable",
    "DS2API_DEBUG_HEADERS": "debug_headers",
    "DS2API_ROUTE_HEADERS": "route_headers",
    "DS2API_CORS_ORIGINS": "cors_origins",
    "DS2API_QUERY_KEY": "query_key",
}
"""Variable -> key of the configuration."""
LISTS: Final = frozenset({"prefix", "cors_origins"})
"""Keys whose variable holds several values, with commas."""

_NUMBERS: Final = frozenset({"workers"})

ADVICE: Final = Advice(
    upstream=f"set one of {', '.join(key_variables(PRESETS).values())}, or write {CONFIG_FILE}",
    caller=f"""set a key of your own for who may use it:
        export {CALLER_VARIABLE}="$(openssl rand -hex 32)"
    or let everybody in, at your expense:
        export DS2API_AUTH=none
    or write {CONFIG_FILE} with:
        [[callers]]
        label = "me"
        key = "env:{CALLER_VARIABLE}\"""",
)

_NUMBERED: Final = re.compile(r"(.+?)_([2-9]|[1-9][0-9]{1,3})")
_SWITCHES: Final = frozenset({"debug_headers", "fan_out", "hedge", "query_key", "resume_pauses", "route_headers"})


def mapping_of(environ: Mapping[str, str]) -> tuple[dict[str, object], dict[str, str]]:
    """Return the configuration that the variables mean, and place of a value -> variable that it came from.

    Secrets are in it as ``env:NAME``, not as values.
    """
    places = {"upstreams": "environment", "callers": "environment"}
    mapping: dict[str, object] = {key: _setting(environ, name, key, places) for name, key in SETTINGS.items()}
    mapping["secret"] = _sources(environ, SECRET_VARIABLE, "secret", places) or None
    upstreams: list[dict[str, object]] = []
    for vendor, variable in key_variables(PRESETS).items():
        keys = _sources(environ, variable, f"upstreams[{len(upstreams)}].keys", places)
        if keys:
            models = list(PRESETS[vendor].models) or None
            upstreams.append({"name": vendor, "preset": vendor, "keys": keys, "models": models})
    mapping["upstreams"] = upstreams
    callers = _sources(environ, CALLER_VARIABLE, "callers", places, key=".key")
    mapping["callers"] = [
        {"label": "caller" if number == 1 else f"caller-{number}", "key": key} for number, key in enumerate(callers, 1)
    ]
    if environ.get(STATUS_VARIABLE, "").strip():
        mapping["status"] = {"key": f"env:{STATUS_VARIABLE}"}
        places["status.key"] = STATUS_VARIABLE
    return mapping, places


def strangers(environ: Mapping[str, str]) -> list[str]:
    """Return warnings about variables that begin as ours do and that nobody reads."""
    known = [*SETTINGS, CONFIG_VARIABLE, CALLER_VARIABLE, SECRET_VARIABLE, STATUS_VARIABLE]
    unread = [name for name in environ if name.startswith(OURS) and _base_name(name) not in known]
    return [f"environment variable {name} is not read{_meant(name, known)}" for name in sorted(unread)]


def _meant(name: str, known: Sequence[str]) -> str:
    close = nearest(name.removeprefix(OURS), [other.removeprefix(OURS) for other in known])
    return f"; did you mean {OURS}{close[1:-1]}?" if close else ""


def _setting(environ: Mapping[str, str], name: str, key: str, places: dict[str, str]) -> object:
    text = environ.get(name, "").strip()
    if not text:
        return None
    places[key] = name
    if key in LISTS:
        items = [item.strip() for item in text.split(",")]
        places.update({f"{key}[{index}]": name for index in range(len(items))})
        return items
    if key in _NUMBERS and text.isascii() and text.isdigit():
        return int(text)
    return TRUE_OR_FALSE.get(text.lower(), text) if key in _SWITCHES else text


def _sources(environ: Mapping[str, str], base: str, at: str, places: dict[str, str], key: str = "") -> list[str]:
    """Return ``env:NAME`` of a variable and its numbered companions that hold something, in order of their numbers."""
    numbers = {base: 1}
    for name in environ:
        if (match := _NUMBERED.fullmatch(name)) and match[1] == base:
            numbers[name] = int(match[2])
    names = [name for name in sorted(numbers, key=numbers.__getitem__) if environ.get(name, "").strip()]
    places.update({f"{at}[{index}]{key}": name for index, name in enumerate(names)})
    return [f"env:{name}" for name in names]


def _base_name(name: str) -> str:
    match = _NUMBERED.fullmatch(name)
    return match[1] if match and match[1] in (CALLER_VARIABLE, SECRET_VARIABLE) else name
