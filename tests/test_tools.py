"""Tools: the declaration of a function, and a run in which the model calls it."""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import functools
import json
import os
import pickle
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent import futures
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict

import attrs
import docstring_parser
import pydantic
import pytest
from colours import KEYS
from hypothesis import given
from hypothesis import strategies as st

from creatify import (
    AsyncCreatify,
    ConfigurationError,
    Creatify,
    InsufficientCreditsError,
    InvalidRequestError,
    OutputParseError,
    ToolRoundsError,
    model,
    tools,
    user,
)
from creatify.tools import declaration
from creatify.tools._function import ToolFunction
from creatify_api.models import (
    FunctionCallingConfig,
    FunctionCallPart,
    TextGenResponse,
    ToolConfig,
)

if TYPE_CHECKING:
    from colours import Colour
    from rawserver import Exchange, RawServer
    from rawserver import Script as ServerScript

    from creatify.testing import Emulator

ASKED: dict[str, Any] = {"model_name": "gemini-2.5-flash"}
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@dataclasses.dataclass
class Place:
    city: str
    country: str = "FR"


def weather(city: str) -> dict[str, Any]:
    """The weather in a city."""
    return {"city": city, "celsius": 21}


# The declaration


def google(city: str, days: int = 3, unit: Literal["C", "F"] = "C") -> str:
    """The forecast.

    As the weather service has it.

    Args:
        city: Its name,
            in English.
        days (int): How many.
    """
    return city + unit * days


def numpy(city: str, days: int = 3, unit: Literal["C", "F"] = "C") -> str:
    """The forecast.

    As the weather service has it.

    Parameters
    ----------
    city : str
        Its name,
        in English.
    days : int
        How many.
    """
    return city + unit * days


def sphinx(city: str, days: int = 3, unit: Literal["C", "F"] = "C") -> str:
    """The forecast.

    As the weather service has it.

    :param city: Its name,
        in English.
    :param days: How many.
    """
    return city + unit * days


@pytest.mark.parametrize("function", [google, numpy, sphinx])
def test_a_function_is_declared_by_its_name_docstring_and_signature(
    function: Callable[..., object],
) -> None:
    assert declaration(function).to_dict() == {
        "name": function.__name__,
        "description": "The forecast.\n\nAs the weather service has it.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "Its name,\nin English."},
                "days": {"type": "integer", "description": "How many."},
                "unit": {"enum": ["C", "F"], "type": "string"},
            },
            "required": ["city"],
        },
    }


def test_a_function_without_parameters_or_docstring_is_declared_without_them() -> None:
    def now() -> str:
        return "now"

    assert declaration(now).to_dict() == {"name": "now", "description": ""}


class Book(TypedDict):
    title: str


class Reader(pydantic.BaseModel):
    name: str


@attrs.define
class Shelf:
    books: list[Book]


def test_parameters_have_the_types_that_output_knows() -> None:
    def lend(
        place: Place,
        shelf: Annotated[Shelf, "where it stands"],
        reader: Reader | None = None,
        *,
        until: date = date(2026, 1, 1),
    ) -> None:
        """Lend a book.

        Args:
            place: The library.
        """

    parameters: Any = declaration(lend).parameters
    assert parameters["required"] == ["place", "shelf"]
    properties = parameters["properties"]
    assert properties["place"]["description"] == "The library."
    assert properties["place"]["required"] == ["city"]
    assert properties["shelf"]["description"] == "where it stands"
    assert properties["shelf"]["properties"]["books"]["items"]["required"] == ["title"]
    assert properties["reader"]["anyOf"][0]["required"] == ["name"]
    assert properties["until"] == {"type": "string", "format": "date"}
    assert "$ref" not in str(parameters)


class Service:
    """A service."""

    def method(self, city: str) -> str:
        """Of a city."""
        return city

    @classmethod
    def of_class(cls, city: str) -> str:
        """Of a city."""
        return city

    @staticmethod
    def static(city: str) -> str:
        """Of a city."""
        return city

    def __call__(self, city: str) -> str:
        """Of a city."""
        return city


class Undocumented:
    """Of a city."""

    def __call__(self, city: str) -> str:
        return city


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


async def a_coroutine(city: str) -> str:
    """Of a city."""
    return city


@logged
def decorated(city: str) -> str:
    """Of a city."""
    return city


def with_tenant(tenant: str, city: str, key: str) -> str:
    """Of a city."""
    return city + tenant + key


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (Service().method, "method"),
        (Service.of_class, "of_class"),
        (Service.static, "static"),
        (Service(), "Service"),
        (Undocumented(), "Undocumented"),
        (a_coroutine, "a_coroutine"),
        (decorated, "decorated"),
        (partial(with_tenant, "acme", key="k"), "with_tenant"),
        (partial(partial(with_tenant, tenant="acme"), key="k"), "with_tenant"),
    ],
)
def test_whatever_can_be_called_is_declared_by_what_it_takes(
    function: Callable[..., object], name: str
) -> None:
    assert declaration(function).to_dict() == {
        "name": name,
        "description": "Of a city.",
        "parameters": CITY,
    }


def unreadable(x: list[Missing]) -> None:  # type: ignore[name-defined] # noqa: F821 - that is it
    del x


def no_syntax(x: "not a type") -> None:  # type: ignore[valid-type] # noqa: F722 - that is it
    del x


def no_union(x: int | 3) -> None:  # type: ignore[valid-type] # that is it
    del x


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda city: city, "a tool needs a name, and <lambda> has none: write a def"),
        ("weather", "a tool is a function, and not of type str"),
        (dict.fromkeys, "the parameter 'iterable' of fromkeys is positional only: take the / out"),
        (dict, "dict tells no signature: wrap it in a def"),
        (unreadable, "the type of the parameter 'x' of unreadable can't be looked up (name 'Miss"),
        (no_syntax, "the type of the parameter 'x' of no_syntax can't be looked up"),
        (no_union, "the type of the parameter 'x' of no_union can't be looked up (unsupported op"),
    ],
)
def test_what_is_no_declarable_function_is_refused(function: Any, said: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        declaration(function)
    assert said in str(caught.value)


def test_a_parameter_that_cannot_be_declared_is_named_with_a_remedy() -> None:
    def several(*cities: str) -> None: ...
    def options(**cities: str) -> None: ...
    def bare(city) -> None: ...  # type: ignore[no-untyped-def] # noqa: ANN001 - that is it
    def no_json(city: complex) -> None: ...
    def inside(places: list[dict[str, bytearray | type]]) -> None: ...

    expected: dict[Callable[..., object], str] = {
        several: "the parameter 'cities' of several takes any number of arguments: take a list",
        options: "the parameter 'cities' of options takes arguments of any name: name each",
        bare: "the parameter 'city' of bare has no type: annotate it, as city: str",
        no_json: "no_json.city: complex is no type of a JSON value",
        inside: "inside.places[].*: type is no type of a JSON value",
    }
    for function, said in expected.items():
        with pytest.raises(InvalidRequestError) as caught:
            declaration(function)
        assert said in str(caught.value)


def test_a_docstring_that_cannot_be_parsed_is_the_description(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(text: str) -> None:
        raise docstring_parser.ParseError(text)

    monkeypatch.setattr(docstring_parser, "parse", fail)
    assert declaration(weather).description == "The weather in a city."


def test_the_guide_s_module_offers_what_it_says() -> None:
    assert tools.__all__ == ["declaration"]


@given(
    st.fixed_dictionaries(
        {"place": st.fixed_dictionaries({"city": st.text()}, optional={"country": st.text()})},
        optional={"days": st.integers(), "when": st.dates().map(str)},
    )
)
def test_what_a_schema_allows_is_what_the_function_gets(arguments: dict[str, Any]) -> None:
    def visit(place: Place, days: int = 1, when: date | None = None) -> Any:
        return place, days, when

    got: Any = ToolFunction.of(visit).bound(arguments)()
    place, days, when = got
    assert place == Place(**arguments["place"])
    assert days == arguments.get("days", 1)
    assert str(when) == arguments.get("when", "None")


def test_what_the_model_does_not_give_is_left_to_the_function() -> None:
    @functools.wraps(google)
    def wrapper(**given: Any) -> dict[str, Any]:
        return given

    assert ToolFunction.of(wrapper).bound({"city": "Rome"})() == {"city": "Rome"}


# A run

Script = Callable[[Mapping[str, Any]], str | list[dict[str, Any]] | None]


def saying(*answers: str | list[dict[str, Any]]) -> Script:
    """A model that answers these in turn."""
    left = list(answers)
    return lambda _: left.pop(0)


def calling(name: str, **args: Any) -> dict[str, Any]:
    return {"name": name, "args": args}


def bodies(emulator: Emulator) -> list[Any]:
    return [request.body for request in emulator.requests if request.method == "POST"]


def results(emulator: Emulator) -> list[Any]:
    """What the model was told last."""
    said = [
        m["function_response"] for m in bodies(emulator)[-1]["messages"] if "function_response" in m
    ]
    return [one["response"] for one in said]


async def test_the_model_calls_a_function_and_answers_with_its_result(
    colour: Colour, emulator: Emulator
) -> None:
    tg = colour.client(base_url=emulator.url).text_generator
    seen: list[TextGenResponse] = []
    question = user("Use weather for Paris.")
    task = await tg.run_tools(
        [question], tools=[weather], system_instruction="Be brief.", on_update=seen.append, **ASKED
    )
    assert task.response_text.startswith("According to weather, city is ")
    assert [message.role for message in task.messages] == ["user", "model", "user"]
    assert emulator.charges == 2
    assert {one.id for one in seen} == {task.id, next(one.id for one in seen)}
    first, second = bodies(emulator)
    assert first["tools"] == [{"function_declarations": [declaration(weather).to_dict()]}]
    assert {**first, "messages": None} == {**second, "messages": None}
    asked = second["messages"][1]["function_call"]
    assert second["messages"][0] == question.to_dict()
    assert second["messages"][2]["function_response"] == {
        "name": "weather",
        "response": {"city": asked["args"]["city"], "celsius": 21},
    }


async def test_a_run_takes_as_many_rounds_as_the_model_asks_for(
    colour: Colour, emulator: Emulator
) -> None:
    places: list[Place] = []

    def visit(place: Place) -> str:
        places.append(place)
        return f"seen {place.city}"

    emulator.answer_when = saying(
        [calling("visit", place={"city": "Paris"})],
        [calling("visit", place={"city": "Rome", "country": "IT"})],
        "Both seen.",
    )
    tg = colour.client(base_url=emulator.url).text_generator
    task = await tg.run_tools([user("Go.")], tools=[visit], **ASKED)
    assert task.response_text == "Both seen."
    assert places == [Place("Paris"), Place("Rome", "IT")]
    assert results(emulator) == [{"result": "seen Paris"}, {"result": "seen Rome"}]
    assert emulator.charges == 3


async def test_a_text_beside_calls_and_what_else_a_call_has_stay_in_the_conversation(
    colour: Colour, serve: Callable[[ServerScript], RawServer]
) -> None:
    signed = {**calling("weather", city="Rome"), "thoughtSignature": "c2ln"}
    answers = [("Let me look.", [signed]), ("Done.", [])]
    asked: list[Any] = []

    def script(exchange: Exchange) -> None:
        asked.append(json.loads(exchange.body))
        text, calls = answers[len(asked) - 1]
        task = {"id": str(uuid.uuid4()), "model_name": "m", "messages": [], "config": {}}
        task |= {"created_at": "2026-11-01T00:00:00Z", "updated_at": "2026-11-01T00:00:00Z"}
        made = {"status": "done", "response_text": text, "response_function_calls": calls}
        exchange.answer(json.dumps(task | made).encode(), status="201 Created")

    tg = colour.client(base_url=serve(script).url).text_generator
    task = await tg.run_tools([user("Go.")], tools=[weather], **ASKED)
    assert task.response_text == "Done."
    _, said, called, _ = asked[1]["messages"]
    assert (said["role"], said["content"]) == ("model", "Let me look.")
    assert called["function_call"] == signed


async def test_the_calls_of_a_round_run_at_once_and_are_answered_in_order(
    colour: Colour, emulator: Emulator
) -> None:
    together = threading.Barrier(12, timeout=10)

    def plain(number: int) -> int:
        together.wait()
        time.sleep(0.01 * (12 - number))
        return number

    async def awaited(number: int) -> int:
        await asyncio.get_running_loop().run_in_executor(None, lambda: None)
        return await asyncio.wrap_future(in_thread(lambda: plain(number)))

    calls = [calling("plain" if n % 2 else "awaited", number=n) for n in range(12)]
    emulator.answer_when = saying(calls, "Done.")
    tg = colour.client(base_url=emulator.url).text_generator
    await tg.run_tools([user("Go.")], tools=[plain, awaited], **ASKED)
    messages = bodies(emulator)[1]["messages"]
    assert [m["function_call"] for m in messages[1:13]] == calls
    assert results(emulator) == [{"result": n} for n in range(12)]


async def test_of_a_hundred_calls_in_a_round_few_run_at_once(
    colour: Colour, emulator: Emulator
) -> None:
    at_once: list[int] = []

    def plain(number: int) -> int:
        time.sleep(0.1)
        at_once.append(threading.active_count())
        return number

    before = threading.active_count()
    calls = [calling("plain", number=n) for n in range(100)]
    emulator.answer_when = saying(calls, "Done.")
    tg = colour.client(base_url=emulator.url).text_generator
    await tg.run_tools([user("Go.")], tools=[plain], **ASKED)
    assert results(emulator) == [{"result": n} for n in range(100)]
    assert max(at_once) < before + 40


def in_thread(function: Callable[[], Any]) -> Any:
    from creatify.tools._run import _in_thread  # noqa: PLC0415 - as many threads as are asked for

    return _in_thread(function)


async def test_an_object_whose_call_is_async_is_awaited(colour: Colour, emulator: Emulator) -> None:
    class Look:
        async def __call__(self, city: str) -> str:
            await asyncio.sleep(0)
            return city

    emulator.answer_when = saying([calling("Look", city="Rome")], "Done.")
    tg = colour.client(base_url=emulator.url).text_generator
    await tg.run_tools([user("Go.")], tools=[Look()], **ASKED)
    assert results(emulator) == [{"result": "Rome"}]


@pytest.mark.parametrize(
    ("value", "response"),
    [
        ({"a": 1}, {"a": 1}),
        ({1: date(2026, 1, 2)}, {"1": "2026-01-02"}),
        ("text", {"result": "text"}),
        (None, {"result": None}),
        ([Place("Rome")], {"result": [{"city": "Rome", "country": "FR"}]}),
        (Place("Rome"), {"city": "Rome", "country": "FR"}),
        (Shelf([{"title": "T"}]), {"books": [{"title": "T"}]}),
        (Reader(name="Ann"), {"name": "Ann"}),
        ({"who": [Reader(name="Ann")]}, {"who": [{"name": "Ann"}]}),
    ],
)
async def test_a_result_is_told_as_json(
    colour: Colour, emulator: Emulator, value: object, response: dict[str, Any]
) -> None:
    def look() -> object:
        return value

    emulator.answer_when = saying([{"name": "look"}], "Done.")
    tg = colour.client(base_url=emulator.url).text_generator
    await tg.run_tools([user("Go.")], tools=[look], on_error="raise", **ASKED)
    assert results(emulator) == [response]


def endless() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


CALL = calling("look", city="a")
MISFIT = "the arguments don't fit look, at $."
NO_JSON = "TypeError: the result of look, of type"
WRONG: list[tuple[Any, Any, str, type[Exception]]] = [
    (calling("look", city=3), None, f"{MISFIT}city: Expected `str`, got `int`", OutputParseError),
    (calling("look"), None, f"{MISFIT}city: it is required and missing", OutputParseError),
    (
        calling("look", city="a", b=1, a=2),
        None,
        f"{MISFIT}a: there is no such parameter; at $.b: there is no such parameter",
        OutputParseError,
    ),
    (calling("see"), None, "there is no function see; there are: look", OutputParseError),
    (CALL, KeyError("Paris"), "KeyError: 'Paris'", KeyError),
    (CALL, OSError("\udcff"), "OSError: ?", OSError),
    (CALL, StopIteration(), "RuntimeError: it raised StopIteration", RuntimeError),
    (CALL, asyncio.CancelledError(), "RuntimeError: it raised CancelledError", RuntimeError),
    (CALL, futures.CancelledError(), "RuntimeError: it raised CancelledError", RuntimeError),
    (CALL, object(), f"{NO_JSON} object, is no JSON: ", TypeError),
    (CALL, float("nan"), f"{NO_JSON} float, is no JSON: ", TypeError),
    (CALL, "\ud800", f"{NO_JSON} str, is no JSON: ", TypeError),
    (CALL, endless(), f"{NO_JSON} list, is no JSON: ", TypeError),
]


def looking(value: object) -> Callable[..., object]:
    def look(city: str) -> object:
        """Look."""
        if isinstance(value, BaseException):
            raise value
        return value

    return look


@pytest.mark.unmeasured
@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong[2])
async def test_what_goes_wrong_is_reported_to_the_model(
    colour: Colour, emulator: Emulator, wrong: tuple[Any, Any, str, type[Exception]]
) -> None:
    call, value, said, _ = wrong
    emulator.answer_when = saying([call, calling("fine")], "Sorry.")

    def fine() -> int:
        return 1

    tg = colour.client(base_url=emulator.url).text_generator
    task = await tg.run_tools([user("Go.")], tools=[looking(value), fine], **ASKED)
    assert task.response_text == "Sorry."
    told, right = results(emulator)
    assert list(told) == ["error"]
    assert said.replace("are: look", "are: look, fine") in told["error"]
    assert "Traceback" not in told["error"]
    assert right == {"result": 1}


async def test_an_error_without_a_text_is_reported_by_its_type(
    colour: Colour, emulator: Emulator
) -> None:
    class SpeechlessError(Exception):
        def __str__(self) -> str:
            raise LookupError

    emulator.answer_when = saying([CALL], "Sorry.")
    tg = colour.client(base_url=emulator.url).text_generator
    await tg.run_tools([user("Go.")], tools=[looking(SpeechlessError())], **ASKED)
    assert results(emulator) == [{"error": "SpeechlessError: "}]


async def test_a_parameter_is_as_pydantic_says(colour: Colour, emulator: Emulator) -> None:
    def vote(stars: Annotated[int, pydantic.Field(ge=1, le=5)]) -> str:
        return "*" * stars

    assert declaration(vote).to_dict()["parameters"]["properties"]["stars"]["maximum"] == 5
    emulator.answer_when = saying([calling("vote", stars=999), calling("vote", stars=2)], "Thanks.")
    tg = colour.client(base_url=emulator.url).text_generator
    await tg.run_tools([user("Go.")], tools=[vote], **ASKED)
    refused, taken = results(emulator)
    assert "$.stars" in refused["error"]
    assert taken == {"result": "**"}


async def test_of_a_long_text_of_an_error_the_model_reads_the_beginning(
    colour: Colour, emulator: Emulator
) -> None:
    emulator.answer_when = saying([CALL], "Sorry.")
    tg = colour.client(base_url=emulator.url).text_generator
    await tg.run_tools([user("Go.")], tools=[looking(ValueError("a" * 10**6))], **ASKED)
    assert results(emulator) == [{"error": f"ValueError: {'a' * 2000}"}]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong[2])
async def test_what_goes_wrong_is_raised_where_that_is_asked_for(
    colour: Colour, emulator: Emulator, wrong: tuple[Any, Any, str, type[Exception]]
) -> None:
    call, value, said, error = wrong
    emulator.answer_when = saying([call])
    tg = colour.client(base_url=emulator.url).text_generator
    with pytest.raises(error) as caught:
        await tg.run_tools([user("Go.")], tools=[looking(value)], on_error="raise", **ASKED)
    (paid,) = emulator.tasks
    assert f"the rounds of run_tools before it were paid for: tasks {paid}" in (
        caught.value.__notes__
    )
    if isinstance(caught.value, OutputParseError):
        assert f"the model made a wrong call: {said}" in str(caught.value)
        assert FunctionCallPart.from_dict(call).name in caught.value.text
        assert caught.value.task is not None
        assert str(caught.value.task.id) == paid
        assert caught.value.__cause__ is not None
    else:
        assert "raised by the tool look, which the model called" in caught.value.__notes__


async def test_an_error_that_is_raised_is_not_kept_back_by_a_call_that_takes_its_time(
    colour: Colour, emulator: Emulator
) -> None:
    begun, end = threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        end.wait(30)

    def failing() -> None:
        begun.wait(10)
        raise LookupError

    emulator.answer_when = saying([calling("slow"), calling("failing")])
    tg = colour.client(base_url=emulator.url).text_generator
    began = time.monotonic()
    with pytest.raises(LookupError):
        await tg.run_tools([user("Go.")], tools=[slow, failing], on_error="raise", **ASKED)
    end.set()
    assert time.monotonic() - began < 10


async def test_after_so_many_rounds_the_error_has_all_and_a_run_goes_on_from_it(
    colour: Colour, emulator: Emulator
) -> None:
    emulator.answer_when = lambda _: [calling("weather", city="Rome")]
    tg = colour.client(base_url=emulator.url).text_generator
    with pytest.raises(ToolRoundsError) as caught:
        await tg.run_tools([user("Go.")], tools=[weather], max_rounds=3, **ASKED)
    error = caught.value
    assert "after 3 rounds" in str(error)
    assert [str(task.id) for task in error.tasks] == list(emulator.tasks)
    assert len(error.messages) == 1 + 3 * 2
    assert emulator.charges == 3
    assert pickle.loads(pickle.dumps(error)).messages == error.messages
    emulator.answer_when = saying("Enough.")
    task = await tg.run_tools(error.messages, tools=[weather], **ASKED)
    assert task.response_text == "Enough."
    assert task.messages == error.messages


async def test_a_mode_that_forces_calls_ends_after_max_rounds(
    colour: Colour, emulator: Emulator
) -> None:
    def answer_when(body: Mapping[str, Any]) -> list[dict[str, Any]]:
        assert body["tool_config"]["function_calling_config"]["mode"] == "ANY"
        return [calling("weather", city="Rome")]

    emulator.answer_when = answer_when
    config = ToolConfig(function_calling_config=FunctionCallingConfig(mode="ANY"))
    tg = colour.client(base_url=emulator.url).text_generator
    with pytest.raises(ToolRoundsError, match="after 8 rounds"):
        await tg.run_tools([user("Go.")], tools=[weather], tool_config=config, **ASKED)
    assert emulator.charges == 8


async def test_an_error_of_a_later_round_names_what_was_paid_for(
    colour: Colour, emulator: Emulator
) -> None:
    emulator.credits = 2.0
    emulator.answer_when = lambda _: [calling("weather", city="Rome")]
    tg = colour.client(base_url=emulator.url).text_generator
    with pytest.raises(InsufficientCreditsError) as caught:
        await tg.run_tools([user("Go.")], tools=[weather], **ASKED)
    assert len(emulator.tasks) == 2
    paid = ", ".join(emulator.tasks)
    assert caught.value.__notes__ == [
        f"the rounds of run_tools before it were paid for: tasks {paid}"
    ]
    assert [str(task.id) for task in caught.value.tasks] == list(emulator.tasks)
    emulator.credits = 1.0
    emulator.answer_when = lambda _: "Sunny."
    messages = list(caught.value.messages)
    task = await tg.run_tools(messages, tools=[weather], **ASKED)
    assert len(messages) == 5  # the first, and two rounds of a call and its result
    assert task.response_text == "Sunny."


async def test_an_error_of_the_first_round_names_nothing(
    colour: Colour, emulator: Emulator
) -> None:
    emulator.credits = 0.0
    tg = colour.client(base_url=emulator.url).text_generator
    with pytest.raises(InsufficientCreditsError) as caught:
        await tg.run_tools([user("Use weather.")], tools=[weather], **ASKED)
    assert not any("run_tools" in note for note in getattr(caught.value, "__notes__", []))


async def test_the_caller_s_messages_stay_as_they_are(colour: Colour, emulator: Emulator) -> None:
    messages = [user("Use weather."), model("Where?"), user("In Rome: weather.")]
    before = [message.to_dict() for message in messages]
    tg = colour.client(base_url=emulator.url).text_generator
    await tg.run_tools(messages, tools=(weather,), **ASKED)
    assert [message.to_dict() for message in messages] == before
    assert emulator.charges == 2


async def test_tools_may_be_any_iterable_of_functions(colour: Colour, emulator: Emulator) -> None:
    emulator.answer_when = saying([calling("weather", city="Rome")], "Warm.", "Cold.")
    tg = colour.client(base_url=emulator.url).text_generator
    for tools_given in ({"weather": weather}.values(), (tool for tool in [weather])):
        await tg.run_tools([user("Go.")], tools=tools_given, **ASKED)
    assert emulator.charges == 3


async def test_without_tools_it_is_a_generation(colour: Colour, emulator: Emulator) -> None:
    tg = colour.client(base_url=emulator.url).text_generator
    task = await tg.run_tools([user("Hello")], tools=[], **ASKED)
    assert task.response_text
    assert "tools" not in bodies(emulator)[0]


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"tools": weather}, InvalidRequestError, "tools is a list of functions"),
        ({"tools": 3}, InvalidRequestError, "tools is a list of functions"),
        ({"tools": [weather, weather]}, InvalidRequestError, "two of the tools are named weather"),
        ({"tools": [lambda city: city]}, InvalidRequestError, "a tool needs a name"),
        ({"max_rounds": 0}, ConfigurationError, "max_rounds is an int from 1, and not 0"),
        ({"max_rounds": True}, ConfigurationError, "max_rounds is an int from 1, and not True"),
        ({"max_rounds": "8"}, ConfigurationError, "max_rounds is an int from 1, and not '8'"),
        ({"on_error": "ignore"}, ConfigurationError, 'on_error is "report" or "raise", and not'),
        ({"timeout": 0}, ConfigurationError, "timeout must be above 0"),
        ({"messages": []}, InvalidRequestError, "messages is empty"),
        ({"messages": "Hello"}, InvalidRequestError, "request.messages is of type str"),
        ({"temperature": 3}, InvalidRequestError, "a request has no field 'temperature'"),
    ],
)
async def test_what_cannot_be_is_refused_before_anything_is_sent(
    colour: Colour, emulator: Emulator, given: dict[str, Any], error: type[Exception], said: str
) -> None:
    tg = colour.client(base_url=emulator.url).text_generator
    with pytest.raises(error) as caught:
        await tg.run_tools(**{"messages": [user("Go.")], "tools": [weather], **ASKED, **given})
    assert said in str(caught.value)
    assert emulator.requests == []


async def test_context_variables_are_those_of_the_caller(
    colour: Colour, emulator: Emulator
) -> None:
    tenant = contextvars.ContextVar("tenant", default="nobody")

    def plain() -> str:
        return tenant.get()

    async def awaited() -> str:
        return tenant.get()

    tenant.set("acme")
    emulator.answer_when = saying([calling("plain"), calling("awaited")], "Done.")
    tg = colour.client(base_url=emulator.url).text_generator
    await tg.run_tools([user("Go.")], tools=[plain, awaited], **ASKED)
    assert results(emulator) == [{"result": "acme"}, {"result": "acme"}]


@pytest.mark.anyio
async def test_cancelling_a_run_cancels_its_functions_and_names_what_was_paid_for(
    emulator: Emulator,
) -> None:
    begun, told = asyncio.Event(), list[str]()

    async def awaited() -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            told.append("cancelled")
            raise

    def plain() -> None:
        end.wait(30)

    end = threading.Event()
    emulator.answer_when = saying([calling("awaited"), calling("plain")])
    async with AsyncCreatify(base_url=emulator.url, **KEYS) as client:
        run = asyncio.create_task(
            client.text_generator.run_tools([user("Go.")], tools=[awaited, plain], **ASKED)
        )
        await asyncio.wait_for(begun.wait(), 10)
        run.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await asyncio.wait_for(run, 10)
    end.set()
    assert told == ["cancelled"]
    (paid,) = emulator.tasks
    assert any(paid in note for note in caught.value.__notes__)


@pytest.mark.anyio
async def test_an_error_that_is_raised_cancels_the_other_functions(emulator: Emulator) -> None:
    told = list[str]()

    async def awaited() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            told.append("cancelled")
            raise

    async def failing() -> None:
        raise LookupError

    emulator.answer_when = saying([calling("awaited"), calling("failing")])
    async with AsyncCreatify(base_url=emulator.url, **KEYS) as client:
        with pytest.raises(LookupError):
            await client.text_generator.run_tools(
                [user("Go.")], tools=[awaited, failing], on_error="raise", **ASKED
            )
    assert told == ["cancelled"]


async def test_a_function_in_which_something_is_cancelled_fails_and_the_others_do_not(
    colour: Colour, emulator: Emulator
) -> None:
    async def awaiting() -> None:
        inner = asyncio.create_task(asyncio.sleep(60))
        inner.cancel()
        await inner

    async def fine() -> int:
        await asyncio.sleep(0.05)
        return 1

    emulator.answer_when = saying([calling("awaiting"), calling("fine")], "Sorry.")
    tg = colour.client(base_url=emulator.url).text_generator
    await tg.run_tools([user("Go.")], tools=[awaiting, fine], **ASKED)
    assert results(emulator) == [{"error": "RuntimeError: it raised CancelledError"}, {"result": 1}]


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_waits_for_no_function(emulator: Emulator) -> None:
    end = threading.Event()

    def endless() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        end.wait(60)

    emulator.answer_when = saying([calling("endless")])
    began = time.monotonic()
    with (
        Creatify(base_url=emulator.url, **KEYS) as client,
        pytest.raises(KeyboardInterrupt) as caught,
    ):
        client.text_generator.run_tools([user("Go.")], tools=[endless], **ASKED)
    assert time.monotonic() - began < 10
    end.set()
    (paid,) = emulator.tasks
    assert any(paid in note for note in caught.value.__notes__)


@pytest.mark.parametrize("missing", ["docstring_parser", "cattrs"])
async def test_without_the_extra_the_error_says_what_to_install_before_anything_is_sent(
    colour: Colour, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    for name in [n for n in sys.modules if n.startswith(("creatify.output._", "creatify.tools._"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    tg = colour.client(base_url=emulator.url).text_generator
    install = r"pip install 'creatify-client\[tools\]'$"
    with pytest.raises(ConfigurationError, match=install):
        await tg.run_tools([user("Go.")], tools=[weather], **ASKED)
    with pytest.raises(ConfigurationError, match=install):
        declaration(weather)
    assert emulator.requests == []
