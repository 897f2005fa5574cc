"""What a batch tells its caller: results, progress, and what ended it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from creatify._errors import CreatifyError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from creatify._errors import InvalidRequestError
    from creatify_api.models import TextGenRequest, TextGenResponse

Key: TypeAlias = str | int | None
"""What a caller names a request by."""
Item: TypeAlias = "TextGenRequest | Mapping[str, Any] | InvalidRequestError"
"""One of a batch's requests, see `creatify.batch`."""
Status: TypeAlias = Literal["done", "failed", "unfinished", "unknown", "rejected", "invalid"]
OnProgress: TypeAlias = "Callable[[BatchProgress], object]"


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What became of one request.

    `index` (int): its place in the input, from 0. `key` (str, int or None): the caller's own name
    for it. `request` (TextGenRequest or None): None if the input had none that can be sent. `task`
    (TextGenResponse or None): as last seen. `error` (CreatifyError or None): None if it is done.
    `status` (str), and what it cost:

    - `done`: the text is there, paid for
    - `failed`: the generation failed; `task.credits_used` says what it cost
    - `unfinished`: paid for and not over in time, or no longer to be seen; resuming waits again
    - `unknown`: it may have been paid for and was not sent again; resuming looks again
    - `rejected`: the API refused it, free
    - `invalid`: it can't be right and was not sent, free
    """

    index: int
    key: Key
    request: TextGenRequest | None
    status: Status
    task: TextGenResponse | None = None
    error: CreatifyError | None = None

    def unwrap(self) -> TextGenResponse:
        """The task, done. Raises the error of any other result."""
        if self.error is not None:
            raise self.error
        assert self.task is not None  # noqa: S101 - a result has one of the two
        return self.task

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON, without the request: `index`, `key`, `status`, `task`, `error`."""
        return {
            "index": self.index,
            "key": self.key,
            "status": self.status,
            "task": None if self.task is None else self.task.to_dict(),
            "error": None if self.error is None else str(self.error),
        }


@dataclass(frozen=True, slots=True)
class BatchProgress:
    """How far a batch is.

    `total` (int or None: not known yet, as of a generator that has not ended), `done`, `failed`
    (results with any other status, but for the next), `unknown`, `in_flight` (int: requests that
    are under way), `resumed` (int: of the results, those that an earlier run had got),
    `credits_used` (float: of all tasks of this batch that are over, in earlier runs too),
    `credits_reserved` (float: what the rest of the requests that were sent may cost at most, as far
    as that is known), `elapsed` (seconds of this run), `remaining` (seconds, an estimate; None
    where there is nothing to go by), `limit` (int: how many may be under way at once just now).
    """

    total: int | None
    done: int
    failed: int
    unknown: int
    in_flight: int
    resumed: int
    credits_used: float
    credits_reserved: float
    elapsed: float
    remaining: float | None
    limit: int


class BatchBudgetError(CreatifyError):
    """The batch ended because the next request could have crossed `max_credits`.

    `progress` (BatchProgress). What was sent has been delivered; with a journal, the same batch
    with a larger `max_credits` goes on.
    """

    def __init__(self, message: str, *, progress: BatchProgress) -> None:
        super().__init__(message)
        self.progress = progress


class JournalError(CreatifyError):
    """The journal can't be read, written or locked, or is of other requests: says what to do."""
