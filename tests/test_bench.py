"""The benchmarks: what the server serves, and that a row runs and is told of.

What they measure is `make bench`'s business.
"""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from bench import wire
from bench.plot import svg
from bench.report import row_table, target_table
from bench.row import Contender, Row, Target
from bench.rows import ROWS
from bench.running import Effort, Result, measure, server
from bench.verdicts import ratio, verdicts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Of the maintainers' commands: no part of what users install.
pytestmark = pytest.mark.slow

ONCE = Effort(rounds=1, seconds=60.0, is_quick=True)
ROW_BY_KEY = {row.key: row for row in ROWS}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with server() as url:
        yield url


def gemini(chunk: Any) -> str:
    return "".join(part["text"] for part in chunk["candidates"][0]["content"]["parts"])


def openai(chunk: Any) -> str:
    return str(chunk["choices"][0]["delta"].get("content", ""))


def anthropic(chunk: Any) -> str:
    return str(chunk["delta"]["text"]) if chunk["type"] == "content_block_delta" else ""


@pytest.mark.parametrize("plan", ["burst-10", "paced-10-1"])
@pytest.mark.parametrize(
    ("path", "text_of", "more"),
    [
        ("sse/text_generator/stream/", gemini, 1),
        ("v1beta/models/m:streamGenerateContent?alt=sse", gemini, 0),
        ("v1/chat/completions", openai, 2),
        ("v1/messages", anthropic, 5),
    ],
)
def test_each_api_streams_the_same_text(
    url: str, plan: str, path: str, text_of: Callable[[Any], str], more: int
) -> None:
    events = httpx.post(f"{url}/{plan}/{path}", json={}).text.split("\n\n")[:-1]
    datas = [event.partition("data: ")[2] for event in events]
    chunks = [json.loads(data) for data in datas if data != "[DONE]"]
    said = [text_of(chunk) for chunk in chunks if "creatify" not in chunk]
    assert ("".join(said), len(events)) == (wire.text(10), 10 + more)


def test_the_server_ends_with_whoever_started_it() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.server"],
        cwd=Path(__file__).parent.parent / "scripts",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline().startswith(b"http://127.0.0.1:")
        process.stdin.close()
        try:
            assert process.wait(timeout=5) == 0
        finally:
            process.kill()


def test_a_row_is_measured_and_who_is_not_installed_is_named(url: str) -> None:
    row = replace(ROW_BY_KEY["sync-burst"], options={"chunks": 20})
    nobody = Contender("nobody", "over_nothing", "Sync")
    contenders = (*row.contenders, nobody)
    result = measure(replace(row, contenders=contenders), replace(ONCE, is_quick=False), url)
    assert result.rounds.keys() >= {"httpx", "creatify"}
    assert all(rounds[0]["cpu"] > 0 for rounds in result.rounds.values())
    assert result.absent["nobody"] == "bench.contenders.over_nothing is not installed"
    assert "x httpx" in row_table(result).markdown()
    assert len(ET.fromstring(svg([result])).findall(".//{*}rect")) == 1 + len(result.rounds)


def test_a_wait_is_measured_in_simulated_time(url: str) -> None:
    result = measure(ROW_BY_KEY["one"], ONCE, url)
    figures = result.rounds["single waits"][0]
    assert 20 < figures["requests"] < 30
    assert 0 <= figures["p95"] < 12


def test_tasks_of_the_server_are_seen_in_real_time(url: str) -> None:
    row = replace(ROW_BY_KEY["real-many"], quick={"count": 3, "most": 0.5, "old": 10})
    result = measure(row, ONCE, url)
    assert result.rounds["single waits"][0]["requests"] >= 1


def measured(**rounds: list[float]) -> Result:
    row = Row("k", "t", "us", "works:stream", (), targets=(Target("", "a", 1.5, ("b", "c")),))
    return Result(row, {name: [{"cpu": cpu} for cpu in each] for name, each in rounds.items()})


def test_a_ratio_is_that_of_rounds_side_by_side() -> None:
    assert ratio(measured(a=[2, 40, 7], b=[1, 10, 4]), "a", "b", "cpu") == 2


@pytest.mark.parametrize(
    ("others", "told"),
    [({"b": [1.0], "c": [3.0]}, "MISSED"), ({"c": [3.0]}, "met"), ({}, "not measured")],
)
def test_a_target_is_held_against_the_best_of_those_that_are_there(
    others: dict[str, list[float]], told: str
) -> None:
    result = measured(a=[2.0], **others)
    assert target_table([result]).lines[0][-1] == told
    assert verdicts(result)[0].is_met == (told == "met")
