"""A conversation in which the model calls functions: one flow, and what each colour does for it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import json
import threading
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar

from creatify import _request
from creatify._errors import (
    ConfigurationError,
    CreatifyError,
    OutputParseError,
    ToolRoundsError,
)
from creatify._flow import Flow, Send, run, run_async
from creatify._messages import function_result, model
from creatify.output._value import MisfitError, json_of
from creatify.tools._function import named
from creatify_api.models import FunctionCallPart, Message, TextGenRequest, TextGenResponse, Tool
from creatify_api.types import UNSET, Unset

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

T = TypeVar("T")

AT_ONCE: Final = 32
"""Calls of a round that run at once: a model may ask for thousands."""

_LONGEST_ERROR: Final = 2000  # characters: the model reads it, for credits, in every later round

OnError: TypeAlias = Literal["report", "raise"]
Answer: TypeAlias = "Flow[Callable[[], object], object, Message]"
"""One call of the model being answered: yields the function with its arguments."""
Asked: TypeAlias = "TextGenRequest | list[Answer]"
"""What a round sends: a request to the model, or the model's calls to the functions."""


class ToolRun:
    """A run of `run_tools`.

    Raises InvalidRequestError for tools that can't be declared and for a wrong request,
    ConfigurationError for wrong options.
    """

    def __init__(
        self,
        messages: list[Message],
        tools: Iterable[Callable[..., object]],
        fields: Mapping[str, Any],
        max_rounds: int,
        on_error: OnError,
    ) -> None:
        _check(max_rounds, on_error)
        self._tools = named(tools)
        declarations = [tool.declaration for tool in self._tools.values()]
        offered = [Tool(function_declarations=declarations)] if declarations else UNSET
        body = {"messages": messages, "tools": offered, **fields}
        self._request = _request.as_request(None, body)
        self._max_rounds = max_rounds
        self._on_error = on_error

    def steps(self) -> Flow[Asked, Any, TextGenResponse]:
        """Ask, call what the model asks for, and ask again, until it calls nothing.

        Raises ToolRoundsError. What else ends it gets a note with the tasks that were paid for.
        """
        request, tasks = self._request, list[TextGenResponse]()
        try:
            for _ in range(self._max_rounds):
                task: TextGenResponse = yield Send(request)
                tasks.append(task)
                calls = task.response_function_calls
                if not calls:
                    return task
                results: list[Message] = []
                for start in range(0, len(calls), AT_ONCE):
                    some = calls[start : start + AT_ONCE]
                    results += yield Send([self._answer(call, task) for call in some])
                said = [model(task.response_text)] if task.response_text else []
                asked = [model(call) for call in calls]
                request.messages = [*request.messages, *said, *asked, *results]
        except BaseException as error:
            if tasks:
                ids = ", ".join(str(task.id) for task in tasks)
                error.add_note(f"the rounds of run_tools before it were paid for: tasks {ids}")
                if isinstance(error, CreatifyError):
                    error.tasks, error.messages = tasks, request.messages
            raise
        raise ToolRoundsError(
            f"the model still calls functions after {len(tasks)} rounds, which were paid for:"
            " run_tools(error.messages, ...) goes on, and .tasks has what came",
            tasks=tasks,
            messages=request.messages,
        )

    def _answer(self, call: FunctionCallPart, task: TextGenResponse) -> Answer:
        """Call a function as the model asked; what goes wrong is reported to it, or raised."""
        try:
            result = yield Send(self._bound(call))
            return function_result(call.name, _response(call.name, result))
        except Exception as error:
            if self._on_error == "report":
                kind = "" if isinstance(error, _WrongCallError) else f"{type(error).__name__}: "
                return function_result(call.name, {"error": f"{kind}{_text(error)}"})
            if isinstance(error, _WrongCallError):
                raise error.raised(call, task) from error
            error.add_note(f"raised by the tool {call.name}, which the model called")
            raise

    def _bound(self, call: FunctionCallPart) -> Callable[[], object]:
        tool = self._tools.get(call.name)
        if tool is None:
            raise _WrongCallError(
                f"there is no function {call.name}; there are: {', '.join(self._tools)}"
            )
        try:
            return tool.bound({} if isinstance(call.args, Unset) else call.args.to_dict())
        except MisfitError as error:
            message = f"the arguments don't fit {call.name}, {error}"
            raise _WrongCallError(message, error.path) from error


def perform(ask: Callable[[TextGenRequest], TextGenResponse], asked: Asked) -> Any:
    """What a step of a run gets, in this thread; the functions run in threads of their own.

    The first that raises ends it: others go on, and nobody waits for them.
    """
    if isinstance(asked, TextGenRequest):
        return ask(asked)
    under_way = [_in_thread(partial(run, answer, _call)) for answer in asked]
    concurrent.futures.wait(under_way, return_when=concurrent.futures.FIRST_EXCEPTION)
    return [future.result() for future in under_way if future.done()]


async def perform_async(
    ask: Callable[[TextGenRequest], Awaitable[TextGenResponse]], asked: Asked
) -> Any:
    """What a step of a run gets, in this task; the functions run in tasks of their own.

    The first that raises cancels the others.
    """
    if isinstance(asked, TextGenRequest):
        return await ask(asked)
    try:
        async with asyncio.TaskGroup() as group:
            under_way = [group.create_task(run_async(answer, _call_async)) for answer in asked]
    except BaseExceptionGroup as errors:
        error = errors.exceptions[0]
        raise error from error.__cause__
    return [task.result() for task in under_way]


def _check(max_rounds: object, on_error: object) -> None:
    if isinstance(max_rounds, bool) or not isinstance(max_rounds, int) or max_rounds < 1:
        raise ConfigurationError(f"max_rounds is an int from 1, and not {max_rounds!r}")
    if on_error not in ("report", "raise"):
        raise ConfigurationError(f'on_error is "report" or "raise", and not {on_error!r}')


def _call(function: Callable[[], object]) -> object:
    value = _checked(function)
    return _checked(partial(asyncio.run, _awaited(value))) if inspect.isawaitable(value) else value


async def _call_async(function: Callable[[], object]) -> object:
    try:
        if inspect.iscoroutinefunction(function):
            value: object = function()
        else:
            value = await asyncio.wrap_future(_in_thread(partial(_checked, function)))
        return await value if inspect.isawaitable(value) else value
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and not task.cancelling():
            raise _ended(error) from error  # by something in it, and nobody ends the run
        raise


def _checked(function: Callable[[], T]) -> T:
    """What it returns. What would end more than the function is an error as any other."""
    try:
        return function()
    except (StopIteration, asyncio.CancelledError, concurrent.futures.CancelledError) as error:
        raise _ended(error) from error


def _ended(error: BaseException) -> RuntimeError:
    return RuntimeError(f"it raised {type(error).__name__}")


async def _awaited(value: Awaitable[T]) -> T:
    return await value


def _in_thread(function: Callable[[], T]) -> concurrent.futures.Future[T]:
    """Run it in a thread that keeps no program from ending, as those of an executor would."""
    future: concurrent.futures.Future[T] = concurrent.futures.Future()
    future.set_running_or_notify_cancel()
    context = copy_context()

    def work() -> None:
        try:
            future.set_result(context.run(function))
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
            future.set_exception(error)

    threading.Thread(target=work, name="creatify-tool", daemon=True).start()
    return future


def _text(error: Exception) -> str:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - whatever it is, the type is told
        text = ""
    # The name of a file may hold what is no Unicode.
    return text[:_LONGEST_ERROR].encode(errors="replace").decode()


def _response(name: str, result: object) -> dict[str, Any]:
    try:
        value = json_of(result)
    except (TypeError, ValueError, RecursionError) as error:
        kind = type(result).__name__
        raise TypeError(f"the result of {name}, of type {kind}, is no JSON: {error}") from error
    return value if isinstance(value, dict) else {"result": value}


class _WrongCallError(ValueError):
    """The model called what is not there, or with arguments that don't fit."""

    def __init__(self, message: str, path: str = "$") -> None:
        super().__init__(message)
        self.path = path

    def raised(self, call: FunctionCallPart, task: TextGenResponse) -> OutputParseError:
        """The error for the caller."""
        return OutputParseError(
            f"the model made a wrong call: {self}; it was paid for: .text has the call, .task the"
            " task",
            text=json.dumps(call.to_dict(), ensure_ascii=False),
            path=self.path,
            task=task,
        )
