"""The settings of the risk manager and the circuit breaker: the numbers of rules RISK-* and BRK-*."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, Self

from pydantic import Field, model_validator

from eternal_engine.config.types import Frac, Section, check_ascending, key


class Kelly(Section):
    """The Kelly cap on TREND's sizes."""

    min_trades: int = key(30, "Closed trades before the cap applies.", unit="trades", rules="RISK-7", ge=1, le=10_000)
    window: int = key(60, "Last closed trades that are counted.", unit="trades", rules="RISK-7", ge=1, le=10_000)
    divisor: Decimal = key(
        Decimal(8), "Kelly's fraction is divided by this.", unit="number", rules="RISK-7", ge=1, le=100
    )
    floor_frac: Frac = key(
        Decimal("0.5"),
        "Least share of the risk-sized quantity that stays.",
        unit="fraction of quantity",
        rules="RISK-7",
    )

    @model_validator(mode="after")
    def _window_holds_the_minimum(self) -> Self:
        if self.window < self.min_trades:
            raise ValueError(f"window ({self.window}) must be at least min_trades ({self.min_trades})")
        return self


class Correlation(Section):
    """The limit on TREND positions that move together."""

    days: int = key(30, "Daily returns compared.", unit="days", rules="RISK-11", ge=3, le=365)
    deny: Decimal = key(
        Decimal("0.90"), "Correlation from which an entry is denied.", unit="number", rules="RISK-11", gt=0, le=1
    )
    halve: Decimal = key(
        Decimal("0.75"), "Correlation from which a size is halved.", unit="number", rules="RISK-11", gt=0, le=1
    )

    @model_validator(mode="after")
    def _deny_is_above_halve(self) -> Self:
        check_ascending("halve and deny", (self.halve, self.deny))
        return self


class Breaker(Section):
    """The circuit breaker's ladder."""

    scope: Literal["active", "portfolio"] = key(
        "active", "Whose drawdown counts: TREND, FUNDING and TACTICAL, or everything.", unit="name", rules="BRK-1"
    )
    caution_frac: Frac = key(Decimal("0.10"), "Drawdown of level 1.", unit="fraction of high", rules="BRK-1")
    warning_frac: Frac = key(Decimal("0.15"), "Drawdown of level 2.", unit="fraction of high", rules="BRK-1")
    alert_frac: Frac = key(Decimal("0.20"), "Drawdown of level 3.", unit="fraction of high", rules="BRK-1")
    emergency_frac: Frac = key(Decimal("0.25"), "Drawdown of level 4.", unit="fraction of high", rules="BRK-1")
    recover_frac: Frac = key(
        Decimal("0.05"), "Drawdown at which level 1 ends by itself.", unit="fraction of high", rules="BRK-1"
    )
    caution_cut_frac: Frac = key(
        Decimal("0.25"), "Cut of TREND positions at level 1.", unit="fraction of quantity", rules="BRK-4"
    )
    caution_size_frac: Frac = key(
        Decimal("0.75"), "Factor on new TREND sizes at level 1.", unit="fraction of quantity", rules="RISK-2 BRK-7"
    )
    warning_cut_frac: Frac = key(
        Decimal("0.5"),
        "Cut of TREND positions at level 2, of the first quantity.",
        unit="fraction of quantity",
        rules="BRK-4",
    )
    warning_wait_h: int = key(
        72, "Time at level 2 before an approval takes effect.", unit="hours", rules="BRK-1 BRK-7", ge=0, le=8760
    )
    reduced_days: int = key(14, "Days of smaller sizes after an approval.", unit="days", rules="BRK-7", ge=0, le=365)
    warning_size_frac: Frac = key(
        Decimal("0.5"), "Factor on sizes in those days after level 2.", unit="fraction of quantity", rules="BRK-7"
    )
    alert_size_frac: Frac = key(
        Decimal("0.25"),
        "Factor on sizes in those days after levels 3 and 4.",
        unit="fraction of quantity",
        rules="BRK-7",
    )

    @model_validator(mode="after")
    def _ladder_ascends(self) -> Self:
        ladder = (self.recover_frac, self.caution_frac, self.warning_frac, self.alert_frac, self.emergency_frac)
        check_ascending("recover, caution, warning, alert and emergency", ladder)
        return self


class Risk(Section):
    """The risk manager: what every signal must pass."""

    daily_loss_frac: Frac = key(
        Decimal("0.02"),
        "Loss since 00:00 UTC that stops TREND and FUNDING entries.",
        unit="fraction of equity in scope",
        rules="RISK-4",
    )
    weekly_loss_frac: Frac = key(
        Decimal("0.05"),
        "Loss since Monday 00:00 UTC that stops them.",
        unit="fraction of equity in scope",
        rules="RISK-5",
    )
    daily_block_h: int = key(24, "How long the daily limit blocks.", unit="hours", rules="RISK-4", ge=1, le=8760)
    weekly_block_h: int = key(168, "How long the weekly limit blocks.", unit="hours", rules="RISK-5", ge=1, le=8760)
    warn_frac: Frac = key(
        Decimal("0.8"), "Share of a loss limit that gives a warning.", unit="fraction of limit", rules="RISK-4 RISK-5"
    )
    on_breach: Literal["block", "emergency_stop"] = key(
        "block",
        "Block entries for a time, or make all engines wait for the operator.",
        unit="name",
        rules="RISK-1 RISK-4 RISK-5",
    )
    max_position_frac: Frac = key(
        Decimal("0.05"),
        "Largest position, and CORE_HODL's largest order.",
        unit="fraction of portfolio equity",
        rules="RISK-6 CORE-5",
    )
    trend_max_own_frac: Frac = key(
        Decimal("0.5"), "Largest TREND position.", unit="fraction of TREND's equity", rules="RISK-6"
    )
    kelly: Kelly = Field(default_factory=Kelly, description="The Kelly cap on TREND's sizes.")
    max_positions_trend: int = key(
        3, "TREND positions open or pending.", unit="positions", rules="RISK-8 TREND-E1", ge=1, le=100
    )
    correlation: Correlation = Field(
        default_factory=Correlation, description="The limit on TREND positions that move together."
    )
    orders_per_minute: int = key(
        60, "Orders of one sub-account.", unit="orders per minute", rules="RISK-12", ge=1, le=600
    )
    price_deviation_frac: Frac = key(
        Decimal("0.05"),
        "Largest distance of an estimated fill from the mark.",
        unit="fraction of mark",
        rules="RISK-12",
    )
    stale_bars: int = key(
        2, "Bars without a price after which entries wait.", unit="bars", rules="RISK-3", ge=1, le=168
    )
    breaker: Breaker = Field(default_factory=Breaker, description="The circuit breaker's ladder.")
