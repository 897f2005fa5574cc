"""The credentials file: one of its profiles is written anew, and all else stays as it is."""

from __future__ import annotations

import json
import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from creatify._errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

_OWNER_ONLY: Final = 0o600
_OWNERS_FOLDER: Final = 0o700
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


def write_profile(file: Path, name: str, values: Mapping[str, str]) -> None:
    """Set values of a profile in a file that only its owner can read, from its first byte on.

    Other profiles, other values and comments stay. The file is replaced as a whole or not at all;
    where it is a link, what it leads to. Raises ConfigurationError.
    """
    try:
        file = Path(os.path.realpath(file))
        before = file.read_text(encoding="utf-8") if file.exists() else ""
        after = with_profile(before, name, values)
        file.parent.mkdir(mode=_OWNERS_FOLDER, parents=True, exist_ok=True)
        _replace(file, after)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise ConfigurationError(f"{file} can't be written: {reason}") from None
    except ValueError:
        # Not what TOML says of it, which may quote a value.
        raise ConfigurationError(
            f"{file} is not in a form that can be edited here: write the profile [{name}] into it"
            " by hand; it was left as it is"
        ) from None


def with_profile(text: str, name: str, values: Mapping[str, str]) -> str:
    """The text of a credentials file with these values in a profile.

    Raises ValueError if that can't be done by lines: what comes out is read again, and must hold
    what was there and what was set.
    """
    expected = tomllib.loads(text)
    table = expected.setdefault(name, {})
    if not isinstance(table, dict):
        raise ValueError("that is no table")  # noqa: TRY004 - the same to who calls
    table.update(values)
    new = [f"{key} = {_quoted(value)}" for key, value in values.items()]
    lines = text.removesuffix("\n").split("\n") if text else []
    start = next((n for n, line in enumerate(lines, 1) if _read(line) == {name: {}}), None)
    if start is None:
        lines += [*([""] if lines else []), f"[{_key(name)}]", *new]
    else:
        rest = enumerate(lines[start:], start)
        end = next((n for n, line in rest if line.lstrip().startswith("[")), len(lines))
        kept = [line for line in lines[start:end] if values.keys().isdisjoint(_read(line))]
        lines[start:end] = [*new, *kept]
    after = "\n".join([*lines, ""])
    if tomllib.loads(after) != expected:
        raise ValueError("that is another file than it should be")
    return after


def _read(line: str) -> dict[str, object]:
    """What a line says on its own; nothing if it is a part of something."""
    try:
        return tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return {}


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _quoted(name)


def _quoted(value: str) -> str:
    """A TOML string: JSON's escapes are among TOML's."""
    return json.dumps(value, ensure_ascii=False)


def _replace(file: Path, text: str) -> None:
    new = file.with_name(f".{file.name}.{os.getpid()}")
    new.unlink(missing_ok=True)  # of a process that was killed, and had this number
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
        with open(descriptor, "w", encoding="utf-8") as opened:  # noqa: PTH123 - a descriptor
            opened.write(text)
            opened.flush()
            os.fsync(descriptor)
        new.replace(file)
    finally:
        new.unlink(missing_ok=True)
