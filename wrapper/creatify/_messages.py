"""Short constructors of the generated `Message` and of the parts of its content.

    user("Describe this.", image("shoe.png"))
    model("A red shoe.")
    model(call), function_result(call.name, {"temperature": 21})     # answers a function call

The spec leaves the type of `Message.content` open and describes it in words: a text, or a list of
parts with `type` (`text`, `image`, `video`) and `text`, or what `_media` makes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from creatify._errors import InvalidRequestError
from creatify_api.models import (
    FunctionCallPart,
    FunctionResponsePart,
    FunctionResponsePartResponse,
    Message,
    RoleEnum,
)

if TYPE_CHECKING:
    from creatify._media import Part


def user(*content: str | Part) -> Message:
    """A message of the user: a text, or any sequence of texts, images and videos."""
    return Message(role=RoleEnum.USER, content=_content(content))


def model(*content: str | Part | FunctionCallPart) -> Message:
    """A message of the model, to continue a conversation:

    what it said, or the call that it made.
    """
    if len(content) == 1 and isinstance(content[0], FunctionCallPart):
        return Message(role=RoleEnum.MODEL, function_call=content[0])
    return Message(role=RoleEnum.MODEL, content=_content(content))


def function_result(name: str, response: Mapping[str, object]) -> Message:
    """The answer to a function call of the model: its name and the result, a JSON object.

    Raises InvalidRequestError if `response` is no mapping: wrap another value, as {"result": 21}.
    """
    if not isinstance(response, Mapping):
        raise InvalidRequestError(
            f"the result of {name} is {_article(response)} and must be a JSON object: wrap it, as"
            ' {"result": ...}'
        )
    part = FunctionResponsePart(
        name=name, response=FunctionResponsePartResponse.from_dict(dict(response))
    )
    return Message(role=RoleEnum.USER, function_response=part)


def _content(content: tuple[str | Part | FunctionCallPart, ...]) -> str | list[Part]:
    if len(content) == 1 and isinstance(content[0], str):
        return content[0]
    if not content:
        raise InvalidRequestError("a message needs a text or another part")
    return [_part(part) for part in content]


def _part(part: str | Part | FunctionCallPart) -> Part:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if isinstance(part, dict):
        return part
    raise InvalidRequestError(
        f"{_article(part)} is no part of a message's content: a text, image(...) and video(...)"
        " are; a function call is a message of its own, model(call)"
    )


def _article(value: object) -> str:
    return f"a value of type {type(value).__name__}"
