import subprocess
import sys

import httpx
import pytest

from creatify import Creatify, user
from creatify.testing import Emulator


def test_the_emulator_is_a_fixture(creatify_emulator: Emulator) -> None:
    assert httpx.get(creatify_emulator.url, trust_env=False).status_code == 404
    assert len(creatify_emulator.requests) == 1


def test_the_client_talks_to_the_emulator(
    creatify_client: Creatify, creatify_emulator: Emulator
) -> None:
    task = creatify_client.text_generator.generate(
        model_name="gemini-2.5-flash", messages=[user("Hello")]
    )
    assert str(task.id) in creatify_emulator.tasks
    assert creatify_emulator.charges == 1


def test_the_environment_leads_to_the_emulator(creatify_environment: Emulator) -> None:
    with Creatify() as client:
        assert client.text_generator.list() == []
    assert len(creatify_environment.requests) == 1


@pytest.mark.unmeasured
def test_the_fixtures_are_there_without_a_conftest_and_new_for_each_test(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The environment doesn't matter.
    monkeypatch.setenv("CREATIFY_API_ID", "half a pair")
    monkeypatch.setenv("CREATIFY_BASE_URL", "https://api.creatify.ai")
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("round", [1, 2])
        def test_new(creatify_client, creatify_emulator, round):
            assert creatify_emulator.requests == []
            creatify_client.remaining_credits()
        """
    )
    pytester.runpytest_subprocess("-W", "error").assert_outcomes(passed=2)


USES_AND_USES_NOT = """
def test_with(creatify_client):
    pass

def test_without():
    pass
"""
WHAT_TO_INSTALL = (
    "creatify.testing needs the module 'starlette*', which isn't installed: "
    "run pip install 'creatify-client[[]testing[]]'."
)


def test_without_the_extra_the_plugin_loads_and_the_fixture_says_what_to_install(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It hides the real one from the interpreter's start.
    pytester.makepyfile(starlette="raise ModuleNotFoundError('No starlette', name='starlette')")
    monkeypatch.setenv("PYTHONPATH", str(pytester.path))
    pytester.makepyfile(USES_AND_USES_NOT)
    result = pytester.runpytest_subprocess("-W", "error")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines([WHAT_TO_INSTALL])


def test_what_to_install_is_all_that_the_fixture_says(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(sys.modules):
        if name.startswith("creatify.testing"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "starlette.applications", None)
    pytester.makepyfile(USES_AND_USES_NOT)
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines([WHAT_TO_INSTALL])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_the_plugin_imports_nothing_but_pytest() -> None:
    code = "import sys, pytest; old = set(sys.modules); import creatify_pytest; "
    code += "print(*sorted(set(sys.modules) - old))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.split() == ["creatify_pytest"]
