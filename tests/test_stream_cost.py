"""What a chunk of a stream costs, counted in calls: time is `make bench`'s business.

The bounds are what it cost when they were written. Who raises one says why in the commit.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Self

import pytest

from creatify import AsyncCreatify, Creatify, user

if TYPE_CHECKING:
    from collections.abc import Callable

    from rawserver import Exchange, RawServer, Script

pytestmark = [pytest.mark.anyio, pytest.mark.unmeasured]

KEYS: dict[str, Any] = {"api_id": "id", "api_key": "key"}
ASK: dict[str, Any] = {"model_name": "gemini-2.5-flash", "messages": [user("Count.")]}
CHUNK = (
    b'data: {"candidates": [{"content": {"parts": [{"text": "said"}], "role": "model"}}],'
    b' "usageMetadata": {"totalTokenCount": 12345}, "modelVersion": "gemini"}\r\n\r\n'
)
FEW, MANY = 100, 600


def sends(chunks: int, *, at_once: bool) -> Script:
    def script(exchange: Exchange) -> None:
        exchange.begin_stream()
        for piece in [CHUNK * chunks] if at_once else [CHUNK] * chunks:
            exchange.piece(piece)
        exchange.piece(b'data: {"creatify": {"id": "4f6d"}}\n\n')
        exchange.end_stream()

    return script


class Calls:
    """Counts the calls of functions, of Python and of C, in this thread."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> Self:
        self._before = sys.getprofile()
        sys.setprofile(self._see)
        return self

    def __exit__(self, *error: object) -> None:
        sys.setprofile(self._before)

    def _see(self, _frame: object, what: str, _called: object) -> None:
        self.count += what in {"call", "c_call"}


async def count(url: str, face: str, way: str) -> int:
    """The calls that one whole stream takes, from its first chunk to its last."""
    seen = 0
    if face == "sync":
        with (
            Creatify(**KEYS, base_url=url) as client,
            client.text_generator.stream(**ASK) as stream,
            Calls() as calls,
        ):
            for _ in stream if way == "chunks" else stream.text_stream:
                seen += 1
    else:
        async with (
            AsyncCreatify(**KEYS, base_url=url) as other,
            other.text_generator.stream(**ASK) as chunks,
        ):
            with Calls() as calls:
                async for _ in chunks if way == "chunks" else chunks.text_stream:
                    seen += 1
    assert seen >= FEW
    return calls.count


@pytest.mark.parametrize(
    ("face", "way", "bound"),
    [
        ("sync", "text", 36),
        ("async", "text", 37),
        ("sync", "chunks", 182),
        ("async", "chunks", 186),
    ],
)
async def test_a_chunk_of_a_burst_costs_no_more_calls_than_it_did(
    face: str, way: str, bound: int, serve: Callable[[Script], RawServer]
) -> None:
    few, many = [
        await count(serve(sends(chunks, at_once=True)).url, face, way) for chunks in (FEW, MANY)
    ]
    assert (many - few) / (MANY - FEW) <= bound
