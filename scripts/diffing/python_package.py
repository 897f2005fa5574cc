"""A generated package as its callers see it: models, enums and operations, read with griffe.

Nothing is imported: two versions of one package can be read side by side, and a broken one too.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import griffe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEYWORDS = {
    "TextGenRequestParams": ("TextGenRequest", "TextGenerator.create"),
    "TextGenRunParams": ("TextGenRequest", "TextGenerator.run_tools"),
}
"""TypedDicts of keywords: the model whose fields they repeat, and the method that takes them."""


@dataclass(frozen=True)
class Field:
    """A field of a model, or an argument of an operation's functions."""

    annotation: str
    default: str | None = None
    """Its source; None where a value must be given."""

    @property
    def parts(self) -> frozenset[str]:
        """The members of the annotation's union."""
        return union_of(self.annotation)


@dataclass
class Model:
    """A class; what isn't a field (methods, properties) is only a name."""

    module: str
    fields: dict[str, Field] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    values: dict[str, str] = field(default_factory=dict)
    """Of an enum: the value of each member."""
    more: str = ""
    """The annotation of `additional_properties`, if there may be any."""


@dataclass
class Function:
    """What the functions of an operation's module have in common."""

    path: str
    called: str
    """As it is called: `sse_text_generator_list.sync`."""
    arguments: dict[str, Field]
    returns: str


@dataclass
class Package:
    """All of it."""

    root: griffe.Module
    models: dict[str, Model] = field(default_factory=dict)
    operations: dict[str, Function] = field(default_factory=dict)

    @property
    def enums(self) -> set[str]:
        """The classes whose members are strings, too."""
        return {name for name, model in self.models.items() if model.values}


def read(folder: Path) -> Package:
    """Read the package in `folder`, whose name is the package's."""
    loaded = griffe.load(
        folder.name, search_paths=[folder.parent], allow_inspection=False, try_relative_path=False
    )
    if not isinstance(loaded, griffe.Module):
        raise TypeError(f"{folder} is no package")
    package = Package(loaded)
    for module in _modules(loaded):
        for name, member in module.members.items():
            if isinstance(member, griffe.Class):
                package.models[name] = _model(member)
        if module.path.startswith(f"{loaded.path}.api.") and "_get_kwargs" in module.members:
            package.operations[module.name] = _function(module)
    return package


def union_of(annotation: str) -> frozenset[str]:
    """The members of a union, `Required[...]` taken off."""
    tree = ast.parse(annotation, mode="eval").body
    if isinstance(tree, ast.Subscript) and ast.unparse(tree.value) in {"Required", "NotRequired"}:
        tree = tree.slice
    return frozenset(_members(tree))


def _members(tree: ast.expr) -> Iterator[str]:
    if isinstance(tree, ast.BinOp):
        yield from _members(tree.left)
        yield from _members(tree.right)
    else:
        yield ast.unparse(tree)


def _modules(module: griffe.Module) -> Iterator[griffe.Module]:
    yield module
    for member in module.members.values():
        if isinstance(member, griffe.Module):
            yield from _modules(member)


def _model(cls: griffe.Class) -> Model:
    model = Model(cls.module.path)
    enum = any(str(base).endswith("Enum") for base in cls.bases)
    for name, member in cls.members.items():
        if name.startswith("_"):
            continue
        model.names.add(name)
        if not isinstance(member, griffe.Attribute) or "property" in member.labels:
            continue
        value = None if member.value is None else str(member.value)
        if name == "additional_properties":
            model.more = str(member.annotation)
        elif enum and value is not None:
            model.values[name] = str(ast.literal_eval(value))
        elif member.annotation is not None and "init=False" not in (value or ""):
            model.fields[name] = _field(cls.name, str(member.annotation), value)
    return model


def _field(cls: str, annotation: str, default: str | None) -> Field:
    if cls in KEYWORDS and annotation.startswith("NotRequired["):
        default = "UNSET"
    return Field(annotation, None if default is None else _plain(default))


def _plain(source: str) -> str:
    return ast.unparse(ast.parse(source, mode="eval"))


def _function(module: griffe.Module) -> Function:
    """`sync` stands for its three siblings, or `sync_detailed` where no answer has a body."""
    name = "sync" if "sync" in module.members else "sync_detailed"
    function = module.members[name]
    if not isinstance(function, griffe.Function):
        raise TypeError(f"{function.path} is no function")
    arguments = {
        parameter.name: Field(
            str(parameter.annotation),
            None if parameter.default is None else _plain(str(parameter.default)),
        )
        for parameter in function.parameters
    }
    called = f"{module.name}.{name}"
    return Function(module.path, called, arguments, str(function.returns))
