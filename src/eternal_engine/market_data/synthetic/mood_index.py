"""The daily fear-and-greed index, 0 to 100, from what BTC did until the day before."""

from __future__ import annotations

import numpy as np

from eternal_engine.market_data.history import Float64Array
from eternal_engine.market_data.synthetic.draws import Draws, decay, memory, squash, wander


def fear_and_greed(seed: int, btc_level: Float64Array, log_vol: Float64Array) -> Float64Array:
    """Give one whole number a day from day 1 after the epoch on (entry 0 is day 1); it uses past days only."""
    closes, calm = btc_level[23::24], -log_vol[23::24]
    days = closes.size
    returns = closes - np.concatenate((np.zeros(1), closes[:-1]))
    momentum = 3.6 * decay(returns, memory(28)) + 0.10 * squash(calm)
    noise = wander(Draws(seed, "market", "sentiment"), days, 12, 6.0) + Draws(seed, "market", "poll").normal(days) * 1.8
    return np.clip(np.rint(46.0 + 46.0 * squash(momentum) + noise), 3.0, 97.0)
