"""The operations of the API as values: what to send, and how to read the answer.

The only module that imports the generated endpoints. It takes their `_get_kwargs`, and none of
their `sync` and `asyncio` functions: those buffer a stream, die on a status that has no name
(520), and lose the body of an answer that they can't decode.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, Self, TypeVar, cast
from uuid import UUID

import attrs

from creatify._errors import InvalidRequestError, ResponseDecodeError
from creatify._schema import JSON, MismatchError, check, conform
from creatify._status import status_error
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
    from collections.abc import Callable, Mapping

    import httpx

    from creatify._config import Options

T = TypeVar("T")


class Model(Protocol):
    """What every generated model offers."""

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        """The model of a JSON object."""


M = TypeVar("M", bound=Model)

TIMEOUT: Final = 60.0
"""Seconds that the API may be silent in a call, unless the client or the call says otherwise."""
SYNC_TIMEOUT: Final = 600.0
"""The same for a request with `sync`, which is silent until the text is there."""


@dataclass(frozen=True, slots=True)
class Call:
    """An HTTP request as a value. The connection adds the base URL and the credentials."""

    method: str
    path: str
    timeout: float
    max_retries: int
    accept: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Operation(Generic[T]):
    """One operation of the spec: the call, and what the JSON of its answer becomes."""

    call: Call
    build: Callable[[JSON], T]

    def read(self, response: httpx.Response) -> T:
        """The result that an answer, read whole, holds; any 2xx is read alike.

        Raises the APIStatusError of its status, or ResponseDecodeError with the body.
        """
        if not response.is_success:
            raise status_error(response)
        return decode(response.content, self.build)


def create(request: TextGenRequest, options: Options) -> Operation[TextGenResponse]:
    """`sse_text_generator_create`. Raises InvalidRequestError."""
    default = SYNC_TIMEOUT if request.sync else TIMEOUT
    kwargs = _kwargs(sse_text_generator_create, request)
    return Operation(_post(kwargs, options, default), _one(TextGenResponse))


def stream(request: TextGenRequest, options: Options) -> Call:
    """`sse_text_generator_stream_create`, whose answer is no JSON. Raises InvalidRequestError."""
    kwargs = _kwargs(sse_text_generator_stream_create, request)
    return _post(kwargs, options, TIMEOUT, accept="text/event-stream")


def retrieve(task_id: UUID, options: Options) -> Operation[TextGenResponse]:
    """`sse_text_generator_retrieve`."""
    kwargs = sse_text_generator_retrieve._get_kwargs(task_id)
    return Operation(_get(kwargs, options), _one(TextGenResponse))


def list_tasks(options: Options) -> Operation[list[TextGenResponse]]:
    """`sse_text_generator_list`."""
    return Operation(_get(sse_text_generator_list._get_kwargs(), options), _many(TextGenResponse))


def remaining_credits(options: Options) -> Operation[RemainingCredits]:
    """`remaining_credits_retrieve`."""
    kwargs = remaining_credits_retrieve._get_kwargs()
    return Operation(_get(kwargs, options), _one(RemainingCredits))


def decode(body: bytes, build: Callable[[JSON], T]) -> T:
    """What a body of JSON becomes. Raises ResponseDecodeError with the body."""
    try:
        return build(json.loads(body))
    except MismatchError as error:
        raise ResponseDecodeError(str(error), payload=body, path=error.path) from error
    except (ValueError, RecursionError) as error:
        what = "it is empty" if not body.strip() else "it is no JSON"
        raise ResponseDecodeError(what, payload=body, path="$") from error


def model_of(model: type[M], payload: JSON, path: str = "$") -> M:
    """The generated model of a part of an answer. Raises MismatchError with the place in it."""
    conform(payload, model.__name__, path)
    return model.from_dict(cast("dict[str, Any]", payload))


def as_request(request: TextGenRequest | None, fields: Mapping[str, Any]) -> TextGenRequest:
    """The request that a caller gave whole, or field by field. Raises InvalidRequestError."""
    if request is not None and not isinstance(request, TextGenRequest):
        raise InvalidRequestError(
            f"the request is a {type(request).__name__}: give a TextGenRequest, or its fields as"
            " keywords (model_name=..., messages=[...])"
        )
    if request is not None and fields:
        raise InvalidRequestError("give a TextGenRequest or its fields, and not both")
    if request is not None:
        return request
    known = {field.name: field for field in attrs.fields(TextGenRequest) if field.init}
    unknown = sorted(fields.keys() - known)
    missing = [
        name for name in known if known[name].default is attrs.NOTHING and name not in fields
    ]
    if unknown or missing:
        problem = f"no field {unknown[0]!r}" if unknown else f"a required field {missing[0]!r}"
        raise InvalidRequestError(f"a request has {problem}; its fields: {', '.join(known)}")
    return TextGenRequest(**fields)


def as_id(task: TextGenResponse | UUID | str) -> UUID:
    """The id of a task that was given as itself or by its id. Raises InvalidRequestError."""
    if isinstance(task, TextGenResponse):
        return task.id
    try:
        return task if isinstance(task, UUID) else UUID(task)
    except (ValueError, AttributeError, TypeError):
        raise InvalidRequestError(
            f"{task!r} is no task id: an id is a UUID, as TextGenResponse.id"
        ) from None


class _PostEndpoint(Protocol):
    def _get_kwargs(self, *, body: TextGenRequest) -> dict[str, Any]: ...


def _one(model: type[M]) -> Callable[[JSON], M]:
    return partial(model_of, model)


def _many(model: type[M]) -> Callable[[JSON], list[M]]:
    def build(payload: JSON) -> list[M]:
        if not isinstance(payload, list):
            raise MismatchError("it should be an array", "$")
        return [model_of(model, item, f"$[{index}]") for index, item in enumerate(payload)]

    return build


def _kwargs(endpoint: _PostEndpoint, request: TextGenRequest) -> dict[str, Any]:
    """What the generated code sends for a request, held against the spec first."""
    if not request.messages:
        raise InvalidRequestError("messages is empty: a generation needs at least one message")
    try:
        kwargs = endpoint._get_kwargs(body=request)
        check(kwargs["json"], type(request).__name__, "request")
    except MismatchError as error:
        raise InvalidRequestError(f"{error.path}: {error}") from error
    except (AttributeError, KeyError, TypeError) as error:
        raise InvalidRequestError(
            f"a value of the request is of a wrong type ({error}): fields take generated models,"
            " as messages=[user('...')] or config=TextGenConfig(...)"
        ) from error
    return kwargs


def _post(
    kwargs: dict[str, Any], options: Options, timeout: float, accept: str = "application/json"
) -> Call:
    try:
        text = json.dumps(kwargs["json"], ensure_ascii=False, allow_nan=False)
        content = text.encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidRequestError(f"the request can't be written as JSON: {error}") from error
    return Call(
        kwargs["method"],
        kwargs["url"],
        options.timeout or timeout,
        options.max_retries,
        accept,
        kwargs["headers"],
        content,
    )


def _get(kwargs: dict[str, Any], options: Options) -> Call:
    return Call(kwargs["method"], kwargs["url"], options.timeout or TIMEOUT, options.max_retries)
