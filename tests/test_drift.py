"""An answer that the spec doesn't know is understood, and told of: by place and kind, no value."""

from __future__ import annotations

import hashlib
import json
import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import creatify_api
from creatify import ConfigurationError, Drift, ResponseDecodeError, _schema, user
from creatify import __main__ as command
from creatify._drift import _logged, tell
from creatify.testing import Emulator, faults

if TYPE_CHECKING:
    from colours import Colour

HELLO: dict[str, Any] = {"model_name": "gemini-2.5-flash", "messages": [user("Hello")]}
UNKNOWN = {
    "colour": "a-private-value",
    "status": "a-private-status",
    "failed_reason": None,
    "config": {"temperature": None, "shade": 1},
}
TOLD = [
    Drift("TextGenConfig", "shade", "unknown property"),
    Drift("TextGenConfig", "temperature", "null"),
    Drift("TextGenResponse", "colour", "unknown property"),
    Drift("TextGenResponse", "failed_reason", "null"),
    Drift("TextGenResponse", "status", "unknown value"),
]


@pytest.fixture(autouse=True)
def nothing_logged_yet() -> None:
    _logged.clear()


@pytest.fixture
def drifting(emulator: Emulator) -> Emulator:
    emulator.fault_when = lambda _, __: faults.merge(UNKNOWN)
    return emulator


def client_of(colour: Colour, emulator: Emulator, **options: Any) -> Any:
    return colour.client(
        base_url=emulator.url, api_id=emulator.api_id, api_key=emulator.api_key, **options
    )


def test_a_place_within_an_inline_object_is_told_by_the_schema_that_holds_it() -> None:
    inner: Any = {"type": "object", "properties": {"b": {"type": "string", "enum": ["x"]}}}
    schema: Any = {
        "type": "object",
        "properties": {"a": inner, "l": {"type": "array", "items": inner}},
    }
    drifts: set[Drift] = set()
    walk = _schema._Walk(strict=False, drifts=drifts)
    value: Any = {"a": {"b": "y"}, "l": [{"c": 1}]}
    walk.value(value, replace(_schema._compile(schema, {}), name="S"), "$", ("S", ""))
    assert drifts == {Drift("S", "a.b", "unknown value"), Drift("S", "l.c", "unknown property")}


def test_an_object_that_is_open_knows_every_property() -> None:
    extra: Any
    for extra in ({}, {"properties": {"a": {}}, "additionalProperties": {}}):
        assert not _schema._compile({"type": "object", **extra}, {}).is_closed


@pytest.mark.anyio
async def test_each_place_of_an_answer_is_told_once(colour: Colour, drifting: Emulator) -> None:
    told: list[Drift] = []
    for _ in range(3):
        drifting.tasks.add()
    client = client_of(colour, drifting, on_drift=told.append)
    assert len(await client.text_generator.list()) == 3
    assert told == TOLD
    await client.with_options(timeout=5).text_generator.create(**HELLO)
    assert told == TOLD * 2


@pytest.mark.anyio
async def test_the_chunks_of_a_stream_are_looked_at_where_they_are_built(
    colour: Colour, emulator: Emulator
) -> None:
    told: list[Drift] = []
    emulator.script(faults.merge({"modelVersion": None}), faults.merge({"news": 1}))
    client = client_of(colour, emulator, on_drift=told.append)
    async with client.text_generator.stream(**HELLO) as stream:
        async for _ in stream.text_stream:
            pass
    assert told == []
    async with client.text_generator.stream(**HELLO) as stream:
        async for _ in stream:
            pass
    assert set(told) == {Drift("TextGenStreamChunk", "news", "unknown property")}


@pytest.mark.anyio
async def test_an_answer_of_the_spec_tells_nothing(colour: Colour, emulator: Emulator) -> None:
    told: list[Drift] = []
    client = client_of(colour, emulator, on_drift=told.append)
    await client.text_generator.generate(**HELLO)
    await client.remaining_credits()
    assert told == []


@pytest.mark.anyio
async def test_an_error_of_on_drift_loses_no_answer(
    colour: Colour, drifting: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(drift: Drift) -> None:
        raise LookupError(drift.schema)

    client = client_of(colour, drifting, on_drift=broken)
    task = await client.text_generator.create(**HELLO)
    assert str(task.id) in drifting.tasks
    assert "on_drift failed at Drift(schema='TextGenConfig'" in caplog.text


@pytest.mark.anyio
async def test_the_log_has_each_place_once_and_no_value(
    colour: Colour, drifting: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "creatify"):
        client = client_of(colour, drifting)
        for _ in range(2):
            await client.text_generator.create(**HELLO)
    lines = [r.getMessage() for r in caplog.records if "drift" in r.getMessage()]
    assert lines == [
        f"drift from the spec: {drift.kind} at {drift.schema}.{drift.property}" for drift in TOLD
    ]
    assert "a-private" not in caplog.text


def test_what_was_not_logged_is_logged_once_it_may_be(caplog: pytest.LogCaptureFixture) -> None:
    """And a name that the server chose forges no line."""
    drift = Drift("S", "evil\nERROR forged", "unknown property")
    with caplog.at_level(logging.INFO, "creatify"):
        tell({drift}, None)
    with caplog.at_level(logging.DEBUG, "creatify"):
        tell({drift}, None)
        tell({drift}, None)
    told = [r.getMessage() for r in caplog.records]
    assert told == ["drift from the spec: unknown property at S.evil ERROR forged"]


def test_a_server_that_makes_up_names_without_end_fills_no_memory(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG, "creatify"):
        for number in range(1100):
            tell({Drift("S", f"name{number}", "unknown property")}, None)
    assert len(_logged) == len(caplog.records) == 1000


@pytest.mark.anyio
async def test_an_answer_that_can_not_be_read_tells_what_was_seen_before(
    colour: Colour, emulator: Emulator
) -> None:
    told: list[Drift] = []
    emulator.tasks.add()
    emulator.fault_when = lambda _, __: faults.merge({"colour": 1, "messages": "wrong"})
    client = client_of(colour, emulator, on_drift=told.append)
    with pytest.raises(ResponseDecodeError):
        await client.text_generator.list()
    assert told == [Drift("TextGenResponse", "colour", "unknown property")]


@pytest.mark.anyio
async def test_on_drift_is_a_plain_function(colour: Colour) -> None:
    async def awaited(_: Drift) -> None: ...

    for wrong in (awaited, 5, "print"):
        with pytest.raises(ConfigurationError, match="on_drift is a plain function of a Drift"):
            colour.client(base_url="https://api.example", on_drift=wrong)


STRICT = """
    from creatify import user
    from creatify.testing import faults

    def ask(client):
        return client.text_generator.create(
            model_name="gemini-2.5-flash", messages=[user("Hello")])

    def test_drift(creatify_client, creatify_emulator):
        creatify_emulator.script(faults.merge({"colour": "blue", "status": None}))
        assert ask(creatify_client).additional_properties == {"colour": "blue"}

    def test_none(creatify_client):
        ask(creatify_client)
"""


def test_creatify_strict_makes_drift_fail_and_without_it_it_passes(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(STRICT)
    pytester.runpytest("-p", "no:cacheprovider").assert_outcomes(passed=2)
    result = pytester.runpytest("-p", "no:cacheprovider", "--creatify-strict")
    result.assert_outcomes(passed=1, failed=1)
    told = [Drift("TextGenResponse", "colour", "unknown property")]
    told.append(Drift("TextGenResponse", "status", "null"))
    result.stdout.fnmatch_lines([f"answers differ from the spec: {', '.join(map(str, told))}"])


STRICT_PHASES = """
    import pytest
    from creatify import user
    from creatify.testing import faults

    def ask(client):
        return client.text_generator.create(
            model_name="gemini-2.5-flash", messages=[user("Hello")])

    @pytest.fixture
    def asked_before(creatify_client, creatify_emulator):
        creatify_emulator.script(faults.merge({"colour": "blue"}))
        ask(creatify_client)

    @pytest.fixture
    def asked_after(creatify_client, creatify_emulator):
        yield
        creatify_emulator.script(faults.merge({"colour": "blue"}))
        ask(creatify_client)

    def test_before(asked_before): ...

    def test_after(asked_after): ...

    def test_wrong_anyway(creatify_client, creatify_emulator):
        creatify_emulator.script(faults.merge({"colour": "blue"}))
        assert ask(creatify_client) is None

    def test_wrong_without(creatify_client):
        assert ask(creatify_client) is None

    def test_none(creatify_client):
        ask(creatify_client)
"""


def test_creatify_strict_sees_fixtures_and_tests_that_fail_anyway(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(STRICT_PHASES)
    plain = pytester.runpytest("-p", "no:cacheprovider")
    plain.assert_outcomes(passed=3, failed=2)
    assert "differ from the spec" not in plain.stdout.str()
    strict = pytester.runpytest("-p", "no:cacheprovider", "--creatify-strict")
    strict.assert_outcomes(passed=2, failed=2, errors=2)
    assert strict.stdout.str().count("answers differ from the spec: Drift(") >= 3


def test_the_package_knows_the_hash_of_the_spec_that_it_was_made_from() -> None:
    file = Path(creatify_api.__file__).with_name("openapi.json")
    assert creatify_api.__spec_sha256__ == hashlib.sha256(file.read_bytes()).hexdigest()


def test_the_command_prints_which_spec_the_client_was_made_from(
    capsys: pytest.CaptureFixture[str],
) -> None:
    command.main(["spec"])
    printed = capsys.readouterr().out
    spec = json.loads(Path(creatify_api.__file__).with_name("openapi.json").read_bytes())
    assert creatify_api.__spec_sha256__ in printed
    assert spec["info"]["title"] in printed
    for path, item in spec["paths"].items():
        for operation in item.values():
            assert f" {path} {operation['operationId']}\n" in printed


def test_the_command_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "creatify", "spec"], capture_output=True, text=True, check=True
    )
    assert creatify_api.__spec_sha256__ in done.stdout
