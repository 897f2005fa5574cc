"""The library in a made-up time, against tasks that answer without a socket."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import httpx

from bench import simulated
from bench.contenders import ours

if TYPE_CHECKING:
    from bench.tasks import Tasks

_LATENCY: Final = 0.03
"""Seconds from a request to its answer's first byte."""
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
        response = self._answer(request)
        simulated.CLOCK.sleep(len(response.content) / _SPEED)
        return response

    async def answer_async(self, request: httpx.Request) -> httpx.Response:
        """The answer, for an event loop."""
        await asyncio.sleep(_LATENCY)
        response = self._answer(request)
        await asyncio.sleep(len(response.content) / _SPEED)
        return response

    def _answer(self, request: httpx.Request) -> httpx.Response:
        body = self._tasks.answer(request.url.path, simulated.CLOCK.now)
        self.requests += 1
        self.bytes += len(body)
        return httpx.Response(200, content=body, headers={"content-type": "application/json"})


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
