"""Values made for a schema are accepted by who wrote the schema (pydantic), and are always the same."""

import datetime
import enum
import uuid
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge, Gt, Le, Len, Lt, MultipleOf
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from asgi_ds2api.testing.schema import MAX_CHARS, MAX_ITEMS, MAX_VALUES, sample


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Tree(BaseModel):
    """Recursive through a list and through an option."""

    name: str
    children: list["Tree"]
    parent: "Tree | None"


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: int
    colour: Colour
    tags: Annotated[list[str], Len(2, 3)]
    note: str = "optional"


class Circle(BaseModel):
    kind: Literal["circle"]
    radius: Annotated[float, Gt(0)]


class Square(BaseModel):
    kind: Literal["square"]
    side: Annotated[float, Gt(0)]


class Drawing(BaseModel):
    shapes: list[Annotated[Circle | Square, Field(discriminator="kind")]]
    strict: Strict


TYPES: dict[str, Any] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "null": type(None),
    "optional": int | None,
    "enum": Colour,
    "literal": Literal[3, "x"],
    "list": list[int],
    "tuple": tuple[int, str],
    "dict": dict[str, int],
    "set": Annotated[set[int], Len(3)],
    "short": Annotated[str, Len(0, 2)],
    "long": Annotated[str, Len(30, 40)],
    "no items": Annotated[list[int], Len(0, 0)],
    "at least": Annotated[int, Ge(7)],
    "at most": Annotated[int, Le(-7)],
    "between": Annotated[float, Gt(0), Lt(1)],
    "narrow": Annotated[int, Gt(3), Lt(5)],
    "multiple": Annotated[int, Ge(10), MultipleOf(7)],
    "negative multiple": Annotated[int, Lt(-10), MultipleOf(7)],
    "date": datetime.date,
    "datetime": datetime.datetime,
    "time": datetime.time,
    "duration": datetime.timedelta,
    "uuid": uuid.UUID,
    "model": Strict,
    "recursive": Tree,
    "tagged union": Drawing,
}


@pytest.mark.parametrize("variant", [0, 1])
@pytest.mark.parametrize("name", TYPES)
def test_value_is_valid_for_its_schema(name: str, variant: int) -> None:
    adapter: TypeAdapter[object] = TypeAdapter(TYPES[name])
    value = sample(adapter.json_schema(), variant=variant)
    # Not strict: JSON has no dates and no sets. A value of the wrong JSON type is still refused, but for "1" as 1.
    adapter.validate_python(value)
    if name in ("int", "at least", "at most", "narrow", "multiple", "negative multiple"):
        assert type(value) is int


@pytest.mark.parametrize("name", TYPES)
def test_value_is_always_the_same(name: str) -> None:
    schema = TypeAdapter(TYPES[name]).json_schema()
    assert sample(schema) == sample(schema)


def test_variants_of_an_object_differ() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    assert [sample(schema, variant=i) for i in range(3)] == [{"city": "city"}, {"city": "city 2"}, {"city": "city 3"}]


def test_only_required_properties_are_made() -> None:
    schema = {"properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["b"]}
    assert sample(schema) == {"b": 1}


def test_parts_of_all_of_are_merged() -> None:
    part = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    other = {"properties": {"b": {"type": "boolean"}}, "required": ["b"]}
    assert sample({"allOf": [part, other]}) == {"a": 1, "b": True}


def test_reference_with_escapes_is_followed() -> None:
    schema = {"$ref": "#/$defs/a~1b~0c", "$defs": {"a/b~c": {"const": "found"}}}
    assert sample(schema) == "found"


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$ref": "#/$defs/missing"},
        {"allOf": [{"$ref": "#"}]},
        {"type": "array", "items": {"$ref": "#"}, "minItems": 2},
        {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]},
        {"type": "integer", "minimum": 10**400},
        {"type": "number", "multipleOf": 0},
        {"type": ["string", 3], "enum": "nonsense", "required": "nonsense", "properties": 3},
        True,
        None,
    ],
    ids=str,
)
def test_schema_that_nothing_can_satisfy_still_ends(schema: object) -> None:
    assert sample(schema) == sample(schema)


def test_huge_demands_are_bounded() -> None:
    text = sample({"type": "string", "minLength": 10**9})
    items = sample({"type": "array", "items": {"type": "null"}, "minItems": 10**9})
    assert (len(str(text)), items) == (MAX_CHARS, [None] * MAX_ITEMS)


def test_demands_that_multiply_are_bounded() -> None:
    schema: dict[str, object] = {"type": "integer"}
    for _ in range(6):
        schema = {"type": "array", "items": schema, "minItems": 100}
    assert str(sample(schema)).count("1") < 2 * MAX_VALUES
