"""The service is tested as its users see it: over sockets, with the emulator behind it."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import uvicorn
from apps.service import create_app

from creatify.testing import Emulator, faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROMPT = {"prompt": "A fox that reads."}
SECRET = "a secret that is long enough"


def settings(monkeypatch: pytest.MonkeyPatch, api: Emulator, url: str) -> None:
    for name, value in {
        "CREATIFY_BASE_URL": api.url,
        "CREATIFY_API_ID": api.api_id,
        "CREATIFY_API_KEY": api.api_key,
        "SERVICE_URL": url,
        "SERVICE_SECRET": SECRET,
    }.items():
        monkeypatch.setenv(name, value)


@contextmanager
def served(
    monkeypatch: pytest.MonkeyPatch, api: Emulator, url: str | None = None
) -> Iterator[httpx.Client]:
    """The service on a port of its own, in a thread; a browser of it."""
    with socket.socket(proto=socket.IPPROTO_TCP) as sock:  # asyncio asks before TCP_NODELAY
        sock.bind(("127.0.0.1", 0))
        here = f"http://127.0.0.1:{sock.getsockname()[1]}"
        settings(monkeypatch, api, url or here)
        config = uvicorn.Config(
            create_app, factory=True, log_config=None, ws="none", timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([sock],))
        thread.start()
        try:
            eventually(lambda: server.started)
            with httpx.Client(base_url=here, timeout=10.0) as browser:
                yield browser
        finally:
            server.should_exit = True
            thread.join(10.0)
            assert not thread.is_alive()


def eventually(fact: Callable[[], object], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < end, "it never came to pass"
        time.sleep(0.01)


def events(response: httpx.Response) -> Iterator[tuple[str, Any]]:
    name = ""
    for line in response.iter_lines():
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)


@pytest.fixture
def api(creatify_emulator: Emulator) -> Emulator:
    """The API, on whose clock no time passes but what the test advances."""
    creatify_emulator.clock.freeze()
    return creatify_emulator


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch, api: Emulator) -> Iterator[httpx.Client]:
    with served(monkeypatch, api) as browser:
        yield browser


@pytest.fixture
def slow() -> Iterator[Emulator]:
    """An API whose streams stand still after the first chunk, until the test resumes the clock."""
    with Emulator(chunk_delay=0.01) as emulator:
        emulator.clock.freeze()
        yield emulator


def test_the_page_shows_stories(browser: httpx.Client) -> None:
    page = browser.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert 'fetch("/stories"' in page.text


def test_a_story_ends_with_its_receipt(browser: httpx.Client, api: Emulator) -> None:
    with browser.stream("POST", "/stories", json=PROMPT) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        *texts, (name, receipt) = events(response)
    assert {name for name, _ in texts} == {"text"}
    assert (name, receipt["credits"]) == ("receipt", 1.0)
    assert list(api.tasks) == [receipt["id"]]


def test_a_story_arrives_piece_by_piece(monkeypatch: pytest.MonkeyPatch, slow: Emulator) -> None:
    with (
        served(monkeypatch, slow) as browser,
        browser.stream("POST", "/stories", json=PROMPT) as response,
    ):
        coming = events(response)
        first = next(coming)
        (task,) = slow.tasks.values()
        assert task.finished_at == float("inf")  # the API has not written the rest yet
        slow.clock.resume()
        *texts, (name, _) = [first, *coming]
    assert len(texts) > 1
    assert "".join(text for _, text in texts) == task.to_dict()["response_text"]
    assert name == "receipt"


def test_a_hang_up_closes_the_stream_of_the_api(
    monkeypatch: pytest.MonkeyPatch, slow: Emulator
) -> None:
    with served(monkeypatch, slow) as browser:
        with browser.stream("POST", "/stories", json=PROMPT) as response:
            coming = events(response)
            assert next(coming)[0] == "text"
            (task,) = slow.tasks.values()
            assert task.finished_at == float("inf")
        eventually(lambda: task.finished_at < float("inf"))


def test_a_story_that_breaks_off_is_found_in_its_task(browser: httpx.Client, api: Emulator) -> None:
    api.script(faults.reset_stream(after=2))
    with browser.stream("POST", "/stories", json=PROMPT) as response:
        *texts, (name, error) = events(response)
    assert texts
    assert name == "error"
    assert error["tasks"] == list(api.tasks)
    api.clock.advance(60.0)
    (task_id,) = error["tasks"]
    eventually(lambda: browser.get(f"/tasks/{task_id}").json()["status"] == "done")
    assert len(browser.get(f"/tasks/{task_id}").json()["text"]) > len("".join(t for _, t in texts))
    assert api.charges == 1


def test_an_error_inside_a_story_says_nothing_of_the_api(
    browser: httpx.Client, api: Emulator
) -> None:
    api.script(faults.error_event(after=1, message="host 10.0.0.7 is down"))
    with browser.stream("POST", "/stories", json=PROMPT) as response:
        body = response.read().decode()
    assert "event: error" in body
    assert "10.0.0.7" not in body


def test_a_receipt_that_the_api_left_out_is_null(browser: httpx.Client, api: Emulator) -> None:
    api.script(faults.no_receipt(), faults.merge({"creatify": {"credits_used": None}}))
    for _ in range(2):
        with browser.stream("POST", "/stories", json=PROMPT) as response:
            *_, (name, receipt) = events(response)
        assert (name, receipt["credits"]) == ("receipt", None)


def test_a_receipt_of_another_form_is_an_error(browser: httpx.Client, api: Emulator) -> None:
    api.script(faults.merge({"creatify": {"id": 7}}))
    with browser.stream("POST", "/stories", json=PROMPT) as response:
        *_, (name, error) = events(response)
    assert name == "error"
    assert error["detail"].endswith(".")


def test_a_webhook_ends_the_wait(browser: httpx.Client, api: Emulator) -> None:
    begun = browser.post("/tasks", json=PROMPT)
    assert begun.status_code == 202
    assert begun.json()["status"] == "pending"
    path = f"/tasks/{begun.json()['id']}"
    assert browser.get(path).json() == begun.json()
    api.clock.advance(60.0)
    eventually(lambda: browser.get(path).json()["status"] == "done")
    created, *looks = api.requests
    assert looks[0].time - created.time < 1.5  # a poll would have come after 2 s
    assert browser.get(path).json()["text"]
    assert browser.get(path).json()["credits"] == 1.0


def test_a_lost_webhook_is_made_up_for(monkeypatch: pytest.MonkeyPatch, api: Emulator) -> None:
    with served(monkeypatch, api, "http://127.0.0.1:9") as browser:
        task_id = browser.post("/tasks", json=PROMPT).json()["id"]
        api.clock.advance(60.0)
        eventually(lambda: browser.get(f"/tasks/{task_id}").json()["status"] == "done")


def test_a_task_that_fails_is_failed(browser: httpx.Client, api: Emulator) -> None:
    api.fail_when = lambda _: "quota of project 4711"
    task_id = browser.post("/tasks", json=PROMPT).json()["id"]
    api.clock.advance(60.0)
    eventually(lambda: browser.get(f"/tasks/{task_id}").json()["status"] == "failed")
    assert "4711" not in browser.get(f"/tasks/{task_id}").text


def test_a_forged_webhook_changes_nothing(browser: httpx.Client, api: Emulator) -> None:
    task_id = browser.post("/tasks", json=PROMPT).json()["id"]
    forged = {"id": task_id, "status": "done", "response_text": "Buy this."}
    assert httpx.post(api.requests[0].body["webhook_url"], json=forged).status_code == 200
    eventually(lambda: len(api.requests) > 1)  # it has looked for itself
    assert browser.get(f"/tasks/{task_id}").json()["status"] == "pending"


def test_a_wrong_token_is_404(browser: httpx.Client, api: Emulator) -> None:
    task_id = browser.post("/tasks", json=PROMPT).json()["id"]
    url = api.requests[0].body["webhook_url"]
    for wrong in (url[:-1] + "_", url.rpartition("/")[0] + "/"):
        assert httpx.post(wrong, json={"id": task_id, "status": "done"}).status_code == 404
    assert len(api.requests) == 1


def test_what_nobody_began_is_404(browser: httpx.Client, api: Emulator) -> None:
    task = api.generate({"model_name": "gemini-2.5-flash", "messages": [{"role": "user"}]})
    assert browser.get(f"/tasks/{task.id}").status_code == 404


@pytest.mark.parametrize(("refusal", "status"), [(400, 422), (401, 500), (429, 429), (503, 502)])
def test_a_refusal_is_told_and_explained(
    browser: httpx.Client, api: Emulator, refusal: int, status: int
) -> None:
    for path in ("/stories", "/tasks"):
        api.script(faults.status(refusal, retry_after=90))
        answer = browser.post(path, json=PROMPT)
        assert answer.status_code == status
        assert answer.json()["detail"].endswith(".")
        assert answer.headers.get("retry-after") == ("90" if status == 429 else None)
    assert api.charges == 0


def test_credits_that_ran_out_are_402(browser: httpx.Client, api: Emulator) -> None:
    api.credits = 0.5
    assert browser.post("/stories", json=PROMPT).status_code == 402
    assert browser.post("/tasks", json=PROMPT).status_code == 402


def test_an_api_that_is_gone_is_502(monkeypatch: pytest.MonkeyPatch) -> None:
    with Emulator() as api, served(monkeypatch, api) as browser:
        api.__exit__(None, None, None)
        assert browser.post("/tasks", json=PROMPT).status_code == 502


def test_a_lost_answer_is_no_error(browser: httpx.Client, api: Emulator) -> None:
    api.script(faults.drop_answer())
    assert browser.post("/tasks", json=PROMPT).status_code == 202
    assert api.charges == 1


def test_an_unknown_outcome_is_409_with_the_tasks_that_it_may_be(
    browser: httpx.Client, api: Emulator
) -> None:
    api.script(faults.drop_answer())
    answer = browser.post("/stories", json=PROMPT)
    assert answer.status_code == 409
    (task_id,) = answer.json()["tasks"]
    api.clock.advance(60.0)
    eventually(lambda: browser.get(f"/tasks/{task_id}").json()["status"] == "done")


def test_no_prompt_is_422(browser: httpx.Client, api: Emulator) -> None:
    assert browser.post("/stories", json={"prompt": ""}).status_code == 422
    assert not api.requests


def test_a_shutdown_ends_streams_and_waits(
    monkeypatch: pytest.MonkeyPatch, slow: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    threads = threading.active_count()
    with httpx.Client(timeout=10.0) as reader:
        with served(monkeypatch, slow) as browser:
            assert browser.post("/tasks", json=PROMPT).status_code == 202
            url = browser.base_url.join("/stories")
            response = reader.send(reader.build_request("POST", url, json=PROMPT), stream=True)
            coming = events(response)
            next(coming)
        with pytest.raises(httpx.RemoteProtocolError):
            next(coming)
    eventually(lambda: all(task.finished_at < float("inf") for task in slow.tasks.values()))
    gc.collect()
    assert threading.active_count() == threads
    assert not [record.getMessage() for record in caplog.records if record.name == "asyncio"]


async def test_the_end_of_the_lifespan_leaves_no_task(
    monkeypatch: pytest.MonkeyPatch, api: Emulator, anyio_backend: str
) -> None:
    settings(monkeypatch, api, "http://127.0.0.1:9")
    app = create_app()
    before = asyncio.all_tasks()
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as browser:
            assert (await browser.post("/tasks", json=PROMPT)).status_code == 202
        assert asyncio.all_tasks() - before
    assert asyncio.all_tasks() == before
