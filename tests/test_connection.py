"""Where requests leave: who sees the credentials, what the transport's failures become."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import socket
import sys
import traceback
import weakref
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from rawserver import posted
from test_contract import OPERATIONS

from creatify import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AsyncCreatify,
    ConfigurationError,
    Creatify,
    InsufficientCreditsError,
    OutcomeUnknownError,
    user,
)
from creatify_api.api.text_generator import sse_text_generator_list

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
    with pytest.raises(APIConnectionError, match="not sent and nothing was charged") as caught:
        await client.text_generator.create(**HELLO)
    assert caught.value.request_sent is False


@pytest.mark.parametrize("part", [b"", b"HTTP/1.1 201 Created\r\nContent-Length: 9\r\n\r\n{"])
async def test_a_lost_answer_may_have_been_sent(colour: Colour, serve: Serve, part: bytes) -> None:
    def script(exchange: Exchange) -> None:
        exchange.send(part)
        exchange.reset()

    server = serve(script)
    with pytest.raises(OutcomeUnknownError, match="may have been charged") as caught:
        await colour.client(base_url=server.url).text_generator.create(**HELLO)
    lost = caught.value.__cause__
    assert type(lost) is APIConnectionError
    assert lost.request_sent is True
    assert str(lost).endswith("; the request was sent; it may have been charged")
    assert len(server.posts) == 1


async def test_a_lost_answer_to_what_costs_nothing_says_so(colour: Colour, serve: Serve) -> None:
    server = serve(lambda exchange: exchange.reset())
    with pytest.raises(APIConnectionError, match="nothing is charged for it: try again") as caught:
        await colour.client(base_url=server.url).text_generator.list()
    assert caught.value.request_sent is True
    assert len(server.exchanges) == 1


async def test_a_silent_api_is_a_timeout_error(colour: Colour, serve: Serve) -> None:
    server = serve(posted(lambda exchange: exchange.peer_closed(within=5)))
    client = colour.client(base_url=server.url)
    with pytest.raises(OutcomeUnknownError) as caught:
        await client.text_generator.create(**HELLO, timeout=0.1)
    assert isinstance(caught.value.__cause__, TimeoutError)
    assert type(caught.value.__cause__) is APITimeoutError
    assert caught.value.__cause__.request_sent is True
    assert len(server.posts) == 1


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
    clients = client._connection._clients, async_client._connection._clients
    assert [[http.is_closed for http in made.values()] for made in clients] == [[True], [True]]


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
        told = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        # This test's own frame holds what it looks for.
        shown += [line for line in told.format() if __file__ not in line]
        while error is not None:
            shown += [repr(error), repr(vars(error))]
            with contextlib.suppress(AttributeError, RuntimeError):
                shown.append(str(error.request.headers.raw))  # type: ignore[attr-defined]  # httpx's
            error = error.__cause__ or error.__context__
    assert "canary" not in "".join(shown)


@pytest.mark.parametrize("half", [b"[", b'[{"id": 1}', b"12", b'"a"'])
async def test_an_answer_is_whole_when_only_the_mark_of_its_end_is_missing(
    colour: Colour, serve: Serve, half: bytes
) -> None:
    def script(exchange: Exchange) -> None:
        exchange.begin_stream("application/json")
        exchange.piece(b" []" if len(server.exchanges) == 1 else half)
        exchange.hang_up()

    server = serve(script)
    client = colour.client(base_url=server.url)
    assert await client.text_generator.list() == []
    with pytest.raises(APIConnectionError):
        await client.text_generator.list()


@pytest.mark.parametrize("body", [b"", b'{"error": "no cre'])
async def test_an_error_whose_body_is_cut_short_is_still_that_error(
    colour: Colour, serve: Serve, body: bytes
) -> None:
    def script(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 402 Payment Required\r\nContent-Length: 99\r\n\r\n" + body)
        exchange.reset()

    client = colour.client(base_url=serve(script).url)
    with pytest.raises(InsufficientCreditsError, match="402"):
        await client.text_generator.create(**HELLO)


@pytest.fixture
def no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
async def test_an_error_is_freed_with_its_frames_when_it_is_dropped(serve: Serve) -> None:
    server = serve(lambda exchange: exchange.reset())
    dropped: list[weakref.ref[Any]] = []
    with Creatify(base_url=server.url, api_id="id", api_key="key", max_retries=0) as client:
        try:
            client.text_generator.create(**HELLO)
        except OutcomeUnknownError as error:
            dropped += [weakref.ref(error), weakref.ref(error.__cause__)]
    async with AsyncCreatify(
        base_url=server.url, api_id="id", api_key="key", max_retries=0
    ) as async_client:
        try:
            await async_client.text_generator.create(**HELLO)
        except OutcomeUnknownError as error:
            dropped += [weakref.ref(error), weakref.ref(error.__cause__)]
    assert [reference() for reference in dropped] == [None] * 4


async def test_a_closed_client_says_so(colour: Colour, serve: Serve) -> None:
    client = colour.client(base_url=serve(empty_list).url)
    await colour.close()
    with pytest.raises(ConfigurationError, match="this client is closed"):
        await client.text_generator.list()


async def test_an_http_client_of_another_kind_is_refused(colour: Colour) -> None:
    other: Any = httpx.AsyncClient() if colour.is_sync else httpx.Client()
    for wrong in (other, 5):
        with pytest.raises(ConfigurationError, match="http_client is an httpx"):
            colour.client(http_client=wrong)


def test_a_second_event_loop_is_refused_before_anything_is_sent(emulator: Emulator) -> None:
    client = AsyncCreatify(base_url=emulator.url, api_id=emulator.api_id, api_key=emulator.api_key)

    async def both() -> None:
        await client.text_generator.create(**HELLO)
        await client._connection._client().aclose()

    first = asyncio.new_event_loop()
    first.run_until_complete(both())
    second = AsyncCreatify(base_url=emulator.url, api_id=emulator.api_id, api_key=emulator.api_key)
    second._connection._loops = {os.getpid(): first}
    first.close()
    with pytest.raises(ConfigurationError, match="make one for each loop"):
        asyncio.run(second.text_generator.create(**HELLO))
    assert emulator.charges == 1


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
async def test_the_way_to_this_machine_goes_through_no_proxy(
    colour: Colour, serve: Serve, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    server, proxy = serve(empty_list), serve(empty_list)
    monkeypatch.setenv(name, proxy.url)
    assert await colour.client(base_url=server.url).text_generator.list() == []
    assert (len(server.exchanges), len(proxy.exchanges)) == (1, 0)


async def test_a_request_to_another_host_goes_through_the_proxy_of_the_environment(
    colour: Colour, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = serve(empty_list)
    monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("//", "//name:password@"))
    client = colour.client(base_url="http://api.example", allow_http=True)
    for number in range(2):
        assert await client.text_generator.list() == []
        head = proxy.exchanges[number].head
        assert head.startswith("GET http://api.example/sse/text_generator/ ")
        assert head.lower().count("\r\nproxy-authorization: basic bmftztpwyxnzd29yza==") == 1


async def test_every_operation_of_the_spec_works_against_the_emulator(
    colour: Colour, emulator: Emulator
) -> None:
    client = colour.client(base_url=emulator.url, api_id=emulator.api_id, api_key=emulator.api_key)
    created = await client.text_generator.create(**HELLO)
    async with client.text_generator.stream(**HELLO) as stream:
        await stream.until_done()
    assert (await client.text_generator.retrieve(created.id)).id == created.id
    listed = {str(task.id) for task in await client.text_generator.list()}
    assert listed == {str(created.id), stream.receipt.id}
    assert (await client.remaining_credits()).remaining_credits == emulator.credits
    assert {request.operation for request in emulator.requests} == OPERATIONS


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
        api = client.api.with_timeout(httpx.Timeout(None)).with_headers({"X-Trace": "1"})
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


@pytest.mark.parametrize("what", ["create", "retrieve"])
def test_a_call_takes_hardly_more_steps_than_one_over_httpx_by_hand(
    emulator: Emulator, what: str
) -> None:
    headers = {"X-API-ID": emulator.api_id, "X-API-KEY": emulator.api_key}
    path = "/sse/text_generator/"
    body = {"model_name": "gemini-2.5-flash", "messages": [{"role": "user", "content": "Hello"}]}
    with (
        Creatify(base_url=emulator.url, api_id=emulator.api_id, api_key=emulator.api_key) as client,
        httpx.Client(base_url=emulator.url, headers=headers) as http,
    ):
        tasks = client.text_generator
        task_id = tasks.create(**HELLO).id
        if what == "create":
            ours = steps(lambda: tasks.create(**HELLO))
            by_hand = steps(lambda: http.post(path, json=body).json())
        else:
            ours = steps(lambda: tasks.retrieve(task_id))
            by_hand = steps(lambda: http.get(f"{path}{task_id}/").json())
    assert ours < 1.05 * by_hand


def steps(call: Callable[[], object]) -> int:
    """The functions that a call enters, once it is warm."""
    entered = 0

    def count(_frame: object, event: str, _called: object) -> None:
        nonlocal entered
        entered += event in {"call", "c_call"}

    for _ in range(2):
        call()
    profiler = sys.getprofile()
    sys.setprofile(count)
    try:
        call()
    finally:
        sys.setprofile(profiler)
    return entered
