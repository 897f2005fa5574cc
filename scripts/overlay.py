"""Apply an OpenAPI Overlay document (https://spec.openapis.org/overlay/v1.0.0.html) to a spec.

No library on the package index does this and is typed, small and kept up, so the three rules of the
Overlay specification that are used here stand below; the JSONPath they rest on is a library's.
"""

from __future__ import annotations

import copy
from typing import TypeAlias, cast

import jsonpath_rfc9535

JSON: TypeAlias = dict[str, "JSON"] | list["JSON"] | str | int | float | bool | None


class OverlayError(ValueError):
    """An action of the overlay does not fit the spec."""


def apply(overlay: JSON, spec: JSON) -> JSON:
    """The spec with every action of the overlay applied, in order; both inputs stay as they are.

    Raises OverlayError when an action finds no target, is no update, or changes nothing: a silent
    no-op would hide that the provider changed the spec under it.
    """
    result = copy.deepcopy(spec)
    for action in cast("dict[str, list[dict[str, JSON]]]", overlay)["actions"]:
        target = str(action["target"])
        if "update" not in action:
            raise OverlayError(f"the overlay's action on {target} is no update")
        nodes = jsonpath_rfc9535.find(target, cast("dict[str, object]", result))
        if not nodes:
            raise OverlayError(f"the overlay's target {target} is not in the spec")
        before = copy.deepcopy([node.value for node in nodes])
        for node in nodes:
            _update(cast("JSON", node.value), copy.deepcopy(action["update"]), target)
        if before == [node.value for node in nodes]:
            raise OverlayError(
                f"the overlay's action on {target} changes nothing: the provider has made it"
                " unnecessary, delete it from scripts/overlay.yaml"
            )
    return result


def _update(target: JSON, update: JSON, place: str) -> None:
    """Overlay 1.0.0, section 4.4.3.1: arrays take another entry, objects are merged deeply."""
    if isinstance(target, list):
        if update not in target:
            target.append(update)
    elif isinstance(target, dict) and isinstance(update, dict):
        for key, value in update.items():
            present = target.get(key)
            if isinstance(present, dict) and isinstance(value, dict):
                _update(present, value, f"{place}.{key}")
            elif isinstance(present, list) and isinstance(value, list):
                present.extend(value)
            else:
                target[key] = value
    else:
        raise OverlayError(f"the overlay's target {place} is neither an object nor an array")
