"""The library over aiohttp."""

from __future__ import annotations

import os

from bench.contenders.ours import Async

os.environ["CREATIFY_ASYNC_TRANSPORT"] = "aiohttp"  # after `ours` said httpx

__all__ = ["Async"]
