"""Each row of the table of failures, in both colours, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import pickle
import subprocess
from typing import TYPE_CHECKING, Any

import failures
import httpx
import pytest
from colours import in_use
from failing import CREATE, HOST, LIST, RETRIEVE, STREAM, World
from failures import ROWS

import creatify._retry
from creatify import APIStatusError, CreatifyError, OutcomeUnknownError, StreamError, user

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from colours import Colour
    from failing import Pair

    from creatify.testing import Emulator

pytestmark = pytest.mark.unmeasured

CASES = [
    pytest.param((row, call, case), id=f"{call}-{row.cause[:20].rstrip()}-{case.name}")
    for row in ROWS
    for call in row.calls
    for case in row.cases
]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pair, Pair]:
    """Two self-signed ones, of which a client trusts the second."""
    folder = tmp_path_factory.mktemp("certificates")

    def make(name: str) -> Pair:
        certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
        command = (
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9"
            f" -subj /CN={name} -addext subjectAltName=IP:{HOST} -out {certificate} -keyout {key}"
        )
        subprocess.run(command.split(), check=True, capture_output=True)
        return certificate, key

    return make("untrusted"), make("trusted")


@contextlib.asynccontextmanager
async def client_in(world: World, colour: Colour) -> AsyncIterator[Any]:
    """A client that meets the row's failure with its next call."""
    emulator, options = world.emulator, {**world.client, **world.row.client}
    async with contextlib.AsyncExitStack() as stack:
        if world.is_crowded:
            kind = httpx.Client if colour.is_sync else httpx.AsyncClient
            given: Any = kind(limits=httpx.Limits(max_connections=1), trust_env=False)
            options["http_client"] = given
            if colour.is_sync:
                stack.callback(given.close)
            else:
                stack.push_async_callback(given.aclose)
        keys = {"api_id": emulator.api_id, "api_key": emulator.api_key}
        yield colour.client(max_retries=2, **keys, **options)


@contextlib.asynccontextmanager
async def prepared(world: World, client: Any) -> AsyncIterator[None]:
    async with contextlib.AsyncExitStack() as stack:
        if world.is_crowded:
            stream = client.text_generator.stream(**asked(world))
            await stack.enter_async_context(stream)
            world.emulator.charges = 0
        if world.is_warm:
            await client.remaining_credits()
            await asyncio.sleep(0.02)
            world.is_warm = False
        world.emulator.requests.clear()
        yield


def asked(world: World) -> dict[str, Any]:
    return {"model_name": "gemini-2.5-flash", "messages": [user(world.message)]}


async def called(world: World, client: Any) -> str:
    """What the call gives: the id of a task, or the text of a stream."""
    generator, options = client.text_generator, world.row.options
    if world.call == RETRIEVE:
        task = world.emulator.tasks.add()
        return str((await generator.retrieve(task.id, **options)).id)
    if world.call != STREAM:
        method = getattr(generator, world.call)
        return str((await method(**asked(world), **options)).id)
    options = {"idle_timeout" if name == "timeout" else name: v for name, v in options.items()}
    async with generator.stream(**asked(world), **options) as stream:
        await stream.until_done()
    return str(stream.text.replace("H\ufffdllo", "Hello"))


def check_error(world: World, error: CreatifyError) -> None:
    row, text = world.row, str(error)
    assert type(error) is getattr(creatify, row.gives)
    assert text == " ".join(text.split())
    assert row.says in text
    if isinstance(error, APIStatusError) and world.call != RETRIEVE:
        assert "; nothing was charged: " in text
    assert ("may have been charged" in text) <= (row.charged == "maybe once")
    assert {name: getattr(error, name) for name in row.fields} == row.fields
    cause = "" if error.__cause__ is None else type(error.__cause__).__name__
    # A heartbeat that comes just when the time is over tells of it before the transport does.
    assert cause == row.because or (cause == "" and world.case.name == "pings")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), repr(vars(copy))) == (type(error), text, repr(vars(error)))


def check_tasks(world: World, error: Any) -> None:
    """The tasks that the API made are in the error, oldest first."""
    tasks, row = world.emulator.tasks, world.row
    if isinstance(error, OutcomeUnknownError):
        assert error.request.messages[0].content == world.message
    if isinstance(error, StreamError):
        assert next(iter(tasks.values())).answer.text.startswith(error.partial_text)
        assert bool(error.partial_text) == bool(error.chunks_received)
    shown = [error.task] if hasattr(error, "task") else getattr(error, "candidates", None)
    if shown is not None:
        count = int(world.case.acted) if row.candidates is None else row.candidates
        assert [str(task.id) for task in shown] == list(tasks)[:count]


def attempts(caplog: pytest.LogCaptureFixture) -> int:
    """Those of the call, and not those of the search in the list that follows it."""
    lines = [
        r.getMessage()
        for r in caplog.records
        if r.name == "creatify" and r.levelno == logging.DEBUG
    ]
    return sum(not line.startswith("GET /sse/text_generator/:") for line in lines)


@pytest.fixture
def world(
    request: pytest.FixtureRequest,
    emulator: Emulator,
    certificates: tuple[Pair, Pair],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[World]:
    monkeypatch.setattr("creatify._retry._FIRST_DELAY", 0.01)
    with contextlib.closing(World(request.param, emulator, monkeypatch, certificates)) as made:
        yield made


@pytest.mark.anyio
@pytest.mark.parametrize("world", CASES, indirect=True)
async def test_a_failure_gives_what_the_table_says_and_the_client_works_on(
    world: World, colour: Colour, caplog: pytest.LogCaptureFixture
) -> None:
    row, call, acted = world.row, world.call, world.case.acted
    caplog.set_level(logging.DEBUG, "creatify")
    async with client_in(world, colour) as client:
        async with prepared(world, client):
            caplog.clear()
            if not row.gives or (row.is_listed and acted and call == CREATE):
                result = await called(world, client)
                [task] = world.emulator.tasks.values()
                assert result == (task.answer.text if call == STREAM else task.id)
                asked_list = LIST in [record.operation for record in world.emulator.requests]
                assert asked_list == row.is_listed
            else:
                with pytest.raises(CreatifyError) as caught:
                    await called(world, client)
                check_error(world, caught.value)
                check_tasks(world, caught.value)
            assert world.arrived() == row.sent - world.unseen
            assert not world.unseen or attempts(caplog) == row.sent
            assert world.emulator.charges == acted
            assert sum(in_use(client)) == world.is_crowded
        world.mend()
        assert (await client.remaining_credits()).remaining_credits > 0
        assert not any(in_use(client))
        assert world.elsewhere is None or world.elsewhere.exchanges == []


def test_the_guide_has_the_table() -> None:
    guide = creatify._retry.__doc__ or ""
    assert guide.partition("Every failure\n\n")[2] == failures.table()
