"""The request of the contenders that are no SDK: what creatify.ai's API takes."""

from __future__ import annotations

import json
from typing import Any, Final

from bench import wire

STREAM: Final = "/sse/text_generator/stream/"
CALL: Final = "/sse/text_generator/"
RETRIEVE: Final = f"/sse/text_generator/{wire.TASK_ID}/"
NOBODY: Final = "https://127.0.0.1:1"
"""Where nobody listens."""
HEADERS: Final = {"X-API-ID": "id", "X-API-KEY": "key", "Accept-Encoding": "identity"}
BODY: Final[dict[str, Any]] = {
    "model_name": wire.MODEL,
    "messages": [{"role": "user", "content": wire.PROMPT}],
}


def text_of(data: str | bytes) -> str:
    """The text of one chunk; none of the receipt."""
    payload = json.loads(data)
    if "candidates" not in payload:
        return ""
    return str(payload["candidates"][0]["content"]["parts"][0]["text"])
