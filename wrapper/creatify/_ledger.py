"""Which paid calls are under way, and which tasks were given to whom.

After a lost answer only this tells one's own task from that of an identical call beside it. One
ledger for each account holds for all clients of the process, in every thread and event loop. It
does no I/O, and forgets all but the last tasks.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import deque
from functools import cache, cached_property
from typing import TYPE_CHECKING, Final, Self
from uuid import UUID
from weakref import WeakSet

from creatify._schema import JSON, properties
from creatify_api.models import TextGenRequest, TextGenResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

REMEMBERED: Final = 100_000
"""Tasks that were given last; one given so long before a call is none of its candidates."""
_NAMELESS: Final = 10_000  # streams that were left, and whose tasks are not known
_REACH: Final = 62.0  # seconds before a call began, in which its candidates may have been created


class Entry:
    """A paid call that is under way; leaving the `with` block ends it.

    `content` is the JSON that it sends.
    """

    def __init__(
        self, ledger: Ledger, request: TextGenRequest, content: bytes, started: float
    ) -> None:
        self.request = request
        self.started = started
        self.is_lost = False
        self.is_over = False
        self.is_heard = False
        """Its caller has some of its task already, a stream's beginning, maybe without the id."""
        self._content = content
        self._ledger = ledger

    @cached_property
    def asked(self) -> JSON:
        """What its task has in common with it; computed only if an answer is lost."""
        return shared_fields(json.loads(self._content))

    @property
    def is_settled(self) -> bool:
        """Whether it is known what came of it: its own answer, or that this was lost."""
        return self.is_lost or self.is_over

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
        """It is over, with that task if it got one.

        The garbage collector ends dropped streams, maybe within this ledger's own lock: so this
        takes none.
        """
        if given is not None:
            self._ledger.give(given)
        elif self.is_heard and not self.is_over:
            self._ledger.leave(self)
        self.is_over = True


class Ledger:
    """The open calls and the given tasks of one account."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._open: WeakSet[Entry] = WeakSet()  # a stream that nobody holds any more is over
        self._given: dict[int, None] = {}
        self._order: deque[int] = deque()
        self._nameless: deque[tuple[int, float]] = deque(maxlen=_NAMELESS)

    def begin(self, request: TextGenRequest, content: bytes) -> Entry:
        """Enter a paid call, before it is sent."""
        entry = Entry(self, request, content, self._clock())
        with self._lock:
            self._open.add(entry)
            while len(self._order) > REMEMBERED:
                self._given.pop(self._order.popleft(), None)
        return entry

    def give(self, task_id: UUID) -> None:
        """A call got that task."""
        self._given[task_id.int] = None
        self._order.append(task_id.int)

    def leave(self, entry: Entry) -> None:
        """A call got a task whose id is not known."""
        self._nameless.append((hash(key_of(entry.asked)), self._clock()))

    def rivals(self, entry: Entry) -> list[Entry]:
        """The identical calls that are under way and may yet get their own answer."""
        others = [other for other in self._entries() if not other.is_settled]
        return [other for other in others if other is not entry and other.asked == entry.asked]

    def claim(
        self, entry: Entry, candidates: Sequence[TextGenResponse], before: float
    ) -> tuple[TextGenResponse | None, list[TextGenResponse]]:
        """The candidate that a lost call gets, if any, and those that nobody was given.

        Identical calls whose answers were lost share the candidates, one each: which is whose makes
        no difference. More candidates than such calls come from elsewhere too, and none is given;
        nor where one may be that of an identical stream, left before its receipt came.
        `candidates` are oldest first, created since the call began and listed at the moment
        `before`, and all identical calls beside it are settled.
        """
        calls = [other for other in self._entries() if other.asked == entry.asked]
        asked, since = hash(key_of(entry.asked)), entry.started - _REACH
        is_unclear = any(left == asked and ended >= since for left, ended in [*self._nameless])
        with self._lock:
            free = self.free(candidates)
            lost = [c for c in calls if c.is_lost and not c.is_over and c.started <= before]
            if not free or len(free) > len(lost) or is_unclear:
                return None, free
            entry.is_lost = entry.is_heard = False
            self.give(free[0].id)
            return free[0], free

    def is_given(self, task_id: str) -> bool:
        """Whether a call got that task."""
        try:
            return UUID(task_id).int in self._given
        except ValueError:
            return False

    def free(self, tasks: Sequence[TextGenResponse]) -> list[TextGenResponse]:
        """Those that nobody was given."""
        return [task for task in tasks if task.id.int not in self._given]

    def _entries(self) -> list[Entry]:
        with self._lock:
            return [entry for entry in self._open if not entry.is_over]


def ledger_of(base_url: str, account: int) -> Ledger:
    """The process's one ledger for an account of that API."""
    key = (base_url, account)
    return _ledgers.get(key) or _ledgers.setdefault(key, Ledger())


def shared_fields(body: JSON) -> JSON:
    """What a request and its task have in common, in one form.

    Servers write what is absent as null or as empty, and Django strips strings.
    """
    found = body if isinstance(body, dict) else {}
    return {name: _plain(found.get(name)) for name in _shared()}


def key_of(asked: JSON) -> str:
    """The same text for the same shared fields."""
    return json.dumps(asked, sort_keys=True)


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


_ledgers: Final[dict[tuple[str, int], Ledger]] = {}
if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
    # In a new process nothing is under way, and no thread is left to free a lock.
    os.register_at_fork(after_in_child=_ledgers.clear)
