"""What the emulator remembers of the requests that it got."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ._clock import Clock

# Where the router's endpoint leaves the operation for the record, in the ASGI scope.
OPERATION = "creatify.operation"


@dataclass(frozen=True)
class RequestRecord:
    """A request that the emulator got.

    Attributes:
        method: As ``"POST"``.
        path: Path without the query, as ``"/sse/text_generator/"``.
        operation: The spec's operationId; None where no operation was reached.
        headers: By lower-case name, without the credentials.
        body: Parsed JSON, or the bytes where they are none.
        status: The status code answered; None if the connection ended before an answer.
        time: When it arrived, by ``time.monotonic()`` (seconds).
    """

    method: str
    path: str
    operation: str | None
    headers: Mapping[str, str]
    body: Any
    status: int | None
    time: float


class Recorder:
    """ASGI middleware: records each request when it is answered, and dates the answers.

    What is to come between the wire and the API (a fault, a delay) is an ASGI app in here.
    """

    def __init__(
        self, app: ASGIApp, log: list[RequestRecord], clock: Clock, secret_headers: frozenset[str]
    ) -> None:
        self._app = app
        self._log = log
        self._clock = clock
        self._secret_headers = secret_headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        arrived = time.monotonic()
        request = Request(scope, receive)
        try:
            body = await request.body()
        except ClientDisconnect:
            self._record(request, b"", None, arrived)
            return
        answered = False

        async def recording_send(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                # Recorded first: who has an answer in hand finds its record.
                self._record(request, body, message["status"], arrived)
                date = formatdate(self._clock.time(), usegmt=True).encode()
                message["headers"] = [*message["headers"], (b"date", date)]
            await send(message)

        try:
            await self._app(scope, _replay(body, receive), recording_send)
        finally:
            if not answered:
                self._record(request, body, None, arrived)

    def _record(self, request: Request, body: bytes, status: int | None, arrived: float) -> None:
        names = self._secret_headers
        self._log.append(
            RequestRecord(
                method=request.method,
                path=request.url.path,
                operation=request.scope.get(OPERATION),
                headers={k: v for k, v in request.headers.items() if k not in names},
                body=_parsed(body),
                status=status,
                time=arrived,
            )
        )


def _replay(body: bytes, receive: Receive) -> Receive:
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body
