"""``python -m creatify.testing``: the emulator in the foreground, until Ctrl-C or SIGTERM."""

import argparse
import contextlib
import signal
import sys
import threading
from pathlib import Path

from ._emulator import Emulator


def main(argv: list[str] | None = None) -> None:
    """Serve, and say on standard output where and with which credentials.

    What keeps it from serving is one line on standard error, and exit code 2.
    """
    parser = argparse.ArgumentParser(
        prog="python -m creatify.testing",
        description="A local emulator of the creatify.ai text generator API.",
    )
    parser.add_argument("--port", type=int, default=8787, help="port on 127.0.0.1 (default 8787)")
    parser.add_argument("--recordings", type=Path, help="folder of .sse files to replay")
    args = parser.parse_args(argv)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with contextlib.ExitStack() as stack:
        try:
            emulator = stack.enter_context(Emulator(port=args.port, recordings=args.recordings))
        except (OSError, ValueError) as error:
            parser.exit(2, f"{parser.prog}: error: {error}\n")
        sys.stdout.write(
            f"The emulator runs at {emulator.url} (Ctrl-C ends it). For your service's shell:\n\n"
            f"export CREATIFY_BASE_URL={emulator.url}\n"
            f"export CREATIFY_API_ID={emulator.api_id}\n"
            f"export CREATIFY_API_KEY={emulator.api_key}\n"
        )
        sys.stdout.flush()
        ended.wait()


if __name__ == "__main__":
    main()
