"""One call on its way through the server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from eternal_engine.simulator.server.params import Params
from eternal_engine.simulator.server.world import World
from eternal_engine.simulator.venue import Account, Venue

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """Hold what a handler needs: the world, the caller (None on public paths), and the fields sent."""

    world: World
    caller: Account | None
    params: Params

    @property
    def venue(self) -> Venue:
        """Give the venue."""
        return self.world.venue

    @property
    def now_ms(self) -> int:
        """Give venue time."""
        return self.world.venue.state.now_ms

    @property
    def account(self) -> Account:
        """Give the caller of a private path."""
        assert self.caller is not None, "a private handler was routed without a caller"
        return self.caller

    @property
    def uid(self) -> int:
        """Give the caller's uid."""
        return self.account.uid


Handler = Callable[[Call], Json]
