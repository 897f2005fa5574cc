"""Tools: Python functions that the model calls.

Needs the extra `tools`: `pip install 'creatify-client[tools]'`.

```python
from typing import Literal

from creatify import Creatify, user


def get_weather(city: str, unit: Literal["celsius", "fahrenheit"] = "celsius") -> dict[str, float]:
    \"\"\"The weather in a city.

    Args:
        city: Its name, as "Paris".
        unit: Of the temperature.
    \"\"\"
    return {"temperature": 21.5}


client = Creatify()
task = client.text_generator.run_tools(
    [user("Use get_weather to tell me the weather in Paris.")],
    tools=[get_weather],
    model_name="gemini-2.5-flash",
)
print(task.response_text)
```

`run_tools` asks the model, calls the functions that it asks for, tells it their results, and asks
again, until it answers without a call: the last task is returned. Its `.messages` are the
conversation before that answer, so `[*task.messages, model(task.response_text), user("And ...")]`
goes on with it. Nothing calls functions but `run_tools`: it spends, a generation for each round. At
most `max_rounds` (8) are paid for; if the model still calls functions then (with a `tool_config` of
mode `ANY` it always does), a `ToolRoundsError` has all in `.tasks` and `.messages`:

```python
from creatify import ToolRoundsError

try:
    task = client.text_generator.run_tools(
        [user("Use get_weather for Paris.")],
        tools=[get_weather],
        max_rounds=1,
        model_name="gemini-2.5-flash",
    )
except ToolRoundsError as error:
    task = client.text_generator.run_tools(
        error.messages, tools=[get_weather], model_name="gemini-2.5-flash"
    )
print(task.response_text)
```

The other fields of a request (`config`, `system_instruction`, `tool_config`, ...) are keywords,
as those of `generate`. `timeout` (600 seconds) bounds each round's generation, and `on_update` is
called with each round's task; the time that the functions take is theirs. Whatever ends a run early
says, in a note, the ids of the tasks that were paid for; an error of this library has them in
`.tasks`, and in `.messages` the conversation that they led to, from which `run_tools` goes on.

## Functions

A tool is a function, a method, a `functools.partial` (what it gives, the model is not told of), or
an object with `__call__`, plain or `async`. Its name, its docstring and its parameters become the
declaration. Each parameter is annotated, with the types that `creatify.output` knows: what the
model gives is converted as strictly as there, and a dataclass comes as an instance. A parameter
with a default is not required. Descriptions of the parameters come from the docstring (in Google's,
NumPy's or Sphinx's form) or from `Annotated[str, "..."]`. `declaration` shows what the model is
told:

```python
from creatify.tools import declaration

print(declaration(get_weather).to_dict())
```

What can't be declared (`*args`, `**kwargs`, a positional-only or unannotated parameter, a type that
is none of JSON, two tools of one name) is an `InvalidRequestError` before anything is sent.

The calls of a round run at once, up to 32 of them: with `Creatify` each in a thread, where an
`async` function has an event loop of its own; with `AsyncCreatify` `async` functions as tasks of
its loop, and plain ones in threads. Context variables are those of the caller. Ending a run early
(by cancelling it, by Ctrl-C, by an error) cancels the `async` functions of an `AsyncCreatify`; a
thread can't be stopped, and nobody waits for it.

## Results and errors

A mapping that is returned (or a dataclass, an attrs or a pydantic instance) is the result as it is;
another JSON value becomes `{"result": value}`. An exception, arguments that don't fit, a function
that is not there, and a result that is no JSON are reported to the model, as
`{"error": "KeyError: 'Paris'"}`: type and text (2,000 characters of it) without a traceback, so
that it may try again or say so. Mind what your exceptions say: the model, and so the user, may read
it. With `on_error="raise"` they end the run: an exception as it is (a RuntimeError in place of a
StopIteration, or of a CancelledError while nobody cancels the run), a wrong call of the model as an
`OutputParseError`:

```python
def broken(city: str) -> str:
    \"\"\"Where it is.\"\"\"
    raise LookupError(city)


try:
    client.text_generator.run_tools(
        [user("Call broken.")], tools=[broken], on_error="raise", model_name="gemini-2.5-flash"
    )
except LookupError as error:
    print(error.__notes__)
```
"""  # noqa: D214 - a section of the example's own docstring

from __future__ import annotations

from typing import TYPE_CHECKING

from creatify._extras import needing

if TYPE_CHECKING:
    from collections.abc import Callable

    from creatify_api.models import FunctionDeclaration

__all__ = ["declaration"]


def declaration(function: Callable[..., object]) -> FunctionDeclaration:
    """What the model is told of a function: its name, its description, and its parameters' schema.

    Raises InvalidRequestError, with the parameter and what to do, for one that can't be declared;
    ConfigurationError if the extra `tools` is not installed.
    """
    with needing("tools"):
        from creatify.tools._function import ToolFunction  # noqa: PLC0415 - an extra's

    return ToolFunction.of(function).declaration
