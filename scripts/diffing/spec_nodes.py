"""The parts of a spec that become names in Python: classes, their fields, operations.

The names are those that openapi-python-client gives, made by its own functions, so that an effect
in the generated code can be traced to its place in the spec.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from openapi_python_client.strings import PythonIdentifier

from diffing.spec_schema import Direction, Schema, Spot, flat, resolve, types

if TYPE_CHECKING:
    from collections.abc import Iterator

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


@dataclass
class Node:
    """A schema that becomes a class."""

    place: str
    schema: Schema
    owner: str
    """What needs the class, if it is no component: a field, or part of an operation."""
    directions: set[Direction] = field(default_factory=set)


@dataclass
class Operation:
    """An operation, which becomes a module of functions."""

    name: str
    place: str
    method: str
    path: str
    content: Schema
    parameters: dict[str, Schema]
    """By the name of the argument."""

    @property
    def tag(self) -> str:
        """The first tag, which names the package of the module."""
        return identifier((self.content.get("tags") or ["default"])[0])


@dataclass
class Nodes:
    """All of them, by their names in Python."""

    spec: Schema
    classes: dict[str, Node] = field(default_factory=dict)
    operations: dict[str, Operation] = field(default_factory=dict)


def nodes(spec: Schema) -> Nodes:
    """Walk through the spec: what the operations send and read, then the other components."""
    found = Nodes(spec)
    for operation in _operations(spec):
        found.operations[operation.name] = operation
        _visit_operation(found, operation)
    for name in spec.get("components", {}).get("schemas", {}):
        # What no operation refers to can only be read: the events of a stream.
        if _class_of_component(found, name) not in found.classes:
            _visit(found, {"$ref": f"#/components/schemas/{name}"}, Spot("", name), "", "", {READ})
    return found


READ, SENT = Direction.READ, Direction.SENT


def identifier(name: str) -> str:
    """The name of a field, an argument or a module."""
    return str(PythonIdentifier(name, "field_"))


def under(place: str, *keys: str) -> str:
    """The JSON path of what is at `keys` below `place`."""
    for key in keys:
        place += f".{key}" if re.fullmatch(r"[\w-]+", key) and not key.isdigit() else f"['{key}']"
    return place.removeprefix(".")


def body_of(operation: Operation, spec: Schema) -> Schema:
    """The request's body, {} if there is none."""
    return _part(operation.content.get("requestBody", {}), spec)


def responses_of(operation: Operation, spec: Schema) -> dict[str, Schema]:
    """The responses by their status."""
    responses = operation.content.get("responses", {})
    return {str(status): _part(response, spec) for status, response in responses.items()}


def _part(part: Schema, spec: Schema) -> Schema:
    return resolve(part["$ref"], spec) if "$ref" in part else part


def _operations(spec: Schema) -> Iterator[Operation]:
    for path, item in spec.get("paths", {}).items():
        for method in METHODS:
            if method not in item:
                continue
            content = item[method]
            parameters = {}
            for entry in [*item.get("parameters", []), *content.get("parameters", [])]:
                parameter = _part(entry, spec)
                parameters[identifier(parameter["name"])] = parameter
            plain = re.sub("[{}]", "", path).strip("/").replace("/", "_")
            name = identifier(content.get("operationId") or f"{method}_{plain}")
            place = under("paths", path, method)
            yield Operation(name, place, method, path, content, parameters)


def _visit_operation(found: Nodes, operation: Operation) -> None:
    name, place, spec = operation.name, operation.place, found.spec
    for argument, parameter in operation.parameters.items():
        spot, owner = Spot(name, parameter["name"]), f"{name}({argument})"
        at = under(place, "parameters", parameter["name"])
        _visit(found, parameter.get("schema", {}), spot, at, owner, {SENT})
    for kind, media in body_of(operation, spec).get("content", {}).items():
        at = under(place, "requestBody", "content", kind, "schema")
        _visit(found, media.get("schema", {}), Spot(name, "body"), at, f"{name}(body)", {SENT})
    for status, response in responses_of(operation, spec).items():
        for kind, media in response.get("content", {}).items():
            at = under(place, "responses", status, "content", kind, "schema")
            spot = Spot(name, f"response_{status}")
            _visit(found, media.get("schema", {}), spot, at, f"{name}()", {READ})


def _class_of_component(found: Nodes, name: str) -> str:
    _, schema = flat({"$ref": f"#/components/schemas/{name}"}, found.spec)
    return Spot("", name).class_name(schema)


def _visit(  # noqa: PLR0917 - one recursion, its arguments in the same order at every call
    found: Nodes,
    schema: Schema,
    spot: Spot,
    place: str,
    owner: str,
    directions: set[Direction],
) -> None:
    """Note the class that `schema` becomes, and those below it, as used in these directions."""
    component, schema = flat(schema, found.spec)
    if component:
        spot, place, owner = Spot("", component), under("components", "schemas", component), ""
    for number, member in enumerate(schema.get("oneOf") or schema.get("anyOf") or []):
        at = under(place, "oneOf" if "oneOf" in schema else "anyOf", str(number))
        _visit(found, member, spot.member(number), at, owner, directions)
    if "enum" in schema or "object" in types(schema):
        name = spot.class_name(schema)
        node = found.classes.setdefault(name, Node(place, schema, owner))
        if not directions <= node.directions:
            node.directions |= directions
            _visit_fields(found, name, node, directions)
    if "array" in types(schema):
        at = under(place, "items")
        _visit(found, schema.get("items", {}), spot.item(), at, owner, directions)


def _visit_fields(found: Nodes, name: str, node: Node, directions: set[Direction]) -> None:
    for field_name, schema in node.schema.get("properties", {}).items():
        at = under(node.place, "properties", field_name)
        owner = f"{name}.{identifier(field_name)}"
        _visit(found, schema, Spot(name, field_name), at, owner, directions)
    more = node.schema.get("additionalProperties")
    if isinstance(more, dict):
        at = under(node.place, "additionalProperties")
        owner = f"{name}.additional_properties"
        _visit(found, more, Spot(name, "additional_property"), at, owner, directions)
