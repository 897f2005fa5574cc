"""How the emulated API fails: faults for `Emulator.script` and `Emulator.fault_when`.

```python
import pytest
from creatify import StreamInterruptedError, user
from creatify.testing import faults


def test_my_service_survives(creatify_client, creatify_emulator):
    asked = {"model_name": "gemini-2.5-flash", "messages": [user("Hello")]}
    creatify_emulator.script(faults.status(503, retry_after=0), None, faults.reset_stream(after=2))
    creatify_client.text_generator.create(**asked)  # the 503, and then all is well: it is retried
    with pytest.raises(StreamInterruptedError), creatify_client.text_generator.stream(**asked) as s:
        s.until_done()
    assert creatify_emulator.charges == 2  # whatever the caller got
    assert "reset_stream" in [request.fault for request in creatify_emulator.requests]
```

The next requests (of one `operation="sse_text_generator_create"`, or of any: polls and look-ups
count) meet scripted faults in turn, None being none, and `Emulator.unmet` is what is left; then
`fault_when=lambda operation, body: ...` is asked, if given.

Each function makes a `Fault`, a value that can be used again. A fault either strikes before the
API acts, which then makes and charges nothing, or it lets the API act and mangles what it sends:
each function says which, and `acted` chooses where both make sense. Seconds are real ones, whatever
the emulator's clock says, and nothing goes on after the client has left or the emulator has ended.
The faults of streams leave an answer alone that is no stream, such as 402.

All raise TypeError or ValueError for an argument that can't be.
"""

import json
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from . import _strikes
from ._exchange import Head
from ._faults import Fault

__all__ = [
    "Fault",
    "close",
    "content_type",
    "drop_answer",
    "empty_stream",
    "error_event",
    "gzip",
    "heartbeats",
    "html",
    "merge",
    "no_receipt",
    "reset",
    "reset_stream",
    "silence",
    "slow_body",
    "stalled_body",
    "status",
    "truncated_body",
    "truncated_json",
    "unterminated",
]

_STATUSES = range(200, 600)
_WITHOUT_BODY = {204, 304}


def reset() -> Fault:
    """The connection is reset once the request was read; the API doesn't act."""
    return _fault("reset", _strikes.cut, how="reset", acted=False)


def drop_answer() -> Fault:
    """The API acts; instead of its answer comes a reset of the connection."""
    return _fault("drop_answer", _strikes.cut, how="reset", acted=True)


def close(*, acted: bool = False) -> Fault:
    """The connection is closed (cleanly, unlike a reset) without an answer."""
    return _fault("close", _strikes.cut, how="close", acted=_flag("acted", acted))


def silence(*, acted: bool = False) -> Fault:
    """No answer, until the client leaves."""
    return _fault("silence", _strikes.cut, how="silence", acted=_flag("acted", acted))


def delay(seconds: float, *, acted: bool = False) -> Fault:
    """The API's own answer, that many seconds late; the API acts before the delay, or after it.

    It acts not at all if the client leaves before.
    """
    acted = _flag("acted", acted)
    return _fault("delay", _strikes.delay, seconds=_number("seconds", seconds), acted=acted)


def status(code: int, *, retry_after: float | str | None = None, acted: bool = False) -> Fault:
    """Another status (200 to 599), with the body ``{"error": ...}``.

    `retry_after` is the header's value: seconds, or any text such as an HTTP date.
    """
    headers = {"content-type": "application/json"}
    if retry_after is not None:
        if not isinstance(retry_after, str):
            _number("retry_after", retry_after)
        headers["retry-after"] = _header("retry_after", str(retry_after))
    body = json.dumps({"error": f"The emulator was told to answer {code}."}).encode()
    return _answer("status", code, headers, body, acted=acted)


def html(code: int = 502, *, acted: bool = False) -> Fault:
    """An HTML page in place of the API's answer, as proxies send it with their errors."""
    headers = {"content-type": "text/html; charset=utf-8"}
    body = f"<!DOCTYPE html><html><body><h1>{code}</h1></body></html>\n".encode()
    return _answer("html", code, headers, body, acted=acted)


def content_type(value: str | None = "text/plain") -> Fault:
    """The API's answer with another content type; None for no such header."""
    if value is not None:
        _header("value", value)
    return _fault("content_type", _strikes.content_type, value=value)


def gzip() -> Fault:
    """The API's answer compressed, whether that was asked for or not."""
    return _fault("gzip", _strikes.gzip)


def slow_body(seconds: float, *, size: int = 64) -> Fault:
    """The API's answer in pieces of `size` bytes, with a pause of so many seconds before each."""
    return _fault(
        "slow_body",
        _strikes.slow_body,
        seconds=_seconds("seconds", seconds),
        size=_count("size", size, least=1),
    )


def stalled_body(after: int = 10) -> Fault:
    """The API's answer until `after` bytes of its body (at most all but the last), then silence."""
    return _cut_body("stalled_body", after, how="silence", chunked=False)


def truncated_body(after: int = 10, *, chunked: bool = False) -> Fault:
    """As `stalled_body`, but then the connection is closed, before the end that HTTP announced.

    `chunked` says whether the end was announced by chunked encoding or by Content-Length. A stream
    is always chunked.
    """
    return _cut_body("truncated_body", after, how="close", chunked=_flag("chunked", chunked))


def truncated_json(after: int = 10) -> Fault:
    """The API's answer cut after so many bytes (at most all but the last); whole for HTTP."""
    return _fault("truncated_json", _strikes.truncated_json, after=_count("after", after))


def merge(values: Mapping[str, Any]) -> Fault:
    """The API's answer with these values merged into its JSON, at every depth.

    An object is merged into an object or, if there is a list, into each of its items; any other
    value, null too, takes the place of what is there. The list of tasks is changed in each task,
    and a stream in each event: ``merge({"candidates": {"finishReason": "NEW"}})``.
    """
    if not isinstance(values, Mapping):
        raise TypeError(f"values must be a mapping, not {values!r}.")
    # A copy: what the caller does with the values later doesn't matter.
    copy = json.loads(json.dumps(dict(values), allow_nan=False))
    return _fault("merge", _strikes.merge, values=copy)


def error_event(
    after: int = 1, *, code: int = 500, message: str = "Internal error.", status: str = "INTERNAL"
) -> Fault:
    """A stream of so many chunks, and then an event that is an error."""
    for name, text in (("message", message), ("status", status)):
        if not isinstance(text, str):
            raise TypeError(f"{name} must be a str, not {text!r}.")
    error = {"code": _count("code", code), "message": message, "status": status}
    after = _count("after", after)
    return _stream_fault("error_event", _strikes.error_event, after=after, error=error)


def reset_stream(after: int = 1) -> Fault:
    """A stream of so many chunks (of all, if it has less), and then a reset of the connection.

    A client that is slow to read may lose some of a large chunk to the reset, as it may in life.
    """
    after = _count("after", after)
    return _stream_fault("reset_stream", _strikes.cut_stream, after=after, how="reset")


def heartbeats(every: float, *, after: int = 0) -> Fault:
    """A stream of so many chunks, and then only comments, ``: ping``, until the client leaves."""
    after = _count("after", after)
    every = _seconds("every", every)
    return _stream_fault("heartbeats", _strikes.heartbeats, after=after, every=every)


def no_receipt() -> Fault:
    """A stream whose last chunk has no `creatify` object."""
    return _stream_fault("no_receipt", _strikes.no_receipt)


def unterminated() -> Fault:
    """A stream whose last event isn't ended by a blank line."""
    return _stream_fault("unterminated", _strikes.unterminated)


def empty_stream() -> Fault:
    """A stream that ends, as it should, without an event."""
    return _stream_fault("empty_stream", _strikes.empty_stream)


def _fault(name: str, strike: Callable[..., Awaitable[None]], **arguments: Any) -> Fault:
    return Fault(name, arguments, of_streams=False, _strike=strike)


def _stream_fault(name: str, strike: Callable[..., Awaitable[None]], **arguments: Any) -> Fault:
    return Fault(name, arguments, of_streams=True, _strike=strike)


def _answer(name: str, code: int, headers: Mapping[str, str], body: bytes, *, acted: bool) -> Fault:
    if _count("code", code) not in _STATUSES:
        raise ValueError(f"code must be 200 to 599, not {code!r}.")
    head = Head(code, headers)
    body = b"" if code in _WITHOUT_BODY else body
    return _fault(name, _strikes.answer, head=head, body=body, acted=_flag("acted", acted))


def _cut_body(name: str, after: int, **arguments: Any) -> Fault:
    return _fault(name, _strikes.cut_body, after=_count("after", after), **arguments)


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, not {value!r}.")
    return value


def _count(name: str, value: Any, least: int = 0) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an int, not {value!r}.")
    if value < least:
        raise ValueError(f"{name} must be {least} or more, not {value!r}.")
    return value


def _number(name: str, value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number, not {value!r}.")
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} must be 0 or more and finite, not {value!r}.")
    return value


def _seconds(name: str, value: Any) -> float:
    seconds = _number(name, value)
    if not seconds:
        raise ValueError(f"{name} must be more than 0.")
    return seconds


def _header(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {value!r}.")
    if not (value.isascii() and value.isprintable() and value == value.strip()):
        raise ValueError(f"{name} must be printable ASCII without blanks around it, not {value!r}.")
    return value
