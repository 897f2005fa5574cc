"""The works that wait for tasks: how many requests that costs, and how late a result is seen."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
import urllib.request
from typing import TYPE_CHECKING, Any, TypeAlias

from bench.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from bench.works import Figures, Round

Seen: TypeAlias = dict[str, float]
"""When each task was seen to be done."""


def real(
    module: ModuleType, face: str, url: str, *, count: int, least: float, most: float, old: int
) -> Round:
    """Tasks of the server, in real time; it counts the requests."""

    def run() -> Figures:
        tasks = Tasks(count, least, most, old, time.monotonic() + 0.5)
        plan = f"{url}-{count}-{least}-{most}-{old}-{tasks.start}"
        urllib.request.urlopen(f"{plan}/count").close()  # noqa: S310 - it is http://127.0.0.1
        seen = _wait(getattr(module, face), plan, list(tasks.finish), asyncio.new_event_loop)
        with urllib.request.urlopen(f"{plan}/count") as answer:  # noqa: S310 - see above
            requests, size = json.load(answer)
        return _figures(tasks, seen, requests, size)

    return run


def simulated(
    module: ModuleType, face: str, url: str, *, count: int, least: float, most: float, old: int
) -> Round:
    """The same in a made-up time."""
    from bench.simulated import CLOCK, loop  # noqa: PLC0415 - importing it changes the time

    del url

    def run() -> Figures:
        tasks = Tasks(count, least, most, old, CLOCK.now)
        api = module.Api(tasks)
        seen = _wait(getattr(module, face), api, list(tasks.finish), loop)
        return _figures(tasks, seen, api.requests, api.bytes)

    return run


def _wait(
    make: Callable[[Any], Any],
    server: object,
    ids: list[str],
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> Seen:
    async def wait() -> Seen:
        client = make(server)
        seen = {task_id: time.monotonic() async for task_id in client.finished(ids)}
        await client.aclose()
        return seen

    if not make.__name__.startswith("Async"):
        return {task_id: time.monotonic() for task_id in make(server).finished(ids)}
    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(wait())


def _figures(tasks: Tasks, seen: Seen, requests: int, size: int) -> Figures:
    if seen.keys() != tasks.finish.keys():
        raise ValueError(f"{len(seen)} tasks of {tasks.count} were seen")
    late = sorted(seen[task_id] - finish for task_id, finish in tasks.finish.items())
    return {
        "requests": requests / tasks.count,
        "kb": size / tasks.count / 1000,
        "p50": statistics.median(late),
        "p95": late[round(0.95 * (len(late) - 1))],
    }
