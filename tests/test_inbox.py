"""Waiting with an inbox: a hint or a slow poll ends the wait, whichever comes first."""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from asgi import served
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation import Simulation, task, task_id

from creatify import (
    AsyncCreatify,
    AuthenticationError,
    ConfigurationError,
    Creatify,
    InvalidRequestError,
    NotFoundError,
    PollPolicy,
    user,
)
from creatify._awaited import Awaited, WaitOptions
from creatify._flow import Sleep
from creatify._options import Options
from creatify._schedule import Schedule
from creatify._wait import Completed, wait
from creatify.webhooks import Inbox, WebhookApp, webhook_token
from creatify_api.models import TextGenResponse

if TYPE_CHECKING:
    from collections.abc import Callable

    from colours import Colour
    from simulation import Running

    from creatify._operations import Steps
    from creatify.testing import Emulator

HELLO: dict[str, Any] = {"model_name": "gemini-2.5-flash", "messages": [user("Hello")]}
SECRET = "a secret of these tests"
OPTIONS = Options()
NEVER = PollPolicy(minimum=500.0, maximum=500.0)
"""Polls nothing before a test is over."""


def running(number: int) -> TextGenResponse:
    return TextGenResponse.from_dict(task(number))


class Hinted:
    """Waits in a made-up time, with an inbox that is told at given moments."""

    def __init__(self, ends: list[float], **options: Any) -> None:
        self.world = Simulation(ends)
        self.inbox = Inbox()
        self.schedule = Schedule(self.world.clock)
        self._waits = WaitOptions(**{"timeout": 600.0, "inbox": self.inbox, **options})

    def run(self, *hints: tuple[float, Any]) -> list[Running]:
        """Wait for each task of the world; an id, or a task's number, arrives at each moment."""
        waits = [self.wait(running(number)) for number in range(len(self.world.ends))]
        return self.world.run(*waits, self.deliver(*hints))[:-1]

    def wait(self, one: Any, schedule: Schedule | None = None) -> Steps[TextGenResponse]:
        world = self.world
        return wait(one, self._waits, OPTIONS, schedule or self.schedule, world.clock)

    def deliver(self, *hints: tuple[float, Any]) -> Steps[None]:
        for at, told in hints:
            if at > self.world.now:
                yield Sleep(at - self.world.now)
            self.inbox.deliver(task_id(told) if isinstance(told, int) else told)

    def asked(self, after: float = 0.0, before: float = 1e9) -> int:
        return sum(after <= at < before for at, _ in self.world.sent)


@pytest.mark.unmeasured
class TestHint:
    def test_the_task_is_looked_at_when_it_arrives_and_not_before(self) -> None:
        one = Hinted([1.5])
        [ran] = one.run((1.5, 0))
        assert ran.result.status == "done"
        assert one.world.sent == [(1.5, str(task_id(0)))]
        assert ran.ended_at == pytest.approx(1.505)

    @given(end=st.floats(0.0, 500.0))
    def test_where_it_is_lost_a_slow_poll_sees_the_task(self, end: float) -> None:
        one = Hinted([end])
        [ran] = one.run()
        assert ran.result.status == "done"
        late = (ran.ended_at or 0) - one.world.ends[0]
        assert late <= min(max(0.2 * one.world.now, 2.0), 30.0) + 0.01

    def test_a_given_poll_policy_is_kept(self) -> None:
        one = Hinted([3.0], poll=PollPolicy(minimum=1.0, maximum=1.0))
        one.run()
        assert [round(at) for at, _ in one.world.sent] == [1, 2, 3]

    def test_polls_are_slower_with_an_inbox_than_without(self) -> None:
        with_inbox, without = Hinted([60.0]), Hinted([60.0], inbox=None)
        with_inbox.run()
        without.run()
        assert with_inbox.world.sent[0][0] == 2.0
        assert without.world.sent[0][0] == 0.25
        assert len(with_inbox.world.sent) < 0.7 * len(without.world.sent)

    def test_a_forged_one_changes_nothing_but_one_request(self) -> None:
        honest, forged = Hinted([20.0]), Hinted([20.0])
        honest.run((20.0, 0))
        [ran] = forged.run((5.0, 0), (20.0, 0))
        assert ran.result.status == "done"
        # Now and then a poll is under way at 20.0, and the look follows it.
        assert ran.ended_at == pytest.approx(20.005, abs=0.0051)
        assert forged.asked(before=5.0) == honest.asked(before=5.0)
        assert forged.asked(5.0, 5.1) == 1
        assert len(forged.world.sent) <= len(honest.world.sent) + 1

    def test_one_of_a_task_that_nobody_waits_for_costs_nothing(self) -> None:
        alone, told = Hinted([1.9]), Hinted([1.9])
        alone.run((1.9, 0))
        told.run(*[(0.1 * n, task_id(1000 + n)) for n in range(10)], (1.9, 0))
        assert told.world.sent == alone.world.sent

    def test_a_flood_of_them_is_no_flood_of_requests(self) -> None:
        one = Hinted([60.0])
        [ran] = one.run(*[(0.01 * n, 0) for n in range(6500)])
        assert one.asked(before=1.9) == 4
        assert len(one.world.sent) <= 4 + 60 / 2 + 30
        assert (ran.ended_at or 0) <= 62.01

    def test_four_changes_of_a_task_are_seen_at_once_however_quickly_they_follow(self) -> None:
        one = Hinted([1.3])
        [ran] = one.run((1.0, 0), (1.1, 0), (1.2, 0), (1.3, 0))
        assert ran.ended_at == pytest.approx(1.305)

    def test_one_too_many_is_put_off_and_not_forgotten(self) -> None:
        one = Hinted([11.0], poll=PollPolicy(minimum=3.0, maximum=100.0, fraction=100.0))
        [ran] = one.run(*[(10.0 + n / 10, 0) for n in range(11)])
        assert (ran.ended_at or 0) <= 14.0

    def test_it_takes_no_other_task_along(self) -> None:
        many = Hinted([90.0] * 50)
        before = many.run((60.0, 7))
        assert {one.result.status for one in before} == {"done"}
        at_once = [what for at, what in many.world.sent if at == 60.0]
        assert at_once == [str(task_id(7))]

    def test_many_at_once_are_followed_by_one_call_of_the_list(self) -> None:
        many = Hinted([30.0] * 50)
        ran = many.run(*[(30.0, number) for number in range(50)])
        assert all((one.ended_at or 0) < 30.2 for one in ran)
        assert many.asked(30.0) <= 3

    def test_an_answer_of_the_list_is_one_to_all_of_them(self) -> None:
        many = Hinted([90.0] * 50)
        many.run(*[(30.0, number) for number in range(50)])
        assert many.asked(30.0, 30.5) <= 2

    def test_each_wait_for_a_task_hears_it_and_those_of_another_client(self) -> None:
        one = Hinted([1.0])
        waits = [one.wait(running(0)), one.wait(task_id(0))]
        others = [one.wait(running(0), Schedule(one.world.clock)) for _ in range(2)]
        ran = one.world.run(*waits, *others, one.deliver((1.0, 0)))
        assert all((it.ended_at or 0) < 1.02 for it in ran)

    def test_one_that_comes_before_the_wait_is_not_lost(self) -> None:
        one = Hinted([0.0])
        one.inbox.deliver(str(task_id(0)))
        assert one.world.only(one.wait(running(0))).status == "done"
        assert one.world.now < 0.01
        one.world.only(one.wait(running(0)))
        assert one.world.now > 1.9  # it was kept for one wait only


class TestWhileOthersLook:
    def test_an_answer_that_is_older_than_the_hint_does_not_count(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("simulation.RETRIEVE_SECONDS", 1.0)
        one = Hinted([5.5], poll=PollPolicy(minimum=5.0, maximum=50.0, fraction=10.0))
        [ran] = one.run((5.7, 0))  # the poll of 5.0 is under way, and will say that it runs
        assert [at for at, _ in one.world.sent] == [5.0, 6.0]
        assert ran.ended_at == 7.0

    def test_a_look_of_another_is_not_waited_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("simulation.RETRIEVE_SECONDS", 1.0)
        one = Hinted([1.2, 99.0])
        ran = one.run((1.0, 1), (1.2, 0))
        assert ran[0].ended_at == 2.2
        assert [at for at, _ in one.world.sent[:2]] == [1.0, 1.2]

    def test_the_end_stays_the_end_whatever_an_older_request_is_answered(self) -> None:
        for older in ("running", 401):
            awaited = Awaited(task_id(0), WaitOptions(9.0), began=0.0)
            awaited.saw(TextGenResponse.from_dict(task(0, "done")))
            if older == 401:
                awaited.failed(AuthenticationError("no", status_code=401, body="", headers={}))
            else:
                awaited.saw(running(0))
            assert awaited.outcome().status == "done"

    def test_one_that_was_put_off_is_answered_by_a_poll_that_comes_first(self) -> None:
        one = Hinted([20.0], poll=PollPolicy(minimum=4.0, maximum=4.0))
        every_second = WaitOptions(50, PollPolicy(minimum=1.0, maximum=1.0))
        other = wait(running(0), every_second, OPTIONS, one.schedule, one.world.clock)
        hints = [(0.1 * n, 0) for n in range(1, 6)]  # of the fifth a look would come at 4.1
        one.world.run(one.wait(running(0)), other, one.deliver(*hints))
        assert one.asked(before=0.9) == 4
        assert one.asked(4.0, 4.3) == 0


class TestFaults:
    def test_a_look_that_fails_is_repeated_ever_later_until_one_is_answered(self) -> None:
        one = Hinted([1.0], poll=PollPolicy(minimum=0.5, maximum=100.0, fraction=1.0))
        world = one.world
        world.answer = lambda what: (500, {}, {}) if world.now < 30 else world.said(what)
        one.world.sent.clear()
        [ran] = one.run((10.0, 0))
        assert 30 <= (ran.ended_at or 0) < 55
        assert one.asked(10.0, 30.0) <= 8

    def test_a_server_that_asks_to_wait_is_obeyed(self) -> None:
        one = Hinted([1.0])
        world, asked = one.world, []

        def answer(what: str) -> Any:
            asked.append(world.now)
            return (429, {"Retry-After": "20"}, {}) if world.now < 5 else world.said(what)

        world.answer = answer
        one.run(*[(1.0 + n, 0) for n in range(10)])
        assert asked[0] == 1.0
        assert asked[1] >= 21.0

    def test_a_failure_is_over_with_the_next_answer(self) -> None:
        one = Hinted([6.5], poll=PollPolicy(minimum=4.0, maximum=4.0))
        world = one.world
        world.answer = lambda what: (500, {}, {}) if 3.9 < world.now < 5 else world.said(what)
        every_second = WaitOptions(50, PollPolicy(minimum=1.0, maximum=1.0))
        other = wait(running(0), every_second, OPTIONS, one.schedule, world.clock)
        ran = world.run(one.wait(running(0)), other, one.deliver((6.5, 0)))
        assert ran[0].ended_at == pytest.approx(6.505)

    def test_an_unknown_task_ends_as_unknown(self) -> None:
        one = Hinted([1.0])
        one.world.answer = lambda what: [] if what == "list" else (404, {}, {})
        [ran] = one.run(*[(n / 10, 0) for n in range(100)])
        assert isinstance(ran.result, NotFoundError)
        assert len(one.world.sent) < 30

    def test_an_inbox_that_raises_ends_the_wait_and_says_how_to_go_on(self) -> None:
        class Broken:
            def subscribe(self, *_: object) -> Callable[[], object]:
                raise LookupError("no such queue")

        one = Hinted([1.0], inbox=Broken())
        with pytest.raises(LookupError) as caught:
            one.world.only(one.wait(running(0)))
        assert str(task_id(0)) in caught.value.__notes__[0]
        assert not one.schedule._awaited

    @given(
        ends=st.lists(st.floats(0, 30), min_size=1, max_size=5),
        hints=st.lists(st.tuples(st.floats(0, 40), st.integers(0, 6)), max_size=40),
        faults=st.lists(st.sampled_from(["", "500", "404"]), max_size=10),
        told=st.booleans(),
    )
    @settings(max_examples=60)
    def test_whatever_arrives_each_wait_gets_its_own_task_in_time(
        self, ends: list[float], hints: list[tuple[float, int]], faults: list[str], *, told: bool
    ) -> None:
        one = Hinted(ends)
        left = list(faults)

        def answer(what: str) -> Any:
            match left.pop() if left else "":
                case "500":
                    return 500, {}, {"error": "no"}
                case "404" if what != "list" and one.world.now < 3:
                    return 404, {}, {"error": "no"}
            return one.world.said(what)

        one.world.answer = answer
        true = [(end, number) for number, end in enumerate(ends)] if told else []
        ran = one.run(*sorted(hints + true))
        assert [it.result.id for it in ran] == [task_id(number) for number in range(len(ends))]
        assert {it.result.status for it in ran} == {"done"}
        looks = len(hints) + len(true) + 12 * len(ends) + 3 * len(faults)
        assert len(one.world.sent) <= looks + 5


class TestSeveral:
    def test_those_of_as_completed_are_heard_also_between_two_of_its_steps(self) -> None:
        one = Hinted([1.0, 1.5, 99.0])
        world = one.world
        tasks = [running(number) for number in range(3)]
        waits = WaitOptions(50, inbox=one.inbox)
        completed = Completed(tasks, waits, OPTIONS, lambda: one.schedule, world.clock)
        seen: list[tuple[float, Any]] = []

        def steps() -> Steps[None]:
            for _ in range(2):
                found = yield from completed.next()
                seen.append((round(world.now, 2), found and found.id))
                yield Sleep(0.6)  # the second one's webhook comes meanwhile

        world.run(steps(), one.deliver((1.0, 0), (1.5, 1)))
        assert seen == [(1.0, task_id(0)), (1.61, task_id(1))]

    def test_who_is_told_of_a_task_that_runs_on_is_not_told_again_at_each_step(self) -> None:
        one = Hinted([1.0 + n / 10 for n in range(20)] + [30.0])
        tasks = [running(number) for number in range(21)]
        waits = WaitOptions(50, inbox=one.inbox)
        completed = Completed(tasks, waits, OPTIONS, lambda: one.schedule, one.world.clock)

        def steps() -> Steps[None]:
            while (yield from completed.next()) is not None:
                pass

        hints = [(0.5, 20)] + [(1.0 + n / 10, n) for n in range(20)]
        one.world.run(steps(), one.deliver(*hints, (30.0, 20)))
        assert one.asked(before=1.95) <= 11
        assert one.world.now < 30.1


class TestInbox:
    def test_it_keeps_the_last_hints_and_no_more(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("creatify.webhooks._inbox.REMEMBERED", 3)
        inbox = Inbox()
        heard: list[object] = []
        for number in (0, 1, 2, 0, 3):
            inbox.deliver(task_id(number))
        for number in range(4):
            inbox.subscribe(task_id(number), partial(heard.append, number))
        assert heard == [0, 2, 3]

    def test_who_left_hears_no_more_and_nothing_is_kept_of_it(self) -> None:
        inbox = Inbox()
        heard: list[object] = []
        leave = [inbox.subscribe(task_id(0), partial(heard.append, n)) for n in range(2)]
        leave[0]()
        inbox.deliver(task_id(0))
        leave[1]()
        assert heard == [1]
        assert not inbox._desk._waiting

    @pytest.mark.parametrize("wrong", [None, 5, "17", b"x", {}])
    def test_what_names_no_task_is_refused(self, wrong: Any) -> None:
        with pytest.raises(InvalidRequestError, match="is no task id"):
            Inbox().deliver(wrong)

    def test_a_task_may_be_delivered_as_itself(self) -> None:
        inbox = Inbox()
        heard: list[object] = []
        inbox.subscribe(task_id(0), partial(heard.append, 0))
        inbox.deliver(running(0))
        assert heard == [0]

    def test_a_fork_has_one_of_its_own_whatever_its_parent_was_about(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        inbox = Inbox()
        heard: list[object] = []
        inbox.subscribe(task_id(0), partial(heard.append, "parent"))
        with inbox._desk._lock:
            monkeypatch.setattr("creatify.webhooks._inbox.os.getpid", lambda: 17)
            # In a thread, as the lock is one that its own thread may take again.
            child = threading.Thread(target=inbox.deliver, args=(task_id(0),), daemon=True)
            child.start()
            child.join(10)
            assert not child.is_alive()
        inbox.subscribe(task_id(0), partial(heard.append, "child"))
        monkeypatch.undo()
        assert heard == ["child"]

    def test_many_threads_lose_no_hint(self) -> None:
        inbox, heard = Inbox(), [threading.Event() for _ in range(300)]

        def wait_for(number: int) -> None:
            inbox.subscribe(task_id(number), heard[number].set)

        threads = [threading.Thread(target=wait_for, args=(n,)) for n in range(300)]
        threads += [threading.Thread(target=inbox.deliver, args=(task_id(n),)) for n in range(300)]
        for one in threads[::2] + threads[1::2]:
            one.start()
        for one in threads:
            one.join()
        assert all(one.is_set() for one in heard)


def client_of(colour: Colour, emulator: Emulator) -> Any:
    return colour.client(base_url=emulator.url, api_id=emulator.api_id, api_key=emulator.api_key)


@pytest.mark.anyio
class TestClients:
    async def test_generate_is_over_when_the_webhook_comes(
        self, colour: Colour, emulator: Emulator
    ) -> None:
        emulator.pending, emulator.running = 0.2, 0.3
        inbox = Timed()
        generator = client_of(colour, emulator).text_generator
        with served(WebhookApp(inbox, secret=SECRET)) as url:
            hook = f"{url}/{webhook_token(SECRET)}"
            done = await generator.generate(**HELLO, webhook_url=hook, inbox=inbox, poll=NEVER)
            now = time.monotonic()
        assert done.status == "done"
        # One create, and one look for each of the two webhooks.
        assert [request.method for request in emulator.requests] == ["POST", "GET", "GET"]
        assert now - inbox.times[-1] < 1.0  # a slow test shows that it is 50 ms

    @pytest.mark.slow
    async def test_most_waits_end_within_50_ms_of_the_webhook(
        self, colour: Colour, emulator: Emulator
    ) -> None:
        emulator.pending, emulator.running = 0.05, 0.15
        inbox, late = Timed(), []
        generator = client_of(colour, emulator).text_generator
        with served(WebhookApp(inbox, secret=SECRET)) as url:
            hook = f"{url}/{webhook_token(SECRET)}"
            for _ in range(20):
                task = await generator.create(**HELLO, webhook_url=hook)
                done = await generator.wait(task, inbox=inbox, poll=NEVER)
                late.append(time.monotonic() - inbox.times[-1])
                assert done.status == "done"
        assert statistics.median(late) < 0.05

    async def test_a_lost_webhook_delays_it_to_the_next_poll(
        self, colour: Colour, emulator: Emulator
    ) -> None:
        generator = client_of(colour, emulator).text_generator
        poll = PollPolicy(minimum=0.4, maximum=0.4)
        hook = "http://127.0.0.1:9/nobody"
        done = await generator.generate(**HELLO, webhook_url=hook, inbox=Inbox(), poll=poll)
        assert done.status == "done"
        assert len(emulator.requests) == 2

    async def test_a_forged_webhook_ends_no_wait(self, colour: Colour, emulator: Emulator) -> None:
        inbox = Inbox()
        mine = emulator.tasks.add(status="running").id
        client = client_of(colour, emulator)
        with served(WebhookApp(inbox)) as url, httpx.Client(trust_env=False) as stranger:
            waiting = asyncio.ensure_future(
                client.text_generator.wait(mine, inbox=inbox, timeout=1.5)
            )
            await asyncio.sleep(0.3)
            before = len(emulator.requests)
            ids = [mine, str(task_id(1)), emulator.tasks.add(status="done").id]
            for forged in ids * 5:
                told = {"id": forged, "status": "done", "response_text": "Buy here!"}
                answer = await asyncio.to_thread(stranger.post, url, json=told)
                assert answer.status_code == 200
            with pytest.raises(TimeoutError) as caught:
                await waiting
        assert str(caught.value.task.status) == "running"  # type: ignore[attr-defined]  # the tree's
        # Four at once, one when the next is due again (at the end, with the last look).
        assert len(emulator.requests) - before <= 5
        assert {one.path for one in emulator.requests} == {f"/sse/text_generator/{mine}/"}

    async def test_several_are_seen_as_their_webhooks_come(
        self, colour: Colour, emulator: Emulator
    ) -> None:
        emulator.pending, emulator.running = 0.0, 0.5
        inbox = Inbox()
        generator = client_of(colour, emulator).text_generator
        with served(WebhookApp(inbox)) as url:
            tasks = [await generator.create(**HELLO, webhook_url=url) for _ in range(3)]
            began = time.monotonic()
            done = await generator.wait_all(tasks, inbox=inbox)
            assert [one.id for one in done] == [one.id for one in tasks]
            assert time.monotonic() - began < 1.9  # the first poll is after 2 s
            tasks = [await generator.create(**HELLO, webhook_url=url) for _ in range(3)]
            found = {one.id async for one in generator.as_completed(tasks, inbox=inbox)}
            assert found == {one.id for one in tasks}

    @pytest.mark.parametrize("wrong", [Inbox, "inbox", 5, object(), asyncio.Queue])
    async def test_what_is_no_inbox_is_refused_before_anything_is_paid_for(
        self, colour: Colour, emulator: Emulator, wrong: Any
    ) -> None:
        generator = client_of(colour, emulator).text_generator
        with pytest.raises(ConfigurationError, match="inbox is a"):
            await generator.generate(**HELLO, inbox=wrong)
        for several in (generator.wait, generator.wait_all):
            with pytest.raises(ConfigurationError, match="inbox is a"):
                await several([], inbox=wrong)
        with pytest.raises(ConfigurationError, match="inbox is a"):
            generator.as_completed([], inbox=wrong)
        assert emulator.requests == []

    async def test_nothing_is_left_in_the_inbox_when_a_wait_has_ended(
        self, colour: Colour, emulator: Emulator
    ) -> None:
        inbox = Inbox()
        generator = client_of(colour, emulator).text_generator
        await generator.wait(emulator.tasks.add().id, inbox=inbox)
        with pytest.raises(TimeoutError):
            await generator.wait(emulator.tasks.add(status="running").id, inbox=inbox, timeout=0.1)
        assert not inbox._desk._waiting


class Timed(Inbox):
    """Knows when it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def deliver(self, event: Any) -> None:
        self.times.append(time.monotonic())
        super().deliver(event)


@pytest.mark.anyio
@pytest.mark.parametrize("how", ["another thread", "another event loop", "the same loop"])
async def test_a_wait_in_an_event_loop_hears_what_is_delivered_anywhere(
    emulator: Emulator, how: str
) -> None:
    emulator.pending, emulator.running = 0.0, 0.5
    inbox = Inbox()

    async def deliver(one: TextGenResponse) -> None:
        await asyncio.sleep(0.6)
        inbox.deliver(one.id)

    async with AsyncCreatify(
        base_url=emulator.url, api_id=emulator.api_id, api_key=emulator.api_key
    ) as client:
        one = await client.text_generator.create(**HELLO)
        waiting = asyncio.create_task(
            client.text_generator.wait(one, inbox=inbox, poll=NEVER, timeout=30)
        )
        if how == "another thread":
            threading.Timer(0.6, inbox.deliver, [one.id]).start()
        elif how == "another event loop":
            threading.Thread(target=lambda: asyncio.run(deliver(one))).start()
        else:
            await deliver(one)
        assert (await waiting).status == "done"


def test_clients_of_two_workspaces_may_share_an_inbox(emulator: Emulator) -> None:
    inbox = Inbox()
    theirs = emulator.tasks.add(status="running").id
    with Creatify(
        base_url=emulator.url, api_id=emulator.api_id, api_key=emulator.api_key
    ) as client:
        mine = emulator.tasks.add().id
        inbox.deliver(theirs)
        assert str(client.text_generator.wait(mine, inbox=inbox).id) == mine
    assert len(emulator.requests) == 1
