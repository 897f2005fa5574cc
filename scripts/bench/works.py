"""The works that are measured: each gives a function that does one round and tells its figures.

What one round takes is divided by its number of units: chunks, calls, clients. `cpu` and `wall` are
in microseconds for a unit.
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import statistics
import subprocess
import sys
import time
import tracemalloc
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from bench import wire

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from types import ModuleType

    from bench.faces import Async, Decoder, Sync

Figures: TypeAlias = dict[str, float]
Round: TypeAlias = "Callable[[], Figures]"

_MICRO: Final = 1_000_000


@dataclass
class Meter:
    """The time between entering and leaving, in this process with all its threads."""

    units: int
    figures: Figures = field(default_factory=dict)

    def __enter__(self) -> None:
        gc.collect()
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def __exit__(self, *_: object) -> None:
        cpu, wall = time.process_time() - self._cpu, time.perf_counter() - self._wall
        self.figures |= {"cpu": cpu / self.units * _MICRO, "wall": wall / self.units * _MICRO}


def stream(module: ModuleType, face: str, url: str, *, chunks: int) -> Round:
    """One stream, of which the text is read; the client is warm."""
    client: Sync = getattr(module, face)(url)

    def run() -> Figures:
        meter = Meter(chunks)
        with meter:
            said = sum(map(len, client.texts()))
        _check(said, chunks)
        return meter.figures

    return run


def streams(module: ModuleType, face: str, url: str, *, chunks: int, at_once: int = 1) -> Round:
    """Async streams, that many at once."""
    make = getattr(module, face)

    async def read(client: Async) -> None:
        _check(sum([len(text) async for text in client.texts()]), chunks)

    return _at_once(make, url, read, at_once, chunks)


def calls(module: ModuleType, face: str, url: str, *, times: int) -> Round:
    """Sync calls, one after the other."""
    client: Sync = getattr(module, face)(url)

    def run() -> Figures:
        meter = Meter(times)
        with meter:
            for _ in range(times):
                _check(len(client.call()), 4)
        return meter.figures

    return run


def calls_at_once(module: ModuleType, face: str, url: str, *, at_once: int) -> Round:
    """Async calls, that many at once."""

    async def call(client: Async) -> None:
        _check(len(await client.call()), 4)

    return _at_once(getattr(module, face), url, call, at_once, 1)


def first_chunk(module: ModuleType, face: str, url: str, *, times: int) -> Round:
    """The time from the request to the first text: the median of some streams."""
    client: Sync = getattr(module, face)(url)

    def once() -> float:
        texts, began = client.texts(), time.perf_counter()
        next(texts)
        first = time.perf_counter() - began
        for _ in texts:
            pass
        return first

    return lambda: {"wall": statistics.median(once() for _ in range(times)) * _MICRO}


def first_chunk_async(module: ModuleType, face: str, url: str, *, times: int) -> Round:
    """The same in an event loop."""
    runner = asyncio.Runner()
    client: Async = runner.run(_made(getattr(module, face), url))

    async def once() -> float:
        texts, began = client.texts(), time.perf_counter()
        await anext(aiter(texts))
        first = time.perf_counter() - began
        async for _ in texts:
            pass
        return first

    async def some() -> Figures:
        return {"wall": statistics.median([await once() for _ in range(times)]) * _MICRO}

    return lambda: runner.run(some())


def decode(module: ModuleType, face: str, url: str, *, events: int, size: int, piece: int) -> Round:
    """The decoder alone: `events` of about `size` bytes in pieces of `piece` bytes.

    No `size` means chunks as they are, and no `piece` one for each event.
    """
    decoder: Decoder = getattr(module, face)
    whole = [b'data: {"text": "%s"}\n\n' % (b"x" * size)] * events
    whole = whole if size else list(wire.events(":streamGenerateContent", events))
    pieces = list(_cut(b"".join(whole), piece)) if piece else whole

    def run() -> Figures:
        meter = Meter(events)
        with meter:
            found = sum(1 for data in decoder(pieces) if data)
        if found != events:
            raise ValueError(f"{found} events of {events} ({url})")
        return meter.figures

    return run


def birth(module: ModuleType, face: str, url: str, *, times: int) -> Round:
    """Clients after the first."""
    make: Callable[[], object] = getattr(module, face)
    del url

    def run() -> Figures:
        meter = Meter(times)
        with meter:
            made = [make() for _ in range(times)]
        del made
        return meter.figures

    return run


def importing(module: ModuleType, face: str, url: str) -> Round:
    """The statements `face` in a fresh process; in microseconds."""
    del module, url
    code = f"import time; b = time.process_time(); {face}; print(time.process_time() - b)"
    # pip compiles what it installs; what stands in a checkout is compiled by the first round.
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}

    def run() -> Figures:
        done = subprocess.run(  # noqa: S603 - our own code
            [sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, env=environ
        )
        return {"cpu": float(done.stdout) * _MICRO}

    return run


def memory(module: ModuleType, face: str, url: str, *, chunks: int) -> Round:
    """What Python holds more over the last nine tenths of a stream, beyond the text, in KiB."""
    client: Sync = getattr(module, face)(url)

    def in_use() -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    def run() -> Figures:
        said, early, first, last = 0, 0, 0, 0
        for number, text in enumerate(client.texts(), 1):
            said += len(text)
            if number == chunks // 10:
                early, first = said, in_use()
            elif number == chunks:
                last = in_use()  # the stream is still there
        return {"growth": (last - first - (said - early)) / 1024}

    tracemalloc.start()

    return run


def peak_memory() -> float:
    """The most that this process had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _at_once(
    make: Callable[[str], Async],
    url: str,
    work: Callable[[Async], Awaitable[None]],
    at_once: int,
    units: int,
) -> Round:
    runner = asyncio.Runner()
    client = runner.run(_made(make, url))

    async def all_of_it() -> None:
        await asyncio.gather(*(work(client) for _ in range(at_once)))

    def run() -> Figures:
        if at_once > 1:
            runner.run(all_of_it())  # connections that were idle for long are gone
        meter = Meter(at_once * units)
        with meter:
            runner.run(all_of_it())
        return meter.figures

    return run


async def _made(make: Callable[[str], Async], url: str) -> Any:
    return make(url)


def _check(said: int, chunks: int) -> None:
    """Who reads less than the others is no contender."""
    if said != len(wire.text(chunks)):
        raise ValueError(f"{said} characters instead of {len(wire.text(chunks))}")


def _cut(data: bytes, piece: int) -> Iterator[bytes]:
    for start in range(0, len(data), piece):
        yield data[start : start + piece]
