"""A Python function as the model is told of it, and its call with what the model gives."""

from __future__ import annotations

import inspect
import json
import operator
import types
from collections import abc
from dataclasses import MISSING, dataclass, field, fields, make_dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final

import docstring_parser

from creatify._errors import InvalidRequestError
from creatify.output._form import hints_of
from creatify.output._schema import schema_of
from creatify.output._value import MisfitError, value_of_text
from creatify_api.models import FunctionDeclaration
from creatify_api.types import UNSET

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator

    from creatify.output._schema import JSON

_REFUSED: Final = {
    inspect.Parameter.POSITIONAL_ONLY: "is positional only: take the / out",
    inspect.Parameter.VAR_POSITIONAL: "takes any number of arguments: take a list",
    inspect.Parameter.VAR_KEYWORD: "takes arguments of any name: name each, or take a dict",
}


@dataclass(frozen=True, slots=True)
class ToolFunction:
    """A function, its declaration, and its parameters as the fields of a dataclass."""

    function: Callable[..., object]
    declaration: FunctionDeclaration
    parameters: type

    @classmethod
    def of(cls, function: Callable[..., object]) -> ToolFunction:
        """The tool of a function. Raises InvalidRequestError, with the parameter and a remedy."""
        if not callable(function):
            raise InvalidRequestError(
                f"a tool is a function, and not of type {type(function).__name__}"
            )
        inner, given = function, set[str]()
        while isinstance(inner, partial):
            given |= inner.keywords.keys()
            inner = inner.func
        name = getattr(inner, "__name__", type(inner).__name__)
        if not name.isidentifier():
            raise InvalidRequestError(f"a tool needs a name, and {name} has none: write a def")
        plain = _plain(inner)
        text, said = _docs(plain, inner)
        parameters = make_dataclass(
            name,
            [
                _field(parameter, plain, name, said.get(parameter.name))
                for parameter in _parameters(function, given, name)
            ],
            kw_only=True,
        )
        # None is the same as an object of no properties, which not every reader takes.
        schema = schema_of(parameters) if fields(parameters) else UNSET
        declaration = FunctionDeclaration(name=name, description=text, parameters=schema)
        return cls(function, declaration, parameters)

    def bound(self, arguments: dict[str, JSON]) -> Callable[[], object]:
        """The call with what the model gave. Raises MisfitError."""
        known = {parameter.name for parameter in fields(self.parameters)}
        unknown = [(f"$.{name}", "there is no such parameter") for name in arguments.keys() - known]
        if unknown:
            raise MisfitError(sorted(unknown))
        made = value_of_text(json.dumps(arguments), self.parameters)
        return partial(self.function, **{name: getattr(made, name) for name in arguments})


def named(functions: Iterable[Callable[..., object]]) -> dict[str, ToolFunction]:
    """The tools of several functions, by name. Raises InvalidRequestError."""
    if callable(functions) or not isinstance(functions, abc.Iterable):
        raise InvalidRequestError("tools is a list of functions")
    tools: dict[str, ToolFunction] = {}
    for function in functions:
        tool = ToolFunction.of(function)
        if tool.declaration.name in tools:
            raise InvalidRequestError(
                f"two of the tools are named {tool.declaration.name}: the model could not tell them"
                " apart"
            )
        tools[tool.declaration.name] = tool
    return tools


def _plain(function: Callable[..., object]) -> Any:
    """The function that a method, a decorator or an object with `__call__` holds."""
    if not isinstance(function, type) and not inspect.isroutine(function):
        function = type(function).__call__
    return inspect.unwrap(function)


def _parameters(
    function: Callable[..., object], given: Container[str], name: str
) -> Iterator[inspect.Parameter]:
    """What the model gives: each parameter that no `partial` has given already."""
    try:
        signature = inspect.signature(function)
    except ValueError as error:
        raise InvalidRequestError(f"{name} tells no signature: wrap it in a def") from error
    for parameter in signature.parameters.values():
        if parameter.name in given:
            continue
        place = f"the parameter {parameter.name!r} of {name}"
        if parameter.kind in _REFUSED:
            raise InvalidRequestError(f"{place} {_REFUSED[parameter.kind]}")
        if parameter.annotation is parameter.empty:
            raise InvalidRequestError(f"{place} has no type: annotate it, as {parameter.name}: str")
        yield parameter


def _field(
    parameter: inspect.Parameter, plain: Any, name: str, description: str | None
) -> tuple[str, Any, Any]:
    # Looked up where the function is; not given as globals, which may hold secrets: frames show.
    holder = types.SimpleNamespace(
        __annotations__={parameter.name: parameter.annotation}, __wrapped__=plain
    )
    place = f"the type of the parameter {parameter.name!r} of {name}"
    hint = hints_of(holder, place)[parameter.name]
    told = operator.getitem(Annotated, (hint, description)) if description else hint
    # What the model does not give is the function's own.
    default = MISSING if parameter.default is parameter.empty else None
    return parameter.name, told, field(default=default)


def _docs(plain: Any, function: Callable[..., object]) -> tuple[str, dict[str, str | None]]:
    """What the docstring says of the function, and of each parameter."""
    # Not `getdoc`: what it finds for a `__call__` without one is said of every object.
    text = inspect.cleandoc(plain.__doc__ or function.__doc__ or "")
    try:
        parsed = docstring_parser.parse(text)
    except docstring_parser.ParseError:
        return text, {}
    parts = [parsed.short_description, parsed.long_description]
    described = "\n\n".join(part for part in parts if part)
    return described, {one.arg_name: one.description for one in parsed.params}
