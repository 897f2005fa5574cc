"""Server-sent events: bytes in, events out.

WHATWG HTML, section 9.2.6, "Interpreting an event stream". No I/O and no clock.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

if TYPE_CHECKING:
    from collections.abc import Sequence

# Numbers, because `in` takes ten times as long for a bytes of one.
_LF: Final = 0x0A
_CR: Final = 0x0D
_BOM: Final = b"\xef\xbb\xbf"
_LONGEST_NAME: Final = 8  # bytes, of a field's name with its colon and space
_LONGEST_RETRY: Final = 18  # digits; int() refuses a number of thousands of them


class Event(NamedTuple):
    """One dispatched event."""

    data: str
    """The lines of data, joined by line feeds."""
    event: str
    """The event's type; `message` unless the stream says otherwise."""
    id: str
    """The last event id seen so far in the stream; empty if there was none."""


_event: Final = partial(tuple.__new__, Event)


class EventTooLargeError(ValueError):
    """An event exceeds the decoder's bound.

    `events`: those that the same piece completed before it.
    """

    def __init__(self, message: str, events: Sequence[Event]) -> None:
        super().__init__(message)
        self.events = events


class Decoder:
    """An incremental decoder: the events are the same however the bytes are cut into pieces.

    The cost is linear in the bytes, for an event of any size in pieces of any size.

    `max_event_size` (int, bytes, default 64 MiB) bounds one event: its lines of data as they come
    over the wire, and any single line.
    """

    __slots__ = (
        "_after_cr",
        "_at_start",
        "_data",
        "_event",
        "_id",
        "_is_within",
        "_line",
        "_most",
        "_room",
        "retry",
    )

    def __init__(self, max_event_size: int = 64 * 1024 * 1024) -> None:
        self.retry: int | None = None
        """The reconnection time that the stream asks for, in milliseconds."""
        self._most = max_event_size
        self._line = bytearray()  # what came of the line that has not ended
        self._room = max_event_size  # bytes that the line may have, after those of _data
        self._data: list[str] = []  # the data lines of the event that has not ended
        self._event = ""
        self._id = ""
        self._after_cr = False
        self._at_start = True  # where a BOM may be
        self._is_within = True  # an event, or the start

    def feed(self, piece: bytes) -> Sequence[Event]:
        """The events that this piece completes.

        Raises EventTooLargeError; the decoder is of no use after that.
        """
        # The path of small pieces: every operation shows.
        if _LF in piece or _CR in piece:
            return self._lines(piece)
        line = self._line
        line += piece
        if len(line) > self._room:
            self._too_large(())
        return ()

    def close(self) -> Event | None:
        """What is left at the end of the stream: an event that no blank line ended, or None.

        The standard discards such an event. It is given here because it may hold what was paid for;
        the caller judges whether it is whole.
        """
        events: list[Event] = []
        if self._line:
            self._take(b"", events)
        self._dispatch(events)
        return events[0] if events else None

    def _lines(self, piece: bytes) -> list[Event]:
        """The events that a piece with the end of a line completes."""
        if self._after_cr or _CR in piece:
            piece = self._with_line_feeds(piece)
        events: list[Event] = []
        if self._line or self._is_within:
            lines, end, rest = piece.partition(b"\n\n")
            if end:
                self._interpret(lines, events)
                self._dispatch(events)
                piece = rest
        if _LF in piece:
            whole, end, piece = piece.rpartition(b"\n\n")
            if end and not self._simple(whole, events):
                self._interpret(whole, events)
                self._dispatch(events)
            if _LF in piece:
                lines, _, piece = piece.rpartition(b"\n")
                self._interpret(lines, events)
        if piece:
            self._line += piece
            if len(self._line) > self._room:
                self._too_large(events)
        return events

    def _with_line_feeds(self, piece: bytes) -> bytes:
        """The piece with every line ended alike."""
        if self._after_cr and not self._line:
            piece = piece.removeprefix(b"\n")
        self._after_cr = piece.endswith(b"\r")
        return piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _simple(self, whole: bytes, events: list[Event]) -> bool:
        """Take whole events if each is but one line of data, as nearly all are."""
        if len(whole) > self._most or not whole.startswith(b"data: "):
            return False
        data = str(whole[6:], "utf-8", "replace").split("\n\ndata: ")
        if whole.count(b"\n") != 2 * len(data) - 2:
            return False
        for text in data:
            events.append(_event((text, "message", self._id)))  # noqa: PERF401 - often it is one
        return True

    def _interpret(self, lines: bytes, events: list[Event]) -> None:
        """Take lines, given without the end of the last one."""
        if _LF in lines:
            for end in lines.split(b"\n"):
                self._take(end, events)
        else:
            self._take(lines, events)

    def _take(self, end: bytes, events: list[Event]) -> None:
        """Take a line, given from where its earlier pieces end."""
        line: bytes | bytearray = end
        if self._line:
            self._line += end
            line, self._line = self._line, bytearray()
        if len(line) > self._room:
            self._too_large(events)
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(_BOM)
        if line:
            self._is_within = True
            self._field(line)
        else:
            self._dispatch(events)

    def _too_large(self, events: Sequence[Event]) -> NoReturn:
        raise EventTooLargeError(f"an event exceeds {self._most} bytes", events)

    def _field(self, line: bytes | bytearray) -> None:
        if line.startswith(b"data: "):
            self._data.append(str(memoryview(line)[6:], "utf-8", "replace"))
            self._room -= len(line) + 1
            return
        name, _, start = line[:_LONGEST_NAME].partition(b":")
        # A view, because a line may be large and copying it takes longer than all the rest.
        value = memoryview(line)[len(name) + (2 if start.startswith(b" ") else 1) :]
        if name == b"data":
            self._data.append(str(value, "utf-8", "replace"))
            self._room -= len(line) + 1
        elif name == b"event":
            self._event = str(value, "utf-8", "replace")
        elif name == b"id" and b"\0" not in line:
            self._id = str(value, "utf-8", "replace")
        elif name == b"retry" and len(value) <= _LONGEST_RETRY and bytes(value).isdigit():
            self.retry = int(bytes(value))

    def _dispatch(self, events: list[Event]) -> None:
        if self._data:
            data = "\n".join(self._data)
            events.append(_event((data, self._event or "message", self._id)))
            self._data.clear()
        self._event = ""
        self._room = self._most
        self._is_within = False
