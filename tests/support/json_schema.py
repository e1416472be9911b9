"""Judges a document by a JSON Schema, as far as the schemas of this project go.

A keyword that is not known here is an error, not ignored: a schema that says more than is judged would pass for strict.
Source: JSON Schema 2020-12, validation vocabulary.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

Json = Mapping[str, Any]

_ANNOTATIONS = frozenset({"$schema", "$defs", "title", "description", "default", "examples"})
_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}


def violations(document: object, schema: Json, root: Json | None = None, at: str = "$") -> Iterator[str]:
    """Yield the place and the keyword of everything that the schema forbids."""
    root = schema if root is None else root
    for keyword, wanted in schema.items():
        match keyword:
            case "$ref":
                name = wanted.removeprefix("#/$defs/")
                yield from violations(document, root["$defs"][name], root, at)
            case "anyOf":
                if all(any(True for _ in violations(document, option, root, at)) for option in wanted):
                    yield f"{at}: anyOf"
            case "properties" if isinstance(document, dict):
                for key in wanted.keys() & document.keys():
                    yield from violations(document[key], wanted[key], root, f"{at}.{key}")
            case "additionalProperties" if isinstance(document, dict):
                for key in document.keys() - schema.get("properties", {}).keys():
                    if wanted is False:
                        yield f"{at}.{key}: additionalProperties"
                    else:
                        yield from violations(document[key], wanted, root, f"{at}.{key}")
            case "items" if isinstance(document, list):
                for index, item in enumerate(document):
                    yield from violations(item, wanted, root, f"{at}[{index}]")
            case _ if keyword not in _ANNOTATIONS and not _holds(keyword, wanted, document):
                yield f"{at}: {keyword}"


def _holds(keyword: str, wanted: Any, document: Any) -> bool:
    """Tell whether a keyword about the value itself holds; what is about another type always does."""
    is_number = isinstance(document, int | float) and not isinstance(document, bool)
    match keyword:
        case "type":
            return isinstance(document, _TYPES[wanted]) and (wanted == "boolean" or not isinstance(document, bool))
        case "enum":
            return document in wanted
        case "required":
            return not isinstance(document, dict) or set(wanted) <= document.keys()
        case "pattern":
            return not isinstance(document, str) or bool(re.search(wanted, document))
        case "minLength":
            return not isinstance(document, str) or len(document) >= wanted
        case "minItems":
            return not isinstance(document, list) or len(document) >= wanted
        case "minimum":
            return not is_number or document >= wanted
        case "exclusiveMinimum":
            return not is_number or document > wanted
        case "maximum":
            return not is_number or document <= wanted
        case "properties" | "additionalProperties" | "items":
            return True
        case _:
            raise AssertionError(f"the keyword {keyword} is not judged here")
