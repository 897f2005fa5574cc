"""Which paid calls are under way, and which task is whose: no two calls are given the same one."""

from __future__ import annotations

import copy
import gc
import json
import math
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from creatify import (
    APIConnectionError,
    AsyncCreatify,
    Creatify,
    CreatifyError,
    OutcomeUnknownError,
    user,
)
from creatify._flow import Send
from creatify._generation import create
from creatify._ledger import Entry, Ledger, ledger_of, shared_fields
from creatify._options import Options
from creatify._schedule import Schedule
from creatify_api.models import TextGenConfig, TextGenRequest, TextGenResponse

NOW = math.inf

if TYPE_CHECKING:
    from creatify._operations import Call, Steps


def asking(text: str = "Hello", **fields: Any) -> TextGenRequest:
    return TextGenRequest(model_name="m", messages=[user(text)], **fields)


def task_of(request: TextGenRequest, created_at: datetime | None = None) -> dict[str, Any]:
    moment = (created_at or datetime.now(UTC)).isoformat()
    return {
        "id": str(uuid4()),
        "config": {},
        "response_function_calls": [],
        "created_at": moment,
        "updated_at": moment,
        **request.to_dict(),
    }


def made(request: TextGenRequest) -> TextGenResponse:
    return TextGenResponse.from_dict(task_of(request))


def begun(ledger: Ledger, request: TextGenRequest) -> Entry:
    return ledger.begin(request, json.dumps(request.to_dict()).encode())


def lost(ledger: Ledger, request: TextGenRequest) -> Entry:
    entry = begun(ledger, request)
    entry.is_lost = True
    return entry


def test_a_lost_call_gets_the_only_candidate() -> None:
    ledger = Ledger()
    entry, task = lost(ledger, asking()), made(asking())
    assert ledger.claim(entry, [task], NOW) == (task, [task])


def test_a_task_that_was_given_is_no_candidate() -> None:
    ledger = Ledger()
    entry, task, other = lost(ledger, asking()), made(asking()), made(asking())
    begun(ledger, asking()).end(other.id)
    assert ledger.claim(entry, [other, task], NOW) == (task, [task])
    entry.end()
    assert ledger.claim(lost(ledger, asking()), [other, task], NOW) == (None, [])


def test_identical_calls_that_were_lost_share_the_candidates_one_each() -> None:
    ledger = Ledger()
    first, second, stranger = (lost(ledger, asking(text)) for text in ("Hello", "Hello", "Bye"))
    tasks = [made(asking()), made(asking())]
    assert ledger.claim(second, tasks, NOW)[0] == tasks[0]
    assert ledger.claim(first, tasks, NOW)[0] == tasks[1]
    assert ledger.claim(stranger, [], NOW) == (None, [])


def test_of_more_candidates_than_lost_calls_none_is_given() -> None:
    ledger = Ledger()
    entry, tasks = lost(ledger, asking()), [made(asking()), made(asking())]
    _under_way, _other = begun(ledger, asking()), lost(ledger, asking("Bye"))
    assert ledger.claim(entry, tasks, NOW) == (None, tasks)


def test_a_call_that_got_its_task_has_no_share_in_the_others() -> None:
    ledger = Ledger()
    first, tasks = lost(ledger, asking()), [made(asking()) for _ in range(3)]
    assert ledger.claim(first, tasks[:1], NOW)[0] == tasks[0]
    assert ledger.claim(lost(ledger, asking()), tasks, NOW) == (None, tasks[1:])


def test_where_a_task_may_be_that_of_a_stream_that_was_left_none_is_given() -> None:
    now = 100.0
    ledger = Ledger(lambda: now)
    left, stranger, task = begun(ledger, asking()), begun(ledger, asking("Bye")), made(asking())
    for stream in (left, stranger):
        stream.is_heard = True
    stranger.end()
    entry = lost(ledger, asking())
    assert ledger.claim(entry, [task], NOW) == (task, [task])
    left.end()
    left.end()
    other = made(asking())
    entry = lost(ledger, asking())
    assert ledger.claim(entry, [other], NOW) == (None, [other])
    entry.end()
    now += 70.0  # its task is too old by now
    assert ledger.claim(lost(ledger, asking()), [other], NOW) == (other, [other])


def test_a_stream_whose_task_is_known_leaves_no_doubt() -> None:
    ledger = Ledger()
    named, found = begun(ledger, asking()), lost(ledger, asking())
    named.is_heard = found.is_heard = True
    task, other = made(asking()), made(asking())
    ledger.claim(found, [task], NOW)
    named.end(uuid4())
    for stream in (named, found):
        stream.end()
    assert ledger.claim(lost(ledger, asking()), [other], NOW) == (other, [other])


def test_rivals_are_the_other_identical_calls_that_are_under_way() -> None:
    ledger = Ledger()
    own, rival, gone = begun(ledger, asking()), begun(ledger, asking()), begun(ledger, asking())
    _another, _lost = begun(ledger, asking("Bye")), lost(ledger, asking())
    gone.end()
    assert ledger.rivals(own) == [rival]
    settled = [rival.is_settled]
    rival.is_lost = True
    settled.append(rival.is_settled)
    assert settled == [False, True]
    assert gone.is_settled


def test_a_call_that_nobody_holds_any_more_is_over() -> None:
    ledger = Ledger()
    own, dropped = begun(ledger, asking()), begun(ledger, asking())
    assert ledger.rivals(own) == [dropped]
    del dropped
    gc.collect()
    assert ledger.rivals(own) == []


def test_the_last_tasks_that_were_given_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("creatify._ledger.REMEMBERED", 2)
    ledger, tasks = Ledger(), [made(asking()) for _ in range(4)]
    for task in tasks:
        begun(ledger, asking()).end(task.id)
    entry = lost(ledger, asking())
    assert ledger.claim(entry, tasks[2:], NOW) == (None, [])
    assert ledger.free(tasks) == tasks[:2]
    assert len(ledger._given) == len(ledger._order) == 2


def test_a_call_that_began_after_the_list_was_asked_has_no_share_in_it() -> None:
    ledger, tasks = Ledger(), [made(asking()), made(asking())]
    early = lost(ledger, asking())
    late = lost(ledger, asking())
    assert ledger.claim(early, tasks, (early.started + late.started) / 2) == (None, tasks)
    assert ledger.claim(early, tasks, late.started)[0] == tasks[0]


def test_the_garbage_collector_may_end_a_call_within_the_ledgers_own_lock() -> None:
    """It runs at any allocation; a dropped stream ends its call then."""
    ledger = Ledger()
    entry = begun(ledger, asking())
    done = threading.Event()

    def end() -> None:
        with ledger._lock:
            entry.end(made(asking()).id)
        done.set()

    threading.Thread(target=end, daemon=True).start()
    assert done.wait(5)


def test_what_was_sent_is_what_its_task_is_known_by() -> None:
    """And not what the caller made of the request meanwhile."""
    ledger, request = Ledger(), asking()
    entry = begun(ledger, request)
    request.messages.append(user("More"))
    assert entry.asked == shared_fields(task_of(asking()))


def test_there_is_one_ledger_for_an_account_of_an_api() -> None:
    assert ledger_of("https://a", 1) is ledger_of("https://a", 1)
    assert ledger_of("https://a", 1) is not ledger_of("https://b", 1)
    assert ledger_of("https://a", 1) is not ledger_of("https://a", 2)


def test_an_account_is_known_by_its_api_id_or_by_the_callable_that_gives_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def credentials() -> tuple[str, str]:
        return "id", "key"

    monkeypatch.setenv("CREATIFY_API_ID", "id")
    monkeypatch.setenv("CREATIFY_API_KEY", "another key")
    same: list[Any] = [Creatify(api_id="id", api_key="key"), AsyncCreatify(), Creatify()]
    other: list[Any] = [Creatify(api_id="other", api_key="key"), Creatify(credentials=credentials)]
    ledgers = [client._connection.ledger for client in [*same, *other]]
    assert len({id(ledger) for ledger in ledgers[:3]}) == 1
    assert len({id(ledger) for ledger in ledgers}) == 3
    again = Creatify(credentials=credentials)._connection.ledger
    assert again is ledgers[-1]


@pytest.mark.parametrize(
    "echo",
    [
        {"system_instruction": ""},
        {"system_instruction": None, "config": None},
        {"config": {"temperature": None, "stop_sequences": []}},
        {"messages": [{"role": "user", "content": " Hello\n", "function_call": None}]},
        {"status": "done", "response_text": "Hi", "failed_reason": None},
    ],
)
def test_a_server_may_write_what_is_absent_as_it_likes(echo: dict[str, Any]) -> None:
    request = asking(sync=True, webhook_url="https://example.com")
    assert shared_fields(task_of(request) | echo) == shared_fields(request.to_dict())


@pytest.mark.parametrize(
    "other",
    [
        asking("hello"),
        asking(system_instruction="Be brief."),
        asking(config=TextGenConfig(temperature=0.0)),
        TextGenRequest(model_name="n", messages=[user("Hello")]),
        TextGenRequest(model_name="m", messages=[user("Hello"), user("Hello")]),
    ],
)
def test_another_request_has_another_task(other: TextGenRequest) -> None:
    assert shared_fields(task_of(other)) != shared_fields(asking().to_dict())


@pytest.mark.parametrize("nothing", [None, [], "text", 5])
def test_what_is_no_task_is_nobodys(nothing: Any) -> None:
    assert shared_fields(nothing) != shared_fields(asking().to_dict())


def test_threads_that_claim_at_once_get_different_tasks() -> None:
    ledger, tasks = Ledger(), [made(asking()) for _ in range(16)]
    entries = [lost(ledger, asking()) for _ in tasks]
    got: list[TextGenResponse | None] = []
    barrier = threading.Barrier(len(entries))

    def claim(entry: Entry) -> None:
        barrier.wait()
        got.append(ledger.claim(entry, tasks, NOW)[0])

    threads = [threading.Thread(target=claim, args=(entry,)) for entry in entries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {task.id for task in got if task} == {task.id for task in tasks}


@dataclass
class World:
    """An API, its clock, and calls to it that a schedule moves on one step at a time."""

    outcomes: list[str]
    now: float = 0.0
    tasks: list[dict[str, Any]] = field(default_factory=list)
    created: int = 0

    def moment(self) -> datetime:
        return datetime(2026, 11, 21, tzinfo=UTC) + timedelta(seconds=self.now)

    def answer(self, call: Call) -> httpx.Response | APIConnectionError:
        headers = {"Date": format_datetime(self.moment(), usegmt=True)}
        if call.method == "GET":
            return httpx.Response(200, json=copy.deepcopy(self.tasks), headers=headers)
        outcome = self.outcomes.pop(0)
        if outcome == "refused":
            return httpx.Response(400, headers=headers)
        if outcome != "lost before":
            self.tasks.append(task_of(asking(), self.moment()))
            self.created += 1
        if outcome == "created":
            return httpx.Response(201, json=self.tasks[-1], headers=headers)
        return APIConnectionError("lost", request_sent=True)


class Caller:
    """One create; the API acts in one step, and its answer arrives in a later one."""

    def __init__(self, world: World, ledger: Ledger) -> None:
        self.result: TextGenResponse | CreatifyError | None = None
        self._world = world
        self._flow: Steps[TextGenResponse] = create(
            asking(), Options(max_retries=0), ledger, Schedule(), clock=lambda: world.now
        )
        self._resume: Any = lambda: next(self._flow)
        self._step: Any = None

    def move(self) -> None:
        self._world.now += 0.01
        if self.result is not None:
            return
        if isinstance(self._step, Send):
            met = self._world.answer(self._step.request)
            self._step = None
            self._resume = (
                (lambda: self._flow.throw(met))
                if isinstance(met, APIConnectionError)
                else (lambda: self._flow.send(met))
            )
            return
        try:
            self._step = self._resume()
            self._resume = lambda: self._flow.send(None)  # type: ignore[arg-type]  # after a Sleep
        except StopIteration as end:
            self.result = end.value
        except CreatifyError as error:
            self.result = error


OUTCOMES = ["created", "lost after", "lost before", "refused"]


@pytest.mark.unmeasured
@given(
    outcomes=st.lists(st.sampled_from(OUTCOMES), min_size=1, max_size=6),
    schedule=st.lists(st.tuples(st.integers(0, 5), st.integers(1, 9)), max_size=20),
)
@settings(max_examples=300)
def test_however_identical_calls_interleave_no_task_is_given_twice_and_none_is_lost(
    outcomes: list[str], schedule: list[tuple[int, int]]
) -> None:
    world = World(list(outcomes))
    ledger = Ledger(clock=lambda: world.now)
    callers = [Caller(world, ledger) for _ in outcomes]
    for index, steps in schedule:
        for _ in range(steps):
            callers[index % len(callers)].move()
    for _ in range(1000):
        for caller in callers:
            caller.move()
    given_ids = [
        caller.result.id for caller in callers if isinstance(caller.result, TextGenResponse)
    ]
    assert all(caller.result is not None for caller in callers)
    assert len(set(given_ids)) == len(given_ids)
    assert set(given_ids) == {UUID(task["id"]) for task in world.tasks}
    unknown = [c.result for c in callers if isinstance(c.result, OutcomeUnknownError)]
    assert len(unknown) == outcomes.count("lost before")
    assert ledger._entries() == []


def test_what_is_no_id_was_given_to_nobody() -> None:
    ledger, task_id = Ledger(), uuid4()
    assert not ledger.is_given(str(task_id))
    ledger.give(task_id)
    assert ledger.is_given(str(task_id))
    assert not ledger.is_given("no id")
