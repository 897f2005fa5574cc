"""Many requests at once: each gets its result, once, whatever happens to the others."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import io
import json
import os
import re
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from batches import CREATE, LIST, Run, ask, asked_of, asks, by_index, results, statuses
from colours import KEYS, Colour

from creatify import (
    AsyncCreatify,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    Creatify,
    CreatifyError,
    InsufficientCreditsError,
    InvalidRequestError,
    OutcomeUnknownError,
    TaskFailedError,
    WaitTimeoutError,
    user,
)
from creatify import batch as batch_module
from creatify._flow import run as run_flow
from creatify.batch import AsyncBatch, Batch, BatchBudgetError, BatchProgress, read_jsonl
from creatify.batch._flows import Stop
from creatify.batch._workers import Tasks
from creatify.testing import Emulator, faults
from creatify_api.models import TextGenRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def prompt_arrival(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy holds a request back."""
    monkeypatch.setattr("creatify.batch._settle.ARRIVES_WITHIN", 0.1)


async def test_each_request_has_its_result_with_its_place_and_key(
    colour: Colour, emulator: Emulator
) -> None:
    client = colour.client(base_url=emulator.url)
    requests: list[Any] = [
        ask("One."),
        {"key": "two", "request": ask("Two.")},
        TextGenRequest.from_dict(
            {"model_name": "gemini-2.5-pro", "messages": []}
            | {"messages": [user("Three.").to_dict()]}
        ),
        {
            "key": 4,
            "request": {
                "model_name": "gemini-2.5-flash",
                "messages": ({"role": "user", "content": "Four."},),
            },
        },
    ]
    found = by_index(await results(colour, client, requests))
    assert statuses(found) == ["done"] * 4
    assert [result.key for result in found] == [None, "two", None, 4]
    for result, text in zip(found, ["One.", "Two.", "Three.", "Four."], strict=True):
        task = result.unwrap()
        assert task.messages[0].content == text
        assert result.request is not None
        assert result.request.messages[0].content == text
        assert task.response_text
    assert emulator.charges == 4


async def test_results_come_as_they_are_there_or_in_the_order_of_the_input(colour: Colour) -> None:
    release = threading.Event()

    def fault_when(operation: str, body: Any) -> faults.Fault | None:
        if operation == CREATE and "Text 0." in str(body):
            return faults.delay(0.5)
        return None

    with Emulator(pending=0.01, running=0.01, fault_when=fault_when, **KEYS) as emulator:
        client = colour.client(base_url=emulator.url)
        assert release is not None
        soon = await results(colour, client, asks(8))
        assert soon[-1].index == 0
        ordered = await results(colour, client, asks(8), ordered=True)
        assert [result.index for result in ordered] == list(range(8))


async def test_no_more_is_begun_and_kept_behind_a_late_first_result_than_ahead(
    colour: Colour, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("creatify.batch._results.AHEAD", 8)
    emulator.fault_when = lambda operation, body: (
        faults.delay(0.3) if operation == CREATE and "Text 0." in str(body) else None
    )
    read, most = 0, (0, 0)

    def requests() -> Iterator[Any]:
        nonlocal read
        for item in asks(8):
            yield item
            read += 1
            yield {"no": "request"}
            read += 1

    def on_progress(progress: BatchProgress) -> None:
        nonlocal most
        if not progress.done:  # as long as the first is not there
            most = (read, len(asked_of(emulator, CREATE)))

    client = colour.client(base_url=emulator.url)
    found = await results(colour, client, requests(), ordered=True, on_progress=on_progress)
    assert [result.index for result in found] == list(range(16))
    assert statuses(found) == ["done", "invalid"] * 8
    # The eighth was taken, and the ninth not asked for.
    assert most == (7, 4)


async def test_no_more_than_concurrency_are_under_way_at_once(colour: Colour) -> None:
    with Emulator(pending=0.1, running=0.1, **KEYS) as emulator:
        most = 0

        def fault_when(operation: str, _: Any) -> None:
            nonlocal most
            tasks = emulator.tasks.values()
            most = max(most, sum(task.status in {"pending", "running"} for task in tasks))

        emulator.fault_when = fault_when
        client = colour.client(base_url=emulator.url)
        assert len(await results(colour, client, asks(20), concurrency=4)) == 20
    assert most in {3, 4}


async def test_the_input_is_read_as_it_is_needed(colour: Colour, emulator: Emulator) -> None:
    read = 0

    def requests() -> Iterator[Any]:
        nonlocal read
        for number in range(1000):
            read = number + 1
            yield ask(f"Text {number}.")

    client = colour.client(base_url=emulator.url)
    run = Run(colour, client, requests(), concurrency=4)
    first = (
        await asyncio.to_thread(next, iter(run.batch))
        if colour.is_sync
        else await anext(aiter(run.batch))
    )
    assert first.status == "done"
    assert read < 16


@pytest.mark.parametrize(
    ("item", "says"),
    [
        ({"model_name": "m"}, "needs the field 'messages'"),
        ({"model_name": "m", "messages": []}, "messages is empty"),
        ({"model_name": "m", "mesages": []}, "did you mean 'messages'"),
        ({"model_name": "m", "messages": [{"role": "user", "content": "x"}], "sync": 1}, "sync"),
        ({"model_name": 7, "messages": [user("x")]}, "model_name"),
        ({"model_name": "m", "messages": [{"content": "x"}]}, "'role' is required"),
        (
            {
                "model_name": "m",
                "messages": [user("x")],
                "config": {"response_json_schema": {"a": object()}},
            },
            "JSON",
        ),
        (
            {"model_name": "m", "messages": [{"role": "user", "parts": [{"text": "x"}]}]},
            "request.messages[0]: it has no property 'parts'; it may have: role, content",
        ),
        (
            {"model_name": "m", "messages": [user("x")], "config": {"temprature": 1}},
            "request.config: it has no property 'temprature'",
        ),
        ({"key": 1.5, "request": {}}, "a key is a string or an int"),
        ({"key": True, "request": {}}, "a key is a string or an int"),
        ({"key": "k", "request": {}, "more": 1}, "not 'more'"),
        ({"request": {}, 5: 1}, "not '5'"),
        ({"request": {}, 5: 1, "more": 1}, "not '5'"),
        ({"request": None}, "needs the field"),
        (None, "needs the field"),
        (7, "of type int"),
        ([1], "of type list"),
        (InvalidRequestError("from a line"), "from a line"),
    ],
)
def test_an_item_that_is_no_request_is_a_result_and_costs_nothing(
    item: Any, says: str, emulator: Emulator
) -> None:
    with Creatify(base_url=emulator.url, **KEYS) as client:
        found = by_index(Batch(client, [ask("Before."), item, ask("After.")]))
    assert statuses(found) == ["done", "invalid", "done"]
    assert isinstance(found[1].error, InvalidRequestError)
    assert says in str(found[1].error)
    assert found[1].request is None
    assert found[1].task is None
    with pytest.raises(InvalidRequestError):
        found[1].unwrap()
    assert emulator.charges == 2


def test_a_mapping_that_holds_itself_is_no_request(emulator: Emulator) -> None:
    item: dict[str, Any] = ask()
    item["config"] = {"response_json_schema": item}
    with Creatify(base_url=emulator.url, **KEYS) as client:
        [result] = Batch(client, [item])
    assert result.status == "invalid"


async def test_a_generation_that_fails_and_one_that_is_refused_are_results(colour: Colour) -> None:
    def fail_when(body: Any) -> str | None:
        return "unsafe" if "Text 1." in str(body) else None

    with Emulator(pending=0.01, running=0.01, fail_when=fail_when, **KEYS) as emulator:
        client = colour.client(base_url=emulator.url)
        requests = [*asks(3), ask("No such model.", model_name="none")]
        found = by_index(await results(colour, client, requests))
    assert statuses(found) == ["done", "failed", "done", "rejected"]
    assert isinstance(found[1].error, TaskFailedError)
    assert found[1].task is not None
    assert found[1].task.failed_reason == "unsafe"
    assert found[1].to_dict() == {
        "index": 1,
        "key": None,
        "status": "failed",
        "task": found[1].task.to_dict(),
        "error": str(found[1].error),
    }
    assert isinstance(found[3].error, BadRequestError)
    assert found[3].task is None
    json.dumps([result.to_dict() for result in found])


@pytest.mark.parametrize("refusal", [faults.status(401), faults.status(403), faults.status(402)])
async def test_what_every_request_would_meet_ends_the_batch_when_all_is_delivered(
    colour: Colour, refusal: faults.Fault
) -> None:
    with Emulator(pending=0.01, running=0.3, **KEYS) as emulator:
        emulator.script(*[None] * 5, *[refusal] * 100, operation=CREATE)
        run = Run(colour, colour.client(base_url=emulator.url), asks(100), concurrency=3)
        with pytest.raises(CreatifyError, match=r"the API answered 40[123]"):
            await run.to_end()
        assert statuses(run.results) == ["done"] * 5
        assert emulator.charges == 5
        assert len(asked_of(emulator, CREATE)) <= 8


async def test_credits_that_run_out_end_the_batch(colour: Colour) -> None:
    with Emulator(pending=0.01, running=0.01, credits=7, **KEYS) as emulator:
        run = Run(colour, colour.client(base_url=emulator.url), asks(20), ordered=True)
        with pytest.raises(InsufficientCreditsError):
            await run.to_end()
        assert [result.index for result in run.results] == sorted(r.index for r in run.results)
        assert len(run.results) == emulator.charges == 7


async def test_too_many_requests_slow_the_batch_and_are_nobodys_result(colour: Colour) -> None:
    limit, most_refused = 4, 0
    with Emulator(pending=0.02, running=0.05, **KEYS) as emulator:

        def fault_when(operation: str, _: Any) -> faults.Fault | None:
            nonlocal most_refused
            if operation != CREATE:
                return None
            tasks = emulator.tasks.values()
            if sum(task.status in {"pending", "running"} for task in tasks) < limit:
                return None
            most_refused += 1
            return faults.status(429, retry_after=0.1)

        emulator.fault_when = fault_when
        limits: list[int] = []
        client = colour.client(base_url=emulator.url)
        found = await results(
            colour, client, asks(40), on_progress=lambda seen: limits.append(seen.limit)
        )
        assert statuses(found) == ["done"] * 40
        assert emulator.charges == 40
    assert most_refused > 0
    assert min(limits) <= 8
    assert limits[-1] > min(limits)


@pytest.mark.parametrize(
    "refusal", [faults.status(429, retry_after=1), faults.status(503, retry_after=1)]
)
async def test_nothing_is_sent_before_retry_after(colour: Colour, refusal: faults.Fault) -> None:
    with Emulator(pending=0.01, running=0.01, **KEYS) as emulator:
        emulator.script(refusal, operation=CREATE)
        client = colour.client(base_url=emulator.url)
        found = await results(colour, client, asks(3), concurrency=1)
        assert statuses(found) == ["done"] * 3
        times = [record.time for record in asked_of(emulator, CREATE)]
    assert len(times) == 4
    assert times[1] - times[0] > 0.95


async def test_an_api_that_only_refuses_ends_the_batch_after_its_timeout(colour: Colour) -> None:
    with Emulator(fault_when=lambda *_: faults.status(429), **KEYS) as emulator:
        run = Run(colour, colour.client(base_url=emulator.url), asks(9), timeout=1.0)
        with pytest.raises(CreatifyError, match="429"):
            await run.to_end()
    assert run.results == []


async def test_an_api_that_is_away_for_a_while_is_waited_for(
    colour: Colour, free_tcp_port: int
) -> None:
    client = colour.client(base_url=f"http://127.0.0.1:{free_tcp_port}")
    run = Run(colour, client, asks(5))
    running = asyncio.create_task(run.to_end())
    await asyncio.sleep(0.3)
    with Emulator(port=free_tcp_port, pending=0.01, running=0.01, **KEYS) as emulator:
        assert statuses(await running) == ["done"] * 5
        assert emulator.charges == 5


async def test_dropped_answers_are_found_in_the_list_with_one_look_for_several(
    colour: Colour,
) -> None:
    with Emulator(pending=0.01, running=0.01, **KEYS) as emulator:
        emulator.script(*[faults.drop_answer()] * 8, operation=CREATE)
        requests = [ask("The same text.")] * 6 + asks(14)
        found = await results(colour, colour.client(base_url=emulator.url), requests)
        assert statuses(found) == ["done"] * 20
        assert len({result.unwrap().id for result in found}) == 20
        for result in by_index(found):
            assert (
                result.unwrap().messages[0].content == requests[result.index]["messages"][0].content
            )
        assert emulator.charges == 20
        assert len(asked_of(emulator, CREATE)) == 20


async def test_a_request_that_is_shown_never_to_have_arrived_is_sent_again(colour: Colour) -> None:
    with Emulator(pending=0.01, running=0.01, **KEYS) as emulator:
        emulator.tasks.add("Another's.", age=10_000)  # so far back does the list reach
        emulator.script(None, faults.reset(), None, faults.reset(), operation=CREATE)
        found = await results(colour, colour.client(base_url=emulator.url), asks(20))
        assert statuses(found) == ["done"] * 20
        assert emulator.charges == 20
        assert len(asked_of(emulator, CREATE)) == 22


async def test_a_task_that_the_list_tells_of_in_other_words_is_not_paid_for_again(
    colour: Colour, emulator: Emulator
) -> None:
    """A server may fill in what a request left out: then no task fits, and one is nobody's."""
    told = faults.merge({"config": {"temperature": 1.0}})
    emulator.fault_when = lambda operation, _: told if operation == LIST else None
    emulator.script(None, None, faults.drop_answer(), operation=CREATE)
    found = await results(colour, colour.client(base_url=emulator.url), asks(6))
    assert sorted(statuses(found)) == ["done"] * 5 + ["unknown"]
    assert emulator.charges == 6


async def test_a_request_is_sent_again_once_and_no_more(colour: Colour, emulator: Emulator) -> None:
    emulator.tasks.add("Another's.", age=10_000)  # so far back does the list reach
    emulator.fault_when = lambda operation, body: (
        faults.reset() if operation == CREATE and "Text 2." in str(body) else None
    )
    found = await results(colour, colour.client(base_url=emulator.url), asks(6))
    assert statuses(by_index(found)) == ["done"] * 2 + ["unknown"] + ["done"] * 3
    assert len(asked_of(emulator, CREATE)) == 7


async def test_a_request_may_arrive_for_some_time_after_its_answer_was_given_up(
    colour: Colour, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("creatify.batch._settle.ARRIVES_WITHIN", 1.0)
    emulator.tasks.add("Another's.", age=10_000)  # so far back does the list reach
    emulator.script(None, None, faults.silence(), operation=CREATE)
    client = colour.client(base_url=emulator.url, timeout=1.5)
    found = await results(colour, client, asks(6))
    assert statuses(found) == ["done"] * 6
    times = sorted(r.time for r in emulator.requests if r.operation == CREATE)
    assert len(times) == 7
    assert times[-1] - times[0] > 2.4


async def test_a_request_whose_outcome_stays_unknown_is_a_result_and_is_not_sent_again(
    colour: Colour,
) -> None:
    """The list is empty: it shows nothing, not even what is there."""
    with Emulator(pending=0.01, running=0.01, **KEYS) as emulator:

        def fault_when(operation: str, body: Any) -> faults.Fault | None:
            if operation == LIST:
                return faults.html(200)
            return faults.drop_answer() if operation == CREATE and "Text 3." in str(body) else None

        emulator.fault_when = fault_when
        found = await results(colour, colour.client(base_url=emulator.url), asks(6))
        assert statuses(found) == ["done"] * 3 + ["unknown"] + ["done"] * 2
        error = by_index(found)[3].error
        assert isinstance(error, OutcomeUnknownError)
        assert "could not be asked" in str(error)
        assert error.list_error is not None
        assert emulator.charges == 6
        assert len(asked_of(emulator, CREATE)) == 6


async def test_an_unknown_request_is_sent_again_if_that_is_asked_for(
    colour: Colour, emulator: Emulator
) -> None:
    lost = iter([faults.drop_answer()])

    def fault_when(operation: str, body: Any) -> faults.Fault | None:
        if operation == LIST:
            return faults.status(404)
        return next(lost, None) if operation == CREATE and "Text 3." in str(body) else None

    emulator.fault_when = fault_when
    client = colour.client(base_url=emulator.url)
    found = await results(colour, client, asks(6), resend_unknown=True)
    assert statuses(found) == ["done"] * 6
    assert emulator.charges == 7


async def test_more_tasks_than_lost_requests_are_nobodys(colour: Colour) -> None:
    with Emulator(pending=0.01, running=0.01, **KEYS) as emulator:

        def fault_when(operation: str, body: Any) -> faults.Fault | None:
            if operation == CREATE and "Text 1." in str(body):
                emulator.tasks.add("Text 1.")
                return faults.drop_answer()
            return None

        emulator.fault_when = fault_when
        found = by_index(await results(colour, colour.client(base_url=emulator.url), asks(3)))
        assert statuses(found) == ["done", "unknown", "done"]
        assert isinstance(found[1].error, OutcomeUnknownError)
        assert len(found[1].error.candidates) == 2
        assert "2 tasks that may be its own" in str(found[1].error)


async def test_a_task_that_takes_too_long_is_a_result_that_is_not_over(colour: Colour) -> None:
    with Emulator(pending=0.01, running=60, **KEYS) as emulator:
        client = colour.client(base_url=emulator.url)
        [result] = await results(colour, client, asks(1), timeout=0.3)
    assert result.status == "unfinished"
    assert isinstance(result.error, WaitTimeoutError)
    assert result.task is not None


async def test_credentials_that_end_while_tasks_run_leave_their_tasks_to_the_caller(
    colour: Colour,
) -> None:
    with Emulator(pending=0.01, running=60, **KEYS) as emulator:
        emulator.script(*[faults.status(401)] * 9, operation="sse_text_generator_retrieve")
        run = Run(colour, colour.client(base_url=emulator.url), asks(1))
        with pytest.raises(AuthenticationError):
            await run.to_end()
        [result] = run.results
        assert result.status == "unfinished"
        assert result.task is not None
        assert str(result.task.id) in emulator.tasks


async def test_an_error_of_the_callers_credentials_ends_the_batch_with_all_that_was_paid_for(
    colour: Colour, emulator: Emulator
) -> None:
    asked = 0

    def credentials() -> tuple[str, str]:
        nonlocal asked
        asked += 1
        if asked > 3:
            raise LookupError("the vault is sealed")
        return KEYS["api_id"], KEYS["api_key"]

    emulator.running = 60
    client = colour.client(
        base_url=emulator.url, credentials=credentials, api_id=None, api_key=None
    )
    run = Run(colour, client, asks(9), concurrency=2)
    with pytest.raises(LookupError, match="sealed"):
        await run.to_end()
    assert len(run.results) == emulator.charges
    assert {result.status for result in run.results} == {"unfinished"}
    assert all("sealed" in str(result.error) for result in run.results)


async def test_an_error_of_the_input_is_raised_when_all_before_it_is_delivered(
    colour: Colour, emulator: Emulator
) -> None:
    def requests() -> Iterator[Any]:
        yield from asks(5)
        raise LookupError("the disk is gone")

    run = Run(colour, colour.client(base_url=emulator.url), requests())
    with pytest.raises(LookupError):
        await run.to_end()
    assert statuses(run.results) == ["done"] * 5


async def test_progress_is_told_where_the_batch_is_iterated_over(
    colour: Colour, emulator: Emulator
) -> None:
    told: list[BatchProgress] = []
    threads = set()

    def on_progress(progress: BatchProgress) -> None:
        told.append(progress)
        threads.add(threading.current_thread())

    emulator.script(None, faults.drop_answer(), operation=CREATE)
    requests = [*asks(9), {"nothing": 0}]
    client = colour.client(base_url=emulator.url)
    run = Run(colour, client, requests, on_progress=on_progress, concurrency=3)
    assert run.batch.progress is None
    await run.to_end()
    last = run.progress
    assert last is not None
    assert (last.total, last.done, last.failed, last.unknown) == (10, 9, 1, 0)
    assert (last.in_flight, last.credits_used, last.resumed, last.remaining) == (0, 9.0, 0, 0.0)
    assert told[-1].done + told[-1].failed == 10
    # What is in doubt is under way too, and holds no other up.
    assert max(progress.in_flight for progress in told) in {3, 4}
    assert told[0].remaining is None
    assert any(progress.remaining for progress in told)
    assert len(threads) == 1


def test_the_total_of_a_generator_is_known_at_its_end(emulator: Emulator) -> None:
    with Creatify(base_url=emulator.url, **KEYS) as client:
        batch = Batch(client, iter(asks(5)), concurrency=1)
        totals = [batch.progress and batch.progress.total for _ in batch]
    assert totals[0] is None
    assert totals[-1] == 5


async def test_leaving_early_sends_no_more_and_leaves_nothing_running(colour: Colour) -> None:
    with Emulator(pending=0.01, running=0.01, **KEYS) as emulator:
        emulator.script(None, *[faults.delay(0.3)] * 20, operation=CREATE)
        before = threading.active_count()
        client = colour.client(base_url=emulator.url)
        run = Run(colour, client, asks(100), concurrency=4)
        if colour.is_sync:

            def leave() -> None:
                for _ in run.batch:
                    break

            await asyncio.to_thread(leave)
        else:
            tasks = asyncio.all_tasks()
            async for _ in run.batch:
                break
            await asyncio.sleep(0)  # an event loop ends a generator that was left in a task
            async with asyncio.timeout(5):
                while asyncio.all_tasks() - tasks:  # noqa: ASYNC110 - nobody tells when it has
                    await asyncio.sleep(0.01)
        assert not [t for t in threading.enumerate() if t.name == "creatify-batch"]
        assert threading.active_count() <= before + 1
        sent = len(asked_of(emulator, CREATE))
        assert sent <= 8
        await asyncio.sleep(0.2)
        assert len(asked_of(emulator, CREATE)) == sent


async def test_leaving_begins_nothing_that_was_not_under_way(
    colour: Colour, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = threading.Event()
    stop = Stop.set

    def set_and_tell(self: Stop) -> None:
        stop(self)
        left.set()

    def run_when_left(*args: Any) -> Any:
        assert left.wait(10)
        return run_flow(*args)

    # Its threads get the processor when the loop has been left; tasks get the event loop then.
    monkeypatch.setattr(Stop, "set", set_and_tell)
    monkeypatch.setattr("creatify.batch._workers.run", run_when_left)
    batch = Run(colour, colour.client(base_url=emulator.url), ["no request", *asks(9)]).batch
    if colour.is_sync:
        with contextlib.closing(iter(batch)) as found:
            first = await asyncio.to_thread(next, found)
    else:
        async with contextlib.aclosing(aiter(batch)) as found:
            first = await anext(found)
    assert first.status == "invalid"
    assert batch.progress.in_flight == 9
    assert emulator.requests == []


def test_a_thread_that_can_not_start_ends_the_batch_with_its_error(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, started = threading.Thread.start, 0

    def fourth_fails(thread: threading.Thread) -> None:
        nonlocal started
        started += thread.name == "creatify-batch"
        if started < 4 or thread.name != "creatify-batch":
            return start(thread)
        deadline = time.monotonic() + 10
        while len(asked_of(emulator, CREATE)) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.2)  # the others have nothing to do, and would take what there is
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fourth_fails)
    with (
        Creatify(base_url=emulator.url, **KEYS) as client,
        pytest.raises(RuntimeError, match="can't start new thread") as caught,
    ):
        list(Batch(client, [ask(model_name="none")] * 9))
    assert caught.value.__context__ is None
    assert len(asked_of(emulator, CREATE)) == 3
    assert not [thread for thread in threading.enumerate() if thread.name == "creatify-batch"]


def test_an_interrupt_while_a_thread_starts_ends_all_threads(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, started = threading.Thread.start, 0

    def interrupted(thread: threading.Thread) -> None:
        nonlocal started
        start(thread)
        started += thread.name == "creatify-batch"
        if started == 4:
            raise KeyboardInterrupt

    def consume() -> None:
        with Creatify(base_url=emulator.url, **KEYS) as client, pytest.raises(KeyboardInterrupt):
            list(Batch(client, asks(9)))

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    consuming = threading.Thread(target=consume, daemon=True)
    consuming.start()
    consuming.join(5)
    assert started == 4
    assert not consuming.is_alive()
    assert not [thread for thread in threading.enumerate() if thread.name == "creatify-batch"]


def test_leaving_ends_waits_at_once(emulator: Emulator) -> None:
    emulator.running = 0.0
    with Emulator(pending=0.01, running=30, **KEYS) as slow:
        slow.tasks.clear()
        with Creatify(base_url=slow.url, **KEYS) as client:
            batch = iter(Batch(client, [{"bad": 1}, *asks(3)]))
            next(batch)
            while slow.charges < 3:
                time.sleep(0.01)
            began = time.monotonic()
            batch.close()
            assert time.monotonic() - began < 2


@pytest.mark.parametrize("has_journal", [False, True])
async def test_what_was_paid_for_when_a_batch_breaks_off_is_named_where_no_journal_has_it(
    colour: Colour,
    emulator: Emulator,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    *,
    has_journal: bool,
) -> None:
    emulator.running = 0.05

    def on_progress(progress: BatchProgress) -> None:
        if progress.done == 2:
            raise LookupError("a defect of the caller's")

    client = colour.client(base_url=emulator.url)
    journal = tmp_path / "journal" if has_journal else None
    run = Run(colour, client, asks(20), on_progress=on_progress, concurrency=4, journal=journal)
    with pytest.raises(LookupError) as caught:
        await run.to_end()
    delivered = {str(result.task.id) for result in run.results if result.task}
    assert len(delivered) == 2
    notes = getattr(caught.value, "__notes__", [])
    told = [record.getMessage() for record in caplog.records if "paid for" in record.msg]
    if has_journal:
        assert (notes, told) == ([], [])
    else:
        assert notes == told
        said, _, ids = notes[0].partition(": ")
        assert set(ids.split()) == emulator.tasks.keys() - delivered
        assert said == f"{len(ids.split())} tasks of this batch were paid for and not delivered"


@pytest.mark.parametrize("colour", ["async"], indirect=True)
async def test_a_cancelled_batch_ends_and_what_was_being_sent_gets_its_answer(
    colour: Colour, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    with Emulator(pending=0.01, running=30, **KEYS) as emulator:
        emulator.script(*[faults.delay(0.5)] * 4, operation=CREATE)
        client = colour.client(base_url=emulator.url)
        run = Run(colour, client, asks(50), concurrency=4, journal=journal)
        tasks = asyncio.all_tasks()
        running = asyncio.create_task(run.to_end())
        await asyncio.sleep(0.25)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert asyncio.all_tasks() == tasks
    lines = [json.loads(line) for line in journal.read_bytes().splitlines()[1:]]
    assert sorted(line["index"] for line in lines if "intent" in line) == [0, 1, 2, 3]
    assert sorted(line["index"] for line in lines if "id" in line) == [0, 1, 2, 3]


async def test_a_cancellation_is_not_lost_in_the_tick_that_brings_news() -> None:
    client = AsyncCreatify(base_url="http://127.0.0.1:9", **KEYS)
    async with client, Tasks(client._connection) as workers:
        taking = asyncio.create_task(workers.take(9.0))
        for _ in range(5):
            await asyncio.sleep(0)  # it waits
        workers._has_news.set()
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking


@pytest.mark.parametrize("colour", ["async"], indirect=True)
async def test_a_batch_that_is_cancelled_when_a_result_is_there_ends_with_that(
    colour: Colour, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = Tasks._ended
    took = 0

    def end_and_cancel(self: Tasks, *args: Any) -> None:
        nonlocal took
        ended(self, *args)
        took += 1
        if took == 2:
            running.cancel()

    monkeypatch.setattr(Tasks, "_ended", end_and_cancel)
    run = Run(colour, colour.client(base_url=emulator.url), asks(20), concurrency=1)
    running = asyncio.create_task(run.to_end())
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [result.index for result in run.results] == [0]
    assert emulator.charges == 2


@pytest.mark.parametrize("colour", ["async"], indirect=True)
async def test_a_job_that_somebody_cancels_ends_the_batch_with_an_error(
    colour: Colour, emulator: Emulator
) -> None:
    emulator.script(*[faults.delay(0.3)] * 3, operation=CREATE)
    run = Run(colour, colour.client(base_url=emulator.url), asks(30), concurrency=3)
    before = asyncio.all_tasks()
    running = asyncio.create_task(run.to_end())
    while len(asked_of(emulator, CREATE)) < 3:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)
    jobs = asyncio.all_tasks() - before - {running}
    assert len(jobs) == 3
    jobs.pop().cancel()
    with pytest.raises(CreatifyError, match="was cancelled, and not the batch"):
        await asyncio.wait_for(running, 5)
    assert asyncio.all_tasks() == before
    assert statuses(run.results) == ["done"] * 2
    assert len(asked_of(emulator, CREATE)) == 3


async def test_a_journal_on_a_slow_disk_holds_up_no_thread_of_the_event_loops(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_spinning, writers, fsync = threading.Event(), set(), os.fsync

    def slow(file: int) -> None:
        if threading.current_thread() is not threading.main_thread():  # which opens it
            writers.add(threading.current_thread().name)
            assert is_spinning.wait(10)
        fsync(file)

    monkeypatch.setattr("creatify.batch._journal.os.fsync", slow)
    async with AsyncCreatify(base_url=emulator.url, **KEYS) as client:
        batch = AsyncBatch(client, asks(60), journal=tmp_path / "journal", concurrency=60)

        async def consume() -> list[str]:
            return [result.status async for result in batch]

        running = asyncio.create_task(consume())
        try:
            while not writers:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
            own = await asyncio.wait_for(asyncio.to_thread(threading.current_thread), 3)
        finally:
            is_spinning.set()
        assert await running == ["done"] * 60
    assert {name.rpartition("_")[0] for name in writers} == {"creatify-journal"}
    assert own.name not in writers


@pytest.mark.parametrize("colour", ["async"], indirect=True)
async def test_a_cancelled_batch_does_not_wait_for_ever(
    colour: Colour, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("creatify.batch._workers.GRACE", 0.1)
    emulator.script(*[faults.silence()] * 4, operation=CREATE)
    run = Run(colour, colour.client(base_url=emulator.url), asks(4))
    running = asyncio.create_task(run.to_end())
    await asyncio.sleep(0.2)
    running.cancel()
    began = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    "options",
    [
        {"concurrency": 0},
        {"concurrency": True},
        {"concurrency": 1.5},
        {"max_credits": 0},
        {"max_credits": "1"},
        {"max_credits": float("nan")},
        {"credits_each": True},
        {"credits_each": float("inf")},
        {"timeout": 0},
        {"on_progress": 7},
    ],
)
@pytest.mark.parametrize("kind", [Batch, AsyncBatch])
def test_options_that_can_not_be_are_refused_at_once(kind: Any, options: Any) -> None:
    with Creatify(**KEYS) as client, pytest.raises(ConfigurationError):
        kind(client, [], **options)


@pytest.mark.parametrize("requests", [ask(), "in.jsonl", b"in.jsonl", 7, None])
def test_one_request_or_a_path_is_no_batch(requests: Any) -> None:
    with Creatify(**KEYS) as client, pytest.raises(InvalidRequestError, match="several requests"):
        Batch(client, requests)


def test_a_client_of_the_other_colour_is_refused_before_anything_is_sent(
    emulator: Emulator,
) -> None:
    client: Any = AsyncCreatify(base_url=emulator.url, **KEYS)
    with pytest.raises(ConfigurationError, match="Batch takes a Creatify, and not AsyncCreatify"):
        Batch(client, asks(1))


def test_a_batch_is_iterated_over_once(emulator: Emulator) -> None:
    with Creatify(base_url=emulator.url, **KEYS) as client:
        batch = Batch(client, asks(1))
        assert len(list(batch)) == 1
        with pytest.raises(ConfigurationError, match="once"):
            list(batch)


def test_no_requests_are_no_results(emulator: Emulator) -> None:
    with Creatify(base_url=emulator.url, **KEYS) as client:
        assert list(Batch(client, [])) == []


def test_a_jsonl_file_is_read_line_by_line(tmp_path: Path, emulator: Emulator) -> None:
    path = tmp_path / "in.jsonl"
    plain = {"model_name": "gemini-2.5-flash", "messages": [{"role": "user", "content": "é\u2028"}]}
    lines = [
        json.dumps(plain, ensure_ascii=False),
        "",
        "{broken",
        json.dumps({"key": "k", "request": plain}),
        "7",
    ]
    path.write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8")
    requests = read_jsonl(path)
    assert len(requests) == 4  # type: ignore[arg-type]  # of a file it has a length
    with Creatify(base_url=emulator.url, **KEYS) as client:
        found = by_index(Batch(client, requests))
        again = list(Batch(client, read_jsonl(io.StringIO(lines[0]))))
    assert statuses(found) == ["done", "invalid", "done", "invalid"]
    assert found[2].key == "k"
    assert "line 3 is no JSON" in str(found[1].error)
    assert found[0].unwrap().messages[0].content == "é\u2028"
    assert statuses(again) == ["done"]


def test_a_jsonl_file_that_is_not_there_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match=r"in\.jsonl can't be read: No such file"):
        read_jsonl(tmp_path / "in.jsonl")


def test_a_budget_error_says_how_far_it_got(emulator: Emulator) -> None:
    with Creatify(base_url=emulator.url, **KEYS) as client:
        batch = Batch(client, asks(9), max_credits=4.0)
        found = []
        with pytest.raises(BatchBudgetError, match="4 of max_credits=4 are spent") as caught:
            found += list(batch)
        assert caught.value.progress.done == 4


def test_the_guides_examples_run(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CREATIFY_BASE_URL", emulator.url)
    monkeypatch.setenv("CREATIFY_API_ID", emulator.api_id)
    monkeypatch.setenv("CREATIFY_API_KEY", emulator.api_key)
    blocks = re.findall(r"```python\n(.*?)```", str(batch_module.__doc__), re.DOTALL)
    namespace: dict[str, Any] = {}
    for block in blocks:
        exec(block, namespace)
    namespace["client"].close()
    assert emulator.charges == 5
    assert "2 of max_credits=2.5 are spent" in capsys.readouterr().out


def test_both_colours_are_the_same() -> None:
    sync, asynchronous = Batch, AsyncBatch
    assert inspect.signature(sync.__init__).parameters.keys() == (
        inspect.signature(asynchronous.__init__).parameters.keys()
    )
    assert sync.__doc__ == asynchronous.__doc__
    assert batch_module.__all__ == sorted(batch_module.__all__)
    for name in batch_module.__all__:
        assert getattr(batch_module, name).__doc__


async def test_credentials_that_fail_before_a_request_is_sent_end_the_batch(
    colour: Colour, emulator: Emulator
) -> None:
    def credentials() -> tuple[str, str]:
        raise LookupError("the vault is sealed")

    client = colour.client(
        base_url=emulator.url, credentials=credentials, api_id=None, api_key=None
    )
    run = Run(colour, client, asks(3))
    with pytest.raises(LookupError, match="sealed"):
        await run.to_end()
    assert run.results == []


@pytest.mark.parametrize("failure", [LookupError("sealed"), SystemExit("sealed")])
def test_credentials_that_fail_when_the_list_is_asked_leave_an_unknown_outcome(
    failure: BaseException,
) -> None:
    with Emulator(pending=0.01, running=0.01, **KEYS) as emulator:
        emulator.script(faults.drop_answer(), operation=CREATE)

        def credentials() -> tuple[str, str]:
            if emulator.charges:
                raise failure
            return KEYS["api_id"], KEYS["api_key"]

        with Creatify(base_url=emulator.url, credentials=credentials) as client:
            found = []
            with contextlib.suppress(SystemExit):
                found += list(Batch(client, asks(1)))
        if isinstance(failure, LookupError):
            [result] = found
            assert "sealed" in str(result.error)
            assert result.status == "unknown"


async def test_a_batch_that_is_left_in_doubt_leaves_no_call_open(colour: Colour) -> None:
    with Emulator(pending=0.01, running=0.01, **KEYS) as emulator:
        emulator.script(faults.reset(), operation=CREATE)
        client = colour.client(base_url=emulator.url)
        run = Run(colour, client, asks(9), concurrency=2)

        def stop(progress: BatchProgress) -> None:
            if progress.done > 3:
                raise InterruptedError

        run.batch._on_progress = stop
        with pytest.raises(InterruptedError):
            await run.to_end()
        target = client._target if colour.is_sync else client
        assert target._connection.ledger._entries() == []


async def test_a_task_in_the_list_may_yet_be_that_of_an_identical_call_under_way(
    colour: Colour, emulator: Emulator
) -> None:
    """The call beside the batch has its answer late: the batch must not take its task."""

    def fault_when(operation: str, body: Any) -> faults.Fault | None:
        if operation == CREATE and body.get("sync"):
            return faults.delay(1.0, acted=True)
        return None

    emulator.tasks.add("Another's.", age=10_000)  # so far back does the list reach
    emulator.fault_when = fault_when
    client = colour.client(base_url=emulator.url)
    beside = asyncio.create_task(
        client.text_generator.create(
            model_name="gemini-2.5-flash", messages=[user("Text 0.")], sync=True
        )
    )
    await asyncio.sleep(0.2)
    emulator.script(faults.reset(), operation=CREATE)
    found = await results(colour, client, asks(4), concurrency=1)
    assert statuses(found) == ["done"] * 4
    assert (await beside).id not in {result.unwrap().id for result in found}
    assert emulator.charges == 5


async def test_no_task_is_taken_while_an_identical_call_stays_under_way(
    colour: Colour, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("creatify.batch._settle._TICKS", 2)

    def fault_when(operation: str, body: Any) -> faults.Fault | None:
        if operation == CREATE and body.get("sync"):
            return faults.delay(3.0, acted=True)
        return faults.drop_answer() if operation == CREATE else None

    emulator.tasks.add("Another's.", age=10_000)  # so far back does the list reach
    emulator.fault_when = fault_when
    client = colour.client(base_url=emulator.url)
    beside = asyncio.create_task(
        client.text_generator.create(
            model_name="gemini-2.5-flash", messages=[user("Text 0.")], sync=True
        )
    )
    await asyncio.sleep(0.2)
    [result] = await results(colour, client, asks(1))
    assert not beside.done()
    assert result.status == "unknown"
    assert isinstance(result.error, OutcomeUnknownError)
    assert str((await beside).id) in emulator.tasks
    assert emulator.charges == 2


async def test_a_list_without_any_task_of_the_batch_shows_nothing(
    colour: Colour, emulator: Emulator
) -> None:
    emulator.script(faults.reset(), operation=CREATE)
    [result] = await results(colour, colour.client(base_url=emulator.url), asks(1))
    assert result.status == "unknown"
    assert "nor shows that it would" in str(result.error)
    assert len(asked_of(emulator, CREATE)) == 1
