"""What became of a paid request whose answer was lost: the list endpoint is asked, nothing is sent
again.

A create costs credits, and the API takes no idempotency key. So a create that was sent is never
sent again: if its answer is lost (a reset, a timeout, a 5xx, a 2xx that is no task), the list is
asked which task is its own. That is a task created since the call began, by the server's clock,
with the same model, messages, system instruction and config, that no call of this process was
given. If there is just one, the call returns it as if nothing had happened, and a warning is logged
on `creatify`. Else it raises OutcomeUnknownError with the `candidates` (a list of TextGenResponse),
none or several, and with a `list_error` if the list could not be asked: look before you send it
again. The search costs nothing but time: about 8 seconds if the list answers and says no, else as
long again as the call's own `timeout`, at least 2 s and at most 30 s.

Identical calls at once are kept apart within a process (by `_ledger`), in all its threads, event
loops and clients of an account: no task is given to two of its `create`, `generate` and `stream`
calls. What no client can tell apart is an identical request in the same seconds of another process,
or through `client.api`: let the prompts differ. A lost create waits for identical calls that are
under way, and does not guess while one stays so (a long stream, say), nor in the minute after an
identical stream was left before its receipt told its task. What a cancelled create was charged for
is nobody's, and a lost create may find it. A request that was sent through `client.api` is not
looked up: it raises an APIConnectionError whose `request_sent` is True.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from creatify import _operations
from creatify._errors import (
    MAY_BE_CHARGED,
    APIConnectionError,
    APIStatusError,
    AuthenticationError,
    ConfigurationError,
    CreatifyError,
    OutcomeUnknownError,
    PermissionDeniedError,
    ResponseDecodeError,
)
from creatify._flow import Send, Sleep
from creatify._ledger import shared_fields
from creatify._log import LOGGER
from creatify._options import Options
from creatify._status import date_of, was_rejected
from creatify_api.models import TextGenResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from creatify._ledger import Entry, Ledger
    from creatify._operations import Operation, Steps
    from creatify._schema import JSON, Drift
    from creatify_api.models import TextGenRequest

DELAYS: Final = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0)
"""Seconds before each time that the list is asked."""
ANSWERS: Final = 5
"""Of the list, after which it does not have a task; one may appear in it late."""
_SHORTEST, _LONGEST = 2.0, 30.0  # seconds that the search may take: as long again as the call
_SHORTEST_ASK, _LONGEST_ASK = 0.1, 10.0  # seconds for one answer of the list
_FINAL: Final = (AuthenticationError, PermissionDeniedError, ConfigurationError)
_SHOWN: Final = 3  # ids in a message
_TICK: Final = 0.05  # seconds between two looks at identical calls that are under way
_SKEW: Final = timedelta(seconds=1)  # between the clocks of a server's Date and of its database
_SKEW_OF_CLIENT: Final = timedelta(seconds=60)  # of this machine's clock, if there is no Date


@dataclass(frozen=True, slots=True)
class Search:
    """What the list told of a lost call.

    `task` is its own, if there is just one that it can be; `candidates` are all that it can be;
    `error` is why the list told nothing.
    """

    task: TextGenResponse | None = None
    candidates: list[TextGenResponse] = field(default_factory=list)
    error: CreatifyError | None = None


def paid(
    operation: Operation[TextGenResponse],
    request: TextGenRequest,
    ledger: Ledger,
    clock: Callable[[], float] = time.monotonic,
) -> Steps[tuple[TextGenResponse, bool]]:
    """Send a create once, and return its task, and whether that had to be found in the list.

    Raises OutcomeUnknownError if none or several of the list's tasks may be its own.
    """
    with ledger.begin(request, operation.call.content or b"") as entry, under_way(entry):
        try:
            task = yield from _operations.call(operation)
        except CreatifyError as error:
            if not is_unknown(error):
                raise
            entry.is_lost = True
            search = yield from find(entry, ledger, operation.call.timeout, clock)
            if search.task is None:
                raise outcome_unknown(entry, search, error, clock) from error
            LOGGER.warning(
                "an answer was lost (%s), and its task %s found in the list: it was paid for once",
                type(error).__name__,
                search.task.id,
            )
            return search.task, True
        entry.end(task.id)
        return task, False


@contextmanager
def under_way(entry: Entry) -> Iterator[None]:
    """Says so where a paid request is interrupted or cancelled."""
    try:
        yield
    except (Exception, GeneratorExit):
        raise
    except BaseException as error:
        told = (
            f"a paid request of {entry.request.model_name!r} was under way since"
            f" {_began(entry):%Y-%m-%dT%H:%M:%SZ}: the list tells whether it arrived"
        )
        LOGGER.warning(told)
        error.add_note(told)
        raise


def find(
    entry: Entry,
    ledger: Ledger,
    patience: float,
    clock: Callable[[], float] = time.monotonic,
) -> Steps[Search]:
    """Ask the list for the task of a lost call.

    It takes as many seconds as `patience`, and at least 2 and at most 30.
    """
    until = clock() + min(max(patience, _SHORTEST), _LONGEST)
    search, answers = Search(), 0
    for delay in DELAYS:
        if clock() + delay >= until or answers == ANSWERS:
            break
        yield Sleep(delay)
        try:
            candidates = yield from _ask(entry, until, clock)
        except CreatifyError as error:
            search = replace(search, error=error)
            if isinstance(error, _FINAL):
                break
            continue
        except Exception as error:  # noqa: BLE001 - of the caller's credentials: it must not hide
            search = replace(search, error=CreatifyError(f"{type(error).__name__}: {error}"))
            continue
        answers, asked = answers + 1, clock()
        rivals = ledger.rivals(entry)
        while not all(rival.is_settled for rival in rivals):
            if clock() >= until:
                return Search(candidates=ledger.free(candidates))
            yield Sleep(_TICK)
        task, free = ledger.claim(entry, candidates, asked)
        if free:
            return Search(task, free if task is None else [task])
        search = Search()
    return search


def is_unknown(error: CreatifyError) -> bool:
    """Whether the API may have acted on a request that met this."""
    if isinstance(error, APIConnectionError):
        return error.request_sent
    if isinstance(error, APIStatusError):
        return not was_rejected(error.status_code, error.headers)
    return isinstance(error, ResponseDecodeError)


def outcome_unknown(
    entry: Entry,
    search: Search,
    error: CreatifyError,
    clock: Callable[[], float] = time.monotonic,
) -> OutcomeUnknownError:
    """The error for a lost call that can't be answered from the list."""
    return OutcomeUnknownError(
        f"{str(error).replace(MAY_BE_CHARGED, '')}{MAY_BE_CHARGED} and was not sent again:"
        f" {_told(search)}",
        request=entry.request,
        started_at=_began(entry, clock),
        candidates=search.candidates,
        list_error=search.error,
    )


def _began(entry: Entry, clock: Callable[[], float] = time.monotonic) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=clock() - entry.started)


def _told(search: Search) -> str:
    if search.error is not None:
        return f"the list, which would tell, could not be asked ({search.error})"
    count = len(search.candidates)
    if not count:
        return "the list has no tasks that may be its own"
    ids = [str(task.id) for task in search.candidates[:_SHOWN]] + ["..."] * (count > _SHOWN)
    tasks = "1 task" if count == 1 else f"{count} tasks"
    return f"the list has {tasks} that may be its own (.candidates): {', '.join(ids)}"


def _ask(entry: Entry, until: float, clock: Callable[[], float]) -> Steps[list[TextGenResponse]]:
    """The tasks of the list that may be the call's own, oldest first."""
    options = Options(max(min(until - clock(), _LONGEST_ASK), _SHORTEST_ASK), max_retries=0)
    operation = _operations.list_tasks(options)
    response = yield Send(operation.call)
    since = _since(response.headers, clock() - entry.started)
    return replace(operation, build=partial(_matching, entry.asked, since)).read(response)


def _since(headers: Mapping[str, str], elapsed: float) -> datetime:
    """The earliest that a call which began `elapsed` seconds ago may have begun.

    By the server's clock: Date is cut to the second, and was written before it came here.
    """
    now = date_of(headers)
    start = datetime.now(UTC) - _SKEW_OF_CLIENT if now is None else now - _SKEW
    return start - timedelta(seconds=elapsed)


def _matching(
    asked: JSON, since: datetime, payload: JSON, drifts: set[Drift] | None
) -> list[TextGenResponse]:
    """Only what fits is made a model of: the list may be long, and others' tasks malformed."""
    fits = [
        (created, item)
        for item in (payload if isinstance(payload, list) else [])
        if (created := created_at(item)) >= since and shared_fields(item) == asked
    ]
    fits.sort(key=lambda pair: pair[0])
    return [_operations.model_of(TextGenResponse, item, drifts) for _, item in fits]


def created_at(item: JSON) -> datetime:
    """When a task was created; long ago for what is none."""
    created = item.get("created_at") if isinstance(item, dict) else None
    try:
        moment = datetime.fromisoformat(str(created).upper())
    except ValueError:
        moment = datetime.min.replace(tzinfo=UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
