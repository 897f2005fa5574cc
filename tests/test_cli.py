"""The command line in pipes: what it sends, what it writes where, and the exit codes."""

from __future__ import annotations

import json
import re
import resource
import signal
import statistics
import subprocess
import sys
import tomllib
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from colours import KEYS
from commanding import creatify, settings
from emulated import TASKS, ask, client_of

import creatify_api
from creatify import Creatify, user
from creatify.cli import _app, _exits, _tasks, main
from creatify.cli._session import Session
from creatify.testing import Emulator, faults

if TYPE_CHECKING:
    from collections.abc import Iterator

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)
WEBM = b"\x1a\x45\xdf\xa3" + bytes(8)
CREATE = "sse_text_generator_create"
LIST = "sse_text_generator_list"
NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(autouse=True)
def set_up(emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in settings(emulator).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def client(emulator: Emulator) -> Iterator[Creatify]:
    with Creatify(base_url=emulator.url, **KEYS) as made:
        yield made


def paid(emulator: Emulator, text: str = "Hello", **fields: Any) -> str:
    """The id of a new task."""
    with Creatify(base_url=emulator.url, **KEYS) as made:
        task = made.text_generator.create(
            model_name="gemini-2.5-flash", messages=[user(text)], **fields
        )
    return str(task.id)


def sent(emulator: Emulator) -> Any:
    """The body of the only paid request."""
    (body,) = [request.body for request in emulator.requests if request.method == "POST"]
    return body


class TestGenerate:
    def test_the_text_is_the_output_and_the_rest_goes_to_standard_error(
        self, emulator: Emulator
    ) -> None:
        result = creatify("generate", "Hello")
        ((task_id, task),) = emulator.tasks.items()
        assert result.stdout == f"{task.answer.text}\n"
        assert result.stderr == f"creatify: task {task_id}\ncreatify: done, 1 credit\n"
        assert result.exit_code == 0

    @pytest.mark.parametrize("prompt", [[], ["-"]])
    def test_the_prompt_is_read_from_standard_input_as_it_is(
        self, emulator: Emulator, prompt: list[str]
    ) -> None:
        text = "First line\n\n  second: \u00e9\u4e16\U0001f600"
        assert creatify("generate", *prompt, stdin=f"{text}\n".encode()).exit_code == 0
        assert sent(emulator)["messages"] == [{"role": "user", "content": text}]

    def test_what_is_given_reaches_the_api(self, emulator: Emulator, tmp_path: Path) -> None:
        image, video, schema = (tmp_path / name for name in ("a.png", "b.webm", "s.json"))
        image.write_bytes(PNG)
        video.write_bytes(WEBM)
        schema.write_text('{"type": "object"}')
        files = ["--image", str(image), "--image", str(image), "--video", str(video)]
        more = ["--model", "gemini-2.5-pro", "--system", "Be brief.", "--schema", str(schema)]
        assert creatify("generate", "What?", *files, *more).exit_code == 0
        body = sent(emulator)
        assert body["model_name"] == "gemini-2.5-pro"
        assert body["system_instruction"] == "Be brief."
        assert body["config"]["response_json_schema"] == {"type": "object"}
        kinds = [part.get("mime_type", "text") for part in body["messages"][0]["content"]]
        assert kinds == ["text", "image/png", "image/png", "video/webm"]

    @pytest.mark.parametrize(
        ("arguments", "stdin", "said"),
        [
            ([], b"", "it is empty"),
            ([" \n"], b"", "it is empty"),
            ([], b"\xff\xfe", "is no text"),
            (["a", "--image", "missing.png"], b"", "does not exist"),
            (["a", "--video", "."], b"", "is a directory"),
            (["a", "--image", "text"], b"", "is no image of a known format"),
            (["a", "--schema", "missing.json"], b"", "does not exist"),
            (["a", "--schema", "text"], b"", "is no JSON"),
            (["a", "--schema", "list"], b"", "is no JSON object"),
            (["a", "--schema", "latin"], b"", "is no JSON"),
            (["a", "--timeout", "0"], b"", "timeout must be above 0"),
            (["a", "--timeout", "soon"], b"", "not a valid float"),
            (["a", "--colour"], b"", "No such option"),
        ],
    )
    def test_what_can_not_be_right_is_refused_before_anything_is_sent(
        self, arguments: list[str], stdin: bytes, said: str, emulator: Emulator
    ) -> None:
        Path("text").write_text("no JSON, and no picture")
        Path("list").write_text("[]")
        Path("latin").write_bytes(b'{"\xff": 1}')
        result = creatify("generate", *arguments, stdin=stdin)
        assert result.exit_code == 2
        assert said in " ".join(result.stderr.replace("│", " ").split())
        assert result.stdout == ""
        assert emulator.requests == []

    def test_as_json_it_is_what_the_api_says(self, emulator: Emulator, client: Creatify) -> None:
        result = creatify("generate", "Hello", "--json")
        (task_id,) = emulator.tasks
        (line,) = result.stdout.splitlines()
        assert json.loads(line) == client.text_generator.retrieve(task_id).to_dict()

    def test_a_text_without_an_end_of_line_gets_one_and_another_none(
        self, emulator: Emulator
    ) -> None:
        emulator.fault_when = lambda _, __: faults.merge({"response_text": "two\nlines\n"})
        assert creatify("generate", "Hello").stdout == "two\nlines\n"
        emulator.fault_when = lambda _, __: faults.merge({"response_text": ""})
        assert creatify("generate", "Hello").stdout == "\n"

    def test_a_pipe_gets_every_character(self, emulator: Emulator) -> None:
        text = "\x1b[31m\x9b\x07[red]\r\n"
        emulator.fault_when = lambda _, __: faults.merge({"response_text": text})
        assert creatify("generate", "Hello").stdout_bytes == text.encode()
        (line,) = creatify("generate", "Hello", "--json").stdout.splitlines()
        assert json.loads(line)["response_text"] == text
        assert "\x9b" not in line


class TestStream:
    def test_the_text_is_the_output_and_the_receipt_goes_to_standard_error(
        self, emulator: Emulator
    ) -> None:
        result = creatify("generate", "--stream", "Hello")
        ((task_id, task),) = emulator.tasks.items()
        assert result.stdout == f"{task.answer.text}\n"
        assert result.stderr == f"creatify: task {task_id}, 1 credit\n"
        assert result.exit_code == 0

    def test_as_json_it_is_each_chunk(self, monkeypatch: pytest.MonkeyPatch) -> None:
        recordings = Path(__file__).parent / "recordings"
        with Emulator(recordings=recordings, **KEYS) as recorded:
            monkeypatch.setenv("CREATIFY_BASE_URL", recorded.url)
            with (
                Creatify() as client,
                client.text_generator.stream(
                    model_name="gemini-2.5-flash", messages=[user("capital")]
                ) as stream,
            ):
                chunks = [chunk.to_dict() for chunk in stream]
            lines = creatify("generate", "--stream", "capital", "--json").stdout.splitlines()
        assert [json.loads(line) for line in lines] == chunks

    def test_an_end_for_another_reason_is_told(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        chunk = {
            "candidates": [{"content": {"parts": [{"text": "Half"}]}, "finishReason": "SAFETY"}],
            "creatify": {"generation_id": "g"},
        }
        (tmp_path / "safe.sse").write_text(f"data: {json.dumps(chunk)}\n\n")
        with Emulator(recordings=tmp_path, **KEYS) as recorded:
            monkeypatch.setenv("CREATIFY_BASE_URL", recorded.url)
            result = creatify("generate", "--stream", "safe")
        assert result.stdout == "Half\n"
        assert result.stderr == "creatify: task g, finish reason SAFETY\n"

    def test_without_a_receipt_nothing_is_told_of_it(self, emulator: Emulator) -> None:
        emulator.script(faults.no_receipt())
        result = creatify("generate", "--stream", "Hello")
        assert (result.stderr, result.exit_code) == ("", 0)


class TestEnds:
    """What goes wrong is one line on standard error, and an exit code."""

    def test_the_api_refuses(self) -> None:
        result = creatify("generate", "Hello", "--model", "none")
        assert result.stderr.startswith("creatify: the API answered 400: Model none not found;")
        assert result.stderr.count("\n") == 1
        assert result.exit_code == 1

    def test_there_is_no_answer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CREATIFY_BASE_URL", "http://127.0.0.1:1")
        result = creatify("credits", "--json")
        assert result.stderr.count("\n") == 1
        assert result.exit_code == 1

    def test_there_are_no_settings(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("CREATIFY_API_ID")
        monkeypatch.delenv("CREATIFY_API_KEY")
        result = creatify("tasks")
        assert result.stderr.startswith("creatify: no credentials: looked for")
        assert result.exit_code == 2

    def test_a_profile_that_is_missing(self) -> None:
        result = creatify("--profile", "work", "tasks")
        assert "the profile 'work' was asked for" in result.stderr
        assert result.exit_code == 2

    @pytest.mark.parametrize("stream", [[], ["--stream"]])
    def test_the_outcome_is_unknown_and_what_it_may_be_is_told(
        self, emulator: Emulator, stream: list[str]
    ) -> None:
        with client_of(emulator) as other:  # of somebody else, with the same prompt at the time
            other.post(TASKS, json=ask("Hello", system_instruction=""))
        emulator.script(faults.drop_answer())
        result = creatify("generate", "Hello", *stream)
        complaint, advice = result.stderr.splitlines()
        assert "may have been charged" in complaint
        assert advice.startswith("creatify: to get what was paid for: creatify wait ")
        assert set(advice.split()[-2:]) == emulator.tasks.keys()
        assert result.exit_code == 3

    def test_a_lost_answer_that_the_list_does_not_tell(self, emulator: Emulator) -> None:
        emulator.script(faults.drop_answer(), operation=CREATE)
        emulator.fault_when = lambda operation, _: faults.status(403) if operation == LIST else None
        result = creatify("generate", "Hello")
        assert "may have been charged" in result.stderr
        assert result.exit_code == 3

    def test_a_stream_that_breaks_leaves_its_text_and_tells_the_task(
        self, emulator: Emulator
    ) -> None:
        emulator.script(faults.reset_stream(after=2))
        result = creatify("generate", "--stream", "Hello")
        ((task_id, task),) = emulator.tasks.items()
        assert task.answer.text.startswith(result.stdout.removesuffix("\n"))
        assert len(result.stdout) > 1
        complaint, advice = result.stderr.splitlines()
        assert "it may have been charged" in complaint
        assert advice == f"creatify: to get what was paid for: creatify wait {task_id}"
        assert result.exit_code == 3

    def test_an_error_within_a_stream(self, emulator: Emulator) -> None:
        emulator.script(faults.error_event())
        assert creatify("generate", "--stream", "Hello").exit_code == 4

    @pytest.mark.parametrize("as_json", [False, True])
    def test_the_generation_fails(self, emulator: Emulator, as_json: bool) -> None:
        emulator.fail_when = lambda _: "too\x1b[31m hard"
        result = creatify("generate", "Hello", *(["--json"] if as_json else []))
        (task_id,) = emulator.tasks
        assert f"the generation {task_id} failed: too [31m hard" in result.stderr
        assert "creatify wait" not in result.stderr
        assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == (
            [task_id] if as_json else []
        )
        assert result.exit_code == 4

    def test_the_wait_is_too_short_and_the_command_to_go_on_is_told(
        self, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        emulator.pending = 60.0
        file = tmp_path / "credentials.toml"
        file.write_text(
            '["a b"]\n' + "".join(f'{name} = "{value}"\n' for name, value in KEYS.items())
        )
        file.chmod(0o600)
        monkeypatch.setenv("CREATIFY_CONFIG_FILE", str(file))
        result = creatify("--profile", "a b", "generate", "Hello", "--timeout", "0.2")
        (task_id,) = emulator.tasks
        assert result.stderr.splitlines()[-1] == (
            f"creatify: to get what was paid for: creatify --profile 'a b' wait {task_id}"
        )
        assert result.exit_code == 5

    def test_the_credits_run_out(self, emulator: Emulator) -> None:
        emulator.credits = 0.0
        assert creatify("generate", "Hello").exit_code == 6

    def test_what_nobody_expects_keeps_its_traceback(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*_: object, **__: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(_tasks, "tasks", broken)
        with pytest.raises(ZeroDivisionError):
            creatify("tasks")

    def test_the_help_and_the_guide_list_every_exit_code(self) -> None:
        assert main.__module__ == "creatify.cli"
        guide = sys.modules["creatify.cli"].__doc__ or ""
        shown = creatify("--help").stdout
        for code in _exits.Code:
            line = f"{code:d}: {_exits.MEANINGS[code]}"
            assert f"- {line}" in guide
            assert line in shown

    def test_of_several_the_first_of_this_order_counts(self) -> None:
        order = re.search(
            r"it is the first of ([\d, ]+)\.", sys.modules["creatify.cli"].__doc__ or ""
        )
        assert order is not None
        codes = [_exits.Code(int(code)) for code in order[1].split(",")]
        while codes:
            assert _exits.worst(reversed(codes)) == codes.pop(0)


class TestTasks:
    @pytest.fixture
    def ids(self, emulator: Emulator) -> list[str]:
        """Three tasks: of a week ago, of three days ago (it failed), and of just now."""
        emulator.fail_when = lambda body: "no" if "b" in body["messages"][0]["content"] else None
        found = [paid(emulator, text) for text in ("a", "b", "c\n\td")]
        for task_id, days in zip(found, (7, 3, 0), strict=True):
            emulator.tasks[task_id].created_at -= days * 86400
        emulator.clock.advance(1)
        return found

    def listed(self, *options: str) -> list[str]:
        result = creatify("tasks", *options)
        assert result.exit_code == 0
        return [line.split("\t")[0] for line in result.stdout.splitlines()]

    def test_they_are_lines_with_tabs_newest_first(self, ids: list[str]) -> None:
        result = creatify("tasks")
        assert [line.split("\t")[0] for line in result.stdout.splitlines()] == ids[::-1]
        first = result.stdout.splitlines()[0].split("\t")
        assert first[1] == "done"
        assert datetime.fromisoformat(first[2]).tzinfo
        assert first[3:] == ["1.0", "gemini-2.5-flash", "c d"]

    def test_only_those_of_a_status(self, ids: list[str]) -> None:
        assert self.listed("--status", "failed") == [ids[1]]

    @pytest.mark.usefixtures("ids")
    def test_a_status_that_the_spec_does_not_know_is_told_and_may_be(self) -> None:
        result = creatify("tasks", "--status", "dnoe")
        assert (result.stdout, result.exit_code) == ("", 0)
        assert "'dnoe' is no status that the API's pages name: done, failed" in result.stderr

    @pytest.mark.parametrize(
        ("since", "count"), [("1 hour ago", 1), ("4 days ago", 2), ("2 weeks ago", 3)]
    )
    def test_only_those_since_a_moment(self, ids: list[str], since: str, count: int) -> None:
        assert self.listed("--since", since) == ids[::-1][:count]

    def test_only_those_since_a_date(self, ids: list[str]) -> None:
        day = datetime.now(UTC) - timedelta(days=4)
        assert self.listed("--since", day.date().isoformat()) == ids[:0:-1]

    def test_a_date_that_is_none_is_wrong_usage(self, emulator: Emulator) -> None:
        result = creatify("tasks", "--since", "whenever")
        assert "'whenever' is no date" in result.stderr
        assert result.exit_code == 2
        assert emulator.requests == []

    def test_only_so_many(self, ids: list[str]) -> None:
        assert self.listed("--limit", "2") == ids[:0:-1]

    def test_as_json_each_is_a_line_as_the_api_has_it(
        self, ids: list[str], client: Creatify
    ) -> None:
        told = [json.loads(line) for line in creatify("tasks", "--json").stdout.splitlines()]
        assert told == [client.text_generator.retrieve(each).to_dict() for each in ids[::-1]]

    def test_the_prompt_is_the_text_of_the_last_message_with_one(self, emulator: Emulator) -> None:
        contents: list[Any] = [
            [{"type": "text", "text": "What"}, {"type": "text", "text": "is it?"}, {"type": "x"}],
            [{"type": "image", "data": "", "mime_type": "image/png"}, "?"],
            None,
            7,
        ]
        messages = [{"role": "user", "content": content} for content in contents]
        task_id = paid(emulator)
        emulator.script(faults.merge({"messages": messages}))
        assert "prompt: What is it?\n" in creatify("show", task_id).stdout

    def test_a_task_without_a_text_in_any_message_has_no_prompt(self, emulator: Emulator) -> None:
        task_id = paid(emulator)
        emulator.script(faults.merge({"messages": []}))
        assert "prompt" not in creatify("show", task_id).stdout

    def test_one_is_shown_with_its_text(self, emulator: Emulator) -> None:
        task_id = paid(emulator, "Write\na word.", system_instruction="Be brief.")
        creatify("wait", task_id)
        fields, _, text = creatify("show", task_id).stdout.partition("\n\n")
        told = dict(line.split(": ", 1) for line in fields.splitlines())
        assert told.pop("created") <= told.pop("updated")
        assert told == {
            "id": task_id,
            "status": "done",
            "model": "gemini-2.5-flash",
            "credits": "1.0",
            "system": "Be brief.",
            "prompt": "Write a word.",
        }
        assert text == f"{emulator.tasks[task_id].answer.text}\n"

    def test_one_without_a_text_is_shown(self, emulator: Emulator, client: Creatify) -> None:
        emulator.pending = 60.0
        task_id = paid(emulator)
        assert "status: pending" in creatify("show", task_id).stdout
        told = json.loads(creatify("show", task_id, "--json").stdout)
        assert told == client.text_generator.retrieve(task_id).to_dict()

    @pytest.mark.parametrize(("task_id", "code"), [(NOBODY, 1), ("7", 2)])
    def test_one_that_is_none(self, task_id: str, code: int) -> None:
        assert creatify("show", task_id).exit_code == code

    def test_the_credits(self) -> None:
        assert creatify("credits").stdout == "1000.0\n"
        assert json.loads(creatify("credits", "--json").stdout) == {"remaining_credits": 1000.0}


class TestWait:
    def test_one_is_waited_for_and_its_text_is_the_output(self, emulator: Emulator) -> None:
        task_id = paid(emulator)
        result = creatify("wait", task_id, task_id)
        assert result.stdout == f"{emulator.tasks[task_id].answer.text}\n"
        assert (result.stderr, result.exit_code) == ("", 0)

    def test_several_have_their_ids_above_the_texts(self, emulator: Emulator) -> None:
        ids = [paid(emulator, text) for text in "ab"]
        result = creatify("wait", *ids)
        for each in ids:
            assert f"==> {each} <==\n{emulator.tasks[each].answer.text}\n" in result.stdout

    def test_as_json_each_is_a_line(self, emulator: Emulator) -> None:
        emulator.fail_when = lambda body: "no" if "b" in body["messages"][0]["content"] else None
        ids = [paid(emulator, text) for text in "ab"]
        result = creatify("wait", *ids, "--json")
        told = [json.loads(line) for line in result.stdout.splitlines()]
        assert {task["id"]: task["status"] for task in told} == dict(
            zip(ids, ["done", "failed"], strict=True)
        )
        assert result.exit_code == 4

    def test_what_is_not_done_in_time_is_told_and_does_not_keep_the_others(
        self, emulator: Emulator
    ) -> None:
        emulator.fail_when = lambda body: "no" if "fail" in str(body) else None
        done, failed = paid(emulator, "a"), paid(emulator, "fail")
        emulator.pending = 60.0
        late = paid(emulator, "b")
        result = creatify("wait", done, late, failed, "--timeout", "2")
        assert result.stdout == f"==> {done} <==\n{emulator.tasks[done].answer.text}\n"
        assert f"the generation {failed} failed: no" in result.stderr
        assert result.stderr.endswith(f"creatify: to get what was paid for: creatify wait {late}\n")
        assert result.exit_code == 5

    def test_what_is_wrong_with_the_settings_is_graver(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CREATIFY_API_KEY", "another")
        assert creatify("wait", NOBODY).exit_code == 1

    def test_what_is_no_id_is_wrong_usage(self, emulator: Emulator) -> None:
        assert creatify("wait", NOBODY, "7").exit_code == 2
        assert emulator.requests == []


class TestEmulate:
    @pytest.mark.parametrize(
        "arguments", [["--emulate", "generate", "Hello"], ["generate", "Hello", "--emulate"]]
    )
    def test_any_command_runs_against_an_emulator_of_its_own(
        self, emulator: Emulator, arguments: list[str]
    ) -> None:
        result = creatify(*arguments)
        assert "creatify: emulated: nothing is sent to the API" in result.stderr
        assert result.stdout
        assert emulator.requests == []

    def test_behind_two_dashes_it_is_a_prompt(self, emulator: Emulator) -> None:
        creatify("generate", "--", "--emulate")
        assert sent(emulator)["messages"][0]["content"] == "--emulate"

    def test_what_it_has_made_is_gone_with_it(self) -> None:
        result = creatify("--emulate", "generate", "Hello", "--timeout", "0.15")
        assert "creatify wait" not in result.stderr
        assert result.exit_code == 5

    @pytest.mark.parametrize("command", [["--emulate", "credits"], ["emulator"]])
    def test_without_its_extra_it_says_what_to_install(
        self, command: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in list(sys.modules):
            if name.startswith("creatify.testing"):
                monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "uvicorn", None)
        result = creatify(*command)
        assert "pip install 'creatify-client[testing]'" in result.stderr
        assert result.exit_code == 2

    def test_the_emulator_is_that_of_the_module(self, monkeypatch: pytest.MonkeyPatch) -> None:
        given: list[list[str]] = []
        monkeypatch.setattr("creatify.testing.__main__.main", given.append)
        creatify("emulator")
        creatify("emulator", "--port", "0", "--recordings", "here")
        assert given == [["--port=8787"], ["--port=0", "--recordings=here"]]


class TestMain:
    def test_the_version(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["--version"]) == 0
        assert capsys.readouterr().out.startswith("creatify-client ")

    def test_the_arguments_of_the_process(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(sys, "argv", ["creatify", "spec"])
        assert main() == 0
        assert creatify_api.__spec_sha256__ in capsys.readouterr().out

    def test_it_is_what_pip_installs_as_a_command(self) -> None:
        project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
        module, _, name = project["project"]["scripts"]["creatify"].partition(":")
        assert getattr(sys.modules[module], name) is main

    def test_the_output_may_be_redirected_by_a_program(self) -> None:
        with redirect_stdout(StringIO()) as out:
            assert main(["credits", "--json"]) == 0
        assert json.loads(out.getvalue()) == {"remaining_credits": 1000.0}

    @pytest.mark.parametrize("missing", ["typer", "rich"])
    def test_without_the_extra_one_line_says_what_to_install(
        self, missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.lacks(missing, monkeypatch)
        assert main(["tasks"]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err == (
            "creatify: the command line is an extra: pip install 'creatify-client[cli]'\n"
        )

    def test_the_spec_needs_no_extra(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.lacks("typer", monkeypatch)
        assert main(["spec"]) == 0
        assert creatify_api.__spec_sha256__ in capsys.readouterr().out

    def test_another_module_that_is_missing_is_another_matter(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.lacks("creatify.cli._exits", monkeypatch)
        with pytest.raises(ModuleNotFoundError):
            main(["tasks"])

    @pytest.mark.filterwarnings("always")
    def test_a_warning_is_a_line(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        file = tmp_path / "credentials.toml"
        file.write_text("[other]\n")
        file.chmod(0o644)
        monkeypatch.setenv("CREATIFY_CONFIG_FILE", str(file))
        assert main(["--profile", "work", "tasks"]) == 2
        assert f"creatify: warning: {file} can be read by others" in capsys.readouterr().err

    def lacks(self, missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in list(sys.modules):
            if name.startswith("creatify.cli."):
                monkeypatch.delattr(name)
            if name.startswith(("creatify.cli.", f"{missing}.")):
                monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, missing, None)


@pytest.mark.usefixtures("interruptible")
class TestInterrupted:
    def test_the_second_ctrl_c_ends_it_at_once(self) -> None:
        assert _app._end(KeyboardInterrupt(), Session()) == 130
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL

    @pytest.mark.parametrize(("emulate", "said"), [(False, ["hint"]), (True, [])])
    def test_it_says_how_to_go_on_unless_the_emulator_is_gone(
        self, emulate: bool, said: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        session = Session(emulate=emulate)
        session.hint = "hint"
        _app._end(KeyboardInterrupt(), session)
        told = [f"creatify: {line}" for line in ["interrupted", *said]]
        assert capsys.readouterr().err.splitlines() == told


def test_the_help_loads_neither_the_client_nor_the_displays() -> None:
    program = (
        "import sys; from creatify.cli import main; main(['generate', '--help']); main(['--help']);"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    loaded = set(done.stderr.decode().split())
    assert "creatify.cli._app" in loaded
    assert loaded.isdisjoint(
        {
            "asyncio",
            "creatify._client",
            "creatify._config",
            "creatify.batch",
            "creatify.testing",
            "creatify_api",
            "dateutil",
            "httpx",
            "rich.live",
            "rich.progress",
            "ssl",
        }
    )


@pytest.mark.slow
def test_the_help_costs_little_more_than_typer() -> None:
    def median(*arguments: str) -> float:
        spent = []
        for _ in range(7):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        return statistics.median(spent)

    bare = median("-c", "import typer")
    assert median("-m", "creatify", "--help") - bare < 0.3
    assert median("-m", "creatify", "generate", "--help") - bare < 0.3
