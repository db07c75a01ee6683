"""What an engine wants: one class per kind of wish, never a type name beside a bag of metadata."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TypeAlias

from eternal_engine.model.ids import Engine, Leg, RuleId, Symbol
from eternal_engine.model.instrument import Market, Side
from eternal_engine.model.position import PositionSide


@dataclass(frozen=True, slots=True)
class BuySpot:
    """Want coins for USDT: CORE_HODL's cycles and TACTICAL's deployments."""

    engine: Engine
    symbol: Symbol
    leg: Leg
    decided_at: datetime
    amount_usdt: Decimal
    price_usdt: Decimal
    reason: RuleId


@dataclass(frozen=True, slots=True)
class SellSpot:
    """Want to sell coins held: TACTICAL's exits and operator commands; CORE_HODL never makes one (CORE-11)."""

    engine: Engine
    symbol: Symbol
    leg: Leg
    decided_at: datetime
    qty: Decimal
    price_usdt: Decimal
    reason: RuleId


@dataclass(frozen=True, slots=True)
class OpenPerp:
    """Want a perp position with a protective stop: TREND's entries. `rank` orders candidates, highest first."""

    engine: Engine
    symbol: Symbol
    decided_at: datetime
    position_side: PositionSide
    qty: Decimal
    price_usdt: Decimal
    stop_price: Decimal
    rank: float
    reason: RuleId
    leg: Leg = Leg.ENTRY


@dataclass(frozen=True, slots=True)
class ReducePerp:
    """Want less of a perp position (all of it, or a cut): passes every halt (RISK-0)."""

    engine: Engine
    symbol: Symbol
    leg: Leg
    decided_at: datetime
    position_side: PositionSide
    qty: Decimal
    price_usdt: Decimal
    reason: RuleId


@dataclass(frozen=True, slots=True)
class MoveStop:
    """Want the resting protective stop of a perp position at another price."""

    engine: Engine
    symbol: Symbol
    decided_at: datetime
    position_side: PositionSide
    qty: Decimal
    stop_price: Decimal
    reason: RuleId
    leg: Leg = Leg.STOP


@dataclass(frozen=True, slots=True)
class OpenPair:
    """Want spot long and perp short of the same `qty` of coins (FUND-2); `qty` in whole perp steps."""

    engine: Engine
    symbol: Symbol
    decided_at: datetime
    qty: Decimal
    spot_price_usdt: Decimal
    perp_price_usdt: Decimal
    reason: RuleId


@dataclass(frozen=True, slots=True)
class ReducePair:
    """Want less of a pair on both legs (all of it, or a cut): passes every halt (RISK-0)."""

    engine: Engine
    symbol: Symbol
    decided_at: datetime
    spot_qty: Decimal
    perp_qty: Decimal
    spot_price_usdt: Decimal
    perp_price_usdt: Decimal
    reason: RuleId


@dataclass(frozen=True, slots=True)
class HedgePair:
    """Want one leg of a pair corrected by `qty` coins, so that both are equal again (FUND-4)."""

    engine: Engine
    symbol: Symbol
    leg: Leg
    decided_at: datetime
    market: Market
    side: Side
    qty: Decimal
    price_usdt: Decimal
    reason: RuleId


Signal: TypeAlias = BuySpot | SellSpot | OpenPerp | ReducePerp | MoveStop | OpenPair | ReducePair | HedgePair


def is_reducing(signal: Signal) -> bool:
    """Tell whether a signal only shrinks exposure and so passes every halt (RISK-0)."""
    if isinstance(signal, HedgePair):  # a pair is long spot, short perp
        return signal.side is (Side.SELL if signal.market is Market.SPOT else Side.BUY)
    return isinstance(signal, (SellSpot, ReducePerp, MoveStop, ReducePair))
