"""How long a batch waits out trouble: judged by when it was met, and by what the API asks for."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from batches import CREATE, Run, asked_of, asks, results, statuses
from colours import KEYS, Colour
from simulation import task as task_json

from creatify import RateLimitError
from creatify.batch._pace import Pace
from creatify.testing import Emulator, faults

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from rawserver import Exchange, RawServer, Script

pytestmark = pytest.mark.anyio


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def busy(retry_after: float | None = None) -> RateLimitError:
    headers = {} if retry_after is None else {"retry-after": f"{retry_after:g}"}
    return RateLimitError("no", status_code=429, body=b"", headers=headers)


def test_trouble_is_judged_by_when_it_was_met_and_not_by_when_that_is_heard() -> None:
    clock = Clock()
    pace = Pace(4, 10.0, clock)
    pace.refused(busy(0), began=999.0, at=1000.0)
    clock.now = 5000.0  # the caller took its time
    pace.refused(busy(0), began=999.0, at=1009.9)
    assert pace.hopeless is None
    last = busy(0)
    pace.refused(last, began=1009.0, at=1010.0)
    assert pace.hopeless is last


def test_trouble_that_is_heard_of_in_another_order_began_when_the_first_was_met() -> None:
    pace = Pace(4, 10.0, Clock())
    for at in (1005.0, 1000.0):
        pace.met(busy(), at)
    assert pace.hopeless is None
    pace.met(busy(), 1010.0)
    assert pace.hopeless is not None


def test_a_success_ends_trouble() -> None:
    pace = Pace(4, 10.0, Clock())
    pace.met(busy(), 1000.0)
    pace.went_well()
    for at in (1010.0, 1019.9):
        pace.met(busy(), at)
        assert pace.hopeless is None
    pace.met(busy(), 1020.0)
    assert pace.hopeless is not None


def test_a_pause_is_waited_for_up_to_the_patience_and_no_longer() -> None:
    clock = Clock()
    pace = Pace(4, 10.0, clock)
    pace.refused(busy(10), began=1000.0, at=1000.0)
    assert pace.pause == 10.0
    assert pace.hopeless is None
    last = busy(11)
    pace.refused(last, began=1000.0, at=1000.0)
    pace.went_well()  # of what was sent before, and says nothing of when the next may be
    assert pace.hopeless is last


@pytest.mark.parametrize("pause", [3, 999_999_999])
async def test_a_retry_after_beyond_the_timeout_ends_the_batch_with_all_that_was_done(
    colour: Colour, pause: int
) -> None:
    with Emulator(pending=0.01, running=0.1, **KEYS) as emulator:
        emulator.script(None, None, faults.status(429, retry_after=pause), operation=CREATE)
        client = colour.client(base_url=emulator.url)
        began = time.monotonic()

        def check(_: object) -> None:
            assert time.monotonic() - began < 1.9

        run = Run(colour, client, asks(9), concurrency=3, timeout=2.0, on_progress=check)
        with pytest.raises(RateLimitError) as caught:
            await run.to_end()
        assert caught.value.retry_after == pause
        assert [result.status for result in run.results] == ["done"] * 2
        assert emulator.charges == 2
        assert len(asked_of(emulator, CREATE)) == 3


async def test_a_retry_after_within_the_timeout_is_waited_for(
    colour: Colour, emulator: Emulator
) -> None:
    emulator.script(None, faults.status(429, retry_after="0.4"), operation=CREATE)
    client = colour.client(base_url=emulator.url)
    found = await results(colour, client, asks(4), concurrency=1, timeout=5.0)
    assert statuses(found) == ["done"] * 4
    times = [record.time for record in asked_of(emulator, CREATE)]
    assert len(times) == 5
    assert times[2] - times[1] > 0.39


class Scripted:
    """An API that answers each of four requests when it is time to, and again at once."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self._seen: set[str] = set()

    def __call__(self, exchange: Exchange) -> None:
        number = exchange.body.decode().partition("Text ")[2][:1]
        if number not in self._seen:
            self._seen.add(number)
            if number != "0":
                self.may_answer.wait(5)
            time.sleep(int(number) * 0.05)
            if number in "23":
                exchange.answer(status="429 Too Many Requests", headers="Retry-After: 0\r\n")
                return
        task = task_json(int(number), "done", credits_used=1.0)
        exchange.answer(json.dumps(task).encode(), status="201 Created")


async def test_who_takes_results_slowly_is_not_told_that_there_was_only_trouble(
    colour: Colour, serve: Callable[[Script], RawServer]
) -> None:
    """Two refusals come 0.05 s after one another, and are heard of 0.6 s apart."""
    api = Scripted()
    client = colour.client(base_url=serve(api).url)
    run = Run(colour, client, asks(4), concurrency=4, timeout=0.5)
    found = []
    async for result in one_by_one(colour, run.batch):
        found.append(result)
        if len(found) == 1:
            api.may_answer.set()
            await asyncio.sleep(0.12)  # by now 1 is done, 2 is refused, and nobody has heard of it
        elif len(found) == 2:
            await asyncio.sleep(0.6)
    assert statuses(found) == ["done"] * 4


async def one_by_one(colour: Colour, batch: Any) -> AsyncIterator[Any]:
    if not colour.is_sync:
        async for result in batch:
            yield result
        return
    iterator = iter(batch)
    while (result := await asyncio.to_thread(next, iterator, None)) is not None:
        yield result
