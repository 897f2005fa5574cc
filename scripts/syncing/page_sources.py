"""Where the text of the provider's pages comes from: files and folders, or the checked-in list."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

from syncing.fetch_pages import MAX_BYTES, decoded, fetch_listed
from syncing.pages import SyncError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import httpx


def read_sources(sources: Sequence[Path]) -> dict[str, str]:
    """The text of each page in files and folders, by its path."""
    files: list[Path] = []
    for source in sources:
        if source.is_dir():
            pages = sorted(path for path in source.glob("*.md") if path.stem.lower() != "readme")
            if not pages:
                raise SyncError(f"{source}: has no pages (*.md)")
            files += pages
        else:
            files.append(source)
    return {str(file): file_text(file) for file in files}


def file_text(file: Path) -> str:
    """The text of a file, its line ends as they are."""
    try:
        with file.open("rb") as opened:
            body = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise SyncError(f"{file}: {error.strerror}") from None
    if len(body) > MAX_BYTES:
        raise SyncError(f"{file}: is larger than {MAX_BYTES} bytes")
    return decoded(str(file), body)


async def fetch_list(listed: Path, client: Callable[[], httpx.AsyncClient]) -> dict[str, str]:
    """The text of each page that the list names, by its URL."""
    try:
        pages = tomllib.loads(file_text(listed))
    except tomllib.TOMLDecodeError as error:
        raise SyncError(f"{listed}: {error}") from None
    titles, urls = _texts(listed, pages, "titles"), _texts(listed, pages, "urls")
    index = _texts(listed, {"index": [pages.get("index")]}, "index")[0]
    if not titles and not urls:
        raise SyncError(f"{listed}: lists no page")
    async with client() as opened:
        return await fetch_listed(index, titles, urls, opened)


def _texts(listed: Path, pages: dict[str, Any], key: str) -> list[str]:
    values = pages.get(key)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise SyncError(f"{listed}: {key} is missing, or not text")
    return values
