"""A batch in a process of its own, which may be killed at any instant.

    python batch_worker.py URL JOURNAL COUNT OUT

It writes the results, in order, into OUT, when it has them all.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from batches import hurry, prompts
from colours import KEYS

from creatify import Creatify
from creatify.batch import Batch


def main() -> None:
    url, journal, count, out = sys.argv[1:]
    hurry()
    with Creatify(base_url=url, timeout=30, **KEYS) as client:
        batch = Batch(client, prompts(int(count)), journal=journal, concurrency=48, ordered=True)
        results = [result.to_dict() for result in batch]
    Path(out).write_text(json.dumps(results))


if __name__ == "__main__":
    main()
