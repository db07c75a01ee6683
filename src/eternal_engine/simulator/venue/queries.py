"""What an account may read back: open orders, histories with their windows and deletions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from eternal_engine.simulator.venue.entities import ZERO, ClosedPnl, Execution, LogRow, Order, VenueReject
from eternal_engine.simulator.venue.state import VenueState

Row = TypeVar("Row")
DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS
RECENT_CLOSED = 500
FORGOTTEN_AFTER_DAY = frozenset({"Cancelled", "Rejected", "Deactivated"})


@dataclass(frozen=True, slots=True)
class Window:
    """Hold a time window in ms, both ends included."""

    start_ms: int
    end_ms: int

    def holds(self, time_ms: int) -> bool:
        """Tell whether an instant lies inside."""
        return self.start_ms <= time_ms <= self.end_ms


def window_of(now_ms: int, start_ms: int | None, end_ms: int | None, *, span_ms: int = WEEK_MS) -> Window:
    """Complete a window as the exchange does: one bound given implies the other, none means the last span."""
    if start_ms is not None and end_ms is not None:
        if end_ms < start_ms:
            raise VenueReject(10001, "The start time cannot be later than the end time.")
        if end_ms - start_ms > WEEK_MS:
            raise VenueReject(10001, "The time range between startTime and endTime cannot exceed 7 days.")
        return Window(start_ms, end_ms)
    if start_ms is not None:
        return Window(start_ms, start_ms + span_ms)
    if end_ms is not None:
        return Window(end_ms - span_ms, end_ms)
    return Window(now_ms - span_ms, now_ms)


def find_order(state: VenueState, uid: int, order_id: str, link_id: str) -> Order | None:
    """Find one order of an account; the exchange's id wins over the client's."""
    key = order_id or state.links.get((uid, link_id), "")
    found = state.orders.get(key)
    return found if found is not None and found.uid == uid else None


def realtime(
    state: VenueState,
    uid: int,
    category: str,
    *,
    symbol: str = "",
    base: str = "",
    order_id: str = "",
    link_id: str = "",
    closed_too: bool = False,
    order_filter: str = "",
    unseen_too: bool = False,
) -> list[Order]:
    """List open orders, newest first; with an id also a recently closed one, as long as it is remembered."""
    if order_id or link_id:
        found = find_order(state, uid, order_id, link_id)
        rows: Iterable[Order] = [] if found is None else [found]
        if found is not None and not found.is_open and found not in _recent_closed(state, uid, category):
            rows = []
    elif closed_too:
        rows = _recent_closed(state, uid, category)
    else:
        rows = state.opens(uid)
    kept = [
        order
        for order in rows
        if order.category == category
        and (not symbol or order.symbol == symbol)
        and (not base or state.instruments[order.category, order.symbol].base == base)
        and (not order_filter or _filter_of(order) == order_filter)
        and (unseen_too or order.visible_ms <= state.now_ms)
    ]
    return sorted(kept, key=lambda order: (order.created_ms, order.number), reverse=True)


def history(
    state: VenueState,
    uid: int,
    category: str,
    *,
    symbol: str = "",
    base: str = "",
    order_id: str = "",
    link_id: str = "",
    status: str = "",
    window: Window,
) -> list[Order]:
    """List closed orders, newest first; those that never traded are forgotten after a day (all after 7 on demo)."""
    if status in {"New", "PartiallyFilled", "Untriggered"}:
        raise VenueReject(181017, "OrderStatus must be final status")
    if order_id or link_id:
        found = find_order(state, uid, order_id, link_id)
        rows: Iterable[Order] = [] if found is None or found.is_open else [found]
    else:
        # An order closes after it was created, and rows stand in the order in which they closed.
        rows = _newest(state.closed.get(uid, ()), window.start_ms, lambda order: order.updated_ms)
    kept = [
        order
        for order in rows
        if order.category == category
        and (not symbol or order.symbol == symbol)
        and (not base or state.instruments[order.category, order.symbol].base == base)
        and (not status or order.status == status)
        and (order_id or link_id or window.holds(order.created_ms))
        and _remembered(state, order)
    ]
    return sorted(kept, key=lambda order: (order.created_ms, order.number), reverse=True)


def executions(
    state: VenueState,
    uid: int,
    category: str,
    *,
    symbol: str = "",
    base: str = "",
    order_id: str = "",
    link_id: str = "",
    exec_type: str = "",
    window: Window,
) -> list[Execution]:
    """List fills and fundings, newest first; with an order id every other filter is ignored."""
    every = state.executions.get(uid, ())
    if order_id or link_id:
        found = find_order(state, uid, order_id, link_id)
        rows = _newest(every, 0 if found is None else found.created_ms, lambda row: row.time_ms)
        kept = [row for row in rows if (row.order_id == order_id if order_id else row.link_id == link_id)]
    else:
        kept = [
            row
            for row in _newest(every, window.start_ms, lambda row: row.time_ms)
            if row.category == category
            and (not symbol or row.symbol == symbol)
            and (not base or state.instruments[row.category, row.symbol].base == base)
            and (not exec_type or row.exec_type == exec_type)
            and window.holds(row.time_ms)
        ]
    return sorted(kept, key=lambda row: (row.time_ms, row.seq), reverse=True)


def transaction_log(
    state: VenueState, uid: int, *, category: str = "", coin: str = "", base: str = "", kind: str = "", window: Window
) -> list[LogRow]:
    """List wallet movements, newest first."""
    rows = _newest(state.logs.get(uid, ()), window.start_ms, lambda row: row.time_ms)
    return [
        row
        for row in rows
        if (not category or row.category == category)
        and (not coin or row.coin == coin)
        and (not base or row.symbol.startswith(base))
        and (not kind or row.kind == kind)
        and window.holds(row.time_ms)
    ]


def closed_pnl(state: VenueState, uid: int, *, symbol: str = "", window: Window) -> list[ClosedPnl]:
    """List results of closing orders, newest first."""
    rows = state.closed_pnl.get(uid, {}).values()
    kept = [row for row in rows if (not symbol or row.symbol == symbol) and window.holds(row.created_ms)]
    return kept[::-1]


def _newest(rows: Sequence[Row], since_ms: int, time_of: Callable[[Row], int]) -> Iterator[Row]:
    """Go through rows from the newest on, and stop a day before `since_ms`: settlements may be noted a little late."""
    for row in reversed(rows):
        if time_of(row) < since_ms - DAY_MS:
            return
        yield row


def _filter_of(order: Order) -> str:
    if order.category == "linear":
        return "StopOrder" if order.status == "Untriggered" else "Order"
    return order.order_filter


def _recent_closed(state: VenueState, uid: int, category: str) -> list[Order]:
    rows = state.closed.get(uid, ())
    found: list[Order] = []
    for order in reversed(rows):
        if order.updated_ms < state.started_ms:
            break
        if order.category == category:
            found.append(order)
            if len(found) == RECENT_CLOSED:
                break
    return found


def _remembered(state: VenueState, order: Order) -> bool:
    if order.updated_ms + state.config.history_delay_ms > state.now_ms:
        return False
    age = state.now_ms - order.updated_ms
    if order.status in FORGOTTEN_AFTER_DAY and order.cum_qty == ZERO and age > DAY_MS:
        return False
    return not (state.config.demo and age > WEEK_MS)
