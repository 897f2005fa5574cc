"""What a reference page of the provider says: its title, and the fragment of the spec on it.

A page is Markdown with an `## OpenAPI` section that holds one fenced block: its info string names
an operation (`yaml get /path/`), its text is an OpenAPI document for that operation. Pure: no I/O.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from jsonschema.exceptions import best_match  # type: ignore[import-untyped] # ships no types
from markdown_it import MarkdownIt
from openapi_spec_validator import OpenAPIV30SpecValidator

from syncing.strict_yaml import Place, UnreadableError, plain, read_data, spelled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from markdown_it.token import Token
    from ruamel.yaml.comments import CommentedMap

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


class SyncError(Exception):
    """A page, or the spec made with it, isn't what it must be: the message names page and place."""


@dataclass(frozen=True)
class Page:
    """A page that was read, its fragment found to be valid OpenAPI that refers to itself only."""

    name: str
    """The file or URL."""
    title: str
    fragment: CommentedMap

    def operations(self) -> set[tuple[str, str]]:
        """Path and method of each operation on it."""
        return set(operations(self.fragment))


def parse_page(name: str, text: str) -> Page:
    """The page of a text. Raises SyncError, naming the line or the place in the fragment."""
    tokens = MarkdownIt().parse(text)
    fence, method, path = _fence(name, text, tokens)
    first = cast("list[int]", fence.map)[0] + 2  # counted from 1, and after the opening line
    try:
        fragment = read_data(fence.content)
    except UnreadableError as error:
        line = "" if error.line is None else f"line {first + error.line}: "
        raise SyncError(f"{name}: {line}the fragment can't be read: {error}") from None
    version = fragment.get("openapi")
    if not isinstance(version, str) or not re.fullmatch(r"3\.0\.\d+", version):
        problem = f"openapi is {version!r}, where 3.0 is expected" if version else "has no openapi"
        raise SyncError(f"{name}: line {first}: the fragment {problem}")
    if problem := invalid(fragment):
        raise SyncError(f"{name}: the fragment is not valid OpenAPI: {problem}")
    if (path, method) not in operations(fragment):
        found = ", ".join(f"{found} {where}" for where, found in operations(fragment))
        raise SyncError(
            f"{name}: line {first - 1}: announces {method} {path}, and the fragment has "
            f"{found or 'no operation'}"
        )
    return Page(name, _title(tokens) or name, fragment)


def operations(spec: CommentedMap) -> Iterator[tuple[str, str]]:
    """Path and method of each operation, in order."""
    for path, item in spec["paths"].items():
        if path.startswith("/"):
            yield from ((path, method) for method in item if method in METHODS)


def invalid(spec: dict[str, Any]) -> str:
    """The first place where the spec is not valid OpenAPI 3.0, with the reason; "" if it is valid.

    References are followed inside the document only: nothing is fetched.
    """
    for place, target in references(spec):
        if not _leads_somewhere(spec, target):
            return f"{spelled(place)}: {target} leads nowhere in it"
    for place, name in _schemes(spec):
        if not _leads_somewhere(spec, f"#/components/securitySchemes/{name}"):
            return f"{spelled(place)}: {name!r} is no security scheme in it"
    validator = OpenAPIV30SpecValidator(cast("dict[str, object]", plain(spec)))
    try:
        error = next(iter(validator.iter_errors()), None)
        # Of the branches of an anyOf, the one that was meant says more than that none fits.
        error = best_match([error]) if error and error.context else error
    except Exception as crash:  # noqa: BLE001 - the validator trips over some invalid documents
        return f"the validator ends with {type(crash).__name__}: {str(crash)[:200]}"
    return f"{spelled(tuple(error.absolute_path))}: {str(error.message)[:300]}" if error else ""


def references(node: object, place: Place = ()) -> Iterator[tuple[Place, str]]:
    """Each `$ref` with its place."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref" and isinstance(value, str):
                yield (*place, key), value
            yield from references(value, (*place, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from references(value, (*place, index))


def pointed(reference: str) -> list[str]:
    """The keys of a JSON pointer in a reference: `#/a/b~1c` gives a and b/c."""
    return [
        key.replace("~1", "/").replace("~0", "~") for key in reference.removeprefix("#/").split("/")
    ]


def _schemes(spec: dict[str, Any]) -> Iterator[tuple[Place, str]]:
    """The name of each security scheme that the spec or one of its operations asks for."""
    places: list[Place] = [("security",)]
    if isinstance(spec.get("paths"), dict):
        items = [(path, item) for path, item in spec["paths"].items() if isinstance(item, dict)]
        places += [("paths", path, method, "security") for path, item in items for method in item]
    for place in places:
        node: Any = spec
        for step in place:
            node = node.get(step) if isinstance(node, dict) else None
        for requirement in node if isinstance(node, list) else []:
            if isinstance(requirement, dict):
                yield from ((place, str(name)) for name in requirement)


def _leads_somewhere(spec: object, reference: str) -> bool:
    if not reference.startswith("#/"):
        return False
    for key in pointed(reference):
        if not isinstance(spec, dict) or key not in spec:
            return False
        spec = spec[key]
    return True


def _fence(name: str, text: str, tokens: list[Token]) -> tuple[Token, str, str]:
    """The only fenced block under `## OpenAPI`, with the method and path that it announces."""
    fences = [token for token in _section(tokens) if token.type == "fence"]
    if not fences:
        raise SyncError(f"{name}: has no fenced fragment under ## OpenAPI")
    start, end = cast("list[int]", fences[0].map)
    if len(fences) > 1:
        second = cast("list[int]", fences[1].map)[0]
        raise SyncError(f"{name}: line {second + 1}: a second fragment under ## OpenAPI")
    announced = re.fullmatch(
        rf"ya?ml ({'|'.join(METHODS)}) (/\S*)", fences[0].info.strip(), re.IGNORECASE
    )
    if not announced:
        raise SyncError(f"{name}: line {start + 1}: announces no operation as `yaml get /path/`")
    closing = re.split(r"\r\n|\n|\r", text)[end - 1].strip()  # the lines of Markdown
    if end == start + 1 or not closing.startswith(fences[0].markup):
        raise SyncError(f"{name}: line {end}: ends inside the fragment")
    return fences[0], announced[1].lower(), announced[2]


def _section(tokens: list[Token]) -> list[Token]:
    """What stands under `## OpenAPI`, up to the next heading of its level or above."""
    inside: list[Token] = []
    found = False
    for token, following in zip(tokens, [*tokens[1:], None], strict=False):
        if token.type == "heading_open" and token.tag in {"h1", "h2"} and following:
            found = token.tag == "h2" and following.content.strip().lower() == "openapi"
        elif found:
            inside.append(token)
    return inside


def _title(tokens: list[Token]) -> str:
    """The text of the first heading of the first level, on one line."""
    for token, following in itertools.pairwise(tokens):
        if token.type == "heading_open" and token.tag == "h1":
            words = " ".join(following.content.split())
            return "".join(letter for letter in words if letter.isprintable())
    return ""
