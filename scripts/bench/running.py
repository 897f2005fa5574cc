"""The processes: one server, and one worker for each contender of a row, whose rounds alternate."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.row import Row
    from bench.works import Figures

Workers: TypeAlias = "dict[str, subprocess.Popen[str]]"

_SCRIPTS: Final = Path(__file__).parent.parent
_ENVIRONMENT: Final = {
    # asyncio reads into 256 KiB, which costs two page faults a read or none, by what glibc learned
    # from what was imported: so all contenders get the same memory.
    "MALLOC_MMAP_THRESHOLD_": str(256 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(512 << 20),
}


@dataclass
class Result:
    """The rounds of each contender of a row; `absent` says why there are none."""

    row: Row
    rounds: dict[str, list[Figures]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Effort:
    """How much is measured: at most `rounds`, within `seconds` for each contender of a row."""

    rounds: int
    seconds: float
    is_quick: bool


@contextmanager
def server() -> Iterator[str]:
    """The URL of a server that ends with this block, and with this process."""
    with _process("bench.server") as process:
        yield _line(process).strip()


def measure(row: Row, effort: Effort, url: str) -> Result:
    """A row: all contenders are started and warm, and then take turns."""
    row = row.sized(is_quick=effort.is_quick)
    result = Result(row)
    with ExitStack() as stack:
        workers = _started(stack, row, url)
        for name in list(workers):
            if reason := json.loads(_line(workers[name])):
                result.absent[name] = reason
                del workers[name]
        if row.at_once:
            _go_together(result, workers)
        else:
            _take_turns(result, workers, effort)
    return result


def _started(stack: ExitStack, row: Row, url: str) -> Workers:
    workers = {}
    for who in row.contenders:
        arguments = [row.work, who.module, who.face, f"{url}/{row.plan}"]
        process = _process("bench.worker", *arguments, json.dumps(row.options), str(row.warm))
        workers[who.name] = stack.enter_context(process)
    return workers


def _go_together(result: Result, workers: Workers) -> None:
    for worker in workers.values():
        _begin(worker)
    result.rounds = {name: [_figures(worker)] for name, worker in workers.items()}


def _take_turns(result: Result, workers: Workers, effort: Effort) -> None:
    spent = dict.fromkeys(workers, 0.0)
    result.rounds = {name: [] for name in workers}
    for number in range(result.row.rounds or effort.rounds):
        names = list(workers)
        turn = number % len(names) if names else 0
        for name in names[turn:] + names[:turn]:
            if spent[name] <= effort.seconds:
                began = time.monotonic()
                _begin(workers[name])
                result.rounds[name].append(_figures(workers[name]))
                spent[name] += time.monotonic() - began


def _begin(process: subprocess.Popen[str]) -> None:
    if process.stdin is not None:
        process.stdin.write("go\n")
        process.stdin.flush()


def _figures(process: subprocess.Popen[str]) -> Figures:
    figures: Figures = json.loads(_line(process))
    return figures


def _line(process: subprocess.Popen[str]) -> str:
    """The next line that a process says. Raises RuntimeError with its last words."""
    line = process.stdout.readline() if process.stdout else ""
    if line:
        return line
    raise RuntimeError(f"{process.args!r} ended: see above")


@contextmanager
def _process(module: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A process that ends when its standard input does, thus with this one."""
    paths = [str(_SCRIPTS), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    process = subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **_ENVIRONMENT, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )
    with process:
        try:
            yield process
        finally:
            process.kill()
