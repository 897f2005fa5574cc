"""A generation whose text is the JSON of a type: what is asked, and what comes back."""

from __future__ import annotations

import copy
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, TypeVar

import attrs

from creatify._errors import InvalidRequestError, OutputParseError
from creatify._extras import needing
from creatify._stream import AsyncTextStream, TextStream
from creatify_api.models import TextGenConfig, TextGenResponse
from creatify_api.types import UNSET, Unset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from creatify._accumulator import Accumulator
    from creatify._operations import Steps
    from creatify.output._form import Hint
    from creatify_api.models import FunctionCallPart, TextGenRequest

P = ParamSpec("P")
T = TypeVar("T")

_PAID: Final = "it was paid for"


@attrs.define
class ParsedTextGenResponse(TextGenResponse, Generic[T]):
    """A `TextGenResponse`, and its text as an instance of the type that was asked for: `output`."""

    output: T = attrs.field(kw_only=True)


class _Parsed(Generic[T]):
    """What both colours of a stream tell of its output."""

    _so_far: Accumulator

    def __init__(self, output: Hint, *stream: Any) -> None:
        super().__init__(*stream)
        self._output = output

    @cached_property
    def output(self) -> T:
        """The text as an instance of the type that was asked for, once the stream is at its end.

        Raises OutputParseError if it doesn't fit, and RuntimeError before the end.
        """
        if not self._so_far.is_complete:
            raise RuntimeError(
                "the output is there when the stream is at its end: iterate to it, or call"
                " until_done()"
            )
        receipt, reason = self._so_far.receipt, self._so_far.finish_reason
        stopped = f"the model stopped because of {reason}" if reason not in {None, "STOP"} else ""
        made: T = read_text(
            self._so_far.text,
            self._output,
            why=_called(self._so_far.function_calls) or stopped,
            paid=f"the generation {receipt.id} was paid for" if receipt and receipt.id else _PAID,
        )
        return made


class ParsedTextStream(_Parsed[T], TextStream):
    """A TextStream whose text, at its end, is an instance of the type that was asked for."""


class AsyncParsedTextStream(_Parsed[T], AsyncTextStream):
    """An AsyncTextStream whose text, at its end, is an instance of the type that was asked for."""


_WITH_OUTPUT: Final[dict[object, Callable[..., Any]]] = {
    TextStream: ParsedTextStream,
    AsyncTextStream: AsyncParsedTextStream,
}


def with_output(kind: Callable[P, T], output: Hint) -> Callable[P, T]:
    """The kind of stream that has an output, too."""
    return partial(_WITH_OUTPUT[kind], output)


def schema(output: object) -> dict[str, Any]:
    """The JSON schema of a type, as a dict: what `output=` sends as `response_json_schema`.

    References are replaced by what they refer to, but for classes that hold themselves. Raises
    InvalidRequestError for a type that has none, ConfigurationError if the extra `output` is not
    installed.
    """
    with needing("output"):  # also what will read the answer: it will be paid for by then
        import creatify.output._value  # noqa: F401, PLC0415 - an extra's
        from creatify.output._schema import schema_of  # noqa: PLC0415 - an extra's

    return schema_of(output)


def asking(request: TextGenRequest, output: Hint) -> TextGenRequest:
    """The request with the schema of a type; what was given stays as it is.

    Raises InvalidRequestError if it has a schema, or the type has none; ConfigurationError.
    """
    config = TextGenConfig() if isinstance(request.config, Unset) else copy.copy(request.config)
    if config.response_json_schema is not UNSET:
        raise InvalidRequestError("give output or config.response_json_schema, and not both")
    config.response_json_schema = schema(output)
    asked = copy.copy(request)
    asked.config = config
    return asked


def parsed(steps: Steps[TextGenResponse], output: Hint) -> Steps[ParsedTextGenResponse[Any]]:
    """The steps of a generation, and its task with its text as an instance of the type."""
    task = yield from steps
    fields = attrs.fields(TextGenResponse)
    values = {field.name: getattr(task, field.name) for field in fields if field.init}
    result = ParsedTextGenResponse(**values, output=read_task(task, output))
    result.additional_properties = task.additional_properties
    return result


def read_task(task: TextGenResponse, output: Hint) -> Any:
    """The text of a task as an instance of the type. Raises OutputParseError."""
    why = _called(task.response_function_calls) or f"the task is {task.status}"
    return read_text(task.response_text or "", output, why, task=task)


def read_text(
    text: str,
    output: Hint,
    why: str = "",
    *,
    paid: str = _PAID,
    task: TextGenResponse | None = None,
) -> Any:
    """A text as an instance of the type, or why there is none. Raises OutputParseError."""
    from creatify.output._form import name_of  # noqa: PLC0415 - see `schema`, which came before
    from creatify.output._value import MisfitError, value_of_text  # noqa: PLC0415 - as above

    try:
        return value_of_text(text, output)
    except MisfitError as error:
        is_empty = not text.strip()
        problem = "there is none" if is_empty else str(error)
        because = f" ({why})" if why and (is_empty or task is None) else ""
        kept = ".text has it" if task is None else ".text has it, .task the task"
        raise OutputParseError(
            f"the text is not what {name_of(output)} asks for: {problem}{because}; {paid}: {kept}",
            text=text,
            path=error.path,
            task=task,
        ) from error


def _called(calls: Iterable[FunctionCallPart]) -> str:
    names = ", ".join(call.name for call in calls)
    return f"the model called {names} instead" if names else ""
