import contextlib
import json
import queue
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest
from emulated import STREAM, TASKS, ask, client_of, emulated

from creatify.testing import Emulator


def status(client: httpx.Client, task_id: str) -> Any:
    return client.get(f"{TASKS}{task_id}/").json()["status"]


def test_a_task_goes_pending_running_done_on_a_frozen_clock() -> None:
    with emulated(pending=5, running=60) as (emulator, client):
        emulator.clock.freeze()
        created = client.post(TASKS, json=ask()).json()
        time.sleep(0.02)
        seen = [status(client, created["id"])]
        for step in (4.9, 0.1, 59.9, 0.1):
            emulator.clock.advance(step)
            seen.append(status(client, created["id"]))
        assert seen == ["pending", "pending", "running", "running", "done"]
        done = client.get(f"{TASKS}{created['id']}/").json()
        assert done["credits_used"] == 1.0
        assert done["response_text"]
        assert done["created_at"] == created["created_at"] < done["updated_at"]


def test_who_has_read_a_piece_of_a_stream_may_move_the_clock_to_the_next() -> None:
    with emulated(check=False, chunk_delay=1.0) as (emulator, client):
        emulator.clock.freeze()
        for _ in range(20):
            with client.stream("POST", STREAM, json=ask()) as response:
                for _ in response.iter_raw():
                    emulator.clock.advance(1.0)
    assert emulator.charges == 20


def test_updated_at_is_when_the_status_changed() -> None:
    with emulated(pending=5, running=60) as (emulator, client):
        emulator.clock.freeze()
        task_id = client.post(TASKS, json=ask()).json()["id"]
        seen = set()
        for _ in range(100):
            emulator.clock.advance(1)
            task = client.get(f"{TASKS}{task_id}/").json()
            seen.add((task["status"], task["updated_at"]))
        assert len(seen) == 3


def test_on_the_real_clock_a_task_is_done_after_its_time() -> None:
    with emulated(pending=0.2, running=0.2) as (_, client):
        began = time.monotonic()
        task_id = client.post(TASKS, json=ask()).json()["id"]
        seen = []
        while "done" not in seen:
            seen.append(status(client, task_id))
        assert list(dict.fromkeys(seen)) == ["pending", "running", "done"]
        assert 0.4 <= time.monotonic() - began < 4


def test_the_running_clock_can_be_advanced_and_a_frozen_one_resumed() -> None:
    with emulated(pending=5, running=60) as (emulator, client):
        task_id = client.post(TASKS, json=ask()).json()["id"]
        emulator.clock.advance(5)
        assert status(client, task_id) == "running"
        emulator.clock.freeze()
        stopped = emulator.clock.time()
        time.sleep(0.01)
        assert emulator.clock.time() == stopped
        emulator.clock.resume()
        time.sleep(0.01)
        assert 0.01 <= emulator.clock.time() - stopped < 2


def test_sync_blocks_until_the_task_is_done() -> None:
    with emulated(pending=0.05, running=0.1) as (_, client):
        began = time.monotonic()
        task = client.post(TASKS, json=ask(sync=True))
        assert time.monotonic() - began >= 0.15
        assert task.status_code == 201
        assert task.json()["status"] == "done"
        assert task.json()["response_text"]


def test_sync_blocks_on_a_frozen_clock_until_it_is_advanced() -> None:
    with emulated(pending=5, running=5) as (emulator, client):
        emulator.clock.freeze()
        answers: queue.Queue[httpx.Response] = queue.Queue()
        thread = threading.Thread(
            target=lambda: answers.put(client.post(TASKS, json=ask(sync=True)))
        )
        thread.start()
        while not emulator.charges:
            time.sleep(0.001)
        emulator.clock.advance(9)
        with pytest.raises(queue.Empty):
            answers.get(timeout=0.1)
        emulator.clock.advance(1)
        assert answers.get(timeout=5).json()["status"] == "done"
        thread.join()


def test_sync_requests_do_not_block_others() -> None:
    with emulated(pending=60) as (emulator, client):
        emulator.clock.freeze()
        thread = threading.Thread(target=lambda: client.post(TASKS, json=ask(sync=True)))
        thread.start()
        while not emulator.charges:
            time.sleep(0.001)
        with client_of(emulator) as other:
            assert other.get(TASKS, timeout=2).json()[0]["status"] == "pending"
        emulator.clock.resume()
        emulator.clock.advance(100)
        thread.join()


def test_a_prompt_fails_for_the_reason_that_fail_when_gives() -> None:
    def fail_when(request: Any) -> str | None:
        return "The prompt was blocked." if request["messages"][0]["content"] == "bad" else None

    with emulated(fail_when=fail_when) as (emulator, client):
        task = client.post(TASKS, json=ask("bad", sync=True)).json()
        assert (task["status"], task["failed_reason"]) == ("failed", "The prompt was blocked.")
        assert "response_text" not in task
        assert task["credits_used"] == 1.0
        assert client.post(TASKS, json=ask("good", sync=True)).json()["status"] == "done"
        emulator.fail_when = lambda _: "All fail."
        task = client.post(TASKS, json=ask("good", sync=True)).json()
        assert task["failed_reason"] == "All fail."


def test_the_model_answers_what_answer_when_says_and_else_what_is_made_up() -> None:
    calls = [{"name": "weather", "args": {"city": "Paris"}}, {"name": "time"}]
    said: dict[str, Any] = {"text": "Said.", "calls": calls}
    config = {"response_json_schema": {"type": "object"}}

    def answer_when(request: Any) -> Any:
        return said.get(request["messages"][0]["content"])

    with emulated(answer_when=answer_when) as (_, client):
        task = client.post(TASKS, json=ask("text", sync=True, config=config)).json()
        assert (task["response_text"], task["response_function_calls"]) == ("Said.", [])
        task = client.post(TASKS, json=ask("calls", sync=True)).json()
        assert (task["response_text"], task["response_function_calls"]) == ("", calls)
        assert "functionCall" in client.post(STREAM, json=ask("calls")).text
        assert (
            "On “other”" in client.post(TASKS, json=ask("other", sync=True)).json()["response_text"]
        )


def _raises(_: Any) -> str:
    raise LookupError("a defect")


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (lambda _: True, "fail_when returned True, neither a str nor None."),
        (lambda _: False, "fail_when returned False, neither a str nor None."),
        (_raises, "fail_when raised LookupError: a defect"),
        (lambda _: sys.exit(3), "fail_when raised SystemExit: 3"),
        (lambda _: pytest.fail("not that"), "fail_when raised Failed: not that"),
        ("boom", "fail_when raised TypeError: 'str' object is not callable"),
    ],
)
@pytest.mark.parametrize("path", [TASKS, STREAM])
def test_a_broken_fail_when_is_a_500_that_says_so_and_costs_nothing(
    broken: Any, said: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    with emulated(check=False) as (emulator, client):
        emulator.fail_when = broken
        for _ in range(3):  # on one connection: it isn't reset
            response = client.post(path, json=ask())
            assert (response.status_code, response.json()) == (500, {"error": said})
        assert (emulator.charges, list(emulator.tasks)) == (0, [])
    ours = [record for record in caplog.records if record.name.startswith("creatify")]
    assert {(record.name, record.levelname) for record in ours} == {("creatify.testing", "ERROR")}
    assert said in caplog.text


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (lambda _: True, "answer_when returned True, and no text, function calls, or None."),
        (lambda _: [{}], "answer_when returned [{}], and no text, function calls, or None."),
        (
            lambda _: "\ud800",
            "answer_when returned '\\ud800', and no text, function calls, or None.",
        ),
        (
            lambda _: [{"name": "f", "args": {1: 1j}}],
            (
                "answer_when returned [{'name': 'f', 'args': {1: 1j}}], and no text, function"
                " calls, or None."
            ),
        ),
        (_raises, "answer_when raised LookupError: a defect"),
    ],
)
def test_a_broken_answer_when_is_a_500_that_costs_nothing(broken: Any, said: str) -> None:
    with emulated(check=False, answer_when=broken) as (emulator, client):
        response = client.post(TASKS, json=ask())
        assert (response.status_code, response.json()) == (500, {"error": said})
        assert emulator.charges == 0


# Webhooks


class Hook:
    """A webhook on a loopback port, and what it was told."""

    def __init__(self, url: str, told: queue.Queue[Any]) -> None:
        self.url = url
        self.told = told

    def next(self) -> Any:
        return self.told.get(timeout=5)


@pytest.fixture
def hook() -> Iterator[Hook]:
    told: queue.Queue[Any] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            told.put(json.loads(self.rfile.read(length)))
            self.send_response(500)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield Hook(f"http://127.0.0.1:{server.server_port}/hook", told)
        finally:
            server.shutdown()
            thread.join()


def test_a_webhook_is_told_of_each_change(hook: Hook) -> None:
    with emulated(pending=5, running=5) as (emulator, client):
        emulator.clock.freeze()
        task_id = client.post(TASKS, json=ask(webhook_url=hook.url)).json()["id"]
        with pytest.raises(queue.Empty):
            hook.told.get(timeout=0.05)
        emulator.clock.advance(5)
        assert hook.next() == {
            "id": task_id,
            "status": "running",
            "failed_reason": None,
            "response_text": None,
        }
        emulator.clock.advance(5)
        assert hook.next() == {
            "id": task_id,
            "status": "done",
            "failed_reason": None,
            "response_text": emulator.tasks[task_id].to_dict()["response_text"],
        }


def test_a_webhook_is_told_why_a_task_failed(hook: Hook) -> None:
    with emulated(fail_when=lambda _: "No.", running=1.0) as (_, client):
        client.post(TASKS, json=ask(webhook_url=hook.url, sync=True))
        told = [hook.next(), hook.next()]
    assert [(t["status"], t["failed_reason"]) for t in told] == [
        ("running", None),
        ("failed", "No."),
    ]


@pytest.mark.parametrize("host", ["127.0.0.1:1", "localhost:1", "[::1]:1"])
def test_a_dead_webhook_breaks_nothing(host: str) -> None:
    with emulated() as (_, client):
        task = client.post(TASKS, json=ask(webhook_url=f"http://{host}/", sync=True))
        assert task.json()["status"] == "done"


def test_remote_webhooks_are_called_if_allowed() -> None:
    with emulated(allow_remote_webhooks=True) as (_, client):
        # A name that never resolves: RFC 2606.
        task = client.post(TASKS, json=ask(webhook_url="https://hook.invalid/", sync=True))
        assert task.status_code == 201


# Streams


def test_the_pauses_of_a_stream_go_by_the_clock() -> None:
    with (
        emulated(chunk_delay=10, check=False) as (emulator, client),
        client.stream("POST", STREAM, json=ask()) as stream,
    ):
        emulator.clock.freeze()
        events = stream.iter_raw()
        first = next(events)
        assert first.count(b"data: ") == 1
        with contextlib.closing(_Ticker(emulator)):
            rest = list(events)
        assert len(rest) > 3
        assert b'"finishReason"' in rest[-1]


class _Ticker:
    """Advances the clock again and again."""

    def __init__(self, emulator: Emulator) -> None:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._tick, args=(emulator,))
        self._thread.start()

    def _tick(self, emulator: Emulator) -> None:
        while not self._ended.wait(0.01):
            emulator.clock.advance(10)

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
