"""Where requests leave, and the transport's errors get their names.

One class per colour over one `httpx.Client` or `httpx.AsyncClient`. What several steps need stands
in a flow, `_attempts.attempts`. What it holds:

Answers are read to `max_response_size` and never inflated: a server that compresses unasked is
refused. A call ends by its `timeout` whatever drips in (with a `http_client` of the caller's, a
body may drip no longer, but 1xx answers may; and in sync code each dead address of a host costs the
connect timeout). An `http_client` that sends again by itself (its `auth`, its transport) pays
again: leave that to this library. Redirects are not followed, cookies not kept, and requests to
this machine go through no proxy. A client may be used after a fork: the new process opens its own
connections (a given `http_client` is refused there). An `AsyncCreatify` in a second event loop says
so. Leaving a call or a stream by any way (a break, an exception, cancellation, Ctrl-C, dropping it)
closes its connection. No credential shows in a `repr`, an error, a traceback with locals, a pickle
or a log, of this library or of httpx, httpcore and aiohttp.

    a call with its retries                      60 s       `timeout` of the client or the call
    a create with `sync=True`                    600 s      `timeout` of the call
    `wait`, and `generate` as a whole            600 s      `timeout` of the call
    the search after a lost answer               2 to 30 s  as long again as the call's `timeout`
    making a connection                          5 s
    silence between two events of a stream       60 s       `idle_timeout`
    one event of a stream                        64 MiB     `max_event_size`
    an answer that is read whole                 256 MiB    `max_response_size` of the client
    an image or a video                          100 MiB    `max_size`
    connections at once                          1000       `http_client`
"""

from __future__ import annotations

import os
import socket
import sys
from collections import defaultdict, deque
from contextlib import aclosing, closing, suppress
from itertools import takewhile
from typing import TYPE_CHECKING, Final, Generic, NoReturn, TypeVar

import httpx

from creatify._attempts import asks_for_stream, attempts, unsigned, url_of
from creatify._body import WORTH, Body, unread
from creatify._errors import (
    MAY_BE_CHARGED,
    APIConnectionError,
    APITimeoutError,
    ConfigurationError,
    CreatifyError,
    chain,
)
from creatify._flow import run, run_async
from creatify._ledger import Ledger, ledger_of
from creatify._schedule import Schedule
from creatify._status import is_event_stream
from creatify._version import __version__

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable
    from types import TracebackType

    from creatify._attempts import Met
    from creatify._config import Settings
    from creatify._operations import Call

CONNECT_TIMEOUT: Final = 5.0
"""Seconds that a connection may take to be made."""
_FREE: Final = "nothing is charged for it: try again"
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
    httpx.LocalProtocolError,
)

Client = TypeVar("Client", bound=httpx.Client | httpx.AsyncClient)
AnyConnection = TypeVar("AnyConnection", bound="Connection | AsyncConnection")


class ConnectionErrors:
    """Errors of the transport, raised inside, leave as errors of the tree.

    No error keeps the frames of httpx and below: their locals hold the credentials, and who prints
    a traceback with locals would print those.
    """

    def __init__(self, request: httpx.Request) -> None:
        self._request = request

    def __enter__(self) -> None:
        self._outer = sys.exception()  # what the caller is handling is none of ours

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for inner in list(takewhile(lambda inner: inner is not self._outer, chain(error))):
            inner.__traceback__ = None
            if inner.__context__ is self._outer:  # else it would be taken for what was met here
                inner.__context__ = None
        if isinstance(error, httpx.RequestError):
            # httpx gives its error the request that carries the credentials.
            error.request = unsigned(self._request)
            raise _connection_error(error) from error
        if isinstance(error, httpx.StreamError):
            raise APIConnectionError("the stream was closed here", request_sent=True) from error
        if isinstance(error, Exception) and not isinstance(error, CreatifyError):
            # A hook or a transport of the caller's: an httpx.HTTPStatusError holds the credentials.
            what = f"{type(error).__name__} left the http_client; the request was sent"
            raise APIConnectionError(f"{what}{MAY_BE_CHARGED}", request_sent=True) from (
                None if isinstance(error, httpx.HTTPStatusError) else error
            )


class _Connection(Generic[Client]):
    """What both colours share: the settings, the making of requests, and the pool.

    `given` is a caller's own httpx client, which is used as it is. Else there is one for each
    process: connections shared with a fork would hand one process the other's answers.
    """

    def __init__(
        self,
        settings: Settings,
        given: Client | None,
        max_response_size: int,
        make: Callable[[str], Client],
    ) -> None:
        self.settings = settings
        self._given = given
        self._make = make
        self._max_response_size = max_response_size
        self._clients: dict[int, Client] = {}  # by process id
        self._is_closed = False
        self._schedules: dict[int, Schedule] = {}  # by process id: a fork knows not who looks
        # By process id: in a fork they stay held, because ending them is the parent's.
        self._dropped: defaultdict[int, deque[tuple[httpx.Response, list[object]]]] = defaultdict(
            deque
        )

    @property
    def ledger(self) -> Ledger:
        """The paid calls of the same account, of all clients of this process."""
        return ledger_of(self.settings.base_url, self.settings.credentials.account)

    @property
    def schedule(self) -> Schedule:
        """The waits for tasks of this client in this process."""
        process = os.getpid()
        return self._schedules.get(process) or self._schedules.setdefault(process, Schedule())

    def request(self, call: Call) -> httpx.Request:
        """The request for a call, without credentials. Raises ConfigurationError once closed."""
        client, url = self._client(), url_of(self.settings.base_url + call.path)
        headers = {**DEFAULT_HEADERS, **call.headers}
        extensions = {"timeout": timeouts(call.timeout).as_dict(), WORTH: call.worth}
        if self._given is not None:  # it may have headers and parameters of its own
            return client.build_request(
                call.method, url, headers=headers, content=call.content, extensions=extensions
            )
        headers = {"Host": url.netloc.decode(), **headers}
        if call.content is not None:
            headers["Content-Length"] = str(len(call.content))
        stream = httpx.ByteStream(call.content or b"")
        return httpx.Request(
            call.method, url, headers=headers, stream=stream, extensions=extensions
        )

    def drop(self, response: httpx.Response, iterators: list[object], process: int) -> None:
        """End the connection of a stream that nobody holds any more.

        The garbage collector calls it, at any moment and maybe within the pool's own lock: so the
        pool hears of it later, and so long the iterators are held, which tell it when they end.
        """
        is_ours = process == os.getpid()  # else the connection is the parent's, and goes on
        if response.is_closed or not is_ours:  # it may be another request's by now
            return
        stream = response.extensions.get("network_stream")
        if stream is not None:
            with suppress(OSError, TypeError):  # it is closed already; uvloop's knows no shutdown
                stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        self._dropped[process].append((response, iterators))

    def _client(self) -> Client:
        client = self._clients.get(os.getpid())
        if self._is_closed or (client is not None and client.is_closed):
            raise ConfigurationError("this client is closed: make another one")
        return client or self._open(os.getpid())

    def _open(self, process: int) -> Client:
        """The httpx client of this process; threads that meet here get the same one."""
        if self._given is None:
            for other in self._clients.keys() - {process}:
                self._clients.pop(other, None)
        elif self._clients:
            raise ConfigurationError(
                "the http_client was used before this process was forked: make one in each process"
            )
        return self._clients.setdefault(process, self._given or self._make(self.settings.base_url))

    def _next_dropped(self) -> httpx.Response | None:
        """A response to be closed now, for one thread only."""
        try:
            return self._dropped[os.getpid()].popleft()[0]
        except IndexError:
            return None

    def _body(self, request: httpx.Request, response: httpx.Response) -> Body:
        return Body(request, response, self._max_response_size)


class Connection(_Connection[httpx.Client]):
    """Sends from threads."""

    def send(self, request: httpx.Request, max_retries: int) -> httpx.Response:
        """The answer, read whole unless it is an event stream. Raises APIConnectionError."""
        return run(attempts(request, self.settings, max_retries), self._met)

    def fetch(self, call: Call) -> httpx.Response:
        """The answer to a call; see `send`."""
        return self.send(self.request(call), call.max_retries)

    def close(self) -> None:
        """Close the pool, if it was made here."""
        self._is_closed = True
        self._close_dropped()
        client = self._clients.get(os.getpid())
        if client is not None and self._given is None:
            client.close()

    def _met(self, request: httpx.Request) -> Met:
        try:
            return self._attempt(request)
        except CreatifyError as error:
            return error

    def _close_dropped(self) -> None:
        while (dropped := self._next_dropped()) is not None:
            dropped.close()

    def _attempt(self, request: httpx.Request) -> httpx.Response:
        self._close_dropped()
        with ConnectionErrors(request):
            sent = self._client().send(request, stream=True, follow_redirects=False)
            response = unread(sent)
            if _is_left_open(request, response):
                return response
            with closing(response):
                body = self._body(request, response)
                with body.reading():
                    for piece in response.iter_raw():
                        body.add(piece)
        return body.answer()


class AsyncConnection(_Connection[httpx.AsyncClient]):
    """Sends from tasks of one event loop."""

    _loops: dict[int, AbstractEventLoop] | None = None

    @property
    def schedule(self) -> Schedule:
        """The waits of this client. Raises ConfigurationError in a second event loop."""
        self._check_loop()  # before one of its waits wakes one of another's
        return super().schedule

    async def send(self, request: httpx.Request, max_retries: int) -> httpx.Response:
        """The answer, read whole unless it is an event stream. Raises APIConnectionError."""
        self._check_loop()
        return await run_async(attempts(request, self.settings, max_retries), self._met)

    async def fetch(self, call: Call) -> httpx.Response:
        """The answer to a call; see `send`."""
        return await self.send(self.request(call), call.max_retries)

    async def close(self) -> None:
        """Close the pool, if it was made here. Raises ConfigurationError in a second event loop."""
        client = self._clients.get(os.getpid())
        if client is not None:
            self._check_loop()
            await self._close_dropped()
        if client is not None and self._given is None:
            await client.aclose()
        self._is_closed = True

    def _check_loop(self) -> None:
        """Raises ConfigurationError in a second event loop, where the pool's sockets are dead."""
        from asyncio import get_running_loop  # noqa: PLC0415 - a synchronous program never needs it

        self._loops = self._loops or {}
        if self._loops.setdefault(os.getpid(), get_running_loop()) is not get_running_loop():
            raise ConfigurationError(
                "this AsyncCreatify was used in another event loop: make one for each loop"
            )

    async def _met(self, request: httpx.Request) -> Met:
        try:
            return await self._attempt(request)
        except CreatifyError as error:
            return error

    async def _close_dropped(self) -> None:
        while (dropped := self._next_dropped()) is not None:
            await dropped.aclose()

    async def _attempt(self, request: httpx.Request) -> httpx.Response:
        await self._close_dropped()
        with ConnectionErrors(request):
            sent = await self._client().send(request, stream=True, follow_redirects=False)
            response = unread(sent)
            if _is_left_open(request, response):
                return response
            async with aclosing(response):
                body = self._body(request, response)
                with body.reading():
                    async for piece in response.aiter_raw():
                        body.add(piece)
        return body.answer()


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
    kind = APITimeoutError if isinstance(error, httpx.TimeoutException) else APIConnectionError
    sent = not isinstance(error, _NOT_SENT)
    if not sent:
        full = isinstance(error, httpx.PoolTimeout)
        advice = "all connections are in use" if full else "check base_url and the network"
        what = "could not be reached"
        outcome = f"the request was not sent and nothing was charged: {advice}"
    else:
        what = "gave no answer in time" if kind is APITimeoutError else "broke the connection"
        is_paid = error.request.method == "POST"
        outcome = f"the request was sent{MAY_BE_CHARGED}" if is_paid else _FREE
    where = f"{error.request.url.scheme}://{error.request.url.netloc.decode()}"
    return kind(f"{where} {what}: {_detail(error)}; {outcome}", request_sent=sent)


def _detail(error: httpx.RequestError) -> str:
    """What the system said, which asyncio's layers leave out."""
    for cause in chain(error):
        if isinstance(cause, OSError) and cause.errno is not None:
            return str(cause)
    if isinstance(error, httpx.LocalProtocolError):
        return "the http_client's own headers are no HTTP"  # its text has their values
    return str(error) or type(error).__name__


def _is_left_open(request: httpx.Request, response: httpx.Response) -> bool:
    """Whether a stream was asked for and has come; every other answer is read whole at once."""
    return is_event_stream(response) and asks_for_stream(request)


def _wrong_colour(client: str, functions: str) -> NoReturn:
    raise ConfigurationError(f"the api of {client} goes into the generated functions {functions}")
