import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from emulated import STREAM, ask

from creatify.testing import Emulator
from creatify.testing.__main__ import main

RECORDINGS = Path(__file__).parent / "recordings"


def exports(printed: str) -> dict[str, str]:
    return dict(re.findall(r"^export (CREATIFY_\w+)=(\S+)$", printed, re.MULTILINE))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_module_serves_until_it_gets_a_signal(number: int) -> None:
    command = [sys.executable, "-W", "error", "-m", "creatify.testing", "--port", "0"]
    command += ["--recordings", str(RECORDINGS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline().decode() for _ in range(5)]
            given = exports("".join(lines))
            assert given["CREATIFY_BASE_URL"] in lines[0]
            headers = {
                "X-API-ID": given["CREATIFY_API_ID"],
                "X-API-KEY": given["CREATIFY_API_KEY"],
            }
            url = given["CREATIFY_BASE_URL"] + STREAM
            response = httpx.post(url, json=ask("capital"), headers=headers, trust_env=False)
            assert response.content == (RECORDINGS / "capital.sse").read_bytes()
        finally:
            process.send_signal(number)
            out, err = process.communicate(timeout=5)
    assert (process.returncode, out, err) == (0, b"", b"")


@pytest.fixture
def signal_handlers() -> Iterator[None]:
    """Those of before the test, afterwards."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("signal_handlers")
def test_main_prints_what_to_paste(capsys: pytest.CaptureFixture[str]) -> None:
    killer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM))
    killer.start()
    try:
        main(["--port", "0"])
    finally:
        killer.join()
    given = exports(capsys.readouterr().out)
    assert set(given) == {"CREATIFY_BASE_URL", "CREATIFY_API_ID", "CREATIFY_API_KEY"}


@pytest.mark.usefixtures("signal_handlers")
@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--port={busy}", "in use"),
        ("--port=65536", "port must be 0 to 65535"),
        ("--recordings={missing}", "No such file or directory: '{missing}'"),
    ],
)
def test_what_keeps_it_from_serving_is_one_line_and_exit_code_2(
    option: str, said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with Emulator() as other:
        names = {"busy": other.url.rpartition(":")[2], "missing": str(tmp_path / "missing")}
        with pytest.raises(SystemExit) as ended:
            main([option.format(**names)])
    assert ended.value.code == 2
    out, err = capfd.readouterr()
    (line,) = err.splitlines()
    assert line.startswith("python -m creatify.testing: error: ")
    assert said.format(**names) in line
    assert out == ""


def test_without_the_extra_the_import_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: dict[str, Any] = dict(sys.modules)
    for name in loaded:
        if name.startswith("creatify.testing"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'creatify-client\[testing\]'"):
        __import__("creatify.testing")
