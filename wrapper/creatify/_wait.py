"""Waiting for a task: when to poll, and what an answer or a failure means."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar, cast

from creatify import _operations
from creatify._config import Options, check_seconds
from creatify._errors import (
    APIStatusError,
    AuthenticationError,
    ConfigurationError,
    CreatifyError,
    PermissionDeniedError,
    TaskFailedError,
    WaitTimeoutError,
)
from creatify._flow import Flow, Send, Sleep
from creatify_api.models import TextGenRequest, TextGenResponse, TextGenResponseStatusEnum

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    import httpx

T = TypeVar("T")
Steps: TypeAlias = Flow[_operations.Call, "httpx.Response", T]
OnUpdate: TypeAlias = "Callable[[TextGenResponse], object]"

_ABSENT: Final = frozenset({404, 405})
_GRACE: Final = 5.0  # seconds that a task may be unknown: it may not have reached every server yet
_SHORTEST: Final = 0.1  # seconds; a poll gets at least this long for its answer
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


def call(operation: _operations.Operation[T]) -> Steps[T]:
    """One operation as a flow."""
    return operation.read((yield Send(operation.call)))


def wait(
    task: TextGenResponse | UUID | str,
    *,
    timeout: float,
    poll: PollPolicy,
    on_update: OnUpdate | None,
    clock: Callable[[], float] = time.monotonic,
) -> Steps[TextGenResponse]:
    """Poll until the task is done, and return it.

    Raises TaskFailedError, WaitTimeoutError, AuthenticationError, PermissionDeniedError, and
    NotFoundError for a task that neither retrieve nor list knows for some seconds. Every other
    failed poll is only a delay.
    """
    waiting = _Waiting(task, timeout, poll, on_update, clock)
    while not waiting.is_over():
        yield Sleep(waiting.delay())
        try:
            seen = yield from waiting.look()
        except CreatifyError as error:
            waiting.failed(error)
        else:
            waiting.saw(seen)
    return waiting.outcome()


def generate(
    request: TextGenRequest,
    *,
    timeout: float,
    options: Options,
    poll: PollPolicy,
    on_update: OnUpdate | None,
    clock: Callable[[], float] = time.monotonic,
) -> Steps[TextGenResponse]:
    """Create, then wait; one timeout for both. Raises what both raise."""
    started = clock()
    check_seconds(timeout, "timeout")
    own = _operations.SYNC_TIMEOUT if request.sync else options.timeout or _operations.TIMEOUT
    task = yield from call(_operations.create(request, options.but(min(own, timeout))))
    if on_update is not None:
        on_update(task)
    left = max(timeout - (clock() - started), _SHORTEST)
    return (yield from wait(task, timeout=left, poll=poll, on_update=on_update, clock=clock))


class _Waiting:
    """One wait: what was seen, since when, and what follows from it."""

    def __init__(
        self,
        task: TextGenResponse | UUID | str,
        timeout: float,
        poll: PollPolicy,
        on_update: OnUpdate | None,
        clock: Callable[[], float],
    ) -> None:
        self._id = _operations.as_id(task)
        self._task = task if isinstance(task, TextGenResponse) else None
        self._timeout = check_seconds(timeout, "timeout")
        self._poll = poll
        self._on_update = on_update
        self._clock = clock
        self._started = clock()
        self._unseen = self._task is None
        self._asked_to_wait = 0.0
        self._retrieve_misses = 0
        self._absent: APIStatusError | None = None
        self._absent_since: float | None = None

    def is_over(self) -> bool:
        return self._task is not None and self._task.status in _ENDS

    def delay(self) -> float:
        """Seconds until the next poll. Raises WaitTimeoutError when no time is left."""
        left = self._left()
        if left <= 0:
            raise WaitTimeoutError(
                f"the task was not done after {self._timeout:g} seconds; {self._advice()}",
                task=self._task,
            )
        if self._unseen:
            self._unseen = False
            return 0.0
        chance = random.random()  # noqa: S311 - it spreads load and guards no secret
        delay = self._poll.delay(self._timeout - left, chance)
        return min(max(delay, self._asked_to_wait), left)

    def look(self) -> Steps[TextGenResponse]:
        """The task by its id, else out of the list. Raises what the poll met."""
        # No retries: the next poll is one.
        options = Options(min(max(self._left(), _SHORTEST), _operations.TIMEOUT), max_retries=0)
        if self._retrieve_misses < _RETRIEVE_TRIES:
            try:
                return (yield from call(_operations.retrieve(self._id, options)))
            except APIStatusError as error:
                if error.status_code not in _ABSENT:
                    raise
                self._absent = error
        tasks = yield from call(_operations.list_tasks(options))
        found = next((task for task in tasks if task.id == self._id), None)
        if found is None:
            raise cast("APIStatusError", self._absent)
        self._retrieve_misses += 1
        return found

    def saw(self, task: TextGenResponse) -> None:
        self._absent_since = None
        self._asked_to_wait = 0.0
        if task != self._task:
            self._task = task
            if self._on_update is not None:
                self._on_update(task)

    def failed(self, error: CreatifyError) -> None:
        """Take a failed poll as a delay. Raises it again where polling on is of no use."""
        self._asked_to_wait = getattr(error, "retry_after", None) or 0.0
        if isinstance(error, APIStatusError) and error.status_code in _ABSENT:
            now = self._clock()
            self._absent_since = now if self._absent_since is None else self._absent_since
            if now - self._absent_since <= _GRACE:
                return
        elif not isinstance(error, AuthenticationError | PermissionDeniedError):
            return
        error.add_note(self._advice())
        raise error

    def outcome(self) -> TextGenResponse:
        """The task that is over. Raises TaskFailedError."""
        task = cast("TextGenResponse", self._task)
        if task.status == TextGenResponseStatusEnum.FAILED:
            reason = task.failed_reason or None
            raise TaskFailedError(
                f"the generation {task.id} failed: {reason or 'no reason given'}",
                task=task,
                reason=reason,
            )
        return task

    def _left(self) -> float:
        return self._timeout - (self._clock() - self._started)

    def _advice(self) -> str:
        return f"it may still be running: wait('{self._id}') goes on"
