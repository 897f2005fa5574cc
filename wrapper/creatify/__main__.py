"""`python -m creatify spec`: which spec this client was made from."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import creatify_api
from creatify._version import __version__

_METHODS = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})


def main(argv: list[str] | None = None) -> None:
    """Print the answer to standard output."""
    parser = argparse.ArgumentParser(prog="python -m creatify", description=__doc__)
    parser.add_argument(
        "command", choices=["spec"], help="print the spec's title, hash, operations"
    )
    parser.parse_args(argv)
    file = Path(creatify_api.__file__).with_name("openapi.json")
    spec = json.loads(file.read_text(encoding="utf-8"))
    lines = [
        f"creatify-client {__version__}",
        f"{spec['info']['title']} {spec['info']['version']}, OpenAPI {spec['openapi']}",
        f"sha256 {creatify_api.__spec_sha256__} of {file.name} in creatify_api",
    ]
    for path, item in spec["paths"].items():
        operations = {key: value for key, value in item.items() if key in _METHODS}
        lines += [
            f"{method.upper():6} {path} {operation.get('operationId', '')}"
            for method, operation in operations.items()
        ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
