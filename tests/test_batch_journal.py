"""The journal of a batch: what it has is never paid for again; what it can't be is an error."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from batches import CREATE, LIST, Run, ask, asked_of, asks, by_index, results, statuses
from colours import KEYS, Colour

from creatify import AuthenticationError, Creatify, OutcomeUnknownError
from creatify._ledger import _ledgers
from creatify.batch import Batch, BatchResult, JournalError, _journal
from creatify.testing import Emulator, faults

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def prompt_arrival(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy holds a request back."""
    monkeypatch.setattr("creatify.batch._settle.ARRIVES_WITHIN", 0.1)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "batch.journal"


@pytest.fixture
def client(emulator: Emulator) -> Iterator[Creatify]:
    with Creatify(base_url=emulator.url, **KEYS) as made:
        yield made


def lines(journal: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in journal.read_bytes().splitlines()]


def drop(journal: Path, *kinds: str, index: int) -> None:
    """Take lines of one request out, as if it had been killed before they were written."""
    kept = [
        line
        for line in journal.read_bytes().splitlines(keepends=True)
        if not (json.loads(line).get("index") == index and set(kinds) & json.loads(line).keys())
    ]
    journal.write_bytes(b"".join(kept))


async def test_what_is_over_is_not_asked_for_again(
    colour: Colour, emulator: Emulator, journal: Path
) -> None:
    def fail_when(body: Any) -> str | None:
        return "unsafe" if "Text 2." in str(body) else None

    emulator.fail_when = fail_when
    client = colour.client(base_url=emulator.url)
    first = by_index(await results(colour, client, asks(6), journal=journal))
    emulator.requests.clear()
    run = Run(colour, client, asks(6), journal=journal)
    again = by_index(await run.to_end())
    assert [result.to_dict() for result in again] == [result.to_dict() for result in first]
    assert statuses(again) == ["done", "done", "failed", "done", "done", "done"]
    assert emulator.requests == []
    assert run.batch.progress.resumed == 6
    assert run.batch.progress.credits_used == emulator.charges == 6


def test_each_step_is_in_the_journal_for_its_owner_alone(client: Creatify, journal: Path) -> None:
    [result] = Batch(client, asks(1), journal=journal)
    header, intent, created, over = lines(journal)
    assert header["creatify_batch"] == 1
    assert intent.keys() == {"index", "intent", "at"}
    assert created == {"index": 0, "id": str(result.unwrap().id)}
    assert over == {"index": 0, "task": result.unwrap().to_dict()}
    assert journal.stat().st_mode & 0o777 == 0o600


def test_the_intent_is_on_the_disk_before_the_request_is_sent(
    client: Creatify, journal: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = 0
    real = os.fsync

    def fsync(number: int) -> None:
        nonlocal synced
        real(number)
        synced = journal.stat().st_size

    monkeypatch.setattr("os.fsync", fsync)
    seen: list[bytes] = []

    def fault_when(operation: str, _: Any) -> None:
        if operation == CREATE:
            seen.append(journal.read_bytes()[:synced])

    emulator.fault_when = fault_when
    list(Batch(client, asks(1), journal=journal))
    assert [b'"intent"' in found for found in seen] == [True]


async def test_a_task_that_was_paid_for_is_waited_for_by_its_id(
    colour: Colour, emulator: Emulator, journal: Path
) -> None:
    client = colour.client(base_url=emulator.url)
    first = by_index(await results(colour, client, asks(5), journal=journal))
    drop(journal, "task", index=3)
    emulator.requests.clear()
    again = by_index(await results(colour, client, asks(5), journal=journal, ordered=True))
    assert [result.unwrap().id for result in again] == [result.unwrap().id for result in first]
    assert emulator.charges == 5
    assert asked_of(emulator, CREATE) == []


async def test_an_intent_without_an_id_is_looked_up_in_the_list(
    colour: Colour, emulator: Emulator, journal: Path
) -> None:
    client = colour.client(base_url=emulator.url)
    same = [ask("The same text.") for _ in range(6)]
    first = by_index(await results(colour, client, same, journal=journal))
    for index in (1, 2, 4):
        drop(journal, "id", "task", index=index)
    forget_process()
    emulator.requests.clear()
    again = by_index(await results(colour, client, same, journal=journal))
    assert {r.unwrap().id for r in again} == {r.unwrap().id for r in first}
    assert emulator.charges == 6
    assert len(asked_of(emulator, LIST)) == 1


async def test_an_intent_that_never_arrived_is_sent_when_the_list_has_all_others(
    colour: Colour, emulator: Emulator, journal: Path
) -> None:
    emulator.tasks.add("Another's.", age=10_000)  # so far back does the list reach
    client = colour.client(base_url=emulator.url)
    first = by_index(await results(colour, client, asks(5), journal=journal))
    drop(journal, "id", "task", index=3)
    del emulator.tasks._tasks[str(first[3].unwrap().id)]
    forget_process()
    again = by_index(await results(colour, client, asks(5), journal=journal))
    assert statuses(again) == ["done"] * 5
    assert emulator.charges == 6
    assert again[3].unwrap().id != first[3].unwrap().id


@pytest.mark.unmeasured
@pytest.mark.parametrize("left", ["none", "foreign", "newest", "cut"])
async def test_an_intent_is_not_sent_again_on_the_word_of_a_list_that_is_cut(
    colour: Colour, emulator: Emulator, journal: Path, left: str
) -> None:
    client = colour.client(base_url=emulator.url)
    first = by_index(await results(colour, client, asks(5), journal=journal, concurrency=1))
    drop(journal, "id", "task", index=3)
    if left == "newest":  # all that was created later, and nothing before
        for result in first[:4]:
            del emulator.tasks._tasks[str(result.unwrap().id)]
    elif left == "cut":  # the newest of those that this batch knows is still there
        for result in first[:4]:
            del emulator.tasks._tasks[str(result.unwrap().id)]
        drop(journal, "intent", "id", "task", index=4)
        assert len(emulator.tasks) == 1
    else:
        emulator.tasks.clear()
    if left == "foreign":
        emulator.tasks.add("Another's.", age=10_000)
    forget_process()
    requests = asks(4) if left == "cut" else asks(5)
    again = by_index(await results(colour, client, requests, journal=journal))
    assert again[3].status == "unknown"
    assert isinstance(again[3].error, OutcomeUnknownError)
    assert "nor shows that it would" in str(again[3].error)
    assert emulator.charges == 5


async def test_a_task_that_fits_but_for_the_time_keeps_a_request_from_being_sent_again(
    colour: Colour, emulator: Emulator, journal: Path
) -> None:
    """The clock of this machine may have been set back meanwhile."""
    client = colour.client(base_url=emulator.url)
    await results(colour, client, asks(3), journal=journal)
    drop(journal, "id", "task", index=1)
    [lost] = [task for task in emulator.tasks.values() if "Text 1." in str(task.request)]
    lost.created_at -= 600
    forget_process()
    again = by_index(await results(colour, client, asks(3), journal=journal))
    assert statuses(again) == ["done", "unknown", "done"]
    assert emulator.charges == 3


async def test_a_clock_that_is_wrong_all_the_time_does_not_matter(
    colour: Colour, emulator: Emulator, journal: Path
) -> None:
    emulator.clock.advance(-1000)
    client = colour.client(base_url=emulator.url)
    await results(colour, client, asks(3), journal=journal)
    drop(journal, "id", "task", index=1)
    forget_process()
    again = await results(colour, client, asks(3), journal=journal)
    assert statuses(again) == ["done"] * 3
    assert emulator.charges == 3


def test_what_was_refused_is_sent_again(
    client: Creatify, emulator: Emulator, journal: Path
) -> None:
    emulator.script(None, faults.status(400), operation=CREATE)
    assert sorted(r.status for r in Batch(client, asks(3), journal=journal, concurrency=1)) == [
        "done",
        "done",
        "rejected",
    ]
    assert statuses(Batch(client, asks(3), journal=journal)) == ["done"] * 3
    assert emulator.charges == 3


def test_a_batch_that_was_left_goes_on(client: Creatify, emulator: Emulator, journal: Path) -> None:
    emulator.running = 0.3
    for result in Batch(client, asks(20), journal=journal, concurrency=5):
        assert result.status == "done"
        break
    found = list(Batch(client, asks(20), journal=journal, ordered=True))
    assert [result.index for result in found] == list(range(20))
    assert emulator.charges == 20


@pytest.mark.parametrize(
    "changed",
    [
        [*asks(2), ask("Another."), *asks(5)[3:]],
        asks(3),
        [*asks(2), {"model_name": "m"}, *asks(5)[3:]],
        [],
    ],
)
def test_other_requests_than_before_are_an_error_before_anything_is_paid(
    client: Creatify, emulator: Emulator, journal: Path, changed: list[Any]
) -> None:
    emulator.script(*[None] * 3, faults.status(400), operation=CREATE)
    list(Batch(client, asks(5), journal=journal, concurrency=1))
    before = journal.read_bytes()
    with pytest.raises(JournalError, match="is of other requests"):
        list(
            Batch(
                client,
                [*changed[:4], ask("New.")] if len(changed) > 3 else changed,
                journal=journal,
            )
        )
    assert emulator.charges == 4
    assert journal.read_bytes() == before


def test_no_result_is_given_before_all_of_a_list_is_held_against_the_journal(
    client: Creatify, journal: Path
) -> None:
    list(Batch(client, asks(20), journal=journal))
    for changed in ([*asks(19), ask("Another.")], asks(19)):
        assert next(iter(Batch(client, iter(changed), journal=journal))).status == "done"
        with pytest.raises(JournalError, match="request 19, counted from 0"):
            next(iter(Batch(client, changed, journal=journal)))


@pytest.mark.parametrize("changed", [[*asks(4), ask("Another.")], asks(4)])
def test_what_comes_one_by_one_is_held_against_the_journal_as_it_comes(
    client: Creatify, emulator: Emulator, journal: Path, changed: list[Any]
) -> None:
    list(Batch(client, asks(5), journal=journal))
    found: list[BatchResult] = []
    with pytest.raises(JournalError, match="request 4, counted from 0"):
        found.extend(Batch(client, iter(changed), journal=journal))
    assert sorted(result.index for result in found) == [0, 1, 2, 3]
    assert emulator.charges == 5


def test_more_requests_than_before_go_on(
    client: Creatify, emulator: Emulator, journal: Path
) -> None:
    list(Batch(client, asks(3), journal=journal))
    assert statuses(Batch(client, asks(5), journal=journal)) == ["done"] * 5
    assert emulator.charges == 5


def test_a_last_line_that_is_torn_at_any_byte_is_cut_off(
    client: Creatify, emulator: Emulator, journal: Path
) -> None:
    list(Batch(client, asks(2), journal=journal, concurrency=1))
    whole = journal.read_bytes()
    *_, created, over = whole.splitlines(keepends=True)
    places = [
        *range(len(whole) - len(over), len(whole), 37),
        *range(len(whole) - len(over) - len(created), len(whole) - len(over)),
    ]
    for place in places:
        journal.write_bytes(whole[:place])
        forget_process()
        assert statuses(Batch(client, asks(2), journal=journal)) == ["done", "done"]
        assert all(lines(journal))
    assert emulator.charges == 2


def test_every_prefix_of_a_journal_is_read(journal: Path, client: Creatify) -> None:
    list(Batch(client, asks(2), journal=journal, concurrency=1))
    whole = journal.read_bytes()
    base_url = lines(journal)[0]["base_url"]
    for place in range(len(whole)):
        journal.write_bytes(whole[:place])
        opened = _journal.Journal(journal, base_url, lambda _: None)
        opened.close()
        kept = whole[:place].rpartition(b"\n")
        header = whole.splitlines(keepends=True)[0]
        assert journal.read_bytes() == (kept[0] + kept[1] or header)


@pytest.mark.parametrize(
    ("damage", "number"),
    [
        (b'{"index": 0, "int\x00\n', 2),
        (b"[]\n", 2),
        (b'{"index": 7, "id": "b7e2a9a0-3d0f-4b0e-9a2e-000000000000"}\n', 2),
        (b'{"index": 0, "intent": "x", "at": "yesterday"}\n', 2),
        (b'{"index": 0}\n', 2),
        (b"\n", 2),
    ],
)
def test_any_other_damage_is_an_error_with_its_line(
    client: Creatify, emulator: Emulator, journal: Path, damage: bytes, number: int
) -> None:
    list(Batch(client, asks(1), journal=journal))
    header, *rest = journal.read_bytes().splitlines(keepends=True)
    damaged = b"".join([header, damage, *rest])
    journal.write_bytes(damaged)
    with pytest.raises(JournalError, match=f"is damaged in line {number}"):
        list(Batch(client, asks(1), journal=journal))
    assert journal.read_bytes() == damaged
    assert emulator.charges == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"my dear diary", "is no journal"),
        (b"my dear diary\n", "is no journal"),
        (b'{"my": "file"}\n', "is no journal"),
        (b'{"creatify_batch": 9, "base_url": "https://x"}\n', "was begun with"),
        (b'{"creatify_batch": 1, "base_url": "https://x"}\n', "was begun with"),
    ],
)
def test_another_file_is_left_as_it_is(
    client: Creatify, journal: Path, content: bytes, says: str
) -> None:
    journal.write_bytes(content)
    with pytest.raises(JournalError, match=says):
        list(Batch(client, asks(1), journal=journal))
    assert journal.read_bytes() == content


@pytest.mark.parametrize("path", ["none/journal", "", "a\0b", "."])
def test_a_journal_that_can_not_be_is_an_error_before_anything_is_paid(
    client: Creatify, emulator: Emulator, tmp_path: Path, path: str
) -> None:
    with pytest.raises(JournalError, match="can't be opened"):
        list(Batch(client, asks(1), journal=f"{tmp_path}/{path}"))
    assert emulator.charges == 0


def test_two_batches_do_not_share_a_journal(client: Creatify, journal: Path) -> None:
    first = iter(Batch(client, asks(2), journal=journal))
    next(first)
    with pytest.raises(JournalError, match="another process has it, or a batch"):
        list(Batch(client, asks(2), journal=journal))
    assert len(list(first)) == 1
    assert len(list(Batch(client, asks(2), journal=journal))) == 2


def test_a_process_that_is_killed_leaves_no_lock(journal: Path) -> None:
    program = f"""
import os, signal
from creatify.batch._journal import Journal
Journal({str(journal)!r}, "u", print)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", program], check=False, env=os.environ)
    assert done.returncode == -9
    _journal.Journal(journal, "u", lambda _: None).close()


@pytest.mark.parametrize("room", [1, 2, 3, 4, 7, 12])
async def test_a_disk_that_is_full_stops_new_requests_and_loses_none(
    colour: Colour, emulator: Emulator, journal: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    client = colour.client(base_url=emulator.url)

    def fsync(_: int) -> None:
        nonlocal room
        room -= 1
        if room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")

    emulator.tasks.add("Another's.", age=10_000)  # so far back does the list reach
    monkeypatch.setattr("os.fsync", fsync)
    run = Run(colour, client, asks(30), journal=journal, concurrency=3)
    with pytest.raises(JournalError, match="No space left on device"):
        await run.to_end()
    assert len(run.results) == emulator.charges < 30
    assert {result.status for result in run.results} <= {"done"}
    monkeypatch.undo()
    monkeypatch.setattr("creatify._reconcile.DELAYS", (0.0, 0.01, 0.02))
    monkeypatch.setattr("creatify.batch._settle.ARRIVES_WITHIN", 0.1)
    forget_process()
    again = await results(colour, client, asks(30), journal=journal)
    assert statuses(again) == ["done"] * 30
    assert emulator.charges == 30


def test_a_journal_that_can_not_be_begun_is_an_error(
    client: Creatify, emulator: Emulator, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("os.fsync", fsync)
    with pytest.raises(JournalError, match="can't be written: Input/output error"):
        list(Batch(client, asks(1), journal=journal))
    assert emulator.charges == 0


def test_lines_of_threads_that_meet_share_an_fsync(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = _journal.Journal(journal, "u", lambda _: None)
    synced, begin = 0, threading.Barrier(20)

    def fsync(_: int) -> None:
        nonlocal synced
        synced += 1
        threading.Event().wait(0.05)

    monkeypatch.setattr("os.fsync", fsync)

    def write(index: int) -> None:
        begin.wait()
        opened.write(_journal.refused(index))
        assert f'"index": {index},'.encode() in journal.read_bytes()

    threads = [threading.Thread(target=write, args=[index]) for index in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    opened.close()
    assert synced <= 4
    assert len(lines(journal)) == 21


def test_nothing_is_written_after_the_end(journal: Path) -> None:
    opened = _journal.Journal(journal, "u", lambda _: None)
    opened.close()
    opened.write(_journal.refused(0))
    assert len(lines(journal)) == 1


def forget_process() -> None:
    """Forget what this process was given, as another would not know it."""
    _ledgers.clear()


def test_an_error_on_the_way_leaves_what_is_over_to_be_delivered_and_begins_nothing(
    client: Creatify, emulator: Emulator, journal: Path
) -> None:
    emulator.script(None, None, faults.status(400), operation=CREATE)
    list(Batch(client, asks(4), journal=journal, concurrency=1))
    for index in (0, 1):
        drop(journal, "task", index=index)
    emulator.script(faults.status(401), operation="sse_text_generator_retrieve")
    found: list[BatchResult] = []
    batch = Batch(client, asks(4), journal=journal, concurrency=1)
    ended: AuthenticationError | None = None
    try:
        for result in batch:
            found.append(result)  # noqa: PERF402 - those before the error matter
    except AuthenticationError as error:
        ended = error
    assert ended is not None
    assert sorted((result.index, result.status) for result in found) == [
        (0, "unfinished"),
        (1, "done"),
        (3, "done"),
    ]
    assert emulator.charges == 3
