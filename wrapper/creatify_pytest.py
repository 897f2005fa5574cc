"""pytest plugin: fixtures for services that use `creatify`, to test them offline.

It is loaded in every pytest run where the library is installed, so it imports nothing until one of
its fixtures is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from creatify import Creatify
    from creatify.testing import Emulator


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--creatify-strict`: a test fails if an answer that it gets differs from the spec."""
    group = parser.getgroup("creatify")
    group.addoption(
        "--creatify-strict",
        action="store_true",
        help="fail tests that meet answers of the API that differ from creatify's spec",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Watch what the clients of a test meet, if asked to."""
    if not item.config.getoption("creatify_strict"):
        return (yield)
    from creatify._drift import watchers  # noqa: PLC0415 - costs nothing where it isn't used

    seen: dict[str, None] = {}
    watchers.append(lambda drift: seen.setdefault(str(drift)))
    try:
        yield
    finally:
        watchers.pop()
    if seen:
        pytest.fail(f"answers differ from the spec: {', '.join(seen)}", pytrace=False)


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
