"""What only an extra brings."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from creatify._errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Around imports. Raises ConfigurationError, with what to install, where one is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"{error.name} is not installed: pip install 'creatify-client[{extra}]'"
        ) from error
