"""The floor: a socket, and no more of HTTP than this server's answers need."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from bench.contenders.request import BODY, CALL, HEADERS, RETRIEVE, STREAM, text_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_PIECE: Final = 65536
_LENGTH: Final = re.compile(rb"Content-Length: (\d+)\r\n")


class Sync:
    """A blocking socket."""

    def __init__(self, url: str) -> None:
        self._prefix = urlsplit(url).path
        where = urlsplit(url)
        self._socket = socket.create_connection((str(where.hostname), where.port or 80))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._method, self._path = "POST", CALL

    def texts(self) -> Iterator[str]:
        """The pieces of text of one stream."""
        self._socket.sendall(_request("POST", self._prefix + STREAM))
        lines = _Lines()
        while not lines.is_over:
            yield from lines.texts(self._socket.recv(_PIECE))

    def call(self) -> str:
        """The text of one answer."""
        self._socket.sendall(_request(self._method, self._prefix + self._path))
        received = b""
        while (answer := _whole(received)) is None:
            received += self._socket.recv(_PIECE)
        return str(json.loads(answer)["response_text"])


class SyncRetrieve(Sync):
    """It asks for a task, and makes none."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._method, self._path = "GET", RETRIEVE


class Async:
    """Streams of asyncio; each stream and call at once has a connection of its own."""

    def __init__(self, url: str) -> None:
        self._where = urlsplit(url)
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def texts(self) -> AsyncIterator[str]:
        """The pieces of text of one stream."""
        reader, writer = await self._open()
        writer.write(_request("POST", self._where.path + STREAM))
        lines = _Lines()
        while not lines.is_over:
            for text in lines.texts(await reader.read(_PIECE)):
                yield text
        self._idle.append((reader, writer))

    async def call(self) -> str:
        """The text of one answer."""
        reader, writer = await self._open()
        writer.write(_request("POST", self._where.path + CALL))
        received = b""
        while (answer := _whole(received)) is None:
            received += await reader.read(_PIECE)
        self._idle.append((reader, writer))
        return str(json.loads(answer)["response_text"])

    async def aclose(self) -> None:
        """Close the connections."""
        for _, writer in self._idle:
            writer.close()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._idle:
            return self._idle.pop()
        return await asyncio.open_connection(self._where.hostname, self._where.port)


class _Lines:
    """The text in pieces of this server's streams: no line is longer than a piece of the body."""

    def __init__(self) -> None:
        self._rest = b""
        self.is_over = False

    def texts(self, piece: bytes) -> Iterator[str]:
        """The text that this piece completes."""
        if not piece:
            raise ConnectionError("the server is gone")
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            if line.startswith(b"data: "):
                yield text_of(line[6:])
            elif line == b"0\r":
                self.is_over = True


def _request(method: str, path: str) -> bytes:
    body = json.dumps(BODY).encode() if method == "POST" else b""
    head = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
    return (
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{head}"
        f"Content-Length: {len(body)}\r\n\r\n".encode()
        + body
    )


def _whole(received: bytes) -> bytes | None:
    head, _, body = received.partition(b"\r\n\r\n")
    length = _LENGTH.search(head + b"\r\n")
    return body if length and len(body) >= int(length[1]) else None
