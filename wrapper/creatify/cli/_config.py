"""`creatify config`: where the settings come from, and a profile that is written."""

from __future__ import annotations

import getpass
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from creatify._config import (
    VARIABLES,
    Arguments,
    Credentials,
    Sources,
    check_base_url,
    resolve,
)
from creatify._errors import ConfigurationError
from creatify.cli import _terminal
from creatify.cli._profile_file import write_profile

if TYPE_CHECKING:
    from pathlib import Path

    from creatify.cli._session import Session


def show(session: Session) -> None:
    """Write which source won, and where was looked; never a value of a credential."""
    sources = Sources()
    error = None
    fields = {}
    try:
        settings = resolve(Arguments(profile=session.profile), sources)
        fields["credentials"] = f"from {settings.credentials.source}"
        fields["base URL"] = f"{settings.base_url}, from {settings.base_url_source}"
    except ConfigurationError as found:
        error = found
    file = sources.config_file()
    fields["profiles"] = f"{file} ({_state(file)})"
    fields |= {name: "set" if sources.variable(name) else "not set" for name in VARIABLES}
    _terminal.write_fields(fields)
    for name in sorted(os.environ):
        if name.startswith("CREATIFY_") and name not in VARIABLES:
            _terminal.note(f"{name} is set, and is no setting of this library")
    if error is not None:
        raise error


def set_profile(session: Session, *, profile: str | None, base_url: str | None) -> None:
    """Write a profile, its API id and key from the terminal or from two lines of input."""
    sources = Sources()
    name = profile or session.profile or sources.variable("CREATIFY_PROFILE") or "default"
    allow_http = sources.variable("CREATIFY_ALLOW_HTTP") == "1"
    url = {"base_url": check_base_url(base_url, allow_http=allow_http)} if base_url else {}
    keys = Credentials(_ask, source="standard input", account=None).get()
    file = sources.config_file()
    write_profile(file, name, {"api_id": keys.api_id, "api_key": keys.api_key, **url})
    _terminal.note(f"the profile [{name}] is in {file}")
    with suppress(ConfigurationError):
        winner = resolve(Arguments(), sources).credentials.source
        if winner != f"the profile [{name}] in {file}":
            _terminal.note(f"without --profile {name}, credentials come from {winner}")


def _ask() -> tuple[str, str]:
    if not sys.stdin.isatty():
        return sys.stdin.readline(), sys.stdin.readline()
    sys.stderr.write("API id: ")
    sys.stderr.flush()
    api_id = sys.stdin.readline()
    try:
        return api_id, getpass.getpass("API key (it does not show): ")
    except EOFError:
        return api_id, ""


def _state(file: Path) -> str:
    try:
        return f"mode {file.stat().st_mode & 0o777:03o}"
    except OSError as error:
        return str(error.strerror)
