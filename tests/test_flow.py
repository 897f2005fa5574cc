"""The two drivers run a flow alike."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING

import pytest

from creatify import APIConnectionError, CreatifyError
from creatify._flow import Flow, Send, SendAll, Sleep, Wake, run, run_async

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Drive = Callable[[Flow[str, str, object], Callable[[str], str]], Awaitable[object]]

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["sync", "async"])
def drive(request: pytest.FixtureRequest) -> Drive:
    """`await drive(flow, send)` with either driver; `send` is a plain function."""

    async def sync(flow: Flow[str, str, object], send: Callable[[str], str]) -> object:
        return run(flow, send)

    async def async_(flow: Flow[str, str, object], send: Callable[[str], str]) -> object:
        async def sending(message: str) -> str:
            return send(message)

        return await run_async(flow, sending)

    return sync if request.param == "sync" else async_


async def test_each_answer_comes_back_at_the_yield_and_the_result_is_returned(drive: Drive) -> None:
    def flow() -> Flow[str, str, object]:
        first = yield Send("a")
        second = yield Send("b")
        return [first, second]

    assert await drive(flow(), str.upper) == ["A", "B"]


async def test_several_are_sent_and_what_each_met_comes_back_in_order(drive: Drive) -> None:
    lost = CreatifyError("lost")

    def answer(message: str) -> str:
        if message == "b":
            raise lost
        return message.upper()

    def flow() -> Flow[str, str, object]:
        return (yield SendAll(["a", "b", "c"]))

    assert await drive(flow(), answer) == ["A", lost, "C"]


async def test_a_thread_sends_no_more_of_several_after_one_met_no_answer() -> None:
    lost = APIConnectionError("lost", request_sent=True)

    def fail(message: str) -> str:
        if message == "b":
            raise lost
        return message

    def flow() -> Flow[str, str, object]:
        return (yield SendAll(["a", "b", "c"]))

    assert run(flow(), fail) == ["a", lost]


async def test_another_error_of_one_of_several_is_raised_at_the_yield(drive: Drive) -> None:
    def fail(message: str) -> str:
        raise LookupError(message)

    def flow() -> Flow[str, str, object]:
        try:
            yield SendAll(["a", "b"])
        except LookupError as error:
            return str(error)
        return None

    assert await drive(flow(), fail) == "a"


async def test_an_event_loop_has_several_under_way_at_once() -> None:
    under_way: list[str] = []

    async def send(message: str) -> int:
        under_way.append(message)
        await asyncio.sleep(0.05)
        return len(under_way)

    def flow() -> Flow[str, int, object]:
        return (yield SendAll(["a", "b", "c"]))

    assert await run_async(flow(), send) == [3, 3, 3]


async def test_a_sleep_takes_its_time_and_has_no_answer(drive: Drive) -> None:
    def flow() -> Flow[str, str, object]:
        return (yield Sleep(0.05))

    started = time.monotonic()
    assert await drive(flow(), str.upper) is None
    assert time.monotonic() - started >= 0.05


async def test_who_rings_before_a_sleep_ends_it_as_it_begins(drive: Drive) -> None:
    def flow() -> Flow[str, str, object]:
        wake = Wake()
        wake.ring()
        return (yield Sleep(60, wake))

    started = time.monotonic()
    assert await drive(flow(), str.upper) is None
    assert time.monotonic() - started < 10


async def test_who_rings_ends_a_sleep(drive: Drive) -> None:
    """From a thread in a synchronous program, else from a task of the loop."""
    wake = Wake()

    def flow() -> Flow[str, str, object]:
        return (yield Sleep(60, wake))

    started = time.monotonic()
    asyncio.get_running_loop().call_later(0.05, wake.ring)
    ringer = threading.Timer(1, wake.rung.set)  # the synchronous driver stops the loop
    ringer.start()
    assert await drive(flow(), str.upper) is None
    ringer.cancel()
    ringer.join()
    assert time.monotonic() - started < 10


async def test_a_sleep_in_an_event_loop_ends_also_from_another_thread() -> None:
    wake = Wake()

    def flow() -> Flow[str, str, object]:
        return (yield Sleep(60, wake))

    started = time.monotonic()
    ringer = threading.Timer(0.05, wake.ring)
    ringer.start()

    async def send(_: str) -> str:
        return ""

    assert await run_async(flow(), send) is None
    ringer.join()
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("where", ["here", "in another thread"])
def test_who_sleeps_in_a_loop_that_was_closed_may_be_rung_and_is_left_alone(where: str) -> None:
    wake = Wake()

    def flow() -> Flow[str, str, object]:
        return (yield Sleep(60, wake))

    async def send(_: str) -> str:
        return ""

    loop = asyncio.new_event_loop()
    sleeper = run_async(flow(), send)
    task = loop.create_task(sleeper)
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    met: list[object] = []

    def ring() -> None:
        try:
            wake.ring()
        except RuntimeError as error:
            met.append(error)

    if where == "here":
        ring()
    else:
        thread = threading.Thread(target=ring)
        thread.start()
        thread.join()
    assert met == []
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # which is the point
    sleeper.close()


async def test_an_error_of_the_tree_is_raised_at_the_yield_and_may_be_handled(drive: Drive) -> None:
    def fail(_: str) -> str:
        raise APIConnectionError("lost", request_sent=True)

    def flow() -> Flow[str, str, object]:
        try:
            yield Send("a")
        except CreatifyError as error:
            return f"handled: {error}"
        return "not raised"

    assert await drive(flow(), fail) == "handled: lost"


async def test_an_error_that_the_flow_does_not_handle_leaves_it(drive: Drive) -> None:
    def fail(_: str) -> str:
        raise APIConnectionError("lost", request_sent=True)

    def flow() -> Flow[str, str, object]:
        return (yield Send("a"))

    with pytest.raises(APIConnectionError, match="lost"):
        await drive(flow(), fail)


async def test_any_other_error_is_no_answer_and_ends_the_flow(drive: Drive) -> None:
    ended: list[str] = []

    def fail(_: str) -> str:
        raise KeyError("a bug")

    def flow() -> Flow[str, str, object]:
        try:
            return (yield Send("a"))
        except CreatifyError:
            return "handled"
        finally:
            ended.append("ended")

    with pytest.raises(KeyError):
        await drive(flow(), fail)
    assert ended == ["ended"]
