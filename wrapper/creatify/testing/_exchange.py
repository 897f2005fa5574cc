"""A request that meets a fault: the API behind it, and the wire to its client."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ._records import replay
from ._server import CUT, How

_OVER = "creatify.over"


@dataclass(frozen=True)
class Head:
    """Status and headers (by lower-case name) of an answer."""

    status: int
    headers: Mapping[str, str]

    @property
    def is_stream(self) -> bool:
        """Whether an event stream follows."""
        return self.headers.get("content-type", "").startswith("text/event-stream")

    def having(self, name: str, value: str | None) -> "Head":
        """The same head with that header, or without it (None)."""
        others = {k: v for k, v in self.headers.items() if k != name}
        return replace(self, headers=others if value is None else others | {name: value})


class Exchange:
    """What a fault has in hand. The API doesn't act before it is asked for the `head`.

    On leaving its ``with`` block the API finishes what it does; nobody hears the rest.
    """

    def __init__(
        self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, body: bytes
    ) -> None:
        self._app = app
        self._scope = scope
        self._receive = receive
        self._send = send
        self._body = body
        # Unbounded, so that the API never waits for a fault: a stream's task ends as it would.
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        self._tasks = asyncio.TaskGroup()
        self._leaving: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._tasks.__aexit__(exc_type, exc, traceback)

    async def head(self) -> Head:
        """Let the API act; the head of its answer."""
        self._tasks.create_task(self._act())
        message = await self._messages.get()
        headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
        return Head(message["status"], headers)

    async def pieces(self) -> AsyncIterator[bytes]:
        """What follows the head, as it comes: of a stream, each piece is an event."""
        while (message := await self._messages.get())["type"] != _OVER:
            if message["body"]:
                yield message["body"]

    async def body(self) -> bytes:
        """All that follows the head."""
        return b"".join([piece async for piece in self.pieces()])

    async def answer(self, head: Head, body: bytes) -> None:
        """Send the client a whole answer."""
        await self.start(head.having("content-length", str(len(body))))
        await self.write(body)
        await self.finish()

    async def start(self, head: Head) -> None:
        """Send the client a head."""
        headers = [(name.encode(), value.encode()) for name, value in head.headers.items()]
        await self._send({"type": "http.response.start", "status": head.status, "headers": headers})

    async def write(self, piece: bytes) -> None:
        """Send the client a piece of a body that isn't finished by it."""
        await self._send({"type": "http.response.body", "body": piece, "more_body": True})

    async def finish(self) -> None:
        """End the answer as it should end."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def cut(self, how: How) -> None:
        """End the answer as it shouldn't, and return when the client has left."""
        await self._send({"type": CUT, "how": how})
        await self.left()

    async def left(self, within: float | None = None) -> bool:
        """Whether the client leaves within so many seconds of real time; None: wait until it has.

        Only while the answer isn't finished.
        """
        if self._leaving is None:
            self._leaving = self._tasks.create_task(self._leave())
        return bool((await asyncio.wait([self._leaving], timeout=within))[0])

    async def _leave(self) -> None:
        # The body was read: all that can come is "http.disconnect", at the answer's end at last.
        await self._receive()

    async def _act(self) -> None:
        try:
            await self._app(self._scope, replay(self._body, self._receive), self._messages.put)
        finally:
            # It may end before its answer does: where the client has left.
            self._messages.put_nowait({"type": _OVER})
