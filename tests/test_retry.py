"""When a request is sent again, and that a paid one never is after an unknown outcome."""

from __future__ import annotations

import json
import socket
import ssl
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rawserver import each, posted

from creatify import (
    APIConnectionError,
    APITimeoutError,
    ConfigurationError,
    Creatify,
    InternalServerError,
    OutcomeUnknownError,
    RateLimitError,
    ResponseDecodeError,
    user,
)
from creatify._attempts import attempts
from creatify._config import Arguments, resolve
from creatify._flow import Sleep
from creatify._retry import retry_delay
from creatify.testing import faults
from creatify_api.api.text_generator import sse_text_generator_list

if TYPE_CHECKING:
    from collections.abc import Callable

    from colours import Colour
    from rawserver import Exchange, RawServer, Script

    from creatify.testing import Emulator

    Serve = Callable[[Script], RawServer]

HELLO: dict[str, Any] = {"model_name": "m", "messages": [user("Hello")]}
TASK = {
    "id": "3c90c3cc-0d44-4b50-8888-8dd25736052a",
    "model_name": "m",
    "messages": [],
    "config": {},
    "response_function_calls": [],
    "created_at": "2026-11-01T00:00:00Z",
    "updated_at": "2026-11-01T00:00:00Z",
}
RECEIPT = b'data: {"creatify": {"id": "x", "credits_used": 1}}\n\n'
NOT_SENT = APIConnectionError("refused", request_sent=False)
UNKNOWN = APIConnectionError("lost", request_sent=True)


def tls_failure() -> APIConnectionError:
    error = APIConnectionError("certificate", request_sent=False)
    error.__cause__ = httpx.ConnectError("certificate")
    error.__cause__.__cause__ = ssl.SSLCertVerificationError("certificate")
    return error


def tls_not_yet() -> APIConnectionError:
    """As asyncio's TLS leaves it when the connection is reset in the handshake."""
    error = APIConnectionError("reset", request_sent=False)
    error.__cause__ = httpx.ConnectError("reset")
    error.__cause__.__cause__ = ConnectionResetError("reset")
    error.__cause__.__cause__.__context__ = ssl.SSLWantReadError("not yet")
    return error


def tls_cut_short() -> APIConnectionError:
    error = APIConnectionError("eof", request_sent=False)
    error.__cause__ = httpx.ConnectError("eof")
    error.__cause__.__cause__ = ssl.SSLEOFError("eof")
    return error


def answered(status: int, retry_after: str | None = None) -> httpx.Response:
    return httpx.Response(status, headers={"Retry-After": retry_after} if retry_after else {})


ALWAYS = [
    NOT_SENT,
    tls_not_yet(),
    tls_cut_short(),
    answered(429),
    answered(429, "1"),
    answered(503, "1"),
]
ONLY_SAFE = [UNKNOWN, *(answered(status) for status in (408, 500, 502, 503, 504, 520, 599))]
NEVER = [
    tls_failure(),
    ResponseDecodeError("no JSON", payload=b"", path="$"),
    *(answered(status) for status in (200, 201, 204, 301, 307, 400, 401, 402, 403, 404, 409, 422)),
    answered(429, "61"),
    answered(503, "3600"),
]


@pytest.mark.parametrize("method", ["GET", "get", "POST"])
@pytest.mark.parametrize("met", ALWAYS, ids=str)
def test_what_never_acted_is_sent_again(method: str, met: Any) -> None:
    assert retry_delay(method, met, 0, 1.0) is not None


@pytest.mark.parametrize("met", ONLY_SAFE, ids=str)
def test_what_may_have_acted_is_sent_again_only_if_it_is_safe(met: Any) -> None:
    assert retry_delay("GET", met, 0, 1.0) is not None
    assert retry_delay("POST", met, 0, 1.0) is None
    assert retry_delay("post", met, 0, 1.0) is None


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("met", NEVER, ids=str)
def test_what_is_final_is_not_sent_again(method: str, met: Any) -> None:
    assert retry_delay(method, met, 0, 1.0) is None


@given(status=st.integers(100, 599), retry_after=st.none() | st.integers(0, 10**6).map(str))
def test_a_post_is_sent_again_after_429_and_503_with_retry_after_and_nothing_else(
    status: int, retry_after: str | None
) -> None:
    if retry_delay("POST", answered(status, retry_after), 0, 1.0) is not None:
        assert status == 429 or (status == 503 and retry_after is not None)


@given(retries=st.integers(0, 1000), chance=st.floats(0, 1))
def test_the_backoff_is_exponential_with_full_jitter_from_half_a_second_to_eight(
    retries: int, chance: float
) -> None:
    longest = min(0.5 * 2 ** min(retries, 10), 8.0)
    assert retry_delay("GET", UNKNOWN, retries, chance) == longest * chance


@pytest.mark.parametrize(("value", "seconds"), [("0", 0.0), ("7", 7.0), ("60", 60.0)])
def test_retry_after_is_obeyed_up_to_a_minute(value: str, seconds: float) -> None:
    assert retry_delay("POST", answered(503, value), 5, 0.0) == seconds


@pytest.mark.anyio
class TestOverSockets:
    """Both colours."""

    async def test_a_post_is_sent_once_after_an_unknown_outcome(
        self, colour: Colour, serve: Serve
    ) -> None:
        scripts: dict[str, Script] = {
            "reset": lambda exchange: exchange.reset(),
            "hung up": lambda exchange: exchange.hang_up(),
            "500": lambda exchange: exchange.answer(status="500 Oops"),
            "503": lambda exchange: exchange.answer(status="503 Busy"),
            "520": lambda exchange: exchange.answer(status="520 Odd"),
        }
        for name, script in scripts.items():
            server = serve(script)
            client = colour.client(base_url=server.url, max_retries=5)
            with pytest.raises(OutcomeUnknownError) as created:
                await client.text_generator.create(**HELLO)
            with pytest.raises(OutcomeUnknownError) as generated:
                await client.text_generator.generate(**HELLO)
            with pytest.raises(OutcomeUnknownError) as streamed:
                async with client.text_generator.stream(**HELLO):
                    pass
            assert len(server.posts) == 3, name
            for caught in (created, generated, streamed):
                assert caught.value.candidates == []
                assert "it may have been charged and was not sent again" in str(caught.value)
                cause = caught.value.__cause__
                if name.isdigit():
                    assert isinstance(cause, InternalServerError)
                    assert cause.status_code == int(name)
                else:
                    assert type(cause) is APIConnectionError
                    assert cause.request_sent

    async def test_a_post_is_sent_again_when_it_was_refused(
        self, colour: Colour, serve: Serve
    ) -> None:
        def refuse(exchange: Exchange) -> None:
            exchange.answer(status="429 Slow down", headers="Retry-After: 0\r\n")

        def unavailable(exchange: Exchange) -> None:
            exchange.answer(status="503 Busy", headers="Retry-After: 0\r\n")

        def done(exchange: Exchange) -> None:
            exchange.answer(json.dumps(TASK).encode(), status="201 Created")

        server = serve(each(refuse, unavailable, done))
        client = colour.client(base_url=server.url, max_retries=2)
        assert str((await client.text_generator.create(**HELLO)).id) == TASK["id"]
        assert [exchange.body for exchange in server.exchanges] == [server.exchanges[0].body] * 3

    async def test_a_stream_is_sent_again_when_it_was_refused_and_not_once_it_began(
        self, colour: Colour, serve: Serve
    ) -> None:
        def refuse(exchange: Exchange) -> None:
            exchange.answer(status="429 Slow down", headers="Retry-After: 0\r\n")

        server = serve(each(refuse, lambda exchange: exchange.stream([RECEIPT])))
        client = colour.client(base_url=server.url, max_retries=2)
        async with client.text_generator.stream(**HELLO) as stream:
            await stream.until_done()
        assert stream.receipt.id == "x"
        assert len(server.exchanges) == 2

    async def test_a_get_is_sent_again_after_anything_that_may_pass(
        self, colour: Colour, serve: Serve
    ) -> None:
        def cut_short(exchange: Exchange) -> None:
            exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n[")
            exchange.hang_up()

        server = serve(
            each(
                lambda exchange: exchange.reset(),
                cut_short,
                lambda exchange: exchange.answer(status="520 Odd"),
                lambda exchange: exchange.answer(b"[]"),
            )
        )
        client = colour.client(base_url=server.url, max_retries=3)
        assert await client.text_generator.list() == []
        assert len(server.exchanges) == 4

    async def test_the_last_failure_is_raised_when_the_retries_are_used_up(
        self, colour: Colour, serve: Serve
    ) -> None:
        server = serve(lambda exchange: exchange.answer(status="500 Oops"))
        client = colour.client(base_url=server.url, max_retries=1)
        with pytest.raises(InternalServerError):
            await client.text_generator.list()
        assert len(server.exchanges) == 2
        with pytest.raises(InternalServerError):
            await client.with_options(max_retries=0).text_generator.list()
        assert len(server.exchanges) == 3

    async def test_no_connection_is_tried_again_and_may_come_to_be(self, colour: Colour) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        client = colour.client(base_url=f"http://127.0.0.1:{port}", max_retries=1)
        started = time.monotonic()
        with pytest.raises(APIConnectionError) as caught:
            await client.text_generator.create(**HELLO)
        assert caught.value.request_sent is False
        assert time.monotonic() - started < 5

    async def test_one_deadline_bounds_a_call_with_all_its_retries(
        self, colour: Colour, serve: Serve
    ) -> None:
        server = serve(lambda exchange: exchange.peer_closed(within=5))
        client = colour.client(base_url=server.url, max_retries=50)
        started = time.monotonic()
        with pytest.raises(APITimeoutError):
            await client.text_generator.list(timeout=0.4)
        assert time.monotonic() - started < 2

    async def test_an_answer_that_drips_ends_at_the_deadline(
        self, colour: Colour, serve: Serve
    ) -> None:
        def drip(exchange: Exchange) -> None:
            exchange.begin_stream("application/json")
            while not exchange.peer_closed(within=0.05):
                exchange.piece(b" ")

        client = colour.client(base_url=serve(drip).url, max_retries=2)
        for call, error in (
            (client.text_generator.list, APITimeoutError),
            (lambda timeout: client.text_generator.wait(TASK["id"], timeout=timeout), TimeoutError),
        ):
            started = time.monotonic()
            with pytest.raises(error):
                await call(timeout=0.4)
            assert time.monotonic() - started < 1.5
        server = serve(posted(drip))
        paid = colour.client(base_url=server.url, max_retries=2).text_generator
        for call in (paid.create, paid.generate):
            started = time.monotonic()
            with pytest.raises(OutcomeUnknownError) as caught:
                await call(**HELLO, timeout=0.4)
            assert isinstance(caught.value.__cause__, APITimeoutError)
            assert time.monotonic() - started < 1.5
        assert len(server.posts) == 2

    async def test_a_retry_that_would_come_too_late_is_not_waited_for(
        self, colour: Colour, serve: Serve
    ) -> None:
        server = serve(
            lambda exchange: exchange.answer(status="429 Slow", headers="Retry-After: 30\r\n")
        )
        client = colour.client(base_url=server.url, max_retries=2)
        started = time.monotonic()
        with pytest.raises(RateLimitError) as caught:
            await client.text_generator.list(timeout=5)
        assert caught.value.retry_after == 30
        assert time.monotonic() - started < 2

    async def test_an_attempt_has_no_longer_than_the_deadline_leaves(
        self, colour: Colour, serve: Serve
    ) -> None:
        def slow_then_silent(exchange: Exchange) -> None:
            if len(server.exchanges) == 1:
                time.sleep(0.6)
                exchange.answer(status="500 Oops")
            else:
                exchange.peer_closed(within=5)

        server = serve(slow_then_silent)
        client = colour.client(base_url=server.url, max_retries=50)
        started = time.monotonic()
        with pytest.raises((APITimeoutError, InternalServerError)):
            await client.text_generator.list(timeout=1.2)
        assert time.monotonic() - started < 1.8

    @pytest.mark.parametrize("wrong", [-1, 1.5, True, "2"])
    async def test_a_wrong_number_of_retries_is_refused(self, colour: Colour, wrong: Any) -> None:
        with pytest.raises(ConfigurationError, match="max_retries is an int from 0"):
            colour.client(max_retries=wrong)
        with pytest.raises(ConfigurationError, match="max_retries is an int from 0"):
            colour.client().with_options(max_retries=wrong)


def test_a_sleep_that_takes_too_long_ends_the_retries_with_what_was_met() -> None:
    now = 0.0
    settings = resolve(Arguments(api_id="id", api_key="key", base_url="http://127.0.0.1:9"))
    timeout = httpx.Timeout(5.0).as_dict()
    request = httpx.Request("POST", "http://127.0.0.1:9/", extensions={"timeout": timeout})
    flow = attempts(request, settings, 2, clock=lambda: now)
    next(flow)
    assert flow.send(answered(429, "1")) == Sleep(1.0)
    now = 9.0
    with pytest.raises(StopIteration) as end:
        next(flow)
    assert end.value.value.status_code == 429


def test_generated_functions_called_through_client_api_are_retried_too(serve: Serve) -> None:
    server = serve(
        each(
            lambda exchange: exchange.answer(status="503 Busy"),
            lambda exchange: exchange.answer(b"[]"),
        )
    )
    with Creatify(base_url=server.url, api_id="id", api_key="key") as client:
        assert sse_text_generator_list.sync(client=client.api) == []
    assert len(server.exchanges) == 2


async def test_what_the_caller_is_handling_is_none_of_what_a_request_met(
    colour: Colour, emulator: Emulator
) -> None:
    client = colour.client(base_url=emulator.url, max_retries=1)
    for mine in (ssl.SSLError(1, "mine"), OSError(13, "mine")):
        emulator.script(faults.close(), operation="sse_text_generator_list")
        try:
            raise mine
        except OSError:
            assert await client.text_generator.list() == []  # sent again
        emulator.script(faults.close(), faults.close(), operation="sse_text_generator_list")
        try:
            raise mine
        except OSError:
            with pytest.raises(APIConnectionError) as caught:
                await client.text_generator.list()
        assert "mine" not in str(caught.value)
    assert len(emulator.requests) == 8
