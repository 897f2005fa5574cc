"""When the API has changed: from the provider's pages to a checked client, in one command.

    python scripts/regen.py [--allow-vanished] [PAGES...]   (default: those in spec_pages.toml)

Reads the pages, validates, applies the overlay, generates, puts the spec and the package in place
together, and reports what the change does to callers; then checks format, types and the tests that
hold the wrapper against the spec. It stops at the first failure and says which part of the wrapper
is touched.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from generate import GenerateError, generate
from install import PACKAGE, ROOT, SPEC, end_cleanly, install, recover
from overlay import OverlayError
from spec_diff import SpecDiffError, draft, report_since, write_draft
from sync_spec import summary, sync
from syncing.pages import SyncError

STEPS: Final = {
    SyncError: "pages",
    OverlayError: "overlay",
    GenerateError: "generation",
    SpecDiffError: "report",
    OSError: "files",
}
"""Which step fails with which error."""
CODE: Final = ("wrapper", "scripts", "tests")
TESTS: Final = tuple(
    f"tests/test_{name}.py"
    for name in ("contract", "types", "schema", "roundtrip", "spec_mock", "drift")
)
CHECKS: Final = {
    "format": ("ruff", "format", "--check", "--quiet", *CODE),
    "types": ("mypy", *CODE),
    "tests": (
        *("pytest", "-q", "-n", "2", "-p", "no:cacheprovider", "--no-header", "--tb=line"),
        *("--show-capture=no", *TESTS),  # the log of each request would hide which tests fail
    ),
}
_PLACE: Final = re.compile(r"wrapper/creatify/[\w/]+\.py|tests/\w+\.py::\w+")


def main(arguments: list[str] | None = None) -> int:
    """Do it all; the exit status is 0 if no caller breaks, 1 if one does, 2 if it is not done."""
    parser = argparse.ArgumentParser(description="From the provider's pages to a checked client.")
    parser.add_argument("pages", nargs="*", type=Path, help="folders or files, offline")
    parser.add_argument("--allow-vanished", action="store_true", help="operations may be gone")
    options = parser.parse_args(arguments)
    try:
        recover()
        with tempfile.TemporaryDirectory() as scratch:
            spec, package = Path(scratch) / "openapi.yaml", Path(scratch) / "creatify_api"
            spec.write_bytes(SPEC.read_bytes())
            synced = sync(options.pages, spec, allow_vanished=options.allow_vanished)
            print(summary(synced))
            generate(spec, package)
            changed = install(package, PACKAGE, (spec, SPEC))
        print("openapi.yaml is", "changed" if synced.changed else "unchanged")
        print("generated/creatify_api is", "replaced" if changed else "unchanged")
        found, current = report_since("HEAD")
        # Before the checks: what they stop at is explained by it.
        print(found.markdown())
        if not found.empty:
            write_draft(ROOT / "CHANGELOG.md", draft(found, current), "HEAD")
            print(
                f"Version to publish: {found.proposed_version(current)}; CHANGELOG.md has a draft."
            )
    except tuple(STEPS) as error:
        step = next(STEPS[kind] for kind in type(error).__mro__ if kind in STEPS)
        print(f"regen: {step}: {error}", file=sys.stderr)
        return 2
    if not all(passes(name, command) for name, command in CHECKS.items()):
        return 2
    return 1 if found.breaks else 0


def passes(name: str, command: tuple[str, ...]) -> bool:
    """Whether a check passes; if not, what it says and which parts of the wrapper it names."""
    done = subprocess.run(  # noqa: S603 - the command is fixed, no user input reaches it
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONUTF8": "1"},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    print(f"{name}: {'fine' if not done.returncode else 'FAILED'}")
    if done.returncode:
        said = done.stdout + done.stderr
        print(said)
        for place in sorted(set(_PLACE.findall(said))):
            print(f"the change touches {place}")
    return not done.returncode


if __name__ == "__main__":
    end_cleanly()
    sys.exit(main())
