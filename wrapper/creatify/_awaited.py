"""A task that is waited for: when to look at it, and what an answer or a failure means to it."""

from __future__ import annotations

import copy
import itertools
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from creatify._errors import (
    APIStatusError,
    AuthenticationError,
    ConfigurationError,
    CreatifyError,
    PermissionDeniedError,
    TaskFailedError,
    WaitTimeoutError,
)
from creatify._options import check_function, check_seconds
from creatify._status import retry_after
from creatify_api.models import TextGenResponse, TextGenResponseStatusEnum

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

OnUpdate: TypeAlias = "Callable[[TextGenResponse], object]"
Clock: TypeAlias = "Callable[[], float]"

ABSENT: Final = frozenset({404, 405})
_GRACE: Final = 5.0  # seconds that a task may be unknown: it may not have reached every server yet
_LONGEST_ASKED: Final = 60.0  # seconds of Retry-After that are obeyed, as by a call
_ENDS: Final = frozenset({TextGenResponseStatusEnum.DONE, TextGenResponseStatusEnum.FAILED})
_AT_ONCE: Final = len(TextGenResponseStatusEnum)  # hints: a task's changes may follow quickly
_MOMENTS: Final = itertools.count()  # in order, whatever the clock's grain: hints, and requests


class Hints(Protocol):
    """Where hints arrive that there is news of a task; `creatify.webhooks.Inbox` is one."""

    def subscribe(self, task_id: UUID, hint: Callable[[], object], /) -> Callable[[], object]:
        """Call `hint` when one of that task arrives, from any thread; what is returned ends that.

        At once, if one arrived when nobody was there to hear it.
        """


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


_POLL: Final = PollPolicy()
_POLL_BESIDE_HINTS: Final = PollPolicy(minimum=2.0, maximum=30.0)


@dataclass(frozen=True, slots=True)
class WaitOptions:
    """How a wait goes: `timeout` in seconds."""

    timeout: float
    poll: PollPolicy | None = None
    on_update: OnUpdate | None = None
    inbox: Hints | None = None

    def __post_init__(self) -> None:
        """Raises ConfigurationError, so that nothing is paid for before a mistake is found."""
        check_seconds(self.timeout, "timeout")
        if not isinstance(self.poll, PollPolicy | None):
            raise ConfigurationError(f"poll is a PollPolicy, and not {self.poll!r}")
        check_function(self.on_update, "on_update", "a task")
        can_be_heard = callable(getattr(self.inbox, "subscribe", None))
        if self.inbox is not None and (isinstance(self.inbox, type) or not can_be_heard):
            raise ConfigurationError("inbox is a creatify.webhooks.Inbox(), and nothing else")

    @property
    def policy(self) -> PollPolicy:
        """How often the task is polled: where hints come, a poll is for those that are lost."""
        if self.poll is not None:
            return self.poll
        return _POLL if self.inbox is None else _POLL_BESIDE_HINTS


class Awaited:
    """One task in one wait. The schedule tells it what was seen; its wait asks what follows.

    It is looked at when a poll is planned, and at hints. A hint may be anybody's, and is no more
    than a reason to look. It holds until a request that was sent after it is answered. The first
    few are followed at once, as many as a task has statuses; then one in `poll.minimum` seconds.
    """

    def __init__(
        self, task_id: UUID, waits: WaitOptions, clock: Clock = time.monotonic, *, began: float
    ) -> None:
        self.id = task_id
        self.inbox = waits.inbox
        self.task: TextGenResponse | None = None
        self.planned = self.began = began  # the next poll, by `clock`
        self.delay = 0.0
        self.is_unlisted = False  # it was missing from the list: only its own answer tells
        self.error: CreatifyError | None = None  # what ended the wait
        self.last_error: CreatifyError | None = None
        self._waits = waits
        self._clock = clock
        self._told: TextGenResponse | None = None
        self._asked_to_wait = 0.0
        self._absent_since: float | None = None
        # The moments of the last hint, request, and request that was answered.
        self._hinted = self._asked = self._heeded = -1
        self._hint_due = self._hints_until = self._not_before = -math.inf

    @property
    def due(self) -> float:
        """When it is looked at next, by `clock`."""
        if self._hinted <= self._heeded:
            return self.planned
        return min(self.planned, max(self._hint_due, self._not_before))

    def is_hinted(self, now: float) -> bool:
        """Whether to follow a hint now that came after the last request."""
        return self._hinted > self._asked and max(self._hint_due, self._not_before) <= now

    def is_due(self, now: float, soon: float) -> bool:
        """Whether to look now; also at what is planned within the share `soon` of its delay."""
        return self.due <= now or self.planned - self.delay * soon <= now

    @property
    def is_over(self) -> bool:
        """Whether there is nothing more to look for."""
        return self.error is not None or (self.task is not None and self.task.status in _ENDS)

    @property
    def left(self) -> float:
        """Seconds until the wait's timeout."""
        return self._waits.timeout - (self._clock() - self.began)

    def knows(self, task: TextGenResponse, *, is_news: bool = False) -> None:
        """Take a task as the caller has it; it is news if it was created just now."""
        self.task = task
        if not is_news:
            self._told = task
        self.plan()

    def hint(self, ring: Callable[[], object]) -> None:
        """Look soon, and ring for it; from any thread."""
        if self._hinted <= self._asked:
            now, pause = self._clock(), self._waits.policy.minimum
            self._hint_due = max(now, self._hints_until - (_AT_ONCE - 1) * pause)
            self._hints_until = max(now, self._hints_until) + pause
        self._hinted = next(_MOMENTS)
        ring()

    def ask(self) -> None:
        """Note that a request is sent now: what it finds is an answer to hints before it."""
        self._asked = next(_MOMENTS)

    def saw(self, task: TextGenResponse) -> None:
        """Take what was found, unless a later request that was quicker has found the end."""
        if self.is_over:
            return
        self.last_error = self._absent_since = None
        self._asked_to_wait, self._not_before = 0.0, -math.inf
        self._heeded = self._asked
        if task != self.task:
            self.task = task

    def failed(self, error: CreatifyError) -> None:
        """Take a failed look: a delay, or the end where looking on is of no use."""
        if self.is_over:
            return
        self.last_error = error
        self._asked_to_wait = 0.0
        now = self._clock()
        if isinstance(error, APIStatusError):
            self._asked_to_wait = min(retry_after(error.headers) or 0.0, _LONGEST_ASKED)
            if _is_absent(error):
                self._absent_since = now if self._absent_since is None else self._absent_since
                if now - self._absent_since > _GRACE:
                    self.error = error
        hinted_for = now - self._hint_due if self._hinted > self._heeded else 0.0
        again = self._waits.policy.delay(hinted_for, 0.0)
        self._not_before = now + max(again, self._asked_to_wait)
        if isinstance(error, AuthenticationError | PermissionDeniedError | ConfigurationError):
            self.error = error

    def plan(
        self, since: float = -math.inf, pace: float = 0.0, count: int = 1, chance: float = 0.0
    ) -> None:
        """Set when to look next.

        The delay grows with the time since the wait began, or since the moment `since` if that is
        later. One of `count` tasks waits a little longer than a single one would, up to `pace`
        seconds.
        """
        now, poll = self._clock(), self._waits.policy
        delay = poll.delay(now - max(self.began, since), chance)
        self.delay = max(delay, min(pace, count * poll.minimum))
        self.planned = now + min(max(self.delay, self._asked_to_wait), max(self.left, 0.0))

    @property
    def has_news(self) -> bool:
        """Whether there is something to tell the caller."""
        return self.is_over or self.task != self._told

    def tell(self) -> None:
        """Call `on_update` if the task has changed."""
        task = self.task
        if task is not None and task != self._told:
            self._told = task
            if self._waits.on_update is not None:
                self._waits.on_update(task)

    def outcome(self) -> TextGenResponse:
        """The task, done. Raises TaskFailedError, WaitTimeoutError, or what ended the wait."""
        if self.error is not None:
            # A copy: an error of the list ends the waits of several tasks.
            error = copy.copy(self.error)
            is_unknown = _is_absent(error)
            told = f"there is no task {self.id} to wait for" if is_unknown else self.advice
            error.args = (f"{error}; {told}",)
            raise error from self.error.__cause__
        if self.task is None or not self.is_over:
            met = f"; the last poll met: {self.last_error}" if self.last_error else ""
            raise WaitTimeoutError(
                f"not done after {self._waits.timeout:g} seconds; {self.advice}{met}",
                task=self.task,
            ) from self.last_error
        return outcome_of(self.task)

    @property
    def advice(self) -> str:
        """How to go on: the task is paid for."""
        return f"the task may still be running: wait('{self.id}') goes on"


def outcome_of(task: TextGenResponse) -> TextGenResponse:
    """A task that is over, done. Raises TaskFailedError."""
    if task.status == TextGenResponseStatusEnum.FAILED:
        reason = task.failed_reason or None
        raise TaskFailedError(
            f"the generation {task.id} failed: {reason or 'no reason given'};"
            " what it cost is in .task.credits_used",
            task=task,
            reason=reason,
        )
    return task


def _is_absent(error: CreatifyError) -> bool:
    return isinstance(error, APIStatusError) and error.status_code in ABSENT
