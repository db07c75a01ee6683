"""Set an account up for trading: leverage, margin mode, one-way positions. Each call may be repeated at every start."""

from __future__ import annotations

from decimal import Decimal

from eternal_engine.exchange.bybit import endpoints, wire
from eternal_engine.exchange.bybit.caller import Caller
from eternal_engine.exchange.bybit.holdings import AccountReader
from eternal_engine.exchange.bybit.paging import Params
from eternal_engine.exchange.bybit.wire import words
from eternal_engine.exchange.capability import Capability
from eternal_engine.exchange.terms import MarginMode
from eternal_engine.model.errors import AlreadyDone, ExchangeError, RejectedForGood, Unsupported

ONE_WAY = 0
MODE_BLOCKED = frozenset({110024, 110028})
MARGIN_NOT_OFFERED = 110073
MARGIN_BLOCKED = 3400045


class AccountSetup:
    """Implement the settings of `exchange.port.TradingAccount` over the wire."""

    def __init__(self, caller: Caller, reader: AccountReader) -> None:
        self._caller = caller
        self._reader = reader

    async def leverage(self, symbol: str, leverage: Decimal) -> None:
        """Set the leverage of a perpetual; an unchanged one is success."""
        text = wire.write_number(leverage)
        params: Params = {"category": "linear", "symbol": symbol, "buyLeverage": text, "sellLeverage": text}
        await self._caller.set_value(endpoints.LEVERAGE, params, f"set-leverage {symbol}")

    async def margin_mode(self, mode: MarginMode) -> None:
        """Set the margin mode of the whole account; an unchanged one is success and sends nothing.

        Raises Unsupported where the account keeps cross margin (the demo; 110073 means the same, bybit-v5 2.6), and
        RejectedForGood while positions or orders are open.
        """
        where = f"set-margin-mode {mode}"
        if (await self._reader.account_info()).margin_mode is mode:
            return
        if mode is not MarginMode.CROSS:
            self._caller.need(Capability.ISOLATED_MARGIN, where)
        params: Params = {"setMarginMode": words.MARGIN.write(mode)}
        try:
            reply = await self._caller.call(endpoints.MARGIN_MODE, params, where)
        except AlreadyDone:
            return
        except RejectedForGood as error:
            raise self._margin_refused(mode, error) from error
        if reply.answer.result.get("reasons"):
            raise RejectedForGood(
                f"{mode} margin was refused: {reply.answer.result['reasons']!r}",
                where=f"{self._caller.account}: {where}",
                mend="settle the reasons on the exchange's site",
            )

    def _margin_refused(self, mode: MarginMode, error: RejectedForGood) -> ExchangeError:
        if error.code == MARGIN_NOT_OFFERED:
            return Unsupported(
                f"the exchange refused {mode} margin for this account",
                code=error.code,
                where=error.where,
                mend=self._caller.capabilities.instead(Capability.ISOLATED_MARGIN),
            )
        if error.code != MARGIN_BLOCKED:
            return error
        return RejectedForGood(
            f"{mode} margin cannot be set while positions or orders are open: {error.message}",
            code=error.code,
            where=error.where,
            mend="close them first; the margin mode is that of the whole account",
        )

    async def one_way(self, symbol: str) -> None:
        """Make a perpetual hold one position, not a long beside a short; nothing is sent when it does.

        The rows of a symbol tell its mode (1.1, 2.5): index 0, or 1 and 2. Raises RejectedForGood while the hedge mode
        is held up by a position or an order: every order of this program would be refused or land beside it.
        """
        if all(row.position_idx == ONE_WAY for row in await self._reader.positions(symbol)):
            return
        params: Params = {"category": "linear", "symbol": symbol, "mode": ONE_WAY}
        try:
            await self._caller.set_value(endpoints.POSITION_MODE, params, f"switch-mode {symbol}")
        except RejectedForGood as error:
            if error.code not in MODE_BLOCKED:
                raise
            raise RejectedForGood(
                f"{symbol} is in hedge mode and has a position or an order: {error.message}",
                code=error.code,
                where=error.where,
                mend=f"close the positions and orders of {symbol} on the exchange's site, then start again",
            ) from error
