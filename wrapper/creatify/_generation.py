"""Generations that are paid for: a create and what follows from it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from creatify import _operations
from creatify._awaited import WaitOptions
from creatify._errors import TaskFailedError
from creatify._reconcile import paid
from creatify._wait import wait

if TYPE_CHECKING:
    from collections.abc import Callable

    from creatify._ledger import Ledger
    from creatify._operations import Steps
    from creatify._options import Options
    from creatify._schedule import Schedule
    from creatify_api.models import TextGenRequest, TextGenResponse


def create(
    request: TextGenRequest,
    options: Options,
    ledger: Ledger,
    schedule: Schedule,
    *,
    timeout: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Steps[TextGenResponse]:
    """Create a task and return it: still pending, unless the request has `sync`.

    Raises OutcomeUnknownError; WaitTimeoutError with the task, if the answer to a `sync` was lost
    and its task was found and is not done in time.
    """
    operation = _operations.create(request, options, timeout)
    began = clock()
    task, was_lost = yield from paid(operation, request, ledger, clock)
    if not (was_lost and request.sync):
        return task
    waits = WaitOptions(operation.call.timeout)
    try:
        return (yield from wait(task, waits, options, schedule, clock, created_since=began))
    except TaskFailedError as error:
        return error.task  # as the lost answer would have told it


def generate(
    request: TextGenRequest,
    waits: WaitOptions,
    options: Options,
    ledger: Ledger,
    schedule: Schedule,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Steps[TextGenResponse]:
    """Create, then wait; one timeout for both. Raises what both raise."""
    operation = _operations.create(request, options, at_most=waits.timeout)
    began = clock()
    task, _ = yield from paid(operation, request, ledger, clock)
    return (yield from wait(task, waits, options, schedule, clock, created_since=began))
