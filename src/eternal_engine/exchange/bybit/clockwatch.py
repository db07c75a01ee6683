"""Watch how far this machine's clock is from the exchange's. A clock one second fast fails every signed call (3.1)."""

from __future__ import annotations

from collections import deque

_SAMPLES = 16
# What two clocks may part by between two answers.
_DRIFT_MS = 250


class ClockWatch:
    """Estimate the offset from the times beside each answer; the sample with the quickest answer is the truest."""

    def __init__(self) -> None:
        self._samples: deque[tuple[int, int]] = deque(maxlen=_SAMPLES)

    def see(self, sent_ms: int, server_ms: int, received_ms: int) -> None:
        """Add one answer: local time before and after, and the exchange's time in it.

        An offset is right within half the time its answer took. One that contradicts the rest says that this machine's
        clock was set: they are forgotten, or the exchange's time would be wrong by that much for many answers more.
        """
        took, offset = received_ms - sent_ms, server_ms - (sent_ms + received_ms) // 2
        if took < 0:
            self._samples.clear()
            return
        if self._samples:
            best_took, best = min(self._samples, key=lambda sample: sample[0])
            if abs(offset - best) > (took + best_took) / 2 + _DRIFT_MS:
                self._samples.clear()
        self._samples.append((took, offset))

    @property
    def offset_ms(self) -> int | None:
        """Return the exchange's clock minus ours, None before the first answer."""
        return min(self._samples, key=lambda sample: sample[0])[1] if self._samples else None
