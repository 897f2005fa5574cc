"""The report of a change of the API: each change of the spec with its effects on calling code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from packaging.version import Version

from diffing.spec_nodes import Nodes, identifier, under
from diffing.spec_schema import Group

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from diffing.python_changes import PythonChange
    from diffing.spec_changes import SpecChange

HEADINGS = {
    Group.BREAKS: "Breaks callers",
    Group.EXHAUSTIVE: "Breaks only exhaustive code",
    Group.ADDS: "Adds",
}
_EXHAUSTIVE = (
    "A `match` over all values of an enum, fields passed by position, answers built by hand.\n\n"
)


@dataclass(frozen=True)
class Entry:
    """A change: where, what, and what it does to calling code."""

    place: str
    """A JSON path in the spec; empty for an effect whose place isn't known."""
    what: str
    """What changed in the spec; empty for an effect that no change of the spec accounts for."""
    effects: tuple[str, ...]
    wrapped: str = ""
    """Of an operation: the method of the wrapper that calls it, or that there is none."""

    def markdown(self) -> str:
        """A bullet, the effects below it."""
        place = f"`{self.place}`" if self.place else "The generated code"
        place += f" ({self.wrapped})" if self.wrapped else ""
        what = self.what or "no change of its own"
        return "\n".join([f"- {place}: {what}", *(f"  - {effect}" for effect in self.effects)])


@dataclass(frozen=True)
class Report:
    """The changes by whom they reach."""

    breaking: tuple[Entry, ...] = ()
    exhaustive: tuple[Entry, ...] = ()
    """Reaches code that names all there is: a `match` over an enum, fields by position, a model
    of the API's answers built by hand."""
    adding: tuple[Entry, ...] = ()

    @property
    def breaks(self) -> bool:
        """Whether any calling code has to change."""
        return bool(self.breaking)

    @property
    def empty(self) -> bool:
        """Whether nothing changed for anybody."""
        return not (self.breaking or self.exhaustive or self.adding)

    def proposed_version(self, current: str) -> str:
        """The version to publish after `current` by semver; below 1, a break is minor."""
        if self.empty:
            return current
        major, minor, patch = (*Version(current).release, 0, 0)[:3]
        if major == 0:
            return f"0.{minor + 1}.0" if self.breaks else f"0.{minor}.{patch + 1}"
        return f"{major + 1}.0.0" if self.breaks else f"{major}.{minor + 1}.0"

    def markdown(self, level: int = 3) -> str:
        """The report to read, and to put into a changelog; `level` is that of the headings."""
        groups = [
            (Group.BREAKS, self.breaking),
            (Group.EXHAUSTIVE, self.exhaustive),
            (Group.ADDS, self.adding),
        ]
        sections = [
            f"{'#' * level} {HEADINGS[group]}\n\n"
            + (_EXHAUSTIVE if group is Group.EXHAUSTIVE else "")
            + "\n".join(entry.markdown() for entry in entries)
            for group, entries in groups
            if entries
        ]
        return "\n\n".join(sections) + "\n" if sections else "Nothing changed for callers.\n"


_Key: TypeAlias = tuple[Group, str, str]


def joined(
    spec: Iterable[SpecChange],
    python: Iterable[PythonChange],
    old: Nodes,
    new: Nodes,
    methods: Mapping[str, str],
) -> Report:
    """Tie each effect to the change of the spec that has it; `methods` has the wrapper's, by
    operation.

    A change is as bad as its effects; an effect that is worse than the change itself (a field
    that is new to readers must be given by who builds the model) makes an entry of its own.
    """
    changes = list(spec)
    by_key = {key: change for change in changes for key in change.keys}
    found: dict[_Key, list[tuple[int, str]]] = {}
    wrapped: dict[_Key, str] = {}
    accounted = set()
    for effect in python:
        owners = list(_owners(effect.key, old, new))
        change = next((by_key[key] for key in owners if key in by_key), None)
        if change:
            accounted.add(change)
            key = (max(change.group, effect.group), change.place, change.what)
        else:
            key = (effect.group, _place(effect.key, old, new), "")
        wrapped[key] = _wrapped(change.keys if change else owners, methods, old, new)
        found.setdefault(key, []).append((-effect.group, effect.text))
    for change in changes:
        if change.effects or change not in accounted:
            key = (change.group, change.place, change.what)
            wrapped[key] = _wrapped(change.keys, methods, old, new)
            found.setdefault(key, []).extend((0, effect) for effect in change.effects)
    entries = [
        (key[0], Entry(key[1], key[2], _in_order(effects), wrapped[key]))
        for key, effects in found.items()
    ]
    entries.sort(key=lambda pair: (pair[1].place, pair[1].what))
    groups = {group: tuple(entry for found, entry in entries if found is group) for group in Group}
    return Report(groups[Group.BREAKS], groups[Group.EXHAUSTIVE], groups[Group.ADDS])


def _in_order(effects: list[tuple[int, str]]) -> tuple[str, ...]:
    """Each effect once, the worst first."""
    return tuple(dict.fromkeys(text for _, text in sorted(effects)))


def _wrapped(keys: Iterable[str], methods: Mapping[str, str], old: Nodes, new: Nodes) -> str:
    """The wrapper's method for the first operation among what has these keys, and its parts."""
    names = [_split(owner)[0] for key in keys for owner in _owners(key, old, new)]
    called = [name for name in names if name in old.operations or name in new.operations]
    method = next((methods[name] for name in called if name in methods), None)
    if method:
        return f"`{method}()`"
    return "not wrapped, in `client.api` only" if called else ""


def _owners(key: str, old: Nodes, new: Nodes) -> Iterator[str]:
    """The thing, what it is part of, and what needs a class that the spec doesn't name."""
    seen: set[str] = set()
    while key not in seen:
        yield key
        seen.add(key)
        name, mark, _ = _split(key)
        sides = [side.classes[key] for side in (new, old) if key in side.classes]
        key = name if mark else next((node.owner for node in sides), "")


def _place(key: str, old: Nodes, new: Nodes) -> str:
    """Where in the spec the thing is that has this name in Python; empty if it isn't known."""
    name, mark, rest = _split(key)
    for side in (new, old):
        if name in side.operations:
            operation = side.operations[name]
            if mark == "(" and rest in operation.parameters:
                return under(operation.place, "parameters", operation.parameters[rest]["name"])
            return under(
                operation.place, *{"body": ["requestBody"], "": ["responses"]}.get(rest, [])
            )
        if name in side.classes:
            return _place_in_class(side, name, mark, rest)
    return ""


def _split(key: str) -> tuple[str, str, str]:
    for mark in "=.(":
        name, found, rest = key.partition(mark)
        if found:
            return name, found, rest.removesuffix(")")
    return key, "", "itself"


def _place_in_class(side: Nodes, name: str, mark: str, rest: str) -> str:
    node = side.classes[name]
    for field in node.schema.get("properties", {}):
        if mark == "." and identifier(field) == rest:
            return under(node.place, "properties", field)
    return under(node.place, *{"=": ["enum"], "(": ["properties"]}.get(mark, []))
