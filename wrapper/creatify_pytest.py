"""pytest plugin: fixtures for services that use `creatify`, to test them offline.

It is loaded in every pytest run where the library is installed, so it imports nothing until one of
its fixtures is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from creatify import Creatify
    from creatify.testing import Emulator


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--creatify-strict`: a test fails if an answer that it gets differs from the spec.

    It watches tests and their fixtures. What the generated functions get through `client.api` is
    not looked at: they decode by themselves.
    """
    group = parser.getgroup("creatify")
    group.addoption(
        "--creatify-strict",
        action="store_true",
        help="fail tests that meet answers of the API that differ from creatify's spec",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    """Watch what the clients of a test's fixtures meet, if asked to."""
    yield from _watched(item, "setup")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """The same of the test itself."""
    yield from _watched(item, "call")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """The same of its fixtures' end."""
    yield from _watched(item, "teardown")


def _watched(item: pytest.Item, phase: str) -> Generator[None]:
    if not item.config.getoption("creatify_strict"):
        return (yield)
    from creatify._drift import watchers  # noqa: PLC0415 - costs nothing where it isn't used

    seen: dict[str, None] = {}

    def see(drift: object) -> None:
        seen[str(drift)] = None

    watchers.append(see)
    try:
        yield
    except BaseException:
        if seen:
            item.add_report_section(phase, "creatify", _differ(seen))
        raise
    finally:
        watchers.remove(see)
    if seen:
        pytest.fail(_differ(seen), pytrace=False)


def _differ(seen: Iterable[str]) -> str:
    return f"answers differ from the spec: {', '.join(seen)}"


@pytest.fixture
def creatify_emulator() -> Iterator[Emulator]:
    """A running `creatify.testing.Emulator`, new for each test, with short tasks."""
    try:
        from creatify.testing import Emulator  # noqa: PLC0415 - costs nothing where it isn't used
    except ModuleNotFoundError as error:
        pytest.fail(str(error), pytrace=False)
    with Emulator(pending=0.005, running=0.02) as emulator:
        yield emulator


@pytest.fixture
def creatify_environment(creatify_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """`creatify_emulator`, to which the environment leads clients that are made in the test."""
    monkeypatch.setenv("CREATIFY_BASE_URL", creatify_emulator.url)
    monkeypatch.setenv("CREATIFY_API_ID", creatify_emulator.api_id)
    monkeypatch.setenv("CREATIFY_API_KEY", creatify_emulator.api_key)
    return creatify_emulator


@pytest.fixture
def creatify_client(creatify_emulator: Emulator) -> Iterator[Creatify]:
    """A `creatify.Creatify` that talks to `creatify_emulator`, closed after the test."""
    from creatify import Creatify  # noqa: PLC0415 - costs nothing where it isn't used

    client = Creatify(
        base_url=creatify_emulator.url,
        api_id=creatify_emulator.api_id,
        api_key=creatify_emulator.api_key,
    )
    try:
        yield client
    finally:
        client.close()
