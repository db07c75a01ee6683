"""Build valid things with defaults, so that a test names only what it is about."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from eternal_engine.market_data.history import DAY_MS, HOUR_MS, Gap
from eternal_engine.model import event as ev
from eternal_engine.model.fill import Fill
from eternal_engine.model.ids import (
    Account,
    ClientOrderId,
    Coin,
    CommandId,
    Engine,
    ExecutionId,
    Leg,
    OrderKey,
    RecordId,
    RuleId,
    Symbol,
    TransferId,
    VenueOrderId,
)
from eternal_engine.model.instrument import Market, Side
from eternal_engine.model.order import OrderIntent, OrderKind, Trigger
from eternal_engine.reports.result import ENGINES, BacktestResult, EventRow, OrderRow, TradeRow


def a_backtest_result(days: int = 1827, seed: int = 7, **changes: object) -> BacktestResult:
    """Build a made-up run from 2020-01-01: four engines, hourly, with trades, breaker changes and deposits' fields."""
    rng = np.random.default_rng(seed)
    hours = days * 24 + 1
    start_ms = 1_577_836_800_000
    close_ms = start_ms + np.arange(hours, dtype=np.int64) * HOUR_MS

    def walk(first: float, year_vol: float, year_drift: float) -> npt.NDArray[np.float64]:
        swing = 1 + 0.6 * np.sin(np.arange(hours) / 4000.0)
        steps = rng.normal(year_drift / 8760, year_vol / 8760**0.5, hours) * swing
        steps[0] = 0
        return first * np.exp(np.cumsum(steps))

    capital = 100_000.0
    btc, eth = walk(7_200, 0.65, 0.45), walk(130, 0.8, 0.5)
    equity = np.vstack(
        (60_000 * (btc / btc[0]) ** 0.8, walk(2e4, 0.12, 0.1), walk(1.5e4, 0.01, 0.06), walk(5e3, 0.3, 0.05))
    )
    flow = np.zeros((4, hours))
    fees = rng.random((4, hours)) * 0.02
    level = np.zeros(hours, dtype=np.int64)
    level[9000:9400], level[20000:20100] = 1, 2
    symbols = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
    trades = tuple(
        TradeRow(
            engine="trend" if k % 3 else "funding",
            symbol=symbols[k % 3],
            position_side="long" if k % 3 else "pair",
            opened_ms=int(close_ms[(k * 97 + 24) % (hours - 1)]),
            closed_ms=int(close_ms[min((k * 97 + 24) % (hours - 1) + 1 + 24 * (k % 20), hours - 1)]),
            qty=0.05 + k / 100,
            entry_price=float(btc[(k * 97) % hours]),
            exit_price=float(btc[(k * 97 + 480) % hours]),
            pnl_usdt=float(rng.normal(20, 150)),
            fees_usdt=3.5,
            funding_usdt=float(rng.normal(0, 5)),
            entry_reason="TREND-E1" if k % 3 else "FUND-E1",
            exit_reason=("TREND-X1", "TREND-X2", "TREND-X2")[k % 3] if k % 3 else "FUND-X1",
        )
        for k in range(180)
    )
    orders = tuple(
        OrderRow(
            decided_ms=int(close_ms[(k * 13) % hours]),
            filled_ms=int(close_ms[(k * 13) % hours]),
            engine=ENGINES[k % 4],
            symbol=symbols[k % 3],
            market="spot" if k % 4 == 0 else "perp",
            side="buy" if k % 2 == 0 else "sell",
            qty=0.001 * (k % 50 + 1),
            price=float(round(btc[(k * 13) % hours], 1)),
            fee_usdt=0.4,
            slippage_usdt=0.2,
            reason=("CORE-3", "TREND-E1", "FUND-E1", "TACT-E1")[k % 4],
        )
        for k in range(2000)
    )
    happened = (
        (9000, "breaker", "", "BRK-1", "CAUTION at -10.2 %", 0.0),
        (9400, "breaker", "", "BRK-1", "normal at -4.9 %", 0.0),
        (20000, "breaker", "", "BRK-1", "WARNING at -15.4 %", 0.0),
        (20100, "approval", "", "BRK-5", "approved after 72 h", 0.0),
        (30000, "transfer", "tactical", "CAP-2", "profit to core_hodl", 512.25),
    )
    events = tuple(
        EventRow(int(close_ms[min(hour, hours - 1)]), kind, engine, "", rule, detail, amount_usdt)
        for hour, kind, engine, rule, detail, amount_usdt in happened
    )
    made = BacktestResult(
        engines=ENGINES,
        symbols=symbols,
        capital_usdt=capital,
        deposit_weekly_usdt=0.0,
        seed=seed,
        requested_start_ms=start_ms,
        requested_end_ms=int(close_ms[-1]),
        close_ms=close_ms,
        equity=equity,
        external_flow=np.zeros(hours),
        engine_flow=flow,
        exposure=equity * np.array([[0.95], [0.4], [0.9], [0.2]]),
        fees=fees,
        slippage=fees / 2,
        funding=np.vstack((np.zeros((2, hours)), fees[:1] * 3, np.zeros((1, hours)))),
        breaker_level=level,
        orders=orders,
        trades=trades,
        events=events,
        denials={"trend:RISK-8": 41, "trend:RISK-11": 12, "funding:RISK-6": 3},
        breaker_events=3,
        approvals=1,
        btc_close=btc,
        eth_close=eth,
        source="made up",
        synthetic=False,
        fingerprint="f" * 64,
        history_start_ms=start_ms - 400 * DAY_MS,
        gaps=(Gap("spot_1h", "BTCUSDT", start_ms + 48 * HOUR_MS, start_ms + 51 * HOUR_MS),),
        notes=("hindsight universe: all ten coins are today's survivors (J14)",),
        instrument_table="bybit-2026-09",
        config_hash="c" * 64,
        result_hash="ab" * 32,
        timing_ms={"features": 7.1, "loop": 9.4},
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def a_fill(
    execution_id: str = "e1",
    *,
    account: Account = Account.TREND,
    symbol: str = "BTCUSDT",
    market: Market = Market.SPOT,
    side: Side = Side.BUY,
    qty: str = "1",
    price: str = "70000",
    fee: str = "0",
    fee_coin: str = "USDT",
    at: datetime = datetime(2024, 1, 1, tzinfo=UTC),
    order: str | None = None,
) -> Fill:
    """Build an execution; the base coin is the symbol without its USDT."""
    return Fill(
        execution_id=ExecutionId(execution_id),
        account=account,
        symbol=Symbol(symbol),
        market=market,
        side=side,
        qty=Decimal(qty),
        price=Decimal(price),
        fee=Decimal(fee),
        fee_coin=Coin(fee_coin),
        base=Coin(symbol.removesuffix("USDT")),
        quote=Coin("USDT"),
        executed_at=at,
        client_order_id=ClientOrderId(order) if order else None,
    )


def an_intent(
    *,
    engine: Engine = Engine.TREND,
    symbol: str = "BTCUSDT",
    leg: Leg = Leg.ENTRY,
    at: datetime = datetime(2024, 1, 1, tzinfo=UTC),
    attempt: int = 1,
    market: Market = Market.PERP,
    side: Side = Side.BUY,
    kind: OrderKind = OrderKind.MARKET,
    qty: str | None = "1",
    amount_usdt: str | None = None,
    limit_price: str | None = None,
    trigger_price: str | None = None,
    reduce_only: bool = False,
) -> OrderIntent:
    """Build an intent: by default TREND's market entry of one coin."""

    def number(written: str | None) -> Decimal | None:
        return None if written is None else Decimal(written)

    return OrderIntent(
        key=OrderKey(engine, at, Symbol(symbol), leg, attempt),
        market=market,
        side=side,
        kind=kind,
        price_usdt=Decimal(70_000),
        reason=RuleId("TREND-E1"),
        qty=number(qty),
        amount_usdt=number(amount_usdt),
        limit_price=number(limit_price),
        trigger_price=number(trigger_price),
        reduce_only=reduce_only,
    )


def a_history(at: datetime = datetime(2024, 1, 1, tzinfo=UTC)) -> list[ev.Event]:
    """Build a short life of a daemon in which every kind of event occurs, in an order that may be journaled."""
    usdt, btc, symbol, rule = Coin("USDT"), Coin("BTC"), Symbol("BTCUSDT"), RuleId("CAP-2")
    number = Decimal
    intent = an_intent(at=at)
    order = intent.client_order_id
    spent = an_intent(engine=Engine.CORE_HODL, leg=Leg.BUY, at=at, market=Market.SPOT, qty=None, amount_usdt="4915.95")
    bought = a_fill(
        "e1", account=Account.CORE_HODL, qty="0.070227", price="70000", fee="0.000070227", fee_coin="BTC", at=at,
        order=spent.client_order_id,
    )  # fmt: skip
    perp = {"market": Market.PERP, "fee": "0.5", "at": at}
    owner = Account.TREND
    return [
        ev.DaemonStarted(at, "0.1.0", "paper", "c0ffee", "synthetic"),
        ev.Deposited(at, RecordId("d1"), Account.MASTER, usdt, number(100_000), number(100_000), at),
        ev.TransferPlanned(at, TransferId("t1"), Account.MASTER, owner, usdt, number(20_000), rule),
        ev.Transferred(at, TransferId("t1"), Account.MASTER, owner, usdt, number(20_000), rule),
        ev.TransferPlanned(at, TransferId("t2"), Account.MASTER, Account.CORE_HODL, usdt, number("0.00000001"), rule),
        ev.Decided(at, Engine.TREND, at, "{}", "[]", "c0ffee"),
        ev.Reviewed(at, Engine.TREND, symbol, at, "resized", RuleId("RISK-6"), "cut", number("1.5"), number(1)),
        ev.OrderPlanned(at, owner, intent, btc, usdt),
        ev.OrderMoved(at, order, Trigger.SEND),
        ev.OrderMoved(at, order, Trigger.ACCEPT, VenueOrderId("v1"), 0, "taken"),
        ev.Filled(at, a_fill("p1", qty="0.4", order=order, **perp)),
        ev.Filled(at, a_fill("p2", qty="0.6", order=order, price="70100.1", **perp)),
        ev.OrderPlanned(at, Account.CORE_HODL, spent, btc, usdt),
        ev.OrderMoved(at, spent.client_order_id, Trigger.LOSE_REPLY),
        ev.Filled(at, bought),
        ev.OrderMoved(at, spent.client_order_id, Trigger.CANCEL, VenueOrderId("v2"), None, "part filled"),
        ev.FundingSettled(
            at, owner, symbol, ExecutionId("f1"), number(1), number(70_000), number("0.0001"), number(-7), at
        ),
        ev.Filled(at, a_fill("p3", qty="0.3", side=Side.SELL, price="71000", **perp)),
        ev.Filled(at, a_fill("x1", qty="0.5", price="2090", symbol="ETHUSDT", at=at), unassigned=True),
        ev.Corrected(
            at,
            RecordId("c1"),
            owner,
            None,
            usdt,
            Market.SPOT,
            number("-0.25"),
            number(1),
            ev.Mismatch.WRONG_BALANCE,
            "rounding",
        ),
        ev.Reconciled(at, owner, 1, "cash"),
        ev.PhaseChanged(at, Engine.CORE_HODL, "", "DEPLOYING", RuleId("CORE-1"), "12 weeks"),
        ev.StateSaved(at, "core_hodl", 1, '{"weeks_remaining":11}'),
        ev.BreakerChanged(at, 0, 2, number(34_000), number(40_000), RuleId("BRK-1"), "-15 %"),
        ev.LossLimitHit(at, RuleId("RISK-4"), number("0.02"), at),
        ev.CommandApplied(at, CommandId("k1"), "approve", "{}", "done", accepted=True),
        ev.ConnectionLost(at, owner, at, "timeout"),
        ev.ConnectionRestored(at, owner, number("31.5")),
        ev.EquityMarked(at, owner, number("20001.5")),
        ev.EquityMarked(at, Account.FUNDING, None, "no price of spot BTCUSDT"),
        ev.Noted(at, RuleId("CORE-4"), "extended", Engine.CORE_HODL, symbol, number(5)),
        ev.ErrorOccurred(at, "what", "where", "mend", Engine.TREND),
        ev.ConfigChanged(at, "c0ffee", "decade", "{}"),
        ev.DaemonStopped(at, "SIGTERM"),
    ]
