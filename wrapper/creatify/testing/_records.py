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
from ._server import CUT

# Where those who know them leave the operation and the fault for the record, in the ASGI scope.
OPERATION = "creatify.operation"
FAULT = "creatify.fault"


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
        fault: Name of the fault that it met, as ``"drop_answer"``; None if it met none.
    """

    method: str
    path: str
    operation: str | None
    headers: Mapping[str, str]
    body: Any
    status: int | None
    time: float
    fault: str | None = None


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
        recorded = False

        async def recording_send(message: Message) -> None:
            nonlocal recorded
            if message["type"] in {"http.response.start", CUT} and not recorded:
                recorded = True
                # Recorded first: who has an answer in hand, or sees that there is none, finds its
                # record.
                self._record(request, body, message.get("status"), arrived)
            if message["type"] == "http.response.start":
                date = formatdate(self._clock.time(), usegmt=True).encode()
                message["headers"] = [*message["headers"], (b"date", date)]
            await send(message)

        try:
            await self._app(scope, replay(body, receive), recording_send)
        finally:
            if not recorded:
                self._record(request, body, None, arrived)

    def _record(self, request: Request, body: bytes, status: int | None, arrived: float) -> None:
        names = self._secret_headers
        self._log.append(
            RequestRecord(
                method=request.method,
                path=request.url.path,
                operation=request.scope.get(OPERATION),
                headers={k: v for k, v in request.headers.items() if k not in names},
                body=content(body),
                status=status,
                time=arrived,
                fault=request.scope.get(FAULT),
            )
        )


def replay(body: bytes, receive: Receive) -> Receive:
    """What gives an app the body that was read already, and then what comes."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return pending.pop() if pending else await receive()

    return replayed


def content(body: bytes) -> Any:
    """Parsed JSON, or the bytes where they are none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body
