"""The venue: one object to open accounts, trade, let time pass and look, with exact books and no I/O."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from decimal import Decimal

from eternal_engine.simulator.venue import intake, lifecycle, queries, stops, sweeping, working
from eternal_engine.simulator.venue.audit import audit
from eternal_engine.simulator.venue.cash_log import log_cash
from eternal_engine.simulator.venue.checks import check_position_idx
from eternal_engine.simulator.venue.entities import (
    ATOM,
    ZERO,
    Account,
    MarginMode,
    Order,
    OrderRequest,
    Position,
    Quote,
    Range,
    Transfer,
    VenueEvent,
    VenueReject,
)
from eternal_engine.simulator.venue.instruments import LINEAR, SPOT, Category, Instrument
from eternal_engine.simulator.venue.margin import Margin, free_of, margin_of
from eternal_engine.simulator.venue.matching import is_multiple
from eternal_engine.simulator.venue.state import Key, VenueConfig, VenueState


class Venue:
    """Trade accounts against a price source, exactly and repeatably.

    Time only moves by `advance`, prices only by `set_quotes` and `sweep`. Everything refused raises VenueReject with
    the exchange's code. `state` is open for reading (servers, stores, tests); only the venue's functions change it.
    """

    def __init__(
        self, config: VenueConfig | None = None, *, now_ms: int, instruments: dict[Key, Instrument] | None = None
    ) -> None:
        self.state = VenueState(config or VenueConfig(), now_ms, instruments)

    # --- accounts ----------------------------------------------------------------------------------------------

    def open_account(self, name: str, *, parent_uid: int = 0) -> Account:
        """Open an account with keys derived from the venue's salt, so that a restart finds the same ones."""
        uid = self.state.config.first_uid + len(self.state.accounts)
        digest = hashlib.blake2b(f"{self.state.config.salt}:{name}:{uid}".encode(), digest_size=27).hexdigest()
        account = Account(uid, name, digest[:18], digest[18:], parent_uid=parent_uid, created_ms=self.state.now_ms)
        self.state.note_account(account)
        return account

    def account_of_key(self, api_key: str) -> Account:
        """Find the account an API key belongs to."""
        return self.state.account(self.state.uid_of_key.get(api_key, 0))

    def deposit(self, uid: int, coin: str, amount: Decimal) -> Decimal:
        """Bring coins in from outside (a negative amount takes them out), declared to the audit."""
        self.state.account(uid)
        if self.state.books.balance(uid, coin) + amount < ZERO:
            raise VenueReject(131228, "your balance is not enough")
        moved = self.state.books.deposit(uid, coin, amount)
        log_cash(self.state, uid, coin, moved, "DEPOSIT" if moved > 0 else "WITHDRAW")
        return self.state.books.balance(uid, coin)

    def transfer(self, transfer_id: str, from_uid: int, to_uid: int, coin: str, amount: Decimal) -> Transfer:
        """Move coins between two accounts of one family; the client's id makes it happen once only."""
        if transfer_id in self.state.transfers:
            raise VenueReject(131214, "transferId already exists")
        self.state.account(from_uid)
        self.state.account(to_uid)
        if from_uid == to_uid:
            raise VenueReject(10001, "params error: fromMemberId and toMemberId are the same account")
        if amount.quantize(ATOM) <= ZERO:
            raise VenueReject(131203, "amount must be greater than zero")
        if amount > free_of(self.state, from_uid, coin):
            raise VenueReject(131212, "user insufficient balance")
        moved = self.state.books.move(from_uid, to_uid, coin, amount)
        row = Transfer(transfer_id, from_uid, to_uid, coin, moved, self.state.now_ms)
        self.state.note_transfer(row)
        log_cash(self.state, from_uid, coin, -moved, "TRANSFER_OUT", transfer_id)
        log_cash(self.state, to_uid, coin, moved, "TRANSFER_IN", transfer_id)
        return row

    def set_leverage(self, uid: int, symbol: str, leverage: Decimal) -> None:
        """Set a symbol's leverage; setting what is set already is refused with 110043."""
        account = self.state.account(uid)
        instrument = self.linear(symbol)
        if not 1 <= leverage <= instrument.max_leverage or not is_multiple(leverage, Decimal("0.01")):
            raise VenueReject(110013, f"cannot set leverage [{leverage}] gt maxLeverage [{instrument.max_leverage}]")
        if account.leverage.get(symbol) == leverage:
            raise VenueReject(110043, "leverage not modified")
        account.leverage[symbol] = leverage
        self.state.note_account(account)

    def set_margin_mode(self, uid: int, mode: MarginMode) -> None:
        """Switch between cross and isolated margin; not with open positions or orders, not on demo."""
        account = self.state.account(uid)
        busy = bool(self.state.positions_of(uid)) or any(o.category == LINEAR for o in self.state.opens(uid))
        if self.state.config.demo and mode == "ISOLATED_MARGIN":
            raise VenueReject(110073, "Set margin mode failed")
        if busy and mode != account.margin_mode:
            raise VenueReject(3400045, "Set margin mode failed")
        account.margin_mode = mode
        self.state.note_account(account)

    def switch_mode(self, uid: int, symbol: str, *, hedge: bool) -> None:
        """Switch a symbol between one-way and hedge mode."""
        account = self.state.account(uid)
        self.linear(symbol)
        if (symbol in account.hedge_symbols) == hedge:
            raise VenueReject(110025, "Position mode is not modified")
        if any(row.symbol == symbol for row in self.state.positions_of(uid)):
            raise VenueReject(110024, "You have an existing position, so the position mode cannot be switched.")
        if any(order.symbol == symbol and order.category == LINEAR for order in self.state.opens(uid)):
            raise VenueReject(110028, "You have existing open orders, so the position mode cannot be switched.")
        if hedge:
            account.hedge_symbols.append(symbol)
        else:
            account.hedge_symbols.remove(symbol)
        self.state.note_account(account)

    # --- orders ------------------------------------------------------------------------------------------------

    def create_order(self, uid: int, request: OrderRequest) -> Order:
        """Accept an order or raise VenueReject; acceptance says nothing about its fate."""
        return intake.create(self.state, uid, request)

    def doom_next_order(self) -> None:
        """Let the next accepted order be rejected afterwards, as the exchange may at any time."""
        self.state.doomed += 1

    def find_order(self, uid: int, category: Category, order_id: str = "", link_id: str = "") -> Order:
        """Find an order for a change; raise the exchange's "not found" of its category."""
        found = queries.find_order(self.state, uid, order_id, link_id)
        if found is None or found.category != category:
            raise lifecycle.too_late(category)
        return found

    def cancel_order(self, uid: int, category: Category, order_id: str = "", link_id: str = "") -> Order:
        """Cancel one open order."""
        order = self.find_order(uid, category, order_id, link_id)
        lifecycle.cancel(self.state, uid, order)
        return order

    def cancel_all(
        self, uid: int, category: Category, *, symbol: str = "", base: str = "", order_filter: str = ""
    ) -> list[Order]:
        """Cancel many open orders; bare on spot leaves conditional and TP/SL orders alone."""
        wanted = order_filter or ("Order" if category == SPOT else "")
        rows = queries.realtime(
            self.state, uid, category, symbol=symbol, base=base, order_filter=wanted, unseen_too=True
        )
        for order in rows:
            if order.is_open:
                lifecycle.cancel(self.state, uid, order)
        return rows

    def amend_order(
        self,
        uid: int,
        category: Category,
        order_id: str = "",
        link_id: str = "",
        *,
        qty: Decimal | None = None,
        price: Decimal | None = None,
        trigger_price: Decimal | None = None,
        take_profit: Decimal | None = None,
        stop_loss: Decimal | None = None,
    ) -> Order:
        """Change an open order."""
        order = self.find_order(uid, category, order_id, link_id)
        intake.amend(
            self.state,
            uid,
            order,
            qty=qty,
            price=price,
            trigger_price=trigger_price,
            take_profit=take_profit,
            stop_loss=stop_loss,
        )
        return order

    def set_trading_stop(
        self,
        uid: int,
        symbol: str,
        idx: int,
        *,
        take_profit: Decimal | None = None,
        stop_loss: Decimal | None = None,
        trailing_stop: Decimal | None = None,
        active_price: Decimal | None = None,
        tp_trigger_by: str = "LastPrice",
        sl_trigger_by: str = "LastPrice",
    ) -> None:
        """Set (or with zero remove) a position's protective orders; 34040 when nothing changes."""
        instrument = self.linear(symbol)
        check_position_idx(self.state, uid, symbol, idx)
        position = self.state.position(uid, symbol, idx)
        if not position.size:
            raise VenueReject(10001, "can not set tp/sl/ts for zero position")
        self._check_stop_sides(position, take_profit, stop_loss, instrument)
        changed = False
        for kind, price, by in (("TakeProfit", take_profit, tp_trigger_by), ("StopLoss", stop_loss, sl_trigger_by)):
            if price is not None:
                changed |= stops.set_position_stop(self.state, uid, symbol, idx, kind=kind, price=price, by=by)
        if trailing_stop is not None and trailing_stop != position.trailing_stop:
            position.trailing_stop = trailing_stop
            position.trailing_active = active_price or ZERO
            position.trailing_best = ZERO
            self.state.note_position(position)
            changed = True
        if not changed:
            raise VenueReject(34040, "not modified")

    # --- time and prices ---------------------------------------------------------------------------------------

    def advance(self, now_ms: int) -> None:
        """Let time pass: orders whose matching delay is over are worked, in the order they came."""
        if now_ms < self.state.now_ms:
            raise ValueError(f"time cannot go back from {self.state.now_ms} to {now_ms}")
        self.state.now_ms = now_ms
        due = [
            order
            for orders in self.state.open_orders.values()
            for order in orders.values()
            if order.live_ms and order.live_ms <= now_ms and (order.category, order.symbol) not in self.state.halted
        ]
        for order in sorted(due, key=lambda row: row.number):
            working.work(self.state, order)

    def set_quotes(self, quotes: dict[Key, Quote]) -> None:
        """Take new prices without letting them touch anything: the open of a bar, at which waiting orders trade."""
        self.state.quotes.update(quotes)
        self.state.halted.difference_update(quotes)
        self.advance(self.state.now_ms)

    def halt(self, category: Category, symbol: str, last: Quote | None = None) -> None:
        """Note that a symbol has no market now: its orders wait for the next price, and `last` is what it is marked at.

        Without `last` the mark stays what it is.
        """
        if last is not None:
            self.state.quotes[category, symbol] = last
        self.state.halted.add((category, symbol))

    def tick(self, quotes: dict[Key, Quote]) -> None:
        """Take new prices in running time: they trigger, fill and liquidate what they touch."""
        self.set_quotes(quotes)
        self.sweep({key: _still(quote) for key, quote in quotes.items()})

    def sweep(self, ranges: dict[Key, Range]) -> None:
        """Let a whole bar pass: triggers, resting fills and liquidations by its extremes (rule U-11)."""
        sweeping.sweep(self.state, ranges)

    def settle_funding(self, symbol: str, rate: Decimal, mark: Decimal, stamp_ms: int) -> None:
        """Settle funding of one perpetual on the positions held now."""
        sweeping.settle_funding(self.state, symbol, rate, mark, stamp_ms)

    def change_instrument(self, instrument: Instrument) -> None:
        """Change the rules of a symbol; a status of Closed takes it off the market."""
        self.state.instruments[instrument.category, instrument.symbol] = instrument
        self.state.dirty["instrument", f"{instrument.category}:{instrument.symbol}"] = instrument
        if instrument.status in {"Closed", "Delisted"}:
            sweeping.delist(self.state, instrument.category, instrument.symbol)

    def set_status(self, category: Category, symbol: str, status: str) -> None:
        """Change only the trading status of a symbol."""
        self.change_instrument(replace(self.state.instruments[category, symbol], status=status))

    # --- looking -----------------------------------------------------------------------------------------------

    def linear(self, symbol: str) -> Instrument:
        """Find a perpetual or refuse."""
        found = self.state.instruments.get((LINEAR, symbol))
        if found is None:
            raise VenueReject(10001, "params error: symbol invalid")
        return found

    def balance(self, uid: int, coin: str) -> Decimal:
        """Read the wallet balance of a coin."""
        return self.state.books.balance(uid, coin)

    def free(self, uid: int, coin: str) -> Decimal:
        """Read what a spot order may spend of a coin."""
        return free_of(self.state, uid, coin)

    def margin(self, uid: int) -> Margin:
        """Read an account's margin figures."""
        return margin_of(self.state, uid)

    def audit(self) -> tuple[str, ...]:
        """Check the books; an empty answer means they balance exactly."""
        return audit(self.state)

    def take_events(self) -> list[VenueEvent]:
        """Hand over what was announced since the last call."""
        return self.state.take_events()

    def _check_stop_sides(
        self, position: Position, take_profit: Decimal | None, stop_loss: Decimal | None, instrument: Instrument
    ) -> None:
        quote = self.state.quote(LINEAR, position.symbol)
        base = position.avg_price if quote is None else quote.mark
        long = position.size > ZERO
        for name, price, above in (("TakeProfit", take_profit, long), ("StopLoss", stop_loss, not long)):
            if not price:
                continue
            if not is_multiple(price, instrument.tick):
                raise VenueReject(10001, f"{name} is not a multiple of the tick size")
            if (price <= base) if above else (price >= base):
                side = "higher" if above else "lower"
                raise VenueReject(10001, f"{name}:{price:f} set for position should be {side} than base_price:{base:f}")


def _still(quote: Quote) -> Range:
    return Range(
        open=quote.last,
        low=quote.last,
        high=quote.last,
        close=quote.last,
        mark_low=quote.mark,
        mark_high=quote.mark,
        index_low=quote.index,
        index_high=quote.index,
    )
