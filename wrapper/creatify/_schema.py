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
from typing import TYPE_CHECKING, Final, TypeAlias, cast
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


@dataclass(slots=True)
class Shape:
    """What is checked of a schema. An unset `kind` is free-form JSON, which is left as it is."""

    kind: str | None = None
    nullable: bool = False
    format: str | None = None
    max_length: int | None = None
    items: Shape | None = None
    properties: dict[str, Shape] = field(default_factory=dict)
    required: frozenset[str] = frozenset()


def conform(value: JSON, schema: str, path: str = "$") -> None:
    """Make an answer fit for `from_dict`, in place: a null in an optional property is taken out.

    `schema` is a name of `components.schemas`. Unknown properties and unknown enum values stay.
    Raises MismatchError where a required property is missing or a type is wrong.
    """
    _walk(value, _shape(schema), path, drop_nulls=True)


def check(value: JSON, schema: str, path: str) -> None:
    """Hold a request against its schema, strictly and unchanged.

    Raises MismatchError also for a null that the schema does not allow, and for a string that is
    too long.
    """
    _walk(value, _shape(schema), path, drop_nulls=False)


def properties(schema: str) -> Collection[str]:
    """The names of the properties of a schema."""
    return _shape(schema).properties


def _walk(value: JSON, shape: Shape, path: str, *, drop_nulls: bool) -> JSON:
    """The value, walked; another one only for a string that `from_dict` needs otherwise."""
    if shape.kind is None or (value is None and shape.nullable):
        return value
    if not _KINDS[shape.kind](value):
        raise MismatchError(f"it is {_name(value)} and should be {_NAMES[shape.kind]}", path)
    if isinstance(value, dict):
        _walk_object(value, shape, path, drop_nulls=drop_nulls)
    elif isinstance(value, list) and shape.items is not None:
        for index, item in enumerate(value):
            value[index] = _walk(item, shape.items, f"{path}[{index}]", drop_nulls=drop_nulls)
    elif isinstance(value, str):
        return _walk_string(value, shape, path, strict=not drop_nulls)
    return value


def _walk_object(value: dict[str, JSON], shape: Shape, path: str, *, drop_nulls: bool) -> None:
    for missing in sorted(shape.required - value.keys()):
        raise MismatchError(f"the property {missing!r} is required and missing", path)
    for name, inner in shape.properties.items():
        if name not in value:
            continue
        item = value[name]
        droppable = drop_nulls and name not in shape.required
        if item is None and droppable and inner.kind is not None and not inner.nullable:
            del value[name]
        else:
            value[name] = _walk(item, inner, f"{path}.{name}", drop_nulls=drop_nulls)


def _walk_string(value: str, shape: Shape, path: str, *, strict: bool) -> str:
    parse = _FORMATS.get(shape.format or "")
    # RFC 3339 allows `t` and `z` in a date-time, and Python does not read them.
    fit = value.upper() if shape.format == "date-time" else value
    if parse is not None:
        try:
            parse(fit)
        except ValueError:
            raise MismatchError(f"it is no {shape.format}", path) from None
    if strict and shape.max_length is not None and len(value) > shape.max_length:
        raise MismatchError(f"it has {len(value)} characters and may have {shape.max_length}", path)
    return value if strict else fit


@cache
def _schemas() -> dict[str, Schema]:
    file = Path(creatify_api.__file__).with_name("openapi.json")
    spec = json.loads(file.read_text(encoding="utf-8"))
    return cast("dict[str, Schema]", spec["components"]["schemas"])


@cache
def _shape(name: str) -> Shape:
    return _compile(_schemas()[name], {})


def _compile(schema: Schema, seen: dict[str, Shape]) -> Shape:
    """The shape of a schema.

    A construct that is not known here is free-form: tolerance, not a guess.
    """
    reference = schema.get("$ref")
    if isinstance(reference, str):
        return _referenced(reference.rpartition("/")[2], seen)
    parts = cast("list[Schema]", schema.get("allOf", []))
    if len(parts) == 1:
        inner = _compile(parts[0], seen)
        return replace(inner, nullable=True) if schema.get("nullable") is True else inner
    kind = cast("str | None", schema.get("type"))
    if kind not in _KINDS:
        return Shape()
    properties = cast("dict[str, Schema]", schema.get("properties", {}))
    items = cast("Schema | None", schema.get("items"))
    return Shape(
        kind=kind,
        nullable=schema.get("nullable") is True,
        format=cast("str | None", schema.get("format")),
        max_length=cast("int | None", schema.get("maxLength")),
        items=None if items is None else _compile(items, seen),
        properties={name: _compile(inner, seen) for name, inner in properties.items()},
        required=frozenset(cast("list[str]", schema.get("required", []))),
    )


def _referenced(name: str, seen: dict[str, Shape]) -> Shape:
    """The shape of a named schema, the same object each time, so that a schema may hold itself."""
    if name not in seen:
        seen[name] = shape = Shape()
        made = _compile(_schemas()[name], seen)
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
