"""Fetch the provider's pages: https only, in parallel, bounded in size and time."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import httpx
from rich.console import Console
from rich.progress import Progress

from syncing.pages import SyncError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

MAX_BYTES = 2 * 1024 * 1024
"""The largest page, in bytes."""
DEADLINE = 30.0
"""How long a page may take in all, in seconds."""
LINK = re.compile(r"^[ \t]*[-*+][ \t]+\[(?P<title>.+?)\]\((?P<url>[^\s)]+)\)", re.MULTILINE)


def open_client(
    transport: httpx.AsyncBaseTransport | None = None, *, verify: ssl.SSLContext | bool = True
) -> httpx.AsyncClient:
    """A client that speaks https only, also where it is redirected to, and asks for plain bytes."""
    return httpx.AsyncClient(
        transport=transport,
        verify=verify,
        timeout=None,  # noqa: S113 - DEADLINE bounds the whole of it
        limits=httpx.Limits(max_connections=8),
        follow_redirects=True,
        max_redirects=5,
        headers={"Accept": "text/markdown, text/plain", "Accept-Encoding": "identity"},
        event_hooks={"request": [_require_https]},
    )


async def fetch_listed(
    index: str, titles: Sequence[str], urls: Sequence[str], client: httpx.AsyncClient
) -> dict[str, str]:
    """The text of each page by its URL: what an index (llms.txt) has under `titles`, then `urls`.

    Raises SyncError naming what can't be had, or a title that the index hasn't, or has twice.
    """
    found: list[str] = []
    if titles:
        links = index_links(index, (await fetch([index], client))[index])
        for title in titles:
            targets = links.get(title, [])
            if len(targets) != 1:
                problem = "several pages" if targets else "no page"
                raise SyncError(f'{index}: has {problem} of the title "{title}"')
            found += targets
    return await fetch([*found, *urls], client)


def index_links(index: str, text: str) -> dict[str, list[str]]:
    """The URLs in an index by the title of the page, in the form of https://llmstxt.org."""
    links: dict[str, list[str]] = {}
    for link in LINK.finditer(text):
        try:
            url = str(httpx.URL(index).join(link["url"]))
        except httpx.InvalidURL as error:
            raise SyncError(f'{index}: the URL of "{link["title"]}": {error}') from None
        if url not in links.setdefault(link["title"], []):
            links[link["title"]].append(url)
    return links


async def fetch(urls: Sequence[str], client: httpx.AsyncClient) -> dict[str, str]:
    """The text behind each URL, with a progress bar on a terminal.

    Raises SyncError for the first of them, in their order, that can't be had.
    """
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("fetching pages", total=len(urls))

        async def one(url: str) -> str:
            try:
                return await _fetch_one(url, client)
            finally:
                progress.advance(bar)

        texts = await asyncio.gather(*map(one, urls), return_exceptions=True)
    for text in texts:
        if isinstance(text, BaseException):
            raise text
    return {url: text for url, text in zip(urls, texts, strict=True) if isinstance(text, str)}


async def _fetch_one(url: str, client: httpx.AsyncClient) -> str:
    try:
        async with asyncio.timeout(DEADLINE), client.stream("GET", url) as response:
            return await _text(url, response)
    except TimeoutError:
        raise SyncError(f"{url}: not there within {DEADLINE:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise SyncError(f"{url}: {str(error) or type(error).__name__}") from None


async def _text(url: str, response: httpx.Response) -> str:
    """The text of an answer, which must be one."""
    kind = response.headers.get("content-type", "text/plain").partition(";")[0].strip().lower()
    encoding = response.headers.get("content-encoding", "identity")
    if response.status_code != httpx.codes.OK:
        raise SyncError(f"{url}: status {response.status_code}")
    if not kind.startswith("text/") or kind == "text/html":
        raise SyncError(f"{url}: is {kind}, not Markdown")
    if encoding != "identity":
        raise SyncError(f"{url}: is encoded as {encoding}, which was not asked for")
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > MAX_BYTES:
            raise SyncError(f"{url}: is larger than {MAX_BYTES} bytes")
    return decoded(url, bytes(body))


def decoded(name: str, body: bytes) -> str:
    """The text of UTF-8, as it stands in a file or an answer."""
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SyncError(f"{name}: byte {error.start} is not UTF-8") from None


async def _require_https(request: httpx.Request) -> None:
    if request.url.scheme != "https":
        raise httpx.UnsupportedProtocol(f"{request.url} is not https")
