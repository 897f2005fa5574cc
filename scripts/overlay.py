"""Apply an OpenAPI Overlay document (https://spec.openapis.org/overlay/v1.0.0.html) to a spec.

No library on the package index does this and is typed, small and kept up, so the three rules of the
Overlay specification that are used here stand below; the JSONPath they rest on is a library's.
Here an update only adds: what the provider publishes is never replaced, and never repeated.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, TypeAlias, cast

import jsonpath_rfc9535

if TYPE_CHECKING:
    from collections.abc import Iterator

JSON: TypeAlias = dict[str, "JSON"] | list["JSON"] | str | int | float | bool | None


class OverlayError(ValueError):
    """An action of the overlay does not fit the spec."""


def apply(overlay: JSON, spec: JSON) -> JSON:
    """The spec with every action of the overlay applied, in order; both inputs stay as they are.

    Raises OverlayError, naming action and place, when an action finds no target, is no update,
    would change what is there, or repeats some of it: silence would hide that the provider
    changed the spec under it.
    """
    result = copy.deepcopy(spec)
    for target, update in _updates(overlay):
        try:
            nodes = jsonpath_rfc9535.find(target, cast("dict[str, object]", result))
        except jsonpath_rfc9535.JSONPathError as error:
            raise OverlayError(f"the overlay's target {target} is no JSONPath: {error}") from None
        if not nodes:
            raise OverlayError(f"the overlay's target {target} is not in the spec")
        for node in nodes:
            known = _add_to(cast("JSON", node.value), copy.deepcopy(update), target)
            if known:
                raise OverlayError(
                    f"the overlay's action on {target} is {'' if known == [target] else 'partly '}"
                    "unnecessary, delete what the provider publishes by now from"
                    f" scripts/overlay.yaml: {', '.join(known)}"
                )
    return result


def _updates(overlay: JSON) -> Iterator[tuple[str, JSON]]:
    """Target and update of each action."""
    actions = overlay.get("actions") if isinstance(overlay, dict) else None
    if not isinstance(actions, list):
        raise OverlayError("scripts/overlay.yaml is no Overlay document: it has no actions")
    for action in actions:
        if not isinstance(action, dict) or "target" not in action:
            raise OverlayError(f"an action of the overlay has no target: {action}")
        if "update" not in action:
            raise OverlayError(f"the overlay's action on {action['target']} is no update")
        yield str(action["target"]), action["update"]


def _add_to(target: JSON, update: JSON, place: str) -> list[str]:
    """Overlay 1.0.0, section 4.4.3.1: arrays take another entry, objects are merged deeply."""
    if isinstance(target, list):
        return _add(target, [update], place) and [place]
    if isinstance(target, dict) and isinstance(update, dict):
        return [place] if _holds(target, update) else _add(target, update, place)
    raise OverlayError(f"the overlay's target {place} is neither an object nor an array")


def _add(target: JSON, update: JSON, place: str) -> list[str]:
    """Add to the target what it lacks; the result is the places of what it has already."""
    known: list[str] = []
    if isinstance(target, dict) and isinstance(update, dict) and _may_meet(target, update):
        for key, value in update.items():
            if key not in target:
                target[key] = value
            elif _holds(target[key], value):
                known.append(f"{place}.{key}")
            else:
                known += _add(target[key], value, f"{place}.{key}")
    elif isinstance(target, list) and isinstance(update, list):
        for index, value in enumerate(update):
            if _holds(target, [value]):
                known.append(f"{place}[{index}]")
            else:
                target.append(value)
    else:
        raise OverlayError(
            f"the overlay's action would change what the provider publishes at {place}:"
            f" {_shown(target)} would become {_shown(update)}"
        )
    return known


def _holds(present: JSON, value: JSON) -> bool:
    """Whether the value adds nothing to what is present."""
    if isinstance(present, dict) and isinstance(value, dict):
        return all(key in present and _holds(present[key], value[key]) for key in value)
    if isinstance(present, list) and isinstance(value, list):
        return all(any(_holds(one, entry) for one in present) for entry in value)
    return type(present) is type(value) and present == value


def _may_meet(one: dict[str, JSON], other: dict[str, JSON]) -> bool:
    """Whether neither is a reference, beside which OpenAPI 3.0 ignores everything."""
    return "$ref" not in one and ("$ref" not in other or not one)


def _shown(value: JSON) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."  # noqa: PLR2004 - a line's worth
