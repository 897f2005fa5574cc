"""A lost answer to a paid request is looked up in the list, and the request never sent again."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import re
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from rawserver import each

from creatify import (
    APIConnectionError,
    AuthenticationError,
    InternalServerError,
    OutcomeUnknownError,
    ResponseDecodeError,
    StreamIdleError,
    StreamInterruptedError,
    WaitTimeoutError,
    user,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from colours import Colour
    from rawserver import Exchange, RawServer, Script

    Serve = Callable[[Script], RawServer]

pytestmark = pytest.mark.anyio

HELLO: dict[str, Any] = {"model_name": "m", "messages": [user("Hello")]}
CHUNK = b'data: {"candidates": [{"content": {"parts": [{"text": "Hi"}]}}]}\n\n'
RECEIPT = b'data: {"creatify": {"id": "%s", "credits_used": 1}}\n\n'


def task(age: float = 0.0, **fields: Any) -> dict[str, Any]:
    created = (datetime.now(UTC) - timedelta(seconds=age)).isoformat()
    return {
        "id": str(uuid4()),
        "model_name": "m",
        "messages": [{"role": "user", "content": "Hello"}],
        "system_instruction": "",
        "config": {},
        "status": "done",
        "response_text": "Hi",
        "response_function_calls": [],
        "created_at": created,
        "updated_at": created,
        **fields,
    }


def now(seconds: float = 0.0) -> str:
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    return f"Date: {format_datetime(moment, usegmt=True)}\r\n"


def listing(*tasks: dict[str, Any], date: str | None = None) -> Script:
    return lambda exchange: exchange.answer(
        json.dumps(tasks).encode(), headers=now() if date is None else date
    )


def api(post: Script, get: Script) -> Script:
    def script(exchange: Exchange) -> None:
        (post if exchange.head.startswith("POST") else get)(exchange)

    return script


def reset(exchange: Exchange) -> None:
    exchange.reset()


def methods(server: RawServer) -> Sequence[str]:
    return [exchange.head.split()[0] for exchange in server.exchanges]


@pytest.mark.parametrize("age", [0, 1])
async def test_the_only_task_that_fits_is_returned_with_a_warning(
    colour: Colour, serve: Serve, caplog: pytest.LogCaptureFixture, age: int
) -> None:
    own, others = task(age), [task(10), task(messages=[]), task(model_name="n")]
    server = serve(api(reset, listing(*others, own)))
    with caplog.at_level(logging.WARNING, "creatify"):
        found = await colour.client(base_url=server.url).text_generator.create(**HELLO)
    assert str(found.id) == own["id"]
    assert methods(server) == ["POST", "GET"]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert own["id"] in caplog.text
    assert "APIConnectionError" in caplog.text


async def test_generate_goes_on_with_the_task_that_was_found(colour: Colour, serve: Serve) -> None:
    own = task(status="running")
    seen: list[str] = []
    gets = each(listing(own), lambda e: e.answer(json.dumps({**own, "status": "done"}).encode()))
    server = serve(api(reset, gets))
    client = colour.client(base_url=server.url)
    done = await client.text_generator.generate(
        **HELLO, on_update=lambda seen_task: seen.append(seen_task.status)
    )
    assert (str(done.id), done.status, seen) == (own["id"], "done", ["running", "done"])
    assert methods(server) == ["POST", "GET", "GET"]


@pytest.mark.parametrize("end", ["done", "failed"])
async def test_a_lost_sync_create_returns_its_task_when_that_is_over(
    colour: Colour, serve: Serve, end: str
) -> None:
    own = task(status="running")
    gets = each(listing(own), lambda e: e.answer(json.dumps({**own, "status": end}).encode()))
    server = serve(api(reset, gets))
    found = await colour.client(base_url=server.url).text_generator.create(**HELLO, sync=True)
    assert (str(found.id), found.status) == (own["id"], end)
    assert methods(server) == ["POST", "GET", "GET"]


async def test_a_lost_sync_create_that_is_not_over_in_time_is_an_error_with_the_task(
    colour: Colour, serve: Serve
) -> None:
    own = task(status="running")
    gets = each(listing(own), lambda e: e.answer(json.dumps(own).encode()))
    server = serve(api(reset, gets))
    client = colour.client(base_url=server.url)
    with pytest.raises(WaitTimeoutError) as caught:
        await client.text_generator.create(**HELLO, sync=True, timeout=0.4)
    assert caught.value.task is not None
    assert str(caught.value.task.id) == own["id"]
    assert methods(server)[0] == "POST"
    assert "POST" not in methods(server)[1:]


async def test_a_sync_create_that_was_answered_is_returned_as_it_is(
    colour: Colour, serve: Serve
) -> None:
    server = serve(lambda e: e.answer(json.dumps(task(status="running")).encode()))
    found = await colour.client(base_url=server.url).text_generator.create(**HELLO, sync=True)
    assert (found.status, methods(server)) == ("running", ["POST"])


@pytest.mark.parametrize(
    ("met", "kind"),
    [
        (reset, APIConnectionError),
        (lambda e: e.answer(status="500 Oops"), InternalServerError),
        (lambda e: e.answer(b"<html>"), ResponseDecodeError),
    ],
)
async def test_with_nothing_in_the_list_the_outcome_is_unknown(
    colour: Colour, serve: Serve, met: Script, kind: type[Exception]
) -> None:
    server = serve(api(met, listing()))
    client = colour.client(base_url=server.url)
    before = datetime.now(UTC)
    with pytest.raises(OutcomeUnknownError, match="no tasks that may be its own") as caught:
        await client.text_generator.create(**HELLO)
    error = caught.value
    assert isinstance(error.__cause__, kind)
    assert str(error).startswith(str(error.__cause__))
    assert error.request.to_dict() == {
        "model_name": "m",
        "messages": [HELLO["messages"][0].to_dict()],
        "system_instruction": "",
        "sync": False,
    }
    assert before - timedelta(seconds=1) < error.started_at < datetime.now(UTC)
    assert list(error.candidates) == []
    assert methods(server) == ["POST", "GET", "GET", "GET"]


async def test_of_several_tasks_none_is_guessed(colour: Colour, serve: Serve) -> None:
    newer, older = task(), task(0.5)
    server = serve(api(reset, listing(newer, older)))
    with pytest.raises(OutcomeUnknownError, match="2 tasks that may be") as caught:
        await colour.client(base_url=server.url).text_generator.create(**HELLO)
    assert [str(found.id) for found in caught.value.candidates] == [older["id"], newer["id"]]
    assert methods(server) == ["POST", "GET"]


async def test_a_task_that_this_process_was_given_is_not_another_calls(
    colour: Colour, serve: Serve
) -> None:
    first, own = task(), task()
    posts = each(lambda e: e.answer(json.dumps(first).encode()), reset)
    server = serve(api(posts, listing(first, own)))
    created = await colour.client(base_url=server.url).text_generator.create(**HELLO)
    found = await colour.client(base_url=server.url).text_generator.create(**HELLO)
    assert [str(created.id), str(found.id)] == [first["id"], own["id"]]


@pytest.mark.parametrize("off", [-3600.0, 3600.0])
async def test_what_was_created_since_is_told_by_the_servers_clock(
    colour: Colour, serve: Serve, off: float
) -> None:
    own, old = task(-off), task(5 - off)
    server = serve(api(reset, listing(old, own, date=now(off))))
    found = await colour.client(base_url=server.url).text_generator.create(**HELLO)
    assert str(found.id) == own["id"]


async def test_without_a_date_this_machines_clock_serves_with_a_minute_of_tolerance(
    colour: Colour, serve: Serve
) -> None:
    own, old = task(50), task(62)
    server = serve(api(reset, listing(old, own, date="")))
    found = await colour.client(base_url=server.url).text_generator.create(**HELLO)
    assert str(found.id) == own["id"]


async def test_a_time_without_a_zone_is_utc(colour: Colour, serve: Serve) -> None:
    own = task()
    own["created_at"] = own["created_at"].removesuffix("+00:00")
    server = serve(api(reset, listing(own)))
    found = await colour.client(base_url=server.url).text_generator.create(**HELLO)
    assert str(found.id) == own["id"]


async def test_a_task_may_appear_late_and_the_list_fail_meanwhile(
    colour: Colour, serve: Serve
) -> None:
    own = task()
    gets = each(lambda e: e.answer(status="502 Bad Gateway"), listing(), listing(own))
    server = serve(api(reset, gets))
    found = await colour.client(base_url=server.url).text_generator.create(**HELLO)
    assert str(found.id) == own["id"]
    assert methods(server) == ["POST", "GET", "GET", "GET"]


async def test_a_list_that_may_not_be_asked_ends_the_search(colour: Colour, serve: Serve) -> None:
    server = serve(api(reset, lambda e: e.answer(status="401 Unauthorized")))
    with pytest.raises(OutcomeUnknownError) as caught:
        await colour.client(base_url=server.url).text_generator.create(**HELLO)
    assert methods(server) == ["POST", "GET"]
    assert isinstance(caught.value.list_error, AuthenticationError)


async def test_a_list_that_fails_is_told_from_one_that_has_no_such_task(
    colour: Colour, serve: Serve
) -> None:
    server = serve(api(reset, lambda e: e.answer(status="502 Bad Gateway")))
    client = colour.client(base_url=server.url)
    with pytest.raises(
        OutcomeUnknownError, match=r"could not be asked \(the API answered 502"
    ) as caught:
        await client.text_generator.create(**HELLO)
    assert isinstance(caught.value.list_error, InternalServerError)
    assert "has no tasks" not in str(caught.value)


async def test_a_list_that_answers_in_the_end_is_no_failure(colour: Colour, serve: Serve) -> None:
    server = serve(api(reset, each(lambda e: e.answer(status="502 Bad Gateway"), listing())))
    with pytest.raises(OutcomeUnknownError, match="has no tasks") as caught:
        await colour.client(base_url=server.url).text_generator.create(**HELLO)
    assert caught.value.list_error is None


async def test_a_message_names_three_candidates_and_no_more(colour: Colour, serve: Serve) -> None:
    tasks = [task(0.4 - number / 10) for number in range(4)]
    server = serve(api(reset, listing(*tasks)))
    with pytest.raises(OutcomeUnknownError) as caught:
        await colour.client(base_url=server.url).text_generator.create(**HELLO)
    assert str(caught.value).endswith(f"{', '.join(own['id'] for own in tasks[:3])}, ...")
    assert len(caught.value.candidates) == 4


async def test_malformed_tasks_of_others_do_not_hide_ones_own(colour: Colour, serve: Serve) -> None:
    own = task()
    strangers: list[Any] = [None, 5, {}, {"created_at": 5}, {"created_at": own["created_at"]}]
    server = serve(api(reset, listing(*strangers, own)))
    found = await colour.client(base_url=server.url).text_generator.create(**HELLO)
    assert str(found.id) == own["id"]


@pytest.mark.parametrize("listed", [b'{"results": []}', b"null", b"<html>"])
async def test_a_list_that_is_none_tells_nothing(
    colour: Colour, serve: Serve, listed: bytes
) -> None:
    server = serve(api(reset, lambda e: e.answer(listed)))
    with pytest.raises(OutcomeUnknownError):
        await colour.client(base_url=server.url).text_generator.create(**HELLO)


async def test_ones_own_task_that_can_not_be_read_is_no_candidate(
    colour: Colour, serve: Serve
) -> None:
    server = serve(api(reset, listing(task(id="no uuid"))))
    with pytest.raises(OutcomeUnknownError) as caught:
        await colour.client(base_url=server.url).text_generator.create(**HELLO)
    assert list(caught.value.candidates) == []


@pytest.mark.patient
async def test_the_search_takes_two_seconds_at_least_and_no_more_of_a_short_call(
    colour: Colour, serve: Serve
) -> None:
    server = serve(api(reset, lambda e: e.peer_closed(within=10)))
    client = colour.client(base_url=server.url)
    began = time.monotonic()
    with pytest.raises(OutcomeUnknownError):
        await client.text_generator.create(**HELLO, timeout=0.5)
    assert 1.9 < time.monotonic() - began < 3.0


@pytest.mark.patient
async def test_the_list_is_asked_again_at_growing_delays(colour: Colour, serve: Serve) -> None:
    own, asked = task(), []

    def get(exchange: Exchange) -> None:
        asked.append(time.monotonic())
        listing(*([own] if len(asked) == 3 else []))(exchange)

    server = serve(api(reset, get))
    await colour.client(base_url=server.url).text_generator.create(**HELLO)
    first, second = (later - earlier for earlier, later in pairwise(asked))
    assert 0.5 <= first < 0.9
    assert 1.0 <= second < 1.4


async def test_an_identical_call_that_is_under_way_keeps_its_own_task(
    colour: Colour, serve: Serve
) -> None:
    """The list shows both tasks while the first answer is still on its way."""
    first, second = task(), task()

    def slow(exchange: Exchange) -> None:
        time.sleep(0.4)
        exchange.answer(json.dumps(first).encode())

    server = serve(api(each(slow, reset), listing(first, second)))
    client = colour.client(base_url=server.url)
    answered = asyncio.create_task(client.text_generator.create(**HELLO))
    await asyncio.sleep(0.1)
    found = await client.text_generator.create(**HELLO)
    assert [str((await answered).id), str(found.id)] == [first["id"], second["id"]]


@pytest.mark.patient
async def test_while_an_identical_call_stays_under_way_no_task_is_guessed(
    colour: Colour, serve: Serve
) -> None:
    own = task()
    posts = each(lambda e: e.peer_closed(within=10), reset)
    server = serve(api(posts, listing(own)))
    client = colour.client(base_url=server.url)
    silent = asyncio.create_task(client.text_generator.create(**HELLO, timeout=4))
    await asyncio.sleep(0.1)
    with pytest.raises(OutcomeUnknownError) as caught:
        await client.text_generator.create(**HELLO, timeout=1)
    assert [str(found.id) for found in caught.value.candidates] == [own["id"]]
    assert str((await silent).id) == own["id"]


@pytest.mark.parametrize("colour", ["async", "aiohttp"], indirect=True)
async def test_a_cancelled_create_carries_a_note_that_it_was_under_way(
    colour: Colour, serve: Serve
) -> None:
    server = serve(lambda e: e.peer_closed(within=5))
    client = colour.client(base_url=server.url)
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(0.2):
            await client.text_generator.create(**HELLO)
    assert caught.value.__cause__ is not None
    [note] = caught.value.__cause__.__notes__
    told = re.fullmatch(
        r"a paid request of 'm' was under way since (\S+): the list tells whether it"
        r" arrived",
        note,
    )
    assert told
    began = datetime.fromisoformat(told[1])
    assert timedelta() < datetime.now(UTC) - began < timedelta(seconds=10)


async def test_an_error_of_the_callers_own_carries_no_such_note(colour: Colour) -> None:
    def credentials() -> tuple[str, str]:
        raise LookupError("the vault is closed")

    client = colour.client(
        base_url="https://api.example", api_id=None, api_key=None, credentials=credentials
    )
    with pytest.raises(LookupError) as caught:
        await client.text_generator.create(**HELLO)
    assert not hasattr(caught.value, "__notes__")


async def test_credentials_that_fail_during_the_search_hide_nothing(
    colour: Colour, serve: Serve
) -> None:
    asked: list[int] = []

    def credentials() -> tuple[str, str]:
        asked.append(1)
        if len(asked) > 1:
            raise LookupError("the vault is closed")
        return "id", "key"

    client = colour.client(
        base_url=serve(reset).url, api_id=None, api_key=None, credentials=credentials
    )
    with pytest.raises(OutcomeUnknownError, match="LookupError: the vault is closed") as caught:
        await client.text_generator.create(**HELLO)
    assert isinstance(caught.value.__cause__, APIConnectionError)


async def test_an_answer_is_believed_also_if_it_is_always_the_same_task(
    colour: Colour, serve: Serve
) -> None:
    """As from a mock, or from a server that answers identical requests with one task."""
    same = task()
    server = serve(api(lambda e: e.answer(json.dumps(same).encode()), listing(same)))
    client = colour.client(base_url=server.url)
    made = [await client.text_generator.create(**HELLO) for _ in range(2)]
    assert [str(found.id) for found in made] == [same["id"]] * 2
    assert methods(server) == ["POST", "POST"]


@pytest.mark.parametrize("status", ["300 Choices", "302 Found", "303 See Other", "304 Unchanged"])
async def test_a_redirect_that_may_follow_upon_what_was_done_leaves_the_outcome_open(
    colour: Colour, serve: Serve, status: str
) -> None:
    own, headers = task(), "Location: /elsewhere\r\n"
    server = serve(api(lambda e: e.answer(status=status, headers=headers), listing(own)))
    found = await colour.client(base_url=server.url).text_generator.create(**HELLO)
    assert str(found.id) == own["id"]


@pytest.mark.patient
async def test_an_interrupted_search_carries_a_note_that_a_request_was_under_way(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    from colours import colour_named  # noqa: PLC0415 - only async calls can be cancelled

    server = serve(api(reset, listing()))
    async with colour_named("async") as colour:
        client = colour.client(base_url=server.url)
        stream = client.text_generator.stream(**HELLO)
        for call in (client.text_generator.create(**HELLO), stream.__aenter__()):
            running = asyncio.create_task(call)
            await asyncio.sleep(0.3)
            running.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await running
            [note] = caught.value.__notes__
            assert note in caplog.messages
    assert caplog.text.count("was under way since") == 2


class TestStreams:
    async def test_a_stream_whose_beginning_is_lost_is_an_error_with_its_task(
        self, colour: Colour, serve: Serve
    ) -> None:
        own = task()
        server = serve(api(reset, listing(own)))
        stream = colour.client(base_url=server.url).text_generator.stream(**HELLO)
        with pytest.raises(OutcomeUnknownError, match="1 task that may be") as caught:
            async with stream:
                pass
        assert [str(found.id) for found in caught.value.candidates] == [own["id"]]
        assert isinstance(caught.value.__cause__, APIConnectionError)
        assert methods(server) == ["POST", "GET"]

    async def test_a_stream_that_was_refused_is_not_looked_up(
        self, colour: Colour, serve: Serve
    ) -> None:
        server = serve(lambda e: e.answer(status="503 Busy", headers="Retry-After: 99\r\n"))
        with pytest.raises(InternalServerError, match="nothing was charged"):
            async with colour.client(base_url=server.url).text_generator.stream(**HELLO):
                pass
        assert methods(server) == ["POST"]

    async def test_an_interrupted_stream_tells_its_task_each_time_it_is_read(
        self, colour: Colour, serve: Serve
    ) -> None:
        own = task()
        server = serve(api(lambda e: e.stream([CHUNK]), listing(own)))
        async with colour.client(base_url=server.url).text_generator.stream(**HELLO) as stream:
            for _ in range(2):
                with pytest.raises(StreamInterruptedError) as caught:
                    await stream.until_done()
                assert caught.value.partial_text == "Hi"
                assert [str(found.id) for found in caught.value.candidates] == [own["id"]]
        assert methods(server) == ["POST", "GET"]

    async def test_streams_that_broke_at_once_have_one_candidate_each(
        self, colour: Colour, serve: Serve
    ) -> None:
        tasks = [task(), task()]
        server = serve(api(lambda e: e.stream([CHUNK]), listing(*tasks)))
        client = colour.client(base_url=server.url)

        async def read() -> list[str]:
            async with client.text_generator.stream(**HELLO) as stream:
                await asyncio.sleep(0.3)
                with pytest.raises(StreamInterruptedError) as caught:
                    await stream.until_done()
            return [str(found.id) for found in caught.value.candidates]

        told = await asyncio.gather(read(), read())
        assert sorted(told) == sorted([own["id"]] for own in tasks)

    @pytest.mark.parametrize("is_dropped", [False, True])
    async def test_the_task_of_a_stream_that_was_left_is_not_another_calls(
        self, colour: Colour, serve: Serve, *, is_dropped: bool
    ) -> None:
        own = task()
        server = serve(api(each(lambda e: e.stream([CHUNK]), reset), listing(own)))
        client = colour.client(base_url=server.url)
        stream = client.text_generator.stream(**HELLO)
        await stream.__aenter__()
        if not is_dropped:
            await stream.__aexit__(None, None, None)
        del stream
        gc.collect()
        with pytest.raises(OutcomeUnknownError) as caught:
            await client.text_generator.create(**HELLO)
        assert [str(found.id) for found in caught.value.candidates] == [own["id"]]

    async def test_an_interrupted_stream_says_why_the_list_told_nothing(
        self, colour: Colour, serve: Serve
    ) -> None:
        server = serve(api(lambda e: e.stream([CHUNK]), lambda e: e.answer(status="502 Bad")))
        async with colour.client(base_url=server.url).text_generator.stream(**HELLO) as stream:
            with pytest.raises(StreamInterruptedError) as caught:
                await stream.until_done()
        assert isinstance(caught.value.list_error, InternalServerError)
        assert caught.value.candidates == []

    async def test_a_stream_in_an_only_connection_is_closed_before_the_list_is_asked(
        self, colour: Colour, serve: Serve
    ) -> None:
        import httpx  # noqa: PLC0415 - the one test that brings its own

        def silent(exchange: Exchange) -> None:
            exchange.begin_stream()
            exchange.peer_closed(within=5)

        own, limits = task(), httpx.Limits(max_connections=1)
        server = serve(api(silent, listing(own)))
        given: Any = (httpx.Client if colour.is_sync else httpx.AsyncClient)(limits=limits)
        client = colour.client(base_url=server.url, http_client=given)
        async with client.text_generator.stream(**HELLO, idle_timeout=0.2) as stream:
            with pytest.raises(StreamIdleError) as caught:
                await stream.until_done()
        assert [str(found.id) for found in caught.value.candidates] == [own["id"]]
        given.close() if colour.is_sync else await given.aclose()

    async def test_a_stream_with_a_receipt_needs_no_list(
        self, colour: Colour, serve: Serve
    ) -> None:
        own = task()
        pieces = [CHUNK, b"data: no JSON\n\n", RECEIPT % own["id"].encode()]
        server = serve(api(lambda e: e.stream(pieces), listing(own)))
        async with colour.client(base_url=server.url).text_generator.stream(**HELLO) as stream:
            with pytest.raises(Exception, match="no JSON") as caught:
                await stream.until_done()
        assert caught.value.candidates == []  # type: ignore[attr-defined]  # a StreamError's
        assert methods(server) == ["POST"]

    @pytest.mark.parametrize("known", ["its receipt", "its end alone"])
    async def test_the_task_of_a_stream_is_not_another_calls(
        self, colour: Colour, serve: Serve, known: str
    ) -> None:
        streamed, own = task(), task()
        receipt = RECEIPT % (streamed["id"].encode() if known == "its receipt" else b"no-uuid")
        posts = each(lambda e: e.stream([CHUNK, receipt]), reset)
        server = serve(api(posts, listing(streamed, own)))
        client = colour.client(base_url=server.url)
        async with client.text_generator.stream(**HELLO) as stream:
            await stream.until_done()
        if known == "its receipt":
            found = await client.text_generator.create(**HELLO)
            assert str(found.id) == own["id"]
        else:
            with pytest.raises(OutcomeUnknownError, match="2 tasks"):
                await client.text_generator.create(**HELLO)

    async def test_a_malformed_receipt_settles_nothing_and_hides_no_error(
        self, colour: Colour, serve: Serve
    ) -> None:
        server = serve(lambda e: e.stream([b'data: {"creatify": {"id": 5}}\n\n']))
        async with colour.client(base_url=server.url).text_generator.stream(**HELLO) as stream:
            with pytest.raises(ResponseDecodeError):
                _ = stream.receipt or await stream.until_done() or stream.receipt
        assert methods(server) == ["POST"]
