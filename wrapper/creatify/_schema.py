"""The spec's schemas, applied to JSON values.

The generated `from_dict` trusts its input: it dies on a null, passes a wrong type on in silence,
and says nothing of where. So a value is walked along its schema first. The schemas are those that
the generated package was made from (`creatify_api/openapi.json`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast
from uuid import UUID

import creatify_api

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

JSON: TypeAlias = dict[str, "JSON"] | list["JSON"] | str | int | float | bool | None
Schema: TypeAlias = dict[str, "JSON"]


class MismatchError(ValueError):
    """A value is not what its schema says. `path` (str) is the place, as `$.messages[0].role`."""

    def __init__(self, message: str, path: str) -> None:
        super().__init__(message)
        self.path = path


@dataclass(frozen=True, slots=True, order=True)
class Drift:
    """A place where an answer is readable and yet not what the spec says: the API has moved on.

    `schema` is a name of `components.schemas`, `property` a property of it (`a.b` within an inline
    object), `kind` what was there: `unknown property`, `unknown value` of an enum, or `null`. The
    value itself is never kept.
    """

    schema: str
    property: str
    kind: Literal["unknown property", "unknown value", "null"]


@dataclass(slots=True)
class Shape:
    """What is checked of a schema. An unset `kind` is free-form JSON, which is left as it is."""

    kind: str | None = None
    name: str | None = None
    nullable: bool = False
    format: str | None = None
    max_length: int | None = None
    values: frozenset[JSON] | None = None
    is_closed: bool = False
    items: Shape | None = None
    others: Shape | None = None  # what `additionalProperties` says of every other property
    properties: dict[str, Shape] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    plain: type | None = None  # a value of just this class has nothing more to be checked


def conform(value: JSON, schema: str, path: str = "$", drifts: set[Drift] | None = None) -> None:
    """Make an answer fit for `from_dict`, in place: a null in an optional property is taken out.

    `schema` is a name of `components.schemas`. Unknown properties and unknown enum values stay;
    they and the nulls are added to `drifts`, if it is given. Raises MismatchError where a required
    property is missing or a type is wrong.
    """
    _Walk(strict=False, drifts=drifts).value(value, _shape(schema), path, (schema, ""))


def check(value: JSON, schema: str, path: str, *, is_closed: bool = False) -> None:
    """Hold a request against its schema, strictly and unchanged.

    Raises MismatchError also for a null that the schema does not allow, for a string that is too
    long, and, if it `is_closed`, for a property that the schema does not have.
    """
    _Walk(strict=True, is_closed=is_closed).value(value, _shape(schema), path, (schema, ""))


def properties(schema: str) -> Collection[str]:
    """The names of the properties of a schema."""
    return _shape(schema).properties


@dataclass(frozen=True, slots=True)
class _Walk:
    """A walk along a value and its shape. A `place` is the schema and the property that hold it."""

    strict: bool
    is_closed: bool = False
    drifts: set[Drift] | None = None

    def value(self, value: JSON, shape: Shape, path: str, place: tuple[str, str]) -> JSON:
        """The value, walked; another one only for a string that `from_dict` needs otherwise."""
        if shape.kind is None or (value is None and shape.nullable):
            return value
        if not _KINDS[shape.kind](value):
            raise MismatchError(f"it is {_name(value)} and should be {_NAMES[shape.kind]}", path)
        if isinstance(value, dict):
            self._object(value, shape, path, place)
        elif isinstance(value, list):
            if shape.items is not None:
                for index, item in enumerate(value):
                    value[index] = self.value(item, shape.items, f"{path}[{index}]", place)
        elif self.drifts is not None and shape.values is not None and value not in shape.values:
            self.drifts.add(Drift(*place, "unknown value"))
        elif isinstance(value, str):
            return self._string(value, shape, path)
        return value

    def _object(
        self, value: dict[str, JSON], shape: Shape, path: str, place: tuple[str, str]
    ) -> None:
        if not shape.required <= value.keys():
            missing = min(shape.required - value.keys())
            raise MismatchError(f"the property {missing!r} is required and missing", path)
        if self.is_closed and shape.is_closed and not shape.properties.keys() >= value.keys():
            unknown = min(value.keys() - shape.properties.keys())
            known = ", ".join(shape.properties)
            raise MismatchError(f"it has no property {unknown!r}; it may have: {known}", path)
        schema, prefix = (shape.name, "") if shape.name else (place[0], f"{place[1]}.")
        if shape.is_closed and self.drifts is not None:
            for unknown in value.keys() - shape.properties.keys():
                self.drifts.add(Drift(schema, prefix + unknown, "unknown property"))
        for name, item in list(value.items()):
            inner = shape.properties.get(name, shape.others)
            if inner is None or type(item) is inner.plain:
                continue
            inside = schema, prefix + (name if name in shape.properties else "*")
            droppable = not self.strict and name not in shape.required
            if item is None and droppable and inner.kind is not None and not inner.nullable:
                del value[name]
                if self.drifts is not None:
                    self.drifts.add(Drift(*inside, "null"))
            else:
                value[name] = self.value(item, inner, f"{path}.{name}", inside)

    def _string(self, value: str, shape: Shape, path: str) -> str:
        parse = _FORMATS.get(shape.format or "")
        # RFC 3339 allows `t` and `z` in a date-time, and Python does not read them.
        fit = value.upper() if shape.format == "date-time" else value
        if parse is not None:
            try:
                parse(fit)
            except ValueError:
                raise MismatchError(f"it is no {shape.format}", path) from None
        if self.strict and shape.max_length is not None and len(value) > shape.max_length:
            raise MismatchError(
                f"it has {len(value)} characters and may have {shape.max_length}", path
            )
        return value if self.strict else fit


@cache
def _schemas() -> dict[str, Schema]:
    file = Path(creatify_api.__file__).with_name("openapi.json")
    spec = json.loads(file.read_text(encoding="utf-8"))
    return cast("dict[str, Schema]", spec["components"]["schemas"])


@cache
def _shape(name: str) -> Shape:
    return _referenced(name, {})


def _compile(schema: Schema, seen: dict[str, Shape]) -> Shape:
    """The shape of a schema.

    A construct that is not known here is free-form: tolerance, not a guess.
    """
    reference = schema.get("$ref")
    if isinstance(reference, str):
        return _referenced(_schema_name(reference), seen)
    name = _only_reference(schema)
    schema = _merged(schema)
    properties = cast("dict[str, Schema]", schema.get("properties", {}))
    others = schema.get("additionalProperties", False)
    items = cast("Schema | None", schema.get("items"))
    values = cast("list[JSON] | None", schema.get("enum"))
    kind = schema.get("type", "object" if properties else _kind_of(values))
    if kind not in _KINDS:
        return Shape()
    is_narrowed = bool(values) or "maxLength" in schema or schema.get("format") in _FORMATS
    return Shape(
        kind=cast("str", kind),
        name=name,
        values=None if values is None or kind in _NESTED else frozenset(values),
        is_closed=others is False and (bool(properties) or "additionalProperties" in schema),
        nullable=schema.get("nullable") is True,
        format=cast("str | None", schema.get("format")),
        max_length=cast("int | None", schema.get("maxLength")),
        items=None if items is None else _compile(items, seen),
        others=_compile(others, seen) if isinstance(others, dict) and others else None,
        properties={name: _compile(inner, seen) for name, inner in properties.items()},
        required=frozenset(cast("list[str]", schema.get("required", []))),
        plain=None if is_narrowed else _PLAIN.get(kind),
    )


def _merged(schema: Schema) -> Schema:
    """A schema with what the parts of its `allOf` say, and what stands beside them."""
    merged: Schema = {}
    for part in [*_parts(schema), {key: schema[key] for key in schema if key != "allOf"}]:
        reference = part.get("$ref")
        whole = _schemas()[_schema_name(reference)] if isinstance(reference, str) else part
        added = _merged(whole) if whole.get("allOf") else whole
        for key, value in added.items():
            former = merged.get(key)
            if isinstance(value, dict) and isinstance(former, dict):
                merged[key] = former | value
            elif isinstance(value, list) and isinstance(former, list) and key == "required":
                merged[key] = former + value
            else:
                merged[key] = value
    return merged


def _only_reference(schema: Schema) -> str | None:
    """The named schema of which this is a use: one with a null, a default or a description."""
    parts = _parts(schema)
    reference = parts[0].get("$ref") if len(parts) == 1 and "properties" not in schema else None
    return _schema_name(reference) if isinstance(reference, str) else None


def _parts(schema: Schema) -> list[Schema]:
    return cast("list[Schema]", schema.get("allOf", []))


def _schema_name(reference: str) -> str:
    return reference.rpartition("/")[2]


def _kind_of(values: list[JSON] | None) -> str | None:
    """The type that all values of an enum have; none if they differ."""
    return next((kind for kind, test in _KINDS.items() if values and all(map(test, values))), None)


def _referenced(name: str, seen: dict[str, Shape]) -> Shape:
    """The shape of a named schema, the same object each time, so that a schema may hold itself."""
    if name not in seen:
        seen[name] = shape = Shape()
        made = replace(_compile(_schemas()[name], seen), name=name)
        for slot in Shape.__slots__:
            setattr(shape, slot, getattr(made, slot))
    return seen[name]


def _is_number(value: JSON) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_integer(value: JSON) -> bool:
    return value.is_integer() if isinstance(value, float) else _is_number(value)


_KINDS: Final[dict[str | None, Callable[[JSON], bool]]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "number": _is_number,
    "integer": _is_integer,
}
_PLAIN: Final[dict[JSON, type]] = {"string": str, "boolean": bool, "number": float, "integer": int}
_NESTED: Final = frozenset({"object", "array"})
_NAMES: Final = {
    "object": "an object",
    "array": "an array",
    "string": "a string",
    "boolean": "a boolean",
    "number": "a number",
    "integer": "an integer",
}
_FORMATS: Final[dict[str, Callable[[str], object]]] = {
    "uuid": UUID,
    "date-time": datetime.fromisoformat,
}


def _name(value: JSON) -> str:
    """The JSON name of a value's type; never the value, which may be private."""
    if value is None:
        return "null"
    return next((_NAMES[str(k)] for k, test in _KINDS.items() if test(value)), type(value).__name__)
