"""Short constructors of the generated `Message` and of the parts of its content.

    user("Describe this.", image("shoe.png"))
    model("A red shoe.")
    model(call), function_result(call.name, {"temperature": 21})     # answers a function call

The spec leaves the type of `Message.content` open and describes it in words: a text, or a list of
parts with `type` (`text`, `image`, `video`) and `text`, or `data` (base64) and `mime_type`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from creatify._errors import InvalidRequestError
from creatify_api.models import (
    FunctionCallPart,
    FunctionResponsePart,
    FunctionResponsePartResponse,
    Message,
    RoleEnum,
)

if TYPE_CHECKING:
    from os import PathLike

Part: TypeAlias = dict[str, str]
"""One part of a message's content, as the spec describes it."""

_LONGEST_PATH: Final = 200  # characters that an error shows of what was given for one
# The first bytes of the formats that Gemini reads (its public reference on images and videos).
_SIGNATURES: Final = {
    "image/png": rb"\x89PNG\r\n\x1a\n",
    "image/jpeg": rb"\xff\xd8\xff",
    "image/webp": rb"RIFF....WEBP",
    "image/gif": rb"GIF8[79]a",
    "image/heic": rb"....ftyp(heic|heix|hevc|hevx)",
    "image/heif": rb"....ftyp(mif1|msf1)",
    "video/quicktime": rb"....(ftypqt  |moov|mdat|wide)",
    "video/3gpp": rb"....ftyp3g",
    "video/mp4": rb"....ftyp(?!avif|avis|he[iv][cx]|mif1|msf1)",
    "video/webm": rb"\x1a\x45\xdf\xa3",
    "video/x-msvideo": rb"RIFF....AVI ",
    "video/mpeg": rb"\x00\x00\x01[\xb3\xba]",
    "video/x-flv": rb"FLV\x01",
    "video/wmv": rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
}


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


def image(source: str | PathLike[str] | bytes, *, mime_type: str | None = None) -> Part:
    """An image as a part of a message, from a file's path or from its bytes.

    `mime_type` is found from the first bytes unless given. Raises InvalidRequestError if the file
    can't be read or is no image.
    """
    return _media("image", source, mime_type)


def video(source: str | PathLike[str] | bytes, *, mime_type: str | None = None) -> Part:
    """A video as a part of a message, from a file's path or from its bytes; see `image`."""
    return _media("video", source, mime_type)


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


def _media(kind: str, source: str | PathLike[str] | bytes, mime_type: str | None) -> Part:
    data, origin = _read(kind, source)
    found = mime_type or _mime_type(data, kind)
    if not (isinstance(found, str) and found.startswith(f"{kind}/")):
        known = ", ".join(name.partition("/")[2] for name in _SIGNATURES if name.startswith(kind))
        raise InvalidRequestError(
            f"{origin} is no {kind} of a known format ({known}); if it is, pass mime_type"
        )
    encoded = base64.b64encode(data).decode("ascii")
    return {"type": kind, "data": encoded, "mime_type": found}


def _read(kind: str, source: str | PathLike[str] | bytes) -> tuple[bytes, str]:
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source), f"what was given as {kind}"
    try:
        return Path(source).read_bytes(), str(source)
    except (OSError, TypeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidRequestError(
            f"the {kind} {str(source)[:_LONGEST_PATH]} can't be read: {reason} (give bytes or the"
            " path of a file; nothing is fetched from a URL)"
        ) from error


def _mime_type(data: bytes, kind: str) -> str | None:
    for name, signature in _SIGNATURES.items():
        if name.startswith(kind) and re.match(signature, data, re.DOTALL):
            return name
    return None


def _article(value: object) -> str:
    return f"a value of type {type(value).__name__}"
