"""The body of an answer that is read whole, within the time of its call."""

from __future__ import annotations

import json
import math
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator

DEADLINE: Final = "creatify.deadline"
"""The extension of a request that holds when its answer must be whole, by `time.monotonic()`."""


class Body:
    """Gathers the pieces of a body.

    A server that sends a byte now and then never meets a read timeout; the deadline ends it.
    """

    def __init__(self, request: httpx.Request, response: httpx.Response) -> None:
        self._request = request
        self._response = response
        self._deadline = request.extensions.get(DEADLINE, math.inf)
        self._pieces: list[bytes] = []

    def add(self, piece: bytes) -> None:
        """Take another piece. Raises httpx.ReadTimeout after the deadline."""
        self._pieces.append(piece)
        if time.monotonic() > self._deadline:
            raise httpx.ReadTimeout("the answer came too slowly", request=self._request)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """A body that is cut short is enough for an error, known by its status, and where all came.

        What is missing may be only the mark of the end, and what came may be paid for.
        """
        try:
            yield
        except httpx.RequestError:
            if self._response.is_success and not self._is_whole():
                raise

    def _is_whole(self) -> bool:
        body = b"".join(self._pieces)
        try:
            return body.lstrip()[:1] in {b"{", b"["} and json.loads(body) is not None
        except (ValueError, RecursionError):
            return False

    def answer(self) -> httpx.Response:
        """The answer with what was gathered. Raises httpx.DecodingError."""
        return httpx.Response(
            self._response.status_code,
            headers=self._response.headers,
            content=b"".join(self._pieces),
            request=self._request,
            extensions=self._response.extensions,
        )
