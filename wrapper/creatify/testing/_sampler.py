"""An instance of a JSON schema: small, deterministic, and checked by a validator.

There is no small library that does this for a given source of randomness and is still kept.
"""

import json
import math
import random
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import referencing
from jsonschema import Draft202012Validator  # type: ignore[import-untyped] # ships no types

_ATTEMPTS = 20
_DEPTH = 12  # nested schemas; beyond half of it only what is required is made
_STEPS = 5_000  # schemas visited in all attempts: a bound on time and size
_LENGTH = 100_000  # characters of a string
_WORDS = ("amber", "harbor", "lantern", "meadow", "orbit", "pebble", "quartz", "river", "summit")

# What a schema without a type is about, by the keywords that it has.
_HINTS = (
    ("object", {"properties", "required", "additionalProperties", "minProperties"}),
    ("array", {"items", "prefixItems", "minItems", "uniqueItems"}),
    ("number", {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
)


class Unsatisfiable(Exception):  # noqa: N818 - a finding, that the answer turns into a failed task
    """No instance of the schema could be made; the message says why."""


def sample(schema: Any, rng: random.Random) -> Any:
    """An instance of a JSON schema (draft 2020-12), the same for the same `rng` state.

    Gemini's dialect is understood too: upper-case types and `nullable`.

    Raises:
        Unsatisfiable: The schema is none, contradicts itself, or asks for more than this makes
            (a `pattern` without an example, references to other documents).
    """
    schema = _standard(schema)
    reason = "nothing that was tried matches it"
    try:
        Draft202012Validator.check_schema(schema)
        validator = Draft202012Validator(
            schema,
            format_checker=Draft202012Validator.FORMAT_CHECKER,
            # An empty registry: the default one would fetch references over the network.
            registry=referencing.Registry(),
        )
        maker = _Maker(schema, rng)
        for _ in range(_ATTEMPTS):
            try:
                instance = maker.instance(schema, 0)
            except Unsatisfiable as error:
                reason = str(error)
                continue
            if validator.is_valid(instance):
                return instance
    except Exception as error:  # noqa: BLE001 - whatever ails a caller's schema fails their task only
        reason = str(error).partition("\n")[0]
    raise Unsatisfiable(f"No instance of the JSON schema could be made: {reason}.")


def _standard(schema: Any) -> Any:
    """The schema with Gemini's dialect turned into JSON Schema's."""
    if isinstance(schema, list):
        return [_standard(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    standard: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "type" and isinstance(value, str):
            standard[key] = value.lower()
        elif key in {"properties", "$defs", "definitions"} and isinstance(value, dict):
            standard[key] = {name: _standard(inner) for name, inner in value.items()}
        elif key in {"enum", "const", "default", "example", "examples"}:
            standard[key] = value
        else:
            standard[key] = _standard(value)
    if standard.pop("nullable", False) is True:
        return {"anyOf": [standard, {"type": "null"}]}
    return standard


class _Maker:
    """Makes instances by walking down the schema; they may still fall foul of what it ignores."""

    def __init__(self, root: Any, rng: random.Random) -> None:
        self._root = root
        self._rng = rng
        self._steps = 0

    def instance(self, schema: Any, depth: int) -> Any:
        self._steps += 1
        if depth > _DEPTH or self._steps > _STEPS:
            raise Unsatisfiable("it is nested too deeply, or too large")
        if schema is False:
            raise Unsatisfiable("it allows nothing")
        if schema is True:
            schema = {}
        schema = self._merged(schema, depth)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._rng.choice(schema["enum"])
        return self._typed(schema, depth)

    def _merged(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        """The schema with its reference, all of `allOf` and one of `anyOf` and `oneOf` taken in."""
        if depth > _DEPTH:
            raise Unsatisfiable("it refers to itself without end")
        merged = dict(schema)
        parts = list(merged.pop("allOf", []))
        if "$ref" in merged:
            parts.append(self._referred(merged.pop("$ref")))
        choices = [merged.pop(key) for key in ("anyOf", "oneOf") if key in merged]
        parts += [self._rng.choice(branches) for branches in choices]
        for part in parts:
            if part is False:
                raise Unsatisfiable("it allows nothing")
            if part is not True:
                _take_in(merged, self._merged(part, depth + 1))
        return merged

    def _referred(self, reference: str) -> Any:
        if not reference.startswith("#"):
            raise Unsatisfiable(f"it refers to another document, {reference}")
        found = self._root
        for token in reference.split("/")[1:]:
            name = token.replace("~1", "/").replace("~0", "~")  # RFC 6901
            if not isinstance(found, dict) or name not in found:
                raise Unsatisfiable(f"{reference} isn't in it")
            found = found[name]
        return found

    def _typed(self, schema: Mapping[str, Any], depth: int) -> Any:
        hinted = next((name for name, keys in _HINTS if keys & schema.keys()), "string")
        kind = schema.get("type", hinted)
        if isinstance(kind, list):
            kind = self._rng.choice(kind)
        makers: dict[str, Callable[[], Any]] = {
            "object": lambda: self._object(schema, depth),
            "array": lambda: self._array(schema, depth),
            "string": lambda: self._string(schema),
            "integer": lambda: self._number(schema, whole=True),
            "number": lambda: self._number(schema, whole=False),
            "boolean": lambda: self._rng.choice([True, False]),
            "null": lambda: None,
        }
        return makers[kind]()

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties", {})
        others = schema.get("additionalProperties", True)
        required = schema.get("required", [])
        made = {name: self.instance(properties.get(name, others), depth + 1) for name in required}
        room = schema.get("maxProperties", math.inf) if depth < _DEPTH // 2 else 0
        for name, inner in properties.items():
            if name not in made and len(made) < room:
                try:
                    made[name] = self.instance(inner, depth + 1)
                except Unsatisfiable:
                    continue  # it is optional
        while len(made) < schema.get("minProperties", 0):
            made[f"key_{len(made)}"] = self.instance(others, depth + 1)
        return {name: made[name] for name in [*properties, *made] if name in made}

    def _array(self, schema: Mapping[str, Any], depth: int) -> list[Any]:
        items = schema.get("items", True)
        made = [self.instance(inner, depth + 1) for inner in schema.get("prefixItems", [])]
        least = schema.get("minItems", 0)
        most = schema.get("maxItems", max(least, 3)) if depth < _DEPTH // 2 and items else least
        wanted = self._rng.randint(max(least, min(most, 1)), max(least, min(most, least + 3)))
        while len(made) < wanted:
            item = self.instance(items, depth + 1)
            # In vain again and again, it ends at the bound on steps.
            if not schema.get("uniqueItems") or _key(item) not in map(_key, made):
                made.append(item)
        return made

    def _string(self, schema: Mapping[str, Any]) -> str:
        if "pattern" in schema:
            examples = [*schema.get("examples", []), schema.get("example"), schema.get("default")]
            if not (known := [e for e in examples if isinstance(e, str)]):
                raise Unsatisfiable("it has a pattern, which needs an example beside it")
            return self._rng.choice(known)
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]](self._rng)
        least, most = schema.get("minLength", 0), schema.get("maxLength", math.inf)
        if least > _LENGTH:
            raise Unsatisfiable("it asks for too long a string")
        text = " ".join(self._rng.choices(_WORDS, k=2 + least // 4))
        return text if len(text) <= most else text[: int(most)]

    def _number(self, schema: Mapping[str, Any], *, whole: bool) -> float:
        step = schema.get("multipleOf", 1 if whole else 0.01)
        bounds = [schema[key] for key in ("minimum", "exclusiveMinimum") if key in schema]
        least = max(bounds) if bounds else None
        bounds = [schema[key] for key in ("maximum", "exclusiveMaximum") if key in schema]
        most = min(bounds) if bounds else (1 if least is None else least) + 99 * step
        least = most - 99 * step if least is None else least
        first, last = math.ceil(least / step), math.floor(most / step)
        # An excluded bound is a multiple like the others.
        first += first * step == schema.get("exclusiveMinimum")
        last -= last * step == schema.get("exclusiveMaximum")
        if first > last:
            # Narrower than a step: the middle, if it need not be a multiple.
            return float(least + most) / 2
        value: float = self._rng.randint(first, last) * step
        return int(value) if whole else round(float(value), 10)


def _take_in(merged: dict[str, Any], part: Mapping[str, Any]) -> None:
    """Narrow a merged schema by another one that also holds."""
    for key, value in part.items():
        mine = merged.get(key)
        if mine is None:
            merged[key] = value
        elif key == "properties":
            both = {
                name: {"allOf": [mine[name], value[name]]} for name in mine.keys() & value.keys()
            }
            merged[key] = mine | value | both
        elif key == "required":
            merged[key] = list(dict.fromkeys([*mine, *value]))
        elif key == "enum":
            merged[key] = [item for item in mine if item in value]
        elif key.startswith(("min", "exclusiveMin")):
            merged[key] = max(mine, value)
        elif key.startswith(("max", "exclusiveMax")):
            merged[key] = min(mine, value)
        elif key == "items":
            merged[key] = {"allOf": [mine, value]}
        elif [mine, value] == ["number", "integer"]:
            merged[key] = "integer"


def _key(item: Any) -> str:
    return json.dumps(item, sort_keys=True)


_FORMATS: dict[str, Callable[[random.Random], str]] = {
    "date": lambda rng: f"2026-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}",
    "time": lambda rng: f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:00Z",
    "date-time": lambda rng: f"2026-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}T12:00:00Z",
    "duration": lambda rng: f"PT{rng.randint(1, 59)}M",
    "email": lambda rng: f"{rng.choice(_WORDS)}@example.com",
    "hostname": lambda rng: f"{rng.choice(_WORDS)}.example.com",
    "ipv4": lambda rng: f"192.0.2.{rng.randint(1, 254)}",
    "ipv6": lambda rng: f"2001:db8::{rng.randint(1, 9999)}",
    "uri": lambda rng: f"https://example.com/{rng.choice(_WORDS)}",
    "uuid": lambda rng: str(uuid.UUID(int=rng.getrandbits(128), version=4)),
}
