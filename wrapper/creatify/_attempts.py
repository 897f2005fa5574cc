"""One request with all that may have to be sent for it: credentials, retries, within one deadline.

Credentials are added here only, when a request to the configured origin leaves.
"""

from __future__ import annotations

import logging
import math
import random
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

import httpx

from creatify._config import ID_HEADER, KEY_HEADER
from creatify._errors import CreatifyError, one_line
from creatify._flow import Flow, Send, Sleep
from creatify._log import LOGGER
from creatify._pool import DEADLINE, Deadline
from creatify._retry import retry_delay
from creatify._status import EVENT_STREAM

if TYPE_CHECKING:
    from collections.abc import Callable

    from creatify._config import Keys, Settings

Met: TypeAlias = httpx.Response | CreatifyError
"""What a request met: an error is given back to the flow, as an answer is."""
Attempts: TypeAlias = Flow[httpx.Request, Met, httpx.Response]

_UNAUTHORIZED: Final = 401
_ID: Final = "x-request-id"
_LEAST_TIMEOUT: Final = 0.001  # seconds; the system refuses a timeout that has passed


def attempts(
    request: httpx.Request,
    settings: Settings,
    max_retries: int,
    clock: Callable[[], float] = time.monotonic,
) -> Attempts:
    """One request with all that may have to be sent for it, within its read timeout.

    Retries are `_retry`'s decision. After a 401 it is sent once more if the credentials have
    changed meanwhile. Credentials go to the configured origin only.
    """
    deadline = Deadline(clock() + (request.extensions["timeout"]["read"] or math.inf))
    request.extensions[DEADLINE] = deadline
    met = yield from _attempt(request, settings, 1, clock)
    for retries in range(max_retries):
        chance = random.random()  # noqa: S311 - it spreads load and guards no secret
        delay = retry_delay(request.method, met, retries, chance)
        if delay is None or clock() + delay >= deadline.at:
            break
        LOGGER.info("%s %s is sent again in %.2f s", request.method, request.url.path, delay)
        yield Sleep(delay)
        if clock() >= deadline.at:  # a sleep may take longer than it was told to
            break
        met = yield from _attempt(request, settings, retries + 2, clock)
    if isinstance(met, CreatifyError):
        try:
            raise met
        finally:
            del met  # the error holds this frame, and must not be held by it
    # Nobody after this sees the request that carries the credentials.
    met.request = request
    return met


def _attempt(
    request: httpx.Request, settings: Settings, number: int, clock: Callable[[], float]
) -> Flow[httpx.Request, Met, Met]:
    """What one attempt met, with a second request after a 401 if the credentials have changed."""
    if _origin(request.url) != _origin(url_of(settings.base_url)):
        return (yield from _logged(request, number, clock))
    used = settings.credentials.get()
    met = yield from _logged(_outgoing(request, used, clock()), number, clock)
    if isinstance(met, httpx.Response) and met.status_code == _UNAUTHORIZED:
        fresh = settings.credentials.reread()
        if fresh is not None and fresh != used:
            return (yield from _logged(_outgoing(request, fresh, clock()), number, clock))
    return met


def _logged(
    request: httpx.Request, number: int, clock: Callable[[], float]
) -> Flow[httpx.Request, Met, Met]:
    """Send a request, and say in the log what it met."""
    began = clock()
    met = yield Send(request)
    if LOGGER.isEnabledFor(logging.DEBUG):
        _log(request, number, clock() - began, met)
    return met


def asks_for_stream(request: httpx.Request) -> bool:
    """Whether the answer to a request should be left open."""
    return bool(request.headers.get("accept") == EVENT_STREAM)


def _outgoing(request: httpx.Request, keys: Keys, now: float) -> httpx.Request:
    """The request as it leaves: with credentials, and no time beyond the deadline."""
    outgoing = _copy(request)
    outgoing.headers[ID_HEADER], outgoing.headers[KEY_HEADER] = keys.api_id, keys.api_key
    own = request.extensions["timeout"]
    left = max(request.extensions[DEADLINE].at - now, _LEAST_TIMEOUT)
    outgoing.extensions["timeout"] = {
        name: seconds if left == math.inf else min(seconds or left, left)
        for name, seconds in own.items()
    }
    if asks_for_stream(request):
        # It holds for each read of a stream, which goes on after the deadline of its beginning.
        outgoing.extensions["timeout"]["read"] = own["read"]
    return outgoing


def unsigned(request: httpx.Request) -> httpx.Request:
    """A copy without the credentials."""
    copy = _copy(request)
    for name in (ID_HEADER, KEY_HEADER):
        copy.headers.pop(name, None)
    return copy


@lru_cache
def url_of(url: str) -> httpx.URL:
    """The URL, which takes time to be parsed and can't be changed."""
    return httpx.URL(url)


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _log(request: httpx.Request, number: int, seconds: float, met: Met) -> None:
    said, request_id = (
        (type(met).__name__, None)
        if isinstance(met, CreatifyError)
        else (met.status_code, met.headers.get(_ID))
    )
    LOGGER.debug(
        "%s %s: %s after %.3f s (attempt %d, request id %s)",
        request.method,
        request.url.path,
        said,
        seconds,
        number,
        request_id and one_line(request_id),
    )


def _copy(request: httpx.Request) -> httpx.Request:
    return httpx.Request(
        request.method,
        request.url,
        headers=request.headers,
        stream=request.stream,
        extensions=request.extensions,
    )
