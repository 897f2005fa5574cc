"""Hold generated/creatify_api against openapi.yaml: regenerate elsewhere and compare."""

from __future__ import annotations

import filecmp
import sys
import tempfile
from pathlib import Path

from generate import generate
from install import PACKAGE, ROOT


def main() -> None:
    """Exit with 1, naming the files and the repair, if the committed package differs."""
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch) / "creatify_api"
        generate(ROOT / "openapi.yaml", fresh)
        names = sorted(_files(fresh) | _files(PACKAGE))
        _, differing, missing = filecmp.cmpfiles(fresh, PACKAGE, names, shallow=False)
    if differing or missing:
        files = "\n".join(
            f"  generated/creatify_api/{name}" for name in sorted(differing + missing)
        )
        sys.exit(f"generated code is not what openapi.yaml gives:\n{files}\nrepair: make generate")
    print(f"generated/creatify_api is what openapi.yaml gives ({len(names)} files)")


def _files(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


if __name__ == "__main__":
    main()
