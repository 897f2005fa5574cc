"""How a client sends, and the checks of the numbers that are given for it."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from creatify._errors import ConfigurationError

if TYPE_CHECKING:
    from creatify._drift import OnDrift

T = TypeVar("T")

_LONGEST: Final = 2_147_483  # seconds; the system's calls take no longer timeout, and some wrap it


@dataclass(frozen=True, slots=True)
class Options:
    """How a client sends: `timeout` in seconds, or None for each operation's own."""

    timeout: float | None = None
    max_retries: int = 2
    on_drift: OnDrift | None = None

    def but(self, timeout: float | None = None, max_retries: int | None = None) -> Options:
        """These options but for what is given. Raises ConfigurationError for what is no option."""
        return Options(
            self.timeout if timeout is None else check_seconds(timeout, "timeout"),
            self.max_retries if max_retries is None else _check_retries(max_retries),
            self.on_drift,
        )


def check_seconds(value: float, name: str) -> float:
    """A time as it was given. Raises ConfigurationError unless it is positive and below 25 days."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigurationError(f"{name} is in seconds, as a number, and not {value!r}")
    if not 0 < value <= _LONGEST:
        raise ConfigurationError(f"{name} must be above 0 and at most {_LONGEST} seconds")
    return value


def check_size(value: object, name: str) -> int:
    """A number of bytes as it was given. Raises ConfigurationError unless it is a positive int."""
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise ConfigurationError(f"{name} is in bytes, as a positive int, and not {value!r}")
    return value


def check_function(value: T, name: str, what: str) -> T:
    """A callback as it was given, or None. Raises ConfigurationError unless it can be called."""
    if value is None or (callable(value) and not inspect.iscoroutinefunction(value)):
        return value
    raise ConfigurationError(f"{name} is a plain function of {what}: it is not awaited")


def _check_retries(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ConfigurationError(f"max_retries is an int from 0, and not {value!r}")
    return value
