"""A batch takes no more memory for more requests, whether it sends them or has their results."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from colours import KEYS

from creatify.testing import Emulator

HERE = Path(__file__).parent


def _megabytes(emulator: Emulator, journal: Path, count: int) -> float:
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, HERE / "batch_memory.py", emulator.url, journal, str(count)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        check=True,
        text=True,
    )
    found, megabytes = done.stdout.split()
    assert int(found) == count
    return float(megabytes)


@pytest.mark.slow
def test_10000_requests_take_no_more_memory_than_1000(tmp_path: Path) -> None:
    with Emulator(pending=0, running=0, credits=1e9, **KEYS) as emulator:

        def fault_when(*_: Any) -> None:
            emulator.requests.clear()
            emulator.tasks.clear()

        emulator.fault_when = fault_when
        few = _megabytes(emulator, tmp_path / "few", 1000)
        many = _megabytes(emulator, tmp_path / "many", 10_000)
        again = _megabytes(emulator, tmp_path / "many", 10_000)
        assert emulator.charges == 11_000
    assert many - few < 10
    assert again - few < 10
