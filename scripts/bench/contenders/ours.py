"""The library itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING, Any

from bench import wire
from bench.contenders.request import NOBODY
from creatify import APIConnectionError, AsyncCreatify, Creatify, user
from creatify._sse import Decoder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    import httpx

    from creatify_api.models import TextGenStreamChunk

os.environ["CREATIFY_ASYNC_TRANSPORT"] = "httpx"
_KEYS: dict[str, Any] = {"api_id": "id", "api_key": "key"}
_ASK: dict[str, Any] = {"model_name": wire.MODEL, "messages": [user(wire.PROMPT)]}


class Sync:
    """`text_stream`, and `create` of a task that is done at once."""

    def __init__(self, url: str, http_client: httpx.Client | None = None) -> None:
        self._client = Creatify(**_KEYS, base_url=url, http_client=http_client)

    def texts(self) -> Iterator[str]:
        """The pieces of text of one stream."""
        with self._client.text_generator.stream(**_ASK) as stream:
            yield from stream.text_stream

    def call(self) -> str:
        """The text of one answer."""
        return self._client.text_generator.create(**_ASK).response_text or ""


class SyncRetrieve(Sync):
    """It asks for a task, and makes none."""

    def call(self) -> str:
        """The text of one answer."""
        return self._client.text_generator.retrieve(wire.TASK_ID).response_text or ""


class SyncMany(Sync):
    """`as_completed`."""

    def finished(self, ids: list[str]) -> Iterator[str]:
        """Each task's id when it is seen to be done."""
        tasks = self._client.text_generator
        for task in tasks.as_completed(ids, timeout=120.0):
            yield str(task.id)


class SyncTyped(Sync):
    """The text out of typed chunks."""

    def texts(self) -> Iterator[str]:
        """The pieces of text of one stream."""
        with self._client.text_generator.stream(**_ASK) as stream:
            for chunk in stream:
                yield from _texts(chunk)


class Async:
    """The transport that there is by default."""

    def __init__(self, url: str, http_client: httpx.AsyncClient | None = None) -> None:
        self._given = http_client
        self._client = AsyncCreatify(**_KEYS, base_url=url, http_client=http_client)

    async def texts(self) -> AsyncIterator[str]:
        """The pieces of text of one stream."""
        async with self._client.text_generator.stream(**_ASK) as stream:
            async for text in stream.text_stream:
                yield text

    async def call(self) -> str:
        """The text of one answer."""
        return (await self._client.text_generator.create(**_ASK)).response_text or ""

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()
        if self._given is not None:
            await self._given.aclose()


class AsyncMany(Async):
    """`as_completed`."""

    async def finished(self, ids: list[str]) -> AsyncIterator[str]:
        """Each task's id when it is seen to be done."""
        tasks = self._client.text_generator
        async for task in tasks.as_completed(ids, timeout=120.0):
            yield str(task.id)


class AsyncSingle(Async):
    """A `wait` for each task, all at once."""

    async def finished(self, ids: list[str]) -> AsyncIterator[str]:
        """Each task's id when it is seen to be done."""
        waits = [self._client.text_generator.wait(task_id, timeout=120.0) for task_id in ids]
        for done in asyncio.as_completed(waits):
            yield str((await done).id)


class AsyncTyped(Async):
    """The text out of typed chunks."""

    async def texts(self) -> AsyncIterator[str]:
        """The pieces of text of one stream."""
        async with self._client.text_generator.stream(**_ASK) as stream:
            async for chunk in stream:
                for text in _texts(chunk):
                    yield text


def decode(pieces: list[bytes]) -> Iterator[str]:
    """The data of each event."""
    decoder = Decoder()
    for piece in pieces:
        for event in decoder.feed(piece):
            yield event.data


def birth() -> object:
    """A client for the real API's address."""
    return Creatify(**_KEYS)


def first_use() -> object:
    """A client that has tried to reach a port where nobody listens, over TLS."""
    client = Creatify(**_KEYS, base_url=NOBODY, max_retries=0)
    with contextlib.suppress(APIConnectionError):
        client.text_generator.list()
    return client


def _texts(chunk: TextGenStreamChunk) -> Iterator[str]:
    for candidate in chunk.candidates or ():
        if candidate.content:
            for part in candidate.content.parts or ():
                yield part.text or ""
