"""What is read is written back: `to_dict(from_dict(x)) == x` for every schema of the spec.

The instances are generated from the schemas themselves, with unknown properties; date-times are
compared as instants. The schemas are found in the spec, so that a new one is tested unasked.
"""

from __future__ import annotations

import copy
import json
import pickle
from datetime import UTC
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import dateutil.parser
import pytest
from emulated import DOCUMENT, assert_matches
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from creatify._operations import decode, model_of
from creatify_api import models
from creatify_api.types import UNSET, Unset

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.unmeasured

SCHEMAS: dict[str, dict[str, Any]] = DOCUMENT["components"]["schemas"]
OBJECTS = [name for name, schema in SCHEMAS.items() if schema.get("type") == "object"]
ENUMS = [name for name, schema in SCHEMAS.items() if "enum" in schema]

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
MOMENTS = st.builds(
    "{}{}{}{}".format,
    st.dates(),
    st.sampled_from("Tt"),
    st.builds(
        lambda time, length: time.isoformat("seconds") + f".{time.microsecond:06}"[:length],
        st.times(),
        st.sampled_from([0, 2, 3, 4, 5, 6, 7]),
    ),
    st.sampled_from("Zz")
    | st.builds(
        "{}{:02}:{:02}".format, st.sampled_from("+-"), st.integers(0, 23), st.integers(0, 59)
    ),
)
STRINGS = {
    "uuid": st.uuids().map(str),
    "date-time": MOMENTS,
    "uri": st.builds("https://example.com/{}".format, st.integers()),
    None: st.text(),
}
SCALARS = {
    "boolean": st.booleans(),
    "integer": st.integers(),
    "number": st.floats(allow_nan=False, allow_infinity=False) | st.integers(),
    None: JSON,
}
# All that this spec's schemas are made of. Another keyword has to be generated before it is read.
UNDERSTOOD = {
    "type",
    "properties",
    "required",
    "items",
    "enum",
    "format",
    "maxLength",
    "allOf",
    "$ref",
}
REMARKS = {"description", "title", "default", "example", "readOnly"}
PROPERTIES = settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))


def strategy(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Instances of a schema."""
    assert set(schema) <= UNDERSTOOD | REMARKS | {"additionalProperties"}
    assert schema.get("additionalProperties", {}) == {}
    schema = resolved(schema)
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema.get("type") == "object":
        return objects(schema)
    if schema.get("type") == "array":
        return st.lists(strategy(schema["items"]), max_size=3)
    if schema.get("type") == "string":
        kept = STRINGS[schema.get("format")]
        return kept.map(lambda value: value[: schema.get("maxLength")])
    return SCALARS[schema.get("type")]


def objects(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    known = {name: strategy(inner) for name, inner in schema.get("properties", {}).items()}
    required = {name: known[name] for name in schema.get("required", [])}
    optional = {name: inner for name, inner in known.items() if name not in required}
    unknown = st.dictionaries(st.text().filter(lambda name: name not in known), JSON, max_size=2)
    return st.builds(
        lambda one, other: other | one, st.fixed_dictionaries(required, optional=optional), unknown
    )


@cache
def instances(name: str) -> st.SearchStrategy[Any]:
    return strategy(SCHEMAS[name])


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    for inner in schema.get("allOf", [schema] if "$ref" in schema else []):
        return resolved(SCHEMAS[inner["$ref"].rpartition("/")[2]])
    return schema


def comparable(value: Any, schema: dict[str, Any]) -> Any:
    """The value with each date-time of its schema as an instant."""
    schema = resolved(schema)
    if isinstance(value, dict):
        known = schema.get("properties", {})
        return {key: comparable(item, known.get(key, {})) for key, item in value.items()}
    if isinstance(value, list):
        return [comparable(item, schema.get("items", {})) for item in value]
    if schema.get("format") == "date-time":
        return repr(
            dateutil.parser.isoparse(value.upper()) - dateutil.parser.isoparse("1970-01-01T00:00Z")
        )
    return value


def text(value: Any, name: str) -> str:
    """JSON tells 1 from 1.0 and from true, as `==` does not."""
    return json.dumps(comparable(value, SCHEMAS[name]), sort_keys=True)


def read(name: str, value: Any) -> Any:
    return decode(json.dumps(value).encode(), partial(model_of, getattr(models, name)))


def test_every_schema_is_an_object_or_an_enum() -> None:
    assert OBJECTS
    assert ENUMS
    assert sorted(OBJECTS + ENUMS) == sorted(SCHEMAS)


@pytest.mark.parametrize("name", OBJECTS)
def test_what_is_read_is_written_back(name: str) -> None:
    @PROPERTIES
    @given(instances(name))
    def holds(value: Any) -> None:
        assert_matches(name, value)  # a judge that is not of this project
        assert text(read(name, value).to_dict(), name) == text(value, name)

    holds()


@pytest.mark.parametrize("name", OBJECTS)
def test_a_model_survives_pickle_and_deepcopy(name: str) -> None:
    @settings(PROPERTIES, max_examples=10)
    @given(instances(name))
    def holds(value: Any) -> None:
        made = read(name, value)
        written = json.dumps(made.to_dict())
        for twin in (pickle.loads(pickle.dumps(made)), copy.deepcopy(made)):
            assert twin == made
            assert json.dumps(twin.to_dict()) == written

    holds()


@pytest.mark.parametrize(
    "copied",
    [
        copy.copy,
        copy.deepcopy,
        *(lambda v, p=p: pickle.loads(pickle.dumps(v, p)) for p in range(6)),
    ],
)
def test_unset_stays_the_one_unset(copied: Callable[[Unset], Unset]) -> None:
    assert copied(UNSET) is UNSET


@pytest.mark.parametrize("name", ENUMS)
def test_an_enum_is_its_string_whether_the_spec_knows_it_or_not(name: str) -> None:
    enum = getattr(models, name)

    @PROPERTIES
    @example("")
    @example("RESUMED")
    @given(instances(name) | st.text())
    def holds(value: str) -> None:
        made = enum(value)
        for twin in (made, pickle.loads(pickle.dumps(made)), copy.copy(made), copy.deepcopy(made)):
            assert isinstance(twin, enum)
            assert twin == made == value
            assert {value: 1}[twin] == {twin: 1}[value] == 1
            assert hash(twin) == hash(value)
            assert twin.value == str(twin) == f"{twin}" == value
            assert json.dumps(twin) == json.dumps(value)

    holds()


@pytest.mark.parametrize("name", ENUMS)
def test_a_value_that_the_spec_does_not_know_does_not_join_the_enum(name: str) -> None:
    enum = getattr(models, name)
    assert enum("brand new") not in list(enum)
    assert sorted(enum) == sorted(SCHEMAS[name]["enum"])


@pytest.mark.parametrize("name", ENUMS)
@pytest.mark.parametrize("value", [5, None, [], 1.5])
def test_what_is_no_string_is_no_member(name: str, value: object) -> None:
    with pytest.raises(ValueError, match="is not a valid"):
        getattr(models, name)(value)


def test_digits_below_a_microsecond_are_dropped() -> None:
    """The one loss: Python's datetime has no room for them."""
    value = {"config": {}, "id": "0b0f2f46-9d1e-4b0e-8a8e-0c0d7c0a2c11", "messages": []}
    value |= {"model_name": "m", "response_function_calls": []}
    value |= {"created_at": "2026-01-02T03:04:05.123456789Z", "updated_at": "2026-01-02T03:04:05Z"}
    task = read("TextGenResponse", value)
    assert task.created_at.isoformat() == "2026-01-02T03:04:05.123456+00:00"
    assert task.created_at.utcoffset() == UTC.utcoffset(None)
