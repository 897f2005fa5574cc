"""anthropic: messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import anthropic
from anthropic._streaming import SSEDecoder

from bench import wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_ASK: Final[dict[str, Any]] = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 1000,
    "messages": [{"role": "user", "content": wire.PROMPT}],
}


class Sync:
    """An `anthropic.Anthropic`."""

    def __init__(self, url: str) -> None:
        self._client = anthropic.Anthropic(api_key="key", base_url=url)

    def texts(self) -> Iterator[str]:
        """The pieces of text of one stream."""
        with self._client.messages.create(**_ASK, stream=True) as stream:
            for event in stream:
                if event.type == "content_block_delta":
                    yield event.delta.text

    def call(self) -> str:
        """The text of one answer."""
        return str(self._client.messages.create(**_ASK).content[0].text)


class Async:
    """An `anthropic.AsyncAnthropic`."""

    def __init__(self, url: str) -> None:
        self._client = anthropic.AsyncAnthropic(api_key="key", base_url=url)

    async def texts(self) -> AsyncIterator[str]:
        """The pieces of text of one stream."""
        async with await self._client.messages.create(**_ASK, stream=True) as stream:
            async for event in stream:
                if event.type == "content_block_delta":
                    yield event.delta.text

    async def call(self) -> str:
        """The text of one answer."""
        return str((await self._client.messages.create(**_ASK)).content[0].text)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()


def decode(pieces: list[bytes]) -> Iterator[str]:
    """The data of each event."""
    for event in SSEDecoder().iter_bytes(iter(pieces)):
        yield event.data


def birth() -> object:
    """A client."""
    return anthropic.Anthropic(api_key="key")
