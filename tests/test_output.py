"""Objects out: the schema of a type, the instance of a text, and both around a generation."""

from __future__ import annotations

import abc
import dataclasses
import enum
import gc
import json
import pickle
import sys
import weakref
from collections.abc import Mapping, MutableMapping, MutableSequence, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from time import process_time
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Final,
    Generic,
    Literal,
    NewType,
    NotRequired,
    Optional,
    Protocol,
    Required,
    TypedDict,
    TypeVar,
    Union,
)
from uuid import UUID

import annotated_types
import attrs
import jsonschema  # type: ignore[import-untyped] # ships no types
import msgspec
import pydantic
import pytest
import typing_extensions
from hypothesis import given
from hypothesis import strategies as st

from creatify import (
    ConfigurationError,
    InvalidRequestError,
    OutputParseError,
    output,
    user,
)
from creatify.output import ParsedTextGenResponse, parse, schema
from creatify.testing import faults
from creatify_api.models import TextGenConfig, TextGenRequest, TextGenResponse

if TYPE_CHECKING:
    from collections.abc import Callable

    from colours import Colour
    from rawserver import Exchange, RawServer, Script

    from creatify.testing import Emulator

ASKED: dict[str, Any] = {"model_name": "gemini-2.5-flash", "messages": [user("Invent it.")]}
T = TypeVar("T")


class Size(enum.Enum):
    SMALL = "S"
    LARGE = "L"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclasses.dataclass
class Item:
    """A thing in a shop."""

    name: str
    price: Annotated[float, "in euros"]
    size: Size = Size.SMALL


@attrs.define
class Order:
    id: UUID
    items: list[Item]
    placed: datetime
    level: Level = Level.LOW
    note: str | None = None
    counts: dict[str, int] = attrs.field(factory=dict)
    _tag: Literal["a", "b"] = "a"


class Extra(TypedDict, total=False):
    kind: Required[Literal["extra"]]
    days: list[date]


class Hint(TypedDict):
    kind: Literal["hint"]
    text: NotRequired[Annotated[str, typing_extensions.Doc("what to say")]]


@dataclasses.dataclass
class Tree:
    value: int
    children: list[Tree] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Page(Generic[T]):
    rows: list[T]
    next: T | None = None


class Person(pydantic.BaseModel):
    name: str
    born: date
    friends: list[Person] = []


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]


class Zoo(pydantic.BaseModel):
    animal: Annotated[Dog | Cat, pydantic.Field(discriminator="kind")]


@attrs.define
class Team:
    lead: Person
    pair: tuple[int, str]
    tags: set[str]
    mixed: list[Item | Hint | Person | int | None]


@attrs.define
class Counted:
    x: int
    y: int = attrs.field(init=False, default=2)


@dataclasses.dataclass
class Seeded:
    x: int
    seed: dataclasses.InitVar[int] = 0


@dataclasses.dataclass(init=False)
class Measured:
    text: str
    size: int

    def __init__(self, text: str) -> None:
        self.text, self.size = text, len(text)


# As attrs had it before annotations: of x nothing is said.
Classic = attrs.make_class("Classic", {"x": attrs.field(), "y": attrs.field(type=str)})


class Fixed(TypedDict):
    kind: typing_extensions.ReadOnly[str]
    x: typing_extensions.ReadOnly[Counted]


@attrs.define
class Settled:
    x: Final[Counted]


@dataclasses.dataclass
class Doubled(Generic[T]):
    x: T
    rows: dict[str, list[T]] = dataclasses.field(default_factory=dict)
    y: int = dataclasses.field(init=False, default=2)


# Their own name stands in another type, as without `from __future__ import annotations`.
LISTERS: Any = list["Lister"]  # type: ignore[valid-type]
Lister = dataclasses.make_dataclass(
    "Lister", [("kids", LISTERS)], namespace={"__module__": __name__}
)
KNOT: Any = Optional["Knot"]
Knot = attrs.make_class("Knot", {"next": attrs.field(type=KNOT, default=None)})


@dataclasses.dataclass
class Pages(Page[int]):
    count: int = 0


@dataclasses.dataclass
class Grid(Page[list[T]], Generic[T]):
    """Its T is not that of a page."""

    next: T | None = None  # type: ignore[assignment] # another than a page's
    any: Page = dataclasses.field(  # type: ignore[type-arg] # of anything
        default_factory=lambda: Page([])
    )


class Nexts(Protocol[T]):
    next: T | None


@dataclasses.dataclass
class Grids(Grid[int], Nexts[str]):  # type: ignore[misc] # its next is a grid's
    pass


class Labelled(TypedDict, Generic[T]):
    label: NotRequired[T]


class Listed(Labelled[list[T]], Generic[T]):
    one: T


Even = NewType("Even", int)
Alias = typing_extensions.TypeAliasType("Alias", list[int])
Many = typing_extensions.TypeAliasType("Many", list[T], type_params=(T,))


# The schema


def test_a_class_becomes_an_object_with_what_is_said_of_it() -> None:
    assert schema(Item) == {
        "type": "object",
        "description": "A thing in a shop.",
        "properties": {
            "name": {"type": "string"},
            "price": {"type": "number", "description": "in euros"},
            "size": {"title": "Size", "enum": ["L", "S"], "type": "string"},
        },
        "required": ["name", "price"],
    }


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (int, {"type": "integer"}),
        (None, {"type": "null"}),
        (Any, {}),
        (object, {}),
        (datetime, {"type": "string", "format": "date-time"}),
        (time, {"type": "string", "format": "time"}),
        (UUID, {"type": "string", "format": "uuid"}),
        (Literal["a"], {"enum": ["a"], "type": "string"}),
        (Literal["a", 1], {"enum": [1, "a"]}),
        (Level, {"title": "Level", "enum": [1, 2], "type": "integer"}),
        (list, {"type": "array"}),
        (tuple[int, ...], {"type": "array", "items": {"type": "integer"}}),
        (dict, {"type": "object"}),
        (dict[Any, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
        (dict[Size, Any], {"type": "object"}),
        (Even, {"type": "integer"}),
        (Counted, {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}),
        (Seeded, {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}),
        (Alias, {"type": "array", "items": {"type": "integer"}}),
        (Many[str], {"type": "array", "items": {"type": "string"}}),
        (Annotated[int, msgspec.Meta(ge=1)], {"type": "integer", "minimum": 1}),
        (
            Annotated[list[Any], msgspec.Meta(min_length=2), "several"],
            {"type": "array", "minItems": 2, "description": "several"},
        ),
        (
            Annotated[int, typing_extensions.Doc("how many")],
            {"type": "integer", "description": "how many"},
        ),
        (
            Annotated[tuple[int], "one"],
            {
                "type": "array",
                "description": "one",
                "prefixItems": [{"type": "integer"}],
                "minItems": 1,
                "maxItems": 1,
            },
        ),
        (Annotated[Annotated[int, "inner"], "outer"], {"type": "integer", "description": "outer"}),
        (Optional[int], {"anyOf": [{"type": "integer"}, {"type": "null"}]}),  # noqa: UP045 - asked
        (
            tuple[int, str],
            {
                "type": "array",
                "prefixItems": [{"type": "integer"}, {"type": "string"}],
                "minItems": 2,
                "maxItems": 2,
            },
        ),
    ],
)
def test_a_type_has_its_schema(kind: object, expected: dict[str, Any]) -> None:
    assert schema(kind) == expected


def test_a_class_of_a_generic_one_has_the_types_that_it_gives() -> None:
    assert schema(Pages)["properties"]["rows"]["items"] == {"type": "integer"}
    one, many = {"type": "integer"}, {"type": "array", "items": {"type": "integer"}}
    for kind in (Grid[int], Grids):
        properties: Any = schema(kind)["properties"]
        assert properties["rows"] == {"type": "array", "items": many}
        assert properties["next"]["anyOf"][0] == one
        assert properties["any"]["properties"]["rows"] == {"type": "array"}
    assert schema(Listed[int])["properties"] == {"label": many, "one": one}


@dataclasses.dataclass
class DataDog:
    kind: Literal["dog"]
    name: str


@dataclasses.dataclass
class DataCat:
    kind: Literal["cat"]
    name: str


Percent = Annotated[int, pydantic.Field(ge=0, le=100, description="Of the price.")]


@dataclasses.dataclass
class Discount:
    percent: Percent
    codes: list[Annotated[str, annotated_types.Len(4, 4)]]
    on: Annotated[DataDog | DataCat, pydantic.Field(discriminator="kind")] | None = None


def test_what_pydantics_words_say_of_a_type_is_told_and_checked() -> None:
    properties = schema(Discount)["properties"]
    assert properties["percent"] == {
        "type": "integer",
        "minimum": 0,
        "maximum": 100,
        "description": "Of the price.",
    }
    assert properties["codes"]["items"] == {"type": "string", "minLength": 4, "maxLength": 4}
    text = '{"percent": 5, "codes": ["ABCD"], "on": {"kind": "cat", "name": "Tom"}}'
    assert parse(text, Discount) == Discount(5, ["ABCD"], DataCat("cat", "Tom"))
    for wrong, place in (('"percent": 101', "$.percent"), ('"percent": "5"', "$.percent")):
        with pytest.raises(OutputParseError) as caught:
            parse(text.replace('"percent": 5', wrong), Discount)
        assert caught.value.path == place
    with pytest.raises(OutputParseError) as caught:
        parse(text.replace("ABCD", "ABC"), Discount)
    assert caught.value.path == "$.codes[0]"


def test_references_are_replaced_by_what_they_refer_to() -> None:
    text = json.dumps([schema(Order), schema(Zoo), schema(Team)["properties"]["mixed"]["items"]])
    assert schema(Order)["properties"]["items"]["items"] == schema(Item)
    assert "$ref" not in json.dumps([schema(Order), schema(Zoo)])
    assert "discriminator" not in text
    assert schema(Annotated[Item, "sold"]) == {**schema(Item), "description": "sold"}


def test_a_property_may_be_named_as_a_word_of_schemas() -> None:
    class Words(pydantic.BaseModel):
        discriminator: str
        items: bool = False

    assert list(schema(Words)["properties"]) == ["discriminator", "items"]
    assert schema(Words)["properties"]["discriminator"]["type"] == "string"


def test_a_class_that_holds_itself_keeps_a_reference() -> None:
    tree = schema(Tree)
    inner = {
        "type": "object",
        "properties": {
            "value": {"type": "integer"},
            "children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}},
        },
        "required": ["value"],
    }
    assert tree == {**inner, "$defs": {"Tree": inner}}
    validator = jsonschema.Draft202012Validator(tree)
    assert validator.is_valid({"value": 1, "children": [{"value": 2, "children": []}]})
    assert not validator.is_valid({"value": 1, "children": [{"value": "2"}]})


def test_a_model_that_holds_itself_is_kept_once() -> None:
    assert list(schema(Team)["$defs"]) == ["Person.Person"]


def test_a_type_that_msgspec_does_not_know_is_named_without_its_advice() -> None:
    with pytest.raises(InvalidRequestError, match=r"is no type of a JSON value; nothing was sent$"):
        schema(complex)


def test_each_way_of_two_classes_that_hold_each_other_is_kept() -> None:
    validator = jsonschema.Draft202012Validator(schema(Left))
    assert validator.is_valid({"right": {"left": {"right": None}}})
    assert not validator.is_valid({"right": {"left": {"right": 3}}})


@dataclasses.dataclass
class Left:
    right: Right | None


@dataclasses.dataclass
class Right:
    left: Left | None
    left_too: Left | None = None


def test_classes_of_one_name_are_kept_apart() -> None:
    same = {"Item": dataclasses.make_dataclass("Item", [("x", int)])}
    both = dataclasses.make_dataclass("Both", [("a", Item), ("b", same["Item"])])
    properties: Any = schema(both)["properties"]
    assert properties["a"] == schema(Item)
    assert list(properties["b"]["properties"]) == ["x"]


def test_classes_that_are_named_as_others_are_numbered_are_kept_apart() -> None:
    names = ["X", *(f"X_{number}" for number in range(3, 10)), "X", "X"]
    fields = [(f"of{place}", Any) for place in range(len(names))]
    kinds = [
        dataclasses.make_dataclass(*one) for one in zip(names, [[f] for f in fields], strict=True)
    ]
    whole = dataclasses.make_dataclass("All", [(f"f{n}", kind) for n, kind in enumerate(kinds)])
    properties: Any = schema(whole)["properties"]
    assert [list(one["properties"]) for one in properties.values()] == [[f[0]] for f in fields]


@pytest.mark.parametrize(
    "kind",
    [
        *(Item, Order, Extra, Hint, Tree, Page[int], Page[Item], Person, Zoo, Team, Size, Left),
        *(list[Item], Item | Hint, Order | None, dict[str, Team]),
    ],
)
def test_a_schema_is_plain_json_schema(kind: object) -> None:
    made = json.loads(json.dumps(schema(kind)))
    jsonschema.Draft202012Validator.check_schema(made)


@dataclasses.dataclass
class NotFields:
    given: dataclasses.InitVar[int]
    x: int = 0


class Base(abc.ABC):
    @abc.abstractmethod
    def method(self) -> None: ...


@attrs.define
class Abstract(Base):
    x: int = 0


@dataclasses.dataclass(frozen=True)
class Keyed:
    others: dict[Keyed, int]


@dataclasses.dataclass
class Unknown:
    x: list[Nowhere]  # type: ignore[name-defined] # noqa: F821 - that is it


@dataclasses.dataclass
class Deep:
    pages: Page[complex]


class Broken(pydantic.BaseModel):
    call: Callable[[], int]


Broken.model_rebuild(_types_namespace={"Callable": __import__("collections").abc.Callable})


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (complex, "complex: complex is no type of a JSON value"),
        (set[Item], "set[test_output.Item]: Item has no hash: take a list of it"),
        (frozenset[list[int]], "list[int] has no hash: take a list of it"),
        (set[Extra], "Extra has no hash: take a list of it"),
        (set[Annotated[Person, "who"]], "Person has no hash: take a list of it"),
        (3, "3: 3 is no type of a JSON value: Type '3' is not supported"),
        ([int], "is no type of a JSON value"),
        (Deep, "Deep.pages.rows[]: complex is no type of a JSON value"),
        (dict[int, str], "the keys of a JSON object are strings, and not int"),
        (Keyed, "Keyed.others: the keys of a JSON object are strings, and not Keyed"),
        (NotFields, "NotFields can't be made of JSON: it takes 'given', which is none of its"),
        (Abstract, "Abstract is abstract: there are none of it"),
        (Unknown, "a type of Unknown can't be looked up (name 'Nowhere' is not defined)"),
        (Broken, "Broken: Broken is no type of a JSON value: Cannot generate a JsonSchema"),
        (Annotated[int, {}], "typing.Annotated[int, {}] is no type of a JSON value: unhashable"),
        (list["Item"], "list['Item'][]: Item is no type of a JSON value"),
    ],
)
async def test_a_type_without_a_schema_is_refused_before_anything_is_sent(
    colour: Colour, emulator: Emulator, kind: Any, said: str
) -> None:
    tg = colour.client(base_url=emulator.url).text_generator
    for ask in (tg.generate, tg.stream):
        with pytest.raises(InvalidRequestError) as caught:
            await ask(**ASKED, output=kind)
        assert said in str(caught.value)
        assert str(caught.value).endswith("; nothing was sent")
    assert emulator.requests == []


# The instance


@pytest.mark.parametrize(
    ("text", "kind", "made"),
    [
        ('{"name": "a", "price": 2}', Item, Item("a", 2.0)),
        ('{"name": "a", "price": 2, "size": "L", "?": 1}', Item, Item("a", 2.0, Size.LARGE)),
        ("```json\n[1, 2]\n```", list[int], [1, 2]),
        (" \n```\n[1]```\n", list[int], [1]),
        ("2.0", int, 2),
        ("1e2", Level | int, 100),
        ("2.5", Any, 2.5),
        ("2", float, 2.0),
        ("9007199254740993.0", float, 9007199254740992.0),
        ('["a", "a"]', set[str], {"a"}),
        ('["a"]', frozenset[str], frozenset("a")),
        ("[1, 2]", tuple[int, ...], (1, 2)),
        ("[1, 2]", tuple, (1, 2)),
        ('[{"x": 1}]', Sequence[Counted], [Counted(1)]),
        ('[{"x": 1}]', MutableSequence[Counted], [Counted(1)]),
        ('["a"]', AbstractSet[str | date], frozenset("a")),
        ('{"a": {"x": 1}}', Mapping[str, Counted], {"a": Counted(1)}),
        ('{"a": {"x": 1}}', MutableMapping[str, Counted], {"a": Counted(1)}),
        ("[1]", list, [1]),
        ('{"S": 1}', dict[Size, int], {Size.SMALL: 1}),
        ('{"kind": "extra", "other": 1}', Extra, {"kind": "extra"}),
        ('{"kind": "hint"}', Extra | Hint, {"kind": "hint"}),
        ('{"rows": [1], "next": null}', Page[int], Page([1])),
        ('{"x": 1, "y": 3}', Counted, Counted(1)),
        ('{"text": "abc", "size": 1}', Measured, Measured("abc")),
        ('{"x": 1, "y": "a"}', Classic, Classic(1, "a")),
        ('{"kind": "a", "x": {"x": 1}}', Fixed, {"kind": "a", "x": Counted(1)}),
        ('{"x": {"x": 1}}', Settled, Settled(Counted(1))),
        ('{"x": 1, "y": 3, "rows": {"a": [2]}}', Doubled[int], Doubled(1, {"a": [2]})),
        ('{"rows": [1], "next": 2}', Pages, Pages([1], 2)),
        ('{"rows": ["a", 1]}', Page, Page(["a", 1])),
        ('{"kids": [{"kids": []}]}', Lister, Lister([Lister([])])),
        ('{"next": {"next": null}}', Knot, Knot(Knot())),
        ("4", Even, 4),
        ("[4]", Many[int], [4]),
        ("null", int | None, None),
        ("1", int | None, 1),
        ("1", int | str | None, 1),
        ("null", int | str | None, None),
        ('"2026-01-02"', date | str, date(2026, 1, 2)),
        ('"x"', date | str, "x"),
        ('{"name": "a", "price": 1}', dict[str, Any] | Item, Item("a", 1.0)),
        ('{"name": "a"}', dict[str, Any] | Item, {"name": "a"}),
        ("3", Annotated[int, msgspec.Meta(ge=3)], 3),
        ('{"animal": {"kind": "cat"}}', Zoo, Zoo(animal=Cat(kind="cat"))),
        ('{"name": "a", "born": "2026-01-02"}', Person, Person(name="a", born=date(2026, 1, 2))),
    ],
)
def test_a_text_becomes_an_instance(text: str, kind: Any, made: object) -> None:
    parsed = parse(text, kind)
    assert parsed == made
    assert type(parsed) is type(made)


@pytest.mark.parametrize(
    ("text", "kind", "path", "said"),
    [
        ("", Item, "$", "there is none; it was paid for"),
        ("Sure! {}", Item, "$", "it is no JSON"),
        ('{"name": ', Item, "$", "it is no JSON"),
        ("[NaN]", list[float], "$", "NaN is no JSON"),
        ("[1e400]", list[float], "$", "it is no JSON"),
        ("9007199254740993.0", int, "$", "Expected `int`, got `float`"),
        ('{"value": "x"}', Tree | None, "$.value", "Expected `int`, got `str`"),
        ('"2"', float, "$", "Expected `float`, got `str`"),
        ("```5\n6```", int, "$", "it is no JSON"),
        ("[" * 100_000, Any, "$", "it is no JSON"),
        ("```json\n{}\n``` and so on", dict, "$", "it is no JSON"),
        ('{"name": "a"}', Item, "$.price", "at $.price: it is required and missing"),
        ('{"name": 1, "price": 2}', Item, "$.name", "Expected `str`, got `int`"),
        ('{"name": "a", "price": "2"}', Item, "$.price", "Expected `float`, got `str`"),
        ('{"name": "a", "price": 2, "size": "M"}', Item, "$.size", "Invalid enum value 'M'"),
        ('{"name": 1, "price": "2", "size": 3, "x": 4}', list[Item], "$", "Expected `array`"),
        ('[{"name": "a", "price": 2}, {"name": "a"}]', list[Item], "$[1].price", "missing"),
        ('{"k": [{}]}', dict[str, list[Item]], "$['k'][0].name", "; at $['k'][0].price: "),
        ('"abc"', list[str], "$", "Expected `array`, got `str`"),
        ('"abc"', Tree, "$", "Expected `object`, got `str`"),
        ('"abc"', dict[str, int], "$", "Expected `object`, got `str`"),
        ("[]", Tree, "$", "Expected `object`, got `array`"),
        ('{"rows": ["a"]}', Pages, "$.rows[0]", "Expected `int`, got `str`"),
        ('{"label": "a"}', Labelled[int], "$.label", "Expected `int`, got `str`"),
        ("{}", Extra, "$.kind", "it is required and missing"),
        ('{"kind": "hint", "text": 1}', Hint, "$.text", "Expected `str`"),
        ('"{}"', Hint, "$", "Expected `object`"),
        ("[1]", tuple[int, str], "$", "Expected `array` of length 2"),
        ('[1, "a", 2]', tuple[int, str], "$", "Expected `array` of length 2"),
        ("true", int, "$", "Expected `int`, got `bool`"),
        ("1", bool, "$", "Expected `bool`, got `int`"),
        ("1.5", int, "$", "Expected `int`, got `float`"),
        ("2", Annotated[int, msgspec.Meta(ge=3)], "$", "Expected `int` >= 3"),
        ("[1]", Annotated[list[int], msgspec.Meta(min_length=2)], "$", "length >= 2"),
        ("{}", int | Item, "$", "it fits none of 2 types: at $: Expected `int`, got `object`; or"),
        ('{"name": "a", "born": 3}', Person, "$.born", "Input should be"),
        ('{"lead": {"name": "a", "born": "x"}}', Team, "$.lead.born", "; at $.pair: it is"),
        ('[{"x": -1}]', "Checked", "$[0]", "below zero"),
        ('[{"x": 1}]', "Checked", "$[0]", "NotImplementedError"),
    ],
)
def test_a_text_that_does_not_fit_says_where_and_keeps_all(
    text: str, kind: Any, path: str, said: str
) -> None:
    kind = list[Checked] if kind == "Checked" else kind
    with pytest.raises(OutputParseError) as caught:
        parse(text, kind)
    error = caught.value
    assert (error.text, error.path, error.task) == (text, path, None)
    assert said in str(error)
    assert "; it was paid for: .text has it" in str(error)


@dataclasses.dataclass
class Checked:
    x: int

    def __post_init__(self) -> None:
        if self.x < 0:
            raise KeyError("below zero")
        raise NotImplementedError


@dataclasses.dataclass
class Days:
    first: date | str
    second: str | date


def test_the_first_of_a_union_is_so_whatever_was_read_as_an_equal_one_before() -> None:
    day = date(2026, 1, 2)
    assert parse(f'"{day}"', date | str) == day
    assert parse(f'"{day}"', str | date) == str(day)
    assert parse(f'["{day}"]', list[date | str]) == [day]
    assert parse(f'["{day}"]', list[str | date]) == [str(day)]
    assert parse(f'{{"first": "{day}", "second": "{day}"}}', Days) == Days(day, str(day))


def test_of_many_places_an_error_names_three() -> None:
    with pytest.raises(OutputParseError, match=r"at \$\[2\]: Expected .*; and 2 more; it was"):
        parse("[1, 2, 3, 4, 5]", list[str])


@dataclasses.dataclass
class Add:
    op: Literal["add"]
    left: Add | Mul | int
    made: ClassVar[list[object]] = []

    def __post_init__(self) -> None:
        self.made.append(self)


@dataclasses.dataclass
class Mul(Add):
    op: Literal["mul"]  # type: ignore[assignment] # not said of the class that it is one of


def nested(inner: object, depth: int) -> str:
    for _ in range(depth):
        inner = {"op": "mul", "left": inner}
    return json.dumps(inner)


def test_unions_in_unions_cost_no_more_than_each_member_at_each_place() -> None:
    Add.made.clear()
    assert isinstance(parse(nested(1, 8), Add | Mul), Mul)
    assert len(Add.made) == 8
    with pytest.raises(OutputParseError) as caught:
        parse(nested("x", 30), Add | Mul)
    assert len(Add.made) == 8
    assert len(str(caught.value)) < 2000


def test_what_an_error_says_stays_short_however_long_what_the_model_wrote() -> None:
    for text in (json.dumps({"size": "M" * 100_000}), json.dumps({"k" * 100_000: {"x": 1}})):
        with pytest.raises(OutputParseError) as caught:
            parse(text, dict[str, Size])
        assert len(str(caught.value)) < 2000
        assert caught.value.text == text


@pytest.mark.parametrize("text", ["```\n" + " " * 100_000, "```" + "\n" * 100_000 + "x"])
def test_a_text_that_is_all_blanks_takes_no_time(text: str) -> None:
    began = process_time()
    with pytest.raises(OutputParseError):
        parse(text, int)
    assert process_time() - began < 2


def test_an_instance_that_nobody_holds_is_forgotten() -> None:
    made = parse('{"name": "a", "price": 1}', Item | Tree)
    held = weakref.ref(made)
    del made
    gc.collect()
    assert held() is None


def test_a_type_that_nobody_holds_is_forgotten() -> None:
    kinds = weakref.WeakSet[type]()
    for number in range(300):
        kind = dataclasses.make_dataclass(f"Local{number}", [("x", int | None)])
        assert parse('{"x": 1}', kind).x == 1
        kinds.add(kind)
        del kind
    gc.collect()
    assert len(kinds) < 200


def test_parse_takes_a_task_or_a_text_and_a_type_with_a_schema() -> None:
    with pytest.raises(InvalidRequestError, match="parse takes a task"):
        parse(b"1", int)  # type: ignore[call-overload]
    with pytest.raises(InvalidRequestError, match="complex is no type"):
        parse("1", complex)


def test_the_guide_s_module_offers_what_it_says() -> None:
    assert output.__all__ == sorted(output.__all__)
    assert all(hasattr(output, name) for name in output.__all__)


# Instance, JSON, instance


def to_json(value: Any) -> str:
    def other(inner: Any) -> object:
        return inner.model_dump(mode="json")

    built = msgspec.to_builtins(
        attrs.asdict(value) if attrs.has(type(value)) else value, enc_hook=other
    )
    return json.dumps(built)


texts = st.text(st.characters(codec="utf-8"), max_size=8)
floats = st.floats(allow_nan=False, allow_infinity=False)
moments = st.datetimes(timezones=st.just(UTC))
items = st.builds(Item, texts, floats, st.sampled_from(Size))
persons = st.builds(
    Person,
    name=texts,
    born=st.dates(),
    friends=st.lists(st.builds(Person, born=st.dates()), max_size=2),
)
hints = st.fixed_dictionaries({"kind": st.just("hint")}, optional={"text": texts})
trees = st.recursive(
    st.builds(Tree, st.integers(), st.just([])),
    lambda inner: st.builds(Tree, st.integers(), st.lists(inner, max_size=3)),
    max_leaves=8,
)
orders = st.builds(
    Order,
    st.uuids(),
    st.lists(items, max_size=3),
    moments,
    st.sampled_from(Level),
    st.none() | texts,
    st.dictionaries(texts, st.integers(), max_size=3),
    st.sampled_from(["a", "b"]),
)
teams = st.builds(
    Team,
    persons,
    st.tuples(st.integers(), texts),
    st.sets(texts, max_size=3),
    st.lists(items | hints | persons | st.integers() | st.none(), max_size=4),
)
extras = st.fixed_dictionaries(
    {"kind": st.just("extra")}, optional={"days": st.lists(st.dates(), max_size=2)}
)
singles = [
    (int, st.integers()),
    (float, floats),
    (str, texts),
    (bool, st.booleans()),
    (Decimal, st.decimals(allow_nan=False, allow_infinity=False)),
    (timedelta, st.timedeltas(timedelta(-100_000), timedelta(100_000))),
    (bytes, st.binary(max_size=8)),
    (time, st.times()),
    (datetime, moments | st.datetimes()),
    (int | str | bool | None, st.integers() | texts | st.booleans() | st.none()),
    (Union[Item, Tree], items | trees),  # noqa: UP007 - both ways are types
    (Item, items),
    (Order, orders),
    (Extra, extras),
    (Hint, hints),
    (Tree, trees),
    (Person, persons),
    (Team, teams),
]


@pytest.mark.unmeasured
@given(case=st.sampled_from(singles).flatmap(lambda one: st.tuples(st.just(one[0]), one[1])))
def test_what_an_instance_is_as_json_fits_the_schema_and_is_the_instance_again(
    case: tuple[Any, Any],
) -> None:
    kind, value = case
    text = to_json(value)
    jsonschema.validate(json.loads(text), schema(kind))
    assert parse(text, kind) == value
    assert parse(f"```json\n{text}\n```", kind) == value


# Around a generation


def answering(text: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda _: text


async def test_generate_gives_the_task_with_its_text_as_an_instance(
    colour: Colour, emulator: Emulator
) -> None:
    tg = colour.client(base_url=emulator.url).text_generator
    seen: list[TextGenResponse] = []
    task = await tg.generate(**ASKED, output=list[Order], on_update=seen.append)
    assert isinstance(task, ParsedTextGenResponse)
    assert isinstance(task.output[0], Order)
    assert task.output == parse(str(task.response_text), list[Order])
    assert parse(task, list[Order]) == task.output
    again = await tg.retrieve(task.id)
    assert type(again) is TextGenResponse
    assert task.to_dict() == again.to_dict()
    assert task.config.response_json_schema == schema(list[Order])
    assert pickle.loads(pickle.dumps(task)) == task
    assert seen
    assert emulator.charges == 1


async def test_what_the_spec_does_not_know_of_the_task_stays(
    colour: Colour, emulator: Emulator
) -> None:
    emulator.script(faults.merge({"new": 1}))
    tg = colour.client(base_url=emulator.url).text_generator
    task = await tg.generate(**ASKED, sync=True, output=Item)
    assert task["new"] == 1
    assert task.to_dict()["new"] == 1


@pytest.mark.parametrize("kind", [Item, Order, Extra, Hint, Tree, Page[Item], Person, Zoo, Team])
async def test_each_kind_of_class_comes_out_of_what_the_emulator_makes_of_its_schema(
    colour: Colour, emulator: Emulator, kind: Any
) -> None:
    tg = colour.client(base_url=emulator.url).text_generator
    task = await tg.generate(**ASKED, output=kind)
    jsonschema.validate(json.loads(task.response_text), schema(kind))
    assert task.output == parse(task.response_text, kind)


async def test_a_stream_has_its_output_at_its_end(colour: Colour, emulator: Emulator) -> None:
    tg = colour.client(base_url=emulator.url).text_generator
    async with tg.stream(**ASKED, output=list[Item]) as stream:
        with pytest.raises(RuntimeError, match="when the stream is at its end"):
            _ = stream.output
        await stream.until_done()
        made = stream.output
    assert made == parse(stream.text, list[Item])
    assert stream.output is made
    assert emulator.charges == 1


async def test_a_stream_that_was_left_early_has_no_output(
    colour: Colour, emulator: Emulator
) -> None:
    tg = colour.client(base_url=emulator.url).text_generator
    async with tg.stream(**ASKED, output=list[Item]) as stream:
        pass
    with pytest.raises(RuntimeError, match="until_done"):
        _ = stream.output


async def test_the_caller_s_request_and_config_stay_as_they_are(
    colour: Colour, emulator: Emulator
) -> None:
    tg = colour.client(base_url=emulator.url).text_generator
    config = TextGenConfig(temperature=0.5)
    config["new"] = 1
    request = TextGenRequest(**ASKED, config=config)
    before = request.to_dict()
    task = await tg.generate(request, output=Item)
    async with tg.stream(request, output=Item) as stream:
        await stream.until_done()
    assert isinstance(task.output, Item)
    assert isinstance(stream.output, Item)
    assert request.to_dict() == before
    sent: list[Any] = [made.body for made in emulator.requests if made.method == "POST"]
    assert [body["config"]["temperature"] for body in sent] == [0.5, 0.5]


async def test_a_config_that_has_a_schema_is_refused_beside_output(
    colour: Colour, emulator: Emulator
) -> None:
    tg = colour.client(base_url=emulator.url).text_generator
    config = TextGenConfig(response_json_schema={"type": "object"})
    for ask in (tg.generate, tg.stream):
        with pytest.raises(InvalidRequestError, match=r"output or config\.response_json_schema"):
            await ask(**ASKED, config=config, output=Item)
    assert emulator.requests == []


async def test_a_text_that_does_not_fit_is_an_error_with_the_task(
    colour: Colour, emulator: Emulator
) -> None:
    emulator.answer_when = answering('{"name": "a", "price": "dear"}')
    tg = colour.client(base_url=emulator.url).text_generator
    with pytest.raises(OutputParseError) as caught:
        await tg.generate(**ASKED, output=Item)
    error = caught.value
    assert str(error) == (
        "the text is not what Item asks for: at $.price: Expected `float`, got `str`; it was paid"
        " for: .text has it, .task the task"
    )
    assert error.task is not None
    assert str(error.task.id) in emulator.tasks
    assert (error.text, error.path) == ('{"name": "a", "price": "dear"}', "$.price")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


async def test_a_stream_s_text_that_does_not_fit_names_the_generation(
    colour: Colour, emulator: Emulator
) -> None:
    tg = colour.client(base_url=emulator.url).text_generator
    config = TextGenConfig(max_output_tokens=1)
    async with tg.stream(**ASKED, config=config, output=Item) as stream:
        await stream.until_done()
        with pytest.raises(OutputParseError) as caught:
            _ = stream.output
    error = caught.value
    assert "(the model stopped because of MAX_TOKENS); the generation" in str(error)
    assert f"{stream.receipt.id} was paid for: .text has it" in str(error)
    assert (error.text, error.task) == (stream.text, None)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("", "there is none (the task is done); it was paid for"),
        ([{"name": "look"}], "there is none (the model called look instead); it was paid for"),
    ],
)
async def test_no_text_is_an_error_that_says_why_if_that_is_known(
    colour: Colour, emulator: Emulator, answer: Any, said: str
) -> None:
    emulator.answer_when = lambda _: answer
    tg = colour.client(base_url=emulator.url).text_generator
    with pytest.raises(OutputParseError) as caught:
        await tg.generate(**ASKED, output=Item)
    assert said in str(caught.value)
    assert emulator.charges == 1


async def test_a_stream_of_calls_says_what_the_model_called(
    colour: Colour, emulator: Emulator
) -> None:
    emulator.answer_when = lambda _: [{"name": "look"}]
    tg = colour.client(base_url=emulator.url).text_generator
    async with tg.stream(**ASKED, output=Item) as stream:
        await stream.until_done()
        with pytest.raises(OutputParseError, match=r"none \(the model called look instead\)"):
            _ = stream.output


async def test_a_blocked_stream_says_what_it_was_blocked_for(
    colour: Colour, serve: Callable[[Script], RawServer]
) -> None:
    def script(exchange: Exchange) -> None:
        exchange.begin_stream()
        exchange.piece(b'data: {"promptFeedback": {"blockReason": "SAFETY"}}\n\n')
        exchange.end_stream()

    server = serve(script)
    async with colour.client(base_url=server.url).text_generator.stream(
        **ASKED, output=Item
    ) as stream:
        await stream.until_done()
        with pytest.raises(OutputParseError, match=r"none \(the model stopped because of SAFETY\)"):
            _ = stream.output


@pytest.mark.parametrize("missing", ["msgspec", "cattrs"])
async def test_without_the_extra_the_error_says_what_to_install_before_anything_is_sent(
    colour: Colour, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    for name in ("_form", "_schema", "_value"):
        monkeypatch.delitem(sys.modules, f"creatify.output.{name}", raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    tg = colour.client(base_url=emulator.url).text_generator
    for ask in (tg.generate, tg.stream):
        with pytest.raises(ConfigurationError) as caught:
            await ask(**ASKED, output=Item)
        assert str(caught.value).endswith("pip install 'creatify-client[output]'")
    assert emulator.requests == []
