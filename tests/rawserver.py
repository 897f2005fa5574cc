"""A server that does to a connection exactly what a script says, over a real socket."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING, Self, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Script: TypeAlias = Callable[["Exchange"], object]


class Exchange:
    """One request on one connection, and the means to answer it badly."""

    def __init__(self, connection: socket.socket, head: str, body: bytes) -> None:
        self._connection = connection
        self.head = head
        self.body = body

    @property
    def method(self) -> str:
        return self.head.partition(" ")[0]

    def send(self, data: bytes) -> None:
        self._connection.sendall(data)

    def answer(
        self,
        body: bytes = b"",
        *,
        status: str = "200 OK",
        content_type: str = "application/json",
        headers: str = "",
    ) -> None:
        """A whole answer."""
        head = (
            f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        )
        self.send(head.encode() + headers.encode() + b"\r\n" + body)

    def begin_stream(self, content_type: str = "text/event-stream") -> None:
        """The head of a chunked answer."""
        self.send(
            f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )

    def piece(self, data: bytes) -> None:
        """One piece of a chunked body; the client's parser gives it as one."""
        self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def end_stream(self) -> None:
        self.send(b"0\r\n\r\n")

    def stream(self, pieces: Iterable[bytes]) -> None:
        """A whole event stream in these pieces."""
        self.begin_stream()
        for piece in pieces:
            self.piece(piece)
        self.end_stream()

    def reset(self) -> None:
        """End the connection with a TCP reset."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.hang_up()

    def hang_up(self) -> None:
        """End the connection."""
        with contextlib.suppress(OSError):
            if (
                struct.unpack(
                    "ii", self._connection.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
                )[0]
                == 0
            ):
                self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def peer_closed(self, within: float) -> bool:
        """Whether the client ends the connection within that many seconds."""
        self._connection.settimeout(within)
        try:
            return self._connection.recv(1) == b""
        except TimeoutError:
            return False
        except OSError:
            return True


class RawServer:
    """Runs the script for each request; `exchanges` keeps them all."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._open: list[socket.socket] = []
        self.exchanges: list[Exchange] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def posts(self) -> list[Exchange]:
        """Those that cost something; the rest only asks."""
        return [exchange for exchange in self.exchanges if exchange.method == "POST"]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *error: object) -> None:
        # Closing a listener doesn't wake the thread that waits on it; a connection does.
        self._stopping = True
        with contextlib.suppress(OSError):
            socket.create_connection(self._listener.getsockname(), timeout=1).close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        for thread in list(self._threads):
            thread.join(timeout=5)
        self._listener.close()

    _stopping = False

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._stopping:
                connection.close()
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while (exchange := _read(connection)) is not None:
                self.exchanges.append(exchange)
                self._script(exchange)


def _read(connection: socket.socket) -> Exchange | None:
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = 0
    for line in head.decode("latin-1").split("\r\n")[1:]:
        name, _, value = line.partition(":")
        if name.lower() == "content-length":
            length = int(value)
    while len(body) < length:
        body += connection.recv(65536)
    return Exchange(connection, head.decode("latin-1"), body)


def each(*scripts: Script) -> Script:
    """The first script for the first request, and so on; the last one for all that follow."""
    left = list(scripts)

    def run(exchange: Exchange) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(exchange)

    return run


def posted(script: Script, tasks: bytes = b"[]") -> Script:
    """The script for each POST; whoever asks for the list of tasks gets these."""
    return lambda exchange: (
        script(exchange) if exchange.method == "POST" else exchange.answer(tasks)
    )


def pause(seconds: float) -> Script:
    return lambda _: time.sleep(seconds)
