"""httpx-sse: the usual decoder over httpx."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import httpx_sse

from bench.contenders import raw_httpx
from bench.contenders.request import BODY, STREAM, text_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


class Sync(raw_httpx.Sync):
    """An `httpx.Client` with an `EventSource`."""

    def texts(self) -> Iterator[str]:
        """The pieces of text of one stream."""
        with httpx_sse.connect_sse(self._client, "POST", STREAM, json=BODY) as source:
            for event in source.iter_sse():
                yield text_of(event.data)


class Async(raw_httpx.Async):
    """An `httpx.AsyncClient` with an `EventSource`."""

    async def texts(self) -> AsyncIterator[str]:
        """The pieces of text of one stream."""
        async with httpx_sse.aconnect_sse(self._client, "POST", STREAM, json=BODY) as source:
            async for event in source.aiter_sse():
                yield text_of(event.data)


class _Pieces(httpx.SyncByteStream):
    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pieces)


def decode(pieces: list[bytes]) -> Iterator[str]:
    """The data of each event."""
    headers = {"content-type": "text/event-stream"}
    response = httpx.Response(200, headers=headers, stream=_Pieces(pieces))
    for event in httpx_sse.EventSource(response).iter_sse():
        yield event.data
