"""Money that moved without a trade, as a line of the account's transaction log."""

from __future__ import annotations

from decimal import Decimal

from eternal_engine.simulator.venue.entities import ZERO, LogRow
from eternal_engine.simulator.venue.state import VenueState


def log_cash(state: VenueState, uid: int, coin: str, amount: Decimal, kind: str, trade_id: str = "") -> None:
    """Note a wallet's move after it was made: `amount` is signed; the line's own id stands in for `trade_id`."""
    row_id = f"{uid}_{coin}_{state.next_number()}"
    state.note_log(
        LogRow(
            uid=uid,
            row_id=row_id,
            kind=kind,
            category="",
            symbol="",
            side="None",
            coin=coin,
            qty=abs(amount),
            size=ZERO,
            price=ZERO,
            funding=ZERO,
            fee=ZERO,
            fee_rate=ZERO,
            cash_flow=amount,
            change=amount,
            balance=state.books.balance(uid, coin),
            order_id="",
            link_id="",
            trade_id=trade_id or row_id,
            time_ms=state.now_ms,
        )
    )
    state.note_wallet(uid)
