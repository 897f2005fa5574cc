"""No credential and no prompt shows anywhere; `canaries` looks at what all other tests show."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import json
import logging
import pickle
import signal
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from canaries import leaks, told_by
from colours import CANARY_ID, CANARY_KEY, KEYS
from rawserver import each

from creatify import (
    APIConnectionError,
    AsyncCreatify,
    AuthenticationError,
    ConfigurationError,
    Creatify,
    OutcomeUnknownError,
    user,
)
from creatify._log import LOGGER
from creatify_api.api.text_generator import sse_text_generator_list

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from colours import Colour
    from rawserver import Exchange, RawServer, Script

    Serve = Callable[[Script], RawServer]

HELLO: dict[str, Any] = {"model_name": "m", "messages": [user("a-private-prompt")]}


NET = """
    import base64, logging, pickle, sys, pytest

    def test_printed():
        print("a-sparrow")

    def test_printed_as_error():
        print("a-sparrow", file=sys.stderr)

    def test_logged():
        logging.getLogger("httpx").debug("a-%s", "sparrow")

    def test_pickled():
        pickle.dumps(["a-sparrow"])

    def test_raised():
        with pytest.raises(ValueError):
            raise ValueError("a-sparrow")

    def test_in_the_cause():
        with pytest.raises(ValueError):
            raise ValueError from KeyError("a-sparrow")

    def test_in_a_local():
        with pytest.raises(ValueError):
            base64.b64decode("a-sparrow!", validate=True)

    def test_nothing():
        print("a sparrow")
"""


@pytest.mark.unmeasured
def test_the_net_under_all_tests_catches_what_shows(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARIES", "a-sparrow")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    pytester.makepyfile(NET)
    result = pytester.runpytest_subprocess("-p", "canaries", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, failed=7, errors=3)  # what was printed shows at the end, too
    result.stdout.fnmatch_lines(
        ["*shows in: Captured stdout call*", "*shows in: Captured stderr call*"]
    )


class TestObjects:
    @pytest.mark.parametrize("kind", [Creatify, AsyncCreatify])
    def test_a_client_and_all_that_it_holds_show_none(self, kind: Any) -> None:
        client = kind(**KEYS)
        seen: list[Any] = []
        left = [client, client.text_generator, client.api, client.with_options(timeout=5)]
        while left:
            held = left.pop()
            if any(held is other for other in seen):
                continue
            seen.append(held)
            shown = [repr(held), str(held)]
            if dataclasses.is_dataclass(held) and not isinstance(held, type):
                shown.append(repr(dataclasses.asdict(held)))
            if attrs.has(type(held)):
                shown.append(repr(attrs.asdict(held)))
            assert not any(map(leaks, shown)), type(held)
            left += vars(held).values() if hasattr(held, "__dict__") else ()
            left += [getattr(held, name) for name in getattr(type(held), "__slots__", ())]
        assert len(seen) > 10

    @pytest.mark.parametrize("kind", [Creatify, AsyncCreatify])
    def test_a_copy_of_a_client_shows_none(self, kind: Any) -> None:
        client = kind(**KEYS)
        assert not leaks(repr(vars(copy.copy(client))))
        assert not leaks(repr(vars(copy.deepcopy(client))))
        with pytest.raises(ConfigurationError, match="can't be pickled"):
            pickle.dumps(client)

    def test_what_generated_functions_return_shows_none(self, serve: Serve) -> None:
        server = serve(lambda e: e.answer(b"[]"))
        with Creatify(base_url=server.url, **KEYS) as client:
            response = sse_text_generator_list.sync_detailed(client=client.api)
            raw = client.api.get_httpx_client().get("/sse/text_generator/")
        assert not leaks(repr(response))
        assert not leaks(repr([raw.request.headers, raw.headers, raw.extensions]))


@pytest.mark.parametrize("kind", [Creatify, AsyncCreatify])
@pytest.mark.parametrize(
    "options",
    [
        {"api_key": CANARY_KEY},
        {"api_id": CANARY_ID},
        {"api_id": CANARY_ID, "api_key": f"{CANARY_KEY}\n\x00"},
        {"api_id": CANARY_ID, "api_key": f"{CANARY_KEY}ä"},
        {"api_id": CANARY_ID, "api_key": [CANARY_KEY]},
        {**KEYS, "base_url": "http://example.com"},
        {**KEYS, "timeout": -1},
        {**KEYS, "max_retries": -1},
        {**KEYS, "max_response_size": 0},
        {**KEYS, "http_client": "none"},
        {**KEYS, "profile": "work"},
        {**KEYS, "credentials": dict},
        {"credentials": lambda: (CANARY_ID, f"{CANARY_KEY}\n\x00")},
        {"credentials": lambda: CANARY_KEY},
    ],
)
def test_a_setting_that_is_refused_shows_no_credential_in_a_traceback_with_locals(
    kind: Any, options: dict[str, Any]
) -> None:
    def use() -> None:
        kind(**options)
        Creatify(**options).text_generator.list()  # the callable is asked only now

    with pytest.raises(ConfigurationError):  # which looks
        use()


def test_nor_does_a_source_of_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "credentials.toml"
    monkeypatch.setenv("CREATIFY_CONFIG_FILE", str(file))
    for text in (
        f'[default]\napi_key = "{CANARY_KEY}"',
        f'[default]\napi_id = 5\napi_key = "{CANARY_KEY}"',
        f'[default]\napi_id = "{CANARY_ID}"\napi_key = "{CANARY_KEY}"\nother = "x"',
        f'[default]\napi_key = "{CANARY_KEY}',
    ):
        file.write_text(text)
        file.chmod(0o600)
        with pytest.raises(ConfigurationError):
            Creatify()
    monkeypatch.setenv("CREATIFY_API_KEY", CANARY_KEY)
    with pytest.raises(ConfigurationError):
        Creatify()


@pytest.mark.anyio
async def test_no_failure_shows_a_credential(colour: Colour, serve: Serve) -> None:
    def stalled(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        exchange.peer_closed(within=5)

    def told_back(exchange: Exchange) -> None:
        told = json.dumps({"error": f"{CANARY_ID} or {CANARY_KEY}: {exchange.head}"}).encode()
        exchange.answer(told, status="401 Unauthorized")

    scripts = [
        lambda e: e.reset(),
        lambda e: e.peer_closed(within=5),
        stalled,
        lambda e: e.send(b"nonsense\r\n\r\n"),
        lambda e: e.answer(b"<html>"),
        lambda e: e.answer(status="500 Oops"),
        lambda e: e.answer(status="302 Found", headers="Location: https://example.com/\r\n"),
        told_back,
    ]
    client = colour.client(base_url=serve(each(*scripts)).url)
    errors: list[Any] = []
    for _ in scripts:
        with pytest.raises(Exception, match=r"answer|connection") as caught:
            await client.text_generator.list(timeout=0.5)
        errors.append(caught.value)
    assert type(errors[-1]) is AuthenticationError
    assert errors[-1].message.startswith("*** or ***: GET ")
    assert not leaks(repr(errors[-1].body))


@pytest.mark.anyio
async def test_a_header_that_says_a_credential_back_does_not_show_it(
    colour: Colour, serve: Serve
) -> None:
    headers = f"X-Echo: {CANARY_KEY}\r\n"
    server = serve(lambda e: e.answer(status="401 Unauthorized", headers=headers))
    logging.getLogger("httpcore").setLevel(logging.INFO)  # at DEBUG it logs an answer's headers
    with pytest.raises(AuthenticationError) as caught:
        await colour.client(base_url=server.url).text_generator.list()
    assert caught.value.headers["x-echo"] == "***"


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_while_the_request_is_written_keeps_no_frame_that_holds_it() -> None:
    main = threading.main_thread().ident
    assert main is not None

    def interrupt() -> None:
        time.sleep(0.3)
        signal.pthread_kill(main, signal.SIGINT)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with Creatify(base_url=url, **KEYS) as client:
            threading.Thread(target=interrupt).start()
            large = user("a" * 10_000_000)
            with pytest.raises(KeyboardInterrupt) as caught:
                client.text_generator.create(model_name="m", messages=[large])
            frames = "".join(told_by(caught.value))
    assert "creatify/_connection.py" in frames
    assert "httpcore" not in frames


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("transport", ["httpx", "aiohttp"])
def test_nor_does_an_interrupt_of_an_event_loop(
    monkeypatch: pytest.MonkeyPatch, transport: str
) -> None:
    monkeypatch.setenv("CREATIFY_ASYNC_TRANSPORT", transport)
    main = threading.main_thread().ident
    assert main is not None

    async def create(url: str) -> None:
        loop = asyncio.get_running_loop()
        async with AsyncCreatify(base_url=url, **KEYS) as client:
            large = user("a" * 10_000_000)
            loop.call_later(0.3, signal.pthread_kill, main, signal.SIGINT)
            await client.text_generator.create(model_name="m", messages=[large])

    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(KeyboardInterrupt) as caught:
            asyncio.run(create(url))
    frames = "".join(told_by(caught.value))
    assert "httpcore" not in frames
    assert "_aiohttp.py" not in frames


def test_the_tracebacks_of_what_the_caller_is_handling_stay(serve: Serve) -> None:
    server = serve(lambda e: e.reset())
    with Creatify(base_url=server.url, max_retries=0, **KEYS) as client:
        try:
            int("mine")
        except ValueError as error:
            mine = error
            with pytest.raises(APIConnectionError) as caught:
                client.text_generator.list()
            cause = caught.value.__cause__
            assert mine.__traceback__ is not None
            assert cause is not None
            assert cause.__traceback__ is None


@pytest.mark.anyio
async def test_a_short_credential_is_not_cut_out_of_every_text(
    colour: Colour, serve: Serve
) -> None:
    server = serve(lambda e: e.answer(b'{"error": "no"}', status="401 Unauthorized"))
    client = colour.client(base_url=server.url, api_id="error", api_key="no")
    with pytest.raises(AuthenticationError) as caught:
        await client.text_generator.list()
    assert caught.value.body == {"error": "no"}


@pytest.mark.anyio
async def test_what_a_terminal_would_obey_reaches_neither_texts_nor_the_log(
    colour: Colour, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    headers = "X-Request-Id: a\x1b[2Jb\r\n"
    body = b'{"error": "no\\u001b[31m\\nway"}'
    server = serve(lambda e: e.answer(body, status="400 Bad", headers=headers))
    with pytest.raises(Exception, match=r"400: no \[31m way \(request id a \[2Jb\)") as caught:
        await colour.client(base_url=server.url).text_generator.list()
    assert "\x1b" not in str(caught.value)
    told = [record.getMessage() for record in caplog.records if record.name == "creatify"]
    assert told[0].endswith("request id a [2Jb)")


@pytest.mark.anyio
class TestLog:
    async def test_a_request_is_logged_without_its_headers_and_its_prompt(
        self, colour: Colour, serve: Serve, caplog: pytest.LogCaptureFixture
    ) -> None:
        server = serve(
            each(
                lambda e: e.answer(status="503 Busy", headers="Retry-After: 0\r\n"),
                lambda e: e.answer(status="400 Bad", headers="X-Request-Id: abc-1\r\n"),
            )
        )
        client = colour.client(base_url=f"{server.url}/base", max_retries=2)
        with caplog.at_level(logging.DEBUG, "creatify"), pytest.raises(Exception, match="400"):
            await client.text_generator.create(**HELLO)
        lines = [record.getMessage() for record in caplog.records if record.name == "creatify"]
        assert lines.pop(1) == "POST /base/sse/text_generator/ is sent again in 0.00 s"
        first = "POST /base/sse/text_generator/: 503 after 0.### s (attempt 1, request id None)"
        second = "POST /base/sse/text_generator/: 400 after 0.### s (attempt 2, request id abc-1)"
        assert [_without_digits(line) for line in lines] == [first, second]
        assert "private-prompt" not in caplog.text

    async def test_a_failure_is_logged_by_its_name(
        self, colour: Colour, serve: Serve, caplog: pytest.LogCaptureFixture
    ) -> None:
        server = serve(lambda e: e.reset())
        with caplog.at_level(logging.DEBUG, "creatify"), pytest.raises(OutcomeUnknownError):
            await colour.client(base_url=server.url).text_generator.create(**HELLO)
        told = [record.getMessage() for record in caplog.records if record.name == "creatify"]
        assert told[0].startswith("POST /sse/text_generator/: APIConnectionError after ")
        assert told[1].startswith("GET /sse/text_generator/: APIConnectionError after ")


def _without_digits(line: str) -> str:
    head, _, rest = line.partition(" after 0.")
    return f"{head} after 0.###{rest[3:]}"


class TestLevel:
    @pytest.fixture(autouse=True)
    def logger(self) -> Iterator[None]:
        handlers, level, propagate = LOGGER.handlers[:], LOGGER.level, LOGGER.propagate
        yield
        LOGGER.handlers, LOGGER.propagate = handlers, propagate
        LOGGER.setLevel(level)

    def test_creatify_log_sets_the_level_and_a_handler_where_there_is_none(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("CREATIFY_LOG", "debug")
        LOGGER.propagate = False  # pytest's own handlers are the root's
        for _ in range(2):
            Creatify(**KEYS)
        assert (LOGGER.level, len(LOGGER.handlers)) == (logging.DEBUG, 1)
        LOGGER.debug("a line")
        assert capsys.readouterr().err.endswith(" creatify DEBUG a line\n")

    @pytest.mark.parametrize("name", ["INFO", "warning", "Error"])
    def test_a_program_that_logs_keeps_its_handlers(
        self, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        monkeypatch.setenv("CREATIFY_LOG", name)
        Creatify(**KEYS)
        assert (logging.getLevelName(LOGGER.level), LOGGER.handlers) == (name.upper(), [])

    def test_without_it_nothing_is_set(self) -> None:
        LOGGER.setLevel(logging.NOTSET)
        Creatify(**KEYS)
        assert (LOGGER.level, LOGGER.handlers) == (logging.NOTSET, [])

    def test_what_is_no_level_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CREATIFY_LOG", "loud")
        with pytest.raises(ConfigurationError, match="'loud', and may be debug, info"):
            Creatify(**KEYS)
