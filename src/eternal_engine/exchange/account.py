"""What an account holds and may do: wallet, positions, key, margin, fees, and the exchange's own ledger rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from eternal_engine.exchange.terms import MarginMode, PositionSide


@dataclass(frozen=True, slots=True)
class CoinBalance:
    """Hold one coin of a wallet, in units of that coin; `usd_value` is the exchange's own valuation."""

    coin: str
    wallet_qty: Decimal
    equity_qty: Decimal | None
    locked_qty: Decimal
    borrowed_qty: Decimal | None
    interest_qty: Decimal | None
    order_margin: Decimal | None
    position_margin: Decimal | None
    unrealised_pnl: Decimal | None
    realised_pnl_total: Decimal | None
    usd_value: Decimal | None
    is_collateral: bool | None
    collateral_switch: bool | None

    @property
    def spendable_qty(self) -> Decimal:
        """Return what spot orders may use: the wallet less locks, margin and losses not yet taken."""
        margin = (self.order_margin or Decimal(0)) + (self.position_margin or Decimal(0))
        loss = min(Decimal(0), self.unrealised_pnl or Decimal(0))
        return max(Decimal(0), self.wallet_qty - self.locked_qty - margin + loss)


@dataclass(frozen=True, slots=True)
class Wallet:
    """Hold a unified wallet. Totals are in USD and None where the margin mode has no such figure."""

    account_type: str
    total_equity_usd: Decimal | None
    total_wallet_usd: Decimal | None
    total_margin_usd: Decimal | None
    available_usd: Decimal | None
    perp_unrealised_usd: Decimal | None
    initial_margin_usd: Decimal | None
    maintenance_margin_usd: Decimal | None
    initial_margin_frac: Decimal | None
    maintenance_margin_frac: Decimal | None
    coins: tuple[CoinBalance, ...]

    def coin(self, name: str) -> CoinBalance | None:
        """Return the row of one coin, or None: the exchange lists only coins that are not zero."""
        return next((row for row in self.coins if row.coin == name), None)


@dataclass(frozen=True, slots=True)
class Position:
    """Hold one perpetual position, or the flat row of a symbol: `side` None, `qty` 0.

    `qty` in base coins and never negative; prices and money in USDT. `liquidation_price` is None where there is none
    and only an estimate under cross margin.
    """

    symbol: str
    side: PositionSide | None
    qty: Decimal
    entry_price: Decimal | None
    mark_price: Decimal | None
    liquidation_price: Decimal | None
    value_usdt: Decimal | None
    leverage: Decimal | None
    initial_margin_usdt: Decimal | None
    maintenance_margin_usdt: Decimal | None
    unrealised_pnl_usdt: Decimal | None
    realised_pnl_usdt: Decimal | None
    realised_pnl_total_usdt: Decimal | None
    stop_loss: Decimal | None
    take_profit: Decimal | None
    trailing_stop: Decimal | None
    position_idx: int
    status: str
    is_reduce_only: bool
    seq: int | None
    created_at: datetime | None
    updated_at: datetime | None


@dataclass(frozen=True, slots=True)
class AccountInfo:
    """Hold how an account is set: `unified_status` 3 to 6 is a unified account, 1 is the classic one."""

    unified_status: int
    margin_mode: MarginMode
    spot_hedging: bool | None
    is_master_trader: bool | None
    updated_at: datetime | None


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """Hold what an API key may do. `permissions` maps a group ("Spot", "Wallet", ...) to its rights."""

    user_id: int
    read_only: bool
    permissions: tuple[tuple[str, tuple[str, ...]], ...]
    ips: tuple[str, ...]
    expires_at: datetime | None
    is_master: bool | None
    parent_uid: str

    def may(self, group: str, right: str) -> bool:
        """Tell whether the key carries one right; a read-only key carries none."""
        return not self.read_only and any(name == group and right in rights for name, rights in self.permissions)


@dataclass(frozen=True, slots=True)
class FeeRate:
    """Hold the fees of one symbol as fractions of the value traded."""

    symbol: str
    taker_frac: Decimal
    maker_frac: Decimal


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """Hold one row of the exchange's transaction log, in `coin`: what changed the wallet, and the balance after it.

    `funding` > 0 was received (the opposite sign of an execution's fee, fact 18).
    """

    row_id: str
    kind: str
    coin: str
    symbol: str
    market_category: str
    side: str
    funding: Decimal | None
    fee: Decimal | None
    cash_flow: Decimal
    change: Decimal
    balance: Decimal
    qty: Decimal | None
    price: Decimal | None
    client_order_id: str
    venue_order_id: str
    trade_id: str
    at: datetime
