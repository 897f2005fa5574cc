"""`creatify batch`: many requests from a file, their results into another, with a progress bar."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import closing, contextmanager, nullcontext
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import typer
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from creatify.batch import Batch, BatchBudgetError, read_jsonl
from creatify.cli import _terminal
from creatify.cli._exits import Code, code_of, worst

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

    from creatify.batch import BatchProgress
    from creatify.batch._types import Item
    from creatify.cli._session import Session

_PER_SECOND: Final = 4  # refreshes of the display
_STANDARD: Final = Path("-")


def batch(
    session: Session,
    source: Path,
    output: Path,
    *,
    max_credits: float | None,
    concurrency: int,
    ordered: bool,
    journal: Path | None,
    resend_unknown: bool,
) -> None:
    """Send the requests of a JSONL file and write the results of all, those of earlier runs too."""
    if journal is None and not session.emulate:  # an emulator that is thrown away resumes nothing
        journal = _beside(output)
    files = {"IN": source, "--output": output, "--journal": journal}
    _check_apart({name: file for name, file in files.items() if file is not None})
    codes: set[Code] = set()
    with _requests(source) as requests, _opened(output) as out, session.client() as client:
        display = _Display(max_credits)
        running = Batch(
            client,
            requests,
            journal=journal,
            concurrency=concurrency,
            max_credits=max_credits,
            ordered=ordered,
            resend_unknown=resend_unknown,
            on_progress=display.take,
        )
        if journal is not None:
            session.hint = f"the same command again goes on, by {journal}: nothing is paid twice"
        try:
            with display.live(out):
                _write(running, out, codes, is_own=output != _STANDARD)
        except BatchBudgetError as error:
            _terminal.complain(str(error))
            codes.add(Code.CREDITS)
        finally:
            if display.has_begun:
                _terminal.note(display.told())
    if codes:
        raise typer.Exit(worst(codes))


class _Display:
    """How far a batch is: a bar, and a line that says it in words."""

    def __init__(self, max_credits: float | None) -> None:
        self._max_credits = max_credits
        self._now: BatchProgress | None = None

    def take(self, progress: BatchProgress) -> None:
        """Take what is news."""
        self._now = progress

    @property
    def has_begun(self) -> bool:
        """Whether there is anything to tell."""
        return self._now is not None

    def live(self, out: IO[str]) -> AbstractContextManager[object]:
        """Shows it on a terminal, unless that is where the results go, and nothing elsewhere."""
        screen = _terminal.console(stderr=True)
        if not screen.is_terminal or out.isatty():
            return nullcontext()
        return Live(
            console=screen,
            get_renderable=self._render,
            refresh_per_second=_PER_SECOND,
            redirect_stdout=False,
            transient=True,
        )

    def told(self) -> str:
        """What is done, failed and spent."""
        now = self._now
        if now is None:
            return "nothing is done yet"
        limit = "" if self._max_credits is None else f" of {self._max_credits:g}"
        is_one = now.credits_used == 1 and not limit
        return ", ".join(
            [
                f"{now.done} done" if now.total is None else f"{now.done} of {now.total} done",
                f"{now.failed} failed",
                *([f"{now.unknown} unknown"] if now.unknown else []),
                f"{now.credits_used:g}{limit} credit{'' if is_one else 's'}",
            ]
        )

    def _render(self) -> Table:
        now = self._now
        lines = Table.grid()  # a bar does not end its line
        if now is None:
            lines.add_row(self.told())
        else:
            over = now.done + now.failed + now.unknown
            lines.add_row(ProgressBar(total=now.total, completed=over))
            lines.add_row(f"{self.told()}, {_time(now.remaining)} left")
        return lines


def _write(running: Batch, out: IO[str], codes: set[Code], *, is_own: bool) -> None:
    """Write each result on a line as it comes, and keep the exit codes of errors.

    What the output had goes, if it `is_own`.
    """
    # Left in any way, it waits for the answers to what was sent, and keeps them in the journal.
    with closing(iter(running)) as results:
        first = next(results, None)
        if is_own and stat.S_ISREG(os.fstat(out.fileno()).st_mode):
            # Not before: it may be the output of a batch that runs just now, and has the journal.
            out.truncate(0)
        for result in chain([] if first is None else [first], results):
            out.write(_terminal.as_json(result.to_dict()))
            out.flush()
            if result.error is not None:
                codes.add(code_of(result.error))


@contextmanager
def _requests(source: Path) -> Iterator[Iterable[Item]]:
    if source == _STANDARD:
        yield read_jsonl(sys.stdin.buffer)
    elif source.is_file():
        yield read_jsonl(source)  # which knows how many there are
    else:
        with source.open("rb") as pipe:
            yield read_jsonl(pipe)


def _opened(output: Path) -> IO[str]:
    """The output, to be written, and still as it was. Raises typer.BadParameter."""
    try:
        if output == _STANDARD:
            return os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
        return output.open("a", encoding="utf-8")
    except OSError as error:
        raise typer.BadParameter(
            f"{output} can't be written: {error.strerror}", param_hint="--output"
        ) from None


def _beside(output: Path) -> Path:
    """Where the journal is if nobody says. Raises typer.BadParameter for an output that is no file.

    It would be lost with it, and what was paid for too.
    """
    if output == _STANDARD or (output.exists() and not output.is_file()):
        raise typer.BadParameter(
            f"{output} is no file that a journal could stand beside: say where it is to be",
            param_hint="--journal",
        )
    return output.with_name(f"{output.name}.journal")


def _check_apart(files: dict[str, Path]) -> None:
    if len(set(map(_identity, files.values()))) < len(files):
        raise typer.BadParameter(f"{', '.join(files)} must be different files")


def _identity(file: Path) -> object:
    """The same for all names of a file that would be lost by writing to it."""
    try:
        found = file.stat()
    except OSError:
        return object() if file == _STANDARD else file.resolve()
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else object()


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
