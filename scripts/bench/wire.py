"""The same text in the wire format of each contender: streams and single answers."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MODEL: Final = "gemini-2.5-flash"
PROMPT: Final = "Tell me about mountains."
TASK_ID: Final = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
_WORDS: Final = ("The capital of ", "Mexico is Mexico ", "City, which is 2,240 m ", "high. ")
FIRST_TEXT: Final = json.dumps(_WORDS[0]).encode()
_NOW: Final = 1_790_000_000
_OPENAI: Final = {"id": "chatcmpl-A1b2C3", "created": _NOW, "model": "gpt-5-mini"}


def text(chunks: int) -> str:
    """What a stream of that many chunks says."""
    return "".join(_word(number) for number in range(chunks))


@cache
def events(path: str, chunks: int) -> tuple[bytes, ...]:
    """The events of a stream with that many chunks of text, as the API at `path` sends them."""
    return tuple(_of(path, _STREAMS)(chunks))


@cache
def answer(path: str) -> bytes:
    """The answer of the API at `path` when no stream is asked for."""
    return json.dumps(_of(path, _ANSWERS)()).encode()


def task(task_id: str, status: str) -> dict[str, Any]:
    """A task of the text generator."""
    return {
        "id": task_id,
        "model_name": MODEL,
        "messages": [{"role": "user", "content": PROMPT}],
        "config": {"temperature": 0.5},
        "status": status,
        "response_text": text(4) if status == "done" else "",
        "response_function_calls": [],
        "credits_used": 1.5 if status == "done" else 0.0,
        "created_at": "2026-11-01T00:00:00Z",
        "updated_at": "2026-11-01T00:00:05Z",
    }


def _of(path: str, table: dict[str, Callable[..., Any]]) -> Callable[..., Any]:
    return next(make for end, make in table.items() if path.endswith(end))


def _word(number: int) -> str:
    return _WORDS[number % len(_WORDS)]


def _event(payload: object, name: str = "") -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(payload)}\n\n".encode()


def _gemini_chunk(part: str, **more: object) -> dict[str, Any]:
    """Like those of tests/recordings."""
    candidate = {"content": {"parts": [{"text": part}], "role": "model"}, "index": 0, **more}
    return {
        "candidates": [candidate],
        "usageMetadata": {
            "promptTokenCount": 55,
            "candidatesTokenCount": 8,
            "totalTokenCount": 63,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 55}],
        },
        "modelVersion": MODEL,
        "responseId": "S1V8aZK2NpGKqtsPvPuEqAw",
    }


def _gemini(chunks: int) -> Iterator[bytes]:
    for number in range(chunks - 1):
        yield _event(_gemini_chunk(_word(number)))
    yield _event(_gemini_chunk(_word(chunks - 1), finishReason="STOP"))


def _creatify(chunks: int) -> Iterator[bytes]:
    yield from _gemini(chunks)
    yield _event({"creatify": {"id": TASK_ID, "credits_used": 1.5}})


def _openai(chunks: int) -> Iterator[bytes]:
    head = {**_OPENAI, "object": "chat.completion.chunk", "system_fingerprint": "fp_44709d6fcb"}
    for number in range(chunks):
        delta = {"content": _word(number)}
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
        yield _event({**head, "choices": [choice]})
    yield _event({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    yield b"data: [DONE]\n\n"


def _anthropic(chunks: int) -> Iterator[bytes]:
    def event(name: str, **more: object) -> bytes:
        return _event({"type": name, **more}, name)

    yield event("message_start", message=_anthropic_message([]))
    yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    for number in range(chunks):
        delta = {"type": "text_delta", "text": _word(number)}
        yield event("content_block_delta", index=0, delta=delta)
    yield event("content_block_stop", index=0)
    ending = {"stop_reason": "end_turn", "stop_sequence": None}
    yield event("message_delta", delta=ending, usage={"output_tokens": 8})
    yield event("message_stop")


def _anthropic_message(content: list[dict[str, str]]) -> dict[str, Any]:
    return {
        "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": content,
        "stop_reason": "end_turn" if content else None,
        "stop_sequence": None,
        "usage": {"input_tokens": 55, "output_tokens": 8},
    }


def _anthropic_answer() -> dict[str, Any]:
    return _anthropic_message([{"type": "text", "text": text(4)}])


def _openai_answer() -> dict[str, Any]:
    message = {"role": "assistant", "content": text(4), "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    usage = {"prompt_tokens": 55, "completion_tokens": 8, "total_tokens": 63}
    return {**_OPENAI, "object": "chat.completion", "choices": [choice], "usage": usage}


_STREAMS: Final[dict[str, Callable[..., Any]]] = {
    "/text_generator/stream/": _creatify,
    "/chat/completions": _openai,
    "/messages": _anthropic,
    ":streamGenerateContent": _gemini,
}
_ANSWERS: Final[dict[str, Callable[..., Any]]] = {
    "/chat/completions": _openai_answer,
    "/messages": _anthropic_answer,
    ":generateContent": lambda: _gemini_chunk(text(4), finishReason="STOP"),
    "/": lambda: task(TASK_ID, "done"),
}
