"""httpx2's own decoder of event streams."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2

if TYPE_CHECKING:
    from collections.abc import Iterator


def decode(pieces: list[bytes]) -> Iterator[str]:
    """The data of each event, of any size."""
    response = httpx2.Response(
        200,
        headers={"content-type": "text/event-stream"},
        content=iter(pieces),
        request=httpx2.Request("POST", "http://localhost"),
    )
    for event in httpx2.EventSource(response, max_event_size=None):
        yield event.data
