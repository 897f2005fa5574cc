"""Requests of a batch whose answers were lost: what is theirs, and when they are sent again."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from batches import CREATE, LIST, ask, asked_of, asks, by_index, results, statuses

from creatify import OutcomeUnknownError
from creatify._ledger import _ledgers
from creatify.testing import Emulator, faults

if TYPE_CHECKING:
    from pathlib import Path

    from colours import Colour

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def prompt_arrival(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy holds a request back."""
    monkeypatch.setattr("creatify.batch._settle.ARRIVES_WITHIN", 0.1)


async def test_each_unknown_request_is_sent_again_once_in_a_run_that_is_to(
    colour: Colour, emulator: Emulator, tmp_path: Path
) -> None:
    """Their answers are lost each time, and they are paid for each time."""

    def fault_when(operation: str, body: Any) -> faults.Fault | None:
        if operation == LIST:
            return faults.status(404)
        is_lost = operation == CREATE and ("Text 1." in str(body) or "Text 3." in str(body))
        return faults.drop_answer() if is_lost else None

    emulator.fault_when = fault_when
    client = colour.client(base_url=emulator.url)
    for charges, resend in [(8, True), (8, False), (10, True)]:
        found = await results(
            colour,
            client,
            asks(6),
            journal=tmp_path / "journal",
            resend_unknown=resend,
            timeout=3.0,
        )
        assert statuses(found) == ["done", "unknown", "done", "unknown", "done", "done"]
        assert emulator.charges == charges
    asked = [record.body["messages"][0]["content"] for record in asked_of(emulator, CREATE)]
    assert [asked.count(f"Text {number}.") for number in range(6)] == [1, 3, 1, 3, 1, 1]


@pytest.mark.parametrize(("lost", "ahead"), [(0, 3.0), (3, 3.0), (3, -3.0)])
async def test_a_request_that_arrived_is_not_sent_again_whatever_the_clock_said_when_it_was_sent(
    colour: Colour, emulator: Emulator, tmp_path: Path, lost: int, ahead: float
) -> None:
    """With tasks that are known to be older, and without."""
    client = colour.client(base_url=emulator.url)
    journal = tmp_path / "journal"
    await results(colour, client, asks(5), journal=journal, concurrency=1)
    as_if_killed(journal, lost, ahead=timedelta(hours=ahead))
    again = by_index(await results(colour, client, asks(5), journal=journal))
    assert {result.status for result in again if result.index != lost} == {"done"}
    assert emulator.charges == 5
    assert again[lost].status == "unknown"
    assert isinstance(again[lost].error, OutcomeUnknownError)


async def test_the_first_request_is_not_sent_again_on_the_word_of_a_list_that_is_cut_behind_it(
    colour: Colour, emulator: Emulator, tmp_path: Path
) -> None:
    client = colour.client(base_url=emulator.url)
    journal = tmp_path / "journal"
    found = by_index(await results(colour, client, asks(5), journal=journal, concurrency=1))
    as_if_killed(journal, 0, ahead=timedelta(0))
    del emulator.tasks._tasks[str(found[0].unwrap().id)]  # the list has the last four
    again = by_index(await results(colour, client, asks(5), journal=journal))
    assert again[0].status == "unknown"
    assert emulator.charges == 5


@pytest.mark.parametrize("lost", [0, 3])
async def test_a_task_of_much_later_is_not_that_of_a_request_that_never_arrived(
    colour: Colour, emulator: Emulator, tmp_path: Path, lost: int
) -> None:
    """The batch ran 8 hours ago; today somebody else asked the same."""
    client = colour.client(base_url=emulator.url)
    journal = tmp_path / "journal"
    found = by_index(await results(colour, client, asks(5), journal=journal, concurrency=1))
    del emulator.tasks._tasks[str(found[lost].unwrap().id)]
    for task in emulator.tasks.values():
        task.created_at -= 8 * 3600
    as_if_killed(journal, lost, ahead=timedelta(hours=-8))
    foreign = emulator.tasks.add(f"Text {lost}.")
    again = by_index(await results(colour, client, asks(5), journal=journal))
    assert again[lost].task is None
    assert again[lost].status == "unknown"
    error = again[lost].error
    assert isinstance(error, OutcomeUnknownError)
    assert [str(task.id) for task in error.candidates] == [foreign.id]
    assert emulator.charges == 5


async def test_no_two_results_share_a_task_that_is_remembered_no_more(
    colour: Colour, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of two that are the same never arrives, and the list is away until the end."""
    monkeypatch.setattr("creatify._ledger.REMEMBERED", 3)

    lost = iter([faults.reset()])

    def fault_when(operation: str, body: Any) -> faults.Fault | None:
        if operation == LIST and emulator.charges < 11:
            return faults.status(500)
        return next(lost, None) if operation == CREATE and "same" in str(body) else None

    emulator.fault_when = fault_when
    client = colour.client(base_url=emulator.url)
    same = [ask("The same text.")] * 2
    found = by_index(await results(colour, client, [*same, *asks(10)], concurrency=3))
    assert statuses(found)[2:] == ["done"] * 10
    tasks = [result.task.id for result in found if result.task is not None]
    assert len(set(tasks)) == len(tasks)
    assert emulator.charges == statuses(found).count("done")


def as_if_killed(journal: Path, index: int, *, ahead: timedelta) -> None:
    """As a process leaves it that was killed before the answer, and whose clock was ahead."""
    lines = [json.loads(line) for line in journal.read_bytes().splitlines()]
    kept = [line for line in lines if line.get("index") != index or "intent" in line]
    for line in kept:
        if "at" in line:
            line["at"] = (datetime.fromisoformat(line["at"]) + ahead).isoformat()
    journal.write_text("".join(json.dumps(line) + "\n" for line in kept))
    _ledgers.clear()  # what another process would not know
