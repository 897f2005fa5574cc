"""Where hints arrive, and who waits for them."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Final

from creatify._request import as_id
from creatify.webhooks._event import WebhookEvent

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from creatify_api.models import TextGenResponse

REMEMBERED: Final = 10_000
"""Tasks of which an inbox was told while nobody waited for them: the last ones."""


class Inbox:
    """Where hints arrive that there is news of a task: `wait(..., inbox=inbox)` looks at it then.

    Nothing is taken on trust: whatever is delivered costs at most a request. A hint of a task that
    nobody waits for yet is kept for who will, the last 10,000. For any threads and event loops; a
    fork has an empty one.
    """

    def __init__(self) -> None:
        self._desks: dict[int, _Desk] = {}  # by process id: a fork may find the lock taken

    def deliver(self, event: WebhookEvent | TextGenResponse | UUID | str) -> None:
        """Tell who waits for the task, given as an event, as itself or by its id. Never waits.

        Raises InvalidRequestError for an id that is no UUID.
        """
        task_id = event.id if isinstance(event, WebhookEvent) else as_id(event)
        for hint in self._desk.take(task_id):
            hint()

    def subscribe(self, task_id: UUID, hint: Callable[[], object], /) -> Callable[[], object]:
        """Call `hint` when one of that task arrives, from any thread; what is returned ends that.

        At once, if one arrived when nobody was there to hear it.
        """
        desk, who = self._desk, object()
        if desk.enter(task_id, who, hint):
            hint()
        return partial(desk.leave, task_id, who)

    @property
    def _desk(self) -> _Desk:
        process = os.getpid()
        return self._desks.get(process) or self._desks.setdefault(process, _Desk())


class _Desk:
    """An inbox in one process."""

    def __init__(self) -> None:
        # Of one thread it is taken twice by a signal's handler that delivers.
        self._lock = threading.RLock()
        self._waiting: dict[UUID, dict[object, Callable[[], object]]] = {}
        self._kept: OrderedDict[UUID, None] = OrderedDict()

    def take(self, task_id: UUID) -> list[Callable[[], object]]:
        """Whom to tell of that task; if there is nobody, it is kept."""
        with self._lock:
            waiting = list(self._waiting.get(task_id, {}).values())
            if not waiting:
                self._kept[task_id] = None
                self._kept.move_to_end(task_id)
                if len(self._kept) > REMEMBERED:
                    self._kept.popitem(last=False)
        return waiting

    def enter(self, task_id: UUID, who: object, hint: Callable[[], object]) -> bool:
        """Wait for that task; whether there is something kept, which is given away by that."""
        with self._lock:
            self._waiting.setdefault(task_id, {})[who] = hint
            return self._kept.pop(task_id, self) is None

    def leave(self, task_id: UUID, who: object) -> None:
        """Wait no longer."""
        with self._lock:
            waiting = self._waiting[task_id]
            del waiting[who]
            if not waiting:
                del self._waiting[task_id]
