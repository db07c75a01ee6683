"""What an account may still spend: locked funds, margins, unrealised results."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from eternal_engine.simulator.venue.entities import ZERO, Order, Position
from eternal_engine.simulator.venue.instruments import LINEAR, SPOT
from eternal_engine.simulator.venue.state import VenueState

ONE = Decimal(1)
DEFAULT_LEVERAGE = Decimal(10)


@dataclass(frozen=True, slots=True)
class Margin:
    """Hold an account's USDT margin figures; `available` is what a new order may use. Spot coins are no collateral."""

    wallet: Decimal
    upl: Decimal
    locked: Decimal
    position_im: Decimal
    position_mm: Decimal
    order_im: Decimal

    @property
    def equity(self) -> Decimal:
        """Give cash plus unrealised results of cross positions."""
        return self.wallet + self.upl

    @property
    def available(self) -> Decimal:
        """Give what new orders may use."""
        return self.equity - self.position_im - self.order_im - self.locked


def leverage_of(state: VenueState, uid: int, symbol: str) -> Decimal:
    """Give the leverage set for a symbol, 10 when the account never set one."""
    return state.accounts[uid].leverage.get(symbol, DEFAULT_LEVERAGE)


def mark_of(state: VenueState, position: Position) -> Decimal:
    """Give the mark price, or the entry price while the price source is silent."""
    quote = state.quote(LINEAR, position.symbol)
    return position.avg_price if quote is None else quote.mark


def unrealised(state: VenueState, position: Position, mark: Decimal | None = None) -> Decimal:
    """Value a position against its cost at a mark price (the current one by default)."""
    price = mark_of(state, position) if mark is None else mark
    return position.size * price - position.cost


def maintenance(state: VenueState, position: Position, mark: Decimal | None = None) -> Decimal:
    """Give the maintenance margin at a mark price (the current one by default)."""
    price = mark_of(state, position) if mark is None else mark
    return abs(position.size) * price * state.instruments[LINEAR, position.symbol].mmr


def initial(state: VenueState, position: Position) -> Decimal:
    """Give the initial margin a position ties up: its own when isolated, mark value over leverage in cross."""
    if state.accounts[position.uid].margin_mode == "ISOLATED_MARGIN":
        return position.margin
    return abs(position.size) * mark_of(state, position) / leverage_of(state, position.uid, position.symbol)


def locked_of(state: VenueState, uid: int, coin: str) -> Decimal:
    """Add up what open spot orders hold of a coin."""
    return sum((order.locked for order in state.opens(uid) if order.locked and _lock_coin(state, order) == coin), ZERO)


def order_margin(state: VenueState, uid: int) -> Decimal:
    """Add up the margin that resting linear orders reserve."""
    return sum((order.locked for order in state.opens(uid) if order.category == LINEAR), ZERO)


def margin_of(state: VenueState, uid: int) -> Margin:
    """Work out an account's margin figures at current marks."""
    upl = im = mm = ZERO
    isolated = state.accounts[uid].margin_mode == "ISOLATED_MARGIN"
    for position in state.positions_of(uid):
        result = unrealised(state, position)
        upl += ZERO if isolated else result
        im += initial(state, position)
        mm += maintenance(state, position)
    return Margin(
        wallet=state.books.balance(uid, "USDT"),
        upl=upl,
        locked=locked_of(state, uid, "USDT"),
        position_im=im,
        position_mm=mm,
        order_im=order_margin(state, uid),
    )


def free_of(state: VenueState, uid: int, coin: str) -> Decimal:
    """Give what a spot order may spend of a coin now."""
    free = state.books.balance(uid, coin) - locked_of(state, uid, coin)
    if coin != "USDT":
        return free
    return min(free, margin_of(state, uid).available)


def liquidation_price(state: VenueState, position: Position) -> Decimal | None:
    """Estimate the mark price at which a position is liquidated, other positions standing still; None when never."""
    if not position.size:
        return None
    mmr = state.instruments[LINEAR, position.symbol].mmr
    if state.accounts[position.uid].margin_mode == "ISOLATED_MARGIN":
        return (position.cost - position.margin + mmr * abs(position.cost)) / position.size
    figures = margin_of(state, position.uid)
    others = figures.position_mm - maintenance(state, position)
    cushion = figures.equity - unrealised(state, position) - others
    # cushion + size * p - cost = |size| * p * mmr, solved for p
    price = (position.cost - cushion) / (position.size - abs(position.size) * mmr)
    return price if price > ZERO else None


def _lock_coin(state: VenueState, order: Order) -> str:
    if order.category != SPOT:
        return ""
    instrument = state.instruments[order.category, order.symbol]
    return instrument.quote if order.side == "Buy" else instrument.base
