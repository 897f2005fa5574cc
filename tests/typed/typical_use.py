"""What users write. A strict type checker passes on it; nothing here is run."""

from __future__ import annotations

from collections.abc import Callable  # noqa: TC003 - written as a user would
from dataclasses import dataclass
from typing import TypedDict, assert_type
from uuid import UUID

from creatify import (
    AsyncCreatify,
    Creatify,
    CreatifyError,
    OutputParseError,
    PollPolicy,
    RateLimitError,
    StreamError,
    TaskFailedError,
    ToolRoundsError,
    function_result,
    image,
    model,
    output,
    user,
)
from creatify.output import (
    AsyncParsedTextStream,
    ParsedTextGenResponse,
    ParsedTextStream,
)
from creatify.tools import declaration
from creatify.webhooks import Inbox, WebhookApp, WebhookEvent, confirm, parse, webhook_token
from creatify_api.api.text_generator import sse_text_generator_list
from creatify_api.models import (
    FunctionCallPart,
    FunctionDeclaration,
    RemainingCredits,
    TextGenConfig,
    TextGenRequest,
    TextGenResponse,
    TextGenStreamChunk,
    TextGenStreamReceipt,
    Tool,
)
from creatify_api.types import Unset  # noqa: TC001 - written as a user would


def services_use_the_sync_client() -> str | Unset:
    with Creatify(profile="work", timeout=30.0).with_options(timeout=10) as client:
        request = TextGenRequest(model_name="gemini-2.5-flash", messages=[user("Hello")])
        task = client.text_generator.create(request)
        assert_type(task, TextGenResponse)
        assert_type(task.id, UUID)
        done = client.text_generator.generate(
            model_name="gemini-2.5-flash",
            messages=[user("Describe.", image(b"...", mime_type="image/png")), model("A shoe.")],
            config=TextGenConfig(temperature=0.2, response_json_schema={"type": "object"}),
            tools=[Tool(function_declarations=[FunctionDeclaration(name="weather")])],
            system_instruction="Be brief.",
            timeout=120.0,
            poll=PollPolicy(maximum=5.0),
            on_update=lambda seen: print(seen.status),
        )
        tasks = client.text_generator.list()
        assert_type(tasks, list[TextGenResponse])
        assert_type(client.text_generator.wait(tasks[0]), TextGenResponse)
        assert_type(client.text_generator.wait_all(tasks, timeout=60.0), list[TextGenResponse])
        for finished in client.text_generator.as_completed([task.id, str(task.id)]):
            assert_type(finished, TextGenResponse)
        assert_type(client.text_generator.retrieve(str(task.id)), TextGenResponse)
        assert_type(client.remaining_credits(), RemainingCredits)
        print(sse_text_generator_list.sync(client=client.api))
        return done.response_text


def streams_are_typed(client: Creatify) -> None:
    with client.text_generator.stream(
        model_name="gemini-2.5-flash", messages=[user("Hello")], idle_timeout=30.0
    ) as stream:
        for chunk in stream:
            assert_type(chunk, TextGenStreamChunk)
        for text in stream.text_stream:
            assert_type(text, str)
    assert_type(stream.function_calls, list[FunctionCallPart])
    assert_type(stream.receipt, TextGenStreamReceipt | None)
    for call in stream.function_calls:
        function_result(call.name, {"args": call.args})


async def and_the_async_one() -> None:
    async with AsyncCreatify(credentials=lambda: ("id", "key")) as client:
        task = await client.text_generator.create(
            model_name="gemini-2.5-flash", messages=[user("Hello")], sync=True
        )
        assert_type(await client.text_generator.wait(task.id), TextGenResponse)
        assert_type(await client.text_generator.wait_all([task]), list[TextGenResponse])
        async for finished in client.text_generator.as_completed([task]):
            assert_type(finished, TextGenResponse)
        request = TextGenRequest(model_name="gemini-2.5-flash", messages=[user("Hello")])
        async with client.text_generator.stream(request) as stream:
            async for chunk in stream:
                assert_type(chunk, TextGenStreamChunk)
            async for text in stream.text_stream:
                assert_type(text, str)


async def webhooks_are_typed(client: Creatify, async_client: AsyncCreatify) -> None:
    async def on_event(event: WebhookEvent) -> None:
        print(event.status == "done", event.payload["id"])

    inbox = Inbox()
    apps = [WebhookApp(inbox, secret="..."), WebhookApp(on_event), WebhookApp(print)]
    url = f"https://example.com/{webhook_token('...', 'order', '17')}"
    done = client.text_generator.generate(
        model_name="m", messages=[user("Hello")], webhook_url=url, inbox=inbox
    )
    await async_client.text_generator.wait_all([done], inbox=inbox)
    assert_type(parse(b"").id, UUID)
    assert_type(confirm(client, b""), TextGenResponse)
    assert_type(await confirm(async_client, parse("")), TextGenResponse)
    print(apps)


@dataclass
class Product:
    name: str


class Pair(TypedDict):
    left: int


def the_output_has_the_type_that_was_asked_for(client: Creatify) -> None:
    tg = client.text_generator
    task = tg.generate(model_name="m", messages=[user("Hello")], output=Product, timeout=3)
    assert_type(task, ParsedTextGenResponse[Product])
    assert_type(task.output, Product)
    print(task.response_text, task.output.name)
    request = TextGenRequest(model_name="m", messages=[user("Hello")])
    assert_type(tg.generate(request, output=list[Product]).output, list[Product])
    assert_type(tg.generate(request, output=Pair).output, Pair)
    assert_type(tg.generate(request, output=None), TextGenResponse)
    with tg.stream(request, output=Product) as stream:
        for text in stream.text_stream:
            assert_type(text, str)
    assert_type(stream, ParsedTextStream[Product])
    assert_type(stream.output, Product)
    assert_type(output.parse(task, Product), Product)
    assert_type(output.parse("{}", dict[str, int]), dict[str, int])
    print(output.schema(Product), output.schema(Product | Pair))


async def and_so_has_the_async_one(client: AsyncCreatify) -> None:
    tg = client.text_generator
    task = await tg.generate(model_name="m", messages=[user("Hello")], output=Product)
    assert_type(task.output, Product)
    async with tg.stream(model_name="m", messages=[user("x")], output=list[int]) as stream:
        await stream.until_done()
    assert_type(stream, AsyncParsedTextStream[list[int]])
    assert_type(stream.output, list[int])


async def functions_are_tools(client: Creatify, async_client: AsyncCreatify) -> None:
    def plain(city: str) -> int:
        return len(city)

    async def awaited(city: str) -> int:
        return len(city)

    messages = [user("Hello")]
    both: list[Callable[..., object]] = [plain, awaited]
    task = client.text_generator.run_tools(
        messages,
        tools=[plain, awaited],
        max_rounds=3,
        on_error="raise",
        model_name="m",
        config=TextGenConfig(temperature=0.1),
    )
    assert_type(task, TextGenResponse)
    again = await async_client.text_generator.run_tools(messages, tools=both, model_name="m")
    assert_type(again, TextGenResponse)
    assert_type(declaration(plain), FunctionDeclaration)


def errors_have_typed_fields(client: Creatify) -> None:
    try:
        client.text_generator.generate(model_name="m", messages=[user("Hello")])
    except RateLimitError as error:
        assert_type(error.retry_after, float | None)
    except TaskFailedError as error:
        assert_type(error.task, TextGenResponse)
    except OutputParseError as error:
        assert_type(error.task, TextGenResponse | None)
    except ToolRoundsError as error:
        client.text_generator.run_tools(error.messages, tools=[], model_name="m")
    except StreamError as error:
        assert_type(error.partial_text, str)
    except CreatifyError as error:
        print(error)
