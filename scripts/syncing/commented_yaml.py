"""YAML whose comments belong to what they stand above, and stay with it through any change.

ruamel.yaml reads and writes, and keeps order, quotes and line folds. It ties a comment to whatever
stands *before* it, so that removing a property would take its neighbour's comment along: here, a
comment is kept by the place of what it stands above, apart from the data. Pure: no I/O.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from syncing.strict_yaml import FAST_LOADER, Place, UnreadableError, data_of, in_style, load

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Document:
    """The data, free of comments, and the comments by the place of what they belong to."""

    data: CommentedMap
    above: dict[Place, list[str]]
    """The comment and blank lines over what stands there; those at the end of the text under ()."""
    beside: dict[Place, str]
    """What follows on the same line, from the space before the `#` on."""


def read(text: str) -> Document:
    """The data and comments of a text; the top must be a mapping.

    Raises UnreadableError for anything but plain JSON values: tags, merge keys, other keys than
    text, NaN; for duplicate keys; and for what is nested or repeated without bound. A date is text.
    """
    tree = load(text)
    return Document(data_of(tree), *_comments(text, tree))


def write(document: Document) -> str:
    """The text of a document, every comment above or beside what it belongs to.

    Raises UnreadableError if YAML has no way to say it that every reader understands.
    """
    out = io.StringIO()
    in_style().dump(document.data, out)
    lines = out.getvalue().split("\n")[:-1]
    for place, line, _ in reversed(list(_starts(out.getvalue()))):
        lines[line] += document.beside.get(place, "")
        lines[line:line] = document.above.get(place, [])
    return "\n".join([*lines, *document.above.get((), []), ""])


def _starts(text: str) -> Iterator[tuple[Place, int, int | None]]:
    """Each place that begins a line, with the line; and its column if a value ends there."""
    try:
        top = yaml.compose(text, Loader=FAST_LOADER)
    except yaml.YAMLError as error:
        raise UnreadableError(str(error).split("\n", maxsplit=1)[0]) from None
    last = -1
    for found in _places(top, ()):
        if found[1] != last:
            yield found
        last = found[1]


def _places(node: yaml.Node | None, place: Place) -> Iterator[tuple[Place, int, int | None]]:
    if isinstance(node, yaml.MappingNode) and not node.flow_style:
        steps: Any = [(str(key.value), key, value) for key, value in node.value]
    elif isinstance(node, yaml.SequenceNode) and not node.flow_style:
        steps = [(index, value, value) for index, value in enumerate(node.value)]
    else:
        return
    for step, first, value in steps:
        mark = first.start_mark
        inner = list(_places(value, (*place, step)))
        yield (*place, step), mark.line, None if inner else mark.column
        yield from inner


def _comments(text: str, tree: object) -> tuple[dict[Place, list[str]], dict[Place, str]]:
    """The comments above and beside each place of the tree that was read from the text."""
    lines = text.split("\n")
    above: dict[Place, list[str]] = {}
    beside: dict[Place, str] = {}
    end, leaf_column = -1, None
    for place, line, column in [*_starts(text), ((), len(lines) - 1, None)]:
        first = line
        while first - 1 > end and _is_comment(lines[first - 1], leaf_column):
            first -= 1
        if first < line:
            above[place] = lines[first:line]
        end, leaf_column = line, column
    for place, line, mark in _marks(tree, ()):
        beside[place] = lines[line][len(lines[line][:mark].rstrip()) :]
    return above, beside


def _is_comment(line: str, leaf_column: int | None) -> bool:
    """Whether a line after a value is no part of it; text of several lines is indented further."""
    text = line.lstrip(" ")
    return not text or (
        text[0] == "#" and (leaf_column is None or len(line) - len(text) <= leaf_column)
    )


def _marks(node: object, place: Place) -> Iterator[tuple[Place, int, int]]:
    """Each place that ruamel.yaml saw a comment beside, with the comment's line and column."""
    if isinstance(node, (CommentedMap, CommentedSeq)):
        for step in node if isinstance(node, CommentedMap) else range(len(node)):
            tokens = node.ca.items.get(step, [])
            token = tokens[2 if isinstance(node, CommentedMap) else 0] if tokens else None
            start = node.lc.key(step) if isinstance(node, CommentedMap) else node.lc.item(step)
            if token and token.value.startswith("#") and token.start_mark.line == start[0]:
                yield (*place, step), token.start_mark.line, token.start_mark.column
            yield from _marks(node[step], (*place, step))
