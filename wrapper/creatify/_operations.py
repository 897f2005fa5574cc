"""The operations of the API as values: what to send, and how to read the answer.

The only module that imports the generated endpoints. It takes their `_get_kwargs`, and none of
their `sync` and `asyncio` functions: those buffer a stream, die on a status that has no name
(520), and lose the body of an answer that they can't decode.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, Self, TypeAlias, TypeVar, cast

from creatify._drift import new_drifts, tell
from creatify._errors import InvalidRequestError, ResponseDecodeError
from creatify._flow import Flow, Send
from creatify._options import Options, check_seconds
from creatify._schema import JSON, MismatchError, check, conform
from creatify._status import EVENT_STREAM, status_error
from creatify_api.api.remaining_credits import remaining_credits_retrieve
from creatify_api.api.text_generator import (
    sse_text_generator_create,
    sse_text_generator_list,
    sse_text_generator_retrieve,
    sse_text_generator_stream_create,
)
from creatify_api.models import (
    RemainingCredits,
    TextGenRequest,
    TextGenResponse,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Container, Mapping
    from uuid import UUID

    import httpx

    from creatify._drift import OnDrift
    from creatify._schema import Drift


T = TypeVar("T")
Steps: TypeAlias = Flow["Call", "httpx.Response", T]

JSON_TYPE: Final = "application/json"


class Model(Protocol):
    """What every generated model offers."""

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        """The model of a JSON object."""


M = TypeVar("M", bound=Model)

TIMEOUT: Final = 60.0
"""Seconds that a call may take with its retries, unless the client or the call says otherwise."""
SYNC_TIMEOUT: Final = 600.0
"""The same for a request with `sync`, which is silent until the text is there."""


@dataclass(frozen=True, slots=True)
class Call:
    """An HTTP request as a value. The connection adds the base URL and the credentials.

    A successful answer of more than `worth` bytes is not wanted, and not read.
    """

    method: str
    path: str
    timeout: float
    max_retries: int
    headers: Mapping[str, str]
    content: bytes | None = field(default=None, repr=False)
    worth: int | None = None


@dataclass(frozen=True, slots=True)
class Operation(Generic[T]):
    """One operation of the spec: the call, and what the JSON of its answer becomes."""

    call: Call
    build: Callable[[JSON, set[Drift] | None], T]
    on_drift: OnDrift | None = None

    def read(self, response: httpx.Response) -> T:
        """The result that an answer, read whole, holds; any 2xx is read alike.

        Raises the APIStatusError of its status, or ResponseDecodeError with the body.
        """
        if not response.is_success:
            raise status_error(response, paid=self.call.method == "POST")
        drifts = new_drifts(self.on_drift)
        try:
            return decode(response.content, lambda payload: self.build(payload, drifts))
        finally:
            tell(drifts, self.on_drift)


def call(operation: Operation[T]) -> Steps[T]:
    """One operation as a flow."""
    return operation.read((yield Send(operation.call)))


def create(
    request: TextGenRequest,
    options: Options,
    timeout: float | None = None,
    *,
    at_most: float = math.inf,
) -> Operation[TextGenResponse]:
    """`sse_text_generator_create`. Raises InvalidRequestError.

    A request with `sync` ignores the timeout of `options`, which is meant for short calls.
    """
    default = SYNC_TIMEOUT if request.sync else options.timeout or TIMEOUT
    given = default if timeout is None else check_seconds(timeout, "timeout")
    options = options.but(min(given, at_most))
    call = _post(sse_text_generator_create, request, options)
    return Operation(call, _one(TextGenResponse), options.on_drift)


def stream(request: TextGenRequest, options: Options) -> Call:
    """`sse_text_generator_stream_create`, whose answer is no JSON. Raises InvalidRequestError."""
    return _post(sse_text_generator_stream_create, request, options, accept=EVENT_STREAM)


def retrieve(task_id: UUID, options: Options) -> Operation[TextGenResponse]:
    """`sse_text_generator_retrieve`."""
    kwargs = sse_text_generator_retrieve._get_kwargs(task_id)
    return Operation(_call(kwargs, options), _one(TextGenResponse), options.on_drift)


def list_tasks(options: Options) -> Operation[list[TextGenResponse]]:
    """`sse_text_generator_list`."""
    return Operation(
        _call(sse_text_generator_list._get_kwargs(), options),
        _many(TextGenResponse),
        options.on_drift,
    )


def find_tasks(
    task_ids: Collection[UUID], options: Options, worth: int | None
) -> Operation[list[TextGenResponse]]:
    """`sse_text_generator_list`, of which no more is read than those tasks."""
    call = replace(_call(sse_text_generator_list._get_kwargs(), options), worth=worth)
    wanted = {str(task_id) for task_id in task_ids}
    return Operation(call, _many(TextGenResponse, wanted), options.on_drift)


def remaining_credits(options: Options) -> Operation[RemainingCredits]:
    """`remaining_credits_retrieve`."""
    kwargs = remaining_credits_retrieve._get_kwargs()
    return Operation(_call(kwargs, options), _one(RemainingCredits), options.on_drift)


def decode(body: bytes, build: Callable[[JSON], T]) -> T:
    """What a body of JSON becomes. Raises ResponseDecodeError with the body."""
    try:
        return build(json.loads(body))
    except MismatchError as error:
        raise ResponseDecodeError(str(error), payload=body, path=error.path) from error
    except (ValueError, RecursionError) as error:
        what = "it is empty" if not body.strip() else "it is no JSON"
        raise ResponseDecodeError(what, payload=body, path="$") from error


def model_of(model: type[M], payload: JSON, drifts: set[Drift] | None = None, path: str = "$") -> M:
    """The generated model of a part of an answer. Raises MismatchError with the place in it."""
    conform(payload, model.__name__, path, drifts)
    return model.from_dict(cast("dict[str, Any]", payload))


class _PostEndpoint(Protocol):
    def _get_kwargs(self, *, body: TextGenRequest) -> dict[str, Any]: ...


def _one(model: type[M]) -> Callable[[JSON, set[Drift] | None], M]:
    return partial(model_of, model)


def _many(
    model: type[M], wanted: Container[str] | None = None
) -> Callable[[JSON, set[Drift] | None], list[M]]:
    """The models of an array; if some are `wanted`, of no others than these, by their `id`."""

    def build(payload: JSON, drifts: set[Drift] | None) -> list[M]:
        if not isinstance(payload, list):
            raise MismatchError("it should be an array", "$")
        return [
            model_of(model, item, drifts, f"$[{n}]")
            for n, item in enumerate(payload)
            if wanted is None or (isinstance(item, dict) and _id_of(item) in wanted)
        ]

    return build


def _id_of(item: dict[str, JSON]) -> str:
    return str(item.get("id")).lower()


def _post(
    endpoint: _PostEndpoint, request: TextGenRequest, options: Options, accept: str = JSON_TYPE
) -> Call:
    """What the generated code sends for a request, held against the spec first."""
    try:
        kwargs = endpoint._get_kwargs(body=request)
        check(kwargs["json"], type(request).__name__, "request")
        content = json.dumps(kwargs["json"], ensure_ascii=False, allow_nan=False).encode()
    except MismatchError as error:
        raise InvalidRequestError(f"{error.path}: {error}") from error
    except (AttributeError, ValueError, TypeError, RecursionError) as error:
        raise InvalidRequestError(f"the request can't be written as JSON: {error}") from error
    return _call(kwargs, options, accept, content)


def _call(
    kwargs: dict[str, Any],
    options: Options,
    accept: str = JSON_TYPE,
    content: bytes | None = None,
) -> Call:
    return Call(
        method=kwargs["method"].upper(),
        path=kwargs["url"],
        timeout=options.timeout or TIMEOUT,
        max_retries=options.max_retries,
        headers={"Accept": accept, **kwargs.get("headers", {})},
        content=content,
    )
