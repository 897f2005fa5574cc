"""Bad input is one clear error of the tree, in both colours, and nothing has been sent then."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import attrs
import pytest
from emulated import DOCUMENT

from creatify import (
    ConfigurationError,
    InvalidRequestError,
    PollPolicy,
    function_result,
    image,
    user,
)
from creatify_api.models import (
    FunctionCallingConfig,
    FunctionCallPart,
    FunctionCallPartArgs,
    FunctionDeclaration,
    Message,
    RoleEnum,
    TextGenConfig,
    TextGenRequest,
    Tool,
    ToolConfig,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from colours import Colour
    from rawserver import RawServer, Script

pytestmark = pytest.mark.anyio

ID = UUID("0b0f2f46-9d1e-4b0e-8a8e-0c0d7c0a2c11")
GOOD: dict[str, Any] = {"model_name": "gemini-2.5-flash", "messages": [user("Hello")]}
OPERATIONS = ["create", "generate", "stream"]
CIRCLE: dict[str, Any] = {}
CIRCLE["self"] = CIRCLE
DEEP: list[Any] = []
for _ in range(100_000):
    DEEP = [DEEP]
untyped: Any = lambda value: value  # noqa: E731 - what a program without a type checker passes


async def call(client: Any, operation: str, *request: Any, **fields: Any) -> None:
    if operation == "stream":
        async with client.text_generator.stream(*request, **fields):
            pass
    else:
        await getattr(client.text_generator, operation)(*request, **fields)


@pytest.fixture
async def client(colour: Colour, serve: Callable[[Script], RawServer]) -> AsyncIterator[Any]:
    """A client whose server must not see a request."""
    server = serve(lambda exchange: exchange.answer(b"", status="500 It was sent"))
    yield colour.client(base_url=server.url)
    assert server.exchanges == []


async def refusal(client: Any, operation: str, *request: Any, **fields: Any) -> str:
    with pytest.raises(InvalidRequestError) as caught:
        await call(client, operation, *request, **fields)
    assert type(caught.value) is InvalidRequestError
    said = str(caught.value)
    assert said
    assert "\n" not in said
    return said


def declaration(parameters: Any) -> dict[str, Any]:
    return {"tools": [Tool([FunctionDeclaration("f", parameters=parameters)])]}


def calling(args: Any) -> dict[str, Any]:
    call = FunctionCallPart("f", FunctionCallPartArgs.from_dict(args))
    return {"messages": [Message(RoleEnum.MODEL, function_call=call)]}


WRONG_FIELDS: dict[str, tuple[dict[str, Any], str]] = {
    "a tool is a declaration": (
        {"tools": [FunctionDeclaration("f")]},
        "request.tools[0] is of type FunctionDeclaration and should be Tool",
    ),
    "no message": ({"messages": []}, "messages is empty: a generation needs at least one message"),
    "messages is None": (
        {"messages": None},
        "request.messages is None and should be list[Message]",
    ),
    "messages is a text": (
        {"messages": "Hello"},
        "request.messages is of type str and should be list[Message]",
    ),
    "messages is one message": (
        {"messages": user("Hello")},
        "request.messages is of type Message and should be list[Message]",
    ),
    "a message is a dict": (
        {"messages": [{"role": "user", "content": "Hello"}]},
        "request.messages[0] is of type dict and should be Message: Message.from_dict(...)",
    ),
    "a message is a text": (
        {"messages": ["Hello"]},
        "request.messages[0] is of type str and should be Message",
    ),
    "a message is None": (
        {"messages": [user("Hello"), None]},
        "request.messages[1] is None and should be Message",
    ),
    "a role is a plain string": (
        {"messages": [Message(untyped("user"), "Hello")]},
        "request.messages[0].role is of type str and should be RoleEnum: RoleEnum('user')",
    ),
    "a model name of 256 characters": (
        {"model_name": "m" * 256},
        "request.model_name: it has 256 characters and may have 255",
    ),
    "model_name is None": (
        {"model_name": None},
        "request.model_name is None and should be str",
    ),
    "model_name is a number": (
        {"model_name": 5},
        "request.model_name is of type int and should be str",
    ),
    "model_name is bytes": (
        {"model_name": b"m"},
        "request.model_name is of type bytes and should be str",
    ),
    "system_instruction is None": (
        {"system_instruction": None},
        "request.system_instruction is None and should be str: leave it out",
    ),
    "sync is None": ({"sync": None}, "request.sync is None and should be bool: leave it out"),
    "sync is a text": ({"sync": "yes"}, "request.sync is of type str and should be bool"),
    "webhook_url is None": (
        {"webhook_url": None},
        "request.webhook_url is None and should be str",
    ),
    "config is None": (
        {"config": None},
        "request.config is None and should be TextGenConfig: leave it out, or pass UNSET",
    ),
    "config is a dict": (
        {"config": {"temperature": 1}},
        "request.config is of type dict and should be TextGenConfig: TextGenConfig.from_dict(",
    ),
    "tools is None": (
        {"tools": None},
        "request.tools is None and should be list[Tool]: leave it out",
    ),
    "tools is one tool": (
        {"tools": Tool()},
        "request.tools is of type Tool and should be list[Tool]",
    ),
    "tool_config is a dict": (
        {"tool_config": {}},
        "request.tool_config is of type dict and should be ToolConfig: ",
    ),
    "temperature is None": (
        {"config": TextGenConfig(temperature=untyped(None))},
        "request.config.temperature is None and should be float: leave it out",
    ),
    "temperature is a text": (
        {"config": TextGenConfig(temperature=untyped("hot"))},
        "request.config.temperature is of type str and should be float",
    ),
    "temperature is a Decimal": (
        {"config": TextGenConfig(temperature=untyped(Decimal(1)))},
        "request.config.temperature is of type Decimal and should be float",
    ),
    "temperature is NaN": (
        {"config": TextGenConfig(temperature=math.nan)},
        "the request can't be written as JSON: Out of range float values",
    ),
    "temperature is infinite": (
        {"config": TextGenConfig(temperature=-math.inf)},
        "the request can't be written as JSON: Out of range float values",
    ),
    "seed is half": (
        {"config": TextGenConfig(seed=untyped(0.5))},
        "request.config.seed is of type float and should be int",
    ),
    "seed is a bool": (
        {"config": TextGenConfig(seed=True)},
        "request.config.seed is of type bool and should be int",
    ),
    "seed is infinite": (
        {"config": TextGenConfig(seed=untyped(math.inf))},
        "request.config.seed is of type float and should be int",
    ),
    "seed is too long for JSON": (
        {"config": TextGenConfig(seed=10**10_000)},
        "the request can't be written as JSON: ",
    ),
    "a stop sequence is a number": (
        {"config": TextGenConfig(stop_sequences=untyped(["a", 5]))},
        "request.config.stop_sequences[1] is of type int and should be str",
    ),
    "a mode is a number": (
        {"tool_config": ToolConfig(FunctionCallingConfig(mode=untyped(5)))},
        "request.tool_config.function_calling_config.mode is of type int and should be str",
    ),
    "a function without a name": (
        {"tools": [Tool([FunctionDeclaration(untyped(None))])]},
        "request.tools[0].function_declarations[0].name is None and should be str",
    ),
    "a result without a name": (
        {"messages": [function_result(untyped(None), {})]},
        "request.messages[0].function_response.name is None and should be str",
    ),
    "a lone surrogate in a prompt": (
        {"messages": [user("a\ud800b")]},
        "the request can't be written as JSON: 'utf-8' codec can't encode character '\\ud800'",
    ),
    "a set in args": (calling({"a": {1}}), "can't be written as JSON: Object of type set is not"),
    "bytes in a content": (
        {"messages": [user({"type": "image", "data": untyped(b"AAAA")})]},
        "can't be written as JSON: Object of type bytes is not JSON serializable",
    ),
    "a tuple as a key": (calling({(1, 2): 3}), "can't be written as JSON: keys must be str"),
    "args that hold themselves": (calling(CIRCLE), "can't be written as JSON: Circular reference"),
    "args too deep": (calling({"a": DEEP}), "can't be written as JSON: maximum recursion depth"),
    "parameters that are no JSON": (
        declaration({"type": object()}),
        "Object of type object is not",
    ),
    "a schema that is no JSON": (
        {"config": TextGenConfig(response_json_schema=int)},
        "can't be written as JSON: Object of type type is not JSON serializable",
    ),
}


@pytest.mark.parametrize("case", WRONG_FIELDS)
async def test_a_wrong_value_in_a_request_is_named(client: Any, case: str) -> None:
    wrong, expected = WRONG_FIELDS[case]
    for operation in OPERATIONS:
        assert expected in await refusal(client, operation, **GOOD | wrong)
        assert expected in await refusal(client, operation, TextGenRequest(**GOOD | wrong))


FIELDS = ", ".join(DOCUMENT["components"]["schemas"]["TextGenRequest"]["properties"])


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"model_name": "m"}, f"needs the field 'messages'; its fields: {FIELDS}"),
        ({"messages": [user("Hello")]}, f"needs the field 'model_name'; its fields: {FIELDS}"),
        ({}, f"needs the field 'model_name'; its fields: {FIELDS}"),
        (GOOD | {"mesages": []}, "has no field 'mesages'; did you mean 'messages'?"),
        (GOOD | {"model": "m"}, "has no field 'model'; did you mean 'model_name'?"),
        (GOOD | {"system": "s"}, "has no field 'system'; did you mean 'system_instruction'?"),
        (
            GOOD | {"temperature": 1},
            "has no field 'temperature'; did you mean config=TextGenConfig(temperature=...)?",
        ),
        (
            GOOD | {"max_tokens": 1},
            "has no field 'max_tokens'; did you mean config=TextGenConfig(max_output_tokens=...)?",
        ),
        (GOOD | {"xyz": 1}, f"has no field 'xyz'; its fields: {FIELDS}"),
        (
            GOOD | {"additional_properties": {}},
            f"has no field 'additional_properties'; its fields: {FIELDS}",
        ),
        ({"request": TextGenRequest(**GOOD)}, f"has no field 'request'; its fields: {FIELDS}"),
    ],
)
async def test_an_unknown_or_missing_field_is_named_with_those_there_are(
    client: Any, fields: dict[str, Any], problem: str
) -> None:
    for operation in OPERATIONS:
        said = await refusal(client, operation, **fields)
        assert said == f"a request {problem}; nothing was sent"


async def test_a_request_and_fields_are_one_too_many(client: Any) -> None:
    for operation in OPERATIONS:
        said = await refusal(client, operation, TextGenRequest(**GOOD), sync=True)
        assert said == "give a TextGenRequest or its fields, and not both; nothing was sent"


@pytest.mark.parametrize("other", [GOOD, json.dumps({}), 5, [user("Hello")], user("Hello"), False])
async def test_a_request_of_another_type_is_refused(client: Any, other: object) -> None:
    for operation in OPERATIONS:
        said = await refusal(client, operation, other)
        kind = type(other).__name__
        assert said.startswith(f"the request is of type {kind}: give a TextGenRequest, or ")


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "5",
        "0b0f2f46",
        f"{ID}0",
        "../../admin",
        "g" * 32,
        "\ud800",
        None,
        5,
        b"x",
        [ID],
        user("a"),
    ],
)
async def test_a_malformed_id_is_refused(client: Any, bad: Any) -> None:
    for operation in ("retrieve", "wait"):
        with pytest.raises(InvalidRequestError) as caught:
            await getattr(client.text_generator, operation)(bad)
        assert str(caught.value).startswith(f"{repr(bad)[:100]} is no task id: an id is a UUID")
        assert caught.value.__suppress_context__


SECONDS = [0, -1, -0.0, math.nan, math.inf, -math.inf, True, "5", 10**400, 1e300, 2_147_484, [5]]


@pytest.mark.parametrize("seconds", SECONDS)
async def test_a_wrong_time_is_refused(client: Any, seconds: Any) -> None:
    generator = client.text_generator
    calls: dict[str, Any] = {
        "create": lambda: generator.create(**GOOD, timeout=seconds),
        "generate": lambda: generator.generate(**GOOD, timeout=seconds),
        "retrieve": lambda: generator.retrieve(ID, timeout=seconds),
        "list": lambda: generator.list(timeout=seconds),
        "wait": lambda: generator.wait(ID, timeout=seconds),
        "remaining_credits": lambda: client.remaining_credits(timeout=seconds),
        "stream": lambda: call(client, "stream", **GOOD, idle_timeout=seconds),
    }
    for name, make in calls.items():
        with pytest.raises(ConfigurationError) as caught:
            await make()
        assert type(caught.value) is ConfigurationError
        kind = "idle_timeout" if name == "stream" else "timeout"
        assert str(caught.value).startswith(f"{kind} ")
        assert "seconds" in str(caught.value)


@pytest.mark.parametrize("seconds", SECONDS)
async def test_a_wrong_time_of_a_client_is_refused(colour: Colour, seconds: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^timeout .*seconds"):
        colour.client(timeout=seconds)
    client = colour.client()
    with pytest.raises(ConfigurationError, match=r"^timeout .*seconds"):
        client.with_options(timeout=seconds)


@pytest.mark.parametrize("size", [0, -1, None, "x", 1.5, True])
async def test_a_wrong_size_is_refused_before_it_is_paid_for(client: Any, size: Any) -> None:
    with pytest.raises(ConfigurationError, match="max_event_size is in bytes, as a positive int"):
        await call(client, "stream", **GOOD, max_event_size=size)


async def test_no_time_where_one_is_needed_is_refused(client: Any) -> None:
    for make in (
        lambda: client.text_generator.generate(**GOOD, timeout=None),
        lambda: client.text_generator.wait(ID, timeout=None),
        lambda: call(client, "stream", **GOOD, idle_timeout=None),
    ):
        with pytest.raises(ConfigurationError, match="in seconds, as a number, and not None"):
            await make()


@pytest.mark.parametrize(
    "wrong",
    [
        {"minimum": 0},
        {"minimum": -1},
        {"minimum": 11},
        {"fraction": -0.1},
        {"fraction": math.nan},
        {"maximum": math.nan},
        {"jitter": -0.1},
        {"jitter": 1.5},
    ],
)
async def test_a_policy_that_makes_no_schedule_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="makes no schedule: 0 < minimum <= maximum"):
        PollPolicy(**wrong)


async def test_a_file_that_is_no_image_is_refused_where_it_is_given(client: Any) -> None:
    with pytest.raises(InvalidRequestError, match=f"{__file__} is no image of a known format"):
        await client.text_generator.create(
            model_name="m", messages=[user("Describe", image(__file__))]
        )


async def test_a_field_that_the_spec_does_not_know_can_still_be_sent(
    colour: Colour, serve: Callable[[Script], RawServer]
) -> None:
    """The way out, for the day that the API has it and this version doesn't."""
    server = serve(lambda exchange: exchange.answer(b'{"error": "x"}', status="400 Bad"))
    request = TextGenRequest(**GOOD)
    request["brand_new"] = None
    with pytest.raises(Exception, match="the API answered 400: x"):
        await call(colour.client(base_url=server.url), "create", request)
    assert json.loads(server.exchanges[0].body) == request.to_dict()
    assert json.loads(server.exchanges[0].body)["brand_new"] is None


def test_the_fields_of_a_request_are_those_of_the_spec() -> None:
    assert ", ".join(field.name for field in attrs.fields(TextGenRequest) if field.init) == FIELDS
