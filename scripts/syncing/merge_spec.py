"""Merge the fragments of the provider's pages into openapi.yaml, comments and order kept. No I/O.

What the pages define replaces what the spec said of it, in place; what they don't speak of stays.
Where an operation comes from stands in the comment above it (`source_comment`), so that one can
tell later that its page no longer has it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from ruamel.yaml.comments import CommentedMap

from syncing.commented_yaml import Document
from syncing.pages import METHODS, Page, SyncError, invalid, operations, pointed, references
from syncing.strict_yaml import Place, spelled
from syncing.tree_merge import adopt, difference, union, without

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Operation: TypeAlias = tuple[str, str]
"""Path and method."""
GROUPS = ("paths", "components")
Defined: TypeAlias = dict[Place, tuple[Any, Page]]
"""What the pages define: each part of the spec with the page that defined it first."""


@dataclass(frozen=True)
class Renamed:
    """An operation that has another path or method under the same operationId."""

    old: Operation
    new: Operation


def merge(
    spec: Document,
    pages: Sequence[Page],
    *,
    complete: bool = False,
    allow_vanished: bool = False,
    needed: Iterable[str] = (),
) -> Document:
    """The spec with all that the pages define; `spec` itself stays as it is.

    A component that nothing refers to any more goes, unless a page has it, or it is among the
    references `needed` elsewhere. Raises SyncError when two pages contradict each other; when the
    result is not valid; and when an operation vanished, unless that is allowed. It vanished if its
    page now has another, or, if the pages are `complete`, is not among them.
    """
    defined = agreed(pages)
    moved = spec
    for change in renamed(spec, pages):
        moved = _move(moved, change)
    gone = vanished(moved, pages, complete=complete)
    if gone and not allow_vanished:
        raise SyncError(
            f"{'; '.join(gone.values())} (--allow-vanished removes what vanished; with make:"
            " ALLOW_VANISHED=1)"
        )
    wanted = _wanted(moved.data, pages, gone)
    _drop_unreferenced(moved.data, wanted, defined, needed)
    merged = adopt(moved, wanted)
    for page in pages:
        for operation in page.operations():
            _name_source(merged, operation, page.title)
    if problem := invalid(merged.data):
        raise SyncError(f"openapi.yaml would not be valid OpenAPI: {problem}")
    return merged


def agreed(pages: Iterable[Page]) -> Defined:
    """All that the pages define. Raises SyncError if two define the same part differently."""
    found: Defined = {}
    for page in pages:
        for place, node in _parts(page.fragment):
            first, owner = found.setdefault(place, (node, page))
            if (where := difference(first, node, place)) is not None:
                raise SyncError(
                    f"{owner.name} and {page.name} define {spelled(place)} differently: "
                    f"at {spelled(where)}"
                )
    return found


def renamed(spec: Document, pages: Iterable[Page]) -> list[Renamed]:
    """The operations that the pages have under another path or method than the spec."""
    present = list(operations(spec.data))
    ids = {_id(spec.data, old): old for old in present if _id(spec.data, old)}
    new_ids = {new: _id(page.fragment, new) for page in pages for new in sorted(page.operations())}
    news: dict[Operation, Operation] = {}
    for new, name in new_ids.items():
        if name in ids and new not in present and ids[name] not in new_ids:
            news.setdefault(ids[name], new)  # a second one of that id makes the result invalid
    return [Renamed(old, new) for old, new in news.items()]


def vanished(spec: Document, pages: Iterable[Page], *, complete: bool) -> dict[Operation, str]:
    """The operations that are on none of the pages and should be, each with what to say of it."""
    pages = list(pages)
    by_title = {page.title: page for page in pages}
    here = {operation for page in pages for operation in page.operations()}
    found = {}
    for path, method in operations(spec.data):
        title, fragment = _source(spec, (path, method))
        if (path, method) in here or (title not in by_title and not (complete and fragment)):
            continue
        page = by_title.get(title)
        has = " and ".join(f"{m} {p}" for p, m in sorted(page.operations())) if page else ""
        found[path, method] = (
            f'{page.name}: paths.{path}.{method} of openapi.yaml vanished: its page "{title}" '
            f"now has {has}"
            if page
            else f'openapi.yaml: paths.{path}.{method} vanished: its page "{title}" is not among '
            "the pages"
        )
    return found


def source_comment(title: str) -> str:
    """What stands above an operation that came from the page of that title."""
    return f'# Source: the provider\'s page "{title}" (its OpenAPI fragment).'


def _source(spec: Document, operation: Operation) -> tuple[str, bool]:
    """The title of an operation's page ("" if unknown), and whether that had a fragment."""
    lines = spec.above.get(("paths", *operation), [])
    text = " ".join(line.strip().removeprefix("#").strip() for line in lines)
    found = re.search(r'page "(.+?)" \((rendered|its OpenAPI fragment)\)', text)
    return (found[1], found[2] != "rendered") if found else ("", False)


def _name_source(spec: Document, operation: Operation, title: str) -> None:
    """Write the comment over an operation, in the place of another that named its source."""
    if _source(spec, operation) == (title, True):
        return
    place = ("paths", *operation)
    lines = spec.above.get(place, [])
    old = next((n for n, line in enumerate(lines) if "# Source:" in line), len(lines))
    spec.above[place] = [*lines[:old], "    " + source_comment(title)]


def _id(spec: CommentedMap, operation: Operation) -> str | None:
    path, method = operation
    return str(spec["paths"][path][method].get("operationId") or "") or None


def _parts(spec: CommentedMap) -> Iterator[tuple[Place, Any]]:
    """The parts of a spec that are replaced as a whole, each with its place."""
    for key, value in spec.items():
        if key in GROUPS:
            yield from _named_parts(spec, key)
            yield from (((key, name), part) for name, part in value.items() if not _is_map(part))
        else:
            yield (key,), value


def _named_parts(spec: CommentedMap, key: str) -> Iterator[tuple[Place, Any]]:
    """Each method of each path, or each component of each group."""
    for group, entries in spec.get(key, {}).items():
        if _is_map(entries):
            yield from (((key, group, name), node) for name, node in entries.items())


def _is_map(node: object) -> bool:
    return isinstance(node, CommentedMap)


def _move(spec: Document, change: Renamed) -> Document:
    """The spec with an operation under its new path and method, its comments with it."""
    (old_path, old_method), (path, method) = change.old, change.new
    paths = CommentedMap()
    moves: dict[Place, Place] = {("paths", *change.old): ("paths", *change.new)}
    moving = CommentedMap({method: spec.data["paths"][old_path][old_method]})
    for key, item in spec.data["paths"].items():
        paths[key] = item
        if key == old_path:
            rest = without(item, {old_method})
            alone = not any(name in METHODS for name in rest)
            if path not in spec.data["paths"]:
                paths[path] = union(rest, moving) if alone else moving
                moves |= {("paths", old_path): ("paths", path)} if alone else {}
            paths[key] = rest
            if alone and path != old_path:
                del paths[key]
        if key == path:
            # An operation that only has another method keeps its place among the others.
            names = [method if (key, name) == change.old else name for name in item]
            paths[key] = union(CommentedMap(dict.fromkeys(names)), union(paths[key], moving))
    data = CommentedMap(spec.data)
    data["paths"] = paths

    def rekeyed(place: Place) -> Place:
        for old, new in moves.items():
            if place[: len(old)] == old:
                return (*new, *place[len(old) :])
        return place

    return Document(
        data,
        {rekeyed(place): lines for place, lines in spec.above.items()},
        {rekeyed(place): text for place, text in spec.beside.items()},
    )


def _wanted(spec: CommentedMap, pages: Iterable[Page], gone: Iterable[Operation]) -> CommentedMap:
    """The data that the merge is to give: the spec's, with the pages' in its place."""
    wanted = CommentedMap(spec)
    wanted["paths"] = CommentedMap(spec["paths"])
    for path in {path for page in pages for path, _ in page.operations()} & set(spec["paths"]):
        item = spec["paths"][path]
        wanted["paths"][path] = without(item, {key for key in item if key not in METHODS})
    for path, method in gone:
        wanted["paths"][path] = rest = without(wanted["paths"][path], {method})
        if not any(name in METHODS for name in rest):
            del wanted["paths"][path]
    for page in pages:
        wanted = _laid_over(wanted, page.fragment)
    return wanted


def _laid_over(spec: CommentedMap, fragment: CommentedMap, place: Place = ()) -> CommentedMap:
    """The spec with each part that the fragment defines, and all that it doesn't speak of."""
    result = union(spec, fragment)
    for key, value in fragment.items():
        parted = key in GROUPS if not place else place in {(group,) for group in GROUPS}
        if parted and isinstance(value, CommentedMap) and isinstance(spec.get(key), CommentedMap):
            result[key] = _laid_over(spec[key], value, (*place, key))
    return result


def _drop_unreferenced(
    spec: CommentedMap, wanted: CommentedMap, defined: Defined, needed: Iterable[str]
) -> None:
    """Take out of `wanted` what the spec refers to, and `wanted` no more."""
    still = _reached(wanted, needed)
    for group, name in _reached(spec) - still:
        if ("components", group, name) not in defined:
            wanted["components"][group] = without(wanted["components"][group], {name})


def _reached(spec: CommentedMap, needed: Iterable[str] = ()) -> set[tuple[str, str]]:
    """Group and name of each component that the operations refer to, directly or not."""
    reached: set[tuple[str, str]] = set()
    present = {(part[1], part[2]): node for part, node in _named_parts(spec, "components")}
    todo = [*needed, *(target for _, target in references(spec["paths"]))]
    while todo:
        kind, *keys = pointed(todo.pop())
        if kind == "components" and len(keys) > 1 and (keys[0], keys[1]) not in reached:
            reached.add((keys[0], keys[1]))
            component = present.get((keys[0], keys[1]))
            todo.extend(target for _, target in references(component))
    return reached & set(present)
