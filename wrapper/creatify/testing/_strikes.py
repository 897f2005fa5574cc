"""What each fault does: functions of an exchange, with the arguments that `faults` has checked."""

import json
import zlib
from collections.abc import Callable
from typing import Any

from ._exchange import Exchange, Head
from ._server import How
from ._wire import parsed

_GZIP = 16 + zlib.MAX_WBITS  # zlib's way of saying it


async def cut(exchange: Exchange, *, how: How, acted: bool) -> None:
    """No answer."""
    if acted:
        await exchange.head()
    await exchange.cut(how)


async def answer(exchange: Exchange, *, head: Head, body: bytes, acted: bool) -> None:
    """Another answer."""
    if acted:
        await exchange.head()
    await exchange.answer(head, body)


async def delay(exchange: Exchange, *, seconds: float, acted: bool) -> None:
    """The answer, late."""
    head = await exchange.head() if acted else None
    if await exchange.left(within=seconds):
        return
    await exchange.start(head or await exchange.head())
    async for piece in exchange.pieces():
        await exchange.write(piece)
    await exchange.finish()


async def content_type(exchange: Exchange, *, value: str | None) -> None:
    """The answer under another content type."""
    await exchange.start((await exchange.head()).having("content-type", value))
    async for piece in exchange.pieces():
        await exchange.write(piece)
    await exchange.finish()


async def gzip(exchange: Exchange) -> None:
    """The answer compressed: piece by piece, so that a stream stays one."""
    head = await exchange.head()
    await exchange.start(head.having("content-length", None).having("content-encoding", "gzip"))
    compressor = zlib.compressobj(wbits=_GZIP)
    async for piece in exchange.pieces():
        await exchange.write(compressor.compress(piece) + compressor.flush(zlib.Z_SYNC_FLUSH))
    await exchange.write(compressor.flush())
    await exchange.finish()


async def slow_body(exchange: Exchange, *, seconds: float, size: int) -> None:
    """The answer's body in small pieces with a pause before each."""
    await exchange.start(await exchange.head())
    async for piece in exchange.pieces():
        for at in range(0, len(piece), size):
            await exchange.left(within=seconds)
            await exchange.write(piece[at : at + size])
    await exchange.finish()


async def truncated_json(exchange: Exchange, *, after: int) -> None:
    """An answer that is whole for HTTP."""
    head = await exchange.head()
    await exchange.answer(head, await _beginning(exchange, after))


async def cut_body(exchange: Exchange, *, after: int, how: How, chunked: bool) -> None:
    """The head, the beginning of the body, and then no more."""
    head = await exchange.head()
    beginning = await _beginning(exchange, after)
    await exchange.start(head.having("content-length", None) if chunked else head)
    await exchange.write(beginning)
    await exchange.cut(how)


async def merge(exchange: Exchange, *, values: Any) -> None:
    """The answer with other values in its JSON."""
    head = await exchange.head()
    if not head.is_stream:
        body = json.dumps(_merged(parsed(await exchange.body()), values))
        await exchange.answer(head, body.encode())
        return
    await exchange.start(head)
    async for event in exchange.pieces():
        await exchange.write(_in_event(event, lambda chunk: _merged(chunk, values)))
    await exchange.finish()


# The faults of streams: the head has been sent.


async def no_receipt(exchange: Exchange) -> None:
    """A stream without its `creatify` object."""
    async for event in exchange.pieces():
        await exchange.write(
            _in_event(event, lambda chunk: {k: v for k, v in chunk.items() if k != "creatify"})
        )
    await exchange.finish()


async def unterminated(exchange: Exchange) -> None:
    """A stream whose last event lacks the blank line."""
    held = b""
    async for event in exchange.pieces():
        await exchange.write(held)
        held = event
    await exchange.write(held.rstrip(b"\r\n"))
    await exchange.finish()


async def error_event(exchange: Exchange, *, after: int, error: Any) -> None:
    """So many events, then one that is an error."""
    await _first_events(exchange, after)
    await exchange.write(_event({"error": error}))
    await exchange.finish()


async def heartbeats(exchange: Exchange, *, after: int, every: float) -> None:
    """So many events, then comments until the client leaves."""
    await _first_events(exchange, after)
    while not await exchange.left(within=every):
        await exchange.write(b": ping\r\n\r\n")


async def cut_stream(exchange: Exchange, *, after: int, how: How) -> None:
    """So many events, then no more."""
    await _first_events(exchange, after)
    await exchange.cut(how)


async def empty_stream(exchange: Exchange) -> None:
    """A stream without an event."""
    await exchange.finish()


async def _first_events(exchange: Exchange, count: int) -> None:
    pieces = exchange.pieces()
    for _ in range(count):
        # A shorter stream is sent whole.
        await exchange.write(await anext(pieces, b""))


async def _beginning(exchange: Exchange, size: int) -> bytes:
    """So many bytes of the body, but never its last one."""
    came = b""
    async for piece in exchange.pieces():
        came += piece
        if len(came) > size:
            return came[:size]
    return came[:-1]


def _merged(value: Any, changes: Any) -> Any:
    if not isinstance(changes, dict):
        return changes
    if isinstance(value, list):
        return [_merged(item, changes) for item in value]
    known = value if isinstance(value, dict) else {}
    return known | {name: _merged(known.get(name), change) for name, change in changes.items()}


def _in_event(event: bytes, change: Callable[[dict[str, Any]], Any]) -> bytes:
    try:
        chunk = parsed(event.strip().removeprefix(b"data:"))
    except (ValueError, RecursionError):
        return event  # of a recording, which may hold anything
    return _event(change(chunk)) if isinstance(chunk, dict) else event


def _event(payload: Any) -> bytes:
    return f"data: {json.dumps(payload)}\r\n\r\n".encode()
