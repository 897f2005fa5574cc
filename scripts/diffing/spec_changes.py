"""What changed in the schemas of two specs, and whom it reaches: the rules of oasdiff, in small.

A change is judged by who writes the value: a request may be given more, a response may hold less.
Enums are open (a client keeps a value that it doesn't know), so that a new value in a response
reaches only code that means to name them all.

Nothing is said of what no code is generated from: texts, headers of responses, links, callbacks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from diffing.spec_nodes import READ, SENT, Node, Nodes, identifier, under
from diffing.spec_schema import (
    Direction,
    Group,
    Relation,
    Schema,
    Spot,
    flat,
    group_of,
    kinds,
    label,
    relate,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

Said: TypeAlias = tuple[str, Group]
"""What changed, and whom that reaches."""

_HIGHEST = frozenset({"maxLength", "maximum", "maxItems", "maxProperties"})
_LOWEST = frozenset({"minLength", "minimum", "minItems", "minProperties"})
_OTHER = frozenset(
    {"pattern", "multipleOf", "uniqueItems", "exclusiveMaximum", "exclusiveMinimum", "not"}
    | {"readOnly", "writeOnly"}
)


@dataclass(frozen=True)
class SpecChange:
    """A change of one part of the spec."""

    keys: tuple[str, ...]
    """What it is called in Python: `Message.content`, `RoleEnum=user`, an operation."""
    place: str
    what: str
    group: Group
    effects: tuple[str, ...] = ()
    """What it means to callers beyond what the generated code shows."""


def schema_changes(old: Nodes, new: Nodes) -> Iterator[SpecChange]:
    """The changes of all schemas that become classes."""
    for name in [*old.classes, *(name for name in new.classes if name not in old.classes)]:
        before, after = old.classes.get(name), new.classes.get(name)
        if before and after:
            yield from _class_changes(name, (before, old.spec), (after, new.spec))
        elif after and not after.owner:
            yield SpecChange((name,), after.place, "new schema", Group.ADDS)
        elif before and not before.owner:
            yield SpecChange((name,), before.place, "the schema is gone", Group.ADDS)


def directions_of(name: str, old: Nodes, new: Nodes) -> set[Direction]:
    """Who writes a class: as on both sides, or on either where they have nothing in common."""
    found = [side.classes[name].directions for side in (old, new) if name in side.classes]
    return set.intersection(*found) or set.union(*found) if found else {SENT, READ}


def gather(
    keys: tuple[str, ...], place: str, said: list[Said], directions: set[Direction]
) -> Iterator[SpecChange]:
    """One change of all that is to be said of a place; none if there is nothing to say."""
    if said:
        where = " and ".join(sorted(direction.value for direction in directions))
        what = "; ".join(dict.fromkeys(text for text, _ in said))
        yield SpecChange(keys, place, f"{what} (in {where})", max(group for _, group in said))


def value_changes(
    old: tuple[Schema, Schema], new: tuple[Schema, Schema], spot: Spot, directions: set[Direction]
) -> Iterator[Said]:
    """What changed in the values that a property, parameter or body may have.

    `old` and `new` are each a schema and the spec that it is in.
    """
    before, after = kinds(*old, spot), kinds(*new, spot)
    relation = relate(before, after)
    if relation is not Relation.SAME:
        text = f"type: {label(before)} became {label(after)}"
        yield text, group_of(relation, directions)
    before_flat, after_flat = ({**flat(*side)[1], **side[0]} for side in (old, new))
    yield from _constraints(before_flat, after_flat, directions)
    first, then = before_flat.get("default"), after_flat.get("default")
    if first != then:
        silent = first is not None and SENT in directions
        text = f"default: {_shown(first)} became {_shown(then)}"
        yield text, Group.BREAKS if silent else Group.ADDS
    if after_flat.get("deprecated") and not before_flat.get("deprecated"):
        yield "deprecated", Group.ADDS


def _constraints(old: Schema, new: Schema, directions: set[Direction]) -> Iterator[Said]:
    for key in sorted(_HIGHEST | _LOWEST | _OTHER):
        first, then = old.get(key) or None, new.get(key) or None
        if key in _HIGHEST | _LOWEST:
            first, then = old.get(key), new.get(key)
        if first != then:
            text = f"{key}: {_shown(first)} became {_shown(then)}"
            yield text, group_of(_bound(key, first, then), directions)


def _bound(key: str, first: Any, then: Any) -> Relation:
    """How what a constraint allows changed; None is no constraint."""
    if first is None or then is None:
        return Relation.WIDER if then is None else Relation.NARROWER
    if key in _OTHER:
        return Relation.DIFFERENT
    return Relation.WIDER if (then > first) == (key in _HIGHEST) else Relation.NARROWER


def _shown(value: Any) -> str:
    return "none" if value is None else f"{value!r}"


def _class_changes(
    name: str, old: tuple[Node, Schema], new: tuple[Node, Schema]
) -> Iterator[SpecChange]:
    (before, old_spec), (after, new_spec) = old, new
    directions = before.directions & after.directions or before.directions | after.directions
    if "enum" in before.schema and "enum" in after.schema:
        yield from _enum_changes(name, before, after, directions)
    elif "enum" in before.schema or "enum" in after.schema:
        what = "an enum became an object" if "enum" in before.schema else "an object became an enum"
        yield from gather((name,), after.place, [(what, Group.BREAKS)], directions)
    else:
        yield from _field_changes(name, old, new, directions)
        first, then = (_more(schema) for schema in (before.schema, after.schema))
        place = under(after.place, "additionalProperties")
        spot = Spot(name, "additional_property")
        said = list(value_changes((first, old_spec), (then, new_spec), spot, directions))
        yield from gather((f"{name}.additional_properties",), place, said, directions)


def _more(schema: Schema) -> Schema:
    """What further properties of an object may be; false stands as an enum of no value."""
    more = schema.get("additionalProperties", True)
    if isinstance(more, dict):
        return more
    return {} if more else {"enum": []}


def _enum_changes(
    name: str, old: Node, new: Node, directions: set[Direction]
) -> Iterator[SpecChange]:
    place = under(new.place, "enum")
    before, after = (
        [str(value) for value in node.schema["enum"] if value is not None] for node in (old, new)
    )
    for value in (value for value in after if value not in before):
        group = Group.EXHAUSTIVE if READ in directions else Group.ADDS
        yield from gather(
            (f"{name}={value}",), place, [(f"new value {value!r}", group)], directions
        )
    for value in (value for value in before if value not in after):
        said = (f"the value {value!r} is gone", group_of(Relation.NARROWER, directions))
        yield from gather((f"{name}={value}",), place, [said], directions)


def _field_changes(
    name: str, old: tuple[Node, Schema], new: tuple[Node, Schema], directions: set[Direction]
) -> Iterator[SpecChange]:
    (before, old_spec), (after, new_spec) = old, new
    first, then = (node.schema.get("properties", {}) for node in (before, after))
    for key in [*first, *(key for key in then if key not in first)]:
        required = key in after.schema.get("required", [])
        was_required = key in before.schema.get("required", [])
        keys = (f"{name}.{identifier(key)}",)
        place = under(after.place, "properties", key)
        if key not in then:
            said = [("the property is gone", Group.BREAKS)]
        elif key not in first:
            said = [_new_property(directions, required=required)]
        else:
            said = [*_requirement(was_required, required, directions)]
            sides = (first[key], old_spec), (then[key], new_spec)
            said += value_changes(*sides, Spot(name, key), directions)
        yield from gather(keys, place, said, directions)


def _new_property(directions: set[Direction], *, required: bool) -> Said:
    group = Group.BREAKS if required and SENT in directions else Group.ADDS
    return f"new {'required' if required else 'optional'} property", group


def _requirement(was: bool, now: bool, directions: set[Direction]) -> Iterator[Said]:  # noqa: FBT001 - a pair of states
    if was != now:
        relation = Relation.NARROWER if now else Relation.WIDER
        text = "optional became required" if now else "required became optional"
        yield text, group_of(relation, directions)
