"""JSON values as instances of Python types, strictly; and results as JSON values.

cattrs does it for containers, msgspec for single values, and pydantic for its models; a class is
made of the fields that its schema tells of.
"""

from __future__ import annotations

import collections.abc
import json
import math
from collections.abc import Callable
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache, partial
from types import GenericAlias
from typing import TYPE_CHECKING, Any, Final, Never, TypeAlias, cast, get_args

import cattrs
import msgspec
from cattrs.cols import list_structure_factory

from creatify.output._form import Form, fields_of, form_of, item_of, origin_of, unwrapped
from creatify.output._schema import JSON, constrained, schema_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from creatify.output._form import Field, Hint

Hook: TypeAlias = Callable[[Any, Any], Any]
HookFactory: TypeAlias = Callable[[Any, cattrs.Converter], Hook]

_FENCE: Final = "```"
_EXACT: Final = 2.0**53  # beyond it a float is no certain integer
_MISSING: Final = "it is required and missing"
_SHOWN: Final = 3  # places that an error names
_LONGEST: Final = 300  # characters of what it says of one: the model may write any number
_CONVERTERS: Final = 64  # types whose converters are kept: each holds its classes
_union_of: Final[ContextVar[dict[tuple[int, Hint], tuple[Any, str]]]] = ContextVar(
    "creatify_union_of"
)
"""What each value was as each union, in one conversion.

Each member of a union that holds another would find it out again: twice as often at each level.
"""


class MisfitError(ValueError):
    """A value is not what its type says. `path` (str) is the first place, as `$.items[0].price`."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        told = "; ".join(
            f"at {_short(path)}: {_short(problem)}" for path, problem in problems[:_SHOWN]
        )
        more = len(problems) - _SHOWN
        super().__init__(told + (f"; and {more} more" if more > 0 else ""))
        self.problems = problems
        self.path = problems[0][0]


def value_of_text(text: str, hint: Hint) -> Any:
    """The instance that a text is the JSON of, in a code fence or not. Raises MisfitError."""
    try:
        value = _loads(_unfenced(text))
    except (ValueError, RecursionError) as error:
        raise MisfitError([("$", f"it is no JSON ({error})")]) from error
    with _conversion():
        return _structured(value, hint, _converter_of(hint))


def values_of(value: JSON, fields: tuple[Field, ...]) -> dict[str, Any]:
    """The properties of a JSON object as instances, without others. Raises MisfitError."""
    with _conversion():
        given = _checked(_loads(json.dumps(value)), dict)
        return _properties(given, fields, _converter_of(fields))


def json_of(value: object) -> JSON:
    """A result as a JSON value: classes become objects. Raises TypeError or ValueError for none."""
    built = msgspec.to_builtins(value, str_keys=True, enc_hook=_dumped)
    json.dumps(built, ensure_ascii=False, allow_nan=False).encode()
    return cast("JSON", built)


def _unfenced(text: str) -> str:
    """A text without the code fence that is around it."""
    bare = text.strip()
    language, _, code = bare[len(_FENCE) :].partition("\n")
    is_fenced = bare.startswith(_FENCE) and code.endswith(_FENCE)
    is_plain = not language.strip() or language.strip().isidentifier()
    return code.removesuffix(_FENCE) if is_fenced and is_plain else text


@contextmanager
def _conversion() -> Iterator[None]:
    """Around all that becomes of one value."""
    token = _union_of.set({})
    try:
        yield
    finally:
        _union_of.reset(token)


def _structured(value: JSON, hint: Hint, converter: cattrs.Converter) -> Any:
    try:
        return converter.structure(value, hint)
    except Exception as error:  # cattrs', pydantic's, or that of a class's own check
        raise MisfitError(list(_problems(error, "$"))) from error


def _loads(text: str) -> JSON:
    """JSON as the standard has it; a number without a fraction is an int, however it is written."""
    return cast("JSON", json.loads(text, parse_float=_number, parse_constant=_refuse))


def _number(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        _refuse("a number so large")
    return int(number) if number.is_integer() and abs(number) < _EXACT else number


def _refuse(name: str) -> Never:
    raise ValueError(f"{name} is no JSON")


def _single(value: object, hint: Hint) -> Any:
    return msgspec.convert(value, hint)


def _pydantic(value: object, hint: Hint) -> Any:
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415 - who has a model has it

    try:
        # Not `validate_python`: in JSON a date is a string.
        return TypeAdapter(hint).validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        raise MisfitError([(_path(e["loc"]), e["msg"]) for e in error.errors()]) from error


def _path(steps: tuple[int | str, ...]) -> str:
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)


def _wrapped(hint: Hint, converter: cattrs.Converter) -> Hook:
    base, said = unwrapped(hint)
    inner = converter.get_structure_hook(base)
    constraints = [one for one in said if isinstance(one, msgspec.Meta)]
    if not constraints:
        return lambda value, _: inner(value, base)
    checked = constrained(base, constraints)

    def structure(value: object, _: object) -> Any:
        msgspec.convert(value, checked)
        return inner(value, base)

    return structure


def _union(hint: Hint, converter: cattrs.Converter) -> Hook:
    members = [member for member in get_args(hint) if member is not type(None)]
    if len(members) == 1:
        (only,) = members
        return lambda value, _: None if value is None else converter.structure(value, only)
    is_optional = len(members) < len(get_args(hint))
    keys = [(member, _keys_of(member)) for member in members]

    def structure(value: object, _: object) -> Any:
        if value is None and is_optional:
            return None
        found, place = _union_of.get(), (id(value), hint)
        if place not in found:
            found[place] = _best(value, keys, converter)
        made, problem = found[place]
        if problem:
            raise TypeError(problem)
        return made

    return structure


def _best(
    value: Any, members: list[tuple[Hint, set[str]]], converter: cattrs.Converter
) -> tuple[Any, str]:
    """Of the members that a value fits, the one that knows the most of its keys; or the first.

    And what is wrong, if it fits none.
    """
    fitting: list[tuple[int, Any]] = []
    problems = []
    for member, keys in members:
        try:
            made = _structured(value, member, converter)
        except MisfitError as error:
            problems.append(_short(str(error)))
        else:
            read = len(keys & value.keys()) if isinstance(value, dict) else 0
            fitting.append((read, made))
    if not fitting:
        return None, f"it fits none of {len(members)} types: {'; or '.join(problems)}"
    return max(fitting, key=lambda found: found[0])[1], ""


def _keys_of(hint: Hint) -> set[str]:
    schema = schema_of(hint)
    return set(cast("dict[str, JSON]", schema.get("properties", {})))


def _list(hint: Hint, converter: cattrs.Converter) -> Hook:
    items: Hint = GenericAlias(list, item_of(hint))
    read = list_structure_factory(items, converter)
    collect: Hint = _COLLECTIONS.get(origin_of(hint) or hint, list)
    return lambda value, _: collect(read(_checked(value, list), items))


def _tuple(hint: Hint, converter: cattrs.Converter) -> Hook:
    read, size = converter.gen_structure_hetero_tuple(hint), len(get_args(hint))

    def structure(value: Any, _: object) -> Any:
        if len(_checked(value, list)) != size:
            raise ValueError(f"Expected `array` of length {size}")
        return read(value, hint)

    return structure


def _class(hint: Hint, converter: cattrs.Converter) -> Hook:
    # Not cattrs': it looks up no `"Name"` within another type, and no `Required[...]` in a string.
    fields = list(fields_of(hint, str(hint)))
    make = origin_of(hint) or hint
    return lambda value, _: make(**_properties(_checked(value, dict), fields, converter))


def _properties(
    value: dict[str, JSON], fields: Iterable[Field], converter: cattrs.Converter
) -> dict[str, Any]:
    """The arguments that the properties are."""
    made: dict[str, Any] = {}
    problems: list[tuple[str, str]] = []
    for name, argument, hint, is_required in fields:
        path = f"$.{name}"
        if name in value:
            try:
                made[argument] = _structured(value[name], hint, converter)
            except MisfitError as error:
                problems += ((path + at.removeprefix("$"), what) for at, what in error.problems)
        elif is_required:
            problems.append((path, _MISSING))
    if problems:
        raise MisfitError(problems)
    return made


def _mapping(hint: Hint, converter: cattrs.Converter) -> Hook:
    read = converter.gen_structure_mapping(hint)
    return lambda value, _: read(_checked(value, dict), hint)


def _checked(value: Any, kind: type) -> Any:
    return value if isinstance(value, kind) else msgspec.convert(value, kind)


def _problems(error: BaseException, path: str) -> Iterator[tuple[str, str]]:
    """Each place that differs and how: the leaves of the errors that cattrs groups."""
    if isinstance(error, MisfitError):
        yield from ((path + inner.removeprefix("$"), problem) for inner, problem in error.problems)
    elif isinstance(error, cattrs.IterableValidationError):
        for inner, item in error.group_exceptions()[0]:
            yield from _problems(inner, f"{path}[{item.index!r}]")
    else:
        yield path, str(error) or type(error).__name__


def _dumped(value: Any) -> Any:
    """A pydantic model as JSON, for msgspec, which knows it not."""
    if hasattr(value, "__pydantic_validator__"):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} is no type of a JSON value")


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


@lru_cache(_CONVERTERS)
def _converter_of(_: Hint) -> cattrs.Converter:
    """One for each type, and not for ever: a converter keeps each class that it has seen."""
    converter = cattrs.Converter(detailed_validation=True)
    for kind in (str, bytes, int, float):  # those that no predicate is asked about
        converter.register_structure_hook(kind, _single)
    for form, factory in _HOOKS.items():
        converter.register_structure_hook_factory(partial(_is, form), factory)
    return converter


def _is(form: Form, hint: Hint) -> bool:
    return form_of(hint) is form


_COLLECTIONS: Final[dict[type, type]] = {
    set: set,
    frozenset: frozenset,
    collections.abc.Set: frozenset,
    tuple: tuple,
}
_HOOKS: Final[dict[Form, HookFactory]] = {
    Form.ANY: lambda _, __: lambda value, _: value,
    Form.SINGLE: lambda _, __: _single,
    Form.PYDANTIC: lambda _, __: _pydantic,
    Form.WRAPPED: _wrapped,
    Form.UNION: _union,
    Form.LIST: _list,
    Form.TUPLE: _tuple,
    Form.CLASS: _class,
    Form.TYPED_DICT: _class,
    Form.MAPPING: _mapping,
}
