"""How a payload is held against its schema: what is tolerated, what is not, and where it says so.

Every case runs over every schema and every property of the spec, found there and not listed.
"""

from __future__ import annotations

import copy
import json
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from emulated import DOCUMENT

from creatify import ResponseDecodeError, _schema
from creatify._operations import decode, model_of
from creatify._schema import Drift, MismatchError, Shape, check, conform
from creatify_api import models
from creatify_api.types import UNSET

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMAS: dict[str, dict[str, Any]] = DOCUMENT["components"]["schemas"]
OBJECTS = [name for name, schema in SCHEMAS.items() if schema.get("type") == "object"]


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    for inner in schema.get("allOf", [schema] if "$ref" in schema else []):
        return resolved(SCHEMAS[inner["$ref"].rpartition("/")[2]])
    return schema


def full(schema: dict[str, Any]) -> Any:
    """A value of the schema with each of its properties."""
    schema = resolved(schema)
    by_format = {
        "uuid": "0b0f2f46-9d1e-4b0e-8a8e-0c0d7c0a2c11",
        "date-time": "2026-01-02T03:04:05.678900+00:00",
        "uri": "https://example.com/hook",
    }
    match schema.get("type"):
        case "object":
            return {name: full(inner) for name, inner in schema.get("properties", {}).items()}
        case "array":
            return [full(schema["items"]), full(schema["items"])]
        case "string":
            return schema.get("enum", [by_format.get(schema.get("format", ""), "text")])[0]
        case kind:
            return {"boolean": True, "integer": 3, "number": 1.5, None: {"any": [None]}}[kind]


def properties(*, typed: bool, required: bool) -> list[tuple[str, str]]:
    """Each property of that kind as (schema, name)."""
    return [
        (schema, name)
        for schema in OBJECTS
        for name, inner in SCHEMAS[schema].get("properties", {}).items()
        if ("type" in resolved(inner)) is typed
        and (name in SCHEMAS[schema].get("required", [])) is required
    ]


REQUIRED = properties(typed=True, required=True)
OPTIONAL = properties(typed=True, required=False)
TYPED = REQUIRED + OPTIONAL
FREE = properties(typed=False, required=False)
WRONG: list[Any] = [None, True, 5, 5.5, "text", [], {}]


def python_name(model: Any, name: str) -> str:
    """The attribute of a property: the one that is set when only it is given."""
    return next(
        field
        for field in dir(model)
        if field.replace("_", "").lower() == name.replace("_", "").lower()
    )


def read(name: str, value: Any) -> Any:
    return decode(json.dumps(value).encode(), partial(model_of, getattr(models, name)))


def refused(name: str, value: Any) -> ResponseDecodeError:
    body = json.dumps(value).encode()
    with pytest.raises(ResponseDecodeError) as caught:
        decode(body, partial(model_of, getattr(models, name)))
    assert caught.value.payload == body
    assert f", at {caught.value.path}: " in str(caught.value)
    return caught.value


def test_the_spec_has_properties_of_every_kind() -> None:
    assert REQUIRED
    assert OPTIONAL
    assert {name for _, name in FREE} == {"content", "parameters", "response_json_schema"}


@pytest.mark.parametrize("name", OBJECTS)
def test_a_full_instance_is_read_and_written_back(name: str) -> None:
    value = full(SCHEMAS[name])
    assert read(name, value).to_dict() == value


@pytest.mark.parametrize(("name", "key"), OPTIONAL)
def test_null_in_an_optional_property_counts_as_absent(name: str, key: str) -> None:
    value = full(SCHEMAS[name])
    model = read(name, value | {key: None})
    assert model.to_dict() == {other: item for other, item in value.items() if other != key}
    assert getattr(model, python_name(model, key)) is UNSET


@pytest.mark.parametrize(("name", "key"), FREE)
def test_null_in_a_free_form_property_stays(name: str, key: str) -> None:
    value = full(SCHEMAS[name])
    for free in (None, [None], {"a": None, "b": [{"c": None}]}):
        model = read(name, value | {key: free})
        assert model.to_dict() == value | {key: free}
        assert getattr(model, key) == free


@pytest.mark.parametrize(
    ("name", "key"),
    [
        (name, key)
        for name, key in TYPED
        if "additionalProperties" in SCHEMAS[name]["properties"][key]
    ],
)
def test_null_inside_an_object_of_free_form_stays(name: str, key: str) -> None:
    value = full(SCHEMAS[name]) | {key: {"a": None, "b": [None, {"c": None}]}}
    model = read(name, value)
    assert model.to_dict() == value
    assert getattr(model, python_name(model, key)).additional_properties == value[key]


@pytest.mark.parametrize(("name", "key"), REQUIRED)
def test_null_in_a_required_property_is_refused(name: str, key: str) -> None:
    error = refused(name, full(SCHEMAS[name]) | {key: None})
    assert error.path == f"$.{key}"
    assert "it is null and should be a" in str(error)


@pytest.mark.parametrize("name", OBJECTS)
def test_unknown_properties_are_kept(name: str) -> None:
    unknown = {"brand_new": 1, "null": None, "Über": {"deep": [None]}, "": ""}
    value = full(SCHEMAS[name]) | unknown
    model = read(name, value)
    assert model.additional_properties == unknown
    assert model.to_dict() == value


@pytest.mark.parametrize(
    ("name", "key"),
    [(name, key) for name in OBJECTS for key in SCHEMAS[name].get("required", [])],
)
def test_a_missing_required_property_is_named(name: str, key: str) -> None:
    value = full(SCHEMAS[name])
    del value[key]
    error = refused(name, value)
    assert error.path == "$"
    assert f"the property '{key}' is required and missing" in str(error)


def test_of_several_missing_properties_the_first_is_named() -> None:
    assert "'config' is required" in str(refused("TextGenResponse", {}))


@pytest.mark.parametrize(("name", "key"), TYPED)
def test_a_wrong_type_is_refused_at_its_place(name: str, key: str) -> None:
    value = full(SCHEMAS[name])
    kind = resolved(SCHEMAS[name]["properties"][key])["type"]
    right = {
        "object": (dict,),
        "array": (list,),
        "string": (str,),
        "boolean": (bool,),
        "integer": (int,),
        "number": (int, float),
    }[kind]
    tried = [wrong for wrong in WRONG if wrong is not None and (type(wrong) not in right)]
    assert len(tried) >= 4
    for wrong in tried:
        error = refused(name, value | {key: wrong})
        assert error.path == f"$.{key}"
        assert f"should be a{'n' if kind[0] in 'aeiou' else ''} {kind}" in str(error)


@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.parametrize("wrong", [None, True, 5, 5.5, "text", [], [{}]])
def test_what_is_no_object_is_refused(name: str, wrong: object) -> None:
    error = refused(name, wrong)
    assert error.path == "$"
    assert "should be an object" in str(error)


def places(schema: dict[str, Any], path: str, value: Any) -> Iterator[tuple[str, Any, Any]]:
    """Each typed place below a value: its path, and the container and key to change it by."""
    schema = resolved(schema)
    inner = schema.get("properties", {})
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        below = schema["items"] if isinstance(value, list) else inner[key]
        place = f"{path}[{key}]" if isinstance(value, list) else f"{path}.{key}"
        if "type" in resolved(below):
            yield place, value, key
            if isinstance(item, dict | list):
                yield from places(below, place, item)


@pytest.mark.parametrize("name", OBJECTS)
def test_the_path_leads_to_the_place_however_deep(name: str) -> None:
    value = full(SCHEMAS[name])
    found = list(places(SCHEMAS[name], "$", value))
    for path, container, key in found:
        right, container[key] = (
            container[key],
            [[[]]] if not isinstance(container[key], list) else {},
        )
        assert refused(name, value).path == path
        container[key] = right
    assert found


def test_the_path_of_a_list_of_answers_begins_with_the_index() -> None:
    conform(full(SCHEMAS["Message"]), "Message", "$[7]")
    with pytest.raises(MismatchError) as caught:
        conform({"role": 5}, "Message", "$[7]")
    assert caught.value.path == "$[7].role"


ENUM_PROPERTIES = [
    (name, key) for name, key in TYPED if "enum" in resolved(SCHEMAS[name]["properties"][key])
]


@pytest.mark.parametrize(("name", "key"), ENUM_PROPERTIES)
def test_an_unknown_enum_value_is_kept(name: str, key: str) -> None:
    value = full(SCHEMAS[name]) | {key: "unheard of"}
    model = read(name, value)
    assert getattr(model, key) == "unheard of"
    assert hash(getattr(model, key)) == hash("unheard of")
    for twin in (model, copy.deepcopy(model)):
        assert twin.to_dict() == value


def test_the_spec_has_enums() -> None:
    assert ("TextGenResponse", "status") in ENUM_PROPERTIES


@pytest.mark.parametrize("wrong", ["", "5", "0b0f2f46-9d1e-4b0e-8a8e", "g" * 32])
def test_an_id_that_is_no_uuid_is_refused(wrong: str) -> None:
    error = refused("TextGenResponse", full(SCHEMAS["TextGenResponse"]) | {"id": wrong})
    assert error.path == "$.id"
    assert "it is no uuid" in str(error)


@pytest.mark.parametrize("wrong", ["", "yesterday", "2026-13-01T00:00:00Z", "1767322800"])
def test_a_date_time_that_is_none_is_refused(wrong: str) -> None:
    error = refused("TextGenResponse", full(SCHEMAS["TextGenResponse"]) | {"updated_at": wrong})
    assert error.path == "$.updated_at"
    assert "it is no date-time" in str(error)


def test_a_date_time_may_be_written_in_lower_case() -> None:
    value = full(SCHEMAS["TextGenResponse"]) | {"created_at": "2026-01-02t03:04:05z"}
    assert read("TextGenResponse", value).to_dict()["created_at"] == "2026-01-02T03:04:05+00:00"


@pytest.mark.parametrize("whole", [3, 3.0, 10**400, -(10**400)])
def test_a_whole_number_is_an_integer(whole: float) -> None:
    assert read("TextGenConfig", {"seed": whole}).seed == whole


@pytest.mark.parametrize("other", [3.5, True, float("inf"), float("nan")])
def test_another_number_is_no_integer(other: float) -> None:
    with pytest.raises(MismatchError) as caught:
        conform({"seed": other}, "TextGenConfig")
    assert caught.value.path == "$.seed"


def test_a_number_of_any_size_is_a_number() -> None:
    assert read("RemainingCredits", {"remaining_credits": 10**400}).remaining_credits == 10**400


class TestRequests:
    """A request is held against its schema strictly, and stays as it is."""

    @pytest.mark.parametrize(("name", "key"), TYPED)
    def test_null_is_refused(self, name: str, key: str) -> None:
        with pytest.raises(MismatchError) as caught:
            check(full(SCHEMAS[name]) | {key: None}, name, "request")
        assert caught.value.path == f"request.{key}"

    @pytest.mark.parametrize("name", OBJECTS)
    def test_what_fits_is_not_changed(self, name: str) -> None:
        value = full(SCHEMAS[name]) | {"unknown": None}
        before = copy.deepcopy(value)
        check(value, name, "request")
        assert value == before

    def test_a_date_time_is_not_rewritten(self) -> None:
        value = full(SCHEMAS["TextGenResponse"]) | {"created_at": "2026-01-02t03:04:05z"}
        check(value, "TextGenResponse", "request")
        assert value["created_at"] == "2026-01-02t03:04:05z"

    def test_a_string_may_be_as_long_as_the_schema_says(self) -> None:
        value = full(SCHEMAS["TextGenRequest"])
        check(value | {"model_name": "m" * 255}, "TextGenRequest", "request")
        with pytest.raises(MismatchError, match="it has 256 characters and may have 255"):
            check(value | {"model_name": "m" * 256}, "TextGenRequest", "request")

    def test_an_answer_may_be_longer(self) -> None:
        value = full(SCHEMAS["TextGenRequest"]) | {"model_name": "m" * 256}
        assert read("TextGenRequest", value).model_name == "m" * 256

    def test_a_type_that_json_does_not_have_is_named(self) -> None:
        half: Any = Decimal("0.5")
        with pytest.raises(MismatchError, match="it is Decimal and should be a number"):
            check({"temperature": half}, "TextGenConfig", "request")

    def test_the_value_is_not_shown(self) -> None:
        with pytest.raises(MismatchError) as caught:
            check({"seed": "a private text"}, "TextGenConfig", "request")
        assert str(caught.value) == "it is a string and should be an integer"


NODE: dict[str, Any] = {"$ref": "#/components/schemas/Node"}
SIZE: dict[str, Any] = {"type": "integer"}


class TestConstructs:
    """Schemas that this spec doesn't have, and the provider's next one may."""

    @pytest.fixture(autouse=True)
    def schemas(self, monkeypatch: pytest.MonkeyPatch) -> None:
        node = {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "next": NODE,
                "all": {"type": "array", "items": NODE},
            },
            "required": ["name"],
        }
        monkeypatch.setattr(_schema, "_schemas", lambda: {"Node": node})
        monkeypatch.setattr(_schema, "_shape", lambda name: _schema._referenced(name, {}))

    def test_a_schema_may_hold_itself(self) -> None:
        value: Any = {
            "name": "a",
            "next": {"name": "b", "next": None, "all": [{"name": "c", "next": None}]},
        }
        conform(value, "Node")
        assert value == {"name": "a", "next": {"name": "b", "all": [{"name": "c"}]}}
        with pytest.raises(MismatchError) as caught:
            conform({"name": "a", "next": {"name": "b", "all": [{"name": 5}]}}, "Node")
        assert caught.value.path == "$.next.all[0].name"

    @pytest.mark.parametrize(
        "schema",
        [
            {},
            {"oneOf": [{"type": "string"}, {"type": "integer"}]},
            {"enum": ["a", 1]},
            {"type": "unheard of"},
        ],
    )
    def test_an_unknown_construct_is_free_form(self, schema: dict[str, Any]) -> None:
        assert _schema._compile(schema, {}) == Shape()

    def test_an_array_without_items_is_one_of_anything(self) -> None:
        shape = _schema._compile({"type": "array"}, {})
        assert _schema._Walk(strict=False).value([1, None, "a"], shape, "$", ("S", "")) == [
            1,
            None,
            "a",
        ]

    @pytest.mark.parametrize(
        "nullable",
        [
            {"type": "string", "nullable": True},
            {"allOf": [{"type": "string"}], "nullable": True},
        ],
    )
    def test_null_stays_where_the_spec_allows_it(self, nullable: dict[str, Any]) -> None:
        for required in ([], ["a"]):
            schema: Any = {"type": "object", "properties": {"a": nullable}, "required": required}
            value: Any = {"a": None}
            _schema._Walk(strict=False).value(value, _schema._compile(schema, {}), "$", ("S", ""))
            assert value == {"a": None}

    @staticmethod
    def drifts(schema: Any, value: Any) -> set[tuple[str, str]]:
        """The drifts of an answer by place, each of which is in a schema named S."""
        found: set[Drift] = set()
        walk = _schema._Walk(strict=False, drifts=found)
        walk.value(value, _schema._compile(schema, {}), "$", ("S", ""))
        return {
            (f"{drift.schema}.{drift.property}".replace("..", "."), drift.kind) for drift in found
        }

    @pytest.mark.parametrize(
        "schema",
        [
            {"allOf": [NODE, {"properties": {"size": SIZE}, "required": ["size"]}]},
            {"allOf": [NODE], "properties": {"size": SIZE}, "required": ["size"]},
            {"allOf": [{"allOf": [NODE]}, {"properties": {"size": SIZE}, "required": ["size"]}]},
        ],
    )
    def test_the_parts_of_a_schema_and_what_stands_beside_them_hold_together(
        self, schema: dict[str, Any]
    ) -> None:
        value: Any = {"name": "a", "next": None, "size": 1, "news": 2}
        assert self.drifts(schema, value) == {
            ("S.next", "null"),
            ("S.news", "unknown property"),
        }
        assert value == {"name": "a", "size": 1, "news": 2}
        for missing in ("name", "size"):
            with pytest.raises(MismatchError, match=f"the property '{missing}' is required"):
                self.drifts(schema, {"size": 1} if missing == "name" else {"name": "a"})

    def test_a_use_of_a_named_schema_is_told_by_its_name(self) -> None:
        use = {"allOf": [NODE], "description": "the next", "nullable": True}
        schema = {"type": "object", "properties": {"use": use}}
        assert self.drifts(schema, {"use": {"name": "a", "news": 1}}) == {
            ("Node.news", "unknown property")
        }

    def test_a_schema_with_properties_is_one_of_an_object(self) -> None:
        value: Any = {"size": None}
        assert self.drifts({"properties": {"size": SIZE}}, value) == {("S.size", "null")}
        assert value == {}

    @pytest.mark.parametrize(
        ("schema", "known", "unknown"),
        [
            ({"enum": ["a", "b"]}, "a", "c"),
            ({"enum": [1, 2]}, 1, 3),
            ({"type": "integer", "enum": [1, 2]}, 2, 3),
            ({"allOf": [{"type": "string"}, {"enum": ["a"]}]}, "a", "b"),
        ],
    )
    def test_an_unknown_value_of_any_enum_is_told(
        self, schema: dict[str, Any], known: object, unknown: object
    ) -> None:
        assert self.drifts(schema, known) == set()
        assert self.drifts(schema, unknown) == {("S.", "unknown value")}

    def test_an_object_that_may_have_nothing_else_tells_what_it_has(self) -> None:
        closed = {"type": "object", "additionalProperties": False}
        assert self.drifts(closed, {"a": 1}) == {("S.a", "unknown property")}

    def test_properties_without_a_name_are_held_against_their_schema(self) -> None:
        schema = {"type": "object", "additionalProperties": {"allOf": [NODE]}}
        value: Any = {"a": {"name": "x", "next": None}, "b": None}
        assert self.drifts(schema, value) == {("Node.next", "null"), ("S.*", "null")}
        assert value == {"a": {"name": "x"}}
        with pytest.raises(MismatchError) as caught:
            self.drifts(schema, {"a": {"name": 5}})
        assert caught.value.path == "$.a.name"
