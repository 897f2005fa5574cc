import contextlib
import json
import re
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import httpx
import pytest
from emulated import CREDITS, STREAM, TASKS, ask, chunks, client_of, emulated

from creatify.testing import Emulator, faults

CREATE = "sse_text_generator_create"
LIST = "sse_text_generator_list"
RECORDINGS = Path(__file__).parent / "recordings"

loose: Any = faults  # for arguments that its types forbid

Served = tuple[Emulator, httpx.Client]


@pytest.fixture
def served() -> Iterator[Served]:
    with emulated(check=False) as both:
        yield both


def request_of(emulator: Emulator, path: str, body: Any = None) -> bytes:
    """What goes over the wire: POST if there is a body."""
    content = b"" if body is None else json.dumps(body).encode()
    head = (
        f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\nHost: emulator\r\n"
        f"X-API-ID: {emulator.api_id}\r\nX-API-KEY: {emulator.api_key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


@contextlib.contextmanager
def asked(emulator: Emulator, path: str, body: Any = None) -> Iterator[socket.socket]:
    """A connection on which a request was sent."""
    address = ("127.0.0.1", int(emulator.url.rpartition(":")[2]))
    with socket.create_connection(address, timeout=5) as connection:
        connection.sendall(request_of(emulator, path, body))
        yield connection


def received(
    connection: socket.socket, enough: Callable[[bytes], object] = lambda _: False
) -> tuple[bytes, str]:
    """All that comes, and how it ends: ``"reset"``, ``"closed"`` or ``"silent"``.

    It is silent if nothing comes for 0.15 s once there is enough.
    """
    came = b""
    try:
        while True:
            connection.settimeout(0.15 if enough(came) else 5)
            piece = connection.recv(65536)
            if not piece:
                return came, "closed"
            came += piece
    except ConnectionResetError:
        return came, "reset"
    except TimeoutError:
        assert enough(came)
        return came, "silent"


def met(emulator: Emulator, path: str, body: Any = None) -> tuple[bytes, str]:
    with asked(emulator, path, body) as connection:
        return received(connection)


def data(head_and_body: bytes) -> bytes:
    """The body of an answer in chunks, of which the last may lack."""
    rest = head_and_body.partition(b"\r\n\r\n")[2]
    body = b""
    while rest and not rest.startswith(b"0\r\n"):
        size, _, rest = rest.partition(b"\r\n")
        body += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]
    return body


# No answer


@pytest.mark.parametrize(
    ("fault", "how", "charges"),
    [
        (faults.reset(), "reset", 0),
        (faults.drop_answer(), "reset", 1),
        (faults.close(), "closed", 0),
        (faults.close(acted=True), "closed", 1),
        (faults.silence(), "silent", 0),
        (faults.silence(acted=True), "silent", 1),
    ],
    ids=lambda value: getattr(value, "name", None),
)
@pytest.mark.parametrize("path", [TASKS, STREAM])
def test_without_an_answer_the_api_acted_or_not(
    served: Served, path: str, fault: faults.Fault, how: str, charges: int
) -> None:
    emulator, _ = served
    emulator.script(fault)
    with asked(emulator, path, ask()) as connection:
        assert received(connection, lambda _: how == "silent") == (b"", how)
        # The record and the charge are there as soon as the client knows, and before it leaves.
        (record,) = emulator.requests
        assert (record.status, record.fault, record.body) == (None, fault.name, ask())
        assert record.operation in {CREATE, "sse_text_generator_stream_create"}
        assert (emulator.charges, len(emulator.tasks)) == (charges, charges)


def test_after_a_dropped_answer_the_task_is_there(served: Served) -> None:
    emulator, client = served
    emulator.script(faults.drop_answer())
    with pytest.raises(httpx.ReadError):
        client.post(TASKS, json=ask())
    (task,) = client.get(TASKS).json()
    assert task["messages"] == ask()["messages"]
    assert emulator.credits == 999


def test_a_stream_whose_answer_was_dropped_is_done() -> None:
    with emulated(chunk_delay=60) as (emulator, client):
        for fault in (faults.drop_answer(), faults.status(500, acted=True)):
            emulator.script(fault)
            with contextlib.suppress(httpx.ReadError, AssertionError):
                client.post(STREAM, json=ask())
        until(lambda: [t.status for t in emulator.tasks.values()] == ["done", "done"])


def test_a_sync_request_acts_before_its_answer_is_dropped() -> None:
    with emulated(running=0.1) as (emulator, client):
        emulator.script(faults.drop_answer())
        with pytest.raises(httpx.ReadError):
            client.post(TASKS, json=ask(sync=True))
        assert [task.status for task in emulator.tasks.values()] == ["done"]


def test_a_kept_connection_is_reset_as_a_new_one(served: Served) -> None:
    emulator, client = served
    assert client.get(TASKS).status_code == 200
    emulator.script(faults.reset())
    with pytest.raises(httpx.ReadError):
        client.get(TASKS)


def test_a_reset_is_of_one_connection(served: Served) -> None:
    emulator, client = served

    def is_credits(came: bytes) -> bool:
        return came.startswith(b"HTTP/1.1 200") and came.endswith(b"}")

    client.get(CREDITS)  # opens the connection
    with asked(emulator, CREDITS) as other:
        assert received(other, is_credits) == (ANY, "silent")
        emulator.script(faults.reset())
        with pytest.raises(httpx.ReadError):
            client.get(CREDITS)
        other.sendall(request_of(emulator, CREDITS))
        assert received(other, is_credits) == (ANY, "silent")


# Another answer


def test_a_status_costs_nothing_unless_the_api_acted(served: Served) -> None:
    emulator, client = served
    emulator.script(faults.status(500), faults.status(500, acted=True))
    for charges in (0, 1):
        response = client.post(TASKS, json=ask())
        assert response.status_code == 500
        assert response.json() == {"error": "The emulator was told to answer 500."}
        assert "retry-after" not in response.headers
        assert emulator.charges == len(emulator.tasks) == charges
    assert [(r.status, r.fault) for r in emulator.requests] == [(500, "status")] * 2


@pytest.mark.parametrize("value", [0, 1, 1.5, "soon", "Sat, 21 Nov 2026 23:29:45 GMT"])
def test_a_status_may_say_when_to_retry(served: Served, value: Any) -> None:
    emulator, client = served
    emulator.script(faults.status(503, retry_after=value))
    assert client.get(TASKS).headers["retry-after"] == str(value)


@pytest.mark.parametrize("code", [200, 204, 302, 304, 418, 520, 599])
def test_any_status_can_be_answered_and_the_connection_goes_on(served: Served, code: int) -> None:
    emulator, client = served
    emulator.script(faults.status(code))
    response = client.get(TASKS)
    assert response.status_code == code
    assert bool(response.content) is (code not in {204, 304})
    assert client.get(TASKS).json() == []


def test_an_html_page_is_what_proxies_answer(served: Served) -> None:
    emulator, client = served
    emulator.script(faults.html(), faults.html(200, acted=True))
    for code, charges in ((502, 0), (200, 1)):
        response = client.post(TASKS, json=ask())
        assert response.status_code == code
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        assert response.text.startswith("<!DOCTYPE html>")
        assert f"<h1>{code}</h1>" in response.text
        assert emulator.charges == charges


# The API's answer, mangled


def test_the_content_type_may_be_wrong_or_missing(served: Served) -> None:
    emulator, client = served
    emulator.script(faults.content_type("text/html"), faults.content_type(None))
    response = client.post(TASKS, json=ask())
    assert (response.status_code, response.json()["status"]) == (201, "pending")
    assert response.headers.get_list("content-type") == ["text/html"]
    assert "content-type" not in client.get(TASKS).headers
    emulator.script(faults.content_type())
    stream = client.post(STREAM, json=ask())
    assert stream.headers["content-type"] == "text/plain"
    assert "creatify" in chunks(stream.content)[-1]


@pytest.mark.parametrize("path", [TASKS, STREAM])
def test_an_answer_may_be_compressed(served: Served, path: str) -> None:
    emulator, client = served
    emulator.script(faults.gzip())
    headers = {"Accept-Encoding": "identity"}
    with client.stream("POST", path, json=ask(), headers=headers) as response:
        raw = b"".join(response.iter_raw())
    assert response.headers["content-encoding"] == "gzip"
    decompressor = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    body = decompressor.decompress(raw)
    assert decompressor.eof
    (task,) = client.get(TASKS).json()
    found = json.loads(body) if path == TASKS else chunks(body)[-1]["creatify"]
    assert found["id"] == task["id"]


def test_a_compressed_stream_still_comes_event_by_event() -> None:
    with emulated(chunk_delay=60, check=False) as (emulator, client):
        emulator.script(faults.gzip())
        with client.stream("POST", STREAM, json=ask()) as response:
            first = next(piece for piece in response.iter_bytes() if piece)
            assert first.endswith(b"\r\n\r\n")


def test_a_slow_body_is_whole_in_the_end(served: Served) -> None:
    emulator, client = served
    plain = client.get(CREDITS).content
    emulator.script(faults.slow_body(0.05, size=10))
    began = time.monotonic()
    with client.stream("GET", CREDITS) as response:
        pieces = list(response.iter_raw())
    assert time.monotonic() - began >= 0.05 * 3
    assert pieces == [plain[at : at + 10] for at in range(0, len(plain), 10)]
    assert len(pieces) == 3


def test_the_head_of_a_slow_body_comes_at_once(served: Served) -> None:
    emulator, client = served
    emulator.script(faults.slow_body(60))
    with client.stream("GET", CREDITS) as response:
        assert response.status_code == 200


def test_a_slow_stream_splits_its_events(served: Served) -> None:
    emulator, client = served
    emulator.script(faults.slow_body(0.0001, size=100))
    with client.stream("POST", STREAM, json=ask()) as response:
        pieces = list(response.iter_raw())
    assert len(pieces) > 10
    assert "creatify" in chunks(b"".join(pieces))[-1]


def test_a_stalled_body_has_its_head_and_beginning_and_then_nothing(served: Served) -> None:
    emulator, client = served
    plain = client.get(CREDITS).content
    for after, came in ((0, b""), (5, plain[:5]), (len(plain), plain[:-1])):
        emulator.script(faults.stalled_body(after))
        with asked(emulator, CREDITS) as connection:
            answer, end = received(connection, re.compile(rb"\r\n\r\n" + came).search)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK")
        assert f"content-length: {len(plain)}".encode() in head
        assert (body, end) == (came, "silent")
        assert (emulator.requests[-1].status, emulator.requests[-1].fault) == (200, "stalled_body")


def test_a_stalled_stream_has_its_beginning(served: Served) -> None:
    emulator, _ = served
    emulator.script(faults.stalled_body())
    with asked(emulator, STREAM, ask()) as connection:
        answer, end = received(connection, data)
    assert (data(answer), end) == (b'data: {"ca', "silent")
    assert emulator.charges == 1


def test_a_truncated_body_ends_before_its_length(served: Served) -> None:
    emulator, client = served
    emulator.script(faults.truncated_body(7))
    answer, end = met(emulator, TASKS, ask())
    head, _, body = answer.partition(b"\r\n\r\n")
    assert re.search(rb"content-length: \d{3}", head)
    assert (body, end) == (b'{"id":"', "closed")
    emulator.script(faults.truncated_body())
    with pytest.raises(httpx.RemoteProtocolError, match="complete message body"):
        client.get(TASKS)


def test_a_truncated_chunked_body_ends_before_its_last_chunk(served: Served) -> None:
    emulator, client = served
    emulator.script(faults.truncated_body(7, chunked=True))
    answer, end = met(emulator, TASKS, ask())
    assert b"content-length" not in answer
    assert b"chunked" in answer
    assert (answer.partition(b"\r\n\r\n")[2], end) == (b'7\r\n{"id":"\r\n', "closed")
    emulator.script(faults.truncated_body())
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked"):
        client.post(STREAM, json=ask())


def test_what_comes_before_the_end_of_a_large_truncated_body_arrives(served: Served) -> None:
    emulator, _ = served
    emulator.tasks.add(response_text="x" * 20_000_000)  # more than the kernel's buffers hold
    emulator.script(faults.truncated_body(19_000_000))
    with asked(emulator, TASKS) as connection:
        time.sleep(0.1)
        answer, end = received(connection)
    assert (len(answer.partition(b"\r\n\r\n")[2]), end) == (19_000_000, "closed")


def test_truncated_json_is_a_whole_body(served: Served) -> None:
    emulator, client = served
    emulator.script(faults.truncated_json(7), faults.truncated_json(1000), faults.truncated_json())
    assert client.post(TASKS, json=ask()).content == b'{"id":"'
    assert client.get(CREDITS).content == b'{"remaining_credits":999.0'
    assert client.post(STREAM, json=ask()).content == b'data: {"ca'


def test_values_are_merged_into_an_answer(served: Served) -> None:
    emulator, client = served
    values = {
        "status": "paused",
        "credits_used": None,
        "brand_new": [1],
        "messages": {"content": "?"},
        "config": {"seed": None, "deep": {"er": 1}},
    }
    emulator.script(faults.merge(values), faults.merge(values), faults.merge({"x": 1}))
    values["status"] = "what it is later is all the same"
    created = client.post(TASKS, json=ask(config={"temperature": 1})).json()
    (listed,) = client.get(TASKS).json()
    for task in (created, listed):
        assert (task["status"], task["credits_used"], task["brand_new"]) == ("paused", None, [1])
        assert task["messages"] == [{"role": "user", "content": "?"}]
        assert task["config"] == {"temperature": 1, "seed": None, "deep": {"er": 1}}
    assert client.get(CREDITS).json() == {"remaining_credits": 999.0, "x": 1}


def test_values_are_merged_into_each_chunk_of_a_stream(served: Served) -> None:
    emulator, client = served
    emulator.script(faults.merge({"candidates": {"finishReason": "NEW"}, "usageMetadata": None}))
    stream = chunks(client.post(STREAM, json=ask()).content)
    assert len(stream) > 2
    for chunk in stream:
        assert chunk["candidates"][0]["finishReason"] == "NEW"
        assert chunk["candidates"][0]["content"]["parts"]
        assert chunk["usageMetadata"] is None


def test_events_that_are_no_json_object_are_sent_as_they_are(tmp_path: Path) -> None:
    recorded = b": nothing\n\ndata: 17\n\ndata: {\n\n" + b"data: " + b"[" * 100_000 + b"\n\n"
    (tmp_path / "odd.sse").write_bytes(recorded)
    with emulated(recordings=tmp_path, check=False) as (emulator, client):
        emulator.script(faults.merge({"x": 1}), faults.no_receipt())
        for _ in range(2):
            assert client.post(STREAM, json=ask("odd")).content == recorded


# Streams


def plain_stream(served: Served) -> list[bytes]:
    """The events of a stream without a fault."""
    body = served[1].post(STREAM, json=ask()).content
    return [event + b"\r\n\r\n" for event in body.split(b"\r\n\r\n")[:-1]]


def test_an_error_event_comes_after_so_many_chunks(served: Served) -> None:
    emulator, client = served
    emulator.script(
        faults.error_event(),
        faults.error_event(0),
        faults.error_event(2, code=429, message="Later.", status="RESOURCE_EXHAUSTED"),
        faults.error_event(1000),
    )
    first, none, two, all_ = (chunks(client.post(STREAM, json=ask()).content) for _ in range(4))
    error = {"error": {"code": 500, "message": "Internal error.", "status": "INTERNAL"}}
    assert ("candidates" in first[0], first[1:]) == (True, [error])
    assert none == [error]
    assert (len(two), two[2]["error"]["code"], two[2]["error"]["message"]) == (3, 429, "Later.")
    assert two[2]["error"]["status"] == "RESOURCE_EXHAUSTED"
    assert "creatify" in all_[-2]
    assert all_[-1] == error
    assert emulator.charges == 4


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_stream_is_reset_after_so_many_chunks(served: Served, after: int) -> None:
    emulator, _ = served
    emulator.script(faults.reset_stream(after))
    answer, end = met(emulator, STREAM, ask())
    assert b"text/event-stream" in answer
    assert (data(answer).count(b"data: "), end) == (after, "reset")
    assert emulator.charges == 1


def test_chunks_come_when_they_are_due_under_a_fault() -> None:
    with emulated(chunk_delay=0.05, check=False) as (emulator, client):
        emulator.script(faults.error_event(3))
        began = time.monotonic()
        assert len(chunks(client.post(STREAM, json=ask()).content)) == 4
        assert 0.1 <= time.monotonic() - began < 3


def test_a_stream_may_be_silent_but_for_heartbeats(served: Served) -> None:
    emulator, client = served
    emulator.script(faults.heartbeats(0.02), faults.heartbeats(0.02, after=1))
    for events in (0, 1):
        began = time.monotonic()
        came = b""
        with client.stream("POST", STREAM, json=ask()) as response:
            for piece in response.iter_raw():
                came += piece
                if came.count(b": ping\r\n\r\n") == 5:
                    break
        assert time.monotonic() - began >= 0.1
        assert came.count(b"data: ") == events
        assert came.endswith(b": ping\r\n\r\n" * 5)


def test_a_receipt_may_be_missing(served: Served) -> None:
    emulator, client = served
    plain = plain_stream(served)
    emulator.script(faults.no_receipt())
    stream = chunks(client.post(STREAM, json=ask()).content)
    assert len(stream) == len(plain)
    assert not [chunk for chunk in stream if "creatify" in chunk]
    assert stream[-1]["candidates"][0]["finishReason"] == "STOP"


def test_the_last_event_may_lack_its_blank_line(served: Served) -> None:
    emulator, client = served
    emulator.script(faults.unterminated())
    body = client.post(STREAM, json=ask()).content
    *events, last = body.split(b"\r\n\r\n")
    assert events
    assert not last.endswith((b"\r", b"\n"))
    assert "creatify" in json.loads(last.removeprefix(b"data: "))


def test_a_stream_may_be_empty(served: Served) -> None:
    emulator, client = served
    emulator.script(faults.empty_stream())
    response = client.post(STREAM, json=ask())
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.content == b""
    assert emulator.charges == 1


@pytest.mark.parametrize(
    "fault",
    [faults.no_receipt(), faults.empty_stream(), faults.error_event()],
    ids=lambda fault: fault.name,
)
def test_a_stream_that_the_api_refuses_is_refused_as_ever(fault: faults.Fault) -> None:
    with emulated(credits=0) as (emulator, client):
        emulator.script(fault)
        response = client.post(STREAM, json=ask())
        assert response.status_code == 402
        assert "0 left" in response.json()["error"]


# The script


def test_scripted_faults_are_met_in_turn_and_then_all_is_well(served: Served) -> None:
    emulator, client = served
    emulator.script(faults.status(500), None, faults.status(429))
    emulator.script(faults.status(503))
    assert [client.get(TASKS).status_code for _ in range(6)] == [500, 200, 429, 503, 200, 200]
    named = [record.fault for record in emulator.requests]
    assert named == ["status", None, "status", "status", None, None]


def test_a_fault_may_be_for_one_operation(served: Served) -> None:
    emulator, client = served
    emulator.script(faults.status(500), None, faults.status(501), operation=CREATE)
    emulator.script(faults.status(502))
    emulator.script(faults.status(503), operation=LIST)
    assert [client.get(CREDITS).status_code for _ in range(2)] == [502, 200]
    assert [client.get(TASKS).status_code for _ in range(2)] == [503, 200]
    posted = [client.post(TASKS, json=ask()).status_code for _ in range(4)]
    assert posted == [500, 201, 501, 201]


def test_each_operation_can_be_meant(served: Served) -> None:
    emulator, client = served
    task = emulator.tasks.add()
    senders: dict[str, Callable[[], httpx.Response]] = {
        CREATE: lambda: client.post(TASKS, json=ask()),
        "sse_text_generator_stream_create": lambda: client.post(STREAM, json=ask()),
        LIST: lambda: client.get(TASKS),
        "sse_text_generator_retrieve": lambda: client.get(f"{TASKS}{task.id}/"),
        "remaining_credits_retrieve": lambda: client.get(CREDITS),
    }
    for operation, send in senders.items():
        emulator.script(faults.status(418), operation=operation)
        others = [other for other in senders.values() if other != send]
        assert all(other().is_success for other in others)
        assert send().status_code == 418
        assert emulator.requests[-1].operation == operation


def test_a_request_that_is_of_no_operation_meets_no_fault(served: Served) -> None:
    emulator, client = served
    emulator.script(faults.status(500))
    assert client.get("/nowhere/").status_code == 404
    assert client.put(TASKS).status_code == 405
    assert client.get(f"{TASKS}1/2/").status_code == 404
    assert client.get(TASKS).status_code == 500


def test_a_fault_is_met_before_credentials_and_body_are_looked_at(served: Served) -> None:
    emulator, client = served
    emulator.script(faults.status(500))
    response = client.post(TASKS, headers={"X-API-KEY": "other"}, content=b"{")
    assert response.status_code == 500
    assert emulator.requests[0].body == b"{"


def test_a_script_can_be_written_while_others_are_served(served: Served) -> None:
    emulator, _ = served
    codes: list[int] = []

    def take() -> None:
        with client_of(emulator, check=False) as client:
            codes.extend(client.get(CREDITS).status_code for _ in range(50))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(50):
        emulator.script(faults.status(500))
    for thread in threads:
        thread.join()
    with client_of(emulator, check=False) as client:
        codes.extend(client.get(CREDITS).status_code for _ in range(50))
    assert (codes.count(500), codes.count(200)) == (50, 200)


def test_what_is_no_fault_cannot_be_scripted(served: Served) -> None:
    emulator, client = served
    for nonsense in (faults.reset, "reset", 500, False):
        with pytest.raises(TypeError, match=r"^Faults are what creatify.testing.faults gives, not"):
            emulator.script(faults.reset(), nonsense)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"operation must be one of \['remaining_.*not 'create'"):
        emulator.script(faults.reset(), operation="create")
    with pytest.raises(ValueError, match=f"faults.no_receipt is for streams, and {LIST} isn't one"):
        emulator.script(faults.reset(), faults.no_receipt(), operation=LIST)
    assert client.get(TASKS).status_code == 200


def test_a_fault_of_streams_is_left_for_the_next_stream(served: Served) -> None:
    emulator, client = served
    emulator.script(faults.empty_stream())
    assert client.post(TASKS, json=ask()).status_code == 201
    assert client.get(TASKS).status_code == 200
    assert [fault.name for fault in emulator.unmet if fault] == ["empty_stream"]
    assert client.post(STREAM, json=ask()).content == b""
    assert emulator.unmet == []


# fault_when


def test_fault_when_is_asked_where_no_script_is_left() -> None:
    seen: list[tuple[str, Any]] = []

    def fault_when(operation: str, body: Any) -> faults.Fault | None:
        seen.append((operation, body))
        return faults.drop_answer() if operation == CREATE else None

    with emulated(fault_when=fault_when) as (emulator, client):
        emulator.script(faults.content_type("application/json"), None, operation=CREATE)
        assert [client.post(TASKS, json=ask()).status_code for _ in range(2)] == [201, 201]
        assert seen == []
        with pytest.raises(httpx.ReadError):
            client.post(TASKS, json=ask())
        assert len(client.get(TASKS).json()) == 3
        assert seen == [(CREATE, ask()), (LIST, b"")]
        emulator.fault_when = lambda *_: None
        assert client.post(TASKS, json=ask()).status_code == 201


def _raises(_: str, __: Any) -> faults.Fault:
    raise LookupError("a defect")


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (lambda *_: True, "fault_when returned True, neither a fault nor None."),
        (lambda *_: "reset", "fault_when returned 'reset', neither a fault nor None."),
        (_raises, "fault_when raised LookupError: a defect"),
        (lambda *_: pytest.fail("not that"), "fault_when raised Failed: not that"),
        ("boom", "fault_when raised TypeError: 'str' object is not callable"),
        (lambda *_: faults.gzip, r"fault_when returned <function gzip"),
        (lambda *_: faults.empty_stream(), f"faults.empty_stream is for streams, and {CREATE} "),
    ],
)
def test_a_broken_fault_when_is_a_500_that_says_so_and_costs_nothing(
    served: Served, broken: Any, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    emulator, client = served
    emulator.fault_when = broken
    for _ in range(2):  # on one connection: it isn't reset
        response = client.post(TASKS, json=ask())
        assert response.status_code == 500
        assert response.json()["error"].startswith(said)
    assert (emulator.charges, list(emulator.tasks)) == (0, [])
    assert [(r.status, r.operation, r.fault) for r in emulator.requests] == [
        (500, CREATE, None)
    ] * 2
    assert {r.name for r in caplog.records if not r.name.startswith("http")} == {"creatify.testing"}
    assert said in caplog.text


def test_a_fault_when_that_cannot_be_called_is_an_error_at_construction() -> None:
    with pytest.raises(TypeError, match=r"^fault_when must be callable, not 'boom'\.$"):
        Emulator(fault_when="boom")  # type: ignore[arg-type]


# Faults are values


def test_faults_of_the_same_arguments_are_equal_and_can_be_hashed() -> None:
    assert faults.status(503, retry_after=1) == faults.status(503, retry_after=1)
    assert faults.status(503, retry_after=1) != faults.status(503)
    assert faults.reset() != faults.drop_answer()
    assert len({faults.merge({"x": 1}), faults.merge({"x": 1}), faults.gzip()}) == 2


def test_a_fault_says_in_its_repr_what_it_is() -> None:
    assert repr(faults.reset_stream(3)) == (
        "Fault(name='reset_stream', arguments={'after': 3, 'how': 'reset'}, of_streams=True)"
    )


def test_a_fault_is_named_as_the_function_that_makes_it() -> None:
    arguments = {"status": (500,), "slow_body": (1,), "heartbeats": (1,), "merge": ({},)}
    names = set(faults.__all__) - {"Fault"}
    assert {n: getattr(faults, n)(*arguments.get(n, ())).name for n in names} == {
        n: n for n in names
    }


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda: loose.close(acted=1), TypeError, "acted must be True or False, not 1."),
        (lambda: loose.silence(acted="no"), TypeError, "acted must be True or False"),
        (lambda: loose.status("500"), TypeError, "code must be an int, not '500'."),
        (lambda: loose.status(True), TypeError, "code must be an int, not True."),
        (lambda: loose.status(199), ValueError, "code must be 200 to 599, not 199."),
        (lambda: loose.status(600), ValueError, "code must be 200 to 599, not 600."),
        (lambda: loose.status(500, acted=None), TypeError, "acted must be True or False"),
        (lambda: loose.status(503, retry_after=-1), ValueError, "retry_after must be 0 or more"),
        (lambda: loose.status(503, retry_after=b"1"), TypeError, "retry_after must be a number"),
        (lambda: loose.status(503, retry_after=True), TypeError, "retry_after must be a number"),
        (lambda: loose.status(503, retry_after="1\r\nX: y"), ValueError, "printable ASCII"),
        (lambda: loose.status(503, retry_after="é"), ValueError, "printable ASCII"),
        (lambda: loose.status(503, retry_after=" 1"), ValueError, "printable ASCII"),
        (lambda: loose.delay(-1), ValueError, "seconds must be 0 or more"),
        (lambda: loose.delay(1, acted=1), TypeError, "acted must be True or False, not 1."),
        (lambda: loose.html(99), ValueError, "code must be 200 to 599, not 99."),
        (lambda: loose.html(acted=0), TypeError, "acted must be True or False, not 0."),
        (lambda: loose.content_type(17), TypeError, "value must be a str, not 17."),
        (lambda: loose.content_type("a\nb"), ValueError, "value must be printable ASCII"),
        (lambda: loose.slow_body("1"), TypeError, "seconds must be a number, not '1'."),
        (lambda: loose.slow_body(0), ValueError, "seconds must be more than 0."),
        (lambda: loose.slow_body(float("inf")), ValueError, "seconds must be 0 or more and fin"),
        (lambda: loose.slow_body(float("nan")), ValueError, "seconds must be 0 or more and fin"),
        (lambda: loose.slow_body(1, size=0), ValueError, "size must be 1 or more, not 0."),
        (lambda: loose.stalled_body(-1), ValueError, "after must be 0 or more, not -1."),
        (lambda: loose.stalled_body(0.5), TypeError, "after must be an int, not 0.5."),
        (lambda: loose.truncated_body(-1), ValueError, "after must be 0 or more, not -1."),
        (lambda: loose.truncated_body(chunked=1), TypeError, "chunked must be True or False"),
        (lambda: loose.truncated_json("9"), TypeError, "after must be an int, not '9'."),
        (lambda: loose.merge([1]), TypeError, r"values must be a mapping, not \[1\]."),
        (lambda: loose.merge({"x": float("nan")}), ValueError, "JSON"),
        (lambda: loose.merge({"x": object()}), TypeError, "JSON"),
        (lambda: loose.error_event(-1), ValueError, "after must be 0 or more, not -1."),
        (lambda: loose.error_event(code="5"), TypeError, "code must be an int, not '5'."),
        (lambda: loose.error_event(message=5), TypeError, "message must be a str, not 5."),
        (lambda: loose.error_event(status=5), TypeError, "status must be a str, not 5."),
        (lambda: loose.reset_stream(-1), ValueError, "after must be 0 or more, not -1."),
        (lambda: loose.heartbeats(0), ValueError, "every must be more than 0."),
        (lambda: loose.heartbeats(1, after=-1), ValueError, "after must be 0 or more, not -1."),
    ],
)
def test_an_argument_that_cannot_be_is_an_error_at_once(
    make: Callable[[], Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        make()


# Their end


@pytest.mark.parametrize("path", [TASKS, STREAM])
@pytest.mark.parametrize("acted", [False, True])
def test_an_answer_may_be_late(served: Served, path: str, acted: bool) -> None:
    emulator, client = served
    emulator.script(faults.delay(0.2, acted=acted))
    began = time.monotonic()
    assert client.post(path, json=ask()).is_success
    assert 0.2 <= time.monotonic() - began < 2
    assert (emulator.charges, emulator.unmet) == (1, [])


@pytest.mark.parametrize(("acted", "charges"), [(False, 0), (True, 1)])
def test_a_client_that_leaves_before_a_late_answer_was_charged_if_the_api_acted_first(
    served: Served, acted: bool, charges: int
) -> None:
    emulator, client = served
    emulator.script(faults.delay(60, acted=acted))
    with pytest.raises(httpx.ReadTimeout):
        client.post(TASKS, json=ask(), timeout=0.3)
    for _ in range(100):
        if emulator.requests:
            break
        time.sleep(0.01)
    assert emulator.charges == charges


def test_the_emulator_ends_at_once_while_an_answer_is_late() -> None:
    with contextlib.ExitStack() as stack:
        emulator = stack.enter_context(Emulator())
        emulator.script(faults.delay(60, acted=True))
        with asked(emulator, TASKS, ask()):
            until(lambda: emulator.charges)
            began = time.monotonic()
            stack.close()
            assert time.monotonic() - began < 1


def test_what_of_a_script_no_request_has_met_is_told(served: Served) -> None:
    emulator, client = served
    emulator.script(faults.html(), None, faults.reset(), operation=CREATE)
    client.post(TASKS, json=ask())
    assert [fault and fault.name for fault in emulator.unmet] == [None, "reset"]


@pytest.mark.parametrize(
    "fault",
    [
        faults.silence(),
        faults.silence(acted=True),
        faults.stalled_body(),
        faults.slow_body(60),
        faults.heartbeats(60),
        faults.heartbeats(0.001),
    ],
    ids=lambda fault: fault.name,
)
def test_the_emulator_ends_at_once_and_quietly_under_a_fault(
    fault: faults.Fault, caplog: pytest.LogCaptureFixture
) -> None:
    threads = threading.active_count()
    with contextlib.ExitStack() as stack:
        emulator = stack.enter_context(Emulator(chunk_delay=60))
        emulator.script(fault)
        with asked(emulator, STREAM, ask()) as connection:
            until(lambda: emulator.requests)
            began = time.monotonic()
            stack.close()
            assert time.monotonic() - began < 1
            assert received(connection)[1] != "silent"
    assert threading.active_count() == threads
    assert caplog.records == []


@pytest.mark.parametrize(
    "fault",
    [
        faults.silence(),
        faults.silence(acted=True),
        faults.stalled_body(),
        faults.slow_body(60),
        faults.heartbeats(60),
    ],
    ids=lambda fault: fault.name,
)
def test_a_fault_ends_when_the_client_leaves(fault: faults.Fault) -> None:
    with Emulator(chunk_delay=60) as emulator:
        assert emulator._server is not None
        going_on = emulator._server.server_state.tasks
        emulator.script(fault)
        with asked(emulator, STREAM, ask()):
            until(lambda: emulator.requests)
            assert len(going_on) == 1
        until(lambda: not going_on)
        assert {task.status for task in emulator.tasks.values()} <= {"done"}


def test_faults_log_nothing(caplog: pytest.LogCaptureFixture) -> None:
    arguments = {"status": (500,), "slow_body": (0.001,), "heartbeats": (1,), "merge": ({},)}
    with emulated(check=False) as (emulator, client):
        for name in sorted(set(faults.__all__) - {"Fault"}):
            emulator.script(getattr(faults, name)(*arguments.get(name, ())))
            with contextlib.suppress(httpx.HTTPError):
                client.post(STREAM, json=ask(), timeout=0.1)
        assert client.get(CREDITS).status_code == 200
        assert all(record.fault for record in emulator.requests[:-1])
        time.sleep(0.05)
    assert [r for r in caplog.records if not r.name.startswith("http")] == []


# The tasks


def test_cleared_tasks_are_forgotten_but_stay_charged(served: Served) -> None:
    emulator, client = served
    created = client.post(TASKS, json=ask()).json()
    emulator.tasks.clear()
    assert client.get(TASKS).json() == []
    assert client.get(f"{TASKS}{created['id']}/").status_code == 404
    assert (emulator.charges, len(emulator.tasks)) == (1, 0)
    task = emulator.tasks.add()
    assert list(emulator.tasks.items()) == [(task.id, task)]


def test_tasks_can_be_cleared_while_they_are_gone_through(served: Served) -> None:
    emulator, client = served
    task = emulator.tasks.add()
    for view in (emulator.tasks.values(), emulator.tasks.items(), iter(emulator.tasks)):
        emulator.tasks.clear()
        assert len(list(view)) == 1
        emulator.tasks._tasks[task.id] = task
    ended = threading.Event()

    def churn() -> None:
        while not ended.is_set():
            for _ in range(50):
                emulator.tasks.add()
            emulator.tasks.clear()

    thread = threading.Thread(target=churn)
    thread.start()
    statuses = {client.get(TASKS).status_code for _ in range(30)}
    ended.set()
    thread.join()
    assert statuses == {200}


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
