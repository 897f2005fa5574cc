"""A generation as Gemini streams it: server-sent events in the manner of recorded ones."""

import base64
import contextlib
import json
import random
import re
import uuid
from collections.abc import Iterator
from typing import Any

from ._answers import Answer
from ._content import prompt_words, word_count
from ._tasks import Task
from ._wire import parsed


def events(task: Task) -> Iterator[bytes]:
    """The events of a task's stream, each with the blank line that ends it.

    The last one carries the receipt; a task that fails ends with an error event instead.
    """
    answer = task.answer
    pieces = _pieces(answer)
    told = ""
    for count, piece in enumerate(pieces, 1):
        told += "".join(part.get("text", "call ") for part in piece)
        last = count == len(pieces) and answer.failure is None
        yield _event(_chunk(task, piece, word_count(told), last=last))
    if answer.failure is not None:
        error = {"code": 500, "message": answer.failure, "status": "INTERNAL"}
        yield _event({"error": error})


def recorded_events(recording: bytes) -> list[bytes]:
    """A recorded stream cut after each event: joined, it is the recording byte for byte."""
    return re.split(rb"(?:(?<=\n\n)|(?<=\n\r\n))(?!\Z)", recording)


def recorded_answer(recording: bytes) -> Answer:
    """What a recorded stream, broken or not, comes to: the text and function calls readable."""
    parts = [part for line in recording.splitlines() for part in _parts_in(line)]
    return Answer(
        text="".join(part["text"] for part in parts if isinstance(part.get("text"), str)),
        calls=tuple(part["functionCall"] for part in parts if is_call(part.get("functionCall"))),
    )


def _parts_in(line: bytes) -> Iterator[dict[str, Any]]:
    chunk = None
    with contextlib.suppress(ValueError, RecursionError):
        chunk = parsed(line.removeprefix(b"data:"))
    for candidate in _list(chunk, "candidates"):
        content = candidate.get("content") if isinstance(candidate, dict) else None
        for part in _list(content, "parts"):
            if isinstance(part, dict) and not part.get("thought"):
                yield part


def is_call(value: Any) -> bool:
    """Whether it is a ``FunctionCallPart`` of the spec."""
    match value:
        case {"name": str()}:
            return isinstance(value.get("args", {}), dict)
    return False


def _list(value: Any, key: str) -> list[Any]:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, list) else []


def _pieces(answer: Answer) -> list[list[dict[str, Any]]]:
    """The parts of each chunk: text, cut just anywhere, or all function calls at once."""
    if answer.calls:
        return [[{"functionCall": call} for call in answer.calls]]
    text = answer.text
    rng = random.Random(text)  # noqa: S311 - where a text is cut is no secret
    pieces: list[list[dict[str, Any]]] = []
    while text or not pieces:
        size = rng.randint(15, 60)
        pieces.append([{"text": text[:size]}])
        text = text[size:]
    return pieces


def _chunk(task: Task, parts: list[dict[str, Any]], told: int, *, last: bool) -> dict[str, Any]:
    """A ``TextGenStreamChunk`` of the spec."""
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}}
    if last:
        candidate["finishReason"] = task.answer.finish_reason
    candidate["index"] = 0
    asked = prompt_words(task.request)
    chunk: dict[str, Any] = {
        "candidates": [candidate],
        "usageMetadata": {
            "promptTokenCount": asked,
            "candidatesTokenCount": told,
            "totalTokenCount": asked + told,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": asked}],
        },
        "modelVersion": task.request["model_name"],
        "responseId": base64.urlsafe_b64encode(uuid.UUID(task.id).bytes).decode().rstrip("="),
    }
    if last:
        chunk["creatify"] = {"id": task.id, "credits_used": task.credits_used}
    return chunk


def _event(payload: dict[str, Any]) -> bytes:
    # The separators are Gemini's.
    data = json.dumps(payload, ensure_ascii=False, separators=(",", ": "))
    return f"data: {data}\r\n\r\n".encode()
