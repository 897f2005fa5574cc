r"""The command line: `creatify`, or `python -m creatify`. It is an extra.

    pip install 'creatify-client[cli]'

Settings are those of the library: environment variables, or a profile in the credentials file,
which one command writes, asking for the API id and the key (from two lines of standard input where
that is no terminal). The file is its owner's only, and other profiles and comments stay.

```sh
printf '%s\n' "your API id" "your API key" | creatify config set --profile work
creatify config show    # which source won and where was looked, never a credential
```

A text, waited for or as it comes; what is left out is read from standard input. The prompt may go
with images and videos, and a JSON schema may say what the answer looks like.

```sh
creatify generate "Write a tagline for a bakery."
creatify generate --stream --model gemini-2.5-pro --system "Be brief." "Tell me about mountains."
echo "What is this?" | creatify generate --image shoe.png
creatify generate --schema product.json "Invent a product." | python -m json.tool
```

What there is, and what it costs:

```sh
creatify tasks --status done --since "2 days ago" --limit 10
creatify tasks --since 2026-11-01 --json > tasks.jsonl
creatify credits
```

`creatify show ID` is one task, and `creatify wait ID...` waits for any number, with a live display.

Many requests, one of the API's a line, as `{"model_name": "gemini-2.5-flash", "messages": [{"role":
"user", "content": "Write a slogan."}]}`. What was sent is kept in a journal: after Ctrl-C, or a
crash, the same command goes on, and pays for nothing twice. What stays unknown is looked for again
each time; only `--resend-unknown` sends it again, and may pay twice. See `creatify.batch`.

```sh
creatify batch prompts.jsonl -o texts.jsonl --max-credits 100 --concurrency 8 --ordered
```

`creatify emulator` runs a local API, and `--emulate` runs any command against one of its own: free,
and offline. `creatify spec` tells which spec the client was made from. `creatify --help`, and
`--help` behind any command, lists the options; `--profile NAME` stands before the command.

## What is written where

Results are on standard output, everything else on standard error. A terminal gets colours (unless
NO_COLOR is set), tables and progress; a pipe gets plain text: `tasks` writes a line for each task,
its id, status, time of creation, credits, model and prompt between tabs. With `--json` each task
is a line of its own, the API's JSON as it is (`generate --stream --json`: each chunk). What a model
wrote may hold characters that a terminal obeys: a terminal doesn't get these (control characters,
but for tab and newline), a pipe does.

`generate` tells the task's id as soon as there is one, and whatever ends a command early, Ctrl-C
too, tells how to get what was paid for. A second Ctrl-C ends it at once.

## Exit codes

- 0: all went well
- 1: the API refused, or can't be reached; any other error
- 2: wrong usage, settings or request; nothing was sent
- 3: a paid request may have been made: look before you repeat it
- 4: a generation failed
- 5: a task was not done in time; it may still be running
- 6: credits or budget ran out
- 130: Ctrl-C
- 141: the reader of the output hung up

Where several things went wrong (`wait`, `batch`) it is the first of 3, 6, 1, 2, 5, 4.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> str | int | None:
    """Run a command line, that of the process by default; gives the exit code, for `sys.exit`."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        from creatify.cli import _app  # noqa: PLC0415 - an extra, which may be missing
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] not in {"rich", "typer"}:
            raise
        return _without_extra(argv)
    return _app.run(argv)


def _without_extra(argv: Sequence[str]) -> int:
    if list(argv) == ["spec"]:
        from creatify.cli import _spec  # noqa: PLC0415 - only this needs it

        _spec.spec()
        return 0
    sys.stderr.write("creatify: the command line is an extra: pip install 'creatify-client[cli]'\n")
    return 2
