"""How the command ends: its exit codes, and what an error means to it."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

from creatify._errors import (
    ConfigurationError,
    CreatifyError,
    InsufficientCreditsError,
    InvalidRequestError,
    OutcomeUnknownError,
    StreamError,
    StreamEventError,
    TaskFailedError,
    WaitTimeoutError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable


class Code(IntEnum):
    """The exit codes, as `creatify --help` lists them."""

    OK = 0
    ERROR = 1
    USAGE = 2
    UNKNOWN = 3
    FAILED = 4
    TIMEOUT = 5
    CREDITS = 6
    INTERRUPTED = 130
    HUNG_UP = 141


MEANINGS: Final = {
    Code.OK: "all went well",
    Code.ERROR: "the API refused, or can't be reached; any other error",
    Code.USAGE: "wrong usage, settings or request; nothing was sent",
    Code.UNKNOWN: "a paid request may have been made: look before you repeat it",
    Code.FAILED: "a generation failed",
    Code.TIMEOUT: "a task was not done in time; it may still be running",
    Code.CREDITS: "credits or budget ran out",
    Code.INTERRUPTED: "Ctrl-C",
    Code.HUNG_UP: "the reader of the output hung up",
}

_CODES: Final[tuple[tuple[type[CreatifyError], Code], ...]] = (
    (ConfigurationError, Code.USAGE),
    (InvalidRequestError, Code.USAGE),
    (OutcomeUnknownError, Code.UNKNOWN),
    (StreamEventError, Code.FAILED),
    (StreamError, Code.UNKNOWN),
    (TaskFailedError, Code.FAILED),
    (WaitTimeoutError, Code.TIMEOUT),
    (InsufficientCreditsError, Code.CREDITS),
)


_GRAVEST_FIRST: Final = (
    Code.UNKNOWN,
    Code.CREDITS,
    Code.ERROR,
    Code.USAGE,
    Code.TIMEOUT,
    Code.FAILED,
)


def worst(codes: Iterable[Code]) -> Code:
    """The exit code of a command that met several errors."""
    return min(codes, key=_GRAVEST_FIRST.index)


def code_of(error: CreatifyError) -> Code:
    """The exit code of an error."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), Code.ERROR)
