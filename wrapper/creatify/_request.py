"""What a caller gives, held against the generated types before anything is sent."""

from __future__ import annotations

import types
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import attrs

import creatify_api.models
from creatify._errors import InvalidRequestError
from creatify_api.models import TextGenConfig, TextGenRequest, TextGenResponse
from creatify_api.types import Unset

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST_ID: Final = 100  # characters of what was given for one
_KNOWN: Final = {field.name: field for field in attrs.fields(TextGenRequest) if field.init}
_PLAIN: Final = frozenset({str, bool, int, float, Unset, type(None)})
_FIELDS: Final[dict[type, dict[str, tuple[Any, frozenset[type]]]]] = {}


def as_request(request: TextGenRequest | None, fields: Mapping[str, Any]) -> TextGenRequest:
    """The request that a caller gave whole, or field by field. Raises InvalidRequestError."""
    if request is not None and not isinstance(request, TextGenRequest):
        raise InvalidRequestError(
            f"the request is {_name(request)}: give a TextGenRequest, or its fields as keywords"
            " (model_name=..., messages=[...])"
        )
    if request is not None and fields:
        raise InvalidRequestError("give a TextGenRequest or its fields, and not both")
    if request is None:
        check_names(fields)
        request = TextGenRequest(**fields)
    _check_model(request, "request")
    if not request.messages:
        raise InvalidRequestError("messages is empty: a generation needs at least one message")
    return request


def as_id(task: TextGenResponse | UUID | str) -> UUID:
    """The id of a task that was given as itself or by its id. Raises InvalidRequestError."""
    if isinstance(task, TextGenResponse):
        return task.id
    try:
        return task if isinstance(task, UUID) else UUID(task)
    except (ValueError, AttributeError, TypeError):
        raise InvalidRequestError(
            f"{repr(task)[:_LONGEST_ID]} is no task id: an id is a UUID, as TextGenResponse.id"
        ) from None


def several(
    tasks: Iterable[TextGenResponse | UUID | str],
) -> Iterable[TextGenResponse | UUID | str]:
    """Tasks as they were given. Raises InvalidRequestError for a single one, or none of them."""
    if isinstance(tasks, str | UUID | TextGenResponse) or not isinstance(tasks, Iterable):
        raise InvalidRequestError("several tasks are given as a list of tasks or of their ids")
    return tasks


def check_names(fields: Mapping[str, Any]) -> None:
    """Raises InvalidRequestError for a field that a request does not have, or lacks."""
    names = ", ".join(_KNOWN)
    for unknown in sorted(fields.keys() - _KNOWN):
        from difflib import get_close_matches  # noqa: PLC0415 - a right request never needs it

        meant = {name: repr(name) for name in _KNOWN}
        for config in attrs.fields(TextGenConfig):
            if config.init:
                meant[config.name] = f"config=TextGenConfig({config.name}=...)"
        near = [name for name in meant if name.startswith(unknown)]
        near = near or get_close_matches(unknown, meant, n=1)
        hint = f"; did you mean {meant[near[0]]}?" if near else f"; its fields: {names}"
        raise InvalidRequestError(f"a request has no field {unknown!r}{hint}")
    for name, field in _KNOWN.items():
        if field.default is attrs.NOTHING and name not in fields:
            raise InvalidRequestError(f"a request needs the field {name!r}; its fields: {names}")


def _check_model(model: object, path: str) -> None:
    for name, (hint, plain) in _fields(type(model)).items():
        value = getattr(model, name)
        if type(value) not in plain:
            _check(value, hint, f"{path}.{name}")


def _check(value: object, hint: Any, path: str) -> None:  # a type, of any form
    choices = _choices(hint)
    if Any in choices:
        return
    for choice in choices:
        if _is_a(value, get_origin(choice) or choice):
            break
    else:
        names = [_hint_name(choice) for choice in choices if choice is not Unset]
        raise InvalidRequestError(
            f"{path} is {_name(value)} and should be {' or '.join(names)}{_advice(value, choices)}"
        )
    if isinstance(value, list):
        for index, item in enumerate(value):
            _check(item, get_args(choice)[0], f"{path}[{index}]")
    elif attrs.has(type(value)):
        _check_model(value, path)


def _is_a(value: object, kind: type) -> bool:
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def _fields(model: type) -> dict[str, tuple[Any, frozenset[type]]]:
    """The type of each field, and the classes of which a value needs no other look.

    The generated modules import each other's names lazily.
    """
    if model not in _FIELDS:
        hints = get_type_hints(model, localns=vars(creatify_api.models))
        hints.pop("additional_properties", None)
        _FIELDS[model] = {name: (hint, _PLAIN & {*_choices(hint)}) for name, hint in hints.items()}
    return _FIELDS[model]


def _choices(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in {Union, types.UnionType} else (hint,)


def _advice(value: object, choices: tuple[Any, ...]) -> str:
    if value is None and Unset in choices:
        return ": leave it out, or pass UNSET of creatify_api.types"
    for choice in choices:
        if isinstance(value, dict) and attrs.has(choice):
            return f": {choice.__name__}.from_dict(...) makes one of a dict"
        if isinstance(value, str) and hasattr(choice, "_missing_"):
            return f": {choice.__name__}({value!r})"
    return ""


def _hint_name(hint: Any) -> str:
    inner = ", ".join(_hint_name(part) for part in get_args(hint))
    name = (get_origin(hint) or hint).__name__
    return f"{name}[{inner}]" if inner else str(name)


def _name(value: object) -> str:
    """What a value is; never the value, which may be private."""
    return "None" if value is None else f"of type {type(value).__name__}"
