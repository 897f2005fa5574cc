"""A batch over several processes: clients travel, and a partition that is run again pays once."""

from __future__ import annotations

import copy
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from batches import CREATE, ask
from colours import CANARY_ID, CANARY_KEY, KEYS

from creatify import AsyncCreatify, ConfigurationError, Creatify
from creatify.batch import JournalError, generate_partition
from creatify.testing import Emulator, faults

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent


def keys_of_this_module() -> tuple[str, str]:
    return CANARY_ID, CANARY_KEY


def row(number: int) -> dict[str, Any]:
    """As it stands in a data set: JSON and nothing else."""
    messages = [{"role": "user", "content": f"Text {number}."}]
    return {"model_name": "gemini-2.5-flash", "messages": messages}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, emulator: Emulator) -> Emulator:
    """The emulator's settings where workers look for them."""
    monkeypatch.setenv("CREATIFY_BASE_URL", emulator.url)
    monkeypatch.setenv("CREATIFY_API_ID", CANARY_ID)
    monkeypatch.setenv("CREATIFY_API_KEY", CANARY_KEY)
    return emulator


@pytest.mark.parametrize("kind", [Creatify, AsyncCreatify])
class TestAClientThatTravels:
    def test_has_its_options_and_finds_its_credentials_where_it_lands(
        self, kind: Any, environment: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client = kind(timeout=7, max_retries=5, max_response_size=1234)
        pickled = pickle.dumps(client.with_options(timeout=9))
        assert CANARY_KEY.encode() not in pickled
        assert CANARY_ID.encode() not in pickled
        monkeypatch.setenv("CREATIFY_BASE_URL", "https://elsewhere.example")
        monkeypatch.setenv("CREATIFY_API_KEY", "another-key")
        landed = pickle.loads(pickled)
        assert type(landed) is kind
        assert landed._options.timeout == 9
        assert landed._options.max_retries == 5
        assert landed._connection._max_response_size == 1234
        assert landed._connection.settings.base_url == environment.url
        assert landed._connection.settings.credentials.get().api_key == "another-key"

    @pytest.mark.usefixtures("environment")
    def test_says_so_where_there_are_none(self, kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        pickled = pickle.dumps(kind())
        monkeypatch.delenv("CREATIFY_API_ID")
        monkeypatch.delenv("CREATIFY_API_KEY")
        with pytest.raises(ConfigurationError, match="no credentials"):
            pickle.loads(pickled)

    def test_takes_its_profile_and_its_function_along_by_name(
        self, kind: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = tmp_path / "credentials.toml"
        file.write_text('[work]\napi_id = "i"\napi_key = "k"\nbase_url = "http://10.0.0.1"\n')
        file.chmod(0o600)
        monkeypatch.setenv("CREATIFY_CONFIG_FILE", str(file))
        landed = pickle.loads(pickle.dumps(kind(profile="work", allow_http=True)))
        assert landed._connection.settings.base_url == "http://10.0.0.1"
        assert landed._connection.settings.credentials.get().api_id == "i"
        landed = pickle.loads(pickle.dumps(kind(credentials=keys_of_this_module, on_drift=print)))
        assert landed._connection.settings.credentials.get().api_id == CANARY_ID
        assert landed._options.on_drift is print

    def test_is_none_that_holds_its_keys_or_connections(self, kind: Any) -> None:
        with pytest.raises(ConfigurationError, match="api_id and api_key can't be pickled"):
            pickle.dumps(kind(**KEYS))
        with pytest.raises(ConfigurationError, match="api_id and api_key can't be pickled"):
            pickle.dumps(kind(**KEYS).with_options(timeout=3))
        http = httpx.Client() if kind is Creatify else httpx.AsyncClient()
        client = kind(credentials=keys_of_this_module, http_client=http)
        with pytest.raises(ConfigurationError, match="http_client can't be pickled"):
            pickle.dumps(client)

    def test_may_be_copied_whatever_it_holds(self, kind: Any) -> None:
        client = kind(**KEYS, timeout=3)
        for copied in (copy.copy(client), copy.deepcopy({"client": client})["client"]):
            assert copied is not client
            assert copied._connection is client._connection
            assert copied._options == client._options


def test_a_partition_gives_plain_json_in_its_order(environment: Emulator) -> None:
    environment.script(faults.delay(0.3), operation=CREATE)
    rows = [row(0), {"key": "k", "request": row(1)}, {"nothing": 0}]
    found = generate_partition(iter(rows))
    assert json.loads(json.dumps(found)) == found
    assert [result["index"] for result in found] == [0, 1, 2]
    assert [result["status"] for result in found] == ["done", "done", "invalid"]
    assert [result["key"] for result in found] == [None, "k", None]
    assert found[1]["task"]["messages"][0]["content"] == "Text 1."
    assert found[2]["error"]
    assert environment.charges == 2


def test_a_partition_leaves_a_given_client_open(environment: Emulator) -> None:
    with Creatify() as client:
        generate_partition([row(0)], client=client)
        assert client.remaining_credits().remaining_credits


def test_a_partition_that_is_run_again_pays_once(environment: Emulator, tmp_path: Path) -> None:
    folder = tmp_path / "journals"
    first = generate_partition([row(0), ask("Text 1.")], journal=folder)
    again = generate_partition([row(0), row(1)], journal=folder)
    assert first == again
    assert environment.charges == 2
    generate_partition([row(1), row(0)], journal=folder)
    assert environment.charges == 4
    assert len(list(folder.iterdir())) == 2


def test_a_folder_that_can_not_be_is_an_error(environment: Emulator, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="no journals can be in"):
        generate_partition([row(0)], journal=tmp_path / "file")
    assert environment.charges == 0


def test_the_columns_that_ray_gives_are_rows_in_one_line(environment: Emulator) -> None:
    """Ray is not installed here: this is the shape that its `map_batches` documents."""
    columns = {
        "model_name": [row(0)["model_name"]] * 2,
        "messages": [row(n)["messages"] for n in (0, 1)],
    }
    rows = [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]
    found = {"result": generate_partition(rows)}
    assert [result["status"] for result in found["result"]] == ["done", "done"]


@pytest.fixture
def cluster(environment: Emulator, tmp_path: Path) -> Iterator[Any]:
    """Two worker processes of Dask that have the settings in their environment."""
    with subprocess.Popen(
        [sys.executable, HERE / "dask_partitions.py", str(tmp_path / "journals")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        if process.poll() is None:
            process.kill()


@pytest.mark.slow
def test_dask_runs_partitions_and_one_whose_worker_is_killed_again_for_no_more_credits(
    environment: Emulator, cluster: subprocess.Popen[str]
) -> None:
    """It prints the workers' process ids, then runs 6 partitions of 10 requests."""
    environment.running = 1.0
    assert cluster.stdout is not None
    assert cluster.stdin is not None
    workers = [int(number) for number in cluster.stdout.readline().split()]
    assert len(workers) == 2
    cluster.stdin.write("go\n")
    cluster.stdin.flush()
    deadline = time.monotonic() + 30
    # When both workers wait for their second partitions: an intent that had not arrived would stay
    # `unknown`, among tasks of the other worker that its journal does not know.
    while environment.charges < 40 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(workers[0], signal.SIGKILL)
    out, _ = cluster.communicate(timeout=60)
    found = json.loads(out)
    assert [result["status"] for result in found] == ["done"] * 60
    said = [result["task"]["messages"][0]["content"] for result in found]
    assert said == [f"Text {number}." for number in range(60)]
    assert environment.charges == 60
    assert len({result["task"]["id"] for result in found}) == 60
