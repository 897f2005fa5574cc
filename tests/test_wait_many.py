"""Waiting for many: all waits of a client share their looks, and each sees its own task in time."""

from __future__ import annotations

import asyncio
import gc
import json
import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation import Simulation, task, task_id

from creatify import (
    APIConnectionError,
    AsyncCreatify,
    AuthenticationError,
    ConfigurationError,
    Creatify,
    InternalServerError,
    InvalidRequestError,
    NotFoundError,
    PollPolicy,
    TaskFailedError,
    WaitTimeoutError,
    user,
)
from creatify._awaited import Awaited, WaitOptions
from creatify._flow import Sleep, Wake
from creatify._options import Options
from creatify._schedule import Schedule
from creatify._wait import Completed, wait, wait_all
from creatify_api.models import TextGenResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from colours import Colour
    from rawserver import Exchange, RawServer, Script

    from creatify._connection import Connection
    from creatify._operations import Steps
    from creatify.testing import Emulator

HELLO: dict[str, Any] = {"model_name": "gemini-2.5-flash", "messages": [user("Hello")]}
OPTIONS = Options()
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


def running(number: int) -> TextGenResponse:
    return TextGenResponse.from_dict(task(number))


def all_of(world: Simulation, *given: Any, timeout: float = 600.0) -> Any:
    """What `wait_all` makes of the tasks of a world."""
    waits, schedule = WaitOptions(timeout), Schedule(world.clock)
    tasks = given[0] if given else map(running, range(len(world.ends)))
    return world.only(wait_all(tasks, waits, OPTIONS, schedule, world.clock))


class Collector:
    """Takes what `as_completed` gives, and when."""

    def __init__(self, world: Simulation, timeout: float = 600.0) -> None:
        self.seen: dict[int, float] = {}
        self.tasks: list[TextGenResponse] = []
        self.error: BaseException | None = None
        tasks = [running(number) for number in range(len(world.ends))]
        numbers = {task_id(number): number for number in range(len(world.ends))}
        schedule = Schedule(world.clock)
        completed = Completed(tasks, WaitOptions(timeout), OPTIONS, lambda: schedule, world.clock)

        def steps() -> Steps[None]:
            while (found := (yield from completed.next())) is not None:
                self.tasks.append(found)
                self.seen[numbers[found.id]] = world.now

        self.error = world.run(steps())[0].result
        self.late = sorted(at - world.ends[number] for number, at in self.seen.items())


class TestCost:
    def ends(self) -> list[float]:
        dice = random.Random(7)
        return [dice.uniform(0, 20) for _ in range(100)]

    def test_a_hundred_tasks_with_a_short_history_cost_half_a_request_each(self) -> None:
        world = Simulation(self.ends())
        collected = Collector(world)
        assert len(collected.seen) == 100
        assert len(world.sent) <= 50
        assert collected.late[94] <= 0.7

    def test_the_same_among_10_000_old_tasks_is_looked_at_one_by_one(self) -> None:
        world = Simulation(self.ends(), history=10_000)
        collected = Collector(world)
        assert len(collected.seen) == 100
        assert len(world.sent) <= 1200
        assert world.bytes <= 100 * 15_000
        assert collected.late[94] <= 1.5
        assert Counter(what == "list" for _, what in world.sent)[True] == 1

    def test_two_of_them_are_seen_as_soon_as_one_is(self) -> None:
        collected = Collector(Simulation([3.0, 9.0]))
        assert all(late <= 0.25 * 9 for late in collected.late)

    def test_the_last_one_that_takes_long_is_looked_at_ever_less(self) -> None:
        world = Simulation([0.1, 0.2, 300.0])
        collected = Collector(world)
        assert len(world.sent) < 60
        assert collected.late[-1] <= 10

    @pytest.mark.unmeasured
    def test_waits_for_one_task_each_share_their_looks(self) -> None:
        world = Simulation(self.ends())
        schedule = Schedule(world.clock)
        flows = [
            wait(running(number), WaitOptions(60), OPTIONS, schedule, world.clock)
            for number in range(100)
        ]
        ran = world.run(*flows)
        assert [one.result.id for one in ran] == [task_id(number) for number in range(100)]
        assert len(world.sent) <= 60
        late = sorted((one.ended_at or 0) - end for one, end in zip(ran, world.ends, strict=True))
        assert late[94] <= 0.7

    def test_one_that_is_due_soon_is_looked_at_along_with_one_that_is_due(self) -> None:
        world = Simulation([50.0, 50.0], history=20_000)
        schedule = Schedule(world.clock)

        def begun_later(number: int) -> Steps[TextGenResponse]:
            yield Sleep(number * 0.3)
            waits = WaitOptions(60)
            return (yield from wait(running(number), waits, OPTIONS, schedule, world.clock))

        world.run(begun_later(0), begun_later(1))
        first, second = ([at for at, what in world.sent if what == str(task_id(n))] for n in (0, 1))
        together = [at for at in second if min(abs(at - other) for other in first) < 0.01]
        assert len(together) > len(second) * 0.8

    def test_news_of_a_task_wake_its_wait_though_another_looked(self) -> None:
        world = Simulation([4.0, 40.0])
        schedule = Schedule(world.clock)
        slow = PollPolicy(minimum=8, maximum=9)
        flows = [
            wait(running(0), WaitOptions(60, slow), OPTIONS, schedule, world.clock),
            wait(running(1), WaitOptions(60), OPTIONS, schedule, world.clock),
            wait(running(1), WaitOptions(60), OPTIONS, schedule, world.clock),
            wait(task_id(1), WaitOptions(60), OPTIONS, schedule, world.clock),
        ]
        world.answer = lambda what: (
            world.said(what) if what == "list" or world.now < 1 else (405, {}, {})
        )
        ran = world.run(*flows)
        assert (ran[0].ended_at or 0) < 7

    def test_a_task_that_two_wait_for_is_looked_at_once(self) -> None:
        world = Simulation([5.0])
        schedule = Schedule(world.clock)
        flows = [
            wait(running(0), WaitOptions(60), OPTIONS, schedule, world.clock) for _ in range(2)
        ]
        alone = Simulation([5.0])
        alone.only(wait(running(0), WaitOptions(60), OPTIONS, Schedule(alone.clock), alone.clock))
        assert [one.result.status for one in world.run(*flows)] == ["done"] * 2
        assert len(world.sent) <= len(alone.sent) + 3


@pytest.mark.unmeasured
@given(
    ends=st.lists(st.floats(0, 40), min_size=1, max_size=12),
    history=st.sampled_from([0, 50, 5000]),
    faults=st.lists(st.sampled_from(["", "500", "lost", "cut", "absent"]), max_size=30),
    alone=st.booleans(),
)
@settings(max_examples=60)
def test_whatever_fails_meanwhile_each_wait_gets_its_own_task(
    ends: list[float], history: int, faults: list[str], *, alone: bool
) -> None:
    world = Simulation(ends, history)
    left = list(faults)

    def answer(what: str) -> Any:
        match left.pop() if left else "":
            case "500":
                return 500, {}, {"error": "no"}
            case "lost":
                return APIConnectionError("lost", request_sent=True)
            case "cut" if what == "list":
                return world.said("list")[:1]
            case "absent" if what != "list" and world.now < 4:
                return 404, {}, {"error": "no"}
        return world.said(what)

    world.answer = answer
    ids = [task_id(number) for number in range(len(ends))]
    if alone:
        schedule, waits = Schedule(world.clock), WaitOptions(600)
        flows = [wait(one, waits, OPTIONS, schedule, world.clock) for one in ids]
        found = [one.result for one in world.run(*flows)]
    else:
        found = all_of(world, ids)
    assert [one.id for one in found] == ids
    assert {one.status for one in found} == {"done"}


class TestFaults:
    def test_a_list_that_is_cut_leaves_the_others_to_be_looked_at_one_by_one(self) -> None:
        world = Simulation([10.0] * 12 + [30.0] * 8)
        world.answer = lambda what: world.said(what)[:12] if what == "list" else world.said(what)
        assert len(all_of(world)) == 20
        assert "list" not in [what for at, what in world.sent if at > 12]
        looked_at = Counter(what for _, what in world.sent)
        assert looked_at["list"] > 5
        assert all(looked_at[str(task_id(number))] > 3 for number in range(12, 20))
        assert sum(looked_at[str(task_id(number))] for number in range(12)) <= 2

    def test_a_list_that_fails_again_is_left_alone_for_some_time_and_no_task_is(self) -> None:
        world = Simulation([60.0] * 10)
        failing: list[float] = []

        def answer(what: str) -> Any:
            if what == "list" and world.now < 15:
                failing.append(world.now)
                return 500, {}, {"error": "no"}
            return world.said(what)

        world.answer = answer
        assert len(all_of(world)) == 10
        assert len(failing) == 2
        assert "list" in [what for at, what in world.sent if at > 35]

    @pytest.mark.unmeasured
    @pytest.mark.parametrize(
        "failure",
        [
            (500, {}, {}),
            (502, {}, {}),
            (429, {"retry-after": "3"}, {}),
            APIConnectionError("reset", request_sent=True),
        ],
    )
    def test_a_list_that_fails_once_is_asked_again_where_many_wait(self, failure: Any) -> None:
        world = Simulation([11.0] * 300)
        left = [failure]
        world.answer = lambda what: (
            left.pop() if what == "list" and left and world.now > 4 else world.said(what)
        )
        assert len(all_of(world)) == 300
        assert not left
        assert len(world.sent) < 30
        assert world.now < 14

    @pytest.mark.unmeasured
    @pytest.mark.parametrize("count", [2, 40, 500])
    def test_a_list_that_goes_on_failing_delays_nobody_for_long(self, count: int) -> None:
        world = Simulation([11.0] * count)
        world.answer = lambda what: (500, {}, {}) if what == "list" else world.said(what)
        assert len(all_of(world)) == count
        assert world.now < 18

    @pytest.mark.parametrize("status", [403, 404, 405, 500])
    def test_a_list_that_never_answers_keeps_no_task_from_being_seen(self, status: int) -> None:
        world = Simulation([100.0, 110.0])
        world.answer = lambda what: (status, {}, {}) if what == "list" else world.said(what)
        assert len(all_of(world)) == 2
        assert world.now < 125

    def test_one_task_that_hangs_keeps_no_other_from_being_seen(self) -> None:
        world = Simulation([5.0] * 40, history=20_000)
        hangs = str(task_id(1))
        lost = APIConnectionError("lost", request_sent=True)
        world.answer = lambda what: lost if what == hangs and world.now > 3 else world.said(what)
        collected = Collector(world, timeout=60.0)
        assert len(collected.seen) == 39
        assert all(at < 8 for at in collected.seen.values())

    def test_a_task_that_retrieve_learns_of_late_turns_nothing_off_for_later_waits(self) -> None:
        world = Simulation([8.0, 16.0, 24.0, 60.0])
        schedule, waits = Schedule(world.clock), WaitOptions(100)
        unlisted = str(task_id(3))

        def answer(what: str) -> Any:
            if what == "list":
                return [one for one in world.said("list") if one["id"] != unlisted]
            return (404, {}, {}) if what != unlisted else world.said(what)

        world.answer = answer
        for number in range(4):
            one = wait(task_id(number), waits, OPTIONS, schedule, world.clock)
            assert world.only(one).id == task_id(number)
        asked = len(world.sent)
        world.only(wait(unlisted, waits, OPTIONS, schedule, world.clock))
        assert [what for _, what in world.sent[asked:]] == [unlisted]

    def test_a_client_that_is_closed_ends_its_own_waits_only(self) -> None:
        world = Simulation([9.0] * 3)
        closed = ConfigurationError("this client is closed")
        errors = [closed]
        world.answer = lambda what: (
            errors.pop() if what == "list" and world.now > 2 and errors else world.said(what)
        )
        schedule = Schedule(world.clock)
        flows = [
            wait(running(number), WaitOptions(60), OPTIONS, schedule, world.clock)
            for number in range(3)
        ]
        results = [one.result for one in world.run(*flows)]
        assert results.count(closed) == 1
        assert sum(isinstance(result, TextGenResponse) for result in results) == 2

    @pytest.mark.unmeasured
    def test_slow_answers_end_a_look_at_the_timeout_of_who_looks(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("simulation.RETRIEVE_SECONDS", 4.0)
        world = Simulation([99.0] * 100, history=100_000)
        with pytest.raises(WaitTimeoutError):
            all_of(world, timeout=12.0)
        assert world.now < 18
        # It looks at the tasks one by one: the list is too long to be worth reading.
        assert [what for _, what in world.sent].count("list") == 1

    def test_a_server_that_asks_to_wait_for_an_hour_is_asked_again_after_a_minute(self) -> None:
        world = Simulation([5.0])
        world.answer = lambda what: (
            (503, {"Retry-After": "3600"}, {}) if world.now < 1 else world.said(what)
        )
        assert len(all_of(world)) == 1
        assert 60 <= world.now < 65

    def test_where_retrieve_does_not_exist_the_list_serves_all(self) -> None:
        world = Simulation([20.0] * 10)
        world.answer = lambda what: world.said(what) if what == "list" else (405, {}, {})
        assert len(all_of(world)) == 10
        assert sum(what != "list" for _, what in world.sent) == 3

    def test_a_task_that_vanishes_where_there_is_only_the_list_ends_as_unknown(self) -> None:
        world = Simulation([20.0] * 3)

        def answer(what: str) -> Any:
            listed = world.said("list")
            return (listed[1:] if world.now > 8 else listed) if what == "list" else (404, {}, {})

        world.answer = answer
        with pytest.raises(NotFoundError):
            all_of(world)
        assert 20 <= world.now < 30

    def test_a_lost_connection_ends_a_look_for_all_after_those_under_way(self) -> None:
        world = Simulation([5.0] * 50, history=20_000)
        down = range(2, 4)

        def answer(what: str) -> Any:
            lost = APIConnectionError("lost", request_sent=False)
            return lost if int(world.now) in down else world.said(what)

        world.answer = answer
        assert len(all_of(world)) == 50
        assert sum(int(at) in down for at, _ in world.sent) <= 2 * 16

    def test_one_task_whose_page_is_broken_keeps_no_other_from_being_seen(self) -> None:
        world = Simulation([3.0] * 5, history=20_000)
        broken = str(task_id(2))
        world.answer = lambda what: (
            (500, {}, {}) if what == broken and world.now < 9 else world.said(what)
        )
        collected = Collector(world)
        assert sorted(collected.seen) == [0, 1, 2, 3, 4]
        assert all(at < 6 for number, at in collected.seen.items() if number != 2)

    def test_a_server_that_asks_to_wait_is_obeyed_for_all(self) -> None:
        world = Simulation([1.0] * 10)
        first: list[float] = []

        def answer(what: str) -> Any:
            if not first:
                first.append(world.now)
                return 429, {"Retry-After": "30"}, {}
            return world.said(what)

        world.answer = answer
        all_of(world)
        assert all(at >= first[0] + 30 for at, _ in world.sent[1:])

    def test_refused_credentials_end_all_waits_at_once_and_each_names_its_task(self) -> None:
        world = Simulation([9.0] * 3)
        world.answer = lambda _: (401, {}, {"error": "no"})
        schedule, waits = Schedule(world.clock), WaitOptions(60)
        flows = [wait(task_id(n), waits, OPTIONS, schedule, world.clock) for n in range(3)]
        ran = world.run(*flows)
        assert [type(one.result) for one in ran] == [AuthenticationError] * 3
        for number, one in enumerate(ran):
            assert f"wait('{task_id(number)}')" in str(one.result)
            assert str(one.result).count("wait(") == 1
        assert len(world.sent) <= 2

    def test_a_task_that_nobody_knows_is_told_when_the_others_are_done(self) -> None:
        world = Simulation([1.0, 2.0, 15.0])
        unknown = str(task_id(1))

        def answer(what: str) -> Any:
            if what == "list":
                return [one for one in world.said("list") if one["id"] != unknown]
            return (404, {}, {}) if what == unknown else world.said(what)

        world.answer = answer
        collected = Collector(world)
        assert sorted(collected.seen) == [0, 2]
        assert isinstance(collected.error, NotFoundError)
        assert str(collected.error).endswith(f"there is no task {unknown} to wait for")
        assert [one.id for one in collected.error.tasks] == [task_id(n) for n in range(3)]

    def test_of_the_list_only_the_awaited_tasks_are_read(self) -> None:
        world = Simulation([2.0, 3.0, 4.0])
        world.answer = lambda what: (
            [*world.said(what), {"id": 5, "status": []}, "wrong"]
            if what == "list"
            else world.said(what)
        )
        assert len(all_of(world)) == 3
        assert [what for _, what in world.sent].count("list") > 1


class TestOutcome:
    def test_they_come_back_in_the_order_given_and_as_often(self) -> None:
        world = Simulation([3.0, 1.0, 2.0])
        given = [task_id(2), running(0), str(task_id(1)), task_id(2)]
        assert [one.id for one in all_of(world, given)] == [task_id(n) for n in (2, 0, 1, 2)]

    def test_each_is_given_once_as_it_is_done(self) -> None:
        collected = Collector(Simulation([7.0, 1.0, 4.0]))
        assert [one.id for one in collected.tasks] == [task_id(n) for n in (1, 2, 0)]

    def test_none_and_what_is_done_already_cost_no_request(self) -> None:
        world = Simulation([])
        assert all_of(world) == []
        over = [TextGenResponse.from_dict(task(n, "done")) for n in range(3)]
        assert all_of(world, over) == over
        assert world.sent == []

    def test_one_that_failed_is_told_when_all_are_over_with_all_tasks(self) -> None:
        world = Simulation([1.0, 2.0, 9.0])
        broken = str(task_id(0))
        failed = task(0, "failed", failed_reason="safety")

        def answer(what: str) -> Any:
            said = world.said(what)
            if what == "list":
                return [failed if one["id"] == broken else one for one in said]
            return failed if what == broken else said

        world.answer = answer
        with pytest.raises(TaskFailedError, match="safety") as caught:
            all_of(world)
        assert [str(one.status) for one in caught.value.tasks] == ["failed", "done", "done"]
        collected = Collector(world)
        assert (collected.error, collected.tasks[0].failed_reason) == (None, "safety")

    def test_a_timeout_comes_on_time_with_all_tasks_as_last_seen(self) -> None:
        world = Simulation([1.0, 99.0, 99.0])
        with pytest.raises(WaitTimeoutError, match="2 of 3 tasks are not done") as caught:
            all_of(world, timeout=30.0)
        assert [str(one.status) for one in caught.value.tasks] == ["done", "running", "running"]
        assert caught.value.task == caught.value.tasks[1]
        assert 30 <= world.now < 30.1

    def test_a_timeout_names_and_chains_what_the_last_look_met(self) -> None:
        world = Simulation([99.0] * 2)
        world.answer = lambda _: (500, {}, {"error": "down"})
        with pytest.raises(WaitTimeoutError, match=r"the last poll met: .*down") as caught:
            all_of(world, [task_id(0), task_id(1)], timeout=10.0)
        assert isinstance(caught.value.__cause__, InternalServerError)
        assert (caught.value.task, caught.value.tasks) == (None, [])

    def test_who_comes_late_for_the_next_gets_it_all_the_same(self) -> None:
        world = Simulation([1.0, 5.0])
        schedule = Schedule(world.clock)
        tasks = [running(0), running(1)]
        completed = Completed(tasks, WaitOptions(60), OPTIONS, lambda: schedule, world.clock)
        assert world.only(completed.next()).id == task_id(0)
        world.now = 61.0
        assert world.only(completed.next()).id == task_id(1)

    def test_the_end_is_told_also_if_another_saw_it_while_a_callback_ran(self) -> None:
        world = Simulation([2.0])
        schedule, told = Schedule(world.clock), []

        def slow(seen: TextGenResponse) -> None:
            told.append(str(seen.status))
            for awaited in schedule._awaited:
                awaited.saw(TextGenResponse.from_dict(task(0, "done")))

        waits = WaitOptions(60, on_update=slow)
        world.only(wait(task_id(0), waits, OPTIONS, schedule, world.clock))
        assert told == ["running", "done"]
        assert len(world.sent) == 1
        assert world.now < 0.1

    @pytest.mark.parametrize("wrong", [None, 5, str(task_id(0)), task_id(0), running(0)])
    def test_what_is_no_collection_of_tasks_is_refused(self, wrong: Any) -> None:
        with pytest.raises(InvalidRequestError, match="several tasks are given as a list"):
            all_of(Simulation([]), wrong)

    def test_what_is_no_task_is_refused_before_anything_is_sent(self) -> None:
        world = Simulation([1.0])
        with pytest.raises(InvalidRequestError, match="is no task id"):
            all_of(world, [task_id(0), "17"])
        assert world.sent == []


def client_of(colour: Colour, emulator: Emulator, **options: Any) -> Any:
    return colour.client(
        base_url=emulator.url, api_id=emulator.api_id, api_key=emulator.api_key, **options
    )


@pytest.mark.anyio
class TestClients:
    async def test_both_give_all_tasks(self, colour: Colour, emulator: Emulator) -> None:
        generator = client_of(colour, emulator).text_generator
        tasks = [await generator.create(**HELLO) for _ in range(5)]
        done = await generator.wait_all(tasks, timeout=20)
        assert [one.id for one in done] == [one.id for one in tasks]
        assert {one.status for one in done} == {"done"}
        found = {one.id async for one in generator.as_completed(tasks, timeout=20)}
        assert found == {one.id for one in tasks}

    async def test_a_wrong_task_is_refused_by_the_call_and_not_by_its_first_step(
        self, colour: Colour, emulator: Emulator
    ) -> None:
        generator = client_of(colour, emulator).text_generator
        with pytest.raises(InvalidRequestError):
            generator.as_completed(["17"])

    async def test_a_list_that_is_not_worth_it_is_not_read(
        self, colour: Colour, serve: Callable[[Script], RawServer]
    ) -> None:
        """Whether or not the server says how large it is."""
        done: set[str] = set()
        large = json.dumps([task(-1 - n) for n in range(20_000)]).encode()
        for chunked in (False, True):
            ended: list[bool] = []

            def script(exchange: Exchange, ended: list[bool] = ended, *, c: bool = chunked) -> None:
                what = exchange.head.split()[1].rstrip("/").rpartition("/")[2]
                number = {str(task_id(n)): n for n in range(3)}.get(what)
                if number is None:
                    try:
                        if c:
                            exchange.begin_stream("application/json")
                            exchange.piece(large)
                        else:
                            exchange.send(HEAD % len(large))
                        ended.append(exchange.peer_closed(within=5))
                    except OSError:
                        ended.append(True)
                else:
                    exchange.answer(
                        json.dumps(task(number, "done" if what in done else "running")).encode()
                    )
                    done.add(what)

            done.clear()
            server = serve(script)
            generator = colour.client(base_url=server.url).text_generator
            found = await generator.wait_all([running(n) for n in range(3)], timeout=20)
            assert len(found) == 3
            assert set(ended) == {True}


@pytest.mark.anyio
async def test_a_step_that_is_cancelled_loses_none_of_the_tasks(emulator: Emulator) -> None:
    emulator.running = 0.3
    async with AsyncCreatify(
        base_url=emulator.url, api_id=emulator.api_id, api_key=emulator.api_key
    ) as client:
        tasks = [await client.text_generator.create(**HELLO) for _ in range(3)]
        completed, seen, cancelled = client.text_generator.as_completed(tasks), 0, 0
        while seen < len(tasks):
            try:
                await asyncio.wait_for(anext(completed), 0.05)
                seen += 1
            except TimeoutError:
                cancelled += 1
        assert cancelled
        with pytest.raises(StopAsyncIteration):
            await anext(completed)


@pytest.mark.unmeasured
@pytest.mark.anyio
async def test_two_hundred_coroutines_share_their_looks(emulator: Emulator) -> None:
    emulator.running = 1.0
    async with AsyncCreatify(
        base_url=emulator.url, api_id=emulator.api_id, api_key=emulator.api_key
    ) as client:
        tasks = [await client.text_generator.create(**HELLO) for _ in range(200)]
        before = len(emulator.requests)
        waits = [client.text_generator.wait(one, timeout=30) for one in tasks]
        done = await asyncio.gather(*waits)
    assert [one.id for one in done] == [one.id for one in tasks]
    assert len(emulator.requests) - before < 20


def test_fifty_threads_share_their_looks(emulator: Emulator) -> None:
    emulator.running = 1.0
    with (
        Creatify(base_url=emulator.url, api_id=emulator.api_id, api_key=emulator.api_key) as client,
        ThreadPoolExecutor(50) as threads,
    ):
        tasks = [client.text_generator.create(**HELLO) for _ in range(50)]
        before = len(emulator.requests)
        done = threads.map(lambda one: client.text_generator.wait(one, timeout=30), tasks)
        assert [one.id for one in done] == [one.id for one in tasks]
    assert len(emulator.requests) - before < 50


@pytest.mark.anyio
async def test_who_looks_may_be_cancelled_and_another_goes_on(
    serve: Callable[[Script], RawServer],
) -> None:
    asked = threading.Event()

    def script(exchange: Exchange) -> None:
        if not asked.is_set():
            asked.set()
            exchange.peer_closed(within=10)
        else:
            number = 0 if str(task_id(0)) in exchange.head else 1
            exchange.answer(json.dumps(task(number, "done")).encode())

    async with AsyncCreatify(api_id="i", api_key="k", base_url=serve(script).url) as client:
        first = asyncio.create_task(client.text_generator.wait(task_id(0), timeout=30))
        await asyncio.sleep(0.05)
        second = asyncio.create_task(client.text_generator.wait(task_id(1), timeout=30))
        await asyncio.to_thread(asked.wait, 10)
        await asyncio.sleep(0.05)
        first.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await first
        assert str(task_id(0)) in caught.value.__notes__[0]
        assert (await asyncio.wait_for(second, 10)).id == task_id(1)


@pytest.mark.anyio
async def test_a_cancelled_wait_for_several_says_how_to_go_on(emulator: Emulator) -> None:
    async with AsyncCreatify(
        base_url=emulator.url, api_id=emulator.api_id, api_key=emulator.api_key
    ) as client:
        tasks = [emulator.tasks.add(status="running").id for _ in range(2)]
        waiting = asyncio.create_task(client.text_generator.wait_all(tasks))
        await asyncio.sleep(0.3)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await waiting
    assert caught.value.__notes__ == [
        "the tasks may still be running: waiting for them again goes on"
    ]


def test_who_leaves_early_is_looked_for_no_more(emulator: Emulator) -> None:
    with Creatify(
        base_url=emulator.url, api_id=emulator.api_id, api_key=emulator.api_key
    ) as client:
        ids = [emulator.tasks.add(status=status).id for status in ("done", "running", "running")]
        for _ in client.text_generator.as_completed(ids):
            break
        gc.collect()
        schedule = client._connection.schedule
        assert not schedule._awaited


def test_another_process_has_a_schedule_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    with Creatify(api_id="i", api_key="k", base_url="http://127.0.0.1:9") as client:
        connection: Connection = client._connection
        mine = connection.schedule
        assert connection.schedule is mine
        monkeypatch.setattr("creatify._connection.os.getpid", lambda: 17)
        assert connection.schedule is not mine
        monkeypatch.undo()


def test_a_look_that_ends_just_before_one_sleeps_is_not_slept_through() -> None:
    class JustEnded:
        def acquire(self, *, blocking: bool) -> bool:
            return blocking

        def locked(self) -> bool:
            return False

    world = Simulation([1.0])
    schedule = Schedule(world.clock)
    schedule._looking = JustEnded()  # type: ignore[assignment]  # no lock can be timed like that
    awaited = Awaited(task_id(0), WaitOptions(60), world.clock, began=0.0)
    assert list(schedule.step([awaited], Wake(), OPTIONS)) == []
    assert not schedule._blocked


def test_who_joins_while_another_looks_breaks_no_look() -> None:
    """As if its thread ran whenever the other reads who waits, after it has read that once."""
    world = Simulation([0.0] * 9)
    schedule = Schedule(world.clock)
    mine, *others = (
        Awaited(task_id(number), WaitOptions(60), world.clock, began=0.0) for number in range(9)
    )

    class Growing(dict[Awaited, Wake]):
        def __iter__(self) -> Iterator[Awaited]:
            self[others.pop()] = Wake()
            return iter(list(self.keys()))

        def __len__(self) -> int:
            self[others.pop()] = Wake()
            return super().__len__()

    schedule._awaited = Growing({mine: Wake(), others.pop(): Wake()})
    world.run(schedule.step([mine], Wake(), OPTIONS))
    assert mine.is_over


def test_a_look_that_is_broken_off_tells_what_it_saw() -> None:
    world = Simulation([0.0, 0.0])
    schedule = Schedule(world.clock)
    one, other = (
        Awaited(task_id(number), WaitOptions(60), world.clock, began=0.0) for number in range(2)
    )
    wake = Wake()
    with schedule.joined([one], Wake()), schedule.joined([other], wake):
        schedule._costs.retrieve, schedule._costs.list = 50.0, 1.0
        world.answer = lambda what: world.said(what)[1:] if what == "list" else world.said(what)
        look = schedule.step([one], Wake(), OPTIONS)
        next(look)
        look.send(httpx.Response(200, json=[task(1, "done")]))
        look.close()
    assert other.is_over
    assert wake.rung.is_set()


def test_a_second_event_loop_joins_no_wait_of_the_first(emulator: Emulator) -> None:
    client = AsyncCreatify(base_url=emulator.url, api_id=emulator.api_id, api_key=emulator.api_key)
    done = emulator.tasks.add().id

    async def first() -> None:
        assert str((await client.text_generator.wait(done)).id) == done

    async def second() -> None:
        with pytest.raises(ConfigurationError, match="another event loop"):
            await client.text_generator.wait(done)
        with pytest.raises(ConfigurationError, match="another event loop"):
            await anext(client.text_generator.as_completed([done]))
        with pytest.raises(ConfigurationError, match="another event loop"):
            _ = client._connection.schedule

    with asyncio.Runner() as runner:
        runner.run(first())
        with asyncio.Runner() as another:
            another.run(second())
        runner.run(client.aclose())
