"""What griffe finds broken between two generated packages, in the words of their callers.

griffe names each thing by where it is defined, and some of them twice (a class, its module and the
package that offers it); here each has the one name that callers know. Nothing that it finds is
left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import griffe

from diffing.python_changes import PythonChange
from diffing.python_package import KEYWORDS
from diffing.spec_schema import Group

if TYPE_CHECKING:
    from collections.abc import Iterator

    from diffing.python_package import Package

_ARGUMENT = {
    griffe.BreakageKind.PARAMETER_REMOVED: "is gone",
    griffe.BreakageKind.PARAMETER_ADDED_REQUIRED: "must be given now",
    griffe.BreakageKind.PARAMETER_CHANGED_REQUIRED: "must be given now",
    griffe.BreakageKind.PARAMETER_MOVED: "is in another position",
}


def breakage_changes(old: Package, new: Package) -> Iterator[PythonChange]:
    """All that griffe finds."""
    for breakage in griffe.find_breaking_changes(old.root, new.root):
        path = breakage.obj.path.split(".")[1:]
        if breakage.kind is griffe.BreakageKind.OBJECT_REMOVED:
            yield from _removed(path, old, new)
        else:
            yield _changed(path, breakage, old)


def _removed(path: list[str], old: Package, new: Package) -> Iterator[PythonChange]:
    """A module stands for what is in it."""
    for key, name in dict.fromkeys(_names(path, old, new)):
        yield PythonChange(key, f"`{name}` is gone", Group.BREAKS)


def _names(path: list[str], old: Package, new: Package) -> Iterator[tuple[str, str]]:
    """Key and name of each thing that goes with what is at `path`."""
    dotted = ".".join(path)
    if path[0] == "api" and len(path) > 3:  # noqa: PLR2004 - api, tag, operation, function
        yield path[2], ".".join(path[2:])
        return
    if path[0] == "models" and len(path) > 3:  # noqa: PLR2004 - models, module, class, member
        yield _member(path[2], path[3], old)
        return
    member = old.root[dotted]
    if isinstance(member, griffe.Module):
        yield from _names_in_module(f"{member.path}.", dotted, old, new)
    else:
        name = path[-1] if isinstance(member, griffe.Class | griffe.Alias) else dotted
        yield name, name


def _names_in_module(
    prefix: str, dotted: str, old: Package, new: Package
) -> Iterator[tuple[str, str]]:
    found = [
        (name, function.path if name in new.operations else name)
        for name, function in old.operations.items()
        if f"{function.path}.".startswith(prefix)
    ]
    found += [
        (KEYWORDS[name][0] if name in KEYWORDS else name, name)
        for name, model in old.models.items()
        if f"{model.module}.".startswith(prefix)
    ]
    yield from found or [(dotted, dotted)]


def _member(cls: str, member: str, old: Package) -> tuple[str, str]:
    if cls in KEYWORDS:
        model, method = KEYWORDS[cls]
        return f"{model}.{member}", f"{method}({member}=...)"
    values = old.models[cls].values
    key = f"{cls}={values[member]}" if member in values else f"{cls}.{member}"
    return key, f"{cls}.{member}"


def _changed(path: list[str], breakage: griffe.Breakage, old: Package) -> PythonChange:
    group, first, then = Group.BREAKS, breakage.old_value, breakage.new_value
    operation = path[2] if path[0] == "api" and len(path) > 3 else ""  # noqa: PLR2004 - see _names
    if isinstance(first, griffe.Parameter) or isinstance(then, griffe.Parameter):
        argument = first.name if isinstance(first, griffe.Parameter) else then.name
        function = old.operations[operation].called if operation else ".".join(path)
        what = _ARGUMENT.get(breakage.kind, breakage.kind.value.lower())
        if breakage.kind is griffe.BreakageKind.PARAMETER_CHANGED_DEFAULT:
            what = f"is by default `{then.default}`, no longer `{first.default}`"
            group = Group.ADDS if str(first.default) == "UNSET" else group
        key = f"{operation or '.'.join(path)}({argument})"
        return PythonChange(key, f"`{function}({argument}=...)` {what}", group)
    key = operation or (path[2] if path[0] == "models" and len(path) > 2 else ".".join(path))  # noqa: PLR2004 - see _names
    text = f"`{'.'.join(path)}`: {breakage.kind.value.lower()}, {first} became {then}"
    return PythonChange(key, text, group)
