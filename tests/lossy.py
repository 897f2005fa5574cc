"""An emulator in a process of its own, that drops one answer in ten after the task was created.

It prints its URL, then answers each line on standard input: `clear` forgets the tasks, `charges`
tells how many generations were charged and how many answers were dropped. It ends with its input.
"""

from __future__ import annotations

import random
import sys
from typing import Any

from colours import CANARY_ID, CANARY_KEY

from creatify.testing import Emulator, faults


def main() -> None:
    dice, dropped = random.Random(20261121), 0

    def fault_when(operation: str, _: Any) -> faults.Fault | None:
        nonlocal dropped
        if operation != "sse_text_generator_create" or dice.random() >= 0.1:
            return None
        dropped += 1
        return faults.drop_answer()

    settings: dict[str, Any] = {"credits": 1e9, "api_id": CANARY_ID, "api_key": CANARY_KEY}
    with Emulator(fault_when=fault_when, **settings) as emulator:
        sys.stdout.write(f"{emulator.url}\n")
        sys.stdout.flush()
        for line in sys.stdin:
            if line.strip() == "clear":
                emulator.tasks.clear()
                emulator.requests.clear()
            sys.stdout.write(f"{emulator.charges} {dropped}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
