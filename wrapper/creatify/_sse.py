"""Server-sent events: bytes in, events out.

WHATWG HTML, section 9.2.6, "Interpreting an event stream". No I/O and no clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_BOM: Final = b"\xef\xbb\xbf"
_LONGEST_RETRY: Final = 18  # digits; int() refuses a number of thousands of them


@dataclass(frozen=True, slots=True)
class Event:
    """One dispatched event."""

    data: str
    """The lines of data, joined by line feeds."""
    event: str
    """The event's type; `message` unless the stream says otherwise."""
    id: str
    """The last event id seen so far in the stream; empty if there was none."""


class EventTooLargeError(ValueError):
    """An event exceeds the decoder's bound.

    `events` (list of Event): those that the same piece completed before it.
    """

    def __init__(self, message: str, events: list[Event]) -> None:
        super().__init__(message)
        self.events = events


class Decoder:
    """An incremental decoder: the events are the same however the bytes are cut into pieces.

    The cost is linear in the bytes, for an event of any size in pieces of any size.

    `max_event_size` (int, bytes, default 64 MiB) bounds one event: its lines of data as they come
    over the wire, and any single line.
    """

    def __init__(self, max_event_size: int = 64 * 1024 * 1024) -> None:
        self.retry: int | None = None
        """The reconnection time that the stream asks for, in milliseconds."""
        self._max_event_size = max_event_size
        self._held = 0  # bytes of the wire that _line and _data hold
        self._line: list[bytes] = []  # the pieces of the line that has not ended
        self._data: list[bytes] = []  # the data lines of the event that has not ended
        self._event = ""
        self._id = ""
        self._after_cr = False
        self._at_start = True

    def feed(self, piece: bytes) -> list[Event]:
        """The events that this piece completes.

        Raises EventTooLargeError; the decoder is of no use after that.
        """
        if self._after_cr and piece:
            self._after_cr = False
            piece = piece.removeprefix(b"\n")
        if not piece:
            return []
        self._after_cr = piece.endswith(b"\r")
        # On bytes, splitlines() knows CR, LF and CRLF and no other line end, just as the standard.
        lines = piece.splitlines()
        unfinished = b"" if piece.endswith((b"\r", b"\n")) else lines.pop()
        events: list[Event] = []
        for end in lines:
            line = self._whole(end)
            self._check(len(line), events)
            event = self._interpret(line)
            if event is not None:
                events.append(event)
        if unfinished:
            self._check(len(unfinished), events)
            self._line.append(unfinished)
            self._held += len(unfinished)
        return events

    def close(self) -> Event | None:
        """What is left at the end of the stream: an event that no blank line ended, or None.

        The standard discards such an event. It is given here because it may hold what was paid for;
        the caller judges whether it is whole.
        """
        if self._line:
            self._interpret(self._whole(b""))
        return self._dispatch()

    def _whole(self, end: bytes) -> bytes:
        """The line that ends with these bytes, its earlier pieces before them."""
        if not self._line:
            return end
        self._held -= sum(map(len, self._line))
        line = b"".join([*self._line, end])
        self._line.clear()
        return line

    def _check(self, more: int, events: list[Event]) -> None:
        if self._held + more > self._max_event_size:
            raise EventTooLargeError(f"an event exceeds {self._max_event_size} bytes", events)

    def _interpret(self, line: bytes) -> Event | None:
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(_BOM)
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._held += len(line) + 1
        elif name == b"event":
            self._event = value.decode(errors="replace")
        elif name == b"id" and b"\0" not in value:
            self._id = value.decode(errors="replace")
        elif name == b"retry" and value.isdigit() and len(value) <= _LONGEST_RETRY:
            self.retry = int(value)
        return None

    def _dispatch(self) -> Event | None:
        event = None
        if self._data:
            data = b"\n".join(self._data).decode(errors="replace")
            event = Event(data, self._event or "message", self._id)
            self._data.clear()
        self._event = ""
        self._held = 0
        return event
