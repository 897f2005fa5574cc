"""What is written: results on standard output, everything else on standard error.

A terminal gets no character of the API's that it would obey, a pipe gets all as it came. Nothing
that the API says is read as rich's markup.
"""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.text import Text

from creatify._errors import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

_OBEYED: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # control characters but \t and \n
_UNFIT: Final = re.compile(r"[\x7f-\x9f\ud800-\udfff]")  # which JSON may hold as they are


def printable(text: str) -> str:
    """The text without what a terminal would obey: control characters but newline and tab."""
    return _OBEYED.sub("", text)


def write(text: str) -> None:
    """Write a part of the result, at once."""
    sys.stdout.write(printable(text) if sys.stdout.isatty() else text)
    sys.stdout.flush()


def write_text(text: str) -> None:
    """Write a text that ends its line."""
    write(text if text.endswith("\n") else f"{text}\n")


def write_json(value: object) -> None:
    """Write a JSON value on a line of its own."""
    encoding = sys.stdout.encoding or "utf-8"  # a StringIO has none
    write(as_json(value, ascii_only=not encoding.lower().startswith("utf")))


def as_json(value: object, *, ascii_only: bool = False) -> str:
    """A line of JSON, which any terminal and any encoding bears."""
    text = json.dumps(value, ensure_ascii=ascii_only)
    return _UNFIT.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n"


def write_fields(fields: Mapping[str, str]) -> None:
    """Write a name and its value on each line."""
    for name, value in fields.items():
        if sys.stdout.isatty():
            line = Text.assemble((f"{name}: ", "bold"), one_line(value))
            console().print(line, soft_wrap=True)
        else:
            write(f"{name}: {one_line(value)}\n")


def console(*, stderr: bool = False) -> Console:
    """Standard output or standard error, for what terminals only get."""
    return Console(stderr=stderr, markup=False, highlight=False, emoji=False)


def note(text: str) -> None:
    """Say what is neither a result nor an error, on a line of standard error."""
    _say(text, "dim")


def complain(text: str) -> None:
    """Say what is wrong, on a line of standard error."""
    _say(text, "bold red")


def warn(message: Warning | str, *_: object, **__: object) -> None:
    """A warning of the library: as `warnings.showwarning`, without the place in its code."""
    _say(f"warning: {message}", "yellow")


def abandon() -> None:
    """Let what can't be written be lost: Python would try, and complain, at its end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def prepare() -> None:
    """Let no character that an encoding lacks end the command after it was paid for."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure: Any = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _say(text: str, style: str) -> None:
    line = Text.assemble(("creatify: ", style), one_line(text))
    console(stderr=True).print(line, soft_wrap=True)
