"""What a contender's module offers: classes of these shapes, made with the URL of the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


class Sync(Protocol):
    """A client for threads."""

    def texts(self) -> Iterator[str]:
        """The pieces of text of one stream, as they arrive."""
        ...

    def call(self) -> str:
        """The text of one answer that is read whole."""
        ...


class Async(Protocol):
    """A client for asyncio."""

    def texts(self) -> AsyncIterator[str]:
        """The pieces of text of one stream, as they arrive."""
        ...

    async def call(self) -> str:
        """The text of one answer that is read whole."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


class Decoder(Protocol):
    """A decoder of event streams, from pieces of bytes to the data of each event."""

    def __call__(self, pieces: list[bytes]) -> Iterator[str]:
        """The data of each event in these pieces."""
        ...
