"""A made-up time and API, under any number of flows that run at once."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

import httpx

from creatify import CreatifyError
from creatify._body import NotWorthError
from creatify._flow import Send, SendAll, Sleep, Wake

if TYPE_CHECKING:
    from collections.abc import Callable

    from creatify._operations import Call, Steps

RETRIEVE_SECONDS, LIST_SECONDS = 0.005, 0.02


@functools.cache
def task_id(number: int) -> UUID:
    return uuid5(UUID(int=0), str(number))


def task(number: int, status: str = "running", **fields: Any) -> dict[str, Any]:
    """A task as the API sends it, about a kilobyte."""
    base = {
        "id": str(task_id(number)),
        "model_name": "m",
        "messages": [{"role": "user", "content": "x" * 600}],
        "config": {},
        "status": status,
        "response_function_calls": [],
        "created_at": "2026-11-01T00:00:00Z",
        "updated_at": "2026-11-01T00:00:00Z",
    }
    return base | fields


class Running:
    """One flow: what it waits for, and what it ended with."""

    def __init__(self, flow: Steps[Any]) -> None:
        self.result: Any = None
        self.ended_at: float | None = None
        self.wake: Wake | None = None
        self.until = 0.0
        self.resume: Callable[[], Any] = lambda: next(flow)
        self.flow = flow


class Simulation:
    """Tasks 0, 1, 2, ... are done at the moments `ends`; `answer` may say otherwise."""

    def __init__(self, ends: list[float], history: int = 0) -> None:
        self.now = 0.0
        self.ends = ends
        self.sent: list[tuple[float, str]] = []  # when, and `list` or the id
        self.bytes = 0
        self._history = history
        self.answer: Callable[[str], Any] = self.said
        self._numbers = {str(task_id(number)): number for number in range(len(ends))}

    def clock(self) -> float:
        return self.now

    def said(self, what: str) -> Any:
        """The answer of an API without faults: to `list`, or to a task's id."""
        if what == "list":
            known = [self.said(task_id) for task_id in self._numbers]
            return known + [task(-1 - number, "done") for number in range(self._history)]
        number = self._numbers[what]
        return task(number, "done" if self.now >= self.ends[number] else "running")

    def run(self, *flows: Steps[Any]) -> list[Running]:
        """Run the flows until each has ended; an error that ends one is its result."""
        running = [Running(flow) for flow in flows]
        while open_ := [one for one in running if one.ended_at is None]:
            rung = [one for one in open_ if one.wake is not None and one.wake.rung.is_set()]
            one = rung[0] if rung else min(open_, key=lambda one: one.until)
            self.now = max(self.now, one.until if not rung else self.now)
            self._move(one)
        return running

    def only(self, flow: Steps[Any]) -> Any:
        """What a flow returns. Raises what it raises."""
        [one] = self.run(flow)
        if isinstance(one.result, BaseException):
            raise one.result
        return one.result

    def _move(self, one: Running) -> None:
        try:
            step = one.resume()
        except StopIteration as end:
            one.result, one.ended_at = end.value, self.now
        except CreatifyError as error:
            one.result, one.ended_at = error, self.now
        else:
            if isinstance(step, Sleep):
                assert step.seconds >= 0
                one.wake, one.until = step.wake, self.now + step.seconds
                one.resume = lambda: one.flow.send(None)  # type: ignore[arg-type]  # as run does
            else:
                self._send(one, step)

    def _send(self, one: Running, step: Send[Call] | SendAll[Call]) -> None:
        calls = [step.request] if isinstance(step, Send) else list(step.requests)
        met = [self._meet(call) for call in calls]
        one.wake = None
        one.until = self.now + max(seconds for _, seconds in met)
        if isinstance(step, SendAll):
            found: Any = [answer for answer, _ in met]
            one.resume = lambda: one.flow.send(found)
            return
        [(answer, _)] = met
        if isinstance(answer, BaseException):
            one.resume = lambda: one.flow.throw(answer)
        else:
            one.resume = lambda: one.flow.send(answer)

    def _meet(self, call: Call) -> tuple[httpx.Response | BaseException, float]:
        what = call.path.rstrip("/").rpartition("/")[2]
        what = what if what in self._numbers else "list"
        self.sent.append((self.now, what))
        seconds = LIST_SECONDS if what == "list" else RETRIEVE_SECONDS
        said = self.answer(what)
        if isinstance(said, BaseException):
            return said, seconds
        status, headers = 200, {}
        if isinstance(said, tuple):
            status, headers, said = said
        response = httpx.Response(status, json=said, headers=headers)
        size = len(response.content)
        if size > (call.worth or math.inf):
            return NotWorthError(size), seconds
        self.bytes += size
        return response, seconds
