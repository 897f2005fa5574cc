"""What changed in the operations of two specs, their parameters, bodies and answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeAlias

from diffing.spec_changes import Said, SpecChange, gather, value_changes
from diffing.spec_nodes import READ, SENT, Nodes, Operation, body_of, responses_of, under
from diffing.spec_schema import Group, Schema, Spot, kinds, label

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from diffing.spec_schema import Direction

Side: TypeAlias = tuple[Operation, Schema]
"""An operation and the spec that it is in."""


def operation_changes(old: Nodes, new: Nodes) -> Iterator[SpecChange]:
    """The changes of all operations, and of what belongs to none."""
    pairs = _pairs(old, new)
    for before, after in pairs:
        yield from _identity(before, after)
        first, then = (before, old.spec), (after, new.spec)
        yield from _parameter_changes(first, then)
        yield from _body_changes(first, then)
        yield from _response_changes(first, then)
        yield from _security_changes(first, then)
    kept_old, kept_new = ({pair[side].name for pair in pairs} for side in (0, 1))
    for operation in (one for name, one in old.operations.items() if name not in kept_old):
        what = f"the operation {_called(operation)} is gone"
        yield SpecChange((operation.name,), operation.place, what, Group.BREAKS)
    for operation in (one for name, one in new.operations.items() if name not in kept_new):
        what = f"new operation {_called(operation)}"
        yield SpecChange((operation.name,), operation.place, what, Group.ADDS)
    yield from _server_changes(old.spec, new.spec)


def _pairs(old: Nodes, new: Nodes) -> list[tuple[Operation, Operation]]:
    """Each operation with what became of it: by its id, its path, or else what it handles."""
    left, right = list(old.operations.values()), list(new.operations.values())
    pairs = []
    by: list[tuple[Callable[[Operation], Hashable], Callable[[Operation], Hashable]]] = [
        (lambda one: one.name, lambda one: one.name),
        (lambda one: (one.method, one.path), lambda one: (one.method, one.path)),
        (lambda one: _handles(one, old.spec), lambda one: _handles(one, new.spec)),
    ]
    for left_key, right_key in by:
        for before in list(left):
            alike = [one for one in right if right_key(one) == left_key(before)]
            rivals = [one for one in left if left_key(one) == left_key(before)]
            if len(alike) == len(rivals) == 1:
                pairs.append((before, alike[0]))
                left.remove(before)
                right.remove(alike[0])
    return pairs


def _handles(operation: Operation, spec: Schema) -> Hashable:
    """What it takes and gives."""
    spot = Spot("", "value")
    media = [body_of(operation, spec).get("content", {})]
    media += [
        response.get("content", {})
        for status, response in responses_of(operation, spec).items()
        if status.startswith("2")
    ]
    schemas = [
        sorted((kind, label(kinds(one.get("schema", {}), spec, spot))) for kind, one in of.items())
        for of in media
    ]
    return operation.method, json.dumps(schemas), tuple(sorted(operation.parameters))


def _keys(old: Operation, new: Operation, part: str) -> tuple[str, ...]:
    """What a part of an operation is called, by its new name and the one that callers know."""
    return tuple(dict.fromkeys(f"{operation.name}({part})" for operation in (new, old)))


def _called(operation: Operation) -> str:
    return f"{operation.method.upper()} {operation.path} (`{operation.name}`)"


def _identity(old: Operation, new: Operation) -> Iterator[SpecChange]:
    """Its path may change under a caller's feet, its name may not."""
    said: list[Said] = []
    effects = []
    if (old.method, old.path) != (new.method, new.path):
        first, then = (f"{one.method.upper()} {one.path}" for one in (old, new))
        said.append((f"moved from {first} to {then}", Group.ADDS))
        if old.name == new.name and old.tag == new.tag:
            effects.append(
                f"`{new.name}` moved from `{old.path}` to `{new.path}`; calls stay as they are"
            )
    if old.name != new.name:
        said.append((f"operationId: {old.name} became {new.name}", Group.BREAKS))
    if old.tag != new.tag:
        said.append((f"tag: {old.tag} became {new.tag}", Group.BREAKS))
    if new.content.get("deprecated") and not old.content.get("deprecated"):
        said.append(("deprecated", Group.ADDS))
    if said:
        keys = tuple(dict.fromkeys((old.name, new.name)))
        what = "; ".join(text for text, _ in said)
        group = max(group for _, group in said)
        yield SpecChange(keys, new.place, what, group, tuple(effects))


def _parameter_changes(old: Side, new: Side) -> Iterator[SpecChange]:
    (before, old_spec), (after, new_spec) = old, new
    for name in dict.fromkeys([*before.parameters, *after.parameters]):
        first, then = before.parameters.get(name), after.parameters.get(name)
        shown: Schema = then or first or {}
        place = under(after.place, "parameters", shown["name"])
        said: list[Said] = []
        if first is None or then is None:
            needed = first is not None or shown.get("required", False)
            text = "the parameter is gone" if first else "new parameter"
            text += ", required" if then and needed else ""
            said.append((text, Group.BREAKS if needed else Group.ADDS))
        else:
            said += _requirement(first, then)
            if first["in"] != then["in"]:
                said.append((f"in: {first['in']} became {then['in']}", Group.ADDS))
            sides = (first.get("schema", {}), old_spec), (then.get("schema", {}), new_spec)
            said += value_changes(*sides, Spot(after.name, shown["name"]), {SENT})
        yield from gather(_keys(before, after, name), place, said, {SENT})


def _requirement(old: Schema, new: Schema) -> Iterator[Said]:
    if bool(old.get("required")) != bool(new.get("required")):
        now = bool(new.get("required"))
        text = "optional became required" if now else "required became optional"
        yield text, Group.BREAKS if now else Group.ADDS


def _body_changes(old: Side, new: Side) -> Iterator[SpecChange]:
    first, then = body_of(*old), body_of(*new)
    said: list[Said] = []
    if bool(first) != bool(then):
        needed = bool(first) or then.get("required", False)
        text = "the body is gone" if first else "new body"
        said.append((text, Group.BREAKS if needed else Group.ADDS))
    else:
        said += _requirement(first, then)
        said += _media_changes((first, old[1]), (then, new[1]), Spot(new[0].name, "body"), SENT)
    place = under(new[0].place, "requestBody")
    yield from gather(_keys(old[0], new[0], "body"), place, said, {SENT})


def _media_changes(
    old: tuple[Schema, Schema], new: tuple[Schema, Schema], spot: Spot, direction: Direction
) -> Iterator[Said]:
    first, then = old[0].get("content", {}), new[0].get("content", {})
    for kind in dict.fromkeys([*first, *then]):
        if kind not in then:
            yield f"{kind} is gone", Group.BREAKS
        elif kind not in first:
            yield f"new content type {kind}", Group.ADDS
        else:
            sides = (first[kind].get("schema", {}), old[1]), (then[kind].get("schema", {}), new[1])
            yield from value_changes(*sides, spot, {direction})


def _response_changes(old: Side, new: Side) -> Iterator[SpecChange]:
    first, then = responses_of(*old), responses_of(*new)
    success = [
        {status for status in answers if status.startswith("2")} for answers in (first, then)
    ]
    said: list[Said] = []
    for status in dict.fromkeys([*first, *then]):
        if status not in then:
            heirs = success[1] - success[0]
            lost = status in success[0] and not any(
                _inherits((first[status], old[1]), (then[heir], new[1])) for heir in heirs
            )
            said.append((f"no answer {status} any more", Group.BREAKS if lost else Group.ADDS))
        elif status not in first:
            said.append((f"new answer {status}", Group.ADDS))
        else:
            spot = Spot(new[0].name, f"response_{status}")
            sides = (first[status], old[1]), (then[status], new[1])
            said += [
                (f"{status}: {what}", group) for what, group in _media_changes(*sides, spot, READ)
            ]
    yield from gather(_keys(old[0], new[0], ""), under(new[0].place, "responses"), said, {READ})


def _inherits(old: tuple[Schema, Schema], new: tuple[Schema, Schema]) -> bool:
    """Whether an answer can take another's place: it has the same content, or less of it."""
    found = _media_changes(old, new, Spot("", "response"), READ)
    return all(group is not Group.BREAKS for _, group in found)


def _security_changes(old: Side, new: Side) -> Iterator[SpecChange]:
    before, after = _ways(*old), _ways(*new)
    if sorted(before) != sorted(after):
        kept = (not after or set(before) <= set(after)) and (before or not after)
        group = Group.ADDS if kept else Group.BREAKS
        what = f"security: {', '.join(before) or 'none'} became {', '.join(after) or 'none'}"
        place = under(new[0].place, "security")
        yield SpecChange(_keys(old[0], new[0], "client"), place, what, group)


def _ways(operation: Operation, spec: Schema) -> list[str]:
    """The alternatives of authenticating; none if anybody may call."""
    ways = {"security": [], **spec, **operation.content}["security"]
    return [json.dumps(way, sort_keys=True) for way in ways]


def _server_changes(old: Schema, new: Schema) -> Iterator[SpecChange]:
    """Where the API is, and how it knows its callers."""
    first, then = ([server["url"] for server in spec.get("servers", [])] for spec in (old, new))
    if first != then:
        group = Group.ADDS if set(first) <= set(then) and then[:1] == first[:1] else Group.BREAKS
        what = f"{', '.join(first) or 'none'} became {', '.join(then) or 'none'}"
        yield SpecChange((), "servers", what, group)
    before, after = (spec.get("components", {}).get("securitySchemes", {}) for spec in (old, new))
    for name in dict.fromkeys([*before, *after]):
        states = [
            _undocumented(schemes[name]) if name in schemes else None for schemes in (before, after)
        ]
        if states[0] != states[1]:
            group = Group.BREAKS if states[0] else Group.ADDS
            what = f"{states[0] or 'nothing'} became {states[1] or 'nothing'}"
            yield SpecChange((), under("components", "securitySchemes", name), what, group)


def _undocumented(scheme: Schema) -> str:
    return json.dumps({key: value for key, value in scheme.items() if key != "description"})
