"""How much memory a batch takes: python batch_memory.py URL JOURNAL COUNT, and it prints megabytes.

Each request and each answer has five kilobytes. The results are counted, and not kept.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colours import KEYS

from creatify import Creatify, user
from creatify.batch import Batch

if TYPE_CHECKING:
    from collections.abc import Iterator


def requests(count: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        text = f"{number} ".ljust(5000, "x")
        yield {"model_name": "gemini-2.5-flash", "messages": [user(text)], "sync": True}


def main() -> None:
    url, journal, count = sys.argv[1:]
    with Creatify(base_url=url, **KEYS) as client:
        batch = Batch(client, requests(int(count)), journal=journal, ordered=True)
        found = sum(result.status == "done" for result in batch)
    # Not ru_maxrss, which begins with that of the process that started this one.
    [most] = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    print(found, int(most) / 1000)  # noqa: T201 - what the test reads


if __name__ == "__main__":
    main()
