"""What a changed package does to the code that calls it, on packages made by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import griffe
import pytest

import spec_diff
from diffing.python_breakages import breakage_changes
from diffing.python_changes import python_changes, related
from diffing.python_package import read
from diffing.spec_nodes import READ, SENT
from diffing.spec_schema import Direction, Group, Relation

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unmeasured

ADDS, EXHAUSTIVE, BREAKS = Group.ADDS, Group.EXHAUSTIVE, Group.BREAKS
Effects: TypeAlias = set[tuple[str, Group]]

MODEL = """
from enum import StrEnum
from attrs import define as _attrs_define, field as _attrs_field
from ..types import UNSET, Unset

class Tint(StrEnum):
    RED = "red"

@_attrs_define
class Thing:
    name: str
    size: int
    note: str | Unset = UNSET
    kind: str | Unset = "a"
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    @property
    def additional_keys(self) -> list[str]: ...
"""
PARAMS = """
from typing import NotRequired, Required, TypedDict

class TextGenRequestParams(TypedDict):
    name: Required[str]
    note: NotRequired[str | Unset]
"""
FUNCTIONS = """
def _get_kwargs(*, id: UUID) -> dict[str, Any]: ...
def sync_detailed(id: UUID, *, client: Client, limit: int | Unset = 10) -> Response[Thing]: ...
def sync(id: UUID, *, client: Client, limit: int | Unset = 10) -> Thing | None: ...
"""
FILES = {
    "__init__.py": "",
    "client.py": "class Client:\n    def close(self, *, now: bool = False) -> None: ...\n",
    "api/__init__.py": "",
    "api/things/__init__.py": "",
    "api/things/things_get.py": FUNCTIONS,
    "models/__init__.py": 'from .thing import Thing, Tint\n__all__ = ("Thing", "Tint")',
    "models/params.py": PARAMS,
    "models/thing.py": MODEL,
}


def package(folder: Path, files: dict[str, str]) -> Path:
    """A package like a generated one."""
    for name, text in files.items():
        path = folder / "made_api" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "made_api"


def effects(
    folder: Path,
    files: dict[str, str],
    directions: frozenset[Direction] = frozenset({SENT, READ}),
) -> Effects:
    """The effects of having these files instead."""
    old, new = read(package(folder / "old", FILES)), read(package(folder / "new", files))
    changes = [*breakage_changes(old, new), *python_changes(old, new, lambda _: set(directions))]
    return {(change.text, change.group) for change in changes}


def replaced(name: str, before: str, after: str) -> dict[str, str]:
    assert before in FILES[name]
    return {**FILES, name: FILES[name].replace(before, after)}


def test_an_unchanged_package_has_no_effect(tmp_path: Path) -> None:
    assert effects(tmp_path, FILES) == set()


MOVED = ("`Thing(...)` takes `note`, `kind` in another position: pass fields by name", EXHAUSTIVE)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("    size: int\n", "", {("`Thing.size` is gone", BREAKS), MOVED}),
        ("size: int\n", "size: str\n", {("`Thing.size`: `int` became `str`", BREAKS)}),
        ('= "a"\n', '= "a"\n    more: str = "x"\n', {("`Thing.more` is new", ADDS)}),
        (
            "    size: int\n",
            "    size: int\n    more: str\n",
            {
                ("`Thing.more` is new", ADDS),
                ("`Thing(more=...)` must be given now", BREAKS),
                MOVED,
            },
        ),
        (
            'kind: str | Unset = "a"',
            "kind: str",
            {
                ("`Thing.kind`: `str | Unset` became `str`", BREAKS),
                ("`Thing(kind=...)` must be given now", BREAKS),
            },
        ),
        ('= "a"\n', '= "b"\n', {("`Thing.kind` is by default `'b'`, no longer `'a'`", BREAKS)}),
        ('= "a"\n', "= UNSET\n", {("`Thing.kind` is by default `UNSET`, no longer `'a'`", BREAKS)}),
        (
            "dict[str, Any] = _attrs_field(init=False",
            "dict[str, str | int] = _attrs_field(init=False",
            {
                (
                    "`Thing.additional_properties`: `dict[str, Any]` became `dict[str, str | int]`",
                    ADDS,
                )
            },
        ),
        (
            "    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)\n",
            "",
            {("`Thing.additional_properties` is gone", BREAKS)},
        ),
        ("kind: str | Unset =", "kind: Unset|str =", set()),
        ('"red"\n', '"red"\n    BLUE = "blue"\n', {("`Tint.BLUE` is new", ADDS)}),
        ("RED", "BLUE", {("`Tint.RED` is gone", BREAKS), ("`Tint.BLUE` is new", ADDS)}),
        ('"red"', '"r"', {("`Tint.RED` is 'r', no longer 'red'", BREAKS)}),
        (
            "additional_keys(self) -> list[str]",
            "other(self) -> str",
            {("`Thing.additional_keys` is gone", BREAKS), ("`Thing.other` is new", ADDS)},
        ),
        ("class Thing:", "class Stuff:", {("`Thing` is gone", BREAKS), ("`Stuff` is new", ADDS)}),
    ],
)
def test_what_a_changed_model_does_to_callers(
    tmp_path: Path, before: str, after: str, expected: Effects
) -> None:
    assert effects(tmp_path, replaced("models/thing.py", before, after)) == expected


def test_a_model_that_is_only_read_is_judged_as_readers_and_fakes_see_it(tmp_path: Path) -> None:
    files = replaced("models/thing.py", 'kind: str | Unset = "a"', "kind: str = UNSET")
    read_only = effects(tmp_path, files, frozenset({READ}))
    assert ("`Thing.kind`: `str | Unset` became `str`", ADDS) in read_only
    files = replaced("models/thing.py", "    size: int\n", "    size: int\n    more: str\n")
    must = "`Thing(more=...)` must be given now"
    assert (must, EXHAUSTIVE) in effects(tmp_path / "read", files, frozenset({READ}))
    assert (must, BREAKS) in effects(tmp_path / "sent", files, frozenset({SENT}))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (
            "    note: NotRequired[str | Unset]\n",
            "",
            {("`TextGenerator.create(note=...)` is gone", BREAKS)},
        ),
        (
            "note: NotRequired[str | Unset]",
            "note: Required[str]",
            {
                ("`TextGenerator.create(note=...)` must be given now", BREAKS),
                ("`TextGenerator.create(note=...)`: `Unset | str` became `str`", BREAKS),
            },
        ),
        (
            "name: Required[str]",
            "name: Required[str]\n    tone: NotRequired[str]",
            {("`TextGenerator.create(tone=...)` is new", ADDS)},
        ),
        (
            "name: Required[str]",
            "name: Required[str | int]",
            {("`TextGenerator.create(name=...)`: `str` became `int | str`", ADDS)},
        ),
    ],
)
def test_what_changed_keywords_do_to_callers(
    tmp_path: Path, before: str, after: str, expected: Effects
) -> None:
    assert effects(tmp_path, replaced("models/params.py", before, after)) == expected


CALL = "`things_get.sync(limit=...)`"


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (", limit: int | Unset = 10", "", {(f"{CALL} is gone", BREAKS)}),
        ("limit: int | Unset = 10", "limit: int", {
            (f"{CALL} must be given now", BREAKS),
            (f"{CALL}: `Unset | int` became `int`", BREAKS),
        }),
        ("id: UUID, *", "id: UUID, *, more: str", {
            ("`things_get.sync(more=...)` must be given now", BREAKS),
        }),
        ("= 10", "= 20", {(f"{CALL} is by default `20`, no longer `10`", BREAKS)}),
        ("= 10", "= UNSET", {(f"{CALL} is by default `UNSET`, no longer `10`", BREAKS)}),
        ("= 10)", "= 10, page: int = 1)", {("`things_get.sync(page=...)` is new", ADDS)}),
        ("id: UUID, *", "*, id: UUID", {
            ("`things_get.sync(id=...)` parameter kind was changed", BREAKS),
        }),
        ("sync(id: UUID, *,", "sync(of: str, id: UUID, *,", {
            ("`things_get.sync(of=...)` must be given now", BREAKS),
            ("`things_get.sync(id=...)` is in another position", BREAKS),
        }),
        ("Thing | None", "Thing | Other | None", {
            ("`things_get.sync` returns `Thing | Other | None`, no longer `Thing | None`", BREAKS),
        }),
        ("Thing | None", "Thing | Any | None", {
            ("`things_get.sync` returns `Thing | Any | None`, no longer `Thing | None`", ADDS),
        }),
        ("-> Thing | None", "-> Any | None", {
            ("`things_get.sync` returns `Any | None`, no longer `Thing | None`", BREAKS),
        }),
        ("-> Thing | None", "-> None", {
            ("`things_get.sync` returns `None`, no longer `Thing | None`", BREAKS),
        }),
        ("def sync(", "def _sync(", {("`things_get.sync` is gone", BREAKS)}),
    ],
)  # fmt: skip
def test_what_a_changed_function_does_to_callers(
    tmp_path: Path, before: str, after: str, expected: Effects
) -> None:
    assert effects(tmp_path, replaced("api/things/things_get.py", before, after)) == expected


def test_a_module_of_an_operation_that_goes_comes_or_moves(tmp_path: Path) -> None:
    gone = {name: text for name, text in FILES.items() if "things_get" not in name}
    assert effects(tmp_path / "1", gone) == {("`things_get` is gone", BREAKS)}
    more = {**FILES, "api/things/things_list.py": FUNCTIONS}
    assert effects(tmp_path / "2", more) == {("`things_list` is new", ADDS)}
    moved = {**gone, "api/stuff/__init__.py": "", "api/stuff/things_get.py": FUNCTIONS}
    assert effects(tmp_path / "3", moved) == {
        ("`made_api.api.things.things_get` is gone", BREAKS),
        ("`made_api.api.things.things_get` moved to `made_api.api.stuff.things_get`", BREAKS),
    }
    untagged = {name: text for name, text in FILES.items() if "things/" not in name}
    assert effects(tmp_path / "4", untagged) == {("`things_get` is gone", BREAKS)}


def test_a_module_of_models_that_goes_takes_its_classes(tmp_path: Path) -> None:
    files = {name: text for name, text in FILES.items() if name != "models/params.py"}
    assert effects(tmp_path / "1", files) == {("`TextGenRequestParams` is gone", BREAKS)}
    files = {name: text for name, text in FILES.items() if name != "models/thing.py"}
    files["models/__init__.py"] = ""
    assert effects(tmp_path / "2", files) == {
        ("`Thing` is gone", BREAKS),
        ("`Tint` is gone", BREAKS),
    }


def test_what_griffe_finds_outside_models_and_operations_is_told_too(tmp_path: Path) -> None:
    files = replaced("client.py", "close", "stop")
    assert ("`client.Client.close` is gone", BREAKS) in effects(tmp_path / "1", files)
    files = replaced("client.py", ", *, now: bool = False", "")
    assert effects(tmp_path / "2", files) == {("`client.Client.close(now=...)` is gone", BREAKS)}
    files = {name: text for name, text in FILES.items() if name != "client.py"}
    assert effects(tmp_path / "3", files) == {("`Client` is gone", BREAKS)}
    files = replaced("models/thing.py", "class Tint(StrEnum)", "class Tint")
    found = effects(tmp_path / "4", files)
    assert any("`models.thing.Tint`: base class was removed" in text for text, _ in found)
    files = replaced("models/thing.py", "@_attrs_define\nclass Thing:", "def Thing():")
    found = effects(tmp_path / "5", files)
    assert any("`models.thing.Thing`: public object points" in text for text, _ in found)


def test_every_kind_of_breakage_that_griffe_knows_has_an_effect(tmp_path: Path) -> None:
    """None of the kinds of breakage is left out; what griffe finds twice is told once."""
    old = read(package(tmp_path / "old", FILES))
    new = read(package(tmp_path / "new", {"__init__.py": ""}))
    found = list(griffe.find_breaking_changes(old.root, new.root))
    told = {change.text for change in breakage_changes(old, new)}
    assert found
    assert {"`Thing` is gone", "`things_get` is gone", "`Client` is gone"} <= told


@pytest.mark.parametrize(
    ("old", "new", "relation"),
    [
        ({"int"}, {"float"}, Relation.WIDER),
        ({"str"}, {"Tint"}, Relation.NARROWER),
        ({"str"}, {"str", "Unset"}, Relation.WIDER),
        ({"str"}, {"int"}, Relation.DIFFERENT),
        ({"list[int]"}, {"list[float]"}, Relation.DIFFERENT),
        ({"str"}, {"Any"}, Relation.SAME),
        ({"str"}, {"Any", "Unset"}, Relation.WIDER),
    ],
)
def test_types_relate_as_a_type_checker_sees_them(
    old: set[str], new: set[str], relation: Relation
) -> None:
    assert related(frozenset(old), frozenset(new), {"Tint"}) is relation


def test_a_folder_that_is_no_package_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "openapi.yaml").write_text("paths: {}")
    sources = spec_diff.Sources(tmp_path / "openapi.yaml", tmp_path / "none", None)
    with pytest.raises(spec_diff.SpecDiffError, match=r"no package to compare: .*none"):
        spec_diff.report(sources, sources)
