"""Days and instants of the command line: UTC, and refused with the option's name."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from eternal_engine.cli.dates import day_ms, instant, is_day
from eternal_engine.model.errors import UsageError


def test_a_day_is_its_first_millisecond_of_utc() -> None:
    assert day_ms("1970-01-02", "--start") == 86_400_000


@pytest.mark.parametrize(
    ("text", "hour"), [("2022-12-31", 0), ("2022-12-31T06:00", 6), ("2022-12-31T06:00+02:00", 4), ("2022-12-31 06Z", 6)]
)
def test_u_2_an_instant_is_utc_unless_it_says_otherwise(text: str, hour: int) -> None:
    at = instant(text, "--until")
    assert at == datetime(2022, 12, 31, hour, tzinfo=UTC)
    assert at.tzinfo is UTC
    assert is_day(text) == (text == "2022-12-31")


@pytest.mark.parametrize("text", ["", "yesterday", "2022-02-30"])
def test_what_is_no_date_is_refused_with_the_option_and_the_form(text: str) -> None:
    for read in (day_ms, instant):
        with pytest.raises(UsageError) as refused:
            read(text, "--start")
        assert refused.value.where == "--start"
        assert "write" in str(refused.value.mend)
