"""The library over aiohttp's transport."""

from __future__ import annotations

import httpx
import httpx_aiohttp

from bench.contenders import ours


class Async(ours.Async):
    """The transport is given as an `http_client`."""

    def __init__(self, url: str) -> None:
        limits = httpx.Limits(max_connections=1000, max_keepalive_connections=1000)
        transport = httpx_aiohttp.AiohttpTransport(limits=limits)
        super().__init__(url, httpx.AsyncClient(transport=transport))
