"""The connections: bounded in time, left to nobody, shared with no other process."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import gzip
import json
import os
import signal
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpcore
import httpx
import pytest
from colours import KEYS, in_use
from rawserver import each, posted

from creatify import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AsyncCreatify,
    BadRequestError,
    ConfigurationError,
    Creatify,
    CreatifyError,
    OutcomeUnknownError,
    ResponseDecodeError,
    StreamIdleError,
    user,
)
from creatify._pool import Deadline, _tls

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from colours import Colour
    from rawserver import Exchange, RawServer, Script

    Serve = Callable[[Script], RawServer]

HELLO: dict[str, Any] = {"model_name": "m", "messages": [user("Hello")]}
CHUNK = b'data: {"candidates": [{"content": {"parts": [{"text": "Hi"}]}}]}\n\n'


def task(text: str = "Hello") -> bytes:
    return json.dumps(
        {
            "id": str(uuid4()),
            "model_name": "m",
            "messages": [{"role": "user", "content": text}],
            "config": {},
            "response_function_calls": [],
            "created_at": "2026-11-21T00:00:00Z",
            "updated_at": "2026-11-21T00:00:00Z",
        }
    ).encode()


def echo(exchange: Exchange) -> None:
    """A task with the text that was asked."""
    exchange.answer(task(json.loads(exchange.body)["messages"][0]["content"]))


def test_a_deadline_that_never_comes_leaves_each_timeout_as_it_is() -> None:
    assert Deadline().bound(None, httpcore.ReadTimeout) is None
    assert Deadline().bound(5.0, httpcore.ReadTimeout) == 5.0


def test_a_deadline_that_has_passed_ends_a_read_that_would_still_get_bytes() -> None:
    with pytest.raises(httpcore.ReadTimeout, match="the time of the call is over"):
        Deadline(time.monotonic()).bound(5.0, httpcore.ReadTimeout)


@contextlib.asynccontextmanager
async def took(at_least: float, below: float) -> AsyncIterator[None]:
    began = time.monotonic()
    try:
        yield
    finally:
        passed = time.monotonic() - began
    assert at_least <= passed < below


@pytest.mark.anyio
class TestTime:
    @pytest.mark.parametrize("first", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"])
    async def test_bytes_that_drip_end_with_the_call(
        self, colour: Colour, serve: Serve, first: bytes
    ) -> None:
        """In an endless row of 1xx answers, and in a body."""

        def script(exchange: Exchange) -> None:
            exchange.send(first)
            while True:
                exchange.send(b" " if first else b"HTTP/1.1 102 Processing\r\n\r\n")
                time.sleep(0.02)

        client = colour.client(base_url=serve(script).url)
        with pytest.raises(APITimeoutError):
            async with took(0.4, 1.0):
                await client.text_generator.list(timeout=0.4)
        assert in_use(client) == []

    @pytest.mark.unmeasured
    async def test_a_server_that_reads_nothing_ends_with_the_call(self, colour: Colour) -> None:
        import socket  # noqa: PLC0415 - the one test of a bare listener

        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = colour.client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}")
            large = {"model_name": "m", "messages": [user("a" * 10_000_000)]}
            with pytest.raises(OutcomeUnknownError) as caught:
                async with took(0.4, 4.0):
                    await client.text_generator.create(**large, timeout=0.4)
        assert isinstance(caught.value.__cause__, APITimeoutError)

    @pytest.mark.parametrize("size", [1024 * 1024 - 100, 3_000_000])
    async def test_a_large_request_arrives_whole(
        self, colour: Colour, serve: Serve, size: int
    ) -> None:
        server = serve(echo)
        text = "".join(f"{number:07}," for number in range(size // 8))
        made = await colour.client(base_url=server.url).text_generator.create(
            model_name="m", messages=[user(text)]
        )
        assert made.messages[0].content == text

    @pytest.mark.parametrize("piece", [b": ping\n\n", b""])
    async def test_silence_of_a_stream_is_noticed_when_it_is_over_and_not_later(
        self, colour: Colour, serve: Serve, piece: bytes
    ) -> None:
        """Comments just before the end don't put it off."""

        def script(exchange: Exchange) -> None:
            if exchange.head.startswith("GET"):
                exchange.answer(b"[]")
                return
            exchange.begin_stream()
            exchange.piece(CHUNK)
            for _ in range(4):
                exchange.piece(piece or CHUNK)
                time.sleep(0.1)
            exchange.peer_closed(within=5)

        client = colour.client(base_url=serve(script).url)
        async with client.text_generator.stream(**HELLO, idle_timeout=0.5) as stream:
            with pytest.raises(StreamIdleError):
                async with took(0.5 if piece else 0.8, 0.75 if piece else 1.05):
                    await stream.until_done()

    async def test_a_pool_of_ones_own_ends_a_drip_too(self, colour: Colour, serve: Serve) -> None:
        def script(exchange: Exchange) -> None:
            exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
            while True:
                exchange.send(b" ")
                time.sleep(0.02)

        given: Any = httpx.Client() if colour.is_sync else httpx.AsyncClient()
        client = colour.client(base_url=serve(script).url, http_client=given)
        with pytest.raises(APITimeoutError):
            async with took(0.4, 1.0):
                await client.text_generator.list(timeout=0.4)
        given.close() if colour.is_sync else await given.aclose()


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


@pytest.mark.anyio
class TestSize:
    @pytest.mark.unmeasured
    @pytest.mark.parametrize(
        ("name", "pack"),
        [("gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", raw_deflate)],
    )
    async def test_a_compressed_answer_is_refused_as_it_came(
        self, colour: Colour, serve: Serve, name: str, pack: Callable[[bytes], bytes]
    ) -> None:
        bomb = pack(b"[]" + b" " * 50_000_000)
        encoding = f"Content-Encoding: {name}\r\n"
        server = serve(lambda e: e.answer(bomb, headers=encoding))
        with pytest.raises(ResponseDecodeError, match=f"encoded as {name}") as caught:
            await colour.client(base_url=server.url).text_generator.list()
        assert (caught.value.payload, caught.value.path) == (bomb, "$")

    async def test_a_compressed_error_is_known_by_its_status(
        self, colour: Colour, serve: Serve
    ) -> None:
        body = gzip.compress(b'{"error": "no"}')
        server = serve(
            lambda e: e.answer(body, status="400 Bad", headers="Content-Encoding: gzip\r\n")
        )
        with pytest.raises(BadRequestError, match="400: Bad Request; nothing") as caught:
            await colour.client(base_url=server.url).text_generator.create(**HELLO)
        assert caught.value.body == body

    @pytest.mark.parametrize("encoding", ["identity", "none", "utf-8", "Identity, aws-chunked", ""])
    async def test_an_encoding_that_compresses_nothing_is_none(
        self, colour: Colour, serve: Serve, encoding: str
    ) -> None:
        headers = f"Content-Encoding: {encoding}\r\n"
        server = serve(lambda e: e.answer(b"[]", headers=headers))
        assert await colour.client(base_url=server.url).text_generator.list() == []

    @pytest.mark.parametrize("chunked", [False, True])
    async def test_an_answer_over_max_response_size_is_refused_before_it_came_whole(
        self, colour: Colour, serve: Serve, chunked: bool
    ) -> None:
        def script(exchange: Exchange) -> None:
            if chunked:
                exchange.begin_stream("application/json")
                while True:
                    exchange.piece(b" " * 1000)
            exchange.answer(b" " * 100_000_000)

        client = colour.client(base_url=serve(script).url, max_response_size=10_000)
        with pytest.raises(ResponseDecodeError, match="max_response_size, 10000 bytes") as caught:
            await client.text_generator.list()
        assert caught.value.payload == b" " * 10_000
        assert in_use(client) == []

    async def test_an_answer_of_max_response_size_is_taken(
        self, colour: Colour, serve: Serve
    ) -> None:
        server = serve(lambda e: e.answer(b"[" + b" " * 98 + b"]"))
        client = colour.client(base_url=server.url, max_response_size=100)
        assert await client.text_generator.list() == []

    async def test_an_error_over_max_response_size_is_known_by_its_status(
        self, colour: Colour, serve: Serve
    ) -> None:
        server = serve(lambda e: e.answer(b"a" * 1000, status="418 Teapot"))
        client = colour.client(base_url=server.url, max_response_size=100)
        with pytest.raises(APIStatusError) as caught:
            await client.text_generator.list()
        assert caught.value.body == "a" * 100

    @pytest.mark.parametrize("size", [0, -1, True, "1"])
    async def test_max_response_size_is_a_number_of_bytes(self, colour: Colour, size: Any) -> None:
        with pytest.raises(ConfigurationError, match="max_response_size is in bytes"):
            colour.client(base_url="https://api.example", max_response_size=size)


class Chunks(httpx.SyncByteStream, httpx.AsyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        yield CHUNK

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield CHUNK


@pytest.mark.anyio
async def test_who_gets_no_connection_in_time_is_not_sent(
    colour: Colour, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    def script(exchange: Exchange) -> None:
        exchange.begin_stream()
        exchange.peer_closed(within=5)

    monkeypatch.setattr("creatify._pool._MAX_CONNECTIONS", 1)
    client = colour.client(base_url=serve(script).url)
    async with client.text_generator.stream(**HELLO):
        with pytest.raises(APITimeoutError, match="all connections are in use") as caught:
            async with took(0.3, 0.6):
                await client.text_generator.list(timeout=0.3)
    assert type(caught.value.__cause__) is httpx.PoolTimeout


class PseudoSocket:
    def shutdown(self, _: int) -> None:
        raise TypeError("shutdown() is not supported")


@pytest.mark.anyio
class TestLeavingNothing:
    async def test_after_an_answer_its_connection_is_idle_and_after_close_there_is_none(
        self, colour: Colour, serve: Serve
    ) -> None:
        client = colour.client(base_url=serve(echo).url)
        await client.text_generator.create(**HELLO)
        assert in_use(client) == [False]
        opened = client._connection._client()
        await colour.close()
        assert in_use(opened) == []

    async def test_whatever_ends_a_call_leaves_no_connection_in_use(
        self, colour: Colour, serve: Serve
    ) -> None:
        scripts: list[Script] = [
            lambda e: e.reset(),
            lambda e: e.hang_up(),
            lambda e: e.answer(b"<html>"),
            lambda e: e.answer(status="500 Oops"),
            lambda e: e.send(b"no HTTP at all\r\n\r\n"),
            lambda e: e.peer_closed(within=5),
        ]
        client = colour.client(base_url=serve(each(*scripts)).url)
        for _ in scripts:
            with pytest.raises(Exception, match=r"answer|connection"):
                await client.text_generator.list(timeout=0.3)
            assert not any(in_use(client))

    @pytest.mark.unmeasured
    @pytest.mark.parametrize("read", [True, False])
    async def test_a_stream_that_nobody_holds_any_more_closes_its_connection(
        self, colour: Colour, serve: Serve, read: bool
    ) -> None:
        closed: list[bool] = []

        def script(exchange: Exchange) -> None:
            if exchange.head.startswith("GET"):
                exchange.answer(b"[]")
                return
            exchange.begin_stream()
            exchange.piece(CHUNK)
            closed.append(exchange.peer_closed(within=5))

        client = colour.client(base_url=serve(script).url)
        stream = client.text_generator.stream(**HELLO)
        await stream.__aenter__()
        if read:
            async for _ in stream.text_stream:
                break
        del stream
        for _ in range(100):
            await asyncio.sleep(0.01)  # a loop ends the asynchronous generators in its own time
            gc.collect()
            if closed:
                break
        assert closed == [True]
        await client.text_generator.list()
        assert not any(in_use(client))

    async def test_a_dropped_stream_of_a_transport_without_sockets_is_closed_at_the_next_call(
        self, colour: Colour
    ) -> None:
        def handler(request: httpx.Request) -> httpx.Response:
            if request.method == "GET":
                return httpx.Response(200, json=[])
            headers = {"content-type": "text/event-stream"}
            return httpx.Response(200, headers=headers, stream=Chunks())

        kind: Any = httpx.Client if colour.is_sync else httpx.AsyncClient
        client = colour.client(
            base_url="https://api.example",
            http_client=kind(transport=httpx.MockTransport(handler)),
        )
        await client.text_generator.stream(**HELLO).__aenter__()
        for _ in range(100):
            await asyncio.sleep(0.01)
            gc.collect()
            if client._connection._dropped[os.getpid()]:
                break
        [(dropped, _)] = client._connection._dropped[os.getpid()]
        assert await client.text_generator.list() == []
        assert dropped.is_closed
        assert not client._connection._dropped[os.getpid()]
        client._connection.drop(httpx.Response(200, stream=Chunks()), [], -1)
        assert not client._connection._dropped[-1]  # it is another process's

    async def test_a_stream_that_was_dropped_before_a_fork_is_not_closed_after_it(
        self, colour: Colour, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        parent, chunks = os.getpid(), Chunks()
        dropped = httpx.Response(200, stream=chunks)
        kind: Any = httpx.Client if colour.is_sync else httpx.AsyncClient
        given = kind(transport=httpx.MockTransport(lambda _: httpx.Response(200, json=[])))
        client = colour.client(base_url="https://api.example", http_client=given)
        client._connection.drop(dropped, [], parent)
        monkeypatch.setattr("os.getpid", lambda: parent + 1)
        assert await client.text_generator.list() == []
        assert not dropped.is_closed

    async def test_a_dropped_stream_whose_socket_knows_no_shutdown_is_closed_at_the_next_call(
        self, colour: Colour
    ) -> None:
        """As uvloop's, which httpx shows."""
        extensions = {"network_stream": SimpleNamespace(get_extra_info=lambda _: PseudoSocket())}
        connection = colour.client(base_url="https://api.example")._connection
        connection.drop(
            httpx.Response(200, stream=Chunks(), extensions=extensions), [], os.getpid()
        )
        assert len(connection._dropped[os.getpid()]) == 1

    async def test_close_closes_dropped_streams_of_a_given_client(
        self, colour: Colour, serve: Serve
    ) -> None:
        def script(exchange: Exchange) -> None:
            exchange.begin_stream()
            exchange.piece(CHUNK)
            exchange.peer_closed(within=5)

        server = serve(script)
        kind: Any = httpx.Client if colour.is_sync else httpx.AsyncClient
        given = kind(limits=httpx.Limits(max_connections=1))
        client = colour.client(base_url=server.url, http_client=given)
        await client.text_generator.stream(**HELLO).__aenter__()
        for _ in range(100):
            await asyncio.sleep(0.01)
            gc.collect()
            if client._connection._dropped[os.getpid()]:
                break
        await colour.close()
        assert list(given._transport._pool.connections) == []
        given.close() if colour.is_sync else await given.aclose()

    async def test_a_stream_that_was_left_is_closed_once(
        self, colour: Colour, serve: Serve
    ) -> None:
        client = colour.client(base_url=serve(lambda e: e.stream([CHUNK])).url)
        async with client.text_generator.stream(**HELLO):
            pass
        gc.collect()
        assert not any(in_use(client))

    @pytest.mark.parametrize("colour", ["async", "aiohttp"], indirect=True)
    async def test_closing_a_client_ends_its_streams(self, colour: Colour, serve: Serve) -> None:
        def script(exchange: Exchange) -> None:
            exchange.begin_stream()
            exchange.piece(CHUNK)
            exchange.peer_closed(within=5)

        client = colour.client(base_url=serve(posted(script)).url)
        async with client.text_generator.stream(**HELLO) as stream:
            reading = asyncio.create_task(stream.until_done())
            await asyncio.sleep(0.1)
            async with took(0.0, 2.0):
                await colour.close()
                with pytest.raises((CreatifyError, RuntimeError)):
                    await reading
        assert stream.text == "Hi"

    @pytest.mark.parametrize("colour", ["async", "aiohttp"], indirect=True)
    async def test_cancelled_calls_leave_no_connection(self, colour: Colour, serve: Serve) -> None:
        server = serve(lambda e: e.peer_closed(within=5))
        client = colour.client(base_url=server.url)
        calls = [asyncio.create_task(client.text_generator.list()) for _ in range(20)]
        await asyncio.sleep(0.2)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        assert in_use(client) == []


@pytest.mark.usefixtures("interruptible")
def test_a_keyboard_interrupt_closes_the_connection(serve: Serve) -> None:
    closed: list[bool] = []
    main = threading.main_thread().ident
    assert main is not None

    def script(exchange: Exchange) -> None:
        signal.pthread_kill(main, signal.SIGINT)
        closed.append(exchange.peer_closed(within=5))

    server = serve(script)
    with Creatify(base_url=server.url, **KEYS) as client:
        with pytest.raises(KeyboardInterrupt) as caught:
            client.text_generator.create(**HELLO)
        for _ in range(100):
            time.sleep(0.01)
            if closed:
                break
        assert (closed, in_use(client)) == ([True], [])
    [note] = caught.value.__notes__
    assert note.endswith("the list tells whether it arrived")


@pytest.mark.unmeasured
def test_threads_share_a_client_and_nothing_is_mixed(serve: Serve) -> None:
    server = serve(echo)
    mixed: list[str] = []

    def use(client: Creatify, number: int) -> None:
        for count in range(20):
            text = f"{number}-{count}"
            made = client.text_generator.create(model_name="m", messages=[user(text)])
            if made.messages[0].content != text:
                mixed.append(text)

    with Creatify(base_url=server.url, **KEYS) as client:
        threads = [threading.Thread(target=use, args=(client, n)) for n in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not any(in_use(client))
    assert (len(server.exchanges), mixed) == (640, [])


FORKING = Path(__file__).with_name("forking.py")


@pytest.mark.unmeasured
@pytest.mark.parametrize("kind", ["sync", "async", "aiohttp"])
def test_after_a_fork_no_answer_crosses_to_another_process(serve: Serve, kind: str) -> None:
    server = serve(echo)
    run = subprocess.run(
        [sys.executable, FORKING, kind, server.url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (run.stdout, run.stderr, run.returncode) == ("", "", 0)
    assert len(server.exchanges) == 1 + 5 * 40


@pytest.mark.unmeasured
@pytest.mark.parametrize(
    "kind", ["stream-async", "stream-aiohttp", "leave-sync", "leave-async", "leave-aiohttp"]
)
def test_a_fork_that_lets_go_of_a_stream_or_leaves_it_does_not_end_it(
    serve: Serve, kind: str
) -> None:
    def script(exchange: Exchange) -> None:
        exchange.begin_stream()
        exchange.piece(CHUNK)
        time.sleep(1)
        exchange.piece(CHUNK.replace(b"}]}\n", b', "finishReason": "STOP"}]}\n'))
        exchange.end_stream()

    run = subprocess.run(
        [sys.executable, FORKING, kind, serve(script).url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (run.stdout, run.stderr, run.returncode) == ("", "", 0)


@pytest.mark.unmeasured
@pytest.mark.parametrize("kind", ["given", "lock"])
def test_what_can_not_be_shared_with_a_fork_says_so_or_is_made_anew(
    serve: Serve, kind: str
) -> None:
    """A given http_client is refused; a lock that a thread held does not stay held."""
    run = subprocess.run(
        [sys.executable, FORKING, kind, serve(echo).url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (run.stdout, run.stderr, run.returncode) == ("", "", 0)


@pytest.mark.anyio
async def test_what_a_hook_or_a_transport_of_the_caller_raises_is_a_lost_answer(
    colour: Colour, serve: Serve
) -> None:
    server = serve(posted(lambda e: e.answer(status="500 Oops")))

    def refuse(response: httpx.Response) -> None:
        if response.request.method == "POST":
            response.raise_for_status()

    async def refuse_too(response: httpx.Response) -> None:
        refuse(response)

    def explode(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json=[])
        raise OSError("the tunnel fell in")

    kind: Any = httpx.Client if colour.is_sync else httpx.AsyncClient
    hooked = kind(event_hooks={"response": [refuse if colour.is_sync else refuse_too]})
    mocked = kind(transport=httpx.MockTransport(explode))
    causes = []
    for given in (hooked, mocked):
        client = colour.client(base_url=server.url, http_client=given)
        with pytest.raises(OutcomeUnknownError) as caught:
            await client.text_generator.create(**HELLO)
        assert isinstance(caught.value.__cause__, APIConnectionError)
        causes.append(type(caught.value.__cause__.__cause__))
        given.close() if colour.is_sync else await given.aclose()
    # An httpx.HTTPStatusError holds the request, and with it the credentials.
    assert causes == [type(None), OSError]


@pytest.mark.anyio
async def test_a_header_of_the_callers_own_that_is_no_http_means_not_sent(
    colour: Colour, serve: Serve
) -> None:
    server = serve(echo)
    kind: Any = httpx.Client if colour.is_sync else httpx.AsyncClient
    given = kind(headers={"X-Own": "a-private-value\x00"})
    client = colour.client(base_url=server.url, http_client=given)
    with pytest.raises(APIConnectionError, match="the request was not sent") as caught:
        await client.text_generator.create(**HELLO)
    assert caught.value.request_sent is False
    assert "a-private-value" not in str(caught.value)
    assert server.exchanges == []
    given.close() if colour.is_sync else await given.aclose()


@pytest.mark.anyio
async def test_an_answer_that_a_hook_or_a_mock_has_read_is_taken(colour: Colour) -> None:
    """As respx, pytest-httpx and event hooks leave it."""

    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/stream/"):
            chunk = b'data: {"creatify": {"id": "1", "credits_used": 2}}\n\n'
            return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=chunk)
        return httpx.Response(200, content=task())

    kind: Any = httpx.Client if colour.is_sync else httpx.AsyncClient
    mocked = kind(transport=httpx.MockTransport(handler))
    client = colour.client(base_url="https://api.example", http_client=mocked)
    assert (await client.text_generator.create(**HELLO)).model_name == "m"
    async with client.text_generator.stream(**HELLO) as stream:
        await stream.until_done()
    assert stream.receipt.credits_used == 2


@pytest.mark.anyio
async def test_a_stream_belongs_to_the_process_that_entered_it(
    colour: Colour, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `forking.py` shows of real processes, by the process id alone."""

    def script(exchange: Exchange) -> None:
        exchange.begin_stream()
        exchange.piece(CHUNK.replace(b"}]}\n", b', "finishReason": "STOP"}]}\n'))
        exchange.end_stream()

    client = colour.client(base_url=serve(script).url)
    async with client.text_generator.stream(**HELLO) as stream:
        with monkeypatch.context() as patch:
            patch.setattr("os.getpid", lambda: 0)
            with pytest.raises(ConfigurationError, match="before this process was forked"):
                await stream.until_done()
            await stream.__aexit__(None, None, None)
        await stream.until_done()
    assert stream.text == "Hi"


@pytest.mark.anyio
async def test_another_process_has_other_connections_and_refuses_a_given_http_client(
    colour: Colour, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `forking.py` shows of real processes, by the process id alone."""
    server, kind = serve(echo), httpx.Client if colour.is_sync else httpx.AsyncClient
    given: Any = kind()
    own = colour.client(base_url=server.url)
    others = colour.client(base_url=server.url, http_client=given)
    for client in (own, others):
        await client.text_generator.create(**HELLO)
    before = own._connection._client()
    monkeypatch.setattr("os.getpid", lambda: 0)
    await own.text_generator.create(**HELLO)
    after = own._connection._client()
    assert after is not before
    with pytest.raises(ConfigurationError, match="http_client was used before this process was"):
        await others.text_generator.create(**HELLO)
    monkeypatch.undo()
    for opened in (given, before, after):
        opened.close() if colour.is_sync else await opened.aclose()


@pytest.mark.anyio
class TestEnvironment:
    async def test_a_proxy_of_https_sees_no_credential(
        self, colour: Colour, serve: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[bytes] = []

        def script(exchange: Exchange) -> None:
            seen.append(exchange.head.encode() + exchange.body)
            exchange.send(b"HTTP/1.1 200 OK\r\n\r\n")
            seen.append(exchange._connection.recv(65536))
            exchange.hang_up()

        monkeypatch.setenv("HTTPS_PROXY", serve(script).url.replace("//", "//name:password@"))
        client = colour.client(base_url="https://api.example", **KEYS)
        with pytest.raises(Exception, match="could not be reached") as caught:
            await client.text_generator.create(**HELLO)
        told = seen[0].decode().lower()
        assert told.startswith("connect api.example:443 http/1.1\r\n")
        assert "proxy-authorization: basic " in told
        assert seen[1].startswith(b"\x16\x03")  # a TLS handshake
        assert b"canary" not in b"".join(seen)
        assert "password" not in f"{caught.value!r} {caught.value.__cause__!r}"

    async def test_a_proxy_that_refuses_means_not_sent(
        self, colour: Colour, serve: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        proxy = serve(lambda e: e.answer(status="407 Say Who You Are"))
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        client = colour.client(base_url="https://api.example")
        with pytest.raises(APIConnectionError, match="reached: 407 Say Who You Are") as caught:
            await client.text_generator.create(**HELLO)
        assert caught.value.request_sent is False
        assert not any(in_use(client))

    @pytest.mark.parametrize("address", ["ftp://proxy", "nonsense://name:hidden@x"])
    async def test_a_proxy_that_is_none_is_named_without_its_value(
        self, colour: Colour, monkeypatch: pytest.MonkeyPatch, address: str
    ) -> None:
        monkeypatch.setenv("ALL_PROXY", address)
        client = colour.client(base_url="https://api.example")
        with pytest.raises(ConfigurationError, match="HTTPS_PROXY and ALL_PROXY") as caught:
            await client.text_generator.list()
        assert address not in str(caught.value)

    async def test_a_socks_proxy_needs_its_package(
        self, colour: Colour, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
        monkeypatch.setitem(sys.modules, "socksio", None)
        client = colour.client(base_url="https://api.example")
        with pytest.raises(ConfigurationError, match=r"httpx\[socks\]"):
            await client.text_generator.list()

    @pytest.mark.parametrize("value", ["api.example", ".example", "*"])
    async def test_no_proxy_is_obeyed(
        self, colour: Colour, serve: Serve, monkeypatch: pytest.MonkeyPatch, value: str
    ) -> None:
        proxy = serve(lambda e: e.answer(b"[]"))
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", value)
        client = colour.client(base_url="http://api.example:9", allow_http=True)
        with pytest.raises(Exception, match="could not be reached"):
            await client.text_generator.list(timeout=0.5)
        assert proxy.exchanges == []

    async def test_certificates_that_can_not_be_read_are_named(
        self, colour: Colour, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/certificates.pem")
        client = colour.client(base_url="https://api.example")
        with pytest.raises(ConfigurationError, match="SSL_CERT_FILE"):
            await client.text_generator.list()

    async def test_clients_share_the_settings_of_tls_and_make_them_at_the_first_call(
        self, colour: Colour, serve: Serve
    ) -> None:
        _tls.cache_clear()
        address = serve(lambda e: e.hang_up()).url.replace("http:", "https:")
        clients = [colour.client(base_url=address) for _ in range(3)]
        plain = colour.client(base_url=serve(echo).url)
        await plain.text_generator.create(**HELLO)
        assert _tls.cache_info().misses == 0
        for client in clients:
            with pytest.raises(Exception, match="could not be reached"):
                await client.text_generator.list(timeout=0.2)
        assert (_tls.cache_info().misses, _tls.cache_info().hits) == (1, 2)

    async def test_a_cookie_reaches_no_other_call(self, colour: Colour, serve: Serve) -> None:
        server = serve(lambda e: e.answer(b"[]", headers="Set-Cookie: a=b; Path=/\r\n"))
        url = server.url.replace("127.0.0.1", "localhost")  # a jar takes none from an address
        client = colour.client(base_url=url)
        for _ in range(2):
            await client.text_generator.list()
        assert "cookie" not in server.exchanges[1].head.lower()


def test_closing_in_a_second_event_loop_says_so(serve: Serve) -> None:
    client = AsyncCreatify(base_url=serve(echo).url, **KEYS)
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    first.run_until_complete(client.text_generator.create(**HELLO))
    with pytest.raises(ConfigurationError, match="another event loop"):
        second.run_until_complete(client.aclose())
    first.run_until_complete(client.aclose())
    with pytest.raises(ConfigurationError, match="closed"):
        first.run_until_complete(client.text_generator.create(**HELLO))
    first.close()
    second.close()


def test_a_client_that_was_never_used_closes_anywhere() -> None:
    client = AsyncCreatify(**KEYS)
    asyncio.run(client.aclose())
    asyncio.run(client.aclose())
    unused = Creatify(**KEYS)
    unused.close()
    with pytest.raises(ConfigurationError, match="closed"):
        unused.text_generator.list()
