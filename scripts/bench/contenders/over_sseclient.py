"""sseclient-py: a decoder over any pieces of bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sseclient

if TYPE_CHECKING:
    from collections.abc import Iterator


def decode(pieces: list[bytes]) -> Iterator[str]:
    """The data of each event."""
    for event in sseclient.SSEClient(iter(pieces)).events():
        yield event.data
