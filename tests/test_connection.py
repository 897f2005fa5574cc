"""Where requests leave: who sees the credentials, what the transport's failures become."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import traceback
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from creatify import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AsyncCreatify,
    ConfigurationError,
    Creatify,
    user,
)
from creatify_api.api.text_generator import sse_text_generator_list

if TYPE_CHECKING:
    from collections.abc import Callable

    from colours import Colour
    from rawserver import Exchange, RawServer, Script

    from creatify.testing import Emulator

    Serve = Callable[[Script], RawServer]

pytestmark = pytest.mark.anyio

CANARY_ID, CANARY_KEY = "canary-id-51f0", "canary-key-77aa"
HELLO: dict[str, Any] = {"model_name": "gemini-2.5-flash", "messages": [user("Hello")]}


def headers_of(exchange: Exchange) -> dict[str, str]:
    lines = exchange.head.split("\r\n")[1:]
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


def empty_list(exchange: Exchange) -> None:
    exchange.answer(b"[]")


async def test_a_request_carries_the_credentials_and_asks_for_an_unencoded_answer(
    colour: Colour, serve: Serve
) -> None:
    server = serve(empty_list)
    client = colour.client(base_url=server.url, api_id=CANARY_ID, api_key=CANARY_KEY)
    await client.text_generator.list()
    sent = headers_of(server.exchanges[0])
    assert (sent["x-api-id"], sent["x-api-key"]) == (CANARY_ID, CANARY_KEY)
    assert (sent["accept-encoding"], sent["accept"]) == ("identity", "application/json")
    assert sent["user-agent"].startswith("creatify-client/")


async def test_a_prefix_in_the_base_url_stays(colour: Colour, serve: Serve) -> None:
    server = serve(empty_list)
    client = colour.client(base_url=f"{server.url}/gateway/")
    await client.text_generator.list()
    assert server.exchanges[0].head.startswith("GET /gateway/sse/text_generator/ HTTP/1.1")


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_a_redirect_is_not_followed(colour: Colour, serve: Serve, elsewhere: bool) -> None:
    other = serve(empty_list)
    server = serve(
        lambda exchange: exchange.answer(
            status="307 Temporary Redirect",
            headers=f"Location: {other.url if elsewhere else ''}/there\r\n",
        )
    )
    with pytest.raises(APIStatusError, match="307"):
        await colour.client(base_url=server.url).text_generator.create(**HELLO)
    assert (len(server.exchanges), len(other.exchanges)) == (1, 0)


async def test_no_connection_means_not_sent(colour: Colour) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    client = colour.client(base_url=f"http://127.0.0.1:{port}")
    with pytest.raises(APIConnectionError, match="not sent") as caught:
        await client.text_generator.create(**HELLO)
    assert caught.value.request_sent is False


@pytest.mark.parametrize("part", [b"", b"HTTP/1.1 201 Created\r\nContent-Length: 9\r\n\r\n{"])
async def test_a_lost_answer_may_have_been_sent(colour: Colour, serve: Serve, part: bytes) -> None:
    def script(exchange: Exchange) -> None:
        exchange.send(part)
        exchange.reset()

    server = serve(script)
    with pytest.raises(APIConnectionError, match="may have arrived") as caught:
        await colour.client(base_url=server.url).text_generator.create(**HELLO)
    assert caught.value.request_sent is True
    assert not isinstance(caught.value, APITimeoutError)
    assert len(server.exchanges) == 1


async def test_a_silent_api_is_a_timeout_error(colour: Colour, serve: Serve) -> None:
    server = serve(lambda exchange: exchange.peer_closed(within=5))
    client = colour.client(base_url=server.url)
    with pytest.raises(TimeoutError) as caught:
        await client.text_generator.create(**HELLO, timeout=0.1)
    assert isinstance(caught.value, APITimeoutError)
    assert caught.value.request_sent is True


async def test_the_clients_timeout_is_for_short_calls_and_not_for_sync(
    colour: Colour, emulator: Emulator
) -> None:
    client = colour.client(
        base_url=emulator.url, api_id=emulator.api_id, api_key=emulator.api_key, timeout=0.2
    )
    emulator.pending = 0.6
    task = await client.text_generator.create(**HELLO, sync=True)
    assert task.status == "done"


async def test_with_options_shares_the_connections_and_leaves_the_original(
    colour: Colour, serve: Serve
) -> None:
    def script(exchange: Exchange) -> None:
        if len(server.exchanges) == 1:
            exchange.answer(b"[]")
        else:
            exchange.peer_closed(within=5)

    server = serve(script)
    client = colour.client(base_url=server.url)
    hasty = client.with_options(timeout=0.1)
    assert await client.text_generator.list() == []
    with pytest.raises(APITimeoutError):
        await hasty.text_generator.list()
    with pytest.raises(APITimeoutError):
        await hasty.remaining_credits()
    assert client.with_options()._options.timeout is None
    assert hasty.with_options()._options.timeout == 0.1
    assert hasty._connection is client._connection


async def test_a_given_http_client_is_used_and_not_closed(colour: Colour, serve: Serve) -> None:
    server = serve(empty_list)
    seen: list[str] = []
    if colour.is_sync:
        given: Any = httpx.Client(event_hooks={"request": [lambda r: seen.append(r.method)]})
    else:

        async def hook(request: httpx.Request) -> None:
            seen.append(request.method)

        given = httpx.AsyncClient(event_hooks={"request": [hook]})
    client = colour.client(base_url=server.url, http_client=given)
    await client.text_generator.list()
    await colour.close()
    assert (seen, given.is_closed) == (["GET"], False)
    given.close() if colour.is_sync else await given.aclose()


async def test_a_client_is_a_context_that_closes_its_connections(serve: Serve) -> None:
    server = serve(empty_list)
    with Creatify(base_url=server.url, api_id="id", api_key="key") as client:
        client.text_generator.list()
    async with AsyncCreatify(base_url=server.url, api_id="id", api_key="key") as async_client:
        await async_client.text_generator.list()
    assert client._connection._http.is_closed
    assert async_client._connection._http.is_closed


async def test_no_credential_shows_in_an_error_its_chain_or_its_traceback_text(
    colour: Colour, serve: Serve
) -> None:
    def script(exchange: Exchange) -> None:
        exchange.reset() if len(server.exchanges) == 1 else exchange.answer(status="500 Oops")

    server = serve(script)
    client = colour.client(base_url=server.url, api_id=CANARY_ID, api_key=CANARY_KEY)
    shown = [repr(client), str(client)]
    for expected in (APIConnectionError, APIStatusError):
        with pytest.raises(expected) as caught:
            await client.text_generator.list()
        error: BaseException | None = caught.value
        shown += traceback.format_exception(caught.value)
        while error is not None:
            shown += [repr(error), repr(vars(error))]
            with contextlib.suppress(AttributeError, RuntimeError):
                shown.append(str(error.request.headers.raw))  # type: ignore[attr-defined]  # httpx's
            error = error.__cause__ or error.__context__
    assert "canary" not in "".join(shown)


async def test_generated_functions_have_credentials_through_client_api(
    emulator: Emulator, colour: Colour
) -> None:
    client = colour.client(base_url=emulator.url, api_id=emulator.api_id, api_key=emulator.api_key)
    task = await client.text_generator.create(**HELLO)
    api = client.api
    if colour.is_sync:
        detailed = await asyncio.to_thread(sse_text_generator_list.sync_detailed, client=api)
    else:
        detailed = await sse_text_generator_list.asyncio_detailed(client=api)
    assert detailed.status_code == 200
    assert isinstance(detailed.parsed, list)
    assert [one.id for one in detailed.parsed] == [task.id]


async def test_the_generated_clients_own_options_keep_the_credentials(emulator: Emulator) -> None:
    with Creatify(
        base_url=emulator.url, api_id=emulator.api_id, api_key=emulator.api_key
    ) as client:
        api = client.api.with_timeout(httpx.Timeout(5)).with_headers({"X-Trace": "1"})
        assert sse_text_generator_list.sync(client=api) == []
    assert emulator.requests[-1].headers["x-trace"] == "1"


async def test_credentials_go_to_the_configured_origin_only(serve: Serve) -> None:
    configured, other = serve(empty_list), serve(empty_list)
    with Creatify(base_url=configured.url, api_id=CANARY_ID, api_key=CANARY_KEY) as client:
        client.api.get_httpx_client().get(f"{other.url}/")
    assert "canary" not in other.exchanges[0].head


async def test_an_error_status_reaches_generated_functions_as_their_own_answer(
    serve: Serve,
) -> None:
    body = json.dumps({"error": "no"}).encode()
    server = serve(lambda exchange: exchange.answer(body, status="401 Unauthorized"))
    with Creatify(base_url=server.url, api_id="id", api_key="key") as client:
        detailed = sse_text_generator_list.sync_detailed(client=client.api)
    assert (detailed.status_code, detailed.content) == (401, body)


async def test_the_wrong_colour_of_generated_function_says_so() -> None:
    sync = Creatify(api_id="id", api_key="key", base_url="http://127.0.0.1:9")
    async_ = AsyncCreatify(api_id="id", api_key="key", base_url="http://127.0.0.1:9")
    with pytest.raises(ConfigurationError, match="sync and sync_detailed"):
        await sse_text_generator_list.asyncio(client=sync.api)
    with pytest.raises(ConfigurationError, match="asyncio and asyncio_detailed"):
        sse_text_generator_list.sync(client=async_.api)
    sync.close()
    await async_.aclose()
