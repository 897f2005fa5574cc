"""How many requests of a batch are under way, when the next may leave, and what it may cost.

Additive increase, multiplicative decrease, as TCP does it (RFC 5681): each refusal halves how many,
once for all that were sent before it; each result adds a little.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Final

from creatify._errors import (
    APIStatusError,
    ConfigurationError,
    InternalServerError,
    RateLimitError,
)
from creatify._retry import retry_delay
from creatify._status import retry_after, was_rejected

if TYPE_CHECKING:
    from collections.abc import Callable

    from creatify._errors import CreatifyError
    from creatify_api.models import TextGenResponse

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0  # seconds, where the API doesn't say how long
_LEAST_PAUSE: Final = 0.05  # seconds; an API that says 0 is not asked at once again
_DUST: Final = 1e-9  # credits; what sums of decimal fractions differ by


def is_passing(error: CreatifyError) -> bool:
    """Whether a request that met this was not acted on, and may be sent again later."""
    if isinstance(error, RateLimitError):
        return True
    if isinstance(error, InternalServerError):
        return was_rejected(error.status_code, error.headers)
    return retry_delay("POST", error, 0, 0.0) is not None


class Pace:
    """`limit` is how many may be under way at once, at most `most`.

    Trouble is waited out for `patience` seconds.
    """

    def __init__(self, most: int, patience: float, clock: Callable[[], float]) -> None:
        self.limit = float(most)
        self._most = most
        self._patience = patience
        self._clock = clock
        self._trouble: CreatifyError | None = None  # that was met last
        self._since, self._last = math.inf, -math.inf  # when it began, and was met last
        self._cut_at = -math.inf
        self._cuts = 0
        self._resumes_at = -math.inf

    @property
    def pause(self) -> float:
        """Seconds until a request may leave."""
        return max(self._resumes_at - self._clock(), 0.0)

    @property
    def hopeless(self) -> CreatifyError | None:
        """Why it is of no use to go on, if it is: only trouble for too long, or a longer pause."""
        is_long = self._last - self._since >= self._patience or self.pause > self._patience
        return self._trouble if is_long else None

    def went_well(self) -> None:
        """A request was acted on."""
        self._cuts, self._since = 0, math.inf
        self.limit = min(self.limit + 1 / self.limit, float(self._most))

    def met(self, error: CreatifyError, at: float) -> None:
        """A request met trouble at that moment; who takes results slowly hears of it later."""
        self._trouble, self._last = error, at
        self._since = min(self._since, at)

    def refused(self, error: CreatifyError, began: float, at: float) -> None:
        """A request that was sent when it `began` has to be sent again later."""
        self.met(error, at)
        now = self._clock()
        if began >= self._cut_at:
            self.limit, self._cut_at = max(self.limit / 2, 1.0), now
            self._cuts += 1
        asked = retry_after(error.headers) if isinstance(error, APIStatusError) else None
        if asked is None:
            chance = random.uniform(0.5, 1.0)  # noqa: S311 - it spreads load and guards no secret
            asked = min(_FIRST_PAUSE * 2.0**self._cuts, _LONGEST_PAUSE) * chance
        self._resumes_at = max(self._resumes_at, now + max(asked, _LEAST_PAUSE))


class Budget:
    """What was spent, and whether one request more may be.

    `each` is the most that one may cost: as given, or the most that one was seen to.
    """

    def __init__(self, most: float | None, each: float | None) -> None:
        self.spent = 0.0
        self.each = each
        self._most = most
        self._uncosted = 0  # tasks of which the API didn't say what they cost

    def allows(self, reserved: int) -> bool:
        """Whether a request may be sent, beside so many that may yet cost something each.

        As long as no cost is known, one at a time is.
        """
        if self._most is None:
            return True
        reserved += self._uncosted
        if self.each is None:
            return reserved == 0 and self.spent < self._most
        return self.spent + (reserved + 1) * self.each <= self._most + _DUST

    def charge(self, task: TextGenResponse) -> None:
        """A task is over."""
        used = task.credits_used
        if isinstance(used, int | float):
            self.spent += max(used, 0.0)
            self.each = max(self.each or 0.0, used) or None
        else:
            self._uncosted += 1

    def reserved(self, count: int) -> float:
        """What so many, and those whose cost is not known, may cost, as far as that is known."""
        return (count + self._uncosted) * (self.each or 0.0)

    def refusal(self, reserved: int) -> str:
        """Why no more are sent."""
        if self.each is None and reserved + self._uncosted:
            return "what a request costs is not known yet, give credits_each"
        each = f" and one more may cost {self.each:g}" if self.each else ""
        held = self.reserved(reserved)
        open_ = f", up to {held:g} may yet be for requests whose outcome is open" if held else ""
        return f"{self.spent:g} of max_credits={self._most:g} are spent{open_}{each}"


def check_count(value: object, name: str) -> int:
    """A number of requests, as given. Raises ConfigurationError unless it is an int from 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"{name} is an int from 1, and not {value!r}")
    return value


def check_credits(value: object, name: str) -> float | None:
    """Credits as given, or None. Raises ConfigurationError unless they are a positive number."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ConfigurationError(f"{name} is in credits, a number above 0, and not {value!r}")
    return float(value)
