"""aiohttp's connections: when they are taken, and what is theirs alone; the rest is in WIRED."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
import pytest
from colours import KEYS, colour_named, in_use
from rawserver import posted
from test_pool import CHUNK, HELLO, echo, task

from creatify import (
    APIConnectionError,
    APITimeoutError,
    AsyncCreatify,
    ConfigurationError,
    OutcomeUnknownError,
    StreamIdleError,
    StreamInterruptedError,
    user,
)
from creatify._aiohttp import AiohttpTransport, _Wire
from creatify_api.api.text_generator import sse_text_generator_list

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from rawserver import Exchange, RawServer, Script

    Serve = Callable[[Script], RawServer]

SETTING = "CREATIFY_ASYNC_TRANSPORT"
LARGE: dict[str, Any] = {"model_name": "m", "messages": [user("a" * 20_000_000)]}
END = CHUNK.replace(b"}]}\n", b', "finishReason": "STOP"}]}\n')


def sockets() -> int:
    """How many this process has open."""
    links = (file.readlink() for file in Path("/proc/self/fd").iterdir() if file.is_symlink())
    return sum(link.name.startswith("socket:") for link in links)


def url_of(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
async def client(anyio_backend: str) -> AsyncIterator[Callable[..., Any]]:
    """Makes clients, and closes them."""
    async with colour_named("aiohttp") as colour:
        yield colour.client


def transport_of(client: AsyncCreatify) -> type[object]:
    return type(client._connection._client()._transport)


class TestChoice:
    def test_it_is_taken_where_it_is_installed(self) -> None:
        assert transport_of(AsyncCreatify(**KEYS)) is AiohttpTransport

    @pytest.mark.parametrize("missing", ["aiohttp", "creatify._aiohttp"])
    def test_where_it_is_not_httpx_has_its_own(
        self, monkeypatch: pytest.MonkeyPatch, missing: str
    ) -> None:
        monkeypatch.delitem(sys.modules, "creatify._aiohttp")
        monkeypatch.setitem(sys.modules, missing, None)
        assert issubclass(transport_of(AsyncCreatify(**KEYS)), httpx.AsyncHTTPTransport)

    def test_nor_where_it_is_too_old(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delitem(sys.modules, "creatify._aiohttp")
        monkeypatch.setattr(aiohttp, "__version__", "3.13.5")
        assert issubclass(transport_of(AsyncCreatify(**KEYS)), httpx.AsyncHTTPTransport)

    @pytest.mark.parametrize(
        ("name", "kind"), [("aiohttp", AiohttpTransport), ("httpx", httpx.AsyncHTTPTransport)]
    )
    def test_a_setting_names_one(
        self, monkeypatch: pytest.MonkeyPatch, name: str, kind: type[object]
    ) -> None:
        monkeypatch.setenv(SETTING, name)
        assert issubclass(transport_of(AsyncCreatify(**KEYS)), kind)

    def test_a_setting_that_is_none_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(SETTING, "curl")
        with pytest.raises(ConfigurationError, match="is 'curl', and may be aiohttp or httpx"):
            AsyncCreatify(**KEYS)

    def test_who_asks_for_it_is_told_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(SETTING, "aiohttp")
        monkeypatch.delitem(sys.modules, "creatify._aiohttp")
        monkeypatch.setitem(sys.modules, "aiohttp", None)
        with pytest.raises(ConfigurationError, match=r"install creatify-client\[aiohttp\]"):
            AsyncCreatify(**KEYS)

    def test_a_given_http_client_comes_before_the_setting(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(SETTING, "curl")
        given = httpx.AsyncClient()
        assert AsyncCreatify(http_client=given, **KEYS)._connection._client() is given

    def test_a_socks_proxy_has_httpx_s_own_unless_aiohttp_was_asked_for(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
        monkeypatch.setattr("creatify._pool.find_spec", lambda _: True)
        monkeypatch.setattr("httpcore.AsyncConnectionPool", lambda **_: None)
        assert issubclass(transport_of(AsyncCreatify(**KEYS)), httpx.AsyncHTTPTransport)
        monkeypatch.setenv(SETTING, "aiohttp")
        with pytest.raises(ConfigurationError, match=f"SOCKS.* set {SETTING}=httpx"):
            AsyncCreatify(**KEYS)._connection._client()

    def test_it_closes_though_it_was_never_used(self) -> None:
        client = AsyncCreatify(**KEYS)
        assert transport_of(client) is AiohttpTransport
        asyncio.run(client.aclose())

    def test_it_is_loaded_by_nobody_who_does_not_use_it(self) -> None:
        code = "import sys, creatify; creatify.AsyncCreatify(); print('aiohttp' in sys.modules)"
        environment = {**os.environ, "CREATIFY_API_ID": "id", "CREATIFY_API_KEY": "key"}
        run = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout == "False\n"


@pytest.mark.anyio
class TestRequest:
    async def test_it_leaves_as_over_httpx_s_own(self, serve: Serve) -> None:
        server = serve(echo)
        for name in ("async", "aiohttp"):
            async with colour_named(name) as colour:
                await colour.client(base_url=server.url).text_generator.create(**HELLO)
        heads = [sorted(e.head.lower().split("\r\n")) for e in server.exchanges]
        assert heads[0] == heads[1]
        assert server.exchanges[0].body == server.exchanges[1].body

    async def test_a_get_is_not_sent_again_on_its_own(
        self, client: Callable[..., Any], serve: Serve
    ) -> None:
        """aiohttp does so when the connection was used before."""
        server = serve(lambda e: e.reset() if len(server.exchanges) > 1 else e.answer(b"[]"))
        made = client(base_url=server.url)
        await made.text_generator.list()
        with pytest.raises(APIConnectionError, match="Connection reset by peer"):
            await made.text_generator.list()
        assert len(server.exchanges) == 2

    async def test_an_idle_connection_that_ended_while_the_loop_was_busy_is_not_used(
        self, client: Callable[..., Any], serve: Serve
    ) -> None:
        def script(exchange: Exchange) -> None:
            echo(exchange)
            if len(server.exchanges) == 1:
                exchange.hang_up()

        server = serve(script)
        made = client(base_url=server.url)
        await made.text_generator.create(**HELLO)
        time.sleep(0.1)  # noqa: ASYNC251 - which the loop can't see meanwhile
        await made.text_generator.create(**HELLO)
        assert len(server.posts) == 2

    async def test_a_body_in_pieces_is_sent_as_a_whole(
        self, client: Callable[..., Any], serve: Serve
    ) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"[1, "
            yield b"2]"

        server = serve(lambda e: e.answer(b"{}"))
        http = client(base_url=server.url).api.get_async_httpx_client()
        assert (await http.post("/", content=pieces())).status_code == 200
        [exchange] = server.exchanges
        assert exchange.body == b"[1, 2]"
        assert "transfer-encoding" not in exchange.head.lower()
        assert "content-type" not in exchange.head.lower()

    @pytest.mark.parametrize("value", ["a-private-value\0", b"a-private-value\xe4"])
    async def test_a_header_that_is_no_http_means_not_sent(
        self, client: Callable[..., Any], serve: Serve, value: Any
    ) -> None:
        server = serve(echo)
        api = client(base_url=server.url).api.with_headers({"X-Own": value})
        with pytest.raises(APIConnectionError, match="the request was not sent") as caught:
            await sse_text_generator_list.asyncio(client=api)
        assert "a-private-value" not in str(caught.value)
        assert server.exchanges == []

    @pytest.mark.unmeasured
    async def test_a_connection_whose_server_reads_nothing_ends_with_the_call(
        self, client: Callable[..., Any]
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            made, before = client(base_url=url_of(listener)), sockets()
            with pytest.raises(OutcomeUnknownError):
                await made.text_generator.create(**LARGE, timeout=0.3)
            await asyncio.sleep(0.05)
            assert sockets() == before

    async def test_nor_does_it_outlive_a_stream_that_was_left(
        self, client: Callable[..., Any]
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            made, before = client(base_url=url_of(listener)), sockets()
            stream = made.text_generator.stream(**LARGE)
            entering = asyncio.create_task(stream.__aenter__())
            connection, _ = await asyncio.to_thread(listener.accept)
            with connection:
                head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
                await asyncio.sleep(0.3)  # until no more can be written
                connection.send(head)
                await entering
                await stream.close()
                await asyncio.sleep(0.05)
                assert sockets() == before + 1

    async def test_late_in_connecting_is_not_late_in_the_pool(
        self, client: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def never(*_: object, **__: object) -> None:
            await asyncio.sleep(60)

        monkeypatch.setattr("aiohttp.TCPConnector._create_connection", never)
        with pytest.raises(APITimeoutError, match="not sent") as caught:
            await client(base_url="http://127.0.0.1:9").text_generator.list(timeout=0.2)
        assert type(caught.value.__cause__) is httpx.ConnectTimeout

    async def test_no_error_leads_to_one_of_aiohttp(
        self, client: Callable[..., Any], serve: Serve
    ) -> None:
        """They hold the headers of the request."""

        def half(exchange: Exchange) -> None:
            exchange.begin_stream("application/json")
            exchange.hang_up()

        scripts: list[Script] = [
            half,
            lambda e: e.reset(),
            lambda e: e.hang_up(),
            lambda e: e.send(b"nonsense\r\n\r\n"),
            lambda e: e.peer_closed(within=5),
        ]
        urls = [serve(script).url for script in scripts]
        for url in [*urls, "http://127.0.0.1:9", urls[0].replace("http", "https")]:
            with pytest.raises(APIConnectionError) as caught:
                await client(base_url=url).text_generator.list(timeout=0.3)
            left: list[BaseException | None] = [caught.value]
            while left:
                error = left.pop()
                if error is not None:
                    assert not type(error).__module__.startswith("aiohttp")
                    left += [error.__cause__, error.__context__]


async def slowly(stream: Any, seconds: float) -> None:
    async for _ in stream:
        await asyncio.sleep(seconds)


@pytest.mark.anyio
class TestAnswer:
    async def test_what_came_before_the_end_of_a_connection_is_not_lost(
        self, client: Callable[..., Any], serve: Serve
    ) -> None:
        def script(exchange: Exchange) -> None:
            exchange.begin_stream()
            exchange.piece(CHUNK)
            time.sleep(0.1)
            exchange.piece(CHUNK)
            exchange.hang_up()

        made = client(base_url=serve(posted(script)).url)
        async with made.text_generator.stream(**HELLO) as stream:
            with pytest.raises(StreamInterruptedError) as caught:
                await slowly(stream, 0.3)
        assert caught.value.partial_text == "HiHi"

    @pytest.mark.parametrize("how", ["reset", "hang_up"])
    async def test_a_body_without_a_length_ends_with_the_connection_but_not_with_a_reset(
        self, client: Callable[..., Any], serve: Serve, how: str
    ) -> None:
        def script(exchange: Exchange) -> None:
            exchange.send(b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
            exchange.send(END)
            time.sleep(0.1)
            getattr(exchange, how)()

        made = client(base_url=serve(posted(script)).url)
        async with made.text_generator.stream(**HELLO) as stream:
            if how == "reset":
                with pytest.raises(StreamInterruptedError):
                    await stream.until_done()
            else:
                await stream.until_done()
        assert stream.text == "Hi"

    async def test_who_reads_slowly_is_not_told_of_silence(
        self, client: Callable[..., Any], serve: Serve
    ) -> None:
        def script(exchange: Exchange) -> None:
            exchange.begin_stream()
            for _ in range(3):
                exchange.piece(CHUNK)
                time.sleep(0.25)
            exchange.peer_closed(within=5)

        made = client(base_url=serve(posted(script)).url)
        async with made.text_generator.stream(**HELLO, idle_timeout=0.4) as stream:
            began = time.monotonic()
            with pytest.raises(StreamIdleError):
                await slowly(stream, 0.5)
            assert 1.9 <= time.monotonic() - began < 2.4
        assert stream.text == "HiHiHi"

    async def test_a_large_head_is_taken(self, client: Callable[..., Any], serve: Serve) -> None:
        headers = f"X-Large: {'a' * 60_000}\r\n"
        server = serve(lambda e: e.answer(task(), headers=headers))
        made = await client(base_url=server.url).text_generator.create(**HELLO)
        assert made.model_name == "m"


UNCLOSED = """
import asyncio, gc, sys
from creatify import AsyncCreatify
async def main():
    client = AsyncCreatify(base_url=sys.argv[1], api_id="canary-id-51f0", api_key="b" * 20)
    await client.text_generator.list()
    if sys.argv[2] == "within":
        del client
        gc.collect()
    else:
        globals()["kept"] = client
asyncio.run(main())
"""


@pytest.mark.unmeasured
@pytest.mark.parametrize("when", ["within", "after"])
def test_a_client_that_nobody_closed_goes_without_a_word(serve: Serve, when: str) -> None:
    server = serve(lambda e: e.answer(b"[]"))
    run = subprocess.run(
        [sys.executable, "-W", "default:Unclosed", "-c", UNCLOSED, server.url, when],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "client session" not in run.stderr
    assert "connector" not in run.stderr


def test_the_end_of_a_connection_may_be_asked_for_when_its_loop_is_closed() -> None:
    async def made() -> _Wire:
        return _Wire(asyncio.Transport({"sslcontext": 5}))

    wire = asyncio.run(made())
    wire.shutdown(socket.SHUT_RDWR)
    assert wire.get_extra_info("sslcontext") == 5


@pytest.mark.anyio
async def test_a_thread_may_let_go_of_a_stream(client: Callable[..., Any], serve: Serve) -> None:
    closed: list[bool] = []

    def script(exchange: Exchange) -> None:
        exchange.begin_stream()
        exchange.piece(CHUNK)
        closed.append(exchange.peer_closed(within=5))

    made = client(base_url=serve(posted(script)).url)
    held = [await made.text_generator.stream(**HELLO).__aenter__()]

    def let_go() -> None:
        held.clear()
        gc.collect()

    thread = threading.Thread(target=let_go)
    thread.start()
    thread.join()
    for _ in range(100):
        await asyncio.sleep(0.01)
        if closed:
            break
    assert closed == [True]
    await made._connection._close_dropped()
    assert in_use(made) == []
