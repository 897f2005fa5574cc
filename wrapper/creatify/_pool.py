"""The connections under httpx: every wait on a socket ends at the deadline of its call.

httpx bounds each read, so that a server which sends a byte now and then, or one 1xx answer after
the other, holds a call for ever. Only a network backend sees each read, and httpx's own transports
take none: so their pools are made here.
"""

from __future__ import annotations

import math
import os
import time
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, TypedDict
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx

from creatify._config import is_loopback
from creatify._errors import ConfigurationError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

DEADLINE: Final = "creatify.deadline"
"""The extension of a request that holds its `Deadline`."""
_MAX_CONNECTIONS: Final = 1000
_MAX_IDLE_CONNECTIONS: Final = 100
_IDLE_EXPIRY: Final = 5.0  # seconds; a connection that the server is about to close is not used
_PIECE: Final = 1024 * 1024  # bytes that are written without a look at the time


class Deadline:
    """When a call is over, by `time.monotonic()`. A stream moves it on with each event."""

    __slots__ = ("at",)

    def __init__(self, at: float = math.inf) -> None:
        self.at = at

    def bound(self, timeout: float | None, error: type[httpcore.TimeoutException]) -> float | None:
        """The timeout in seconds, or what is left of the time. Raises `error` if nothing is."""
        if self.at == math.inf:
            return timeout
        left = self.at - time.monotonic()
        if left <= 0:
            raise error("the time of the call is over")
        return left if timeout is None else min(timeout, left)


def sync_client(base_url: str) -> httpx.Client:
    """A client with a pool of its own for that URL. Raises ConfigurationError for a bad proxy."""
    pool = httpcore.ConnectionPool(network_backend=_Backend(), **pool_options(base_url))
    return _Client(transport=_Transport(pool), trust_env=False)


def async_client(base_url: str) -> httpx.AsyncClient:
    """The same for an event loop."""
    pool = httpcore.AsyncConnectionPool(network_backend=_AsyncBackend(), **pool_options(base_url))
    return AsyncClient(transport=_AsyncTransport(pool), trust_env=False)


_current: Final = ContextVar("creatify.deadline", default=Deadline())  # noqa: B039 - never moved


@contextmanager
def _within(request: httpx.Request) -> Iterator[None]:
    token = _current.set(request.extensions[DEADLINE])
    try:
        yield
    finally:
        _current.reset(token)


class _Client(httpx.Client):
    """Its requests are ready: no cookies, hooks, redirects or auth, a fifth of a call's cost."""

    def send(self, request: httpx.Request, **_: Any) -> httpx.Response:
        return self._transport.handle_request(request)


class AsyncClient(httpx.AsyncClient):
    """See `_Client`."""

    async def send(self, request: httpx.Request, **_: Any) -> httpx.Response:
        return await self._transport.handle_async_request(request)


class _Transport(httpx.HTTPTransport):
    def __init__(self, pool: httpcore.ConnectionPool) -> None:
        # All that httpx's own __init__ does is to make a pool, from fewer options.
        self._pool = pool

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        with _within(request):
            return super().handle_request(request)


class _AsyncTransport(httpx.AsyncHTTPTransport):
    def __init__(self, pool: httpcore.AsyncConnectionPool) -> None:
        self._pool = pool

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        with _within(request):
            return await super().handle_async_request(request)


class _Backend(httpcore.SyncBackend):
    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, *args: Any, **kwargs: Any
    ) -> httpcore.NetworkStream:
        timeout = _current.get().bound(timeout, httpcore.ConnectTimeout)
        return _Stream(super().connect_tcp(host, port, timeout, *args, **kwargs))


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream
        self._deadline = _current.get()

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.bound(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._deadline = _current.get()  # of the request that begins here
        for piece in _pieces(buffer):
            self._stream.write(piece, self._deadline.bound(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        timeout = _current.get().bound(timeout, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _AsyncBackend(httpcore.AnyIOBackend):
    async def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, *args: Any, **kwargs: Any
    ) -> httpcore.AsyncNetworkStream:
        timeout = _current.get().bound(timeout, httpcore.ConnectTimeout)
        return _AsyncStream(await super().connect_tcp(host, port, timeout, *args, **kwargs))


class _AsyncStream(httpcore.AsyncNetworkStream):
    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._deadline = _current.get()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._stream.read(
            max_bytes, self._deadline.bound(timeout, httpcore.ReadTimeout)
        )

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._deadline = _current.get()  # of the request that begins here
        for piece in _pieces(buffer):
            await self._stream.write(piece, self._deadline.bound(timeout, httpcore.WriteTimeout))

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        timeout = _current.get().bound(timeout, httpcore.ConnectTimeout)
        return _AsyncStream(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class PoolOptions(TypedDict):
    """What a pool of connections is made with."""

    ssl_context: ssl.SSLContext | None
    proxy: httpcore.Proxy | None
    max_connections: int
    max_keepalive_connections: int
    keepalive_expiry: float


def pool_options(base_url: str) -> PoolOptions:
    """The options of a pool for that URL. Raises ConfigurationError for a bad proxy."""
    url = httpx.URL(base_url)
    is_tls = url.scheme == "https"
    return PoolOptions(
        # HTTP/2 stays off, as is httpcore's default: its debug log shows the values of headers.
        ssl_context=_tls(*map(os.environ.get, _TLS_VARIABLES)) if is_tls else None,
        proxy=proxy_of(url),
        max_connections=_MAX_CONNECTIONS,
        max_keepalive_connections=_MAX_IDLE_CONNECTIONS,
        keepalive_expiry=_IDLE_EXPIRY,
    )


_TLS_VARIABLES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")


@cache
def _tls(*_: str | None) -> ssl.SSLContext:
    """One for each value of the variables that httpx reads: making it takes some 30 ms."""
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        raise ConfigurationError(
            f"{' or '.join(_TLS_VARIABLES)} names no certificates that can be read: {error}"
        ) from error


def proxy_of(url: httpx.URL) -> httpcore.Proxy | None:
    """The environment's proxy for that URL.

    Never on the way to this machine: over plain http the credentials would go to the proxy.
    Raises ConfigurationError for what is no proxy's URL.
    """
    if is_loopback(url.host) or proxy_bypass(url.host):
        return None
    proxies = getproxies()
    address = proxies.get(url.scheme) or proxies.get("all")
    if address is None:
        return None
    try:
        proxy = httpx.Proxy(address if "://" in address else f"http://{address}")
    except (httpx.InvalidURL, ValueError):
        # Its own text may hold the proxy's password.
        raise ConfigurationError(
            f"the environment's proxy for {url.scheme} is no proxy's URL: see"
            f" {url.scheme.upper()}_PROXY and ALL_PROXY"
        ) from None
    if proxy.url.scheme.startswith("socks") and find_spec("socksio") is None:
        raise ConfigurationError("the environment's proxy is SOCKS: install httpx[socks] for it")
    return httpcore.Proxy(str(proxy.url), proxy.raw_auth, proxy.headers.raw, proxy.ssl_context)


def _pieces(buffer: bytes) -> Iterator[bytes]:
    if len(buffer) <= _PIECE:
        yield buffer
        return
    for start in range(0, len(buffer), _PIECE):
        yield buffer[start : start + _PIECE]
