"""Operations of several steps as generators, and the two drivers that run them.

A flow yields `Send` or `Sleep` and gets the answer back: what a `Send` was answered, or the error
that it met, raised at the yield. So every decision is written once, without I/O and without a
colour; the pattern is that of `httpx.Auth.auth_flow`.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait that many seconds."""

    seconds: float


Flow: TypeAlias = Generator[Send[Request] | Sleep, Answer, Result]


def run(flow: Flow[Request, Answer, Result], send: Callable[[Request], Answer]) -> Result:
    """Run a flow in this thread."""
    resume: Callable[[], Send[Request] | Sleep] = partial(next, flow)
    try:
        while True:
            step = resume()
            perform = _action(step, time.sleep, send)
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
    from asyncio import sleep  # noqa: PLC0415 - a synchronous program never needs it

    resume: Callable[[], Send[Request] | Sleep] = partial(next, flow)
    try:
        while True:
            step = resume()
            perform = _action(step, sleep, send)
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
    sleep: Callable[[float], object],
    send: Callable[[Request], Answer],
) -> Callable[[], Answer]:
    if isinstance(step, Sleep):
        # What sleeping returns is no answer, and no flow looks at it.
        return cast("Callable[[], Answer]", partial(sleep, step.seconds))
    return partial(send, step.request)
