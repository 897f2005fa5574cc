"""What the package and its clients load and open before the first call, each in a fresh process.

Counted, not timed: each module that is loaded is time that every program pays at its start.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.unmeasured

_CLIENTS = "Creatify(api_id='i', api_key='k'), AsyncCreatify(api_id='i', api_key='k')"


def test_the_package_alone_loads_nothing() -> None:
    assert _loaded("import creatify", after="__future__, importlib, typing") == {
        "creatify",
        "creatify._version",
    }


@pytest.mark.parametrize("error", ["CreatifyError", "RateLimitError"])
def test_an_error_is_known_without_a_client(error: str) -> None:
    assert _loaded(f"from creatify import {error}", after="__future__, importlib, typing") == {
        "creatify",
        "creatify._errors",
        "creatify._version",
    }


def test_the_clients_load_httpx_and_attrs_and_of_the_rest_only_the_standard_library() -> None:
    loaded = _loaded(f"from creatify import *; {_CLIENTS}", after="httpx, httpcore")
    others = {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names
    assert others == {"attr", "attrs", "creatify", "creatify_api"}


def test_the_clients_leave_the_rest_to_the_first_need() -> None:
    # httpx has loaded what it needs itself, and what belongs to its command line.
    loaded = _loaded(f"from creatify import *; {_CLIENTS}", after="httpx, httpcore")
    assert loaded.isdisjoint(
        {"asyncio", "difflib", "tomllib", "creatify.testing", "creatify.webhooks"}
    )


def test_making_a_client_opens_nothing() -> None:
    # The first ones load the modules, which Python opens.
    program = f"""
import gc, ssl, sys
seen = []
sys.addaudithook(lambda event, _: seen.append(event))
from creatify import AsyncCreatify, Creatify
first = {_CLIENTS}
print(*(event for event in seen if event.startswith("socket.")))
seen.clear()
more = {_CLIENTS}
print(*seen)
print(*(value for value in gc.get_objects() if isinstance(value, ssl.SSLContext)))
"""
    assert _output(program).split() == []


def _loaded(program: str, *, after: str) -> set[str]:
    """The modules that a program loads in a process that has imported others before."""
    program = f"import sys, {after}; old = set(sys.modules); {program}"
    return set(_output(f"{program}; print(*set(sys.modules) - old)").split())


def _output(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    )
    return done.stdout
