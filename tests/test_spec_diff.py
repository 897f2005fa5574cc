"""The report as it is run: against a git ref, with its exit status and its draft of a changelog."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import spec_diff
from diffing.changelog_draft import UNRELEASED, with_draft
from diffing.python_changes import PythonChange
from diffing.spec_changes import SpecChange
from diffing.spec_nodes import nodes
from diffing.spec_report import Entry, Report, joined
from diffing.spec_schema import Group
from diffing.wrapper_methods import methods
from overlay import apply

if TYPE_CHECKING:
    from collections.abc import Callable

# Of the maintainers' commands: no part of what users install.
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
ADDS, EXHAUSTIVE, BREAKS = Group.ADDS, Group.EXHAUSTIVE, Group.BREAKS
ENTRY = Entry("a.b", "something", ("`x` is gone",))
CHANGELOG = f"# Changelog\n\n{UNRELEASED}\n\n### Added\n\n- By hand.\n\n## [0.1.0]\n\n- Old.\n"


# --- effects and the changes that have them ---

SPEC: dict[str, Any] = {
    "paths": {
        "/things/": {
            "get": {
                "operationId": "things_get",
                "parameters": [{"in": "query", "name": "pageSize", "schema": {}}],
                "responses": {"200": {"content": {"a/b": {"schema": {"type": "object"}}}}},
            }
        }
    },
    "components": {
        "schemas": {
            "Thing": {
                "type": "object",
                "properties": {"bigSize": {"type": "object", "properties": {"x": {}}}},
            },
            "Tint": {"type": "string", "enum": ["red"]},
        }
    },
}
NODES = nodes(SPEC)
GET = "paths['/things/'].get"


def tied(python: list[PythonChange], *changes: SpecChange) -> Report:
    return joined(changes, python, NODES, NODES, {"things_get": "Things.get"})


def change(key: str, group: Group = ADDS, effects: tuple[str, ...] = ()) -> SpecChange:
    return SpecChange((key,), "the.place", "the change", group, effects)


def entry(*effects: str, wrapped: str = "") -> Entry:
    return Entry("the.place", "the change", effects, wrapped)


def test_a_change_has_the_effects_on_what_it_is_called_in_python() -> None:
    effects = [PythonChange("Thing.big_size", text, ADDS) for text in ("b", "a", "b")]
    assert tied(effects, change("Thing.big_size")) == Report(adding=(entry("a", "b"),))


def test_a_change_is_as_bad_as_its_effect_and_an_effect_as_bad_as_its_change() -> None:
    bad, good = PythonChange("Tint", "bad", BREAKS), PythonChange("Tint", "good", ADDS)
    assert tied([bad], change("Tint", ADDS)) == Report(breaking=(entry("bad"),))
    assert tied([good], change("Tint", BREAKS)) == Report(breaking=(entry("good"),))
    both = tied([good, bad], change("Tint", ADDS))
    assert both == Report(breaking=(entry("bad"),), adding=(entry("good"),))
    assert tied([good, bad], change("Tint", BREAKS)).breaking == (entry("bad", "good"),)


def test_a_change_without_an_effect_is_told() -> None:
    assert tied([], change("Tint", EXHAUSTIVE)) == Report(exhaustive=(entry(),))
    moved = change("things_get", ADDS, ("`things_get` moved",))
    assert tied([], moved).adding == (entry("`things_get` moved", wrapped="`Things.get()`"),)


def test_a_class_that_the_spec_does_not_name_belongs_to_what_needs_it() -> None:
    new = PythonChange("ThingBigSize", "`ThingBigSize` is new", ADDS)
    assert tied([new], change("Thing.big_size")).adding == (entry(new.text),)
    assert tied([new], change("Thing")).adding == (entry(new.text),)
    new = PythonChange("ThingsGetResponse200", "`ThingsGetResponse200` is new", ADDS)
    owned = entry(new.text, wrapped="`Things.get()`")
    assert tied([new], change("things_get")).adding == (owned,)


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("Thing", "components.schemas.Thing"),
        ("Thing()", "components.schemas.Thing.properties"),
        ("Thing.big_size", "components.schemas.Thing.properties.bigSize"),
        ("Thing.to_dict", "components.schemas.Thing"),
        ("ThingBigSize.x", "components.schemas.Thing.properties.bigSize.properties.x"),
        ("Tint=a.b(c)=d", "components.schemas.Tint.enum"),
        ("things_get", GET),
        ("things_get(page_size)", f"{GET}.parameters.pageSize"),
        ("things_get(client)", GET),
        ("things_get(body)", f"{GET}.requestBody"),
        ("things_get()", f"{GET}.responses"),
        ("client.Client.close(now)", ""),
    ],
)
def test_no_effect_is_dropped_and_its_place_is_told_where_it_is_known(key: str, place: str) -> None:
    report = tied([PythonChange(key, "text", BREAKS)], change("Other"))
    wrapped = "`Things.get()`" if key.startswith("things_get") else ""
    assert report.breaking == (Entry(place, "", ("text",), wrapped),)
    assert len(report.adding) == 1


def test_a_change_of_an_operation_names_the_method_of_the_wrapper_or_that_there_is_none() -> None:
    keys = ("things_get", "things_get()", "things_get(page_size)", "ThingsGetResponse200")
    for key in keys:
        (one,) = tied([], change(key)).adding
        assert one.wrapped == "`Things.get()`"
        assert one.markdown() == "- `the.place` (`Things.get()`): the change"
        (one,) = joined([change(key)], [], NODES, NODES, {}).adding
        assert one.wrapped == "not wrapped, in `client.api` only"
    renamed = SpecChange(("things_get", "things_list"), "the.place", "the change", BREAKS)
    assert tied([], renamed).breaking == (entry(wrapped="`Things.get()`"),)


def test_the_methods_of_the_wrapper_are_known_by_their_docstrings() -> None:
    assert methods(ROOT / "wrapper" / "creatify") == {
        "remaining_credits_retrieve": "Creatify.remaining_credits",
        "sse_text_generator_create": "TextGenerator.create",
        "sse_text_generator_list": "TextGenerator.list",
        "sse_text_generator_retrieve": "TextGenerator.retrieve",
        "sse_text_generator_stream_create": "TextGenerator.stream",
    }


def test_the_report_reads_as_markdown() -> None:
    report = Report((ENTRY,), (Entry("c", "", ("`y`", "`z`")),), (Entry("", "", ("`w`",)),))
    assert report.markdown() == (
        "### Breaks callers\n\n- `a.b`: something\n  - `x` is gone\n\n"
        "### Breaks only exhaustive code\n\n"
        "A `match` over all values of an enum, fields passed by position, answers built by hand.\n"
        "\n"
        "- `c`: no change of its own\n  - `y`\n  - `z`\n\n"
        "### Adds\n\n- The generated code: no change of its own\n  - `w`\n"
    )
    assert Report().markdown(2) == "Nothing changed for callers.\n"
    assert report.markdown(2).startswith("## Breaks callers\n")


@pytest.mark.parametrize(
    ("current", "breaks", "exhaustive", "adds", "none"),
    [
        ("0.1.0", "0.2.0", "0.1.1", "0.1.1", "0.1.0"),
        ("0.9.3", "0.10.0", "0.9.4", "0.9.4", "0.9.3"),
        ("1.2.3", "2.0.0", "1.3.0", "1.3.0", "1.2.3"),
        ("0.3", "0.4.0", "0.3.1", "0.3.1", "0.3"),
    ],
)
def test_the_version_follows_from_the_worst_that_changed(
    current: str, breaks: str, exhaustive: str, adds: str, none: str
) -> None:
    reports = [Report((ENTRY,), (ENTRY,), (ENTRY,)), Report((), (ENTRY,), (ENTRY,))]
    reports += [Report((), (), (ENTRY,)), Report()]
    proposed = [report.proposed_version(current) for report in reports]
    assert proposed == [breaks, exhaustive, adds, none]


# --- the draft in the changelog ---

LINES = st.lists(st.sampled_from(["- by hand", "", "### Added", "## [0.1.0]", "text"]), max_size=8)
DRAFTS = st.sampled_from(["", "### A\n\n- a\n\n", "### B\n\n- b\n\n"])


@given(LINES, st.booleans(), DRAFTS, DRAFTS)
def test_a_draft_is_written_once_and_the_last_one_stands(
    lines: list[str], heading: bool, first: str, then: str
) -> None:
    text = "\n".join(["# Changelog", *([UNRELEASED] if heading else []), *lines, ""])
    once = with_draft(with_draft(text, first), then)
    assert with_draft(once, then) == once
    assert once.count("spec-diff: draft") == (1 if then else 0)
    assert then in once
    kept = [line for line in once.splitlines() if line in {"- by hand", "text", "## [0.1.0]"}]
    assert kept == [line for line in lines if line in {"- by hand", "text", "## [0.1.0]"}]


def test_the_draft_stands_below_unreleased_and_above_what_is_there() -> None:
    drafted = with_draft(CHANGELOG, "the draft\n\n")
    parts = [UNRELEASED, "the draft", "### Added", "- By hand.", "## [0.1.0]"]
    assert sorted(parts, key=drafted.index) == parts
    assert with_draft(drafted, "") == CHANGELOG


def test_a_draft_that_was_edited_stays_whatever_comes() -> None:
    edited = with_draft(CHANGELOG, "the draft\n\n").replace("the draft", "my words")
    assert with_draft(edited, "the draft\n\n") == edited
    again = with_draft(edited, "another\n\n")
    assert "my words" in again
    assert "another" in again
    assert with_draft(again, "") == edited


def test_a_draft_of_the_base_stays_whatever_comes() -> None:
    base = with_draft(CHANGELOG, "the draft\n\n")
    assert with_draft(base, "", base) == base
    both = with_draft(base, "another\n\n", base)
    parts = [UNRELEASED, "another", "the draft", "### Added"]
    assert sorted(parts, key=both.index) == parts
    assert with_draft(both, "a third\n\n", base) == with_draft(base, "a third\n\n", base)


def test_without_a_heading_it_is_made_above_the_releases() -> None:
    text = "# Changelog\n\n## [0.1.0]\n\n- Old.\n"
    drafted = with_draft(text, "the draft\n\n")
    parts = ["# Changelog", UNRELEASED, "the draft", "## [0.1.0]"]
    assert sorted(parts, key=drafted.index) == parts


# --- the command ---


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository of what is compared, committed."""
    root = tmp_path / "project"
    for name in ("openapi.yaml", "scripts/overlay.yaml", "wrapper/creatify/_version.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    package = "generated/creatify_api"
    shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "wrapper/creatify/_version.py").write_text('__version__ = "0.1.0"\n')
    (root / "CHANGELOG.md").write_text(CHANGELOG)
    git(root, "init", "--quiet", "--initial-branch=main")
    commit(root)
    git(root, "tag", "start")
    return root


def git(root: Path, *command: str) -> None:
    who = ["-c", "user.name=T", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(root), *who, *command], check=True, capture_output=True)


def commit(root: Path) -> None:
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message=a state")


def edit(root: Path, change: Callable[[Any], object], *replaced: tuple[str, str, str]) -> None:
    """Change the spec, and the package as the generator would, in the files named."""
    spec = yaml.safe_load((root / "openapi.yaml").read_text())
    change(spec)
    (root / "openapi.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
    added = yaml.safe_load((root / "scripts/overlay.yaml").read_text())
    package = root / "generated/creatify_api"
    (package / "openapi.json").write_text(json.dumps(apply(added, spec)))
    for name, before, after in replaced:
        text = (package / name).read_text()
        assert before in text
        (package / name).write_text(text.replace(before, after))


def new_status(root: Path) -> None:
    edit(
        root,
        lambda spec: spec["components"]["schemas"]["TextGenResponseStatusEnum"]["enum"].append(
            "new"
        ),
        ("models/text_gen_response_status_enum.py", '"done"\n', '"done"\n    NEW = "new"\n'),
    )


def credits_as_text(root: Path) -> None:
    field = {"type": "string"}
    edit(
        root,
        lambda spec: spec["components"]["schemas"]["RemainingCredits"]["properties"].update(
            remaining_credits=field
        ),
        (
            "models/remaining_credits.py",
            "    remaining_credits: float\n",
            "    remaining_credits: str\n",
        ),
    )


def test_an_unchanged_tree_has_nothing_to_report(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert spec_diff.main([], tree) == 0
    assert spec_diff.main(["start", "--changelog"], tree) == 0
    assert capsys.readouterr().out == "Nothing changed for callers.\n" * 2
    assert (tree / "CHANGELOG.md").read_text() == CHANGELOG


def test_what_breaks_nobody_ends_with_0_and_what_does_with_1(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new_status(tree)
    assert spec_diff.main([], tree) == 0
    out = capsys.readouterr().out
    assert "`TextGenResponseStatusEnum.NEW` is new" in out
    assert out.endswith("\nVersion to publish: 0.1.1 (after 0.1.0)\n")
    commit(tree)
    credits_as_text(tree)
    assert spec_diff.main([], tree) == 1
    out = capsys.readouterr().out
    assert "- `RemainingCredits.remaining_credits`: `float` became `str`\n" in out
    assert "TextGenResponseStatusEnum" not in out
    assert out.endswith("\nVersion to publish: 0.2.0 (after 0.1.0)\n")
    assert spec_diff.main(["start"], tree) == 1
    assert "`TextGenResponseStatusEnum.NEW` is new" in capsys.readouterr().out


def test_the_version_is_that_of_the_base_even_when_it_was_raised_since(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new_status(tree)
    (tree / "wrapper/creatify/_version.py").write_text('__version__ = "0.1.1"\n')
    spec_diff.main([], tree)
    assert "0.1.1 (after 0.1.0)" in capsys.readouterr().out


def test_the_overlay_of_the_base_is_applied_to_the_spec_of_the_base(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overlay = tree / "scripts/overlay.yaml"
    overlay.write_text(
        overlay.read_text().replace("url: https://api.creatify.ai", "url: https://x")
    )
    edit(tree, lambda spec: spec)
    assert spec_diff.main([], tree) == 1
    assert "- `servers`: https://api.creatify.ai became https://x" in capsys.readouterr().out


def test_the_changelog_gets_one_draft_however_often(tree: Path) -> None:
    credits_as_text(tree)
    spec_diff.main(["--changelog"], tree)
    drafted = (tree / "CHANGELOG.md").read_text()
    assert "The API changed; the version to publish is 0.2.0.\n\n### Breaks callers\n" in drafted
    assert "- By hand." in drafted
    spec_diff.main(["--changelog"], tree)
    assert (tree / "CHANGELOG.md").read_text() == drafted
    assert sorted(path.name for path in tree.iterdir() if path.is_file()) == [
        "CHANGELOG.md",
        "openapi.yaml",
    ]


def test_a_change_after_one_that_is_committed_has_a_draft_beside_that_one(tree: Path) -> None:
    changelog = tree / "CHANGELOG.md"
    new_status(tree)
    spec_diff.main(["--changelog"], tree)
    commit(tree)
    committed = changelog.read_text()
    spec_diff.main(["--changelog"], tree)
    assert changelog.read_text() == committed
    credits_as_text(tree)
    spec_diff.main(["--changelog"], tree)
    assert changelog.read_text().count("spec-diff: draft") == 2
    assert "`TextGenResponseStatusEnum.NEW` is new" in changelog.read_text()
    changelog.write_text(committed)
    spec_diff.main(["start", "--changelog"], tree)
    assert changelog.read_text().count("spec-diff: draft") == 1
    assert changelog.read_text().count("`TextGenResponseStatusEnum.NEW` is new") == 1


def test_a_changelog_that_is_not_at_the_base_gets_its_draft(tree: Path) -> None:
    (tree / "CHANGELOG.md").unlink()
    commit(tree)
    (tree / "CHANGELOG.md").write_text(CHANGELOG)
    new_status(tree)
    assert spec_diff.main(["--changelog"], tree) == 0
    assert "spec-diff: draft" in (tree / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("base", ["nowhere", "start:openapi.yaml", ""])
def test_a_base_that_is_none_ends_with_2(
    tree: Path, capsys: pytest.CaptureFixture[str], base: str
) -> None:
    assert spec_diff.main([base], tree) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("spec-diff: fatal: ")


def test_an_option_that_is_none_ends_with_2(tree: Path) -> None:
    with pytest.raises(SystemExit) as raised:
        spec_diff.main(["--output=x"], tree)
    assert raised.value.code == 2
    assert spec_diff.main(["--", "--output=x"], tree) == 2


def test_a_base_without_a_spec_ends_with_2(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    git(tree, "rm", "--quiet", "--cached", "scripts/overlay.yaml")
    git(tree, "commit", "--quiet", "--message=without")
    assert spec_diff.main([], tree) == 2
    assert "scripts/overlay.yaml" in capsys.readouterr().err


def test_a_package_that_is_older_than_its_spec_ends_with_2(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (tree / "openapi.yaml").read_text()
    (tree / "openapi.yaml").write_text(text.replace("- failed\n", "- failed\n        - new\n", 1))
    assert spec_diff.main([], tree) == 2
    assert "run `make generate`" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["a: [", "", "- a", "a: b"])
def test_a_spec_that_is_none_ends_with_2(
    tree: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    (tree / "openapi.yaml").write_text(text)
    assert spec_diff.main([], tree) == 2
    assert capsys.readouterr().err.startswith("spec-diff: no spec to compare: ")
