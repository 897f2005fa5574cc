"""When a request is sent again, and what every failure ends in: decisions without I/O and clock.

A request that was sent and met no answer, or a 5xx, has an unknown outcome: the API may have
acted on it. A POST is never sent again then, because it may have been paid for. It is sent again
where nothing can have happened: it provably never reached the API, or the API refused it (429, or
503 with Retry-After). A GET is sent again after anything that may pass. Up to `max_retries` times:

    it met                                                      GET     POST (create, stream)
    no connection (name, connect)                               again   again
    TLS failure                                                 no      no
    429; 503 with Retry-After                                   again   again
    sent, and no answer or half of one; 408; any other 5xx      again   never
    any other status                                            no      no

The backoff is exponential with full jitter, 0.5 s to 8 s; Retry-After is obeyed up to 60 s, and
beyond that the error is raised at once. One deadline, the call's `timeout` (for a stream, until it
begins, its `idle_timeout`), bounds a call with all its retries: what would come later is not tried,
and a GET that was silent until then is not sent again. A stream is not sent again once it has
begun. Generated functions called through `client.api` are retried alike.

Each row below is a test over real sockets, in both colours; `generate` and a create with `sync` do
what `create` does. "Looked up" is `_reconcile`'s: `create` returns its task if the list has it, and
else raises OutcomeUnknownError, as a stream does in either case. "Sent again" is with
`max_retries=2`. That a 4xx and a 503 with Retry-After mean that nothing was done (and charged) is
an assumption: the API's pages don't say.

Every failure

    any: the host's name is not known -> APIConnectionError, sent again twice, charged: no
    any: the connection is refused -> APIConnectionError, sent again twice, charged: no
    any: no connection within 5 s -> APITimeoutError, sent again twice, charged: no
    any: TLS fails: untrusted, or no TLS -> APIConnectionError, not sent again, charged: no
    any: no free connection in your pool -> APITimeoutError, not sent again, charged: no
    any: 301, 307, 308, to the same origin or another -> APIStatusError, not sent again, charged: no
    retrieve: 302, 303, to the same origin or another -> APIStatusError, not sent again, charged: no
    any: 400 -> BadRequestError, not sent again, charged: no
    any: 401, and again with other credentials -> AuthenticationError, not sent again, charged: no
    any: 402 -> InsufficientCreditsError, not sent again, charged: no
    any: 403 -> PermissionDeniedError, not sent again, charged: no
    any: 404 -> NotFoundError, not sent again, charged: no
    any: 409 -> ConflictError, not sent again, charged: no
    any: 413 -> APIStatusError, not sent again, charged: no
    any: 422 -> UnprocessableEntityError, not sent again, charged: no
    any: 418, or any other 4xx but 408 and 499 -> APIStatusError, not sent again, charged: no
    any: 429 without Retry-After -> RateLimitError, sent again twice, charged: no
    any: 429 with Retry-After (seconds or a date) up to 60 s ->
        RateLimitError, sent again twice, charged: no
    any: 429 with Retry-After beyond 60 s -> RateLimitError, not sent again, charged: no
    any: 503 with Retry-After up to 60 s -> InternalServerError, sent again twice, charged: no
    any: 503 with Retry-After beyond 60 s -> InternalServerError, not sent again, charged: no
    create, stream: name, connection, 429 or 503 as above, once ->
        the task, the text, sent again once, charged: once
    create, stream: the connection ends before it is read ->
        looked up, not sent again, charged: once, or unknown
    create, stream: the connection is reset or closed before the answer ->
        looked up, not sent again, charged: once, or unknown
    create, stream: a kept-alive connection is reset or closed under the request ->
        looked up, not sent again, charged: once, or unknown
    create, stream: no answer in time -> looked up, not sent again, charged: once, or unknown
    create, stream: 1xx answers without an end ->
        looked up, not sent again, charged: once, or unknown
    create, stream: an answer that is no HTTP ->
        looked up, not sent again, charged: once, or unknown
    create, stream: 500, 502, 504, 520, or 503 without Retry-After; HTML or not ->
        looked up, not sent again, charged: once, or unknown
    create, stream: 408 or 499, as proxies say them ->
        looked up, not sent again, charged: once, or unknown
    create, stream: 302, 303, to the same origin or another ->
        looked up, not sent again, charged: once, or unknown
    create: an answer that stalls or drips until the time is over ->
        looked up, not sent again, charged: once, or unknown
    create: the connection is reset or closed in the body ->
        looked up, not sent again, charged: once, or unknown
    create, stream: a 2xx without the task: HTML, or 204 ->
        looked up, not sent again, charged: once, or unknown
    create: half of the JSON, or JSON of another form ->
        looked up, not sent again, charged: once, or unknown
    create, stream: a compressed answer (gzip, deflate; maybe a bomb): it is not unpacked ->
        looked up, not sent again, charged: once, or unknown
    create, stream: an answer above max_response_size ->
        looked up, not sent again, charged: once, or unknown
    stream: JSON instead of events -> OutcomeUnknownError, not sent again, charged: maybe once
    create: the answer to a create with sync is lost ->
        looked up, not sent again, charged: once, or unknown
    create, stream: any of these, and the list has several tasks that may be it ->
        OutcomeUnknownError, not sent again, charged: maybe once
    create, stream: any of these, and the list fails too ->
        OutcomeUnknownError, not sent again, charged: maybe once
    create: 200 or 202 in place of 201, or another Content-Type ->
        the task, not sent again, charged: once
    create: a body that lacks only the mark of its end -> the task, not sent again, charged: once
    create: the server closed the idle connection before -> the task, not sent again, charged: once
    generate: polls fail while the task is waited for -> the task, not sent again, charged: once
    generate: the generation fails -> TaskFailedError, not sent again, charged: once
    generate: the task outlasts the wait -> WaitTimeoutError, not sent again, charged: once
    stream: an error event -> StreamEventError, not sent again, charged: maybe once
    stream: the connection is reset or closed in the middle ->
        StreamInterruptedError, not sent again, charged: maybe once
    stream: an end without a finish reason and a receipt ->
        StreamInterruptedError, not sent again, charged: maybe once
    stream: an empty stream -> StreamInterruptedError, not sent again, charged: maybe once
    stream: silence, or only heartbeats, for idle_timeout ->
        StreamIdleError, not sent again, charged: maybe once
    stream: an event above max_event_size -> StreamError, not sent again, charged: maybe once
    stream: an event that is no JSON -> StreamError, not sent again, charged: maybe once
    stream: a reset after the receipt -> the text, not sent again, charged: once
    stream: no receipt, but a finish reason and a clean end ->
        the text, not sent again, charged: once
    stream: a last event without its blank line -> the text, not sent again, charged: once
    stream: bytes that are no UTF-8: each becomes U+FFFD -> the text, not sent again, charged: once
    retrieve: 408, 500, 502, 503, 504, 520, HTML or not -> the task, sent again twice, charged: no
    retrieve: the connection is reset or closed before the answer's end; no HTTP ->
        the task, sent again twice, charged: no
    retrieve: no answer in time: silence, drips, 1xx answers without an end ->
        APITimeoutError, not sent again, charged: no
    retrieve: a 2xx without the task -> ResponseDecodeError, not sent again, charged: no
    retrieve: a compressed answer, or one above max_response_size ->
        ResponseDecodeError, not sent again, charged: no
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
