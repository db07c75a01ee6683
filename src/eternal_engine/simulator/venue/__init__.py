"""The pure exchange: accounts, wallets, matching, positions, funding and its own audit, in exact Decimals."""

from eternal_engine.simulator.venue.entities import (
    Account,
    ClosedPnl,
    Execution,
    LogRow,
    Order,
    OrderRequest,
    Position,
    Quote,
    Range,
    Transfer,
    VenueEvent,
    VenueReject,
)
from eternal_engine.simulator.venue.instruments import LINEAR, SPOT, Instrument, default_instruments
from eternal_engine.simulator.venue.matching import MarketShape
from eternal_engine.simulator.venue.state import FeeRates, VenueConfig
from eternal_engine.simulator.venue.venue import Venue

__all__ = [
    "LINEAR",
    "SPOT",
    "Account",
    "ClosedPnl",
    "Execution",
    "FeeRates",
    "Instrument",
    "LogRow",
    "MarketShape",
    "Order",
    "OrderRequest",
    "Position",
    "Quote",
    "Range",
    "Transfer",
    "Venue",
    "VenueConfig",
    "VenueEvent",
    "VenueReject",
    "default_instruments",
]
