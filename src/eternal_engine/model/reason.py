"""Every reason a decision can have, as a small integer for the kernels and a rule id for people."""

from __future__ import annotations

from typing import Final

NONE: Final = 0
CORE_PLAN: Final = 1
CORE_OWN_PLAN: Final = 2
CORE_REBALANCE: Final = 3
CORE_MAINTAIN: Final = 4
TREND_ENTRY: Final = 5
TREND_EXIT: Final = 6
TREND_STOP: Final = 7
TREND_TRAIL: Final = 8
TREND_LIQUIDATION: Final = 9
FUND_ENTRY: Final = 10
FUND_GROW: Final = 11
FUND_EXIT: Final = 12
FUND_EXIT_BASIS: Final = 13
FUND_EXIT_CARRY: Final = 14
FUND_CUT: Final = 15
FUND_HEDGE: Final = 16
FUND_LIQUIDATION: Final = 17
TACT_LEVEL: Final = 18
TACT_FEAR: Final = 19
TACT_CAPITULATION: Final = 20
TACT_PROFIT: Final = 21
TACT_AGE: Final = 22
BREAKER_CUT: Final = 23
BREAKER_CLOSE: Final = 24
DELISTED: Final = 25
MANUAL: Final = 26
FLATTENED: Final = 27

# Why a signal did not become an order, or became a smaller one.
WARMUP: Final = 30
RISK_1_HALT: Final = 41
RISK_2_LEVEL: Final = 42
RISK_3_STALE: Final = 43
RISK_4_DAY: Final = 44
RISK_5_WEEK: Final = 45
RISK_6_SIZE: Final = 46
RISK_7_KELLY: Final = 47
RISK_8_SLOTS: Final = 48
RISK_9_LEVERAGE: Final = 49
RISK_10_CASH: Final = 50
RISK_11_CORRELATION: Final = 51
RISK_12_RATE: Final = 52
RISK_13_CAP: Final = 53
UNKNOWN_EQUITY: Final = 54
RISK_10_ORDER: Final = 55
RISK_12_PRICE: Final = 56

# (rule id, short words). The rule id alone goes into orders.csv; both go to people.
TEXT: Final[dict[int, tuple[str, str]]] = {
    NONE: ("", ""),
    CORE_PLAN: ("CORE-3", "leg of the deployment plan"),
    CORE_OWN_PLAN: ("CORE-2", "leg of a late coin's own plan"),
    CORE_REBALANCE: ("CORE-8", "rebalancing purchase"),
    CORE_MAINTAIN: ("CORE-9", "weekly purchase"),
    TREND_ENTRY: ("TREND-E1", "trend entry"),
    TREND_EXIT: ("TREND-X1", "close below the 200-day mean"),
    TREND_STOP: ("TREND-X2", "stop touched"),
    TREND_TRAIL: ("TREND-X2", "trailing stop touched"),
    TREND_LIQUIDATION: ("TREND-F1", "liquidated"),
    FUND_ENTRY: ("FUND-E1", "carry entry"),
    FUND_GROW: ("FUND-E1", "pair grown back"),
    FUND_EXIT: ("FUND-X1", "expected funding below zero"),
    FUND_EXIT_BASIS: ("FUND-X1", "basis too wide"),
    FUND_EXIT_CARRY: ("FUND-X1", "carry does not pay for staying"),
    FUND_CUT: ("FUND-X2", "margin low, pair cut"),
    FUND_HEDGE: ("FUND-4", "hedge drift corrected"),
    FUND_LIQUIDATION: ("FUND-2", "liquidated"),
    TACT_LEVEL: ("TACT-E1", "crash level reached"),
    TACT_FEAR: ("TACT-E2", "extreme fear"),
    TACT_CAPITULATION: ("TACT-E2", "funding capitulation"),
    TACT_PROFIT: ("TACT-X1", "profit target"),
    TACT_AGE: ("TACT-X1", "held for the longest time"),
    BREAKER_CUT: ("BRK-4", "cut by the breaker"),
    BREAKER_CLOSE: ("BRK-4", "closed by the breaker"),
    DELISTED: ("U-10", "delisted"),
    MANUAL: ("CORE-13", "manual purchase"),
    FLATTENED: ("RISK-0", "flattened by the operator"),
    WARMUP: ("TREND-E1", "WARMUP"),
    RISK_1_HALT: ("RISK-1", "halted"),
    RISK_2_LEVEL: ("RISK-2", "breaker level"),
    RISK_3_STALE: ("RISK-3", "stale price"),
    RISK_4_DAY: ("RISK-4", "daily loss"),
    RISK_5_WEEK: ("RISK-5", "weekly loss"),
    RISK_6_SIZE: ("RISK-6", "position size"),
    RISK_7_KELLY: ("RISK-7", "Kelly cap"),
    RISK_8_SLOTS: ("RISK-8", "no free slot"),
    RISK_9_LEVERAGE: ("RISK-9", "leverage"),
    RISK_10_CASH: ("RISK-10", "free cash"),
    RISK_11_CORRELATION: ("RISK-11", "correlation"),
    RISK_12_RATE: ("RISK-12", "too many orders in a minute"),
    RISK_13_CAP: ("RISK-13", "capital cap"),
    UNKNOWN_EQUITY: ("U-6", "equity unknown"),
    RISK_10_ORDER: ("RISK-10", "less than the exchange's smallest order"),
    RISK_12_PRICE: ("RISK-12", "price too far from the mark"),
}
COUNT: Final = 57


def rule_id(code: int) -> str:
    """Name the rule behind a reason code."""
    return TEXT[code][0]


def words(code: int) -> str:
    """Say a reason code as `RULE-ID short words`."""
    rule, text = TEXT[code]
    return f"{rule} {text}".strip()
