"""The decoder of server-sent events follows WHATWG HTML, section 9.2.6, over bytes.

Rule by rule, and by property: against a naive reading of the standard, and however the bytes are
cut. Its cost is linear, by count.
"""

from __future__ import annotations

import re
import sys
import tracemalloc
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from creatify._sse import Decoder, Event, EventTooLargeError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType


def decode(*pieces: bytes, max_event_size: int = 64 * 1024 * 1024) -> list[Event]:
    decoder = Decoder(max_event_size)
    return [event for piece in pieces for event in decoder.feed(piece)]


def data(*pieces: bytes) -> list[str]:
    return [event.data for event in decode(*pieces)]


# Lines


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_a_line_ends_with_lf_cr_or_crlf(end: bytes) -> None:
    assert data(b"data: a" + end + b"data: b" + end + end) == ["a\nb"]


def test_the_three_line_ends_may_be_mixed() -> None:
    assert data(b"data: a\rdata: b\r\ndata: c\n\r") == ["a\nb\nc"]


@pytest.mark.parametrize(
    "other",
    ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"],
    ids=ascii,
)
def test_no_other_character_ends_a_line(other: str) -> None:
    assert data(f"data: a{other}data: b\n\n".encode()) == [f"a{other}data: b"]


def test_a_cr_ends_a_line_before_it_is_known_whether_an_lf_follows() -> None:
    assert data(b"data: a\r\r") == ["a"]


def test_a_crlf_cut_in_two_is_one_line_end() -> None:
    decoder = Decoder()
    assert not decoder.feed(b"data: a\r")
    assert not decoder.feed(b"\ndata: b\r")
    assert not decoder.feed(b"\n")
    assert [event.data for event in decoder.feed(b"\r")] == ["a\nb"]


def test_a_cr_and_an_lf_with_an_empty_piece_between_are_one_line_end() -> None:
    assert data(b"data: a\r", b"", b"\ndata: b\n\n") == ["a\nb"]


def test_an_lf_after_a_crlf_that_was_cut_in_two_is_another_line_end() -> None:
    assert data(b"data: a\r", b"\n\n") == ["a"]


# The stream's start


def test_a_leading_bom_is_skipped() -> None:
    assert data(b"\xef\xbb\xbfdata: a\n\n") == ["a"]


def test_a_leading_bom_is_skipped_when_it_comes_in_pieces() -> None:
    assert data(b"\xef", b"\xbb", b"\xbf", b"data: a\n\n") == ["a"]


def test_only_one_bom_is_skipped() -> None:
    assert data(b"\xef\xbb\xbf\xef\xbb\xbfdata: a\ndata: b\n\n") == ["b"]


def test_a_bom_later_is_part_of_its_line() -> None:
    assert data(b"data: a\n\xef\xbb\xbfdata: b\ndata: \xef\xbb\xbfc\n\n") == ["a\n\ufeffc"]


# Data


def test_one_space_after_the_colon_is_no_part_of_the_value() -> None:
    assert data(b"data:a\ndata: b\ndata:  c\ndata:\td\n\n") == ["a\nb\n c\n\td"]


def test_a_value_may_hold_colons() -> None:
    assert data(b'data: {"a": "b:c"}\n\n') == ['{"a": "b:c"}']


@pytest.mark.parametrize("line", [b"data", b"data:", b"data: "])
def test_data_may_be_an_empty_string(line: bytes) -> None:
    assert data(line + b"\n\n") == [""]
    assert data(line + b"\n" + line + b"\n\n") == ["\n"]


def test_invalid_utf8_is_replaced() -> None:
    assert data(b"data: a\xffb\xe2\x82\n\n") == ["a\ufffdb\ufffd"]


def test_a_character_may_come_in_two_pieces() -> None:
    assert data(b"data: \xe2\x82", b"\xac\n\n") == ["€"]


def test_a_field_name_is_exact() -> None:
    assert data(b"Data: a\n data: b\ndata : c\ndatas: d\ndata: e\n\n") == ["e"]


def test_an_unknown_field_is_ignored() -> None:
    assert data(b"data: a\nfuture: b\n\n") == ["a"]


def test_a_comment_is_ignored() -> None:
    assert data(b": a\n:\ndata: b\n:data: c\ndata: d\n\n") == ["b\nd"]


# Dispatch


@pytest.mark.parametrize(
    "stream", [b"\n", b"\n\n", b": ping\n\n", b"event: a\nid: 1\nretry: 2\n\n"]
)
def test_an_event_without_data_is_not_dispatched(stream: bytes) -> None:
    assert decode(stream) == []


def test_an_event_is_called_message_unless_it_says_otherwise() -> None:
    events = decode(b"data: a\n\nevent: error\ndata: b\n\ndata: c\n\nevent:\ndata: d\n\n")
    assert [event.event for event in events] == ["message", "error", "message", "message"]


def test_the_last_of_several_event_fields_counts() -> None:
    assert decode(b"event: a\ndata: x\nevent: b\n\n") == [Event("x", "b", "")]


def test_the_type_of_an_event_without_data_is_not_that_of_the_next() -> None:
    assert decode(b"event: a\n\ndata: x\n\n") == [Event("x", "message", "")]


def test_an_id_stays_until_another_comes() -> None:
    events = decode(b"data: a\n\nid: 1\ndata: b\n\ndata: c\n\nid: 2\n\ndata: d\n\nid\ndata: e\n\n")
    assert [event.id for event in events] == ["", "1", "1", "2", ""]


def test_an_id_with_a_nul_is_ignored() -> None:
    (event,) = decode(b"id: 1\nid: 2\0\ndata: a\n\n")
    assert event.id == "1"


def test_retry_is_kept_in_milliseconds() -> None:
    decoder = Decoder()
    assert decoder.retry is None
    decoder.feed(b"retry: 0150\n")
    assert decoder.retry == 150


@pytest.mark.parametrize(
    "value", ["", "1.5", "-1", "+1", "1 ", "1s", "0x1", "1_0", "²", "٣", "9" * 10_000]
)
def test_a_retry_that_is_no_number_of_milliseconds_is_ignored(value: str) -> None:
    decoder = Decoder()
    decoder.feed(b"retry: 7\n")
    decoder.feed(f"retry: {value}\n".encode())
    assert decoder.retry == 7


# The end


def test_close_gives_the_event_that_no_blank_line_ended() -> None:
    decoder = Decoder()
    assert not decoder.feed(b"id: 1\nevent: last\ndata: a\ndata: b\n")
    assert decoder.close() == Event("a\nb", "last", "1")
    assert decoder.close() is None


def test_close_gives_the_line_that_nothing_ended() -> None:
    decoder = Decoder()
    assert not decoder.feed(b"data: a\nda")
    assert not decoder.feed(b"ta: b")
    assert decoder.close() == Event("a\nb", "message", "")


@pytest.mark.parametrize("stream", [b"", b"data: a\n\n", b": ping", b"id: 1\n", b"\xef\xbb\xbf"])
def test_close_gives_nothing_where_no_data_is_left(stream: bytes) -> None:
    decoder = Decoder()
    decoder.feed(stream)
    assert decoder.close() is None


# Size


@pytest.mark.parametrize(
    "event",
    [
        b"data: " + b"x" * 94,  # one line that nothing has ended
        b"data:\n" * 16 + b"data",  # small lines, though they hold nothing
        b"event: " + b"x" * 93,
    ],
)
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_an_event_may_have_max_event_size_and_not_a_byte_more(event: bytes, step: int) -> None:
    assert len(event) == 100
    pieces = [event[i : i + step] for i in range(0, len(event), step)]
    assert decode(*pieces, max_event_size=100) == []
    with pytest.raises(EventTooLargeError, match="an event exceeds 99 bytes"):
        decode(*pieces, max_event_size=99)


def test_a_huge_event_in_one_piece_is_refused() -> None:
    with pytest.raises(EventTooLargeError):
        decode(b"data: " + b"x" * 1000 + b"\n\n", max_event_size=100)


def test_empty_data_lines_count_too() -> None:
    with pytest.raises(EventTooLargeError):
        decode(*[b"data\n"] * 1000, max_event_size=1000)


def test_what_is_complete_before_an_event_that_is_too_large_is_given() -> None:
    with pytest.raises(EventTooLargeError) as caught:
        decode(b"data: a\n\ndata: b\n\ndata: " + b"x" * 100, max_event_size=50)
    assert [event.data for event in caught.value.events] == ["a", "b"]


def test_each_event_has_the_whole_size_for_itself() -> None:
    assert len(decode(b"data: 12345\n\n" * 1000, max_event_size=20)) == 1000


def test_comments_don_t_count() -> None:
    decoder = Decoder(max_event_size=50)
    decoder.feed(b"data: a\n")
    for _ in range(1000):
        assert not decoder.feed(b": pi")
        assert not decoder.feed(b"ng\n")
    assert decoder.feed(b"\n") == [Event("a", "message", "")]


# Properties

FRAGMENTS = [
    *(b"data", b"data:", b"data: ", b"event: ", b"id:", b"retry: ", b":", b" ", b"x", b"12"),
    *(b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r", b"\r\n\r\n", b"\ndata: ", b"\r\ndata:"),
    *(b"\xef\xbb\xbf", b"\xef\xbb", b"\xff", b"\xe2\x82", b"\xe2\x82\xac", b"\xf0\x9f\x98\x80"),
    *(b"\0", b"\x0b", b"\x0c", b"\x85", b"\xc2\x85", b"\xe2\x80\xa8", b"9" * 18, b'{"a": 1}'),
]
streams = st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=4), max_size=40).map(b"".join)
cuts = st.lists(st.integers(min_value=0, max_value=400), max_size=12)


@dataclass
class Outcome:
    """All that a decoder tells of a whole stream."""

    events: list[Event] = field(default_factory=list)
    left: Event | None = None
    retry: int | None = None
    too_large: bool = False


def outcome(pieces: Iterable[bytes], max_event_size: int = 1_000_000) -> Outcome:
    decoder = Decoder(max_event_size)
    told = Outcome()
    try:
        for piece in pieces:
            told.events += decoder.feed(piece)
        told.left = decoder.close()
    except EventTooLargeError as error:
        told.events += error.events
        told.too_large = True
    told.retry = decoder.retry
    return told


def reference(stream: bytes) -> Outcome:  # noqa: C901 - it follows the standard's own steps
    """The standard's text, word by word, over the whole stream at once."""
    told = Outcome()
    text = stream.decode("utf-8", errors="replace").removeprefix("\ufeff")
    *lines, unended = re.split("\r\n|\n|\r", text)
    buffer = kind = last_id = ""

    def dispatch() -> Event | None:
        nonlocal buffer, kind
        event = Event(buffer.removesuffix("\n"), kind or "message", last_id) if buffer else None
        buffer = kind = ""
        return event

    def process(line: str) -> None:
        nonlocal buffer, kind, last_id
        if line.startswith(":"):
            return
        name, value = line, ""
        if ":" in line:
            name, value = line.split(":", 1)
            value = value.removeprefix(" ")
        if name == "event":
            kind = value
        elif name == "data":
            buffer += value + "\n"
        elif name == "id" and "\0" not in value:
            last_id = value
        elif name == "retry" and re.fullmatch("[0-9]{1,18}", value):
            told.retry = int(value)

    for line in lines:
        if line:
            process(line)
        elif (event := dispatch()) is not None:
            told.events.append(event)
    # Here the standard ends; the decoder gives what it discards.
    process(unended)
    told.left = dispatch()
    return told


def cut(stream: bytes, at: list[int]) -> list[bytes]:
    places = [0, *sorted(min(place, len(stream)) for place in at), len(stream)]
    return [stream[start:end] for start, end in pairwise(places)]


@pytest.mark.unmeasured
@given(streams)
@settings(max_examples=400, deadline=None)
def test_the_events_are_those_of_the_standard(stream: bytes) -> None:
    assert outcome([stream]) == reference(stream)


def test_events_of_several_lines_may_follow_simple_ones_in_one_piece() -> None:
    decoder = Decoder()
    assert decoder.feed(b"data: a\n\n") == [Event("a", "message", "")]
    assert decoder.feed(b"data: b\n\nid: 1\ndata: c\n\ndata: d\ndata: e\n\ndata: f\n\n") == [
        Event("b", "message", ""),
        Event("c", "message", "1"),
        Event("d\ne", "message", "1"),
        Event("f", "message", "1"),
    ]


@pytest.mark.unmeasured
@given(streams, cuts)
@example(b"\xef\xbb\xbfdata: a\r\n\r\n", [1, 2, 11, 12, 13])
@settings(max_examples=400, deadline=None)
def test_the_events_are_the_same_however_the_bytes_are_cut(stream: bytes, at: list[int]) -> None:
    whole = outcome([stream])
    assert outcome(cut(stream, at)) == whole
    assert outcome(stream[i : i + 1] for i in range(len(stream))) == whole


@pytest.mark.unmeasured
@given(streams, cuts, st.integers(min_value=0, max_value=60))
@example(b"data: a\n\n: a long comment that ends\n", [20], 12)
@settings(max_examples=400, deadline=None)
def test_what_is_too_large_is_the_same_however_the_bytes_are_cut(
    stream: bytes, at: list[int], size: int
) -> None:
    whole = outcome([stream], size)
    pieces = outcome(cut(stream, at), size)
    assert (pieces.events, pieces.too_large) == (whole.events, whole.too_large)


# Cost

PIECE = 1460
MIB = 1024 * 1024
LARGE = {
    "one line": b"data: " + b"x" * (8 * MIB) + b"\n\n",
    "lines": (b"data: " + b"x" * 80 + b"\n") * (MIB // 4 // 87) + b"\n",
    "comments": (b": ping " * 12 + b"\n") * (MIB // 4 // 85) + b"data: x\n\n",
}


@pytest.mark.unmeasured
@pytest.mark.parametrize("shape", LARGE)
def test_the_bytes_allocated_are_linear_in_the_size_of_an_event(shape: str) -> None:
    stream = LARGE[shape]
    pieces = [stream[i : i + PIECE] for i in range(0, len(stream), PIECE)]
    decoder = Decoder()
    events: list[Event] = []
    allocated = before = 0

    def count(frame: FrameType, _what: str, _value: object) -> Any:
        nonlocal allocated, before
        if frame.f_code.co_filename != Decoder.feed.__code__.co_filename:
            return None
        # Each line of code is measured by itself; what is as small as a piece is no copy of much.
        more = tracemalloc.get_traced_memory()[1] - before
        allocated += more if more > 2 * PIECE else 0
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        return count

    tracer = sys.gettrace()
    tracemalloc.start()
    sys.settrace(count)
    try:
        for piece in pieces:
            events += decoder.feed(piece)
    finally:
        sys.settrace(tracer)
        tracemalloc.stop()
    assert len(events) == 1
    # A buffer that is copied for each piece would be hundreds of times the stream.
    assert allocated < 8 * len(stream)


@pytest.mark.parametrize("shape", LARGE)
def test_the_bytes_looked_at_are_linear_in_the_size_of_an_event(shape: str) -> None:
    looked_at = 0

    class Piece(bytes):
        def __contains__(self, key: Any) -> bool:
            nonlocal looked_at
            looked_at += len(self)
            return super().__contains__(key)

    stream = LARGE[shape]
    pieces = [Piece(stream[i : i + PIECE]) for i in range(0, len(stream), PIECE)]
    decoder = Decoder()
    events: list[Event] = []

    def count(_frame: object, what: str, called: Any) -> None:
        nonlocal looked_at
        # Each method of a bytes object (splitlines, find, endswith, ...) is counted as reading all.
        if what == "c_call" and isinstance(getattr(called, "__self__", None), bytes | bytearray):
            looked_at += len(called.__self__)

    profiler = sys.getprofile()
    sys.setprofile(count)
    try:
        for piece in pieces:
            events += decoder.feed(piece)
    finally:
        sys.setprofile(profiler)
    assert len(events) == 1
    assert len(stream) <= looked_at < 12 * len(stream)
