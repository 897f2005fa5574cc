"""The operations of text generation: the sync face of the flows, and what both faces share."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, overload

from creatify import _operations, _request
from creatify._accumulator import Accumulator
from creatify._awaited import Hints, OnUpdate, PollPolicy, WaitOptions
from creatify._connection import AnyConnection, Connection
from creatify._extras import needing
from creatify._flow import run
from creatify._generation import create, generate
from creatify._operations import call
from creatify._options import Options, check_seconds, check_size
from creatify._stream import TextStream
from creatify._wait import Completed, wait, wait_all

if TYPE_CHECKING:
    import builtins
    from collections.abc import Callable, Iterable, Iterator
    from typing import Unpack
    from uuid import UUID

    from creatify._ledger import Ledger
    from creatify._operations import Steps
    from creatify._schedule import Schedule
    from creatify.output._parsed import ParsedTextGenResponse, ParsedTextStream
    from creatify.tools._run import OnError
    from creatify_api.models import Message, TextGenRequest, TextGenResponse
    from creatify_api.models.text_gen_request_params import (
        TextGenRequestParams,
        TextGenRunParams,
    )

T = TypeVar("T")
AnyStream = TypeVar("AnyStream")

WAIT_TIMEOUT: Final = 600.0
"""Seconds that a task is waited for."""
IDLE_TIMEOUT: Final = 60.0
"""Seconds between two events of a stream."""
MAX_EVENT_SIZE: Final = 64 * 1024 * 1024
"""Bytes of one event of a stream."""


class BaseTextGenerator(Generic[AnyConnection]):
    """What both colours share."""

    def __init__(self, connection: AnyConnection, options: Options) -> None:
        self._connection = connection
        self._options = options

    @property
    def _shared(self) -> tuple[Ledger, Schedule]:
        return self._connection.ledger, self._connection.schedule

    def _completed(
        self, tasks: Iterable[TextGenResponse | UUID | str], waits: WaitOptions
    ) -> Completed:
        connection = self._connection
        return Completed(tasks, waits, self._options, lambda: connection.schedule)

    def _body(
        self, request: TextGenRequest | None, fields: dict[str, Any], output: object
    ) -> TextGenRequest:
        body = _request.as_request(request, fields)
        if output is None:
            return body
        from creatify.output._parsed import asking  # noqa: PLC0415 - what no call without it should load

        return asking(body, output)

    def _generating(
        self, body: TextGenRequest, waits: WaitOptions, output: object
    ) -> Steps[TextGenResponse]:
        steps = generate(body, waits, self._options, *self._shared)
        if output is None:
            return steps
        from creatify.output._parsed import parsed  # noqa: PLC0415 - see `_body`

        return parsed(steps, output)

    def _streaming(
        self,
        kind: Callable[[AnyConnection, TextGenRequest, _operations.Call, Accumulator], AnyStream],
        body: TextGenRequest,
        output: object,
        idle_timeout: float,
        max_event_size: int,
    ) -> AnyStream:
        options = self._options.but(check_seconds(idle_timeout, "idle_timeout"))
        call = _operations.stream(body, options)
        size = check_size(max_event_size, "max_event_size")
        so_far = Accumulator(idle_timeout, size, on_drift=self._options.on_drift)
        if output is not None:
            from creatify.output._parsed import with_output  # noqa: PLC0415 - see `_body`

            kind = with_output(kind, output)
        return kind(self._connection, body, call, so_far)


class TextGenerator(BaseTextGenerator[Connection]):
    """Text generation, as `client.text_generator`.

    Each method raises the error of the answer's status (APIStatusError and below),
    APIConnectionError and ResponseDecodeError; a method that takes a request raises
    InvalidRequestError before anything is sent. A request is given whole, as a `TextGenRequest`,
    or by its fields as keywords.
    """

    @overload
    def create(
        self, request: TextGenRequest, /, *, timeout: float | None = None
    ) -> TextGenResponse: ...

    @overload
    def create(
        self,
        request: None = None,
        /,
        *,
        timeout: float | None = None,
        **fields: Unpack[TextGenRequestParams],
    ) -> TextGenResponse: ...

    def create(
        self,
        request: TextGenRequest | None = None,
        /,
        *,
        timeout: float | None = None,
        **fields: Any,
    ) -> TextGenResponse:
        """Begin a generation (spec operation `sse_text_generator_create`): a task, still pending.

        With `sync=True` the call blocks until the text is there. `timeout` (seconds) bounds
        the call with its retries: by default the client's, else 60, and 600 with `sync`.
        A lost answer is looked up in the list, which may take as long again, 30 seconds at most;
        raises OutcomeUnknownError if that doesn't tell.
        """
        body = _request.as_request(request, fields)
        steps = create(body, self._options, *self._shared, timeout=timeout)
        return run(steps, self._connection.fetch)

    @overload
    def generate(
        self,
        request: TextGenRequest,
        /,
        *,
        output: None = None,
        timeout: float = WAIT_TIMEOUT,
        poll: PollPolicy | None = None,
        on_update: OnUpdate | None = None,
        inbox: Hints | None = None,
    ) -> TextGenResponse: ...

    @overload
    def generate(
        self,
        request: TextGenRequest,
        /,
        *,
        output: type[T],
        timeout: float = WAIT_TIMEOUT,
        poll: PollPolicy | None = None,
        on_update: OnUpdate | None = None,
        inbox: Hints | None = None,
    ) -> ParsedTextGenResponse[T]: ...

    @overload
    def generate(
        self,
        request: None = None,
        /,
        *,
        output: None = None,
        timeout: float = WAIT_TIMEOUT,
        poll: PollPolicy | None = None,
        on_update: OnUpdate | None = None,
        inbox: Hints | None = None,
        **fields: Unpack[TextGenRequestParams],
    ) -> TextGenResponse: ...

    @overload
    def generate(
        self,
        request: None = None,
        /,
        *,
        output: type[T],
        timeout: float = WAIT_TIMEOUT,
        poll: PollPolicy | None = None,
        on_update: OnUpdate | None = None,
        inbox: Hints | None = None,
        **fields: Unpack[TextGenRequestParams],
    ) -> ParsedTextGenResponse[T]: ...

    def generate(
        self,
        request: TextGenRequest | None = None,
        /,
        *,
        output: type[T] | None = None,
        timeout: float = WAIT_TIMEOUT,
        poll: PollPolicy | None = None,
        on_update: OnUpdate | None = None,
        inbox: Hints | None = None,
        **fields: Any,
    ) -> TextGenResponse:
        """Create a task, wait until it is done, and return it: `create`, then `wait`.

        `timeout` (seconds) bounds both together. `on_update` is called with the task when it has
        been created and each time it has changed: keep its id there to `wait` on after a crash.
        `poll` and `inbox` as in `wait`; the `webhook_url` of the request leads to the inbox.
        `output` is a type (see `creatify.output`) that the text is made an instance of, as
        `.output` of what is returned. Raises what `wait` raises, and OutputParseError.
        """
        waits = WaitOptions(timeout, poll, on_update, inbox)
        steps = self._generating(self._body(request, fields, output), waits, output)
        return run(steps, self._connection.fetch)

    def run_tools(
        self,
        messages: builtins.list[Message],
        *,
        tools: Iterable[Callable[..., object]],
        max_rounds: int = 8,
        on_error: OnError = "report",
        timeout: float = WAIT_TIMEOUT,
        poll: PollPolicy | None = None,
        on_update: OnUpdate | None = None,
        inbox: Hints | None = None,
        **fields: Unpack[TextGenRunParams],
    ) -> TextGenResponse:
        """Let the model call functions until it answers, and return the last task.

        `tools` are typed Python functions (see `creatify.tools`). Each round is a `generate`, paid
        for, with its own `timeout` (seconds), `poll`, `on_update` and `inbox`, and then the
        functions that the model asks for, all at once; at most `max_rounds`. `on_error` says
        whether what a function raises is reported to the model or raised. Raises what `generate`
        raises, ToolRoundsError, and with "raise" also OutputParseError for a call that doesn't fit;
        a note has the tasks that were paid for.
        """
        with needing("tools"):
            from creatify.tools._run import ToolRun, perform  # noqa: PLC0415 - see `_body`

        steps = ToolRun(messages, tools, fields, max_rounds, on_error).steps()
        ask = partial(self.generate, timeout=timeout, poll=poll, on_update=on_update, inbox=inbox)
        return run(steps, partial(perform, ask))

    def retrieve(self, task_id: UUID | str, *, timeout: float | None = None) -> TextGenResponse:
        """One task (spec operation `sse_text_generator_retrieve`).

        Raises NotFoundError; InvalidRequestError for an id that is no UUID, before anything is
        sent.
        """
        operation = _operations.retrieve(_request.as_id(task_id), self._options.but(timeout))
        return run(call(operation), self._connection.fetch)

    def list(self, *, timeout: float | None = None) -> builtins.list[TextGenResponse]:
        """The workspace's tasks (spec operation `sse_text_generator_list`).

        The provider states no order and no limit.
        """
        operation = _operations.list_tasks(self._options.but(timeout))
        return run(call(operation), self._connection.fetch)

    def wait(
        self,
        task: TextGenResponse | UUID | str,
        *,
        timeout: float = WAIT_TIMEOUT,
        poll: PollPolicy | None = None,
        on_update: OnUpdate | None = None,
        inbox: Hints | None = None,
    ) -> TextGenResponse:
        """Poll a task, given as itself or by its id, until it is done, and return it.

        `timeout` in seconds. `on_update` is called with the task each time it has changed. A
        failed poll only delays the next. `inbox`, a `creatify.webhooks.Inbox`, has the task looked
        at when a webhook of it arrives, too. `poll` (default: PollPolicy(), and with an inbox
        PollPolicy(minimum=2.0, maximum=30.0)) is how often it is polled. Raises TaskFailedError;
        WaitTimeoutError with the task as last seen; AuthenticationError and PermissionDeniedError;
        NotFoundError for a task that stays unknown.
        """
        waits = WaitOptions(timeout, poll, on_update, inbox)
        steps = wait(task, waits, self._options, self._connection.schedule)
        return run(steps, self._connection.fetch)

    def wait_all(
        self,
        tasks: Iterable[TextGenResponse | UUID | str],
        *,
        timeout: float = WAIT_TIMEOUT,
        inbox: Hints | None = None,
    ) -> builtins.list[TextGenResponse]:
        """Poll several tasks until all are done, and return them in the order given.

        They share the polls: one call of the list, or a call for each where that is cheaper.
        `timeout` in seconds; `inbox` as in `wait`. Raises, when all are over, TaskFailedError for
        the first that failed; WaitTimeoutError; both have all tasks in `.tasks`. Raises what `wait`
        raises for a task that stays unknown.
        """
        waits = WaitOptions(timeout, inbox=inbox)
        steps = wait_all(tasks, waits, self._options, self._connection.schedule)
        return run(steps, self._connection.fetch)

    def as_completed(
        self,
        tasks: Iterable[TextGenResponse | UUID | str],
        *,
        timeout: float = WAIT_TIMEOUT,
        inbox: Hints | None = None,
    ) -> Iterator[TextGenResponse]:
        """Each of several tasks as it is done, once; also one that failed: see its `status`.

        They share the polls, as those of `wait_all`. `timeout` (seconds) counts from the call;
        `inbox` as in `wait`. Raises WaitTimeoutError with all tasks in `.tasks`; and after the
        last, what `wait` raises for a task that stays unknown.
        """
        waits, fetch = WaitOptions(timeout, inbox=inbox), self._connection.fetch
        completed = self._completed(tasks, waits)
        return iter(lambda: run(completed.next(), fetch), None)

    @overload
    def stream(
        self,
        request: TextGenRequest,
        /,
        *,
        output: None = None,
        idle_timeout: float = IDLE_TIMEOUT,
        max_event_size: int = MAX_EVENT_SIZE,
    ) -> TextStream: ...

    @overload
    def stream(
        self,
        request: TextGenRequest,
        /,
        *,
        output: type[T],
        idle_timeout: float = IDLE_TIMEOUT,
        max_event_size: int = MAX_EVENT_SIZE,
    ) -> ParsedTextStream[T]: ...

    @overload
    def stream(
        self,
        request: None = None,
        /,
        *,
        output: None = None,
        idle_timeout: float = IDLE_TIMEOUT,
        max_event_size: int = MAX_EVENT_SIZE,
        **fields: Unpack[TextGenRequestParams],
    ) -> TextStream: ...

    @overload
    def stream(
        self,
        request: None = None,
        /,
        *,
        output: type[T],
        idle_timeout: float = IDLE_TIMEOUT,
        max_event_size: int = MAX_EVENT_SIZE,
        **fields: Unpack[TextGenRequestParams],
    ) -> ParsedTextStream[T]: ...

    def stream(
        self,
        request: TextGenRequest | None = None,
        /,
        *,
        output: type[T] | None = None,
        idle_timeout: float = IDLE_TIMEOUT,
        max_event_size: int = MAX_EVENT_SIZE,
        **fields: Any,
    ) -> TextStream:
        """A generation as it is produced (spec operation `sse_text_generator_stream_create`).

        Used as `with` ... `as stream`: the request is sent on entering. `idle_timeout` (seconds)
        bounds the time between two events, `max_event_size` (bytes) the size of one.
        `output` is a type (see `creatify.output`) that the text is made an instance of at the end,
        as the stream's `.output`.
        """
        body = self._body(request, fields, output)
        return self._streaming(TextStream, body, output, idle_timeout, max_event_size)
