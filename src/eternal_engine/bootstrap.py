"""The only place that turns settings into the frozen parts the rest of the program works with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from eternal_engine.model.errors import UsageError
from eternal_engine.model.ids import Symbol
from eternal_engine.model.instrument import BYBIT_2025, InstrumentRules, InstrumentTable, Market
from eternal_engine.portfolio.params import Params
from eternal_engine.risk.breaker import BLOCK, EMERGENCY_STOP, SCOPE_ACTIVE, SCOPE_PORTFOLIO, BreakerParams
from eternal_engine.risk.manager import RiskParams
from eternal_engine.risk.sizing import Instruments
from eternal_engine.strategies.core_hodl import CoreParams
from eternal_engine.strategies.funding import FundingParams
from eternal_engine.strategies.tactical import TacticalParams
from eternal_engine.strategies.trend import TrendParams

if TYPE_CHECKING:
    from eternal_engine.backtest.runner import BacktestRequest
    from eternal_engine.config import Settings
    from eternal_engine.reports.result import BacktestResult

BTC = "BTCUSDT"
ETH = "ETHUSDT"
BPS = Decimal("0.0001")
HOURS_PER_DAY = 24


def _by_symbol(weights: Mapping[str, Decimal], symbols: tuple[str, ...]) -> npt.NDArray[np.float64]:
    return np.array([float(weights.get(symbol, Decimal(0))) for symbol in symbols])


def _index(symbols: tuple[str, ...], symbol: str) -> int:
    """Find a coin the rules name themselves. Raises UsageError when the configuration leaves it out."""
    if symbol not in symbols:
        raise UsageError(
            f"{symbol} is missing in symbols",
            where="configuration key symbols",
            mend=f"add {symbol}: the BTC/ETH ratio and BTC's drawdown are part of the rules",
        )
    return symbols.index(symbol)


def instruments_of(table: InstrumentTable, symbols: tuple[str, ...]) -> Instruments:
    """Convert an instrument table to floats, the kernels' side of U-3; an unknown maximum is infinite."""
    spot = [table.rules(Symbol(symbol), Market.SPOT) for symbol in symbols]
    perp = [table.rules(Symbol(symbol), Market.PERP) for symbol in symbols]

    def maximum(rules: InstrumentRules) -> float:
        return math.inf if rules.max_market_qty is None else float(rules.max_market_qty)

    return Instruments(
        spot_tick=np.array([float(rules.tick) for rules in spot]),
        spot_step=np.array([float(rules.qty_step) for rules in spot]),
        quote_step=np.array([float(rules.quote_step or Decimal("0.01")) for rules in spot]),
        spot_min_usdt=np.array([float(rules.min_amount) for rules in spot]),
        spot_max_qty=np.array([maximum(rules) for rules in spot]),
        perp_tick=np.array([float(rules.tick) for rules in perp]),
        perp_step=np.array([float(rules.qty_step) for rules in perp]),
        perp_min_qty=np.array([float(rules.min_qty) for rules in perp]),
        perp_min_usdt=np.array([float(rules.min_amount) for rules in perp]),
        perp_max_qty=np.array([maximum(rules) for rules in perp]),
    )


def core_params(settings: Settings) -> CoreParams:
    """Take CORE_HODL's part of the settings."""
    own = settings.core_hodl
    symbols = tuple(settings.symbols)
    return CoreParams(
        enabled=own.enabled,
        weights=_by_symbol(own.weights, symbols),
        btc=_index(symbols, BTC),
        eth=_index(symbols, ETH),
        interval_h=own.interval_h,
        target_frac=float(settings.shares.core_hodl),
        gap_medium_usdt=float(own.gap_medium_usdt),
        gap_large_usdt=float(own.gap_large_usdt),
        weeks_small=own.weeks_small,
        weeks_medium=own.weeks_medium,
        weeks_large=own.weeks_large,
        pair_ratio_frac=float(own.pair_ratio_frac),
        pair_tolerance_frac=float(own.pair_tolerance_frac),
        rebalance_over=np.array([float(multiple) for multiple in own.rebalance_over]),
        rebalance_under=np.array([float(multiple) for multiple in own.rebalance_under]),
        cooldown_weeks=own.rebalance_cooldown_weeks,
        weekly_usdt=float(own.weekly_usdt),
        cash_flow_frac=float(own.cash_flow_frac),
        reserve_frac=float(own.reserve_frac),
        reopen_frac=float(own.reopen_frac),
    )


def trend_params(settings: Settings) -> TrendParams:
    """Take TREND's part of the settings."""
    own = settings.trend
    return TrendParams(
        enabled=own.enabled,
        sma_days=own.sma_days,
        ema_days=own.ema_days,
        adx_days=own.adx_days,
        adx_min=own.adx_min,
        atr_days=own.atr_days,
        warmup_days=own.warmup_days,
        max_stop_frac=float(own.max_stop_frac),
        stop_atr=own.stop_atr,
        trail_start_atr=own.trail_start_atr,
        trail_atr=own.trail_atr,
        risk_frac=float(own.risk_frac),
        volume_filter=own.volume_filter,
        volume_days=own.volume_days,
        shorts=own.shorts,
        leverage=float(own.leverage),
        maintenance_frac=float(own.maintenance_frac),
    )


def funding_params(settings: Settings) -> FundingParams:
    """Take FUNDING's part of the settings, with the costs its rules weigh (FUND-E1, FUND-X1)."""
    own = settings.funding
    costs = settings.costs
    closing_bps = costs.spot_fee_bps + costs.perp_fee_bps + 2 * costs.slippage_bps
    return FundingParams(
        enabled=own.enabled,
        weights=_by_symbol(own.weights, tuple(settings.symbols)),
        rate_window=own.rate_window,
        positive_settlements=own.positive_settlements,
        entry_basis_frac=float(own.entry_basis_frac),
        exit_basis_frac=float(own.exit_basis_frac),
        horizon_days=own.horizon_days,
        entry_edge_frac=float(own.entry_edge_frac),
        use_frac=float(own.use_frac),
        leverage=float(own.leverage),
        drift_frac=float(own.drift_frac),
        min_margin_frac=float(own.min_margin_frac),
        cut_frac=float(own.cut_frac),
        carry_cost_share_frac=float(own.carry_cost_share_frac),
        profit_share_frac=float(own.profit_share_frac),
        maintenance_frac=float(own.maintenance_frac),
        round_trip_cost_frac=float(2 * closing_bps * BPS),
        closing_cost_frac=float(closing_bps * BPS),
    )


def tactical_params(settings: Settings) -> TacticalParams:
    """Take TACTICAL's part of the settings."""
    own = settings.tactical
    symbols = tuple(settings.symbols)
    return TacticalParams(
        enabled=own.enabled,
        weights=_by_symbol(own.weights, symbols),
        btc=_index(symbols, BTC),
        level_drawdown=np.array([float(level.drawdown_frac) for level in own.levels]),
        level_budget=np.array([float(level.budget_frac) for level in own.levels]),
        take_profit_frac=float(own.take_profit_frac),
        max_hold_days=own.max_hold_days,
        fear_enabled=own.fear_greed.enabled,
        fear_max_value=float(own.fear_greed.max_value),
        fear_deploy_frac=float(own.fear_greed.deploy_frac),
        fear_max_age_h=own.fear_greed.max_age_h,
        capitulation_enabled=own.capitulation.enabled,
        capitulation_rate_8h=float(own.capitulation.rate_8h),
        capitulation_days=own.capitulation.days,
        capitulation_deploy_frac=float(own.capitulation.deploy_frac),
        trigger_cooldown_days=own.trigger_cooldown_days,
    )


def breaker_params(settings: Settings) -> BreakerParams:
    """Take the ladder and the loss limits of the settings."""
    own = settings.risk
    ladder = own.breaker
    return BreakerParams(
        scope=SCOPE_ACTIVE if ladder.scope == "active" else SCOPE_PORTFOLIO,
        caution_frac=float(ladder.caution_frac),
        warning_frac=float(ladder.warning_frac),
        alert_frac=float(ladder.alert_frac),
        emergency_frac=float(ladder.emergency_frac),
        recover_frac=float(ladder.recover_frac),
        caution_cut_frac=float(ladder.caution_cut_frac),
        caution_size_frac=float(ladder.caution_size_frac),
        warning_cut_frac=float(ladder.warning_cut_frac),
        warning_wait_h=ladder.warning_wait_h,
        reduced_h=ladder.reduced_days * HOURS_PER_DAY,
        warning_size_frac=float(ladder.warning_size_frac),
        alert_size_frac=float(ladder.alert_size_frac),
        daily_loss_frac=float(own.daily_loss_frac),
        weekly_loss_frac=float(own.weekly_loss_frac),
        daily_block_h=own.daily_block_h,
        weekly_block_h=own.weekly_block_h,
        warn_frac=float(own.warn_frac),
        on_breach=BLOCK if own.on_breach == "block" else EMERGENCY_STOP,
    )


def risk_params(settings: Settings) -> RiskParams:
    """Take the risk manager's part of the settings, without a cap: an armed start puts its own in (RISK-13)."""
    own = settings.risk
    costs = settings.costs
    return RiskParams(
        breaker=breaker_params(settings),
        max_position_frac=float(own.max_position_frac),
        trend_max_own_frac=float(own.trend_max_own_frac),
        kelly_min_trades=own.kelly.min_trades,
        kelly_window=own.kelly.window,
        kelly_divisor=float(own.kelly.divisor),
        kelly_floor_frac=float(own.kelly.floor_frac),
        max_positions_trend=own.max_positions_trend,
        correlation_days=own.correlation.days,
        correlation_deny=float(own.correlation.deny),
        correlation_halve=float(own.correlation.halve),
        orders_per_minute=own.orders_per_minute,
        price_deviation_frac=float(own.price_deviation_frac),
        stale_bars=own.stale_bars,
        cap_usdt=math.inf,
        trend_leverage=float(settings.trend.leverage),
        funding_leverage=float(settings.funding.leverage),
        spot_fee_frac=float(costs.spot_fee_bps * BPS),
        perp_fee_frac=float(costs.perp_fee_bps * BPS),
        slippage_frac=float(costs.slippage_bps * BPS),
    )


def params_of(settings: Settings, table: InstrumentTable = BYBIT_2025) -> Params:
    """Turn settings and an instrument table into the parameters of the pure core."""
    symbols = tuple(settings.symbols)
    return Params(
        core=core_params(settings),
        trend=trend_params(settings),
        funding=funding_params(settings),
        tactical=tactical_params(settings),
        risk=risk_params(settings),
        instruments=instruments_of(table, symbols),
        approval_delay_h=settings.backtest.approval_delay_h,
    )


def run_backtest(request: BacktestRequest, settings: Settings) -> BacktestResult:
    """Run one backtest as the settings and the request say."""
    from eternal_engine.backtest.runner import run

    shares = settings.shares
    return run(
        request,
        params_of(settings),
        symbols=tuple(settings.symbols),
        shares=(float(shares.core_hodl), float(shares.trend), float(shares.funding), float(shares.tactical)),
        instrument_table=BYBIT_2025.name,
        config_hash=settings.hash(),
        cache_dir=settings.paths.cache_dir,
        default_data=settings.paths.data_dir / "market",
    )
