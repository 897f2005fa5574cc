import asyncio
import contextlib
import json
import logging
import re
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest
from emulated import CREDITS, DOCUMENT, STREAM, TASKS, ask, client_of, emulated

from creatify.testing import Emulator, RequestRecord
from creatify.testing._app import build_app
from creatify.testing._spec import Spec


@pytest.fixture
def served() -> Iterator[tuple[Emulator, httpx.Client]]:
    with emulated() as both:
        yield both


# The operations


def test_create_answers_201_with_a_pending_task(served: tuple[Emulator, httpx.Client]) -> None:
    emulator, client = served
    request = ask(system_instruction="Be brief.", config={"temperature": 0.5, "seed": 3})
    response = client.post(TASKS, json=request)
    assert response.status_code == 201
    task = response.json()
    assert task.pop("created_at") == task.pop("updated_at")
    assert task == {
        "id": next(iter(emulator.tasks)),
        "model_name": "gemini-2.5-flash",
        "messages": [{"role": "user", "content": "Write a tagline."}],
        "system_instruction": "Be brief.",
        "config": {"temperature": 0.5, "seed": 3},
        "status": "pending",
        "response_function_calls": [],
    }


def test_retrieve_answers_the_task_of_that_id(served: tuple[Emulator, httpx.Client]) -> None:
    emulator, client = served
    task = emulator.tasks.add("One", response_text="First.")
    emulator.tasks.add("Two")
    for spelled in (task.id, task.id.upper()):
        response = client.get(f"{TASKS}{spelled}/")
        assert response.status_code == 200
        assert response.json()["id"] == task.id
        assert response.json()["response_text"] == "First."


@pytest.mark.parametrize("unknown", [str(uuid.UUID(int=17)), "17", "stream"])
def test_an_unknown_or_malformed_id_is_404(
    served: tuple[Emulator, httpx.Client], unknown: str
) -> None:
    assert served[1].get(f"{TASKS}{unknown}/").status_code == 404


def test_the_list_has_all_tasks_newest_first(served: tuple[Emulator, httpx.Client]) -> None:
    emulator, client = served
    for age in (10, 3600, 60):
        emulator.tasks.add(f"{age} seconds ago", age=age)
    client.post(TASKS, json=ask("now"))
    listed = client.get(TASKS).json()
    prompts = [task["messages"][0]["content"] for task in listed]
    assert prompts == ["now", "10 seconds ago", "60 seconds ago", "3600 seconds ago"]


def test_each_generation_is_charged_once(served: tuple[Emulator, httpx.Client]) -> None:
    emulator, client = served
    client.post(TASKS, json=ask())
    client.post(STREAM, json=ask())
    client.post(TASKS, json=ask(model_name="gpt"))
    assert emulator.charges == 2
    assert emulator.credits == 998
    assert client.get(CREDITS).json() == {"remaining_credits": 998.0}


@pytest.mark.parametrize("path", [TASKS, STREAM])
def test_without_enough_credits_a_generation_is_402_and_free(path: str) -> None:
    with emulated(credits=2.5, cost=2) as (emulator, client):
        assert client.post(path, json=ask()).is_success
        assert client.post(path, json=ask()).status_code == 402
        assert (emulator.charges, emulator.credits, len(emulator.tasks)) == (1, 0.5, 1)


def test_an_operation_of_the_spec_without_a_handler_is_an_error_at_construction(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    document = json.loads(json.dumps(DOCUMENT))
    path = document["paths"]["/api/remaining_credits/"]
    path["delete"] = path["get"] | {"operationId": "credits_destroy"}
    monkeypatch.setattr(Spec, "vendored", lambda: Spec(document))
    with pytest.raises(NotImplementedError, match="credits_destroy"):
        Emulator()


def test_routes_and_credentials_are_those_of_the_spec() -> None:
    document = json.loads(json.dumps(DOCUMENT).replace("text_generator/", "text/"))
    document["components"]["securitySchemes"]["X-API-KEY"]["name"] = "Api-Secret"
    app = build_app(Emulator(), Spec(document), {"X-API-ID": "me", "X-API-KEY": "secret"})
    transport = httpx.ASGITransport(app)

    async def status() -> int:
        async with httpx.AsyncClient(transport=transport, base_url="http://e") as client:
            headers = {"X-API-ID": "me", "Api-Secret": "secret"}
            return (await client.get("/sse/text/", headers=headers)).status_code

    assert asyncio.run(status()) == 200


def test_formats_are_those_of_strings() -> None:
    spec = Spec.vendored()
    assert spec.error({"format": "uri"}, 17) is None
    assert spec.error({"format": "uri"}, "17")
    assert spec.error({"format": "date-time"}, "yesterday")
    assert spec.error({"format": "uuid"}, "17")


# Refusals


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-ID": "emulator-id"},
        {"X-API-KEY": "emulator-key"},
        {"X-API-ID": "emulator-id", "X-API-KEY": "other"},
        {"X-API-ID": "other", "X-API-KEY": "emulator-key"},
        {"X-API-ID": b"emulator-id", "X-API-KEY": "clé".encode()},
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", TASKS), ("POST", TASKS), ("POST", STREAM), ("GET", TASKS + "1/"), ("GET", CREDITS)],
)
def test_without_both_right_headers_it_is_401(
    served: tuple[Emulator, httpx.Client], headers: Any, method: str, path: str
) -> None:
    emulator, client = served
    del client.headers["X-API-ID"]
    del client.headers["X-API-KEY"]
    response = client.request(method, path, headers=headers)
    assert response.status_code == 401
    assert emulator.charges == 0


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"messages": []}, "model_name"),
        ({"model_name": "gemini-2.5-flash"}, "messages"),
        (ask(model_name="x" * 256), "too long"),
        (ask(model_name="gpt"), "gpt not found"),
        (ask(messages=[]), "messages"),
        (ask(messages=[{"content": "Hi"}]), "role"),
        (ask(messages=[{"role": "system", "content": "Hi"}]), "system"),
        (ask(config={"seed": "1"}), "$.config.seed"),
        (ask(config={"response_mime_type": "text/html"}), "text/html"),
        (ask(tools=None), "None"),
        (ask(webhook_url="<string>"), "uri"),
        (ask(sync="yes"), "$.sync"),
        ([], "object"),
        (ask(17), "string or a list"),
        (ask(["Hi"]), "part"),
        (ask([{"type": "audio", "data": "", "mime_type": "audio/mp3"}]), "part"),
        (ask([{"type": "text"}]), "part"),
        (ask([{"type": "image", "data": "QUJD"}]), "part"),
        (ask([{"type": "image", "data": "QUJ", "mime_type": "image/png"}]), "base64"),
        (ask([{"type": "image", "data": "é", "mime_type": "image/png"}]), "base64"),
        (ask(messages=[{"role": "user", "function_call": {"name": "f"}}]), "'model'"),
        (
            ask(messages=[{"role": "model", "function_response": {"name": "f", "response": {}}}]),
            "'user'",
        ),
        (ask(webhook_url="https://example.com/hook"), "example.com"),
        (ask(webhook_url="http://192.168.0.1/hook"), "192.168.0.1"),
        (ask(webhook_url="http://localhost:99999/"), "uri"),
        (ask(webhook_url="http://localhost/\0"), "webhook_url: Invalid"),
        (ask(webhook_url="mailto:me@example.com"), "http"),
        (ask(webhook_url="http:nowhere"), "http"),
    ],
)
@pytest.mark.parametrize("path", [TASKS, STREAM])
def test_an_invalid_request_is_400_that_says_what_is_wrong(
    served: tuple[Emulator, httpx.Client], path: str, request_: Any, said: str
) -> None:
    emulator, client = served
    response = client.post(path, json=request_)
    assert response.status_code == 400
    assert said in response.json()["error"]
    assert emulator.charges == 0


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff", b"NaN", b"1e999", b'"\\ud800"', b"[" * 100_000],
    ids=lambda body: repr(body[:10]),
)
def test_a_body_that_is_no_json_is_400(served: tuple[Emulator, httpx.Client], body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    response = served[1].post(TASKS, content=body, headers=headers)
    assert response.status_code == 400
    assert "no JSON" in response.json()["error"]


def test_a_body_of_another_content_type_is_400(served: tuple[Emulator, httpx.Client]) -> None:
    response = served[1].post(TASKS, data={"model_name": "gemini-2.5-flash"})
    assert response.status_code == 400
    assert "Content-Type" in response.json()["error"]


def test_the_models_are_an_argument() -> None:
    with emulated(models=["gemini-9"]) as (_, client):
        assert client.post(TASKS, json=ask(model_name="gemini-9")).status_code == 201
        assert client.post(TASKS, json=ask()).status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 404), ("GET", "/sse/text_generator", 404), ("PUT", TASKS, 405)],
)
def test_what_the_spec_does_not_have_is_404_or_405(
    served: tuple[Emulator, httpx.Client], method: str, path: str, status: int
) -> None:
    assert served[1].request(method, path).status_code == status


# What is sent


def test_optional_properties_are_absent_until_known(served: tuple[Emulator, httpx.Client]) -> None:
    emulator, client = served
    emulator.tasks.add(status="running")
    (task,) = client.get(TASKS).json()
    assert not {"response_text", "failed_reason", "credits_used"} & task.keys()


def test_with_nulls_optional_properties_are_null_until_known() -> None:
    with emulated(nulls=True, check=False) as (emulator, client):
        emulator.tasks.add(status="running", config={"seed": 3}, messages=[{"role": "user"}])
        (task,) = client.get(TASKS).json()
    assert task["status"] == "running"
    assert [task["response_text"], task["failed_reason"], task["credits_used"]] == [None] * 3
    assert task["config"]["seed"] == 3
    assert task["config"]["top_p"] is None
    assert task["messages"] == [
        {"role": "user", "content": None, "function_call": None, "function_response": None}
    ]


def test_added_tasks_are_what_they_were_added_as(served: tuple[Emulator, httpx.Client]) -> None:
    emulator, client = served
    emulator.clock.freeze()
    failed = emulator.tasks.add(status="failed", failed_reason="Too long.", age=5)
    pending = emulator.tasks.add(status="pending", model_name="gemini-2.5-pro")
    emulator.clock.advance(1e6)
    assert client.get(f"{TASKS}{failed.id}/").json()["failed_reason"] == "Too long."
    assert client.get(f"{TASKS}{pending.id}/").json()["model_name"] == "gemini-2.5-pro"
    assert client.get(f"{TASKS}{pending.id}/").json()["status"] == "pending"
    assert [task.status for task in emulator.tasks.values()] == ["failed", "pending"]
    assert emulator.tasks[failed.id].to_dict() == client.get(f"{TASKS}{failed.id}/").json()
    assert emulator.charges == 0


def test_a_thousand_old_tasks_are_added_in_no_time(served: tuple[Emulator, httpx.Client]) -> None:
    emulator, client = served
    began = time.perf_counter()
    for age in range(1000):
        emulator.tasks.add(age=age)
    assert time.perf_counter() - began < 2
    assert len(client.get(TASKS).json()) == 1000


def test_the_date_header_agrees_with_the_clock(served: tuple[Emulator, httpx.Client]) -> None:
    emulator, client = served
    emulator.clock.freeze()
    emulator.clock.advance(86400 * 365)
    response = client.post(TASKS, json=ask())
    date = parsedate_to_datetime(response.headers["Date"]).timestamp()
    assert date == int(emulator.clock.time())
    created = response.json()["created_at"]
    assert created.startswith(time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(date)))
    assert created.endswith("Z")
    assert "server" not in response.headers


# The log of requests


def test_requests_are_recorded_without_the_credentials(
    served: tuple[Emulator, httpx.Client],
) -> None:
    emulator, client = served
    before = time.monotonic()
    client.post(TASKS, json=ask(), headers={"X-Trace": "7"})
    client.post(TASKS, content=b"{", headers={"Content-Type": "application/json"})
    client.get("/nowhere/?q=1")
    created, broken, nowhere = emulator.requests
    assert isinstance(created, RequestRecord)
    assert (created.method, created.path, created.status) == ("POST", TASKS, 201)
    assert created.operation == "sse_text_generator_create"
    assert created.body == ask()
    assert created.headers["x-trace"] == "7"
    assert emulator.api_key not in repr(emulator.requests)
    assert not {"x-api-id", "x-api-key"} & created.headers.keys()
    assert before <= created.time <= broken.time <= time.monotonic()
    assert (broken.body, broken.status) == (b"{", 400)
    assert (nowhere.path, nowhere.operation, nowhere.status) == ("/nowhere/", None, 404)


def test_a_request_whose_sender_hangs_up_is_recorded_unanswered(
    served: tuple[Emulator, httpx.Client],
) -> None:
    emulator, _ = served
    host, _, port = emulator.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(
            f"POST {TASKS} HTTP/1.1\r\nHost: e\r\nContent-Length: 9\r\n\r\n{{".encode()
        )
        time.sleep(0.05)
    _until(lambda: emulator.requests)
    (record,) = emulator.requests
    assert (record.status, record.body, record.operation) == (None, b"", None)


# Its life


def test_nothing_is_left_when_it_ends() -> None:
    threads = threading.active_count()
    with emulated() as (emulator, client):
        client.post(TASKS, json=ask())
        port = int(emulator.url.rpartition(":")[2])
    assert threading.active_count() == threads
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_it_ends_at_once_while_streams_are_open_and_sync_requests_blocked() -> None:
    failures: list[Exception] = []
    with contextlib.ExitStack() as stack:
        emulator = stack.enter_context(Emulator(chunk_delay=60, pending=60))

        def blocked() -> None:
            with client_of(emulator) as client:
                try:
                    client.post(TASKS, json=ask(sync=True), timeout=30)
                except httpx.HTTPError as error:
                    failures.append(error)

        thread = threading.Thread(target=blocked)
        thread.start()
        _until(lambda: emulator.charges)
        with (
            client_of(emulator, check=False) as client,
            client.stream("POST", STREAM, json=ask()) as stream,
        ):
            pieces = stream.iter_raw()
            assert next(pieces).startswith(b"data: ")
            began = time.perf_counter()
            stack.close()
            assert time.perf_counter() - began < 1
            with pytest.raises(httpx.HTTPError):
                next(pieces)
        thread.join()
    assert len(failures) == 1
    assert emulator.requests[-1].status is None


@pytest.mark.unmeasured
def test_it_ends_quietly_while_requests_come_in(caplog: pytest.LogCaptureFixture) -> None:
    def ask_on(url: str, headers: dict[str, str]) -> None:
        with contextlib.suppress(httpx.HTTPError):
            while True:
                client = httpx.Client(base_url=url, headers=headers, trust_env=False, verify=False)
                with client, client.stream("POST", STREAM, json=ask()) as stream:
                    next(stream.iter_raw())
                    client.post(TASKS, json=ask(webhook_url=url))

    for _ in range(10):
        with Emulator(chunk_delay=0.001, pending=0, running=0.001) as emulator:
            headers = {"X-API-ID": emulator.api_id, "X-API-KEY": emulator.api_key}
            threads = [
                threading.Thread(target=ask_on, args=(emulator.url, headers)) for _ in range(4)
            ]
            for thread in threads:
                thread.start()
            _until(lambda: emulator.charges > 8)
        for thread in threads:
            thread.join()
    assert [r for r in caplog.records if not r.name.startswith("http")] == []


def test_it_starts_fast_and_can_be_entered_again() -> None:
    emulator = Emulator()
    for round_ in range(1, 4):
        began = time.perf_counter()
        with emulator, client_of(emulator) as client:
            assert client.post(TASKS, json=ask()).status_code == 201
            assert time.perf_counter() - began < 1
        assert len(emulator.tasks) == round_


def test_outside_its_context_it_has_no_url() -> None:
    with pytest.raises(RuntimeError, match="isn't running"):
        _ = Emulator().url


def test_a_port_in_use_is_an_oserror() -> None:
    with Emulator() as emulator:
        other = Emulator(port=int(emulator.url.rpartition(":")[2]))
        with pytest.raises(OSError, match="in use"):
            other.__enter__()


def test_it_can_be_left_twice_and_before_it_was_entered() -> None:
    emulator = Emulator()
    emulator.__exit__(None, None, None)
    with emulator:
        emulator.__exit__(None, None, None)
        with pytest.raises(RuntimeError, match="isn't running"):
            _ = emulator.url


def test_while_it_runs_it_cannot_be_entered_again() -> None:
    with Emulator() as emulator, client_of(emulator) as client:
        with pytest.raises(RuntimeError, match="running already"):
            emulator.__enter__()
        assert client.get(TASKS).status_code == 200


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"fail_when": "boom"}, TypeError, "fail_when must be callable, not 'boom'."),
        ({"fail_when": None}, TypeError, "fail_when must be callable, not None."),
        ({"answer_when": "boom"}, TypeError, "answer_when must be callable, not 'boom'."),
        ({"credits": "10"}, TypeError, "credits must be a number, not '10'."),
        ({"credits": -1}, ValueError, "credits must be 0 or more, not -1."),
        ({"credits": float("nan")}, ValueError, "credits must be 0 or more, not nan."),
        ({"cost": -0.5}, ValueError, "cost must be 0 or more, not -0.5."),
        ({"pending": None}, TypeError, "pending must be a number, not None."),
        ({"running": -1}, ValueError, "running must be 0 or more, not -1."),
        ({"chunk_delay": "1"}, TypeError, "chunk_delay must be a number, not '1'."),
        ({"port": 65536}, ValueError, "port must be 0 to 65535, not 65536."),
        ({"port": "8787"}, ValueError, "port must be 0 to 65535, not '8787'."),
    ],
)
def test_a_setting_that_cannot_be_is_an_error_at_construction(
    settings: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=f"^{re.escape(said)}$"):
        Emulator(**settings)


async def _ask_inside_a_loop() -> int:
    with Emulator() as emulator:
        headers = {"X-API-ID": emulator.api_id, "X-API-KEY": emulator.api_key}
        async with httpx.AsyncClient(base_url=emulator.url, headers=headers) as client:
            answers = [client.post(TASKS, json=ask(sync=True)) for _ in range(5)]
            return sum(r.status_code for r in await asyncio.gather(*answers))


def test_it_works_inside_a_running_event_loop() -> None:
    assert asyncio.run(_ask_inside_a_loop()) == 5 * 201


def test_it_logs_nothing_but_defects(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "uvicorn"):
        with emulated(check=False) as (emulator, client):
            client.post(STREAM, json=ask())
            with client.stream("POST", STREAM, json=ask()):
                pass
            assert not [r for r in caplog.records if r.name.startswith("uvicorn")]
            logging.getLogger("uvicorn.error").info("another server's")
            emulator.tasks.add(response_text="\ud800")  # can't be sent
            assert client.get(TASKS).status_code == 500
        ours = [r for r in caplog.records if r.name.startswith("uvicorn")]
    assert [r.levelname for r in ours] == ["INFO", "ERROR"]
    assert "surrogates not allowed" in caplog.text


def _until(condition: Any) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
