"""Writes the documents that are made from the code, and checks that they are what the code says.

``python -m tests.support.documents --write`` writes them, ``--check`` (in ``make test``) fails where one differs.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect

from asgi_ds2api.config.environment import CALLER_VARIABLE, LISTS, SECRET_VARIABLE, SETTINGS, STATUS_VARIABLE
from asgi_ds2api.config.kinds import ONE_OR_LIST
from asgi_ds2api.config.places import StatePlace
from asgi_ds2api.config.profile_choice import ProfileChoice
from asgi_ds2api.config.tables import ConfigTable
from asgi_ds2api.presets import PRESETS, Preset, key_variables
from asgi_ds2api.profiles import PROFILES, Profile

from . import capabilities

ROOT = Path(__file__).parents[2]
Json = dict[str, Any]

# --- the shape of the configuration -----------------------------------------------------------------------------------


def schema() -> Json:
    """Return the JSON Schema of a configuration file."""
    definitions: Json = {}
    whole = _schema_of(inspect.type_info(ConfigTable), definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "asgi_ds2api configuration",
        **definitions[whole["$ref"].rpartition("/")[2]],
        "$defs": {name: table for name, table in sorted(definitions.items()) if name != "ConfigTable"},
    }


def _schema_of(kind: inspect.Type, definitions: Json) -> Json:
    match kind:
        case inspect.Metadata():
            extra = dict(kind.extra_json_schema or {})
            inner = _schema_of(kind.type, definitions)
            if extra.pop(ONE_OR_LIST, False):
                inner = {"anyOf": [inner["items"], inner]}
            described = extra.get("description")
            return {**inner, **extra, **({"description": _plain(described)} if described else {})}
        case inspect.StructType():
            return _struct(kind, definitions)
        case inspect.UnionType():
            options = [_schema_of(option, definitions) for option in kind.types if not _is_null(option)]
            return options[0] if len(options) == 1 else {"anyOf": options}
        case inspect.DictType():
            return {"type": "object", "additionalProperties": _schema_of(kind.value_type, definitions)}
        case inspect.VarTupleType():
            items = {"type": "array", "items": _schema_of(kind.item_type, definitions)}
            return items | ({"minItems": kind.min_length} if kind.min_length else {})
        case inspect.LiteralType():
            return {"enum": list(kind.values)}
        case inspect.StrType():
            return {"type": "string"} | ({"pattern": kind.pattern} if kind.pattern else {})
        case inspect.BoolType():
            return {"type": "boolean"}
        case inspect.IntType() | inspect.FloatType():
            return {"type": "integer" if isinstance(kind, inspect.IntType) else "number"} | _range(kind)
        case _:
            return {}


def _is_null(kind: inspect.Type) -> bool:
    return isinstance(kind, inspect.NoneType)


def _range(kind: inspect.IntType | inspect.FloatType) -> Json:
    bounds = {"minimum": kind.ge, "exclusiveMinimum": kind.gt, "maximum": kind.le, "exclusiveMaximum": kind.lt}
    return {name: bound for name, bound in bounds.items() if bound is not None}


def _struct(kind: inspect.StructType, definitions: Json) -> Json:
    if kind.cls is ProfileChoice:
        return _dialect(definitions)
    if kind.cls is StatePlace:
        return {"type": "string"}
    name = kind.cls.__name__
    if name not in definitions:
        definitions[name] = {}
        properties = {field.name: _field(field, definitions) for field in kind.fields}
        required = [field.name for field in kind.fields if field.required]
        table = {"type": "object", "properties": properties, "additionalProperties": False}
        definitions[name] = table | ({"required": required} if required else {})
    return {"$ref": f"#/$defs/{name}"}


def _dialect(definitions: Json) -> Json:
    """Return what ``profile`` takes: a name, or single fields beside a base."""
    kind = inspect.type_info(Profile)
    assert isinstance(kind, inspect.StructType)
    names: Json = {"enum": list(PROFILES)}
    fields = {field.name: _schema_of(field.type, definitions) for field in kind.fields if _description(field.type)}
    base = {**names, "description": "The dialect that the other fields differ from."}
    definitions["Profile"] = {"type": "object", "properties": {"base": base, **fields}, "additionalProperties": False}
    return {"anyOf": [names, {"$ref": "#/$defs/Profile"}]}


def _field(field: inspect.Field, definitions: Json) -> Json:
    shape = _schema_of(field.type, definitions)
    default = field.default.kind if isinstance(field.default, StatePlace) else field.default
    is_told = isinstance(default, str | int | float | bool) or (isinstance(default, tuple) and default)
    return shape | {"default": list(default) if isinstance(default, tuple) else default} if is_told else shape


def _plain(text: str) -> str:
    return text.replace("`", "")


# --- the reference page -----------------------------------------------------------------------------------------------

SECTIONS = (
    ("ConfigTable", "The whole", "", "These keys stand above the first `[table]` of the file."),
    ("PrefixTable", "`[[prefixes]]`", "prefixes", "What holds where the gateway answers, whoever is asked there."),
    ("UpstreamTable", "`[[upstreams]]`", "upstreams", "A vendor, or a server of your own."),
    ("AccountTable", "`accounts` of an upstream", "upstreams.accounts", "Keys with labels and weights."),
    ("ModelTable", "`[[models]]`", "models", "Names that callers may ask for."),
    ("CallerTable", "`[[callers]]`", "callers", "Who may use the gateway."),
    ("PriceRow", "`[[prices]]`", "prices", "Dollars per million tokens, for the budgets of callers."),
    ("StatusTable", "`[status]`", "status", "Who may see and steer a running gateway: see [Running it](operating.md)."),
    ("Limits", "`[limits]`", "limits", "Over a limit, a request is refused with a 4xx in the caller's protocol."),
    ("Timeouts", "`[timeouts]`", "timeouts", "Waits, in seconds."),
)

INTRODUCTION = """<!-- Made by `python -m tests.support.documents --write` from the Structs in `asgi_ds2api/config`. -->

# Configuration

A TOML file, or in Python a mapping of the same shape. It is strict: an unknown key is an error that names the nearest
known one, and `asgi-ds2api check --config ds2api.toml` reports every problem at once, without printing a secret.
[`ds2api.schema.json`](ds2api.schema.json) lets your editor complete and check it.

```toml
prefix = "/ai"
secret = "env:DS2API_SECRET"

[[upstreams]]
name = "claude"
preset = "anthropic"
keys = ["env:ANTHROPIC_API_KEY", "file:/run/secrets/anthropic-b"]
models = ["claude-*"]

[[upstreams]]
name = "local"
protocol = "openai_chat"
base_url = "http://127.0.0.1:8080/v1"
profile = "lenient"
models = ["qwen*"]

[[models]]
name = "smart"
targets = ["claude/claude-opus-4-6", "local/qwen"]

[[callers]]
label = "web"
key = "env:DS2API_CALLER_KEY"
```

**Where it is found**: what `Gateway(...)` is given; else the file that `DS2API_CONFIG` names; else `./ds2api.toml`;
else the environment alone: upstreams from the vendors' own variables (`OPENAI_API_KEY`, `OPENAI_API_KEY_2`, ...),
callers from `DS2API_CALLER_KEY` ([all variables](#without-a-file)).

**How a model is found**: an exact alias of `[[models]]`; else `upstream/name` if that upstream exists; else the most
specific pattern (the longest literal part) of `[[models]]` and `upstreams.models` together. Equal patterns of several
upstreams are a failover list, in the order of the file.

**Secrets** are never written into it: `env:NAME` and `file:PATH` say where they are; relative paths start from the
file's own directory. An account's key file is looked at before every attempt and read again when it changed; one that
becomes unreadable leaves the last good key in use, and the log says so. The keys of callers and the `secret` are read
at start. In Python, a mapping may also hold a `Secret`, and as an account's key a function that returns one, or its
text, at once or to be awaited: it is called before every attempt and caches by itself.

**Warnings** are logged once at start and shown by `asgi-ds2api check`: `auth = "none"`, no `secret`, plain HTTP to
another machine, settings without effect.
"""


def reference() -> str:
    """Return ``docs/configuration.md``."""
    whole = schema()
    tables: Mapping[str, Json] = {"ConfigTable": whole, **whole["$defs"]}
    parts = [INTRODUCTION]
    for name, title, place, text in SECTIONS:
        parts.append(f"\n## {title}\n\n{text}\n\n" + _rows(tables[name], place))
    parts.append("\n## Without a file\n\n" + _variables())
    parts.append("\n## Presets\n\n" + _presets())
    parts.append("\n## Profiles\n\n" + _profiles())
    return "".join(parts)


def _rows(table: Json, place: str) -> str:
    lines = ["| key | value | default | meaning |", "|---|---|---|---|"]
    required = table.get("required", [])
    for key, shape in table["properties"].items():
        if _is_table(shape) and not place:
            continue
        default = "required" if key in required else _code(shape["default"]) if "default" in shape else ""
        meaning = f"{_descriptions(place)[key]} {_examples(shape)}".strip()
        lines.append(f"| `{key}` | {_words(shape)}{_unit(key)} | {default} | {meaning} |")
    return "\n".join(lines) + "\n"


def _unit(key: str) -> str:
    """Return the unit of a number, which its name tells."""
    units = {"_bytes_s": "bytes a second", "_bytes": "bytes", "_s": "seconds"}
    return next((f", {unit}" for end, unit in units.items() if key.endswith(end)), "")


def _examples(shape: Json) -> str:
    examples = [f"`{_toml(example)}`" for example in shape.get("examples", ())]
    return f"For example {' or '.join(examples)}." if examples else ""


def _toml(value: object) -> str:
    """Return a value as it is written in a file, in one line."""
    match value:
        case list():
            return f"[{', '.join(map(_toml, value))}]"
        case dict():
            return f"{{ {', '.join(f'{key} = {_toml(inner)}' for key, inner in value.items())} }}"
        case _:
            return json.dumps(value)


def _is_table(shape: Json) -> bool:
    """Tell whether a key has a section of its own."""
    return "$ref" in shape.get("items", shape)


def _descriptions(place: str) -> Mapping[str, str]:
    """Return the descriptions of a table's keys as they are written, with their back quotes."""
    kind: inspect.Type = inspect.type_info(ConfigTable)
    for step in filter(None, place.split(".")):
        kind = next(field.type for field in _struct_in(kind).fields if field.name == step)
    return {field.name: _description(field.type) for field in _struct_in(kind).fields}


def _struct_in(kind: inspect.Type) -> inspect.StructType:
    match kind:
        case inspect.StructType():
            return kind
        case inspect.Metadata():
            return _struct_in(kind.type)
        case inspect.VarTupleType():
            return _struct_in(kind.item_type)
        case inspect.UnionType():
            return _struct_in(next(option for option in kind.types if not _is_null(option)))
        case _:
            raise TypeError(f"no table in {kind}")


def _description(kind: inspect.Type) -> str:
    while isinstance(kind, inspect.Metadata):
        text = (kind.extra_json_schema or {}).get("description")
        if text:
            return str(text).replace("|", "\\|")
        kind = kind.type
    return ""


def _words(shape: Json) -> str:
    if "anyOf" in shape:
        return " or ".join(dict.fromkeys(map(_words, shape["anyOf"])))
    if "enum" in shape:
        return ", ".join(f"`{value}`" for value in shape["enum"])
    match shape.get("type"):
        case "array":
            return f"list of {_words(shape['items'])}"
        case "integer" | "number":
            return str(shape["type"]) + _bounds(shape)
        case "string" if str(shape.get("pattern", "")).startswith("^(env:"):
            return "`env:NAME`, `file:PATH`" + (", `sha256:HEX`" if "sha256" in shape["pattern"] else "")
        case str() as kind:
            return kind
        case _:
            return "table"


def _bounds(shape: Json) -> str:
    names = (("minimum", "from"), ("exclusiveMinimum", "above"), ("maximum", "to"))
    words = [f"{word} {_number(shape[name])}" for name, word in names if name in shape]
    return f" ({' '.join(words)})" if words else ""


def _number(value: float) -> str:
    return f"{int(value):,}" if float(value).is_integer() else f"{value:g}"


def _code(value: object) -> str:
    return f"`{json.dumps(value)}`"


def _variables() -> str:
    """Return what the environment alone can say."""
    lines = [
        "Where there is no file, these variables are the configuration; `asgi-ds2api check` shows what they mean. A",
        "number at the end (`_2`, `_3`, ...) adds a further key, caller or secret. An empty variable is an absent one.",
        "",
        "| variable | what it says |",
        "|---|---|",
        *(f"| `{variable}` | a key of the preset `{name}` |" for name, variable in key_variables(PRESETS).items()),
        f"| `{CALLER_VARIABLE}` | the key of a caller |",
        f"| `{SECRET_VARIABLE}` | `secret` |",
        f"| `{STATUS_VARIABLE}` | `status.key` |",
        *(f"| `{name}` | `{key}`{', with commas' if key in LISTS else ''} |" for name, key in SETTINGS.items()),
    ]
    return "\n".join(lines) + "\n"


def _presets() -> str:
    lines = ["| preset | protocol | base_url | profile | variable |", "|---|---|---|---|---|"]
    lines += [
        f"| `{name}` | `{preset.protocol}` | {_address(preset)} | `{preset.profile}` | {_variable(preset)} |"
        for name, preset in PRESETS.items()
    ]
    return "\n".join(lines) + "\n"


def _address(preset: Preset) -> str:
    return "yours" if preset.base_url is None else f"`{preset.base_url}`"


def _variable(preset: Preset) -> str:
    return "none: it wants no key" if preset.env is None else f"`{preset.env}`"


def _profiles() -> str:
    """Return each field with its default, then what each profile has in its place."""
    kind = inspect.type_info(Profile)
    assert isinstance(kind, inspect.StructType)
    meanings = {field.name: meaning for field in kind.fields if (meaning := _description(field.type))}
    usual = Profile()
    lines = [
        "How a vendor's dialect differs from its protocol: a name, or single fields inline, beside an optional `base`:",
        '`profile = { base = "lenient", done = "required" }`. A field that neither says has its default.',
        "",
        "| field | default | meaning |",
        "|---|---|---|",
        *(
            f"| `{name}` | {_code(msgspec.to_builtins(getattr(usual, name)))} | {meaning} |"
            for name, meaning in meanings.items()
        ),
        "",
        "What each profile has in place of the defaults:",
        "",
        "| profile | fields |",
        "|---|---|",
        *(f"| `{name}` | {_differences(profile, usual, meanings)} |" for name, profile in PROFILES.items()),
    ]
    return "\n".join(lines) + "\n"


def _differences(profile: Profile, usual: Profile, names: Iterable[str]) -> str:
    own = [name for name in names if getattr(profile, name) != getattr(usual, name)]
    return ", ".join(f"`{name} = {_toml(msgspec.to_builtins(getattr(profile, name)))}`" for name in own)


# --- all documents ----------------------------------------------------------------------------------------------------

DOCUMENTS: Mapping[str, Callable[[], str]] = {
    "docs/capabilities.md": capabilities.page,
    "docs/configuration.md": reference,
    "docs/ds2api.schema.json": lambda: json.dumps(schema(), indent=2, ensure_ascii=False) + "\n",
}
"""Path -> what makes it."""


def stale() -> list[str]:
    """Return the documents that are not what the code says."""
    return [path for path, make in DOCUMENTS.items() if not _is_current(ROOT / path, make())]


def _is_current(path: Path, text: str) -> bool:
    return path.is_file() and bool(path.read_text() == text)


def main() -> int:
    """Write the documents, or check them."""
    parser = argparse.ArgumentParser(description=__doc__)
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--write", action="store_true")
    choice.add_argument("--check", action="store_true")
    if parser.parse_args().write:
        for path, make in DOCUMENTS.items():
            (ROOT / path).write_text(make())
        return 0
    if found := stale():
        print(f"not what the code says: {', '.join(found)}; run python -m tests.support.documents --write")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
