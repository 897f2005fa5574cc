"""Fixtures of all tests. No test reads the settings of the person who runs it."""

from __future__ import annotations

import os
import signal
import warnings
from typing import TYPE_CHECKING

import coverage
import hypothesis
import pytest
from colours import KEYS, Colour, colour_named
from coverage.exceptions import CoverageWarning
from rawserver import RawServer

from creatify._ledger import _ledgers
from creatify.testing import Emulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Iterator
    from pathlib import Path

    from rawserver import Script

pytest_plugins = ["canaries"]

# A shell starts what it runs in the background with Ctrl-C ignored, and so would be every command
# that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The gate must not depend on luck or on how busy the machine is: `--hypothesis-profile=default`
# looks for new examples.
hypothesis.settings.register_profile("steady", derandomize=True, deadline=None, max_examples=50)
hypothesis.settings.load_profile("steady")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Being measured doubles the time of a test: not those which add nothing to the coverage."""
    measured = coverage.Coverage.current()
    if measured is None or "unmeasured" not in item.keywords:
        return (yield)
    # What the test starts is not measured either.
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
        measured.stop()
        try:
            return (yield)
        finally:
            with warnings.catch_warnings():
                # That the library is imported already: so it was when coverage stopped.
                warnings.simplefilter("ignore", CoverageWarning)
                measured.start()


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The environment holds no setting of this library and no proxy; the home folder is empty."""
    for name in list(os.environ):
        if name.startswith("CREATIFY_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


@pytest.fixture(autouse=True)
def hasty_search(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a lost answer was is looked up three times at once, unless the test takes its time."""
    if "patient" not in request.keywords:
        monkeypatch.setattr("creatify._reconcile.DELAYS", (0.0, 0.01, 0.02))


@pytest.fixture(autouse=True)
def own_ledgers() -> None:
    """No test knows the tasks of another: servers of both may have had the same port."""
    _ledgers.clear()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


WIRED = frozenset(
    {
        "test_connection",
        "test_endurance",
        "test_failures",
        "test_pool",
        "test_reconcile",
        "test_retry",
        "test_secrets",
        "test_stream",
    }
)
"""The tests that run over aiohttp, too."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marks = metafunc.definition.iter_markers("parametrize")
    if "colour" in metafunc.fixturenames and all(mark.args[0] != "colour" for mark in marks):
        more = ["aiohttp"] if metafunc.module.__name__ in WIRED else []
        metafunc.parametrize("colour", ["sync", "async", *more], indirect=True)


@pytest.fixture
async def colour(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncIterator[Colour]:
    """Makes clients of one colour: `colour.client(base_url=...)`; everything on them is awaited."""
    async with colour_named(request.param) as made:
        yield made


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """A local API whose tasks are done at once."""
    with Emulator(pending=0.01, running=0.01, **KEYS) as running:
        yield running


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt; in a job in the background a shell has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def serve() -> Iterator[Callable[[Script], RawServer]]:
    """Starts servers that follow a script; they end with the test."""
    servers: list[RawServer] = []

    def start(script: Script) -> RawServer:
        server = RawServer(script)
        servers.append(server.__enter__())
        return server

    yield start
    for server in servers:
        server.__exit__()
