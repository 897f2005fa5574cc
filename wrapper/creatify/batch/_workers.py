"""Where a batch's jobs run: in threads, or in tasks of an event loop."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final, Self

from creatify._errors import CreatifyError
from creatify._flow import run, run_async
from creatify.batch._flows import Failed, Stop
from creatify.batch._journal import Write

if TYPE_CHECKING:
    from types import TracebackType

    import httpx

    from creatify._connection import AsyncConnection, Connection
    from creatify._operations import Call
    from creatify.batch._engine import Outcome, Start
    from creatify.batch._input import Asked

_WRITERS: Final = 32  # threads that write the journal: those that meet share an fsync
GRACE: Final = 5.0
"""Seconds that what is being sent has to get its answer, when a batch in an event loop is left."""


class Threads:
    """Runs jobs in threads, each used again. Leaving the `with` block ends them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stop = Stop()
        self._jobs: SimpleQueue[Start | None] = SimpleQueue()
        self._over: SimpleQueue[Outcome] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._busy = 0

    def start(self, start: Start) -> None:
        """Begin a job."""
        self._busy += 1
        if self._busy > len(self._threads):
            thread = threading.Thread(target=self._work, name="creatify-batch", daemon=True)
            self._threads.append(thread)  # first: an interrupt may come when it has started
            thread.start()  # which may fail: then nothing is sent
        self._jobs.put(start)

    def take(self, seconds: float) -> list[Outcome]:
        """What came of the jobs that have ended; waits for one, at most so long."""
        over: list[Outcome] = []
        with suppress(Empty):
            over.append(self._over.get(timeout=seconds))
            while True:
                over.append(self._over.get_nowait())
        self._busy -= len(over)
        return over

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            if thread.is_alive():  # it has started; if it is about to, it finds that all is over
                thread.join()

    def _work(self) -> None:
        while (start := self._jobs.get()) is not None:
            flow: Any = self._stop.over(start.asked, start.flow)
            try:
                self._over.put(run(flow, self._send))
            except BaseException as error:  # noqa: BLE001 - raised in the thread that iterates
                self._over.put(Failed(start.asked, error))

    def _send(self, request: Call | Write) -> httpx.Response | None:
        if isinstance(request, Write):
            request.do()
            return None
        return self._connection.fetch(request)


class Tasks:
    """Runs jobs in tasks of this event loop. Leaving the `async with` block ends them."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        # Of their own: a slow disk must not hold up what else the loop has threads for.
        self._writers = ThreadPoolExecutor(_WRITERS, thread_name_prefix="creatify-journal")
        self._stop = Stop()
        self._over: list[Outcome] = []
        self._has_news = asyncio.Event()
        self._tasks: set[asyncio.Task[Outcome]] = set()

    def start(self, start: Start) -> None:
        """Begin a job."""
        flow: Any = self._stop.over(start.asked, start.flow)
        task = asyncio.create_task(run_async(flow, self._send))
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, start.asked))

    async def take(self, seconds: float) -> list[Outcome]:
        """What came of the jobs that have ended; waits for one, at most so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):  # Python 3.11's wait_for may lose a cancellation
                await self._has_news.wait()
        self._has_news.clear()
        over, self._over = self._over, []
        return over

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        try:
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=GRACE)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._writers.shutdown(wait=False)

    def _ended(self, asked: Asked | None, task: asyncio.Task[Outcome]) -> None:
        self._tasks.discard(task)
        if not self._stop.is_set():
            cancelled = CreatifyError("a request of this batch was cancelled, and not the batch")
            error = cancelled if task.cancelled() else task.exception()
            self._over.append(task.result() if error is None else Failed(asked, error))
            self._has_news.set()

    async def _send(self, request: Call | Write) -> httpx.Response | None:
        if isinstance(request, Write):
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._writers, request.do)
        return await self._connection.fetch(request)
