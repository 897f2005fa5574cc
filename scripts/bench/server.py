"""The server that every contender talks to: loopback only, its answers made beforehand.

The first part of a path says what is served: `burst-2000`, a stream of 2,000 chunks at once;
`paced-300-2`, 300 chunks, each 2 ms after the one before; `tasks-100-0-20-0-12.5`, see `Tasks`;
anything else, a single answer. It ends when its standard input does, and after half an hour.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
import time
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, Final, TypeAlias

from bench import wire
from bench.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import Iterator

Step: TypeAlias = tuple[float, bytes]
"""What is written, and how many seconds before it nothing is."""

_LIFE: Final = 1800.0
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_STREAM_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_END: Final = b"0\r\n\r\n"
_PIECE: Final = 65536  # bytes of a burst that are one piece of the body

_requests: Final[Counter[str]] = Counter()
_bytes: Final[Counter[str]] = Counter()


class Server(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._received = b""
        self._steps: Iterator[Step] = iter(())
        self._is_paused = self._is_waiting = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer a request once it is whole; there is no pipelining."""
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not blank or len(body) < (int(length[1]) if length else 0):
            return
        self._received = b""
        target = head.split(b" ", 2)[1].decode()
        if target.startswith("/tasks-"):
            # Else the kernel takes megabytes that nobody has asked for, as no network does.
            taken = self._transport.get_extra_info("socket")
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _PIECE)
        self._steps = _answer(target)
        self._write()

    def pause_writing(self) -> None:
        """Hold back what the client doesn't take."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """Go on."""
        self._is_paused = False
        if not self._is_waiting:
            self._write()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """Stop writing."""
        self._steps = iter(())

    def _write(self) -> None:
        for delay, data in self._steps:
            if delay:
                self._is_waiting = True
                asyncio.get_running_loop().call_later(delay, self._write_late, data)
                return
            self._transport.write(data)
            if self._is_paused:
                return

    def _write_late(self, data: bytes) -> None:
        self._is_waiting = False
        self._transport.write(data)
        if not self._is_paused:
            self._write()


def _answer(target: str) -> Iterator[Step]:
    _, plan, path = target.partition("?")[0].split("/", 2)
    kind, *numbers = plan.split("-")
    if kind == "burst":
        return iter(_burst(f"/{path}", int(numbers[0])))
    if kind == "paced":
        return _paced(f"/{path}", int(numbers[0]), float(numbers[1]) / 1000)
    if kind != "tasks":
        return iter([(0.0, _single(f"/{path}"))])
    if path == "count":
        return iter([(0.0, _whole(json.dumps([_requests[plan], _bytes[plan]]).encode()))])
    answer = _whole(_task_answer(plan, path))
    _requests[plan] += 1
    return _counted(plan, answer)


def _counted(plan: str, answer: bytes) -> Iterator[Step]:
    """In pieces, because who sees that an answer is too large takes no more of it."""
    for start in range(0, len(answer), _PIECE):
        piece = answer[start : start + _PIECE]
        _bytes[plan] += len(piece)
        yield 0.0, piece


@cache
def _burst(path: str, chunks: int) -> list[Step]:
    steps, piece = [(0.0, _STREAM_HEAD)], b""
    for event in wire.events(path, chunks):
        if len(piece) + len(event) > _PIECE:
            steps.append((0.0, _chunk(piece)))
            piece = b""
        piece += event
    return [*steps, (0.0, _chunk(piece) + _END)]


def _paced(path: str, chunks: int, delay: float) -> Iterator[Step]:
    events = wire.events(path, chunks)
    # What comes before the first text comes with it.
    text = next(number for number, event in enumerate(events) if wire.FIRST_TEXT in event)
    yield 0.0, _STREAM_HEAD + _chunk(b"".join(events[: text + 1]))
    for event in events[text + 1 :]:
        yield delay, _chunk(event)
    yield 0.0, _END


@cache
def _single(path: str) -> bytes:
    return _whole(wire.answer(path))


@cache
def _tasks(plan: str) -> Tasks:
    _, count, least, most, old, start = plan.split("-")
    return Tasks(int(count), float(least), float(most), int(old), float(start))


def _task_answer(plan: str, path: str) -> bytes:
    return _tasks(plan).answer(path, time.monotonic())


def _whole(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return f"{head}\r\n\r\n".encode() + body


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


async def main() -> None:
    """Serve, after a line with the URL."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Server, "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    over = asyncio.Event()
    loop.add_reader(sys.stdin, over.set)
    loop.call_later(_LIFE, over.set)
    await over.wait()


if __name__ == "__main__":
    asyncio.run(main())
