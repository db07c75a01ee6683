"""The fingerprint of a history: a sha256 over everything that a run can see in it."""

from __future__ import annotations

import hashlib
import json

import numpy as np

from eternal_engine.market_data.history import FundingRates, Int64Array, Ohlcv, Sentiment


def fingerprint_of(
    symbols: tuple[str, ...],
    start_ms: int,
    spot: Ohlcv,
    perp: Ohlcv,
    funding: tuple[FundingRates, ...],
    first_funding_ms: Int64Array,
    listed_ms: Int64Array,
    delisted_ms: Int64Array,
    sentiment: Sentiment,
) -> str:
    """Hash symbols, grid and arrays into lower-case hex; equal data give equal hex whatever file they came from.

    Missing values must be the plain `numpy.nan`. Stand-in flags need no hashing: they follow from the arrays.
    """
    head = {"version": 1, "symbols": symbols, "start_ms": start_ms, "hours": int(spot.close.shape[1])}
    digest = hashlib.sha256(json.dumps(head, separators=(",", ":")).encode())
    for candles in (spot, perp):
        for block in (candles.open, candles.high, candles.low, candles.close, candles.volume):
            digest.update(np.ascontiguousarray(block).data)
    for rates in funding:
        digest.update(len(rates.stamp_ms).to_bytes(8, "little"))
        for column in (rates.stamp_ms, rates.rate, rates.interval_h):
            digest.update(np.ascontiguousarray(column).data)
    for array in (first_funding_ms, listed_ms, delisted_ms, sentiment.day_ms, sentiment.value):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
