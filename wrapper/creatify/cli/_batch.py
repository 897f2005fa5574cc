"""`creatify batch`: many requests from a file, their results into another, with a progress bar."""

from __future__ import annotations

from contextlib import closing, nullcontext
from itertools import chain
from typing import IO, TYPE_CHECKING, Final

import typer
from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.text import Text

from creatify.batch import Batch, BatchBudgetError, read_jsonl
from creatify.cli import _terminal
from creatify.cli._exits import Code, code_of, worst

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from creatify.cli._session import Session

_PER_SECOND: Final = 4  # refreshes of the display


def batch(
    session: Session,
    source: Path,
    output: Path,
    *,
    max_credits: float | None,
    concurrency: int,
    ordered: bool,
    journal: Path | None,
) -> None:
    """Send the requests of a JSONL file and write the results of all, those of earlier runs too."""
    journal = journal or output.with_name(f"{output.name}.journal")
    _check_apart({"IN": source, "--output": output, "--journal": journal})
    requests = read_jsonl(source)
    codes: set[Code] = set()
    with _opened(output) as out, session.client() as client:
        running = Batch(
            client,
            requests,
            journal=journal,
            concurrency=concurrency,
            max_credits=max_credits,
            ordered=ordered,
        )
        session.hint = f"the same command again goes on, by {journal}: nothing is paid twice"
        display = _Display(running, total=_count(source), max_credits=max_credits)
        try:
            with display.live():
                _write(running, out, codes)
        except BatchBudgetError as error:
            _terminal.complain(str(error))
            codes.add(Code.CREDITS)
        finally:
            _terminal.note(display.told())
    session.hint = ""
    if codes:
        raise typer.Exit(worst(codes))


class _Display:
    """How far a batch is: a bar, and a line that says it in words."""

    def __init__(self, running: Batch, *, total: int | None, max_credits: float | None) -> None:
        self._running = running
        self._total = total
        self._max_credits = max_credits

    def live(self) -> AbstractContextManager[object]:
        """Shows it on a terminal, and nothing elsewhere."""
        screen = _terminal.console(stderr=True)
        if not screen.is_terminal:
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
        now = self._running.progress
        total = now.total or self._total
        spent = f"{now.credits_used:g}"
        if self._max_credits is not None:
            spent += f" of {self._max_credits:g}"
        return ", ".join(
            [
                f"{now.done} of {total} done" if total else f"{now.done} done",
                f"{now.failed} failed",
                *([f"{now.unknown} unknown"] if now.unknown else []),
                f"{spent} credits",
            ]
        )

    def _render(self) -> Group:
        now = self._running.progress
        total = now.total or self._total
        over = now.done + now.failed + now.unknown
        bar = ProgressBar(total=total, completed=over, pulse=total is None)
        return Group(bar, Text(f"{self.told()}, {_time(now.remaining)} left"))


def _write(running: Batch, out: IO[str], codes: set[Code]) -> None:
    """Write each result on a line as it comes, and keep the exit codes of errors."""
    with closing(iter(running)) as results:
        first = next(results, None)
        # Not before: the output may be that of a batch that runs just now, and has the journal.
        out.truncate(0)
        for result in chain([] if first is None else [first], results):
            out.write(_terminal.as_json(result.to_dict()))
            out.flush()
            if result.error is not None:
                codes.add(code_of(result.error))


def _opened(output: Path) -> IO[str]:
    """The output, to be written, and still as it was. Raises typer.BadParameter."""
    try:
        return output.open("a", encoding="utf-8")
    except OSError as error:
        raise typer.BadParameter(
            f"{output} can't be written: {error.strerror}", param_hint="--output"
        ) from None


def _check_apart(files: dict[str, Path]) -> None:
    real = {name: file.resolve() for name, file in files.items()}
    if len(set(real.values())) < len(real):
        raise typer.BadParameter(f"{', '.join(real)} must be different files")


def _count(source: Path) -> int | None:
    """How many requests there are, if that can be seen without taking them away."""
    if not source.is_file():
        return None
    with source.open("rb") as lines:
        return sum(not line.isspace() for line in lines)


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
