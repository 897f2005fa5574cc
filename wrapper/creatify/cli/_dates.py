"""The moments that a person writes: `2026-11-01`, `2 days ago`, `yesterday`."""

from __future__ import annotations

import re
import warnings
from datetime import UTC, datetime
from typing import Final

from dateutil import parser, tz
from dateutil.relativedelta import relativedelta

_AGO: Final = re.compile(r"(\d{1,6}|an?)\s+(minute|hour|day|week|month|year)s?\s+ago")
_DAYS: Final = {"today": 0, "yesterday": 1}


def moment(text: str, now: datetime) -> datetime:
    """The moment that a text means at `now`, which has the time zone that is meant.

    Relative ones: `today` and `yesterday` at midnight; a number (or `a`) of minutes, hours, days,
    weeks, months or years `ago`. Else a date with or without a time, in ISO 8601 or as dateutil
    reads it. Raises ValueError for what is none or could mean two days.
    """
    words = text.strip().lower()
    if words in _DAYS:
        return _midnight(now) - relativedelta(days=_DAYS[words])
    if ago := _AGO.fullmatch(words):
        return _past(now, ago[1], f"{ago[2]}s")
    return _date(text.strip(), now)


def instant(moment: datetime) -> datetime:
    """A moment that can be compared with others; one without a time zone is in UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _past(now: datetime, count: str, units: str) -> datetime:
    number = int(count) if count.isdigit() else 1
    try:
        # Of absolute time: an hour ago is an hour, also where the clocks were changed.
        past = now.astimezone(UTC) - relativedelta(**{units: number})  # type: ignore[arg-type]  # it is named
        return past.astimezone(now.tzinfo)
    except (OverflowError, ValueError):
        raise ValueError(f"{count} {units} ago is too long ago") from None


def _date(text: str, now: datetime) -> datetime:
    try:
        found = parser.isoparse(text)
    except ValueError:
        found = _guess(text, now)
    return found if found.tzinfo else found.replace(tzinfo=now.tzinfo)


def _guess(text: str, now: datetime) -> datetime:
    """What dateutil reads. It fills in what is missing and guesses what is ambiguous: not here."""
    default = _midnight(now).replace(tzinfo=None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", parser.UnknownTimezoneWarning)
            first = parser.parse(text, default=default.replace(day=1))
            second = parser.parse(text, default=default.replace(day=2), dayfirst=True)
    except (ValueError, OverflowError, parser.UnknownTimezoneWarning):
        raise ValueError(f"{text!r} is no date: {_EXAMPLES}") from None
    if first != second:
        raise ValueError(f"{text!r} could mean several days: {_EXAMPLES}")
    return first


def _midnight(now: datetime) -> datetime:
    return datetime.combine(now.date(), datetime.min.time(), now.tzinfo)


def local_now() -> datetime:
    """Now, in the time zone of this machine."""
    return datetime.now(tz.tzlocal())


_EXAMPLES: Final = 'write "2026-11-01", "2026-11-01 14:30", "yesterday" or "2 days ago"'
