"""The body of an answer that is read whole: within its time, its size, and uncompressed."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import httpx

from creatify._config import ID_HEADER, KEY_HEADER
from creatify._errors import CreatifyError, ResponseDecodeError
from creatify._pool import DEADLINE
from creatify._status import encoding_of

if TYPE_CHECKING:
    from collections.abc import Iterator


WORTH: Final = "creatify.worth"
"""The extension of a request that says beyond how many bytes its answer isn't wanted."""
_LEAST_SECRET: Final = 8  # characters; a shorter value would be found in any text


class NotWorthError(CreatifyError):
    """An answer is larger than it is worth: it has `size` bytes or more."""

    def __init__(self, size: int) -> None:
        super().__init__(f"it has {size} bytes or more, and they are not worth it")
        self.size = size


class Body:
    """Gathers the pieces of a body, up to `max_size` bytes.

    Raises NotWorthError for one that is larger than its request says it is worth: at once, if the
    server announces the size.
    """

    def __init__(self, request: httpx.Request, response: httpx.Response, max_size: int) -> None:
        self._request = request
        self._response = response
        self._room = self._max_size = max_size
        self._worth = request.extensions.get(WORTH) if response.is_success else None
        announced = response.headers.get("content-length", "")
        self._check_worth(int(announced) if announced.isdigit() else 0)
        self._pieces: list[bytes] = []

    def add(self, piece: bytes) -> None:
        """Take another piece. Raises httpx.ReadTimeout after the deadline."""
        self._pieces.append(piece[: self._room])
        self._room -= len(piece)
        if self._room < 0:
            raise _FullError
        self._check_worth(self._max_size - self._room)
        # The pool sees to it at each read; a pool that was given here does not.
        if time.monotonic() > self._request.extensions[DEADLINE].at:
            raise httpx.ReadTimeout("the answer came too slowly", request=self._request)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """A body that is cut short is enough for an error, known by its status, and where all came.

        What is missing may be only the mark of the end, and what came may be paid for.
        """
        try:
            yield
        except _FullError:
            pass
        except httpx.RequestError:
            if self._response.is_success and not self._is_whole():
                raise

    def answer(self) -> httpx.Response:
        """The answer with what was gathered.

        Raises ResponseDecodeError for a success that is too large, or compressed though that was
        not asked for: httpx would inflate it whole, however large it becomes.
        """
        content, headers = b"".join(self._pieces), self._response.headers
        encoding = encoding_of(self._response)
        if self._response.is_success and self._room < 0:
            raise ResponseDecodeError(
                f"it exceeds max_response_size, {self._max_size} bytes", payload=content, path="$"
            )
        if self._response.is_success and encoding:
            raise ResponseDecodeError(
                f"it is encoded as {encoding}, which was not asked for", payload=content, path="$"
            )
        headers.pop("content-encoding", None)  # an error's body stays as it came
        if not self._response.is_success:
            headers, content = self._masked(headers, content)
        return httpx.Response(
            self._response.status_code,
            headers=headers,
            content=content,
            request=self._request,
            extensions=self._response.extensions,
        )

    def _masked(self, headers: httpx.Headers, content: bytes) -> tuple[httpx.Headers, bytes]:
        """Without the credentials, which a page about an error may say back."""
        for name in (ID_HEADER, KEY_HEADER):
            value = self._request.headers.get(name, "")
            if len(value) >= _LEAST_SECRET:
                secret = value.encode()
                content = content.replace(secret, b"***")
                headers = httpx.Headers([(k, v.replace(secret, b"***")) for k, v in headers.raw])
        return headers, content

    def _check_worth(self, size: int) -> None:
        if self._worth is not None and size > self._worth:
            raise NotWorthError(size)

    def _is_whole(self) -> bool:
        body = b"".join(self._pieces)
        try:
            return body.lstrip()[:1] in {b"{", b"["} and json.loads(body) is not None
        except (ValueError, RecursionError):
            return False


def unread(response: httpx.Response) -> httpx.Response:
    """The response, to be read; a hook or a mock of the caller's may have read it already."""
    if not response.is_stream_consumed:
        return response
    return httpx.Response(
        response.status_code,
        headers=response.headers,
        stream=httpx.ByteStream(response.content),
        request=response.request,
        extensions=response.extensions,
    )


class _FullError(Exception):
    """There is no room for more."""
