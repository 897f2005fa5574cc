"""`creatify batch`: files in and out, the display, and how it goes on after an end of any kind."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from commanding import PROGRAM, creatify, environment, piped, settings
from terminal import CTRL_C, Terminal

from creatify.testing import Emulator, faults

if TYPE_CHECKING:
    from collections.abc import Sequence


@pytest.fixture(autouse=True)
def set_up(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in settings(emulator).items():
        monkeypatch.setenv(name, value)
    for name in ("COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)


def asked(text: str) -> dict[str, Any]:
    return {"model_name": "gemini-2.5-flash", "messages": [{"role": "user", "content": text}]}


def given(texts: Sequence[str]) -> None:
    """Write the requests, one a line."""
    lines = [json.dumps({"key": text, "request": asked(text)}) for text in texts]
    Path("in.jsonl").write_text("\n".join([*lines, "", ""]))


def results() -> list[Any]:
    return [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]


def batch(*options: str) -> Any:
    return creatify("batch", "in.jsonl", "-o", "out.jsonl", *options)


def test_each_request_has_its_result_on_a_line(emulator: Emulator) -> None:
    given(["a", "b", "\u4e16"])
    result = batch("--ordered", "--concurrency", "2")
    assert (result.stdout, result.exit_code) == ("", 0)
    assert result.stderr == "creatify: 3 of 3 done, 0 failed, 3 credits\n"
    found = results()
    assert [(one["index"], one["key"], one["status"]) for one in found] == [
        (0, "a", "done"),
        (1, "b", "done"),
        (2, "\u4e16", "done"),
    ]
    assert {one["task"]["id"] for one in found} == emulator.tasks.keys()
    assert Path("out.jsonl.journal").exists()


def test_started_again_it_pays_for_nothing_twice(emulator: Emulator) -> None:
    given(["a", "b"])
    batch("--journal", "kept")
    first = results()
    assert batch("--journal", "kept", "--ordered").exit_code == 0
    assert sorted(results(), key=str) == sorted(first, key=str)
    assert emulator.charges == 2
    assert not Path("out.jsonl.journal").exists()


@pytest.mark.parametrize(
    ("texts", "code"), [("a", 0), (["fail"], 4), (["fail", "\x00no model"], 1)]
)
def test_the_exit_code_is_that_of_the_gravest_result(
    texts: Sequence[str], code: int, emulator: Emulator
) -> None:
    emulator.fail_when = lambda body: "no" if "fail" in str(body) else None
    given(texts)
    text = Path("in.jsonl").read_text()
    if "no model" in text:
        Path("in.jsonl").write_text(text + json.dumps({**asked("x"), "model_name": "none"}))
    assert batch().exit_code == code


def test_an_unknown_outcome_is_told_and_is_the_gravest(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("creatify.batch._settle.ARRIVES_WITHIN", 0.3)
    emulator.fault_when = lambda operation, body: (
        faults.drop_answer()
        if "lost" in str(body)
        else faults.status(403)
        if "list" in operation
        else None
    )
    given(["lost"])
    result = batch()
    assert "1 unknown" in result.stderr
    assert results()[0]["status"] == "unknown"
    assert result.exit_code == 3
    emulator.fault_when = lambda operation, _: faults.status(403) if "list" in operation else None
    again = batch("--resend-unknown")
    assert (again.exit_code, results()[0]["status"]) == (0, "done")
    assert emulator.charges == 2


def test_the_budget_ends_it_and_a_larger_one_goes_on(emulator: Emulator) -> None:
    given([str(number) for number in range(6)])
    result = batch("--max-credits", "3")
    assert emulator.charges <= 3
    assert "of 3 credits" in result.stderr
    assert result.exit_code == 6
    assert batch("--max-credits", "10").exit_code == 0
    assert (emulator.charges, len(results())) == (6, 6)


def test_an_input_without_requests_makes_an_empty_output() -> None:
    given([])
    Path("out.jsonl").write_text("old\n")
    assert batch().exit_code == 0
    assert results() == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["in.jsonl", "-o", "in.jsonl"], "must be different files"),
        (["in.jsonl", "-o", "out.jsonl", "--journal", "./out.jsonl"], "must be different files"),
        (["in.jsonl", "-o", "missing/out.jsonl"], "can't be written: No such file or directory"),
        (["missing.jsonl", "-o", "out.jsonl"], "does not exist"),
        (["in.jsonl"], "Missing option"),
        (["in.jsonl", "-o", "-"], "no file that a journal could stand beside"),
        (["in.jsonl", "-o", "/dev/null"], "no file that a journal could stand beside"),
        (["in.jsonl", "-o", "out.jsonl", "--concurrency", "0"], "not in the range"),
        (["in.jsonl", "-o", "out.jsonl", "--max-credits", "-1"], "max_credits"),
    ],
)
def test_what_can_not_be_right_is_refused_before_anything_is_paid(
    options: list[str], said: str, emulator: Emulator
) -> None:
    given(["a"])
    before = Path("in.jsonl").read_text()
    result = creatify("batch", *options)
    assert said in " ".join(result.stderr.replace("│", " ").split())
    assert result.exit_code == 2
    assert emulator.requests == []
    assert Path("in.jsonl").read_text() == before


def test_the_output_may_be_no_file_of_its_own(emulator: Emulator) -> None:
    given(["a"])
    assert creatify("batch", "in.jsonl", "-o", "/dev/null", "--journal", "kept").exit_code == 0
    assert emulator.charges == 1


def test_a_dash_is_standard_input_or_output(emulator: Emulator) -> None:
    options = ["-", "-o", "-", "--journal", "kept"]
    line = json.dumps(asked("a")).encode()
    result = piped("batch", *options, env=environment(emulator), stdin=line)
    assert json.loads(result.stdout)["status"] == "done"
    assert result.stderr == b"creatify: 1 of 1 done, 0 failed, 1 credit\n"
    assert (emulator.charges, Path("kept").exists()) == (1, True)


def test_standard_output_may_be_a_file_of_which_nothing_is_lost(emulator: Emulator) -> None:
    given(["a"])
    with Path("all").open("w") as file:
        file.write("before\n")
        file.flush()
        options = ["in.jsonl", "-o", "-", "--journal", "kept"]
        piped("batch", *options, env=environment(emulator), stdout=file.fileno())
        file.seek(0, os.SEEK_END)
        file.write("after\n")
    before, line, after = Path("all").read_text().splitlines()
    assert (before, json.loads(line)["status"], after) == ("before", "done", "after")


def test_another_name_of_the_input_is_no_output(emulator: Emulator) -> None:
    given(["a"])
    before = Path("in.jsonl").read_text()
    Path("out.jsonl").hardlink_to("in.jsonl")
    result = batch()
    assert "must be different files" in " ".join(result.stderr.split())
    assert (Path("in.jsonl").read_text(), emulator.charges) == (before, 0)


def test_an_emulated_batch_leaves_no_journal_that_another_would_go_on_by(
    emulator: Emulator,
) -> None:
    given(["a"])
    assert batch("--emulate").exit_code == 0
    assert {path.name for path in Path().iterdir()} == {"in.jsonl", "out.jsonl"}
    assert batch().exit_code == 0
    assert emulator.charges == 1


def test_the_input_may_be_a_pipe(emulator: Emulator) -> None:
    reader, writer = os.pipe()
    os.write(writer, json.dumps(asked("a")).encode())
    os.close(writer)
    result = creatify("batch", f"/dev/fd/{reader}", "-o", "out.jsonl")
    os.close(reader)
    assert (result.stderr, result.exit_code) == ("creatify: 1 of 1 done, 0 failed, 1 credit\n", 0)
    assert (emulator.charges, len(results())) == (1, 1)


def test_a_disk_that_is_full_is_told_with_how_to_go_on(emulator: Emulator) -> None:
    given(["a"])
    result = creatify("batch", "in.jsonl", "-o", "/dev/full", "--journal", "kept")
    assert "creatify: [Errno 28] No space left on device\n" in result.stderr
    assert "the same command again goes on, by kept" in result.stderr
    assert result.exit_code == 1
    assert batch("--journal", "kept").exit_code == 0
    assert emulator.charges == 1


def test_a_journal_that_another_batch_has_costs_that_one_nothing(emulator: Emulator) -> None:
    texts = [str(number) for number in range(20)]
    given(texts)
    batch()
    first = results()
    given([*texts[:19], "b"])  # so it is not of these requests
    result = batch()
    assert "is of other requests" in result.stderr
    assert (result.stderr.count("\n"), result.exit_code) == (1, 1)
    assert results() == first
    assert emulator.charges == 20


class TestInATerminal:
    @pytest.fixture
    def slow(self) -> Any:
        with Emulator(pending=0.05, running=0.8) as running:
            running.fail_when = lambda body: "no" if "fail" in str(body) else None
            yield running

    def begun(self, slow: Emulator, *options: str, **more: Any) -> Terminal:
        arguments = ["batch", "in.jsonl", "-o", "out.jsonl", "--concurrency", "3", *options]
        return Terminal(*PROGRAM, *arguments, env=settings(slow), **more)

    @pytest.mark.unmeasured
    @pytest.mark.parametrize("columns", [80, 20])
    def test_the_display_says_what_is_done_failed_spent_and_left(
        self, slow: Emulator, columns: int
    ) -> None:
        given(["fail", *(str(number) for number in range(8))])
        told = re.compile(
            r"^━.*\n(\d) of 9 done, 1 failed, (\d) of 50 credits, 0:\d\d left$", re.DOTALL
        )

        def shows(text: str) -> bool:
            bar, _, words = text.partition("\n")
            found = told.match(f"{bar}\n{' '.join(words.split())}")
            return found is not None and int(found[2]) == int(found[1]) + 1

        with self.begun(slow, "--max-credits", "50", size=(columns, 24)) as terminal:
            terminal.until(shows)
            assert terminal.end() == 4
            assert terminal.has_cursor
        told_last = "creatify: 8 of 9 done, 1 failed, 9 of 50 credits"
        assert terminal.text.replace("\n", "").replace(" ", "") == told_last.replace(" ", "")

    def test_ctrl_c_says_how_to_go_on_and_that_pays_for_nothing_twice(self, slow: Emulator) -> None:
        given([str(number) for number in range(9)])
        with self.begun(slow) as terminal:
            terminal.until("3 of 9 done")
            terminal.press(CTRL_C)
            assert terminal.end() == 130
            assert terminal.has_cursor
        assert 3 <= len(results()) < 9
        assert "creatify: interrupted" in terminal.text
        assert "the same command again goes on, by out.jsonl.journal" in terminal.text
        with self.begun(slow) as again:
            assert again.end() == 0
        assert (slow.charges, len(results())) == (9, 9)

    def test_the_second_ctrl_c_ends_it_without_the_answers_that_are_under_way(
        self, slow: Emulator
    ) -> None:
        slow.fault_when = lambda operation, _: (
            faults.silence(acted=True) if "create" in operation else None
        )
        given(["a"])
        with self.begun(slow) as terminal:
            terminal.until("0 of 1 done")
            while not slow.charges:
                time.sleep(0.01)
            terminal.press(CTRL_C)
            time.sleep(0.5)
            assert terminal.is_running
            terminal.press(CTRL_C)
            began = time.monotonic()
            assert terminal.end() == 130
        assert time.monotonic() - began < 5
        assert "the same command again goes on, by out.jsonl.journal" in terminal.text
