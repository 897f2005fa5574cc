"""google-genai: generate_content."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from google import genai

from bench import wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_ASK: Final[dict[str, Any]] = {"model": wire.MODEL, "contents": wire.PROMPT}


class Sync:
    """A `genai.Client`."""

    def __init__(self, url: str) -> None:
        self._client = genai.Client(api_key="key", http_options={"base_url": url})

    def texts(self) -> Iterator[str]:
        """The pieces of text of one stream."""
        for chunk in self._client.models.generate_content_stream(**_ASK):
            yield chunk.text or ""

    def call(self) -> str:
        """The text of one answer."""
        return str(self._client.models.generate_content(**_ASK).text)


class Async:
    """The same client's `aio`."""

    def __init__(self, url: str) -> None:
        self._client = genai.Client(api_key="key", http_options={"base_url": url}).aio

    async def texts(self) -> AsyncIterator[str]:
        """The pieces of text of one stream."""
        async for chunk in await self._client.models.generate_content_stream(**_ASK):
            yield chunk.text or ""

    async def call(self) -> str:
        """The text of one answer."""
        return str((await self._client.models.generate_content(**_ASK)).text)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def birth() -> object:
    """A client."""
    return genai.Client(api_key="key")
