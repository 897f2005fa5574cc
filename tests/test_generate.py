"""A package is made of the spec alone, and what can't be made of it is told on one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

import generate

if TYPE_CHECKING:
    from collections.abc import Callable
from install import PACKAGE, files

pytestmark = pytest.mark.unmeasured

ROOT = Path(__file__).parent.parent


def renamed_request(spec: dict[str, Any]) -> None:
    schemas = spec["components"]["schemas"]
    schemas["TextRequest"] = schemas.pop("TextGenRequest")
    for item in spec["paths"].values():
        for operation in item.values():
            if "requestBody" in operation:
                media = operation["requestBody"]["content"]["application/json"]
                media["schema"] = {"$ref": "#/components/schemas/TextRequest"}


def no_title(spec: dict[str, Any]) -> None:
    del spec["info"]["title"]


def two_classes_of_one_name(spec: dict[str, Any]) -> None:
    spec["components"]["schemas"]["role_enum"] = {"type": "object", "properties": {"a": {}}}


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (
            renamed_request,
            r"openapi.yaml: components.schemas has no TextGenRequest any more.*",
        ),
        (no_title, r"openapi.yaml is not valid OpenAPI: info: 'title' is a required property"),
        (
            two_classes_of_one_name,
            r"openapi_python_client refuses the spec: .*role_enum.*RoleEnum.*",
        ),
    ],
)
def test_a_spec_that_no_package_can_be_made_of_is_told_on_one_line_with_the_place(
    tmp_path: Path, edit: Callable[[dict[str, Any]], None], line: str
) -> None:
    spec = yaml.safe_load((ROOT / "openapi.yaml").read_text())
    edit(spec)
    (tmp_path / "openapi.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
    with pytest.raises(generate.GenerateError, match=rf"\A{line}\Z"):
        generate.generate(tmp_path / "openapi.yaml", tmp_path / "creatify_api")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: [", "openapi.yaml is no YAML: .*line 1.*"),
        ("", "openapi.yaml is not valid OpenAPI: it is no mapping"),
        ("paths: 1", "openapi.yaml is not valid OpenAPI: .*"),
    ],
)
def test_a_text_that_is_no_spec_is_told_on_one_line(tmp_path: Path, text: str, line: str) -> None:
    (tmp_path / "openapi.yaml").write_text(text)
    with pytest.raises(generate.GenerateError, match=rf"\A{line}\Z"):
        generate.overlaid(tmp_path / "openapi.yaml")


ENVIRONMENTS = [
    {"LC_ALL": "C.UTF-8", "TZ": "UTC", "PYTHONHASHSEED": "1"},
    {
        "LC_ALL": "C",
        "TZ": "Asia/Kathmandu",
        "PYTHONHASHSEED": "2",
        "PYTHONUTF8": "0",  # as in a locale of another encoding
        "PYTHONCOERCECLOCALE": "0",
    },
]


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a fresh environment with no more than the pinned tools of generation."""
    folder = tmp_path_factory.mktemp("fresh")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    names = "openapi-python-client openapi-spec-validator jsonpath-rfc9535 markdown-it-py pyyaml"
    subprocess.run(
        [
            *(str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--constraint", str(ROOT / "scripts" / "constraints.txt")),
            *(*names.split(), "ruamel.yaml", "ruff"),
        ],
        check=True,
    )
    return python


@pytest.mark.slow
@pytest.mark.parametrize("umask", [0o022, 0o077])
@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda environment: environment["LC_ALL"])
@pytest.mark.parametrize("fresh", [False, True], ids=["this environment", "a fresh environment"])
def test_the_bytes_depend_on_the_spec_and_the_pinned_tools_only(
    tmp_path: Path,
    environment: dict[str, str],
    umask: int,
    fresh: bool,
    request: pytest.FixtureRequest,
) -> None:
    python = request.getfixturevalue("tools") if fresh else sys.executable
    for name in ("home", "scratch"):
        (tmp_path / name).mkdir()
    settings = {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "scratch")}
    subprocess.run(
        [python, ROOT / "scripts" / "generate.py", tmp_path / "creatify_api"],
        cwd=tmp_path,
        env={"PATH": os.defpath, **settings, **environment},
        umask=umask,
        check=True,
    )
    assert files(tmp_path / "creatify_api") == files(PACKAGE)
    assert list((tmp_path / "scratch").iterdir()) == []
