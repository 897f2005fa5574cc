"""One YAML tree takes another's values and keeps its own order, styles and comments. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq

from syncing.commented_yaml import Document
from syncing.strict_yaml import Place, same

if TYPE_CHECKING:
    from collections.abc import Container, Iterable


def adopt(document: Document, wanted: CommentedMap) -> Document:
    """The document with exactly the wanted data, and the comments on all that is still there.

    What is equal stays as it was written; what isn't is written as in `wanted`. The order of keys
    is the document's, a new key standing beside its neighbour in `wanted`.
    """
    origins: dict[Place, Place] = {(): ()}
    data = _merged(document.data, wanted, (), (), origins)
    pairs = list(origins.items())
    return Document(
        data,
        {new: document.above[old] for new, old in pairs if old in document.above},
        {new: document.beside[old] for new, old in pairs if old in document.beside},
    )


def union(one: CommentedMap, other: CommentedMap) -> CommentedMap:
    """The keys of both in the order that `adopt` gives them; `other` has the say on the values."""
    values = {**one, **other}
    return CommentedMap({key: values[key] for key in _spliced(list(one), list(other))})


def without(mapping: CommentedMap, keys: Container[str]) -> CommentedMap:
    """A copy that lacks some keys."""
    return CommentedMap({key: value for key, value in mapping.items() if key not in keys})


def difference(one: Any, other: Any, place: Place) -> Place | None:
    """The first place where two values differ, None if they don't."""
    if same(one, other):
        return None
    steps: Iterable[Any] = ()
    if isinstance(one, dict) and isinstance(other, dict):
        steps = [*one, *(key for key in other if key not in one)]
    elif isinstance(one, list) and isinstance(other, list):
        steps = range(max(len(one), len(other)))
    for step in steps:
        try:
            found = difference(one[step], other[step], (*place, step))
        except (KeyError, IndexError):
            return (*place, step)
        if found is not None:
            return found
    return place


def _merged(old: Any, new: Any, was: Place, now: Place, origins: dict[Place, Place]) -> Any:
    """The new value, as far as it is equal in the old one's form; `origins` learns what stayed."""
    if isinstance(old, CommentedMap) and isinstance(new, CommentedMap):
        order = _spliced([key for key in old if key in new], list(new))
        written = {key: key for key in [*new, *old]}  # with the old one's quotes
        result: Any = CommentedMap()
        for key in order:
            result[written[key]] = new[key]
            if key in old:
                origins[(*now, key)] = (*was, key)
                result[written[key]] = _merged(
                    old[key], new[key], (*was, key), (*now, key), origins
                )
    elif isinstance(old, CommentedSeq) and isinstance(new, CommentedSeq):
        result = CommentedSeq(new)
        for index, stayed in _pairs(old, new).items():
            origins[(*now, index)] = (*was, stayed)
            result[index] = _merged(old[stayed], new[index], (*was, stayed), (*now, index), origins)
    else:
        return old if same(old, new) else new
    if old.fa.flow_style() if same(old, new) else new.fa.flow_style():
        result.fa.set_flow_style()
    return result


def _spliced(kept: list[str], new: list[str]) -> list[str]:
    """The kept keys in their order, each other one beside the neighbour that it has in `new`."""
    order = list(kept)
    place = next((order.index(key) for key in new if key in order), len(order))
    for key in new:
        if key in kept:
            place = order.index(key)
        else:
            order.insert(place, key)
        place += 1
    return order


def _pairs(old: CommentedSeq, new: CommentedSeq) -> dict[int, int]:
    """Which old entry each new one was: an equal one, else the one of the same name."""
    free = list(range(len(old)))
    pairs: dict[int, int] = {}
    for alike in (same, _same_name):
        for index, value in enumerate(new):
            found = next((n for n in free if index not in pairs and alike(old[n], value)), None)
            if found is not None:
                pairs[index] = found
                free.remove(found)
    return pairs


def _same_name(one: object, other: object) -> bool:
    """Whether two entries of a list are the same parameter."""
    return (
        isinstance(one, dict)
        and isinstance(other, dict)
        and "name" in one
        and one["name"] == other.get("name")
    )
