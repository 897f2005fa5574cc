"""The command line, `creatify` or `python -m creatify`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> str | int | None:
    """Run a command line, that of the process by default; gives the exit code, for `sys.exit`."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        from creatify.cli import _app  # noqa: PLC0415 - an extra, which may be missing
    except ModuleNotFoundError as error:
        if error.name not in {"rich", "typer"}:
            raise
        return _without_extra(argv)
    return _app.run(argv)


def _without_extra(argv: Sequence[str]) -> int:
    if list(argv) == ["spec"]:
        from creatify.cli import _spec  # noqa: PLC0415 - only this needs it

        _spec.spec()
        return 0
    sys.stderr.write("creatify: the command line is an extra: pip install 'creatify-client[cli]'\n")
    return 2
