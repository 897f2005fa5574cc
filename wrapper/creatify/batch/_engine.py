"""What a batch does next: decisions over what has happened, without I/O.

A driver asks for the `next` step, takes it (starts a job; or gives results to the caller and waits
for a job), and tells what the jobs came to.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sized
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from creatify._errors import APIConnectionError, InsufficientCreditsError
from creatify._log import LOGGER
from creatify.batch._flows import (
    FATAL,
    Context,
    Failed,
    Over,
    Refused,
    as_was,
    generate,
    watch,
)
from creatify.batch._input import Asked, Unfit, read
from creatify.batch._pace import Budget, Pace, is_passing
from creatify.batch._past import Earlier
from creatify.batch._results import Results
from creatify.batch._settle import AN_EARLIER_RUN, Doubt, Settled, outcome_unknown, settle
from creatify.batch._types import (
    BatchBudgetError,
    BatchProgress,
    BatchResult,
    JournalError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from uuid import UUID

    from creatify.batch._flows import Job
    from creatify.batch._journal import Past
    from creatify.batch._types import Item
    from creatify_api.models import TextGenResponse

_TICK: Final = 1.0  # seconds after which the caller is told of progress, come what may


@dataclass(frozen=True, slots=True)
class Start:
    """Begin a job; `asked` is the request that it is for, if it is for one."""

    asked: Asked | None
    flow: Job


@dataclass(frozen=True, slots=True)
class Turn:
    """Give the results to the caller, then wait for a job to end, at most that many seconds."""

    results: tuple[BatchResult, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What the caller asked for."""

    concurrency: int
    ordered: bool
    timeout: float
    resend_unknown: bool


Step: TypeAlias = Start | Turn
Outcome: TypeAlias = Over | Refused | Doubt | Settled | Failed


class Engine:
    """The state of a batch. When `next` gives None, it is over; `error` is what ended it early."""

    def __init__(
        self,
        requests: Iterable[Item],
        plan: Plan,
        budget: Budget,
        context: Context,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.error: BaseException | None = None
        self._items = enumerate(requests)
        self._plan = plan
        self._budget = budget
        self._context = context
        self._journal = context.journal
        self._clock = clock
        self._began = clock()
        self._pace = Pace(plan.concurrency, plan.timeout, clock)
        self._earlier = Earlier(context.journal)
        # What may yet cost something, and stays so where that is never known.
        self._reserved = sum(past.open for past in self._earlier.left.values())
        self._total = len(requests) if isinstance(requests, Sized) else None
        self._read = 0
        self._has_ended = False
        self._queue: deque[Asked] = deque()  # to be sent
        self._watches: deque[tuple[Asked, TextGenResponse | UUID, bool]] = deque()
        self._under_way = 0
        self._lost: list[Doubt] = []  # not looked for yet
        self._doubts: list[Doubt] = []  # looked for, and not found
        self._asked_about: list[Doubt] = []  # being looked for
        self._sent_again: set[int] = set()
        self._absent: set[int] = set()  # of these, before they are
        self._results = Results(is_ordered=plan.ordered)
        self._resumed = 0

    def next(self) -> Step | None:
        """What to do now."""
        if (trouble := self._pace.hopeless) is not None:
            self._end(trouble)
        while True:
            if self._may_settle():
                return self._settle()
            if (start := self._start()) is not None:
                return start
            if self._may_read():
                self._read_one()
            elif self._results.ready:
                return Turn((self._results.deliver(),), 0.0)
            elif self._is_stuck():
                return self._settle()
            elif self._under_way or self._asked_about or self._pause:
                return Turn((), min(self._pause or _TICK, _TICK))
            elif self._queue:
                self._end(self._over_budget())
            else:
                return None

    def took(self, outcomes: Iterable[Outcome]) -> None:
        """Jobs have ended."""
        for outcome in outcomes:
            self._took(outcome)
        if self._journal is not None and self._journal.error is not None:
            self._end(self._journal.error)

    def left(self, error: BaseException) -> None:
        """Say which tasks nobody got, where no journal has them."""
        ids = self._context.learned.ids - self._results.delivered
        if ids and self._journal is None:
            told = f"{len(ids)} tasks of this batch were paid for and not delivered:"
            told = " ".join([told, *map(str, ids)])
            LOGGER.warning(told)
            error.add_note(told)

    def close(self) -> None:
        """Nothing follows: what is in doubt is of nobody's any more."""
        for doubt in (*self._lost, *self._doubts, *self._asked_about):
            doubt.entry.end()

    @property
    def progress(self) -> BatchProgress:
        """How far it is."""
        elapsed = self._clock() - self._began
        results = self._results
        over = results.done + results.failed + results.unknown
        fresh = over - self._resumed
        left = None if self._total is None else max(self._total - over, 0)
        return BatchProgress(
            total=self._total,
            done=results.done,
            failed=results.failed,
            unknown=results.unknown,
            in_flight=self._under_way + len(self._unsettled),
            resumed=self._resumed,
            credits_used=self._budget.spent,
            credits_reserved=self._budget.reserved(self._reserved),
            elapsed=elapsed,
            remaining=None if left is None or not fresh else left * elapsed / fresh,
            limit=int(self._pace.limit),
        )

    @property
    def _unsettled(self) -> list[Doubt]:
        return [*self._lost, *self._doubts, *self._asked_about]

    @property
    def _pause(self) -> float:
        """Seconds until what waits to be sent may be."""
        return self._pace.pause if self._queue else 0.0

    def _took(self, outcome: Outcome) -> None:
        self._under_way -= outcome.asked is not None
        match outcome:
            case Over():
                self._is_over(outcome)
            case Refused():
                self._was_refused(outcome)
            case Doubt():
                self._lost.append(outcome)
                self._pace.met(outcome.error, outcome.lost)
            case Settled():
                self._has_settled(outcome)
            case _:
                self._has_failed(outcome)

    def _start(self) -> Start | None:
        if self._watches and self._under_way < self._plan.concurrency:
            asked, task, is_new = self._watches.popleft()
            self._under_way += 1
            return Start(asked, watch(asked, task, self._context, is_new=is_new))
        if self._queue and self._may_send():
            asked = self._queue.popleft()
            self._under_way += 1
            self._reserved += 1
            was_absent = asked.index in self._absent
            self._absent.discard(asked.index)
            return Start(asked, generate(asked, self._context, was_absent=was_absent))
        return None

    def _may_send(self) -> bool:
        # Later tasks may be what tells of earlier doubts; but not more and more of them at risk.
        doubts = sum(doubt.error is not AN_EARLIER_RUN for doubt in self._unsettled)
        return (
            self._under_way < int(self._pace.limit)
            and doubts <= self._plan.concurrency
            and not self._pace.pause
            # All of the journal is held against the input first, if that can be.
            and not (self._earlier.left and self._results.have_room(self._read))
            and self._budget.allows(self._reserved)
        )

    def _may_read(self) -> bool:
        has_room = self._results.have_room(self._read)
        if self._has_ended or not has_room or self._results.ready >= self._plan.concurrency:
            return False
        if self._earlier.left:
            return not self._watches
        return not self._queue and self.error is None

    def _read_one(self) -> None:
        try:
            index, item = next(self._items)
        except StopIteration:
            self._has_ended, self._total = True, self._read
            try:
                self._earlier.end()
            except JournalError as error:
                self._end(error)
        except Exception as error:  # noqa: BLE001 - of the caller's: raised when all is delivered
            self._has_ended = True
            self._earlier.left.clear()
            self._end(error)
        else:
            self._read = index + 1
            self._take(read(index, item, self._context.options, self._plan.timeout))

    def _take(self, asked: Asked | Unfit) -> None:
        """Go on with a request of the input."""
        try:
            past = self._earlier.take(asked)
        except JournalError as error:
            self._end(error)
            self._results.keep(asked.index, None)
            return
        if isinstance(asked, Unfit):
            invalid = BatchResult(asked.index, asked.key, None, "invalid", error=asked.error)
            self._results.keep(asked.index, invalid)
        elif past is not None:
            self._resume(asked, past)
        elif self.error is None:
            self._queue.append(asked)
        else:
            self._results.keep(asked.index, None)

    def _resume(self, asked: Asked, past: Past) -> None:
        """Go on with a request that an earlier run sent."""
        if past.place is not None and self._journal is not None:
            self._resumed += 1
            self._result(as_was(asked, self._journal.task(past)))
        elif past.id is not None:
            self._watches.append((asked, past.id, False))
        else:
            entry = self._context.ledger.begin(asked.request, asked.content)
            entry.is_lost = True
            # When that run was ended is not known; by now it was.
            lost = self._clock()
            self._lost.append(Doubt(asked, entry, past.at, past.sequence, lost, AN_EARLIER_RUN))

    def _may_settle(self) -> bool:
        """Whether to ask the list: once for all that the journal and the jobs left in doubt."""
        return bool(self._lost) and not self._earlier.left and not self._asked_about

    def _is_stuck(self) -> bool:
        """Whether what is in doubt is all that is left, or all that may be done."""
        idle = not self._under_way and not self._asked_about and not self._pause
        return idle and bool(self._lost or self._doubts)

    def _settle(self) -> Start:
        """Ask what became of all that are in doubt; for the last time, if nothing else is left."""
        is_last = not self._lost
        self._asked_about, self._lost, self._doubts = [*self._lost, *self._doubts], [], []
        may_resend = self.error is None
        flow = settle(
            self._asked_about,
            self._context.learned,
            self._context.ledger,
            is_last=is_last and may_resend,
        )
        return Start(None, flow)

    def _has_settled(self, settled: Settled) -> None:
        self._asked_about = []
        for doubt, task in settled.adopted:
            LOGGER.warning("an answer was lost, and its task %s found in the list", task.id)
            doubt.entry.end()
            self._watches.append((doubt.asked, task, True))
        for doubt in settled.absent:
            if self._may_again(doubt):
                self._absent.add(doubt.asked.index)
                self._reserved -= 1
                self._again(doubt)
            else:
                self._is_unknown(doubt, settled)
        for doubt in settled.open:
            if not settled.is_last and self.error is None:
                self._doubts.append(doubt)
            elif self._plan.resend_unknown and self._may_again(doubt):
                self._again(doubt)
            else:
                self._is_unknown(doubt, settled)

    def _may_again(self, doubt: Doubt) -> bool:
        # Once: what the API never takes would be sent for ever, and may cost each time.
        return self.error is None and doubt.asked.index not in self._sent_again

    def _again(self, doubt: Doubt) -> None:
        doubt.entry.end()
        self._sent_again.add(doubt.asked.index)
        self._queue.appendleft(doubt.asked)

    def _is_unknown(self, doubt: Doubt, settled: Settled) -> None:
        doubt.entry.end()
        error = outcome_unknown(doubt, settled.error)
        self._result(Over(doubt.asked, "unknown", None, error))

    def _is_over(self, over: Over) -> None:
        if over.status != "unfinished" and over.task is not None:
            self._reserved -= 1
            self._budget.charge(over.task)
            self._pace.went_well()
        if over.ends is not None:
            self._end(over.ends)
        self._result(over)

    def _has_failed(self, failed: Failed) -> None:
        self._end(failed.error)
        if failed.asked is not None:
            self._results.keep(failed.asked.index, None)
        else:
            self._has_settled(Settled([], [], self._asked_about, None, is_last=True))

    def _was_refused(self, refused: Refused) -> None:
        self._reserved -= 1
        if is_passing(refused.error):
            self._pace.refused(refused.error, refused.began, refused.at)
            self._queue.appendleft(refused.asked)
            if self.error is not None:
                self._end(self.error)
        elif isinstance(refused.error, (*FATAL, InsufficientCreditsError, APIConnectionError)):
            self._end(refused.error)
            self._results.keep(refused.asked.index, None)
        else:
            self._pace.went_well()
            self._result(Over(refused.asked, "rejected", None, refused.error))

    def _over_budget(self) -> BatchBudgetError:
        why = self._budget.refusal(self._reserved)
        hint = "" if self._journal is None else ": the same journal goes on with a larger one"
        return BatchBudgetError(f"no more requests were sent: {why}{hint}", progress=self.progress)

    def _end(self, error: BaseException) -> None:
        """Send nothing more; it is raised when what is under way has been delivered."""
        self.error = self.error or error
        while self._queue:
            self._results.keep(self._queue.popleft().index, None)

    def _result(self, over: Over) -> None:
        asked = over.asked
        result = BatchResult(
            asked.index, asked.key, asked.request, over.status, over.task, over.error
        )
        self._results.keep(asked.index, result)
