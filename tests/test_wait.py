"""Waiting: the schedule, and what an answer or a failure means to a wait."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from creatify import (
    APIConnectionError,
    AsyncCreatify,
    AuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    PollPolicy,
    TaskFailedError,
    WaitTimeoutError,
    user,
)
from creatify._awaited import WaitOptions
from creatify._flow import Send, SendAll, Sleep
from creatify._options import Options
from creatify._schedule import Schedule
from creatify._wait import wait
from creatify_api.models import TextGenResponse

if TYPE_CHECKING:
    from collections.abc import Callable

    from colours import Colour
    from rawserver import Exchange, RawServer, Script

    from creatify.testing import Emulator

HELLO: dict[str, Any] = {"model_name": "gemini-2.5-flash", "messages": [user("Hello")]}
ID = "3c90c3cc-0d44-4b50-8888-8dd25736052a"


def task(status: str | None = "running", **fields: Any) -> dict[str, Any]:
    """A task as the API sends it."""
    base = {
        "id": ID,
        "model_name": "m",
        "messages": [],
        "config": {},
        "response_function_calls": [],
        "created_at": "2026-11-01T00:00:00Z",
        "updated_at": "2026-11-01T00:00:00Z",
    }
    return {**base, **({"status": status} if status else {}), **fields}


async def awaited_update(_: TextGenResponse) -> None:
    """What is no plain function."""


class World:
    """A made-up time and API under one wait: `answer(now, path)` is asked at each poll."""

    def __init__(self, answer: Callable[[float, str], Any]) -> None:
        self.now = 0.0
        self.polls: list[float] = []
        self.paths: list[str] = []
        self._answer = answer

    def run(self, waited_for: Any = ID, **options: Any) -> TextGenResponse:
        options = {"timeout": 600.0, "poll": PollPolicy(), "on_update": None, **options}
        schedule = Schedule(self.clock)
        flow = wait(waited_for, WaitOptions(**options), Options(), schedule, self.clock)
        reply: Any = None
        error: Exception | None = None
        try:
            while True:
                step = flow.send(reply) if error is None else flow.throw(error)
                reply = error = None
                if isinstance(step, Sleep):
                    assert step.seconds >= 0
                    self.now += step.seconds
                elif isinstance(step, SendAll):
                    [request] = step.requests
                    reply, error = self._send(Send(request))
                    reply, error = [error or reply], None
                else:
                    reply, error = self._send(step)
        except StopIteration as end:
            result: TextGenResponse = end.value
            return result

    def clock(self) -> float:
        return self.now

    def _send(self, step: Send[Any]) -> tuple[httpx.Response | None, Exception | None]:
        if not self.polls or self.polls[-1] != self.now:
            self.polls.append(self.now)
        self.paths.append(step.request.path)
        answer = self._answer(self.now, step.request.path)
        if isinstance(answer, Exception):
            return None, answer
        if isinstance(answer, int):
            return httpx.Response(answer, json={"error": "no"}), None
        return httpx.Response(200, json=answer), None


def done_after(seconds: float) -> Callable[[float, str], Any]:
    return lambda now, _: task("done" if now >= seconds else "running")


def pending() -> TextGenResponse:
    return TextGenResponse.from_dict(task("pending"))


def test_a_task_that_is_done_costs_no_request() -> None:
    world = World(done_after(0))
    assert world.run(TextGenResponse.from_dict(task("done"))).status == "done"
    assert (world.polls, world.now) == ([], 0)


def test_an_id_is_looked_at_at_once_and_a_pending_task_after_the_least_delay() -> None:
    at_once, later = World(done_after(0)), World(done_after(0))
    at_once.run(ID)
    later.run(pending(), poll=PollPolicy(jitter=0))
    assert (at_once.polls, later.polls) == ([0], [0.25])


@pytest.mark.unmeasured
def test_a_minute_long_task_costs_at_most_26_requests() -> None:
    for _ in range(100):
        world = World(done_after(60))
        world.run(pending())
        assert len(world.polls) <= 26


@given(age=st.floats(0.0, 500.0))
def test_a_task_is_seen_within_a_fifth_of_its_age_and_the_bounds(age: float) -> None:
    world = World(done_after(age))
    world.run(pending())
    # Lateness is at most one delay: a quarter of the time waited until the poll before, which is
    # a fifth of the time waited when it is seen; and between 0.25 s and 10 s.
    assert world.now - age <= min(max(0.2 * world.now, 0.25), 10.0) + 1e-6


@given(
    waited=st.floats(0, 1e6),
    chance=st.floats(0, 1),
    policy=st.builds(
        PollPolicy,
        fraction=st.floats(0, 10),
        minimum=st.floats(0.01, 1),
        maximum=st.floats(1, 100),
        jitter=st.floats(0, 0.9),
    ),
)
def test_every_delay_is_within_the_policy(waited: float, chance: float, policy: PollPolicy) -> None:
    delay = policy.delay(waited, chance)
    assert policy.minimum <= delay <= policy.maximum
    assert delay == policy.minimum or delay <= policy.fraction * waited


@pytest.mark.parametrize(
    "wrong",
    [
        {"minimum": 0},
        {"minimum": 20},
        {"fraction": -1},
        {"jitter": 1.1},
        {"jitter": -0.1},
        {"minimum": None},
    ],
)
def test_a_policy_that_makes_no_schedule_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="makes no schedule"):
        PollPolicy(**wrong)


@pytest.mark.parametrize(
    "failure", [500, 503, 520, 429, 400, APIConnectionError("lost", request_sent=True)]
)
def test_failed_polls_only_delay(failure: int | Exception) -> None:
    world = World(lambda now, _: failure if now < 20 else task("done"))
    assert world.run().status == "done"
    assert 20 <= world.now <= 30


def test_an_answer_that_does_not_decode_only_delays() -> None:
    world = World(lambda now, _: {"id": ID} if now < 5 else task("done"))
    assert world.run().status == "done"


def test_a_server_that_asks_to_wait_is_obeyed() -> None:
    world = World(lambda _, __: task("done"))
    original = world._send

    def limited(step: Send[Any]) -> tuple[httpx.Response | None, Exception | None]:
        reply, error = original(step)
        if len(world.polls) == 1:
            return httpx.Response(429, json={}, headers={"Retry-After": "30"}), error
        return reply, error

    world._send = limited  # type: ignore[method-assign]  # the one place that sees headers
    world.run()
    assert world.polls == [0, 30]


@pytest.mark.parametrize(
    ("status", "error"), [(401, AuthenticationError), (403, PermissionDeniedError)]
)
def test_refused_credentials_end_a_wait_and_the_error_says_how_to_go_on(
    status: int, error: type[Exception]
) -> None:
    world = World(lambda now, _: status if now > 3 else task())
    with pytest.raises(error) as caught:
        world.run()
    assert f"wait('{ID}')" in str(caught.value)


@pytest.mark.anyio
async def test_a_wait_on_a_closed_client_ends_at_once(colour: Colour, emulator: Emulator) -> None:
    client = colour.client(base_url=emulator.url)
    await colour.close()
    with pytest.raises(ConfigurationError, match="this client is closed"):
        await client.text_generator.wait(ID)


def test_an_unknown_task_is_tolerated_for_the_first_seconds() -> None:
    world = World(lambda now, path: (404 if now < 4 else task("done")) if ID in path else [])
    assert world.run().status == "done"


def test_a_task_that_neither_retrieve_nor_list_knows_ends_the_wait_after_the_grace() -> None:
    world = World(lambda _, path: 404 if ID in path else [])
    with pytest.raises(NotFoundError):
        world.run()
    assert 5 < world.now < 10


@pytest.mark.parametrize("status", [404, 405])
def test_where_retrieve_does_not_exist_the_list_serves(status: int) -> None:
    def answer(now: float, path: str) -> Any:
        if ID in path:
            return status
        return [task("done" if now > 60 else "running"), task("done", id=str(uuid.uuid4()))]

    world = World(answer)
    assert str(world.run().id) == ID
    # Retrieve is given up after a few tries, so that a tick is one request.
    assert sum(ID in path for path in world.paths) == 3


def test_a_task_that_vanishes_from_the_list_ends_the_wait_after_the_grace() -> None:
    world = World(lambda now, path: 405 if ID in path else [task()] if now < 30 else [])
    with pytest.raises(Exception, match="405"):
        world.run()
    assert 35 < world.now < 60


def test_a_timeout_carries_the_task_as_last_seen_and_happens_on_time() -> None:
    world = World(lambda _, __: task("running"))
    with pytest.raises(WaitTimeoutError, match=rf"30 seconds; .*wait\('{ID}'\)") as caught:
        world.run(timeout=30.0)
    assert caught.value.task is not None
    assert caught.value.task.status == "running"
    assert world.now == 30


def test_a_timeout_of_a_task_that_was_never_seen_has_none() -> None:
    with pytest.raises(WaitTimeoutError) as caught:
        World(lambda _, __: 500).run(timeout=5.0)
    assert caught.value.task is None


def test_a_failed_task_raises_with_the_task_and_its_reason() -> None:
    with pytest.raises(TaskFailedError, match="safety") as caught:
        World(lambda _, __: task("failed", failed_reason="safety")).run()
    assert (caught.value.reason, str(caught.value.task.id)) == ("safety", ID)


def test_a_failed_task_without_a_reason_says_so() -> None:
    with pytest.raises(TaskFailedError, match="no reason given") as caught:
        World(lambda _, __: task("failed", failed_reason=None)).run()
    assert caught.value.reason is None


@pytest.mark.parametrize("status", ["queued", None])
def test_a_status_that_is_unknown_or_absent_is_not_the_end(status: str | None) -> None:
    world = World(lambda now, _: task(status if now < 10 else "done"))
    assert world.run().status == "done"


def test_on_update_is_called_once_for_each_change() -> None:
    seen: list[str] = []
    world = World(lambda now, _: task("pending" if now < 3 else "running" if now < 9 else "done"))
    world.run(on_update=lambda task: seen.append(str(task.status)))
    assert seen == ["pending", "running", "done"]


def test_an_error_of_on_update_is_the_callers_and_not_a_failed_poll() -> None:
    def broken(_: TextGenResponse) -> None:
        raise APIConnectionError("the caller's own", request_sent=False)

    with pytest.raises(APIConnectionError, match="the caller's own"):
        World(lambda _, __: task()).run(on_update=broken)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), "60", True])
def test_a_timeout_that_is_no_time_is_refused(timeout: Any) -> None:
    with pytest.raises(ConfigurationError, match="timeout"):
        World(done_after(0)).run(timeout=timeout)


def test_an_id_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="UUID"):
        World(done_after(0)).run("not-an-id")


def test_a_timeout_names_and_chains_what_the_last_poll_met() -> None:
    lost = APIConnectionError("nobody there", request_sent=False)
    with pytest.raises(WaitTimeoutError, match="the last poll met: nobody there") as caught:
        World(lambda _, __: lost).run(timeout=5.0)
    assert caught.value.__cause__ is lost


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"poll": 0.5}, "poll is a PollPolicy"),
        ({"on_update": "x"}, "on_update is a plain function"),
        ({"on_update": awaited_update}, "on_update is a plain function"),
        ({"timeout": None}, "timeout is in seconds"),
    ],
)
@pytest.mark.anyio
async def test_a_wrong_option_is_refused_before_anything_is_paid_for(
    colour: Colour, emulator: Emulator, wrong: dict[str, Any], problem: str
) -> None:
    client = colour.client(base_url=emulator.url, api_id=emulator.api_id, api_key=emulator.api_key)
    with pytest.raises(ConfigurationError, match=problem):
        await client.text_generator.generate(**HELLO, **wrong)
    with pytest.raises(ConfigurationError, match=problem):
        await client.text_generator.wait(pending(), **wrong)
    assert (emulator.charges, emulator.requests) == (0, [])


@pytest.mark.anyio
async def test_whatever_ends_a_generate_after_it_is_paid_for_names_the_task(
    colour: Colour, emulator: Emulator
) -> None:
    asked: list[None] = []

    def credentials() -> tuple[str, str]:
        asked.append(None)
        if len(asked) > 1:
            raise OSError("the vault is down")
        return emulator.api_id, emulator.api_key

    def broken(_: TextGenResponse) -> None:
        raise KeyError("the caller's own")

    keys = {"api_id": None, "api_key": None, "credentials": credentials}
    client = colour.client(base_url=emulator.url, **keys)
    with pytest.raises(OSError, match="the vault is down") as caught:
        await client.text_generator.generate(**HELLO)
    client = colour.client(base_url=emulator.url, api_id=emulator.api_id, api_key=emulator.api_key)
    with pytest.raises(KeyError) as own:
        await client.text_generator.generate(**HELLO, on_update=broken)
    noted = [caught.value.__notes__, own.value.__notes__]
    assert noted == [
        [f"the task may still be running: wait('{task_id}') goes on"] for task_id in emulator.tasks
    ]


@pytest.mark.anyio
async def test_a_cancelled_generate_names_the_task_in_its_notes(emulator: Emulator) -> None:
    emulator.running = 60
    async with AsyncCreatify(
        base_url=emulator.url, api_id=emulator.api_id, api_key=emulator.api_key
    ) as client:
        created = asyncio.Event()
        waiting = asyncio.create_task(
            client.text_generator.generate(**HELLO, on_update=lambda _: created.set())
        )
        await created.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await waiting
    [task_id] = emulator.tasks
    assert task_id in caught.value.__notes__[0]


@pytest.mark.anyio
async def test_generate_creates_waits_and_tells_each_state(
    colour: Colour, emulator: Emulator
) -> None:
    client = colour.client(base_url=emulator.url, api_id=emulator.api_id, api_key=emulator.api_key)
    seen: list[TextGenResponse] = []
    result = await client.text_generator.generate(
        model_name="gemini-2.5-flash", messages=[user("Hello")], on_update=seen.append
    )
    assert result.status == "done"
    assert result.response_text
    assert (seen[0].status, seen[-1]) == ("pending", result)
    assert emulator.charges == 1


@pytest.mark.anyio
async def test_wait_takes_an_id_or_a_task(colour: Colour, emulator: Emulator) -> None:
    client = colour.client(base_url=emulator.url, api_id=emulator.api_id, api_key=emulator.api_key)
    created = await client.text_generator.create(
        model_name="gemini-2.5-flash", messages=[user("Hello")]
    )
    for form in (created, created.id, str(created.id)):
        assert (await client.text_generator.wait(form)).status == "done"


@pytest.mark.anyio
async def test_a_wait_survives_a_server_that_drops_connections(
    colour: Colour, serve: Callable[[Script], RawServer]
) -> None:
    def script(exchange: Exchange) -> None:
        if len(server.exchanges) < 3:
            exchange.reset()
        else:
            exchange.answer(json.dumps(task("done")).encode())

    server = serve(script)
    client = colour.client(base_url=server.url)
    assert (await client.text_generator.wait(ID)).status == "done"
    assert len(server.exchanges) == 3


@pytest.mark.anyio
async def test_generate_has_one_timeout_for_create_and_wait(
    colour: Colour, serve: Callable[[Script], RawServer]
) -> None:
    server = serve(lambda exchange: exchange.answer(json.dumps(task("running")).encode()))
    client = colour.client(base_url=server.url)
    with pytest.raises(WaitTimeoutError) as caught:
        await client.text_generator.generate(model_name="m", messages=[user("Hello")], timeout=0.6)
    assert str(caught.value.task.id) == ID if caught.value.task else False
