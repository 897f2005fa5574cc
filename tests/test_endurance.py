"""Nothing is lost and nothing paid twice, for as long as it takes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest
from colours import KEYS, in_use

from creatify import AsyncCreatify, Creatify, CreatifyError, OutcomeUnknownError, user
from creatify.testing import Emulator, faults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from creatify_api.models import TextGenResponse

pytestmark = pytest.mark.unmeasured

HERE = Path(__file__).parent
ROUNDS, CALLS = 20, 500
MODEL = "gemini-2.5-flash"


@dataclass
class Lossy:
    url: str
    pipe: subprocess.Popen[str]

    def tell(self, command: str) -> tuple[int, int]:
        """Charges and dropped answers so far."""
        written, read = self.pipe.stdin, self.pipe.stdout
        assert written is not None
        assert read is not None
        written.write(f"{command}\n")
        written.flush()
        charges, dropped = read.readline().split()
        return int(charges), int(dropped)


@pytest.fixture
def lossy() -> Iterator[Lossy]:
    """A server that drops one answer in ten after the task was created."""
    logging.disable(logging.WARNING)  # pytest keeps each record
    pipe = subprocess.Popen(
        [sys.executable, HERE / "lossy.py"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(HERE)},
    )
    with pipe:
        output: IO[str] | None = pipe.stdout
        assert output is not None
        yield Lossy(output.readline().strip(), pipe)
        pipe.communicate(timeout=10)
    logging.disable(logging.NOTSET)


@dataclass
class Books:
    """What the calls came to."""

    ids: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)

    def enter(self, prompt: str, result: TextGenResponse | CreatifyError) -> None:
        if isinstance(result, OutcomeUnknownError):
            self.unknown.append(str(result))
        elif isinstance(result, CreatifyError):
            self.wrong.append(repr(result))
        else:
            self.ids.append(str(result.id))
            if result.messages[0].content != prompt:
                self.wrong.append(f"{prompt} got {result.messages[0].content}")

    def balance(self, lossy: Lossy) -> None:
        charges, dropped = lossy.tell("charges")
        assert self.wrong == []
        assert charges == ROUNDS * CALLS
        assert len(self.ids) + len(self.unknown) == ROUNDS * CALLS
        assert len(set(self.ids)) == len(self.ids)
        assert dropped > 0.08 * ROUNDS * CALLS
        # The list tells each time here; what can't be told would be an error that says so.
        assert self.unknown == []
        # 20 more rounds would be no more: given ids are forgotten after a while.
        assert self.memory[-1] - self.memory[ROUNDS // 4] < 16


def prompts(round_number: int) -> list[str]:
    """Every other prompt is the same in all calls."""
    return [
        f"Text {round_number}-{number}." if number % 2 else "The same text."
        for number in range(CALLS)
    ]


def megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.slow
@pytest.mark.patient
def test_10000_lossy_creates_of_50_threads_get_a_task_each_and_pay_once(lossy: Lossy) -> None:
    books = Books()
    with Creatify(base_url=lossy.url, timeout=60, **KEYS) as client:

        def create(prompt: str) -> TextGenResponse | CreatifyError:
            try:
                return client.text_generator.create(model_name=MODEL, messages=[user(prompt)])
            except CreatifyError as error:
                return error

        with ThreadPoolExecutor(50) as threads:
            for number in range(ROUNDS):
                asked = prompts(number)
                for prompt, result in zip(asked, threads.map(create, asked), strict=True):
                    books.enter(prompt, result)
                books.memory.append(megabytes())
                lossy.tell("clear")
        assert not any(in_use(client))
        assert client._connection.ledger._entries() == []
    books.balance(lossy)


@pytest.mark.slow
@pytest.mark.patient
@pytest.mark.parametrize("transport", ["httpx", "aiohttp"])
def test_10000_lossy_creates_of_500_coroutines_get_a_task_each_and_pay_once(
    lossy: Lossy, monkeypatch: pytest.MonkeyPatch, transport: str
) -> None:
    monkeypatch.setenv("CREATIFY_ASYNC_TRANSPORT", transport)
    books = Books()

    async def main() -> None:
        async with AsyncCreatify(base_url=lossy.url, timeout=60, **KEYS) as client:

            async def create(prompt: str) -> TextGenResponse | CreatifyError:
                try:
                    return await client.text_generator.create(
                        model_name=MODEL, messages=[user(prompt)]
                    )
                except CreatifyError as error:
                    return error

            for number in range(ROUNDS):
                asked = prompts(number)
                results = await asyncio.gather(*map(create, asked))
                for prompt, result in zip(asked, results, strict=True):
                    books.enter(prompt, result)
                books.memory.append(megabytes())
                lossy.tell("clear")
            assert not any(in_use(client))
            assert client._connection.ledger._entries() == []

    asyncio.run(main())
    books.balance(lossy)


@pytest.mark.slow
@pytest.mark.anyio
async def test_a_wait_survives_a_server_that_fails_for_20_seconds(colour: Any) -> None:
    began = time.monotonic()

    def fault_when(operation: str, _: Any) -> faults.Fault | None:
        if not 1 < time.monotonic() - began < 21:
            return None
        kinds = (faults.status(502), faults.reset(), faults.html(), faults.status(429))
        return kinds[int(time.monotonic() * 10) % len(kinds)]

    with Emulator(running=5.0, fault_when=fault_when) as emulator:
        client = colour.client(
            base_url=emulator.url, api_id=emulator.api_id, api_key=emulator.api_key
        )
        done = await client.text_generator.generate(model_name=MODEL, messages=[user("Hello")])
    assert (done.status, emulator.charges) == ("done", 1)
    assert time.monotonic() - began > 21
    assert sum(record.fault is not None for record in emulator.requests) >= 3


CRASH = """
import sys
from creatify import Creatify, user
client = Creatify()
if len(sys.argv) == 1:
    client.text_generator.generate(
        model_name="gemini-2.5-flash", messages=[user("Hello")],
        on_update=lambda task: print(task.id, flush=True))
else:
    print(client.text_generator.wait(sys.argv[1]).response_text)
"""


def test_a_process_that_was_killed_waits_on_by_the_id_when_it_is_back(emulator: Emulator) -> None:
    emulator.running = 1.5
    environment = {
        **os.environ,
        "CREATIFY_BASE_URL": emulator.url,
        "CREATIFY_API_ID": emulator.api_id,
        "CREATIFY_API_KEY": emulator.api_key,
    }
    command = [sys.executable, "-c", CRASH]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as first:
        assert first.stdout is not None
        task_id = first.stdout.readline().strip()
        first.send_signal(signal.SIGKILL)
        assert first.wait(timeout=10) == -signal.SIGKILL
    again = subprocess.run(
        [*command, task_id], capture_output=True, text=True, env=environment, timeout=60, check=True
    )
    assert again.stdout.strip() == emulator.tasks[task_id].answer.text
    assert emulator.charges == 1


def test_a_client_may_be_closed_while_threads_use_it(emulator: Emulator) -> None:
    emulator.running = 60.0
    client = Creatify(base_url=emulator.url, api_id=emulator.api_id, api_key=emulator.api_key)
    task = client.text_generator.create(model_name=MODEL, messages=[user("Hello")])
    errors: list[CreatifyError] = []

    def wait() -> None:
        with contextlib.suppress(CreatifyError):
            try:
                client.text_generator.wait(task, timeout=30)
            except CreatifyError as error:
                errors.append(error)
                raise

    threads = [threading.Thread(target=wait) for _ in range(5)]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    client.close()
    for thread in threads:
        thread.join(timeout=10)
    assert [type(error).__name__ for error in errors] == ["ConfigurationError"] * 5
