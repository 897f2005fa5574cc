"""When a request is sent again: a decision over what it met, without I/O and without a clock.

A request that was sent and met no answer, or a 5xx, has an unknown outcome: the API may have
acted on it. A POST is never sent again then, because it may have been paid for. It is sent again
where nothing can have happened: it provably never reached the API, or the API refused it (429, or
503 with Retry-After). A GET is sent again after anything that may pass.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

from creatify._errors import APIConnectionError, CreatifyError, chain
from creatify._status import retry_after, was_rejected

if TYPE_CHECKING:
    import httpx

_FIRST_DELAY: Final = 0.5  # seconds
_LONGEST_DELAY: Final = 8.0  # seconds
_LONGEST_RETRY_AFTER: Final = 60.0  # seconds; who asks for more gets no retry
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_REQUEST_TIMEOUT, _TOO_MANY_REQUESTS, _SERVER_ERROR, _UNAVAILABLE = 408, 429, 500, 503


def retry_delay(
    method: str, met: httpx.Response | CreatifyError, retries: int, chance: float
) -> float | None:
    """Seconds until the request is sent again; None if it is not.

    `met` is what the last attempt met, `retries` how many retries came before, `chance` is uniform
    in 0..1 (full jitter). Retry-After is obeyed up to 60 seconds.
    """
    if not _may_send_again(met, safe=method.upper() in _SAFE):
        return None
    asked = None if isinstance(met, CreatifyError) else retry_after(met.headers)
    if asked is not None:
        return asked if asked <= _LONGEST_RETRY_AFTER else None
    return min(_FIRST_DELAY * 2.0**retries, _LONGEST_DELAY) * chance


def _may_send_again(met: httpx.Response | CreatifyError, *, safe: bool) -> bool:
    if isinstance(met, APIConnectionError):
        return not _is_tls(met) and (safe or not met.request_sent)
    if isinstance(met, CreatifyError):
        return False
    status = met.status_code
    if status == _TOO_MANY_REQUESTS:
        return True
    if safe:
        return status == _REQUEST_TIMEOUT or status >= _SERVER_ERROR
    return status == _UNAVAILABLE and was_rejected(status, met.headers)


def _is_tls(error: APIConnectionError) -> bool:
    """Whether TLS failed, which another try would not better.

    The first error of the system decides: further down the chain, asyncio's TLS leaves errors that
    only mean "not yet". A handshake that the other side cut short may pass.
    """
    systems = (cause for cause in chain(error.__cause__) if isinstance(cause, OSError))
    cause = next(systems, None)
    return isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError)
