"""httpx, used by hand."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

import httpx

from bench.contenders.request import BODY, CALL, HEADERS, NOBODY, RETRIEVE, STREAM, text_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_LIMITS: Final = httpx.Limits(max_connections=1000, max_keepalive_connections=1000)
_TIMEOUT: Final = 60.0
"""Seconds; for a connection, too, which another stream may have."""


class Sync:
    """An `httpx.Client`."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, headers=HEADERS)

    def texts(self) -> Iterator[str]:
        """The pieces of text of one stream."""
        with self._client.stream("POST", STREAM, json=BODY) as response:
            for line in response.iter_lines():
                if line.startswith("data: "):
                    yield text_of(line[6:])

    def call(self) -> str:
        """The text of one answer."""
        return str(self._client.post(CALL, json=BODY).json()["response_text"])


class SyncRetrieve(Sync):
    """It asks for a task, and makes none."""

    def call(self) -> str:
        """The text of one answer."""
        return str(self._client.get(RETRIEVE).json()["response_text"])


class Async:
    """An `httpx.AsyncClient` that opens as many connections as there are streams."""

    def __init__(self, url: str) -> None:
        self._client = httpx.AsyncClient(
            base_url=url, headers=HEADERS, limits=_LIMITS, timeout=_TIMEOUT
        )

    async def texts(self) -> AsyncIterator[str]:
        """The pieces of text of one stream."""
        async with self._client.stream("POST", STREAM, json=BODY) as response:
            async for line in response.aiter_lines():
                if line.startswith("data: "):
                    yield text_of(line[6:])

    async def call(self) -> str:
        """The text of one answer."""
        return str((await self._client.post(CALL, json=BODY)).json()["response_text"])

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()


class AsyncDefault(Async):
    """One with httpx's own limits: 100 connections, of which 20 are kept."""

    def __init__(self, url: str) -> None:
        self._client = httpx.AsyncClient(base_url=url, headers=HEADERS, timeout=_TIMEOUT)


class AsyncPoller(Async):
    """It asks for the list each half second."""

    async def finished(self, ids: list[str]) -> AsyncIterator[str]:
        """Each task's id when it is seen to be done."""
        left = set(ids)
        while left:
            tasks = (await self._client.get(CALL)).json()
            done = left & {task["id"] for task in tasks if task["status"] == "done"}
            left -= done
            for task_id in done:
                yield task_id
            await asyncio.sleep(0.5)


def birth() -> object:
    """A client, with a TLS context of its own."""
    return httpx.Client()


def first_use() -> object:
    """A client that has tried to reach a port where nobody listens, over TLS."""
    client = httpx.Client()
    with contextlib.suppress(httpx.ConnectError):
        client.get(NOBODY)
    return client
