"""Every failure as a row: what it is, what the caller gets, and how a test brings it about.

`test_failures` holds each row; the docstring of `creatify._retry` shows them as `table`
writes them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from failing import (
    CREATE,
    DRIP,
    GENERATE,
    HUGE,
    INTERIM,
    RETRIEVE,
    STREAM,
    bad_utf8,
    cut,
    kept,
    no_http,
    not_json,
    packed,
    staged,
    under,
    wire,
)

from creatify.testing.faults import (
    close,
    content_type,
    drop_answer,
    empty_stream,
    error_event,
    heartbeats,
    html,
    merge,
    no_receipt,
    reset,
    reset_stream,
    silence,
    slow_body,
    stalled_body,
    status,
    truncated_body,
    truncated_json,
    unterminated,
)
from creatify.testing.faults import gzip as packed_answer

if TYPE_CHECKING:
    from failing import How

Hows: TypeAlias = "How | tuple[How, How]"
"""The same before and after the API acted, or one way for each."""
ANY, PAID = (CREATE, STREAM, RETRIEVE), (CREATE, STREAM)
LATE: Final = {"timeout": 0.3}  # of a call that meets silence
LONG: Final = {"timeout": 600.0}


@dataclass(frozen=True)
class Case:
    """One way to a failure. `acted`: the API made a task and charged for it."""

    name: str
    how: How
    acted: bool


@dataclass(frozen=True)
class Row:
    """A failure: `gives` and `because` are the error's class and its cause's, by name.

    `gives` is empty where the caller gets what the call is for.
    """

    calls: tuple[str, ...]
    cause: str
    gives: str
    cases: tuple[Case, ...]
    charged: str
    because: str = ""
    sent: int = 1
    is_listed: bool = False  # `create` returns the task, if the API acted, in spite of it all
    candidates: int | None = None  # of the error, if not as many as tasks were made
    says: str = ""
    fields: dict[str, Any] = field(default_factory=dict)  # of the error
    options: dict[str, Any] = field(default_factory=dict)  # of the call
    client: dict[str, Any] = field(default_factory=dict)

    @property
    def failing(self) -> int:
        """How many requests fail; what comes after doesn't."""
        return self.sent - (not self.gives and self.sent > 1)


LINE: Final = 100


def table() -> str:
    """The table as it stands in the docstring of `creatify._retry`."""
    lines: list[str] = []
    for row in ROWS:
        calls = "any" if row.calls == ANY else ", ".join(row.calls)
        gives, charged = row.gives or OWN.get(row.calls, "the task"), row.charged
        if row.is_listed and CREATE in row.calls:
            gives, charged = "looked up", "once, or unknown"
        again = ("not sent again", "sent again once", "sent again twice")[row.sent - 1]
        cause = row.cause.replace("`", "")
        left, right = f"    {calls}: {cause}", f"{gives}, {again}, charged: {charged}"
        line = f"{left} -> {right}"
        lines += [line] if len(line) <= LINE else [f"{left} ->", f"        {right}"]
    return "\n".join(lines) + "\n"


def before(**hows: How) -> tuple[Case, ...]:
    return tuple(Case(name, how, acted=False) for name, how in hows.items())


def after(**hows: How) -> tuple[Case, ...]:
    return tuple(Case(name, how, acted=True) for name, how in hows.items())


def both(**hows: Hows) -> tuple[Case, ...]:
    pairs = {name: how if isinstance(how, tuple) else (how, how) for name, how in hows.items()}
    acted = {f"{name}-acted": pair[1] for name, pair in pairs.items()}
    return before(**{name: pair[0] for name, pair in pairs.items()}) + after(**acted)


def world(*names: str) -> tuple[Case, ...]:
    """Ways for which `World` has a method; the API does not act."""
    return before(**{name: staged(name) for name in names})


def unsent(cause: str, gives: str, because: str, *names: str, **more: Any) -> Row:
    says, fields = "the request was not sent and nothing was charged", {"request_sent": False}
    return Row(ANY, cause, gives, world(*names), "no", because, says=says, fields=fields, **more)


def refused(cause: str, gives: str, cases: tuple[Case, ...], **more: Any) -> Row:
    return Row(ANY, cause, gives, cases, "no", **more)


def rejected(code: int, gives: str, more: str = "") -> Row:
    return refused(f"{code}{more}", gives, answers(code), fields={"status_code": code})


def lost(
    cause: str, because: str, cases: tuple[Case, ...], calls: tuple[str, ...] = PAID, **more: Any
) -> Row:
    """The request was sent, and no answer says what came of it: the list may."""
    says, gives = "it may have been charged and was not sent again", "OutcomeUnknownError"
    more = {"is_listed": True, "says": says, **more}
    return Row(calls, cause, gives, cases, "maybe once", because, **more)


def broken(cause: str, gives: str, because: str, cases: tuple[Case, ...], **more: Any) -> Row:
    """A stream that had begun."""
    more = {"says": "it may have been charged", **more}
    return Row((STREAM,), cause, gives, cases, "maybe once", because, **more)


def fine(call: str | tuple[str, ...], cause: str, cases: tuple[Case, ...], **more: Any) -> Row:
    calls = (call,) if isinstance(call, str) else call
    return Row(calls, cause, "", cases, "no" if call == RETRIEVE else "once", **more)


def answers(*codes: int, **options: Any) -> tuple[Case, ...]:
    return before(**{str(code): status(code, **options) for code in codes})


def wait(code: int, seconds: int) -> tuple[Case, ...]:
    """Retry-After as a number and as a date."""
    by_date = {f"date-{code}": staged("ask_to_wait", code, seconds)}
    return answers(code, retry_after=seconds) + before(**by_date)


def redirects(*codes: int) -> tuple[Case, ...]:
    ways = [(code, to) for code in codes for to in ("here", "elsewhere")]
    return before(**{f"{code}-{to}": staged("redirect", code, to) for code, to in ways})


UNKNOWN = {
    str(code): (status(code), status(code, acted=True)) for code in (500, 502, 503, 504, 520)
}
OF_PROXIES = {str(code): (status(code), status(code, acted=True)) for code in (408, 499)}
FOUND = (Case("303-acted", status(303, acted=True), acted=True),)
UNFINISHED = merge({"creatify": None, "candidates": {"finishReason": None}})
OWN = {PAID: "the task, the text", (STREAM,): "the text"}
SMALL, BROKEN = {"max_response_size": 10_000}, "StreamInterruptedError"
CONNECTION, TIMEOUT, DECODE = "APIConnectionError", "APITimeoutError", "ResponseDecodeError"
SERVER, LIMITED, STATUS = "InternalServerError", "RateLimitError", "APIStatusError"
BUSY = {"busy": status(429, retry_after=0), "unavailable": status(503, retry_after=0)}
PASSES = after(unresolved=staged("unresolved"), **BUSY)

ROWS: Final = (
    # Not sent
    unsent("the host's name is not known", CONNECTION, "ConnectError", "unresolved", sent=3),
    unsent("the connection is refused", CONNECTION, "ConnectError", "refused", sent=3),
    unsent("no connection within 5 s", TIMEOUT, "ConnectTimeout", "unaccepted", sent=3),
    unsent("TLS fails: untrusted, or no TLS", CONNECTION, "ConnectError", "untrusted", "plain"),
    unsent("no free connection in your pool", TIMEOUT, "PoolTimeout", "full_pool", options=LATE),
    # Refused
    refused("301, 307, 308, to the same origin or another", STATUS, redirects(301, 307, 308)),
    Row((RETRIEVE,), "302, 303, to the same origin or another", STATUS, redirects(302, 303), "no"),
    rejected(400, "BadRequestError"),
    rejected(401, "AuthenticationError", ", and again with other credentials"),
    rejected(402, "InsufficientCreditsError"),
    rejected(403, "PermissionDeniedError"),
    rejected(404, "NotFoundError"),
    rejected(409, "ConflictError"),
    rejected(413, STATUS),
    rejected(422, "UnprocessableEntityError"),
    rejected(418, STATUS, ", or any other 4xx but 408 and 499"),
    refused("429 without Retry-After", LIMITED, answers(429), sent=3),
    refused("429 with Retry-After (seconds or a date) up to 60 s", LIMITED, wait(429, 0), sent=3),
    refused(
        "429 with Retry-After beyond 60 s",
        *(LIMITED, wait(429, 61)),
        fields={"retry_after": 61.0},
        options=LONG,
    ),
    refused("503 with Retry-After up to 60 s", SERVER, wait(503, 0), sent=3),
    refused("503 with Retry-After beyond 60 s", SERVER, wait(503, 61), options=LONG),
    fine(PAID, "name, connection, 429 or 503 as above, once", PASSES, sent=2),
    # Sent, and nothing is known
    lost("the connection ends before it is read", CONNECTION, world("unread", "half_read")),
    lost(
        "the connection is reset or closed before the answer",
        CONNECTION,
        both(reset=(reset(), drop_answer()), closed=(close(), close(acted=True))),
    ),
    lost(
        "a kept-alive connection is reset or closed under the request",
        CONNECTION,
        both(
            reset=(kept(reset()), kept(drop_answer())),
            closed=(kept(close()), kept(close(acted=True))),
        ),
    ),
    lost("no answer in time", TIMEOUT, both(silent=(silence(), silence(acted=True))), options=LATE),
    lost("1xx answers without an end", TIMEOUT, both(interim=INTERIM), options=LATE),
    lost("an answer that is no HTTP", CONNECTION, both(smtp=wire(no_http))),
    lost(
        "500, 502, 504, 520, or 503 without Retry-After; HTML or not",
        SERVER,
        both(**UNKNOWN, html=(html(), html(acted=True))),
    ),
    lost("408 or 499, as proxies say them", STATUS, both(**OF_PROXIES)),
    lost("302, 303, to the same origin or another", STATUS, redirects(302, 303) + FOUND),
    lost(
        "an answer that stalls or drips until the time is over",
        TIMEOUT,
        both(drip=DRIP) + after(stalled=stalled_body(), slow=slow_body(0.02, size=1)),
        (CREATE,),
        options=LATE,
    ),
    lost(
        "the connection is reset or closed in the body",
        CONNECTION,
        both(reset=cut("reset"), length=cut("close"), chunked=cut("close", chunked=True)),
        (CREATE,),
    ),
    lost(
        "a 2xx without the task: HTML, or 204",
        DECODE,
        both(html=(html(200), html(200, acted=True)), empty=(status(204), status(204, acted=True))),
    ),
    lost(
        "half of the JSON, or JSON of another form",
        DECODE,
        after(half=truncated_json(), form=merge({"messages": 5})),
        (CREATE,),
    ),
    lost(
        "a compressed answer (gzip, deflate; maybe a bomb): it is not unpacked",
        DECODE,
        both(gzip=packed("gzip"), deflate=packed("deflate")) + after(real=packed_answer()),
    ),
    lost("an answer above `max_response_size`", DECODE, both(huge=HUGE), client=SMALL),
    lost("JSON instead of events", DECODE, after(json=content_type("application/json")), (STREAM,)),
    lost(
        "the answer to a create with `sync` is lost",
        CONNECTION,
        both(dropped=(reset(), drop_answer())),
        (CREATE,),
        options={"sync": True},
    ),
    lost(
        "any of these, and the list has several tasks that may be it",
        CONNECTION,
        after(twins=staged("twins")),
        is_listed=False,
        candidates=2,
    ),
    lost(
        "any of these, and the list fails too",
        CONNECTION,
        after(unlisted=staged("unlisted")),
        is_listed=False,
        candidates=0,
    ),
    # Odd, and no failure
    fine(
        CREATE,
        "200 or 202 in place of 201, or another Content-Type",
        after(ok=under("200 OK"), accepted=under("202 Accepted"), text=content_type()),
    ),
    fine(
        CREATE,
        "a body that lacks only the mark of its end",
        after(length=cut("close", whole=True), chunked=cut("close", chunked=True, whole=True)),
    ),
    fine(CREATE, "the server closed the idle connection before", after(idle=staged("idle"))),
    # After a create
    fine(GENERATE, "polls fail while the task is waited for", after(polls=staged("bad_polls"))),
    Row(
        (GENERATE,),
        *("the generation fails", "TaskFailedError", after(failing=staged("bad_task")), "once"),
        says="failed: no luck",
    ),
    Row(
        (GENERATE,),
        *(
            "the task outlasts the wait",
            "WaitTimeoutError",
            after(slow=staged("long_task")),
            "once",
        ),
        says="the task may still be running",
        options=LATE,
    ),
    # Streams
    broken(
        "an error event",
        *("StreamEventError", "", after(error=error_event())),
        fields={"code": 500, "message": "Internal error.", "chunks_received": 1},
    ),
    broken(
        "the connection is reset or closed in the middle",
        *(BROKEN, CONNECTION),
        after(reset=reset_stream(), closed=truncated_body(500)),
    ),
    broken(
        "an end without a finish reason and a receipt",
        *(BROKEN, "", after(ended=UNFINISHED)),
    ),
    broken("an empty stream", BROKEN, "", after(none=empty_stream()), fields={"partial_text": ""}),
    broken(
        "silence, or only heartbeats, for `idle_timeout`",
        *("StreamIdleError", TIMEOUT),
        after(first=stalled_body(0), later=stalled_body(500), pings=heartbeats(0.07)),
        options=LATE,
    ),
    broken(
        "an event above `max_event_size`",
        *("StreamError", "EventTooLargeError", after(large=slow_body(0.001))),
        options={"max_event_size": 100},
    ),
    broken("an event that is no JSON", "StreamError", "JSONDecodeError", after(no=wire(not_json))),
    fine(STREAM, "a reset after the receipt", after(reset=reset_stream(100))),
    fine(STREAM, "no receipt, but a finish reason and a clean end", after(no=no_receipt())),
    fine(STREAM, "a last event without its blank line", after(unended=unterminated())),
    fine(STREAM, "bytes that are no UTF-8: each becomes U+FFFD", after(bytes=wire(bad_utf8))),
    # What is free
    fine(
        RETRIEVE,
        "408, 500, 502, 503, 504, 520, HTML or not",
        answers(408, 500, 502, 503, 504, 520) + before(html=html()),
        sent=3,
    ),
    fine(
        RETRIEVE,
        "the connection is reset or closed before the answer's end; no HTTP",
        before(reset=reset(), kept=kept(close()), body=cut("reset"), smtp=wire(no_http))
        + before(length=truncated_body(), chunked=truncated_body(chunked=True)),
        sent=3,
    ),
    Row(
        (RETRIEVE,),
        "no answer in time: silence, drips, 1xx answers without an end",
        *(TIMEOUT, before(silent=silence(), stalled=stalled_body(), drip=DRIP, interim=INTERIM)),
        *("no", "ReadTimeout"),
        says="nothing is charged for it",
        fields={"request_sent": True},
        options=LATE,
    ),
    Row(
        (RETRIEVE,),
        "a 2xx without the task",
        *(DECODE, before(html=html(200), half=truncated_json()) + answers(204)),
        *("no", "JSONDecodeError"),
        says="the body is in .payload",
    ),
    Row(
        (RETRIEVE,),
        "a compressed answer, or one above `max_response_size`",
        *(DECODE, before(gzip=packed("gzip"), deflate=packed("deflate"), huge=HUGE), "no"),
        says="the body is in .payload",
        client=SMALL,
    ),
)
