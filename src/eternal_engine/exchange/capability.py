"""What each environment can do. The demo lacks several calls (bybit-v5 4): the daemon asks here before it calls."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Environment(StrEnum):
    """Name where orders go."""

    PAPER = "paper"
    DEMO = "demo"
    LIVE = "live"


class Capability(StrEnum):
    """Name a call that some environments lack."""

    FEE_RATE = "fee_rate"
    TRANSFER = "transfer"
    SUB_ACCOUNTS = "sub_accounts"
    KEY_INFO = "key_info"
    DEMO_FUNDS = "demo_funds"
    ISOLATED_MARGIN = "isolated_margin"
    PUBLIC_STREAM_ON_HOST = "public_stream_on_host"
    ORDER_HISTORY_BEYOND_7_DAYS = "order_history_beyond_7_days"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Hold what one environment offers; `instead` says what the daemon does without a call."""

    environment: Environment
    offered: frozenset[Capability]

    def has(self, capability: Capability) -> bool:
        """Tell whether the environment offers the call."""
        return capability in self.offered

    def instead(self, capability: Capability) -> str:
        """Return the sentence on what happens without the call."""
        return _INSTEAD[capability]


_INSTEAD = {
    Capability.FEE_RATE: "the configured fees are used",
    Capability.TRANSFER: "transfers between engines are booked in the daemon's ledger only",
    Capability.SUB_ACCOUNTS: "sub-accounts are made by hand in the exchange's site",
    Capability.KEY_INFO: "the rights of the key show at the first order",
    Capability.DEMO_FUNDS: "deposit real money",
    Capability.ISOLATED_MARGIN: "cross margin is kept",
    Capability.PUBLIC_STREAM_ON_HOST: "the public stream of the main site is used",
    Capability.ORDER_HISTORY_BEYOND_7_DAYS: "orders older than seven days are known from the journal only",
}

_LIVE = frozenset(Capability) - {Capability.DEMO_FUNDS}

CAPABILITIES: dict[Environment, Capabilities] = {
    Environment.LIVE: Capabilities(Environment.LIVE, _LIVE),
    # The embedded exchange in its live profile, which also deals out demo funds.
    Environment.PAPER: Capabilities(Environment.PAPER, _LIVE | {Capability.DEMO_FUNDS}),
    Environment.DEMO: Capabilities(
        Environment.DEMO,
        frozenset({Capability.KEY_INFO, Capability.DEMO_FUNDS}),
    ),
}
