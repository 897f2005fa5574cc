"""What kind of type a Python type is, as JSON: shared by its schema and by the values' conversion.

A class is a JSON object; what is no class and no container is left to msgspec, which knows the
types of single values; and what belongs to pydantic is pydantic's.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
from collections import abc
from enum import Enum, auto
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    NamedTuple,
    NewType,
    NotRequired,
    Required,
    TypeAlias,
    TypeVar,
    Union,
    get_args,
    get_origin,
)

import attrs
import typing_extensions

from creatify._errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Hint: TypeAlias = Any
"""A type, of any form: a class, an alias, a union. Python has no type for that yet (PEP 747)."""

LISTS: Final[dict[type, type]] = {
    list: list,
    abc.Sequence: list,
    abc.MutableSequence: list,
    tuple: tuple,
    set: set,
    frozenset: frozenset,
    abc.Set: frozenset,
}
"""The types of a JSON array of any length, and what they are made as."""
_MAPPINGS: Final = (dict, abc.Mapping, abc.MutableMapping)
_PYDANTICS: Final = {"pydantic", "pydantic_core", "annotated_types"}
_QUALIFIERS: Final = (Required, NotRequired, typing_extensions.ReadOnly, Final)


class Form(Enum):
    """The kinds of types."""

    UNION = auto()
    PYDANTIC = auto()
    OBJECT = auto()  # a dataclass, an attrs class or a TypedDict
    TUPLE = auto()  # of a given length
    LIST = auto()
    MAPPING = auto()
    SINGLE = auto()  # what msgspec knows, or nobody does


class Field(NamedTuple):
    """A property of a class, and the argument that it is given as."""

    name: str
    argument: str
    hint: Hint
    is_required: bool


def form_of(hint: Hint) -> Form:
    """What kind of type it is, once it is unwrapped."""
    kind = kind_of(hint)
    return next((form for form, fits in _FORMS.items() if fits(hint, kind)), Form.SINGLE)


def kind_of(hint: Hint) -> Hint:
    """`list` of `list[int]`; a type that is not made of another one as it is."""
    origin: Hint = get_origin(hint)
    return hint if origin is None else origin


def unwrapped(hint: Hint) -> tuple[Hint, tuple[object, ...]]:
    """The type without what is said of it, and what that is, the outermost first.

    A type of which something is said in pydantic's words is pydantic's as a whole.
    """
    said: list[object] = []
    while True:
        kind = kind_of(hint)
        if kind is Annotated and not _is_pydantics(hint):
            said += reversed(hint.__metadata__)
            hint = hint.__origin__
        elif kind in _QUALIFIERS:
            said.append(kind)
            (hint,) = get_args(hint)
        elif isinstance(hint, NewType):
            hint = hint.__supertype__
        elif hasattr(kind, "__value__"):  # a `type X = ...`, of `typing` or of `typing_extensions`
            hint = kind.__value__[get_args(hint)] if get_args(hint) else kind.__value__
        else:
            return (Any if hint is object else hint), tuple(said)


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
    cls = kind_of(hint)
    hints = _hints_of_class(hint, path)
    if typing_extensions.is_typeddict(cls):
        for name, inner in hints.items():
            _, said = unwrapped(inner)  # `__required_keys__` does not see what stands in a string
            is_optional = NotRequired in said or name not in cls.__required_keys__
            yield Field(name, name, inner, Required in said or not is_optional)
        return
    if inspect.isabstract(cls):
        raise InvalidRequestError(f"{path}: {cls.__name__} is abstract: there are none of it")
    attributes = attrs.fields(cls) if attrs.has(cls) else ()
    names = {attribute.alias: attribute.name for attribute in attributes}
    hints = {attribute.name: attribute.type or Any for attribute in attributes} | hints
    for argument, parameter in inspect.signature(cls).parameters.items():
        name, is_required = names.get(argument, argument), parameter.default is parameter.empty
        if name in hints and not isinstance(hints[name], dataclasses.InitVar):
            yield Field(name, argument, hints[name], is_required)
        elif is_required:
            raise InvalidRequestError(
                f"{path}: {cls.__name__} can't be made of JSON: it takes {argument!r}, which is"
                " none of its fields"
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


def _is_pydantics(annotated: Hint) -> bool:
    packages = {type(one).__module__.partition(".")[0] for one in annotated.__metadata__}
    return not packages.isdisjoint(_PYDANTICS)


def _is_object(_: Hint, kind: Hint) -> bool:
    is_class = dataclasses.is_dataclass(kind) or typing_extensions.is_typeddict(kind)
    return isinstance(kind, type) and (is_class or attrs.has(kind))


_FORMS: Final[dict[Form, Callable[[Hint, Hint], bool]]] = {
    Form.UNION: lambda _, kind: kind in (Union, types.UnionType),
    Form.PYDANTIC: lambda _, kind: kind is Annotated or hasattr(kind, "__pydantic_validator__"),
    Form.OBJECT: _is_object,
    Form.TUPLE: lambda hint, kind: (
        kind is tuple and hint is not tuple and ... not in get_args(hint)
    ),
    Form.LIST: lambda _, kind: kind in LISTS,
    Form.MAPPING: lambda _, kind: kind in _MAPPINGS,
}
"""The first that is true tells the form."""


def _hints_of_class(hint: Hint, path: str) -> dict[str, Hint]:
    """The annotations of a class, with what the type variables of it, or of a base, stand for."""
    cls = kind_of(hint)
    bound = dict(zip(getattr(cls, "__parameters__", ()), get_args(hint), strict=False))
    found = hints_of(cls, f"{path}: a type of {cls.__name__}")
    hints = {name: _substituted(inner, bound) for name, inner in found.items()}
    # A TypedDict's are those of its bases, too.
    own = set[str]() if typing_extensions.is_typeddict(cls) else inspect.get_annotations(cls).keys()
    inherited = {name for name, inner in found.items() if _variables(inner)} - own
    for base in reversed(vars(cls).get("__orig_bases__", cls.__bases__)):
        if kind_of(base).__module__ not in {"typing", "typing_extensions"}:  # `Generic[T]`
            of_base = _hints_of_class(_substituted(base, bound), path)
            hints |= {name: of_base[name] for name in inherited & of_base.keys()}
    return hints


def _substituted(hint: Hint, bound: dict[Hint, Hint]) -> Hint:
    """The type with the type variables that are bound."""
    if isinstance(hint, TypeVar):
        return bound.get(hint, hint)
    variables = _variables(hint)
    return hint[tuple(bound.get(one, one) for one in variables)] if variables else hint


def _variables(hint: Hint) -> tuple[Hint, ...]:
    if isinstance(hint, TypeVar):
        return (hint,)
    return () if isinstance(hint, type) else getattr(hint, "__parameters__", ())
