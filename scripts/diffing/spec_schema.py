"""What a schema of the spec allows, and how what two of them allow relates.

A schema is taken apart into kinds (`string`, `array of integer`, `Message`, ...). Objects and enums
that have one name on both sides count as equal here: their properties and values are compared on
their own, once, by `spec_changes`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Any, TypeAlias

from openapi_python_client.strings import pascal_case

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Schema: TypeAlias = dict[str, Any]

_DOCS = frozenset({"description", "title", "example", "examples", "externalDocs", "xml"})
_STRUCTURE = frozenset(
    {"type", "properties", "required", "items", "enum", "oneOf", "anyOf", "additionalProperties"}
)


class Group(IntEnum):
    """Whom a change reaches, the worst last."""

    ADDS = 0
    EXHAUSTIVE = 1
    BREAKS = 2


class Direction(Enum):
    """Who writes the value: the caller, or the API."""

    SENT = "requests"
    READ = "responses"


class Relation(Enum):
    """How what the new schema allows relates to what the old one did."""

    SAME = "same"
    WIDER = "wider"
    NARROWER = "narrower"
    DIFFERENT = "different"


def group_of(relation: Relation, directions: Iterable[Direction]) -> Group:
    """A request may be given more and a response may hold less, and nothing else is harmless."""
    harmless = {
        Direction.SENT: {Relation.SAME, Relation.WIDER},
        Direction.READ: {Relation.SAME, Relation.NARROWER},
    }
    fits = all(relation in harmless[direction] for direction in directions)
    return Group.ADDS if fits else Group.BREAKS


@dataclass(frozen=True)
class Kind:
    """One of the kinds of value that a schema allows."""

    base: str
    """A type of JSON Schema, or `enum`, or `anything`."""
    name: str = ""
    """The class of an object or an enum, the format of anything else."""
    items: frozenset[Kind] = frozenset()
    values: frozenset[str] = frozenset()
    shape: Callable[[], str] = field(default=lambda: "", compare=False, repr=False)
    """All that an object holds, to tell a mere renaming."""


@dataclass(frozen=True)
class Spot:
    """Where a schema stands, as the generator names classes: that of its parent, and its own."""

    parent: str
    name: str

    def class_name(self, schema: Schema) -> str:
        """What the class is called if `schema` needs one here."""
        own = pascal_case(str(schema.get("title") or self.name))
        return pascal_case(self.parent) + own if self.parent else own

    def item(self) -> Spot:
        """The spot of the items of an array here."""
        return Spot(self.parent, f"{self.name}_item")

    def member(self, number: int) -> Spot:
        """The spot of a member of a union here."""
        return Spot(self.parent, f"{self.name}_type_{number}")


def flat(
    schema: Schema, spec: Schema, seen: frozenset[str] = frozenset()
) -> tuple[str | None, Schema]:
    """The component's name if `schema` is a reference, and the schema without $ref and allOf."""
    name = None
    while (reference := _reference(schema)) and reference not in seen:
        seen |= {reference}
        name = reference.rpartition("/")[2]
        schema = resolve(reference, spec)
    if "allOf" not in schema:
        return name, schema
    merged: Schema = {}
    parts = [flat(part, spec, seen)[1] for part in schema["allOf"]]
    for part in [*parts, {key: value for key, value in schema.items() if key != "allOf"}]:
        properties = {**merged.get("properties", {}), **part.get("properties", {})}
        required = [*merged.get("required", []), *part.get("required", [])]
        merged |= part
        merged |= {"properties": properties} if properties else {}
        merged |= {"required": required} if required else {}
    return name, merged


def resolve(reference: str, spec: Schema) -> Schema:
    """What a `$ref` into the same document stands for."""
    found: Any = spec
    for part in reference.removeprefix("#/").split("/"):
        found = found[part.replace("~1", "/").replace("~0", "~")]
    return dict(found)


def _reference(schema: Schema) -> str | None:
    """The $ref that a schema is, also in the disguise of an allOf around it for a description."""
    if "$ref" in schema:
        return str(schema["$ref"])
    parts = schema.get("allOf", [])
    return _reference(parts[0]) if len(parts) == 1 and not _STRUCTURE & schema.keys() else None


def types(schema: Schema) -> list[str]:
    """The types that a flat schema names or implies; none means anything."""
    named = schema.get("type")
    if named is not None:
        return [named] if isinstance(named, str) else list(named)
    if "properties" in schema or "additionalProperties" in schema:
        return ["object"]
    return ["array"] if "items" in schema else []


def kinds(schema: Schema, spec: Schema, spot: Spot) -> frozenset[Kind]:
    """The kinds of value that `schema` allows at `spot`."""
    name, schema = flat(schema, spec)
    spot = Spot("", name) if name else spot
    null = frozenset({Kind("null")}) if schema.get("nullable") else frozenset()
    members = schema.get("oneOf", schema.get("anyOf"))
    if members is not None:
        found = [kinds(part, spec, spot.member(number)) for number, part in enumerate(members)]
        return null.union(*found)
    if "enum" in schema:
        values = schema["enum"]
        null |= {Kind("null")} if None in values else set()
        texts = frozenset(str(value) for value in values if value is not None)
        return null | {Kind("enum", spot.class_name(schema), values=texts)}
    return null | ({_kind(one, schema, spec, spot) for one in types(schema)} or {Kind("anything")})


def _kind(base: str, schema: Schema, spec: Schema, spot: Spot) -> Kind:
    if base == "array":
        return Kind(base, items=kinds(schema.get("items", {}), spec, spot.item()))
    if base == "object":
        shape = lambda: json.dumps(_shape(schema, spec), sort_keys=True)  # noqa: E731 - a field's value
        return Kind(base, spot.class_name(schema), shape=shape)
    return Kind(base, str(schema.get("format", "")))


def _shape(schema: Schema, spec: Schema, seen: frozenset[str] = frozenset()) -> Any:
    """The schema with nothing that only documents, its references followed."""
    name, schema = flat(schema, spec)
    if name in seen:
        return name
    seen |= {name} if name else set()
    shape: Schema = {key: value for key, value in schema.items() if key not in _DOCS}
    for key, value in schema.items():
        if key == "properties":
            shape[key] = {one: _shape(part, spec, seen) for one, part in value.items()}
        elif key in {"items", "additionalProperties"} and isinstance(value, dict):
            shape[key] = _shape(value, spec, seen)
        elif key in {"oneOf", "anyOf"}:
            shape[key] = [_shape(part, spec, seen) for part in value]
        elif key in {"required", "enum"}:
            shape[key] = sorted(map(str, value))
    return shape


def relate(old: frozenset[Kind], new: frozenset[Kind]) -> Relation:
    """How `new` relates to `old`."""
    grown, shrunk = _cover(new, old), _cover(old, new)
    if grown:
        return Relation.SAME if shrunk else Relation.WIDER
    return Relation.NARROWER if shrunk else Relation.DIFFERENT


def _cover(wide: frozenset[Kind], narrow: frozenset[Kind]) -> bool:
    return all(any(_covers(one, other) for one in wide) for other in narrow)


def _covers(wide: Kind, narrow: Kind) -> bool:
    """Whether every value of the kind `narrow` is one of the kind `wide`."""
    if wide.base != narrow.base:
        text = wide == Kind("string") and narrow.base == "enum"
        return text or wide.base == "anything" or (wide.base, narrow.base) == ("number", "integer")
    if wide.base == "array":
        return _cover(wide.items, narrow.items)
    if wide.base == "object":
        return wide.name == narrow.name or wide.shape() == narrow.shape()
    if wide.base == "enum":
        return wide.name == narrow.name or wide.values >= narrow.values
    return wide.name in {"", narrow.name}


def label(allowed: frozenset[Kind]) -> str:
    """The kinds in words."""
    return " or ".join(sorted(map(_label, allowed)))


def _label(kind: Kind) -> str:
    if kind.base == "array":
        return f"array of {label(kind.items)}"
    if kind.base in {"object", "enum"}:
        return kind.name if kind.base == "object" or kind.values else "nothing"
    return f"{kind.base} ({kind.name})" if kind.name else kind.base
