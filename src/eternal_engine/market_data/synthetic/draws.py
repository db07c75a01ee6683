"""Reproducible random numbers and filters: the same seed gives the same bits on every machine and at every length.

Only integer arithmetic and the operations that IEEE 754 rounds exactly (+ - * / sqrt, ldexp) are used. numpy's own
exp and normal generators call code that differs between processors and releases in the last bit (decision 0030).
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from eternal_engine.market_data.history import Float64Array

_LANES = np.uint64(0x0000FFFF0000FFFF)
_WORDS_PER_NORMAL = 3
# So many normals at once stay in the processor's cache: half the time of a pass over years.
_AT_ONCE = 4096
_LN2_HIGH = 0.693147180369123816490
_LN2_LOW = 1.90821492927058770002e-10
_INVERSE_LN2 = 1.44269504088896338700
_EXP_TERMS = 13
_NEGLIGIBLE = 1e-15


class Draws:
    """Give one endless stream of numbers, named by a seed and words; other streams do not disturb it."""

    def __init__(self, seed: int, *names: str) -> None:
        """Open the stream of `names` under `seed`."""
        digest = hashlib.sha256("/".join((str(seed), *names)).encode()).digest()
        self._bits = np.random.Philox(key=int.from_bytes(digest[:16], "big"))

    def _words(self, count: int) -> npt.NDArray[np.uint64]:
        return np.asarray(self._bits.random_raw(count), dtype=np.uint64)

    def uniform(self, count: int) -> Float64Array:
        """Draw `count` numbers in [0, 1)."""
        top: Float64Array = (self._words(count) >> np.uint64(11)).astype(np.float64)
        return top * 2.0**-53

    def normal(self, count: int) -> Float64Array:
        """Draw `count` nearly standard normal numbers: sums of twelve 16-bit uniforms, so never beyond +-6."""
        drawn = np.empty(count)
        for begin in range(0, count, _AT_ONCE):
            piece = drawn[begin : begin + _AT_ONCE]
            words = self._words(piece.size * _WORDS_PER_NORMAL)
            pairs = words & _LANES
            words >>= np.uint64(16)
            words &= _LANES
            pairs += words
            triple = pairs[0::3] + pairs[1::3]
            triple += pairs[2::3]
            total = (triple & np.uint64(0xFFFFFFFF)) + (triple >> np.uint64(32))
            np.subtract(total, 12 * 32767.5, out=piece)
            piece /= 65536.0
        return drawn

    def exponential(self, count: int) -> Float64Array:
        """Draw `count` numbers of mean 1 with an exponential tail: half the sum of two squared normals."""
        pairs = self.normal(2 * count)
        pairs *= pairs
        return (pairs[0::2] + pairs[1::2]) * 0.5


def decay(shocks: Float64Array, keep: float) -> Float64Array:
    """Filter y[t] = shocks[t] + keep * y[t-1] by doubling; y up to t does not depend on the array's length."""
    out = shocks.copy()
    step, weight = 1, keep
    while step < out.size and abs(weight) > _NEGLIGIBLE:
        out[step:] += weight * out[:-step]
        step, weight = 2 * step, weight * weight
    return out


def memory(hours: float) -> float:
    """Give the `keep` of `decay` with which a shock fades to about 37 % after `hours` steps."""
    return 1.0 - 1.0 / hours


def wander(draws: Draws, count: int, hours: float, spread: float) -> Float64Array:
    """Draw a mean-reverting path around 0 with standard deviation `spread` and memory `hours`."""
    keep = memory(hours)
    return decay(draws.normal(count) * (spread * float(np.sqrt(1.0 - keep * keep))), keep)


def exp(x: Float64Array) -> Float64Array:
    """Compute e**x within 2 units of the last place, from exactly rounded operations only."""
    halvings = np.rint(x * _INVERSE_LN2)
    rest = (x - halvings * _LN2_HIGH) - halvings * _LN2_LOW
    total = np.full_like(rest, 1.0)
    for term in range(_EXP_TERMS, 0, -1):
        total *= rest
        total /= term
        total += 1.0
    return np.asarray(np.ldexp(total, halvings.astype(np.int32)), dtype=np.float64)


def squash(x: Float64Array) -> Float64Array:
    """Bend any number smoothly into (-1, 1)."""
    return x / np.sqrt(1.0 + x * x)
