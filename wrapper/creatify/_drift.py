"""Telling that the API has moved on from the spec, while its answers are still understood.

An unknown property stays in `additional_properties`, an unknown enum value equals its string, a
null counts as absent. A service can be told of it, and its tests can fail on it:

```python
from creatify import Creatify, Drift


def on_drift(drift: Drift) -> None:
    print(f"the API moved on: {drift.kind} at {drift.schema}.{drift.property}")


client = Creatify(on_drift=on_drift)
```

It is called once for each place in an answer, with the schema, the property and the kind (`unknown
property`, `unknown value`, `null`), never the value; of a stream's chunks only where they are built
(`for chunk in stream`). At CREATIFY_LOG=debug each place is logged once. `pytest --creatify-strict`
makes a test fail that meets any (it does not see the calls of `client.api`). `python -m creatify
spec` prints which spec the client was made from (`creatify_api.__spec_sha256__`: the hash of
`creatify_api/openapi.json`, which is `openapi.yaml` with `scripts/overlay.yaml` applied).
"""

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
