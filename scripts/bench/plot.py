"""A picture of all rows: a panel for each, a bar for each contender."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from bench.verdicts import median

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.running import Result

_WIDTH: Final = 760
_LEFT: Final = 190  # where the bars begin
_LONGEST: Final = 460
_LINE: Final = 18
_GAP: Final = 44
_OURS: Final = "#1a7f5a"
_OTHERS: Final = "#9aa5b1"


def svg(results: list[Result]) -> str:
    """The picture, as text."""
    panels, top = [], 10
    for result in results:
        panels += list(_panel(result, top))
        top += len(result.rounds) * _LINE + _GAP
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{top}"'
        f' viewBox="0 0 {_WIDTH} {top}" font-family="sans-serif" font-size="12">'
    )
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *panels, "</svg>\n"])


def _panel(result: Result, top: int) -> Iterator[str]:
    row = result.row
    figures = {name: median(result, name, row.metric) or 0.0 for name in result.rounds}
    most = max(figures.values(), default=0.0) or 1.0
    yield f'<text x="10" y="{top + 14}" font-weight="bold">{escape(row.title)}</text>'
    for number, (name, figure) in enumerate(figures.items()):
        y = top + 24 + number * _LINE
        length = max(figure / most * _LONGEST, 1.0)
        colour = _OURS if row.is_ours(name) else _OTHERS
        yield f'<text x="{_LEFT - 8}" y="{y + 11}" text-anchor="end">{escape(name)}</text>'
        yield f'<rect x="{_LEFT}" y="{y}" width="{length:.1f}" height="14" fill="{colour}"/>'
        said = f"{figure:,.4g} {_unit(result)}"
        yield f'<text x="{_LEFT + length + 6:.1f}" y="{y + 11}">{said}</text>'


def _unit(result: Result) -> str:
    return escape(result.row.unit.partition(" ")[0])
