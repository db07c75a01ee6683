"""The settings of the four strategy engines: the numbers of rules CORE-*, TREND-*, FUND-* and TACT-*."""

from __future__ import annotations

from decimal import Decimal
from typing import Self

from pydantic import Field, model_validator

from eternal_engine.config.types import Frac, Gain, Section, Weights, check_ascending, decimals, key, weights

ONE_THIRD = Decimal("0.333333333333333333")


class CoreHodl(Section):
    """CORE_HODL: accumulate spot coins by a weekly plan, never sell."""

    enabled: bool = key(True, "Let CORE_HODL trade.", unit="switch")
    weights: Weights = key(
        weights(
            BTCUSDT="0.402",
            ETHUSDT="0.198",
            SOLUSDT="0.05",
            XRPUSDT="0.05",
            BNBUSDT="0.05",
            DOGEUSDT="0.05",
            ADAUSDT="0.05",
            TRXUSDT="0.05",
            AVAXUSDT="0.05",
            LINKUSDT="0.05",
        ),
        "Share of each coin in the target; must sum to 1.",
        unit="fraction of target",
        rules="CORE-2",
    )
    interval_h: int = key(
        168, "Time between two purchase cycles.", unit="hours", rules="CORE-1 CORE-12 CORE-13", ge=1, le=8760
    )
    gap_medium_usdt: Decimal = key(
        Decimal(500), "Total gap from which the plan takes weeks_medium.", unit="USDT", rules="CORE-2", gt=0
    )
    gap_large_usdt: Decimal = key(
        Decimal(50_000), "Total gap from which the plan takes weeks_large.", unit="USDT", rules="CORE-2", gt=0
    )
    weeks_small: int = key(1, "Cycles of a plan with a gap under gap_medium.", unit="cycles", rules="CORE-2", ge=1)
    weeks_medium: int = key(4, "Cycles of a plan with a gap under gap_large.", unit="cycles", rules="CORE-2", ge=1)
    weeks_large: int = key(12, "Cycles of a plan with a gap of gap_large or more.", unit="cycles", rules="CORE-2", ge=1)
    pair_ratio_frac: Frac = key(
        Decimal("0.67"), "Wanted BTC/(BTC+ETH) by market value.", unit="fraction of the pair", rules="CORE-7"
    )
    pair_tolerance_frac: Frac = key(
        Decimal("0.10"), "Distance from it above which REBALANCING begins.", unit="fraction of the pair", rules="CORE-7"
    )
    rebalance_over: tuple[Decimal, ...] = key(
        decimals("0.75", "0.50", "0.25", "0"),
        "What the over-weight coin of the pair buys in each cycle of a round.",
        unit="multiples of its amount",
        rules="CORE-8",
        min_length=1,
    )
    rebalance_under: tuple[Decimal, ...] = key(
        decimals("1.25", "1.5", "1.75", "2.0"),
        "What the under-weight coin of the pair buys in each cycle of a round.",
        unit="multiples of its amount",
        rules="CORE-8",
        min_length=1,
    )
    rebalance_cooldown_weeks: int = key(
        4, "Cycles between the end of a round and the next.", unit="cycles", rules="CORE-8", ge=0
    )
    weekly_usdt: Decimal = key(
        Decimal(200), "Least weekly flow after the plan.", unit="USDT", rules="CORE-8 CORE-9", ge=0
    )
    cash_flow_frac: Frac = key(
        Decimal("0.25"), "Share of free cash spent each week after the plan.", unit="fraction of cash", rules="CORE-8"
    )
    reserve_frac: Frac = key(
        Decimal(0), "Share of equity kept as cash after the plan.", unit="fraction of engine equity", rules="CORE-8"
    )
    reopen_frac: Frac = key(
        Decimal("0.20"), "Unspent deposits above which DEPLOYING re-opens.", unit="fraction of target", rules="CORE-10"
    )

    @model_validator(mode="after")
    def _hang_together(self) -> Self:
        check_ascending("gap_medium_usdt and gap_large_usdt", (self.gap_medium_usdt, self.gap_large_usdt))
        if len(self.rebalance_over) != len(self.rebalance_under):
            raise ValueError("rebalance_over and rebalance_under must have the same number of cycles")
        for multiple in (*self.rebalance_over, *self.rebalance_under):
            if not 0 <= multiple <= 10:
                raise ValueError(f"a rebalance multiple is between 0 and 10, not {multiple}")
        return self


class Trend(Section):
    """TREND: hold perpetuals long while the trend lasts."""

    enabled: bool = key(True, "Let TREND trade.", unit="switch")
    sma_days: int = key(200, "Days of the slow mean.", unit="days", rules="TREND-E1 TREND-X1", ge=2, le=1000)
    ema_days: int = key(50, "Days of the fast mean.", unit="days", rules="TREND-E1", ge=2, le=1000)
    adx_days: int = key(14, "Days of Wilder's ADX.", unit="days", rules="TREND-E1", ge=2, le=200)
    adx_min: float = key(
        25.0, "ADX above which (strictly) a trend counts.", unit="points", rules="TREND-E1", ge=0, le=100
    )
    atr_days: int = key(14, "Days of the ATR.", unit="days", rules="TREND-S1", ge=2, le=200)
    warmup_days: int = key(200, "Days of bars needed before any entry.", unit="days", rules="TREND-E1", ge=2, le=2000)
    max_stop_frac: Frac = key(
        Decimal("0.35"), "Widest stop distance that may be entered.", unit="fraction of price", rules="TREND-E1"
    )
    stop_atr: float = key(2.0, "Distance of the first stop.", unit="ATRs", rules="TREND-S1", gt=0, le=20)
    trail_start_atr: float = key(
        2.0, "Gain at which the trailing stop begins.", unit="ATRs", rules="TREND-S2", ge=0, le=20
    )
    trail_atr: float = key(
        3.0, "Distance of the trailing stop under the highest close.", unit="ATRs", rules="TREND-S2", gt=0, le=20
    )
    risk_frac: Frac = key(
        Decimal("0.02"), "What one stop may cost.", unit="fraction of engine equity", rules="TREND-S1"
    )
    volume_filter: bool = key(
        False, "Enter only on a day's volume of at least its mean.", unit="switch", rules="TREND-E1"
    )
    volume_days: int = key(20, "Days of the volume mean.", unit="days", rules="TREND-E1", ge=2, le=200)
    shorts: bool = key(False, "Trade the mirror image too.", unit="switch", rules="TREND-E1")
    leverage: int = key(2, "Leverage of the perpetual.", unit="times", rules="RISK-9 TREND-F1 TREND-X3", ge=1, le=2)
    maintenance_frac: Frac = key(
        Decimal("0.005"),
        "Maintenance margin, for the liquidation price.",
        unit="fraction of notional",
        rules="TREND-F1",
    )


class Funding(Section):
    """FUNDING: long spot and short perpetual in equal coins, to be paid the funding rate."""

    enabled: bool = key(True, "Let FUNDING trade.", unit="switch")
    weights: Weights = key(
        weights(BTCUSDT="0.4", ETHUSDT="0.4", SOLUSDT="0.2"),
        "Share of each pair; must sum to 1.",
        unit="fraction of engine equity",
        rules="FUND-2",
    )
    rate_window: int = key(5, "Settled rates in the expectation.", unit="settlements", rules="FUND-1", ge=1, le=1000)
    positive_settlements: int = key(
        2, "Last settlements that must be positive.", unit="settlements", rules="FUND-E1", ge=0, le=1000
    )
    entry_basis_frac: Frac = key(
        Decimal("0.005"), "Largest absolute basis to enter at.", unit="fraction of price", rules="FUND-E1"
    )
    exit_basis_frac: Frac = key(
        Decimal("0.02"), "Absolute basis above which both legs go.", unit="fraction of price", rules="FUND-X1"
    )
    horizon_days: int = key(
        14, "Days over which income is weighed against costs.", unit="days", rules="FUND-E1 FUND-X1", ge=1, le=365
    )
    entry_edge_frac: Frac = key(
        Decimal("0.002"),
        "Expected income after costs above which to enter.",
        unit="fraction of notional",
        rules="FUND-E1",
    )
    use_frac: Frac = key(
        Decimal("0.95"), "Share of equity put to work.", unit="fraction of engine equity", rules="FUND-2"
    )
    leverage: int = key(2, "Leverage of the short leg.", unit="times", rules="RISK-9 FUND-2", ge=1, le=2)
    drift_frac: Frac = key(
        Decimal("0.02"), "Difference of the legs above which it is corrected.", unit="fraction of coins", rules="FUND-4"
    )
    min_margin_frac: Frac = key(
        Decimal("0.30"),
        "Margin ratio under which both legs are cut.",
        unit="fraction of perp notional",
        rules="FUND-X2",
    )
    cut_frac: Frac = key(ONE_THIRD, "How much is cut then: one third.", unit="fraction of coins", rules="FUND-X2")
    carry_cost_share_frac: Frac = key(
        Decimal("0.5"),
        "Share of the closing costs that the next horizon's income must reach to stay.",
        unit="fraction of closing costs",
        rules="FUND-X1",
    )
    leg_timeout_s: int = key(
        30, "Time the second leg has before the first is unwound.", unit="seconds", rules="FUND-3", ge=1, le=600
    )
    profit_share_frac: Frac = key(
        Decimal("0.5"), "Share of new net profit that goes to TACTICAL.", unit="fraction of profit", rules="CAP-2"
    )
    maintenance_frac: Frac = key(
        Decimal("0.005"), "Maintenance margin of the sub-account.", unit="fraction of perp notional", rules="FUND-2"
    )

    @model_validator(mode="after")
    def _exit_is_wider_than_entry(self) -> Self:
        check_ascending("entry_basis_frac and exit_basis_frac", (self.entry_basis_frac, self.exit_basis_frac))
        return self


class Level(Section):
    """One depth of the fall of BTC at which TACTICAL buys."""

    drawdown_frac: Frac = Field(description="Drawdown of BTC from its highest daily high that fires this level.")
    budget_frac: Frac = Field(description="Share of the budget spent at this level.")


class FearGreed(Section):
    """The option to buy on extreme fear."""

    enabled: bool = key(False, "Use the fear-and-greed trigger.", unit="switch", rules="TACT-E2")
    max_value: int = key(20, "Largest index value that fires.", unit="points", rules="TACT-E2", ge=0, le=100)
    deploy_frac: Frac = key(
        Decimal("0.3"), "Share of what is left that is spent.", unit="fraction of cash", rules="TACT-E2"
    )
    max_age_h: int = key(48, "Age above which the value is not used.", unit="hours", rules="TACT-E2", ge=1, le=8760)


class Capitulation(Section):
    """The option to buy when shorts pay to stay short."""

    enabled: bool = key(False, "Use the negative-funding trigger.", unit="switch", rules="TACT-E2")
    rate_8h: Decimal = key(
        Decimal("-0.0005"), "Mean daily rate that counts.", unit="rate per 8 h", rules="TACT-E2", lt=0, ge=-1
    )
    days: int = key(3, "Days in a row it must last.", unit="days", rules="TACT-E2", ge=1, le=365)
    deploy_frac: Frac = key(
        Decimal("0.25"), "Share of what is left that is spent.", unit="fraction of cash", rules="TACT-E2"
    )


class Tactical(Section):
    """TACTICAL: buy the crash, sell the recovery."""

    enabled: bool = key(True, "Let TACTICAL trade.", unit="switch")
    weights: Weights = key(
        weights(BTCUSDT="0.8", ETHUSDT="0.2"),
        "Share of each coin in a purchase; must sum to 1.",
        unit="fraction of purchase",
        rules="TACT-E1",
    )
    levels: tuple[Level, ...] = key(
        (
            Level(drawdown_frac=Decimal("0.5"), budget_frac=Decimal("0.5")),
            Level(drawdown_frac=Decimal("0.7"), budget_frac=Decimal("0.5")),
        ),
        "Drawdowns that fire, and the share of the budget each spends.",
        unit="list of levels",
        rules="TACT-E1",
        min_length=1,
        max_length=2,  # order ids name two levels
    )
    take_profit_frac: Gain = key(
        Decimal("1.0"), "Gain on average cost at which a coin is sold.", unit="fraction of cost", rules="TACT-X1"
    )
    max_hold_days: int = key(
        365, "Days after the first buy at which a coin is sold.", unit="days", rules="TACT-X1", ge=1, le=10_000
    )
    fear_greed: FearGreed = Field(default_factory=FearGreed, description="The option to buy on extreme fear.")
    capitulation: Capitulation = Field(
        default_factory=Capitulation, description="The option to buy when shorts pay to stay short."
    )
    trigger_cooldown_days: int = key(
        30, "Days between two deployments of one trigger.", unit="days", rules="TACT-E2", ge=0, le=3650
    )

    @model_validator(mode="after")
    def _levels_fit_the_budget(self) -> Self:
        check_ascending("the levels' drawdown_frac", tuple(level.drawdown_frac for level in self.levels))
        total = sum((level.budget_frac for level in self.levels), Decimal(0))
        if total > 1:
            raise ValueError(f"the levels' budget_frac sum to {total}, more than the whole budget")
        return self
