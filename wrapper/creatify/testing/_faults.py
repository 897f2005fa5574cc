"""Which fault a request meets: those that a test scripted, or that its `fault_when` names."""

import logging
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from ._exchange import Exchange
from ._records import FAULT, OPERATION, content, replay
from ._spec import Operation, Spec

_logger = logging.getLogger("creatify.testing")


@dataclass(frozen=True)
class Fault:
    """How a request fails; made by the functions of `creatify.testing.faults`, and reusable.

    Attributes:
        name: That of the function, as ``"drop_answer"``.
        arguments: What tells it from others of the name.
        of_streams: Whether only a stream can meet it.
    """

    name: str
    arguments: Mapping[str, Any] = field(hash=False)
    of_streams: bool
    _strike: Callable[..., Awaitable[None]] = field(repr=False)

    async def strike(self, exchange: Exchange) -> None:
        """Answer the client as the fault has it; a stream that the API refuses stays refused."""
        if self.of_streams:
            head = await exchange.head()
            if not head.is_stream:
                await exchange.answer(head, await exchange.body())
                return
            await exchange.start(head)
        await self._strike(exchange, **self.arguments)


class BrokenFaultError(Exception):
    """A fault that can't be met, or the user's `fault_when` raised."""


class FaultLayer:
    """ASGI middleware between the recorder and the API: lets requests meet faults.

    `when` is asked, with operationId and body, for each request that no script is for.
    """

    def __init__(self, app: ASGIApp, spec: Spec, when: Callable[[str, Any], Any]) -> None:
        self._app = app
        self._spec = spec
        self._when = when
        self._script: list[tuple[Fault | None, str | None]] = []
        self._lock = threading.Lock()

    def script(self, faults: Iterable[Fault | None], operation: str | None) -> None:
        """Put faults at the script's end; `Emulator.script` documents it."""
        faults = tuple(faults)
        known = self._spec.operations
        if operation is not None and operation not in known:
            raise ValueError(f"operation must be one of {sorted(known)}, not {operation!r}.")
        for fault in faults:
            if not isinstance(fault, Fault | None):
                raise TypeError(f"Faults are what creatify.testing.faults gives, not {fault!r}.")
            if operation is not None and (reason := _misfit(fault, known[operation])):
                raise ValueError(reason)
        with self._lock:
            self._script += [(fault, operation) for fault in faults]

    def unmet(self) -> list[Fault | None]:
        """What is left of the script."""
        with self._lock:
            return [fault for fault, _ in self._script]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_request = scope["type"] == "http"
        operation = self._spec.operation_at(scope["method"], scope["path"]) if is_request else None
        if operation is None:
            await self._app(scope, receive, send)
            return
        body = await Request(scope, receive).body()
        try:
            fault = self._fault(operation, body)
        except BrokenFaultError as error:
            _logger.exception("A request is answered 500.")
            scope[OPERATION] = operation.id
            await JSONResponse({"error": str(error)}, 500)(scope, receive, send)
            return
        if fault is None:
            await self._app(scope, replay(body, receive), send)
            return
        # The API itself may not come to see it.
        scope[OPERATION] = operation.id
        scope[FAULT] = fault.name
        async with Exchange(self._app, scope, receive, send, body) as exchange:
            await fault.strike(exchange)

    def _fault(self, operation: Operation, body: bytes) -> Fault | None:
        scripted = self._scripted(operation)
        fault = self._asked(operation, body) if scripted is None else scripted[0]
        if reason := _misfit(fault, operation):
            raise BrokenFaultError(reason)
        return fault

    def _scripted(self, operation: Operation) -> tuple[Fault | None, str | None] | None:
        with self._lock:
            for at, (fault, meant) in enumerate(self._script):
                if meant == operation.id or (meant is None and not _misfit(fault, operation)):
                    return self._script.pop(at)
        return None

    def _asked(self, operation: Operation, body: bytes) -> Fault | None:
        try:
            fault = self._when(operation.id, content(body))
        except BaseException as error:  # whatever it is, it must not end the server's thread
            raise BrokenFaultError(f"fault_when raised {type(error).__name__}: {error}") from error
        if not isinstance(fault, Fault | None):
            raise BrokenFaultError(f"fault_when returned {fault!r}, neither a fault nor None.")
        return fault


def _misfit(fault: Fault | None, operation: Operation) -> str | None:
    if fault is None or operation.is_stream or not fault.of_streams:
        return None
    return f"faults.{fault.name} is for streams, and {operation.id} isn't one."
