"""One test body for both colours: the sync client behind an async face.

A test takes the fixture `colour` and awaits everything; with the sync client each call and each
step of an iteration runs in a thread, so that the sync code is what is tested. `aiohttp` is the
async client over that transport, for what the wire matters to; `async` is it over httpx's own.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import httpx
import pytest

from creatify import AsyncCreatify, Creatify, TextStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

CANARY_ID, CANARY_KEY = "canary-id-51f0", "canary-key-77aa"
"""The credentials of the tests, which show nowhere: `canaries` sees to it."""
KEYS: dict[str, Any] = {"api_id": CANARY_ID, "api_key": CANARY_KEY}
_END = object()


class Colour:
    """Makes clients of one colour; the context closes those that were made."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_sync = name == "sync"
        self._made: list[Any] = []

    def client(self, **options: Any) -> Any:
        """A client whose every method is awaited."""
        # Retries are test_retry's subject; elsewhere each answer is the last.
        options = {**KEYS, "max_retries": 0, **options}
        with pytest.MonkeyPatch.context() as patch:
            transport = "aiohttp" if self.name == "aiohttp" else "httpx"
            patch.setenv("CREATIFY_ASYNC_TRANSPORT", transport)
            client = Creatify(**options) if self.is_sync else AsyncCreatify(**options)
        self._made.append(client)
        return awaited(client) if self.is_sync else client

    async def close(self) -> None:
        for client in self._made:
            if self.is_sync:
                client.close()
            else:
                await client.aclose()


def in_use(client: Any) -> list[bool]:
    """Whether each of the open connections of a client, or of its httpx client, is in use."""
    http = client if hasattr(client, "_transport") else client._connection._client()
    transport = http._transport
    if isinstance(transport, httpx.HTTPTransport | httpx.AsyncHTTPTransport):
        return [not connection.is_idle() for connection in transport._pool.connections]
    connector = transport._session and transport._session.connector
    if connector is None:
        return []
    idle = [one for ones in connector._conns.values() for one, _ in ones if one.is_connected()]
    return [True for _ in connector._acquired] + [False for _ in idle]


def awaited(target: Any) -> Any:
    """A sync client, its text generator or a stream, to be awaited."""
    return _AwaitedStream(target) if isinstance(target, TextStream) else _Awaited(target)


class _Awaited:
    def __init__(self, target: Any) -> None:
        self._target = target

    def __repr__(self) -> str:
        return repr(self._target)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        if name == "text_generator":
            return _Awaited(value)
        if name in {"stream", "with_options"}:
            return lambda *args, **kwargs: awaited(value(*args, **kwargs))
        if name == "as_completed":
            return lambda *args, **kwargs: _each(partial(iter, value(*args, **kwargs)))
        if callable(value):
            return lambda *args, **kwargs: asyncio.to_thread(value, *args, **kwargs)
        return value


class _AwaitedStream(_Awaited):
    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._target.__enter__)
        return self

    async def __aexit__(self, *error: object) -> None:
        await asyncio.to_thread(self._target.__exit__, *error)

    def __aiter__(self) -> AsyncIterator[Any]:
        return _each(lambda: iter(self._target))

    @property
    def text_stream(self) -> AsyncIterator[str]:
        return _each(lambda: self._target.text_stream)


async def _each(start: Callable[[], Iterator[Any]]) -> AsyncIterator[Any]:
    iterator = start()
    while (item := await asyncio.to_thread(next, iterator, _END)) is not _END:
        yield item


@contextlib.asynccontextmanager
async def colour_named(name: str) -> AsyncIterator[Colour]:
    colour = Colour(name)
    try:
        yield colour
    finally:
        await colour.close()
