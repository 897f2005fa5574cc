"""A generation as it is produced: the sync and the async stream over one accumulator.

```python
from creatify import Creatify, user

client = Creatify()
with client.text_generator.stream(
    model_name="gemini-2.5-flash", messages=[user("Tell me about mountains.")], idle_timeout=60.0
) as stream:
    for text in stream.text_stream:
        print(text, end="", flush=True)

print(stream.finish_reason, stream.usage, stream.receipt)
```

`for chunk in stream` gives each `TextGenStreamChunk` instead, and `until_done()` reads to the end.
What came so far is in `stream.text`, `.thoughts`, `.function_calls`, `.finish_reason`, `.usage`
and, after the final chunk, `.receipt` (`.id`, `.credits_used`). The request is sent on entering the
block. Leaving it closes the connection; leaving it early raises nothing, and the generation is
charged all the same. A stream is complete with a receipt, or with a finish reason and a clean end;
reading to the end of anything less raises StreamInterruptedError with the text so far.
`idle_timeout` (seconds) bounds the time between two events; comments in between don't count. The
generation's id comes with the receipt, and not before. `receipt`, `usage` and `function_calls` are
made when they are asked for, and raise ResponseDecodeError for what is not as the spec says.

Async code says `async with` and `async for`. What cancels it (a browser that hangs up, in most web
frameworks) closes the connection, and the stream can't be read on: the next step raises
StreamInterruptedError. One task may enter a stream and another read it.

A stream that is lost before its first byte is an OutcomeUnknownError; one that breaks later is a
StreamError. Both have `candidates`, those of identical streams at once one each: if there is one,
`wait(error.candidates[0])` gets the whole text that was paid for (if the API lists streamed
generations, which its pages don't say). To find them the list is asked for up to about 2 seconds
before the error is raised, and as long as a create's would be before the first byte.
"""

from __future__ import annotations

import os
import weakref
from collections import deque
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Generic, Self, TypeVar, cast
from uuid import UUID

from creatify._connection import AnyConnection, AsyncConnection, Connection, ConnectionErrors
from creatify._errors import (
    APIConnectionError,
    ConfigurationError,
    CreatifyError,
    ResponseDecodeError,
    StreamError,
)
from creatify._flow import Each, Send, run, run_async
from creatify._reconcile import Search, find, is_unknown, outcome_unknown, under_way

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Generator,
        Iterable,
        Iterator,
        Mapping,
    )
    from types import TracebackType

    import httpx

    from creatify._accumulator import Accumulator, Payload
    from creatify._ledger import Entry
    from creatify._operations import Call, Steps
    from creatify_api.models import (
        FunctionCallPart,
        GeminiUsageMetadata,
        TextGenRequest,
        TextGenStreamChunk,
        TextGenStreamReceipt,
    )

T = TypeVar("T")


class _Stream(Generic[AnyConnection]):
    """What both colours tell of a stream; all of it grows while the stream is read."""

    def __init__(
        self,
        connection: AnyConnection,
        request: TextGenRequest,
        call: Call,
        so_far: Accumulator,
    ) -> None:
        self._connection = connection
        self._request = request
        self._call = call
        self._so_far = so_far
        self._entry: Entry | None = None
        self._opened: list[httpx.Response] = []
        self._iterators: list[object] = []  # over its bytes
        self._search = Search()
        self._process = -1  # that entered it

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._so_far.chunks} chunks so far>"

    @property
    def text(self) -> str:
        """The text so far, without the model's thoughts."""
        return self._so_far.text

    @property
    def thoughts(self) -> str:
        """The model's thoughts so far."""
        return self._so_far.thoughts

    @property
    def function_calls(self) -> list[FunctionCallPart]:
        """The function calls so far, each with `.name` and `.args`."""
        return self._so_far.function_calls

    @property
    def finish_reason(self) -> str | None:
        """Why the model stopped (`STOP`), or why the prompt was blocked; None while it goes on."""
        return self._so_far.finish_reason

    @property
    def usage(self) -> GeminiUsageMetadata | None:
        """The tokens used so far, as the model last counted them; None before it did."""
        return self._so_far.usage

    @property
    def receipt(self) -> TextGenStreamReceipt | None:
        """`.id` and `.credits_used` of the generation; None before the final chunk."""
        return self._so_far.receipt

    @property
    def response_headers(self) -> Mapping[str, str]:
        """The headers of the answer; the names ignore case."""
        return self._so_far.headers

    def _open(self) -> Steps[None]:
        """Send the request and take the head of its answer; OutcomeUnknownError if that is lost."""
        if self._entry is not None:
            raise RuntimeError("a stream is entered once: entering it again would pay again")
        ledger, self._process = self._connection.ledger, os.getpid()
        self._entry = entry = ledger.begin(self._request, self._call.content or b"")
        try:
            with under_way(entry):
                yield from self._begin(entry)
        finally:
            if not self._opened:
                entry.end()

    def _begin(self, entry: Entry) -> Steps[None]:
        try:
            response = yield Send(self._call)
            self._so_far.begin(response)
            self._opened.append(response)
            entry.is_heard = True
            # Who drops a stream without leaving its block leaves no connection behind.
            held = (response, self._iterators, self._process)
            weakref.finalize(self, self._connection.drop, *held).atexit = False
            weakref.finalize(self, entry.end).atexit = False
        except CreatifyError as error:
            if not is_unknown(error):
                raise
            entry.is_lost = True
            search = yield from find(entry, self._connection.ledger, self._call.timeout)
            raise outcome_unknown(entry, search, error) from error

    def _look_up(self, error: StreamError) -> Steps[None]:
        """Tell the error which tasks may be its generation's: they are paid for."""
        entry, ledger = self._entered, self._connection.ledger
        if not entry.is_settled and self._given_id() is None:
            entry.is_lost = True
            self._search = yield from find(entry, ledger, 0.0)
        error.candidates, error.list_error = self._search.candidates, self._search.error

    @property
    def _response(self) -> httpx.Response:
        if not self._opened:
            raise RuntimeError(
                "this stream is not open: enter it first, as"
                " `with client.text_generator.stream(...) as stream:` (`async with` when async)"
            )
        return self._opened[0]

    def _here(self, things: Iterable[T]) -> Iterator[T]:
        """What a stream has to be ended; in a fork nothing, where all of it is the parent's."""
        return iter(things if os.getpid() == self._process else ())

    def _check_process(self) -> None:
        """Raises ConfigurationError in a fork, which would read what the parent misses then."""
        if os.getpid() != self._process:
            raise ConfigurationError(
                "this stream was made before this process was forked, and is the parent's to read:"
                " make another one"
            )

    @property
    def _entered(self) -> Entry:
        return cast("Entry", self._entry)  # who reads it has entered it

    def _rewind(self) -> None:
        """Let the next read begin anew, to say whether all has come."""
        vars(self).pop("_payloads", None)
        self._entered.end(self._given_id())

    def _given_id(self) -> UUID | None:
        try:
            return UUID(str(self._so_far.receipt and self._so_far.receipt.id))
        except (ResponseDecodeError, ValueError):
            return None


class TextStream(_Stream[Connection]):
    """A stream of `TextGenStreamChunk`s (spec operation `sse_text_generator_stream_create`).

    The request is sent on entering the `with` block; leaving it closes the connection. Iterating
    raises StreamInterruptedError, StreamIdleError or StreamEventError, each with the text so far,
    and ResponseDecodeError for a chunk that does not fit its schema.
    """

    def __enter__(self) -> Self:
        run(self._open(), self._connection.fetch)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # A generator that another thread is in can't be closed; its connection can.
        for payloads in self._here([self._payloads]):
            with suppress(ValueError):
                payloads.close()
            self._rewind()
        self.close()

    def __iter__(self) -> Iterator[TextGenStreamChunk]:
        """Each chunk as it arrives."""
        return map(self._so_far.chunk, self._payloads)

    @property
    def text_stream(self) -> Iterator[str]:
        """The pieces of text as they arrive, without the model's thoughts."""
        for _ in self._payloads:
            yield from self._so_far.last_text

    def until_done(self) -> None:
        """Read to the end, so that `text`, `usage` and `receipt` are complete."""
        for _ in self._payloads:
            pass

    def close(self) -> None:
        """Close the connection; what came stays."""
        for response in self._here(self._opened):
            response.close()

    @cached_property
    def _payloads(self) -> Generator[Payload]:
        return self._read(self._response)

    def _read(self, response: httpx.Response) -> Generator[Payload]:
        self._so_far.wait()
        lost = None
        try:
            try:
                for piece in self._pieces(response):
                    yield from self._so_far.feed(piece)
            except APIConnectionError as error:
                lost = error
            yield from self._so_far.finish(lost)
        except StreamError as error:
            self.close()
            run(self._look_up(error), self._connection.fetch)
            raise
        finally:
            self._rewind()
            del lost  # it holds this frame, and must not be held by it

    def _pieces(self, response: httpx.Response) -> Iterator[bytes]:
        pieces = response.iter_raw()
        self._iterators.append(pieces)
        while True:
            self._check_process()
            # Not around the yield: what a caller does in between is none of the transport's.
            with ConnectionErrors(response.request):
                piece = next(pieces, None)
            if piece is None:
                return
            yield piece


class AsyncTextStream(_Stream[AsyncConnection]):
    """A stream of `TextGenStreamChunk`s (spec operation `sse_text_generator_stream_create`).

    The request is sent on entering the `async with` block; leaving it closes the connection.
    Iterating raises StreamInterruptedError, StreamIdleError or StreamEventError, each with the
    text so far, and ResponseDecodeError for a chunk that does not fit its schema.
    """

    async def __aenter__(self) -> Self:
        await run_async(self._open(), self._connection.fetch)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # A generator that another task is in can't be closed; its connection can.
        for payloads in self._here([self._payloads]):
            with suppress(RuntimeError):
                await payloads.aclose()
            self._rewind()
        await self.close()

    def __aiter__(self) -> AsyncIterator[TextGenStreamChunk]:
        """Each chunk as it arrives."""
        return Each(self._next_chunk)

    @property
    def text_stream(self) -> AsyncIterator[str]:
        """The pieces of text as they arrive, without the model's thoughts."""
        left: deque[str] = deque()

        async def text() -> str:
            while not left:
                await anext(self._payloads)
                left.extend(self._so_far.last_text)
            return left.popleft()

        return Each(text)

    async def until_done(self) -> None:
        """Read to the end, so that `text`, `usage` and `receipt` are complete."""
        async for _ in self._payloads:
            pass

    async def close(self) -> None:
        """Close the connection; what came stays."""
        for response in self._here(self._opened):
            await response.aclose()

    async def _next_chunk(self) -> TextGenStreamChunk:
        return self._so_far.chunk(await anext(self._payloads))

    @cached_property
    def _payloads(self) -> AsyncGenerator[Payload]:
        return self._read(self._response)

    async def _read(self, response: httpx.Response) -> AsyncGenerator[Payload]:
        self._so_far.wait()
        lost = None
        try:
            try:
                async for piece in self._pieces(response):
                    for payload in self._so_far.feed(piece):
                        yield payload
            except APIConnectionError as error:
                lost = error
            for payload in self._so_far.finish(lost):
                yield payload
        except StreamError as error:
            await self.close()
            await run_async(self._look_up(error), self._connection.fetch)
            raise
        finally:
            self._rewind()
            del lost  # it holds this frame, and must not be held by it

    async def _pieces(self, response: httpx.Response) -> AsyncIterator[bytes]:
        pieces = response.aiter_raw()
        self._iterators.append(pieces)
        while True:
            self._check_process()
            # Not around the yield: what a caller does in between is none of the transport's.
            with ConnectionErrors(response.request):
                piece = await anext(pieces, None)
            if piece is None:
                return
            yield piece
