"""JSON values as instances of Python types, strictly; and results as JSON values.

cattrs does it for containers, msgspec for single values, and pydantic for its models; a class is
made of the fields that its schema tells of.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from contextvars import ContextVar
from functools import lru_cache
from types import GenericAlias, NoneType
from typing import TYPE_CHECKING, Any, Final, Never, TypeAlias, cast, get_args

import cattrs
import msgspec
from cattrs.cols import list_structure_factory

from creatify.output._form import LISTS, Form, fields_of, form_of, item_of, kind_of, unwrapped
from creatify.output._schema import JSON, schema_of, shape_of

if TYPE_CHECKING:
    from creatify.output._form import Hint

Hook: TypeAlias = Callable[[Any, Any], Any]
HookFactory: TypeAlias = Callable[[Any, cattrs.Converter], Hook]

_FENCE: Final = "```"
_EXACT: Final = 2.0**53  # beyond it a float is no certain integer
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
        # JSON as the standard has it.
        value = json.loads(_unfenced(text), parse_float=_number, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise MisfitError([("$", f"it is no JSON ({error})")]) from error
    token = _union_of.set({})
    try:
        # By its name, too: `A | B` and `B | A` are equal, and another is the first that fits.
        return _converter_of(hint, str(hint)).structure(value, hint)
    except Exception as error:  # cattrs', pydantic's, or that of a class's own check
        raise MisfitError(_problems(error, "$")) from error
    finally:
        _union_of.reset(token)


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


def _number(text: str) -> float:
    """A number without a fraction is an int, however it is written."""
    number = float(text)
    if math.isinf(number):
        _refuse("a number so large")
    return int(number) if number.is_integer() and abs(number) < _EXACT else number


def _refuse(name: str) -> Never:
    raise ValueError(f"{name} is no JSON")


@lru_cache(_CONVERTERS)
def _converter_of(_: Hint, _name: str) -> cattrs.Converter:
    """One for each type, and not for ever: a converter keeps each class that it has seen."""
    converter = cattrs.Converter(detailed_validation=True)
    for kind in (str, bytes, int, float):  # those that no predicate is asked about
        converter.register_structure_hook(kind, msgspec.convert)
    converter.register_structure_hook_factory(lambda _: True, _hook)
    return converter


def _hook(hint: Hint, converter: cattrs.Converter) -> Hook:
    """What makes instances of a type: msgspec looks at the outside, then it is read by its form."""
    base, said = unwrapped(hint)
    shape, factory = shape_of(base, said), _READERS.get(form_of(base))
    if factory is None:
        return lambda value, _: msgspec.convert(value, shape)
    read = factory(base, converter)

    def structure(value: object, given: Hint) -> Any:
        msgspec.convert(value, shape)
        return read(value, unwrapped(given)[0])

    return structure


def _union(hint: Hint, converter: cattrs.Converter) -> Hook:
    keys = {member: _keys_of(member) for member in get_args(hint) if member is not NoneType}
    is_optional = NoneType in get_args(hint)

    def structure(value: object, given: Hint) -> Any:
        if value is None and is_optional:
            return None
        members = [member for member in get_args(given) if member in keys]
        if len(members) == 1:
            return converter.structure(value, members[0])
        found, place = _union_of.get(), (id(value), hint)
        if place not in found:
            if isinstance(value, dict):
                members.sort(key=lambda member: len(keys[member] & value.keys()), reverse=True)
            found[place] = _first_fitting(value, members, converter)
        made, problem = found[place]
        if problem:
            raise TypeError(problem)
        return made

    return structure


def _keys_of(hint: Hint) -> set[str]:
    return set(cast("dict[str, JSON]", schema_of(hint).get("properties", {})))


def _first_fitting(
    value: object, members: list[Hint], converter: cattrs.Converter
) -> tuple[Any, str]:
    """The value as the first of the types that it fits; and what is wrong, if it fits none."""
    problems = []
    for member in members:
        try:
            return converter.structure(value, member), ""
        except Exception as error:  # noqa: BLE001 - as in `value_of_text`
            problems.append(_short(str(MisfitError(_problems(error, "$")))))
    return None, f"it fits none of {len(members)} types: {'; or '.join(problems)}"


def _pydantic(hint: Hint, _: cattrs.Converter) -> Hook:
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415 - who has a model has it

    adapter = TypeAdapter(hint)

    def structure(value: object, _: object) -> Any:
        try:
            # Not `validate_python`: in JSON a date is a string.
            return adapter.validate_json(json.dumps(value), strict=True)
        except ValidationError as error:
            raise MisfitError([(_path(e["loc"]), e["msg"]) for e in error.errors()]) from error

    return structure


def _path(steps: tuple[int | str, ...]) -> str:
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)


def _object(hint: Hint, converter: cattrs.Converter) -> Hook:
    # Not cattrs': it looks up no `"Name"` within another type, and no `Required[...]` in a string.
    fields = list(fields_of(hint, str(hint)))
    make = kind_of(hint)

    def structure(value: dict[str, JSON], _: object) -> Any:
        made: dict[str, Any] = {}
        problems: list[tuple[str, str]] = []
        for name, argument, inner, is_required in fields:
            try:
                if name in value:
                    made[argument] = converter.structure(value[name], inner)
                elif is_required:
                    problems.append((f"$.{name}", "it is required and missing"))
            except Exception as error:  # noqa: BLE001 - as in `value_of_text`
                problems += _problems(error, f"$.{name}")
        if problems:
            raise MisfitError(problems)
        return make(**made)

    return structure


def _list(hint: Hint, converter: cattrs.Converter) -> Hook:
    items: Hint = GenericAlias(list, item_of(hint))
    read, collect = list_structure_factory(items, converter), LISTS[kind_of(hint)]
    return lambda value, _: collect(read(value, items))


_READERS: Final[dict[Form, HookFactory]] = {
    Form.UNION: _union,
    Form.PYDANTIC: _pydantic,
    Form.OBJECT: _object,
    Form.TUPLE: lambda hint, converter: converter.gen_structure_hetero_tuple(hint),
    Form.LIST: _list,
    Form.MAPPING: lambda hint, converter: converter.gen_structure_mapping(hint),
}


def _problems(error: BaseException, path: str) -> list[tuple[str, str]]:
    """Each place that differs and how: the leaves of the errors that cattrs groups."""
    if isinstance(error, MisfitError):
        return [(path + inner.removeprefix("$"), problem) for inner, problem in error.problems]
    if isinstance(error, cattrs.IterableValidationError):
        items = error.group_exceptions()[0]
        return [at for inner, item in items for at in _problems(inner, f"{path}[{item.index!r}]")]
    return [(path, str(error) or type(error).__name__)]


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _dumped(value: Any) -> Any:
    """A pydantic model as JSON, for msgspec, which knows it not."""
    if hasattr(value, "__pydantic_validator__"):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} is no type of a JSON value")
