"""A batch in a process of its own, which may be killed at any instant.

    python batch_worker.py KIND URL COUNT JOURNAL OUT

It writes the results, in order, into OUT, when it has them all. KIND is Batch or AsyncBatch.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from batches import hurry, prompts
from colours import KEYS

from creatify import AsyncCreatify, Creatify
from creatify.batch import AsyncBatch, Batch


def main() -> None:
    kind, url, count, journal, out = sys.argv[1:]
    hurry()
    options: dict[str, Any] = {"base_url": url, "timeout": 30, **KEYS}
    how: dict[str, Any] = {"journal": journal, "concurrency": 48, "ordered": True}
    requests = prompts(int(count))
    if kind == "AsyncBatch":
        results = asyncio.run(_results(options, requests, how))
    else:
        with Creatify(**options) as client:
            results = [result.to_dict() for result in Batch(client, requests, **how)]
    Path(out).write_text(json.dumps(results))


async def _results(options: dict[str, Any], requests: Any, how: dict[str, Any]) -> list[Any]:
    async with AsyncCreatify(**options) as client:
        return [result.to_dict() async for result in AsyncBatch(client, requests, **how)]


if __name__ == "__main__":
    main()
