"""openai: chat completions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import openai
from openai._streaming import SSEDecoder

from bench import wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_ASK: Final[dict[str, Any]] = {
    "model": "gpt-5-mini",
    "messages": [{"role": "user", "content": wire.PROMPT}],
}


class Sync:
    """An `openai.OpenAI`."""

    def __init__(self, url: str) -> None:
        self._client = openai.OpenAI(api_key="key", base_url=f"{url}/v1")

    def texts(self) -> Iterator[str]:
        """The pieces of text of one stream."""
        with self._client.chat.completions.create(**_ASK, stream=True) as stream:
            for chunk in stream:
                yield chunk.choices[0].delta.content or ""

    def call(self) -> str:
        """The text of one answer."""
        return str(self._client.chat.completions.create(**_ASK).choices[0].message.content)


class Async:
    """An `openai.AsyncOpenAI`."""

    def __init__(self, url: str) -> None:
        self._client = openai.AsyncOpenAI(api_key="key", base_url=f"{url}/v1")

    async def texts(self) -> AsyncIterator[str]:
        """The pieces of text of one stream."""
        async with await self._client.chat.completions.create(**_ASK, stream=True) as stream:
            async for chunk in stream:
                yield chunk.choices[0].delta.content or ""

    async def call(self) -> str:
        """The text of one answer."""
        answer = await self._client.chat.completions.create(**_ASK)
        return str(answer.choices[0].message.content)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()


def decode(pieces: list[bytes]) -> Iterator[str]:
    """The data of each event."""
    for event in SSEDecoder().iter_bytes(iter(pieces)):
        yield event.data


def birth() -> object:
    """A client."""
    return openai.OpenAI(api_key="key")
