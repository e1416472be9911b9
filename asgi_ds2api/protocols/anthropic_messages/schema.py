"""JSON Schemas of other protocols, put into the subset that Anthropic's structured outputs and strict tools take.

The rules are those of the vendor's own SDK (``lib/_parse/_transform.py``, 2.14): every object is closed; ``oneOf`` is
``anyOf``, and one combinator a node survives; literals stand without a type; a reference stands alone; what
constrains a value beyond that is moved into its description, where the model may still heed it.

Beyond the SDK:

1. A list of types, and a node that allows anything, become ``anyOf``: the vendor refuses both, others write both.
2. ``definitions`` are ``$defs``.
3. A schema that cannot be said (a root that is no object, a recursive or external reference) is refused by its path.

A schema is a stranger's: it is walked without recursion, and nothing in it is resolved, compiled or fetched.
"""

from collections.abc import Mapping
from typing import Final, TypeAlias

import msgspec
from msgspec import Raw

from ...canonical import Notices
from ...errors import Unsupported

Node: TypeAlias = dict[str, object]

_FORMATS: Final = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
)
_COMBINATORS: Final = ("anyOf", "oneOf", "allOf")
_ANYTHING: Final = ("string", "number", "boolean", "null")
"""Stands for a node without any constraint. Objects are not among them: they would have to be closed."""
_SILENT: Final = ("$schema", "$id", "$comment")
"""Keywords that say nothing of what is described."""
_DEFINITIONS: Final = ("$defs", "definitions")


def check_root(schema: Raw, at: str) -> Raw:
    """Return a tool's schema with the type that its root must have.

    Raises:
        Unsupported: The root is no object, or a combination of schemas.
    """
    root = _root(schema, at)
    if root.get("type") == "object":
        return schema
    return Raw(msgspec.json.encode({"type": "object", **root}))


def fit_schema(schema: Raw, at: str, notices: Notices) -> Raw:
    """Return a schema in Anthropic's subset.

    Args:
        schema: As the caller wrote it.
        at: Its path in the caller's body.
        notices: Where it is reported that objects were closed or constraints moved.

    Raises:
        Unsupported: It cannot be said in that subset.
    """
    root = _root(schema, at)
    if any(name.encode() in bytes(schema) for name in _SILENT):
        _report_silent(root, at, notices)
    if "$ref" not in root:
        root = {"type": "object", **root}
    walk = _Walk(at)
    fitted = walk.fit(root)
    if walk.has_closed:
        notices.changed(at, "objects are closed: Anthropic takes no others", action="coerced")
    if walk.has_moved:
        notices.changed(at, "constraints that Anthropic does not know were moved into descriptions", action="moved")
    return Raw(msgspec.json.encode(fitted))


def _report_silent(node: object, at: str, notices: Notices) -> None:
    """Report the keywords that are left out as they say nothing."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, inner in items:
        place = f"{at}[{key}]" if isinstance(key, int) else f"{at}.{key}"
        if key in _SILENT and isinstance(inner, str):
            notices.hint(place, "it says nothing of what is described")
        else:
            _report_silent(inner, place, notices)


def _root(schema: Raw, at: str) -> Node:
    try:
        root = msgspec.json.decode(schema)
    except msgspec.MsgspecError:
        raise Unsupported("The schema holds a number that cannot be read.", param=at) from None
    if not isinstance(root, dict) or root.get("type", "object") != "object":
        raise Unsupported("Anthropic takes schemas of objects only.", param=at)
    if any(name in root for name in _COMBINATORS):
        raise Unsupported("Anthropic takes no anyOf, oneOf or allOf at the root of a schema.", param=at)
    return root


class _Walk:
    """Copies one schema, node by node.

    Args:
        at: Path for refusals.
    """

    def __init__(self, at: str) -> None:
        self.has_closed = False
        self.has_moved = False
        self._at = at
        self._open: list[tuple[object, Node, str]] = []  # source, copy, definition that it belongs to ("" is the root)
        self._references: dict[str, set[str]] = {}

    def fit(self, root: Node) -> Node:
        """Return the copy.

        Raises:
            Unsupported: A reference leads out of the schema or back into itself.
        """
        fitted: Node = {}
        definitions: Node = {}
        for name in _DEFINITIONS:
            found = root.get(name)
            for key, node in found.items() if isinstance(found, dict) else ():
                definitions[key] = self._child(node, key)
        if definitions:
            fitted["$defs"] = definitions
        self._open.append(({k: v for k, v in root.items() if k not in _DEFINITIONS}, fitted, ""))
        while self._open:
            source, copy, owner = self._open.pop()
            self._fill(copy, source, owner)
        self._refuse_cycles(definitions)
        return fitted

    def _child(self, source: object, owner: str) -> Node:
        """Return an empty copy, to be filled later."""
        copy: Node = {}
        self._open.append((source, copy, owner))
        return copy

    def _fill(self, copy: Node, source: object, owner: str) -> None:
        if not isinstance(source, dict):
            self.has_moved = True
            copy["anyOf"] = [{"type": name} for name in _ANYTHING]
            return
        rest: Node = dict(source)
        if isinstance(reference := rest.get("$ref"), str):
            copy["$ref"] = self._reference(reference, owner)
            self.has_moved |= len(rest) > 1
            return
        types = rest.pop("type", None)
        if isinstance(types, list):
            self._fill_types(copy, rest, types, owner)
            return
        kind = self._literals(copy, rest) or self._combined(copy, rest, owner)
        if not kind:
            if not isinstance(types, str):
                types = _guess_type(rest)
            if types is None:
                self.has_moved = True
                copy["anyOf"] = [{"type": name} for name in _ANYTHING]
            else:
                copy["type"] = types
                self._typed(copy, rest, types, owner)
        self._describe(copy, rest)

    def _fill_types(self, copy: Node, rest: Node, types: list[object], owner: str) -> None:
        """Write a node of several types as one of several nodes, each with what concerns it."""
        if "enum" in rest or "const" in rest:
            self._fill(copy, rest, owner)
            return
        self._describe(copy, {name: rest.pop(name) for name in ("title", "description") if name in rest})
        copy["anyOf"] = [
            self._child({"type": "null"} if name == "null" else {**rest, "type": name}, owner) for name in types
        ]

    def _reference(self, reference: str, owner: str) -> str:
        for name in _DEFINITIONS:
            target = reference.removeprefix(f"#/{name}/")
            if target != reference and "/" not in target:
                self._references.setdefault(owner, set()).add(target.replace("~1", "/").replace("~0", "~"))
                return f"#/$defs/{target}"
        raise Unsupported("Anthropic takes references to $defs only.", param=self._at)

    def _literals(self, copy: Node, rest: Node) -> bool:
        values = rest.get("enum")
        if isinstance(values, list) and values and all(map(_is_primitive, values)):
            copy["enum"] = rest.pop("enum")
        if "const" in rest and _is_primitive(rest["const"]):
            copy["const"] = rest.pop("const")
        return "enum" in copy or "const" in copy

    def _combined(self, copy: Node, rest: Node, owner: str) -> bool:
        found = next((name for name in _COMBINATORS if isinstance(rest.get(name), list)), None)
        if found is None:
            return False
        variants = rest.pop(found)
        assert isinstance(variants, list)
        copy["allOf" if found == "allOf" else "anyOf"] = [self._child(variant, owner) for variant in variants]
        return True

    def _typed(self, copy: Node, rest: Node, kind: str, owner: str) -> None:
        if kind == "object":
            self._object(copy, rest, owner)
        elif kind == "array":
            if "items" in rest:
                copy["items"] = self._child(rest.pop("items"), owner)
            if rest.get("minItems") in (0, 1):
                copy["minItems"] = rest.pop("minItems")
        elif kind == "string" and rest.get("format") in _FORMATS:
            copy["format"] = rest.pop("format")

    def _object(self, copy: Node, rest: Node, owner: str) -> None:
        properties = rest.pop("properties", None)
        named = properties if isinstance(properties, dict) else {}
        copy["properties"] = {name: self._child(node, owner) for name, node in named.items()}
        if rest.get("additionalProperties") in (None, True, False):
            self.has_closed |= rest.pop("additionalProperties", None) is not False
        copy["additionalProperties"] = False
        if isinstance(rest.get("required"), list):
            copy["required"] = rest.pop("required")

    def _describe(self, copy: Node, rest: Node) -> None:
        """Keep the annotations, and move what is left into the description."""
        description = rest.pop("description", None)
        title = rest.pop("title", None)
        if title is not None:
            copy["title"] = title
        for name in _SILENT:
            rest.pop(name, None)
        moved = ", ".join(f"{name}: {msgspec.json.encode(value).decode()}" for name, value in rest.items())
        self.has_moved |= bool(moved)
        parts = [description if isinstance(description, str) else "", f"{{{moved}}}" if moved else ""]
        if any(parts):
            copy["description"] = "\n\n".join(filter(None, parts))

    def _refuse_cycles(self, definitions: Mapping[str, object]) -> None:
        """Take away the definitions that refer to nothing that is left; what remains refers to itself."""
        open_references = {name: self._references.get(name, set()) & definitions.keys() for name in definitions}
        users: dict[str, list[str]] = {name: [] for name in definitions}
        for name, references in open_references.items():
            for reference in references:
                users[reference].append(name)
        leaves = [name for name, references in open_references.items() if not references]
        left = len(definitions)
        while leaves:
            leaf = leaves.pop()
            left -= 1
            for user in users[leaf]:
                open_references[user].discard(leaf)
                if not open_references[user]:
                    leaves.append(user)
        if left:
            raise Unsupported("Anthropic takes no schema that refers to itself.", param=self._at)


def _guess_type(node: Node) -> str | None:
    """Return the type that a node without one must have."""
    if "properties" in node or "additionalProperties" in node:
        return "object"
    return "array" if "items" in node else None


def _is_primitive(value: object) -> bool:
    return value is None or isinstance(value, str | int | float)
