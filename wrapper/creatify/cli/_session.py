"""What a run of the command works with: its client, its emulator, and what was paid for so far."""

from __future__ import annotations

import shlex
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypedDict

import creatify
from creatify.cli import _emulated, _terminal

if TYPE_CHECKING:
    from uuid import UUID

    from creatify import AsyncCreatify, Creatify


class _Arguments(TypedDict, total=False):
    profile: str | None
    base_url: str
    api_id: str
    api_key: str


class Session:
    """One run: `profile` and `emulate` as they were asked for."""

    def __init__(self, *, profile: str | None = None, emulate: bool = False) -> None:
        self.profile = profile
        self.emulate = emulate
        self.hint = ""
        """What became of a paid request without a known task, if the command is interrupted now."""
        self._open: dict[str, None] = {}
        self._stack = ExitStack()

    def client(self) -> Creatify:
        """A client with the settings of this run. Raises ConfigurationError."""
        return creatify.Creatify(**self._settings())

    def async_client(self) -> AsyncCreatify:
        """The same for asyncio. Raises ConfigurationError."""
        return creatify.AsyncCreatify(**self._settings())

    def paid(self, *tasks: UUID | str) -> None:
        """Keep the ids of tasks whose results the user has not seen yet."""
        self._open |= dict.fromkeys(map(str, tasks))

    def seen(self, task: UUID | str) -> None:
        """The user has the result of a task, or knows that there is none."""
        self._open.pop(str(task), None)

    @property
    def advice(self) -> str:
        """How to get what is known to be paid for, if the command ends now; empty if nothing is."""
        if self.emulate or not self._open:
            return ""
        return f"to get what was paid for: {self.command('wait')} {' '.join(self._open)}"

    @property
    def last_word(self) -> str:
        """What to say if the command is cut short: the advice, else the hint."""
        return self.advice or ("" if self.emulate else self.hint)

    def command(self, name: str) -> str:
        """How to call another command with the settings of this one."""
        profile = ["--profile", self.profile] if self.profile else []
        return shlex.join(["creatify", *profile, name])

    def close(self) -> None:
        """Stop the emulator."""
        self._stack.close()

    def _settings(self) -> _Arguments:
        if not self.emulate:
            return {"profile": self.profile}
        emulator = _emulated.start(self._stack)
        _terminal.note("emulated: nothing is sent to the API, and nothing is charged")
        return {
            "base_url": emulator.url,
            "api_id": emulator.api_id,
            "api_key": emulator.api_key,
        }
