"""What a webhook says, and what is so."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, overload
from uuid import UUID

from creatify._client import AsyncCreatify, Creatify
from creatify._errors import ConfigurationError, WebhookError
from creatify._options import check_size
from creatify_api.models import TextGenResponseStatusEnum

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from creatify_api.models import TextGenResponse

MAX_SIZE: Final = 1024 * 1024
"""Bytes of a webhook's body."""


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """What a webhook says, and nobody vouches for.

    `id` of the task. `status`: a value that the spec does not know equals its string; None if there
    is none. `failed_reason`: None if there is none. `payload`: the whole JSON object.
    """

    id: UUID
    status: TextGenResponseStatusEnum | None = None
    failed_reason: str | None = None
    payload: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)


def parse(body: bytes | str, *, max_size: int = MAX_SIZE) -> WebhookEvent:
    """What a webhook's body says: a JSON object with the `id` of a task; all else may be missing.

    Raises WebhookError for any other, and for more than `max_size` bytes (1 MiB). The provider
    describes webhooks of its other products only: `{id, status, failed_reason, ...}`.
    """
    payload = _object(body, check_size(max_size, "max_size"))
    try:
        task_id = UUID(payload.get("id"))
    except (ValueError, TypeError, AttributeError):
        raise WebhookError("the body of a webhook has an id, a UUID: this one has none") from None
    status, reason = payload.get("status"), payload.get("failed_reason")
    return WebhookEvent(
        task_id,
        TextGenResponseStatusEnum(status) if isinstance(status, str) else None,
        reason if isinstance(reason, str) else None,
        payload,
    )


@overload
def confirm(client: Creatify, body: bytes | str | WebhookEvent) -> TextGenResponse: ...


@overload
def confirm(
    client: AsyncCreatify, body: bytes | str | WebhookEvent
) -> Coroutine[Any, Any, TextGenResponse]: ...


def confirm(
    client: Creatify | AsyncCreatify, body: bytes | str | WebhookEvent
) -> TextGenResponse | Coroutine[Any, Any, TextGenResponse]:
    """The task that a webhook is about, as the API has it (spec: `sse_text_generator_retrieve`).

    Of the body (or the event that it was parsed to) only the id is used. A webhook that comes twice
    or late gives the task as it is now. Raises WebhookError; NotFoundError for an id that is none
    of this workspace's tasks, as in a forged body; and what `retrieve` raises.
    """
    if not isinstance(client, Creatify | AsyncCreatify):
        raise ConfigurationError("a webhook is confirmed with a Creatify or an AsyncCreatify")
    event = body if isinstance(body, WebhookEvent) else parse(body)
    return client.text_generator.retrieve(event.id)


def _object(body: bytes | str, max_size: int) -> dict[str, Any]:
    """The JSON object that a body is. Raises WebhookError."""
    if not isinstance(body, bytes | str):
        raise WebhookError("the body of a webhook is given as it came, in bytes or a str")
    data = body if isinstance(body, bytes) else body[: max_size + 1].encode(errors="surrogatepass")
    if len(data) > max_size:
        raise WebhookError(f"the body of a webhook has more than {max_size} bytes")
    try:
        payload = _JSON.decode(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        payload = None
    if not isinstance(payload, dict):
        raise WebhookError("the body of a webhook is a JSON object: this one is not")
    return payload


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("the same name twice: who reads it next may take the other")
    return found


def _finite(number: str) -> float:
    """A number of JSON, which has neither NaN nor Infinity, and none that a float can't hold."""
    if not math.isfinite(value := float(number)):
        raise ValueError("no number of JSON")
    return value


_JSON: Final = json.JSONDecoder(
    object_pairs_hook=_unique, parse_float=_finite, parse_constant=_finite
)
