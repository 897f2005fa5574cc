"""The time that the emulator lives by: the real one, until a test takes control."""

import asyncio
import contextlib
import time

# Sums of the same durations in another order differ by less than this, in seconds.
_ROUNDING = 1e-6


class Clock:
    """A clock that a test can stop and move on. All methods may be called from any thread.

    The task states, the timestamps, the pauses of a stream and the ``Date`` header go by it.
    """

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()
        self._frozen: float | None = None
        self._sleepers: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    def time(self) -> float:
        """The emulator's time, in seconds since the epoch."""
        frozen = self._frozen
        return time.monotonic() + self._offset if frozen is None else frozen

    def freeze(self) -> None:
        """Stop the clock: from here on only `advance` moves it."""
        self._frozen = self.time()
        self._wake()

    def resume(self) -> None:
        """Let the clock go on from where it stands."""
        self._offset = self.time() - time.monotonic()
        self._frozen = None
        self._wake()

    def advance(self, seconds: float) -> None:
        """Move the clock on by that many seconds, frozen or not."""
        if self._frozen is None:
            self._offset += seconds
        else:
            self._frozen += seconds
        self._wake()

    def reached(self, moment: float) -> bool:
        """Whether it is that time (seconds since the epoch) or later."""
        return self.time() > moment - _ROUNDING

    async def sleep_until(self, moment: float) -> None:
        """Return when the clock reaches that time (seconds since the epoch)."""
        moved = asyncio.Event()
        sleeper = (asyncio.get_running_loop(), moved)
        # Before the first look at the time: an `advance` between the two must not be missed.
        self._sleepers.add(sleeper)
        try:
            while not self.reached(moment):
                left = moment - self.time() if self._frozen is None else None
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(moved.wait(), left)
                moved.clear()
        finally:
            self._sleepers.discard(sleeper)

    def _wake(self) -> None:
        for loop, moved in list(self._sleepers):
            loop.call_soon_threadsafe(moved.set)
