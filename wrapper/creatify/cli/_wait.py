"""`creatify wait`: several tasks at once, with a live display."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, Self

import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from creatify._errors import CreatifyError, TaskFailedError, one_line
from creatify.cli import _terminal
from creatify.cli._exits import code_of, worst
from creatify.cli._generate import write_task
from creatify.cli._tasks import status_style

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from uuid import UUID

    from creatify import AsyncCreatify
    from creatify.cli._session import Session
    from creatify_api.models import TextGenResponse

_PER_SECOND: Final = 4  # refreshes of the display
_OTHER_LINES: Final = 3  # of the display: the head, the sum, and the cursor's


def wait(session: Session, ids: Iterable[UUID], *, as_json: bool, timeout: float) -> None:
    """Wait for tasks, show how they are, and write each one's text as it is done."""
    waits = _Waits(session, list(dict.fromkeys(ids)), as_json=as_json)
    screen = _terminal.console(stderr=True)
    with ExitStack() as stack:
        stack.enter_context(waits)
        if screen.is_terminal:
            # What is written between two refreshes of the display would be lost in it.
            waits.is_held = sys.stdout.isatty()
            display = Live(
                console=screen,
                get_renderable=lambda: waits.display(screen.height - _OTHER_LINES),
                refresh_per_second=_PER_SECOND,
                redirect_stdout=False,
                vertical_overflow="visible",
            )
            stack.enter_context(display)
        waits.follow(timeout)


class _Waits:
    """The tasks that are waited for, in the order given.

    Leaving the `with` block writes what was kept back, tells what went wrong, and raises typer.Exit
    for it.
    """

    def __init__(self, session: Session, ids: list[UUID], *, as_json: bool) -> None:
        self.ids = ids
        self.is_held = False
        """Whether results are kept until the display is over."""
        self._session = session
        self._as_json = as_json
        self._began = time.monotonic()
        self._seen: dict[UUID, TextGenResponse] = {}
        self._over: dict[UUID, CreatifyError | None] = {}
        self._held: list[TextGenResponse] = []

    def follow(self, timeout: float) -> None:
        """Wait for all of them."""
        asyncio.run(self._follow(timeout))

    def display(self, height: int) -> Group:
        """How they are, in so many lines; where these are too few, what is not over comes first."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("ID", overflow="fold")
        table.add_column("STATUS", overflow="fold")
        over = dict(self._over)  # it grows meanwhile
        shown = self.ids
        if len(shown) > height:
            shown = sorted(shown, key=over.__contains__)[: max(height, 1)]
        for each in shown:
            task = self._seen.get(each)
            status = Text(one_line(str(task.status)), status_style(task)) if task else Text("")
            table.add_row(str(each), status)
        done = sum(error is None for error in over.values())
        failed = sum(isinstance(error, TaskFailedError) for error in over.values())
        waited = time.monotonic() - self._began
        told = f"{done} of {len(self.ids)} done, {failed} failed, {waited:.0f} s"
        return Group(table, Text(told, "dim"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.is_held = False
        for task in self._held:
            self._write(task)
        if kind is None:
            self._conclude()

    def _conclude(self) -> None:
        errors = [error for error in self._over.values() if error is not None]
        for error in errors:
            _terminal.complain(str(error))
        if self._session.advice:
            _terminal.note(self._session.advice)
        if errors:
            raise typer.Exit(worst(map(code_of, errors)))

    async def _follow(self, timeout: float) -> None:
        async with self._session.async_client() as client:
            self._session.paid(*self.ids)
            await asyncio.gather(*(self._wait(client, each, timeout) for each in self.ids))

    async def _wait(self, client: AsyncCreatify, task_id: UUID, timeout: float) -> None:
        waiting = client.text_generator.wait(task_id, timeout=timeout, on_update=self._saw)
        try:
            self._write(await waiting)
            self._over[task_id] = None
        except CreatifyError as error:
            self._over[task_id] = error
            if isinstance(error, TaskFailedError):
                self._session.seen(task_id)
                if self._as_json:
                    self._write(error.task)

    def _saw(self, task: TextGenResponse) -> None:
        self._seen[task.id] = task

    def _write(self, task: TextGenResponse) -> None:
        if self.is_held:
            self._held.append(task)
            return
        if len(self.ids) > 1 and not self._as_json:
            _terminal.write(f"==> {task.id} <==\n")
        write_task(task, as_json=self._as_json)
        self._session.seen(task.id)
