"""A stream, as its caller meets it: both clients over real sockets, against servers that misbehave.

What it tells while it goes on and at its end, which ends are complete and which errors the others
are, what silence is, and what becomes of the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import queue
import threading
import time
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pytest
from colours import in_use
from rawserver import each, posted

from creatify import (
    APIConnectionError,
    APIStatusError,
    AsyncCreatify,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    Creatify,
    CreatifyError,
    InsufficientCreditsError,
    OutcomeUnknownError,
    ResponseDecodeError,
    StreamError,
    StreamEventError,
    StreamIdleError,
    StreamInterruptedError,
    TextStream,
    user,
)
from creatify._accumulator import Accumulator
from creatify_api.models import (
    FunctionCallPart,
    GeminiUsageMetadata,
    TextGenStreamChunk,
    TextGenStreamReceipt,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from colours import Colour
    from rawserver import Exchange, RawServer, Script

    from creatify.testing import Emulator

    Serve = Callable[[Script], RawServer]

pytestmark = pytest.mark.anyio

ASK: dict[str, Any] = {"model_name": "gemini-2.5-flash", "messages": [user("Hello")]}
LONG = 10.0
"""Seconds after which a test is broken; none takes them when it passes."""


def event(payload: object) -> bytes:
    return f"data: {json.dumps(payload)}\r\n\r\n".encode()


def said(text: str, **candidate: Any) -> bytes:
    """An event that says some text."""
    return parts({"text": text}, **candidate)


def parts(*parts: dict[str, Any], **candidate: Any) -> bytes:
    """An event of a candidate with these parts."""
    return event({"candidates": [{"content": {"parts": parts, "role": "model"}, **candidate}]})


RECEIPT = event({"creatify": {"id": "4f6d", "credits_used": 0.5}})
END = said("!", finishReason="STOP")


def sends(*pieces: bytes) -> Script:
    """A whole stream in these pieces."""
    return lambda exchange: exchange.stream(pieces)


def answers(body: bytes, **how: Any) -> Script:
    return lambda exchange: exchange.answer(body, **how)


class Steps:
    """A server that sends a piece each time the test says so, and notes that its client leaves."""

    def __init__(self, serve: Serve, *pieces: bytes) -> None:
        self._pieces = pieces
        self._next = threading.Semaphore(0)
        self._left: queue.Queue[bool] = queue.Queue()
        self.in_time: list[bool] = []
        self.url = serve(posted(self._run)).url

    def step(self) -> None:
        self._next.release()

    async def client_left(self) -> bool:
        return await anyio.to_thread.run_sync(self._left.get)

    def _run(self, exchange: Exchange) -> None:
        exchange.begin_stream()
        for piece in self._pieces:
            self.in_time.append(self._next.acquire(timeout=LONG))
            exchange.piece(piece)
        self._left.put(exchange.peer_closed(LONG))


async def text_of(stream: Any) -> list[str]:
    return [text async for text in stream.text_stream]


# What a stream tells


async def test_before_anything_came_there_is_nothing(colour: Colour, serve: Serve) -> None:
    client = colour.client(base_url=serve(sends(END)).url)
    stream = client.text_generator.stream(**ASK)
    for _ in ("before it is entered", "before it is read"):
        assert (stream.text, stream.thoughts, stream.function_calls) == ("", "", [])
        assert (stream.finish_reason, stream.usage, stream.receipt) == (None, None, None)
        if not stream.response_headers:
            await stream.__aenter__()
    await stream.__aexit__(None, None, None)
    assert stream.response_headers


async def test_chunks_are_the_api_s_own_type(colour: Colour, serve: Serve) -> None:
    client = colour.client(base_url=serve(sends(said("Hel", index=0), said("lo"), END)).url)
    async with client.text_generator.stream(**ASK) as stream:
        chunks = [chunk async for chunk in stream]
    assert [type(chunk) for chunk in chunks] == [TextGenStreamChunk] * 3
    assert chunks[0].candidates[0].content.parts[0].text == "Hel"
    assert chunks[2].candidates[0].finish_reason == "STOP"


async def test_what_a_stream_tells_grows_with_it(colour: Colour, serve: Serve) -> None:
    usage = event({"usageMetadata": {"promptTokenCount": 2, "totalTokenCount": 5}})
    more = event({"usageMetadata": {"promptTokenCount": 2, "totalTokenCount": 9}})
    client = colour.client(base_url=serve(sends(said("a"), usage, said("b"), more, END)).url)
    async with client.text_generator.stream(**ASK) as stream:
        told = [
            (stream.text, stream.usage and stream.usage.total_token_count, stream.finish_reason)
            async for _ in stream
        ]
        assert repr(stream).endswith("TextStream: 5 chunks so far>")
    assert told == [
        ("a", None, None),
        ("a", 5, None),
        ("ab", 5, None),
        ("ab", 9, None),
        ("ab!", 9, "STOP"),
    ]
    assert stream.usage == GeminiUsageMetadata(prompt_token_count=2, total_token_count=9)


async def test_a_thought_is_no_text(colour: Colour, serve: Serve) -> None:
    pieces = [
        parts({"text": "Hm", "thought": True}),
        parts({"text": "m.", "thought": True}, {"text": "Yes", "thought": False}),
        parts({"text": "."}, {"text": ""}, {"thoughtSignature": "c2ln"}, finishReason="STOP"),
    ]
    client = colour.client(base_url=serve(sends(*pieces)).url)
    async with client.text_generator.stream(**ASK) as stream:
        assert await text_of(stream) == ["Yes", "."]
    assert stream.text == "Yes."
    assert stream.thoughts == "Hmm."


async def test_function_calls_are_those_of_all_chunks(colour: Colour, serve: Serve) -> None:
    calls: list[dict[str, Any]] = [
        {"name": "get_capital", "args": {"country": "France", "region": None}},
        {"name": "now", "id": "7"},
        {"name": "get_capital", "args": {}},
    ]
    one, two, three = ({"functionCall": call} for call in calls)
    pieces = [parts(one, {"text": "a"}, two), parts(three, finishReason="STOP")]
    client = colour.client(base_url=serve(sends(*pieces)).url)
    async with client.text_generator.stream(**ASK) as stream:
        assert await text_of(stream) == ["a"]
    assert all(isinstance(call, FunctionCallPart) for call in stream.function_calls)
    assert [call.name for call in stream.function_calls] == ["get_capital", "now", "get_capital"]
    assert stream.function_calls[0].args.to_dict() == {"country": "France", "region": None}
    assert [call.to_dict() for call in stream.function_calls] == calls


async def test_only_the_first_candidate_counts(colour: Colour, serve: Serve) -> None:
    other = {"index": 1, "content": {"parts": [{"text": "B"}]}, "finishReason": "SAFETY"}
    first = {"index": 0, "content": {"parts": [{"text": "A"}]}, "finishReason": "STOP"}
    client = colour.client(base_url=serve(sends(event({"candidates": [first, other]}))).url)
    async with client.text_generator.stream(**ASK) as stream:
        (chunk,) = [chunk async for chunk in stream]
    assert (stream.text, stream.finish_reason) == ("A", "STOP")
    assert [candidate.index for candidate in chunk.candidates] == [0, 1]


@pytest.mark.parametrize(
    ("receipt", "told"),
    [
        ({"id": "4f6d", "credits_used": 0.5}, ("4f6d", 0.5)),
        ({"generation_id": "4f6d", "credits_used": 2}, ("4f6d", 2)),
        ({"id": None, "generation_id": "4f6d", "credits_used": 0}, ("4f6d", 0)),
        ({"id": "4f6d", "generation_id": "other", "credits_used": 1}, ("4f6d", 1)),
    ],
)
async def test_the_receipt_is_read_by_either_name_of_its_id(
    receipt: dict[str, Any], told: tuple[str, float], colour: Colour, serve: Serve
) -> None:
    final = event({"creatify": receipt})
    client = colour.client(base_url=serve(sends(said("a"), END, final)).url)
    async with client.text_generator.stream(**ASK) as stream:
        before = [stream.receipt async for _ in stream][:-1]
    assert before == [None, None]
    assert isinstance(stream.receipt, TextGenStreamReceipt)
    assert (stream.receipt.id, stream.receipt.credits_used) == told


async def test_a_blocked_prompt_is_complete_and_says_why(colour: Colour, serve: Serve) -> None:
    blocked = event({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}})
    client = colour.client(base_url=serve(sends(blocked)).url)
    async with client.text_generator.stream(**ASK) as stream:
        assert await text_of(stream) == []
    assert stream.finish_reason == "PROHIBITED_CONTENT"


async def test_a_finish_reason_stays(colour: Colour, serve: Serve) -> None:
    client = colour.client(base_url=serve(sends(END, said("", index=0), event({}))).url)
    async with client.text_generator.stream(**ASK) as stream:
        await stream.until_done()
    assert stream.finish_reason == "STOP"


async def test_the_headers_of_the_answer_ignore_case(colour: Colour, serve: Serve) -> None:
    def script(exchange: Exchange) -> None:
        exchange.answer(
            END, content_type="TEXT/Event-Stream; charset=latin-1", headers="X-A: b\r\n"
        )

    client = colour.client(base_url=serve(script).url)
    async with client.text_generator.stream(**ASK) as stream:
        assert stream.response_headers["x-a"] == stream.response_headers["X-A"] == "b"
        await stream.until_done()
    assert "text/event-stream" in stream.response_headers["CONTENT-TYPE"].lower()


async def test_text_is_utf8_whatever_the_header_says(colour: Colour, serve: Serve) -> None:
    body = END.replace(b'"!"', '"é"'.encode())
    script = answers(body, content_type="text/event-stream; charset=latin-1")
    client = colour.client(base_url=serve(script).url)
    async with client.text_generator.stream(**ASK) as stream:
        assert await text_of(stream) == ["é"]


async def test_the_ways_of_reading_may_be_mixed(colour: Colour, serve: Serve) -> None:
    pieces = [said(letter) for letter in "abcdef"]
    client = colour.client(base_url=serve(sends(b"".join(pieces), END, RECEIPT)).url)
    async with client.text_generator.stream(**ASK) as stream:
        async for _ in stream:
            break
        async for text in stream.text_stream:
            assert text == "b"
            break
        chunk = await anext(aiter(stream))
        assert chunk.candidates[0].content.parts[0].text == "c"
        assert await anext(stream.text_stream) == "d"
        assert stream.text == "abcd"
        await stream.until_done()
        assert stream.text == "abcdef!"
        assert stream.receipt.id == "4f6d"
        assert [chunk async for chunk in stream] == []


@pytest.mark.parametrize("way", ["chunks", "text"])
async def test_a_chunk_is_given_when_it_arrives_and_not_when_the_next_does(
    way: str, colour: Colour, serve: Serve
) -> None:
    server = Steps(serve, said("a"), said("b"), END)
    client = colour.client(base_url=server.url)
    seen = 0
    async with client.text_generator.stream(**ASK) as stream:
        server.step()
        with anyio.fail_after(LONG):
            # The server sends the next only after this one has been seen.
            async for _ in stream if way == "chunks" else stream.text_stream:
                seen += 1
                if seen == 3:
                    break
                server.step()
    assert stream.text == "ab!"
    assert server.in_time == [True, True, True]


async def test_the_emulator_s_streams_read_to_their_receipt(
    colour: Colour, emulator: Emulator
) -> None:
    keys = {"api_id": emulator.api_id, "api_key": emulator.api_key}
    client = colour.client(base_url=emulator.url, **keys)
    async with client.text_generator.stream(**ASK) as stream:
        pieces = await text_of(stream)
    task = await client.text_generator.retrieve(stream.receipt.id)
    assert "".join(pieces) == stream.text == task.response_text
    assert stream.receipt.credits_used == task.credits_used
    assert emulator.charges == 1


# Ends


async def complete(client: Any) -> Any:
    async with client.text_generator.stream(**ASK) as stream:
        await stream.until_done()
    return stream


async def test_a_finish_reason_and_a_clean_end_are_complete(colour: Colour, serve: Serve) -> None:
    stream = await complete(colour.client(base_url=serve(sends(said("a"), END)).url))
    assert (stream.text, stream.finish_reason, stream.receipt) == ("a!", "STOP", None)


async def test_a_receipt_and_a_clean_end_are_complete(colour: Colour, serve: Serve) -> None:
    stream = await complete(colour.client(base_url=serve(sends(said("a"), RECEIPT)).url))
    assert (stream.text, stream.finish_reason) == ("a", None)
    assert stream.receipt.id == "4f6d"


async def test_a_body_that_ends_with_its_connection_ends_cleanly(
    colour: Colour, serve: Serve
) -> None:
    def script(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + END)
        exchange.hang_up()

    assert (await complete(colour.client(base_url=serve(script).url))).text == "!"


class Loses:
    """A server that sends these pieces, waits until the test has read them, and resets."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces
        self.read = threading.Event()

    def __call__(self, exchange: Exchange) -> None:
        exchange.begin_stream()
        for piece in self._pieces:
            exchange.piece(piece)
        self.read.wait(LONG)
        exchange.reset()


async def test_a_connection_lost_after_the_receipt_loses_nothing(
    colour: Colour, serve: Serve
) -> None:
    script = Loses(said("a"), RECEIPT)
    client = colour.client(base_url=serve(script).url)
    async with client.text_generator.stream(**ASK) as stream:
        async for _ in stream:
            if stream.receipt is not None:
                script.read.set()
    assert (stream.text, stream.receipt.id) == ("a", "4f6d")


@pytest.mark.parametrize("last", [said("b"), END], ids=["text", "finish reason"])
async def test_a_connection_lost_before_the_receipt_is_an_interruption(
    last: bytes, colour: Colour, serve: Serve
) -> None:
    script = Loses(said("a"), last)
    client = colour.client(base_url=serve(script).url)
    async with client.text_generator.stream(**ASK) as stream:
        await anext(aiter(stream))
        await anext(aiter(stream))
        script.read.set()
        with pytest.raises(StreamInterruptedError, match="the stream ended early: ") as caught:
            await stream.until_done()
    assert caught.value.partial_text == stream.text != ""
    assert caught.value.chunks_received == 2
    assert isinstance(caught.value.__cause__, APIConnectionError)
    assert caught.value.__cause__.request_sent


async def test_a_body_cut_short_is_an_interruption(colour: Colour, serve: Serve) -> None:
    def script(exchange: Exchange) -> None:
        head = f"Content-Type: text/event-stream\r\nContent-Length: {len(END) + 1}\r\n\r\n"
        exchange.send(b"HTTP/1.1 200 OK\r\n" + head.encode() + END)
        exchange.hang_up()

    client = colour.client(base_url=serve(script).url)
    async with client.text_generator.stream(**ASK) as stream:
        with pytest.raises(StreamInterruptedError):
            await stream.until_done()
    assert stream.text == "!"


@pytest.mark.parametrize(
    ("pieces", "text", "chunks"),
    [
        ([], "", 0),
        ([b": welcome\n\n"], "", 0),
        ([said("a"), said("b")], "ab", 2),
        ([said("a"), event({"creatify": None}), event({"creatify": {}})], "a", 3),
    ],
)
async def test_an_end_without_a_finish_reason_or_a_receipt_is_an_interruption(
    pieces: list[bytes], text: str, chunks: int, colour: Colour, serve: Serve
) -> None:
    client = colour.client(base_url=serve(sends(*pieces)).url)
    async with client.text_generator.stream(**ASK) as stream:
        with pytest.raises(StreamInterruptedError, match="without a finish reason") as caught:
            await stream.until_done()
    assert (caught.value.partial_text, caught.value.chunks_received) == (text, chunks)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("missing", [1, 2, 3, 4])
async def test_a_last_event_without_its_line_ends_is_delivered(
    missing: int, colour: Colour, serve: Serve
) -> None:
    client = colour.client(base_url=serve(sends(said("a"), RECEIPT[:-missing])).url)
    async with client.text_generator.stream(**ASK) as stream:
        chunks = [chunk async for chunk in stream]
    assert len(chunks) == 2
    assert stream.receipt.id == "4f6d"


async def test_a_last_event_without_its_line_ends_is_delivered_from_a_lost_connection(
    colour: Colour, serve: Serve
) -> None:
    script = Loses(said("a"), RECEIPT[:-4])
    client = colour.client(base_url=serve(script).url)
    async with client.text_generator.stream(**ASK) as stream:
        async for _ in stream:
            script.read.set()
    assert stream.receipt.id == "4f6d"


@pytest.mark.parametrize("end", [b"", b"\r\n"])
async def test_a_last_event_that_is_cut_is_not_delivered(
    end: bytes, colour: Colour, serve: Serve
) -> None:
    client = colour.client(base_url=serve(sends(said("a"), END[:-6] + end)).url)
    async with client.text_generator.stream(**ASK) as stream:
        with pytest.raises(StreamInterruptedError) as caught:
            await stream.until_done()
    assert (caught.value.partial_text, caught.value.chunks_received) == ("a", 1)


async def test_an_end_mark_of_openai_means_nothing(colour: Colour, serve: Serve) -> None:
    client = colour.client(base_url=serve(sends(END, b"data: [DONE]\n\n")).url)
    async with client.text_generator.stream(**ASK) as stream:
        assert len([chunk async for chunk in stream]) == 1
    assert stream.text == "!"


# Errors inside a stream

OVERLOADED = {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}


@pytest.mark.parametrize(
    ("sent", "code", "message"),
    [
        (event({"error": OVERLOADED}), 503, "The model is overloaded."),
        (event({"error": OVERLOADED})[:-4], 503, "The model is overloaded."),
        (event({"error": OVERLOADED} | json.loads(END[6:])), 503, "The model is overloaded."),
        (event({"error": "Out of credits."}), None, "Out of credits."),
        (event({"error": {"code": "odd", "message": "Odd."}}), None, "Odd."),
        (event({"error": {"status": "INTERNAL"}}), None, '{"status": "INTERNAL"}'),
        (event({"error": {"message": ["Odd."]}}), None, '{"message": ["Odd."]}'),
        (event({"error": {}}), None, '{"error": {}}'),
        (b"event: error\n" + event(OVERLOADED), 503, "The model is overloaded."),
        (b"event: error\n" + event({"error": OVERLOADED}), 503, "The model is overloaded."),
        (b"event: error\n" + event({"error": None}), None, '{"error": null}'),
        (b"event: error\n" + event("Out of order."), None, "Out of order."),
        (event(["Out of order."]), None, '["Out of order."]'),
        (event({"error": {"message": "x" * 9999}}), None, "x" * 9999),
    ],
)
async def test_an_error_event_is_raised_with_what_the_api_says(
    sent: bytes, code: int | None, message: str, colour: Colour, serve: Serve
) -> None:
    client = colour.client(base_url=serve(sends(said("a"), said("b"), sent)).url)
    async with client.text_generator.stream(**ASK) as stream:
        with pytest.raises(StreamEventError) as caught:
            await stream.until_done()
    assert (caught.value.code, caught.value.message) == (code, message)
    assert (caught.value.partial_text, caught.value.chunks_received) == ("ab", 2)
    assert message in str(caught.value)


async def test_an_error_event_may_be_plain_text(colour: Colour, serve: Serve) -> None:
    pieces = said("a"), b"event: error\ndata: Out of order.\n\n"
    client = colour.client(base_url=serve(sends(*pieces)).url)
    async with client.text_generator.stream(**ASK) as stream:
        with pytest.raises(StreamEventError) as caught:
            await stream.until_done()
    assert (caught.value.code, caught.value.message) == (None, "Out of order.")
    assert (caught.value.partial_text, caught.value.chunks_received) == ("a", 1)


async def test_an_error_that_is_null_is_none(colour: Colour, serve: Serve) -> None:
    chunk = event({"error": None} | json.loads(END[6:]))
    assert (await complete(colour.client(base_url=serve(sends(chunk)).url))).text == "!"


@pytest.mark.parametrize(
    "sent",
    [
        "Service Unavailable",
        "",
        '{"candidates": [',
        "[" * 100_000,
        '{"credits": ' + "9" * 5000 + "}",
    ],
    ids=["text", "empty", "cut", "deep", "huge number"],
)
async def test_an_event_that_is_no_json_is_an_error_that_shows_it(
    sent: str, colour: Colour, serve: Serve
) -> None:
    pieces = said("a"), f"data: {sent}\n\n".encode(), END
    client = colour.client(base_url=serve(sends(*pieces)).url)
    async with client.text_generator.stream(**ASK) as stream:
        with pytest.raises(StreamError) as caught:
            await stream.until_done()
    assert type(caught.value) is StreamError
    assert str(caught.value).startswith(
        f"an event is no JSON: {sent[:500]} (after 1 chunk); it may have been".replace("  ", " ")
    )
    assert (caught.value.partial_text, caught.value.chunks_received) == ("a", 1)


WRONG = [
    (
        '{"candidates": [ {"content": {"parts": [{"text": 5}]}}]}',
        "candidates[0].content.parts[0].text",
    ),
    ('{"candidates": [null]}', "candidates[0]"),
    ('{"candidates": 5}', "candidates"),
    ('{"candidates": [{"content": "\\u00e9"}]}', "candidates[0].content"),
    ('{"candidates": [{"content": {"parts":  ["a"]}}]}', "candidates[0].content.parts[0]"),
    ('{"promptFeedback": "no"}', "promptFeedback"),
]


@pytest.mark.parametrize(("sent", "path"), WRONG)
@pytest.mark.parametrize("way", ["chunks", "text"])
async def test_a_chunk_of_wrong_types_is_a_decode_error_with_its_place(
    sent: str, path: str, way: str, colour: Colour, serve: Serve
) -> None:
    client = colour.client(base_url=serve(sends(said("a"), f"data:{sent}\n\n".encode())).url)
    async with client.text_generator.stream(**ASK) as stream:
        with pytest.raises(ResponseDecodeError) as caught:
            _ = [_ async for _ in (stream if way == "chunks" else stream.text_stream)]
    assert caught.value.path == f"$.{path}"
    assert caught.value.payload == sent.encode()
    assert stream.text == "a"


async def test_the_decode_error_of_a_chunk_has_the_chunk_as_it_was_received(
    colour: Colour, serve: Serve
) -> None:
    sent = b'{"modelVersion":null,  "candidates":[{"index":"first", "finishReason":"STOP"}]}'
    client = colour.client(base_url=serve(sends(b"data: " + sent + b"\n\n", RECEIPT)).url)
    async with client.text_generator.stream(**ASK) as stream:
        with pytest.raises(ResponseDecodeError) as caught:
            await anext(aiter(stream))
        # The chunk is lost to the caller, and not the rest.
        await stream.until_done()
    assert caught.value.path == "$.candidates[0].index"
    assert caught.value.payload == sent
    assert stream.receipt.id == "4f6d"


async def test_what_is_asked_of_a_stream_is_held_against_the_spec(
    colour: Colour, serve: Serve
) -> None:
    usage = event({"usageMetadata": {"totalTokenCount": "many"}})
    receipt = event({"creatify": {"id": 7}})
    call = parts({"functionCall": {"args": {}}})
    client = colour.client(base_url=serve(sends(usage, call, receipt)).url)
    async with client.text_generator.stream(**ASK) as stream:
        assert await text_of(stream) == []
    for name, path, part in (
        ("usage", "$.totalTokenCount", {"totalTokenCount": "many"}),
        ("receipt", "$.id", {"id": 7}),
        ("function_calls", "$", {"args": {}}),
    ):
        with pytest.raises(ResponseDecodeError) as caught:
            getattr(stream, name)
        assert caught.value.path == path
        assert json.loads(caught.value.payload) == part


async def test_an_event_over_max_event_size_is_an_error_after_all_that_came_before(
    colour: Colour, serve: Serve
) -> None:
    script = sends(said("a") + said("b") + said("x" * 2000) + END)
    client = colour.client(base_url=serve(script).url)
    async with client.text_generator.stream(**ASK, max_event_size=1000) as stream:
        with pytest.raises(StreamError, match="an event exceeds 1000 bytes") as caught:
            await stream.until_done()
    assert type(caught.value) is StreamError
    assert (caught.value.partial_text, caught.value.chunks_received) == ("ab", 2)


async def test_an_event_over_max_event_size_is_refused_before_it_has_come_whole(
    colour: Colour, serve: Serve
) -> None:
    server = Steps(serve, b"data: ", *[b"x" * 100] * 20)
    for _ in range(11):
        server.step()
    client = colour.client(base_url=server.url)
    async with client.text_generator.stream(**ASK, max_event_size=1000) as stream:
        with pytest.raises(StreamError, match="an event exceeds 1000 bytes"):
            await stream.until_done()
    for _ in range(10):
        server.step()


# Answers that are no stream


async def fails(client: Any, kind: type[CreatifyError]) -> Any:
    """The error that entering a stream raises."""
    stream = client.text_generator.stream(**ASK)
    with pytest.raises(kind) as caught:
        await stream.__aenter__()
    return caught.value


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("400 Bad Request", BadRequestError),
        ("401 Unauthorized", AuthenticationError),
        ("402 Payment Required", InsufficientCreditsError),
    ],
)
@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream"])
async def test_a_status_that_is_no_success_is_its_error(
    status: str, kind: type[APIStatusError], content_type: str, colour: Colour, serve: Serve
) -> None:
    script = answers(b'{"error": "No."}', status=status, content_type=content_type)
    error = await fails(colour.client(base_url=serve(script).url), kind)
    assert type(error) is kind is not APIStatusError
    assert (error.status_code, error.message) == (int(status[:3]), "No.")
    assert error.body == {"error": "No."}


@pytest.mark.parametrize("content_type", ["application/json", "text/html", "text/plain"])
async def test_a_success_that_is_no_event_stream_is_an_error_that_shows_the_body(
    content_type: str, colour: Colour, serve: Serve
) -> None:
    body = b'{"id": "4f6d"}' + b" " * 1000 + b"!"
    script = posted(answers(body, content_type=content_type))
    error = await shown(colour.client(base_url=serve(script).url))
    assert f'no event stream but {content_type}: {{"id": "4f6d"}}' in str(error)
    assert len(str(error)) < 700
    assert (error.payload, error.path) == (body, "$")


async def shown(client: Any) -> ResponseDecodeError:
    """The cause of the error of a success that is no stream: whether it was paid for is unknown."""
    error = await fails(client, OutcomeUnknownError)
    assert isinstance(error.__cause__, ResponseDecodeError)
    assert str(error).startswith(str(error.__cause__))
    return error.__cause__


async def test_an_answer_without_a_content_type_is_no_event_stream(
    colour: Colour, serve: Serve
) -> None:
    script = posted(lambda e: e.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"))
    error = await shown(colour.client(base_url=serve(script).url))
    assert "no event stream but no Content-Type: {}" in str(error)


async def test_a_compressed_stream_is_refused(colour: Colour, serve: Serve) -> None:
    body, headers = gzip.compress(END), "Content-Encoding: gzip\r\n"
    script = posted(answers(body, content_type="text/event-stream", headers=headers))
    error = await shown(colour.client(base_url=serve(script).url))
    assert "it is encoded as gzip, which was not asked for" in str(error)
    assert (error.payload, error.path) == (body, "$")


async def test_a_connection_lost_before_the_answer_leaves_the_outcome_unknown(
    colour: Colour, serve: Serve
) -> None:
    server = serve(lambda exchange: exchange.reset())
    error = await fails(colour.client(base_url=server.url), OutcomeUnknownError)
    assert type(error.__cause__) is APIConnectionError
    assert error.__cause__.request_sent
    assert error.request.to_dict()["messages"] == [ASK["messages"][0].to_dict()]
    assert error.candidates == []
    assert len(server.posts) == 1


# Silence


async def test_silence_longer_than_idle_timeout_is_an_error(colour: Colour, serve: Serve) -> None:
    server = Steps(serve, said("a"))
    server.step()
    client = colour.client(base_url=server.url)
    async with client.text_generator.stream(**ASK, idle_timeout=0.2) as stream:
        with pytest.raises(StreamIdleError, match=r"silent for 0\.2 seconds") as caught:
            await stream.until_done()
    assert isinstance(caught.value, TimeoutError)
    assert (caught.value.partial_text, caught.value.chunks_received) == ("a", 1)
    assert await server.client_left()


async def test_silence_after_the_receipt_loses_nothing(colour: Colour, serve: Serve) -> None:
    server = Steps(serve, said("a"), RECEIPT)
    server.step()
    server.step()
    client = colour.client(base_url=server.url)
    async with client.text_generator.stream(**ASK, idle_timeout=0.2) as stream:
        await stream.until_done()
    assert (stream.text, stream.receipt.id) == ("a", "4f6d")


@pytest.mark.parametrize("heartbeat", [b": ping\n\n", b"event: ping\n\n", b"da"])
async def test_heartbeats_are_silence(heartbeat: bytes, colour: Colour, serve: Serve) -> None:
    stop = threading.Event()

    def script(exchange: Exchange) -> None:
        exchange.begin_stream()
        exchange.piece(said("a"))
        while not stop.wait(0.02):
            exchange.piece(heartbeat)

    client = colour.client(base_url=serve(posted(script)).url)
    async with client.text_generator.stream(**ASK, idle_timeout=0.2) as stream:
        with pytest.raises(StreamIdleError) as caught, anyio.fail_after(LONG):
            await stream.until_done()
    stop.set()
    assert (caught.value.partial_text, caught.value.chunks_received) == ("a", 1)


async def test_an_event_ends_the_silence(colour: Colour, serve: Serve) -> None:
    def script(exchange: Exchange) -> None:
        exchange.begin_stream()
        for _ in range(6):
            gone.wait(0.1)
            exchange.piece(b": ping\n\n")
            gone.wait(0.1)
            exchange.piece(said("a"))
        exchange.piece(END)
        exchange.end_stream()

    gone = threading.Event()
    client = colour.client(base_url=serve(script).url)
    async with client.text_generator.stream(**ASK, idle_timeout=0.8) as stream:
        await stream.until_done()
    assert stream.text == "aaaaaa!"


async def test_a_slow_consumer_is_no_silence(colour: Colour, serve: Serve) -> None:
    ping = b": ping\n\n"
    client = colour.client(base_url=serve(sends(ping, said("a"), ping, ping, END)).url)
    async with client.text_generator.stream(**ASK, idle_timeout=0.3) as stream:
        await anyio.sleep(0.4)
        async for _ in stream:
            await anyio.sleep(0.4)
    assert stream.text == "a!"


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan")])
async def test_an_idle_timeout_is_positive_and_finite(
    seconds: float, colour: Colour, serve: Serve
) -> None:
    server = serve(sends(END))
    client = colour.client(base_url=server.url)
    with pytest.raises(ConfigurationError, match="idle_timeout"):
        client.text_generator.stream(**ASK, idle_timeout=seconds)
    assert server.exchanges == []


# The connection


async def test_a_break_closes_the_connection(colour: Colour, serve: Serve) -> None:
    server = Steps(serve, said("a"))
    server.step()
    client = colour.client(base_url=server.url)
    async with client.text_generator.stream(**ASK) as stream:
        async for _ in stream:
            break
        assert len(in_use(client)) == 1
    assert await server.client_left()
    assert in_use(client) == []
    assert stream.text == "a"


async def test_an_exception_closes_the_connection(colour: Colour, serve: Serve) -> None:
    server = Steps(serve, said("a"))
    server.step()
    client = colour.client(base_url=server.url)
    with contextlib.suppress(ZeroDivisionError):
        async with client.text_generator.stream(**ASK) as stream:
            async for _ in stream.text_stream:
                raise ZeroDivisionError
        pytest.fail("the exception was swallowed")
    assert await server.client_left()
    assert in_use(client) == []


async def test_leaving_without_reading_closes_the_connection(colour: Colour, serve: Serve) -> None:
    server = Steps(serve)
    client = colour.client(base_url=server.url)
    async with client.text_generator.stream(**ASK):
        pass
    assert await server.client_left()
    assert in_use(client) == []


async def test_an_error_inside_the_stream_closes_the_connection(
    colour: Colour, serve: Serve
) -> None:
    server = Steps(serve, event({"error": "No."}))
    server.step()
    client = colour.client(base_url=server.url)
    with pytest.raises(StreamEventError):
        await complete(client)
    assert await server.client_left()
    # There is only that of the search in the list.
    assert in_use(client) == [False]


@pytest.mark.parametrize("colour", ["async", "aiohttp"], indirect=True)
async def test_a_cancellation_closes_the_connection(colour: Colour, serve: Serve) -> None:
    server = Steps(serve, said("a"))
    server.step()
    left: list[str] = []
    client = colour.client(base_url=server.url)

    async def read() -> None:
        try:
            async with client.text_generator.stream(**ASK) as stream:
                async for _ in stream:
                    first.set()
        finally:
            left.append(stream.text)

    first = anyio.Event()
    with anyio.fail_after(LONG):
        async with anyio.create_task_group() as group:
            group.start_soon(read)
            await first.wait()
            group.cancel_scope.cancel()
    assert await server.client_left()
    assert in_use(client) == []
    assert left == ["a"]


async def test_close_closes_the_connection_and_keeps_what_came(
    colour: Colour, serve: Serve
) -> None:
    server = Steps(serve, said("a"))
    server.step()
    client = colour.client(base_url=server.url)
    async with client.text_generator.stream(**ASK) as stream:
        async for _ in stream:
            await stream.close()
            assert await server.client_left()
            break
        assert stream.text == "a"
        with pytest.raises(StreamInterruptedError) as caught:
            await stream.until_done()
        await stream.close()
    assert caught.value.partial_text == "a"


async def test_a_stream_closed_before_it_was_read_is_interrupted(
    colour: Colour, serve: Serve
) -> None:
    client = colour.client(base_url=serve(sends(END)).url)
    async with client.text_generator.stream(**ASK) as stream:
        await stream.close()
        with pytest.raises(StreamInterruptedError) as caught:
            await stream.until_done()
    assert caught.value.chunks_received == 0


async def test_after_the_block_an_incomplete_stream_says_so_and_a_complete_one_is_empty(
    colour: Colour, serve: Serve
) -> None:
    client = colour.client(base_url=serve(sends(said("a"), said("b"), END)).url)
    async with client.text_generator.stream(**ASK) as left_early:
        async for _ in left_early:
            break
    async with client.text_generator.stream(**ASK) as never_read:
        pass
    for stream, text in ((left_early, "a"), (never_read, "")):
        for _ in range(2):
            with pytest.raises(StreamInterruptedError, match="closed here") as caught:
                await stream.until_done()
            assert caught.value.partial_text == stream.text == text
    async with client.text_generator.stream(**ASK) as complete_one:
        await complete_one.until_done()
    assert [chunk async for chunk in complete_one] == []
    assert [text async for text in complete_one.text_stream] == []


async def test_a_stream_that_failed_fails_again_when_it_is_read_again(
    colour: Colour, serve: Serve
) -> None:
    def script(exchange: Exchange) -> None:
        exchange.begin_stream()
        exchange.piece(said("half"))
        exchange.peer_closed(within=5)

    client = colour.client(base_url=serve(posted(script)).url)
    async with client.text_generator.stream(**ASK, idle_timeout=0.2) as stream:
        with pytest.raises(StreamIdleError):
            await stream.until_done()
        for _ in range(2):
            with pytest.raises(StreamInterruptedError) as caught:
                await stream.until_done()
            assert caught.value.partial_text == "half"


@pytest.mark.parametrize("last", [said("half"), END])
async def test_a_read_that_was_cancelled_does_not_make_half_a_text_look_complete(
    serve: Serve, last: bytes
) -> None:
    def script(exchange: Exchange) -> None:
        exchange.begin_stream()
        exchange.piece(last)
        exchange.peer_closed(within=5)

    async with (
        AsyncCreatify(
            base_url=serve(script).url, api_id="id", api_key="key", max_retries=0
        ) as client,
        client.text_generator.stream(**ASK) as stream,
    ):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(stream.until_done(), 0.2)
        with pytest.raises(StreamInterruptedError):
            await stream.until_done()


@pytest.mark.parametrize("way", ["chunks", "text"])
async def test_a_step_that_was_cancelled_does_not_make_half_a_text_look_complete(
    serve: Serve, way: str
) -> None:
    def script(exchange: Exchange) -> None:
        exchange.begin_stream()
        exchange.piece(said("half"))
        exchange.peer_closed(within=5)

    async with (
        AsyncCreatify(
            base_url=serve(script).url, api_id="id", api_key="key", max_retries=0
        ) as client,
        client.text_generator.stream(**ASK) as stream,
    ):
        each: Any = aiter(stream if way == "chunks" else stream.text_stream)
        await anext(each)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(each), 0.1)
        with pytest.raises(StreamInterruptedError):
            await anext(each)


@pytest.mark.parametrize("malformed", [b"data: oops\n\n", event({"candidates": 5})])
async def test_what_comes_after_a_malformed_event_is_not_lost(
    colour: Colour, serve: Serve, malformed: bytes
) -> None:
    server = serve(sends(said("a"), malformed + said("b"), END, RECEIPT))
    client = colour.client(base_url=server.url)
    async with client.text_generator.stream(**ASK) as stream:
        with pytest.raises((StreamError, ResponseDecodeError)):
            await stream.until_done()
        assert (stream.text, stream.finish_reason) == ("ab!", "STOP")
        assert stream.receipt is not None


async def test_a_retry_before_the_stream_leaves_its_idle_timeout_whole(
    colour: Colour, serve: Serve
) -> None:
    def paused(exchange: Exchange) -> None:
        exchange.begin_stream()
        exchange.piece(said("a"))
        time.sleep(1.2)
        exchange.piece(END)
        exchange.end_stream()

    def refused(exchange: Exchange) -> None:
        exchange.answer(status="429 Slow down", headers="Retry-After: 1.4\r\n")

    client = colour.client(base_url=serve(each(refused, paused)).url, max_retries=1)
    async with client.text_generator.stream(**ASK, idle_timeout=2.0) as stream:
        await stream.until_done()
    assert stream.text == "a!"


async def test_leaving_the_block_while_another_task_reads_closes_the_connection(
    serve: Serve,
) -> None:
    closed: list[bool] = []

    def script(exchange: Exchange) -> None:
        exchange.begin_stream()
        exchange.piece(said("a"))
        closed.append(exchange.peer_closed(within=5))

    server = serve(script)
    async with AsyncCreatify(
        base_url=server.url, api_id="id", api_key="key", max_retries=0
    ) as client:
        async with client.text_generator.stream(**ASK) as stream:
            first = asyncio.Event()

            async def read() -> None:
                async for _ in stream:
                    first.set()

            reader = asyncio.create_task(read())
            await asyncio.wait_for(first.wait(), 5)
        with pytest.raises(StreamInterruptedError):
            await reader
    server.__exit__()
    assert closed == [True]


def test_leaving_the_block_while_another_thread_reads_is_no_error(serve: Serve) -> None:
    def script(exchange: Exchange) -> None:
        exchange.begin_stream()
        exchange.piece(said("a"))
        left.wait(5)
        exchange.hang_up()

    left = threading.Event()
    server = serve(script)
    failures: list[BaseException] = []

    def read(stream: TextStream) -> None:
        try:
            stream.until_done()
        except StreamInterruptedError as error:
            failures.append(error)

    with Creatify(base_url=server.url, api_id="id", api_key="key") as client:
        with client.text_generator.stream(**ASK) as stream:
            reader = threading.Thread(target=read, args=(stream,))
            reader.start()
            while not stream.text:
                time.sleep(0.01)
        left.set()
        reader.join()
    assert len(failures) == 1


async def test_a_connection_is_kept_after_a_stream_read_to_its_end(
    colour: Colour, serve: Serve
) -> None:
    server = serve(sends(said("a"), END, RECEIPT))
    client = colour.client(base_url=server.url)
    for _ in range(3):
        await complete(client)
        assert in_use(client) == [False]
    assert len(server.exchanges) == 3
    assert len({exchange._connection for exchange in server.exchanges}) == 1


@pytest.mark.parametrize(
    "script",
    [
        answers(b'{"error": "No."}', status="402 Payment Required"),
        answers(b"{}"),
        answers(gzip.compress(b"{}"), headers="Content-Encoding: gzip\r\n"),
    ],
    ids=["status", "no stream", "compressed"],
)
async def test_a_connection_is_kept_after_an_answer_that_is_no_stream(
    script: Script, colour: Colour, serve: Serve
) -> None:
    server = serve(each(script, sends(END)))
    client = colour.client(base_url=server.url)
    await fails(client, CreatifyError)
    await complete(client)
    assert in_use(client) == [False]
    assert len({exchange._connection for exchange in server.exchanges}) == 1


async def test_a_stream_is_paid_once(colour: Colour, serve: Serve) -> None:
    server = serve(sends(END))
    client = colour.client(base_url=server.url)
    stream = client.text_generator.stream(**ASK)
    assert server.exchanges == []
    async with stream:
        with pytest.raises(RuntimeError, match="entering it again would pay again"):
            await stream.__aenter__()
        await stream.until_done()
    with pytest.raises(RuntimeError, match="entering it again would pay again"):
        await stream.__aenter__()
    assert len(server.exchanges) == 1


def steps_of(stream: Any) -> Iterator[Any]:
    yield stream.until_done()
    yield anext(aiter(stream))
    yield anext(stream.text_stream)


async def test_a_stream_that_was_not_entered_says_so(colour: Colour, serve: Serve) -> None:
    server = serve(sends(END))
    client = colour.client(base_url=server.url)
    for step in steps_of(client.text_generator.stream(**ASK)):
        with pytest.raises(RuntimeError, match="this stream is not open: enter it first"):
            await step
    await client.text_generator.stream(**ASK).close()
    assert server.exchanges == []


def test_a_comment_that_comes_after_the_idle_timeout_does_not_end_the_silence() -> None:
    """What the transport's deadline mostly tells first."""
    now = [0.0]
    so_far = Accumulator(1.0, 1000, clock=lambda: now[0])
    so_far.wait()
    now[0] = 1.5
    with pytest.raises(StreamIdleError):
        list(so_far.feed(b": still here\n\n"))
