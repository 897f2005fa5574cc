"""JSON that can be sent on."""

import json
from typing import Any


def parsed(text: bytes) -> Any:
    """The value that a JSON text is of.

    Raises:
        ValueError, RecursionError: It is none, or one that can't be written as JSON again.
    """
    value = json.loads(text)
    # Python's parser takes what can't be sent back as JSON: NaN, 1e999, half a surrogate pair.
    _written(value)
    return value


def is_sendable(value: object) -> bool:
    """Whether it is JSON."""
    try:
        _written(value)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _written(value: object) -> bytes:
    return json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
