import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped] # ships no types

from creatify.testing._sampler import Unsatisfiable, sample

TREE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
                "next": {"$ref": "#/$defs/node"},
            },
            "required": ["name", "children"],
        }
    },
}


@pytest.mark.parametrize(
    "schema",
    [
        True,
        {},
        {"const": None},
        {"enum": [1, "a", None]},
        {"type": "null"},
        {"type": "boolean"},
        {"type": ["integer", "null"]},
        {"type": "string", "minLength": 40},
        {"type": "string", "minLength": 3, "maxLength": 3},
        {"type": "string", "maxLength": 0},
        {"type": "string", "pattern": "^[A-Z]{3}$", "examples": ["EUR"]},
        {"type": "integer", "minimum": 5, "maximum": 5},
        {"type": "integer", "exclusiveMinimum": 5, "exclusiveMaximum": 7},
        {"type": "integer", "minimum": -3, "maximum": -1},
        {"type": "integer", "maximum": -1000},
        {"type": "integer", "multipleOf": 7, "minimum": 50},
        {"type": "number"},
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.001},
        {"type": "number", "multipleOf": 0.5, "minimum": 10},
        {"minimum": 3},
        {"items": {"type": "integer"}, "minItems": 5},
        {"type": "array", "items": {"enum": [1, 2, 3]}, "minItems": 3, "uniqueItems": True},
        {"type": "array", "maxItems": 0},
        {"type": "array", "items": False},
        {"type": "array", "prefixItems": [{"type": "string"}, {"type": "null"}], "items": False},
        {"type": "object", "properties": {"a": {"type": "string"}, "b": False}},
        {"type": "object", "required": ["x"], "additionalProperties": {"type": "integer"}},
        {"type": "object", "minProperties": 3, "properties": {"a": {}}},
        {"type": "object", "maxProperties": 1, "properties": {"a": {}, "b": {}}},
        {"properties": {"a": {"type": "string"}}, "required": ["a"]},
        {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        {"anyOf": [False, {"type": "integer"}]},
        {"oneOf": [{"type": "integer"}, {"type": "number", "minimum": 0.5}]},
        {"allOf": [True, {"minimum": 3}, {"type": "integer", "minimum": 5}, {"maximum": 6}]},
        {"allOf": [{"type": "integer", "maximum": 6}, {"maximum": 5}, {"minimum": 5}]},
        {"allOf": [{"items": {"type": "integer"}, "minItems": 1}, {"items": {"minimum": 3}}]},
        {"allOf": [{"type": ["integer", "null"]}, {"type": ["integer", "null"]}]},
        {"allOf": [{"enum": [1, 2]}, {"enum": [2, 3]}, {"type": "number"}, {"type": "integer"}]},
        {
            "allOf": [
                {"properties": {"a": {"minimum": 3}, "b": {}}, "required": ["a"]},
                {"properties": {"a": {"type": "integer"}}, "required": ["a", "b"]},
            ]
        },
        {"type": "OBJECT", "properties": {"type": {"type": "STRING", "nullable": True}}},
        {"type": "object", "properties": {"n": {"type": "string", "nullable": False}}},
        {"$defs": {"a/b": {"type": "integer"}}, "$ref": "#/$defs/a~1b"},
        TREE,
        *(
            {"type": "string", "format": name}
            for name in (
                *("date", "time", "date-time", "duration", "email", "hostname"),
                *("ipv4", "ipv6", "uri", "uuid", "unheard-of"),
            )
        ),
    ],
    ids=str,
)
def test_a_sample_matches_its_schema(schema: Any) -> None:
    for seed in range(20):
        instance = sample(schema, random.Random(seed))
        assert sample(schema, random.Random(seed)) == instance
        if "OBJECT" not in str(schema):
            checker = Draft202012Validator.FORMAT_CHECKER
            Draft202012Validator(schema, format_checker=checker).validate(instance)


def test_a_nullable_value_is_null_at_times() -> None:
    schema = {"type": "STRING", "nullable": True}
    samples = [sample(schema, random.Random(seed)) for seed in range(20)]
    assert None in samples
    assert any(isinstance(instance, str) for instance in samples)


def test_a_recursive_schema_has_an_instance_with_some_depth() -> None:
    instance = sample(TREE, random.Random(0))
    assert instance["next"]["next"]["name"]


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        (False, "allows nothing"),
        ("<unknown>", "not of type"),
        (None, "not of type"),
        ({"allOf": [False]}, "allows nothing"),
        ({"type": "array", "items": False, "minItems": 1}, "allows nothing"),
        ({"type": "wrong"}, "wrong"),
        ({"enum": []}, "empty"),
        ({"type": "integer", "minimum": 5, "maximum": 3}, "nothing that was tried"),
        ({"type": "string", "pattern": "^a$"}, "pattern"),
        ({"type": "string", "pattern": "["}, "regex"),
        ({"type": "string", "minLength": 10**9}, "too long"),
        ({"type": "array", "minItems": 10**9}, "too large"),
        ({"type": "array", "items": {"const": 1}, "minItems": 2, "uniqueItems": True}, "too large"),
        ({"$ref": "#"}, "without end"),
        ({"$ref": "#/$defs/x"}, "isn't in it"),
        ({"$ref": "https://example.com/schema"}, "another document"),
        ({"not": {"$ref": "https://example.com/schema"}}, "example.com"),
        ({"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#"}}}, "without end"),
        ({"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}, "without end"),
        ({"not": {}}, "nothing that was tried"),
    ],
    ids=str,
)
def test_a_schema_without_a_sample_says_why(schema: Any, reason: str) -> None:
    with pytest.raises(Unsatisfiable, match=reason):
        sample(schema, random.Random(0))


NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers()
FLAT = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(
            ["object", "array", "string", "integer", "number", "boolean", "null"]
        ),
        "minimum": NUMBERS,
        "maximum": NUMBERS,
        "multipleOf": NUMBERS.filter(lambda n: n > 0),
        "minLength": st.integers(0),
        "maxLength": st.integers(0),
        "minItems": st.integers(0),
        "maxItems": st.integers(0),
        "uniqueItems": st.booleans(),
        "required": st.lists(st.text(max_size=3), unique=True),
    },
)
SCHEMAS = st.recursive(
    FLAT | st.booleans(),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "properties": st.dictionaries(st.text(max_size=3), inner, max_size=3),
            "items": inner,
            "anyOf": st.lists(inner, min_size=1, max_size=3),
            "allOf": st.lists(inner, min_size=1, max_size=3),
            "not": inner,
        },
    ),
    max_leaves=5,
)


@pytest.mark.unmeasured
@settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(schema=SCHEMAS)
def test_any_schema_has_a_valid_sample_or_none(schema: Any) -> None:
    try:
        instance = sample(schema, random.Random(0))
    except Unsatisfiable:
        return
    Draft202012Validator(schema).validate(instance)
