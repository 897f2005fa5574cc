"""Which connections an `AsyncCreatify` has: aiohttp's where it is installed, else httpx's own.

httpx's own cost more the more calls and streams run at once. With the extra `aiohttp`
(`creatify-client[aiohttp]`) the connections are aiohttp's, wherever aiohttp 3.14 or newer is
installed; what a client promises is the same over both. The first call loads it, some 200 ms:
CREATIFY_ASYNC_TRANSPORT=aiohttp does so when the client is made, and =httpx does without it, as
does an `http_client` of the caller's, or a SOCKS proxy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import httpx

from creatify import _pool
from creatify._errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

Make: TypeAlias = "Callable[[str], httpx.AsyncClient]"
"""Makes the httpx client for a base URL. Raises ConfigurationError for a bad proxy."""
_SETTING: Final = "CREATIFY_ASYNC_TRANSPORT"


def async_maker(name: str | None) -> Make:
    """The maker for the name of a transport.

    Raises ConfigurationError for an unknown name, and for `aiohttp` where it is not installed.
    None takes it where it is, which is found out at the first call: loading it takes some 200 ms.
    """
    if name is None:
        return _any_client
    if name == "httpx":
        return _pool.async_client
    if name != "aiohttp":
        raise ConfigurationError(f"{_SETTING} is {name!r}, and may be aiohttp or httpx")
    make = _of_aiohttp()
    if make is None:
        raise ConfigurationError(
            f"{_SETTING} is aiohttp, which is missing or older than 3.14:"
            " install creatify-client[aiohttp]"
        )
    return make


def _any_client(base_url: str) -> httpx.AsyncClient:
    proxy = _pool.proxy_of(httpx.URL(base_url))
    is_socks = proxy is not None and proxy.url.scheme.startswith(b"socks")
    make = None if is_socks else _of_aiohttp()  # which doesn't speak it
    return (make or _pool.async_client)(base_url)


def _of_aiohttp() -> Make | None:
    try:
        from creatify._aiohttp import async_client  # noqa: PLC0415 - see `async_maker`
    except ImportError:
        return None
    return async_client
