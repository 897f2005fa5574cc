"""Every request that the wrapper makes is one that openapi.yaml allows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx
import pytest
import spec_mock
import yaml
from spec_mock import SpecMock

from creatify import (
    StreamInterruptedError,
    WaitTimeoutError,
    function_result,
    image,
    model,
    user,
    video,
)
from creatify_api.api.remaining_credits import remaining_credits_retrieve
from creatify_api.api.text_generator import (
    sse_text_generator_create,
    sse_text_generator_list,
    sse_text_generator_retrieve,
)
from creatify_api.models import (
    FunctionCallingConfig,
    FunctionCallPart,
    FunctionDeclaration,
    ResponseMimeTypeEnum,
    TextGenConfig,
    TextGenRequest,
    Tool,
    ToolConfig,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from colours import Colour

pytestmark = [pytest.mark.anyio, pytest.mark.unmeasured]

ID = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
PNG = b"\x89PNG\r\n\x1a\n"
CALL = FunctionCallPart.from_dict({"name": "weather", "args": {"city": "Paris"}})
FULL: dict[str, Any] = {
    "model_name": "gemini-2.5-flash",
    "messages": [
        user("What is this?", image(PNG), video(b"\x1a\x45\xdf\xa3")),
        model("A shoe."),
        model(CALL),
        function_result("weather", {"degrees": 21}),
    ],
    "system_instruction": "Be brief.",
    "config": TextGenConfig(
        temperature=0.5,
        max_output_tokens=100,
        top_p=0.9,
        top_k=40,
        presence_penalty=0.1,
        frequency_penalty=0.1,
        seed=7,
        stop_sequences=["END"],
        response_mime_type=ResponseMimeTypeEnum.APPLICATIONJSON,
        response_json_schema={"type": "object"},
    ),
    "tools": [
        Tool(
            function_declarations=[
                FunctionDeclaration(name="weather", parameters={"type": "object"})
            ]
        )
    ],
    "tool_config": ToolConfig(
        function_calling_config=FunctionCallingConfig(
            mode="ANY", allowed_function_names=["weather"]
        )
    ),
    "webhook_url": "https://example.com/hook",
    "sync": True,
}
LEAST: dict[str, Any] = {"model_name": "m", "messages": [user("x")]}


@pytest.fixture(scope="module")
def mock() -> Iterator[SpecMock]:
    with SpecMock() as running:
        yield running


@pytest.fixture
def client(colour: Colour, mock: SpecMock) -> Any:
    mock.accepted.clear()
    mock.problems.clear()
    return colour.client(base_url=mock.url)


@pytest.mark.parametrize("fields", [LEAST, FULL], ids=["least", "full"])
async def test_create_sends_what_the_spec_allows_and_reads_what_it_documents(
    client: Any, mock: SpecMock, fields: dict[str, Any]
) -> None:
    task = await client.text_generator.create(**fields)
    assert str(task.id) == ID
    assert (mock.problems, mock.accepted) == ([], ["sse_text_generator_create"])


@pytest.mark.parametrize("fields", [LEAST, FULL], ids=["least", "full"])
async def test_stream_sends_what_the_spec_allows(
    client: Any, mock: SpecMock, fields: dict[str, Any]
) -> None:
    with pytest.raises(StreamInterruptedError):  # the mock's one chunk is empty
        async with client.text_generator.stream(**fields) as stream:
            await stream.until_done()
    assert mock.problems == []
    # The list may know the generation that was interrupted.
    asks = ["sse_text_generator_list"] * 3
    assert mock.accepted == ["sse_text_generator_stream_create", *asks]


async def test_the_reading_operations_send_what_the_spec_allows(
    client: Any, mock: SpecMock
) -> None:
    assert str((await client.text_generator.retrieve(ID)).id) == ID
    assert [str(task.id) for task in await client.text_generator.list()] == [ID]
    assert (await client.remaining_credits()).remaining_credits == 0
    assert mock.problems == []
    assert mock.accepted == [
        f"sse_text_generator_retrieve {ID}",
        "sse_text_generator_list",
        "remaining_credits_retrieve",
    ]


async def test_generate_and_wait_send_what_the_spec_allows(client: Any, mock: SpecMock) -> None:
    with pytest.raises(WaitTimeoutError):  # the mock's task has no status
        await client.text_generator.generate(**LEAST, timeout=1.0)
    assert mock.problems == []
    assert set(mock.accepted) == {
        "sse_text_generator_create",
        f"sse_text_generator_retrieve {ID}",
    }


async def test_generated_functions_called_through_client_api_send_what_the_spec_allows(
    colour: Colour, client: Any, mock: SpecMock
) -> None:
    request = TextGenRequest.from_dict(TextGenRequest(**FULL).to_dict())
    calls: list[tuple[Any, dict[str, Any]]] = [
        (sse_text_generator_create, {"body": request}),
        (sse_text_generator_list, {}),
        (sse_text_generator_retrieve, {"id": UUID(ID)}),
        (remaining_credits_retrieve, {}),
    ]
    for module, arguments in calls:
        if colour.is_sync:
            await asyncio.to_thread(module.sync_detailed, client=client.api, **arguments)
        else:
            await module.asyncio_detailed(client=client.api, **arguments)
    assert (mock.problems, len(mock.accepted)) == ([], len(calls))


async def test_the_mock_stands_in_for_the_server_that_the_spec_names(
    colour: Colour, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider names none today, and the routine must not stop on the day it does."""
    spec = yaml.safe_load(spec_mock.SPEC_FILE.read_text())
    spec["servers"] = [{"url": "https://api.example"}]
    (tmp_path / "openapi.yaml").write_text(yaml.safe_dump(spec))
    monkeypatch.setattr(spec_mock, "SPEC_FILE", tmp_path / "openapi.yaml")
    with SpecMock() as mock:
        await colour.client(base_url=mock.url).remaining_credits()
    assert (mock.problems, mock.accepted) == ([], ["remaining_credits_retrieve"])


async def test_the_mock_refuses_what_the_spec_does_not_allow(client: Any, mock: SpecMock) -> None:
    request = sse_text_generator_create._get_kwargs(body=TextGenRequest(**LEAST))
    del request["json"]["messages"]
    request["headers"] |= {"X-API-ID": "id", "X-API-KEY": "key"}
    asked = remaining_credits_retrieve._get_kwargs() | {"headers": {"X-API-ID": "id"}}
    async with httpx.AsyncClient(base_url=mock.url) as raw:
        no_messages = await raw.request(**request)
        no_key = await raw.request(**asked)
    assert (no_messages.status_code, no_key.status_code) == (400, 400)
    assert len(mock.problems) == 2
