"""Webhooks over ASGI."""

from __future__ import annotations

import asyncio
import hmac
import inspect
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any, Final, TypeAlias

from creatify._errors import ConfigurationError, WebhookError
from creatify._log import LOGGER
from creatify._options import check_size
from creatify.webhooks._event import MAX_SIZE, WebhookEvent, parse
from creatify.webhooks._inbox import Inbox
from creatify.webhooks._token import webhook_token
from creatify_api.types import UNSET, Unset

Handler: TypeAlias = Callable[[WebhookEvent], object]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_WRONG_METHOD: Final = 405


class WebhookApp:
    """An ASGI app that takes webhooks, for any server or framework: they may mount it.

    `receiver` is an `Inbox`, or a function of a `WebhookEvent`: if it is async it is awaited, else
    it runs in a thread. With a `secret` the last part of the path must be `webhook_token(secret)`;
    without one anybody may post. A token with `parts` is for a route of your own.
    `max_size` (bytes, 1 MiB) bounds a body.

    It answers a POST with 200 when the receiver is done; 400 for a body that is no webhook's, 413
    for one that is too large (and is read no further); 404 for a wrong token, 405 for another
    method; 500 if the receiver raised, which is logged. It raises nothing, and makes no request.

    Raises ConfigurationError for a wrong receiver, a weak secret or a wrong size.
    """

    def __init__(
        self,
        receiver: Inbox | Handler,
        /,
        *,
        secret: str | bytes | Unset = UNSET,
        max_size: int = MAX_SIZE,
    ) -> None:
        self._handle = _handle(receiver)
        self._token = None if isinstance(secret, Unset) else webhook_token(secret).encode()
        self._max_size = check_size(max_size, "max_size")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, as ASGI 3 says."""
        with suppress(OSError):  # who asked is gone
            match scope["type"]:
                case "http":
                    status = await self._status(scope, receive)
                    if status is not None:
                        await _answer(status, send)
                case "websocket":
                    if (await receive())["type"] == "websocket.connect":
                        await send({"type": "websocket.close"})
                case "lifespan":
                    await _live(receive, send)

    async def _status(self, scope: Scope, receive: Receive) -> int | None:
        """What a request is answered; None if nobody waits for it any more."""
        if not self._is_known(scope["path"]):
            return 404
        if scope["method"] != "POST":
            return _WRONG_METHOD
        body = await _body(receive, self._max_size)
        if body is None:
            return None
        return 413 if len(body) > self._max_size else await self._take(body)

    async def _take(self, body: bytes) -> int:
        try:
            event = parse(body, max_size=self._max_size)
        except WebhookError as error:
            LOGGER.debug("a webhook was refused: %s", error)
            return 400
        try:
            await self._handle(event)
        except Exception:  # noqa: BLE001 - whatever it is, the sender hears of it, and the log
            LOGGER.exception("a webhook was answered 500: its receiver raised")
            return 500
        return 200

    def _is_known(self, path: str) -> bool:
        given = path.rstrip("/").rpartition("/")[2].encode("utf-8", "surrogatepass")
        return self._token is None or hmac.compare_digest(given, self._token)


def _handle(receiver: Inbox | Handler) -> Callable[[WebhookEvent], Awaitable[object]]:
    """The receiver, to be awaited. Raises ConfigurationError."""
    if isinstance(receiver, type) or not (isinstance(receiver, Inbox) or callable(receiver)):
        raise ConfigurationError("webhooks go to an Inbox(), or to a function of a WebhookEvent")
    if isinstance(receiver, Inbox):
        inbox = receiver

        async def deliver(event: WebhookEvent) -> None:
            inbox.deliver(event)

        return deliver
    handler = receiver

    def call(event: WebhookEvent) -> object:
        try:
            return handler(event)
        except (
            StopIteration
        ) as error:  # which no future takes: its thread would be awaited for ever
            raise RuntimeError("the receiver raised StopIteration") from error

    async def handle(event: WebhookEvent) -> None:
        is_async = inspect.iscoroutinefunction(handler)
        answer = call(event) if is_async else await asyncio.to_thread(call, event)
        if inspect.isawaitable(answer):  # also of an object, or a partial, that is async inside
            await answer

    return handle


async def _body(receive: Receive, max_size: int) -> bytes | None:
    """A request's body, and little more than `max_size` of it; None if it breaks off."""
    body = bytearray()
    while len(body) <= max_size:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body") or b""
        if not message.get("more_body", False):
            break
    return bytes(body)


async def _answer(status: int, send: Send) -> None:
    headers = [(b"content-length", b"0")]
    if status == _WRONG_METHOD:  # RFC 9110, section 15.5.6
        headers.append((b"allow", b"POST"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def _live(receive: Receive, send: Send) -> None:
    """Nothing to begin and nothing to end; the server wants to hear it."""
    while (await receive())["type"] == "lifespan.startup":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})
