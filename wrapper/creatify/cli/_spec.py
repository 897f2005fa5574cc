"""`creatify spec`: which spec this client was made from. It needs no extra."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final

import creatify_api
from creatify._version import __version__

_METHODS: Final = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})


def spec() -> None:
    """Write the spec's title, hash and operations."""
    file = Path(creatify_api.__file__).with_name("openapi.json")
    described = json.loads(file.read_text(encoding="utf-8"))
    info = described["info"]
    lines = [
        f"creatify-client {__version__}",
        f"{info['title']} {info['version']}, OpenAPI {described['openapi']}",
        f"sha256 {creatify_api.__spec_sha256__} of {file.name} in creatify_api",
    ]
    for path, item in described["paths"].items():
        operations = {key: value for key, value in item.items() if key in _METHODS}
        lines += [
            f"{method.upper():6} {path} {operation.get('operationId', '')}"
            for method, operation in operations.items()
        ]
    sys.stdout.write("\n".join(lines) + "\n")
