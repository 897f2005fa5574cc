"""When the API has changed: from the provider's pages to a checked client, in one command.

    python scripts/regen.py [--allow-vanished] [PAGES...]   (default: those in spec_pages.toml)

`openapi.yaml` holds what the provider publishes, `scripts/overlay.yaml` what it leaves out, each
addition with its reason and source. `make regen` reads the pages that `scripts/spec_pages.toml`
lists (or `FROM=folder-or-files`, offline), merges them into `openapi.yaml`, validates, applies the
overlay, generates `generated/creatify_api/` (never edit it), puts the spec and the package in place
together, and reports what the change does to callers, in three groups: what breaks them, what
breaks only exhaustive code (as a new enum value does), what adds; an operation with the method that
calls it, or that the wrapper has none. `CHANGELOG.md` gets a draft, and a version is proposed. Then
it checks format, types and the tests that hold the wrapper against the spec, stops at the first
failure, and names the part of the wrapper that is touched. What is new is put in place whole or not
at all. Exit status 1 if callers break, 2 if it failed (as make says them: `Error 1`, `Error 2`; its
own status is 2 for both). The report is on what changed since the last commit; for a release,
`make spec-diff BASE=<the last one's tag>` has all changes together, and the version. The steps by
themselves are `make spec`, `make generate`, `make spec-diff BASE=HEAD`, `make check`, `make test`.

An operation that is gone stops it, until `ALLOW_VANISHED=1` says that it may go; a path that is
renamed under the same operationId is moved. A new field of the request is a typed keyword of
`create` at once. A new operation makes a test fail until it is wrapped or listed as not wrapped
(`NOT_WRAPPED` in `tests/test_contract.py`), and can be called through `client.api` meanwhile. Copy
the pages' new text over that in `tests/pages`, which `openapi.yaml` is held against. The overlay
only adds: an action that would change what the provider publishes, or repeats any of it, is an
error that names the place. The generator and the formatter are pinned in `scripts/constraints.txt`;
after raising one, `make generate` shows in `git diff` what that does; the two templates in
`scripts/templates` are outside its promises, so compare them with its own.
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
