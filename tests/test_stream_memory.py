"""Memory stays flat over a stream of 100,000 chunks, but for the text.

Counted are the objects that stay, which is exact, and the bytes of the process, which finds one
buffer that grows.
"""

from __future__ import annotations

import contextlib
import gc
import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from creatify import AsyncCreatify, Creatify, user

if TYPE_CHECKING:
    from collections.abc import Callable

    from rawserver import Exchange, RawServer, Script

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

CHUNKS = 100_000
BATCH = 100  # chunks that come in one piece
MIB = 1024 * 1024
KEYS: dict[str, Any] = {"api_id": "id", "api_key": "key"}
ASK: dict[str, Any] = {"model_name": "gemini-2.5-flash", "messages": [user("Count.")]}
QUIET = b'data: {"usageMetadata": {"totalTokenCount": 12345}, "modelVersion": "of a chunk"}\r\n\r\n'
SAYS = (
    b'data: {"candidates": [{"content": {"parts": [{"text": "said"}], "role": "model"}}]}\r\n\r\n'
)


class Meter:
    """Counts chunks, and what is in use after a tenth of them and after all."""

    def __init__(self) -> None:
        self.chunks = 0
        self._objects: list[int] = []
        self._bytes: list[int] = []

    def tick(self) -> None:
        self.chunks += 1
        if self.chunks in {CHUNKS // 10, CHUNKS}:
            gc.collect()
            self._objects.append(sys.getallocatedblocks())
            self._bytes.append(_bytes_in_use())

    @property
    def objects_more(self) -> int:
        first, last = self._objects
        return last - first

    @property
    def bytes_more(self) -> int:
        first, last = self._bytes
        return last - first


def _bytes_in_use() -> int:
    with contextlib.suppress(OSError):
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * resource.getpagesize()
    return 0  # a system that doesn't tell


def sends(chunk: bytes) -> Script:
    def script(exchange: Exchange) -> None:
        exchange.begin_stream()
        for _ in range(CHUNKS // BATCH):
            exchange.piece(chunk * BATCH)
        exchange.piece(b'data: {"creatify": {"id": "4f6d"}}\n\n')
        exchange.end_stream()

    return script


def read(url: str, way: str, meter: Meter) -> str:
    with Creatify(**KEYS, base_url=url) as client, client.text_generator.stream(**ASK) as stream:
        for _ in stream if way == "chunks" else stream.text_stream:
            meter.tick()
    text: str = stream.text
    return text


async def read_async(url: str, way: str, meter: Meter) -> str:
    async with (
        AsyncCreatify(**KEYS, base_url=url) as client,
        client.text_generator.stream(**ASK) as stream,
    ):
        async for _ in stream if way == "chunks" else stream.text_stream:
            meter.tick()
    text: str = stream.text
    return text


async def measure(serve: Callable[[Script], RawServer], colour: str, way: str, chunk: bytes) -> Any:
    meter = Meter()
    url = serve(sends(chunk)).url
    text = read(url, way, meter) if colour == "sync" else await read_async(url, way, meter)
    return meter, text


@pytest.mark.parametrize("colour", ["sync", "async"])
async def test_nothing_stays_of_100_000_chunks(
    colour: str, serve: Callable[[Script], RawServer]
) -> None:
    meter, text = await measure(serve, colour, "chunks", QUIET)
    assert (meter.chunks, text) == (CHUNKS + 1, "")
    assert meter.objects_more < 1000
    assert meter.bytes_more < 4 * MIB


@pytest.mark.parametrize("colour", ["sync", "async"])
async def test_nothing_but_the_text_stays_of_100_000_pieces_of_text(
    colour: str, serve: Callable[[Script], RawServer]
) -> None:
    meter, text = await measure(serve, colour, "text", SAYS)
    assert (meter.chunks, text) == (CHUNKS, "said" * CHUNKS)
    assert meter.objects_more < 1000
    assert meter.bytes_more < 8 * MIB
