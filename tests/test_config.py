"""Where settings come from: every source, its rank, every refusal; and that no value leaks."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import os
import pickle
import subprocess
import sys
import traceback
from typing import TYPE_CHECKING, Any

import httpx
import platformdirs
import pytest
from rawserver import each

from creatify import (
    APIStatusError,
    AsyncCreatify,
    AuthenticationError,
    ConfigurationError,
    Creatify,
    CreatifyError,
    user,
)
from creatify._config import (
    Arguments,
    Credentials,
    Keys,
    Settings,
    Sources,
    check_base_url,
    resolve,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from colours import Colour
    from rawserver import Exchange, RawServer, Script

    Serve = Callable[[Script], RawServer]

CREDITS = b'{"remaining_credits": 1}'


def resolved(**arguments: Any) -> Settings:
    return resolve(Arguments(**arguments))


def pair(**arguments: Any) -> tuple[str, str]:
    keys = resolved(**arguments).credentials.get()
    return keys.api_id, keys.api_key


def refusal(**arguments: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        resolved(**arguments)
    assert caught.value.__cause__ is None
    return str(caught.value)


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def set_all(**values: object) -> None:
        for name, value in values.items():
            monkeypatch.setenv(f"CREATIFY_{name}", str(value))

    return set_all


@pytest.fixture
def mounted(tmp_path: Path, env: Callable[..., None]) -> tuple[Path, Path]:
    """Two mounted secrets, set in the environment."""
    files = tmp_path / "mounted_id", tmp_path / "mounted_key"
    for file, value in zip(files, ("file id", "file key"), strict=True):
        file.write_text(f" {value}\n")
    env(API_ID_FILE=files[0], API_KEY_FILE=files[1])
    return files


def write_profiles(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(0o600)
    return file


@pytest.fixture
def profiles(no_settings: None) -> Path:
    """A credentials file in the user's config folder, with the profiles `default` and `other`."""
    file = platformdirs.user_config_path("creatify") / "credentials.toml"
    return write_profiles(
        file,
        '[default]\napi_id = "default id"\napi_key = " default key\\n"\n'
        '[other]\napi_id = "other id"\napi_key = "other key"\nbase_url = "https://other.example"\n',
    )


def header(exchange: Exchange, name: str) -> str | None:
    for line in exchange.head.split("\r\n")[1:]:
        found, _, value = line.partition(":")
        if found.lower() == name.lower():
            return value.strip()
    return None


@pytest.mark.usefixtures("mounted", "profiles")
class TestPrecedence:
    """The first source that is present wins."""

    @pytest.fixture(autouse=True)
    def all_sources(self, env: Callable[..., None]) -> None:
        env(API_ID="env id", API_KEY="env key")

    def test_arguments_come_first(self) -> None:
        assert pair(api_id="id", api_key="key") == ("id", "key")

    def test_a_callable_is_an_argument(self) -> None:
        assert pair(credentials=lambda: ("id", "key")) == ("id", "key")

    def test_a_profile_by_name_is_an_argument(self) -> None:
        assert pair(profile="other") == ("other id", "other key")

    def test_a_profile_beside_other_arguments_is_an_error_and_not_ignored(self) -> None:
        for others in ({"api_id": "id", "api_key": "key"}, {"credentials": lambda: ("id", "key")}):
            said = refusal(profile="other", **others)
            assert said.startswith("give a profile, or the argument")

    def test_the_environment_comes_second(self) -> None:
        assert pair() == ("env id", "env key")

    def test_mounted_files_come_third(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("CREATIFY_API_ID")
        monkeypatch.delenv("CREATIFY_API_KEY")
        assert pair() == ("file id", "file key")

    def test_the_profile_comes_last(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("API_ID", "API_KEY", "API_ID_FILE", "API_KEY_FILE"):
            monkeypatch.delenv(f"CREATIFY_{name}")
        assert pair() == ("default id", "default key")

    @pytest.mark.parametrize("empty", ["", "  ", "\n"])
    def test_an_empty_variable_counts_as_absent(self, env: Callable[..., None], empty: str) -> None:
        env(API_ID=empty, API_KEY=empty)
        assert pair() == ("file id", "file key")
        env(API_ID_FILE=empty, API_KEY_FILE=empty)
        assert pair() == ("default id", "default key")

    def test_a_profile_in_the_environment_does_not_come_before_the_environment(
        self, env: Callable[..., None]
    ) -> None:
        env(PROFILE="missing")
        assert pair() == ("env id", "env key")

    @pytest.mark.parametrize(
        ("arguments", "missing", "present"),
        [({"api_id": "id"}, "api_key", "api_id"), ({"api_key": "key"}, "api_id", "api_key")],
    )
    def test_half_a_pair_of_arguments_is_not_completed(
        self, arguments: dict[str, str], missing: str, present: str
    ) -> None:
        said = f"{present} is set and {missing} is missing; both come from one source: "
        assert refusal(**arguments) == f"{said}the arguments"

    @pytest.mark.parametrize("names", [("API_ID", "API_KEY"), ("API_ID_FILE", "API_KEY_FILE")])
    @pytest.mark.parametrize("gone", [0, 1])
    def test_half_a_pair_in_the_environment_is_not_completed(
        self, monkeypatch: pytest.MonkeyPatch, names: tuple[str, str], gone: int
    ) -> None:
        if names[0] == "API_ID_FILE":
            monkeypatch.delenv("CREATIFY_API_ID")
            monkeypatch.delenv("CREATIFY_API_KEY")
        monkeypatch.delenv(f"CREATIFY_{names[gone]}")
        said = f"CREATIFY_{names[1 - gone]} is set and CREATIFY_{names[gone]} is missing; both "
        assert refusal().startswith(said)

    @pytest.mark.parametrize("credentials", [("id", "key"), "id", 5])
    def test_credentials_that_can_not_be_asked_are_refused(self, credentials: Any) -> None:
        said = "credentials is a callable that gives an API id and an API key"
        assert refusal(credentials=credentials) == said

    def test_both_an_argument_pair_and_a_callable_is_one_too_many(self) -> None:
        assert "not both" in refusal(api_id="id", credentials=lambda: ("id", "key"))


class TestEachSourceNamesItself:
    """The client says which source won, and never what it holds."""

    @pytest.mark.usefixtures("mounted")
    def test_in_the_representation(self, env: Callable[..., None], profiles: Path) -> None:
        def source(**arguments: Any) -> str:
            with Creatify(**arguments) as client:
                return repr(client)

        assert "Creatify of https://api.creatify.ai, " in source(api_id="i", api_key="k")
        assert "redentials from the arguments>" in source(api_id="i", api_key="k")
        assert "from the argument credentials>" in source(credentials=lambda: ("i", "k"))
        assert "from CREATIFY_API_ID_FILE and CREATIFY_API_KEY_FILE>" in source()
        env(API_ID="i", API_KEY="k")
        assert "from CREATIFY_API_ID and CREATIFY_API_KEY>" in source()
        assert f"from the profile [other] in {profiles}>" in source(profile="other")
        assert "of https://other.example, " in source(profile="other")


def test_nothing_anywhere_says_where_was_looked(no_settings: None) -> None:
    said = refusal()
    for place in ("api_id", "api_key", "CREATIFY_API_ID,", "CREATIFY_API_KEY,"):
        assert place in said
    for place in ("CREATIFY_API_ID_FILE", "CREATIFY_API_KEY_FILE", "[default]", "credentials.toml"):
        assert place in said


class TestValues:
    """What a credential may be: it goes into a header."""

    def test_is_stripped(self, env: Callable[..., None]) -> None:
        assert pair(api_id=" id\n", api_key="\tkey ") == ("id", "key")
        assert pair(credentials=lambda: (" id", "key\r\n")) == ("id", "key")
        env(API_ID=" id ", API_KEY="key\n")
        assert pair() == ("id", "key")

    @pytest.mark.parametrize(
        "bad", ["CANARY\r\nX: 1", "CANARY\x00", "CANARY\x7f", "CANÄRY", "CAN\u200bARY"]
    )
    @pytest.mark.parametrize("half", ["api_id", "api_key"])
    def test_control_and_non_ascii_characters_are_refused_unseen(self, bad: str, half: str) -> None:
        said = refusal(**{"api_id": "id", "api_key": "key", half: bad})
        assert said.endswith("from the arguments has control or non-ASCII characters")
        assert f"the API {half[4:].replace('key', 'key')}" in said
        assert "CAN" not in said

    @pytest.mark.parametrize("empty", ["", " ", "\n"])
    def test_an_empty_argument_is_refused(self, empty: str) -> None:
        assert refusal(api_id=empty, api_key="key") == "the API id from the arguments is empty"

    @pytest.mark.parametrize("other", [5, b"CANARY", ["CANARY"]])
    def test_what_is_no_string_is_refused_unseen(self, other: object) -> None:
        assert refusal(api_id="id", api_key=other) == "the API key from the arguments is no string"


@pytest.mark.anyio
class TestCallable:
    """`credentials`: asked before each request, for rotation."""

    async def test_it_is_asked_per_request_and_not_before(
        self, colour: Colour, serve: Serve
    ) -> None:
        given = iter([("id 1", "key 1"), ("id 2", "key 2")])
        server = serve(lambda exchange: exchange.answer(CREDITS))
        client = colour.client(
            base_url=server.url, credentials=lambda: next(given), api_id=None, api_key=None
        )
        await client.remaining_credits()
        await client.remaining_credits()
        sent = [(header(e, "x-api-id"), header(e, "x-api-key")) for e in server.exchanges]
        assert sent == [("id 1", "key 1"), ("id 2", "key 2")]

    async def test_after_a_401_it_is_not_asked_again(self, colour: Colour, serve: Serve) -> None:
        given = iter([("id 1", "key 1"), ("id 2", "key 2")])
        server = serve(lambda exchange: exchange.answer(b"", status="401 No"))
        client = colour.client(
            base_url=server.url, credentials=lambda: next(given), api_id=None, api_key=None
        )
        with pytest.raises(AuthenticationError):
            await client.remaining_credits()
        assert len(server.exchanges) == 1

    @pytest.mark.parametrize(
        "given", [None, 5, "CANARY", ("CANARY",), ("CANARY", "b", "c"), (b"CANARY", "k")]
    )
    async def test_what_is_no_pair_is_refused_unseen(
        self, colour: Colour, serve: Serve, given: Any
    ) -> None:
        server = serve(lambda exchange: exchange.answer(CREDITS))
        client = colour.client(
            base_url=server.url, credentials=lambda: given, api_id=None, api_key=None
        )
        with pytest.raises(ConfigurationError, match="the argument credentials") as caught:
            await client.remaining_credits()
        assert "CANARY" not in str(caught.value)
        assert server.exchanges == []


class TestMountedFiles:
    """CREATIFY_API_ID_FILE and CREATIFY_API_KEY_FILE."""

    def test_a_missing_file_is_an_error_at_construction(self, mounted: tuple[Path, Path]) -> None:
        mounted[1].unlink()
        assert (
            refusal()
            == f"CREATIFY_API_KEY_FILE: {mounted[1]} can't be read: No such file or directory"
        )

    def test_a_file_that_is_no_text_is_refused_unseen(self, mounted: tuple[Path, Path]) -> None:
        mounted[0].write_bytes(b"CANARY\xff")
        assert refusal() == f"CREATIFY_API_ID_FILE: {mounted[0]} can't be read: it is no text"

    def test_an_empty_file_is_refused(self, mounted: tuple[Path, Path]) -> None:
        mounted[0].write_text("\n")
        assert refusal().startswith("the API id from CREATIFY_API_ID_FILE")

    @pytest.mark.anyio
    async def test_after_a_401_the_changed_files_are_read_and_the_request_sent_once_more(
        self, colour: Colour, serve: Serve, mounted: tuple[Path, Path]
    ) -> None:
        def rotated(exchange: Exchange) -> None:
            mounted[1].write_text("new key")
            exchange.answer(b"", status="401 Unauthorized")

        server = serve(each(rotated, lambda exchange: exchange.answer(CREDITS)))
        client = colour.client(base_url=server.url, api_id=None, api_key=None)
        assert (await client.remaining_credits()).remaining_credits == 1
        assert [header(e, "x-api-key") for e in server.exchanges] == ["file key", "new key"]
        assert [header(e, "x-api-id") for e in server.exchanges] == ["file id", "file id"]

    @pytest.mark.anyio
    @pytest.mark.usefixtures("mounted")
    async def test_after_a_401_unchanged_files_cost_no_second_request(
        self, colour: Colour, serve: Serve
    ) -> None:
        server = serve(lambda exchange: exchange.answer(b"", status="401 Unauthorized"))
        client = colour.client(base_url=server.url, api_id=None, api_key=None)
        with pytest.raises(AuthenticationError):
            await client.remaining_credits()
        assert len(server.exchanges) == 1

    @pytest.mark.anyio
    async def test_without_a_401_the_files_are_not_read_again(
        self, colour: Colour, serve: Serve, mounted: tuple[Path, Path]
    ) -> None:
        server = serve(lambda exchange: exchange.answer(CREDITS))
        client = colour.client(base_url=server.url, api_id=None, api_key=None)
        for file in mounted:
            file.unlink()
        assert (await client.remaining_credits()).remaining_credits == 1

    @pytest.mark.anyio
    async def test_a_401_stays_one_when_the_files_can_not_be_read_again(
        self, colour: Colour, serve: Serve, mounted: tuple[Path, Path]
    ) -> None:
        def gone(exchange: Exchange) -> None:
            mounted[1].unlink()
            exchange.answer(b"", status="401 Unauthorized")

        client = colour.client(base_url=serve(gone).url, api_id=None, api_key=None)
        with pytest.raises(AuthenticationError):
            await client.remaining_credits()

    @pytest.mark.anyio
    async def test_a_second_401_is_the_answer(
        self, colour: Colour, serve: Serve, mounted: tuple[Path, Path]
    ) -> None:
        def rotated(exchange: Exchange) -> None:
            mounted[1].write_text(f"key {len(server.exchanges)}")
            exchange.answer(b"", status="401 Unauthorized")

        server = serve(rotated)
        client = colour.client(base_url=server.url, api_id=None, api_key=None)
        with pytest.raises(AuthenticationError):
            await client.remaining_credits()
        assert len(server.exchanges) == 2


class TestProfiles:
    """credentials.toml in the user's config folder."""

    @pytest.mark.usefixtures("profiles")
    def test_default_is_the_default(self) -> None:
        assert pair() == ("default id", "default key")

    @pytest.mark.usefixtures("profiles")
    def test_the_environment_names_another(self, env: Callable[..., None]) -> None:
        env(PROFILE="other")
        assert pair() == ("other id", "other key")
        assert resolved().base_url == "https://other.example"

    @pytest.mark.usefixtures("profiles")
    def test_the_argument_comes_before_the_environment(self, env: Callable[..., None]) -> None:
        env(PROFILE="missing")
        assert pair(profile="other") == ("other id", "other key")

    def test_a_missing_profile_is_never_a_fall_through(
        self, profiles: Path, env: Callable[..., None]
    ) -> None:
        assert refusal(profile="absent") == f"there is no profile [absent] in {profiles}"
        env(PROFILE="gone")
        assert refusal() == f"there is no profile [gone] in {profiles}"

    def test_a_profile_that_was_asked_for_needs_its_file(self, env: Callable[..., None]) -> None:
        env(API_ID="env id", API_KEY="env key")
        said = refusal(profile="absent")
        assert said.startswith("the profile 'absent' was asked for, and ")
        assert said.endswith("credentials.toml can't be read: No such file or directory")

    def test_a_file_that_a_variable_names_has_to_be_there(
        self, env: Callable[..., None], tmp_path: Path
    ) -> None:
        env(CONFIG_FILE=str(tmp_path / "gone.toml"))
        assert refusal().startswith("CREATIFY_CONFIG_FILE is set, and ")

    def test_without_a_default_profile_it_says_where_was_looked(self, profiles: Path) -> None:
        write_profiles(profiles, '[other]\napi_id = "i"\napi_key = "k"\n')
        assert refusal().startswith("no credentials: looked for ")
        assert refusal().endswith("(creatify config set writes one)")

    @pytest.mark.usefixtures("profiles")
    def test_the_environment_names_another_file(
        self, tmp_path: Path, env: Callable[..., None]
    ) -> None:
        named = write_profiles(tmp_path / "named.toml", '[default]\napi_id="i"\napi_key="k"\n')
        env(CONFIG_FILE=named)
        assert pair() == ("i", "k")
        assert "there is no profile [other]" in refusal(profile="other")

    @pytest.mark.parametrize(
        ("name", "reason"),
        [("absent.toml", "No such file or directory"), ("n" * 300, "File name too long")],
    )
    @pytest.mark.usefixtures("profiles")
    def test_a_named_file_that_can_not_be_read_is_an_error(
        self, env: Callable[..., None], tmp_path: Path, name: str, reason: str
    ) -> None:
        env(CONFIG_FILE=tmp_path / name)
        assert refusal().endswith(f"{name} can't be read: {reason}")

    def test_a_folder_is_no_file(self, env: Callable[..., None], tmp_path: Path) -> None:
        folder = tmp_path / "folder"
        folder.mkdir(mode=0o700)
        env(CONFIG_FILE=folder)
        assert refusal().endswith(f"{folder} can't be read: Is a directory")

    @pytest.mark.parametrize("half", ["api_id", "api_key"])
    def test_half_a_pair_is_named(self, profiles: Path, half: str) -> None:
        missing = "api_key" if half == "api_id" else "api_id"
        write_profiles(profiles, f'[default]\n{half} = "CANARY"\n')
        said = f"{half} is set and {missing} is missing; both come from one source: the profile "
        assert refusal() == f"{said}[default] in {profiles}"

    def test_an_unknown_key_is_an_error_and_not_ignored(self, profiles: Path) -> None:
        text = '[default]\napi_id = "i"\napi_key = "k"\nbase_ulr = "https://a.example"\n'
        write_profiles(profiles, text)
        assert refusal() == f"the profile [default] in {profiles} has the unknown key 'base_ulr'"

    def test_a_profile_without_credentials_is_an_error(self, profiles: Path) -> None:
        write_profiles(profiles, '[default]\nbase_url = "https://a.example"\n')
        assert refusal().endswith("has neither api_id nor api_key")

    @pytest.mark.parametrize("value", ["5", "[1]", "true", "{a = 1}"])
    def test_a_value_that_is_no_string_is_an_error(self, profiles: Path, value: str) -> None:
        write_profiles(profiles, f'[default]\napi_id = "CANARY"\napi_key = {value}\n')
        assert refusal() == f"the values of the profile [default] in {profiles} must be strings"

    @pytest.mark.parametrize(
        "text",
        [
            '[default]\napi_id = "CANARY\napi_key = "k"\n',
            "[default]\napi_id = CANARY\n",
            '[default]\napi_key = "CANARY"\napi_key = "CANARY"\n',
            "[default\nCANARY",
            '[default]\napi_key = "CANARY (at line 5',
            '[default]\napi_key = "CANARY\\q"',
        ],
    )
    def test_malformed_toml_is_named_by_its_place_only(self, profiles: Path, text: str) -> None:
        write_profiles(profiles, text)
        said = refusal()
        assert said.startswith(f"{profiles} is no TOML (at ")
        assert "CANARY" not in said

    @pytest.mark.skipif(os.name != "posix", reason="other systems have no such modes")
    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
    def test_a_file_that_others_can_read_is_warned_about(self, profiles: Path, mode: int) -> None:
        profiles.chmod(mode)
        with pytest.warns(UserWarning, match=f"{profiles} can be read by others: chmod 600"):
            assert pair() == ("default id", "default key")


class TestBaseUrl:
    """Where requests go."""

    @pytest.mark.usefixtures("profiles")
    def test_the_argument_then_the_environment_then_the_profile_then_the_default(
        self, env: Callable[..., None]
    ) -> None:
        env(PROFILE="other")
        assert resolved().base_url == "https://other.example"
        env(BASE_URL="https://env.example")
        assert resolved().base_url == "https://env.example"
        assert resolved(base_url="https://arg.example").base_url == "https://arg.example"
        assert resolved(api_id="i", api_key="k").base_url == "https://env.example"
        env(BASE_URL="")
        assert resolved(api_id="i", api_key="k").base_url == "https://api.creatify.ai"

    @pytest.mark.usefixtures("profiles")
    def test_a_profile_by_name_brings_its_own(self, env: Callable[..., None]) -> None:
        env(BASE_URL="https://env.example")
        assert resolved(profile="other").base_url == "https://other.example"

    @pytest.mark.parametrize(
        ("given", "kept"),
        [
            ("https://api.creatify.ai/", "https://api.creatify.ai"),
            ("  https://api.creatify.ai\n", "https://api.creatify.ai"),
            ("HTTPS://API.creatify.ai", "https://api.creatify.ai"),
            ("https://proxy.example:8443/creatify/v1/", "https://proxy.example:8443/creatify/v1"),
            ("http://127.0.0.1:8787", "http://127.0.0.1:8787"),
            ("http://127.5.5.5", "http://127.5.5.5"),
            ("http://[::1]:8787", "http://[::1]:8787"),
            ("http://localhost:8787", "http://localhost:8787"),
            ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ],
    )
    def test_is_kept_without_the_last_slash(self, given: str, kept: str) -> None:
        assert check_base_url(given) == kept

    @pytest.mark.parametrize(
        "bad",
        [
            "",
            "  ",
            "api.creatify.ai",
            "//api.creatify.ai",
            "/sse",
            "https://",
            "https:///path",
            "ftp://api.creatify.ai",
            "file:///etc/passwd",
            "https://api.creatify.ai?key=CANARY",
            "https://api.creatify.ai/?",
            "https://api.creatify.ai#CANARY",
            "https://api.creatify.ai/#",
            "https://user:CANARY@api.creatify.ai",
            "https://CANARY@api.creatify.ai",
            "https://user:CANARY:api.creatify.ai",
            "https://api..creatify.ai",
            f"https://{'a' * 64}.ai",
            "https://api.creatify.ai:99999",
            "https://api.creatify.ai:port",
            "https://xn--/",
            "https://\u2603.ai",
            "https://api.creatify.ai/\ud800",
            "https://api.creatify.ai/\x00",
            "https://[::1",
            5,
            b"https://api.creatify.ai",
        ],
    )
    def test_what_requests_can_not_go_to_is_refused(self, bad: Any) -> None:
        with pytest.raises(ConfigurationError) as caught:
            check_base_url(bad)
        assert str(caught.value).startswith("base_url ")
        assert "https://api.creatify.ai" in str(caught.value) or "credentials never go" in str(
            caught.value
        )
        assert "CANARY" not in str(caught.value)
        assert caught.value.__cause__ is None

    @pytest.mark.parametrize(
        "host",
        [
            "127.evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.5",
            "0.0.0.0",
            "a",
        ],
    )
    def test_plain_http_to_another_host_is_refused_unless_allowed(
        self, env: Callable[..., None], host: str
    ) -> None:
        given = {"api_id": "i", "api_key": "k", "base_url": f"http://{host}"}
        said = refusal(**given)
        assert host in said
        assert "allow_http=True or CREATIFY_ALLOW_HTTP=1" in said
        assert resolved(**given, allow_http=True).base_url == f"http://{host}"
        for value in ("0", "true", ""):
            env(ALLOW_HTTP=value)
            assert refusal(**given) == said
        env(ALLOW_HTTP="1")
        assert resolved(**given).base_url == f"http://{host}"

    @pytest.mark.parametrize("source", ["env", "profile"])
    def test_each_source_is_checked(
        self, env: Callable[..., None], profiles: Path, source: str
    ) -> None:
        if source == "env":
            env(BASE_URL="http://evil.example")
        else:
            write_profiles(
                profiles, '[default]\napi_id="i"\napi_key="k"\nbase_url="http://evil.example"\n'
            )
        assert "plain http to evil.example" in refusal()

    @pytest.mark.anyio
    async def test_its_path_comes_before_the_path_of_the_operation(
        self, colour: Colour, serve: Serve
    ) -> None:
        server = serve(lambda exchange: exchange.answer(CREDITS))
        await colour.client(base_url=f"{server.url}/proxy/v1/").remaining_credits()
        assert server.exchanges[0].head.startswith("GET /proxy/v1/api/remaining_credits/ HTTP/1.1")


class TestWhenItIsRead:
    """At construction, and never at import."""

    def test_importing_reads_nothing(self, tmp_path: Path) -> None:
        broken = tmp_path / "broken.toml"
        broken.write_text("[")
        program = (
            "import os, creatify\n"
            "try:\n"
            "    creatify.Creatify()\n"
            "except creatify.ConfigurationError as error:\n"
            "    assert 'CREATIFY_API_KEY is missing' in str(error), error\n"
            "os.environ['CREATIFY_API_KEY'] = 'k'\n"
            "os.environ['CREATIFY_BASE_URL'] = 'https://set.example'\n"
            "print(creatify.Creatify())\n"
        )
        settings = {
            "CREATIFY_API_ID": "i",
            "CREATIFY_CONFIG_FILE": str(broken),
            "CREATIFY_BASE_URL": "?",
        }
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            env={**os.environ, **settings},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stderr == ""
        assert done.stdout.startswith("<Creatify of https://set.example, ")

    @pytest.mark.anyio
    async def test_a_change_after_construction_does_not_matter(
        self, colour: Colour, serve: Serve, env: Callable[..., None]
    ) -> None:
        server = serve(lambda exchange: exchange.answer(CREDITS))
        env(API_ID="i", API_KEY="k", BASE_URL=server.url)
        client = colour.client(api_id=None, api_key=None)
        env(API_ID="other", API_KEY="other", BASE_URL="http://127.0.0.1:1")
        await client.remaining_credits()
        assert header(server.exchanges[0], "x-api-key") == "k"

    def test_another_environment_can_be_given(self) -> None:
        sources = Sources({"CREATIFY_API_ID": "i", "CREATIFY_API_KEY": "k"})
        assert resolve(Arguments(), sources).credentials.get() == Keys("i", "k")


SECRETS = {"api_id": "CANARY-ID", "api_key": "CANARY-KEY"}


def dump(value: object, seen: set[int] | None = None) -> str:
    """What a debugger or an error reporter writes of an object: its fields, and theirs."""
    seen = set() if seen is None else seen
    if id(value) in seen or isinstance(value, type) or callable(getattr(value, "__code__", None)):
        return ""
    seen.add(id(value))
    said = f"{value!r} {value!s}"
    fields = dict(getattr(value, "__dict__", {}))
    for kind in type(value).__mro__:
        slots = getattr(kind, "__slots__", ())
        for name in [slots] if isinstance(slots, str) else slots:
            fields[name] = getattr(value, name, None)
    if isinstance(value, dict):
        fields |= {str(key): item for key, item in value.items()}
    elif isinstance(value, list | tuple | set):
        fields |= {str(index): item for index, item in enumerate(value)}
    module = type(value).__module__
    if module.startswith(("creatify", "httpx", "builtins")):
        said += "".join(f" {name}: {dump(item, seen)}" for name, item in fields.items())
    return said


@pytest.mark.unmeasured
class TestNothingLeaks:
    """No value of a credential in any text that the library gives."""

    def test_the_dump_would_find_it(self) -> None:
        @dataclasses.dataclass(repr=False)
        class Holder:
            inside: dict[str, list[str]]

        Holder.__module__ = "creatify"
        assert "CANARY" in dump([Holder({"a": ["CANARY"]})])

    @pytest.mark.parametrize("kind", [Creatify, AsyncCreatify])
    def test_in_a_client(self, kind: type[Creatify | AsyncCreatify]) -> None:
        client = kind(**SECRETS)  # type: ignore[arg-type] # mypy joins the types of all keywords
        said = dump(client) + dump(client.api) + dump(client.text_generator)
        assert "api.creatify.ai" in said
        assert "CANARY" not in said + dump(client.with_options(timeout=5))

    def test_in_the_settings(self) -> None:
        arguments = Arguments(**SECRETS)  # type: ignore[arg-type] # mypy joins the types of all fields
        settings = resolve(arguments)
        assert "CANARY" not in repr(arguments)
        assert "CANARY" not in dump(settings) + repr(dataclasses.asdict(settings))
        assert "CANARY" not in dump(copy.deepcopy(settings))

    def test_in_a_pickle_which_there_is_none_of(self) -> None:
        with pytest.raises((TypeError, AttributeError, pickle.PicklingError)) as caught:
            pickle.dumps(resolved(**SECRETS))
        assert "CANARY" not in str(caught.value)

    @pytest.mark.anyio
    @pytest.mark.parametrize("whose", ["own", "given"])
    @pytest.mark.parametrize("how", ["401", "500", "html", "reset", "refused", "redirect"])
    async def test_in_an_error_or_a_log(
        self,
        colour: Colour,
        serve: Serve,
        caplog: pytest.LogCaptureFixture,
        how: str,
        whose: str,
    ) -> None:
        def script(exchange: Exchange) -> None:
            match how:
                case "reset":
                    exchange.reset()
                case "html":
                    exchange.answer(b"<html>")
                case "redirect":
                    exchange.answer(
                        b"", status="302 Found", headers="Location: http://127.0.0.1:1/\r\n"
                    )
                case _:
                    exchange.answer(b'{"error": "x"}', status=f"{how} X")

        server = serve(script)
        url = "http://127.0.0.1:1" if how == "refused" else server.url
        caplog.set_level(logging.DEBUG)
        http: Any = httpx.Client() if colour.is_sync else httpx.AsyncClient()
        given = {"http_client": http} if whose == "given" else {}
        with pytest.raises(CreatifyError) as caught:
            await colour.client(base_url=url, **given, **SECRETS).remaining_credits()
        http.close() if colour.is_sync else await http.aclose()
        error: BaseException | None = caught.value
        said = json.dumps([record.getMessage() for record in caplog.records])
        said += "".join(traceback.format_exception(error))
        while error is not None:
            said += dump(error) + dump(vars(error)) + repr(getattr(error, "request", None))
            if request := getattr(error, "_request", None):
                said += str(request.headers.raw)
            error = error.__cause__ or error.__context__
        # httpx tells of an answer where the client is the caller's.
        assert ("HTTP Request" in said) == (whose == "given" and how not in {"reset", "refused"})
        assert "attempt 1" in said
        assert "CANARY" not in said
        if how != "refused":
            assert header(server.exchanges[0], "x-api-key") == "CANARY-KEY"

    @pytest.mark.anyio
    async def test_in_a_stream(self, colour: Colour, serve: Serve) -> None:
        event = b'data: {"candidates": [{"finishReason": "STOP"}]}\n\n'
        server = serve(lambda exchange: exchange.stream([event]))
        client = colour.client(base_url=server.url, **SECRETS)
        async with client.text_generator.stream(model_name="m", messages=[user("Hello")]) as stream:
            await stream.until_done()
            said = dump(getattr(stream, "_target", stream))
        assert header(server.exchanges[0], "x-api-key") == "CANARY-KEY"
        assert "creatify-client/" in said  # the request is in it, as it was before it was signed
        assert "CANARY" not in said

    @pytest.mark.anyio
    async def test_in_what_the_api_sees_elsewhere(self, colour: Colour, serve: Serve) -> None:
        other = serve(lambda exchange: exchange.answer(CREDITS))
        server = serve(
            lambda exchange: exchange.answer(
                b"", status="302 Found", headers=f"Location: {other.url}/\r\n"
            )
        )
        with pytest.raises(APIStatusError):
            await colour.client(base_url=server.url, **SECRETS).remaining_credits()
        assert other.exchanges == []

    def test_in_a_representation_of_credentials(self) -> None:
        found = Credentials(lambda: ("CANARY", "CANARY"), source="somewhere", account="CANARY")
        assert repr(found) == str(found) == "<Credentials from somewhere>"
