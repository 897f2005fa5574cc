"""The vendored spec is what the provider's pages say and nothing else; an overlay adds the rest."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from openapi_spec_validator import OpenAPIV30SpecValidator

import generate
import overlay

pytestmark = pytest.mark.unmeasured

ROOT = Path(__file__).parent.parent
PAGES = Path(__file__).parent / "pages"
SPEC: dict[str, Any] = yaml.safe_load((ROOT / "openapi.yaml").read_text())
OVERLAY: dict[str, Any] = yaml.safe_load((ROOT / "scripts" / "overlay.yaml").read_text())
FRAGMENT: dict[str, Any] = yaml.safe_load(
    re.split("^````.*$", (PAGES / "get_text_generator_items.md").read_text(), flags=re.MULTILINE)[1]
)
RENDERED = {
    "/sse/text_generator/": (PAGES / "create_text_generator_task.txt").read_text(),
    "/sse/text_generator/stream/": (PAGES / "text_generator_streaming.txt").read_text(),
}


def test_the_spec_is_valid_with_and_without_the_overlay() -> None:
    OpenAPIV30SpecValidator(SPEC).validate()
    OpenAPIV30SpecValidator(overlaid()).validate()


@pytest.mark.parametrize("name", FRAGMENT["components"]["schemas"])
def test_every_schema_of_the_fragment_is_taken_over_exactly(name: str) -> None:
    assert SPEC["components"]["schemas"][name] == FRAGMENT["components"]["schemas"][name]


def test_everything_else_of_the_fragment_is_taken_over_exactly() -> None:
    for key in ("openapi", "info", "servers", "security"):
        assert SPEC[key] == FRAGMENT[key]
    assert SPEC["components"]["securitySchemes"] == FRAGMENT["components"]["securitySchemes"]
    path = "/sse/text_generator/"
    assert SPEC["paths"][path]["get"] == FRAGMENT["paths"][path]["get"]


@pytest.mark.parametrize("path", RENDERED)
def test_the_request_has_the_fields_of_the_rendered_pages_and_no_others(path: str) -> None:
    reference = SPEC["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    schema = SPEC["components"]["schemas"][reference["$ref"].rpartition("/")[2]]
    fields = rendered_fields(RENDERED[path])
    assert list(schema["properties"]) == list(fields)
    for name, lines in fields.items():
        field = schema["properties"][name]
        kind = lines[0].removesuffix("[]").replace("<uri>", "")
        is_list = lines[0].endswith("[]")
        assert field.get("type", "object") == ("array" if is_list else kind), name
        assert ("required" in lines) == (name in schema["required"]), name
        assert ("<uri>" in lines[0]) == (field.get("format") == "uri"), name
        assert field["description"] in lines, name
        defaults = [line.partition(":")[2] for line in lines if line.startswith("default:")]
        assert defaults == ([yaml_text(field["default"])] if "default" in field else []), name
        lengths = [line for line in lines if line.startswith("Maximum string length")]
        assert lengths == (
            [f"Maximum string length: {field['maxLength']}"] if "maxLength" in field else []
        ), name


def test_the_example_of_the_rendered_page_has_the_structure_of_the_schemas() -> None:
    schemas = SPEC["components"]["schemas"]
    declaration = schemas["FunctionDeclaration"]
    assert (declaration["required"], declaration["properties"]) == (
        ["name"],
        {
            "name": {"type": "string"},
            "description": {"type": "string", "default": ""},
            "parameters": {},
        },
    )
    assert list(schemas["FunctionCallingConfig"]["properties"]) == [
        "mode",
        "allowed_function_names",
    ]


def test_each_operation_names_its_source_in_a_comment() -> None:
    lines = (ROOT / "openapi.yaml").read_text().splitlines()
    operations = [
        number for number, line in enumerate(lines) if re.fullmatch(r"    (get|post):", line)
    ]
    assert len(operations) == 5
    for number in operations:
        above = number - 1
        while lines[above].startswith("    #") and "Source:" not in lines[above]:
            above -= 1
        assert "# Source:" in lines[above], lines[number - 1]


def test_each_action_of_the_overlay_has_its_reason_and_source_and_changes_something() -> None:
    spec = copy.deepcopy(SPEC)
    for action in OVERLAY["actions"]:
        assert action["description"]
        assert action["x-source"]
        changed = overlay.apply({**OVERLAY, "actions": [action]}, spec)
        assert changed != spec
        spec = cast("dict[str, Any]", changed)


def test_the_schemas_of_a_chunk_require_nothing_and_close_nothing() -> None:
    added = overlaid()["components"]["schemas"].keys() - SPEC["components"]["schemas"].keys()
    assert "TextGenStreamChunk" in added
    for name in added:
        schema = overlaid()["components"]["schemas"][name]
        assert "required" not in schema
        assert "enum" not in str(schema)
        assert schema.get("additionalProperties", True) is not False


@pytest.mark.parametrize(
    ("action", "problem"),
    [
        ({"target": "$.nowhere", "update": {}}, "not in the spec"),
        ({"target": "$.info", "remove": True}, "no update"),
        ({"target": "$.info.title", "update": {}}, "neither an object nor an array"),
        ({"target": "$.info", "update": {"title": SPEC["info"]["title"]}}, "unnecessary, delete"),
        (
            {"target": "$.paths['/sse/text_generator/'].get.tags", "update": "text_generator"},
            "unnecessary, delete",
        ),
    ],
)
def test_an_action_that_does_not_fit_is_an_error(action: dict[str, Any], problem: str) -> None:
    with pytest.raises(overlay.OverlayError, match=problem):
        overlay.apply({"actions": [action]}, SPEC)


PUBLISHED: dict[str, Any] = {
    "servers": [{"url": "https://api.example", "description": "Production."}],
    "a": {"type": "object", "b": {"$ref": "#/a"}, "list": [1, {"x": 1, "y": 2}], "c": {"d": 1}},
}


@pytest.mark.parametrize(
    ("target", "update", "problem"),
    [
        ("$.a", {"type": "string"}, r"publishes at \$\.a\.type: 'object' would become 'string'"),
        ("$.a", {"new": 1, "c": {"d": True}}, r"at \$\.a\.c\.d: 1 would become True"),
        ("$.a", {"c": [1]}, r"at \$\.a\.c: "),
        ("$.a", {"b": {"type": "object"}}, r"at \$\.a\.b: {'\$ref': '#/a'} would become"),
        ("$.a.b", {"type": "object"}, r"at \$\.a\.b: "),
        ("$.a", {"c": {"$ref": "#/a"}}, r"at \$\.a\.c: "),
        ("$.a.c", {"$ref": "#/a"}, r"at \$\.a\.c: "),
    ],
)
def test_an_action_that_would_change_what_is_published_is_an_error_with_its_place(
    target: str, update: Any, problem: str
) -> None:
    with pytest.raises(overlay.OverlayError, match=problem):
        overlay.apply({"actions": [{"target": target, "update": update}]}, PUBLISHED)


@pytest.mark.parametrize(
    ("target", "update", "known"),
    [
        ("$.servers", {"url": "https://api.example"}, r"is unnecessary.*: \$\.servers$"),
        ("$.a", {"b": {"$ref": "#/a"}}, r"is unnecessary.*: \$\.a$"),
        ("$.a", {}, r"is unnecessary.*: \$\.a$"),
        ("$.a", {"type": "object", "e": 1}, r"is partly unnecessary.*: \$\.a\.type$"),
        (
            "$.a",
            {"c": {"d": 1, "e": 1}, "list": [{"x": 1}, {"x": 2}]},
            r"is partly unnecessary.*: \$\.a\.c\.d, \$\.a\.list\[0\]$",
        ),
        ("$..c", {"d": 1}, r"is unnecessary.*: \$\.\.c$"),
    ],
)
def test_an_action_that_repeats_what_is_published_names_it(
    target: str, update: Any, known: str
) -> None:
    with pytest.raises(overlay.OverlayError, match=known):
        overlay.apply({"actions": [{"target": target, "update": update}]}, PUBLISHED)


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (None, "no actions"),
        ({"actions": None}, "no actions"),
        ({"actions": ["x"]}, "no target: x"),
        ({"actions": [{"update": {}}]}, "no target"),
        ({"actions": [{"target": "$[", "update": {}}]}, r"\$\[ is no JSONPath"),
    ],
)
def test_an_overlay_that_is_none_is_an_error(document: Any, problem: str) -> None:
    with pytest.raises(overlay.OverlayError, match=problem):
        overlay.apply(document, PUBLISHED)


def test_an_update_merges_deeply_and_leaves_its_inputs_alone() -> None:
    spec = {"a": {"b": {"c": 1}, "list": [1]}, "list": [1]}
    update = {"b": {"d": 2}, "list": [2], "e": 3}
    before = copy.deepcopy((spec, update))
    actions = [{"target": "$.a", "update": update}, {"target": "$.list", "update": 2}]
    result = overlay.apply(cast("overlay.JSON", {"actions": actions}), cast("overlay.JSON", spec))
    assert result == {"a": {"b": {"c": 1, "d": 2}, "list": [1, 2], "e": 3}, "list": [1, 2]}
    assert (spec, update) == before


def test_a_new_field_of_the_request_is_a_keyword_without_a_change_by_hand() -> None:
    source = (ROOT / "generated/creatify_api/models/text_gen_request.py").read_text()
    changed = source.replace(
        "    model_name: str\n", "    model_name: str\n    tone: str = 'calm'\n"
    )
    params = generate.params_module(changed)
    assert "    tone: NotRequired[str]" in params
    assert "    model_name: Required[str]" in params
    assert "additional_properties" not in params


def overlaid() -> dict[str, Any]:
    return cast("dict[str, Any]", overlay.apply(OVERLAY, SPEC))


def rendered_fields(page: str) -> dict[str, list[str]]:
    """The fields under Body, each with the lines that say what it is, its type first."""
    body = page.partition("\nBody\n")[2].partition("\nResponse\n")[0].split("\n")
    starts = [
        number
        for number, line in enumerate(body)
        if re.fullmatch(r"(string|object|boolean)(\[\]|<uri>)?", line)
    ]
    ends = [start - 1 for start in starts[1:]] + [len(body)]
    return {
        body[start - 1]: [line for line in body[start:end] if line]
        for start, end in zip(starts, ends, strict=True)
    }


def yaml_text(value: object) -> str:
    return '""' if value == "" else str(value).lower()
