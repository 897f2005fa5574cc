"""The moments that a person writes to `creatify tasks --since`."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from dateutil import tz
from hypothesis import example, given
from hypothesis import strategies as st

from creatify.cli._dates import instant, local_now, moment

ZURICH = tz.gettz("Europe/Zurich")
NOW = datetime(2026, 11, 17, 15, 30, tzinfo=ZURICH)


def at(*parts: int, zone: object = ZURICH) -> datetime:
    return datetime(*parts, tzinfo=zone)  # type: ignore[arg-type,misc]  # a date's numbers


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("today", at(2026, 11, 17)),
        ("Yesterday", at(2026, 11, 16)),
        ("2 days ago", at(2026, 11, 15, 15, 30)),
        (" 1  day ago ", at(2026, 11, 16, 15, 30)),
        ("a week ago", at(2026, 11, 10, 15, 30)),
        ("an hour ago", at(2026, 11, 17, 14, 30)),
        ("90 minutes ago", at(2026, 11, 17, 14, 0)),
        ("1 month ago", at(2026, 10, 17, 16, 30)),
        ("2 years ago", at(2024, 11, 17, 15, 30)),
        ("2026-11-01", at(2026, 11, 1)),
        ("2026-11", at(2026, 11, 1)),
        ("2026-11-01 14:30", at(2026, 11, 1, 14, 30)),
        ("2026-11-01T14:30:05Z", at(2026, 11, 1, 14, 30, 5, zone=UTC)),
        ("2026-11-01T14:30+05:30", at(2026, 11, 1, 9, 0, zone=UTC)),
        ("1 November 2026", at(2026, 11, 1)),
        ("Nov 1, 2026 2pm", at(2026, 11, 1, 14)),
        ("13/11/2026", at(2026, 11, 13)),
    ],
)
def test_what_a_person_writes_is_the_moment_that_is_meant(text: str, meant: datetime) -> None:
    assert moment(text, NOW) == meant
    assert moment(text, NOW).tzinfo


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no date"),
        ("whenever", "is no date"),
        ("2 fortnights ago", "is no date"),
        ("in 2 days", "is no date"),
        ("2026-13-01", "is no date"),
        ("2026-02-30", "is no date"),
        ("1 Nov 2026 10:00 XYZ", "is no date"),
        ("01/02/2026", "could mean several days"),
        ("November 2026", "could mean several days"),
        ("10:30", "could mean several days"),
        ("9999 years ago", "too long ago"),
        ("999999 weeks ago", "too long ago"),
    ],
)
def test_what_is_no_date_or_could_mean_two_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        moment(text, NOW)


def test_an_hour_ago_is_an_hour_also_where_the_clocks_were_changed() -> None:
    now = at(2026, 10, 25, 2, 30).replace(fold=1)  # the second 2:30 of that night
    ago = moment("1 hour ago", now)
    assert ago.astimezone(UTC) == now.astimezone(UTC) - timedelta(hours=1)


@example("0001-01-01")
@example("9999-12-31 23:59")
@example("1111111111111-11-11")
@given(st.text(max_size=30) | st.text("0123456789 :.-+/TZamp", max_size=14))
def test_any_text_is_a_moment_that_can_be_compared_or_refused(text: str) -> None:
    with suppress(ValueError):
        assert isinstance(moment(text, NOW) < datetime.now(UTC), bool)


def test_a_moment_without_a_time_zone_is_in_utc() -> None:
    assert instant(datetime(2026, 11, 1)) == datetime(2026, 11, 1, tzinfo=UTC)  # noqa: DTZ001
    assert instant(NOW) is NOW
    assert abs(local_now() - datetime.now(UTC)) < timedelta(minutes=1)
