"""An answer's status as an error of the tree."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import dateutil.parser

from creatify._errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    InsufficientCreditsError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    UnprocessableEntityError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

EVENT_STREAM: Final = "text/event-stream"
_BY_STATUS: Final[Mapping[int, type[APIStatusError]]] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: InsufficientCreditsError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: UnprocessableEntityError,
    429: RateLimitError,
}
_SERVER_ERROR: Final = 500
_SECONDS: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_TIME_OF_DAY: Final = re.compile(r"[0-9]{2}:[0-9]{2}:[0-9]{2}")
_LONGEST_MESSAGE: Final = 500  # characters; an HTML page of a proxy is no message


def is_event_stream(response: httpx.Response) -> bool:
    """Whether an answer is a success and, by its headers, a stream of uncompressed events."""
    content_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    encoding = response.headers.get("content-encoding", "identity").lower()
    return response.is_success and content_type == EVENT_STREAM and encoding == "identity"


def status_error(response: httpx.Response) -> APIStatusError:
    """The error for an answer, read whole, that is no success."""
    status = response.status_code
    default = InternalServerError if status >= _SERVER_ERROR else APIStatusError
    text = response.content.decode("utf-8-sig", errors="replace")
    body = _body(text)
    error = _BY_STATUS.get(status, default)(
        _message(body, text) or _phrase(status),
        status_code=status,
        body=body,
        headers=response.headers,
    )
    if isinstance(error, RateLimitError):
        error.retry_after = retry_after(response.headers)
    return error


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that Retry-After asks to wait (RFC 9110, section 10.2.3): a number or a date.

    A date is counted from the answer's own Date where it has one: the clock that matters is the
    server's. None if there is no such header, or none that can be read.
    """
    value = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(value):
        return float(value)
    until = _date(value)
    if until is None:
        return None
    now = _date(headers.get("date", "")) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds())


def _date(value: str) -> datetime | None:
    """A date with a time of day, in UTC unless it says so; None for less."""
    if not _TIME_OF_DAY.search(value):
        return None  # dateutil makes a date of `5`
    try:
        date = dateutil.parser.parse(value, tzinfos=lambda _, offset: offset or 0)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _body(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _message(body: object, text: str) -> str:
    """What the API says. `error` is the documented place, the others are Django's and common."""
    if isinstance(body, dict):
        for key in ("error", "detail", "message"):
            if isinstance(body.get(key), str):
                return str(body[key])[:_LONGEST_MESSAGE]
    said = body if isinstance(body, str) else text if body else ""
    return "" if said.lstrip().startswith("<") else said.strip()[:_LONGEST_MESSAGE]


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "a status without a name"
