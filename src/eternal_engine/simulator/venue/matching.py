"""Prices and quantities at which an order trades: arithmetic over a quote, an instrument and the depth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from eternal_engine.simulator.venue.entities import ZERO, Quote, Side
from eternal_engine.simulator.venue.instruments import SPOT, Instrument

BPS = Decimal("0.0001")
ONE = Decimal(1)
MAX_LEVELS = 50


@dataclass(frozen=True, slots=True)
class MarketShape:
    """Say how the book around the price source looks to a taker.

    Each level is `slippage_bps` further away than the one before and holds `depth_usdt` of value; None is a bottomless
    first level, which is what the backtest assumes (rule U-9).
    """

    slippage_bps: Decimal = Decimal(5)
    depth_usdt: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Take:
    """Hold one piece of a fill: this many base coins at this price."""

    price: Decimal
    qty: Decimal


def floor_to(amount: Decimal, step: Decimal) -> Decimal:
    """Round an amount down to a whole number of steps."""
    return (amount / step).to_integral_value(ROUND_FLOOR) * step


def tick_against(price: Decimal, tick: Decimal, side: Side) -> Decimal:
    """Round a price to the tick in the taker's disfavour: up for a buyer, down for a seller."""
    rounding = ROUND_CEILING if side == "Buy" else ROUND_FLOOR
    return (price / tick).to_integral_value(rounding) * tick


def is_multiple(amount: Decimal, step: Decimal) -> bool:
    """Tell whether an amount is a whole number of steps."""
    return amount % step == 0


def band(instrument: Instrument, quote: Quote) -> tuple[Decimal, Decimal]:
    """Give the highest price a buyer and the lowest a seller may name; spot without the two-minute premium."""
    wide, far = instrument.band_x, instrument.band_y
    if instrument.category == SPOT:
        return quote.index * (ONE + min(wide, far)), quote.index * (ONE - min(wide, far))
    highest = min(max(quote.index, quote.mark * (ONE + wide)), quote.mark * (ONE + far))
    lowest = max(min(quote.index, quote.mark * (ONE - wide)), quote.mark * (ONE - far))
    return highest, lowest


def taker_levels(side: Side, quote: Quote, instrument: Instrument, shape: MarketShape) -> Iterator[Take]:
    """List what a taker meets, nearest first; a bottomless level has quantity -1."""
    best = quote.ask if side == "Buy" else quote.bid
    sign = ONE if side == "Buy" else -ONE
    for number in range(1, MAX_LEVELS + 1):
        away = ONE + sign * shape.slippage_bps * BPS * number
        price = tick_against(best * away, instrument.tick, side)
        if price <= ZERO:
            return
        if shape.depth_usdt is None:
            yield Take(price, Decimal(-1))
            return
        yield Take(price, max(instrument.qty_step, floor_to(shape.depth_usdt / price, instrument.qty_step)))


def plan_taker(
    side: Side,
    quote: Quote,
    instrument: Instrument,
    shape: MarketShape,
    *,
    qty: Decimal | None = None,
    budget: Decimal | None = None,
    limit: Decimal | None = None,
    band_limit: Decimal | None = None,
) -> list[Take]:
    """Plan the pieces in which a taker's order fills now.

    Give either `qty` (base coins) or `budget` (quote coins: each piece is floor(budget / price) to the base step).
    A price beyond `limit` is cut to it, because a limit order never pays more than it names; a level beyond
    `band_limit` does not trade at all.
    """
    pieces: list[Take] = []
    left_qty, left_budget = qty, budget
    if limit is not None and _beyond(side, quote.ask if side == "Buy" else quote.bid, limit):
        return pieces
    for level in taker_levels(side, quote, instrument, shape):
        price = level.price
        if band_limit is not None and _beyond(side, price, band_limit):
            break
        last = limit is not None and _beyond(side, price, limit)
        if last and limit is not None:
            price = limit
        if left_budget is not None:
            want = floor_to(left_budget / price, instrument.qty_step)
        else:
            want = left_qty if left_qty is not None else ZERO
        take = want if level.qty < 0 else min(want, level.qty)
        if take <= ZERO:
            break
        pieces.append(Take(price, take))
        if left_budget is not None:
            left_budget -= take * price
        if left_qty is not None:
            left_qty -= take
            if left_qty <= ZERO:
                break
        if last:
            break
    return pieces


def crosses(side: Side, limit: Decimal, quote: Quote) -> bool:
    """Tell whether a limit order would trade at once against the quote."""
    return limit >= quote.ask if side == "Buy" else limit <= quote.bid


def _beyond(side: Side, price: Decimal, limit: Decimal) -> bool:
    return price > limit if side == "Buy" else price < limit
