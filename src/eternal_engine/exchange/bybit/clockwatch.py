"""Watch how far this machine's clock is from the exchange's. A clock one second fast fails every signed call (3.1)."""

from __future__ import annotations

from collections import deque

ALARM_MS = 500
_SAMPLES = 16


class ClockWatch:
    """Estimate the offset from the times beside each answer; the sample with the quickest answer is the truest."""

    def __init__(self) -> None:
        self._samples: deque[tuple[int, int]] = deque(maxlen=_SAMPLES)

    def see(self, sent_ms: int, server_ms: int, received_ms: int) -> None:
        """Add one answer: local time before and after, and the exchange's time in it."""
        took = received_ms - sent_ms
        if took >= 0:
            self._samples.append((took, server_ms - (sent_ms + received_ms) // 2))

    @property
    def offset_ms(self) -> int | None:
        """Return the exchange's clock minus ours, None before the first answer."""
        return min(self._samples, key=lambda sample: sample[0])[1] if self._samples else None

    @property
    def is_alarming(self) -> bool:
        """Tell whether the offset endangers signed calls."""
        return self.offset_ms is not None and abs(self.offset_ms) > ALARM_MS
