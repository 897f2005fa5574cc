"""The API's emulator: `creatify emulator`, and `--emulate` of any command. An extra of its own."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from creatify._errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack
    from pathlib import Path

    from creatify.testing import Emulator


def serve(*, port: int, recordings: Path | None) -> None:
    """Run it in the foreground, as `python -m creatify.testing` does."""
    with _extra():
        from creatify.testing.__main__ import main  # noqa: PLC0415 - it may be missing
    main([f"--port={port}", *([] if recordings is None else [f"--recordings={recordings}"])])


def start(stack: ExitStack) -> Emulator:
    """One that runs as long as the stack. Raises ConfigurationError."""
    with _extra():
        from creatify.testing import Emulator  # noqa: PLC0415 - it may be missing
    return stack.enter_context(Emulator())


@contextmanager
def _extra() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigurationError(str(error)) from None
