"""What a stream has said so far: pieces of bytes in, payloads out, and what they add up to.

No I/O: the two streams in `_stream` do the reading. Nothing is computed before it is asked for, and
nothing is kept but the text, the function calls and the last of everything else.
"""

from __future__ import annotations

import json
import time
from io import StringIO
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeAlias, TypeVar

from creatify._drift import new_drifts, tell
from creatify._errors import (
    MAY_BE_CHARGED,
    APIConnectionError,
    APITimeoutError,
    CreatifyError,
    ResponseDecodeError,
    StreamError,
    StreamEventError,
    StreamIdleError,
    StreamInterruptedError,
)
from creatify._operations import M, model_of
from creatify._pool import DEADLINE, Deadline
from creatify._schema import MismatchError
from creatify._sse import Decoder, Event, EventTooLargeError
from creatify._status import is_event_stream, status_error
from creatify_api.models import (
    FunctionCallPart,
    GeminiUsageMetadata,
    TextGenStreamChunk,
    TextGenStreamReceipt,
)
from creatify_api.types import UNSET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import httpx

    from creatify._drift import OnDrift

Payload: TypeAlias = dict[str, Any]
"""A chunk as decoded JSON: `TextGenStreamChunk` before it is built."""

E = TypeVar("E", bound=StreamError)

_decode: Final = json.JSONDecoder().decode  # json.loads, without its look at every argument
_END_MARK: Final = "[DONE]"
"""How OpenAI's streams end. The provider documents no such mark; it would mean nothing else."""
_LONGEST_MESSAGE: Final = 500


class Accumulator:
    """All that a stream has said so far.

    `idle_timeout` (seconds) bounds the time between two events, of which only the waiting counts.
    `max_event_size` (bytes) bounds what is held of one event.
    """

    def __init__(
        self,
        idle_timeout: float,
        max_event_size: int,
        clock: Callable[[], float] = time.monotonic,
        on_drift: OnDrift | None = None,
    ) -> None:
        self.idle_timeout = idle_timeout
        self.headers: Mapping[str, str] = {}
        self.chunks = 0
        self._decoder = Decoder(max_event_size)
        self._clock = clock
        self._on_drift = on_drift
        self._deadline = Deadline()
        self._idle = 0.0
        self._waiting_since = 0.0
        self._received = ""  # the data of the last event
        self._text = StringIO()  # a list of pieces costs as much again as they say
        self._thoughts = StringIO()
        self.last_text: list[str] = []
        """The pieces of text that the last chunk added."""
        self._calls: list[Payload] = []
        self.is_complete = False
        self._malformed: CreatifyError | None = None  # the first malformed event's error
        self._finish_reason: str | None = None
        self._usage: Payload | None = None
        self._receipt: Payload | None = None

    def begin(self, response: httpx.Response) -> None:
        """Take the answer's head. Raises unless it is an event stream."""
        if not response.is_success:
            raise status_error(response, paid=True)
        if not is_event_stream(response):
            what = response.headers.get("content-type", "no Content-Type")
            start = response.content[:_LONGEST_MESSAGE].decode(errors="replace")
            raise ResponseDecodeError(
                f"it is no event stream but {what}: {start}", payload=response.content, path="$"
            )
        self.headers = response.headers
        self._deadline = response.request.extensions[DEADLINE]

    def wait(self) -> None:
        """From now on the next piece is waited for."""
        self._waiting_since = self._clock()
        self._deadline.at = self._waiting_since + self.idle_timeout - self._idle

    def feed(self, piece: bytes) -> Iterator[Payload]:
        """The payloads that this piece completes. Raises an error of the StreamError branch."""
        self._idle += self._clock() - self._waiting_since
        too_large = None
        try:
            events = self._decoder.feed(piece)
        except EventTooLargeError as error:
            events, too_large = error.events, error
        if events:
            self._idle = 0.0
        elif self._idle > self.idle_timeout:
            raise self._error(StreamIdleError, self._silence())
        for event in events:
            yield from self._payloads(event)
        if too_large is not None:
            raise self._error(StreamError, str(too_large)) from too_large
        self.wait()

    def finish(self, lost: APIConnectionError | None = None) -> Iterator[Payload]:
        """What is left at the end, which came by itself or by the loss of the connection.

        The generation is complete with a receipt, or with a finish reason and a clean end. Raises
        StreamInterruptedError or StreamIdleError if it isn't, and the error of a malformed event
        only now, so that what came after it is not lost. Once it is complete, it stays so.
        """
        if self.is_complete:
            return
        left = self._decoder.close()
        if left is not None and _is_json(left.data):
            yield from self._payloads(left)
        if self._malformed is not None:
            raise self._malformed
        if self._receipt is None and (lost is not None or self._finish_reason is None):
            self._incomplete(lost)
        self.is_complete = True

    @property
    def text(self) -> str:
        """The text so far."""
        return self._text.getvalue()

    @property
    def thoughts(self) -> str:
        """The model's thoughts so far, which are no part of the text."""
        return self._thoughts.getvalue()

    @property
    def function_calls(self) -> list[FunctionCallPart]:
        """The function calls so far."""
        return [self._model(FunctionCallPart, call) for call in self._calls]

    @property
    def finish_reason(self) -> str | None:
        """Why the model stopped, or why the prompt was blocked; None while it goes on."""
        return self._finish_reason

    @property
    def usage(self) -> GeminiUsageMetadata | None:
        """The tokens used so far, as the model last counted them."""
        return None if self._usage is None else self._model(GeminiUsageMetadata, self._usage)

    @property
    def receipt(self) -> TextGenStreamReceipt | None:
        """`id` and `credits_used` of the generation; None before the final chunk.

        The provider doesn't say whether the id is called `id` or `generation_id`: `id` has it
        either way.
        """
        if self._receipt is None:
            return None
        receipt = self._model(TextGenStreamReceipt, self._receipt)
        if receipt.id is UNSET:
            receipt.id = receipt.generation_id
        return receipt

    def chunk(self, payload: Payload) -> TextGenStreamChunk:
        """The model of a payload. Raises ResponseDecodeError."""
        return self._model(TextGenStreamChunk, payload, self._received)

    def _payloads(self, event: Event) -> Iterator[Payload]:
        """The payload of one event, taken into account; none for a mark without meaning."""
        if event.data.strip() == _END_MARK:
            return
        self._received = event.data
        is_error = event.event == "error"
        try:
            payload = _decode(event.data)
        except (ValueError, RecursionError) as error:
            if is_error:
                self._api_error(event.data)
            start = event.data[:_LONGEST_MESSAGE]
            malformed = self._error(StreamError, f"an event is no JSON: {start}")
            malformed.__cause__ = error
            self._malformed = self._malformed or malformed
            return
        if is_error or not isinstance(payload, dict) or payload.get("error") is not None:
            self._api_error(payload)
        self.chunks += 1
        self.last_text = []
        try:
            try:
                self._absorb(payload)
            except (AttributeError, TypeError):
                self.chunk(payload)  # some type is wrong, and this knows the place
        except ResponseDecodeError as error:
            self._malformed = self._malformed or error
        yield payload

    def _absorb(self, payload: Payload) -> None:
        for candidate in payload.get("candidates") or ():
            if not candidate.get("index"):
                self._finish_reason = candidate.get("finishReason") or self._finish_reason
                for part in (candidate.get("content") or {}).get("parts") or ():
                    self._absorb_part(part)
        feedback = payload.get("promptFeedback") or {}
        self._finish_reason = self._finish_reason or feedback.get("blockReason")
        self._usage = payload.get("usageMetadata") or self._usage
        self._receipt = payload.get("creatify") or self._receipt

    def _absorb_part(self, part: Payload) -> None:
        text = part.get("text")
        if text and part.get("thought"):
            self._thoughts.write(text)
        elif text:
            self._text.write(text)
            self.last_text.append(text)
        call = part.get("functionCall")
        if call:
            self._calls.append(call)

    def _api_error(self, payload: object) -> NoReturn:
        """Raise what the API says:

        `{"error": {"code", "message", "status"}}`, or anything like it.
        """
        error = (payload.get("error") or payload) if isinstance(payload, dict) else payload
        fields = error if isinstance(error, dict) else {"message": error}
        code, message = fields.get("code"), fields.get("message")
        if not isinstance(message, str):
            message = json.dumps(error)
        raise StreamEventError(
            message,
            code=code if isinstance(code, int) else None,
            partial_text=self.text,
            chunks_received=self.chunks,
        )

    def _incomplete(self, lost: APIConnectionError | None) -> NoReturn:
        if isinstance(lost, APITimeoutError):
            raise self._error(StreamIdleError, self._silence()) from lost
        reason = (
            " without a finish reason or a receipt"
            if lost is None
            else f": {str(lost).replace(MAY_BE_CHARGED, '')}"
        )
        raise self._error(StreamInterruptedError, f"the stream ended early{reason}") from lost

    def _silence(self) -> str:
        return f"the stream was silent for {self.idle_timeout:g} seconds"

    def _error(self, kind: type[E], message: str) -> E:
        return kind(message, partial_text=self.text, chunks_received=self.chunks)

    def _model(self, model: type[M], payload: Payload, received: str | None = None) -> M:
        drifts = new_drifts(self._on_drift)
        try:
            return model_of(model, payload, drifts)
        except MismatchError as error:
            body = json.dumps(payload) if received is None else received
            raise ResponseDecodeError(str(error), payload=body.encode(), path=error.path) from error
        finally:
            tell(drifts, self._on_drift)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
