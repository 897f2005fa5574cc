"""What users copy runs: the code blocks of the README and of every module's docstring."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from creatify import Creatify

if TYPE_CHECKING:
    from collections.abc import Iterator

    from creatify.testing import Emulator

ROOT = Path(__file__).parent.parent
WRAPPER = ROOT / "wrapper"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TEST = "def test_"


def blocks(file: Path, language: str) -> list[str]:
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".py":
        text = ast.get_docstring(ast.parse(text)) or ""
    return [body for found, body in BLOCK.findall(text) if found == language]


def guides() -> Iterator[Path]:
    """The README and the modules with code blocks."""
    yield ROOT / "README.md"
    yield from (file for file in sorted(WRAPPER.rglob("*.py")) if blocks(file, "python"))


GUIDES = [pytest.param(file, id=str(file.relative_to(ROOT))) for file in guides()]


def test_the_modules_that_users_are_sent_to_have_examples() -> None:
    assert len(GUIDES) > 8


@pytest.mark.parametrize("guide", GUIDES)
def test_the_python_blocks_run_one_after_the_other(
    guide: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CREATIFY_BASE_URL", emulator.url)
    monkeypatch.setenv("CREATIFY_API_ID", emulator.api_id)
    monkeypatch.setenv("CREATIFY_API_KEY", emulator.api_key)
    monkeypatch.chdir(tmp_path)
    example = ModuleType("example")
    monkeypatch.setitem(sys.modules, "example", example)  # where the types of its classes are
    for body in blocks(guide, "python"):
        if TEST not in body:
            exec(compile(body, guide, "exec"), vars(example))
    client = vars(example).get("client")
    if isinstance(client, Creatify):
        client.close()


@pytest.mark.parametrize(
    "body",
    [body for guide in guides() for body in blocks(guide, "python") if TEST in body],
    ids=lambda body: re.search(r"def (test_\w+)", body)[1],  # type: ignore[index] # it is one
)
def test_the_blocks_that_are_tests_pass(pytester: pytest.Pytester, body: str) -> None:
    pytester.makepyfile("from creatify import user\n\n\n" + body)
    pytester.runpytest("-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_the_readme_s_credentials_file_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    [body] = blocks(ROOT / "README.md", "toml")
    file = tmp_path / "credentials.toml"
    file.write_text(body)
    file.chmod(0o600)
    monkeypatch.setenv("CREATIFY_CONFIG_FILE", str(file))
    for name in tomllib.loads(body):
        with Creatify(profile=name) as client:
            assert f"[{name}]" in repr(client)


@pytest.mark.parametrize(
    "line", [line for body in blocks(ROOT / "README.md", "sh") for line in body.splitlines()]
)
def test_the_readme_s_commands_exist(line: str) -> None:
    assert line.startswith("make ")
    command = ["make", "--dry-run", *line.split()[1:]]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_readme_sends_its_readers_to_what_exists() -> None:
    rows = re.findall(r"^\|.*\| ([^|]+) \|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    guides = [
        found for row in rows for found in re.findall(r"`(creatify\.[\w.]+|scripts/[^`]+)`", row)
    ]
    assert len(guides) > 12
    for guide in guides:
        place = ROOT / guide
        if guide.startswith("creatify."):
            place = WRAPPER.joinpath(*guide.split("."))
            place = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        assert place.exists(), guide
