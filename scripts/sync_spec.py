"""Bring openapi.yaml up to date with the provider's reference pages: `make spec`.

    python scripts/sync_spec.py [--allow-vanished] [FROM...]

Reads the pages that scripts/spec_pages.toml lists, or, offline, those in FROM: files, and folders
of `*.md` (their README.md is none; a folder in a folder is not looked into). The file is written
whole or not at all: the first error, which names page and place, leaves it as it was (status 1).

An operation keeps the comment that names its page. It vanished if its page now has another, or if
its page is not among those listed (or in the folder; files stand for themselves only). The same
operationId under another path is a renamed path, and no error.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from install import SPEC, end_cleanly, recover
from install import write as write_file
from syncing.commented_yaml import Document, read, write
from syncing.fetch_pages import open_client
from syncing.merge_spec import GROUPS, Operation, merge, renamed
from syncing.page_sources import fetch_list, file_text, read_sources
from syncing.pages import METHODS, Page, SyncError, invalid, operations, parse_page, references
from syncing.strict_yaml import UnreadableError, quick, same
from syncing.tree_merge import without

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import httpx
    from ruamel.yaml.comments import CommentedMap

SCRIPTS = Path(__file__).resolve().parent
LISTED = SCRIPTS / "spec_pages.toml"
OVERLAY = SCRIPTS / "overlay.yaml"


@dataclass(frozen=True)
class Difference:
    """What a sync did to one kind of thing; each is named as people write it."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    renamed: tuple[str, ...] = ()
    """`get /old/ -> get /new/`; operations only. The new one may be among `changed` as well."""
    unchanged: tuple[str, ...] = ()


@dataclass(frozen=True)
class Synced:
    """What a sync did."""

    changed: bool
    """Whether the file was written; its comments may be all that changed."""
    pages: tuple[str, ...]
    """The files or URLs that were read."""
    operations: Difference
    """`get /path/`"""
    components: Difference
    """`schemas.Name`"""
    document: Difference
    """The other keys of the top: `info`, `servers`."""


def main() -> None:
    """Sync the project's spec and say what was done."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sources", nargs="*", type=Path, metavar="FROM")
    parser.add_argument("--allow-vanished", action="store_true", help="remove what vanished")
    arguments = parser.parse_args()
    try:
        recover()
        done = sync(arguments.sources, SPEC, allow_vanished=arguments.allow_vanished)
    except (SyncError, OSError) as error:
        sys.exit(f"error: {error}\nopenapi.yaml is left as it was")
    print(summary(done))
    print("openapi.yaml is", "changed" if done.changed else "unchanged")


def sync(
    sources: Sequence[Path],
    spec_file: Path,
    *,
    allow_vanished: bool = False,
    listed: Path = LISTED,
    overlay: Path = OVERLAY,
    client: Callable[[], httpx.AsyncClient] = open_client,
) -> Synced:
    """Merge the pages in `sources`, or without any the `listed` ones, into the spec file.

    What the overlay refers to is kept. Raises SyncError, and then the file is as it was.
    """
    texts = read_sources(sources) if sources else asyncio.run(fetch_list(listed, client))
    pages = [parse_page(name, text) for name, text in texts.items()]
    before = file_text(spec_file)
    spec = _document(spec_file, before)
    if problem := invalid(spec.data):
        raise SyncError(f"{spec_file}: is not valid OpenAPI: {problem}")
    merged = merge(
        spec,
        pages,
        complete=not sources or any(source.is_dir() for source in sources),
        allow_vanished=allow_vanished,
        needed=_referred_to(overlay),
    )
    after = before
    if not same(spec.data, merged.data) or merged.above != spec.above:
        after = _written(spec_file, before, spec, merged)
        write_file(spec_file, after)
    return _synced(spec, merged, pages, changed=after != before)


def summary(done: Synced) -> str:
    """What a sync found, in a few lines."""
    lines = [f"read {len(done.pages)} {'page' if len(done.pages) == 1 else 'pages'}"]
    for what, kind in (
        ("operations", done.operations),
        ("components", done.components),
        ("document", done.document),
    ):
        lines += [
            f"{what} {verb}: {', '.join(names)}"
            for verb in ("added", "changed", "removed", "renamed")
            if (names := getattr(kind, verb))
        ]
    lines.append(
        f"unchanged: {len(done.operations.unchanged)} operations, "
        f"{len(done.components.unchanged)} components"
    )
    return "\n".join(lines)


def _document(file: Path, text: str) -> Document:
    try:
        return read(text)
    except UnreadableError as error:
        line = "" if error.line is None else f"line {error.line + 1}: "
        raise SyncError(f"{file}: {line}{error}") from None


def _referred_to(overlay: Path) -> list[str]:
    try:
        return [target for _, target in references(quick(file_text(overlay)))]
    except UnreadableError as error:
        raise SyncError(f"{overlay}: {error}") from None


def _written(spec_file: Path, before: str, spec: Document, merged: Document) -> str:
    """The text of the merged spec, once it is sure that nothing else in the file would change."""
    for number, (old, new) in enumerate(
        itertools.zip_longest(before.split("\n"), write(spec).split("\n")), 1
    ):
        if old != new:
            raise SyncError(f"{spec_file}: line {number}: would have to be written as {new!r}")
    text, reread = "", None
    with contextlib.suppress(UnreadableError):
        text = write(merged)
        reread = quick(text)
    if not same(reread, merged.data):
        raise SyncError(f"{spec_file}: what the pages say can't be written in YAML")
    return text


def _synced(spec: Document, merged: Document, pages: Sequence[Page], *, changed: bool) -> Synced:
    """The differences between two specs, by what people call the parts."""
    moves = {_named(change.new): _named(change.old) for change in renamed(spec, pages)}
    old, new = _operations(spec.data), _operations(merged.data)
    return Synced(
        changed=changed,
        pages=tuple(page.name for page in pages),
        operations=_compared(old, new, moves),
        components=_compared(_components(spec.data), _components(merged.data), {}),
        document=_compared(without(spec.data, GROUPS), without(merged.data, GROUPS), {}),
    )


def _compared(old: Mapping[str, Any], new: Mapping[str, Any], moves: dict[str, str]) -> Difference:
    """`moves` has the old name of each thing that has a new one."""
    stayed = [name for name in new if moves.get(name, name) in old]
    changed = [name for name in stayed if not same(old[moves.get(name, name)], new[name])]
    return Difference(
        added=tuple(name for name in new if name not in stayed),
        changed=tuple(changed),
        removed=tuple(name for name in old if name not in new and name not in moves.values()),
        renamed=tuple(f"{before} -> {after}" for after, before in moves.items()),
        unchanged=tuple(name for name in stayed if name not in changed),
    )


def _operations(spec: CommentedMap) -> dict[str, Any]:
    """Each operation with what its path says for all of them."""
    return {
        _named((path, method)): [spec["paths"][path][method], without(spec["paths"][path], METHODS)]
        for path, method in operations(spec)
    }


def _components(spec: CommentedMap) -> dict[str, Any]:
    return {
        f"{group}.{name}": node
        for group, entries in spec.get("components", {}).items()
        if isinstance(entries, dict)
        for name, node in entries.items()
    }


def _named(operation: Operation) -> str:
    path, method = operation
    return f"{method} {path}"


if __name__ == "__main__":
    end_cleanly()
    main()
