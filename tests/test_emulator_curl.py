"""The provider's own curl commands, as they are printed, against the emulator."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from emulated import assert_matches, chunks

from creatify.testing import Emulator

COMMANDS = Path(__file__).parent / "curl"
PLACEHOLDERS = {
    '"model_name": "<string>"': '"model_name": "gemini-2.5-flash"',
    '"webhook_url": "<string>"': '"webhook_url": "http://127.0.0.1:9/hook"',
    '"response_json_schema": "<unknown>"': '"response_json_schema": {"type": "string"}',
    '"parameters": "<unknown>"': '"parameters": {"type": "object"}',
}

pytestmark = [
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl isn't installed"),
    pytest.mark.unmeasured,
]


def curl(name: str, emulator: Emulator, *, filled_in: bool) -> tuple[int, bytes]:
    """Status code and body that the printed command gets: its host and keys are replaced."""
    command = (COMMANDS / f"{name}.sh").read_text()
    command = command.replace("https://api.creatify.ai", emulator.url)
    command = command.replace("X-API-ID: <api-key>", f"X-API-ID: {emulator.api_id}")
    command = command.replace("X-API-KEY: <api-key>", f"X-API-KEY: {emulator.api_key}")
    for placeholder, value in PLACEHOLDERS.items() if filled_in else ():
        assert placeholder in command
        command = command.replace(placeholder, value)
    script = command.rstrip() + " --silent --noproxy '*' --write-out '%{http_code}'"
    done = subprocess.run(["sh", "-c", script], capture_output=True, check=True, timeout=20)
    return int(done.stdout[-3:]), done.stdout[:-3]


@pytest.mark.parametrize("name", ["create", "stream"])
def test_as_printed_the_command_is_answered_by_400(name: str) -> None:
    with Emulator() as emulator:
        status, body = curl(name, emulator, filled_in=False)
    assert status == 400
    assert list(json.loads(body)) == ["error"]


def test_the_command_that_lists_is_answered_by_the_list() -> None:
    with Emulator() as emulator:
        task = emulator.tasks.add()
        status, body = curl("list", emulator, filled_in=False)
    assert status == 200
    (listed,) = json.loads(body)
    assert listed["id"] == task.id
    assert_matches("TextGenResponse", listed)


def test_filled_in_the_command_that_creates_is_answered_by_a_task() -> None:
    with Emulator() as emulator:
        status, body = curl("create", emulator, filled_in=True)
    assert status == 201
    assert_matches("TextGenResponse", json.loads(body))


def test_filled_in_the_command_that_streams_is_answered_by_a_stream() -> None:
    with Emulator() as emulator:
        status, body = curl("stream", emulator, filled_in=True)
        (task,) = emulator.tasks.values()
    assert status == 200
    stream = chunks(body)
    for chunk in stream:
        assert_matches("TextGenStreamChunk", chunk)
    assert stream[-1]["creatify"]["id"] == task.id
