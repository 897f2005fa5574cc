"""One schedule for all tasks that a client waits for, in however many waits.

Whoever is due first looks for all that are due soon: in the list, or one by one, whichever was
cheaper of late. The others sleep until there is news of theirs.
"""

from __future__ import annotations

import math
import random
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from creatify import _operations
from creatify._awaited import ABSENT
from creatify._body import NotWorthError
from creatify._errors import (
    APIStatusError,
    AuthenticationError,
    ConfigurationError,
    CreatifyError,
    PermissionDeniedError,
    RateLimitError,
    ResponseDecodeError,
)
from creatify._flow import Send, SendAll, Sleep, Wake
from creatify_api.models import TextGenResponse

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from uuid import UUID

    import httpx

    from creatify._awaited import Awaited, Clock
    from creatify._operations import Operation, Steps
    from creatify._options import Options

_BY_LIST: Final = 0.55  # seconds between two looks at many tasks in the list
_ONE_BY_ONE: Final = 1.15  # the same for looks at each
_SOON: Final = 0.5  # share of its delay by which a task may be looked at early, along with others
_SEVERAL: Final = 2
_AT_ONCE: Final = 16  # requests, each for one task, that an event loop has under way
_SHORTEST: Final = 1.0  # seconds; a look gets at least this long for its answer
_LEAST: Final = 0.001  # seconds; a timeout is above 0
_RETRIEVE_TRIES: Final = 3  # answers that there is no such task before the list is asked first
_DISTRUST: Final = 4.0  # times that a list costs more after each failure in a row
_FORGIVEN: Final = 15.0  # seconds until that is forgotten, and more each time
_OF_ALL: Final = (AuthenticationError, PermissionDeniedError, RateLimitError)
# What costs as much as one request more: so many bytes, so many seconds until an answer.
_BYTES: Final = 20_000
_SECONDS: Final = 0.1


class Schedule:
    """Who waits for which tasks, and who looks."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._awaited: dict[Awaited, Wake] = {}
        self._looking = threading.Lock()  # who looks has it; nobody waits for it
        self._blocked: dict[Wake, None] = {}  # who sleeps until the look is over
        self._last_news = -math.inf
        self._costs = _Costs()

    @contextmanager
    def joined(self, own: Collection[Awaited], wake: Wake) -> Iterator[None]:
        """Let everybody look for one's own tasks; news of them ring, and hints."""
        self._awaited.update(dict.fromkeys(own, wake))
        try:
            with ExitStack() as subscriptions:
                for awaited in own:
                    if awaited.inbox is not None:
                        hint = partial(awaited.hint, wake.ring)
                        subscriptions.callback(awaited.inbox.subscribe(awaited.id, hint))
                yield
        finally:
            for awaited in own:
                self._awaited.pop(awaited, None)

    def step(self, own: Collection[Awaited], wake: Wake, options: Options) -> Steps[None]:
        """Look, if it is time to and nobody does, else sleep until there may be news."""
        now = self._clock()
        delay = min(awaited.due for awaited in own) - now
        left = max(min(awaited.left for awaited in own), 0.0)
        if delay > 0:
            yield Sleep(delay, wake)
        elif self._looking.acquire(blocking=False):
            try:
                everybody = dict(self._awaited)  # others come and go meanwhile, in their threads
                yield from self._look(everybody, _due(own, everybody, now), options, left)
            finally:
                self._looking.release()
                for blocked in list(self._blocked):
                    blocked.ring()
        elif hinted := [awaited for awaited in own if awaited.is_hinted(now)]:
            # The look under way may be long, and too old for the hint.
            yield from self._look(dict.fromkeys(hinted, wake), hinted, options, left)
        else:
            self._blocked[wake] = None
            try:
                if self._looking.locked():
                    yield Sleep(left, wake)
            finally:
                self._blocked.pop(wake, None)

    def _look(
        self, everybody: dict[Awaited, Wake], due: list[Awaited], options: Options, left: float
    ) -> Steps[None]:
        now = self._clock()
        bounds = _Bounds(options, now + max(left, _SHORTEST), self._clock)
        look = _Look(self._costs, everybody, due, bounds)
        try:
            yield from look.steps()
        finally:
            self._tell(look, everybody, self._clock() - now)

    def _tell(self, look: _Look, everybody: dict[Awaited, Wake], seconds: float) -> None:
        """Plan the next looks at what was looked at, and wake whom there is news for."""
        if any(awaited.is_over for awaited in look.told):
            self._last_news = self._clock()
        chance = random.random()  # noqa: S311 - it spreads load and guards no secret
        pace = (_BY_LIST if look.has_list else _ONE_BY_ONE) - seconds
        for awaited in look.told:
            awaited.plan(self._last_news, pace, len(everybody), chance)
            if awaited.has_news:
                everybody[awaited].ring()


@dataclass(frozen=True, slots=True)
class _Bounds:
    """How long a look may take: a request as long as any call, and all of them `until` then."""

    options: Options
    until: float
    clock: Clock

    @property
    def left(self) -> float:
        """Seconds that the look still has."""
        return self.until - self.clock()

    def now(self) -> Options:
        """How a request is sent now; never again, because the next look is that."""
        longest = self.options.timeout or _operations.TIMEOUT
        return self.options.but(min(max(self.left, _LEAST), longest), max_retries=0)


class _Look:
    """One look at the tasks that are due; what the list says of others is taken along."""

    def __init__(
        self,
        costs: _Costs,
        everybody: Iterable[Awaited],
        due: Iterable[Awaited],
        bounds: _Bounds,
    ) -> None:
        self.told: dict[Awaited, None] = {}
        self.has_list = False
        self._costs = costs
        self._bounds = bounds
        self._clock = bounds.clock
        self._all: dict[UUID, list[Awaited]] = {}
        for awaited in everybody:
            self._all.setdefault(awaited.id, []).append(awaited)
        self._due = dict.fromkeys(awaited.id for awaited in due)  # and not looked at yet

    def steps(self) -> Steps[None]:
        """Look, in the list or one by one, whichever is cheaper."""
        costs = self._costs
        listed = sum(not self._all[task_id][0].is_unlisted for task_id in self._due)
        if costs.is_list_cheaper(listed, self._clock()):
            yield from self._list(costs.most_bytes(listed))
        absent: dict[UUID, APIStatusError] = {}
        # The first answer tells what one costs; the others stay due.
        left = list(self._due)[: None if costs.retrieve or self.has_list else 1]
        while left and self._bounds.left > 0:
            yield from self._retrieve(left[:_AT_ONCE], absent)
            left = [task_id for task_id in left[_AT_ONCE:] if task_id in self._due]
        if absent and not self.has_list:
            yield from self._list(None)
            costs.misses += any(task_id not in self._due for task_id in absent)
        for task_id, error in absent.items():
            self._failed([task_id], error)

    def _list(self, most_bytes: int | None) -> Steps[None]:
        """Look in the list, for all; not further into it than is worth it."""
        operation = _operations.find_tasks(self._all.keys(), self._bounds.now(), most_bytes)
        began = self._asked(self._all)
        try:
            response = yield Send(operation.call)
            seconds = self._clock() - began
            found = operation.read(response)
        except NotWorthError as error:
            self._costs.list = _cost(error.size)
        except ConfigurationError:
            raise  # of the client that looks, and of no other
        except CreatifyError as error:
            self._costs.list_fails(self._clock())
            is_next = self._costs.is_list_cheaper(len(self._due), self._clock())
            if most_bytes is None or is_next or isinstance(error, RateLimitError):
                self._failed(list(self._due), error)
        else:
            self.has_list, self._costs.list_failures = True, 0
            self._costs.list = _cost(len(response.content), seconds)
            tasks = {task.id: task for task in found}
            for task_id, awaiting in self._all.items():
                for awaited in awaiting:
                    awaited.is_unlisted = task_id not in tasks
                if task_id in tasks:
                    self._saw(task_id, tasks[task_id])

    def _retrieve(self, task_ids: list[UUID], absent: dict[UUID, APIStatusError]) -> Steps[None]:
        """Look at some tasks, each by itself."""
        options = self._bounds.now()
        operations = [_operations.retrieve(task_id, options) for task_id in task_ids]
        began = self._asked(task_ids)
        # A list, though the type of a flow knows of single answers only.
        answers: Any = yield SendAll([operation.call for operation in operations])
        seconds = (self._clock() - began) / len(answers)
        lost: dict[UUID, CreatifyError] = {}
        for task_id, operation, met in zip(task_ids, operations, answers, strict=False):
            found = _read(operation, met)
            if isinstance(found, TextGenResponse):
                self._costs.retrieve = _cost(len(met.content), seconds)
                self._costs.misses = 0
                self._saw(task_id, found)
            elif isinstance(found, APIStatusError) and found.status_code in ABSENT:
                absent[task_id] = found
            elif isinstance(found, _OF_ALL):
                self._failed(list(self._due), found)
            else:
                lost[task_id] = found
        is_down = len(lost) == len(answers) and not any(map(_is_answer, lost.values()))
        for task_id, error in lost.items():
            self._failed(list(self._due) if is_down else [task_id], error)

    def _asked(self, task_ids: Iterable[UUID]) -> float:
        """When it is asked for these, which is now."""
        for task_id in task_ids:
            for awaited in self._all[task_id]:
                awaited.ask()
        return self._clock()

    def _saw(self, task_id: UUID, task: TextGenResponse) -> None:
        self._due.pop(task_id, None)
        for awaited in self._all[task_id]:
            awaited.saw(task)
            self.told[awaited] = None

    def _failed(self, task_ids: Iterable[UUID], error: CreatifyError) -> None:
        for task_id in task_ids:
            if task_id in self._due:
                del self._due[task_id]
                for awaited in self._all[task_id]:
                    awaited.failed(error)
                    self.told[awaited] = None


class _Costs:
    """What the last looks cost, in requests."""

    def __init__(self) -> None:
        self.retrieve: float | None = None
        self.list: float | None = None
        self.list_failures = 0  # in a row
        self.list_again = -math.inf  # until then they make it dearer
        self.misses = 0  # looks, since retrieve knew one, where it did not and the list did

    def is_list_cheaper(self, count: int, now: float) -> bool:
        """Whether to look for so many tasks in the list."""
        if self.misses >= _RETRIEVE_TRIES:
            return True
        if count < _SEVERAL or self.retrieve is None:
            return False
        failures = self.list_failures if now < self.list_again else 0
        known = self.list or (_cost(0) if failures else 0.0)
        return known * _DISTRUST**failures <= count * self.retrieve

    def list_fails(self, now: float) -> None:
        """Trust the list less, for longer each time."""
        self.list_failures += 1
        self.list_again = now + _FORGIVEN * self.list_failures

    def most_bytes(self, count: int) -> int | None:
        """How large a list may be to be cheaper; None if there is no other way."""
        if self.misses >= _RETRIEVE_TRIES or self.retrieve is None:
            return None
        return int((count * self.retrieve - 1) * _BYTES)


def _due(own: Collection[Awaited], everybody: Collection[Awaited], now: float) -> list[Awaited]:
    """What to look at now, one's own first."""
    # In any order, so that one that hangs keeps no other from being looked at for ever.
    others = random.sample(list(everybody), len(everybody))
    # A poll takes along what is due soon. A hint does not: it costs one request, and is quick.
    soon = _SOON if any(awaited.planned <= now for awaited in own) else 0.0
    return [a for a in (*own, *others) if a.is_due(now, soon) and not a.is_over]


def _cost(size: int, seconds: float = 0.0) -> float:
    return 1 + size / _BYTES + seconds / _SECONDS


def _read(
    operation: Operation[TextGenResponse], met: httpx.Response | CreatifyError
) -> TextGenResponse | CreatifyError:
    """What an answer says. Raises ConfigurationError: of the client that looks, and no other."""
    if isinstance(met, ConfigurationError):
        raise met
    try:
        return met if isinstance(met, CreatifyError) else operation.read(met)
    except CreatifyError as error:
        return error


def _is_answer(error: CreatifyError) -> bool:
    return isinstance(error, APIStatusError | ResponseDecodeError)
