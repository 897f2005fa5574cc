"""pytest plugin: fixtures for services that use `creatify`, to test them offline.

It is loaded in every pytest run where the library is installed, so it imports nothing until one of
its fixtures is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from creatify import Creatify
    from creatify.testing import Emulator


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
