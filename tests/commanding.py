"""What the tests of the command line share: running it in process, and in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from canaries import leaks
from typer.testing import CliRunner

from creatify.cli._app import app

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typer.testing import Result

    from creatify.testing import Emulator

PROGRAM = ["-m", "creatify"]


def creatify(*arguments: str, stdin: str | bytes = "") -> Result:
    """Run a command in process, as in a pipe. What nobody expects is raised."""
    result = CliRunner().invoke(app, arguments, input=stdin, catch_exceptions=False)
    assert not leaks(result.output), "the command shows a credential"
    return result


def piped(
    *arguments: str, env: Mapping[str, str], stdin: bytes = b"", stdout: int = subprocess.PIPE
) -> subprocess.CompletedProcess[bytes]:
    """Run a command in a process of its own, in pipes."""
    done = subprocess.run(
        [sys.executable, *PROGRAM, *arguments],
        env=env,
        input=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        check=False,
        timeout=20,
    )
    assert not leaks((done.stdout or b"") + (done.stderr or b"")), "it shows a credential"
    return done


def settings(emulator: Emulator) -> dict[str, str]:
    """The environment that leads to an emulator."""
    return {
        "CREATIFY_BASE_URL": emulator.url,
        "CREATIFY_API_ID": emulator.api_id,
        "CREATIFY_API_KEY": emulator.api_key,
        "CREATIFY_ASYNC_TRANSPORT": "httpx",  # aiohttp takes longer to load
    }


def environment(emulator: Emulator, **more: str) -> dict[str, str]:
    """The environment of a process whose settings lead to an emulator."""
    environ = {**os.environ, **settings(emulator), **more}
    environ.pop("PYTHONUNBUFFERED", None)  # it would hide what is not flushed
    return environ
