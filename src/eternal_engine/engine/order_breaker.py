"""The order breaker: an engine whose entries keep being refused waits for the operator (ORD-3), pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from eternal_engine.engine.timing import ms_of
from eternal_engine.model.event import Noted
from eternal_engine.model.ids import Engine, Leg, RuleId
from eternal_engine.model.order import Order, OrderState
from eternal_engine.storage.projection import StoredOrder

REFUSED_IN_A_ROW: Final = 5
# A pair that is bought and undone again every hour costs two spreads and fees each time.
UNDONE_IN_A_ROW: Final = 3
_ENTRIES: Final = frozenset(
    {Leg.BUY, Leg.ENTRY, Leg.LEVEL_1, Leg.LEVEL_2, Leg.FEAR_GREED, Leg.CAPITULATION, Leg.MANUAL, Leg.PERP_OPEN}
)
_FAILED: Final = frozenset({OrderState.REJECTED, OrderState.ABANDONED})


def keeps_failing(engine: Engine, orders: Iterable[StoredOrder], resumed_ms: int) -> bool:
    """Tell whether an engine's last entries have all been refused or undone since the operator's last resume.

    `orders` are all on record, newest first; `resumed_ms` is since the epoch, 0 for never.
    """
    refused = undone = 0
    for stored in orders:
        order, leg = stored.order, stored.order.intent.key.leg
        if stored.account is not engine.account or not _speaks(order):
            continue
        if ms_of(stored.planned_at) <= resumed_ms or order.state not in _FAILED:
            return False
        refused, undone = refused + 1, undone + (leg is Leg.PERP_OPEN)
        if refused == REFUSED_IN_A_ROW or undone == UNDONE_IN_A_ROW:
            return True
    return False


def _speaks(order: Order) -> bool:
    """Tell whether an order says how its engine's entries fare; a pair's first leg does only where it was refused."""
    leg = order.intent.key.leg
    if leg is Leg.SPOT_OPEN:
        return order.state is OrderState.REJECTED
    # Given up before it was sent, an entry says nothing; a second leg left its first alone.
    return leg in _ENTRIES and (order.state is not OrderState.ABANDONED or leg is Leg.PERP_OPEN)


def opened(engine: Engine, at: datetime) -> Noted:
    """Give the note that the breaker is open."""
    words = "order breaker: one entry after the other was refused; entries wait for `eternal resume`"
    return Noted(at, RuleId("ORD-3"), words, engine)
