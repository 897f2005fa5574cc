"""What messages say and show: their content is free-form in the spec, and told in its prose."""

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Media:
    """An image or video in a message: ``"image"`` or ``"video"``, MIME type, size in bytes."""

    kind: str
    mime_type: str
    size: int


def content_error(message: Mapping[str, Any]) -> str | None:
    """What the spec's descriptions, not its schemas, forbid in a message; None if nothing."""
    role = message["role"]
    if "function_call" in message and role != "model":
        return "function_call: role must be 'model'."
    if "function_response" in message and role != "user":
        return "function_response: role must be 'user'."
    content = message.get("content", "")
    if isinstance(content, str):
        return None
    if not isinstance(content, list):
        return "content: must be a string or a list of parts."
    return next((error for part in content if (error := _part_error(part))), None)


def last_user_text(request: Mapping[str, Any]) -> str:
    """The text of the last message with role ``user``: its text parts joined."""
    for message in reversed(request["messages"]):
        if message["role"] == "user":
            return " ".join(_texts(message))
    return ""


def media(request: Mapping[str, Any]) -> list[Media]:
    """The images and videos of a valid request, in order."""
    return [
        Media(part["type"], part["mime_type"], len(base64.b64decode(part["data"])))
        for message in request["messages"]
        for part in _parts(message)
        if part["type"] != "text"
    ]


def prompt_words(request: Mapping[str, Any]) -> int:
    """How many words of text a request has: the emulator's prompt tokens."""
    texts = [text for message in request["messages"] for text in _texts(message)]
    return word_count(" ".join([request.get("system_instruction", ""), *texts]))


def word_count(text: str) -> int:
    """How many words a text has: the emulator's tokens."""
    return len(text.split())


def _texts(message: Mapping[str, Any]) -> Iterator[str]:
    return (part["text"] for part in _parts(message) if part["type"] == "text")


def _parts(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content", "")
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _part_error(part: Any) -> str | None:
    match part:
        case {"type": "text", "text": str()}:
            return None
        case {"type": "image" | "video", "data": str(data), "mime_type": str()}:
            try:
                base64.b64decode(data, validate=True)
            except (binascii.Error, ValueError):
                return "content: data isn't base64."
            return None
    return (
        "content: a part is {type: text, text} or {type: image or video, data: base64, mime_type}."
    )
