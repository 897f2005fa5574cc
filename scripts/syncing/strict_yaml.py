"""YAML that stands for JSON and nothing else, whoever wrote it. Pure: no I/O.

ruamel.yaml reads, and keeps order, quotes and line folds for the text to be written again.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.composer import Composer
from ruamel.yaml.constructor import RoundTripConstructor
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import AliasEvent, ScalarEvent
from ruamel.yaml.scalarbool import ScalarBoolean
from ruamel.yaml.scalarstring import (
    FoldedScalarString,
    PlainScalarString,
    ScalarString,
    SingleQuotedScalarString,
)

if TYPE_CHECKING:
    from overlay import JSON

Place: TypeAlias = tuple[str | int, ...]
"""Where something stands: the keys and indices that lead to it from the top."""

FAST_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MAX_DEPTH = 100
MAX_INT = 2**64
MAX_SIZE = 2_000_000
"""How many characters a text may have, and 20 for each value, its aliases spelled out: few bytes
can stand for billions."""


class UnreadableError(ValueError):
    """The text is no YAML that can stand for JSON. `line` is counted from 0; None if unknown."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


def read_data(text: str) -> CommentedMap:
    """The data of a text, whose top must be a mapping; a date is text.

    Raises UnreadableError for anything but plain JSON values: tags, merge keys, other keys than
    text, NaN; for duplicate keys; and for what is nested or repeated without bound.
    """
    return data_of(load(text))


def load(text: str) -> object:
    """ruamel.yaml's tree of a text, with its marks of lines."""
    try:
        return in_style().load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = str(error.problem or error.context or "not YAML").strip().split("\n")[0]
        raise UnreadableError(problem, mark.line if mark else None) from None
    except UnreadableError:
        raise
    except Exception as error:  # noqa: BLE001 - ruamel.yaml trips over some texts that are no YAML
        raise UnreadableError(str(error).strip().split("\n")[0]) from None


def data_of(tree: object) -> CommentedMap:
    """A loaded tree without its comments and anchors, every alias spelled out."""
    data = _Copier().copy(tree, ())
    if not isinstance(data, CommentedMap):
        raise UnreadableError("the top is no mapping", 0)
    return data


def plain(node: object) -> JSON:
    """The data as Python's own dicts, lists and scalars."""
    if isinstance(node, dict):
        return {str(key): plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [plain(value) for value in node]
    return str(node) if isinstance(node, str) else cast("JSON", node)


def quick(text: str) -> object:
    """The data of a text of the project's own, as PyYAML reads it. Raises UnreadableError."""
    try:
        return yaml.load(text, Loader=FAST_LOADER)  # noqa: S506 - it is the safe one, where there is C
    except yaml.YAMLError as error:
        raise UnreadableError(str(error).split("\n", maxsplit=1)[0]) from None


def same(one: object, other: object) -> bool:
    """Whether two values are the same JSON: keys in any order; 1 is neither true nor 1.0."""
    return json.dumps(plain(one), sort_keys=True) == json.dumps(plain(other), sort_keys=True)


def spelled(place: Place) -> str:
    """A place as people write it: `paths./a/.get.tags[0]`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
    return text.removeprefix(".") or "the top"


def in_style() -> YAML:
    """The style of openapi.yaml, which is that of the provider's pages."""
    parser = YAML()
    parser.Composer = _Composer
    parser.Constructor = _Constructor
    parser.max_depth = MAX_DEPTH
    parser.preserve_quotes = True
    parser.width = 1_000_000  # a line is as long as it was written
    parser.indent(mapping=2, sequence=4, offset=2)
    return parser


class _Composer(Composer):
    """Refuses what JSON hasn't, before a tree is built of it."""

    def __init__(self, loader: Any = None) -> None:
        super().__init__(loader)
        self._open: list[str | None] = []

    def compose_node(self, parent: Any, index: Any) -> Any:
        """The next value; `_open` has the anchors of those that it is in."""
        event = self.parser.peek_event()
        problem = ""
        if isinstance(event, AliasEvent):
            problem = "a value that contains itself" if event.anchor in self._open else ""
        elif event.tag is not None:
            problem = f"the tag {event.tag}"
        elif isinstance(event, ScalarEvent) and event.value == "<<" and event.style is None:
            problem = "a merge key (<<)"
        if problem:
            raise UnreadableError(problem, event.start_mark.line)
        self._open.append(event.anchor)
        node = super().compose_node(parent, index)
        self._open.pop()
        return node


class _Constructor(RoundTripConstructor):
    """Reads a date as the text that it is in JSON."""


_Constructor.add_constructor("tag:yaml.org,2002:timestamp", RoundTripConstructor.construct_yaml_str)


class _Copier:
    """Copies a tree without comments and anchors, every alias spelled out."""

    def __init__(self) -> None:
        self._size = 0

    def copy(self, node: object, place: Place) -> Any:
        self._size += 20 + (len(node) if isinstance(node, str) else 0)
        if self._size > MAX_SIZE or len(place) > MAX_DEPTH:
            raise UnreadableError("its aliases stand for too much")
        if isinstance(node, CommentedMap):
            copied: Any = CommentedMap()
            for key, value in node.items():
                copied[_key(key, place)] = self.copy(value, (*place, str(key)))
        elif isinstance(node, CommentedSeq):
            copied = CommentedSeq(
                [self.copy(value, (*place, index)) for index, value in enumerate(node)]
            )
        else:
            return _scalar(node, place)
        if node.fa.flow_style():
            copied.fa.set_flow_style()
        return copied


def _key(key: object, place: Place) -> str:
    """A key; the bare number of a response's status is the text that it is in JSON."""
    if isinstance(key, int) and not isinstance(key, bool):
        return cast("str", SingleQuotedScalarString(str(int(key))))
    if isinstance(key, str):
        return cast("str", _scalar(key, place))
    raise UnreadableError(f"{spelled(place)}: the key {key!r} is no text")


def _scalar(node: object, place: Place) -> object:
    """A value as it is to be written, in such a way that YAML 1.1 and 1.2 read the same from it."""
    if isinstance(node, str) and not re.search("[\ud800-\udfff]", node):
        if isinstance(node, ScalarString) and not isinstance(node, PlainScalarString):
            copied = type(node)(node)
            if isinstance(node, FoldedScalarString):
                copied.fold_pos = getattr(node, "fold_pos", [])
            return copied
        return str(node) if _is_text(str(node)) else SingleQuotedScalarString(node)
    if node is None or isinstance(node, bool):
        return node
    if isinstance(node, ScalarBoolean):
        return bool(node)
    if isinstance(node, int) and abs(node) < MAX_INT:
        return int(node)
    if isinstance(node, float) and math.isfinite(node):
        return float(node)
    raise UnreadableError(f"{spelled(place)}: {str(node)[:50]!r} is no JSON value")


def _is_text(value: str) -> bool:
    """Whether PyYAML, which reads the spec elsewhere, takes the bare word for text: not `on`."""
    resolver: Any = yaml.resolver.Resolver()
    tag = resolver.resolve(yaml.ScalarNode, value, (True, False))
    return bool(tag == "tag:yaml.org,2002:str")
