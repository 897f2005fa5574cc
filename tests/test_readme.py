"""Every code block of the README runs, in order, against the emulator."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from creatify import Creatify

if TYPE_CHECKING:
    from creatify.testing import Emulator

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
TEST_BLOCK = "def test_"


def blocks(language: str) -> list[str]:
    return [body for found, body in BLOCKS if found == language]


def test_no_block_is_of_a_language_that_is_not_run() -> None:
    assert {language for language, _ in BLOCKS} == {"sh", "python", "toml"}


def test_the_python_blocks_run_one_after_the_other(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CREATIFY_BASE_URL", emulator.url)
    monkeypatch.setenv("CREATIFY_API_ID", emulator.api_id)
    monkeypatch.setenv("CREATIFY_API_KEY", emulator.api_key)
    names: dict[str, object] = {}
    for body in blocks("python"):
        if TEST_BLOCK not in body:
            exec(compile(body, "README.md", "exec"), names)
    assert "bakery" in capsys.readouterr().out
    client = names["client"]
    assert isinstance(client, Creatify)
    client.close()


def test_the_blocks_that_are_tests_pass(pytester: pytest.Pytester) -> None:
    bodies = [body for body in blocks("python") if TEST_BLOCK in body]
    for body in bodies:
        pytester.makepyfile("from creatify import user\n\n\n" + body)
        pytester.runpytest("-p", "no:cacheprovider").assert_outcomes(passed=1)
    assert len(bodies) == 2


def test_the_credentials_file_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    [body] = blocks("toml")
    file = tmp_path / "credentials.toml"
    file.write_text(body)
    file.chmod(0o600)
    monkeypatch.setenv("CREATIFY_CONFIG_FILE", str(file))
    for name in tomllib.loads(body):
        with Creatify(profile=name) as client:
            assert f"[{name}]" in repr(client)


@pytest.mark.parametrize("line", [line for body in blocks("sh") for line in body.splitlines()])
def test_the_shell_lines_name_what_exists(line: str) -> None:
    if line.startswith("make "):
        command = ["make", "--dry-run", *line.split()[1:]]
    else:
        # That it serves is shown in test_emulator_main.
        assert line.startswith(".venv/bin/python -m creatify.testing ")
        command = [*line.replace(".venv/bin/python", sys.executable).split(), "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
