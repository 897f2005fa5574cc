"""A mock of the API made from openapi.yaml alone, independent of the emulator and of the wrapper.

openapi-core judges each request; the answer is the least instance of the documented response.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import yaml
from openapi_core import OpenAPI
from openapi_core.datatypes import RequestParameters
from starlette.routing import compile_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SPEC_FILE = Path(__file__).parent.parent / "openapi.yaml"


@dataclass
class _Request:
    """A request as openapi-core reads it."""

    host_url: str
    path: str
    method: str
    parameters: RequestParameters
    content_type: str
    body: bytes | None
    path_pattern: str | None = field(default=None)


class SpecMock:
    """Serves openapi.yaml.

    `accepted` has the operationId of each good request, the values in its path behind it, and
    `problems` the faults.
    """

    def __init__(self) -> None:
        self.accepted: list[str] = []
        self.problems: list[str] = []
        self._spec = yaml.safe_load(SPEC_FILE.read_text())
        self._openapi = OpenAPI.from_dict({**self._spec, "servers": []})  # it is the server
        mock = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def do_GET(self) -> None:
                mock.serve(self)

            do_POST = do_GET  # noqa: N815 - http.server looks for this name

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        """Judge one request and answer it."""
        length = handler.headers.get("Content-Length")
        request = _Request(
            host_url=self.url,
            path=handler.path,
            method=handler.command.lower(),
            parameters=RequestParameters(header=cast("Mapping[str, str]", dict(handler.headers))),
            content_type=handler.headers.get("Content-Type", ""),
            body=handler.rfile.read(int(length)) if length else None,
        )
        errors = list(self._openapi.iter_request_errors(request))
        if errors:
            self.problems += [f"{request.method} {request.path}: {error!r}" for error in errors]
            _answer(handler, 400, "application/json", json.dumps({"error": "invalid"}))
            return
        operation, values = self._reached(request)
        self.accepted.append(" ".join([operation["operationId"], *values]))
        _answer(handler, *self._documented(operation))

    def _reached(self, request: _Request) -> tuple[dict[str, Any], list[str]]:
        """The operation, and the values in the path; a path without values goes first."""
        for path in sorted(self._spec["paths"], key=lambda path: path.count("{")):
            found = compile_path(path)[0].match(request.path)
            if found and request.method in self._spec["paths"][path]:
                return self._spec["paths"][path][request.method], list(found.groups())
        raise LookupError(request.path)  # openapi-core found it

    def _documented(self, operation: dict[str, Any]) -> tuple[int, str, str]:
        responses = operation["responses"].items()
        status, response = next(pair for pair in responses if pair[0].startswith("2"))
        content_type, media = next(iter(response["content"].items()))
        if content_type == "text/event-stream":
            return int(status), content_type, "data: {}\n\n"
        return int(status), content_type, json.dumps(self._least(media["schema"]))

    def _least(self, schema: Mapping[str, Any]) -> Any:
        if "$ref" in schema:
            return self._least(self._spec["components"]["schemas"][schema["$ref"].split("/")[-1]])
        for several in ("allOf", "oneOf", "anyOf"):
            if several in schema:
                return self._least(schema[several][0])
        if "enum" in schema:
            return schema["enum"][0]
        properties = schema.get("properties", {})
        least: dict[str | None, Callable[[], Any]] = {
            "array": lambda: [self._least(schema["items"])],
            "object": lambda: {n: self._least(properties[n]) for n in schema.get("required", [])},
            "string": lambda: _FORMATS.get(schema.get("format", ""), ""),
            "number": lambda: 0,
            "integer": lambda: 0,
            "boolean": lambda: False,
            None: dict,
        }
        return least[schema.get("type")]()


_FORMATS = {
    "uuid": "3c90c3cc-0d44-4b50-8888-8dd25736052a",
    "date-time": "2023-11-07T05:31:56Z",
}


def _answer(handler: BaseHTTPRequestHandler, status: int, content_type: str, body: str) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", content_type)
    handler.send_header("Content-Length", str(len(body.encode())))
    handler.end_headers()
    handler.wfile.write(body.encode())
