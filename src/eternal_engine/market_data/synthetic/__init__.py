"""A made-up crypto market, the same for a seed on every machine: what runs when there is no data and no network."""

from eternal_engine.market_data.synthetic.coins import COINS, EPOCH_MS
from eternal_engine.market_data.synthetic.market import DEFAULT_END_MS, DEFAULT_START_MS, SYMBOLS, synthesize

__all__ = ["COINS", "DEFAULT_END_MS", "DEFAULT_START_MS", "EPOCH_MS", "SYMBOLS", "synthesize"]
