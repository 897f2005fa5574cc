"""Where requests leave: credentials are added, the transport's errors get their names.

One class per colour over one `httpx.Client` or `httpx.AsyncClient`. What several steps need stands
in a flow, `attempts`.
"""

from __future__ import annotations

import math
import random
import sys
import time
from contextlib import aclosing, closing, contextmanager
from typing import TYPE_CHECKING, Final, Generic, NoReturn, TypeAlias, TypeVar

import httpx

from creatify._body import DEADLINE, Body
from creatify._errors import APIConnectionError, APITimeoutError, ConfigurationError
from creatify._flow import Flow, Send, Sleep, run, run_async
from creatify._retry import retry_delay
from creatify._status import EVENT_STREAM, is_event_stream
from creatify._version import __version__

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Iterator

    from creatify._config import Keys, Settings
    from creatify._operations import Call

CONNECT_TIMEOUT: Final = 5.0
"""Seconds that a connection may take to be made."""
ID_HEADER: Final = "X-API-ID"
KEY_HEADER: Final = "X-API-KEY"
_UNAUTHORIZED: Final = 401
_LEAST_TIMEOUT: Final = 0.001  # seconds; the system refuses a timeout that has passed
_USER_AGENT: Final = (
    f"creatify-client/{__version__} python/{sys.version_info[0]}.{sys.version_info[1]}"
)
DEFAULT_HEADERS: Final = {
    # httpx inflates a compressed body whole, however large it becomes.
    "Accept-Encoding": "identity",
    "User-Agent": _USER_AGENT,
}
_NOT_SENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)

Client = TypeVar("Client", bound=httpx.Client | httpx.AsyncClient)
AnyConnection = TypeVar("AnyConnection", bound="Connection | AsyncConnection")
Attempts: TypeAlias = Flow[httpx.Request, httpx.Response, httpx.Response]


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
    deadline = clock() + (request.extensions["timeout"]["read"] or math.inf)
    met = yield from _attempt(request, settings, deadline, clock)
    for retries in range(max_retries):
        chance = random.random()  # noqa: S311 - it spreads load and guards no secret
        delay = retry_delay(request.method, met, retries, chance)
        if delay is None or clock() + delay >= deadline:
            break
        yield Sleep(delay)
        if clock() >= deadline:  # a sleep may take longer than it was told to
            break
        met = yield from _attempt(request, settings, deadline, clock)
    if isinstance(met, APIConnectionError):
        try:
            raise met
        finally:
            del met  # the error holds this frame, and must not be held by it
    # Nobody after this sees the request that carries the credentials.
    met.request = request
    return met


def _attempt(
    request: httpx.Request, settings: Settings, deadline: float, clock: Callable[[], float]
) -> Flow[httpx.Request, httpx.Response, httpx.Response | APIConnectionError]:
    """What one attempt met, with a second request after a 401 if the credentials have changed."""
    try:
        if _origin(request.url) != _origin(httpx.URL(settings.base_url)):
            return (yield Send(request))
        used = settings.credentials.get()
        response = yield Send(_outgoing(request, used, deadline, clock()))
        fresh = settings.credentials.reread() if response.status_code == _UNAUTHORIZED else None
        if fresh is not None and fresh != used:
            response = yield Send(_outgoing(request, fresh, deadline, clock()))
    except APIConnectionError as error:
        return error
    return response


@contextmanager
def connection_errors(request: httpx.Request) -> Iterator[None]:
    """Errors of the transport, raised inside, leave as errors of the tree."""
    try:
        yield
    except httpx.RequestError as error:
        # httpx gives its error the request that carries the credentials.
        error.request = _unsigned(request)
        raise _connection_error(error) from error
    except httpx.StreamError as error:
        raise APIConnectionError("the stream was closed here", request_sent=True) from error


class _Connection(Generic[Client]):
    """What both colours share: the settings and the making of requests."""

    def __init__(self, settings: Settings, http: Client, *, owned: bool) -> None:
        self.settings = settings
        self._http = http
        self._to_close = [http] if owned else []

    def request(self, call: Call) -> httpx.Request:
        """The request for a call, without credentials."""
        return self._http.build_request(
            call.method,
            self.settings.base_url + call.path,
            headers={**DEFAULT_HEADERS, **call.headers},
            content=call.content,
            timeout=timeouts(call.timeout),
        )

    def _attempts(self, request: httpx.Request, max_retries: int) -> Attempts:
        """The flow that sends a request. Raises ConfigurationError once closed."""
        if self._http.is_closed:
            raise ConfigurationError("this client is closed: make another one")
        return attempts(request, self.settings, max_retries)


class Connection(_Connection[httpx.Client]):
    """Sends from threads."""

    def send(self, request: httpx.Request, max_retries: int) -> httpx.Response:
        """The answer, read whole unless it is an event stream. Raises APIConnectionError."""
        return run(self._attempts(request, max_retries), self._attempt)

    def fetch(self, call: Call) -> httpx.Response:
        """The answer to a call; see `send`."""
        return self.send(self.request(call), call.max_retries)

    def close(self) -> None:
        """Close the pool, if it was made here."""
        for http in self._to_close:
            http.close()

    def _attempt(self, request: httpx.Request) -> httpx.Response:
        with connection_errors(request):
            response = self._http.send(request, stream=True, follow_redirects=False)
            if not _is_left_open(request, response):
                body = Body(request, response)
                with closing(response), body.reading():
                    for piece in response.iter_raw():
                        body.add(piece)
                response = body.answer()
        return response


class AsyncConnection(_Connection[httpx.AsyncClient]):
    """Sends from tasks of one event loop."""

    _loop: AbstractEventLoop | None = None

    async def send(self, request: httpx.Request, max_retries: int) -> httpx.Response:
        """The answer, read whole unless it is an event stream. Raises APIConnectionError."""
        self._check_loop()
        return await run_async(self._attempts(request, max_retries), self._attempt)

    def _check_loop(self) -> None:
        """Raises ConfigurationError in a second event loop, where the pool's sockets are dead."""
        from asyncio import get_running_loop  # noqa: PLC0415 - a synchronous program never needs it

        self._loop = self._loop or get_running_loop()
        if self._loop is not get_running_loop():
            raise ConfigurationError(
                "this AsyncCreatify was used in another event loop: make one for each loop"
            )

    async def fetch(self, call: Call) -> httpx.Response:
        """The answer to a call; see `send`."""
        return await self.send(self.request(call), call.max_retries)

    async def close(self) -> None:
        """Close the pool, if it was made here."""
        for http in self._to_close:
            await http.aclose()

    async def _attempt(self, request: httpx.Request) -> httpx.Response:
        with connection_errors(request):
            response = await self._http.send(request, stream=True, follow_redirects=False)
            if not _is_left_open(request, response):
                body = Body(request, response)
                async with aclosing(response):
                    with body.reading():
                        async for piece in response.aiter_raw():
                            body.add(piece)
                response = body.answer()
        return response


class Transport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """The connection as a transport, for the generated functions called through `client.api`."""

    def __init__(self, connection: Connection | AsyncConnection, max_retries: int) -> None:
        self._connection = connection
        self._max_retries = max_retries

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send as the wrapper does."""
        if isinstance(self._connection, AsyncConnection):
            _wrong_colour("AsyncCreatify", "asyncio and asyncio_detailed")
        return self._connection.send(request, self._max_retries)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send as the wrapper does."""
        if isinstance(self._connection, Connection):
            _wrong_colour("Creatify", "sync and sync_detailed")
        return await self._connection.send(request, self._max_retries)


def timeouts(seconds: float) -> httpx.Timeout:
    """`seconds` for each read, and a bound on the making of a connection."""
    return httpx.Timeout(seconds, connect=min(CONNECT_TIMEOUT, seconds))


def _connection_error(error: httpx.RequestError) -> APIConnectionError:
    sent = not isinstance(error, _NOT_SENT)
    timed_out = isinstance(error, httpx.TimeoutException)
    kind = APITimeoutError if timed_out else APIConnectionError
    what = "gave no answer in time" if timed_out else "broke the connection"
    what, outcome = (
        (what, "the request may have arrived")
        if sent
        else ("could not be reached", "the request was not sent")
    )
    where = f"{error.request.url.scheme}://{error.request.url.netloc.decode()}"
    detail = str(error) or type(error).__name__
    return kind(f"{where} {what}: {detail}; {outcome}", request_sent=sent)


def _is_left_open(request: httpx.Request, response: httpx.Response) -> bool:
    """Whether a stream was asked for and has come; every other answer is read whole at once."""
    return _asks_for_stream(request) and is_event_stream(response)


def _asks_for_stream(request: httpx.Request) -> bool:
    return bool(request.headers.get("accept") == EVENT_STREAM)


def _outgoing(request: httpx.Request, keys: Keys, deadline: float, now: float) -> httpx.Request:
    """The request as it leaves: with credentials, and no time beyond the deadline."""
    outgoing = _unsigned(request)
    outgoing.headers[ID_HEADER], outgoing.headers[KEY_HEADER] = keys.api_id, keys.api_key
    outgoing.extensions[DEADLINE] = deadline
    own = request.extensions["timeout"]
    left = max(deadline - now, _LEAST_TIMEOUT)
    outgoing.extensions["timeout"] = {
        name: seconds if left == math.inf else min(seconds or left, left)
        for name, seconds in own.items()
    }
    if _asks_for_stream(request):
        # It holds for each read of a stream, which goes on after the deadline of its beginning.
        outgoing.extensions["timeout"]["read"] = own["read"]
    return outgoing


def _unsigned(request: httpx.Request) -> httpx.Request:
    copy = httpx.Request(
        request.method,
        request.url,
        headers=request.headers,
        stream=request.stream,
        extensions=dict(request.extensions),
    )
    for name in (ID_HEADER, KEY_HEADER):
        copy.headers.pop(name, None)
    return copy


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _wrong_colour(client: str, functions: str) -> NoReturn:
    raise ConfigurationError(f"the api of {client} goes into the generated functions {functions}")
