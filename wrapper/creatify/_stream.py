"""A generation as it is produced: the sync and the async stream over one accumulator."""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Generic, Self

from creatify._accumulator import Accumulator, Payload
from creatify._connection import (
    AnyConnection,
    AsyncConnection,
    Connection,
    connection_errors,
)
from creatify._errors import APIConnectionError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping
    from types import TracebackType

    import httpx

    from creatify._operations import Call
    from creatify_api.models import (
        FunctionCallPart,
        GeminiUsageMetadata,
        TextGenStreamChunk,
        TextGenStreamReceipt,
    )


class _Stream(Generic[AnyConnection]):
    """What both colours tell of a stream; all of it grows while the stream is read."""

    def __init__(
        self, connection: AnyConnection, call: Call, idle_timeout: float, max_event_size: int
    ) -> None:
        self._connection = connection
        self._call = call
        self._so_far = Accumulator(idle_timeout, max_event_size)
        self._entered = False
        self._opened: list[httpx.Response] = []

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

    def _enter(self) -> Call:
        if self._entered:
            raise RuntimeError("a stream is entered once: entering it again would pay again")
        self._entered = True
        return self._call

    def _begin(self, response: httpx.Response) -> None:
        self._so_far.begin(response)
        self._opened.append(response)

    @property
    def _response(self) -> httpx.Response:
        if not self._opened:
            raise RuntimeError(
                "this stream is not open: enter it first, as"
                " `with client.text_generator.stream(...) as stream:` (`async with` when async)"
            )
        return self._opened[0]

    def _rewind(self) -> None:
        """Let the next read begin anew, to say whether all has come."""
        vars(self).pop("_payloads", None)


class TextStream(_Stream[Connection]):
    """A stream of `TextGenStreamChunk`s (spec operation `sse_text_generator_stream_create`).

    The request is sent on entering the `with` block; leaving it closes the connection. Iterating
    raises StreamInterruptedError, StreamIdleError or StreamEventError, each with the text so far,
    and ResponseDecodeError for a chunk that does not fit its schema.
    """

    def __enter__(self) -> Self:
        self._begin(self._connection.fetch(self._enter()))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # A generator that another thread is in can't be closed; its connection can.
        with suppress(ValueError):
            self._payloads.close()
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
        for response in self._opened:
            response.close()

    @cached_property
    def _payloads(self) -> Generator[Payload]:
        return self._read(self._response)

    def _read(self, response: httpx.Response) -> Generator[Payload]:
        self._so_far.wait()
        lost = None
        try:
            with connection_errors(response.request):
                for piece in response.iter_raw():
                    yield from self._so_far.feed(piece)
        except APIConnectionError as error:
            lost = error
        finally:
            self._rewind()
        yield from self._so_far.finish(lost)


class AsyncTextStream(_Stream[AsyncConnection]):
    """A stream of `TextGenStreamChunk`s (spec operation `sse_text_generator_stream_create`).

    The request is sent on entering the `async with` block; leaving it closes the connection.
    Iterating raises StreamInterruptedError, StreamIdleError or StreamEventError, each with the
    text so far, and ResponseDecodeError for a chunk that does not fit its schema.
    """

    async def __aenter__(self) -> Self:
        self._begin(await self._connection.fetch(self._enter()))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # A generator that another task is in can't be closed; its connection can.
        with suppress(RuntimeError):
            await self._payloads.aclose()
        self._rewind()
        await self.close()

    async def __aiter__(self) -> AsyncIterator[TextGenStreamChunk]:
        """Each chunk as it arrives."""
        async for payload in self._payloads:
            yield self._so_far.chunk(payload)

    @property
    async def text_stream(self) -> AsyncIterator[str]:
        """The pieces of text as they arrive, without the model's thoughts."""
        async for _ in self._payloads:
            for text in self._so_far.last_text:
                yield text

    async def until_done(self) -> None:
        """Read to the end, so that `text`, `usage` and `receipt` are complete."""
        async for _ in self._payloads:
            pass

    async def close(self) -> None:
        """Close the connection; what came stays."""
        for response in self._opened:
            await response.aclose()

    @cached_property
    def _payloads(self) -> AsyncGenerator[Payload]:
        return self._read(self._response)

    async def _read(self, response: httpx.Response) -> AsyncGenerator[Payload]:
        self._so_far.wait()
        lost = None
        try:
            with connection_errors(response.request):
                async for piece in response.aiter_raw():
                    for payload in self._so_far.feed(piece):
                        yield payload
        except APIConnectionError as error:
            lost = error
        finally:
            self._rewind()
        for payload in self._so_far.finish(lost):
            yield payload
