"""Money that moves between the engines: which, when and how much (CAP-2); plain numbers, no books."""

from __future__ import annotations

from typing import NamedTuple

from eternal_engine.model.rule import Rule
from eternal_engine.strategies.base import HOURS_PER_DAY

RULES = (
    Rule(
        "CAP-2",
        "TACTICAL's profits go to CORE_HODL; half of FUNDING's realised profit above its peak to TACTICAL each month.",
        ("funding.profit_share_frac",),
        ("tests/unit/portfolio/test_flows.py::test_cap_2_half_of_the_profit_above_the_peak",),
    ),
)


class FlowState(NamedTuple):
    """Hold the peak of FUNDING's shared profit (USDT) and the last month looked at (months since year 0)."""

    funding_peak_usdt: float
    month: int


def month_of(now_h: int) -> int:
    """Number the UTC month that `now_h` (hours since the epoch) lies in, as 12 x year + month - 1."""
    # Days from a civil calendar whose year begins in March, so that the leap day comes last.
    days = now_h // HOURS_PER_DAY + 719_468
    era = days // 146_097
    day_of_era = days - era * 146_097
    year_of_era = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    year = year_of_era + era * 400 + (1 if month <= 2 else 0)
    return 12 * year + month - 1


def funding_share_usdt(realised_usdt: float, peak_usdt: float, share_frac: float, free_usdt: float) -> float:
    """Give what FUNDING hands to TACTICAL: its share above the previous peak, at most its free cash (CAP-2)."""
    return max(min(share_frac * (realised_usdt - peak_usdt), free_usdt), 0.0)


def peak_after_usdt(peak_usdt: float, moved_usdt: float, share_frac: float) -> float:
    """Give the peak that has been shared once `moved_usdt` is gone; what could not move stays to be shared."""
    return peak_usdt + moved_usdt / share_frac if share_frac > 0.0 else peak_usdt
