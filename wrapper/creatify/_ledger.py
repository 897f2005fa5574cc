"""Which paid calls are under way, and which tasks were given to whom.

After a lost answer only this tells one's own task from that of an identical call beside it. One
ledger for each base URL holds for all clients of the process, in every thread and event loop. It
does no I/O and forgets what no open call can need.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from functools import cache, cached_property
from typing import TYPE_CHECKING, Final, Self
from weakref import WeakSet

from creatify._schema import JSON, properties
from creatify_api.models import TextGenRequest, TextGenResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from uuid import UUID

KEPT: Final = 90.0
"""Seconds before the start of the oldest open call for which tasks that were given are kept."""


class Entry:
    """A paid call that is under way; leaving the `with` block ends it."""

    def __init__(self, ledger: Ledger, request: TextGenRequest, started: float) -> None:
        self.request = request
        self.started = started
        self.is_lost = False
        self._ledger = ledger

    @cached_property
    def asked(self) -> JSON:
        """What its task has in common with it; computed only if an answer is lost."""
        return shared_fields(self.request.to_dict())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end()

    def end(self, given: UUID | None = None) -> None:
        """It is over, with that task if it got one."""
        self._ledger.end(self, given)


class Ledger:
    """The open calls and the given tasks of one API."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._open: WeakSet[Entry] = WeakSet()  # a stream that nobody holds any more is over
        self._given: dict[UUID, None] = {}
        self._given_at: deque[tuple[float, UUID]] = deque()

    def begin(self, request: TextGenRequest) -> Entry:
        """Enter a paid call, before it is sent."""
        with self._lock:
            entry = Entry(self, request, self._clock())
            self._open.add(entry)
            return entry

    def end(self, entry: Entry, given: UUID | None) -> None:
        """A call is over, with that task if it got one."""
        with self._lock:
            if given is not None:
                self._give(given)
            self._open.discard(entry)
            self._forget()

    def rivals(self, entry: Entry) -> list[Entry]:
        """The identical calls that are under way and may yet get their own answer."""
        with self._lock:
            others = [other for other in self._open if other is not entry and not other.is_lost]
        return [other for other in others if other.asked == entry.asked]

    def is_settled(self, entry: Entry) -> bool:
        """Whether it is known what came of a call: its own answer, or that this was lost."""
        return entry.is_lost or entry not in self._open

    def claim(
        self, entry: Entry, candidates: Sequence[TextGenResponse]
    ) -> tuple[TextGenResponse | None, list[TextGenResponse]]:
        """The candidate that a lost call gets, if any, and those that nobody was given.

        Identical calls whose answers were lost share the candidates, one each: which is whose makes
        no difference. More candidates than such calls come from elsewhere too, and none is given.
        `candidates` are oldest first, created since the call began, and all identical calls beside
        it are settled.
        """
        with self._lock:
            free = [task for task in candidates if task.id not in self._given]
            lost = [other for other in self._open if other.is_lost and other.asked == entry.asked]
            if not free or len(free) > len(lost):
                return None, free
            entry.is_lost = False
            self._give(free[0].id)
            return free[0], free

    def _give(self, task_id: UUID) -> None:
        self._given[task_id] = None
        self._given_at.append((self._clock(), task_id))

    def _forget(self) -> None:
        """A task given so long before any open call began is none of its candidates."""
        now = self._clock()
        if not self._given_at or self._given_at[0][0] >= now - KEPT:
            return
        oldest = min((entry.started for entry in self._open), default=now)
        while self._given_at and self._given_at[0][0] < oldest - KEPT:
            self._given.pop(self._given_at.popleft()[1], None)


def ledger_of(base_url: str) -> Ledger:
    """The process's one ledger for that API."""
    return _ledgers.setdefault(base_url, Ledger())


def shared_fields(body: JSON) -> JSON:
    """What a request and its task have in common, in one form.

    Servers write what is absent as null or as empty, and Django strips strings.
    """
    found = body if isinstance(body, dict) else {}
    return {name: _plain(found.get(name)) for name in _shared()}


def _plain(value: JSON) -> JSON:
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, list):
        return [_plain(item) for item in value] or None
    if isinstance(value, dict):
        plain = {name: _plain(item) for name, item in value.items()}
        return {name: item for name, item in plain.items() if item is not None} or None
    return value


@cache
def _shared() -> list[str]:
    request, task = properties(TextGenRequest.__name__), properties(TextGenResponse.__name__)
    return [name for name in request if name in task]


_ledgers: Final[dict[str, Ledger]] = {}
if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
    # In a new process nothing is under way, and no thread is left to free a lock.
    os.register_at_fork(after_in_child=_ledgers.clear)
