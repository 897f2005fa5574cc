"""What must stay true when the spec, the generated code or the public surface changes."""

from __future__ import annotations

import importlib.metadata
import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest

import creatify
import creatify_api.api
import creatify_api.models
from creatify import (
    AsyncCreatify,
    AsyncTextGenerator,
    AsyncTextStream,
    Creatify,
    TextGenerator,
    TextStream,
    _config,
    _operations,
)
from creatify_api.models import TextGenRequest
from creatify_api.models.text_gen_request_params import TextGenRequestParams

SPEC = json.loads(Path(creatify_api.__file__).with_name("openapi.json").read_text())
OPERATIONS = {
    operation["operationId"] for path in SPEC["paths"].values() for operation in path.values()
}
NOT_WRAPPED: set[str] = set()
"""Operations of the spec that have no method: they go through `client.api`."""


def test_every_operation_of_the_spec_is_wrapped_or_listed_as_not_wrapped() -> None:
    source = Path(_operations.__file__).read_text()
    wrapped = {name for name in OPERATIONS if f"({name}" in source or f"{name}._get" in source}
    assert wrapped == OPERATIONS - NOT_WRAPPED


def test_every_wrapped_operation_has_a_method_that_names_it() -> None:
    methods = [TextGenerator, Creatify]
    documented = set(
        re.findall(
            r"spec operation `(\w+)`",
            " ".join(
                inspect.getdoc(method) or ""
                for owner in methods
                for _, method in inspect.getmembers(owner, inspect.isfunction)
            ),
        )
    )
    assert documented == OPERATIONS - NOT_WRAPPED


def test_the_credentials_go_into_the_headers_of_the_spec() -> None:
    schemes = SPEC["components"]["securitySchemes"].values()
    assert {scheme["name"] for scheme in schemes} == {
        _config.ID_HEADER,
        _config.KEY_HEADER,
    }
    assert all(scheme["in"] == "header" for scheme in schemes)


def test_the_default_base_url_is_the_server_of_the_spec() -> None:
    assert [server["url"] for server in SPEC["servers"]] == [_config.DEFAULT_BASE_URL]


def test_the_models_that_are_read_are_named_as_their_schemas() -> None:
    for name in ("TextGenResponse", "TextGenRequest", "RemainingCredits", "TextGenStreamChunk"):
        assert name in SPEC["components"]["schemas"]
        assert getattr(creatify_api.models, name).__name__ == name


def test_the_request_as_keywords_has_the_fields_of_the_request() -> None:
    init = inspect.signature(TextGenRequest).parameters
    assert list(TextGenRequestParams.__annotations__) == list(init)
    for name, reference in TextGenRequestParams.__annotations__.items():
        kind = "Required" if init[name].default is inspect.Parameter.empty else "NotRequired"
        assert reference.__forward_arg__ == f"{kind}[{init[name].annotation}]"


def test_all_is_sorted_and_is_what_the_package_offers() -> None:
    assert creatify.__all__ == sorted(creatify.__all__)
    values = {name: getattr(creatify, name) for name in dir(creatify)}
    offered = {
        name
        for name, value in values.items()
        if name == "__version__" or not (name.startswith("_") or inspect.ismodule(value))
    }
    assert set(creatify.__all__) == offered - {"TYPE_CHECKING"}
    assert creatify._HOMES.keys() < offered


def test_a_name_that_the_package_does_not_offer_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'creatify' has no attribute 'Creatfy'"):
        getattr(creatify, "Creatfy")  # noqa: B009 - mypy refuses it as an attribute: test_types


def test_the_version_is_the_distributions() -> None:
    assert creatify.__version__ == importlib.metadata.version("creatify-client")


@pytest.mark.parametrize(
    ("sync", "async_"),
    [(Creatify, AsyncCreatify), (TextGenerator, AsyncTextGenerator), (TextStream, AsyncTextStream)],
)
def test_the_two_colours_are_alike(sync: type, async_: type) -> None:
    ours, theirs = _surface(sync), _surface(async_)
    assert list(ours) == list(theirs)
    for name, member in ours.items():
        assert member == theirs[name], name
    assert _same(inspect.getdoc(sync)) == _same(inspect.getdoc(async_))


_COLOURED = [
    (r"\bAsync(?=[A-Z])", ""),
    (r"\basync with\b", "with"),
    (r"\baclose\b", "close"),
    (r"__a(enter|exit|iter)__", r"__\1__"),
    # What only one colour has to say of itself.
    (r"A client for asyncio; it belongs to the event loop that first uses it\.", "A client."),
    (r"A client that may be shared by threads\.", "A client."),
    (r" Without one\s+the connections are aiohttp's (?s:.*?) says which\.", ""),
]


def _same(text: str | None) -> str:
    for pattern, replacement in _COLOURED:
        text = re.sub(pattern, replacement, text or "")
    return " ".join((text or "").split())


def _surface(cls: type) -> dict[str, tuple[str, str]]:
    """Signature and docstring of each public member, the colour taken out."""
    members: dict[str, tuple[str, str]] = {}
    for name, value in inspect.getmembers_static(cls):
        if name.startswith("_") and name not in {"__init__", "__iter__", "__aiter__"}:
            continue
        function: Any = value.fget if isinstance(value, property) else value
        if not inspect.isfunction(function):
            continue
        signature = _same(str(inspect.signature(function)))
        members[_same(name)] = (signature, _same(inspect.getdoc(function)))
    return dict(sorted(members.items()))


def test_the_main_path_and_its_names_are_documented() -> None:
    undocumented: list[str] = []
    for name in creatify.__all__:
        value: Any = getattr(creatify, name)
        if name != "__version__" and not inspect.getdoc(value):
            undocumented.append(name)
    assert undocumented == []
