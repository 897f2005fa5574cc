"""aiohttp, used by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp

from bench.contenders.request import BODY, CALL, HEADERS, STREAM, text_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Async:
    """An `aiohttp.ClientSession` that opens as many connections as there are streams."""

    def __init__(self, url: str) -> None:
        self._url = url
        connector = aiohttp.TCPConnector(limit=0)
        self._session = aiohttp.ClientSession(connector=connector, headers=HEADERS)

    async def texts(self) -> AsyncIterator[str]:
        """The pieces of text of one stream."""
        async with self._session.post(self._url + STREAM, json=BODY) as response:
            async for line in response.content:
                if line.startswith(b"data: "):
                    yield text_of(line[6:])

    async def call(self) -> str:
        """The text of one answer."""
        async with self._session.post(self._url + CALL, json=BODY) as response:
            return str((await response.json())["response_text"])

    async def aclose(self) -> None:
        """Close the connections."""
        await self._session.close()
