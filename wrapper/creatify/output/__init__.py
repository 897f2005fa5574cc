"""Objects out: the model's text as an instance of a type of yours.

Needs the extra `output`: `pip install 'creatify-client[output]'`.

```python
from dataclasses import dataclass
from typing import Annotated, Literal

from creatify import Creatify, user


@dataclass
class Product:
    name: str
    price: Annotated[float, "in euros"]
    size: Literal["S", "M", "L"] = "M"


client = Creatify()
task = client.text_generator.generate(
    model_name="gemini-2.5-flash",
    messages=[user("Invent a product.")],
    output=Product,
)
print(task.output.name, task.output.price)
```

The type becomes the request's `response_json_schema`. What comes back is the task, with everything
that it has without `output=` (`response_text` too), and `.output`, an instance: a
`ParsedTextGenResponse[Product]`. The same with `AsyncCreatify`, and with a stream, whose `.output`
is there at its end:

```python
with client.text_generator.stream(
    model_name="gemini-2.5-flash",
    messages=[user("Invent three products.")],
    output=list[Product],
) as stream:
    for text in stream.text_stream:
        print(text, end="", flush=True)
print(stream.output[0].name)
```

## Types

A dataclass, an attrs class, a TypedDict, a pydantic model (where pydantic is installed); and in
these or by themselves: `str`, `int`, `float`, `bool`, `None`, `Any`, `datetime`, `date`, `time`,
`timedelta`, `UUID`, `Decimal`, `bytes` (base64), `Literal`, an `Enum` of strings or of ints,
`list`, `set`, `tuple`, `dict[str, X]`, unions, and classes that hold themselves. A text in
`Annotated[X, "..."]` (or a `Doc`) and a class's docstring become descriptions, which the model
reads; `Annotated[int, msgspec.Meta(ge=1)]` becomes `minimum`, and is checked, and so is pydantic's
`Annotated[int, Field(ge=1)]`. A field with a
default is not required. A type checker takes the instance's type from `output`; a union by itself
(`output=Dog | Cat`) works, but type checkers know no type of it: let it be a list or a field.

A type that has no JSON schema is an `InvalidRequestError` before anything is sent; so is a `config`
that has a `response_json_schema` already.

## What fits

Conversion is strict, since a wrong value that looks right is worse than an error: a number is no
string, "21" no number, `True` no int, and a key that must be there is not made up. An int may stand
for a float, and a number without a fraction (`2.0`) for an int. Keys that the type does not know
are ignored. Of a union's members it is the first that the value fits; among classes, the one that
knows the most of its keys. pydantic models are validated by pydantic, in its strict mode. White
space and a code fence around the JSON are taken off.

A text that does not fit was paid for all the same, so nothing of it is lost:

```python
from creatify import OutputParseError
from creatify.output import parse

try:
    task = client.text_generator.generate(
        model_name="gemini-2.5-flash", messages=[user("Invent a product.")], output=Product
    )
except OutputParseError as error:
    print(error, error.text, error.task.id)
```

`parse` does the same later, to a task (of `wait`, `list`, `retrieve`) or to a text, and `schema`
gives the schema alone:

```python
from creatify.output import schema

print(schema(Product)["required"])
print(parse('{"name": "Lamp", "price": 20}', Product))
```
"""

from __future__ import annotations

from typing import Any, TypeVar, overload

from creatify._errors import InvalidRequestError
from creatify.output._parsed import (
    AsyncParsedTextStream,
    ParsedTextGenResponse,
    ParsedTextStream,
    read_task,
    read_text,
    schema,
)
from creatify_api.models import TextGenResponse

__all__ = [
    "AsyncParsedTextStream",
    "ParsedTextGenResponse",
    "ParsedTextStream",
    "parse",
    "schema",
]

T = TypeVar("T")


@overload
def parse(task: TextGenResponse | str, output: type[T]) -> T: ...


@overload
def parse(task: TextGenResponse | str, output: object) -> Any: ...


def parse(task: TextGenResponse | str, output: object) -> Any:
    """The text of a task that is done, or a text, as an instance of a type.

    Raises OutputParseError if it doesn't fit; InvalidRequestError for a type that has no schema;
    ConfigurationError if the extra `output` is not installed.
    """
    schema(output)  # that there is one
    if isinstance(task, TextGenResponse):
        return read_task(task, output)
    if not isinstance(task, str):
        raise InvalidRequestError("parse takes a task, as generate and wait return it, or its text")
    return read_text(task, output)
