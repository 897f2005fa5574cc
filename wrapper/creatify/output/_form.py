"""What kind of type a Python type is, as JSON: shared by its schema and by the values' conversion.

A class is a JSON object; what is no class and no container is left to msgspec, which knows the
types of single values; and what belongs to pydantic is pydantic's.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections import abc
from enum import Enum, auto
from functools import partial
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    NamedTuple,
    TypeAlias,
    TypeVar,
    cast,
    get_args,
    get_origin,
)

import attrs
import typing_extensions

from creatify._errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Hint: TypeAlias = Any
"""A type, of any form: a class, an alias, a union. Python has no type for that yet (PEP 747)."""

_LISTS: Final = frozenset({list, tuple, abc.Sequence, abc.MutableSequence, set, frozenset, abc.Set})
_MAPPINGS: Final = frozenset({dict, abc.Mapping, abc.MutableMapping})
_QUALIFIERS: Final = frozenset(
    {
        typing.Final,
        *(typing.Required, typing.NotRequired),
        *(typing_extensions.Required, typing_extensions.NotRequired, typing_extensions.ReadOnly),
    }
)


class Form(Enum):
    """The kinds of types."""

    ANY = auto()
    WRAPPED = auto()  # another type with something said of it
    UNION = auto()
    CLASS = auto()  # a dataclass or an attrs class
    TYPED_DICT = auto()
    PYDANTIC = auto()
    LIST = auto()
    TUPLE = auto()
    MAPPING = auto()
    SINGLE = auto()  # what msgspec knows, or nobody does


class Field(NamedTuple):
    """A property of a class, and the argument that it is given as."""

    name: str
    argument: str
    hint: Hint
    is_required: bool


def form_of(hint: Hint) -> Form:
    """What kind of type it is."""
    return next((form for form, fits in _FORMS.items() if fits(hint)), Form.SINGLE)


def origin_of(hint: Hint) -> Hint:
    """`list` of `list[int]`; None of what is not made of another type."""
    return cast("Hint", get_origin(hint))


def unwrapped(hint: Hint) -> tuple[Hint, tuple[object, ...]]:
    """The type without what is said of it, and what that is, the outermost first."""
    said: list[object] = []
    while form_of(hint) is Form.WRAPPED:
        if origin_of(hint) is Annotated:
            said += reversed(hint.__metadata__)
        hint = _aliased(hint) or get_args(hint)[0]
    return hint, tuple(said)


def name_of(hint: Hint) -> str:
    """What a type is called in an error."""
    return hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint)


def item_of(hint: Hint) -> Hint:
    """The type of the items of a list, a set or a tuple of any length."""
    return (get_args(hint) or (Any,))[0]


def fields_of(hint: Hint, path: str) -> Iterator[Field]:
    """The properties of a class, as the API is told of them.

    Raises InvalidRequestError, with the `path` of the class, for one that can't be made of them.
    """
    cls = origin_of(hint) or hint
    hints = hints_of(cls, f"{path}: a type of {cls.__name__}")
    bound = _bound(cls, get_args(hint))
    if typing_extensions.is_typeddict(cls):
        for name, inner in hints.items():
            origins = {origin_of(inner), origin_of(_unannotated(inner))}
            optional = bool(origins & _OPTIONAL) or name not in cls.__required_keys__
            is_required = bool(origins & _REQUIRED) or not optional
            yield Field(name, name, _substituted(inner, bound), is_required)
        return
    needed = _needed(cls, path)
    for name, argument, given, is_required in _arguments(cls):
        needed -= {argument}
        yield Field(name, argument, _substituted(hints.get(name, given), bound), is_required)
    if needed:
        raise InvalidRequestError(
            f"{path}: {cls.__name__} can't be made of JSON: it takes {min(needed)!r}, which is none"
            " of its fields"
        )


def hints_of(holder: object, what: str) -> dict[str, Hint]:
    """The annotations, looked up. Raises InvalidRequestError that begins with `what`."""
    try:
        return typing_extensions.get_type_hints(holder, include_extras=True)
    except (NameError, SyntaxError, TypeError) as error:
        problem = str(error)
    # Not in the handler: the frames of this one hold all globals of the module that was looked in.
    raise InvalidRequestError(
        f"{what} can't be looked up ({problem}): name only types that are imported, or defined at"
        " the top of the module, where it is"
    )


def _unannotated(hint: Hint) -> Hint:
    return hint.__origin__ if origin_of(hint) is Annotated else hint


def _is_wrapped(hint: Hint) -> bool:
    origin = origin_of(hint)
    return origin is Annotated or origin in _QUALIFIERS or _aliased(hint) is not None


def _is_class(hint: Hint) -> bool:
    kind = origin_of(hint) or hint
    return isinstance(kind, type) and (dataclasses.is_dataclass(kind) or attrs.has(kind))


def _is_tuple(hint: Hint) -> bool:
    """Whether it is one of a given length."""
    return origin_of(hint) is tuple and Ellipsis not in get_args(hint)


def _is_one_of(kinds: frozenset[type], hint: Hint) -> bool:
    kind = origin_of(hint) or hint
    return isinstance(kind, abc.Hashable) and kind in kinds


_FORMS: Final[dict[Form, Callable[[Hint], bool]]] = {
    Form.ANY: lambda hint: hint in (Any, object),
    Form.UNION: lambda hint: origin_of(hint) in (typing.Union, types.UnionType),
    Form.WRAPPED: _is_wrapped,
    Form.PYDANTIC: lambda hint: hasattr(origin_of(hint) or hint, "__pydantic_validator__"),
    Form.TYPED_DICT: lambda hint: typing_extensions.is_typeddict(origin_of(hint) or hint),
    Form.CLASS: _is_class,
    Form.TUPLE: _is_tuple,
    Form.LIST: partial(_is_one_of, _LISTS),
    Form.MAPPING: partial(_is_one_of, _MAPPINGS),
}
"""The first that is true tells the form."""
_REQUIRED: Final = frozenset({typing.Required, typing_extensions.Required})
_OPTIONAL: Final = frozenset({typing.NotRequired, typing_extensions.NotRequired})


def _aliased(hint: Hint) -> Hint | None:
    """What a NewType, or a `type X = ...`, stands for."""
    if isinstance(hint, typing.NewType):
        return hint.__supertype__
    alias = origin_of(hint) or hint
    if isinstance(alias, typing_extensions.TypeAliasType):
        value = alias.__value__
        return value[get_args(hint)] if get_args(hint) else value
    return None


def _needed(cls: type, path: str) -> set[str]:
    """The arguments that must be given to make one."""
    if inspect.isabstract(cls):
        raise InvalidRequestError(f"{path}: {cls.__name__} is abstract: there are none of it")
    return {
        parameter.name
        for parameter in inspect.signature(cls).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind not in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}
    }


def _arguments(cls: type) -> Iterator[tuple[str, str, Hint, bool]]:
    """Each field that is an argument, too: its name, the argument's, a type, and if it must be."""
    if attrs.has(cls):
        for field in attrs.fields(cls):
            if field.init:
                yield field.name, field.alias, field.type or Any, field.default is attrs.NOTHING
        return
    for one in dataclasses.fields(cls):
        if one.init:
            given = (one.default, one.default_factory)
            is_required = all(default is dataclasses.MISSING for default in given)
            yield one.name, one.name, one.type, is_required


def _bound(cls: Hint, arguments: Iterable[Hint]) -> dict[Hint, Hint]:
    """What the type variables of a class and of its bases stand for."""
    bound = dict(zip(getattr(cls, "__parameters__", ()), arguments, strict=False))
    for base in vars(cls).get("__orig_bases__", getattr(cls, "__bases__", ())):
        given = [_substituted(argument, bound) for argument in get_args(base)]
        bound = _bound(origin_of(base) or base, given) | bound
    return bound


def _substituted(hint: Hint, bound: dict[Hint, Hint]) -> Hint:
    """The type with the type variables that are bound."""
    if isinstance(hint, TypeVar):
        return bound.get(hint, hint)
    free = getattr(hint, "__parameters__", ())
    if not bound or not free or isinstance(hint, type):
        return hint
    return hint[tuple(bound.get(variable, variable) for variable in free)]
