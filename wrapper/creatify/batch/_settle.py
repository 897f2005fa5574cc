"""What became of a batch's requests whose answers were lost, in this run or by the end of another.

The list of tasks is asked for all of them at once. A task is a request's own if it fits and nobody
was given it, as in `_reconcile`. To be sent again a request must have been shown never to have
arrived, by more than that it is not found: nothing that fits was created for long before it, and
nothing since that nobody knows, since the API may tell of a request in other words than it was
sent; the list has answered several times since the request could still have been on its way; and it
reaches back beyond it, because it has the tasks that this batch knows to be there.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from creatify import _operations, _reconcile
from creatify._errors import MAY_BE_CHARGED, CreatifyError, OutcomeUnknownError
from creatify._flow import Send, Sleep
from creatify._ledger import key_of, shared_fields
from creatify._options import Options
from creatify._reconcile import created_at
from creatify._status import date_of
from creatify_api.models import TextGenResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from uuid import UUID

    from creatify._ledger import Entry, Ledger
    from creatify._operations import Steps
    from creatify._schema import JSON, Drift
    from creatify.batch._input import Asked

ARRIVES_WITHIN: Final = 60.0
"""Seconds in which a request whose answer was lost may still arrive: a proxy may hold it, or a
server that is overloaded.
"""
_LEAST_ANSWERS: Final = 3  # of the list, until it is believed that it does not have a task
_FIRST: Final = 3  # times that the list is asked at first; the end of a batch has more time
_LONGEST_ASK: Final = 10.0  # seconds for one answer of the list
_TICK, _TICKS = 0.05, 40  # seconds between two looks at identical calls, and how many looks
_SKEW: Final = timedelta(seconds=2)  # between clocks that are the same but for rounding
_UNDATED: Final = timedelta(seconds=60)  # by which this machine's clock may be wrong, of itself
_DOUBT: Final = timedelta(hours=1)  # before the first task of all, in which it may have come, too
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


AN_EARLIER_RUN: Final = CreatifyError("an earlier run was ended before it had the answer")
"""Why a request of the journal is in doubt."""


@dataclass(eq=False, slots=True)
class Doubt:
    """A request that was to be sent, `at` this machine's time, and whose task is not known.

    `sequence` says which tasks' ids were learned later; `lost` is the moment, by the monotonic
    clock, from which on nobody could hear its answer.
    """

    asked: Asked
    entry: Entry
    at: datetime
    sequence: int
    lost: float
    error: CreatifyError
    candidates: list[TextGenResponse] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Settled:
    """What was found: the tasks of some, those that never arrived, and those still in doubt."""

    adopted: list[tuple[Doubt, TextGenResponse]]
    absent: list[Doubt]
    open: list[Doubt]
    error: CreatifyError | None
    is_last: bool
    asked: None = None  # it is for no single request


class Learned:
    """The ids of a batch's tasks, in the order in which they became known. Threads may share it."""

    def __init__(self, found: Mapping[UUID, int] | None = None, after: int = 0) -> None:
        self._numbers = itertools.count(after + 1)
        self._ids: dict[UUID, int] = dict(found or {})

    def __contains__(self, task_id: UUID) -> bool:
        return task_id in self._ids

    def now(self) -> int:
        """A place in the order: what is added later comes after it."""
        return next(self._numbers)

    def add(self, task_id: UUID) -> None:
        """A task is known."""
        self._ids[task_id] = next(self._numbers)

    @property
    def ids(self) -> set[UUID]:
        """All of them."""
        return set(self._ids)

    def around(self, sequence: int) -> tuple[UUID | None, set[UUID]]:
        """The last one that was known before, and all that came later."""
        known = list(self._ids.items())
        before = max(((n, task_id) for task_id, n in known if n < sequence), default=None)
        later = {task_id for task_id, n in known if n > sequence}
        return (None if before is None else before[1]), later


def settle(
    doubts: Collection[Doubt],
    learned: Learned,
    ledger: Ledger,
    *,
    is_last: bool,
    may_resend: bool = True,
    clock: Callable[[], float] = time.monotonic,
) -> Steps[Settled]:
    """Ask the list what became of them.

    It takes a second or two; when it is the last time, as long as it takes to tell that a request
    never arrived, if that matters.
    """
    if is_last and may_resend:
        latest = max(doubt.lost for doubt in doubts) + ARRIVES_WITHIN
        yield Sleep(max(latest - clock(), 0.0))
    open_, adopted = list(doubts), list[tuple[Doubt, TextGenResponse]]()
    listing: _Listing | None = None
    error: CreatifyError | None = None
    answers = 0
    for delay in _reconcile.DELAYS if is_last else _reconcile.DELAYS[:_FIRST]:
        yield Sleep(delay)
        try:
            listing = yield from _ask(open_)
        except CreatifyError as met:
            error = met
            continue
        except Exception as met:  # noqa: BLE001 - of the caller's credentials: it must not hide
            error = CreatifyError(f"{type(met).__name__}: {met}")
            continue
        asked, error, answers = clock(), None, answers + 1
        for doubt in (yield from _rivals_end(open_, ledger)):
            # What this batch was given, however long ago, is no other request's of it.
            candidates = [c for c in listing.fitting(doubt) if c.id not in learned]
            task, doubt.candidates = ledger.claim(doubt.entry, candidates, asked)
            if task is not None:
                adopted.append((doubt, task))
                open_.remove(doubt)
        if not open_ or answers == _reconcile.ANSWERS:
            break
    absent = []
    if is_last and listing is not None and answers >= _LEAST_ANSWERS:
        absent = [doubt for doubt in open_ if _is_absent(doubt, listing, learned, ledger)]
    return Settled(adopted, absent, [d for d in open_ if d not in absent], error, is_last)


def outcome_unknown(doubt: Doubt, list_error: CreatifyError | None) -> OutcomeUnknownError:
    """The error of a request that could not be settled."""
    count = len(doubt.candidates)
    told = (
        f"the list, which would tell, could not be asked ({list_error})"
        if list_error is not None
        else f"the list has {count} tasks that may be its own (.candidates)"
        if count
        else "the list does not have it, nor shows that it would; resend_unknown (in the command"
        " line --resend-unknown) sends it again, and may pay twice"
    )
    met = str(doubt.error).replace(MAY_BE_CHARGED, "")
    return OutcomeUnknownError(
        f"{met}{MAY_BE_CHARGED} and was not sent again: {told}",
        request=doubt.asked.request,
        started_at=doubt.at,
        candidates=doubt.candidates,
        list_error=list_error,
    )


class _Listing:
    """An answer of the list, with what may be some request's own of it, oldest first."""

    def __init__(self, wanted: set[str], payload: JSON, drifts: set[Drift] | None) -> None:
        items = payload if isinstance(payload, list) else []
        dated = sorted(((created_at(item), n) for n, item in enumerate(items)))
        self.created = {_id_of(items[n]): created for created, n in dated}
        self.offset = timedelta(0)
        self._fit: dict[str, list[tuple[datetime, TextGenResponse]]] = {}
        for created, n in dated:
            group = key_of(shared_fields(items[n]))
            if group in wanted:
                task = _operations.model_of(TextGenResponse, items[n], drifts, f"$[{n}]")
                self._fit.setdefault(group, []).append((created, task))

    def fitting(self, doubt: Doubt) -> list[TextGenResponse]:
        """The tasks that may be its own, if the clocks are right."""
        sent = doubt.at + self.offset
        took = timedelta(seconds=doubt.asked.operation.call.timeout + ARRIVES_WITHIN)
        return self.fitting_in(doubt, sent - _SKEW, sent + took + _UNDATED)

    def fitting_in(
        self, doubt: Doubt, since: datetime, until: datetime = _NEVER
    ) -> list[TextGenResponse]:
        """Those that were created then."""
        found = self._fit.get(key_of(doubt.entry.asked), ())
        return [task for created, task in found if since <= created <= until]

    def since(self, before: UUID | None, later: Collection[UUID], at: datetime) -> datetime:
        """From when on a request's task may have been created, whatever a clock said.

        After the last task that was known `before` it; and else long before it was sent `at` this
        machine's time, and before the first that was known `later`. They have to be in the list.
        """
        if before is not None:
            return self.created[str(before)] - _SKEW
        return min(at + self.offset, *(self.created[str(one)] for one in later)) - _DOUBT


def _id_of(item: JSON) -> str:
    return str(item.get("id") if isinstance(item, dict) else None).lower()


def _ask(doubts: Iterable[Doubt]) -> Steps[_Listing]:
    wanted = {key_of(doubt.entry.asked) for doubt in doubts}
    call = _operations.list_tasks(Options(_LONGEST_ASK, max_retries=0)).call
    response = yield Send(call)
    listing = _operations.Operation(call, partial(_Listing, wanted)).read(response)
    now = datetime.now(UTC)
    date = date_of(response.headers) or now - _UNDATED
    listing.offset = min(date - now, timedelta(0))
    return listing


def _rivals_end(doubts: Iterable[Doubt], ledger: Ledger) -> Steps[list[Doubt]]:
    """Wait a little for identical calls under way: a task in the list may yet be one of theirs.

    Those are given for which nothing is left to wait.
    """
    rivals = [(doubt, ledger.rivals(doubt.entry)) for doubt in doubts]
    for _ in range(_TICKS):
        if all(rival.is_settled for _, others in rivals for rival in others):
            break
        yield Sleep(_TICK)
    return [doubt for doubt, others in rivals if all(rival.is_settled for rival in others)]


def _is_absent(doubt: Doubt, listing: _Listing, learned: Learned, ledger: Ledger) -> bool:
    """Whether the list shows that a request never arrived."""
    before, later = learned.around(doubt.sequence)
    known = later if before is None else {before, *later}
    if not known or not all(str(task_id) in listing.created for task_id in known):
        return False  # nothing shows that this list has what this batch created
    since = listing.since(before, later, doubt.at)
    doubt.candidates = ledger.free(listing.fitting_in(doubt, since))
    if before is None and min(listing.created.values()) >= since:
        return False  # it may be cut off just behind what this batch knows
    recent = {task_id for task_id, created in listing.created.items() if created >= since}
    return not doubt.candidates and all(map(ledger.is_given, recent))
