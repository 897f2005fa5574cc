"""A made-up time: whoever imports this sleeps for no time, and the clock moves on all the same.

To be imported before what is measured, which may keep the clock's functions.
"""

from __future__ import annotations

import asyncio
import selectors
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from selectors import SelectorKey
    from typing import SupportsFloat, SupportsIndex


class Clock:
    """Seconds since anything."""

    def __init__(self) -> None:
        self.now = 1000.0

    def time(self) -> float:
        """What `time.monotonic` tells."""
        return self.now

    def sleep(self, seconds: SupportsFloat | SupportsIndex, /) -> None:
        """What `time.sleep` does."""
        self.now += float(seconds)


def _wait(event: threading.Event, timeout: float | None = None) -> bool:
    """What waiting for an event does that nobody else can set meanwhile."""
    if not event.is_set():
        CLOCK.sleep(timeout or 0.0)
    return event.is_set()


class _Selector(selectors.DefaultSelector):
    """It waits for no time."""

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout:
            CLOCK.sleep(timeout)
        return ready


def loop() -> asyncio.AbstractEventLoop:
    """An event loop in this time."""
    return asyncio.SelectorEventLoop(_Selector())


CLOCK = Clock()
time.monotonic = CLOCK.time
time.sleep = CLOCK.sleep
threading.Event.wait = _wait  # type: ignore[method-assign, assignment]  # as the clock: for the whole process
