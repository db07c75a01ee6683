"""Say how likely a Sharpe ratio is to be more than luck (Bailey and Lopez de Prado, 2012 and 2014)."""

from __future__ import annotations

import math
from statistics import NormalDist

_NORMAL = NormalDist()
_EULER_GAMMA = 0.5772156649015329


def probabilistic_sharpe(
    sharpe: float, observations: int, skew: float, excess_kurtosis: float, benchmark: float = 0.0
) -> float | None:
    """Give the probability that the true Sharpe ratio is above `benchmark`.

    Both ratios are per observation, not annualised. None when there is too little to say: under two observations, or
    moments for which the variance of the estimate is not positive.
    """
    variance = 1.0 - skew * sharpe + (excess_kurtosis + 2.0) / 4.0 * sharpe * sharpe
    if observations < 2 or not math.isfinite(variance) or variance <= 0.0:
        return None
    return _NORMAL.cdf((sharpe - benchmark) * math.sqrt(observations - 1.0) / math.sqrt(variance))


def best_of_luck(trials: int, variance: float) -> float:
    """Give the Sharpe ratio that the best of `trials` worthless strategies is expected to show.

    `variance` is that of the trials' ratios, per observation. One trial: 0.
    """
    if trials < 2:
        return 0.0
    first = _NORMAL.inv_cdf(1.0 - 1.0 / trials)
    second = _NORMAL.inv_cdf(1.0 - 1.0 / (trials * math.e))
    return math.sqrt(variance) * ((1.0 - _EULER_GAMMA) * first + _EULER_GAMMA * second)


def deflated_sharpe(
    sharpe: float,
    observations: int,
    skew: float,
    excess_kurtosis: float,
    trials: int,
    trials_variance: float | None = None,
) -> float | None:
    """Give the probability that the true Sharpe ratio is above what the best of `trials` would show by luck.

    Without `trials_variance` (the trials' own ratios are not kept) the sampling variance of a ratio of zero is taken,
    1 / (observations - 1): the spread that worthless, independent trials of this length would have.
    """
    if observations < 2:
        return None
    variance = 1.0 / (observations - 1.0) if trials_variance is None else trials_variance
    return probabilistic_sharpe(sharpe, observations, skew, excess_kurtosis, best_of_luck(trials, variance))
