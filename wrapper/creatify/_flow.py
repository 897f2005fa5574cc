"""Operations of several steps as generators, and the two drivers that run them.

A flow yields `Send`, `SendAll` or `Sleep` and gets the answer back: what a `Send` was answered, or
the error that it met, raised at the yield. So every decision is written once, without I/O and
without a colour; the pattern is that of `httpx.Auth.auth_flow`.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Generator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar, cast

from creatify._errors import APIConnectionError, CreatifyError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

Request = TypeVar("Request")
Answer = TypeVar("Answer")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Send(Generic[Request]):
    """Send the request; the answer comes back."""

    request: Request


class Wake:
    """Ends a sleep early, from any thread."""

    def __init__(self) -> None:
        self.rung = threading.Event()
        self.tell: Callable[[], object] = _nothing

    def ring(self) -> None:
        """End the sleep, or the next one: until `rung` is cleared."""
        self.rung.set()
        self.tell()


@dataclass(frozen=True, slots=True)
class SendAll(Generic[Request]):
    """Send several requests; a list comes back of what each met, answer or error of the tree.

    An event loop has them under way at once. A thread sends one after the other, and no more once
    one met no answer: the list ends there.
    """

    requests: Sequence[Request]


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait that many seconds, or until somebody rings."""

    seconds: float
    wake: Wake = field(default_factory=Wake, compare=False)


Step: TypeAlias = Send[Request] | SendAll[Request] | Sleep
Flow: TypeAlias = Generator[Step[Request], Answer, Result]


def run(flow: Flow[Request, Answer, Result], send: Callable[[Request], Answer]) -> Result:
    """Run a flow in this thread."""
    resume: Callable[[], Step[Request]] = partial(next, flow)
    try:
        while True:
            step = resume()
            perform = _action(step, _sleep, send, _send_all)
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
    resume: Callable[[], Step[Request]] = partial(next, flow)
    try:
        while True:
            step = resume()
            perform = _action(step, _sleep_async, send, _send_all_async)
            try:
                resume = partial(flow.send, await perform())
            except BaseException as error:  # noqa: BLE001 - what the flow does not handle leaves it
                resume = partial(flow.throw, error)
    except StopIteration as end:
        return cast("Result", end.value)
    finally:
        del resume  # an error that leaves holds this frame, and must not be held by it


class Each(AsyncIterator[Result]):
    """An asynchronous iterator that a cancelled step does not end.

    A generator would: who waits for the next with a timeout, and then goes on, would be told that
    nothing is left. The `step` raises StopAsyncIteration at the end.
    """

    def __init__(self, step: Callable[[], Awaitable[Result]]) -> None:
        self._step = step

    def __anext__(self) -> Awaitable[Result]:
        """The next one."""
        return self._step()


def _action(
    step: Step[Request],
    sleep: Callable[[Sleep], object],
    send: Callable[[Request], Answer],
    send_all: Callable[[SendAll[Request], Callable[[Request], Answer]], object],
) -> Callable[[], Answer]:
    if isinstance(step, Send):
        return partial(send, step.request)
    # What a flow gets for the others is none of the answers that its type tells of.
    perform = partial(sleep, step) if isinstance(step, Sleep) else partial(send_all, step, send)
    return cast("Callable[[], Answer]", perform)


def _send_all(
    step: SendAll[Request], send: Callable[[Request], Answer]
) -> list[Answer | CreatifyError]:
    met: list[Answer | CreatifyError] = []
    for request in step.requests:
        try:
            met.append(send(request))
        except CreatifyError as error:
            met.append(error)
            if isinstance(error, APIConnectionError):
                break
    return met


async def _send_all_async(
    step: SendAll[Request], send: Callable[[Request], Awaitable[Answer]]
) -> list[Answer | CreatifyError]:
    from asyncio import TaskGroup  # noqa: PLC0415 - a synchronous program never needs it

    async def meet(request: Request) -> Answer | CreatifyError:
        try:
            return await send(request)
        except CreatifyError as error:
            return error

    try:
        async with TaskGroup() as group:
            tasks = [group.create_task(meet(request)) for request in step.requests]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


def _sleep(step: Sleep) -> None:
    step.wake.rung.wait(step.seconds)


async def _sleep_async(step: Sleep) -> None:
    from asyncio import get_running_loop  # noqa: PLC0415 - a synchronous program never needs it

    loop, thread = get_running_loop(), get_ident()
    over = loop.create_future()

    def end() -> None:
        if not over.done():
            over.set_result(None)

    def tell() -> None:
        with suppress(RuntimeError):  # the loop was closed under its task
            if get_ident() == thread:
                end()
            else:
                loop.call_soon_threadsafe(end)

    timer = loop.call_later(step.seconds, end)
    step.wake.tell = tell
    try:
        if not step.wake.rung.is_set():
            await over
    finally:
        timer.cancel()
        step.wake.tell = _nothing


def _nothing() -> None:
    """What to do when nobody sleeps."""
