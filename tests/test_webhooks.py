"""Webhooks: what a body says and what is so, a URL that can't be guessed, and the ASGI app."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest
from asgi import served
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from simulation import task_id
from starlette.applications import Starlette
from starlette.routing import Mount

import creatify.webhooks
from creatify import ConfigurationError, CreatifyError, NotFoundError, WebhookError
from creatify.webhooks import (
    Inbox,
    WebhookApp,
    WebhookEvent,
    check_webhook_token,
    confirm,
    parse,
    webhook_token,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from colours import Colour
    from starlette.types import ASGIApp

    from creatify.testing import Emulator

SECRET = "a secret of these tests"
ID = task_id(0)
EVENT = {"id": str(ID), "status": "done", "failed_reason": None, "response_text": "Made for you."}
BODY = json.dumps(EVENT).encode()
HOSTILE = {
    "empty": b"",
    "no JSON": b"id=5",
    "half of it": BODY[:-5],
    "more after it": BODY + b"{}",
    "an array": b"[" + BODY + b"]",
    "a string": b'"' + str(ID).encode() + b'"',
    "null": b"null",
    "no id": b'{"status": "done"}',
    "an id that is null": b'{"id": null}',
    "an id that is a number": b'{"id": 5}',
    "an id that is a bool": b'{"id": true}',
    "an id that is an object": b'{"id": {}}',
    "an id that is no UUID": b'{"id": "17"}',
    "an id of a megabyte": b'{"id": "' + b"a" * 1_000_000 + b'"}',
    "too large": b'{"id": "%s", "x": "%s"}' % (str(ID).encode(), b"a" * 1_100_000),
    "nested deeply": b'{"id": "%s", "x": %s}' % (str(ID).encode(), b"[" * 100_000 + b"]" * 100_000),
    "nested too deeply to end": b"[" * 1_000_000,
    "objects nested deeply": b'{"a":' * 100_000,
    "NaN": BODY[:-1] + b', "x": NaN}',
    "Infinity": BODY[:-1] + b', "x": -Infinity}',
    "a number that no float holds": BODY[:-1] + b', "x": 1e999}',
    "an int of 5,000 digits": BODY[:-1] + b', "x": ' + b"9" * 5000 + b"}",
    "a name twice": BODY[:-1] + b', "id": "' + str(task_id(1)).encode() + b'"}',
    "a name twice further in": BODY[:-1] + b', "x": [{"a": 1, "a": 2}]}',
    "no UTF-8": BODY[:-1] + b', "x": "\xff"}',
    "UTF-16": BODY.decode().encode("utf-16"),
    "a NUL": BODY + b"\0",
}


class TestParse:
    def test_it_says_what_the_body_says(self) -> None:
        event = parse(BODY)
        assert (event.id, event.status, event.failed_reason) == (ID, "done", None)
        assert event.payload == EVENT
        assert event == parse(BODY.decode())
        assert hash(event) == hash(parse(BODY.decode()))

    def test_the_reason_of_a_failure_is_there(self) -> None:
        event = parse(json.dumps(EVENT | {"status": "failed", "failed_reason": "No."}))
        assert (event.status, event.failed_reason) == ("failed", "No.")

    @pytest.mark.parametrize(
        ("said", "status", "reason"),
        [
            ({}, None, None),
            ({"status": "in_review"}, "in_review", None),
            ({"status": None, "failed_reason": None}, None, None),
            ({"status": 5, "failed_reason": ["No."]}, None, None),
            ({"status": "", "failed_reason": ""}, "", ""),
            ({"video_output": "https://example.com/v.mp4", "credits_used": 5}, None, None),
        ],
    )
    def test_all_but_the_id_may_be_missing_or_otherwise(
        self, said: dict[str, Any], status: str | None, reason: str | None
    ) -> None:
        event = parse(json.dumps({"id": str(ID)} | said))
        assert (event.id, event.status, event.failed_reason) == (ID, status, reason)
        assert event.payload == {"id": str(ID)} | said

    def test_a_byte_order_mark_and_blanks_are_no_matter(self) -> None:
        assert parse(b"\xef\xbb\xbf  " + BODY + b"\r\n").id == ID

    def test_it_is_frozen_and_its_repr_holds_no_text(self) -> None:
        event = parse(BODY)
        with pytest.raises(AttributeError):
            event.id = task_id(1)  # type: ignore[misc]  # which is the point
        assert "Made for you" not in repr(event)

    @pytest.mark.parametrize("name", HOSTILE)
    def test_what_is_no_event_is_an_error_of_the_tree(self, name: str) -> None:
        with pytest.raises(WebhookError, match="the body of a webhook") as caught:
            parse(HOSTILE[name])
        assert isinstance(caught.value, CreatifyError)
        assert isinstance(caught.value, ValueError)
        assert len(str(caught.value)) < 100

    @pytest.mark.parametrize(
        "wrong", [None, 5, EVENT, bytearray(BODY), ID, "\ud800", "é" * 600_000]
    )
    def test_what_is_no_body_is_too(self, wrong: Any) -> None:
        with pytest.raises(WebhookError):
            parse(wrong)

    def test_the_size_is_counted_in_bytes_to_the_last_one(self) -> None:
        text = json.dumps(EVENT | {"x": "é"}, ensure_ascii=False)
        size = len(text.encode())
        for body in (text, text.encode()):
            assert parse(body, max_size=size).id == ID
            with pytest.raises(WebhookError, match=f"more than {size - 1} bytes"):
                parse(body, max_size=size - 1)

    def test_what_is_too_large_is_not_cut(self) -> None:
        for body in (BODY + b" ", BODY.decode() + " "):
            with pytest.raises(WebhookError, match="more than"):
                parse(body, max_size=len(BODY))

    @pytest.mark.parametrize("wrong", [0, -1, 1.5, True, None])
    def test_a_wrong_size_is_refused(self, wrong: Any) -> None:
        with pytest.raises(ConfigurationError, match="max_size"):
            parse(BODY, max_size=wrong)

    @given(st.binary() | st.text())
    def test_any_bytes_and_texts_give_an_event_or_that_error(self, body: bytes | str) -> None:
        assert _parsed(body) is None

    @given(
        st.dictionaries(
            st.sampled_from(["id", "status", "failed_reason", "x"]),
            st.recursive(
                st.none()
                | st.booleans()
                | st.integers()
                | st.floats()
                | st.text()
                | st.just(ID.hex),
                lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
                max_leaves=5,
            ),
        )
    )
    def test_any_object_of_json_does(self, said: dict[str, Any]) -> None:
        event = _parsed(json.dumps(said))
        assert event is None or event.payload == said

    @given(at=st.integers(0, len(BODY)), length=st.integers(0, 10), put=st.binary(max_size=10))
    def test_any_event_that_was_tampered_with_does(self, at: int, length: int, put: bytes) -> None:
        event = _parsed(BODY[:at] + put + BODY[at + length :])
        assert event is None or isinstance(event.payload, dict)


def _parsed(body: bytes | str) -> WebhookEvent | None:
    try:
        return parse(body)
    except WebhookError:
        return None


def client_of(colour: Colour, emulator: Emulator) -> Any:
    """A client as it is: `confirm` takes no other."""
    client = colour.client(base_url=emulator.url, api_id=emulator.api_id, api_key=emulator.api_key)
    return client._target if colour.is_sync else client


async def confirmed(colour: Colour, client: Any, body: Any) -> Any:
    if colour.is_sync:
        return await asyncio.to_thread(confirm, client, body)
    return await confirm(client, body)


@pytest.mark.anyio
class TestConfirm:
    async def test_what_the_body_says_is_not_believed(
        self, colour: Colour, emulator: Emulator
    ) -> None:
        client, mine = client_of(colour, emulator), emulator.tasks.add(status="running").id
        told = json.dumps(EVENT | {"id": mine})
        for body in (told, told.encode(), parse(told)):
            task = await confirmed(colour, client, body)
            assert (str(task.id), task.status, task.response_text or "") == (mine, "running", "")

    async def test_twice_and_late_it_gives_the_task_as_it_is(
        self, colour: Colour, emulator: Emulator
    ) -> None:
        client, mine = client_of(colour, emulator), emulator.tasks.add().id
        late = json.dumps({"id": mine, "status": "running"})
        tasks = [await confirmed(colour, client, late) for _ in range(2)]
        assert [task.status for task in tasks] == ["done", "done"]
        assert emulator.charges == 0

    async def test_an_id_that_is_not_ours_is_not_found(
        self, colour: Colour, emulator: Emulator
    ) -> None:
        client = client_of(colour, emulator)
        with pytest.raises(NotFoundError):
            await confirmed(colour, client, BODY)

    @pytest.mark.parametrize("name", ["empty", "no id", "NaN"])
    async def test_a_hostile_body_sends_nothing(
        self, colour: Colour, emulator: Emulator, name: str
    ) -> None:
        client = client_of(colour, emulator)
        with pytest.raises(WebhookError):
            await confirmed(colour, client, HOSTILE[name])
        assert emulator.requests == []

    async def test_what_is_no_client_is_refused(self, colour: Colour, emulator: Emulator) -> None:
        with pytest.raises(ConfigurationError, match="confirmed with a Creatify"):
            confirm(BODY, client_of(colour, emulator))  # type: ignore[call-overload]  # the wrong way round


class TestToken:
    def test_it_is_right_for_its_secret_and_parts_only(self) -> None:
        token = webhook_token(SECRET, "order", "17")
        assert check_webhook_token(token, SECRET, "order", "17")
        for parts in [
            (),
            ("order",),
            ("17", "order"),
            ("order17",),
            ("order", "17", ""),
            ("ord", "er17"),
        ]:
            assert not check_webhook_token(token, SECRET, *parts)
        assert not check_webhook_token(token, SECRET + "!", "order", "17")
        assert check_webhook_token(webhook_token(SECRET.encode()), SECRET)

    def test_it_needs_no_quoting_in_a_url(self) -> None:
        for number in range(50):
            token = webhook_token(SECRET, str(number))
            assert len(token) == 43
            assert httpx.URL(f"http://h/{token}").raw_path == f"/{token}".encode()

    def test_it_stays_what_it_is(self) -> None:
        # URLs that are out are not to break by a new version. As `openssl dgst -hmac` makes them.
        assert webhook_token(b"0123456789abcdef") == "3Nk3jwsaDytIlwolki9jtkQUJQSMfhD915PfG7NleE4"
        assert webhook_token(b"0123456789abcdef", "order", "17") == (
            "yoG8OKPJMX9hg7T_qD3B2dmTgGGArnyl9Qk83msNTWE"
        )

    @given(st.lists(st.text(max_size=3), max_size=3), st.lists(st.text(max_size=3), max_size=3))
    def test_no_two_references_have_the_same(self, one: list[str], other: list[str]) -> None:
        alike = webhook_token(SECRET, *one) == webhook_token(SECRET, *other)
        assert alike == (one == other)

    @given(token=st.none() | st.text() | st.binary() | st.integers() | st.just("\ud800"))
    def test_anything_else_is_none(self, token: Any) -> None:
        assert not check_webhook_token(token, SECRET)

    def test_a_token_but_for_its_last_character_is_none(self) -> None:
        token = webhook_token(SECRET)
        assert not check_webhook_token(token[:-1], SECRET)
        assert not check_webhook_token(token + "=", SECRET)
        assert not check_webhook_token(token.encode(), SECRET)

    def test_parts_that_are_no_strings_match_nothing_and_make_none(self) -> None:
        assert not check_webhook_token(webhook_token(SECRET), SECRET, 17)
        assert not check_webhook_token(webhook_token(SECRET, "17"), SECRET, 17)
        with pytest.raises(ConfigurationError, match="are strings"):
            webhook_token(SECRET, 17)  # type: ignore[arg-type]  # which is the point

    @pytest.mark.parametrize("weak", ["", b"", "fifteen letters", b"5" * 15, None, 5, ["s" * 20]])
    def test_a_weak_secret_is_refused_and_not_shown(self, weak: Any) -> None:
        for use in (webhook_token, partial(check_webhook_token, "t")):
            with pytest.raises(ConfigurationError, match="16 bytes or more") as caught:
                use(weak)
            assert "fifteen" not in str(caught.value)
        with pytest.raises(ConfigurationError):
            WebhookApp(Inbox(), secret=weak)


class Told:
    """Takes events; `raises` the first few times."""

    def __init__(self, *raises: BaseException) -> None:
        self.events: list[WebhookEvent] = []
        self.threads: set[int] = set()
        self._raises = list(raises)

    def sync(self, event: WebhookEvent) -> None:
        self.events.append(event)
        self.threads.add(threading.get_ident())
        if self._raises:
            raise self._raises.pop(0)

    async def awaited(self, event: WebhookEvent) -> None:
        await asyncio.sleep(0)
        self.sync(event)


def post(url: str, body: bytes = BODY, method: str = "POST") -> httpx.Response:
    with httpx.Client(trust_env=False) as client:
        return client.request(method, url, content=body)


def starlette(app: WebhookApp) -> ASGIApp:
    return Starlette(routes=[Mount("/in", app=app)])


def fastapi(app: WebhookApp) -> ASGIApp:
    service = FastAPI()
    service.mount("/in", app)
    return service


FRAMEWORKS: dict[str, Callable[[WebhookApp], ASGIApp]] = {
    "bare": lambda app: app,
    "starlette": starlette,
    "fastapi": fastapi,
}


@pytest.mark.parametrize("framework", FRAMEWORKS)
class TestAppInFrameworks:
    @pytest.mark.unmeasured
    def test_it_takes_webhooks_at_the_url_with_the_token(self, framework: str) -> None:
        told = Told()
        app = FRAMEWORKS[framework](WebhookApp(told.awaited, secret=SECRET))
        with served(app) as url:
            right = f"{url}/in/{webhook_token(SECRET)}"
            answers = [post(right), post(right + "/"), post(right + "?from=creatify")]
            assert [(one.status_code, one.content) for one in answers] == [(200, b"")] * 3
            for wrong in ("", "x", webhook_token(SECRET)[:-1], webhook_token(SECRET, "x"), "%ff"):
                assert post(f"{url}/in/{wrong}").status_code == 404
            refused = post(right, method="GET")
            assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
        assert [event.id for event in told.events] == [ID] * 3

    def test_hostile_bodies_are_400_and_too_large_ones_413(
        self, framework: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        told = Told()
        with served(FRAMEWORKS[framework](WebhookApp(told.sync))) as url:
            for name, body in HOSTILE.items():
                wanted = 413 if name == "too large" else 400
                assert post(f"{url}/in/", body).status_code == wanted, name
            assert post(f"{url}/in/").status_code == 200
        assert len(told.events) == 1
        assert not [record for record in caplog.records if record.levelno >= logging.WARNING]

    def test_what_the_receiver_raises_is_logged_and_a_500(
        self, framework: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        for name in ("sync", "awaited"):
            told = Told(LookupError("no such order"), WebhookError("of its own"))
            app = FRAMEWORKS[framework](WebhookApp(getattr(told, name)))
            with served(app) as url:
                answers = [post(f"{url}/in/").status_code for _ in range(3)]
            assert answers == [500, 500, 200]
        ours = [record for record in caplog.records if record.name == "creatify"]
        assert [record.levelname for record in ours] == ["ERROR"] * 4
        assert "no such order" in caplog.text

    def test_a_socket_is_refused(self, framework: str) -> None:
        handshake = (
            b"GET /in/ HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        with served(FRAMEWORKS[framework](WebhookApp(Inbox()))) as url, _connected(url) as sock:
            sock.sendall(handshake)
            assert sock.recv(1000).split()[1] in {b"403", b"405"}  # a server may have no sockets


def _connected(url: str) -> socket.socket:
    place = urlsplit(url)
    return socket.create_connection((place.hostname, place.port), timeout=10)


class TestApp:
    def test_a_plain_function_runs_in_a_thread_and_holds_nobody_up(self) -> None:
        told, going, entered = Told(), threading.Event(), threading.Event()

        def slow(event: WebhookEvent) -> None:
            entered.set()
            going.wait(10)
            told.sync(event)

        with served(WebhookApp(slow)) as url:
            first = threading.Thread(target=post, args=(url,))
            first.start()
            entered.wait(10)
            assert post(url, method="GET").status_code == 405
            assert told.events == []
            going.set()
            first.join()
        assert len(told.events) == 1

    def test_a_receiver_that_raises_stop_iteration_is_answered_for_too(self) -> None:
        with served(WebhookApp(Told(StopIteration()).sync)) as url:
            assert post(url).status_code == 500

    @pytest.mark.parametrize("form", ["partial", "object", "function"])
    def test_what_is_async_inside_is_awaited_too(self, form: str) -> None:
        told = Told()

        class Receiver:
            async def __call__(self, event: WebhookEvent) -> None:
                await told.awaited(event)

        def not_marked_as_async(event: WebhookEvent) -> object:
            return told.awaited(event)

        forms: dict[str, Any] = {
            "partial": partial(Told.awaited, told),
            "object": Receiver(),
            "function": not_marked_as_async,
        }
        with served(WebhookApp(forms[form])) as url:
            assert post(url).status_code == 200
        assert len(told.events) == 1

    def test_a_large_body_is_read_no_further_than_its_bound(self) -> None:
        with served(WebhookApp(Told().sync, max_size=1000)) as url, _connected(url) as sock:
            sock.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000\r\n\r\n")
            sock.sendall(b"a" * 1001)
            assert sock.recv(1000).split()[1] == b"413"

    def test_a_body_in_many_pieces_is_put_together(self) -> None:
        told = Told()
        with served(WebhookApp(told.sync)) as url, _connected(url) as sock:
            sock.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
            for byte in BODY:
                sock.sendall(b"1\r\n%c\r\n" % byte)
            sock.sendall(b"0\r\n\r\n")
            assert sock.recv(1000).split()[1] == b"200"
        assert told.events == [parse(BODY)]

    def test_a_sender_that_leaves_in_the_middle_is_forgotten(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        told = Told()
        with served(WebhookApp(told.sync)) as url:
            with _connected(url) as sock:
                sock.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 500\r\n\r\n" + BODY)
                time.sleep(0.05)
            assert post(url).status_code == 200
        assert len(told.events) == 1
        assert not [record for record in caplog.records if record.levelno >= logging.WARNING]

    def test_an_inbox_is_told_and_duplicates_are_harmless(self) -> None:
        inbox = Inbox()
        heard: list[int] = []
        inbox.subscribe(ID, partial(heard.append, 1))
        with served(WebhookApp(inbox)) as url:
            assert [post(url).status_code for _ in range(3)] == [200] * 3
            assert post(url, json.dumps({"id": str(task_id(1))}).encode()).status_code == 200
        assert heard == [1] * 3

    @pytest.mark.parametrize("wrong", [None, 5, "inbox", Inbox, Told])
    def test_what_can_take_no_webhook_is_refused(self, wrong: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"go to an Inbox\(\), or to a function"):
            WebhookApp(wrong)

    def test_a_wrong_size_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="max_size"):
            WebhookApp(Inbox(), max_size=0)

    def test_its_repr_holds_no_secret(self) -> None:
        assert SECRET not in repr(WebhookApp(Inbox(), secret=SECRET))


@pytest.mark.anyio
class TestProtocol:
    """ASGI itself, where no server would do it."""

    async def test_a_server_may_start_and_end_it(self) -> None:
        answers = await _speak({"type": "lifespan"}, "lifespan.startup", "lifespan.shutdown")
        assert answers == ["lifespan.startup.complete", "lifespan.shutdown.complete"]

    async def test_a_socket_is_closed_unless_it_is_gone(self) -> None:
        assert await _speak({"type": "websocket"}, "websocket.connect") == ["websocket.close"]
        assert await _speak({"type": "websocket"}, "websocket.disconnect") == []

    async def test_what_is_unknown_is_left_alone(self) -> None:
        assert await _speak({"type": "telepathy"}) == []

    async def test_who_has_gone_is_answered_nothing(self) -> None:
        scope = {"type": "http", "method": "POST", "path": "/"}
        assert await _speak(scope, "http.disconnect") == []

    async def test_a_piece_may_be_null_as_servers_written_in_other_languages_have_it(self) -> None:
        pieces: list[dict[str, Any]] = [
            {"body": None, "more_body": True},
            {"body": BODY, "more_body": True},
            {"body": None},
        ]

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", **pieces.pop(0)}

        async def send(message: Any) -> None:
            sent.append(message.get("status"))

        told, sent = Told(), list[Any]()
        app = WebhookApp(told.awaited)
        await app({"type": "http", "method": "POST", "path": "/"}, receive, send)
        assert sent[0] == 200
        assert told.events == [parse(BODY)]

    async def test_a_server_that_can_send_no_more_is_no_error(self) -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": BODY}

        async def send(_: Any) -> None:
            raise BrokenPipeError

        told = Told()
        app = WebhookApp(told.awaited)
        await app({"type": "http", "method": "POST", "path": "/"}, receive, send)
        assert len(told.events) == 1

    async def test_a_path_of_any_characters_is_unknown(self) -> None:
        app = WebhookApp(Inbox(), secret=SECRET)
        for path in ("", "/", "//", "/\ud800", "/é", "/\0"):
            scope = {"type": "http", "method": "POST", "path": path}
            assert await _speak(scope, app=app) == [404]


async def _speak(scope: dict[str, Any], *events: str, app: WebhookApp | None = None) -> list[Any]:
    """What an app answers to these events: types, and of a response its status."""
    left, sent = list(events), []

    async def receive() -> dict[str, Any]:
        return {"type": left.pop(0)}

    async def send(message: Any) -> None:
        if message["type"] != "http.response.body":
            sent.append(message.get("status", message["type"]))

    await (app or WebhookApp(Inbox()))(scope, receive, send)
    assert left == []
    return sent


def test_the_modules_names_are_sorted_and_documented() -> None:
    names = creatify.webhooks.__all__
    assert names == sorted(names)
    assert all(getattr(creatify.webhooks, name).__doc__ for name in names)
