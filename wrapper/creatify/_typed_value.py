"""JSON values as instances of Python types, strictly; and results as JSON values.

cattrs does it for classes and containers, msgspec for single values, and pydantic for its models.
"""

from __future__ import annotations

import collections.abc
import json
import re
from collections.abc import Callable
from functools import partial
from types import GenericAlias
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast, get_args

import cattrs
import msgspec
from cattrs.cols import list_structure_factory

from creatify._typed_form import Form, fields_of, form_of, item_of, origin_of, unwrapped
from creatify._typed_schema import JSON, constrained, schema_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from creatify._typed_form import Field, Hint

Hook: TypeAlias = Callable[[Any, Any], Any]
HookFactory: TypeAlias = Callable[[Any, cattrs.Converter], Hook]

_FENCED: Final = re.compile(r"\s*```\w*[ \t]*\n(.*?)\s*```\s*", re.DOTALL)
_EXACT: Final = 2.0**53  # beyond it a float is no certain integer
_MISSING: Final = "it is required and missing"
_SHOWN: Final = 3  # places that an error names


class MisfitError(ValueError):
    """A value is not what its type says. `path` (str) is the first place, as `$.items[0].price`."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        told = "; ".join(f"at {path}: {problem}" for path, problem in problems[:_SHOWN])
        more = len(problems) - _SHOWN
        super().__init__(told + (f"; and {more} more" if more > 0 else ""))
        self.problems = problems
        self.path = problems[0][0]


def value_of_text(text: str, hint: Hint) -> Any:
    """The instance that a text is the JSON of, in a code fence or not. Raises MisfitError."""
    fenced = _FENCED.fullmatch(text)
    try:
        value = _loads(fenced[1] if fenced else text)
    except (ValueError, RecursionError) as error:
        raise MisfitError([("$", f"it is no JSON ({error})")]) from error
    return _structured(value, hint)


def values_of(value: JSON, fields: Iterable[Field]) -> dict[str, Any]:
    """The properties of a JSON object as instances, without others. Raises MisfitError."""
    return _properties(_checked(_loads(json.dumps(value)), dict), fields)


def json_of(value: object) -> JSON:
    """A result as a JSON value: classes become objects. Raises TypeError or ValueError for none."""
    built = msgspec.to_builtins(value, str_keys=True, enc_hook=_dumped)
    json.dumps(built, ensure_ascii=False, allow_nan=False).encode()
    return cast("JSON", built)


def _structured(value: JSON, hint: Hint) -> Any:
    try:
        return _converter.structure(value, hint)
    except Exception as error:  # cattrs', pydantic's, or that of a class's own check
        raise MisfitError(list(_problems(error, "$"))) from error


def _loads(text: str) -> JSON:
    """JSON as the standard has it; a number without a fraction is an int, however it is written."""
    return cast("JSON", json.loads(text, parse_float=_number, parse_constant=_refuse))


def _number(text: str) -> float:
    number = float(text)
    return int(number) if number.is_integer() and abs(number) < _EXACT else number


def _refuse(name: str) -> None:
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
    """Of the members that a value fits, the one that knows the most of its keys; or the first."""
    members = [member for member in get_args(hint) if member is not type(None)]
    is_optional = len(members) < len(get_args(hint))
    if len(members) > 1:
        known = [_keys_of(member) for member in members]

    def structure(value: Any, _: object) -> Any:
        if value is None and is_optional:
            return None
        if len(members) == 1:
            return converter.structure(value, members[0])
        fitting: list[tuple[int, Any]] = []
        problems = []
        for member, keys in zip(members, known, strict=True):
            try:
                made = _structured(value, member)
            except MisfitError as error:
                problems.append(str(error))
            else:
                read = len(keys & value.keys()) if isinstance(value, dict) else 0
                fitting.append((read, made))
        if not fitting:
            raise TypeError(f"it fits none of {len(members)} types: {'; or '.join(problems)}")
        return max(fitting, key=lambda found: found[0])[1]

    return structure


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


def _typed_dict(hint: Hint, _: cattrs.Converter) -> Hook:
    # Not cattrs': in Python 3.11 it takes `Required[...]` in a string for nothing.
    fields = list(fields_of(hint, str(hint)))
    return lambda value, _: _properties(_checked(value, dict), fields)


def _properties(value: dict[str, JSON], fields: Iterable[Field]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    problems: list[tuple[str, str]] = []
    for name, hint, is_required in fields:
        path = f"$.{name}"
        if name in value:
            try:
                made[name] = _structured(value[name], hint)
            except MisfitError as error:
                problems += ((path + at.removeprefix("$"), what) for at, what in error.problems)
        elif is_required:
            problems.append((path, _MISSING))
    if problems:
        raise MisfitError(problems)
    return made


def _object(make: Callable[[cattrs.Converter, Hint], Hook]) -> HookFactory:
    """The hook of cattrs, for objects only: all else it takes for one without its optional keys."""

    def factory(hint: Hint, converter: cattrs.Converter) -> Hook:
        read = make(converter, hint)
        return lambda value, _: read(_checked(value, dict), hint)

    return factory


def _checked(value: Any, kind: type) -> Any:
    return value if isinstance(value, kind) else msgspec.convert(value, kind)


def _problems(error: BaseException, path: str) -> Iterator[tuple[str, str]]:
    """Each place that differs and how: the leaves of the errors that cattrs groups."""
    if isinstance(error, MisfitError):
        yield from ((path + inner.removeprefix("$"), problem) for inner, problem in error.problems)
    elif isinstance(error, cattrs.ClassValidationError):
        named, others = error.group_exceptions()
        for inner, field in named:
            yield from _problems(inner, f"{path}.{field.name}")
        for inner in others:
            yield from _problems(inner, path)
    elif isinstance(error, cattrs.IterableValidationError):
        for inner, item in error.group_exceptions()[0]:
            yield from _problems(inner, f"{path}[{item.index!r}]")
    elif isinstance(error, KeyError) and error.args == (path.rpartition(".")[2],):
        yield path, _MISSING
    else:
        yield path, str(error) or type(error).__name__


def _dumped(value: Any) -> Any:
    """A pydantic model as JSON, for msgspec, which knows it not."""
    if hasattr(value, "__pydantic_validator__"):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} is no type of a JSON value")


def _made() -> cattrs.Converter:
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
    Form.CLASS: _object(cattrs.Converter.gen_structure_attrs_fromdict),
    Form.TYPED_DICT: _typed_dict,
    Form.MAPPING: _object(cattrs.Converter.gen_structure_mapping),
}
_converter: Final = _made()
