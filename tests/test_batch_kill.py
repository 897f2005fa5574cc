"""A batch that is killed at any instant, and gone on with: all is there and paid for once."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from batches import prompt
from colours import KEYS

from creatify.testing import Emulator, faults

HERE = Path(__file__).parent
PROMPTS, KILLS = 2000, 20


def _run(emulator: Emulator, folder: Path, *, seconds: float | None) -> int:
    """Run the batch, killed after so many seconds if it has not ended; its exit status."""
    arguments = [emulator.url, str(folder / "journal"), str(PROMPTS), str(folder / "out")]
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    with subprocess.Popen(
        [sys.executable, HERE / "batch_worker.py", *arguments],
        env={**os.environ, "PYTHONPATH": path},
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            return process.wait(timeout=120 if seconds is None else seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            return process.wait()


def _killed_again_and_again(emulator: Emulator, folder: Path) -> list[dict[str, Any]]:
    dice = random.Random(20261122)
    kills = 0
    for _ in range(KILLS):
        kills += _run(emulator, folder, seconds=dice.uniform(0.4, 1.6)) == -signal.SIGKILL
    assert kills == KILLS
    assert _run(emulator, folder, seconds=None) == 0
    results: list[dict[str, Any]] = json.loads((folder / "out").read_text())
    return results


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
        _is_whole(_killed_again_and_again(emulator, tmp_path), emulator)


@pytest.mark.slow
def test_the_same_holds_where_one_answer_in_ten_is_dropped(tmp_path: Path) -> None:
    dice = random.Random(20261123)

    def fault_when(operation: str, _: Any) -> faults.Fault | None:
        is_paid = operation == "sse_text_generator_create"
        return faults.drop_answer() if is_paid and dice.random() < 0.1 else None

    with Emulator(
        pending=0.02, running=0.05, credits=1e9, fault_when=fault_when, **KEYS
    ) as emulator:
        _is_whole(_killed_again_and_again(emulator, tmp_path), emulator)
        dropped = [record for record in emulator.requests if record.fault == "drop_answer"]
        assert len(dropped) > PROMPTS / 20


@pytest.mark.usefixtures("interruptible")
def test_a_batch_that_is_interrupted_has_the_answers_to_what_it_was_sending(
    tmp_path: Path,
) -> None:
    with Emulator(pending=0.02, running=30, credits=1e9, **KEYS) as emulator:
        arguments = [emulator.url, str(tmp_path / "journal"), "100", str(tmp_path / "out")]
        path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
        with subprocess.Popen(
            [sys.executable, HERE / "batch_worker.py", *arguments],
            env={**os.environ, "PYTHONPATH": path},
            stderr=subprocess.DEVNULL,
        ) as process:
            deadline = time.monotonic() + 20
            while emulator.charges < 10 and time.monotonic() < deadline:
                time.sleep(0.005)
            process.send_signal(signal.SIGINT)
            process.wait(timeout=10)
        lines = [json.loads(line) for line in (tmp_path / "journal").read_bytes().splitlines()]
        known = [line["index"] for line in lines if "id" in line]
        assert len(known) == len({line.get("id") for line in lines} - {None}) == emulator.charges
        assert process.returncode != 0
