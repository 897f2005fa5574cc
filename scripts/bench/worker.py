"""One contender at one work, in a process of its own: a line in is a round, a line out its figures.

It ends when its standard input does, and after ten minutes.
"""

from __future__ import annotations

import importlib
import json
import logging
import signal
import sys

from bench import works

_LIFE = 600


def main() -> None:
    """Warm up and say null, or why this contender is absent; then do a round for each line."""
    signal.alarm(_LIFE)
    logging.disable()
    work, module, face, url, options, warm = sys.argv[1:]
    where, _, name = work.partition(":")
    try:
        contender = importlib.import_module(f"bench.contenders.{module}")
    except ModuleNotFoundError as error:
        _say(f"{error.name} is not installed")
        return
    if reason := getattr(getattr(contender, face, None), "absent", ""):
        _say(reason)
        return
    work_of = getattr(importlib.import_module(f"bench.{where}"), name)
    run = work_of(contender, face, url, **json.loads(options))
    for _ in range(int(warm)):
        run()
    _say(None)
    for _ in sys.stdin:
        _say({**run(), "peak": works.peak_memory()})


def _say(said: object) -> None:
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
