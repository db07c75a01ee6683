"""Rate limits as the exchange counts them: a rolling second per account and endpoint, five seconds per address."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

# Requests per second by limit class; market data has only the limit per address.
PER_SECOND = {
    "order_linear": 10,
    "order_spot": 20,
    "amend_spot": 10,
    "read": 50,
    "position": 10,
    "margin": 5,
    "fee": 5,
    "log": 25,
    "key": 10,
    "transfer": 5,
    "sub": 1,
    "funds": 1,
}
PERIOD_MS = {"funds": 60_000}
ADDRESS_REQUESTS = 600
ADDRESS_PERIOD_MS = 5_000
BAN_MS = 600_000


@dataclass(frozen=True, slots=True)
class Allowance:
    """Hold the verdict on one request and what the headers say about it; `reset_ms` is wall time."""

    granted: bool
    limit: int
    left: int
    reset_ms: int


@dataclass
class Limits:
    """Count requests; `enforced` False answers with the same headers and refuses nobody."""

    enforced: bool = True
    _seen: dict[tuple[int, str], deque[int]] = field(default_factory=dict)
    _addresses: dict[str, deque[int]] = field(default_factory=dict)
    _banned_until: dict[str, int] = field(default_factory=dict)

    def ask(self, uid: int, path: str, limit_class: str, now_ms: int) -> Allowance:
        """Count one private request."""
        limit = PER_SECOND[limit_class]
        period = PERIOD_MS.get(limit_class, 1_000)
        seen = self._seen.setdefault((uid, f"{path}:{limit_class}"), deque())
        while seen and seen[0] <= now_ms - period:
            seen.popleft()
        if len(seen) >= limit and self.enforced:
            return Allowance(granted=False, limit=limit, left=0, reset_ms=seen[0] + period)
        seen.append(now_ms)
        return Allowance(granted=True, limit=limit, left=max(0, limit - len(seen)), reset_ms=now_ms)

    def admit(self, address: str, now_ms: int) -> bool:
        """Count one request of an address; False means HTTP 403 for ten minutes."""
        if not self.enforced:
            return True
        if self._banned_until.get(address, 0) > now_ms:
            return False
        seen = self._addresses.setdefault(address, deque())
        while seen and seen[0] <= now_ms - ADDRESS_PERIOD_MS:
            seen.popleft()
        if len(seen) >= ADDRESS_REQUESTS:
            self._banned_until[address] = now_ms + BAN_MS
            seen.clear()
            return False
        seen.append(now_ms)
        return True
