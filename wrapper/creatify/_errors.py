"""Every error that this library raises.

    CreatifyError
    ├── ConfigurationError          settings are missing or wrong
    ├── InvalidRequestError         the request is wrong; nothing was sent (also a ValueError)
    ├── APIConnectionError          .request_sent: False = provably never reached the API
    │   └── APITimeoutError         also a TimeoutError
    ├── APIStatusError              .status_code, .message, .body, .headers, .request_id
    │   ├── BadRequestError             400
    │   ├── AuthenticationError         401
    │   ├── InsufficientCreditsError    402
    │   ├── PermissionDeniedError       403
    │   ├── NotFoundError               404
    │   ├── ConflictError               409
    │   ├── UnprocessableEntityError    422
    │   ├── RateLimitError              429, .retry_after
    │   └── InternalServerError         500 and above
    ├── OutcomeUnknownError         a paid call that may have been made: .request, .started_at,
    │                               .candidates, .list_error
    ├── ResponseDecodeError         .payload is the whole body as received, .path where it differs
    ├── StreamError                 .partial_text, .chunks_received, .candidates
    │   ├── StreamInterruptedError  the connection ended before the generation did
    │   ├── StreamIdleError         also a TimeoutError
    │   └── StreamEventError        the API sent an error inside the stream: .code, .message
    ├── OutputParseError            the text is not what `output` asked for: .text, .path, .task
    ├── TaskFailedError             .task, .reason
    ├── ToolRoundsError             the model only calls functions: .tasks, .messages
    ├── WaitTimeoutError            also a TimeoutError: .task (last seen); it is still running
    └── WebhookError                what arrived is no webhook's (also a ValueError)

Each of them pickles and keeps its fields, so that a task queue can carry it, and has its cause
(`__cause__`): a create that timed out is an OutcomeUnknownError whose cause is the APITimeoutError.
Its text is one line: what happened, what was charged, what to do next. No message, field or repr
holds a credential. `_retry` has every failure, and what it ends in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from creatify_api.models import Message, TextGenRequest, TextGenResponse


MAY_BE_CHARGED: Final = "; it may have been charged"


class CreatifyError(Exception):
    """The base of all errors of this library.

    `tasks` (list of TextGenResponse): all that `wait_all` or `as_completed` waited for, as last
    seen, where one of them raised it; or those that the rounds of `run_tools` before it paid for.
    `messages` (list of Message): the conversation of those rounds, from which `run_tools` goes on.
    """

    tasks: Sequence[TextGenResponse] = ()
    messages: Sequence[Message] = ()

    def __str__(self) -> str:
        """One line: logs are read by the line, and a server may say anything."""
        return one_line(super().__str__())

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by state: an exception's own way calls `__init__` without its keywords.

        A cause of this tree goes along: it may hold a body that was paid for.
        """
        cause = self.__cause__ if isinstance(self.__cause__, CreatifyError) else None
        return _restore, (type(self), self.args, self.__dict__, cause)


class ConfigurationError(CreatifyError):
    """Settings are missing or wrong: says what was looked for and where, and never a value."""


class InvalidRequestError(CreatifyError, ValueError):
    """The request can't be right, and was not sent: nothing was charged."""

    def __init__(self, message: str) -> None:
        super().__init__(f"{message}; nothing was sent")


class APIConnectionError(CreatifyError):
    """The API gave no answer.

    `request_sent` (bool): False means that the request provably never reached the API.
    """

    def __init__(self, message: str, *, request_sent: bool) -> None:
        super().__init__(message)
        self.request_sent = request_sent


class APITimeoutError(APIConnectionError, TimeoutError):
    """The API gave no answer in time."""


class APIStatusError(CreatifyError):
    """The API answered with a status that is no success.

    `status_code` (int), `message` (str: what the API says, else the status's phrase), `body` (the
    decoded JSON, else the text, else the bytes), `headers` (a mapping that ignores case),
    `request_id` (str or None: the header X-Request-Id).
    """

    def __init__(
        self,
        message: str,
        *,
        status_code: int,
        body: object,
        headers: Mapping[str, str],
        advice: str = "",
    ) -> None:
        self.request_id = headers.get("x-request-id")
        known = f" (request id {self.request_id})" if self.request_id else ""
        super().__init__(f"the API answered {status_code}: {message.rstrip('.')}{known}{advice}")
        self.message = message
        self.status_code = status_code
        self.body = body
        self.headers = headers


class BadRequestError(APIStatusError):
    """400: the request body is invalid, or there is no such model."""


class AuthenticationError(APIStatusError):
    """401: the API id or the API key is missing or invalid."""


class InsufficientCreditsError(APIStatusError):
    """402: the workspace has too few credits. (An assumption: the provider documents no status.)"""


class PermissionDeniedError(APIStatusError):
    """403: the credentials are valid and don't allow this."""


class NotFoundError(APIStatusError):
    """404: there is no such task."""


class ConflictError(APIStatusError):
    """409."""


class UnprocessableEntityError(APIStatusError):
    """422."""


class RateLimitError(APIStatusError):
    """429: too many requests.

    `retry_after` (float or None): the seconds that the API asks to wait, from Retry-After.
    """

    retry_after: float | None = None


class InternalServerError(APIStatusError):
    """500 and above."""


class OutcomeUnknownError(CreatifyError):
    """A paid request was sent and its answer was lost: it may have been charged.

    It is not sent again. `request` (TextGenRequest), `started_at` (datetime, UTC), `candidates`
    (list of TextGenResponse: the tasks of the list that it may have created, oldest first; nobody
    else was given them by then), `list_error` (CreatifyError or None: why the list could not be
    asked).
    """

    def __init__(
        self,
        message: str,
        *,
        request: TextGenRequest,
        started_at: datetime,
        candidates: Sequence[TextGenResponse] = (),
        list_error: CreatifyError | None = None,
    ) -> None:
        super().__init__(message)
        self.request = request
        self.started_at = started_at
        self.candidates = candidates
        self.list_error = list_error


class ResponseDecodeError(CreatifyError):
    """A successful answer is not what the spec says.

    `payload` (bytes): the whole body as received, since it may be paid for. `path` (str): where it
    differs, as `$.messages[0].role`; `$` is the body itself.
    """

    def __init__(self, message: str, *, payload: bytes, path: str) -> None:
        super().__init__(
            f"the answer is not what the spec says, at {path}: {message}; the body is in .payload"
        )
        self.payload = payload
        self.path = path


class StreamError(CreatifyError):
    """A stream that had begun did not end well.

    `partial_text` (str): the text that came. `chunks_received` (int): the events that came.
    `candidates` (list of TextGenResponse): the tasks of the list that may be this generation's; the
    only one can be waited for, and has the whole text. `list_error` (CreatifyError or None): why
    the list could not be asked for them.
    """

    candidates: Sequence[TextGenResponse] = ()
    list_error: CreatifyError | None = None

    def __init__(self, message: str, *, partial_text: str, chunks_received: int) -> None:
        super().__init__(
            f"{message} (after {chunks_received} chunk{'' if chunks_received == 1 else 's'})"
            f"{MAY_BE_CHARGED}: what came is in"
            " .partial_text, tasks that may be its own in .candidates"
        )
        self.partial_text = partial_text
        self.chunks_received = chunks_received


class StreamInterruptedError(StreamError):
    """The connection ended before the generation did; it may have been charged."""


class StreamIdleError(StreamError, TimeoutError):
    """No event came for longer than `idle_timeout`; the generation may have been charged."""


class StreamEventError(StreamError):
    """The API sent an error inside the stream.

    `code` (int or None) and `message` (str) as the API sent them.
    """

    def __init__(
        self, message: str, *, code: int | None, partial_text: str, chunks_received: int
    ) -> None:
        super().__init__(
            f"the API ended the stream with error {code}: {message}",
            partial_text=partial_text,
            chunks_received=chunks_received,
        )
        self.code = code
        self.message = message


class OutputParseError(CreatifyError):
    """What the model wrote does not fit the type that it was asked for; it was paid for.

    `text` (str): what it wrote, all of it. `path` (str): where it differs first, as
    `$.items[0].price`; `$` is the text itself. `task` (TextGenResponse or None): the task; None for
    a stream, whose generation the message names if it has a receipt, and for a text by itself.
    """

    def __init__(
        self, message: str, *, text: str, path: str, task: TextGenResponse | None = None
    ) -> None:
        super().__init__(message)
        self.text = text
        self.path = path
        self.task = task


class TaskFailedError(CreatifyError):
    """The generation failed.

    `task` (TextGenResponse); `reason` (str or None) as the API gives it.
    """

    def __init__(self, message: str, *, task: TextGenResponse, reason: str | None) -> None:
        super().__init__(message)
        self.task = task
        self.reason = reason


class ToolRoundsError(CreatifyError):
    """After `max_rounds` of `run_tools` the model still called functions; each was paid for.

    `tasks` (list of TextGenResponse): one for each round. `messages` (list of Message): all of the
    conversation, with the results of the last calls: `run_tools` goes on from them.
    """

    def __init__(
        self, message: str, *, tasks: list[TextGenResponse], messages: list[Message]
    ) -> None:
        super().__init__(message)
        self.tasks: list[TextGenResponse] = tasks
        self.messages: list[Message] = messages


class WaitTimeoutError(CreatifyError, TimeoutError):
    """The wait ended before the task did, which is still running.

    `task` (TextGenResponse or None): as last seen; None if no poll ever succeeded.
    """

    def __init__(self, message: str, *, task: TextGenResponse | None) -> None:
        super().__init__(message)
        self.task = task


class WebhookError(CreatifyError, ValueError):
    """What arrived is no event that a webhook tells: nothing follows from it."""


def one_line(text: str) -> str:
    """The text without line ends, and without what a terminal would obey."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what led to it, cause by cause."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _restore(
    cls: type[CreatifyError],
    args: tuple[object, ...],
    state: dict[str, object],
    cause: CreatifyError | None,
) -> CreatifyError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    error.__cause__ = cause
    return error
