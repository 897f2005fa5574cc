"""What a change of the API does to calling code: `make spec-diff BASE=<git ref>`.

    python scripts/spec_diff.py [BASE] [--changelog]      (default: HEAD)

Compares the spec (with its overlay) and the generated package at BASE with those in the working
tree, and prints what changed in three groups: what breaks callers, what breaks only exhaustive
code, what adds. Each entry has its place in the spec and its effects in Python.
With `--changelog`, the report is also put as a draft under `## [Unreleased]` of CHANGELOG.md.

Exit status: 0 if no caller breaks, 1 if one does, 2 if there is nothing to compare.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import runpy
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import yaml

from diffing.changelog_draft import with_draft
from diffing.python_breakages import breakage_changes
from diffing.python_changes import python_changes
from diffing.python_package import read
from diffing.spec_changes import directions_of, schema_changes
from diffing.spec_nodes import nodes
from diffing.spec_operations import operation_changes
from diffing.spec_report import Report, joined
from diffing.wrapper_methods import methods
from install import ROOT, end_cleanly, recover, write
from overlay import apply

if TYPE_CHECKING:
    from diffing.spec_schema import Schema

_VERSION = "wrapper/creatify/_version.py"


class SpecDiffError(Exception):
    """There is nothing to compare; the message says what is missing."""


@dataclass(frozen=True)
class Sources:
    """One state of the API: a spec, what is added to it, and the package made of both."""

    spec_file: Path
    package: Path
    overlay: Path | None = ROOT / "scripts" / "overlay.yaml"
    """None if the spec needs none."""
    wrapper: Path = ROOT / "wrapper" / "creatify"
    """What calls the package."""

    @classmethod
    def of_tree(cls, root: Path) -> Sources:
        """The state in a tree of this project."""
        return cls(
            root / "openapi.yaml",
            root / "generated" / "creatify_api",
            root / "scripts" / "overlay.yaml",
            root / "wrapper" / "creatify",
        )

    def spec(self) -> Schema:
        """The spec with its overlay."""
        try:
            spec = yaml.safe_load(self.spec_file.read_bytes())
            if not isinstance(spec, dict):
                raise SpecDiffError(f"no spec to compare: {self.spec_file.name} holds no mapping")
            if self.overlay is not None:
                spec = apply(yaml.safe_load(self.overlay.read_bytes()), spec)
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise SpecDiffError(f"no spec to compare: {error}") from error
        return cast("Schema", spec)


def report(old: Sources, new: Sources) -> Report:
    """What changed from `old` to `new`, and whom it reaches. Raises SpecDiffError."""
    before, after = nodes(old.spec()), nodes(new.spec())
    for folder in (old.package, new.package):
        if not (folder / "__init__.py").is_file():
            raise SpecDiffError(f"no package to compare: {folder}")
    packages = read(old.package), read(new.package)
    return joined(
        [*schema_changes(before, after), *operation_changes(before, after)],
        [
            *breakage_changes(*packages),
            *python_changes(*packages, lambda name: directions_of(name, before, after)),
        ],
        before,
        after,
        methods(new.wrapper),
    )


def report_since(base: str, root: Path = ROOT) -> tuple[Report, str]:
    """The report on the working tree in `root` since `base`, and the version that `base` has.

    Raises SpecDiffError.
    """
    tree = Sources.of_tree(root)
    recover(tree.package, tree.spec_file)
    _check_generated(tree)
    with tempfile.TemporaryDirectory() as scratch:
        _check_out(base, root, Path(scratch))
        found = report(Sources.of_tree(Path(scratch)), tree)
        return found, str(runpy.run_path(str(Path(scratch) / _VERSION))["__version__"])


def draft(found: Report, current: str) -> str:
    """The text for the changelog; empty if nothing changed."""
    if found.empty:
        return ""
    version = found.proposed_version(current)
    return f"The API changed; the version to publish is {version}.\n\n{found.markdown()}\n"


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Print the report; the result is the exit status."""
    parser = argparse.ArgumentParser(description="What a change of the API does to calling code.")
    parser.add_argument("base", nargs="?", default="HEAD", help="a git ref (default: HEAD)")
    parser.add_argument("--changelog", action="store_true", help="draft an entry in CHANGELOG.md")
    options = parser.parse_args(arguments)
    try:
        found, current = report_since(options.base, root)
        print(found.markdown(), end="")
        if not found.empty:
            print(f"\nVersion to publish: {found.proposed_version(current)} (after {current})")
        if options.changelog:
            write_draft(root / "CHANGELOG.md", draft(found, current), options.base)
    except (SpecDiffError, OSError) as error:
        print(f"spec-diff: {error}", file=sys.stderr)
        return 2
    return 1 if found.breaks else 0


def write_draft(changelog: Path, text: str, base: str) -> None:
    """Put the draft of what changed since `base` into the file, written whole or not at all."""
    before = changelog.read_text(encoding="utf-8")
    drafted_before = ""
    with contextlib.suppress(SpecDiffError):  # there need be none at the base
        drafted_before = _git(changelog.parent, "show", f"{base}:./{changelog.name}").decode()
    after = with_draft(before, text, drafted_before)
    if after != before:
        write(changelog, after)


def _check_generated(sources: Sources) -> None:
    """A package that is older than its spec would show no effect of the change."""
    made_from = sources.package / "openapi.json"
    if not made_from.is_file() or json.loads(made_from.read_bytes()) != sources.spec():
        raise SpecDiffError("generated/ isn't made from openapi.yaml as it is: run `make generate`")


def _check_out(base: str, root: Path, folder: Path) -> None:
    """Copy what is compared, as it was at `base`, into `folder`; the repository isn't touched."""
    commit = _git(root, "rev-parse", "--verify", "--end-of-options", f"{base}^{{commit}}")
    paths = ["openapi.yaml", "generated/creatify_api", "scripts/overlay.yaml", _VERSION]
    archive = _git(root, "archive", "--format=tar", commit.decode().strip(), "--", *paths)
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")


def _git(root: Path, *command: str) -> bytes:
    done = subprocess.run(  # noqa: S603 - git, and no shell; a ref can't be taken for an option
        ["git", "-C", str(root), *command],  # noqa: S607 - the git that the user uses
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise SpecDiffError(done.stderr.decode(errors="replace").strip())
    return done.stdout


if __name__ == "__main__":
    end_cleanly()
    sys.exit(main())
