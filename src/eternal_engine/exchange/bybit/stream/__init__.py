"""The streams of Bybit: supervised connections that turn into one sequence of events."""

from eternal_engine.exchange.bybit.stream.feed import (
    DEMO_PRIVATE_URL,
    LIVE_PRIVATE_URL,
    PUBLIC_URL,
    Feed,
    PublicPlan,
    private_feed,
    public_feed,
)
from eternal_engine.exchange.bybit.stream.socket import SocketSettings

__all__ = [
    "DEMO_PRIVATE_URL",
    "LIVE_PRIVATE_URL",
    "PUBLIC_URL",
    "Feed",
    "PublicPlan",
    "SocketSettings",
    "private_feed",
    "public_feed",
]
