"""What the rounds come to: medians, spreads, and whether a target is met."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.row import Target
    from bench.running import Result


@dataclass(frozen=True)
class Verdict:
    """A target and what was measured: a ratio, or a figure; None if a side of it is absent."""

    row: str
    target: Target
    measured: float | None

    @property
    def is_met(self) -> bool:
        """Whether it was reached."""
        return self.measured is not None and self.measured <= self.target.at_most


def median(result: Result, name: str, metric: str) -> float | None:
    """The median of a contender's rounds."""
    figures = _figures(result, name, metric)
    return statistics.median(figures) if figures else None


def ratio(result: Result, name: str, base: str, metric: str) -> float | None:
    """The median of the ratios to another contender in the same round.

    Rounds alternate, so that a machine which is slow for a while is slow for both.
    """
    pairs = zip(_figures(result, name, metric), _figures(result, base, metric), strict=False)
    ratios = [own / other for own, other in pairs if other]
    return statistics.median(ratios) if ratios else None


def spread(result: Result, name: str, metric: str) -> tuple[float, float] | None:
    """The least and the most of a contender's rounds."""
    figures = _figures(result, name, metric)
    return (min(figures), max(figures)) if figures else None


def verdicts(result: Result) -> list[Verdict]:
    """All targets of a row."""
    return [
        Verdict(result.row.title, target, _measured(result, target))
        for target in result.row.targets
    ]


def _measured(result: Result, target: Target) -> float | None:
    metric = target.metric or result.row.metric
    own = median(result, target.of, metric)
    if own is None or not target.to:
        return own
    ratios = [ratio(result, target.of, name, metric) for name in target.to]
    return max((found for found in ratios if found is not None), default=None)


def _figures(result: Result, name: str, metric: str) -> list[float]:
    return [figures[metric] for figures in result.rounds.get(name, ()) if metric in figures]
