"""Waiting for a task: when to poll, and what an answer or a failure means."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from creatify import _operations, _request
from creatify._errors import (
    APIStatusError,
    AuthenticationError,
    ConfigurationError,
    CreatifyError,
    PermissionDeniedError,
    TaskFailedError,
    WaitTimeoutError,
)
from creatify._flow import Sleep
from creatify._options import Options, check_function, check_seconds
from creatify._status import retry_after
from creatify_api.models import TextGenResponse, TextGenResponseStatusEnum

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from creatify._operations import Steps

OnUpdate: TypeAlias = "Callable[[TextGenResponse], object]"

_ABSENT: Final = frozenset({404, 405})
_GRACE: Final = 5.0  # seconds that a task may be unknown: it may not have reached every server yet
_SHORTEST: Final = 1.0  # seconds; a poll gets at least this long for its answer
_ENDS: Final = frozenset({TextGenResponseStatusEnum.DONE, TextGenResponseStatusEnum.FAILED})
_RETRIEVE_TRIES: Final = 3  # answers that there is no such task before the list alone is asked


@dataclass(frozen=True, slots=True)
class PollPolicy:
    """How often a task is polled: at a delay that grows with the time waited.

    A short task is seen at once, a long one costs few requests. A delay is `fraction` of the time
    waited, shortened by a random share of up to `jitter` so that many waiters don't poll in step,
    and at least `minimum` and at most `maximum` seconds.
    """

    fraction: float = 0.25
    minimum: float = 0.25
    maximum: float = 10.0
    jitter: float = 0.2

    def __post_init__(self) -> None:
        """Raises ConfigurationError for a policy that would poll without a pause, or never."""
        try:
            fits = self.fraction >= 0 and 0 < self.minimum <= self.maximum and 0 <= self.jitter <= 1
        except TypeError:
            fits = False
        if not fits:
            raise ConfigurationError(
                f"{self} makes no schedule: 0 < minimum <= maximum, 0 <= fraction, 0 <= jitter <= 1"
            )

    def delay(self, waited: float, chance: float) -> float:
        """Seconds until the next poll, after `waited` seconds; `chance` is uniform in 0..1."""
        delay = self.fraction * waited * (1 - self.jitter * chance)
        return min(max(delay, self.minimum), self.maximum)


@dataclass(frozen=True, slots=True)
class WaitOptions:
    """How a wait goes: `timeout` in seconds."""

    timeout: float
    poll: PollPolicy
    on_update: OnUpdate | None

    def __post_init__(self) -> None:
        """Raises ConfigurationError, so that nothing is paid for before a mistake is found."""
        check_seconds(self.timeout, "timeout")
        if not isinstance(self.poll, PollPolicy):
            raise ConfigurationError(f"poll is a PollPolicy, and not {self.poll!r}")
        check_function(self.on_update, "on_update", "a task")


def wait(
    task: TextGenResponse | UUID | str,
    waits: WaitOptions,
    options: Options,
    clock: Callable[[], float] = time.monotonic,
    *,
    created_since: float | None = None,
) -> Steps[TextGenResponse]:
    """Poll until the task is done, and return it.

    A task that was created just now is news to `on_update`, and the timeout counts from the moment
    `created_since`, when that began.

    Raises TaskFailedError, WaitTimeoutError, AuthenticationError, PermissionDeniedError, and
    NotFoundError for a task that neither retrieve nor list knows for some seconds. Every other
    failed poll is only a delay.
    """
    began = clock() if created_since is None else created_since
    waiting = _Waiting(_request.as_id(task), waits, options, clock, began)
    seen = task if isinstance(task, TextGenResponse) else None
    if created_since is None:
        waiting.task, seen = seen, None
    return (yield from waiting.steps(seen))


class _Waiting:
    """One wait: what was seen, since when, and what follows from it."""

    def __init__(
        self,
        task_id: UUID,
        waits: WaitOptions,
        options: Options,
        clock: Callable[[], float],
        started: float,
    ) -> None:
        self.task: TextGenResponse | None = None
        self._id = task_id
        self._waits = waits
        self._options = options
        self._longest_poll = options.timeout or _operations.TIMEOUT
        self._clock = clock
        self._started = started
        self._polled = False
        self._asked_to_wait = 0.0
        self._retrieve_misses = 0
        self._absent: APIStatusError | None = None
        self._absent_since: float | None = None
        self._last_error: CreatifyError | None = None

    def steps(self, created: TextGenResponse | None) -> Steps[TextGenResponse]:
        """The wait, from the answer of a create if there is one.

        Whatever ends it early says how to go on: the task is paid for.
        """
        try:
            if created is not None:
                self._saw(created)
            while not self._is_over():
                yield Sleep(self._delay())
                try:
                    seen = yield from self._look()
                except CreatifyError as error:
                    self._failed(error)
                else:
                    self._saw(seen)
        except WaitTimeoutError:
            raise
        except CreatifyError as error:
            error.args = (f"{error}; {self._advice()}",)
            raise
        except BaseException as error:
            error.add_note(self._advice())
            raise
        return self._outcome()

    def _is_over(self) -> bool:
        return self.task is not None and self.task.status in _ENDS

    def _delay(self) -> float:
        """Seconds until the next poll. Raises WaitTimeoutError when no time is left."""
        left = self._left()
        if left <= 0:
            met = f"; the last poll met: {self._last_error}" if self._last_error else ""
            raise WaitTimeoutError(
                f"not done after {self._waits.timeout:g} seconds; {self._advice()}{met}",
                task=self.task,
            ) from self._last_error
        if self.task is None and not self._polled:
            return 0.0
        chance = random.random()  # noqa: S311 - it spreads load and guards no secret
        delay = self._waits.poll.delay(self._waits.timeout - left, chance)
        return min(max(delay, self._asked_to_wait), left)

    def _look(self) -> Steps[TextGenResponse]:
        """The task by its id, else out of the list. Raises what the poll met."""
        self._polled = True
        # No retries: the next poll is one.
        timeout = min(max(self._left(), _SHORTEST), self._longest_poll)
        options = self._options.but(timeout, max_retries=0)
        if self._retrieve_misses < _RETRIEVE_TRIES:
            try:
                return (yield from _operations.call(_operations.retrieve(self._id, options)))
            except APIStatusError as error:
                if error.status_code not in _ABSENT:
                    raise
                self._absent = error
        tasks = yield from _operations.call(_operations.list_tasks(options))
        found = next((task for task in tasks if task.id == self._id), None)
        if found is None:
            raise cast("APIStatusError", self._absent)
        self._retrieve_misses += 1
        return found

    def _saw(self, task: TextGenResponse) -> None:
        self._last_error = self._absent_since = None
        self._asked_to_wait = 0.0
        if task != self.task:
            self.task = task
            if self._waits.on_update is not None:
                self._waits.on_update(task)

    def _failed(self, error: CreatifyError) -> None:
        """Take a failed poll as a delay. Raises it again where polling on is of no use."""
        self._last_error = error
        self._asked_to_wait = 0.0
        if isinstance(error, APIStatusError):
            self._asked_to_wait = retry_after(error.headers) or 0.0
            if error.status_code in _ABSENT:
                now = self._clock()
                self._absent_since = now if self._absent_since is None else self._absent_since
                if now - self._absent_since > _GRACE:
                    raise error
        if isinstance(error, AuthenticationError | PermissionDeniedError | ConfigurationError):
            raise error

    def _outcome(self) -> TextGenResponse:
        """The task that is over. Raises TaskFailedError."""
        task = cast("TextGenResponse", self.task)
        if task.status == TextGenResponseStatusEnum.FAILED:
            reason = task.failed_reason or None
            raise TaskFailedError(
                f"the generation {task.id} failed: {reason or 'no reason given'};"
                " what it cost is in .task.credits_used",
                task=task,
                reason=reason,
            )
        return task

    def _left(self) -> float:
        return self._waits.timeout - (self._clock() - self._started)

    def _advice(self) -> str:
        return f"the task may still be running: wait('{self._id}') goes on"
