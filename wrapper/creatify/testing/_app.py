"""The API over HTTP: an ASGI app whose routes and checks come from the spec."""

import asyncio
import hmac
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from ._backend import Backend, BrokenCallbackError, InsufficientCreditsError
from ._records import OPERATION
from ._spec import Operation, Spec
from ._stream import events, recorded_events
from ._tasks import Task
from ._webhooks import notify
from ._wire import parsed

_logger = logging.getLogger("creatify.testing")

# The path parameters and the body, both valid by the spec.
Handler = Callable[[Mapping[str, str], Any], Awaitable[Response]]


def build_app(backend: Backend, spec: Spec, credentials: Mapping[str, str]) -> Starlette:
    """The app of all operations of the spec; `credentials` are by the spec's security schemes.

    Raises:
        NotImplementedError: The spec has an operation that the emulator has not.
    """
    handlers = _Handlers(backend, spec)
    if missing := spec.operations.keys() - handlers.by_operation.keys():
        raise NotImplementedError(f"The emulator lacks operations of the spec: {sorted(missing)}.")
    routes = [
        Route(
            operation.path,
            _endpoint(handlers.by_operation[operation.id], operation, spec, credentials),
            methods=[operation.method],
        )
        for operation in spec.operations.values()
    ]
    app = Starlette(
        routes=routes, exception_handlers={HTTPException: _error}, lifespan=handlers.lifespan
    )
    app.router.redirect_slashes = False
    return app


def _endpoint(
    handler: Handler, operation: Operation, spec: Spec, credentials: Mapping[str, str]
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        request.scope[OPERATION] = operation.id
        for scheme, header in operation.security.items():
            given = request.headers.get(header, "").encode()
            if not hmac.compare_digest(given, credentials[scheme].encode()):
                raise HTTPException(401, "Missing or invalid API credentials.")
        for name, schema in operation.parameters.items():
            if spec.error(schema, request.path_params[name]):
                raise HTTPException(404, "Not found.")
        body = None
        if operation.body is not None:
            body = _parsed(request.headers.get("content-type", ""), await request.body())
            if error := spec.error(operation.body, body):
                raise HTTPException(400, error)
        return await handler(request.path_params, body)

    return endpoint


def _parsed(content_type: str, body: bytes) -> Any:
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(400, "Content-Type must be application/json.")
    try:
        return parsed(body)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"The body is no JSON: {error}.") from error


async def _error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)


class _Handlers:
    """One handler for each operation of the spec."""

    def __init__(self, backend: Backend, spec: Spec) -> None:
        self._backend = backend
        self._spec = spec
        self._notifications: set[asyncio.Task[None]] = set()
        self.by_operation: Mapping[str, Handler] = {
            "sse_text_generator_list": self._list,
            "sse_text_generator_create": self._create,
            "sse_text_generator_stream_create": self._stream,
            "sse_text_generator_retrieve": self._retrieve,
            "remaining_credits_retrieve": self._credits,
        }

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Nothing that a request began in the background outlives the app."""
        yield
        for notification in self._notifications:
            notification.cancel()
        await asyncio.gather(*self._notifications, return_exceptions=True)

    async def _list(self, _: Mapping[str, str], __: Any) -> Response:
        # Newest first is an assumption: the pages don't say.
        tasks = sorted(self._backend.tasks.values(), key=lambda t: t.created_at, reverse=True)
        return JSONResponse([self._wire(task) for task in tasks])

    async def _create(self, _: Mapping[str, str], body: Any) -> Response:
        task = self._generate(self._backend.generate, body)
        if (url := body.get("webhook_url")) is not None:
            notification = asyncio.create_task(notify(task, url, self._backend.clock))
            # The event loop itself keeps no hold of its tasks.
            self._notifications.add(notification)
            notification.add_done_callback(self._notifications.discard)
        if body.get("sync"):
            await self._backend.clock.sleep_until(task.finished_at)
        return JSONResponse(self._wire(task), 201)

    async def _stream(self, _: Mapping[str, str], body: Any) -> Response:
        task = self._generate(self._backend.generate_stream, body)
        return StreamingResponse(self._paced(task), media_type="text/event-stream")

    async def _retrieve(self, path: Mapping[str, str], _: Any) -> Response:
        task = self._backend.tasks.get(path["id"].lower())
        if task is None:
            raise HTTPException(404, "Not found.")
        return JSONResponse(self._wire(task))

    async def _credits(self, _: Mapping[str, str], __: Any) -> Response:
        return JSONResponse({"remaining_credits": self._backend.credits})

    def _generate(self, generate: Callable[[Mapping[str, Any]], Task], body: Any) -> Task:
        if reason := self._backend.request_error(body):
            raise HTTPException(400, reason)
        try:
            return generate(body)
        except InsufficientCreditsError as error:
            # 402 is an assumption: the pages don't say.
            raise HTTPException(402, str(error)) from error
        except BrokenCallbackError as error:
            _logger.exception("A generation request is answered 500.")
            raise HTTPException(500, str(error)) from error

    async def _paced(self, task: Task) -> AsyncIterator[bytes]:
        clock = self._backend.clock
        recording = self._backend.recording(task.request)
        sent = list(events(task)) if recording is None else recorded_events(recording)
        due = clock.time()
        try:
            for left, event in zip(reversed(range(len(sent))), sent, strict=True):
                # Without a turn of the loop a reader's hanging up would go unseen.
                await asyncio.sleep(0)
                await clock.sleep_until(due)
                if not left:
                    # Before the end is sent: who has read it finds the task done.
                    task.finished_at = clock.time()
                # Before it is sent: who has read it may move the clock at once.
                due = clock.time() + self._backend.chunk_delay
                yield event
        finally:
            # Who hangs up has paid: the generation is done all the same.
            task.finished_at = min(task.finished_at, clock.time())

    def _wire(self, task: Task) -> Any:
        wire = task.to_dict()
        if not self._backend.nulls:
            return wire
        return self._spec.with_nulls(self._spec.component("TextGenResponse"), wire)
