"""A row of the benchmark as a value: a work, who does it, and what is aimed at."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Contender:
    """Who does a work: a class or a function of a module of `bench.contenders`."""

    name: str
    module: str
    face: str


@dataclass(frozen=True)
class Target:
    """A figure of one contender is at most `at_most`, or that times the least of others."""

    says: str
    of: str
    at_most: float
    to: tuple[str, ...] = ()
    metric: str = ""
    """The row's own, if empty."""


@dataclass(frozen=True)
class Row:
    """One work."""

    key: str
    title: str
    """As for `plan`: it tells how large what was measured is."""
    unit: str
    work: str
    """A function of a module of `bench`."""
    contenders: tuple[Contender, ...]
    plan: str = "call"
    """What the server does, see there; `{chunks}` and the like stand for the options."""
    options: dict[str, Any] = field(default_factory=dict)
    quick: dict[str, Any] | None = field(default_factory=dict)
    """Smaller options when it must be quick; None leaves the row out."""
    metric: str = "cpu"
    targets: tuple[Target, ...] = ()
    base: str = "httpx"
    """Whose figure the ratios are to, if any."""
    warm: int = 1
    """Rounds before the first that counts."""
    rounds: int = 0
    """At most that many; as many as all the others, if 0."""
    at_once: bool = False
    """Whether the contenders don't take turns: they do next to nothing, for long."""

    def sized(self, *, is_quick: bool) -> Row:
        """The row as it is measured."""
        options = {**self.options, **((self.quick or {}) if is_quick else {})}
        return replace(
            self,
            title=self.title.format(**options),
            plan=self.plan.format(**options),
            options=options,
            contenders=self.named if is_quick else self.contenders,
        )

    @property
    def named(self) -> tuple[Contender, ...]:
        """Whom a target names, and this library."""
        others = {name for target in self.targets for name in target.to}
        return tuple(who for who in self.contenders if who.name in others or self.is_ours(who.name))

    def is_ours(self, name: str) -> bool:
        """Whether a contender is this library."""
        return any(who.name == name and who.module.startswith("ours") for who in self.contenders)
