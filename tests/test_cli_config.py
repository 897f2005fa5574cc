"""`creatify config`: which source won, and a profile that is written."""

from __future__ import annotations

import os
import stat
import tomllib
from typing import TYPE_CHECKING

import pytest
from canaries import leaks
from colours import CANARY_ID, CANARY_KEY
from commanding import PROGRAM, creatify
from hypothesis import given
from hypothesis import strategies as st
from terminal import Terminal

from creatify._config import VARIABLES
from creatify.cli._profile_file import with_profile

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TYPED = f"{CANARY_ID}\n{CANARY_KEY}\n"
KEYS = {"api_id": CANARY_ID, "api_key": CANARY_KEY}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the credentials file is, or would be."""
    place = tmp_path / "creatify" / "credentials.toml"
    monkeypatch.setenv("CREATIFY_CONFIG_FILE", str(place))
    return place


def written(file: Path, text: str) -> str:
    """The file's content, kept as its owner should."""
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    file.chmod(0o600)
    return text


def shown(*options: str) -> dict[str, str]:
    result = creatify(*options, "config", "show")
    assert result.exit_code == 0
    return dict(line.split(": ", 1) for line in result.stdout.splitlines())


class TestShow:
    def test_the_environment_wins(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CREATIFY_API_ID", CANARY_ID)
        monkeypatch.setenv("CREATIFY_API_KEY", CANARY_KEY)
        told = shown()
        assert told["credentials"] == "from CREATIFY_API_ID and CREATIFY_API_KEY"
        assert told["base URL"] == "https://api.creatify.ai, from the default"
        assert told["profiles"] == f"{file} (No such file or directory)"
        assert told["CREATIFY_API_ID"] == "set"
        assert told["CREATIFY_API_ID_FILE"] == "not set"
        assert set(VARIABLES) < told.keys()

    def test_a_profile_wins_that_is_asked_for(
        self, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CREATIFY_API_ID", "other")
        monkeypatch.setenv("CREATIFY_API_KEY", "other")
        creatify("config", "set", "--profile", "work", "--base-url", "http://[::1]/", stdin=TYPED)
        told = shown("--profile", "work")
        assert told["credentials"] == f"from the profile [work] in {file}"
        assert told["base URL"] == f"http://[::1], from the profile [work] in {file}"
        assert told["profiles"] == f"{file} (mode 600)"

    @pytest.mark.parametrize(
        ("url", "source"), [("http://localhost", "CREATIFY_BASE_URL"), (None, "the profile")]
    )
    @pytest.mark.usefixtures("file")
    def test_the_base_url_has_its_own_source(
        self, url: str | None, source: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        creatify("config", "set", "--base-url", "http://127.0.0.1", stdin=TYPED)
        if url:
            monkeypatch.setenv("CREATIFY_BASE_URL", url)
        assert shown()["base URL"].startswith(f"{url or 'http://127.0.0.1'}, from {source}")

    @pytest.mark.usefixtures("file")
    def test_what_is_wrong_comes_after_where_was_looked(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CREATIFY_API_ID", CANARY_ID)
        monkeypatch.setenv("CREATIFY_APIKEY", CANARY_KEY)
        result = creatify("config", "show")
        assert "CREATIFY_API_ID: set\nCREATIFY_API_KEY: not set\n" in result.stdout
        assert "credentials:" not in result.stdout
        assert "CREATIFY_APIKEY is set, and is no setting of this library" in result.stderr
        assert "CREATIFY_API_ID is set and CREATIFY_API_KEY is missing" in result.stderr
        assert result.exit_code == 2


class TestSet:
    def test_two_lines_make_a_profile_that_only_its_owner_can_read(self, file: Path) -> None:
        result = creatify("config", "set", stdin=TYPED)
        assert result.stderr == f"creatify: the profile [default] is in {file}\n"
        assert (result.stdout, result.exit_code) == ("", 0)
        assert tomllib.loads(file.read_text()) == {"default": KEYS}
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
        assert list(file.parent.iterdir()) == [file]

    def test_it_is_its_owners_from_the_first_byte(
        self, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        modes: list[int] = []
        sync = os.fsync

        def look(descriptor: int) -> None:
            modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
            sync(descriptor)

        monkeypatch.setattr(os, "fsync", look)
        written(file, "# mine\n")
        file.chmod(0o644)
        before = os.umask(0)
        try:
            creatify("config", "set", stdin=TYPED)
        finally:
            os.umask(before)
        assert modes == [0o600]
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    def test_other_profiles_other_values_and_comments_stay(self, file: Path) -> None:
        before = written(
            file,
            "# keep me\n[other]  # and me\napi_id = 'i'\napi_key = 'k'\n\n"
            "[work]\n# mine\napi_id = 'old'\nbase_url = 'http://127.0.0.1'\n[ 'z' ]\n",
        )
        result = creatify("--profile", "work", "config", "set", stdin=TYPED)
        assert result.exit_code == 0
        assert file.read_text() == before.replace("api_id = 'old'\n", "").replace(
            "[work]\n", f'[work]\napi_id = "{CANARY_ID}"\napi_key = "{CANARY_KEY}"\n'
        )

    @pytest.mark.parametrize(
        ("variables", "options", "name"),
        [
            ({}, [], "default"),
            ({"CREATIFY_PROFILE": "theirs"}, [], "theirs"),
            ({"CREATIFY_PROFILE": "theirs"}, ["--profile", "a.b ü"], "a.b ü"),
        ],
    )
    def test_the_profile_is_the_one_that_a_client_would_look_for(
        self,
        variables: Mapping[str, str],
        options: list[str],
        name: str,
        file: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        for variable, value in variables.items():
            monkeypatch.setenv(variable, value)
        assert creatify("config", "set", *options, stdin=TYPED).exit_code == 0
        assert tomllib.loads(file.read_text()) == {name: KEYS}
        assert shown("--profile", name)["credentials"] == f"from the profile [{name}] in {file}"

    @pytest.mark.usefixtures("file")
    def test_a_source_that_comes_first_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CREATIFY_API_ID", "i")
        monkeypatch.setenv("CREATIFY_API_KEY", "k")
        told = creatify("config", "set", stdin=TYPED).stderr.splitlines()[1]
        assert told == (
            "creatify: without --profile default, credentials come from"
            " CREATIFY_API_ID and CREATIFY_API_KEY"
        )

    @pytest.mark.parametrize(
        ("typed", "said"),
        [
            ("", "the API id from standard input is empty"),
            (f"{CANARY_ID}\n", "the API key from standard input is empty"),
            (f"{CANARY_ID}\n{CANARY_KEY}\u00e4\n", "non-ASCII characters"),
        ],
    )
    def test_what_can_be_no_credential_is_refused(self, typed: str, said: str, file: Path) -> None:
        result = creatify("config", "set", stdin=typed)
        assert said in result.stderr
        assert result.exit_code == 2
        assert not file.exists()

    @pytest.mark.parametrize(
        ("url", "code"), [("ftp://x", 2), ("http://example.com", 2), ("https://example.com", 0)]
    )
    def test_a_base_url_is_checked_as_a_clients(self, url: str, code: int, file: Path) -> None:
        result = creatify("config", "set", "--base-url", url, stdin=TYPED)
        assert result.exit_code == code
        assert file.exists() is (code == 0)

    def test_where_the_file_is_a_link_what_it_leads_to_is_written(self, file: Path) -> None:
        target = file.parent.parent / "elsewhere.toml"
        written(target, "[other]\n")
        file.parent.mkdir()
        file.symlink_to(target)
        assert creatify("config", "set", stdin=TYPED).exit_code == 0
        assert file.is_symlink()
        assert tomllib.loads(target.read_text()) == {"other": {}, "default": KEYS}

    @pytest.mark.parametrize(
        "text",
        [
            "default = 7\n",
            f"default = {{api_id = '{CANARY_ID}'}}\n",
            "default.api_id = 'i'\n",
            '[default]\napi_id = """\na\n"""\n',
            "a = '''\n[default]\n'''\n",
            f"[default]\napi_key = '{CANARY_KEY}\n",
        ],
    )
    def test_a_file_that_can_not_be_edited_by_lines_stays_as_it_is(
        self, text: str, file: Path
    ) -> None:
        written(file, text)
        result = creatify("config", "set", stdin=TYPED)
        assert "write the profile [default] into it by hand" in result.stderr
        assert result.exit_code == 2
        assert file.read_text() == text

    def test_a_place_that_can_not_be_written_is_told(self, file: Path) -> None:
        file.parent.write_text("no folder")
        result = creatify("config", "set", stdin=TYPED)
        assert f"{file} can't be written: " in result.stderr
        assert result.exit_code == 2

    def test_a_file_that_is_no_text_is_told(self, file: Path) -> None:
        file.parent.mkdir()
        file.write_bytes(b"\xff")
        assert "can't be written: it is no text" in creatify("config", "set", stdin=TYPED).stderr

    def test_what_fails_at_the_last_moment_leaves_the_old_file_and_no_other(
        self, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        text = written(file, "[other]\n")
        monkeypatch.setattr(os, "fsync", full)
        result = creatify("config", "set", stdin=TYPED)
        assert result.stderr.endswith("can't be written: No space left on device\n")
        assert file.read_text() == text
        assert list(file.parent.iterdir()) == [file]


PRINTABLE = st.characters(exclude_categories=["C", "Z"]) | st.just(" ")
NAMES = st.text(PRINTABLE, min_size=1, max_size=8)
VALUES = st.dictionaries(st.sampled_from(["api_id", "api_key", "base_url"]), NAMES, min_size=1)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=6), st.sampled_from(["", "# c\n", "[x]\r\n"]))
def test_profiles_that_are_written_one_after_the_other_are_all_there(
    profiles: list[tuple[str, dict[str, str]]], text: str
) -> None:
    expected = tomllib.loads(text)
    for name, values in profiles:
        text = with_profile(text, name, values)
        expected.setdefault(name, {}).update(values)
        assert tomllib.loads(text) == expected


class TestInATerminal:
    def test_the_key_is_asked_for_and_does_not_show(self, file: Path) -> None:
        with Terminal(*PROGRAM, "config", "set", "--profile", "work") as terminal:
            terminal.until("API id:")
            terminal.press("an-id\n")
            terminal.until("API key (it does not show):")
            terminal.press(f"{CANARY_KEY}\n")
            assert terminal.end() == 0
        assert not leaks(terminal.raw)
        assert "an-id" in terminal.text
        assert "the profile [work] is in" in terminal.text
        assert tomllib.loads(file.read_text())["work"]["api_key"] == CANARY_KEY
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    def test_ctrl_c_at_the_prompt_writes_nothing_and_lets_the_terminal_echo_again(
        self, file: Path
    ) -> None:
        with Terminal(*PROGRAM, "config", "set") as terminal:
            terminal.until("API id:")
            terminal.press("an-id\n")
            terminal.until("API key (it does not show):")
            terminal.press("\x03")
            assert terminal.end() == 130
            assert terminal.echoes
        assert not file.exists()

    def test_an_end_of_input_is_no_credential(self, file: Path) -> None:
        with Terminal(*PROGRAM, "config", "set") as terminal:
            terminal.until("API id:")
            terminal.press("an-id\n")
            terminal.until("API key (it does not show):")
            terminal.press("\x04")
            assert terminal.end() == 2
        assert "API key from standard input is empty" in terminal.text.replace("\n", "")
        assert not file.exists()
