"""Waiting until tasks are done: for one, for all of several, or for each as it is done.

```python
from creatify import Creatify, user

client = Creatify()
asked = {"model_name": "gemini-2.5-flash"}
task = client.text_generator.create(**asked, messages=[user("Write a tagline.")])
keep = str(task.id)  # all that is needed to go on after a crash
done = client.text_generator.wait(
    keep, timeout=600.0, on_update=lambda seen: print(seen.status)
)

prompts = ["Write a slogan.", "Write a headline.", "Write a haiku."]
tasks = [client.text_generator.create(**asked, messages=[user(prompt)]) for prompt in prompts]
for done in client.text_generator.as_completed(tasks, timeout=600.0):
    print(done.id, done.status)
texts = [done.response_text for done in client.text_generator.wait_all(tasks)]
```

A task is polled at a delay that grows with the time waited, about a fifth of it and between 0.25 s
and 10 s (`poll=PollPolicy(...)`), so that a short one is seen at once and a long one costs few
requests. A failed poll only delays the next, but for a 401 or a 403, and for a task that stays
unknown for five seconds. A task that fails raises TaskFailedError; a timeout raises
WaitTimeoutError with the task as last seen, which is still running and can be waited for again.
Whatever else ends a `wait` or a `generate` early says the task's id: in the error's text, or in a
note (`__notes__`) where the error is not of this library.

All waits of a client, in however many threads or coroutines, share their polls (see `_schedule`):
one call of the list about twice a second, or one request for each task about once a second where
the list is so long that this is cheaper. `as_completed` also gives a task that failed (see its
`status`), and each task once; `wait_all` raises TaskFailedError for it when all are over. Async
code says `async for done in client.text_generator.as_completed(tasks)`, and `await` before the
others. Who leaves the loop early polls no more.

After a crash, go on with `wait(id)`. If the process died before it knew an id, nothing but the list
can tell: look there for a task of the time and the prompt, or use `creatify.batch`, whose journal
does.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from creatify._awaited import Awaited
from creatify._errors import CreatifyError, WaitTimeoutError
from creatify._flow import Wake
from creatify._request import as_id, several
from creatify_api.models import TextGenResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from uuid import UUID

    from creatify._awaited import Clock, WaitOptions
    from creatify._operations import Steps
    from creatify._options import Options
    from creatify._schedule import Schedule


def wait(
    task: TextGenResponse | UUID | str,
    waits: WaitOptions,
    options: Options,
    schedule: Schedule,
    clock: Clock = time.monotonic,
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
    awaited = Awaited(as_id(task), waits, clock, began=began)
    if isinstance(task, TextGenResponse):
        awaited.knows(task, is_news=created_since is not None)
    try:
        yield from _until_news([awaited], options, schedule)
    except BaseException as error:
        error.add_note(awaited.advice)
        raise
    return awaited.outcome()


def wait_all(
    tasks: Iterable[TextGenResponse | UUID | str],
    waits: WaitOptions,
    options: Options,
    schedule: Schedule,
    clock: Clock = time.monotonic,
) -> Steps[list[TextGenResponse]]:
    """Poll until all tasks are over, and return them in the order given.

    Raises what `Completed` raises, and at the end TaskFailedError for the first that failed.
    """
    completed = Completed(tasks, waits, options, lambda: schedule, clock)
    while (yield from completed.next()) is not None:
        pass
    return completed.outcomes()


class Completed:
    """Several tasks that are waited for at once. Raises InvalidRequestError for what is none."""

    def __init__(
        self,
        tasks: Iterable[TextGenResponse | UUID | str],
        waits: WaitOptions,
        options: Options,
        schedule: Callable[[], Schedule],
        clock: Clock = time.monotonic,
    ) -> None:
        self._waits = waits
        self._options = options
        self._schedule = schedule
        self._ids: list[UUID] = []
        self._awaited: dict[UUID, Awaited] = {}
        began = clock()
        for task in several(tasks):
            awaited = Awaited(as_id(task), waits, clock, began=began)
            if isinstance(task, TextGenResponse):
                awaited.knows(task)
            self._ids.append(awaited.id)
            self._awaited[awaited.id] = awaited
        self._open = list(self._awaited.values())
        self._over: deque[TextGenResponse] = deque()

    def next(self) -> Steps[TextGenResponse | None]:
        """The next task that is done or has failed; None when each was given, once.

        Raises WaitTimeoutError; and when nothing else is left, the error that ended the wait for a
        task: AuthenticationError, PermissionDeniedError, or NotFoundError as `wait` does.
        """
        while self._open and not self._over:
            try:
                yield from _until_news(self._open, self._options, self._schedule())
            except BaseException as error:
                error.add_note("the tasks may still be running: waiting for them again goes on")
                raise
            self._settle()
        if self._over:
            return self._over.popleft()
        for awaited in self._awaited.values():
            if awaited.error is not None:
                self._outcome(awaited)
        return None

    def outcomes(self) -> list[TextGenResponse]:
        """All tasks, in the order given. Raises TaskFailedError for the first that failed."""
        return [self._outcome(self._awaited[task_id]) for task_id in self._ids]

    def _outcome(self, awaited: Awaited) -> TextGenResponse:
        try:
            return awaited.outcome()
        except CreatifyError as error:
            error.tasks = self._tasks()
            raise

    def _settle(self) -> None:
        """Take out what is over. Raises WaitTimeoutError if nothing is, and the time is."""
        for awaited in self._open:
            if awaited.is_over and awaited.error is None and awaited.task is not None:
                self._over.append(awaited.task)
        before, self._open = self._open, [a for a in self._open if not a.is_over]
        if len(before) == len(self._open):
            first = before[0]
            met = f"; the last poll met: {first.last_error}" if first.last_error else ""
            error = WaitTimeoutError(
                f"{len(before)} of {len(self._awaited)} tasks are not done after"
                f" {self._waits.timeout:g} seconds; they may still be running: waiting for them"
                f" again goes on, and .tasks has all as last seen{met}",
                task=first.task,
            )
            error.tasks = self._tasks()
            raise error from first.last_error

    def _tasks(self) -> list[TextGenResponse]:
        seen = (self._awaited[task_id].task for task_id in self._ids)
        return [task for task in seen if task is not None]


def _until_news(own: Collection[Awaited], options: Options, schedule: Schedule) -> Steps[None]:
    """Poll until one of the tasks is over, or the time is: not without a look, even then."""
    wake = Wake()
    has_looked = False
    with schedule.joined(own, wake):
        while True:
            wake.rung.clear()
            is_over = any(awaited.is_over for awaited in own)
            for awaited in own:
                awaited.tell()
            if is_over or (has_looked and any(awaited.left <= 0 for awaited in own)):
                return
            if not any(awaited.has_news for awaited in own):  # it came while a callback ran
                yield from schedule.step(own, wake, options)
                has_looked = True
