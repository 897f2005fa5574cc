"""What is done for one request of a batch, step by step, each after the journal has the last.

The flows yield `Send(Call)` and `Send(Write)`; what they come to is told to the engine.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeAlias

from creatify import _operations
from creatify._awaited import WaitOptions, outcome_of
from creatify._errors import (
    AuthenticationError,
    ConfigurationError,
    CreatifyError,
    PermissionDeniedError,
    TaskFailedError,
    WaitTimeoutError,
)
from creatify._flow import Flow, Send, Sleep
from creatify._reconcile import is_unknown, under_way
from creatify._wait import wait
from creatify.batch import _journal
from creatify.batch._settle import Doubt
from creatify_api.models import TextGenResponse

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from creatify._flow import Wake
    from creatify._ledger import Ledger
    from creatify._options import Options
    from creatify._schedule import Schedule
    from creatify.batch._input import Asked
    from creatify.batch._journal import Journal, Record
    from creatify.batch._settle import Learned
    from creatify.batch._types import Status

P = ParamSpec("P")
Job: TypeAlias = Flow[Any, Any, Any]

FATAL: Final = (AuthenticationError, PermissionDeniedError, ConfigurationError)
"""What every other request would meet, too."""


@dataclass(frozen=True, slots=True)
class Over:
    """A request has its result."""

    asked: Asked
    status: Status
    task: TextGenResponse | None = None
    error: CreatifyError | None = None
    ends: Exception | None = None  # the whole batch


@dataclass(frozen=True, slots=True)
class Refused:
    """A request was not acted on: nothing was charged. Sent when it `began`, and met it `at`."""

    asked: Asked
    error: CreatifyError
    began: float
    at: float


@dataclass(frozen=True, slots=True)
class Failed:
    """A job ended by what its request is not to blame for. `asked` is None for a settlement."""

    asked: Asked | None
    error: BaseException


@dataclass(frozen=True, slots=True)
class Context:
    """What the flows of a batch share."""

    options: Options
    timeout: float
    ledger: Ledger
    schedule: Schedule
    learned: Learned
    journal: Journal | None = None


def generate(
    asked: Asked, context: Context, *, was_absent: bool = False
) -> Flow[Any, Any, Over | Refused | Doubt]:
    """Send a request, once, and wait for its task.

    If it `was_absent`, what the journal has of it came to nothing.
    """
    if was_absent:
        yield from _note(context, _journal.refused, asked.index)
    at, began, sequence = datetime.now(UTC), time.monotonic(), context.learned.now()
    yield from _note(context, _journal.intent, asked.index, asked.digest, at)
    entry = context.ledger.begin(asked.request, asked.content)
    try:
        with under_way(entry):
            task = yield from _operations.call(asked.operation)
    except CreatifyError as error:
        if is_unknown(error):
            entry.is_lost = True
            return Doubt(asked, entry, at, sequence, time.monotonic(), error)
        entry.end()
        met = time.monotonic()
        yield from _note(context, _journal.refused, asked.index)
        return Refused(asked, error, began, met)
    except BaseException:
        entry.end()
        raise
    entry.end(task.id)
    return (yield from watch(asked, task, context, is_new=True))


def watch(
    asked: Asked, task: TextGenResponse | UUID, context: Context, *, is_new: bool
) -> Flow[Any, Any, Over]:
    """Wait for the task of a request that was paid for.

    The journal learns its id if it `is_new`.
    """
    known = task if isinstance(task, TextGenResponse) else None
    task_id = task.id if isinstance(task, TextGenResponse) else task
    if is_new:
        context.learned.add(task_id)
        yield from _note(context, _journal.created, asked.index, task_id)
    try:
        done = yield from wait(
            task, WaitOptions(context.timeout), context.options, context.schedule
        )
    except TaskFailedError as error:
        yield from _note(context, _journal.over, asked.index, error.task)
        return Over(asked, "failed", error.task, error)
    except WaitTimeoutError as error:
        return Over(asked, "unfinished", error.task or known, error)
    except CreatifyError as error:
        ends = error if isinstance(error, FATAL) else None
        return Over(asked, "unfinished", known, error, ends)
    except Exception as error:  # noqa: BLE001 - of the caller's credentials: the task is paid for
        told = CreatifyError(f"{type(error).__name__}: {error}; wait('{task_id}') goes on")
        return Over(asked, "unfinished", known, told, error)
    yield from _note(context, _journal.over, asked.index, done)
    return Over(asked, "done", done)


def as_was(asked: Asked, task: TextGenResponse) -> Over:
    """The end of a request whose task was over in an earlier run."""
    try:
        return Over(asked, "done", outcome_of(task))
    except TaskFailedError as error:
        return Over(asked, "failed", task, error)


def _note(
    context: Context, record: Callable[P, Record], *args: P.args, **kwargs: P.kwargs
) -> Flow[Any, Any, None]:
    """Let the journal have it, if there is one."""
    if context.journal is not None:
        yield Send(_journal.Write(context.journal, record(*args, **kwargs)))


class Stop:
    """Ends the waits of all jobs; what is being sent gets its answer first."""

    def __init__(self) -> None:
        self._is_set = False
        self._asleep: dict[Wake, None] = {}

    def is_set(self) -> bool:
        """Whether they end."""
        return self._is_set

    def set(self) -> None:
        """End them; from the event loop that they run in, or beside their threads."""
        self._is_set = True
        for wake in list(self._asleep):
            wake.ring()

    def over(self, asked: Asked | None, flow: Job) -> Job:
        """The flow, until it is stopped: then None comes of it. What leaves it is a `Failed`."""
        wake: Wake | None = None
        if self.is_set():
            return None
        try:
            step = next(flow)
            while True:
                if isinstance(step, Sleep):
                    self._wakes(wake)
                    wake = step.wake
                    self._asleep[wake] = None
                    if self.is_set():  # looked at after the wake can be rung
                        flow.close()
                        return None
                try:
                    answer = yield step
                except BaseException as error:  # noqa: BLE001 - the flow's, or it leaves it
                    step = flow.throw(error)
                else:
                    step = flow.send(answer)
        except StopIteration as end:
            return end.value
        except Exception as error:  # noqa: BLE001 - it ends the batch, in the thread that iterates
            return Failed(asked, error)
        finally:
            self._wakes(wake)

    def _wakes(self, wake: Wake | None) -> None:
        if wake is not None:
            self._asleep.pop(wake, None)
