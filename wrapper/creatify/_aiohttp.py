"""aiohttp under httpx's interface: an `AsyncCreatify`'s connections where it is installed.

httpx's own asynchronous pool looks through all its connections for each of its requests, which is
quadratic where many run at once. aiohttp's is not, and its parser is compiled. What a client
promises is the same over both, so that of aiohttp only the connections, the parser and the pool
are used: it follows nothing, stores nothing, unpacks nothing, sends nothing twice, and keeps no
time. It knows no maximum of idle connections: all of them end after `keepalive_expiry`.

Not httpx-aiohttp: it calls a connection that broke under a request one that could not be made, and
such a request would be sent, and paid for, again.
"""

from __future__ import annotations

import asyncio
import io
import math
import os
import selectors
import time
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, cast
from weakref import WeakSet, finalize

import aiohttp
import attrs
import httpx
from aiohttp import hdrs
from multidict import CIMultiDict
from yarl import URL

from creatify._errors import ConfigurationError
from creatify._pool import DEADLINE, AsyncClient, pool_options

if TYPE_CHECKING:
    from aiohttp import ClientHandlerType
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

    from creatify._pool import Deadline, PoolOptions

if tuple(map(int, aiohttp.__version__.split(".")[:2])) < (3, 14):
    raise ImportError("aiohttp < 3.14 tells the event loop of each connection that is ended here")
_HEAD_LIMIT: Final = 100 * 1024  # bytes of a line of an answer's head, as httpcore has it
_LARGE: Final = 1024 * 1024  # bytes; aiohttp warns of a larger body that it gets in one piece
_SENT: Final = httpx.ReadTimeout
_Selector = getattr(selectors, "PollSelector", selectors.DefaultSelector)  # the first costs less


def async_client(base_url: str) -> httpx.AsyncClient:
    """A client with a pool of its own for that URL. Raises ConfigurationError for a bad proxy."""
    options = pool_options(base_url)
    if options["proxy"] is not None and options["proxy"].url.scheme.startswith(b"socks"):
        raise ConfigurationError(
            "the environment's proxy is SOCKS, which aiohttp doesn't speak:"
            " set CREATIFY_ASYNC_TRANSPORT=httpx"
        )
    transport = AiohttpTransport(options)
    return AsyncClient(transport=transport, trust_env=False)


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Sends requests whose extensions have their deadline."""

    def __init__(self, options: PoolOptions) -> None:
        self._options = options
        self._proxy = options["proxy"]
        self._session: aiohttp.ClientSession | None = None
        self._bodies: WeakSet[_Body] = WeakSet()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The head of the answer. Raises httpx's errors: those before the sending as not sent."""
        session = self._session or self._open()
        attempt = _Attempt(request)
        headers, content = _headers(request), await request.aread()
        way = self._way(request, headers)
        response = None
        try:
            async with attempt.timer:
                response = await session.request(
                    request.method,
                    URL(str(request.url), encoded=True),
                    headers=headers,
                    data=io.BytesIO(content) if len(content) > _LARGE else content or None,
                    allow_redirects=False,
                    timeout=_Bounds(attempt=attempt),
                    middlewares=(attempt.once,),
                    **way,
                )
        except TimeoutError:
            pass  # told below: what is raised here would lead to the frames that hold the request
        finally:
            if response is None:
                attempt.abort()
        if response is None:
            raise attempt.late("")
        body = _Body(response, attempt)
        self._bodies.add(body)
        return _response(response, attempt, body)

    async def aclose(self) -> None:
        """Close all connections."""
        for body in list(self._bodies):
            await body.aclose()  # aiohttp would not wake who reads it
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        self._session = session = aiohttp.ClientSession(
            connector=_Connector(
                ssl=self._options["ssl_context"] or True,
                limit=self._options["max_connections"],
                keepalive_timeout=self._options["keepalive_expiry"],
                # The system's own, as for httpx, and not what else may be installed.
                resolver=aiohttp.ThreadedResolver(),
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            max_line_size=_HEAD_LIMIT,
            max_field_size=_HEAD_LIMIT,
        )
        # A client that nobody closed goes as quietly as httpx's.
        finalize(self, session.detach)
        return session

    def _way(self, request: httpx.Request, headers: CIMultiDict[str]) -> dict[str, Any]:
        """The proxy, if there is one; its credentials go to it only."""
        if self._proxy is None:
            return {}
        own = [(name.decode(), value.decode()) for name, value in self._proxy.headers]
        if request.url.scheme == "http":
            headers.extend(own)
        url = self._proxy.url
        address = URL.build(
            scheme=url.scheme.decode(), host=url.host.decode(), port=url.origin.port
        )
        return {"proxy": address, "proxy_headers": own}


class _Attempt:
    """One request on its way: how long it may still take, and what an error means by now."""

    def __init__(self, request: httpx.Request) -> None:
        self.deadline: Deadline = request.extensions[DEADLINE]
        self.late: type[httpx.TimeoutException] = httpx.PoolTimeout
        self.timer = asyncio.timeout(None)
        self.transport: asyncio.Transport | None = None
        self.protocol: ResponseHandler | None = None
        self._timeout: dict[str, float | None] = request.extensions["timeout"]
        self._at = math.inf  # what the timer is set to

    def wait(self, late: type[httpx.TimeoutException], name: str | None = None) -> None:
        """Be late from now on with that error: after that timeout, or at the deadline."""
        self.late, at = late, self.deadline.at
        own = None if name is None else self._timeout[name]
        now = time.monotonic()
        if own is not None and now + own < at:
            at = now + own
        if at != self._at:
            self._at = at
            when = asyncio.get_running_loop().time() + at - now
            self.timer.reschedule(None if at == math.inf else when)

    def abort(self) -> None:
        """End the connection now, whatever is not written yet."""
        if self.transport is not None:
            self.transport.abort()

    async def once(
        self, request: aiohttp.ClientRequest, handler: ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Send: under httpx's names, aiohttp does not know the errors after which it sends again.

        Nor do they lead to aiohttp's own, which hold the request's headers.
        """
        try:
            return await handler(request)
        except (aiohttp.ClientError, OSError) as error:
            met = self._named(error)
        raise met

    def _named(self, error: aiohttp.ClientError | OSError) -> httpx.TransportError:
        named: httpx.TransportError
        if isinstance(error, aiohttp.ClientHttpProxyError):
            named = httpx.ProxyError(f"{error.status} {error.message}")
        elif self.late is not _SENT:
            named = httpx.ConnectError("the connection could not be made")
        elif isinstance(error, OSError):
            named = httpx.ReadError("the connection broke")
        elif isinstance(error, aiohttp.ServerDisconnectedError):
            named = httpx.RemoteProtocolError("the connection was closed without an answer")
        else:
            named = httpx.RemoteProtocolError("the answer is no HTTP")
        named.__cause__ = _of_the_system(error)
        return named


@attrs.frozen
class _Bounds(aiohttp.ClientTimeout):
    """Brings the attempt to the connector; of aiohttp's own timeouts none is set."""

    attempt: _Attempt = attrs.field(kw_only=True)


class _Connector(aiohttp.TCPConnector):
    def __init__(self, **options: Any) -> None:
        self._process = os.getpid()
        super().__init__(**options)

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        attempt = cast("_Bounds", timeout).attempt
        attempt.wait(httpx.PoolTimeout, "pool")
        connection = await super().connect(req, traces, timeout)
        while attempt.late is httpx.PoolTimeout and _is_ended(connection):
            connection.close()
            connection = await super().connect(req, traces, timeout)
        attempt.transport, attempt.protocol = connection.transport, connection.protocol
        attempt.wait(_SENT)
        return connection

    async def _create_connection(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        cast("_Bounds", timeout).attempt.wait(httpx.ConnectTimeout, "connect")
        return await super()._create_connection(req, traces, timeout)

    def __del__(self, *_: object) -> None:
        # Without a word, as httpx's go; a child of a fork must not end the parent's.
        if os.getpid() == self._process:
            self.__exit__(None, None, None)


class _Body(httpx.AsyncByteStream):
    """The bytes of an answer as they arrive, up to the deadline.

    One timer looks after all reads: it is set anew only when it is over, as the deadline of a
    stream moves on with each event.
    """

    def __init__(self, response: aiohttp.ClientResponse, attempt: _Attempt) -> None:
        self._response = response
        self._content = response.content
        self._attempt = attempt
        self._deadline = attempt.deadline
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf
        self._is_read = False
        self._lost: httpx.ReadError | None = None

    def __aiter__(self) -> _Body:
        return self

    async def __anext__(self) -> bytes:
        if self._lost is not None:
            raise self._lost
        if self._deadline.at < self._timer_at:
            self._watch()
        self._is_read = True
        try:
            piece = await self._content.readany()
        except aiohttp.ClientError:
            # What came before the loss comes first, which aiohttp would forget.
            piece = self._content._read_nowait(-1)  # noqa: SLF001 - nothing public gives it
            self._lost = httpx.ReadError("the connection broke before the end of the answer")
        finally:
            self._is_read = False
        if piece:
            return piece
        if self._lost is None and self._is_cut():
            self._lost = httpx.ReadError("the connection broke in the answer")
        if self._lost is not None:
            raise self._lost
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self._watch_until(-math.inf)
        if not self._response.closed:
            self._response.close()
            self._attempt.abort()

    def _watch(self) -> None:
        left = self._deadline.at - time.monotonic()
        if left <= 0:
            raise httpx.ReadTimeout("the time of the call is over")
        self._watch_until(self._deadline.at)
        self._timer = asyncio.get_running_loop().call_later(left, self._look)

    def _watch_until(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = None, at

    def _look(self) -> None:
        self._timer, self._timer_at = None, math.inf
        if self._is_read:  # else nobody waits, and the next read sees to it
            try:
                self._watch()
            except httpx.ReadTimeout as error:
                self._content.set_exception(error)

    def _is_cut(self) -> bool:
        """Whether a body that only the connection's end ends was ended by a reset."""
        headers = self._response.headers
        is_framed = hdrs.CONTENT_LENGTH in headers or hdrs.TRANSFER_ENCODING in headers
        protocol = cast("ResponseHandler", self._attempt.protocol)
        return not is_framed and isinstance(protocol.exception(), OSError)


class _Wire:
    """What `network_stream` is among an answer's extensions: for who must end the connection."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = transport

    def get_extra_info(self, info: str) -> Any:
        return self if info == "socket" else self._transport.get_extra_info(info)

    def shutdown(self, _: int) -> None:
        """End it, from any thread and at any moment."""
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._transport.abort)


def _response(response: aiohttp.ClientResponse, attempt: _Attempt, body: _Body) -> httpx.Response:
    extensions: dict[str, Any] = {"http_version": b"HTTP/1.1"}
    extensions["reason_phrase"] = (response.reason or "").encode()
    extensions["network_stream"] = _Wire(cast("asyncio.Transport", attempt.transport))
    return httpx.Response(
        response.status,
        headers=response.raw_headers,
        stream=body,
        extensions=extensions,
    )


def _headers(request: httpx.Request) -> CIMultiDict[str]:
    """The request's own. Raises httpx.LocalProtocolError for what is no HTTP."""
    raw = request.headers.raw
    text = b"".join(chain.from_iterable(raw)).decode(errors="replace")
    if any(character in text for character in "\0\r\n\ufffd"):
        raise httpx.LocalProtocolError("a header has a control character, or is no UTF-8")
    return CIMultiDict(
        (name.decode("latin-1"), value.decode())
        for name, value in raw
        if name.lower() != b"transfer-encoding"  # the body is sent as a whole
    )


def _of_the_system(error: BaseException) -> OSError | None:
    """What the system said, without what led to it and without aiohttp's own words."""
    cause = error.__cause__
    if isinstance(cause, OSError):
        cause.__cause__ = cause.__context__ = None
        return cause
    is_own = isinstance(error, OSError) and error.errno is not None
    return OSError(*error.args) if is_own else None


def _is_ended(connection: Connection) -> bool:
    """Whether the server has ended an idle connection, before the event loop saw it."""
    transport = cast("asyncio.Transport", connection.transport)
    with _Selector() as selector:
        selector.register(transport.get_extra_info("socket"), selectors.EVENT_READ)
        return bool(selector.select(0))
