"""What the tests of batches share."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from creatify import _reconcile, user
from creatify.batch import AsyncBatch, Batch, BatchProgress, BatchResult, _settle

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from colours import Colour

    from creatify.testing import Emulator

CREATE = "sse_text_generator_create"
LIST = "sse_text_generator_list"


def ask(text: Any = "Write a tagline.", **fields: Any) -> dict[str, Any]:
    """A request of one user message."""
    return {"model_name": "gemini-2.5-flash", "messages": [user(text)], **fields}


def prompt(number: int) -> str:
    """Every other prompt is the same."""
    return f"Text {number}." if number % 2 else "The same text."


def prompts(count: int) -> Iterator[dict[str, Any]]:
    return (ask(prompt(number)) for number in range(count))


def hurry() -> None:
    """In a process of its own: a list that is never late, and no proxy that holds a request."""
    vars(_reconcile)["DELAYS"] = (0.0, 0.05, 0.1, 0.1)
    vars(_settle)["ARRIVES_WITHIN"] = 1.0


def asks(count: int) -> list[dict[str, Any]]:
    return [ask(f"Text {number}.") for number in range(count)]


class Run:
    """A batch of one colour: its results, the error that ended it, and itself."""

    def __init__(
        self, colour: Colour, client: Any, requests: Iterable[Any], **options: Any
    ) -> None:
        self._is_sync = colour.is_sync
        self.batch: Any = (
            Batch(client._target, requests, **options)
            if colour.is_sync
            else AsyncBatch(client, requests, **options)
        )
        self.results: list[BatchResult] = []
        self.error: BaseException | None = None

    @property
    def progress(self) -> BatchProgress | None:
        progress: BatchProgress | None = self.batch.progress
        return progress

    async def to_end(self) -> list[BatchResult]:
        """The results; raises what the batch does."""
        if self._is_sync:
            await asyncio.to_thread(self._all)
        else:
            async for result in self.batch:
                self.results.append(result)
        return self.results

    def _all(self) -> None:
        for result in self.batch:
            self.results.append(result)


async def results(
    colour: Colour, client: Any, requests: Iterable[Any], **options: Any
) -> list[BatchResult]:
    return await Run(colour, client, requests, **options).to_end()


def by_index(found: Iterable[BatchResult]) -> list[BatchResult]:
    return sorted(found, key=lambda result: result.index)


def statuses(found: Iterable[BatchResult]) -> list[str]:
    return [result.status for result in by_index(found)]


def asked_of(emulator: Emulator, operation: str) -> list[Any]:
    """The requests of an operation that the emulator got."""
    return [record for record in list(emulator.requests) if record.operation == operation]
