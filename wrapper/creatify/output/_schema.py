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
from functools import partial
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
    from collections.abc import Callable, Sequence

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


def shape_of(hint: Hint, said: Sequence[object]) -> Hint:
    """What msgspec takes of a type: what is said of it, and the outside, but not what is in it."""
    shapes: dict[Form, Hint] = {
        Form.OBJECT: dict,
        Form.MAPPING: dict,
        Form.LIST: list,
        Form.TUPLE: GenericAlias(tuple, (Any,) * len(get_args(hint))),
        Form.SINGLE: hint,
    }
    shape = shapes.get(form_of(hint), Any)
    metas = tuple(meta for one in reversed(said) if (meta := _meta_of(one)))
    return operator.getitem(Annotated, (shape, *metas)) if metas else shape


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
            shape = shape_of(base, said)
            return self._single(shape, path) | schema if kind_of(shape) is Annotated else schema
        except (TypeError, NameError, RuntimeError) as error:  # msgspec's, and pydantic's
            raise _no_json(hint, path, error) from error

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
        return {"type": "array", **({"items": items} if items else {})}

    def _mapping(self, hint: Hint, path: str) -> Schema:
        key, value = get_args(hint) or (str, Any)
        if self._inlined(self.of(key, f"{path}.*")).get("type", "string") != "string":
            raise InvalidRequestError(
                f"{path}: the keys of a JSON object are strings, and not {name_of(key)}"
            )
        items = self.of(value, f"{path}.*")
        return {"type": "object", **({"additionalProperties": items} if items else {})}

    def _object(self, hint: Hint, path: str) -> Schema:
        if hint not in self._names:
            name = self._named(hint)
            fields = list(fields_of(hint, path))
            required: list[JSON] = [field.name for field in fields if field.is_required]
            text = _text_of(kind_of(hint))
            self._defs[name] = {
                "type": "object",
                **({"description": text} if text else {}),
                "properties": {f.name: self.of(f.hint, f"{path}.{f.name}") for f in fields},
                **({"required": required} if required else {}),
            }
        return {"$ref": _REF + self._names[hint]}

    def _pydantic(self, hint: Hint, _: str) -> Schema:
        from pydantic import TypeAdapter  # noqa: PLC0415 - who has a model of it has it

        return self._adopted(hint, TypeAdapter(hint).json_schema, "{model}")

    def _single(self, hint: Hint, _: str) -> Schema:
        schema = self._adopted(hint, partial(msgspec.json.schema, hint), "{name}")
        return schema | _FORMATS.get(hint, {})

    def _adopted(self, hint: Hint, make: Callable[..., Schema], of: str) -> Schema:
        """A schema that a library makes, whose references are to `defs`."""
        if hint not in self._names:
            name = self._named(hint)
            schema = make(ref_template=f"{_REF}{name}.{of}")
            inner = cast("dict[str, Schema]", schema.pop("$defs", {}))
            self._defs |= {f"{name}.{key}": _mended(body) for key, body in inner.items()}
            self._defs[name] = _mended(schema)
        return self._defs[self._names[hint]]

    def _named(self, hint: Hint) -> str:
        name = re.sub(r"\W+", "_", name_of(hint)).strip("_")
        name = name if name not in self._defs else f"{name}-{len(self._defs)}"
        self._names[hint] = name
        self._defs[name] = {"type": "object"}  # so long: it may refer to itself
        return name


def _meta_of(one: object) -> msgspec.Meta | None:
    """A text by itself, or PEP 727's Doc, is a description."""
    text = one if isinstance(one, str) else getattr(one, "documentation", None)
    if isinstance(text, str):
        return msgspec.Meta(description=text)
    return one if isinstance(one, msgspec.Meta) else None


def _text_of(cls: type) -> str:
    text = inspect.cleandoc(cls.__doc__ or "")
    return "" if text.startswith(f"{cls.__name__}(") else text  # which `dataclass` has written


def _mended(schema: Schema) -> Schema:
    """With the type of an enum's values, which some readers want, and no `false` as a schema."""
    kinds = {type(value) for value in cast("list[JSON]", schema.get("enum", []))}
    kind = _TYPES.get(kinds.pop()) if len(kinds) == 1 else None
    told = {key: value for key, value in schema.items() if (key, value) != ("items", False)}
    return told | {"type": kind} if kind else told


def _no_json(hint: Hint, path: str, error: Exception) -> InvalidRequestError:
    why = str(error).partition("\n")[0]
    told = "" if why.startswith("Generating JSON schema") else f": {why}"
    return InvalidRequestError(f"{path}: {name_of(hint)} is no type of a JSON value{told}")
