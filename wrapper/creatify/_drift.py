"""Telling that the API has moved on from the spec, while its answers are still understood."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, TypeAlias

from creatify._errors import one_line
from creatify._log import LOGGER

if TYPE_CHECKING:
    from collections.abc import Callable

    from creatify._schema import Drift

OnDrift: TypeAlias = "Callable[[Drift], object]"

watchers: Final[list[OnDrift]] = []
"""Told of every drift of all clients; the pytest plugin's way in."""
_logged: Final[set[Drift]] = set()
_MOST_LOGGED: Final = 1000  # places; a server may make up names of properties without end


def new_drifts(on_drift: OnDrift | None) -> set[Drift] | None:
    """Where to gather what an answer drifts in; None if nobody would be told."""
    is_told = on_drift is not None or watchers or LOGGER.isEnabledFor(logging.DEBUG)
    return set() if is_told else None


def tell(drifts: set[Drift] | None, on_drift: OnDrift | None) -> None:
    """Tell of the drifts of an answer, each place once, and empty the set.

    An error of `on_drift` is logged and goes no further: the answer may be paid for.
    """
    for drift in sorted(drifts or ()):
        is_new = drift not in _logged and len(_logged) < _MOST_LOGGED
        if is_new and LOGGER.isEnabledFor(logging.DEBUG):
            _logged.add(drift)
            place = one_line(f"{drift.schema}.{drift.property}")
            LOGGER.debug("drift from the spec: %s at %s", drift.kind, place)
        for told in (*watchers, on_drift):
            if told is not None:
                try:
                    told(drift)
                except Exception:  # noqa: BLE001 - whatever it is, it is not the answer's
                    LOGGER.exception("on_drift failed at %s", drift)
    if drifts:
        drifts.clear()
