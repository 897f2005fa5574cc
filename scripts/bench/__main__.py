"""`make bench`: every row, or those whose keys are given, then the targets."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from bench.plot import svg
from bench.report import row_table, target_table
from bench.rows import ROWS
from bench.running import Effort, measure, server

if TYPE_CHECKING:
    from bench.running import Result

_FULL = Effort(rounds=25, seconds=2.5, is_quick=False)
_QUICK = Effort(rounds=9, seconds=0.25, is_quick=True)

_WIDTH = 120  # columns, also where there is no terminal


def main() -> None:
    """Measure, show each row as it is done, and write the report."""
    arguments = _arguments()
    effort = _QUICK if arguments.quick else _FULL
    rows = [row for row in ROWS if not arguments.rows or row.key in arguments.rows]
    console = Console(width=_WIDTH)
    results: list[Result] = []
    with server() as url:
        for row in rows:
            if row.quick is None and effort.is_quick:
                continue
            results.append(measure(row, effort, url))
            console.print(row_table(results[-1]).rich())
    console.print(target_table(results).rich())
    if arguments.out:
        _write(arguments.out, results)


def _write(folder: Path, results: list[Result]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tables = [target_table(results), *map(row_table, results)]
    text = "\n".join(table.markdown() for table in tables)
    (folder / "bench.md").write_text(text, encoding="utf-8")
    (folder / "bench.svg").write_text(svg(results), encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    keys = [row.key for row in ROWS]
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(keys))
    parser.add_argument("--quick", action="store_true", help="in under a minute")
    parser.add_argument("--out", type=Path, help="a folder for bench.md and bench.svg")
    arguments = parser.parse_args()
    for unknown in set(arguments.rows) - set(keys):
        parser.error(f"there is no row {unknown}: {', '.join(keys)}")
    return arguments


if __name__ == "__main__":
    main()
