"""A strict type checker passes on what users write and refuses their mistakes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.unmeasured

TYPED = Path(__file__).parent / "typed"


@pytest.fixture(scope="module")
def found() -> dict[str, dict[int, str]]:
    """The type checker's errors, by file and line."""
    files = [str(TYPED / "typical_use.py"), str(TYPED / "mistakes.py")]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--hide-error-context", *files],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent.parent,
    )
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    errors: dict[str, dict[int, str]] = {}
    for report in done.stdout.splitlines():
        place, separator, message = report.partition(": error: ")
        if separator:
            file, _, line = place.rpartition(":")
            errors.setdefault(Path(file).name, {}).setdefault(int(line), message)
    return errors


def test_typical_use_passes(found: dict[str, dict[int, str]]) -> None:
    assert found.get("typical_use.py", {}) == {}


def test_every_mistake_is_refused_and_nothing_else(found: dict[str, dict[int, str]]) -> None:
    source = (TYPED / "mistakes.py").read_text().splitlines()
    first = next(number for number, line in enumerate(source, 1) if "a misspelt field" in line)
    assert sorted(found["mistakes.py"]) == list(range(first, len(source) + 1))


def test_a_misspelt_field_and_a_wrong_type_are_named(found: dict[str, dict[int, str]]) -> None:
    source = (TYPED / "mistakes.py").read_text().splitlines()
    messages = {source[line - 1].strip(): message for line, message in found["mistakes.py"].items()}
    misspelt = [message for line, message in messages.items() if "misspelt" in line]
    wrong = [message for line, message in messages.items() if "wrong type" in line]
    assert [m.startswith('Unexpected keyword argument "model_nam"') for m in misspelt] == [True] * 2
    assert [m.startswith("No overload variant") for m in wrong] == [True] * 2
