"""What changed between two generated packages, in the words of the code that calls them.

griffe finds what is gone and what a call must now give (`python_breakages`). It has no eye for
annotations and knows nothing of attrs, so that fields, their types and defaults, the members of
enums and what is new are compared here. The judgement is a type checker's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from diffing.python_package import KEYWORDS, Field, Model, Package, union_of
from diffing.spec_nodes import READ, SENT
from diffing.spec_schema import Group, Relation, group_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from diffing.spec_schema import Direction


@dataclass(frozen=True)
class PythonChange:
    """One effect."""

    key: str
    """Of what: `Message`, `Message.content`, `RoleEnum=user`, an operation, `operation(id)`."""
    text: str
    group: Group


def python_changes(
    old: Package, new: Package, directions: Callable[[str], set[Direction]]
) -> Iterator[PythonChange]:
    """What is new or another than it was; `directions` tells who writes a class."""
    for name, model in new.models.items():
        if name not in old.models:
            yield PythonChange(name, f"`{name}` is new", Group.ADDS)
        elif name in KEYWORDS:
            yield from _keyword_changes(name, old, new)
        else:
            yield from _model_changes(name, old, new, directions(name))
            yield from _enum_changes(name, old.models[name], model)
    for name, function in new.operations.items():
        if name not in old.operations:
            yield PythonChange(name, f"`{name}` is new", Group.ADDS)
        else:
            yield from _function_changes(name, old, new)
            if old.operations[name].path != function.path:
                text = f"`{old.operations[name].path}` moved to `{function.path}`"
                yield PythonChange(name, text, Group.BREAKS)


def _model_changes(
    name: str, old: Package, new: Package, directions: set[Direction]
) -> Iterator[PythonChange]:
    first, then = old.models[name], new.models[name]
    writer = Group.BREAKS if SENT in directions else Group.EXHAUSTIVE
    for member in sorted(then.names - first.names - set(then.values)):
        yield PythonChange(f"{name}.{member}", f"`{name}.{member}` is new", Group.ADDS)
    for field, now in then.fields.items():
        key, was = f"{name}.{field}", first.fields.get(field)
        if now.default is None and (was is None or was.default is not None):
            yield PythonChange(key, f"`{name}({field}=...)` must be given now", writer)
        if was is not None:
            if was.parts != now.parts:
                relation = related(was.parts, now.parts, old.enums & new.enums)
                text = f"`{key}`: `{was.annotation}` became `{now.annotation}`"
                yield PythonChange(key, text, group_of(relation, directions))
            yield from _default_change(key, f"`{key}`", was, now, writer)
    if first.more != then.more and first.more and then.more:
        key = f"{name}.additional_properties"
        relation = related(_values(first.more), _values(then.more), old.enums & new.enums)
        text = f"`{key}`: `{first.more}` became `{then.more}`"
        yield PythonChange(key, text, group_of(relation, directions))
    moved = _moved(list(first.fields), list(then.fields))
    if moved:
        which = ", ".join(f"`{field}`" for field in moved)
        text = f"`{name}(...)` takes {which} in another position: pass fields by name"
        yield PythonChange(f"{name}()", text, Group.EXHAUSTIVE)


def _values(mapping: str) -> frozenset[str]:
    """What a `dict[str, X]` holds."""
    return union_of(mapping.removeprefix("dict[str, ").removesuffix("]"))


def _moved(old: list[str], new: list[str]) -> list[str]:
    """The fields that a caller who counts would now miss."""
    return [one for place, one in enumerate(old) if one in new and new.index(one) != place]


def _keyword_changes(name: str, old: Package, new: Package) -> Iterator[PythonChange]:
    model, method = KEYWORDS[name]
    first, then = old.models[name].fields, new.models[name].fields
    for field, now in then.items():
        key, was, call = f"{model}.{field}", first.get(field), f"`{method}({field}=...)`"
        if was is None:
            yield PythonChange(key, f"{call} is new", Group.ADDS)
        if now.default is None and (was is None or was.default is not None):
            yield PythonChange(key, f"{call} must be given now", Group.BREAKS)
        if was is not None:
            yield from _argument_change(key, call, (was, now), old.enums & new.enums)


def _argument_change(
    key: str, call: str, fields: tuple[Field, Field], enums: set[str]
) -> Iterator[PythonChange]:
    was, now = fields
    if was.parts != now.parts:
        relation = related(was.parts, now.parts, enums)
        text = f"{call}: `{_union(was)}` became `{_union(now)}`"
        yield PythonChange(key, text, group_of(relation, {SENT}))


def _union(field: Field) -> str:
    return " | ".join(sorted(field.parts))


def _default_change(
    key: str, subject: str, was: Field, now: Field, group: Group
) -> Iterator[PythonChange]:
    """A default that is replaced or gone changes what is sent without a word of the caller's."""
    if was.default is not None and now.default is not None and was.default != now.default:
        silent = was.default != "UNSET" and group is Group.BREAKS
        text = f"{subject} is by default `{now.default}`, no longer `{was.default}`"
        yield PythonChange(key, text, Group.BREAKS if silent else Group.ADDS)


def _enum_changes(name: str, old: Model, new: Model) -> Iterator[PythonChange]:
    for member, value in new.values.items():
        if member not in old.values:
            yield PythonChange(f"{name}={value}", f"`{name}.{member}` is new", Group.ADDS)
        elif old.values[member] != value:
            text = f"`{name}.{member}` is {value!r}, no longer {old.values[member]!r}"
            yield PythonChange(f"{name}={value}", text, Group.BREAKS)


def _function_changes(name: str, old: Package, new: Package) -> Iterator[PythonChange]:
    first, then = old.operations[name], new.operations[name]
    for argument, now in then.arguments.items():
        key, was = f"{name}({argument})", first.arguments.get(argument)
        if was is not None:
            call = f"`{then.called}({argument}=...)`"
            yield from _argument_change(key, call, (was, now), old.enums & new.enums)
        elif now.default is not None:
            text = f"`{then.called}({argument}=...)` is new"
            yield PythonChange(key, text, Group.ADDS)
    yield from _return_change(name, old, new)


def _return_change(name: str, old: Package, new: Package) -> Iterator[PythonChange]:
    first, then = old.operations[name], new.operations[name]
    before, after = union_of(first.returns), union_of(then.returns)
    if before != after and first.called == then.called:
        group = group_of(related(before, after, old.enums & new.enums), {READ})
        # To a type checker, Any is as good as the class in whose place it is; to a caller it isn't.
        lost = {word for one in before - after for word in re.findall(r"\w+", one)}
        group = Group.BREAKS if lost & old.models.keys() else group
        text = f"`{then.called}` returns `{then.returns}`, no longer `{first.returns}`"
        yield PythonChange(f"{name}()", text, group)


def related(old: frozenset[str], new: frozenset[str], enums: set[str]) -> Relation:
    """How the types of two unions relate to a type checker, to which Any is as good as anything."""
    grown, shrunk = _cover(new, old, enums), _cover(old, new, enums)
    if grown:
        return Relation.SAME if shrunk else Relation.WIDER
    return Relation.NARROWER if shrunk else Relation.DIFFERENT


def _cover(wide: frozenset[str], narrow: frozenset[str], enums: set[str]) -> bool:
    return all(
        one in wide
        or one == "Any"
        or "Any" in wide
        or (one == "int" and "float" in wide)
        or (one in enums and "str" in wide)
        for one in narrow
    )
