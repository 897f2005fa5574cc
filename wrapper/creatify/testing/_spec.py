"""The vendored spec as the emulator's law: its routes, its credentials, what a valid request is."""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from openapi_schema_validator import OAS30Validator, oas30_format_checker
from rfc3986 import uri_reference  # type: ignore[import-untyped] # ships no types
from rfc3986.exceptions import RFC3986Exception  # type: ignore[import-untyped] # as above
from rfc3986.validators import Validator  # type: ignore[import-untyped] # as above
from starlette.routing import compile_path

_METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
_JSON = "application/json"
_STREAM = "text/event-stream"


@dataclass(frozen=True)
class Operation:
    """An operation of the spec: its operationId, upper-case method, path template and requirements.

    `parameters` are the schemas of the path parameters, by name; `body` that of the JSON request
    body, or None; `security` the names of the headers that carry the credentials, by scheme;
    `is_stream` says whether it may answer with an event stream.
    """

    id: str
    method: str
    path: str
    parameters: Mapping[str, Any]
    body: Any
    security: Mapping[str, str]
    is_stream: bool


class Spec:
    """An OpenAPI 3.0 document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._components = document["components"]
        self.operations = {
            operation.id: operation
            for path, item in document["paths"].items()
            for method, fields in item.items()
            if method in _METHODS
            for operation in [self._operation(path, method, fields)]
        }

    @property
    def credential_headers(self) -> frozenset[str]:
        """The lower-case names of the headers that carry credentials."""
        schemes = self._components["securitySchemes"].values()
        return frozenset(scheme["name"].lower() for scheme in schemes)

    @classmethod
    def vendored(cls) -> "Spec":
        """The spec that the installed `creatify_api` was generated from."""
        return cls(json.loads(files("creatify_api").joinpath("openapi.json").read_bytes()))

    def operation_at(self, method: str, path: str) -> Operation | None:
        """The operation that the router reaches by that method and path; None if none."""
        for operation in self.operations.values():
            if operation.method == method and compile_path(operation.path)[0].match(path):
                return operation
        return None

    def error(self, schema: Any, value: Any) -> str | None:
        """Why the value doesn't match the schema (formats included); None if it does."""
        # The schema's references are looked up from the root of what the validator is given.
        root = {"allOf": [schema], "components": self._components}
        for error in OAS30Validator(root, format_checker=_formats).iter_errors(value):
            return f"{error.json_path}: {error.message}"
        return None

    def component(self, name: str) -> Any:
        """The schema of that name."""
        return self._components["schemas"][name]

    def with_nulls(self, schema: Any, value: Any) -> Any:
        """The value with null for each optional property that it hasn't, at every known depth."""
        schema = self._resolved(schema)
        if isinstance(value, list):
            return [self.with_nulls(schema.get("items", {}), item) for item in value]
        if not isinstance(value, dict):
            return value
        properties = schema.get("properties", {})
        known = {k: self.with_nulls(properties.get(k, {}), v) for k, v in value.items()}
        return dict.fromkeys(properties) | known

    def _resolved(self, schema: Any) -> Any:
        # The spec refers to its components only, directly or as the one branch of an allOf.
        while True:
            if "allOf" in schema:
                (schema,) = schema["allOf"]
            elif "$ref" in schema:
                schema = self.component(schema["$ref"].rpartition("/")[2])
            else:
                return schema

    def _operation(self, path: str, method: str, fields: dict[str, Any]) -> Operation:
        schemes = self._components["securitySchemes"]
        return Operation(
            id=fields["operationId"],
            method=method.upper(),
            path=path,
            parameters={
                p["name"]: p["schema"] for p in fields.get("parameters", ()) if p["in"] == "path"
            },
            body=fields["requestBody"]["content"][_JSON]["schema"]
            if "requestBody" in fields
            else None,
            security={
                scheme: schemes[scheme]["name"]
                for requirement in fields["security"]
                for scheme in requirement
            },
            is_stream=any(_STREAM in r.get("content", {}) for r in fields["responses"].values()),
        )


def _is_uri(value: object) -> bool:
    if isinstance(value, str):
        _uri_rules.validate(uri_reference(value))
    return True


_uri_rules = (
    Validator()
    .require_presence_of("scheme")
    .check_validity_of("scheme", "userinfo", "host", "port", "path", "query", "fragment")
)


_formats = copy.deepcopy(oas30_format_checker)
_formats.checks("uri", RFC3986Exception)(_is_uri)
