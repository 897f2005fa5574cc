"""The JSON schema of a Python type.

msgspec makes the schemas of single values and pydantic those of its models; classes and containers
are walked here, since msgspec refuses a union of two classes.
"""

from __future__ import annotations

import inspect
import operator
import re
from collections import abc
from datetime import datetime, time
from types import GenericAlias
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias, cast, get_args

import msgspec

from creatify._errors import InvalidRequestError
from creatify.output._form import (
    LISTS,
    Form,
    Hint,
    fields_of,
    form_of,
    item_of,
    kind_of,
    name_of,
    unwrapped,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

JSON: TypeAlias = dict[str, "JSON"] | list["JSON"] | str | int | float | bool | None
Schema: TypeAlias = dict[str, JSON]

_REF: Final = "#/$defs/"
_TYPES: Final = {str: "string", int: "integer"}  # of the values of an enum
_FORMATS: Final[dict[Hint, Schema]] = {datetime: {"format": "date-time"}, time: {"format": "time"}}
"""What msgspec leaves out, since it reads them without a time zone, too."""


def schema_of(hint: Hint) -> Schema:
    """The JSON schema of a type. Raises InvalidRequestError, with the place, if it has none."""
    schemas = _Schemas()
    return schemas.whole(schemas.of(hint, name_of(hint)))


def shape_of(hint: Hint, said: Iterable[object]) -> Hint:
    """What msgspec checks of a type: the constraints and what is outermost, not what is in it."""
    constraints = tuple(one for one in said if isinstance(one, msgspec.Meta))
    shapes: dict[Form, Hint] = {
        Form.OBJECT: dict,
        Form.MAPPING: dict,
        Form.LIST: list,
        Form.TUPLE: GenericAlias(tuple, (Any,) * len(get_args(hint))),
        Form.SINGLE: hint,
    }
    shape = shapes.get(form_of(hint), Any)
    return operator.getitem(Annotated, (shape, *constraints)) if constraints else shape


class _Schemas:
    """Schemas that may refer to each other: those of single values and classes stand in `defs`."""

    def __init__(self) -> None:
        self._defs: dict[str, Schema] = {}
        self._names: dict[Hint, str] = {}
        self._kept: dict[str, JSON] = {}
        self._makers: dict[Form, Callable[[Hint, str], Schema]] = {
            Form.UNION: self._union,
            Form.PYDANTIC: self._pydantic,
            Form.OBJECT: self._object,
            Form.TUPLE: self._tuple,
            Form.LIST: self._list,
            Form.MAPPING: self._mapping,
            Form.SINGLE: self._single,
        }

    def of(self, hint: Hint, path: str) -> Schema:
        """The schema of a type, which may refer to `defs`; `path` is its place in the whole."""
        try:
            hash(hint)  # the conversion will need it, when the answer is paid for
            base, said = unwrapped(hint)
            schema = self._makers[form_of(base)](base, path)
            if any(isinstance(one, msgspec.Meta) for one in said):
                schema |= self._inlined(self._single(shape_of(base, said)))
        except (TypeError, NameError, RuntimeError) as error:  # msgspec's, and pydantic's
            raise _no_json(hint, path, error) from error
        # PEP 727's Doc, or a text by itself.
        texts = [one if isinstance(one, str) else getattr(one, "documentation", 0) for one in said]
        told = [text for text in texts if isinstance(text, str)]
        return {"description": told[0], **schema} if told else schema

    def whole(self, schema: Schema) -> Schema:
        """The schema by itself: each reference is replaced by what it stands for.

        Not every reader of schemas follows references. One that leads to itself stays, with what
        it refers to in `$defs`.
        """
        whole = self._inlined(schema)
        return {**whole, "$defs": self._kept} if self._kept else whole

    def _inlined(self, schema: Schema, within: frozenset[str] = frozenset()) -> Schema:
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            return {
                key: self._inlined_in(value, within)
                for key, value in schema.items()
                # OpenAPI's, as pydantic writes it: it tells nothing more, and names references.
                if not (key == "discriminator" and isinstance(value, dict) and "mapping" in value)
            }
        name = reference.removeprefix(_REF)
        if name not in within:
            others = {key: value for key, value in schema.items() if key != "$ref"}
            return self._inlined({**self._defs[name], **others}, within | {name})
        if name not in self._kept:
            self._kept[name] = {}  # it refers to itself
            self._kept[name] = self._inlined(self._defs[name], frozenset({name}))
        return schema

    def _inlined_in(self, value: JSON, within: frozenset[str]) -> JSON:
        if isinstance(value, list):
            return [self._inlined_in(item, within) for item in value]
        return self._inlined(value, within) if isinstance(value, dict) else value

    def _union(self, hint: Hint, path: str) -> Schema:
        return {"anyOf": [self.of(member, path) for member in get_args(hint)]}

    def _tuple(self, hint: Hint, path: str) -> Schema:
        members = get_args(hint)
        items: list[JSON] = [self.of(member, f"{path}[{n}]") for n, member in enumerate(members)]
        size = len(items)
        return {"type": "array", "prefixItems": items, "minItems": size, "maxItems": size}

    def _list(self, hint: Hint, path: str) -> Schema:
        items = self.of(item_of(hint), f"{path}[]")
        item, _ = unwrapped(item_of(hint))
        if issubclass(LISTS[kind_of(hint)], abc.Set) and kind_of(item).__hash__ is None:
            raise InvalidRequestError(f"{path}: {name_of(item)} has no hash: take a list of it")
        return {"type": "array"} if item is Any else {"type": "array", "items": items}

    def _mapping(self, hint: Hint, path: str) -> Schema:
        key, value = get_args(hint) or (str, Any)
        if self._inlined(self.of(key, f"{path}.*")).get("type", "string") != "string":
            raise InvalidRequestError(
                f"{path}: the keys of a JSON object are strings, and not {name_of(key)}"
            )
        items = self.of(value, f"{path}.*")
        return (
            {"type": "object"}
            if value is Any
            else {"type": "object", "additionalProperties": items}
        )

    def _object(self, hint: Hint, path: str) -> Schema:
        def make(_: str) -> Schema:
            fields = list(fields_of(hint, path))
            required: list[JSON] = [field.name for field in fields if field.is_required]
            text = inspect.cleandoc(cls.__doc__ or "")
            is_told = text and not text.startswith(f"{cls.__name__}(")  # which `dataclass` writes
            return {
                "type": "object",
                **({"description": text} if is_told else {}),
                "properties": {f.name: self.of(f.hint, f"{path}.{f.name}") for f in fields},
                **({"required": required} if required else {}),
            }

        cls = kind_of(hint)
        return self._defined(hint, make)

    def _pydantic(self, hint: Hint, _: str) -> Schema:
        from pydantic import TypeAdapter  # noqa: PLC0415 - who has a model of it has it

        def make(name: str) -> Schema:
            return TypeAdapter(hint).json_schema(ref_template=f"{name}.{{model}}")

        return self._defined(hint, make)

    def _single(self, hint: Hint, _: str = "") -> Schema:
        def make(name: str) -> Schema:
            schema = msgspec.json.schema(hint, ref_template=f"{name}.{{name}}")
            return schema | _FORMATS.get(hint, {})

        return self._defined(hint, make)

    def _defined(self, hint: Hint, make: Callable[[str], Schema]) -> Schema:
        """A reference to the schema of a type, which is made once, for a name in `defs`."""
        if hint not in self._names:
            base = re.sub(r"\W+", "_", name_of(hint)).strip("_")
            name = base if base not in self._defs else f"{base}-{len(self._defs)}"
            self._names[hint] = name
            self._defs[name] = {"type": "object"}  # so long: it may refer to itself
            made = make(_REF + name)
            inner = cast("dict[str, Schema]", made.pop("$defs", {}))
            self._defs |= {f"{name}.{key}": _with_type(body) for key, body in inner.items()}
            self._defs[name] = _with_type(made)
        return {"$ref": _REF + self._names[hint]}


def _with_type(schema: Schema) -> Schema:
    """An enum's schema with the type of its values, which some readers want and msgspec omits."""
    kinds = {type(value) for value in cast("list[JSON]", schema.get("enum", []))}
    kind = _TYPES.get(kinds.pop()) if len(kinds) == 1 else None
    return schema | {"type": kind} if kind else schema


def _no_json(hint: Hint, path: str, error: Exception) -> InvalidRequestError:
    why = str(error).partition("\n")[0]
    told = "" if why.startswith("Generating JSON schema") else f": {why}"
    return InvalidRequestError(f"{path}: {name_of(hint)} is no type of a JSON value{told}")
