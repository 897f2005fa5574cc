"""A new spec and its package are put in place together; one command does it all."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import install
import regen

# Of the maintainers' commands: no part of what users install.
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "tests" / "pages" / "get_text_generator_items.md"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A spec and a package that are there, and new ones."""
    for name, text in (("there", "old"), ("fresh", "new")):
        (tmp_path / name / "package" / "models").mkdir(parents=True)
        (tmp_path / name / "package" / "models" / "a.py").write_text(text)
        (tmp_path / name / "package" / f"{text}.py").write_text(text)
        (tmp_path / name / "openapi.yaml").write_text(text)
    return tmp_path


def put(tree: Path) -> bool:
    there, fresh = tree / "there", tree / "fresh"
    specs = (fresh / "openapi.yaml", there / "openapi.yaml")
    return install.install(fresh / "package", there / "package", specs)


def state(tree: Path) -> tuple[set[str], str]:
    """The names of all that is there, and what the spec says."""
    there = tree / "there"
    names = {str(path.relative_to(there)) for path in there.rglob("*") if path.is_file()}
    return names, (there / "openapi.yaml").read_text()


OLD = ({"openapi.yaml", "package/models/a.py", "package/old.py"}, "old")
NEW = ({"openapi.yaml", "package/models/a.py", "package/new.py"}, "new")


def test_what_is_new_takes_the_place_of_what_was_there(tree: Path) -> None:
    assert put(tree)
    assert state(tree) == NEW
    assert (tree / "there" / "package" / "models" / "a.py").read_text() == "new"


def test_what_is_the_same_is_not_touched(tree: Path) -> None:
    put(tree)
    before = [path.stat().st_mtime_ns for path in sorted((tree / "there").rglob("*"))]
    assert not put(tree)
    assert [path.stat().st_mtime_ns for path in sorted((tree / "there").rglob("*"))] == before


def test_a_package_may_come_alone_and_to_an_empty_place(tree: Path) -> None:
    shutil.rmtree(tree / "there" / "package")
    assert install.install(tree / "fresh" / "package", tree / "there" / "package")
    assert state(tree) == (NEW[0], "old")


KILLED = """
import os, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import install
left = int(sys.argv[3])
def counted(act):
    def wrapped(*args, **kwargs):
        global left
        if not left:
            os._exit(9)
        left -= 1
        return act(*args, **kwargs)
    return wrapped
os.replace = counted(os.replace)
Path.rename = counted(Path.rename)
install.shutil.copytree = counted(install.shutil.copytree)
install.shutil.copyfile = counted(install.shutil.copyfile)
tree = Path(sys.argv[2])
install.install(tree / "fresh" / "package", tree / "there" / "package",
    (tree / "fresh" / "openapi.yaml", tree / "there" / "openapi.yaml"))
"""


@pytest.mark.parametrize("steps", range(12))
def test_a_kill_at_any_step_leaves_the_old_or_the_new_and_nothing_beside(
    tree: Path, steps: int
) -> None:
    command = [sys.executable, "-c", KILLED, str(ROOT / "scripts"), str(tree), str(steps)]
    code = subprocess.run(command, check=False).returncode
    assert code == 9 or steps > 6  # files that are copied, renamed and replaced
    install.recover(tree / "there" / "package", tree / "there" / "openapi.yaml")
    assert state(tree) == (OLD if code else NEW)
    put(tree)
    assert state(tree) == NEW


KILLED_RECOVERY = """
install.recover(tree / "there" / "package", tree / "there" / "openapi.yaml")
"""


@pytest.mark.parametrize("restored", [0, 1])
def test_a_kill_while_the_old_is_restored_leaves_it_to_be_restored(
    tree: Path, restored: int
) -> None:
    recovery = KILLED.partition("install.install(")[0] + KILLED_RECOVERY
    for script, steps in ((KILLED, 8), (recovery, restored)):
        command = [sys.executable, "-c", script, str(ROOT / "scripts"), str(tree), str(steps)]
        assert subprocess.run(command, check=False).returncode == 9
        assert not (tree / "there" / "package").exists()
    install.recover(tree / "there" / "package", tree / "there" / "openapi.yaml")
    assert state(tree) == OLD


@pytest.mark.usefixtures("interruptible")
def test_a_signal_waits_until_both_are_in_place(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace

    def interrupted(source: Path, target: Path) -> None:
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        time.sleep(0.01)
        replace(source, target)

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        put(tree)
    monkeypatch.undo()
    install.recover(tree / "there" / "package", tree / "there" / "openapi.yaml")
    assert state(tree) == NEW


def test_a_check_that_fails_names_the_part_of_the_wrapper(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(regen, "ROOT", tmp_path)
    module = "import sys; sys.exit('wrapper/creatify/_messages.py:12: error: no such type')"
    (tmp_path / "failing.py").write_text(module)
    (tmp_path / "fine.py").write_text("")
    assert regen.passes("types", ("fine",))
    assert not regen.passes("types", ("failing",))
    assert capsys.readouterr().out.splitlines() == [
        "types: fine",
        "types: FAILED",
        "wrapper/creatify/_messages.py:12: error: no such type",
        "",
        "the change touches wrapper/creatify/_messages.py",
    ]


KILLED_BETWEEN = """
import os, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import install
left = int(sys.argv[4])
replace = os.replace
def counted(source, end):
    global left
    if not left:
        os._exit(9)
    left -= 1
    replace(source, end)
os.replace = counted
project, fresh = Path(sys.argv[2]), Path(sys.argv[3])
install.install(fresh / "package", project / "generated" / "creatify_api",
    (fresh / "openapi.yaml", project / "openapi.yaml"))
"""


NEW_OPERATION = """
# Cancel a Text Generator task

## OpenAPI

````yaml post /sse/text_generator/{id}/cancel/
openapi: 3.0.3
info:
  title: creatify.ai API
  version: 1.0.0
  description: API for creatify.ai
servers: []
security: []
paths:
  /sse/text_generator/{id}/cancel/:
    post:
      tags:
        - text_generator
      operationId: sse_text_generator_cancel
      parameters:
        - in: path
          name: id
          required: true
          schema:
            type: string
            format: uuid
      responses:
        '204':
          description: Cancelled.
````
"""


ADDITIONS = {
    "          title: Updated date\n": "        cached:\n          type: boolean\n",
    "          description: Random seed for deterministic generation.\n": (
        "        tone:\n          type: string\n"
    ),
    "        - failed\n": "        - cancelled\n",
    "        - user\n": "        - tool\n",
}
"""What the page says of fields and enums, and what comes behind it."""
LISTING = """
from creatify import Creatify
from creatify.testing import Emulator

with Emulator(api_id="id", api_key="key") as emulator:
    with Creatify(api_id="id", api_key="key", base_url=emulator.url) as client:
        client.text_generator.list()
    print(emulator.requests[-1].method, emulator.requests[-1].path)
"""


class TestTheWholeCommand:
    """On a copy of the project."""

    @pytest.fixture
    def project(self, tmp_path: Path) -> Path:
        project = tmp_path / "project"
        subprocess.run(["git", "clone", "--quiet", ROOT, project], check=True)
        return project

    def run(self, project: Path, *pages: Path) -> tuple[int, str]:
        return self.python(project, "scripts/regen.py", *map(str, pages))

    def python(self, project: Path, *arguments: str) -> tuple[int, str]:
        folders = ("wrapper", "generated", "scripts")
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(str(project / folder) for folder in folders),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=project,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    @pytest.mark.parametrize("replaced", [0, 1])
    @pytest.mark.parametrize(
        "tool",
        [
            ("sync_spec.py", str(PAGE)),
            ("spec_diff.py",),
            pytest.param(("check_generated.py",), marks=pytest.mark.slow),
        ],
        ids=lambda tool: tool[0],
    )
    def test_each_tool_restores_first_what_a_kill_between_the_renames_left(
        self, project: Path, tree: Path, tool: tuple[str, ...], replaced: int
    ) -> None:
        arguments = [ROOT / "scripts", project, tree / "fresh", replaced]
        command = [sys.executable, "-c", KILLED_BETWEEN, *map(str, arguments)]
        assert subprocess.run(command, check=False).returncode == 9
        assert not (project / "generated" / "creatify_api").exists()
        assert ((project / "openapi.yaml").read_text() == "new") == bool(replaced)
        code, said = self.python(project, f"scripts/{tool[0]}", *tool[1:])
        assert (code, self.changed(project)) == (0, set()), said
        beside = [*project.glob(".openapi.yaml*"), *project.glob("generated/.*")]
        assert beside == []

    def test_a_spec_that_no_code_can_be_made_of_is_one_line_and_changes_nothing(
        self, project: Path, tmp_path: Path
    ) -> None:
        page = tmp_path / "get_text_generator_items.md"
        twice = "        - user\n        - User\n"
        page.write_text(PAGE.read_text().replace("        - user\n", twice))
        code, said = self.run(project, page)
        assert (code, self.changed(project)) == (2, set())
        assert said.splitlines()[-1].startswith(
            "regen: generation: openapi_python_client refuses the spec:"
            " ValueError: Duplicate key USER in enum role_enum.RoleEnum"
        )
        assert "Traceback" not in said
        assert "openapi.yaml is changed" not in said

    def test_a_signal_to_end_clears_away_what_was_made_meanwhile(
        self, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "scratch").mkdir()
        monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
        command = [sys.executable, str(project / "scripts" / "regen.py"), str(PAGE)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
            while not list((tmp_path / "scratch").glob("*/openapi.json")):
                time.sleep(0.01)
            running.terminate()
            said = running.communicate()[1]
        assert (running.returncode, said) == (128 + signal.SIGTERM, "")
        assert list((tmp_path / "scratch").iterdir()) == []
        assert self.changed(project) == set()

    def changed(self, project: Path) -> set[str]:
        command = ["git", "-C", str(project), "status", "--porcelain"]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return {line[3:] for line in lines.splitlines()}

    @pytest.mark.slow
    def test_an_unchanged_api_leaves_the_tree_clean_in_less_than_a_minute(
        self, project: Path
    ) -> None:
        began = time.monotonic()
        code, said = self.run(project, PAGE)
        assert (code, self.changed(project)) == (0, set()), said
        assert time.monotonic() - began < 60
        assert "openapi.yaml is unchanged" in said

    @pytest.mark.slow
    def test_a_change_that_adds_is_in_place_and_reported_and_what_is_not_wrapped_is_named(
        self, project: Path, tmp_path: Path
    ) -> None:
        page = tmp_path / "get_text_generator_items.md"
        text = PAGE.read_text()
        field = "        failed_reason:\n          type: string\n"
        page.write_text(text.replace(field, f"        language:\n          type: string\n{field}"))
        code, said = self.run(project, page)
        assert code == 0, said
        assert "TextGenResponse.language" in said
        assert self.changed(project) >= {"openapi.yaml", "CHANGELOG.md"}
        assert "language" in (project / "openapi.yaml").read_text()
        model = project / "generated" / "creatify_api" / "models" / "text_gen_response.py"
        assert "language: str | Unset = UNSET" in model.read_text()
        other = tmp_path / "cancel.md"
        other.write_text(NEW_OPERATION)
        code, said = self.run(project, page, other)
        assert code == 2
        assert "sse_text_generator_cancel" in said
        assert "the change touches tests/test_contract.py::" in said

    @pytest.mark.slow
    def test_a_change_that_breaks_the_wrapper_stops_where_it_is_and_names_the_module(
        self, project: Path, tmp_path: Path
    ) -> None:
        page = tmp_path / "get_text_generator_items.md"
        text = PAGE.read_text()
        status = "        failed_reason:\n          type: string\n"
        assert status in text
        page.write_text(text.replace(status, "        failed_reason:\n          type: integer\n"))
        code, said = self.run(project, page)
        assert code == 2
        assert "`TextGenResponse.failed_reason`" in said
        assert "types: FAILED" in said
        assert "the change touches wrapper/creatify/_awaited.py" in said

    @pytest.mark.slow
    def test_all_that_breaks_nobody_passes_and_client_and_emulator_follow_a_renamed_path(
        self, project: Path, tmp_path: Path
    ) -> None:
        page = tmp_path / "get_text_generator_items.md"
        text = PAGE.read_text().replace("/sse/text_generator/", "/v2/texts/")
        for before, added in ADDITIONS.items():
            assert before in text
            text = text.replace(before, before + added)
        page.write_text(text)
        code, said = self.run(project, page)
        assert code == 0, said
        for added in ("Response.cached", "Config.tone", "StatusEnum.CANCELLED", "RoleEnum.TOOL"):
            assert f"{added}` is new" in said
        assert "`/sse/text_generator/` to `/v2/texts/`; calls stay as they are" in said
        spec = (project / "openapi.yaml").read_text()
        assert spec.count("  /v2/texts/:\n") == spec.count("  /sse/text_generator/:\n") == 1
        changed = ("role_enum", "text_gen_config", "text_gen_response")
        module = "generated/creatify_api/api/text_generator/sse_text_generator_list.py"
        assert self.changed(project) == {
            "openapi.yaml",
            "CHANGELOG.md",
            "generated/creatify_api/__init__.py",
            "generated/creatify_api/openapi.json",
            module,
            *(f"generated/creatify_api/models/{name}.py" for name in changed),
            "generated/creatify_api/models/text_gen_response_status_enum.py",
        }
        assert '"url": "/v2/texts/"' in (project / module).read_text()
        assert self.python(project, "-c", LISTING) == (0, "GET /v2/texts/\n")
