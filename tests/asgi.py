"""Any ASGI app on a loopback port, by the server of the emulator."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from creatify.testing._server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import ASGIApp


@contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """Serve it from a thread of its own; its base URL."""
    server = Server(app, 0)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()
