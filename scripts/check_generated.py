"""Hold generated/creatify_api against openapi.yaml: regenerate elsewhere and compare."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from generate import GenerateError, generate
from install import PACKAGE, ROOT, end_cleanly, files, recover
from overlay import OverlayError


def main() -> None:
    """Exit with 1, naming the files and the repair, if the committed package differs."""
    try:
        recover()
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "creatify_api"
            generate(ROOT / "openapi.yaml", folder)
            fresh, present = files(folder), files(PACKAGE)
    except (OverlayError, GenerateError, OSError) as error:
        sys.exit(f"error: {error}")
    differing = [
        f"  generated/creatify_api/{name}"
        for name in sorted(fresh.keys() | present.keys())
        if fresh.get(name) != present.get(name)
    ]
    if differing:
        listed = "\n".join(differing)
        sys.exit(f"generated code is not what openapi.yaml gives:\n{listed}\nrepair: make generate")
    print(f"generated/creatify_api is what openapi.yaml gives ({len(fresh)} files)")


if __name__ == "__main__":
    end_cleanly()
    main()
