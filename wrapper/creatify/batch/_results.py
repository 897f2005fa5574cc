"""The results of a batch on their way to its caller: in what order, and how many."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from uuid import UUID

    from creatify.batch._types import BatchResult

AHEAD: Final = 1024
"""Results that are kept, where their order matters, behind one that is not there yet."""


class Results:
    """What is there and not delivered yet, and the counts of what was."""

    def __init__(self, *, is_ordered: bool) -> None:
        self.done = self.failed = self.unknown = 0
        self.delivered: set[UUID] = set()
        self._is_ordered = is_ordered
        self._ready: deque[BatchResult] = deque()
        self._kept: dict[int, BatchResult | None] = {}  # None: there will be no result
        self._head = 0  # the first that is not ready

    @property
    def ready(self) -> int:
        """How many may be delivered."""
        return len(self._ready)

    def have_room(self, index: int) -> bool:
        """Whether the result of that request may be kept behind the first that is not there."""
        return not self._is_ordered or index - self._head < AHEAD

    def keep(self, index: int, result: BatchResult | None) -> None:
        """Take the result of a request; None: there will be none."""
        if not self._is_ordered:
            self._ready.extend([] if result is None else [result])
            return
        self._kept[index] = result
        while self._head in self._kept:
            first = self._kept.pop(self._head)
            self._ready.extend([] if first is None else [first])
            self._head += 1

    def deliver(self) -> BatchResult:
        """The next one, for the caller."""
        result = self._ready.popleft()
        if result.task is not None:
            self.delivered.add(result.task.id)
        self.done += result.status == "done"
        self.unknown += result.status == "unknown"
        self.failed += result.status not in {"done", "unknown"}
        return result
