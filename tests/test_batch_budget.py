"""The budget of a batch: never crossed, whatever is under way or unknown."""

from __future__ import annotations

import contextlib
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import hypothesis.strategies as st
import pytest
from batches import CREATE, LIST, Run, ask, asked_of, asks, results, statuses
from colours import KEYS, Colour
from hypothesis import given
from simulation import task as task_json

from creatify import APITimeoutError, CreatifyError, RateLimitError
from creatify._ledger import Ledger
from creatify._operations import model_of
from creatify._options import Options
from creatify._schedule import Schedule
from creatify.batch import BatchBudgetError, BatchProgress, BatchResult
from creatify.batch._engine import Engine, Plan, Start, Turn
from creatify.batch._flows import Context, Failed, Over, Refused
from creatify.batch._pace import Budget
from creatify.batch._settle import Doubt, Learned, Settled
from creatify.testing import Emulator, faults
from creatify_api.models import TextGenResponse

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def prompt_arrival(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy holds a request back."""
    monkeypatch.setattr("creatify.batch._settle.ARRIVES_WITHIN", 0.1)


@pytest.mark.parametrize("each", [None, 2.5])
async def test_a_budget_is_used_up_and_not_crossed(colour: Colour, each: float | None) -> None:
    with Emulator(pending=0.01, running=0.05, cost=2.5, **KEYS) as emulator:
        client = colour.client(base_url=emulator.url)
        run = Run(colour, client, asks(40), max_credits=26.0, credits_each=each)
        with pytest.raises(BatchBudgetError, match="25 of max_credits=26 are spent") as caught:
            await run.to_end()
        assert emulator.charges * 2.5 == 25.0
        assert statuses(run.results) == ["done"] * 10
        assert caught.value.progress.credits_used == 25.0
        assert "one more may cost 2.5" in str(caught.value)


async def test_the_first_is_sent_alone_until_its_cost_is_known(colour: Colour) -> None:
    with Emulator(pending=0.01, running=0.3, **KEYS) as emulator:
        client = colour.client(base_url=emulator.url)
        await results(colour, client, asks(6), max_credits=100)
        first, second, *_ = asked_of(emulator, CREATE)
        assert second.time - first.time > 0.3


async def test_unknown_outcomes_count_as_spent(colour: Colour) -> None:
    with Emulator(pending=0.01, running=0.01, **KEYS) as emulator:

        def fault_when(operation: str, body: Any) -> faults.Fault | None:
            if operation == LIST:
                return faults.status(404)
            said = body["messages"][0]["content"] if operation == CREATE else ""
            return faults.drop_answer() if said in {"Text 2.", "Text 5."} else None

        emulator.fault_when = fault_when
        client = colour.client(base_url=emulator.url)
        run = Run(colour, client, asks(20), max_credits=10, credits_each=1)
        with pytest.raises(BatchBudgetError, match="up to 2 may yet be for requests") as caught:
            await run.to_end()
        assert emulator.charges == 10
        assert statuses(run.results).count("unknown") == 2
        assert caught.value.progress.credits_reserved == 2


async def test_what_earlier_runs_spent_counts(colour: Colour, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    with Emulator(pending=0.01, running=0.01, **KEYS) as emulator:
        client = colour.client(base_url=emulator.url)
        for budget, charges in [(7, 7), (7, 7), (12, 12)]:
            run = Run(colour, client, asks(20), max_credits=budget, journal=journal)
            with pytest.raises(BatchBudgetError, match="the same journal goes on"):
                await run.to_end()
            assert emulator.charges == charges
            assert len(run.results) == charges
        found = await results(colour, client, asks(20), max_credits=20, journal=journal)
        assert statuses(found) == ["done"] * 20
        assert emulator.charges == 20


async def test_a_cost_that_the_api_does_not_tell_ends_a_batch_that_learns_it(
    colour: Colour,
) -> None:
    with Emulator(pending=0.01, running=0.01, **KEYS) as emulator:
        hidden = faults.merge({"credits_used": None})
        emulator.fault_when = lambda operation, _: None if operation == CREATE else hidden
        client = colour.client(base_url=emulator.url)
        run = Run(colour, client, asks(9), max_credits=100)
        with pytest.raises(BatchBudgetError, match="give credits_each"):
            await run.to_end()
        assert emulator.charges == 1
        again = Run(colour, client, asks(9), max_credits=5, credits_each=1.0)
        with pytest.raises(BatchBudgetError):
            await again.to_end()
        assert emulator.charges == 6


async def spend(colour: Colour, client: Any, count: int, **options: Any) -> BatchProgress:
    """One run within a budget; how far it got."""
    run = Run(colour, client, asks(count), credits_each=1.0, timeout=5.0, **options)
    with contextlib.suppress(BatchBudgetError):
        await run.to_end()
    assert run.progress is not None
    return run.progress


async def test_what_is_sent_again_and_again_at_ones_own_risk_does_not_cross_the_budget(
    colour: Colour, emulator: Emulator, tmp_path: Path
) -> None:
    """Each time the answers of three are lost, and they are paid for."""
    emulator.fault_when = lose_answers("Text 0.", "Text 1.", "Text 2.")
    client = colour.client(base_url=emulator.url)
    budget: dict[str, Any] = {"max_credits": 10.0, "journal": tmp_path / "journal"}
    for charges in (4, 7, 10, 10):
        seen = await spend(colour, client, 4, resend_unknown=charges > 4, **budget)
        assert emulator.charges == charges
        assert seen.credits_used == 1.0
        assert seen.credits_reserved == charges - 1.0
    await spend(colour, client, 20, **budget)
    assert emulator.charges == 10


async def test_a_request_that_was_sent_again_and_refused_may_still_have_cost_before(
    colour: Colour, emulator: Emulator, tmp_path: Path
) -> None:
    emulator.fault_when = lose_answers("Text 1.")
    client = colour.client(base_url=emulator.url)
    budget: dict[str, Any] = {"max_credits": 4.0, "journal": tmp_path / "journal"}
    await spend(colour, client, 2, **budget)
    assert emulator.charges == 2

    def refuse(operation: str, _: Any) -> faults.Fault:
        return faults.status(429, retry_after=60) if operation == CREATE else faults.status(404)

    emulator.fault_when = refuse
    with pytest.raises(RateLimitError):
        await spend(colour, client, 2, resend_unknown=True, **budget)
    emulator.fault_when = lose_answers()
    seen = await spend(colour, client, 9, **budget)
    assert (seen.unknown, seen.credits_used, seen.credits_reserved) == (1, 3.0, 1.0)
    assert emulator.charges == 4
    assert len(created_for(emulator, "Text 1.")) == 2


async def test_what_an_earlier_run_left_unknown_counts_as_spent(
    colour: Colour, emulator: Emulator, tmp_path: Path
) -> None:
    emulator.fault_when = lose_answers("Text 0.", "Text 1.", "Text 2.")
    client = colour.client(base_url=emulator.url)
    budget: dict[str, Any] = {"max_credits": 10.0, "journal": tmp_path / "journal"}
    await spend(colour, client, 4, **budget)
    seen = await spend(colour, client, 20, **budget)
    assert (seen.unknown, seen.credits_used, seen.credits_reserved) == (3, 7.0, 3.0)
    assert emulator.charges == 10


async def test_what_never_arrived_costs_nothing_in_this_run_and_in_the_next(
    colour: Colour, emulator: Emulator, tmp_path: Path
) -> None:
    client = colour.client(base_url=emulator.url)
    journal = tmp_path / "journal"
    emulator.tasks.add("Another's.", age=10_000)  # so far back does the list reach
    emulator.script(None, *[faults.reset()] * 3, operation=CREATE)
    for budget in (10.0, 13.0):
        seen = await spend(colour, client, 20, max_credits=budget, journal=journal)
        assert (seen.unknown, seen.credits_used, seen.credits_reserved) == (0, budget, 0.0)
        assert emulator.charges == budget


def lose_answers(*texts: str) -> Callable[[str, Any], faults.Fault | None]:
    """These are paid for each time and their answers lost; the list would tell, and is away."""

    def fault_when(operation: str, body: Any) -> faults.Fault | None:
        if operation == LIST:
            return faults.status(404)
        said = body["messages"][0]["content"] if operation == CREATE else ""
        return faults.drop_answer() if said in texts else None

    return fault_when


def created_for(emulator: Emulator, text: str) -> list[Any]:
    return [record for record in asked_of(emulator, CREATE) if text in str(record.body)]


def _task(number: int, cost: float | None, status: str) -> TextGenResponse:
    fields: dict[str, Any] = {} if cost is None else {"credits_used": cost}
    return model_of(TextGenResponse, task_json(number, status, **fields))


class Account:
    """An API that charges for whatever it may have acted on; no request costs more than `most`."""

    def __init__(self, data: st.DataObject, most: float) -> None:
        self._data = data
        self._most = most
        self.charged = 0.0
        self.now = 0.0

    def draw(self, *choices: Any) -> Any:
        return self._data.draw(st.sampled_from(choices))

    def meet(self, start: Start) -> Any:
        """What a job comes to; it is charged when it begins, as an API does."""
        assert start.asked is not None
        cost = self.draw(self._most, self._most / 2, 0.0)
        kind = self.draw(
            "done", "done", "failed", "untold", "unfinished", "lost", "busy", "bad", "broken"
        )
        asked = start.asked
        if kind in {"busy", "bad"}:
            busy = RateLimitError("no", status_code=429, body=b"", headers={})
            return Refused(
                asked, busy if kind == "busy" else CreatifyError("no"), self.now, self.now
            )
        self.charged += cost
        if kind == "lost":
            entry = LEDGER.begin(asked.request, asked.content)
            entry.is_lost = True
            error_ = APITimeoutError("silence", request_sent=True)
            return Doubt(asked, entry, datetime.now(UTC), 0, self.now, error_)
        if kind == "broken":
            return Failed(asked, ValueError("of the caller's"))
        task = _task(
            asked.index, None if kind == "untold" else cost, kind if kind == "failed" else "done"
        )
        if kind == "unfinished":
            return Over(asked, "unfinished", None, CreatifyError("late"))
        return Over(asked, "failed" if kind == "failed" else "done", task)

    def settle(self, doubts: list[Doubt], *, is_last: bool) -> Settled:
        adopted, open_ = [], []
        for doubt in doubts:
            if self.draw(True, False):
                adopted.append((doubt, _task(doubt.asked.index, None, "running")))
            else:
                open_.append(doubt)
        return Settled(adopted, [], open_, None, is_last)


LEDGER = Ledger()


@given(
    st.data(),
    st.integers(1, 6),
    st.sampled_from([1.0, 2.5, 7.0, 30.0, math.pi]),
    st.booleans(),
    st.booleans(),
)
def test_whatever_happens_a_budget_is_not_crossed(
    data: st.DataObject, concurrency: int, budget: float, ordered: bool, resend: bool
) -> None:
    account = Account(data, most=1.0)
    context = Context(Options(), 600.0, LEDGER, Schedule(), Learned())
    engine = Engine(
        asks(25),
        Plan(concurrency, ordered=ordered, timeout=600.0, resend_unknown=resend),
        Budget(budget, 1.0),
        context,
        clock=lambda: account.now,
    )
    running: list[Any] = []
    found: list[BatchResult] = []
    for _ in range(2000):
        step = engine.next()
        assert account.charged <= budget + 1e-9
        if step is None:
            break
        if isinstance(step, Turn):
            found.extend(step.results)
            account.now += step.seconds
            if running:
                engine.took([running.pop(data.draw(st.integers(0, len(running) - 1)))])
        elif step.asked is None:
            flow: Any = step.flow
            given_ = flow.gi_frame.f_locals
            running.append(account.settle(given_["doubts"], is_last=given_["is_last"]))
        elif getattr(step.flow, "__name__", "") == "watch":
            running.append(Over(step.asked, "done", _task(step.asked.index, 1.0, "done")))
        else:
            running.append(account.meet(step))
            assert len(running) <= concurrency + 1
    else:
        pytest.fail("the batch does not end")
    indexes = [result.index for result in found]
    assert len(set(indexes)) == len(indexes)
    if ordered:
        assert indexes == sorted(indexes)
    if engine.error is None:
        assert sorted(indexes) == list(range(25))
    assert engine.progress.in_flight == 0


def test_a_batch_without_a_budget_asks_for_none() -> None:
    assert Budget(None, None).allows(10**9)
    assert ask()["model_name"]
