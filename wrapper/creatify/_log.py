"""What this library tells its operators: on the logger `creatify`, and never what a request says.

CREATIFY_LOG sets its level, and lets it write to stderr if no handler is set. `warning`: a task
whose answer was lost and that was found again, and a paid request that was interrupted; `info`:
each request that is sent again; `debug`: method, path, status, duration, attempt and request id of
each request; never headers or prompts.
"""

from __future__ import annotations

import logging
from typing import Final

from creatify._errors import ConfigurationError

LOGGER: Final = logging.getLogger("creatify")
_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def set_level(name: str | None) -> None:
    """Log from this level on (CREATIFY_LOG), to stderr unless the program's logging takes it.

    None changes nothing. Raises ConfigurationError for what is no level.
    """
    if name is None:
        return
    level = _LEVELS.get(name.lower())
    if level is None:
        raise ConfigurationError(f"CREATIFY_LOG is {name!r}, and may be {', '.join(_LEVELS)}")
    LOGGER.setLevel(level)
    if not LOGGER.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
        LOGGER.addHandler(handler)
