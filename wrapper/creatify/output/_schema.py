"""The JSON schema of a Python type.

msgspec makes the schemas of single values and pydantic those of its models; classes and containers
are walked here, since msgspec refuses a union of two classes.
"""

from __future__ import annotations

import collections.abc
import inspect
import itertools
import operator
import re
from datetime import datetime, time
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias, cast, get_args

import msgspec

from creatify._errors import InvalidRequestError
from creatify.output._form import (
    Field,
    Form,
    Hint,
    fields_of,
    form_of,
    item_of,
    name_of,
    origin_of,
    unwrapped,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

JSON: TypeAlias = dict[str, "JSON"] | list["JSON"] | str | int | float | bool | None
Schema: TypeAlias = dict[str, JSON]

_REF: Final = "#/$defs/"
_SETS: Final = (set, frozenset, collections.abc.Set)
_TYPES: Final = {str: "string", int: "integer"}  # of the values of an enum


def schema_of(hint: Hint) -> Schema:
    """The JSON schema of a type. Raises InvalidRequestError, with the place, if it has none."""
    schemas = _Schemas()
    return schemas.whole(schemas.of(hint, name_of(hint)))


def schema_of_fields(fields: Iterable[Field], path: str) -> Schema:
    """The JSON schema of an object with these properties. Raises as `schema_of` does."""
    schemas = _Schemas()
    return schemas.whole(schemas.object_of(fields, path))


class _Schemas:
    """Schemas that may refer to each other: those of classes stand in `defs`."""

    def __init__(self) -> None:
        self._defs: dict[str, Schema] = {}
        self._names: dict[Hint, str] = {}
        self._makers: dict[Form, Callable[[Hint, str], Schema]] = {
            Form.ANY: lambda _, __: {},
            Form.WRAPPED: self._wrapped,
            Form.UNION: self._union,
            Form.CLASS: self._class,
            Form.TYPED_DICT: self._class,
            Form.PYDANTIC: self._pydantic,
            Form.LIST: self._list,
            Form.TUPLE: self._tuple,
            Form.MAPPING: self._mapping,
            Form.SINGLE: self._single,
        }

    def of(self, hint: Hint, path: str) -> Schema:
        """The schema of a type, which may refer to `defs`; `path` is its place in the whole."""
        return self._makers[form_of(hint)](hint, path)

    def object_of(self, fields: Iterable[Field], path: str) -> Schema:
        """The schema of an object with these properties."""
        found = list(fields)
        required: list[JSON] = [f.name for f in found if f.is_required]
        return {
            "type": "object",
            "properties": {f.name: self.of(f.hint, f"{path}.{f.name}") for f in found},
            **({"required": required} if required else {}),
        }

    def whole(self, schema: Schema) -> Schema:
        """The schema by itself: each reference is replaced by what it stands for.

        Not every reader of schemas follows references. One that leads to itself stays, with what
        it refers to in `$defs`.
        """
        kept: dict[str, JSON] = {}
        whole = cast("Schema", self._inlined(schema, frozenset(), kept))
        todo = list(kept)
        while todo:
            name = todo.pop()
            before = set(kept)
            kept[name] = self._inlined(self._defs[name], frozenset({name}), kept)
            todo += kept.keys() - before
        return {**whole, "$defs": kept} if kept else whole

    def _inlined(self, schema: JSON, within: frozenset[str], kept: dict[str, JSON]) -> JSON:
        if isinstance(schema, list):
            return [self._inlined(item, within, kept) for item in schema]
        if not isinstance(schema, dict):
            return schema
        reference = schema.get("$ref")
        if isinstance(reference, str):
            name = reference.removeprefix(_REF)
            if name in within:
                kept.setdefault(name, {})
                return schema
            others = {key: value for key, value in schema.items() if key != "$ref"}
            return self._inlined({**self._defs[name], **others}, within | {name}, kept)
        return {
            key: self._inlined(value, within, kept)
            for key, value in schema.items()
            # OpenAPI's, as pydantic writes it: it tells nothing more, and names references.
            if not (key == "discriminator" and isinstance(value, dict) and "propertyName" in value)
        }

    def _union(self, hint: Hint, path: str) -> Schema:
        return {"anyOf": [self.of(member, path) for member in get_args(hint)]}

    def _list(self, hint: Hint, path: str) -> Schema:
        items = self.of(item_of(hint), f"{path}[]")
        item, _ = unwrapped(item_of(hint))
        is_hashable = getattr(origin_of(item) or item, "__hash__", None) is not None
        if (origin_of(hint) or hint) in _SETS and not is_hashable:
            raise InvalidRequestError(f"{path}: {name_of(item)} has no hash: take a list of it")
        return {"type": "array", "items": items} if items else {"type": "array"}

    def _tuple(self, hint: Hint, path: str) -> Schema:
        members = get_args(hint)
        items: list[JSON] = [self.of(member, f"{path}[{n}]") for n, member in enumerate(members)]
        size = len(items)
        return {"type": "array", "prefixItems": items, "minItems": size, "maxItems": size}

    def _wrapped(self, hint: Hint, path: str) -> Schema:
        try:
            hash(hint)  # the conversion will need it, when the answer is paid for
        except TypeError as error:
            raise _no_json(hint, path, error) from error
        base, said = unwrapped(hint)
        schema = self.of(base, path)
        for one in reversed(said):
            # PEP 727's Doc, or a text by itself.
            text = one if isinstance(one, str) else getattr(one, "documentation", None)
            if isinstance(text, str):
                schema = {**schema, "description": text}
        if constraints := tuple(one for one in said if isinstance(one, msgspec.Meta)):
            schema = {**schema, **self._single(constrained(base, constraints), path)}
        return schema

    def _class(self, hint: Hint, path: str) -> Schema:
        if hint not in self._names:
            self._names[hint] = name = self._new_name(hint)
            self._defs[name] = {}  # it may refer to itself
            cls = origin_of(hint) or hint
            told: Schema = {"description": text} if (text := _text_of(cls)) else {}
            self._defs[name] = self.object_of(fields_of(hint, path), path) | told
        return {"$ref": _REF + self._names[hint]}

    def _pydantic(self, hint: Hint, path: str) -> Schema:
        # Who has a model of it has it.
        from pydantic import PydanticUserError, TypeAdapter  # noqa: PLC0415

        if hint not in self._names:
            self._names[hint] = name = self._new_name(hint)
            template = f"{_REF}{name}.{{model}}"
            try:
                schema: Schema = TypeAdapter(hint).json_schema(ref_template=template)
            except (PydanticUserError, NameError) as error:
                raise _no_json(hint, path, error) from error
            self._adopt(name, cast("dict[str, Schema]", schema.pop("$defs", {})))
            self._defs[name] = schema
        return {"$ref": _REF + self._names[hint]}

    def _single(self, hint: Hint, path: str) -> Schema:
        name = self._new_name(hint)
        try:
            (schema,), defs = msgspec.json.schema_components(
                [hint], ref_template=f"{_REF}{name}.{{name}}"
            )
        except (TypeError, RecursionError) as error:
            raise _no_json(hint, path, error) from error
        self._defs[name] = schema  # so that the name is taken
        self._adopt(name, {inner: _with_type(body) for inner, body in defs.items()})
        return _with_type(schema) | _format_of(hint)

    def _mapping(self, hint: Hint, path: str) -> Schema:
        key, value = get_args(hint) or (str, Any)
        if self.whole(self.of(key, f"{path}.*")).get("type", "string") != "string":
            raise InvalidRequestError(
                f"{path}: the keys of a JSON object are strings, and not {name_of(key)}"
            )
        items = self.of(value, f"{path}.*")
        return {"type": "object", "additionalProperties": items} if items else {"type": "object"}

    def _adopt(self, name: str, defs: dict[str, Schema]) -> None:
        self._defs.update({f"{name}.{inner}": body for inner, body in defs.items()})

    def _new_name(self, hint: Hint) -> str:
        base = re.sub(r"\W+", "_", name_of(hint)).strip("_")
        names = itertools.chain([base], (f"{base}_{number}" for number in itertools.count(2)))
        return next(name for name in names if name not in self._defs)


def constrained(base: Hint, constraints: Iterable[msgspec.Meta]) -> Hint:
    """What msgspec checks of a constrained type: not what is in it."""
    bare = {Form.LIST: list, Form.MAPPING: dict, Form.SINGLE: base}.get(form_of(base), Any)
    return operator.getitem(Annotated, (bare, *constraints))


def _with_type(schema: Schema) -> Schema:
    """An enum's schema with the type of its values, which some readers want and msgspec omits."""
    kinds = {type(value) for value in cast("list[JSON]", schema.get("enum", []))}
    kind = _TYPES.get(kinds.pop()) if len(kinds) == 1 else None
    return schema | {"type": kind} if kind else schema


def _format_of(hint: Hint) -> Schema:
    """What msgspec leaves out, since it reads them without a time zone, too."""
    if hint is datetime:
        return {"format": "date-time"}
    return {"format": "time"} if hint is time else {}


def _text_of(cls: type) -> str:
    text = inspect.cleandoc(cls.__doc__ or "")
    return "" if text.startswith(f"{cls.__name__}(") else text  # which `dataclass` has written


def _no_json(hint: Hint, path: str, error: Exception) -> InvalidRequestError:
    why = str(error).partition("\n")[0]
    told = "" if why.startswith("Generating JSON schema") else f": {why}"
    return InvalidRequestError(f"{path}: {name_of(hint)} is no type of a JSON value{told}")
