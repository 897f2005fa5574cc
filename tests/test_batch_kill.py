"""A batch that is killed at any instant, and gone on with: all is there and paid for once."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from batches import prompt
from colours import KEYS

from creatify.testing import Emulator, faults

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
PROMPTS, KILLS = 2000, 20


@contextmanager
def _worker(kind: str, emulator: Emulator, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    files = [str(folder / name) for name in ("journal", "out")]
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    with subprocess.Popen(
        [sys.executable, HERE / "batch_worker.py", kind, emulator.url, str(PROMPTS), *files],
        env={**os.environ, "PYTHONPATH": path},
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _killed_again_and_again(kind: str, emulator: Emulator, folder: Path) -> list[dict[str, Any]]:
    """The results of a batch that was killed at work, and of some that were before they were."""
    dice = random.Random(20261122)
    charges = [0]
    # What an account has: without it no list shows that the first request never arrived.
    emulator.tasks.add("Another's.", age=10_000)
    for number in range(KILLS):
        with _worker(kind, emulator, folder) as process:
            if number % 5:
                _wait_for(emulator, charges[-1] + dice.randint(1, 90))
                time.sleep(dice.uniform(0.0, 0.05))
            else:
                time.sleep(dice.uniform(0.2, 1.2))
            charges.append(emulator.charges)
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
    at_work = sum(0 < before < after < PROMPTS for before, after in pairwise(charges))
    assert at_work >= KILLS * 0.75
    with _worker(kind, emulator, folder) as process:
        assert process.wait(timeout=120) == 0
    results: list[dict[str, Any]] = json.loads((folder / "out").read_text())
    return results


def _wait_for(emulator: Emulator, charges: int) -> None:
    deadline = time.monotonic() + 20
    while emulator.charges < charges and time.monotonic() < deadline:
        time.sleep(0.001)


def _is_whole(results: list[dict[str, Any]], emulator: Emulator) -> None:
    assert [result["index"] for result in results] == list(range(PROMPTS))
    assert {result["status"] for result in results} == {"done"}
    said = [result["task"]["messages"][0]["content"] for result in results]
    assert said == [prompt(number) for number in range(PROMPTS)]
    assert len({result["task"]["id"] for result in results}) == PROMPTS
    assert emulator.charges == PROMPTS


@pytest.mark.slow
def test_2000_prompts_killed_20_times_have_2000_results_in_order_and_are_charged_once(
    tmp_path: Path,
) -> None:
    with Emulator(pending=0.02, running=0.05, credits=1e9, **KEYS) as emulator:
        _is_whole(_killed_again_and_again("Batch", emulator, tmp_path), emulator)


@pytest.mark.slow
def test_the_same_holds_where_one_answer_in_ten_is_dropped(tmp_path: Path) -> None:
    dice = random.Random(20261123)

    def fault_when(operation: str, _: Any) -> faults.Fault | None:
        is_paid = operation == "sse_text_generator_create"
        return faults.drop_answer() if is_paid and dice.random() < 0.1 else None

    with Emulator(
        pending=0.02, running=0.05, credits=1e9, fault_when=fault_when, **KEYS
    ) as emulator:
        _is_whole(_killed_again_and_again("AsyncBatch", emulator, tmp_path), emulator)
        dropped = [record for record in emulator.requests if record.fault == "drop_answer"]
        assert len(dropped) > PROMPTS / 20


@pytest.mark.usefixtures("interruptible")
def test_a_batch_that_is_interrupted_has_the_answers_to_what_it_was_sending(
    tmp_path: Path,
) -> None:
    with Emulator(pending=0.02, running=30, credits=1e9, **KEYS) as emulator:
        with _worker("Batch", emulator, tmp_path) as process:
            _wait_for(emulator, 10)
            process.send_signal(signal.SIGINT)
            process.wait(timeout=10)
        lines = [json.loads(line) for line in (tmp_path / "journal").read_bytes().splitlines()]
        known = [line["index"] for line in lines if "id" in line]
        assert len(known) == len({line.get("id") for line in lines} - {None}) == emulator.charges
        assert process.returncode != 0
