"""The tables: on the terminal, and as Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.table import Table as RichTable

from bench.verdicts import median, ratio, spread, verdicts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.running import Result

_METRICS: Final = {
    "cpu": "CPU",
    "wall": "wall",
    "growth": "growth",
    "requests": "requests",
    "kb": "KB",
    "p50": "p50, s",
    "p95": "p95, s",
    "peak": "peak, MiB",
}


@dataclass(frozen=True)
class Table:
    """Cells, the first column of which are names."""

    title: str
    head: list[str]
    lines: list[list[str]]
    notes: tuple[str, ...] = ()

    def markdown(self) -> str:
        """The table as Markdown."""
        rule = ["---", *["---:"] * (len(self.head) - 1)]
        lines = [f"| {' | '.join(cells)} |" for cells in [self.head, rule, *self.lines]]
        notes = [f"\n{note}" for note in self.notes]
        return "\n".join([f"### {self.title}", "", *lines, *notes, ""])

    def rich(self) -> RichTable:
        """The table for a terminal."""
        caption = "\n".join(self.notes)
        table = RichTable(
            title=self.title, title_justify="left", caption=caption, caption_justify="left"
        )
        for number, name in enumerate(self.head):
            table.add_column(name, justify="right" if number else "left")
        for cells in self.lines:
            table.add_row(*cells)
        return table


def row_table(result: Result) -> Table:
    """All that was measured of a row, the medians of the rounds."""
    row = result.row
    shown = [
        metric
        for metric in _METRICS
        if any(metric in figures for rounds in result.rounds.values() for figures in rounds)
    ]
    head = [
        "",
        *(_METRICS[metric] for metric in shown),
        row.base and f"x {row.base}",
        "least to most",
        "rounds",
    ]
    lines = [_line(result, name, shown) for name in result.rounds]
    absent = tuple(f"{name}: {why}" for name, why in result.absent.items())
    return Table(f"{row.title} ({row.unit})", head, lines, absent)


def target_table(results: list[Result]) -> Table:
    """Each target, and whether it was met."""
    return Table("Targets", ["", "target", "measured", ""], list(_target_lines(results)))


def _target_lines(results: list[Result]) -> Iterator[list[str]]:
    for result in results:
        for verdict in verdicts(result):
            target, measured = verdict.target, verdict.measured
            of = "" if target.of == "creatify" else f"{target.of}: "
            says = f"{of}{target.says} ({_number(target.at_most)})"
            if measured is None:
                yield [verdict.row, says, "", "not measured"]
            else:
                yield [verdict.row, says, _number(measured), "met" if verdict.is_met else "MISSED"]


def _line(result: Result, name: str, shown: list[str]) -> list[str]:
    row = result.row
    figures = [median(result, name, metric) for metric in shown]
    to_base = _number(ratio(result, name, row.base, row.metric))
    bounds = spread(result, name, row.metric)
    between = f"{_number(bounds[0])} to {_number(bounds[1])}" if bounds else ""
    return [name, *map(_number, figures), to_base, between, str(len(result.rounds[name]))]


def _number(value: float | None) -> str:
    """Three digits that count."""
    if value is None:
        return ""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2  # noqa: PLR2004 - see above
    return f"{value:,.{digits}f}"
