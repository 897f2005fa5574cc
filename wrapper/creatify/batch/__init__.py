"""Many prompts: an iterable of requests in, results out as they finish, nothing paid for twice.

```python
from creatify import Creatify, user
from creatify.batch import Batch

prompts = ["Write a slogan.", "Write a headline.", "Write a haiku."]
requests = [
    {"model_name": "gemini-2.5-flash", "messages": [user(prompt)]} for prompt in prompts
]
client = Creatify()
for result in Batch(client, requests, journal="slogans.journal", max_credits=100.0):
    if result.error is None:
        print(result.index, result.unwrap().response_text)
    else:
        print(result.index, result.status, result.error)
```

Async code has `AsyncBatch(client, ...)` with an `AsyncCreatify` and `async for`.

**Requests** are any iterable, read as they are needed: `TextGenRequest`s, or mappings with their
fields, as JSON has them. A request that should keep a name of yours is given as `{"key": "a-17",
"request": {...}}`; the result has it as `.key`. `read_jsonl(path)` reads a file with one of either
kind a line. What is no request becomes a result with the status `invalid`.

**Results** are `BatchResult`s, in the order in which they are there, or, with `ordered=True`, in
the input's: then up to 1,024 are kept behind one that is late, and no more are begun. Each says in
`status` what became of it and what that cost. New requests are begun while the loop asks for
results, at most `concurrency` (16) at once; a loop that takes its time holds them back.

**What ends it early** is raised when all that was sent has been delivered: AuthenticationError,
PermissionDeniedError, ConfigurationError and InsufficientCreditsError, which every other request
would meet; BatchBudgetError; JournalError; an error of the input; and trouble alone (no connection,
429s, lost answers) for as long as `timeout`, or a Retry-After that is longer. Leaving the loop ends
it too, and so does an error of `on_progress`: what is being sent gets its answer first, waits end
at once, and the tasks go on, paid for. Where no journal has them, their ids are logged, and noted
on the error. Python ends an `async for` that is left early some time later: leave it by `async with
contextlib.aclosing(aiter(batch)) as results`, which gives what is being sent 5 seconds.

**Too many requests** (429, or 503 with Retry-After) are nobody's result: the request is sent again
when the API says, or after a growing pause, and half as many are sent at once from then on; each
result adds a little, up to `concurrency`. An API that can't be reached is waited for alike.

**The journal**, a file, makes a batch resume after a crash, a kill at any instant, or an error that
ended it: run the same program again, with the same requests and journal. What was done is delivered
from the journal; what was paid for is waited for; a request that was about to be sent is looked for
in the API's list of tasks, and sent again, once, only if the list shows that it never arrived. That
takes a minute at the end, if there is any, and whenever more than `concurrency` are in doubt. Where
the list can't show it, as it is cut (or as new as the batch, so that it may be), does not answer,
or has tasks of that time that nobody knows, the result is `unknown`, and the next run looks again;
`resend_unknown=True` sends those again, once in a run, and may pay twice. The same is done, with or
without a journal, when an answer is lost on the way. No list tells whose an identical task of
another process in those minutes is: let the prompts differ. Each step is on the disk before the
next one is taken; one process at a time has the journal, and it holds the texts: its mode is 600.
Reading one of 10,000 tasks takes a second or two, in which an event loop waits. Other requests than
it began with are an error, more of them are none. Keep it on a file system whose locks and fsync
work.

**The budget**, `max_credits`, is for the batch with all its earlier runs in the journal. A request
is sent only if everything that was spent, and what those may cost whose cost is not known yet, and
this one, fit into it. The most that one may cost is `credits_each`; without that the first is sent
alone, whatever it costs, and then the highest cost seen counts. So the bound holds if no request
costs more than that.

```python
from creatify.batch import BatchBudgetError

try:
    done = list(Batch(client, requests, max_credits=2.5, credits_each=1.0))
except BatchBudgetError as error:
    print(error, error.progress.credits_used)
```

**Progress** is `batch.progress`, a `BatchProgress`, and `on_progress` is called with it about once
a second and whenever something has changed, in the thread or the event loop that iterates.

**More than one machine**: a client pickles, as what it was made of. It finds its credentials where
it lands: in the environment, in files, in a profile, or by `credentials=`, a function of a module.
A client that was given its keys as arguments does not. `generate_partition` takes the rows of one
partition and gives a list of plain dicts. With Dask (tested on a local cluster):

    bag.map_partitions(generate_partition, client=client, journal="/shared/journals")
    frame.map_partitions(
        lambda rows: pandas.DataFrame(generate_partition(rows.to_dict("records"))), meta=...
    )

And with Ray, whose `map_batches` gives a dict of columns (written from its documentation):

    data.map_batches(
        lambda columns: {"result": generate_partition(
            [dict(zip(columns, row)) for row in zip(*columns.values())]
        )}
    )

Each partition has `concurrency` of its own, and knows no tasks of the others: beside these, what a
killed worker was about to send stays `unknown`, if it did not arrive. Partitions of the same rows
share a journal, and so their results.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Generic, TypeVar

from creatify._client import AsyncCreatify, Creatify
from creatify._errors import ConfigurationError
from creatify._options import check_function, check_seconds
from creatify.batch._engine import Engine, Plan, Start, Turn
from creatify.batch._flows import Context
from creatify.batch._input import check_iterable, jsonl, partition_name
from creatify.batch._journal import Found, Journal
from creatify.batch._pace import Budget, check_count, check_credits
from creatify.batch._past import check_same
from creatify.batch._settle import Learned
from creatify.batch._types import (
    BatchBudgetError,
    BatchProgress,
    BatchResult,
    Item,
    JournalError,
    OnProgress,
)
from creatify.batch._workers import Tasks, Threads

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Iterable, Iterator
    from os import PathLike

__all__ = [
    "AsyncBatch",
    "Batch",
    "BatchBudgetError",
    "BatchProgress",
    "BatchResult",
    "JournalError",
    "generate_partition",
    "read_jsonl",
]

AnyClient = TypeVar("AnyClient", Creatify, AsyncCreatify)
CONCURRENCY: Final = 16
TIMEOUT: Final = 600.0


class _Batch(Generic[AnyClient]):
    """What both colours share."""

    _client_type: type[AnyClient]

    def __init__(
        self,
        client: AnyClient,
        requests: Iterable[Item],
        *,
        journal: str | PathLike[str] | None = None,
        concurrency: int = CONCURRENCY,
        max_credits: float | None = None,
        credits_each: float | None = None,
        ordered: bool = False,
        timeout: float = TIMEOUT,
        resend_unknown: bool = False,
        on_progress: OnProgress | None = None,
    ) -> None:
        if not isinstance(client, self._client_type):
            raise ConfigurationError(
                f"{type(self).__name__} takes a {self._client_type.__name__}, and not"
                f" {type(client).__name__}"
            )
        check_iterable(requests)
        self._client: AnyClient = client
        self._requests = requests
        self._journal = journal
        self._plan = Plan(
            check_count(concurrency, "concurrency"),
            ordered,
            check_seconds(timeout, "timeout"),
            resend_unknown,
        )
        self._budget = Budget(
            check_credits(max_credits, "max_credits"), check_credits(credits_each, "credits_each")
        )
        self._on_progress = check_function(on_progress, "on_progress", "a BatchProgress")
        self._engine: Engine | None = None

    @property
    def progress(self) -> BatchProgress | None:
        """How far it is; None before it is iterated over."""
        return None if self._engine is None else self._engine.progress

    @contextmanager
    def _opened(self) -> Iterator[Engine]:
        """The engine, and the journal open until the batch is over. Raises what ended it early."""
        if self._engine is not None:
            raise ConfigurationError("a batch is iterated over once: make another one")
        connection, options = self._client._connection, self._client._options
        with ExitStack() as opened:
            journal = None
            found = Found()
            if self._journal is not None:
                base_url = connection.settings.base_url
                journal = Journal(self._journal, base_url, self._budget.charge)
                opened.callback(journal.close)
                check_same(self._requests, journal, options, self._plan.timeout)
                found = journal.found
            ledger, schedule = connection.ledger, connection.schedule
            for task_id in found.learned:
                ledger.give(task_id)
            learned = Learned(found.learned, found.lines)
            context = Context(options, self._plan.timeout, ledger, schedule, learned, journal)
            engine = Engine(self._requests, self._plan, self._budget, context)
            opened.callback(engine.close)
            self._engine = engine
            try:
                yield engine
            except BaseException as error:
                engine.left(error)
                raise
            if engine.error is not None:
                raise engine.error

    def _next(self, engine: Engine, workers: Threads | Tasks) -> Turn | None:
        """Start what is to be started, and say what follows; None when it is over."""
        if self._on_progress is not None:  # before a result is taken that it would lose
            self._on_progress(engine.progress)
        while isinstance(step := engine.next(), Start):
            workers.start(step)
        return step


class Batch(_Batch[Creatify]):
    """Many requests at once; iterating over it, once, sends them and gives a `BatchResult` each.

    `requests` as the module says. `journal` (a path) makes it resume. `concurrency` (16): requests
    under way at once, at most. `max_credits` and `credits_each` (credits): the budget. `ordered`:
    results in the order of the input. `timeout` (seconds, 600): how long each task is waited for
    from its creation, and how long trouble may last. `resend_unknown`: may pay twice.
    `on_progress` is called with a `BatchProgress`.

    Raises ConfigurationError and InvalidRequestError when it is made, and what ends it early when
    all that was sent has been delivered: see the module.
    """

    _client_type = Creatify

    def __iter__(self) -> Generator[BatchResult, None, None]:
        """Send the requests, and give each result as it is there."""
        with self._opened() as engine, Threads(self._client._connection) as workers:
            while (turn := self._next(engine, workers)) is not None:
                yield from turn.results
                engine.took(workers.take(turn.seconds))


class AsyncBatch(_Batch[AsyncCreatify]):
    """Many requests at once; iterating over it, once, sends them and gives a `BatchResult` each.

    `requests` as the module says. `journal` (a path) makes it resume. `concurrency` (16): requests
    under way at once, at most. `max_credits` and `credits_each` (credits): the budget. `ordered`:
    results in the order of the input. `timeout` (seconds, 600): how long each task is waited for
    from its creation, and how long trouble may last. `resend_unknown`: may pay twice.
    `on_progress` is called with a `BatchProgress`.

    Raises ConfigurationError and InvalidRequestError when it is made, and what ends it early when
    all that was sent has been delivered: see the module.
    """

    _client_type = AsyncCreatify

    async def __aiter__(self) -> AsyncGenerator[BatchResult, None]:
        """Send the requests, and give each result as it is there."""
        with self._opened() as engine:
            async with Tasks(self._client._connection) as workers:
                while (turn := self._next(engine, workers)) is not None:
                    for result in turn.results:
                        yield result
                    engine.took(await workers.take(turn.seconds))


def read_jsonl(source: str | PathLike[str] | IO[str] | IO[bytes]) -> Iterable[Item]:
    """The requests of a JSONL file, one a line, read as they are needed: a path, or an open file.

    A line is a request as the API takes it, `{"model_name": ..., "messages": [...]}`, or has a name
    of yours for it: `{"key": ..., "request": {...}}`. A line that is no JSON becomes a result with
    the status `invalid`; empty ones don't count. Raises InvalidRequestError, at once, for a file
    that can't be opened.
    """
    return jsonl(source)


def generate_partition(
    rows: Iterable[Item],
    *,
    client: Creatify | None = None,
    journal: str | PathLike[str] | None = None,
    concurrency: int = CONCURRENCY,
    timeout: float = TIMEOUT,
) -> list[dict[str, Any]]:
    """The requests of one partition, for an engine that spreads them over processes or machines.

    `rows` are requests as `Batch` takes them; a dict of what each came to is given, in their order:
    `index` (within the partition), `key`, `status`, `task`, `error`, all of it plain JSON. `client`
    (default: one that finds its settings where this runs, and is closed) stays open. `journal`, a
    folder that all workers share, has a file for each partition, named by its rows: if the engine
    runs a partition again, because a worker was lost, what that had paid for is picked up.
    `concurrency` is that of one partition, and `timeout` (seconds) as for `Batch`.

    Raises what `Batch` raises when it ends early; the engine's retry then goes on.
    """
    rows = list(rows)
    path = None
    if journal is not None:
        path = Path(journal) / partition_name(rows)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise JournalError(f"no journals can be in {journal}: {error.strerror}") from error
    with ExitStack() as opened:
        client = client or opened.enter_context(Creatify())
        batch = Batch(
            client, rows, journal=path, concurrency=concurrency, ordered=True, timeout=timeout
        )
        return [result.to_dict() for result in batch]
