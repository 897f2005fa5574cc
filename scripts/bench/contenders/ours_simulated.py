"""The library in a made-up time, against tasks that answer without a socket."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import httpx

from bench import simulated
from bench.contenders import ours

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from bench.tasks import Tasks

_LATENCY: Final = 0.03
"""Seconds from a request to its answer's first byte."""
_PIECE: Final = 65536
_SPEED: Final = 20_000_000
"""Bytes of an answer in a second."""


class Api:
    """Answers requests, and counts."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self.requests = self.bytes = 0

    def answer(self, request: httpx.Request) -> httpx.Response:
        """The answer, for a thread."""
        simulated.CLOCK.sleep(_LATENCY)
        body = self._body(request)

        def pieces() -> Iterator[bytes]:
            for piece, seconds in self._pieces(body):
                simulated.CLOCK.sleep(seconds)
                yield piece

        return _response(body, pieces())

    async def answer_async(self, request: httpx.Request) -> httpx.Response:
        """The answer, for an event loop."""
        await asyncio.sleep(_LATENCY)
        body = self._body(request)

        async def pieces() -> AsyncIterator[bytes]:
            for piece, seconds in self._pieces(body):
                await asyncio.sleep(seconds)
                yield piece

        return _response(body, pieces())

    def _body(self, request: httpx.Request) -> bytes:
        self.requests += 1
        return self._tasks.answer(request.url.path, simulated.CLOCK.now)

    def _pieces(self, body: bytes) -> Iterator[tuple[bytes, float]]:
        """What is taken of a body, with the seconds that it takes to come."""
        for start in range(0, len(body), _PIECE):
            piece = body[start : start + _PIECE]
            self.bytes += len(piece)
            yield piece, len(piece) / _SPEED


def _response(body: bytes, pieces: Iterator[bytes] | AsyncIterator[bytes]) -> httpx.Response:
    headers = {"content-type": "application/json", "content-length": str(len(body))}
    return httpx.Response(200, content=pieces, headers=headers)


class SyncMany(ours.SyncMany):
    """`as_completed`."""

    def __init__(self, api: Api) -> None:
        transport = httpx.MockTransport(api.answer)
        super().__init__("http://localhost", httpx.Client(transport=transport))


class AsyncMany(ours.AsyncMany):
    """`as_completed`."""

    def __init__(self, api: Api) -> None:
        transport = httpx.MockTransport(api.answer_async)
        super().__init__("http://localhost", httpx.AsyncClient(transport=transport))


class AsyncSingle(ours.AsyncSingle):
    """A `wait` for each task."""

    def __init__(self, api: Api) -> None:
        transport = httpx.MockTransport(api.answer_async)
        super().__init__("http://localhost", httpx.AsyncClient(transport=transport))
