"""A program in a real terminal: what it writes comes onto a screen, and keys can be pressed."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING, Self

import pyte
from canaries import leaks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CTRL_C = "\x03"
_PATIENCE = 20.0  # seconds
_UNWANTED = frozenset(
    {
        "CI",
        "COLUMNS",
        "FORCE_COLOR",
        "GITHUB_ACTIONS",
        "LINES",
        "NO_COLOR",
        "PYTHONUNBUFFERED",  # it would hide what is not flushed
    }
)
# It is the terminal's own program: Ctrl-C is a signal to it.
_LAUNCH = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


class Terminal:
    """Runs `python` with these arguments, in a window of so many columns and lines."""

    def __init__(
        self,
        *arguments: str,
        size: tuple[int, int] = (80, 24),
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.raw = b""
        self._screen = pyte.HistoryScreen(*size, history=1000, ratio=1.0)
        self._stream = pyte.ByteStream(self._screen)
        self._master, slave = pty.openpty()
        columns, lines = size
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        environ = {**os.environ, "TERM": "xterm-256color", **(env or {})}
        for name in _UNWANTED - (env or {}).keys():
            environ.pop(name, None)
        self._process = subprocess.Popen(
            [sys.executable, "-IS", "-c", _LAUNCH, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environ,
            start_new_session=True,
        )
        self._slave = slave

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(_PATIENCE)
        os.close(self._master)
        os.close(self._slave)
        assert not leaks(self.raw), "the terminal shows a credential"

    @property
    def text(self) -> str:
        """The screen and what scrolled off it, without the spaces at the lines' ends."""
        lines = ["".join(line[x].data for x in sorted(line)) for line in self._screen.history.top]
        return "\n".join(line.rstrip() for line in [*lines, *self._screen.display]).rstrip()

    def until(self, told: str | Callable[[str], bool]) -> str:
        """Wait until the screen has a text; the screen."""
        is_told = (lambda text: told in text) if isinstance(told, str) else told
        deadline = time.monotonic() + _PATIENCE
        while not is_told(self.text):
            assert time.monotonic() < deadline, f"{told!r} is not in:\n{self.text}"
            if not self._read():
                assert is_told(self.text), f"it ended, and {told!r} is not in:\n{self.text}"
        return self.text

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def end(self) -> int:
        """Wait for the program's end; its exit code."""
        deadline = time.monotonic() + _PATIENCE
        while self._read():
            assert time.monotonic() < deadline, f"it does not end:\n{self.text}"
        return self._process.wait(_PATIENCE)

    @property
    def is_running(self) -> bool:
        """Whether the program has not ended."""
        return self._process.poll() is None

    @property
    def has_cursor(self) -> bool:
        """Whether the terminal shows its cursor."""
        return not self._screen.cursor.hidden

    @property
    def echoes(self) -> bool:
        """Whether the terminal shows what is typed."""
        return bool(termios.tcgetattr(self._slave)[3] & termios.ECHO)

    def _read(self) -> bool:
        """Take what comes within a moment. False when the program has ended and no more is left."""
        has_ended = self._process.poll() is not None
        if not select.select([self._master], [], [], 0.05)[0]:
            return not has_ended
        data = os.read(self._master, 65536)
        self.raw += data
        self._stream.feed(data)
        return True
