"""The command line in a real terminal, whose screen is looked at, and in real pipes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from commanding import PROGRAM, creatify, environment, piped, settings
from terminal import CTRL_C, Terminal

from creatify import Creatify, user
from creatify.cli import __doc__ as guide
from creatify.testing import Emulator, faults

if TYPE_CHECKING:
    from collections.abc import Iterator

EVIL = "\x1b]0;a title\x07\x1b[2J\x1b[31mred\x9b1A [red]not[/red] \r\x00\x7f\x8f:rocket:"
LEFT = "]0;a title[2J[31mred1A [red]not[/red] :rocket:"
NARROW = (20, 50)


@pytest.fixture(autouse=True)
def no_size(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def slow() -> Iterator[Emulator]:
    """An API that takes its time."""
    with Emulator(pending=0.3, running=60.0, chunk_delay=0.1) as running:
        yield running


def in_terminal(emulator: Emulator, *arguments: str, **options: Any) -> Terminal:
    env = {**settings(emulator), **options.pop("env", {})}
    return Terminal(*PROGRAM, *arguments, env=env, **options)


def paid(emulator: Emulator, text: str = "Hello") -> str:
    """The id of a new task."""
    keys = {"api_id": emulator.api_id, "api_key": emulator.api_key}
    with Creatify(base_url=emulator.url, **keys) as client:  # type: ignore[arg-type]  # they are strings
        task = client.text_generator.create(model_name="gemini-2.5-flash", messages=[user(text)])
    return str(task.id)


def unwrapped(text: str) -> str:
    """The screen without the ends of its lines: they are where the terminal's width has them."""
    return text.replace("\n", "").replace(" ", "")


class TestGenerate:
    @pytest.mark.unmeasured
    def test_the_id_is_there_as_soon_as_the_task_is_and_ctrl_c_leaves_it(
        self, slow: Emulator
    ) -> None:
        with in_terminal(slow, "generate", "Hello") as terminal:
            terminal.until("running")
            ((task_id, _),) = slow.tasks.items()
            assert f"creatify: task {task_id}" in terminal.text
            terminal.press(CTRL_C)
            assert terminal.end() == 130
            assert terminal.has_cursor
        assert "creatify: interrupted" in terminal.text
        assert unwrapped(f"creatify wait {task_id}") in unwrapped(terminal.text)
        assert "running" not in terminal.text.splitlines()[-1]
        assert "Traceback" not in terminal.text

    @pytest.mark.unmeasured
    def test_the_text_and_what_it_cost_stay_on_the_screen(self, emulator: Emulator) -> None:
        with in_terminal(emulator, "generate", "Hello") as terminal:
            assert terminal.end() == 0
        ((task_id, task),) = emulator.tasks.items()
        lines = terminal.text.splitlines()
        assert lines[0] == f"creatify: task {task_id}"
        assert lines[-1] == "creatify: done, 1 credit"
        assert unwrapped("\n".join(lines[1:-1])) == unwrapped(task.answer.text)

    def test_without_a_prompt_there_is_nothing_to_wait_for(self, emulator: Emulator) -> None:
        with in_terminal(emulator, "generate") as terminal:
            assert terminal.end() == 2
        assert "give one, or pipe it in" in terminal.text
        assert emulator.requests == []

    @pytest.mark.unmeasured
    def test_ctrl_c_while_the_request_is_under_way_says_where_to_look(
        self, emulator: Emulator
    ) -> None:
        emulator.script(faults.silence(acted=True))
        with in_terminal(emulator, "generate", "Hello") as terminal:
            terminal.until("sending")
            while not emulator.charges:
                time.sleep(0.01)
            time.sleep(0.2)
            terminal.press(CTRL_C)
            assert terminal.end() == 130
        assert unwrapped("if the request arrived, creatify tasks has its task") in unwrapped(
            terminal.text
        )


@pytest.mark.unmeasured
class TestStream:
    def test_the_text_appears_as_it_comes_and_ctrl_c_leaves_it(self, slow: Emulator) -> None:
        with in_terminal(slow, "generate", "--stream", "Hello") as terminal:
            terminal.until("On “Hello”: ")
            ((_, task),) = slow.tasks.items()
            assert task.status == "running"
            seen = terminal.text
            terminal.press(CTRL_C)
            assert terminal.end() == 130
        assert terminal.text.startswith(seen)
        assert "creatify: interrupted" in terminal.text.splitlines()
        assert "the generation is charged all the same: creatify tasks has it" in terminal.text

    def test_the_receipt_comes_below_the_text(self, emulator: Emulator) -> None:
        with in_terminal(emulator, "generate", "--stream", "Hello") as terminal:
            assert terminal.end() == 0
        ((task_id, task),) = emulator.tasks.items()
        *text, receipt = terminal.text.splitlines()
        assert unwrapped("\n".join(text)) == unwrapped(task.answer.text)
        assert receipt == f"creatify: task {task_id}, 1 credit"


class TestWait:
    @pytest.mark.unmeasured
    def test_the_display_shows_each_task_as_it_is(self, slow: Emulator) -> None:
        ids = [paid(slow, text) for text in "abc"]
        slow.tasks[ids[0]].finished_at = 0.0
        with in_terminal(slow, "wait", *ids) as terminal:
            terminal.until(lambda text: text.count("running") == 2 and "1 of 3 done" in text)
            rows = dict(line.split() for line in terminal.text.splitlines()[1:4])
            assert rows == {ids[0]: "done", ids[1]: "running", ids[2]: "running"}
            assert re.search(r"^1 of 3 done, 0 failed, \d+ s$", terminal.text, re.MULTILINE)
            slow.clock.advance(60)
            assert terminal.end() == 0
            assert terminal.has_cursor
        assert "3 of 3 done, 0 failed" in terminal.text
        for each in ids:
            assert f"==> {each} <==" in terminal.text
            assert unwrapped(slow.tasks[each].answer.text) in unwrapped(terminal.text)

    @pytest.mark.unmeasured
    def test_ctrl_c_leaves_what_is_done_and_the_ids_of_the_rest(self, slow: Emulator) -> None:
        ids = [paid(slow, text) for text in "abc"]
        slow.tasks[ids[1]].finished_at = 0.0
        with in_terminal(slow, "wait", *ids) as terminal:
            terminal.until("1 of 3 done")
            terminal.press(CTRL_C)
            assert terminal.end() == 130
        assert unwrapped(slow.tasks[ids[1]].answer.text) in unwrapped(terminal.text)
        advice = unwrapped(terminal.text.rpartition("interrupted")[2])
        assert advice.endswith(unwrapped(f"creatify wait {ids[0]} {ids[2]}"))

    def test_what_is_not_over_comes_first_where_there_is_no_room_for_all(
        self, slow: Emulator
    ) -> None:
        ids = [paid(slow, str(number)) for number in range(8)]
        for each in ids[:6]:
            slow.tasks[each].finished_at = 0.0
        with in_terminal(slow, "wait", *ids, size=(60, 7)) as terminal:
            terminal.until("6 of 8 done")
            shown = [line.split()[0] for line in terminal.text.splitlines()[-5:-1]]
            assert shown[:2] == ids[6:]
            terminal.press(CTRL_C)
            assert terminal.end() == 130


class TestWhatTheApiSaysIsNoCommandToATerminal:
    def test_a_text_is_shown_without_what_a_terminal_would_obey(self, emulator: Emulator) -> None:
        emulator.fault_when = lambda _, __: faults.merge({"response_text": EVIL})
        self.assert_harmless(emulator, "generate", "Hello")
        self.assert_harmless(emulator, "wait", next(iter(emulator.tasks)))
        self.assert_harmless(emulator, "show", next(iter(emulator.tasks)))
        # As JSON it is escaped, and still the same.
        with in_terminal(emulator, "generate", "Hello", "--json", size=(3000, 9)) as terminal:
            assert terminal.end() == 0
        assert b"\x1b]" not in terminal.raw
        assert json.loads(terminal.text.splitlines()[1])["response_text"] == EVIL

    @pytest.mark.unmeasured
    def test_a_stream_is_too(self, tmp_path: Path) -> None:
        pieces = [EVIL[:3], EVIL[3:9], EVIL[9:]]
        chunks: list[dict[str, Any]] = [
            {"candidates": [{"content": {"parts": [{"text": piece}]}}]} for piece in pieces
        ]
        chunks[-1]["candidates"][0]["finishReason"] = "STOP"
        chunks[-1]["creatify"] = {"id": EVIL}
        body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
        (tmp_path / "evil.sse").write_text(body)
        with Emulator(recordings=tmp_path) as recorded:
            self.assert_harmless(recorded, "generate", "--stream", "evil")

    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["status", "failed_reason", "model_name"])
    def test_no_field_is_obeyed(self, emulator: Emulator, name: str) -> None:
        task_id = paid(emulator, EVIL)
        fields = {"status": "done", name: EVIL}
        if name == "failed_reason":
            fields["status"] = "failed"
        emulator.fault_when = lambda _, __: faults.merge(fields)
        self.assert_harmless(emulator, "show", task_id)
        if name != "status":  # one that nobody knows is waited for
            self.assert_harmless(emulator, "wait", task_id)

    @pytest.mark.unmeasured
    def test_no_row_of_the_table_is_obeyed(self, emulator: Emulator) -> None:
        paid(emulator, EVIL)
        self.assert_harmless(emulator, "tasks")

    def test_no_error_is_obeyed(self, emulator: Emulator) -> None:
        emulator.fail_when = lambda _: EVIL
        self.assert_harmless(emulator, "generate", "Hello")
        self.assert_harmless(emulator, "generate", "--stream", "Hello")

    def assert_harmless(self, emulator: Emulator, *arguments: str) -> None:
        with in_terminal(emulator, *arguments, size=(400, 50)) as terminal:
            terminal.end()
        assert unwrapped(LEFT) in unwrapped(terminal.text)
        # What is left is the displays' own: colours, the cursor, and erased lines.
        own = rb"\x1b\[(\??25[lh]|[0-9;]*[mAKJ]|2K|1A)|\r"
        left = re.sub(own, b"", terminal.raw)
        assert not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]", left), left
        assert b"\x1b[2J" not in terminal.raw
        assert b"\x1b[31mred" not in terminal.raw


class TestTheScreen:
    def test_the_table_fits_the_terminal(self, emulator: Emulator) -> None:
        emulator.fail_when = lambda body: "no" if "fail" in str(body) else None
        ids = [paid(emulator, text) for text in ("fail", "Write a tagline for\na bakery.")]
        emulator.clock.advance(1)
        shown = ""
        heads = {70: "ID STATUS", 80: "ID STATUS CREATED COST PROMPT", 140: "COST PROMPT MODEL"}
        for columns, head in heads.items():
            with in_terminal(emulator, "tasks", size=(columns, 24)) as terminal:
                assert terminal.end() == 0
            first, *rows = terminal.text.splitlines()
            assert " ".join(first.split()).endswith(head)
            assert [row.split()[:2] for row in rows] == [[ids[1], "done"], [ids[0], "failed"]]
            shown = terminal.text
        assert "Write a tagline for a bakery." in shown

    @pytest.mark.unmeasured
    def test_colours_are_for_terminals_and_not_where_no_color_is_set(
        self, emulator: Emulator
    ) -> None:
        paid(emulator)
        emulator.clock.advance(1)
        with in_terminal(emulator, "tasks") as terminal:
            assert terminal.end() == 0
        assert b"\x1b[32mdone" in terminal.raw
        with in_terminal(emulator, "tasks", env={"NO_COLOR": "1"}) as plain:
            assert plain.end() == 0
        assert not re.search(rb"\x1b\[[0-9;]*3[0-9]m", plain.raw)
        assert plain.text == terminal.text
        assert b"\x1b" not in piped("tasks", env=environment(emulator)).stdout

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "arguments",
        [
            ["--help"],
            ["generate", "--help"],
            ["generate", "Hello"],
            ["generate", "--stream", "Hello"],
            ["tasks"],
            ["show", "{id}"],
            ["wait", "{id}", "{other}"],
            ["credits"],
            ["config", "show"],
            ["spec"],
        ],
    )
    def test_nothing_breaks_in_a_terminal_of_twenty_columns(
        self, arguments: list[str], emulator: Emulator
    ) -> None:
        names = {"id": paid(emulator), "other": paid(emulator, "\u4e16\U0001f600" * 30)}
        command = [argument.format(**names) for argument in arguments]
        with in_terminal(emulator, *command, size=NARROW) as terminal:
            assert terminal.end() == 0
        assert "Traceback" not in terminal.text
        if command[0] in {"tasks", "wait"}:
            assert names["id"] in unwrapped(re.sub("done|running|pending", "", terminal.text))


class TestPipes:
    def test_a_reader_that_hangs_up_ends_it_quietly(self, slow: Emulator) -> None:
        with subprocess.Popen(
            [sys.executable, *PROGRAM, "generate", "--stream", "Hello"],
            env=environment(slow),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.read(1) == b"O"
            (task,) = slow.tasks.values()
            assert task.status == "running"
            process.stdout.close()
            assert process.stderr is not None
            assert process.stderr.read() == b""
            assert process.wait(20) == 141

    def test_what_is_written_at_once_ends_as_quietly(self, emulator: Emulator) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        done = piped("spec", env=environment(emulator), stdout=writer)
        os.close(writer)
        assert (done.returncode, done.stderr) == (141, b"")

    def test_a_disk_that_is_full_leaves_the_way_to_what_was_paid_for(
        self, emulator: Emulator
    ) -> None:
        with Path("/dev/full").open("wb") as full:
            done = piped("generate", "Hello", env=environment(emulator), stdout=full.fileno())
        (task_id,) = emulator.tasks
        assert done.stderr.decode().splitlines() == [
            f"creatify: task {task_id}",
            "creatify: [Errno 28] No space left on device",
            f"creatify: to get what was paid for: creatify wait {task_id}",
        ]
        assert done.returncode == 1

    @pytest.mark.unmeasured
    def test_a_character_that_the_encoding_lacks_costs_nothing(self, emulator: Emulator) -> None:
        text = "\u00e9\u4e16\U0001f600\ud800"
        emulator.fault_when = lambda _, __: faults.merge({"response_text": text})
        env = environment(emulator, PYTHONIOENCODING="latin-1")
        plain = piped("generate", "Hello", env=env)
        assert plain.stdout == b"\xe9\\u4e16\\U0001f600\\ud800\n"
        (line,) = piped("generate", "Hello", "--json", env=env).stdout.splitlines()
        assert json.loads(line)["response_text"] == text
        line = piped("generate", "Hello", "--json", env=environment(emulator)).stdout
        assert json.loads(line)["response_text"] == text
        assert "\u00e9\u4e16\U0001f600\\ud800".encode() in line

    def test_an_interrupted_process_tells_the_id_in_a_pipe_too(self, slow: Emulator) -> None:
        with subprocess.Popen(
            [sys.executable, *PROGRAM, "generate", "Hello"],
            env=environment(slow),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.stderr is not None
            line = process.stderr.readline().decode()
            (task_id,) = slow.tasks
            assert line == f"creatify: task {task_id}\n"
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=20)
        assert (process.returncode, out) == (130, b"")
        assert err.decode().splitlines() == [
            "creatify: interrupted",
            f"creatify: to get what was paid for: creatify wait {task_id}",
        ]

    @pytest.mark.slow
    def test_the_examples_of_the_guide_run(self, emulator: Emulator, tmp_path: Path) -> None:
        emulator.fail_when = lambda _: None
        blocks = re.findall(r"^```sh\n(.*?)^```$", guide or "", re.DOTALL | re.MULTILINE)
        (tmp_path / "shoe.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(8))
        (tmp_path / "product.json").write_text('{"type": "object"}')
        request = {"model_name": "gemini-2.5-flash", "messages": [{"role": "user", "content": "x"}]}
        (tmp_path / "prompts.jsonl").write_text(f"{json.dumps(request)}\n")
        command = tmp_path / "creatify"
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m creatify "$@"\n')
        command.chmod(0o700)
        done = subprocess.run(
            ["sh", "-ec", "\n".join(blocks)],
            env=environment(emulator, PATH=f"{tmp_path}:{os.environ['PATH']}"),
            cwd=tmp_path,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert len(blocks) >= 4
        assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr.decode()
        (result,) = (tmp_path / "texts.jsonl").read_text().splitlines()
        assert json.loads(result)["status"] == "done"
        assert (tmp_path / "tasks.jsonl").read_text()


def test_a_process_of_its_own_and_the_tests_run_the_same(emulator: Emulator) -> None:
    done = piped("--version", env=environment(emulator))
    assert done.stdout.decode() == creatify("--version").stdout
