"""Several runs of a batch with one journal, killed at any step, against a made-up API.

The real engine, flows, settlement and journal, in one thread: which of the jobs goes on next, what
the API does and when the process is killed is drawn. Nobody sleeps.
"""

from __future__ import annotations

import json
import math
import os
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import httpx
import hypothesis.strategies as st
import pytest
from batches import prompts
from hypothesis import given, settings
from simulation import task as task_json

from creatify import APITimeoutError, CreatifyError
from creatify._flow import Send, SendAll, Sleep
from creatify._ledger import Ledger
from creatify._options import Options
from creatify._schedule import Schedule
from creatify.batch import BatchBudgetError, BatchResult
from creatify.batch._engine import Engine, Plan, Turn
from creatify.batch._flows import Context
from creatify.batch._journal import Journal, Write
from creatify.batch._pace import Budget
from creatify.batch._settle import Learned

if TYPE_CHECKING:
    from creatify._operations import Call

COUNT = 6


@dataclass
class World:
    """The API: what it was paid for, and how often it fails. Its list has all tasks."""

    random: random.Random
    lost: float
    arrives: float  # of those
    refused: float
    list_fails: float
    tasks: list[dict[str, Any]] = field(default_factory=list)
    paid: Counter[str] = field(default_factory=Counter)

    def meet(self, call: Call) -> httpx.Response | CreatifyError:
        if call.method == "POST":
            return self._create(json.loads(call.content or b""))
        name = call.path.rstrip("/").rpartition("/")[2]
        found = [task for task in self.tasks if task["id"] == name]
        if found:
            return httpx.Response(200, json=found[0])
        if self.random.random() < self.list_fails:
            return httpx.Response(500)
        return httpx.Response(200, json=self.tasks[::-1])

    def _create(self, body: dict[str, Any]) -> httpx.Response | CreatifyError:
        if self.random.random() < self.refused:
            code = self.random.choice([429] * 8 + [400, 402])
            return httpx.Response(code, headers={"retry-after": "0"})
        lost = APITimeoutError("silence", request_sent=True)
        is_lost = self.random.random() < self.lost
        if is_lost and self.random.random() >= self.arrives:
            return lost
        status = self.random.choice(["done", "done", "failed"])
        now = datetime.now(UTC).isoformat()
        cost = self.random.choice([0.5, 1.0, 1.0, 1.0])
        task = task_json(len(self.tasks), status, created_at=now, credits_used=cost, **body)
        self.tasks.append(task)
        self.paid[body["messages"][0]["content"]] += 1
        return lost if is_lost else httpx.Response(201, json=task)

    @property
    def charged(self) -> float:
        return math.fsum(task["credits_used"] for task in self.tasks)


class Job:
    """A flow that runs, and what it waits for."""

    def __init__(self, flow: Any) -> None:
        self._flow = flow
        self._step: Any = next(flow)

    def go_on(self, world: World) -> Any:
        """Do what it waits for; what came of the flow, if that ends it."""
        try:
            self._step = self._resume(world)
        except StopIteration as end:
            return end.value
        return None

    def _resume(self, world: World) -> Any:
        match self._step:
            case Sleep():
                return self._flow.send(None)
            case SendAll(requests):
                return self._flow.send([world.meet(call) for call in requests])
            case Send(Write() as write):
                write.do()
                return self._flow.send(None)
        answer = world.meet(self._step.request)
        if isinstance(answer, CreatifyError):
            return self._flow.throw(answer)
        return self._flow.send(answer)


def run_once(world: World, path: Path, plan: Plan, most: float, killed: float) -> list[BatchResult]:
    """One process: until the batch is over, or the process is killed."""
    budget = Budget(most, 1.0)
    journal = Journal(path, "u", budget.charge)
    found, ledger, skipped = journal.found, Ledger(), 0.0
    for task_id in found.learned:
        ledger.give(task_id)
    learned = Learned(found.learned, found.lines)
    engine = Engine(
        prompts(COUNT),
        plan,
        budget,
        Context(Options(), 600.0, ledger, Schedule(), learned, journal),
        clock=lambda: time.monotonic() + skipped,
    )
    jobs: list[Job] = []
    results: list[BatchResult] = []
    try:
        for _ in range(3000):
            step = engine.next()
            if step is None:
                break
            if isinstance(step, Turn):
                results.extend(step.results)
                skipped += step.seconds
                if jobs:
                    job = world.random.choice(jobs)
                    if (outcome := job.go_on(world)) is not None:
                        jobs.remove(job)
                        engine.took([outcome])
                assert world.charged <= most
                if world.random.random() < killed:
                    return results
            else:
                jobs.append(Job(step.flow))
        else:
            pytest.fail("the batch does not end")
    finally:
        journal.close()
    assert isinstance(engine.error, BatchBudgetError | CreatifyError | None)
    indexes = [result.index for result in results]
    assert len(set(indexes)) == len(indexes)
    if engine.error is None:
        assert sorted(indexes) == list(range(COUNT))
    return results


@pytest.mark.unmeasured
@given(st.integers(0, 2**64))
@settings(max_examples=200)
def test_over_any_runs_no_budget_is_crossed_and_nothing_is_paid_for_twice(seed: int) -> None:
    chance = random.Random(seed)
    world = World(
        chance,
        lost=chance.choice([0.0, 0.1, 0.5, 0.9]),
        arrives=chance.choice([0.0, 0.5, 1.0, 1.0]),
        refused=chance.choice([0.0, 0.1, 0.4]),
        list_fails=chance.choice([0.0, 0.3, 1.0, 1.0]),
    )
    resend = chance.random() < 0.5
    most, given_to = chance.choice([2.5, 8.0]), dict[int, Any]()
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        patch.setattr("creatify.batch._settle.ARRIVES_WITHIN", 0.1)
        for _ in range(5):
            plan = Plan(chance.choice([1, 3, 6]), chance.random() < 0.5, 600.0, resend)
            killed = chance.choice([0.0, 0.01, 0.1])
            found = run_once(world, Path(folder) / "journal", plan, most, killed)
            for result in found:
                if result.task is not None:
                    assert given_to.setdefault(result.index, result.task.id) == result.task.id
            assert len(set(given_to.values())) == len(given_to)
            most += chance.choice([0.0, 2.0])
    if not resend:
        assert world.paid <= Counter(str(r["messages"][0].content) for r in prompts(COUNT))
