import json
import logging
import time
from pathlib import Path
from typing import Any

import pytest
from emulated import STREAM, TASKS, ask, chunks, client_of, emulated, text_of

from creatify.testing import Emulator

RECORDINGS = Path(__file__).parent / "recordings"


def test_a_stream_has_the_manner_of_the_recordings() -> None:
    with emulated() as (emulator, client):
        response = client.post(STREAM, json=ask("Write two words."))
    assert response.status_code == 200
    stream = chunks(response.content)
    assert len(stream) > 3
    for chunk in stream:
        assert list(chunk)[:4] == ["candidates", "usageMetadata", "modelVersion", "responseId"]
        (candidate,) = chunk["candidates"]
        assert list(candidate["content"]) == ["parts", "role"]
        assert candidate["content"]["role"] == "model"
        assert chunk["modelVersion"] == "gemini-2.5-flash"
        assert chunk["responseId"] == stream[0]["responseId"]
    usage = [chunk["usageMetadata"] for chunk in stream]
    told = [u["candidatesTokenCount"] for u in usage]
    assert told == sorted(told)
    assert told[-1] == len(text_of(stream).split())
    assert {u["promptTokenCount"] for u in usage} == {3}
    assert all(u["totalTokenCount"] == 3 + u["candidatesTokenCount"] for u in usage)
    reasons = [chunk["candidates"][0].get("finishReason") for chunk in stream]
    assert reasons == [None] * (len(stream) - 1) + ["STOP"]
    assert [chunk.get("creatify") for chunk in stream[:-1]] == [None] * (len(stream) - 1)
    assert stream[-1]["creatify"] == {"id": next(iter(emulator.tasks)), "credits_used": 1.0}


def test_events_are_written_as_gemini_writes_them() -> None:
    recorded = (RECORDINGS / "mexico.sse").read_bytes()
    (first, *_) = chunks(recorded)
    with emulated() as (_, client):
        sent = client.post(STREAM, json=ask("Où est Paris ?")).content
    assert "Où est Paris".encode() in sent
    for body, chunk in ((recorded, first), (sent, chunks(sent)[0])):
        line = json.dumps(chunk, ensure_ascii=False, separators=(",", ": "))
        assert body.startswith(f"data: {line}\r\n\r\n".encode())


def test_a_streamed_generation_is_in_the_list_afterwards() -> None:
    with emulated(running=60) as (_, client):
        stream = chunks(client.post(STREAM, json=ask("Hello")).content)
        (task,) = client.get(TASKS).json()
    assert task["id"] == stream[-1]["creatify"]["id"]
    assert task["status"] == "done"
    assert task["response_text"] == text_of(stream)
    assert task["credits_used"] == 1.0


def test_chunks_are_sent_as_they_are_produced() -> None:
    with (
        emulated(chunk_delay=0.02, check=False) as (_, client),
        client.stream("POST", STREAM, json=ask()) as stream,
    ):
        began = time.monotonic()
        pieces = [(time.monotonic() - began, piece) for piece in stream.iter_raw()]
    assert all(piece.count(b"data: ") == 1 for _, piece in pieces)
    assert pieces[-1][0] - pieces[0][0] >= 0.02 * (len(pieces) - 1) * 0.5


def test_while_a_stream_goes_on_its_task_is_running() -> None:
    with emulated(chunk_delay=60, check=False) as (emulator, client):
        with client.stream("POST", STREAM, json=ask()) as stream:
            pieces = stream.iter_raw()  # kept: it closes the connection when it goes
            next(pieces)
            (task,) = emulator.tasks.values()
            assert task.to_dict()["status"] == "running"
        deadline = time.monotonic() + 5
        while task.to_dict()["status"] == "running":
            assert time.monotonic() < deadline
            time.sleep(0.005)
        # Its reader hung up, and has paid.
        assert task.to_dict()["status"] == "done"
        assert emulator.charges == 1


def test_a_reader_that_hangs_up_is_noticed_even_between_chunks_without_pause(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "long.sse").write_bytes(b"data: {}\n\n" * 1000)
    with emulated(recordings=tmp_path, chunk_delay=0, check=False) as (emulator, client):
        for prompt in ("Write a tagline.", "long"):
            with client.stream("POST", STREAM, json=ask(prompt)):
                pass
        deadline = time.monotonic() + 5
        while [task.status for task in emulator.tasks.values()] != ["done", "done"]:
            assert time.monotonic() < deadline
            time.sleep(0.005)
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


def test_a_long_stream_lets_others_be_answered_meanwhile(tmp_path: Path) -> None:
    (tmp_path / "long.sse").write_bytes(b"data: {}\n\n" * 20_000)
    with (
        emulated(recordings=tmp_path, chunk_delay=0, check=False) as (emulator, client),
        client.stream("POST", STREAM, json=ask("long")),
        client_of(emulator) as other,
    ):
        (task,) = other.get(TASKS).json()
    assert task["status"] == "running"


def test_a_failing_stream_ends_with_an_error_event() -> None:
    with emulated(fail_when=lambda _: "Overloaded.") as (_, client):
        stream = chunks(client.post(STREAM, json=ask()).content)
        (task,) = client.get(TASKS).json()
    assert stream[-1] == {"error": {"code": 500, "message": "Overloaded.", "status": "INTERNAL"}}
    assert not any("creatify" in chunk for chunk in stream)
    assert (task["status"], task["failed_reason"]) == ("failed", "Overloaded.")


def test_a_call_is_streamed_in_one_chunk() -> None:
    tools = [{"function_declarations": [{"name": "now"}, {"name": "today"}]}]
    with emulated() as (_, client):
        (chunk,) = chunks(client.post(STREAM, json=ask("now or today?", tools=tools)).content)
        (task,) = client.get(TASKS).json()
    parts = chunk["candidates"][0]["content"]["parts"]
    assert [part["functionCall"]["name"] for part in parts] == ["now", "today"]
    assert chunk["candidates"][0]["finishReason"] == "STOP"
    assert chunk["creatify"]["id"] == task["id"]
    assert task["response_function_calls"] == [part["functionCall"] for part in parts]


def test_a_stream_cut_by_max_output_tokens_says_so() -> None:
    with emulated() as (_, client):
        for limit in (0, 3):
            request = ask(config={"max_output_tokens": limit})
            stream = chunks(client.post(STREAM, json=request).content)
            assert stream[-1]["candidates"][0]["finishReason"] == "MAX_TOKENS"
            assert stream[-1]["usageMetadata"]["candidatesTokenCount"] == limit


@pytest.mark.parametrize("recording", sorted(RECORDINGS.glob("*.sse")), ids=lambda p: p.stem)
def test_a_recording_is_replayed_byte_for_byte(recording: Path) -> None:
    with emulated(recordings=RECORDINGS) as (emulator, client):
        response = client.post(STREAM, json=ask(recording.stem))
        (task,) = client.get(TASKS).json()
    assert response.content == recording.read_bytes()
    stream = chunks(recording.read_bytes())
    assert task["response_text"] == text_of(stream)
    assert emulator.charges == 1


def test_the_calls_of_a_recording_are_those_of_its_task() -> None:
    with emulated(recordings=RECORDINGS) as (_, client):
        client.post(STREAM, json=ask("function_call"))
        (task,) = client.get(TASKS).json()
    assert task["response_function_calls"] == [
        {"name": "get_capital", "args": {"country": "France"}}
    ]


def test_another_prompt_than_a_recording_is_answered_as_ever() -> None:
    with emulated(recordings=RECORDINGS) as (_, client):
        stream = chunks(client.post(STREAM, json=ask("the capital")).content)
    assert "creatify" in stream[-1]


def test_a_folder_of_recordings_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no recording")
    Emulator(recordings=tmp_path)
    for missing in (tmp_path / "missing", str(tmp_path / "missing")):
        with pytest.raises(FileNotFoundError):
            Emulator(recordings=missing)


def test_the_folder_of_recordings_may_be_a_str() -> None:
    with emulated(recordings=str(RECORDINGS), check=False) as (_, client):
        response = client.post(STREAM, json=ask("capital"))
    assert response.content == (RECORDINGS / "capital.sse").read_bytes()


def _candidate(parts: bytes) -> bytes:
    return b'data: {"candidates": [{"content": {"parts": [%b]}}]}\n\n' % parts


@pytest.mark.parametrize(
    ("recorded", "text"),
    [
        (b"", ""),
        (b": nothing\n\ndata: {}\n\n", ""),
        (b'data: {"candidates": [{"content": {"parts": [{"te', ""),
        (b"data: 17\n\ndata: [DONE]\n\n", ""),
        (
            _candidate(b'{"text": "Hm.", "thought": true}') + _candidate(b'{"text": "Yes"}'),
            "Yes",
        ),
        (b"\n\r\n\n\xff\x00", ""),
        (b'data: {"candidates": "x"}\n\n', ""),
        (b'data: {"candidates": 17}\n\n', ""),
        (b'data: {"candidates": ["x", {"content": null}, {"content": {"parts": {}}}]}\n\n', ""),
        (_candidate(b'"x", null, {"text": 17}, {"text": "Yes"}, {"functionCall": "f"}'), "Yes"),
        (_candidate(b'{"text": "\\ud800"}') + _candidate(b'{"text": "Yes"}'), "Yes"),
        (_candidate(b'{"functionCall": {"name": "f", "args": {"x": NaN}}}'), ""),
        (_candidate(b'{"functionCall": {}}, {"functionCall": {"name": "f", "args": 17}}'), ""),
        (b"data: " + b"[" * 100_000, ""),
    ],
    ids=lambda value: repr(value[:60]),
)
@pytest.mark.parametrize("chunk_delay", [0, 0.001])
def test_recordings_may_be_broken(
    tmp_path: Path, recorded: bytes, text: str, chunk_delay: float
) -> None:
    (tmp_path / "odd.sse").write_bytes(recorded)
    with emulated(recordings=tmp_path, chunk_delay=chunk_delay, check=False) as (_, client):
        for _ in range(2):
            response = client.post(STREAM, json=ask("odd"))
            assert (response.status_code, response.content) == (200, recorded)
        tasks = client.get(TASKS).json()
    for task in tasks:
        assert (task["status"], task["response_text"]) == ("done", text)
        assert task["response_function_calls"] == []


def test_an_event_of_a_recording_is_sent_at_a_time() -> None:
    with (
        emulated(recordings=RECORDINGS, chunk_delay=0.03, check=False) as (_, client),
        client.stream("POST", STREAM, json=ask("count_to_30")) as stream,
    ):
        pieces: list[Any] = list(stream.iter_raw())
    assert [piece.count(b"data: ") for piece in pieces] == [1, 1, 1]
