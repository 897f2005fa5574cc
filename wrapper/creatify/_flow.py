"""Operations of several steps as generators, and the two drivers that run them.

A flow yields `Send` or `Sleep` and gets the answer back: what a `Send` was answered, or the error
that it met, raised at the yield. So every decision is written once, without I/O and without a
colour; the pattern is that of `httpx.Auth.auth_flow`.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Request = TypeVar("Request")
Answer = TypeVar("Answer")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Send(Generic[Request]):
    """Send the request; the answer comes back."""

    request: Request


class Wake:
    """Ends a sleep early, from another thread or another task of the same event loop."""

    def __init__(self) -> None:
        self.rung = threading.Event()
        self.tell: Callable[[], object] = _nothing

    def ring(self) -> None:
        """End the sleep, or the next one: until `rung` is cleared."""
        self.rung.set()
        self.tell()


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait that many seconds, or until somebody rings."""

    seconds: float
    wake: Wake = field(default_factory=Wake, compare=False)


Flow: TypeAlias = Generator[Send[Request] | Sleep, Answer, Result]


def run(flow: Flow[Request, Answer, Result], send: Callable[[Request], Answer]) -> Result:
    """Run a flow in this thread."""
    resume: Callable[[], Send[Request] | Sleep] = partial(next, flow)
    try:
        while True:
            step = resume()
            perform = _action(step, _sleep, send)
            try:
                resume = partial(flow.send, perform())
            except BaseException as error:  # noqa: BLE001 - what the flow does not handle leaves it
                resume = partial(flow.throw, error)
    except StopIteration as end:
        return cast("Result", end.value)
    finally:
        del resume  # an error that leaves holds this frame, and must not be held by it


async def run_async(
    flow: Flow[Request, Answer, Result], send: Callable[[Request], Awaitable[Answer]]
) -> Result:
    """Run a flow in this task."""
    resume: Callable[[], Send[Request] | Sleep] = partial(next, flow)
    try:
        while True:
            step = resume()
            perform = _action(step, _sleep_async, send)
            try:
                resume = partial(flow.send, await perform())
            except BaseException as error:  # noqa: BLE001 - what the flow does not handle leaves it
                resume = partial(flow.throw, error)
    except StopIteration as end:
        return cast("Result", end.value)
    finally:
        del resume  # an error that leaves holds this frame, and must not be held by it


def _action(
    step: Send[Request] | Sleep,
    sleep: Callable[[Sleep], object],
    send: Callable[[Request], Answer],
) -> Callable[[], Answer]:
    if isinstance(step, Sleep):
        # What sleeping returns is no answer, and no flow looks at it.
        return cast("Callable[[], Answer]", partial(sleep, step))
    return partial(send, step.request)


def _sleep(step: Sleep) -> None:
    step.wake.rung.wait(step.seconds)


async def _sleep_async(step: Sleep) -> None:
    from asyncio import get_running_loop  # noqa: PLC0415 - a synchronous program never needs it

    over = get_running_loop().create_future()

    def end() -> None:
        if not over.done():
            over.set_result(None)

    timer = get_running_loop().call_later(step.seconds, end)
    step.wake.tell = end
    try:
        if not step.wake.rung.is_set():
            await over
    finally:
        timer.cancel()
        step.wake.tell = _nothing


def _nothing() -> None:
    """What to do when nobody sleeps."""
