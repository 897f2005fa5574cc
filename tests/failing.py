"""The ways to a failure: what is done to a request, an answer or a connection."""

from __future__ import annotations

import contextlib
import functools
import gzip
import socket
import ssl
import time
import zlib
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import httpx
import pytest
from rawserver import Exchange, RawServer

from creatify.testing import faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from failures import Case, Row
    from rawserver import Script

    from creatify.testing import Emulator

How: TypeAlias = "faults.Fault | Callable[[Any], object]"
"""A fault of the emulator, or what is done to the test's `World`."""
Wire: TypeAlias = "Callable[[Exchange, bytes], object]"
"""What a server does with a request, given the body of the API's own answer if the API acted."""

CREATE, STREAM, RETRIEVE, GENERATE = "create", "stream", "retrieve", "generate"
HOST = "127.0.0.1"
OPERATIONS = {
    CREATE: "sse_text_generator_create",
    GENERATE: "sse_text_generator_create",
    STREAM: "sse_text_generator_stream_create",
    RETRIEVE: "sse_text_generator_retrieve",
}
LIST = "sse_text_generator_list"
Pair = tuple[Path, Path]
"""A certificate and its key."""


def staged(name: str, *args: object) -> How:
    return lambda world: getattr(world, name)(*args)


def wire(how: Wire) -> How:
    return staged("serve", how)


def cut(how: str, *, chunked: bool = False, whole: bool = False) -> How:
    """The body, or its beginning, and then not the end that was announced."""

    def answer(exchange: Exchange, own: bytes) -> None:
        body = own or b'{"id": "3c90c3cc"}'
        came = body if whole else body[:10]
        if chunked:
            exchange.begin_stream("application/json")
            exchange.piece(came)
        else:
            exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(body) + 1))
            exchange.send(came)
        time.sleep(0.05)  # a reset may take with it what was not read yet
        exchange.reset() if how == "reset" else exchange.hang_up()

    return wire(answer)


def without_end(head: bytes, piece: bytes, pause: float = 0.02) -> How:
    def answer(exchange: Exchange, _: bytes) -> None:
        exchange.send(head)
        while True:
            exchange.send(piece)
            time.sleep(pause)

    return wire(answer)


def no_http(exchange: Exchange, _: bytes) -> None:
    exchange.send(b"220 mail.example ESMTP\r\n\r\n")
    exchange.hang_up()


@functools.cache
def bomb(name: str) -> bytes:
    large = b"{}" + b" " * 20_000_000
    return gzip.compress(large) if name == "gzip" else zlib.compress(large)


def packed(name: str) -> How:
    headers = f"Content-Encoding: {name}\r\n"
    return wire(lambda exchange, _: exchange.answer(bomb(name), headers=headers))


def under(line: str) -> How:
    return wire(lambda exchange, own: exchange.answer(own, status=line))


def bad_utf8(exchange: Exchange, own: bytes) -> None:
    exchange.stream([own.replace(b"Hello", b"H\xffllo")])


def not_json(exchange: Exchange, own: bytes) -> None:
    exchange.stream([own.partition(b"\r\n\r\n")[0] + b"\r\n\r\n", b"data: no JSON\n\n"])


def kept(fault: faults.Fault) -> How:
    """On a connection that was used before."""
    return staged("keep", fault)


HUGE = without_end(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n", b" " * 1000, 0)
DRIP = without_end(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b" ")
INTERIM = without_end(b"", b"HTTP/1.1 102 Processing\r\n\r\n")


class Front(RawServer):
    """What stands before the API; the world says which connections it serves."""

    def __init__(self, script: Script, world: World) -> None:
        super().__init__(script)
        self._world = world

    def listen_at(self, listener: socket.socket) -> None:
        self._listener.close()
        self._listener = listener
        self.url = f"http://{HOST}:{listener.getsockname()[1]}"

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            served = self._world.greet(connection)
            if served is not None:
                self._open.append(served)
                super()._serve(served)


class World:
    """The API, what stands before it, and how a client gets there. It fails until it is mended."""

    def __init__(
        self,
        meant: tuple[Row, str, Case],
        emulator: Emulator,
        monkeypatch: pytest.MonkeyPatch,
        certificates: tuple[Pair, Pair],
    ) -> None:
        self.row, self.call, self.case = meant
        self.emulator = emulator
        self.client: dict[str, Any] = {"base_url": emulator.url}
        self.message = "Hello"
        self.is_warm = self.is_crowded = False  # whether the client was used, or is in use
        self.unseen = 0  # requests that don't reach the server
        self.front: Front | None = None
        self.elsewhere: RawServer | None = None
        self._monkeypatch, self._certificates = monkeypatch, certificates
        self._operation = OPERATIONS[self.call]
        self._method = "GET" if self.call == RETRIEVE else "POST"
        self._left = self.row.failing
        self._tls: list[ssl.SSLContext | None] = []
        self._spoil: Callable[[socket.socket], object] | None = None
        self._closing, self._mending = contextlib.ExitStack(), contextlib.ExitStack()
        if isinstance(self.case.how, faults.Fault):
            self._script(self.case.how)
        else:
            self.case.how(self)

    def mend(self) -> None:
        """From now on all is well."""
        self._left = 0
        self._mending.close()

    def close(self) -> None:
        self.mend()
        self._closing.close()

    def arrived(self) -> int:
        """How many requests of the call were read by a server."""
        if self.front is not None:
            return sum(map(self._is_meant, self.front.exchanges))
        return [record.operation for record in self.emulator.requests].count(self._operation)

    def greet(self, connection: socket.socket) -> socket.socket | None:
        """The connection to serve; None if it was ended."""
        if self._tls and self._tls[0] is not None:
            return self._tls[0].wrap_socket(connection, server_side=True)
        exchange = Exchange(connection, "", b"")
        if self._tls:
            connection.recv(65536)
            exchange.answer(status="400 Bad Request")
            exchange.hang_up()
        elif self._spoil is None or not self._strikes():
            return connection
        else:
            self._spoil(connection)
            exchange.reset()
        return None

    # What the rows ask for

    def keep(self, fault: faults.Fault) -> None:
        self.is_warm = True
        self._script(fault)

    def serve(self, wire: Wire, *, start: bool = True) -> Front:
        """Put a server before the API that passes on all but what fails."""

        def script(exchange: Exchange) -> None:
            if self._is_meant(exchange) and self._strikes():
                wire(exchange, self._api(exchange).content if self.case.acted else b"")
                return
            answer = self._api(exchange)
            exchange.answer(
                answer.content,
                status=f"{answer.status_code} Passed on",
                content_type=answer.headers["content-type"],
                headers=f"Date: {answer.headers['date']}\r\n",
            )

        self.front = Front(script, self)
        self.client["base_url"] = self.front.url
        if start:
            self._closing.enter_context(self.front)
        return self.front

    def redirect(self, code: int, where: str) -> None:
        self.elsewhere = RawServer(lambda exchange: exchange.answer())
        self._closing.enter_context(self.elsewhere)
        origin = "" if where == "here" else self.elsewhere.url
        location = f"Location: {origin}/elsewhere/\r\n"
        self.serve(lambda exchange, _: exchange.answer(status=f"{code} Moved", headers=location))

    def ask_to_wait(self, code: int, seconds: int) -> None:
        now = datetime(2001, 2, 3, tzinfo=UTC)  # what counts is the server's clock
        moments = (now, now + timedelta(seconds=seconds))
        date, later = (format_datetime(moment, usegmt=True) for moment in moments)
        headers = f"Date: {date}\r\nRetry-After: {later}\r\n"
        self.serve(lambda exchange, _: exchange.answer(status=f"{code} Later", headers=headers))

    def unresolved(self) -> None:
        resolve = socket.getaddrinfo

        def look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
            if host not in {"api.invalid", b"api.invalid"}:
                return resolve(host, *args, **kwargs)
            if self._strikes():
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            return resolve(HOST, *args, **kwargs)

        self._monkeypatch.setattr(socket, "getaddrinfo", look_up)
        self.unseen = self.row.failing
        port = self.emulator.url.rpartition(":")[2]
        self.client = {"base_url": f"http://api.invalid:{port}", "allow_http": True}

    def refused(self) -> None:
        bound = socket.socket()
        bound.bind((HOST, 0))
        front = self._begin_late()
        front.listen_at(bound)
        self.client["base_url"] = front.url
        self._mending.callback(bound.listen)

    def unaccepted(self) -> None:
        """Whoever waits to be accepted leaves no room for others."""
        listener = self._begin_late()._listener
        listener.listen(0)
        for _ in range(4):
            waiting = self._mending.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        patch = self._mending.enter_context(pytest.MonkeyPatch.context())
        patch.setattr("creatify._connection.CONNECT_TIMEOUT", 0.1)

    def untrusted(self) -> None:
        self._speak_tls(_context(self._certificates[0]))

    def plain(self) -> None:
        self._speak_tls(None)

    def full_pool(self) -> None:
        self.is_crowded = True
        self.unseen = 1

    def unread(self) -> None:
        self._spoil_with(lambda connection: connection.recv(1, socket.MSG_PEEK))

    def half_read(self) -> None:
        def read_head(connection: socket.socket) -> None:
            while b"\r\n\r\n" not in connection.recv(65536):
                pass

        self.message = "a" * 5_000_000
        self._spoil_with(read_head)

    def idle(self) -> None:
        """The server ends the connection after the answer to what warms the client up."""
        front = self.serve(lambda *_: None)
        pass_on, self._left, self.is_warm = front._script, 0, True

        def script(exchange: Exchange) -> None:
            pass_on(exchange)
            if self.is_warm:
                exchange.hang_up()

        front._script = script

    def twins(self) -> None:
        def drop(exchange: Exchange, _: bytes) -> None:
            self.emulator.tasks.add("Hello")
            exchange.reset()

        self.serve(drop)

    def unlisted(self) -> None:
        self._script(faults.drop_answer())
        self.emulator.script(*[faults.status(500)] * 3, operation=LIST)

    def bad_polls(self) -> None:
        polls = (faults.status(502), faults.reset())
        self.emulator.script(*polls, operation=OPERATIONS[RETRIEVE])

    def bad_task(self) -> None:
        self.emulator.fail_when = lambda _: "no luck"

    def long_task(self) -> None:
        self.emulator.running = 60.0

    # What these share

    def _script(self, fault: faults.Fault) -> None:
        self.emulator.script(*[fault] * self.row.failing, operation=self._operation)

    def _strikes(self) -> bool:
        self._left -= 1
        return self._left >= 0

    def _is_meant(self, exchange: Exchange) -> bool:
        is_list = exchange.head.startswith("GET /sse/text_generator/ ")
        is_credits = exchange.head.startswith("GET /api/")
        return exchange.method == self._method and not (is_list or is_credits)

    def _api(self, exchange: Exchange) -> httpx.Response:
        method, path, *_ = exchange.head.split()
        headers = {"X-API-ID": self.emulator.api_id, "X-API-KEY": self.emulator.api_key}
        if exchange.body:
            headers["Content-Type"] = "application/json"
        # There is no TLS here, and its settings take 20 ms to load.
        with httpx.Client(trust_env=False, verify=False, headers=headers) as client:
            return client.request(method, self.emulator.url + path, content=exchange.body)

    def _begin_late(self) -> Front:
        """A server that begins when the world is mended."""
        front = self.serve(lambda *_: None, start=False)
        self.unseen = self.row.failing
        self._mending.callback(self._closing.enter_context, front)
        return front

    def _speak_tls(self, first: ssl.SSLContext | None) -> None:
        trusted = self._certificates[1]
        self._monkeypatch.setenv("SSL_CERT_FILE", str(trusted[0]))
        self._tls = [first, _context(trusted)]
        self._mending.callback(self._tls.pop, 0)
        front = self.serve(lambda *_: None)
        self.unseen = self.row.failing
        self.client["base_url"] = front.url.replace("http:", "https:")

    def _spoil_with(self, spoil: Callable[[socket.socket], object]) -> None:
        self._spoil = spoil
        self.unseen = self.row.failing
        self.serve(lambda *_: None)


def _context(pair: Pair) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    return context
