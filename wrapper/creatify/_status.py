"""An answer's status as an error of the tree."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from creatify._errors import (
    MAY_BE_CHARGED,
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
_BAD_REQUEST, _SERVER_ERROR, _UNAVAILABLE = 400, 500, 503
_OF_PROXIES: Final = frozenset({408, 499})
_MOVED: Final = frozenset({301, 307, 308})  # a 302 or 303 may follow upon what was done
_COMPRESSED: Final = frozenset(
    {"gzip", "x-gzip", "deflate", "compress", "x-compress", "br", "zstd"}
)
_ADVICE: Final = {
    400: "mend the request",
    401: "check the API id and the API key",
    402: "buy credits",
    403: "the credentials are good and don't allow this",
    404: "check the id and base_url",
    408: "try again later",
    413: "the request is too large, send less",
    422: "mend the request",
    429: "slow down and try again later",
    499: "try again later",
}
_SECONDS: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_TIME_OF_DAY: Final = re.compile(r"[0-9]{2}:[0-9]{2}:[0-9]{2}")
_LONGEST_MESSAGE: Final = 500  # characters; an HTML page of a proxy is no message


def is_event_stream(response: httpx.Response) -> bool:
    """Whether an answer is a success and, by its headers, a stream of uncompressed events."""
    content_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_plain = not encoding_of(response)
    return response.is_success and content_type == EVENT_STREAM and is_plain


def encoding_of(response: httpx.Response) -> str:
    """How a body is compressed; empty if it isn't, whatever else the header says."""
    values = response.headers.get("content-encoding", "").lower().split(",")
    return ", ".join(value.strip() for value in values if value.strip() in _COMPRESSED)


def status_error(response: httpx.Response, *, paid: bool) -> APIStatusError:
    """The error for an answer, read whole, that is no success.

    `paid` says whether the request would cost credits.
    """
    status = response.status_code
    default = InternalServerError if status >= _SERVER_ERROR else APIStatusError
    text = _text(response.content)
    body = text if isinstance(text, bytes) else _body(text)
    error = _BY_STATUS.get(status, default)(
        _message(body) or _phrase(status),
        status_code=status,
        body=body,
        headers=response.headers,
        advice=_advice(response, paid=paid),
    )
    if isinstance(error, RateLimitError):
        error.retry_after = retry_after(response.headers)
    return error


def was_rejected(status: int, headers: Mapping[str, str]) -> bool:
    """Whether the API, by a status that is no success, refused the request: nothing was charged.

    A 5xx leaves that open, but for a 503 that says when to come again. So do 408 and 499: a proxy
    says them of a request that the API may be working on. And so do redirects that may follow upon
    what was done.
    """
    if status == _UNAVAILABLE:
        return retry_after(headers) is not None
    if status < _BAD_REQUEST:
        return status in _MOVED
    return status < _SERVER_ERROR and status not in _OF_PROXIES


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
    now = date_of(headers) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds())


def date_of(headers: Mapping[str, str]) -> datetime | None:
    """The server's clock when it answered, cut to the second, in UTC; None if it doesn't say."""
    return _date(headers.get("date", ""))


def _date(value: str) -> datetime | None:
    """A date with a time of day, in UTC unless it says so; None for less."""
    if not _TIME_OF_DAY.search(value):
        return None  # dateutil makes a date of `5`
    from dateutil.parser import parse  # noqa: PLC0415 - most answers' dates are never asked for

    try:
        date = parse(value, tzinfos=lambda _, offset: offset or 0)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _text(content: bytes) -> str | bytes:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content


def _body(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _message(body: object) -> str:
    """What the API says. `error` is the documented place, the others are Django's and common."""
    if isinstance(body, dict):
        for key in ("error", "detail", "message"):
            if isinstance(body.get(key), str):
                return str(body[key])[:_LONGEST_MESSAGE]
    if isinstance(body, bytes) or not body:
        return ""
    said = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    return "" if said.lstrip().startswith("<") else said.strip()[:_LONGEST_MESSAGE]


def _advice(response: httpx.Response, *, paid: bool) -> str:
    if paid and not was_rejected(response.status_code, response.headers):
        return MAY_BE_CHARGED
    advice = _ADVICE.get(response.status_code) or (
        "redirects are never followed, check base_url"
        if response.is_redirect
        else "try again later"
        if response.status_code >= _SERVER_ERROR
        else "change the request before it is sent again"
    )
    return f"; nothing was charged: {advice}" if paid else f"; {advice}"


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "a status without a name"
