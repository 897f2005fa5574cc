"""The journal of a batch: which paid requests were about to be sent, and what came of each.

A file of JSON lines that only grows. The first says what it is; then, of the request at `index`:

    {"index": 0, "intent": <digest of the request>, "at": <this machine's time>}   before it is sent
    {"index": 0, "id": <of its task>}                                            once that is known
    {"index": 0, "task": {...}}                                              once the task is over
    {"index": 0, "refused": true}                             the intent came to nothing, for free

Each line is on the disk before the next step is taken. So what a kill leaves behind is at most an
intent without an id, which the list of tasks settles, and half a last line, which is cut off.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from creatify._operations import model_of
from creatify.batch._types import JournalError
from creatify_api.models import TextGenResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from io import FileIO

_VERSION: Final = 1
_MODE: Final = 0o600  # it holds what the requests and the texts say


@dataclass(frozen=True, slots=True)
class Record:
    """A line to be written. `is_intent`: nothing may be sent before it is on the disk."""

    line: bytes
    is_intent: bool = False


@dataclass(frozen=True, slots=True)
class Write:
    """A line, and the journal that is to have it."""

    journal: Journal
    record: Record

    def do(self) -> None:
        """Return when it is on the disk. Raises JournalError, see `Journal.write`."""
        self.journal.write(self.record)


@dataclass(slots=True)
class Past:
    """What the journal knows of a request that an earlier run sent.

    `sequence` is the line of its intent. Its task is over if there is a `place` of it in the file.
    `before` is an intent of which it was never known what came: the request was sent once more.
    """

    digest: str
    at: datetime
    sequence: int
    id: UUID | None = None
    place: int | None = None
    before: Past | None = None

    @property
    def open(self) -> int:
        """How many times it was sent that may yet cost something."""
        earlier = 0 if self.before is None else self.before.open
        return earlier + (self.place is None)


@dataclass(slots=True)
class Found:
    """What stood in a journal when it was opened; `learned` are the lines of all tasks' ids."""

    requests: dict[int, Past] = field(default_factory=dict)
    learned: dict[UUID, int] = field(default_factory=dict)
    lines: int = 0


def intent(index: int, digest: str, at: datetime) -> Record:
    """A request is about to be sent."""
    return _record(is_intent=True, index=index, intent=digest, at=at.isoformat())


def created(index: int, task_id: UUID) -> Record:
    """Its task is known."""
    return _record(index=index, id=str(task_id))


def over(index: int, task: TextGenResponse) -> Record:
    """Its task is over."""
    return _record(index=index, task=task.to_dict())


def refused(index: int) -> Record:
    """It came to nothing and cost nothing."""
    return _record(index=index, refused=True)


class Journal:
    """An open journal; nobody else has it. Raises JournalError.

    `found` is what it held; `tell` is called with each task of it that is over. `write` may be
    called by any number of threads: those that meet share a write and an fsync.
    """

    def __init__(
        self, path: str | os.PathLike[str], base_url: str, tell: Callable[[TextGenResponse], object]
    ) -> None:
        self.path: Final = Path(path)
        self.error: JournalError | None = None  # why nothing more can be written
        self.found = Found()
        self._tell = tell
        self._next: list[bytes] = []
        self._taking = threading.Lock()
        self._writing = threading.Lock()
        self._taken = self._written = 0
        with ExitStack() as opened:
            try:
                self._file = opened.enter_context(self.path.open("ab", 0))
                self._reader = opened.enter_context(self.path.open("rb"))
                _lock(self._file)
                self._begin(_line(creatify_batch=_VERSION, base_url=base_url))
            except (OSError, ValueError, TypeError) as error:
                taken = isinstance(error, BlockingIOError | PermissionError)
                hint = " (another process has it, or a batch of this one that was left)"
                hint = hint if taken else ""
                reason = getattr(error, "strerror", None) or error
                raise self._unfit(f"can't be opened: {reason}{hint}") from error
            self._opened = opened.pop_all()

    def write(self, record: Record) -> None:
        """Return when the line is on the disk.

        Raises JournalError if it can't be written and is an intent. What was paid for goes on
        without: `error` says that nothing more should be begun.
        """
        with self._taking:
            self._next.append(record.line)
            self._taken += 1
            number = self._taken
        with self._writing:
            if self._written < number and self.error is None:
                with self._taking:
                    lines, self._next = self._next, []
                    self._written = self._taken
                self._commit(lines)
        if record.is_intent and self.error is not None:
            raise self.error

    def task(self, past: Past) -> TextGenResponse:
        """The task of a request that was over when the journal was opened."""
        self._reader.seek(past.place or 0)
        return _task_in(json.loads(self._reader.readline()))

    def close(self) -> None:
        """Leave it to others; what is being written is written first."""
        with self._writing:
            self.error = self.error or self._unfit("is closed")
            self._opened.close()

    def _begin(self, header: bytes) -> None:
        """Take what is there, cut off what is half, and write the header if there is nothing."""
        whole = self._read(header)
        self._file.truncate(whole)
        if not whole:
            self._commit([header])
            if self.error is not None:
                raise self.error
            self.path.chmod(_MODE)
            _sync_folder(self.path.absolute().parent)

    def _commit(self, lines: Sequence[bytes]) -> None:
        """Write, and have it on the disk. After a failure nobody knows what is there: no more."""
        data = b"".join(lines)
        try:
            while data:
                data = data[self._file.write(data) or 0 :]
            os.fsync(self._file.fileno())
        except OSError as error:
            self.error = self._unfit(f"can't be written: {error.strerror}")
            self.error.__cause__ = error

    def _read(self, header: bytes) -> int:
        """Take what is there, and return how many bytes of it are whole lines."""
        place = 0
        for number, line in enumerate(self._reader, 1):
            if not line.endswith(b"\n"):
                if number == 1 and not header.startswith(line):
                    raise self._unfit("is no journal of a batch, and is left as it is")
                break
            try:
                self._check_header(line, header) if number == 1 else self._take(line, number, place)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise self._unfit(
                    f"is damaged in line {number}, and was left as it is: put a sound copy in its"
                    " place. Without that line, what was paid for may be paid for again"
                    f" ({type(error).__name__}: {error})"
                ) from error
            place += len(line)
            self.found.lines = number
        return place

    def _check_header(self, line: bytes, header: bytes) -> None:
        if line == header:
            return
        said: object = None
        with suppress(ValueError):
            said = json.loads(line)
        if not isinstance(said, dict) or "creatify_batch" not in said:
            raise self._unfit("is no journal of a batch, and is left as it is")
        raise self._unfit(
            f"was begun with base_url {said.get('base_url')!r} and version"
            f" {said['creatify_batch']!r}: go on with these, or give another journal"
        )

    def _take(self, line: bytes, number: int, place: int) -> None:
        said, found = json.loads(line), self.found
        index = int(said["index"])
        if "intent" in said:
            at = datetime.fromisoformat(said["at"]).astimezone(UTC)
            before = found.requests.get(index)
            found.requests[index] = Past(str(said["intent"]), at, number, before=before)
        elif "id" in said:
            task_id = found.requests[index].id = UUID(said["id"])
            found.learned[task_id] = number
        elif "task" in said:
            found.requests[index].place = place
            self._tell(_task_in(said))
        elif said["refused"]:
            before = found.requests.pop(index).before
            if before is not None:
                found.requests[index] = before

    def _unfit(self, why: str) -> JournalError:
        return JournalError(f"the journal {self.path} {why}")


def _record(*, is_intent: bool = False, **said: object) -> Record:
    return Record(_line(**said), is_intent=is_intent)


def _line(**said: object) -> bytes:
    return json.dumps(said, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"


def _task_in(said: Mapping[str, Any]) -> TextGenResponse:
    return model_of(TextGenResponse, said["task"])


def _lock(file: FileIO) -> None:
    """Take the file for this process, until it is closed or the process ends, however it does."""
    if sys.platform == "win32":  # pragma: no cover
        import msvcrt  # noqa: PLC0415 - a module of Windows

        file.seek(1 << 40)  # a place beyond what is there: Windows' locks keep readers out
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl  # noqa: PLC0415 - Windows has none

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _sync_folder(folder: Path) -> None:
    """Have the file's name on the disk too."""
    if os.name == "posix":  # pragma: no branch - Windows can't
        number = os.open(folder, os.O_RDONLY)
        with suppress(OSError):  # not every file system can
            os.fsync(number)
        os.close(number)
