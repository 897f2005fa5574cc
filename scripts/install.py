"""Put what is new in place whole or not at all: a file, or the spec with the package made from it.

A signal waits until both are there. After a kill in between, the next tool to run restores what was
there before it begins.
"""

from __future__ import annotations

import filecmp
import os
import shutil
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parent.parent
SPEC: Final = ROOT / "openapi.yaml"
PACKAGE: Final = ROOT / "generated" / "creatify_api"
_SIGNALS: Final = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


def install(package: Path, target: Path = PACKAGE, spec: tuple[Path, Path] | None = None) -> bool:
    """Replace `target` by `package`, and the second file of `spec` by the first.

    False if all of it is so already. What is new is copied beside its place first, so that only
    renames are left to be done.
    """
    place = spec[1] if spec is not None else SPEC
    recover(target, place)
    is_same = spec is None or filecmp.cmp(*spec, shallow=False)
    if is_same and files(package) == files(target):
        return False
    fresh, former = _beside(target, "new"), _beside(target, "old")
    shutil.copytree(package, fresh)
    staged = [(fresh, target)]
    if spec is not None:
        shutil.copyfile(spec[0], _beside(place, "new"))
        shutil.copyfile(place, _beside(place, "old"))
        staged.insert(0, (_beside(place, "new"), place))
    with _undisturbed():
        if target.exists():
            target.rename(former)
        for source, end in staged:
            source.replace(end)
    recover(target, place)
    return True


def recover(target: Path = PACKAGE, spec: Path = SPEC) -> None:
    """Undo what a killed run left half done, and clear away what it left beside."""
    former = _beside(target, "old")
    if former.exists() and not target.exists():
        # The spec first: that the package is missing is how a killed recovery is known.
        if _beside(spec, "old").exists():
            _beside(spec, "old").replace(spec)
        former.rename(target)
    for leftover in (former, _beside(target, "new")):
        shutil.rmtree(leftover, ignore_errors=True)
    for file in (_beside(spec, "old"), _beside(spec, "new")):
        file.unlink(missing_ok=True)


def write(file: Path, text: str) -> None:
    """Replace the text of a file that is there, and keep its mode."""
    fresh = _beside(file, "new")
    try:
        with fresh.open("wb") as opened:
            opened.write(text.encode())
            opened.flush()
            os.fsync(opened.fileno())
        shutil.copymode(file, fresh)
        fresh.replace(file)
    finally:
        fresh.unlink(missing_ok=True)


def end_cleanly() -> None:
    """Let a signal end this program without a traceback, what it made for itself cleared away."""
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup wants it
            signal.signal(number, lambda number, _: sys.exit(128 + number))


def files(folder: Path) -> dict[str, bytes]:
    """The files of a package by their names in it."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def _beside(target: Path, what: str) -> Path:
    return target.with_name(f".{target.name}.{what}")


@contextmanager
def _undisturbed() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
