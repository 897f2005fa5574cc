"""Whom a change of the spec reaches: the rules, on specs made by hand."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffing.spec_changes import SpecChange, schema_changes
from diffing.spec_nodes import READ, SENT, nodes
from diffing.spec_operations import operation_changes
from diffing.spec_schema import Group, Relation, Spot, group_of, kinds, relate

pytestmark = pytest.mark.unmeasured

ADDS, EXHAUSTIVE, BREAKS = Group.ADDS, Group.EXHAUSTIVE, Group.BREAKS
STRING, INTEGER, NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}
DATE = {"type": "string", "format": "date"}
COLOUR = {"type": "string", "enum": ["red"]}
ANY: dict[str, Any] = {}


def spec(
    sent: dict[str, Any] | None = None, read: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """A spec of one operation that sends `Sent` and reads `Read`, each of these properties."""
    operation = {
        "operationId": "things_create",
        "tags": ["things"],
        "requestBody": {"content": {"application/json": {"schema": ref("Sent")}}, "required": True},
        "responses": {"200": {"content": {"application/json": {"schema": ref("Read")}}}},
    }
    schemas = {"Sent": thing(**sent or {}), "Read": thing(**read or {})}
    operation |= more.pop("operation", {})
    schemas |= more.pop("schemas", {})
    paths = {"/things/": {"post": operation}}
    return {"paths": paths, "components": {"schemas": schemas}, **more}


def thing(required: list[str] | None = None, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required or []}


def ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def changes(old: dict[str, Any], new: dict[str, Any]) -> list[SpecChange]:
    sides = nodes(old), nodes(new)
    return [*schema_changes(*sides), *operation_changes(*sides)]


def only(old: dict[str, Any], new: dict[str, Any]) -> SpecChange:
    (change,) = changes(old, new)
    return change


OPTIONAL, REQUIRED = {"size": STRING}, {"size": STRING, "required": ["size"]}


@pytest.mark.parametrize(
    ("old", "new", "sent", "read"),
    [
        ({}, OPTIONAL, ADDS, ADDS),
        ({}, REQUIRED, BREAKS, ADDS),
        (OPTIONAL, {}, BREAKS, BREAKS),
        (OPTIONAL, REQUIRED, BREAKS, ADDS),
        (REQUIRED, OPTIONAL, ADDS, BREAKS),
    ],
)
def test_a_property_is_judged_by_who_writes_it(
    old: dict[str, Any], new: dict[str, Any], sent: Group, read: Group
) -> None:
    for side, name, group in (("sent", "Sent", sent), ("read", "Read", read)):
        change = only(spec(**{side: old}), spec(**{side: new}))
        assert change.place == f"components.schemas.{name}.properties.size"
        assert (change.group, change.keys) == (group, (f"{name}.size",))
        assert change.what.endswith(f"(in {'requests' if side == 'sent' else 'responses'})")


WIDER = [
    (INTEGER, NUMBER),
    (STRING, ANY),
    (DATE, STRING),
    (COLOUR, STRING),
    (STRING, {"type": "string", "nullable": True}),
    (STRING, {"type": ["string", "null"]}),
    (STRING, {"oneOf": [STRING, INTEGER]}),
    (STRING, {"anyOf": [INTEGER, STRING]}),
    (COLOUR, {"type": "string", "enum": ["red", None]}),
    ({"type": "array", "items": INTEGER}, {"type": "array", "items": NUMBER}),
    ({"type": "array", "items": INTEGER}, {"type": "array"}),
    ({**STRING, "maxLength": 5}, {**STRING, "maxLength": 6}),
    ({**STRING, "maxLength": 5}, STRING),
    ({**STRING, "minLength": 5}, {**STRING, "minLength": 4}),
    ({**STRING, "minLength": 0, "pattern": "x"}, {**STRING, "minLength": 0}),
]
DIFFERENT = [
    (STRING, INTEGER),
    (DATE, {"type": "string", "format": "uuid"}),
    (STRING, {"type": "array", "items": STRING}),
    ({"type": "array", "items": STRING}, {"type": "array", "items": INTEGER}),
    (ref("Sent"), ref("Read")),
    (ref("Sent"), STRING),
    ({**STRING, "pattern": "x"}, {**STRING, "pattern": "y"}),
]


@pytest.mark.parametrize(
    ("old", "new", "groups"),
    [
        *((old, new, (ADDS, BREAKS)) for old, new in WIDER),
        *((new, old, (BREAKS, ADDS)) for old, new in WIDER),
        *((old, new, (BREAKS, BREAKS)) for old, new in DIFFERENT),
        *((new, old, (BREAKS, BREAKS)) for old, new in DIFFERENT),
    ],
)
def test_a_request_may_be_given_more_and_a_response_may_hold_less(
    old: dict[str, Any], new: dict[str, Any], groups: tuple[Group, Group]
) -> None:
    more = {"schemas": {"Sent": thing(a=STRING), "Read": thing(b=STRING)}}
    for side, group in zip(("Sent", "Read"), groups, strict=True):
        sides = []
        for value in (old, new):
            made = spec(**copy.deepcopy(more))
            made["components"]["schemas"][side]["properties"]["size"] = value
            sides.append(made)
        assert only(*sides).group == group, only(*sides)


def test_a_property_that_is_sent_and_read_is_judged_by_the_worst() -> None:
    both = {"operation": {"responses": {"200": {"content": {"a/b": {"schema": ref("Sent")}}}}}}
    sides = (spec(sent={"size": value}, **copy.deepcopy(both)) for value in (INTEGER, NUMBER))
    change = only(*sides)
    assert change.group == BREAKS
    assert change.what == "type: integer became number (in requests and responses)"


def test_a_type_is_told_in_words() -> None:
    several = {"oneOf": [ref("Read"), DATE, {"type": "array", "items": ref("Tint")}]}
    sides = (spec(sent={"a": one}, schemas={"Tint": COLOUR}) for one in (several, ANY))
    text = "type: Read or array of Tint or string (date) became anything (in requests)"
    assert only(*sides).what == text


def test_a_schema_that_no_operation_names_is_read() -> None:
    sides = (spec(schemas={"Event": thing(size=value)}) for value in (NUMBER, INTEGER))
    assert only(*sides).what == "type: number became integer (in responses)"


@pytest.mark.parametrize(
    ("old", "new", "sent", "read"),
    [
        (["red"], ["red", "blue"], ADDS, EXHAUSTIVE),
        (["red", "blue"], ["red"], BREAKS, ADDS),
        (["red", "blue"], ["blue", "red"], None, None),
    ],
)
def test_an_enum_is_open_to_readers(
    old: list[str], new: list[str], sent: Group | None, read: Group | None
) -> None:
    for side, group in (("sent", sent), ("read", read)):
        sides = [
            spec(**{side: {"tint": ref("Tint")}}, schemas={"Tint": {**STRING, "enum": values}})
            for values in (old, new)
        ]
        found = changes(*sides)
        assert [change.group for change in found] == ([] if group is None else [group])
        for change in found:
            assert change.keys == ("Tint=blue",)
            assert change.place == "components.schemas.Tint.enum"
            assert "'blue'" in change.what


def test_an_enum_that_becomes_an_object_breaks() -> None:
    sides = [spec(sent={"t": ref("T")}, schemas={"T": t}) for t in (COLOUR, thing(a=STRING))]
    for pair in (sides, sides[::-1]):
        assert [(change.group, change.keys) for change in changes(*pair)] == [
            (BREAKS, ("Sent.t",)),
            (BREAKS, ("T",)),
        ]


def test_a_default_that_is_replaced_or_gone_breaks_who_relied_on_it() -> None:
    def with_default(side: str, *value: object) -> dict[str, Any]:
        return spec(**{side: {"size": {**STRING, **({"default": value[0]} if value else {})}}})

    assert only(with_default("sent", "a"), with_default("sent", "b")).group == BREAKS
    assert only(with_default("read", "a"), with_default("read", "b")).group == ADDS
    assert only(with_default("sent"), with_default("sent", "b")).group == ADDS
    assert only(with_default("sent", ""), with_default("sent")).group == BREAKS
    assert only(with_default("read", "a"), with_default("read")).group == ADDS


def test_a_closed_object_is_narrower_than_an_open_one() -> None:
    closed = {"Sent": {**thing(), "additionalProperties": False}}
    change = only(spec(), spec(schemas=closed))
    assert (change.group, change.keys) == (BREAKS, ("Sent.additional_properties",))
    assert change.what == "type: anything became nothing (in requests)"
    assert only(spec(schemas=closed), spec()).group == ADDS
    assert not changes(spec(), spec(schemas={"Sent": {**thing(), "additionalProperties": {}}}))


def test_texts_and_the_disguise_of_a_reference_are_no_change() -> None:
    schemas = {"Tint": COLOUR}
    old = spec(sent={"tint": ref("Tint")}, schemas=schemas)
    new = spec(
        sent={"tint": {"allOf": [ref("Tint")], "description": "d", "title": "t"}}, schemas=schemas
    )
    assert not changes(old, new)


def test_an_allof_is_the_sum_of_its_parts() -> None:
    base = {"Base": thing(a=STRING, required=["a"])}
    whole = thing(a=STRING, b=STRING, required=["a"])
    parts = {"allOf": [ref("Base"), thing(b=STRING)]}
    more = {"allOf": [ref("Base"), thing(b=STRING, c=STRING)]}
    old, new, wider = (spec(sent={"x": one}, schemas=base) for one in (whole, parts, more))
    assert not changes(old, new)
    assert only(old, wider).keys == ("SentX.c",)


def test_a_renamed_schema_is_no_change_where_it_is_used() -> None:
    old = spec(sent={"a": ref("A")}, schemas={"A": thing(b=ref("B")), "B": thing(c=STRING)})
    new = spec(sent={"a": ref("X")}, schemas={"X": thing(b=ref("Y")), "Y": thing(c=STRING)})
    assert {(change.place.rpartition(".")[2], change.what) for change in changes(old, new)} == {
        ("A", "the schema is gone"),
        ("B", "the schema is gone"),
        ("X", "new schema"),
        ("Y", "new schema"),
    }
    new["components"]["schemas"]["Y"] = thing(c=INTEGER)
    assert "components.schemas.Sent.properties.a" in {one.place for one in changes(old, new)}


def test_schemas_may_refer_to_themselves() -> None:
    tree = {"Tree": thing(branches={"type": "array", "items": ref("Tree")})}
    bush = {"Bush": thing(branches={"type": "array", "items": ref("Bush")})}
    sides = spec(sent={"t": ref("Tree")}, schemas=tree), spec(sent={"t": ref("Bush")}, schemas=bush)
    assert not changes(sides[0], sides[0])
    assert len(changes(*sides)) >= 2


def operated(**operation: Any) -> dict[str, Any]:
    return spec(operation=operation)


def parameter(name: str = "limit", **more: Any) -> dict[str, Any]:
    return {"in": "query", "name": name, "schema": INTEGER, **more}


POST = "paths['/things/'].post"


def answer(value: dict[str, Any]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": value}}}


ANSWER = answer(ref("Read"))


@pytest.mark.parametrize(
    ("old", "new", "group", "place", "key"),
    [
        ([], [parameter()], ADDS, "parameters.limit", "(limit)"),
        ([], [parameter(required=True)], BREAKS, "parameters.limit", "(limit)"),
        ([parameter()], [], BREAKS, "parameters.limit", "(limit)"),
        ([parameter()], [parameter(required=True)], BREAKS, "parameters.limit", "(limit)"),
        ([parameter(required=True)], [parameter()], ADDS, "parameters.limit", "(limit)"),
        ([parameter()], [parameter(schema=NUMBER)], ADDS, "parameters.limit", "(limit)"),
        ([parameter()], [parameter(schema=STRING)], BREAKS, "parameters.limit", "(limit)"),
        ([parameter()], [{**parameter(), "in": "header"}], ADDS, "parameters.limit", "(limit)"),
    ],
)
def test_a_parameter_is_sent(
    old: list[Any], new: list[Any], group: Group, place: str, key: str
) -> None:
    change = only(operated(parameters=old), operated(parameters=new))
    assert (change.group, change.place) == (group, f"{POST}.{place}")
    assert change.keys == (f"things_create{key}",)
    assert ("required" in change.what) == any("required" in one for one in (*old, *new))


@pytest.mark.parametrize(
    ("old", "new", "group"),
    [
        ({"200": ANSWER}, {"200": ANSWER, "404": {}}, ADDS),
        ({"200": ANSWER, "404": {}}, {"200": ANSWER}, ADDS),
        ({"200": ANSWER}, {"201": ANSWER}, ADDS),
        ({"200": ANSWER}, {"404": {}}, BREAKS),
        ({"201": ANSWER}, {"202": {}}, BREAKS),
        ({"201": ANSWER}, {"202": answer(INTEGER)}, BREAKS),
        ({"201": ANSWER}, {"202": {}, "203": ANSWER}, ADDS),
        ({"204": {}}, {"200": ANSWER}, ADDS),
        ({"200": answer(INTEGER)}, {"200": answer(NUMBER)}, BREAKS),
        ({"200": answer(NUMBER)}, {"200": answer(INTEGER)}, ADDS),
        ({"200": {"content": {"a/b": {}, "c/d": {}}}}, {"200": {"content": {"a/b": {}}}}, BREAKS),
        ({"200": {"content": {"a/b": {}}}}, {"200": {"content": {"a/b": {}, "c/d": {}}}}, ADDS),
    ],
)  # fmt: skip
def test_an_answer_is_read(old: dict[str, Any], new: dict[str, Any], group: Group) -> None:
    change = only(operated(responses=old), operated(responses=new))
    assert (change.group, change.place) == (group, f"{POST}.responses")
    assert change.keys == ("things_create()",)


JSON_BODY = answer(ref("Sent"))


@pytest.mark.parametrize(
    ("old", "new", "group"),
    [
        ({}, JSON_BODY, ADDS),
        ({}, {**JSON_BODY, "required": True}, BREAKS),
        (JSON_BODY, {}, BREAKS),
        (JSON_BODY, {**JSON_BODY, "required": True}, BREAKS),
        ({**JSON_BODY, "required": True}, JSON_BODY, ADDS),
        (JSON_BODY, {"content": {"a/b": {"schema": ref("Sent")}}}, BREAKS),
        (JSON_BODY, {"content": {"application/json": {"schema": ref("Read")}}}, BREAKS),
    ],
)
def test_a_body_is_sent(old: dict[str, Any], new: dict[str, Any], group: Group) -> None:
    schemas = {"Sent": thing(a=STRING), "Read": thing(b=STRING)}
    change = only(*(spec(operation={"requestBody": one}, schemas=schemas) for one in (old, new)))
    assert (change.group, change.place) == (group, f"{POST}.requestBody")
    assert change.keys == ("things_create(body)",)


def test_an_operation_that_keeps_its_name_may_move() -> None:
    old, new = spec(), spec()
    new["paths"]["/new/"] = new["paths"].pop("/things/")
    change = only(old, new)
    assert (change.group, change.place) == (ADDS, "paths['/new/'].post")
    assert change.effects == (
        "`things_create` moved from `/things/` to `/new/`; calls stay as they are",
    )


@pytest.mark.parametrize("path", ["/things/", "/new/"])
def test_an_operation_that_loses_its_name_breaks(path: str) -> None:
    old, new = spec(), operated(operationId="other")
    new["paths"][path] = new["paths"].pop("/things/")
    change = only(old, new)
    assert (change.group, change.keys) == (BREAKS, ("things_create", "other"))
    assert "operationId: things_create became other" in change.what
    assert change.effects == ()
    assert ("moved from POST /things/ to POST /new/" in change.what) == (path == "/new/")


def test_a_part_of_an_operation_that_loses_its_name_is_known_by_both() -> None:
    """The wrapper's method knows the old one."""
    old = operated(parameters=[parameter()], responses={"200": ANSWER}, security=[{"A": []}])
    body = {"content": {"application/json": {"schema": STRING}}}
    new = operated(operationId="other", responses={"201": ANSWER}, requestBody=body)
    assert {change.keys for change in changes(old, new) if len(change.keys) > 1} == {
        ("things_create", "other"),
        *((f"other({part})", f"things_create({part})") for part in ("limit", "body", "", "client")),
    }


def test_operations_that_are_alike_are_not_taken_for_each_other() -> None:
    old, new = spec(), operated(operationId="other")
    new["paths"] = {"/a/": new["paths"]["/things/"], "/b/": copy.deepcopy(new["paths"]["/things/"])}
    new["paths"]["/b/"]["post"]["operationId"] = "another"
    assert [(change.keys, change.group) for change in changes(old, new)] == [
        (("things_create",), BREAKS),
        (("other",), ADDS),
        (("another",), ADDS),
    ]


def test_another_tag_moves_the_module_and_breaks() -> None:
    moved = operated(tags=["stuff"])
    moved["paths"]["/new/"] = moved["paths"].pop("/things/")
    assert only(spec(), moved).effects == ()
    change = only(spec(), operated(tags=["stuff"]))
    assert (change.group, change.what) == (BREAKS, "tag: things became stuff")


@pytest.mark.parametrize(
    ("old", "new", "group"),
    [
        ([{"a": []}], [{"a": []}, {"b": []}], ADDS),
        ([{"a": []}], [], ADDS),
        ([{"a": []}, {"b": []}], [{"a": []}], BREAKS),
        ([], [{"a": []}], BREAKS),
    ],
)
def test_another_way_to_authenticate_is_no_harm(
    old: list[Any], new: list[Any], group: Group
) -> None:
    change = only(operated(security=old), operated(security=new))
    assert (change.group, change.place) == (group, f"{POST}.security")
    assert only(spec(security=old), spec(security=new)).group == group


@pytest.mark.parametrize(
    ("old", "new", "group"),
    [(["a"], ["a", "b"], ADDS), (["a"], ["b"], BREAKS), (["a", "b"], ["b", "a"], BREAKS)],
)
def test_the_server_that_is_used_by_default_must_stay(
    old: list[str], new: list[str], group: Group
) -> None:
    sides = (spec(servers=[{"url": url} for url in urls]) for urls in (old, new))
    change = only(*sides)
    assert (change.group, change.place) == (group, "servers")


def test_a_scheme_of_credentials_must_stay() -> None:
    def scheme(**schemes: Any) -> dict[str, Any]:
        made = spec()
        made["components"]["securitySchemes"] = schemes
        return made

    key = {"type": "apiKey", "name": "X", "in": "header"}
    assert only(scheme(), scheme(a=key)).group == ADDS
    assert only(scheme(a=key), scheme()).group == BREAKS
    assert only(scheme(a=key), scheme(a={**key, "name": "Y"})).group == BREAKS
    assert not changes(scheme(a=key), scheme(a={**key, "description": "d"}))


def test_what_is_deprecated_is_told() -> None:
    assert only(spec(), operated(deprecated=True)).what == "deprecated"
    old, new = ({"sent": {"size": {**STRING, **more}}} for more in ({}, {"deprecated": True}))
    assert only(spec(**old), spec(**new)).group == ADDS


# --- any spec ---

NAMES = st.sampled_from(["Sent", "Read", "Tree", "Tint"])
LEAVES = st.one_of(
    st.sampled_from([STRING, INTEGER, NUMBER, DATE, COLOUR, ANY, {"type": "boolean"}]),
    st.builds(ref, NAMES),
    st.builds(lambda name: {"allOf": [ref(name)], "description": "d"}, NAMES),
    st.builds(lambda size: {**STRING, "maxLength": size, "default": "x"}, st.integers(1, 9)),
)
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda items: {"type": "array", "items": items}, inner),
        st.builds(lambda *members: {"oneOf": list(members)}, inner, inner),
        st.builds(lambda field: thing(field=field), inner),
        st.builds(lambda more: {"type": "object", "additionalProperties": more}, inner),
    ),
    max_leaves=6,
)
PROPERTIES = st.dictionaries(st.sampled_from(["a", "bC", "d_e", "class"]), SCHEMAS, max_size=4)
SPECS = st.builds(
    lambda sent, read, tree, values: spec(
        sent=sent,
        read=read,
        schemas={"Tree": thing(**tree), "Tint": {"type": "string", "enum": sorted(values)}},
    ),
    PROPERTIES,
    PROPERTIES,
    PROPERTIES,
    st.sets(st.sampled_from(["red", "green", "blue"]), min_size=1),
)
VALUES = st.one_of(
    st.sampled_from([STRING, INTEGER, NUMBER, DATE, COLOUR, ANY]),
    st.builds(lambda *members: {"anyOf": list(members)}, *[st.sampled_from([STRING, INTEGER])] * 2),
)


@given(SPECS)
def test_no_spec_differs_from_itself(made: dict[str, Any]) -> None:
    assert changes(made, copy.deepcopy(made)) == []


@given(SPECS, SPECS)
def test_any_two_specs_can_be_compared_either_way(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    there, back = changes(one, other), changes(other, one)
    assert {key for change in there for key in change.keys} == {
        key for change in back for key in change.keys
    }


@given(SPECS, st.sampled_from(["Sent", "Read", "Tree"]), SCHEMAS)
def test_an_added_field_adds_and_taken_away_again_breaks(
    made: dict[str, Any], name: str, value: dict[str, Any]
) -> None:
    more = copy.deepcopy(made)
    more["components"]["schemas"][name]["properties"]["zzz"] = value
    there = [change for change in changes(made, more) if change.keys == (f"{name}.zzz",)]
    back = [change for change in changes(more, made) if change.keys == (f"{name}.zzz",)]
    assert [change.group for change in (*there, *back)] == [ADDS, BREAKS]


@given(VALUES, VALUES)
def test_a_relation_is_turned_round_with_its_sides(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    mirror = {Relation.WIDER: Relation.NARROWER, Relation.NARROWER: Relation.WIDER}
    first, then = (kinds(value, {}, Spot("", "x")) for value in (one, other))
    relation = relate(first, then)
    assert relate(then, first) == mirror.get(relation, relation)
    assert group_of(relation, {SENT}) == group_of(mirror.get(relation, relation), {READ})
