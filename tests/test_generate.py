"""A package is made of the spec alone, and what can't be made of it is told on one line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

import generate

if TYPE_CHECKING:
    from collections.abc import Callable

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
